"""The steps of `truceline run` the way a good analyst writes them: pandas, scikit-learn, geopandas, scipy.

    python -m bench.peer MISSION OUT [--tables]       run it; prints seconds of processor and wall by step, as JSON

No numba, and of truceline only what is data: constants and assumptions, the taxonomy and tables of words, the parsers
of the mission, agreement and column maps, the gazetteer, coasts and borders. `bench.run` holds its output against ours.
"""

import json
import sqlite3
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import geopandas as gpd
import jinja2
import numpy as np
import pandas as pd
import pyproj
import shapely
from bench import peer_episodes, peer_events, peer_fuse, peer_place, peer_read, peer_rules, peer_tables, peer_zones

from truceline.mission import Mission
from truceline.observation import term
from truceline.places import Gazetteer, basemap

FAMILIES = ("impulse", "air", "ground", "weapon", "sea")


def run(folder: Path, out: Path) -> tuple[dict[str, pd.DataFrame], dict[str, dict[str, float]]]:
    """Everything from files to report; the tables, and what each step took."""
    out.mkdir(parents=True, exist_ok=True)
    clock, steps = (time.perf_counter(), time.process_time()), {}

    def lap(name: str) -> None:
        nonlocal clock
        now = (time.perf_counter(), time.process_time())
        steps[name] = {"wall_s": now[0] - clock[0], "cpu_s": now[1] - clock[1]}
        clock = now

    mission = Mission.load(folder)
    agreement = mission.load_agreement(folder)
    theatre = peer_fuse.Theatre(mission.centre.lon, mission.centre.lat, mission.radius_km * 1000)
    observations, duplicates, rejections = peer_read.intake(folder, mission.source)
    lap("read")
    keep_raw(out, observations, duplicates, rejections)
    lap("keep the records")
    lines = peer_place.Lines(folder, mission, theatre) if mission.line else None
    gazetteer = Gazetteer.load(folder / mission.gazetteer if mission.gazetteer else None)
    lap("line")
    table, stated, terms = peer_fuse.state(observations, theatre)
    event, tie, first, state = peer_events.events(table, stated, terms)
    lap("events")
    events = peer_tables.event_table(table, stated, terms, event, first, state, theatre)
    peer_tables.stated_cause(events, mission.fire_prior.value)
    incident = peer_episodes.group(state, events["stream"].to_numpy())
    incidents, where, anchor = peer_tables.incident_table(events, state, incident, terms, theatre)
    incidents["incident_id"] = events.pop("begins_id").to_numpy()[anchor]
    events["incident_id"] = incidents["incident_id"].to_numpy()[incident]
    incidents["place"] = peer_place.words(gazetteer, incidents["lon"].to_numpy(), incidents["lat"].to_numpy())
    lap("incidents")
    if lines is not None:
        for rows, at in ((events, state), (incidents, where)):
            rows[["line_date", "line_distance_m", "chainage_m", "p_inside"]] = lines.against(at).to_numpy()
    lap("against the line")
    last = np.nanmax(np.concatenate([peer_fuse.seconds(observations[c]) for c in ("at_us", "until_us")])) + 1e-6
    held = events.assign(**{c: state[c] for c in ("e", "n", "ee", "en", "nn")})
    zones = peer_zones.Zones(agreement, lines, theatre, gazetteer, folder)
    findings, factors = peer_rules.judge(held, incidents, agreement, zones, last, mission.zone())
    lap("judge")
    associations = pd.DataFrame(
        {"observation_id": table["observation_id"], "event_id": events["event_id"].to_numpy()[event], "log_ratio": tie}
    )
    day = mission.day_of(datetime.fromtimestamp(last - 1e-6, UTC))
    zoned = zones.table(agreement, lines.at(day) if lines is not None else None)
    tables = {
        "associations": associations,
        "events": events,
        "incidents": incidents,
        "findings": findings,
        "factors": factors,
    }
    keep(out / "book.sqlite", tables)
    publish(out / "picture.gpkg", tables, zoned, lines, theatre, agreement, folder)
    lap("keep and publish")
    told = mission.day_of(datetime.fromtimestamp(events["at"].max(), UTC))
    counts = daily(mission, events, observations)
    report(out, mission, told, tables, zoned, observations, counts, theatre, lines)
    lap("report")
    tables |= {"observations": observations, "duplicates": duplicates, "rejections": rejections, "daily": counts}
    return tables, steps


def keep_raw(out: Path, observations: pd.DataFrame, duplicates: pd.DataFrame, rejections: pd.DataFrame) -> None:
    """Every record with its bytes and its hash, by kind."""
    for name, table in (("observations", observations), ("duplicates", duplicates), ("rejections", rejections)):
        plain = table.copy()
        if "alternatives" in plain:
            plain["alternatives"] = [
                json.dumps(row) if isinstance(row, list) else None for row in plain["alternatives"]
            ]
        plain.to_parquet(out / f"{name}.parquet", compression="zstd")


