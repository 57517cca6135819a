"""Where things were at given instants, and how steadily each was followed."""

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@njit(cache=True)
def brackets(
    first: Integers, at_s: Floats, instants_s: Floats, gap_s: float
) -> tuple[Integers, Integers, Integers, Floats, npt.NDArray[np.bool_]]:
    """Between which of its points each object was at each instant, from its first point to its last.

    Parameters
    ----------
    first : (o + 1,) int64
        Points of object i are `first[i]` to `first[i + 1]`, in ascending time; that is not checked.
    at_s : (n,) float64
        Times of points, finite.
    instants_s : (k,) float64
        Ascending.
    gap_s : float64
        Between points farther apart than this nothing is known of an object; infinity for no limit.

    Returns
    -------
    instant, object : (m,) int64
        Pairs, sorted by instant, then object.
    row : (m,) int64
        The last point at or before the instant.
    share : (m,) float64
        How far the instant is from there to the next point, 0 at the point itself; always below 1.
    known : (m,) bool
        False within a gap.
    """
    counts = np.zeros(len(instants_s) + 1, np.int64)
    for i in range(len(first) - 1):
        if first[i] == first[i + 1]:
            continue
        begin = np.searchsorted(instants_s, at_s[first[i]])
        end = np.searchsorted(instants_s, at_s[first[i + 1] - 1], side="right")
        for k in range(begin, end):
            counts[k + 1] += 1
    for k in range(len(instants_s)):
        counts[k + 1] += counts[k]
    m = counts[-1]
    instant, owner, row = np.empty(m, np.int64), np.empty(m, np.int64), np.empty(m, np.int64)
    share, known = np.empty(m), np.empty(m, np.bool_)
    fill = counts[:-1].copy()
    for i in range(len(first) - 1):
        if first[i] == first[i + 1]:
            continue
        begin = np.searchsorted(instants_s, at_s[first[i]])
        end = np.searchsorted(instants_s, at_s[first[i + 1] - 1], side="right")
        point = first[i]
        for k in range(begin, end):
            t = instants_s[k]
            while point + 1 < first[i + 1] and at_s[point + 1] <= t:
                point += 1
            place = fill[k]
            fill[k] += 1
            instant[place], owner[place], row[place] = k, i, point
            share[place], known[place] = 0.0, True
            if t > at_s[point]:  # then there is a next point, later than t
                length = at_s[point + 1] - at_s[point]
                share[place] = (t - at_s[point]) / length
                known[place] = length <= gap_s
    return instant, owner, row, share, known


@njit(cache=True)
def following(first: Integers, partner: Integers) -> Integers:
    """How each object was followed.

    Parameters
    ----------
    first : (o + 1,) int64
        Instants of object i are `first[i]` to `first[i + 1]`, in ascending time; not checked.
    partner : (n,) int64
        The track matched to it at each instant, -1 for none.

    Returns
    -------
    (o, 4) int64
        Instants with a track; *switches*, instants at which the track is another than the last one the object had;
        *breaks*, times the object got a track again after an instant without; the longest run of successive instants
        with one and the same track.
    """
    out = np.zeros((len(first) - 1, 4), np.int64)
    for i in range(len(first) - 1):
        last, before, run = -1, -1, 0
        for k in range(first[i], first[i + 1]):
            now = partner[k]
            if now >= 0:
                out[i, 0] += 1
                if last >= 0 and now != last:
                    out[i, 1] += 1
                if last >= 0 and before < 0:
                    out[i, 2] += 1
                run = run + 1 if now == before else 1
                out[i, 3] = max(out[i, 3], run)
                last = now
            else:
                run = 0
            before = now
    return out
