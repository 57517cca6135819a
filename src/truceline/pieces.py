"""Tables that do not fit into memory: read piece by piece, as often as wanted."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Pieces:
    """A table in pieces: iterating reads them one after the other, each time from the beginning.

    What is held is one piece; the pieces are files' (`PieceWriter`), or a book's.
    """

    schema: pa.Schema
    num_rows: int
    read: Callable[[], Iterator[pa.Table]]
    #: What it is joined of, where each can be read without the others.
    parts: "tuple[Rows, ...]" = ()

    def __iter__(self) -> Iterator[pa.Table]:
        return self.read()

    def table(self) -> pa.Table:
        """All of it, in memory."""
        return pa.concat_tables([self.schema.empty_table(), *self])


#: Rows in memory, or in pieces where there may be too many.
Rows: TypeAlias = pa.Table | Pieces


def pieces_of(rows: Rows) -> Iterator[pa.Table]:
    """The pieces of rows, of a table in memory one."""
    return iter(rows) if isinstance(rows, Pieces) else iter((rows,))


def chained(parts: Iterable[Rows], schema: pa.Schema) -> Pieces:
    """Rows of one schema, one behind the other; empty pieces are passed over."""
    kept = tuple(part for part in parts if part.num_rows)

    def read() -> Iterator[pa.Table]:
        for part in kept:
            yield from pieces_of(part)

    return Pieces(schema, sum(part.num_rows for part in kept), read, kept)


def parts_of(rows: Rows) -> Iterator[Rows]:
    """The smallest parts that can each be read without the others."""
    if isinstance(rows, Pieces) and rows.parts:
        for part in rows.parts:
            yield from parts_of(part)
    elif rows.num_rows:
        yield rows


def filtered(rows: Rows, keep: Callable[[pa.Table], pa.Table]) -> pa.Table:
    """What `keep` leaves of every piece, rows and columns, in memory."""
    return pa.concat_tables([keep(rows.schema.empty_table()), *(keep(piece) for piece in pieces_of(rows))])


def uncut(rows: Rows, column: str) -> Iterator[pa.Table]:
    """The pieces cut so that rows of one value of a column which follow each other are in one piece; a table is."""
    if isinstance(rows, pa.Table):
        yield rows
        return
    kept: list[pa.Table] = []
    for piece in rows:
        if not piece.num_rows:
            continue
        last = pc.not_equal(piece[column], piece[column][-1])
        other = last.combine_chunks().to_numpy(zero_copy_only=False).nonzero()[0]
        end = int(other[-1]) + 1 if len(other) else 0
        if kept and piece[column][0] != kept[-1][column][-1]:
            yield pa.concat_tables(kept)
            kept = []
        if end:
            yield pa.concat_tables([*kept, piece.slice(0, end)])
            kept = []
        kept.append(piece.slice(end))
    if kept:
        yield pa.concat_tables(kept)


class PieceWriter:
    """Writes pieces to a file of Arrow's; `pieces` reads them again, as they were cut, until the file is removed.

    The file is scratch: it is compressed lightly and not synced.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema, self.num_rows = path, schema, 0
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        self._writer = pa.ipc.new_file(str(path), schema, options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, rows: pa.Table) -> None:
        """One piece; columns are put into the schema's order."""
        if rows.num_rows:
            for batch in rows.select(self.schema.names).combine_chunks().cast(self.schema).to_batches():
                self._writer.write_batch(batch)
            self.num_rows += rows.num_rows

    def close(self) -> Pieces:
        """Nothing more is to come; what was written."""
        self._writer.close()
        return Pieces(self.schema, self.num_rows, self._read)

    def _read(self) -> Iterator[pa.Table]:
        # read, not mapped: mapped pages would count as this process's memory
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_file(file) as found:
            for number in range(found.num_record_batches):
                yield pa.Table.from_batches([found.get_batch(number)])
