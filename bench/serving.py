"""The live service under load over loopback: what is asked of it beside what it does. Exit 1 where one is not met.

    python -m bench.serving [--seconds 10]                     all but the hour and the kills
    python -m bench.serving --only posts batches latency       single posts, batches, from a post to its event
    python -m bench.serving --only readers tracks              500 readers of events, 50,000 tracks to one page
    python -m bench.serving --only hour --minutes 60           memory at a tenth of the load
    python -m bench.serving --only kills --kills 100           kill -9 under load: nothing acknowledged is lost or twice
    python -m bench.serving --only gate peer                   the gate alone, beside SQLite; PostGIS

Client and service share the machine, each of several processes, with connections that are kept open.
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from bench import serving_peer, serving_whole
from bench.serving_whole import BATCHES_ROWS_PER_S, SINGLE_PER_S

from truceline.store import Journal

ROOT = Path(__file__).parents[1]
#: The last two take long: they are asked for by name.
PARTS = ("posts", "batches", "latency", "readers", "tracks", "peer", "gate", "hour", "kills")


class Nursery:
    """Servers, one at a time, each a fork of one process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench._serving_child"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, what: str, folder: Path) -> tuple[int, int]:
        """Process and port of a server that listens."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what} {folder}\n")
        self._process.stdin.flush()
        process, port = self._line().split()
        return int(process), int(port)

    def end(self, process: int, how: signal.Signals = signal.SIGTERM) -> None:
        """Signal the server, and wait until it is gone."""
        os.kill(process, how)
        assert self._line() == "dead"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.communicate()


def record(number: int) -> bytes:
    """One observation of some 170 bytes, different from all others."""
    at = datetime.fromtimestamp(time.time(), UTC).isoformat()
    return (
        b'{"kind":"sighting","what":"explosion.impact","at":"%s","lon":%.6f,"lat":%.6f,"sensor":"post %d",'
        b'"count":%d,"text":"record %d"}'
        % (at.encode(), 37 + number % 997 / 1000, 48 + number % 991 / 1000, number % 40, 1 + number % 5, number)
    )


@dataclass
class Load:
    """Posts of one kind over some connections, and how they were answered."""

    port: int
    connections: int
    rows: int  # of one post
    per_s: float | None = None  # posts of all connections together; None: as fast as they are answered
    numbers: Any = None
    sources: Sequence[str] = ("post-0", "post-1", "post-2", "post-3")
    took_s: list[float] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)
    refused: int = 0

    async def run(self, until_s: float) -> None:
        await asyncio.gather(*(self._one(place, until_s) for place in range(self.connections)), return_exceptions=True)

    async def _one(self, place: int, until_s: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await self._posts(place, until_s, reader, writer)
        finally:
            writer.close()

    async def _posts(
        self, place: int, until_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        pause = 0.0 if self.per_s is None else self.connections / self.per_s
        due = time.perf_counter() + pause * place / self.connections
        while (began := time.perf_counter()) < until_s:
            if pause and due > began:
                await asyncio.sleep(due - began)
            due += pause
            mine = [next(self.numbers) for _ in range(self.rows)]
            body = b"\n".join(map(record, mine))
            began = time.perf_counter()
            status = await post(reader, writer, self.sources[place % len(self.sources)], body)
            if status == 200:
                self.took_s.append(time.perf_counter() - began)
                self.acknowledged.update(mine)
            else:
                self.refused += 1

    def told(self, seconds: float) -> str:
        """One line of figures."""
        if not self.took_s:
            return "nothing was acknowledged"
        p50, p99 = np.percentile(self.took_s, [50, 99]) * 1000
        posts = len(self.took_s) / seconds
        pace = f"{posts:8,.0f} posts/s {posts * self.rows:9,.0f} rows/s"
        return f"{pace}   p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  refused {self.refused}"


async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str, body: bytes) -> int:
    """Post, and read the answer: its status."""
    writer.write(
        b"POST /api/sources/%s/records HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n"
        b"Content-Length: %d\r\n\r\n" % (source.encode(), len(body))
    )
    writer.write(body)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(head[9:12])


def processor_s(process: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(process: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def counted() -> Any:
    """Numbers that no record of this run has yet."""
    import itertools

    return itertools.count()


async def measure(nursery: Nursery, what: str, folder: Path, seconds: float) -> dict[str, Load]:
    """The loads, one after the other, into one server."""
    process, port = nursery.start(what, folder)
    numbers = counted()
    await Load(port, 4, 10, numbers=numbers).run(time.perf_counter() + 1)  # what is loaded at first use is loaded
    loads = {
        "single posts, 64 connections": Load(port, 64, 1, numbers=numbers),
        "batches of 2,000, 4 connections": Load(port, 4, 2000, numbers=numbers),
        "half load: 500 single posts/s": Load(port, 32, 1, SINGLE_PER_S / 2, numbers=numbers),
        "  beside batches, 10,000 rows/s": Load(port, 2, 500, BATCHES_ROWS_PER_S / 2 / 500, numbers=numbers),
    }
    print(f"\n{what}: memory {memory_mib(process):.0f} MiB at the start")
    names = list(loads)
    for together in ([names[0]], [names[1]], names[2:]):
        until, used = time.perf_counter() + seconds, processor_s(process)
        await asyncio.gather(*(loads[name].run(until) for name in together))
        used = processor_s(process) - used
        for name in together:
            print(f"  {name:33}{loads[name].told(seconds)}", flush=True)
        posts = sum(len(loads[name].took_s) for name in together)
        rows = sum(len(loads[name].took_s) * loads[name].rows for name in together)
        print(f"{'':35}a second of processor time: {posts / used:,.0f} posts, {rows / used:,.0f} rows")
    print(f"  memory {memory_mib(process):.0f} MiB at the end")
    nursery.end(process)
    return loads


def killed(nursery: Nursery, folder: Path, kills: int, seed: int = 7) -> list[str]:
    """Kill servers under load at random moments; what is not as it must be. What was not acknowledged is sent again."""
    rng = random.Random(seed)
    (folder / "notes").mkdir(parents=True)
    numbers, acknowledged = counted(), set[int]()
    wrong: list[str] = []
    for kill in range(kills):
        process, port = nursery.start("gate", folder)
        single, batches = Load(port, 8, 1, numbers=numbers), Load(port, 2, 300, numbers=numbers)

        async def until_killed(single: Load = single, batches: Load = batches, process: int = process) -> None:
            loads = [asyncio.create_task(load.run(time.perf_counter() + 60)) for load in (single, batches)]
            while not single.took_s:  # the moment is counted from when it takes something
                await asyncio.sleep(0.005)
            await asyncio.sleep(rng.uniform(0, 0.8))
            os.kill(process, signal.SIGKILL)
            await asyncio.gather(*loads)

        asyncio.run(until_killed())
        assert nursery._line() == "dead"
        acknowledged |= single.acknowledged | batches.acknowledged
        wrong += [f"kill {kill}: {one}" for one in lost(folder, acknowledged)]
    with Journal(folder / "journal", write=True) as journal:
        wrong += lost(folder, acknowledged) + journal.verify()
        print(
            f"{kills} kills: {len(acknowledged):,} acknowledged, {journal.rows('observation'):,} in the journal", end=""
        )
        print(f", {journal.rows('access'):,} notes, {len(journal.notes)} put right at the end, {len(wrong)} wrong")
    return wrong


def lost(folder: Path, acknowledged: set[int]) -> list[str]:
    """What was acknowledged and is not in the journal, or is there twice."""
    journal = Journal(folder / "journal")
    texts = journal.table("observation", ["text"])["text"].to_pylist()
    found = [int(text.removeprefix("record ")) for text in texts]
    notes = journal.table("access", ["text"])["text"].to_pylist()
    told = [line for path in (folder / "notes").iterdir() for line in path.read_text().splitlines()]
    return [
        *[f"record {number} was acknowledged and is not there" for number in acknowledged - set(found)],
        *([f"{len(found) - len(set(found))} records are there twice"] if len(found) > len(set(found)) else []),
        *[f"note {note} was acknowledged and is not there" for note in set(told) - set(notes)],
        *([f"{len(notes) - len(set(notes))} notes are there twice"] if len(notes) > len(set(notes)) else []),
    ]


def gate(nursery: Nursery, folder: Path, seconds: float) -> bool:
    """The gate without a picture, and the same load into a plain table of SQLite; whether the journal is whole."""
    found = {}
    for what in ("gate", "table"):
        (folder / what).mkdir()
        found[what] = asyncio.run(measure(nursery, what, folder / what, seconds))
    for name in list(found["gate"])[:2]:
        ratio = len(found["gate"][name].took_s) / max(1, len(found["table"][name].took_s))
        print(f"{name.strip()}: {ratio:.1f} times as many as the plain table")
    with Journal(folder / "gate" / "journal") as journal:
        began = time.perf_counter()
        wrong = journal.verify()
        took_s = time.perf_counter() - began
        print(f"journal: {journal.rows('observation'):,} rows, verified in {took_s:.1f} s: {wrong or 'whole'}")
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS[:-2], help="these parts")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the hour")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    met = serving_whole.Met()
    for part in ("posts", "batches", "latency", "readers", "tracks"):
        if part in asked.only:
            getattr(serving_whole, part)(met, asked.seconds)
    if "peer" in asked.only:
        serving_peer.beside(met.figures, asked.seconds)
    if "hour" in asked.only:
        serving_whole.hour(met, asked.minutes)
    if {"gate", "kills"} & set(asked.only):
        nursery, folder = Nursery(), Path(tempfile.mkdtemp(prefix="serving-"))
        try:
            if "gate" in asked.only:
                met.all["the journal is whole"] = gate(nursery, folder, asked.seconds)
            if "kills" in asked.only:
                wrong = killed(nursery, folder / "killed", asked.kills, asked.seed)
                print("\n".join(wrong))
                met.all["killed"] = not wrong
        finally:
            nursery.close()
            shutil.rmtree(folder, ignore_errors=True)
    missed = [name for name, good in met.all.items() if not good]
    print(f"not met: {', '.join(missed)}" if missed else "all met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
