"""Which fires are the conflict's: speed, and every figure of docs/fires.md, in one run.

    python bench/fires.py            all of what follows
    python bench/fires.py speed      the background built and read from its cache; detections a second
    python bench/fires.py peace      called conflict in peaceful years, with lines laid over them
    python bench/fires.py truth      against conflict fires invented along the line, by variant
    python bench/fires.py war        2023: probability by distance and season, against excess over the background
    python bench/fires.py signs      2023: fire power, confidence, hour and scan angle, near the line and far from it

Needs the shared data (TRUCELINE_DATA). Processor time of one thread. Ends with 1 if a bound of docs/fires.md is broken.
"""

import gzip
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from sklearn.metrics import cohen_kappa_score, log_loss, roc_auc_score

from fires_truth import conflict_fires
from truceline.frame import Frame
from truceline.fuse.activity import Assumed
from truceline.fuse.background import FIRE_M, Background, grid_over, seasons
from truceline.fuse.conflict import Judged, Lines, Reports, conflict, lines
from truceline.kernels.fires import fresh
from truceline.line import Line
from truceline.places import outer_border

FRAME = Frame(37.0, 48.3, 1_000_000.0)
PEACE = (2018, 2019, 2020, 2021)
BASELINE = (2012, 2013, 2016, *PEACE)
BANDS = (0, 5, 10, 20, 30, 60, 100, 2000)
SEASONS = {"Mar-Apr": (3, 4), "May-Jun": (5, 6), "Jul-Aug": (7, 8), "Sep-Nov": (9, 10, 11)}
#: Roughly where the line of 2014 to 2021 ran: at war in the peaceful years.
DONBAS = (36.8, 47.0, 40.3, 49.6)
SEEDS = 8

VARIANTS = {
    "the model": Assumed(),
    "background without levels": Assumed(levels=(1.0,), weights=(1.0,), level_days=(30.0,)),
    "cells that ignore each other": Assumed(near=(0.0, 20.0), sector=(0.0, 120.0, 12.0)),
    "twice the odds at the line": Assumed(front_odds=9.0),
    "half the odds at the line": Assumed(front_odds=2.25),
    "reaching 20 km": Assumed(front_km=20.0),
    "lasting 90 days": Assumed(lasts_days=90.0),
    "no wildfires": Assumed(levels=(0.4, 1.3, 3.8), weights=(0.535, 0.4, 0.065), level_days=(30.0, 30.0, 30.0)),
}


class Fires(NamedTuple):
    lon: np.ndarray
    lat: np.ndarray
    day: np.ndarray  # since 1970

    def at_s(self) -> np.ndarray:
        return self.day * 86_400.0

    def of(self, rows: np.ndarray) -> "Fires":
        return Fires(*(column[rows] for column in self))


