"""Slow and obvious twins of `kernels.fires` and `kernels.activity`: loops over all pairs, sums over all states."""

import itertools
import math

import numpy as np

DAY_S = 86_400.0


def fresh(at_s, east_m, north_m, reach_m):
    """Of every detection: one over those within reach of it on its day and the day before; and over those not later."""
    by_day, by_pass = [], []
    for i in range(len(at_s)):
        whole = seen = 0
        for k in range(len(at_s)):
            apart = math.hypot(east_m[k] - east_m[i], north_m[k] - north_m[i])
            days = math.floor(at_s[i] / DAY_S) - math.floor(at_s[k] / DAY_S)
            if apart <= reach_m and days in (0, 1):
                whole += 1
                seen += days == 1 or at_s[k] <= at_s[i]
        by_day.append(1.0 / whole)
        by_pass.append(1.0 / seen)
    return np.array(by_day), np.array(by_pass)


def occupied(asked, been, up, across, span):
    """For each mark asked about: in how many periods of the span something had been within `up` and `across` of it."""
    out = []
    for row, column, period in zip(*asked, strict=True):
        periods = {
            p
            for r, c, p in zip(*been, strict=True)
            if abs(r - row) <= up and abs(c - column) <= across and span[0] <= p - period <= span[1]
        }
        out.append(len(periods))
    return out


def blur(values, sigmas):
    """Each value spread over all others by a normal curve cut at 3 sigmas; axis by axis, nothing from outside."""
    out = np.asarray(values, float)
    for axis, sigma in enumerate(sigmas):
        if not sigma:
            continue
        half = math.ceil(3.0 * sigma)
        n = out.shape[axis]
        taps = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
        taps /= taps.sum()
        matrix = np.array([[taps[k - i + half] if abs(k - i) <= half else 0.0 for k in range(n)] for i in range(n)])
        out = np.moveaxis(np.tensordot(matrix, out, axes=(1, axis)), 0, axis)
    return out


def likelihood(fires, expected, watched, chain):
    """Poisson, without the factor that all states share."""
    due = [expected * level + watched * rate for level, rate in zip(chain.level, chain.rate, strict=True)]
    return np.array([math.exp(-mu) * mu**fires for mu in due])


def transition(onset, end, chain):
    """Row: the state before; column: the state after."""
    quiet, active = len(chain.weight), len(chain.start)
    out = np.zeros((quiet + active, quiet + active))
    for s in range(quiet):
        for other in range(quiet):
            out[s, other] = (1.0 - onset) * (
                chain.leave[s] * chain.enter[other] + (s == other) * (1.0 - chain.leave[s])
            )
        out[s, quiet:] = onset * chain.start
    for s in range(active):
        out[quiet + s, :quiet] = end * chain.weight
        for other, moves in ((s - 1, chain.move), (s + 1, chain.move)):
            there = other if 0 <= other < active else s
            out[quiet + s, quiet + there] += (1.0 - end) * moves
        out[quiet + s, quiet + s] += (1.0 - end) * (1.0 - 2.0 * chain.move)
    return out


def first(onset, end, chain):
    """The states before anything was seen."""
    busy = onset / (onset + end)
    return np.concatenate([chain.weight * (1.0 - busy), chain.start * busy])


def smooth(fires, expected, watched, onset, end, chain):
    """One cell: probability of each active state in each period, summed over every path through the states."""
    periods, quiet = len(fires), len(chain.weight)
    states = len(chain.level)
    seen = [likelihood(fires[t], expected[t], watched[t], chain) for t in range(periods)]
    steps = [transition(onset[t], end[t], chain) for t in range(periods)]
    out = np.zeros((periods, states))
    for path in itertools.product(range(states), repeat=periods):
        p = first(onset[0], end[0], chain)[path[0]] * seen[0][path[0]]
        for t in range(1, periods):
            p *= steps[t][path[t - 1], path[t]] * seen[t][path[t]]
        for t, state in enumerate(path):
            out[t, state] += p
    return (out / out.sum(axis=1, keepdims=True))[:, quiet:]


def share(active, expected, watched, heat, chain):
    """Of one detection: over each active state and level, the part of the rate there that is the conflict's."""
    total = 0.0
    quiet = len(chain.weight)
    for p, rate in zip(active, chain.rate[quiet:], strict=True):
        for level, other, weight in zip(chain.level[:quiet], chain.rate[:quiet], chain.weight, strict=True):
            total += p * weight * watched * rate / (watched * (rate + other) + expected * level + heat)
    return total
