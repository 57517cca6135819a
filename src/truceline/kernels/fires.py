"""Satellite fires as counts: from pixels to fires, heat that stays in one place, what burns in the surroundings."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Periods to a word in `recurrence`.
_BITS = np.int64(63)


# ---- from pixels to fires ------------------------------------------------------------------------------------------


@njit(cache=True)
def _fresh(key, columns, rows, day, at_s, east_m, north_m, reach2):  # type: ignore[no-untyped-def]
    n = len(key)
    by_day, by_pass = np.empty(n), np.empty(n)
    # keys ascend, so each of the six strips of three boxes has a begin that only moves forward
    cursor = np.zeros(6, np.int64)
    for i in range(n):
        whole, seen = 0, 0
        for strip in range(6):
            back, row = strip // 3, strip % 3 - 1
            low = key[i] - back * rows * columns + row * columns - 1
            k = cursor[strip]
            while k < n and key[k] < low:
                k += 1
            cursor[strip] = k
            while k < n and key[k] <= low + 2:
                if (east_m[k] - east_m[i]) ** 2 + (north_m[k] - north_m[i]) ** 2 <= reach2:
                    whole += 1
                    if day[k] < day[i] or at_s[k] <= at_s[i]:
                        seen += 1
                k += 1
        by_day[i], by_pass[i] = 1.0 / whole, 1.0 / seen
    return by_day, by_pass


def fresh(at_s: Floats, east_m: Floats, north_m: Floats, reach_m: float) -> tuple[Floats, Floats]:
    """How much of a new fire each detection is: one over those within reach on its day and the day before.

    Twenty pixels of one burning field add up to one fire, seen by one satellite or by three; the second day of a fire
    that stays adds half, and new ground that it takes adds more.

    Parameters
    ----------
    at_s : (n,) float64
        Seconds since 1970; days are UTC.
    east_m, north_m : (n,) float64
        A local plane; 1 % of distortion does no harm.

    Returns
    -------
    by_day : (n,) float64
        In (0, 1]: with all of its day.
    by_pass : (n,) float64
        In (0, 1], at least `by_day`: only with those not later than itself.

    NaN where place or time is NaN.
    """
    by_day, by_pass = np.full(len(at_s), np.nan), np.full(len(at_s), np.nan)
    known = np.flatnonzero(np.isfinite(at_s + east_m + north_m))
    if not len(known):
        return by_day, by_pass
    at, east, north = at_s[known], east_m[known], north_m[known]
    day = np.floor(at / 86400.0).astype(np.int64)
    column, row = (np.floor((v - v.min()) / reach_m).astype(np.int64) + 1 for v in (east, north))
    columns, rows = int(column.max()) + 2, int(row.max()) + 2
    key = ((day - day.min() + 1) * rows + row) * columns + column
    order = np.argsort(key, kind="stable")
    known = known[order]
    sorted_columns = (a[order] for a in (day, at, east, north))
    by_day[known], by_pass[known] = _fresh(key[order], columns, rows, *sorted_columns, reach_m * reach_m)
    return by_day, by_pass


# ---- heat that stays -----------------------------------------------------------------------------------------------


@njit(cache=True)
def _gather(keys, own, columns, up, across):  # type: ignore[no-untyped-def]
    """For each cell the periods of all cells up to `up` rows and `across` columns away, itself included."""
    n, words = own.shape
    out = np.zeros((n, words), np.int64)
    cursor = np.zeros(2 * up + 1, np.int64)
    for i in range(n):
        for strip in range(2 * up + 1):
            low = keys[i] + (strip - up) * columns - across
            k = cursor[strip]
            while k < n and keys[k] < low:
                k += 1
            cursor[strip] = k
            while k < n and keys[k] <= low + 2 * across:
                for word in range(words):
                    out[i, word] |= own[k, word]
                k += 1
    return out


@njit(cache=True)
def _marked(cell, period, cells, words):  # type: ignore[no-untyped-def]
    own = np.zeros((cells, words), np.int64)
    for i in range(len(cell)):
        own[cell[i], period[i] // _BITS] |= np.int64(1) << (period[i] % _BITS)
    return own


@njit(cache=True)
def _ones(word):  # type: ignore[no-untyped-def]
    """How many bits are set."""
    count = 0
    while word:
        word &= word - np.int64(1)
        count += 1
    return count


@njit(cache=True)
def _counted(cell, period, marks, first, last):  # type: ignore[no-untyped-def]
    out = np.zeros(len(cell), np.int64)
    most = marks.shape[1] * _BITS - 1
    for i in range(len(cell)):
        low, high = max(period[i] + first, 0), min(period[i] + last, most)
        for word in range(low // _BITS, high // _BITS + 1 if low <= high else 0):
            bits = marks[cell[i], word]
            begin, end = low - word * _BITS, high - word * _BITS
            if begin > 0:
                bits = bits >> begin << begin
            if end < _BITS - 1:
                bits &= (np.int64(1) << (end + 1)) - np.int64(1)
            out[i] += _ones(bits)
    return out


class Marks(NamedTuple):
    """Places and periods at which something was, or is asked about: small cells and periods, from any origin."""

    row: Ints
    column: Ints
    period: Ints


def occupied(asked: Marks, been: Marks, up: int, across: int, spans: Sequence[tuple[int, int]]) -> list[Ints]:
    """In how many periods round each mark asked about something had been near it.

    Parameters
    ----------
    asked, been : Marks
        (n,) and (m,); they may be the same.
    up, across
        Rows and columns each way that count as near.
    spans
        First and last period to look at, from the mark's own: (-12, 12) or, of the past alone, (-24, 0).

    Returns
    -------
    For each span (n,) int64.
    """
    n = len(asked.row)
    if not n or not len(been.row):
        return [np.zeros(n, np.int64) for _ in spans]
    row, column, period = (np.concatenate(pair) for pair in zip(asked, been, strict=True))
    row, column, period = row - row.min(), column - column.min(), period - period.min()
    columns = int(column.max()) + 2 * across + 2
    keys, cell = np.unique(row * columns + column + across, return_inverse=True)
    own = _marked(cell[n:], period[n:], len(keys), int(period.max()) // int(_BITS) + 1)
    near = _gather(keys, own, columns, up, across)
    return [_counted(cell[:n], period[:n], near, first, last) for first, last in spans]


# ---- surroundings --------------------------------------------------------------------------------------------------


def bell(sigma: float) -> Floats:
    """The taps of a normal curve of `sigma` steps, cut at 3 sigmas, sum 1; one tap for 0."""
    half = math.ceil(3.0 * sigma)
    taps = np.exp(-0.5 * (np.arange(-half, half + 1) / max(sigma, 1e-9)) ** 2)
    return np.asarray(taps / taps.sum())


@njit(cache=True)
def _along(values, taps):  # type: ignore[no-untyped-def]
    """Middle axis of (outer, n, inner)."""
    outer, n, inner = values.shape
    half = len(taps) // 2
    out = np.zeros((outer, n, inner))
    for o in range(outer):
        for i in range(n):
            for k in range(max(0, i - half), min(n, i + half + 1)):
                tap = taps[k - i + half]
                for j in range(inner):
                    out[o, i, j] += tap * values[o, k, j]
    return out


@njit(cache=True)
def _across(values, taps):  # type: ignore[no-untyped-def]
    """Last axis of (outer, n)."""
    outer, n = values.shape
    half = len(taps) // 2
    out = np.zeros((outer, n))
    padded = np.zeros(n + 2 * half)
    for o in range(outer):
        padded[half : half + n] = values[o]
        for k in range(len(taps)):
            tap, shifted = taps[k], padded[k : k + n]
            for i in range(n):
                out[o, i] += tap * shifted[i]
    return out


def blur(values: Floats, periods: float, rows: float, columns: float) -> Floats:
    """`values` (t, y, x) spread by a normal curve of so many steps along each axis; nothing comes from outside."""
    t, y, x = values.shape
    out = np.ascontiguousarray(values)
    if periods:
        out = _along(out.reshape(1, t, y * x), bell(periods)).reshape(t, y, x)
    if rows:
        out = _along(out, bell(rows))
    if columns:
        out = _across(out.reshape(t * y, x), bell(columns)).reshape(t, y, x)
    return out


@njit(cache=True)
def pooled(values: Floats, block: int) -> Floats:
    """(t, y, x) summed over blocks of `block` rows and columns; y and x are whole blocks (not checked)."""
    periods, rows, columns = values.shape
    out = np.zeros((periods, rows // block, columns // block))
    for t in range(periods):
        for i in range(rows):
            for j in range(columns // block):
                total = 0.0
                for k in range(block):
                    total += values[t, i, j * block + k]
                out[t, i // block, j] += total
    return out


@njit(cache=True)
def _between(cell, block, blocks):  # type: ignore[no-untyped-def]
    """The block whose middle lies before a cell's, and the share of the next one; flat beyond the outermost."""
    place = (cell + 0.5) / block - 0.5
    before = min(max(math.floor(place), 0), blocks - 2)
    return before, min(max(place - before, 0.0), 1.0)


