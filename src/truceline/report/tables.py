"""The report's tables as rows of words, and the whole lists beside it: CSV and GeoJSON."""

from zoneinfo import ZoneInfo

from msgspec import Struct

from truceline.observation import term
from truceline.report import saying, summary
from truceline.report.model import Account, Casualty, Exempt, Incident, Report

#: Rows of the violations table in HTML and PDF: about five pages of A4. The CSV has them all.
MOST_VIOLATIONS = 60

#: Clauses shown beside an incident.
MOST_CLAUSES = 3

#: Fires shown: the strongest, and as many of those nearest to the line.
MOST_FIRES = 8

#: Refusals of access and interferences shown.
MOST_HINDRANCES = 30

#: Of an id, what is shown; enough to be told apart in a mission of millions.
SHOWN = 10


class Table(Struct, frozen=True):
    """A table as it is read: words only."""

    id: str
    caption: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""
    wide: bool = False
    numeric: tuple[int, ...] = ()  # columns set flush right


def violations(report: Report) -> Table:
    """The violations table with the OSCE's columns, those most likely to be breaches when there are too many."""
    zone = ZoneInfo(report.zone)
    likely = sorted(report.incidents, key=lambda row: (-(row.p_breach or 0.0), row.incident_id))[:MOST_VIOLATIONS]
    shown = sorted(likely, key=lambda row: row.number)
    left = len(report.incidents) - len(shown)
    note = "Ids lead to the evidence: truceline explain, with the id."
    if left:
        note = (
            f"{left:,} of {len(report.incidents):,} incidents are left out here: those least likely to be a breach. "
            f"All are in violations.csv. {note}"
        )
    return Table(
        id="violations",
        caption="Possible violations by region and time; numbers as sources state them. Of an incident with several "
        "kinds of event, observation and time are those of the act, not of what followed it.",
        columns=[
            "No.",
            "Source",
            "Event location",
            "Means",
            "Number",
            "Observation",
            "Description",
            "Weapon",
            "Date, time",
            "Clause: probability of a breach",
        ],
        rows=[
            [
                str(row.number),
                f"{', '.join(row.sources)}\n{row.incident_id[:SHOWN]}",
                _location(row),
                row.means or "not stated",
                saying.stated(row.count, row.count_max),
                _observed(row),
                row.description or "undetermined",
                row.weapon or "undetermined",
                saying.time_of(row, zone),
                _clauses(row),
            ]
            for row in shown
        ],
        note=note,
        wide=True,
    )


def _location(row: Incident) -> str:
    text = _where(row)
    if row.line_distance_m is not None:
        text += f"\n{saying.distance(row.line_distance_m, row.coarse)} from the line"
    return text


def _where(row: Incident | Account | Exempt) -> str:
    return row.place if not row.region else f"{row.place} ({row.region})"


def _observed(row: Incident) -> str:
    """The OSCE's word; of forces, which are many things, also what they did."""
    known = term(row.what)
    return f"{row.observation}\n{known.meaning}" if known.family == "ground" and "." in row.what else row.observation


def _clauses(row: Incident) -> str:
    """Clauses with their probability, the most likely first, and the state of the cases where people have begun."""
    held = saying.by_clause(row.held)
    states = sorted({held.state for held in row.held} - {"alleged"})
    states += ["may be exempt"] if any(held.exemption for held in row.held) else []
    text = "; ".join(f"{clause}: {p}" for clause, p in held[:MOST_CLAUSES])
    text += f"; {len(held) - MOST_CLAUSES} more" if len(held) > MOST_CLAUSES else ""
    return f"{text}\n{', '.join(states)}" if states else text or "no clause"


