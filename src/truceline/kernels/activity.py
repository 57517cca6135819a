"""Why fires burn in a cell: a hidden Markov chain over periods of days.

The *quiet* states have the background fires expected there and then, times a level (a week of field burning, a
wildfire); the *active* ones have that background and a rate of conflict fires beside it. `smooth` sees past and
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


class Chain(NamedTuple):
    """The states of a cell and how they follow each other. Probabilities are per period."""

    level: Floats  # (q,) quiet states: background fires, as a multiple of those expected
    weight: Floats  # (q,) how often each is met; sums to 1
    leave: Floats  # (q,) probability of leaving it for another quiet state (or for itself)
    enter: Floats  # (q,) where one that leaves goes; sums to 1, and keeps `weight` stationary
    rate: Floats  # (k,) active states: conflict fires per cell and day
    start: Floats  # (k,) which of them activity begins in; sums to 1
    move: float  # probability of moving to the next higher, and to the next lower rate
    end: float  # probability that activity ends


def chain(level: Floats, weight: Floats, stay: Floats, rate: Floats, start: Floats, move: float, end: float) -> Chain:
    """A chain from weights that need not sum to 1 and from `stay`, the mean length of quiet states, in periods."""
    weight = weight / weight.sum()
    leave = 1.0 - np.exp(-1.0 / stay)
    return Chain(level, weight, leave, weight * leave / (weight * leave).sum(), rate, start / start.sum(), move, end)


@njit(cache=True)
def _fading(x):  # type: ignore[no-untyped-def]
    """exp(-x) for x >= 0. Most cells expect next to nothing: there a series is exact to 2e-8, and faster."""
    if x < 0.25:
        return 1.0 - x * (1.0 - x * (0.5 - x * (1.0 / 6.0 - x * (1.0 / 24.0 - x * (1.0 / 120.0 - x / 720.0)))))
    return math.exp(-x)


@njit(cache=True)
def _weigh(fires, expected, watched, chain, out):  # type: ignore[no-untyped-def]
    """Likelihood of a count in each state, up to a factor that all states share."""
    quiet, active = len(chain.level), len(chain.rate)
    for s in range(quiet):
        out[s] = expected * chain.level[s]
    for s in range(active):
        out[quiet + s] = expected + watched * chain.rate[s]
    if fires == 0.0:
        least = out[0]
        for s in range(1, quiet + active):
            least = min(least, out[s])
        for s in range(quiet + active):
            out[s] = _fading(out[s] - least)
        return
    most = -np.inf
    for s in range(quiet + active):
        out[s] = fires * math.log(max(out[s], 1e-12)) - out[s]
        most = max(most, out[s])
    for s in range(quiet + active):
        out[s] = math.exp(out[s] - most)


@njit(cache=True)
def _step(now, onset, chain, out):  # type: ignore[no-untyped-def]
    """The states a period later; `onset` is the probability that activity begins."""
    quiet, active = len(chain.level), len(chain.rate)
    still, moving, busy = 0.0, 0.0, 0.0
    for s in range(quiet):
        still += now[s]
        moving += chain.leave[s] * now[s]
    for s in range(active):
        busy += now[quiet + s]
    for s in range(quiet):
        kept = (1.0 - chain.leave[s]) * now[s] + chain.enter[s] * moving
        out[s] = (1.0 - onset) * kept + chain.end * busy * chain.weight[s]
    for s in range(active):
        stay = now[quiet + s]
        if s > 0:
            stay += chain.move * (now[quiet + s - 1] - now[quiet + s])
        if s < active - 1:
            stay += chain.move * (now[quiet + s + 1] - now[quiet + s])
        out[quiet + s] = (1.0 - chain.end) * stay + onset * still * chain.start[s]


@njit(cache=True)
def _begin(onset, chain, out):  # type: ignore[no-untyped-def]
    """The states before anything was seen: as if the first period had lasted for ever."""
    quiet, active = len(chain.level), len(chain.rate)
    busy = onset / (onset + chain.end)
    for s in range(quiet):
        out[s] = chain.weight[s] * (1.0 - busy)
    for s in range(active):
        out[quiet + s] = chain.start[s] * busy


@njit(cache=True, error_model="numpy")
def smooth(fires: Floats, expected: Floats, watched: Floats, onset: Floats, chain: Chain) -> Floats:
    """Probability of each active state in each cell and period, given all periods.

    Parameters
    ----------
    fires : (c, t) float64
        Fires counted (fractions are welcome).
    expected : (c, t) float64
        Background fires expected, > 0 where anything was watched.
    watched : (c, t) float64
        Days on which a conflict fire would have been seen, in effect; 0 says nothing either way.
    onset : (c, t) float64
        Probability that activity begins with the period, in (0, 1).
    chain : Chain

    Returns
    -------
    (c, t, k) float64
        Their sum over k is the probability that the cell is active.
    """
    cells, periods = fires.shape
    quiet, active = len(chain.level), len(chain.rate)
    states = quiet + active
    out = np.zeros((cells, periods, active))
    forward, likely = np.zeros((periods, states)), np.zeros((periods, states))
    now, later, weighed = np.zeros(states), np.zeros(states), np.zeros(states)
    for c in range(cells):
        for t in range(periods):
            if t == 0:
                _begin(onset[c, 0], chain, later)
            else:
                _step(now, onset[c, t], chain, later)
            _weigh(fires[c, t], expected[c, t], watched[c, t], chain, likely[t])
            total = 0.0
            for s in range(states):
                now[s] = later[s] * likely[t, s]
                total += now[s]
            whole = 1.0 / total
            for s in range(states):
                now[s] *= whole
                forward[t, s] = now[s]
        later[:] = 1.0
        for t in range(periods - 1, -1, -1):
            total = 0.0
            for s in range(states):
                weighed[s] = forward[t, s] * later[s]
                total += weighed[s]
            for s in range(active):
                out[c, t, s] = weighed[quiet + s] / total
            if t == 0:
                break
            # `later` becomes the likelihood of this period and those after it, given the state of the one before
            most, quieter, entered, begun = 0.0, 0.0, 0.0, 0.0
            for s in range(states):
                weighed[s] = later[s] * likely[t, s]
            for s in range(quiet):
                quieter += chain.weight[s] * weighed[s]
                entered += chain.enter[s] * weighed[s]
            for s in range(active):
                begun += chain.start[s] * weighed[quiet + s]
            for s in range(quiet):
                kept = (1.0 - chain.leave[s]) * weighed[s] + chain.leave[s] * entered
                later[s] = (1.0 - onset[c, t]) * kept + onset[c, t] * begun
                most = max(most, later[s])
            for s in range(active):
                stay = weighed[quiet + s]
                if s > 0:
                    stay += chain.move * (weighed[quiet + s - 1] - weighed[quiet + s])
                if s < active - 1:
                    stay += chain.move * (weighed[quiet + s + 1] - weighed[quiet + s])
                later[quiet + s] = (1.0 - chain.end) * stay + chain.end * quieter
                most = max(most, later[quiet + s])
            whole = 1.0 / most
            for s in range(states):
                later[s] *= whole
    return out


@njit(cache=True, error_model="numpy")
def begin(onset: Floats, chain: Chain) -> Floats:
    """(c, q + k) states before anything was seen, from (c,) probabilities of onset."""
    out = np.zeros((len(onset), len(chain.level) + len(chain.rate)))
    for c in range(len(onset)):
        _begin(onset[c], chain, out[c])
    return out


@njit(cache=True)
def advance(states: Floats, onset: Floats, chain: Chain) -> Floats:
    """(c, q + k) states a period later, from (c, q + k) states and (c,) probabilities of onset."""
    out = np.zeros(states.shape)
    for c in range(len(states)):
        _step(states[c], onset[c], chain, out[c])
    return out


@njit(cache=True, error_model="numpy")
def absorb(states: Floats, fires: Floats, expected: Floats, watched: Floats, chain: Chain) -> Floats:
    """(c, q + k) states after the period's counts, (c,) each as in `smooth`, were seen."""
    out = np.zeros(states.shape)
    for c in range(len(states)):
        _weigh(fires[c], expected[c], watched[c], chain, out[c])
        total = 0.0
        for s in range(states.shape[1]):
            out[c, s] *= states[c, s]
            total += out[c, s]
        for s in range(states.shape[1]):
            out[c, s] /= total
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
    chain: Chain,
) -> Floats:
    """Probability of each active state at each detection of one period, given the passes up to its own.

    Parameters
    ----------
    states : (c, q + k) float64
        Before the period's first pass (`advance`).
    cell : (n,) int64
    at_s : (n,) float64
        Ascending (not checked).
    by_day, by_pass : (n,) float64
        What each adds to its cell's fires (`fresh`) once its day is over, and when it is seen.
    expected, watched : (n,) float64
        As in `smooth`, from the begin of the period to the detection.

    Returns
    -------
    (n, k) float64
    """
    cells, quiet, active = len(states), len(chain.level), len(chain.rate)
    out = np.zeros((len(cell), active))
    # fires of the days before, and of today's passes, in each cell; `today` belongs to the day in `dated`
    before, today, whole = np.zeros(cells), np.zeros(cells), np.zeros(cells)
    dated = np.full(cells, -1.0)
    likely = np.zeros(quiet + active)
    i = 0
    while i < len(cell):
        last = i
        while last < len(cell) and at_s[last] == at_s[i]:
            c, day = cell[last], math.floor(at_s[last] / 86400.0)
            if day != dated[c]:
                before[c] += whole[c]
                today[c], whole[c], dated[c] = 0.0, 0.0, day
            today[c] += by_pass[last]
            whole[c] += by_day[last]
            last += 1
        for k in range(i, last):
            c = cell[k]
            _weigh(before[c] + today[c], expected[k], watched[k], chain, likely)
            total = 0.0
            for s in range(quiet + active):
                likely[s] *= states[c, s]
                total += likely[s]
            for s in range(active):
                out[k, s] = likely[quiet + s] / total
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
        for k in range(len(chain.rate)):
            ours = watched[i] * chain.rate[k]
            for q in range(len(chain.level)):
                out[i] += active[i, k] * chain.weight[q] * ours / (ours + expected[i] * chain.level[q] + heat[i])
    return out
