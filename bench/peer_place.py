"""The peer's geometry: the dated line, probabilities in polygons; geopandas, shapely, scipy."""

import gzip
import re
from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from bench.peer_fuse import Theatre
from scipy.special import owens_t

from truceline.mission import Mission, files
from truceline.places import outer_border

REACH, STEP_DEG, SEAM, LOOP = 6.0, 0.1, 1 / 5, 4
LARGER = float(np.sqrt(2 * np.pi / (64 * np.sin(2 * np.pi / 64))))


class Area:
    """A polygon in metres: which points are in it, and with what probability a normal distribution is."""

    def __init__(self, shape) -> None:
        self.shape = shape
        shapely.prepare(shape)
        parts = shapely.orient_polygons(shapely.get_parts(shape))
        points, ring = shapely.get_coordinates(shapely.get_rings(parts), return_index=True)
        same = ring[1:] == ring[:-1]
        self.begin, self.end = points[:-1][same], points[1:][same]
        self.tree = shapely.STRtree(shapely.linestrings(np.stack([self.begin, self.end], axis=1)))

    def contains(self, e, n):
        return shapely.contains_xy(self.shape, e, n)

    def probability(self, e, n, ee, en, nn):
        """Inside or not, less what lies beyond each edge: Owen's T, all edges within 6 sigma of all points at once."""
        out = np.full(len(e), np.nan)
        for k in range(0, len(e), 5000):
            some = slice(k, k + 5000)
            out[some] = self._some(*(x[some] for x in (e, n, ee, en, nn)))
        return out

    def _some(self, e, n, ee, en, nn):
        known = np.isfinite(e + n + ee + en + nn)
        p = np.where(known, self.contains(np.nan_to_num(e), np.nan_to_num(n)).astype(float), np.nan)
        rows = np.flatnonzero(known)
        de, dn = REACH * np.sqrt(ee[rows]), REACH * np.sqrt(nn[rows])
        boxes = shapely.box(e[rows] - de, n[rows] - dn, e[rows] + de, n[rows] + dn)
        point, edge = self.tree.query(boxes)
        point = rows[point]
        middle, half = (ee + nn) / 2, (ee - nn) / 2
        spread, turn = np.hypot(half, en), 0.5 * np.arctan2(en, half)
        major, minor = np.sqrt(middle + spread)[point], np.sqrt(np.maximum(middle - spread, 1e-12))[point]
        cos, sin = np.cos(turn)[point], np.sin(turn)[point]
        x1, y1 = (self.begin[edge] - np.column_stack([e[point], n[point]])).T
        x2, y2 = (self.end[edge] - np.column_stack([e[point], n[point]])).T
        u1, v1 = (x1 * cos + y1 * sin) / major, (y1 * cos - x1 * sin) / minor
        u2, v2 = (x2 * cos + y2 * sin) / major, (y2 * cos - x2 * sin) / minor
        along_u, along_v = u2 - u1, v2 - v1
        length = np.hypot(along_u, along_v)
        good = length > 0
        point, u1, v1, along_u, along_v, length = (x[good] for x in (point, u1, v1, along_u, along_v, length))
        along_u, along_v = along_u / length, along_v / length
        distance, start = u1 * along_v - v1 * along_u, u1 * along_u + v1 * along_v
        near = np.abs(distance) < REACH
        point, distance, start, length = (x[near] for x in (point, distance, start, length))
        h = np.maximum(np.abs(distance), 1e-12)
        tail = owens_t(h, (start + length) / h) - owens_t(h, start / h)
        p -= np.bincount(point, np.sign(distance) * tail, len(p))
        return np.clip(p, 0.0, 1.0)


def mended(shapes):
    bad = ~shapely.is_valid(shapes)
    if bad.any():
        shapes = shapes.copy()
        shapes[bad] = shapely.make_valid(shapes[bad], method="structure", keep_collapsed=False)
    return shapes


def polygons(shapes):
    parts = shapely.get_parts(shapes)
    while (shapely.get_type_id(parts) > 3).any():
        parts = shapely.get_parts(parts)
    return parts[shapely.get_type_id(parts) == 3]


