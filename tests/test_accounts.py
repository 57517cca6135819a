"""Accounts, and what speaks for them: passwords, sessions, tokens, certificates; what is written down of it."""

import asyncio
import shlex
import ssl
import sys
from io import StringIO
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

from a_door import PASSWORD, Clock, a_door, a_mission, a_person, a_running, note
from a_service import OFFICER, SimpleGate
from truceline import accounts_cli, cli
from truceline.errors import DeniedError, MissionError, NotFoundError, StoreError
from truceline.release import ANYBODY
from truceline.serve import audit, tls
from truceline.serve.accounts import FILE, Accounts
from truceline.serve.door import SESSIONS, Door
from truceline.serve.throttle import LONGEST_S, TRIES, Throttle
from truceline.store import Journal


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def door(tmp_path, clock):
    return a_door(a_mission(tmp_path / "mission"), clock)


def showing(**headers: str) -> HTTPConnection:
    """A connection with these headers."""
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection({"type": "http", "scheme": "http", "method": "GET", "path": "/", "headers": given})


def by_cookie(door: Door, secret: str):
    return door.principal_of(showing(cookie=f"truceline={secret}"))


def by_token(door: Door, token: str):
    return door.principal_of(showing(authorization=f"Bearer {token}"))


def elsewhere(door: Door) -> Accounts:
    """The same file, opened by another process: the command line."""
    return Accounts(door.accounts.folder, door.accounts.clock, door.accounts.hasher)


# The file


def test_a_new_mission_has_no_account_and_listens_to_this_machine_alone(door):
    """There is no default password, because there is nobody to have it."""
    assert door.accounts.accounts() == []
    for host in ("127.0.0.1", "::1", "[::1]", "localhost"):
        door.accounts.check_binding(host)
    for host in ("0.0.0.0", "::", "192.0.2.7", "picture.example", ""):
        with pytest.raises(DeniedError, match="truceline account add"):
            door.accounts.check_binding(host)
    door.accounts.add("boss", "administrator", "mission", None, None, note())
    assert not door.accounts.has_administrator()  # cannot sign in yet
    door.accounts.set_password("boss", PASSWORD, note())
    door.accounts.check_binding("0.0.0.0")


def test_the_file_is_its_owners_alone_and_holds_no_secret(door):
    """Whoever copies it can sign in as nobody."""
    a_person(door)
    _, session = door.sign_in("olena", PASSWORD, "here")
    token = door.accounts.add_token("olena", note(), days=1)
    folder = door.accounts.folder
    files = sorted(folder.glob(f"{FILE}*"))
    assert len(files) == 3  # SQLite's log and index beside it
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600] * 3
    content = b"".join(path.read_bytes() for path in files)
    assert token.split("_")[1].encode() in content  # the id is no secret
    for secret in (PASSWORD, session, token.split("_", 2)[2]):
        assert secret.encode() not in content


def test_a_file_of_a_newer_version_is_left_alone(door):
    with door.accounts.writing() as book:
        book.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreError, match="version 9"):
        elsewhere(door)


# Accounts


@pytest.mark.parametrize(
    ("name", "role", "label", "party", "wrong"),
    [
        ("", "viewer", "mission", None, "name"),
        ("a b", "viewer", "mission", None, "name"),
        ("../up", "viewer", "mission", None, "name"),
        ("abcdef012345", "viewer", "mission", None, "name"),  # would be taken for a token's id
        ("eve", "king", "mission", None, "role"),
        ("eve", "viewer", "secret", None, "label"),
        ("eve", "verifier", "public", None, "works for the mission"),
        ("eve", "duty officer", "mission", "party-a", "works for the mission"),
        ("eve", "viewer", "mission", "party-a", "not for a party"),
        ("eve", "viewer", "sending_states", "party-a", "not for a party"),
    ],
)
def test_an_account_that_could_do_what_it_should_not_is_not_made(door, name, role, label, party, wrong):
    with pytest.raises(MissionError, match=wrong):
        door.accounts.add(name, role, label, party, PASSWORD, note())
    assert door.accounts.accounts() == []


