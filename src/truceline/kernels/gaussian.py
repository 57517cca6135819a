"""The exact probability that a bivariate normal distribution lies in a polygon.

It is the membership of the mean, corrected by one integral along each edge within six standard deviations
(Owen 1956): far edges cost nothing, and a distribution far from all borders costs as much as a point.
"""

import math

import numpy as np
from numba import njit

from truceline.kernels.polygon import Floats, Integers, Zones, contains, grown, left_of, slab_of

#: Edges farther than this from the mean, in standard deviations, are left out; exp(-6^2 / 2) = 1.5e-8 is what
#: they could add up to.
REACH_SIGMA = 6.0
#: An ellipse smaller than this is a point; a minor axis under this share of the major counts as that share
#: (a line has no probability to be on one side of itself, a strip this narrow has).
_POINT_M = 1e-6
_NARROWEST = 1e-6
# Gauss-Legendre, 4 points on panels up to 1.5 sigma and 2 on edges up to 1/8: errors under 3e-8 and 1e-9.
_PANEL, _SHORT = 1.5, 0.125
_NODES4 = (0.8611363115940526, 0.3399810435848563)
_WEIGHTS4 = (0.3478548451374538, 0.6521451548625461)
_NODE2 = 0.5773502691896258
# A short edge this many times its length away (squared, twice) needs no splitting: error under 1e-8.
_FAR = 2 * 6.0**2


@njit(cache=True, error_model="numpy")
def _axes(var_e: float, cov_en: float, var_n: float) -> tuple[float, float, float, float]:
    """Major and minor standard deviation and the major axis' direction (east, north); NaN where there is none."""
    middle, half = (var_e + var_n) / 2, (var_e - var_n) / 2
    spread = math.hypot(half, cov_en)
    if not (var_e >= 0.0 and var_n >= 0.0 and middle - spread >= -_NARROWEST * middle and middle < np.inf):
        return np.nan, np.nan, np.nan, np.nan
    turn = 0.5 * math.atan2(cov_en, half)
    major = math.sqrt(middle + spread)
    minor = max(math.sqrt(max(middle - spread, 0.0)), _NARROWEST * major)
    return major, minor, math.cos(turn), math.sin(turn)


@njit(cache=True, error_model="numpy")
def _smooth(s: float) -> float:
    """(exp(-s / 2) - 1) / s, which is -1/2 at 0."""
    if s < 1e-3:
        return -0.5 + s * (0.125 - s / 48.0)
    return (math.exp(-0.5 * s) - 1.0) / s


@njit(cache=True, error_model="numpy")
def _edge(distance: float, begin: float, end: float) -> float:
    """Probability between an edge, seen from the mean, and infinity, within `REACH_SIGMA`.

    All in standard deviations: `distance` of the edge's straight line from the mean, `begin` < `end` along it,
    from the foot of the perpendicular. With s = distance^2 + t^2 it is the integral over the edge of
    distance / s exp(-s / 2) dt / 2 pi: a difference of two of Owen's T. Near the mean it is split into the
    edge's angle and a part that is smooth however near the edge is.
    """
    if distance >= REACH_SIGMA:
        return 0.0
    square = distance * distance
    half_chord = math.sqrt(REACH_SIGMA * REACH_SIGMA - square)
    begin, end = max(begin, -half_chord), min(end, half_chord)
    length = end - begin
    if length <= 0.0:
        return 0.0
    total, middle, half = 0.0, (begin + end) / 2, length / 2
    if length <= _SHORT:
        step = half * _NODE2
        one, two = square + (middle - step) * (middle - step), square + (middle + step) * (middle + step)
        if one + two > _FAR * length * length:
            return distance * (math.exp(-0.5 * one) / one + math.exp(-0.5 * two) / two) * half / (2 * math.pi)
        total = (_smooth(one) + _smooth(two)) * half
    else:
        panels = math.ceil(length / _PANEL)
        half /= panels
        for panel in range(panels):
            middle = begin + (2 * panel + 1) * half
            for k in range(2):
                step = half * _NODES4[k]
                pair = _smooth(square + (middle - step) ** 2) + _smooth(square + (middle + step) ** 2)
                total += _WEIGHTS4[k] * half * pair
    angle = math.atan2(distance * length, square + begin * end)
    return (angle + distance * total) / (2 * math.pi)


