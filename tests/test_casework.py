"""What people do about a finding: which action when, by whom, what it leads to, and what was the state at any time."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline import casework
from truceline.casework import ACTIONS, CaseState, clock, fold, labels, precise, refusal, releases, renamed
from truceline.finding import ACTION, CASES, STATES, VERDICT, VERDICTS, observations_digest
from truceline.rules.subjects import identity
from truceline.serve.access import PRIVILEGES

BEGAN = datetime(2031, 3, 14, 6, 0, tzinfo=UTC)
OBSERVATION = b"o" * 16
DIGEST = observations_digest([OBSERVATION])
CASE, FINDING, SUBJECT = b"c" * 16, b"f" * 16, b"s" * 16


def at(hours: float) -> datetime:
    return BEGAN + timedelta(hours=hours)


def a_case(**other: Any) -> pa.Table:
    row = {"case_id": CASE, "clause": "1", "state": "alleged", "reopened": False, "findings": [FINDING]}
    row |= {"subject_id": SUBJECT, "opened_at": BEGAN, "p_breach": 0.9, "severity": "serious", "release": "mission"}
    return pa.Table.from_pylist([row | {"observations_digest": DIGEST} | other], CASES)


def an_action(what: str, hours: float, by: str = "olena", *, number: int | None = None, **said: Any) -> dict[str, Any]:
    """A row of the journal; its id comes of its hour unless it has a number."""
    action_id = identity(what, str(hours if number is None else number))
    row = {"action_id": action_id, "case_id": CASE, "what": what, "by": by, "role": "duty officer", "leaf": bytes(32)}
    filled = {name: "-" for name in ACTIONS[what].needs if name != "about"}
    return row | filled | said | {"received_at": at(hours)}


def a_verdict(verdict: str, hours: float, *, evidence: str = DIGEST) -> dict[str, Any]:
    row = {"case_id": CASE, "clause": "1", "verdict": verdict, "reason": "seen", "by": "vera", "leaf": bytes(32)}
    return row | {"received_at": at(hours), "observations": [OBSERVATION], "observations_digest": evidence}


def actions_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([row for row in rows if "what" in row], ACTION)


def after(rows: Sequence[dict[str, Any]], until: datetime | None = None, cases: pa.Table | None = None) -> CaseState:
    """The case when these have been done."""
    verdicts = pa.Table.from_pylist([row for row in rows if "verdict" in row], VERDICT)
    return fold(a_case() if cases is None else cases, actions_of(rows), verdicts, until)[CASE]


#: An action that brings a case to a state, after those that come before.
WAY: list[Callable[[], dict[str, Any]]] = [
    lambda: an_action("triage", 0.5),
    lambda: an_action("investigate", 2),
    lambda: a_verdict("verified", 5),
    lambda: an_action("attribute", 6, text="undetermined: it fell in the open, nobody was heard to fire"),
    lambda: an_action("request_release", 7, label="parties", text="An explosion 6 km W of Yevsuh on 14 March"),
    lambda: an_action("approve_release", 8, "ove", about=identity("request_release", "7")),
    lambda: an_action("notify", 9),
    lambda: an_action("dispute", 30, "party-a", party="party-a", role="viewer"),
    lambda: an_action("review", 40),
    lambda: an_action("close", 50),
]


def test_a_case_goes_from_alleged_to_closed() -> None:
    """The way that a case goes, each state with the time since when it is in it."""
    rows = [one() for one in WAY]
    seen = [after(rows[:n]).state for n in range(len(rows) + 1)]
    assert seen == [
        *("alleged", "triaged", "investigating", "verified", "attributed"),
        *("attributed", "attributed", "notified", "disputed", "reviewed", "closed"),
    ]
    assert after(rows).since == at(50)


def test_any_past_state_can_be_shown() -> None:
    """What was done later is not looked at: nothing is ever overwritten."""
    rows = [one() for one in WAY]
    assert after(rows, until=at(5.5)).state == "verified"
    assert after(rows, until=at(7.5)).pending is not None
    assert after(rows, until=at(7.5)).label == "mission"
    assert after(rows, until=at(35)).disputed_by == ["party-a"]
    assert [entry["to"] for entry in after(rows, until=at(2)).history] == ["triaged", "investigating"]


@pytest.mark.parametrize("what", ACTIONS)
def test_each_action_is_only_for_the_states_it_is_for(what: str) -> None:
    """Elsewhere it is refused with the states it is for, and where it stands in the journal it does nothing."""
    action = ACTIONS[what]
    for state in STATES:
        case = CaseState(CASE, a_case().to_pylist()[0], state=state)
        why = refusal(case, {**dict.fromkeys(ACTION.names), **an_action(what, 1, about=b"")})
        if state not in action.states:
            assert why is not None
            assert f"the case is {state}" in why
            casework.step(case, {**dict.fromkeys(ACTION.names), **an_action(what, 1, about=b"")})
            assert case.state == state
            assert case.history[-1]["void"] == why
        elif why is not None:
            assert what.endswith("_release") or what == "notify", "those need a release"


@pytest.mark.parametrize("what", ACTIONS)
def test_an_action_needs_what_it_is_about(what: str) -> None:
    """A dispute without words, a request without a label: refused, saying what is missing."""
    for need in ACTIONS[what].needs:
        row = {**dict.fromkeys(ACTION.names), **an_action(what, 1, about=b""), need: None}
        why = refusal(CaseState(CASE, a_case().to_pylist()[0], state=min(ACTIONS[what].states)), row)
        assert why is not None
        assert why.startswith(f"{what} needs")


def test_every_action_has_a_privilege_that_there_is_and_leads_to_a_state_that_there_is() -> None:
    for action in ACTIONS.values():
        assert action.privilege in PRIVILEGES
        assert action.leads_to is None or action.leads_to in STATES


# ---- two persons ---------------------------------------------------------------------------------------------------


def test_a_release_takes_two_persons() -> None:
    """Whoever asked cannot approve; another can, and then the text is out, with both names."""
    request = an_action("request_release", 1, label="public", text="An explosion W of Yevsuh")
    alone = an_action("approve_release", 2, about=request["action_id"])
    other = an_action("approve_release", 3, "ove", about=request["action_id"])
    assert labels(actions_of([request, alone])) == {}
    assert "somebody else has to approve" in after([request, alone]).history[-1]["void"]
    assert labels(actions_of([request, alone, other])) == {CASE: "public"}
    out = releases(actions_of([request, other]))[CASE]
    assert (out.text, out.requested_by, out.approved_by) == ("An explosion W of Yevsuh", "olena", "ove")
    assert labels(actions_of([request, other]), at(2)) == {}, "at that time nobody had approved"


def test_a_release_that_was_taken_back_is_seen_to_have_been() -> None:
    """It is in force no more, and what it was, who took it back and why stays."""
    request = an_action("request_release", 1, label="public", text="An explosion")
    rows = [request, an_action("approve_release", 2, "ove", about=request["action_id"])]
    rows.append(an_action("withdraw_release", 3, about=request["action_id"], text="it was an exercise"))
    assert labels(actions_of(rows)) == {}
    assert labels(actions_of(rows), at(2.5)) == {CASE: "public"}
    out = releases(actions_of(rows))[CASE]
    assert (out.withdrawn_by, out.reason, out.in_force) == ("olena", "it was an exercise", False)


def test_what_was_refused_or_withdrawn_before_an_answer_cannot_be_approved() -> None:
    request = an_action("request_release", 1, label="public", text="An explosion")
    for answer in ("refuse_release", "withdraw_release"):
        rows = [request, an_action(answer, 2, "ove", about=request["action_id"])]
        rows.append(an_action("approve_release", 3, "ove", about=request["action_id"]))
        assert labels(actions_of(rows)) == {}


def test_a_release_names_its_subject_and_findings_too_and_of_two_the_wider() -> None:
    """The query layer asks by the rows that it shows."""
    request = an_action("request_release", 1, label="parties", text="An explosion")
    rows = actions_of([request, an_action("approve_release", 2, "ove", about=request["action_id"])])
    assert labels(rows, cases=a_case()) == {CASE: "parties", SUBJECT: "parties", FINDING: "parties"}


@pytest.mark.parametrize(
    "text", ["at 48.12345 37.5", "48,12345 N", "48° 12 N", "grid 37U DQ 12345 67890", "37.802 E", "37UDQ1234567890"]
)
def test_no_release_gives_a_precise_position(text: str) -> None:
    request = an_action("request_release", 1, label="parties", text=f"An explosion {text}")
    assert precise(text)
    assert after([request]).pending is None


@pytest.mark.parametrize(
    "text",
    ["6 km W of Yevsuh", "1,000 rounds of 122 mm", "probability 0.9487", "between 14:00 and 14:14 on 15.03.2031"],
)
def test_numbers_that_are_no_positions_may_stand_in_a_release(text: str) -> None:
    assert not precise(text)


def test_the_parties_are_notified_of_what_was_released_to_them_alone() -> None:
    """A notification is not a way round the release: both get the same text, and only once two persons have agreed."""
    rows = [a_verdict("verified", 1), an_action("notify", 2)]
    assert after(rows).state == "verified"
    assert "nothing of this case is" in after(rows).history[-1]["void"]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*ACTIONS, *VERDICTS]), st.sampled_from(["olena", "ove"]), st.integers(0, 12)),
        max_size=14,
    )
)
def test_no_order_of_actions_lets_anything_out_with_one_person(steps: list[tuple[str, str, int]]) -> None:
    """Whatever stands in the journal: what is in force has two names, states are states, the past stays as it was."""
    rows: list[dict[str, Any]] = []
    for n, (what, by, about) in enumerate(steps):
        if what in VERDICTS:
            rows.append(a_verdict(what, n))
        else:
            answered = rows[about]["action_id"] if about < len(rows) and "what" in rows[about] else b"?" * 16
            rows.append(an_action(what, n, by, number=n, about=answered, label="public", text="words"))
    state = after(rows)
    assert state.state in STATES
    assert len(state.history) == len(rows)
    for n in range(len(rows)):
        then = after(rows, until=at(n))
        assert then.state == after(rows[: n + 1]).state
        assert then.state == state.history[n]["to"]
        if then.label != "mission":
            assert then.release is not None
            assert then.release.approved_by not in (None, then.release.requested_by)
            assert labels(actions_of(rows), at(n)) == {CASE: "public"}
        else:
            assert labels(actions_of(rows), at(n)) == {}


# ---- evidence that changes, ids that change ------------------------------------------------------------------------


def test_changed_evidence_reopens_a_verdict_until_somebody_signs_again() -> None:
    signed = [a_verdict("verified", 1, evidence="of other observations")]
    assert after(signed).reopened
    assert not after([*signed, a_verdict("insufficient", 2)]).reopened
    assert after([*signed, a_verdict("insufficient", 2)]).state == "insufficient"


def test_the_same_action_twice_is_one() -> None:
    rows = [an_action("note", 1, text="heard by two", number=7), an_action("note", 2, text="heard by two", number=7)]
    assert len(after(rows).history) == 1


def test_a_case_whose_finding_is_gone_is_told_with_what_was_done() -> None:
    """Nothing is lost: an incident that was fused into another takes no note with it."""
    folded = fold(a_case().slice(0, 0), actions_of([an_action("triage", 1, clause="1")]), VERDICT.empty_table())
    assert (folded[CASE].gone, folded[CASE].state, folded[CASE].row["clause"]) == (True, "triaged", "1")


def test_actions_follow_a_case_that_late_data_gave_another_id() -> None:
    """An earlier shot came in: the case has the id of its new first observation, and keeps its notes and assignee."""
    early, late = b"e" * 16, b"l" * 16
    was, now = identity("case", "1", late), identity("case", "1", early)
    cases = a_case(case_id=now)
    found = renamed(cases, {SUBJECT: [early, late]}, {was, b"x" * 16})
    assert found == {was: now}
    rows = actions_of([an_action("assign", 1, case_id=was, assignee="vera")])
    folded = fold(cases, rows, VERDICT.empty_table(), renamed=found)
    assert list(folded) == [now]
    assert folded[now].assignee == "vera"


# ---- the response clock --------------------------------------------------------------------------------------------


def test_the_clock_tells_how_long_each_step_took_since_the_first_breach() -> None:
    """Beside its target, which is an assumption with its source; a step passed over was taken with the next."""
    told = clock(after([one() for one in WAY[:7]]), None, at(12))
    elapsed = {step["step"]: (step["elapsed_s"] / 3600, step["reached_at"] is not None) for step in told["steps"]}
    assert elapsed == {
        "triaged": (0.5, True),
        "investigated": (2, True),
        "decided": (5, True),
        "notified": (9, True),
        "closed": (12, False),
    }
    assert told["next"] == "closed"
    assert {step["confidence"] for step in told["steps"]} <= {"low", "medium", "high"}
    assert all(step["source"] for step in told["steps"])
    straight = clock(after([a_verdict("verified", 3)]), None, at(4))
    assert [step["elapsed_s"] / 3600 for step in straight["steps"][:3]] == [3, 3, 3]


def test_a_case_that_is_reopened_has_its_later_steps_before_it_again() -> None:
    rows = [a_verdict("verified", 3), an_action("reopen", 20)]
    told = clock(after(rows), None, at(21))
    assert told["next"] == "decided"
    assert told["steps"][2]["elapsed_s"] == 21 * 3600


def test_without_a_beginning_nothing_elapses() -> None:
    told = clock(after([], cases=a_case(opened_at=None)), None, at(1))
    assert told["elapsed_s"] is None
    assert {step["elapsed_s"] for step in told["steps"]} == {None}
    assert clock(after([]), None, at(-5))["elapsed_s"] is None, "an exercise that is set in the future"


def test_what_may_be_done_now_is_what_would_not_be_refused() -> None:
    """The page offers these and no others; "verdict" while the case is open."""
    assert set(casework.allowed(after([]), "olena")) == {
        *("triage", "investigate", "assign", "note", "attach", "request_release", "verdict")
    }
    request = an_action("request_release", 1, label="parties", text="An explosion")
    assert "approve_release" not in casework.allowed(after([request]), "olena")
    assert {"approve_release", "refuse_release", "withdraw_release"} <= set(casework.allowed(after([request]), "ove"))
    assert "verdict" not in casework.allowed(after([a_verdict("exempt", 1), an_action("close", 2)]), "olena")
