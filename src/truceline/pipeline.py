"""The sentence, in order: journal, fuse, picture, rules, findings, book, report.

A mission is a folder; every function here takes that folder and the time, and none reads the clock.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from truceline import __version__, inputs, picture, rules, startup
from truceline.agreement import Agreement
from truceline.baseline import fire_model
from truceline.errors import NotFoundError
from truceline.frame import Frame
from truceline.fuse import ConflictModel, Fused, fuse, lineage
from truceline.inputs import scratch
from truceline.intake import JOURNAL, Progress, Record, configure, silent
from truceline.line import Line
from truceline.mission import Mission, files, hashes
from truceline.pieces import Pieces, Rows, chained, filtered
from truceline.places import ATTRIBUTION, Gazetteer, outer_border
from truceline.rules.cases import cases
from truceline.store import Book, Edition, Journal, Published, publish

if TYPE_CHECKING:
    from truceline.moving import Moving

#: What fuses: our own function, or another engine's call of it over shards.
Engine = Callable[..., Fused]

BOOK, GPKG, REPORTS, KEYS = "book.sqlite", "picture.gpkg", "reports", "keys"

#: What an edition's digest covers, in one place so that nothing slips out of it unseen.
DIGESTED = (
    *("associations", "tracks", "track_points", "movements", "events", "incidents", "findings", "cases", "line"),
)

#: Tables that may not fit into memory.
LARGE = ("associations", "track_points")
#: Tables of what moves.
OF_MOVING = {"tracks": picture.TRACKS, "track_points": picture.TRACK_POINTS, "movements": picture.MOVEMENTS}


class Ground(msgspec.Struct, frozen=True):
    """What observations are held against: the mission's files, read."""

    mission: Mission
    agreement: Agreement
    frame: Frame
    line: Line | None
    gazetteer: Gazetteer
    zones: rules.Zones  # of the agreement, each drawn when first asked for


def ground(folder: Path) -> Ground:
    """The mission's agreement, line and gazetteer; read again only when one of its files has changed.

    Raises
    ------
    MissionError
        Naming the file and what is wrong in it.
    """
    mission = Mission.load(folder)
    return _ground(folder, tuple(sorted(hashes(folder, mission).items())))


@lru_cache(maxsize=1)  # a run settles and then reports on the same ground; reading 50 dated lines takes seconds
def _ground(folder: Path, _file_hashes: tuple[tuple[str, str], ...]) -> Ground:
    mission = Mission.load(folder)
    frame = mission.frame()
    line = None
    if mission.line is not None:
        line = Line.load(
            [Path(path) for path in files(folder, mission.line.paths)],
            frame,
            select=mission.line.select,
            tolerance_m=mission.line.tolerance_m,
            trim_km=mission.line.trim_km,
            border=outer_border() if mission.line.trim_km else None,
        )
    agreement, places = mission.load_agreement(folder), gazetteer(folder, mission)
    return Ground(mission, agreement, frame, line, places, rules.Zones(agreement, line, frame, places, folder))


def gazetteer(folder: Path, mission: Mission) -> Gazetteer:
    """The mission's own table of settlements, or that which comes with Truceline."""
    return Gazetteer.load(folder / mission.gazetteer if mission.gazetteer is not None else None)


