"""Two vessels that lie together, away from ports and crowds.

Where every vessel was at instants five minutes apart is laid aside by ranges of instants; pairs are looked for within
a range, and runs of them go on from one range to the next.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.special import ndtr

from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.movement_pieces import Columns, Spill, some, stacked, taken
from truceline.fuse.movement_rows import Fixes, Told, between, far, inside, lasting, log_odds, probability, told
from truceline.kernels.metrics import brackets
from truceline.zones import ZoneIndex

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Runs(NamedTuple):
    """Two vessels near each other and slow, instant after instant."""

    a: Ints  # track, the lower
    b: Ints
    first: Ints  # instant
    last: Ints
    apart_m: Floats  # sum over the instants
    error_m: Floats  # of their distance, at the first


_WHOLE, _PART = np.empty(0, np.int64), np.empty(0)
_NONE = Runs(_WHOLE, _WHOLE, _WHOLE, _WHOLE, _PART, _PART)


class Meetings:
    """Every meeting; `begins_s` and `ends_s` are about when the tracks begin and end."""

    def __init__(self, whole: Fixes, harbours: ZoneIndex | None, spill: Spill, begins_s: float, ends_s: float) -> None:
        self._whole, self._harbours, self._spill = whole, harbours, spill
        finite = np.isfinite(ends_s - begins_s)
        self._from = int(begins_s // assumed.TOGETHER_STEP_S) if finite else 0
        instants = int(ends_s // assumed.TOGETHER_STEP_S) + 1 - self._from if finite else 1
        self._range = max(-(-instants // spill.parts), 1)

    def add(self, first: int, fixes: Fixes) -> None:
        """Whole tracks, the first of them of this number."""
        step = assumed.TOGETHER_STEP_S
        begin, end = np.floor(fixes.at_s.min() / step), np.ceil(fixes.at_s.max() / step)
        instants = np.arange(begin, end + 1)
        instant, _, row, share, known = brackets(
            fixes.first, fixes.at_s, instants * step, assumed.TOGETHER_LONG_S.value
        )
        known &= (fixes.heads == "vessel")[fixes.track[row]]
        instant, row, share = instants.astype(np.int64)[instant[known]], row[known], share[known]
        after = np.where(share > 0, row + 1, row)
        east, north, speed = (
            v[row] * (1 - share) + v[after] * share for v in (fixes.east_m, fixes.north_m, fixes.speed_mps)
        )
        slow = (speed < assumed.TOGETHER_SLOW_MPS.value) & ~inside(self._harbours, east, north)
        spread = np.maximum(fixes.spread_m[row], fixes.spread_m[after])
        self._spill.add(
            self._part(instant), instant=instant.astype(np.int32), track=(fixes.track[row] + first).astype(np.int32),
            east_m=east, north_m=north, spread_m=np.where(slow, spread, np.nan),  # NaN: not slow
        )  # fmt: skip

    def told(self) -> list[Told]:
        """After all tracks."""
        self._spill.close()
        done, going_on = [], _NONE
        for k in range(self._spill.parts):
            states = self._states(k)
            if not states:
                continue
            ended, going_on = _runs(states, going_on, self._whole.number)
            done.append(_long(ended))
        done.append(_long(going_on))
        runs = stacked(done)
        runs = some(runs, np.lexsort((runs.first, runs.b, runs.a)))
        return [self._meetings(runs)]

    def _part(self, instant: Ints) -> Ints:
        return np.clip((instant - self._from) // self._range, 0, self._spill.parts - 1)

    def _states(self, k: int) -> Columns:
        """Of a range of instants, by instant and track."""
        states = {name: v.astype(np.int64) if v.dtype == np.int32 else v for name, v in self._spill.part(k).items()}
        return taken(states, np.lexsort((states["track"], states["instant"]))) if states else {}

    def _meetings(self, runs: Runs) -> Told:
        step, near = assumed.TOGETHER_STEP_S, assumed.TOGETHER_NEAR_M.value
        long = (runs.last - runs.first) * step
        mean = runs.apart_m / (runs.last - runs.first + 1)
        surely = ndtr((near - mean) / runs.error_m)
        east, north, apart, others = self._middle(runs)
        factors = {
            "prior": np.full(len(long), log_odds(assumed.MEETING_PRIOR.value)),
            "duration": np.log(long / assumed.TOGETHER_LONG_S.value),
            "others nearby": assumed.CROWD.value * np.minimum(others, 4),
        }
        before = probability(np.asarray(sum(factors.values())))
        p = np.clip(before * surely, 1e-4, 1 - 1e-4)
        factors["position errors"] = np.log(p / (1 - p)) - np.asarray(sum(factors.values()))
        begin, end = runs.first * step, runs.last * step
        name = self._whole.name
        text = [
            f"{_both(name(i), name(j))} lay {far(d)} apart and slow for {lasting(t)}, {between(a, b)}."
            for i, j, d, t, a, b in zip(
                runs.a.tolist(), runs.b.tolist(), mean.tolist(), long.tolist(), begin.tolist(), end.tolist(),
                strict=True,
            )
        ]  # fmt: skip
        var = (apart / 2) ** 2 + runs.error_m**2
        place = (east, north, var, np.zeros(len(var)), var)
        return told("movement.rendezvous", runs.a, p, begin, end, place, text, factors, other=runs.b)

    def _middle(self, runs: Runs) -> tuple[Floats, Floats, Floats, Ints]:
        """In the middle of each run: east and north between the two, how far apart, how many others within 2 km."""
        middle = runs.first + (runs.last - runs.first) // 2
        part, out, others = self._part(middle), np.empty((3, len(middle))), np.zeros(len(middle), np.int64)
        for k in np.unique(part).tolist():
            states, rows = self._states(k), np.flatnonzero(part == k)
            keys = states["instant"] * self._whole.number + states["track"]
            i, j = (np.searchsorted(keys, middle[rows] * self._whole.number + v[rows]) for v in (runs.a, runs.b))
            east, north = states["east_m"], states["north_m"]
            e, n = (east[i] + east[j]) / 2, (north[i] + north[j]) / 2
            out[:, rows] = e, n, np.hypot(east[i] - east[j], north[i] - north[j])
            begin, end = (np.searchsorted(states["instant"], middle[rows] + v) for v in (0, 1))
            for row, a, b, x, y in zip(rows.tolist(), begin.tolist(), end.tolist(), e, n, strict=True):
                others[row] = int((np.hypot(east[a:b] - x, north[a:b] - y) <= assumed.CROWD_M).sum()) - 2
        return out[0], out[1], out[2], np.maximum(others, 0)


def _runs(states: Columns, going_on: Runs, tracks: int) -> tuple[Runs, Runs]:
    """Runs that have ended, and those that may go on: of one range of instants, and what went on until then."""
    slow = np.flatnonzero(np.isfinite(states["spread_m"]))
    east, north, instant, track, spread = (
        states[name][slow] for name in ("east_m", "north_m", "instant", "track", "spread_m")
    )
    near = assumed.TOGETHER_NEAR_M.value
    # two of different instants are never near
    high = (instant - states["instant"][0]) * 2.0 * near
    i, j = cKDTree(np.column_stack([east, north, high])).query_pairs(near, output_type="ndarray").reshape(-1, 2).T
    swap = track[i] > track[j]
    i, j = np.where(swap, j, i), np.where(swap, i, j)
    order = np.lexsort((instant[i], track[j], track[i]))
    i, j = i[order], j[order]
    pair = track[i] * tracks + track[j]
    other = np.diff(pair, prepend=-1) != 0
    first = np.flatnonzero(other | (np.diff(instant[i], prepend=-9) > 1))
    last = np.append(first[1:], len(i))[: len(first)] - 1
    found = Runs(
        track[i[first]], track[j[first]], instant[i[first]], instant[i[last]], np.zeros(len(first)),
        np.maximum(np.hypot(spread[i[first]], spread[j[first]]), 1.0),
    )  # fmt: skip
    # a run that went on until the instant before, of the same two, is the same run
    keys = going_on.a * tracks + going_on.b
    before = np.minimum(np.searchsorted(keys, pair[first]), max(len(keys) - 1, 0))
    same = np.zeros(len(first), bool)
    if len(keys):
        same = (keys[before] == pair[first]) & (going_on.last[before] + 1 == found.first)
    at, of = np.flatnonzero(same), before[same]
    for name in ("first", "apart_m", "error_m"):
        getattr(found, name)[at] = getattr(going_on, name)[of]
    run = np.repeat(np.arange(len(first)), last - first + 1)
    # one after the other, from what was before: the sum of a run is the same however instants are cut into ranges
    np.add.at(found.apart_m, run, np.hypot(east[i] - east[j], north[i] - north[j]))
    stopped = np.setdiff1d(np.arange(len(keys)), of)
    newest = np.append(pair[first][1:] != pair[first][:-1], True)[: len(first)]
    ended = stacked([some(going_on, stopped), some(found, np.flatnonzero(~newest))])
    return ended, some(found, np.flatnonzero(newest))


def _long(runs: Runs) -> Runs:
    """Those that are long enough."""
    long_s = (runs.last - runs.first) * assumed.TOGETHER_STEP_S
    return some(runs, np.flatnonzero(long_s >= assumed.TOGETHER_LONG_S.value))


def _both(one: str, other: str) -> str:
    """Two vessels as a sentence begins: "Vessel mmsi:1 and mmsi:2", "Two unidentified vessels"."""
    if one == other and one.startswith("An unidentified"):
        return "Two unidentified vessels"
    return f"{one} and {other.replace('Vessel ', '').replace('An ', 'an ')}"
