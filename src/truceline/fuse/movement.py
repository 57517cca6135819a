"""What tracks tell: zones entered and left, silence, positions that cannot be, stays, meetings.

Each is a row of `picture.MOVEMENTS` with a probability, the factors behind it and a sentence. None says why anyone
did it: a silence may be a fault, a false position is rather interference than guilt, and a stay may be a wait for a
berth. docs/movement.md has every outcome with its formula, its assumptions and its blind spots.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from shapely.geometry.base import BaseGeometry

from truceline import picture
from truceline.frame import Frame
from truceline.fuse.assumptions import CONFLICT, stream
from truceline.fuse.columns import coded, single
from truceline.fuse.in_order import order_by
from truceline.fuse.movement_gaps import Silences
from truceline.fuse.movement_heard import Listening
from truceline.fuse.movement_meetings import Meetings
from truceline.fuse.movement_pieces import Seen, Spill, parts_for
from truceline.fuse.movement_positions import FalsePositions
from truceline.fuse.movement_rows import Fixes, assembled, rows_of
from truceline.fuse.movement_sent import Sent
from truceline.fuse.movement_stays import Staying
from truceline.fuse.movement_zones import ZoneOutcomes
from truceline.fuse.tables import PRIOR_MODEL
from truceline.observation import ID, TIME, ids, narrowest, one_array, to_numpy
from truceline.pieces import Rows, pieces_of
from truceline.zones import ZoneIndex

__all__ = ["Coverage", "as_events", "movements", "tied"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: East, north in metres and seconds since 1970 to the probability that something there and then would be heard.
Coverage = Callable[[Floats, Floats, Floats], Floats]

#: Outcomes that put an object into a zone: what a clause may speak of.
IN_A_ZONE = ("movement.inside", "movement.cross")

#: Whole tracks are taken so many fixes at a time: 50 MB while it lasts.
_BLOCK = 1 << 17
#: Columns of observations that are read.
_READ = (
    *("observation_id", "kind", "what", "sensor", "identity", "at", "until", "at_sigma_s"),
    *("lon", "lat", "major_m", "minor_m", "tilt_deg"),
)


def movements(
    tracks: pa.Table,
    points: Rows,
    observations: Rows,
    frame: Frame,
    zones: Mapping[str, BaseGeometry],
    coverage: Coverage | None = None,
    land: BaseGeometry | None = None,
    *,
    names: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    into: Path | None = None,
) -> pa.Table:
    """Everything that tracks tell.

    Parameters
    ----------
    tracks, points
        `picture.TRACKS` and `picture.TRACK_POINTS`, in any order; points in pieces of whole tracks, in the order of
        their ids.
    observations
        The fixes behind them and those that made no track: rows of `observation.CORE` (id, sensor, identity, what, at,
        lon, lat and errors are read), in any order; in pieces, one after the other in time.
    frame
        The theatre's plane.
    zones
        Areas in the plane's metres, by id.
    coverage
        What could be heard where and when; None learns it from what was heard.
    land
        Dry land in the plane's metres (`movement_positions.dry_land`); None asks nothing about it.
    names
        What people call a zone, by id; its id otherwise.
    kinds
        Of zones, by id: "lane" (stopping there is told), "port" and "anchorage" (staying there is not).
    into
        A folder for scratch files, which are removed: what is held is then a piece and what is told, not all rows.
        None holds all.

    Returns
    -------
    pa.Table
        `picture.MOVEMENTS`, by begin, then track; empty where there is no track.
    """
    whole = Fixes.of(tracks, picture.TRACK_POINTS.empty_table(), frame)
    if not whole.number:
        return picture.MOVEMENTS.empty_table()
    kinds, names, parts = kinds or {}, names or {}, max(parts_for(observations), parts_for(points))
    ports = [zones[key] for key in sorted(zones) if kinds.get(key) in ("port", "anchorage")]
    harbours = ZoneIndex(ports) if ports else None
    lanes = {key: zones[key] for key in zones if kinds.get(key) == "lane"}
    with ExitStack() as scratch:
        sensors, taken, stated, states = (
            scratch.enter_context(Spill(into, name, parts)) for name in ("sensors", "taken", "sent", "states")
        )
        listening, sent = Listening(sensors, taken), Sent(whole.tracks, frame, stated)
        for piece in pieces_of(observations):
            seen = Seen.of(piece.select(_READ), frame)  # the records' bytes are most of the rest
            listening.add(seen)
            sent.add(seen)
        heard = listening.heard()
        sent.close()
        telling = (
            ZoneOutcomes(zones, names),
            Silences(whole, listening, heard, coverage),
            FalsePositions(whole, sent, land, harbours),
            Staying(whole, harbours, lanes, names),
            Meetings(whole, harbours, states, listening.begins_s, listening.ends_s),
        )
        for piece in pieces_of(points):
            for first, fixes in Fixes.blocks(whole.tracks, piece, frame, _BLOCK):
                for one in telling:
                    one.add(first, fixes)
        return assembled([part for one in telling for part in one.told()], whole)


def as_events(movements: pa.Table, tracks: pa.Table) -> pa.Table:
    """Objects in zones as occurrences that rules can judge.

    One row for every visit (inside, cross): what the track is, with its likelihoods; the visit's interval; the ellipse
    where it was most surely inside. A rule integrates that ellipse over its zone, so that the probability of a visit
    between fixes is carried, as a lower bound. Visits of one track that overlap in time share an incident: one flight
    through two zones that lie in each other is one thing. `p_conflict` is the prior of its kind; null at sea.

    Parameters
    ----------
    movements, tracks
        `picture.MOVEMENTS` and the `picture.TRACKS` they came from, in any order.

    Returns
    -------
    pa.Table
        `picture.EVENTS`, in the order of begin and id. Columns against the line are null: they are the caller's.
    """
    rows = movements.filter(pc.is_in(movements["what"], pa.array(IN_A_ZONE)))
    rows = rows.sort_by([("at_from", "ascending"), ("event_id", "ascending")]).combine_chunks()
    which = rows_of(tracks["track_id"], rows["track_id"])
    rows, of = rows.filter(pa.array(which >= 0)), tracks.take(pa.array(which[which >= 0]))
    n = rows.num_rows
    begin, end = (rows[name].cast(pa.int64()) for name in ("at_from", "at_until"))
    middle = pc.add(begin, pc.shift_right(pc.subtract(end, begin), 1))
    labels = zip(rows["release"].to_pylist(), of["release"].to_pylist(), strict=True)
    code, words = coded(of["what"])
    caused = [CONFLICT.get(stream(word) or "") for word in words]
    p = np.array([a.value if a else np.nan for a in caused] + [np.nan])[code]
    built = {
        "event_id": rows["event_id"],
        "incident_id": _incidents(rows),
        **{name: of[name] for name in ("what", "confidence", "alternatives", "observations", "sources", "sensors")},
        "at": middle.cast(TIME),
        "at_from": rows["at_from"],
        "at_until": rows["at_until"],
        **{name: rows[name] for name in ("lon", "lat", "major_m", "minor_m", "tilt_deg")},
        "means": pa.array(["recorded"] * n, pa.string()),
        "p_conflict": single(p),
        "p_conflict_model": pa.array([None if np.isnan(v) else PRIOR_MODEL for v in p], pa.string()),
        "release": pa.array([narrowest(pair) for pair in labels], pa.string()),
    }
    columns = [built.get(field.name, pa.nulls(n, field.type)) for field in picture.EVENTS]
    return pa.table(columns, names=picture.EVENTS.names).cast(picture.EVENTS).combine_chunks()


def tied(events: pa.Table, movements: pa.Table, points: Rows) -> pa.Table:
    """Which observations are behind the events of `as_events`: the track's points within each one's interval.

    Returns
    -------
    pa.Table
        `picture.ASSOCIATIONS`, event by event in time; an observation may be behind several (zones overlap).
        `log_ratio` is null: the track's own associations say how well an observation fits it.
    """
    made = movements.filter(pa.array(rows_of(events["event_id"], movements["event_id"]) >= 0))
    made = made.sort_by([("at_from", "ascending"), ("event_id", "ascending")])
    number = rows_of(made["track_id"], made["track_id"])  # of a track: the first row that it made
    begin, end = (made[name].cast(pa.int64()).to_numpy() for name in ("at_from", "at_until"))
    found, of = [pa.array([], ID)], [np.empty(0, np.int64)]
    for piece in pieces_of(points):
        track, at = rows_of(made["track_id"], piece["track_id"]), piece["at"].cast(pa.int64()).to_numpy()
        high, low = ids(piece["observation_id"]).T
        order = np.flatnonzero(track >= 0)
        order = order[order_by(track[order], at[order], high[order], low[order])]
        track, at = track[order], at[order]
        rows = [np.empty(0, np.int64)]
        for k in np.flatnonzero(np.isin(number, track)).tolist():
            first, last = np.searchsorted(track, [number[k], number[k] + 1])
            a = first + np.searchsorted(at[first:last], begin[k])
            b = first + np.searchsorted(at[first:last], end[k], side="right")
            rows.append(order[a:b])
            of.append(np.full(b - a, k))
        found.append(one_array(piece["observation_id"].take(pa.array(np.concatenate(rows)))))
    event = np.concatenate(of)
    in_order = np.argsort(event, kind="stable")
    which = pa.array(event[in_order])
    built = {
        "observation_id": pa.concat_arrays(found).take(pa.array(in_order)),
        "event_id": made["event_id"].take(which),
        "track_id": made["track_id"].take(which),
        "log_ratio": pa.nulls(len(event), pa.float32()),
    }
    return pa.table(built).cast(picture.ASSOCIATIONS).combine_chunks()


def _incidents(rows: pa.Table) -> pa.Array:
    """The event that begins each row's incident: visits of one track that overlap in time are one."""
    begin, end = (to_numpy(rows[name]) for name in ("at_from", "at_until"))
    track = rows_of(rows["track_id"], rows["track_id"])
    head = np.arange(rows.num_rows)
    order = np.lexsort((head, begin, track))  # rows come by begin and id
    reach, first, now = -np.inf, 0, -1
    for k in order.tolist():
        if track[k] != now or begin[k] > reach:
            now, first, reach = int(track[k]), k, -np.inf
        head[k] = first
        reach = max(reach, float(end[k]))
    return rows["event_id"].take(pa.array(head))
