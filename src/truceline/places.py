"""Places as people say them, and the map underneath: settlements, coasts, rivers, borders.

The tables are made when truceline is built (hatch_build.py): Natural Earth and GeoNames around Ukraine, borders
as the United Nations General Assembly holds them (resolution 68/262). A mission elsewhere, or one that wants
every village, gives a gazetteer of its own, a tab-separated table:

    name    lon        lat        population   country   region            part_of
    Bakhmut 37.99886   48.59419   80500        UA        Donetsk region

    lon, lat     WGS 84 degrees, of the settlement's middle
    population   people; 0 when not known
    country, region, part_of   may be absent; `part_of` names the town a district belongs to
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from truceline.errors import MissionError
from truceline.frame import geodesic, wind

if TYPE_CHECKING:
    from scipy.spatial import cKDTree
    from shapely import MultiLineString

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Strings = npt.NDArray[np.object_]

#: What a public map or a report must say (docs/decisions/basemap.md).
ATTRIBUTION = "Made with Natural Earth. Place names: GeoNames (CC BY 4.0)."
VIEWPOINT = (
    "Borders as recognised by United Nations General Assembly resolution 68/262; "
    "they do not imply any opinion on the legal status of a territory."
)

#: A settlement is taken as a disc of this density, of 1 to 10 km: "in Avdiivka" is said inside it. Assumption:
#: above the 2,500 people/km2 of the theatre's towns in their official limits, for "in" must not be said too soon.
PEOPLE_PER_KM2 = 4_000.0
IN_KM = (1.0, 10.0)

#: Farther than this from every settlement known, coordinates say more than a name.
FAR_KM = 100.0

EARTH_KM = 6371.0


class Settlement(NamedTuple):
    """A settlement and how far off it is."""

    name: str
    lon: float
    lat: float
    population: int
    country: str
    region: str
    distance_m: float


@dataclass(frozen=True)
class Gazetteer:
    """Settlements, column-wise, the most populous first.

    Attributes
    ----------
    name, country, region, part_of
        (n,) strings; "" when not known.
    lon, lat
        (n,) degrees, WGS 84.
    population
        (n,) people, 0 when not known.
    """

    name: Strings
    lon: Floats
    lat: Floats
    population: Integers
    country: Strings
    region: Strings
    part_of: Strings

    @classmethod
    def load(cls, path: Path | None = None) -> "Gazetteer":
        """The settlements of `path`, or those that come with truceline (read once).

        Raises
        ------
        MissionError
            Naming the file, and the column, line and value that cannot be meant.
        """
        return _shipped() if path is None else _read(path)

    def nearest(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, population: int = 0, districts: bool = True
    ) -> tuple[Integers, Floats]:
        """The nearest settlement of at least `population` to each point.

        Returns
        -------
        index, distance_m
            (m,) rows of this gazetteer and geodesic metres; -1 and NaN where the point is NaN or there is none.
            Of equally near ones, the more populous.
        """
        candidates, distance = self._candidates(lon, lat, population, districts)
        if not candidates.shape[1]:
            return np.full(len(candidates), -1), np.full(len(candidates), np.nan)
        best = np.argmin(distance, axis=1)
        rows = np.arange(len(candidates))
        known = np.isfinite(distance[rows, best])
        return np.where(known, candidates[rows, best], -1), np.where(known, distance[rows, best], np.nan)

    def words(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> list[str]:
        """Each point as people say it: "in Avdiivka", "3 km NE of Avdiivka".

        In a settlement: within the disc its people would fill, the one whose middle is nearest for its size.
        Else from the nearest one, in whole kilometres (from 20 km in fives, as nobody paces them out), with 8
        winds, 16 from 5 km. Districts go by the name of their town. Coordinates when all is farther than
        `FAR_KM`; "undetermined place" where the point is NaN.
        """
        lon, lat = np.atleast_1d(np.asarray(lon, np.float64)), np.atleast_1d(np.asarray(lat, np.float64))
        candidates, distance = self._candidates(lon, lat, 0, districts=False)
        if not candidates.shape[1]:
            return [_coordinates(x, y) for x, y in zip(lon, lat, strict=True)]
        rows = np.arange(len(lon))
        share = distance / (1000 * self._radius_km[candidates])
        inside = np.min(np.nan_to_num(share, nan=np.inf), axis=1) <= 1
        best = np.where(inside, np.argmin(share, axis=1), np.argmin(distance, axis=1))
        chosen, metres = candidates[rows, best], distance[rows, best]
        known = np.isfinite(metres)
        # NaN would be refused by the geodesic; what it gives there is not used.
        _, bearing = geodesic(self.lon[chosen], self.lat[chosen], np.where(known, lon, 0.0), np.where(known, lat, 0.0))
        near = metres <= FAR_KM * 1000
        said = _words(self.name, chosen, np.where(near, metres, 0.0), bearing, inside)
        return [text if known else _coordinates(x, y) for text, known, x, y in zip(said, near, lon, lat, strict=True)]

    def regions(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> list[str]:
        """The region of the settlement nearest to each point; "" where none is within `FAR_KM`.

        Within a few kilometres of a region's border this can be the neighbouring region.
        """
        index, distance = self.nearest(lon, lat)
        return [
            self.region[i] if m <= FAR_KM * 1000 else ""
            for i, m in zip(index, np.nan_to_num(distance, nan=np.inf), strict=True)
        ]

    def near(self, lon: float, lat: float, radius_km: float, population: int = 0) -> list[Settlement]:
        """The settlements within `radius_km` of a point, nearest first; none for NaN."""
        index, distance = self.rows_near(lon, lat, radius_km, population)
        return [self._settlement(i, metres) for i, metres in zip(index, distance, strict=True)]

    def rows_near(self, lon: float, lat: float, radius_km: float, population: int = 0) -> tuple[Integers, Floats]:
        """Rows of the settlements within `radius_km` of a point and their distances in metres, nearest first."""
        if not (np.isfinite(lon) and np.isfinite(lat)):
            return np.empty(0, np.int64), np.empty(0)
        # 0.6 %: the most by which the sphere of the tree and the ellipsoid of distances can differ.
        chord = 2 * np.sin(min(1.006 * radius_km / EARTH_KM / 2, np.pi / 2))
        index = np.sort(np.asarray(self._tree.query_ball_point(_sphere(lon, lat)[0], chord), np.int64))
        index = index[self.population[index] >= population]
        distance = geodesic(lon, lat, self.lon[index], self.lat[index])[0] if len(index) else np.empty(0)
        order = np.argsort(distance, kind="stable")
        order = order[distance[order] <= radius_km * 1000]
        return index[order], distance[order]

    def largest(self, bbox: tuple[float, float, float, float], n: int) -> list[Settlement]:
        """The `n` most populous settlements, districts left out, in (west, south, east, north); for map labels."""
        west, south, east, north = bbox
        inside = (self.lon >= west) & (self.lon <= east) & (self.lat >= south) & (self.lat <= north)
        index = np.flatnonzero(inside & (self.part_of == ""))[:n]
        return [self._settlement(i, 0.0) for i in index]

    def _settlement(self, i: int, distance_m: float) -> Settlement:
        return Settlement(
            str(self.name[i]),
            float(self.lon[i]),
            float(self.lat[i]),
            int(self.population[i]),
            str(self.country[i]),
            str(self.region[i]),
            float(distance_m),
        )

    def _candidates(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, population: int, districts: bool
    ) -> tuple[Integers, Floats]:
        """(m, k) rows of the nearest settlements on a sphere, and their geodesic distances; infinity for NaN."""
        lon, lat = np.atleast_1d(np.asarray(lon, np.float64)), np.atleast_1d(np.asarray(lat, np.float64))
        tree, rows = self._tree, np.arange(len(self.name))
        if population or not districts:
            rows = np.flatnonzero((self.population >= population) & (districts | (self.part_of == "")))
            tree = self._tree_of(population, districts)
        # Enough that the nearest on the ellipsoid, and the town whose disc holds the point, are among them.
        k = min(8, len(rows))
        good = np.isfinite(lon) & np.isfinite(lat)
        if not k:
            return np.empty((len(lon), 0), np.int64), np.empty((len(lon), 0))
        at_lon, at_lat = np.where(good, lon, 0.0), np.where(good, lat, 0.0)
        _, found = tree.query(_sphere(at_lon, at_lat), k=k)
        found = np.sort(rows[np.reshape(found, (len(lon), k))], axis=1)
        far, _ = geodesic(at_lon[:, None], at_lat[:, None], self.lon[found], self.lat[found])
        return found, np.where(good[:, None], far, np.inf)

    @cached_property
    def _radius_km(self) -> Floats:
        return np.clip(np.sqrt(self.population / PEOPLE_PER_KM2 / np.pi), *IN_KM)

    @cached_property
    def _tree(self) -> "cKDTree":
        return _tree(self.lon, self.lat)

    @cached_property
    def _trees(self) -> dict[tuple[int, bool], "cKDTree"]:
        return {}

    def _tree_of(self, population: int, districts: bool) -> "cKDTree":
        key = (population, districts)
        if key not in self._trees:
            rows = (self.population >= population) & (districts | (self.part_of == ""))
            self._trees[key] = _tree(self.lon[rows], self.lat[rows])
        return self._trees[key]


@cache
def basemap() -> dict[str, npt.NDArray[np.object_]]:
    """The map's layers as shapely geometries in WGS 84 degrees, good to about 1:1,000,000.

    land, lakes (polygons) · coast, rivers, borders, disputed, regions (lines). `rivers` and `regions` are empty
    where the package they come from has no build (docs/decisions/basemap.md).
    """
    import shapely

    table = _tsv(_asset("basemap.tsv"), {"layer": "string", "wkt": "string"})
    layer, text = table["layer"], table["wkt"]
    geometries = shapely.from_wkt(text)
    return {
        name: geometries[layer == name]
        for name in ("land", "lakes", "coast", "rivers", "borders", "disputed", "regions")
    }


@cache
def outer_border() -> "MultiLineString":
    """Coasts and international borders as one MultiLineString, WGS 84: what of an area's edge is no contact line."""
    import shapely

    layers = basemap()
    return shapely.MultiLineString(list(shapely.get_parts(np.concatenate([layers["coast"], layers["borders"]]))))


