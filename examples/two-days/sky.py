"""What two satellites see of it: FIRMS rows of VIIRS on S-NPP and NOAA-20."""

import math
import random
from datetime import UTC, datetime, timedelta

from world import TRUTH, Point, Row, dice, place, time, to_degrees

HEAD = (
    "latitude,longitude,bright_ti4,scan,track,acq_date,acq_time,"
    "satellite,instrument,confidence,version,bright_ti5,frp,daynight"
)

#: Overpasses: satellite, day, UTC, day or night, scan angle over the theatre; one orbit, half a turn apart.
PASSES = [
    ("N20", 13, "23:06", "N", 41.0), ("N", 13, "23:57", "N", 9.0), ("N20", 14, "0:47", "N", 46.0),
    ("N20", 14, "9:44", "D", 48.0), ("N", 14, "10:34", "D", 12.0), ("N20", 14, "11:25", "D", 33.0),
    ("N20", 14, "22:47", "N", 30.0), ("N", 14, "23:38", "N", 22.0), ("N20", 15, "0:28", "N", 52.0),
    ("N20", 15, "9:25", "D", 55.0), ("N", 15, "10:15", "D", 24.0), ("N20", 15, "11:06", "D", 20.0),
]  # fmt: skip

#: What burns and is seen: pixels on its first pass, power of one pixel in MW.
BURNS = {
    "fire-chmyrivka": (4, 9.0), "fire-exercise": (3, 5.0), "fire-assault": (2, 2.5), "grass-west": (14, 7.0),
    "grass-east": (12, 6.0), "grass-south": (8, 5.0), "grass-quiet-sector": (5, 6.0), "brickworks": (2, 1.6),
}  # fmt: skip


SWAPPED = "longitude and latitude swapped: outside the source's bounds"


def pixel_km(angle_deg: float) -> tuple[float, float]:
    """Along-scan and along-track size of a VIIRS 375 m pixel seen at a scan angle.

    Viewing geometry from 829 km; the instrument averages three samples up to 31.6 degrees, two up to 44.7, then one.
    """
    radius, height, sample = 6371.0, 829.0, 0.131 / 829.0
    angle = math.radians(angle_deg)
    ratio = radius / (radius + height)
    root = math.sqrt(ratio**2 - math.sin(angle) ** 2)
    slant = (radius + height) * (math.cos(angle) - root)
    samples = 3 if angle_deg < 31.6 else 2 if angle_deg < 44.7 else 1
    return samples * sample * radius * (math.cos(angle) / root - 1), 0.371 / 829.0 * slant


def pixel(
    at: datetime, satellite: str, light: str, angle: float, point: Point, power: float, rng: random.Random
) -> str:
    """One FIRMS line: a pixel whose centre lies within half a pixel of what burns."""
    scan, track = pixel_km(angle + rng.uniform(-1.5, 1.5))
    lon, lat = to_degrees((point[0] + rng.uniform(-0.5, 0.5) * scan, point[1] + rng.uniform(-0.5, 0.5) * track))
    power *= math.exp(rng.gauss(0.0, 0.4))
    day = light == "D"
    hot = min(367.0, (327.0 if day else 300.0) + 5.5 * math.sqrt(power) + rng.uniform(-2.0, 2.0))
    cool = rng.gauss(286.0, 2.0) if day else rng.gauss(272.0, 2.0)
    confidence = "h" if hot > 355.0 else "l" if day and hot < 333.0 and rng.random() < 0.3 else "n"
    clock = f"{at.hour * 100 + at.minute}"  # unpadded, as the service gives it: 47 is 00:47
    return (
        f"{lat:.5f},{lon:.5f},{hot:.2f},{scan:.2f},{track:.2f},{at:%Y-%m-%d},{clock},{satellite},VIIRS,"
        f"{confidence},2.0NRT,{cool:.2f},{power:.2f},{light}"
    )


def satellite_rows(satellite: str, day: int, rng: random.Random) -> list[Row]:
    """Every pixel one satellite gives on one UTC day."""
    rows = []
    for name, of, clock, light, angle in PASSES:
        if (name, of) != (satellite, day):
            continue
        at = time(f"{of} {clock}", UTC)
        for burning, (pixels, power) in BURNS.items():
            truth = TRUTH[burning]
            if not time(truth.starts) <= at < time(truth.ends):
                continue
            old = (at - time(truth.starts)) / timedelta(hours=4) if truth.conflict else 0.0
            seen = max(1, round(pixels / (1 + old) * (0.5 if angle > 45 else 1.0)))
            east, north = place(truth.chain, truth.off)
            for n in range(seen):
                point = (east + 0.45 * (n % 4) - 0.2, north + 0.42 * (n // 4))
                rows.append(Row(pixel(at, satellite, light, angle, point, power / (1 + old), rng), burning))
        for _ in range(3 if light == "D" else 0):  # stray weak pixels: sun on roofs, garden fires
            point = place(rng.uniform(35, 115), rng.choice([rng.uniform(-55, -15), rng.uniform(15, 30)]))
            rows.append(Row(pixel(at, satellite, light, angle, point, 1.2, rng)))
    return rows


def satellites() -> list[list[list[Row]]]:
    """Two files of each satellite; the second of S-NPP holds the first day's rows once more, as downloads do."""
    rng = dice(2031)
    days = {(s, d): satellite_rows(s, d, rng) for s in ("N", "N20") for d in (13, 14, 15)}
    snpp = [days["N", 13] + days["N", 14], days["N", 14] + days["N", 15]]
    noaa20 = [days["N20", 13] + days["N20", 14], days["N20", 15]]
    good = snpp[0][-1].text.split(",")

    def bad(field: int, value: str, wrong: str) -> Row:
        return Row(",".join([*good[:field], value, *good[field + 1 :]]), wrong=wrong)

    snpp[0] += [
        bad(0, "149.28791", "latitude beyond the pole"),
        Row(",".join([good[1], good[0], *good[2:]]), wrong=SWAPPED),
    ]
    snpp[1] += [bad(6, "2561", "no such time"), bad(5, "2031-02-30", "no such day")]
    noaa20[1].insert(2, Row(",".join(good[:8]), wrong="a line cut short"))
    return [snpp, noaa20]
