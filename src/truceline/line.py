"""The dated line of contact: which side, how far, where along it, how long.

A mission has one file a date: areas that one side holds, whose border is the line, or the line itself. A file
speaks from the start of its day (UTC) until the next file's. An area says nothing of what lies outside it:
that may be the other side's, or the sea, or another country.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from shapely.geometry.base import BaseGeometry

from truceline import geojson, picture
from truceline.errors import MissionError
from truceline.frame import Frame
from truceline.kernels.polyline import Segments, index_segments, nearest
from truceline.zones import ZoneIndex, mended, polygons, rows

Floats = npt.NDArray[np.float64]

_EPOCH = date(1970, 1, 1)
_DATE = re.compile(r"(?<!\d)(\d{4})([-_.]?)(\d\d)\2(\d\d)(?!\d)")

#: Parts of an area drawn apart by less than this share of the tolerance are one area drawn twice (seams of
#: 1 to 7 m and up to 32 km long run through the weekly map of 2023), and the seam is no line of contact.
_SEAM = 1 / 5
#: Corners sharper than 1.2 degrees lose their tip where seams are closed.
_MITRE = 100.0
#: A tenth of a hectare: the rounding of areas, and of two buffers, is far less.
_WORTH_SAYING_KM2 = 0.001
#: A closed loop shorter than this many tolerances holds less than a square of one tolerance: noise, not line.
_LOOP = 4
#: Curved edges of the strip along coast and border: 5 chords to a quarter circle keep it within 2 % of its width.
_QUARTER = 5
#: Coast and border are simplified by this share of the strip's width before the strip is made: 100 m of 4 km.
_FINE = 1 / 40
#: The raster of a single area: few cells are enough, most points ask for a probability, not for a member.
_CELLS = 2**14


@dataclass(frozen=True)
class DatedLine:
    """The line of one date, in the theatre's metres."""

    day: date
    file: str
    area: BaseGeometry | None  # what one side holds; None when the file has a line only: then nothing has a side
    path: BaseGeometry  # MultiLineString, its parts in order along the line from the south-west
    tolerance_m: float  # how well the line is known, 1 sigma
    problems: tuple[str, ...] = ()

    def length_m(self, tolerance_m: float = 0.0) -> float:
        """The length of the line, in the theatre's azimuthal-equidistant plane, generalised to `tolerance_m`
        (Douglas-Peucker, part by part). 0 gives the length as drawn. Never quote it without the tolerance."""
        path = shapely.simplify(self.path, tolerance_m, preserve_topology=False) if tolerance_m else self.path
        return float(path.length)

    def against(
        self,
        east_m: npt.ArrayLike,
        north_m: npt.ArrayLike,
        var_e: npt.ArrayLike,
        cov_en: npt.ArrayLike,
        var_n: npt.ArrayLike,
    ) -> dict[str, Floats]:
        """Where points, known as normal distributions, lie by this line.

        Returns
        -------
        line_distance_m
            To the nearest place of the line, negative for a point inside the area.
        chainage_m
            Of that place, along the line from its south-western end, gaps not counted.
        p_inside
            Probability of being inside the area, the point's ellipse and the line's tolerance taken together.

        NaN: all three without a position; the probability without an ellipse or an area; distance
        and chainage when nothing is left of the line.
        """
        east, north, *covariance = rows(east_m, north_m, var_e, cov_en, var_n)
        segment, distance, along = nearest(self._segments, east, north)
        chainage = np.append(self._chainage, np.nan)[segment] + along  # -1, no segment, takes the NaN
        p = np.full(len(east), np.nan)
        if self.area is not None:
            tolerance2 = self.tolerance_m**2
            var_e, cov_en, var_n = covariance
            p = self._index.probability_in(0, east, north, var_e + tolerance2, cov_en, var_n + tolerance2)
            distance[self._index.members(east, north)[0]] *= -1.0
        return {"line_distance_m": distance, "chainage_m": chainage, "p_inside": p}

    @cached_property
    def _index(self) -> ZoneIndex:
        return ZoneIndex([] if self.area is None else [self.area], _CELLS)

    @cached_property
    def _steps(self) -> tuple[Floats, Floats]:
        """Segments of the path, and the chainage at which each begins."""
        points, part = shapely.get_coordinates(shapely.get_parts(self.path), return_index=True)
        within = part[1:] == part[:-1]
        segments = np.hstack([points[:-1], points[1:]])[within]
        length = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
        return np.ascontiguousarray(segments), np.concatenate([[0.0], np.cumsum(length)])[:-1]

    @cached_property
    def _segments(self) -> Segments:
        tree: Segments = index_segments(self._steps[0])
        return tree

    @property
    def _chainage(self) -> Floats:
        return self._steps[1]


