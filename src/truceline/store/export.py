"""Any table as a file that others can read: CSV, GeoParquet, GeoJSON, Arrow.

csv      UTF-8, a header line, RFC 4180. Ids and hashes hexadecimal, times ISO 8601 with Z, lists "a; b", maps
         "a 0.7, b 0.3", geometry WKT. A cell that a spreadsheet would take for a formula begins with '.
geojson  RFC 7946, a feature a row with its id; a row without a position has no geometry. Lists and maps as
         JSON has them.
parquet  GeoParquet 1.1 where the table has positions (WKB in `geometry`), ids hexadecimal, else typed as it is.
arrow    The table as it is, an Arrow IPC stream.

A table in pieces gives the same bytes as the same rows in one; some thousand of them are held at a time.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
import shapely

from truceline.errors import StoreError
from truceline.pieces import Rows, pieces_of
from truceline.store.durable import replacing
from truceline.store.flat import flat, geometry, hexadecimal, iso_times

#: Rows turned into text at a time.
_ROWS = 20_000
#: Rows turned into Python's objects at a time: a thread that does so lets no other in before it is done.
_AT_ONCE = 1_000
#: Rows of a row group of Parquet: fewer and it packs worse.
_GROUP = 131_072
#: Cells that spreadsheets compute: OWASP's list.
_FORMULA = r"^([=+\-@\t\r])"
#: Decimals of a degree that a centimetre needs.
_DECIMALS = 7


def export(table: Rows, path: Path | str, format: str, name: str = "this table") -> int:
    """Write a table to `path`, whole or not at all; `-` is standard output.

    Parameters
    ----------
    format
        csv, geojson, parquet or arrow.
    name
        The table's name, for messages.

    Returns
    -------
    The number of rows.

    Raises
    ------
    StoreError
        When there is no such format, the table has no positions and GeoJSON was asked for, or the file cannot
        be written.
    """
    write = _writer(table, format, name)
    with _opened(path) as file:
        for piece in write(table):
            file.write(piece)
    return table.num_rows


def pieces(table: Rows, format: str, name: str = "this table") -> Iterator[bytes]:
    """The same bytes in pieces of some thousand rows, for whoever sends them on.

    Raises
    ------
    StoreError
        At once, when there is no such format, or no positions and GeoJSON was asked for.
    """
    return _writer(table, format, name)(table)


def _writer(table: Rows, format: str, name: str) -> Callable[[Rows], Iterator[bytes]]:
    write = FORMATS.get(format)
    if write is None:
        raise StoreError(f"there is no format {format!r}; there are {', '.join(FORMATS)}")
    if format == "geojson" and not _placed(table.schema):
        raise StoreError(
            f"{name}: GeoJSON needs positions, and its columns hold none ({', '.join(table.schema.names)}); "
            "take csv, parquet or arrow"
        )
    return write


def _placed(schema: pa.Schema) -> bool:
    names = set(schema.names)
    return "geometry" in names or {"lon", "lat"} <= names


@contextmanager
def _opened(path: Path | str) -> Iterator[BinaryIO]:
    if str(path) == "-":
        try:
            yield sys.stdout.buffer
            sys.stdout.flush()
        except BrokenPipeError:  # whoever reads has enough; Python must not complain of it at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    with replacing(Path(path)) as new, new.open("wb") as file:
        yield file


def _slices(table: Rows, rows: int = _ROWS) -> Iterator[pa.Table]:
    """A table so many rows at a time, however it is cut; one without rows once."""
    parts: list[pa.Table] = []
    held = 0
    for piece in pieces_of(table):
        for at in _cuts(piece.num_rows, rows - held, rows):
            parts.append(piece.slice(*at))
            held += parts[-1].num_rows
            if held == rows:
                yield _whole(parts)
                parts, held = [], 0
    if held or not table.num_rows:
        yield _whole(parts) if parts else table.schema.empty_table()


def _cuts(length: int, first: int, rows: int) -> Iterator[tuple[int, int]]:
    """Offset and length of each part: the first so long, all others but the last `rows`."""
    at = 0
    while at < length:
        wide = min(first, length - at)
        yield at, wide
        at, first = at + wide, rows


def _whole(parts: list[pa.Table]) -> pa.Table:
    return parts[0] if len(parts) == 1 else pa.concat_tables(parts).combine_chunks()


class _Drain:
    """A file that gives what was written into it since the last time."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.closed = False

    def write(self, content: bytes) -> int:
        self._parts.append(bytes(content))
        return len(content)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        out = b"".join(self._parts)
        self._parts.clear()
        return out


def _csv(table: Rows) -> Iterator[bytes]:
    for number, rows in enumerate(_slices(table)):
        drain = _Drain()
        options = pyarrow.csv.WriteOptions(include_header=not number, batch_size=_ROWS, quoting_style="needed")
        pyarrow.csv.write_csv(_cells(rows), pa.PythonFile(drain, "w"), options)
        yield drain.take()


def _cells(table: pa.Table) -> pa.Table:
    columns = {}
    for column in table.column_names:
        values = table[column]
        if column == "geometry":
            shapes = shapely.from_wkb(values.to_numpy(zero_copy_only=False))
            values = pa.chunked_array([pa.array(shapely.to_wkt(shapes, rounding_precision=_DECIMALS), pa.string())])
        elif pa.types.is_timestamp(values.type):
            values = iso_times(values)
        else:
            values = defused(flat(values))
        columns[column] = values
    return pa.table(columns)


