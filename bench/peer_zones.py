"""The peer's zones: the agreement's, drawn in metres with geopandas; who lies in them, and with what probability."""

from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from bench.peer_place import LARGER, Area, Dated, Lines, mended, project
from sklearn.neighbors import KDTree

from truceline.agreement import Agreement, Zone
from truceline.places import Gazetteer


class Zones:
    """The agreement's zones in metres, for a line where they go with one."""

    def __init__(self, agreement: Agreement, lines: Lines | None, theatre, gazetteer: Gazetteer, folder: Path) -> None:
        self.by_id = {"everywhere": Zone(id="everywhere", kind="everywhere")} | {z.id: z for z in agreement.zone}
        self.lines, self.theatre, self.gazetteer, self.folder = lines, theatre, gazetteer, folder
        self.drawn: dict[object, tuple[object, float]] = {}
        self.areas: dict[object, Area] = {}
        self.known: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self.reasons = ["no position, or none with its error"]

    def everywhere(self, zone: str) -> bool:
        return self.by_id[zone].kind == "everywhere"

    def moves(self, zone: str) -> bool:
        return self.by_id[zone].kind == "band" and self.by_id[zone].line == "actual"

    def draw(self, zone: str, line: Dated | None):
        """(shape, tolerance), or why it cannot be drawn."""
        key = (zone, line.day if line is not None and self.moves(zone) else None)
        if key not in self.drawn:
            self.drawn[key] = self._draw(self.by_id[zone], line)
        return self.drawn[key]

    def _draw(self, zone: Zone, line: Dated | None):
        if zone.kind == "band":
            if zone.line != "actual":
                line = self.lines.at(date.fromisoformat(zone.line)) if self.lines else None
            if line is None:
                return "no line for that date" if zone.line == "actual" else f"no line of {zone.line}"
            reach = zone.to_km * 1000 / (2 if zone.measured == "total_width" else 1)
            band = shapely.buffer(line.path, reach, quad_segs=16)
            if zone.from_km:
                band = band.difference(shapely.buffer(line.path, zone.from_km * 1000, quad_segs=16))
            if zone.side != "both":
                if line.area is None:
                    return f"the line of {line.day} has no areas, so it has no inside"
                band = band.intersection(line.area) if zone.side == "inside" else band.difference(line.area)
            return band, line.tolerance_m
        if zone.kind == "polygon":
            shapes = [shapely.Polygon(ring) for ring in zone.coordinates]
            if zone.path is not None:
                frame = gpd.read_file(self.folder / zone.path)
                for key, value in zone.where.items():
                    frame = frame[frame[key].astype(str).str.casefold() == value.casefold()]
                shapes += list(frame.geometry)
            degrees = gpd.GeoSeries(mended(np.array(shapes, object)), crs=4326)
            return shapely.union_all(mended(project(degrees, self.theatre))), 0.0
        if zone.kind == "settlements":
            places = self.gazetteer.near(
                self.theatre.lon, self.theatre.lat, self.theatre.radius_m / 1000, zone.population
            )
            lon, lat, radius = [p.lon for p in places], [p.lat for p in places], zone.radius_km
        else:
            _, lon, lat, radius = self.sites(zone)
        e, n = self.theatre.local(np.asarray(lon), np.asarray(lat))
        circles = gpd.GeoSeries(shapely.points(e, n)).buffer(1000 * LARGER * np.asarray(radius), quad_segs=16)
        return circles.union_all(method="disjoint_subset"), 0.0

    def sites(self, zone: Zone):
        """Names, longitudes, latitudes and radii of a zone of circles."""
        places = [(s.name, s.lon, s.lat, s.radius_km or zone.radius_km) for s in zone.sites]
        if zone.path is not None:
            table = pd.read_csv(self.folder / zone.path, dtype=str, encoding="utf-8-sig")
            names = {name.lower(): name for name in table.columns}
            for key, value in zone.where.items():
                table = table[table[names[key.lower()]].str.strip() == value]
            name = next(names[c] for c in ("name", "site", "plant", "port", "title") if c in names)
            x = next(names[c] for c in ("longitude", "lon", "lng", "long", "x") if c in names)
            y = next(names[c] for c in ("latitude", "lat", "y") if c in names)
            rows = zip(table[name].str.strip(), table[x].astype(float), table[y].astype(float), strict=True)
            places += [(*row, zone.radius_km) for row in rows]
        name, *numbers = zip(*places, strict=True)
        return np.array(name, object), *(np.array(part, float) for part in numbers)

    def nearest_site(self, zone: str, w: pd.DataFrame, rows: np.ndarray) -> np.ndarray | None:
        """The name of the site nearest to each row; None for zones other than circles."""
        if self.by_id[zone].kind != "circles":
            return None
        name, lon, lat, _ = self.sites(self.by_id[zone])
        if not len(rows):
            return np.empty(0, object)
        tree = KDTree(np.column_stack(self.theatre.local(lon, lat)))
        at = tree.query(np.nan_to_num(w[["e", "n"]].to_numpy()[rows]), return_distance=False)[:, 0]
        return name[at]

    def inside(self, zones: tuple[str, ...], w: pd.DataFrame, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probability of rows lying in all zones at once; where it cannot be said NaN, and the reason's number."""
        wanted = tuple(sorted({zone for zone in zones if not self.everywhere(zone)}))
        if not wanted:
            return np.ones(len(rows)), np.zeros(len(rows), int)
        if wanted not in self.known:
            self.known[wanted] = np.full(len(w), np.nan), np.zeros(len(w), int), np.zeros(len(w), bool)
        value, why, done = self.known[wanted]
        todo = rows[~done[rows]]
        if len(todo):
            value[todo], why[todo] = self._inside(wanted, w, todo)
            done[todo] = True
        return value[rows], why[rows]

    def _inside(self, wanted: tuple[str, ...], w: pd.DataFrame, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        out, why = np.full(len(rows), np.nan), np.zeros(len(rows), int)
        lines = np.zeros(len(rows), np.int64)
        if any(self.moves(zone) for zone in wanted) and self.lines is not None:
            starts = np.array([np.datetime64(line.day, "s").astype(np.int64) for line in self.lines.lines]) / 86400
            lines = np.searchsorted(starts, np.floor(np.nan_to_num(w["when"].to_numpy()[rows]) / 86400), "right") - 1
        for i in np.unique(lines):
            mine = np.flatnonzero(lines == i)
            line = self.lines.lines[i] if self.lines is not None and i >= 0 else None
            shapes = [self.draw(zone, line) for zone in wanted]
            if not_drawn := [shape for shape in shapes if isinstance(shape, str)]:
                self.reasons += [not_drawn[0]] if not_drawn[0] not in self.reasons else []
                why[mine] = 1 + self.reasons.index(not_drawn[0])
                continue
            key = (wanted, i)
            if key not in self.areas:
                whole = shapes[0][0]
                for other, _ in shapes[1:]:
                    whole = shapely.intersection(whole, other)
                self.areas[key] = Area(whole)
            blur = max(tolerance for _, tolerance in shapes) ** 2
            e, n, ee, en, nn = (w[c].to_numpy()[rows[mine]] for c in ("e", "n", "ee", "en", "nn"))
            out[mine] = self.areas[key].probability(e, n, ee + blur, en, nn + blur)
            why[mine] = np.isnan(out[mine])
        return out, why

    def table(self, agreement: Agreement, line: Dated | None) -> gpd.GeoDataFrame:
        rows = []
        for zone in agreement.zone:
            drawn = "" if zone.kind == "everywhere" else self.draw(zone.id, line)
            if not isinstance(drawn, str) and not drawn[0].is_empty:
                rows.append((zone.id, zone.name or zone.id, zone.kind, drawn[0]))
        frame = gpd.GeoDataFrame(
            rows, columns=["id", "name", "kind", "geometry"], geometry="geometry", crs=self.theatre.crs
        )
        frame["geometry"] = frame.geometry.simplify(25.0, preserve_topology=False)
        frame = frame.to_crs(4326)
        frame["geometry"] = mended(frame.geometry.to_numpy())
        return frame
