"""Live inputs: sockets, datagrams, watched files and addresses, over real sockets on loopback."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

import an_ais
from a_service import SimpleGate
from truceline import intake
from truceline.errors import BusyError, MissionError, StoreError
from truceline.feeds import cot
from truceline.mission import Centre, Live, Mission, Source
from truceline.release import ANYBODY
from truceline.serve import inputs, tls
from truceline.serve.delivery import Limits
from truceline.serve.inputs import Inputs
from truceline.serve.service import Receipt, Service
from truceline.store import Journal

NOW = datetime(2031, 3, 15, 18, 0, tzinfo=UTC)
SOON = Limits(pauses_s=(0.02,), together_s=0.005, record_s=0.2)

FIX = an_ais.sentence(1, **an_ais.ship())
TABLE = {"at": "t", "lon": "x", "lat": "y", "what": {"value": "explosion"}}
FIRMS = "latitude,longitude,acq_date,acq_time\n"


class LightGate(SimpleGate):
    """Journals for real; can be made to refuse."""

    def __init__(self, folder: Path, mission: Mission) -> None:
        super().__init__(folder, mission, lambda: NOW)
        self.refusing: dict[str, Exception] = {}
        self.names: list[str] = []
        self.asked = 0

    async def submit(self, source: str, payload: bytes, *, name: str, form: str | None = None) -> Receipt:
        self.asked += 1
        if source in self.refusing:
            await asyncio.sleep(0)
            raise self.refusing[source]
        self.names.append(name)
        return await super().submit(source, payload, name=name, form=form)

    def rows(self, kind: str = "observation") -> list[dict[str, Any]]:
        return Journal(self.folder / "journal").table(kind).to_pylist()


def a_service(folder: Path, *sources: Source) -> Service:
    mission = Mission("live", Centre(37.5, 48.3), "agreement.toml", list(sources))
    nothing: Any = None
    gate = LightGate(folder, mission)
    return Service(folder, mission, lambda: NOW, gate, nothing, nothing, lambda _: ANYBODY, nothing)


@contextlib.asynccontextmanager
async def running(service: Service, **more: Any) -> AsyncIterator[Inputs]:
    """The inputs of a service, while it runs."""
    found = await inputs.start(service, **{"limits": SOON, **more})
    try:
        yield found
    finally:
        await found.stop()


async def until(condition: Callable[[], Any], patience_s: float = 10.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.005)


def rows(service: Service, kind: str = "observation") -> list[dict[str, Any]]:
    return service.gate.rows(kind)  # type: ignore[attr-defined]


async def sent(port: int, data: bytes, *, context: ssl.SSLContext | None = None) -> bytes:
    """Connect, send, close; what came back until the other end closed too."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(data)
    if context is None:
        writer.write_eof()
    try:
        return await reader.read() if context is None else b""
    except ConnectionError:
        return b""
    finally:
        writer.close()


def of(feed: str, live: Live, name: str = "s", **more: Any) -> Source:
    return Source(id=name, feed=feed, live=live, **more)


def listening(scheme: str = "tcp") -> Live:
    return Live(listen=f"{scheme}://127.0.0.1:0")


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


# --- TCP


def test_what_comes_over_tcp_is_in_the_journal_and_on_the_board(tmp_path):
    """The evidence names the way and the sender; the board says what is open and what came."""
    service = a_service(tmp_path, of("ais", listening()))

    async def story() -> None:
        async with running(service) as live:
            await sent(live.ports["s"], f"{FIX}\r\n".encode())
            await until(lambda: live.board()["s"]["payloads"])
            board = live.board()["s"]
            assert (board["state"], board["way"]) == ("listening", "listen tcp://127.0.0.1:0")
            assert (board["received_bytes"], board["dropped"], board["unreadable"]) == (len(FIX) + 2, 0, 0)
            assert board["last_received_at"] == "2031-03-15T18:00:00Z"
        assert live.board()["s"]["state"] == "stopped"

    run(story)
    (row,) = rows(service)
    assert row["identity"] == "mmsi:211234560"
    assert service.gate.names == ["tcp 127.0.0.1"]


