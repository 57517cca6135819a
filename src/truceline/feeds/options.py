"""The options of a source in the mission file, checked; what several feeds share."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from truceline.errors import MissionError
from truceline.feeds.batch import Faults
from truceline.feeds.values import nearest
from truceline.mission import Source


def fail(source: Source, key: str, message: str) -> MissionError:
    """The error for a key of a source."""
    return MissionError(f"source {source.id!r}: {key}: {message}")


def known(source: Source, names: Sequence[str]) -> None:
    """Refuse options that the feed does not have."""
    for name in source.options:
        if name not in names:
            raise fail(source, f"options.{name}", f"the feed {source.feed!r} has no such option{nearest(name, names)}")


def text(source: Source, name: str) -> str | None:
    """A text option, or None."""
    value: Any = source.options.get(name)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise fail(source, f"options.{name}", f"{value!r} is not a text")
    return value


def one_of(source: Source, name: str, allowed: Sequence[str]) -> str | None:
    """A text option with few possible values, or None."""
    value = text(source, name)
    if value is not None and value not in allowed:
        raise fail(source, f"options.{name}", f"{value!r} is not one of {', '.join(allowed)}")
    return value


def number(source: Source, name: str, low: float, high: float) -> float | None:
    """A number option, or None."""
    value: Any = source.options.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise fail(source, f"options.{name}", f"{value!r} is not a number in {low:g}..{high:g}")
    return float(value)


def bounds(source: Source) -> tuple[float, float, float, float] | None:
    """`bounds = [west, south, east, north]`, degrees: records outside are rejected."""
    value: Any = source.options.get("bounds")
    if value is None:
        return None
    right = isinstance(value, list) and len(value) == 4
    right = right and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    if not right:
        raise fail(source, "options.bounds", f"{value!r} is not [west, south, east, north]")
    west, south, east, north = map(float, value)
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise fail(source, "options.bounds", f"{value!r} is not [west, south, east, north] in degrees")
    return west, south, east, north


def within(source: Source, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64], faults: Faults) -> None:
    """Reject records outside the source's bounds; say so of those that would lie inside with lon and lat swapped."""
    limits = bounds(source)
    if limits is None:
        return
    west, south, east, north = limits
    with np.errstate(invalid="ignore"):
        outside = ~((lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)) & np.isfinite(lon + lat)
        swapped = outside & (lat >= west) & (lat <= east) & (lon >= south) & (lon <= north)
    box = f"outside the source's bounds {west:g}, {south:g}, {east:g}, {north:g}"
    for where, hint in ((swapped, "; longitude and latitude look swapped"), (outside & ~swapped, "")):
        for row in np.flatnonzero(where).tolist():
            place = f"{lon[row]:g}, {lat[row]:g}"
            faults.tell(row, f"lon, lat = {place} is {box}{hint}", "lon, lat", place)


def moment_us(source: Source, name: str) -> int | None:
    """A moment with its zone, as text or TOML's own: microseconds since 1970; None when not given."""
    given: Any = source.options.get(name)
    if given is None:
        return None
    moment = given
    if isinstance(given, str):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        told = f"{given!r} is not a time with its zone like 2031-03-14T10:34:00Z"
        raise fail(source, f"options.{name}", told)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def place(source: Source, name: str) -> tuple[float, float] | None:
    """`[longitude, latitude]` in degrees, or None."""
    given: Any = source.options.get(name)
    if given is None:
        return None
    right = isinstance(given, list) and len(given) == 2
    right = right and all(isinstance(v, int | float) and not isinstance(v, bool) for v in given)
    if not right or not (abs(given[0]) <= 180 and abs(given[1]) <= 90):
        raise fail(source, f"options.{name}", f"{given!r} is not [longitude, latitude] in degrees")
    return float(given[0]), float(given[1])
