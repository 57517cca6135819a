"""A finding with all that speaks for and against it, and the way back to the bytes, settled or not."""

import hashlib
import math
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from a_service import (
    ADMINISTRATOR,
    ANALYST,
    ANYBODY,
    NOW,
    OFFICER,
    PARTY_A,
    PATROL,
    SECOND_OFFICER,
    STATE,
    VERIFIER,
    a_service,
    an_example,
    client,
)
from truceline.explain import explain
from truceline.release import Principal
from truceline.serve.findings import NEAR_DAYS, NEAR_M
from truceline.serve.service import Service
from truceline.store import Journal

CUTOFF = NOW - timedelta(hours=30)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return an_example(tmp_path_factory.mktemp("findings") / "mission")


@pytest.fixture
def service(example: Path, tmp_path: Path) -> Service:
    shutil.copytree(example, tmp_path / "mission")
    return a_service(tmp_path / "mission")


def asked(service: Service, principal: Principal, path: str) -> tuple[int, dict[str, Any]]:
    response = client(service, principal).get(path)
    return response.status_code, response.json()


def findings(service: Service) -> list[dict[str, Any]]:
    return service.live.snapshot.tables["findings"].to_pylist()  # type: ignore[no-any-return]


def likely(service: Service) -> dict[str, Any]:
    """The likeliest finding on the cessation of fire."""
    of_incidents = [row for row in findings(service) if row["clause"] == "1" and row["subject_kind"] == "incident"]
    return max(of_incidents, key=lambda row: (row["p_breach"] or 0, row["finding_id"]))


def test_a_finding_tells_what_speaks_for_it_and_how_each_party_reads_the_clause(service: Service) -> None:
    row = likely(service)
    status, told = asked(service, ANALYST, f"/api/findings/{row['finding_id'].hex()}")
    assert status == 200
    assert told["sentence"] == row["sentence"]
    product = math.prod(factor["value"] for factor in told["factors"])
    assert product == pytest.approx(row["p_breach"], rel=1e-3), "the factors shown are those that were multiplied"
    assert {factor["source"] != "" for factor in told["factors"]} == {True}
    assert sum(told["attribution"].values()) == pytest.approx(1)
    readings = told["clause"]["readings"]
    assert [one["party"] for one in readings] == ["party-a", "party-b"]
    assert all(one["text"] and one["in_force_from"].endswith("Z") for one in readings)
    assert told["place"]["place"]
    assert told["case"]["state"] == "alleged"
    assert told["clock"]["next"] == "triaged"
    assert told["actions"] == [], "an analyst looks"


def test_what_may_be_done_is_what_this_person_may(service: Service) -> None:
    path = f"/api/findings/{likely(service)['finding_id'].hex()}"
    offered = {
        who.name: {one["what"] for one in asked(service, who, path)[1]["actions"]} for who in (OFFICER, VERIFIER)
    }
    assert offered["olena"] - offered["vera"] == {"request_release"}
    assert {"triage", "verdict", "note"} <= offered["vera"]


def test_similar_findings_are_near_in_place_and_time_of_one_clause_and_most_alike_first(service: Service) -> None:
    """Against a search through all, one by one."""
    row = likely(service)
    told = asked(service, OFFICER, f"/api/findings/{row['finding_id'].hex()}")[1]
    incidents = {one["incident_id"]: one for one in service.live.snapshot.tables["incidents"].to_pylist()}
    here = incidents[row["subject_id"]]
    near = set()
    for other in findings(service):
        there = incidents.get(other["subject_id"])
        if there is None or other["subject_id"] == row["subject_id"]:
            continue
        north_m = math.radians(there["lat"] - here["lat"]) * 6_371_000
        east_m = math.radians(there["lon"] - here["lon"]) * 6_371_000 * math.cos(math.radians(here["lat"]))
        days = abs((there["first_at"] - here["first_at"]).total_seconds()) / 86400
        alike = (other["clause"], other["reading"]) == (row["clause"], row["reading"])
        if alike and math.hypot(north_m, east_m) <= NEAR_M and days <= NEAR_DAYS:
            near.add(other["finding_id"].hex())
    given = told["similar"]
    assert {one["id"] for one in given} <= near
    assert len(given) == min(len(near), 10) > 2
    assert all(one["distance_m"] <= NEAR_M and one["days"] <= NEAR_DAYS for one in given)


def test_a_finding_on_a_duty_has_no_place_and_nothing_near(service: Service) -> None:
    duty = next(row for row in findings(service) if row["subject_kind"] == "duty")
    status, told = asked(service, OFFICER, f"/api/findings/{duty['finding_id'].hex()}")
    assert (status, told["place"], told["similar"]) == (200, None, [])


def test_an_id_that_is_none_is_not_found(service: Service) -> None:
    case = service.live.snapshot.tables["cases"]["case_id"][0].as_py().hex()
    for wrong in ("0" * 32, "xyz", likely(service)["finding_id"].hex().upper(), case):
        assert asked(service, OFFICER, f"/api/findings/{wrong}")[0] == 404


