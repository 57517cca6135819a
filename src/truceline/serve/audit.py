"""Who came in, who looked at evidence, who let something out: rows of the journal, chained like all others.

A change of accounts is noted in the accounts' own file, in the transaction of the change, and carried from there into
the journal: by the command line when nothing else writes the journal, else by the running service. A kill between the
two repeats a row; none is lost.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
from starlette.requests import HTTPConnection

from truceline.errors import StoreError, TrucelineError
from truceline.release import Principal
from truceline.serve.accounts import Accounts
from truceline.serve.door import Door
from truceline.serve.service import Service
from truceline.store import Journal
from truceline.store.kinds import ACCESS

log = logging.getLogger("truceline.serve")

What = Literal["sign-in", "sign-out", "refused", "evidence", "export", "release", "account"]

#: How often the accounts' file is looked at for what is not in the journal yet, and told who was seen.
EVERY_S = 30.0
#: Of subject and text: what one row may say; both can come from outside.
MOST = 500


def row(what: What, by: str, at: datetime, *, subject: str = "", text: str = "", **more: str | None) -> dict[str, Any]:
    """A row of `kinds.ACCESS` as JSON has it; `more`: role, via, address. Never give it a secret."""
    if what not in get_args(What):
        raise ValueError(what)
    return {
        "what": what,
        "by": by,
        "subject": subject[:MOST],
        "text": text[:MOST],
        "received_at": at.isoformat(),
        **more,
    }


async def audit(
    service: Service, principal: Principal, what: What, subject: str, text: str, connection: HTTPConnection
) -> None:
    """Journal that `principal` did `what` to `subject`; durable on return, so what is looked at waits for it."""
    about = {"role": principal.role, "via": principal.via, "address": address_of(connection)}
    rows = [row(what, principal.name, service.clock(), subject=subject, text=text, **about)]
    await service.gate.record("access", _table(rows))


async def keep(door: Door, service: Service) -> None:
    """Until cancelled: carry changes of accounts into the journal, write down who was seen."""
    try:
        while True:
            try:
                await carried(door.accounts, service)
                await asyncio.to_thread(door.flush)
            except TrucelineError as error:  # a full disk, a locked file: it is all still there the next time
                log.warning("accounts: %s", error)
            await asyncio.sleep(EVERY_S)
    finally:
        with suppress(StoreError):
            door.flush()


async def carried(accounts: Accounts, service: Service) -> int:
    """Take what was changed by the command line into the journal; how many rows."""
    waiting = await asyncio.to_thread(accounts.unjournalled)
    if waiting:
        await service.gate.record("access", _table(list(waiting.values())))
        await asyncio.to_thread(accounts.journalled, list(waiting))
    return len(waiting)


def carried_alone(accounts: Accounts, journal: Path) -> bool:
    """The same where no service runs; False when one does (it holds the journal, and takes them itself)."""
    waiting = accounts.unjournalled()
    if not waiting:
        return True
    try:
        with Journal(journal, write=True) as opened:
            opened.append("access", _table(list(waiting.values())))
    except StoreError:
        return False
    accounts.journalled(list(waiting))
    return True


def address_of(connection: HTTPConnection) -> str:
    """Where a connection comes from; behind a proxy that uvicorn was told to trust, what that says."""
    return connection.client.host if connection.client else "unknown"


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    rows = [{**one, "received_at": datetime.fromisoformat(one["received_at"]), "release": "mission"} for one in rows]
    schema = pa.schema([field for field in ACCESS if field.name != "leaf"])
    return pa.Table.from_pylist(rows, schema=schema)
