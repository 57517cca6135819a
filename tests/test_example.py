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

from truceline import feeds
from truceline.agreement import Agreement
from truceline.mission import Mission, files

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
    assert sum(path.stat().st_size for path in SHIPPED) < 200_000
    assert Mission.load(FOLDER).exercise
    records = sum(source["records"] for source in EXPECTED["sources"].values())
    assert 300 <= records <= 800


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
    """`about` has one entry a record: the occurrence it is about, or nothing."""
    occurrences = {one["id"] for one in EXPECTED["occurrences"]}
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
