"""Whether a path that is known at its fixes alone touched a zone between them.

Between two fixes an object follows a smooth curve from one to the other, with the velocities it had there, and
strays from it by a random bow. The kernel draws such curves and counts those that touch.
"""

import math

import numpy as np
from numba import njit

from truceline.kernels.polygon import Floats, Integers, Zones, contains, grown, slab_of

#: Pieces of a drawn curve. Between 8 and 24 probabilities of touching changed by less than 0.01 in the tests' scenes.
PIECES = 12
#: Waves of a bow, and how many standard normals a curve takes: two for the fixes' errors, two for each wave.
WAVES = 3
DRAWN = 2 + 2 * WAVES
# A wave of half the length has a quarter of the height; together they have standard deviation 1 in the middle.
_SIZE = math.sqrt(1.0 + 1.0 / 81.0)


@njit(cache=True, error_model="numpy")
def reached(zones: Zones, boxes_m: Floats) -> tuple[Integers, Integers]:
    """Which boxes may touch which zones: those that share a cell of the zones' raster.

    Parameters
    ----------
    zones : Zones
    boxes_m : (n, 4) float64
        West, south, east, north; a box with NaN reaches nothing.

    Returns
    -------
    box, zone : (p,) int64
        Pairs, sorted; every pair that touches is among them, others too.
    """
    west_m, south_m, per_m = zones.corner_m
    columns, rows = zones.shape
    count = len(zones.slabs_per_m)
    box, zone, used = np.empty(1024, np.int64), np.empty(1024, np.int64), 0
    asked_by = np.zeros(count, np.int64)
    for i in range(len(boxes_m)):
        west, south = (boxes_m[i, 0] - west_m) * per_m, (boxes_m[i, 1] - south_m) * per_m
        east, north = (boxes_m[i, 2] - west_m) * per_m, (boxes_m[i, 3] - south_m) * per_m
        if not (east >= 0.0 and west < columns and north >= 0.0 and south < rows):
            continue
        first_column, last_column = int(max(west, 0.0)), int(min(east, columns - 1.0))
        first_row, last_row = int(max(south, 0.0)), int(min(north, rows - 1.0))
        wide = (last_column - first_column + 1) * (last_row - first_row + 1) > 4 * count
        if wide:  # ask every zone
            for k in range(count):
                asked_by[k] = i + 1
        else:
            for row in range(first_row, last_row + 1):
                for k in range(
                    zones.entry_first[row * columns + first_column], zones.entry_first[row * columns + last_column + 1]
                ):
                    asked_by[zones.entries[k] // 2] = i + 1
        for k in range(count):
            if asked_by[k] != i + 1 or not (
                boxes_m[i, 0] <= zones.bounds_m[k, 2]
                and boxes_m[i, 2] >= zones.bounds_m[k, 0]
                and boxes_m[i, 1] <= zones.bounds_m[k, 3]
                and boxes_m[i, 3] >= zones.bounds_m[k, 1]
            ):
                continue
            if used == len(box):
                box, zone = grown(box), grown(zone)
            box[used], zone[used] = i, k
            used += 1
    return box[:used], zone[:used]


@njit(cache=True, error_model="numpy")
def _crosses(zones: Zones, zone: int, x1: float, y1: float, x2: float, y2: float) -> bool:
    """Whether a straight piece of path meets a border of the zone."""
    west, south, east, north = zones.bounds_m[zone]
    low, high = min(y1, y2), max(y1, y2)
    if not (max(x1, x2) >= west and min(x1, x2) <= east and high >= south and low <= north):
        return False
    begin, count = zones.slab_first[zone], zones.slab_first[zone + 1] - zones.slab_first[zone]
    per_m = zones.slabs_per_m[zone]
    for slab in range(slab_of(low, south, per_m, count), slab_of(high, south, per_m, count) + 1):
        for k in range(zones.edge_first[begin + slab], zones.edge_first[begin + slab + 1]):
            a, b, c, d = zones.edges_m[k, 0], zones.edges_m[k, 1], zones.edges_m[k, 2], zones.edges_m[k, 3]
            if d < low or b > high or min(a, c) > max(x1, x2) or max(a, c) < min(x1, x2):
                continue
            one = (c - a) * (y1 - b) - (x1 - a) * (d - b)
            two = (c - a) * (y2 - b) - (x2 - a) * (d - b)
            three = (x2 - x1) * (b - y1) - (a - x1) * (y2 - y1)
            four = (x2 - x1) * (d - y1) - (c - x1) * (y2 - y1)
            if one * two <= 0.0 and three * four <= 0.0:
                return True
    return False


@njit(cache=True, error_model="numpy")
def touching(
    zones: Zones, segment: Integers, zone: Integers, ends_m: Floats, leaves_m: Floats, errors_m: Floats, bow_m: Floats,
    draws: Floats,
) -> Floats:  # fmt: skip
    """The share of drawn paths that touch a zone between two fixes.

    Parameters
    ----------
    zones : Zones
    segment, zone : (p,) int64
        Pairs to ask for.
    ends_m : (n, 4) float64
        East, north of each segment's fixes, first and last.
    leaves_m : (n, 4) float64
        Velocity times the segment's length in time at both ends: east, north, east, north; where the chord is taken
        for both, the way is straight.
    errors_m : (n, 6) float64
        The lower triangle of a root of each fix's covariance (ee, ne, nn), first and last. Both fixes of a drawn path
        err alike: what moves one moves the other, so that errors do not add up over many fixes.
    bow_m : (n,) float64
        Standard deviation of each coordinate in the middle between the fixes, beside what their errors make.
    draws : (d, DRAWN) float64
        Standard normals, one row a path.

    Returns
    -------
    (p,) float64
        NaN where any number of the segment is NaN.
    """
    share = np.empty(len(segment))
    wave = np.empty((PIECES + 1, WAVES))
    for k in range(PIECES + 1):
        for m in range(WAVES):
            wave[k, m] = math.sin((m + 1) * math.pi * k / PIECES) / (m + 1) ** 2 / _SIZE
    for pair in range(len(segment)):
        i, z = segment[pair], zone[pair]
        sums = ends_m[i].sum() + leaves_m[i].sum() + errors_m[i].sum() + bow_m[i]
        if math.isnan(sums):
            share[pair] = np.nan
            continue
        touched = 0
        for d in range(len(draws)):
            one, two = draws[d, 0], draws[d, 1]
            x0 = ends_m[i, 0] + errors_m[i, 0] * one
            y0 = ends_m[i, 1] + errors_m[i, 1] * one + errors_m[i, 2] * two
            x1 = ends_m[i, 2] + errors_m[i, 3] * one
            y1 = ends_m[i, 3] + errors_m[i, 4] * one + errors_m[i, 5] * two
            if contains(zones, z, x0, y0):
                touched += 1
                continue
            x, y = x0, y0
            for k in range(1, PIECES + 1):
                s = k / PIECES
                # cubic through both ends with the velocities there (Hermite)
                h1 = s * s * (3.0 - 2.0 * s)
                g0, g1 = s * (1.0 - s) * (1.0 - s), -s * s * (1.0 - s)
                u = x0 + h1 * (x1 - x0) + g0 * leaves_m[i, 0] + g1 * leaves_m[i, 2]
                v = y0 + h1 * (y1 - y0) + g0 * leaves_m[i, 1] + g1 * leaves_m[i, 3]
                for m in range(WAVES):
                    u += bow_m[i] * wave[k, m] * draws[d, 2 + 2 * m]
                    v += bow_m[i] * wave[k, m] * draws[d, 3 + 2 * m]
                if _crosses(zones, z, x, y, u, v):
                    touched += 1
                    break
                x, y = u, v
        share[pair] = touched / len(draws)
    return share
