"""Staying: loitering, and stopping in a lane.

A stay is a fact of the fixes; its probability is that of its being more than an ordinary wait. Where several wait,
in ports and at anchorages, waiting is ordinary.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.movement_pieces import stacked
from truceline.fuse.movement_rows import Fixes, Told, between, far, inside, lasting, log_odds, probability, told
from truceline.kernels.movement import stays
from truceline.zones import ZoneIndex

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: So many stays at a time are asked for what others are near: lists of neighbours, in a port thousands each.
_AT_ONCE = 256


class Stays(NamedTuple):
    """Of objects, column by column."""

    track: Ints
    from_s: Floats
    until_s: Floats
    place: Floats  # east, north, var e, cov, var n
    way_m: Floats  # made meanwhile


class Staying:
    """Every stay, and every stop in a lane."""

    def __init__(
        self, whole: Fixes, harbours: ZoneIndex | None, lanes: Mapping[str, BaseGeometry], names: Mapping[str, str]
    ) -> None:
        self._whole, self._harbours = whole, harbours
        self._lanes = [(key, names.get(key, key), ZoneIndex([lanes[key]])) for key in sorted(lanes)]
        self._stays: list[Stays] = []
        self._stops: list[Told] = []

    def add(self, first: int, fixes: Fixes) -> None:
        """Whole tracks, the first of them of this number."""
        found = _stays(fixes)
        self._stays.append(found._replace(track=found.track + first))
        self._stops += [_stopped(fixes, *lane).shifted(first) for lane in self._lanes]

    def told(self) -> list[Told]:
        """After all tracks."""
        if not self._stays:
            return []
        whole = stacked(self._stays)
        return [_loitering(self._whole, whole, self._harbours), *self._stops]


def _stays(fixes: Fixes) -> Stays:
    radius, least, gap, fastest_still = (
        assumed.longest(table, fixes.terms)
        for table in (assumed.STAY_M, assumed.STAY_S, assumed.STAY_GAP_S, assumed.STAY_MPS)
    )
    begin, end = stays(fixes.first, fixes.at_s, fixes.east_m, fixes.north_m, radius, least, gap)
    way, long = _travelled(fixes, begin, end), fixes.at_s[end] - fixes.at_s[begin]
    aloft = way >= fastest_still[fixes.track[begin]] * long
    begin, end, way = begin[aloft], end[aloft], way[aloft]
    place = np.column_stack(_area(fixes, begin, end))
    return Stays(fixes.track[begin], fixes.at_s[begin], fixes.at_s[end], place, way)


def _loitering(fixes: Fixes, found: Stays, harbours: ZoneIndex | None) -> Told:
    radius, least = (assumed.longest(table, fixes.terms)[found.track] for table in (assumed.STAY_M, assumed.STAY_S))
    long, east, north = found.until_s - found.from_s, found.place[:, 0], found.place[:, 1]
    others = _waiting_too(found)
    factors = {
        "prior": np.full(len(long), log_odds(assumed.STAY_PRIOR.value)),
        "duration": np.log(long / least),
        "others waiting nearby": assumed.WAITING_TOO.value * np.minimum(others, 3),
        "harbour": np.where(inside(harbours, east, north), assumed.HARBOUR.value, 0.0),
    }
    text = []
    for track, begin, end, within, way, more in zip(
        found.track.tolist(), found.from_s.tolist(), found.until_s.tolist(), radius.tolist(), found.way_m.tolist(),
        others.tolist(), strict=True,
    ):  # fmt: skip
        words = (
            f"{fixes.name(track)} stayed {lasting(end - begin)} within {far(within)}, "
            f"{between(begin, end)}, and made {far(way)} of way."
        )
        if more > 0:
            words += f" {more} other{'s' if more > 1 else ''} stayed within {far(assumed.NEARBY_M)} at the time."
        text.append(words)
    p = probability(np.asarray(sum(factors.values())))
    return told("movement.loiter", found.track, p, found.from_s, found.until_s, found.place.T, text, factors)


def _stopped(fixes: Fixes, zone: str, name: str, index: ZoneIndex) -> Told:
    """Runs of slow fixes in a lane."""
    fix, _, p = index.probability(fixes.east_m, fixes.north_m, fixes.var_e, fixes.cov_en, fixes.var_n)
    slow = (fixes.speed_mps[fix] < assumed.STOPPED_MPS.value) & (p >= 0.5)
    fix, p = fix[slow], p[slow]
    new = np.diff(fix, prepend=-9) > 1
    new |= (np.diff(fixes.track[fix], prepend=-1) != 0) | (
        np.diff(fixes.at_s[fix], prepend=-np.inf) > assumed.STAY_GAP_S["vessel"].value
    )
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(fix))[: len(first)] - 1
    long = fixes.at_s[fix[last]] - fixes.at_s[fix[first]]
    keep = long >= assumed.STOPPED_S.value
    surely = np.bincount(np.cumsum(new) - 1, p, len(first))[keep]
    first, last, long = first[keep], last[keep], long[keep]
    surely = np.clip(surely / (last - first + 1), 1e-4, 1 - 1e-4)
    begin, end = fix[first], fix[last]
    text = [
        f"{fixes.name(int(fixes.track[a]))} stood still in {name} for {lasting(t)}, "
        f"{between(fixes.at_s[a], fixes.at_s[b])}."
        for a, b, t in zip(begin.tolist(), end.tolist(), long, strict=True)
    ]
    return told(
        "movement.stop", fixes.track[begin], surely, fixes.at_s[begin], fixes.at_s[end], _area(fixes, begin, end), text,
        {"position in the lane": np.log(surely / (1 - surely))}, [zone] * len(begin),
    )  # fmt: skip


def _waiting_too(found: Stays) -> Ints:
    """How many other objects stay within 10 km at some time of each stay."""
    out = np.zeros(len(found.track), np.int64)
    if not len(out):
        return out
    places = np.ascontiguousarray(found.place[:, :2])
    tree = cKDTree(places)
    for low in range(0, len(places), _AT_ONCE):
        for k, near in enumerate(tree.query_ball_point(places[low : low + _AT_ONCE], assumed.NEARBY_M), low):
            rows = np.array(near)
            at_once = (found.from_s[rows] < found.until_s[k]) & (found.until_s[rows] > found.from_s[k])
            out[k] = len(np.unique(found.track[rows[at_once & (found.track[rows] != found.track[k])]]))
    return out


def _area(fixes: Fixes, begin: Ints, end: Ints) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Mean place of each run of fixes; covariance of where they lie and of their errors."""
    rows, of, count = _along(begin, end + 1)

    def mean(values: Floats) -> Floats:
        return np.asarray(np.bincount(of, values, len(begin)) / np.maximum(count, 1))

    # from a nearby origin, so that squares of large coordinates do not eat the small differences
    east, north = fixes.east_m[begin], fixes.north_m[begin]
    e, n = fixes.east_m[rows] - east[of], fixes.north_m[rows] - north[of]
    mean_e, mean_n = mean(e), mean(n)
    e, n = e - mean_e[of], n - mean_n[of]
    return (
        east + mean_e,
        north + mean_n,
        mean(e * e) + mean(fixes.var_e[rows]),
        mean(e * n) + mean(fixes.cov_en[rows]),
        mean(n * n) + mean(fixes.var_n[rows]),
    )


def _travelled(fixes: Fixes, begin: Ints, end: Ints) -> Floats:
    """Way made from fix to fix of each run, steps shorter than their errors left out."""
    a, of, _ = _along(begin, end)
    b = a + 1
    step = np.hypot(fixes.east_m[b] - fixes.east_m[a], fixes.north_m[b] - fixes.north_m[a])
    error = np.maximum(fixes.spread_m[b], fixes.spread_m[a])
    return np.bincount(of, np.where(step > error, step, 0.0), len(begin)).astype(np.float64)


def _along(begin: Ints, stop: Ints) -> tuple[Ints, Ints, Ints]:
    """The fixes of each run one after the other, which run each is of, and how many each has.

    Sums by run are made over these alone: what lies before a run must not round them.
    """
    count = stop - begin
    of = np.repeat(np.arange(len(begin)), count)
    return np.repeat(begin - np.cumsum(count) + count, count) + np.arange(len(of)), of, count
