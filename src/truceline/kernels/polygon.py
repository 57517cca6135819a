"""Points in many polygons.

The border rule
    A point on a border counts as if it lay a hair to the east, and by far less than that to the north. So the
    western border of a zone belongs to it and the eastern does not; of a border that runs due east-west the
    southern belongs and the northern does not; and a point on a border that two adjacent zones share
    lies in exactly one of them. Every other point is judged exactly: rounding decides nothing.

How
    A raster over all zones says for each cell which zones cover it whole and which have border in it. Only
    for the latter a ray is cast to the east, against the edges in one thin slab of the zone.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Cells wholly covered or empty keep this distance from any border (in cells), far above the rounding of
#: a cell index (1e-12), so that the index of a point may be wrong by its rounding.
_PAD = 1e-6
#: A slab to every fourth edge, up to so many: about eight edges in a slab, those that cross it included. More
#: slabs mean fewer edges to look at and more memory to fetch them from; 2 to 8 were equally fast.
_EDGES_A_SLAB = 4
_MOST_SLABS = 4096
#: Cells of the raster unless told otherwise; 2 MB of offsets, about a second-level cache.
_CELLS = 2**18
#: No cell is smaller; zones of no extent would ask for it.
_SMALLEST_M = 1e-6


class Zones(NamedTuple):
    """Polygons, indexed; made by `index_zones`. z zones, s slabs, k slab edges, c cells, m entries."""

    bounds_m: Floats  # (z, 4) west, south, east, north; NaN for an empty zone
    slab_first: Integers  # (z + 1,) slabs of zone i: slab_first[i] to slab_first[i + 1]
    slabs_per_m: Floats  # (z,)
    edge_first: Integers  # (s + 1,) edges of slab j: edge_first[j] to edge_first[j + 1]
    edges_m: Floats  # (k, 4) east, north of the southern end, of the northern
    turn: Floats  # (k,) 1 where the interior is to the left of that edge, -1 where it is to the right
    corner_m: Floats  # (3,) west, south of the raster, cells per metre
    shape: Integers  # (2,) columns, rows
    entry_first: Integers  # (c + 1,) entries of cell i, rows from the south, columns from the west
    entries: Integers  # (m,) 2 * zone + 1 where the zone covers the cell, 2 * zone where its border is in it


def index_zones(edges_m: Floats, first: Integers, cells: int = _CELLS) -> Zones:
    """An index of polygons for `members` and the probabilities.

    Parameters
    ----------
    edges_m : (n, 4) float64
        Edges of all rings of all zones, grouped by zone: east, north of the begin, of the end. The interior
        is to the left (outer rings anticlockwise, holes clockwise), rings are closed, parts of one
        zone do not overlap, no edge has length zero. None of that is checked.
    first : (z + 1,) int64
        Edges of zone i are `first[i]` to `first[i + 1]`; a zone may be empty.
    cells
        About how many cells the raster gets; a matter of speed alone.
    """
    bounds = _bounds(edges_m, first)
    counts = np.clip(np.diff(first) // _EDGES_A_SLAB, 1, _MOST_SLABS)
    slab_first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    heights = bounds[:, 3] - bounds[:, 1]
    per_m = np.divide(counts, heights, out=np.zeros(len(counts)), where=heights > 0)
    edge_first, slab_edges, turn = _slabs(edges_m, first, bounds[:, 1].copy(), per_m, slab_first)
    west = south = 0.0
    side, columns, rows = 1.0, 1, 1
    known = bounds[~np.isnan(bounds[:, 0])]
    if len(known):
        west, south = known[:, :2].min(axis=0)
        width, height = known[:, 2:].max(axis=0) - (west, south)
        boxes = ((known[:, 2] - known[:, 0]) * (known[:, 3] - known[:, 1])).sum()
        # at most 16 entries a cell on average, where many zones lie over each other
        side = max(math.sqrt(max(width * height, boxes / 16) / cells), max(width, height) / cells, _SMALLEST_M)
        west, south = west - side / 2, south - side / 2
        columns, rows = int(width / side) + 2, int(height / side) + 2
    corner, shape = np.array([west, south, 1.0 / side]), np.array([columns, rows], np.int64)
    nothing = np.empty(0, np.int64)
    zones = Zones(bounds, slab_first, per_m, edge_first, slab_edges, turn, corner, shape, nothing, nothing)
    entry_first, entries = _raster(zones, edges_m, first)
    return zones._replace(entry_first=entry_first, entries=entries)


@njit(cache=True, error_model="numpy")
def _bounds(edges_m: Floats, first: Integers) -> Floats:
    bounds = np.empty((len(first) - 1, 4))
    bounds[:] = np.nan
    for zone in range(len(first) - 1):
        for i in range(first[zone], first[zone + 1]):
            for axis in range(2):
                if i == first[zone] or edges_m[i, axis] < bounds[zone, axis]:
                    bounds[zone, axis] = edges_m[i, axis]
                if i == first[zone] or edges_m[i, axis] > bounds[zone, axis + 2]:
                    bounds[zone, axis + 2] = edges_m[i, axis]
    return bounds


@njit(cache=True, error_model="numpy")
def add_up(counts: Integers) -> None:
    """Counts, after a leading zero, become offsets, in place."""
    for i in range(1, len(counts)):
        counts[i] += counts[i - 1]


@njit(cache=True, error_model="numpy")
def grown(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array of twice the length that begins with `array`."""
    longer = np.empty(2 * len(array), array.dtype)
    for i in range(len(array)):
        longer[i] = array[i]
    return longer


