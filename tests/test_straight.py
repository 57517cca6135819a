"""The straight way of single posts: the same answers to the same people as the endpoint's, and nothing let through."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import routing
from fastapi.testclient import TestClient

from a_door import Clock as Wall
from a_door import a_door, a_person, note
from a_gate import Clock, a_mission, journal, line
from a_service import PATROL
from test_access import PRINCIPALS, SCOPED, expected
from truceline.mission import Live, Source
from truceline.release import ANYBODY, Principal
from truceline.serve.app import application
from truceline.serve.gate import Gate
from truceline.serve.guard import HEADERS, Limits
from truceline.serve.running import run
from truceline.serve.service import Service
from truceline.serve.straight import MOST_BYTES

SLOW = Source(id="slow", feed="observations", live=Live(rows_per_s=1))
JSON_LINES = {"Content-Type": "application/x-ndjson"}


class Asked:
    """A gate behind the application; who asks can be set."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.principal: Principal = PATROL
        self.endpoint = 0
        real = routing.run_endpoint_function

        async def counted(**given: Any) -> Any:
            self.endpoint += 1
            return await real(**given)

        monkeypatch.setattr(routing, "run_endpoint_function", counted)
        gate, nothing = Gate(folder, a_mission(SLOW), Clock()), cast(Any, None)
        self.service = Service(
            folder, a_mission(SLOW), Clock(), gate, nothing, nothing, lambda _: self.principal, nothing
        )
        app = application(self.service, Limits(requests_per_s=1e6, burst=1e6))

        @asynccontextmanager
        async def running(_: Any) -> Any:
            await gate.start()
            yield
            await gate.stop()

        app.router.lifespan_context = running
        self.client = TestClient(app, raise_server_exceptions=False)

    def straight(self, body: bytes, source: str = "field", **headers: str) -> Any:
        """A post as devices send it."""
        return self.client.post(f"/api/sources/{source}/records", content=body, headers=JSON_LINES | headers)

    def around(self, body: bytes, source: str = "field", **headers: str) -> Any:
        """The same, which does not say how long it is: the endpoint takes it."""
        pieces = iter([body[:7], body[7:]])
        return self.client.post(f"/api/sources/{source}/records", content=pieces, headers=JSON_LINES | headers)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    made = Asked(tmp_path, monkeypatch)
    with made.client:
        yield made


def test_a_single_post_is_taken_without_the_framework(asked: Asked, tmp_path: Path) -> None:
    answer = asked.straight(line(1))
    assert (answer.status_code, asked.endpoint) == (200, 0)
    assert journal(tmp_path).table("observation")["file"].to_pylist() == ["POST by patrol-3"]
    assert asked.around(line(1)).json() == answer.json() | {"accepted": 0, "duplicates": 1}
    assert asked.endpoint == 1


@pytest.mark.parametrize(
    ("body", "source", "kind", "status"),
    [
        (line(1) + b"\n" + line(2, lat=91), "field", "application/x-ndjson", 200),
        (line(1), "viirs", "APPLICATION/X-NDJSON; charset=utf-8", 200),
        (b"kind,what,at\nfix,vessel,2031-03-14T11:59:00Z\n", "cameras", "text/csv", 200),
        (b"", "field", "application/x-ndjson", 422),
        (b"a,b\n1,2\n", "field", "text/csv", 422),
        (b"rubbish", "field", "application/vnd.apache.arrow.stream", 422),
        (line(1), "nobody", "application/x-ndjson", 404),
    ],
)
def test_both_ways_give_the_same_answer(asked: Asked, body: bytes, source: str, kind: str, status: int) -> None:
    """Word for word, with the same headers; posted once before, so that it is a duplicate both times."""
    asked.straight(body, source, **{"Content-Type": kind})
    before = asked.endpoint
    one, other = (way(body, source, **{"Content-Type": kind}) for way in (asked.straight, asked.around))
    assert asked.endpoint == before + 1
    assert (one.status_code, other.status_code) == (status, status)
    assert one.json() == other.json()
    names = {*HEADERS, "content-type", "content-length", "cache-control"}
    assert {name: one.headers.get(name) for name in names} == {name: other.headers.get(name) for name in names}


def test_who_is_to_come_again_later_is_told_when(asked: Asked) -> None:
    assert asked.straight(b"\n".join(line(n) for n in range(30)), "slow").status_code == 200
    answers = [way(line(99), "slow") for way in (asked.straight, asked.around)]
    assert [answer.status_code for answer in answers] == [429, 429]
    assert [20 < int(answer.headers["Retry-After"]) < 31 for answer in answers] == [True, True]


def test_it_is_nobodys_who_may_not_report(asked: Asked, tmp_path: Path) -> None:
    """Every role, label, party and scope with a body in order: let in by the rules of the mission, or told as ever."""
    told = 0
    for principal in (*PRINCIPALS, *SCOPED, ANYBODY):
        asked.principal = principal
        before = asked.endpoint
        answer = asked.straight(line(told))
        if expected(principal, "report"):
            told += 1
            assert (answer.status_code, asked.endpoint) == (200, before), principal
        else:
            assert answer.status_code == (401 if principal.via == "anonymous" else 403), principal
            assert answer.json() == asked.around(line(99)).json()
    assert told > 3
    assert journal(tmp_path).rows("observation") == told


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (line(1), {"Content-Type": "application/json"}, 415),
        (line(1), {"Content-Encoding": "gzip"}, 400),
        (line(1), {"Content-Encoding": "br"}, 415),
        (b"\n".join([line(1)] * (MOST_BYTES // len(line(1)) + 1)), {}, 200),
        (b"x" * ((1 << 26) + 1), {}, 413),
    ],
)
def test_what_is_not_in_order_goes_the_ordinary_way(
    asked: Asked, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert asked.straight(body, **headers).status_code == status
    assert asked.endpoint == (status != 413)  # that one the guard does not let in


def test_a_token_that_is_revoked_is_refused_with_the_next_post(asked: Asked, tmp_path: Path) -> None:
    """And a session's write shows its CSRF token here too: the guard stands before both ways."""
    door = a_door(tmp_path, Wall())
    asked.service.principal_of = door.principal_of
    a_person(door)
    token = door.accounts.add_token("olena", note(), days=1)
    bearer = {"Authorization": f"Bearer {token}"}
    assert asked.straight(line(1), **bearer).status_code == 200
    door.accounts.revoke(token.split("_")[1], note())
    assert asked.straight(line(2), **bearer).status_code == 401
    assert asked.straight(line(2), Cookie="truceline=a-session").status_code == 403
    assert asked.straight(line(2), Origin="http://elsewhere").status_code == 403


def test_what_serves_runs_on_uvloop_and_what_it_raises_comes_out() -> None:
    """Where there is one: for Windows there is none."""
    pytest.importorskip("uvloop")

    async def main() -> None:
        raise ValueError(type(asyncio.get_running_loop()).__module__)

    with pytest.raises(ValueError, match=r"^uvloop$"):
        run(main())
