"""The peer's tables of the report's page, as words: those of ours, with their columns."""

from zoneinfo import ZoneInfo

from bench.peer_day import told_p
from bench.peer_told import bounds, by_clause, distance, hindered, moment, number, owed, share, stated, time_of

from truceline.observation import term
from truceline.report.tables import MOST_CLAUSES, MOST_FIRES, MOST_HINDRANCES, MOST_VIOLATIONS, SHOWN


def tables(report: dict) -> list[dict]:
    """Every table that has rows, and those that are always there."""
    zone = ZoneInfo(report["zone"])
    made = [
        regions(report),
        clauses(report),
        casualties(report),
        sites(report, zone),
        duties(report, zone),
        exempt(report, zone),
        movement(report, zone),
        fires(report, zone),
        sources(report, zone),
        violations(report, zone),
    ]
    names = ("id", "title", "columns", "rows")
    return [dict(zip(names, table, strict=True)) for table in made if table[3]]


def where(row: dict) -> str:
    return row["place"] if not row["region"] else f"{row['place']} ({row['region']})"


def violations(report: dict, zone: ZoneInfo) -> tuple:
    likely = sorted(report["incidents"], key=lambda row: (-(row["p_breach"] or 0.0), row["incident_id"]))
    rows = []
    for row in sorted(likely[:MOST_VIOLATIONS], key=lambda row: row["number"]):
        place = where(row)
        if row["line_distance_m"] is not None:
            place += f"\n{distance(row['line_distance_m'], row['coarse'])} from the line"
        known = term(row["what"])
        seen = row["observation"]
        seen += f"\n{known.meaning}" if known.family == "ground" and "." in row["what"] else ""
        rows.append(
            [
                str(row["number"]),
                f"{', '.join(row['sources'])}\n{row['incident_id'][:SHOWN]}",
                place,
                row["means"] or "not stated",
                stated(row["count"], row["count_max"]),
                seen,
                row["description"] or "undetermined",
                row["weapon"] or "undetermined",
                time_of(row, zone),
                held(row),
            ]
        )
    columns = ["No.", "Source", "Event location", "Means", "Number", "Observation", "Description", "Weapon"]
    columns += ["Date, time", "Clause: probability of a breach"]
    return "violations", "Table of possible violations", columns, rows


def held(row: dict) -> str:
    said = by_clause(row["held"])
    states = sorted({one["state"] for one in row["held"]} - {"alleged"})
    states += ["may be exempt"] if any(one["exemption"] for one in row["held"]) else []
    text = "; ".join(f"{clause}: {p}" for clause, p in said[:MOST_CLAUSES])
    text += f"; {len(said) - MOST_CLAUSES} more" if len(said) > MOST_CLAUSES else ""
    return f"{text}\n{', '.join(states)}" if states else text or "no clause"


def regions(report: dict) -> tuple:
    columns = ["Region", "Counted", "Explosions", "Events without a number", "Incidents", "Events not countable"]
    columns += ["Previous period: counted", "Previous period: incidents"]
    counts = ("explosions", "unnumbered", "incidents", "not_countable", "previous", "previous_incidents")
    rows = [
        [tally["region"] or "no region known", bounds(tally), *(number(tally[name]) for name in counts)]
        for tally in [*report["regions"], report["totals"]]
    ]
    rows[-1][0] = "All"
    return "regions", "Possible violations by region", columns, rows


def clauses(report: dict) -> tuple:
    columns = ["Clause", "What it says", "Incidents", "Previous period", "More likely than not", "Greatest", "In force"]
    rows = [
        [
            t["clause"],
            t["title"],
            *(number(t[n]) for n in ("incidents", "previous", "likely")),
            share(t["greatest"]),
            t["in_force"],
        ]
        for t in report["clauses"]
    ]
    return "clauses", "Findings by clause", columns, rows


def casualties(report: dict) -> tuple:
    rows = [
        [
            row["place"],
            people(row, "killed"),
            people(row, "injured"),
            ", ".join(row["sources"]),
            "confirmed" if row["confirmed"] else "reported",
            row["incident_id"][:SHOWN],
        ]
        for row in report["casualties"]
    ]
    return "casualties", "Casualties", ["Place", "Killed", "Injured", "Sources", "Status", "Incident"], rows


