"""What each role may do. What one may see is `truceline.release`'s to say.

Every endpoint depends on exactly one of the types at the end; tests/test_access.py fails for one that does not.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, HTTPException
from starlette.requests import HTTPConnection

from truceline.release import Principal
from truceline.serve.service import PRINCIPAL, service_of

#: From the least to the most. An administrator keeps accounts and the service, and decides nothing about cases.
ROLES = ("viewer", "reporter", "verifier", "duty officer", "administrator")

#: Who may do what. Evidence (observations, raw records, tracks) further needs the label "mission".
PRIVILEGES: dict[str, frozenset[str]] = {
    "open": frozenset(ROLES),  # the page itself, signing in, whether the service lives: nothing of the mission
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


#: What is the mission's own doing: not for a party, nor for whoever sees less than the mission.
MISSION = frozenset({"evidence", "report", "triage", "verify", "release", "acknowledge", "operate", "administer"})


def may(principal: Principal, privilege: str) -> bool:
    """Whether the role has the privilege, and a token was not held to others."""
    if privilege == "open":
        return True
    if principal.via == "anonymous":
        return privilege == "see"  # what there is to see for them is what is public
    if principal.scopes is not None and privilege not in principal.scopes:
        return False
    if privilege in MISSION and (principal.label != "mission" or principal.party is not None):
        return False
    if privilege == "dispute" and principal.party is None:
        return False
    return principal.role in PRIVILEGES[privilege]


def needs(privilege: str) -> Callable[[HTTPConnection], Awaitable[Principal]]:
    """A dependency: whoever asks, when they have the privilege; else 401 or 403. Tests read `privilege` from it."""

    async def principal(connection: HTTPConnection) -> Principal:  # async: a thread would cost more than the look-up
        service = service_of(connection)
        asking = connection.scope.get(PRINCIPAL) or service.principal_of(connection)
        if asking.via == "anonymous" and privilege != "open":
            if "authorization" in connection.headers:
                raise HTTPException(401, "this token is unknown, revoked or expired", {"WWW-Authenticate": "Bearer"})
            if privilege != "see" or not service.mission.serve.public:
                raise HTTPException(401, "sign in first", {"WWW-Authenticate": "Bearer"})
        if not may(asking, privilege):
            raise HTTPException(403, f"{asking.name} ({asking.role}) may not {privilege}")
        return asking

    principal.privilege = privilege  # type: ignore[attr-defined]
    return principal


Open = Annotated[Principal, Depends(needs("open"))]
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