def draw(
    on: Ground,
    folder: Path,
    observations: pa.Table,
    until: datetime,
    engine: Engine = fuse,
    progress: Progress = silent,
    conflict: ConflictModel | None = None,
    moved: "Moving | None" = None,
) -> dict[str, Rows]:
    """The picture and its findings: a pure function of observations and files.

    Parameters
    ----------
    observations
        Rows of `observation.CORE` and the feeds' own columns, in any order.
    until
        Up to when the picture speaks; duties due later are not judged.
    engine
        Fuses observations into associations, events and incidents.
    conflict
        Says which fires are the conflict's; None: the mission's `fire_prior` of every fire alike.
    moved
        What moves, where that is known already; None: it is worked out from the fixes among the observations.
        Where its points and associations are in pieces, so are those of the picture.

    Returns
    -------
    dict of table name to table: associations, tracks, track_points, movements, events, incidents, findings, line.
    """
    progress("fusing observations into events and incidents", 0, None)
    fused = engine(observations, on.frame, on.line, on.gazetteer, on.mission.fire_prior, conflict)
    tables: dict[str, Any] = {"associations": fused.associations, "events": fused.events, "incidents": fused.incidents}
    tables |= {name: schema.empty_table() for name, schema in OF_MOVING.items()}
    if moved is not None or pc.any(pc.equal(observations["kind"], "fix")).as_py():
        progress("tracking what moves", 0, None)
        tables = _with_what_moves(tables, moved or what_moves(on, observations))
    progress("holding incidents against the agreement", 0, None)
    findings = rules.judge(
        tables["events"],
        tables["incidents"],
        on.agreement,
        on.line,
        on.frame,
        on.gazetteer,
        folder,
        until,
        on.mission.zone(),
        on.zones,
    )
    line = on.line.table() if on.line is not None else picture.LINE.empty_table()
    return tables | {"findings": findings, "line": line}


def what_moves(on: Ground, observations: Rows, into: Path | None = None) -> "Moving":
    """The tracks of the fixes, and what they tell; with a folder for scratch files, of observations in pieces."""
    from truceline.moving import moving  # the tracker's kernels take a second; most missions of fires have no fixes

    return moving(observations, on.agreement, on.frame, on.line, on.gazetteer, on.zones, into)


def _with_what_moves(tables: Mapping[str, Any], moved: "Moving") -> dict[str, Any]:
    """The picture's tables with the tracks, and what they tell behind what else occurred."""
    joined: dict[str, Any] = {
        name: pa.concat_tables([tables[name], getattr(moved, name)]) for name in ("events", "incidents")
    }
    ties = tables["associations"], moved.associations
    in_pieces = any(isinstance(part, Pieces) for part in ties)
    joined["associations"] = chained(ties, picture.ASSOCIATIONS) if in_pieces else pa.concat_tables(ties)
    return joined | {"tracks": moved.tracks, "track_points": moved.points, "movements": moved.movements}


def settle(
    folder: Path,
    made_at: datetime,
    *,
    until: datetime | None = None,
    engine: Engine = fuse,
    progress: Progress = silent,
    into: dict[str, pa.Table] | None = None,
    record: Record | None = None,
) -> Edition:
    """Make a numbered edition of the picture from the journal, publish it, and return it.

    When nothing it depends on has changed since the newest edition, that edition stands and is returned.

    Parameters
    ----------
    until
        Only observations of before this time; None: all.
    into
        Takes the tables of an edition that is made, as the book has them: a report need not unpack them.
    record
        Appends rows to the journal, where another process writes it; None: this one does.

    Raises
    ------
    NotFoundError
        When the journal has no observations.
    """
    mission = Mission.load(folder)
    with Journal(folder / JOURNAL) as journal, Book(folder / BOOK) as book, scratch(folder) as kept:
        if not journal.rows("observation"):
            looked = ", ".join(path for source in mission.source for path in source.paths)
            raise NotFoundError(f"{folder}: the journal has no observations: nothing was accepted from {looked}")
        progress("reading the journal", 0, None)
        given = inputs.read(journal, kept, until)
        startup.give_back()
        file_hashes = configure(journal, folder, mission, made_at, record)
        of_inputs = inputs.digest(given, file_hashes, until)
        signed = _digest(given.verdicts["leaf"].to_pylist())
        latest = book.latest()
        if latest is not None and latest.inputs_digest == f"{of_inputs}+{signed}":
            _publish(folder, book, latest)
            return latest
        tables: dict[str, Rows]
        if latest is not None and latest.inputs_digest.startswith(of_inputs):  # only verdicts are new
            tables, note = _of_book(book, (*DIGESTED, "zones")), latest.note
        else:
            tables, note = _drawn(folder, given, until, engine, progress, kept)
        _conclude(tables, given.verdicts, book if latest else None)
        edition = Edition(
            number=max((one.edition.number for one in made(journal)), default=0) + 1,
            cutoff=until,
            inputs_digest=f"{of_inputs}+{signed}",
            digest=picture.digest({name: tables[name] for name in DIGESTED}),
            journal_head=given.head if record is not None else journal.head,
            journal_rows=given.rows,
            code_version=__version__,
            made_at=made_at,
            note=note,
        )
        entered = Made(edition, given.observations, given.verdicts.num_rows, file_hashes)
        entry = {"what": "edition", "text": msgspec.json.encode(entered).decode(), "received_at": made_at}
        (record or journal.append)("configuration", pa.Table.from_pylist([entry]))
        progress("keeping and publishing the picture", 0, None)
        book.put(edition, tables)
        startup.give_back()
        _publish(folder, book, edition, tables)
        if into is not None:  # what is in scratch files goes with them
            into.update({name: rows for name, rows in tables.items() if isinstance(rows, pa.Table)})
        return edition


