"""Three years before the story, at peace: what satellites saw burn. FIRMS' short form, place and day alone."""

import math
import random
from datetime import date, timedelta

from world import dice, place, to_degrees

HEAD = "LATITUDE,LONGITUDE,ACQ_DATE"
YEARS = (2028, 2029, 2030)

#: Days on which something burns are this much commoner in some months: last year's grass in spring, stubble after the
#: harvest, leaves in October.
MONTHS = (0.1, 0.3, 16.0, 8.0, 0.6, 0.5, 1.5, 2.0, 1.5, 1.0, 0.4, 0.1)
#: Farms, along and off the line in km: on both sides of it, farther than anything in the story.
FARMS, CHAIN, OFF = 260, (-20.0, 155.0), (-72.0, 72.0)
#: Burns in a usual year, and pixels seen of one: most are small, some run over many fields.
BURNS, PIXELS = 2_000, 2.4
#: Kilns: heat on every third day.
KILNS, HOT = (125.0, 27.0), 1 / 3


def year(of: int, rng: random.Random) -> list[str]:
    """One year's rows, in the order of days."""
    farms = [(rng.uniform(*CHAIN), rng.uniform(*OFF)) for _ in range(FARMS)]
    first, weights = date(of, 1, 1), []
    for day in range(365):
        dry = math.exp(rng.gauss(0.0, 0.6))  # weather is the same for all farms
        weights.append(MONTHS[(first + timedelta(day)).month - 1] * dry)
    found = []
    for day in rng.choices(range(365), weights, k=round(BURNS * math.exp(rng.gauss(0.0, 0.2)))):
        chain, off = rng.choice(farms)
        at = chain + rng.gauss(0.0, 2.5), off + rng.gauss(0.0, 2.5)
        pixels = 1 + int(rng.expovariate(1 / (PIXELS - 1)))
        found += [(day, at[0] + rng.gauss(0.0, 0.5), at[1] + rng.gauss(0.0, 0.5)) for _ in range(pixels)]
    found += [
        (day, KILNS[0] + rng.gauss(0.0, 0.15), KILNS[1] + rng.gauss(0.0, 0.15))
        for day in range(365)
        if rng.random() < HOT
    ]
    return [row(first + timedelta(day), chain, off) for day, chain, off in sorted(found)]


def row(day: date, chain: float, off: float) -> str:
    """One line of the file."""
    lon, lat = to_degrees(place(chain, off))
    return f"{lat:.4f},{lon:.4f},{day}"


def years() -> dict[str, list[str]]:
    """Every file of the past, by its name."""
    return {f"past/fires_{of}.csv.gz": year(of, dice(of)) for of in YEARS}
