"""Why fires burn in a cell: a hidden Markov chain over periods of days.

The *quiet* states have the background fires expected there and then, times a level (a week of field burning), and
perhaps a rate of fires that nothing expected (a peat bog, a tip); the *active* ones have the background and a rate of
conflict fires beside it. `smooth` sees past and
future; `begin`, `advance` and `absorb`, a period at a time, only the past; `so_far` only the passes up to each
detection's own; `share` says how much of a fire is then the conflict's.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


#: Cells that `smooth` does together: what it keeps of them, half a megabyte a state, stays in the processor's cache.
_TOGETHER = 128


class Chain(NamedTuple):
    """The states of a cell, the q quiet ones first, and how they follow each other. Probabilities are per period."""

    level: Floats  # (q + k,) background fires, as a multiple of those expected
    rate: Floats  # (q + k,) fires beside those, per cell and day
    weight: Floats  # (q,) how often each quiet state is met; sums to 1
    leave: Floats  # (q,) probability of leaving it for another quiet state (or for itself)
    enter: Floats  # (q,) where one that leaves goes; sums to 1, and keeps `weight` stationary
    start: Floats  # (k,) which active state activity begins in; sums to 1
    move: float  # probability of moving to the next higher, and to the next lower active state


class Quiet(NamedTuple):
    """Quiet states: (q,) each."""

    level: Floats
    rate: Floats
    weight: Floats  # need not sum to 1
    periods: Floats  # how long one lasts, on average


def chain(quiet: Quiet, rate: Floats, start: Floats, move: float) -> Chain:
    """A chain of quiet states and of active ones with (k,) rates; `start` need not sum to 1."""
    weight = quiet.weight / quiet.weight.sum()
    leave = 1.0 - np.exp(-1.0 / quiet.periods)
    return Chain(
        level=np.concatenate([quiet.level, np.ones(len(rate))]),
        rate=np.concatenate([quiet.rate, rate]),
        weight=weight,
        leave=leave,
        enter=weight * leave / (weight * leave).sum(),
        start=start / start.sum(),
        move=move,
    )


@njit(cache=True, error_model="numpy")
def _weigh(fires, expected, watched, chain, out):  # type: ignore[no-untyped-def]
    """(states, cells) likelihood of the counts of some cells, up to a factor that the states of a cell share."""
    states, cells = len(chain.level), len(fires)
    lowest = chain.level.min()
    for s in range(states):
        level, rate = chain.level[s] - lowest, chain.rate[s]
        for c in range(cells):
            # exp(-x) as a series of x / 64, squared six times: to 1e-8, and a loop that the processor does by fours
            x = min(expected[c] * level + watched[c] * rate, 60.0) / 64.0
            y = 1.0 - x * (1.0 - x / 2.0 * (1.0 - x / 3.0 * (1.0 - x / 4.0 * (1.0 - x / 5.0 * (1.0 - x / 6.0)))))
            y = y * y
            y = y * y
            y = y * y
            y = y * y
            y = y * y
            out[s, c] = y * y
    for c in range(cells):
        if fires[c] > 0.0:
            most = 1e-12
            for s in range(states):
                most = max(most, expected[c] * chain.level[s] + watched[c] * chain.rate[s])
            for s in range(states):
                due = max(expected[c] * chain.level[s] + watched[c] * chain.rate[s], 1e-12)
                out[s, c] *= math.exp(fires[c] * math.log(due / most))


@njit(cache=True, error_model="numpy")
def _step(now, onset, end, chain, out):  # type: ignore[no-untyped-def]
    """The states a period later, (states, cells); with `onset` activity begins, with `end` it ends."""
    quiet, active, cells = len(chain.weight), len(chain.start), now.shape[1]
    still, moving, busy = np.zeros(cells), np.zeros(cells), np.zeros(cells)
    for s in range(quiet):
        leave = chain.leave[s]
        for c in range(cells):
            still[c] += now[s, c]
            moving[c] += leave * now[s, c]
    for s in range(active):
        for c in range(cells):
            busy[c] += now[quiet + s, c]
    for s in range(quiet):
        kept, enter, weight = 1.0 - chain.leave[s], chain.enter[s], chain.weight[s]
        for c in range(cells):
            out[s, c] = (1.0 - onset[c]) * (kept * now[s, c] + enter * moving[c]) + end[c] * weight * busy[c]
    for s in range(active):
        # a rate at either end moves one way only: the other neighbour is then itself
        below, above = quiet + max(s - 1, 0), quiet + min(s + 1, active - 1)
        start, here = chain.start[s], quiet + s
        for c in range(cells):
            stay = now[here, c] + chain.move * (now[below, c] + now[above, c] - 2.0 * now[here, c])
            out[here, c] = (1.0 - end[c]) * stay + onset[c] * start * still[c]


@njit(cache=True, error_model="numpy")
def _back(weighed, onset, end, chain, out):  # type: ignore[no-untyped-def]
    """How likely what follows is, given the states of the period before: (states, cells) from those of this one."""
    quiet, active, cells = len(chain.weight), len(chain.start), weighed.shape[1]
    quieter, entered, begun = np.zeros(cells), np.zeros(cells), np.zeros(cells)
    for s in range(quiet):
        weight, enter = chain.weight[s], chain.enter[s]
        for c in range(cells):
            quieter[c] += weight * weighed[s, c]
            entered[c] += enter * weighed[s, c]
    for s in range(active):
        start = chain.start[s]
        for c in range(cells):
            begun[c] += start * weighed[quiet + s, c]
    for s in range(quiet):
        leave = chain.leave[s]
        for c in range(cells):
            kept = (1.0 - leave) * weighed[s, c] + leave * entered[c]
            out[s, c] = (1.0 - onset[c]) * kept + onset[c] * begun[c]
    for s in range(active):
        below, above, here = quiet + max(s - 1, 0), quiet + min(s + 1, active - 1), quiet + s
        for c in range(cells):
            stay = weighed[here, c] + chain.move * (weighed[below, c] + weighed[above, c] - 2.0 * weighed[here, c])
            out[here, c] = (1.0 - end[c]) * stay + end[c] * quieter[c]


@njit(cache=True, error_model="numpy")
def _whole(states):  # type: ignore[no-untyped-def]
    """Each cell's states scaled to sum to 1, in place."""
    total = np.zeros(states.shape[1])
    for s in range(states.shape[0]):
        for c in range(states.shape[1]):
            total[c] += states[s, c]
    for c in range(states.shape[1]):
        total[c] = 1.0 / total[c]
    for s in range(states.shape[0]):
        for c in range(states.shape[1]):
            states[s, c] *= total[c]


