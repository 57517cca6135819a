"""How long judging takes: incidents x clauses x readings, with sentences; and their cases.

    python bench/rules.py                       100,000 incidents, 10 clauses, 2 readings, a line a week for a year
    python bench/rules.py --profile             where the time goes

Invented incidents along an invented line: a third are fires, a quarter explosions, the rest drones, weapons, assaults,
claims and warnings; positions known to 0.2 to 3 km, times to the minute, the hour or the day.
"""

import argparse
import cProfile
import pstats
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely

from truceline.agreement import Agreement, Clause, Party, Reading, Site, Zone
from truceline.finding import VERDICT
from truceline.frame import Frame
from truceline.line import DatedLine, Line
from truceline.observation import TIME, id_column, nullable, table
from truceline.picture import ASSOCIATIONS, EVENTS, INCIDENTS
from truceline.rules import judge
from truceline.rules.cases import cases

FRAME = Frame(37.5, 48.3)
BEGIN, UNTIL = datetime(2023, 1, 2, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
KINDS = {
    "explosion": 0.15,
    "explosion.impact": 0.1,
    "fire": 0.35,
    "burst": 0.03,
    "uav": 0.1,
    "weapon.artillery": 0.05,
    "ground.assault": 0.07,
    "ground.control": 0.05,
    "air_alert": 0.1,
}


def a_line(weeks: int = 52, points: int = 1400) -> Line:
    """A winding line of 500 km as crow flies, moving a little every week."""
    rng = np.random.default_rng(1)
    north = np.linspace(-250e3, 250e3, points)
    bends = np.convolve(rng.normal(0, 3e3, points + 40), np.ones(41) / 41, "valid") * 6
    lines = []
    for week in range(weeks):
        path = np.column_stack([bends + rng.normal(0, 20, points) + 100 * week, north])
        area = shapely.Polygon([*path, (400e3, 250e3), (400e3, -250e3)])
        day = date(2023, 1, 2) + timedelta(weeks=week)
        lines.append(DatedLine(day, "invented", area, shapely.MultiLineString([path]), 500.0))
    return Line(FRAME, tuple(lines), 500.0, [])


def a_picture(n: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Events, incidents, associations: an incident has one event, an event one observation."""
    rng = np.random.default_rng(0)
    at = BEGIN.timestamp() + rng.uniform(0, 360 * 86_400, n).round()
    half = rng.choice([0.0, 1800.0, 43_200.0], n)
    lon, lat = FRAME.to_degrees(rng.normal(0, 30e3, n), rng.uniform(-250e3, 250e3, n))
    what = rng.choice(list(KINDS), n, p=list(KINDS.values()))
    ids = id_column(rng.integers(0, 2**63, (n, 2)).astype(np.uint64))
    others = pa.array(rng.choice(list(KINDS), n))
    alternatives = pa.MapArray.from_arrays(
        np.arange(n + 1, dtype=np.int32), others, pa.array(rng.uniform(0, 0.2, n), pa.float32())
    )
    major = rng.choice([190.0, 1000.0, 3000.0], n)
    moments = {
        name: pa.array((seconds * 1e6).astype(np.int64)).cast(TIME)
        for name, seconds in (("at", at), ("at_from", at - half), ("at_until", at + half))
    }
    columns = {
        "event_id": ids,
        "incident_id": ids,
        "observation_id": ids,
        "what": pa.array(what),
        "confidence": 0.8,
        "alternatives": alternatives,
        **moments,
        "first_at": moments["at_from"],
        "last_at": moments["at_until"],
        "lon": lon,
        "lat": lat,
        "major_m": major,
        "minor_m": major / 2,
        "tilt_deg": 30.0,
        "p_conflict": nullable(np.where(what == "fire", rng.uniform(0.1, 1, n), np.nan)),
        "p_conflict_model": pa.array(np.where(what == "fire", "a prior", None)),
        "weapon": pa.array(rng.choice(["artillery 122", "mortar", "tank 125", None], n)),
        "place": pa.array([f"{i % 20} km NE of Avdiivka" for i in range(n)]),
        "release": "public",
    }
    made = [
        table({name: columns[name] for name in schema.names if name in columns}, n, schema)
        for schema in (EVENTS, INCIDENTS, ASSOCIATIONS)
    ]
    return made[0], made[1], made[2]


def an_agreement() -> Agreement:
    """Ten clauses of every type but one, two parties, one of whom dates one clause later."""
    both = ["a", "b"]
    sites = [Site(name=f"Site {i}", lon=37.0 + i / 10, lat=48.1) for i in range(10)]
    zones = [
        Zone(id="sites", kind="circles", sites=sites, radius_km=5),
        Zone(id="15", kind="band", to_km=15),
        Zone(id="50", kind="band", to_km=50, measured="total_width"),
        Zone(id="15-inside", kind="band", to_km=15, side="inside"),
        Zone(id="10", kind="band", to_km=10),
        Zone(id="area", kind="polygon", coordinates=[[(37, 48), (38, 48), (38, 49), (37, 49)]]),
    ]
    clauses = [
        Clause("1", "cessation", "", both, reading=[Reading(party="b", effective=datetime(2023, 3, 1, tzinfo=UTC))]),
        Clause("2", "protected_site", "", both, zone="sites"),
        Clause("3", "withdrawal", "", both, zone="50", weapons=["artillery"], min_calibre_mm=100),
        Clause("4", "withdrawal", "", both, zone="15", below_calibre_mm=100),
        Clause("5", "no_fly", "", both, zone="10"),
        Clause("6", "presence", "", both),
        Clause("7", "cessation", "", both, zone="15-inside"),
        Clause("8", "protected_site", "", both, zone="area"),
        Clause("9", "no_fly", "", both),
        Clause("10", "presence", "", both, zone="15"),
    ]
    parties = [Party(id="a", name="Party A", inside=False), Party(id="b", name="Party B", inside=True)]
    return Agreement(id="bench", title="", party=parties, zone=zones, clause=clauses)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--incidents", type=int, default=100_000)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    agreement, line = an_agreement(), a_line()
    events, incidents, associations = a_picture(given.incidents)
    few = [rows.slice(0, 100) for rows in (events, incidents)]
    judge(*few, agreement, line, FRAME, None, Path(), UNTIL)  # compiles
    profile = cProfile.Profile()
    for clauses, name in (
        ([c for c in agreement.clause if c.zone in ("everywhere", "sites", "area")], "without bands"),
        (agreement.clause, "with 5 bands along 52 lines"),
    ):
        part = Agreement(id="bench", title="", party=agreement.party, zone=agreement.zone, clause=clauses)
        if given.profile:
            profile.enable()
        start, worked = time.perf_counter(), time.process_time()
        found = judge(events, incidents, part, line, FRAME, None, Path(), UNTIL)
        seconds, worked = time.perf_counter() - start, time.process_time() - worked
        profile.disable()
        size = f"{found.num_rows:10,} findings{found.nbytes / 1e6:8.0f} MB"
        print(f"{len(clauses):3} clauses {name:30}{seconds:8.2f} s{worked:8.2f} s of processor{size}")
    start = time.perf_counter()
    opened = cases(found, incidents, events, associations, VERDICT.empty_table())
    print(f"{'cases':42}{time.perf_counter() - start:8.2f} s{opened.num_rows:10,} cases")
    if given.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(20)


if __name__ == "__main__":
    main()
