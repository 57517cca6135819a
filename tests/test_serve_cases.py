"""Cases over HTTP: who may do what, that it is durable and once, release by two, dispute by a party, attachments."""

import asyncio
import hashlib
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from a_service import (
    ADMINISTRATOR,
    ANALYST,
    ANYBODY,
    EVERYBODY,
    NOW,
    OFFICER,
    PARTY_A,
    PARTY_B,
    PATROL,
    SECOND_OFFICER,
    STATE,
    VERIFIER,
    a_service,
    an_example,
    client,
)
from truceline.casework import ACTIONS
from truceline.errors import StoreError
from truceline.release import Principal
from truceline.serve.access import may
from truceline.serve.attachments import MOST_BYTES
from truceline.serve.service import Service
from truceline.store import Journal, signing

Answer = tuple[int, dict[str, Any]]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return an_example(tmp_path_factory.mktemp("cases") / "mission")


@pytest.fixture
def service(example: Path, tmp_path: Path) -> Service:
    shutil.copytree(example, tmp_path / "mission")
    return a_service(tmp_path / "mission")


def asked(service: Service, principal: Principal, method: str, path: str, **more: Any) -> Answer:
    response = client(service, principal).request(method, path, **more)
    return response.status_code, response.json()


def cases(service: Service, principal: Principal = OFFICER, query: str = "") -> dict[str, Any]:
    status, told = asked(service, principal, "GET", f"/api/cases{query}")
    assert status == 200, told
    return told


@pytest.fixture
def case(service: Service) -> dict[str, Any]:
    """The most urgent case."""
    return cases(service)["cases"][0]  # type: ignore[no-any-return]


@pytest.fixture
def act(service: Service, case: dict[str, Any]) -> Callable[..., Answer]:
    """Takes an action on the case, each with an id of its own unless one is given."""
    numbers = iter(range(1, 1000))

    def acting(principal: Principal, what: str, *, of: str | None = None, **said: Any) -> Answer:
        body = {"action_id": f"{next(numbers):032x}", "what": what, **said}
        return asked(service, principal, "POST", f"/api/cases/{of or case['id']}/actions", json=body)

    return acting


def journalled(service: Service, kind: str = "action") -> list[dict[str, Any]]:
    with Journal(service.folder / "journal") as journal:
        return journal.table(kind).to_pylist()  # type: ignore[no-any-return]


def let_out(act: Callable[..., Answer], label: str = "parties", text: str = "An explosion W of Yevsuh") -> str:
    """Released by two officers; the id of the request."""
    status, told = act(OFFICER, "request_release", label=label, text=text)
    assert status == 200, told
    request = str(told["case"]["pending_release"]["action_id"])
    assert act(SECOND_OFFICER, "approve_release", about=request)[0] == 200
    return request


def later(service: Service, days: float) -> None:
    service.clock = lambda: NOW + timedelta(days=days)


# ---- the list ------------------------------------------------------------------------------------------------------


def test_the_list_has_the_most_urgent_first_and_says_how_many_are_where(service: Service) -> None:
    told = cases(service)
    assert told["total"] == len(told["cases"]) == sum(told["counts"].values()) > 20
    rank = ["grave", "serious", "minor"]
    order = [(rank.index(one["severity"]), -one["p_breach"]) for one in told["cases"]]
    assert order == sorted(order)
    assert cases(service, query="?limit=5&offset=2")["cases"] == told["cases"][2:7]


def test_the_list_is_narrowed_by_state_and_assignee(service: Service, act: Callable[..., Answer]) -> None:
    act(VERIFIER, "triage")
    act(VERIFIER, "assign", assignee="vera")
    assert [one["assignee"] for one in cases(service, query="?assignee=vera")["cases"]] == ["vera"]
    assert cases(service, query="?assignee=")["total"] == cases(service)["total"] - 1
    assert cases(service, query="?state=triaged")["total"] == 1
    assert cases(service, query="?state=closed&state=triaged")["counts"]["alleged"] == cases(service)["total"] - 1


# ---- actions -------------------------------------------------------------------------------------------------------