@pytest.mark.parametrize("password", ["", "short", "x" * 11, "x" * 1025, "it is Olena again"])
def test_a_password_is_long_and_not_the_name(door, password):
    with pytest.raises(MissionError, match="password"):
        door.accounts.add("olena", "viewer", "mission", None, password, note())


def test_a_name_is_one_persons_for_good(door):
    """The journal says who did what by name: nobody inherits it."""
    a_person(door, "boss", "administrator")
    a_person(door, "olena")
    for name in ("olena", "OLENA"):
        with pytest.raises(MissionError, match="is or was"):
            a_person(door, name)
    door.accounts.remove("Olena", note())
    with pytest.raises(MissionError, match="is or was"):
        a_person(door, "olena")


def test_the_only_administrator_stays(door):
    a_person(door, "boss", "administrator")
    with pytest.raises(MissionError, match="only administrator"):
        door.accounts.remove("boss", note())
    with pytest.raises(MissionError, match="only administrator"):
        door.accounts.change("boss", "viewer", "mission", None, note())
    a_person(door, "chief", "administrator")
    door.accounts.remove("boss", note())


# Signing in


def test_a_wrong_password_an_unknown_name_and_a_device_are_refused_alike(door):
    """Alike in time too: argon2 is asked once, whoever it is."""
    a_person(door)
    door.accounts.add("buoy", "reporter", "mission", None, None, note())
    assert door.sign_in("olena", "not her words", "here") is None
    for name in ("nobody", "buoy", "' OR 1=1 --", ""):
        before = door.accounts.hasher.asked
        assert door.sign_in(name, PASSWORD, "here") is None
        assert door.accounts.hasher.asked == before + 1


def test_who_signs_in_is_recognised_by_the_cookie(door):
    a_person(door)
    principal, secret = door.sign_in("OLENA", PASSWORD, "here")
    assert (principal.name, principal.role, principal.label, principal.via) == (
        "olena",
        "duty officer",
        "mission",
        "session",
    )
    asked = door.accounts.hasher.asked
    assert by_cookie(door, secret) == principal
    assert door.accounts.hasher.asked == asked  # argon2 is for signing in alone
    assert by_cookie(door, secret[:-1] + "x") == ANYBODY
    assert by_cookie(door, "") == ANYBODY


def test_a_session_ends_when_nothing_is_asked_for_an_hour(door, clock):
    a_person(door)
    _, secret = door.sign_in("olena", PASSWORD, "here")
    for _ in range(3):
        clock.move(minutes=59)
        assert by_cookie(door, secret).name == "olena"
    clock.move(minutes=61)
    assert by_cookie(door, secret) == ANYBODY


def test_a_session_ends_after_a_watch_however_busy(door, clock):
    a_person(door)
    _, secret = door.sign_in("olena", PASSWORD, "here")
    for _ in range(26):
        assert by_cookie(door, secret).name == "olena"
        clock.move(minutes=30)
    assert by_cookie(door, secret) == ANYBODY
    door.flush()
    assert door.accounts.rows("SELECT * FROM session") == []


def test_a_session_outlives_a_restart_and_so_does_when_it_was_used(door, clock):
    a_person(door)
    _, secret = door.sign_in("olena", PASSWORD, "here")
    clock.move(minutes=50)
    by_cookie(door, secret)
    door.flush()
    clock.move(minutes=50)
    again = Door(elsewhere(door))
    assert by_cookie(again, secret).name == "olena"


@pytest.mark.parametrize(
    "change",
    [
        lambda accounts: accounts.set_password("olena", "three other words", note()),
        lambda accounts: accounts.change("olena", "viewer", "mission", None, note()),
        lambda accounts: accounts.remove("olena", note()),
        lambda accounts: accounts.revoke("olena", note()),
    ],
    ids=["password", "role", "removed", "revoked"],
)
def test_what_the_command_line_changes_ends_the_running_service_s_sessions_with_the_next_request(door, change):
    a_person(door)
    _, secret = door.sign_in("olena", PASSWORD, "here")
    assert by_cookie(door, secret).name == "olena"
    change(elsewhere(door))
    assert by_cookie(door, secret) == ANYBODY


