"""What stands before every endpoint: limits, other people's pages kept out, headers, and a log without secrets."""

import asyncio
import http.client
import logging
import threading
from types import SimpleNamespace

import pytest
import uvicorn
import websockets.sync.client
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import WebSocketDenialResponse
from websockets.exceptions import InvalidStatus

from a_door import PASSWORD, Clock, a_door, a_person, note
from a_service import OFFICER, PATROL, a_service, an_example
from test_access import address, endpoints
from truceline.release import ANYBODY
from truceline.serve import guard
from truceline.serve.app import application
from truceline.serve.door import csrf_of
from truceline.serve.guard import CSP, HEADERS, LOOPBACK, MIB, UVICORN, Guard, Limits
from truceline.store import Journal

FREELY = Limits(requests_per_s=1e6, burst=1e6)


def guarded(limits: Limits = FREELY, principal=OFFICER, base_url: str = "http://testserver") -> TestClient:
    """A few endpoints behind the guard."""
    app = FastAPI()
    app.state.service = SimpleNamespace(principal_of=lambda _: principal)
    app.add_middleware(Guard, limits=limits)

    @app.get("/api/data")
    @app.get("/page/style.css")
    async def give() -> dict[str, str]:
        return {}

    @app.post("/api/data")
    @app.post("/api/sources/{one}/records")
    @app.put("/api/cases/{one}/attachments")
    async def take(request: Request, one: str = "") -> int:
        return len(await request.body())

    @app.post("/api/parsed")
    async def parse(given: dict[str, str]) -> int:
        return len(given)

    @app.get("/api/broken")
    async def broken() -> None:
        raise RuntimeError("a secret of the house")

    @app.websocket("/api/stream/tracks")
    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    @app.get("/api/stream/events")
    async def events() -> StreamingResponse:
        async def forever():
            while True:
                yield b": still here\n\n"
                await asyncio.sleep(0)

        return StreamingResponse(forever(), media_type="text/event-stream")

    return TestClient(app, raise_server_exceptions=False, base_url=base_url)


def ask(app, method: str, path: str, headers: dict[str, str | bytes], body: bytes = b"", query: str = "") -> int:
    """One request by ASGI itself, whose asker hangs up after the first answer: also for streams that never end."""
    headers = {"host": "testserver", **headers}
    given = [(n.lower().encode(), v if isinstance(v, bytes) else v.encode()) for n, v in headers.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": given,
        "client": ("192.0.2.7", 1),
        "server": ("testserver", 80),
    }
    statuses: list[int] = []

    async def run() -> None:
        waiting = [{"type": "http.request", "body": body, "more_body": False}]
        gone = asyncio.Event()

        async def receive():
            if waiting:
                return waiting.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                gone.set()
            elif statuses and path.startswith(guard.STREAMS):
                raise OSError("the reader has gone")

        await asyncio.wait_for(app(scope, receive, send), 20)

    asyncio.run(run())
    return statuses[0]


# Headers