@njit(cache=True, error_model="numpy")
def begin(onset: Floats, end: Floats, chain: Chain) -> Floats:
    """(q + k, c) states before anything was seen, from (c,) probabilities that activity begins and ends."""
    quiet = len(chain.weight)
    out = np.empty((len(chain.level), len(onset)))
    for c in range(len(onset)):
        busy = onset[c] / (onset[c] + end[c])
        for s in range(quiet):
            out[s, c] = chain.weight[s] * (1.0 - busy)
        for s in range(len(chain.start)):
            out[quiet + s, c] = chain.start[s] * busy
    return out


@njit(cache=True, error_model="numpy")
def advance(states: Floats, onset: Floats, end: Floats, chain: Chain) -> Floats:
    """(q + k, c) states a period later, from (q + k, c) states and (c,) probabilities that activity begins and ends."""
    out = np.empty(states.shape)
    _step(states, onset, end, chain, out)
    return out


@njit(cache=True, error_model="numpy")
def absorb(states: Floats, fires: Floats, expected: Floats, watched: Floats, chain: Chain) -> Floats:
    """(q + k, c) states after the period's counts, (c,) each as in `smooth`, were seen."""
    out = np.empty(states.shape)
    _weigh(fires, expected, watched, chain, out)
    out *= states
    _whole(out)
    return out


