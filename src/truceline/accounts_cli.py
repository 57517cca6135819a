"""`truceline account`: who may come in, kept by whoever may read the mission's folder.

A password is typed or comes from standard input, never an argument: arguments are seen by every process and stay in the
shell's history. A token is shown once.
"""

import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from truceline.command import DONE, Json, Mission, builtins, examples, now, out
from truceline.errors import MissionError

if TYPE_CHECKING:
    from truceline.serve.accounts import Accounts

app = App(
    name="account",
    help="Keep the accounts of a mission: who signs in, what they may do and see, tokens and certificates.",
    help_epilogue=examples(
        "truceline account add my-mission olena --role administrator", "truceline account list my-mission"
    ),
    help_format="markdown",
)

Name = Annotated[str, Parameter(help="The account's name.")]
Stdin = Annotated[bool, Parameter(name="--password-stdin", negative="", help="Take the password from standard input.")]
Party = Annotated[str | None, Parameter(help="It speaks for this party of the agreement (its id).")]


@app.command(
    help_epilogue=examples(
        "truceline account add my-mission olena --role 'duty officer'",
        "truceline account add my-mission side-a --label parties --party A --password-stdin < secret.txt",
    )
)
def add(
    folder: Mission,
    name: Name,
    /,
    *,
    role: Annotated[str, Parameter(help="viewer, reporter, verifier, 'duty officer' or administrator.")] = "viewer",
    label: Annotated[str, Parameter(help="It sees what is released to: public, parties, ….")] = "mission",
    party: Party = None,
    password_stdin: Stdin = False,
    device: Annotated[bool, Parameter(negative="", help="No password: for tokens and certificates alone.")] = False,
) -> int:
    """Make an account. What a role may do and a label may see is in docs/access.md."""
    from truceline.serve.accounts import checked

    checked(name, role, label, party)
    _party(folder, party)
    password = None if device else _password(password_stdin)

    def change(accounts: "Accounts", note: dict[str, Any]) -> str:
        accounts.add(name, role, label, party, password, note)
        return f"{name} may come in: {role}, sees {label}" + (f", speaks for {party}" if party else "")

    return _changed(folder, change, name, f"added: {role}, {label}, {party or 'no party'}")


@app.command(
    help_epilogue=examples(
        "truceline account change my-mission olena --role verifier",
        "truceline account change my-mission guest --role viewer --label public",
    )
)
def change(
    folder: Mission,
    name: Name,
    /,
    *,
    role: Annotated[str | None, Parameter(help="Another role.")] = None,
    label: Annotated[str | None, Parameter(help="Another label.")] = None,
    party: Party = None,
) -> int:
    """Give an account another role, label or party; whoever is signed in with it has to sign in again."""
    _party(folder, party)

    def changing(accounts: "Accounts", note: dict[str, Any]) -> str:
        was = accounts.account(name)
        to = (role or was.role, label or was.label, party or was.party)
        note["text"] = f"{was.role}, {was.label}, {was.party or 'no party'} → {to[0]}, {to[1]}, {to[2] or 'no party'}"
        accounts.change(name, *to, note)
        return f"{was.name}: {note['text']}"

    return _changed(folder, changing, name, "")


@app.command(
    name="list", help_epilogue=examples("truceline account list my-mission", "truceline account list . --json")
)
def show(folder: Mission, /, *, as_json: Json = False) -> int:
    """Show the accounts with their tokens and certificates; nothing that is shown is secret."""
    accounts = _accounts(folder)
    found = accounts.accounts()
    if as_json:
        out(builtins(found))
        return DONE
    print("\n".join(_told(account) for account in found) or accounts.hint())
    return DONE


@app.command(
    help_epilogue=examples(
        "truceline account remove my-mission olena", "truceline account remove ./my-mission patrol-3"
    )
)
def remove(folder: Mission, name: Name, /) -> int:
    """Remove an account with its sessions, tokens and certificates; its name is not given to anybody again."""

    def removing(accounts: "Accounts", note: dict[str, Any]) -> str:
        accounts.remove(name, note)
        return f"{name} may not come in any more"

    return _changed(folder, removing, name, "removed")


@app.command(
    help_epilogue=examples(
        "truceline account password my-mission olena",
        "truceline account password my-mission olena --password-stdin < secret.txt",
    )
)
def password(folder: Mission, name: Name, /, *, password_stdin: Stdin = False) -> int:
    """Give an account another password; whoever is signed in with it has to sign in again."""
    chosen = _password(password_stdin)

    def setting(accounts: "Accounts", note: dict[str, Any]) -> str:
        accounts.set_password(name, chosen, note)
        return f"{name} has another password"

    return _changed(folder, setting, name, "another password")


@app.command(
    help_epilogue=examples(
        "truceline account token my-mission patrol-3 --scope report --days 30",
        "truceline account token my-mission gis --label public --purpose 'the office'",
    )
)
def token(
    folder: Mission,
    name: Name,
    /,
    *,
    days: Annotated[float, Parameter(help="It ends after so many days.")] = 90,
    scope: Annotated[list[str] | None, Parameter(help="Only these privileges of the account.", negative="")] = None,
    label: Annotated[str | None, Parameter(help="It sees no more than this; else as its account.")] = None,
    purpose: Annotated[str, Parameter(help="What it is for, in words.")] = "",
) -> int:
    """Make an API token of an account and print it: this once. Privileges are those of docs/access.md."""
    scopes = frozenset(scope) if scope else None

    def making(accounts: "Accounts", note: dict[str, Any]) -> str:
        return accounts.add_token(name, note, days=days, label=label, scopes=scopes, purpose=purpose)

    held = ", ".join(scope) if scope else "all its account may"
    code = _changed(folder, making, name, f"token made: {held}; {days:g} days; {purpose}")
    print("This is shown once. Send it as: Authorization: Bearer tl_…", file=sys.stderr)
    return code


