"""Slow and obvious twins of the kernels that cluster, link, merge and tell episodes. They share no code with them."""

import itertools
import math
from typing import Any

import numpy as np
from scipy import integrate, stats


def density_clusters(points, min_points: int) -> list[Any]:
    """DBSCAN with reach 1: each point's cluster as the least core row in it, None for noise.

    A border point goes to its nearest core point; of equally near ones to the first by coordinates.
    """
    n = len(points)
    d2 = [[sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for q in points] for p in points]
    near = [[j for j in range(n) if d2[i][j] <= 1.0] for i in range(n)]
    core = [len(near[i]) >= min_points for i in range(n)]
    cluster: list[Any] = [None] * n
    for i in range(n):
        todo = [i] if core[i] and cluster[i] is None else []
        while todo:
            j = todo.pop()
            if cluster[j] is None:
                cluster[j] = i
                todo += [k for k in near[j] if core[k]]
    for i in range(n):
        cores = [j for j in near[i] if core[j]]
        if not core[i] and cores:
            cluster[i] = cluster[min(cores, key=lambda j: (d2[i][j], points[j]))]
    return cluster


def partition(labels) -> set[frozenset[int]]:
    """Sets of rows with one label; None and -1 are each alone."""
    groups: dict[Any, set[int]] = {}
    for row, label in enumerate(labels):
        groups.setdefault(("alone", row) if label is None or label == -1 else label, set()).add(row)
    return {frozenset(rows) for rows in groups.values()}


class One:
    """A statement: plain numbers."""

    def __init__(self, s, i: int) -> None:
        self.where = np.array([s.east_m[i], s.north_m[i]])
        self.cov = np.array([[s.var_e[i], s.cov_en[i]], [s.cov_en[i], s.var_n[i]]])
        self.at, self.var = s.at_s[i], s.var_s[i]
        self.begins, self.ends = s.begins_s[i], s.ends_s[i]
        self.kinds, self.expected = s.kinds[i].copy(), s.expected[i].copy()
        self.log_rate, self.group = s.log_rate[i], s.group[i]


def summed_time_ratio(a: One, b: One) -> float:
    """p(both times | one instant) / product of each alone, per second, by summing over instants.

    A stated time is a density of the instant: normal, cut to the interval stated, or even over it.
    """
    finite = [x for one in (a, b) for x in (one.begins, one.ends) if math.isfinite(x)]
    around = [x.at + n * math.sqrt(x.var) for x in (a, b) if math.isfinite(x.var) for n in (-9, 9)]
    low, high = min(finite + around), max(finite + around)
    steps = 400_000
    width = (high - low) / steps
    t = np.linspace(low, high, steps, endpoint=False) + width / 2

    def density(one: One):
        p = np.ones(steps) if math.isinf(one.var) else stats.norm.pdf(t, one.at, math.sqrt(one.var))
        p = p * ((t >= one.begins) & (t < one.ends))
        return p / (p.sum() * width) if p.sum() > 0 else p

    return float((density(a) * density(b)).sum() * width)


def time_ratio(a: One, b: One) -> float:
    """The same, from tables of the normal distribution."""

    def share(at: float, var: float, low: float, high: float) -> float:
        if math.isinf(var):
            return high - low
        upper, lower = ((x - at) / math.sqrt(var) for x in (high, low))
        return (
            float(stats.norm.cdf(upper) - stats.norm.cdf(lower))
            if lower < 0
            else float(stats.norm.sf(lower) - stats.norm.sf(upper))
        )

    low, high = max(a.begins, b.begins), min(a.ends, b.ends)
    alone = [share(x.at, x.var, x.begins, x.ends) for x in (a, b)]
    if high <= low or not all(alone):
        return 0.0
    timed = [x for x in (a, b) if math.isfinite(x.var)]
    weight = sum(1 / x.var for x in timed)
    at = sum(x.at / x.var for x in timed) / weight if timed else 0.0
    meet = stats.norm.pdf(a.at - b.at, 0, math.sqrt(a.var + b.var)) if len(timed) == 2 else 1.0
    return float(meet) * share(at, 1 / weight if timed else math.inf, low, high) / alone[0] / alone[1]


