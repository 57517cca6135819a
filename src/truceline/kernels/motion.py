"""How an object moves: two models in parallel (IMM), steady and manoeuvring, and its altitude beside them.

Each model is a velocity that forgets itself at a rate `decay` (per second; 0 is constant velocity) and is driven
by white accelerations of density `q` (m2/s3): an integrated Ornstein-Uhlenbeck process. Its speed has the standard
deviation sqrt(q / (2 decay)) per axis in the long run, so that an hour without a fix spreads a ship over where ships
get in an hour, and not over the sea. Between the models an object changes as a Markov chain in continuous time.

A state is a row of `STATE` numbers. A covariance of (east, north, speed east, speed north) is written as ten:
    ee, en, nn,  e·ve, e·vn, n·ve, n·vn,  ve·ve, ve·vn, vn·vn
"""

import numpy as np
from numba import njit

# columns of a state, by lines of the processor's caches: what a look reads comes first, and what a beginning writes
AT, P_MANOEUVRE = 0, 1
BOTH = 2  # 14: mean and covariance of both models together
MISSED, SCORE = 16, 17  # log chance of the looks it missed; log odds of an object against chance
ALT = 18  # altitude, climb, their variances and covariance (3), time of it; NaN: unknown
IDENTIFIED, BESIDE_SINCE = 24, 25  # times
STEADY = 28  # 14
MANOEUVRING = 42  # 14
STATE = 56
LOG_2_PI = float(np.log(2.0 * np.pi))

# columns of a class's parameters
Q, DECAY, Q_MANOEUVRE, DECAY_MANOEUVRE, BEGINS, ENDS = 0, 1, 2, 3, 4, 5
SPEED_SIGMA, SPEED_MOST, SILENCE, SILENCE_TENTATIVE, HITS = 6, 7, 8, 9, 10
CLIMB_Q, CLIMB_SIGMA, SILENCE_NAMED, GATE_SIGMAS = 11, 12, 13, 14
PARAMETERS = 15

# columns of coefficients over a time step: time step and class they hold for, then per model: decay of the velocity,
# gain of the position, the noise added to position, both, velocity; then the chance to begin, and to end, manoeuvring
COEFFICIENTS = 14
#: Rows of steps kept, a power of two.
STEPS = 16


@njit(cache=True, error_model="numpy", _nrt=False)
def _noise(dt, q, decay, out, at):  # type: ignore[no-untyped-def]
    x, step = decay * dt, abs(dt)
    if abs(x) < 0.02:  # the closed form cancels; the series is good to 1e-6
        out[at] = 1.0 - x + x * x / 2
        out[at + 1] = dt * (1.0 - x / 2 + x * x / 6)
        x = abs(x)
        out[at + 2] = q * step**3 * (1.0 / 3 - x / 4 + 7 * x * x / 60)
        out[at + 3] = q * dt * step * (0.5 - x / 2 + 7 * x * x / 24)
        out[at + 4] = q * step * (1.0 - x + 2 * x * x / 3)
        return
    f = np.exp(-x)
    out[at] = f
    out[at + 1] = (1.0 - f) / decay
    out[at + 2] = q / (decay * decay) * (dt - 2.0 * (1.0 - f) / decay + (1.0 - f * f) / (2.0 * decay))
    out[at + 3] = q * (1.0 - f) ** 2 / (2.0 * decay * decay)
    out[at + 4] = q * (1.0 - f * f) / (2.0 * decay)


@njit(cache=True, error_model="numpy", _nrt=False)
def _step_over(dt, kind, parameters, out):  # type: ignore[no-untyped-def]
    """Fill `out` (COEFFICIENTS,) for a time step and a class."""
    out[0], out[1] = dt, kind
    _noise(dt, parameters[kind, Q], parameters[kind, DECAY], out, 2)
    _noise(dt, parameters[kind, Q_MANOEUVRE], parameters[kind, DECAY_MANOEUVRE], out, 7)
    begins, ends = parameters[kind, BEGINS], parameters[kind, ENDS]
    changed = (1.0 - np.exp(-(begins + ends) * abs(dt))) / (begins + ends)
    out[12], out[13] = begins * changed, ends * changed


