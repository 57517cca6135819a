"""Real objects, their identities hidden: ours beside Stone Soup's best of a stated search, on the same input.

    TRUCELINE_DATA=... python -m bench.tracking_real            all inputs
    TRUCELINE_DATA=... python -m bench.tracking_real ships      one of them
    TRUCELINE_DATA=... TRUCELINE_KEPT=... python -m bench.tracking_real aircraft
                                                                the judgements of Stone Soup's settings are kept in
                                                                that folder, one file each, and not run again

`ships`     Suez, 22 March 2021 from 12:00 for 24 h (shared data `ais/movingpandas/boat-positions.csv`): times to the
            minute, a ship every 12 minutes or so, anchorages of a hundred
`aircraft`  Paris, 7 October 2021, the whole sample (`adsb/traffic/collections/quickstart.json.gz`): one fix of each
            aircraft every 10 s, without its altitude; Stone Soup takes 25 minutes
`half-hour` of the same from 12:30

Who it is is taken away, and noise of a known size added (50 m, 100 m), so that there is an error to have. Judged by
which detections lie behind which track, which both trackers keep:
    completeness  share of detections in a track of which most are of that object
    switches      times that the next detection of an object lies in another track, per 100 detections
    RMSE          of the tracks' positions after each update, against the position without noise
Stone Soup's best is the setting with the largest completeness less switches (both per detection), of the grid below.
"""

import datetime
import hashlib
import itertools
import json
import os
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from truceline.frame import Frame
from truceline.fuse.detections import detections
from truceline.fuse.motion import CLASSES
from truceline.fuse.tracker import Tracker


class Sample(NamedTuple):
    """Detections by time, and what they are of."""

    name: str
    kind: int
    at_s: np.ndarray
    truth_m: np.ndarray  # (n, 2)
    seen_m: np.ndarray
    object: np.ndarray
    sigma_m: float
    at_sigma_s: float
    grid: dict[str, tuple[float, ...]]  # of Stone Soup's settings
    speed_sigma: float


#: density of accelerations; error told, metres; search radius, metres; seconds to deletion; gate, sigmas
SHIPS = {"q": (1e-3, 1e-2), "sigma_m": (60.0, 150.0), "radius_m": (10_000.0,), "silence_s": (3600.0, 7200.0)}
AIRCRAFT = {"q": (1.0, 10.0), "sigma_m": (100.0,), "radius_m": (4_000.0,), "silence_s": (30.0, 60.0, 120.0)}


def ships(folder: Path) -> Sample:
    """A day at Suez."""
    import pandas as pd

    rows = pd.read_csv(folder / "ais/movingpandas/boat-positions.csv", encoding="utf-8-sig").drop_duplicates()
    at = (
        pd.to_datetime(rows.ais_pos_timestamp, dayfirst=True).to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6
    )
    begin = datetime.datetime(2021, 3, 22, 12, tzinfo=datetime.UTC).timestamp()
    kept = (at >= begin) & (at < begin + 86_400)
    lon, lat, who = (rows[c].to_numpy()[kept] for c in ("longitude", "latitude", "ID"))
    return sample("ships", 1, at[kept], lon, lat, who, 50.0, 17.0, SHIPS, 5.0)


def half_hour(folder: Path) -> Sample:
    """Half an hour round Paris."""
    return aircraft(folder, datetime.datetime(2021, 10, 7, 12, 30, tzinfo=datetime.UTC).timestamp(), 1_800.0)


def aircraft(folder: Path, begin_s: float = 0.0, seconds: float = float("inf")) -> Sample:
    """Three hours round Paris, or a part of them."""
    import pandas as pd

    rows = pd.read_json(folder / "adsb/traffic/collections/quickstart.json.gz")
    at = rows.timestamp.to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6
    who = np.unique(rows.icao24.to_numpy().astype(str), return_inverse=True)[1]
    kept = (at >= begin_s) & (at < begin_s + seconds) & ((at.astype(np.int64) + who * 3) % 10 == 0)
    kept &= np.isfinite(rows.latitude.to_numpy(float))
    lon, lat = (rows[c].to_numpy()[kept] for c in ("longitude", "latitude"))
    return sample("aircraft", 2, at[kept], lon, lat, who[kept], 100.0, 0.0, AIRCRAFT, 120.0)


