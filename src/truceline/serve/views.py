"""What a reader of each label sees of the picture: whole tables, before anybody asks for some of their rows.

A view is made once for a picture and a label and then kept, so that how long an answer takes says nothing of the rows
that are not in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline import coarse
from truceline.agreement import Agreement
from truceline.finding import CASES, FINDINGS
from truceline.observation import RELEASES, TIME, nullable, to_numpy
from truceline.picture import ASSOCIATIONS, EVENTS, INCIDENTS, LINE, LINEAGE, MOVEMENTS, TRACK_POINTS, TRACKS
from truceline.release import COARSE, GROUND, sees
from truceline.rules.zones_at import ZONES
from truceline.rules.zones_at import sites as sites_of

SITES = pa.schema(
    [
        pa.field("site_id", pa.string(), nullable=False),
        ("name", pa.string()),
        ("zone", pa.string()),  # the agreement's zone that it belongs to
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("radius_m", pa.float64()),
        ("clauses", pa.list_(pa.string())),  # that speak of the zone
        ("protected", pa.bool_()),  # one of them protects it
    ]
)


class Collection(NamedTuple):
    """A collection: what identifies its rows, and when they were."""

    key: str
    begins: str | None  # columns of its interval; None: of all times
    ends: str | None
    title: str
    schema: pa.Schema


#: What OGC API Features has, in the order in which it is listed.
COLLECTIONS: dict[str, Collection] = {
    "incidents": Collection("incident_id", "first_at", "last_at", "Incidents", INCIDENTS),
    "findings": Collection("finding_id", "first_breach_from", "first_breach_until", "Findings", FINDINGS),
    "events": Collection("event_id", "at_from", "at_until", "Events", EVENTS),
    "tracks": Collection("track_id", "first_at", "last_at", "Tracks, at their last position", TRACKS),
    "track_points": Collection("observation_id", "at", "at", "Points of tracks", TRACK_POINTS),
    "sites": Collection("site_id", None, None, "Sites of the agreement", SITES),
    "zones": Collection("id", None, None, "Zones of the agreement", ZONES),
    "line": Collection("date", "date", "date", "The dated line of contact", LINE),
}

#: What can be exported beside: the picture's other tables.
MORE: dict[str, Collection] = {
    "movements": Collection("event_id", "at_from", "at_until", "Movements", MOVEMENTS),
    "cases": Collection("case_id", "opened_at", "opened_at", "Cases", CASES),
    "associations": Collection("observation_id", None, None, "Associations", ASSOCIATIONS),
    "lineage": Collection("from_id", None, None, "Lineage", LINEAGE),
}

#: Columns of what parties and public see: these and no others, so that a new column is hidden until somebody decides.
_NUMBERS = ("count", "count_max", "killed", "injured", "p_conflict", "release")
_PLACE = ("lon", "lat", "major_m", "minor_m", "place")
EVENT_COLUMNS = ("event_id", "incident_id", "what", "at", "at_from", "at_until", *_PLACE, *_NUMBERS)
INCIDENT_COLUMNS = ("incident_id", "what", "first_at", "last_at", *_PLACE, *_NUMBERS)
FINDING_COLUMNS = (
    *("finding_id", "clause", "rule", "reading", "subject_kind", "subject_id", "in_force", "illustrative"),
    *("p_breach", "calibrated", "first_breach_from", "first_breach_until", "attribution", "severity"),
    *(*_PLACE, "release", "sentence"),
)
_OF_SUBJECT = ("lon", "lat", "major_m", "place", "what")


class Released(NamedTuple):
    """How far a duty officer, with another's consent, has let a finding or a case go, and in which words."""

    label: str
    text: str | None = None  # said instead of the finding's own sentence


Tables = Mapping[str, pa.Table]
Releases = Mapping[bytes, Released]


@dataclass(frozen=True)
class Setting:
    """What views are made with beside the picture."""

    folder: Path
    agreement: Agreement
    ground: Callable[[], coarse.Ground]
    key: Callable[[], bytes]  # of opaque ids


def mission_view(name: str, tables: Tables, setting: Setting) -> pa.Table:
    """A collection as the mission sees it: as it is; findings with the place of their incident."""
    if name == "sites":
        return sites(setting.agreement, setting.folder)
    rows = tables.get(name)
    if rows is None:
        rows = (COLLECTIONS | MORE)[name].schema.empty_table()
    if name == "findings":
        incidents = tables.get("incidents", INCIDENTS.empty_table())
        at = _index_in(rows["subject_id"], incidents["incident_id"])
        return coarse.replaced(rows, {column: incidents[column].take(at) for column in _OF_SUBJECT})
    return rows


