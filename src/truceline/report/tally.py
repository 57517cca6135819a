"""What the day adds up to: counts by region and clause, casualties, duties, fires."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline import counting
from truceline.agreement import Agreement
from truceline.observation import TIME, term, to_numpy
from truceline.places import Gazetteer, listed
from truceline.report import gather
from truceline.report.model import Account, Casualty, ClauseTally, Duty, Exempt, Fires, Incident, Stated, Tally
from truceline.report.saying import LIKELY, share

#: Fires this near to the line are told of apart: the reach of most of what is fired at it. Assumption.
NEAR_KM = 5.0

#: A breach less likely than this is not told of.
AT_ALL = 0.01

#: What hinders a mission, by its terms: told of apart, counted by no rule.
MOVEMENT = ("access", "jamming")


def regions(
    rule: str, now: pa.Table, past: pa.Table, incidents: pa.Table, gazetteer: Gazetteer
) -> tuple[list[Tally], Tally]:
    """Counts by region, the highest first, and over all; an incident's events all count where the incident is."""
    known = pa.concat_tables([now.select(["incident_id"]), past.select(["incident_id"])])
    incidents = gather.of(incidents, "incident_id", known["incident_id"])
    named = gazetteer.regions(to_numpy(incidents["lon"]), to_numpy(incidents["lat"]))
    of_incident = dict(zip(incidents["incident_id"].to_pylist(), named, strict=True))

    def where(events: pa.Table) -> pa.Array:
        return pa.array([of_incident.get(i, "") for i in events["incident_id"].to_pylist()], pa.string())

    here, there = where(now), where(past)
    out = []
    for region in sorted(set(named)):
        today, yesterday = now.filter(pc.equal(here, region)), past.filter(pc.equal(there, region))
        tally = _tally(region, rule, today, yesterday)
        if tally.incidents or tally.previous_incidents:
            out.append(tally)
    out.sort(key=lambda tally: (-tally.counted, -tally.previous, -tally.incidents, tally.region))
    return out, _tally("", rule, now, past)


def _tally(region: str, rule: str, now: pa.Table, past: pa.Table) -> Tally:
    told, then = _violent(now), _violent(past)
    loud = [what for what in pc.unique(told["what"]).to_pylist() if term(what).osce == "explosion"]
    explosions = told.filter(pc.is_in(told["what"], value_set=pa.array(loud, pa.string())))
    counted = counting.count(rule, told)
    return Tally(
        region=region,
        counted=counted.number,
        most=counted.most,
        unnumbered=counted.unnumbered,
        # A rule that books shellings, not rounds, has no number of explosions.
        explosions=counting.count(rule, explosions).number if rule == "osce-smm" else 0,
        incidents=pc.count_distinct(told["incident_id"]).as_py(),
        not_countable=counted.not_countable,
        previous=counting.count(rule, then).number,
        previous_incidents=pc.count_distinct(then["incident_id"]).as_py(),
    )


def _violent(events: pa.Table) -> pa.Table:
    """The events that are neither fires nor mere accounts."""
    whats = pc.unique(events["what"]).to_pylist()
    kept = [what for what in whats if term(what).family not in ("fire", "notice")]
    return events.filter(pc.is_in(events["what"], value_set=pa.array(kept, pa.string())))


def fires(rows: Sequence[Incident], now: pa.Table, past: pa.Table) -> Fires:
    """The day's fires, all of them."""
    near = [row for row in rows if row.line_distance_m is not None and abs(row.line_distance_m) <= NEAR_KM * 1000]
    given = [row.p_conflict for row in rows if row.p_conflict is not None]
    return Fires(
        events=sum(row.events for row in rows),
        previous=len(_of_family(past, "fire")),
        incidents=len(rows),
        frp_mw=round(float(np.sum(np.sort([row.frp_mw or 0.0 for row in rows]))), 1),
        near_line=len(near),
        near_km=NEAR_KM,
        expected_conflict=round(float(np.sum(np.sort(given))), 2) if given else None,
        models=sorted({row.p_conflict_model for row in rows if row.p_conflict_model}),
        rows=list(rows),
    )


def _of_family(events: pa.Table, family: str) -> pa.Table:
    whats = [what for what in pc.unique(events["what"]).to_pylist() if term(what).family == family]
    return events.filter(pc.is_in(events["what"], value_set=pa.array(whats, pa.string())))


def casualties(rows: Iterable[Incident], said: Mapping[str, list[Stated]]) -> list[Casualty]:
    """Incidents with people killed or injured; confirmed where a person's verdict says the incident is verified.

    `said`: by incident, what each source states, in order of the sources.
    """
    out = [
        Casualty(
            incident_id=row.incident_id,
            place=row.place,
            killed=row.killed or 0,
            injured=row.injured or 0,
            sources=[one.source for one in said.get(row.incident_id, [])] or row.sources,
            confirmed=any(held.state == "verified" for held in row.held),
            stated=said.get(row.incident_id, []),
        )
        for row in rows
        if row.killed or row.injured
    ]
    return sorted(out, key=lambda row: (not row.confirmed, -row.killed, -row.injured, row.incident_id))


