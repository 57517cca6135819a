"""Intake: the mission's sources into its journal, every record accounted for."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from truceline import feeds, observation
from truceline.errors import NotFoundError, SourceError
from truceline.mission import Mission, Source, files, hashes
from truceline.store import Journal

JOURNAL, CACHE = "journal", "cache"

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
    reasons: list[tuple[str, int, str]]  # source, how many, reason (the most frequent first)
    problems: list[str]
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
    """
    mission = Mission.load(folder)
    for name in sources or ():
        if name not in [source.id for source in mission.source]:
            raise NotFoundError(f"{folder / 'mission.toml'} has no source {name!r}; it has {_listed(mission)}")
    done: list[FileRead] = []
    problems: list[str] = []
    reasons: dict[tuple[str, str], int] = {}
    with Journal(folder / JOURNAL, write=True) as journal:
        _journal_configuration(journal, folder, mission, received_at)
        known = _files_read(journal)
        for source in mission.source:
            if sources and source.id not in sources:
                continue
            paths = files(folder, source.paths)
            if not paths:
                problems.append(f"source {source.id!r}: no file matches {', '.join(source.paths)}")
            for path in paths:
                name = _short(folder, path)
                row = FileRead(source.id, name)
                done.append(row)
                try:
                    local = str(feeds.fetch(path, folder / CACHE)) if "://" in path else path
                    _ingest_file(journal, source, folder, local, name, row, known, reasons, received_at, progress)
                except (SourceError, OSError) as error:
                    row.problem = str(error)
                    problems.append(f"source {source.id!r}: {error}")
        head = journal.head
    frequent = sorted(((s, n, why) for (s, why), n in reasons.items()), key=lambda r: (-r[1], r[0], r[2]))
    return Ingested(done, frequent, problems, head)


def _listed(mission: Mission) -> str:
    return ", ".join(source.id for source in mission.source)


def _short(folder: Path, path: str) -> str:
    """A file's name as evidence keeps it: relative to the mission where it lies in it, else as it is."""
    if "://" in path:
        return path
    try:
        return Path(path).resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return Path(path).name


#: Schema of `file` entries: `records` is null where reading began and 0 or more where it ended.
FILE = pa.schema(
    [
        ("source", pa.string()),
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("bytes", pa.int64()),
        ("records", pa.int64()),
        ("accepted", pa.int64()),
        ("duplicates", pa.int64()),
        ("rejected", pa.int64()),
        ("received_at", observation.TIME),
        ("leaf", pa.binary(32)),
    ]
)


def entry(schema: pa.Schema, row: Mapping[str, Any]) -> pa.Table:
    """One journal row with its leaf: SHA-256 over its canonical JSON."""
    text = json.dumps({k: v for k, v in row.items()}, sort_keys=True, ensure_ascii=False, default=str)
    leaf = hashlib.sha256(b"\x00" + text.encode()).digest()
    return pa.Table.from_pylist([{**row, "leaf": leaf}], schema=schema)


def _files_read(journal: Journal) -> dict[tuple[str, str], dict[str, Any]]:
    """The newest `file` entry of each (source, sha256)."""
    return {(row["source"], row["sha256"]): row for row in journal.table("file").to_pylist()}


def _ingest_file(
    journal: Journal,
    source: Source,
    folder: Path,
    local: str,
    name: str,
    row: FileRead,
    known: dict[tuple[str, str], dict[str, Any]],
    reasons: dict[tuple[str, str], int],
    received_at: datetime,
    progress: Progress,
) -> None:
    """Read one file into the journal, between an entry that it began and one that it ended."""
    with open(local, "rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    size = Path(local).stat().st_size
    stage = f"reading {name}"
    before = known.get((source.id, sha256))
    if before is not None and before["records"] is not None:
        row.unchanged = True
        return
    # Records already in the journal from a reading of the same bytes that was cut short.
    done = _reached(journal, source.id, before["path"], row) if before is not None else 0
    began = {"source": source.id, "path": name, "sha256": sha256, "bytes": size, "received_at": received_at}
    if before is None:
        journal.append("file", entry(FILE, began))
    for batch in feeds.read(source, folder, local, received_at):
        observations, rejections = (_after(rows, done, name) for rows in batch)
        counts = journal.ingest(observations, rejections)
        row.read += counts.read
        row.accepted += counts.accepted
        row.duplicates += counts.duplicates
        row.rejected += counts.rejected
        for reason in rejections["reason"].to_pylist():
            reasons[source.id, reason] = reasons.get((source.id, reason), 0) + 1
        progress(stage, row.read, None)
    ended = {"records": row.read, "accepted": row.accepted, "duplicates": row.duplicates, "rejected": row.rejected}
    entry = entry(FILE, {**began, **ended})
    journal.append("file", entry)
    known[source.id, sha256] = entry.to_pylist()[0]


def _reached(journal: Journal, source: str, path: str, row: FileRead) -> int:
    """The last record of a file that a cut-short reading acknowledged; its counts go into `row`."""
    last = 0
    for kind, field in (("observation", "accepted"), ("duplicate", "duplicates"), ("rejection", "rejected")):
        rows = journal.table(kind, ["source", "file", "record"])
        mine = rows.filter(pc.and_(pc.equal(rows["source"], source), pc.equal(rows["file"], path)))
        if mine.num_rows:
            last = max(last, pc.max(mine["record"]).as_py())
            setattr(row, field, mine.num_rows)
            row.read += mine.num_rows
    return last


def _after(rows: pa.Table, record: int, name: str) -> pa.Table:
    """The rows behind record number `record`, with the file's name as evidence keeps it."""
    if record:
        rows = rows.filter(pc.greater(rows["record"], record))
    at = rows.schema.get_field_index("file")
    return rows.set_column(at, "file", pa.repeat(pa.scalar(name, pa.string()), rows.num_rows))


CONFIGURATION = pa.schema(
    [
        ("what", pa.string()),  # "files": hashes and texts of the mission's files; "edition": one was made
        ("text", pa.string()),  # JSON
        ("received_at", observation.TIME),
        ("leaf", pa.binary(32)),
    ]
)


def _journal_configuration(journal: Journal, folder: Path, mission: Mission, at: datetime) -> dict[str, str]:
    """Keep the mission's files in the journal whenever they change: their hashes, and the texts of two."""
    now = hashes(folder, mission)
    texts = {name: (folder / name).read_text("utf-8-sig") for name in ("mission.toml", mission.agreement)}
    text = json.dumps({"hashes": now, "texts": texts}, sort_keys=True, ensure_ascii=False)
    rows = journal.table("configuration")
    last = rows.filter(pc.equal(rows["what"], "files")) if rows.num_rows else rows
    if not last.num_rows or last["text"][-1].as_py() != text:
        journal.append("configuration", entry(CONFIGURATION, {"what": "files", "text": text, "received_at": at}))
    return now