@app.command(
    help_epilogue=examples(
        "truceline account certificate my-mission patrol-3 --days 180",
        "truceline account certificate my-mission patrol-3 --file patrol-3.pem",
    )
)
def certificate(
    folder: Mission,
    name: Name,
    /,
    *,
    days: Annotated[float, Parameter(help="It ends after so many days.")] = 365,
    file: Annotated[Path | None, Parameter(help="Another authority's certificate (PEM), instead of a new one.")] = None,
) -> int:
    """Let a client certificate speak for an account, at the ports of TAK: a new one of the mission's own authority."""
    from truceline.serve import tls

    def making(accounts: "Accounts", note: dict[str, Any]) -> str:
        account = accounts.account(name)
        if file is not None:
            accounts.add_certificate(name, *tls.read(file), note)
            return f"{file} speaks for {account.name}"
        made = tls.issue(folder, account.name, now(), days=days)
        accounts.add_certificate(name, made.der, made.expires_at, note)
        return f"{made.certificate}\n{made.key}\n{folder / tls.FOLDER / 'authority.pem'}"

    return _changed(folder, making, name, "a certificate speaks for it")


@app.command(
    help_epilogue=examples(
        "truceline account server-certificate my-mission picture.mission.example",
        "truceline account server-certificate my-mission 192.0.2.7 picture --days 90",
    )
)
def server_certificate(
    folder: Mission,
    hosts: Annotated[list[str], Parameter(help="Names and addresses under which the service is reached.")],
    /,
    *,
    days: Annotated[float, Parameter(help="It ends after so many days.")] = 365,
) -> int:
    """Make the service's own TLS certificate, where no other authority gives one; clients trust authority.pem."""
    from truceline.serve import tls

    made = tls.issue(folder, "server", now(), days=days, hosts=tuple(hosts))
    print(f"{made.certificate}\n{made.key}\n{folder / tls.FOLDER / 'authority.pem'}")
    return DONE


@app.command(
    help_epilogue=examples(
        "truceline account revoke my-mission 3f2a9c01d4e5", "truceline account revoke my-mission patrol-3"
    )
)
def revoke(
    folder: Mission,
    what: Annotated[str, Parameter(help="A token's id, the first 12 digits of a certificate's, or an account's name.")],
    /,
) -> int:
    """End a token or a certificate; or all sessions, tokens and certificates of an account, which stays."""

    def revoking(accounts: "Accounts", note: dict[str, Any]) -> str:
        return f"ended: {accounts.revoke(what, note)}"

    return _changed(folder, revoking, "", "revoked")


def _accounts(folder: Path) -> "Accounts":
    from truceline.mission import FILE
    from truceline.serve.accounts import Accounts

    if not (folder / FILE).is_file():
        raise MissionError(f"{folder / FILE}: there is no mission here; make one with: truceline init {folder}")
    return Accounts(folder, now)


def _changed(folder: Path, change: Callable[["Accounts", dict[str, Any]], str], subject: str, text: str) -> int:
    """Make a change, say what came of it, and journal it with the name of whoever sits at this machine."""
    from truceline.intake import JOURNAL
    from truceline.serve import audit

    accounts = _accounts(folder)
    by = f"{getpass.getuser()} (command line)"
    print(change(accounts, audit.row("account", by, now(), subject=subject, text=text, via="command line")))
    if not audit.carried_alone(accounts, folder / JOURNAL):
        print("The journal is being written by another process; the running service journals this.", file=sys.stderr)
    accounts.close()
    return DONE


def _password(stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise MissionError("there is no terminal to ask for a password: give it by --password-stdin")
    chosen = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != chosen:
        raise MissionError("these were two different passwords; nothing was changed")
    return chosen


def _party(folder: Path, party: str | None) -> None:
    if party is None:
        return
    from truceline import mission

    parties = [one.id for one in mission.Mission.load(folder).load_agreement(folder).party]
    if party not in parties:
        raise MissionError(f"party {party!r} is none of the agreement's: {', '.join(parties)}")


def _told(account: Any) -> str:
    words = f"{account.name}: {account.role}, sees {account.label}"
    words += f", speaks for {account.party}" if account.party else ""
    words += "" if account.password else ", no password"
    words += f", {account.sessions} signed in" if account.sessions else ""
    for one in account.tokens:
        held = ", ".join(one["scopes"]) if one["scopes"] is not None else "all"
        used = f"last used {one['seen_at'][:16]}" if one["seen_at"] else "never used"
        words += f"\n  token {one['id']}: {held}; sees {one['label']}; until {one['expires_at'][:10]}; {used}"
        words += f"; {one['note']}" if one["note"] else ""
    for one in account.certificates:
        words += f"\n  certificate {one['fingerprint'][:12]}: until {one['expires_at'][:10]}"
    return words
