"""What an incident is called in a day's report: what its events of that day were, not what it was on another day."""

from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from truceline.observation import term
from truceline.report.gather import LEADING, Row

#: What a day's events say anew of an incident when they are not all of it, or not of its leading kind.
_SAID = ("means", "description", "weapon")
_WHERE = ("lon", "lat", "major_m", "minor_m", "tilt_deg", "line_date", "line_distance_m", "p_inside")

_COLUMNS = (
    "event_id", "incident_id", "what", "at", "at_from", "observations", "sources", "p_conflict", "p_conflict_model",
    *_SAID, *_WHERE,
)  # fmt: skip


def of_other_days(incidents: pa.Table, now: pa.Table) -> pa.Array:
    """For every incident, whether it has events of other days than those of `now`, ascertained by their number."""
    counted = now["incident_id"].value_counts()
    today = dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
    rows = zip(incidents["incident_id"].to_pylist(), incidents["events"].to_pylist(), strict=True)
    return pa.array([(events or 0) > today.get(incident_id, 0) for incident_id, events in rows], pa.bool_())


def as_of_the_day(incidents: pa.Table, now: pa.Table, events: pa.Table, zone: tzinfo) -> pa.Table:
    """The incidents as their events of the day, `now`, have them, with a column `follows`.

    An incident all of whose events are of the day stays as it is. Of another, kind, sources and words are those of
    the day's leading events; its place stays its own while they are of its own family, and is else that of the
    sharpest of them.

    Parameters
    ----------
    events
        Of all days.
    zone
        In which dates are told.

    Returns
    -------
    pa.Table of `incidents`' columns and `follows`: of a fire, what went before it ("explosion of 14 March");
    null where nothing did.
    """
    parted = of_other_days(incidents, now)
    told = incidents.append_column("follows", pa.nulls(len(incidents), pa.string()))
    if not pc.any(parted).as_py():
        return told
    wanted = pc.unique(incidents["incident_id"].filter(parted))
    of_today = _by_incident(now.filter(pc.is_in(now["incident_id"], value_set=wanted)))
    whole = _by_incident(events.filter(pc.is_in(events["incident_id"], value_set=wanted)))
    rows = [
        _renamed(row, of_today[row["incident_id"]], whole[row["incident_id"]], zone)
        for row in told.filter(parted).to_pylist()
    ]
    return pa.concat_tables([told.filter(pc.invert(parted)), pa.Table.from_pylist(rows, schema=told.schema)])


def _by_incident(events: pa.Table) -> Mapping[bytes, list[Row]]:
    out: dict[bytes, list[Row]] = {}
    for row in events.select(list(_COLUMNS)).sort_by([("event_id", "ascending")]).to_pylist():
        out.setdefault(row["incident_id"], []).append(row)
    return out


def _renamed(incident: Row, today: list[Row], whole: list[Row], zone: tzinfo) -> Row:
    leaders, family = _leading(today)
    likeliest = max(today, key=lambda row: (row["p_conflict"] or 0.0, row["event_id"]))
    out = incident | {
        "what": incident["what"] if any(row["what"] == incident["what"] for row in leaders) else _most(leaders, "what"),
        "sources": sorted({source for row in today for source in row["sources"] or []}),
        **{name: _most(leaders, name) for name in _SAID},
        **{name: likeliest[name] for name in ("p_conflict", "p_conflict_model")},
    }
    if family != term(incident["what"]).family:
        sharpest = min(leaders, key=lambda row: (row["major_m"] is None, row["major_m"] or 0.0, row["event_id"]))
        out |= {name: sharpest[name] for name in _WHERE} | {"place": None}
    if family == "fire" and term(incident["what"]).family != "fire":
        began = min(row["at"] or row["at_from"] for row in today)
        before = [row for row in _leading(whole)[0] if (row["at"] or row["at_from"]) < began]
        if before:
            last = max(before, key=lambda row: (row["at"] or row["at_from"], row["event_id"]))
            on = (last["at"] or last["at_from"]).astimezone(zone)
            out["follows"] = f"{term(last['what']).osce} of {on.day} {on:%B}"
    return out


def _leading(rows: Iterable[Row]) -> tuple[list[Row], str]:
    """The events of the foremost family among `rows`, and which it is."""
    ranked = [(LEADING.index(term(row["what"]).family), row) for row in rows]
    least = min(rank for rank, _ in ranked)
    return [row for rank, row in ranked if rank == least], LEADING[least]


def _most(rows: Iterable[Row], name: str) -> Any:
    """What most observations say; of equals the first by name; None where none says anything."""
    weight: dict[Any, int] = {}
    for row in rows:
        if row[name] is not None:
            weight[row[name]] = weight.get(row[name], 0) + (row["observations"] or 1)
    return min(weight, key=lambda word: (-weight[word], word), default=None)
