"""WGS 84 degrees to the theatre's local metres and back; directions; ellipses.

One azimuthal-equidistant plane per theatre. Distances from its centre are exact; elsewhere the scale is
off by at most about (d / R)^2 / 6 (0.12 % at 540 km), but grid north turns away from true north by several
degrees, so every bearing, course and tilt is turned by the local convergence.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyproj

Array = npt.NDArray[np.float64]

_GEODESIC = pyproj.Geod(ellps="WGS84")
_WINDS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")


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
        """East and north, metres, float64, of the shape given. NaN or out-of-range degrees give NaN."""
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        good = (np.abs(lon) <= 180) & (np.abs(lat) <= 90)
        east, north = self._projection(np.where(good, lon, self.lon), np.where(good, lat, self.lat))
        return np.where(good, east, np.nan), np.where(good, north, np.nan)

    def to_degrees(self, east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> tuple[Array, Array]:
        """Longitude and latitude, the inverse of `to_local`. NaN gives NaN."""
        east, north = np.asarray(east_m, np.float64), np.asarray(north_m, np.float64)
        good = np.isfinite(east) & np.isfinite(north)
        lon, lat = self._projection(np.where(good, east, 0.0), np.where(good, north, 0.0), inverse=True)
        return np.where(good, lon, np.nan), np.where(good, lat, np.nan)

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
        good = (np.abs(lon) <= 180) & (np.abs(lat) <= 90)
        # Interpolated on a lattice of a quarter of a degree, from the origin of degrees so that a point's value is
        # its own: within 2e-6 degrees of what its corners' formula gives there, for an eighth of the time.
        x, y = np.where(good, lon, self.lon) * 4 + 720, np.where(good, lat, self.lat) * 4 + 360
        column, row = (np.floor(v).astype(np.int64) for v in (x, y))
        cells, cell = np.unique(column * 1024 + row, return_inverse=True)
        west, south, cell = cells // 1024, cells % 1024, cell.reshape(lon.shape)
        u, v = x - column, y - row
        sw, nw, se, ne = (self._convergence(west + e, south + n)[cell] for e in (0, 1) for n in (0, 1))
        turned = (sw * (1 - v) + nw * v) * (1 - u) + (se * (1 - v) + ne * v) * u
        return np.where(good, turned, np.nan)

    def _convergence(self, column: npt.NDArray[np.int64], row: npt.NDArray[np.int64]) -> Array:
        """At corners of the lattice: which way 50 m of true north goes on the plane, to 0.01 degrees of geodesics."""
        lon, lat = np.minimum(column / 4 - 180, 180.0), np.minimum(row / 4 - 90, 90.0)
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
    """Distance in metres and true bearing (0 <= b < 360) from one point to another, on the ellipsoid."""
    a, b, c, d = np.broadcast_arrays(lon, lat, to_lon, to_lat)
    forward, _, distance = _GEODESIC.inv(a, b, c, d)
    return np.asarray(distance), np.mod(forward, 360.0)


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
