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
from truceline.kernels.assign import assign

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# columns of a live track's keys
SERIAL, KIND, HITS, STATUS, ID_0, ID_1, SCHEME, IDENTITY, PARENT, GROUP, GROUP_BEFORE, SENSOR, BESIDE = range(13)
TRACK_KEYS = 13
TENTATIVE, CONFIRMED = 0, 1
# counts: live tracks, slots ever used, free slots, next serial, groups so far, identities kept, events written
LIVE, USED, FREE, NEXT_SERIAL, GROUPS, NAMED, EVENTS = range(7)
# clock: next sweep, next look for tracks beside each other, width of a cell
NEXT_SWEEP, NEXT_BESIDE, CELL = range(3)
# settings
SLICE_S, GATE, SWEEP_S, BESIDE_EVERY_S, BESIDE_FOR_S, GONE_LOG, GONE_TENTATIVE_LOG = range(7)
SETTINGS = 7
# columns of a sensor's parameters: time between looks, log of the probability to miss, centre, range
REVISIT_S, MISSED_LOG, CENTRE_E, CENTRE_N, RANGE = range(5)
# events
CONFIRM, END, MERGE, SPLIT, ELSEWHERE, SHARED = range(6)
# columns of a point: position, its covariance, velocity, altitude, manoeuvring, log density, squared distance
POINT = 11

#: A fix that names its object is taken within this many squared sigmas, or when the class is fast enough to have got
#: there; then the state begins anew (a long silence, a turn nobody saw).
_SURE = 36.0
#: Sigmas allowed on both ends of "fast enough".
_SLACK_SIGMAS = 4.0
#: What velocity and altitude may add to the gate, squared sigmas: 0.1 % of true pairs (chi-square, 3 degrees).
_REST_MOST = 16.0
#: A begun track within this of a track that took another detection of the group may have split from it, sigmas.
_SPLIT = 3.0


class Live(NamedTuple):
    """Tracks alive, in slots that are used again; `order` lists the slots by serial."""

    states: Floats  # (slots, motion.STATE)
    keys: Ints  # (slots, TRACK_KEYS)
    order: Ints  # (slots,)
    free: Ints  # (slots,) a stack
    counts: Ints  # (7,)
    clock: Floats  # (3,)
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
def _bearer(live, identity):  # type: ignore[no-untyped-def]
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
def rehash(identities, keys, larger):  # type: ignore[no-untyped-def]
    """Fill `larger`, all zeros, with the identities of live tracks; how many."""
    count = 0
    for k in range(len(identities)):
        if identities[k, 0] != 0 and keys[identities[k, 1], SERIAL] == identities[k, 2]:
            at = place(larger, identities[k, 0])
            larger[at, 0], larger[at, 1], larger[at, 2] = identities[k, 0], identities[k, 1], identities[k, 2]
            count += 1
    return count


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
def _can_be(marks, slot, keys, d):  # type: ignore[no-untyped-def]
    """Whether what a detection says it is, and who, allows that a track made it: in one scheme, one object, one name."""
    if not same_kind(marks[slot, KIND], keys[d, g.KIND]):
        return False
    identity, own = keys[d, g.IDENTITY], marks[slot, IDENTITY]
    return identity == 0 or own == 0 or own == identity or marks[slot, SCHEME] != keys[d, g.SCHEME]


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
    if counts[FREE] > 0:
        counts[FREE] -= 1
        slot = live.free[counts[FREE]]
    else:
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
    marks[slot, SENSOR], marks[slot, BESIDE] = keys[d, g.SENSOR], -1
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
def _take(live, states, marks, now, slot, d, values, keys, parameters, c, work, distance2, serials, points, events):  # type: ignore[no-untyped-def]
    """The track in a slot goes on with a detection, in group `now`."""
    at, kind = values[d, g.AT], marks[slot, KIND]
    mo.coefficients(at - states[slot, mo.AT], kind, parameters, c)
    e, n = values[d, g.EAST], values[d, g.NORTH]
    r_ee, r_en, r_nn = values[d, g.VAR_E], values[d, g.COV_EN], values[d, g.VAR_N]
    speed_e, speed_n, speed_var = values[d, g.SPEED_E], values[d, g.SPEED_N], values[d, g.SPEED_VAR]
    late = values[d, g.AT_SIGMA] * values[d, g.AT_SIGMA]
    b = mo.BOTH
    if late > 0.0:
        ve, vn = states[slot, b + 2], states[slot, b + 3]
        r_ee += late * (ve * ve + states[slot, b + 11])
        r_en += late * (ve * vn + states[slot, b + 12])
        r_nn += late * (vn * vn + states[slot, b + 13])
    if distance2 > _SURE:
        mo.again(
            states, slot, at, e, n, r_ee, r_en, r_nn, speed_e, speed_n, speed_var, parameters[kind, mo.SPEED_SIGMA]
        )
        log_density = np.nan
    else:
        log_density = mo.follow(
            states, slot, marks[slot, HITS] == 1, c, e, n, r_ee, r_en, r_nn, speed_e, speed_n, speed_var, work
        )
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
    marks[slot, SENSOR] = keys[d, g.SENSOR]
    _point(states, marks, slot, d, log_density, distance2, serials, points)
    # a name is as good as another hit
    if marks[slot, STATUS] == TENTATIVE:
        if marks[slot, HITS] + (marks[slot, IDENTITY] != 0) >= parameters[marks[slot, KIND], mo.HITS]:
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
    if _bearer(live, identity) < 0:
        name(live, identity, slot)