def test_signing_out_ends_the_session_and_no_other(door):
    a_person(door)
    (_, one), (_, other) = (door.sign_in("olena", PASSWORD, "here") for _ in range(2))
    assert by_cookie(door, one).name == "olena"
    door.sign_out(one)
    assert by_cookie(door, one) == ANYBODY
    assert by_cookie(door, other).name == "olena"


def test_of_many_sessions_of_an_account_the_oldest_end(door, clock):
    a_person(door)
    secrets = []
    for _ in range(SESSIONS + 2):
        secrets.append(door.sign_in("olena", PASSWORD, "here")[1])
        clock.move(seconds=1)
    assert [by_cookie(door, secret).name == "olena" for secret in secrets] == [False] * 2 + [True] * SESSIONS


def test_a_link_signs_in_once(door):
    """What a demo prints: whoever sits at this machine follows it, and it is worth nothing after."""
    link = door.local_session(OFFICER)
    principal, secret = door.open_link(link)
    assert principal == OFFICER
    assert by_cookie(door, secret) == OFFICER
    assert door.open_link(link) is None
    assert by_cookie(door, link) == ANYBODY
    door.sign_out(secret)
    assert by_cookie(door, secret) == ANYBODY


# Tokens


def test_a_token_does_what_its_scopes_say_for_as_long_as_it_lasts(door, clock):
    a_person(door)
    token = door.accounts.add_token("olena", note(), days=2, scopes=frozenset({"report"}), label="public")
    principal = by_token(door, token)
    assert (principal.name, principal.via, principal.scopes) == ("olena", "token", frozenset({"report"}))
    assert principal.label == "public"
    door.flush()
    assert door.accounts.account("olena").tokens[0]["seen_at"] is not None
    clock.move(days=2)
    assert by_token(door, token) == ANYBODY


def test_a_token_never_has_more_than_its_account(door):
    """Not when it is made, and not when the account has less later."""
    door.accounts.add("guest", "viewer", "sending_states", None, None, note())
    with pytest.raises(MissionError, match="wider"):
        door.accounts.add_token("guest", note(), days=1, label="mission")
    with pytest.raises(MissionError, match="privilege 'release'"):
        door.accounts.add_token("guest", note(), days=1, scopes=frozenset({"see", "release"}))
    for days in (0, -1, 10_000, float("nan")):
        with pytest.raises(MissionError, match="days"):
            door.accounts.add_token("guest", note(), days=days)
    token = door.accounts.add_token("guest", note(), days=1)
    assert by_token(door, token).label == "sending_states"
    elsewhere(door).change("guest", "viewer", "public", None, note())
    assert by_token(door, token).label == "public"


def test_a_token_is_revoked_by_its_id_or_by_all_of_it(door):
    a_person(door)
    tokens = [door.accounts.add_token("olena", note(), days=1) for _ in range(3)]
    assert {by_token(door, token).name for token in tokens} == {"olena"}
    elsewhere(door).revoke(tokens[0].split("_")[1], note())
    elsewhere(door).revoke(tokens[1], note())
    assert [by_token(door, token).name for token in tokens] == ["anybody", "anybody", "olena"]
    with pytest.raises(NotFoundError):
        door.accounts.revoke(tokens[0], note())


def test_what_is_no_token_is_none(door):
    """Neither half a token, nor a session's secret in its place, nor a token as a cookie, nor a cookie beside one."""
    a_person(door)
    _, session = door.sign_in("olena", PASSWORD, "here")
    token = door.accounts.add_token("olena", note(), days=1)
    assert by_cookie(door, session).name == by_token(door, token).name == "olena"
    for wrong in ("", "tl", "tl_", "tl__", token[:-1], token + "x", token.upper(), session, f"tl_{session}"):
        assert by_token(door, wrong) == ANYBODY, wrong
    assert by_cookie(door, token) == ANYBODY
    for header in ("Basic b2xlbmE6", "Bearer", "", token):
        assert door.principal_of(showing(authorization=header, cookie=f"truceline={session}")) == ANYBODY


# Certificates


async def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    """What the server knows of its client: the certificate as it came."""
    shown: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.set_result(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.close()

    listening = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=server)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
        if not shown.done():
            raise ConnectionError("the server closed without having met anybody")
        return shown.result()