@njit(cache=True, error_model="numpy")
def slab_of(north_m: float, south_m: float, per_m: float, count: int) -> int:
    """Which slab holds `north_m`; the same rounding for edges and for points, so no edge is missed."""
    return min(max(int((north_m - south_m) * per_m), 0), count - 1)


@njit(cache=True, error_model="numpy")
def _slabs(
    edges_m: Floats, first: Integers, south_m: Floats, per_m: Floats, slab_first: Integers
) -> tuple[Integers, Floats, Floats]:
    """Every edge, southern end first, in each slab that it touches."""
    edge_first = np.zeros(slab_first[-1] + 1, np.int64)
    sorted_edges, turn = np.empty((0, 4)), np.empty(0)
    for filling in range(2):  # count, then fill
        fill = edge_first[:-1].copy()
        for zone in range(len(first) - 1):
            begin, count = slab_first[zone], slab_first[zone + 1] - slab_first[zone]
            for i in range(first[zone], first[zone + 1]):
                x1, y1, x2, y2 = edges_m[i, 0], edges_m[i, 1], edges_m[i, 2], edges_m[i, 3]
                left = 1.0
                if y2 < y1 or (y2 == y1 and x2 < x1):
                    x1, y1, x2, y2, left = x2, y2, x1, y1, -1.0
                for slab in range(
                    begin + slab_of(y1, south_m[zone], per_m[zone], count),
                    begin + slab_of(y2, south_m[zone], per_m[zone], count) + 1,
                ):
                    if filling:
                        k = fill[slab]
                        sorted_edges[k, 0], sorted_edges[k, 1] = x1, y1
                        sorted_edges[k, 2], sorted_edges[k, 3] = x2, y2
                        turn[k] = left
                        fill[slab] += 1
                    else:
                        edge_first[slab + 1] += 1
        if not filling:
            add_up(edge_first)
            sorted_edges, turn = np.empty((edge_first[-1], 4)), np.empty(edge_first[-1])
    return edge_first, sorted_edges, turn


@njit(cache=True, error_model="numpy")
def _mark(mask: Integers, west: int, south: int, x1: float, y1: float, x2: float, y2: float) -> None:
    """Mark every cell that an edge (in cells) touches or passes within `_PAD`; `west`, `south`: the mask's corner."""
    dx, dy = x2 - x1, y2 - y1
    for row in range(math.floor(min(y1, y2) - _PAD), math.floor(max(y1, y2) + _PAD) + 1):
        begin, end = 0.0, 1.0
        if abs(dy) > 1e-3:  # a flatter edge is marked over its whole length: at most two rows
            a, b = (row - _PAD - y1) / dy, (row + 1 + _PAD - y1) / dy
            begin, end = max(min(a, b), 0.0), min(max(a, b), 1.0)
        a, b = x1 + begin * dx, x1 + end * dx
        for column in range(math.floor(min(a, b) - _PAD), math.floor(max(a, b) + _PAD) + 1):
            if 0 <= row - south < mask.shape[0] and 0 <= column - west < mask.shape[1]:
                mask[row - south, column - west] = 2