@njit(cache=True, error_model="numpy", inline="always")
def coefficients(dt, kind, parameters, steps):  # type: ignore[no-untyped-def]
    """The coefficients for a time step of `dt` seconds and class `kind`: a row of `steps`, filled unless it is there.

    Steps may be negative by up to a slice (a fix of another sensor, a moment earlier): noise still grows.
    `steps` (STEPS, COEFFICIENTS), at first NaN: tracks of a scan were seen one, two or three scans ago, by turns.
    """
    c = steps[(np.int64(abs(dt)) + 5 * kind) & (STEPS - 1)]
    if c[0] != dt or c[1] != kind:
        _step_over(dt, kind, parameters, c)
    return c


# What follows takes and gives moments as fourteen numbers, not as places in an array: a compiler that need not fear
# that two places are one keeps them in registers. It is written into whatever calls it, for one object (here) or for
# several side by side (`abreast`): one arithmetic, the same to the last bit.


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def moments_at(s, i, b):  # type: ignore[no-untyped-def]
    """The mean and covariance at s[i, b:b+14]."""
    return (
        s[i, b], s[i, b + 1], s[i, b + 2], s[i, b + 3], s[i, b + 4], s[i, b + 5], s[i, b + 6],
        s[i, b + 7], s[i, b + 8], s[i, b + 9], s[i, b + 10], s[i, b + 11], s[i, b + 12], s[i, b + 13],
    )  # fmt: skip


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def keep(s, i, b, moments):  # type: ignore[no-untyped-def]
    """Write them there."""
    (
        s[i, b], s[i, b + 1], s[i, b + 2], s[i, b + 3], s[i, b + 4], s[i, b + 5], s[i, b + 6],
        s[i, b + 7], s[i, b + 8], s[i, b + 9], s[i, b + 10], s[i, b + 11], s[i, b + 12], s[i, b + 13],
    ) = moments  # fmt: skip


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def _predicted(moments, f, g, qp, qc, qv):  # type: ignore[no-untyped-def]
    """One model's moments a step later."""
    e, n, ve, vn, ee, en, nn, eve, evn, nve, nvn, vee, ven, vnn = moments
    return (
        e + g * ve,
        n + g * vn,
        f * ve,
        f * vn,
        ee + g * (2.0 * eve + g * vee) + qp,
        en + g * (evn + nve + g * ven),
        nn + g * (2.0 * nvn + g * vnn) + qp,
        f * (eve + g * vee) + qc,
        f * (evn + g * ven),
        f * (nve + g * ven),
        f * (nvn + g * vnn) + qc,
        f * f * vee + qv,
        f * f * ven,
        f * f * vnn + qv,
    )


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def _updated(moments, e, n, r_ee, r_en, r_nn):  # type: ignore[no-untyped-def]
    """One model's moments after a position; how far it was in squared sigmas, and the determinant of S."""
    me, mn, mve, mvn, p_ee, p_en, p_nn, a_ee, a_en, a_ne, a_nn, vee, ven, vnn = moments
    s_ee, s_en, s_nn = p_ee + r_ee, p_en + r_en, p_nn + r_nn
    determinant = s_ee * s_nn - s_en * s_en
    inverse = 1.0 / determinant
    i_ee, i_en, i_nn = s_nn * inverse, -s_en * inverse, s_ee * inverse
    de, dn = e - me, n - mn
    # S^-1 r, and gain rows K = P[:, :2] S^-1
    w_e, w_n = i_ee * de + i_en * dn, i_en * de + i_nn * dn
    k0e, k0n = p_ee * i_ee + p_en * i_en, p_ee * i_en + p_en * i_nn
    k1e, k1n = p_en * i_ee + p_nn * i_en, p_en * i_en + p_nn * i_nn
    k2e, k2n = a_ee * i_ee + a_ne * i_en, a_ee * i_en + a_ne * i_nn
    k3e, k3n = a_en * i_ee + a_nn * i_en, a_en * i_en + a_nn * i_nn
    # P - K P[:2]; for the position block K R, which stays positive however sharp the fix
    after = (
        me + p_ee * w_e + p_en * w_n,
        mn + p_en * w_e + p_nn * w_n,
        mve + a_ee * w_e + a_ne * w_n,
        mvn + a_en * w_e + a_nn * w_n,
        k0e * r_ee + k0n * r_en,
        k0e * r_en + k0n * r_nn,
        k1e * r_en + k1n * r_nn,
        a_ee - (k0e * a_ee + k0n * a_ne),
        a_en - (k0e * a_en + k0n * a_nn),
        a_ne - (k1e * a_ee + k1n * a_ne),
        a_nn - (k1e * a_en + k1n * a_nn),
        vee - (k2e * a_ee + k2n * a_ne),
        ven - (k2e * a_en + k2n * a_nn),
        vnn - (k3e * a_en + k3n * a_nn),
    )
    return after, w_e * de + w_n * dn, determinant


