"""Which earlier event an event came of, if of any: each event has one parent at most, trees are episodes.

Stochastic declustering, as in the study of aftershocks: an event is either the beginning of something new, at
the rate `log_rate` of such beginnings, or the offspring of one earlier event, at a rate that decays with
time and distance from it. Each takes its most likely origin. Because an event has one parent, two episodes
never join by growing into each other.
"""

from math import exp, inf, log, pi, sqrt
from typing import NamedTuple

import numpy as np
from numba import njit

from truceline.kernels.grid import BATCH, Floats, Ints, build, candidates, start


class Happenings(NamedTuple):
    """(n,) arrays of events, in an order in which parents come before their children."""

    east_m: Floats
    north_m: Floats
    var_e: Floats  # m2
    cov_en: Floats
    var_n: Floats
    begins_s: Floats  # the interval in which it was, all instants in it alike
    ends_s: Floats
    stream: Ints  # row and column in `Descent`
    log_rate: Floats  # log of how often something new begins there, per km2 and hour


class Descent(NamedTuple):
    """(streams, streams) and, for mixtures, (streams, streams, parts): from parent to child."""

    rate: Floats  # of offspring when fresh, per hour, by part of the mixture; 0 where there is none
    decay_s: Floats  # of each part
    after: Ints  # 1: a child is never before its parent; 0: reports may have them the other way round
    spread_m: Floats  # 1 sigma of the child's distance, beyond the errors of both
    horizon_s: Floats  # (streams,) beyond this a parent has no children
    apart_s: Floats  # children begin within this of the parent's interval, by half of the shorter one at least
    root_m: Floats  # (streams,) a child is within this of its episode's first event


@njit(cache=True)
def _moved(d, decay, after):  # type: ignore[no-untyped-def]
    """Second antiderivative of the decay's density over the lag d, seconds."""
    if after:
        return d - decay * (1.0 - exp(-d / decay)) if d > 0.0 else 0.0
    return 0.5 * (abs(d) + decay * exp(-abs(d) / decay))


@njit(cache=True)
def offspring_rate(rate, decay, after, a, b, c, e):  # type: ignore[no-untyped-def]
    """Mean over parent's instants in [a, b] and child's in [c, e] of rate * exp(-lag / decay), per hour.

    With `after` 0 before the parent; else of the lag either way.
    """
    # apart and short: instants, to a thousandth; the exact form would lose its digits
    if (b - a) + (e - c) < 0.005 * decay and (c >= b or e <= a):
        lag = 0.5 * (c + e - a - b)
        if after and lag < 0.0:
            return 0.0
        return rate * exp(-abs(lag) / decay)
    length, width = max(b - a, 1e-3 * decay), max(e - c, 1e-3 * decay)
    b, e = a + length, c + width
    double = _moved(e - a, decay, after) - _moved(c - a, decay, after)
    double += _moved(c - b, decay, after) - _moved(e - b, decay, after)
    # _moved is for a density that integrates to 1; exp(-lag / decay) integrates to decay, or 2 decay both ways
    whole = decay if after else 2.0 * decay
    return rate * max(double, 0.0) * whole / (length * width)


@njit(cache=True)
def _meet(a, b, c, e, apart):  # type: ignore[no-untyped-def]
    """Whether half of the shorter of two intervals lies within `apart` of the other."""
    return min(b + apart, e) - max(a - apart, c) >= 0.5 * min(b - a, e - c)


@njit(cache=True)
def _log_origin(h, by, p, c, gate):  # type: ignore[no-untyped-def]
    """Log of p(child c | of parent p) / p(child c | something new), -inf where it cannot be."""
    sp, sc = h.stream[p], h.stream[c]
    extra = by.spread_m[sp, sc] ** 2
    see, snn = h.var_e[p] + h.var_e[c] + extra, h.var_n[p] + h.var_n[c] + extra
    sen = h.cov_en[p] + h.cov_en[c]
    e, n = h.east_m[p] - h.east_m[c], h.north_m[p] - h.north_m[c]
    determinant = see * snn - sen * sen
    squared = (snn * e * e - 2.0 * sen * e * n + see * n * n) / determinant
    a, b, begins, ends = h.begins_s[p], h.ends_s[p], h.begins_s[c], h.ends_s[c]
    if not (squared <= gate * gate and _meet(a, b, begins, ends, by.apart_s[sp, sc])):
        return -inf
    rate = 0.0
    for part in range(by.rate.shape[2]):
        if by.rate[sp, sc, part] > 0.0:
            decay = by.decay_s[sp, sc, part]
            rate += offspring_rate(by.rate[sp, sc, part], decay, by.after[sp, sc], a, b, begins, ends)
    if not rate > 0.0:
        return -inf
    return log(rate * 1e6 / (2.0 * pi * sqrt(determinant))) - 0.5 * squared - h.log_rate[c]  # per km2 and hour


