"""What caused each satellite fire: the probability that it is the conflict's, and what that is made of.

A fire is the conflict's if its cell is active (`fuse.activity`) and if it is not one of the fires that burn there
and then anyway (`fuse.background`). Two numbers are kept apart: *online* uses what had been seen when the detection
was made, *settled* what the whole edition has seen. Formulas, priors with their sources, blind spots and
figures: docs/fires.md. Uncalibrated against truth, as there is none.

Fire power, confidence, scan angle and size have no part in this: near the line and far from it they do not differ.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from truceline.frame import Frame
from truceline.fuse.activity import ASSUMED, Assumed, Found, Scene, Stage, odds, online, settled
from truceline.fuse.background import PERIOD_DAYS, Background, Grid, fires_of
from truceline.fuse.signs import Reports, heat, hours, reported, stays
from truceline.kernels.activity import Chain, Quiet, chain, share

if TYPE_CHECKING:
    from truceline.line import Line

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MODEL = "fires 1, uncalibrated"
NO_BACKGROUND = "fires 1, no background, uncalibrated"

#: What a probability is made of, in the order in which it is made; natural log of odds.
FACTORS = ("line", "season", "activity", "steady heat", "hour", "reports", "later")

_DAY_S = 86_400.0

#: Something else may always have been the cause, and something unheard of the conflict's.
_LEAST, _MOST = 0.001, 0.99

#: Without a background: fires per cell and day from one in three years to one in ten days, all alike likely.
_ANY_RATE, _ANY_LEVELS = 0.01, (0.1, 1.0, 10.0)


class Lines(NamedTuple):
    """How far every cell of a grid is from the line, line by line."""

    grid: Grid
    day: Ints  # (v,) ascending, days since 1970: from then on it holds
    km: Floats  # (v, rows, columns), never negative


class Judged(NamedTuple):
    """One entry a detection, in the order given; NaN without place or time, and where neither background nor line
    speaks."""

    online: Floats
    settled: Floats
    factors: Mapping[str, Floats]  # FACTORS; they sum to the log odds of `settled`, without "later" of `online`
    background: Bools  # whether a background speaks of the place; where none does, only the line does


def lines(grid: Grid, days: Sequence[int], km: Callable[[int, Floats, Floats], npt.ArrayLike]) -> Lines:
    """Distances from dated lines.

    Parameters
    ----------
    grid
        The background's, or without one `grid_over` the detections.
    days
        Ascending; the days from which the lines hold, since 1970.
    km
        Distance in kilometres from the i-th line of points given by longitude and latitude; NaN: there is none.
    """
    lon, lat = grid.centres()
    each = [np.abs(np.asarray(km(i, lon, lat), np.float64)).reshape(grid.rows, grid.columns) for i in range(len(days))]
    table = np.stack(each) if each else np.zeros((0, grid.rows, grid.columns))
    return Lines(grid, np.array(days, np.int64), np.where(np.isnan(table), np.inf, table))


def dated_lines(grid: Grid, line: "Line", frame: Frame, days: Mapping[int, int] | None = None) -> Lines:
    """Distances from a mission's lines; `days` chooses some of them and says from when each holds, ascending."""
    chosen = {i: (one.day - date(1970, 1, 1)).days for i, one in enumerate(line.lines)} if days is None else days
    of = list(chosen)

    def km(i: int, lon: Floats, lat: Floats) -> Floats:
        unknown = np.full(len(lon), np.nan)
        found = line.lines[of[i]].against(*frame.to_local(lon, lat), unknown, unknown, unknown)
        return np.abs(found["line_distance_m"]) / 1000.0

    return lines(grid, list(chosen.values()), km)


def dated_km(lines: Lines | None, lon: Floats, lat: Floats, at_s: Floats) -> Floats:
    """Kilometres of each detection's cell from the line of its day; inf where there is none, or off the grid."""
    if lines is None or not len(lines.day):
        return np.full(len(lon), np.inf)
    version = np.searchsorted(lines.day, np.floor(at_s / _DAY_S), side="right") - 1
    row, column = lines.grid.cells(lon, lat)
    return np.where((version < 0) | (row < 0), np.inf, lines.km[np.maximum(version, 0), row, column])


