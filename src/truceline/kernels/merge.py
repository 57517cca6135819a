"""Merge linked statements into occurrences, most certain pair first, each merger judged by all it holds.

Single links chain: Monday's report overlaps a two-day report, that one Tuesday's, and a month becomes one
shelling. Here a cluster is judged as what it claims to be, one occurrence: its position is the joint estimate
of all its statements, its time the intersection of their intervals. Two clusters merge only if one occurrence
explains *both* better than two do.
"""

from heapq import heapify, heappop, heappush
from math import exp, log
from typing import NamedTuple

import numpy as np
from numba import njit

from truceline.kernels.cluster import find
from truceline.kernels.grid import Floats, Ints
from truceline.kernels.likelihood import Statements, log_ratio, squared_distance

#: The least likelihood an account gives to a kind that others name.
UNNAMED = 0.02


class Sameness(NamedTuple):
    """(n,) codes 0, 1, … that say what statements share, and so what is no second opinion."""

    place: Ints  # one position and ellipse: one source of error in space
    moment: Ints  # one instant and error: one source of error in time
    account: Ints  # one text of one source; at two places it speaks of two occurrences; -1: no text
    voice: Ints  # one instrument or post or, where unknown, source: errors in common, averaged and not added up
    source: Ints  # of its intervals the one that ends first dates the occurrence: later accounts repeat
    sensor: Ints  # one instrument, post or outlet, which rarely records one occurrence twice; -1: unknown


class Seen(NamedTuple):
    """Scratch: which codes were met, and by which statement; indexed by code."""

    place: Ints
    moment: Ints
    account: Ints
    voice: Ints
    source: Ints
    sensor: Ints
    places: Ints  # how many places, moments a voice has stated
    moments: Ints
    account_place: Ints
    stamp: Ints  # (1,) the mark in use
    latest_s: Floats  # by cluster: the last begin, the first end of its intervals
    earliest_s: Floats


@njit(cache=True)
def _restate_place(s, c, same, root, following, seen, stamp):  # type: ignore[no-untyped-def]
    """Position: information averaged over the distinct places of a voice, added over voices."""
    m = root
    while m >= 0:
        seen.places[same.voice[m]] = 0
        seen.moments[same.voice[m]] = 0
        m = following[m]
    m = root
    while m >= 0:
        if seen.place[same.place[m]] < stamp:
            seen.place[same.place[m]] = stamp + m
            seen.places[same.voice[m]] += 1
        if s.var_s[m] < np.inf and seen.moment[same.moment[m]] < stamp:
            seen.moment[same.moment[m]] = stamp + m
            seen.moments[same.voice[m]] += 1
        m = following[m]
    wee = wen = wnn = we = wn = wt = wta = 0.0
    m = root
    while m >= 0:
        if seen.place[same.place[m]] == stamp + m:  # the same place again adds nothing
            share = 1.0 / (s.var_e[m] * s.var_n[m] - s.cov_en[m] ** 2) / seen.places[same.voice[m]]
            iee, ien, inn = s.var_n[m] * share, -s.cov_en[m] * share, s.var_e[m] * share
            e, n = s.east_m[m] - s.east_m[root], s.north_m[m] - s.north_m[root]
            wee, wen, wnn = wee + iee, wen + ien, wnn + inn
            we, wn = we + iee * e + ien * n, wn + ien * e + inn * n
        if s.var_s[m] < np.inf and seen.moment[same.moment[m]] == stamp + m:
            share = 1.0 / s.var_s[m] / seen.moments[same.voice[m]]
            wt, wta = wt + share, wta + share * (s.at_s[m] - s.at_s[root])
        m = following[m]
    determinant = wee * wnn - wen * wen
    c.var_e[root], c.cov_en[root], c.var_n[root] = wnn / determinant, -wen / determinant, wee / determinant
    c.east_m[root] = s.east_m[root] + c.var_e[root] * we + c.cov_en[root] * wn
    c.north_m[root] = s.north_m[root] + c.cov_en[root] * we + c.var_n[root] * wn
    if wt > 0.0:
        c.at_s[root], c.var_s[root] = s.at_s[root] + wta / wt, 1.0 / wt


@njit(cache=True)
def _restate_interval(s, c, same, root, following, seen):  # type: ignore[no-untyped-def]
    """Interval: what the sources' first accounts have in common."""
    m = root
    while m >= 0:
        seen.source[same.source[m]] = m
        m = following[m]
    m = root
    while m >= 0:
        f = seen.source[same.source[m]]
        if s.ends_s[m] < s.ends_s[f] or (s.ends_s[m] == s.ends_s[f] and s.begins_s[m] > s.begins_s[f]):
            seen.source[same.source[m]] = m
        m = following[m]
    begins, ends = -np.inf, np.inf
    m = root
    while m >= 0:
        f = seen.source[same.source[m]]
        begins, ends = max(begins, s.begins_s[f]), min(ends, s.ends_s[f])
        m = following[m]
    c.begins_s[root], c.ends_s[root] = begins, ends