@njit(cache=True, error_model="numpy")
def smooth(fires: Floats, expected: Floats, watched: Floats, onset: Floats, end: Floats, chain: Chain) -> Floats:
    """Probability of each active state in each cell and period, given all periods.

    Parameters
    ----------
    fires : (t, c) float64
        Fires counted (fractions are welcome).
    expected : (t, c) float64
        Background fires expected, > 0 where anything was watched.
    watched : (t, c) float64
        Days on which a conflict fire would have been seen, in effect; 0 says nothing either way.
    onset, end : (t, c) float64
        Probability that activity begins, and that it ends, with the period, in (0, 1).
    chain : Chain

    Returns
    -------
    (t, k, c) float64
        Their sum over k is the probability that the cell is active.
    """
    periods, cells = fires.shape
    quiet, states = len(chain.weight), len(chain.level)
    out = np.empty((periods, states - quiet, cells))
    for first in range(0, cells, _TOGETHER):
        width = min(_TOGETHER, cells - first)
        rows = slice(first, first + width)
        forward = np.empty((periods, states, width))
        likely = np.empty((periods, states, width))
        for t in range(periods):
            _weigh(fires[t, rows], expected[t, rows], watched[t, rows], chain, likely[t])
            if t == 0:
                forward[0] = begin(onset[0, rows], end[0, rows], chain)
            else:
                _step(forward[t - 1], onset[t, rows], end[t, rows], chain, forward[t])
            forward[t] *= likely[t]
            _whole(forward[t])
        later = np.ones((states, width))
        for t in range(periods - 1, -1, -1):
            both = forward[t] * later
            _whole(both)
            out[t, :, rows] = both[quiet:]
            likely[t] *= later
            _back(likely[t], onset[t, rows], end[t, rows], chain, later)
            _whole(later)
    return out


@njit(cache=True, error_model="numpy")
def so_far(
    states: Floats,
    cell: Ints,
    at_s: Floats,
    by_day: Floats,
    by_pass: Floats,
    expected: Floats,
    watched: Floats,
    most_a_day: float,
    chain: Chain,
) -> Floats:
    """Probability of each active state at each detection of one period, given the passes up to its own.

    Parameters
    ----------
    states : (q + k, c) float64
        Before the period's first pass (`advance`).
    cell : (n,) int64
    at_s : (n,) float64
        Ascending (not checked).
    by_day, by_pass : (n,) float64
        What each adds to its cell's fires (`fresh`) once its day is over, and when it is seen.
    expected, watched : (n,) float64
        As in `smooth`, from the begin of the period to the detection.
    most_a_day
        More fires than this of one cell and day count for no more.

    Returns
    -------
    (n, k) float64
    """
    cells, quiet, active = states.shape[1], len(chain.weight), len(chain.start)
    out = np.zeros((len(cell), active))
    # fires of the days before, and of today's passes, in each cell; `today` belongs to the day in `dated`
    before, today, whole = np.zeros(cells), np.zeros(cells), np.zeros(cells)
    dated = np.full(cells, -1.0)
    likely = np.zeros((quiet + active, 1))
    i = 0
    while i < len(cell):
        last = i
        while last < len(cell) and at_s[last] == at_s[i]:
            c, day = cell[last], math.floor(at_s[last] / 86400.0)
            if day != dated[c]:
                before[c] += min(whole[c], most_a_day)
                today[c], whole[c], dated[c] = 0.0, 0.0, day
            today[c] += by_pass[last]
            whole[c] += by_day[last]
            last += 1
        for k in range(i, last):
            c = cell[k]
            fires = np.array([before[c] + min(today[c], most_a_day)])
            _weigh(fires, expected[k : k + 1], watched[k : k + 1], chain, likely)
            total = 0.0
            for s in range(quiet + active):
                likely[s, 0] *= states[s, c]
                total += likely[s, 0]
            for s in range(active):
                out[k, s] = likely[quiet + s, 0] / total
        i = last
    return out


@njit(cache=True, error_model="numpy")
def share(active: Floats, expected: Floats, watched: Floats, heat: Floats, chain: Chain) -> Floats:
    """Probability that a fire is the conflict's: that its cell is active, and that this is one of its fires.

    Parameters
    ----------
    active : (n, k) float64
        Probability of each active state.
    expected : (n,) float64
        Background fires per cell and day expected then and there.
    watched : (n,) float64
        As in `smooth`, of one day.
    heat : (n,) float64
        Steady heat on the spot, fires per cell and day if the whole cell were as hot.

    Returns
    -------
    (n,) float64
        The background's level is not known, and averaged over.
    """
    out = np.zeros(len(expected))
    for i in range(len(expected)):
        for k in range(len(chain.start)):
            ours = watched[i] * chain.rate[len(chain.weight) + k]
            for q in range(len(chain.weight)):
                others = expected[i] * chain.level[q] + watched[i] * chain.rate[q] + heat[i]
                out[i] += active[i, k] * chain.weight[q] * ours / (ours + others)
    return out