def project(shapes: gpd.GeoSeries, theatre: Theatre) -> np.ndarray:
    return shapes.segmentize(STEP_DEG).to_crs(theatre.crs).to_numpy()


def back(shapes, theatre: Theatre) -> gpd.GeoSeries:
    return gpd.GeoSeries(shapes, crs=theatre.crs).to_crs(4326)


class Dated:
    """The line of one date."""

    def __init__(self, day: date, file: str, area, path, tolerance_m: float) -> None:
        self.day, self.file, self.area, self.path, self.tolerance_m = day, file, area, path, tolerance_m
        self.inside = None if area is None else Area(area)
        points, part = shapely.get_coordinates(shapely.get_parts(path), return_index=True)
        same = part[1:] == part[:-1]
        ends = np.stack([points[:-1], points[1:]], axis=1)[same]
        self.tree = shapely.STRtree(shapely.linestrings(ends)) if len(ends) else None
        self.begin, self.step = (ends[:, 0], ends[:, 1] - ends[:, 0]) if len(ends) else (None, None)
        if len(ends):
            self.length = np.hypot(*self.step.T)
            self.before = np.concatenate([[0.0], np.cumsum(self.length)])[:-1]


class Lines:
    """All dated lines of a mission."""

    def __init__(self, folder: Path, mission: Mission, theatre: Theatre) -> None:
        said = mission.line
        self.lines: list[Dated] = []
        self.theatre = theatre
        strip = self._strip(theatre, said.trim_km * 1000) if said.trim_km else None
        for path in sorted(map(Path, files(folder, said.paths)), key=lambda p: p.name):
            text = re.search(r"(?<!\d)(\d{4})([-_.]?)(\d\d)\2(\d\d)(?!\d)", path.name)
            day = date(int(text[1]), int(text[3]), int(text[4]))
            data = path.read_bytes()
            frame = gpd.read_file(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
            for key, wanted in said.select.items():
                frame = frame[frame[key].astype(str).str.casefold().isin([w.casefold() for w in wanted])]
            shapes = gpd.GeoSeries(mended(shapely.force_2d(frame.geometry.to_numpy())), crs=4326)
            local = project(shapes, theatre)
            local = local[shapely.distance(local, shapely.Point(0, 0)) <= theatre.radius_m]
            self.lines.append(
                self._dated(day, path.name, local, theatre, said.tolerance_m, strip, 2 * said.trim_km * 1000)
            )

    def _strip(self, theatre, width):
        bearing, reach = np.radians(np.arange(0.0, 360.0, 5.0)), 1.1 * theatre.radius_m + width
        lon, lat = theatre.degrees(reach * np.sin(bearing), reach * np.cos(bearing))
        near = gpd.GeoSeries([outer_border()], crs=4326).clip_by_rect(lon.min(), lat.min(), lon.max(), lat.max())
        return shapely.buffer(shapely.simplify(project(near, theatre)[0], width / 40), width, quad_segs=5)

    def _dated(self, day, file, shapes, theatre, tolerance, strip, wide) -> Dated:
        areal = shapely.get_dimensions(shapes) == 2
        if areal.any():
            area = shapely.union_all(polygons(mended(shapes[areal])))
            seam = tolerance * SEAM / 2
            out = shapely.buffer(area, seam, join_style="mitre", mitre_limit=100.0)
            area = shapely.union_all([area, shapely.buffer(out, -seam, join_style="mitre", mitre_limit=100.0)])
            line = shapely.boundary(area)
        else:
            area, line = None, shapely.union_all(shapes[shapely.get_dimensions(shapes) == 1])
        line = shapely.intersection(line, shapely.buffer(shapely.Point(0, 0), theatre.radius_m, quad_segs=64))
        if area is not None and strip is not None:
            line = shapely.difference(line, strip)
        parts = shapely.get_parts(shapely.line_merge(line))
        ends = shapely.get_point(parts, 0), shapely.get_point(parts, -1)
        chord, loop = shapely.distance(*ends), shapely.is_closed(parts)
        returns = ~loop & (chord < wide) if area is not None and strip is not None else np.zeros(len(parts), bool)
        parts = parts[~returns & ~(loop & (shapely.length(parts) < LOOP * tolerance))]
        return Dated(day, file, area, ordered(parts), tolerance)

    def table(self) -> gpd.GeoDataFrame:
        """A row a date: the length at the tolerance, the line itself in degrees."""
        paths = np.array([line.path for line in self.lines], object)
        tolerance = np.array([line.tolerance_m for line in self.lines])
        length = shapely.length(shapely.simplify(paths, tolerance, preserve_topology=False)) / 1000
        rows = {"date": [line.day.isoformat() for line in self.lines], "file": [line.file for line in self.lines]}
        rows |= {"length_km": length, "tolerance_m": tolerance}
        return gpd.GeoDataFrame(rows, geometry=back(paths, self.theatre))

    def at(self, day: date) -> Dated | None:
        return next((line for line in reversed(self.lines) if line.day <= day), None)

    def against(self, w: pd.DataFrame) -> pd.DataFrame:
        """Line, distance, chainage and probability of being inside, each row by the line of its day."""
        starts = np.array([np.datetime64(line.day, "s").astype(np.int64) for line in self.lines]) / 86400
        which = np.searchsorted(starts, np.floor(w["at"].to_numpy() / 86400), side="right") - 1
        which[np.isnan(w["at"])] = -1
        out = pd.DataFrame(
            {"line_date": None, "line_distance_m": np.nan, "chainage_m": np.nan, "p_inside": np.nan}, w.index
        )
        for i in np.unique(which[which >= 0]):
            line, rows = self.lines[i], np.flatnonzero(which == i)
            out.iloc[rows, 0] = line.day.isoformat()
            e, n, ee, en, nn = (w[c].to_numpy()[rows] for c in ("e", "n", "ee", "en", "nn"))
            known = np.flatnonzero(np.isfinite(e + n))
            if line.tree is not None and len(known):
                (at, segment), away = line.tree.query_nearest(
                    shapely.points(e[known], n[known]), return_distance=True, all_matches=False
                )
                rows_at = rows[known[at]]
                off = np.column_stack([e, n])[known[at]] - line.begin[segment]
                share = np.clip((off * line.step[segment]).sum(1) / line.length[segment] ** 2, 0, 1)
                sign = np.ones(len(at))
                if line.inside is not None:
                    sign[line.inside.contains(e[known[at]], n[known[at]])] = -1
                out.iloc[rows_at, 1] = away * sign
                out.iloc[rows_at, 2] = line.before[segment] + share * line.length[segment]
            if line.inside is not None:
                wider = line.tolerance_m**2
                out.iloc[rows, 3] = line.inside.probability(e, n, ee + wider, en, nn + wider)
        return out


def ordered(parts):
    """Parts in order along the line: the longest open one from its south-west, others by which end they are near."""
    parts = sorted(parts, key=lambda part: (part.is_closed, -part.length, part.wkb))
    if not parts or parts[0].is_closed:
        return shapely.MultiLineString(parts)
    trunk, rest = parts[0], parts[1:]
    trunk = trunk.reverse() if sum(trunk.coords[0][:2]) > sum(trunk.coords[-1][:2]) else trunk
    tips = shapely.Point(trunk.coords[0]), shapely.Point(trunk.coords[-1])
    placed = [(1, 0.0, b"", trunk)]
    for part in rest:
        one, two = shapely.Point(part.coords[0]), shapely.Point(part.coords[-1])
        near = [min(tip.distance(one), tip.distance(two)) for tip in tips]
        if part.is_closed:
            placed.append((3, trunk.project(one), part.wkb, part))
        elif near[0] < near[1]:
            turned = part if tips[0].distance(two) <= tips[0].distance(one) else part.reverse()
            placed.append((0, -near[0], part.wkb, turned))
        else:
            turned = part if tips[1].distance(one) <= tips[1].distance(two) else part.reverse()
            placed.append((2, near[1], part.wkb, turned))
    return shapely.MultiLineString([part for *_, part in sorted(placed, key=lambda entry: entry[:3])])
