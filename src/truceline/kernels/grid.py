"""Which pairs of points can be near each other in space and time: a grid, one per class of reach.

Every point has a reach (a radius) and a window (an interval of time). Two points are *candidates* when
their distance may be at most hypot(reach, reach') and their windows may meet. Points of about one reach and
one length of window form a class with cells cut to its size. Within a class the cells are swept in order,
with one pointer for each neighbouring column, so that no hashing or searching is needed; between classes the
point of the smaller reach looks into the 3 x 3 columns of the larger one's grid. A settlement-wide report
thus never drags a whole country of small cells along.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Reaches within a factor of 4, windows within a factor of 8, share a class: larger factors make more false
#: candidates, smaller ones more classes to look into; both cost the same order here.
_REACH_FACTOR = 4.0
_WINDOW_FACTOR = 8.0
#: Cells of time per length of window: finer cells make fewer false candidates and cost nothing.
_SLICES = 8
#: Cells are larger than the reach by this part, so that rounding never moves a neighbour two cells away.
_SLACK = 1e-6
#: Keys stay below 2**60; cells are doubled until they do.
_MOST_CELLS = 2.0**60


class Grid(NamedTuple):
    """Points in the order of their cells; one segment for each class, smallest reach first."""

    order: npt.NDArray[np.int32]  # (n,) which point stands where; points with a NaN or infinity are not in it
    key: Ints  # (n,) column and slice of time, ascending within a class
    first: Ints  # (classes + 1,) where each class begins in `order`
    column_m: Floats  # (classes,) edge of a cell
    slice_s: Floats  # (classes,)
    step_n: Ints  # (classes,) from a column to the next one north
    step_e: Ints  # (classes,)
    longest_s: Floats  # (classes,) longest window
    origin: Floats  # (3,) least east, north, window begin


@njit(cache=True)
def _class_codes(east, north, begins_s, window_s, reach_m, least_reach, least_window, codes, origin):  # type: ignore[no-untyped-def]
    """Fill class codes (reach class * 16 + window class; -1 for unusable points) and `origin` with extremes."""
    last_reach, last_window = len(reach_m) - 1, len(window_s) - 1
    for k in range(6):
        origin[k] = np.inf if k < 3 else -np.inf
    usable = 0
    for i in range(len(east)):
        reach = reach_m[min(i, last_reach)]
        length = window_s[min(i, last_window)]
        codes[i] = -1
        if not (np.isfinite(east[i] + north[i] + begins_s[i] + length + reach) and length >= 0.0 and reach >= 0.0):
            continue
        size = 0
        while size < 15 and reach > least_reach * _REACH_FACTOR**size:
            size += 1
        duration = 0
        while duration < 15 and length > least_window * _WINDOW_FACTOR**duration:
            duration += 1
        codes[i] = size * 16 + duration
        usable += 1
        origin[0], origin[3] = min(origin[0], east[i]), max(origin[3], east[i])
        origin[1], origin[4] = min(origin[1], north[i]), max(origin[4], north[i])
        origin[2], origin[5] = min(origin[2], begins_s[i]), max(origin[5], begins_s[i])
    return usable


@njit(cache=True)
def _class_limits(window_s, reach_m, codes, widest, longest, counts):  # type: ignore[no-untyped-def]
    last_reach, last_window = len(reach_m) - 1, len(window_s) - 1
    for i in range(len(codes)):
        c = codes[i]
        if c >= 0:
            counts[c] += 1
            widest[c] = max(widest[c], reach_m[min(i, last_reach)])
            longest[c] = max(longest[c], window_s[min(i, last_window)])


@njit(cache=True)
def _keys(east, north, begins_s, codes, place, column, slice_, step_n, step_e, start, origin, key, order):  # type: ignore[no-untyped-def]
    """Keys of usable points; `place` says which class a code became, `start` where its keys begin."""
    k = 0
    for i in range(len(codes)):
        if codes[i] < 0:
            continue
        c = place[codes[i]]
        ie = np.int64((east[i] - origin[0]) / column[c])
        i_n = np.int64((north[i] - origin[1]) / column[c])
        it = np.int64((begins_s[i] - origin[2]) / slice_[c])
        key[k] = start[c] + ie * step_e[c] + i_n * step_n[c] + it
        order[k] = i
        k += 1


@njit(cache=True)
def _sort(key, order, bits):  # type: ignore[no-untyped-def]
    """Sort keys and carry `order` along: least significant digit first, 11 bits at a time. Stable."""
    n = len(key)
    other_key, other_order = np.empty_like(key), np.empty_like(order)
    counts = np.empty(2049, np.int64)
    for shift in range(0, bits, 11):
        counts[:] = 0
        for k in range(n):
            counts[((key[k] >> shift) & 2047) + 1] += 1
        for digit in range(2048):
            counts[digit + 1] += counts[digit]
        for k in range(n):
            digit = (key[k] >> shift) & 2047
            other_key[counts[digit]] = key[k]
            other_order[counts[digit]] = order[k]
            counts[digit] += 1
        key, other_key = other_key, key
        order, other_order = other_order, order
    return key, order


def distinct(values: Ints) -> Ints:
    """The distinct values, sorted. (numpy's own hashes first, which is slower by far for many distinct ones.)"""
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def _least_positive(values: Floats) -> float:
    """The least positive finite value, a little more against rounding; 1 when there is none."""
    least = float(np.min(values, initial=np.inf, where=np.isfinite(values) & (values > 0)))
    return least * (1 + _SLACK) if np.isfinite(least) else 1.0


def build(
    east_m: Floats, north_m: Floats, begins_s: Floats, window_s: Floats, reach_m: Floats, least_reach_m: float = 0.0
) -> Grid:
    """The grid of points with windows [begins, begins + window] and reaches.

    Parameters
    ----------
    east_m, north_m, begins_s
        (n,) float64. Points with a value that is not finite, or a negative window or reach, are left out and
        are nobody's neighbour.
    window_s, reach_m
        (n,) or, when all are equal, (1,) float64.
    least_reach_m
        Smaller reaches share one class; 0 takes the smallest reach.
    """
    n = len(east_m)
    codes = np.empty(n, np.int16)
    origin = np.empty(6)
    least_reach = max(least_reach_m, _least_positive(reach_m))
    least_window = _least_positive(window_s)
    usable = _class_codes(east_m, north_m, begins_s, window_s, reach_m, least_reach, least_window, codes, origin)
    widest, longest, counts = np.zeros(256), np.zeros(256), np.zeros(256, np.int64)
    _class_limits(window_s, reach_m, codes, widest, longest, counts)
    used = np.flatnonzero(counts)
    place = np.full(256, -1, np.int64)
    place[used] = np.arange(len(used))
    # hypot(r, r') <= sqrt(2) R for two reaches up to R
    column = np.maximum(widest[used] * np.sqrt(2.0), least_reach * np.sqrt(2.0)) * (1 + _SLACK)
    slices = np.maximum(longest[used], least_window) * (1 + _SLACK) / _SLICES
    spans = origin[3:] - origin[:3] if usable else np.zeros(3)
    step_n, step_e, start = (np.zeros(len(used), np.int64) for _ in range(3))
    total = 0
    for c in range(len(used)):
        while True:
            cells_e, cells_n = (int(min(span / column[c], 1e18)) + 3 for span in spans[:2])
            # padded by a window, so that a look into the next column never meets another one
            cells_t = int(min(spans[2] / slices[c], 1e18)) + 2 * _SLICES + 3
            if float(cells_e) * cells_n * cells_t * len(used) < _MOST_CELLS:
                break
            column[c] *= 2
            slices[c] *= 2
        start[c], step_n[c], step_e[c] = total, cells_t, cells_t * cells_n
        total += cells_e * cells_n * cells_t
    key, order = np.empty(usable, np.int64), np.empty(usable, np.int32)
    _keys(east_m, north_m, begins_s, codes, place, column, slices, step_n, step_e, start, origin, key, order)
    key, order = _sort(key, order, max(total, 1).bit_length())
    first = np.concatenate([[0], np.cumsum(counts[used])]).astype(np.int64)
    for c in range(len(used)):
        key[first[c] : first[c + 1]] -= start[c]
    return Grid(order, key, first, column, slices, step_n, step_e, longest[used], origin[:3])


@njit(cache=True)
def not_before(key, low, high, value):  # type: ignore[no-untyped-def]
    """The first position in key[low:high] that is not less than `value`."""
    while low < high:
        middle = (low + high) >> 1
        if key[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


#: Pairs handed over at a time: small enough for the processor's cache, large enough to forget the calls.
BATCH = 4096


@njit(cache=True)
def start(grid):  # type: ignore[no-untyped-def]
    """The cursor of `candidates`: class, class looked into, point, column, next position, four pointers."""
    cursor = np.zeros(9, np.int64)
    cursor[4] = -1
    return cursor


@njit(cache=True)
def candidates(grid, east, north, begins, ends, cursor, left, right):  # type: ignore[no-untyped-def]
    """Fill `left`, `right` with the next pairs of points that may be near; how many, 0 at the end.

    Every pair comes once, as positions in `grid.order`. Complete, not exact: the caller tests distance and
    time. `east, north, begins, ends` are in the order of the grid; they are read only where there is more
    than one class. (A cursor and not a generator: generators cost four times as much in Numba 0.6x, and fail
    when loaded from its cache.)
    """
    key, first = grid.key, grid.first
    classes, room, found = len(first) - 1, len(left), 0
    c, b, i, k, j = cursor[0], cursor[1], cursor[2], cursor[3], cursor[4]
    while c < classes:
        end = first[b + 1]
        if b == c:
            for p in range(4):
                cursor[5 + p] = max(cursor[5 + p], first[c])
        columns = 5 if b == c else 9
        offset, low, high = np.int64(0), np.int64(0), np.int64(0)
        while i < first[c + 1]:
            own = key[i]
            while k < columns:
                if b == c:  # sweep: own column, then the four after it
                    if k == 0:
                        high = own + _SLICES
                        if j < 0:
                            j = i + 1
                    else:
                        offset = grid.step_n[c] if k == 1 else grid.step_e[c] + (k - 3) * grid.step_n[c]
                        high = own + offset + _SLICES
                        if j < 0:
                            low = own + offset - _SLICES
                            j = cursor[4 + k]
                            while j < end and key[j] < low:
                                j += 1
                            cursor[4 + k] = j
                else:  # search: the 3 x 3 columns of the class of larger reach
                    cells_t = grid.step_n[b]
                    ie = np.int64((east[i] - grid.origin[0]) / grid.column_m[b]) + k // 3 - 1
                    i_n = np.int64((north[i] - grid.origin[1]) / grid.column_m[b]) + k % 3 - 1
                    offset = ie * grid.step_e[b] + i_n * cells_t
                    high = offset + np.int64(min((ends[i] - grid.origin[2]) / grid.slice_s[b] + 1.0, cells_t - 1.0))
                    if j < 0:
                        early = (begins[i] - grid.longest_s[b] - grid.origin[2]) / grid.slice_s[b] - 1.0
                        j = not_before(key, first[b], end, offset + np.int64(max(early, 0.0)))
                        if ie < 0 or i_n < 0 or i_n * cells_t >= grid.step_e[b]:
                            high = np.int64(-1)
                while j < end and key[j] <= high:
                    if found == room:
                        cursor[0], cursor[1], cursor[2], cursor[3], cursor[4] = c, b, i, k, j
                        return found
                    left[found], right[found] = i, j
                    found += 1
                    j += 1
                j = -1
                k += 1
            k = 0
            i += 1
        b += 1
        if b == classes:
            c += 1
            b = c
        i = first[c]
        cursor[5:] = 0
    cursor[0] = c
    return found
