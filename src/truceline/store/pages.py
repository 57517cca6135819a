"""Many rows into an SQLite file at once: whole pages made column by column, behind those that SQLite wrote.

For files that nobody else has open and that are thrown away when writing fails: there is no transaction. Tables must
be empty, without an index of their own, and keyed by a row number (INTEGER PRIMARY KEY, the first column).
"""

import ctypes
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.kernels import btree
from truceline.observation import to_numpy
from truceline.store.flat import flat

Ints = npt.NDArray[np.int64]

#: Bytes of a page: large enough for any row but of geometry, and a million rows are ten thousand pages.
PAGE_BYTES = 32_768
#: A payload longer than this spills into other pages, which is left to SQLite.
_LONGEST = PAGE_BYTES - 35
#: Rows made at a time: some megabytes of pages, so that all columns of a row are written while it is in the cache.
_ROWS = 4096
_SERIAL = {"text": 13, "blob": 12}
_INTERIOR, _INTERIOR_HEADER = 5, 12
#: In the file's first page: its length in pages.
_PAGES_AT = 28


class _Chunk(NamedTuple):
    """Some rows of a column as the kernels take it."""

    kind: str  # text, blob, hexadecimal, real, integer
    valid: npt.NDArray[np.bool_]
    offsets: Ints  # of texts and blobs
    content: npt.NDArray[np.uint8]  # of texts, blobs and bytes
    numbers: Ints  # integers, and the bits of real numbers
    width: int
    kept: pa.Array  # what `content` is bytes of

    def measure(self, header: Ints, body: Ints) -> None:
        """Add the column to the lengths of the rows."""
        if self.kind in _SERIAL:
            btree.measure_bytes(self.offsets, self.valid, _SERIAL[self.kind], header, body)
        elif self.kind == "hexadecimal":
            header += np.where(self.valid, 1 if 4 * self.width + _SERIAL["text"] < 128 else 2, 1)
            body += np.where(self.valid, 2 * self.width, 0)
        else:
            btree.measure_numbers(self.numbers, self.valid, self.kind == "real", header, body)

    def put(self, buffer: npt.NDArray[np.uint8], a: int, b: int, types: Ints, values: Ints) -> None:
        """Write rows a to b at the cursors."""
        valid = self.valid[a:b]
        if self.kind in _SERIAL:
            offsets = self.offsets[a : b + 1]
            btree.put_bytes(buffer, offsets, self.content, valid, _SERIAL[self.kind], types, values)
        elif self.kind == "hexadecimal":
            content = self.content[a * self.width : b * self.width]
            btree.put_hexadecimal(buffer, content, self.width, valid, types, values)
        else:
            btree.put_numbers(buffer, self.numbers[a:b], valid, self.kind == "real", types, values)


def fill(path: Path, tables: Mapping[str, pa.Table], rowids: Mapping[str, Ints] | None = None) -> None:
    """Fill empty tables of the SQLite file at `path`.

    Parameters
    ----------
    tables
        By name; columns in the order of the table's, behind its row number: strings, bytes, numbers, booleans;
        bytes of a fixed size are written as hexadecimal text.
    rowids
        Of tables whose rows are not numbered 1, 2, …: rising.

    Raises
    ------
    OSError, sqlite3.Error
        When the file cannot be written.
    """
    left = {}
    with closing(sqlite3.connect(path)) as file:
        (page_bytes,) = file.execute("PRAGMA page_size").fetchone()
        roots = dict(file.execute("SELECT name, rootpage FROM sqlite_master WHERE type = 'table'"))
    assert page_bytes == PAGE_BYTES
    with path.open("r+b") as stream:
        pages = stream.seek(0, 2) // PAGE_BYTES
        for name, table in tables.items():
            numbers = (rowids or {}).get(name)
            numbers = np.arange(1, table.num_rows + 1) if numbers is None else numbers
            if table.num_rows and not _fill(stream, roots[name], pages, table, numbers):
                left[name] = (table, numbers)
            pages = stream.seek(0, 2) // PAGE_BYTES
        stream.seek(_PAGES_AT)
        stream.write(pages.to_bytes(4, "big"))
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("PRAGMA synchronous = OFF")
        for name, (table, numbers) in left.items():
            marks = ", ".join("?" * (table.num_columns + 1))
            columns = [flat(c) if pa.types.is_fixed_size_binary(c.type) else c for c in table.columns]
            rows = zip(numbers.tolist(), *(column.to_pylist() for column in columns), strict=True)
            file.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)  # noqa: S608, names are ours


def _fill(stream: BinaryIO, root: int, pages: int, table: pa.Table, rowids: Ints) -> bool:
    """Write a table's pages behind the `pages` that are there, the topmost at `root`; False when a row is too long."""
    n = len(rowids)
    header, body = np.ones(n, np.int64), np.zeros(n, np.int64)  # the row number stands in the cell, and is null here
    columns = []
    for column in table.columns:
        ends = np.cumsum([0, *map(len, column.chunks)])
        columns.append([(int(a), _chunk(chunk)) for a, chunk in zip(ends, column.chunks, strict=False)])
        for a, chunk in columns[-1]:
            chunk.measure(header[a : a + len(chunk.valid)], body[a : a + len(chunk.valid)])
    page, begin, longest = btree.lay_out(header, body, rowids, PAGE_BYTES)
    if longest[0] > _LONGEST:
        return False
    one = page[-1] == 0
    stream.seek((root - 1 if one else pages) * PAGE_BYTES)
    for block in _blocks(columns, page, begin, rowids, header, body):
        stream.write(block)
    if one:
        return True
    last = np.append(np.flatnonzero(np.diff(page)), n - 1)
    _grow(stream, root, np.arange(pages + 1, pages + 1 + len(last)), rowids[last])
    return True