@njit(cache=True, error_model="numpy")
def _raster(zones: Zones, edges_m: Floats, first: Integers) -> tuple[Integers, Integers]:
    """Which zones cover, or have border in, each cell: offsets and entries as `Zones` has them."""
    west_m, south_m, per_m = zones.corner_m
    columns, rows = zones.shape
    cells, entries = np.empty(1024, np.int64), np.empty(1024, np.int64)
    used = 0
    for zone in range(len(first) - 1):
        if first[zone] == first[zone + 1]:
            continue
        west = math.floor((zones.bounds_m[zone, 0] - west_m) * per_m - _PAD)
        south = math.floor((zones.bounds_m[zone, 1] - south_m) * per_m - _PAD)
        east = math.floor((zones.bounds_m[zone, 2] - west_m) * per_m + _PAD)
        north = math.floor((zones.bounds_m[zone, 3] - south_m) * per_m + _PAD)
        mask = np.zeros((north - south + 1, east - west + 1), np.int64)
        for i in range(first[zone], first[zone + 1]):
            x1, y1 = (edges_m[i, 0] - west_m) * per_m, (edges_m[i, 1] - south_m) * per_m
            x2, y2 = (edges_m[i, 2] - west_m) * per_m, (edges_m[i, 3] - south_m) * per_m
            _mark(mask, west, south, x1, y1, x2, y2)
        for row in range(mask.shape[0]):
            for column in range(mask.shape[1]):
                if mask[row, column] != 2:  # neighbours without border between them are alike
                    if column > 0 and mask[row, column - 1] != 2:
                        mask[row, column] = mask[row, column - 1]
                    elif row > 0 and mask[row - 1, column] != 2:
                        mask[row, column] = mask[row - 1, column]
                    else:
                        centre_e, centre_n = (
                            west_m + (west + column + 0.5) / per_m,
                            south_m + (south + row + 0.5) / per_m,
                        )
                        mask[row, column] = 1 if contains(zones, zone, centre_e, centre_n) else 0
                if mask[row, column]:
                    if used == len(cells):
                        cells, entries = grown(cells), grown(entries)
                    cells[used] = (south + row) * columns + west + column
                    entries[used] = 2 * zone + mask[row, column] % 2
                    used += 1
    entry_first = np.zeros(columns * rows + 1, np.int64)
    for i in range(used):
        entry_first[cells[i] + 1] += 1
    add_up(entry_first)
    fill, by_cell = entry_first[:-1].copy(), np.empty(used, np.int64)
    for i in range(used):  # zones come in ascending order, and so they stay within a cell
        by_cell[fill[cells[i]]] = entries[i]
        fill[cells[i]] += 1
    return entry_first, by_cell


@njit(cache=True, error_model="numpy")
def _exact_turn(x1: float, y1: float, x2: float, y2: float, x: float, y: float) -> float:
    """The sign of (x2 - x1)(y - y1) - (x - x1)(y2 - y1) without rounding (Shewchuk 1997, expansions)."""
    expansion, size = np.zeros(16), 0
    for swap in range(2):
        (a, b, c, d) = (x, x1, y2, y1) if swap else (x2, x1, y, y1)
        high1, high2 = a - b, c - d
        back1, back2 = a - high1, c - high2
        low1 = (a - (high1 + back1)) + (back1 - b)  # high1 + low1 == a - b
        low2 = (c - (high2 + back2)) + (back2 - d)
        for u, v in ((low1, low2), (low1, high2), (high1, low2), (high1, high2)):
            split1, split2 = 134217729.0 * u, 134217729.0 * v  # 2^27 + 1: halves of 26 bits
            u_high, v_high = split1 - (split1 - u), split2 - (split2 - v)
            u_low, v_low = u - u_high, v - v_high
            product = u * v
            error = u_low * v_low - (((product - u_high * v_high) - u_low * v_high) - u_high * v_low)
            for term in (error, product):
                total = -term if swap else term
                for i in range(size):
                    one, two = total, expansion[i]
                    total = one + two
                    part = total - one
                    expansion[i] = (one - (total - part)) + (two - part)
                expansion[size] = total
                size += 1
    for i in range(size - 1, -1, -1):
        if expansion[i] != 0.0:  # the largest part has the sign of the whole
            return float(expansion[i])
    return 0.0


