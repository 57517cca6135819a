"""The journal's frames: what lies on disk.

A segment is a file of frames, one behind the other. A frame is a header and a body, all numbers big-endian:

    bytes    0-7    magic
             8-9    version of this format
            10-11   schema version of the kind
            12-27   kind, ASCII, zeros behind it
            28-35   number of the frame in the journal, from 0
            36-43   rows
            44-75   Merkle root over the rows' leaves
            76-107  SHA-256 of the body as it was appended
           108-139  head of the journal before this frame
           140-147  length of the body
           148-151  1 where the frame closes a group, else 0: a group counts whole or not at all
           152-155  CRC-32 of bytes 0-151
           156-     body: one Arrow IPC stream, zstd

Bytes 0-139 are what the head commits to. The rest only says how the frame lies in the file, so that a
redaction, which makes a body shorter, leaves every head and every proof as it was.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

#: A first byte that no text begins with, and a line feed that a copy in text mode would break.
MAGIC = b"\x93TRUCEL\n"
FORMAT = 1

_COMMITTED = struct.Struct(">8sHH16sQQ32s32s32s")
_FRAMING = struct.Struct(">QI")
_CHECK = struct.Struct(">I")
COMMITTED = _COMMITTED.size
HEADER = COMMITTED + _FRAMING.size + _CHECK.size


class Frame(NamedTuple):
    """A frame's header, and where the frame stands."""

    kind: str
    schema_version: int
    number: int
    rows: int
    root: bytes
    body_sha256: bytes
    before: bytes
    length: int
    closes: bool
    segment: int = 0
    offset: int = 0

    @property
    def end(self) -> int:
        """Offset of the first byte behind the frame."""
        return self.offset + HEADER + self.length

    def committed(self) -> bytes:
        """The part of the header that the journal's head covers."""
        return _COMMITTED.pack(
            MAGIC,
            FORMAT,
            self.schema_version,
            self.kind.encode(),
            self.number,
            self.rows,
            self.root,
            self.body_sha256,
            self.before,
        )

    def header(self) -> bytes:
        """The header's bytes."""
        head = self.committed() + _FRAMING.pack(self.length, self.closes)
        return head + _CHECK.pack(zlib.crc32(head))

    def digest(self) -> bytes:
        """The frame as a leaf of the tree whose root is the journal's head."""
        return frame_digest(self.committed())


class Scan(NamedTuple):
    """What a segment holds: the frames of whole groups, where they end, what follows them."""

    frames: list[Frame]  # where there is a problem: all before it, of whole groups or not
    end: int
    torn: int  # bytes behind `end` that an interrupted write left; always at the end of the file
    problem: str  # a sentence when the rest cannot be read, else ""
    stopped: int  # where reading stopped


def frame_digest(committed: bytes) -> bytes:
    """SHA-256 of a frame's committed bytes; the two keeps it from passing for a record or an inner node."""
    return hashlib.sha256(b"\x02" + committed).digest()


def head_of(frames: int, root: bytes) -> bytes:
    """A journal's head: over the number of its frames and the Merkle root over them."""
    return hashlib.sha256(b"\x03" + frames.to_bytes(8, "big") + root).digest()


def read_committed(committed: bytes) -> Frame | None:
    """The frame whose committed bytes these are; None when they are none of this format."""
    if len(committed) != COMMITTED:
        return None
    magic, version, schema, kind, number, rows, root, body, before = _COMMITTED.unpack(committed)
    if magic != MAGIC or version != FORMAT:
        return None
    return Frame(kind.rstrip(b"\0").decode("ascii", "replace"), schema, number, rows, root, body, before, 0, True)


def read_header(header: bytes, segment: int, offset: int) -> Frame | str:
    """The frame that a header describes, or a sentence about what is wrong with it."""
    if header[:8] != MAGIC:
        return "no frame begins here"
    if zlib.crc32(header[: HEADER - 4]) != _CHECK.unpack_from(header, HEADER - 4)[0]:
        return "its header is damaged"
    version = int.from_bytes(header[8:10], "big")
    frame = read_committed(header[:COMMITTED])
    if frame is None:
        return f"its format is {version}, this Truceline reads {FORMAT}"
    length, closes = _FRAMING.unpack_from(header, COMMITTED)
    return frame._replace(length=length, closes=bool(closes), segment=segment, offset=offset)


def scan(path: Path, segment: int, number: int, offset: int = 0) -> Scan:
    """Read the headers of a segment from `offset`, where frame `number` should begin.

    Bodies are not looked at. A group that is not whole counts as torn, as does a tail of zeros, which some
    file systems leave when power is lost.
    """
    frames: list[Frame] = []
    closed, end = 0, offset
    problem = ""
    handle = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(handle).st_size
        while offset < size:
            header = os.pread(handle, HEADER, offset)
            if len(header) < HEADER and (MAGIC.startswith(header[:8]) or header.startswith(MAGIC)):
                break
            if not any(header) and _zeros(handle, offset, size):
                break
            frame: Frame | str = (
                read_header(header, segment, offset) if len(header) == HEADER else "no frame begins here"
            )
            if isinstance(frame, Frame) and frame.number != number + len(frames):
                frame = f"it calls itself frame {frame.number}"
            if isinstance(frame, str):
                problem = f"{path}: frame {number + len(frames)} at byte {offset}: {frame}"
                break
            if frame.end > size:
                break
            frames.append(frame)
            offset = frame.end
            if frame.closes:
                closed, end = len(frames), offset
    finally:
        os.close(handle)
    if problem:
        return Scan(frames, end, 0, problem, offset)
    return Scan(frames[:closed], end, size - end, "", offset)


def _zeros(handle: int, offset: int, size: int) -> bool:
    """Whether nothing but zeros follows."""
    while offset < size:
        part = os.pread(handle, 1 << 20, offset)
        if any(part):
            return False
        offset += len(part)
    return True


def next_frame(path: Path, segment: int, offset: int, number: int) -> Frame | None:
    """The first frame from `offset` on that is not before frame `number`; for going on behind damage."""
    content = path.read_bytes()
    at = content.find(MAGIC, offset)
    while at >= 0:
        header = content[at : at + HEADER]
        frame = read_header(header, segment, at) if len(header) == HEADER else ""
        if isinstance(frame, Frame) and frame.number >= number:
            return frame
        at = content.find(MAGIC, at + 1)
    return None


def encode(rows: pa.Table) -> pa.Buffer:
    """A table as the body of a frame."""
    sink = pa.BufferOutputStream()
    # one thread: beside the one that makes the root, more cost a quarter more processor time and gain nothing
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_table(rows.combine_chunks())
    return sink.getvalue()


def decode(body: bytes, columns: Collection[str] | None = None) -> pa.Table:
    """The table in a body; with `columns`, only those of them that it has: the rest is not unpacked.

    Where it has none of them it is `leaf` alone, so that the rows can be counted.
    """
    reader = pa.ipc.open_stream(body)
    if columns is None:
        return reader.read_all()
    names = reader.schema.names
    wanted = [at for at, name in enumerate(names) if name in columns] or [names.index("leaf")]
    return pa.ipc.open_stream(body, options=pa.ipc.IpcReadOptions(included_fields=wanted)).read_all()
