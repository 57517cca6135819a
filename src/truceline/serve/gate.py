"""The gate: where everything comes in and becomes durable; the only writer of the journal while the service runs.

    submit, refuse ─► a queue for each source ─► groups ─► read in a thread ─► one sync ─► acknowledged ─► committed

While one group is read and put on disk the next one gathers. Sources take turns in a group, so that one that floods
waits behind itself alone; what is large is read beside the groups, one at a time, and joins one when it is read.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from truceline import feeds
from truceline.errors import BusyError, NotFoundError, SourceError, StoreError, TrucelineError
from truceline.mission import Live, Mission, Source
from truceline.serve.journalling import Disk
from truceline.serve.meters import Acknowledged, Meter, Waits
from truceline.serve.service import Receipt
from truceline.serve.taking import Payload, Taken, is_lines, take
from truceline.store.kinds import appendable, conform


@dataclass(frozen=True)
class Limits:
    """How much may wait, and how much is done at once."""

    source_bytes: int = 80 << 20  # of one source: the largest payload, and some
    total_bytes: int = 256 << 20
    wait_s: float = 10.0  # who would wait longer because its source sends more than it may is told to come again
    group_bytes: int = 4 << 20  # read and synced together: about a tenth of a second
    turn_bytes: int = 256 << 10  # of one source before the next has its turn
    gather_s: float = 0.01  # a small group waits so long for others: it costs as much as a larger one
    roll_rows: int = 1 << 14  # as many in the journal's tail become frames: a tenth of a second
    roll_bytes: int = 32 << 20
    roll_every_s: float = 30.0
    behind_rows: int = 1 << 18  # as many on their way to `committed`, and the gate waits
    pause_s: float = 0.2  # after a write that failed


log = logging.getLogger("truceline.serve")

#: What a payload that waits takes beside its bytes.
_OVERHEAD = 2048
#: A source may run so far ahead of its `rows_per_s`: what gathered in a break of its connection comes at once.
_BURST_S = 1.0

_LIVE = Live()

_T = TypeVar("_T")
Committed = Callable[[pa.Table], Awaitable[None]]


class _Waiting(NamedTuple):
    payload: Payload
    size: int
    since_s: float
    future: "asyncio.Future[Receipt]"


@dataclass
class _Queue:
    """What waits of one source."""

    source: Source
    waiting: deque[_Waiting] = field(default_factory=deque)
    bytes: int = 0
    free_at_s: float = 0.0  # its rows up to now were paid for by then


class Gate:
    """See `service.Gate`.

    Parameters
    ----------
    folder
        The mission's.
    clock
        Gives the time of receipt.
    committed
        Is given the accepted observations of each group once they are on disk, group by group, in the order of the
        journal.
    """

    def __init__(
        self,
        folder: Path,
        mission: Mission,
        clock: Callable[[], datetime],
        committed: Committed | None = None,
        limits: Limits | None = None,
    ) -> None:
        for source in mission.source:
            feeds.check(source)
        self.folder, self.clock, self.limits = folder, clock, limits or Limits()
        #: Why nothing can be journalled; None while it can.
        self.problem: str | None = None
        self._committed = committed
        self._queues = {source.id: _Queue(source) for source in mission.source}
        self._turns = deque(self._queues)
        self._records: list[tuple[str, pa.Table, asyncio.Future[None]]] = []
        self._ready: list[tuple[list[_Waiting], list[Taken]]] = []  # large ones that have been read
        self._apart: asyncio.Task[None] | None = None
        self._warm = {""}  # feeds that have read something: their kernels are compiled
        self._meters: dict[str, Meter] = {}
        self._waits = Waits()
        self._bytes = 0
        self._given: deque[pa.Table] = deque()
        self._given_rows = 0
        self._wake, self._give, self._caught_up = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._disk = Disk(folder, self.limits.roll_rows, self.limits.roll_bytes)
        self._rolled_s = 0.0
        self._stopping = False

    # The service's contract

    async def start(self) -> None:
        """Take the journal's lock; what a killed service left in its tail is rolled. Raises StoreError."""
        loop = asyncio.get_running_loop()
        now = self.clock()
        self._meters = {id: Meter(queue.source, now, loop.time()) for id, queue in self._queues.items()}
        await self._disk.open(self._meters, now)
        self._rolled_s = loop.time()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._pass_on())]

    async def stop(self) -> None:
        """Journal what waits, roll, give up the lock."""
        self._stopping = True
        self._wake.set()
        self._caught_up.set()
        try:
            for task in self._tasks:  # what still waits is journalled, then what is journalled is given on
                await task
                self._give.set()
        finally:
            await self._disk.close()

    async def submit(self, source: str, payload: bytes, *, name: str, form: str | None = None) -> Receipt:
        """See `service.Gate`."""
        queue = self._queue(source)
        if not payload:
            raise SourceError(f"{name}: is empty")
        return await self._wait(queue, Payload(queue.source, payload, name, form, self.clock()), len(payload))

    async def refuse(self, source: str, raws: list[bytes], reason: str, *, name: str) -> Receipt:
        """See `service.Gate`."""
        queue = self._queue(source)
        payload = Payload(queue.source, b"", name, None, self.clock(), tuple(raws), reason)
        return await self._wait(queue, payload, sum(map(len, raws)))

    async def record(self, kind: str, rows: pa.Table) -> None:
        """See `service.Gate`."""
        if self._stopping:
            raise StoreError("the service is stopping: nothing is taken any more")
        appendable(kind)
        conform(kind, rows)  # here, so that rows that do not fit are refused alone
        if rows.num_rows:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._records.append((kind, rows, done))
            self._wake.set()
            await done

    def sources(self) -> list[dict[str, Any]]:
        """See `service.Gate`; beside what it says `ahead` and `late`, records whose time cannot be when they came."""
        now_s = asyncio.get_running_loop().time()
        refusing = self.problem is not None
        return [meter.row(now_s, self._queues[id].bytes, refusing) for id, meter in self._meters.items()]

    @property
    def ack_seconds(self) -> Acknowledged:
        """How long records waited for their acknowledgement."""
        return self._waits.histogram

    async def roll(self) -> str:
        """Make frames of what is in the journal's tail, so that its head covers everything; the head."""
        return await self._disk.roll()

    # Waiting

    def _queue(self, source: str) -> _Queue:
        if source not in self._queues:
            raise NotFoundError(f"the mission has no source {source!r}")
        if self._stopping:
            raise BusyError("the service is stopping", 5.0)
        return self._queues[source]

    async def _wait(self, queue: _Queue, payload: Payload, size: int) -> Receipt:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        size += _OVERHEAD
        ahead_s = queue.free_at_s - now_s - _BURST_S
        if ahead_s > self.limits.wait_s or (queue.waiting and queue.bytes + size > self.limits.source_bytes):
            told = f"source {queue.source.id!r} sends faster than it may, or than can be read: {queue.bytes} bytes wait"
            raise BusyError(told, max(1.0, ahead_s))
        if self._bytes and self._bytes + size > self.limits.total_bytes:
            raise BusyError(f"{self._bytes} bytes of all sources wait", 1.0)
        one = _Waiting(payload, size, now_s, loop.create_future())
        queue.waiting.append(one)
        queue.bytes += size
        self._bytes += size
        self._wake.set()
        return await one.future

    def _let_go(self, one: _Waiting) -> None:
        self._queues[one.payload.source.id].bytes -= one.size
        self._bytes -= one.size

    # Groups

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self._bytes < self.limits.turn_bytes and not self._stopping:
                await asyncio.sleep(self.limits.gather_s)
            self._wake.clear()  # what comes from here on is seen in the next round
            group, until_s = self._pick(loop.time())
            ready, self._ready = self._ready, []
            records, self._records = self._records, []
            if group or ready or records:
                try:
                    await self._commit(group, ready, records)
                except Exception:  # everyone has been answered by then: only the board is wrong
                    log.exception("a group could not be counted")
                while self._given_rows > self.limits.behind_rows and not self._stopping:
                    self._caught_up.clear()
                    await self._caught_up.wait()
                continue
            if self._stopping and self._apart is None and not any(q.waiting for q in self._queues.values()):
                return
            await self._rest(until_s)

    async def _rest(self, until_s: float) -> None:
        """Between groups: roll what has waited long enough, see whether there is room again; wait for more."""
        now_s = asyncio.get_running_loop().time()
        if self.problem is not None:
            self.problem = await self._disk.problem()
        elif now_s - self._rolled_s > self.limits.roll_every_s:
            self._rolled_s = now_s
            with suppress(StoreError):  # the next group is refused if it cannot be written
                await self._disk.roll()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), until_s)

    def _pick(self, now_s: float) -> tuple[list[_Waiting], float]:
        """The next group: sources in turn, each up to a turn's bytes; and how long until one may send again."""
        group: list[_Waiting] = []
        room, soonest_s, idle = self.limits.group_bytes, 1.0, 0
        while room > 0 and idle < len(self._turns):
            queue = self._queues[self._turns[0]]
            self._turns.rotate(-1)
            idle += 1
            wait_s = queue.free_at_s - now_s - _BURST_S
            if queue.waiting and wait_s > 0 and not self._stopping:
                soonest_s = min(soonest_s, wait_s)
                continue
            turn = self.limits.turn_bytes
            while queue.waiting and turn > 0:
                one = queue.waiting[0]
                if self._is_apart(one):
                    if self._apart is None:
                        queue.waiting.popleft()
                        self._apart = asyncio.create_task(self._read_apart(one))
                    break
                queue.waiting.popleft()
                if one.future.cancelled():  # whoever sent it has gone
                    self._let_go(one)
                    continue
                group.append(one)
                turn -= one.size
                room -= one.size
                idle = 0
        return group, soonest_s

    def _is_apart(self, one: _Waiting) -> bool:
        """Whether others would wait for its reading: it is large, or its feed has to be loaded and compiled first."""
        return one.size > self.limits.turn_bytes or self._reader(one.payload) not in self._warm

    @staticmethod
    def _reader(payload: Payload) -> str:
        if payload.reason:
            return ""
        return "jsonl" if is_lines(payload) else payload.form or payload.source.feed

    async def _read_apart(self, one: _Waiting) -> None:
        taken = await _outcome(asyncio.to_thread(take, [one.payload]))
        self._warm.add(self._reader(one.payload))
        self._apart = None
        if isinstance(taken, BaseException):
            self._fail([one], taken)
        else:
            self._ready.append(([one], taken))
        self._wake.set()

    async def _commit(
        self,
        group: Sequence[_Waiting],
        ready: Sequence[tuple[list[_Waiting], list[Taken]]],
        records: Sequence[tuple[str, pa.Table, asyncio.Future[None]]],
    ) -> None:
        """Read a group, put it on disk, and tell everyone."""
        payloads = [one.payload for one in group]
        read = [taken for _, large in ready for taken in large]
        done = await _outcome(self._disk.work(payloads, read, [(kind, rows) for kind, rows, _ in records]))
        everyone = [*group, *itertools.chain.from_iterable(ones for ones, _ in ready)]
        if isinstance(done, BaseException):
            self._fail(everyone, done)
            _settle((future for *_, future in records), done)
            if isinstance(done, StoreError):
                self.problem = str(done)
                await asyncio.sleep(self.limits.pause_s)
            return
        self.problem = None
        now_s = asyncio.get_running_loop().time()
        if self._committed is not None:
            self._given.extend(done.new)
            self._given_rows += sum(rows.num_rows for rows in done.new)
        self._give.set()
        for one in everyone:
            self._answer(one, now_s)
        _settle((future for *_, future in records), None)
        for heard in done.heard:  # before whoever was answered can look
            queue = self._queues[heard.source]
            queue.free_at_s = max(queue.free_at_s, now_s) + heard.rows / (queue.source.live or _LIVE).rows_per_s
            self._meters[heard.source].add(heard, now_s)

    def _answer(self, one: _Waiting, now_s: float) -> None:
        self._let_go(one)
        if one.future.done():
            return
        payload = one.payload
        if payload.problem is not None:
            one.future.set_exception(payload.problem)
            return
        self._waits.add(now_s - one.since_s)
        accepted, duplicates, rejected = payload.counts
        read = accepted + duplicates + rejected
        one.future.set_result(Receipt(payload.source.id, read, accepted, duplicates, rejected, payload.reasons))

    def _fail(self, ones: Sequence[_Waiting], error: BaseException) -> None:
        for one in ones:
            self._let_go(one)
        _settle((one.future for one in ones), error)

    async def _pass_on(self) -> None:
        """Give `committed` what is on disk, in order."""
        while self._given or not self._tasks[0].done():
            if not self._given:
                self._give.clear()
                await self._give.wait()
                continue
            rows = self._given.popleft()
            assert self._committed is not None
            try:
                await self._committed(rows)
            except Exception:  # they are journalled; whoever draws the picture says why it does not
                log.exception("%d observations were not taken on behind the gate", rows.num_rows)
            self._given_rows -= rows.num_rows
            self._caught_up.set()


async def _outcome(work: Awaitable[_T]) -> _T | BaseException:
    """What comes of it, or what went wrong: every group and every payload is answered."""
    try:
        return await work
    except Exception as error:
        if not isinstance(error, TrucelineError):
            log.exception("a group could not be journalled")
        return error


def _settle(futures: Iterable["asyncio.Future[Any]"], error: BaseException | None) -> None:
    for future in futures:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
