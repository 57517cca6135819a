"""Redaction: the payload of one record is taken out of its segment, its leaf and its id stay.

In this order, so that a kill at any moment leaves it done or not begun: the segment without the payload is
written beside the old one; the redaction is journalled; the new segment takes the old one's place. The next
writer finishes what stopped between the last two.
"""

import hashlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline.errors import StoreError
from truceline.store.durable import sync_folder
from truceline.store.frames import HEADER, Frame, encode
from truceline.store.reading import Reader
from truceline.store.writer import ENDING

#: What is not payload: which record it was, how it came in, whose it is.
STAYS = ("observation_id", "source", "record", "kind", "received_at", "release", "licence", "file", "leaf")
#: Payload that may not be null, and what it becomes.
_BECOMES = {"what": "report", "reason": "redacted"}
_BESIDE = ".redacted"


class Prepared(NamedTuple):
    """A segment without the payload, not yet in place, and what the journal has to say of it."""

    temporary: Path
    path: Path
    entry: dict[str, Any]

    def put_in_place(self) -> None:
        """Let it take the place of the old segment."""
        try:
            self.temporary.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be replaced: {error.strerror}; it is journalled, the next writer does it"
            ) from error


def prepare(reader: Reader, frame: Frame, row: int, keep: Collection[str]) -> Prepared:
    """Write the segment of `frame` beside itself, without the payload of its row `row`.

    Raises
    ------
    StoreError
        When `keep` names no column of the record, or the file cannot be written.
    """
    rows = reader.rows(frame.number)
    unknown = sorted(set(keep) - set(reader.columns(frame.kind)))
    if unknown:
        raise StoreError(f"{frame.kind} rows have no column {unknown[0]!r} to keep")
    before = reader.body(frame.number)
    body = encode(without(rows, row, keep))
    path = reader.path(frame)
    temporary = path.with_name(path.name + _BESIDE)
    try:
        with path.open("rb") as old, temporary.open("wb") as new:
            os.fchmod(new.fileno(), 0o600)
            _copy(old, new, frame.offset)
            new.write(frame._replace(length=len(body)).header())
            new.write(body)
            old.seek(frame.end)
            shutil.copyfileobj(old, new, 1 << 20)
            new.flush()
            os.fsync(new.fileno())
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"{temporary}: cannot be written: {error.strerror}") from error
    leaf = rows["leaf"][row].as_py()
    entry = {
        "observation_id": leaf[:16],
        "kind": frame.kind,
        "frame": frame.number,
        "row": row,
        "kept": sorted(keep),
        "body_before": hashlib.sha256(before).digest(),
        "body_after": hashlib.sha256(body).digest(),
        "record_leaf": leaf,
    }
    return Prepared(temporary, path, entry)


def without(rows: pa.Table, row: int, keep: Collection[str] = ()) -> pa.Table:
    """`rows` with the payload of one of them gone."""
    others = np.arange(rows.num_rows)
    blank = pa.array(others, mask=others == row)
    columns = []
    for field in rows.schema:
        values = rows[field.name]
        if field.name in _BECOMES and field.name not in keep:
            texts = values.to_pylist()
            texts[row] = _BECOMES[field.name]
            values = pa.chunked_array([pa.array(texts, field.type)])
        elif field.name not in STAYS and field.name not in keep:
            values = values.take(blank)
        columns.append(values)
    return pa.Table.from_arrays(columns, schema=rows.schema)


def without_redacted(reader: Reader, refused: pa.Table) -> pa.Table:
    """Rejections as they are journalled: what was redacted does not come back when its file is read again."""
    if not refused.num_rows or not reader.of("redaction"):
        return refused
    done = reader.table("redaction", ["record_leaf"])["record_leaf"].combine_chunks()
    again = pc.is_in(refused["leaf"], value_set=done)
    for name, instead in (("raw", None), ("value", None), ("reason", "redacted")):
        if name in refused.column_names:
            at = refused.schema.get_field_index(name)
            column = pc.if_else(again, pa.scalar(instead, refused.schema.field(name).type), refused[name])
            refused = refused.set_column(at, refused.schema.field(name), column)
    return refused


def finish(reader: Reader) -> list[str]:
    """Finish or undo a redaction that was killed half way; sentences about it. For whoever holds the lock."""
    notes = []
    for temporary in sorted(reader.folder.glob(f"*{ENDING}{_BESIDE}")):
        path = temporary.with_name(temporary.name.removesuffix(_BESIDE))
        entries = reader.table("redaction", ["frame", "body_after"]).to_pylist()
        last = entries[-1] if entries else None
        if last is not None and reader.path(reader.frames[last["frame"]]) == path and _holds(temporary, reader, last):
            Prepared(temporary, path, last).put_in_place()
            notes.append(f"{path.name}: a redaction in frame {last['frame']} that was interrupted is done now")
        else:
            temporary.unlink()
            notes.append(f"{path.name}: a redaction that was interrupted before it was journalled is undone")
    return notes


def _holds(temporary: Path, reader: Reader, entry: dict[str, Any]) -> bool:
    """Whether the rewritten segment is whole and has the frame that the entry speaks of."""
    frame = reader.frames[entry["frame"]]
    change = temporary.stat().st_size - reader.path(frame).stat().st_size
    with temporary.open("rb") as file:
        file.seek(frame.offset + HEADER)
        return bool(hashlib.sha256(file.read(frame.length + change)).digest() == entry["body_after"])


def _copy(old: Any, new: Any, length: int) -> None:
    while length:
        part = old.read(min(length, 1 << 20))
        new.write(part)
        length -= len(part)
