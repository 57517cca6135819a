"""The journal's tail: rows that are on disk and acknowledged, and in no frame yet.

A frame costs whoever reads the journal some tenths of a millisecond, and a live service has fifty small groups a
second to put on disk. So it appends them to `tail.wal`, one sync a group, and every some thousands of rows what has
gathered there is *rolled* into frames. The file holds entries, one behind the other, numbers big-endian:

    bytes    0-7    magic
             8-15   number of the frame that the roll will begin with
            16-23   length of the parts
            24-27   CRC-32 of bytes 0-23 and of the parts
            28-     parts: kind, 16 bytes; schema version, 2; rows, 4; length, 8; one Arrow IPC stream

An entry counts once, whenever a process is killed. Frames are only appended by whoever holds the journal's lock; who
holds it rolls the whole tail before it writes any other frame, as one group of frames, which is there whole or not at
all; then the file is emptied. So the rows of an entry that names frame n are in frames exactly if the journal has more
than n of them: an entry that is left over is passed over, whatever its rows, with ids or without.

A reader looks at the tail first and at the frames behind that. Whatever is rolled in between it finds in the frames.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from truceline.errors import StoreError
from truceline.store.durable import sync, sync_folder
from truceline.store.kinds import KINDS

NAME = "tail.wal"
MAGIC = b"\x93TRUTAIL"
_HEAD = struct.Struct(">8sQQ")
_CHECK = struct.Struct(">I")
_PART = struct.Struct(">16sHIQ")
HEADER = _HEAD.size + _CHECK.size

#: Rows of a kind, to be kept together.
Part = tuple[str, pa.Table]


class Waiting(NamedTuple):
    """Some rows in the tail, and their stream."""

    kind: str
    schema_version: int
    rows: int
    body: memoryview


class _Entry(NamedTuple):
    frame: int
    parts: list[Waiting]
    size: int


class Tail:
    """The tail of the journal in `folder`, for the process that holds its lock."""

    def __init__(self, folder: Path) -> None:
        path = folder / NAME
        new = not path.exists()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._end = os.fstat(self._file).st_size
        if new:
            sync_folder(folder)

    def append(self, frame: int, parts: Sequence[Part]) -> int:
        """Write one entry and sync; on return it is on disk. How many bytes it has.

        Raises
        ------
        OSError
            When it may not be there: nothing of it counts. `restore` before anything else.
        """
        pieces: list[bytes | pa.Buffer] = []
        for kind, rows in parts:
            body = _encode(rows)
            pieces += [_PART.pack(kind.encode(), KINDS[kind].version, rows.num_rows, body.size), body]
        head = _HEAD.pack(MAGIC, frame, sum(len(piece) for piece in pieces))
        check = zlib.crc32(head)
        for piece in pieces:
            check = zlib.crc32(piece, check)
        rest = memoryview(b"".join([head, _CHECK.pack(check), *pieces]))
        size = len(rest)
        at = self._end
        while rest:
            count = os.pwrite(self._file, rest, at)
            at, rest = at + count, rest[count:]
        sync(self._file)
        self._end = at
        return size

    def restore(self) -> None:
        """Take back an entry that could not be written whole. Raises OSError when that is not possible either."""
        os.ftruncate(self._file, self._end)
        sync(self._file)

    def clear(self) -> None:
        """Empty it: what it held is in frames. Raises OSError."""
        os.ftruncate(self._file, 0)
        self._end = 0

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):
            os.close(self._file)


class TailReader:
    """What waits in the tail of the journal in `folder`, kept up with as it grows and is emptied."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        #: Behind the last whole entry; the file's size when it was looked at.
        self.end = self.size = 0
        self._entries: list[_Entry] = []
        self._first = b""  # header of the first entry: another one, and the file was emptied meanwhile

    def look(self) -> None:
        """See what has been appended since. What is cut short at the end does not count.

        Raises
        ------
        StoreError
            When an entry is damaged that whole ones follow.
        """
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._forget()
            return
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        try:
            size = os.fstat(handle).st_size
            if size < self.end or os.pread(handle, len(self._first), 0) != self._first:
                self._forget()
            if self._take(os.pread(handle, max(0, size - self.end), self.end)) and self._entries:
                self._forget()  # an entry that was taken back may have stood here when this was looked at last
            if not self.end and self._take(os.pread(handle, size, 0)):
                raise StoreError(f"{self.path}: the entry at byte {self.end} is damaged, and whole ones follow it")
            self.size = size
        finally:
            os.close(handle)

    def _forget(self) -> None:
        self.end = self.size = 0
        self._entries, self._first = [], b""

    def _take(self, content: bytes) -> bool:
        """Take the entries that stand behind `end`; whether whole ones follow one that is not."""
        at = 0
        while (entry := _entry(content, at)) is not None:
            self._first = self._first or content[:HEADER]
            self._entries.append(entry)
            at += entry.size
        self.end += at
        follows = content.find(MAGIC, at + 1)
        while follows >= 0 and _entry(content, follows) is None:
            follows = content.find(MAGIC, follows + 1)
        return follows >= 0

    def waiting(self, frames: int) -> list[Waiting]:
        """What is in none of the journal's `frames` frames, in the order in which it was appended.

        Raises
        ------
        StoreError
            When the journal has fewer frames than the tail goes on from.
        """
        last = self._entries[-1].frame if self._entries else 0
        if last > frames:
            raise StoreError(f"{self.path}: it goes on from frame {last}, the journal has {frames}: some are missing")
        return [part for entry in self._entries if entry.frame == frames for part in entry.parts]

    def rows(self, part: Waiting) -> pa.Table:
        """The rows of one part.

        Raises
        ------
        StoreError
            When a later Truceline wrote them.
        """
        if part.kind not in KINDS or part.schema_version > KINDS[part.kind].version:
            told = f"{part.kind!r} rows of schema {part.schema_version}"
            raise StoreError(f"{self.path}: it holds {told}, which a later Truceline wrote")
        return pa.ipc.open_stream(pa.py_buffer(part.body)).read_all()


def _entry(content: bytes, at: int) -> _Entry | None:
    """The whole entry at `at`; None when there is none."""
    if len(content) - at < HEADER:
        return None
    magic, frame, length = _HEAD.unpack_from(content, at)
    begin = at + HEADER
    if magic != MAGIC or length > len(content) - begin:
        return None
    within = memoryview(content)[begin : begin + length]
    if zlib.crc32(within, zlib.crc32(content[at : at + _HEAD.size])) != _CHECK.unpack_from(content, at + _HEAD.size)[0]:
        return None
    parts = []
    place = 0
    while place < length:
        kind, version, rows, size = _PART.unpack_from(within, place)
        place += _PART.size
        name = kind.rstrip(b"\0").decode("ascii", "replace")
        parts.append(Waiting(name, version, rows, within[place : place + size]))
        place += size
    return _Entry(frame, parts, HEADER + length)


def _encode(rows: pa.Table) -> pa.Buffer:
    """A table as a stream, not packed: it is read once, some seconds later, when it is packed with many others."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(use_threads=False)) as writer:
        writer.write_table(rows.combine_chunks())
    return sink.getvalue()
