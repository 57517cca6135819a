"""What a reader may not see leaves no trace in anything they are sent.

Two pictures that differ only in rows a reader may not see give that reader the same bytes, over every channel: rows,
counts, pages, extents, ids, revisions, times of editions, exports, errors, events, alerts, cases, what TAK clients are
sent. Which rows a reader may see is said here a second time, in the plainest words, and is not asked of the code under
test.

To put another channel under this test, add a line to `CHANNELS`. An address of the application that is asked by no
channel, and not named in `EXEMPT` with the reason, fails.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fastapi.routing import iter_route_contexts
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from a_service import ANYBODY, PARTY_A, PARTY_B, STATE
from a_shown import (
    NOW,
    PUBLIC,
    Asking,
    StillLive,
    a_finding,
    a_mission,
    a_track,
    an_event,
    an_id,
    an_incident,
    shown,
    tables,
)
from truceline.finding import ACTION, ALERT, VERDICT
from truceline.observation import RELEASES
from truceline.release import Principal
from truceline.serve import streams
from truceline.serve.alerts import Alerts
from truceline.serve.bus import Ring
from truceline.serve.docket import Docket
from truceline.serve.query import query_of
from truceline.serve.tak import TakServer
from truceline.serve.views import Released

READERS = {"state": STATE, "party A": PARTY_A, "party B": PARTY_B, "public": PUBLIC, "anybody": ANYBODY}
RANK = {label: rank for rank, label in enumerate(RELEASES)}

Ask = Callable[[str], bytes]


def _addresses(*addresses: str) -> Callable[[Ask], list[bytes]]:
    return lambda ask: [ask(address) for address in addresses]


def _of_all_collections(ask: Ask) -> list[bytes]:
    return [
        ask(f"/ogc/collections/{name}{rest}")
        for name in ("incidents", "events", "findings")
        for rest in ("", "/items?limit=10000", "/items?limit=2&offset=1", "/items?bbox=38.7,49.2,38.9,49.5")
    ]


def _hidden_ids(ask: Ask) -> list[bytes]:
    """By the mission's own ids, which a reader may have got from elsewhere."""
    return [
        ask(f"/ogc/collections/{name}s/items/{an_id(name, i).hex()}")
        for name in ("incident", "event", "finding", "track")
        for i in range(3)
    ]


def _by_own_ids(ask: Ask) -> list[bytes]:
    """Findings and cases, one by one, under the ids that the lists gave."""
    found = _ids(ask("/ogc/collections/findings/items?limit=10000"), rb'"id":\s*"([0-9a-f]{32})"')
    cases = ask("/api/cases")
    known = _ids(cases, rb'"id":\s*"([0-9a-f]{32})"')
    return [cases, *(ask(f"/api/findings/{one}") for one in found), *(ask(f"/api/cases/{one}") for one in known)]


def _ids(answer: bytes, pattern: bytes) -> list[str]:
    return list(dict.fromkeys(one.decode() for one in re.findall(pattern, answer)))


def _by_hidden_ids(*addresses: str) -> Callable[[Ask], list[bytes]]:
    """With {finding}, {case} and {alert} as the mission has them, whether they are in the picture or not."""

    def ask_all(ask: Ask) -> list[bytes]:
        names = ("incident", "finding", "case", "alert")
        all_of_them = [{name: an_id(name, i).hex() for name in names} for i in range(3)]
        return [ask(address.format(**ids)) for address in addresses for ids in all_of_them]

    return ask_all


def _events(ask: Ask) -> list[bytes]:
    """Everything since the first message; ids are sealed (test_streams.py), and other ones for every message."""
    address = f"/api/stream/events?after={streams._SEAL.closed(0)}"
    return [re.sub(rb"id: [0-9a-f]{32}", b"id: sealed", ask(address))]


def _deltas(ask: Ask) -> list[bytes]:
    """The whole, and the difference to what one was told before and to a number of somebody else's."""
    whole = ask("/api/picture?collections=events,incidents,findings&window_h=1000")
    revision = json.loads(whole[whole.index(b'{"revision"') :])["revision"]
    return [whole, ask(f"/api/picture?since={revision}"), ask("/api/picture?since=1"), ask("/api/picture?window_h=60")]