def test_a_broken_end_of_a_connection_is_a_rejection(tmp_path):
    service = a_service(tmp_path, of("ais", listening()))

    async def story() -> None:
        async with running(service) as live:
            await sent(live.ports["s"], f"{FIX}\n!AIVDM,1,1,,A,15D".encode())
            await until(lambda: rows(service, "rejection"))

    run(story)
    assert len(rows(service)) == 1
    assert [row["raw"] for row in rows(service, "rejection")] == [b"!AIVDM,1,1,,A,15D"]


def test_a_sender_that_never_ends_a_record_is_cut_off_and_harms_nobody(tmp_path):
    """Its bytes are kept as a rejection; a neighbour on the same port goes on."""
    service = a_service(tmp_path, of("ais", listening()))

    async def story() -> None:
        async with running(service) as live:
            _, writer = await asyncio.open_connection("127.0.0.1", live.ports["s"])
            await sent(live.ports["s"], b"A" * 200_000)
            writer.write(f"{FIX}\n".encode())
            await until(lambda: len(rows(service)) == 1)
            assert "can no longer be followed" in live.board()["s"]["problem"]
            writer.close()

    run(story)
    (rejected,) = rows(service, "rejection")
    assert set(rejected["raw"]) == {ord("A")}
    assert len(rejected["raw"]) >= 1 << 16


def test_a_record_that_stalls_is_told_as_broken(tmp_path):
    service = a_service(tmp_path, of("cot", listening()))
    begun = cot.event("P-1", "a-f-G", NOW, NOW, 37.5, 48.1)[:100]

    async def story() -> None:
        async with running(service) as live:
            _, writer = await asyncio.open_connection("127.0.0.1", live.ports["s"])
            writer.write(begun)
            await until(lambda: rows(service, "rejection"))
            writer.close()

    run(story)
    assert rows(service, "rejection")[0]["raw"] == begun


def test_a_quiet_connection_is_closed_in_time(tmp_path):
    service = a_service(tmp_path, of("cot", listening()))

    async def story() -> None:
        async with running(service, limits=limits_but(SOON, idle_s=0.05)) as live:
            reader, writer = await asyncio.open_connection("127.0.0.1", live.ports["s"])
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            await until(lambda: live.board()["s"]["connections"] == 0)
            writer.close()

    run(story)


def limits_but(limits: Limits, **changes: Any) -> Limits:
    """Limits, some of them otherwise."""
    return Limits(**{name: getattr(limits, name) for name in limits.__dataclass_fields__} | changes)


def test_one_address_cannot_take_all_connections(tmp_path):
    service = a_service(tmp_path, of("cot", listening()))

    async def story() -> None:
        async with running(service, limits=limits_but(SOON, connections_of_one=2)) as live:
            kept = [await asyncio.open_connection("127.0.0.1", live.ports["s"]) for _ in range(2)]
            await until(lambda: live.board()["s"]["connections"] == 2)
            await sent(live.ports["s"], b"")
            assert live.board()["s"]["refused_connections"] == 1
            for _, writer in kept:
                writer.close()

    run(story)