@njit(cache=True)
def _restate_kind(s, c, root, following, agreement):  # type: ignore[no-untyped-def]
    """Kind: likelihoods averaged as logs over the kinds that any account names; the rate averaged as a log."""
    members, rate, mass = 0, 0.0, 0.0
    kinds = s.kinds.shape[1]
    named = np.zeros(kinds, np.int64)
    for k in range(kinds):
        c.kinds[root, k] = 0.0
    m = root
    while m >= 0:
        members += 1
        rate += s.log_rate[m]
        for k in range(kinds):
            if s.kinds[m, k] > 0.0 and agreement[k, k] > 0.0:
                named[k] = 1
            c.kinds[root, k] += log(max(s.expected[m, k], UNNAMED))
            mass += s.kinds[m, k] if agreement[k, k] > 0.0 else 0.0
        m = following[m]
    whole = 0.0
    for k in range(kinds):
        c.kinds[root, k] = exp(c.kinds[root, k] / members) if named[k] else 0.0
        whole += c.kinds[root, k]
        c.expected[root, k] = 0.0
    for k in range(kinds):
        if c.kinds[root, k] > 0.0:
            c.kinds[root, k] *= mass / members / whole
            for other in range(kinds):
                c.expected[root, other] += c.kinds[root, k] * agreement[k, other]
    c.log_rate[root] = rate / members


@njit(cache=True)
def _restate(s, c, same, root, following, seen, stamp, agreement):  # type: ignore[no-untyped-def]
    """Write into c[root] what the statements of its cluster say together."""
    _restate_place(s, c, same, root, following, seen, stamp)
    _restate_interval(s, c, same, root, following, seen)
    _restate_kind(s, c, root, following, agreement)


@njit(cache=True)
def _contradict(same, a, b, following, seen, stamp):  # type: ignore[no-untyped-def]
    """Whether one account stands in both clusters with two places."""
    m = a
    while m >= 0:
        if same.account[m] >= 0:
            seen.account[same.account[m]] = stamp
            seen.account_place[same.account[m]] = same.place[m]
        m = following[m]
    m = b
    while m >= 0:
        k = same.account[m]
        if k >= 0 and seen.account[k] == stamp and seen.account_place[k] != same.place[m]:
            return True
        m = following[m]
    return False


@njit(cache=True)
def _share_sensor(same, a, b, following, seen, stamp):  # type: ignore[no-untyped-def]
    m = a
    while m >= 0:
        if same.sensor[m] >= 0:
            seen.sensor[same.sensor[m]] = stamp
        m = following[m]
    m = b
    while m >= 0:
        if same.sensor[m] >= 0 and seen.sensor[same.sensor[m]] == stamp:
            return True
        m = following[m]
    return False


@njit(cache=True)
def _neighbours(n, left, right):  # type: ignore[no-untyped-def]
    """For each statement, the others it is linked with: first[i]:first[i + 1] in `other`."""
    first = np.zeros(n + 2, np.int64)
    for k in range(len(left)):
        first[left[k] + 2] += 1
        first[right[k] + 2] += 1
    for i in range(n):
        first[i + 2] += first[i + 1]
    other = np.empty(2 * len(left), np.int64)
    for k in range(len(left)):
        i, j = left[k], right[k]
        other[first[i + 1]], other[first[j + 1]] = j, i
        first[i + 1] += 1
        first[j + 1] += 1
    return first, other


@njit(cache=True)
def _joint_ratio(c, same, a, b, following, seen, gate, log_repeat):  # type: ignore[no-untyped-def]
    """Log ratio of two clusters by what each says jointly; -inf where something keeps them apart."""
    if not squared_distance(c, a, b) <= gate * gate:
        return -np.inf
    if max(seen.latest_s[a], seen.latest_s[b]) >= min(seen.earliest_s[a], seen.earliest_s[b]):
        return -np.inf  # no instant that all accounts allow
    seen.stamp[0] += 1
    if _contradict(same, a, b, following, seen, seen.stamp[0]):
        return -np.inf
    ratio = log_ratio(c, a, b)
    return ratio + log_repeat if _share_sensor(same, a, b, following, seen, seen.stamp[0]) else ratio


