"""The fire model on real fires: eight years of Ukraine, seven of them the baseline, the line of 2023.

There is no truth about fires; every bound here is one that holds without it (docs/fires.md).
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from truceline import desk, intake, pipeline, yearly
from truceline.examples import SHIPPED
from truceline.fuse.causes import MODEL
from truceline.store import Book

pytestmark = pytest.mark.realdata

NOW = datetime(2024, 1, 2, tzinfo=UTC)

MISSION = """\
name = "fires-2023"
centre = {{lon = 36.0, lat = 48.3}}
radius_km = 1200
agreement = "agreement.toml"
report_day = {{ends = "19:30", zone = "Europe/Kyiv"}}

[line]
paths = ["{data}/line_of_contact/weekly/*.geojson.gz"]
select = {{fill = ["#a52714", "#880e4f"]}}

[baseline]
feed = "firms"
paths = ["{data}/firms_baseline/*.csv.gz"]
years = [2012, 2013, 2016, 2018, 2019, 2020, 2021]
exclude = "donbas.geojson"

[[source]]
id = "viirs-snpp"
feed = "firms"
paths = ["{data}/firms/*.csv"]
"""
#: Round all of the line of 2014 to 2021: west, south, east, north.
DONBAS = (36.8, 47.0, 40.3, 49.6)


@pytest.fixture(scope="module")
def year(realdata, tmp_path_factory) -> Path:
    """The year's fires, ingested and settled."""
    folder = tmp_path_factory.mktemp("fires") / "year"
    folder.mkdir()
    (folder / "mission.toml").write_text(MISSION.format(data=realdata))
    (folder / "agreement.toml").write_bytes((SHIPPED / "agreements" / "measures-2020-07-22.toml").read_bytes())
    west, south, east, north = DONBAS
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    (folder / "donbas.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    intake.ingest(folder, NOW)
    pipeline.settle(folder, NOW)
    return folder


@pytest.fixture(scope="module")
def checked(year):
    """What `truceline fires` says."""
    return desk.fires(year)


def test_no_peaceful_year_is_called_war(checked):
    """Each year judged by the others, the line of 2023 over it: at most 5 % near it, 2 % outside the Donbas."""
    years = [row for row in checked["peace"] if row["season"] == "the year"]
    assert [row["year"] for row in years] == [2012, 2013, 2016, 2018, 2019, 2020, 2021]
    for row in years:
        assert row["near_detections"] > 3_000
        assert row["outside_detections"] > 40_000
        assert row["near"] <= 0.05, row
        assert row["outside"] <= 0.02, row
    assert checked["held"]
    assert checked["exceeded"] == []


def test_probabilities_follow_what_burnt_beyond_the_background(checked):
    """Over the year, in every band up to 60 km from the line, within 0.2 of the share that no season explains."""
    bands = [row for row in checked["bands"] if row["season"] == "the year" and (row["to_km"] or 999.0) <= 60.0]
    assert sum(row["detections"] for row in checked["bands"] if row["season"] == "the year") == 42_415
    means = [row["mean_p"] for row in bands]
    assert means == sorted(means, reverse=True)
    for row in bands:
        assert abs(row["mean_p"] - row["excess"]) < 0.2, row


def test_the_edition_has_both_numbers_of_every_fire(year):
    with Book(year / pipeline.BOOK) as book:
        fires = book.table("events")
        note = book.latest().note
    assert "fires: background of 692,3" in note
    assert set(fires["p_conflict_model"].to_pylist()) == {MODEL}
    now, then = (fires[name].to_numpy() for name in ("p_conflict", "p_conflict_online"))
    assert np.isfinite(now + then).all()
    far = pc.greater(pc.abs(fires["line_distance_m"]), 100_000.0).to_numpy()
    assert now[far].mean() < 0.03
    assert 0.8 < now.sum() / then.sum() < 1.5


def test_the_page_of_the_year_adds_up(year):
    """Days, months and regions are sums over the same fires."""
    told = json.loads(Path(yearly.report(year, 2023).paths[1]).read_text())
    for parts in (told["days"], told["months"], told["regions"]):
        assert sum(part["fires"] for part in parts) == told["whole"]["fires"]
    assert told["regions"][0]["name"] in ("Kherson region", "Donetsk region", "Zaporizhzhia region")