@njit(cache=True, error_model="numpy")
def left_of(x1: float, y1: float, x2: float, y2: float, x: float, y: float) -> bool:
    """Whether a point lies to the left of a directed edge, or of its continuation; a point on it does not."""
    a, b = (x2 - x1) * (y - y1), (x - x1) * (y2 - y1)
    # Shewchuk's bound on the rounding of the difference, (3 + 16 eps) eps
    if abs(a - b) > 3.3306690738754716e-16 * (abs(a) + abs(b)):
        return a > b
    exactly: float = _exact_turn(x1, y1, x2, y2, x, y)
    return exactly > 0.0


@njit(cache=True, error_model="numpy")
def west_of(x1: float, y1: float, x2: float, y2: float, x: float, y: float) -> bool:
    """Whether a point lies west of an edge, y1 <= y < y2; a point on the edge does not."""
    if x < min(x1, x2):
        return True
    if x >= max(x1, x2):
        return False
    left: bool = left_of(x1, y1, x2, y2, x, y)
    return left


@njit(cache=True, error_model="numpy")
def contains(zones: Zones, zone: int, x: float, y: float) -> bool:
    """Whether a point lies in a zone, by the border rule; False for NaN."""
    bounds_m, edges_m, edge_first = zones.bounds_m, zones.edges_m, zones.edge_first
    if not (bounds_m[zone, 0] <= x < bounds_m[zone, 2] and bounds_m[zone, 1] <= y < bounds_m[zone, 3]):
        return False
    begin, end = zones.slab_first[zone], zones.slab_first[zone + 1]
    slab = begin + slab_of(y, bounds_m[zone, 1], zones.slabs_per_m[zone], end - begin)
    inside = False
    for i in range(edge_first[slab], edge_first[slab + 1]):
        x1, y1, x2, y2 = edges_m[i, 0], edges_m[i, 1], edges_m[i, 2], edges_m[i, 3]
        if y1 <= y < y2 and west_of(x1, y1, x2, y2, x, y):
            inside = not inside
    return inside


@njit(cache=True, error_model="numpy")
def _members(
    zones: Zones, east_m: Floats, north_m: Floats, begin: int, end: int, point: Integers, zone: Integers, used: int
) -> int:
    """Write the pairs of points `begin` to `end` after the first `used`; room for them is not checked."""
    west_m, south_m, per_m = zones.corner_m
    columns, rows = zones.shape
    entry_first, entries = zones.entry_first, zones.entries
    for i in range(begin, end):
        x, y = (east_m[i] - west_m) * per_m, (north_m[i] - south_m) * per_m
        if not (0.0 <= x < columns and 0.0 <= y < rows):
            continue
        cell = int(y) * columns + int(x)
        for k in range(entry_first[cell], entry_first[cell + 1]):
            entry = entries[k]
            if entry & 1 or contains(zones, entry >> 1, east_m[i], north_m[i]):
                point[used], zone[used] = i, entry >> 1
                used += 1
    return used


@njit(cache=True, error_model="numpy")
def members(zones: Zones, east_m: Floats, north_m: Floats) -> tuple[Integers, Integers]:
    """Which points lie in which zones, by the border rule.

    Parameters
    ----------
    zones : Zones
    east_m, north_m : (n,) float64

    Returns
    -------
    point, zone : (p,) int64
        Pairs, sorted by point, then zone. A point with NaN is in no zone.
    """
    most, block = 1, 1024  # the check for room stays out of the inner loop, which doubles its speed
    for cell in range(len(zones.entry_first) - 1):
        most = max(most, zones.entry_first[cell + 1] - zones.entry_first[cell])
    room = max(4 * len(east_m), block * most)  # what is not written to costs no memory
    point, zone = np.empty(room, np.int64), np.empty(room, np.int64)
    used = 0
    for begin in range(0, len(east_m), block):
        if used + block * most > len(point):
            point, zone = grown(point), grown(zone)
        used = _members(zones, east_m, north_m, begin, min(begin + block, len(east_m)), point, zone, used)
    return point[:used], zone[:used]
