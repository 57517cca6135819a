"""Which tracks can have made which detections: a uniform grid over the detections, hashed.

Cells are as wide as most tracks look, and hashed into a table of twice as many slots as detections, so that one
detection at the other end of the world (a spoofed one) costs one slot and no more.
"""

import numpy as np
from numba import njit

from truceline.kernels.prefetch import FAR_AHEAD, prefetch

# columns of a detection's numbers; NaN where not known
AT, EAST, NORTH, VAR_E, COV_EN, VAR_N, AT_SIGMA, ALT, ALT_VAR, SPEED_E, SPEED_N, SPEED_VAR = range(12)
# columns of its keys: its id in two, hashes (0: not known), its class, and what the caller wants to find again
ID_0, ID_1, SENSOR, IDENTITY, SCHEME, KIND, TAG = range(7)
VALUES, KEYS = 12, 7

#: More cells than this in one look: the detections are gone through instead.
_MOST_CELLS = 64
#: More detections than this in one group are worked in the order of their places: fewer fit the caches in any order.
LARGE = 4096


@njit(cache=True, error_model="numpy", _nrt=False)
def _slot(ie, i_n, mask):  # type: ignore[no-untyped-def]
    if mask < 2 * LARGE:
        h = (ie * np.int64(73_856_093)) ^ (i_n * np.int64(19_349_663))
        return (h ^ (h >> np.int64(17))) & mask
    # of large grids eight by eight cells stay together, so that a look, and the next one, read on in memory
    h = ((ie >> np.int64(3)) * np.int64(73_856_093)) ^ ((i_n >> np.int64(3)) * np.int64(19_349_663))
    return ((h ^ (h >> np.int64(17))) << np.int64(6) | (ie & np.int64(7)) << np.int64(3) | (i_n & np.int64(7))) & mask