def regions(report: Report) -> Table:
    """Counts by region, against the previous period."""
    rows = [
        [
            tally.region or "no region known",
            summary.bounds(tally),
            saying.number(tally.explosions),
            saying.number(tally.unnumbered),
            saying.number(tally.incidents),
            saying.number(tally.not_countable),
            saying.number(tally.previous),
            saying.number(tally.previous_incidents),
        ]
        for tally in [*report.regions, report.totals]
    ]
    rows[-1][0] = "All"
    return Table(
        id="regions",
        caption=f"Possible ceasefire violations by region. {report.counting.sentence}",
        columns=[
            "Region",
            "Counted",
            "Explosions",
            "Events without a number",
            "Incidents",
            "Events not countable",
            "Previous period: counted",
            "Previous period: incidents",
        ],
        rows=rows,
        numeric=(1, 2, 3, 4, 5, 6, 7),
    )


def clauses(report: Report) -> Table:
    """Findings by clause."""
    return Table(
        id="clauses",
        caption="Incidents, fires among them, held against each clause. Probabilities are uncalibrated: "
        "not yet compared with truth.",
        columns=[
            "Clause",
            "What it says",
            "Incidents",
            "Previous period",
            "More likely than not",
            "Greatest",
            "In force",
        ],
        rows=[
            [
                tally.clause,
                tally.title,
                saying.number(tally.incidents),
                saying.number(tally.previous),
                saying.number(tally.likely),
                saying.share(tally.greatest),
                tally.in_force,
            ]
            for tally in report.clauses
        ],
        numeric=(2, 3, 4, 5),
    )


def casualties(report: Report) -> Table:
    """People killed and injured, as sources state it."""
    return Table(
        id="casualties",
        caption="Casualties. Each number is the largest that one source states; repeats are not added up. Where "
        "sources differ, who states what.",
        columns=["Place", "Killed", "Injured", "Sources", "Status", "Incident"],
        rows=[
            [
                row.place,
                _people(row, "killed"),
                _people(row, "injured"),
                ", ".join(row.sources),
                "confirmed" if row.confirmed else "reported",
                row.incident_id[:SHOWN],
            ]
            for row in report.casualties
        ],
        numeric=(1, 2),
    )


def _people(row: Casualty, of: str) -> str:
    differ = summary.disagreement(row, of)
    return saying.number(getattr(row, of)) + (f"\n{differ}" if differ else "")


def sites(report: Report) -> Table:
    """Incidents at protected sites."""
    zone = ZoneInfo(report.zone)
    rows = []
    for row in report.incidents + report.fires.rows:
        at_sites = [held for held in row.held if held.rule == "protected_site" and held.p() is not None]
        if at_sites:
            best = max(at_sites, key=lambda held: held.p() or 0.0)
            rows.append((best.p() or 0.0, row, best))
    rows.sort(key=lambda item: (-item[0], item[1].incident_id))
    return Table(
        id="sites",
        caption="Incidents at protected sites, as probabilities (uncalibrated).",
        columns=["Place", "Observation", "Date, time", "Clause", "Probability", "Incident"],
        rows=[
            [
                row.place,
                row.observation,
                saying.time_of(row, zone),
                best.clause,
                saying.share(p),
                row.incident_id[:SHOWN],
            ]
            for p, row, best in rows[:MOST_FIRES]
        ],
        note=f"{len(rows) - MOST_FIRES:,} more are in incidents.geojson." if len(rows) > MOST_FIRES else "",
        numeric=(4,),
    )


