"""Where objects stay, where they go round in circles, and what of their silence others were heard in."""

import math

import numpy as np
from numba import njit

from truceline.kernels.polygon import Floats, Integers, grown


@njit(cache=True)
def stays(
    first: Integers, at_s: Floats, east_m: Floats, north_m: Floats, radius_m: Floats, least_s: Floats, gap_s: Floats
) -> tuple[Integers, Integers]:
    """Where objects stay within a circle round a fix for a time: the stay points of Li et al. (2008).

    Parameters
    ----------
    first : (t + 1,) int64
        Fixes of object i are `first[i]` to `first[i + 1]`, in ascending time; not checked.
    at_s, east_m, north_m : (n,) float64
        A fix with NaN ends a stay.
    radius_m, least_s, gap_s : (t,) float64
        Of each object: within which distance of the stay's first fix, for how long at least, and the longest silence
        within a stay. An object with NaN has no stays.

    Returns
    -------
    begin, end : (s,) int64
        First and last fix of each stay; stays of an object do not overlap.
    """
    begin, end, used = np.empty(64, np.int64), np.empty(64, np.int64), 0
    for t in range(len(first) - 1):
        i = first[t]
        while i < first[t + 1]:
            j, left = i + 1, False
            while j < first[t + 1] and at_s[j] - at_s[j - 1] <= gap_s[t]:
                if not math.hypot(east_m[j] - east_m[i], north_m[j] - north_m[i]) <= radius_m[t]:
                    left = True
                    break
                j += 1
            if at_s[j - 1] - at_s[i] >= least_s[t] and not math.isnan(east_m[i] + north_m[i]):
                if used == len(begin):
                    begin, end = grown(begin), grown(end)
                begin[used], end[used] = i, j - 1
                used += 1
                i = j
            elif left or math.isnan(east_m[i] + north_m[i]):
                i += 1
            else:  # a gap or the end cut it short, and would cut what begins later shorter still
                i = j
    return begin[:used], end[:used]


@njit(cache=True, error_model="numpy")
def circle(east_m: Floats, north_m: Floats) -> tuple[float, float, float, float]:
    """The circle nearest to points (Kasa 1976): centre east, north, radius, and root mean square distance from it.

    NaN for fewer than three points, or points on a line.
    """
    n = len(east_m)
    if n < 3:
        return np.nan, np.nan, np.nan, np.nan
    x0, y0 = east_m.sum() / n, north_m.sum() / n
    uu, uv, vv, uz, vz, zz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        u, v = east_m[k] - x0, north_m[k] - y0
        z = u * u + v * v
        uu, uv, vv = uu + u * u, uv + u * v, vv + v * v
        uz, vz, zz = uz + u * z, vz + v * z, zz + z
    whole = uu * vv - uv * uv
    if not whole > 1e-9 * (uu + vv) * (uu + vv):
        return np.nan, np.nan, np.nan, np.nan
    a, b = (uz * vv - vz * uv) / whole / 2, (vz * uu - uz * uv) / whole / 2
    radius = math.sqrt(a * a + b * b + zz / n)
    off = 0.0
    for k in range(n):
        off += (math.hypot(east_m[k] - x0 - a, north_m[k] - y0 - b) - radius) ** 2
    return x0 + a, y0 + b, radius, math.sqrt(off / n)


@njit(cache=True, error_model="numpy")
def circling(
    first: Integers,
    east_m: Floats,
    north_m: Floats,
    step_m: Floats,
    turns: float,
    fewest: int,
    most: int,
    round_share: float,
) -> tuple[Integers, Integers, Floats]:
    """Where objects go round in one and the same circle.

    Parameters
    ----------
    first : (t + 1,) int64
        As in `stays`.
    east_m, north_m : (n,) float64
    step_m : (t,) float64
        Steps shorter than this have no direction: the fix is skipped. An object with infinity has no circles.
    turns : float64
        How often round, in one direction.
    fewest, most : int64
        Fixes at least; fixes looked at from one on, so that one at anchor takes no time.
    round_share : float64
        Root mean square distance from the circle, in radii, at most.

    Returns
    -------
    begin, end : (c,) int64
        First and last fix.
    fitted : (c, 4) float64
        The circle, as `circle` gives it.
    """
    begin, end, used = np.empty(16, np.int64), np.empty(16, np.int64), 0
    fitted = np.empty((16, 4))
    for t in range(len(first) - 1):
        i = first[t] if step_m[t] < np.inf else first[t + 1]
        while i < first[t + 1] - fewest:
            turned, heading, last, k, fixes = 0.0, np.nan, i, i + 1, 1
            while k < min(first[t + 1], i + most) and abs(turned) < turns * 2 * math.pi:
                e, n = east_m[k] - east_m[last], north_m[k] - north_m[last]
                if math.isnan(e + n):
                    break
                if math.hypot(e, n) >= step_m[t]:
                    now = math.atan2(e, n)
                    if not math.isnan(heading):
                        change = (now - heading + math.pi) % (2 * math.pi) - math.pi
                        # a turn the other way, or half about at once, is no circle
                        if change * turned < 0.0 or abs(change) > 2.0:
                            break
                        turned += change
                    heading, last = now, k
                    fixes += 1
                k += 1
            if abs(turned) >= turns * 2 * math.pi and fixes >= fewest:
                x, y, radius, off = circle(east_m[i:k], north_m[i:k])
                if off <= round_share * radius:
                    if used == len(begin):
                        begin, end = grown(begin), grown(end)
                        longer = np.empty((2 * used, 4))
                        longer[:used] = fitted
                        fitted = longer
                    begin[used], end[used] = i, k - 1
                    fitted[used, 0], fitted[used, 1], fitted[used, 2], fitted[used, 3] = x, y, radius, off
                    used += 1
                    i = k
                    continue
            i += max((k - i) // 4, 1)
    return begin[:used], end[:used], fitted[:used]


@njit(cache=True)
def heard_round(
    keys: Integers, counts: Integers, sensor: Integers, column: Integers, row: Integers, slot: Integers,
    columns: int, rows: int, slots: int,
) -> Integers:  # fmt: skip
    """How many reports a sensor had from the 3 x 3 cells round a place in a slot of time.

    Parameters
    ----------
    keys, counts : (k,) int64
        Reports by ((sensor * columns + column) * rows + row) * slots + slot, ascending, each once.
    sensor, column, row, slot : (n,) int64
        What is asked; a sensor of -1, a slot outside or a cell outside has none.
    """
    out = np.zeros(len(sensor), np.int64)
    for i in range(len(sensor)):
        if sensor[i] < 0 or slot[i] < 0 or slot[i] >= slots:
            continue
        for c in range(max(column[i] - 1, 0), min(column[i] + 1, columns - 1) + 1):
            for r in range(max(row[i] - 1, 0), min(row[i] + 1, rows - 1) + 1):
                key = ((sensor[i] * columns + c) * rows + r) * slots + slot[i]
                k = np.searchsorted(keys, key)
                if k < len(keys) and keys[k] == key:
                    out[i] += counts[k]
    return out
