"""What becomes of tracks between groups: ended in silence, merged with the one beside; and the pass over rows."""

import numpy as np
from numba import njit

from truceline.kernels import gate as g
from truceline.kernels import motion as mo
from truceline.kernels import tracks as t
from truceline.kernels.pairing import group
from truceline.kernels.prefetch import AHEAD, FAR_AHEAD, prefetch

#: Two tracks are beside each other within this, squared sigmas of position and velocity: 1 % of one object's two
#: tracks are farther apart (chi-square, 4 degrees).
_BESIDE = 13.3
#: No verdict where silence has blurred a track to more than this times the variance it had.
_BLURRED = 9.0


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def silence(states, marks, slot, at, parameters, sensors, before):  # type: ignore[no-untyped-def]
    """Log of the probability that a live object gave no detection for so long; -inf beyond its class's silence.

    By looks of the sensors that cover it; `before`: the looks of `at` itself have not come yet. 0 where none covers
    it, until the class's silence is over.
    """
    kind, status = marks[slot, t.KIND], marks[slot, t.STATUS]
    elapsed, half = at - states[slot, mo.AT], -0.5 if before else 0.5
    longest = mo.SILENCE if status == t.CONFIRMED else mo.SILENCE_TENTATIVE
    if before and marks[slot, t.IDENTITY] != 0:
        longest = mo.SILENCE_NAMED  # found again by its name, so kept for longer than it is shown
    if elapsed > parameters[kind, longest]:
        return -np.inf
    total = 0.0
    for k in range(len(sensors)):
        revisit = sensors[k, t.REVISIT_S]
        if not revisit > 0.0:
            continue
        de = states[slot, mo.BOTH] - sensors[k, t.CENTRE_E]
        dn = states[slot, mo.BOTH + 1] - sensors[k, t.CENTRE_N]
        if de * de + dn * dn <= sensors[k, t.RANGE] * sensors[k, t.RANGE]:
            looks = np.floor(elapsed / revisit + half)
            if looks > 0.0:
                total += looks * sensors[k, t.MISSED_LOG]
    return total


@njit(cache=True, error_model="numpy", _nrt=False)
def _sweep(live, at, parameters, sensors, settings, events):  # type: ignore[no-untyped-def]
    """End the tracks that were silent for too long."""
    kept = 0
    for r in range(live.counts[t.LIVE]):
        slot = live.order[min(r + FAR_AHEAD, live.counts[t.LIVE] - 1)]
        prefetch(live.keys, slot, 0)
        prefetch(live.states, slot, 0)
        prefetch(live.states, slot, 16)
        slot = live.order[r]
        confirmed = live.keys[slot, t.STATUS] == t.CONFIRMED
        least = settings[t.GONE_LOG if confirmed else t.GONE_TENTATIVE_LOG]
        if live.keys[slot, t.HITS] == 1:
            least = settings[t.GONE_FIRST_LOG]
        missed = silence(live.states, live.keys, slot, at, parameters, sensors, True)
        if live.states[slot, mo.MISSED] != missed:  # unchanged for most, and a write costs as much as a read
            live.states[slot, mo.MISSED] = missed
        if missed <= least:
            t.tell(live, events, t.END, live.keys[slot, t.SERIAL], live.keys[slot, t.STATUS], -1)
            live.keys[slot, t.SERIAL] = -1
        else:
            live.order[kept] = slot
            kept += 1
    live.counts[t.LIVE] = kept


@njit(cache=True, error_model="numpy", _nrt=False)
def _beside(p, q):  # type: ignore[no-untyped-def]
    """Squared distance of two expectations (14,), position and velocity each by itself."""
    total = 0.0
    for x, v in ((0, 4), (2, 11)):
        de, dn = p[x] - q[x], p[x + 1] - q[x + 1]
        s_ee, s_en, s_nn = p[v] + q[v], p[v + 1] + q[v + 1], p[v + 2] + q[v + 2]
        total += (s_nn * de * de - 2.0 * s_en * de * dn + s_ee * dn * dn) / (s_ee * s_nn - s_en * s_en)
    return total


@njit(cache=True, error_model="numpy", _nrt=False)
def _two_of_one(live, a, b):  # type: ignore[no-untyped-def]
    """Whether two tracks can be of one object: not seen by the same sensors, nor in one group; names agreeing."""
    k, m = live.keys[a], live.keys[b]
    if k[t.SENSORS] == m[t.SENSORS] or not t.same_kind(k[t.KIND], m[t.KIND]):
        return False
    if k[t.GROUP] in (m[t.GROUP], m[t.GROUP_BEFORE]) or (k[t.GROUP_BEFORE] in (m[t.GROUP], m[t.GROUP_BEFORE])):
        return False
    return k[t.IDENTITY] == 0 or m[t.IDENTITY] == 0 or k[t.SCHEME] != m[t.SCHEME] or k[t.IDENTITY] == m[t.IDENTITY]


