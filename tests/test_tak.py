"""TAK clients: what they are told, when, and what they never are."""

import asyncio
import contextlib
import importlib.util
import shutil
import socket
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from configparser import ConfigParser
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a_service import ADMINISTRATOR, ANYBODY, NOW, OFFICER, PARTY_A, PATROL, STATE, a_service, an_example, client
from test_inputs import NOW_REAL, until
from truceline import coarse
from truceline.errors import MissionError
from truceline.feeds import cot
from truceline.feeds.cot_writing import Mark, forget, mark
from truceline.frame import geodesic
from truceline.mission import Live, Source
from truceline.observation import RELEASES
from truceline.release import Principal, horizon
from truceline.serve import tls
from truceline.serve.service import Service, Snapshot
from truceline.serve.tak import TakLimits, TakServer
from truceline.serve.tak_marks import marks

SOON = TakLimits(snapshot_s=30.0, together_s=0.01)
PRINCIPALS = (OFFICER, STATE, PARTY_A, ANYBODY)


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    return an_example(tmp_path_factory.mktemp("tak") / "two-days")


@pytest.fixture(scope="module")
def shared(example) -> Service:
    """A service that no test changes."""
    return a_service(example)


@pytest.fixture
def service(example, tmp_path) -> Service:
    shutil.copytree(example, tmp_path / "m")
    return a_service(tmp_path / "m")


