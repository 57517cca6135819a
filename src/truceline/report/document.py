"""The report as a document: headings, sentences and tables in reading order, drawn by HTML and PDF alike."""

from zoneinfo import ZoneInfo

from msgspec import Struct

from truceline.report import saying, summary, tables
from truceline.report.model import Report
from truceline.report.tables import Table

#: What this system will never put in a report, said in every one.
LIMITS = (
    "Truceline warns and documents. Findings are probabilities until a person has signed a verdict; where something "
    "fell never alone says who fired, and no party is named as having fired. Places where fire came from, or where a "
    "weapon stood, are given no more finely than 1 km or the nearest settlement."
)


class Section(Struct, frozen=True):
    """A heading and what stands under it, in the order of the fields."""

    id: str
    title: str
    paragraphs: list[str] = []
    bullets: list[str] = []
    figure: bool = False  # the map
    tables: list[Table] = []


class Document(Struct, frozen=True):
    """What is read, top to bottom."""

    title: str
    mission: str
    release: str
    facts: list[tuple[str, str]]
    banners: list[tuple[str, str]]  # kind, text
    sections: list[Section]
    footer: list[str]


def document(report: Report) -> Document:
    """The document of a report: every word and number of HTML and PDF."""
    return Document(
        title=f"Daily report {report.number}",
        mission=report.mission,
        release=report.release,
        facts=_facts(report),
        banners=_banners(report),
        sections=[section for section in _sections(report) if section is not None],
        footer=_footer(report),
    )


def _facts(report: Report) -> list[tuple[str, str]]:
    zone = ZoneInfo(report.zone)
    hours = round((report.ends - report.begins).total_seconds() / 3600)
    period = f"{saying.moment(report.begins, zone)} to {saying.moment(report.ends, zone)}"
    if hours != 24:
        period += f" ({hours} hours: clocks changed)"
    as_of = report.provenance.as_of or report.ends
    return [
        ("Reporting period", period),
        ("Based on information received as of", saying.moment(as_of, zone)),
        ("Agreement", report.agreement),
        ("Edition, release", f"{report.provenance.edition}, for the {report.release} alone"),
    ]


def _banners(report: Report) -> list[tuple[str, str]]:
    said = []
    if report.exercise:
        said.append(("exercise", "EXERCISE. Everything in this report is invented."))
    if report.illustrative:
        said.append(
            (
                "illustrative",
                "ILLUSTRATIVE. The agreement was not in force in this period: findings show what would have been "
                "held against it, not breaches of it.",
            )
        )
    if report.erratum is not None:
        changed = "; ".join(report.erratum.changes)
        said.append(
            (
                "erratum",
                f"ERRATUM. This report replaces the one drawn from edition {report.erratum.replaces_edition}, which "
                f"remains as it was published. What has changed: {changed}.",
            )
        )
    return said


def _sections(report: Report) -> list[Section | None]:
    violations = tables.violations(report)
    return [
        Section("summary", "Summary", bullets=report.summary),
        Section("map", "Map", figure=True),
        Section("counts", "Possible violations by region", tables=[tables.regions(report)]),
        _clauses(report),
        _casualties(report),
        _filled("protected", "Protected sites", tables.sites(report)),
        _filled("other", "Duties and other findings", tables.duties(report)),
        _filled("exempt", "Notified and exempt", tables.exempt(report)),
        _movement(report),
        _fires(report),
        Section(
            "unseen",
            "What could not be seen",
            bullets=summary.unseen(report),
            tables=[tables.sources(report)],
        ),
        Section(
            "table",
            "Table of possible violations",
            paragraphs=_other_accounts(report) if report.incidents else [summary.NOT_NONE, *_other_accounts(report)],
            tables=[violations] if report.incidents else [],
        ),
        Section("method", "How to read this report", paragraphs=_method(report)),
    ]


def _filled(name: str, title: str, table: Table) -> Section | None:
    return Section(name, title, tables=[table]) if table.rows else None


def _clauses(report: Report) -> Section | None:
    return _filled("clauses", "Findings by clause", tables.clauses(report))


def _casualties(report: Report) -> Section:
    if not report.casualties:
        return Section("casualties", "Casualties", paragraphs=["No source stated casualties in this period."])
    return Section("casualties", "Casualties", tables=[tables.casualties(report)])


def _movement(report: Report) -> Section:
    title = "Freedom of movement and interference"
    if not report.movement:
        return Section("movement", title, paragraphs=[summary.movement([])])
    return Section("movement", title, tables=[tables.movement(report)])


def _fires(report: Report) -> Section:
    told = report.fires
    said = [summary.fires(told)]
    if told.expected_conflict is not None:
        models, expected = ", ".join(told.models), saying.number(round(told.expected_conflict, 1))
        said.append(
            f"By the model “{models}”, {expected} of {saying.plural(told.incidents, 'group')} of fires are expected "
            "to have been caused by the conflict; which of them is not known, and the model has not been compared with "
            f"truth. Summed radiative power: {saying.number(round(told.frp_mw))} MW."
        )
    return Section(
        "fires", "Fires seen by satellite", paragraphs=said, tables=[tables.fires(report)] if told.rows else []
    )


def _other_accounts(report: Report) -> list[str]:
    if not report.notices:
        return []
    are = "is" if report.notices == 1 else "are"
    return [
        f"Beside these there {are} {saying.plural(report.notices, 'warning or account', 'warnings and accounts')} of "
        "nothing physical (alerts, detentions, statements), which no rule counts."
    ]


def _method(report: Report) -> list[str]:
    readings = [report.readers.get(r, r) for r in sorted({h.reading for row in report.incidents for h in row.held})]
    said = [
        f"Counting. {report.counting.sentence} The figure for the previous reporting period is counted by the same "
        "rule from the same edition.",
        "Probability. How likely it is that the incident is a breach of the clause as a party reads it: that the "
        "occurrence was what the sources say, that it lay in the clause's zone, that the clause binds there and then. "
        "It is uncalibrated: it has not been compared with truth. Two numbers are the least and the greatest over "
        "the parties' readings" + (f" ({', '.join(readings)})." if readings else ".") + " An incident that went on "
        "from another day is named and judged by its events of this one; truceline explain tells of the whole.",
        "Places. The nearest settlement of the gazetteer; distances from its middle. Regions are those of the nearest "
        "settlement. Ellipses on the map hold the place with a probability of 39 % (one sigma).",
        f"Attribution. Undetermined throughout. {LIMITS}",
    ]
    if report.line_length_km is not None and report.line_tolerance_m is not None:
        said.append(
            f"Line of contact. {saying.number(round(report.line_length_km))} km long at a tolerance of "
            f"{saying.number(report.line_tolerance_m)} m; a length means nothing without its tolerance."
        )
    return said


def _footer(report: Report) -> list[str]:
    made = report.provenance
    return [
        f"Drawn from edition {made.edition}. Picture SHA-256 {made.digest}. Journal head {made.journal_head}. "
        f"Agreement SHA-256 {made.agreement_sha256}. Truceline {made.code_version}.",
        "Sources and licences: " + "; ".join(report.attributions) + ".",
    ]
