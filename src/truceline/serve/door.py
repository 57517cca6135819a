"""Who is behind a connection: signing in with a password, and recognising sessions, tokens and certificates after that.

A session's id is 256 random bits in a cookie; its SHA-256 is kept. What is recognised once is remembered until the file
of accounts changes: SQLite says so of every change of another connection (`data_version`), so that what is revoked,
here or by the command line, is refused with the next request.
"""

import asyncio
import hashlib
import hmac
import json
import secrets
import sqlite3
import threading
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from functools import cached_property

import msgspec
from argon2.exceptions import InvalidHashError, VerificationError
from starlette.requests import HTTPConnection

from truceline.observation import RELEASES
from truceline.release import ANYBODY, Principal
from truceline.serve.accounts import PASSWORD_MOST, Accounts, digest, octets
from truceline.serve.throttle import Throttle

#: A watch of twelve hours and its hand-over; after that one signs in again.
SESSION_LASTS = timedelta(hours=13)
#: Nothing asked for so long, no stream open: somebody left without signing out.
SESSION_IDLES = timedelta(hours=1)
#: Of one account; the oldest goes. More browsers than one person has.
SESSIONS = 20
#: Sessions and tokens remembered at most; beyond, all are forgotten and looked up again (tens of µs each).
REMEMBERED = 10_000

_BY_ID = (
    "SELECT account.name, role, party, account.label, token.label AS held, scopes, hash, expires_at "
    "FROM token JOIN account ON account.name = token.account WHERE id = ?"
)
_BY_HASH = (
    "SELECT name, role, party, label, session.made_at AS made_at, seen_at "
    "FROM session JOIN account ON name = account WHERE hash = ?"
)
_BY_FINGERPRINT = (
    "SELECT name, role, party, label, expires_at FROM certificate JOIN account ON name = account WHERE fingerprint = ?"
)


class Known(msgspec.Struct, frozen=True):
    """A session, token or certificate that was looked up."""

    principal: Principal
    expires_at: datetime
    key: tuple[str, bytes | str] = ("local", "")  # its table, and where in it
    seen_at: datetime | None = None  # of a session: when it was last used, as far as the file knows


def cookie_name(connection: HTTPConnection) -> str:
    """Of the session's cookie. Under TLS the browser holds it to this host, every path and TLS (`__Host-`)."""
    return "__Host-truceline" if connection.scope.get("scheme") in ("https", "wss") else "truceline"


def presented(connection: HTTPConnection) -> tuple[str, str] | None:
    """What a connection shows for itself: ("token", …) or ("session", …). Where there is an Authorization header, it is
    that or nothing: a browser that was tricked into asking is never taken for a machine, which needs no CSRF token."""
    header = connection.headers.get("authorization")
    if header is not None:
        return "token", header[7:].strip() if header[:7].lower() == "bearer " else ""
    cookie = connection.cookies.get(cookie_name(connection))
    return ("session", cookie) if cookie else None


def csrf_of(session: str) -> str:
    """The token that a page sends with what it writes; another site cannot read it, nor make it without the cookie."""
    return urlsafe_b64encode(hmac.digest(session.encode(), b"truceline csrf", "sha256")).decode().rstrip("=")


