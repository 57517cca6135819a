"""What each role may do. What one may see is `truceline.release`'s to say."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException
from starlette.requests import HTTPConnection

from truceline.release import Principal
from truceline.serve.service import service_of

#: From the least to the most. An administrator keeps accounts and the service, and decides nothing about cases.
ROLES = ("viewer", "reporter", "verifier", "duty officer", "administrator")

#: Who may do what. Evidence (observations, raw records, tracks) further needs the label "mission".
PRIVILEGES: dict[str, frozenset[str]] = {
    "see": frozenset(ROLES),
    "evidence": frozenset({"viewer", "verifier", "duty officer", "administrator"}),
    "report": frozenset({"reporter", "verifier", "duty officer", "administrator"}),
    "triage": frozenset({"verifier", "duty officer"}),
    "verify": frozenset({"verifier", "duty officer"}),
    "release": frozenset({"duty officer"}),
    "acknowledge": frozenset({"verifier", "duty officer"}),
    "dispute": frozenset({"viewer"}),  # of a principal that speaks for a party
    "operate": frozenset({"duty officer", "administrator"}),
    "administer": frozenset({"administrator"}),
}


def may(principal: Principal, privilege: str) -> bool:
    """Whether the role has the privilege, and a token was not held to others."""
    allowed = principal.role in PRIVILEGES[privilege] and principal.via != "anonymous"
    if privilege == "see":
        allowed = True  # anybody; what there is to see for them is what is public
    if privilege in ("evidence", "report", "triage", "verify", "release", "acknowledge", "operate", "administer"):
        allowed = allowed and principal.label == "mission" and principal.party is None
    if privilege == "dispute":
        allowed = allowed and principal.party is not None
    return allowed and (principal.scopes is None or privilege in principal.scopes)


def needs(privilege: str) -> Callable[[HTTPConnection], Principal]:
    """A dependency: whoever asks, when they have the privilege; else 401 or 403. `openapi_extra` names it for tests."""

    def principal(connection: HTTPConnection) -> Principal:
        asking = service_of(connection).principal_of(connection)
        if may(asking, privilege):
            return asking
        if asking.via == "anonymous":
            raise HTTPException(401, "sign in first")
        raise HTTPException(403, f"{asking.name} ({asking.role}) may not {privilege}")

    principal.privilege = privilege  # type: ignore[attr-defined]
    return principal


See = Annotated[Principal, Depends(needs("see"))]
Evidence = Annotated[Principal, Depends(needs("evidence"))]
Report = Annotated[Principal, Depends(needs("report"))]
Triage = Annotated[Principal, Depends(needs("triage"))]
Verify = Annotated[Principal, Depends(needs("verify"))]
Release = Annotated[Principal, Depends(needs("release"))]
Acknowledge = Annotated[Principal, Depends(needs("acknowledge"))]
Dispute = Annotated[Principal, Depends(needs("dispute"))]
Operate = Annotated[Principal, Depends(needs("operate"))]
Administer = Annotated[Principal, Depends(needs("administer"))]