def views_below(
    label: str, tables: Tables, setting: Setting, released: Releases, until: datetime | None
) -> dict[str, pa.Table]:
    """All collections that a label below the mission's has.

    Parameters
    ----------
    until
        Parties and public are told of what had ended by then; not looked at for sending states.
    """
    strict = label in COARSE
    out = {}
    incidents = tables.get("incidents", INCIDENTS.empty_table())
    events = tables.get("events", EVENTS.empty_table())
    shown = _shown(incidents, "last_at", label, until if strict else None)
    known = shown["incident_id"]
    out["incidents"] = _sorted(_told(shown, setting, INCIDENT_COLUMNS, strict), label, "incidents", setting)
    shown = _shown(events, "at_until", label, until if strict else None)
    shown = coarse.replaced(shown, {"incident_id": _only(shown["incident_id"], known)})
    out["events"] = _sorted(_told(shown, setting, EVENT_COLUMNS, strict), label, "events", setting)
    found = _findings(label, tables, setting, released, until if strict else None, known)
    out["findings"] = _sorted(found, label, "findings", setting)
    for name, least in GROUND.items():
        if sees(label, least):
            out[name] = _ground(name, tables, setting, until if strict else None)
    return out


def _shown(rows: pa.Table, ends: str, label: str, until: datetime | None) -> pa.Table:
    """Rows whose own label lets them go so far; with `until` of those what is settled, over, and cues nobody."""
    mask = pc.is_in(rows["release"], value_set=pa.array([one for one in RELEASES if sees(label, one)]))
    if until is not None:
        over = pc.less_equal(coarse.hours(rows[ends], up=True), pa.scalar(until, TIME))
        mask = pc.and_(mask, pc.fill_null(over, False))
        mask = pc.and_(mask, pa.array(~coarse.cueing(rows)))
        if "provisional" in rows.column_names:
            mask = pc.and_(mask, pc.invert(pc.fill_null(rows["provisional"], True)))
    return rows.filter(mask)


def _told(rows: pa.Table, setting: Setting, columns: tuple[str, ...], strict: bool) -> pa.Table:
    if strict:
        return coarse.occurrences(rows, setting.ground(), columns)
    return coarse.exact_but_origins(rows, setting.ground())


def _findings(
    label: str, tables: Tables, setting: Setting, released: Releases, until: datetime | None, known: pa.ChunkedArray
) -> pa.Table:
    """Findings that were released so far; for sending states also those whose own label says so."""
    rows = mission_view("findings", tables, setting)
    incidents = tables.get("incidents", INCIDENTS.empty_table())
    let_out = _releases(rows, tables, released)
    labels = [one.label if one is not None else None for one in let_out]
    mask = np.array([one is not None and sees(label, one) for one in labels], np.bool_)
    if until is None:
        own = rows["release"].to_pylist()
        mask |= np.array([sees(label, one) for one in own], np.bool_)
        labels = [a if a is not None and sees(label, a) else b for a, b in zip(labels, own, strict=True)]
    else:
        at = _index_in(rows["subject_id"], incidents["incident_id"])
        ends = pc.coalesce(incidents["last_at"].take(at), rows["first_breach_until"])
        over = pc.less_equal(coarse.hours(ends, up=True), pa.scalar(until, TIME))
        mask &= pc.fill_null(over, False).to_numpy()
    rows = rows.filter(pa.array(mask))
    kept = np.flatnonzero(mask).tolist()
    texts = [let_out[i].text if let_out[i] is not None else None for i in kept]  # type: ignore[union-attr]
    rows = coarse.replaced(rows, {"release": pa.array([labels[i] for i in kept], pa.string())})
    rows = _placed(rows, setting, known, until is not None)
    subject = pc.if_else(
        pc.equal(rows["subject_kind"], "incident"), _only(rows["subject_id"], known), rows["subject_id"]
    )
    rows = coarse.replaced(rows, {"subject_id": subject})
    if texts:
        said = pc.coalesce(pa.array(texts, pa.string()), rows["sentence"])
        rows = coarse.replaced(rows, {"sentence": said})
    return rows.select(FINDING_COLUMNS) if until is not None else rows


def _releases(rows: pa.Table, tables: Tables, released: Releases) -> list[Released | None]:
    """What was released of each finding: itself, or the case that it belongs to."""
    by_finding: dict[bytes, Released] = {}
    cases = tables.get("cases")
    if released and cases is not None:
        for case, findings in zip(cases["case_id"].to_pylist(), cases["findings"].to_pylist(), strict=True):
            if case in released:
                by_finding |= dict.fromkeys(findings or [], released[case])
    by_finding |= {one: release for one, release in released.items() if isinstance(one, bytes)}
    if not by_finding:
        return [None] * rows.num_rows
    return [by_finding.get(one) for one in rows["finding_id"].to_pylist()]


