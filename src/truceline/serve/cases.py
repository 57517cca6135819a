"""Cases over HTTP: the list, one case with its history, actions, verdicts."""

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Depends, HTTPException, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from truceline import casework
from truceline.casework import ACTIONS, CaseState, Release
from truceline.errors import DeniedError
from truceline.explain import plain
from truceline.finding import STATES, VERDICTS
from truceline.release import Principal, label_of
from truceline.rules.holding import SEVERITIES
from truceline.serve import access
from truceline.serve.audit import audit
from truceline.serve.docket import docket_of, shown
from truceline.serve.query import query_of
from truceline.serve.service import Service, service_of
from truceline.store import signing

router = APIRouter(tags=["cases"])

#: A shift's backlog at once; more is more than anybody has looked at.
MOST_ACTIONS = 500
#: Longer than any note, shorter than what would be an attachment.
_MOST_TEXT = 10_000
#: What every case of a list is told with: `row` columns, JSON-ready.
_LISTED = ("clause", "subject_id", "opened_at", "p_breach", "severity")

Of = Annotated[Service, Depends(service_of)]


def _clean(text: str) -> str:
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        raise ValueError("there are control characters in it")
    return text.strip()


Text = Annotated[str, Field(max_length=_MOST_TEXT), AfterValidator(_clean)]
Name = Annotated[str, Field(max_length=200), AfterValidator(_clean)]
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Asked(BaseModel):
    """An action on a case. `action_id` is the sender's choice: sent again with the same one, it is one action."""

    model_config = ConfigDict(extra="forbid")

    action_id: Id
    what: Name
    text: Text | None = None
    assignee: Name | None = None
    label: Name | None = None
    about: Id | None = None


class AskedOf(Asked):
    """An action on the case, or on the case of the finding, of that id."""

    case_id: Id


class Bulk(BaseModel):
    """Actions to be taken together."""

    model_config = ConfigDict(extra="forbid")

    actions: Annotated[list[AskedOf], Field(min_length=1, max_length=MOST_ACTIONS)]


class Decided(BaseModel):
    """A verdict and why."""

    model_config = ConfigDict(extra="forbid")

    verdict: Name
    reason: Text


_ONE = {"action_id": "5f0c6c1e9f6f4b6f8f3a0d9a7b1c2d3e", "what": "triage", "text": "two posts heard it"}


