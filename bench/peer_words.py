"""The peer's places in words: the nearest settlements on a sphere, told apart on the ellipsoid."""

from functools import cache

import numpy as np
import pyproj
from scipy.spatial import cKDTree

from truceline.places import FAR_KM, Gazetteer

GEODESIC = pyproj.Geod(ellps="WGS84")
WINDS = np.array(
    ["N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW"], object
)
_GAZETTEERS: dict[int, Gazetteer] = {}


def sphere(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    a, b = np.radians(lon), np.radians(lat)
    return np.column_stack([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)])


@cache
def tree_of(key: int, districts: bool) -> tuple[np.ndarray, cKDTree]:
    """Rows of a gazetteer and a tree of them; scikit-learn's ball tree on the haversine takes four times as long."""
    gazetteer = _GAZETTEERS[key]
    rows = np.arange(len(gazetteer.name)) if districts else np.flatnonzero(gazetteer.part_of == "")
    return rows, cKDTree(sphere(gazetteer.lon[rows], gazetteer.lat[rows]))


def candidates(gazetteer: Gazetteer, lon, lat, districts: bool):
    """The eight nearest settlements of each point, how far, and the bearing from there."""
    _GAZETTEERS[id(gazetteer)] = gazetteer
    rows, tree = tree_of(id(gazetteer), districts)
    good = np.isfinite(lon + lat)
    x, y = np.where(good, lon, 0.0), np.where(good, lat, 0.0)
    k = min(8, len(rows))
    found = np.sort(rows[tree.query(sphere(x, y), k=k)[1].reshape(-1, k)], axis=1)
    flat = found.ravel()
    bearing, _, far = GEODESIC.inv(gazetteer.lon[flat], gazetteer.lat[flat], np.repeat(x, k), np.repeat(y, k))
    far, bearing = np.reshape(far, found.shape), np.reshape(bearing, found.shape) % 360
    return found, np.where(good[:, None], far, np.nan), bearing


def nearest(gazetteer: Gazetteer, lon, lat, districts: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Row and metres of the nearest settlement; NaN where there is no position."""
    found, far, _ = candidates(gazetteer, lon, lat, districts)
    best, each = np.nan_to_num(far, nan=np.inf).argmin(axis=1), np.arange(len(found))
    return found[each, best], far[each, best]


def words(gazetteer: Gazetteer, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Each point as people say it, from the nearest settlement."""
    found, far, bearing = candidates(gazetteer, lon, lat, districts=False)
    good = np.isfinite(lon + lat)
    far = np.where(good[:, None], far, 0.0)
    radius = np.clip(np.sqrt(gazetteer.population / 4000.0 / np.pi), 1.0, 10.0)
    share = far / (1000 * radius[found])
    inside = share.min(axis=1) <= 1
    best = np.where(inside, share.argmin(axis=1), far.argmin(axis=1))
    each = np.arange(len(lon))
    name, km, bearing = gazetteer.name[found[each, best]], far[each, best] / 1000, bearing[each, best]
    whole = np.where(km < 20, np.maximum(1, np.round(km)), 5 * np.round(km / 5)).astype(int)
    step = np.where(km < 5, 2, 1)
    wind = WINDS[np.floor(bearing / 360 * (16 // step) + 0.5).astype(int) % (16 // step) * step]
    out = np.array(
        [f"{w} km {d} of {p}" for w, d, p in zip(whole.tolist(), wind.tolist(), name.tolist(), strict=True)], object
    )
    out[inside] = "in " + name[inside]
    for i in np.flatnonzero(km > FAR_KM):
        out[i] = f"{abs(lat[i]):.2f}° {'N' if lat[i] >= 0 else 'S'}, {abs(lon[i]):.2f}° {'E' if lon[i] >= 0 else 'W'}"
    out[~good] = "undetermined place"
    return out