class Door:
    """Recognises who asks. Every method may be called from any thread."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.throttle = Throttle()
        self.one_of_two, self.waiting = asyncio.Semaphore(2), 0  # who may be at argon2, how many are or wait
        self._lock = threading.Lock()
        self._known: dict[tuple[str, bytes], Known] = {}
        self._seen: dict[tuple[str, bytes | str], datetime] = {}  # by `Known.key`, since the last `flush`
        self._links: dict[bytes, Principal] = {}
        self._local: dict[bytes, Known] = {}
        self._version = -1

    # Signing in

    def sign_in(self, name: str, password: str, address: str) -> tuple[Principal, str] | None:
        """A new session and its secret, for the cookie; None when name or password are wrong.

        Both take as long, whether there is such a name or not: 0.1 s of argon2, so not for the event loop.
        """
        hasher, nobody = self.accounts.hasher, self._nobody
        rows = self.accounts.rows("SELECT name, role, label, party, password FROM account WHERE name = ?", name)
        kept = rows[0]["password"] if rows else None
        try:
            hasher.verify(kept or nobody, octets(password)[:PASSWORD_MOST])
        except (VerificationError, InvalidHashError):
            return None
        if kept is None:
            return None
        name, secret, now = rows[0]["name"], secrets.token_urlsafe(32), self.accounts.clock().isoformat()
        with self.accounts.writing() as book:
            # the account may have changed while argon2 was at work: then this came too late
            if not book.execute("SELECT 1 FROM account WHERE name = ? AND password = ?", (name, kept)).fetchone():
                return None
            book.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?)", (digest(secret), name, address, now, now))
            newest = "SELECT hash FROM session WHERE account = ? ORDER BY made_at DESC LIMIT ?"
            book.execute(
                f"DELETE FROM session WHERE account = ? AND hash NOT IN ({newest})",  # noqa: S608 - a constant
                (name, name, SESSIONS),
            )
        return _principal(rows[0], "session"), secret

    def name_of(self, typed: str) -> str | None:
        """An account's name as it is written, whatever the case it was typed in; None: there is none."""
        rows = self.accounts.rows("SELECT name FROM account WHERE name = ?", typed)
        return str(rows[0]["name"]) if rows else None

    @cached_property
    def _nobody(self) -> str:
        return self.accounts.hasher.hash(secrets.token_urlsafe(32))

    def sign_out(self, session: str) -> None:
        """That session is over."""
        with self._lock:
            self._local.pop(digest(session), None)
            self._known.pop(("session", digest(session)), None)
        with self.accounts.writing() as book:
            book.execute("DELETE FROM session WHERE hash = ?", (digest(session),))

    def local_session(self, principal: Principal) -> str:
        """A secret that opens one session as `principal`, once: for a link printed where the service was started (a
        demo, a replay), `/api/session/link?token=…`. Nothing of it is on disk; it ends with the process."""
        secret = secrets.token_urlsafe(32)
        self._links[digest(secret)] = msgspec.structs.replace(principal, via="session")
        return secret

    def open_link(self, secret: str) -> tuple[Principal, str] | None:
        """The session of a link that `local_session` gave; None when there is none, or it was used."""
        principal = self._links.pop(digest(secret), None)
        if principal is None:
            return None
        session = secrets.token_urlsafe(32)
        self._local[digest(session)] = Known(principal, self.accounts.clock() + SESSION_LASTS)
        return principal, session

    # Recognising

    def principal_of(self, connection: HTTPConnection) -> Principal:
        """Who is behind a connection; `ANYBODY` when it shows nothing, or nothing that holds (any more).

        Some microseconds when seen before, one indexed look-up else; never argon2, never a write.
        """
        shown = presented(connection)
        return (self._recognised(*shown) if shown else None) or ANYBODY

    def principal_of_certificate(self, der: bytes) -> Principal | None:
        """Who a client certificate speaks for, once TLS has checked its chain; None: nobody, or not any more."""
        return self._recognised("certificate", hashlib.sha256(der).hexdigest())

    def _recognised(self, kind: str, secret: str) -> Principal | None:
        key, now = (kind, digest(secret)), self.accounts.clock()
        with self._lock:
            version = self.accounts.rows("PRAGMA data_version")[0][0]
            if version != self._version or len(self._known) >= REMEMBERED:
                self._known.clear()
                self._version = version
            known = self._known.get(key) or self._found(kind, secret)
            if known is None:
                return None
            self._known[key] = known
            seen_at = self._seen.get(known.key, known.seen_at)
            if now >= known.expires_at or (known.seen_at and seen_at and now - seen_at > SESSION_IDLES):
                return None
            self._seen[known.key] = now
        return known.principal

    def _found(self, kind: str, secret: str) -> Known | None:
        if kind == "session":
            if digest(secret) in self._local:
                return self._local[digest(secret)]
            rows = self.accounts.rows(_BY_HASH, digest(secret))
            if not rows:
                return None
            made_at, seen_at = (datetime.fromisoformat(rows[0][name]) for name in ("made_at", "seen_at"))
            return Known(_principal(rows[0], "session"), made_at + SESSION_LASTS, (kind, digest(secret)), seen_at)
        if kind == "certificate":
            rows = self.accounts.rows(_BY_FINGERPRINT, secret)
            return Known(_principal(rows[0], kind), datetime.fromisoformat(rows[0]["expires_at"])) if rows else None
        parts = secret.split("_", 2)
        rows = self.accounts.rows(_BY_ID, parts[1]) if len(parts) == 3 and parts[0] == "tl" else []
        if not rows or not hmac.compare_digest(rows[0]["hash"], digest(parts[2])):
            return None
        account = _principal(rows[0], kind)
        label = min(account.label, rows[0]["held"], key=RELEASES.index)  # the account's may have become narrower
        scopes = frozenset(json.loads(rows[0]["scopes"])) if rows[0]["scopes"] else None
        limited = msgspec.structs.replace(account, label=label, scopes=scopes)
        return Known(limited, datetime.fromisoformat(rows[0]["expires_at"]), (kind, parts[1]))

    def flush(self) -> None:
        """Write down when sessions and tokens were last used, and forget sessions that are over: every half minute."""
        with self._lock:
            seen = dict(self._seen)
        over = (self.accounts.clock() - SESSION_LASTS).isoformat()
        with self.accounts.writing() as book:
            for (kind, key), at in seen.items():
                if kind == "session":
                    book.execute("UPDATE session SET seen_at = ? WHERE hash = ?", (at.isoformat(), key))
                elif kind == "token":
                    book.execute("UPDATE token SET seen_at = ? WHERE id = ?", (at.isoformat(), key))
            book.execute("DELETE FROM session WHERE made_at <= ?", (over,))
        with self._lock:  # not before they are on disk, and not what was used again meanwhile
            self._seen = {key: at for key, at in self._seen.items() if seen.get(key) != at}


def _principal(account: sqlite3.Row, via: str) -> Principal:
    return Principal(account["name"], account["role"], account["label"], account["party"], None, via)
