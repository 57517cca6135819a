"""From the records of one live source to the gate, and what is told of it: state, counts, what was lost and why.

A gate that is busy, or a disk that is full, makes the caller wait, and so the sender: nothing is kept in memory
beyond what one call was given.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from truceline.errors import BusyError, SourceError, StoreError
from truceline.feeds.framing import Framing
from truceline.mission import Source
from truceline.serve.service import Gate, Receipt

#: What goes to the gate at once: less than a source has in its turn there.
MOST_BYTES, MOST_RECORDS = 1 << 17, 4096
#: Between tries when the disk refuses: it does not get better by asking.
STORE_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Limits:
    """What one sender may take. Assumptions where no reason is given; tests make them small."""

    #: What arrives within this goes to the gate together: far less than a second, many times a single fsync.
    together_s: float = 0.02
    #: A record that has begun has this long to end.
    record_s: float = 30.0
    #: A connection without a byte for so long is closed; team-awareness devices report every minute or two.
    idle_s: float = 900.0
    connections: int = 256  # of one listener
    connections_of_one: int = 64  # from one address
    #: Datagrams and messages that wait for the gate, by number and by bytes; what is beyond is dropped and counted.
    waiting_units: int = 20_000
    waiting_bytes: int = 16 << 20
    #: Pauses between tries to connect; the last is repeated.
    pauses_s: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


@dataclass
class Board:
    """What is known of one input. Times are the service's clock's."""

    source: str
    way: str  # "listen udp://0.0.0.0:10110", without secrets
    state: str = "starting"  # listening, connecting, connected, subscribed, watching, held back, failing, stopped
    since: datetime | None = None  # of this state
    connections: int = 0
    refused_connections: int = 0
    received_bytes: int = 0
    payloads: int = 0
    #: Records thrown away unread, because they came by a way that cannot be made to wait.
    dropped: int = 0
    dropped_bytes: int = 0
    unreadable: int = 0  # pieces that were no record of the format at all; journalled as rejections
    last_received_at: datetime | None = None
    problem: str = ""  # the last thing that went wrong

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {k: v.isoformat().replace("+00:00", "Z") if isinstance(v, datetime) else v for k, v in told.items()}


@dataclass
class Delivery:
    """One source's way to the gate."""

    source: Source
    gate: Gate
    board: Board
    clock: Any
    #: What every refusal of the gate is told with, for tests to wait on.
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def state(self, state: str, problem: str | None = None) -> None:
        """Say how the input is; `problem` replaces the last one."""
        if state != self.board.state:
            self.board.state, self.board.since = state, self.clock()
        if problem is not None:
            self.board.problem = problem
        self.changed.set()

    def received(self, size: int) -> float:
        """Count bytes that came; when, in seconds since 1970."""
        now: datetime = self.clock()
        self.board.received_bytes += size
        self.board.last_received_at = now
        return now.timestamp()

    def dropped(self, records: int, size: int) -> None:
        """Count what had to be thrown away."""
        self.board.dropped += records
        self.board.dropped_bytes += size
        self.changed.set()

    async def take(self, framing: Framing, name: str, *, ended: bool = False) -> bool:
        """Give on what is whole in `framing`; whether the feed could read it.

        False: a stream whose records are all alike was refused, and has no sense to go on.
        """
        records, unreadable = framing.take(self.clock().timestamp(), ended)
        reasons = dict.fromkeys(reason for _, reason in unreadable)
        for reason in reasons:
            await self.refuse([raw for raw, why in unreadable if why == reason], reason, name)
        begin = 0
        while begin < len(records):
            end, size = begin, 0
            while end < len(records) and (end == begin or (size < MOST_BYTES and end - begin < MOST_RECORDS)):
                size += len(records[end])
                end += 1
                if framing.single:
                    break
            if not await self._submit(framing, records[begin:end], name):
                await self._refuse_rest(framing, records[end:], name)
                return False
            begin = end
        return True

    async def _refuse_rest(self, framing: Framing, records: list[bytes], name: str) -> None:
        if records:
            await self.refuse(records, self.board.problem or "comes behind what was refused", name)

    async def _submit(self, framing: Framing, records: list[bytes], name: str) -> bool:
        """Give records to the gate; those that its feed refuses together are tried in halves, so that one harms no
        other. False when the stream cannot go on."""
        try:
            await self.give(framing.payload(records), name)
        except SourceError as error:
            self.board.problem = str(error)
            if framing.alike or len(records) == 1:
                raws = [framing.payload(records)] if framing.alike else records
                await self.refuse(raws, str(error), name)
                return not framing.alike
            middle = len(records) // 2
            await self._submit(framing, records[:middle], name)
            await self._submit(framing, records[middle:], name)
        return True

    async def give(self, payload: bytes, name: str) -> Receipt:
        """A payload to the gate, however long it takes; raises what is the payload's own fault."""

        async def submitted() -> Receipt:
            return await self.gate.submit(self.source.id, payload, name=name)

        receipt = await self._patiently(submitted)
        self.board.payloads += 1
        return receipt

    async def refuse(self, raws: Sequence[bytes], reason: str, name: str) -> None:
        """Journal what is no record."""

        async def refused() -> Receipt:
            return await self.gate.refuse(self.source.id, list(raws), reason, name=name)

        await self._patiently(refused)
        self.board.unreadable += len(raws)
        self.board.problem = reason
        self.changed.set()

    async def _patiently(self, ask: Any) -> Receipt:
        before, tries = self.board.state, 0
        while True:
            try:
                receipt: Receipt = await ask()
            except BusyError as error:
                self.state("held back", str(error))
                await asyncio.sleep(min(max(error.retry_after_s, 0.01), 10.0))
            except StoreError as error:
                self.state("held back", str(error))
                await asyncio.sleep(STORE_PAUSES_S[min(tries, len(STORE_PAUSES_S) - 1)])
                tries += 1
            else:
                if self.board.state == "held back":
                    self.state(before if before != "held back" else "connected")
                self.changed.set()
                return receipt