def people(row: dict, of: str) -> str:
    pairs = [(one["source"], one[of]) for one in row["stated"] if one[of] is not None]
    if len({n for _, pair in pairs for n in pair}) < 2:
        return number(row[of])
    pairs.sort(key=lambda item: (-item[1][1], -item[1][0], item[0]))
    said = ", ".join(f"{source} {stated(*pair) if pair[1] else 'none'}" for source, pair in pairs)
    return f"{number(row[of])}\n{said}"


def sites(report: dict, zone: ZoneInfo) -> tuple:
    found = []
    for row in [*report["incidents"], *report["fires"]["rows"]]:
        at = [one for one in row["held"] if one["rule"] == "protected_site" and told_p(one) is not None]
        if at:
            best = max(at, key=lambda one: told_p(one) or 0.0)
            found.append((told_p(best) or 0.0, row, best))
    found.sort(key=lambda item: (-item[0], item[1]["incident_id"]))
    rows = [
        [row["place"], row["observation"], time_of(row, zone), best["clause"], share(p), row["incident_id"][:SHOWN]]
        for p, row, best in found[:MOST_FIRES]
    ]
    columns = ["Place", "Observation", "Date, time", "Clause", "Probability", "Incident"]
    return "sites", "Protected sites", columns, rows


def fires(report: dict, zone: ZoneInfo) -> tuple:
    rows = report["fires"]["rows"]
    strongest = sorted(rows, key=lambda row: (-(row["frp_mw"] or 0.0), row["incident_id"]))[:MOST_FIRES]
    lined = [row for row in rows if row["line_distance_m"] is not None]
    close = sorted(lined, key=lambda row: (abs(row["line_distance_m"]), row["incident_id"]))[:MOST_FIRES]
    shown = {row["incident_id"]: row for row in [*strongest, *close]}.values()
    columns = [
        "Place",
        "Radiative power, MW",
        "From the line",
        "Date, time",
        "Probability conflict caused it",
        "Incident",
    ]
    cells = [
        [
            where(row) + (f"\nafter the {row['follows']}" if row["follows"] else ""),
            "—" if row["frp_mw"] is None else f"{row['frp_mw']:,.1f}",
            distance(row["line_distance_m"]),
            time_of(row, zone),
            share(row["p_conflict"]),
            row["incident_id"][:SHOWN],
        ]
        for row in shown
    ]
    return "fires", "Fires seen by satellite", columns, cells


def movement(report: dict, zone: ZoneInfo) -> tuple:
    rows = [
        [
            where(row),
            hindered(row),
            row["means"] or "not stated",
            time_of(row, zone),
            ", ".join(row["sources"]),
            row["incident_id"][:SHOWN],
        ]
        for row in report["movement"][:MOST_HINDRANCES]
    ]
    columns = ["Place", "What", "Means", "Date, time", "Source", "Incident"]
    return "movement", "Freedom of movement and interference", columns, rows


def exempt(report: dict, zone: ZoneInfo) -> tuple:
    rows = [
        [
            f"{row['clause']} {row['title']}",
            f"{row['observation']}\n{row['incident_id'][:SHOWN]}",
            where(row),
            time_of(row, zone),
            row["exemption"],
            row["reading"],
            share(row["p_breach"]),
        ]
        for row in report["exempt"]
    ]
    columns = ["Clause", "What", "Place", "Date, time", "Exemption or notice", "Reading", "Probability of a breach"]
    return "exempt", "Notified and exempt", columns, rows


def sources(report: dict, zone: ZoneInfo) -> tuple:
    counts = {one["source"]: one for one in report["journal"]}
    rows = []
    for one in report["sources"]:
        of = counts[one["source"]]
        rows.append(
            [
                one["source"],
                number(one["records"]),
                number(one["median_per_day"]),
                moment(one["last_at"], zone) if one["last_at"] else "never",
                *(number(of[name]) for name in ("read", "accepted", "duplicates", "rejected")),
            ]
        )
    columns = ["Source", "This period", "Median day", "Last record", "Read", "Accepted", "Duplicates", "Rejected"]
    return "sources", "What could not be seen", columns, rows


def duties(report: dict, zone: ZoneInfo) -> tuple:
    rows = [
        [
            "\n".join(part for part in (owed(duty, zone), "; ".join(duty["why"])) if part),
            duty["reading"],
            share(duty["p_breach"]),
            duty["finding_id"][:SHOWN],
        ]
        for duty in report["duties"]
    ]
    columns = ["Clause, whose duty, by when", "Reading", "Probability of a breach", "Finding"]
    return "duties", "Duties and other findings", columns, rows