def _blocks(
    columns: Sequence[Sequence[tuple[int, _Chunk]]], page: Ints, begin: Ints, rowids: Ints, header: Ints, body: Ints
) -> Iterator[memoryview]:
    """The leaf pages, some at a time."""
    at, n = 0, len(page)
    room = np.empty(0, np.uint8)
    while at < n:
        end = min(at + _ROWS, n)
        if end < n:  # up to the end of a page
            end = int(np.searchsorted(page, page[end], side="left" if page[end] > page[at] else "right"))
        first = int(page[at])
        size = (int(page[end - 1]) + 1 - first) * PAGE_BYTES
        room = room if len(room) >= size else np.empty(size, np.uint8)
        buffer = room[:size]
        buffer[:] = 0
        rows = (part[at:end] for part in (page, begin, rowids, header, body))
        types, values = btree.put_cells(buffer, PAGE_BYTES, first, *rows)
        types += 1  # behind the null of the row number
        for column in columns:
            for start, chunk in column:
                a, b = max(at, start), min(end, start + len(chunk.valid))
                if a < b:
                    chunk.put(buffer, a - start, b - start, types[a - at : b - at], values[a - at : b - at])
        yield buffer.data
        at = end


def _grow(stream: BinaryIO, root: int, children: Ints, keys: Ints) -> None:
    """The pages above the leaves, level by level; the topmost goes where SQLite expects it."""
    while True:
        groups, size = [0], _INTERIOR_HEADER
        cells = [
            child.to_bytes(4, "big") + _varint(key) for child, key in zip(children.tolist(), keys.tolist(), strict=True)
        ]
        for number, cell in enumerate(cells):
            if size + len(cell) + btree.POINTER > PAGE_BYTES:
                groups.append(number)
                size = _INTERIOR_HEADER
            size += len(cell) + btree.POINTER
        groups.append(len(cells))
        whole = [_interior(cells[a:b], int(children[b - 1])) for a, b in pairwise(groups)]
        if len(whole) == 1:
            stream.seek((root - 1) * PAGE_BYTES)
            stream.write(whole[0])
            return
        begin = stream.seek(0, 2) // PAGE_BYTES
        stream.write(b"".join(whole))
        children, keys = np.arange(begin + 1, begin + 1 + len(whole)), keys[np.array(groups[1:]) - 1]


def _interior(cells: Sequence[bytes], rightmost: int) -> bytes:
    """A page that points to others: the last child has no cell of its own."""
    cells = cells[:-1]
    ends = PAGE_BYTES - np.cumsum([0, *map(len, cells)])
    content = b"".join(reversed(cells))
    pointers = ends[1:].astype(">u2").tobytes()
    head = bytes([_INTERIOR, 0, 0]) + len(cells).to_bytes(2, "big") + int(ends[-1] % 65_536).to_bytes(2, "big") + b"\0"
    head += rightmost.to_bytes(4, "big") + pointers
    return head + bytes(PAGE_BYTES - len(head) - len(content)) + content


def _varint(value: int) -> bytes:
    out = [value & 127]
    while value := value >> 7:
        out.append(value & 127 | 128)
    return bytes(reversed(out))


def _chunk(array: pa.Array) -> _Chunk:
    """An Arrow array as the kernels take it."""
    kind, rows = array.type, len(array)
    valid = np.ones(rows, np.bool_)
    if array.null_count:
        valid = np.require(array.is_valid().to_numpy(zero_copy_only=False), requirements=["C", "W"])
    made = _Chunk("text", valid, np.zeros(rows + 1, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.int64), 0, array)
    if pa.types.is_floating(kind):
        return made._replace(kind="real", numbers=to_numpy(array).astype(np.float64).view(np.int64))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        numbers = array.cast(pa.int64()).fill_null(0).to_numpy()
        return made._replace(kind="integer", numbers=np.require(numbers, requirements=["C", "W"]))
    if pa.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        content = _bytes(array.buffers()[1])[array.offset * width :]
        return made._replace(kind="hexadecimal", width=width, content=content)
    _, places, content = array.buffers()
    step = np.int64 if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind) else np.int32
    if places is not None and places.size:
        offsets = np.frombuffer(places, step, rows + 1, array.offset * np.dtype(step).itemsize).astype(np.int64)
        made = made._replace(offsets=offsets, content=_bytes(content))
    return made._replace(kind="blob") if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else made


def _bytes(content: pa.Buffer | None) -> npt.NDArray[np.uint8]:
    """A buffer's bytes without a copy, as an array that passes for writeable: kernels are compiled for those alone."""
    if content is None or not content.size:
        return np.zeros(0, np.uint8)
    return np.frombuffer((ctypes.c_uint8 * content.size).from_address(content.address), np.uint8)
