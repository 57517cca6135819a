"""Signing in and out, and who one is: `/api/session`."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field, SecretStr
from starlette.requests import HTTPConnection

from truceline.errors import BusyError, NotFoundError
from truceline.release import Principal
from truceline.serve.access import Open
from truceline.serve.accounts import PASSWORD_MOST
from truceline.serve.audit import address_of, audit
from truceline.serve.door import SESSION_LASTS, Door, cookie_name, csrf_of, presented
from truceline.serve.service import service_of

router = APIRouter(tags=["session"])

#: Argon2 takes 64 MiB and a core for 0.1 s: two at a time, and so many waiting, before one is told to come again.
WAITING = 16


class SignIn(BaseModel):
    """What one signs in with."""

    name: Annotated[str, Field(min_length=1, max_length=64, examples=["olena"])]
    password: Annotated[SecretStr, Field(max_length=PASSWORD_MOST, examples=["four or five words"])]


class Who(BaseModel):
    """Who one is. `csrf` goes with every write by cookie as X-CSRF-Token; `hint`: how to make the first account."""

    name: str
    role: str
    label: str
    party: str | None
    via: str
    csrf: str | None
    hint: str | None = None


def door_of(connection: HTTPConnection) -> Door:
    """Who keeps the door of this application.

    Raises
    ------
    NotFoundError
        When it runs without accounts.
    """
    door: Door | None = service_of(connection).kept.get("door")
    if door is None:
        raise NotFoundError("nobody signs in here: this service runs without accounts")
    return door


@router.get("/api/session")
async def who(request: Request, principal: Open) -> Who:
    """Who one is: `via` is "anonymous" for somebody who has not signed in."""
    shown = presented(request)
    if principal.via == "session" and shown is not None:
        return _who(principal, csrf_of(shown[1]))
    door: Door | None = service_of(request).kept.get("door")
    hint = await asyncio.to_thread(door.accounts.hint) if door and principal.via == "anonymous" else None
    return _who(principal, None, hint)


@router.post("/api/session", responses={401: {"description": "wrong"}, 429: {"description": "too many wrong ones"}})
async def sign_in(asked: SignIn, request: Request, response: Response, _: Open) -> Who:
    """Sign in. The answer to a wrong password and to an unknown name is the same, and takes as long."""
    door, service, address = door_of(request), service_of(request), address_of(request)
    wait_s = door.throttle.wait_s(asked.name, address)
    if wait_s > 0:
        raise BusyError("too many wrong passwords: wait a little", wait_s)
    if door.waiting >= WAITING:
        raise BusyError("too many are signing in at once", 1.0)
    door.waiting += 1
    try:
        async with door.one_of_two:
            found = await asyncio.to_thread(door.sign_in, asked.name, asked.password.get_secret_value(), address)
    finally:
        door.waiting -= 1
    if found is None:
        door.throttle.wrong(asked.name, address)
        # what was typed as a name may be a password typed one field too early: only names of accounts are journalled
        known = await asyncio.to_thread(door.name_of, asked.name)
        refused = Principal(known or "unknown name")
        await audit(service, refused, "refused", known or "", "wrong name or password", request)
        hint = await asyncio.to_thread(door.accounts.hint)
        raise HTTPException(401, hint or "name or password is wrong")
    door.throttle.right(asked.name, address)
    principal, secret = found
    await _let_in(door, request, response, principal, secret)
    return _who(principal, csrf_of(secret))


@router.get("/api/session/link", status_code=303, response_class=RedirectResponse)
async def open_link(request: Request, token: str, _: Open) -> Response:
    """Follow a link that was printed where the service was started: it signs in once, and leads to the page."""
    found = door_of(request).open_link(token)
    if found is None:
        raise HTTPException(401, "this link was used, or is none of this service: start it again for a new one")
    response = RedirectResponse("/", 303)
    await _let_in(door_of(request), request, response, *found)
    return response


@router.delete("/api/session", status_code=204)
async def sign_out(request: Request, principal: Open) -> Response:
    """Sign out: the session is over everywhere it was used."""
    shown, response = presented(request), Response(status_code=204)
    if shown is not None and shown[0] == "session":
        await asyncio.to_thread(door_of(request).sign_out, shown[1])
        if principal.via == "session":
            await audit(service_of(request), principal, "sign-out", principal.name, "", request)
    secure = request.scope.get("scheme") == "https"
    response.delete_cookie(cookie_name(request), httponly=True, secure=secure, samesite="strict")
    return response


async def _let_in(door: Door, request: Request, response: Response, principal: Principal, secret: str) -> None:
    shown = presented(request)
    if shown is not None and shown[0] == "session":  # one browser, one session
        await asyncio.to_thread(door.sign_out, shown[1])
    await audit(service_of(request), principal, "sign-in", principal.name, "", request)
    response.set_cookie(
        cookie_name(request),
        secret,
        max_age=int(SESSION_LASTS.total_seconds()),
        httponly=True,
        secure=request.scope.get("scheme") == "https",
        samesite="strict",  # the page is the same for everybody; what it asks for after that brings the cookie
    )


def _who(principal: Principal, csrf: str | None, hint: str | None = None) -> Who:
    about = {name: getattr(principal, name) for name in ("name", "role", "label", "party", "via")}
    return Who(**about, csrf=csrf, hint=hint)
