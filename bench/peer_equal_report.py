"""What of two daily reports is not the same: the model as JSON, its files beside it, the cells of the page's tables."""

import csv
import html
import io
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

#: Of numbers in the report that are rounded: by key how far they may be off; others are equal.
OFF = {"line_distance_m": 1.0, "line_distance_km": 1e-3, "p_inside": 1.1e-3, "p_breach": 1.1e-3, "greatest": 1.1e-3}
OFF |= {"major_m": 1.0, "minor_m": 1.0, "tilt_deg": 1.0, "line_length_km": 0.01, "p_conflict": 1e-6, "frp_mw": 1e-6}
#: Not held against each other: the hashes of two books, the drawing, and what is there only after a second edition.
LEFT_OUT = {"provenance", "map", "erratum"}
PERIOD_OFF_S = 1e-5
#: Probabilities as texts have them; a last digit may be rounded otherwise where the number lies between two.
SAID = re.compile(r"[<>]?\b[01]\.\d\d\b")


def differences(ours: Path, theirs: dict[str, str]) -> list[str]:
    """What differs between the newest report in the folder `ours` and the peer's files; at most 20 of a kind."""
    folder = max((ours / "reports").glob("*-edition-*"), default=None)
    if folder is None:
        return ["report: ours was not written"]
    mine = {name: (folder / name).read_text() for name in ("report.json", "incidents.geojson", "violations.csv")}
    wrong: list[str] = []
    for name in ("report.json", "incidents.geojson"):
        found: list[str] = []
        one, other = json.loads(mine[name]), json.loads(theirs[name])
        for part in LEFT_OUT if name == "report.json" else ():
            one.pop(part, None), other.pop(part, None)
        same(found, name, one, other)
        wrong += found[:20]
    found = []
    rows = [list(csv.DictReader(io.StringIO(text["violations.csv"]))) for text in (mine, theirs)]
    same(found, "violations.csv", *rows)
    shown = json.loads(mine["report.json"])["map"]["incidents"]
    drawn = json.loads(theirs["report.json"])["map"]["incidents"]
    if shown != drawn:
        found.append(f"map: ours shows {shown} incidents, the peer's {drawn}")
    same(found, "page", *(cells(text) for text in ((folder / "report.html").read_text(), theirs["report.html"])))
    return wrong + found[:20]


def same(wrong: list[str], where: str, mine: Any, theirs: Any) -> None:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in {**mine, **theirs}:
            if key in mine and key in theirs:
                same(wrong, f"{where}, {key}", mine[key], theirs[key])
            else:
                wrong.append(f"{where}, {key}: of one alone")
    elif isinstance(mine, list) and isinstance(theirs, list):
        if len(mine) != len(theirs):
            wrong.append(f"{where}: ours has {len(mine)}, the peer's {len(theirs)}")
        for i, (one, other) in enumerate(zip(mine, theirs, strict=False)):
            same(wrong, f"{where} {i}", one, other)
    elif mine != theirs and not near(where, mine, theirs):
        wrong.append(f"{where}: ours {mine!r}, the peer's {theirs!r}")


def near(where: str, mine: Any, theirs: Any) -> bool:
    """Whether two values are the same number, probability in a text, or time, but for rounding."""
    key = where.rpartition(", ")[2]
    try:
        if isinstance(mine, bool) or isinstance(theirs, bool) or mine is None or theirs is None:
            return False
        if isinstance(mine, str) and "T" in mine:
            apart = datetime.fromisoformat(mine) - datetime.fromisoformat(theirs)
            return abs(apart.total_seconds()) <= PERIOD_OFF_S
        return abs(float(mine) - float(theirs)) <= OFF.get(key, 0.0)
    except (TypeError, ValueError):
        pattern = re.compile(r"[<>]?\b[01]\.\d\d\b")
        if not (isinstance(mine, str) and isinstance(theirs, str)) or pattern.sub("#", mine) != pattern.sub(
            "#", theirs
        ):
            return False
        pairs = zip(pattern.findall(mine), pattern.findall(theirs), strict=True)
        return all(abs(float(a.lstrip("<>")) - float(b.lstrip("<>"))) <= 0.0101 for a, b in pairs)


def cells(page: str) -> dict[str, list[str]]:
    """The words of the cells of each table of a page."""
    out = {}
    for name, body in re.findall(r'<table[^>]*id="table-(\w+)"[^>]*>(.*?)</table>', page, re.S):
        found = re.findall(r"<td[^>]*>(.*?)</td>", body, re.S)
        out[name] = [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for cell in found]
    return out