def test_a_busy_gate_makes_the_sender_wait_and_nothing_is_lost(tmp_path):
    """Nothing is read from the socket while the gate is busy: the sender's own writes stop."""
    service = a_service(tmp_path, of("firms", listening()))
    service.gate.refusing["s"] = BusyError("s has more waiting than it may", 0.01)
    lines = [f"48.{n:06d},37.5,2031-03-14,1200\n" for n in range(200_000)]
    data = (FIRMS + "".join(lines)).encode()

    async def story() -> None:
        async with running(service) as live:
            _, writer = await asyncio.open_connection("127.0.0.1", live.ports["s"])
            writer.transport.set_write_buffer_limits(0)
            for begin in range(0, len(data), 1 << 20):
                writer.write(data[begin : begin + (1 << 20)])
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.3)
            board = live.board()["s"]
            assert board["state"] == "held back"
            assert board["received_bytes"] < 1 << 20
            del service.gate.refusing["s"]
            await writer.drain()
            writer.write_eof()
            await until(lambda: live.board()["s"]["connections"] == 0, 30)
            assert live.board()["s"]["received_bytes"] == len(data)
            assert live.board()["s"]["state"] != "held back"
            writer.close()

    run(story)
    assert Journal(tmp_path / "journal").rows("observation") == len(lines)


def test_a_full_disk_holds_back_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("truceline.serve.delivery.STORE_PAUSES_S", (0.01,))
    service = a_service(tmp_path, of("ais", listening()))
    service.gate.refusing["s"] = StoreError("journal/0001: No space left on device")

    async def story() -> None:
        async with running(service) as live:
            _, writer = await asyncio.open_connection("127.0.0.1", live.ports["s"])
            writer.write(f"{FIX}\n".encode())
            await until(lambda: live.board()["s"]["state"] == "held back")
            assert "No space left" in live.board()["s"]["problem"]
            del service.gate.refusing["s"]
            await until(lambda: rows(service))
            writer.close()

    run(story)


def test_what_goes_wrong_with_one_source_is_no_other_ones_matter(tmp_path):
    """Even a fault that nobody thought of ends one connection, not the port and not the service."""
    service = a_service(tmp_path, of("ais", listening(), "a"), of("ais", listening(), "b"))
    service.gate.refusing["a"] = RuntimeError("a fault that nobody thought of")

    async def story() -> None:
        async with running(service) as live:
            await sent(live.ports["a"], f"{FIX}\n".encode())
            await sent(live.ports["b"], f"{FIX}\n".encode())
            await until(lambda: rows(service))
            assert "nobody thought of" in live.board()["a"]["problem"]
            del service.gate.refusing["a"]
            await sent(live.ports["a"], f"{FIX}\n".encode())
            await until(lambda: len(rows(service)) == 2)

    run(story)
    assert {row["source"] for row in rows(service)} == {"a", "b"}


def test_rows_need_the_header_that_their_columns_are_named_by(tmp_path):
    """The first line of a connection names the columns; a header without one that is needed ends the connection."""
    service = a_service(tmp_path, of("table", listening(), columns=TABLE))

    async def story() -> None:
        async with running(service) as live:
            await sent(live.ports["s"], b"t,x,y\n2031-03-14T10:00:00Z,37,48\n2031-03-14T10:00:01Z,37,99\n")
            await sent(live.ports["s"], b"t,x,z\n2031-03-14T10:00:02Z,37,48\n")
            await until(lambda: live.board()["s"]["unreadable"])

    run(story)
    assert len(rows(service)) == 1
    assert [(row["raw"], row["reason"][:17]) for row in rows(service, "rejection")] == [
        (b"2031-03-14T10:00:01Z,37,99", "y = 99 is outside"),
        (b"t,x,z\n2031-03-14T10:00:02Z,37,48\n", "payload: no colum"),
    ]


def test_a_browser_at_the_wrong_port_is_a_rejection(tmp_path):
    service = a_service(tmp_path, of("cot", listening()))

    async def story() -> None:
        async with running(service) as live:
            await sent(live.ports["s"], b"GET / HTTP/1.1\r\nHost: mission\r\n\r\n")
            await until(lambda: rows(service, "rejection"))

    run(story)
    assert rows(service, "rejection")[0]["reason"] == "is no Cursor on Target event"


# --- TLS


