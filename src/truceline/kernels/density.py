"""How often things happen round here: days with a report, counted in a box of space and time."""

import numpy as np
from numba import njit

from truceline.kernels.grid import Floats, Ints, distinct, not_before


@njit(cache=True)
def _in_box(keys, column_e, column_n, day, rows, days, half_days):  # type: ignore[no-untyped-def]
    """How many of the sorted `keys` lie in the 3 x 3 columns and the days about each query."""
    out = np.zeros(len(day), np.int64)
    for q in range(len(day)):
        for e in range(column_e[q] - 1, column_e[q] + 2):
            for n in range(column_n[q] - 1, column_n[q] + 2):
                column = (e * rows + n) * days + day[q]
                out[q] += not_before(keys, 0, len(keys), column + half_days + 1)
                out[q] -= not_before(keys, 0, len(keys), column - half_days)
    return out


def active_cell_days(
    east_m: Floats, north_m: Floats, at_s: Floats, cell_m: float, column_m: float, half_days: int
) -> Ints:
    """For each point, in how many cells and days round it there is a point at all.

    Counts pairs (cell of `cell_m`, UTC day) with at least one point, in the 3 x 3 columns of `column_m` round
    the point's own and on the days up to `half_days` before and after. A place that is spoken of fifty times
    a day counts once a day, so repeats do not pass for frequency.

    Parameters
    ----------
    east_m, north_m, at_s
        (n,) float64.
    cell_m, column_m
        A column is a whole number of cells wide (not checked).

    Returns
    -------
    (n,) int64
        At least 1 for a point that is finite, its own; 0 for one that is not.
    """
    out = np.zeros(len(at_s), np.int64)
    finite = np.isfinite(east_m + north_m + at_s)
    if not finite.any():
        return out
    day = np.floor(at_s[finite] / 86400.0).astype(np.int64)
    day += half_days - day.min()
    days = int(day.max()) + half_days + 1
    each = round(column_m / cell_m)
    # cells are cut from the frame's origin, not from the data's corner: late data does not move them
    cell_e, cell_n = (np.floor(v[finite] / cell_m).astype(np.int64) for v in (east_m, north_m))
    least_e, least_n = (int(np.floor_divide(c.min(), each)) - 1 for c in (cell_e, cell_n))
    cell_e, cell_n = cell_e - least_e * each, cell_n - least_n * each
    column_e, column_n = cell_e // each, cell_n // each
    rows = int(column_n.max()) + 2
    # distinct (column, day, cell in the column), then without the cell, in order
    key = ((column_e * rows + column_n) * days + day) * (each * each) + (cell_e % each) * each + cell_n % each
    keys = distinct(key) // (each * each)
    queries = distinct(keys)
    back = np.searchsorted(queries, key // (each * each))
    columns, day = queries // days, queries % days
    counts = _in_box(keys, columns // rows, columns % rows, day, rows, days, half_days)
    out[finite] = counts[back]
    return out
