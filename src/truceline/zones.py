"""Many areas at once: which points lie in which, and with what probability."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from truceline.kernels import gaussian, polygon

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class ZoneIndex:
    """An index over areas in one plane (local metres): polygons, multipolygons, holes and all.

    A point on a border counts as if it lay a hair to the east, and by far less to the north, so that of two
    zones sharing a border exactly one holds it (`truceline.kernels.polygon` says it in full).

    Parameters
    ----------
    areas
        Shapely geometries. Those that break the rules of shapes are mended first (`mended`); what is not an
        area in them (lines, points) is left out. An area may be empty, the list too.
    cells
        About how many cells the raster gets: a matter of speed alone.
    """

    def __init__(self, areas: Sequence[BaseGeometry], cells: int = 2**18) -> None:
        self.count = len(areas)
        edges, first = _edges(mended(np.asarray(areas, object)))
        self._zones = polygon.index_zones(edges, first, cells)

    @property
    def indexed(self) -> polygon.Zones:
        """The index itself, for kernels that ask it otherwise."""
        return self._zones

    def members(self, east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> tuple[Integers, Integers]:
        """Pairs (point index, zone index), sorted; a point with NaN is in no zone."""
        east, north = rows(east_m, north_m)
        points, zones = polygon.members(self._zones, east, north)
        return points, zones

    def probability(
        self,
        east_m: npt.ArrayLike,
        north_m: npt.ArrayLike,
        var_e: npt.ArrayLike,
        cov_en: npt.ArrayLike,
        var_n: npt.ArrayLike,
        least: float = 1e-6,
    ) -> tuple[Integers, Integers, Floats]:
        """Pairs (point index, zone index) with the probability that the point, known as a normal distribution,
        lies in the zone, where it is more than `least`. Exact within 1e-6, never cut at a border.

        Variances in metres squared; zero is a point. A row with NaN, or with numbers that are no covariance,
        gives no pair, which is not "not there": tell such rows apart before asking.
        """
        points, zones, p = gaussian.gaussian_members(
            self._zones, *rows(east_m, north_m, var_e, cov_en, var_n), float(least)
        )
        return points, zones, p

    def probability_in(
        self,
        zone: int,
        east_m: npt.ArrayLike,
        north_m: npt.ArrayLike,
        var_e: npt.ArrayLike,
        cov_en: npt.ArrayLike,
        var_n: npt.ArrayLike,
    ) -> Floats:
        """The probability of every row in one zone; NaN where nothing can be said."""
        if not 0 <= zone < self.count:
            raise IndexError(f"zone {zone} of {self.count}")
        columns = rows(east_m, north_m, var_e, cov_en, var_n)
        return np.asarray(gaussian.gaussian_in_polygon(self._zones, zone, *columns))


def mended(areas: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Areas, those whose rings cross or touch themselves made valid (structure method: holes stay holes)."""
    bad = ~shapely.is_valid(areas)
    if bad.any():
        areas = areas.copy()
        areas[bad] = shapely.make_valid(areas[bad], method="structure", keep_collapsed=False)
    return areas


def polygons(areas: npt.NDArray[np.object_]) -> tuple[npt.NDArray[np.object_], Integers]:
    """The single polygons in geometries of any kind, and which geometry each comes from; the rest is left out."""
    parts, owner = shapely.get_parts(areas, return_index=True)
    while (collections := shapely.get_type_id(parts) > 3).any():
        parts, inner = shapely.get_parts(np.where(collections, parts, parts), return_index=True)
        owner = owner[inner]
    areal = (shapely.get_type_id(parts) == 3) & ~shapely.is_empty(parts)
    return parts[areal], owner[areal].astype(np.int64)


def _edges(areas: npt.NDArray[np.object_]) -> tuple[Floats, Integers]:
    """The edges of all rings as the kernel wants them: interior to the left, grouped by area."""
    parts, owner = polygons(areas)
    rings, part = shapely.get_rings(shapely.orient_polygons(parts), return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    same = (ring[1:] == ring[:-1]) & (points[1:] != points[:-1]).any(axis=1)
    begin = np.flatnonzero(same)
    edges = np.empty((len(begin), 4))
    edges[:, :2], edges[:, 2:] = points[begin], points[begin + 1]
    zone = owner[part][ring[begin]]
    return edges, np.searchsorted(zone, np.arange(len(areas) + 1)).astype(np.int64)


def rows(*columns: npt.ArrayLike) -> tuple[Floats, ...]:
    """Columns as kernels take them: float64, one length (a scalar is repeated), contiguous, and writeable, because a
    read-only array (an Arrow column is one) would have every kernel compiled a second time."""
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(column, np.float64)) for column in columns))
    return tuple(np.require(array, np.float64, ["C", "W"]) for array in arrays)
