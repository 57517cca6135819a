"""Cursor on Target out: a port that TAK clients connect to, and what they then have on their maps.

On connecting and every half minute a client is told everything it may see (`tak_marks`); what changes, at once; what is
no more, by name. Each mark is to be forgotten some minutes after it was last sent, so nothing stays on a map behind a
connection that broke. What clients send is answered where it is a ping; the rest is thrown away, or taken as records
of a source where the service was started so. Protobuf is never offered, so it is never asked for.
"""

import asyncio
import contextlib
import ipaddress
import math
import re
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from truceline.errors import MissionError, NotFoundError, TrucelineError
from truceline.feeds.cot_writing import Mark, forget, joined, mark, pong
from truceline.feeds.framing import Events, Taken
from truceline.release import ANYBODY, Principal
from truceline.serve.access import may
from truceline.serve.addresses import unheard
from truceline.serve.delivery import Board, Delivery
from truceline.serve.query import query_of
from truceline.serve.service import Service
from truceline.serve.tak_marks import marks

_TYPE = re.compile(rb"<event\b[^>]*?\btype\s*=\s*[\"']([^\"']*)[\"']")
_TOPICS = frozenset({"picture", "alert", "case"})
_HANDSHAKE_S = 15.0


@dataclass(frozen=True)
class TakLimits:
    """What clients may take. Assumptions; tests make them small."""

    snapshot_s: float = 30.0
    stale_s: float = 300.0  # ten snapshots missed
    together_s: float = 0.25  # changes within this are told together
    clients: int = 200
    clients_of_one: int = 32  # from one address
    #: What may wait for a client that reads slowly; a whole picture is some hundred KB.
    waiting_bytes: int = 4 << 20


@dataclass(eq=False)
class _Client:
    host: str
    principal: Principal
    writer: asyncio.StreamWriter
    shown: Mapping[str, Mark] = field(default_factory=dict)


