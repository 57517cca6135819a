"""The peer's daily report: one page with jinja2, the violations as CSV, the incidents as GeoJSON, all as JSON."""

import csv
import io
import json
from pathlib import Path

import jinja2
import pandas as pd
from bench import peer_map, peer_pages, peer_tally, peer_told
from bench.peer_day import Day
from bench.peer_journal import synced
from markupsafe import Markup

from truceline.report.document import LIMITS
from truceline.report.lists import CSV_COLUMNS

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<title>Daily report {{ r.number }} · {{ r.mission }}</title>
<style>body{font:16px system-ui;max-width:1180px;margin:auto}td,th{text-align:left;vertical-align:top}</style>
<h1>Daily report {{ r.number }}</h1><p>{{ r.mission }}, {{ r.begins }} to {{ r.ends }}. {{ r.agreement }}.</p>
{% if r.exercise %}<p>EXERCISE. Everything in this report is invented.</p>{% endif %}
{% if r.illustrative %}<p>ILLUSTRATIVE. The agreement was not in force in this period.</p>{% endif %}
<h2>Summary</h2><ul>{% for text in r.summary %}<li>{{ text }}</li>{% endfor %}</ul>
<figure>{{ drawing }}</figure>
{% for table in tables %}<h2>{{ table.title }}</h2><table id="table-{{ table.id }}"><thead><tr>
{% for name in table.columns %}<th>{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in table.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>{% endfor %}
<h2>What could not be seen</h2><ul>{% for text in unseen %}<li>{{ text }}</li>{% endfor %}</ul>
<p>{{ r.counting.sentence }}</p><p>{{ limits }}</p>
<p>Edition {{ r.provenance.edition }}, SHA-256 {{ r.provenance.digest }}, journal head {{ r.provenance.journal_head }}.
{{ r.attributions | join("; ") }}.</p></html>"""


def write(out: Path, about: Day, theatre, edition: dict, book, observations: pd.DataFrame, journal) -> dict[str, str]:
    """The day's files, entered in the book."""
    report = peer_tally.model(about, observations, journal, edition)
    fires = report["fires"]["rows"]
    report["provenance"] = {
        "edition": edition["number"],
        "digest": edition["digest"],
        "journal_head": edition["journal_head"],
    }
    report["summary"] = peer_told.bullets(report)
    drawing, shown = peer_map.draw(about, theatre, report["incidents"], fires)
    report["map"] = {"incidents": shown}
    page = jinja2.Template(PAGE, autoescape=True).render(
        r=report,
        drawing=Markup(drawing),
        tables=peer_pages.tables(report),
        unseen=peer_told.unseen(report),
        limits=LIMITS,
    )
    folder = out / "reports" / f"{report['day']}-edition-{edition['number']}"
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "report.html": page,
        "report.json": json.dumps(report, ensure_ascii=False, indent=1),
        "violations.csv": violations(report["incidents"]),
        "incidents.geojson": json.dumps(geojson(report), ensure_ascii=False, separators=(",", ":")),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
        synced(folder / name)
    book.publish(report["day"], edition["number"], [folder / name for name in files])
    return files


def violations(rows: list[dict]) -> str:
    """Every incident of the day but fires, a row each."""
    said = io.StringIO()
    writer = csv.writer(said, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        metres = row["line_distance_m"]
        values = (
            *(row["number"], row["incident_id"], "|".join(row["sources"]), row["place"], row["region"], row["lon"]),
            *(row["lat"], row["coarse"], row["line_date"], None if metres is None else metres / 1000, row["means"]),
            *(row["count"], row["count_max"], row["observation"], row["what"], row["description"], row["weapon"]),
            *(offset(row["first_at"]), offset(row["last_at"]), row["events"], row["observations"], row["killed"]),
            *(row["injured"], row["p_breach"], "|".join(clause for clause, _ in peer_told.by_clause(row["held"]))),
            "|".join(sorted({h["reading"] for h in row["held"]})),
            "|".join(sorted({h["state"] for h in row["held"]})),
            row["p_conflict"],
        )
        writer.writerow(map(cell, values))
    return said.getvalue()


def offset(text: str | None) -> str | None:
    return text and text.replace("Z", "+00:00")


def cell(value: object) -> object:
    """No cell that a spreadsheet would take for a formula."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


KEPT = (
    *("what", "observation", "follows", "place", "region", "major_m", "minor_m", "tilt_deg", "line_date"),
    *("line_distance_m", "sources", "events", "observations", "count", "count_max", "frp_mw", "p_conflict", "p_breach"),
)


def geojson(report: dict) -> dict:
    """Every incident of the day with a place, fires too."""
    features = []
    for row in [*report["incidents"], *report["fires"]["rows"]]:
        if row["lon"] is not None:
            properties = {name: row[name] for name in KEPT}
            properties |= {"coarsened_to_km": 1 if row["coarse"] else None}
            properties |= {name: offset(row[name]) for name in ("first_at", "last_at")}
            properties |= {f"{name}_reported": row[name] for name in ("killed", "injured")}
            properties["clauses"] = [clause for clause, _ in peer_told.by_clause(row["held"])]
            point = {"type": "Point", "coordinates": [row["lon"], row["lat"]]}
            features.append({"type": "Feature", "id": row["incident_id"], "geometry": point, "properties": properties})
    return {
        "type": "FeatureCollection",
        "name": f"incidents {report['day']}",
        "edition": report["provenance"]["edition"],
        "release": report["release"],
        "exercise": report["exercise"],
        "illustrative": report["illustrative"],
        "features": features,
    }
