"""One group of detections: to whom they go. By name, then by least total distance, and the rest begin tracks."""

import numpy as np
from numba import njit

from truceline.kernels import gate as g
from truceline.kernels import motion as mo
from truceline.kernels.abreast import LANES, ROWS, enter, expected_of, follow, leave, line_up, look, place_of, reach_of
from truceline.kernels.assign import assign
from truceline.kernels.prefetch import AHEAD, FAR_AHEAD, prefetch
from truceline.kernels.tracks import (
    CELL,
    CLUTTER,
    CONFIRMED,
    ELSEWHERE,
    GROUP,
    GROUPS,
    HITS,
    KIND,
    LIVE,
    SERIAL,
    STATUS,
    SURE,
    TENTATIVE,
    bearer,
    begin_all,
    can_be,
    ellipse,
    followed,
    take,
    tell,
)

#: Sigmas allowed on both ends of "fast enough" to have got there.
_SLACK_SIGMAS = 4.0
#: What velocity and altitude may add to the gate, squared sigmas: 0.1 % of true pairs (chi-square, 3 degrees).
_REST_MOST = 16.0
#: A begun track within this of a track that took another detection of the group may have split from it, sigmas.
_SPLIT = 3.0
#: Where two tracks want one detection, the one that knew better where to expect it goes first: half the log of how much
#: larger than the detection's own ellipse the gate's is counts as sigmas do, up to this. Without it a track that has
#: been silent for long takes what is another's; without a bound it would take nothing at all.
_VAGUE_MOST = 3.0
#: Where half the log is beyond that, with room for rounding: it need not be taken.
_VAGUE = float(np.exp(2.0 * _VAGUE_MOST)) * 1.000001
#: The density of chance detections is learned: as sluggishly as from so many, and never thought less than one in ten
#: thousand square kilometres, per square metre.
_WEIGHT = 50.0
_CLUTTER_LEAST = 1e-10


@njit(cache=True, error_model="numpy", _nrt=False)
def _named(  # type: ignore[no-untyped-def]
    live,
    states,
    marks,
    now,
    low,
    high,
    values,
    keys,
    parameters,
    settings,
    log_clutter,
    steps,
    p,
    rows,
    bears,
    serials,
    points,
    events,
):  # fmt: skip
    """Hand detections of a group to the tracks that carry their identity; the others go to `rows`, how many.

    `bears` says of each of those whether it may carry its identity: False where another track does, elsewhere.
    """
    m = 0
    for d in range(low, high):
        free = True
        identity = keys[d, g.IDENTITY]
        if identity != 0:
            slot = bearer(live, identity)
            if slot >= 0:
                kind = marks[slot, KIND]
                dt = values[d, g.AT] - states[slot, mo.AT]
                c = mo.coefficients(dt, kind, parameters, steps)
                mo.expected(states, slot, c, p)
                position, _, _ = g.apart(p, states, slot, mo.ALT, values, d, 0.0)
                de, dn = values[d, g.EAST] - states[slot, mo.BOTH], values[d, g.NORTH] - states[slot, mo.BOTH + 1]
                error = np.sqrt(
                    states[slot, mo.BOTH + 4] + states[slot, mo.BOTH + 6] + values[d, g.VAR_E] + values[d, g.VAR_N]
                )
                farthest = parameters[kind, mo.SPEED_MOST] * (abs(dt) + _SLACK_SIGMAS * values[d, g.AT_SIGMA])
                if np.sqrt(de * de + dn * dn) <= farthest + _SLACK_SIGMAS * error:
                    take(
                        live, states, marks, now, slot, d, values, keys, parameters, settings, log_clutter, steps,
                        position, serials, points, events,
                    )  # fmt: skip
                    continue
                tell(live, events, ELSEWHERE, marks[slot, SERIAL], -1, d)
                free = False
        rows[m], bears[m] = d, free
        m += 1
    return m


