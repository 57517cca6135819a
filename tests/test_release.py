"""Who sees what: labels, the delay, what is left out, what is made coarse, and which ids are shown."""

import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a_service import ANYBODY, OFFICER, PARTY_A, PARTY_B, PATROL, STATE
from a_shown import NOW, PUBLIC, a_finding, a_mission, a_track, an_event, an_id, an_incident, shown, tables
from truceline import coarse
from truceline.errors import NotFoundError, StoreError
from truceline.frame import Frame
from truceline.observation import RELEASES, TIME
from truceline.places import Gazetteer
from truceline.release import Principal, horizon, label_of, visible
from truceline.serve.query import Query, opaque_key, query_of
from truceline.serve.views import Released

FRAME = Frame(39.1, 49.4, 300_000.0)
GROUND = coarse.Ground(FRAME, Gazetteer.load())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_mission(tmp_path_factory.mktemp("release") / "mission")


def asked(folder: Path, releases: Any = None, **rows: Any) -> Query:
    return query_of(shown(folder, tables(**rows), releases))


def rows(query: Query, collection: str, who: Principal) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = query.rows(collection, who).table.to_pylist()
    return found


# ---- labels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mine", RELEASES)
@pytest.mark.parametrize("label", [*RELEASES, None, "secret"])
def test_a_row_is_seen_by_its_label_and_all_narrower_ones(mine: str, label: str | None) -> None:
    """A label that is missing or unknown is the mission's."""
    rank = RELEASES.index(label) if label in RELEASES else 3
    assert visible(label, Principal("x", label=mine)) == (rank <= RELEASES.index(mine))


def test_an_unknown_label_of_a_reader_sees_nothing() -> None:
    assert not visible("public", Principal("x", label="everything"))


def test_who_speaks_for_a_party_never_sees_more_than_the_parties() -> None:
    """Whatever label an account was given by mistake."""
    assert label_of(Principal("x", label="mission", party="A")) == "parties"
    assert not visible("sending_states", Principal("x", label="mission", party="A"))


@pytest.mark.parametrize("who", [STATE, PARTY_A, PUBLIC, ANYBODY])
def test_tracks_and_points_are_nobodys_below_the_mission(folder: Path, who: Principal) -> None:
    """Though the rows are labelled public: law 6 stands above labels. They are not even listed."""
    query = asked(folder, tracks=[a_track()])
    assert rows(query, "tracks", OFFICER)
    assert not {"tracks", "track_points"} & set(query.collections(who))
    for name in ("tracks", "track_points", "movements", "cases", "associations", "lineage"):
        with pytest.raises(NotFoundError, match=f"there is no collection '{name}'"):
            query.view(name, who)


def test_tracks_need_the_privilege_of_evidence_too(folder: Path) -> None:
    """A patrol's device reports, and has no need to see what is tracked."""
    query = asked(folder, tracks=[a_track()])
    assert "tracks" not in query.collections(PATROL)
    assert "incidents" in query.collections(PATROL)


def test_who_has_not_signed_in_sees_nothing_where_nothing_is_public(folder: Path) -> None:
    service = shown(folder, tables(incidents=[an_incident()]))
    assert rows(query_of(service), "incidents", ANYBODY)
    private = shown(folder, tables(incidents=[an_incident()]))
    private.mission = type(private.mission)(
        **{name: getattr(private.mission, name) for name in private.mission.__struct_fields__ if name != "serve"}
    )
    assert query_of(private).collections(ANYBODY) == []


# ---- the delay -----------------------------------------------------------------------------------------------------


def test_parties_and_public_are_told_a_day_late_and_on_the_hour() -> None:
    assert horizon(NOW) == NOW - timedelta(hours=24, minutes=30)
    assert horizon(NOW + timedelta(minutes=29)) == horizon(NOW)


@pytest.mark.parametrize(
    ("hours_ago", "told"),
    [
        pytest.param(25.5, True, id="ended at 11:30, told as by 12:00, a day before 12:00"),
        pytest.param(24.9, False, id="ended just after 12:00: in the next hour"),
        pytest.param(1.0, False, id="today"),
    ],
)
def test_what_ended_less_than_a_day_ago_is_not_told(folder: Path, hours_ago: float, told: bool) -> None:
    query = asked(folder, incidents=[an_incident(hours_ago=hours_ago)])
    assert bool(rows(query, "incidents", PARTY_A)) == told
    assert rows(query, "incidents", STATE), "sending states are told at once"


