"""From detections in order of time to tracks: one pass, groups at a time, the live tracks changed in place.

A *group* is what one sensor saw in one slice of time: in it an object is detected once at most, unless it says who
it is. In each group
1. detections that name an identity go to the track that carries it, if the object can have got there;
2. the others are paired with confirmed tracks at the least total distance, the rest with tentative ones;
3. what is left begins tentative tracks.
Everything depends on the rows and their order alone, never on how they are cut into calls.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from truceline.kernels import gate as g
from truceline.kernels import motion as mo
from truceline.kernels.prefetch import AHEAD, prefetch

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# columns of a live track's keys
# (a line of the processor's caches each: what a look at a track reads, and the rest, with room)
SERIAL, KIND, HITS, STATUS, SCHEME, IDENTITY, PARENT, GROUP, ID_0, ID_1, GROUP_BEFORE, SENSORS, BESIDE = range(13)
TRACK_KEYS = 16
TENTATIVE, CONFIRMED = 0, 1
# counts: live tracks, slots used (with holes), next serial, groups so far, identities kept, events written
LIVE, USED, NEXT_SERIAL, GROUPS, NAMED, EVENTS = range(6)
# clock: next sweep, next look for tracks beside each other, width of a cell, density of what is no track's
NEXT_SWEEP, NEXT_BESIDE, CELL, CLUTTER = range(4)
# settings
SLICE_S, SWEEP_S, BESIDE_EVERY_S, BESIDE_FOR_S, GONE_LOG, GONE_TENTATIVE_LOG, GONE_FIRST_LOG, BEGIN_LOG = range(8)
SETTINGS = 8
# columns of a sensor's parameters: time between looks, log of the probability to miss, centre, range
REVISIT_S, MISSED_LOG, CENTRE_E, CENTRE_N, RANGE = range(5)
# events
CONFIRM, END, MERGE, SPLIT, ELSEWHERE, SHARED = range(6)
# columns of a point: position, its covariance, velocity, altitude, manoeuvring, log density, squared distance
POINT = 11

#: A fix that names its object is taken within this many squared sigmas, or when the class is fast enough to have got
#: there; then the state begins anew (a long silence, a turn nobody saw).
SURE = 36.0


class Live(NamedTuple):
    """Tracks alive, in slots by serial, so that a pass over them reads memory in its order; with holes of those that
    ended, until `compacted`."""

    states: Floats  # (slots, motion.STATE)
    keys: Ints  # (slots, TRACK_KEYS)
    order: Ints  # (slots,) the slots of live tracks
    counts: Ints  # (6,)
    clock: Floats  # (4,)
    identities: Ints  # (2**k, 3) hash, slot, serial; open addressing, hash 0 is free


@njit(cache=True, error_model="numpy", _nrt=False)
def place(identities, identity):  # type: ignore[no-untyped-def]
    """Where an identity stands in the table, or the free place where it would."""
    mask = np.int64(len(identities) - 1)
    at = (identity ^ (identity >> np.int64(29))) & mask
    while identities[at, 0] != 0 and identities[at, 0] != identity:
        at = (at + 1) & mask
    return at


@njit(cache=True, error_model="numpy", _nrt=False)
def bearer(live, identity):  # type: ignore[no-untyped-def]
    """The slot of the track that carries an identity; -1 when none does."""
    at = place(live.identities, identity)
    slot = live.identities[at, 1]
    if live.identities[at, 0] == 0 or live.keys[slot, SERIAL] != live.identities[at, 2]:
        return np.int64(-1)
    return slot


@njit(cache=True, error_model="numpy", _nrt=False)
def name(live, identity, slot):  # type: ignore[no-untyped-def]
    """Let a track carry an identity."""
    at = place(live.identities, identity)
    if live.identities[at, 0] == 0:
        live.counts[NAMED] += 1
    live.identities[at, 0], live.identities[at, 1] = identity, slot
    live.identities[at, 2] = live.keys[slot, SERIAL]


@njit(cache=True, error_model="numpy", _nrt=False)
def compacted(live, out):  # type: ignore[no-untyped-def]
    """Write the live tracks to `out` without holes; its identities are zeros before, its counts and clock copies."""
    n = live.counts[LIVE]
    for k in range(n):
        slot = live.order[k]
        for x in range(mo.STATE):
            out.states[k, x] = live.states[slot, x]
        for x in range(TRACK_KEYS):
            out.keys[k, x] = live.keys[slot, x]
        out.order[k] = k
    out.counts[USED] = n
    count = 0
    for at in range(len(live.identities)):
        slot = live.identities[at, 1]
        if live.identities[at, 0] != 0 and live.keys[slot, SERIAL] == live.identities[at, 2]:
            low, high = 0, n  # slots ascend in `order`
            while low < high:
                middle = (low + high) // 2
                if live.order[middle] < slot:
                    low = middle + 1
                else:
                    high = middle
            new = place(out.identities, live.identities[at, 0])
            out.identities[new, 0], out.identities[new, 1] = live.identities[at, 0], low
            out.identities[new, 2] = live.identities[at, 2]
            count += 1
    out.counts[NAMED] = count


@njit(cache=True, error_model="numpy", _nrt=False)
def tell(live, events, kind, serial, other, row):  # type: ignore[no-untyped-def]
    """Write an event down."""
    at = live.counts[EVENTS]
    events[at, 0], events[at, 1], events[at, 2], events[at, 3] = kind, serial, other, row
    live.counts[EVENTS] = at + 1


@njit(cache=True, error_model="numpy", _nrt=False)
def same_kind(a, b):  # type: ignore[no-untyped-def]
    """Whether one object can be of both classes: unknown is any, crewed and unmanned aircraft are confused."""
    return a == b or a == 0 or b == 0 or (a in (2, 3) and b in (2, 3))


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def can_be(marks, slot, keys, d):  # type: ignore[no-untyped-def]
    """Whether what and who a detection says it is allows that a track made it: in one scheme one object, one name."""
    if not same_kind(marks[slot, KIND], keys[d, g.KIND]):
        return False
    identity, own = keys[d, g.IDENTITY], marks[slot, IDENTITY]
    return identity == 0 or own == 0 or own == identity or marks[slot, SCHEME] != keys[d, g.SCHEME]


@njit(cache=True, error_model="numpy", _nrt=False)
def _bit(sensor):  # type: ignore[no-untyped-def]
    """The bit of a sensor, among 62: which sensors saw a track is kept as a set of them."""
    return np.int64(1) << ((sensor ^ (sensor >> np.int64(31))) & np.int64(0x7FFFFFFF)) % np.int64(62)


@njit(cache=True, error_model="numpy", _nrt=False)
def _confirmed(live, marks, slot, d, events):  # type: ignore[no-untyped-def]
    """Tell of a track's confirmation by row `d`, and of what it split from."""
    tell(live, events, CONFIRM, marks[slot, SERIAL], -1, d)
    if marks[slot, PARENT] >= 0:
        tell(live, events, SPLIT, marks[slot, SERIAL], marks[slot, PARENT], d)


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def _begin(live, states, marks, d, values, keys, parameters, parent, bears, serials, points, events):  # type: ignore[no-untyped-def]
    """A tentative track of one detection."""
    counts = live.counts
    slot = counts[USED]
    counts[USED] += 1
    kind, at = keys[d, g.KIND], values[d, g.AT]
    mo.begin(
        states, slot, at, values[d, g.EAST], values[d, g.NORTH],
        values[d, g.VAR_E], values[d, g.COV_EN], values[d, g.VAR_N],
        values[d, g.SPEED_E], values[d, g.SPEED_N], values[d, g.SPEED_VAR], parameters[kind, mo.SPEED_SIGMA],
    )  # fmt: skip
    if values[d, g.ALT_VAR] > 0.0:
        _altitude(states, slot, d, values, kind, parameters)
    marks[slot, SERIAL], marks[slot, KIND] = counts[NEXT_SERIAL], kind
    marks[slot, HITS], marks[slot, STATUS] = 1, TENTATIVE
    marks[slot, ID_0], marks[slot, ID_1] = keys[d, g.ID_0], keys[d, g.ID_1]
    marks[slot, SCHEME], marks[slot, IDENTITY], marks[slot, PARENT] = keys[d, g.SCHEME], keys[d, g.IDENTITY], parent
    marks[slot, GROUP], marks[slot, GROUP_BEFORE] = counts[GROUPS], -1
    marks[slot, SENSORS], marks[slot, BESIDE] = _bit(keys[d, g.SENSOR]), -1
    counts[NEXT_SERIAL] += 1
    live.order[counts[LIVE]] = slot
    counts[LIVE] += 1
    if keys[d, g.IDENTITY] != 0:
        states[slot, mo.IDENTIFIED] = at
        if bears:
            name(live, keys[d, g.IDENTITY], slot)
    _point(states, marks, slot, d, np.nan, np.nan, serials, points)
    if parameters[kind, mo.HITS] <= 1.0:
        marks[slot, STATUS] = CONFIRMED
        _confirmed(live, marks, slot, d, events)