def test_a_client_certificate_speaks_for_the_account_it_was_given_to(tmp_path):
    """Through TLS as TAK clients come: the mission's authority signs both sides."""
    real = Clock()
    real.now = cli.now()  # OpenSSL reads the clock itself
    door = a_door(a_mission(tmp_path / "mission"), real)
    folder = door.accounts.folder
    door.accounts.add("patrol-3", "reporter", "mission", None, None, note())
    server = tls.issue(folder, "server", real(), days=1, hosts=("127.0.0.1",))
    issued = tls.issue(folder, "patrol-3", real(), days=1)
    for key in (server.key, issued.key, folder / tls.FOLDER / "authority.key"):
        assert key.stat().st_mode & 0o777 == 0o600
    authority = folder / tls.FOLDER / "authority.pem"
    listening = tls.server_context(server.certificate, server.key, authority)
    der = asyncio.run(_handshake(listening, tls.client_context(authority, issued.certificate, issued.key)))
    assert der == issued.der
    assert door.principal_of_certificate(der) is None  # signed is not enough: it has to be somebody's
    fingerprint = door.accounts.add_certificate("patrol-3", der, issued.expires_at, note())
    principal = door.principal_of_certificate(der)
    assert (principal.name, principal.via) == ("patrol-3", "certificate")
    elsewhere(door).revoke(fingerprint[:12], note())
    assert door.principal_of_certificate(der) is None
    door.accounts.add_certificate("patrol-3", *tls.read(issued.certificate), note())
    assert door.principal_of_certificate(der) is not None
    real.move(days=2)
    assert door.principal_of_certificate(der) is None


def test_a_certificate_of_another_authority_does_not_come_in(tmp_path):
    now, ours, theirs = cli.now(), tmp_path / "ours", tmp_path / "theirs"
    server = tls.issue(ours, "server", now, days=1, hosts=("127.0.0.1", "localhost"))
    strange = tls.issue(theirs, "patrol-3", now, days=1)
    authority = ours / tls.FOLDER / "authority.pem"
    listening = tls.server_context(server.certificate, server.key, authority)
    for client in (tls.client_context(authority, strange.certificate, strange.key), tls.client_context(authority)):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            asyncio.run(_handshake(listening, client))
    with pytest.raises(StoreError, match="no TLS with these"):
        tls.server_context(server.certificate, strange.key)


# Guessing


def test_whoever_guesses_waits_and_whoever_was_here_before_does_not():
    """An attacker cannot close the duty officer's own desk: the wait is short, and holds the attacker's address."""
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    throttle.right("olena", "desk")
    for _ in range(TRIES):
        assert throttle.wait_s("olena", "cellar") == 0
        throttle.wrong("olena", "cellar")
    waits = []
    for _ in range(20):
        waits.append(throttle.wait_s("Olena", "cellar"))
        now[0] += waits[-1]
        throttle.wrong("olena", "cellar")
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) == LONGEST_S
    for number in range(500):
        throttle.wrong("olena", f"robot-{number}")
    assert throttle.wait_s("olena", "elsewhere") > 0  # many machines guessing one account
    assert throttle.wait_s("olena", "desk") == 0
    now[0] += 3600
    assert throttle.wait_s("olena", "cellar") == 0


def test_one_address_that_tries_many_names_waits():
    throttle = Throttle(lambda: 0.0)
    for number in range(40):
        throttle.wrong(f"name-{number}", "cellar")
    assert throttle.wait_s("olena", "cellar") > 0
    assert throttle.wait_s("olena", "desk") == 0


# Over HTTP


def test_a_session_over_http_from_signing_in_to_signing_out(door):
    a_person(door)
    asked = a_running(door.accounts.folder, door)
    assert asked.get("/api/session").json()["via"] == "anonymous"
    answer = asked.post("/api/session", json={"name": "olena", "password": PASSWORD})
    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in ("name", "role", "label", "party")} == {
        "name": "olena",
        "role": "duty officer",
        "label": "mission",
        "party": None,
    }
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("truceline=")
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age="):
        assert attribute in cookie
    csrf = asked.get("/api/session").json()["csrf"]
    assert csrf == answer.json()["csrf"]
    assert asked.delete("/api/session").status_code == 403  # a write without it
    assert asked.delete("/api/session", headers={"X-CSRF-Token": csrf}).status_code == 204
    assert asked.get("/api/session").json()["via"] == "anonymous"