def test_over_tls_only_holders_of_a_certificate_are_heard(tmp_path):
    """The name in the certificate is in the evidence."""
    server = tls.issue(tmp_path, "server", NOW_REAL, days=1, hosts=["127.0.0.1"])
    mine = tls.issue(tmp_path, "patrol-3", NOW_REAL, days=1)
    authority = tmp_path / tls.FOLDER / "authority.pem"
    context = tls.server_context(server.certificate, server.key, authority)
    service = a_service(tmp_path, of("cot", listening("tls")))
    event = cot.event("P-1", "a-f-G", NOW, NOW, 37.5, 48.1)

    async def story() -> None:
        async with running(service, tls=context) as live:
            port = live.ports["s"]
            with contextlib.suppress(OSError):  # TLS 1.3 says no only when we read
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=tls.client_context(authority), server_hostname="127.0.0.1"
                )
                writer.write(event)
                await reader.read()
            known = tls.client_context(authority, mine.certificate, mine.key)
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=known, server_hostname="127.0.0.1")
            writer.write(event)
            await until(lambda: rows(service))
            writer.close()

    run(story)
    assert service.gate.names == ["tls 127.0.0.1 (patrol-3)"]


#: Certificates are checked by the machine's own clock.
NOW_REAL = datetime.now(UTC)  # noqa: TID251


def test_tls_without_a_certificate_of_our_own_is_refused_at_the_start(tmp_path):
    service = a_service(tmp_path, of("cot", listening("tls")))
    with pytest.raises(MissionError, match=r"'s': live.listen = 'tls://127.0.0.1:0': .* no certificate"):
        run(lambda: inputs.start(service))  # type: ignore[arg-type, return-value]


# --- connecting


