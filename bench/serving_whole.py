"""The whole service under load, as `truceline serve` runs it; started by `python -m bench.serving`.

The service has its picture, its tracks, accounts and tokens. What it is sent: nine of ten single posts and all batches
are positions of 50,000 tracks, one single post of ten is an explosion seen, which is drawn.
"""

import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bench import _service_load as load
from bench import _service_probes as probes

ROOT = Path(__file__).parents[1]
#: What is asked for.
BATCHES_ROWS_PER_S, SINGLE_PER_S, P99_S, READERS, TRACKS = 20_000, 1_000, 0.5, 500, load.TRACKS
#: Probes a second, beside 50 explosions of the load; and how many at least: a hundredth of them is three.
PROBES_PER_S, LEAST_PROBES = 10.0, 300


class Met:
    """What was asked for, and whether it was met; each is told when it is known."""

    def __init__(self) -> None:
        self.all: dict[str, bool] = {}
        self.figures: dict[str, float] = {}  # a second, of single posts and of rows in batches

    def add(self, name: str, found: str, budget: str, good: bool) -> None:
        self.all[name] = good
        print(f"  {name:44}{found:>34}   asked: {budget:20}{'met' if good else 'NOT MET'}", flush=True)


@contextmanager
def served(observations: int = 0) -> Iterator[tuple[load.Service, int]]:
    """A running service and its process; its picture begins with the example's observations and so many more."""
    with tempfile.TemporaryDirectory(prefix="serving-") as kept:
        command = [sys.executable, "-m", "bench._service_child", str(Path(kept) / "mission"), str(observations)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield load.Service(**json.loads(process.stdout.readline())), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def children(process: int) -> list[int]:
    """A process and those it has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == process:
                found += children(int(entry.name))
    return [process, *found]


def memory_mib(process: int) -> float:
    """Resident memory of one process."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor_s(process: int) -> float:
    """Processor time that one process has used."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


#: The service's processes in the order in which they are started; multiprocessing keeps one of its own.
_NAMES = ("its own", "multiprocessing's", "picture", "tracks")


def together(service: load.Service, process: int, tasks: dict[str, tuple[Callable[..., Any], Any]]) -> dict[str, Any]:
    """Run tasks beside each other, each in a process of its own; what came of them. Under "used", and printed: the
    processor seconds of the service's processes and of the load by name."""
    with ProcessPoolExecutor(len(tasks), multiprocessing.get_context("spawn")) as pool:
        before = {one: processor_s(one) for one in children(process)}
        futures = {name: pool.submit(_timed, do, service, *given) for name, (do, given) in tasks.items()}
        timed = {name: future.result() for name, future in futures.items()}
        names = itertools.chain(_NAMES, itertools.repeat("settling"))
        used: dict[str, float] = {}
        for name, one in zip(names, children(process), strict=False):
            used[name] = used.get(name, 0.0) + processor_s(one) - before.get(one, 0.0)
    used["load"] = sum(took_s for _, took_s in timed.values())
    told = [f"{name} {took_s:.1f}" for name, took_s in used.items() if name != "multiprocessing's"]
    print(f"    processor seconds: {', '.join(told)}", flush=True)
    return {name: out for name, (out, _) in timed.items()} | {"used": used}


def _timed(do: Callable[..., Any], *given: Any) -> tuple[Any, float]:
    began = time.process_time()
    return do(*given), time.process_time() - began


def paced(took_s: list[float], refused: int, seconds: float, rows: int = 1) -> str:
    p50, p99 = np.percentile(took_s or [np.nan], [50, 99]) * 1000
    told = f"{len(took_s) * rows / seconds:,.0f}/s, p50 {p50:.0f} p99 {p99:.0f} ms"
    return f"{told}, {refused} refused" if refused else told


def posts(met: Met, seconds: float) -> None:
    """Single posts, as fast as they are answered."""
    with served() as (service, process):
        _warm(service)
        told = together(service, process, {"posts": (load.posting, ("single", 64, 1, None, seconds))})
        found = told["posts"]
        met.figures["posts"] = len(found[0]) / seconds
        met.figures["posts by processor"] = len(found[0]) / told["used"]["its own"]
        print(f"    {met.figures['posts by processor']:,.0f} posts for a second of its own process")
        good = met.figures["posts"] >= SINGLE_PER_S
        met.add("single posts, 64 connections", paced(*found, seconds), f"{SINGLE_PER_S:,}/s", good)


def batches(met: Met, seconds: float) -> None:
    """Batches of 2,000, as fast as they are answered."""
    with served() as (service, process):
        _warm(service)
        found = together(service, process, {"posts": (load.posting, ("fixes", 4, 2000, None, seconds))})["posts"]
        met.figures["batches"] = len(found[0]) * 2000 / seconds
        good = met.figures["batches"] >= BATCHES_ROWS_PER_S
        met.add("rows in batches of 2,000, 4 connections", paced(*found, seconds, 2000), "20,000/s", good)


def latency(met: Met, seconds: float) -> None:
    """From a post to its event on the stream, while half of the load comes in beside it."""
    seconds = max(seconds, LEAST_PROBES / PROBES_PER_S)
    for observations in (0, 2000):
        with served(observations) as (service, process):
            _warm(service)
            half = {
                "single": (load.posting, ("single", 64, 1, SINGLE_PER_S / 2, seconds + 2)),
                "batches": (load.posting, ("fixes", 2, 500, BATCHES_ROWS_PER_S / 2 / 500, seconds + 2)),
                "probes": (probes.probing, (PROBES_PER_S, seconds)),
            }
            found = together(service, process, half)
            for name, rows in (("single", 1), ("batches", 500)):
                print(f"    half load, {name}: {paced(*found[name], seconds + 2, rows)}")
            probed = found["probes"]
            print(f"    acknowledged: p50 {np.percentile(probed.acknowledged, 50) * 1000:.0f} ms")
            name = f"POST to SSE, {observations or 'example'} observations, half load"
            met.add(name, probed.told(), f"p99 < {P99_S * 1000:.0f} ms", probed.met(P99_S))


def readers(met: Met, seconds: float) -> None:
    """500 readers of events while a tenth of the load comes in."""
    with served() as (service, process):
        _warm(service)
        tasks = {
            "readers": (load.hearing, (READERS, seconds + 3)),
            "single": (load.posting, ("single", 8, 1, SINGLE_PER_S / 10, seconds)),
            "probes": (probes.probing, (PROBES_PER_S, seconds)),
        }
        found = together(service, process, tasks)
        stayed, had, least = found["readers"]
        print(f"    beside a tenth of the load: POST to SSE {found['probes'].told()}")
        told = f"{stayed} had {had / max(stayed, 1):.0f} messages, the least {least}"
        met.add("readers of events", told, f"{READERS}", stayed == READERS and least > 0)


def tracks(met: Met, seconds: float) -> None:
    """50,000 tracks, each heard every second, to one page."""
    with served() as (service, process):
        _warm(service)
        tasks = {
            "batches": (load.posting, ("fixes", 4, 2500, TRACKS / 2500, seconds)),
            "page": (load.watching, (seconds,)),
        }
        found = together(service, process, tasks)
        print(f"    positions taken: {paced(*found['batches'], seconds, 2500)}")
        frames = [one for one in found["page"] if one[0] > found["page"][0][0] + 5 and one[2] > 0]  # once all are there
        moments, of = np.unique([one[0] for one in frames], return_inverse=True)  # one moment comes in several frames
        gaps = np.diff(moments)
        moved = np.median(np.bincount(of, [one[2] for one in frames])) if frames else 0
        ages = np.median([one[3] for one in frames]) if frames else np.nan
        pace = 1 / np.mean(gaps) if len(gaps) else 0.0
        told = f"{moved:,.0f} moved, {pace:.2f} times a second, {ages:.1f} s old"
        met.add("tracks to one page", told, f"{TRACKS:,} at 1 Hz", pace > 0.9 and moved >= 0.95 * TRACKS)


def hour(met: Met, minutes: float) -> None:
    """Memory while a tenth of the load comes in."""
    with served() as (service, process):
        seconds = minutes * 60
        with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
            loads = [
                pool.submit(load.posting, service, "fixes", 2, 500, BATCHES_ROWS_PER_S / 10 / 500, seconds),
                pool.submit(load.posting, service, "single", 8, 1, SINGLE_PER_S / 10, seconds),
                pool.submit(load.hearing, service, 50, seconds),
            ]
            began, samples = time.time(), []
            while not all(one.done() for one in loads):
                time.sleep(min(15.0, seconds / 20))
                by_process = [memory_mib(one) for one in children(process)]
                samples.append((time.time() - began, by_process))
                told = " ".join(f"{mib:.0f}" for mib in by_process)
                print(f"    {samples[-1][0] / 60:5.1f} min: {sum(by_process):6.0f} MiB of {told}", flush=True)
            (batches, b_refused), (single, s_refused), _ = (one.result() for one in loads)
        rows = len(batches) * 500 + len(single)
        at = np.array([one[0] for one in samples]) / 3600
        first = at > at[-1] / 4
        main = np.array([one[1][0] for one in samples])
        whole = np.array([sum(one[1]) for one in samples])
        slope = np.polyfit(at[first], main[first], 1)[0]
        per_row = slope * 2**20 / (rows / at[-1])
        print(f"    {rows:,} rows in {at[-1] * 60:.0f} min, {b_refused + s_refused} refused")
        print(f"    its own process: {main[0]:.0f} to {main[-1]:.0f} MiB, {slope:.0f} MiB/h: {per_row:.0f} B a row")
        print(f"    all processes: {whole[0]:.0f} to {whole[-1]:.0f} MiB, at most {whole.max():.0f}")
        # 16 bytes of each id are known for good, in a table that doubles: some 60 at the worst of it
        met.add("memory at a tenth of the load", f"{slope:.0f} MiB/h", "no more than ids need", per_row < 64)


def _warm(service: load.Service) -> None:
    """What is loaded or compiled at first use is so; every track has been heard once."""
    load.posting(service, "single", 4, 1, 50, 1.0)
    load.posting(service, "fixes", 2, 2500, 20, 1.1)
    time.sleep(3)
