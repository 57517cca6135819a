"""The peer's daily report."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import geopandas as gpd
import jinja2
import numpy as np
import pandas as pd
import shapely
from bench.peer_fuse import Theatre, seconds
from bench.peer_publish import flat

from truceline.mission import Mission
from truceline.observation import term
from truceline.places import basemap


def daily(mission: Mission, events: pd.DataFrame, observations: pd.DataFrame) -> pd.DataFrame:
    """By reporting day and region of kinds: events, violations counted as the OSCE did, fires."""
    at = pd.to_datetime(events["at"], unit="s", utc=True).dt.tz_convert(mission.zone())
    day = (at.dt.tz_localize(None) - mission.day_ends() + timedelta(days=1)).dt.normalize()
    family = events["what"].map({what: term(what).family for what in events["what"].unique()})
    least = np.fmin(events["count"], events["count_max"]).fillna(1.0).clip(lower=1)
    frame = pd.DataFrame({"day": day, "counted": least.where(family == "impulse", 0.0), "fires": family == "fire"})
    frame["events"] = 1
    return frame.dropna(subset=["day"]).groupby("day").sum()


PAGE = """<!doctype html><meta charset="utf-8"><title>{{ name }}, {{ day }}</title><h1>{{ name }}: {{ day }}</h1>
<p>{{ counts.counted }} ceasefire violations, {{ counts.fires }} fires, {{ counts.events }} events.</p>
<svg viewBox="0 0 1000 700" width="1000">{% for path in land %}<path d="{{ path }}" fill="#eee" stroke="#bbb"/>
{% endfor %}{% for path in line %}<path d="{{ path }}" fill="none" stroke="#333" stroke-width="2"/>{% endfor %}
{% for p in points %}<circle cx="{{ p[0] }}" cy="{{ p[1] }}" r="3" fill="#a63"/>{% endfor %}</svg>
<table>{% for row in rows %}<tr><td>{{ loop.index }}<td>{{ row.place }}<td>{{ row.what }}<td>{{ row.count }}
<td>{{ row.means }}<td>{{ row.weapon }}<td>{{ row.p_breach }}<td>{{ row.sentence }}</tr>{% endfor %}</table>
<ul>{% for source, n in sources %}<li>{{ source }}: {{ n }} records{% endfor %}</ul>"""


def write(out: Path, mission, agreement, tables, observations, edition, book) -> pd.DataFrame:
    """The day's page, with a table and a map."""
    counts = daily(mission, tables["events"], observations)
    day = mission.day_of(datetime.fromtimestamp(tables["events"]["at"].max(), UTC))
    centre, radius_m = mission.centre, mission.radius_km * 1000
    theatre = Theatre(centre.lon, centre.lat, radius_m)
    begins, ends = (time_.timestamp() for time_ in mission.day(day))
    events, findings = tables["events"], tables["findings"]
    today = events[(events["at"] >= begins) & (events["at"] < ends)]
    rows = tables["incidents"].merge(today[["incident_id"]].drop_duplicates(), on="incident_id")
    best = findings.sort_values("p_breach", ascending=False).drop_duplicates("subject_id")
    rows = rows.merge(
        best[["subject_id", "p_breach", "sentence"]], how="left", left_on="incident_id", right_on="subject_id"
    )
    heard = observations[(seconds(observations["at_us"]) >= begins)]["source"].value_counts()

    def paths(shapes) -> list[str]:
        drawn = []
        for shape in shapely.get_parts(shapes):
            rings = shapely.get_parts(shapely.boundary(shape) if shape.geom_type == "Polygon" else shape)
            drawn += [
                "M" + "L".join(f"{(x - box[0]) * sx:.1f},{(box[3] - y) * sy:.1f}" for x, y in r.coords) for r in rings
            ]
        return drawn

    x, y = theatre.degrees(np.array([-1, 1]) * theatre.radius_m / 2, np.array([-1, 1]) * theatre.radius_m / 2)
    box = (x[0], y[0], x[1], y[1])
    sx, sy = 1000 / (box[2] - box[0]), 700 / (box[3] - box[1])
    land = shapely.simplify(shapely.clip_by_rect(basemap()["land"], *box), 0.01)
    line = tables["line"]
    line = line[line["date"] <= day.isoformat()].geometry.tail(1).to_numpy() if len(line) else []
    page = jinja2.Template(PAGE, autoescape=True).render(
        name=mission.name,
        day=day.isoformat(),
        counts=counts.loc[pd.Timestamp(day)].to_dict(),
        land=paths(land[~shapely.is_empty(land)]),
        line=paths(line),
        points=[((a - box[0]) * sx, (box[3] - b) * sy) for a, b in zip(rows["lon"], rows["lat"], strict=True)],
        rows=rows.to_dict("records"),
        sources=[(s.id, int(heard.get(s.id, 0))) for s in mission.source],
    )
    (out / "report.html").write_text(page)
    rows.drop(columns=["alternatives"]).to_csv(out / "violations.csv", index=False)
    shapes = gpd.points_from_xy(rows["lon"], rows["lat"], crs=4326)
    gpd.GeoDataFrame(flat(rows), geometry=shapes).to_file(out / "incidents.geojson", driver="GeoJSON")
    return counts
