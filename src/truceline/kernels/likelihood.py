"""Do two statements speak of one occurrence? The logarithm of p(data | one) / p(data | two).

A statement says where (an ellipse), when (an instant with an error, an interval, or both) and what (a
likelihood for each kind). If it is one occurrence, the difference of the positions has the sum of the
covariances and the times share one instant; if it is another one, that other one could be anywhere, at the
density `log_rate` of such occurrences, a square kilometre and hour.
"""

from math import erf, inf, log, pi, sqrt
from typing import NamedTuple

import numpy as np
from numba import njit

from truceline.kernels.grid import Floats, Ints

#: Instants with an error are near only within this many of it: a part in 16,000 lies beyond.
_SIGMAS = 4.0


class Statements(NamedTuple):
    """(n,) arrays that travel together; `kinds` and `expected` are (n, kinds)."""

    east_m: Floats
    north_m: Floats
    var_e: Floats  # covariance of the position, m2
    cov_en: Floats
    var_n: Floats
    at_s: Floats  # the instant stated; anything where var_s is infinite
    var_s: Floats  # its variance, s2; infinite when only an interval is stated
    begins_s: Floats  # the interval stated; -inf, inf when only an instant is
    ends_s: Floats
    kinds: Floats  # probability of each kind
    expected: Floats  # kinds @ agreement: how likely another statement of the same would name each kind
    log_rate: Floats  # log of the density of such occurrences, per km2 and hour
    group: Ints  # statements of different groups are never the same


def in_order(statements: Statements, order: "np.typing.NDArray[np.int32]") -> Statements:
    """The statements at the given rows."""
    return Statements._make(array[order] for array in statements)


@njit(cache=True)
def window(s):  # type: ignore[no-untyped-def]
    """Begin and length of the time in which each statement can meet another."""
    begins, length = np.empty(len(s.at_s)), np.empty(len(s.at_s))
    for i in range(len(begins)):
        begins[i], end = s.begins_s[i], s.ends_s[i]
        if s.var_s[i] < inf:
            begins[i] = max(begins[i], s.at_s[i] - _SIGMAS * sqrt(s.var_s[i]))
            end = min(end, s.at_s[i] + _SIGMAS * sqrt(s.var_s[i]))
        length[i] = end - begins[i]
    return begins, length


@njit(cache=True)
def squared_distance(s, i, j):  # type: ignore[no-untyped-def]
    """Squared distance in units of the joint ellipse; NaN when that has no area."""
    see, sen, snn = s.var_e[i] + s.var_e[j], s.cov_en[i] + s.cov_en[j], s.var_n[i] + s.var_n[j]
    determinant = see * snn - sen * sen
    if not determinant > 0.0:
        return np.nan
    e, n = s.east_m[i] - s.east_m[j], s.north_m[i] - s.north_m[j]
    return (snn * e * e - 2.0 * sen * e * n + see * n * n) / determinant


@njit(cache=True)
def _within(at, var, begins, ends):  # type: ignore[no-untyped-def]
    """How much of a stated time lies in an interval: a probability, or for a bare interval its length."""
    if var == inf:
        return ends - begins
    scale = 1.0 / sqrt(2.0 * var)
    return 0.5 * (erf((ends - at) * scale) - erf((begins - at) * scale))


@njit(cache=True)
def log_time(s, i, j):  # type: ignore[no-untyped-def]
    """Log of p(both times | one instant) / product of p(each time), per second; -inf if they cannot meet."""
    begins, ends = max(s.begins_s[i], s.begins_s[j]), min(s.ends_s[i], s.ends_s[j])
    if not ends > begins:
        return -inf
    at, var, both = s.at_s[i], s.var_s[i], 0.0
    if s.var_s[j] < inf:
        if var < inf:
            total = var + s.var_s[j]
            apart = at - s.at_s[j]
            both = -0.5 * (apart * apart / total + log(2.0 * pi * total))
            at = (at * s.var_s[j] + s.at_s[j] * var) / total
            var = var * s.var_s[j] / total
        else:
            at, var = s.at_s[j], s.var_s[j]
    together = _within(at, var, begins, ends)
    apart_i = _within(s.at_s[i], s.var_s[i], s.begins_s[i], s.ends_s[i])
    apart_j = _within(s.at_s[j], s.var_s[j], s.begins_s[j], s.ends_s[j])
    if not (together > 0.0 and apart_i > 0.0 and apart_j > 0.0):
        return -inf
    return both + log(together) - log(apart_i) - log(apart_j)


@njit(cache=True)
def log_ratio(s, i, j):  # type: ignore[no-untyped-def]
    """Log of p(statements i and j | one occurrence) / p(the same | two of them).

    Positions, times and kinds count as independent given the occurrence. -inf for different groups, for times
    that cannot meet and kinds that exclude each other; NaN never. Of two rates the greater counts: what they
    share may be of either's kind.
    """
    if s.group[i] != s.group[j]:
        return -inf
    squared = squared_distance(s, i, j)
    if not squared < inf:
        return -inf
    see, sen, snn = s.var_e[i] + s.var_e[j], s.cov_en[i] + s.cov_en[j], s.var_n[i] + s.var_n[j]
    alike = 0.0
    for k in range(s.kinds.shape[1]):
        alike += s.kinds[i, k] * s.expected[j, k]
    if not alike > 0.0:
        return -inf
    space = -0.5 * squared - log(2.0 * pi) - 0.5 * log(see * snn - sen * sen) + log(1e6)  # per km2
    time = log_time(s, i, j) + log(3600.0)  # per hour
    return space + time + log(alike) - max(s.log_rate[i], s.log_rate[j])