@njit(cache=True, error_model="numpy", _nrt=False)
def _updated_by_speed(moments, ve, vn, variance):  # type: ignore[no-untyped-def]
    """One model's moments after a velocity of equal error on both axes; as `_updated`."""
    me, mn, mve, mvn, p_ee, p_en, p_nn, a_ee, a_en, a_ne, a_nn, v_ee, v_en, v_nn = moments
    s_ee, s_en, s_nn = v_ee + variance, v_en, v_nn + variance
    determinant = s_ee * s_nn - s_en * s_en
    inverse = 1.0 / determinant
    i_ee, i_en, i_nn = s_nn * inverse, -s_en * inverse, s_ee * inverse
    de, dn = ve - mve, vn - mvn
    w_e, w_n = i_ee * de + i_en * dn, i_en * de + i_nn * dn
    k0e, k0n = a_ee * i_ee + a_en * i_en, a_ee * i_en + a_en * i_nn
    k1e, k1n = a_ne * i_ee + a_nn * i_en, a_ne * i_en + a_nn * i_nn
    k2e, k2n = v_ee * i_ee + v_en * i_en, v_ee * i_en + v_en * i_nn
    k3n = v_en * i_en + v_nn * i_nn
    after = (
        me + a_ee * w_e + a_en * w_n,
        mn + a_ne * w_e + a_nn * w_n,
        mve + v_ee * w_e + v_en * w_n,
        mvn + v_en * w_e + v_nn * w_n,
        p_ee - (k0e * a_ee + k0n * a_en),
        p_en - (k0e * a_ne + k0n * a_nn),
        p_nn - (k1e * a_ne + k1n * a_nn),
        # what is left of the rest of a row is its part of R
        k0e * variance,
        k0n * variance,
        k1e * variance,
        k1n * variance,
        k2e * variance,
        k2n * variance,
        k3n * variance,
    )
    return after, w_e * de + w_n * dn, determinant


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def _blended(a, b, weight):  # type: ignore[no-untyped-def]
    """The moments of a mixture of two, `weight` of the second."""
    a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13 = a
    b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13 = b
    d0, d1, d2, d3 = b0 - a0, b1 - a1, b2 - a2, b3 - a3
    w = (1.0 - weight) * weight
    f0, f1, f2, f3 = w * d0, w * d1, w * d2, w * d3
    return (
        a0 + weight * d0,
        a1 + weight * d1,
        a2 + weight * d2,
        a3 + weight * d3,
        a4 + weight * (b4 - a4) + f0 * d0,
        a5 + weight * (b5 - a5) + f0 * d1,
        a6 + weight * (b6 - a6) + f1 * d1,
        a7 + weight * (b7 - a7) + f0 * d2,
        a8 + weight * (b8 - a8) + f0 * d3,
        a9 + weight * (b9 - a9) + f1 * d2,
        a10 + weight * (b10 - a10) + f1 * d3,
        a11 + weight * (b11 - a11) + f2 * d2,
        a12 + weight * (b12 - a12) + f2 * d3,
        a13 + weight * (b13 - a13) + f3 * d3,
    )


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def step_of(c):  # type: ignore[no-untyped-def]
    """The numbers of a step, out of its coefficients."""
    return c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9], c[10], c[11], c[12], c[13]


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def later(m, moments, step):  # type: ignore[no-untyped-def]
    """Where an object is after a step, both models together; `m`: the chance that it manoeuvres."""
    f_a, g_a, qp_a, qc_a, qv_a, f_b, g_b, qp_b, qc_b, qv_b, begins, ends = step
    m = m + ((1.0 - m) * begins - m * ends)
    f, g = f_a + m * (f_b - f_a), g_a + m * (g_b - g_a)
    qp, qc, qv = qp_a + m * (qp_b - qp_a), qc_a + m * (qc_b - qc_a), qv_a + m * (qv_b - qv_a)
    return _predicted(moments, f, g, qp, qc, qv)


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def expected(states, i, c, out):  # type: ignore[no-untyped-def]
    """Where an object is after the step of `c`: position, velocity, their covariance, both models together.

    `out` (14,) as at `BOTH`. Of the gate and of pictures; the update mixes the models first.
    """
    (
        out[0], out[1], out[2], out[3], out[4], out[5], out[6],
        out[7], out[8], out[9], out[10], out[11], out[12], out[13],
    ) = later(states[i, P_MANOEUVRE], moments_at(states, i, BOTH), step_of(c))  # fmt: skip


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def cycle(m, was_steady, was_moving, step, e, n, r_ee, r_en, r_nn):  # type: ignore[no-untyped-def]
    """Mix, predict, update by a position: both models' moments, their squared sigmas and determinants, their chances
    before the position was seen."""
    f_a, g_a, qp_a, qc_a, qv_a, f_b, g_b, qp_b, qc_b, qv_b, begins, ends = step
    steady = (1.0 - m) * (1.0 - begins) + m * ends
    moving = 1.0 - steady
    one = _predicted(_blended(was_steady, was_moving, m * ends / steady), f_a, g_a, qp_a, qc_a, qv_a)
    other = _predicted(_blended(was_moving, was_steady, (1.0 - m) * begins / moving), f_b, g_b, qp_b, qc_b, qv_b)
    one, squared_a, volume_a = _updated(one, e, n, r_ee, r_en, r_nn)
    other, squared_b, volume_b = _updated(other, e, n, r_ee, r_en, r_nn)
    return one, other, squared_a, volume_a, squared_b, volume_b, steady, moving


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def weighed(one, other, squared_a, volume_a, squared_b, volume_b, steady, moving, less):  # type: ignore[no-untyped-def]
    """The chance that it manoeuvres, both models together, and what the log of the density is made of.

    `less`: by how much the model farther off is less likely for that, exp(-|difference of squared sigmas| / 2).
    """
    a = steady * (1.0 if squared_a <= squared_b else less) / np.sqrt(volume_a)
    b = moving * (less if squared_a <= squared_b else 1.0) / np.sqrt(volume_b)
    m = b / (a + b)
    return m, _blended(one, other, m), a + b, min(squared_a, squared_b)