@njit(cache=True)
def _merge(s, c, same, seen, agreement, begun, left, right, gate, threshold, log_repeat):  # type: ignore[no-untyped-def]
    n = len(s.at_s)
    parent, following, last = np.arange(n), np.full(n, -1, np.int64), np.arange(n)
    version, met = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    first, other = _neighbours(n, left, right)
    mergers = np.int64(0)
    for k in range(n):
        i = begun[k]
        if i != k:
            parent[k], following[last[i]], last[i] = i, k, k
    for i in range(n):
        if last[i] != i and parent[i] == i:
            mergers += 1
            _restate(s, c, same, i, following, seen, n * mergers, agreement)
    zero = np.int64(0)
    heap = [(0.0, zero, zero, zero, zero) for _ in range(0)]
    for k in range(len(left)):
        i, j = min(left[k], right[k]), max(left[k], right[k])
        ratio = _joint_ratio(c, same, i, j, following, seen, gate, log_repeat)
        if ratio > threshold:
            heap.append((-ratio, i, j, zero, zero))
    heapify(heap)
    while len(heap):
        _, i, j, version_i, version_j = heappop(heap)
        if parent[i] != i or parent[j] != j or version[i] != version_i or version[j] != version_j:
            continue
        parent[j] = i
        seen.latest_s[i] = max(seen.latest_s[i], seen.latest_s[j])
        seen.earliest_s[i] = min(seen.earliest_s[i], seen.earliest_s[j])
        following[last[i]] = j
        last[i] = last[j]
        version[i] += 1
        mergers += 1
        _restate(s, c, same, i, following, seen, n * mergers, agreement)
        m = i
        while m >= 0:
            for k in range(first[m], first[m + 1]):
                r = find(parent, other[k])
                if r == i or met[r] == mergers:
                    continue
                met[r] = mergers
                ratio = _joint_ratio(c, same, i, r, following, seen, gate, log_repeat)
                if ratio > threshold:
                    a, b = min(i, r), max(i, r)
                    heappush(heap, (-ratio, a, b, version[a], version[b]))
            m = following[m]
    root = np.empty(n, np.int64)
    for i in range(n):
        root[i] = find(parent, i)
    return root


def merged(
    statements: Statements,
    same: Sameness,
    agreement: Floats,
    begun: Ints,
    left: Ints,
    right: Ints,
    log_repeat: float,
    gate: float,
    threshold: float = 0.0,
) -> tuple[Ints, Statements]:
    """Occurrences out of linked statements: the clusters that no merger would explain better.

    The pair of clusters with the greatest log ratio merges first, ties by the rows' order, until none is above
    `threshold`. A cluster's ratio is that of its joint statement. Its position and instant are weighted by
    information, each distinct `place` and `moment` counted once, averaged over those of one `voice` and added
    over voices. Its interval is the intersection of the sources' intervals, of each `source` the one that ends
    first (news repeat what they told, and what they tell of was before they first told it). Its kinds are the
    likelihoods averaged as logs, so that many accounts are no surer than each, but sharper than the vaguest.
    Clusters that hold one `account` at two places, or intervals without an instant in common, never merge.

    Parameters
    ----------
    statements
        n statements; the result's ties depend on their order, so put them into one that the data define.
    same
        What they share.
    agreement
        (kinds, kinds), symmetric: how likely another statement of one occurrence names each kind; with 0 on the
        diagonal for "something else".
    begun
        (n,) the clusters to begin with, as the least row of each row's: itself, or for statements that differ in
        nothing counted here the first of them (`alike`), so that a thousand copies are not a million pairs.
    left, right
        Pairs of rows that may be one (`cluster.links`); of clusters only their least rows; only clusters
        with such a pair are compared.
    log_repeat
        Log of how much rarer it is that one `sensor` records an occurrence twice than that two do.
    gate
        Clusters farther apart than this many sigmas of their joint ellipse never merge.

    Returns
    -------
    (n,) int64
        The least row of each row's cluster.
    Statements
        At each such least row the joint statement; other rows as given.
    """
    joint = Statements._make(array.copy() for array in statements)
    codes = [int(code.max(initial=-1)) + 1 for code in same]
    scratch = [np.full(count, -1, np.int64) for count in codes]
    voices, accounts = codes[3], codes[2]
    counts = (np.zeros(count, np.int64) for count in (voices, voices, accounts, 1))
    seen = Seen._make([*scratch, *counts, statements.begins_s.copy(), statements.ends_s.copy()])
    return _merge(statements, joint, same, seen, agreement, begun, left, right, gate, threshold, log_repeat), joint


@njit(cache=True)
def _own_ratio(s):  # type: ignore[no-untyped-def]
    out = np.empty(len(s.at_s))
    for i in range(len(out)):
        out[i] = log_ratio(s, i, i)
    return out


def alike(statements: Statements, same: Sameness, threshold: float = 0.0) -> tuple[Ints, Floats]:
    """Statements that differ in nothing that is counted, and that one occurrence explains better than two.

    Returns
    -------
    (n,) int64
        The least row that states the same place, time, kinds and rate, from the same source, no instrument or post
        being named; a row itself where there is none, or where so much happens that even copies are not one.
    (n,) float64
        Log ratio of each statement and a copy of it; NaN where something in it is not finite.
    """
    own = _own_ratio(statements)
    n = len(own)
    kinds = statements.kinds.round(9).view(f"V{8 * statements.kinds.shape[1]}").ravel() if n else np.empty(0)
    times = (statements.begins_s, statements.ends_s, statements.log_rate, statements.group)
    apart = np.where((own > threshold) & (same.sensor < 0), -1, np.arange(n))
    code = row_codes(apart, same.place, same.moment, same.source, *times, kinds)
    first = np.full(int(code.max(initial=-1)) + 1, n, np.int64)
    np.minimum.at(first, code, np.arange(n))
    return first[code], own


def row_codes(*columns: "np.typing.NDArray[np.generic]") -> Ints:
    """Codes 0, 1, … of distinct rows of the columns."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        _, inverse = np.unique(column, return_inverse=True)
        _, code = np.unique(code * (len(inverse) + 1) + inverse, return_inverse=True)
    return np.asarray(code, np.int64)