@njit(cache=True, error_model="numpy")
def _merge(live, at, parameters, settings, steps, events):  # type: ignore[no-untyped-def]
    """Merge confirmed tracks that have been beside each other for long enough: the younger into the older."""
    n = live.counts[t.LIVE]
    alike = True
    for r in range(1, n):
        alike &= live.keys[live.order[r], t.SENSORS] == live.keys[live.order[0], t.SENSORS]
    if alike:
        return
    where, slots, count = np.zeros((n, 14)), np.empty(n, np.int64), 0
    seen = np.zeros((n, 3))
    for r in range(n):
        slot = live.order[r]
        if live.keys[slot, t.STATUS] != t.CONFIRMED:
            continue
        s = live.states[slot]
        c = mo.coefficients(at - s[mo.AT], live.keys[slot, t.KIND], parameters, steps)
        mo.expected(live.states, slot, c, where[count])
        if where[count, 4] + where[count, 6] > _BLURRED * (s[mo.BOTH + 4] + s[mo.BOTH + 6]):
            continue
        seen[count, g.EAST], seen[count, g.NORTH] = where[count, 0], where[count, 1]
        slots[count] = slot
        count += 1
    if count < 2:
        return
    reach = 0.0
    for r in range(count):
        reach += np.sqrt(where[r, 4] + where[r, 6])
    reach = 6.0 * reach / count
    rows, found = np.arange(count), np.empty(count, np.int64)
    start, order, places, _ = g.hashed(seen, rows, reach)
    gone = np.zeros(count, np.bool_)
    for r in range(count):
        slot = slots[r]
        best, partner = _BESIDE, np.int64(-1)
        for f in range(g.near(where[r, 0], where[r, 1], reach, reach, start, order, places, found)):
            o = found[f]
            if o >= r or gone[o] or not _two_of_one(live, slots[o], slot):
                continue
            distance = _beside(where[o], where[r])
            if distance < best or (distance == best and o < partner):
                best, partner = distance, o
        if partner < 0:
            live.keys[slot, t.BESIDE] = -1
            continue
        older = slots[partner]
        serial = live.keys[older, t.SERIAL]
        if live.keys[slot, t.BESIDE] != serial:
            live.keys[slot, t.BESIDE], live.states[slot, mo.BESIDE_SINCE] = serial, at
        elif at - live.states[slot, mo.BESIDE_SINCE] >= settings[t.BESIDE_FOR_S]:
            _absorb(live, older, slot)
            gone[r] = True
            t.tell(live, events, t.MERGE, live.keys[slot, t.SERIAL], serial, -1)
    kept, x = 0, 0
    for r in range(n):  # `slots` is a part of `order`, in its order
        slot = live.order[r]
        own = x < count and slots[x] == slot
        if own and gone[x]:
            live.keys[slot, t.SERIAL] = -1
        else:
            live.order[kept] = slot
            kept += 1
        x += own
    live.counts[t.LIVE] = kept


@njit(cache=True, error_model="numpy", _nrt=False)
def _absorb(live, older, younger):  # type: ignore[no-untyped-def]
    """The older track takes the younger's name, class and, where that is the newer, state."""
    a, b = live.keys[older], live.keys[younger]
    a[t.HITS] += b[t.HITS]
    if a[t.KIND] == 0:
        a[t.KIND] = b[t.KIND]
    if b[t.IDENTITY] != 0:
        t.name(live, b[t.IDENTITY], older)
        if a[t.IDENTITY] == 0:
            a[t.IDENTITY], a[t.SCHEME] = b[t.IDENTITY], b[t.SCHEME]
    states = live.states
    states[older, mo.IDENTIFIED] = max(states[older, mo.IDENTIFIED], states[younger, mo.IDENTIFIED])
    if states[younger, mo.AT] > states[older, mo.AT]:
        for x in range(mo.BOTH + 14):
            states[older, x] = states[younger, x]
        for x in range(mo.STEADY, mo.STATE):
            states[older, x] = states[younger, x]
        if states[younger, mo.ALT] == states[younger, mo.ALT]:
            for x in range(mo.ALT, mo.ALT + 6):
                states[older, x] = states[younger, x]