# ---- reading -------------------------------------------------------------------------------------------------------


def _asset(name: str) -> Path:
    path = Path(str(files("truceline") / "assets" / name))
    if not path.is_file():
        raise MissionError(f"{path}: the map is not built; install truceline again: pip install -e .")
    return path


@cache
def _shipped() -> Gazetteer:
    return _read(_asset("settlements.tsv"))


def _read(path: Path) -> Gazetteer:
    types = {"name": "string", "lon": "double", "lat": "double", "population": "int64"}
    optional = {"country": "string", "region": "string", "part_of": "string"}
    table = _tsv(path, types, optional)
    rows = len(table["name"])
    for column, limit in (("lon", 180.0), ("lat", 90.0)):
        wrong = np.flatnonzero(~(np.abs(table[column]) <= limit))
        if len(wrong):
            raise MissionError(f"{path}: line {wrong[0] + 2}: {column} = {table[column][wrong[0]]} is not in degrees")
    order = np.lexsort((np.arange(rows), -table["population"]))
    return Gazetteer(*(table[column][order] for column in (*types, *optional)))


def _tsv(path: Path, types: dict[str, str], optional: dict[str, str] | None = None) -> dict[str, Any]:
    """Columns of a tab-separated table (gzipped when it ends in .gz) as numpy arrays."""
    import pyarrow as pa
    from pyarrow import csv

    wanted = types | (optional or {})
    try:
        table = csv.read_csv(
            path,
            parse_options=csv.ParseOptions(delimiter="\t"),
            convert_options=csv.ConvertOptions(column_types=wanted, strings_can_be_null=False, null_values=[]),
        )
    except (OSError, pa.ArrowInvalid) as error:
        raise MissionError(f"{path}: not a tab-separated table of settlements: {error}") from error
    absent = [name for name in types if name not in table.column_names]
    if absent:
        raise MissionError(f"{path}: the column {absent[0]!r} is missing; there are: {', '.join(table.column_names)}")
    empty = np.full(table.num_rows, "", object)
    return {name: table[name].to_numpy() if name in table.column_names else empty for name in wanted}


