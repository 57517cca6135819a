"""Metrics of tracks by their definitions, one instant and one pair at a time, every matching tried; slow."""

from itertools import pairwise, permutations
from math import cos, dist, inf, radians, sin, sqrt


def earth_centred(lon, lat):
    """A point of the WGS 84 ellipsoid, metres."""
    a, e2 = 6378137.0, 6.69437999014e-3
    x, y = radians(lon), radians(lat)
    across = a / sqrt(1 - e2 * sin(y) ** 2)
    return across * cos(y) * cos(x), across * cos(y) * sin(x), across * (1 - e2) * sin(y)


def where(path, t, gap_s=inf):
    """Place of a path [(t, lon, lat)] in order of time at t, straight between points; None when it is not there.

    `"unknown"` between points more than `gap_s` apart.
    """
    exact = [p for p in path if p[0] == t]
    if exact:
        return earth_centred(*exact[-1][1:])
    before, after = [p for p in path if p[0] < t], [p for p in path if p[0] > t]
    if not before or not after:
        return None
    (s, lon, lat), (u, lon2, lat2) = before[-1], after[0]
    if u - s > gap_s:
        return "unknown"
    w = (t - s) / (u - s)
    return earth_centred(lon + w * (lon2 - lon), lat + w * (lat2 - lat))


def matchings(left, right):
    """Every set of pairs in which nothing is used twice."""
    if len(left) > len(right):
        for pairs in matchings(right, left):
            yield [(b, a) for a, b in pairs]
        return
    for some in permutations(right, len(left)):
        whole = list(zip(left, some, strict=True))
        for mask in range(2 ** len(whole)):
            yield [pair for k, pair in enumerate(whole) if mask >> k & 1]


def gospa(truths, tracks, c, p):
    """GOSPA, alpha 2, and the pairs of the best matching; `truths` and `tracks` are {name: place}."""
    best = inf, []
    for pairs in matchings(list(truths), list(tracks)):
        near = [dist(truths[a], tracks[b]) for a, b in pairs]
        cost = sum(d**p for d in near) + c**p / 2 * (len(truths) + len(tracks) - 2 * len(pairs))
        if all(d < c for d in near) and cost < best[0]:
            best = cost, pairs
    return best[0] ** (1 / p), best[1]


def ospa(truths, tracks, c, p):
    """OSPA: every object of the smaller set gets a partner, distances cut at c."""
    m, n = sorted((len(truths), len(tracks)))
    if n == 0:
        return 0.0
    small, large = (truths, tracks) if len(truths) <= len(tracks) else (tracks, truths)
    least = min(
        sum(min(dist(small[a], large[b]), c) ** p for a, b in zip(small, some, strict=True))
        for some in permutations(large, m)
    )
    return ((least + c**p * (n - m)) / n) ** (1 / p)


def followed(partners):
    """Instants with a track, switches, breaks, longest run on one track, of one object's partners (None: none)."""
    held = [p for p in partners if p is not None]
    switches = sum(a != b for a, b in pairwise(held))
    breaks = sum(
        b is not None and a is None and any(q is not None for q in partners[:k])
        for k, (a, b) in enumerate(pairwise(partners))
    )
    longest = 0
    for i in range(len(partners)):
        for j in range(i + 1, len(partners) + 1):
            if partners[i] is not None and all(p == partners[i] for p in partners[i:j]):
                longest = max(longest, j - i)
    return len(held), switches, breaks, longest
