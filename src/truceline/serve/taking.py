"""Payloads to rows: what sources have sent lately, read together where that can be."""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline import feeds, observation
from truceline.errors import SourceError, StoreError, TrucelineError
from truceline.feeds.observations import FORMS, read_as
from truceline.feeds.posted import Posted, posted
from truceline.mission import Source

log = logging.getLogger("truceline.serve")

#: Feeds read files: what is smaller than this lies in memory while it is read, where there is such a place.
_IN_MEMORY_BYTES = 8 << 20
_MEMORY = Path("/dev/shm")  # noqa: S108 files there have names that nobody can guess, and only we may read them


@dataclass(eq=False)
class Payload:
    """What was sent at once, and what became of it."""

    source: Source
    body: bytes
    name: str
    form: str | None
    received_at: datetime
    #: Not to be read: each of these is one rejection, for this reason.
    raws: Sequence[bytes] = ()
    reason: str = ""
    problem: TrucelineError | None = None
    counts: list[int] = field(default_factory=lambda: [0, 0, 0])  # accepted, duplicates, rejected
    reasons: list[str] = field(default_factory=list)


class Taken(NamedTuple):
    """Rows, and the place of each row's payload in `payloads`."""

    payloads: list[Payload]
    observations: pa.Table
    rejections: pa.Table
    of_observation: npt.NDArray[np.int64]
    of_rejection: npt.NDArray[np.int64]


def is_lines(payload: Payload) -> bool:
    """Whether it is JSON lines of observations, which are read together with others."""
    if payload.reason:
        return False
    native = payload.form is None and payload.source.feed == "observations" and payload.body[:1] == b"{"
    return native or payload.form == "jsonl"


def take(payloads: Sequence[Payload]) -> list[Taken]:
    """The rows of payloads. One that cannot be read as a whole gets its `problem` and gives none.

    JSON lines of all sources are read together where the mission file says the same of them; what a feed has a format
    of its own for is read payload by payload. Rows of feeds stay apart by their source: one of them that fits no
    journal takes no other with it.
    """
    lines: dict[str, list[Payload]] = {}
    others: dict[str, list[list[Payload]]] = {}
    for payload in payloads:
        if is_lines(payload):
            lines.setdefault(repr(payload.source.options.get("bounds")), []).append(payload)
        else:
            others.setdefault(payload.source.id, []).append([payload])
    joined = [list(lines.values()), *others.values()]
    return [taken for some in joined for taken in _joined([part for one in some for part in _parts(one)])]


def _parts(payloads: list[Payload]) -> list[tuple[list[Payload], Posted]]:
    """The rows of some payloads that are read at once; where that fails, of each alone."""
    try:
        if is_lines(payloads[0]):
            return [(payloads, part) for part in posted(payloads)]
        batches = _read(payloads[0])
        return [(payloads, Posted(b, *(np.zeros(rows.num_rows, np.int64) for rows in b))) for b in batches]
    except TrucelineError as error:
        problem: TrucelineError = error
    except Exception:  # whatever one payload does to its feed, it must not harm the others of its group
        log.exception("%s: %s could not be read", payloads[0].source.id, payloads[0].name)
        problem = SourceError(f"{payloads[0].name}: could not be read; the log says why")
    if len(payloads) > 1:
        return [part for one in payloads for part in _parts([one])]
    payloads[0].problem = problem
    return []


def _read(payload: Payload) -> list[feeds.Batch]:
    """A payload's rows by its feed, or by the form it has."""
    source = payload.source
    if payload.reason:
        return [feeds.refused(source, list(payload.raws), payload.reason, payload.name, payload.received_at)]
    if payload.form is not None and payload.form not in FORMS:
        raise SourceError(f"{payload.name}: there is no form {payload.form!r}; there are {', '.join(FORMS)}")
    small = len(payload.body) < _IN_MEMORY_BYTES and _MEMORY.is_dir()
    try:
        with tempfile.NamedTemporaryFile(dir=_MEMORY if small else None, suffix=_ending(payload.body)) as file:
            file.write(payload.body)
            file.flush()
            if payload.form is not None:
                return list(read_as(payload.form, source, file.name, payload.name, payload.received_at))
            feed = feeds.REGISTRY[source.feed]
            return list(feed.read(source, file.name, payload.name, payload.received_at))
    except OSError as error:
        raise StoreError(f"{payload.name}: cannot be kept while it is read: {error.strerror or error}") from error


def _ending(body: bytes) -> str:
    """What a file of these bytes would be called: tables are told by their names."""
    if body.startswith(b"PAR1"):
        return ".parquet"
    return ".geojson" if body.lstrip()[:1] in (b"{", b"[") else ".csv"


def _joined(parts: Sequence[tuple[list[Payload], Posted]]) -> list[Taken]:
    """Rows as few tables: where their columns are the same, one."""
    payloads = list(dict.fromkeys(payload for mine, _ in parts for payload in mine))
    place = {id(payload): number for number, payload in enumerate(payloads)}
    groups: dict[tuple[str, ...], list[Taken]] = {}
    for mine, (batch, of_observation, of_rejection) in parts:
        there = np.array([place[id(payload)] for payload in mine], np.int64)
        part = Taken(payloads, batch.observations, batch.rejections, there[of_observation], there[of_rejection])
        groups.setdefault(tuple(batch.observations.column_names), []).append(part)
    return [
        Taken(
            payloads,
            pa.concat_tables([part.observations for part in group], promote_options="permissive"),
            pa.concat_tables([part.rejections for part in group]),
            np.concatenate([part.of_observation for part in group]),
            np.concatenate([part.of_rejection for part in group]),
        )
        for group in groups.values()
    ]


#: Of a payload's rejections so many are told in its receipt.
_REASONS = 10


def count(taken: Taken, new: npt.NDArray[np.bool_]) -> None:
    """Say in each payload what became of its records; `new` tells which observations were no duplicates."""
    many = len(taken.payloads)
    accepted = np.bincount(taken.of_observation[new], minlength=many)
    duplicates = np.bincount(taken.of_observation[~new], minlength=many)
    rejected = np.bincount(taken.of_rejection, minlength=many)
    for payload, *counts in zip(taken.payloads, accepted.tolist(), duplicates.tolist(), rejected.tolist(), strict=True):
        payload.counts = [a + b for a, b in zip(payload.counts, counts, strict=True)]
    if not taken.rejections.num_rows:
        return
    first = np.unique(taken.of_rejection, return_index=True)[1]
    for begin in first.tolist():
        payload = taken.payloads[int(taken.of_rejection[begin])]
        mine = np.flatnonzero(taken.of_rejection == taken.of_rejection[begin])[: _REASONS - len(payload.reasons)]
        rows = taken.rejections.select(["record", "reason"]).take(pa.array(mine)).to_pylist()
        payload.reasons += [f"record {row['record']}: {row['reason']}" for row in rows]


def times(rows: pa.Table) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Event time (NaN where there is none) and time of receipt of observations, seconds since 1970."""
    return observation.to_numpy(rows["at"]), observation.to_numpy(rows["received_at"])