def test_an_action_is_on_disk_when_it_is_answered_and_is_told_on_the_bus(
    service: Service, act: Callable[..., Answer], case: dict[str, Any]
) -> None:
    status, told = act(VERIFIER, "triage", text="two posts heard it")
    assert (status, told["case"]["state"]) == (200, "triaged")
    (row,) = journalled(service)
    assert (row["case_id"].hex(), row["by"], row["role"], row["what"]) == (case["id"], "vera", "verifier", "triage")
    (message,) = service.bus.messages  # type: ignore[attr-defined]
    assert (message.topic, message.label, message.content["state"]) == ("case", "mission", "triaged")


def test_the_same_action_id_again_is_the_same_action(service: Service, act: Callable[..., Answer]) -> None:
    """A telephone that sent twice; another action under that id is refused."""
    chosen = {"action_id": "ab" * 16, "text": "heard"}
    assert act(VERIFIER, "note", **chosen)[1]["repeated"] is False
    status, told = act(VERIFIER, "note", **chosen)
    assert (status, told["repeated"]) == (200, True)
    assert len(journalled(service)) == len(told["case"]["history"]) == 1
    assert act(VERIFIER, "note", action_id="ab" * 16, text="another")[0] == 403
    again = a_service(service.folder)  # the service was started anew
    body = {"what": "note", **chosen}
    case_id = told["case"]["id"]
    assert asked(again, VERIFIER, "POST", f"/api/cases/{case_id}/actions", json=body)[1]["repeated"] is True


def test_what_the_state_does_not_allow_is_refused_with_the_states_it_is_for(act: Callable[..., Answer]) -> None:
    status, told = act(VERIFIER, "close", text="done")
    assert status == 409
    assert "the case is alleged; close is for a case that is verified" in told["detail"]
    assert act(VERIFIER, "shoot")[0] == 422


@pytest.mark.parametrize("principal", EVERYBODY, ids=lambda one: one.name)
def test_who_has_not_the_privilege_may_not(principal: Principal, act: Callable[..., Answer], service: Service) -> None:
    """Role by action: 401 for nobody, 404 for who does not see the case, 403 for who sees it and may not."""
    taken = 0
    for what, action in ACTIONS.items():
        status, _ = act(principal, what, text="-", label="parties", assignee="-", about="0" * 32)
        if principal.via == "anonymous":
            assert status == 401
        elif principal.label != "mission":
            assert status == 404
        elif may(principal, action.privilege):
            assert status in (200, 409)
        else:
            assert status == 403
        taken += status == 200
    assert len(journalled(service)) == taken


def test_many_are_triaged_at_once_and_each_is_told_apart(service: Service) -> None:
    """One journal append for all; what is wrong with one stops no other."""
    ids = [one["id"] for one in cases(service)["cases"]]
    wanted = [{"action_id": f"{n:032x}", "case_id": one, "what": "triage"} for n, one in enumerate(ids, 1)]
    wanted.append({"action_id": "f" * 32, "case_id": "0" * 32, "what": "triage"})
    wanted.append({"action_id": "e" * 32, "case_id": ids[0], "what": "triage"})
    wanted.append({"action_id": "d" * 32, "case_id": ids[0], "what": "request_release"})
    appends: list[int] = []
    record = service.gate.record

    async def counted(kind: str, rows: pa.Table) -> None:
        appends.append(rows.num_rows)
        await record(kind, rows)

    service.gate.record = counted  # type: ignore[method-assign]
    status, told = asked(service, VERIFIER, "POST", "/api/cases/actions", json={"actions": wanted})
    assert status == 200
    assert (told["taken"], appends) == (len(ids), [len(ids)])
    assert [one["status"] for one in told["results"]] == [200] * len(ids) + [404, 409, 403]
    assert told["results"][0]["state"] == "triaged"
    assert "is triaged" in told["results"][-2]["detail"]
    assert cases(service)["counts"] == {"triaged": len(ids)}
    assert asked(service, VERIFIER, "POST", "/api/cases/actions", json={"actions": []})[0] == 422


