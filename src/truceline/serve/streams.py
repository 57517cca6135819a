"""What happens, as it happens: events for whoever may see them, tracks for the mission, alerts to acknowledge."""

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.requests import Request
from starlette.websockets import WebSocket, WebSocketDisconnect

from truceline.errors import NotFoundError
from truceline.release import Principal, visible
from truceline.serve.access import Acknowledge, Evidence, See
from truceline.serve.moving_now import RECORD
from truceline.serve.service import Alert, Message, Service, service_of

router = APIRouter(tags=["streams"])

TOPICS = frozenset({"alert", "picture", "source", "case"})
#: Of these only those below the mission hear, and of them what is released to them.
RELEASED_TOPICS = frozenset({"alert", "picture", "case"})
#: A silent connection is taken for dead by proxies after 30 to 60 s. Whether whoever listens still may, the guard asks.
KEEP_ALIVE_S = 15.0
#: How long a browser waits before it comes back.
_RETRY_MS = 2000
_ENCODED = 1024
#: Tracks told at once: what a page takes in within a few milliseconds.
_TOLD = 8192
_HEAD = 16

AlertId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Id of an alert, 32 hexadecimal digits.")]


class Seal:
    """Resume ids that say nothing: a party must not count, by the gaps, what it is not told."""

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305, one block, each number once

    def closed(self, number: int) -> str:
        """The number as its reader gets it."""
        one = self._cipher.encryptor()
        return (one.update(number.to_bytes(16, "big")) + one.finalize()).hex()

    def opened(self, text: str) -> int | None:
        """The number again; None when the text is none of ours."""
        try:
            block = bytes.fromhex(text)
        except ValueError:
            return None
        if len(block) != 16:
            return None
        one = self._cipher.decryptor()
        number = int.from_bytes(one.update(block) + one.finalize(), "big")
        return number if number < 1 << 63 else None


_SEAL = Seal(os.urandom(16))  # of this run: ids of another are told to begin anew
_encoded: dict[int, tuple[Message, bytes]] = {}


