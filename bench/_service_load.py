"""What bench/serving_whole.py sends and hears, each in a process of its own: posts, readers of events and of tracks."""

import asyncio
import itertools
import re
import struct
import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

#: What moves: so many tracks, each heard in turn.
TRACKS = 50_000
#: Of single posts one in so many is something seen, which is drawn; the others are positions.
SEEN_IN = 10


_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Service(NamedTuple):
    """A service under load."""

    port: int
    ahead_s: float  # of the mission's time before the wall's
    device: str
    readers: list[str]

    def now(self) -> datetime:
        """The mission's time."""
        return datetime.fromtimestamp(time.time() + self.ahead_s, UTC)


def fixes(first: int, count: int, now: datetime, began_s: float) -> bytes:
    """Positions of tracks, at some 8 m/s on a grid of 1.4 km: tracks do not meet."""
    at, gone_s = now.isoformat(), time.time() - began_s
    return b"\n".join(
        b'{"kind":"fix","what":"vessel","at":"%s","lon":%.6f,"lat":%.6f,"identity":"mmsi:%09d","speed_mps":8.0,'
        b'"course_deg":90.0,"major_m":10.0}'
        % (at.encode(), 36.9 + k % 250 * 0.017 + gone_s * 1.1e-4, 47.8 + k // 250 * 0.015, 200000000 + k)
        for k in (j % TRACKS for j in range(first, first + count))
    )


def seen(number: int, now: datetime) -> bytes:
    """An explosion somewhere in the theatre."""
    place = number * 2654435761 % (1 << 32)
    lon, lat = 37 + place % 40009 / 10000, 47.8 + place // 40009 % 30011 / 10000
    return (
        b'{"kind":"sighting","what":"explosion.impact","at":"%s","lon":%.6f,"lat":%.6f,"sensor":"post %d","count":%d}'
        % (now.isoformat().encode(), lon, lat, number % 40, 1 + number % 5)
    )


async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str, source: str, body: bytes) -> int:
    """Post, and read the answer: its status."""
    head = (
        f"POST /api/sources/{source}/records HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    told = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in told.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(told[9:12])


def posting(service: Service, what: str, connections: int, rows: int, per_s: float | None, seconds: float) -> Any:
    """Post for so long: times to acknowledgement, and how many were refused. `what`: "single" posts, or "fixes"."""
    return asyncio.run(_posting(service, what, connections, rows, per_s, seconds))


class _Load:
    """What all connections of a load share: what is posted, and how it was answered."""

    def __init__(self, service: Service, what: str, rows: int, seconds: float) -> None:
        self.service, self.what, self.rows = service, what, rows
        self.took_s: list[float] = []
        self.refused = 0
        self.until_s = time.perf_counter() + seconds
        self._numbers, self._began_s = itertools.count(), time.time()

    def body(self) -> bytes:
        """The next."""
        number = next(self._numbers)
        if self.what == "single" and number % SEEN_IN == 0:
            return seen(number, self.service.now())
        first = number * self.rows if self.what == "fixes" else TRACKS // 2 + number
        return fixes(first, self.rows, self.service.now(), self._began_s)


class _Device(asyncio.Protocol):
    """One connection that is kept open: it posts, has the answer whole, and posts again, at once or when it is due.

    Load and service share the cores: a protocol, because streams cost three times as much.
    """

    def __init__(self, load: _Load, source: str, pause_s: float, due_s: float) -> None:
        self._load, self._pause_s, self._due_s = load, pause_s, due_s
        self._head = (
            f"POST /api/sources/{source}/records HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
            f"{load.service.device}\r\nContent-Type: application/x-ndjson\r\nContent-Length: "
        ).encode()
        self._answer = b""
        self._began_s = 0.0
        self._loop = asyncio.get_running_loop()
        self.done = self._loop.create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._wait()

    def connection_lost(self, _: Exception | None) -> None:
        self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, _, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None or len(body) < int(length[1]):
            return
        if head[9:12] == b"200":
            self._load.took_s.append(time.perf_counter() - self._began_s)
        else:
            self._load.refused += 1
        self._answer = b""
        self._wait()

    def _wait(self) -> None:
        now_s = time.perf_counter()
        if max(now_s, self._due_s) >= self._load.until_s:
            self._transport.close()
        elif self._due_s > now_s:
            self._loop.call_later(self._due_s - now_s, self._post)
        else:
            self._post()

    def _post(self) -> None:
        body = self._load.body()
        # from when it was due: who comes late because the one before waited has waited, too
        self._began_s = self._due_s if self._pause_s else time.perf_counter()
        self._due_s += self._pause_s
        self._transport.write(b"%s%d\r\n\r\n%s" % (self._head, len(body), body))


async def _posting(
    service: Service, what: str, connections: int, rows: int, per_s: float | None, seconds: float
) -> tuple[list[float], int]:
    load, loop = _Load(service, what, rows, seconds), asyncio.get_running_loop()
    pause_s = 0.0 if per_s is None else connections / per_s
    begin_s = time.perf_counter()
    devices = []
    for place in range(connections):
        device = _Device(load, f"post-{place % 4}", pause_s, begin_s + pause_s * place / connections)
        await loop.create_connection(lambda device=device: device, "127.0.0.1", service.port)
        devices.append(device)
    await asyncio.gather(*(device.done for device in devices))
    return load.took_s, load.refused


def hearing(service: Service, readers: int, seconds: float) -> tuple[int, int, int]:
    """So many readers of events for so long: those that listened to the end, messages they had, the least of one."""
    return asyncio.run(_hearing(service, readers, seconds))


async def _hearing(service: Service, readers: int, seconds: float) -> tuple[int, int, int]:
    async def one(place: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        token = service.readers[place % len(service.readers)]
        writer.write(
            f"GET /api/stream/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        count = 0
        try:
            async with asyncio.timeout(seconds):
                while line := await reader.readline():
                    count += line.startswith(b"event:")
        except TimeoutError:
            return count
        finally:
            writer.close()
        return -1

    had = await asyncio.gather(*(one(place) for place in range(readers)))
    stayed = [count for count in had if count >= 0]
    return len(stayed), sum(stayed), min(stayed, default=0)


def watching(service: Service, seconds: float) -> list[tuple[float, int, int, float]]:
    """A page's tracks for so long: of each frame its moment, bytes, tracks, their median age in seconds."""
    return asyncio.run(_watching(service, seconds))


async def _watching(service: Service, seconds: float) -> list[tuple[float, int, int, float]]:
    from websockets.asyncio.client import connect

    frames = []
    headers = {"Authorization": f"Bearer {service.readers[0]}"}
    url = f"ws://127.0.0.1:{service.port}/api/stream/tracks"
    try:
        async with asyncio.timeout(seconds), connect(url, max_size=None, additional_headers=headers) as socket:
            async for frame in socket:
                if isinstance(frame, bytes):
                    count, at_s = struct.unpack_from("<Id", frame, 4)
                    ages = np.frombuffer(frame, np.uint32, offset=16).reshape(-1, 6)[:, 5]
                    age_s = float(np.median(ages)) / 1000 if count else 0.0
                    frames.append((at_s, len(frame), count, age_s))
    except TimeoutError:
        pass
    return frames
