"""Who may do what: every endpoint of the application, asked by every role with every label. None is left out."""

import re
from itertools import product
from pathlib import Path

import msgspec
import pytest
from fastapi import routing
from fastapi.routing import iter_route_contexts
from starlette.testclient import WebSocketDenialResponse

from a_service import a_service as a_running_mission
from a_service import an_example, client
from truceline.observation import RELEASES
from truceline.release import ANYBODY, Principal, visible
from truceline.serve.access import PRIVILEGES, ROLES, may
from truceline.serve.app import application

#: The mission's rules, written a second time: what a role may do for the mission itself.
MAY = {
    "viewer": {"see", "evidence"},
    "reporter": {"see", "report"},
    "verifier": {"see", "evidence", "report", "triage", "verify", "acknowledge"},
    "duty officer": {"see", "evidence", "report", "triage", "verify", "release", "acknowledge", "operate"},
    "administrator": {"see", "evidence", "report", "operate", "administer"},
}

#: Addresses that hold nothing of the mission, and belong to the framework rather than to a part of ours.
FRAMEWORK = {"/openapi.json"}

#: What a call needs beside its path, by path; a guess does where nothing stands here: what is asked first is who asks.
CALLS: dict[str, dict] = {"/api/session/link": {"params": {"token": "none"}}}

#: What stands in a path for one of its parameters, by its type or name.
GUESSES = {"int": "1", "float": "1.0", "day": "2031-03-14", "table": "incidents", "collection": "incidents"}

PRINCIPALS = [
    Principal(f"{role}-{label}-{party}", role, label, party, None, "session")
    for role, label, party in product(ROLES, RELEASES, (None, "party-a"))
]
SCOPED = [
    Principal(f"token-{scope}", "duty officer", "mission", None, frozenset({scope}), "token") for scope in PRIVILEGES
]


def expected(principal: Principal, privilege: str) -> bool:
    """The rules in words: the mission's work is for those who see all of it and are no party; a party disputes."""
    if privilege == "open":
        return True
    if principal.via == "anonymous":
        return privilege == "see"
    if principal.scopes is not None and privilege not in principal.scopes:
        return False
    if privilege == "see":
        return True
    if privilege == "dispute":
        return principal.role == "viewer" and principal.party is not None
    return principal.label == "mission" and principal.party is None and privilege in MAY[principal.role]


def endpoints(app):
    """(method or "WS", path, privileges it depends on, how it is routed), of every address of the application."""
    for route in iter_route_contexts(app.routes):
        if route.path in FRAMEWORK:
            continue
        dependant = getattr(route, "dependant", None)
        found = [privilege for one in dependant.dependencies if (privilege := named(one))] if dependant else []
        for method in sorted((route.methods or {"WS"}) - {"HEAD"}):
            yield method, route.path, found, route


def named(dependency) -> str | None:
    return getattr(dependency.call, "privilege", None)


def address(path: str, parameters) -> str:
    """A path with something in the place of its parameters."""

    def guess(match: re.Match) -> str:
        name = match[1]
        kind = next((getattr(one.field_info.annotation, "__name__", "") for one in parameters if one.alias == name), "")
        return GUESSES.get(name, GUESSES.get(kind, "00" * 16))

    return re.sub(r"{(\w+)(?::\w+)?}", guess, path)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    return a_running_mission(an_example(tmp_path_factory.mktemp("access") / "mission"))


def test_every_endpoint_depends_on_exactly_one_privilege(service):
    """An endpoint that forgot to say who may is none of ours; one that says two says nothing clear."""
    wrong = [(method, path, found) for method, path, found, _ in endpoints(application(service)) if len(found) != 1]
    assert wrong == []


