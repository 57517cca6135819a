"""What a reader may not see leaves no trace in anything they are sent.

Two pictures that differ only in rows a reader may not see give that reader the same bytes, over every channel: rows,
counts, pages, extents, ids, revisions, times of editions, exports, errors. Which rows a reader may see is said here a
second time, in the plainest words, and is not asked of the code under test.

To put another channel under this test, add a line to `CHANNELS`.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
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
from truceline.observation import RELEASES
from truceline.release import Principal
from truceline.serve.query import query_of
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


def _deltas(ask: Ask) -> list[bytes]:
    """The whole, and the difference to what one was told before and to a number of somebody else's."""
    import json

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
    """One application, whose picture is put there anew for every question."""

    def __init__(self, folder: Path) -> None:
        self.service = shown(folder, tables())
        self._asking = Asking(self.service)

    def answers(self, who: Principal, rows: list[Any], releases: Any, revision: int = 1, **live: Any) -> Any:
        """By channel, what `who` is sent of a picture of these incidents, events and findings; also of some tracks."""
        incidents, events, findings = ([part[i] for part in rows if part[i] is not None] for i in range(3))
        cargo = [a_track(i, identity=str(revision)) for i in range(revision % 3)]
        picture: Any = StillLive(tables(incidents, events, findings, cargo), revision, **live)
        self.service.live = picture
        self.service.kept.clear()
        query_of(self.service).released = lambda: dict(releases)
        return {name: channel(lambda address: self._ask(who, address)) for name, channel in CHANNELS.items()}

    def _ask(self, who: Principal, address: str) -> bytes:
        answer = self._asking(who, address)
        assert answer.status_code in (200, 400, 404), answer.text
        said = {name: answer.headers.get(name) for name in ("content-type", "etag", "last-modified", "content-length")}
        return repr((answer.status_code, said)).encode() + bytes(answer.content)


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
    for number, row in enumerate(given):
        incident, event, finding = _made(number, row, f"secret-{number}")
        for plain in (incident["incident_id"], event["event_id"], finding["finding_id"]):
            asked_for = everything.count(plain.hex().encode())
            assert asked_for == sum(answer.count(plain.hex().encode()) for answer in was["single"]), "a mission's id"
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
