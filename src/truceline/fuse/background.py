"""What burns without the conflict: fires expected in each cell and season, and heat that stays in one place.

Learned from a baseline of detections alone, of years and places at peace. A cell is a tenth of a degree, round
the tenth; a year has 73 periods of five days. The rate of a cell and period is what the baseline's years had there,
shrunk towards what they had in the wider surroundings:

    rate = (a + V h1) / (a / h0 + V)

with h1 the fires per cell and day under a normal curve of 9 km and 9 days, h0 under one of 60 km and 14 days, V the
days and cells that h1 rests on, halved because fires come in clusters, and a = 2 fires of doubt. Numerator and
denominator are spread alike, so a cell at the border of what was watched, a fortnight without satellites or a place
left out does not pass for a place where nothing burns.
"""

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from truceline.kernels.fires import blur, fresh

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Part of a cache's key: raise it whenever the same baseline gives another background.
VERSION = 2

#: Periods of a year; the 366th day belongs to the last.
SEASONS, PERIOD_DAYS = 73, 5
#: Cells are put together by BLOCK x BLOCK where only the region matters (44 km from south to north).
BLOCK = 4
KM_PER_DEGREE = 111.2
#: Pixels this near each other, on a day or the next, are one fire. Pixels: 0.4 to 0.8 km (VIIRS), 1 km or more (MODIS).
FIRE_M = 2_000.0
#: A cell's fires of one day count as no more than this: harvests and running grass fires are bursts of one cause.
MOST_A_DAY = 1.0

#: Spread of the near and of the wide estimate, km and days. The near one is a cell and its neighbours; the wide
#: one the size of a district and of a farming season. Chosen on held-out peaceful years by the spike (fires.md).
_NEAR, _WIDE = (9.0, 9.0), (60.0, 14.0)
#: Fires of doubt about the wide estimate, and how many fires burn for one reason (a farm burns all its fields).
_DOUBT, _TOGETHER = 2.0, 2.0
#: No place burns less than once in 140 years: a rate of 0 would make one fire a proof.
_LEAST = 2e-5

#: Steady heat: in at least a quarter of the months a detection within about a kilometre (a spot of 0.01 degrees and
#: its neighbours), with ten months of doubt at one in ten. Burnt fields come to 1 to 4 % of the months.
_SPOTS, _STEADY, _DOUBT_MONTHS, _USUAL = 10, 0.25, 10.0, 0.1
#: Steady sources give their detections a spread of about a spot (pixel size, pointing).
_SPOT_SIGMA = 0.8

#: 2.28 times the pixels (all satellites of 2023 against one) are 1.58 times the fires: fires go with pixels ** 0.55.
_FIRES_WITH_PIXELS = 0.55