@dataclass(frozen=True)
class Line:
    """All dated lines of a mission, by date; `problems` says what was mended, left out or dropped."""

    frame: Frame
    lines: tuple[DatedLine, ...]
    tolerance_m: float
    problems: list[str]

    @classmethod
    def load(
        cls,
        paths: Iterable[str | Path],
        frame: Frame,
        select: Mapping[str, Sequence[str]] | None = None,
        tolerance_m: float = 500.0,
        trim_km: float = 4.0,
        border: BaseGeometry | None = None,
    ) -> "Line":
        """Read line files.

        Parameters
        ----------
        paths
            GeoJSON, plain or gzip, the date in the name (20230102, 2023-01-02), one file a date.
        select
            Keeps features with one of the given values of each property, whatever their case.
        tolerance_m
            How well the line is known, 1 sigma, the same in every direction.
        trim_km, border
            What of an area's border runs within `trim_km` of `border` (coasts and international borders,
            WGS 84) is no line of contact; nor are pieces that leave that strip and come back to it within
            twice its width (a bay, a spit, a border pocket that the two drawings put in different places).

        Raises
        ------
        MissionError
            Naming the file and what is wrong with it: see `geojson.read`; no or two dates in a name, two
            files of one date, nothing selected, no usable file.
        """
        by_day: dict[date, Path] = {}
        lines: list[DatedLine] = []
        problems: list[str] = []
        read: list[tuple[date, Path, npt.NDArray[np.object_], list[str]]] = []
        known = geojson.Known()
        for path in sorted((Path(p) for p in paths), key=lambda p: (p.name, str(p))):
            day = _day(path)
            if day in by_day:
                raise MissionError(f"{path}: a second line of {day}, after {by_day[day]}; one file a date")
            by_day[day] = path
            said: list[str] = []
            _, shapes = geojson.in_theatre(path, geojson.read(path, said, select, known), frame, said, known)
            read.append((day, path, shapes, said))
        strip = _strip(border, frame, trim_km * 1000, [shapes for _, _, shapes, _ in read])
        for day, path, shapes, said in read:
            line = _dated(day, path.name, shapes, frame, tolerance_m, strip, said)
            if line is not None:
                lines.append(line)
            problems += said
        if not lines:
            raise MissionError("line: no file has an area or a line in the theatre" if by_day else "line: no files")
        return cls(frame, tuple(sorted(lines, key=lambda line: line.day)), tolerance_m, problems)

    def at(self, day: date) -> DatedLine | None:
        """The line in force on a day: the newest not after it; None before the first."""
        return next((line for line in reversed(self.lines) if line.day <= day), None)

    def against(
        self,
        east_m: npt.ArrayLike,
        north_m: npt.ArrayLike,
        var_e: npt.ArrayLike,
        cov_en: npt.ArrayLike,
        var_n: npt.ArrayLike,
        at_s: npt.ArrayLike,
    ) -> dict[str, Any]:
        """Where points lie by the line of their day (UTC): `DatedLine.against`, each row with its own line.

        `at_s` are seconds since 1970, UTC. A row before the first line, or without a time, gets null and NaN.

        Returns
        -------
        line_date (Arrow strings), line_distance_m, chainage_m, p_inside (float64): one entry a row.
        """
        columns = rows(east_m, north_m, var_e, cov_en, var_n, at_s)
        days = np.array([(line.day - _EPOCH).days for line in self.lines], np.float64)
        at_day = np.floor(columns[5] / 86400.0)
        used = np.where(np.isnan(at_day), 0, np.searchsorted(days, at_day, side="right")) - 1
        found = {name: np.full(len(used), np.nan) for name in ("line_distance_m", "chainage_m", "p_inside")}
        order = np.argsort(used, kind="stable")
        for i in np.unique(used[used >= 0]):
            mine = order[slice(*np.searchsorted(used, [i, i + 1], sorter=order))]
            for name, values in self.lines[i].against(*(column[mine] for column in columns[:5])).items():
                found[name][mine] = values
        names = pa.array([line.day.isoformat() for line in self.lines], pa.string())
        return {"line_date": names.take(pa.array(used, mask=used < 0)), **found}

    def table(self) -> pa.Table:
        """`picture.LINE`: a row a date, the length at the tolerance, the line itself in WGS 84."""
        return pa.table(
            {
                "date": [line.day.isoformat() for line in self.lines],
                "file": [line.file for line in self.lines],
                "length_km": [line.length_m(self.tolerance_m) / 1000 for line in self.lines],
                "tolerance_m": [self.tolerance_m] * len(self.lines),
                "problems": [list(line.problems) for line in self.lines],
                "geometry": [shapely.to_wkb(geojson.to_degrees(line.path, self.frame)) for line in self.lines],
            },
            picture.LINE,
        )


