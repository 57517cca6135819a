"""The map underneath as the page takes it: coordinates as steps of whole numbers, a quarter of GeoJSON's size.

    {"scale": 2000, "layers": {"land": [[ring, ...], ...], "rivers": [line, ...], ...},
     "places": {"scale": 1000, "name": [...], "lon": [...], "lat": [...], "population": [...]}}

A ring or line is [x0, y0, dx1, dy1, ...] in 1/scale of a degree.
"""

import json
from typing import Any

import numpy as np

from truceline import places
from truceline.frame import Frame

#: Steps of 1/2000 degree, 55 m: Natural Earth's lines are off by 150 m and more.
SCALE = 2000
#: Names to 110 m: they label a settlement, not a house.
PLACES_SCALE = 1000
#: Names in the theatre, and beyond it, by population: 4,000 in view at once is more than any map has room for.
NEAR, FAR = 4_000, 600

_AREAS = ("land", "lakes")
_LINES = ("rivers", "borders", "disputed", "regions")


def basemap(gazetteer: places.Gazetteer, theatre: Frame) -> bytes:
    """JSON of the layers and of the settlements that count most in the theatre."""
    layers = places.basemap()
    packed: dict[str, Any] = {name: [_rings(area) for area in layers[name]] for name in _AREAS}
    packed |= {name: [_steps(line) for line in layers[name]] for name in _LINES}
    document = {"scale": SCALE, "layers": packed, "places": _places(gazetteer, theatre)}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _rings(area: Any) -> list[list[int]]:
    return [_steps(ring) for ring in (area.exterior, *area.interiors)]


def _steps(line: Any) -> list[int]:
    import shapely

    points = np.rint(shapely.get_coordinates(line) * SCALE).astype(np.int64)
    moved = np.ones(len(points), bool)
    moved[1:-1] = np.any(points[1:-1] != points[:-2], axis=1)  # what rounding made the same; the ends stay
    return np.diff(points[moved], axis=0, prepend=0).ravel().tolist()


def _places(gazetteer: places.Gazetteer, theatre: Frame) -> dict[str, Any]:
    """Columns, the most populous first; districts of towns have no name of their own here."""
    towns = gazetteer.part_of == ""
    near = theatre.within(gazetteer.lon, gazetteer.lat)
    rows = np.sort(np.concatenate([np.flatnonzero(towns & near)[:NEAR], np.flatnonzero(towns & ~near)[:FAR]]))
    return {
        "scale": PLACES_SCALE,
        "name": gazetteer.name[rows].tolist(),
        "lon": np.rint(gazetteer.lon[rows] * PLACES_SCALE).astype(int).tolist(),
        "lat": np.rint(gazetteer.lat[rows] * PLACES_SCALE).astype(int).tolist(),
        "population": gazetteer.population[rows].tolist(),
    }