class Client:
    """A TAK client that keeps what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.events: list[Element] = []
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.events.append(fromstring(await self.reader.readuntil(b"</event>")))

    def uids(self) -> set[str]:
        return {one.get("uid", "") for one in self.events}

    def of(self, kind: str) -> list[Element]:
        return [one for one in self.events if one.get("type") == kind]


@contextlib.asynccontextmanager
async def serving(service: Service, **more: Any) -> AsyncIterator[tuple[TakServer, Callable[[], Awaitable[Client]]]]:
    """The server on loopback, and what connects to it."""
    server = TakServer(service, **{"plain": OFFICER, "limits": SOON, **more})
    port = await server.start("127.0.0.1", 0)
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
        return clients[-1]

    try:
        yield server, connect
    finally:
        for client in clients:
            client.writer.close()
            client.task.cancel()
        await asyncio.gather(*(client.task for client in clients), return_exceptions=True)
        await server.stop()


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def changed(service: Service, **tables: pa.Table) -> None:
    """Another picture, told to whoever listens."""
    before = service.live.snapshot
    service.live.snapshot = Snapshot(before.revision + 1, before.at, before.edition, {**before.tables, **tables})  # type: ignore[misc]
    service.bus.publish("picture", {"revision": before.revision + 1})


# --- the conversation


def test_a_client_is_told_the_whole_picture_when_it_connects(shared):
    async def story() -> None:
        async with serving(shared) as (_, connect):
            client = await connect()
            wanted = set(marks(shared, OFFICER))
            assert len(wanted) > 50
            await until(lambda: client.uids() == wanted)

    run(story)


def test_pytak_receives_the_picture(shared):
    """The library that most TAK integrations are written with."""
    if importlib.util.find_spec("pytak") is None:
        pytest.skip("pytak is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of optional parts that are not there
        import pytak

    async def story() -> None:
        async with serving(shared) as (server, _):
            port = server._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
            config = ConfigParser()
            config["mission"] = {"COT_URL": f"tcp://127.0.0.1:{port}"}
            reader, writer = await pytak.protocol_factory(config["mission"])
            worker = pytak.RXWorker(asyncio.Queue(), config["mission"], reader)
            task = asyncio.create_task(worker.run())
            wanted, got = set(marks(shared, OFFICER)), set()
            async with asyncio.timeout(10):
                while got != wanted:
                    got.add(fromstring(await worker.queue.get()).get("uid"))
            task.cancel()
            writer.close()

    run(story)


def test_what_changes_is_told_at_once_and_what_is_gone_is_taken_back(service):
    """A client removes what it is told to forget (`t-x-d-d`): a withdrawn finding is as visible as a raised one."""
    incidents = service.live.snapshot.tables["incidents"]

    async def story() -> None:
        async with serving(service) as (_, connect):
            client = await connect()
            await until(lambda: client.uids() == set(marks(service, OFFICER)))
            before = marks(service, OFFICER)
            told = len(client.events)
            changed(service, incidents=incidents.slice(0, 0))
            await until(lambda: len(client.events) > told)
            gone = set(before) - set(marks(service, OFFICER))
            await until(lambda: len(client.of("t-x-d-d")) == len(gone))
            links = {one.find("detail/link").get("uid") for one in client.of("t-x-d-d")}  # type: ignore[union-attr]
            assert links == gone
            assert len(client.events) == told + len(gone)
            changed(service, incidents=incidents)
            await until(lambda: len(client.events) == told + 2 * len(gone))

    run(story)


def test_everything_is_told_again_every_half_minute_and_grows_stale_soon_after(service):
    """Nothing stays on a map behind a connection that broke."""

    async def story() -> None:
        async with serving(service, limits=TakLimits(snapshot_s=0.2, together_s=0.01)) as (_, connect):
            client = await connect()
            number = len(marks(service, OFFICER))
            await until(lambda: len(client.events) >= 3 * number)
            for one in client.events:
                sent, stale = (datetime.fromisoformat(one.get(name, "")) for name in ("time", "stale"))
                assert (sent, stale) == (NOW, NOW + timedelta(seconds=300))

    run(story)


def test_a_ping_is_answered(shared):
    async def story() -> None:
        async with serving(shared) as (server, connect):
            client = await connect()
            client.writer.write(cot.event("me-ping", "t-x-c-t", NOW, NOW, 0, 0) * 2)
            await until(lambda: len(client.of("t-x-c-t-r")) == 2)
            assert server.board()["pings"] == 2

    run(story)


def test_protobuf_is_never_offered_and_asking_for_it_changes_nothing(shared):
    """A client that asks (`t-x-takp-q`) goes on in XML: it was not offered (`t-x-takp-v`)."""

    async def story() -> None:
        async with serving(shared) as (server, connect):
            client = await connect()
            client.writer.write(cot.event("me", "t-x-takp-q", NOW, NOW, 0, 0))
            client.writer.write(cot.event("me", "t-x-c-t", NOW, NOW, 0, 0))
            await until(lambda: client.of("t-x-c-t-r"))
            assert not [one for one in client.events if one.get("type", "").startswith("t-x-takp")]
            assert server.board()["discarded"] == 1

    run(story)


def test_what_clients_send_is_thrown_away_unless_a_source_takes_it(service):
    """And then only of whoever may report; what clients say to servers alone is no report."""
    source = Source(id="team", feed="cot", live=Live(listen="tcp://127.0.0.1:0"))
    service.mission = msgspec.structs.replace(service.mission, source=[*service.mission.source, source])
    service.gate.mission = service.mission  # type: ignore[attr-defined]
    event = cot.event("P-3", "a-f-G-E-V", NOW, NOW, 37.5, 48.1)
    ping = cot.event("P-3-ping", "t-x-c-t", NOW, NOW, 0, 0)

    async def story(plain: Principal, **more: Any) -> TakServer:
        async with serving(service, plain=plain, **more) as (server, connect):
            client = await connect()
            client.writer.write(event + b"junk" + event[:50] + event + ping)
            await until(lambda: client.of("t-x-c-t-r"))
            await until(lambda: server.board()["discarded"] + server.board()["taken"] >= 3)
        return server

    assert asyncio.run(story(PATROL)).board()["taken"] == 0
    assert asyncio.run(story(STATE, source="team")).board()["taken"] == 0
    assert not service.gate.observations  # type: ignore[attr-defined]
    assert asyncio.run(story(PATROL, source="team")).board()["discarded"] == 0
    assert sum(rows.num_rows for rows in service.gate.observations) == 2  # type: ignore[attr-defined]
    with pytest.raises(MissionError, match="'viirs' is no source of the feed 'cot'"):
        TakServer(service, source="viirs")


def test_the_board_of_sources_shows_the_ports_to_the_mission_alone(shared):
    """How many listen and what they sent; behind the sources, so that nobody takes a port for one."""

    async def story() -> None:
        async with serving(shared) as (server, connect):
            shared.kept["tak"] = [server]
            one = await connect()
            one.writer.write(cot.event("P-3", "a-f-G-E-V", NOW, NOW, 37.5, 48.1))
            await until(lambda: server.board()["discarded"] == 1)
            *_, last = await asyncio.to_thread(lambda: client(shared, OFFICER).get("/api/sources").json())
            assert (last["id"].partition(":")[0], last["state"]) == ("tak", "out")
            assert (last["clients"], last["connected"], last["discarded"], last["source"]) == (1, 1, 1, None)
            theirs = await asyncio.to_thread(lambda: client(shared, STATE).get("/api/sources").json())
            assert theirs == []

    try:
        run(story)
    finally:
        del shared.kept["tak"]


def test_a_client_that_does_not_read_is_let_go(service):
    """Its place is free, and what waited for it is gone from memory."""

    async def story() -> None:
        limits = TakLimits(snapshot_s=0.02, together_s=0.001, waiting_bytes=200_000)
        async with serving(service, limits=limits) as (server, _):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", server._server.sockets[0].getsockname()[1]))  # type: ignore[union-attr]
            await until(lambda: server.board()["slow"] == 1, 30)
            await until(lambda: server.board()["clients"] == 0)
            one.close()

    run(story)


def test_clients_are_limited(shared):
    async def story() -> None:
        async with serving(shared, limits=TakLimits(clients_of_one=2)) as (server, connect):
            for _ in range(3):
                await connect()
            await until(lambda: server.board()["refused"] == 1)
            assert server.board()["clients"] == 2

    run(story)


# --- who is who


def test_without_tls_only_this_machine_may_connect(shared):
    with pytest.raises(MissionError, match="need TLS with client certificates"):
        asyncio.run(TakServer(shared).start("0.0.0.0", 0))


def test_a_client_is_whom_its_certificate_says(shared, tmp_path):
    """One that nobody knows (any more) is let go, though the mission's authority signed it."""
    server = tls.issue(tmp_path, "server", NOW_REAL, days=1, hosts=("127.0.0.1",))
    mine, strangers = (tls.issue(tmp_path, name, NOW_REAL, days=1) for name in ("party-a", "stranger"))
    authority = tmp_path / tls.FOLDER / "authority.pem"
    known = {mine.der: PARTY_A}

    async def story() -> None:
        tak = TakServer(shared, principal_of_certificate=known.get, limits=SOON)
        port = await tak.start("127.0.0.1", 0, tls.server_context(server.certificate, server.key, authority))
        with pytest.raises(MissionError, match="known by their certificates"):
            await TakServer(shared).start("127.0.0.1", 0, tls.server_context(server.certificate, server.key))
        clients = []
        for one in (mine, strangers):
            context = tls.client_context(authority, one.certificate, one.key)
            clients.append(Client(*await asyncio.open_connection("127.0.0.1", port, ssl=context)))
        await until(lambda: clients[0].uids() == set(marks(shared, PARTY_A)))
        await until(clients[1].task.done)
        assert clients[1].events == []
        for one in clients:
            one.writer.close()
        clients[0].task.cancel()
        await asyncio.gather(*(one.task for one in clients), return_exceptions=True)
        await tak.stop()

    run(story)


