"""From an edition's tables to the report's model: what of the picture belongs to the day."""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline.observation import TIME, term, to_numpy
from truceline.pieces import Rows, pieces_of
from truceline.places import FAR_KM, Gazetteer
from truceline.report.model import Held, Incident, Source, Tally

Row = dict[str, Any]

#: Where fire came from, and where a weapon stood: released to nobody more finely than to 1 km (law 6).
ORIGINS = ("explosion.outgoing", "muzzle_flash", "weapon", "ground.build_up", "ground.exercise")

#: A grid of about 1.1 km by 1.1 km in the theatre's latitudes: nodes no nearer than law 6 asks.
COARSE_LAT_DEG, COARSE_LON_DEG = 0.01, 0.015

#: Which family of events names an incident: the act before the fire it left, as fusing has it.
LEADING = ("impulse", "ground", "air", "weapon", "sea", "notice", "fire")

#: An interval up to this is told by its best time alone, and with "about" from the lesser on: patrols write the
#: minute and mean a few, several who heard the same differ by ten. Assumption.
KNOWN, WELL_KNOWN = timedelta(minutes=30), timedelta(minutes=10)

#: A time known only to half a day or worse is a date, not a time.
WIDE = timedelta(hours=12)


def within(events: pa.Table, begins: datetime, ends: datetime) -> pa.Table:
    """The events whose best estimate of time is in [begins, ends); its interval's begin where there is none."""
    at = pc.coalesce(events["at"], events["at_from"])
    inside = pc.and_(pc.greater_equal(at, pa.scalar(begins, TIME)), pc.less(at, pa.scalar(ends, TIME)))
    return events.filter(pc.fill_null(inside, False))


