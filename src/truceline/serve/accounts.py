"""Accounts of a mission, and what speaks for them: API tokens and client certificates. `serve.door` lets them in.

All is in `accounts.sqlite` in the mission's folder, readable by its owner alone. Of a password its argon2 hash is kept,
of a token's secret (and of a session's) its SHA-256: they are random, 256 bits cannot be guessed, and a slow hash would
gain nothing.
"""

import hashlib
import json
import os
import re
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
from argon2 import PasswordHasher

from truceline.errors import DeniedError, MissionError, NotFoundError, StoreError
from truceline.observation import RELEASES
from truceline.serve.access import PRIVILEGES, ROLES

FILE = "accounts.sqlite"
#: NIST SP 800-63B asks for 8 at least beside a second factor and 15 without; most missions have a network of their own.
PASSWORD_LEAST = 12
#: What argon2 is given to chew at most.
PASSWORD_MOST = 1024

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_ID = re.compile(r"[0-9a-f]{12}")

_SCHEMA = """
CREATE TABLE account (name TEXT PRIMARY KEY COLLATE NOCASE, role TEXT NOT NULL, label TEXT NOT NULL, party TEXT,
    password TEXT, made_at TEXT NOT NULL, changed_at TEXT NOT NULL) STRICT;
CREATE TABLE former (name TEXT PRIMARY KEY COLLATE NOCASE) STRICT;
CREATE TABLE session (hash BLOB PRIMARY KEY, account TEXT NOT NULL REFERENCES account ON DELETE CASCADE,
    address TEXT NOT NULL, made_at TEXT NOT NULL, seen_at TEXT NOT NULL) STRICT;
CREATE TABLE token (id TEXT PRIMARY KEY, hash BLOB NOT NULL, account TEXT NOT NULL REFERENCES account ON DELETE CASCADE,
    note TEXT NOT NULL, label TEXT NOT NULL, scopes TEXT, made_at TEXT NOT NULL, expires_at TEXT NOT NULL,
    seen_at TEXT) STRICT;
CREATE TABLE certificate (fingerprint TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES account ON DELETE CASCADE,
    made_at TEXT NOT NULL, expires_at TEXT NOT NULL) STRICT;
CREATE TABLE unjournalled (number INTEGER PRIMARY KEY, row TEXT NOT NULL) STRICT;
PRAGMA user_version = 1;
"""


class Account(msgspec.Struct, frozen=True):
    """One account, as it is shown: nothing of it is secret."""

    name: str
    role: str
    label: str
    party: str | None
    password: bool  # whether one can sign in with one
    made_at: datetime
    tokens: list[dict[str, Any]] = []  # id, note, label, scopes, expires_at, seen_at
    certificates: list[dict[str, Any]] = []  # fingerprint, expires_at
    sessions: int = 0


def checked(name: str, role: str, label: str, party: str | None) -> None:
    """Whether an account may be like this.

    Raises
    ------
    MissionError
        Saying what is wrong; also where a role could do nothing with its label.
    """
    if not _NAME.fullmatch(name) or _ID.fullmatch(name):
        raise MissionError(f"name {name!r}: a letter, then letters, digits, . _ -, at most 64; not like a token's id")
    if role not in ROLES:
        raise MissionError(f"role {role!r} is none of {', '.join(ROLES)}")
    if label not in RELEASES:
        raise MissionError(f"label {label!r} is none of {', '.join(RELEASES)}")
    if role != "viewer" and (label != "mission" or party is not None):
        raise MissionError(f"a {role} works for the mission: label mission, no party; whoever else looks is a viewer")
    if party is not None and RELEASES.index(label) > RELEASES.index("parties"):
        raise MissionError(f"label {label!r} is not for a party: parties or public")


