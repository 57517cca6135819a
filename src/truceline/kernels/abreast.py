"""Objects side by side: the arithmetic of `motion` for several at once, which a processor does eight at a time.

They lie in a block of `ROWS` rows of `LANES` numbers: what is one number of an object is one row here. A compiler makes
such loops wide by itself where it sees that rows never overlap: so the block is flat, and its measures are constants.
Without anything reordered: what comes out is what `motion` gives for each, to the last bit.
"""

import numpy as np
from numba import njit

from truceline.kernels import motion as mo

#: As many as two of the widest registers hold; a block then fits the nearest cache.
LANES = 16
# rows: moments of one model and of the other (14 each), or of both together before and after a step; chance of
# manoeuvring, numbers of the step (12), position seen and its covariance (5)
_ONE, _OTHER, _CHANCE, _STEP, _SEEN = 0, 14, 28, 29, 41
# of both models together (14), and what is between the parts of a cycle
_BOTH, _SQUARED_A, _VOLUME_A, _SQUARED_B, _VOLUME_B, _STEADY, _MOVING, _LESS, _TOTAL, _LEAST = 46, *range(60, 69)
# of a look: sigmas of the gate, how far the object can have got, how far to look
_SIGMAS, _FASTEST, _REACH = 60, 61, 62
ROWS = 69


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def _moments(w, row, lane):  # type: ignore[no-untyped-def]
    at, n = row * LANES + lane, LANES
    return (
        w[at], w[at + n], w[at + 2 * n], w[at + 3 * n], w[at + 4 * n], w[at + 5 * n], w[at + 6 * n],
        w[at + 7 * n], w[at + 8 * n], w[at + 9 * n], w[at + 10 * n], w[at + 11 * n], w[at + 12 * n], w[at + 13 * n],
    )  # fmt: skip


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def _keep(w, row, lane, moments):  # type: ignore[no-untyped-def]
    at, n = row * LANES + lane, LANES
    (
        w[at], w[at + n], w[at + 2 * n], w[at + 3 * n], w[at + 4 * n], w[at + 5 * n], w[at + 6 * n],
        w[at + 7 * n], w[at + 8 * n], w[at + 9 * n], w[at + 10 * n], w[at + 11 * n], w[at + 12 * n], w[at + 13 * n],
    ) = moments  # fmt: skip


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def _step(w, lane):  # type: ignore[no-untyped-def]
    at, n = _STEP * LANES + lane, LANES
    return (
        w[at], w[at + n], w[at + 2 * n], w[at + 3 * n], w[at + 4 * n], w[at + 5 * n],
        w[at + 6 * n], w[at + 7 * n], w[at + 8 * n], w[at + 9 * n], w[at + 10 * n], w[at + 11 * n],
    )  # fmt: skip


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def line_up(w, lane, states, slot, c, sigmas, fastest):  # type: ignore[no-untyped-def]
    """Put an object into a lane for `look`: its gate in sigmas, and how far it can have got in the step of `c`."""
    for x in range(14):
        w[x * LANES + lane] = states[slot, mo.BOTH + x]
    w[_CHANCE * LANES + lane] = states[slot, mo.P_MANOEUVRE]
    for x in range(12):
        w[(_STEP + x) * LANES + lane] = c[2 + x]
    w[_SIGMAS * LANES + lane], w[_FASTEST * LANES + lane] = sigmas, fastest


