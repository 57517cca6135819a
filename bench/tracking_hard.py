"""Hard times for the tracker: what a step costs, and what is told, when the input is not as it should be.

    python -m bench.tracking --only hard

The undisturbed scene is 1,000 objects of a radar (scans every 10 s, clutter 500) and 1,000 ships that say who they are
every 10 s, half an hour, pushed every 10 s as a live picture takes them: in any order, slices whole when a later one
has begun. To it are added, one at a time: ten times the clutter; a second receiver of a tenth of the ships whose clock
goes a day ahead for five minutes and then a day back for five; a receiver that sends yesterday again, and one that
sends its last minute again; names used elsewhere too, and fifty names on one point. Processor time is per row pushed,
rows not taken included, as a ratio to the undisturbed scene; a step must stay bounded, so the longest is told as well.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from truceline.frame import Frame
from truceline.fuse.detections import Detections, both, detections
from truceline.fuse.motion import Looks
from truceline.fuse.tracker import Tracker
from truceline.kernels import gate as g
from truceline.kernels import tracks as t

#: Of processor time per row, over that of the undisturbed scene: what is meant by bounded.
MOST_RATIO = 3.0
START_S, STEP_S, STEPS, DAY_S = 1.7e9, 10.0, 180, 86_400.0
OBJECTS, EXTENT_M, SIGMA_M = 1_000, (1e6, 2e5), 76.4
RADAR, SHIPS, OTHER = 1, 2, 3
#: The tracker's words for anomalies of names.
_ANOMALIES = {t.ELSEWHERE: "names elsewhere", t.SHARED: "names added"}


class Told(NamedTuple):
    """What a run cost and said."""

    rows: int
    seconds: float
    longest_s: float  # of a step
    left_out: dict[str, int]
    anomalies: dict[str, int]
    points: int


def rows_of(at_s: np.ndarray, where: np.ndarray, sensor: int, names: np.ndarray | int, step: int) -> Detections:
    """Detections of one sensor in one step."""
    ids = np.column_stack([np.full(len(at_s), step * 8 + sensor), np.arange(len(at_s))])
    ellipse, kind = (SIGMA_M**2, 0.0, SIGMA_M**2), 0 if sensor == RADAR else 1
    named = isinstance(names, np.ndarray)
    return detections(at_s, where[:, 0], where[:, 1], ellipse, ids, sensor, names, 9 if named else 0, kind)


def undisturbed(clutter: int = 500) -> list[Detections]:
    """What comes in each step."""
    rng = np.random.default_rng(11)
    place = rng.random((2 * OBJECTS, 2)) * EXTENT_M
    speed, course = rng.uniform(3, 12, 2 * OBJECTS), rng.uniform(0, 2 * np.pi, 2 * OBJECTS)
    velocity = speed[:, None] * np.column_stack([np.sin(course), np.cos(course)])
    names = rng.integers(1, 2**62, OBJECTS)
    steps = []
    for k in range(STEPS):
        at = STEP_S * k
        seen = np.flatnonzero(rng.random(OBJECTS) < 0.9)
        plots = np.concatenate([place[seen] + velocity[seen] * at, rng.random((rng.poisson(clutter), 2)) * EXTENT_M])
        late = np.sort(rng.uniform(0, STEP_S - 1.5, OBJECTS))
        ships = place[OBJECTS:] + velocity[OBJECTS:] * (at + late)[:, None]
        plots, ships = plots + rng.normal(0, SIGMA_M, plots.shape), ships + rng.normal(0, 20, ships.shape)
        scan = rows_of(np.full(len(plots), START_S + at), plots, RADAR, 0, k)
        steps.append(both(scan, rows_of(START_S + at + late, ships, SHIPS, names, k)))
    return steps


def with_a_wrong_clock(steps: list[Detections]) -> Iterator[Detections]:
    """Every tenth ship is heard by another receiver too: a day ahead from the tenth minute, back from the twentieth."""
    for k, rows in enumerate(steps):
        heard = _other(rows, slice(None, None, 10))
        heard.values[:, g.AT] += DAY_S if 60 <= k < 90 else -DAY_S if 120 <= k < 150 else 0.0
        yield both(rows, heard)


def with_yesterday(steps: list[Detections]) -> Iterator[Detections]:
    """From the fifth minute on a receiver sends what it heard a day ago."""
    for k, rows in enumerate(steps):
        again = _other(steps[k - 30], slice(None)) if k >= 30 else _other(rows, slice(0))
        again.values[:, g.AT] -= DAY_S
        yield both(rows, again)


def with_the_last_minute(steps: list[Detections]) -> Iterator[Detections]:
    """Every minute a receiver sends all of its last minute again, as it was."""
    for k, rows in enumerate(steps):
        for past in steps[k - 6 : k] if k % 6 == 5 and k > 6 else []:
            rows = both(rows, past)
        yield rows


def with_borrowed_names(steps: list[Detections]) -> Iterator[Detections]:
    """A tenth of the names is used 50 km away too; fifty others at one point."""
    for rows in steps:
        elsewhere, point = _other(rows, slice(None, None, 10)), _other(rows, slice(1, 500, 10))
        elsewhere.values[:, g.NORTH] += 50_000.0
        point.values[:, g.EAST : g.NORTH + 1] = 5e5, -3e5
        point.keys[:, g.ID_1] += 1 << 20
        yield both(both(rows, elsewhere), point)


def _other(rows: Detections, which: slice) -> Detections:
    """Some of the ships as another receiver hears them."""
    ships = rows.rows(np.flatnonzero(rows.keys[:, g.SENSOR] == SHIPS)[which])
    ships.keys[:, g.SENSOR] = OTHER
    ships.keys[:, g.ID_0] += OTHER - SHIPS
    return ships


def run(steps: list[Detections]) -> Told:
    """Push them; the faster of two passes."""
    passes = [_pass(steps) for _ in range(2)]
    return min(passes, key=lambda told: told.seconds)


def _pass(steps: list[Detections]) -> Told:
    tracker = Tracker(Frame(37.5, 48.3), looks={RADAR: Looks(STEP_S, 0.9)}, lateness_s=60.0)
    seconds, points, anomalies = [], 0, dict.fromkeys(_ANOMALIES.values(), 0)
    for rows in (*steps, None):
        begun = time.process_time()
        if rows is None:
            tracker.finish()
        else:
            tracker.step(rows)
        done = tracker.settled()
        seconds.append(time.process_time() - begun)
        points += len(done.at_s)
        for code, what in _ANOMALIES.items():
            anomalies[what] += int(np.sum(done.anomalies[:, 0] == code))
    return Told(sum(len(r.values) for r in steps), sum(seconds), max(seconds), tracker.left_out, anomalies, points)


def hard() -> list[str]:
    """Every disturbance beside the undisturbed scene; what is not bounded."""
    plain = undisturbed()
    cases: dict[str, Callable[[], list[Detections]]] = {
        "undisturbed": lambda: plain,
        "ten times the clutter": lambda: undisturbed(5_000),
        "a clock a day ahead, then back": lambda: list(with_a_wrong_clock(plain)),
        "yesterday again": lambda: list(with_yesterday(plain)),
        "the last minute again": lambda: list(with_the_last_minute(plain)),
        "names elsewhere, fifty on one point": lambda: list(with_borrowed_names(plain)),
    }
    missed, usual_s = [], 0.0
    for what, made in cases.items():
        told = run(made())
        each_s = told.seconds / told.rows
        usual_s = usual_s or each_s
        said = [f"{why}: {n:,}" for why, n in (told.left_out | told.anomalies).items() if n]
        print(
            f"hard: {what}: {told.rows:,} rows, {1e9 * each_s:,.0f} ns of processor time each, "
            f"{each_s / usual_s:.2f} times the undisturbed; longest step {1e3 * told.longest_s:.1f} ms; "
            f"{told.points:,} points; told: {'; '.join(said) or 'nothing'}",
            flush=True,
        )
        if each_s / usual_s > MOST_RATIO:
            missed.append(f"{what}: {each_s / usual_s:.1f} times the time of a row")
    return missed
