"""Cases: opened for what is likely, bound to clause and observations, kept through re-fusion with their verdicts."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a_picture import FRAME, UNTIL, a_clause, a_picture, an_agreement, an_event, named, shuffled, t, tied
from truceline.agreement import Exemption, Reading
from truceline.finding import CASES, VERDICT, observations_digest
from truceline.rules import judge
from truceline.rules.cases import OPEN, cases


class Fused:
    """A picture of incidents and the names of their observations: `Fused(x=("o1", "o2"), y=("o3",))`.

    Every observation is its own event, an hour apart in the order of their names.
    """

    def __init__(self, p: float = 0.9, agreement: Any = None, **incidents: tuple[str, ...]) -> None:
        rows, pairs = [], []
        for incident, observations in incidents.items():
            for name in observations:
                at = t("2023-10-05T00:00").replace(hour=int(name[1:]) % 24)
                rows.append(an_event(confidence=p, at=at, incident=incident, event=name))
                pairs.append((name, name))
        self.events, self.incidents = a_picture(*rows)
        self.associations = tied(*pairs)
        agreement = agreement or an_agreement(a_clause())
        self.findings = judge(self.events, self.incidents, agreement, None, FRAME, None, Path(), UNTIL)

    def cases(self, *verdicts: dict[str, Any]) -> list[dict[str, Any]]:
        table = pa.Table.from_pylist(list(verdicts), VERDICT)
        found = cases(self.findings, self.incidents, self.events, self.associations, table)
        assert found.schema == CASES
        found.validate(full=True)
        return found.to_pylist()  # type: ignore[no-any-return]


def a_verdict(case: dict[str, Any], *observations: str, at: datetime, **told: Any) -> dict[str, Any]:
    """What a person signs: a case, and the observations behind it then."""
    evidence = sorted(named("observation", name) for name in observations)
    row = {
        "case_id": case["case_id"],
        "clause": case["clause"],
        "verdict": "verified",
        "reason": "two patrols saw the crater",
        "by": "K. Duty",
        "received_at": at,
        "observations": evidence,
        "observations_digest": observations_digest(evidence),
        "release": "mission",
        "leaf": bytes(16) + named("leaf", case["case_id"], at),
    }
    return row | told


def test_a_likely_breach_opens_one_case_for_all_its_readings() -> None:
    agreement = an_agreement(a_clause(reading=[Reading(party="b", effective=t("2023-10-08T00:00"))]))
    (case,) = Fused(agreement=agreement, x=("o1", "o2")).cases()
    assert case["state"] == "alleged"
    assert case["reopened"] is False
    assert len(case["findings"]) == 2
    assert case["p_breach"] == pytest.approx(0.9)  # the greatest over the readings
    assert case["opened_at"] == t("2023-10-05T01:00")
    assert case["subject_id"] == named("incident", "x")
    assert case["observations_digest"] == observations_digest([named("observation", "o2"), named("observation", "o1")])


def test_what_is_less_likely_than_not_opens_none() -> None:
    assert Fused(p=OPEN - 0.01, x=("o1",)).cases() == []
    assert len(Fused(p=OPEN, x=("o1",)).cases()) == 1


def test_each_clause_has_its_own_case() -> None:
    agreement = an_agreement(a_clause(), a_clause(id="3"))
    found = Fused(agreement=agreement, x=("o1",)).cases()
    assert sorted(case["clause"] for case in found) == ["2", "3"]
    assert len({case["case_id"] for case in found}) == 2


def test_the_id_is_of_the_clause_and_the_observation_it_began_with() -> None:
    """Late observations join: the case keeps its id, as the incident's earliest event keeps its first observation."""
    (before,) = Fused(x=("o1", "o2")).cases()
    (after,) = Fused(x=("o1", "o2", "o3")).cases()
    assert before["case_id"] == after["case_id"]
    assert before["observations_digest"] != after["observations_digest"]


def test_a_verdict_stands_while_its_evidence_does() -> None:
    fused = Fused(x=("o1", "o2"))
    (case,) = fused.cases()
    (signed,) = fused.cases(a_verdict(case, "o1", "o2", at=t("2023-10-06T09:00")))
    assert (signed["state"], signed["reopened"]) == ("verified", False)
    assert (signed["verdict_by"], signed["verdict_at"]) == ("K. Duty", t("2023-10-06T09:00"))
    assert signed["verdict_reason"] == "two patrols saw the crater"


def test_changed_evidence_reopens_a_verdict_and_shows_it() -> None:
    (case,) = Fused(x=("o1", "o2")).cases()
    verdict = a_verdict(case, "o1", "o2", at=t("2023-10-06T09:00"))
    (later,) = Fused(x=("o1", "o2", "o3")).cases(verdict)
    assert (later["case_id"], later["state"], later["reopened"]) == (case["case_id"], "verified", True)


def test_of_several_verdicts_the_newest_counts_whatever_their_order() -> None:
    fused = Fused(x=("o1",))
    (case,) = fused.cases()
    first = a_verdict(case, "o1", at=t("2023-10-06T09:00"))
    second = a_verdict(case, "o1", at=t("2023-10-07T09:00"), verdict="not verified", reason="it was a quarry")
    for verdicts in ((first, second), (second, first)):
        (now,) = fused.cases(*verdicts)
        assert (now["state"], now["verdict_reason"]) == ("not verified", "it was a quarry")


