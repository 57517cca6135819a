"""The example mission is what its makers say it is: the same files each time, with the planned flaws in them."""

import csv
import gzip
import io
import json
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from truceline import examples, feeds, intake, pipeline
from truceline.agreement import Agreement
from truceline.mission import Mission, files
from truceline.store import Book, Journal

FOLDER = Path(__file__).parents[1] / "examples" / "two-days"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text("utf-8"))
SHIPPED = [path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
RECEIVED = datetime(2031, 3, 16, tzinfo=UTC)


def content(path: Path) -> bytes:
    """A file's bytes; of a .gz what is in it, for compressors differ."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_making_the_files_again_gives_the_same_bytes(tmp_path):
    subprocess.run([sys.executable, "-B", FOLDER / "make_files.py", tmp_path], check=True)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    written_by_hand = {"mission.toml", "agreement.toml", "README.md"}
    shipped = sorted(path.relative_to(FOLDER) for path in SHIPPED)
    assert [path for path in shipped if str(path) not in written_by_hand] == made
    for path in made:
        assert content(tmp_path / path) == content(FOLDER / path), path


def test_the_example_is_small_and_says_that_it_is_an_exercise():
    assert sum(path.stat().st_size for path in SHIPPED) < 300_000
    assert Mission.load(FOLDER).exercise
    records = sum(source["records"] for source in EXPECTED["sources"].values())
    assert 300 <= records <= 1_200


def test_no_headline_can_pass_for_a_claim():
    for path in FOLDER.glob("incidents/press_*"):
        for row in csv.DictReader(io.StringIO(content(path).decode("utf-8-sig"))):
            assert row["headline"].startswith(("Exercise: ", "Навчання: ")), row


@pytest.mark.parametrize("name", EXPECTED["sources"])
def test_intake_accounts_for_every_record_as_planned(name):
    """Read = accepted + duplicates + rejected, each as many as the makers put in, the rejected ones at their places."""
    source = next(source for source in Mission.load(FOLDER).source if source.id == name)
    fates, bad, seen = Counter(), [], set()
    for path in files(FOLDER, source.paths):
        for batch in feeds.read(source, FOLDER, path, RECEIVED):
            for leaf in batch.observations["observation_id"].to_pylist():
                fates["duplicates" if leaf in seen else "accepted"] += 1
                seen.add(leaf)
            fates["rejected"] += batch.rejections.num_rows
            bad += [(Path(path).relative_to(FOLDER).as_posix(), n) for n in batch.rejections["record"].to_pylist()]
    planned = EXPECTED["sources"][name]
    assert {fate: planned[fate] for fate in ("accepted", "duplicates", "rejected")} == {
        fate: fates[fate] for fate in ("accepted", "duplicates", "rejected")
    }
    assert sorted(bad) == sorted((row["file"], row["record"]) for row in planned["bad"])
    assert fates.total() == planned["records"]


def test_the_truth_names_every_record():
    """`about` has one entry a record: the occurrence or the mover it is about, or nothing."""
    occurrences = {one["id"] for one in EXPECTED["occurrences"] + EXPECTED["movers"]}
    for name, path in ((s.id, path) for s in Mission.load(FOLDER).source for path in files(FOLDER, s.paths)):
        about = EXPECTED["about"][Path(path).relative_to(FOLDER).as_posix()]
        assert set(about) <= occurrences | {""}, name
    told = sum(source["records"] for source in EXPECTED["sources"].values())
    assert sum(map(len, EXPECTED["about"].values())) == told


def test_one_shelling_is_told_by_five_kinds_of_source_and_seen_burning():
    about = EXPECTED["about"]
    telling = {path.split("/")[-1].split("_")[0] for path in about if "shelling-chmyrivka" in about[path]}
    assert telling == {"patrols.csv", "cameras.csv", "liaison.csv", "civil.geojson", "press"}
    assert any("fire-chmyrivka" in about[path] for path in about if path.startswith("firms/"))


def test_one_source_falls_silent_on_the_second_day():
    rows = list(csv.DictReader(io.StringIO(content(FOLDER / "field/cameras.csv").decode())))
    assert max(row["to"] for row in rows) < "2031-03-14 19:30"


def test_the_agreement_has_every_type_of_clause_and_readings_that_differ():
    agreement = Agreement.load(FOLDER / "agreement.toml")
    kinds = {"cessation", "protected_site", "withdrawal", "no_fly", "presence", "duty"}
    assert {clause.type for clause in agreement.clause} == kinds
    assert any("party-b" in clause.effective for clause in agreement.clause)
    assert any(reading.zone for clause in agreement.clause for reading in clause.reading)
    assert agreement.in_force_at(datetime(2031, 3, 14, tzinfo=UTC))


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, list[dict[str, Any]]]:
    """The example's picture: its tables as rows."""
    folder = tmp_path_factory.mktemp("story") / "two-days"
    examples.copy_example(folder)
    intake.ingest(folder, RECEIVED)
    pipeline.settle(folder, RECEIVED)
    with Book(folder / pipeline.BOOK) as book:
        names = ("associations", "events", "incidents", "findings", "tracks", "track_points")
        tables = {name: book.table(name).to_pylist() for name in names}
    with Journal(folder / "journal") as journal:
        observations = journal.table("observation", ["observation_id", "file", "record"])
    return tables | {"observations": observations.to_pylist()}


@pytest.fixture(scope="module")
def incidents_of(told):
    """Ids of the incidents that hold the records of an occurrence, and how many of them each holds."""
    event_of = {row["observation_id"]: row["event_id"] for row in told["associations"]}
    incident_of = {row["event_id"]: row["incident_id"] for row in told["events"]}

    def of(name: str, feed: str = "") -> Counter[bytes]:
        found: Counter[bytes] = Counter()
        for row in told["observations"]:
            about = EXPECTED["about"][row["file"]][row["record"] - 1]
            if about == name and row["file"].startswith(feed) and row["observation_id"] in event_of:
                found[incident_of[event_of[row["observation_id"]]]] += 1
        return found

    return of


@pytest.fixture(scope="module")
def p_breach(told, incidents_of):
    """Probability of breach of a clause, in both readings, by what the field's logs tell of an occurrence."""

    def of(clause: str, name: str) -> tuple[float | None, float | None]:
        mine = set(incidents_of(name, "field/"))
        found = [row for row in told["findings"] if row["clause"] == clause and row["subject_id"] in mine]
        by_reading = {row["reading"]: row["p_breach"] for row in found}
        return by_reading.get("party-a"), by_reading.get("party-b")

    return of


@pytest.fixture(scope="module")
def p_conflict(told):
    """What the fire model, with three peaceful years behind it, says of each fire seen of an occurrence."""
    event_of = {row["observation_id"]: row["event_id"] for row in told["associations"]}
    by_id = {row["event_id"]: row for row in told["events"]}

    def of(name: str) -> list[float]:
        mine = {
            event_of[row["observation_id"]]
            for row in told["observations"]
            if row["file"].startswith("firms/") and EXPECTED["about"][row["file"]][row["record"] - 1] == name
        }
        assert {by_id[i]["p_conflict_model"] for i in mine} == {"fires 1, uncalibrated"}
        return [by_id[i]["p_conflict"] for i in sorted(mine)]

    return of


class TestTheStory:
    """What README.md tells the reader to look for is there, whatever the models' constants are tuned to."""

    def test_one_shelling_is_one_incident(self, told, incidents_of):
        """All the field's records of it, most headlines, and the fires that satellites saw there."""
        found = incidents_of("shelling-chmyrivka") + incidents_of("fire-chmyrivka", "firms/")
        (_, most), *_ = found.most_common()
        assert most >= 0.9 * found.total()
        assert len(incidents_of("shelling-chmyrivka", "field/")) == 1

    def test_at_the_border_of_a_site_the_finding_is_neither_0_nor_1(self, p_breach):
        assert all(0.1 < p < 0.9 for p in p_breach("2.1", "power-station"))

    def test_between_two_clocks_a_breach_in_one_reading_only(self, p_breach):
        in_a, in_b = p_breach("1", "shelling-night")
        assert in_a > 0.8
        assert not in_b

    def test_between_two_lines_a_breach_in_one_reading_only(self, p_breach):
        in_a, in_b = p_breach("3.1", "howitzers-a")
        assert in_a < 0.2
        assert in_b > 0.8
        # a patrol that states no probability is taken to be right with 0.9: nothing single it saw comes to more
        assert all(0.8 < p <= 0.9 for p in p_breach("3.1", "howitzers-b"))

    def test_what_was_notified_is_shown_and_no_likely_breach(self, told, p_breach):
        """In both readings a finding, so that it is seen; the notice is named."""
        assert all(p < 0.1 for p in p_breach("5.1", "exercise-a"))
        assert all(p > 0.8 for p in p_breach("5.2", "exercise-b"))
        assert all(p < 0.1 for p in p_breach("4.3", "helicopter-b"))
        named = {(row["clause"], row["exemption"].partition(" (")[0]) for row in told["findings"] if row["exemption"]}
        assert named >= {("5.1", "notice of Party A"), ("4.3", "notice of Party B")}

    @pytest.mark.parametrize(
        ("clause", "name"),
        [
            ("3.2", "mortars-a"),
            ("3.3", "mlrs-b"),
            ("4.1", "uav-a"),
            ("5.3", "build-up"),
            ("2.2", "pumping-station"),
            ("7", "pumping-station"),
        ],
    )
    def test_plain_breaches_are_found(self, p_breach, clause, name):
        assert all(p > 0.5 for p in p_breach(clause, name))

    def test_one_party_did_its_duty(self, told):
        """Duties: discipline notified by Party B and not by Party A; the site of Party B not shown."""
        duties = [row for row in told["findings"] if row["subject_kind"] == "duty" and row["reading"] == "party-a"]
        likely = Counter((row["clause"], row["p_breach"] > 0.5) for row in duties)
        assert likely == {("6.1", True): 1, ("6.1", False): 1, ("6.2", True): 1}

    def test_fires_far_from_the_line_are_not_said_to_be_the_conflicts(self, p_conflict):
        for name in ("grass-west", "grass-east", "grass-south", "brickworks"):
            assert all(p < 0.35 for p in p_conflict(name)), name

    def test_fires_that_shelling_and_assault_left_are(self, p_conflict):
        for name in ("fire-chmyrivka", "fire-assault"):
            assert all(p > 0.6 for p in p_conflict(name)), name

    def test_stubble_eleven_kilometres_from_the_line_could_be_either(self, p_conflict):
        """Two days of a war that never was there before, and spring: the model does not know, and says so."""
        assert all(0.2 < p < 0.8 for p in p_conflict("grass-quiet-sector"))

    def test_each_mover_is_one_track_of_all_its_fixes(self, told):
        """Five objects, five tracks, each with its name and what it is; every fix accepted is a point of it."""
        about = {
            row["observation_id"]: EXPECTED["about"][row["file"]][row["record"] - 1] for row in told["observations"]
        }
        truth = {one["id"]: one for one in EXPECTED["movers"]}
        followed = {row["track_id"]: row for row in told["tracks"]}
        assert {(row["identity"], row["what"]) for row in followed.values()} == {
            (one["identity"], one["what"]) for one in truth.values()
        }
        assert len(followed) == len(truth)
        points = Counter(about[row["observation_id"]] for row in told["track_points"])
        assert points == {name: one["fixes"] for name, one in truth.items()}
        whose = {(followed[row["track_id"]]["identity"], about[row["observation_id"]]) for row in told["track_points"]}
        assert whose == {(one["identity"], name) for name, one in truth.items()}

    def test_the_aircraft_near_the_line_is_a_breach_and_those_far_off_are_not(self, told):
        """Nobody notified the light aircraft; airliners and the mission's own vehicles are held against nothing."""
        of_tracks = {row["identity"]: row["track_id"] for row in told["tracks"]}
        visits = [row for row in told["associations"] if row["track_id"] is not None]
        incident_of = {row["event_id"]: row["incident_id"] for row in told["events"]}
        whose = {incident_of[row["event_id"]]: row["track_id"] for row in visits if row["event_id"] in incident_of}
        found = [row for row in told["findings"] if row["subject_id"] in whose]
        assert {whose[row["subject_id"]] for row in found} == {of_tracks["icao:f00a03"]}
        assert {(row["clause"], row["reading"]) for row in found} == {("4.3", "party-a"), ("4.3", "party-b")}
        assert all(row["p_breach"] > 0.85 for row in found)
