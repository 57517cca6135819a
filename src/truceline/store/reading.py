"""Reading a journal: which frames there are, their rows as tables, where a record stands."""

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline import observation
from truceline.errors import NotFoundError, StoreError
from truceline.store.frames import HEADER, Frame, decode, scan
from truceline.store.kinds import KINDS, kind_of
from truceline.store.merkle import Tree
from truceline.store.tail import TailReader, Waiting
from truceline.store.writer import segment_path, segments

#: Frames are joined up to this many rows a chunk: ten million rows are 77 chunks, not one a batch of arrival.
BLOCK_ROWS = 1 << 17


class _Segment(NamedTuple):
    """A segment as it was last looked at."""

    inode: int
    size: int
    end: int  # of its last whole group
    first: int  # number of its first frame

    def is_other(self, stat: os.stat_result) -> bool:
        """Whether the file has been replaced by a redaction, perhaps under an inode that was free again."""
        return stat.st_ino != self.inode or stat.st_size < self.end


class Reader:
    """The frames of the journal in `folder`, kept up with as others append to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames: list[Frame] = []
        self.tree = Tree()
        self._segments: dict[int, _Segment] = {}
        self._schemas: dict[int, pa.Schema] = {}
        self._checked: set[int] = set()
        self._index: _Index | None = None
        self._tail = TailReader(folder)

    # Frames

    def look(self) -> None:
        """See what has been appended or rewritten since, in the tail and then in frames: nothing falls between.

        Raises
        ------
        StoreError
            Naming segment, frame and what is wrong, when what is there cannot be read.
        """
        self._tail.look()
        paths = segments(self.folder)
        for number, path in paths.items():
            with readable(path):
                stat = path.stat()
            known = self._segments.get(number)
            if known is not None and (known.inode, known.size) == (stat.st_ino, stat.st_size):
                continue
            if known is None or known.is_other(stat):
                known = _Segment(stat.st_ino, 0, 0, known.first if known is not None else len(self.frames))
                at = known.first
            else:
                at = len(self.frames)
            with readable(path):
                found = scan(path, number, at, known.end)
            if found.problem:
                raise StoreError(found.problem)
            if found.torn and number + 1 in paths:
                raise StoreError(f"{path}: it ends in the middle of frame {at + len(found.frames)}")
            self._take(found.frames, at)
            self._segments[number] = known._replace(size=stat.st_size, end=found.end)

    def _take(self, frames: Sequence[Frame], at: int) -> None:
        for number, frame in enumerate(frames, start=at):
            if number < len(self.frames):
                if self.frames[number].committed() != frame.committed():
                    raise StoreError(f"{self.path(frame)}: frame {number} is not the one that stood there")
                self.frames[number] = frame
                self._checked.discard(number)
            else:
                self.frames.append(frame)
                self.tree.add(frame.digest())

    def took(self, frames: Sequence[Frame]) -> None:
        """Frames that this process has appended itself, the tree included."""
        self.frames += frames
        self._checked.update(frame.number for frame in frames)
        last = frames[-1]
        stat = self.path(last).stat()
        known = self._segments.get(last.segment)
        first = known.first if known is not None else frames[0].number
        self._segments[last.segment] = _Segment(stat.st_ino, last.end, last.end, first)

    def tail(self) -> tuple[int, int, int]:
        """The last segment's number, the end of its last whole group, its size; 1, 0, 0 where there is none."""
        if not self._segments:
            return 1, 0, 0
        number = max(self._segments)
        return number, self._segments[number].end, self._segments[number].size

    def of(self, kind: str) -> list[Frame]:
        """The frames of a kind, in order."""
        kind_of(kind)
        self.look()
        return [frame for frame in self.frames if frame.kind == kind]

    def path(self, frame: Frame) -> Path:
        """The segment a frame lies in."""
        return segment_path(self.folder, frame.segment)

    # The tail

    @property
    def torn(self) -> int | None:
        """Where in the tail's file an entry begins that was cut short; None when none was."""
        return self._tail.end if self._tail.size > self._tail.end else None

    @property
    def tail_bytes(self) -> int:
        """How long the tail's file is."""
        return self._tail.size

    def waiting(self, kind: str | None = None) -> list[Waiting]:
        """What was in the tail at the last look and is in no frame: of a kind, or all."""
        return [part for part in self._tail.waiting(len(self.frames)) if kind in (None, part.kind)]

    def unrolled(self, kind: str) -> list[pa.Table]:
        """The rows of a kind that are in no frame, in the order in which they were appended."""
        return [self._tail.rows(part) for part in self.waiting(kind)]

    def unrolled_record(self, observation_id: bytes) -> tuple[pa.Table, int] | None:
        """The rows and the row of an observation that is in no frame; None when there is none of that id."""
        for rows in self.unrolled("observation"):
            row = pc.index(rows["observation_id"], pa.scalar(observation_id, observation.ID)).as_py()
            if row >= 0:
                return rows, row
        return None

    # Bodies

    def body(self, number: int) -> bytes:
        """A frame's body, checked against its hash the first time.

        Raises
        ------
        StoreError
            When it is not what was appended, and no redaction accounts for that.
        """
        body = self._read(number)
        if number not in self._checked:
            digest = hashlib.sha256(body).digest()
            frame = self.frames[number]
            if digest != frame.body_sha256 and digest not in self.redacted(number):
                raise StoreError(f"{self.path(frame)}: frame {number} ({frame.kind}): its body is damaged")
            self._checked.add(number)
        return body

    def _read(self, number: int) -> bytes:
        """A body as it lies there; a segment that was replaced meanwhile is looked at again."""
        while True:
            frame = self.frames[number]
            with readable(self.path(frame)), self.path(frame).open("rb", buffering=0) as file:
                if not self._segments[frame.segment].is_other(os.fstat(file.fileno())):
                    body = os.pread(file.fileno(), frame.length, frame.offset + HEADER)
                    if len(body) != frame.length:
                        raise StoreError(f"{self.path(frame)}: frame {number} ({frame.kind}) is cut off")
                    return body
            self.look()

    def redacted(self, number: int) -> list[bytes]:
        """The hashes that a frame's body has had after redactions, in their order."""
        if self.frames[number].kind == "redaction":
            return []
        entries = self.table("redaction", ["frame", "body_after"])
        return list(entries.filter(pc.equal(entries["frame"], number))["body_after"].to_pylist())

    def rows(self, number: int, columns: Collection[str] | None = None) -> pa.Table:
        """A frame's rows: those of `columns` that it has (`leaf` when it has none of them).

        Raises
        ------
        StoreError
            When the frame is damaged, or of a later schema than this code knows.
        """
        frame = self.frames[number]
        if frame.kind not in KINDS or frame.schema_version > KINDS[frame.kind].version:
            raise StoreError(
                f"{self.path(frame)}: frame {number} holds {frame.kind!r} rows of schema {frame.schema_version}, "
                "which a later Truceline wrote"
            )
        return decode(self.body(number), columns)

    def schema(self, number: int) -> pa.Schema:
        """The schema of a frame's rows, without unpacking them."""
        if number not in self._schemas:
            self._schemas[number] = pa.ipc.open_stream(self.body(number)).schema
        return self._schemas[number]

    def columns(self, kind: str) -> list[str]:
        """The columns of a kind: its schema's, then those that feeds have added, by name."""
        return self._names(kind, self.of(kind), self.unrolled(kind))

    def _names(self, kind: str, frames: Sequence[Frame], unrolled: Sequence[pa.Table]) -> list[str]:
        names = kind_of(kind).schema.names
        own = {name for frame in frames for name in self.schema(frame.number).names}
        own.update(*(rows.column_names for rows in unrolled))
        return [*names, *sorted(own - set(names))]

    # Tables

    def table(self, kind: str, columns: Sequence[str] | None = None, coded: Collection[str] = ()) -> pa.Table:
        """All rows of a kind; see `Journal.table`."""
        frames, unrolled = self.of(kind), self.unrolled(kind)
        names = self._names(kind, frames, unrolled) if columns is None else list(columns)
        joined = [self._joined([self.rows(f.number, names) for f in block], kind, coded) for block in _blocks(frames)]
        if unrolled:
            own = [rows.select([n for n in rows.column_names if n in names] or ["leaf"]) for rows in unrolled]
            joined.append(self._joined(own, kind, coded))
        fields = self._fields(kind, names, coded, [block.schema for block in joined])
        longest = max((block.num_rows for block in joined), default=0)
        arrays = []
        for field in fields:
            missing = None
            chunks: list[Any] = []
            for block in joined:
                if field.name in block.column_names:
                    chunks += block[field.name].cast(field.type).chunks
                else:  # one run of nulls serves every block
                    missing = pa.nulls(longest, field.type) if missing is None else missing
                    chunks.append(missing.slice(0, block.num_rows))
            arrays.append(pa.chunked_array(chunks, field.type))
        whole = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
        return whole.unify_dictionaries() if coded else whole

    def blocks(self, kind: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """All rows of a kind as tables of about `BLOCK_ROWS`; see `Journal.blocks`."""
        frames, unrolled = self.of(kind), self.unrolled(kind)
        own = kind_of(kind).schema
        parts = ([self.rows(frame.number, columns) for frame in block] for block in _blocks(frames))
        for tables in parts:
            yield self._cut(self._joined(tables, kind, ()), columns, own)
        if unrolled:
            yield self._cut(self._joined(unrolled, kind, ()), columns, own)

    @staticmethod
    def _cut(block: pa.Table, columns: Sequence[str], own: pa.Schema) -> pa.Table:
        """The wanted columns: a kind's own always, a feed's where the block has it."""
        names = [name for name in columns if name in own.names or name in block.column_names]
        arrays = [
            block[name] if name in block.column_names else pa.nulls(block.num_rows, own.field(name).type)
            for name in names
        ]
        fields = [own.field(name) if name in own.names else block.schema.field(name) for name in names]
        schema = pa.schema(fields)
        return pa.Table.from_arrays(arrays, names=names).cast(schema)

    def _joined(self, parts: Sequence[pa.Table], kind: str, coded: Collection[str]) -> pa.Table:
        """The rows of some frames in one piece."""
        try:
            block = pa.concat_tables(parts, promote_options="permissive").combine_chunks()
        except pa.ArrowException as error:
            raise StoreError(f"{self.folder}: {kind} frames do not fit together: {error}") from error
        for name in coded:
            if name in block.column_names:
                at = block.column_names.index(name)
                block = block.set_column(at, name, block[name].dictionary_encode())
        return block

    def _fields(
        self, kind: str, names: Sequence[str], coded: Collection[str], schemas: Sequence[pa.Schema]
    ) -> list[pa.Field]:
        """The fields of a table over blocks: a kind's own as its schema says, a feed's as they were brought."""
        schema = kind_of(kind).schema
        try:
            found = pa.unify_schemas(schemas, promote_options="permissive") if schemas else pa.schema([])
        except pa.ArrowException as error:
            raise StoreError(f"{self.folder}: {kind} frames do not fit together: {error}") from error
        fields = []
        for name in names:
            if name in schema.names:
                field = schema.field(name)
            elif name in found.names:
                field = found.field(name)
            else:
                raise NotFoundError(f"{kind} rows have no column {name!r}; they have {', '.join(self.columns(kind))}")
            if name in coded and not pa.types.is_dictionary(field.type):
                field = field.with_type(pa.dictionary(pa.int32(), field.type))
            fields.append(field)
        return fields

    # Records

    def find(self, observation_id: bytes) -> tuple[Frame, int] | None:
        """The frame and row of an observation; None when there is none of that id."""
        for number, row in self.places(observation_id):
            if self.rows(number, ["observation_id"])["observation_id"][row].as_py() == observation_id:
                return self.frames[number], row
        return None

    def places(self, observation_id: bytes) -> list[tuple[int, int]]:
        """Frame numbers and rows where an observation may stand: it is one of them, or in no frame."""
        frames = self.of("observation")
        if self._index is None or self._index.frames != len(frames):
            self._index = _Index(self, frames, self._index)
        return self._index.places(observation_id)

    def find_leaf(self, leaf: bytes, kinds: Collection[str] = tuple(KINDS)) -> tuple[Frame, int] | None:
        """The first frame and row with a leaf that begins with these 16 to 32 bytes; None when there is none."""
        if "observation" in kinds:
            found = self.find(leaf[:16])
            if found is not None and self.rows(found[0].number, ["leaf"])["leaf"][found[1]].as_py().startswith(leaf):
                return found
        for kind in kinds:
            for frame in self.of(kind) if kind != "observation" else ():
                column = self.rows(frame.number, ["leaf"])["leaf"]
                for row in np.flatnonzero((leaf_pairs(column) == _pair(leaf)).all(axis=1)):
                    if column[int(row)].as_py().startswith(leaf):
                        return frame, int(row)
        return None


class _Index:
    """Where each observation stands, by the first half of its id: 16 bytes a row."""

    def __init__(self, reader: Reader, frames: Sequence[Frame], before: "_Index | None" = None) -> None:
        self.frames = len(frames)
        self._numbers = [frame.number for frame in frames]
        self._starts = np.concatenate([[0], np.cumsum([frame.rows for frame in frames], dtype=np.int64)])
        halves = np.empty(int(self._starts[-1]), np.uint64)
        known = before.frames if before is not None and before._numbers == self._numbers[: before.frames] else 0
        if before is not None and known:  # frames keep their ids: only those that came since are read
            halves[before._order] = before._halves
        for at, frame in zip(self._starts[known:], frames[known:], strict=False):
            column = reader.rows(frame.number, ["observation_id"])["observation_id"]
            halves[at : at + frame.rows] = observation.ids(column)[:, 0]
        self._order: npt.NDArray[np.int64] = np.argsort(halves, kind="stable")
        self._halves: npt.NDArray[np.uint64] = halves[self._order]

    def places(self, observation_id: bytes) -> list[tuple[int, int]]:
        half = _pair(observation_id)[0]
        at = int(np.searchsorted(self._halves, half))
        found = []
        while at < len(self._halves) and self._halves[at] == half:
            place = int(self._order[at])
            which = int(np.searchsorted(self._starts, place, side="right")) - 1
            found.append((self._numbers[which], place - int(self._starts[which])))
            at += 1
        return found


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Says of what cannot be read that it cannot be read."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from error


def _blocks(frames: Sequence[Frame]) -> Iterator[list[Frame]]:
    """Runs of frames that together have about `BLOCK_ROWS` rows."""
    block: list[Frame] = []
    rows = 0
    for frame in frames:
        block.append(frame)
        rows += frame.rows
        if rows >= BLOCK_ROWS:
            yield block
            block, rows = [], 0
    if block:
        yield block


def leaf_pairs(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """The first 16 bytes of each leaf as `observation.ids` has an id: (n, 2) uint64."""
    whole = [
        np.frombuffer(chunk.buffers()[1], ">u8", count=len(chunk) * 4, offset=chunk.offset * 32)
        for chunk in column.chunks
        if len(chunk)
    ]
    flat = np.concatenate(whole) if whole else np.empty(0, ">u8")
    return flat.astype(np.uint64).reshape(-1, 4)[:, :2]


def leaf_bytes(column: pa.ChunkedArray) -> bytes:
    """The leaves, 32 bytes each, one behind the other."""
    return b"".join(
        bytes(memoryview(chunk.buffers()[1])[chunk.offset * 32 : (chunk.offset + len(chunk)) * 32])
        for chunk in column.chunks
        if len(chunk)
    )


def _pair(identifier: bytes) -> npt.NDArray[np.uint64]:
    return np.frombuffer(identifier[:16], ">u8").astype(np.uint64)
