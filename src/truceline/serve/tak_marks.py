"""What goes to TAK clients, and what never does: the one place where the law of it is kept.

Over Cursor on Target go findings, incidents, protected sites, zones of the agreement, and standing alerts, in words at
coarse places. Beside what the query layer shows a principal at all:

- nothing that says where somebody's weapons, vehicles, aircraft or vessels are or fired from (`coarse.cueing`), to
  nobody, not at a kilometre either; no track, no point of one, no observation; no site but protected ones;
- places are those of a cell of a kilometre or of a settlement, times an hour's, probabilities a tenth's, to everybody;
- whoever is not the mission's is told of what had ended a day ago (`release.horizon`).
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from truceline import coarse
from truceline.errors import NotFoundError
from truceline.feeds.cot_writing import Mark
from truceline.finding import FINDINGS
from truceline.observation import TIME, term, to_numpy
from truceline.picture import INCIDENTS
from truceline.places import IN_KM, PEOPLE_PER_KM2
from truceline.release import Principal, horizon, label_of, visible
from truceline.serve.query import Query, query_of
from truceline.serve.service import Alert, Service

#: The most of each kind, the newest: a handheld draws some hundred marks well.
MOST = 400
#: A drawing of more corners or parts takes a handheld seconds.
MOST_CORNERS, MOST_PARTS = 60, 12

_WHITE, _YELLOW, _AMBER, _BLUE = -1, -256, -23296, -16776961


def marks(service: Service, principal: Principal) -> dict[str, Mark]:
    """What a principal's client shows now, by uid. Takes some milliseconds: not for the event loop."""
    query = query_of(service)
    label = query.label(principal)
    if label is None:
        return {}
    found = [
        *_sites(query, principal),
        *_zones(query, principal),
        *_incidents(service, query, principal),
        *_findings(service, query, principal),
        *_alerts(service, principal),
    ]
    if service.mission.exercise:
        found = [one._replace(name=f"EXERCISE {one.name}", words=f"EXERCISE\n{one.words}") for one in found]
    return {one.uid: one for one in found}


def harmless(service: Service) -> dict[bytes, int]:
    """The findings whose place cues nobody, as `finding_id` to the row of their incident.

    Those of tracks, sites and duties are not among them, nor those of clauses on weapons, forces and aircraft, nor
    those whose incident is not known: what cannot be judged is not told.
    """
    tables = service.live.snapshot.tables
    findings = tables.get("findings", FINDINGS.empty_table())
    incidents = tables.get("incidents", INCIDENTS.empty_table())
    at = pc.index_in(findings["subject_id"].cast(pa.binary()), _plain(incidents["incident_id"]))
    fire = [one.id for one in query_of(service).setting.agreement.clause if one.type in ("cessation", "protected_site")]
    good = pc.and_(pc.equal(findings["subject_kind"], "incident"), pc.is_valid(at))
    good = pc.and_(good, pc.is_in(findings["clause"], value_set=pa.array(fire, pa.string())))
    cues = coarse.cueing(incidents)
    rows = zip(findings["finding_id"].to_pylist(), good.to_pylist(), at.to_pylist(), strict=True)
    return {one: row for one, known, row in rows if known and not cues[row]}


def place(query: Query, lon: float, lat: float) -> tuple[float, float, float, str]:
    """A place as coarse as it may be said: longitude, latitude, radius in metres that holds it, words."""
    lons, lats, words = query.setting.ground().cells(np.array([lon]), np.array([lat]))
    said = words[0] or "undetermined place"
    return float(lons[0]), float(lats[0]), radius_m(query, lons[0], lats[0], said), said


def radius_m(query: Query, lon: float, lat: float, words: str) -> float:
    """How far off a place that `coarse.Ground.cells` gave may be, up to whole kilometres: a cell's corner, or where the
    words name a settlement, that of its disc."""
    if not words.startswith("in "):
        return coarse.CELL_M
    near = query.setting.ground().gazetteer.near(lon, lat, 1.0)
    people = next((one.population for one in near if one.name == words[3:]), 0)
    disc_km = min(max(math.sqrt(people / PEOPLE_PER_KM2 / math.pi), IN_KM[0]), IN_KM[1])
    return 1000.0 * math.ceil(disc_km + 0.71 * coarse.CELL_M / 1000)