class Data:
    """The shared data, read once."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self.line = Line.load(
            sorted((folder / "line_of_contact" / "weekly").glob("*.geojson.gz")),
            FRAME,
            select={"fill": ["#a52714", "#880e4f"]},
            border=outer_border(),
        )
        self.years = {year: self._short(year) for year in (*BASELINE, 2023)}
        self._lines: dict[Any, Lines] = {}

    def _short(self, year: int) -> Fires:
        with gzip.open(self.folder / "firms_baseline" / f"ukr_fire_data_{year}.csv.gz") as file:
            table = csv.read_csv(pa.BufferReader(file.read()))
        lat, lon, day = (column.to_numpy() for column in table.columns)
        return Fires(lon.astype(float), lat.astype(float), day.astype("datetime64[D]").astype(np.int64))

    def one_satellite(self) -> pa.Table:
        return csv.read_csv(next((self.folder / "firms").glob("*.csv")))

    def background(self, without: int | None, viirs: bool = False) -> Background:
        """Of the peaceful years but one; VIIRS alone by the number of decimals of its coordinates."""
        parts = [self.years[year] for year in BASELINE if year != without]
        if viirs:
            parts = [part.of(_viirs(part)) for part in parts]
        made = background(*(np.concatenate(columns) for columns in zip(*parts, strict=True)), cache=self.cache)
        assert made is not None
        return made

    def lines(self, grid: Any, year: int, move: float = 0.0) -> Lines:
        """The weekly line of 2023, its dates moved to `year`; the first holds from New Year. Or moved by degrees."""
        key = grid, year, move
        if key not in self._lines:
            later = date(year, 1, 1) - date(2023, 1, 1)
            days = [(line.day + later - date(1970, 1, 1)).days for line in self.line.lines]
            days[0] = (date(year, 1, 1) - date(1970, 1, 1)).days
            self._lines[key] = lines(grid, days, lambda i, lon, lat: self.km(i, lon - move, lat))
        return self._lines[key]

    def km(self, i: int, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        nothing = np.full(len(lon), np.nan)
        found = self.line.lines[i].against(*FRAME.to_local(lon, lat), nothing, nothing, nothing)
        return np.abs(found["line_distance_m"]) / 1000.0

    def line_km(self, fires: Fires, year: int, move: float = 0.0) -> np.ndarray:
        """Of each detection itself (the model knows that of its cell)."""
        later = (date(2023, 1, 1) - date(year, 1, 1)).days
        days = np.array([(line.day - date(1970, 1, 1)).days for line in self.line.lines])
        which = np.maximum(np.searchsorted(days, fires.day + later, side="right") - 1, 0)
        out = np.empty(len(fires.day))
        for i in np.unique(which):
            rows = which == i
            out[rows] = self.km(i, fires.lon[rows] - move, fires.lat[rows])
        return out


def _viirs(fires: Fires) -> np.ndarray:
    """The archive gives VIIRS six decimals, MODIS four."""
    return (np.abs(np.round(fires.lon, 4) - fires.lon) > 1e-9) | (np.abs(np.round(fires.lat, 4) - fires.lat) > 1e-9)


def outside_donbas(fires: Fires) -> np.ndarray:
    west, south, east, north = DONBAS
    return ~((fires.lon > west) & (fires.lon < east) & (fires.lat > south) & (fires.lat < north))


def months(day: np.ndarray) -> np.ndarray:
    return day.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12 + 1


def shares(values: list[float]) -> str:
    return "  ".join(f"{100 * v:5.1f}" for v in values)


# ---- speed -----------------------------------------------------------------------------------------------------


def speed(data: Data) -> bool:
    print("\n# Speed (processor time of one thread)")
    parts = [data.years[year] for year in BASELINE if year != 2019]
    columns = [np.concatenate(c) for c in zip(*parts, strict=True)]
    background(*columns)
    begun = time.process_time()
    made = background(*columns)
    built = time.process_time() - begun
    data.background(2019)
    begun = time.process_time()
    assert made is not None
    data.background(2019)
    print(
        f"background of {len(columns[0]):,} detections: {built:.1f} s; from its cache {time.process_time() - begun:.1f} s"
    )
    begun = time.process_time()
    line = data.lines(made.grid, 2019)
    print(
        f"distances of {made.grid.rows * made.grid.columns:,} cells from 52 lines, once a line: {time.process_time() - begun:.1f} s"
    )
    fast = True
    for name, fires in (("150,000 detections, a year", year_of(data, 150_000)), ("2019 as it was", data.years[2019])):
        both, settled = (least_s(fires, made, line, only) for only in (False, True))
        n = len(fires.day)
        print(f"{name}: settled {n / settled:,.0f}/s ({settled:.2f} s), online and settled {n / both:,.0f}/s")
        fast &= n / settled >= 200_000
    return fast


def year_of(data: Data, n: int) -> Fires:
    """A year as large as n: 2019, with some of 2016's detections put into it."""
    rng = np.random.default_rng(0)
    base, more = data.years[2019], data.years[2016]
    extra = more.of(rng.choice(len(more.day), n - len(base.day), replace=False))
    moved = Fires(extra.lon, extra.lat, extra.day + (date(2019, 1, 1) - date(2016, 1, 1)).days)
    return Fires(*(np.concatenate(c) for c in zip(base, moved, strict=True))).of(rng.permutation(n))


