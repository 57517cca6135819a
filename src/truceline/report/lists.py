"""The whole lists beside the report: violations as CSV, incidents as GeoJSON."""

import csv
import io
import json

from truceline.report import saying
from truceline.report.model import Incident, Report

CSV_COLUMNS = (
    "number", "incident_id", "sources", "place", "region", "lon", "lat", "position_coarsened", "line_date",
    "line_distance_km", "means", "count", "count_max", "observation", "what", "description", "weapon",
    "first_at_utc", "last_at_utc", "events", "observations", "killed_reported", "injured_reported", "p_breach",
    "clauses", "readings", "states", "p_conflict",
)  # fmt: skip


def violations_csv(report: Report) -> str:
    """Every incident of the day but fires, one row each; times in UTC, missing is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in report.incidents:
        distance_km = None if row.line_distance_m is None else row.line_distance_m / 1000
        writer.writerow(
            _plain(value)
            for value in (
                row.number, row.incident_id, "|".join(row.sources), row.place, row.region, row.lon, row.lat, row.coarse,
                row.line_date, distance_km, row.means, row.count, row.count_max, row.observation, row.what,
                row.description, row.weapon, row.first_at and row.first_at.isoformat(),
                row.last_at and row.last_at.isoformat(), row.events, row.observations, row.killed, row.injured,
                row.p_breach, "|".join(_clauses(row)),
                "|".join(sorted({h.reading for h in row.held})),
                "|".join(sorted({h.state for h in row.held})), row.p_conflict,
            )
        )  # fmt: skip
    return text.getvalue()


def _clauses(row: Incident) -> list[str]:
    return [clause for clause, _ in saying.by_clause(row.held)]


def _plain(value: object) -> object:
    """No cell that a spreadsheet would take for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def incidents_geojson(report: Report) -> str:
    """Every incident of the day with a place, fires too, as points with their 1-sigma ellipse (GeoJSON, RFC 7946)."""
    features = [_feature(row) for row in [*report.incidents, *report.fires.rows] if row.lon is not None]
    collection = {
        "type": "FeatureCollection",
        "name": f"incidents {report.day.isoformat()}",
        "edition": report.provenance.edition,
        "release": report.release,
        "exercise": report.exercise,
        "illustrative": report.illustrative,
        "features": features,
    }
    return json.dumps(collection, ensure_ascii=False, indent=None, separators=(",", ":")) + "\n"


def _feature(row: Incident) -> dict[str, object]:
    return {
        "type": "Feature",
        "id": row.incident_id,
        "geometry": {"type": "Point", "coordinates": [row.lon, row.lat]},
        "properties": {
            "what": row.what,
            "observation": row.observation,
            "follows": row.follows,
            "place": row.place,
            "region": row.region,
            "coarsened_to_km": 1 if row.coarse else None,
            "major_m": row.major_m,
            "minor_m": row.minor_m,
            "tilt_deg": row.tilt_deg,
            "line_date": row.line_date,
            "line_distance_m": row.line_distance_m,
            "first_at": row.first_at and row.first_at.isoformat(),
            "last_at": row.last_at and row.last_at.isoformat(),
            "sources": row.sources,
            "events": row.events,
            "observations": row.observations,
            "count": row.count,
            "count_max": row.count_max,
            "killed_reported": row.killed,
            "injured_reported": row.injured,
            "frp_mw": row.frp_mw,
            "p_conflict": row.p_conflict,
            "p_breach": row.p_breach,
            "clauses": _clauses(row),
        },
    }
