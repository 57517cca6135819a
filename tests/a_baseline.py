"""A small mission with a baseline: an invented line, invented farming, two months of invented war."""

from pathlib import Path

import numpy as np

from truceline.examples import SHIPPED

HEAD = "latitude,longitude,acq_date\n"
FULL = "latitude,longitude,acq_date,acq_time,satellite,confidence,frp,daynight\n"

MISSION = """\
name = "invented"
exercise = true
centre = {lon = 36.0, lat = 48.0}
radius_km = 150
agreement = "agreement.toml"

[line]
paths = ["line_2023-01-01.geojson"]

[[source]]
id = "viirs"
feed = "firms"
paths = ["firms/*.csv"]
"""
BASELINE = """
[baseline]
feed = "firms"
paths = ["past/*.csv"]
years = [2019, 2020, 2021]
"""
LINE = (
    '{"type": "Feature", "properties": {}, "geometry": '
    '{"type": "LineString", "coordinates": [[36.0, 47.2], [36.0, 48.8]]}}\n'
)


def farming(year: int, fires: int, rng: np.random.Generator) -> list[str]:
    """Fires of stubble from July to September, anywhere in the theatre."""
    days = np.datetime64(f"{year}-07-01") + rng.integers(0, 92, fires)
    lon, lat = rng.uniform(35.0, 37.0, fires), rng.uniform(47.2, 48.8, fires)
    return [f"{y:.5f},{x:.5f},{d}" for x, y, d in zip(lon, lat, days, strict=True)]


def war(fires: int, rng: np.random.Generator) -> list[str]:
    """Two months of fires within a few kilometres of one stretch of the line."""
    days = np.datetime64("2023-07-01") + np.sort(rng.integers(0, 62, fires))
    lon, lat = 36.0 + rng.normal(0.0, 0.04, fires), rng.uniform(47.8, 48.0, fires)
    return [f"{y:.5f},{x:.5f},{d}" for x, y, d in zip(lon, lat, days, strict=True)]


def write_mission(folder: Path, *, baseline: str = BASELINE) -> Path:
    """The mission's folder: three years of farming before it, 400 fires of farming and 250 of war in it."""
    rng = np.random.default_rng(7)
    for name in ("firms", "past"):
        (folder / name).mkdir(parents=True)
    for year in (2019, 2020, 2021):
        (folder / "past" / f"{year}.csv").write_text(HEAD + "".join(f"{row}\n" for row in farming(year, 500, rng)))
    own = [*farming(2023, 400, rng), *war(250, rng)]
    seen = (f"{row},{1015 + n % 40},N,n,5.0,D\n" for n, row in enumerate(own))
    (folder / "firms" / "2023.csv").write_text(FULL + "".join(seen))
    (folder / "line_2023-01-01.geojson").write_text(LINE)
    (folder / "mission.toml").write_text(MISSION + baseline)
    (folder / "agreement.toml").write_bytes((SHIPPED / "agreements" / "line-and-sites.toml").read_bytes())
    return folder
