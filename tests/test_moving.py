"""Moving objects from file to finding: fixes, tracks, what they tell, and a clause that speaks of them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from truceline import desk, explain, moving, picture, pipeline
from truceline.fuse import movement_pieces
from truceline.pieces import Pieces
from truceline.store import Book, Journal

NOW = datetime(2031, 4, 1, tzinfo=UTC)
START = datetime(2031, 3, 14, 6, tzinfo=UTC)

MISSION = """
name = "lanes"
centre = {lon = 31.0, lat = 46.0}
radius_km = 400
agreement = "agreement.toml"
exercise = true

[[source]]
id = "radar"
feed = "table"
paths = ["radar.csv"]
[source.columns]
kind = {value = "fix"}
at = "at"
lon = "lon"
lat = "lat"
what = "what"
sensor = {value = "station-1"}

[[source]]
id = "ais"
feed = "ais"
paths = ["ais.nmea"]
"""

AGREEMENT = """
id = "lanes"
title = "No flights round the port"
in_force_from = 2031-01-01T00:00:00Z
[[party]]
id = "a"
name = "A"
[[party]]
id = "b"
name = "B"
[[zone]]
id = "port"
kind = "circles"
name = "the port"
radius_km = 5.0
[[zone.sites]]
name = "the port"
lon = 31.0
lat = 46.0
[[clause]]
id = "1"
type = "no_fly"
title = "no flights round the port"
parties = ["a", "b"]
zone = "port"
effective = {"" = 2031-01-01T00:00:00Z}
[clause.text]
"" = "no aircraft within 5 km of the port"
"""


def along(lon_from: float, lon_to: float, lat: float, seconds: range) -> list[tuple[datetime, float, float]]:
    share = np.linspace(0, 1, len(seconds))
    return [
        (START + timedelta(seconds=s), lon_from + f * (lon_to - lon_from), lat)
        for s, f in zip(seconds, share, strict=True)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A drone flies 30 km from west to east over the port at 50 m/s, another passes 20 km south of it."""
    folder = tmp_path_factory.mktemp("moving") / "mission"
    folder.mkdir()
    (folder / "mission.toml").write_text(MISSION)
    (folder / "agreement.toml").write_text(AGREEMENT)
    fixes = along(30.8, 31.2, 46.0, range(0, 620, 10)) + along(30.8, 31.2, 45.82, range(3, 623, 10))
    rows = [f"{at.isoformat()},{lon:.6f},{lat:.6f},uav" for at, lon, lat in sorted(fixes)]
    (folder / "radar.csv").write_text("\n".join(["at,lon,lat,what", *rows]) + "\n")
    (folder / "ais.nmea").write_text(nmea())
    desk.run(folder, NOW)
    return folder


def nmea() -> str:
    """A cargo vessel that reports every ten seconds on its way out of the port, type 1 and one type 5."""
    from pyais import encode_dict

    lines = []
    for at, lon, lat in along(31.0, 31.05, 45.97, range(0, 600, 10)):
        of = {
            "type": 1,
            "mmsi": 211234560,
            "lon": lon,
            "lat": lat,
            "speed": 12.5,
            "course": 90.0,
            "accuracy": 1,
            "second": at.second,
        }
        (sentence,) = encode_dict(of, talker_id="AI")
        block = f"c:{int(at.timestamp())}"
        check = 0
        for character in block.encode():
            check ^= character
        lines.append(f"\\{block}*{check:02X}\\{sentence}")
    lines += encode_dict({"type": 5, "mmsi": 211234560, "ship_type": 70, "shipname": "MERIDIAN"}, talker_id="AI")
    return "\n".join(lines) + "\n"


def test_three_objects_are_three_tracks(folder):
    tracks = desk.table(folder, "tracks")
    assert tracks.schema == picture.TRACKS
    assert sorted(zip(tracks["what"].to_pylist(), tracks["observations"].to_pylist(), strict=True)) == [
        ("uav", 62),
        ("uav", 62),
        ("vessel.cargo", 60),  # what type 5 says of it; the positions say "vessel"
    ]
    assert "mmsi:211234560" in tracks["identity"].to_pylist()


