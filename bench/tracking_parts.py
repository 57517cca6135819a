"""A day of dense AIS from fixes to tables on disk: 10,000,000 fixes of 20,000 named ships through `track_in_parts`.

    python -m bench.tracking_parts                     the day, then `track` of its first million
    python -m bench.tracking_parts --rows 1000000      fewer
    python -m bench.tracking_parts --order shuffled    blocks of the day in no order: every run overlaps every other

Each is worked in a process of its own. Printed: processor seconds by step, peak resident memory, and the greatest
anonymous memory beside it (pages of files that are read are in neither; the page cache is the system's). Making the
fixes is not counted in seconds; in memory it is a block's. Ends with 1 when the peak is over `MOST_MB`.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_MB = 600.0
SHIPS, FIXES, BLOCK = 20_000, 10_000_000, 100_000
START_S = 1.7e9


def day(rows: int, order: str) -> "Iterator[pa.Table]":
    """Fixes of ships that go straight, a block at a time: the same whenever asked."""
    per_s = FIXES / 86_400
    blocks = np.arange(-(-rows // BLOCK))
    if order == "shuffled":
        blocks = np.random.default_rng(1).permutation(blocks)
    rng = np.random.default_rng(7)
    east, north = rng.uniform(-4e5, 4e5, SHIPS), rng.uniform(-4e5, 4e5, SHIPS)
    speed, course = rng.uniform(0, 10, SHIPS), rng.uniform(0, 2 * np.pi, SHIPS)
    names = pa.array([f"mmsi:{200_000_000 + ship}" for ship in range(SHIPS)])
    kinds = pa.array(["vessel", "vessel.cargo", "vessel.fishing"])
    for block in blocks:
        rng = np.random.default_rng([7, int(block)])
        n = min(BLOCK, rows - int(block) * BLOCK)
        # a round of all ships in an order of its own, five in a block
        ship = np.concatenate([rng.permutation(SHIPS) for _ in range(BLOCK // SHIPS)])[:n]
        at = (int(block) * BLOCK + np.arange(n)) / per_s
        if order == "shuffled":  # over the whole day
            at = rng.permutation(blocks.size * BLOCK)[:n] / per_s
        ve, vn = speed[ship] * np.sin(course[ship]), speed[ship] * np.cos(course[ship])
        sailed = np.minimum(at, 86_400 - at)  # and back from noon: nobody leaves the frame
        lon, lat = FRAME.to_degrees(east[ship] + ve * sailed, north[ship] + vn * sailed)
        noise = rng.normal(0, 1e-4, (2, n))
        seed = hashlib.sha256(b"%d" % block).digest()
        ids = np.random.default_rng(list(seed)).bytes(16 * n)
        text = {
            "source": pa.nulls(n, pa.string()).fill_null("ais"),
            "sensor": pa.nulls(n, pa.string()).fill_null("net"),
            "kind": pa.nulls(n, pa.string()).fill_null("fix"),
            "what": kinds.take(pa.array(ship % 3)),
            "identity": names.take(pa.array(ship)),
            "release": pa.nulls(n, pa.string()).fill_null("mission"),
        }
        numbers = {
            "observation_id": pa.Array.from_buffers(pa.binary(16), n, [None, pa.py_buffer(ids)]),
            "at": pa.array(np.round((START_S + at) * 1e6).astype(np.int64)),
            "lon": lon + noise[0],
            "lat": lat + noise[1],
            "major_m": np.full(n, 10.0),
            "minor_m": np.full(n, 10.0),
            "speed_mps": speed[ship],
            "course_deg": (np.degrees(course[ship]) + np.where(at > 43_200, 180, 0)) % 360,
        }
        given = text | {name: pa.array(values) for name, values in numbers.items()}
        columns = [given[f.name].cast(f.type) if f.name in given else pa.nulls(n, f.type) for f in SCHEMA]
        yield pa.Table.from_arrays(columns, schema=SCHEMA)


class Spent:
    """Processor seconds by step; what is not in a step is `else`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Counts what is done in it, less what inner steps count."""
        before = sum(self.seconds.values())
        begun = time.process_time()
        try:
            yield
        finally:
            inner = sum(self.seconds.values()) - before
            self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - begun - inner

    def counted(self, name: str, work: Callable) -> Callable:
        """A function whose time is a step's."""

        def inner(*given, **named):  # type: ignore[no-untyped-def]
            with self.step(name):
                return work(*given, **named)

        return inner

    def each(self, name: str, rows: Iterator) -> Iterator:
        """What is taken from an iterator is a step's."""
        while True:
            with self.step(name):
                item = next(rows, None)
            if item is None:
                return
            yield item


