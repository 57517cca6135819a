"""Which fires are the conflict's: speed, and the figures of docs/fires.md, in one run: python -m bench.fires [PART ...]

    speed    the background built, and read from its file; detections a second, settled and online
    peace    peaceful years with a line laid over them: what is called the conflict's
    truth    conflict fires invented along the line of 2023 and laid over peaceful years: the one place truth exists
    war      2023: probability by distance and season against the excess over the background; against news of shelling
    signs    2023: fire power, confidence, hour, scan angle, size, land use, alerts: near the line and far from it

Needs the shared data (TRUCELINE_DATA) but for `speed`, which without it takes an invented year. Processor time of one
thread. Ends with 1 where a bound of docs/fires.md is broken.
"""

import gzip
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import shapely
from bench import _fires_truth as invented
from sklearn.metrics import cohen_kappa_score, log_loss, roc_auc_score

from truceline.frame import Frame
from truceline.fuse import checks
from truceline.fuse.activity import ASSUMED, Assumed
from truceline.fuse.background import Background, fires_of, seasons
from truceline.fuse.causes import Judged, Lines, dated_km, judge, lines
from truceline.fuse.checks import Detections
from truceline.fuse.signs import Reports
from truceline.kernels.fires import Marks, occupied
from truceline.line import Line
from truceline.places import outer_border

FRAME = Frame(37.0, 48.3, 1_000_000.0)
PEACE = (2018, 2019, 2020, 2021)
BASELINE = (2012, 2013, 2016, *PEACE)
#: Where the line of 2014 to 2021 ran: at war in the peaceful years.
DONBAS = shapely.box(36.8, 47.0, 40.3, 49.6)
SEEDS = 8
#: Issue 3 asks for this.
LEAST_A_SECOND = 200_000
DAY_S = 86_400.0

VARIANTS = {
    "the model": ASSUMED,
    "background without levels": Assumed(levels=(1.0,), others=(0.0,), weights=(1.0,), level_days=(30.0,)),
    "no cause that no season expects": Assumed(weights=(0.535, 0.4, 0.065, 0.0)),
    "cells that ignore each other": Assumed(near=(0.0, 20.0), sector=(0.0, 120.0, 12.0)),
    "twice the odds at the line": Assumed(front_odds=5.0),
    "half the odds at the line": Assumed(front_odds=1.25),
    "reaching 20 km": Assumed(front_km=20.0),
    "lasting 90 days": Assumed(lasts_days=90.0),
}