def of(table: pa.Table, column: str, ids: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The rows whose `column` is one of `ids`."""
    return table.filter(pc.is_in(table[column], value_set=pc.unique(ids)))


def family(incidents: pa.Table) -> list[str]:
    """The physical family of each incident: impulse, fire, air, weapon, ground, sea, notice."""
    known = {what: term(what).family for what in pc.unique(incidents["what"]).to_pylist()}
    return [known[what] for what in incidents["what"].to_pylist()]


def by_incident(events: pa.Table) -> dict[bytes, Row]:
    """What the day's events say of each incident: interval, numbers summed (null where none states one).

    Casualties are the greatest stated: accounts of an episode repeat each other's.
    """
    counted = events.append_column("most", pc.coalesce(events["count_max"], events["count"]))
    names_it = leading(events)
    for name, column in told(events).items():
        counted = counted.append_column(name, pc.if_else(names_it, column, None))
    grouped = counted.group_by("incident_id").aggregate(
        [
            *((name, "sum") for name in ("count", "most", "frp_mw", "observations")),
            *((name, "max") for name in ("killed", "injured")),
            ("at_from", "min"),
            ("at_until", "max"),
            ("at", "min"),
            ("at", "max"),
            ("told_from", "min"),
            ("told_until", "max"),
            ("vague", "max"),
            ("event_id", "count"),
        ]
    )
    return {row["incident_id"]: row for row in grouped.to_pylist()}


def leading(events: pa.Table) -> pa.Array:
    """Whether each event is one that names its incident and tells its time: of the foremost family of its events,
    and not known to the day alone where another of these is known better."""
    words = pc.unique(events["what"]).to_pylist()
    ranks = np.array([LEADING.index(term(what).family) for what in words], np.int64)
    rank = ranks[pc.index_in(events["what"], value_set=pa.array(words, pa.string())).to_numpy()]
    width = pc.subtract(pc.coalesce(events["at_until"], events["at"]), pc.coalesce(events["at_from"], events["at"]))
    vague = pc.fill_null(pc.greater_equal(width, pa.scalar(WIDE, pa.duration("us"))), False)
    rank = 2 * rank + np.asarray(vague)
    known = pc.unique(events["incident_id"])
    codes = pc.index_in(events["incident_id"], value_set=known).to_numpy()
    least = np.full(len(known), 2 * len(LEADING))
    np.minimum.at(least, codes, rank)
    return pa.array(rank == least[codes])


def told(events: pa.Table) -> dict[str, pa.Array]:
    """When each event is said to have been: its best time where that is known well, else its interval; and whether
    the best time is only about right."""
    at, begin, end = (events[name] for name in ("at", "at_from", "at_until"))
    width = pc.subtract(pc.coalesce(end, at), pc.coalesce(begin, at))
    short = pc.fill_null(pc.less_equal(width, pa.scalar(KNOWN, pa.duration("us"))), True)
    alone = pc.and_(short, pc.is_valid(at))
    about = pc.fill_null(pc.greater(width, pa.scalar(WELL_KNOWN, pa.duration("us"))), False)
    return {  # in this order
        "told_from": pc.if_else(alone, at, pc.coalesce(begin, at)),
        "told_until": pc.if_else(alone, at, pc.coalesce(end, at)),
        "vague": pc.and_(alone, about).cast(pa.int8()),
    }


def origins(*tables: pa.Table) -> set[bytes]:
    """The incidents of which any row, event or incident, tells where fire came from or a weapon stood.

    One such event is enough: the place of an incident is drawn from all its events (default deny).
    """
    out: set[bytes] = set()
    for rows in tables:
        kinds = [what for what in pc.unique(rows["what"]).to_pylist() if what.startswith(ORIGINS)]
        stood = pc.is_in(rows["what"], value_set=pa.array(kinds, pa.string()))
        fired = pc.fill_null(pc.match_substring(rows["description"], "outgoing", ignore_case=True), False)
        out.update(rows["incident_id"].filter(pc.or_(stood, fired)).to_pylist())
    return out


def incident_rows(
    incidents: pa.Table,
    day: Mapping[bytes, Row],
    held: Mapping[bytes, list[Held]],
    gazetteer: Gazetteer,
    secret: Container[bytes] = (),
) -> list[Incident]:
    """The day's part of incidents, unnumbered (0), in order of their ids; those in `secret` with a coarse place."""
    incidents = incidents.sort_by([("incident_id", "ascending")])
    lon, lat = to_numpy(incidents["lon"]), to_numpy(incidents["lat"])
    places, regions = incidents["place"].to_pylist(), gazetteer.regions(lon, lat)
    said = gazetteer.words(lon, lat)
    nearest, away_m = gazetteer.nearest(lon, lat, districts=False)
    rows = []
    for i, row in enumerate(incidents.to_pylist()):
        part = day[row["incident_id"]]
        place = places[i] or said[i]
        coarse = row["incident_id"] in secret
        if coarse:
            row = _coarse(row)
            known = nearest[i] >= 0 and away_m[i] <= FAR_KM * 1000
            place = f"near {gazetteer.name[nearest[i]]}" if known else regions[i] or "undetermined place"
        # what an act of another day lit is no breach anew: that day's report holds the act
        findings = [] if row["follows"] else held.get(row["incident_id"], [])
        told = [p for p in (h.p() for h in findings) if p is not None]
        rows.append(
            Incident(
                number=0,
                incident_id=row["incident_id"].hex(),
                what=row["what"],
                observation=term(row["what"]).osce,
                place=place,
                region=regions[i],
                lon=_rounded(row["lon"], 5),
                lat=_rounded(row["lat"], 5),
                coarse=coarse,
                major_m=_rounded(row["major_m"], 0),
                minor_m=_rounded(row["minor_m"], 0),
                tilt_deg=_rounded(row["tilt_deg"], 0),
                line_date=row["line_date"],
                line_distance_m=_rounded(row["line_distance_m"], 0),
                p_inside=_rounded(row["p_inside"], 3),
                first_at=part["at_from_min"] or part["at_min"],
                last_at=part["at_until_max"] or part["at_max"],
                sources=sorted(row["sources"] or []),
                observations=int(part["observations_sum"] or 0),
                events=int(part["event_id_count"]),
                means=row["means"],
                description=row["description"],
                weapon=row["weapon"],
                count=part["count_sum"],
                count_max=part["most_sum"],
                killed=part["killed_max"],
                injured=part["injured_max"],
                frp_mw=_rounded(part["frp_mw_sum"], 1),
                p_conflict=_rounded(row["p_conflict"], 3),
                p_conflict_model=row["p_conflict_model"],
                p_breach=max(told, default=None),
                held=findings,
                follows=row["follows"],
                told_from=part["told_from_min"],
                told_until=part["told_until_max"],
                about=bool(part["vague_max"]),
            )
        )
    return rows


def _coarse(row: Row) -> Row:
    """Position to the nearest node of the coarse grid, distance to a kilometre, no ellipse."""
    nodes = {}
    for axis, step in (("lon", COARSE_LON_DEG), ("lat", COARSE_LAT_DEG)):
        nodes[axis] = None if row[axis] is None else round(row[axis] / step) * step
    metres = row["line_distance_m"]
    far = None if metres is None else round(metres / 1000) * 1000.0
    return row | nodes | {"line_distance_m": far} | dict.fromkeys(("major_m", "minor_m", "tilt_deg", "p_inside"))


def _rounded(value: float | None, digits: int) -> float | None:
    """`value` as it is written; null and NaN are None. Float32 noise never reaches a report."""
    return None if value is None or value != value else round(float(value), digits) + 0.0


def held_by_subject(findings: pa.Table, cases: pa.Table) -> dict[bytes, list[Held]]:
    """Findings of incidents by incident, in order of clause and reading, each with the state of its case."""
    begun = of(cases.select(["clause", "subject_id", "state"]), "subject_id", findings["subject_id"])
    states = {(row["clause"], row["subject_id"]): row["state"] for row in begun.to_pylist()}
    out: dict[bytes, list[Held]] = {}
    ordered = findings.sort_by([("clause", "ascending"), ("reading", "ascending"), ("finding_id", "ascending")])
    for row in ordered.to_pylist():
        held = Held(
            finding_id=row["finding_id"].hex(),
            clause=row["clause"],
            rule=row["rule"],
            reading=row["reading"],
            p_breach=_rounded(row["p_breach"], 3),
            in_force=row["in_force"],
            illustrative=bool(row["illustrative"]),
            exemption=row["exemption"],
            severity=row["severity"],
            state=states.get((row["clause"], row["subject_id"]), "alleged"),
            calibrated=bool(row["calibrated"]),
        )
        out.setdefault(row["subject_id"], []).append(held)
    return out


def spoke(observations: Rows, named: Mapping[str, str | None], begins: datetime, ends: datetime) -> list[Source]:
    """How each source of the mission spoke in the period, against its median day up to then.

    Parameters
    ----------
    observations
        With columns `source` and `at`; records without a time are not told of.
    named
        The mission's sources and their licences.
    """
    records = dict.fromkeys(named, 0)
    last = dict.fromkeys(named, -np.inf)
    days: dict[str, Counter[int]] = {name: Counter() for name in named}
    for rows in pieces_of(observations):
        at_s = to_numpy(rows["at"])
        before = at_s < ends.timestamp()
        known = np.asarray(pc.index_in(rows["source"], value_set=pa.array(list(named))).fill_null(-1))
        for i, name in enumerate(named):
            times = at_s[before & (known == i)]
            if len(times):
                records[name] += int(np.sum(times >= begins.timestamp()))
                last[name] = max(last[name], times.max())
                back, counts = np.unique(np.floor((ends.timestamp() - times) / 86_400.0), return_counts=True)
                days[name].update(dict(zip(back.astype(np.int64).tolist(), counts.tolist(), strict=True)))
    out = []
    for name, licence in named.items():
        heard = _at(last[name]) if days[name] else None
        silent = not records[name]
        out.append(Source(name, records[name], _median_per_day(days[name]), heard, silent, heard is None, licence))
    return out


def _median_per_day(days: Mapping[int, int]) -> float | None:
    """Records of the median day from the first day with a record to the last, empty ones too."""
    return float(np.median([days.get(day, 0) for day in range(min(days), max(days) + 1)])) if days else None


def _at(seconds: float) -> datetime:
    stamp = pa.scalar(round(seconds * 1e6), pa.int64()).cast(TIME)
    at: datetime = stamp.as_py()
    return at


def numbered(rows: Sequence[Incident], regions: Sequence[Tally]) -> list[Incident]:
    """Rows in the order of the report's regions, then of time, numbered from 1."""
    from msgspec.structs import replace

    order = {tally.region: i for i, tally in enumerate(regions)}
    ranked = sorted(
        rows, key=lambda r: (order.get(r.region, len(order)), r.told_from is None, r.told_from, r.incident_id)
    )
    return [replace(row, number=i) for i, row in enumerate(ranked, start=1)]


def line_of(lines: pa.Table, day: date) -> Row | None:
    """The newest line not after `day`."""
    dated = [row for row in lines.to_pylist() if row["date"] <= day.isoformat()]
    return max(dated, key=lambda row: (row["date"], row["file"] or ""), default=None)
