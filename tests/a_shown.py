"""A running mission whose picture is what a test says: rows of few words, nothing read and nothing settled."""

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from a_service import ANYBODY, SimpleBus
from truceline.examples import SHIPPED
from truceline.finding import ALERT, CASES, FINDINGS
from truceline.mission import Mission
from truceline.picture import EVENTS, INCIDENTS, LINE, TRACK_POINTS, TRACKS
from truceline.release import Principal
from truceline.rules.zones_at import ZONES
from truceline.serve.alerts import Alerts
from truceline.serve.app import application
from truceline.serve.guard import Limits
from truceline.serve.query import query_of
from truceline.serve.service import Changes, Service, Snapshot
from truceline.serve.views import Released
from truceline.store import Edition

#: Half an hour into an hour: what is told of an hour must not depend on that.
NOW = datetime(2031, 3, 16, 12, 30, tzinfo=UTC)
#: A public that has signed in, for tests that are not about signing in.
PUBLIC = Principal("paper", "viewer", "public", via="session")


def an_id(*parts: object) -> bytes:
    """An id for a test."""
    return sha256(repr(parts).encode()).digest()[:16]


def an_incident(name: object = 0, *, hours_ago: float = 48.0, **told: Any) -> dict[str, Any]:
    """An explosion of half an hour at a place without a settlement, labelled public, unless told otherwise."""
    begin = NOW - timedelta(hours=hours_ago)
    row = {
        "incident_id": an_id("incident", name),
        "what": "explosion.impact",
        "confidence": 0.9,
        "first_at": begin,
        "last_at": begin + timedelta(minutes=30),
        "lon": 38.8012,
        "lat": 49.4023,
        "major_m": 120.0,
        "minor_m": 80.0,
        "tilt_deg": 33.0,
        "line_distance_m": 4321.0,
        "chainage_m": 61234.0,
        "p_inside": 0.12,
        "place": "3 km N of Somewhere",
        "events": 1,
        "observations": 3,
        "sources": ["patrols", "press"],
        "means": "heard",
        "weapon": "artillery of 122 mm",
        "killed": 1,
        "injured": 7,
        "p_conflict": 0.97,
        "release": "public",
        "provisional": False,
    }
    return row | told


def an_event(name: object = 0, *, hours_ago: float = 48.0, **told: Any) -> dict[str, Any]:
    """The event of such an incident."""
    row = an_incident(name, hours_ago=hours_ago)
    begin, end = row.pop("first_at"), row.pop("last_at")
    more = {"event_id": an_id("event", name), "at": begin + timedelta(minutes=7), "at_from": begin, "at_until": end}
    return row | more | {"sensors": ["camera-4", "post-2"]} | told


def a_finding(name: object = 0, of: Mapping[str, Any] | None = None, **told: Any) -> dict[str, Any]:
    """An incident held against clause 1; it carries the incident's label."""
    of = of or an_incident(name)
    row = {
        "finding_id": an_id("finding", name),
        "clause": "1",
        "rule": "cessation",
        "reading": "party-a",
        "subject_kind": "incident",
        "subject_id": of["incident_id"],
        "in_force": True,
        "illustrative": False,
        "p_breach": 0.83,
        "factors": [{"name": "inside the security zone", "value": 0.31, "source": "geometry", "confidence": "medium"}],
        "calibrated": False,
        "first_breach_from": of["first_at"],
        "first_breach_until": of["last_at"],
        "attribution": [("undetermined", 1.0)],
        "severity": "serious",
        "coverage": "not assessed",
        "release": of["release"],
        "sentence": f"Clause 1: an explosion {of['place']} at {of['first_at']:%H:%M}.",
        "provisional": False,
    }
    return row | told


def a_track(name: object = 0, **told: Any) -> dict[str, Any]:
    """A cargo vessel under way, labelled public: a label does not let tracks out."""
    row = {
        "track_id": an_id("track", name),
        "what": "vessel.cargo",
        "identity": "272123456",
        "first_at": NOW - timedelta(days=3),
        "last_at": NOW - timedelta(days=2),
        "lon": 38.81,
        "lat": 49.41,
        "speed_mps": 5.0,
        "course_deg": 90.0,
        "observations": 2,
        "release": "public",
        "provisional": False,
    }
    return row | told


def points_of(track: Mapping[str, Any], n: int = 3) -> list[dict[str, Any]]:
    """Points of a track, an hour apart, each a hundredth of a degree further east."""
    return [
        {
            "track_id": track["track_id"],
            "observation_id": an_id("point", track["track_id"], i),
            "at": track["first_at"] + timedelta(hours=i),
            "lon": track["lon"] + 0.01 * i,
            "lat": track["lat"],
        }
        for i in range(n)
    ]


