"""Tracks beside truth: where each was at common instants, and which track belongs to which object.

Distances are straight lines between points of the WGS 84 ellipsoid, so that no map projection is needed and a
scene may lie anywhere; up to 100 km they are within 1 m of the geodesic. Altitude has no part in them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from truceline.errors import SourceError
from truceline.kernels.metrics import brackets
from truceline.observation import to_numpy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_A_M, _E2 = 6_378_137.0, 6.69437999014e-3  # of the WGS 84 ellipsoid
#: Instants are matched in blocks of about so many positions: 100 MB at most, unless everything is in one place.
_BLOCK = 200_000


@dataclass(frozen=True)
class Paths:
    """Moving things as points: `first[i] : first[i + 1]` are those of thing i, in the order of time."""

    names: list[str]  # sorted
    first: Ints
    at_s: Floats
    normal: Floats  # (n, 3) the ellipsoid's outward normal: a position without poles or date line
    velocity_mps: Floats  # (n, 2) east, north, as stated; NaN where it is not
    alt_m: Floats

    @classmethod
    def of(cls, table: pa.Table, key: str, what: str) -> "Paths":
        """From columns `key`, at, lon, lat and, where there are any, speed_mps, course_deg, alt_m.

        Raises
        ------
        SourceError
            Where a column is absent, or a row has no name, time or place.
        """
        for name in (key, "at", "lon", "lat"):
            if name not in table.column_names:
                raise SourceError(f"{what}: there is no column {name!r} among {', '.join(table.column_names)}")
        words, code = _coded(table[key])
        at, lon, lat = (to_numpy(table[name]).astype(np.float64) for name in ("at", "lon", "lat"))
        good = (code >= 0) & np.isfinite(at) & (np.abs(lon) <= 180) & (np.abs(lat) <= 90)
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            said = ", ".join(f"{name} = {table[name][row].as_py()}" for name in (key, "at", "lon", "lat"))
            raise SourceError(f"{what}: row {row + 1}: {said}: a name, a time and a place on the globe are needed")
        speed, course, alt = (_optional(table, name) for name in ("speed_mps", "course_deg", "alt_m"))
        order = np.lexsort((alt, course, speed, lat, lon, at, code))
        code = code[order]
        at, lon, lat, speed, course, alt = (v[order] for v in (at, lon, lat, speed, course, alt))
        east, north = speed * np.sin(np.radians(course)), speed * np.cos(np.radians(course))
        standing = speed == 0  # has a velocity, whatever its course
        velocity = np.column_stack([np.where(standing, 0.0, east), np.where(standing, 0.0, north)])
        x, y = np.radians(lon), np.radians(lat)
        normal = np.column_stack([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)])
        first = np.searchsorted(code, np.arange(len(words) + 1)).astype(np.int64)
        return cls(words, first, at, normal, velocity, alt)


@dataclass(frozen=True)
class States:
    """Where things were at instants, sorted by instant, then thing."""

    instant: Ints
    thing: Ints
    normal: Floats  # (m, 3)
    velocity_mps: Floats  # (m, 2) NaN where nothing says
    alt_m: Floats
    known: Bools  # False between points too far apart

    @property
    def position_m(self) -> Floats:
        """(m, 3) earth-centred."""
        return _position(self.normal)

    def degrees(self) -> tuple[Floats, Floats]:
        """Longitude, latitude."""
        x, y, z = self.normal.T
        return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


@dataclass(frozen=True)
class Matched:
    """Truth and tracks at the instants, and for each what it was matched with."""

    truth: Paths
    tracks: Paths
    instants_s: Floats
    truths: States  # known ones only
    points: States  # those near an object of which nothing is known at the time are left out
    track_of: Ints  # (truths,) row of `points`, -1 missed
    truth_of: Ints  # (points,) row of `truths`, -1 unmatched
    near: Ints  # (points,) row of `truths` it is nearest to within the cutoff, -1 for none
    distance_m: Floats  # (truths,) NaN where missed


def states(paths: Paths, instants_s: Floats, gap_s: float) -> States:
    """Positions, velocities and altitudes at the instants, straight between points."""
    instant, thing, row, share, known = brackets(paths.first, paths.at_s, instants_s, float(gap_s))
    last = row == paths.first[thing + 1] - 1
    after = np.where(last, row, row + 1)
    normal = paths.normal[row] + share[:, None] * (paths.normal[after] - paths.normal[row])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    stated = (1 - share)[:, None] * paths.velocity_mps[row] + share[:, None] * paths.velocity_mps[after]
    stated = np.where(share[:, None] == 0, paths.velocity_mps[row], stated)
    begin = np.where(last & (row > paths.first[thing]), row - 1, row)
    slope = _slope(paths, normal, begin, np.where(begin < row, row, after))
    velocity = np.where(np.isnan(stated), slope, stated)
    alt = np.where(share == 0, paths.alt_m[row], (1 - share) * paths.alt_m[row] + share * paths.alt_m[after])
    return States(instant, thing, normal, velocity, alt, known)


def matched(
    truth: Paths, tracks: Paths, instants_s: Floats, cutoff_m: float, order: float, truth_gap_s: float, gap_s: float
) -> Matched:
    """At each instant the one-to-one matching with the least sum of distance^order + cutoff^order / 2 a miss or false.

    Of matchings that are equally good, one that depends on names and positions alone.
    """
    all_truths = states(truth, instants_s, truth_gap_s)
    truths, unknown = _only(all_truths, all_truths.known), _only(all_truths, ~all_truths.known)
    points = states(tracks, instants_s, gap_s)
    points = _only(points, points.known)
    track_of, truth_of = np.full(len(truths.instant), -1), np.full(len(points.instant), -1)
    near, distance = np.full(len(points.instant), -1), np.full(len(truths.instant), np.nan)
    aside = np.zeros(len(points.instant), np.bool_)
    for i, j, d in _pairs(truths, points, cutoff_m):
        left, right = assigned(i, j, cutoff_m**order - d**order)
        track_of[left], truth_of[right] = right, left
        at = np.searchsorted(i * len(points.instant) + j, left * len(points.instant) + right)
        distance[left] = d[at]
        closest = np.lexsort((i, d, j))
        j_sorted = j[closest]
        heads = closest[np.flatnonzero(np.diff(j_sorted, prepend=-1))]
        near[j[heads]] = i[heads]
    for _, j, _ in _pairs(unknown, points, cutoff_m):
        aside[j] = True
    keep = ~aside | (truth_of >= 0)
    place = np.cumsum(keep) - 1
    track_of = np.where(track_of >= 0, place[track_of], -1) if len(place) else track_of
    return Matched(
        truth, tracks, instants_s, truths, _only(points, keep), track_of, truth_of[keep], near[keep], distance
    )


def assigned(i: Ints, j: Ints, gain: Floats) -> tuple[Ints, Ints]:
    """The one-to-one matching of greatest summed gain; exact, component by component.

    Parameters
    ----------
    i, j, gain
        (e,) pairs that may be matched, sorted by i, then j, each once; gains above 0.

    Returns
    -------
    (i, j) of the pairs taken, sorted.
    """
    if not len(i):
        return i, j
    rows, ri = np.unique(i, return_inverse=True)
    columns, cj = np.unique(j, return_inverse=True)
    size = len(rows) + len(columns)
    graph = coo_array((np.ones(len(i), np.int8), (ri, cj + len(rows))), shape=(size, size))
    label = connected_components(graph, directed=False)[1][ri]
    order = np.argsort(label, kind="stable")
    start = np.flatnonzero(np.diff(label[order], prepend=-1))
    stop = np.append(start[1:], len(order))
    taken = [order[start[stop - start == 1]]]
    for begin, end in zip(start[stop - start > 1], stop[stop - start > 1], strict=True):
        edges = order[begin:end]
        r, a = np.unique(ri[edges], return_inverse=True)
        c, b = np.unique(cj[edges], return_inverse=True)
        table, which = np.zeros((len(r), len(c))), np.full((len(r), len(c)), -1)
        table[a, b], which[a, b] = gain[edges], edges
        at = linear_sum_assignment(table, maximize=True)
        taken.append(which[at][which[at] >= 0])
    edges = np.sort(np.concatenate(taken))
    return i[edges], j[edges]


def _pairs(left: States, right: States, cutoff_m: float) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Pairs of one instant closer than the cutoff, sorted, with their distances; block by block of instants."""
    count = 1 + max(left.instant.max(initial=-1), right.instant.max(initial=-1))
    begins = [np.searchsorted(s.instant, np.arange(count + 1)) for s in (left, right)]
    block = (begins[0] + begins[1]) // _BLOCK
    for first in np.flatnonzero(np.diff(block[:-1], prepend=-1)):
        after = int(np.searchsorted(block[:-1], block[first], side="right"))
        (a, b), (c, d) = ((int(x[first]), int(x[after])) for x in begins)
        if a == b or c == d:
            continue
        p, q = left.position_m[a:b], right.position_m[c:d]
        middle = p.mean(axis=0)
        # a fourth axis keeps instants apart, so that one tree serves them all
        trees = [
            cKDTree(np.column_stack([position - middle, 2.0 * cutoff_m * (instant - first)]))
            for position, instant in ((p, left.instant[a:b]), (q, right.instant[c:d]))
        ]
        found = trees[0].sparse_distance_matrix(trees[1], cutoff_m, output_type="ndarray")
        i, j = found["i"].astype(np.int64), found["j"].astype(np.int64)
        distance = np.linalg.norm(p[i] - q[j], axis=1)
        near = distance < cutoff_m
        i, j, distance = i[near], j[near], distance[near]
        sort = np.lexsort((j, i))
        yield i[sort] + a, j[sort] + c, distance[sort]