@njit(cache=True, error_model="numpy")
def _probability(
    zones: Zones, zone: int, e: float, n: float, major: float, minor: float, cosine: float, sine: float
) -> float:
    """The probability of one normal distribution in one zone; the axes are those of `_axes`."""
    if math.isnan(e + n + major):
        return np.nan
    west, south, east, north = zones.bounds_m[zone]
    reach_e = REACH_SIGMA * math.hypot(major * cosine, minor * sine)
    reach_n = REACH_SIGMA * math.hypot(major * sine, minor * cosine)
    if not (e + reach_e >= west and e - reach_e <= east and n + reach_n >= south and n - reach_n <= north):
        return 0.0
    total = 1.0 if contains(zones, zone, e, n) else 0.0
    if major < _POINT_M:
        return total
    begin, count = zones.slab_first[zone], zones.slab_first[zone + 1] - zones.slab_first[zone]
    per_m, hair = zones.slabs_per_m[zone], 1e-12 * minor
    lowest, highest = slab_of(n - reach_n, south, per_m, count), slab_of(n + reach_n, south, per_m, count)
    for slab in range(lowest, highest + 1):
        for i in range(zones.edge_first[begin + slab], zones.edge_first[begin + slab + 1]):
            x1, y1, x2, y2 = zones.edges_m[i, 0], zones.edges_m[i, 1], zones.edges_m[i, 2], zones.edges_m[i, 3]
            if y2 < n - reach_n or y1 > n + reach_n or min(x1, x2) > e + reach_e or max(x1, x2) < e - reach_e:
                continue
            if slab != max(slab_of(y1, south, per_m, count), lowest):
                continue  # an edge that spans slabs is taken in the first of them
            # whitened: the ellipse becomes the unit circle about the origin
            dx1, dy1, dx2, dy2 = x1 - e, y1 - n, x2 - e, y2 - n
            if dx1 == 0.0 and dy1 == 0.0:
                dx1 = -hair  # the border rule: the mean lies a hair to the east of the vertex
            if dx2 == 0.0 and dy2 == 0.0:
                dx2 = -hair
            u1, v1 = (dx1 * cosine + dy1 * sine) / major, (dy1 * cosine - dx1 * sine) / minor
            u2, v2 = (dx2 * cosine + dy2 * sine) / major, (dy2 * cosine - dx2 * sine) / minor
            along_u, along_v = u2 - u1, v2 - v1
            length = math.sqrt(along_u * along_u + along_v * along_v)
            if length == 0.0:
                continue  # shorter than rounding
            along_u, along_v = along_u / length, along_v / length
            # seen from the nearer end: with the mean a hair from a corner, the farther one's rounding is too coarse
            if u1 * u1 + v1 * v1 <= u2 * u2 + v2 * v2:
                distance, start = u1 * along_v - v1 * along_u, u1 * along_u + v1 * along_v
                stop = start + length
            else:
                distance, stop = u2 * along_v - v2 * along_u, u2 * along_u + v2 * along_v
                start = stop - length
            # on which side the mean lies must agree with `contains`, whatever rounding says
            left = left_of(x1, y1, x2, y2, e, n) or (y1 == y2 and n == y1)
            side = zones.turn[i] if left else -zones.turn[i]
            total -= side * _edge(abs(distance), start, stop)
    return min(max(total, 0.0), 1.0)


