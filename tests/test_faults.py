"""A real service under load: killed, with a disk that fills, with senders that stall or replay. What it acknowledged
is in the journal, once."""

import asyncio
import itertools
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from a_gate import line
from truceline.store import Journal, tail

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def serving() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT))
    try:
        from bench import serving

        yield serving
    finally:
        sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def nursery(serving: Any) -> Iterator[Any]:
    nursery = serving.Nursery()
    yield nursery
    nursery.close()


async def posted(serving: Any, port: int, *bodies: bytes, source: str = "post-0") -> list[int]:
    """The statuses of some posts, one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = [await serving.post(reader, writer, source, body) for body in bodies]
    writer.close()
    return statuses


def test_killed_under_load_at_random_moments_nothing_is_lost_and_nothing_is_twice(
    serving: Any, nursery: Any, tmp_path: Path
) -> None:
    """`kill -9` five times, each time the service is started again on what it left; single posts, batches, and rows of
    a kind without ids. (`python -m bench.serving --kills 100` does it a hundred times.)"""
    assert serving.killed(nursery, tmp_path / "mission", 5) == []


def test_a_disk_that_fills_refuses_and_takes_again_when_there_is_room(
    serving: Any, nursery: Any, tmp_path: Path
) -> None:
    """The write is cut short in the middle of an entry: it is taken back, what was acknowledged before is there, and a
    kill right behind it finds a whole journal."""
    process, port = nursery.start("gate", tmp_path)
    waiting = tmp_path / "journal" / tail.NAME
    _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
    try:
        assert asyncio.run(posted(serving, port, line(0), line(1))) == [200, 200]
        resource.prlimit(process, resource.RLIMIT_FSIZE, (waiting.stat().st_size + 1000, most))
        assert asyncio.run(posted(serving, port, line(2), line(3))) == [503, 503]
        resource.prlimit(process, resource.RLIMIT_FSIZE, (most, most))
        assert asyncio.run(posted(serving, port, line(3), line(4))) == [200, 200]
    finally:
        nursery.end(process, signal.SIGKILL)
    with Journal(tmp_path / "journal", write=True) as journal:
        assert journal.table("observation")["raw"].to_pylist() == [line(0), line(1), line(3), line(4)]
        assert journal.rows("duplicate") == 0
        assert journal.verify() == []


def test_a_sender_that_stalls_or_goes_away_holds_up_nobody(serving: Any, nursery: Any, tmp_path: Path) -> None:
    """Half a body, and silence; half a body, and gone. Others are answered, and of halves nothing is kept."""
    process, port = nursery.start("gate", tmp_path)
    half = (
        b"POST /api/sources/post-0/records HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        b"Content-Length: 1000\r\n\r\n" + line(1)
    )
    try:
        stalled = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        for one in stalled:
            one.sendall(half)
        for gone in stalled[:10]:
            gone.close()
        assert asyncio.run(posted(serving, port, line(2), source="post-1")) == [200]
        for one in stalled[10:]:
            one.close()
        assert asyncio.run(posted(serving, port, line(3))) == [200]
    finally:
        nursery.end(process)
    assert Journal(tmp_path / "journal").table("observation")["raw"].to_pylist() == [line(2), line(3)]


def test_a_source_that_replays_an_old_day_and_one_that_floods_leave_the_others_their_place(
    serving: Any, nursery: Any, tmp_path: Path
) -> None:
    """The replay is taken once: what was there already becomes duplicates. Beside a flood a single post is answered
    within the budget of a second."""
    process, port = nursery.start("gate", tmp_path)
    day = datetime(2025, 3, 14, tzinfo=UTC)
    replay = b"\n".join(line(n, day + timedelta(seconds=n)) for n in range(500))

    async def beside() -> float:
        flood = serving.Load(port, 4, 500, numbers=itertools.count(), sources=("post-0",))
        flooding = asyncio.create_task(flood.run(serving.time.perf_counter() + 3))
        while not flood.took_s:
            await asyncio.sleep(0.01)
        began = serving.time.perf_counter()
        assert await posted(serving, port, line(7), source="post-3") == [200]
        took = serving.time.perf_counter() - began
        await flooding
        return float(took)

    try:
        assert asyncio.run(posted(serving, port, replay, replay, source="post-2")) == [200, 200]
        assert asyncio.run(beside()) < 5  # on a machine that does much else
    finally:
        nursery.end(process)
    journal = Journal(tmp_path / "journal")
    assert journal.rows("duplicate") == 500
    assert journal.verify() == []
    assert os.path.getsize(tmp_path / "journal" / tail.NAME) == 0
