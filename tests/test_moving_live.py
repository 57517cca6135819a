"""What moves, from end to end: fixes posted to a running mission are tracks at once, then an alert, then settled.

The example's aircraft and vehicles come in over HTTP as they would from receivers and devices, some at a time. What the
service makes of them is held against the same mission run in one go from its files.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from a_page import PASSWORD, Running, with_accounts
from a_service import NOW, an_example
from truceline.mission import Mission, files
from truceline.pipeline import BOOK
from truceline.serve.moving_now import RECORD
from truceline.serve.running import running as mission_runs
from truceline.store import Book

PATIENCE_S = 30.0
#: Posts that a file of movers comes in: more than one, so that tracks grow.
POSTS = 4
MOVING = ("aircraft", "vehicles")
#: Who is not the mission: a party, a sending state, the public.
OTHERS = ("party-b", "sam", None)
#: What names a mover: identities, callsigns, the devices' names.
NAMES = ("f00a0", "EXR101", "EXR202", "EXL303", "MONITOR-")


class Posted(NamedTuple):
    """A mission to which everything has been posted, and what was told meanwhile."""

    running: Running
    live: dict[str, dict[str, Any]]  # by identity: tracks as the WebSocket named them
    seen: dict[str, np.void]  # by identity: the last record of each
    alert: dict[str, Any]


@contextmanager
def reader(running: Running, name: str | None) -> Iterator[httpx.Client]:
    """Somebody who has signed in; None: nobody in particular."""
    with httpx.Client(base_url=running.address, timeout=PATIENCE_S) as client:
        if name is not None:
            answer = client.post("/api/session", json={"name": name, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        yield client


def tracks_of(running: Running) -> str:
    return f"ws://127.0.0.1:{running.port}/api/stream/tracks"


def cookies(client: httpx.Client) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}


def payloads(path: str, identity: str) -> list[bytes]:
    """What a file has of one mover in some posts, each a file of its form."""
    lines = Path(path).read_bytes().splitlines(keepends=True)
    header = b"" if path.endswith(".cot") else lines[0]
    rows = [line for line in lines if identity.partition(":")[2].encode() in line]
    step = len(rows) // POSTS + 1
    return [header + b"".join(rows[at : at + step]) for at in range(0, len(rows), step)]


def post(officer: httpx.Client, source: str, payload: bytes) -> dict[str, Any]:
    answer = officer.post(
        f"/api/sources/{source}/records", content=payload, headers={"Content-Type": "application/octet-stream"}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def followed(socket: Any, identity: str) -> tuple[dict[str, Any], np.void]:
    """Read live tracks until one has this name, and its place."""
    names: dict[int, dict[str, Any]] = {}
    while True:
        frame = socket.recv(timeout=PATIENCE_S)
        if isinstance(frame, str):
            names |= {one["serial"]: one for one in json.loads(frame).get("tracks", [])}
        else:
            for row in np.frombuffer(frame, RECORD, offset=16):
                one = names.get(int(row["serial"]))
                if one is not None and one["identity"] == identity:
                    return one, row


def alert_of(lines: Iterator[str], words: str) -> dict[str, Any]:
    """The first alert of the stream that says these words."""
    topic = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            topic = value
        elif name == "data" and topic == "alert" and words in value:
            return json.loads(value)
    raise AssertionError("the stream ended")


@pytest.fixture(scope="module")
def settled(tmp_path_factory) -> Path:
    """The example mission, run in one go from its files."""
    return an_example(tmp_path_factory.mktemp("batch") / "two-days")


@pytest.fixture(scope="module")
def truth(settled) -> list[dict[str, Any]]:
    """The movers, the first first."""
    return sorted(json.loads((settled / "expected.json").read_text())["movers"], key=lambda one: one["from"])


@pytest.fixture(scope="module")
def posted(settled, truth, tmp_path_factory) -> Iterator[Posted]:
    """The same mission, empty at first and open to the public; then everything is posted, movers when they move."""
    kept = shutil.ignore_patterns("journal", "book.sqlite*", "picture.gpkg", "reports")
    folder = shutil.copytree(settled, tmp_path_factory.mktemp("posted") / "two-days", ignore=kept)
    with (folder / "mission.toml").open("a") as file:
        file.write("\n[serve]\npublic = true\nsettle_every_s = 86400\n")
    with closing(with_accounts(folder)) as accounts:
        note = {"what": "account", "by": "test", "subject": "sam", "received_at": NOW.isoformat()}
        accounts.add("sam", "viewer", "sending_states", None, PASSWORD, note)
    now = [datetime.fromisoformat(truth[0]["from"])]
    sources = {one.id: files(folder, one.paths) for one in Mission.load(folder).source}
    running = Running(lambda: mission_runs(folder, lambda: now[0], lambda: NOW))
    running.start()
    live, seen = {}, {}
    try:
        with reader(running, "olena") as officer, reader(running, "olena") as listening:
            for source, paths in sources.items():
                for path in paths if source not in MOVING else ():
                    post(officer, source, Path(path).read_bytes())
            with listening.stream("GET", "/api/stream/events") as events:
                lines = events.iter_lines()
                next(lines)  # it is open
                for one in truth:
                    identity, begins, ends = one["identity"], *map(datetime.fromisoformat, (one["from"], one["until"]))
                    source, path = next(
                        (name, path) for name in MOVING for path in sources[name]
                        if payloads(path, identity)
                    )  # fmt: skip
                    parts = payloads(path, identity)
                    for k, payload in enumerate(parts, 1):
                        now[0] = begins + (ends - begins) * k / len(parts)
                        post(officer, source, payload)
                    with connect(tracks_of(running), additional_headers=cookies(listening)) as socket:
                        live[identity], seen[identity] = followed(socket, identity)
                alert = alert_of(lines, "Clause 4.3 ")
        yield Posted(running, live, seen, alert)
    finally:
        running.stop()


def test_what_is_posted_is_live_tracks_at_once(posted, truth):
    """Every mover is one track with its name and what it is, at the place where it was last."""
    assert {(one["identity"], one["what"]) for one in posted.live.values()} == {
        (one["identity"], one["what"]) for one in truth
    }
    patrol = posted.seen["cot:MONITOR-4"]
    assert (patrol["lon"], patrol["lat"]) == pytest.approx((39.386, 49.344), abs=1e-3)  # it waits at the storage site
    assert posted.seen["icao:f00a01"]["speed_mps"] == pytest.approx(231, rel=0.02)


def test_the_aircraft_in_the_no_fly_band_raises_an_alert(posted, truth):
    """While it is followed: from the track comes a movement, from that a finding, from that an alert."""
    entering = next(one for one in truth if one["enters"])
    assert entering["enters"] == "no-fly-east"
    assert posted.alert["state"] == "raised"
    with reader(posted.running, "olena") as officer:
        found = officer.get("/ogc/collections/findings/items", params={"clause": "4.3", "limit": 100}).json()[
            "features"
        ]
        likely = [one["properties"] for one in found if one["properties"]["p_breach"] > 0.85]
        assert {one["reading"] for one in likely} == {"party-a", "party-b"}
        assert posted.alert["finding_id"] in {one["finding_id"] for one in likely}
        told = officer.get("/api/alerts", params={"limit": 1000}).json()["alerts"]
        assert [one["clause"] for one in told if one["alert_id"] == posted.alert["alert_id"]] == ["4.3"]


@pytest.mark.parametrize("who", OTHERS)
def test_nobody_outside_the_mission_sees_that_anything_moves(posted, who):
    """No track, no point, no movement, no finding and no alert of one."""
    finding = posted.alert["finding_id"]
    ids = {one["id"] for one in posted.live.values()} | {finding, posted.alert["alert_id"]}
    addresses = [
        *(f"/ogc/collections/{name}/items?limit=1000" for name in
          ("tracks", "track_points", "events", "incidents", "findings", "sites", "zones", "line")),
        *(f"/ogc/collections/tracks/items/{one}" for one in ids),
        *(f"/api/{name}" for name in ("picture", "alerts", "timeline", "sites", "sources", "editions", "reports")),
        *(f"/api/export/{name}?f=csv" for name in
          ("tracks", "track_points", "movements", "associations", "events", "incidents", "findings")),
        *(f"/api/findings/{finding}", f"/api/evidence/{finding}"),
    ]  # fmt: skip
    with reader(posted.running, who) as other:
        answered = 0
        for address in addresses:
            answer = other.get(address)
            answered += answer.status_code == 200
            for word in (*ids, *NAMES, "aircraft 11 km ENE"):
                if address.endswith(word):
                    assert answer.status_code != 200, address
                elif word not in address:
                    assert word not in answer.text, (address, word)
        assert answered >= 5  # they do see something
        with pytest.raises(InvalidStatus):
            connect(
                posted.running.address.replace("http", "ws") + "/api/stream/tracks", additional_headers=cookies(other)
            )


@pytest.fixture(scope="module")
def edition(posted) -> Any:
    """Everything that was posted, settled."""
    return posted.running.do(posted.running.service.live.settle())


def test_live_tracks_keep_their_ids_when_they_are_settled(posted, edition, settled, truth):
    """Whoever noted a track's id from the live picture finds it in the edition, with every fix that came in."""
    with Book(settled / BOOK) as book:
        batch = {row["identity"]: row["track_id"].hex() for row in book.table("tracks").to_pylist()}
    assert {identity: one["id"] for identity, one in posted.live.items()} == batch
    with reader(posted.running, "olena") as officer:
        for asked in ({}, {"edition": edition.number}):
            found = officer.get("/ogc/collections/tracks/items", params={"limit": 100, **asked}).json()["features"]
            assert {one["properties"]["identity"]: one["id"] for one in found} == batch
            points = officer.get("/ogc/collections/track_points/items", params={"limit": 10_000, **asked}).json()
            assert points["numberMatched"] == sum(one["fixes"] for one in truth)
            assert {one["properties"]["track_id"] for one in points["features"]} == set(batch.values())
        exported = officer.get("/api/export/tracks", params={"f": "geojson"}).json()["features"]
        assert {one["id"] for one in exported} == set(batch.values())


def test_what_is_posted_settles_as_what_is_read_from_files(edition, settled):
    """The digest of the edition covers tracks, their points and movements."""
    with Book(settled / BOOK) as book:
        assert edition.digest == book.latest().digest
