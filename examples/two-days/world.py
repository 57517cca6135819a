"""The ground the story happens on, and rows to be: places along a curve, times, truth, CSV text."""

import csv
import io
import itertools
import math
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from story import LINE, OCCURRENCES, SHIFTS, Occurrence

#: Kilometres a degree of longitude and of latitude, at the theatre's middle: good to some metres here.
LON0, LAT0 = 39.1, 49.4
KM_LON, KM_LAT = 111.32 * math.cos(math.radians(LAT0)), 111.2

Point = tuple[float, float]


def to_km(point: Point) -> Point:
    return (point[0] - LON0) * KM_LON, (point[1] - LAT0) * KM_LAT


def to_degrees(point: Point) -> Point:
    return LON0 + point[0] / KM_LON, LAT0 + point[1] / KM_LAT


def smooth(points: list[Point], pieces: int = 10) -> list[Point]:
    """A Catmull-Rom curve through the points."""
    first, last = points[0], points[-1]
    before = (2 * first[0] - points[1][0], 2 * first[1] - points[1][1])
    behind = (2 * last[0] - points[-2][0], 2 * last[1] - points[-2][1])
    points = [before, *points, behind]
    curve = []
    for i in range(len(points) - 3):
        east, north = ([point[axis] for point in points[i : i + 4]] for axis in (0, 1))
        curve += [(_spline(*east, piece / pieces), _spline(*north, piece / pieces)) for piece in range(pieces)]
    return [*curve, last]


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3)


CURVE = smooth([to_km(point) for point in LINE])
CHAIN = list(itertools.accumulate((math.dist(*piece) for piece in itertools.pairwise(CURVE)), initial=0.0))


def place(chain: float, off: float) -> Point:
    """East and north in km of a place given along and off the line (east of it positive)."""
    i = next((i for i, at in enumerate(CHAIN[1:]) if at >= chain), len(CURVE) - 2)
    (ax, ay), (bx, by) = CURVE[i], CURVE[i + 1]
    length = math.dist((ax, ay), (bx, by))
    t, ux, uy = (chain - CHAIN[i]) / length, (bx - ax) / length, (by - ay) / length
    return ax + t * (bx - ax) - off * uy, ay + t * (by - ay) + off * ux


def line_on(second_day: bool) -> list[Point]:
    """The line, in degrees; on the second day with its shifts."""
    points = []
    for chain in CHAIN:
        off = 0.0
        for middle, half, shift in SHIFTS if second_day else ():
            if abs(chain - middle) < half:
                off += shift * math.cos(math.pi / 2 * (chain - middle) / half) ** 2
        points.append(to_degrees(place(chain, off)))
    return points


KYIV = timezone(timedelta(hours=2))  # mid-March: winter time


class Row(NamedTuple):
    """One record to be: its text, what it is about, and what intake should make of it."""

    text: str
    about: str = ""
    wrong: str = ""  # why intake must reject it


def time(text: str, zone: timezone = KYIV) -> datetime:
    """March 2031, `14 09:30`; `14` and `14 24:00` are midnights."""
    day, _, clock = text.partition(" ")
    hour, minute = (int(part) for part in (clock or "0:0").split(":"))
    return datetime(2031, 3, int(day), tzinfo=zone) + timedelta(hours=hour, minutes=minute)


def line_of(*values: object, quote: bool = False) -> str:
    """One CSV line without its end."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL if quote else csv.QUOTE_MINIMAL, lineterminator="").writerow(values)
    return out.getvalue()


#: Everything that truly happened, by id; the small fire of the nights joins it in `people.background`.
TRUTH = {occurrence.id: occurrence for occurrence in OCCURRENCES}


def dice(seed: int | str) -> random.Random:
    """Python's own generator: its draws are the same in every version."""
    return random.Random(seed)  # noqa: S311 (no secret hangs on it)


def where(chain: float, off: float, error_km: float = 0.0, report: str = "") -> tuple[str, str]:
    """Longitude and latitude as a source gives them: off by its error, to five decimals (about a metre).

    Each `report` has dice of its own, so that one more or fewer leaves the others where they are.
    """
    east, north = place(chain, off)
    rng = dice(report)
    lon, lat = to_degrees((east + error_km * spread(rng), north + error_km * spread(rng)))
    return f"{lon:.5f}", f"{lat:.5f}"


def spread(rng: random.Random) -> float:
    """A normal deviate, at most 1.6: the story should not hang on one wild draw."""
    return max(-1.6, min(1.6, rng.gauss(0.0, 1.0)))


def truth_of(one: Occurrence) -> dict[str, object]:
    """An occurrence as expected.json tells it."""
    lon, lat = to_degrees(place(one.chain, one.off))
    begin, end = (time(moment).astimezone(UTC).isoformat() for moment in (one.starts, one.ends))
    told = {name: getattr(one, name) for name in ("what", "count", "weapon", "by", "conflict", "title")}
    return {"id": one.id, "from": begin, "until": end, "lon": round(lon, 5), "lat": round(lat, 5), **told}
