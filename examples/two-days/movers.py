"""What moves, and is followed: two airliners, a light aircraft that nobody notified, two of the mission's own vehicles.

Aircraft come as state vectors in the form of traffic's tables, vehicles as Cursor on Target. Everything is invented;
the addresses are of the block that is given to no state.
"""

import itertools
import math
import random
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from story import PLACES, SITES
from world import KM_LON, Point, Row, dice, line_of, place, smooth, spread, time, to_degrees, to_km

HEAD = "timestamp,icao24,callsign,latitude,longitude,altitude,groundspeed,track,vertical_rate,onground,category,nac_p"
FOOT_M, KNOT_MPS = 0.3048, 1852 / 3600


class Mover(NamedTuple):
    """One object on its way: where along, from when, how fast, and how often it says where it is."""

    id: str
    identity: str
    what: str  # taxonomy term
    name: str
    begins: str
    route: list[Point]  # km
    mps: float
    every_s: int
    stays_s: int  # at the end of its way
    title: str
    enters: str = ""  # zone of the agreement, in breach of it
    alt_m: float = 0.0


def along(*points: Point) -> list[Point]:
    """A way through points given as (chain, off)."""
    return smooth([place(*point) for point in points])


def through(*points: Point) -> list[Point]:
    """A way through points given in degrees."""
    return smooth([to_km(point) for point in points])


STATION = to_degrees(place(*SITES[0][2:]))
STORAGE = (39.386, 49.344)

AIRCRAFT = [
    Mover("airliner-west", "icao:f00a01", "aircraft.fixed_wing", "EXR101", "14 11:00",
          through((37.30, 51.2), (37.75, 47.6)), 231.0, 15, 0, "an airliner high and far west of it", alt_m=10970.0),
    Mover("airliner-east", "icao:f00a02", "aircraft.fixed_wing", "EXR202", "15 09:00",
          through((41.45, 51.0), (40.90, 47.7)), 236.0, 15, 0, "an airliner high and far east of it", alt_m=10360.0),
    Mover("light-aircraft", "icao:f00a03", "aircraft.light", "EXL303", "15 13:30",
          along((47.0, 48.0), (47.5, 25.0), (46.0, 8.0), (38.0, 6.0),
                (30.0, 7.0), (33.0, 15.0), (42.0, 21.0), (47.0, 40.0)),
          60.0, 15, 0, "a light aircraft 6 km E of the line, which nobody notified", "no-fly-east", 460.0),
]  # fmt: skip
VEHICLES = [
    Mover("vehicle-2", "cot:MONITOR-2", "ground.vehicle", "Patrol 2", "14 13:40",
          through(PLACES["Starobilsk"], (38.93, 49.31), (38.88, 49.35), STATION), 10.0, 30, 900,
          "a patrol goes to see the power station"),
    Mover("vehicle-4", "cot:MONITOR-4", "ground.vehicle", "Patrol 4", "15 11:30",
          through(PLACES["Bilovodsk"], (39.53, 49.25), (39.45, 49.29), STORAGE), 11.0, 30, 900,
          "a patrol goes to the storage site and is refused entry"),
]  # fmt: skip


class Fix(NamedTuple):
    """Where a mover was, and how fast it went, as it tells it."""

    at: datetime
    lon: float
    lat: float
    mps: float
    course_deg: float