class Accounts:
    """The accounts of the mission in `folder`. Every method may be called from any thread.

    Parameters
    ----------
    clock
        The time of the wall, also where a mission is replayed at another: sessions and tokens end by it.
    hasher
        Argon2 with the parameters of RFC 9106 for 64 MiB; tests take a weaker one.

    Raises
    ------
    StoreError
        From every method, when the file is damaged, locked or of another version.
    """

    def __init__(self, folder: Path, clock: Callable[[], datetime], hasher: PasswordHasher | None = None) -> None:
        self.folder, self.clock, self.hasher = folder, clock, hasher or PasswordHasher()
        self._lock, self._reading = threading.Lock(), threading.Lock()
        try:  # made readable by us alone before there is anything in it; SQLite's own files take its mode
            os.close(os.open(folder / FILE, os.O_CREAT | os.O_RDWR, 0o600))
            (folder / FILE).chmod(0o600)
            self._writer, self._reader = self._connect(), self._connect()
            with self.writing() as book:
                version = book.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    for statement in _SCHEMA.split(";"):
                        book.execute(statement)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"{folder / FILE}: cannot be opened: {getattr(error, 'strerror', None) or error}"
            ) from error
        if version not in (0, 1):
            raise StoreError(f"{folder / FILE}: version {version} is of a newer truceline")

    def _connect(self) -> sqlite3.Connection:
        book = sqlite3.connect(self.folder / FILE, timeout=5, isolation_level=None, check_same_thread=False)
        book.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            book.execute(f"PRAGMA {pragma}")
        return book

    def close(self) -> None:
        """Let go of the file."""
        self._writer.close()
        self._reader.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, on disk when the block is left; a fsync, so not for the event loop."""
        with self._lock:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                except BaseException:
                    self._writer.execute("ROLLBACK")
                    raise
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreError(f"{self.folder / FILE}: cannot be written: {error}") from error

    def rows(self, question: str, *values: Any) -> list[sqlite3.Row]:
        """What a question gives; never waits for a writer."""
        with self._reading:
            try:
                return self._reader.execute(question, values).fetchall()
            except sqlite3.Error as error:
                raise StoreError(f"{self.folder / FILE}: cannot be read: {error}") from error

    # Changes. `note` is the row of the audit that goes with one, kept in the same transaction (serve.audit).

    def add(
        self, name: str, role: str, label: str, party: str | None, password: str | None, note: dict[str, Any]
    ) -> None:
        """Make an account; without a password it is for tokens and certificates alone.

        Raises
        ------
        MissionError
            When it may not be like this, the password is too short, or the name is or was somebody's: names stand in
            the journal for good.
        """
        checked(name, role, label, party)
        hashed, now = None if password is None else self._hashed(name, password), self.clock().isoformat()
        with self.writing() as book:
            taken = "SELECT 1 FROM account WHERE name = ? UNION SELECT 1 FROM former WHERE name = ?"
            if book.execute(taken, (name, name)).fetchone():
                raise MissionError(f"{name!r} is or was an account's name; the journal holds what was done under it")
            row = (name, role, label, party, hashed, now, now)
            book.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            _noted(book, note)

    def change(self, name: str, role: str, label: str, party: str | None, note: dict[str, Any]) -> None:
        """Give an account another role, label and party; its sessions end, its tokens never have more than it has."""
        account = self.account(name)
        checked(account.name, role, label, party)
        with self.writing() as book:
            self._keeps_an_administrator(book, account.name, role)
            values = (role, label, party, self.clock().isoformat(), account.name)
            book.execute("UPDATE account SET role = ?, label = ?, party = ?, changed_at = ? WHERE name = ?", values)
            book.execute("DELETE FROM session WHERE account = ?", (account.name,))
            _noted(book, note)

    def set_password(self, name: str, password: str, note: dict[str, Any]) -> None:
        """Another password; its sessions end."""
        account = self.account(name)
        values = (self._hashed(account.name, password), self.clock().isoformat(), account.name)
        with self.writing() as book:
            book.execute("UPDATE account SET password = ?, changed_at = ? WHERE name = ?", values)
            book.execute("DELETE FROM session WHERE account = ?", (account.name,))
            _noted(book, note)

    def remove(self, name: str, note: dict[str, Any]) -> None:
        """The account goes, with its sessions, tokens and certificates; its name is not given again."""
        account = self.account(name)
        with self.writing() as book:
            self._keeps_an_administrator(book, account.name, None)
            book.execute("DELETE FROM account WHERE name = ?", (account.name,))
            book.execute("INSERT INTO former VALUES (?)", (account.name,))
            _noted(book, note)

    def add_token(
        self,
        name: str,
        note: dict[str, Any],
        *,
        days: float,
        label: str | None = None,
        scopes: frozenset[str] | None = None,
        purpose: str = "",
    ) -> str:
        """A new token of an account, `tl_<id>_<secret>`: to be shown once, it is not kept.

        Parameters
        ----------
        label
            It sees no more than this, and never more than its account; None: as its account.
        scopes
            The privileges it is held to, of those its account has; None: all of them.
        """
        account = self.account(name)
        label = label or account.label
        if label not in RELEASES or RELEASES.index(label) > RELEASES.index(account.label):
            raise MissionError(f"label {label!r} is wider than what {account.name} sees: {account.label}")
        for scope in scopes or ():
            if account.role not in PRIVILEGES.get(scope, ()):
                raise MissionError(f"the role {account.role} has no privilege {scope!r} to give to a token")
        if not 0 < days <= 3660:
            raise MissionError(f"{days:g} days: a token ends, after ten years at the latest")
        identity, secret, now = secrets.token_hex(6), secrets.token_urlsafe(32), self.clock()
        held = json.dumps(sorted(scopes)) if scopes is not None else None
        ends = (now + timedelta(days=days)).isoformat()
        row = (identity, digest(secret), account.name, purpose, label, held, now.isoformat(), ends, None)
        with self.writing() as book:
            book.execute("INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            _noted(book, {**note, "subject": f"{account.name}: token {identity}"})
        return f"tl_{identity}_{secret}"

    def add_certificate(self, name: str, der: bytes, expires_at: datetime, note: dict[str, Any]) -> str:
        """A client certificate speaks for an account from now on; its fingerprint (SHA-256) is given back."""
        account, fingerprint = self.account(name), hashlib.sha256(der).hexdigest()
        row = (fingerprint, account.name, self.clock().isoformat(), expires_at.isoformat())
        with self.writing() as book:
            book.execute("INSERT OR REPLACE INTO certificate VALUES (?, ?, ?, ?)", row)
            _noted(book, {**note, "subject": f"{account.name}: certificate {fingerprint[:12]}"})
        return fingerprint

    def revoke(self, what: str, note: dict[str, Any]) -> str:
        """End a token (its id, or all of it), a certificate (the first 12 digits or more of its fingerprint), or all
        sessions, tokens and certificates of an account; what was ended, in words.

        Raises
        ------
        NotFoundError
            When there is nothing of that name.
        """
        identity = what.split("_")[1] if what.startswith("tl_") and what.count("_") > 1 else what
        with self.writing() as book:
            if book.execute("DELETE FROM token WHERE id = ?", (identity,)).rowcount:
                ended = f"token {identity}"
            elif re.fullmatch(r"[0-9a-f]{12,64}", what) and (
                book.execute("DELETE FROM certificate WHERE substr(fingerprint, 1, ?) = ?", (len(what), what)).rowcount
            ):
                ended = f"certificate {what[:12]}"
            elif book.execute("SELECT 1 FROM account WHERE name = ?", (what,)).fetchone():
                for table in ("session", "token", "certificate"):
                    column = "(SELECT name FROM account WHERE name = ?)"
                    book.execute(f"DELETE FROM {table} WHERE account = {column}", (what,))  # noqa: S608 - our own names
                ended = f"all sessions, tokens and certificates of {what}"
            else:
                raise NotFoundError("there is no token, certificate or account of that name")
            _noted(book, {**note, "subject": ended})
        return ended

    def _hashed(self, name: str, password: str) -> str:
        if len(password) < PASSWORD_LEAST or len(octets(password)) > PASSWORD_MOST:
            raise MissionError(f"a password has {PASSWORD_LEAST} characters or more (several words do well), no novel")
        if name.lower() in password.lower():
            raise MissionError("a password does not hold the account's name")
        return self.hasher.hash(octets(password))

    def _keeps_an_administrator(self, book: sqlite3.Connection, name: str, role: str | None) -> None:
        others = book.execute("SELECT name FROM account WHERE role = 'administrator'").fetchall()
        if [row["name"] for row in others] == [name] and role != "administrator":
            raise MissionError(f"{name} is the only administrator: make another first")

    # Reading

    def accounts(self) -> list[Account]:
        """All of them, by name."""
        found = []
        for row in self.rows("SELECT * FROM account ORDER BY name"):
            tokens = [dict(one) for one in self.rows("SELECT * FROM token WHERE account = ?", row["name"])]
            for token in tokens:
                del token["hash"], token["account"]
                token["scopes"] = json.loads(token["scopes"]) if token["scopes"] else None
            certificates = self.rows("SELECT fingerprint, expires_at FROM certificate WHERE account = ?", row["name"])
            sessions = self.rows("SELECT 1 FROM session WHERE account = ?", row["name"])
            made = datetime.fromisoformat(row["made_at"])
            about = (row["name"], row["role"], row["label"], row["party"], row["password"] is not None, made)
            found.append(Account(*about, tokens, [dict(one) for one in certificates], len(sessions)))
        return found

    def account(self, name: str) -> Account:
        """That account, whatever the case of its letters.

        Raises
        ------
        NotFoundError
            When there is none.
        """
        for account in self.accounts():
            if account.name.lower() == name.lower():
                return account
        raise NotFoundError(f"there is no account {name!r}; truceline account list {self.folder} shows them")

    def has_administrator(self) -> bool:
        """Whether an administrator can sign in: until then the service listens on loopback alone."""
        return bool(self.rows("SELECT 1 FROM account WHERE role = 'administrator' AND password IS NOT NULL"))

    def hint(self) -> str | None:
        """How to make the first account, where there is none."""
        if self.rows("SELECT 1 FROM account"):
            return None
        return f"nobody can sign in yet: truceline account add {self.folder} NAME --role administrator"

    def check_binding(self, host: str) -> None:
        """Whether the service may listen there.

        Raises
        ------
        DeniedError
            When others than this machine could reach it, and there is no administrator yet.
        """
        if not is_loopback(host) and not self.has_administrator():
            raise DeniedError(
                f"{host} can be reached from other machines, and this mission has no administrator who can sign in: "
                f"truceline account add {self.folder} NAME --role administrator"
            )

    def journalled(self, numbers: list[int]) -> None:
        """Those rows of the audit are in the journal now."""
        with self.writing() as book:
            book.executemany("DELETE FROM unjournalled WHERE number = ?", [(number,) for number in numbers])

    def unjournalled(self) -> dict[int, dict[str, Any]]:
        """Rows of the audit that are not in the journal yet, by number."""
        rows = self.rows("SELECT number, row FROM unjournalled ORDER BY number")
        return {row["number"]: json.loads(row["row"]) for row in rows}


def _noted(book: sqlite3.Connection, note: dict[str, Any]) -> None:
    book.execute("INSERT INTO unjournalled (row) VALUES (?)", (json.dumps(note),))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on; what is no address is not."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def octets(password: str) -> bytes:
    """A password as argon2 takes it; JSON can bring what is no text, and that is merely wrong."""
    return password.encode("utf-8", "surrogatepass")


def digest(secret: str) -> bytes:
    """What is kept of a random secret."""
    return hashlib.sha256(secret.encode()).digest()
