"""Rows of a journal that may be more than memory holds, as a table in pieces."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from truceline.pieces import Pieces
from truceline.store.kinds import kind_of
from truceline.store.reading import Reader


def pieces(reader: Reader, kind: str, columns: Sequence[str] | None = None) -> Pieces:
    """All rows of a kind that there are now; see `Journal.pieces`."""
    frames, unrolled = reader.of(kind), reader.unrolled(kind)
    own = kind_of(kind).schema
    schemas = [*(reader.schema(frame.number) for frame in frames), *(rows.schema for rows in unrolled)]
    brought = pa.unify_schemas(schemas, promote_options="permissive") if schemas else own
    names = reader.columns(kind) if columns is None else columns
    schema = pa.schema([own.field(name) if name in own.names else brought.field(name) for name in names])
    count = sum(frame.rows for frame in frames) + sum(rows.num_rows for rows in unrolled)

    def read() -> Iterator[pa.Table]:
        left = count
        for block in reader.blocks(kind, schema.names):
            block = _conformed(block.slice(0, left), schema)
            left -= block.num_rows
            if block.num_rows:
                yield block
            if not left:  # what was appended since is not among them
                return

    return Pieces(schema, count, read)


def _conformed(block: pa.Table, schema: pa.Schema) -> pa.Table:
    """A block with every column: what no feed brought with its rows is null there."""
    there = set(block.column_names)
    columns = [
        block[field.name].cast(field.type) if field.name in there else pa.nulls(block.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
