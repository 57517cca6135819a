"""Writing: the journal opened for it; rows packed, hashed into its tree, and on disk as one group of frames."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline import observation
from truceline.errors import StoreError
from truceline.store import merkle, redaction, tail
from truceline.store.frames import HEADER, Frame, encode, head_of
from truceline.store.kinds import KINDS
from truceline.store.reading import Reader, leaf_bytes
from truceline.store.tail import Part, Tail
from truceline.store.writer import Writer, segment_path, set_aside


def opened(folder: Path, reader: Reader, notes: list[str]) -> tuple[Writer, Tail]:
    """The journal's lock, where the next frame goes, and its tail; what was cut short or half redacted is put right.

    Parameters
    ----------
    notes
        Is told what was put right, in sentences.

    Raises
    ------
    StoreError
        When another process writes, or the folder cannot be written: the lock is given up.
    """
    writer = Writer(folder)
    try:
        reader.look()
        segment, end, size = reader.tail()
        if size > end:
            notes.append(set_aside(segment_path(folder, segment), end))
            reader.look()
        notes += redaction.finish(reader)
        if reader.torn is not None:
            notes.append(set_aside(folder / tail.NAME, reader.torn))
        writer.open(segment, end)
        return writer, Tail(folder)
    except BaseException as error:
        writer.close()
        if isinstance(error, OSError):
            raise StoreError(f"{folder}: the journal cannot be written: {error.strerror}") from error
        raise


def commit(writer: Writer, reader: Reader, packer: Executor, groups: Sequence[Part], most: int) -> int:
    """Write rows of some kinds as one group, in frames of `most` rows, with one sync; the number of its first frame."""
    reader.look()
    pieces = [(kind, rows.slice(at, most)) for kind, rows in groups for at in range(0, rows.num_rows, most)]
    first = len(reader.frames)
    made: list[Frame] = []
    parts: list[bytes | pa.Buffer] = []
    for kind, rows in pieces:
        packing = packer.submit(_pack, rows)
        root = merkle.root(leaf_bytes(rows["leaf"]))
        body, digest = packing.result()
        before = head_of(first + len(made), reader.tree.root())
        number, closes = first + len(made), len(made) + 1 == len(pieces)
        frame = Frame(kind, KINDS[kind].version, number, rows.num_rows, root, digest, before, body.size, closes)
        made.append(frame)
        reader.tree.add(frame.digest())
        parts += [frame.header(), body]
    if made:
        writer.append(parts)
        reader.took(_placed(made, writer))
    return first


def split(taken: pa.Table, new: npt.NDArray[np.bool_]) -> list[Part]:
    """Observations as they are journalled: those that are new, and of the others what they point at."""
    if new.all():
        return [("observation", taken)]
    again = taken.filter(pa.array(~new))
    return [
        ("observation", taken.filter(pa.array(new))),
        ("duplicate", again.select([n for n in observation.DUPLICATE.names if n in again.column_names])),
    ]


def together(kind: str, tables: Sequence[pa.Table]) -> list[Part]:
    """Tables of a kind as one; where feeds' own columns do not fit together, as they are."""
    try:
        return [(kind, pa.concat_tables(tables, promote_options="permissive").combine_chunks())]
    except pa.ArrowException:
        return [(kind, rows) for rows in tables]


def _pack(rows: pa.Table) -> tuple[pa.Buffer, bytes]:
    """A frame's body and its SHA-256. Beside the caller, which makes the root meanwhile: both leave Python's lock."""
    body = encode(rows)
    return body, hashlib.sha256(body).digest()


def _placed(frames: Sequence[Frame], writer: Writer) -> list[Frame]:
    """The frames just written, with where they stand."""
    offset = writer.end - sum(HEADER + frame.length for frame in frames)
    placed = []
    for frame in frames:
        placed.append(frame._replace(segment=writer.segment, offset=offset))
        offset = placed[-1].end
    return placed
