"""Merge linked statements into occurrences, most certain pair first, each merger judged by all it holds.

Single links chain: Monday's report overlaps a two-day report, that one Tuesday's, and a month becomes one
shelling. Here a cluster is judged as what it claims to be, one occurrence: its position is the joint estimate
of all its statements, its time the intersection of their intervals. Two clusters merge only if one occurrence
explains *both* better than two do.
"""

from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np
from numba import njit

from truceline.kernels.cluster import find
from truceline.kernels.grid import Floats, Ints
from truceline.kernels.likelihood import Statements, log_ratio


class Sameness(NamedTuple):
    """(n,) codes 0, 1, … that say what statements share, and so what is no second opinion."""

    place: Ints  # one position and ellipse: one source of error in space
    moment: Ints  # one instant and error: one source of error in time
    account: Ints  # one text of one source; at two places it speaks of two occurrences; -1: no text
    sensor: Ints  # one instrument, post or outlet, which rarely records one occurrence twice; -1: unknown


@njit(cache=True)
def _restate(s, c, same, root, following, place_seen, moment_seen, stamp):  # type: ignore[no-untyped-def]
    """Write into c[root] what the statements of its cluster say together; how many they are."""
    members = 0
    wee = wen = wnn = we = wn = wt = wta = rate = 0.0
    begins, ends = -np.inf, np.inf
    c.kinds[root, :] = 0.0
    c.expected[root, :] = 0.0
    m = root
    while m >= 0:
        members += 1
        rate += s.log_rate[m]
        for k in range(s.kinds.shape[1]):
            c.kinds[root, k] += s.kinds[m, k]
            c.expected[root, k] += s.expected[m, k]
        if place_seen[same.place[m]] != stamp:  # the same place again adds nothing
            place_seen[same.place[m]] = stamp
            determinant = s.var_e[m] * s.var_n[m] - s.cov_en[m] ** 2
            iee, ien, inn = s.var_n[m] / determinant, -s.cov_en[m] / determinant, s.var_e[m] / determinant
            e, n = s.east_m[m] - s.east_m[root], s.north_m[m] - s.north_m[root]
            wee, wen, wnn = wee + iee, wen + ien, wnn + inn
            we, wn = we + iee * e + ien * n, wn + ien * e + inn * n
        if s.var_s[m] < np.inf and moment_seen[same.moment[m]] != stamp:
            moment_seen[same.moment[m]] = stamp
            wt += 1.0 / s.var_s[m]
            wta += (s.at_s[m] - s.at_s[root]) / s.var_s[m]
        begins, ends = max(begins, s.begins_s[m]), min(ends, s.ends_s[m])
        m = following[m]
    determinant = wee * wnn - wen * wen
    c.var_e[root], c.cov_en[root], c.var_n[root] = wnn / determinant, -wen / determinant, wee / determinant
    c.east_m[root] = s.east_m[root] + c.var_e[root] * we + c.cov_en[root] * wn
    c.north_m[root] = s.north_m[root] + c.cov_en[root] * we + c.var_n[root] * wn
    c.begins_s[root], c.ends_s[root] = begins, ends
    if wt > 0.0:
        c.at_s[root], c.var_s[root] = s.at_s[root] + wta / wt, 1.0 / wt
    c.log_rate[root] = rate / members
    c.kinds[root, :] /= members
    c.expected[root, :] /= members
    return members


@njit(cache=True)
def _contradict(same, a, b, following, account_seen, account_place, stamp):  # type: ignore[no-untyped-def]
    """Whether one account stands in both clusters with two places."""
    m = a
    while m >= 0:
        if same.account[m] >= 0:
            account_seen[same.account[m]] = stamp
            account_place[same.account[m]] = same.place[m]
        m = following[m]
    m = b
    while m >= 0:
        k = same.account[m]
        if k >= 0 and account_seen[k] == stamp and account_place[k] != same.place[m]:
            return True
        m = following[m]
    return False