def sample(name: str, kind: int, at_s: Any, lon: Any, lat: Any, who: Any, sigma_m: float, late_s: float, grid: Any,
           speed: float) -> Sample:  # fmt: skip
    """By time, in local metres, with noise."""
    order = np.lexsort((lon, at_s))
    frame = Frame(float(np.mean(lon)), float(np.mean(lat)))
    truth = np.column_stack(frame.to_local(np.asarray(lon)[order], np.asarray(lat)[order]))
    noise = np.random.default_rng(1).normal(0, sigma_m, truth.shape)
    return Sample(name, kind, at_s[order], truth, truth + noise, who[order], sigma_m, late_s, grid, speed)


def ours(of: Sample) -> tuple[np.ndarray, np.ndarray, float]:
    """Track of each detection (-1: none), position after it, processor seconds."""
    n = len(of.at_s)
    begun = time.process_time()
    tracker = Tracker(Frame(0.0, 0.0), lateness_s=0.0)
    tracker.step(
        detections(
            of.at_s,
            of.seen_m[:, 0],
            of.seen_m[:, 1],
            (of.sigma_m**2, 0.0, of.sigma_m**2),
            np.column_stack([np.zeros(n, np.int64), np.arange(n)]),
            1,
            kind=of.kind,
            at_sigma_s=of.at_sigma_s,
            tag=np.arange(n),
        ),
        whole=True,
    )
    tracker.finish()
    settled = tracker.settled()
    seconds = time.process_time() - begun
    track, where = np.full(n, -1), np.full((n, 2), np.nan)
    track[settled.tag] = np.unique(settled.track, axis=0, return_inverse=True)[1].ravel()
    where[settled.tag] = settled.points[:, :2]
    return track, where, seconds