def stated(statements: pa.Table | None, now: pa.Table) -> dict[str, list[Stated]]:
    """What each source states of the casualties of the day's events, by incident; a zero stated is a statement.

    `statements` has the columns `event_id`, `source`, `killed` and `injured`, a row an observation.
    """
    if statements is None:
        return {}
    incident = dict(zip(now["event_id"].to_pylist(), now["incident_id"].to_pylist(), strict=True))
    given: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
    for row in statements.to_pylist():
        if row["event_id"] in incident:
            killed, injured = given.setdefault((incident[row["event_id"]].hex(), row["source"]), ([], []))
            killed += [] if row["killed"] is None else [row["killed"]]
            injured += [] if row["injured"] is None else [row["injured"]]
    out: dict[str, list[Stated]] = {}
    for (incident_id, source), (killed, injured) in sorted(given.items()):
        if killed or injured:
            out.setdefault(incident_id, []).append(Stated(source, _least_and_most(killed), _least_and_most(injured)))
    return out


def _least_and_most(numbers: Sequence[int]) -> tuple[int, int] | None:
    return (min(numbers), max(numbers)) if numbers else None


def movement(now: pa.Table, gazetteer: Gazetteer) -> list[Account]:
    """What the day's events say of access and of interference with signals, by time; one row an event."""
    words = [what for what in pc.unique(now["what"]).to_pylist() if what.startswith(MOVEMENT)]
    told = now.filter(pc.is_in(now["what"], value_set=pa.array(words, pa.string()))).sort_by("event_id")
    lon, lat = to_numpy(told["lon"]), to_numpy(told["lat"])
    times = (column.to_pylist() for column in gather.told(told).values())
    out = [
        Account(
            incident_id=row["incident_id"].hex(),
            what=row["what"],
            kind=row["description"] or row["what"].partition(".")[2] or "not stated",
            place=place,
            region=region,
            means=row["means"],
            told_from=begin,
            told_until=end,
            about=bool(vague),
            sources=sorted(row["sources"] or []),
        )
        for row, place, region, begin, end, vague in zip(
            told.to_pylist(), gazetteer.words(lon, lat), gazetteer.regions(lon, lat), *times, strict=True
        )
    ]
    return sorted(out, key=lambda row: (row.told_from is None, row.told_from))


def exempt(agreement: Agreement, rows: Iterable[Incident], findings: pa.Table, now: pa.Table) -> list[Exempt]:
    """What an exemption or a notice more likely than not makes no breach, by clause; readings that agree in one row.

    What was done and when is told by the event of the day that the finding speaks of: that which its interval fits
    best. An incident may be a shelling and the flight that brought out the wounded.
    """
    titles = {clause.id: clause.title for clause in agreement.clause}
    names = {party.id: party.name for party in agreement.party}
    incidents = {row.incident_id: row for row in rows}
    covered = findings.filter(pc.is_valid(findings["exemption"]))
    alike: dict[tuple[str, str, str, str], list[gather.Row]] = {}
    for row in covered.to_pylist():
        name, p = row["subject_id"].hex(), row["p_breach"]
        if name in incidents and p is not None and p <= LIKELY:
            alike.setdefault((row["clause"], name, row["exemption"], share(p)), []).append(row)
    of_incident: dict[str, list[gather.Row]] = {}
    columns = [*_WHEN, "incident_id", "event_id", "what"]
    for row in now.select(columns).sort_by("event_id").to_pylist():
        of_incident.setdefault(row["incident_id"].hex(), []).append(row)
    out = []
    for (clause, name, words, _), same in sorted(alike.items()):
        same.sort(key=lambda row: row["reading"])
        one, incident = same[0], incidents[name]
        event = max(of_incident[name], key=lambda row: _overlap(row, one))
        begin, end, vague = (c[0].as_py() for c in gather.told(pa.Table.from_pylist([event], now.schema)).values())
        out.append(
            Exempt(
                finding_id=one["finding_id"].hex(),
                incident_id=name,
                clause=clause,
                title=titles.get(clause, clause),
                observation=term(event["what"]).meaning,
                place=incident.place,
                region=incident.region,
                told_from=begin,
                told_until=end,
                about=bool(vague),
                exemption=words,
                reading=_readings([names.get(str(row["reading"]), str(row["reading"])) for row in same], len(names)),
                p_breach=round(one["p_breach"], 3),
            )
        )
    return out


_WHEN = ("at", "at_from", "at_until")