def _view(query: Query, name: str, principal: Principal) -> pa.Table | None:
    try:
        return query.view(name, principal)
    except NotFoundError:
        return None


def _told(query: Query, rows: pa.Table, ends: str, service: Service, principal: Principal) -> pa.Table:
    """Rows that cue nobody, over for a day where they have to be, with coarse places; the newest."""
    mask = np.isfinite(to_numpy(rows["lon"]) + to_numpy(rows["lat"]))
    if "what" in rows.column_names:  # findings for parties and public are without it; `harmless` has judged them
        mask &= ~coarse.cueing(rows)
    if label_of(principal) != "mission":
        over = pc.less_equal(coarse.hours(rows[ends], up=True), pa.scalar(horizon(service.clock()), TIME))
        mask &= pc.fill_null(over, False).to_numpy(zero_copy_only=False)
    rows = rows.filter(pa.array(mask))
    rows = rows.take(pc.sort_indices(rows, sort_keys=[(ends, "descending")])[:MOST])
    lon, lat, words = query.setting.ground().cells(*(to_numpy(rows[name]).astype(float) for name in ("lon", "lat")))
    made: dict[str, Any] = {"lon": pa.array(lon), "lat": pa.array(lat), "place": pa.array(words, pa.string())}
    made["major_m"] = coarse.errors_m(rows["major_m"])
    if "what" in rows.column_names:
        made["what"] = coarse.families(rows["what"])
    return coarse.replaced(rows, made)


def _incidents(service: Service, query: Query, principal: Principal) -> list[Mark]:
    rows = _view(query, "incidents", principal)
    if rows is None:
        return []
    rows = _told(query, rows, "last_at", service, principal)
    out = []
    for row in rows.select(["incident_id", "what", "first_at", "lon", "lat", "major_m", "place"]).to_pylist():
        words = term(row["what"]).osce
        who = "" if row["what"] == "fire" else " Who fired is undetermined."
        said = f"{_capital(words)} {row['place']}, {_hour(row['first_at'])}.{who}"
        uid = f"truceline-incident-{row['incident_id'].hex()}"
        out.append(_spot(query, uid, row, _capital(words), said, _WHITE))
    return out


def _findings(service: Service, query: Query, principal: Principal) -> list[Mark]:
    """One mark for each clause and place of likely breaches, in the reading in which it is likeliest."""
    rows = _view(query, "findings", principal)
    if rows is None:
        return []
    good = {query.shown_id(one, principal) for one in harmless(service)}
    mine = [one.hex() in good for one in rows["finding_id"].to_pylist()]
    likely = pc.fill_null(pc.greater_equal(rows["p_breach"], service.mission.serve.alert_from), False)
    rows = rows.filter(pc.and_(pa.array(mine, pa.bool_()), likely))
    rows = _told(query, rows, "first_breach_until", service, principal)
    rows = coarse.replaced(rows, {"p_breach": coarse.tenths(rows["p_breach"]).cast(pa.float32())})
    agreement = query.setting.agreement
    titles = {clause.id: clause.title for clause in agreement.clause}
    parties = {party.id: party.name for party in agreement.party}
    hours = {"first_breach_from": coarse.hours(rows["first_breach_from"])}
    hours["first_breach_until"] = coarse.hours(rows["first_breach_until"], up=True)
    rows = coarse.replaced(rows, hours)
    told = coarse.sentences(rows, titles, parties) if "what" in rows.column_names else rows["sentence"]
    best: dict[Any, tuple[float, Mark]] = {}
    columns = ["finding_id", "clause", "subject_id", "p_breach", "lon", "lat", "major_m", "place"]
    for row, sentence in zip(rows.select(columns).to_pylist(), told.to_pylist(), strict=True):
        subject = row["subject_id"] or row["finding_id"]
        uid = f"truceline-finding-{row['clause']}-{subject.hex()}"
        one = _spot(query, uid, row, f"Clause {row['clause']}", sentence, _AMBER)
        if uid not in best or row["p_breach"] > best[uid][0]:
            best[uid] = row["p_breach"], one
    return [one for _, one in best.values()]


def _sites(query: Query, principal: Principal) -> list[Mark]:
    rows = _view(query, "sites", principal)
    out = []
    for row in rows.to_pylist() if rows is not None else ():
        if row["protected"]:  # of the others some are stores and landing places
            said = f"Protected: clause {', '.join(row['clauses'])}. No fire at it, from it or near it."
            one = Mark(f"truceline-site-{row['site_id']}", row["lon"], row["lat"], row["radius_m"], row["name"], said)
            out.append(one._replace(colour=_BLUE))
    return out


