"""What stands before every endpoint: limits, other sites kept out, headers, one line in the log for each request.

In the log stand method, path, status, time, who, from where and the request's id; no query, header or body, since that
is where passwords, tokens and cookies are. uvicorn's own access log prints queries: `UVICORN` switches it off.
"""

import logging
import re
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import quote

from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from truceline.errors import TrucelineError
from truceline.release import Principal
from truceline.serve.audit import address_of
from truceline.serve.door import csrf_of, presented
from truceline.serve.service import PRINCIPAL, service_of
from truceline.serve.throttle import Buckets

log = logging.getLogger("truceline.serve")

MIB = 1 << 20

#: Where a body may be larger, once one is signed in: method, path, bytes. Records of a source; a case's attachment.
LARGER = (
    ("POST", re.compile(r"/api/sources/[^/]+/records"), 64 * MIB),
    ("PUT", re.compile(r"/api/cases/[^/]+/attachments"), 32 * MIB),
)
#: What has a limit of its own, by source (the gate's); only for who is signed in.
UNCOUNTED = LARGER[:1]
#: Connections that stay open.
STREAMS = "/api/stream/"
#: All headers of a request together; browsers and proxies send a tenth of it.
HEADER_BYTES = 32 << 10
#: So often a stream asks again whether whoever reads it still may: what is revoked ends.
RECHECK_S = 5.0

#: The page's: everything from this host, nothing inline, in nobody's frame.
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "worker-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
#: For a document of ours that carries its own style (the daily report): an endpoint that sets it says so itself.
DOCUMENT_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)

#: On every answer; an endpoint that has set one of them keeps its own.
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # the form for sightings asks where one stands; nothing else of the device is wanted
    "permissions-policy": "geolocation=(self), camera=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_ENCODED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
#: Answers under these hold data and are kept in no cache.
DATA = ("/api/", "/ogc", "/metrics")
#: A year: who has once come by TLS never comes without.
HSTS = "max-age=31536000"

#: How uvicorn is to be started, beside host, port and TLS. Behind a proxy on this machine: `proxy_headers=True`.
UVICORN: dict[str, Any] = {
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,  # else any local process says where it comes from
    "ws_max_size": 64 << 10,  # nobody sends us more than a request for a part of the picture
    "timeout_keep_alive": 15,
    "timeout_graceful_shutdown": 5,
}

#: The names under which a service on loopback is asked for. Another name that leads here is somebody's rebinding.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Limits:
    """What one may ask of the service."""

    hosts: frozenset[str] | None = None  # the names it answers to; None: any. `LOOPBACK` when bound to loopback
    body_bytes: int = MIB
    requests_per_s: float = 50.0  # of a principal, or of an address that has not signed in: a page asks for less
    burst: float = 300.0  # a page and its modules, twice
    streams: int = 32  # open at once, of a principal or an address: several desks under one name, two streams each


class _Refused(Exception):
    """Answered before the application: status, sentence, headers."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


class Guard:
    """ASGI middleware; the application's state has the service."""

    def __init__(self, app: ASGIApp, limits: Limits | None = None) -> None:
        self.app, self.limits = app, limits or Limits()
        self._asked = Buckets(self.limits.requests_per_s, self.limits.burst)
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        asked = _Asked(scope, receive, send, self.limits)
        began = time.perf_counter()
        counted = None
        try:
            self._check_form(asked.connection)
            principal = service_of(asked.connection).principal_of(asked.connection)
            asked.principal = scope[PRINCIPAL] = principal
            key = address_of(asked.connection) if principal.via == "anonymous" else f"as {principal.name}"
            self._check_rate(asked, key)
            _check_site(asked.connection)
            asked.check_length()
            if scope["path"].startswith(STREAMS):
                if self._open[key] >= self.limits.streams:
                    raise _Refused(429, f"{self._open[key]} streams are open already", {"Retry-After": "5"})
                self._open[key] += 1
                counted = key
            await self.app(scope, asked.receive, asked.send)
            if asked.too_large and not asked.started:
                raise asked.too_much()
        except _Refused as refused:
            await asked.answer(refused.status, refused.detail, refused.headers)
        except (ClientDisconnect, WebSocketDisconnect):
            pass  # whoever asked has gone
        except TrucelineError as error:  # the accounts cannot be read
            await asked.answer(503, str(error))
        except Exception:  # the one place that catches all: a user never meets a traceback
            if asked.too_large and not asked.started:
                too_much = asked.too_much()
                await asked.answer(too_much.status, too_much.detail, too_much.headers)
            elif not asked.over:
                log.exception("request %s failed", asked.id)
                if asked.started:
                    raise
                await asked.answer(500, f"something failed here; the log has it under {asked.id}")
        finally:
            if counted is not None:
                self._open[counted] -= 1
                if not self._open[counted]:
                    del self._open[counted]
            asked.logged(time.perf_counter() - began)

    def _check_form(self, connection: HTTPConnection) -> None:
        if sum(len(name) + len(value) for name, value in connection.scope["headers"]) > HEADER_BYTES:
            raise _Refused(431, f"the headers are longer than {HEADER_BYTES} bytes")
        if self.limits.hosts is not None:
            host = re.sub(r":\d*$", "", connection.headers.get("host", "")).strip("[]").lower()
            if host not in self.limits.hosts:
                raise _Refused(421, "this service is not asked for under that name")

    def _check_rate(self, asked: "_Asked", key: str) -> None:
        if asked.principal.via != "anonymous" and _matches(UNCOUNTED, asked.scope) is not None:
            return
        wait_s = self._asked.take(key)
        if wait_s:
            raise _Refused(429, "too many requests: wait a little", {"Retry-After": str(int(wait_s) + 1)})


