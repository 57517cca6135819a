"""Conflict fires that never burned: the one place where truth about fires exists.

Fires along a moving line, laid over the real detections of a peaceful year. None of it is fitted to the model: its
rates, depths and lulls are drawn anew for each seed, wider than anybody knows them. What follows 2023: conflict fires
come and go with the season and the weather as other fires do, some twenty times as many in September as in January.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

KM = 111.2

#: Fires by month against the mean of May to July, near the line in 2023, after taking off the background.
SEASON = np.array([0.15, 0.15, 0.45, 0.35, 0.6, 0.7, 0.6, 1.4, 1.7, 0.7, 0.25, 0.15])


class World(NamedTuple):
    """One seed's idea of the war."""

    rate: float  # fires per sector of 20 km and day where it is active, in July
    depth_km: float  # how far from the line most fires are (Laplace)
    target_days: float  # how long one target is shelled
    lull_days: float
    front_days: float  # how long a sector is active


def world(rng: np.random.Generator) -> World:
    return World(
        rate=float(0.7 * rng.lognormal(0.0, 0.5)),
        depth_km=float(rng.uniform(3.0, 8.0)),
        target_days=float(rng.uniform(6.0, 20.0)),
        lull_days=float(rng.uniform(40.0, 100.0)),
        front_days=float(rng.uniform(25.0, 70.0)),
    )


def conflict_fires(
    path_at: Callable[[int], np.ndarray], brightness: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Longitude, latitude, day of the year (from 0) of detections that the conflict caused.

    Parameters
    ----------
    path_at
        The line on a day: (n, 2) longitude and latitude, a point a kilometre or so.
    brightness
        (days,) how much of what burns is seen: 0 under cloud, 1 as usual.
    """
    it, days = world(rng), len(brightness)
    month = ((np.arange(days) + 1) / 30.6).astype(int).clip(0, 11)
    seen = SEASON[month] * brightness
    everywhere = np.vstack([path_at(day) for day in range(0, days, 30)])
    sectors = np.unique(np.floor(everywhere / [0.3, 0.2]).astype(int), axis=0)
    found = [_sector(sector, path_at, seen, it, rng) for sector in sectors]
    found.append(_rear(path_at, seen, it, rng))
    at = np.vstack([f for f in found if len(f)])
    return _pixels(at, days, rng)


def _around(rows: np.ndarray, km: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points moved by so many kilometres in any direction."""
    angle = rng.uniform(0.0, np.pi, len(rows))
    across = KM * np.cos(np.radians(rows[:, 1]))
    return rows + np.stack([km * np.cos(angle) / across, km * np.sin(angle) / KM], axis=1)


def _sector(sector, path_at, seen, it: World, rng: np.random.Generator) -> np.ndarray:
    """(n, 3) longitude, latitude, day of fires of one sector: active for weeks, silent for weeks, target by target."""
    days, day, active, out = len(seen), 0.0, rng.random() < 0.45, []
    strength = it.rate * rng.lognormal(0.0, 0.9)
    while day < days:
        lasts = rng.gamma(1.2, (it.front_days if active else it.lull_days) / 1.2)
        if active:
            begin, end = int(day), min(int(day + lasts) + 1, days)
            targets = max(1, rng.poisson(3.0 * (end - begin) / 8.0))
            from_day = rng.integers(begin, end, targets)
            until = from_day + 1.0 + rng.exponential(it.target_days, targets)
            weight = rng.gamma(0.7, 1.0, targets)
            places = np.full((targets, 2), np.nan)
            for k in range(targets):
                line = path_at(int(from_day[k]))
                mine = line[(np.floor(line / [0.3, 0.2]).astype(int) == sector).all(axis=1)]
                if len(mine):
                    places[k] = mine[rng.integers(len(mine))]
            depth = np.where(rng.random(targets) < 0.8, it.depth_km, 10.0 + it.depth_km)
            places = _around(places, rng.laplace(0.0, depth), rng)
            for t in range(begin, end):
                live = (from_day <= t) & (t < until) & np.isfinite(places[:, 0])
                if live.any():
                    fires = rng.poisson(strength * seen[t])
                    which = rng.choice(targets, fires, p=weight * live / (weight * live).sum())
                    spot = _around(places[which], np.abs(rng.normal(0.0, 1.2, fires)), rng)
                    out.append(np.column_stack([spot, np.full(fires, t)]))
        day, active = day + lasts, not active
    return np.vstack(out) if out else np.zeros((0, 3))


def _rear(path_at, seen, it: World, rng: np.random.Generator) -> np.ndarray:
    """Single strikes behind the line, one or two a day, with a mean depth of 30 km."""
    out = []
    for t in range(len(seen)):
        line, n = path_at(t), rng.poisson(2.0 * it.rate * min(1.0, seen[t] + 0.2))
        spot = _around(line[rng.integers(0, len(line), n)], rng.exponential(30.0, n), rng)
        out.append(np.column_stack([spot, np.full(n, t)]))
    return np.vstack(out)


def _pixels(fires: np.ndarray, days: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Detections of fires: most are one to three pixels, one in eight a dozen, and one in seven burns on."""
    n = len(fires)
    size = rng.geometric(0.45, n) + np.where(rng.random(n) < 0.12, rng.geometric(0.12, n), 0)
    of = np.repeat(np.arange(n), size)
    spot = _around(fires[of, :2], np.abs(rng.normal(0.0, 0.35, len(of))) * np.sqrt(size[of]), rng)
    day = fires[of, 2].astype(int) + (rng.random(len(of)) < 0.15)
    keep = day < days
    return spot[keep, 0], spot[keep, 1], day[keep]