def log_ratio(a: One, b: One, time=time_ratio) -> float:
    if a.group != b.group:
        return -math.inf
    space = stats.multivariate_normal.pdf(a.where - b.where, cov=a.cov + b.cov) * 1e6
    alike = sum(p * q for p, q in zip(a.kinds, b.expected, strict=True))
    together = space * time(a, b) * 3600 * alike
    return math.log(together) - max(a.log_rate, b.log_rate) if together > 0 else -math.inf


def distance(a: One, b: One) -> float:
    apart = a.where - b.where
    return float(np.sqrt(apart @ np.linalg.inv(a.cov + b.cov) @ apart))


def links(s, gate: float, threshold: float) -> dict[tuple[int, int], float]:
    """Every pair above the threshold and within the gate."""
    ones = [One(s, i) for i in range(len(s.at_s))]
    out = {}
    for i, j in itertools.combinations(range(len(ones)), 2):
        if distance(ones[i], ones[j]) <= gate and (value := log_ratio(ones[i], ones[j])) > threshold:
            out[i, j] = value
    return out


def joint(s, same, agreement, members: list[int], unnamed: float) -> One:
    """What the statements of one occurrence say together."""
    ones = [One(s, m) for m in members]
    out = ones[0]
    info, pull, time_info, time_pull = np.zeros((2, 2)), np.zeros(2), 0.0, 0.0
    places, moments = {}, {}
    for m, one in zip(members, ones, strict=True):
        places.setdefault(same.place[m], (same.voice[m], one))
        if math.isfinite(one.var):
            moments.setdefault(same.moment[m], (same.voice[m], one))
    for voice, one in places.values():
        share = np.linalg.inv(one.cov) / sum(v == voice for v, _ in places.values())
        info, pull = info + share, pull + share @ one.where
    for voice, one in moments.values():
        weight = 1 / one.var / sum(v == voice for v, _ in moments.values())
        time_info, time_pull = time_info + weight, time_pull + weight * one.at
    first = {}
    for m, one in zip(members, ones, strict=True):
        first.setdefault(same.source[m], []).append((one.ends, -one.begins))
    begins = max(-min(spans)[1] for spans in first.values())
    ends = min(min(spans)[0] for spans in first.values())
    named = [any(one.kinds[k] > 0 for one in ones) and agreement[k][k] > 0 for k in range(len(agreement))]
    logs = [np.mean([math.log(max(one.expected[k], unnamed)) for one in ones]) for k in range(len(agreement))]
    kinds = np.array([math.exp(v) if n else 0.0 for v, n in zip(logs, named, strict=True)])
    stated = np.array([agreement[k][k] > 0 for k in range(len(agreement))])
    kinds *= np.mean([one.kinds[stated].sum() for one in ones]) / kinds.sum()
    rate = float(np.mean([one.log_rate for one in ones]))
    out.cov = np.linalg.inv(info)
    out.where = out.cov @ pull
    if time_info:
        out.at, out.var = time_pull / time_info, 1 / time_info
    out.begins, out.ends, out.kinds, out.expected, out.log_rate = begins, ends, kinds, kinds @ agreement, rate
    return out


def merged(
    s, same, agreement, begun, pairs, log_repeat: float, gate: float, unnamed: float
) -> tuple[set[frozenset[int]], float]:
    """The best pair of clusters merges, again and again, each time looked for among all.

    And how close a decision was: the least difference between the best and the next, or from 0.
    """
    clusters = [[j for j in range(len(s.at_s)) if begun[j] == i] for i in sorted(set(begun))]
    margin = math.inf

    def value(a: list[int], b: list[int]) -> float:
        if not any((min(i, j), max(i, j)) in pairs for i in a for j in b):
            return -math.inf
        if max(s.begins_s[m] for m in a + b) >= min(s.ends_s[m] for m in a + b):
            return -math.inf
        for i, j in itertools.product(a, b):
            if same.account[i] == same.account[j] >= 0 and same.place[i] != same.place[j]:
                return -math.inf
        repeat = any(same.sensor[i] == same.sensor[j] >= 0 for i, j in itertools.product(a, b))
        x, y = (joint(s, same, agreement, c, unnamed) if len(c) > 1 else One(s, c[0]) for c in (a, b))
        near = distance(x, y) <= gate
        return log_ratio(x, y) + (log_repeat if repeat else 0.0) if near else -math.inf

    while True:
        scored = [(value(a, b), a, b) for a, b in itertools.combinations(clusters, 2)]
        scored.sort(key=lambda one: -one[0])
        tops = [one[0] for one in scored[:2] if math.isfinite(one[0])]
        margin = min([margin, *(abs(top) for top in tops), *(a - b for a, b in itertools.pairwise(tops))])
        if not scored or scored[0][0] <= 0:
            return {frozenset(members) for members in clusters}, margin
        _, a, b = scored[0]
        clusters = [c for c in clusters if c not in (a, b)] + [sorted(a + b)]


