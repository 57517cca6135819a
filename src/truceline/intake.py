"""Intake: the mission's sources into its journal, every record accounted for."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from truceline import feeds
from truceline.errors import NotFoundError, SourceError
from truceline.mission import Mission, Source, files, hashes
from truceline.observation import TIME
from truceline.store import Journal

JOURNAL, CACHE = "journal", "cache"

#: Appends rows of a kind to the journal; they are on disk when it returns.
Record = Callable[[str, pa.Table], object]
#: Told what is being done, how much of it is done, and of how much (None: not known).
Progress = Callable[[str, int, int | None], None]


def silent(_stage: str, _done: int, _total: int | None) -> None:
    """Progress that nobody watches."""


class FileRead(msgspec.Struct):
    """What became of one file of one source."""

    source: str
    path: str
    read: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    unchanged: bool = False  # read before, whole, with the same bytes: not read again
    problem: str = ""  # why it could not be read


class Ingested(msgspec.Struct):
    """What an ingest did."""

    files: list[FileRead]
    reasons: list[tuple[str, int, str]]  # source, how many rejected for one field, the first of them in words
    problems: list[str]  # what could not be read
    notes: list[str]  # what was put right, or stood in for something: a torn write cut off, an old copy used
    journal_head: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return dict(msgspec.to_builtins(self))


def ingest(
    folder: Path, received_at: datetime, *, sources: Sequence[str] | None = None, progress: Progress = silent
) -> Ingested:
    """Read the mission's sources into the journal; a file already read whole is not read again.

    An ingest that was killed goes on after the last record it acknowledged.

    Raises
    ------
    MissionError
        When the mission file is wrong. A source that cannot be read is a problem in the answer instead.
    NotFoundError
        When the mission has no source of a name in `sources`.
    """
    mission = Mission.load(folder)
    names = [source.id for source in mission.source]
    for name in sources or ():
        if name not in names:
            raise NotFoundError(f"{folder / 'mission.toml'} has no source {name!r}; it has {', '.join(names)}")
    for source in mission.source:
        feeds.check(source)
    done: list[FileRead] = []
    problems: list[str] = []
    notes: list[str] = []
    reasons: dict[tuple[str, str], tuple[int, str]] = {}
    with Journal(folder / JOURNAL, write=True) as journal:
        notes += journal.notes
        configure(journal, folder, mission, received_at)
        intake = _Intake(journal, folder, received_at, progress, reasons, notes)
        for source in mission.source:
            if sources and source.id not in sources:
                continue
            paths = files(folder, source.paths)
            if not paths and source.paths:
                problems.append(f"source {source.id!r}: no file matches {', '.join(source.paths)}")
            for path in paths:
                done.append(intake.read(source, path))
                if done[-1].problem:
                    problems.append(f"source {source.id!r}: {done[-1].problem}")
        head = journal.head
    frequent = sorted(((s, n, why) for (s, _), (n, why) in reasons.items()), key=lambda r: (-r[1], r[0], r[2]))
    return Ingested(done, frequent, problems, notes, head)


class _Intake:
    """One run of reading: what the journal knows of files read, and the files that come."""

    def __init__(
        self,
        journal: Journal,
        folder: Path,
        at: datetime,
        progress: Progress,
        reasons: dict[tuple[str, str], tuple[int, str]],
        notes: list[str],
    ) -> None:
        self.journal, self.folder, self.at, self.progress = journal, folder, at, progress
        self.reasons, self.notes = reasons, notes
        #: By source, bytes and way of reading: when reading began, and whether it came to the end.
        self.begun: dict[tuple[str, str, str], list[datetime]] = {}
        self.ended: set[tuple[str, str, str]] = set()
        for row in journal.table("file").to_pylist():
            key = (row["source"], row["sha256"], row["reader"])
            if row["records"] is None:
                self.begun.setdefault(key, []).append(row["received_at"])
            else:
                self.ended.add(key)

    def read(self, source: Source, path: str) -> FileRead:
        """Read one file, between an entry that it began and one that it ended; what became of it."""
        row = FileRead(source.id, feeds.shown(path) if "://" in path else os.path.relpath(path, self.folder))
        try:
            fetched = None
            if "://" in path:
                fetched = feeds.fetch(path, self.folder / CACHE, progress=self._fetching, tell=self.notes.append)
            with open(fetched or path, "rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
                size = stream.tell()
            key = (source.id, sha256, reader(source))
            if key in self.ended:
                row.unchanged = True
                return row
            began: dict[str, Any] = dict(zip(("source", "sha256", "reader"), key, strict=True))
            began |= {"path": row.path, "bytes": size, "received_at": self.at, "release": source.release}
            done = self._reached(key, row) if key in self.begun else 0
            self._append(began)
            for batch in feeds.read(source, self.folder, path, self.at, fetched=fetched):
                self._take(row, batch.observations, batch.rejections, done)
            counts = {"accepted": row.accepted, "duplicates": row.duplicates, "rejected": row.rejected}
            self._append(began | {"records": row.read} | counts)
            self.ended.add(key)
        except SourceError as error:
            row.problem = str(error)
        except OSError as error:
            row.problem = f"{row.path}: {error.strerror or error}"
        return row

    def _take(self, row: FileRead, observations: pa.Table, rejections: pa.Table, done: int) -> None:
        if done:
            observations, rejections = (t.filter(pc.greater(t["record"], done)) for t in (observations, rejections))
        counts = self.journal.ingest(observations, rejections)
        row.read += counts.read
        row.accepted += counts.accepted
        row.duplicates += counts.duplicates
        row.rejected += counts.rejected
        for refused in rejections.select(["record", "field", "reason"]).to_pylist():
            n, first = self.reasons.get((row.source, refused["field"] or ""), (0, ""))
            first = first or f"{row.path}, record {refused['record']}: {refused['reason']}"
            self.reasons[row.source, refused["field"] or ""] = n + 1, first
        self.progress(f"reading {row.path}", row.read, None)

    def _fetching(self, address: str, done: int, total: int | None) -> None:
        self.progress(f"fetching {address}", done, total)

    def _append(self, entry: dict[str, Any]) -> None:
        self.journal.append("file", pa.Table.from_pylist([entry]))

    def _reached(self, key: tuple[str, str, str], row: FileRead) -> int:
        """The last record that cut-short readings of these bytes acknowledged; its counts go into `row`.

        Rows of those readings carry the time at which they began, which no other reading's rows do.
        """
        last = 0
        times = pa.array(self.begun[key], TIME)
        for kind, field in (("observation", "accepted"), ("duplicate", "duplicates"), ("rejection", "rejected")):
            rows = self.journal.table(kind, ["source", "file", "record", "received_at"])
            mine = pc.and_(pc.equal(rows["source"], row.source), pc.equal(rows["file"], row.path))
            mine = rows.filter(pc.and_(mine, pc.is_in(rows["received_at"], value_set=times)))
            if mine.num_rows:
                last = max(last, pc.max(mine["record"]).as_py())
                setattr(row, field, mine.num_rows)
                row.read += mine.num_rows
        return last


def reader(source: Source) -> str:
    """Hash of how a source's bytes become observations: another column map reads the same file anew."""
    how = (source.feed, source.preset, source.columns, source.options)
    return hashlib.sha256(json.dumps(how, sort_keys=True, default=str).encode()).hexdigest()[:16]


def configure(
    journal: Journal, folder: Path, mission: Mission, at: datetime, record: Record | None = None
) -> dict[str, str]:
    """Keep the mission's files in the journal whenever they change: all hashes, and the texts of two.

    Parameters
    ----------
    record
        Appends rows of a kind where another process writes the journal; None: `journal` does.
    """
    now = hashes(folder, mission)
    texts = {name: (folder / name).read_text("utf-8-sig") for name in ("mission.toml", mission.agreement)}
    text = json.dumps({"hashes": now, "texts": texts}, sort_keys=True, ensure_ascii=False)
    rows = journal.table("configuration", ["what", "text"])
    last = rows.filter(pc.equal(rows["what"], "files"))["text"]
    if not len(last) or last[-1].as_py() != text:
        entry = {"what": "files", "text": text, "received_at": at}
        (record or journal.append)("configuration", pa.Table.from_pylist([entry]))
    return now
