"""Slow and obvious twins of the geometry kernels. They share no code with them, nor the direction of their rays."""

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import shapely
from scipy.integrate import quad
from scipy.special import ndtr

Edge = tuple[float, float, float, float]


def edges(area: shapely.Geometry) -> Iterator[Edge]:
    """Every edge of every ring, as drawn."""
    for part in shapely.get_parts([area]):
        for ring in (part.exterior, *part.interiors):
            points = list(ring.coords)
            for (x1, y1, *_), (x2, y2, *_) in pairwise(points):
                yield x1, y1, x2, y2


def inside(area: shapely.Geometry, east_m: float, north_m: float) -> bool:
    """The border rule taken at its word: the point really is moved a hair east, and far less north, in exact
    fractions; then a ray goes due south and crossings are counted."""
    x, y = Fraction(east_m) + Fraction(1, 10**40), Fraction(north_m) + Fraction(1, 10**80)
    crossings = 0
    for edge in edges(area):
        x1, y1, x2, y2 = map(Fraction, edge)
        if min(x1, x2) <= x < max(x1, x2):
            crossings += y1 + (x - x1) * (y2 - y1) / (x2 - x1) < y
    return crossings % 2 == 1


def probability(area: shapely.Geometry, mean: npt.ArrayLike, covariance: npt.ArrayLike) -> float:
    """A bivariate normal over a polygon: slices across it, each a difference of normal distribution functions,
    summed by adaptive quadrature between the heights of the corners."""
    lower = np.linalg.cholesky(np.asarray(covariance, float))
    whitened = [
        (*np.linalg.solve(lower, np.subtract(edge[:2], mean)), *np.linalg.solve(lower, np.subtract(edge[2:], mean)))
        for edge in edges(area)
    ]

    def slice_at(y: float) -> float:
        crossed = sorted(x1 + (y - y1) / (y2 - y1) * (x2 - x1) for x1, y1, x2, y2 in whitened if (y1 > y) != (y2 > y))
        width = sum(ndtr(east) - ndtr(west) for west, east in zip(crossed[::2], crossed[1::2], strict=True))
        return math.exp(-0.5 * y * y) / math.sqrt(2 * math.pi) * width

    heights = sorted({min(max(y, -9.0), 9.0) for _, y1, _, y2 in whitened for y in (y1, y2)})
    return sum(quad(slice_at, low, high, epsabs=1e-10)[0] for low, high in pairwise(heights))


def nearest(parts: list[npt.NDArray[np.float64]], east_m: float, north_m: float) -> tuple[float, float]:
    """Distance to the nearest place of polylines, and its chainage, gaps not counted."""
    best, chainage, walked = math.inf, math.nan, 0.0
    for points in parts:
        for (x1, y1), (x2, y2) in pairwise(points):
            length = math.hypot(x2 - x1, y2 - y1)
            share = 0.0
            if length:
                share = min(max(((east_m - x1) * (x2 - x1) + (north_m - y1) * (y2 - y1)) / length**2, 0.0), 1.0)
            away = math.hypot(east_m - x1 - share * (x2 - x1), north_m - y1 - share * (y2 - y1))
            if away < best - 1e-9:
                best, chainage = away, walked + share * length
            walked += length
    return best, chainage