def theirs(
    of: Sample, q: float, sigma_m: float, radius_m: float, silence_s: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """The same of Stone Soup: KD-tree GNN, three measurements to confirm."""
    warnings.filterwarnings("ignore")
    from stonesoup.dataassociator.tree import DetectionKDTreeGNN2D
    from stonesoup.deleter.time import UpdateTimeDeleter
    from stonesoup.hypothesiser.distance import DistanceHypothesiser
    from stonesoup.initiator.simple import MultiMeasurementInitiator
    from stonesoup.measures import Mahalanobis
    from stonesoup.models.measurement.linear import LinearGaussian
    from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity
    from stonesoup.predictor.kalman import KalmanPredictor
    from stonesoup.tracker.simple import MultiTargetTracker
    from stonesoup.types.detection import Detection
    from stonesoup.types.state import GaussianState
    from stonesoup.types.update import Update
    from stonesoup.updater.kalman import KalmanUpdater

    model = LinearGaussian(4, (0, 2), np.diag([sigma_m**2] * 2))
    predictor = KalmanPredictor(CombinedLinearGaussianTransitionModel([ConstantVelocity(q), ConstantVelocity(q)]))
    updater = KalmanUpdater(model)

    def associator() -> Any:
        near = DistanceHypothesiser(predictor, updater, Mahalanobis(), missed_distance=4.5)
        return DetectionKDTreeGNN2D(near, predictor, updater, max_distance=radius_m)

    start = datetime.datetime(2021, 1, 1)  # noqa: DTZ001 - Stone Soup's own convention

    def scans() -> Any:
        step = 60.0 if of.at_sigma_s else 1.0
        for slice_ in np.unique(np.floor(of.at_s / step)):
            rows = np.flatnonzero(np.floor(of.at_s / step) == slice_)
            at = start + datetime.timedelta(seconds=float(of.at_s[rows[0]] - of.at_s[0]))
            yield (
                at,
                {
                    Detection(of.seen_m[k][:, None], timestamp=at, measurement_model=model, metadata={"row": int(k)})
                    for k in rows
                },
            )

    silence = datetime.timedelta(seconds=silence_s)
    prior = GaussianState(
        [[0]] * 4, np.diag([0, of.speed_sigma**2, 0, of.speed_sigma**2]).astype(float), timestamp=start
    )
    initiator = MultiMeasurementInitiator(
        prior_state=prior, deleter=UpdateTimeDeleter(silence / 2), data_associator=associator(), updater=updater,
        measurement_model=model, min_points=3,
    )  # fmt: skip
    tracker = MultiTargetTracker(initiator, UpdateTimeDeleter(silence), scans(), associator(), updater)
    begun = time.process_time()
    every: set[Any] = set()
    for _, tracks in tracker:
        every |= tracks
    seconds = time.process_time() - begun
    track, where = np.full(len(of.at_s), -1), np.full((len(of.at_s), 2), np.nan)
    for number, one in enumerate(every):
        for state in one.states:
            if isinstance(state, Update):
                row = state.hypothesis.measurement.metadata["row"]
                track[row], where[row] = number, state.state_vector[[0, 2]].ravel()
    return track, where, seconds


def judged(of: Sample, track: np.ndarray, where: np.ndarray) -> tuple[float, float, float]:
    """Completeness, switches per 100 detections, RMSE."""
    own = np.full(len(track), False)
    for number in np.unique(track[track >= 0]):
        rows = np.flatnonzero(track == number)
        objects, counts = np.unique(of.object[rows], return_counts=True)
        own[rows] = of.object[rows] == objects[np.argmax(counts)]
    switches = 0
    for one in np.unique(of.object):
        of_one = track[of.object == one]
        of_one = of_one[of_one >= 0]
        switches += int(np.sum(of_one[1:] != of_one[:-1]))
    errors = np.hypot(*(where - of.truth_m)[track >= 0].T)
    return float(own.mean()), 100 * switches / len(track), float(np.sqrt(np.mean(errors**2)))


Judged = tuple[float, float, float]


def kept_or_run(of: Sample, setting: dict[str, float], folder: Path | None) -> tuple[Judged, float, bool]:
    """Judgement of one of Stone Soup's settings, its processor seconds, and whether it was run now.

    A file is of one input, one setting and one Stone Soup: its name is their digest. It is written whole or not at
    all, so that a run which was stopped goes on where it stood.
    """
    told = json.dumps([of.name, setting, of.speed_sigma, of.at_sigma_s, version("stonesoup")], sort_keys=True)
    parts = (told.encode(), of.at_s.tobytes(), of.seen_m.tobytes(), of.object.tobytes())
    file = None if folder is None else folder / f"{of.name}-{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}.json"
    if file is not None and file.exists():
        kept = json.loads(file.read_text())
        return (kept["completeness"], kept["switches"], kept["rmse_m"]), kept["seconds"], False
    track, where, seconds = theirs(of, **setting)
    got = judged(of, track, where)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        row = dict(zip(("completeness", "switches", "rmse_m"), got, strict=True))
        part = file.with_suffix(".part")
        part.write_text(json.dumps(row | {"seconds": seconds, "setting": setting}))
        part.replace(file)
    return got, seconds, True


def compare(of: Sample, folder: Path | None = None) -> list[str]:
    """Both on one input; what is not better. `folder`: where Stone Soup's judgements are kept."""
    print(f"{of.name}: {len(of.at_s):,} detections of {len(np.unique(of.object))} {CLASSES[of.kind]}s", flush=True)
    ours(of)
    track, where, seconds = ours(of)
    mine = judged(of, track, where)
    print(f"  ours        completeness {mine[0]:.4f}  switches {mine[1]:.2f}  RMSE {mine[2]:.1f} m  ({seconds:.2f} s)")
    rows = []
    for values in itertools.product(*of.grid.values()):
        setting = dict(zip(of.grid, values, strict=True))
        got, seconds, run = kept_or_run(of, setting, folder)
        rows.append((got, setting))
        print(
            f"  Stone Soup  completeness {got[0]:.4f}  switches {got[1]:.2f}  RMSE {got[2]:.1f} m  ({seconds:.0f} s)"
            f"  {setting}  {'run now' if run else 'kept'}",
            flush=True,
        )
    best = max(rows, key=lambda r: r[0][0] - r[0][1] / 100)[0]
    names = ("completeness", "switches", "RMSE")
    better = (mine[0] > best[0], mine[1] < best[1], mine[2] < best[2])
    print("  best of Stone Soup's: completeness {:.4f}, switches {:.2f}, RMSE {:.1f} m".format(*best), flush=True)
    return [f"{of.name}: {name} is not better" for name, ok in zip(names, better, strict=True) if not ok]


def main() -> int:
    """Run the inputs that are named, or all."""
    folder = os.environ.get("TRUCELINE_DATA")
    if not folder or not Path(folder).is_dir():
        print("needs the shared data: TRUCELINE_DATA is not set to its folder")
        return 0
    told = os.environ.get("TRUCELINE_KEPT")
    kept = Path(told) if told else None
    inputs = {"ships": ships, "half-hour": half_hour, "aircraft": aircraft}
    missed = [line for name in (sys.argv[1:] or inputs) for line in compare(inputs[name](Path(folder)), kept)]
    for line in missed:
        print(f"not as asked: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
