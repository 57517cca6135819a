"""What happens, as it happens: events that resume, each reader told what is theirs, tracks packed once for all."""

import asyncio
import contextlib
import json
import re
import resource
import shutil
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import a_service
from a_service import ANYBODY, OFFICER, PARTY_A, PATROL, STATE
from truceline.errors import NotFoundError
from truceline.mission import Mission
from truceline.serve.alerts import Alerts
from truceline.serve.app import application
from truceline.serve.bus import Numbers, Ring
from truceline.serve.guard import Limits
from truceline.serve.moving_now import GONE, RECORD
from truceline.serve.service import Service
from truceline.serve.streams import Seal
from truceline.serve.track_frames import TrackFrames

PATIENCE_S = 20.0
EVERYTHING = frozenset({"alert", "picture", "source", "case"})


class TestBus:
    """Numbers ascend; listeners read at their own pace; who is too slow loses the place, and nobody else's time."""

    def test_numbers_ascend_over_restarts(self, tmp_path):
        """Also after a kill, and whatever the clock has done: they are set aside on disk before one is used."""
        path = tmp_path / "serve" / "numbers"
        first = Ring(Numbers(path))
        given = [first.publish("picture", {}).number for _ in range(3)]
        again = Ring(Numbers(path))
        assert again.publish("picture", {}).number > given[-1]
        assert given == sorted(set(given))

    def test_what_came_since_is_told_first(self):
        async def scene() -> None:
            bus = Ring()
            for n in range(5):
                bus.publish("alert" if n % 2 else "case", {"n": n})
            listening = bus.listen(frozenset({"alert"}), after=1)
            assert [(await anext(listening)).content["n"] for _ in range(2)] == [1, 3]
            waiting = asyncio.ensure_future(anext(listening))
            await asyncio.sleep(0)
            bus.publish("alert", {"n": 5})
            assert (await waiting).content["n"] == 5

        asyncio.run(scene())

    def test_too_long_ago_is_told(self):
        """Of an earlier run, of messages that are not kept, of numbers that were never given."""

        async def scene() -> None:
            bus = Ring(kept=4)
            for _ in range(10):
                bus.publish("alert", {})
            for after in (5, 0, 11):
                with pytest.raises(NotFoundError):
                    await anext(bus.listen(EVERYTHING, after))
            assert (await anext(bus.listen(EVERYTHING, 6))).number == 7

        asyncio.run(scene())

    def test_a_slow_listener_loses_its_place(self):
        async def scene() -> None:
            bus = Ring(kept=4)
            slow, quick = bus.listen(EVERYTHING, 0), bus.listen(EVERYTHING, 0)
            bus.publish("alert", {})
            await anext(slow)
            for number in range(2, 10):
                bus.publish("alert", {})
                if number == 2:
                    await anext(quick)
                assert (await anext(quick)).number == number
            with pytest.raises(StopAsyncIteration):
                await anext(slow)

        asyncio.run(scene())

    def test_a_thousand_come_back_at_once(self):
        """Each gets all that it missed, in order."""

        async def scene() -> None:
            bus = Ring()
            for _ in range(50):
                bus.publish("alert", {})

            async def one(after: int) -> list[int]:
                listening = bus.listen(EVERYTHING, after)
                return [(await anext(listening)).number for _ in range(50 - after)]

            got = await asyncio.gather(*(one(k % 50) for k in range(1000)))
            assert all(numbers == list(range(k % 50 + 1, 51)) for k, numbers in enumerate(got))

        asyncio.run(scene())


def test_sealed_numbers_say_nothing():
    """A party must not count, by the gaps between ids, what it is not told; and cannot make one up."""
    seal = Seal(bytes(range(16)))
    closed = [seal.closed(n) for n in (1, 2, 3)]
    assert [seal.opened(text) for text in closed] == [1, 2, 3]
    assert len({text[:8] for text in closed}) == 3
    for text in ("", "7", "zz" * 16, "ab" * 15, "00" * 16):
        assert seal.opened(text) is None
    assert Seal(bytes(16)).opened(closed[0]) is None


