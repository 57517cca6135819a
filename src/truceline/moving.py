"""What moves: tracks, what they tell, and the occurrences they are to the agreement's clauses.

A fix says that an object was somewhere; fixes make tracks, tracks tell movements, and a movement that a clause may
speak of (an aircraft in a zone, a vessel where none may be) becomes an event of an incident of its own, so that rules
judge it like anything else.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from shapely.geometry.base import BaseGeometry

from truceline import picture
from truceline.agreement import Agreement
from truceline.frame import Frame
from truceline.fuse.columns import Groups
from truceline.fuse.movement import as_events, movements, tied
from truceline.fuse.movement_positions import dry_land
from truceline.fuse.movement_rows import rows_of
from truceline.fuse.tables import against, assembled
from truceline.fuse.tracking import Parts, Tracked, track, track_in_parts
from truceline.observation import TIME, one_array, to_numpy
from truceline.pieces import Rows, chained, pieces_of
from truceline.rules import REGISTRY, Zones
from truceline.rules.subjects import matching
from truceline.rules.zones_at import day_of, days

if TYPE_CHECKING:
    from truceline.line import Line
    from truceline.places import Gazetteer

#: Clause types that speak of objects in zones.
_OF_OBJECTS = ("no_fly", "presence", "withdrawal", "protected_site")
#: Between a zone's id and the date of the line that it follows.
_AT = "\n"


class Moving(NamedTuple):
    """Tables of what moves; `events` and `incidents` are those that clauses may speak of."""

    tracks: pa.Table
    points: Rows
    movements: pa.Table
    associations: Rows
    events: pa.Table
    incidents: pa.Table


def moving(
    observations: Rows,
    agreement: Agreement,
    frame: Frame,
    line: "Line | None",
    gazetteer: "Gazetteer | None",
    zones: Zones,
    into: Path | None = None,
) -> Moving:
    """What the fixes among the observations come to; empty tables where there is none.

    Parameters
    ----------
    observations
        Rows of `observation.CORE`, in any order; only those of kind `fix` count, and what those of kind `status` say
        of identities. Pieces are read twice.
    zones
        The agreement's, each drawn along the line that was in force when an object was there.
    into
        A folder for files, for observations in pieces: points and associations of what is given back are read from
        there. The caller removes it.
    """
    classes, fixes = _classes(observations)
    if not fixes:
        return Moving(
            *(schema.empty_table() for schema in (picture.TRACKS, picture.TRACK_POINTS, picture.MOVEMENTS)),
            *(schema.empty_table() for schema in (picture.ASSOCIATIONS, picture.EVENTS, picture.INCIDENTS)),
        )
    classed = (_classed(piece, classes) for piece in pieces_of(observations))
    tracked: Tracked | Parts
    if into is None:
        sent: Rows = pa.concat_tables(classed)
        tracked = track(sent, frame)
    else:
        tracked = track_in_parts(classed, frame, into)
        sent = tracked.fixes
    areas, names = _areas(agreement, frame, zones, tracked.points)
    uses = {zone.id: zone.use for zone in agreement.zone if zone.use}
    kinds = {key: use for key in areas if (use := uses.get(key.partition(_AT)[0]))}
    at_sea = pc.any(pc.starts_with(tracked.tracks["what"], "vessel")).as_py()
    land = dry_land(frame) if at_sea else None  # half a second
    told = movements(tracked.tracks, tracked.points, sent, frame, areas, land=land, names=names, kinds=kinds, into=into)
    told = _in_force(told, zones)
    events = as_events(_spoken_of(told, tracked.tracks, agreement), tracked.tracks)
    ties = tied(events, told, tracked.points)
    events = _against_the_line(events, frame, line)
    both = tracked.associations, ties
    return Moving(
        tracked.tracks,
        tracked.points,
        told,
        pa.concat_tables(both) if into is None else chained(both, picture.ASSOCIATIONS),
        events,
        _incidents(events, gazetteer),
    )


def _classes(observations: Rows) -> tuple[dict[str, str], int]:
    """What identities say of themselves in messages without a position, and how many fixes there are.

    A ship's or an aircraft's class is in other messages than its positions. Of several classes the one stated most
    often counts.
    """
    fixes, counts = 0, []
    for piece in pieces_of(observations):
        fixes += pc.sum(pc.equal(piece["kind"], "fix")).as_py() or 0
        status = pc.and_(pc.equal(piece["kind"], "status"), pc.is_valid(piece["identity"]))
        told = piece.select(["identity", "what"]).filter(status)
        counts.append(told.group_by(["identity", "what"]).aggregate([([], "count_all")]))
    order = [("identity", "ascending"), ("count", "descending"), ("what", "ascending")]
    best: dict[str, str] = {}
    if counts:
        counted = pa.concat_tables(counts).group_by(["identity", "what"]).aggregate([("count_all", "sum")])
        counted = counted.rename_columns(["identity", "what", "count"])
        for row in counted.filter(pc.match_substring(counted["what"], ".")).sort_by(order).to_pylist():
            best.setdefault(row["identity"], row["what"])
    return best, fixes


def _classed(observations: pa.Table, classes: Mapping[str, str]) -> pa.Table:
    """The fixes, their kind as special as what their identity says of itself; one that contradicts the fix ("vessel"
    and then "aircraft.rotary") does not count."""
    fixes = observations.filter(pc.equal(observations["kind"], "fix"))
    if not classes:
        return fixes
    place = pc.index_in(fixes["identity"], value_set=pa.array([*classes], pa.string()))
    special = pa.array([*classes.values()], pa.string()).take(place)
    head = pc.list_element(pc.split_pattern(pc.coalesce(special, pa.scalar("")), ".", max_splits=1), 0)
    at = fixes.schema.get_field_index("what")
    refined = pc.if_else(pc.fill_null(pc.equal(head, fixes["what"]), False), special, fixes["what"])
    return fixes.set_column(at, fixes.schema.field(at), refined)


def _areas(
    agreement: Agreement, frame: Frame, zones: Zones, points: Rows
) -> tuple[dict[str, BaseGeometry], dict[str, str]]:
    """The zones that clauses speak of or ships use, by id and, if they follow the line, its date; and their names."""
    speaking = [clause for clause in agreement.clause if clause.type in _OF_OBJECTS]
    wanted = {c.zone for c in speaking} | {r.zone for c in speaking for r in c.reading if r.zone is not None}
    wanted |= {zone.id for zone in agreement.zone if zone.use}
    found: set[int] = set()
    for piece in pieces_of(points):
        at_s = to_numpy(piece["at"])
        found.update(np.unique(days(at_s[np.isfinite(at_s)])).tolist())
    of_days = [day_of(day) for day in sorted(found)]
    dated = {one.day: one for day in of_days if (one := zones.line_at(day)) is not None}
    areas: dict[str, BaseGeometry] = {}
    for zone in sorted(wanted):
        if zones.everywhere(zone):
            areas[zone] = shapely.Point(0.0, 0.0).buffer(frame.radius_m)
            continue
        for along in dated.values() if zones.dated(zone) else [None]:
            drawn = zones.draw(zone, along).geometry
            if drawn is not None and not drawn.is_empty:
                areas[zone if along is None else f"{zone}{_AT}{along.day.isoformat()}"] = drawn
    return areas, {key: zones.name(key.partition(_AT)[0]) for key in areas}


def _in_force(told: pa.Table, zones: Zones) -> pa.Table:
    """Of zones that follow the line, only what was told of the line of the day; their plain ids."""
    begins = days(to_numpy(told["at_from"]))
    of_day: dict[int, date | None] = {}
    for day in np.unique(begins).tolist():
        line = zones.line_at(day_of(day)) if day >= 0 else None
        of_day[day] = None if line is None else line.day
    plain, keep = [], []
    for key, day in zip(told["zone"].to_pylist(), begins.tolist(), strict=True):
        zone, _, along = (key or "").partition(_AT)
        plain.append(zone or None)
        keep.append(not along or along == str(of_day[day]))
    at = told.schema.get_field_index("zone")
    return told.set_column(at, told.schema.field(at), pa.array(plain, pa.string())).filter(pa.array(keep, pa.bool_()))


def _spoken_of(told: pa.Table, tracks: pa.Table, agreement: Agreement) -> pa.Table:
    """The movements of kinds of object that a clause about their zone speaks of: a ship under a no-fly zone is none."""
    kinds: dict[str, set[str]] = {}
    for clause in agreement.clause:
        plain = clause.what or REGISTRY[clause.type].WHAT
        kinds.setdefault(clause.zone, set()).update(plain)
        for reading in clause.reading:
            kinds.setdefault(reading.zone or clause.zone, set()).update(reading.what or plain)
    words = tracks["what"].take(pa.array(rows_of(tracks["track_id"], told["track_id"]))).to_pylist()
    zones = told["zone"].to_pylist()
    keep = [bool(matching([word], tuple(kinds.get(zone, ())))) for word, zone in zip(words, zones, strict=True)]
    return told.filter(pa.array(keep, pa.bool_()))


def _against_the_line(events: pa.Table, frame: Frame, line: "Line | None") -> pa.Table:
    """The events with their place by the dated line."""
    lon, lat, major, minor, tilt = (
        to_numpy(events[name]).astype(np.float64) for name in ("lon", "lat", "major_m", "minor_m", "tilt_deg")
    )
    place = (*frame.to_local(lon, lat), *frame.covariance(lon, lat, major, minor, np.nan_to_num(tilt)))
    for name, column in against(*place, to_numpy(events["at"]), line).items():
        at = events.schema.get_field_index(name)
        kind = events.schema.field(at)
        values = pa.nulls(events.num_rows, kind.type) if column is None else column.cast(kind.type)
        events = events.set_column(at, kind, values)
    return events


def _incidents(events: pa.Table, gazetteer: "Gazetteer | None") -> pa.Table:
    """One row for visits of one object that overlap in time, told as its first."""
    if not events.num_rows:
        return picture.INCIDENTS.empty_table()
    codes = pc.dictionary_encode(one_array(events["incident_id"].cast(pa.binary())))
    groups = Groups(codes.indices.to_numpy().astype(np.int64), len(codes.dictionary))
    first = events.take(pa.array(groups.order[groups.start]))
    begins, ends = (events[name].cast(pa.int64()).to_numpy().astype(np.float64) for name in ("at_from", "at_until"))
    lon, lat = to_numpy(first["lon"]), to_numpy(first["lat"])
    built: dict[str, Any] = {
        name: first[name] if name in first.column_names else None for name in picture.INCIDENTS.names
    }
    built |= {
        "first_at": pa.array(groups.least(begins).astype(np.int64)).cast(TIME),
        "last_at": pa.array(groups.greatest(ends).astype(np.int64)).cast(TIME),
        "place": None if gazetteer is None else pa.array(gazetteer.words(lon, lat), pa.string()),
        "events": groups.size.astype(np.int32),
    }
    return assembled(built, groups.count, picture.INCIDENTS)
