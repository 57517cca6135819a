"""Clusters in space and time: the candidate pairs of a grid, joined by union-find.

`density_clusters` is DBSCAN, exactly. `linked` is its soft form: instead of one reach for all, every point is
a statement with an ellipse and an interval of time, and two are joined when one occurrence explains them
better than two do. `links` gives those pairs themselves. All walk the same candidate pairs of the same grid.
"""

import numpy as np
from numba import njit

from truceline.kernels.grid import BATCH, Floats, Grid, Ints, build, candidates, start
from truceline.kernels.likelihood import Statements, in_order, log_ratio, squared_distance, window

#: The label of points that belong to no cluster.
NOISE = -1


@njit(cache=True)
def find(parent, i):  # type: ignore[no-untyped-def]
    """The root of i; halves the path on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True)
def union(parent, i, j):  # type: ignore[no-untyped-def]
    """Join two sets; the smaller root stays root."""
    i, j = find(parent, i), find(parent, j)
    if i < j:
        parent[j] = i
    else:
        parent[i] = j


@njit(cache=True)
def _scaled(values, scale, order):  # type: ignore[no-untyped-def]
    out = np.empty(len(order))
    for k in range(len(order)):
        out[k] = values[order[k]] / scale
    return out


@njit(cache=True)
def _squared(x, y, t, i, j):  # type: ignore[no-untyped-def]
    # term by term in this order, as other implementations do: equal to the last bit
    return (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2 + (t[i] - t[j]) ** 2


@njit(cache=True)
def _count(grid, x, y, t):  # type: ignore[no-untyped-def]
    """How many points each point has within reach, itself included."""
    counts = np.ones(len(x), np.int32)
    left, right, cursor = np.empty(BATCH, np.int64), np.empty(BATCH, np.int64), start(grid)
    found = BATCH
    while found == BATCH:
        found = candidates(grid, x, y, t, t, cursor, left, right)
        for k in range(found):
            if _squared(x, y, t, left[k], right[k]) <= 1.0:
                counts[left[k]] += 1
                counts[right[k]] += 1
    return counts


@njit(cache=True)
def _nearer(x, y, t, now, before, distance, before_distance):  # type: ignore[no-untyped-def]
    """Whether core point `now` goes before `before`: nearer, or as near and first by east, north, time."""
    if before < 0 or distance != before_distance:
        return before < 0 or distance < before_distance
    if x[now] != x[before]:
        return x[now] < x[before]
    return y[now] < y[before] if y[now] != y[before] else t[now] < t[before]


@njit(cache=True)
def _join(grid, x, y, t, core):  # type: ignore[no-untyped-def]
    """Union of core points within reach of each other; each border point to its nearest core point."""
    n = len(x)
    parent = np.arange(n).astype(np.int32)
    nearest = np.full(n if len(core) else 0, -1, np.int32)
    distance = np.empty(len(nearest))
    left, right, cursor = np.empty(BATCH, np.int64), np.empty(BATCH, np.int64), start(grid)
    found = BATCH
    while found == BATCH:
        found = candidates(grid, x, y, t, t, cursor, left, right)
        for k in range(found):
            i, j = left[k], right[k]
            squared = _squared(x, y, t, i, j)
            if not squared <= 1.0:
                continue
            if not len(core) or (core[i] and core[j]):
                union(parent, i, j)
            elif core[i] and _nearer(x, y, t, i, nearest[j], squared, distance[j]):
                nearest[j], distance[j] = i, squared
            elif core[j] and _nearer(x, y, t, j, nearest[i], squared, distance[i]):
                nearest[i], distance[i] = j, squared
    for i in range(len(nearest)):
        if not core[i] and nearest[i] >= 0:
            parent[i] = find(parent, nearest[i])
    return parent


@njit(cache=True)
def _roots(parent):  # type: ignore[no-untyped-def]
    out = np.empty(len(parent), np.int32)
    for i in range(len(parent)):
        out[i] = find(parent, i)
    return out


@njit(cache=True)
def _name(parent, noise, order, n):  # type: ignore[no-untyped-def]
    """Labels 0, 1, … by first appearance in the order of the rows."""
    root = np.full(n, -1, np.int32)
    for k in range(len(order)):
        if not (len(noise) and noise[k]):
            root[order[k]] = find(parent, k)
    label_of = np.full(len(order), -1, np.int32)
    labels = np.empty(n, np.int64)
    clusters = 0
    for i in range(n):
        labels[i] = -1
        if root[i] >= 0:
            if label_of[root[i]] < 0:
                label_of[root[i]] = clusters
                clusters += 1
            labels[i] = label_of[root[i]]
    return labels


def density_clusters(
    east_m: Floats, north_m: Floats, at_s: Floats, reach_m: float, gap_s: float, min_points: int = 1
) -> Ints:
    """The cluster of each point, as DBSCAN has it in the space (east / reach, north / reach, at / gap).

    Two points are neighbours when their distance there is at most 1. A point with at least `min_points`
    neighbours, itself included, is a core point; clusters are what core points reach from one to the next.
    A point that is not core but has core neighbours belongs to the nearest of them (of equally near ones, to
    the first by east, then north, then time), whatever the order of the rows; DBSCAN as published leaves this
    to the order, and agrees wherever all its core neighbours are of one cluster.

    Parameters
    ----------
    east_m, north_m, at_s
        (n,) float64.
    reach_m, gap_s
        Both > 0 (not checked).
    min_points
        1 puts every point into a cluster.

    Returns
    -------
    (n,) int64
        0, 1, … by first appearance; `NOISE` for points with too few neighbours, and for points with a value
        that is not finite, which are nobody's neighbour. Cost grows with the number of points and of pairs
        within reach; memory with the number of points alone.

    References
    ----------
    Ester, Kriegel, Sander, Xu (1996), A density-based algorithm for discovering clusters.
    """
    grid = build(east_m, north_m, at_s, np.array([gap_s]), np.array([reach_m / np.sqrt(2.0)]))
    x, y, t = (_scaled(v, s, grid.order) for v, s in ((east_m, reach_m), (north_m, reach_m), (at_s, gap_s)))
    core = np.empty(0, np.bool_)
    if min_points > 2:  # with 2, a point with any neighbour is core
        core = _count(grid, x, y, t) >= min_points
    parent = _join(grid, x, y, t, core)
    noise = np.empty(0, np.bool_)
    if min_points > 1:
        root = _roots(parent)
        noise = np.bincount(root, minlength=len(root))[root] == 1
        if len(core):
            noise &= ~core
    return np.asarray(_name(parent, noise, grid.order, len(east_m)), np.int64)


@njit(cache=True)
def _link(grid, s, begins, ends, gate, threshold, keep):  # type: ignore[no-untyped-def]
    """Union and best log ratio of linked statements and, with `keep`, the links themselves."""
    n = len(s.at_s)
    parent = np.arange(n).astype(np.int32)
    best = np.full(n, -np.inf)
    kept = 0
    out_i, out_j = np.empty(BATCH if keep else 0, np.int64), np.empty(BATCH if keep else 0, np.int64)
    out = np.empty(len(out_i))
    left, right, cursor = np.empty(BATCH, np.int64), np.empty(BATCH, np.int64), start(grid)
    found = BATCH
    while found == BATCH:
        found = candidates(grid, s.east_m, s.north_m, begins, ends, cursor, left, right)
        for k in range(found):
            i, j = left[k], right[k]
            if s.group[i] != s.group[j] or begins[i] > ends[j] or begins[j] > ends[i]:
                continue
            if not squared_distance(s, i, j) <= gate * gate:
                continue
            value = log_ratio(s, i, j)
            if not value > threshold:
                continue
            union(parent, i, j)
            best[i], best[j] = max(best[i], value), max(best[j], value)
            if keep:
                if kept == len(out):
                    out_i = np.concatenate((out_i, np.empty_like(out_i)))
                    out_j = np.concatenate((out_j, np.empty_like(out_j)))
                    out = np.concatenate((out, np.empty_like(out)))
                out_i[kept], out_j[kept], out[kept] = grid.order[i], grid.order[j], value
                kept += 1
    return parent, best, out_i[:kept], out_j[:kept], out[:kept]


def _soft_grid(statements: Statements, gate: float) -> tuple[Grid, Statements, Floats, Floats]:
    begins, length = window(statements)
    half, spread = (statements.var_e + statements.var_n) / 2, (statements.var_e - statements.var_n) / 2
    reach = gate * np.sqrt(half + np.hypot(spread, statements.cov_en))
    grid = build(statements.east_m, statements.north_m, begins, length, reach)
    begins, length = begins[grid.order], length[grid.order]
    return grid, in_order(statements, grid.order), begins, begins + length


def linked(statements: Statements, gate: float, threshold: float = 0.0) -> tuple[Ints, Floats]:
    """What statements are joined by links, and each one's strongest link.

    Two are linked when their distance is at most `gate` in units of their joint ellipse and their log ratio is
    above `threshold`.

    Returns
    -------
    (n,) int64
        Labels 0, 1, … by first appearance; a statement without links, or with a value that is not finite where
        one is needed, is alone in its cluster.
    (n,) float64
        The greatest log ratio of its links; -inf without links.
    """
    n = len(statements.at_s)
    grid, ordered, begins, ends = _soft_grid(statements, gate)
    parent, best, _, _, _ = _link(grid, ordered, begins, ends, gate, threshold, False)
    root = np.arange(n, dtype=np.int32)
    root[grid.order] = grid.order[_roots(parent)]
    strongest = np.full(n, -np.inf)
    strongest[grid.order] = best
    return np.asarray(_name(root, np.empty(0, np.bool_), np.arange(n, dtype=np.int32), n)), strongest


def links(statements: Statements, gate: float, threshold: float = 0.0) -> tuple[Ints, Ints, Floats]:
    """The pairs (i, j), i < j, that `linked` joins, sorted, and their log ratios."""
    grid, ordered, begins, ends = _soft_grid(statements, gate)
    _, _, i, j, ratio = _link(grid, ordered, begins, ends, gate, threshold, True)
    i, j = np.minimum(i, j), np.maximum(i, j)
    order = np.lexsort((j, i))
    return i[order], j[order], ratio[order]
