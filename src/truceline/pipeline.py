"""The sentence, in order: journal, fuse, picture, rules, findings, book, report.

A mission is a folder; every function here takes that folder and the time, and none reads the clock.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline import __version__, observation, picture, rules
from truceline import report as reporting
from truceline.agreement import Agreement
from truceline.errors import NotFoundError, StoreError
from truceline.frame import Frame
from truceline.fuse import Fused, fuse, lineage
from truceline.intake import CONFIGURATION, JOURNAL, Progress, entry, silent
from truceline.line import Line
from truceline.mission import Mission, files, hashes
from truceline.places import Gazetteer, outer_border
from truceline.rules.cases import cases
from truceline.store import Book, Edition, Journal, publish, signing
from truceline.store import export as write_table

#: What fuses: our own function, or another engine's call of it over shards.
Engine = Callable[..., Fused]

BOOK, GPKG, REPORTS, KEYS = "book.sqlite", "picture.gpkg", "reports", "keys"

#: What an edition's digest covers, in one place so that nothing slips out of it unseen.
DIGESTED = ("associations", "events", "incidents", "findings", "cases", "line")


class Ground(msgspec.Struct, frozen=True):
    """What observations are held against: the mission's files, read."""

    mission: Mission
    agreement: Agreement
    frame: Frame
    line: Line | None
    gazetteer: Gazetteer


def ground(folder: Path) -> Ground:
    """Read the mission's agreement, line and gazetteer.

    Raises
    ------
    MissionError
        Naming the file and what is wrong in it.
    """
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
    return Ground(mission, mission.load_agreement(folder), frame, line, Gazetteer.load())


def draw(
    on: Ground, folder: Path, observations: pa.Table, until: datetime, engine: Engine = fuse, progress: Progress = silent
) -> dict[str, pa.Table]:
    """The picture and its findings: a pure function of observations and files.

    Parameters
    ----------
    observations
        Rows of `observation.CORE` and the feeds' own columns, in any order.
    until
        Up to when the picture speaks; duties due later are not judged.
    engine
        Fuses observations into associations, events and incidents.

    Returns
    -------
    dict of table name to table: associations, events, incidents, findings, line.
    """
    progress("fusing observations into events and incidents", 0, None)
    fused = engine(observations, on.frame, on.line, on.gazetteer, on.mission.fire_prior)
    progress("holding incidents against the agreement", 0, None)
    findings = rules.judge(fused.events, fused.incidents, on.agreement, on.line, on.frame, on.gazetteer, folder, until)
    line = on.line.table() if on.line is not None else picture.LINE.empty_table()
    return {
        "associations": fused.associations,
        "events": fused.events,
        "incidents": fused.incidents,
        "findings": findings,
        "line": line,
    }


def settle(
    folder: Path, made_at: datetime, *, until: datetime | None = None, engine: Engine = fuse, progress: Progress = silent
) -> Edition:
    """Make a numbered edition of the picture from the journal, publish it, and return it.

    When nothing it depends on has changed since the newest edition, that edition stands and is returned.

    Parameters
    ----------
    until
        Only observations of before this time; None: all.
    """
    with Journal(folder / JOURNAL, write=True) as journal, Book(folder / BOOK) as book:
        if not journal.rows("observation"):
            raise NotFoundError(f"{folder}: the journal has no observations yet; first: truceline ingest {folder}")
        return _settle(folder, journal, book, made_at, until, engine, progress)


def _settle(
    folder: Path,
    journal: Journal,
    book: Book,
    made_at: datetime,
    until: datetime | None,
    engine: Engine,
    progress: Progress,
) -> Edition:
    progress("reading the journal", 0, None)
    observations = journal.table("observation", FUSED_COLUMNS)
    if until is not None:
        observations = observations.filter(pc.less(observations["at"], pa.scalar(until, observation.TIME)))
    verdicts = journal.table("verdict")
    inputs = _inputs(observations, hashes(folder, Mission.load(folder)), until)
    signed = hashlib.sha256(b"".join(sorted(verdicts["leaf"].to_pylist()))).hexdigest()
    latest = book.latest()
    if latest is not None and latest.inputs_digest == f"{inputs}+{signed}":
        return latest
    if latest is not None and latest.inputs_digest.partition("+")[0] == inputs:
        tables = {name: book.table(name) for name in ("associations", "events", "incidents", "findings", "line", "zones")}
    else:
        on = ground(folder)
        last = _last_time(observations) if until is None else until
        tables = draw(on, folder, observations, last, engine, progress)
        tables["zones"] = rules.zones_table(
            on.agreement, on.line, on.frame, on.gazetteer, folder, on.mission.day_of(last - timedelta(microseconds=1))
        )
    tables["cases"] = cases(tables["findings"], tables["incidents"], tables["events"], tables["associations"], verdicts)
    before = {name: book.table(name) for name in ("associations", "events", "incidents")} if latest else {}
    tables["lineage"] = lineage(before, tables) if latest else picture.LINEAGE.empty_table()
    digest = picture.digest({name: tables[name] for name in DIGESTED})
    edition = Edition(
        number=latest.number + 1 if latest else 1,
        cutoff=until,
        inputs_digest=f"{inputs}+{signed}",
        digest=digest,
        journal_head=journal.head,
        journal_rows=observations.num_rows,
        code_version=__version__,
        made_at=made_at,
    )
    text = json.dumps(msgspec.to_builtins(edition), sort_keys=True)
    journal.append("configuration", entry(CONFIGURATION, {"what": "edition", "text": text, "received_at": made_at}))
    progress("publishing the picture", 0, None)
    book.put(edition, tables)
    publish(folder / GPKG, tables, edition)
    return edition
