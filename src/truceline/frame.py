"""WGS 84 degrees to the theatre's local metres and back; directions; ellipses.

One azimuthal-equidistant plane per theatre. Distances from its centre are exact; elsewhere the scale is
off by at most about (d / R)^2 / 6 (0.12 % at 540 km), but grid north turns away from true north by several
degrees, so every bearing, course and tilt is turned by the local convergence.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import pyproj

Array = npt.NDArray[np.float64]

_GEODESIC = pyproj.Geod(ellps="WGS84")
_WINDS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")


#: How far from the centre polynomials serve, and up to which latitude: beyond it, meridians crowd in a patch.
_REACH_M, _POLEMOST = 3_000_000.0, 80.0
#: The side of a patch of the plane: about a degree.
_PATCH_M = 100_000.0


class _Patches:
    """A map of the plane by polynomials over patches, each made when a point first lies in it."""

    def __init__(
        self, exact: Callable[[Array, Array], tuple[Array, Array]], x0: float, y0: float, size: float, nx: int, ny: int
    ) -> None:
        self.exact, self.grid, self.rows = exact, (x0, y0, size, nx), ny
        self._slot = np.full(nx * ny, -1, np.int64)
        self._by: Array | None = None

    def at(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Both values at points; NaN outside."""
        from truceline.kernels import patches  # numba takes half a second, and who only reads needs none of it

        x, y = np.array(x), np.array(y)  # writeable, as kernels want them
        patch = patches.patch_of(x, y, *self.grid, self.rows)
        asked = np.zeros(len(self._slot) + 1, np.bool_)
        asked[patch] = True  # -1 marks the last, which is no patch
        new = np.flatnonzero(asked[:-1] & (self._slot < 0))
        if len(new):
            self._make(new)
        if self._by is None:
            return np.full(len(x), np.nan), np.full(len(x), np.nan)
        a, b = patches.evaluate(x, y, *self.grid, patch, self._slot, self._by)
        return a, b

    def _make(self, new: npt.NDArray[np.int64]) -> None:
        from truceline.kernels import patches

        x0, y0, size, columns = self.grid
        along = (patches.nodes() + 1) / 2
        x = x0 + size * (new % columns)[:, None, None] + size * along[:, None]
        y = y0 + size * (new // columns)[:, None, None] + size * along
        x, y = np.broadcast_arrays(x, y)
        values = np.stack(self.exact(np.ascontiguousarray(x), np.ascontiguousarray(y)), axis=1)
        by = patches.coefficients(values)
        self._by = by if self._by is None else np.concatenate([self._by, by])
        self._slot[new] = len(self._by) - len(new) + np.arange(len(new))


@dataclass(frozen=True)
class Frame:
    """The local plane of a theatre; `radius_m` is how far from the centre it may be used."""

    lon: float
    lat: float
    radius_m: float = 800_000.0

    @cached_property
    def _projection(self) -> pyproj.Proj:
        return pyproj.Proj(proj="aeqd", lon_0=self.lon, lat_0=self.lat, ellps="WGS84", units="m")

    def to_local(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Array, Array]:
        """East and north, metres, float64, of the shape given. NaN or out-of-range degrees give NaN.

        Within a micrometre of PROJ: up to 3,000 km from the centre by polynomials, farther by PROJ itself.
        """
        lon, lat = np.broadcast_arrays(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
        east, north = self._patches[0].at(lon.ravel(), lat.ravel())
        far = np.flatnonzero(np.isnan(east) & (np.abs(lon.ravel()) <= 180) & (np.abs(lat.ravel()) <= 90))
        if len(far):
            east[far], north[far] = self._projection(lon.ravel()[far], lat.ravel()[far])
        return east.reshape(lon.shape), north.reshape(lon.shape)

    def to_degrees(self, east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> tuple[Array, Array]:
        """Longitude and latitude, the inverse of `to_local`. NaN gives NaN."""
        east, north = np.broadcast_arrays(np.asarray(east_m, np.float64), np.asarray(north_m, np.float64))
        lon, lat = self._patches[1].at(east.ravel(), north.ravel())
        far = np.flatnonzero(np.isnan(lon) & np.isfinite(east.ravel()) & np.isfinite(north.ravel()))
        if len(far):
            lon[far], lat[far] = self._projection(east.ravel()[far], north.ravel()[far], inverse=True)
        return lon.reshape(east.shape), lat.reshape(east.shape)

    @cached_property
    def _patches(self) -> "tuple[_Patches, _Patches, _Patches]":
        """Projection, its inverse and convergence round the centre; none where a pole or the date line is near."""
        reach_deg = math.degrees(_REACH_M / 6.3e6)
        top = min(abs(self.lat) + reach_deg, 90.0)
        wide_deg = reach_deg / math.cos(math.radians(top)) if top < _POLEMOST else 180.0
        exact = (self._projection, partial(self._projection, inverse=True), self._convergences)
        if abs(self.lon) + wide_deg >= 180.0:
            forth, back, turn = (_Patches(one, 0.0, 0.0, 1.0, 0, 0) for one in exact)
            return forth, back, turn
        west, south = math.floor(self.lon - wide_deg), math.floor(self.lat - reach_deg)
        columns, rows = math.ceil(2 * wide_deg) + 1, math.ceil(2 * reach_deg) + 1
        across = math.ceil(_REACH_M / _PATCH_M)
        return (
            _Patches(exact[0], west, south, 1.0, columns, rows),
            _Patches(exact[1], -across * _PATCH_M, -across * _PATCH_M, _PATCH_M, 2 * across, 2 * across),
            _Patches(exact[2], west, south, 1.0, columns, rows),
        )

    def _convergences(self, lon: Array, lat: Array) -> tuple[Array, Array]:
        """As the maps of patches are, of two values."""
        turned = self._convergence(lon, lat)
        return turned, turned

    def within(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether points lie within `radius_m` of the centre; False for NaN."""
        east, north = self.to_local(lon, lat)
        return np.hypot(east, north) <= self.radius_m

    def convergence_deg(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Array:
        """How far true north is turned from grid north, here: grid bearing = true bearing - convergence.

        Degrees; zero on the centre's meridian, negative west of it and positive east of it in the northern
        hemisphere (-5.0 at Odesa, -11.8 at Rzeszow, seen from the Donbas). NaN for NaN. The plane keeps angles
        not quite: other bearings than north are off by up to 0.06 degrees at 550 km, 0.17 at 1,150 km.
        """
        lon, lat = np.broadcast_arrays(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
        turned, _ = self._patches[2].at(lon.ravel(), lat.ravel())
        far = np.flatnonzero(np.isnan(turned) & (np.abs(lon.ravel()) <= 180) & (np.abs(lat.ravel()) <= 90))
        if len(far):
            turned[far] = self._convergence(lon.ravel()[far], lat.ravel()[far])
        return turned.reshape(lon.shape)

    def _convergence(self, lon: Array, lat: Array) -> Array:
        """Which way 50 m of true north goes on the plane, to 0.01 degrees of geodesics."""
        step = 50.0 / 111_132.0
        up_east, up_north = self.to_local(lon, np.minimum(lat + step, 90.0))
        down_east, down_north = self.to_local(lon, np.maximum(lat - step, -90.0))
        return -np.degrees(np.arctan2(up_east - down_east, up_north - down_north))

    def true_to_grid_deg(self, bearing_deg: npt.ArrayLike, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Array:
        """A true bearing as a bearing in the local plane, 0 <= b < 360."""
        return np.mod(np.asarray(bearing_deg, np.float64) - self.convergence_deg(lon, lat), 360.0)

    def grid_to_true_deg(self, bearing_deg: npt.ArrayLike, lon: npt.ArrayLike, lat: npt.ArrayLike) -> Array:
        """A bearing in the local plane as a true bearing, 0 <= b < 360."""
        return np.mod(np.asarray(bearing_deg, np.float64) + self.convergence_deg(lon, lat), 360.0)

    def covariance(
        self,
        lon: npt.ArrayLike,
        lat: npt.ArrayLike,
        major_m: npt.ArrayLike,
        minor_m: npt.ArrayLike,
        tilt_deg: npt.ArrayLike,
    ) -> tuple[Array, Array, Array]:
        """Variance east, covariance, variance north (metres squared, grid axes) of 1-sigma ellipses.

        `tilt_deg` is clockwise from true north; NaN anywhere gives NaN there.
        """
        tilt = np.radians(self.true_to_grid_deg(tilt_deg, lon, lat))
        major2, minor2 = np.square(np.asarray(major_m, np.float64)), np.square(np.asarray(minor_m, np.float64))
        s, c = np.sin(tilt), np.cos(tilt)
        return major2 * s * s + minor2 * c * c, (major2 - minor2) * s * c, major2 * c * c + minor2 * s * s

    def ellipse(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, var_e: npt.ArrayLike, cov_en: npt.ArrayLike, var_n: npt.ArrayLike
    ) -> tuple[Array, Array, Array]:
        """The inverse of `covariance`: major and minor axis, metres, tilt from true north, 0 <= tilt < 180."""
        var_e, cov, var_n = (np.asarray(v, np.float64) for v in (var_e, cov_en, var_n))
        middle, half = (var_e + var_n) / 2, (var_n - var_e) / 2
        spread = np.hypot(half, cov)
        tilt = 0.5 * np.degrees(np.arctan2(cov, half))
        minor = np.sqrt(np.maximum(middle - spread, 0.0))
        return np.sqrt(middle + spread), minor, np.mod(self.grid_to_true_deg(tilt, lon, lat), 180.0)


def geodesic(
    lon: npt.ArrayLike, lat: npt.ArrayLike, to_lon: npt.ArrayLike, to_lat: npt.ArrayLike
) -> tuple[Array, Array]:
    """Distance in metres and true bearing (0 <= b < 360) from one point to another, on the ellipsoid.

    Up to some 150 km within 4 mm and, beyond a kilometre, a millionth of a degree; farther, exactly.
    """
    from truceline.kernels.geodesic import inverse

    ends = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (lon, lat, to_lon, to_lat)))
    flat = [np.array(one.ravel()) for one in ends]
    distance, forward = inverse(*flat)
    far = np.flatnonzero(np.isnan(distance))
    if len(far):
        a, b, c, d = (one[far] for one in flat)
        forward[far], _, distance[far] = _GEODESIC.inv(a, b, c, d)
    return distance.reshape(ends[0].shape), np.mod(forward, 360.0).reshape(ends[0].shape)


def wind(bearing_deg: float, points: int = 16) -> str:
    """A bearing as one of 16 (or 8, 4) winds: `wind(44) == "NE"`; one half-way between two goes clockwise.

    NaN gives "an undetermined direction".
    """
    if not math.isfinite(bearing_deg):
        return "an undetermined direction"
    step = 16 // points
    return _WINDS[math.floor(bearing_deg / 360.0 * points + 0.5) % points * step]


def range_band(distance_m: float) -> str:
    """A distance as monitors give it: "less than 1km", "2-3km", "3-5km", "5-10km", "10-15km", "more than 15km".

    NaN gives "an undetermined distance".
    """
    if math.isnan(distance_m):
        return "an undetermined distance"
    km = distance_m / 1000.0
    bands: list[tuple[float, str]] = [
        (1, "less than 1km"),
        (2, "1-2km"),
        (3, "2-3km"),
        (5, "3-5km"),
        (10, "5-10km"),
        (15, "10-15km"),
    ]
    return next((name for limit, name in bands if km < limit), "more than 15km")
