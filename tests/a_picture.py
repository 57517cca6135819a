"""Small pictures for tests of rules and cases: events and incidents from a few words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from truceline.agreement import Agreement, Clause, Party
from truceline.frame import Frame
from truceline.picture import ASSOCIATIONS, EVENTS, INCIDENTS
from truceline.rules import judge

FRAME = Frame(37.5, 48.3)
PARTIES = [Party(id="a", name="Party A", inside=False), Party(id="b", name="Party B", inside=True)]
#: After every test picture ends.
UNTIL = datetime(2024, 1, 1, tzinfo=UTC)


def t(text: str) -> datetime:
    """A UTC time from "2023-10-05T14:00"."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def named(*parts: object) -> bytes:
    """An id for a test: 16 bytes of a hash of its name."""
    return sha256(repr(parts).encode()).digest()[:16]


def an_event(what: str = "explosion", *, east_m: float = 0.0, north_m: float = 0.0, **told: Any) -> dict[str, Any]:
    """An event where the frame begins, at 14:00 on 5 October 2023, known to 100 m, unless told otherwise."""
    lon, lat = FRAME.to_degrees(east_m, north_m)
    begin = told.pop("begin", told.get("at", t("2023-10-05T14:00")))
    end = told.pop("end", begin)
    row = {
        "what": what,
        "confidence": 1.0,
        "at": begin if begin is None else begin + (end - begin) / 2,
        "at_from": begin,
        "at_until": end,
        "lon": float(lon),
        "lat": float(lat),
        "major_m": 100.0,
        "minor_m": 100.0,
        "tilt_deg": 0.0,
        "place": "3 km NE of Avdiivka",
        "release": "public",
        "observations": 1,
    }
    return row | told


def a_picture(*rows: dict[str, Any]) -> tuple[pa.Table, pa.Table]:
    """Events and incidents; rows that name the same `incident` belong to one, others to one of their own."""
    rows = tuple({"incident": i, "event": i} | row for i, row in enumerate(rows))
    rows = tuple(
        {"event_id": named("event", r["event"]), "incident_id": named("incident", r["incident"])} | r for r in rows
    )
    groups: dict[bytes, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["incident_id"], []).append(row)
    incidents = [
        {
            **part[0],
            "first_at": min((r["at_from"] for r in part if r["at_from"]), default=None),
            "last_at": max((r["at_until"] for r in part if r["at_until"]), default=None),
            "events": len(part),
        }
        for part in groups.values()
    ]
    return _table(rows, EVENTS), _table(incidents, INCIDENTS)


def tied(*pairs: tuple[str, object], began: bool = True) -> pa.Table:
    """Associations of observations (by name) with events (by name); each event's first is the one it began with."""
    seen: set[object] = set()
    rows = []
    for observation, event in pairs:
        first = event not in seen and began
        seen.add(event)
        row = {"observation_id": named("observation", observation), "event_id": named("event", event)}
        rows.append(row | {"log_ratio": None if first else 3.0})
    return _table(rows, ASSOCIATIONS)


def _table(rows: Any, schema: pa.Schema) -> pa.Table:
    return pa.table({f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in schema}, schema)


def an_agreement(*clauses: Clause, **told: Any) -> Agreement:
    """Two parties and the clauses given."""
    return Agreement(**({"id": "test", "title": "a test", "party": PARTIES, "clause": list(clauses)} | told))


def a_clause(type: str = "cessation", **told: Any) -> Clause:
    """A clause that binds both parties."""
    return Clause(**({"id": "2", "type": type, "title": "no firing", "parties": ["a", "b"]} | told))


def judged(agreement: Agreement, *rows: dict[str, Any], line: Any = None, **told: Any) -> list[dict[str, Any]]:
    """The findings as dicts: `factors` by name, `attribution` a dict."""
    events, incidents = a_picture(*rows)
    told = {"gazetteer": None, "folder": Path(), "until": UNTIL} | told
    found = judge(events, incidents, agreement, line, FRAME, **told).to_pylist()
    for row in found:
        row["by_name"] = {factor["name"]: factor["value"] for factor in row["factors"]}
        row["attribution"] = dict(row["attribution"])
    return found


@dataclass(frozen=True)
class ADatedLine:
    """A line due north at `east_m`, what lies east of it held by the party inside."""

    day: date
    east_m: float
    tolerance_m: float
    file: str = "test"

    @property
    def path(self) -> shapely.MultiLineString:
        return shapely.MultiLineString([[(self.east_m, -200e3), (self.east_m, 200e3)]])

    @property
    def area(self) -> shapely.Polygon | None:
        return shapely.box(self.east_m, -200e3, 200e3, 200e3)


@dataclass(frozen=True)
class ALine:
    """Dated lines by date, as `truceline.line.Line` gives them."""

    east_m: Mapping[str, float]
    tolerance_m: float = 0.0

    def at(self, day: date) -> ADatedLine | None:
        days = sorted((date.fromisoformat(text), east) for text, east in self.east_m.items())
        before = [ADatedLine(d, east, self.tolerance_m) for d, east in days if d <= day]
        return before[-1] if before else None


def normal_below(limit: float, mean: float, sigma: float) -> float:
    """P(X < limit) of a normal variable."""
    from math import erf, sqrt

    return 0.5 * (1 + erf((limit - mean) / sigma / sqrt(2)))


def shuffled(rows: pa.Table, rng: np.random.Generator) -> pa.Table:
    """The same rows in another order."""
    return rows.take(pa.array(rng.permutation(rows.num_rows)))


HOUR = timedelta(hours=1)