@pytest.mark.parametrize("path", ["/api/data", "/page/style.css", "/api/broken", "/api/nowhere", "/api/parsed"])
def test_every_answer_has_the_headers_whatever_it_is(path):
    """Also what was not found, not allowed, broken or refused."""
    answer = guarded().get(path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert len(answer.headers["x-request-id"]) == 16
    assert answer.headers.get("cache-control") == ("no-store" if path.startswith("/api/") else None)
    assert "strict-transport-security" not in answer.headers


def test_the_page_gets_everything_from_this_host_and_nothing_inline():
    assert "unsafe" not in CSP
    assert "http" not in CSP
    for rule in ("default-src 'self'", "script-src 'self'", "object-src 'none'", "frame-ancestors 'none'"):
        assert rule in CSP.split("; ")


def test_under_tls_browsers_are_told_to_stay_with_it():
    assert "max-age=" in guarded(base_url="https://testserver").get("/api/data").headers["strict-transport-security"]


# Limits


def test_a_body_is_not_larger_than_its_place_takes():
    """A mebibyte; more for records and attachments, of who is signed in."""
    asked, stranger = guarded(), guarded(principal=ANYBODY)
    for method, path, most in (
        ("POST", "/api/data", MIB),
        ("POST", "/api/sources/radar/records", 64 * MIB),
        ("PUT", "/api/cases/00/attachments", 32 * MIB),
    ):
        assert asked.request(method, path, content=bytes(most)).json() == most
        too_much = asked.request(method, path, content=bytes(most + 1))
        assert too_much.status_code == 413
        assert str(most) in too_much.json()["detail"]
        assert stranger.request(method, path, content=bytes(MIB + 1)).status_code == 413


@pytest.mark.parametrize("path", ["/api/data", "/api/parsed"])
def test_a_body_that_does_not_say_how_large_it_is_is_counted_as_it_comes(path):
    taken = []

    def chunks():
        for _ in range(100):
            taken.append(1)
            yield bytes(MIB // 10)

    answer = guarded().post(path, content=chunks())
    assert answer.status_code == 413
    assert answer.headers["content-security-policy"] == CSP


def test_headers_have_an_end():
    assert guarded().get("/api/data", headers={"X-Long": "x" * 40_000}).status_code == 431


def test_who_asks_too_fast_waits_and_nobody_else_does():
    asked = guarded(Limits(requests_per_s=1, burst=5))
    who = {"name": OFFICER}
    asked.app.state.service.principal_of = lambda _: who["name"]
    assert [asked.get("/api/data").status_code for _ in range(7)] == [200] * 5 + [429] * 2
    refused = asked.get("/api/data")
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["detail"]
    assert asked.post("/api/sources/radar/records").status_code == 200  # the gate has a limit for each source
    who["name"] = PATROL
    assert asked.get("/api/data").status_code == 200
    who["name"] = ANYBODY  # counted by address, and intake is no way around it
    assert [asked.post("/api/sources/radar/records").status_code for _ in range(6)] == [200] * 5 + [429]


def test_a_bucket_fills_again():
    now = [0.0]
    buckets = guard.Buckets(2.0, 3.0, lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    now[0] += 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0, 0.5]
    now[0] += 1000
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_streams_of_one_principal_are_counted_while_they_are_open():
    asked = guarded(Limits(requests_per_s=1e6, burst=1e6, streams=2))
    with asked.websocket_connect("/api/stream/tracks"):
        with asked.websocket_connect("/api/stream/tracks"):
            with pytest.raises(WebSocketDenialResponse) as refused, asked.websocket_connect("/api/stream/tracks"):
                pass
            assert refused.value.status_code == 429
        with asked.websocket_connect("/api/stream/tracks"):
            pass


def test_a_stream_ends_when_its_reader_may_not_read_any_more(monkeypatch):
    """Signed out, revoked, over: a stream that is open asks again every few seconds."""
    monkeypatch.setattr(guard, "RECHECK_S", 0.0)
    asked = guarded()
    service = asked.app.state.service
    with asked.websocket_connect("/api/stream/tracks") as socket:
        socket.send_text("one")
        assert socket.receive_text() == "one"
        service.principal_of = lambda _: ANYBODY
        socket.send_text("two")
        assert socket.receive()["code"] == 1008
    looks = iter([OFFICER] * 5)
    service.principal_of = lambda _: next(looks, ANYBODY)
    assert asked.get("/api/stream/events").text == ": still here\n\n" * 4  # and then it ends


# Other people's pages


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # no browser
        ({"Origin": "http://testserver"}, 200),
        ({"Origin": "http://TESTSERVER"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://elsewhere"}, 403),
        ({"Origin": "http://testserver:8000"}, 403),
        ({"Origin": "http://testserver.elsewhere"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://elsewhere", "Authorization": "Bearer tl_0_0"}, 200),  # no browser sends that by itself
    ],
)
def test_a_write_is_asked_for_by_a_page_of_this_host_or_by_no_page(headers, status):
    assert guarded().post("/api/data", headers=headers).status_code == status
    assert guarded().get("/api/data", headers=headers).status_code == 200


def test_a_write_by_cookie_shows_the_session_s_token():
    """Which only a page of this host can have read."""
    asked, session = guarded(), "a-session"
    cookie = {"Cookie": f"truceline={session}"}
    for token in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": csrf_of("another")}, {"X-CSRF-Token": session}):
        answer = asked.post("/api/data", headers={**cookie, **token})
        assert answer.status_code == 403
        assert "X-CSRF-Token" in answer.json()["detail"]
    assert asked.post("/api/data", headers={**cookie, "X-CSRF-Token": csrf_of(session)}).status_code == 200
    assert asked.get("/api/data", headers=cookie).status_code == 200


def test_a_websocket_is_not_opened_by_another_site_s_page():
    """A browser sends the cookie with it, from wherever; and lets that page read what comes."""
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        guarded().websocket_connect("/api/stream/tracks", headers={"Origin": "http://elsewhere"}),
    ):
        pass
    assert refused.value.status_code == 403
    with guarded().websocket_connect("/api/stream/tracks", headers={"Origin": "http://testserver"}):
        pass


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("rebound.example", 421),
        ("localhost.rebound.example:8000", 421),
        ("127.0.0.1.rebound.example", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_a_name_that_somebody_has_led_to_this_machine_is_not_answered(host, status):
    """DNS rebinding: a page of `rebound.example`, which now means 127.0.0.1, would be of "this host"."""
    asked = guarded(Limits(hosts=LOOPBACK))
    assert asked.get("/api/data", headers={"Host": host}).status_code == status


WHAT_THE_GUARD_READS = ("host", "origin", "sec-fetch-site", "cookie", "authorization", "content-length", "x-csrf-token")


@given(
    headers=st.dictionaries(
        st.sampled_from(WHAT_THE_GUARD_READS),
        st.binary(max_size=40)
        | st.sampled_from([b"[::1", b"http://[", b"Bearer tl_a_b", b"truceline=\xff", b"-1", b"9" * 30]),
    ),
    limits=st.sampled_from([FREELY, Limits(hosts=LOOPBACK, requests_per_s=1e6, burst=1e6)]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_header_breaks_it_and_none_lets_anybody_in(headers, limits, running):
    """Any bytes in any header that it looks at: refused, or nobody in particular."""
    asked = guarded(limits)
    who = []
    asked.app.state.service.principal_of = lambda connection: who.append(running[1].principal_of(connection)) or who[-1]
    assert ask(asked.app, "POST", "/api/data", headers) in (200, 403, 413, 421)
    assert set(who) <= {ANYBODY}


# What is told, and what is not


def test_what_breaks_tells_the_log_and_not_the_user(caplog):
    answer = guarded().get("/api/broken")
    assert answer.status_code == 500
    assert "house" not in answer.text
    assert answer.headers["x-request-id"] in answer.json()["detail"]
    assert answer.headers["x-request-id"] in caplog.text


def test_a_line_of_the_log_is_one_line(caplog):
    caplog.set_level(logging.INFO, "truceline.serve")
    guarded().get("/api/nowhere%0aGET /forged 200")
    assert [record.getMessage().count("\n") for record in caplog.records if record.name == "truceline.serve"] == [0]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """The whole application, with accounts."""
    folder = an_example(tmp_path_factory.mktemp("guard") / "mission")
    service = a_service(folder)
    door = a_door(folder, Clock())
    service.kept["door"], service.principal_of = door, door.principal_of
    return service, door


def test_no_password_token_or_cookie_is_in_any_log_whatever_is_asked(running, caplog):
    """Every endpoint, by a session and by a token, with secrets wherever a client may put them."""
    service, door = running
    caplog.set_level(logging.DEBUG)
    a_person(door)
    app = application(service, FREELY)
    asked = TestClient(app, raise_server_exceptions=False)
    asked.post("/api/session", json={"name": "olena", "password": "a wrong password"})
    csrf = asked.post("/api/session", json={"name": "olena", "password": PASSWORD}).json()["csrf"]
    session, link = asked.cookies["truceline"], door.local_session(OFFICER)
    assert ask(app, "GET", "/api/session/link", {}, query=f"token={link}") == 303  # the test client logs addresses
    token = door.accounts.add_token("olena", note(), days=1)
    door.accounts.set_password("olena", "three newer words", note())  # what follows is refused as well as let in
    query, body = f"token={token}&password={PASSWORD}", f'{{"password": "{PASSWORD}", "token": "{token}"}}'.encode()
    statuses = set()
    for method, path, _, route in endpoints(app):
        if method == "WS" or path == "/api/session":
            continue
        to = address(path, route.dependant.path_params)
        for shown in ({"authorization": f"Bearer {token}"}, {"cookie": f"truceline={session}", "x-csrf-token": csrf}):
            statuses.add(ask(app, method, to, {"content-type": "application/json", **shown}, body, query))
    assert {200, 401} <= statuses
    log = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert "GET /api/cases" in log
    log += str(Journal(service.folder / "journal").table("access").to_pylist())
    for secret in (PASSWORD, "a wrong password", "three newer words", session, csrf, link, token.split("_", 2)[2]):
        assert secret not in log


def test_no_write_is_done_for_somebody_who_has_not_signed_in(running):
    """Also where the mission is public, and where an endpoint asks only later what one may do."""
    service, _ = running
    app = application(service, FREELY)
    body = b'{"actions": [], "what": "note", "text": "hello"}'
    open_to_all = {"/api/session"}
    for method, path, _, route in endpoints(app):
        if method in ("WS", "GET") or path in open_to_all:
            continue
        to = address(path, route.dependant.path_params)
        assert ask(app, method, to, {"content-type": "application/json"}, body) in (401, 403, 422), path


def test_every_error_is_a_sentence(running):
    """{"detail": "…"}: the page shows it as it stands."""
    service, _ = running
    asked = TestClient(application(service, FREELY), raise_server_exceptions=False)
    for answer in (
        asked.get("/api/nowhere"),
        asked.get("/api/cases", headers={"Authorization": "Bearer nonsense"}),
        asked.post("/api/session", json={}),
        asked.post("/api/data", headers={"Origin": "http://elsewhere"}),
        asked.put("/api/session"),
    ):
        assert answer.status_code >= 400
        assert isinstance(answer.json()["detail"], str)


def test_over_real_sockets(running, caplog):
    """As uvicorn is started: no access log with queries, no server's name, WebSockets refused with a status."""
    service, door = running
    caplog.set_level(logging.INFO)
    limits = Limits(hosts=LOOPBACK)
    settings = {**UVICORN, "timeout_graceful_shutdown": 1}
    server = uvicorn.Server(uvicorn.Config(application(service, limits), port=0, log_level="info", **settings))
    ready = threading.Event()
    began = server.startup

    async def startup(*given, **named):
        await began(*given, **named)
        ready.set()

    server.startup = startup
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ready.wait(20)
        port = server.servers[0].sockets[0].getsockname()[1]
        link = door.local_session(OFFICER)
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        asked.request("GET", f"/api/session/link?token={link}")
        answer = asked.getresponse()
        answer.read()
        assert answer.status == 303
        assert answer.getheader("server") is None
        cookie = answer.getheader("set-cookie").partition(";")[0]
        asked.close()
        address_ws = f"ws://127.0.0.1:{port}/api/stream/tracks"
        for headers, status in (({}, 401), ({"Origin": "http://elsewhere", "Cookie": cookie}, 403)):
            with pytest.raises(InvalidStatus) as refused:
                websockets.sync.client.connect(address_ws, additional_headers=headers)
            assert refused.value.response.status_code == status
    finally:
        server.should_exit = True
        thread.join(20)
    assert link not in caplog.text
    assert "/api/session/link 303" in caplog.text
