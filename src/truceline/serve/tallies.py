"""Counts over time: when each source was heard, what occurred, what was quiet and what nobody can say.

Silence is compliance only where there was coverage. Until coverage is assessed, a day at a site counts as quiet only
where something was heard from round it; else it is "not assessed".
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.coarse import FEW
from truceline.frame import Frame
from truceline.intake import JOURNAL
from truceline.mission import Mission
from truceline.observation import to_numpy
from truceline.serve.service import Service
from truceline.store import Journal

Ints = npt.NDArray[np.int64]

#: A finding is likely when its probability of breach is above this: more likely than not, as reports have it.
LIKELY = 0.5
#: How far off a site something must have been heard for its day to count as looked at; assumption: about as far as
#: people hear explosions of shells.
HEARD_KM = 10.0
#: A source whose silence is not stated is silent after so many times its median interval, and never sooner than this.
TIMES_MEDIAN, LEAST_SILENCE_S = 3, 600.0
#: Reading the journal's times again takes at most this share of the time.
_SHARE = 0.05


class Heard(NamedTuple):
    """When each source was heard, to the minute, and on which reporting days round each site."""

    minutes: dict[str, tuple[Ints, Ints]]  # by source: minutes since 1970, ascending; records in each
    near: dict[str, frozenset[date]]  # by site


class Listening:
    """What was heard, read from the journal again when there is more, not at every question."""

    def __init__(self, service: Service, sites: pa.Table) -> None:
        self._mission, self._sites = service.mission, sites
        self._journal = Journal(service.folder / JOURNAL)
        self._lock = threading.Lock()
        self._rows, self._made_s, self._took_s = -1, 0.0, 0.0
        self._heard = Heard({}, {})

    def heard(self) -> Heard:
        """As the journal has it, or had it moments ago while much is coming in."""
        with self._lock:
            began = time.monotonic()
            rows = self._journal.rows("observation")
            if rows != self._rows and began - self._made_s >= self._took_s / _SHARE:
                blocks = self._journal.blocks("observation", ["source", "at", "lon", "lat"])
                self._heard = heard(blocks, self._sites, self._mission)
                self._rows, self._made_s = rows, time.monotonic()
                self._took_s = self._made_s - began
            return self._heard


def heard(observations: Iterable[pa.Table], sites: pa.Table, mission: Mission) -> Heard:
    """When each source was heard, and on which days round each site.

    Parameters
    ----------
    observations
        Some at a time: `source`, `at`, `lon`, `lat`.
    sites
        Rows of `views.SITES`.
    """
    minutes: dict[str, Counter[int]] = {}
    near: dict[str, set[date]] = {}
    for rows in observations:
        rows = rows.filter(rows["at"].is_valid())
        at_s = to_numpy(rows["at"])
        minute = np.floor(at_s / 60).astype(np.int64)
        for name in pc.unique(rows["source"]).to_pylist():
            found, counts = np.unique(minute[pc.equal(rows["source"], name).to_numpy()], return_counts=True)
            minutes.setdefault(name, Counter()).update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        for site, days in _near(rows, at_s, sites, mission).items():
            near.setdefault(site, set()).update(days)
    by_source = {name: _ascending(of) for name, of in minutes.items()}
    return Heard(by_source, {site: frozenset(days) for site, days in near.items()})


def _ascending(counts: Mapping[int, int]) -> tuple[Ints, Ints]:
    ascending = sorted(counts)
    return np.array(ascending, np.int64), np.array([counts[minute] for minute in ascending], np.int64)


def _near(
    observations: pa.Table, at_s: npt.NDArray[np.float64], sites: pa.Table, mission: Mission
) -> dict[str, frozenset[date]]:
    if not len(at_s) or not sites.num_rows:
        return {}
    frame = mission.frame()
    east, north = frame.to_local(*(to_numpy(observations[name]) for name in ("lon", "lat")))
    site_east, site_north = frame.to_local(*(to_numpy(sites[name]) for name in ("lon", "lat")))
    days, edges = reporting_days(mission, at_s.min(), at_s.max())
    day = np.searchsorted(edges, at_s, side="right")
    out = {}
    for name, e, n in zip(sites["site_id"].to_pylist(), site_east, site_north, strict=True):
        close = np.hypot(east - e, north - n) <= 1000 * HEARD_KM
        out[name] = frozenset(days[i] for i in np.unique(day[close]).tolist())
    return out


def reporting_days(mission: Mission, first_s: float, last_s: float) -> tuple[list[date], npt.NDArray[np.float64]]:
    """The reporting days from one time to another, and the ends of all but the last, seconds since 1970."""
    day, last = (mission.day_of(datetime.fromtimestamp(at, UTC)) for at in (first_s, last_s))
    days = [day]
    while days[-1] < last:
        days.append(days[-1] + timedelta(days=1))
    return days, np.array([mission.day(one)[1].timestamp() for one in days[:-1]])


# ---- the timeline --------------------------------------------------------------------------------------------------


def buckets(column: pa.ChunkedArray, begin_s: float, bucket_s: float, n: int) -> list[int]:
    """How many times fall into each of n buckets."""
    at_s = to_numpy(column)
    place = np.floor((at_s[np.isfinite(at_s)] - begin_s) / bucket_s)
    inside = place[(place >= 0) & (place < n)].astype(np.int64)
    return [int(one) for one in np.bincount(inside, minlength=n)]


def likely(findings: pa.Table) -> pa.Table:
    """Findings that are likely, one of each clause and subject: readings that agree are not counted twice."""
    rows = findings.filter(pc.fill_null(pc.greater(findings["p_breach"], LIKELY), False))
    key = pc.binary_join_element_wise(
        rows["clause"].cast(pa.binary()), pc.coalesce(rows["subject_id"], rows["finding_id"]).cast(pa.binary()), b"/"
    )
    first: dict[bytes, int] = {}
    for place, one in enumerate(key.to_pylist()):
        first.setdefault(one, place)
    return rows.take(pa.array(list(first.values()), pa.int64()))


def not_few(counts: Sequence[int]) -> list[int | None]:
    """Counts, null where they are below `FEW`."""
    return [one if one >= FEW else None for one in counts]


def records(heard: Heard, begin_s: float, bucket_s: float, n: int) -> dict[str, list[int]]:
    """How many records of each source fall into each bucket, by minutes."""
    out = {}
    for name, (minutes, counts) in heard.minutes.items():
        place = np.floor((minutes * 60 - begin_s) / bucket_s)
        inside = (place >= 0) & (place < n)
        sums = np.bincount(place[inside].astype(np.int64), weights=counts[inside], minlength=n)
        out[name] = [int(one) for one in sums]
    return out


def silences(heard: Heard, mission: Mission, begin_s: float, end_s: float) -> list[dict[str, Any]]:
    """When a source was not heard for longer than it says, or than `TIMES_MEDIAN` times its median interval.

    Event times, to the minute. Before a source was first heard nothing is silence; after it was last heard all is,
    up to the end, once it has lasted long enough.
    """
    stated = {one.id: one.live.silent_after_s for one in mission.source if one.live is not None}
    out = []
    for name, (minutes, _) in sorted(heard.minutes.items()):
        times = minutes.astype(np.float64) * 60
        gaps = np.diff(times)
        limit = stated.get(name)
        if limit is None:
            if not len(gaps):
                continue  # heard once: nobody knows how often it speaks
            limit = max(TIMES_MEDIAN * float(np.median(gaps)), LEAST_SILENCE_S)
        times = np.append(times, end_s) if len(times) and end_s > times[-1] else times
        gaps = np.diff(times)
        long = np.flatnonzero((gaps > limit) & (times[1:] > begin_s) & (times[:-1] < end_s)).tolist()
        out += [{"source": name, "from": times[i], "until": times[i + 1], "after_s": limit} for i in long]
    return out


# ---- sites ---------------------------------------------------------------------------------------------------------


def nearest_site(sites: pa.Table, findings: pa.Table, frame: Frame) -> list[str | None]:
    """Of each finding the site that it is about: of those whose zone its clause speaks of, the nearest.

    None where its clause speaks of none, or it has no place.
    """
    rows = sites.to_pylist()
    east, north = frame.to_local(*(to_numpy(sites[name]) for name in ("lon", "lat")))
    at_east, at_north = frame.to_local(*(to_numpy(findings[name]) for name in ("lon", "lat")))
    out: list[str | None] = []
    for clause, e, n in zip(findings["clause"].to_pylist(), at_east, at_north, strict=True):
        about = [i for i, row in enumerate(rows) if clause in row["clauses"]]
        away = [float(np.hypot(east[i] - e, north[i] - n)) for i in about]
        known = bool(about) and bool(np.isfinite(away).all())
        out.append(rows[about[int(np.argmin(away))]]["site_id"] if known else None)
    return out


def days_at(site: str, heard: Heard, likely_by_day: Mapping[date, int], last: date, n: int) -> list[dict[str, Any]]:
    """The last n reporting days at a site: "finding", "quiet", or "not assessed" where nothing was heard near it."""
    out = []
    for back in range(n - 1, -1, -1):
        day = last - timedelta(days=back)
        found = likely_by_day.get(day, 0)
        looked_at = day in heard.near.get(site, frozenset())
        state = "finding" if found else "quiet" if looked_at else "not assessed"
        out.append({"day": day.isoformat(), "state": state, "likely": found})
    return out