def test_what_is_not_settled_is_not_told_to_parties(folder: Path) -> None:
    query = asked(folder, incidents=[an_incident(provisional=True)])
    assert not rows(query, "incidents", PARTY_A)
    assert rows(query, "incidents", STATE)


# ---- what is left of a row -----------------------------------------------------------------------------------------


def test_parties_see_a_place_an_hour_a_kind_and_little_else(folder: Path) -> None:
    """No sensors or sources, no weapon, no means, no distance from the line, no small number."""
    (row,) = rows(asked(folder, incidents=[an_incident(description="impact")]), "incidents", PARTY_A)
    assert row.keys() == {
        *("incident_id", "what", "first_at", "last_at", "lon", "lat", "major_m", "minor_m", "place"),
        *("count", "count_max", "killed", "injured", "p_conflict", "release"),
    }
    assert row["what"] == "explosion"
    assert (row["first_at"].minute, row["last_at"].minute) == (0, 0)
    assert row["first_at"] <= NOW - timedelta(hours=48)
    assert row["last_at"] >= NOW - timedelta(hours=47.5)
    assert (row["major_m"], row["minor_m"]) == (1000.0, 1000.0)
    assert (row["killed"], row["injured"]) == (None, 7), "a number below five could point at persons"
    assert row["p_conflict"] == 0.95, "what is not certain is not rounded to 1"


def test_both_parties_see_the_same_rows_with_the_same_words(folder: Path) -> None:
    incident = an_incident()
    query = asked(
        folder,
        {a_finding()["finding_id"]: Released("parties")},
        incidents=[incident],
        events=[an_event()],
        findings=[a_finding()],
    )
    for name in query.collections(PARTY_A):
        assert query.rows(name, PARTY_A).table.equals(query.rows(name, PARTY_B).table)


@pytest.mark.parametrize(
    "told",
    [
        {"what": "explosion.outgoing"},
        {"what": "weapon.artillery"},
        {"what": "explosion", "description": "Outgoing"},
        {"what": "uav.one_way"},
        {"what": "ground.build_up"},
        {"what": "vessel.military"},
    ],
    ids=str,
)
def test_where_forces_are_or_fire_from_is_not_told(folder: Path, told: dict[str, Any]) -> None:
    """Parties and public do not get the row at all; sending states get it at its cell, without what locates it."""
    query = asked(folder, incidents=[an_incident(**told)])
    assert not rows(query, "incidents", PARTY_A)
    (row,) = rows(query, "incidents", STATE)
    assert (row["lon"], row["lat"]) != (38.8012, 49.4023)
    assert row["major_m"] >= 1000
    assert [row[name] for name in ("tilt_deg", "line_distance_m", "chainage_m", "p_inside")] == [None] * 4


def test_a_sending_state_sees_rows_as_they_are_but_no_sensor(folder: Path) -> None:
    event = an_event()
    (row,) = rows(asked(folder, events=[event]), "events", STATE)
    assert (row["lon"], row["lat"], row["at"]) == (event["lon"], event["lat"], event["at"])
    assert "sensors" not in row


def test_an_event_does_not_name_an_incident_that_is_not_seen(folder: Path) -> None:
    """Two events with one unseen incident in common would tell that it is there."""
    event = an_event(incident_id=an_incident()["incident_id"])
    (row,) = rows(asked(folder, incidents=[an_incident(release="mission")], events=[event]), "events", PARTY_A)
    assert row["incident_id"] is None
    (row,) = rows(asked(folder, incidents=[an_incident()], events=[event]), "events", PARTY_A)
    assert row["incident_id"] is not None


# ---- findings ------------------------------------------------------------------------------------------------------


def test_a_finding_goes_to_parties_only_when_it_was_released(folder: Path) -> None:
    """However wide its own label is."""
    query = asked(folder, incidents=[an_incident()], findings=[a_finding()])
    assert not rows(query, "findings", PARTY_A)
    query.released = lambda: {a_finding()["finding_id"]: Released("parties")}
    assert rows(query, "findings", PARTY_A)
    assert not rows(query, "findings", PUBLIC), "released to the parties is not released to the public"