@njit(cache=True)
def unpooled(blocks: Floats, block: int, row: Ints, column: Ints) -> Floats:
    """What (t, y, x) blocks, at least two by two, come to in cells: linear between the middles of blocks.

    `row` and `column`, (n,) int64, are those of cells. Returns (t, n).
    """
    periods, n = len(blocks), len(row)
    out = np.empty((periods, n))
    place, share = np.empty((2, n), np.int64), np.empty((2, n))
    for i in range(n):
        place[0, i], share[0, i] = _between(row[i], block, blocks.shape[1])
        place[1, i], share[1, i] = _between(column[i], block, blocks.shape[2])
    for t in range(periods):
        for i in range(n):
            up, left, down, right = place[0, i], place[1, i], share[0, i], share[1, i]
            upper = blocks[t, up, left] * (1.0 - right) + blocks[t, up, left + 1] * right
            lower = blocks[t, up + 1, left] * (1.0 - right) + blocks[t, up + 1, left + 1] * right
            out[t, i] = upper * (1.0 - down) + lower * down
    return out


@njit(cache=True)
def unpooled_at(blocks: Floats, block: int, layer: Ints, row: Ints, column: Ints) -> Floats:
    """As `unpooled`, each cell at its own t: (n,) from (n,) `layer`, `row` and `column`."""
    out = np.empty(len(row))
    for i in range(len(row)):
        t = layer[i]
        up, down = _between(row[i], block, blocks.shape[1])
        left, right = _between(column[i], block, blocks.shape[2])
        upper = blocks[t, up, left] * (1.0 - right) + blocks[t, up, left + 1] * right
        lower = blocks[t, up + 1, left] * (1.0 - right) + blocks[t, up + 1, left + 1] * right
        out[i] = upper * (1.0 - down) + lower * down
    return out
