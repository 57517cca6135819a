"""What people do about findings: which actions there are, what they lead to, what state a case was in at any time.

Nothing here changes anything: the journal keeps actions and signed verdicts, and `fold` says what they come to. What
does not fit (an approval by whoever asked, a review of what nobody disputed) is kept, told, and without effect.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from truceline.agreement import Assumption
from truceline.finding import CASES, STATES, VERDICTS
from truceline.finding import VERDICT as VERDICT_ROWS
from truceline.observation import ID, RELEASES, TIME
from truceline.rules.subjects import identity

#: States in which a verdict stands.
DECIDED = (*VERDICTS, "attributed", "notified", "disputed", "reviewed")


class Action(NamedTuple):
    """Something people do about a case."""

    states: frozenset[str]  # in which it may be taken
    leads_to: str | None  # None: the state stays
    privilege: str  # of serve.access.PRIVILEGES
    needs: tuple[str, ...] = ()  # columns of finding.ACTION that it has to fill


_ANY = frozenset(STATES)
_OPEN = _ANY - {"closed"}

#: All that people do, beside signing verdicts (`VERDICT`).
ACTIONS: dict[str, Action] = {
    "triage": Action(frozenset({"alleged"}), "triaged", "triage"),
    "investigate": Action(frozenset({"alleged", "triaged", "insufficient"}), "investigating", "triage"),
    "assign": Action(_OPEN, None, "triage", ("assignee",)),
    "note": Action(_ANY, None, "triage", ("text",)),
    "attach": Action(_ANY, None, "triage", ("attachment_sha256",)),
    # whose act it was, or that it cannot be said, and on what evidence: where it fell alone says neither
    "attribute": Action(frozenset({"verified"}), "attributed", "verify", ("text",)),
    # both parties at once, with the text that was released to them
    "notify": Action(frozenset({*VERDICTS, "attributed"}), "notified", "release", ("text",)),
    "dispute": Action(frozenset(DECIDED), "disputed", "dispute", ("text",)),
    "review": Action(frozenset({"disputed"}), "reviewed", "release", ("text",)),
    "close": Action(frozenset(DECIDED) - {"disputed"}, "closed", "verify", ("text",)),
    "reopen": Action(frozenset({*DECIDED, "closed"}), "investigating", "verify", ("text",)),
    "request_release": Action(_ANY, None, "release", ("label", "text")),
    "approve_release": Action(_ANY, None, "release", ("about",)),
    "refuse_release": Action(_ANY, None, "release", ("about", "text")),
    "withdraw_release": Action(_ANY, None, "release", ("about", "text")),
}

#: Signing a verdict: at any time while the case is open, anew where the evidence or the view of it changed.
VERDICT = Action(_OPEN, None, "verify", ("text",))

#: Why one person is not enough.
ALONE = "{by} asked for this release: somebody else has to approve it"

#: As far as something can be released: all but the mission's own label.
RELEASABLE = RELEASES[:-1]

#: Positions in words that are finer than a kilometre: degrees with three decimals, minutes of arc, grid references.
#: A thousand written 1,000 is none, nor is a probability.
_PRECISE = re.compile(
    r"(?<![\d.,])[1-9]\d{0,2}(\.\d{3,}|,\d{4,})|\d\s*°\s*\d|\b\d{1,2}[C-X]\s?[A-Z]{2}\s?\d{2,5}\s?\d{2,5}\b"
)

#: A picture without cases.
NO_CASES = CASES.empty_table()
_NO_VERDICTS = VERDICT_ROWS.empty_table()


class Release(NamedTuple):
    """A text that goes, or went, out. In force from `since` until `withdrawn_at`."""

    action_id: bytes  # of the request
    label: str
    text: str
    requested_by: str
    requested_at: datetime
    approved_by: str | None = None
    since: datetime | None = None  # None: one person has asked, nobody has agreed yet
    withdrawn_at: datetime | None = None
    withdrawn_by: str | None = None
    reason: str | None = None  # why it was withdrawn

    @property
    def in_force(self) -> bool:
        return self.since is not None and self.withdrawn_at is None


@dataclass
class CaseState:
    """A case as it was at a time: what `fold` gives, to be read only."""

    case_id: bytes
    row: dict[str, Any]  # of finding.CASES; None in every column that an action does not tell where it is gone
    state: str = "alleged"
    since: datetime | None = None
    assignee: str | None = None
    gone: bool = False  # no finding of the picture leads to it any more
    verdict: dict[str, Any] | None = None  # the newest, a row of finding.VERDICT
    pending: Release | None = None  # asked for and not answered
    release: Release | None = None  # the newest that was approved, withdrawn or not
    disputed_by: list[str] = field(default_factory=list)  # parties whose disputes wait for a review
    history: list[dict[str, Any]] = field(default_factory=list)  # rows of actions and verdicts, and from, to, void

    @property
    def reopened(self) -> bool:
        """Whether the evidence is no longer what the newest verdict was signed on."""
        digest = self.row["observations_digest"]
        return self.verdict is not None and (self.gone or self.verdict["observations_digest"] != digest)

    @property
    def label(self) -> str:
        """How far the case has been released; "mission": nobody released it, or it was taken back."""
        return self.release.label if self.release is not None and self.release.in_force else "mission"


def fold(
    cases: pa.Table,
    actions: pa.Table,
    verdicts: pa.Table,
    until: datetime | None = None,
    renamed: Mapping[bytes, bytes] | None = None,
) -> dict[bytes, CaseState]:
    """Every case with its state and how it came to it.

    Parameters
    ----------
    cases
        Rows of `finding.CASES`: those of the picture.
    actions, verdicts
        Rows of `finding.ACTION` and `finding.VERDICT`, in the order in which they were journalled.
    until
        As it was then: what was received later is not looked at. None: as it is now.
    renamed
        Ids that cases have now, by those that they had when something was done: see `renamed`.

    Returns
    -------
    dict by case id: the picture's cases, then those that only an action or a verdict speaks of.
    """
    states = {row["case_id"]: CaseState(row["case_id"], row, since=row["opened_at"]) for row in cases.to_pylist()}
    done: set[bytes] = set()
    for row in _in_order(actions, verdicts, until):
        if "action_id" in row:
            if row["action_id"] in done:
                continue
            done.add(row["action_id"])
        case_id = row["case_id"]
        if case_id not in states and renamed:
            case_id = renamed.get(case_id, case_id)
        if case_id not in states:
            known = dict.fromkeys(cases.schema.names) | {"case_id": case_id, "clause": row["clause"], "findings": []}
            if row.get("finding_id") is not None:
                known["findings"] = [row["finding_id"]]
            states[case_id] = CaseState(case_id, known, gone=True)
        step(states[case_id], row)
    return states


def releases(actions: pa.Table, at: datetime | None = None) -> dict[bytes, Release]:
    """What was released of each case at a time (None: by now), by case id; withdrawn ones say so.

    Two persons are needed: whoever asked cannot approve.
    """
    only = actions.filter(pc.ends_with(actions["what"], "_release"))
    folded = fold(NO_CASES, only, _NO_VERDICTS, at)
    return {case_id: state.release for case_id, state in folded.items() if state.release is not None}


def labels(actions: pa.Table, at: datetime | None = None, cases: pa.Table | None = None) -> dict[bytes, str]:
    """How far each released case may go: a label by case id; what is not in it is the mission's.

    With `cases` (rows of `finding.CASES`) also by subject and by finding: the widest of their cases' labels. A release
    concerns the sentence that went out: never tracks, points or observations, and nothing earlier or finer than any
    other row of that label.
    """
    out = {case_id: one.label for case_id, one in releases(actions, at).items() if one.in_force}
    if cases is not None and out:
        named = cases.filter(pc.is_in(cases["case_id"], pa.array(list(out), ID)))
        for row in named.select(["case_id", "findings", "subject_id"]).to_pylist():
            for one in filter(None, (*(row["findings"] or ()), row["subject_id"])):
                known = out.get(one, out[row["case_id"]])
                out[one] = min(known, out[row["case_id"]], key=RELEASES.index)
    return out


def refusal(state: CaseState, row: Mapping[str, Any]) -> str | None:
    """Why an action cannot be taken on a case as it is; None: it can.

    Parameters
    ----------
    row
        Of `finding.ACTION`. Whether this person may is `serve.access`'s to say, but not whether it takes a second one.
    """
    what = row["what"]
    if what not in ACTIONS:
        return f"there is no action {what!r}; there are {', '.join(ACTIONS)}"
    action = ACTIONS[what]
    if state.state not in action.states:
        there = ", ".join(name for name in STATES if name in action.states)
        return f"the case is {state.state}; {what} is for a case that is {there}"
    for name in action.needs:
        if not (row.get(name) or "").strip() if name != "about" else row.get(name) is None:
            return f"{what} needs {_NEEDS[name]}"
    return _refused_release(state, row) if what.endswith("_release") or what == "notify" else None


_NEEDS = {
    "text": "words: text is empty",
    "assignee": "somebody: assignee is empty",
    "label": f"how far it goes: label is one of {', '.join(RELEASABLE)}",
    "about": "what it answers: about is the id of the request",
    "attachment_sha256": "a file: PUT it to the case's attachments",
}


def _refused_release(state: CaseState, row: Mapping[str, Any]) -> str | None:
    what, about = row["what"], row.get("about")
    pending, released = state.pending, state.release
    if what == "notify":
        if released is None or not released.in_force or released.label not in ("parties", "public"):
            return "the parties are told what was released to them, and nothing of this case is: request a release"
        return None
    if what == "request_release":
        if row["label"] not in RELEASABLE:
            return f"label = {row['label']!r}; it is one of {', '.join(RELEASABLE)}"
        if precise(row["text"]):
            return "the text gives a position more precisely than a kilometre; name the settlement"
        return f"{pending.requested_by} has asked for a release already: answer that first" if pending else None
    if what == "withdraw_release":
        open_or_out = [one.action_id for one in (pending, released) if one is not None and one.withdrawn_at is None]
        return None if about in open_or_out else "there is no such release to withdraw"
    if pending is None or about != pending.action_id:
        return "there is no such request for release, or it was answered"
    if what == "approve_release" and row["by"] == pending.requested_by:
        return ALONE.format(by=row["by"])
    return None


def precise(text: str) -> bool:
    """Whether words give a position more precisely than a kilometre, which no release may."""
    return _PRECISE.search(text) is not None


def renamed(cases: pa.Table, behind: Mapping[bytes, Sequence[bytes]], wanted: set[bytes]) -> dict[bytes, bytes]:
    """Where late data gave a case another id: the id it has now, by those of `wanted` that it had.

    A case's first id comes of its clause and one of its observations, so each is found while the observations are.

    Parameters
    ----------
    behind
        Observation ids behind each subject.
    """
    out: dict[bytes, bytes] = {}
    if not wanted:
        return out
    for case_id, clause, subject in zip(
        *(cases[name].to_pylist() for name in ("case_id", "clause", "subject_id")), strict=True
    ):
        for observation in behind.get(subject, ()):
            was = identity("case", clause, observation)
            if was in wanted and was != case_id:
                out.setdefault(was, case_id)
    return out


def allowed(state: CaseState, by: str) -> dict[str, tuple[str, ...]]:
    """The actions that the case's state leaves open to `by`, and what each needs; privileges are not looked at.

    "verdict" stands among them; "attach" is PUT, not posted.
    """
    about = state.pending or state.release
    filled: dict[str, Any] = {"by": by, "text": "-", "assignee": "-", "label": "mission", "attachment_sha256": "-"}
    filled |= {"label": RELEASABLE[0], "about": about.action_id if about else b""}
    out = {what: one.needs for what, one in ACTIONS.items() if refusal(state, filled | {"what": what}) is None}
    return out | ({"verdict": VERDICT.needs} if state.state in VERDICT.states else {})


def step(state: CaseState, row: dict[str, Any]) -> None:
    """Take one more action or verdict, a row as a dict, into account: the state is changed."""
    before, at = state.state, row["received_at"]
    void = None
    if "verdict" in row:
        state.state, state.verdict = row["verdict"], row
        state.disputed_by = []
    else:
        void = refusal(state, row)
        if void is None:
            _take(state, row)
    if state.state != before:
        state.since = at
    state.history.append({**row, "from": before, "to": state.state, "void": void})


def _take(state: CaseState, row: dict[str, Any]) -> None:
    what, by, at = row["what"], row["by"], row["received_at"]
    state.state = ACTIONS[what].leads_to or state.state
    if what == "assign":
        state.assignee = row["assignee"]
    elif what == "dispute":
        state.disputed_by.append(row["party"] or by)
    elif what in ("review", "reopen"):
        state.disputed_by = []
    elif what == "request_release":
        state.pending = Release(row["action_id"], row["label"], row["text"], by, at)
    elif what == "approve_release" and state.pending is not None:
        state.release, state.pending = state.pending._replace(approved_by=by, since=at), None
    elif what == "refuse_release":
        state.pending = None
    elif what == "withdraw_release":
        if state.pending is not None and state.pending.action_id == row["about"]:
            state.pending = None
        elif state.release is not None:
            state.release = state.release._replace(withdrawn_at=at, withdrawn_by=by, reason=row["text"])


def _in_order(actions: pa.Table, verdicts: pa.Table, until: datetime | None) -> list[dict[str, Any]]:
    """Rows of both by the time of receipt; of the same time, each kind in its own order, verdicts first."""
    rows = []
    for table in (verdicts, actions):
        if until is not None and table.num_rows:
            table = table.filter(pc.less_equal(table["received_at"], pa.scalar(until, TIME)))
        rows += table.to_pylist()
    return sorted(rows, key=lambda row: row["received_at"].timestamp() if row["received_at"] else 0.0)


class Target(NamedTuple):
    """By when after the first breach a step is usually taken."""

    step: str
    states: tuple[str, ...]  # in any of these it has been taken, and every one before it
    hours: Assumption


_WATCH = "assumed, so that what follows has its time; no agreement says so"
_PLAN = "a plan reported in February 2026: a diplomatic warning within 24 h, a joint answer 72 h after the first breach"

#: Nobody is ordered by these: they are shown beside the time that has passed.
TARGETS = (
    Target("triaged", ("triaged",), Assumption(1.0, _WATCH)),
    Target("investigated", ("investigating",), Assumption(6.0, _WATCH)),
    Target("decided", (*VERDICTS, "attributed"), Assumption(18.0, _WATCH)),
    Target("notified", ("notified",), Assumption(24.0, _PLAN, "medium")),
    Target("closed", ("closed",), Assumption(72.0, _PLAN, "low")),
)


def clock(state: CaseState, first_breach: datetime | None, at: datetime) -> dict[str, Any]:
    """How long each step took since the first breach, or how long it has been waited for, beside its target.

    Parameters
    ----------
    first_breach
        The earliest that it can have been; None: the case's opening.

    Returns
    -------
    dict with `since`, `elapsed_s`, `steps` (step, target_s, elapsed_s, reached_at, source, confidence) and `next`, the
    first step not taken, null when none is left. A case that is reopened has its later steps before it again. Without
    a beginning, and before it (an exercise set in the future), nothing has elapsed: null.
    """
    since = first_breach or state.row["opened_at"]

    def elapsed_s(until: datetime) -> float | None:
        passed_s = (until - since).total_seconds() if since is not None else -1.0
        return passed_s if passed_s >= 0 else None

    reached: list[datetime] = []
    for entry in state.history:
        step = next((n for n, one in enumerate(TARGETS, 1) if entry["to"] in one.states), 0)  # none for a dispute
        if step and entry["to"] != entry["from"]:
            reached = reached[:step] + [entry["received_at"]] * (step - len(reached))
    steps = [
        {
            "step": one.step,
            "target_s": one.hours.value * 3600,
            "elapsed_s": elapsed_s(when or at),
            "reached_at": when,
            "source": one.hours.source,
            "confidence": one.hours.confidence,
        }
        for one, when in zip_longest(TARGETS, reached)
    ]
    upcoming = TARGETS[len(reached)].step if len(reached) < len(TARGETS) else None
    return {"since": since, "elapsed_s": elapsed_s(at), "steps": steps, "next": upcoming}