def _placed(rows: pa.Table, setting: Setting, known: pa.ChunkedArray, strict: bool) -> pa.Table:
    """Findings with their places and what follows from these as coarse as they have to be.

    Exact only where the incident itself is this reader's to see and is no origin of fire.
    """
    cues = coarse.cueing(rows)
    visible = pc.is_in(rows["subject_id"], value_set=known.combine_chunks()).to_numpy()
    hide = np.ones(rows.num_rows, np.bool_) if strict else cues | ~visible
    lon, lat = (to_numpy(rows[name]) for name in ("lon", "lat"))
    ground = setting.ground()
    words: list[str | None]
    at_lon, at_lat, words = ground.cells(lon, lat)
    if strict and cues.any():
        far_lon, far_lat, far = ground.settlements(lon, lat)
        at_lon, at_lat = np.where(cues, far_lon, at_lon), np.where(cues, far_lat, at_lat)
        words = [b if cue else a for a, b, cue in zip(words, far, cues.tolist(), strict=True)]
    error = coarse.errors_m(rows["major_m"])
    placed = rows["lon"].is_valid()
    made: dict[str, Any] = {
        "lon": nullable(at_lon),
        "lat": nullable(at_lat),
        "major_m": pc.if_else(placed, error, None),
        "place": pc.if_else(placed, pa.array(words, pa.string()), None),
        "p_breach": coarse.tenths(rows["p_breach"]).cast(pa.float32()),
        "first_breach_from": coarse.hours(rows["first_breach_from"]),
        "first_breach_until": coarse.hours(rows["first_breach_until"], up=True),
        "factors": pa.nulls(rows.num_rows, rows.schema.field("factors").type),
        "exemption": pa.nulls(rows.num_rows, pa.string()),
        "what": coarse.families(rows["what"]),
    }
    titles = {clause.id: clause.title for clause in setting.agreement.clause}
    parties = {party.id: party.name for party in setting.agreement.party}
    made["sentence"] = coarse.sentences(coarse.replaced(rows, made), titles, parties)
    mask = pa.array(hide)
    merged = {name: pc.if_else(mask, values, rows[name]) for name, values in made.items()}
    rows = coarse.replaced(rows, merged)
    return coarse.replaced(rows, {"minor_m": rows["major_m"]})


def _sorted(rows: pa.Table, label: str, name: str, setting: Setting) -> pa.Table:
    """Ids made opaque, rows in the order of their (coarse) times and of those: their old order says nothing now."""
    key = setting.key()
    ids = [column for column in ("event_id", "incident_id", "finding_id", "subject_id") if column in rows.column_names]
    rows = coarse.replaced(rows, {column: coarse.opaque(rows[column], key, label) for column in ids})
    about = COLLECTIONS[name]
    order = pc.sort_indices(
        pa.table({"at": rows[about.begins], "id": rows[about.key].cast(pa.binary())}),
        sort_keys=[("at", "ascending"), ("id", "ascending")],
    )
    return scrubbed(rows.take(order))


def scrubbed(rows: pa.Table) -> pa.Table:
    """Rows with nothing beside their values: no dictionary of words that no row has, no remarks of the schema.

    They were taken out of a larger table, so that under a null there is nothing either: a column that was masked
    still has its numbers there, and a file of Arrow would carry them.
    """
    columns = {}
    for name in rows.column_names:
        values = rows[name]
        columns[name] = values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values
    return pa.table(columns)


def _ground(name: str, tables: Tables, setting: Setting, until: datetime | None) -> pa.Table:
    """Sites, zones or lines; with `until` the lines dated by then, and no zone that moves with a newer one."""
    rows = mission_view(name, tables, setting)
    if until is None or name == "sites":
        return rows
    days = [date.fromisoformat(day) for day in tables.get("line", LINE.empty_table())["date"].to_pylist()]
    last = until.date() - timedelta(days=1)
    if name == "line":
        return rows.filter(pc.less_equal(rows["date"], last.isoformat()))
    if days and max(days) > last:
        moving = [zone.id for zone in setting.agreement.zone if zone.kind == "band" and zone.line == "actual"]
        return rows.filter(pc.invert(pc.is_in(rows["id"], value_set=pa.array(moving, pa.string()))))
    return rows


def sites(agreement: Agreement, folder: Path) -> pa.Table:
    """The sites of the agreement's zones of circles, one row each."""
    rows = []
    for zone in agreement.zone:
        if zone.kind != "circles":
            continue
        about = [clause for clause in agreement.clause if zone.id in (clause.zone, *(r.zone for r in clause.reading))]
        for number, site in enumerate(sites_of(zone, folder), 1):
            rows.append(
                {
                    "site_id": f"{zone.id}.{number}",
                    "name": site.name,
                    "zone": zone.id,
                    "lon": site.lon,
                    "lat": site.lat,
                    "radius_m": 1000.0 * (site.radius_km or zone.radius_km or 0.0),
                    "clauses": [clause.id for clause in about],
                    "protected": any(clause.type == "protected_site" for clause in about),
                }
            )
    return pa.Table.from_pylist(rows, SITES)


def _index_in(column: pa.ChunkedArray, among: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.index_in(column.cast(pa.binary()), value_set=among.cast(pa.binary()).combine_chunks())


def _only(column: pa.ChunkedArray, known: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids of `known`, null for others: a reader must not learn that two rows have something unseen in common."""
    return pc.if_else(pc.is_in(column, value_set=known.combine_chunks()), column, pa.scalar(None, column.type))
