"""Scenes for `bench.tracking`: objects of known paths, detections of them and clutter. Not a bench by itself.

`open-N`: N objects over 1000 x 200 km, clutter N / 2 a scan; they are born and die.
`crossing`: two streams of 75 that cross, over 120 x 60 km, clutter 2 N a scan.
Speeds: 5-60 m/s, three in ten 60-250; scans every 10 s; probability of detection 0.9; errors of 50 to 100 m, of
which both trackers know the mean square only; accelerations are white noise, and both are told its density.
"""

import hashlib
from typing import NamedTuple

import numpy as np

DT_S, PD, Q, DEATH = 10.0, 0.9, 0.5, 0.005
SIGMA_M = 76.4  # root mean square of errors uniform between 50 and 100
Array = np.ndarray


class Layout(NamedTuple):
    objects: int
    scans: int
    clutter: float  # expected per scan
    east_m: float
    north_m: float
    crossing: bool


SCENES = {
    "open-200": Layout(200, 24, 100, 1e6, 2e5, False),
    "open-1000": Layout(1_000, 14, 500, 1e6, 2e5, False),
    "crossing": Layout(150, 20, 300, 1.2e5, 6e4, True),
}


class Scene(NamedTuple):
    """What is and what is seen, scan by scan."""

    truth: list[Array]  # (n, 3) object, east, north
    scans: list[Array]  # (m, 3) east, north, object or -1

    def digest(self) -> str:
        """Eight digits that tell one scene from another."""
        whole = hashlib.sha256()
        for rows in self.scans:
            whole.update(np.ascontiguousarray(rows).tobytes())
        return whole.hexdigest()[:8]


def scene(name: str, seed: int) -> Scene:
    """A scene by its name and seed."""
    return made(SCENES[name], np.random.default_rng([seed, sum(name.encode())]))


def made(layout: Layout, rng: np.random.Generator) -> Scene:
    """A scene of the given layout."""
    growth = np.linalg.cholesky(Q * np.array([[DT_S**3 / 3, DT_S**2 / 2], [DT_S**2 / 2, DT_S]]))
    state, objects = _born(layout, layout.objects, rng), np.arange(layout.objects)
    following = layout.objects
    extent = np.array([layout.east_m, layout.north_m])
    truth, scans = [], []
    for k in range(layout.scans):
        if k:
            state[:, :2] += DT_S * state[:, 2:]
            for axis in (0, 1):
                noise = rng.standard_normal((len(state), 2)) @ growth.T
                state[:, axis] += noise[:, 0]
                state[:, 2 + axis] += noise[:, 1]
            inside = ((state[:, :2] > 0) & (state[:, :2] < extent)).all(axis=1)
            stays = (rng.random(len(state)) > DEATH) & inside
            state, objects = state[stays], objects[stays]
            lacking = layout.objects - len(state)
            births = int(rng.poisson(lacking)) if lacking > 0 else 0
            state = np.concatenate([state, _born(layout, births, rng)])
            objects = np.concatenate([objects, np.arange(following, following + births)])
            following += births
        truth.append(np.column_stack([objects, state[:, :2]]))
        seen = rng.random(len(state)) < PD
        sigma = rng.uniform(50, 100, int(seen.sum()))
        hits = np.column_stack([state[seen, :2] + sigma[:, None] * rng.standard_normal((len(sigma), 2)), objects[seen]])
        false = rng.random((int(rng.poisson(layout.clutter)), 2)) * extent
        rows = np.concatenate([hits, np.column_stack([false, np.full(len(false), -1.0)])])
        scans.append(rows[rng.permutation(len(rows))])
    return Scene(truth, scans)


def _born(layout: Layout, count: int, rng: np.random.Generator) -> Array:
    """(count, 4) east, north, speeds east and north."""
    speed = np.where(rng.random(count) < 0.3, rng.uniform(60, 250, count), rng.uniform(5, 60, count))
    heading = rng.uniform(0, 2 * np.pi, count)
    if layout.crossing:  # half of them bound north-east, half south-east, give or take 15 degrees
        heading = np.where(rng.random(count) < 0.5, 1, -1) * np.pi / 4 + np.radians(rng.uniform(-15, 15, count))
    where = rng.random((count, 2)) * [layout.east_m, layout.north_m]
    return np.column_stack([where, speed * np.cos(heading), speed * np.sin(heading)])