def flat(table: pd.DataFrame) -> pd.DataFrame:
    """Lists as text, bytes as hexadecimal, seconds as times."""
    out = table.drop(columns=[c for c in ("stream", "rank") if c in table])
    for name in out.columns:
        if name in ("sources", "sensors", "alternatives"):
            codes, distinct = pd.factorize(out[name].map(lambda x: repr(x) if isinstance(x, list) and x else ""))
            out[name] = np.array(distinct, object)[codes]
        elif name.endswith("_id"):
            out[name] = [x.hex() for x in out[name]]
        elif name in ("at", "from", "until", "first", "last", "breach_from", "breach_until"):
            out[name] = pd.to_datetime(out[name], unit="s", utc=True)
    return out


def keep(path: Path, tables: dict[str, pd.DataFrame]) -> None:
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as book:
        for name, table in tables.items():
            flat(table).to_sql(name, book, index=False, chunksize=50_000)


def publish(path: Path, tables, zoned, lines, theatre, agreement, folder) -> None:
    """Layers that QGIS opens."""
    path.unlink(missing_ok=True)

    def write(frame: gpd.GeoDataFrame, name: str) -> None:
        frame.to_file(path, layer=name, driver="GPKG", engine="pyogrio")

    if len(zoned):
        write(zoned, "zones")
    if lines is not None:
        rows = {
            "date": [line.day.isoformat() for line in lines.lines],
            "length_km": [
                shapely.simplify(x.path, x.tolerance_m, preserve_topology=False).length / 1000 for x in lines.lines
            ],
        }
        write(gpd.GeoDataFrame(rows, geometry=peer_place.back([x.path for x in lines.lines], theatre)), "line")
    events, incidents = flat(tables["events"]), flat(tables["incidents"])
    points = gpd.points_from_xy(incidents["lon"], incidents["lat"], crs=4326)
    shapes = ellipses(
        *(tables["incidents"][c].to_numpy(float) for c in ("lon", "lat", "major_m", "minor_m", "tilt_deg"))
    )
    write(gpd.GeoDataFrame(incidents, geometry=shapes, crs=4326), "ellipses")
    write(gpd.GeoDataFrame(events, geometry=gpd.points_from_xy(events["lon"], events["lat"], crs=4326)), "events")
    write(gpd.GeoDataFrame(incidents, geometry=points), "incidents")
    findings = flat(tables["findings"])
    where = pd.Series(np.arange(len(incidents)), incidents["incident_id"]).reindex(findings["subject_id"]).to_numpy()
    known = np.where(np.isnan(where), None, np.array(points, object)[np.nan_to_num(where).astype(int)])
    write(gpd.GeoDataFrame(findings, geometry=known, crs=4326), "findings")


def ellipses(lon, lat, major, minor, tilt) -> np.ndarray:
    good = np.isfinite(lon + lat + major)
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)[::-1]
    along, across = major[good, None] * np.cos(turn), minor[good, None] * np.sin(turn)
    bearing = np.degrees(np.arctan2(across, along)) + tilt[good, None]
    x, y, _ = pyproj.Geod(ellps="WGS84").fwd(
        np.repeat(lon[good], 32), np.repeat(lat[good], 32), bearing.ravel(), np.hypot(along, across).ravel()
    )
    corners = np.stack([x, y], axis=-1).reshape(-1, 32, 2)
    out = np.full(len(lon), None, object)
    out[good] = shapely.polygons(np.concatenate([corners, corners[:, :1]], axis=1))
    return out


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


def report(out: Path, mission, day, tables, zoned, observations, counts, theatre, lines) -> None:
    """The day's page, with a table and a map."""
    begins, ends = (time_.timestamp() for time_ in mission.day(day))
    events, findings = tables["events"], tables["findings"]
    today = events[(events["at"] >= begins) & (events["at"] < ends)]
    rows = tables["incidents"].merge(today[["incident_id"]].drop_duplicates(), on="incident_id")
    best = findings.sort_values("p_breach", ascending=False).drop_duplicates("subject_id")
    rows = rows.merge(
        best[["subject_id", "p_breach", "sentence"]], how="left", left_on="incident_id", right_on="subject_id"
    )
    heard = observations[(peer_fuse.seconds(observations["at_us"]) >= begins)]["source"].value_counts()

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
    now = lines.at(day) if lines is not None else None
    line = peer_place.back([now.path], theatre).to_numpy() if now is not None else []
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


def main() -> int:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    tables, steps = run(folder, out)
    if "--tables" in sys.argv:  # for `bench.run` to hold against ours; not part of what is timed
        pd.to_pickle(tables, out / "tables.pickle")
    print(json.dumps(steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
