"""Where along the line the conflict burns: the chain of `kernels.activity` over all cells, coupled.

A cell's chance that activity begins depends on how far it is from the line, and on how active the cells round it and
the sector of the line it lies in are, compared with what their distance alone would say: so a front that is quiet
everywhere else is not believed here, and the model cannot paint it.

`settled` knows the whole edition. `online` goes from period to period and knows only what had been seen when each
detection was made.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from truceline.fuse.background import BLOCK, MOST_A_DAY, PERIOD_DAYS, SEASONS, Background
from truceline.kernels.activity import Chain, Quiet, absorb, advance, begin, chain, smooth, so_far
from truceline.kernels.fires import blur, pooled, unpooled, unpooled_at

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Assumed:
    """What the model takes for granted; docs/fires.md has the reasons, and what changes when these change.

    Rates are fires per cell (a tenth of a degree) and day.
    """

    #: Odds that a cell is active: on the line, falling by e with each `front_km`, and in the rear, with `rear_km`.
    #: Guns and small drones reach 10 to 30 km; strikes farther behind are few (assumption, low).
    front_odds: float = 2.5
    front_km: float = 10.0
    rear_odds: float = 0.006
    rear_km: float = 40.0
    #: Anywhere else, if there is a line (fighting for weeks far from it is nearly excluded), and if there is none.
    far_odds: float = 3e-6
    no_line_odds: float = 0.02
    #: Online, when nothing that followed can confirm it, the odds are this part of those (assumption, low).
    unconfirmed: float = 0.3
    #: How long activity lasts: weeks at the front, days in the rear, where strikes are single; in between by distance.
    lasts_days: float = 45.0
    rear_lasts_days: float = 10.0
    #: How often a day the rate of activity moves to the next above, and to the next below.
    moves_a_day: float = 0.05
    #: Conflict fires: one in 25 days, one a week, two in three days; which of these activity begins with.
    rates: tuple[float, ...] = (0.04, 0.16, 0.64)
    starts: tuple[float, ...] = (0.4, 0.35, 0.25)
    #: Background fires come at these multiples of what is expected, and beside them at these rates, this often, for so
    #: many days. Fitted to the years 2019 to 2021 of Ukraine, each held out of its baseline; but for the last, which
    #: stands for what no season expects, a wildfire, a peat bog, a tip (assumption, low).
    levels: tuple[float, ...] = (0.4, 1.3, 3.8, 1.0)
    others: tuple[float, ...] = (0.0, 0.0, 0.0, 0.5)
    weights: tuple[float, ...] = (0.535, 0.4, 0.065, 0.001)
    level_days: tuple[float, ...] = (30.0, 30.0, 30.0, 10.0)
    #: How strongly neighbours and the sector of the line pull (power), how far they reach (km), and for how long
    #: a sector is remembered (periods); `doubt` is the share of active cells below which shares are not compared.
    near: tuple[float, float] = (0.4, 20.0)
    sector: tuple[float, float, float] = (0.6, 120.0, 12.0)
    doubt: float = 0.002
    #: Cells count for that by their nearness to the line, falling by e with so many km.
    count_km: float = 15.0
    #: How often the cells are looked at again in the light of each other.
    settlings: int = 8


ASSUMED = Assumed()


#: Sensor, weather and season act on whole regions: under a normal curve of so many km and days (a past half as
#: long again, online), with so many expected fires of doubt; fires come in twos, so half of them count.
_REGION_KM, _REGION_DAYS, _REGION_DOUBT, _TOGETHER = 90.0, 2.5, 3.0, 2.0
#: Regions are never taken for darker or (for the conflict's fires) brighter than this.
_DARK, _BRIGHT = 0.1, 3.0
#: No period begins activity for certain.
_MOST_ONSET = 0.9
#: Farther from the line than three times `count_km`, cells neither change others nor are changed by them.
_COUNTS = 0.05


class Scene(NamedTuple):
    """What was seen, in the order of time: one entry a detection that the background can speak of."""

    background: Background
    first_day: int  # of the first period; a multiple of PERIOD_DAYS
    periods: int
    row: Ints
    column: Ints
    at_s: Floats
    day: Ints  # from `first_day`
    seen: npt.NDArray[np.bool_]  # (days,) some satellite saw something somewhere
    line: Ints  # (periods,) which of `line_km` holds
    line_km: Floats  # (v, rows, columns); inf where there is no line


class Found(NamedTuple):
    """At each detection: the active states, and what the background would be then and there."""

    active: Floats  # (n, k)
    expected: Floats  # (n,) fires per cell and day
    watched: Floats  # (n,) as in `kernels.activity.smooth`, of one day


def the_chain(assumed: Assumed, background_years: float) -> Chain:
    """The chain in periods. A short baseline is worth less: high levels are then commoner."""
    doubt = (1.0 + 1.0 / max(background_years, 0.5)) / (1.0 + 1.0 / 7.0)
    levels = np.array(assumed.levels)
    weights = np.array(assumed.weights) * np.where(levels > 2.0, doubt, 1.0)
    quiet = Quiet(levels, np.array(assumed.others), weights, np.array(assumed.level_days) / PERIOD_DAYS)
    move = 1.0 - np.exp(-PERIOD_DAYS * assumed.moves_a_day)
    return chain(quiet, np.array(assumed.rates), np.array(assumed.starts), move)


def odds(line_km: Floats, assumed: Assumed) -> Floats:
    """Prior odds that a cell is active, by its distance from the line."""
    by_distance = (
        assumed.front_odds * np.exp(-line_km / assumed.front_km)
        + assumed.rear_odds * np.exp(-line_km / assumed.rear_km)
        + assumed.far_odds
    )
    return np.where(np.isfinite(line_km), by_distance, assumed.no_line_odds)


def ends(line_km: Floats, assumed: Assumed) -> Floats:
    """Probability that activity ends within a period, by its distance from the line."""
    at_front = np.where(np.isfinite(line_km), np.exp(-line_km / assumed.rear_km), 1.0)
    lasts = assumed.rear_lasts_days + (assumed.lasts_days - assumed.rear_lasts_days) * at_front
    return np.asarray(1.0 - np.exp(-PERIOD_DAYS / lasts))


def _rate(scene: Scene, rows: Ints, columns: Ints) -> Floats:
    """(t, c) background fires per cell and day of the season."""
    middle = scene.first_day + PERIOD_DAYS * np.arange(scene.periods) + PERIOD_DAYS // 2
    date = middle.astype("datetime64[D]")
    day_of_year = (date - date.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.float64)
    place = (day_of_year + 0.5) / PERIOD_DAYS - 0.5
    before = np.floor(place).astype(np.int64)
    later = (place - before)[:, None]
    table = scene.background.rate[:, rows, columns]
    return np.asarray(table[before % SEASONS] * (1.0 - later) + table[(before + 1) % SEASONS] * later)


def settled(stage: "Stage", by_day: Floats) -> Found:
    """What the whole edition says; `by_day` is what each detection counts for, with its day."""
    scene, made = stage.scene, stage.chain
    # only near the line do cells change each other: the rest is looked at once, at the end
    near, fires = stage.near, stage.counted(by_day)
    busy, shift = np.zeros((2, scene.periods, len(near)))
    mine, at_first, ending = (np.ascontiguousarray(values[:, near]) for values in (fires, stage.onset, stage.end))
    burnt = stage.burnt(by_day)
    for _ in range(stage.assumed.settlings - 1):
        expected, watched = stage.exposure(stage.region(busy, burnt, by_day), near)
        busy = smooth(mine, expected, watched, _shifted(at_first, shift), ending, made).sum(axis=1)
        shift = stage.coupled(busy)
    region = stage.region(busy, burnt, by_day)
    onset = stage.onset.copy()
    onset[:, near] = _shifted(at_first, shift)
    seen = np.unique(stage.cell)
    expected, watched = stage.exposure(region, seen)
    active = smooth(np.ascontiguousarray(fires[:, seen]), expected, watched, onset[:, seen], stage.end[:, seen], made)
    here = unpooled_at(region, BLOCK, scene.day, scene.row, scene.column)
    at = np.ascontiguousarray(active[stage.period, :, np.searchsorted(seen, stage.cell)])
    return Found(at, here * stage.season, np.minimum(here, _BRIGHT))


def online(stage: "Stage", by_day: Floats, by_pass: Floats) -> Found:
    """What could be said of each detection when it was made; `by_pass` is what it counts for before its day is over."""
    scene, made = stage.scene, stage.chain
    memory, fires = _Memory(stage, by_day), stage.counted(by_day)
    active, here = np.zeros((len(scene.row), len(made.start))), np.ones(len(scene.row))
    starts = np.searchsorted(scene.day, np.arange(0, (scene.periods + 1) * PERIOD_DAYS, PERIOD_DAYS))
    states = begin(stage.onset_online[0], stage.end[0], made)
    busy = states[len(made.weight) :].sum(axis=0)
    for t in range(scene.periods):
        if t:
            states = advance(states, _shifted(stage.onset_online[t], memory.coupled(busy, t)), stage.end[t], made)
        mine = slice(starts[t], starts[t + 1])
        before, yesterday, whole = memory.days(t, busy, mine)
        place = scene.row[mine], scene.column[mine]
        within = scene.day[mine] - t * PERIOD_DAYS
        here[mine] = unpooled_at(yesterday, BLOCK, within, *place)
        past = unpooled_at(before, BLOCK, within, *place) + here[mine]
        active[mine] = so_far(
            states,
            stage.cell[mine],
            scene.at_s[mine],
            by_day[mine],
            by_pass[mine],
            stage.season[mine] * past,
            np.minimum(past, _BRIGHT * (within + 1.0)),
            MOST_A_DAY,
            made,
        )
        region = unpooled(whole[None], BLOCK, stage.rows, stage.columns)[0]
        states = absorb(states, fires[t], stage.rate[t] * region, np.minimum(region, _BRIGHT * PERIOD_DAYS), made)
        busy = states[len(made.weight) :].sum(axis=0)
    return Found(active, here * stage.season, np.minimum(here, _BRIGHT))


def _shifted(p: Floats, log_odds: Floats) -> Floats:
    raised = p / (1.0 - p) * np.exp(log_odds)
    return np.asarray(raised / (1.0 + raised))


class Stage:
    """What both ways of looking share. Of covered cells: (t, c) arrays, c as in `rows` and `columns`."""

    def __init__(self, scene: Scene, assumed: Assumed) -> None:
        background = scene.background
        self.scene, self.assumed, self.grid = scene, assumed, background.grid
        self.chain = the_chain(assumed, background.years)
        self.rows, self.columns = np.nonzero(background.covered)
        cell_of = np.full(background.covered.shape, -1)
        cell_of[self.rows, self.columns] = np.arange(len(self.rows))
        self.cell = cell_of[scene.row, scene.column]
        self.period = scene.day // PERIOD_DAYS
        self.rate = _rate(scene, self.rows, self.columns)
        self.season = self.rate[self.period, self.cell]
        # by the few versions of the line first, then by period
        line_km = scene.line_km[:, self.rows, self.columns]
        prior = odds(line_km, assumed)
        confirmed = np.where(np.isfinite(line_km), assumed.unconfirmed, 1.0)
        end = ends(line_km, assumed)
        # onset / (onset + end) is the share of active cells when nothing is known
        self.end = end[scene.line]
        self.onset = np.minimum(prior * end, _MOST_ONSET)[scene.line]
        self.onset_online = np.minimum(prior * confirmed * end, _MOST_ONSET)[scene.line]
        counting = np.where(np.isfinite(line_km), np.exp(-line_km / assumed.count_km), 1.0)
        self.counting = counting[scene.line]
        self.near = np.flatnonzero(self.counting.max(axis=0, initial=0.0) > _COUNTS)
        self.counts, self.near_rate = (np.ascontiguousarray(v[:, self.near]) for v in (self.counting, self.rate))
        self.near_of = np.full(len(self.rows), -1)
        self.near_of[self.near] = np.arange(len(self.near))
        self.close = np.flatnonzero(self.near_of[self.cell] >= 0)  # detections in `near` cells
        across = self.grid.columns // BLOCK
        block = (scene.row // BLOCK) * across + scene.column // BLOCK
        self.day_block = scene.day * (self.grid.rows // BLOCK) * across + block
        self.steps = background.grid.steps_per_km
        self.due = pooled(self.on_grid(self.rate), BLOCK)
        # how the surroundings are is asked in the box of cells near the line only, in whole blocks
        rows, columns = self.rows[self.near] // BLOCK, self.columns[self.near] // BLOCK
        self.box = tuple(
            (int(v.min()) * BLOCK, (int(v.max()) + 2) * BLOCK) if len(v) else (0, 0) for v in (rows, columns)
        )
        share = (self.onset / (self.onset + self.end))[:, self.near]
        self.surroundings = [self._around(values) for values in (share * self.counts, self.counts)]

    def counted(self, by_day: Floats) -> Floats:
        """(t, c) fires."""
        shape = self.rate.shape
        counted = np.bincount(self.period * shape[1] + self.cell, by_day, minlength=shape[0] * shape[1])
        return np.asarray(counted.reshape(shape), np.float64)

    def on_grid(self, cells: Floats) -> Floats:
        """(t, c) to (t, rows, columns)."""
        out = np.zeros((len(cells), self.grid.rows, self.grid.columns))
        out[:, self.rows, self.columns] = cells
        return out

    def burnt(self, by_day: Floats) -> Floats:
        """(days, block rows, block columns) what burnt, for whatever reason."""
        blocks = self.grid.rows // BLOCK, self.grid.columns // BLOCK
        counted = np.bincount(self.day_block, by_day, minlength=len(self.scene.seen) * blocks[0] * blocks[1])
        return np.asarray(counted.reshape(-1, *blocks), np.float64)

    def region(self, busy: Floats, burnt: Floats, by_day: Floats) -> Floats:
        """(days, block rows, block columns) what burns, compared with the season, where the conflict is not.

        `busy` is (t, c) of `near` cells: only there fires and what is expected are changed by it.
        """
        scene, near, close = self.scene, self.near, self.close
        taken = by_day[close] * busy[self.period[close], self.near_of[self.cell[close]]]
        others = burnt - np.bincount(self.day_block[close], taken, minlength=burnt.size).reshape(burnt.shape)
        blocks = burnt.shape[1:]
        block = (self.rows[near] // BLOCK) * blocks[1] + self.columns[near] // BLOCK
        place = np.arange(scene.periods)[:, None] * blocks[0] * blocks[1] + block
        active = np.bincount(place.ravel(), (self.near_rate * busy).ravel(), minlength=self.due.size)
        still = np.repeat(self.due - active.reshape(self.due.shape), PERIOD_DAYS, axis=0) * scene.seen[:, None, None]
        rows, columns = self.region_steps
        extent = 2.0 * np.sqrt(np.pi) * _REGION_DAYS * self.region_extent
        found, due = (blur(np.asarray(v, np.float64), _REGION_DAYS, rows, columns) for v in (others, still))
        return np.asarray(np.maximum((_REGION_DOUBT + extent * found) / (_REGION_DOUBT + extent * due), _DARK))

    @property
    def region_steps(self) -> tuple[float, float]:
        """A region's spread in blocks."""
        return _REGION_KM * self.steps[0] / BLOCK, _REGION_KM * self.steps[1] / BLOCK

    @property
    def region_extent(self) -> float:
        """How many blocks it spreads over, halved for fires that come in twos."""
        return float(4.0 * np.pi * self.region_steps[0] * self.region_steps[1] / _TOGETHER)

    def exposure(self, region: Floats, cells: Ints) -> tuple[Floats, Floats]:
        """(t, c) each, of some cells: background fires expected, and days on which conflict fires would be seen."""
        seen = self.scene.seen[:, None, None]
        starts = np.arange(0, len(region), PERIOD_DAYS)
        burning, bright = (
            unpooled(np.add.reduceat(v * seen, starts, axis=0), BLOCK, self.rows[cells], self.columns[cells])
            for v in (region, np.minimum(region, _BRIGHT))
        )
        return self.rate[:, cells] * burning, bright

    def coupled(self, busy: Floats) -> Floats:
        """(t, c) by how much more active its surroundings are than their distance says, log odds, of `near` cells."""
        around = zip(self._around(busy * self.counts), *self.surroundings, strict=True)
        powers = self.assumed.near[0], self.assumed.sector[0]
        return np.asarray(sum(power * self.excess(*parts) for power, parts in zip(powers, around, strict=True)))

    def _around(self, values: Floats) -> tuple[Floats, Floats]:
        """(t, c) of `near` cells: their neighbours, and their sector."""
        if not len(self.near):
            return values, values
        (top, bottom), (left, right) = self.box
        place = self.rows[self.near] - top, self.columns[self.near] - left
        grid = np.zeros((len(values), bottom - top, right - left))
        grid[:, *place] = values
        rows, columns = self.steps
        _, km = self.assumed.near
        neighbours = blur(grid, 0.0, km * rows, km * columns)[:, *place]
        _, km, periods = self.assumed.sector
        sector = blur(pooled(grid, BLOCK), periods, km * rows / BLOCK, km * columns / BLOCK)
        return neighbours, unpooled(sector, BLOCK, *place)

    def excess(self, busy: Floats, prior: Floats, counting: Floats) -> Floats:
        """Log of how much more is active than the distance from the line says."""
        doubt = self.assumed.doubt * counting + 1e-9
        return np.asarray(np.log((busy + doubt) / (prior + doubt)))