@njit(cache=True, error_model="numpy", _nrt=False)
def _named(
    live, states, marks, now, low, high, values, keys, parameters, c, p, work, rows, bears, serials, points, events
):  # type: ignore[no-untyped-def]
    """Hand detections of a group to the tracks that carry their identity; the others go to `rows`, how many.

    `bears` says of each of those whether it may carry its identity: False where another track does, elsewhere.
    """
    m = 0
    for d in range(low, high):
        free = True
        identity = keys[d, g.IDENTITY]
        if identity != 0:
            slot = _bearer(live, identity)
            if slot >= 0:
                kind = marks[slot, KIND]
                dt = values[d, g.AT] - states[slot, mo.AT]
                mo.coefficients(dt, kind, parameters, c)
                mo.expected(states, slot, c, p)
                position, _ = g.apart(p, states, slot, mo.ALT, values, d, 0.0)
                de, dn = values[d, g.EAST] - states[slot, mo.BOTH], values[d, g.NORTH] - states[slot, mo.BOTH + 1]
                error = np.sqrt(
                    states[slot, mo.BOTH + 4] + states[slot, mo.BOTH + 6] + values[d, g.VAR_E] + values[d, g.VAR_N]
                )
                farthest = parameters[kind, mo.SPEED_MOST] * (abs(dt) + _SLACK_SIGMAS * values[d, g.AT_SIGMA])
                if np.sqrt(de * de + dn * dn) <= farthest + _SLACK_SIGMAS * error:
                    _take(
                        live, states, marks, now, slot, d, values, keys, parameters, c, work, position,
                        serials, points, events,
                    )  # fmt: skip
                    continue
                tell(live, events, ELSEWHERE, marks[slot, SERIAL], -1, d)
                free = False
        rows[m], bears[m] = d, free
        m += 1
    return m


