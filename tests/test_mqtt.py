"""Subscriptions at a real broker (mosquitto, from packages), and at things that only pretend to be one."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from test_inputs import NOW, SOON, TABLE, a_service, limits_but, of, rows, run, running, until
from truceline.errors import BusyError
from truceline.feeds import cot
from truceline.mission import Live
from truceline.serve.mqtt import LONGEST_MESSAGE

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt-get install mosquitto)")


class Broker:
    """A mosquitto that can be stopped and started again at its port."""

    def __init__(self, folder: Path, more: str = "allow_anonymous true\n") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        kept = f"persistence true\npersistence_location {folder}/\nuser root\n"
        self._config.write_text(f"listener {self.port} 127.0.0.1\n{more}{kept}")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], **quiet)  # type: ignore[call-overload]
        for _ in range(1000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.1):
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.01)
                raise RuntimeError(f"mosquitto ended with {self._process.returncode}")
        raise RuntimeError("mosquitto does not answer")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def live(self, topic: str = "field/#", user: str = "") -> Live:
        return Live(subscribe=f"mqtt://{user}127.0.0.1:{self.port}/{topic}")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    one = Broker(folder)
    one.start()
    yield one
    one.stop()


@contextlib.asynccontextmanager
async def publisher(broker: Broker, **more: Any) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client("127.0.0.1", broker.port, **more) as client:
        yield client


def an_event(uid: str = "P-1") -> bytes:
    return cot.event(uid, "a-f-G-E-V", NOW, NOW, 37.5, 48.1)


@needs_mosquitto
def test_a_message_is_a_record_and_its_topic_is_in_the_evidence(tmp_path, broker):
    service = a_service(tmp_path, of("cot", broker.live()))

    async def story() -> None:
        async with running(service) as live, publisher(broker) as client:
            await until(lambda: live.board()["s"]["state"] == "subscribed")
            await client.publish("field/patrol-3", an_event("P-3"), qos=1)
            await client.publish("field/patrol-4", an_event("P-4"), qos=0)
            await client.publish("elsewhere", an_event("P-5"), qos=1)
            await until(lambda: len(rows(service)) == 2)
            assert live.board()["s"]["way"] == f"subscribe mqtt://127.0.0.1:{broker.port}/field/#"

    run(story)
    assert sorted(service.gate.names) == ["mqtt field/patrol-3", "mqtt field/patrol-4"]


@needs_mosquitto
def test_what_is_published_while_we_are_away_comes_when_we_are_back(tmp_path, broker):
    service = a_service(tmp_path, of("cot", broker.live()))

    async def story() -> None:
        async with running(service) as live:
            await until(lambda: live.board()["s"]["state"] == "subscribed")
        async with publisher(broker) as client:
            await client.publish("field/1", an_event(), qos=1)
        async with running(service):
            await until(lambda: rows(service))

    run(story)


@needs_mosquitto
def test_a_message_is_acknowledged_when_it_is_on_disk_not_before(tmp_path, broker):
    """A service that ends with the message in its hands gets it again."""
    service = a_service(tmp_path, of("cot", broker.live()))
    service.gate.refusing["s"] = BusyError("busy", 0.01)

    async def story() -> None:
        async with running(service) as live, publisher(broker) as client:
            await until(lambda: live.board()["s"]["state"] == "subscribed")
            await client.publish("field/1", an_event(), qos=1)
            await until(lambda: service.gate.asked)
        assert rows(service) == []
        del service.gate.refusing["s"]
        async with running(service):
            await until(lambda: rows(service))

    run(story)


@needs_mosquitto
def test_messages_that_cannot_wait_are_dropped_and_counted(tmp_path, broker):
    """Quality of service 0 promises nothing; what was lost is told all the same."""
    service = a_service(tmp_path, of("cot", broker.live()))
    service.gate.refusing["s"] = BusyError("busy", 0.01)
    number = 400

    async def story() -> None:
        async with running(service, limits=limits_but(SOON, waiting_units=50)) as live, publisher(broker) as client:
            await until(lambda: live.board()["s"]["state"] == "subscribed")
            await client.publish("field/1", an_event("P-0"))
            await until(lambda: service.gate.asked)
            messages = [an_event(f"P-{n}") for n in range(number)]
            for message in messages[1:]:
                await client.publish("field/1", message)
            await until(lambda: live.board()["s"]["received_bytes"] == sum(map(len, messages)))
            dropped = live.board()["s"]["dropped"]
            assert number - 52 <= dropped < number
            del service.gate.refusing["s"]
            await until(lambda: len(rows(service)) == number - dropped)

    run(story)


@needs_mosquitto
def test_nothing_that_is_published_stops_the_subscription(tmp_path, broker):
    """Bytes of any kind are rejections; the message behind them is a record."""
    service = a_service(tmp_path, of("table", broker.live(), columns=TABLE, options={"format": "geojson"}))
    nasty = [b"", b"\0", b"\xff" * 100, b"{", b"[" * 5000, b"x" * (LONGEST_MESSAGE + 1), b'{"t": 1}', b"null"]

    async def story() -> None:
        async with running(service) as live, publisher(broker) as client:
            await until(lambda: live.board()["s"]["state"] == "subscribed")
            for payload in nasty:
                await client.publish("field/1", payload, qos=1)
            await client.publish("field/1", b'{"t": "2031-03-14T10:00:00Z", "x": 37, "y": 48}', qos=1)
            await until(lambda: rows(service))

    run(story)
    kept = {row["raw"] for row in rows(service, "rejection")}
    assert {b"\0", b"{", b"null", b"x" * LONGEST_MESSAGE} <= kept
    assert len(kept) == len(nasty)


@needs_mosquitto
def test_the_password_comes_from_the_environment_and_is_nowhere_shown(tmp_path):
    folder = tmp_path / "broker"
    folder.mkdir()
    passwords = folder / "passwords"
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")
    subprocess.run([tool, "-b", "-c", str(passwords), "truceline", "a-secret"], check=True, capture_output=True)
    broker = Broker(folder, f"allow_anonymous false\npassword_file {passwords}\n")
    broker.start()
    service = a_service(tmp_path / "m", of("cot", broker.live(user="truceline:{MQTT_PASSWORD}@")))
    (tmp_path / "m").mkdir()

    async def story() -> None:
        async with running(service, environ={"MQTT_PASSWORD": "another"}) as live:
            await until(lambda: live.board()["s"]["state"] == "failing")
            assert "another" not in str(live.board())
        async with running(service, environ={"MQTT_PASSWORD": "a-secret"}) as live:
            await until(lambda: live.board()["s"]["state"] == "subscribed")
            assert "a-secret" not in str(live.board())

    try:
        run(story)
    finally:
        broker.stop()


@needs_mosquitto
def test_a_broker_that_goes_is_waited_for(tmp_path, broker):
    service = a_service(tmp_path, of("cot", broker.live()))

    async def story() -> None:
        async with running(service) as live:
            await until(lambda: live.board()["s"]["state"] == "subscribed")
            await asyncio.to_thread(broker.stop)
            await until(lambda: live.board()["s"]["state"] in ("failing", "connecting"))
            await asyncio.to_thread(broker.start)
            await until(lambda: live.board()["s"]["state"] == "subscribed")
            async with publisher(broker) as client:
                await client.publish("field/1", an_event(), qos=1)
            await until(lambda: rows(service))

    run(story)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x02\x00\x05",  # not authorised
        b"\x20\x02\x00\x00\xff\xff\xff\xff\xff",  # connected, then a length without an end
        b"\x20\x02\x00\x00\x32\x03\x00\x10",  # a message whose topic is longer than itself
        b"\x20\xff\xff\xff\x7f",
        b"",
    ],
)
def test_what_only_pretends_to_be_a_broker_is_a_failing_input_and_no_more(tmp_path, monkeypatch, answer):
    monkeypatch.setattr("truceline.serve.mqtt._ANSWER_S", 0.2)

    async def story() -> None:
        async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(pretend, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        source = of("cot", Live(subscribe=f"mqtt://127.0.0.1:{port}/a"))
        other = of("ais", Live(listen="tcp://127.0.0.1:0"), "other")
        changed = a_service(tmp_path, source, other)
        async with running(changed) as live:
            await until(lambda: live.board()["s"]["state"] == "failing")
            assert live.board()["other"]["state"] == "listening"
        server.close()

    run(story)
