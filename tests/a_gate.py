"""A gate on a mission of its own: sources that are posted observations, one of fires, one of a table."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from truceline.mission import Centre, Live, Mission, Source
from truceline.serve.gate import Gate, Limits
from truceline.store import Journal

T = TypeVar("T")

NOW = datetime(2031, 3, 14, 12, 0, tzinfo=UTC)

SOURCES = [
    Source(id="field", feed="observations", live=Live(silent_after_s=60)),
    Source(id="cameras", feed="observations", release="parties"),
    Source(id="viirs", feed="firms", paths=["firms/*.csv"]),
    Source(id="press", feed="table", preset="viina", paths=["press/*.csv"]),
]


def a_mission(*more: Source, sources: list[Source] = SOURCES) -> Mission:
    return Mission("gate", Centre(37.5, 48.1), "agreement.toml", [*sources, *more])


def line(number: int = 0, at: datetime = NOW, **more: Any) -> bytes:
    """One observation as a JSON line."""
    place = {"lon": 37.5 + number / 1e6, "lat": 48.1}
    said = {"kind": "sighting", "what": "burst", "at": at.isoformat(), **place, "sensor": f"post {number}", **more}
    return msgspec.json.encode(said)


class Clock:
    """A clock that is set by hand."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def later(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def with_gate(
    folder: Path,
    work: Callable[[Gate], Awaitable[T]],
    *,
    mission: Mission | None = None,
    clock: Callable[[], datetime] | None = None,
    limits: Limits | None = None,
    committed: Callable[[pa.Table], Awaitable[None]] | None = None,
) -> T:
    """What `work` gives, with a gate that is started before and stopped behind it."""

    async def run() -> T:
        gate = Gate(folder, mission or a_mission(), clock or Clock(), committed, limits)
        await gate.start()
        try:
            return await asyncio.wait_for(work(gate), 60)
        finally:
            await gate.stop()

    return asyncio.run(run())


def journal(folder: Path) -> Journal:
    """The mission's journal, to read."""
    return Journal(folder / "journal")


def board(gate: Gate) -> dict[str, dict[str, Any]]:
    """The board of sources by id."""
    return {row["id"]: row for row in gate.sources()}