@router.get(
    "/api/stream/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events, without end."}},
)
async def events(
    request: Request,
    principal: See,
    after: Annotated[str | None, Query(max_length=64, description="Resume behind this id.")] = None,
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> StreamingResponse:
    """Alerts, changes of the picture, of sources and of cases, as they happen: server-sent events.

    Each has the topic as its `event` and an `id`; with it in `Last-Event-ID` (or `?after=`) one gets what came since.
    `reset` says that this is too long ago: fetch what is shown anew, and go on from here.
    """
    service = service_of(request)
    resume = after if after is not None else last_event_id
    return StreamingResponse(
        _events(service, principal, resume),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(service: Service, principal: Principal, resume: str | None) -> AsyncIterator[bytes]:
    whole = principal.label == "mission"
    topics = TOPICS if whole else RELEASED_TOPICS
    number = None if resume is None else _number(resume, whole)
    messages = service.bus.listen(topics, number) if resume is None or number is not None else None
    yield b"retry: %d\n\n" % _RETRY_MS
    pending: asyncio.Future[Message] | None = None
    loop = asyncio.get_running_loop()
    due_s = loop.time() + KEEP_ALIVE_S  # of what this reader was sent: what it is not told must not move it
    try:
        while True:
            if messages is None:  # too long ago: whoever fetches anew now must not miss what comes meanwhile
                messages = service.bus.listen(topics)
                pending = asyncio.ensure_future(anext(messages))
                await asyncio.sleep(0)
                yield b"event: reset\ndata: {}\n\n"
            if pending is None:
                pending = asyncio.ensure_future(anext(messages))
            await asyncio.wait({pending}, timeout=max(0.0, due_s - loop.time()))
            if loop.time() >= due_s:
                due_s = loop.time() + KEEP_ALIVE_S
                yield b": still here\n\n"
            if not pending.done():
                continue
            done, pending = pending, None
            try:
                message = done.result()
            except NotFoundError:
                messages = None
                continue
            except StopAsyncIteration:  # too slow, or the service ends
                return
            if visible(message.label, principal):
                due_s = loop.time() + KEEP_ALIVE_S
                yield _encode(message, whole)
    finally:
        if pending is not None:
            pending.cancel()
            with contextlib.suppress(asyncio.CancelledError, NotFoundError, StopAsyncIteration):
                await pending
        if messages is not None:
            await messages.aclose()  # type: ignore[attr-defined]


def _number(text: str, whole: bool) -> int | None:
    if not whole:
        return _SEAL.opened(text)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _encode(message: Message, whole: bool) -> bytes:
    """An event's bytes, made once for all who see its number."""
    if not whole:
        return _event(message, _SEAL.closed(message.number))
    kept = _encoded.get(id(message))
    if kept is None or kept[0] is not message:
        if len(_encoded) >= _ENCODED:
            _encoded.clear()
        kept = _encoded[id(message)] = message, _event(message, str(message.number))
    return kept[1]


def _event(message: Message, number: str) -> bytes:
    content = msgspec.json.encode(message.content)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (number.encode(), message.topic.encode(), content)


@router.websocket("/api/stream/tracks")
async def tracks(socket: WebSocket, _: Evidence) -> None:
    """Every live track, then what changes, at most once a second; docs/live.md has the layout."""
    service = service_of(socket)
    await socket.accept()
    leaving = asyncio.ensure_future(_left(socket))
    sending = asyncio.ensure_future(_send(socket, service))
    try:
        await asyncio.wait({leaving, sending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (leaving, sending):
            task.cancel()
        await asyncio.gather(leaving, sending, return_exceptions=True)
    with contextlib.suppress(RuntimeError):  # it has left already
        await socket.close(1012, "begin anew")


async def _send(socket: WebSocket, service: Service) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        async for frame in service.live.tracks():
            if isinstance(frame, str):
                await socket.send_text(frame)
            else:
                for part in parts(frame):
                    await socket.send_bytes(part)


def parts(frame: bytes) -> Iterator[bytes]:
    """A frame of tracks as frames of at most 8,192, so that no reader is held up by one of them."""
    step = _TOLD * RECORD.itemsize
    if len(frame) <= _HEAD + step:
        yield frame
        return
    for begin in range(_HEAD, len(frame), step):
        records = frame[begin : begin + step]
        yield frame[:4] + struct.pack("<I", len(records) // RECORD.itemsize) + frame[8:_HEAD] + records


async def _left(socket: WebSocket) -> None:
    """Returns when the reader has gone; what it sends is not wanted."""
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_bytes()


class Acknowledgement(BaseModel):
    """What is said with it."""

    model_config = {"json_schema_extra": {"examples": [{"text": "patrol 3 is on its way"}]}}
    text: str | None = None


@router.get("/api/alerts")
async def alerts(
    request: Request,
    principal: See,
    state: Annotated[Literal["standing", "raised", "changed", "acknowledged", "withdrawn"] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict[str, Any]:
    """The alerts, the newest first; what was taken back is among them, and says why."""
    found = service_of(request).alerts.listed(state, limit if principal.label == "mission" else 100_000)
    return {"alerts": [one.content() for one in found if visible(one.release, principal)][:limit]}


@router.post("/api/alerts/{alert_id}/acknowledge")
async def acknowledge(
    alert_id: AlertId, request: Request, principal: Acknowledge, said: Acknowledgement | None = None
) -> dict[str, Any]:
    """Say that you have seen it; twice is once."""
    service = service_of(request)
    alert = service.alerts.get(bytes.fromhex(alert_id))
    if not visible(alert.release, principal):
        raise NotFoundError(f"there is no alert {alert_id}")
    done: Alert = await service.alerts.acknowledge(alert.alert_id, principal.name, said.text if said else None)
    return done.content()