def least_s(fires: Fires, made: Background, line: Lines, settled_only: bool) -> float:
    seconds = []
    for _ in range(4):
        begun = time.process_time()
        conflict(made, *fires[:2], fires.at_s(), lines=line, settled_only=settled_only)
        seconds.append(time.process_time() - begun)
    return min(seconds)


# ---- peaceful years --------------------------------------------------------------------------------------------


def peace(data: Data) -> bool:
    print(
        "\n# Called conflict (p >= 0.5) in peaceful years, each left out of its own baseline; the line of 2023 laid over"
    )
    print("year  near = within 10 km of the line          outside the Donbas    near, line moved 4 degrees west")
    print("      settled online  mean p  of    no Donbas  settled online        settled online  of")
    kept = True
    for year in PEACE:
        fires, made = data.years[year], data.background(year)
        judged = judge(data, fires, made, data.lines(made.grid, year))
        near, calm = data.line_km(fires, year) < 10, outside_donbas(fires)
        moved = judge(data, fires, made, data.lines(made.grid, year, -4.0))
        there = data.line_km(fires, year, -4.0) < 10
        settled, online = judged.settled >= 0.5, judged.online >= 0.5
        print(
            f"{year}  {100 * settled[near].mean():5.1f}  {100 * online[near].mean():5.1f}  "
            f"{judged.settled[near].mean():6.3f}  {near.sum():5d} {100 * settled[near & calm].mean():5.1f}      "
            f"{100 * settled[calm].mean():5.2f}  {100 * online[calm].mean():5.2f}          "
            f"{100 * (moved.settled[there] >= 0.5).mean():5.1f}  {100 * (moved.online[there] >= 0.5).mean():5.1f}   {there.sum()}"
        )
        kept &= settled[near].mean() <= 0.05 and settled[calm].mean() <= 0.02
    print("\n# The same by variant (near, settled, per cent): 2018 2019 2020 2021")
    for name, assumed in VARIANTS.items():
        found = []
        for year in PEACE:
            fires, made = data.years[year], data.background(year)
            judged = judge(data, fires, made, data.lines(made.grid, year), assumed)
            found.append(float((judged.settled[data.line_km(fires, year) < 10] >= 0.5).mean()))
        print(f"{name:32s}{shares(found)}")
    print("\n# A baseline of one year: near, settled, per cent, in 2020 and 2021")
    for base in (2013, 2018, 2019):
        made = background(*data.years[base], cache=data.cache)
        assert made is not None
        found = []
        for year in (2020, 2021):
            fires = data.years[year]
            judged = judge(data, fires, made, data.lines(made.grid, year))
            found.append(float((judged.settled[data.line_km(fires, year) < 10] >= 0.5).mean()))
        print(f"{base:<32d}{shares(found)}")
    return kept


def judge(
    data: Data, fires: Fires, made: Background, line: Lines | None, assumed: Assumed | None = None, **more: Any
) -> Judged:
    return conflict(made, fires.lon, fires.lat, fires.at_s(), lines=line, assumed=assumed, **more)


# ---- invented truth --------------------------------------------------------------------------------------------


class Case(NamedTuple):
    year: int
    fires: Fires
    truth: np.ndarray
    km: np.ndarray


def cases(data: Data) -> list[Case]:
    out = []
    for seed in range(SEEDS):
        year = PEACE[seed % len(PEACE)]
        rng = np.random.default_rng(seed)
        base = data.years[year]
        first = (date(year, 1, 1) - date(1970, 1, 1)).days
        path = [_points(line) for line in data.line.lines]
        days = np.array([(line.day - date(2023, 1, 1)).days for line in data.line.lines])

        def path_at(day: int, path: list[np.ndarray] = path, days: np.ndarray = days) -> np.ndarray:
            return path[max(int(np.searchsorted(days, day, side="right")) - 1, 0)]

        lon, lat, day = conflict_fires(path_at, _brightness(base, first), rng)
        inside = (lon > 22.1) & (lon < 40.2) & (lat > 44.2) & (lat < 52.4)
        added = Fires(lon[inside], lat[inside], first + day[inside])
        fires = Fires(*(np.concatenate(c) for c in zip(base, added, strict=True)))
        truth = np.arange(len(fires.day)) >= len(base.day)
        out.append(Case(year, fires, truth, data.line_km(fires, year)))
    return out


