"""Textbook twins of the tracker's kernels: matrices, loops over all pairs, scipy's dense assignment."""

import numpy as np
import numpy.typing as npt
from scipy.integrate import quad_vec
from scipy.linalg import expm
from scipy.optimize import linear_sum_assignment

Array = npt.NDArray[np.float64]


def cheapest(costs: Array, allowed: npt.NDArray[np.bool_], miss: float) -> float:
    """The least total when each row takes one of its allowed columns, each once, or pays `miss`."""
    rows, columns = costs.shape
    whole = np.full((rows, columns + rows), 1e9)
    whole[:, :columns][allowed] = costs[allowed]
    whole[np.arange(rows), columns + np.arange(rows)] = miss
    return float(whole[linear_sum_assignment(whole)].sum())


def step(dt: float, q: float, decay: float) -> tuple[Array, Array]:
    """Transition and noise of (east, north, ve, vn) with dv = -decay v dt + sqrt(q) dW, by matrix exponentials."""
    drift = np.zeros((4, 4))
    drift[0, 2] = drift[1, 3] = 1.0
    drift[2, 2] = drift[3, 3] = -decay
    noise = np.diag([0.0, 0.0, q, q])
    grown, _ = quad_vec(lambda s: expm(drift * s) @ noise @ expm(drift * s).T, 0.0, dt)
    return expm(drift * dt), grown


def kalman(mean: Array, cov: Array, seen: Array, error: Array, part: slice) -> tuple[Array, Array, float]:
    """One update of some of the components, and the log of the density of what was seen."""
    pick = np.eye(4)[part]
    innovation = pick @ cov @ pick.T + error
    gain = cov @ pick.T @ np.linalg.inv(innovation)
    off = seen - pick @ mean
    log = -0.5 * (off @ np.linalg.inv(innovation) @ off + np.log(np.linalg.det(2 * np.pi * innovation)))
    return mean + gain @ off, (np.eye(4) - gain @ pick) @ cov, float(log)


def imm(
    chance: Array, means: list[Array], covs: list[Array], change: Array, steps: list[tuple[Array, Array]],
    seen: list[tuple[Array, Array, slice]],
) -> tuple[Array, list[Array], list[Array], float]:  # fmt: skip
    """One cycle of the interacting multiple model: chances of models, their means and covariances; log density."""
    before = chance @ change
    weight = change * chance[:, None] / before[None, :]
    mixed_means, mixed_covs, logs = [], [], []
    for j in range(2):
        mean = sum(weight[i, j] * means[i] for i in range(2))
        cov = sum(weight[i, j] * (covs[i] + np.outer(means[i] - mean, means[i] - mean)) for i in range(2))
        f, q = steps[j]
        mean, cov, log = f @ mean, f @ cov @ f.T + q, 0.0
        for what, error, part in seen:
            mean, cov, more = kalman(mean, cov, what, error, part)
            log += more
        mixed_means.append(mean)
        mixed_covs.append(cov)
        logs.append(log)
    density = before * np.exp(np.array(logs))
    return density / density.sum(), mixed_means, mixed_covs, float(np.log(density.sum()))


def moments(chance: Array, means: list[Array], covs: list[Array]) -> tuple[Array, Array]:
    """Mean and covariance of a mixture."""
    mean = sum(c * m for c, m in zip(chance, means, strict=True))
    return mean, sum(c * (p + np.outer(m - mean, m - mean)) for c, m, p in zip(chance, means, covs, strict=True))


def ten(cov: Array) -> Array:
    """A covariance as the kernels write it."""
    return cov[[0, 0, 1, 0, 0, 1, 1, 2, 2, 3], [0, 1, 1, 2, 3, 2, 3, 2, 3, 3]]


def whole(numbers: Array) -> Array:
    """The inverse of `ten`."""
    out = np.empty((4, 4))
    out[[0, 0, 1, 0, 0, 1, 1, 2, 2, 3], [0, 1, 1, 2, 3, 2, 3, 2, 3, 3]] = numbers
    return np.triu(out) + np.triu(out, 1).T


def within(places: Array, east: float, north: float, reach: float) -> set[int]:
    """Which places lie within a reach."""
    return {k for k, (e, n) in enumerate(places) if (e - east) ** 2 + (n - north) ** 2 <= reach * reach}