@njit(cache=True, error_model="numpy", _nrt=False)
def follow(states, i, first, c, e, n, r_ee, r_en, r_nn, ve, vn, speed_variance):  # type: ignore[no-untyped-def]
    """One cycle of the IMM over the step of `c`: mix, predict, update, weigh. In place.

    Parameters
    ----------
    states : (slots, STATE) float64
        The object's is row `i`; its time and altitude are left alone.
    first : bool
        The object has had one fix: both models begin from what `BOTH` says, so there is nothing to mix.
    c : (COEFFICIENTS,) float64
    e, n : float
        Position seen, metres; with covariance `r_ee, r_en, r_nn`.
    ve, vn, speed_variance : float
        Velocity seen; NaN: none.

    Returns
    -------
    float
        Log of the density of what was seen, given the object; of position alone: per m2.

    References
    ----------
    Blom & Bar-Shalom (1988), The interacting multiple model algorithm for systems with Markovian coefficients.
    """
    both = moments_at(states, i, BOTH)
    was_steady, was_moving = both, both
    if not first:
        was_steady, was_moving = moments_at(states, i, STEADY), moments_at(states, i, MANOEUVRING)
    one, other, squared_a, volume_a, squared_b, volume_b, steady, moving = cycle(
        states[i, P_MANOEUVRE], was_steady, was_moving, step_of(c), e, n, r_ee, r_en, r_nn
    )
    dimensions = 1.0
    if speed_variance > 0.0:  # False for NaN
        one, squared, volume = _updated_by_speed(one, ve, vn, speed_variance)
        squared_a, volume_a = squared_a + squared, volume_a * volume
        other, squared, volume = _updated_by_speed(other, ve, vn, speed_variance)
        squared_b, volume_b = squared_b + squared, volume_b * volume
        dimensions = 2.0
    less = np.exp(-0.5 * abs(squared_a - squared_b))
    m, both, total, least = weighed(one, other, squared_a, volume_a, squared_b, volume_b, steady, moving, less)
    states[i, P_MANOEUVRE] = m
    keep(states, i, BOTH, both)
    keep(states, i, STEADY, one)
    keep(states, i, MANOEUVRING, other)
    return np.log(total) - 0.5 * least - dimensions * LOG_2_PI


