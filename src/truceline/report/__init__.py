"""The daily report of a reporting day: one model, written as HTML, PDF, CSV, GeoJSON and JSON.

    report = build(mission, agreement, day, tables, provenance, gazetteer, journal=counts, earlier=read(path))
    write(report, folder, ("html", "csv", "geojson", "json"))

The same model gives the same bytes; nothing here reads a clock.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from truceline import counting, places
from truceline.agreement import Agreement
from truceline.errors import TrucelineError
from truceline.mission import Mission
from truceline.observation import RELEASES
from truceline.places import Gazetteer
from truceline.report import gather, lists, objects, summary, svg, tally, today
from truceline.report.document import document
from truceline.report.html import html
from truceline.report.model import Counting, Incident, Provenance, Report, SourceCount
from truceline.report.pdf import pdf

__all__ = ["FORMATS", "Provenance", "Report", "SourceCount", "build", "read", "write"]

#: What a report can be written as, and under which name.
FORMATS: dict[str, str] = {
    "html": "report.html",
    "pdf": "report.pdf",
    "json": "report.json",
    "csv": "violations.csv",
    "geojson": "incidents.geojson",
}


def build(
    mission: Mission,
    agreement: Agreement,
    day: date,
    picture: Mapping[str, pa.Table],
    provenance: Provenance,
    gazetteer: Gazetteer,
    *,
    journal: Sequence[SourceCount] = (),
    earlier: Report | None = None,
    release: str = "mission",
) -> Report:
    """The report of a reporting day.

    Parameters
    ----------
    picture
        An edition's tables: `events`, `incidents`, `findings`, `cases`, `line`, `zones`, and of the journal
        `observations` with the columns `source` and `at`, of the whole mission: silence is told from them.
        `findings` are what the events of the day carry, and `findings_before` (absent: the same) those of the day
        before: where an incident spans days, its finding in the edition may be about an event of another day.
        `tracks` and `movements` (may be absent) are told of where objects moved.
        `statements` (may be absent) has what observations state of casualties: `event_id`, `source`, `killed`,
        `injured`, null where nothing is stated.
    journal
        What became of each source's records.
    earlier
        The report of this day that was published before, if any: what differs becomes an erratum.

    Raises
    ------
    TrucelineError
        For any release but "mission": what may leave a mission, and how late and coarse, is not decided yet.
    """
    if release not in RELEASES or release != "mission":
        raise TrucelineError(f"release = {release!r}: reports are made for the release 'mission' alone")
    begins, ends = mission.day(day)
    frame, now = mission.frame(), gather.within(picture["events"], begins, ends)
    past = gather.within(picture["events"], *mission.day(day - timedelta(days=1)))
    incidents = gather.of(picture["incidents"], "incident_id", now["incident_id"])
    secret = gather.origins(incidents, gather.of(picture["events"], "incident_id", incidents["incident_id"]))
    incidents = today.as_of_the_day(incidents, now, picture["events"], mission.zone())
    findings = picture["findings"]
    of_incidents = findings.filter(pc.equal(findings["subject_kind"], "incident"))
    held = gather.held_by_subject(gather.of(of_incidents, "subject_id", now["incident_id"]), picture["cases"])
    earlier_findings = picture.get("findings_before", findings)
    earlier_findings = earlier_findings.filter(pc.equal(earlier_findings["subject_kind"], "incident"))
    families = pa.array(gather.family(incidents), pa.string())
    parts = gather.by_incident(now)

    def rows(chosen: pa.Array) -> list[Incident]:
        found = gather.incident_rows(incidents.filter(chosen), parts, held, gazetteer, secret)
        return gather.numbered(found, regions)

    regions, totals = tally.regions(mission.counting, now, past, picture["incidents"], gazetteer)
    fires = rows(pc.equal(families, "fire"))
    others = rows(pc.invert(pc.is_in(families, value_set=pa.array(["fire", "notice"]))))
    movement = tally.movement(now, gazetteer)
    notices = set(incidents["incident_id"].filter(pc.equal(families, "notice")).to_pylist())
    hindering = len(notices & {bytes.fromhex(row.incident_id) for row in movement})
    line = gather.line_of(picture["line"], day)
    in_force = agreement.in_force_at(begins) and agreement.in_force_at(ends - timedelta(microseconds=1))
    licences = {source.id: source.licence for source in mission.source}
    report = Report(
        schema=1,
        number=f"{day.timetuple().tm_yday}/{day.year}",
        mission=mission.name,
        day=day,
        begins=begins,
        ends=ends,
        zone=mission.report_day.zone,
        release=release,
        exercise=mission.exercise,
        illustrative=not in_force or any(h.illustrative for hs in held.values() for h in hs),
        agreement=agreement.title,
        provenance=provenance,
        counting=Counting(mission.counting, counting.sentence(mission.counting)),
        totals=totals,
        regions=regions,
        incidents=others,
        fires=tally.fires(fires, now, past),
        notices=(pc.sum(pc.equal(families, "notice")).as_py() or 0) - hindering,
        wide_intervals=sum(_span(row) >= gather.WIDE for row in others),
        beyond_period=sum(_reaches(row, begins, ends) for row in others),
        casualties=tally.casualties([*others, *fires], tally.stated(picture.get("statements"), now)),
        duties=tally.duties(findings, agreement, ends),
        clauses=tally.clauses(
            agreement, [*others, *fires], gather.of(earlier_findings, "subject_id", past["incident_id"])
        ),
        sources=gather.spoke(picture["observations"], licences, begins, ends),
        journal=list(journal),
        line_date=line["date"] if line else None,
        line_length_km=line["length_km"] if line else None,
        line_tolerance_m=line["tolerance_m"] if line else None,
        erratum=None,
        attributions=_attributions(mission),
        movement=movement,
        objects=objects.moved(picture, begins, ends),
        readers={party.id: party.name for party in agreement.party},
        exempt=tally.exempt(agreement, [*others, *fires], of_incidents, now),
        map=svg.draw(frame, line, picture["zones"], others, fires, gazetteer),
    )
    report = replace(report, erratum=summary.changes(report, earlier) if earlier else None)
    return replace(report, summary=summary.bullets(report))


def _span(row: Incident) -> timedelta:
    return row.last_at - row.first_at if row.first_at and row.last_at else timedelta(0)


def _reaches(row: Incident, begins: datetime, ends: datetime) -> bool:
    return bool((row.first_at and row.first_at < begins) or (row.last_at and row.last_at > ends))


def _attributions(mission: Mission) -> list[str]:
    """What is owed to sources, each once: the mission's in its order, then the map's and the names'."""
    owed = [source.licence for source in mission.source] + [mission.line.licence if mission.line else None]
    return [*dict.fromkeys(text.rstrip(".") for text in owed if text), places.ATTRIBUTION.rstrip(".")]


