"""The agreement's zones as geometry in the theatre's plane, on a given day of the line.

A zone that cannot be drawn (no line of that date, no area that says which side is which) has no geometry but a
reason; whatever depends on it is then unknown, never guessed.
"""

import csv
import math
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from shapely.geometry.base import BaseGeometry

from truceline import geojson
from truceline.agreement import Agreement, Site, Zone
from truceline.errors import MissionError
from truceline.frame import Frame
from truceline.zones import ZoneIndex, mended

if TYPE_CHECKING:
    from truceline.line import DatedLine, Line
    from truceline.places import Gazetteer

Floats = npt.NDArray[np.float64]

#: Column names that mean a site's name, latitude and longitude, whatever their case.
_NAMES = {
    "name": ("name", "site", "plant", "port", "title"),
    "lat": ("latitude", "lat", "y"),
    "lon": ("longitude", "lon", "lng", "long", "x"),
}
#: A quarter circle in 16 chords. A circle is drawn a little larger, so that it keeps its area: its border is within
#: 0.06 % of the radius, 1 m for a site of 2 km. A band keeps its reach along straight parts of the line; round the
#: outside of its corners it may be 0.12 % short, 30 m for one of 25 km.
_QUARTER = 16
_LARGER = math.sqrt(2 * math.pi / (4 * _QUARTER * math.sin(2 * math.pi / (4 * _QUARTER))))
#: Edges of a line that are widened at once.
_PIECE = 16
#: The map's zones are generalised to this: unseen on a map of the theatre, a third of the points.
_MAP_M = 25.0
#: Corners of a settlement's circle on the map: within that of a circle of 2 km.
_MAP_CORNERS = 20
#: Cells in which it is looked up which settlements any point may lie at.
_CELL_M = 5_000.0
#: Drawings of settlements near some points that are kept, some 100 kB each: more than one judging asks for, which has
#: one for each of a year's lines.
_NEAR_KEPT = 128
#: Cells of a zone's raster: there is one zone to an index, and often few rows to ask of it.
_CELLS = 2**14

ZONES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        ("name", pa.string()),
        ("kind", pa.string()),
        pa.field("geometry", pa.binary(), nullable=False),
    ]
)

EVERYWHERE = Zone(id="everywhere", kind="everywhere", name="everywhere")


class Drawn:
    """A zone on one day: its geometry, or why there is none."""

    def __init__(self, geometry: BaseGeometry | None, tolerance_m: float = 0.0, reason: str = "") -> None:
        self.geometry = geometry
        self.tolerance_m = tolerance_m  # how well the border itself is known, 1 sigma
        self.reason = reason

    @cached_property
    def index(self) -> ZoneIndex:
        return ZoneIndex([] if self.geometry is None else [self.geometry], _CELLS)

    def both(self, other: "Drawn") -> "Drawn":
        """Where both are."""
        if self.geometry is None or other.geometry is None:
            return self if self.geometry is None else other
        meet = shapely.intersection(self.geometry, other.geometry)
        return Drawn(meet, max(self.tolerance_m, other.tolerance_m))