def test_every_point_keeps_its_observation(folder):
    """Points, associations and observations say the same."""
    points, ties = desk.table(folder, "track_points"), desk.table(folder, "associations")
    behind = {(row["observation_id"], row["track_id"]) for row in ties.to_pylist() if row["event_id"] is None}
    assert {(row["observation_id"], row["track_id"]) for row in points.to_pylist()} == behind
    fixes = pc.equal(desk.table(folder, "observations")["kind"], "fix")
    assert len(behind) == pc.sum(fixes).as_py()


def test_the_flight_over_the_port_is_held_against_the_clause(folder):
    """One drone, one visit, one incident, one finding in each party's reading; the drone that passed by has none."""
    findings = desk.table(folder, "findings").to_pylist()
    assert {row["clause"] for row in findings} == {"1"}
    assert len({row["subject_id"] for row in findings}) == 1
    assert all(row["p_breach"] > 0.8 for row in findings)
    (incident,) = (
        row for row in desk.table(folder, "incidents").to_pylist() if row["incident_id"] == findings[0]["subject_id"]
    )
    inside_s = (incident["last_at"] - incident["first_at"]).total_seconds()
    assert inside_s == pytest.approx(10_000 / 50, abs=30)
    assert "undetermined" in findings[0]["sentence"]


def test_what_a_track_tells_is_a_table_with_sentences(folder):
    told = desk.table(folder, "movements")
    assert {"movement.enter", "movement.exit", "movement.inside"} <= set(told["what"].to_pylist())
    assert all(text.endswith(".") for text in told["text"].to_pylist())
    assert set(told["zone"].drop_null().to_pylist()) == {"port"}


def test_a_finding_leads_back_to_the_fixes(folder):
    finding = desk.table(folder, "findings")["finding_id"][0].as_py().hex()
    told = explain.explain(folder, finding)
    seen = [o for event in told["events"] for o in event["observations_behind"]]
    assert len(seen) == pytest.approx(20, abs=4)
    assert all("uav" in o["raw"] for o in seen)


def test_a_track_is_explained_by_its_id(folder):
    track = desk.table(folder, "tracks").filter(pc.field("what") == "vessel.cargo")["track_id"][0].as_py().hex()
    told = explain.explain(folder, track)
    assert told["kind"] == "track"
    assert told["track"]["identity"] == "mmsi:211234560"
    assert len(told["points"]) == 60
    assert told["observations"][0]["raw"].startswith("\\c:")


def test_neither_order_nor_batches_of_fixes_matter(folder):
    ground = pipeline.ground(folder)
    with Journal(folder / "journal") as journal:
        observations = journal.table("observation")
    shuffled = observations.take(pa.array(np.random.default_rng(7).permutation(observations.num_rows)))
    drawn = [picture.digest(pipeline.draw(ground, folder, rows, NOW)) for rows in (observations, shuffled)]
    assert drawn[0] == drawn[1]
    digested = {name: desk.table(folder, name) for name in pipeline.DIGESTED}
    assert picture.digest(digested) == Book(folder / "book.sqlite").latest().digest


def test_observations_in_pieces_come_to_the_same_tables(folder, tmp_path, monkeypatch):
    """Pieces of any length, in any order, with files for scratch: row for row what a table in memory comes to."""
    ground = pipeline.ground(folder)
    with Journal(folder / "journal") as journal:
        whole = journal.table("observation")
    whole = whole.take(pa.array(np.random.default_rng(3).permutation(whole.num_rows)))
    pieces = [whole.slice(at, 37) for at in range(0, whole.num_rows, 37)]
    read = []

    def again():
        read.append(len(pieces))
        return iter(pieces)

    in_pieces = Pieces(whole.schema, whole.num_rows, again)
    monkeypatch.setattr(movement_pieces, "_PART_ROWS", 50)
    of = (ground.agreement, ground.frame, ground.line, ground.gazetteer, ground.zones)
    one, other = moving.moving(whole, *of), moving.moving(in_pieces, *of, into=tmp_path)
    assert len(read) <= 2
    assert isinstance(other.points, Pieces)
    assert isinstance(other.associations, Pieces)
    for name, table in one._asdict().items():
        found = getattr(other, name)
        assert (found.table() if isinstance(found, Pieces) else found).equals(table), name


