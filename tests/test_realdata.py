"""A year of war read as it was published: satellite fires, news incidents, the weekly line, nuclear plants.

Every number here is a property of the files, counted by other means, or a bound that common sense gives.
"""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc
import pytest

from truceline import daily, desk, explain, intake, pipeline
from truceline.examples import SHIPPED
from truceline.observation import ids
from truceline.store import Book, Journal

pytestmark = pytest.mark.realdata

NOW = datetime(2024, 1, 2, tzinfo=UTC)

MISSION = """\
name = "ukraine-2023"
centre = {{lon = 36.0, lat = 48.3}}
radius_km = 1200
agreement = "agreement.toml"
report_day = {{ends = "19:30", zone = "Europe/Kyiv"}}

[line]
paths = ["{data}/line_of_contact/weekly/*.geojson.gz"]
select = {{fill = ["#a52714", "#880e4f"]}}

[[source]]
id = "viirs-snpp"
feed = "firms"
paths = ["{data}/firms/*.csv"]
licence = "NASA FIRMS, open data"

[[source]]
id = "viina"
feed = "table"
preset = "viina"
paths = ["{data}/incidents/*.csv.gz"]
licence = "VIINA, ODbL"
"""

PLANTS = """
[[zone]]
id = "plants"
name = "nuclear power plants, 10 km"
kind = "circles"
path = "{data}/geo/geonuclear/nuclear_power_plants.csv"
where = {{CountryCode = "UA"}}
radius_km = 10

[[clause]]
id = "plants"
type = "protected_site"
title = "No fire at nuclear power plants"
parties = {parties}
zone = "plants"
"""


@pytest.fixture(scope="module")
def year(realdata, tmp_path_factory) -> tuple[Path, intake.Ingested]:
    """The year, ingested and settled, held against the measures of 2020 with the plants added."""
    folder = tmp_path_factory.mktemp("year")
    (folder / "mission.toml").write_text(MISSION.format(data=realdata))
    measures = (SHIPPED / "agreements" / "measures-2020-07-22.toml").read_text()
    parties = json.dumps([p.id for p in _agreement(measures, folder).party])
    (folder / "agreement.toml").write_text(measures + PLANTS.format(data=realdata, parties=parties))
    ingested = intake.ingest(folder, NOW)
    pipeline.settle(folder, NOW)
    return folder, ingested


def _agreement(text: str, folder: Path):
    from truceline.agreement import Agreement

    (folder / "plain.toml").write_text(text)
    return Agreement.load(folder / "plain.toml")


def test_every_record_is_accounted_for(year):
    """42,415 fires, all accepted; 51,686 reports, of which 11,556 repeat another byte for byte."""
    _, ingested = year
    fires, *months = ingested.files
    assert (fires.read, fires.accepted, fires.duplicates, fires.rejected) == (42_415, 42_415, 0, 0)
    assert sum(row.read for row in months) == 51_686
    assert sum(row.duplicates for row in months) == 11_556
    assert all(row.read == row.accepted + row.duplicates + row.rejected for row in ingested.files)
    assert not ingested.problems


def test_every_occurrence_is_behind_exactly_one_event(year):
    """Nothing is fused twice; whatever is not fused states no occurrence (news of other things, warnings)."""
    folder, _ = year
    ties, events = (Book(folder / "book.sqlite").table(name) for name in ("associations", "events"))
    assert len(set(map(tuple, ids(ties["observation_id"]).tolist()))) == ties.num_rows
    assert pc.all(pc.is_in(ties["event_id"], value_set=events["event_id"].combine_chunks())).as_py()
    assert pc.sum(events["observations"]).as_py() == ties.num_rows
    with Journal(folder / "journal") as journal:
        kinds = journal.table("observation", ["observation_id", "kind", "what"])
    fused = pc.is_in(kinds["observation_id"], value_set=ties["observation_id"].combine_chunks())
    left = kinds.filter(pc.invert(fused))
    assert set(left["what"].to_pylist()) <= {"report", "air_alert"}
    assert pc.all(fused.filter(pc.equal(kinds["kind"], "hotspot"))).as_py()