class Zones:
    """Every zone of an agreement, drawn when first asked for and then kept."""

    def __init__(
        self, agreement: Agreement, line: "Line | None", frame: Frame, gazetteer: "Gazetteer | None", folder: Path
    ) -> None:
        self.by_id = {"everywhere": EVERYWHERE} | {zone.id: zone for zone in agreement.zone}
        self.line, self.frame, self.gazetteer, self.folder = line, frame, gazetteer, folder
        self._drawn: dict[tuple[str, date | None], Drawn] = {}
        self._drawn_near: dict[tuple[str, bytes], Drawn] = {}
        self._settled: dict[int, tuple[Floats, Floats]] = {}

    def everywhere(self, zone: str) -> bool:
        return self.by_id[zone].kind == "everywhere"

    def dated(self, zone: str) -> bool:
        """Whether the zone moves with the actual line."""
        return self.by_id[zone].kind == "band" and self.by_id[zone].line == "actual"

    def name(self, zone: str) -> str:
        return self.by_id[zone].name or zone

    def line_at(self, day: date) -> "DatedLine | None":
        """The line in force on `day`."""
        return None if self.line is None else self.line.at(day)

    def draw(self, zone: str, dated: "DatedLine | None", near: "Near | None" = None) -> Drawn:
        """The zone, for an `actual` band along `dated`; of settlements, those alone that matter `near` some points."""
        if near is not None and self.by_id[zone].kind == "settlements" and self.gazetteer is not None:
            return self._settlements_near(self.by_id[zone], near)
        moves = self.dated(zone)
        key = (zone, dated.day if moves and dated is not None else None)
        if key not in self._drawn:
            self._drawn[key] = self._draw(self.by_id[zone], dated if moves else self._fixed(self.by_id[zone]))
        return self._drawn[key]

    def _fixed(self, zone: Zone) -> "DatedLine | None":
        return None if zone.kind != "band" else self.line_at(date.fromisoformat(zone.line))

    def _draw(self, zone: Zone, dated: "DatedLine | None") -> Drawn:
        if zone.kind == "band":
            return self._band(zone, dated)
        if zone.kind == "polygon":
            return self._polygon(zone)
        if zone.kind == "circles":
            places = sites(zone, self.folder)
            radii_km = [float(place.radius_km or zone.radius_km or 0.0) for place in places]
            return Drawn(self._circles([p.lon for p in places], [p.lat for p in places], np.array(radii_km)))
        if zone.kind == "settlements":
            return self._settlements(zone)
        raise ValueError(zone.kind)

    def _band(self, zone: Zone, dated: "DatedLine | None") -> Drawn:
        if dated is None:
            return Drawn(None, reason="no line for that date" if zone.line == "actual" else f"no line of {zone.line}")
        reach_km = float(zone.to_km or 0.0) / (2 if zone.measured == "total_width" else 1)
        band = widened(dated.path, reach_km * 1000)
        if zone.from_km:
            band = band.difference(widened(dated.path, zone.from_km * 1000))
        if zone.side != "both":
            if dated.area is None:
                return Drawn(None, reason=f"the line of {dated.day} has no areas, so it has no inside")
            band = band.intersection(dated.area) if zone.side == "inside" else band.difference(dated.area)
        return Drawn(band, dated.tolerance_m)

    def _polygon(self, zone: Zone) -> Drawn:
        degrees: list[BaseGeometry] = [shapely.Polygon(ring) for ring in zone.coordinates]
        if zone.path is not None:
            wanted = {key: [value] for key, value in zone.where.items()}
            degrees += [feature.geometry for feature in geojson.read(self.folder / zone.path, [], wanted)]
        local = geojson.to_local(mended(np.array(degrees, object)), self.frame)
        area = shapely.union_all(mended(local))
        if not area.area:
            where = "" if zone.path is None else f"{self.folder / zone.path}: "
            raise MissionError(f"{where}zone {zone.id!r}: its border encloses nothing")
        return Drawn(area)

    def _circles(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, radius_km: float | Floats, corners: int = 4 * _QUARTER
    ) -> BaseGeometry:
        return joined(*self.frame.to_local(lon, lat), 1000 * np.asarray(radius_km), corners)

    def _settlements(self, zone: Zone, corners: int = 4 * _QUARTER) -> Drawn:
        if self.gazetteer is None:
            return Drawn(None, reason="no gazetteer")
        east, north = self._places(zone)
        return Drawn(joined(east, north, 1000 * np.full(len(east), zone.radius_km or 0.0), corners))

    def _places(self, zone: Zone) -> tuple[Floats, Floats]:
        """The settlements of a zone, in the plane."""
        assert self.gazetteer is not None
        if zone.population not in self._settled:
            centre = self.frame.lon, self.frame.lat, self.frame.radius_m / 1000
            rows, _ = self.gazetteer.rows_near(*centre, zone.population)
            self._settled[zone.population] = self.frame.to_local(self.gazetteer.lon[rows], self.gazetteer.lat[rows])
        return self._settled[zone.population]

    def _settlements_near(self, zone: Zone, near: "Near") -> Drawn:
        """A zone of settlements where points, known as they are, may lie in it: thousands elsewhere are not drawn."""
        (east, north), radius_m = self._places(zone), 1000 * (zone.radius_km or 0.0)
        some = within_reach(east, north, near, radius_m * _LARGER)
        key = (zone.id, some.tobytes())
        if key not in self._drawn_near:
            if len(self._drawn_near) >= _NEAR_KEPT:  # the live picture asks near other points with every record
                del self._drawn_near[next(iter(self._drawn_near))]
            self._drawn_near[key] = Drawn(joined(east[some], north[some], np.full(int(some.sum()), radius_m)))
        return self._drawn_near[key]

    def mapped(self, zone: str, dated: "DatedLine | None") -> BaseGeometry | None:
        """The zone for the map, generalised to `_MAP_M`; None where it cannot be drawn."""
        if self.by_id[zone].kind == "settlements":  # circles with as few corners
            return self._settlements(self.by_id[zone], _MAP_CORNERS).geometry
        drawn = self.draw(zone, dated).geometry
        if drawn is None or drawn.is_empty:
            return None
        simple: BaseGeometry = mended(np.array([shapely.simplify(drawn, _MAP_M, preserve_topology=False)], object))[0]
        return simple

    def nearest_site(self, zone: str, east_m: Floats, north_m: Floats) -> pa.Array | None:
        """The name of the zone's site nearest to each point; None for zones other than circles."""
        if self.by_id[zone].kind != "circles":
            return None
        places = sites(self.by_id[zone], self.folder)
        east, north = self.frame.to_local([p.lon for p in places], [p.lat for p in places])
        nearest, least = np.zeros(len(east_m), np.int64), np.full(len(east_m), np.inf)
        for i, (e, n) in enumerate(zip(east, north, strict=True)):
            away = np.hypot(east_m - e, north_m - n)
            nearest = np.where(away < least, i, nearest)
            least = np.fmin(away, least)
        return pa.array([p.name for p in places]).take(pa.array(nearest))


