"""A running mission for tests: the example settled, with parts that are as simple as they can be.

`a_service(folder)` gives a Service whose journal and picture are real; `client(service, principal)` asks its
application as that principal.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from fastapi.testclient import TestClient

from truceline import daily, desk, feeds
from truceline.errors import NotFoundError
from truceline.examples import SHIPPED
from truceline.mission import Mission
from truceline.pipeline import settle
from truceline.release import Principal
from truceline.serve import snapshots
from truceline.serve.alerts import Alerts
from truceline.serve.app import application
from truceline.serve.guard import Limits
from truceline.serve.service import Changes, Message, Receipt, Service, Snapshot
from truceline.store import Edition, Journal

#: The evening of the example's second day.
NOW = datetime(2031, 3, 15, 18, 0, tzinfo=UTC)

OFFICER = Principal("olena", "duty officer", "mission", via="session")
SECOND_OFFICER = Principal("ove", "duty officer", "mission", via="session")
VERIFIER = Principal("vera", "verifier", "mission", via="session")
ANALYST = Principal("ana", "viewer", "mission", via="session")
PATROL = Principal("patrol-3", "reporter", "mission", via="token")
ADMINISTRATOR = Principal("adam", "administrator", "mission", via="session")
STATE = Principal("state", "viewer", "sending_states", via="session")
PARTY_A = Principal("party-a", "viewer", "parties", party="A", via="session")
PARTY_B = Principal("party-b", "viewer", "parties", party="B", via="session")
ANYBODY = Principal("anybody")
EVERYBODY = (*(OFFICER, SECOND_OFFICER, VERIFIER, ANALYST, PATROL, ADMINISTRATOR, STATE, PARTY_A, PARTY_B, ANYBODY),)

PROVISIONAL = ("tracks", "events", "incidents", "findings")


def an_example(folder: Path) -> Path:
    """The example mission, read, settled and reported."""
    shutil.copytree(SHIPPED / "two-days", folder, ignore=shutil.ignore_patterns("*.py"))
    desk.run(folder, NOW)
    return folder


class SimpleGate:
    """Every payload is a file of its source; no groups, no waiting."""

    def __init__(self, folder: Path, mission: Mission, clock: Any) -> None:
        self.folder, self.mission, self.clock = folder, mission, clock
        self.observations: list[pa.Table] = []

    async def submit(self, source: str, payload: bytes, *, name: str, form: str | None = None) -> Receipt:
        found = next((one for one in self.mission.source if one.id == source), None)
        if found is None:
            raise NotFoundError(f"the mission has no source {source!r}")
        path = self.folder / "payload"
        path.write_bytes(payload)
        totals, reasons = [0, 0, 0, 0], []
        with Journal(self.folder / "journal", write=True) as journal:
            for batch in feeds.read(found, self.folder, str(path), self.clock()):
                counts = journal.ingest(batch.observations, batch.rejections)
                totals = [a + b for a, b in zip(totals, counts, strict=True)]
                reasons += batch.rejections["reason"].to_pylist()
                self.observations.append(batch.observations)
        return Receipt(source, *totals, reasons)

    async def refuse(self, source: str, raws: list[bytes], reason: str, *, name: str) -> Receipt:
        found = next(one for one in self.mission.source if one.id == source)
        batch = feeds.refused(found, raws, reason, name, self.clock())
        with Journal(self.folder / "journal", write=True) as journal:
            return Receipt(source, *journal.ingest(batch.observations, batch.rejections), [reason])

    async def record(self, kind: str, rows: pa.Table) -> None:
        with Journal(self.folder / "journal", write=True) as journal:
            journal.append(kind, rows)

    def sources(self) -> list[dict[str, Any]]:
        return [{"id": one.id, "feed": one.feed, "state": "waiting"} for one in self.mission.source]


class SettledLive:
    """The newest edition, and nothing behind it."""

    def __init__(self, folder: Path, clock: Any) -> None:
        self.folder, self.clock = folder, clock
        self.snapshot = self._read(1)

    def _read(self, revision: int) -> Snapshot:
        tables, edition = snapshots.standing(self.folder, {})
        for name in PROVISIONAL:
            tables[name] = tables[name].append_column("provisional", pa.array([False] * tables[name].num_rows))
        return Snapshot(revision, self.clock(), edition, tables)

    def changes(self, since: int) -> Changes | None:
        return Changes(since, since, {}, {}) if since == self.snapshot.revision else None

    async def feed(self, observations: pa.Table) -> None:
        pass

    async def settle(self) -> Edition:
        edition = settle(self.folder, self.clock())
        self.snapshot = self._read(self.snapshot.revision + 1)
        return edition

    async def report(self, day: date | None = None) -> dict[str, Any]:
        return daily.report(self.folder, self.clock(), day=day).to_dict()

    async def tracks(self) -> AsyncIterator[str | bytes]:
        yield '{"kinds": []}'
        await asyncio.Event().wait()


class SimpleBus:
    """Keeps everything; listeners wait."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.more = asyncio.Event()

    def publish(self, topic: str, content: dict[str, Any], label: str = "mission") -> Message:
        self.messages.append(Message(len(self.messages) + 1, topic, label, content))
        self.more.set()
        return self.messages[-1]

    async def listen(self, topics: frozenset[str], after: int | None = None) -> AsyncIterator[Message]:
        at = len(self.messages) if after is None else after
        while True:
            for message in self.messages[at:]:
                if message.topic in topics:
                    yield message
            at = len(self.messages)
            self.more.clear()
            await self.more.wait()


def a_service(folder: Path) -> Service:
    """The parts, on a mission that has been run; whoever asks is nobody until `client` says who.

    The mission shows the public what is public (`serve.public`), so that there is something to test.
    """
    mission = Mission.load(folder)
    mission = msgspec.structs.replace(mission, serve=msgspec.structs.replace(mission.serve, public=True))

    def clock() -> datetime:
        return NOW

    gate, live = SimpleGate(folder, mission, clock), SettledLive(folder, clock)
    bus = SimpleBus()
    with Journal(folder / "journal") as journal:
        alerts = Alerts(gate, bus, clock, journal.table("alert"))
    return Service(folder, mission, clock, gate, live, bus, lambda _: ANYBODY, alerts)


def client(service: Service, principal: Principal = OFFICER) -> TestClient:
    """Asks as `principal`; errors of the server are answers, not exceptions."""
    service.principal_of = lambda _: principal
    freely = Limits(requests_per_s=1e6, burst=1e6, streams=10_000)
    return TestClient(application(service, freely), raise_server_exceptions=False)