_UNKNOWN = Principal("unknown")


class _Asked:
    """One request on its way through: counts what comes in, marks what goes out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self.scope, self._receive, self._send, self._limits = scope, receive, send, limits
        self.connection = HTTPConnection(scope)
        self.principal = _UNKNOWN
        self.id = secrets.token_hex(8)
        self.started = self.too_large = self.over = False
        self._status, self._taken, self._checked_at = 0, 0, time.monotonic()

    def check_length(self) -> None:
        length = self.connection.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._most():
            raise self.too_much()

    def too_much(self) -> _Refused:
        return _Refused(413, f"a body may have {self._most()} bytes here", {"Connection": "close"})

    def _most(self) -> int:
        larger = None if self.principal.via == "anonymous" else _matches(LARGER, self.scope)
        return larger or self._limits.body_bytes

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            if self._taken > self._most():
                self.too_large = True
                raise self.too_much()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            if self.too_large:
                return  # what the application makes of half a body; we answer ourselves
            self.started, self._status = True, message["status"]
            message = {**message, "headers": self._headers(message.get("headers", ()))}
        elif message["type"] == "websocket.accept":
            self.started, self._status = True, 101
        elif message["type"] == "websocket.close" and not self.started:
            self.started, self._status = True, 403
        elif self.too_large and not self.started:
            return
        elif self.scope["path"].startswith(STREAMS) and time.monotonic() - self._checked_at > RECHECK_S:
            await self._check_again()
        await self._send(message)

    async def _check_again(self) -> None:
        self._checked_at = time.monotonic()
        if service_of(self.connection).principal_of(self.connection) == self.principal:
            return
        self.over = True
        if self.scope["type"] == "websocket":
            await self._send({"type": "websocket.close", "code": 1008, "reason": "signed out"})
        else:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        raise OSError("whoever read this stream may not any more")  # what a sender meets whose reader has gone

    async def answer(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        if not self.started:
            await JSONResponse({"detail": detail}, status, headers)(self.scope, self._receive, self._answer)

    async def _answer(self, message: Message) -> None:
        self.too_large = False
        await self.send(message)

    def _headers(self, given: Any) -> list[tuple[bytes, bytes]]:
        headers = list(given)
        present = {name.lower() for name, _ in headers}
        wanted = [*_ENCODED, (b"x-request-id", self.id.encode())]
        if self.scope["path"].startswith(DATA):
            wanted.append((b"cache-control", b"no-store"))
        if self.scope.get("scheme") in ("https", "wss"):
            wanted.append((b"strict-transport-security", HSTS.encode()))
        return headers + [one for one in wanted if one[0] not in present]

    def logged(self, took_s: float) -> None:
        if not log.isEnabledFor(logging.INFO):
            return
        method = self.scope.get("method", "WS")
        log.info(
            "%s %s %d %.1f ms %s %s %s",
            method,
            quote(self.scope["path"], safe="/:,;@-._~"),  # a line break in a path makes no line of the log
            self._status,
            took_s * 1000,
            f"{self.principal.name}/{self.principal.via}",
            address_of(self.connection),
            self.id,
        )


def _matches(rules: Any, scope: Scope) -> int | None:
    for method, path, most in rules:
        if scope.get("method") == method and path.fullmatch(scope["path"]):
            return int(most)
    return None


def _check_site(connection: HTTPConnection) -> None:
    """Whether a write, or a WebSocket, is asked for by a page of this host, and by one that knows its session.

    A browser says where a request comes from (Origin, Sec-Fetch-Site) and no page can make it say otherwise. What is
    no browser says neither, and has to show the session's token all the same. Bearer tokens no browser sends by itself.
    """
    scope, shown = connection.scope, presented(connection)
    if scope.get("method") in ("GET", "HEAD", "OPTIONS") or (shown is not None and shown[0] == "token"):
        return
    origin, site = connection.headers.get("origin"), connection.headers.get("sec-fetch-site")
    here = connection.headers.get("host", "").lower()
    if (origin is not None and origin.lower().partition("://")[2] != here) or (
        origin is None and site not in (None, "same-origin", "none")
    ):
        raise _Refused(403, "this was asked for by a page of another site")
    signing_in = scope.get("method") == "POST" and scope["path"] == "/api/session"
    if scope["type"] == "http" and shown is not None and not signing_in:
        token = connection.headers.get("x-csrf-token", "")
        if not compare_digest(token.encode(), csrf_of(shown[1]).encode()):
            raise _Refused(403, "X-CSRF-Token is missing or not this session's: GET /api/session gives it")
