"""The service that bench/serving.py loads: the gate and its posts behind uvicorn; the plain table it is held against.

    python -m bench._serving_child           for each line `gate|table folder` on standard input a server in a fork of
                                             this process; prints its process and its port, then `dead` when it is

A fork of a process that has everything loaded starts in a tenth of a second; a hundred new interpreters do not.
"""

import asyncio
import hashlib
import itertools
import json
import os
import socket
import sqlite3
import sys
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import uvicorn
from fastapi import FastAPI, Request

from truceline.feeds.posted import posted
from truceline.kernels.idset import IdSet
from truceline.mission import Centre, Live, Mission, Source
from truceline.release import Principal
from truceline.serve.app import application
from truceline.serve.gate import Gate
from truceline.serve.guard import UVICORN, Limits
from truceline.serve.service import Service
from truceline.serve.taking import Payload

DEVICE = Principal("device", "reporter", "mission", via="token")
#: Sources share the load; each may send more than the whole of it.
SOURCES = [Source(id=f"post-{n}", feed="observations", live=Live(rows_per_s=1e6)) for n in range(4)]


def now() -> datetime:
    return datetime.now(UTC)


def gate_application(folder: Path) -> FastAPI:
    """The application with a real gate; nobody draws a picture behind it. Where there is a folder `notes` it writes
    down which rows of its own, of a kind without ids, it knows to be on disk."""
    mission = Mission("bench", Centre(37.5, 48.1), "agreement.toml", SOURCES)
    gate = Gate(folder, mission, now)
    nothing = cast(Any, None)
    service = Service(folder, mission, now, gate, nothing, nothing, lambda _: DEVICE, nothing)
    app = application(service, Limits(requests_per_s=1e9, burst=1e9))

    @asynccontextmanager
    async def running(_: FastAPI) -> Any:
        await gate.start()
        notes = asyncio.create_task(note(gate, folder)) if (folder / "notes").is_dir() else None
        yield
        if notes is not None:
            notes.cancel()
        await gate.stop()

    app.router.lifespan_context = running
    return app


async def note(gate: Gate, folder: Path) -> None:
    """Rows of a kind without ids, one after the other."""
    told = os.open(folder / "notes" / str(os.getpid()), os.O_WRONLY | os.O_CREAT)
    for number in itertools.count():
        text = f"{os.getpid()} {number}"
        await gate.record("access", pa.table({"what": ["evidence"], "by": ["bench"], "text": [text]}))
        os.write(told, f"{text}\n".encode())


def table_application(folder: Path) -> FastAPI:
    """What one would write first: every post inserts its rows into a table and commits, on disk before the answer."""
    app = FastAPI()
    store = sqlite3.connect(folder / "table.sqlite", isolation_level=None, check_same_thread=False)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("PRAGMA synchronous=FULL")
    store.execute(
        "CREATE TABLE IF NOT EXISTS observation (id PRIMARY KEY, source, kind, what, at, lon, lat, sensor, raw)"
    )

    @app.post("/api/sources/{id}/records")
    async def post(id: str, request: Request) -> dict[str, int]:
        body = await request.body()
        return {"accepted": await asyncio.to_thread(insert, id, body)}

    lock = threading.Lock()

    def insert(source: str, body: bytes) -> int:
        rows = []
        for line in body.splitlines():
            row = json.loads(line)
            key = hashlib.sha256(source.encode() + line).digest()[:16]
            rows.append((key, source, row["kind"], row["what"], row["at"], row["lon"], row["lat"], row["sensor"], line))
        with lock:
            store.execute("BEGIN")
            store.executemany("INSERT OR IGNORE INTO observation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            store.execute("COMMIT")
        return len(rows)

    return app


def serve(what: str, folder: Path) -> None:
    """Serve until killed or terminated; say process and port."""
    app = gate_application(folder) if what == "gate" else table_application(folder)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    listening.listen(512)
    say(f"{os.getpid()} {listening.getsockname()[1]}")
    uvicorn.Server(uvicorn.Config(app, log_level="warning", **UVICORN)).run(sockets=[listening])


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    IdSet(8).add(np.ones((1, 2), np.uint64))
    IdSet(8).contains(np.ones((1, 2), np.uint64))
    line = b'{"kind": "fix", "what": "vessel", "at": "2031-03-14T10:00:00Z"}'
    list(posted([Payload(SOURCES[0], line, "x", None, now())]))
    for asked in sys.stdin:
        what, folder = asked.split()
        child = os.fork()
        if child == 0:
            serve(what, Path(folder))
            os._exit(0)
        os.waitpid(child, 0)
        say("dead")


if __name__ == "__main__":
    main()