@njit(cache=True, error_model="numpy", _nrt=False)
def _edges(  # type: ignore[no-untyped-def]
    states, marks, order, n, now, status, at, widest, values, keys, rows, taken, parameters, cell_m,
    grid_start, grid_order, places, steps, p, w, looking, found, progress, slots, start, column, cost, away,
):  # fmt: skip
    """Go on with the pairs of tracks of a status with detections not taken yet, until all or no room; their reaches.

    `progress`: tracks gone through, rows written (`slots`, `start`), edges written (`column`, `cost`), looks.
    """
    index, r, e, reaches = progress[0], progress[1], progress[2], 0.0
    room = len(column)
    while index < n:
        lanes = 0
        while index < n and lanes < LANES:  # those that look next, side by side
            soon = order[min(index + AHEAD, n - 1)]
            prefetch(marks, soon, 0)
            prefetch(states, soon, 0)
            prefetch(states, soon, 8)
            slot = order[index]
            if marks[slot, STATUS] == status and marks[slot, GROUP] != now:
                dt, kind = at - states[slot, mo.AT], marks[slot, KIND]
                c = mo.coefficients(dt, kind, parameters, steps)
                sigmas = parameters[kind, mo.GATE_SIGMAS]
                line_up(w, lanes, states, slot, c, sigmas, parameters[kind, mo.SPEED_MOST] * abs(dt))
                looking[lanes] = index
                lanes += 1
            index += 1
        look(w, lanes, widest)
        for lane in range(lanes):
            slot = order[looking[lane]]
            (east, north), reach = place_of(w, lane), reach_of(w, lane)
            near = g.near(east, north, reach, cell_m, grid_start, grid_order, places, found)
            if e + near > room:
                progress[0], progress[1], progress[2] = looking[lane], r, e
                return reaches
            progress[3] += 1
            reaches += reach
            if near == 0:
                continue
            expected_of(w, lane, p)
            sigmas = parameters[marks[slot, KIND], mo.GATE_SIGMAS]
            for f in range(near):
                j = found[f]
                d = rows[j]
                if taken[j] or not can_be(marks, slot, keys, d):
                    continue
                position, rest, volume = g.apart(p, states, slot, mo.ALT, values, d, values[d, g.AT] - at)
                if position <= sigmas * sigmas and rest <= _REST_MOST:
                    own = values[d, g.VAR_E] * values[d, g.VAR_N] - values[d, g.COV_EN] * values[d, g.COV_EN]
                    away[e] = position + rest
                    vague = min(0.5 * np.log(volume / own), _VAGUE_MOST) if volume < _VAGUE * own else _VAGUE_MOST
                    column[e], cost[e] = j, np.sqrt(away[e]) + vague
                    e += 1
            if e > start[r]:
                slots[r] = slot
                r += 1
                start[r] = e
    progress[0], progress[1], progress[2] = index, r, e
    return reaches