class Made(msgspec.Struct, frozen=True):
    """What the journal says of an edition: itself, and how many of the journal's rows it was made from."""

    edition: Edition
    observations: int
    verdicts: int
    files: dict[str, str] = {}  # the mission's, by SHA-256


def made(journal: Journal) -> list[Made]:
    """The editions that were made, the oldest first."""
    rows = journal.table("configuration", ["what", "text"])
    texts = rows.filter(pc.equal(rows["what"], "edition"))["text"].to_pylist()
    return [msgspec.json.decode(text, type=Made) for text in texts]


def _digest(parts: Sequence[bytes]) -> str:
    whole = hashlib.sha256()
    for part in sorted(parts):
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def _of_book(book: Book, names: Iterable[str]) -> dict[str, Rows]:
    """The newest edition's tables, the large ones in pieces."""
    return {name: book.pieces(name) if name in LARGE else book.table(name) for name in names}


def _drawn(
    folder: Path, given: inputs.Inputs, until: datetime | None, engine: Engine, progress: Progress, into: Path
) -> tuple[dict[str, Rows], str]:
    """The picture, its findings, and the agreement's zones as they were at its end; and remarks on its inputs."""
    progress("reading line, agreement and places", 0, None)
    on = ground(folder)
    conflict, said = fire_model(folder, on.mission, on.frame, on.line, given.others, progress)
    last = until or given.last  # a picture of everything speaks up to the moment after its last observation
    if last is None:
        raise NotFoundError(f"{folder}: no observation says when it was made")
    moved = None
    if given.fixes:
        progress("tracking what moves", 0, None)
        moved = what_moves(on, given.moving, into)
        startup.give_back()
    tables = draw(on, folder, given.others, last, engine, progress, conflict, moved)
    day = on.mission.day_of(last - timedelta(microseconds=1))
    tables["zones"] = rules.zones_table(on.agreement, on.line, on.frame, on.gazetteer, folder, day, on.zones)
    untracked = given.fixes - tables["track_points"].num_rows  # without place or time, too far off, never confirmed
    notes = [
        _remarks(tables["line"]),
        said,
        f"{untracked:,} of {given.fixes:,} fixes are in no track" if untracked > 0 else "",
    ]
    return tables, "; ".join(filter(None, notes))


def _conclude(tables: dict[str, Rows], verdicts: pa.Table, before: Book | None) -> None:
    """Add what depends on verdicts and on the edition before: cases, lineage."""
    ties = filtered(tables["associations"], lambda piece: piece.filter(pc.is_valid(piece["event_id"])))
    tables["cases"] = cases(tables["findings"], tables["incidents"], tables["events"], ties, verdicts)
    tables["lineage"] = picture.LINEAGE.empty_table()
    if before is not None:
        tables["lineage"] = lineage(_of_book(before, ("associations", "events")), tables)