@njit(cache=True)
def _share_sensor(same, a, b, following, sensor_seen, stamp):  # type: ignore[no-untyped-def]
    m = a
    while m >= 0:
        if same.sensor[m] >= 0:
            sensor_seen[same.sensor[m]] = stamp
        m = following[m]
    m = b
    while m >= 0:
        if same.sensor[m] >= 0 and sensor_seen[same.sensor[m]] == stamp:
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
def _merge(s, c, same, codes, left, right, threshold, log_repeat):  # type: ignore[no-untyped-def]
    n = len(s.at_s)
    parent, following, last = np.arange(n), np.full(n, -1, np.int64), np.arange(n)
    version, seen = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    place_seen, moment_seen = np.full(codes[0], -1, np.int64), np.full(codes[1], -1, np.int64)
    account_seen, account_place = np.full(codes[2], -1, np.int64), np.empty(codes[2], np.int64)
    sensor_seen = np.full(codes[3], -1, np.int64)
    first, other = _neighbours(n, left, right)
    stamp = np.int64(0)
    heap = [(0.0, np.int64(0), np.int64(0), np.int64(0), np.int64(0)) for _ in range(0)]
    for k in range(len(left)):
        i, j = min(left[k], right[k]), max(left[k], right[k])
        stamp += 1
        if not _contradict(same, i, j, following, account_seen, account_place, stamp):
            value = log_ratio(s, i, j)
            if _share_sensor(same, i, j, following, sensor_seen, stamp):
                value += log_repeat
            if value > threshold:
                heap.append((-value, i, j, np.int64(0), np.int64(0)))
    heapify(heap)
    while len(heap):
        _, i, j, version_i, version_j = heappop(heap)
        if parent[i] != i or parent[j] != j or version[i] != version_i or version[j] != version_j:
            continue
        parent[j] = i
        following[last[i]] = j
        last[i] = last[j]
        version[i] += 1
        stamp += 1
        _restate(s, c, same, i, following, place_seen, moment_seen, stamp)
        begun = stamp
        m = i
        while m >= 0:
            for k in range(first[m], first[m + 1]):
                r = find(parent, other[k])
                if r == i or seen[r] >= begun:
                    continue
                stamp += 1
                seen[r] = stamp
                if _contradict(same, i, r, following, account_seen, account_place, stamp):
                    continue
                value = log_ratio(c, i, r)
                if _share_sensor(same, i, r, following, sensor_seen, stamp):
                    value += log_repeat
                if value > threshold:
                    a, b = min(i, r), max(i, r)
                    heappush(heap, (-value, a, b, version[a], version[b]))
            m = following[m]
    root = np.empty(n, np.int64)
    for i in range(n):
        root[i] = find(parent, i)
    return root


def merged(
    statements: Statements, same: Sameness, left: Ints, right: Ints, log_repeat: float, threshold: float = 0.0
) -> tuple[Ints, Statements]:
    """Occurrences out of linked statements: the clusters that no merger would explain better.

    The pair of clusters with the greatest log ratio merges first, ties by the rows' order, until none is above
    `threshold`. A cluster's ratio is that of its joint statement: position and instant weighted by
    information, each distinct `place` and `moment` counted once; intervals intersected; kinds and rates
    averaged. Clusters that hold one `account` at two places never merge.

    Parameters
    ----------
    statements
        n statements; the result's ties depend on their order, so put them into one that the data define.
    same
        What they share.
    left, right
        Pairs of rows that may be one (`cluster.links`); only clusters with such a pair are compared.
    log_repeat
        Log of how much rarer it is that one `sensor` records an occurrence twice than that two do.

    Returns
    -------
    (n,) int64
        The least row of each row's cluster.
    Statements
        At each such least row the joint statement; other rows as given.
    """
    joint = Statements(*(array.copy() for array in statements))
    codes = np.array([int(c.max(initial=-1)) + 1 for c in same], np.int64)
    root = _merge(statements, joint, same, codes, left, right, threshold, log_repeat)
    return root, joint