@njit(cache=True, error_model="numpy", _nrt=False)
def _take_all(  # type: ignore[no-untyped-def]
    live, states, marks, now, r, slots, match, start, column, away, rows, values, keys, parameters, settings,
    log_clutter, steps, w, looking, serials, points, events,
):  # fmt: skip
    """Each track of a pairing goes on with what it got."""
    got = 0  # the rows that got something are put in front: no row is written to before its edges have been read
    for row in range(r):
        if match[row] >= 0:
            own = 0.0
            for x in range(start[row], start[row + 1]):
                if column[x] == match[row]:
                    own = away[x]
            slots[got], match[got], away[got] = slots[row], rows[match[row]], own
            got += 1
    for k in range(min(AHEAD, got)):
        _fetched(states, marks, slots[k], match[k], values, keys, serials, points)
    for low in range(0, got, LANES):
        high, lanes = min(low + LANES, got), 0
        for k in range(low, high):
            if k + AHEAD < got:
                _fetched(states, marks, slots[k + AHEAD], match[k + AHEAD], values, keys, serials, points)
            slot, d = slots[k], match[k]
            looking[k - low] = -1
            if away[k] <= SURE and not values[d, g.SPEED_VAR] > 0.0:  # the others are few, and go one by one
                c = mo.coefficients(values[d, g.AT] - states[slot, mo.AT], marks[slot, KIND], parameters, steps)
                r_ee, r_en, r_nn = ellipse(states, slot, values, d)
                first = marks[slot, HITS] == 1
                enter(w, lanes, states, slot, first, c, values[d, g.EAST], values[d, g.NORTH], r_ee, r_en, r_nn)
                looking[k - low] = lanes
                lanes += 1
        follow(w, lanes)
        for k in range(low, high):
            slot, d = slots[k], match[k]
            if looking[k - low] < 0:
                take(
                    live, states, marks, now, slot, d, values, keys, parameters, settings, log_clutter, steps,
                    away[k], serials, points, events,
                )  # fmt: skip
            else:
                log_density = leave(w, looking[k - low], states, slot)
                followed(
                    live, states, marks, now, slot, d, values, keys, parameters, settings, log_clutter,
                    log_density, away[k], serials, points, events,
                )  # fmt: skip


@njit(cache=True, error_model="numpy", _nrt=False, inline="always")
def _fetched(states, marks, slot, d, values, keys, serials, points):  # type: ignore[no-untyped-def]
    """Ask for what a track that goes on with a detection reads and writes."""
    for x in (0, 8, 24, 32, 40, 48):
        prefetch(states, slot, x)
    prefetch(marks, slot, 0)
    prefetch(marks, slot, 8)
    prefetch(values, d, 0)
    prefetch(values, d, 8)
    prefetch(keys, d, 0)
    prefetch(points, d, 0)
    prefetch(points, d, 8)
    prefetch(serials, d, 0)


@njit(cache=True, error_model="numpy")
def _paired(  # type: ignore[no-untyped-def]
    live, states, marks, now, status, at, values, keys, rows, taken, widest, density, parameters, settings, cell_m,
    grid_start, grid_order, places, steps, p, w, looking, found, parent, serials, points, events,
):  # fmt: skip
    """Pair the tracks of a status with detections not taken yet; the mean reach of their looks, or -1."""
    n, m = live.counts[LIVE], len(rows)
    slots, start = np.empty(n, np.int64), np.zeros(n + 1, np.int64)
    column, cost, away = np.empty(2 * m + 16, np.int64), np.empty(2 * m + 16), np.empty(2 * m + 16)
    progress, reaches, sigmas = (
        np.zeros(4, np.int64),
        0.0,
        parameters[:, mo.GATE_SIGMAS].max(),
    )  # a miss costs all the same
    while True:
        reaches += _edges(
            states, marks, live.order, n, now, status, at, widest, values, keys, rows, taken,
            parameters, cell_m, grid_start, grid_order, places, steps, p, w, looking, found, progress, slots, start,
            column, cost, away,
        )  # fmt: skip
        if progress[0] == n:
            break
        column = np.concatenate((column, np.empty(len(column), np.int64)))
        cost = np.concatenate((cost, np.empty(len(cost))))
        away = np.concatenate((away, np.empty(len(away))))
    r = progress[1]
    match = assign(start[: r + 1], column, cost, sigmas + _VAGUE_MOST, m)
    for row in range(r):
        if match[row] >= 0:
            taken[match[row]] = True
    if status == CONFIRMED:
        nearest = np.full(m, _SPLIT)
        for row in range(r):
            if match[row] >= 0:
                for x in range(start[row], start[row + 1]):
                    j = column[x]
                    if not taken[j] and np.sqrt(away[x]) < nearest[j]:
                        nearest[j], parent[j] = np.sqrt(away[x]), marks[slots[row], SERIAL]
        left = m - np.sum(taken)
        density = density * left / m
        live.clock[CLUTTER] = max((m * density + _WEIGHT * live.clock[CLUTTER]) / (m + _WEIGHT), _CLUTTER_LEAST)
    _take_all(
        live, states, marks, now, r, slots, match, start, column, away, rows, values, keys, parameters, settings,
        np.log(live.clock[CLUTTER]), steps, w, looking, serials, points, events,
    )  # fmt: skip
    return reaches / progress[3] if progress[3] else -1.0