def judge(
    background: Background | None,
    lon: Floats,
    lat: Floats,
    at_s: Floats,
    *,
    lines: Lines | None = None,
    night: Floats | None = None,
    reports: Reports | None = None,
    assumed: Assumed = ASSUMED,
    settled_only: bool = False,
) -> Judged:
    """The probability of each detection that the conflict caused it.

    A function of the set of detections: neither their order nor their batches matter.

    Parameters
    ----------
    background
        None: there is no baseline. Then probabilities follow the line alone, widened by all that may burn.
    lon, lat : (n,) float64
        Degrees.
    at_s : (n,) float64
        Seconds since 1970, UTC; midnight where only the day is known: then a day is one pass.
    lines
        None: no line; every place is then as likely as another. So it is on days before the first.
    night : (n,) float64
        1 for what was seen by night, 0 by day, NaN where that is not known.
    reports
        None where there are none. Days before the first and after the last say nothing.
    settled_only
        Leave `online` and the factors as NaN, which saves a third of the time.
    """
    if background is not None and lines is not None and lines.grid != background.grid:
        raise ValueError(f"the line's distances are on {lines.grid}, the background on {background.grid}")
    known = np.flatnonzero(np.isfinite(lon + lat + at_s))
    order = known[np.lexsort((lat[known], lon[known], at_s[known]))]
    place = lon[order], lat[order], at_s[order]
    km = dated_km(lines, *place)
    odds_then = odds(km, assumed)
    made = _line_alone(odds_then, assumed)
    spoken = np.zeros(len(order), np.bool_)
    if background is not None:
        row, column = background.grid.cells(*place[:2])
        spoken = (row >= 0) & background.covered[row, column]
    use = np.flatnonzero(spoken)
    if background is not None and len(use):
        seen = None if night is None else night[order[use]]
        lon_, lat_, at_ = (column[use] for column in place)
        made[:, use] = _in_steps(
            background, lon_, lat_, at_, lines, km[use], seen, reports, odds_then[use], assumed, settled_only
        )
    made[:, ~spoken & np.isinf(km)] = np.nan
    online_p, settled_p = np.full((2, len(lon)), np.nan)
    parts, background_speaks = np.full((len(FACTORS), len(lon)), np.nan), np.zeros(len(lon), np.bool_)
    settled_p[order], background_speaks[order] = made[-1], spoken
    if not settled_only:
        online_p[order] = made[-2]
        # each step adds what it changes in the log odds
        parts[:, order] = np.diff(np.log(made / (1.0 - made)), axis=0, prepend=0.0)
    return Judged(online_p, settled_p, dict(zip(FACTORS, parts, strict=True)), background_speaks)


def _bounded(p: Floats) -> Floats:
    return _LEAST + (_MOST - _LEAST) * p


def _line_alone(prior: Floats, assumed: Assumed) -> Floats:
    """(steps, n) where no background speaks: all that may burn, and the odds by distance."""
    any_level = np.array(_ANY_LEVELS)
    quiet = Quiet(any_level, 0.0 * any_level, 0.0 * any_level + 1.0, 0.0 * any_level + 1.0)
    anything = chain(quiet, np.array(assumed.rates), np.array(assumed.starts), 0.0)
    p = _share_of(prior, np.full(len(prior), _ANY_RATE), anything)
    return np.tile(_bounded(p), (len(FACTORS), 1))


def _share_of(prior: Floats, expected: Floats, made: Chain) -> Floats:
    """The conflict's share when all that is known is the odds that the cell is active."""
    active = (prior / (1.0 + prior))[:, None] * made.start
    one = np.ones(len(prior))
    return np.asarray(share(active, expected, one, 0.0 * one, made))


def _in_steps(
    background: Background,
    lon: Floats,
    lat: Floats,
    at_s: Floats,
    lines: Lines | None,
    line_km: Floats,
    night: Floats | None,
    reports: Reports | None,
    prior: Floats,
    assumed: Assumed,
    settled_only: bool,
) -> Floats:
    """(steps, n) probabilities, each step with one thing more taken into account: `FACTORS`. In the order of time."""
    steady = np.isin(background.spot_keys(lon, lat), background.steady)
    stage = Stage(_scene(background, lon, lat, at_s, lines), assumed)
    by_day, by_pass = np.zeros(len(lon)), np.zeros(len(lon))
    by_day[~steady], by_pass[~steady] = fires_of(background.grid, lon[~steady], lat[~steady], at_s[~steady])
    # online, later periods must not say what a detection counts for
    now, then = (1.0 - p for p in stays(background.grid, lon, lat, at_s, night))
    after, made = settled(stage, by_day * now), stage.chain
    known = heat(background, lon, lat, night)
    hour, said = hours(night, at_s, line_km, steady), reported(reports, background.grid, lon, lat, at_s)

    def of(found: Found, steady_heat: Floats) -> Floats:
        return np.asarray(share(found.active, found.expected, found.watched, steady_heat, made))

    last = _raised(of(after, known) * now, hour.settled * said.settled)
    if settled_only:
        return _bounded(np.tile(last, (len(FACTORS), 1)))
    before = online(stage, by_day * then, by_pass * then)
    usual = np.full(len(lon), background.rate[:, background.covered].mean())
    warm = of(before, known) * then
    steps = [
        _share_of(prior, usual, made),
        _share_of(prior, stage.season, made),
        of(before, np.zeros(len(lon))),
        warm,
        _raised(warm, hour.online),
        _raised(warm, hour.online * said.online),
        last,
    ]
    return _bounded(np.stack(steps))


def _raised(p: Floats, ratio: Floats) -> Floats:
    return np.asarray(p * ratio / (1.0 - p + p * ratio))


def _scene(background: Background, lon: Floats, lat: Floats, at_s: Floats, lines: Lines | None) -> Scene:
    row, column = background.grid.cells(lon, lat)
    day = np.floor(at_s / _DAY_S).astype(np.int64)
    first = int(day[0]) // PERIOD_DAYS * PERIOD_DAYS
    periods = int(day[-1] - first) // PERIOD_DAYS + 1
    seen = np.zeros(periods * PERIOD_DAYS, np.bool_)
    seen[day - first] = True
    # version 0 is no line; a period has the line of its first day (or of the first day there is): online no line is
    # known before its time
    line, line_km = np.zeros(periods, np.int64), np.full((1, background.grid.rows, background.grid.columns), np.inf)
    if lines is not None:
        starts = np.maximum(first + PERIOD_DAYS * np.arange(periods), day[0])
        line = np.searchsorted(lines.day, starts, side="right")
        line_km = np.concatenate([line_km, lines.km])
    return Scene(background, first, periods, row, column, at_s, day - first, seen, line, line_km)