#: Everything that gives rows to readers below the mission's label: name, what asks it.
CHANNELS: dict[str, Callable[[Ask], list[bytes]]] = {
    "collections": _addresses("/ogc", "/ogc/api", "/ogc/collections", "/ogc/conformance"),
    "items": _of_all_collections,
    "single": _hidden_ids,
    "never": _addresses("/ogc/collections/tracks/items", "/ogc/collections/track_points", "/api/export/observations"),
    "filters": _addresses(
        "/ogc/collections/incidents/items?datetime=2031-03-14T00:00:00Z/..",
        "/ogc/collections/findings/items?severity=serious&p_breach_min=0.5",
        "/ogc/collections/events/items?release=mission",
    ),
    "old": _addresses("/ogc/collections/incidents/items?edition=1", "/ogc/collections/line/items?as_of=2031-03-16"),
    "picture": _deltas,
    "boards": _addresses(
        "/api/timeline", "/api/timeline?bucket_s=86400&from=2031-03-13", "/api/sites", "/api/editions", "/api/reports"
    ),
    "exports": _addresses(
        *(f"/api/export/{name}?f={form}" for name in ("incidents", "findings") for form in ("csv", "arrow", "parquet")),
        "/api/export/events?f=geojson",
        "/api/export/cases",
    ),
    "health": _addresses("/health/live", "/health/ready", "/metrics"),
    "events": _events,
    "tracks": _addresses("WS /api/stream/tracks"),
    "sources": _addresses("/api/sources", "POST /api/sources/patrols/records", "POST /api/sources/none/records"),
    "alerts": _addresses("/api/alerts", "/api/alerts?limit=1", "/api/alerts?state=standing"),
    "alert": _by_hidden_ids("/api/alerts/{alert}/cap", "POST /api/alerts/{alert}/acknowledge"),
    "cases": _addresses("/api/cases", "/api/cases?state=released&limit=1", "/api/cases?assignee=vera&offset=1"),
    "own": _by_own_ids,
    "hidden": _by_hidden_ids(
        "/api/findings/{finding}", "/api/cases/{case}", "/api/cases/{finding}", "/api/cases/{case}?as_of=2031-03-16"
    ),
    "acting": _by_hidden_ids(
        *("POST /api/cases/{case}/actions", "POST /api/cases/{finding}/actions", "POST /api/cases/actions?{case}"),
        *("POST /api/cases/{case}/verdict", "PUT /api/cases/{case}/attachments?name=a"),
    ),
    "evidence": _by_hidden_ids("/api/evidence/{finding}", "/api/evidence/{incident}", "/api/attachments/{case}{case}"),
    "reports": _addresses(
        "/api/reports/2031-03-14/1/report.html", "/api/reports/2031-03-14/1/findings.csv", "POST /api/reports"
    ),
    "page": _addresses("/", "/api/mission", "/page/basemap.json", "/page/main.js", "/field", "/field/worker.js"),
    "TAK": _addresses("TAK"),
}

#: Addresses that no channel asks, and why not.
EXEMPT = {
    "/api/session": "who one is oneself; no row of the mission is in it",
    "/api/session/link": "the same, by a link that signs in once",
    "/openapi.json": "what can be asked, the same for everybody",
}

#: What is sent with what is not a question: bodies that would be taken from whoever may.
BODIES: dict[str, dict[str, Any]] = {
    "records": {"content": b'{"kind": "sighting"}\n', "headers": {"content-type": "application/x-ndjson"}},
    "acknowledge": {"json": {"text": "seen"}},
    "actions": {"json": {"action_id": "0" * 32, "what": "dispute", "text": "not so"}},
    "verdict": {"json": {"verdict": "verified", "reason": "seen"}},
    "attachments": {"content": b"text", "headers": {"content-type": "text/plain"}},
}