class Grid(NamedTuple):
    """Cells of a tenth of a degree; west and south are tenths. Rows and columns are whole blocks."""

    west: int
    south: int
    columns: int
    rows: int

    def cells(self, lon: Floats, lat: Floats) -> tuple[Ints, Ints]:
        """Row and column of each point: of the tenth of a degree nearest to it, -1 outside."""
        column = np.floor(lon * 10.0 + 0.5).astype(np.int64) - self.west
        row = np.floor(lat * 10.0 + 0.5).astype(np.int64) - self.south
        outside = (column < 0) | (row < 0) | (column >= self.columns) | (row >= self.rows)
        return np.where(outside, -1, row), np.where(outside, -1, column)

    def spots(self, lon: Floats, lat: Floats) -> tuple[Ints, Ints]:
        """Row and column of each point in hundredths of a degree from the grid's corner, not bounded by the grid."""
        column = np.floor((lon - (self.west - 0.5) / 10.0) * 100.0).astype(np.int64)
        row = np.floor((lat - (self.south - 0.5) / 10.0) * 100.0).astype(np.int64)
        return row, column

    def centres(self) -> tuple[Floats, Floats]:
        """Longitude and latitude of every cell, row by row."""
        lat, lon = np.meshgrid(np.arange(self.rows), np.arange(self.columns), indexing="ij")
        return (lon.ravel() + self.west) / 10.0, (lat.ravel() + self.south) / 10.0

    @property
    def steps_per_km(self) -> tuple[float, float]:
        """Rows and columns to a kilometre, at the middle latitude."""
        middle = np.radians((self.south + self.rows / 2) / 10.0)
        return 10.0 / KM_PER_DEGREE, 10.0 / (KM_PER_DEGREE * float(np.cos(middle)))

    def metres(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """East and north of the grid's corner on a flat earth: good to tell what is within a few kilometres."""
        across = KM_PER_DEGREE * 1000.0 * float(np.cos(np.radians((self.south + self.rows / 2) / 10.0)))
        return (lon - self.west / 10.0) * across, (lat - self.south / 10.0) * KM_PER_DEGREE * 1000.0


@dataclass(frozen=True)
class Background:
    """What burns without the conflict, on a grid."""

    grid: Grid
    rate: Floats  # (73, rows, columns) fires per cell and day
    covered: Bools  # (rows, columns) where the baseline can speak
    steady: Ints  # ascending spots of steady heat: row * 10 * columns + column
    warm: Ints  # ascending spots on and round those
    heat: Floats  # detections a day in each of `warm`
    years: float  # of the baseline, in effect
    pixels_per_fire: float
    key: str  # SHA-256 of all it was learned from

    @classmethod
    def learn(
        cls,
        lon: Floats,
        lat: Floats,
        day: Ints,
        *,
        years: Collection[int] = (),
        exclude: "Sequence[BaseGeometry]" = (),
        exposure: Mapping[int, float] | None = None,
        region: "BaseGeometry | None" = None,
    ) -> "Background | None":
        """The background of a baseline; None where nothing is left to learn from.

        Parameters
        ----------
        lon, lat : (n,) float64
            Detections, degrees; rows with NaN are left out. Their order does not matter.
        day : (n,) int64
            Days since 1970-01-01 (UTC).
        years
            Which years to learn from; none given: all there are.
        exclude
            Places at war then: their detections teach nothing (but for steady heat), their surroundings stand for them.
        exposure
            How much each year was watched, relative to the others (two satellites where the others had one: about 1.5,
            as fires count, not pixels). Years not named, and all where none is given, are estimated from their steady
            heat.
        region
            Where the baseline can speak, degrees. None: within two cells of any of its detections.
        """
        use = np.isfinite(lon + lat)
        if years:
            use &= np.isin(calendar_years(day), list(years))
        if not use.any():
            return None
        lon, lat, day = lon[use], lat[use], day[use]
        order = np.lexsort((lat, lon, day))
        lon, lat, day = lon[order], lat[order], day[order]
        key = _key(lon, lat, day, exposure, region, exclude)
        return _learn(lon, lat, day, exposure or {}, region, exclude, key)

    def spot_keys(self, lon: Floats, lat: Floats) -> Ints:
        """How `steady` and `warm` name the spot of each point; -1 off the grid."""
        row, column = self.grid.spots(lon, lat)
        across, up = self.grid.columns * _SPOTS, self.grid.rows * _SPOTS
        outside = (row < 0) | (column < 0) | (row >= up) | (column >= across)
        return np.where(outside, -1, row * across + column)

    def save(self, path: Path) -> None:
        """Write to `path` (.npz), whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        with scratch.open("wb") as file:
            columns: dict[str, Any] = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
            np.savez(file, **columns)
        scratch.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Background":
        """What `save` wrote."""
        with np.load(path) as kept:
            columns: dict[str, Any] = {field.name: kept[field.name] for field in fields(cls)}
        columns["grid"] = Grid(*(int(v) for v in columns["grid"]))
        columns |= {name: float(columns[name]) for name in ("years", "pixels_per_fire")}
        return cls(**columns | {"key": str(columns["key"])})


def _key(
    lon: Floats,
    lat: Floats,
    day: Ints,
    exposure: Mapping[int, float] | None,
    region: "BaseGeometry | None",
    exclude: "Sequence[BaseGeometry]",
) -> str:
    digest = hashlib.sha256(f"fires {VERSION} {sorted((exposure or {}).items())}".encode())
    for column in (lon, lat, day):
        digest.update(np.ascontiguousarray(column).tobytes())
    for shape in (region, *exclude):
        digest.update(b"-" if shape is None else shape.wkb)
    return digest.hexdigest()


def _learn(
    lon: Floats,
    lat: Floats,
    day: Ints,
    exposure: Mapping[int, float],
    region: "BaseGeometry | None",
    exclude: "Sequence[BaseGeometry]",
    key: str,
) -> Background:
    grid = grid_over(lon, lat)
    year, season, month = _calendar(day)
    spots = grid.rows * _SPOTS, grid.columns * _SPOTS
    spot = np.ravel_multi_index(grid.spots(lon, lat), spots)
    steady, warm, counts = _steady(spot, month, spots)
    watched = _watched(year, season, day, _exposure(exposure, year, month, np.isin(spot, steady)))
    row, column = grid.cells(lon, lat)
    open_ground = _open_ground(grid, exclude)
    use = ~np.isin(spot, steady) & open_ground[row, column]
    at_s = day[use].astype(np.float64) * 86400.0
    new, _ = fresh(at_s, *grid.metres(lon[use], lat[use]), FIRE_M)
    fires = np.zeros((SEASONS, grid.rows, grid.columns))
    np.add.at(fires, (season[use], row[use], column[use]), held_down(new, day[use], row[use], column[use]))
    covered = _covered(grid, row, column, region)
    days_watched = watched.sum()
    return Background(
        grid=grid,
        rate=_rate(fires, watched[:, None, None] * (covered & open_ground), grid),
        covered=covered,
        steady=steady,
        warm=warm,
        heat=counts / days_watched,
        years=float(days_watched / 365.25),
        pixels_per_fire=float(len(new) / new.sum()) if len(new) else 1.0,
        key=key,
    )


def fires_of(grid: Grid, lon: Floats, lat: Floats, at_s: Floats) -> tuple[Floats, Floats]:
    """What each detection counts for, in fires: with all of its day (a burst of a cell held down), and when it is seen
    (not held down). All within the grid."""
    by_day, by_pass = fresh(at_s, *grid.metres(lon, lat), FIRE_M)
    return held_down(by_day, np.floor(at_s / 86_400.0).astype(np.int64), *grid.cells(lon, lat)), by_pass


def held_down(fires: Floats, day: Ints, row: Ints, column: Ints) -> Floats:
    """The same, but of no cell and day more than `MOST_A_DAY`."""
    if not len(fires):
        return fires
    columns = int(column.max()) + 1
    key = ((day - day.min()) * (int(row.max()) + 1) + row) * columns + column
    _, place = np.unique(key, return_inverse=True)
    whole = np.bincount(place, fires)
    return np.asarray(fires * (np.minimum(whole, MOST_A_DAY) / whole)[place])


def grid_over(lon: Floats, lat: Floats) -> Grid:
    """The points' box with a block to spare on every side, in whole blocks."""
    west, east = (int(np.floor(v * 10.0 + 0.5)) for v in (lon.min(), lon.max()))
    south, north = (int(np.floor(v * 10.0 + 0.5)) for v in (lat.min(), lat.max()))
    columns, rows = (-(-(high - low + 1) // BLOCK) * BLOCK + 2 * BLOCK for low, high in ((west, east), (south, north)))
    return Grid(west - BLOCK, south - BLOCK, columns, rows)


def seasons(day: Ints) -> Ints:
    """Which of the year's 73 periods each day is in."""
    date = day.astype("datetime64[D]")
    day_of_year = (date - date.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64)
    return np.asarray(np.minimum(day_of_year // PERIOD_DAYS, SEASONS - 1))


def calendar_years(day: Ints) -> Ints:
    """The year each day is in."""
    return np.asarray(day.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970)


def _calendar(day: Ints) -> tuple[Ints, Ints, Ints]:
    return calendar_years(day), seasons(day), day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _steady(spot: Ints, month: Ints, spots: tuple[int, int]) -> tuple[Ints, Ints, Floats]:
    """Spots of steady heat; those and the ones round them with their detections, spread as pixels are."""
    months = np.zeros((1, *spots))
    observed = np.unique(month)
    for one in observed:
        hot = np.zeros(spots, np.bool_)
        hot.ravel()[spot[month == one]] = True
        months[0] += _widened(hot, 1)
    fraction = (_USUAL * _DOUBT_MONTHS + months[0]) / (_DOUBT_MONTHS + len(observed))
    steady = fraction >= _STEADY
    counts = np.bincount(spot, minlength=steady.size).reshape(spots) * _widened(steady, 1)
    spread = blur(counts[None].astype(np.float64), 0.0, _SPOT_SIGMA, _SPOT_SIGMA)[0]
    warm = np.flatnonzero(spread)
    return np.flatnonzero(steady), warm, spread.ravel()[warm]


def _widened(mask: Bools, by: int) -> Bools:
    """True within `by` rows and columns of what is true."""
    out = mask.copy()
    for axis in (0, 1):
        grown = out.copy()
        for shift in range(1, by + 1):
            low, high = [slice(None)] * 2, [slice(None)] * 2
            low[axis], high[axis] = slice(None, -shift), slice(shift, None)
            grown[tuple(low)] |= out[tuple(high)]
            grown[tuple(high)] |= out[tuple(low)]
        out = grown
    return out


def _exposure(stated: Mapping[int, float], year: Ints, month: Ints, steady: Bools) -> dict[int, float]:
    """How much each year was watched: stated, or by how often steady heat was seen a month, where that differs by half.

    Works close and open, so that smaller differences say nothing of satellites.
    """
    each = {int(y): steady[year == y].sum() / len(np.unique(month[year == y])) for y in np.unique(year)}
    usual = float(np.median(list(each.values())))
    out = {}
    for y, seen in each.items():
        ratio = seen / usual if usual > 0 else 1.0
        estimate = float(np.clip(ratio, 0.25, 4.0)) ** _FIRES_WITH_PIXELS if not 2 / 3 < ratio < 3 / 2 else 1.0
        out[y] = stated.get(y, estimate)
    return out


def _watched(year: Ints, season: Ints, day: Ints, exposure: Mapping[int, float]) -> Floats:
    """(73,) days of watching in each period, over the years. A fortnight without one detection was not watched."""
    days = np.zeros(SEASONS)
    last = np.bincount(seasons(np.arange(365, dtype=np.int64)), minlength=SEASONS).astype(np.float64)
    for y, weight in exposure.items():
        seen = np.bincount(season[year == y], minlength=SEASONS) > 0
        near = seen | np.r_[False, seen[:-1]] | np.r_[seen[1:], False]
        days += weight * last * near
    return days


def _open_ground(grid: Grid, exclude: "Sequence[BaseGeometry]") -> Bools:
    """Cells whose centre lies in none of the places left out."""
    out = np.ones(grid.rows * grid.columns, np.bool_)
    if exclude:
        import shapely

        lon, lat = grid.centres()
        for shape in exclude:
            out &= ~shapely.contains_xy(shape, lon, lat)
    return out.reshape(grid.rows, grid.columns)


def _covered(grid: Grid, row: Ints, column: Ints, region: "BaseGeometry | None") -> Bools:
    if region is not None:
        import shapely

        lon, lat = grid.centres()
        return np.asarray(shapely.contains_xy(region, lon, lat)).reshape(grid.rows, grid.columns)
    seen = np.zeros((grid.rows, grid.columns), np.bool_)
    seen[row, column] = True
    return _widened(seen, 2)


def _rate(fires: Floats, days: Floats, grid: Grid) -> Floats:
    near, near_days = _spread(fires, _NEAR, grid), _spread(days, _NEAR, grid)
    wide, wide_days = _spread(fires, _WIDE, grid), _spread(days, _WIDE, grid)
    # how many cells and periods a normal curve spreads over: the inverse of the sum of its squared weights
    extent = 1.0
    for step in _steps(_NEAR, grid):
        extent *= 2.0 * np.sqrt(np.pi) * step
    h0 = wide / np.maximum(wide_days, 1e-9) + _LEAST
    seen = extent / _TOGETHER
    # V h1 is `near * seen`: where nothing near was watched both vanish, and the wide estimate is left
    return np.asarray(np.maximum((_DOUBT + near * seen) / (_DOUBT / h0 + near_days * seen), _LEAST))


def _steps(spread: tuple[float, float], grid: Grid) -> tuple[float, float, float]:
    km, days = spread
    rows, columns = grid.steps_per_km
    return days / PERIOD_DAYS, km * rows, km * columns


def _spread(values: Floats, spread: tuple[float, float], grid: Grid) -> Floats:
    """Under a normal curve; the year is a circle."""
    periods, rows, columns = _steps(spread, grid)
    turn = int(np.ceil(3.0 * periods))
    round_the_year = np.concatenate([values[-turn:], values, values[:turn]])
    return blur(round_the_year, periods, rows, columns)[turn:-turn]