class Shared:
    """The shared data, read when asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: dict[Any, Any] = {}

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    @cached_property
    def line(self) -> Line:
        paths = sorted((self.folder / "line_of_contact" / "weekly").glob("*.geojson.gz"))
        return Line.load(paths, FRAME, select={"fill": ["#a52714", "#880e4f"]}, border=outer_border())

    def year(self, year: int) -> Detections:
        return self.once(year, lambda: self._short(year))

    def _short(self, year: int) -> Detections:
        with gzip.open(self.folder / "firms_baseline" / f"ukr_fire_data_{year}.csv.gz") as file:
            table = csv.read_csv(pa.BufferReader(file.read()))
        lat, lon, day = (column.to_numpy() for column in table.columns)
        return Detections(
            lon.astype(float), lat.astype(float), day.astype("datetime64[D]").astype(np.int64).astype(float) * DAY_S
        )

    def background(self, without: int | None = None, viirs: bool = False) -> Background:
        """Of the peaceful years but one; of VIIRS alone by the number of decimals of its coordinates."""

        def make() -> Background | None:
            past = together(*(self.year(year) for year in BASELINE if year != without))
            past = past.of(_viirs(past)) if viirs else past
            return Background.learn(past.lon, past.lat, past.day, exclude=[DONBAS])

        return self.once(("background", without, viirs), make)

    def laid(self, year: int) -> Lines:
        made = self.background(year)
        return self.once(("laid", year), lambda: checks.laid_over(self.line, FRAME, made, year))

    def moved(self, year: int, degrees: float) -> Lines:
        """The line of July 2023 moved to the west or east, all year."""
        made = self.background(year)
        july = next(line for line in self.line.lines if line.day >= date(2023, 7, 1))

        def km(_version: int, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
            none = np.full(len(lon), np.nan)
            found = july.against(*FRAME.to_local(lon - degrees, lat), none, none, none)
            return np.abs(found["line_distance_m"]) / 1000.0

        return self.once(("moved", year, degrees), lambda: lines(made.grid, [days_since(f"{year}-01-01")], km))

    @cached_property
    def one_satellite(self) -> tuple[Detections, pa.Table]:
        table = csv.read_csv(next((self.folder / "firms").glob("*.csv")))
        clock = table["acq_time"].to_numpy()
        day = table["acq_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
        return Detections(
            table["longitude"].to_numpy().copy(),
            table["latitude"].to_numpy().copy(),
            day * DAY_S + clock // 100 * 3600.0 + clock % 100 * 60.0,
            (np.array(table["daynight"]) == "N").astype(float),
        ), table

    @cached_property
    def shelling(self) -> Reports:
        places = set()
        for path in sorted((self.folder / "incidents").glob("*.csv.gz")):
            with gzip.open(path) as file:
                options = csv.ParseOptions(newlines_in_values=True)
                table = csv.read_csv(pa.BufferReader(file.read().removeprefix(b"\xef\xbb\xbf")), parse_options=options)
            rows = (table[c].to_pylist() for c in ("datetime", "lon", "lat", "event_type"))
            for when, lon, lat, what in zip(*rows, strict=True):
                if any(word in (what or "") for word in ("artillery", "airstrike", "uav", "tank", "firefi")):
                    places.add((str(when)[:10], float(lon), float(lat)))
        day, lon, lat = zip(*sorted(places), strict=True)
        return Reports(np.array(lon), np.array(lat), np.array(day, "datetime64[D]").astype(np.int64))


def together(*parts: Detections) -> Detections:
    return Detections(*(np.concatenate(column) for column in zip(*(part[:3] for part in parts), strict=True)))


def days_since(day: Any) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))


def months(day: np.ndarray) -> np.ndarray:
    return day.astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12 + 1


def _viirs(fires: Detections) -> np.ndarray:
    """The archive gives VIIRS six decimals, MODIS four."""
    return (np.abs(np.round(fires.lon, 4) - fires.lon) > 1e-9) | (np.abs(np.round(fires.lat, 4) - fires.lat) > 1e-9)


def looked(
    fires: Detections, made: Background | None, line: Lines | None, assumed: Assumed = ASSUMED, **how: Any
) -> Judged:
    return judge(made, *fires[:3], lines=line, night=fires.night, assumed=assumed, **how)


def percent(values: Any) -> str:
    return "  ".join(f"{100 * v:5.1f}" for v in values)


# ---- speed -----------------------------------------------------------------------------------------------------


def speed(data: Shared | None) -> bool:
    print("\n# Speed (processor time of one thread; the best of four)")
    if data is None:
        past, fires, line_at = _invented_past(), _invented_year(150_000), None
    else:
        past = together(*(data.year(year) for year in BASELINE if year != 2019))
        fires, line_at = _year_of(data, 150_000), data.line
    made, built = _least(lambda: Background.learn(past.lon, past.lat, past.day))
    assert made is not None
    with tempfile.TemporaryDirectory() as folder:
        made.save(Path(folder) / "background.npz")
        _, read = _least(lambda: Background.load(Path(folder) / "background.npz"))
    print(f"background of {len(past.lon):,} detections: {built:.2f} s; from its file {read:.2f} s")
    if line_at is None:
        line = lines(made.grid, [days_since("2019-01-01")], lambda _, lon, lat: np.abs(lon - 35.0) * 73.0)
    else:
        line, took = _least(lambda: checks.laid_over(line_at, FRAME, made, 2019))
        cells = made.grid.rows * made.grid.columns
        print(f"distances of {cells:,} cells from {len(line.day)} lines: {took:.2f} s")
    n = len(fires.lon)
    _, settled = _least(lambda: looked(fires, made, line, settled_only=True))
    _, both = _least(lambda: looked(fires, made, line))
    print(
        f"{n:,} detections of a year: settled {n / settled:,.0f} a second ({settled:.2f} s), and online {n / both:,.0f}"
    )
    return n / settled >= LEAST_A_SECOND


def _least(call: Callable[[], Any]) -> tuple[Any, float]:
    took = []
    for _ in range(4):
        began = time.process_time()
        out = call()
        took.append(time.process_time() - began)
    return out, min(took)


def _year_of(data: Shared, n: int) -> Detections:
    """A year as large as n: 2019, with some of 2016's detections put into it."""
    rng = np.random.default_rng(0)
    base, more = data.year(2019), data.year(2016)
    extra = more.of(rng.choice(len(more.lon), n - len(base.lon), replace=False))
    moved = extra._replace(at_s=extra.at_s + (days_since("2019-01-01") - days_since("2016-01-01")) * DAY_S)
    return together(base, moved).of(rng.permutation(n))


