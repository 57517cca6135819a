"""The picture for pages: the whole once, then what is otherwise; the timeline; sites and their quiet days."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from a_service import OFFICER, PARTY_A, STATE, a_service, an_example
from a_shown import Asking, StillLive, a_finding, a_mission, an_incident, shown, tables
from truceline.observation import TIME
from truceline.serve import tallies
from truceline.serve.service import Changes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_mission(tmp_path_factory.mktemp("pictures") / "mission")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Asking:
    return Asking(a_service(an_example(tmp_path_factory.mktemp("example") / "mission")))


# ---- the picture ---------------------------------------------------------------------------------------------------


def test_the_whole_picture_first(folder: Path) -> None:
    service = shown(folder, tables([an_incident(hours_ago=3)], findings=[a_finding(of=an_incident(hours_ago=3))]))
    picture = Asking(service).json(OFFICER, "/api/picture")
    assert (picture["revision"], picture["edition"], picture["reset"]) == (1, 1, True)
    assert picture["at"] == "2031-03-16T12:30:00Z"
    assert {name: len(part["upserted"]) for name, part in picture["collections"].items()} == {
        "incidents": 1,
        "findings": 1,
    }


def test_then_what_the_live_picture_says_has_changed(folder: Path) -> None:
    incidents = [an_incident(i, hours_ago=3) for i in range(3)]
    service = shown(folder, tables(incidents), revision=5)
    live: Any = service.live
    changed, gone = incidents[1]["incident_id"], an_incident(9)["incident_id"]
    live.told[4] = Changes(4, 5, {"incidents": [changed]}, {"incidents": [gone]})
    asking = Asking(service)
    picture = asking.json(OFFICER, "/api/picture?since=4&collections=incidents")
    (feature,) = picture["collections"]["incidents"]["upserted"]
    assert feature["id"] == changed.hex()
    assert picture["collections"]["incidents"]["removed"] == [gone.hex()]
    assert picture["reset"] is False
    too_old = asking.json(OFFICER, "/api/picture?since=2&collections=incidents")
    assert too_old["reset"] is True
    assert len(too_old["collections"]["incidents"]["upserted"]) == 3


def test_only_the_last_hours(folder: Path) -> None:
    asking = Asking(shown(folder, tables([an_incident(i, hours_ago=10.0 * i + 1) for i in range(8)])))
    for address, n in (("", 5), ("?window_h=100", 8), ("?window_h=12", 2)):
        found = asking.json(OFFICER, f"/api/picture{address}")["collections"]["incidents"]["upserted"]
        assert len(found) == n


def test_a_partys_picture_changes_when_what_it_sees_does(folder: Path) -> None:
    service = shown(folder, tables([an_incident(1), an_incident(2)]))
    asking = Asking(service)
    before = asking.json(PARTY_A, "/api/picture")
    gone = before["collections"]["incidents"]["upserted"]
    service.live = StillLive(tables([an_incident(2), an_incident(3, hours_ago=50)]), revision=9)  # type: ignore[assignment]
    after = asking.json(PARTY_A, f"/api/picture?since={before['revision']}")["collections"]["incidents"]
    assert len(after["upserted"]) == len(after["removed"]) == 1
    assert after["removed"][0] in {one["id"] for one in gone}


def test_an_answer_that_many_ask_for_is_made_once(folder: Path) -> None:
    service = shown(folder, tables([an_incident()]))
    asking = Asking(service)
    asking(OFFICER, "/api/picture")
    ((_, body),) = service.kept["pictures"].bodies.values()
    asking(OFFICER, "/api/picture")
    ((_, again),) = service.kept["pictures"].bodies.values()
    assert again is body


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("collections=tracks", "collections = 'tracks': there are events, incidents, findings"),
        ("since=x", "since = 'x'"),
        ("window_h=-3", "window_h = '-3'"),
        ("window_h=nan", "window_h = 'nan'"),
    ],
)
def test_what_is_asked_wrongly_is_told(folder: Path, asked: str, sentence: str) -> None:
    answer = Asking(shown(folder, tables()))(OFFICER, f"/api/picture?{asked}")
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]


# ---- the timeline --------------------------------------------------------------------------------------------------


def test_the_timeline_counts_incidents_findings_and_records(example: Asking) -> None:
    line = example.json(OFFICER, "/api/timeline?from=2031-03-13&to=2031-03-16&bucket_s=86400")
    assert line["from"] == "2031-03-13T00:00:00Z"
    assert sum(line["incidents"]) == 68, "of 69 incidents one began earlier"
    assert sum(sum(each) for each in line["sources"].values()) == 898 - 2, "of 898 observations two were earlier"
    assert line["findings"][1:] == [20, 16], "clauses and subjects, whoever reads them so"


def test_parties_get_no_small_count_and_no_source(example: Asking) -> None:
    line = example.json(PARTY_A, "/api/timeline?from=2031-03-14&to=2031-03-15")
    assert set(line["incidents"]) == {None, 5}
    assert (line["sources"], line["silent"]) == ({}, [])
    assert example(PARTY_A, "/api/timeline?bucket_s=60").status_code == 400
    states = example.json(STATE, "/api/timeline?from=2031-03-14&to=2031-03-15")
    assert 0 in states["incidents"]
    assert states["sources"] == {}


def test_readings_that_agree_count_once() -> None:
    rows = tables([an_incident()], findings=[a_finding(i, an_incident(), reading=f"party-{i}") for i in range(2)])
    assert tallies.likely(rows["findings"]).num_rows == 1


def _heard(minutes: list[int]) -> tallies.Heard:
    return tallies.Heard({"press": (np.array(minutes), np.ones(len(minutes), np.int64))}, {})


@pytest.mark.parametrize(
    ("minutes", "silences"),
    [
        pytest.param([0, 10, 20, 30, 90, 100], [(30, 90)], id="longer than three median intervals"),
        pytest.param([0, 10, 20, 40, 50, 100], [(50, 100)], id="twice the median is none"),
        pytest.param([0, 1, 2, 3, 9, 95], [(9, 95)], id="under ten minutes is none, however often it spoke"),
        pytest.param([0, 10, 20], [(20, 100)], id="up to the end"),
        pytest.param([50], [], id="heard once: nobody knows how often it speaks"),
    ],
)
def test_silence(folder: Path, minutes: list[int], silences: list[tuple[int, int]]) -> None:
    mission = shown(folder, tables()).mission
    found = tallies.silences(_heard(minutes), mission, 0.0, 6000.0)
    assert [(one["from"] / 60, one["until"] / 60) for one in found] == silences


# ---- sites ---------------------------------------------------------------------------------------------------------


def test_a_site_has_its_ring_its_findings_and_its_days(example: Asking) -> None:
    sites = {site["id"]: site for site in example.json(OFFICER, "/api/sites")}
    power = sites["power-station.1"]
    assert power["protected"]
    assert power["clauses"] == ["2.1"]
    assert len(power["ring"]["coordinates"][0]) == 65
    assert {row["clause"] for row in power["findings"]} == {"2.1"}
    days = {one["day"]: one for one in power["days"]}
    assert len(days) == 14
    assert days["2031-03-14"]["state"] == "finding"
    assert days["2031-03-04"]["state"] == "not assessed", "nobody listened then: it was not quiet"


def test_a_day_is_quiet_only_where_something_was_heard_nearby(folder: Path) -> None:
    """One observation 5 km off on the 14th, one 50 km off on the 15th."""
    mission = shown(folder, tables()).mission
    sites = pa.table({"site_id": ["s"], "lon": [38.90], "lat": [49.36]})
    at = [datetime(2031, 3, day, 12, tzinfo=UTC) for day in (14, 15)]
    rows = pa.table(
        {
            "source": ["patrols"] * 2,
            "at": pa.array(at, TIME),
            "lon": [38.90, 38.90],
            "lat": [49.405, 49.81],
        }
    )
    heard = tallies.heard([rows.slice(0, 1), rows.slice(1)], sites, mission)
    days = tallies.days_at("s", heard, {}, date(2031, 3, 15), 3)
    assert [one["state"] for one in days] == ["not assessed", "quiet", "not assessed"]
    assert tallies.days_at("s", heard, {date(2031, 3, 14): 2}, date(2031, 3, 14), 1)[0]["state"] == "finding"


def test_a_party_sees_the_sites_but_not_where_somebody_listened(example: Asking) -> None:
    for who in (PARTY_A, STATE):
        assert {tuple(site["days"]) for site in example.json(who, "/api/sites")} == {()}


def test_reporting_days_end_when_the_mission_says(folder: Path) -> None:
    """19:30 in Kyiv is 17:30 UTC in March."""
    mission = shown(folder, tables()).mission
    begin = datetime(2031, 3, 14, 17, 29, tzinfo=UTC)
    days, edges = tallies.reporting_days(mission, begin.timestamp(), (begin + timedelta(minutes=2)).timestamp())
    assert days == [date(2031, 3, 14), date(2031, 3, 15)]
    assert edges.tolist() == [datetime(2031, 3, 14, 17, 30, tzinfo=UTC).timestamp()]