def test_a_certificate_that_is_revoked_ends_the_connection(service):
    """At the next whole picture, without a restart."""

    async def story() -> None:
        async with serving(service, limits=TakLimits(snapshot_s=0.1, together_s=0.01)) as (server, connect):
            client = await connect()
            await until(lambda: client.events)
            server._principal = lambda _: None  # type: ignore[method-assign]
            await until(lambda: server.board()["clients"] == 0)

    run(story)


# --- what is told


def test_whoever_has_not_signed_in_is_told_nothing_unless_the_mission_is_public(service):
    assert marks(service, ANYBODY)
    closed = msgspec.structs.replace(service.mission.serve, public=False)
    service.mission = msgspec.structs.replace(service.mission, serve=closed)
    assert marks(service, ANYBODY) == {}


def test_sites_and_zones_are_those_that_are_protected_or_agreed(shared):
    """The storage site of a party's weapons and the landing place of a medical flight are nobody's marks."""
    uids = set(marks(shared, OFFICER))
    assert "truceline-site-power-station.1" in uids
    assert "truceline-zone-no-fly-1" in uids
    assert not [uid for uid in uids if "storage" in uid or "medical" in uid]


def test_silence_is_a_mark_in_words_at_no_sensors_place(service):
    """Where a camera or a patrol is, is never told."""
    asyncio.run(service.alerts.hear([{"id": "cameras", "state": "silent", "silent_since": "2031-03-15T15:00:00Z"}]))
    (found,) = [one for uid, one in marks(service, OFFICER).items() if "alert" in uid]
    assert "Nothing has come from source cameras" in found.words
    assert (found.lon, found.lat) == (service.mission.centre.lon, service.mission.centre.lat)
    assert not [uid for uid in marks(service, STATE) if "alert" in uid]


def test_places_are_a_kilometres_or_a_settlements(shared):
    """To everybody, the mission's own too: what goes over the air can be heard."""
    incidents = {row["incident_id"].hex(): row for row in shared.live.snapshot.tables["incidents"].to_pylist()}
    found = [one for uid, one in marks(shared, OFFICER).items() if "incident" in uid]
    assert len(found) > 20
    ground = coarse.Ground(shared.mission.frame(), _gazetteer())
    for one in found:
        row = incidents[one.uid.rpartition("-")[2]]
        distance_m, _ = geodesic(row["lon"], row["lat"], one.lon, one.lat)
        assert distance_m <= one.ce_m + 1
        assert one.ce_m >= 1000
        lon, lat, _ = ground.cells(np.array([row["lon"]]), np.array([row["lat"]]))
        assert (one.lon, one.lat) == (lon[0], lat[0])