def _overlap(event: gather.Row, finding: gather.Row) -> float:
    """How well an event's interval fits that of a finding's first breach: the shared part of what both span."""
    a, b = event["at_from"] or event["at"], event["at_until"] or event["at"]
    c, d = finding["first_breach_from"], finding["first_breach_until"]
    if None in (a, b, c, d):
        return 0.0
    whole = (max(b, d) - min(a, c)).total_seconds()
    return max(0.0, (min(b, d) - max(a, c)).total_seconds()) / whole if whole else 1.0


def clauses(agreement: Agreement, rows: Sequence[Incident], past: pa.Table) -> list[ClauseTally]:
    """Incidents by clause, in the agreement's order; clauses nothing was held against are left out."""
    names = {party.id: party.name for party in agreement.party}
    before = past.filter(pc.is_valid(past["p_breach"])).group_by("clause").aggregate([("subject_id", "count_distinct")])
    previous = dict(zip(before["clause"].to_pylist(), before["subject_id_count_distinct"].to_pylist(), strict=True))
    out = []
    for clause in agreement.clause:
        held = [[h for h in row.held if h.clause == clause.id and h.p_breach is not None] for row in rows]
        held = [one for one in held if one]
        greatest = [max(h.p() or 0.0 for h in one) for one in held]
        if held or previous.get(clause.id):
            out.append(
                ClauseTally(
                    clause=clause.id,
                    rule=clause.type,
                    title=clause.title,
                    incidents=len(held),
                    previous=previous.get(clause.id, 0),
                    likely=sum(p > LIKELY for p in greatest),
                    greatest=max(greatest, default=None),
                    in_force=_in_force(
                        [h.in_force for one in held for h in one], [h.reading for one in held for h in one], names
                    ),
                )
            )
    return out


def _in_force(values: Sequence[bool | None], readings: Sequence[str], names: dict[str, str]) -> str:
    """In whose readings the clause was in force, of those it was read in."""
    said: dict[str, set[bool | None]] = {}
    for value, reading in zip(values, readings, strict=True):
        said.setdefault(reading, set()).add(value)
    if not said:
        return "—"
    words = {}
    for reading, found in said.items():
        words[reading] = "yes" if found == {True} else "no" if found == {False} else "in part or not known"
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return "; ".join(f"{word} ({names.get(reading, reading)})" for reading, word in sorted(words.items()))


def duties(findings: pa.Table, agreement: Agreement, ends: datetime) -> list[Duty]:
    """Findings on other subjects than incidents, begun before the period's end, most probable first.

    Duties done have a probability of next to nothing and are left out. Readings that come to the same make one row.
    What is told is the clause and whose duty it is, not the finding's sentence: of a track or a site that may hold a
    place more finely than law 6 allows.
    """
    titles = {clause.id: clause.title for clause in agreement.clause}
    names = {party.id: party.name for party in agreement.party}
    begun = pc.less(findings["first_breach_from"], pa.scalar(ends, TIME))
    other = pc.not_equal(findings["subject_kind"], "incident")
    likely = pc.fill_null(pc.greater_equal(findings["p_breach"], pa.scalar(AT_ALL, pa.float32())), False)
    stands = pc.and_(likely, pc.fill_null(findings["in_force"], True))
    rows = findings.filter(pc.and_(pc.and_(pc.fill_null(begun, False), other), stands)).to_pylist()
    rows.sort(key=lambda row: (-row["p_breach"], row["clause"], row["subject_id"], row["reading"], row["finding_id"]))
    alike: dict[tuple[str, bytes, float], list[gather.Row]] = {}
    for row in rows:
        alike.setdefault((row["clause"], row["subject_id"], round(row["p_breach"], 3)), []).append(row)
    out = []
    for (clause, _, p), same in alike.items():
        first, bound = same[0], dict(same[0]["attribution"] or [])
        owner = max(bound, key=lambda party: (bound[party], party), default="")
        out.append(
            Duty(
                finding_id=first["finding_id"].hex(),
                clause=clause,
                title=titles.get(clause, clause),
                reading=_readings([names.get(str(row["reading"]), str(row["reading"])) for row in same], len(names)),
                p_breach=p,
                owed_by=names.get(owner),
                due_at=first["first_breach_from"] if first["subject_kind"] == "duty" else None,
                why=_why(first["factors"] or []) if first["subject_kind"] == "duty" else [],
            )
        )
    return out


def _why(factors: Sequence[gather.Row]) -> list[str]:
    """The first factor, and of the others those that take something away."""
    known = [factor for factor in factors if factor["value"] is not None]
    told = known[:1] + [factor for factor in known[1:] if factor["value"] < 0.995]
    return [f"{factor['name']} {share(factor['value'])}" for factor in told]


def _readings(names: Sequence[str], of: int) -> str:
    """In whose readings: ["Party A", "Party B"] of 2 is "in both readings"."""
    if len(names) == of > 1:
        return "in both readings" if of == 2 else "in all readings"
    return f"as {listed(list(names))} {'reads' if len(names) == 1 else 'read'} it"