@njit(cache=True, error_model="numpy", _nrt=False)
def in_places(values, keys, low, order, placed_values, placed_keys):  # type: ignore[no-untyped-def]
    """Write the rows from `low` on in the order of the grid, which becomes that of counting."""
    for k in range(len(order)):
        d = low + order[min(k + FAR_AHEAD, len(order) - 1)]
        prefetch(values, d, 0)
        prefetch(values, d, 8)
        prefetch(keys, d, 0)
        d = low + order[k]
        for x in range(g.VALUES):
            placed_values[low + k, x] = values[d, x]
        for x in range(g.KEYS):
            placed_keys[low + k, x] = keys[d, x]
        order[k] = k


@njit(cache=True, error_model="numpy")
def group(  # type: ignore[no-untyped-def]
    live, low, high, values, keys, placed_values, placed_keys, parameters, settings, steps, serials, points, events
):  # fmt: skip
    """Take in what one sensor saw in one slice: rows low to high; in the order of `placed`, where that has room."""
    states, marks = live.states, live.keys
    live.counts[GROUPS] += 1
    now = live.counts[GROUPS]
    p = np.empty(14)
    rows, bears = np.empty(high - low, np.int64), np.empty(high - low, np.bool_)
    m = _named(
        live,
        states,
        marks,
        now,
        low,
        high,
        values,
        keys,
        parameters,
        settings,
        np.log(live.clock[CLUTTER]),
        steps,
        p,
        rows,
        bears,
        serials,
        points,
        events,
    )
    by_place = m > g.LARGE and m == high - low and len(placed_values) > 0
    if len(placed_values) and not by_place:
        placed_values[low:high] = values[low:high]
        placed_keys[low:high] = keys[low:high]
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
    cell_m = live.clock[CELL]
    at = values[rows[0], g.AT]  # the first
    grid_start, grid_order, places, density = g.hashed(values, rows, cell_m)
    if m > g.LARGE and density * cell_m * cell_m < 0.7:  # mostly empty: neighbours would lie far apart in memory
        cell_m = min(np.sqrt(1.5 / density), 50_000.0)
        grid_start, grid_order, places, density = g.hashed(values, rows, cell_m)
    if len(placed_values):
        if by_place:
            in_places(values, keys, low, grid_order, placed_values, placed_keys)
        values, keys = placed_values, placed_keys
    taken, parent, found = np.zeros(m, np.bool_), np.full(m, -1, np.int64), np.empty(m, np.int64)
    w, looking = np.empty(ROWS * LANES), np.empty(LANES, np.int64)
    reach = 0.0
    for status in (CONFIRMED, TENTATIVE):
        looked = _paired(
            live, states, marks, now, status, at, values, keys, rows, taken, widest, density, parameters, settings,
            cell_m, grid_start, grid_order, places, steps, p, w, looking, found, parent, serials, points, events,
        )  # fmt: skip
        reach = max(reach, looked)
    # Of the next group: its own would need another pass over all tracks. As wide as two cells a look, or wider
    # where detections are so few that most cells are empty.
    mean = density * cell_m * cell_m
    wanted = cell_m * 1.5 if mean < 0.7 else max(2.0 * reach, cell_m / 1.5) if mean > 3.0 else cell_m
    live.clock[CELL] = min(max(wanted, 50.0), 50_000.0)
    begin_all(live, states, marks, rows, taken, parent, bears, values, keys, parameters, serials, points, events)