@njit(cache=True, error_model="numpy", _nrt=False)
def begin(states, i, at, e, n, r_ee, r_en, r_nn, ve, vn, speed_variance, speed_sigma):  # type: ignore[no-untyped-def]
    """The state after the first fix: there, with the velocity seen, or any up to the class's speeds."""
    states[i, AT], states[i, P_MANOEUVRE] = at, 0.5
    states[i, BOTH], states[i, BOTH + 1] = e, n
    states[i, BOTH + 4], states[i, BOTH + 5], states[i, BOTH + 6] = r_ee, r_en, r_nn
    for k in range(7, 11):
        states[i, BOTH + k] = 0.0
    known = speed_variance > 0.0
    variance = speed_variance if known else speed_sigma * speed_sigma
    states[i, BOTH + 2], states[i, BOTH + 3] = (ve, vn) if known else (0.0, 0.0)
    states[i, BOTH + 11], states[i, BOTH + 12], states[i, BOTH + 13] = variance, 0.0, variance
    states[i, ALT] = np.nan
    states[i, SCORE], states[i, IDENTIFIED], states[i, BESIDE_SINCE], states[i, MISSED] = 0.0, -np.inf, np.nan, 0.0


@njit(cache=True, error_model="numpy", _nrt=False)
def again(states, i, at, e, n, r_ee, r_en, r_nn, ve, vn, speed_variance, speed_sigma):  # type: ignore[no-untyped-def]
    """The state of an object that turned up where nobody expected it: its motion begins anew."""
    alt, identified, beside = states[i, ALT], states[i, IDENTIFIED], states[i, BESIDE_SINCE]
    score = states[i, SCORE]
    begin(states, i, at, e, n, r_ee, r_en, r_nn, ve, vn, speed_variance, speed_sigma)
    states[i, ALT], states[i, IDENTIFIED], states[i, BESIDE_SINCE] = alt, identified, beside
    states[i, SCORE] = score
    for k in range(14):
        states[i, STEADY + k] = states[i, MANOEUVRING + k] = states[i, BOTH + k]


@njit(cache=True, error_model="numpy", _nrt=False)
def altitude(states, i, at, alt, variance, climb_q, climb_sigma):  # type: ignore[no-untyped-def]
    """Take an altitude into account, in place: constant climb with white accelerations."""
    a = ALT
    if np.isnan(states[i, a]):
        states[i, a], states[i, a + 1], states[i, a + 2], states[i, a + 3], states[i, a + 4] = (
            alt,
            0.0,
            variance,
            0.0,
            climb_sigma * climb_sigma,
        )
        states[i, a + 5] = at
        return
    dt = at - states[i, a + 5]
    step = abs(dt)
    states[i, a] += dt * states[i, a + 1]
    states[i, a + 2] += dt * (2.0 * states[i, a + 3] + dt * states[i, a + 4]) + climb_q * step**3 / 3
    states[i, a + 3] += dt * states[i, a + 4] + climb_q * dt * step / 2
    # a climb is bounded: what is not seen forgets it
    states[i, a + 4] = min(states[i, a + 4] + climb_q * step, climb_sigma * climb_sigma)
    whole = states[i, a + 2] + variance
    k, kc, r = states[i, a + 2] / whole, states[i, a + 3] / whole, alt - states[i, a]
    states[i, a] += k * r
    states[i, a + 1] += kc * r
    states[i, a + 4] -= kc * states[i, a + 3]
    states[i, a + 3] *= 1.0 - k
    states[i, a + 2] *= 1.0 - k
    states[i, a + 5] = at