def _day(path: Path) -> date:
    """The one date in a file's name."""
    days = set()
    for year, _, month, day in _DATE.findall(path.name):
        try:
            days.add(date(int(year), int(month), int(day)))
        except ValueError:
            continue
    if len(days) != 1:
        found = " and ".join(sorted(d.isoformat() for d in days)) or "none"
        raise MissionError(
            f"{path}: a line file needs one date in its name, like line_2023-01-02.geojson; found {found}"
        )
    return days.pop()


class _Strip(NamedTuple):
    """What is near coast and border."""

    area: BaseGeometry
    width_m: float


def _strip(
    border: BaseGeometry | None, frame: Frame, width_m: float, areas: Sequence[npt.NDArray[np.object_]]
) -> _Strip | None:
    """The strip along coast and border, where the areas are."""
    if border is None or width_m <= 0:
        return None
    if shapely.get_dimensions(border) == 2:
        border = shapely.boundary(border)
    bearing = np.radians(np.arange(0.0, 360.0, 5.0))
    reach_m = 1.1 * frame.radius_m + width_m
    lon, lat = frame.to_degrees(reach_m * np.sin(bearing), reach_m * np.cos(bearing))
    near = shapely.clip_by_rect(border, lon.min(), lat.min(), lon.max(), lat.max())
    local = shapely.simplify(geojson.to_local(np.array([near], object), frame)[0], width_m * _FINE)
    box = shapely.total_bounds(np.concatenate([*areas, np.empty(0, object)]))
    if not np.isnan(box).any():
        local = shapely.clip_by_rect(local, *(box + np.array([-2, -2, 2, 2]) * width_m))
    return _Strip(shapely.buffer(local, width_m, quad_segs=_QUARTER), width_m)


def _dated(
    day: date,
    file: str,
    shapes: npt.NDArray[np.object_],
    frame: Frame,
    tolerance_m: float,
    strip: _Strip | None,
    said: list[str],
) -> DatedLine | None:
    """The line of one file; None, and a sentence, when there is nothing in it."""

    def say(sentence: str) -> None:
        said.append(f"{file}: {sentence}")

    kinds = shapely.get_dimensions(shapes)
    if (kinds == 0).any():
        say(f"left out: {_many(kinds == 0, 'point')}, neither area nor line")
    if (kinds == 2).any():
        if (kinds == 1).any():
            say(f"left out: {_many(kinds == 1, 'line')} beside areas, whose border is the line")
        area = _union(shapes[kinds == 2], tolerance_m, say)
        line = shapely.boundary(area)
    else:
        area, line = None, shapely.union_all(shapes[kinds == 1])
    if line.is_empty:
        say("left out: no area and no line in it; the line before it stays in force")
        return None
    parts = _contact(line, frame, strip if area is not None else None, tolerance_m, say)
    if not len(parts):
        say("nothing of the areas' border is line of contact")
    return DatedLine(day, file, area, _ordered(parts), tolerance_m, tuple(said))


