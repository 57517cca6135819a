"""Staying: loitering, stopping in a lane, two that lie together.

A stay is a fact of the fixes; its probability is that of its being more than an ordinary wait. Where several wait,
in ports and at anchorages, waiting is ordinary.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.special import ndtr
from shapely.geometry.base import BaseGeometry

from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.movement_rows import Fixes, Told, between, far, lasting, log_odds, nothing, probability, told
from truceline.kernels.metrics import brackets
from truceline.kernels.movement import stays
from truceline.zones import ZoneIndex

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def staying(
    fixes: Fixes, harbours: Sequence[BaseGeometry], lanes: Mapping[str, BaseGeometry], names: Mapping[str, str]
) -> list[Told]:
    """Every stay, stop and meeting."""
    if not len(fixes.at_s):
        return []
    return [
        _loitering(fixes, harbours),
        *(_stopped(fixes, key, names.get(key, key), lanes[key]) for key in sorted(lanes)),
        _meetings(fixes, harbours),
    ]


def _loitering(fixes: Fixes, harbours: Sequence[BaseGeometry]) -> Told:
    radius, least, gap, fastest_still = (
        assumed.longest(table, fixes.terms)
        for table in (assumed.STAY_M, assumed.STAY_S, assumed.STAY_GAP_S, assumed.STAY_MPS)
    )
    begin, end = stays(fixes.first, fixes.at_s, fixes.east_m, fixes.north_m, radius, least, gap)
    way = _travelled(fixes)
    aloft = way[end] - way[begin] >= fastest_still[fixes.track[begin]] * (fixes.at_s[end] - fixes.at_s[begin])
    begin, end = begin[aloft], end[aloft]
    track = fixes.track[begin]
    place = _area(fixes, begin, end)
    long = fixes.at_s[end] - fixes.at_s[begin]
    others = _waiting_too(track, fixes.at_s[begin], fixes.at_s[end], place[0], place[1])
    factors = {
        "prior": np.full(len(begin), log_odds(assumed.STAY_PRIOR.value)),
        "duration": np.log(long / least[track]),
        "others waiting nearby": assumed.WAITING_TOO.value * np.minimum(others, 3),
        "harbour": np.where(_within(harbours, place[0], place[1]), assumed.HARBOUR.value, 0.0),
    }
    text = []
    for k, (a, b) in enumerate(zip(begin.tolist(), end.tolist(), strict=True)):
        words = (
            f"{fixes.name(int(track[k]))} stayed {lasting(long[k])} within {far(radius[track[k]])}, "
            f"{between(fixes.at_s[a], fixes.at_s[b])}, and made {far(way[b] - way[a])} of way."
        )
        if others[k] > 0:
            words += (
                f" {others[k]} other{'s' if others[k] > 1 else ''} stayed within {far(assumed.NEARBY_M)} at the time."
            )
        text.append(words)
    p = probability(np.asarray(sum(factors.values())))
    return told("movement.loiter", track, p, fixes.at_s[begin], fixes.at_s[end], place, text, factors)


def _stopped(fixes: Fixes, zone: str, name: str, lane: BaseGeometry) -> Told:
    """Runs of slow fixes in a lane."""
    index = ZoneIndex([lane])
    fix, _, p = index.probability(fixes.east_m, fixes.north_m, fixes.var_e, fixes.cov_en, fixes.var_n)
    slow = (fixes.speed_mps[fix] < assumed.STOPPED_MPS.value) & (p >= 0.5)
    fix, p = fix[slow], p[slow]
    new = np.diff(fix, prepend=-9) > 1
    new |= (np.diff(fixes.track[fix], prepend=-1) != 0) | (
        np.diff(fixes.at_s[fix], prepend=-np.inf) > assumed.STAY_GAP_S["vessel"].value
    )
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(fix)) - 1
    long = fixes.at_s[fix[last]] - fixes.at_s[fix[first]] if len(first) else np.empty(0)
    keep = long >= assumed.STOPPED_S.value
    first, last, long = first[keep], last[keep], long[keep]
    total = np.concatenate([[0.0], np.cumsum(p)])
    surely = np.clip((total[last + 1] - total[first]) / (last - first + 1), 1e-4, 1 - 1e-4)
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


def _both(one: str, other: str) -> str:
    """Two vessels as a sentence begins: "Vessel mmsi:1 and mmsi:2", "Two unidentified vessels"."""
    if one == other and one.startswith("An unidentified"):
        return "Two unidentified vessels"
    return f"{one} and {other.replace('Vessel ', '').replace('An ', 'an ')}"


def _meetings(fixes: Fixes, harbours: Sequence[BaseGeometry]) -> Told:
    """Two vessels near each other and slow, instant after instant."""
    step = assumed.TOGETHER_STEP_S
    vessel = fixes.heads[fixes.track] == "vessel"
    begin, end = np.floor(fixes.at_s.min() / step), np.ceil(fixes.at_s.max() / step)
    instants = np.arange(begin, end + 1) * step
    instant, track, row, share, known = brackets(fixes.first, fixes.at_s, instants, assumed.TOGETHER_LONG_S.value)
    known &= vessel[row]
    instant, track, row, share = (v[known] for v in (instant, track, row, share))
    after = np.where(share > 0, row + 1, row)
    east, north = (v[row] * (1 - share) + v[after] * share for v in (fixes.east_m, fixes.north_m))
    speed = fixes.speed_mps[row] * (1 - share) + fixes.speed_mps[after] * share
    spread = np.maximum(fixes.spread_m[row], fixes.spread_m[after])
    slow = np.flatnonzero((speed < assumed.TOGETHER_SLOW_MPS.value) & ~_within(harbours, east, north))
    if len(slow) < 2:
        return nothing("movement.rendezvous")
    near = assumed.TOGETHER_NEAR_M.value
    tree = cKDTree(np.column_stack([east[slow], north[slow], instant[slow] * 2.0 * near]))
    pairs = slow[tree.query_pairs(near, output_type="ndarray")].reshape(-1, 2)
    a, b = pairs.T
    swap = track[a] > track[b]
    a, b = np.where(swap, b, a), np.where(swap, a, b)
    order = np.lexsort((instant[a], track[b], track[a]))
    a, b = a[order], b[order]
    new = (np.diff(track[a], prepend=-1) != 0) | (np.diff(track[b], prepend=-1) != 0)
    new |= np.diff(instant[a], prepend=-9) > 1
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(a)) - 1
    long = (instant[a[last]] - instant[a[first]]) * step if len(first) else np.empty(0)
    keep = long >= assumed.TOGETHER_LONG_S.value
    first, last, long = first[keep], last[keep], long[keep]
    apart = np.hypot(east[a] - east[b], north[a] - north[b])
    total = np.concatenate([[0.0], np.cumsum(apart)])
    mean = (total[last + 1] - total[first]) / (last - first + 1)
    error = np.maximum(np.hypot(spread[a[first]], spread[b[first]]), 1.0)
    surely = ndtr((near - mean) / error)
    middle = (first + last) // 2
    others = _crowd(a[middle], b[middle], instant, east, north)
    factors = {
        "prior": np.full(len(first), log_odds(assumed.MEETING_PRIOR.value)),
        "duration": np.log(long / assumed.TOGETHER_LONG_S.value),
        "others nearby": assumed.CROWD.value * np.minimum(others, 4),
    }
    before = probability(np.asarray(sum(factors.values())))
    p = np.clip(before * surely, 1e-4, 1 - 1e-4)
    factors["position errors"] = np.log(p / (1 - p)) - np.asarray(sum(factors.values()))
    text = [
        f"{_both(fixes.name(int(track[i])), fixes.name(int(track[j])))} lay {far(d)} apart and slow for "
        f"{lasting(t)}, {between(instants[instant[i]], instants[instant[k]])}."
        for i, j, k, d, t in zip(a[first], b[first], a[last], mean, long, strict=True)
    ]
    m, n = a[middle], b[middle]
    e, w = (east[m] + east[n]) / 2, (north[m] + north[n]) / 2
    var = (apart[middle] / 2) ** 2 + error**2
    return told(
        "movement.rendezvous", track[a[first]], p, instants[instant[a[first]]], instants[instant[a[last]]],
        (e, w, var, np.zeros(len(e)), var), text, factors, other=track[b[first]],
    )  # fmt: skip


def _crowd(a: Ints, b: Ints, instant: Ints, east_m: Floats, north_m: Floats) -> Ints:
    """How many others were within 2 km of each pair at its instant; states come sorted by instant."""
    out = np.zeros(len(a), np.int64)
    for k, (i, j) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        begin, end = np.searchsorted(instant, [instant[i], instant[i] + 1])
        e, n = (east_m[i] + east_m[j]) / 2, (north_m[i] + north_m[j]) / 2
        out[k] = int((np.hypot(east_m[begin:end] - e, north_m[begin:end] - n) <= assumed.CROWD_M).sum()) - 2
    return np.maximum(out, 0)


def _waiting_too(track: Ints, begin_s: Floats, end_s: Floats, east_m: Floats, north_m: Floats) -> Ints:
    """How many other objects stay within 10 km at some time of each stay."""
    out = np.zeros(len(track), np.int64)
    if not len(track):
        return out
    places = np.column_stack([east_m, north_m])
    for k, found in enumerate(cKDTree(places).query_ball_point(places, assumed.NEARBY_M)):
        rows = np.array(found)
        at_once = (begin_s[rows] < end_s[k]) & (end_s[rows] > begin_s[k]) & (track[rows] != track[k])
        out[k] = len(np.unique(track[rows[at_once]]))
    return out


def _area(fixes: Fixes, begin: Ints, end: Ints) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Mean place of each run of fixes; covariance of where they lie and of their errors."""
    count = end - begin + 1

    def mean(values: Floats) -> Floats:
        total = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray((total[end + 1] - total[begin]) / count)

    # from a nearby origin, so that squares of large coordinates do not eat the small differences
    of = np.repeat(np.arange(len(begin)), count)
    rows = np.repeat(begin - np.cumsum(count) + count, count) + np.arange(len(of))
    east, north = mean(fixes.east_m), mean(fixes.north_m)
    e, n = fixes.east_m[rows] - east[of], fixes.north_m[rows] - north[of]
    spread = [np.bincount(of, v, len(begin)) / np.maximum(count, 1) for v in (e * e, e * n, n * n)]
    return (
        east,
        north,
        spread[0] + mean(fixes.var_e),
        spread[1] + mean(fixes.cov_en),
        spread[2] + mean(fixes.var_n),
    )


def _travelled(fixes: Fixes) -> Floats:
    """Way made by each fix's track up to it, steps shorter than their errors left out."""
    step = np.hypot(np.diff(fixes.east_m), np.diff(fixes.north_m))
    error = np.maximum(fixes.spread_m[1:], fixes.spread_m[:-1])
    same = np.diff(fixes.track) == 0
    return np.concatenate([[0.0], np.cumsum(np.where(same & (step > error), step, 0.0))])


def _within(areas: Sequence[BaseGeometry], east_m: Floats, north_m: Floats) -> Bools:
    inside = np.zeros(len(east_m), bool)
    if len(areas):
        inside[ZoneIndex(list(areas)).members(east_m, north_m)[0]] = True
    return inside
