"""Any table as a file that others can read: CSV, GeoParquet, GeoJSON, Arrow.

csv      UTF-8, a header line, RFC 4180. Ids and hashes hexadecimal, times ISO 8601 with Z, lists "a; b", maps
         "a 0.7, b 0.3", geometry WKT. A cell that a spreadsheet would take for a formula begins with '.
geojson  RFC 7946, a feature a row with its id; a row without a position has no geometry. Lists and maps as
         JSON has them.
parquet  GeoParquet 1.1 where the table has positions (WKB in `geometry`), ids hexadecimal, else typed as it is.
arrow    The table as it is, an Arrow IPC stream.
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
from truceline.store.durable import replacing
from truceline.store.flat import flat, geometry, hexadecimal, iso_times

#: Rows turned into text at a time.
_ROWS = 20_000
#: Cells that spreadsheets compute: OWASP's list.
_FORMULA = r"^([=+\-@\t\r])"
#: Decimals of a degree that a centimetre needs.
_DECIMALS = 7


def export(table: pa.Table, path: Path | str, format: str, name: str = "this table") -> int:
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
    write = FORMATS.get(format)
    if write is None:
        raise StoreError(f"there is no format {format!r}; there are {', '.join(FORMATS)}")
    if format == "geojson" and not _placed(table):
        raise StoreError(
            f"{name}: GeoJSON needs positions, and its columns hold none ({', '.join(table.column_names)}); "
            "take csv, parquet or arrow"
        )
    with _opened(path) as file:
        write(table, file)
    return int(table.num_rows)


def _placed(table: pa.Table) -> bool:
    names = set(table.column_names)
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


def _csv(table: pa.Table, file: BinaryIO) -> None:
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
    options = pyarrow.csv.WriteOptions(batch_size=_ROWS, quoting_style="needed")
    pyarrow.csv.write_csv(pa.table(columns), pa.PythonFile(file, "w"), options)


def defused(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text that a spreadsheet would take for a formula, with an apostrophe before it; other columns as they are."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    return pc.replace_substring_regex(column, _FORMULA, r"'\1")


def _geojson(table: pa.Table, file: BinaryIO) -> None:
    file.write(b'{"type":"FeatureCollection","features":[')
    first = True
    for at in range(0, table.num_rows, _ROWS):
        for feature in features(table.slice(at, _ROWS)):
            file.write(b"\n" if first else b",\n")
            file.write(feature)
            first = False
    file.write(b"\n]}\n")


def features(rows: pa.Table, key: str | None = None) -> Iterator[bytes]:
    """Each row as a GeoJSON feature, encoded; its id is the column `key` (None: the first)."""
    names = [name for name in rows.column_names if name not in ("geometry", "lon", "lat")]
    properties = pa.table({name: _json_ready(rows[name]) for name in names}).to_pylist()
    nested = [name for name in names if pa.types.is_nested(rows.schema.field(name).type)]
    shapes = shapely.from_wkb(geometry(rows).to_numpy(zero_copy_only=False))
    shapes = shapely.set_precision(shapes, 10.0**-_DECIMALS, mode="pointwise")
    texts = shapely.to_geojson(shapely.orient_polygons(shapes))
    key = key or rows.column_names[0]
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


def _parquet(table: pa.Table, file: BinaryIO) -> None:
    columns = {}
    for column in table.column_names:
        values = table[column]
        columns[column] = flat(values) if pa.types.is_fixed_size_binary(values.type) else values
    whole = pa.table(columns)
    if _placed(table):
        wkb = geometry(table)
        kinds = np.unique(shapely.get_type_id(shapely.from_wkb(wkb.to_numpy(zero_copy_only=False))))
        about = {"encoding": "WKB", "geometry_types": [_TYPES[kind] for kind in kinds.tolist() if kind >= 0]}
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": about}}
        at = [name for name in whole.column_names if name != "geometry"]
        whole = whole.select(at).append_column("geometry", wkb)
        whole = whole.replace_schema_metadata({b"geo": json.dumps(geo).encode()})
    pyarrow.parquet.write_table(whole, pa.PythonFile(file, "w"), compression="zstd")


_TYPES = dict(enumerate(("Point", "LineString", "LinearRing", "Polygon", "MultiPoint", "MultiLineString")))
_TYPES |= {6: "MultiPolygon", 7: "GeometryCollection"}


def _arrow(table: pa.Table, file: BinaryIO) -> None:
    with pa.ipc.new_stream(pa.PythonFile(file, "w"), table.schema) as writer:
        writer.write_table(table)


#: Format, what writes it.
FORMATS: dict[str, Callable[[pa.Table, BinaryIO], None]] = {
    "csv": _csv,
    "geojson": _geojson,
    "parquet": _parquet,
    "arrow": _arrow,
}