def test_split_incidents_leave_the_verdict_with_most_of_its_observations() -> None:
    """Signed on one incident of three observations; better fusion finds two: two went one way, one the other."""
    (case,) = Fused(x=("o1", "o2", "o3")).cases()
    verdict = a_verdict(case, "o1", "o2", "o3", at=t("2023-10-06T09:00"))
    found = Fused(y=("o1",), z=("o2", "o3")).cases(verdict)
    by_subject = {row["subject_id"]: row for row in found}
    kept, new = by_subject[named("incident", "z")], by_subject[named("incident", "y")]
    assert (kept["case_id"], kept["state"], kept["reopened"]) == (case["case_id"], "verified", True)
    assert (new["state"], new["verdict_by"]) == ("alleged", None)
    assert new["case_id"] != case["case_id"]  # although it holds the observation the old id came of


def test_merged_incidents_take_the_newest_of_their_verdicts() -> None:
    one, two = sorted(Fused(x=("o1",), y=("o2",)).cases(), key=lambda case: case["opened_at"])
    first = a_verdict(one, "o1", at=t("2023-10-06T09:00"), verdict="insufficient")
    second = a_verdict(two, "o2", at=t("2023-10-06T10:00"))
    (merged,) = Fused(z=("o1", "o2")).cases(first, second)
    assert (merged["case_id"], merged["state"], merged["reopened"]) == (two["case_id"], "verified", True)


def test_a_verdict_outlives_findings_that_became_unlikely() -> None:
    (case,) = Fused(x=("o1",)).cases()
    verdict = a_verdict(case, "o1", at=t("2023-10-06T09:00"))
    (still,) = Fused(p=0.2, x=("o1",)).cases(verdict)
    assert (still["state"], still["reopened"], still["p_breach"]) == ("verified", False, pytest.approx(0.2))


def test_a_verdict_outlives_its_observations() -> None:
    """Redacted, or no longer any clause's business: the case stays, open again, with nothing behind it."""
    (case,) = Fused(x=("o1",)).cases()
    verdict = a_verdict(case, "o1", at=t("2023-10-06T09:00"))
    (left,) = Fused(p=0.2, y=("o9",)).cases(verdict)
    assert (left["case_id"], left["state"], left["reopened"]) == (case["case_id"], "verified", True)
    assert left["findings"] == []


def test_the_case_of_a_duty_binds_to_the_duty() -> None:
    clause = a_clause("duty", due={"": t("2023-10-05T12:00")})
    fused = Fused(agreement=an_agreement(clause), x=("o1",))
    assert fused.cases() == []  # no data conclude nothing
    events, incidents = a_picture(an_event("duty", at=t("2023-10-06T00:00"), event="o1"))
    found = judge(events, incidents, an_agreement(clause), None, FRAME, None, Path(), UNTIL)
    empty = VERDICT.empty_table()
    table = cases(found, incidents, events, tied(("o1", "o1")), empty)
    assert table.num_rows == 2  # reported late, by nobody in particular: both parties' duties
    verdict = a_verdict(table.to_pylist()[0], at=t("2023-10-06T09:00"), verdict="exempt")
    signed = cases(found, incidents, events, tied(("o1", "o1")), pa.Table.from_pylist([verdict], VERDICT)).to_pylist()
    assert [row["state"] for row in signed].count("exempt") == 1
    assert not any(row["reopened"] for row in signed)


def test_a_case_is_released_as_narrowly_as_its_narrowest_part() -> None:
    fused = Fused(x=("o1",))
    (case,) = fused.cases()
    assert case["release"] == "public"
    (signed,) = fused.cases(a_verdict(case, "o1", at=t("2023-10-06T09:00"), release="mission"))
    assert signed["release"] == "mission"


def test_what_is_exempt_opens_no_case() -> None:
    """It is a finding, for people to see; nothing has to be decided."""
    fused = Fused(agreement=an_agreement(a_clause(exemption=[Exemption(text="all of it")])), x=("o1",))
    assert fused.findings["exemption"].to_pylist() == ["all of it"] * 2
    assert fused.cases() == []


def test_no_findings_no_cases() -> None:
    assert Fused().cases() == []


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_ids_are_unique_and_nothing_depends_on_the_order_of_rows(data: st.DataObject) -> None:
    """Whatever was signed on any earlier way of fusing the same observations."""
    names = [f"o{i}" for i in range(6)]

    def fusing() -> dict[str, tuple[str, ...]]:
        into = data.draw(st.lists(st.integers(0, 2), min_size=6, max_size=6))
        return {f"i{k}": tuple(n for n, i in zip(names, into, strict=True) if i == k) for k in set(into)}

    verdicts = []
    for day in range(data.draw(st.integers(0, 3))):
        earlier = Fused(**fusing())
        case = data.draw(st.sampled_from(earlier.cases(*verdicts)))
        ids = {named("observation", n): n for n in names}
        behind = earlier.associations.to_pylist()
        inside = {r["event_id"] for r in earlier.events.to_pylist() if r["incident_id"] == case["subject_id"]}
        signed_on = [ids[r["observation_id"]] for r in behind if r["event_id"] in inside]
        verdicts.append(a_verdict(case, *signed_on, at=t(f"2023-10-1{day}T00:00")))
    fused = Fused(**fusing())
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    signed = pa.Table.from_pylist(verdicts, VERDICT)
    tables = (fused.findings, fused.incidents, fused.events, fused.associations, signed)
    one = cases(*tables)
    two = cases(*(shuffled(table, rng) for table in tables))
    assert one.equals(two)
    found = one["case_id"].to_pylist()
    assert len(found) == len(set(found))
    assert {v["case_id"] for v in verdicts[-1:]} <= set(found)  # the newest verdict is always shown
    subjects = [row["subject_id"] for row in one.to_pylist() if row["subject_id"]]
    assert len(subjects) == len(set(subjects))