def defused(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text that a spreadsheet would take for a formula, with an apostrophe before it; other columns as they are."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    return pc.replace_substring_regex(column, _FORMULA, r"'\1")


def _geojson(table: Rows) -> Iterator[bytes]:
    before = b'{"type":"FeatureCollection","features":[\n'
    for rows in _slices(table):
        yield before + b",\n".join(features(rows))
        before = b",\n"
    yield b"\n]}\n" if table.num_rows else b"]}\n"


def features(rows: pa.Table, key: str | None = None) -> Iterator[bytes]:
    """Each row as a GeoJSON feature, encoded; its id is the column `key` (None: the first)."""
    for some in _slices(rows, _AT_ONCE) if rows.num_rows else ():
        yield from _features(some, key or rows.column_names[0])


def _features(rows: pa.Table, key: str) -> Iterator[bytes]:
    names = [name for name in rows.column_names if name not in ("geometry", "lon", "lat")]
    properties = pa.table({name: _json_ready(rows[name]) for name in names}).to_pylist()
    nested = [name for name in names if pa.types.is_nested(rows.schema.field(name).type)]
    shapes = shapely.from_wkb(geometry(rows).to_numpy(zero_copy_only=False))
    shapes = shapely.set_precision(shapes, 10.0**-_DECIMALS, mode="pointwise")
    texts = shapely.to_geojson(shapely.orient_polygons(shapes))
    encode = msgspec.json.Encoder().encode
    for row, text in zip(properties, texts, strict=True):
        where = msgspec.Raw((text or "null").encode())
        row |= {name: _tidy(row[name]) for name in nested}
        yield encode({"type": "Feature", "id": row[key], "geometry": where, "properties": row})


def _json_ready(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column whose values JSON has: ids as hexadecimal, times as text, floats as short as they are exact."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return iso_times(column)
    if pa.types.is_float32(kind):
        return column.cast(pa.string()).cast(pa.float64())
    if pa.types.is_list(kind) and pa.types.is_fixed_size_binary(kind.value_type):
        lists = column.combine_chunks()
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        texts = pa.ListArray.from_arrays(offsets, hexadecimal(lists.flatten()))
        return pa.chunked_array([pc.if_else(lists.is_valid(), texts, None)])
    if pa.types.is_nested(kind):
        return column
    return flat(column)


def _tidy(value: Any) -> Any:
    """A nested value as JSON has it: pairs as an object, 32-bit floats to the six digits that they hold."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _tidy(each) for key, each in value.items()}
    if isinstance(value, list):
        pairs = bool(value) and all(isinstance(each, tuple) for each in value)
        return {key: _tidy(each) for key, each in value} if pairs else [_tidy(each) for each in value]
    return value


def _parquet(table: Rows) -> Iterator[bytes]:
    kinds = ["Point"] if _placed(table.schema) else []
    if "geometry" in table.schema.names:
        found = {kind for rows in _slices(table) for kind in shapely.get_type_id(_drawn(rows)).tolist()}
        kinds = [_TYPES[kind] for kind in sorted(found) if kind >= 0]
    drain, writer = _Drain(), None
    for rows in _slices(table, _GROUP):
        whole = _typed(rows, kinds)
        if writer is None:
            writer = pyarrow.parquet.ParquetWriter(pa.PythonFile(drain, "w"), whole.schema, compression="zstd")
        writer.write_table(whole)
        yield drain.take()
    if writer is not None:
        writer.close()
    yield drain.take()


def _drawn(rows: pa.Table) -> Any:
    return shapely.from_wkb(geometry(rows).to_numpy(zero_copy_only=False))


def _typed(table: pa.Table, kinds: list[str]) -> pa.Table:
    """Rows as GeoParquet has them; `kinds` are the geometry types of the whole table."""
    columns = {}
    for column in table.column_names:
        values = table[column]
        columns[column] = flat(values) if pa.types.is_fixed_size_binary(values.type) else values
    whole = pa.table(columns)
    if not _placed(table.schema):
        return whole
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": "WKB", "geometry_types": kinds}},
    }
    at = [name for name in whole.column_names if name != "geometry"]
    whole = whole.select(at).append_column("geometry", geometry(table))
    return whole.replace_schema_metadata({b"geo": json.dumps(geo).encode()})


_TYPES = dict(enumerate(("Point", "LineString", "LinearRing", "Polygon", "MultiPoint", "MultiLineString")))
_TYPES |= {6: "MultiPolygon", 7: "GeometryCollection"}


def _arrow(table: Rows) -> Iterator[bytes]:
    drain = _Drain()
    with pa.ipc.new_stream(pa.PythonFile(drain, "w"), table.schema) as writer:
        for rows in _slices(table):
            writer.write_table(rows)
            yield drain.take()
    yield drain.take()


#: Format, what writes it.
FORMATS: dict[str, Callable[[Rows], Iterator[bytes]]] = {
    "csv": _csv,
    "geojson": _geojson,
    "parquet": _parquet,
    "arrow": _arrow,
}
