"""Points in zones beside geopandas, identical pairs; then what geopandas has no word for: probabilities, the line.

    python -m bench.zones [--points 1000000] [--rounds 3] [--least-ratio 10]

500 mixed zones over 1000 x 220 km: circles, irregular polygons, boxes, corridors, and one line of 1000 km made 40 km
wide. Processor time on one thread, ours and theirs in turn within each round, best of the rounds; the peer gets its
points ready-made and its zones' index for free. Exit 1 when pairs differ or the ratio is below the least.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely

from truceline.frame import Frame
from truceline.line import Line
from truceline.zones import ZoneIndex

KM = 1000.0


def mixed_zones(rng: np.random.Generator) -> list[shapely.Geometry]:
    """499 zones of four kinds and the line's."""
    zones = []
    for i in range(499):
        x, y, size = rng.uniform(0, 1000 * KM), rng.uniform(0, 220 * KM), rng.uniform(2, 20) * KM
        if i % 4 == 0:
            zone = shapely.Point(x, y).buffer(size, quad_segs=16)
        elif i % 4 == 1:
            angle, reach = np.sort(rng.uniform(0, 2 * np.pi, 60)), size * rng.uniform(0.5, 1.3, 60)
            corners = np.column_stack([x + 1.5 * reach * np.cos(angle), y + reach * np.sin(angle)])
            zone = shapely.Polygon(corners).buffer(0)
        elif i % 4 == 2:
            zone = shapely.box(x - size, y - size / 2, x + size, y + size / 2)
        else:
            steps = np.cumsum(rng.normal(0, (size, size / 2), (40, 2)), axis=0)
            zone = shapely.LineString(steps + np.array([x, y])).buffer(size / 5)
        zones.append(zone)
    east = np.linspace(0, 1000 * KM, 2000)
    north = 110 * KM + 35 * KM * np.sin(east / (80 * KM)) + np.cumsum(rng.normal(0, 400, 2000))
    return [*zones, shapely.LineString(np.column_stack([east, north])).buffer(20 * KM, quad_segs=8)]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