def _union(shapes: npt.NDArray[np.object_], tolerance_m: float, say: Callable[[str], None]) -> BaseGeometry:
    """One area: parts joined, seams closed."""
    area = shapely.union_all(polygons(mended(shapes))[0])  # moved into the plane, near misses may cross
    seam_m = tolerance_m * _SEAM
    wide = shapely.buffer(area, seam_m / 2, join_style="mitre", mitre_limit=_MITRE)
    narrow = shapely.buffer(wide, -seam_m / 2, join_style="mitre", mitre_limit=_MITRE)
    closed = shapely.union_all([area, narrow])
    added_km2 = (closed.area - area.area) / 1e6
    if added_km2 > _WORTH_SAYING_KM2:
        say(f"seams between areas narrower than {seam_m:g} m; closed, {added_km2:.3f} km2 added")
    parts = polygons(np.array([closed], object))[0]
    slivers = 2 * shapely.area(parts) < seam_m * shapely.length(parts)
    if slivers.any():
        size = shapely.area(parts[slivers]).sum() / 1e6
        say(f"{_many(slivers, 'sliver')} of area narrower than {seam_m:g} m, {size:.2f} km2 in all; kept")
    return closed


def _contact(
    border: BaseGeometry, frame: Frame, strip: _Strip | None, tolerance_m: float, say: Callable[[str], None]
) -> npt.NDArray[np.object_]:
    """The parts of an area's border, or of a line as drawn, that are line of contact in the theatre."""
    line = shapely.intersection(border, shapely.buffer(shapely.Point(0, 0), frame.radius_m, quad_segs=64))
    if strip is not None:
        line = shapely.difference(line, strip.area)
    parts = shapely.get_parts(shapely.line_merge(line))
    ends = shapely.get_coordinates(shapely.get_point(parts, 0)) - shapely.get_coordinates(shapely.get_point(parts, -1))
    chord, length, loop = np.hypot(*ends.T), shapely.length(parts), shapely.is_closed(parts)
    back = ~loop & (chord < 2 * strip.width_m if strip is not None else np.zeros(len(parts), bool))
    short = loop & (length < _LOOP * tolerance_m)
    if strip is not None and back.any():
        say(
            f"not taken for line: {_many(back, 'piece')} of border, {length[back].sum() / 1000:.1f} km in all, from "
            f"coast or international border back to it within {2 * strip.width_m / 1000:g} km"
        )
    if short.any():
        say(f"not taken for line: {_many(short, 'loop')} shorter than {_LOOP * tolerance_m / 1000:g} km")
    kept: npt.NDArray[np.object_] = parts[~back & ~short]
    return kept


def _many(which: npt.NDArray[np.bool_], thing: str) -> str:
    """How many, in words: "1 loop", "3 loops"."""
    count = int(which.sum())
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _ordered(parts: Iterable[shapely.LineString]) -> BaseGeometry:
    """Parts in order along the line.

    The longest open part is the trunk, walked from its more south-western end (east + north is less). An open
    part comes before or after the trunk, by which of its ends is nearer, and the farther from there the farther
    out, its nearer end towards the trunk. Closed loops come last, in the order of the trunk's places
    they are nearest to. Ties go by coordinates.
    """
    by_length = sorted(parts, key=lambda part: (part.is_closed, -part.length, part.wkb))
    if not by_length or by_length[0].is_closed:
        return shapely.MultiLineString(by_length)
    trunk, rest = by_length[0], by_length[1:]
    if sum(trunk.coords[0][:2]) > sum(trunk.coords[-1][:2]):
        trunk = trunk.reverse()
    begin, end = shapely.Point(trunk.coords[0]), shapely.Point(trunk.coords[-1])
    placed: list[tuple[int, float, bytes, shapely.LineString]] = [(1, 0.0, b"", trunk)]
    for part in rest:
        one, other = shapely.Point(part.coords[0]), shapely.Point(part.coords[-1])
        to_begin, to_end = (min(tip.distance(one), tip.distance(other)) for tip in (begin, end))
        if part.is_closed:
            placed.append((3, trunk.project(one), part.wkb, part))
        elif to_begin < to_end:
            turned = part if begin.distance(other) <= begin.distance(one) else part.reverse()
            placed.append((0, -to_begin, part.wkb, turned))
        else:
            turned = part if end.distance(one) <= end.distance(other) else part.reverse()
            placed.append((2, to_end, part.wkb, turned))
    return shapely.MultiLineString([part for *_, part in sorted(placed, key=lambda entry: entry[:3])])
