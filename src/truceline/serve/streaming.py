"""Records over sockets: TCP and TLS that others connect to, TCP and TLS that we connect to, datagrams.

A TCP sender that is too fast is made to wait: nothing more is read until the gate has taken what was. A datagram
cannot wait; what is beyond the queue is dropped, and counted.
"""

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
import struct
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from truceline.feeds.framing import Framing, Make
from truceline.serve.addresses import Address
from truceline.serve.delivery import Delivery, Limits

#: Read at a time, and kept by the reader of a connection; the system's own buffers come on top.
_READ_BYTES = 1 << 16
#: Given to the framing before it goes to the gate.
_TOGETHER_BYTES = 1 << 18
#: Asked of the system for datagrams: a second of a very busy port.
_SYSTEM_BUFFER_BYTES = 4 << 20
#: How long the opening of an encrypted or a plain connection may take.
_OPEN_S = 15.0


class Listener:
    """A port that others connect to and send."""

    def __init__(self, make: Make, delivery: Delivery, limits: Limits, scheme: str) -> None:
        self._make, self._delivery, self._limits, self._scheme = make, delivery, limits, scheme
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[Any], str] = {}

    async def start(self, address: Address, context: ssl.SSLContext | None) -> int:
        """Listen; the port."""
        patience = {"ssl_handshake_timeout": _OPEN_S} if context is not None else {}
        self._server = await asyncio.start_server(
            self._connected, address.host, address.port, limit=_READ_BYTES, ssl=context, **patience
        )
        self._delivery.state("listening")
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, host = asyncio.current_task(), _host(writer)
        assert task is not None
        of_one = Counter(self._open.values())[host]
        if len(self._open) >= self._limits.connections or of_one >= self._limits.connections_of_one:
            self._delivery.board.refused_connections += 1
            self._delivery.state("listening", f"{host} was refused: too many connections")
            writer.transport.abort()
            return
        self._open[task] = host
        self._delivery.board.connections += 1
        self._delivery.changed.set()
        try:
            await receive(reader, self._make(), self._delivery, self._limits, f"{self._scheme} {host}{_said(writer)}")
        except asyncio.CancelledError:
            pass  # the service stops
        except Exception as error:  # noqa: BLE001 one sender's fault is no other's
            self._delivery.state("listening", f"{host}: {error or type(error).__name__}")
        finally:
            del self._open[task]
            self._delivery.board.connections -= 1
            self._delivery.changed.set()
            writer.transport.abort()


def _host(writer: asyncio.StreamWriter) -> str:
    peer = writer.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else "local"


def _said(writer: asyncio.StreamWriter) -> str:
    """The name in the certificate of the other end, where it showed one."""
    shown = writer.get_extra_info("peercert") or {}
    names = [value for part in shown.get("subject", ()) for key, value in part if key == "commonName"]
    return f" ({names[0]})" if names else ""


def connector(address: Address, make: Make, delivery: Delivery, limits: Limits) -> Callable[[], Awaitable[None]]:
    """Connect, and read until the other end closes."""
    context = ssl.create_default_context() if address.scheme == "tls" else None

    async def run() -> None:
        delivery.state("connecting")
        async with asyncio.timeout(_OPEN_S):
            reader, writer = await asyncio.open_connection(
                address.host, address.port, limit=_READ_BYTES, ssl=context
            )  # fmt: skip
        delivery.board.connections = 1
        delivery.state("connected")
        try:
            await receive(reader, make(), delivery, limits, f"{address.scheme} {address.host}")
        finally:
            delivery.board.connections = 0
            writer.transport.abort()

    return run


async def receive(
    reader: asyncio.StreamReader, framing: Framing, delivery: Delivery, limits: Limits, name: str
) -> None:
    """Read one connection to its end: give on what is whole, and at the end what is left, as it is."""
    loop = asyncio.get_running_loop()
    open_since = loop.time()  # of the record that waits for its end
    try:
        while True:
            patience_s = limits.record_s if framing.waiting else limits.idle_s
            data = await _read(reader, patience_s)
            if data is None and framing.waiting:
                # The rest of a record, or the parts of a message, did not come: told as broken, and waited on.
                if not await delivery.take(framing, name, ended=True):
                    return
                continue
            if data is None:
                delivery.state(delivery.board.state, f"{name}: nothing for {limits.idle_s:g} s; closed")
                return
            begun, size = loop.time(), 0
            while data:
                framing.push(data, delivery.received(len(data)))
                size += len(data)
                left_s = begun + limits.together_s - loop.time()
                if framing.lost or size >= _TOGETHER_BYTES or left_s <= 0:
                    break
                data = await _read(reader, left_s)
            # A trickle that never ends a record is not waited on for ever either.
            late = loop.time() - open_since > 10 * limits.record_s
            before = delivery.board.payloads, delivery.board.unreadable
            if not await delivery.take(framing, name, ended=late or data == b""):
                return
            if framing.lost:
                await delivery.take(framing, name, ended=True)
                delivery.state(delivery.board.state, f"{name}: can no longer be followed; closed")
                return
            if data == b"":
                return
            if before != (delivery.board.payloads, delivery.board.unreadable) or not framing.waiting:
                open_since = loop.time()
    except OSError as error:
        delivery.state(delivery.board.state, f"{name}: {error.strerror or error or type(error).__name__}")
        await delivery.take(framing, name, ended=True)
    except asyncio.CancelledError:
        # The service stops: what was read is not lost, if the gate takes it at once.
        with contextlib.suppress(asyncio.TimeoutError, Exception):
            async with asyncio.timeout(1.0):
                await delivery.take(framing, name, ended=True)
        raise