def test_a_released_case_releases_its_findings(folder: Path) -> None:
    case = {"case_id": an_id("case"), "clause": "1", "state": "notified", "findings": [a_finding()["finding_id"]]}
    query = asked(
        folder, {case["case_id"]: Released("public")}, incidents=[an_incident()], findings=[a_finding()], cases=[case]
    )
    (row,) = rows(query, "findings", PUBLIC)
    assert row["release"] == "public"


def test_a_released_finding_says_nothing_finer_than_its_columns(folder: Path) -> None:
    """Its own sentence has minutes and factors; another is made. Factors locate: a share inside a zone says where."""
    finding = a_finding()
    query = asked(folder, {finding["finding_id"]: Released("parties")}, incidents=[an_incident()], findings=[finding])
    (row,) = rows(query, "findings", PARTY_A)
    assert "factors" not in row
    assert "exemption" not in row
    assert row["p_breach"] == pytest.approx(0.8)
    assert row["sentence"] == (
        f"Clause 1 (Cessation of fire), as Party A reads it: explosion {row['place']}, between 2031-03-14 12:00 and "
        "2031-03-14 13:00 UTC; probability of breach about 0.8 (uncalibrated). Who fired is undetermined."
    )


def test_the_words_that_were_released_are_said_instead(folder: Path) -> None:
    finding = a_finding()
    words = Released("parties", "An explosion near Chmyrivka on the 14th.")
    query = asked(folder, {finding["finding_id"]: words}, incidents=[an_incident()], findings=[finding])
    for who in (PARTY_A, PARTY_B):
        (row,) = rows(query, "findings", who)
        assert row["sentence"] == words.text


def test_a_finding_whose_incident_is_not_released_shows_its_coarse_place_alone(folder: Path) -> None:
    incident = an_incident(release="mission")
    finding = a_finding(of=incident)
    query = asked(folder, {finding["finding_id"]: Released("sending_states")}, incidents=[incident], findings=[finding])
    (row,) = rows(query, "findings", STATE)
    assert row["subject_id"] is None
    assert (row["lon"], row["lat"]) != (incident["lon"], incident["lat"])
    assert row["major_m"] == 1000
    assert row["factors"] is None
    (exact,) = rows(asked(folder, incidents=[an_incident()], findings=[a_finding()]), "findings", STATE)
    assert (exact["lon"], exact["lat"]) == (38.8012, 49.4023)


def test_a_weapon_in_a_released_finding_is_near_a_settlement(folder: Path) -> None:
    """Also a kilometre's cell would do for cueing; the name of the nearest settlement does not."""
    incident = an_incident(what="weapon.artillery")
    finding = a_finding(of=incident, rule="withdrawal", clause="3.1")
    query = asked(folder, {finding["finding_id"]: Released("parties")}, incidents=[incident], findings=[finding])
    (row,) = rows(query, "findings", PARTY_A)
    assert row["place"].startswith("near ")
    gazetteer = Gazetteer.load()
    at = list(gazetteer.name).index(row["place"].removeprefix("near "))
    assert (row["lon"], row["lat"]) == (
        pytest.approx(gazetteer.lon[at], abs=1e-5),
        pytest.approx(gazetteer.lat[at], abs=1e-5),
    )


# ---- ground --------------------------------------------------------------------------------------------------------


def test_zones_sites_and_the_line_are_the_parties_and_not_the_publics(folder: Path) -> None:
    query = asked(folder)
    assert {"zones", "sites", "line"} <= set(query.collections(PARTY_A))
    assert not {"zones", "sites", "line"} & set(query.collections(PUBLIC))


def test_a_line_of_today_and_what_moves_with_it_is_not_told_today(folder: Path) -> None:
    query = asked(folder)
    assert [row["date"] for row in rows(query, "line", PARTY_A)] == ["2031-03-03"]
    assert [row["id"] for row in rows(query, "zones", PARTY_A)] == ["training-ground"]
    assert len(rows(query, "line", STATE)) == len(rows(query, "zones", STATE)) == 2


# ---- places, times, numbers ----------------------------------------------------------------------------------------