def _gazetteer() -> Any:
    from truceline.places import Gazetteer

    return Gazetteer.load()


@pytest.mark.parametrize("principal", PRINCIPALS, ids=lambda one: one.name)
def test_types_say_neither_friend_nor_foe(shared, principal):
    kinds = {fromstring(mark(one, NOW, NOW)).get("type") for one in marks(shared, principal).values()}
    assert kinds <= {"b-m-p-s-m", "u-d-f"}


RELEASED = [*RELEASES, None, "nonsense"]
TERMS = ["explosion", "explosion.impact", "explosion.outgoing", "weapon.artillery", "ground.build_up", "uav", "fire"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_no_mark_is_of_a_row_that_the_principal_may_not_see(shared, seed):
    """Whatever labels, terms, descriptions and times rows have: what is below the rules is on nobody's map, and
    what says where weapons, forces or aircraft are is not on the mission's either."""
    tables = shared.live.snapshot.tables
    incidents = tables["incidents"]
    number, rng = incidents.num_rows, np.random.default_rng(seed)
    label = [RELEASED[i] for i in rng.integers(0, len(RELEASED), number)]
    what = [TERMS[i] for i in rng.integers(0, len(TERMS), number)]
    said = [(None, None, "outgoing", "impact")[i] for i in rng.integers(0, 4, number)]
    ends = [NOW if late else NOW - timedelta(days=3) for late in rng.integers(0, 2, number)]
    rows = coarse.replaced(
        incidents,
        {
            "release": pa.array(label, pa.string()),
            "what": pa.array(what, pa.string()),
            "description": pa.array(said, pa.string()),
            "first_at": pa.array(ends, incidents["first_at"].type),
            "last_at": pa.array(ends, incidents["last_at"].type),
        },
    )
    findings = coarse.replaced(
        tables["findings"],
        {
            "release": pa.array(["mission"] * tables["findings"].num_rows),
            "first_breach_until": pa.array([NOW] * tables["findings"].num_rows, incidents["last_at"].type),
        },
    )
    before = shared.live.snapshot
    shared.live.snapshot = Snapshot(  # type: ignore[misc]
        before.revision + 1, before.at, before.edition, {**tables, "incidents": rows, "findings": findings}
    )
    try:
        _check_marks(shared, rows)
    finally:
        shared.live.snapshot = before  # type: ignore[misc]


def _check_marks(service: Service, rows: pa.Table) -> None:
    """No mark of what must not be told, for each principal."""
    cues = coarse.cueing(rows)
    plain = rows.select(["incident_id", "release", "last_at"]).to_pylist()
    cueing = {row["incident_id"].hex() for row, cue in zip(plain, cues, strict=True) if cue}
    for principal in PRINCIPALS:
        found = marks(service, principal)
        told = {uid.rpartition("-")[2] for uid in found if "-incident-" in uid or "-finding-" in uid}
        assert not told & cueing
        number = sum("-incident-" in uid for uid in found)
        # Below the mission ids are opaque: how many there are tells as well.
        seen = [
            not cue
            and (principal.label == "mission" or row["release"] in RELEASES)
            and (principal.label == "mission" or RELEASES.index(row["release"]) <= RELEASES.index(principal.label))
            and (principal.label == "mission" or row["last_at"] <= horizon(NOW))
            for row, cue in zip(plain, cues, strict=True)
        ]
        assert number == sum(seen)
        if principal.label != "mission":
            assert not [uid for uid in found if "-finding-" in uid or "-alert-" in uid]
            assert not {row["incident_id"].hex() for row in plain} & told


# --- how it is written


texts = st.text(max_size=40)


@settings(deadline=None)
@given(texts, texts, texts, st.booleans())
def test_any_text_is_well_formed_and_comes_back_as_it_was(uid, name, words, drawn):
    """Markup in a name stays text; what XML cannot write is replaced."""
    outline = ((37.0, 48.0), (38.0, 48.0), (38.0, 49.0)) if drawn else ()
    event = fromstring(mark(Mark(uid, 37.5, 48.1, 1000.0, name, words, -1, outline), NOW, NOW))
    # An attribute has blanks for tabs and line ends.
    printable = "".join(c if c.isprintable() else " " if c in "\t\n" else "\ufffd" for c in name)
    contact = event.find("detail/contact")
    assert (contact.get("callsign") if contact is not None else "") == printable
    assert len(event.findall("detail/link")) == (4 if drawn else 0)
    gone = fromstring(forget(uid, NOW, NOW))
    assert gone.find("detail/__forcedelete") is not None


def test_an_administrator_sees_what_the_mission_sees(shared):
    assert set(marks(shared, ADMINISTRATOR)) == set(marks(shared, OFFICER))
