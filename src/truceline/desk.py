"""What people do: run a mission, sign verdicts, take tables away, check that nothing was tampered with."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from truceline import startup
from truceline.baseline import check
from truceline.daily import Written, report
from truceline.errors import MissionError, NotFoundError
from truceline.explain import Newest, resolve
from truceline.fuse.conflict import COLUMNS as OF_FIRES
from truceline.intake import JOURNAL, Ingested, Progress, ingest, silent
from truceline.mission import FILE, Mission
from truceline.pieces import Pieces, Rows
from truceline.pipeline import BOOK, KEYS, ground, settle
from truceline.rules.cases import case_of
from truceline.store import Book, Edition, Journal, signing
from truceline.store import export as write_table

#: Tables that the journal holds; all others are an edition's.
_JOURNALLED = {"observations": "observation", "duplicates": "duplicate", "rejections": "rejection"}


class Ran(NamedTuple):
    """What a run did: intake, edition, report."""

    ingested: Ingested
    edition: Edition
    report: Written


def run(
    folder: Path,
    at: datetime,
    *,
    day: date | None = None,
    formats: Sequence[str] = ("html", "csv", "geojson", "json"),
    progress: Progress = silent,
) -> Ran:
    """Ingest, fuse, judge, settle and report.

    Parameters
    ----------
    at
        The time now, aware: when records are received and the edition is made.
    day
        The reporting day; None: the last that holds an event.

    Raises
    ------
    MissionError, NotFoundError, StoreError
        As `ingest`, `settle` and `report`.
    """
    ingested = ingest(folder, at, progress=progress)
    startup.give_back()  # the ids of all records were held, to know them again
    tables: dict[str, pa.Table] = {}
    edition = settle(folder, at, progress=progress, into=tables)
    startup.give_back()
    written = report(folder, at, day=day, formats=formats, progress=progress, made_tables=tables)
    return Ran(ingested, edition, written)


def verdict(
    folder: Path, identifier: str, decision: str, *, reason: str, by: str, at: datetime, key: Path | None = None
) -> dict[str, Any]:
    """Sign a verdict on the case of a finding (or on a case) and bring it into the picture: a new edition.

    Parameters
    ----------
    identifier
        Of a finding or a case, or its first digits.
    decision
        One of `finding.VERDICTS`.
    key
        The signer's private key; None: in the mission's `keys/`, by the signer's name. Made when absent.

    Returns
    -------
    dict with `case`, `verdict`, `by`, `edition`, `key` (the public key's fingerprint) and `sentence`.

    Raises
    ------
    NotFoundError
        When the id names no finding or case.
    StoreError
        When the key cannot be used, the reason is empty, or another process writes.
    """
    Mission.load(folder)
    with Journal(folder / JOURNAL, write=True) as journal, Book(folder / BOOK) as book:
        latest = book.latest()
        if latest is None:
            raise NotFoundError(f"{folder}: there is no picture yet; first: truceline run {folder}")
        kind, whole = resolve(Newest(book), journal, identifier)
        if kind not in ("finding", "case"):
            raise NotFoundError(f"{identifier} is the id of an {kind}; a verdict is signed on a finding or a case")
        rows = book.table(f"{kind}s")
        (row,) = rows.filter(pc.equal(rows[f"{kind}_id"], pa.scalar(whole, pa.binary(16)))).to_pylist()
        tables: dict[str, Any] = {name: book.table(name) for name in ("cases", "incidents", "events")}
        tables["associations"] = book.pieces("associations")
        case, signed = sign(folder, row, tables, decision, reason=reason, by=by, at=at, edition=latest.number, key=key)
        journal.append("verdict", signed)
    edition = settle(folder, at, until=latest.cutoff)
    finger = signing.fingerprint(signed["public_key"][0].as_py())
    return {
        "case": case.hex(),
        "verdict": decision,
        "by": by,
        "edition": edition.number,
        "key": finger,
        "sentence": f"Case {case.hex()[:10]} is {decision}, signed by {by} (key {finger}); edition {edition.number}",
    }


def sign(
    folder: Path,
    row: Mapping[str, Any],
    tables: Mapping[str, pa.Table],
    decision: str,
    *,
    reason: str,
    by: str,
    at: datetime,
    edition: int | None,
    key: Path | None = None,
    case_id: bytes | None = None,
) -> tuple[bytes, pa.Table]:
    """A case's id and the signed verdict on it, one row of `finding.VERDICT`, which nobody has journalled yet.

    Parameters
    ----------
    row
        Of `finding.FINDINGS` or `finding.CASES`: what the person had before their eyes.
    tables
        The cases, incidents, events and associations (those of events are enough; may be `Pieces`) that it is a row of.
    key
        The signer's private key; None: in the mission's `keys/`, by the signer's name. Made when absent.
    case_id
        What people know the case by; None: the id it has now.

    Raises
    ------
    StoreError
        When the key cannot be used, the decision is none, or the reason is empty.
    """
    case, observations = case_of(row, *(tables[name] for name in ("cases", "incidents", "events", "associations")))
    case = case_id or case
    signed = signing.sign_verdict(
        signing.load_or_create_key(key or folder / KEYS / f"{_file_name(by)}.pem"),
        case_id=case,
        clause=row["clause"],
        verdict=decision,
        reason=reason,
        by=by,
        at=at,
        observations=observations,
        finding_id=row.get("finding_id"),
        edition=edition,
        release=row["release"] or "mission",
    )
    return case, signed


def _file_name(by: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", by.lower()).strip("-") or "signer"


def table(folder: Path, name: str, edition: int | None = None) -> pa.Table:
    """A table of the picture, or of the journal: observations, duplicates, rejections. All of it, in memory.

    Parameters
    ----------
    edition
        Which; None: the newest. The journal's tables are of no edition.

    Raises
    ------
    NotFoundError
        When there is no such table or edition, or no picture yet.
    """
    return _pieces(folder, name, edition).table()


def _pieces(folder: Path, name: str, edition: int | None) -> Pieces:
    """`table`, of which there may be more than memory holds."""
    Mission.load(folder)
    if name in _JOURNALLED:
        with Journal(folder / JOURNAL) as journal:
            return journal.pieces(_JOURNALLED[name])
    book = Book(folder / BOOK)
    if book.latest() is None:
        raise NotFoundError(f"{folder}: there is no picture yet; first: truceline run {folder}")
    return book.pieces(name, edition)


def export(folder: Path, name: str, form: str, path: Path, edition: int | None = None) -> int:
    """Write a table to a file (`-`: standard output); how many rows it has.

    Raises
    ------
    NotFoundError
        As `table`.
    StoreError
        When the table cannot be written so: GeoJSON of a table without positions.
    """
    rows: Rows = _pieces(folder, name, edition)
    if form == "geojson" and "subject_id" in rows.schema.names:
        rows = _placed(table(folder, name, edition), table(folder, "incidents", edition))
    return write_table(rows, path, form, name)


def _placed(rows: pa.Table, incidents: pa.Table) -> pa.Table:
    """Findings or cases with the position of their incident; null for duties."""
    at = pc.index_in(rows["subject_id"].cast(pa.binary()), value_set=incidents["incident_id"].cast(pa.binary()))
    for name in ("lon", "lat"):
        rows = rows.append_column(name, incidents[name].take(at))
    return rows


def fires(folder: Path, *, progress: Progress = silent) -> dict[str, Any]:
    """Hold the model of conflict fires against what needs no truth: the baseline's peaceful years, each judged by the
    others with the mission's line laid over it, and the mission's own fires against the excess over the background.

    Returns
    -------
    dict as `fuse.checks.aggregate` has it, with `detections` of the baseline by year and `rejected`.

    Raises
    ------
    MissionError
        When the mission has no `[baseline]` or no `[line]`, or the baseline cannot be used.
    """
    on = ground(folder)
    if on.line is None:
        raise MissionError(f"{folder / FILE}: there is no [line] to lay over the peaceful years")
    observations = None
    if (folder / JOURNAL).is_dir():
        with Journal(folder / JOURNAL) as journal:
            kept = set(journal.columns("observation"))
            observations = journal.table("observation", [name for name in OF_FIRES if name in kept])
    return check(folder, on.line, observations, progress)


def verify(folder: Path) -> dict[str, Any]:
    """Check the journal's hashes, the signatures of its verdicts, and the book's editions against the journal's.

    Returns
    -------
    dict with `head`, `problems` and `sentences`; no problems: everything holds.
    """
    Mission.load(folder)
    with Journal(folder / JOURNAL) as journal:
        problems = journal.verify()
        if problems:  # what cannot be read cannot be counted
            return {"head": None, "counts": {}, "problems": problems, "sentences": problems}
        head = journal.head
        verdicts = journal.table("verdict").to_pylist()
        counts = {kind: journal.rows(kind) for kind in ("observation", "duplicate", "rejection", "verdict")}
    for row in verdicts:
        problems += [
            f"verdict of {row['by']} on case {row['case_id'].hex()[:10]}: {what}" for what in signing.check_verdict(row)
        ]
    held = ", ".join(f"{n:,} {kind}{'' if n == 1 else 's'}" for kind, n in counts.items())
    good = f"The journal holds: {held}; every hash and signature was computed again. Head {head}"
    return {"head": head, "counts": counts, "problems": problems, "sentences": problems or [good]}
