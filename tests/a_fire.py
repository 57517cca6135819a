"""Invented satellite fires for tests: a square of two degrees that burns now and then, and a line across it."""

import numpy as np

from truceline.fuse.background import Background
from truceline.fuse.causes import Lines, lines

DAY_S = 86_400.0
WEST, SOUTH, EAST, NORTH = 36.0, 47.0, 38.0, 49.0
#: The line of `a_line` runs from north to south here.
MERIDIAN = 37.0
KM_PER_DEGREE = 111.2


def day(date: str) -> int:
    """Days since 1970."""
    return int(np.datetime64(date, "D").astype(np.int64))


def detections(rng, year: int, per_day: float = 3.0, months=range(1, 13), box=(WEST, SOUTH, EAST, NORTH)):
    """Longitude, latitude, day of single pixels, anywhere in the box, on any day of the months."""
    first, last = day(f"{year}-01-01"), day(f"{year + 1}-01-01")
    days = np.repeat(np.arange(first, last), rng.poisson(per_day, last - first))
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12 + 1
    days = days[np.isin(month, list(months))]
    lon, lat = rng.uniform(box[0], box[2], len(days)), rng.uniform(box[1], box[3], len(days))
    return lon, lat, days


def years_of(rng, years, **how):
    """Several years of `detections`, put together."""
    return tuple(np.concatenate(column) for column in zip(*(detections(rng, y, **how) for y in years), strict=True))


def at_a_place(lon: float, lat: float, days, rng, spread_km: float = 1.5):
    """A detection a day round a place."""
    n = len(days)
    east, north = rng.normal(0.0, spread_km / KM_PER_DEGREE, (2, n))
    return lon + east / np.cos(np.radians(lat)), lat + north, np.asarray(days, np.int64)


def together(*parts):
    """Detections of several kinds in one."""
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def a_background(rng, years=range(2012, 2019), **how) -> Background:
    learned = Background.learn(*years_of(rng, years, **how))
    assert learned is not None
    return learned


def km_from(meridian: float):
    """Distance from a line along a meridian."""

    def km(_version: int, lon, lat):
        return np.abs(lon - meridian) * KM_PER_DEGREE * np.cos(np.radians(lat))

    return km


def a_line(grid, meridian: float = MERIDIAN, since: str = "2010-01-01") -> Lines:
    return lines(grid, [day(since)], km_from(meridian))
