"""From what a radar measures, slant range and azimuth, to a place on the ground and how sure it is.

The slant range is taken down by the heights of target and radar on a sphere that fits the ellipsoid at the radar;
refraction is left out (it bends the path by some metres of range within 250 km). Where the height of the target is
not known, it lies between the radar's own and `HIGHEST_M`: the range is the middle of what these allow, and its
error grows by their spread.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyproj

from truceline.agreement import Assumption

Array = npt.NDArray[np.float64]

_STANDARD = "as EUROCONTROL's radar standard of 1997 (SUR.ET1.ST01) is quoted: {}; a mobile radar is worse"
#: 1-sigma errors of a plot, unless the mission file gives the radar's own.
RANGE_SIGMA_M = Assumption(70.0, _STANDARD.format("slant range of a monopulse radar, random error"))
AZIMUTH_SIGMA_DEG = Assumption(0.08, _STANDARD.format("azimuth of a monopulse radar, random error"))
PRIMARY_RANGE_SIGMA_M = Assumption(120.0, _STANDARD.format("slant range of a primary radar, random error"))
PRIMARY_AZIMUTH_SIGMA_DEG = Assumption(0.15, _STANDARD.format("azimuth of a primary radar, random error"))
#: 1-sigma error of a height that is a flight level: pressure against true height, with the weather of the day.
HEIGHT_SIGMA_M = Assumption(150.0, "30 hPa of weather are 250 m; half of it", "low")
#: Aircraft of unknown height are not higher than this.
HIGHEST_M = 12_000.0
#: Closer than this, overhead, range says nothing of where: errors are computed as if from here.
_OVERHEAD_M = 1_000.0

_GEODESIC = pyproj.Geod(ellps="WGS84")


class Site(NamedTuple):
    """Radars by row: degrees, height of the antenna, and 1-sigma errors; NaN for none."""

    lon: Array
    lat: Array
    alt_m: Array
    range_sigma_m: Array
    azimuth_sigma_deg: Array


class Placed(NamedTuple):
    """Where plots are: degrees, 1-sigma ellipses with tilt from true north, and how north turns on the way there."""

    lon: Array
    lat: Array
    major_m: Array
    minor_m: Array
    tilt_deg: Array
    turn_deg: Array  # true bearing at the plot = bearing at the radar + this


def place(slant_m: Array, azimuth_deg: Array, height_m: Array, site: Site) -> Placed:
    """Plots on the ellipsoid.

    Parameters
    ----------
    slant_m, azimuth_deg
        (n,) measured; azimuth from true north at the radar.
    height_m
        (n,) of the target; NaN: not known. One that the slant range cannot reach counts as not known.
    """
    ground_m, sigma_m = _ground(slant_m, height_m, site)
    known = np.isfinite(ground_m + azimuth_deg + site.lon + site.lat)
    a, b, c, d = (np.where(known, v, 0.0) for v in (site.lon, site.lat, azimuth_deg, ground_m))
    lon, lat, back = _GEODESIC.fwd(a, b, c, d)
    across_m = np.maximum(ground_m * np.radians(site.azimuth_sigma_deg), 1.0)
    outward = np.mod(back + 180.0, 360.0)
    along = sigma_m >= across_m
    values = (
        lon,
        lat,
        np.maximum(sigma_m, across_m),
        np.minimum(sigma_m, across_m),
        np.mod(np.where(along, outward, outward + 90.0), 180.0),
        np.mod(outward - azimuth_deg + 180.0, 360.0) - 180.0,
    )
    return Placed(*(np.where(known, v, np.nan) for v in values))


def turn_deg(from_lon: Array, from_lat: Array, lon: Array, lat: Array) -> Array:
    """How far north at a point is turned from north at a plane's origin, degrees, to add to bearings of the plane."""
    known = np.isfinite(from_lon + from_lat + lon + lat)
    a, b, c, d = (np.where(known, v, 0.0) for v in (from_lon, from_lat, lon, lat))
    there, back, _ = _GEODESIC.inv(a, b, c, d)
    return np.where(known, np.mod(back + 180.0 - there + 180.0, 360.0) - 180.0, 0.0)


def _ground(slant_m: Array, height_m: Array, site: Site) -> tuple[Array, Array]:
    """Distance at sea level and its 1-sigma error."""
    low = _ground_at(slant_m, site.alt_m, site)
    high = np.nan_to_num(_ground_at(slant_m, np.maximum(site.alt_m, HIGHEST_M), site), nan=0.0)
    known = _ground_at(slant_m, height_m, site)
    blind = np.isnan(known)
    ground = np.where(blind, (low + high) / 2, known)
    over = np.maximum(ground, _OVERHEAD_M)
    by_range = site.range_sigma_m * slant_m / over
    by_height = np.where(
        blind, (low - high) / np.sqrt(12.0), np.abs(height_m - site.alt_m) / over * HEIGHT_SIGMA_M.value
    )
    return ground, np.maximum(np.hypot(np.minimum(by_range, slant_m), by_height), 1.0)


def _ground_at(slant_m: Array, height_m: Array, site: Site) -> Array:
    """Distance at sea level of a target of known height; NaN where the slant range is too short for it."""
    radius = _radius_m(site.lat)
    rise = height_m - site.alt_m
    sine2 = (slant_m**2 - rise**2) / (4 * (radius + site.alt_m) * (radius + height_m))
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * radius * np.arcsin(np.sqrt(np.where(sine2 < 0, np.nan, sine2))))


def _radius_m(lat_deg: Array) -> Array:
    """Radius of the sphere that fits the ellipsoid at a latitude (Gauss): the root of its two radii's product."""
    a, e2 = _GEODESIC.a, _GEODESIC.es
    return np.asarray(a * np.sqrt(1 - e2) / (1 - e2 * np.sin(np.radians(lat_deg)) ** 2))