def test_a_fire_is_never_larger_than_an_overpass_can_see(year):
    """Pixels are put together within minutes, not from one pass to the next."""
    folder, _ = year
    events = Book(folder / "book.sqlite").table("events")
    fires = events.filter(pc.equal(events["what"], "fire"))
    assert 10_000 < fires.num_rows < 42_415
    lasted = pc.subtract(fires["at_until"], fires["at_from"]).cast("int64")
    assert pc.max(lasted).as_py() / 6e7 < 60  # minutes


def test_days_do_not_chain_into_weeks(year):
    """Reports known to the day stay intervals; shelling day after day is not one incident."""
    folder, _ = year
    incidents = Book(folder / "book.sqlite").table("incidents")
    impulses = incidents.filter(pc.starts_with(incidents["what"], "explosion"))
    days = pc.subtract(impulses["last_at"], impulses["first_at"]).cast("int64").to_numpy() / 8.64e10
    assert (days < 7).all()
    assert impulses.num_rows > 1_000


def test_the_same_story_told_often_is_one_event(year):
    """Somewhere in five months of news, five and more reports speak of one shelling."""
    folder, _ = year
    events = Book(folder / "book.sqlite").table("events")
    reported = events.filter(pc.starts_with(events["what"], "explosion"))
    assert 5 <= pc.max(reported["observations"]).as_py() <= 100


def test_everything_is_illustrative_and_undetermined(year):
    """The measures were not in force in 2023; where something fell never says who fired."""
    folder, _ = year
    findings = Book(folder / "book.sqlite").table("findings")
    of_incidents = findings.filter(pc.equal(findings["subject_kind"], "incident"))
    assert of_incidents.num_rows > 1_000
    measured = of_incidents.filter(pc.not_equal(of_incidents["clause"], "plants"))
    assert pc.all(measured["illustrative"]).as_py()
    assert {tuple(map(tuple, a)) for a in of_incidents["attribution"].to_pylist()} == {(("undetermined", 1.0),)}
    assert not pc.any(of_incidents["calibrated"]).as_py()


def test_the_plants_are_found_and_judged(year):
    """Energodar burns in 2023: something is held against the plants' clause, by ellipses across the border."""
    folder, _ = year
    findings = Book(folder / "book.sqlite").table("findings")
    plants = findings.filter(pc.equal(findings["clause"], "plants"))
    assert plants.num_rows > 10
    factors = [f["value"] for row in plants["factors"].to_pylist() for f in row if "inside" in f["name"]]
    assert any(0.02 < value < 0.98 for value in factors)


def test_a_daily_report_of_the_year(year):
    """The fifth of October 2023, with what it owes its sources."""
    folder, _ = year
    written = daily.report(folder, NOW, day=datetime(2023, 10, 5, tzinfo=UTC).date())
    html = Path(written.paths[0]).read_text()
    assert "llustrative" in html
    assert "VIINA" in html
    assert "NASA FIRMS" in html
    assert written.top


def test_evidence_of_the_year_is_the_bytes_that_were_read(year, realdata):
    """The raw record of a fire stands in NASA's file, letter by letter."""
    folder, _ = year
    events = Book(folder / "book.sqlite").table("events")
    fire = events.filter(pc.equal(events["what"], "fire"))["event_id"][0].as_py().hex()
    told = explain.explain(folder, fire)
    raw = told["events"][0]["observations_behind"][0]["raw"]
    (file,) = (realdata / "firms").glob("*.csv")
    assert raw in file.read_text()


def test_rebuilding_gives_the_same_digest_and_every_hash_holds(year, tmp_path):
    folder, _ = year
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert pipeline.rebuild(copy)["differ"] == 0
    assert desk.verify(copy)["problems"] == []