def test_what_the_disk_refuses_did_not_happen(service: Service, act: Callable[..., Answer]) -> None:
    record = service.gate.record

    async def refused(kind: str, rows: pa.Table) -> None:
        raise StoreError("journal: cannot be written: No space left on device")

    service.gate.record = refused  # type: ignore[method-assign]
    assert act(VERIFIER, "triage", action_id="aa" * 16)[0] == 503
    service.gate.record = record  # type: ignore[method-assign]
    status, told = act(VERIFIER, "triage", action_id="aa" * 16)
    assert (status, told["repeated"], told["case"]["state"]) == (200, False, "triaged")


def test_of_many_who_ask_at_once_one_release_is_approved_once(service: Service, act: Callable[..., Answer]) -> None:
    """Actions are taken one after another, whatever came at the same time."""
    from truceline.serve.docket import docket_of

    told = act(OFFICER, "request_release", label="parties", text="An explosion")[1]
    about = bytes.fromhex(told["case"]["pending_release"]["action_id"])

    async def at_once() -> list[int]:
        docket = await docket_of(service)
        rows = [
            {"case": told["case"]["id"], "what": "approve_release", "about": about, "action_id": bytes([n]) * 16}
            for n in range(1, 9)
        ]
        done = await asyncio.gather(*(docket.act(SECOND_OFFICER, [row]) for row in rows))
        return [code for ((code, _, _),) in done]

    assert sorted(asyncio.run(at_once())) == [200] + [409] * 7


# ---- verdicts ------------------------------------------------------------------------------------------------------


def test_a_verdict_is_signed_and_the_state_shows_at_once(service: Service, case: dict[str, Any]) -> None:
    body = {"verdict": "verified", "reason": "crater seen"}
    status, told = asked(service, VERIFIER, "POST", f"/api/cases/{case['id']}/verdict", json=body)
    assert (status, told["case"]["state"], told["case"]["verdict"]["by"]) == (200, "verified", "vera")
    (row,) = journalled(service, "verdict")
    assert signing.check_verdict(row) == []
    assert row["case_id"].hex() == case["id"]
    assert cases(service)["cases"][0]["state"] == "verified"
    asyncio.run(service.live.settle())
    after = next(one for one in cases(service)["cases"] if one["id"] == case["id"])
    assert (after["state"], after["reopened"]) == ("verified", False), "and the edition says the same"


def test_a_verdict_may_be_signed_on_a_finding_that_opened_no_case(service: Service) -> None:
    findings = service.live.snapshot.tables["findings"].to_pylist()
    opened = {one for case in cases(service)["cases"] for one in case["findings"]}
    unlikely = next(row["finding_id"].hex() for row in findings if row["finding_id"].hex() not in opened)
    body = {"verdict": "insufficient", "reason": "one source"}
    status, told = asked(service, VERIFIER, "POST", f"/api/cases/{unlikely}/verdict", json=body)
    assert (status, told["case"]["state"], told["case"]["gone"]) == (200, "insufficient", False)
    again = a_service(service.folder)
    assert cases(again, query="?state=insufficient")["cases"][0]["id"] == told["case"]["id"]


def test_a_verdict_needs_to_be_one_its_reason_and_an_open_case(
    service: Service, act: Callable[..., Answer], case: dict[str, Any]
) -> None:
    path = f"/api/cases/{case['id']}/verdict"
    assert asked(service, VERIFIER, "POST", path, json={"verdict": "guilty", "reason": "x"})[0] == 422
    assert asked(service, VERIFIER, "POST", path, json={"verdict": "exempt", "reason": "  "})[0] == 422
    assert asked(service, ADMINISTRATOR, "POST", path, json={"verdict": "exempt", "reason": "x"})[0] == 403
    assert asked(service, VERIFIER, "POST", path, json={"verdict": "exempt", "reason": "notified"})[0] == 200
    assert act(VERIFIER, "close", text="exempt")[0] == 200
    assert asked(service, VERIFIER, "POST", path, json={"verdict": "verified", "reason": "x"})[0] == 409


# ---- release, dispute ----------------------------------------------------------------------------------------------