def _remarks(line: pa.Table) -> str:
    """How much was mended or left out of the line's files; the files themselves are never changed."""
    remarks = pc.sum(pc.list_value_length(line["problems"])).as_py() or 0
    return f"{remarks:,} repairs of and remarks on {line.num_rows:,} line files: see the table line" if remarks else ""


def _publish(folder: Path, book: Book, edition: Edition, tables: Mapping[str, Rows] | None = None) -> None:
    """Write picture.gpkg; when it is there already and no tables are given, leave it."""
    if tables is None and (folder / GPKG).exists():
        return
    tables = tables or _of_book(book, book.names())
    mission = Mission.load(folder)
    owed = [source.licence for source in mission.source] + [mission.line.licence if mission.line else None]
    publish(folder / GPKG, tables, edition, [ATTRIBUTION, *(licence for licence in owed if licence)])


def rebuild(folder: Path, *, engine: Engine = fuse, progress: Progress = silent) -> dict[str, Any]:
    """Make the book again from the journal and the mission's files, edition by edition.

    An edition is made again when the mission's files are what they were then; one that cannot be is told of and
    left out. Reports in the reports' folder are entered again, as they are.

    Returns
    -------
    dict with `editions` (number, digest before and after, same), `differ` (how many digests are not what they
    were) and `sentences`.
    """
    mission = Mission.load(folder)
    told: list[dict[str, Any]] = []
    with Journal(folder / JOURNAL, write=True) as journal, Book(folder / BOOK) as book:
        all_made = made(journal)
        file_hashes = hashes(folder, mission)
        book.remove()
        of_inputs = ""
        for one in all_made:
            progress(f"making edition {one.edition.number} again", len(told), len(all_made))
            with scratch(folder) as kept:
                cutoff = one.edition.cutoff
                given = inputs.read(journal, kept, cutoff, one.observations, one.verdicts)
                row = {"number": one.edition.number, "digest": one.edition.digest, "again": None}
                told.append(row)
                now = inputs.digest(given, file_hashes, cutoff)
                if not one.edition.inputs_digest.startswith(now):
                    continue
                if now == of_inputs:  # only verdicts were new
                    tables = _of_book(book, (*DIGESTED, "zones"))
                else:
                    (tables, _), of_inputs = _drawn(folder, given, cutoff, engine, silent, kept), now
                _conclude(tables, given.verdicts, book if book.latest() else None)
                row["again"] = picture.digest({name: tables[name] for name in DIGESTED})
                book.put(msgspec.structs.replace(one.edition, digest=row["again"]), tables)
        _enter_reports(folder, book)
        latest = book.latest()
        if latest is not None:
            (folder / GPKG).unlink(missing_ok=True)
            _publish(folder, book, latest)
    differ = sum(row["again"] not in (None, row["digest"]) for row in told)
    return {
        "editions": told,
        "differ": differ,
        "sentences": [_rebuilt(row) for row in told] or ["no edition was made yet"],
    }


def _rebuilt(row: Mapping[str, Any]) -> str:
    if row["again"] is None:
        return f"Edition {row['number']}: the mission's files or the code have changed since; it cannot be made again"
    if row["again"] == row["digest"]:
        return f"Edition {row['number']}: made again, same digest {row['digest'][:16]}"
    return f"Edition {row['number']}: DIFFERS: digest {row['again'][:16]} where {row['digest'][:16]} was made"


def _enter_reports(folder: Path, book: Book) -> None:
    """Enter the reports that lie in the reports' folder and whose edition is in the book."""
    numbers = {edition.number: edition for edition in book.editions()}
    for path in sorted((folder / REPORTS).glob("*-edition-*/*")):
        day, _, number = path.parent.name.rpartition("-edition-")
        edition = numbers.get(int(number)) if number.isdigit() else None
        if edition is not None and path.is_file():
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            name = path.relative_to(folder).as_posix()
            book.publish(Published(date.fromisoformat(day), edition.number, name, sha256, edition.made_at))