def test_a_connection_that_breaks_is_made_again(tmp_path):
    service = a_service(tmp_path)
    answered = 0

    async def story() -> None:
        nonlocal answered

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal answered
            answered += 1
            writer.write(an_ais.tagged(FIX, 1_931_000_000 + answered).encode() + b"\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        source = of("ais", Live(connect=f"tcp://127.0.0.1:{port}"))
        service.mission = service.gate.mission = msgspec.structs.replace(service.mission, source=[source])
        async with running(service) as live:
            await until(lambda: len(rows(service)) >= 2)
            server.close()
            await until(lambda: live.board()["s"]["state"] == "failing" and "Connect" in live.board()["s"]["problem"])

    run(story)
    assert service.gate.names[0] == "tcp 127.0.0.1"


# --- datagrams


def udp(port: int, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        for datagram in datagrams:
            one.sendto(datagram, ("127.0.0.1", port))


def test_each_datagram_is_whole_and_a_broken_one_harms_no_other(tmp_path):
    good = [cot.event(f"P-{n}", "a-f-G-E-V", NOW, NOW, 37.5, 48.1) for n in range(3)]
    service = a_service(tmp_path, of("cot", listening("udp")))

    async def story() -> None:
        async with running(service) as live:
            udp(live.ports["s"], good[0], good[1][:90], b"\xbf\x01\xbfprotobuf", good[2])
            await until(lambda: len(rows(service)) == 2 and len(rows(service, "rejection")) == 2)

    run(story)
    assert {row["identity"] for row in rows(service)} == {"cot:P-0", "cot:P-2"}


def test_datagrams_beyond_the_queue_are_dropped_and_counted(tmp_path):
    """They cannot be made to wait. What is dropped is on the board, never in silence."""
    service = a_service(tmp_path, of("ais", listening("udp")))
    service.gate.refusing["s"] = BusyError("busy", 0.01)
    lines = [an_ais.tagged(FIX, 1_931_000_000 + n).encode() for n in range(300)]

    async def story() -> None:
        async with running(service, limits=limits_but(SOON, waiting_units=100)) as live:
            udp(live.ports["s"], lines[0])
            await until(lambda: service.gate.asked)
            for begin in range(1, 300, 50):  # as many at a time as the system surely keeps
                udp(live.ports["s"], *lines[begin : begin + 50])
                come = sum(map(len, lines[: begin + 50]))
                await until(lambda come=come: live.board()["s"]["received_bytes"] == come)
            assert live.board()["s"]["dropped"] == 199
            del service.gate.refusing["s"]
            await until(lambda: len(rows(service)) == 101)

    run(story)


@pytest.mark.skipif(not Path("/proc/net/udp").exists(), reason="only Linux tells what it dropped")
def test_what_the_system_itself_dropped_is_counted_too(tmp_path):
    """While we cannot read, its own buffer runs over: those datagrams we never see."""
    service = a_service(tmp_path, of("ais", listening("udp")))
    line = an_ais.tagged(FIX, 1_931_000_000).encode()
    number = 40_000

    async def story() -> None:
        async with running(service) as live:
            udp(live.ports["s"], *[line] * number)  # the loop stands still meanwhile
            await until(lambda: live.board()["s"]["dropped"])

            def counted() -> int:
                board = live.board()["s"]
                return int(board["dropped"]) + int(board["received_bytes"]) // len(line)

            await until(lambda: counted() == number)

    run(story)


def test_a_message_in_two_datagrams_is_one(tmp_path):
    parts = [part.encode() for part in an_ais.sentences(5, **an_ais.static())]
    service = a_service(tmp_path, of("ais", listening("udp")))

    async def story() -> None:
        async with running(service) as live:
            udp(live.ports["s"], parts[0])
            await until(lambda: live.board()["s"]["received_bytes"] == len(parts[0]))
            udp(live.ports["s"], parts[1])
            await until(lambda: rows(service))

    run(story)
    assert rows(service, "rejection") == []


# --- what the mission file says


@pytest.mark.parametrize(
    ("live", "told"),
    [
        ({"listen": "127.0.0.1:10110"}, "live.listen: '127.0.0.1:10110' is not an address like 'tcp://host:port'"),
        ({"listen": "http://x:1"}, "may begin with tcp://, tls://, udp://"),
        ({"listen": "tcp://x"}, "'tcp://x' is not an address"),
        ({"listen": "tcp://x:port"}, "'tcp://x:port' is not an address"),
        ({"connect": "udp://x:1"}, "live.connect: 'udp://x:1' is not an address"),
        ({"connect": "tcp://x:0"}, "'tcp://x:0' is not an address"),
        ({"connect": "tcp://x:1/more"}, "has more than host and port"),
        ({"subscribe": "mqtt://broker:1883"}, "names no topics"),
        ({"subscribe": "mqtt://broker/a/#/b"}, "names no topics"),
        ({"subscribe": "mqtt://u:secret@broker/a"}, "'mqtt://...@broker/a' holds a password"),
        ({"subscribe": "mqtt://u:{NOT_SET}@broker/a"}, "the environment has no NOT_SET"),
        ({"listen": "tcp://x:1", "connect": "tcp://x:1"}, "live.listen and connect: records .* one way"),
        ({"watch": True}, "live.watch: there is nothing to watch"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_at_the_start(tmp_path, live, told):
    service = a_service(tmp_path, of("cot", Live(**live)))
    with pytest.raises(MissionError, match=rf"^source 's': .*{told}") as caught:
        inputs.check(service.mission, {})
    assert "secret" not in str(caught.value)


def test_a_format_that_cannot_be_a_stream_is_refused_at_the_start(tmp_path):
    source = of("table", listening(), columns=TABLE, options={"format": "parquet"})
    with pytest.raises(MissionError, match=r"^source 's': live.listen = 'tcp://127.0.0.1:0': Parquet"):
        inputs.check(a_service(tmp_path, source).mission, {})


def test_a_port_that_is_taken_is_refused_and_nothing_stays_open(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        service = a_service(
            tmp_path, of("cot", listening(), "a"), of("cot", Live(listen=f"tcp://127.0.0.1:{port}"), "b")
        )
        with pytest.raises(MissionError, match=r"^source 'b': live.listen = .*: cannot be listened on"):
            run(lambda: inputs.start(service))  # type: ignore[arg-type, return-value]


# --- watched files


def watched(*paths: str, feed: str = "firms", **more: Any) -> Source:
    return of(feed, Live(watch=True, every_s=0.03), paths=list(paths), **more)


def test_a_file_that_comes_and_grows_is_read_on_from_where_it_stood(tmp_path):
    """Not again from its beginning: a log of a day would be a million duplicates by evening."""
    service = a_service(tmp_path, watched("in/*.csv"))
    file = tmp_path / "in" / "fires.csv"

    async def story() -> None:
        async with running(service) as live:
            await until(lambda: "no file matches in/*.csv" in live.board()["s"]["problem"])
            file.parent.mkdir()
            file.write_text(FIRMS + "48.1,37.1,2031-03-14,1200\n48.2,37.2,2031-03-14,1200\n")
            await until(lambda: len(rows(service)) == 2)
            with file.open("a") as more:
                more.write("48.3,37.3,2031-03-14,1200\n")
            await until(lambda: len(rows(service)) == 3)

    run(story)
    assert rows(service, "duplicate") == []
    assert service.gate.names[1].startswith("in/fires.csv from byte ")
    assert [row["records"] for row in rows(service, "file")] == [2, 1]


def test_half_a_line_waits_for_its_other_half(tmp_path):
    service = a_service(tmp_path, watched("*.csv"))
    file = tmp_path / "fires.csv"
    file.write_text(FIRMS + "48.1,37.1,2031-03-14,1200\n48.2,37.")

    async def story() -> None:
        async with running(service):
            await until(lambda: len(rows(service)) == 1)
            with file.open("a") as more:
                more.write("2,2031-03-14,1200\n")
            await until(lambda: len(rows(service)) == 2 or rows(service, "rejection"))

    run(story)
    assert (len(rows(service)), rows(service, "rejection")) == (2, [])


def test_a_last_line_without_an_end_is_read_when_the_file_rests(tmp_path):
    service = a_service(tmp_path, watched("*.csv"))
    (tmp_path / "fires.csv").write_text(FIRMS + "48.1,37.1,2031-03-14,1200")

    async def story() -> None:
        async with running(service):
            await until(lambda: rows(service))

    run(story)


def test_a_file_that_was_replaced_is_read_anew_and_repeats_are_duplicates(tmp_path):
    service = a_service(tmp_path, watched("*.csv"))
    file = tmp_path / "fires.csv"
    file.write_text(FIRMS + "48.1,37.1,2031-03-14,1200\n")

    async def story() -> None:
        async with running(service):
            await until(lambda: len(rows(service)) == 1)
            file.write_text(FIRMS + "48.5,37.5,2031-03-14,1200\n48.1,37.1,2031-03-14,1200\n")
            await until(lambda: len(rows(service)) == 2)

    run(story)
    assert len(rows(service, "duplicate")) == 1


def test_what_was_read_before_a_restart_is_not_read_again(tmp_path):
    """Nor what a run read: the journal says of every file how far."""
    file = tmp_path / "fires.csv"
    file.write_text(FIRMS + "48.1,37.1,2031-03-14,1200\n")

    async def until_three(service: Service, number: int) -> None:
        async with running(service) as live:
            await until(lambda: live.board()["s"]["state"] == "watching" and len(rows(service)) == number)

    run(lambda: until_three(a_service(tmp_path, watched("*.csv")), 1))
    with file.open("a") as more:
        more.write("48.2,37.2,2031-03-14,1200\n")
    again = a_service(tmp_path, watched("*.csv"))
    run(lambda: until_three(again, 2))
    assert rows(again, "duplicate") == []
    last = a_service(tmp_path, watched("*.csv"))
    run(lambda: until_three(last, 2))
    assert last.gate.asked == 0
    assert intake.reader(watched("*.csv")) == rows(last, "file")[-1]["reader"]


def test_sentences_of_a_growing_log_keep_their_own_times(tmp_path):
    service = a_service(tmp_path, watched("*.nmea", feed="ais"))
    first, second = an_ais.sentences(5, **an_ais.static())
    file = tmp_path / "ais.nmea"
    file.write_text(f"{an_ais.tagged(FIX, 1_931_000_000)}\n{an_ais.tagged(first, 1_931_000_001)}\n")

    async def story() -> None:
        async with running(service):
            await until(lambda: len(rows(service)) == 1)
            with file.open("a") as more:
                more.write(f"{second}\n")
            await until(lambda: len(rows(service)) == 2 or rows(service, "rejection"))

    run(story)
    assert rows(service, "rejection") == []


def test_a_file_that_is_none_is_told_and_the_others_are_read(tmp_path):
    service = a_service(tmp_path, watched("*.csv"))
    (tmp_path / "a.csv").write_text("<html>no fires here</html>\nx\n")
    (tmp_path / "b.csv").write_text(FIRMS + "48.1,37.1,2031-03-14,1200\n")

    async def story() -> None:
        async with running(service) as live:
            await until(lambda: len(rows(service)) == 1 and "latitude" in live.board()["s"]["problem"])

    run(story)


# --- polled addresses


@pytest.fixture
def server() -> Iterator[Any]:
    """A web server that has one file, with an ETag, and keeps what was asked of it."""
    asked: list[tuple[str, int]] = []

    class Answer(BaseHTTPRequestHandler):
        content = b""

        def do_GET(self) -> None:
            tag = f'"{len(self.content)}"'
            same = self.headers.get("If-None-Match") == tag
            asked.append((self.path, 304 if same else 200))
            self.send_response(304 if same else 200)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", "0" if same else str(len(self.content)))
            self.end_headers()
            if not same:
                self.wfile.write(self.content)

        def log_message(self, *_: Any) -> None:
            pass

    one = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    one.asked, one.answer = asked, Answer  # type: ignore[attr-defined]
    thread = threading.Thread(target=one.serve_forever, args=(0.01,))
    thread.start()
    yield one
    one.shutdown()
    thread.join()
    one.server_close()


def test_an_address_is_asked_for_news_and_its_key_is_nowhere(tmp_path, server):
    """FIRMS has the user's key in the path: it comes from the environment, and goes to the server alone."""
    key = "0123456789abcdef0123456789abcdef"
    url = f"http://127.0.0.1:{server.server_port}/api/area/csv/{{FIRMS_MAP_KEY}}/VIIRS/world/1"
    service = a_service(tmp_path, watched(url))
    server.answer.content = (FIRMS + "48.1,37.1,2031-03-14,1200\n").encode()
    told = ""

    async def story() -> None:
        nonlocal told
        async with running(service, environ={"FIRMS_MAP_KEY": key}) as live:
            await until(lambda: (f"/api/area/csv/{key}/VIIRS/world/1", 304) in server.asked)
            server.answer.content += b"48.2,37.2,2031-03-14,1200\n"
            await until(lambda: len(rows(service)) == 2)
            server.shutdown()
            server.server_close()
            await until(lambda: "the copy fetched before is used" in live.board()["s"]["problem"])
            told = str(live.board())

    run(story)
    assert rows(service, "duplicate") == []
    assert key not in told
    for file in tmp_path.rglob("*"):
        assert key not in str(file)
        assert not file.is_file() or key.encode() not in file.read_bytes()


def test_a_key_that_is_not_set_is_named_at_the_start(tmp_path):
    service = a_service(tmp_path, watched("https://firms.example/{FIRMS_MAP_KEY}/1"))
    with pytest.raises(MissionError, match=r"^source 's': live.watch: the environment has no FIRMS_MAP_KEY"):
        inputs.check(service.mission, {})