@njit(cache=True, error_model="numpy")
def advance(  # type: ignore[no-untyped-def]
    live, values, keys, placed_values, placed_keys, parameters, sensors, settings, serials, points, events
):  # fmt: skip
    """Take rows in, sorted by slice, sensor, time and id: the tracks change in place.

    Parameters
    ----------
    live : Live
        With room for a track of every row, and for its identity.
    values : (n, 12) float64
    keys : (n, 7) int64
        The detections, as in `gate`. Times and positions finite, variances positive. Not checked.
    placed_values, placed_keys
        To be filled, where not empty: the rows in the order they are worked, which is that of `serials`, `points` and
        `events` then. Groups of more than `gate.LARGE` without names are put in the order of their places: what is
        begun beside each other then lies beside each other in memory, and is looked for so.
    parameters : (classes, motion.PARAMETERS) float64
    sensors : (k, 5) float64
        Those whose looks are known.
    settings : (SETTINGS,) float64
    serials : (n, 3) int64, points : (n, POINT) float64
        To be filled: each row's track, with the first id of it, and the state after it.
    events : (3 n + live tracks + 8, 4) int64
        To be filled: what, serial, other serial, row.

    Returns
    -------
    int
        How many events.
    """
    live.counts[t.EVENTS] = 0
    steps = np.full((mo.STEPS, mo.COEFFICIENTS), np.nan)
    low, n = 0, len(values)
    while low < n:
        slice_ = np.floor(values[low, g.AT] / settings[t.SLICE_S])
        at = slice_ * settings[t.SLICE_S]
        if at >= live.clock[t.NEXT_SWEEP]:
            _sweep(live, at, parameters, sensors, settings, events)
            live.clock[t.NEXT_SWEEP] = (np.floor(at / settings[t.SWEEP_S]) + 1.0) * settings[t.SWEEP_S]
            if at >= live.clock[t.NEXT_BESIDE]:
                _merge(live, at, parameters, settings, steps, events)
                every = settings[t.BESIDE_EVERY_S]
                live.clock[t.NEXT_BESIDE] = (np.floor(at / every) + 1.0) * every
        high = low + 1
        while (
            high < n
            and keys[high, g.SENSOR] == keys[low, g.SENSOR]
            and np.floor(values[high, g.AT] / settings[t.SLICE_S]) == slice_
        ):
            high += 1
        group(
            live, low, high, values, keys, placed_values, placed_keys, parameters, settings, steps, serials, points,
            events,
        )  # fmt: skip
        low = high
    return live.counts[t.EVENTS]


@njit(cache=True, error_model="numpy", _nrt=False)
def seen_at(live, at, parameters, sensors, shown_log, as_seen, steps, p, out, keys):  # type: ignore[no-untyped-def]
    """Fill `out` (live, 17) and `keys` (live, 6) with the confirmed tracks as expected at a moment; how many.

    Left out are those whose silence has become too unlikely: kept for a while, in case they come back.
    With `as_seen` each is told as of its last detection instead.
    `out`: expectation (14), altitude, probability of manoeuvring, time of the last detection; `keys`: serial, id (2),
    class, identity, hits.
    """
    count = 0
    for r in range(live.counts[t.LIVE]):
        slot = live.order[min(r + AHEAD, live.counts[t.LIVE] - 1)]
        prefetch(live.keys, slot, 0)
        prefetch(live.keys, slot, 8)
        prefetch(live.states, slot, 0)
        prefetch(live.states, slot, 8)
        prefetch(live.states, slot, 16)
        slot = live.order[r]
        k, s = live.keys[slot], live.states[slot]
        if (
            k[t.STATUS] != t.CONFIRMED
            or silence(live.states, live.keys, slot, at, parameters, sensors, False) <= shown_log
        ):
            continue
        c = mo.coefficients(0.0 if as_seen else at - s[mo.AT], k[t.KIND], parameters, steps)
        mo.expected(live.states, slot, c, p)
        for x in range(14):
            out[count, x] = p[x]
        out[count, 16] = s[mo.AT]
        out[count, 14], out[count, 15] = s[mo.ALT], s[mo.P_MANOEUVRE]
        keys[count, 0], keys[count, 1], keys[count, 2] = k[t.SERIAL], k[t.ID_0], k[t.ID_1]
        keys[count, 3], keys[count, 4], keys[count, 5] = k[t.KIND], k[t.IDENTITY], k[t.HITS]
        count += 1
    return count