@njit(cache=True, error_model="numpy", _nrt=False)
def _edges(
    states, marks, order, n, now, status, at, widest, values, keys, rows, taken, parameters, sigmas, cell_m,
    grid_start, grid_order, places, c, p, found, progress, slots, start, column, cost,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Go on with the pairs of tracks of a status with detections not taken yet, until all or no room; their reaches.

    `progress`: tracks gone through, rows written (`slots`, `start`), edges written (`column`, `cost`), looks.
    """
    index, r, e, reaches = progress[0], progress[1], progress[2], 0.0
    gate2, room = sigmas * sigmas, len(column)
    while index < n:
        slot = order[index]
        if marks[slot, STATUS] == status and marks[slot, GROUP] != now:
            dt = at - states[slot, mo.AT]
            kind = marks[slot, KIND]
            mo.coefficients(dt, kind, parameters, c)
            mo.expected(states, slot, c, p)
            half = (p[4] - p[6]) / 2
            spread = (p[4] + p[6]) / 2 + np.sqrt(half * half + p[5] * p[5]) + widest
            error = states[slot, mo.BOTH + 4] + states[slot, mo.BOTH + 6] + widest
            fast = parameters[kind, mo.SPEED_MOST] * abs(dt) + sigmas * np.sqrt(error)
            reach = min(sigmas * np.sqrt(spread), fast)
            near = g.near(p[0], p[1], reach, cell_m, grid_start, grid_order, places, found)
            if e + near > room:
                break
            progress[3] += 1
            reaches += reach
            for f in range(near):
                j = found[f]
                d = rows[j]
                if taken[j] or not _can_be(marks, slot, keys, d):
                    continue
                position, rest = g.apart(p, states, slot, mo.ALT, values, d, values[d, g.AT] - at)
                if position <= gate2 and rest <= _REST_MOST:
                    column[e], cost[e] = j, np.sqrt(position + rest)
                    e += 1
            if e > start[r]:
                slots[r] = slot
                r += 1
                start[r] = e
        index += 1
    progress[0], progress[1], progress[2] = index, r, e
    return reaches


@njit(cache=True, error_model="numpy", _nrt=False)
def _take_all(
    live, states, marks, now, r, slots, match, start, column, cost, rows, values, keys, parameters, c, work,
    serials, points, events,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Each track of a pairing goes on with what it got."""
    for row in range(r):
        if match[row] >= 0:
            own = 0.0
            for x in range(start[row], start[row + 1]):
                if column[x] == match[row]:
                    own = cost[x]
            _take(
                live, states, marks, now, slots[row], rows[match[row]], values, keys, parameters, c, work, own * own,
                serials, points, events,
            )  # fmt: skip


@njit(cache=True, error_model="numpy")
def _paired(
    live, states, marks, now, status, values, keys, rows, taken, widest, parameters, sigmas, cell_m,
    grid_start, grid_order, places, c, p, found, work, parent, serials, points, events,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Pair the tracks of a status with detections not taken yet; the mean reach of their looks, or -1."""
    n, m = live.counts[LIVE], len(rows)
    slots, start = np.empty(n, np.int64), np.zeros(n + 1, np.int64)
    column, cost = np.empty(2 * m + 16, np.int64), np.empty(2 * m + 16)
    progress, reaches = np.zeros(4, np.int64), 0.0
    while True:
        reaches += _edges(
            states, marks, live.order, n, now, status, values[rows[0], g.AT], widest, values, keys, rows, taken,
            parameters, sigmas, cell_m, grid_start, grid_order, places, c, p, found, progress, slots, start, column,
            cost,
        )  # fmt: skip
        if progress[0] == n:
            break
        column = np.concatenate((column, np.empty(len(column), np.int64)))
        cost = np.concatenate((cost, np.empty(len(cost))))
    r = progress[1]
    match = assign(start[: r + 1], column, cost, sigmas, m)
    for row in range(r):
        if match[row] >= 0:
            taken[match[row]] = True
    if status == CONFIRMED:
        nearest = np.full(m, _SPLIT)
        for row in range(r):
            if match[row] >= 0:
                for x in range(start[row], start[row + 1]):
                    j = column[x]
                    if not taken[j] and cost[x] < nearest[j]:
                        nearest[j], parent[j] = cost[x], marks[slots[row], SERIAL]
    _take_all(
        live, states, marks, now, r, slots, match, start, column, cost, rows, values, keys, parameters, c, work,
        serials, points, events,
    )  # fmt: skip
    return reaches / progress[3] if progress[3] else -1.0


@njit(cache=True, error_model="numpy", _nrt=False)
def _begin_all(live, states, marks, rows, taken, parent, bears, values, keys, parameters, serials, points, events):  # type: ignore[no-untyped-def]
    """What nobody took begins a track each."""
    for k in range(len(rows)):
        if not taken[k]:
            _begin(live, states, marks, rows[k], values, keys, parameters, parent[k], bears[k], serials, points, events)


@njit(cache=True, error_model="numpy")
def group(live, low, high, values, keys, parameters, settings, c, work, serials, points, events):  # type: ignore[no-untyped-def]
    """Take in what one sensor saw in one slice: rows low to high."""
    states, marks = live.states, live.keys
    live.counts[GROUPS] += 1
    now = live.counts[GROUPS]
    p = np.empty(14)
    rows, bears = np.empty(high - low, np.int64), np.empty(high - low, np.bool_)
    m = _named(
        live, states, marks, now, low, high, values, keys, parameters, c, p, work, rows, bears, serials, points, events
    )
    if m == 0:
        return
    rows = rows[:m]
    widest = 0.0
    for k in range(m):
        d = rows[k]
        half = (values[d, g.VAR_E] - values[d, g.VAR_N]) / 2
        late = values[d, g.AT_SIGMA] * values[d, g.AT_SIGMA] * 62_500.0  # of whatever flies 250 m/s
        across = np.sqrt(half * half + values[d, g.COV_EN] * values[d, g.COV_EN])
        widest = max(widest, (values[d, g.VAR_E] + values[d, g.VAR_N]) / 2 + across + late)
    cell_m, sigmas = live.clock[CELL], settings[GATE]
    grid_start, grid_order, places, density = g.hashed(values, rows, cell_m)
    taken, parent, found = np.zeros(m, np.bool_), np.full(m, -1, np.int64), np.empty(m, np.int64)
    reach = 0.0
    for status in (CONFIRMED, TENTATIVE):
        looked = _paired(
            live, states, marks, now, status, values, keys, rows, taken, widest, parameters, sigmas, cell_m,
            grid_start, grid_order, places, c, p, found, work, parent, serials, points, events,
        )  # fmt: skip
        reach = max(reach, looked)
    # Of the next group: its own would need another pass over all tracks. As wide as two cells a look, or wider
    # where detections are so few that most cells are empty.
    mean = density * cell_m * cell_m
    wanted = cell_m * 1.5 if mean < 0.7 else max(2.0 * reach, cell_m / 1.5) if mean > 3.0 else cell_m
    live.clock[CELL] = min(max(wanted, 50.0), 50_000.0)
    _begin_all(live, states, marks, rows, taken, parent, bears, values, keys, parameters, serials, points, events)