def _invented_year(n: int, year: int = 2019) -> Detections:
    rng = np.random.default_rng(year)
    day = days_since(f"{year}-01-01") + np.minimum(rng.gamma(8.0, 25.0, n).astype(np.int64), 364)
    return Detections(rng.uniform(22.1, 40.2, n), rng.uniform(44.4, 52.3, n), day * DAY_S)


def _invented_past() -> Detections:
    return together(*(_invented_year(80_000, year) for year in BASELINE if year != 2019))


# ---- peaceful years --------------------------------------------------------------------------------------------


def peace(data: Shared) -> bool:
    print(
        "\n# Peaceful years, each left out of its own baseline; the lines of 2023 laid over, the Donbas left out of the"
    )
    print("# baseline: per cent called the conflict's (p >= 0.5)")
    print(
        "year   near: detections, settled, online, mean p   outside the Donbas: settled, online   moved 4 degrees west"
    )
    kept = True
    for year in PEACE:
        fires, made = data.year(year), data.background(year)
        found = checks.peaceful(fires, looked(fires, made, data.laid(year)), data.laid(year), [DONBAS])
        row = found[0]
        west = data.moved(year, -4.0)
        there = checks.peaceful(fires, looked(fires, made, west), west)[0]
        print(
            f"{year}   {row['near_detections']:6d}       "
            f"{percent([row['near'], row['near_online'], row['near_mean_p']])}              "
            f"{percent([row['outside'], row['outside_online']])}              {percent([there['near']])}"
        )
        for season in found[1:]:
            shown = [
                season[name] or 0.0 for name in ("near", "near_online", "near_mean_p", "outside", "outside_online")
            ]
            print(f"    {season['season']:22s} {season['near_detections']:6d}   {percent(shown)}")
        kept &= row["near"] <= checks.MOST_NEAR and row["outside"] <= checks.MOST_OUTSIDE
    print("\n# The same by variant: near, settled, per cent: " + " ".join(str(year) for year in PEACE))
    for name, assumed in VARIANTS.items():
        shares = []
        for year in PEACE:
            fires = data.year(year)
            judged = looked(fires, data.background(year), data.laid(year), assumed, settled_only=True)
            near = dated_km(data.laid(year), *fires[:3]) < checks.NEAR_KM
            shares.append((judged.settled[near] >= 0.5).mean())
        print(f"{name:34s}{percent(shares)}")
    return kept


# ---- invented truth --------------------------------------------------------------------------------------------


class Case(NamedTuple):
    year: int
    fires: Detections
    truth: np.ndarray
    km: np.ndarray


