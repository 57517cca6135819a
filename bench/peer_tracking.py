"""Stone Soup on the scenes of `bench.tracking`, one scene and seed at a time, kept in a file so that it runs once.

    python -m bench.peer_tracking open-200 0 1 2     fill the cache for these seeds

The tracker is the one of Stone Soup's KD-tree example, tuned over eight settings for these scenes: GNN by
two-dimensional assignment over detections found in a KD-tree, Mahalanobis distance, gate 4.5 sigma, three
measurements to confirm, deleted after three steps without one (two before confirmation), velocity prior 120 m/s,
search radius 1.5 km for tracks and 4.5 km for beginnings. It is told the scene's true model.
"""

import datetime
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from bench.peer_scenes import DT_S, SCENES, SIGMA_M, Q, Scene, scene

GATE, HITS, MISSES, MISSES_TENTATIVE, SPEED_SIGMA = 4.5, 3, 3, 2, 120.0
RADIUS_M, RADIUS_TENTATIVE_M = 1_500.0, 4_500.0
START = datetime.datetime(2026, 1, 1)  # noqa: DTZ001 - Stone Soup's own convention


def stonesoup_tracks(made: Scene) -> tuple[np.ndarray, float]:
    """(n, 4) scan, track, east, north of confirmed tracks after every scan, and processor seconds."""
    warnings.filterwarnings("ignore")
    from stonesoup.dataassociator.tree import DetectionKDTreeGNN2D
    from stonesoup.deleter.error import CovarianceBasedDeleter
    from stonesoup.deleter.multi import CompositeDeleter
    from stonesoup.deleter.time import UpdateTimeStepsDeleter
    from stonesoup.hypothesiser.distance import DistanceHypothesiser
    from stonesoup.initiator.simple import MultiMeasurementInitiator
    from stonesoup.measures import Mahalanobis
    from stonesoup.models.measurement.linear import LinearGaussian
    from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity
    from stonesoup.predictor.kalman import KalmanPredictor
    from stonesoup.tracker.simple import MultiTargetTracker
    from stonesoup.types.detection import Detection
    from stonesoup.types.state import GaussianState
    from stonesoup.updater.kalman import KalmanUpdater

    model = LinearGaussian(4, (0, 2), np.diag([SIGMA_M**2] * 2))
    predictor = KalmanPredictor(CombinedLinearGaussianTransitionModel([ConstantVelocity(Q), ConstantVelocity(Q)]))
    updater = KalmanUpdater(model)

    def associator(radius_m: float) -> Any:
        near = DistanceHypothesiser(predictor, updater, Mahalanobis(), missed_distance=GATE)
        return DetectionKDTreeGNN2D(near, predictor, updater, max_distance=radius_m)

    def detections() -> Any:
        for k, rows in enumerate(made.scans):
            at = START + datetime.timedelta(seconds=DT_S * k)
            yield (
                at,
                {Detection(np.array([[e], [n]]), timestamp=at, measurement_model=model) for e, n in rows[:, :2]},
            )

    prior = GaussianState([[0]] * 4, np.diag([0, SPEED_SIGMA**2, 0, SPEED_SIGMA**2]).astype(float), timestamp=START)
    initiator = MultiMeasurementInitiator(
        prior_state=prior,
        deleter=UpdateTimeStepsDeleter(MISSES_TENTATIVE),
        data_associator=associator(RADIUS_TENTATIVE_M),
        updater=updater,
        measurement_model=model,
        min_points=HITS,
    )
    deleter = CompositeDeleter([UpdateTimeStepsDeleter(MISSES), CovarianceBasedDeleter(5e6)], intersect=False)
    tracker = MultiTargetTracker(initiator, deleter, detections(), associator(RADIUS_M), updater)
    out: list[tuple[float, ...]] = []
    numbers: dict[str, int] = {}
    seconds, begun = 0.0, time.process_time()
    for k, (_, tracks) in enumerate(tracker):
        seconds += time.process_time() - begun
        for track in tracks:
            state = track.state_vector
            out.append((k, numbers.setdefault(track.id, len(numbers)), float(state[0, 0]), float(state[2, 0])))
        begun = time.process_time()
    return np.array(out).reshape(-1, 4), seconds


def kept(folder: Path | None, name: str, seed: int) -> tuple[np.ndarray, float]:
    """What Stone Soup gave for a scene, from the file of an earlier run or, with its pains, now."""
    folder = folder or Path(tempfile.gettempdir()) / "truceline-bench-tracking"
    folder.mkdir(parents=True, exist_ok=True)
    made = scene(name, seed)
    settings = [GATE, HITS, MISSES, MISSES_TENTATIVE, SPEED_SIGMA, RADIUS_M, RADIUS_TENTATIVE_M]
    path = folder / f"{name}-{seed}-{made.digest()}.npz"
    if path.exists():
        stored = np.load(path)
        if json.loads(str(stored["settings"])) == settings:
            return stored["tracks"], float(stored["seconds"])
    tracks, seconds = stonesoup_tracks(made)
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, tracks=tracks, seconds=seconds, settings=json.dumps(settings))
    part.rename(path)
    return tracks, seconds


if __name__ == "__main__":
    which = sys.argv[1]
    if which not in SCENES:
        sys.exit(f"there is no scene {which}; there are {', '.join(SCENES)}")
    for number in sys.argv[2:]:
        rows, cpu_s = kept(None, which, int(number))
        total = sum(len(r) for r in scene(which, int(number)).scans)
        print(f"{which} seed {number}: {total:,} detections, {cpu_s:.1f} s, {total / cpu_s:,.0f}/s", flush=True)