def _tree(lon: Floats, lat: Floats) -> "cKDTree":
    from scipy.spatial import cKDTree

    return cKDTree(_sphere(lon, lat))


def _sphere(lon: npt.ArrayLike, lat: npt.ArrayLike) -> Floats:
    """Points of the unit sphere, (n, 3): nearness there is nearness on the ground, at poles and date line too."""
    a, b = np.radians(np.atleast_1d(lon)), np.radians(np.atleast_1d(lat))
    return np.column_stack([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)])


# ---- saying --------------------------------------------------------------------------------------------------------


def _words(
    names: Strings, at: Integers, distance_m: Floats, bearing_deg: Floats, inside: npt.NDArray[np.bool_]
) -> Sequence[str]:
    km = distance_m / 1000
    whole = np.where(km < 20, np.maximum(1, np.rint(km)), 5 * np.rint(km / 5)).astype(np.int64)
    eighth, sixteenth = (np.floor(bearing_deg / 360 * n + 0.5).astype(np.int64) % n for n in (8, 16))
    way = np.where(km < 5, 2 * eighth, sixteenth)  # the eight are every other of the sixteen
    # many are the same: of whole kilometres and winds there are few round each settlement
    said, which = np.unique(np.where(inside, -1 - at, (at * 1024 + whole) * 16 + way), return_inverse=True)
    winds = [wind(i * 22.5) for i in range(16)]
    texts = [
        f"in {names[-1 - one]}" if one < 0 else f"{one // 16 % 1024} km {winds[one % 16]} of {names[one // 16384]}"
        for one in said.tolist()
    ]
    return [texts[one] for one in which.tolist()]


def _coordinates(lon: float, lat: float) -> str:
    if not (np.isfinite(lon) and np.isfinite(lat)):
        return "undetermined place"
    return f"{abs(lat):.2f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.2f}° {'E' if lon >= 0 else 'W'}"


def listed(words: Sequence[str]) -> str:
    """Words joined as people join them: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