_place = st.tuples(st.floats(38.5, 39.6).map(lambda x: round(x, 6)), st.floats(49.0, 49.8).map(lambda y: round(y, 6)))
_row = st.fixed_dictionaries(
    {
        "release": st.sampled_from([*RELEASES, None]),
        "event_release": st.sampled_from([*RELEASES, None]),
        "what": st.sampled_from(["explosion.impact", "explosion.outgoing", "fire", "weapon.mortar", "uav"]),
        "hours_ago": st.sampled_from([0.7, 20.0, 25.1, 26.0, 49.0, 70.0]),
        "place": _place,
        "provisional": st.booleans(),
        "released": st.sampled_from([None, None, *RELEASES]),
        "killed": st.integers(0, 9),
    }
)


def _made(number: int, row: Mapping[str, Any], mark: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """An incident, its event and its finding; `mark` stands in every text that nobody below the mission may read."""
    lon, lat = row["place"]
    told = {"release": row["release"], "what": row["what"], "lon": lon, "lat": lat, "provisional": row["provisional"]}
    told |= {"weapon": mark, "means": mark, "sources": [mark], "killed": row["killed"], "place": mark}
    incident = an_incident(number, hours_ago=row["hours_ago"], **told)
    event = an_event(number, hours_ago=row["hours_ago"], sensors=[mark], **told)
    event["release"] = row.get("event_release", row["release"])
    return incident, event, a_finding(number, incident, sentence=mark, exemption=mark)


def may_see_row(who: Principal, row: Mapping[str, Any]) -> bool:
    """Events and incidents, in plain words."""
    if RANK.get(row["release"], 3) > RANK[who.label]:
        return False
    if who is STATE:
        return True
    over = row["hours_ago"] >= 25.1  # it takes half an hour, then to the full hour, then a day
    cues = row["what"] in ("explosion.outgoing", "weapon.mortar", "uav")
    return over and not cues and not row["provisional"]


def may_see_finding(who: Principal, row: Mapping[str, Any]) -> bool:
    released = row["released"] is not None and RANK[row["released"]] <= RANK[who.label]
    if who is STATE:
        return released or RANK.get(row["release"], 3) <= RANK[who.label]
    return released and row["hours_ago"] >= 25.1


def otherwise(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The same row with everything changed that does not decide who may see it."""
    lon, lat = row["place"]
    return {**row, "place": (round(39.9 - lon / 10, 6), round(50.1 - lat / 100, 6)), "killed": 9 - row["killed"]}


class Shown:
    """One application, whose picture is put there anew for every question.

    Every finding has a case and an alert, all that happens to either is told by events, and sources have names: `mark`
    stands in what of that is the mission's own.
    """

    def __init__(self, folder: Path) -> None:
        self.service = shown(folder, tables())
        self._asking = Asking(self.service)
        self.asked: set[tuple[str, str]] = set()

    @property
    def routes(self) -> Any:
        """Every address of the application."""
        return self._asking.routes

    def answers(self, who: Principal, rows: list[Any], releases: Any, revision: int = 1, **live: Any) -> Any:
        """By channel, what `who` is sent of a picture of these incidents, events and findings; also of some tracks."""
        incidents, events, findings = ([part[i] for part in rows if part[i] is not None] for i in range(3))
        cargo = [a_track(i, identity=str(revision)) for i in range(revision % 3)]
        cases = [_case(one, revision) for one in findings]
        picture: Any = StillLive(tables(incidents, events, findings, cargo, cases), revision, **live)
        self.service.live = picture
        self.service.kept.clear()
        query_of(self.service).released = lambda: dict(releases)
        self._let_out(findings, releases, revision)
        self._raise_alerts(findings)
        self._publish(findings, releases)
        return {name: channel(lambda address: self._ask(who, address)) for name, channel in CHANNELS.items()}

    def _let_out(self, findings: list[Any], releases: Mapping[bytes, Released], revision: int) -> None:
        """Put a docket there, in which two people released what is released, and somebody noted more."""
        rows: list[dict[str, Any]] = []
        for finding in findings:
            common = {"case_id": _case(finding)["case_id"], "clause": "1", "finding_id": finding["finding_id"]}
            common |= {"role": "duty officer", "release": "mission", "leaf": bytes(32)}
            common |= {"received_at": NOW - timedelta(hours=1)}
            let_out = releases.get(finding["finding_id"])
            if let_out is not None:
                asked = {"action_id": an_id("ask", finding), "what": "request_release", "by": "olena"}
                rows.append(common | asked | {"label": let_out.label, "text": "An explosion was seen."})
                agreed = {"action_id": an_id("agree", finding), "what": "approve_release", "by": "ove"}
                rows.append(common | agreed | {"about": asked["action_id"]})
            note = {"action_id": an_id("note", finding, revision), "what": "note", "by": "vera"}
            rows += [common | note | {"text": f"{finding['sentence']} {revision}"}] * (revision % 3)
        docket = Docket(self.service, pa.Table.from_pylist(rows, ACTION), VERDICT.empty_table())
        loop = asyncio.new_event_loop()
        self.service.kept["docket"] = loop.create_future()
        self.service.kept["docket"].set_result(docket)
        loop.close()

    def _raise_alerts(self, findings: list[Any]) -> None:
        """One for every finding, the mission's."""
        told = {"state": "raised", "what": "finding", "release": "mission", "received_at": NOW, "leaf": bytes(32)}
        names = ("finding_id", "clause", "sentence", "p_breach")
        rows = [
            told
            | {"alert_id": _of(one, "alert"), "at": one["first_breach_until"]}
            | {name: one[name] for name in names}
            for one in findings
        ]
        self.service.alerts = Alerts(
            self.service.gate, self.service.bus, self.service.clock, pa.Table.from_pylist(rows, ALERT)
        )
        board = [{"id": one["sentence"], "state": "silent"} for one in findings]
        self.service.gate.sources = lambda: board  # type: ignore[method-assign]

    def _publish(self, findings: list[Any], releases: Mapping[bytes, Released]) -> None:
        """What happened, on a bus that then ends: what was released, for whom it was; the rest is the mission's."""
        bus = self.service.bus = Ring()
        for finding in findings:
            for topic, label in (("alert", "mission"), ("picture", "mission"), ("source", "public")):
                bus.publish(topic, {"about": finding["sentence"]}, label)
        for let_out in releases.values():
            bus.publish("case", {"case": "somebody's"}, let_out.label)
        bus.close()

    def _ask(self, who: Principal, address: str) -> bytes:
        method, _, path = address.rpartition(" ")
        if path == "TAK":
            return TakServer(self.service)._picture(who)[1]
        self.asked.add((method or "GET", path.partition("?")[0]))
        if method == "WS":
            answer = self._asking.refused(who, path)
        else:
            more = next((BODIES[name] for name in BODIES if method and name in path), {})
            if path.startswith("/api/cases/actions"):
                one = BODIES["actions"]["json"] | {"case_id": path.partition("?")[2]}
                more = {"json": {"actions": [one, one]}}
            answer = self._asking(who, path, method or "GET", **more)
        assert answer.status_code in (200, 400, 401, 403, 404), answer.text
        said = {name: answer.headers.get(name) for name in ("content-type", "etag", "last-modified", "content-length")}
        return repr((answer.status_code, said)).encode() + bytes(answer.content)


def _of(finding: Mapping[str, Any], name: str) -> bytes:
    """The id of the case or alert of a finding, by its number."""
    return next(an_id(name, i) for i in range(100) if an_id("finding", i) == finding["finding_id"])


def _case(finding: Mapping[str, Any], revision: int = 0) -> dict[str, Any]:
    row = {"case_id": _of(finding, "case"), "state": "alleged", "findings": [finding["finding_id"]]}
    row |= {"opened_at": finding["first_breach_from"], "observations_digest": str(revision), "release": "mission"}
    return row | {name: finding[name] for name in ("clause", "subject_id", "p_breach", "severity")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_mission(tmp_path_factory.mktemp("leaks") / "mission")


@pytest.fixture(scope="module")
def service(folder: Path) -> Shown:
    return Shown(folder)


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate])  # shrinking takes minutes
@given(given=st.lists(_row, min_size=1, max_size=8))
def test_two_pictures_that_differ_in_unseen_rows_give_the_same_bytes(
    service: Shown, reader: str, given: list[dict[str, Any]]
) -> None:
    """Unseen rows are changed, taken away, or one more is added; the live picture, its revision and editions differ."""
    who = READERS[reader]
    first, second = [], []
    releases: dict[bytes, Released] = {}
    for number, row in enumerate(given):
        incident, event, finding = _made(number, row, f"secret-{number}")
        first.append((incident, event, finding))
        other = _made(number, otherwise(row, number), f"other-{number}")
        sees, sees_finding = may_see_row(who, row), may_see_finding(who, row)
        sees_event = may_see_row(who, {**row, "release": row["event_release"]})
        kept_event = event if sees else {**event, "incident_id": an_id("of another incident", number)}
        kept = incident if sees or sees_finding else (other[0] if number % 2 else None)
        unseen_event = other[1] if number % 2 else None
        second.append((kept, kept_event if sees_event else unseen_event, finding if sees_finding else other[2]))
        if not sees_finding and not number % 2:
            second[-1] = (*second[-1][:2], None)
        if row["released"] is not None:
            releases[finding["finding_id"]] = Released(row["released"])
    hidden = {"release": "mission", "what": "fire", "hours_ago": 30.0, "place": (38.8, 49.3), "provisional": False}
    second.append(_made(99, hidden | {"killed": 6}, "one more"))
    more = releases | {an_id("nothing"): Released("mission")}
    was = service.answers(who, first, releases)
    now = service.answers(who, second, more, revision=7, edition=12, at=NOW - timedelta(minutes=3))
    for name in CHANNELS:
        assert was[name] == now[name], name
    everything = b"".join(b"".join(answers) for answers in was.values())
    of_rows = b"".join(b"".join(was[name]) for name in ("items", "filters", "picture", "exports"))  # no sites' rings
    repeated = b"".join(b"".join(was[name]) for name in ("single", "alert", "hidden", "acting", "evidence"))
    for number, row in enumerate(given):
        incident, event, finding = _made(number, row, f"secret-{number}")
        own = incident["incident_id"], event["event_id"], finding["finding_id"]
        for plain in (*own, an_id("case", number), an_id("alert", number)):
            asked_for = repeated.count(plain.hex().encode())
            assert everything.count(plain.hex().encode()) == asked_for, "a mission's id, not only as it was asked for"
            assert plain not in everything
        of_event = {**row, "release": row["event_release"]}
        if not (may_see_row(who, row) or may_see_row(who, of_event) or may_see_finding(who, row)):
            assert f"secret-{number}".encode() not in everything
        if who is not STATE:
            assert f"secret-{number}".encode() not in everything, "texts of observers are nobody's below"
            lon, lat = row["place"]
            for exact in (lon, lat):
                assert repr(exact).encode() not in of_rows or exact == round(exact, 4)


@pytest.mark.parametrize("reader", ["party A", "public"])
def test_moving_within_its_cell_changes_no_byte(service: Shown, reader: str) -> None:
    """A place is told to a kilometre: where in it something was decides nothing, not the order, not a filter."""
    who = READERS[reader]
    frame = service.service.mission.frame()
    east, north = frame.to_local(38.8012, 49.4023)
    corner = (float(east) // 1000 * 1000, float(north) // 1000 * 1000)
    answers = []
    for part in (0.1, 0.5, 0.95):
        lon, lat = (float(one) for one in frame.to_degrees(corner[0] + 1000 * part, corner[1] + 1000 * (1 - part)))
        row = {"release": "public", "what": "explosion.impact", "hours_ago": 49, "provisional": False, "killed": 3}
        moved = [_made(i, {**row, "place": (lon, lat)}, "x") for i in range(3)]
        releases = {finding["finding_id"]: Released("public") for _, _, finding in moved}
        answers.append(service.answers(who, moved, releases))
    assert answers[0] == answers[1] == answers[2]


def test_minutes_within_the_hour_change_no_byte(service: Shown) -> None:
    answers = []
    for minutes in (1, 14, 29):
        hours_ago = 49.5 - minutes / 60
        row = {"release": "public", "what": "fire", "hours_ago": hours_ago, "place": (38.8, 49.4), "provisional": False}
        made = [_made(0, row | {"killed": 0}, "x")]
        answers.append(service.answers(PARTY_A, made, {made[0][2]["finding_id"]: Released("parties")}))
    assert answers[0] == answers[1] == answers[2]


def test_the_channels_do_give_what_is_released(service: Shown) -> None:
    """So that the tests above are not about silence."""
    row = {"release": "public", "what": "fire", "hours_ago": 49.0, "place": (38.8, 49.4), "provisional": False}
    made = [_made(i, row | {"killed": 6}, "x") for i in range(6)]
    releases = {finding["finding_id"]: Released("public") for _, _, finding in made}
    for who in READERS.values():
        answers = service.answers(who, made, releases)
        assert answers["items"][1].count(b'"Feature"') == 6
        assert answers["picture"][0].count(b'"Feature"') == 18
        assert answers["exports"][0].count(b"\n") == 7
        assert b"[6]" in answers["boards"][1] or b",6" in answers["boards"][1]
        assert answers["events"][0].count(b"event: case") == 6
        assert b"event: alert" not in answers["events"][0]
        assert answers["own"][0].count(b"An explosion was seen.") == 6
        assert len(answers["own"]) == 1 + 6 + 6
        assert all(b"An explosion was seen." in one for one in answers["own"])
        assert answers["TAK"][0].count(b"truceline-incident-") == 6


def test_every_address_is_asked_by_a_channel_or_exempt_with_a_reason(service: Shown) -> None:
    """Another part of the application is another way out: it is put under these tests, or it says why not."""
    service.answers(PARTY_A, [], {})
    left = set()
    for route in iter_route_contexts(service.routes):
        shape = re.compile(re.sub(r"{\w+}", "[^/]+", re.sub(r"{\w+:path}", ".+", route.path)))
        asked = {method for method, path in service.asked if shape.fullmatch(path)}
        if (route.methods or {"WS"}) - {"HEAD"} - asked:
            left.add(route.path)
    assert left == EXEMPT.keys()
    assert "TAK" in CHANNELS


def test_what_one_is_not_told_does_not_move_what_one_is(service: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet stream says so every so often: as often while the mission has much to tell and this reader nothing."""
    bus = Ring()
    service.service.bus = bus
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.05)

    def another(_label: str, _who: Principal) -> bool:
        bus.publish("picture", {})
        return False

    monkeypatch.setattr(streams, "visible", another)

    async def scene() -> list[bytes]:
        stream = streams._events(service.service, PARTY_A, None)
        heard = [await anext(stream)]
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)  # it listens
        bus.publish("picture", {})
        heard.append(await asyncio.wait_for(first, 10))
        await stream.aclose()  # type: ignore[attr-defined]
        return heard

    assert asyncio.run(scene())[1] == b": still here\n\n"


def test_a_hidden_row_that_comes_is_no_change_of_the_picture_to_others(folder: Path) -> None:
    """The live picture's revision goes up; a party's, made of what it sees, stays, and so does its answer."""
    service = shown(folder, tables([an_incident()]))
    asking = Asking(service)
    before = asking.json(PARTY_A, "/api/picture")
    live: Any = service.live
    live.snapshot = type(live)(tables([an_incident(), an_incident(1, release="mission")]), 2, 2).snapshot
    after = asking.json(PARTY_A, f"/api/picture?since={before['revision']}")
    assert after == {
        "revision": before["revision"],
        "at": before["at"],
        "edition": None,
        "reset": False,
        "collections": {name: {"upserted": [], "removed": []} for name in ("incidents", "findings")},
    }


def test_views_are_made_before_anybody_asks_for_rows(folder: Path) -> None:
    """How long an answer takes does not depend on what is filtered out: the view is there already, and holds it not."""
    query = query_of(shown(folder, tables([an_incident(i, release="mission") for i in range(50)])))
    view = query.view("incidents", PARTY_A)
    assert view.num_rows == 0
    assert query.view("incidents", PARTY_A) is view
