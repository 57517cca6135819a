"""The gate's hand on the journal: one thread that reads groups of payloads and puts them on disk."""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.errors import StoreError
from truceline.intake import JOURNAL
from truceline.serve.meters import Heard, Meter, heard, remember
from truceline.serve.taking import Payload, Taken, count, take
from truceline.store import Journal
from truceline.store.committing import together

T = TypeVar("T")

#: Rows that are on disk, and which of the observations were new.
_Admitted = tuple[Taken, npt.NDArray[np.bool_]]


class Done(NamedTuple):
    """A group that is on disk."""

    new: list[pa.Table]  # observations that were no duplicates; few tables, mostly one
    heard: list[Heard]


#: As much can be written, and the disk is taken to have room again.
_PROBE_BYTES = 1 << 20


class Disk:
    """The journal of the mission in `folder`, rolled when as many rows or bytes are in its tail."""

    def __init__(self, folder: Path, roll_rows: int, roll_bytes: int) -> None:
        self._folder = folder / JOURNAL
        self._roll_rows, self._roll_bytes = roll_rows, roll_bytes
        self._thread = ThreadPoolExecutor(1, "gate")
        self._journal: Journal | None = None

    async def _there(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def open(self, meters: dict[str, Meter], now: datetime) -> None:
        """Take the lock, learn all ids; give the meters what the journal has of before. Raises StoreError."""

        def open() -> None:
            journal = Journal(self._folder, write=True)
            try:
                journal.admit([])
                remember(meters, self._folder, now)
            except BaseException:
                journal.close()
                raise
            self._journal = journal

        await self._there(open)

    async def close(self) -> None:
        """Roll, and give up the lock."""

        def close() -> None:
            if self._journal is not None:
                with suppress(StoreError):  # it is in the tail; whoever comes next rolls it
                    self._journal.roll()
                self._journal.close()

        await self._there(close)
        self._thread.shutdown()

    async def roll(self) -> str:
        """Make frames of what is in the tail; the journal's head. Raises StoreError."""

        def roll() -> str:
            assert self._journal is not None
            self._journal.roll()
            return self._journal.head

        return await self._there(roll)

    async def problem(self) -> str | None:
        """Why nothing can be written; None when something can."""

        def probe() -> str | None:
            path = self._folder / ".probe"
            try:
                with path.open("wb") as file:
                    file.write(bytes(_PROBE_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                return f"{self._folder}: cannot be written: {error.strerror}"
            finally:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            return None

        return await self._there(probe)

    async def work(
        self, payloads: Sequence[Payload], read: Sequence[Taken], records: Sequence[tuple[str, pa.Table]]
    ) -> Done:
        """Payloads, what was read already, and rows of other kinds: on disk with one sync.

        Each payload says what became of it. Raises StoreError: then nothing was taken.
        """

        def work() -> Done:
            admitted = self._admitted([*take(payloads), *read], records)
            for one, new in admitted:
                count(one, new)
            self._roll_when_long()
            fresh = [_new(one.observations, new) for one, new in admitted if new.any()]
            tables = [rows for _, rows in together("observation", fresh)] if len(fresh) > 1 else fresh
            return Done(tables, [of for one, new in admitted for of in heard(one, new)])

        return await self._there(work)

    def _roll_when_long(self) -> None:
        assert self._journal is not None
        if self._journal.unrolled_rows >= self._roll_rows or self._journal.unrolled_bytes >= self._roll_bytes:
            with suppress(StoreError):  # acknowledged they are; the next group is refused if it cannot be written
                self._journal.roll()

    def _admitted(self, taken: Sequence[Taken], records: Sequence[tuple[str, pa.Table]]) -> list[_Admitted]:
        assert self._journal is not None
        batches = [(one.observations, one.rejections) for one in taken]
        try:
            return list(zip(taken, self._journal.admit(batches, records), strict=True))
        except StoreError as error:
            if isinstance(error.__cause__, OSError) or len(taken) < 2:
                raise
        done: list[_Admitted] = []  # rows of one source that fit no journal must not keep out the others
        for one in taken:
            try:
                done += self._admitted([one], [])
            except StoreError as error:
                for payload in one.payloads:
                    payload.problem = error
        if not done:
            raise taken[0].payloads[0].problem or StoreError("nothing could be journalled")
        self._journal.admit([], records)
        return done


def _new(rows: pa.Table, new: npt.NDArray[np.bool_]) -> pa.Table:
    return rows if new.all() else rows.filter(pa.array(new))
