"""Clustering against scikit-learn's DBSCAN in one run, equal partitions; memory at ten million; fusing a million.

    python bench/clustering.py            100,000 and 1,000,000 points, then 10,000,000 of ours alone, then `fuse`
    python bench/clustering.py --quick    100,000 only

Processor time of one thread, the best of three passes of ours, one of scikit-learn's (of 100,000 three); ours is
compiled before. Points lie in 1000 x 200 km along a line and a month or a year, a third of them in bursts of
thirty; reach 1 km, gap one day. Ends with 1 if a partition differs or the ratio at a million is under 15.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.cluster import DBSCAN

from truceline import observation
from truceline.agreement import Assumption
from truceline.frame import Frame
from truceline.fuse import fuse
from truceline.kernels.cluster import density_clusters

REACH_M, GAP_S, DAY_S = 1_000.0, 86_400.0, 86_400.0
LEAST_RATIO = 15.0


def points(n: int, days: float, rng: np.random.Generator) -> np.ndarray:
    """(3, n) east, north, seconds."""
    spread = rng.uniform(0, 1, (3, n)) * np.array([[1e6], [2e5], [days * DAY_S]])
    bursts = rng.integers(0, n, n // 90)
    rows = rng.choice(n, n // 3, replace=False)
    spread[:, rows] = spread[:, np.resize(bursts, len(rows))] + rng.normal(0, 1, (3, len(rows))) * np.array(
        [[700.0], [700.0], [10_000.0]]
    )
    return spread


def cpu_s(work: Callable[[], Any], passes: int) -> tuple[float, Any]:
    """Least processor time, and what the work gave."""
    seconds, out = [], None
    for _ in range(passes):
        begun = time.process_time()
        out = work()
        seconds.append(time.process_time() - begun)
    return min(seconds), out


def equal(ours: np.ndarray, theirs: DBSCAN, at: np.ndarray) -> bool:
    """Same noise, same clusters of core points; border points with core neighbours of one cluster only, there.

    Where a border point has core neighbours of two clusters, DBSCAN leaves its cluster to the order of rows.
    """
    labels, core = theirs.labels_, np.zeros(len(ours), np.bool_)
    core[theirs.core_sample_indices_] = True
    if not np.array_equal(ours < 0, labels < 0):
        return False
    pairs = np.unique(np.stack([ours[core], labels[core]], axis=1), axis=0)
    if not len(pairs) == len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1])):
        return False
    renamed = np.full(max(ours.max(initial=-1), 0) + 1, -1)
    renamed[pairs[:, 0]] = pairs[:, 1]
    odd = np.flatnonzero((ours >= 0) & ~core & (renamed[ours] != labels))
    for i in odd:  # few: each must touch both clusters
        near = core & (np.sum((at - at[:, [i]]) ** 2, axis=0) <= 1.0)
        if not {labels[i], renamed[ours[i]]} <= set(labels[near].tolist()):
            return False
    return True


def compare(n: int, days: float, min_points: int, rng: np.random.Generator) -> float:
    """One line of the table; the ratio, or 0 where partitions differ."""
    where = points(n, days, rng)
    at = where / np.array([[REACH_M], [REACH_M], [GAP_S]])
    rows = np.ascontiguousarray(at.T)
    ours, labels = cpu_s(lambda: density_clusters(*where, REACH_M, GAP_S, min_points), 3)
    theirs, found = cpu_s(lambda: DBSCAN(eps=1.0, min_samples=min_points).fit(rows), 3 if n <= 100_000 else 1)
    same = equal(labels, found, at)
    print(
        f"{n:10,} points  {days:4.0f} days  min {min_points}  {labels.max() + 1:9,} clusters  "
        f"ours {n / ours / 1e6:5.2f}M/s  scikit-learn {n / theirs / 1e3:4.0f}k/s  ratio {theirs / ours:5.1f}  "
        f"{'equal' if same else 'PARTITIONS DIFFER'}",
        flush=True,
    )
    return theirs / ours if same else 0.0


def memory(n: int) -> None:
    """Peak memory of this process while clustering n points, without the points and what it had before."""
    rng = np.random.default_rng(4)
    density_clusters(*points(1000, 30, rng), REACH_M, GAP_S, 4)
    where = points(n, 365, rng)
    before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e9  # noqa: SIM115
    seconds, labels = cpu_s(lambda: density_clusters(*where, REACH_M, GAP_S, 4), 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(
        f"{n:10,} points   365 days  min 4  {labels.max() + 1:9,} clusters  ours {n / seconds / 1e6:5.2f}M/s  "
        f"{peak:.2f} GB at most in all, of which {before:.2f} before it began ({where.nbytes / 1e9:.2f} the points)",
        flush=True,
    )


def a_million(pixels: int, reports: int, rng: np.random.Generator) -> pa.Table:
    """Satellite pixels in fires, and reports of settlements, a year of both."""
    east, north, at = points(pixels, 365, rng)
    at = np.floor(at / 43_200) * 43_200 + rng.integers(0, 7, pixels) * 60  # two overpasses a day
    villages = rng.uniform(0, 1, (2, 4000)) * np.array([[1e6], [2e5]])
    village, day = rng.integers(0, 4000, reports), np.floor(rng.uniform(0, 365, reports)) * DAY_S
    frame = Frame(32.0, 48.3)
    lon, lat = frame.to_degrees(
        np.concatenate([east, villages[0, village]]) - 5e5, np.concatenate([north, villages[1, village]]) - 1e5
    )
    n, hot = pixels + reports, np.arange(pixels + reports) < pixels
    ids = observation.id_column(rng.integers(0, 2**63, (n, 2)).astype(np.uint64))
    begins = pa.array((np.concatenate([at, day]) * 1e6).astype(np.int64)).cast(observation.TIME)
    ends = pa.array((np.concatenate([at, day + DAY_S]) * 1e6).astype(np.int64), mask=hot).cast(observation.TIME)
    what = rng.choice(["explosion", "explosion.impact", "ground.assault"], reports).tolist()
    columns = {
        "observation_id": ids,
        "leaf": pa.array([bytes(32)]).take(pa.array(np.zeros(n, np.int64))).cast(pa.binary(32)),
        "record": np.arange(n),
        "source": pa.array(["viirs", "press"]).take(pa.array(np.where(hot, 0, 1))),
        "sensor": pa.array(["S-NPP"]).take(pa.array(np.zeros(n, np.int64), mask=~hot)),
        "kind": pa.array(["hotspot", "sighting"]).take(pa.array(np.where(hot, 0, 1))),
        "what": pa.array(["fire"] * pixels + what),
        "confidence": np.full(n, 0.9, np.float32),
        "at": begins,
        "until": ends,
        "at_sigma_s": pa.array(np.full(n, 120.0, np.float32), mask=~hot),
        "lon": lon,
        "lat": lat,
        "major_m": np.where(hot, 150.0, 2000.0).astype(np.float32),
        "release": "public",
        "firms_frp": pa.array(np.full(n, 2.0, np.float32), mask=~hot),
    }
    return observation.table(columns, n)


def whole(rng: np.random.Generator) -> None:
    """The whole of `fuse`, without a line or names of places."""
    frame, prior = Frame(32.0, 48.3), Assumption(0.28, "bench", "low")
    fuse(a_million(2000, 500, rng), frame, None, None, prior)
    observations = a_million(1_000_000, 100_000, rng)
    seconds, made = cpu_s(lambda: fuse(observations, frame, None, None, prior), 2)
    print(
        f"fuse: 1,000,000 pixels and 100,000 reports to {made.events.num_rows:,} events and "
        f"{made.incidents.num_rows:,} incidents in {seconds:.1f} s"
    )


def main(arguments: list[str]) -> int:
    if "--memory" in arguments:
        memory(10_000_000)
        return 0
    rng = np.random.default_rng(3)
    compare(1000, 30, 1, rng)  # compiles
    compare(1000, 30, 4, rng)
    print("-" * 40)
    ratios = [compare(100_000, days, least, rng) for days in (30.0, 365.0) for least in (1, 4)]
    if "--quick" not in arguments:
        ratios += [compare(1_000_000, days, least, rng) for days in (30.0, 365.0) for least in (1, 4)]
        subprocess.run([sys.executable, __file__, "--memory"], check=True)
        whole(rng)
    return 0 if min(ratios[4:] or ratios) >= LEAST_RATIO and all(ratios) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