def _points(line: Any) -> np.ndarray:
    import shapely

    return np.stack(FRAME.to_degrees(*shapely.get_coordinates(shapely.segmentize(line.path, 1000.0)).T), axis=1)


def _brightness(fires: Fires, first: int) -> np.ndarray:
    """How much was seen each day in the east, against the month round it."""
    east = fires.lon > 31
    count = np.bincount(fires.day[east] - first, minlength=366)[:365].astype(float)
    month = np.convolve(np.pad(count, 15, mode="reflect"), np.ones(31) / 31, mode="valid")
    return 0.05 + 0.95 * np.minimum(count / np.maximum(month, 1.0), 1.5)


def truth(data: Data) -> bool:
    made_of = cases(data)
    print(f"\n# Against invented conflict fires, {SEEDS} seeds, detections within 60 km of the line")
    print("seed year  invented  share   " + "AUC: settled online distance   kappa: settled online   mean p / truth")
    lines_of = {year: data.lines(data.background(year).grid, year) for year in PEACE}
    everything: list[tuple[np.ndarray, ...]] = []
    gains = []
    for seed, case in enumerate(made_of):
        judged = judge(data, case.fires, data.background(case.year), lines_of[case.year])
        use = case.km < 60
        t, p, q, km = case.truth[use], judged.settled[use], judged.online[use], case.km[use]
        everything.append((t, p, q))
        print(
            f"{seed:4d} {case.year}  {case.truth.sum():8d}  {t.mean():5.2f}        {roc_auc_score(t, p):.3f}   {roc_auc_score(t, q):.3f}"
            f"  {roc_auc_score(t, -km):.3f}            {cohen_kappa_score(t, p >= 0.5):.3f}   {cohen_kappa_score(t, q >= 0.5):.3f}"
            f"     {p.mean() / t.mean():.2f}"
        )
        gains.append(gain(t, p, -km, case.fires.of(use), np.random.default_rng(seed)))
    low, mid, high = np.quantile(np.concatenate(gains), [0.025, 0.5, 0.975])
    print(f"AUC over distance: {mid:.3f} ({low:.3f} to {high:.3f}; blocks of half a degree and a month, resampled)")
    print("\n# Reliability on invented truth: share that is the conflict's, by probability")
    t, p, q = (np.concatenate(c) for c in zip(*everything, strict=True))
    edges = np.array([0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    print("probability  " + "  ".join(f"{a:.2f}-{b:.2f}" for a, b in zip(edges, edges[1:], strict=False)))
    for name, v in (("settled", p), ("online", q)):
        bins = np.digitize(v, edges[1:-1])
        print(f"{name:12s} " + "  ".join(f"{t[bins == b].mean():9.2f}" for b in range(len(edges) - 1)))
    print("\n# By variant: AUC, kappa, log loss, mean p / truth; mean and spread over seeds")
    for name, score in variants(data, made_of, lines_of).items():
        mean, spread = np.mean(score, axis=0), np.std(score, axis=0)
        print(f"{name:32s}" + "   ".join(f"{m:.3f} ±{s:.3f}" for m, s in zip(mean, spread, strict=True)))
    return bool(low > 0)


def variants(data: Data, made_of: list[Case], lines_of: dict[int, Lines]) -> dict[str, list[list[float]]]:
    out: dict[str, list[list[float]]] = {}

    def score(name: str, case: Case, p: np.ndarray) -> None:
        use = case.km < 60
        t, p = case.truth[use], np.clip(p[use], 0.001, 0.99)
        row = [roc_auc_score(t, p), cohen_kappa_score(t, p >= 0.5), log_loss(t, p), p.mean() / t.mean()]
        out.setdefault(name, []).append([float(v) for v in row])

    for case in made_of:
        made = data.background(case.year)
        score("distance alone: 1 / (1 + km / 10)", case, 1.0 / (1.0 + case.km / 10.0))
        score("excess over the season, alone", case, seasonal_excess(case.fires, made))
        for name, assumed in VARIANTS.items():
            judged = judge(data, case.fires, made, lines_of[case.year], assumed)
            score(name, case, judged.settled)
            if name == "the model":
                score("the model, online", case, judged.online)
        score("without a line", case, judge(data, case.fires, made, None).settled)
        score(
            "without a background",
            case,
            conflict(None, *case.fires[:2], case.fires.at_s(), lines=lines_of[case.year]).settled,
        )
    return out


def seasonal_excess(fires: Fires, made: Background) -> np.ndarray:
    """What the simplest model says: 1 - expected / counted, in the cell and the ten days round each detection."""
    row, column = made.grid.cells(fires.lon, fires.lat)
    new, _ = fresh(fires.at_s(), *made.grid.metres(fires.lon, fires.lat), FIRE_M)
    period = fires.day // 5 - fires.day.min() // 5
    count = np.zeros((int(period.max()) + 2, made.grid.rows, made.grid.columns))
    np.add.at(count, (period, row, column), new)
    near = count[period, row, column] + 0.5 * (count[period - 1, row, column] + count[period + 1, row, column])
    expected = 10.0 * made.rate[seasons(fires.day), row, column]
    return np.clip(1.0 - expected / np.maximum(near, 1e-9), 0.0, 1.0)


def gain(t: np.ndarray, p: np.ndarray, other: np.ndarray, fires: Fires, rng: np.random.Generator) -> np.ndarray:
    """Paired gain in AUC, over blocks drawn again."""
    block = np.unique(
        np.stack([np.floor(fires.lon * 2), np.floor(fires.lat * 2), months(fires.day)], axis=1),
        axis=0,
        return_inverse=True,
    )[1]
    rows = [np.flatnonzero(block == b) for b in range(block.max() + 1)]
    out = []
    for _ in range(60):
        drawn = np.concatenate([rows[b] for b in rng.integers(0, len(rows), len(rows))])
        out.append(roc_auc_score(t[drawn], p[drawn]) - roc_auc_score(t[drawn], other[drawn]))
    return np.array(out)


# ---- 2023 ------------------------------------------------------------------------------------------------------


def war(data: Data) -> bool:
    table = data.one_satellite()
    fires = Fires(
        table["longitude"].to_numpy().copy(),
        table["latitude"].to_numpy().copy(),
        table["acq_date"].to_numpy().astype("datetime64[D]").astype(np.int64),
    )
    clock = table["acq_time"].to_numpy()
    at_s = fires.at_s() + clock // 100 * 3600.0 + clock % 100 * 60.0
    night = np.array(table["daynight"]) == "N"
    for name, used, made, at, dark in (
        (
            "one satellite (S-NPP), VIIRS baseline, times and day or night",
            fires,
            data.background(None, True),
            at_s,
            night,
        ),
        ("all satellites, day only", data.years[2023], data.background(None), data.years[2023].at_s(), None),
    ):
        judged = conflict(made, used.lon, used.lat, at, lines=data.lines(made.grid, 2023), night=dark)
        bands(data, name, used, made, judged)
    made = data.background(None, True)
    judged = conflict(made, fires.lon, fires.lat, at_s, lines=data.lines(made.grid, 2023), night=night)
    reported(data, fires, judged)
    return True


def bands(data: Data, name: str, fires: Fires, made: Background, judged: Judged) -> None:
    """Probabilities beside what can be had without the model: the excess over the background, in fires, when the
    background follows what the country 30 to 150 km from the line had that month."""
    steady = np.isin(made.spot_keys(fires.lon, fires.lat), made.steady)
    new = np.zeros(len(fires.day))
    rows = ~steady
    new[rows], _ = fresh(fires.at_s()[rows], *made.grid.metres(fires.lon[rows], fires.lat[rows]), FIRE_M)
    km, month = data.line_km(fires, 2023), months(fires.day)
    band = np.digitize(km, BANDS[1:-1])
    expected = due(data, fires, made)
    print(
        f"\n# 2023, {name}: {len(fires.day):,} detections, {100 * steady.mean():.0f} % steady heat (mean p {judged.settled[steady].mean():.3f})"
    )
    print(
        "km from the line            "
        + "".join(f"{a:>5d}-{b:<5d}" for a, b in zip(BANDS, BANDS[1:-1], strict=False))
        + "   further"
    )
    for label, wanted in (("the year", tuple(range(1, 13))), *SEASONS.items()):
        here = [rows & (band == b) & np.isin(month, wanted) for b in range(len(BANDS) - 1)]
        counted = [float(new[h].sum()) for h in here]
        share = [1.0 - sum(expected[m - 1, b] for m in wanted) / max(c, 1e-9) for b, c in enumerate(counted)]
        for what, values in (
            ("fires", counted),
            ("excess", share),
            ("p settled", [mean(judged.settled, new, h) for h in here]),
            ("p online", [mean(judged.online, new, h) for h in here]),
        ):
            form = "11.0f" if what == "fires" else "11.2f"
            print(f"{label:14s} {what:10s} " + "".join(f"{v:{form}}" for v in values))


def mean(p: np.ndarray, weight: np.ndarray, rows: np.ndarray) -> float:
    return float((p[rows] * weight[rows]).sum() / max(weight[rows].sum(), 1e-9))


def due(data: Data, fires: Fires, made: Background) -> np.ndarray:
    """(12, bands) background fires: the season's, times what 30 to 150 km from the line had that month against it."""
    lon, lat = made.grid.centres()
    first, last = int(fires.day.min()), int(fires.day.max())
    out, spare = np.zeros((12, len(BANDS) - 1)), np.zeros(12)
    covered = made.covered.ravel()
    for day in range(first, last + 1):
        moment = np.datetime64(day, "D")
        month = moment.astype("datetime64[M]").astype(int) % 12
        season = min(int((moment - moment.astype("datetime64[Y]")).astype(int)) // 5, 72)
        cells = Fires(lon, lat, np.full(len(lon), day))
        if day == first or day % 7 == 0:
            km = data.line_km(cells, 2023)
        rate = made.rate[season].ravel() * covered
        out[month] += np.bincount(np.digitize(km, BANDS[1:-1]), rate, minlength=len(BANDS) - 1)
        spare[month] += rate[(km >= 30) & (km < 150)].sum()
    steady = np.isin(made.spot_keys(fires.lon, fires.lat), made.steady)
    used = fires.of(~steady)
    new, _ = fresh(used.at_s(), *made.grid.metres(used.lon, used.lat), FIRE_M)
    away = data.line_km(used, 2023)
    beside = (away >= 30) & (away < 150)
    counted = np.bincount(months(used.day)[beside] - 1, new[beside], minlength=12)
    return out * (counted / np.maximum(spare, 1e-9))[:, None]


def reported(data: Data, fires: Fires, judged: Judged) -> None:
    """News of shelling and strikes near by, at other times: something the model has not seen."""
    told = shelling(data)
    month = np.isin(months(fires.day), (4, 7, 8, 9, 10))
    km = data.line_km(fires, 2023)
    print(
        "\n# 2023, S-NPP: days in the three weeks before and after with a report of shelling within 3 km, per detection"
    )
    print("(the reports are not given to the model; within a band the distance to the line is alike)")
    hits = report_days(fires, told)
    edges = [0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.01]
    print("km      " + "".join(f"  p {a:.1f}-{min(b, 1):.1f}" for a, b in zip(edges, edges[1:], strict=False)))
    for low, high in ((0, 3), (3, 6), (6, 10), (10, 20)):
        row = []
        for a, b in zip(edges, edges[1:], strict=False):
            use = month & (km >= low) & (km < high) & (judged.settled >= a) & (judged.settled < b)
            row.append(f"{hits[use].mean():9.2f}" if use.sum() >= 30 else "        -")
        print(f"{low:2d}-{high:<4d} " + "".join(row))


def shelling(data: Data) -> Reports:
    places = set()
    for path in sorted((data.folder / "incidents").glob("*.csv.gz")):
        with gzip.open(path) as file:
            options = csv.ParseOptions(newlines_in_values=True)
            table = csv.read_csv(pa.BufferReader(file.read().removeprefix(b"\xef\xbb\xbf")), parse_options=options)
        for when, lon, lat, what in zip(
            *(table[c].to_pylist() for c in ("datetime", "lon", "lat", "event_type")), strict=True
        ):
            if any(word in (what or "") for word in ("artillery", "airstrike", "uav", "tank", "firefi")):
                places.add((str(when)[:10], float(lon), float(lat)))
    day, lon, lat = zip(*sorted(places), strict=True)
    return Reports(np.array(lon), np.array(lat), np.array(day, "datetime64[D]").astype(np.int64))


def report_days(fires: Fires, told: Reports) -> np.ndarray:
    """How many of the days from 21 to 3 before and from 3 to 21 after had a report within about 3 km."""
    from truceline.kernels.fires import Marks, occupied

    grid = grid_over(fires.lon, fires.lat)
    asked, been = Marks(*grid.spots(fires.lon, fires.lat), fires.day), Marks(*grid.spots(told.lon, told.lat), told.day)
    return np.add(*occupied(asked, been, 3, 4, ((-21, -3), (3, 21))))


# ---- signs that say nothing ------------------------------------------------------------------------------------


def signs(data: Data) -> bool:
    table = data.one_satellite()
    fires = Fires(
        table["longitude"].to_numpy().copy(),
        table["latitude"].to_numpy().copy(),
        table["acq_date"].to_numpy().astype("datetime64[D]").astype(np.int64),
    )
    made = data.background(None, True)
    steady = np.isin(made.spot_keys(fires.lon, fires.lat), made.steady)
    km = data.line_km(fires, 2023)
    night = np.array(table["daynight"]) == "N"
    low, high = (np.array(table["confidence"]) == c for c in "lh")
    power, scan = table["frp"].to_numpy(), table["scan"].to_numpy()
    print("\n# 2023, S-NPP: what a detection looks like, by distance from the line (steady heat apart)")
    print(
        "km              n    by night   median power by day, MW   by night   low conf.   high conf.   scan angle: mean width, km"
    )
    groups = {"0-3": km < 3, "3-6": (km >= 3) & (km < 6), "6-10": (km >= 6) & (km < 10), "10-30": (km >= 10) & (km < 30),
              "30-100": (km >= 30) & (km < 100), "further": km >= 100}  # fmt: skip
    for name, use in (*((n, g & ~steady) for n, g in groups.items()), ("steady heat", steady)):
        print(
            f"{name:12s} {use.sum():5d}      {100 * night[use].mean():4.0f} %              {np.median(power[use & ~night]):8.1f}"
            f"       {np.median(power[use & night]):8.1f}       {100 * low[use].mean():4.1f} %       {100 * high[use].mean():4.1f} %"
            f"            {scan[use].mean():.2f}"
        )
    return True


PARTS: dict[str, Callable[[Data], bool]] = {"speed": speed, "peace": peace, "truth": truth, "war": war, "signs": signs}


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print(f"{unknown[0]!r} is none of {', '.join(PARTS)}")
        return 2
    folder = Path(os.environ.get("TRUCELINE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        print("no real data: TRUCELINE_DATA is not a folder")
        return 2
    with tempfile.TemporaryDirectory() as cache:
        data = Data(folder, Path(cache))
        kept = [PARTS[name](data) for name in wanted or PARTS]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
