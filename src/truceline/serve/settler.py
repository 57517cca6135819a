"""Editions and reports, made in a process of their own that is there when it is wanted."""

import asyncio
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

from truceline.serve import picturing
from truceline.serve.child import Child, EndedError
from truceline.serve.service import Gate
from truceline.store import Edition


class Settler:
    """Makes one edition or report at a time; a process that has ended is started anew."""

    def __init__(self, folder: Path, gate: Gate, clock: Callable[[], datetime]) -> None:
        self.folder, self.gate, self.clock = folder, gate, clock
        self._turn = asyncio.Lock()
        self._child: Child | None = None

    async def edition(self) -> Edition:
        """An edition of everything acknowledged. Raises as `pipeline.settle`."""
        async with self._turn:
            if roll := getattr(self.gate, "roll", None):
                await roll()
            made: Edition = await self._ask("settle")
            return made

    async def report(self, day: date | None) -> dict[str, Any]:
        """The daily report of the newest edition, written. Raises as `daily.report`."""
        async with self._turn:
            written: dict[str, Any] = await self._ask("report", day)
            return written

    async def _ask(self, what: str, *given: Any) -> Any:
        try:
            if self._child is None:
                self._child = Child(picturing.settling, self.folder, record=self.gate.record, nice=5)
            return await self._child.ask(what, self.clock(), *given)
        except EndedError:
            self.end()
            raise

    def end(self) -> None:
        """End the process."""
        child, self._child = self._child, None
        if child is not None:
            child.end()