def test_every_role_label_and_party_at_every_endpoint(service, monkeypatch):
    """The whole matrix. What an endpoint does is not done here: it is asked whether it would be reached."""

    async def reached(**_):
        return routing.Response("reached", 299)

    monkeypatch.setattr(routing, "run_endpoint_function", reached)
    asked = client(service)
    wrong, reached_at = [], set()
    for method, path, found, route in endpoints(asked.app):
        if method == "WS" or not found:
            continue
        to = address(path, route.dependant.path_params)
        for principal in (*PRINCIPALS, *SCOPED, ANYBODY):
            service.principal_of = lambda _, who=principal: who
            status = asked.request(method, to, follow_redirects=False, **CALLS.get(path, {})).status_code
            # 422: let in, and then asked for what we did not say; a body is read after it is known who asks
            allowed = {True: "in", False: "out"}[status in (299, 422)]
            should = {True: "in", False: "out"}[expected(principal, found[0])]
            if status == 299:
                reached_at.add(path)
            if allowed != should or (should == "out" and status != (401 if principal.via == "anonymous" else 403)):
                wrong.append(f"{method} {path} ({found[0]}) as {principal.name}: {status}, should be {should}")
    assert wrong == []
    assert {"/api/session", "/api/session/link"} <= reached_at  # the stand-in stands where endpoints do


def test_websockets_are_closed_to_whoever_may_not(service, monkeypatch):
    """Refused before the handshake is over, with the same status as a request."""

    async def reached(websocket):
        await websocket.accept()
        await websocket.send_text("reached")
        await websocket.close()

    asked = client(service)
    for method, path, found, route in endpoints(asked.app):
        if method != "WS":
            continue
        monkeypatch.setattr(route.dependant, "call", lambda reached=reached, **given: reached(_socket(given)))
        for principal in (*PRINCIPALS, *SCOPED, ANYBODY):
            service.principal_of = lambda _, who=principal: who
            assert _opens(asked, path) == expected(principal, found[0]), (path, principal)


def _socket(given):
    return next(value for value in given.values() if hasattr(value, "accept"))


def _opens(asked, path) -> bool:
    try:
        with asked.websocket_connect(path) as socket:
            return socket.receive_text() == "reached"
    except WebSocketDenialResponse as refused:
        return refused.status_code not in (401, 403)


def test_whoever_has_not_signed_in_sees_nothing_unless_the_mission_is_public(service):
    """`serve.public` is off until the mission's head says otherwise; the page and signing in stay open."""
    public = service.mission
    closed = msgspec.structs.replace(public, serve=msgspec.structs.replace(public.serve, public=False))
    asked = client(service, ANYBODY)
    try:
        service.mission = closed
        for method, path, found, route in endpoints(asked.app):
            if method == "GET" and found == ["see"]:
                answer = asked.get(address(path, route.dependant.path_params))
                assert answer.status_code == 401, path
                assert answer.json() == {"detail": "sign in first"}
        assert asked.get("/api/session").status_code == 200
    finally:
        service.mission = public


def test_a_token_that_does_not_hold_is_told_so_and_is_not_taken_for_the_public(service):
    asked = client(service, ANYBODY)
    answer = asked.get("/api/cases", headers={"Authorization": "Bearer tl_0_0"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("privilege", PRIVILEGES)
def test_the_rules_are_those_of_the_mission(privilege):
    everybody = [*PRINCIPALS, *SCOPED, ANYBODY]
    assert [may(one, privilege) for one in everybody] == [expected(one, privilege) for one in everybody]


@pytest.mark.parametrize("label", RELEASES)
@pytest.mark.parametrize("row", [*RELEASES, None, "secret", ""])
def test_a_label_shows_what_is_released_to_it_or_wider(row, label):
    """Public, parties, sending states, mission: each sees what the one before sees. What nobody labelled is the
    mission's."""
    rank = RELEASES.index(row) if row in RELEASES else 3
    assert visible(row, Principal("someone", label=label)) == (rank <= RELEASES.index(label))


def test_a_label_that_is_none_shows_nothing():
    assert not any(visible(row, Principal("someone", label="everything")) for row in RELEASES)


def test_the_table_for_administrators_says_what_the_code_does():
    """docs/access.md, the table of roles."""
    lines = (Path(__file__).parents[1] / "docs" / "access.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    table = {row[0].strip("`"): row[2:] for row in rows if len(row) == 2 + len(ROLES)}
    assert list(ROLES) == ["viewer", "reporter", "verifier", "duty officer", "administrator"]  # the table's columns
    assert set(table) == set(PRIVILEGES) - {"open"}
    for privilege, cells in table.items():
        assert {role for role, cell in zip(ROLES, cells, strict=True) if cell} == PRIVILEGES[privilege], privilege