def test_under_tls_the_cookie_is_held_to_this_host(door):
    """`__Host-`: Secure, every path, no domain; a browser takes it from nobody else."""
    a_person(door)
    asked = a_running(door.accounts.folder, door, base_url="https://testserver")
    answer = asked.post("/api/session", json={"name": "olena", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-truceline=")
    assert "Secure" in cookie
    assert "Domain" not in cookie
    assert asked.get("/api/session").json()["via"] == "session"
    secret = cookie.partition("=")[2].partition(";")[0]
    asked.cookies.clear()
    plain = asked.get("/api/session", headers={"Cookie": f"truceline={secret}"})
    assert plain.json()["via"] == "anonymous"  # the name without the prefix can be set by anybody's page


def test_a_new_sign_in_never_goes_on_with_a_session_that_was_there(door):
    """Else whoever planted the cookie would be signed in with it."""
    a_person(door)
    asked = a_running(door.accounts.folder, door)
    asked.post("/api/session", json={"name": "olena", "password": PASSWORD})
    before = asked.cookies["truceline"]
    asked.post("/api/session", json={"name": "olena", "password": PASSWORD})
    assert asked.cookies["truceline"] != before
    assert by_cookie(door, before) == ANYBODY


def test_refusals_say_the_same_and_too_many_say_when_to_come_again(door):
    a_person(door)
    asked = a_running(door.accounts.folder, door)
    answers = [asked.post("/api/session", json={"name": name, "password": "wrong"}) for name in ("olena", "nobody")]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].content == answers[1].content
    for _ in range(TRIES):
        answer = asked.post("/api/session", json={"name": "olena", "password": "wrong"})
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= LONGEST_S
    asked_before = door.accounts.hasher.asked
    assert asked.post("/api/session", json={"name": "olena", "password": PASSWORD}).status_code == 429
    assert door.accounts.hasher.asked == asked_before  # nor does it cost us argon2


def test_where_there_is_no_account_one_is_told_how_to_make_one(door):
    asked = a_running(door.accounts.folder, door)
    assert "truceline account add" in asked.get("/api/session").json()["hint"]
    answer = asked.post("/api/session", json={"name": "admin", "password": "admin"})
    assert answer.status_code == 401
    assert "truceline account add" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b'{"name": "", "password": ""}', b'{"name": "\\ud800", "password": "x"}']
)
def test_what_is_no_sign_in_is_not_understood_and_not_repeated(door, body):
    asked = a_running(door.accounts.folder, door)
    answer = asked.post("/api/session", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_a_password_that_is_no_text_is_wrong(door):
    a_person(door)
    asked = a_running(door.accounts.folder, door)
    body = b'{"name": "olena", "password": "\\ud800 and more"}'
    assert asked.post("/api/session", content=body, headers={"Content-Type": "application/json"}).status_code == 401


def test_a_link_leads_to_the_page_signed_in(door):
    asked = a_running(door.accounts.folder, door)
    answer = asked.get("/api/session/link", params={"token": door.local_session(OFFICER)}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert asked.get("/api/session").json()["name"] == "olena"
    assert asked.get("/api/session/link", params={"token": "again"}).status_code == 401


# What is written down


def journalled(folder: Path) -> list[tuple]:
    rows = Journal(folder / "journal").table("access").to_pylist()
    return [(one["what"], one["by"], one["subject"]) for one in rows]


def test_who_came_in_and_who_tried_stands_in_the_journal(door):
    """A name that is none may be a password typed one field too early: it is not written down."""
    a_person(door)
    asked = a_running(door.accounts.folder, door)
    asked.post("/api/session", json={"name": "olena", "password": "wrong"})
    asked.post("/api/session", json={"name": PASSWORD, "password": "wrong"})
    csrf = asked.post("/api/session", json={"name": "olena", "password": PASSWORD}).json()["csrf"]
    asked.delete("/api/session", headers={"X-CSRF-Token": csrf})
    assert journalled(door.accounts.folder) == [
        ("refused", "olena", "olena"),
        ("refused", "unknown name", ""),
        ("sign-in", "olena", "olena"),
        ("sign-out", "olena", "olena"),
    ]
    files = (door.accounts.folder / "journal").iterdir()
    assert PASSWORD.encode() not in b"".join(path.read_bytes() for path in files)
    assert Journal(door.accounts.folder / "journal").verify() == []


def test_a_change_while_the_service_holds_the_journal_is_journalled_by_the_service(door):
    """The change and its row are one transaction; whoever can write the journal next takes it over."""
    folder = door.accounts.folder
    a_person(door)
    with Journal(folder / "journal", write=True):
        assert not audit.carried_alone(door.accounts, folder / "journal")
    assert list(door.accounts.unjournalled()) == [1]

    class Running:
        gate = SimpleGate(folder, None, door.accounts.clock)

    assert asyncio.run(audit.carried(door.accounts, Running)) == 1
    assert journalled(folder) == [("account", "tester", "")]
    assert asyncio.run(audit.carried(door.accounts, Running)) == 0
    assert audit.carried_alone(door.accounts, folder / "journal")


def test_a_running_service_keeps_them_and_writes_down_who_was_seen_when_it_ends(door, clock):
    a_person(door)
    _, secret = door.sign_in("olena", PASSWORD, "here")
    folder = door.accounts.folder
    carried = asyncio.Event()

    class Watched(SimpleGate):
        async def record(self, kind, rows):
            await super().record(kind, rows)
            carried.set()

    class Running:
        gate = Watched(folder, None, clock)

    async def run() -> None:
        keeping = asyncio.create_task(audit.keep(door, Running))
        await asyncio.wait_for(carried.wait(), 10)
        clock.move(minutes=10)
        assert by_cookie(door, secret).name == "olena"
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(run())
    assert journalled(folder) == [("account", "tester", "")]
    assert door.accounts.rows("SELECT seen_at FROM session")[0]["seen_at"] == clock().isoformat()


def test_nothing_is_journalled_of_what_is_no_audited_matter():
    with pytest.raises(ValueError, match="gossip"):
        audit.row("gossip", "olena", Clock()())


# The command line


def run(folder: Path, command: str, capsys, monkeypatch, typed: str = "") -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "stdin", StringIO(typed))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["account", *shlex.split(command.replace("DIR", str(folder)))])
    told = capsys.readouterr()
    return stopped.value.code, told.out, told.err