@njit(cache=True, error_model="numpy")
def hashed(values, rows, cell_m):  # type: ignore[no-untyped-def]
    """The grid of the detections `rows` of `values`.

    Returns
    -------
    start : (slots + 1,) int64
        Where each slot begins in the others.
    order : (m,) int64
        Of `rows`, by slot.
    places : (m, 2) float64
        East and north of each: side by side, so that a look reads on instead of jumping.
    density : float
        Detections per square metre where there are any: of a cell that is not empty, in a Poisson field, the mean
        number is mu / (1 - exp(-mu)).
    """
    m = len(rows)
    slots = np.int64(16)
    while slots < 2 * m:
        slots *= 2
    mask, per_m = slots - 1, 1.0 / cell_m
    start = np.zeros(slots + 1, np.int64)
    own = np.empty(m, np.int64)
    for k in range(m):
        ie = np.int64(np.floor(values[rows[k], EAST] * per_m))
        i_n = np.int64(np.floor(values[rows[k], NORTH] * per_m))
        own[k] = _slot(ie, i_n, mask)
        start[own[k] + 1] += 1
    filled = 0
    for k in range(slots):
        filled += start[k + 1] > 0
        start[k + 1] += start[k]
    order, places = np.empty(m, np.int64), np.empty((m, 2))
    for k in range(m):
        at = start[own[min(k + FAR_AHEAD, m - 1)]]
        prefetch(places, at, 0)
        prefetch(order, at, 0)
        prefetch(start, own[min(k + 2 * FAR_AHEAD, m - 1)], 0)
        at = start[own[k]]
        start[own[k]] += 1
        order[at] = k
        places[at, 0], places[at, 1] = values[rows[k], EAST], values[rows[k], NORTH]
    for k in range(slots, 0, -1):
        start[k] = start[k - 1]
    start[0] = 0
    # cells that share a slot: of s slots, c cells fill s (1 - exp(-c / s))
    cells = -slots * np.log(1.0 - filled / slots)
    crowd = max(m / cells, 1.0)
    mu = 2.0 * (crowd - 1.0)
    for _ in range(8):  # Newton, from where the function begins
        f = np.exp(-mu)
        mu -= (mu - crowd * (1.0 - f)) / (1.0 - crowd * f) if mu > 1e-9 else 0.0
    return start, order, places, mu / (cell_m * cell_m)


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def near(east, north, reach_m, cell_m, start, order, places, found):  # type: ignore[no-untyped-def]
    """Fill `found` with which of the grid's rows lie within `reach_m` of a place, each once; how many.

    `found` has room for all of them.
    """
    per_m = 1.0 / cell_m
    low_e, high_e = np.int64(np.floor((east - reach_m) * per_m)), np.int64(np.floor((east + reach_m) * per_m))
    low_n, high_n = np.int64(np.floor((north - reach_m) * per_m)), np.int64(np.floor((north + reach_m) * per_m))
    reach2, count = reach_m * reach_m, 0
    if float(high_e - low_e + 1) * float(high_n - low_n + 1) > min(_MOST_CELLS, len(order)):
        for at in range(len(order)):
            de, dn = places[at, 0] - east, places[at, 1] - north
            if de * de + dn * dn <= reach2:
                found[count] = order[at]
                count += 1
        return count
    mask = np.int64(len(start) - 2)
    for ie in range(low_e, high_e + 1):
        for i_n in range(low_n, high_n + 1):
            slot = _slot(ie, i_n, mask)
            for at in range(start[slot], start[slot + 1]):
                de, dn = places[at, 0] - east, places[at, 1] - north
                if de * de + dn * dn > reach2:
                    continue
                # two cells may share a slot
                if np.floor(places[at, 0] * per_m) == ie and np.floor(places[at, 1] * per_m) == i_n:
                    found[count] = order[at]
                    count += 1
    return count


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def apart(p, states, i, alt, values, d, dt):  # type: ignore[no-untyped-def]
    """How far a detection is from where a track is expected, in squared sigmas.

    Parameters
    ----------
    p : (14,) float64
        The track expected at a moment `dt` seconds before the detection (a part of a slice: it moves on straight).
    states : (slots, n) float64
        Its altitude state begins at states[i, alt].
    values, d
        The detection is row `d`.

    Returns
    -------
    of position, of the rest (velocity, altitude); the determinant of the position's covariance
    """
    ve, vn = p[2], p[3]
    de, dn = values[d, EAST] - p[0] - dt * ve, values[d, NORTH] - p[1] - dt * vn
    late = values[d, AT_SIGMA] * values[d, AT_SIGMA]
    s_ee = p[4] + values[d, VAR_E] + late * (ve * ve + p[11])
    s_en = p[5] + values[d, COV_EN] + late * (ve * vn + p[12])
    s_nn = p[6] + values[d, VAR_N] + late * (vn * vn + p[13])
    determinant = s_ee * s_nn - s_en * s_en
    position = (s_nn * de * de - 2.0 * s_en * de * dn + s_ee * dn * dn) / determinant
    rest = 0.0
    if values[d, SPEED_VAR] > 0.0:
        a, b = values[d, SPEED_E] - ve, values[d, SPEED_N] - vn
        v_ee, v_nn = p[11] + values[d, SPEED_VAR], p[13] + values[d, SPEED_VAR]
        rest += (v_nn * a * a - 2.0 * p[12] * a * b + v_ee * b * b) / (v_ee * v_nn - p[12] * p[12])
    if values[d, ALT_VAR] > 0.0 and states[i, alt] == states[i, alt]:
        step = values[d, AT] - states[i, alt + 5]
        variance = (
            states[i, alt + 2] + step * (2.0 * states[i, alt + 3] + step * states[i, alt + 4]) + values[d, ALT_VAR]
        )
        a = values[d, ALT] - states[i, alt] - step * states[i, alt + 1]
        # an altitude, barometric or above the ground, is no better than a few hundred metres when compared
        rest += a * a / (variance + 22_500.0)
    return position, rest, determinant