def test_a_release_takes_a_second_officer_and_a_day(service: Service, act: Callable[..., Answer]) -> None:
    """Both parties then read the same words, under ids that are theirs alone; the public reads nothing."""
    told = act(OFFICER, "request_release", label="parties", text="An explosion W of Yevsuh")[1]
    request = told["case"]["pending_release"]["action_id"]
    assert act(OFFICER, "approve_release", about=request)[0] == 403
    assert act(VERIFIER, "approve_release", about=request)[0] == 403
    assert act(SECOND_OFFICER, "approve_release", about=request)[0] == 200
    assert cases(service, PARTY_A)["total"] == 0, "it is not a day old"
    later(service, 2)
    (of_a,), (of_b,) = cases(service, PARTY_A)["cases"], cases(service, PARTY_B)["cases"]
    assert of_a["sentence"] == of_b["sentence"] == "An explosion W of Yevsuh"
    assert of_a["id"] != told["case"]["id"]
    assert cases(service, ANYBODY)["total"] == 0
    assert "olena" not in str(of_a)
    audited = [row for row in journalled(service, "access") if row["what"] == "release"]
    assert [(row["by"], row["text"]) for row in audited] == [("ove", "approve_release: parties")]


def test_a_withdrawn_release_is_seen_to_be_withdrawn(service: Service, act: Callable[..., Answer]) -> None:
    request = let_out(act)
    later(service, 2)
    assert act(OFFICER, "withdraw_release", about=request, text="it was an exercise")[0] == 200
    (one,) = cases(service, PARTY_A)["cases"]
    assert (one["state"], one["sentence"], one["withdrawn_on"]) == ("withdrawn", None, "2031-03-17")
    assert "exercise" not in str(one)


def test_what_was_withdrawn_before_anybody_saw_it_is_not_shown(service: Service, act: Callable[..., Answer]) -> None:
    request = let_out(act)
    assert act(OFFICER, "withdraw_release", about=request, text="a wrong name")[0] == 200
    later(service, 2)
    assert cases(service, PARTY_A)["total"] == 0


def test_a_party_disputes_what_was_released_to_it_and_an_officer_reviews(
    service: Service, act: Callable[..., Answer], case: dict[str, Any]
) -> None:
    """The other party reads that it is disputed, not what was said."""
    let_out(act)
    body = {"verdict": "verified", "reason": "crater seen"}
    assert asked(service, VERIFIER, "POST", f"/api/cases/{case['id']}/verdict", json=body)[0] == 200
    assert act(OFFICER, "notify", text="both liaison offices")[1]["case"]["state"] == "notified"
    later(service, 2)
    (mine,) = cases(service, PARTY_A)["cases"]
    assert [one["what"] for one in mine["actions"]] == ["dispute"]
    assert act(PARTY_A, "dispute", of=case["id"], text="not ours")[0] == 404, "that id is the mission's"
    status, told = act(PARTY_A, "dispute", of=mine["id"], text="our gun was elsewhere")
    assert (status, told["case"]["state"]) == (200, "disputed")
    assert told["case"]["disputes"][0]["text"] == "our gun was elsewhere"
    (other,) = cases(service, PARTY_B)["cases"]
    assert other["state"] == "disputed"
    assert "elsewhere" not in str(other)
    assert cases(service)["cases"][0]["disputed_by"] == ["A"]
    assert act(STATE, "dispute", of=mine["id"], text="-")[0] == 404
    status, told = act(OFFICER, "review", text="looked again: it stands")
    assert (status, told["case"]["state"], told["case"]["disputed_by"]) == (200, "reviewed", [])


def test_what_is_not_released_cannot_be_told_from_what_is_not_there(service: Service, case: dict[str, Any]) -> None:
    for principal in (PARTY_A, STATE, ANYBODY):
        for path in ("/api/cases/{}", "/api/findings/{}"):
            there, nowhere = (asked(service, principal, "GET", path.format(one)) for one in (case["id"], "0" * 32))
            assert there == nowhere
            assert there[0] == 404


# ---- the past ------------------------------------------------------------------------------------------------------


def test_a_case_is_shown_as_it_was_known_then(
    service: Service, act: Callable[..., Answer], case: dict[str, Any]
) -> None:
    later(service, 0.1)
    act(VERIFIER, "triage")
    later(service, 0.2)
    act(VERIFIER, "investigate")
    at = (NOW + timedelta(days=0.15)).isoformat().replace("+00:00", "Z")
    path = f"/api/cases/{case['id']}"
    assert asked(service, OFFICER, "GET", f"{path}?as_of={at}")[1]["state"] == "triaged"
    assert asked(service, OFFICER, "GET", path)[1]["state"] == "investigating"
    before = (NOW - timedelta(days=9)).isoformat().replace("+00:00", "Z")
    assert asked(service, OFFICER, "GET", f"{path}?as_of={before}")[0] == 404