def memory(name: str) -> float:
    """A line of the process's status, MB."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0]) / 1024


class Watched:
    """The greatest anonymous memory while it is open, looked at a hundred times a second."""

    def __enter__(self) -> "Watched":
        self.most, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self.most = max(self.most, memory("RssAnon"))


def child(what: str, rows: int, order: str) -> int:
    """One of both, measured."""
    spent = Spent()
    warm = [next(day(1000, "in time"))]
    with tempfile.TemporaryDirectory() as folder:
        tracking.track_in_parts(warm, FRAME, Path(folder))  # compiled
    before = memory("VmRSS")
    for of, name, step in (
        (tracking, "in_order", "sorting"),
        (in_order, "sorted_rows", "sorting"),
        (tracking, "sorted_rows", "sorting"),
        (in_order.InOrder, "plain", "words of codes"),
        (tracking, "from_observations", "detections"),
        (stated.Statements, "tags", "statements"),
        (tracking.Tracker, "step", "tracker"),
        (tracking.Tracker, "settled", "tracker"),
        (tracking, "tables", "tables"),
        (tracking._Shelf, "put", "parts written"),
        (tracking.PieceWriter, "write", "pieces written"),
    ):
        setattr(of, name, spent.counted(step, getattr(of, name)))
    fixes = spent.each("made", day(rows, order))
    given = list(fixes) if what == "track" else fixes
    before = memory("VmRSS") if what == "track" else before
    with tempfile.TemporaryDirectory() as folder, Watched() as watched, spent.step("else"):
        if what == "track":
            out = tracking.track(pa.concat_tables(given), FRAME)
        else:
            out = tracking.track_in_parts(given, FRAME, Path(folder))
        on_disk = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
    spent.seconds.pop("made")
    total = sum(spent.seconds.values())
    print(
        f"{what}, {order}: {rows:,} fixes, {out.points.num_rows:,} points of {out.tracks.num_rows:,} tracks: "
        f"{total:.1f} s of the processor, {rows / total:,.0f} fixes/s"
    )
    print("  " + ", ".join(f"{name} {s:.1f}" for name, s in sorted(spent.seconds.items(), key=lambda s: -s[1])))
    peak = memory("VmHWM")
    print(
        f"  {peak:.0f} MB at most, of which {before:.0f} before it began; anonymous {watched.most:.0f}; "
        f"{on_disk:,.0f} MB of files at the end",
        flush=True,
    )
    return 1 if what == "parts" and peak > MOST_MB else 0


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=FIXES)
    parser.add_argument("--order", choices=["in time", "shuffled"], default="in time")
    parser.add_argument("--child", choices=["parts", "track"])
    chosen = parser.parse_args()
    if chosen.child:
        return child(chosen.child, chosen.rows, chosen.order)
    missed = 0
    for what, rows in (("parts", chosen.rows), ("track", min(chosen.rows, 1_000_000))):
        command = [sys.executable, "-m", "bench.tracking_parts", "--child", what, "--rows", str(rows)]
        missed |= subprocess.run([*command, "--order", chosen.order], cwd=ROOT, check=False).returncode
    return missed


if __name__ == "__main__":
    if "--child" in sys.argv:
        from truceline import startup

        startup.prepare()  # as the command does, before anything heavy is imported
    import numpy as np
    import pyarrow as pa

    from truceline.frame import Frame
    from truceline.fuse import in_order, stated, tracking
    from truceline.fuse.in_order import SCHEMA

    FRAME = Frame(37.5, 48.3, 1.2e6)
    sys.exit(main())