def _position(normal: Floats) -> Floats:
    """Points of the ellipsoid from its normals, metres."""
    x, y, z = normal.T
    across = _A_M / np.sqrt(1 - _E2 * z * z)
    return np.column_stack([across * x, across * y, (1 - _E2) * across * z])


def _slope(paths: Paths, normal: Floats, begin: Ints, end: Ints) -> Floats:
    """East and north velocity from one point to another, seen at `normal`; NaN where both are one."""
    lasts = paths.at_s[end] - paths.at_s[begin]
    step = (_position(paths.normal[end]) - _position(paths.normal[begin])) / np.where(lasts > 0, lasts, np.nan)[:, None]
    x, y, z = normal.T
    level = np.maximum(np.hypot(x, y), 1e-12)  # at the poles any direction will do
    east = np.column_stack([-y / level, x / level, np.zeros(len(x))])
    north = np.column_stack([-z * x / level, -z * y / level, level])
    return np.column_stack([(step * east).sum(axis=1), (step * north).sum(axis=1)])


def _only(states: States, rows: Bools) -> States:
    return States(*(getattr(states, name)[rows] for name in States.__dataclass_fields__))


def _coded(column: pa.ChunkedArray) -> tuple[list[str], Ints]:
    """The distinct names, sorted as text (ids in hexadecimal), and which of them each row has; -1 for null."""
    encoded = pa.chunked_array(column).combine_chunks().dictionary_encode()
    values = [v.hex() if isinstance(v, bytes) else str(v) for v in encoded.dictionary.to_pylist()]
    order = sorted(range(len(values)), key=values.__getitem__)
    rank = np.full(len(values) + 1, -1, np.int64)
    rank[order] = np.arange(len(values))
    return [values[k] for k in order], rank[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def _optional(table: pa.Table, name: str) -> Floats:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return to_numpy(table[name]).astype(np.float64)