def cases(data: Shared) -> list[Case]:
    """Peaceful years with invented conflict fires put among their own."""
    out = []
    path = [_points(line) for line in data.line.lines]
    begins = np.array([(line.day - date(2023, 1, 1)).days for line in data.line.lines])

    def path_at(day: int) -> np.ndarray:
        return path[max(int(np.searchsorted(begins, day, side="right")) - 1, 0)]

    for seed in range(SEEDS):
        year, rng = PEACE[seed % len(PEACE)], np.random.default_rng(seed)
        base, first = data.year(year), days_since(f"{year}-01-01")
        lon, lat, day = invented.conflict_fires(path_at, _brightness(base, first), rng)
        inside = (lon > 22.1) & (lon < 40.2) & (lat > 44.2) & (lat < 52.4)
        fires = together(base, Detections(lon[inside], lat[inside], (first + day[inside]) * DAY_S))
        truth = np.arange(len(fires.lon)) >= len(base.lon)
        out.append(Case(year, fires, truth, dated_km(data.laid(year), *fires[:3])))
    return out


def _points(line: Any) -> np.ndarray:
    return np.stack(FRAME.to_degrees(*shapely.get_coordinates(shapely.segmentize(line.path, 1000.0)).T), axis=1)


def _brightness(fires: Detections, first: int) -> np.ndarray:
    """How much was seen each day in the east, against the month round it."""
    east = fires.lon > 31
    count = np.bincount(fires.day[east] - first, minlength=366)[:365].astype(float)
    month = np.convolve(np.pad(count, 15, mode="reflect"), np.ones(31) / 31, mode="valid")
    return 0.05 + 0.95 * np.minimum(count / np.maximum(month, 1.0), 1.5)


