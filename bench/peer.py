"""The steps of `truceline run` the way a good analyst writes them: pandas, scikit-learn, geopandas, scipy.

    python -m bench.peer MISSION OUT [--tables]       run it; prints seconds of processor and wall by step, as JSON

No numba, and of truceline only what is data: constants and assumptions, the taxonomy and tables of words, the parsers
of the mission, agreement and column maps, the gazetteer, coasts and borders. `bench.run` holds its output against ours.
"""

import hashlib
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from bench import (
    peer_cases,
    peer_day,
    peer_episodes,
    peer_events,
    peer_fuse,
    peer_journal,
    peer_place,
    peer_publish,
    peer_report,
    peer_rules,
    peer_tables,
    peer_tally,
    peer_words,
    peer_zones,
)

from truceline.mission import Mission
from truceline.places import Gazetteer

#: What the digest of an edition covers.
DIGESTED = ("associations", "events", "incidents", "findings", "factors", "cases")

#: What is no step of a run: handing the tables to who compares them.
ASIDE = "tables for the comparison"


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
    journal, observations, duplicates, rejections = peer_journal.ingest(folder, mission, out / "journal")
    lap("read, hash, keep the records")
    lines = peer_place.Lines(folder, mission, theatre) if mission.line else None
    gazetteer = Gazetteer.load(folder / mission.gazetteer if mission.gazetteer else None)
    lap("line, places")
    table, stated, terms = peer_fuse.state(observations, theatre)
    event, tie, first, state = peer_events.events(table, stated, terms)
    events = peer_tables.event_table(table, stated, terms, event, first, state, theatre)
    peer_tables.stated_cause(events, mission.fire_prior.value)
    lap("events")
    incident = peer_episodes.group(state, events["stream"].to_numpy())
    incidents, where, anchor = peer_tables.incident_table(table, event, events, state, incident, terms, theatre)
    incidents["incident_id"] = events.pop("begins_id").to_numpy()[anchor]
    events["incident_id"] = incidents["incident_id"].to_numpy()[incident]
    lap("incidents")
    incidents["place"] = peer_words.words(gazetteer, incidents["lon"].to_numpy(), incidents["lat"].to_numpy())
    lap("places in words")
    if lines is not None:
        for rows, at in ((events, state), (incidents, where)):
            rows[["line_date", "line_distance_m", "chainage_m", "p_inside"]] = lines.against(at).to_numpy()
            for name in ("line_distance_m", "chainage_m", "p_inside"):
                rows[name] = rows[name].astype(np.float32)
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
    tables = {"associations": associations, "events": events, "incidents": incidents}
    tables |= {"findings": findings, "factors": factors}
    tables["cases"] = peer_cases.cases(findings, events, associations)
    tables["line"] = lines.table() if lines is not None else pd.DataFrame()
    lap("cases")
    tables["zones"] = zones.table(agreement, lines.at(day) if lines is not None else None)
    lap("zones of the map")
    book = peer_cases.Book(out)
    edition = settle(journal, book, observations, tables, peer_journal.configuration(folder, mission, agreement))
    lap("digest, book")
    about = {name: str(edition[name]) for name in ("number", "digest", "journal_head", "made_at")}
    tables["gpkg"] = out / "picture.gpkg"
    peer_publish.publish(tables["gpkg"], tables, about)
    lap("picture.gpkg")
    tables["daily"] = peer_tally.daily(mission, events)
    day = peer_tally.last_day(mission, events)
    about = peer_day.Day(mission, agreement, tables, held, zones, lines, gazetteer, day)
    tables["report"] = peer_report.write(out, about, theatre, edition, book, observations, journal)
    lap("report")
    tables |= {"observations": observations, "duplicates": duplicates, "rejections": rejections}
    tables["chain"] = pd.DataFrame(journal.chain)
    return tables, steps


def settle(journal, book, observations: pd.DataFrame, tables: dict[str, pd.DataFrame], files: dict[str, str]) -> dict:
    """Put a numbered edition into the book; what it was made from, hashed."""
    ids = b"".join(sorted(observations["observation_id"]))
    inputs = hashlib.sha256(ids + json.dumps(files, sort_keys=True).encode()).hexdigest()
    before = book.latest()
    tables["lineage"] = peer_cases.lineage(book, before, tables)
    if before is not None and before["inputs"] == inputs:
        return before
    edition = {
        "number": before["number"] + 1 if before else 1,
        "inputs": inputs,
        "digest": peer_cases.digest({name: tables[name] for name in DIGESTED}),
        "journal_head": journal.head,
        "journal_rows": len(observations),
        "made_at": datetime.now(UTC).isoformat(),
    }
    journal.append("configuration", None, files=files)
    journal.append("edition", None, **edition)
    book.put(edition, tables)
    return edition


def main() -> int:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    tables, steps = run(folder, out)
    if "--tables" in sys.argv:  # for `bench.run` to hold against ours, which takes it off what is timed
        began = time.perf_counter(), time.process_time()
        pd.to_pickle(tables, out / "tables.pickle")
        steps[ASIDE] = {"wall_s": time.perf_counter() - began[0], "cpu_s": time.process_time() - began[1]}
    print(json.dumps(steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