def fires(report: Report) -> Table:
    """The strongest fires and those nearest to the line."""
    zone = ZoneInfo(report.zone)
    rows = report.fires.rows
    strongest = sorted(rows, key=lambda row: (-(row.frp_mw or 0.0), row.incident_id))[:MOST_FIRES]
    lined = [row for row in rows if row.line_distance_m is not None]
    nearest = sorted(lined, key=lambda row: (abs(row.line_distance_m or 0.0), row.incident_id))[:MOST_FIRES]
    shown = {row.incident_id: row for row in [*strongest, *nearest]}
    left = len(rows) - len(shown)
    return Table(
        id="fires",
        caption=f"Satellite fires: the {MOST_FIRES} strongest, and the {MOST_FIRES} nearest to the line.",
        columns=[
            "Place",
            "Radiative power, MW",
            "From the line",
            "Date, time",
            "Probability conflict caused it",
            "Incident",
        ],
        rows=[
            [
                _where(row) + (f"\nafter the {row.follows}" if row.follows else ""),
                "—" if row.frp_mw is None else f"{row.frp_mw:,.1f}",
                saying.distance(row.line_distance_m),
                saying.time_of(row, zone),
                saying.share(row.p_conflict),
                row.incident_id[:SHOWN],
            ]
            for row in shown.values()
        ],
        note=f"{left:,} of {len(rows):,} groups of fires are left out here; all are in incidents.geojson."
        if left
        else "",
        numeric=(1, 2, 4),
    )


def movement(report: Report) -> Table:
    """Access given, delayed or denied, and interference with signals."""
    zone = ZoneInfo(report.zone)
    rows = report.movement
    return Table(
        id="movement",
        caption="Access to places, and interference with navigation or radio, as sources tell of them. No rule counts "
        "them; who denied or interfered is undetermined.",
        columns=["Place", "What", "Means", "Date, time", "Source", "Incident"],
        rows=[
            [
                _where(row),
                summary.words(row),
                row.means or "not stated",
                saying.time_of(row, zone),
                ", ".join(row.sources),
                row.incident_id[:SHOWN],
            ]
            for row in rows[:MOST_HINDRANCES]
        ],
        note=f"{len(rows) - MOST_HINDRANCES:,} more are in report.json." if len(rows) > MOST_HINDRANCES else "",
    )


def exempt(report: Report) -> Table:
    """What a notice or an exemption covers."""
    zone = ZoneInfo(report.zone)
    return Table(
        id="exempt",
        caption="What an exemption, with the notice it asks for, more likely than not makes no breach of the clause.",
        columns=["Clause", "What", "Place", "Date, time", "Exemption or notice", "Reading", "Probability of a breach"],
        rows=[
            [
                f"{row.clause} {row.title}",
                f"{row.observation}\n{row.incident_id[:SHOWN]}",
                _where(row),
                saying.time_of(row, zone),
                row.exemption,
                row.reading,
                saying.share(row.p_breach),
            ]
            for row in report.exempt
        ],
        numeric=(6,),
    )


def sources(report: Report) -> Table:
    """How each source spoke."""
    zone = ZoneInfo(report.zone)
    journal = {count.source: count for count in report.journal}
    rows = []
    for source in report.sources:
        count = journal.get(source.source)
        whole = [count.read, count.accepted, count.duplicates, count.rejected] if count else [None] * 4
        rows.append(
            [
                source.source,
                saying.number(source.records),
                saying.number(source.median_per_day),
                saying.moment(source.last_at, zone) if source.last_at else "never",
                *(saying.number(n) for n in whole),
            ]
        )
    return Table(
        id="sources",
        caption="Records by source: in this period, on the median day up to it, and in the journal as a whole "
        "(read = accepted + duplicates + rejected).",
        columns=["Source", "This period", "Median day", "Last record", "Read", "Accepted", "Duplicates", "Rejected"],
        rows=rows,
        numeric=(1, 2, 4, 5, 6, 7),
    )


def duties(report: Report) -> Table:
    """What parties had to do, and findings on tracks and sites."""
    zone = ZoneInfo(report.zone)
    return Table(
        id="duties",
        caption="Duties of parties, and what is held against a clause other than by an incident, where a breach is at "
        "all likely; also what fell due before this period and is still not known to be done.",
        columns=["Clause, whose duty, by when", "Reading", "Probability of a breach", "Finding"],
        rows=[
            [
                "\n".join(part for part in (summary.owed(duty, zone), "; ".join(duty.why)) if part),
                duty.reading,
                saying.share(duty.p_breach),
                duty.finding_id[:SHOWN],
            ]
            for duty in report.duties
        ],
        numeric=(2,),
    )
