"""The daily report of the newest edition: built, written once, frozen, and entered in the book."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from truceline import report as reporting
from truceline.errors import MissionError, NotFoundError
from truceline.intake import JOURNAL, Progress, silent
from truceline.mission import Mission, hashes
from truceline.observation import ID
from truceline.pieces import filtered
from truceline.pipeline import BOOK, REPORTS, gazetteer, ground, made
from truceline.report.gather import of as rows_of
from truceline.report.gather import within
from truceline.report.today import of_other_days
from truceline.rules import judge
from truceline.store import Book, Edition, Journal, Published


class Written(msgspec.Struct):
    """A daily report that was written."""

    day: str
    edition: int
    paths: list[str]
    bullets: list[str]  # its summary
    top: list[dict[str, Any]]  # the findings most likely to be breaches: id, p, sentence
    likely: int  # incidents of the day with a finding more likely than not
    erratum: list[str]  # what the earlier report of the day said otherwise

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return dict(msgspec.to_builtins(self))


_TOP = 5


def report(
    folder: Path,
    made_at: datetime,
    *,
    day: date | None = None,
    formats: Sequence[str] = ("html", "csv", "geojson", "json"),
    progress: Progress = silent,
    made_tables: Mapping[str, pa.Table] | None = None,
) -> Written:
    """Write the daily report of the newest edition; the report of an earlier edition stays as it is.

    Parameters
    ----------
    day
        The reporting day; None: the last one that holds an event, or else a track.
    made_tables
        The newest edition's, from whoever has just made it; None: they are read from the book.

    Raises
    ------
    NotFoundError
        When there is no edition yet, or the day lies outside what it holds.
    """
    progress("writing the report", 0, None)
    mission = Mission.load(folder)
    with Journal(folder / JOURNAL) as journal, Book(folder / BOOK) as book:
        edition, file_hashes = newest(folder, mission, journal, book)
        names = ("tracks", "movements", "events", "incidents", "findings", "cases", "line", "zones")
        tables: dict[str, Any] = {name: made_tables[name] if made_tables else book.table(name) for name in names}
        day = day or _last_day(mission, tables["events"], book)
        tables |= _findings_of(folder, mission, day, tables)
        tables["observations"] = journal.pieces("observation", ["source", "at"])
        if pc.any(pc.or_(pc.is_valid(tables["events"]["killed"]), pc.is_valid(tables["events"]["injured"]))).as_py():
            tables["statements"] = _statements(journal, book)
        before = [row for row in book.published() if row.day == day and row.edition < edition.number]
        earlier = [row for row in before if row.path.endswith(".json")]
        built = reporting.build(
            mission,
            mission.load_agreement(folder),
            day,
            tables,
            reporting.Provenance(
                edition=edition.number,
                digest=edition.digest,
                journal_head=edition.journal_head,
                code_version=edition.code_version,
                agreement_sha256=file_hashes["agreement"],
            ),
            gazetteer(folder, mission),
            journal=_source_counts(journal, mission),
            earlier=reporting.read(folder / earlier[-1].path) if earlier else None,
        )
        into = folder / REPORTS / f"{day.isoformat()}-edition-{edition.number}"
        paths = _publish(built, folder, into, formats, book, made_at)
        return Written(
            day=day.isoformat(),
            edition=edition.number,
            paths=[str(path) for path in paths],
            bullets=list(built.summary),
            top=_top(built, tables["findings"]),
            likely=sum((row.p_breach or 0) > 0.5 for row in (*built.incidents, *built.fires.rows)),
            erratum=list(built.erratum.changes) if built.erratum else [],
        )


def newest(folder: Path, mission: Mission, journal: Journal, book: Book) -> tuple[Edition, dict[str, str]]:
    """The newest edition, and the hashes of the mission's files it was made of, which are those of today's.

    Raises
    ------
    NotFoundError
        When there is none.
    MissionError
        When the files have changed since.
    """
    edition = book.latest()
    if edition is None:
        raise NotFoundError(f"{folder}: there is no picture yet; first: truceline run {folder}")
    now = hashes(folder, mission)
    if now != next(m.files for m in made(journal) if m.edition.number == edition.number):
        changed = f"the mission's files have changed since edition {edition.number} was made"
        raise MissionError(f"{folder}: {changed}; first: truceline settle {folder}")
    return edition, now


def _publish(
    built: reporting.Report, folder: Path, into: Path, formats: Sequence[str], book: Book, made_at: datetime
) -> list[Path]:
    """Write the report's files and enter them in the book; one that was published otherwise stays as it is."""
    (folder / REPORTS).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder / REPORTS, prefix=".making-") as making:
        written = reporting.write(built, Path(making), formats)
        paths = [into / path.name for path in written]
        for new, path in zip(written, paths, strict=True):
            name, sha256 = path.relative_to(folder).as_posix(), hashlib.sha256(new.read_bytes()).hexdigest()
            book.publish(Published(built.day, built.provenance.edition, name, sha256, made_at))
        into.mkdir(exist_ok=True)
        for new, path in zip(written, paths, strict=True):
            new.replace(path)
    return paths