def truth(data: Shared) -> bool:
    made_of = cases(data)
    print(f"\n# Against invented conflict fires: {SEEDS} seeds, detections within 60 km of the line")
    print("seed year  invented  share   AUC: settled online distance   kappa: settled online   mean p / share: both")
    everything, gains, scores = [], [], {}
    for seed, case in enumerate(made_of):
        use = case.km < 60
        t, km = case.truth[use], case.km[use]
        made, line = data.background(case.year), data.laid(case.year)
        for name, assumed in VARIANTS.items():
            judged = looked(case.fires, made, line, assumed, settled_only=name != "the model")
            _score(scores, name, t, judged.settled[use])
            if name == "the model":
                p, q = judged.settled[use], judged.online[use]
                _score(scores, "the model, online", t, q)
        _score(scores, "without a line", t, looked(case.fires, made, None, settled_only=True).settled[use])
        _score(scores, "without a background", t, looked(case.fires, None, line).settled[use])
        _score(scores, "distance alone: 1 / (1 + km / 10)", t, 1.0 / (1.0 + km / 10.0))
        _score(scores, "excess over the season alone", t, _seasonal_excess(case.fires, made)[use])
        print(
            f"{seed:4d} {case.year}  {t.sum():8d}  {t.mean():5.2f}        {roc_auc_score(t, p):.3f}   "
            f"{roc_auc_score(t, q):.3f}  {roc_auc_score(t, -km):.3f}            {cohen_kappa_score(t, p >= 0.5):.3f}   "
            f"{cohen_kappa_score(t, q >= 0.5):.3f}            {p.mean() / t.mean():.2f}  {q.mean() / t.mean():.2f}"
        )
        everything.append((t, p, q))
        gains.append(_gain(t, p, -km, case.fires.of(use), np.random.default_rng(seed)))
    low, middle, high = np.quantile(np.concatenate(gains), [0.025, 0.5, 0.975])
    print(f"AUC over distance: {middle:.3f} ({low:.3f} to {high:.3f}; blocks of half a degree and a month, resampled)")
    print("\n# Reliability on invented truth: share that is the conflict's, by probability")
    t, p, q = (np.concatenate(c) for c in zip(*everything, strict=True))
    edges = np.array([0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    print("probability  " + "  ".join(f"{a:.2f}-{b:.2f}" for a, b in pairwise(edges)))
    for name, v in (("settled", p), ("online", q)):
        bins = np.digitize(v, edges[1:-1])
        print(f"{name:12s} " + "  ".join(f"{t[bins == b].mean():9.2f}" for b in range(len(edges) - 1)))
    print("\n# By variant: AUC, kappa, log loss, mean p / share; mean and spread over seeds")
    for name, rows in scores.items():
        each = zip(np.mean(rows, axis=0), np.std(rows, axis=0), strict=True)
        print(f"{name:34s}" + "   ".join(f"{m:.3f} ±{s:.3f}" for m, s in each))
    return bool(low > 0)


def _score(scores: dict[str, list[list[float]]], name: str, t: np.ndarray, p: np.ndarray) -> None:
    p = np.clip(
        np.nan_to_num(p, nan=0.28), 0.001, 0.99
    )  # where nothing is said, the prior of a mission without a model
    row = [roc_auc_score(t, p), cohen_kappa_score(t, p >= 0.5), log_loss(t, p), p.mean() / t.mean()]
    scores.setdefault(name, []).append([float(v) for v in row])


def _seasonal_excess(fires: Detections, made: Background) -> np.ndarray:
    """What the simplest model says: 1 - expected / counted, in the cell and the ten days round each detection."""
    row, column = made.grid.cells(fires.lon, fires.lat)
    inside = row >= 0
    new = np.zeros(len(row))
    new[inside], _ = fires_of(made.grid, fires.lon[inside], fires.lat[inside], fires.at_s[inside])
    period = fires.day // 5 - fires.day.min() // 5 + 1
    count = np.zeros((int(period.max()) + 2, made.grid.rows, made.grid.columns))
    np.add.at(count, (period[inside], row[inside], column[inside]), new[inside])
    near = sum(w * count[period + step, row, column] for step, w in ((-1, 0.5), (0, 1.0), (1, 0.5)))
    return np.clip(1.0 - 10.0 * made.rate[seasons(fires.day), row, column] / np.maximum(near, 1e-9), 0.0, 1.0)


def _gain(t: np.ndarray, p: np.ndarray, other: np.ndarray, fires: Detections, rng: np.random.Generator) -> np.ndarray:
    """Paired gain in AUC, over blocks drawn again."""
    places = np.stack([np.floor(fires.lon * 2), np.floor(fires.lat * 2), months(fires.day)], axis=1)
    block = np.unique(places, axis=0, return_inverse=True)[1]
    rows = [np.flatnonzero(block == b) for b in range(block.max() + 1)]
    out = []
    for _ in range(60):
        drawn = np.concatenate([rows[b] for b in rng.integers(0, len(rows), len(rows))])
        out.append(roc_auc_score(t[drawn], p[drawn]) - roc_auc_score(t[drawn], other[drawn]))
    return np.array(out)


# ---- 2023 ------------------------------------------------------------------------------------------------------


def war(data: Shared) -> bool:
    one, _ = data.one_satellite
    for name, fires, made in (
        ("one satellite (S-NPP) with times, against a baseline of VIIRS", one, data.background(None, viirs=True)),
        ("all satellites, days only", data.year(2023), data.background(None)),
    ):
        now = checks.distances(data.line, FRAME, made)
        judged = looked(fires, made, now)
        print(f"\n# 2023, {name}: {len(fires.lon):,} detections")
        rows = checks.against_excess(fires, judged, made, now)
        for season in checks.SEASONS:
            mine = [row for row in rows if row["season"] == season]
            print(f"{season:24s} km from  " + " ".join(f"{row['from_km']:7.0f}" for row in mine))
            for what in ("fires", "excess", "mean_p", "mean_p_online"):
                form = "7.0f" if what == "fires" else "7.2f"
                print(f"{'':24s} {what:14s}" + " ".join(f"{row[what] or 0.0:{form}}" for row in mine))
    made = data.background(None, viirs=True)
    now = checks.distances(data.line, FRAME, made)
    _reported(data, one, looked(one, made, now), made, dated_km(now, *one[:3]))
    return True


def _reported(data: Shared, fires: Detections, judged: Judged, made: Background, km: np.ndarray) -> None:
    """News of shelling and strikes near by, at other times: something the model has not seen."""
    told, grid = data.shelling, made.grid
    month = np.isin(months(fires.day), (4, 7, 8, 9, 10))
    asked, been = Marks(*grid.spots(fires.lon, fires.lat), fires.day), Marks(*grid.spots(told.lon, told.lat), told.day)
    hits = np.add(*occupied(asked, been, 3, 4, ((-21, -3), (3, 21))))
    print("\n# 2023, S-NPP: days in the three weeks before and after with news of shelling within 3 km, per detection")
    print("# (the model has not been given the news; within a band the distance to the line is alike)")
    edges = [0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.01]
    print("km      " + "".join(f"  p {a:.1f}-{min(b, 1):.1f}" for a, b in pairwise(edges)))
    for low, high in ((0, 5), (5, 10), (10, 20), (20, 40)):
        cells = []
        for a, b in pairwise(edges):
            use = month & (km >= low) & (km < high) & (judged.settled >= a) & (judged.settled < b)
            cells.append(f"{hits[use].mean():9.2f}" if use.sum() >= 30 else "        -")
        print(f"{low:2d}-{high:<4d} " + "".join(cells))


# ---- signs -----------------------------------------------------------------------------------------------------


def signs(data: Shared) -> bool:
    """Each sign among what the model calls the conflict's near the line, what it does not there, and far away."""
    fires, table = data.one_satellite
    made = data.background(None, viirs=True)
    now = checks.distances(data.line, FRAME, made)
    p, km = looked(fires, made, now, settled_only=True).settled, dated_km(now, *fires[:3])
    steady = np.isin(made.spot_keys(fires.lon, fires.lat), made.steady)
    groups = {
        "p > .9, < 20 km": ~steady & (km < 20) & (p > 0.9),
        "p < .3, < 20 km": ~steady & (km < 20) & (p < 0.3),
        "60-150 km": ~steady & (km > 60) & (km < 150),
        "steady heat": steady,
    }
    month = months(fires.day)
    weight = np.bincount(month[groups["p > .9, < 20 km"]], minlength=13)
    frp, scan = (table[name].to_numpy().astype(float) for name in ("frp", "scan"))
    confidence, night = np.array(table["confidence"]), fires.night == 1.0
    asked = Marks(*made.grid.spots(fires.lon, fires.lat), fires.day)
    again = occupied(asked, asked, 1, 1, [(1, 1)])[0] > 0
    power = np.log(np.maximum(frp, 0.1))
    print("\n# 2023, S-NPP: signs, in the months of the first group alike")
    print(f"{'':26s}" + "".join(f"{name:>18s}" for name in groups))
    for name, values, of in (
        ("log of power, by day", power, ~night),
        ("log of power, by night", power, night),
        ("low confidence", confidence == "l", None),
        ("high confidence", confidence == "h", None),
        ("by night", night, None),
        ("by night, March and April", night, np.isin(month, (3, 4))),
        ("by night, June to October", night, np.isin(month, (6, 7, 8, 9, 10))),
        ("pixels wider than 600 m", scan > 0.6, None),
        ("seen again the next day", again, None),
    ):
        cells = []
        for rows in groups.values():
            use = rows if of is None else rows & of
            each = [
                (weight[m], values[use & (month == m)].mean()) for m in range(1, 13) if (use & (month == m)).sum() > 20
            ]
            cells.append(sum(w * v for w, v in each) / max(sum(w for w, _ in each), 1))
        print(f"{name:26s}" + "".join(f"{v:18.3f}" for v in cells))
    return True


PARTS: dict[str, Callable[[Any], bool]] = {"speed": speed, "peace": peace, "truth": truth, "war": war, "signs": signs}


def main(wanted: list[str]) -> int:
    if unknown := [name for name in wanted if name not in PARTS]:
        print(f"{unknown[0]!r} is none of {', '.join(PARTS)}")
        return 2
    folder = Path(os.environ.get("TRUCELINE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        print("no real data (TRUCELINE_DATA): only speed, on an invented year")
        return 0 if speed(None) else 1
    data = Shared(folder)
    kept = [PARTS[name](data) for name in wanted or PARTS]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