class TakServer:
    """Serves TAK clients.

    Parameters
    ----------
    principal_of_certificate
        Who a client certificate (DER) speaks for; None for a certificate that nobody knows: it is let go.
    plain
        Who connects without TLS, from this machine alone.
    source
        The id of a source of the feed `cot`: what clients whose role may report send is taken as its records.
    """

    def __init__(
        self,
        service: Service,
        *,
        principal_of_certificate: Callable[[bytes], Principal | None] | None = None,
        plain: Principal = ANYBODY,
        source: str | None = None,
        limits: TakLimits | None = None,
    ) -> None:
        self._service, self._limits, self._plain = service, limits or TakLimits(), plain
        self._of_certificate = principal_of_certificate
        self._delivery = None if source is None else self._taking(source)
        self._source, self._port = source, 0
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[Any], _Client] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._lock = asyncio.Lock()  # changes reach a client behind what it was told on connecting
        self._counts = Counter[str]()
        self._made: dict[str | None, tuple[float, tuple[Mapping[str, Mark], bytes]]] = {}

    def _taking(self, source: str) -> Delivery:
        found = next((one for one in self._service.mission.source if one.id == source), None)
        if found is None or found.feed != "cot":
            raise MissionError(
                f"{source!r} is no source of the feed 'cot': what TAK clients send cannot be taken as its"
            )
        return Delivery(found, self._service.gate, Board(source, "from TAK clients"), self._service.clock)

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen; the port.

        Raises
        ------
        MissionError
            Without TLS on anything but this machine's own address; with TLS that asks no client certificate; when
            the port is taken.
        """
        if tls is None and not _is_loopback(host):
            raise MissionError(f"TAK clients on {host} need TLS with client certificates; without it only 127.0.0.1")
        if tls is not None and (tls.verify_mode != ssl.CERT_REQUIRED or self._of_certificate is None):
            raise MissionError("TAK clients are known by their certificates: give the authority that signs them")
        patience = {} if tls is None else {"ssl_handshake_timeout": _HANDSHAKE_S}
        try:
            self._server = await asyncio.start_server(self._connected, host, port, ssl=tls, limit=1 << 16, **patience)
        except OSError as error:
            raise MissionError(f"TAK port {host}:{port}: cannot be listened on: {unheard(error)}") from error
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._tell())]
        self._port = int(self._server.sockets[0].getsockname()[1])
        return self._port

    async def stop(self) -> None:
        """Stop listening and let every client go."""
        if self._server is not None:
            self._server.close()
        for task in (*self._tasks, *self._clients):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._clients, return_exceptions=True)
        self._tasks = []

    def board(self) -> dict[str, Any]:
        """clients now; since the start connected, refused, slow (let go), pings, taken and discarded events."""
        names = ("connected", "refused", "slow", "pings", "taken", "discarded")
        return {"clients": len(self._clients)} | {name: self._counts[name] for name in names}

    def row(self) -> dict[str, Any]:
        """As the board of sources has it: what goes out by this port, and into which source what comes in is taken."""
        return {"id": f"tak:{self._port}", "feed": "cot", "state": "out", "source": self._source, **self.board()}

    # Clients

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = writer.get_extra_info("peername")
        host = str(peer[0]) if isinstance(peer, tuple) else "local"
        principal = await asyncio.to_thread(self._principal, writer)
        of_one = sum(one.host == host for one in self._clients.values())
        full = len(self._clients) >= self._limits.clients or of_one >= self._limits.clients_of_one
        if principal is None or full:
            self._counts["refused"] += 1
            writer.transport.abort()
            return
        client = _Client(host, principal, writer)
        self._clients[task] = client
        self._counts["connected"] += 1
        try:
            async with self._lock:
                client.shown, whole = await self._pictured(principal)
                self._send(client, whole)
            await self._read(client, reader)
        except (asyncio.CancelledError, OSError, TrucelineError):
            pass  # stopped, or broken; or there is no picture now, and the client comes again
        finally:
            del self._clients[task]
            writer.transport.abort()

    def _principal(self, writer: asyncio.StreamWriter) -> Principal | None:
        tls = writer.get_extra_info("ssl_object")
        if tls is None:
            return self._plain
        shown = tls.getpeercert(binary_form=True)
        return self._of_certificate(shown) if shown and self._of_certificate is not None else None

    async def _read(self, client: _Client, reader: asyncio.StreamReader) -> None:
        framing = Events()
        while True:
            # A client may only listen: one that is gone is found by writing to it.
            data = await reader.read(1 << 16)
            if not data:
                return
            now = self._service.clock()
            framing.push(data, now.timestamp())
            found = framing.take(now.timestamp())
            others = []
            for raw in found.records:
                kind = _TYPE.match(raw)
                if kind is not None and kind[1] == b"t-x-c-t":
                    self._counts["pings"] += 1
                    self._send(client, joined([pong(now, now + timedelta(seconds=60))]))
                else:
                    others.append(raw)
            await self._take(client, Taken(others, found.unreadable))
            if framing.lost:
                return

    async def _take(self, client: _Client, found: Taken) -> None:
        """Give what a client sent to the source that takes it; throw it away where there is none."""
        number = len(found.records) + len(found.unreadable)
        if self._delivery is None or not may(client.principal, "report"):
            self._counts["discarded"] += number
            return
        # What clients say to servers alone (`t-`: pings, protocol, tasks) is no report.
        said = [raw for raw in found.records if not _is_talk(raw)]
        self._counts["taken"] += len(said) + len(found.unreadable)
        self._counts["discarded"] += len(found.records) - len(said)
        name = f"TAK client {client.principal.name}"
        for raw, reason in found.unreadable:
            await self._delivery.refuse([raw], reason, name)
        again = Events()
        for raw in said:
            again.unit(raw, 0.0)
        await self._delivery.take(again, name)

    def _send(self, client: _Client, data: bytes) -> None:
        """Write without waiting; a client that reads too slowly is let go, and comes back to a whole picture."""
        if client.writer.transport.is_closing():
            return
        client.writer.write(data)
        if client.writer.transport.get_write_buffer_size() > self._limits.waiting_bytes:
            self._counts["slow"] += 1
            client.writer.transport.abort()

    # What they are told

    async def _pictured(self, principal: Principal) -> tuple[Mapping[str, Mark], bytes]:
        """As `_picture`; made a moment ago for another client of the label, it is taken again."""
        label, now = query_of(self._service).label(principal), asyncio.get_running_loop().time()
        made_at, made = self._made.get(label, (-math.inf, ({}, b"")))
        if now - made_at > self._limits.together_s:
            made = await asyncio.to_thread(self._picture, principal)
            self._made[label] = now, made
        return made

    def _picture(self, principal: Principal) -> tuple[Mapping[str, Mark], bytes]:
        """The marks of a principal, and all of them as events. Not for the event loop."""
        shown = marks(self._service, principal)
        return shown, self._events(shown.values())

    def _events(self, some: Any) -> bytes:
        now = self._service.clock()
        stale = now + timedelta(seconds=self._limits.stale_s)
        return joined([mark(one, now, stale) for one in some])

    async def _watch(self) -> None:
        """Notice what happens."""
        while True:
            with contextlib.suppress(NotFoundError):
                async for _ in self._service.bus.listen(_TOPICS):
                    self._changed.set()
            self._changed.set()  # the place was lost: something did happen
            await asyncio.sleep(self._limits.together_s)

    async def _tell(self) -> None:
        """Tell all clients what changed; every `snapshot_s` everything."""
        loop = asyncio.get_running_loop()
        whole_at = loop.time() + self._limits.snapshot_s
        while True:
            try:
                async with asyncio.timeout_at(whole_at):
                    await self._changed.wait()
                    await asyncio.sleep(self._limits.together_s)
            except TimeoutError:
                pass
            self._changed.clear()
            whole = loop.time() >= whole_at
            if whole:
                whole_at = loop.time() + self._limits.snapshot_s
            # Without a picture now (its files cannot be read) there will be one later; marks grow stale by then.
            with contextlib.suppress(TrucelineError):
                async with self._lock:
                    await self._tell_all(whole)

    async def _tell_all(self, whole: bool) -> None:
        """Each label's picture is made once, and what is different for each state that clients are in."""
        query = query_of(self._service)
        self._made.clear()
        pictures: dict[str | None, tuple[Mapping[str, Mark], bytes]] = {}
        differences: dict[tuple[str | None, int], bytes] = {}
        kept = []  # what `differences` is known by must live as long as it
        for client in list(self._clients.values()):
            if whole:  # a certificate may have been revoked, an account changed
                principal = await asyncio.to_thread(self._principal, client.writer)
                if principal is None:
                    client.writer.transport.abort()
                    continue
                client.principal = principal
            label = query.label(client.principal)
            if label not in pictures:
                pictures[label] = await self._pictured(client.principal)
            shown, everything = pictures[label]
            key = (label, id(client.shown))
            if key not in differences:
                kept.append(client.shown)
                differences[key] = self._difference(client.shown, shown, changed=not whole)
            self._send(client, differences[key] + (everything if whole else b""))
            client.shown = shown

    def _difference(self, before: Mapping[str, Mark], now: Mapping[str, Mark], *, changed: bool) -> bytes:
        at = self._service.clock()
        gone = [forget(uid, at, at + timedelta(seconds=60)) for uid in before if uid not in now]
        new = [one for uid, one in now.items() if before.get(uid) != one] if changed else []
        return joined(gone) + self._events(new)


def _is_talk(raw: bytes) -> bool:
    kind = _TYPE.match(raw)
    return kind is not None and kind[1].startswith(b"t-")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
