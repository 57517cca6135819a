"""The live picture's costs: python -m bench.live

- drawing: CPU seconds by how many observations are in the window: of all of it, of five new ones, of what is left for
  when nothing comes in; and of the service for what five new ones have changed;
- tracks: CPU milliseconds of the service for one frame of 50,000 tracks, all of them changed, to one reader;
- events: CPU milliseconds of the service for one message to 500 readers.

CPU time, of the process that does it: other load on the machine has little part in it. Drawing needs no network; the
readers of the other two are in a process of their own, over loopback.
"""

import asyncio
import multiprocessing
import shutil
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline.observation import id_column

TRACKS, READERS, MOMENTS, MESSAGES = 50_000, 500, 10, 20
WINDOWS = (400, 1_000, 10_000)


def drawing() -> dict[int, dict[str, float]]:
    """CPU seconds by observations: the example's, again and again at other places and times."""
    import a_service
    from truceline.serve import child, snapshots
    from truceline.serve.drawing import Patch
    from truceline.serve.window import Window

    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as kept:
        window = Window(a_service.an_example(Path(kept) / "two-days"))
        window.begin(a_service.NOW)
        window.draw(a_service.NOW, 0.5, anew=True)  # what is loaded and read at first use is so
        base = window._rows.filter(pc.not_equal(window._rows["kind"], "fix"))
        out = {}
        for n in WINDOWS:
            rows = pa.concat_tables([base, *(_elsewhere(base, rng) for _ in range(n // base.num_rows + 1))])
            window._rows = rows.slice(0, n).combine_chunks()
            took: dict[str, list[float]] = {"whole": [], "new": [], "due": [], "shown": []}
            for k in range(5):
                begun = time.process_time()
                drawn = window.draw(a_service.NOW, 0.5, anew=True)
                took["whole"].append(time.process_time() - begun)
                tables = Patch(drawn.tables, None).applied({})
                watched = drawn.candidates["finding_id"].to_pylist()[:100]
                begun = time.process_time()
                window.take(_elsewhere(rows.slice(n + 5 * k, 5), rng), a_service.NOW)
                drawn = window.draw(a_service.NOW, 0.5, watched)
                contents = child.all_packed(drawn.tables)
                took["new"].append(time.process_time() - begun)
                begun = time.process_time()
                snapshots.joined({}, Patch(child.all_unpacked(contents), drawn.gone).applied(tables))
                took["shown"].append(time.process_time() - begun)
                begun = time.process_time()
                window.draw(a_service.NOW, 0.5, watched, due=True)
                took["due"].append(time.process_time() - begun)
            out[n] = {what: min(seconds) for what, seconds in took.items()}
    return out


def _elsewhere(rows: pa.Table, rng: np.random.Generator) -> pa.Table:
    """The observations at another place and time, as others."""
    shift = int(rng.uniform(-36e3, 36e3) * 1e6)
    for name, by in (("lon", rng.normal(0, 0.6)), ("lat", rng.normal(0, 0.4))):
        rows = rows.set_column(rows.column_names.index(name), name, pc.add(rows[name], by))
    for name in ("at", "until"):
        later = pc.add(rows[name].cast(pa.int64()), shift).cast(rows[name].type)
        rows = rows.set_column(rows.column_names.index(name), name, later)
    fresh = id_column(rng.integers(1, 2**62, (rows.num_rows, 2)).astype(np.uint64))
    return rows.set_column(rows.column_names.index("observation_id"), "observation_id", fresh)


def _serve(pipe: Any, folder: str) -> None:
    """A process that serves streams alone; told what to do, answers with its CPU seconds."""
    from test_streams import Serving, a_moment, named

    serving = Serving(Path(folder))
    serving.start()
    pipe.send(serving.port)
    while (task := pipe.recv()) is not None:
        begun = time.process_time()
        if task == "tracks":
            for k in range(MOMENTS):
                rows = a_moment(*range(TRACKS), age_ms=k).tobytes()
                names = named(*range(TRACKS)) if k == 0 else []
                serving.do(serving.frames.tell, float(k), ["vessel"], names, rows, rows)
                if k == 0:
                    pipe.recv()  # the reader has the whole
                    begun = time.process_time()
                time.sleep(1.0)
        else:
            for n in range(MESSAGES):
                serving.publish("alert", {"n": n, "sentence": "x" * 300})
                time.sleep(0.25)
        pipe.send(time.process_time() - begun)
    serving.stop()


async def _watch(port: int, begun: threading.Event) -> int:
    from websockets.asyncio.client import connect

    got, at_s = 0, -1.0
    async with connect(f"ws://127.0.0.1:{port}/api/stream/tracks", max_size=None) as socket:
        while at_s < MOMENTS - 1:
            frame = await socket.recv()
            if isinstance(frame, bytes) and len(frame) > 16:
                got += 1
                (at_s,) = struct.unpack_from("<d", frame, 8)
                begun.set()
    return got


async def _hear(port: int, ready: threading.Event) -> int:
    """500 readers over plain sockets: a client library's own cost would be measured on the other core else."""

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/stream/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        count = 0
        while count < MESSAGES:
            line = await reader.readline()
            if line.startswith(b"retry"):
                waiting.discard(asyncio.current_task())
                if not waiting:
                    ready.set()
            count += line.startswith(b"event: alert")
        writer.close()
        return count

    tasks = [asyncio.create_task(one()) for _ in range(READERS)]
    waiting: set[Any] = set(tasks)
    return sum(await asyncio.gather(*tasks))


def streams() -> dict[str, float]:
    """CPU milliseconds of the service for one frame of tracks, and for one message to all readers."""
    import a_service

    out = {}
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept) / "two-days"
        shutil.copytree(a_service.SHIPPED / "two-days", folder, ignore=shutil.ignore_patterns("*.py"))
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, str(folder)), daemon=True)
        process.start()
        port = ours.recv()
        begun = threading.Event()
        watching = threading.Thread(target=lambda: asyncio.run(_watch(port, begun)))
        watching.start()
        ours.send("tracks")
        begun.wait()
        ours.send("go on")
        out["tracks_ms"] = ours.recv() / (MOMENTS - 1) * 1000
        watching.join()
        ready = threading.Event()
        hearing = threading.Thread(target=lambda: asyncio.run(_hear(port, ready)))
        hearing.start()
        ready.wait()
        ours.send("events")
        out["events_ms"] = ours.recv() / MESSAGES * 1000
        hearing.join()
        ours.send(None)
        process.join()
    return out


def main() -> None:
    for n, took in drawing().items():
        told = ", ".join(f"{what} {1000 * seconds:.0f}" for what, seconds in took.items())
        print(f"drawing of {n:6,} observations, ms of CPU: {told}")
    found = streams()
    print(f"a frame of {TRACKS:,} changed tracks to one reader: {found['tracks_ms']:.0f} ms of CPU")
    print(f"a message to {READERS} readers of events: {found['events_ms']:.0f} ms of CPU")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    main()