@njit(cache=True)
def _parents(grid, h, ends, reach, by, gate, threshold):  # type: ignore[no-untyped-def]
    """Each event's most likely parent, -1 where something new is likelier. `h` is in the order of the grid."""
    begins = h.begins_s
    parent, best = np.full(len(begins), -1, np.int64), np.full(len(begins), -np.inf)
    left, right, cursor = np.empty(BATCH, np.int64), np.empty(BATCH, np.int64), start(grid)
    found = BATCH
    while found == BATCH:
        found = candidates(grid, h.east_m, h.north_m, begins, ends, cursor, left, right)
        for k in range(found):
            i, j = left[k], right[k]
            e, n = h.east_m[i] - h.east_m[j], h.north_m[i] - h.north_m[j]
            if e * e + n * n > reach[i] ** 2 + reach[j] ** 2 or begins[i] > ends[j] or begins[j] > ends[i]:
                continue
            p, c = (i, j) if grid.order[i] < grid.order[j] else (j, i)
            if not by.rate[h.stream[p], h.stream[c], 0] > 0.0:
                continue
            value = _log_origin(h, by, p, c, gate)
            p = grid.order[p]
            if value > threshold and (value > best[c] or (value == best[c] and p < parent[c])):
                parent[c], best[c] = p, value
    return parent


@njit(cache=True)
def _trees(h, by, parent, vague_s):  # type: ignore[no-untyped-def]
    root = np.arange(len(parent))
    for c in range(len(parent)):
        if parent[c] >= 0:
            p, r = parent[c], root[parent[c]]
            begins, ends = h.begins_s[c], h.ends_s[c]
            if h.ends_s[p] - h.begins_s[p] > vague_s and not _meet(
                h.begins_s[r], h.ends_s[r], begins, ends, by.apart_s[h.stream[r], h.stream[c]]
            ):
                continue
            e, n = h.east_m[c] - h.east_m[r], h.north_m[c] - h.north_m[r]
            if e * e + n * n <= by.root_m[h.stream[c]] ** 2:
                root[c] = r
    return root


def episodes(
    happenings: Happenings, by: Descent, vague_s: float = np.inf, gate: float = 4.0, threshold: float = 0.0
) -> Ints:
    """The first event, in the order given, of each event's episode.

    An event's parent is the earlier row with the greatest log ratio above `threshold`, of equal ones the
    earliest row, within `gate` sigmas of distance. An event farther than `root_m` from its episode's first one
    begins its own, so that episodes do not wander; and so does one whose parent's interval is longer than
    `vague_s`, unless it meets that first one's interval too. NaN anywhere makes an event an episode of its own.
    """
    h = happenings
    widest = np.maximum(by.spread_m.max(axis=0), by.spread_m.max(axis=1))[h.stream]
    half, spread = (h.var_e + h.var_n) / 2, (h.var_e - h.var_n) / 2
    reach = gate * np.sqrt(half + np.hypot(spread, h.cov_en) + widest**2 / 2)
    length = h.ends_s - h.begins_s + by.horizon_s[h.stream]
    grid = build(h.east_m, h.north_m, h.begins_s, length, reach)
    ordered = Happenings._make(array[grid.order] for array in h)
    ends = ordered.begins_s + length[grid.order]
    parent = np.full(len(h.stream), -1, np.int64)
    parent[grid.order] = _parents(grid, ordered, ends, reach[grid.order], by, gate, threshold)
    return np.asarray(_trees(h, by, parent, vague_s))