def test_without_fixes_there_are_no_tracks(folder):
    ground = pipeline.ground(folder)
    with Journal(folder / "journal") as journal:
        none = journal.table("observation").slice(0, 0)
    empty = moving.moving(none, ground.agreement, ground.frame, ground.line, ground.gazetteer, ground.zones)
    assert [table.num_rows for table in empty] == [0] * len(empty)


def test_a_rebuilt_book_has_the_same_tracks(folder):
    assert pipeline.rebuild(folder)["differ"] == 0
    assert desk.table(folder, "tracks").num_rows == 3


def test_tracks_and_movements_are_layers_of_the_map(folder):
    import pyogrio

    layers = dict(pyogrio.list_layers(folder / "picture.gpkg"))
    assert layers["tracks"] == "LineString"
    assert layers["movements"] == "Point"
    info = pyogrio.read_info(folder / "picture.gpkg", layer="tracks")
    assert info["features"] == 3


def test_the_report_has_the_flight_and_not_the_ship(folder):
    """The clause forbids flights: a ship in the same circle is a track, and no incident."""
    report = json.loads(next((folder / "reports").glob("2031-03-14*/*.json")).read_text())
    (row,) = report["incidents"]
    assert row["what"] == "uav"
    assert {held["clause"] for held in row["held"]} == {"1"}
    assert "Moving objects tracked: 2 drones and 1 vessel." in report["summary"]


@pytest.mark.parametrize(("use", "told"), [("lane", {"movement.stop"}), ("port", set()), (None, set())])
def test_stopping_is_told_of_a_lane(use, told, tmp_path):
    """Half an hour under way, half slowing down, three hours still, in a zone called a lane; in a port it is usual."""
    (tmp_path / "mission.toml").write_text(MISSION.partition('[[source]]\nid = "ais"')[0])
    lane = "coordinates = [[[30.9, 45.9], [31.3, 45.9], [31.3, 46.1], [30.9, 46.1]]]"
    zone = f'[[zone]]\nid = "approach"\nkind = "polygon"\n{lane}\n'
    (tmp_path / "agreement.toml").write_text(AGREEMENT + zone + (f'use = "{use}"\n' if use else ""))
    slowing = np.clip((np.arange(0, 14_400, 60) - 1800) / 1800, 0, 1)
    lon = 30.95 + np.cumsum(0.004 * (1 - slowing))
    at = [START + timedelta(minutes=n) for n in range(len(lon))]
    rows = [f"{t.isoformat()},{x:.6f},46.0,vessel.cargo" for t, x in zip(at, lon.tolist(), strict=True)]
    (tmp_path / "radar.csv").write_text("\n".join(["at,lon,lat,what", *rows]) + "\n")
    desk.run(tmp_path, NOW)
    found = set(desk.table(tmp_path, "movements")["what"].to_pylist())
    assert found & {"movement.stop"} == told
    report = json.loads(next((tmp_path / "reports").glob("*/report.json")).read_text())
    assert "Moving objects tracked: 1 vessel." in report["summary"]
    assert sum("stood still in approach" in sentence for sentence in report["summary"]) == len(told)
    assert desk.table(tmp_path, "incidents").num_rows == 0


def test_a_mission_where_nothing_but_ships_moved_reports_their_last_day(folder, tmp_path):
    """No event is no error: the report of a quiet day says so."""
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    (quiet / "mission.toml").write_text(MISSION)
    (quiet / "agreement.toml").write_text(AGREEMENT)
    (quiet / "ais.nmea").write_text(nmea())
    (quiet / "radar.csv").write_text("at,lon,lat,what\n")
    ran = desk.run(quiet, NOW)
    assert ran.report.day == "2031-03-14"
    assert desk.table(quiet, "incidents").num_rows == 0