@njit(cache=True, error_model="numpy")
def gaussian_in_polygon(
    zones: Zones, zone: int, east_m: Floats, north_m: Floats, var_e: Floats, cov_en: Floats, var_n: Floats
) -> Floats:
    """The probability that each bivariate normal lies in one zone, within 1e-6.

    Parameters
    ----------
    zones : Zones
    zone : int64
        Which one.
    east_m, north_m : (n,) float64
        Means.
    var_e, cov_en, var_n : (n,) float64
        Covariances, metres squared. All zero: a point, judged by the border rule.

    Returns
    -------
    (n,) float64
        NaN where anything is NaN or infinite, or where the covariance is none (a negative variance, a
        correlation beyond 1). 0 for an empty zone.

    References
    ----------
    Owen (1956), Tables for computing bivariate normal probabilities; DiDonato and Hageman (1982), A method
    for computing the integral of the bivariate normal distribution over an arbitrary polygon.
    """
    p = np.empty(len(east_m))
    for i in range(len(east_m)):
        major, minor, cosine, sine = _axes(var_e[i], cov_en[i], var_n[i])
        p[i] = _probability(zones, zone, east_m[i], north_m[i], major, minor, cosine, sine)
    return p


@njit(cache=True, error_model="numpy")
def gaussian_members(
    zones: Zones, east_m: Floats, north_m: Floats, var_e: Floats, cov_en: Floats, var_n: Floats, least: float
) -> tuple[Integers, Integers, Floats]:
    """The probability that each bivariate normal lies in each zone, where it is more than `least`.

    Parameters as in `gaussian_in_polygon`; `least` of 0 or more.

    Returns
    -------
    point, zone : (p,) int64
        Pairs, sorted by point, then zone. A point with NaN, or without a covariance, gives no pair.
    p : (p,) float64
    """
    west_m, south_m, per_m = zones.corner_m
    columns, rows = zones.shape
    count = len(zones.slabs_per_m)
    room = 4 * len(east_m) + 1  # what is not written to costs no memory; copying would
    point, zone, p = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
    used = 0
    asked_by, near = np.zeros(count, np.int64), np.empty(count, np.int64)  # asked_by: point + 1
    for i in range(len(east_m)):
        major, minor, cosine, sine = _axes(var_e[i], cov_en[i], var_n[i])
        if math.isnan(east_m[i] + north_m[i] + major):
            continue
        reach_e = REACH_SIGMA * math.hypot(major * cosine, minor * sine)
        reach_n = REACH_SIGMA * math.hypot(major * sine, minor * cosine)
        west, east = (east_m[i] - reach_e - west_m) * per_m, (east_m[i] + reach_e - west_m) * per_m
        south, north = (north_m[i] - reach_n - south_m) * per_m, (north_m[i] + reach_n - south_m) * per_m
        if not (east >= 0.0 and west < columns and north >= 0.0 and south < rows):
            continue
        first_column, last_column = int(max(west, 0.0)), int(min(east, columns - 1.0))
        first_row, last_row = int(max(south, 0.0)), int(min(north, rows - 1.0))
        found = 0
        if (last_column - first_column + 1) * (last_row - first_row + 1) > count:  # a wide ellipse: ask every zone
            for k in range(count):
                near[k] = k
            found = count
        else:
            for row in range(first_row, last_row + 1):
                begin, end = row * columns + first_column, row * columns + last_column + 1
                for k in range(zones.entry_first[begin], zones.entry_first[end]):
                    candidate = zones.entries[k] // 2
                    if asked_by[candidate] != i + 1:
                        asked_by[candidate] = i + 1
                        place = found  # kept sorted by insertion: a handful of zones
                        while place > 0 and near[place - 1] > candidate:
                            near[place] = near[place - 1]
                            place -= 1
                        near[place] = candidate
                        found += 1
        for k in range(found):
            value = _probability(zones, near[k], east_m[i], north_m[i], major, minor, cosine, sine)
            if value > least:
                if used == len(point):
                    point, zone, p = grown(point), grown(zone), grown(p)
                point[used], zone[used], p[used] = i, near[k], value
                used += 1
    return point[:used], zone[:used], p[:used]
