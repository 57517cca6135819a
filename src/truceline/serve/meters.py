"""What each source has sent, how far behind it is, and since when it is silent; how long acknowledgements took."""

from bisect import bisect_left
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.mission import Source
from truceline.serve.taking import Payload, Taken, times
from truceline.store import Journal

#: A record whose time lies this far ahead of its receipt was stamped by a clock that is wrong: receivers and phones
#: are within seconds. Assumption.
AHEAD_S = 60.0
#: A record this far behind its receipt is a replay or was held back: notes of a shift come within it. Assumption.
LATE_S = 12 * 3600.0
#: Upper bounds of the times to acknowledgement, seconds; the budget of half load is 0.5.
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_REASONS = 5


class Heard(NamedTuple):
    """What came of one source in a group, and is on disk."""

    source: str
    accepted: int
    duplicates: int
    rejected: int
    received_at: datetime
    reasons: list[str]
    lag_s: float | None  # the middle one, of what has a time
    ahead: int
    late: int
    newest_at: datetime | None  # of what is not ahead

    @property
    def rows(self) -> int:
        """All of them."""
        return self.accepted + self.duplicates + self.rejected


def heard(taken: Taken, new: npt.NDArray[np.bool_]) -> list[Heard]:
    """By source what came; `new` tells which observations were no duplicates."""
    by_source: dict[str, list[Payload]] = {}
    for payload in taken.payloads:
        by_source.setdefault(payload.source.id, []).append(payload)
    place = {id: number for number, id in enumerate(by_source)}
    of = np.array([place[payload.source.id] for payload in taken.payloads], np.int64)
    of_row, many = of[taken.of_observation], len(place)
    rows, accepted = np.bincount(of_row, minlength=many), np.bincount(of_row[new], minlength=many)
    rejected = np.bincount(of[taken.of_rejection], minlength=many)
    at, received = times(taken.observations)
    lag = received - at
    out = []
    for (id, payloads), number in zip(by_source.items(), place.values(), strict=True):
        mine = np.flatnonzero((of_row == number) & np.isfinite(lag))
        mine = mine[np.argsort(lag[mine])]
        lags = lag[mine]
        ahead = int(np.searchsorted(lags, -AHEAD_S))
        believed = at[mine[ahead:]]
        out.append(
            Heard(
                id,
                int(accepted[number]),
                int(rows[number] - accepted[number]),
                int(rejected[number]),
                max(payload.received_at for payload in payloads),
                [reason for payload in payloads for reason in payload.reasons[:_REASONS]],
                float(lags[(len(lags) - 1) // 2] + lags[len(lags) // 2]) / 2 if len(lags) else None,
                ahead,
                len(lags) - int(np.searchsorted(lags, LATE_S, side="right")),
                datetime.fromtimestamp(float(believed.max()), UTC) if len(believed) else None,
            )
        )
    return out


class Acknowledged(NamedTuple):
    """A histogram: how many took at most each of these times, how many there were, and all of it together."""

    seconds: list[float]
    counts: list[int]  # at most each bound: never falling
    total: int
    sum_s: float


class Waits:
    """How long records waited for their acknowledgement."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self._counts[bisect_left(_BOUNDS, seconds)] += 1
        self._sum_s += seconds

    @property
    def histogram(self) -> Acknowledged:
        """All so far."""
        cumulated = np.cumsum(self._counts).tolist()
        return Acknowledged(list(_BOUNDS), cumulated[:-1], cumulated[-1], self._sum_s)


class Meter:
    """One source's figures."""

    def __init__(self, source: Source, started_at: datetime, started_s: float) -> None:
        self.source = source
        self.accepted = self.duplicates = self.rejected = 0
        self.ahead = self.late = 0
        self.last_received_at: datetime | None = None
        self.last_at: datetime | None = None
        self.lag_s: float | None = None
        self._reasons: deque[str] = deque(maxlen=_REASONS)
        #: Of a clock that is never set: when something came last, or the service was started.
        self._heard_s, self._started_at = started_s, started_at

    def remember(self, kind: str, rows: int, received_at: datetime | None, at: datetime | None, now: datetime) -> None:
        """What the journal has of before: rows of a kind, their last receipt and their last event time."""
        name = {"observation": "accepted", "duplicate": "duplicates", "rejection": "rejected"}[kind]
        setattr(self, name, getattr(self, name) + rows)
        if received_at is not None and (self.last_received_at is None or received_at > self.last_received_at):
            self.last_received_at = received_at
            self._heard_s -= max(0.0, (now - received_at).total_seconds())
        if at is not None and at <= now + timedelta(seconds=AHEAD_S):
            self.last_at = at

    def add(self, heard: Heard, now_s: float) -> None:
        """Count what has been journalled."""
        self.accepted += heard.accepted
        self.duplicates += heard.duplicates
        self.rejected += heard.rejected
        self.last_received_at = _later(self.last_received_at, heard.received_at)
        self._heard_s = now_s
        self._reasons.extend(heard.reasons)
        if heard.lag_s is not None:
            self.lag_s = heard.lag_s
        self.ahead += heard.ahead
        self.late += heard.late
        self.last_at = _later(self.last_at, heard.newest_at)

    def silent_since(self, now_s: float) -> datetime | None:
        """When it was heard last, where that is longer ago than the mission file lets it be silent."""
        limit = self.source.live.silent_after_s if self.source.live is not None else None
        if limit is None or now_s - self._heard_s <= limit:
            return None
        return self.last_received_at or self._started_at

    def row(self, now_s: float, waiting_bytes: int, refusing: bool) -> dict[str, Any]:
        """As the board shows it."""
        silent = self.silent_since(now_s)
        state = "waiting" if self.last_received_at is None else "live"
        if silent is not None:
            state = "silent"
        return {
            "id": self.source.id,
            "feed": self.source.feed,
            "release": self.source.release,
            "licence": self.source.licence,
            "state": "refusing" if refusing else state,
            "read": self.accepted + self.duplicates + self.rejected,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "ahead": self.ahead,
            "late": self.late,
            "last_received_at": _iso(self.last_received_at),
            "last_at": _iso(self.last_at),
            "lag_s": self.lag_s,
            "waiting_bytes": waiting_bytes,
            "silent_since": _iso(silent),
            "reasons": list(self._reasons),
        }


def remember(meters: dict[str, Meter], journal: Path, now: datetime) -> None:
    """Give the meters what the journal has of before."""
    with Journal(journal) as reading:
        for kind in ("observation", "duplicate", "rejection"):
            columns = ["source", "received_at", *(["at"] if kind == "observation" else [])]
            rows = reading.table(kind, columns, coded=["source"])
            if kind != "observation":
                rows = rows.append_column("at", pa.nulls(rows.num_rows, pa.timestamp("us", "UTC")))
            told = rows.group_by("source").aggregate([("source", "count"), ("received_at", "max"), ("at", "max")])
            told = told.set_column(0, "source", pc.cast(told["source"], pa.string()))
            for row in told.to_pylist():
                if row["source"] in meters:
                    mine = meters[row["source"]]
                    mine.remember(kind, row["source_count"], row["received_at_max"], row["at_max"], now)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one is not None and other is not None else one or other


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