@router.get("/api/cases")
async def cases(
    principal: access.See,
    service: Of,
    state: Annotated[list[str] | None, Query(description="only these states")] = None,
    assignee: Annotated[str | None, Query(description="only cases assigned to them; empty: to nobody")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 500,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Cases, the most urgent first: grave before serious before minor, then the likelier, then the newer.

    `counts`: how many there are in each state, whatever was asked for. Below the mission: what was released alone.
    """
    states = (await (await docket_of(service)).states()).values()
    if label_of(principal) == "mission":
        wanted = [one for one in states if assignee is None or (one.assignee or "") == assignee]
        order = sorted((one for one in wanted if not state or one.state in state), key=_urgency)
        told = await asyncio.to_thread(lambda: [listed(one) for one in order[offset : offset + limit]])
        counts, total = Counter(one.state for one in states), len(order)
    else:
        out = [released(one, principal, service) for one in states if one.release and shown(one, principal, service)]
        counts = Counter(row["state"] for row in out)
        told = [row for row in out if not state or row["state"] in state]
        total, told = len(told), sorted(told, key=lambda row: row["id"])[offset : offset + limit]
    return as_json({"total": total, "counts": {name: counts[name] for name in _ORDER if counts[name]}, "cases": told})


@router.get("/api/cases/{case_id}")
async def case(
    principal: access.See,
    service: Of,
    case_id: str,
    as_of: Annotated[datetime | None, Query(description="as it was known then, ISO 8601")] = None,
) -> dict[str, Any]:
    """A case with its history, response clock and what this principal may do about it now.

    With `as_of` as it was then, for the mission alone: nobody else is shown what has been taken back since.
    """
    docket = await docket_of(service)
    now = await docket.seen(principal, case_id)
    if shown(now, principal, service) == "released":
        return released(now, principal, service)
    at = service.clock()
    if as_of is not None:
        if not 1900 <= as_of.year <= 2200:  # near the calendar's ends a time cannot be moved to another zone
            raise HTTPException(422, f"as_of: the year {as_of.year} is not one of a mission")
        at = as_of if as_of.tzinfo is not None else as_of.replace(tzinfo=UTC)
        now = await docket.then(case_id, at)
        return whole(now, None, at)
    return whole(now, principal, at)


@router.post("/api/cases/{case_id}/actions")
async def act(
    principal: access.See,  # what it takes depends on the action: casework.ACTIONS; a party may dispute
    service: Of,
    request: Request,
    case_id: str,
    asked: Annotated[Asked, Body(openapi_examples={"triage": {"value": _ONE}})],
) -> dict[str, Any]:
    """Take an action on a case (or on a finding's case); it is on disk when this is answered.

    403: not this person's to do, or it takes a second one; 404: no such case; 409: not in the state the case is in.
    """
    known(principal)
    ((code, said, after),) = await (await docket_of(service)).act(principal, [_row(asked, case_id)])
    if code != 200 or after is None:
        raise HTTPException(code, said)
    if not said:
        await _audited(service, principal, [asked.what], [after], request)
    return {"action_id": asked.action_id, "repeated": bool(said), "case": as_seen(after, principal, service)}


@router.post("/api/cases/actions")
async def act_on_many(principal: access.See, service: Of, request: Request, asked: Bulk) -> dict[str, Any]:
    """Take up to 500 actions with one write; each is told by itself what became of it."""
    known(principal)
    rows = [_row(one, one.case_id) for one in asked.actions]
    results = await (await docket_of(service)).act(principal, rows)
    new = [
        (one.what, after) for one, (_, said, after) in zip(asked.actions, results, strict=True) if after and not said
    ]
    await _audited(service, principal, [what for what, _ in new], [after for _, after in new], request)
    told = [
        {"action_id": one.action_id, "case_id": one.case_id, "status": code}
        | ({"state": after.state, "repeated": bool(said)} if after is not None else {"detail": said})
        for one, (code, said, after) in zip(asked.actions, results, strict=True)
    ]
    return {"taken": sum(code == 200 for code, _, _ in results), "results": told}


@router.post("/api/cases/{case_id}/verdict")
async def sign(principal: access.Verify, service: Of, case_id: str, decided: Decided) -> dict[str, Any]:
    """Sign a verdict on a case (or on a finding's) with this person's key, which the mission keeps."""
    if decided.verdict not in VERDICTS:
        raise HTTPException(422, f"{decided.verdict!r} is no verdict; one of: {', '.join(VERDICTS)}")
    if not decided.reason:
        raise HTTPException(422, "a verdict needs its reason")
    try:
        after = await (await docket_of(service)).sign(principal, case_id, decided.verdict, decided.reason)
    except DeniedError as error:
        raise HTTPException(409, str(error)) from error
    return {"case": whole(after, principal, service.clock())}


async def _audited(
    service: Service, principal: Principal, what: list[str], cases: list[CaseState], request: Request
) -> None:
    """Note what let something out, or took it back, beside the action itself."""
    for one, state in zip(what, cases, strict=True):
        if one in ("approve_release", "withdraw_release"):
            label = state.release.label if state.release is not None else ""
            await audit(service, principal, "release", state.case_id.hex(), f"{one}: {label}", request)


def as_json(told: Any) -> Response:
    """What is JSON-ready already, as an answer: a large one takes a tenth of the time it takes to check it again."""
    return Response(msgspec.json.encode(told), media_type="application/json")


def known(principal: Principal) -> None:
    """Whoever does something has said who they are."""
    if principal.via == "anonymous":
        raise HTTPException(401, "sign in first")


def as_seen(state: CaseState, principal: Principal, service: Service) -> dict[str, Any]:
    """A case as this principal sees it; it has to see something of it."""
    if shown(state, principal, service) == "whole":
        return whole(state, principal, service.clock())
    return released(state, principal, service)


def listed(state: CaseState) -> dict[str, Any]:
    """A case as a row of the list."""
    row: dict[str, Any] = plain({name: state.row[name] for name in _LISTED})
    row |= {"id": state.case_id.hex(), "findings": [one.hex() for one in state.row["findings"] or ()]}
    row |= {"state": state.state, "since": plain(state.since), "assignee": state.assignee}
    row |= {"reopened": state.reopened, "gone": state.gone, "disputed_by": state.disputed_by}
    return row | {"label": state.label, "release": _release(state.release), "pending_release": _release(state.pending)}


def whole(state: CaseState, principal: Principal | None, at: datetime) -> dict[str, Any]:
    """Everything about a case; with a principal also what it may do now."""
    told = listed(state) | {
        "verdict": _verdict(state.verdict) if state.verdict else None,
        "history": [_entry(one) for one in state.history],
        "clock": plain(casework.clock(state, None, at)),
    }
    return told | ({"actions": actions(state, principal)} if principal is not None else {})


def actions(state: CaseState, principal: Principal) -> list[dict[str, Any]]:
    """What this principal may do about a case now, and what it has to say for it: `needs`."""
    return [
        {"what": what, "needs": list(needs)}
        for what, needs in casework.allowed(state, principal.name).items()
        if access.may(principal, ACTIONS.get(what, casework.VERDICT).privilege)
    ]


def released(state: CaseState, principal: Principal, service: Service) -> dict[str, Any]:
    """A case as those below the mission see it: the text that went out, and what they themselves have said of it."""
    out = state.release
    assert out is not None
    query = query_of(service)
    taken_back = out.withdrawn_at is not None
    told: dict[str, Any] = {
        "id": query.shown_id(state.case_id, principal),
        "clause": state.row["clause"],
        "findings": sorted(query.shown_id(one, principal) for one in state.row["findings"] or ()),
        "state": "withdrawn" if taken_back else state.state if state.state in _TOLD else "released",
        "sentence": None if taken_back else out.text,
        "released_on": out.since.date().isoformat() if out.since else None,
        "withdrawn_on": out.withdrawn_at.date().isoformat() if out.withdrawn_at else None,
        "label": out.label,
    }
    if principal.party is not None:
        told["disputes"] = [
            {"text": one["text"], "at": plain(one["received_at"])}
            for one in state.history
            if one.get("what") == "dispute" and one["party"] == principal.party and one["void"] is None
        ]
    return told | {"actions": [] if taken_back else actions(state, principal)}


_ORDER = (*STATES, "released", "withdrawn")

#: States that concern those to whom a case was released; the others are the mission's work.
_TOLD = ("notified", "disputed", "reviewed", "closed")


def _row(asked: Asked, case_id: str) -> dict[str, Any]:
    row = asked.model_dump(exclude={"case_id"}) | {"case": case_id, "action_id": bytes.fromhex(asked.action_id)}
    return row | {"about": bytes.fromhex(asked.about) if asked.about is not None else None}


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    """A step of a history, JSON-ready."""
    told = {"at": entry["received_at"], "by": entry["by"], "from": entry["from"], "to": entry["to"]}
    if "verdict" in entry:
        told |= {"what": "verdict"} | _verdict(entry)
    else:
        left_out = {"case_id", "clause", "finding_id", "received_at", "release", "leaf", *told}
        told |= {name: value for name, value in entry.items() if name not in left_out and value is not None}
    return plain(told)  # type: ignore[no-any-return]


def _verdict(row: dict[str, Any]) -> dict[str, Any]:
    told = {name: row[name] for name in ("verdict", "by", "edition", "observations_digest")}
    told |= {"reason": row["reason"], "at": row["received_at"], "observations": len(row["observations"] or ())}
    return plain(told) | {"key": signing.fingerprint(row["public_key"])}  # type: ignore[no-any-return]


def _release(release: Release | None) -> dict[str, Any] | None:
    return plain(release._asdict() | {"in_force": release.in_force}) if release is not None else None


def _urgency(state: CaseState) -> tuple[int, float, float]:
    row = state.row
    severity = SEVERITIES.index(row["severity"]) if row["severity"] in SEVERITIES else -1
    return -severity, -(row["p_breach"] or 0.0), -(row["opened_at"].timestamp() if row["opened_at"] else 0.0)