async def _read(reader: asyncio.StreamReader, patience_s: float) -> bytes | None:
    """The next bytes; none at the end, None when nothing has come in time."""
    try:
        async with asyncio.timeout(patience_s):
            return await reader.read(_READ_BYTES)
    except TimeoutError:
        return None


class Datagrams(asyncio.DatagramProtocol):
    """Datagrams that wait for the gate."""

    def __init__(self, delivery: Delivery, limits: Limits) -> None:
        self._delivery, self._limits = delivery, limits
        self.waiting: deque[tuple[bytes, float, str]] = deque()
        self.waiting_bytes = 0
        self.more = asyncio.Event()
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport if isinstance(transport, asyncio.DatagramTransport) else None

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        at_s = self._delivery.received(len(data))
        full = len(self.waiting) >= self._limits.waiting_units
        if full or self.waiting_bytes + len(data) > self._limits.waiting_bytes:
            self._delivery.dropped(1, len(data))
            return
        self.waiting.append((data, at_s, str(addr[0])))
        self.waiting_bytes += len(data)
        self.more.set()

    def error_received(self, exc: Exception) -> None:
        self._delivery.board.problem = str(exc)

    def some(self) -> list[tuple[bytes, float, str]]:
        """What waits, as much as goes to the gate at once, all of one sender."""
        found: list[tuple[bytes, float, str]] = []
        size = 0
        while self.waiting and size < _TOGETHER_BYTES and (not found or self.waiting[0][2] == found[0][2]):
            found.append(self.waiting.popleft())
            size += len(found[-1][0])
        self.waiting_bytes -= size
        return found


async def datagrams(
    address: Address, make: Make, delivery: Delivery, limits: Limits
) -> tuple[int, Callable[[], Awaitable[None]]]:
    """Bind a port for datagrams: its number, and what takes them to the gate until it is cancelled."""
    loop = asyncio.get_running_loop()
    queue = Datagrams(delivery, limits)
    transport, _ = await loop.create_datagram_endpoint(lambda: queue, sock=_bound(address))
    delivery.state("listening")
    framing, inode, lost = make(), os.fstat(transport.get_extra_info("socket").fileno()).st_ino, 0

    async def run() -> None:
        nonlocal lost
        delivery.state("listening")
        try:
            while True:
                waits = framing.waiting > 0
                with contextlib.suppress(asyncio.TimeoutError):
                    async with asyncio.timeout(limits.record_s if waits else None):
                        await queue.more.wait()
                if not queue.waiting:
                    await delivery.take(framing, "udp", ended=True)  # parts whose others did not come
                    continue
                await asyncio.sleep(limits.together_s)
                while found := queue.some():
                    for data, at_s, _ in found:
                        framing.unit(data, at_s)
                    await delivery.take(framing, f"udp {found[0][2]}")
                queue.more.clear()
                dropped = _dropped_by_system(inode)
                if dropped > lost:
                    delivery.dropped(dropped - lost, 0)
                    lost = dropped
        except asyncio.CancelledError:
            transport.close()
            raise

    return int(transport.get_extra_info("sockname")[1]), run


def _dropped_by_system(inode: int) -> int:
    """How many datagrams the system dropped before we could read them, as Linux tells; 0 elsewhere."""
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[9]) == inode:
                    return int(fields[-1])
    return 0


def _bound(address: Address) -> socket.socket:
    """A socket for datagrams; of a multicast address one that has joined the group."""
    kind, _, _, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)[0]
    one = socket.socket(kind, socket.SOCK_DGRAM)
    try:
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SYSTEM_BUFFER_BYTES)
        group = ipaddress.ip_address(where[0])
        if group.is_multicast and group.version == 4:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((str(where[0]), address.port))
            one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("=4sl", group.packed, 0))
        else:
            one.bind(where)
    except OSError:
        one.close()
        raise
    return one
