"""The peer's incidents: which earlier event each event came of."""

import numpy as np
import pandas as pd
from bench.peer_pairs import candidates

from truceline.fuse import assumptions as assumed
from truceline.fuse.assumptions import STREAMS

FIRE = STREAMS.index("fire")


def descent():
    n, parts = len(STREAMS), max(len(origin.parts) for origin in assumed.ORIGINS)
    rate, decay = np.zeros((n, n, parts)), np.ones((n, n, parts))
    after, spread, apart, horizon = np.zeros((n, n), bool), np.zeros((n, n)), np.zeros((n, n)), np.zeros(n)
    for origin in assumed.ORIGINS:
        p, c = STREAMS.index(origin.parent), STREAMS.index(origin.child)
        for k, (r, hours) in enumerate(origin.parts):
            rate[p, c, k], decay[p, c, k] = r, hours * 3600.0
        after[p, c], spread[p, c], apart[p, c] = origin.after, origin.spread_m, origin.apart_h * 3600.0
        horizon[p] = max(horizon[p], apart[p, c])
        if not origin.after:
            horizon[c] = max(horizon[c], apart[p, c])
    return rate, decay, after, spread, apart, horizon


def meets(a, b, c, e, apart):
    return np.minimum(b + apart, e) - np.maximum(a - apart, c) >= 0.5 * np.minimum(b - a, e - c)


def moved(d, decay, after):
    one = np.where(d > 0, d - decay * (1 - np.exp(-np.maximum(d, 0) / decay)), 0.0)
    return np.where(after, one, 0.5 * (np.abs(d) + decay * np.exp(-np.abs(d) / decay)))


def offspring(rate, decay, after, a, b, c, e):
    lag = 0.5 * (c + e - a - b)
    instant = np.where(after & (lag < 0), 0.0, rate * np.exp(-np.abs(lag) / decay))
    length, width = np.maximum(b - a, 1e-3 * decay), np.maximum(e - c, 1e-3 * decay)
    b2, e2 = a + length, c + width
    double = moved(e2 - a, decay, after) - moved(c - a, decay, after)
    double += moved(c - b2, decay, after) - moved(e2 - b2, decay, after)
    whole = np.where(after, decay, 2 * decay)
    short = ((b - a) + (e - c) < 0.005 * decay) & ((c >= b) | (e <= a))
    return np.where(short, instant, rate * np.maximum(double, 0) * whole / (length * width))


def episodes(v: pd.DataFrame, streams, by) -> np.ndarray:
    """The first event of each event's episode; rows in an order in which parents come first."""
    rate, decay, after, spread, apart, horizon = by
    e, n, ee, en, nn, begins, ends, log_rate = (
        v[c].to_numpy() for c in ("e", "n", "ee", "en", "nn", "begins", "ends", "rate")
    )
    widest = np.maximum(spread.max(axis=0), spread.max(axis=1))[streams]
    reach = 4.0 * np.sqrt((ee + nn) / 2 + np.hypot((ee - nn) / 2, en) + widest**2 / 2)
    found = []
    for i, j in candidates(e, n, begins, ends - begins + horizon[streams], reach):
        p, c = np.minimum(i, j), np.maximum(i, j)
        sp, sc = streams[p], streams[c]
        able = rate[sp, sc, 0] > 0
        able &= meets(begins[p], ends[p], begins[c], ends[c], apart[sp, sc])
        p, c, sp, sc = p[able], c[able], sp[able], sc[able]
        extra = spread[sp, sc] ** 2
        see, snn, sen = ee[p] + ee[c] + extra, nn[p] + nn[c] + extra, en[p] + en[c]
        determinant = see * snn - sen * sen
        de, dn = e[p] - e[c], n[p] - n[c]
        d2 = (snn * de * de - 2 * sen * de * dn + see * dn * dn) / determinant
        near = d2 <= 16.0
        p, c, sp, sc, d2, determinant = (x[near] for x in (p, c, sp, sc, d2, determinant))
        total = np.zeros(len(p))
        for k in range(rate.shape[2]):
            r = rate[sp, sc, k]
            part = offspring(r, decay[sp, sc, k], after[sp, sc], begins[p], ends[p], begins[c], ends[c])
            total += np.where(r > 0, part, 0.0)
        with np.errstate(divide="ignore"):
            value = np.log(total * 1e6 / (2 * np.pi * np.sqrt(determinant))) - 0.5 * d2 - log_rate[c]
        good = value > 0
        found.append((p[good], c[good], value[good]))
    parent = np.full(len(v), -1)
    if found:
        p, c, value = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((p, -value, c))
        child, at = np.unique(c[order], return_index=True)
        parent[child] = p[order][at]
    return trees(parent, e, n, begins, ends, streams, apart)


def trees(parent, e, n, begins, ends, streams, apart) -> np.ndarray:
    """Roots, in order: an episode does not wander from its first event, nor chain over vague ones."""
    reach = np.array([assumed.ROOT_M.get(name, np.inf) for name in STREAMS])[streams].tolist()
    root, vague = np.arange(len(parent)).tolist(), assumed.VAGUE_H * 3600.0
    e, n, begins, ends = e.tolist(), n.tolist(), begins.tolist(), ends.tolist()
    for c, p in zip(np.flatnonzero(parent >= 0).tolist(), parent[parent >= 0].tolist(), strict=True):
        r = root[p]
        if ends[p] - begins[p] > vague and not meets(
            begins[r], ends[r], begins[c], ends[c], apart[streams[r], streams[c]]
        ):
            continue
        if (e[c] - e[r]) ** 2 + (n[c] - n[r]) ** 2 <= reach[c] ** 2:
            root[c] = r
    return np.array(root, np.int64)


def group(v: pd.DataFrame, streams: np.ndarray) -> np.ndarray:
    """The incident of each event, a code in the order of earliest events."""
    by = descent()
    root, fires = np.arange(len(v)), np.flatnonzero(streams == FIRE)
    root[fires] = fires[ordered(v, fires, streams, by)]
    burns = v.iloc[fires].groupby(root[fires])
    days = (burns["ends"].max() - burns["begins"].min()) / 86400.0
    begun = days.index[days <= assumed.SET_BY_IMPACT_DAYS].to_numpy()
    rest = np.sort(np.concatenate([np.flatnonzero(streams != FIRE), begun]))
    rate = by[0].copy()
    rate[FIRE, FIRE] = 0.0
    root[rest] = rest[ordered(v, rest, streams, (rate, *by[1:]))]
    return pd.factorize(root[root])[0]


def ordered(v, rows, streams, by) -> np.ndarray:
    some, of = v.iloc[rows], streams[rows]
    vague = (some["ends"] - some["begins"]).to_numpy() > assumed.VAGUE_H * 3600.0
    order = np.lexsort((np.arange(len(rows)), some["at"].to_numpy(), vague, of == FIRE))
    root = np.empty(len(rows), np.int64)
    root[order] = order[episodes(some.iloc[order], of[order], by)]
    return root