class Terminal(StringIO):
    """Standard input with somebody at it."""

    def isatty(self) -> bool:
        return True


COMMANDS = sorted(name for name in accounts_cli.app if not name.startswith("-"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_page_ends_with_two_working_examples(command, capsys, monkeypatch, tmp_path):
    """Working: the parser takes them as they stand."""
    code, shown, _ = run(tmp_path, f"{command} --help", capsys, monkeypatch)
    assert code == 0
    lines = [line.strip().partition(" <")[0] for line in shown.splitlines() if line.strip().startswith("truceline ")]
    assert len(lines) == 2, shown
    for line in lines:
        words = shlex.split(line)[1:]
        assert words[:2] == ["account", command]
        assert cli.app.parse_args(words, exit_on_error=False)[0] is not None


def test_accounts_by_the_command_line(tmp_path, capsys, monkeypatch):
    folder = a_mission(tmp_path / "mission")
    typed = f"{PASSWORD}\n"
    code, told, _ = run(folder, "add DIR olena --role administrator --password-stdin", capsys, monkeypatch, typed)
    assert (code, "administrator" in told) == (0, True)
    assert run(folder, "add DIR north --label parties --party party-a --device", capsys, monkeypatch)[0] == 0
    code, token, told = run(folder, "token DIR north --scope see --purpose 'their office'", capsys, monkeypatch)
    assert "shown once" in told
    door = Door(Accounts(folder, cli.now))
    principal = by_token(door, token.strip())
    assert (principal.name, principal.label, principal.party) == ("north", "parties", "party-a")
    code, told, _ = run(folder, "certificate DIR north --days 30", capsys, monkeypatch)
    assert door.principal_of_certificate(tls.read(Path(told.splitlines()[0]))[0]).name == "north"
    code, told, _ = run(folder, "list DIR", capsys, monkeypatch)
    assert "their office" in told
    assert "certificate" in told
    assert token.strip().split("_", 2)[2] not in told
    assert run(folder, "list DIR --json", capsys, monkeypatch)[1].count('"name"') == 2
    assert run(folder, "password DIR olena --password-stdin", capsys, monkeypatch, "three newer words\n")[0] == 0
    assert run(folder, "change DIR north --label public", capsys, monkeypatch)[0] == 0
    assert run(folder, f"revoke DIR {token.strip()}", capsys, monkeypatch)[0] == 0
    assert run(folder, "remove DIR north", capsys, monkeypatch)[0] == 0
    assert by_token(door, token.strip()) == ANYBODY
    written = [(what, subject) for what, _, subject in journalled(folder)]
    assert written[0] == ("account", "olena")
    assert [what for what, _ in written] == ["account"] * 8
    assert token.strip().split("_", 2)[2] not in str(journalled(folder))


def test_at_a_terminal_a_password_is_typed_twice_and_not_shown(tmp_path, capsys, monkeypatch):
    folder = a_mission(tmp_path / "mission")
    typed = iter([PASSWORD, "three other words", PASSWORD, PASSWORD])
    monkeypatch.setattr(accounts_cli.getpass, "getpass", lambda _: next(typed))
    monkeypatch.setattr(sys.modules[__name__], "StringIO", Terminal)
    code, _, told = run(folder, "add DIR olena", capsys, monkeypatch)
    assert (code, "two different passwords" in told) == (cli.WRONG, True)
    code, shown, told = run(folder, "add DIR olena", capsys, monkeypatch)
    assert code == 0
    assert PASSWORD not in shown + told
    assert Door(Accounts(folder, cli.now)).sign_in("olena", PASSWORD, "here") is not None


def test_a_server_s_certificate_and_another_authority_s(tmp_path, capsys, monkeypatch):
    folder, other = a_mission(tmp_path / "mission"), tmp_path / "other"
    code, told, _ = run(folder, "server-certificate DIR 127.0.0.1 picture.example --days 3", capsys, monkeypatch)
    assert code == 0
    tls.server_context(*(Path(line) for line in told.splitlines()[:2]))
    strange = tls.issue(other, "patrol-3", cli.now(), days=1)
    run(folder, "add DIR patrol-3 --role reporter --device", capsys, monkeypatch)
    assert run(folder, f"certificate DIR patrol-3 --file {strange.certificate}", capsys, monkeypatch)[0] == 0
    assert Door(Accounts(folder, cli.now)).principal_of_certificate(strange.der).name == "patrol-3"
    assert run(folder, f"certificate DIR patrol-3 --file {strange.key}", capsys, monkeypatch)[0] == cli.WRONG
    assert run(folder, "certificate DIR patrol-3 --days 99999", capsys, monkeypatch)[0] == cli.WRONG


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("add DIR olena", "--password-stdin"),  # no terminal to ask at
        ("add DIR olena --password secret-words-here", "Unknown option"),  # never an argument
        ("add DIR olena --party nobody --label parties --device", "agreement"),
        ("remove DIR olena", "there is no account"),
        ("token DIR olena", "there is no account"),
        ("revoke DIR olena", "no token, certificate or account"),
        ("list DIR/nowhere", "no mission here"),
        ("server-certificate DIR no_such.name", "neither the name of a host nor an address"),
        ("server-certificate DIR bücher.example", "neither the name of a host nor an address"),
        ("server-certificate DIR picture.example --days nan", "nan days: a certificate ends"),
        ("server-certificate DIR picture.example --days -1", "-1 days: a certificate ends"),
    ],
)
def test_a_mistake_is_a_sentence_and_changes_nothing(command, why, tmp_path, capsys, monkeypatch):
    folder = a_mission(tmp_path / "mission")
    code, told, wrong = run(folder, command, capsys, monkeypatch)
    assert code == cli.WRONG
    assert why in told + wrong
    assert Accounts(folder, cli.now).accounts() == []
