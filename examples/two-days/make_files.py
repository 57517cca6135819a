"""Make the data files of this exercise; seeded, so that they come out the same each time.

python make_files.py [FOLDER]
"""

import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import movers
import past
import people
import sky
from story import BORDER, CAMERAS, CIVIL, LINE_DAYS, PATROLS, SITES
from world import TRUTH, Row, dice, line_of, line_on, truth_of, where


class File(NamedTuple):
    source: str
    head: str  # of a table
    rows: list[Row]


def make(folder: Path) -> None:
    """Write every data file, and expected.json: what intake must count, and the truth to score by."""
    small = people.background(dice(271))
    TRUTH.update({one.id: one for one in small})
    heard, recorded = people.background_reports(small, dice(828))
    patrols, cameras = people.logs(PATROLS + heard, CAMERAS + recorded)
    first, second = people.press()
    snpp, noaa20 = sky.satellites()
    one_day, another = movers.states()
    files = {
        "firms/SUOMI_VIIRS_C2_2031-03-14.csv": File("viirs", sky.HEAD, snpp[0]),
        "firms/SUOMI_VIIRS_C2_2031-03-15.csv": File("viirs", sky.HEAD, snpp[1]),
        "firms/J1_VIIRS_C2_2031-03-14.csv": File("viirs", sky.HEAD, noaa20[0]),
        "firms/J1_VIIRS_C2_2031-03-15.csv": File("viirs", sky.HEAD, noaa20[1]),
        "incidents/press_2031-03-14.csv.gz": File("press", people.PRESS, first),
        "incidents/press_2031-03-15.csv": File("press", people.PRESS, second),
        "field/patrols.csv": File("patrols", people.LOG, patrols),
        "field/cameras.csv": File("cameras", people.LOG, cameras),
        "field/liaison.csv": File("liaison", people.CLAIMS, people.liaison()),
        "movers/aircraft_2031-03-14.csv": File("aircraft", movers.HEAD, one_day),
        "movers/aircraft_2031-03-15.csv": File("aircraft", movers.HEAD, another),
        "movers/vehicles.cot": File("vehicles", "", movers.events()),
    }
    for path, file in files.items():
        mark = "\ufeff" if file.source == "press" else ""  # as VIINA begins
        head = f"{mark}{file.head}\n" if file.head else ""
        write(folder / path, head + "".join(f"{row.text}\n" for row in file.rows))
    for path, rows in past.years().items():
        write(folder / path, f"{past.HEAD}\n" + "".join(f"{text}\n" for text in rows))
    write(folder / "field/civil.geojson", collection(people.civil()))
    for day in LINE_DAYS:
        ring = [[round(lon, 5), round(lat, 5)] for lon, lat in line_on(day == LINE_DAYS[1]) + BORDER]
        area = {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            "properties": {"held_by": "party-b"},
        }
        write(folder / f"line/line_{day}.geojson", collection([area]))
    sites = [line_of(name, kind, *where(chain, off)) for name, kind, chain, off in SITES]
    write(folder / "sites.csv", "\n".join(["name,kind,lon,lat", *sites]) + "\n")
    write(folder / "expected.json", json.dumps(expected(files), ensure_ascii=False, indent=1) + "\n")


def expected(files: dict[str, File]) -> dict[str, Any]:
    """What intake must count of each source, the truth, and which record is about which part of it."""
    sources: dict[str, Any] = {}
    for name in dict.fromkeys(file.source for file in files.values()):
        fates: Counter[str] = Counter()
        bad, seen = [], set()
        for path, file in files.items():
            for number, row in enumerate(file.rows if file.source == name else [], 1):
                fate = "rejected" if row.wrong else "duplicates" if row.text in seen else "accepted"
                seen.add(row.text)
                fates[fate] += 1
                if row.wrong:
                    bad.append({"file": path, "record": number, "why": row.wrong})
        sources[name] = {
            "records": fates.total(),
            **{fate: fates[fate] for fate in ("accepted", "duplicates", "rejected")},
            "bad": bad,
        }
    sources["civil"] = {"records": len(CIVIL), "accepted": len(CIVIL), "duplicates": 0, "rejected": 0, "bad": []}
    about = {path: [row.about for row in file.rows] for path, file in files.items()}
    about["field/civil.geojson"] = [damage.about for damage in CIVIL]
    occurrences = [truth_of(one) for one in TRUTH.values()]
    return {"sources": sources, "occurrences": occurrences, "movers": movers.truth(), "about": about}


def collection(features: list[dict[str, Any]]) -> str:
    """A GeoJSON file with one feature a line, so that a change shows as a line."""
    lines = ",\n".join(json.dumps(feature, ensure_ascii=False, separators=(",", ":")) for feature in features)
    return f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n'


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