@given(st.floats(37.6, 40.6), st.floats(48.6, 50.2), st.floats(0, 1), st.floats(0, 1))
def test_all_points_of_a_cell_are_told_alike(lon: float, lat: float, dx: float, dy: float) -> None:
    """So a place says no more than which kilometre, whatever the settlement: words, too, are of the cell."""
    east, north = (np.floor(float(metres) / 1000) * 1000 for metres in FRAME.to_local(lon, lat))
    inner = FRAME.to_degrees(np.array([east + 500, east + 1 + 998 * dx]), np.array([north + 500, north + 1 + 998 * dy]))
    at_lon, at_lat, words = GROUND.cells(*inner)
    assert (at_lon[0], at_lat[0], words[0]) == (at_lon[1], at_lat[1], words[1])
    away = np.hypot(
        *(a - b for a, b in zip(FRAME.to_local(at_lon[:1], at_lat[:1]), FRAME.to_local(*inner), strict=True))
    )
    assert (away < 710).all() or words[0].startswith("in ")


def test_an_unknown_place_stays_unknown() -> None:
    lon, lat, words = GROUND.cells(np.array([np.nan]), np.array([np.nan]))
    assert np.isnan([*lon, *lat]).all()
    assert words == ["undetermined place"]


def test_times_go_outwards_to_the_hour() -> None:
    column = pa.chunked_array([pa.array([NOW, NOW.replace(minute=0), None], TIME)])
    assert [t and t.hour for t in coarse.hours(column).to_pylist()] == [12, 12, None]
    assert [t and t.hour for t in coarse.hours(column, up=True).to_pylist()] == [13, 12, None]


@pytest.mark.parametrize(
    ("exact", "told"), [(0.0, 0.0), (0.004, 0.05), (0.26, 0.3), (0.97, 0.95), (1.0, 1.0), (None, None)]
)
def test_probabilities_are_told_to_a_tenth_and_never_as_certain(exact: float | None, told: float | None) -> None:
    (found,) = coarse.tenths(pa.chunked_array([pa.array([exact], pa.float32())])).to_pylist()
    assert found == (None if told is None else pytest.approx(told))


# ---- ids -----------------------------------------------------------------------------------------------------------


def test_ids_below_the_mission_are_others_in_each_label_and_stay(folder: Path) -> None:
    """An event's id is its first observation's, and that is a hash of a record that somebody may guess."""
    incident = an_incident()
    query = asked(folder, incidents=[incident])
    shown_ids = [rows(query, "incidents", who)[0]["incident_id"] for who in (OFFICER, STATE, PARTY_A, PUBLIC)]
    assert shown_ids[0] == incident["incident_id"]
    assert len(set(shown_ids)) == 4
    again = asked(folder, incidents=[incident])
    assert rows(again, "incidents", PARTY_A)[0]["incident_id"] == shown_ids[2]
    assert query.plain_id("incidents", PARTY_A, shown_ids[2].hex()) == incident["incident_id"]
    assert query.shown_id(incident["incident_id"], PARTY_A) == shown_ids[2].hex()


@pytest.mark.parametrize("asked_for", ["their own", "absent", "no id"])
def test_an_id_that_is_not_seen_is_as_absent_as_any(folder: Path, asked_for: str) -> None:
    """The real id of a row that a party sees under another is no id to it either."""
    query = asked(folder, incidents=[an_incident()])
    text = {"their own": an_incident()["incident_id"].hex(), "absent": an_id("none").hex(), "no id": "x"}[asked_for]
    with pytest.raises(NotFoundError, match=f"incidents has no '{text}'"):
        query.one("incidents", PARTY_A, text)


def test_the_key_of_ids_is_its_owners_alone(folder: Path) -> None:
    key = opaque_key(folder)
    path = folder / "keys" / "opaque.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert opaque_key(folder) == key
    path.write_bytes(b"short")
    with pytest.raises(StoreError, match="it has 5 bytes, not 32"):
        opaque_key(folder)
    path.write_bytes(key)


def test_under_a_hidden_number_there_is_no_number(folder: Path) -> None:
    """A column that was masked keeps its values under the nulls, and a file of Arrow would carry them."""
    incidents = [an_incident(i, killed=3, count=4) for i in range(8)]
    table = asked(folder, incidents=incidents).rows("incidents", PARTY_A).table
    for name in ("killed", "count"):
        for chunk in table[name].chunks:
            assert not np.frombuffer(chunk.buffers()[1], np.int32, len(chunk), chunk.offset * 4).any()