def _findings_of(folder: Path, mission: Mission, day: date, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """The findings as the events of the day carry them, and as those of the day before do; of their incidents alone.

    An incident that spans days has one finding in the edition, about its strongest event; it is judged again on
    each day's events alone.
    """
    out, on = {}, None
    for name, of in (("findings", day), ("findings_before", day - timedelta(days=1))):
        begins, ends = mission.day(of)
        events, findings = within(tables["events"], begins, ends), tables["findings"]
        theirs = pc.is_in(findings["subject_id"], value_set=pc.unique(events["incident_id"]))
        findings = findings.filter(pc.or_(theirs, pc.not_equal(findings["subject_kind"], "incident")))
        incidents = rows_of(tables["incidents"], "incident_id", events["incident_id"])
        spanning = incidents.filter(of_other_days(incidents, events))
        if spanning.num_rows:
            on = on or ground(folder)
            parts = rows_of(events, "incident_id", spanning["incident_id"])
            again = judge(
                parts, spanning, on.agreement, on.line, on.frame, on.gazetteer, folder, ends, mission.zone(), on.zones
            )
            old = pc.is_in(findings["subject_id"], value_set=pc.unique(spanning["incident_id"]))
            new = again.filter(pc.equal(again["subject_kind"], "incident"))
            findings = pa.concat_tables([findings.filter(pc.invert(old)), new])
        out[name] = findings
    return out


def _statements(journal: Journal, book: Book) -> pa.Table:
    """What observations state of casualties, and of which event; those that state nothing are left out."""
    rows = filtered(
        journal.pieces("observation", ["observation_id", "source", "killed", "injured"]),
        lambda some: some.filter(pc.or_(pc.is_valid(some["killed"]), pc.is_valid(some["injured"]))),
    )
    stating = rows["observation_id"].combine_chunks()
    behind = filtered(
        book.pieces("associations"),
        lambda some: some.filter(pc.is_in(some["observation_id"], value_set=stating)),
    ).select(["observation_id", "event_id"])
    event = dict(zip(behind["observation_id"].to_pylist(), behind["event_id"].to_pylist(), strict=True))
    events = [event.get(observation_id) for observation_id in rows["observation_id"].to_pylist()]
    return rows.select(["source", "killed", "injured"]).append_column("event_id", pa.array(events, ID))


def _last_day(mission: Mission, events: pa.Table, book: Book) -> date:
    """Of the last event; where nothing occurred, of the last that moved."""
    last = pc.max(events["at"]).as_py()
    if last is None:
        last = pc.max(book.table("tracks")["last_at"]).as_py()
    if last is None:
        raise NotFoundError("the picture holds no event and no track, so no last day to report; name one with --day")
    return mission.day_of(last)


def _source_counts(journal: Journal, mission: Mission) -> list[reporting.SourceCount]:
    """What became of each source's records, over all ingests."""
    counts = {source.id: [0, 0, 0] for source in mission.source}
    for place, kind in enumerate(("observation", "duplicate", "rejection")):
        for rows in journal.pieces(kind, ["source"]):
            for entry in rows["source"].value_counts().to_pylist():
                counts.setdefault(entry["values"], [0, 0, 0])[place] += entry["counts"]
    return [reporting.SourceCount(source, sum(row), *row) for source, row in counts.items()]


def _top(built: reporting.Report, findings: pa.Table) -> list[dict[str, Any]]:
    """The day's findings most likely to be breaches, one an incident."""
    ranked = sorted(
        ((held.p_breach, held.finding_id) for row in built.incidents for held in row.held[:1] if held.p_breach),
        key=lambda pair: (-pair[0], pair[1]),
    )[:_TOP]
    wanted = pa.array([bytes.fromhex(name) for _, name in ranked], findings.schema.field("finding_id").type)
    rows = findings.filter(pc.is_in(findings["finding_id"], value_set=wanted))
    said = {row["finding_id"].hex(): row for row in rows.select(["finding_id", "p_breach", "sentence"]).to_pylist()}
    # The finding's own number, so that it is rounded once, as its sentence rounds it.
    return [{"id": name, "p": said[name]["p_breach"], "sentence": said[name]["sentence"]} for _, name in ranked]