def write(report: Report, folder: Path, formats: Iterable[str] = ("html", "csv", "geojson", "json")) -> list[Path]:
    """Write the report's files into `folder`, made if absent; their paths, in the order of `formats`.

    Each file appears whole or not at all.

    Raises
    ------
    TrucelineError
        For a format that is not one of `FORMATS`, or a PDF without the extra `pdf`.
    """
    makers: dict[str, Callable[[], bytes]] = {
        "html": lambda: html(document(report), report.map).encode(),
        "pdf": lambda: pdf(document(report), report),
        "json": lambda: encode(report),
        "csv": lambda: lists.violations_csv(report).encode(),
        "geojson": lambda: lists.incidents_geojson(report).encode(),
    }
    wanted = list(formats)
    for name in wanted:
        if name not in makers:
            raise TrucelineError(f"{name!r} is no format of reports; there are: {', '.join(makers)}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in wanted:
        path = folder / FORMATS[name]
        part = path.with_name(path.name + ".part")
        part.write_bytes(makers[name]())
        part.replace(path)
        paths.append(path)
    return paths


def encode(report: Report) -> bytes:
    """The model as JSON, the map's drawing left out (it is in the HTML)."""
    return msgspec.json.format(msgspec.json.encode(replace(report, map=replace(report.map, svg=""))), indent=1) + b"\n"


def read(path: Path) -> Report:
    """A report's model back from its JSON.

    Raises
    ------
    TrucelineError
        When the file is absent or is no report of this version.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError) as error:
        raise TrucelineError(f"{path}: not a report's JSON: {error}") from error