class Serving:
    """An application on loopback, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        mission = Mission.load(folder)
        self.bus, self.frames = Ring(), TrackFrames()
        gate = a_service.SimpleGate(folder, mission, lambda: a_service.NOW)
        live = SimpleNamespace(tracks=self.frames.read, snapshot=None)
        alerts = Alerts(gate, self.bus, lambda: a_service.NOW)
        self.service = Service(
            folder,
            mission,
            lambda: a_service.NOW,
            gate,
            live,
            self.bus,
            lambda _: OFFICER,
            alerts,  # type: ignore[arg-type]
        )
        config = uvicorn.Config(
            application(self.service, Limits(streams=10_000, requests_per_s=1e6, burst=1e6)), log_level="error",
            lifespan="off", timeout_graceful_shutdown=1, ws_per_message_deflate=False,
        )  # fmt: skip
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)

    def start(self) -> None:
        started = threading.Event()
        on = self.server.startup

        async def startup(sockets: Any = None) -> None:
            await on(sockets)
            self.loop = asyncio.get_running_loop()
            started.set()

        self.server.config.port = 0
        self.server.startup = startup  # type: ignore[method-assign]
        self.thread.start()
        assert started.wait(PATIENCE_S)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self.do(self.bus.close)
        self.do(self.frames.close)
        self.server.should_exit = True
        self.thread.join(PATIENCE_S)

    def do(self, what: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """In the server's loop."""

        async def done() -> Any:
            found = what(*arguments, **named)
            return await found if asyncio.iscoroutine(found) else found

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(PATIENCE_S)

    def publish(self, topic: str, content: dict[str, Any], label: str = "mission") -> int:
        return self.do(self.bus.publish, topic, content, label).number


