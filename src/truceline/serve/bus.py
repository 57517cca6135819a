"""The bus: what happened, to whoever listens, with numbers that ascend over restarts.

Listeners read from one ring, each at its own pace, so that a message costs the same for one listener as for a
thousand; who falls a whole ring behind has lost the place and begins anew.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from truceline.errors import NotFoundError, StoreError
from truceline.serve.service import Message
from truceline.store.durable import replacing

#: Messages kept for who comes back: at ten a second, seven minutes without a connection.
KEPT = 4096
#: Numbers set aside at a time, on disk before one of them is used: a restart begins behind all that were ever given.
_BLOCK = 1 << 20


class Numbers:
    """Ascending numbers, never one twice, whatever the clock does and however the service ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._next = int(path.read_text()) if path.exists() else 1
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: it should hold one number: {error}") from error
        self._end = self._next

    def next(self) -> int:
        """The next one."""
        if self._next == self._end:
            self._set_aside(self._next + _BLOCK)
        number, self._next = self._next, self._next + 1
        return number

    def _set_aside(self, end: int) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as new:
                new.write_text(str(end))
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written: {error.strerror}") from error
        self._end = end


class Ring:
    """A `Bus`.

    Parameters
    ----------
    numbers
        Where numbers come from; None: from 1, for tests.
    """

    def __init__(self, numbers: Numbers | None = None, kept: int = KEPT) -> None:
        self._numbers = numbers
        self._kept: deque[Message] = deque(maxlen=kept)
        self._last = 0 if numbers is None else numbers.next()  # whoever resumes at an earlier run's number is told
        self._first_kept = self._last + 1
        self._more = asyncio.Event()
        self._closed = False
        self.listeners = 0

    @property
    def last(self) -> int:
        """The number of the newest message."""
        return self._last

    def publish(self, topic: str, content: dict[str, Any], label: str = "mission") -> Message:
        """Tell everybody who listens to the topic."""
        number = self._last + 1 if self._numbers is None else self._numbers.next()
        message = Message(number, topic, label, content)
        if len(self._kept) == self._kept.maxlen:
            self._first_kept = self._kept[1].number if len(self._kept) > 1 else number
        self._kept.append(message)
        self._last = number
        self._more.set()
        self._more = asyncio.Event()
        return message

    def close(self) -> None:
        """Nothing more will come: who listens is let go."""
        self._closed = True
        self._more.set()

    async def listen(self, topics: frozenset[str], after: int | None = None) -> AsyncIterator[Message]:
        """Messages of these topics; with `after` first those kept since. Ends when the listener is too slow.

        Raises
        ------
        NotFoundError
            On the first step, when `after` is longer ago than what is kept, or was never given: begin anew.
        """
        at = self._last if after is None else after
        if not self._first_kept - 1 <= at <= self._last:
            raise NotFoundError("what came after that is not kept any more: begin anew")
        self.listeners += 1
        try:
            while at >= self._first_kept - 1:  # else it has lost its place
                more = self._more
                waiting = self._since(at)
                if not waiting:
                    if self._closed:
                        return
                    await more.wait()
                    continue
                for message in waiting:
                    if message.topic in topics:
                        yield message
                at = waiting[-1].number
        finally:
            self.listeners -= 1

    def _since(self, number: int) -> list[Message]:
        """The messages kept after one; numbers are without gaps within a run."""
        behind = self._last - number
        kept = self._kept
        return [kept[k] for k in range(len(kept) - behind, len(kept))]