def fixes(mover: Mover, error_m: float) -> list[Fix]:
    """Every position that it tells, each off by its error."""
    rng = dice(mover.id)
    chain = [0.0, *itertools.accumulate(math.dist(*piece) for piece in itertools.pairwise(mover.route))]
    lasts_s = int(chain[-1] * 1000 / mover.mps) + mover.stays_s
    out = []
    for after_s in range(0, lasts_s + 1, mover.every_s):
        gone = min(after_s * mover.mps / 1000, chain[-1])
        k = next(k for k, to in enumerate(chain[1:]) if gone <= to)
        (ax, ay), (bx, by) = mover.route[k], mover.route[k + 1]
        t = (gone - chain[k]) / (chain[k + 1] - chain[k])
        east, north = ax + t * (bx - ax) + _off(rng, error_m), ay + t * (by - ay) + _off(rng, error_m)
        lon, lat = to_degrees((east, north))
        # a degree of longitude is shorter in the north than at the theatre's middle
        course = math.degrees(math.atan2((bx - ax) * math.cos(math.radians(lat)) * 111.32 / KM_LON, by - ay)) % 360.0
        stands = gone >= chain[-1]
        out.append(Fix(time(mover.begins) + timedelta(seconds=after_s), lon, lat, 0.0 if stands else mover.mps, course))
    return out


def _off(rng: random.Random, error_m: float) -> float:
    return error_m / 1000 * spread(rng)


_CATEGORY = {"aircraft.fixed_wing": "A3", "aircraft.light": "B4"}


def states() -> list[list[Row]]:
    """State vectors of the two days as receivers together give them; repeats and a slipped point among them."""
    days: list[list[tuple[datetime, Row]]] = [[], []]
    for mover in AIRCRAFT:
        for fix in fixes(mover, 20.0):
            days[fix.at.day - 14].append((fix.at, Row(_state(mover, fix), mover.id)))
    first, second = ([row for _, row in sorted(day, key=lambda row: row[0])] for day in days)
    first[40:40] = [first[39]] * 2  # two receivers heard it
    slipped = second[20].text.split(",")
    slipped[3] = slipped[3].replace(".", "", 1)
    second.insert(21, Row(",".join(slipped), wrong="no such latitude: the decimal point is missing"))
    second.append(second[-1])
    return [first, second]


def _state(mover: Mover, fix: Fix) -> str:
    rng = dice(f"{mover.id} {fix.at}")
    feet = 25 * round((mover.alt_m + 8 * spread(rng)) / FOOT_M / 25)  # heights are sent in steps of 25 feet
    moving = (round(fix.mps / KNOT_MPS), f"{fix.course_deg:.1f}", 0)
    told = (f"{fix.lat:.5f}", f"{fix.lon:.5f}", feet, *moving, False, _CATEGORY[mover.what], 9)
    return line_of(_stamp(fix.at), mover.identity.removeprefix("icao:"), mover.name, *told)


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}+00:00"


def events() -> list[Row]:
    """What the mission's own vehicles send: an event a line, without a head."""
    rows = [(fix.at, mover, fix) for mover in VEHICLES for fix in fixes(mover, 8.0)]
    out = [Row(_event(mover, fix), mover.id) for _, mover, fix in rows]
    out.insert(12, Row(out[12].text.replace('lat="49.', 'lat="149.'), wrong="no such latitude"))
    out.insert(30, out[29])  # sent again: the first was not acknowledged
    return out


def _event(mover: Mover, fix: Fix) -> str:
    at, stale = (f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in (fix.at, fix.at + timedelta(minutes=5)))
    return (
        f'<event version="2.0" uid="{mover.identity.removeprefix("cot:")}" type="a-n-G-E-V" how="m-g" time="{at}" '
        f'start="{at}" stale="{stale}"><point lat="{fix.lat:.5f}" lon="{fix.lon:.5f}" hae="9999999" ce="8" '
        f'le="9999999"/><detail><contact callsign="{mover.name}"/>'
        f'<track speed="{fix.mps:.1f}" course="{fix.course_deg:.1f}"/></detail></event>'
    )


def truth() -> list[dict[str, object]]:
    """The movers as expected.json tells them."""
    out = []
    for mover in AIRCRAFT + VEHICLES:
        told = fixes(mover, 0.0)
        begin, end = (fix.at.astimezone(UTC).isoformat() for fix in (told[0], told[-1]))
        said = {name: getattr(mover, name) for name in ("id", "identity", "what", "title", "enters")}
        out.append({**said, "from": begin, "until": end, "fixes": len(told)})
    return out