def _zones(query: Query, principal: Principal) -> list[Mark]:
    rows = _view(query, "zones", principal)
    if rows is None:
        return []
    protected = {clause.zone for clause in query.setting.agreement.clause if clause.type == "protected_site"}
    out: list[Mark] = []
    for row in rows.to_pylist():
        if row["kind"] in ("band", "polygon") or row["id"] in protected:
            for number, outline in enumerate(_outlines(row["geometry"]), 1):
                lon, lat = (float(v) for v in np.mean(outline, axis=0))
                uid = f"truceline-zone-{row['id']}-{number}"
                said = f"{_capital(row['name'])}: a zone of the agreement."
                corners = tuple((float(a), float(b)) for a, b in outline)
                out.append(Mark(uid, lon, lat, None, row["name"], said, _BLUE, corners))
    return out


def _outlines(wkb: bytes) -> list[Any]:
    """The outer borders of the largest parts, with few corners: a picture, not a border to measure by."""
    polygons = [part for part in shapely.get_parts(shapely.from_wkb(wkb)) if part.geom_type == "Polygon"]
    parts = sorted(polygons, key=lambda part: -part.area)[:MOST_PARTS]
    out = []
    for part in parts:
        ring, step = shapely.get_exterior_ring(part), 1e-4
        while shapely.get_num_coordinates(ring) > MOST_CORNERS + 1 and step < 10.0:
            ring, step = shapely.simplify(ring, step, preserve_topology=False), step * 2
        if shapely.get_num_coordinates(ring) > 3:
            out.append(shapely.get_coordinates(ring)[:-1])
    return out


def _alerts(service: Service, principal: Principal) -> list[Mark]:
    query = query_of(service)
    good = harmless(service)
    standing = [one for one in service.alerts.listed("standing", MOST) if visible(one.release, principal)]
    return [_alert(service, query, one, good) for one in standing]


def _alert(service: Service, query: Query, alert: Alert, good: Mapping[bytes, int]) -> Mark:
    """An alert in words: at its coarse place where that cues nobody, else at the middle of the theatre."""
    centre = service.mission.centre
    lon, lat, radius, where = centre.lon, centre.lat, 1000.0 * service.mission.radius_km, ""
    if alert.finding_id in good and alert.lon is not None and alert.lat is not None:
        lon, lat, radius, where = place(query, alert.lon, alert.lat)
    said = alert_words(query, alert, where)
    name = "Silence" if alert.what != "finding" else f"Alert, clause {alert.clause}"
    return Mark(f"truceline-alert-{alert.alert_id.hex()}", lon, lat, radius, name, said, _YELLOW)


def alert_words(query: Query, alert: Alert, where: str) -> str:
    """What an alert says outside the mission's own page. `where`: coarse words of its place, "" where it has none to
    tell."""
    if alert.what != "finding":
        since = f" since {_hour(alert.at)}" if alert.at is not None else ""
        return f"Nothing has come from source {alert.source}{since}: what it would have seen is not seen."
    titles = {clause.id: clause.title for clause in query.setting.agreement.clause}
    title = f" ({titles[alert.clause]})" if alert.clause in titles else ""
    when = f", {_hour(alert.at)}" if alert.at is not None else ""
    at = f", {where}" if where else "; where, the mission's page says"
    p = "not known" if alert.p_breach is None else f"about {round(alert.p_breach, 1):.1f}, uncalibrated"
    return f"A possible breach of clause {alert.clause}{title}{at}{when}. Probability {p}. Who did it is undetermined."


def _spot(query: Query, uid: str, row: Mapping[str, Any], name: str, said: str, colour: int) -> Mark:
    error = max(row["major_m"] or coarse.CELL_M, radius_m(query, row["lon"], row["lat"], row["place"] or ""))
    return Mark(uid, row["lon"], row["lat"], error, name, said, colour)


def _hour(at: datetime) -> str:
    return f"{at:%d %b %Y}, the hour from {at:%H}:00 UTC"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(column: pa.ChunkedArray) -> pa.Array:
    return column.cast(pa.binary()).combine_chunks()