@njit(cache=True, error_model="numpy", _nrt=False)
def look(w, lanes, widest):  # type: ignore[no-untyped-def]
    """Where the objects of so many lanes are expected, and how far from there to look for detections.

    `widest`: of no detection the variance is larger in any direction.
    """
    for lane in range(lanes):
        before = _moments(w, _ONE, lane)
        error = before[4] + before[6] + widest
        p = mo.later(w[_CHANCE * LANES + lane], before, _step(w, lane))
        _keep(w, _ONE, lane, p)
        half = (p[4] - p[6]) / 2
        spread = (p[4] + p[6]) / 2 + np.sqrt(half * half + p[5] * p[5]) + widest
        sigmas = w[_SIGMAS * LANES + lane]
        fast = w[_FASTEST * LANES + lane] + sigmas * np.sqrt(error)
        w[_REACH * LANES + lane] = min(sigmas * np.sqrt(spread), fast)


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def reach_of(w, lane):  # type: ignore[no-untyped-def]
    """How far to look for the detection of a lane's object."""
    return w[_REACH * LANES + lane]


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def place_of(w, lane):  # type: ignore[no-untyped-def]
    """East and north of where it is expected."""
    return w[lane], w[LANES + lane]


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def expected_of(w, lane, p):  # type: ignore[no-untyped-def]
    """Fill `p` (14,) with where it is expected, as `motion.expected` does."""
    for x in range(14):
        p[x] = w[x * LANES + lane]


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def enter(w, lane, states, slot, first, c, e, n, r_ee, r_en, r_nn):  # type: ignore[no-untyped-def]
    """Put an object into a lane for `follow`, with the position that was seen of it: arguments of `motion.follow`."""
    one, other = (mo.BOTH, mo.BOTH) if first else (mo.STEADY, mo.MANOEUVRING)
    for x in range(14):
        w[(_ONE + x) * LANES + lane], w[(_OTHER + x) * LANES + lane] = states[slot, one + x], states[slot, other + x]
    w[_CHANCE * LANES + lane] = states[slot, mo.P_MANOEUVRE]
    for x in range(12):
        w[(_STEP + x) * LANES + lane] = c[2 + x]
    at = _SEEN * LANES + lane
    w[at], w[at + LANES], w[at + 2 * LANES], w[at + 3 * LANES], w[at + 4 * LANES] = e, n, r_ee, r_en, r_nn


@njit(cache=True, error_model="numpy", _nrt=False)
def follow(w, lanes):  # type: ignore[no-untyped-def]
    """One cycle of `motion.follow` for the objects of so many lanes, seen at a position."""
    n = LANES
    for lane in range(lanes):
        at = _SEEN * LANES + lane
        one, other, squared_a, volume_a, squared_b, volume_b, steady, moving = mo.cycle(
            w[_CHANCE * LANES + lane], _moments(w, _ONE, lane), _moments(w, _OTHER, lane), _step(w, lane),
            w[at], w[at + n], w[at + 2 * n], w[at + 3 * n], w[at + 4 * n],
        )  # fmt: skip
        _keep(w, _ONE, lane, one)
        _keep(w, _OTHER, lane, other)
        w[_SQUARED_A * LANES + lane], w[_VOLUME_A * LANES + lane] = squared_a, volume_a
        w[_SQUARED_B * LANES + lane], w[_VOLUME_B * LANES + lane] = squared_b, volume_b
        w[_STEADY * LANES + lane], w[_MOVING * LANES + lane] = steady, moving
    for lane in range(lanes):  # by itself: it cannot be made wide
        w[_LESS * LANES + lane] = np.exp(-0.5 * abs(w[_SQUARED_A * LANES + lane] - w[_SQUARED_B * LANES + lane]))
    for lane in range(lanes):
        m, both, total, least = mo.weighed(
            _moments(w, _ONE, lane), _moments(w, _OTHER, lane),
            w[_SQUARED_A * LANES + lane], w[_VOLUME_A * LANES + lane],
            w[_SQUARED_B * LANES + lane], w[_VOLUME_B * LANES + lane],
            w[_STEADY * LANES + lane], w[_MOVING * LANES + lane], w[_LESS * LANES + lane],
        )  # fmt: skip
        w[_CHANCE * LANES + lane] = m
        _keep(w, _BOTH, lane, both)
        w[_TOTAL * LANES + lane], w[_LEAST * LANES + lane] = total, least


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def leave(w, lane, states, slot):  # type: ignore[no-untyped-def]
    """Write a lane's object back after `follow`; the log of the density of what was seen."""
    states[slot, mo.P_MANOEUVRE] = w[_CHANCE * LANES + lane]
    for x in range(14):
        states[slot, mo.BOTH + x] = w[(_BOTH + x) * LANES + lane]
        states[slot, mo.STEADY + x] = w[(_ONE + x) * LANES + lane]
        states[slot, mo.MANOEUVRING + x] = w[(_OTHER + x) * LANES + lane]
    return np.log(w[_TOTAL * LANES + lane]) - 0.5 * w[_LEAST * LANES + lane] - mo.LOG_2_PI