def report(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


def membership(rng: np.random.Generator, points: int, rounds: int) -> tuple[float, ZoneIndex, list[str]]:
    """Ours and geopandas in turn; the ratio of the best of each, the index, the table's rows."""
    zones = mixed_zones(rng)
    east, north = rng.uniform(0, 1000 * KM, points), rng.uniform(-10 * KM, 230 * KM, points)
    ZoneIndex(zones[:4]).members(east[:10], north[:10])  # compiled, or read from the cache
    frame = geopandas.GeoDataFrame(geometry=zones)
    frame.sindex  # noqa: B018  built before the clock runs
    best = dict.fromkeys(("build", "members", "geopandas", "peer_points"), np.inf)
    for _ in range(rounds):
        build_s, index = timed(lambda: ZoneIndex(zones))
        ours_s, (i, zone) = timed(lambda: index.members(east, north))  # noqa: B023
        ready_s, ready = timed(lambda: geopandas.GeoDataFrame(geometry=geopandas.points_from_xy(east, north)))
        theirs_s, joined = timed(lambda: geopandas.sjoin(ready, frame, predicate="within"))  # noqa: B023
        for name, seconds in zip(best, (build_s, ours_s, theirs_s, ready_s), strict=True):
            best[name] = min(best[name], seconds)
    pairs = np.stack([joined.index.to_numpy(), joined["index_right"].to_numpy()])
    same = np.array_equal(pairs[:, np.lexsort(pairs[::-1])], np.stack([i, zone]))
    ratio, with_build = best["geopandas"] / best["members"], best["geopandas"] / (best["members"] + best["build"])
    seconds = {name: round(s, 4) for name, s in best.items()}
    ratios = {"ratio": round(ratio, 1), "ratio_with_build": round(with_build, 1)}
    report(bench="zones.members", points=points, zones=500, pairs=len(i), identical=same, seconds=seconds, **ratios)
    verdict = "identical" if same else "DIFFERENT"
    rows = [
        f"ZoneIndex.members          {best['members']:8.3f} s {points / best['members']:13,.0f} points/s",
        f"  building the index       {best['build']:8.3f} s",
        f"geopandas.sjoin (within)   {best['geopandas']:8.3f} s {points / best['geopandas']:13,.0f} points/s",
        f"ratio {ratio:.1f}, {with_build:.1f} with the building; {len(i):,} pairs, {verdict}",
    ]
    return (ratio if same else 0.0), index, rows


def probabilities(rng: np.random.Generator, index: ZoneIndex, points: int) -> list[str]:
    """Normal distributions in the same zones, by size of ellipse (major axis; minor a third of it)."""
    rows = []
    for major_m in (50.0, 400.0, 2000.0, 10_000.0):
        east, north = rng.uniform(0, 1000 * KM, points), rng.uniform(-10 * KM, 230 * KM, points)
        turn, minor2 = rng.uniform(0, np.pi, points), (major_m / 3) ** 2
        s2, sc = np.sin(turn) ** 2, np.sin(turn) * np.cos(turn)
        spread = major_m**2 - minor2
        args = (minor2 + spread * s2, spread * sc, minor2 + spread * (1 - s2))
        index.probability(east[:10], north[:10], *(a[:10] for a in args))
        seconds, (found, *_) = timed(lambda: index.probability(east, north, *args))  # noqa: B023
        report(bench="zones.probability", major_m=major_m, points=points, pairs=len(found), seconds=round(seconds, 4))
        rows.append(
            f"probability, {major_m / KM:5.2f} km     {seconds:8.3f} s {points / seconds:13,.0f} points/s"
            f" {len(found):10,} pairs of p > 1e-6"
        )
    return rows


def against_lines(rng: np.random.Generator, points: int) -> list[str]:
    """52 weekly lines of 3,000 corners and 1000 km, points of a year."""
    theatre, first = Frame(37.5, 48.3), date(2023, 1, 2)
    at_s = 1_672_617_600 + rng.uniform(0, 364 * 86400, points)
    along, bend = rng.uniform(-400 * KM, 400 * KM, points), 60 * KM
    east, north = along, bend * np.sin(along / (90 * KM)) + rng.normal(0, 15 * KM, points)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for week in range(52):
            x = np.linspace(-400 * KM, 400 * KM, 3000)
            y = bend * np.sin(x / (90 * KM)) + np.cumsum(rng.normal(0, 120, 3000))
            lon, lat = theatre.to_degrees(np.append(x, [x[-1], x[0]]), np.append(y, [-300 * KM, -300 * KM]))
            ring = np.column_stack([lon, lat]).round(6).tolist()
            path = Path(folder) / f"line_{first + timedelta(weeks=week)}.geojson"
            path.write_text(json.dumps({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}))
            paths.append(path)
        load_s, line = timed(lambda: Line.load(paths, theatre))
        report(bench="line.load", files=52, seconds=round(load_s, 4))
        rows.append(f"Line.load, 52 files        {load_s:8.3f} s")
        for sd_m in (0.0, 400.0, 5000.0):
            variance = np.full(points, sd_m**2)
            seconds, _ = timed(lambda: line.against(east, north, variance, 0.0, variance, at_s))  # noqa: B023
            report(bench="line.against", sd_m=sd_m, points=points, dates=52, seconds=round(seconds, 4))
            rows.append(f"Line.against, {sd_m / KM:4.1f} km     {seconds:8.3f} s {points / seconds:13,.0f} points/s")
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--least-ratio", type=float, default=10.0)
    given = parser.parse_args()
    rng = np.random.default_rng(5)
    ratio, index, rows = membership(rng, given.points, given.rounds)
    few = max(given.points // 10, 10)
    rows += probabilities(rng, index, few)
    rows += against_lines(rng, few)
    print("\n".join(["", *rows]))
    return 0 if ratio >= given.least_ratio else 1


if __name__ == "__main__":
    sys.exit(main())