class _Memory:
    """What is known of the region and of the sectors from what has been seen, day by day."""

    def __init__(self, stage: Stage, by_day: Floats) -> None:
        self.stage, self.by_day = stage, by_day
        blocks = stage.grid.rows // BLOCK, stage.grid.columns // BLOCK
        self.found, self.due, self.region = np.zeros(blocks), np.zeros(blocks), np.ones(blocks)
        self.sector = np.zeros((3, *blocks))
        self.prior = stage.onset_online / (stage.onset_online + stage.end)

    def days(self, t: int, busy: Floats, mine: slice) -> tuple[Floats, Floats, Floats]:
        """Of each day of the period: how much had burnt in it before, and the region as of the evening before;
        and how much burnt in the whole period."""
        stage, scene = self.stage, self.stage.scene
        blocks = self.found.shape
        weight = self.by_day[mine] * (1.0 - busy[stage.cell[mine]])
        flat = (scene.row[mine] // BLOCK) * blocks[1] + scene.column[mine] // BLOCK
        within = scene.day[mine] - t * PERIOD_DAYS
        due = pooled(stage.on_grid((stage.rate[t] * (1.0 - busy))[None]), BLOCK)[0]
        share = 1.0 - np.exp(-1.0 / (2.0 * _REGION_DAYS))
        extent = (2.0 - share) / share * stage.region_extent
        before, yesterday, whole = [], [], np.zeros(blocks)
        for day in range(PERIOD_DAYS):
            before.append(whole)
            yesterday.append(self.region)
            if not scene.seen[t * PERIOD_DAYS + day]:
                continue
            today = within == day
            found = np.bincount(flat[today], weight[today], minlength=self.found.size).reshape(blocks)
            self.found = self.found + share * (found - self.found)
            self.due = self.due + share * (due - self.due)
            both = blur(np.stack([self.found, self.due]), 0.0, *stage.region_steps)
            ratio = (_REGION_DOUBT + extent * both[0]) / (_REGION_DOUBT + extent * both[1])
            self.region = np.maximum(ratio, _DARK)
            whole = whole + self.region
        return np.stack(before), np.stack(yesterday), whole

    def coupled(self, busy: Floats, t: int) -> Floats:
        """(c,) as `Stage.coupled`, from the period before `t`."""
        stage = self.stage
        counting = stage.counting[t - 1]
        parts = stage.on_grid(np.stack([busy * counting, self.prior[t - 1] * counting, counting]))
        rows, columns = stage.steps
        power, km = stage.assumed.near
        neighbours = blur(parts, 0.0, km * rows, km * columns)[:, stage.rows, stage.columns]
        out = power * stage.excess(*neighbours)
        power, km, periods = stage.assumed.sector
        self.sector += (1.0 - np.exp(-1.0 / periods)) * (pooled(parts, BLOCK) - self.sector)
        sector = blur(self.sector, 0.0, km * rows / BLOCK, km * columns / BLOCK)
        out += power * stage.excess(*unpooled(sector, BLOCK, stage.rows, stage.columns))
        out[stage.counting[t] <= _COUNTS] = 0.0
        return np.asarray(out)
