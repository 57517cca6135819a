"""The service as a user meets it: started from the command line, asked over HTTP, killed, started again.

Read this after test_walkthrough.py. Records go in where all records go in, and are watched on their way to the picture,
the alerts and an edition.
"""

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

import a_service
from test_live import a_shelling, as_csv
from truceline.store import Book, Journal

PATIENCE_S = 60.0


class Started:
    """A service in a process of its own, and somebody signed in."""

    def __init__(self, *arguments: object) -> None:
        code = "import sys; from truceline.cli import main; main(sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"CI": "true"},
        )  # fmt: skip
        self.said: queue.Queue[str | None] = queue.Queue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        self.client = httpx.Client(timeout=PATIENCE_S, follow_redirects=False)
        self.address = ""

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.put(line)
        self.said.put(None)

    def enter(self) -> "Started":
        """Follow the link that it prints."""
        while True:
            line = self.said.get(timeout=PATIENCE_S)
            assert line is not None, self.ended()[1]
            found = re.search(r"open ((https?://[^/\s]+)\S*)", line)
            if found:
                break
        self.address = found[2]
        answer = self.client.get(found[1])
        assert answer.status_code in (200, 303), answer.text
        who = self.client.get(f"{self.address}/api/session").json()
        self.client.headers["X-CSRF-Token"] = who["csrf"]
        return self

    def get(self, path: str) -> Any:
        answer = self.client.get(self.address + path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        answer = self.client.post(self.address + path, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @contextlib.contextmanager
    def events(self, after: int | None = None) -> Iterator[Iterator[dict[str, Any]]]:
        """The events of the stream."""
        query = {} if after is None else {"after": after}
        with self.client.stream("GET", f"{self.address}/api/stream/events", params=query) as answer:
            assert answer.status_code == 200
            lines = answer.iter_lines()
            next(lines)  # it is open

            def all_of_them() -> Iterator[dict[str, Any]]:
                event: dict[str, Any] = {}
                for line in lines:
                    name, _, value = line.partition(": ")
                    if line and name:
                        event[name] = value
                    elif event:
                        yield event | {"data": json.loads(event.get("data", "{}"))}
                        event = {}

            yield all_of_them()

    def ended(self, by: int | None = None) -> tuple[int, str]:
        """Stop it with a signal; exit code and what it said on standard error."""
        if by is not None:
            self.process.send_signal(by)
        assert self.process.stderr is not None
        told = self.process.stderr.read()
        code = self.process.wait(PATIENCE_S)
        self.thread.join(PATIENCE_S)
        self.process.stderr.close()
        self.process.stdout.close()  # type: ignore[union-attr]
        self.client.close()
        return code, told


@pytest.fixture(scope="module")
def settled(tmp_path_factory) -> Path:
    return a_service.an_example(tmp_path_factory.mktemp("example") / "two-days")


@pytest.fixture
def mission(settled, tmp_path) -> Path:
    """The example, settled, whose editions are made when asked for."""
    return shutil.copytree(settled, tmp_path / "two-days")


@contextlib.contextmanager
def served(*arguments: object) -> Iterator[Started]:
    one = Started("serve", *arguments, "--port", "0")
    try:
        yield one.enter()
    finally:
        if one.process.poll() is None:
            one.ended(signal.SIGKILL)


def children(pid: int) -> list[int]:
    """The processes that one has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(one) for one in listed.read_text().split()] if listed.exists() else []


def test_a_watch(mission):
    """A shelling is reported, seen on the map and alerted within moments; the service is killed and started again.

    Everything acknowledged is there after the kill, no alert is raised a second time, and settling gives the picture
    that reading the same records from files gives.
    """
    with served(mission) as watch:
        assert watch.get("/health/ready")["status"] == "ready"
        before = watch.get("/api/picture")
        assert before["edition"] == 1
        with watch.events() as events:
            payload = as_csv(mission, a_shelling("W-1"), a_shelling("W-2", "2031-03-15 19:40", 39.4, 49.1))
            receipt = watch.post(
                "/api/sources/patrols/records", content=payload, headers={"Content-Type": "application/octet-stream"}
            )
            assert (receipt["read"], receipt["accepted"]) == (2, 2)
            told = next(one for one in events if one["event"] == "picture")
            assert told["data"]["revision"] > before["revision"]
        changes = watch.get(f"/api/picture?since={before['revision']}")
        assert changes["reset"] is False
        incidents = changes["collections"]["incidents"]["upserted"]
        assert all(one["properties"]["provisional"] for one in incidents)
        again = watch.post(
            "/api/sources/patrols/records", content=payload, headers={"Content-Type": "application/octet-stream"}
        )
        assert (again["accepted"], again["duplicates"]) == (0, 2)
        known = {one["alert_id"]: one["state"] for one in watch.get("/api/alerts?limit=1000")["alerts"]}
        assert known
        helpers = children(watch.process.pid)
        assert helpers
        watch.ended(signal.SIGKILL)
    with served(mission) as watch:
        after = {one["alert_id"]: one["state"] for one in watch.get("/api/alerts?limit=1000")["alerts"]}
        assert after == known
        shown = watch.get("/api/picture")["collections"]["incidents"]["upserted"]
        assert {one["id"] for one in incidents} <= {one["id"] for one in shown}
        code, told = watch.ended(signal.SIGINT)
        assert code == 0, told
        assert "Traceback" not in told
        assert not any(Path(f"/proc/{one}/exe").exists() for one in helpers)
    with Journal(mission / "journal") as journal:
        rows = journal.table("observation", ["observation_id", "source"])
        assert len(set(rows["observation_id"].to_pylist())) == rows.num_rows
        assert journal.verify() == []


def test_nobody_else_is_let_in(mission):
    """The link opens once; others are asked to sign in; other machines are not listened to without an administrator."""
    with served(mission) as watch:
        with httpx.Client(timeout=PATIENCE_S) as stranger:
            assert stranger.get(f"{watch.address}/api/picture").status_code == 401
        code, told = watch.ended(signal.SIGTERM)
        assert code == 0, told
        assert "everything acknowledged is in the journal" in told
    assert (mission / "journal" / "tail.wal").stat().st_size == 0  # rolled
    refused = Started("serve", mission, "--host", "0.0.0.0", "--port", "0")
    code, told = refused.ended()
    assert code == 2
    assert "administrator" in told
    assert "Traceback" not in told


def test_the_demo_replays_its_two_days_and_ends_with_the_same_edition(settled, tmp_path):
    """Every record comes in by its time through the gate; what is settled in the end has the digest of the run."""
    import asyncio

    from truceline.serve import replaying, wall
    from truceline.serve.running import running

    kept = shutil.ignore_patterns("journal", "book.sqlite*", "picture.gpkg", "reports")
    folder = shutil.copytree(settled, tmp_path / "replayed", ignore=kept)
    parts = replaying.records(settled, wall())
    clock = replaying.Clock(parts, 2e5)  # the two days in a second

    async def scene() -> list[dict[str, Any]]:
        async with running(folder, clock.now, wall, settle_every_s=3600) as service:
            await replaying.play(service, parts, clock)
            return service.gate.sources()

    board = asyncio.run(scene())
    expected = json.loads((settled / "expected.json").read_text())["sources"]
    rows = {row["id"]: row for row in board}
    for source, told in expected.items():
        counts = [rows[source][name] for name in ("read", "accepted", "duplicates", "rejected")]
        assert counts == [told[name] for name in ("records", "accepted", "duplicates", "rejected")], source
    assert Book(folder / "book.sqlite").latest().digest == Book(settled / "book.sqlite").latest().digest


def test_without_a_terminal_the_demo_ends_by_itself(tmp_path):
    """As before: no replay, no page, exit 0."""
    one = Started("demo", tmp_path / "demo")
    code, told = one.ended()
    assert code == 0, told
    assert "Traceback" not in told
