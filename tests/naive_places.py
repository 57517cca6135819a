"""The slow, obvious twin of the gazetteer: every settlement against every point, on the ellipsoid."""

import numpy as np
import pyproj

from truceline.places import Gazetteer

GEOD = pyproj.Geod(ellps="WGS84")


def nearest(gazetteer: Gazetteer, lon: float, lat: float, population: int = 0) -> tuple[int, float]:
    """Row and distance in metres of the nearest settlement of at least `population`."""
    best, at = np.inf, -1
    for i in np.flatnonzero(gazetteer.population >= population):
        _, _, metres = GEOD.inv(lon, lat, gazetteer.lon[i], gazetteer.lat[i])
        if metres < best:
            best, at = metres, int(i)
    return at, best