@njit(cache=True, error_model="numpy", _nrt=False)
def _altitude(states, slot, d, values, kind, parameters):  # type: ignore[no-untyped-def]
    mo.altitude(
        states, slot, values[d, g.AT], values[d, g.ALT], values[d, g.ALT_VAR],
        parameters[kind, mo.CLIMB_Q], parameters[kind, mo.CLIMB_SIGMA],
    )  # fmt: skip


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def _point(states, marks, slot, d, log_density, distance2, serials, points):  # type: ignore[no-untyped-def]
    serials[d, 0], serials[d, 1], serials[d, 2] = marks[slot, SERIAL], marks[slot, ID_0], marks[slot, ID_1]
    b = mo.BOTH
    points[d, 0], points[d, 1] = states[slot, b], states[slot, b + 1]
    points[d, 2], points[d, 3], points[d, 4] = states[slot, b + 4], states[slot, b + 5], states[slot, b + 6]
    points[d, 5], points[d, 6] = states[slot, b + 2], states[slot, b + 3]
    points[d, 7], points[d, 8] = states[slot, mo.ALT], states[slot, mo.P_MANOEUVRE]
    points[d, 9], points[d, 10] = log_density, distance2


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def ellipse(states, slot, values, d):  # type: ignore[no-untyped-def]
    """The covariance of a detection, its error of time along the velocity of the track it goes to."""
    r_ee, r_en, r_nn = values[d, g.VAR_E], values[d, g.COV_EN], values[d, g.VAR_N]
    late = values[d, g.AT_SIGMA] * values[d, g.AT_SIGMA]
    if late > 0.0:
        b = mo.BOTH
        ve, vn = states[slot, b + 2], states[slot, b + 3]
        r_ee += late * (ve * ve + states[slot, b + 11])
        r_en += late * (ve * vn + states[slot, b + 12])
        r_nn += late * (vn * vn + states[slot, b + 13])
    return r_ee, r_en, r_nn


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def take(  # type: ignore[no-untyped-def]
    live, states, marks, now, slot, d, values, keys, parameters, settings, log_clutter, steps, distance2,
    serials, points, events,
):  # fmt: skip
    """The track in a slot goes on with a detection, in group `now`."""
    at, kind = values[d, g.AT], marks[slot, KIND]
    e, n = values[d, g.EAST], values[d, g.NORTH]
    r_ee, r_en, r_nn = ellipse(states, slot, values, d)
    speed_e, speed_n, speed_var = values[d, g.SPEED_E], values[d, g.SPEED_N], values[d, g.SPEED_VAR]
    if distance2 > SURE:
        mo.again(
            states, slot, at, e, n, r_ee, r_en, r_nn, speed_e, speed_n, speed_var, parameters[kind, mo.SPEED_SIGMA]
        )
        log_density = np.nan
    else:
        c = mo.coefficients(at - states[slot, mo.AT], kind, parameters, steps)
        log_density = mo.follow(
            states, slot, marks[slot, HITS] == 1, c, e, n, r_ee, r_en, r_nn, speed_e, speed_n, speed_var
        )
    followed(
        live, states, marks, now, slot, d, values, keys, parameters, settings, log_clutter, log_density, distance2,
        serials, points, events,
    )  # fmt: skip


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def followed(  # type: ignore[no-untyped-def]
    live, states, marks, now, slot, d, values, keys, parameters, settings, log_clutter, log_density, distance2,
    serials, points, events,
):  # fmt: skip
    """What a track is after it has followed a detection: all but its motion. `log_density` NaN: it began anew."""
    at, kind = values[d, g.AT], marks[slot, KIND]
    if marks[slot, STATUS] == TENTATIVE and log_density == log_density:
        # chance would put it anywhere, at any speed of the class
        fastest = parameters[kind, mo.SPEED_MOST]
        anyhow = np.log(np.pi * fastest * fastest) if values[d, g.SPEED_VAR] > 0.0 else 0.0
        begun = settings[BEGIN_LOG] if marks[slot, HITS] == 1 else states[slot, mo.SCORE]
        states[slot, mo.SCORE] = begun + log_density + anyhow - log_clutter + states[slot, mo.MISSED]
    states[slot, mo.AT] = at
    if values[d, g.ALT_VAR] > 0.0:
        _altitude(states, slot, d, values, kind, parameters)
    if kind == 0:
        marks[slot, KIND] = keys[d, g.KIND]
    marks[slot, HITS] += 1
    identity = keys[d, g.IDENTITY]
    if identity != 0:
        _names(live, states, marks, slot, d, keys, events)
        states[slot, mo.IDENTIFIED] = at
    if marks[slot, GROUP] != now:
        marks[slot, GROUP_BEFORE], marks[slot, GROUP] = marks[slot, GROUP], now
    marks[slot, SENSORS] |= _bit(keys[d, g.SENSOR])
    _point(states, marks, slot, d, log_density, distance2, serials, points)
    if marks[slot, STATUS] == TENTATIVE:  # a name is as good as another hit, and is not given by chance
        has_name = marks[slot, IDENTITY] != 0
        enough = marks[slot, HITS] + has_name >= parameters[marks[slot, KIND], mo.HITS]
        if enough and (has_name or states[slot, mo.SCORE] >= 0.0):
            marks[slot, STATUS] = CONFIRMED
            _confirmed(live, marks, slot, d, events)


@njit(cache=True, error_model="numpy", _nrt=False)
def _names(live, states, marks, slot, d, keys, events):  # type: ignore[no-untyped-def]
    """A track takes the name that its detection states."""
    identity, own = keys[d, g.IDENTITY], marks[slot, IDENTITY]
    if own != identity:
        if own != 0:
            tell(live, events, SHARED, marks[slot, SERIAL], -1, d)
        marks[slot, IDENTITY], marks[slot, SCHEME] = identity, keys[d, g.SCHEME]
    if bearer(live, identity) < 0:
        name(live, identity, slot)


@njit(cache=True, error_model="numpy", _nrt=False)
def begin_all(live, states, marks, rows, taken, parent, bears, values, keys, parameters, serials, points, events):  # type: ignore[no-untyped-def]
    """What nobody took begins a track each."""
    for k in range(len(rows)):
        slot = live.counts[USED] + AHEAD
        prefetch(states, slot, 0)
        prefetch(states, slot, 8)
        prefetch(states, slot, 16)
        prefetch(states, slot, 24)
        prefetch(marks, slot, 0)
        prefetch(marks, slot, 8)
        if not taken[k]:
            _begin(live, states, marks, rows[k], values, keys, parameters, parent[k], bears[k], serials, points, events)