def offspring_rate(rate, decay, after, a, b, c, e) -> float:
    """Mean of rate * exp(-lag / decay) over instants of two intervals: over the lags there can be, by their weight."""

    def weight(lag: float) -> float:  # how much of [a, b] has its instant `lag` later in [c, e]
        return max(0.0, min(b, e - lag) - max(a, c - lag)) / (b - a) / (e - c)

    corners = sorted({c - b, c - a, e - b, e - a, 0.0})
    total = 0.0
    for low, high in itertools.pairwise(corners):
        if not (after and high <= 0.0):
            total += integrate.quad(lambda lag: weight(lag) * math.exp(-abs(lag) / decay), low, high)[0]
    return rate * total


def meet(a, b, c, e, apart) -> bool:
    return min(b + apart, e) - max(a - apart, c) >= 0.5 * min(b - a, e - c)


def episodes(h, by, vague_s: float, gate: float) -> tuple[list[int], float]:
    """Every event looks at all earlier ones for a parent. And how close a decision was."""
    n = len(h.stream)
    root, margin = list(range(n)), math.inf
    for c in range(n):
        best, parent = 0.0, None
        for p in range(c):
            sp, sc = h.stream[p], h.stream[c]
            spread = by.spread_m[sp, sc] ** 2
            cov = np.array(
                [
                    [h.var_e[p] + h.var_e[c] + spread, h.cov_en[p] + h.cov_en[c]],
                    [h.cov_en[p] + h.cov_en[c], h.var_n[p] + h.var_n[c] + spread],
                ]
            )
            apart = np.array([h.east_m[p] - h.east_m[c], h.north_m[p] - h.north_m[c]])
            times = h.begins_s[p], h.ends_s[p], h.begins_s[c], h.ends_s[c]
            if not apart @ np.linalg.inv(cov) @ apart <= gate**2 or not meet(*times, by.apart_s[sp, sc]):
                continue
            rates = zip(by.rate[sp, sc], by.decay_s[sp, sc], strict=True)
            rate = sum(offspring_rate(r, d, bool(by.after[sp, sc]), *times) for r, d in rates if r > 0)
            density = stats.multivariate_normal.pdf(apart, cov=cov) * 1e6
            value = math.log(rate * density) - h.log_rate[c] if rate * density > 0 else -math.inf
            margin = min(margin, abs(value - best), abs(value))
            if value > best:
                best, parent = value, p
        if parent is None:
            continue
        r = root[parent]
        close = math.hypot(h.east_m[c] - h.east_m[r], h.north_m[c] - h.north_m[r]) <= by.root_m[h.stream[c]]
        span = h.begins_s[r], h.ends_s[r], h.begins_s[c], h.ends_s[c]
        vague = h.ends_s[parent] - h.begins_s[parent] > vague_s
        if close and (not vague or meet(*span, by.apart_s[h.stream[r], h.stream[c]])):
            root[c] = r
    return root, margin


def active_cell_days(east, north, at, cell_m, column_m, half_days) -> list[int]:
    """Distinct (cell, day) with a point, in the columns and days round each."""
    cells = {
        (math.floor(e / cell_m), math.floor(n / cell_m), math.floor(t / 86400))
        for e, n, t in zip(east, north, at, strict=True)
    }
    each = round(column_m / cell_m)
    out = []
    for e, n, t in zip(east, north, at, strict=True):
        ce, cn, day = (
            math.floor(math.floor(e / cell_m) / each),
            math.floor(math.floor(n / cell_m) / each),
            math.floor(t / 86400),
        )
        near = [
            abs(i // each - ce) <= 1 and abs(j // each - cn) <= 1 and abs(d - day) <= half_days for i, j, d in cells
        ]
        out.append(sum(near))
    return out
