"""Feeds: what sensors, archives and people report, to observations. One format, one file.

    for batch in feeds.read(source, folder, path, received_at):
        batch.observations, batch.rejections

Every record of a file becomes one row of one of the two tables, with its bytes and their hash.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path

from truceline.errors import MissionError
from truceline.feeds.batch import Batch, Fault, Feed, Intake, Records
from truceline.feeds.fetch import fetch, shown
from truceline.feeds.records import CHUNK_BYTES
from truceline.feeds.values import nearest
from truceline.mission import Source

__all__ = ["REGISTRY", "Batch", "Feed", "check", "fetch", "read", "refused", "shown"]


class _Feeds(Mapping[str, Feed]):
    """Feeds by name, each imported when first asked for: some bring decoders that take a second to load."""

    def __init__(self, classes: Mapping[str, str]) -> None:
        self._classes, self._made = dict(classes), dict[str, Feed]()

    def __getitem__(self, name: str) -> Feed:
        made = self._classes[name]
        if name not in self._made:
            self._made[name] = getattr(import_module(f"truceline.feeds.{name}"), made)()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)


#: The feeds by the name that a source's `feed` key gives them: module and class.
REGISTRY: Mapping[str, Feed] = _Feeds(
    {
        "adsb": "Adsb",
        "ais": "Ais",
        "asterix": "Asterix",
        "cot": "Cot",
        "firms": "Firms",
        "observations": "Observations",
        "table": "Table",
    }
)


def check(source: Source) -> None:
    """Whether the mission file's words about a source can be meant, before any file is read.

    Raises
    ------
    MissionError
        Naming the source, the key, the value, and the nearest valid name.
    """
    if source.feed not in REGISTRY:
        hint = nearest(source.feed, REGISTRY)
        raise MissionError(f"source {source.id!r}: feed: there is no feed {source.feed!r}{hint}")
    REGISTRY[source.feed].check(source)


def read(
    source: Source,
    folder: Path,
    path: str,
    received_at: datetime,
    *,
    fetched: Path | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[Batch]:
    """The records of one file of `source`, as batches of accepted and rejected rows, in the file's order.

    Observations have the core columns, the feed's own prefixed ones, and `leaf` and `observation_id` set;
    repeats are not taken out. A record that cannot be accepted is a row of the rejections.

    Parameters
    ----------
    folder
        The mission's: the evidence names files relative to it.
    path
        The file, or its http(s) address: then it is fetched into `folder`/cache.
    received_at
        Aware.
    fetched
        The copy of an address that has been fetched already.
    chunk_bytes
        Read at a time; the rows do not depend on it.

    Raises
    ------
    MissionError
        As `check`.
    SourceError
        When the file as a whole cannot be read: absent, empty, not what the feed reads.
    """
    check(source)
    name = shown(path) if "://" in path else Path(os.path.relpath(path, folder)).as_posix()
    local = str(fetched or fetch(path, folder / "cache")) if "://" in path else path
    yield from REGISTRY[source.feed].read(source, local, name, received_at, chunk_bytes)


def refused(source: Source, raws: list[bytes], reason: str, name: str, received_at: datetime) -> Batch:
    """Bytes that a stream brought and the source's feed cannot begin to read, as rejections, one each.

    A file of such bytes is refused as a whole (`read` raises) and lies where it lay; what came over a socket is
    nowhere else.
    """
    broken = {place: Fault(reason) for place in range(len(raws))}
    intake = Intake(source, name, received_at, source.licence)
    return intake.batch(Records(1, raws, broken, {}), lambda _: {})
