"""Error ellipses as polygons on the ellipsoid."""

from math import cos, pi, radians, sin, sqrt, tan

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]

#: WGS 84: half the major axis, metres, and the square of the first eccentricity.
_A, _E2 = 6_378_137.0, 0.0066943799901413165


@njit(cache=True)
def ellipses(
    lon: Floats, lat: Floats, major_m: Floats, minor_m: Floats, tilt_deg: Floats, corners: int
) -> tuple[Floats, Floats]:
    """Corners on ellipses round points, against the clock, the last the first again.

    Geodesics from the centre by Legendre's series to the third order: off by 1e-9 of the ellipse's size at 2 km, by
    1e-5 at 100 km, in middle latitudes.

    Returns
    -------
    (n, corners + 1, 2) degrees, and (n, 4) least and greatest longitude, least and greatest latitude; NaN where a
    number is.
    """
    out, boxes = np.empty((len(lon), corners + 1, 2)), np.empty((len(lon), 4))
    c, s = np.empty(corners), np.empty(corners)
    for k in range(corners):
        c[k], s[k] = cos(2 * pi * k / corners), -sin(2 * pi * k / corners)
    e2 = _E2 / (1 - _E2)  # second eccentricity
    for row in range(len(lon)):
        latitude, tilt = radians(lat[row]), radians(tilt_deg[row])
        t, eta2 = tan(latitude), e2 * cos(latitude) ** 2
        t2, v2 = t * t, 1 + eta2
        n = _A / sqrt(1 - _E2 * sin(latitude) ** 2)
        east_deg = 180 / pi / cos(latitude)
        sine, cosine = sin(tilt) / n, cos(tilt) / n
        for k in range(corners):
            along, across = major_m[row] * c[k], minor_m[row] * s[k]
            # across is to the right of along; u to the north and v to the east, in radii
            u, v = along * cosine - across * sine, along * sine + across * cosine
            north = u - 0.5 * t * v * v - 1.5 * eta2 * t * u * u
            north -= u * v * v * (1 + 3 * t2 + eta2 - 9 * eta2 * t2) / 6 + 0.5 * u * u * u * eta2 * (1 - t2)
            east = v + t * u * v + ((1 + 3 * t2 + eta2) * u * u * v - t2 * v * v * v) / 3
            x, y = lon[row] + east * east_deg, lat[row] + v2 * north * 180 / pi
            out[row, k, 0], out[row, k, 1] = x, y
            if k == 0:
                west, east_most, south, north_most = x, x, y, y
            west, east_most = min(west, x), max(east_most, x)
            south, north_most = min(south, y), max(north_most, y)
        out[row, corners, 0], out[row, corners, 1] = out[row, 0, 0], out[row, 0, 1]
        boxes[row, 0], boxes[row, 1], boxes[row, 2], boxes[row, 3] = west, east_most, south, north_most
    return out, boxes