def test_below_the_mission_a_finding_is_what_was_released_of_it(service: Service) -> None:
    """A day old, coarse, in the words that went out, under an id that only this label knows."""
    row = likely(service)
    http = client(service, OFFICER)
    signed = {"verdict": "verified", "reason": "crater seen"}
    assert http.post(f"/api/cases/{row['finding_id'].hex()}/verdict", json=signed).status_code == 200
    said = {"action_id": "1" * 32, "what": "request_release", "label": "parties", "text": "An explosion W of Yevsuh"}
    path = f"/api/cases/{row['finding_id'].hex()}/actions"
    about = http.post(path, json=said).json()["case"]["pending_release"]["action_id"]
    approve = {"action_id": "2" * 32, "what": "approve_release", "about": about}
    assert client(service, SECOND_OFFICER).post(path, json=approve).status_code == 200
    service.clock = lambda: NOW + timedelta(days=2)
    (released,) = client(service, PARTY_A).get("/api/cases").json()["cases"]
    told = [asked(service, PARTY_A, f"/api/findings/{one}") for one in released["findings"]]
    assert {status for status, _ in told} == {200}
    for _, one in told:
        assert one["sentence"] == "An explosion W of Yevsuh"
        assert not {"factors", "similar", "place_m", "clock"} & one.keys()
        assert [action["what"] for action in one["actions"]] == ["dispute"]
    assert row["finding_id"].hex() not in str(told), "the mission's ids lead nowhere"
    assert asked(service, PARTY_A, f"/api/findings/{row['finding_id'].hex()}")[0] == 404
    assert asked(service, ANYBODY, f"/api/findings/{released['findings'][0]}")[0] == 404


# ---- evidence ------------------------------------------------------------------------------------------------------


def test_evidence_leads_to_the_bytes_and_who_looked_is_journalled(service: Service) -> None:
    row = likely(service)
    status, told = asked(service, ANALYST, f"/api/evidence/{row['finding_id'].hex()}")
    assert status == 200
    records = [record for event in told["events"] for record in event["observations_behind"]]
    assert records
    for record in records:
        assert hashlib.sha256(record["raw"].encode()).hexdigest() == record["raw_sha256"]
        assert record["file"]
    with Journal(service.folder / "journal") as journal:
        (looked,) = journal.table("access").to_pylist()
    assert (looked["what"], looked["by"], looked["subject"]) == ("evidence", "ana", row["finding_id"].hex())


def test_of_a_settled_picture_it_is_what_the_command_line_explains(service: Service) -> None:
    incident = likely(service)["subject_id"].hex()
    told = asked(service, OFFICER, f"/api/evidence/{incident}")[1]
    assert told["incident"].pop("provisional") is False
    assert told["findings"]
    assert told == {**explain(service.folder, incident), "events": told["events"]}
    assert [event.pop("provisional") for event in told["events"]] == [False] * len(told["events"])
    assert told["events"] == explain(service.folder, incident)["events"]


def test_an_incident_that_is_in_no_edition_yet_has_its_evidence_too(service: Service) -> None:
    """What is provisional has ids that no book knows; its records are in the journal all the same."""
    tables = dict(service.live.snapshot.tables)
    row = likely(service)
    fresh = pa.scalar(b"provisional-id-1", pa.binary(16))

    def renamed(name: str, column: str) -> pa.Table:
        rows = tables[name]
        mine = pc.equal(rows[column], pa.scalar(row["subject_id"], pa.binary(16)))
        at = rows.column_names.index(column)
        return rows.set_column(at, rows.schema.field(column), pc.if_else(mine, fresh, rows[column]))

    columns = {"incidents": "incident_id", "events": "incident_id", "findings": "subject_id", "cases": "subject_id"}
    tables |= {name: renamed(name, column) for name, column in columns.items()}
    snapshot = service.live.snapshot
    service.live.snapshot = type(snapshot)(2, snapshot.at, snapshot.edition, tables)  # type: ignore[misc]
    status, told = asked(service, OFFICER, f"/api/evidence/{b'provisional-id-1'.hex()}")
    assert status == 200
    assert told["incident"]["incident_id"] == b"provisional-id-1".hex()
    assert all(event["observations_behind"][0]["raw_sha256"] for event in told["events"])


def test_every_kind_of_id_has_evidence(service: Service) -> None:
    tables = service.live.snapshot.tables
    ids = {"case": tables["cases"]["case_id"], "event": tables["events"]["event_id"]}
    ids["observation"] = tables["ties"]["observation_id"]
    for kind, column in ids.items():
        status, told = asked(service, OFFICER, f"/api/evidence/{column[0].as_py().hex()}")
        assert (status, told["kind"]) == (200, kind)


@pytest.mark.parametrize("principal", [PATROL, PARTY_A, STATE, ANYBODY], ids=lambda one: one.name)
def test_evidence_is_for_who_may_see_it(service: Service, principal: Principal) -> None:
    """And nothing is told of whether there is any; nor does looking in vain count as having looked."""
    there = asked(service, principal, f"/api/evidence/{likely(service)['finding_id'].hex()}")
    assert there == asked(service, principal, f"/api/evidence/{'0' * 32}")
    assert there[0] in (401, 403)
    with Journal(service.folder / "journal") as journal:
        assert journal.rows("access") == 0


def test_what_is_not_there_is_not_found(service: Service) -> None:
    assert asked(service, ADMINISTRATOR, f"/api/evidence/{'0' * 32}")[0] == 404
    assert asked(service, OFFICER, "/api/evidence/not-an-id")[0] == 404