@pytest.fixture
def serving(tmp_path_factory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("mission") / "two-days"
    shutil.copytree(a_service.SHIPPED / "two-days", folder, ignore=shutil.ignore_patterns("*.py"))
    one = Serving(folder)
    one.start()
    yield one
    one.stop()


class Reader:
    """Reads a stream of events."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines

    def next(self) -> dict[str, str]:
        """The next event: id, event, data."""
        event: dict[str, str] = {}
        for line in self.lines:
            if line.startswith(":"):
                continue
            if not line:
                if event.keys() & {"event", "data"}:
                    return event
                event = {}
                continue
            name, _, value = line.partition(": ")
            event[name] = value
        raise AssertionError("the stream ended")


@contextlib.contextmanager
def events(serving: Serving, after: object = None, **headers: str) -> Iterator[Reader]:
    query = {} if after is None else {"after": str(after)}
    url = f"http://127.0.0.1:{serving.port}/api/stream/events"
    with httpx.stream("GET", url, params=query, headers=headers, timeout=PATIENCE_S) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith("retry: ")
        yield Reader(lines)


class TestEvents:
    def test_an_event_is_its_topic_its_number_and_what_happened(self, serving):
        number = serving.publish("picture", {"revision": 7, "words": "two\nlines"})
        with events(serving, number - 1) as reader:
            event = reader.next()
        assert (event["event"], event["id"]) == ("picture", str(number))
        assert json.loads(event["data"]) == {"revision": 7, "words": "two\nlines"}

    def test_who_comes_back_misses_nothing(self, serving):
        """By the browser's own header: what came while there was no connection comes first."""
        numbers = [serving.publish("alert", {"n": n}) for n in range(5)]
        with events(serving, **{"Last-Event-ID": str(numbers[1])}) as reader:
            assert [int(reader.next()["id"]) for _ in range(3)] == numbers[2:]

    @pytest.mark.parametrize("after", ["999999", "abc", "-1", "12345678901234567890123"])
    def test_who_comes_back_too_late_begins_anew(self, serving, after):
        """Told by an event, after which nothing is missed."""
        serving.publish("alert", {})
        with events(serving, after) as reader:
            assert reader.next()["event"] == "reset"
            number = serving.publish("alert", {"n": 1})
            assert reader.next()["id"] == str(number)

    def test_each_reader_is_told_what_is_released_to_them(self, serving):
        """A party hears nothing of the mission's, not even that there is something: neither numbers nor topics."""
        serving.service.principal_of = lambda _: PARTY_A
        first = serving.publish("alert", {"n": 0}, "parties")
        with events(serving) as reader:
            # a second reader of the mission's would get them all
            for topic, label in [("alert", "mission"), ("source", "public"), ("case", "sending_states")]:
                serving.publish(topic, {"secret": True}, label)
            last = serving.publish("case", {"n": 1}, "parties")
            event = reader.next()
        assert json.loads(event["data"]) == {"n": 1}
        assert str(last) != event["id"] != str(first)
        with events(serving, event["id"]) as reader:  # its own id resumes
            serving.publish("case", {"n": 2}, "parties")
            assert json.loads(reader.next()["data"]) == {"n": 2}
        with events(serving, last) as reader:  # the number itself does not
            assert reader.next()["event"] == "reset"

    def test_by_default_only_the_mission_hears_anything(self, serving):
        serving.service.principal_of = lambda _: STATE
        with events(serving) as reader:
            for topic in sorted(EVERYTHING):
                serving.publish(topic, {"secret": True})
            serving.publish("case", {"said": "released"}, "sending_states")
            assert json.loads(reader.next()["data"]) == {"said": "released"}

    def test_whoever_has_not_signed_in_hears_nothing(self, serving):
        serving.service.principal_of = lambda _: ANYBODY
        answer = httpx.get(f"http://127.0.0.1:{serving.port}/api/stream/events", timeout=PATIENCE_S)
        assert answer.status_code == 401

    def test_many_readers_are_told_the_same(self, serving):
        """A hundred at once, each every message; then they go, and nothing listens any more."""

        async def one(client: Any) -> list[str]:
            got = []
            async with client.stream("GET", f"http://127.0.0.1:{serving.port}/api/stream/events?after=0") as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("id: "):
                        got.append(line)
                    if len(got) == 20:
                        return got
            return got

        async def scene() -> list[list[str]]:
            limits = httpx.Limits(max_connections=200)
            async with httpx.AsyncClient(timeout=PATIENCE_S, limits=limits) as client:
                readers = asyncio.gather(*(one(client) for _ in range(100)))
                for n in range(20):
                    await asyncio.to_thread(serving.publish, "alert", {"n": n})
                return await readers

        got = asyncio.run(scene())
        assert got == [[f"id: {n}" for n in range(1, 21)]] * 100

    def test_a_thousand_come_back_at_once(self, serving):
        """The network was away: everybody's browser resumes by its header, and each gets all that it missed."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if 0 <= hard < 4096:
            pytest.skip("this process may open too few connections")
        numbers = [serving.publish("alert", {"n": n}) for n in range(20)]
        asked = "GET /api/stream/events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nLast-Event-ID: %d\r\n\r\n"

        async def one(missed: int) -> list[int]:
            reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
            writer.write((asked % numbers[-1 - missed]).encode())
            got: list[int] = []
            while len(got) < missed:
                line = await reader.readline()
                assert line, "the stream ended"
                if line.startswith(b"id: "):
                    got.append(int(line[4:]))
            writer.close()
            return got

        async def scene() -> list[list[int]]:
            return await asyncio.wait_for(asyncio.gather(*(one(1 + k % 19) for k in range(1000))), 3 * PATIENCE_S)

        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
        try:
            got = asyncio.run(scene())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert all(mine == numbers[-1 - k % 19 :] for k, mine in enumerate(got))

    def test_who_reads_too_slowly_is_let_go_and_holds_up_nobody(self, serving):
        """Its place is lost, not the messages of others; it is told so when it comes back."""
        serving.bus = serving.service.bus = Ring(kept=64)
        first = serving.publish("alert", {})
        with socket.socket() as slow, events(serving, first) as quick:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.settimeout(PATIENCE_S)
            slow.connect(("127.0.0.1", serving.port))
            slow.sendall(b"GET /api/stream/events?after=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert slow.recv(12) == b"HTTP/1.1 200"
            for _ in range(24):  # 18 MB, more than the system keeps for a connection
                for number in [serving.publish("alert", {"words": "x" * 16_000}) for _ in range(48)]:
                    assert quick.next()["id"] == str(number)
            told = b"".join(iter(lambda: slow.recv(1 << 20), b""))  # to the end that the service made of it
        assert told.endswith(b"0\r\n\r\n")
        last = int(re.findall(rb"id: (\d+)", told)[-1])
        assert last < number
        with events(serving, last) as again:
            assert again.next()["event"] == "reset"


def records(frame: bytes) -> tuple[float, np.ndarray]:
    """The time and the records of a binary frame, read by the layout that docs/live.md states."""
    assert frame[:4] == b"TLT1"
    count, at_s = struct.unpack_from("<Id", frame, 4)
    rows = np.frombuffer(frame, RECORD, count, 16)
    assert len(frame) == 16 + 24 * count
    return at_s, rows


def a_moment(*serials: int, age_ms: int = 0, flags: int = 0) -> np.ndarray:
    rows = np.zeros(len(serials), RECORD)
    rows["serial"], rows["lon"], rows["lat"], rows["age_ms"], rows["flags"] = serials, 39.5, 49.25, age_ms, flags
    rows["course"], rows["speed_mps"] = 65535, np.nan
    return rows


def named(*serials: int) -> list[dict[str, Any]]:
    return [{"serial": n, "id": f"{n:032x}", "what": "vessel", "identity": f"mmsi:{n}"} for n in serials]


class TestTracks:
    """The whole, then what changes; text says what tracks are, packed bytes where."""

    def reading(self, serving: Serving, scene: Callable[[Any], Awaitable[None]]) -> None:
        async def play() -> None:
            async with connect(f"ws://127.0.0.1:{serving.port}/api/stream/tracks", max_size=None) as socket:
                await asyncio.wait_for(scene(socket), PATIENCE_S)

        asyncio.run(play())

    def test_first_the_whole_and_then_what_changed(self, serving):
        whole = a_moment(1, 2)
        serving.do(serving.frames.tell, 100.0, ["vessel"], named(1, 2), whole.tobytes(), whole.tobytes())

        async def scene(socket: Any) -> None:
            assert json.loads(await socket.recv()) == {"kinds": ["vessel"]}
            assert json.loads(await socket.recv()) == {"tracks": named(1, 2)}
            at_s, rows = records(await socket.recv())
            assert at_s == 100.0
            assert rows["serial"].tolist() == [1, 2]
            later, gone = a_moment(2, 3), a_moment(1, flags=GONE)
            changed = np.concatenate([a_moment(3), gone])
            await asyncio.to_thread(
                serving.do, serving.frames.tell, 101.0, ["vessel"], named(3), later.tobytes(), changed.tobytes()
            )
            assert json.loads(await socket.recv()) == {"tracks": named(3)}
            _, rows = records(await socket.recv())
            assert rows["serial"].tolist() == [3, 1]
            assert rows["flags"].tolist() == [0, GONE]

        self.reading(serving, scene)

    def test_who_missed_a_moment_gets_the_whole(self):
        """A reader too slow for one a second is never behind by more than one."""

        async def scene() -> None:
            frames = TrackFrames()
            whole = a_moment(1)
            frames.tell(1.0, ["vessel"], named(1), whole.tobytes(), whole.tobytes())
            reader = frames.read()
            texts = [await anext(reader) for _ in range(2)]
            assert len(texts) == 2
            await anext(reader)
            for at_s in (2.0, 3.0):
                whole = a_moment(1, int(at_s) + 10)
                frames.tell(
                    at_s, ["vessel"], named(int(at_s) + 10), whole.tobytes(), a_moment(int(at_s) + 10).tobytes()
                )
            got = [await anext(reader) for _ in range(3)]
            assert json.loads(got[1])["tracks"] == named(1, 12, 13)
            at_s, rows = records(got[2])
            assert at_s == 3.0
            assert rows["serial"].tolist() == [1, 13]

        asyncio.run(scene())

    def test_when_serials_begin_anew_so_do_readers(self, serving):
        """Whoever was told of none has nothing to forget, and stays."""
        whole = a_moment(1).tobytes()

        async def scene(socket: Any) -> None:
            await asyncio.to_thread(serving.do, serving.frames.restart)
            await asyncio.to_thread(serving.do, serving.frames.tell, 1.0, ["vessel"], named(1), whole, whole)
            while not isinstance(told := await socket.recv(), bytes) or not records(told)[1].size:
                pass
            await asyncio.to_thread(serving.do, serving.frames.restart)
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd.code == 1012

        self.reading(serving, scene)

    @pytest.mark.parametrize("principal", [PATROL, PARTY_A, STATE, ANYBODY], ids=lambda p: p.name)
    def test_what_moves_is_the_missions_alone(self, serving, principal):
        """And of the mission's only theirs who see evidence."""
        serving.service.principal_of = lambda _: principal

        async def refused(_: Any) -> None:
            raise AssertionError("let in")

        with pytest.raises((InvalidStatus, ConnectionClosed)):
            self.reading(serving, refused)


class TestAlerts:
    """Over HTTP: listed, acknowledged."""

    @pytest.fixture
    def service(self, serving) -> Service:
        boards = [{"id": name, "state": "silent", "silent_since": None} for name in ("cameras", "press")]
        serving.do(serving.service.alerts.hear, boards)
        return serving.service

    def url(self, serving: Serving, path: str = "") -> str:
        return f"http://127.0.0.1:{serving.port}/api/alerts{path}"

    def test_listed_the_newest_first(self, serving, service):
        told = httpx.get(self.url(serving), timeout=PATIENCE_S).json()["alerts"]
        assert {one["source"] for one in told} == {"cameras", "press"}
        assert {one["state"] for one in told} == {"raised"}
        assert len(httpx.get(self.url(serving, "?limit=1"), timeout=PATIENCE_S).json()["alerts"]) == 1
        assert httpx.get(self.url(serving, "?state=withdrawn"), timeout=PATIENCE_S).json() == {"alerts": []}
        assert httpx.get(self.url(serving, "?state=loud"), timeout=PATIENCE_S).status_code == 422

    def test_acknowledged_by_name(self, serving, service):
        (first, *_) = httpx.get(self.url(serving), timeout=PATIENCE_S).json()["alerts"]
        answer = httpx.post(self.url(serving, f"/{first['alert_id']}/acknowledge"), json={"text": "called them"})
        assert answer.status_code == 200, answer.text
        assert (answer.json()["acknowledged_by"], answer.json()["reason"]) == ("olena", "called them")
        with events(serving, 2) as reader:
            assert json.loads(reader.next()["data"])["state"] == "acknowledged"

    def test_others_do_not_know_of_them(self, serving, service):
        """Neither listed nor told apart from what there is not."""
        (first, *_) = httpx.get(self.url(serving), timeout=PATIENCE_S).json()["alerts"]
        service.principal_of = lambda _: PARTY_A
        assert httpx.get(self.url(serving), timeout=PATIENCE_S).json() == {"alerts": []}
        for alert_id in (first["alert_id"], "0" * 32):
            answer = httpx.post(self.url(serving, f"/{alert_id}/acknowledge"), timeout=PATIENCE_S)
            assert answer.status_code == 403

    def test_what_there_is_not(self, serving, service):
        assert httpx.post(self.url(serving, f"/{'0' * 32}/acknowledge"), timeout=PATIENCE_S).status_code == 404