def tables(
    incidents: Sequence[Mapping[str, Any]] = (),
    events: Sequence[Mapping[str, Any]] = (),
    findings: Sequence[Mapping[str, Any]] = (),
    tracks: Sequence[Mapping[str, Any]] = (),
    cases: Sequence[Mapping[str, Any]] = (),
) -> dict[str, pa.Table]:
    """A picture's tables of such rows, with two dates of the line and two zones."""
    points = [point for track in tracks for point in points_of(track)]
    square = "MULTIPOLYGON (((38.5 49.2, 39.1 49.2, 39.1 49.6, 38.5 49.6, 38.5 49.2)))"
    way = "MULTILINESTRING ((38.9 49, 39.0 49.8))"
    return {
        "incidents": _table(incidents, INCIDENTS, True),
        "events": _table(events, EVENTS, True),
        "findings": _table(findings, FINDINGS, True),
        "tracks": _table(tracks, TRACKS, True),
        "track_points": _table(points, TRACK_POINTS),
        "cases": _table(cases, CASES),
        "line": _table([_line("2031-03-03", way), _line("2031-03-16", way)], LINE),
        "zones": _table([_zone("training-ground", "polygon", square), _zone("security-zone", "band", square)], ZONES),
    }


def _line(day: str, wkt: str) -> dict[str, Any]:
    import shapely

    return {"date": day, "length_km": 90.0, "tolerance_m": 500.0, "geometry": shapely.to_wkb(shapely.from_wkt(wkt))}


def _zone(name: str, kind: str, wkt: str) -> dict[str, Any]:
    import shapely

    return {"id": name, "name": name, "kind": kind, "geometry": shapely.to_wkb(shapely.from_wkt(wkt))}


def _table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema, live: bool = False) -> pa.Table:
    fields = [*schema, *([pa.field("provisional", pa.bool_())] if live else [])]
    return pa.table([pa.array([row.get(f.name) for row in rows], f.type) for f in fields], pa.schema(fields))


class StillLive:
    """A picture that is put there; changes are what a test says."""

    def __init__(self, shown: Mapping[str, pa.Table], revision: int = 1, edition: int = 1, at: datetime = NOW) -> None:
        made = Edition(edition, None, "in", "digest", "head", 7, "1", at)
        self.snapshot = Snapshot(revision, at, made, shown)
        self.told: dict[int, Changes] = {}

    def changes(self, since: int) -> Changes | None:
        return self.told.get(since)


class SilentGate:
    """Takes nothing but rows to journal, and keeps them."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, pa.Table]] = []

    async def record(self, kind: str, rows: pa.Table) -> None:
        self.kept.append((kind, rows))

    def sources(self) -> list[dict[str, Any]]:
        return [{"id": "patrols", "state": "live", "accepted": 5, "duplicates": 1, "rejected": 2, "lag_s": 3.5}]


def a_mission(folder: Path) -> Path:
    """The example's files, and nothing read."""
    shutil.copytree(SHIPPED / "two-days", folder, ignore=shutil.ignore_patterns("*.py"))
    (folder / "journal").mkdir()
    return folder


def shown(
    folder: Path,
    picture: Mapping[str, pa.Table],
    releases: Mapping[bytes, Released] | None = None,
    now: datetime = NOW,
    **live: Any,
) -> Service:
    """A service that shows these tables, of a mission of `a_mission`; the public sees what is public."""
    mission = Mission.load(folder)
    mission = msgspec.structs.replace(mission, serve=msgspec.structs.replace(mission.serve, public=True))

    def clock() -> datetime:
        return now

    gate: Any = SilentGate()
    bus = SimpleBus()
    alerts = Alerts(gate, bus, clock, ALERT.empty_table())
    parts: Any = StillLive(picture, **live)
    service = Service(folder, mission, clock, gate, parts, bus, lambda _: ANYBODY, alerts)
    query_of(service).released = lambda: dict(releases or {})
    return service


_FREELY = Limits(requests_per_s=1e6, burst=1e6)


class Asking:
    """Asks one application as whoever is named; making an application takes as long as fifty questions."""

    def __init__(self, service: Service) -> None:
        self._who = ANYBODY
        service.principal_of = lambda _: self._who
        self._client = TestClient(application(service, _FREELY), raise_server_exceptions=False)

    def __call__(self, who: Principal, address: str, method: str = "GET", **more: Any) -> Any:
        self._who = who
        return self._client.request(method, address, **more)

    @property
    def routes(self) -> Any:
        """Every address of the application."""
        return self._client.app.routes  # type: ignore[attr-defined]

    def refused(self, who: Principal, address: str) -> Any:
        """How a socket is closed to somebody before it is open."""
        self._who = who
        with pytest.raises(WebSocketDenialResponse) as closed, self._client.websocket_connect(address):
            pass
        return closed.value

    def json(self, who: Principal, address: str) -> Any:
        """The answer to a question that must be answered."""
        answer = self(who, address)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.content)
