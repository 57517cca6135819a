"""From a post to its event on the stream of events, for bench/serving_whole.py, in a process of its own."""

import asyncio
import contextlib
import json
import time
from typing import Any, NamedTuple

import numpy as np
from bench._service_load import Service

#: A probe that is in no picture so long after the last one was sent is lost.
_PATIENCE_S = 10.0
#: Connections that probes go over in turn, so that none waits for the acknowledgement of the one before.
_CONNECTIONS = 8


class Probes(NamedTuple):
    """Seconds from a probe's first byte, of those that came back."""

    acknowledged: list[float]
    shown: list[float]
    lost: int

    def told(self) -> str:
        """The figures in words."""
        p50, p95, p99 = np.percentile(self.shown or [np.nan], [50, 95, 99]) * 1000
        found = f"p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f} ms"
        return f"{found} of {len(self.shown)}" + (f", {self.lost} LOST" if self.lost else "")

    def met(self, p99_s: float) -> bool:
        """Whether none was lost and 99 of 100 came in time."""
        return not self.lost and bool(self.shown) and float(np.percentile(self.shown, 99)) < p99_s


def probing(service: Service, per_s: float, seconds: float) -> Probes:
    """Explosions seen, posted at random moments, each at a place of its own by an observer who is never heard again.

    The observer's name stands among the `sensors` of the event that it is fused into, whichever that is: a picture
    event on the stream has shown a probe when the picture asked for since the last one (`/api/picture?since=`) has an
    event with its name. The time is that of the stream's event where the picture asked for has its revision, and of
    the answer where it has a later one: never too early.
    """
    return asyncio.run(_Probing(service).run(per_s, seconds))


class _Probing:
    """Probes on their way."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._sent_s: dict[str, float] = {}
        self._acknowledged: list[float] = []
        self._shown: list[float] = []
        self._heard_s: dict[int, float] = {}  # by revision
        self._news = asyncio.Event()

    async def run(self, per_s: float, seconds: float) -> Probes:
        """Send and hear."""
        rng = np.random.default_rng(5)
        asking = await self._open()
        revision = (await self._ask(asking, None))["revision"]
        events = await self._open()
        events[1].write(self._get("/api/stream/events"))
        tasks = [asyncio.create_task(self._hear(events[0])), asyncio.create_task(self._look(asking, revision))]
        posts = [await self._open() for _ in range(_CONNECTIONS)]
        turns = [asyncio.Lock() for _ in posts]
        count = round(per_s * seconds)
        due_s = time.perf_counter() + np.cumsum(rng.exponential(1 / per_s, count))
        sending = []
        for number in range(count):
            await asyncio.sleep(max(0.0, due_s[number] - time.perf_counter()))
            place = number % _CONNECTIONS
            sending.append(asyncio.create_task(self._post(posts[place], turns[place], number)))
        await asyncio.gather(*sending)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                while self._sent_s:
                    await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for failed in (task.exception() for task in tasks if not task.cancelled()):
            if failed is not None:
                raise failed
        return Probes(self._acknowledged, self._shown, len(self._sent_s))

    async def _post(self, post: Any, turn: asyncio.Lock, number: int) -> None:
        name = f"probe {number}"
        lon, lat = 41.2 + number % 20 * 0.04, 48 + number // 20 % 60 * 0.04
        async with turn:
            reader, writer = post
            body = (
                b'{"kind":"sighting","what":"explosion.impact","at":"%s","lon":%.3f,"lat":%.3f,"major_m":50,'
                b'"sensor":"%s","count":1}' % (self._service.now().isoformat().encode(), lon, lat, name.encode())
            )
            head = (
                "POST /api/sources/post-0/records HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Authorization: Bearer {self._service.device}\r\n"
                f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            self._sent_s[name] = begun = time.perf_counter()
            writer.write(head.encode() + body)
            status, _ = await _answer(reader)
            if status == 200:
                self._acknowledged.append(time.perf_counter() - begun)

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        """When each revision was told on the stream."""
        async for line in reader:
            if line.startswith(b"data:") and "revision" in (told := json.loads(line[5:])):
                self._heard_s.setdefault(told["revision"], time.perf_counter())
                self._news.set()

    async def _look(self, asking: Any, revision: int) -> None:
        """What each picture has that was told of."""
        while True:
            await self._news.wait()
            self._news.clear()
            if max(self._heard_s) <= revision:
                continue
            found = await self._ask(asking, revision)
            revision = found["revision"]
            at = self._heard_s.get(revision, time.perf_counter())
            for feature in found["collections"]["events"]["upserted"]:
                for name in feature["properties"]["sensors"] or ():
                    begun = self._sent_s.pop(name, None)
                    if begun is not None:
                        self._shown.append(at - begun)

    async def _ask(self, asking: Any, since: int | None) -> Any:
        query = "collections=events" + ("" if since is None else f"&since={since}")
        asking[1].write(self._get(f"/api/picture?{query}"))
        status, content = await _answer(asking[0])
        if status != 200:
            raise RuntimeError(f"the picture was asked for, and the answer is {status}: {content[:200]!r}")
        return json.loads(content)

    def _get(self, path: str) -> bytes:
        token = self._service.readers[-1]
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._service.port, limit=1 << 26)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return int(head[9:12]), await reader.readexactly(length)
