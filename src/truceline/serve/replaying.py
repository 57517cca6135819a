"""A mission's past as if it happened now: its records handed in by their times, through the door all records take.

A record comes when what it tells of is over (`until`, else `at`); one that tells no time comes with the one before it
in its file. So the journal holds in the end what reading the files would have given, and the edition is the same.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from truceline import feeds
from truceline.errors import TrucelineError
from truceline.feeds.stream import Stream
from truceline.mission import Mission, Source, files
from truceline.observation import to_numpy
from truceline.serve.service import Service

log = logging.getLogger(__name__)

#: Real seconds between editions of a replay: an hour's replay at 720 times shows one every two hours of the mission.
SETTLE_S = 20.0
#: Real seconds between payloads.
_STEP_S = 0.2
#: Of the mission's time, before the first record and behind the last.
_LEAD = timedelta(minutes=10)
#: First bytes of formats of which every record stands for itself; a table's header goes with every payload.
_GEOJSON = (b"{",)
#: Feeds whose files may be tables; a file of theirs that begins with a record has no header.
_TABULAR = ("table", "firms", "adsb", "ais")


class Part(NamedTuple):
    """The records of one file, in the order of their times."""

    source: str
    name: str
    header: bytes | None  # of a table; None where records stand for themselves
    features: bool  # GeoJSON
    at_s: np.ndarray
    raw: list[bytes]


class Clock:
    """The mission's time while it is replayed: `speed` times as fast as the wall's, from before the first record."""

    def __init__(self, records: Sequence[Part], speed: float) -> None:
        times = np.concatenate([part.at_s for part in records])
        self.first = datetime.fromtimestamp(float(times.min()), UTC) - _LEAD
        self.last = datetime.fromtimestamp(float(times.max()), UTC) + _LEAD
        self.speed = speed
        self._started: float | None = None

    def now(self) -> datetime:
        """The mission's time; behind the last record it goes on as the wall's does."""
        if self._started is None:
            return self.first
        gone_s = time.monotonic() - self._started
        whole_s = (self.last - self.first).total_seconds() / self.speed
        if gone_s < whole_s:
            return self.first + timedelta(seconds=gone_s * self.speed)
        return self.last + timedelta(seconds=gone_s - whole_s)

    def start(self) -> None:
        """Time begins."""
        self._started = time.monotonic()


def records(folder: Path, at: datetime) -> list[Part]:
    """Every record of a mission's sources, as its files have it.

    Raises
    ------
    MissionError, SourceError
        When they cannot be read.
    """
    mission = Mission.load(folder)
    return [
        part
        for source in mission.source
        for path in files(folder, source.paths)
        if "://" not in path
        for part in [_part(source, folder, path, at)]
        if len(part.raw)
    ]


def _part(source: Source, folder: Path, path: str, at: datetime) -> Part:
    tables = [
        table for batch in feeds.read(source, folder, path, at) for table in (batch.observations, batch.rejections)
    ]
    record = np.concatenate([to_numpy(t["record"]) for t in tables]) if tables else np.empty(0)
    until = np.concatenate([_when(t) for t in tables]) if tables else np.empty(0)
    raw = [one for t in tables for one in t["raw"].to_pylist()]
    order = np.argsort(record, kind="stable")
    until = until[order]
    known = np.flatnonzero(np.isfinite(until))
    if len(known):  # the time of the nearest one before it, or of the first that has one
        until = until[known[np.maximum(np.searchsorted(known, np.arange(len(until)), side="right") - 1, 0)]]
    until = np.nan_to_num(until)
    raw = [raw[k] or b"" for k in order.tolist()]
    by_time = np.argsort(until, kind="stable")
    with open(path, "rb") as file:
        head = Stream(file).read(1 << 16).removeprefix(b"\xef\xbb\xbf")
    features = head.lstrip()[:1] in _GEOJSON
    first = head.split(b"\n", 1)[0]
    tabular = source.feed in _TABULAR and not features and first.strip() not in {one.strip() for one in raw[:1]}
    header = first + b"\n" if tabular else None
    return Part(source.id, Path(path).name, header, features, until[by_time], [raw[k] for k in by_time.tolist()])


def _when(rows: pa.Table) -> np.ndarray:
    """When each was over, seconds since 1970; NaN where it does not say."""
    out = np.full(rows.num_rows, np.nan)
    for name in ("at", "until"):
        if name in rows.column_names:
            values = to_numpy(rows[name])
            out = np.where(np.isfinite(values), values, out)
    return out


async def play(service: Service, parts: Sequence[Part], clock: Clock) -> None:
    """Hand the records in as their times come; at the end make an edition of it all."""
    clock.start()
    given = [0] * len(parts)
    while any(k < len(part.raw) for k, part in zip(given, parts, strict=True)):
        now_s = clock.now().timestamp()
        for place, part in enumerate(parts):
            to = int(np.searchsorted(part.at_s, now_s, side="right"))
            if to > given[place]:
                begin, given[place] = given[place], to
                try:
                    payload = _payload(part, part.raw[begin:to])
                    await service.gate.submit(part.source, payload, name=f"replay of {part.name}")
                except TrucelineError as error:
                    log.warning("replay of %s: %s", part.name, error)
        await asyncio.sleep(_STEP_S)
    await asyncio.sleep(_STEP_S)
    try:
        await service.live.settle()
    except TrucelineError as error:
        log.warning("the replay's last edition: %s", error)


def _payload(part: Part, raw: Sequence[bytes]) -> bytes:
    """Records as a file of their own would have them."""
    if part.features:
        return b'{"type": "FeatureCollection", "features": [' + b",\n".join(raw) + b"]}"
    lines = b"".join(one if one.endswith(b"\n") else one + b"\n" for one in raw)
    return lines if part.header is None else part.header + lines