class Near(NamedTuple):
    """Points and how far off what matters to them may lie, metres; NaN: nothing does."""

    east_m: Floats
    north_m: Floats
    reach_m: Floats


def within_reach(east_m: Floats, north_m: Floats, near: Near, radius_m: float) -> npt.NDArray[np.bool_]:
    """Whether circles lie, by their bounding squares and cells of `_CELL_M`, within reach of any of some points."""
    out = np.zeros(len(east_m), np.bool_)
    good = np.isfinite(near.east_m + near.north_m + near.reach_m)
    if not good.any() or not len(east_m):
        return out
    x0, y0 = east_m.min(), north_m.min()
    columns, rows = (int((v.max() - v.min()) // _CELL_M) + 1 for v in (east_m, north_m))
    column, row = ((east_m - x0) // _CELL_M).astype(np.int64), ((north_m - y0) // _CELL_M).astype(np.int64)
    cells = np.ceil((near.reach_m[good] + radius_m) / _CELL_M).astype(np.int64)
    at_x, at_y = (((v[good] - v0) // _CELL_M) for v, v0 in ((near.east_m, x0), (near.north_m, y0)))
    for k in np.flatnonzero(np.bincount(np.minimum(cells, max(columns, rows)))):
        mine = np.minimum(cells, max(columns, rows)) == k
        # what lies beside the raster counts at its edge, which is nearer
        counts = np.zeros((rows + 1, columns + 1), np.int64)
        at = np.clip(at_y[mine], 0, rows - 1).astype(np.int64), np.clip(at_x[mine], 0, columns - 1).astype(np.int64)
        np.add.at(counts[1:, 1:], at, 1)
        counts = counts.cumsum(axis=0).cumsum(axis=1)
        top, bottom = np.minimum(row + k + 1, rows), np.maximum(row - k, 0)
        right, left = np.minimum(column + k + 1, columns), np.maximum(column - k, 0)
        out |= counts[top, right] - counts[bottom, right] - counts[top, left] + counts[bottom, left] > 0
    return out


def joined(east_m: Floats, north_m: Floats, radius_m: Floats, corners: int = 4 * _QUARTER) -> BaseGeometry:
    """Circles as one area; each with corners a little outside, so that it keeps its area."""
    turn = 2 * np.pi / corners
    reach = radius_m[:, None] * math.sqrt(turn / math.sin(turn))
    bearing = np.append(np.arange(corners) * turn, 0.0)
    xy = np.stack([east_m[:, None] + reach * np.cos(bearing), north_m[:, None] - reach * np.sin(bearing)], axis=-1)
    return shapely.disjoint_subset_union_all(shapely.polygons(xy))  # few meet: a ninth of the time of `union_all`


def widened(path: BaseGeometry, reach_m: float) -> BaseGeometry:
    """All within `reach_m` of a line, the same as its buffer.

    In pieces: the buffer of a winding line much wider than its windings crosses itself everywhere; pieces of 16
    edges and their union cost 0.02 s where the whole cost 0.19 s (25 km along 1,373 points of the line of
    October 2023). Pieces of 4 or 64 edges, or their convex hulls, cost more.
    """
    parts = [shapely.get_coordinates(part) for part in shapely.get_parts(path)]
    pieces = [xy[i : i + _PIECE + 1] for xy in parts for i in range(0, max(len(xy) - 1, 1), _PIECE)]
    return shapely.union_all(shapely.buffer([shapely.LineString(xy) for xy in pieces], reach_m, quad_segs=_QUARTER))


def sites(zone: Zone, folder: Path) -> list[Site]:
    """The sites of a zone of circles: those written in it, then those of its CSV that `where` keeps.

    Raises
    ------
    MissionError
        When the CSV cannot be read, lacks a name, latitude or longitude, or a site it keeps has no place.
    """
    if zone.path is None:
        return list(zone.sites)
    path, where = folder / zone.path, f"zone {zone.id!r}"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise MissionError(f"{path}: {where}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise MissionError(f"{path}: {where}: not a CSV: {error}") from error
    if not rows:
        raise MissionError(f"{path}: {where}: the file has no rows")
    columns = {str(name).strip().lower(): name for name in rows[0]}
    found = {}
    for part, names in _NAMES.items():
        found[part] = next((columns[name] for name in names if name in columns), None)
        if found[part] is None:
            raise MissionError(f"{path}: {where}: no column of {', '.join(names)} among {', '.join(columns)}")
    for key in zone.where:
        if key.lower() not in columns:
            raise MissionError(f"{path}: {where}: where: there is no column {key!r} among {', '.join(columns)}")
    out = []
    for number, row in enumerate(rows, 2):
        if any(str(row[columns[key.lower()]]).strip() != value for key, value in zone.where.items()):
            continue
        out.append(_site(row[found["name"]], row[found["lon"]], row[found["lat"]], f"{path}: line {number}: {where}"))
    if not out:
        raise MissionError(f"{path}: {where}: where = {zone.where} keeps no row")
    return [*zone.sites, *out]


def _site(name: Any, lon: Any, lat: Any, where: str) -> Site:
    try:
        east, north = float(lon), float(lat)
    except (TypeError, ValueError):
        raise MissionError(f"{where}: longitude {lon!r}, latitude {lat!r} of {name!r} are not numbers") from None
    if not (abs(east) <= 180 and abs(north) <= 90):
        raise MissionError(f"{where}: longitude {lon!r}, latitude {lat!r} of {name!r} are not on the globe")
    return Site(name=str(name).strip(), lon=east, lat=north)


def zones_table(
    agreement: Agreement,
    line: "Line | None",
    frame: Frame,
    gazetteer: "Gazetteer | None",
    folder: Path,
    day: date,
    drawn_before: "Zones | None" = None,
) -> pa.Table:
    """The agreement's zones as they were on `day`, for the map.

    Parameters
    ----------
    drawn_before
        The same zones where they have been drawn already: settlements by the thousand take a second.

    Returns
    -------
    pa.Table
        `id`, `name`, `kind`, `geometry` (WKB, WGS 84, generalised to 25 m). Zones without a border, and those
        that cannot be drawn on that day (no line), have no row.
    """
    zones = drawn_before or Zones(agreement, line, frame, gazetteer, folder)
    rows: dict[str, list[Any]] = {name: [] for name in ZONES.names}
    for zone in agreement.zone:
        if zone.kind == "everywhere":
            continue
        drawn = zones.mapped(zone.id, zones.line_at(day))
        if drawn is None or drawn.is_empty:
            continue
        degrees = geojson.to_degrees(drawn, frame)
        for name, value in zip(ZONES.names, (zone.id, zone.name or zone.id, zone.kind, degrees.wkb), strict=True):
            rows[name].append(value)
    return pa.table(rows, ZONES)


def days(at_s: Floats) -> npt.NDArray[np.int64]:
    """The UTC day of each time, in days since 1970; -1 for NaN."""
    return np.where(np.isnan(at_s), -1, np.floor(np.nan_to_num(at_s) / 86_400)).astype(np.int64)


def day_of(number: int) -> date:
    """The inverse of `days` for one of its values."""
    return datetime.fromtimestamp(number * 86_400, UTC).date()