def test_a_clock_that_goes_back_changes_no_order(service: Service, act: Callable[..., Answer]) -> None:
    later(service, 0.2)
    act(VERIFIER, "triage")
    later(service, -0.2)
    assert act(VERIFIER, "investigate")[1]["case"]["state"] == "investigating"
    again = a_service(service.folder)
    assert cases(again)["cases"][0]["state"] == "investigating"


# ---- attachments ---------------------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


def test_a_file_is_kept_under_its_hash_and_given_back_as_it_was(service: Service, case: dict[str, Any]) -> None:
    path = f"/api/cases/{case['id']}/attachments?name=crater%22%3Cx%3E.png&text=seen%20from%20N"
    http = client(service, VERIFIER)
    first = http.put(path, content=PNG, headers={"content-type": "image/png"})
    assert (first.status_code, first.json()["repeated"]) == (200, False)
    sha256 = first.json()["sha256"]
    assert sha256 == hashlib.sha256(PNG).hexdigest()
    kept = service.folder / "attachments" / sha256
    assert kept.read_bytes() == PNG
    assert kept.stat().st_mode & 0o777 == 0o600
    assert http.put(path, content=PNG, headers={"content-type": "image/png"}).json()["repeated"] is True
    assert len(journalled(service)) == 1
    given = http.get(f"/api/attachments/{sha256}")
    assert given.content == PNG
    assert given.headers["content-disposition"] == "attachment; filename*=UTF-8''crater%22%3Cx%3E.png"
    assert given.headers["x-content-type-options"] == "nosniff"
    assert [row["subject"] for row in journalled(service, "access")] == [sha256]
    entry = asked(service, VERIFIER, "GET", f"/api/cases/{case['id']}")[1]["history"][-1]
    assert (entry["attachment_name"], entry["attachment_bytes"]) == ('crater"<x>.png', len(PNG))


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"<script>", "text/html", 415),
        (b"GIF89a", "image/png", 415),
        (b"", "text/plain", 422),
        (b"%PDF-" + bytes(MOST_BYTES), "application/pdf", 413),
    ],
    ids=["a type that runs", "not what it is said to be", "empty", "too large"],
)
def test_what_is_not_taken_leaves_nothing(
    service: Service, case: dict[str, Any], content: bytes, kind: str, status: int
) -> None:
    path = f"/api/cases/{case['id']}/attachments?name=x"
    answer = client(service, VERIFIER).put(path, content=content, headers={"content-type": kind})
    assert answer.status_code == status
    assert journalled(service) == []
    assert not list((service.folder / "attachments").glob("*")) or status == 413
    assert not list((service.folder / "attachments").glob(".*"))


def test_a_file_that_was_changed_on_disk_is_not_given(service: Service, case: dict[str, Any]) -> None:
    http = client(service, VERIFIER)
    path = f"/api/cases/{case['id']}/attachments?name=x.txt"
    sha256 = http.put(path, content=b"seen", headers={"content-type": "text/plain"}).json()["sha256"]
    (service.folder / "attachments" / sha256).write_bytes(b"not seen")
    assert http.get(f"/api/attachments/{sha256}").status_code == 503


def test_attachments_are_the_missions(service: Service, case: dict[str, Any]) -> None:
    http = client(service, VERIFIER)
    path = f"/api/cases/{case['id']}/attachments?name=x.txt"
    sha256 = http.put(path, content=b"seen", headers={"content-type": "text/plain"}).json()["sha256"]
    for principal, status in ((ANALYST, 200), (PATROL, 403), (PARTY_A, 403), (STATE, 403), (ANYBODY, 401)):
        assert client(service, principal).get(f"/api/attachments/{sha256}").status_code == status
        assert client(service, principal).get(f"/api/attachments/{'0' * 64}").status_code == {200: 404}.get(
            status, status
        )
