"""Tracks and truth from files: CSV (also compressed), Parquet, Arrow; columns by name, times with their zone or UTC."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from truceline.errors import SourceError
from truceline.observation import TIME

#: What is read, by its ending; a compressed CSV too.
_CSV = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst")
_PARQUET = (".parquet", ".geoparquet")
_ARROW = (".arrow", ".feather", ".ipc")
_NUMBERS = ("lon", "lat", "alt_m", "speed_mps", "course_deg")
_NEEDED = ("at", "lon", "lat")
#: A column that tells that a file is the other one.
_OTHER = {"track_id": ("object", "--truth"), "object": ("track_id", "FILE")}


def read(path: Path, key: str) -> pa.Table:
    """Points of moving things: `key` (object or track_id) as text, at, lon, lat and whichever of alt_m, speed_mps,
    course_deg there are.

    Raises
    ------
    SourceError
        Naming the file, and the column, row and value that cannot be meant.
    """
    table = _raw(path)
    names = table.column_names
    for name in (key, *_NEEDED):
        if name not in names:
            other, where = _OTHER[key]
            hint = ""
            if name == key and other in names:
                hint = f"; it has {other!r}: is it meant as {where}?"
            elif name == key:
                hint = "; tracks come from: truceline export MISSION --table track_points" * (key == "track_id")
            raise SourceError(f"{path}: there is no column {name!r} among {', '.join(names) or 'none'}{hint}")
    columns = {key: _text(table[key]), "at": _times(path, table["at"])}
    columns |= {name: _numbers(path, name, table[name]) for name in _NUMBERS if name in names}
    for name in (key, *_NEEDED):
        if columns[name].null_count:
            row = int(np.flatnonzero(columns[name].is_null().to_numpy())[0])
            raise SourceError(f"{path}: row {row + 1}: {name} is empty; a point needs a name, a time and a place")
    for name, limit in (("lon", 180.0), ("lat", 90.0)):
        beyond = np.flatnonzero(~(np.abs(columns[name].to_numpy()) <= limit))
        if len(beyond):
            value = columns[name][int(beyond[0])].as_py()
            raise SourceError(f"{path}: row {beyond[0] + 1}: {name} = {value} is not on the globe")
    return pa.table(columns)


def _raw(path: Path) -> pa.Table:
    name = path.name.lower()
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file")
    try:
        if name.endswith(_CSV):
            return _csv(path)
        if name.endswith(_PARQUET):
            return pyarrow.parquet.read_table(path)
        if name.endswith(_ARROW):
            with pa.memory_map(str(path)) as file:
                try:
                    return pyarrow.ipc.open_file(file).read_all()
                except pa.ArrowInvalid:
                    file.seek(0)
                    return pyarrow.ipc.open_stream(file).read_all()
    except (pa.ArrowException, ValueError, EOFError) as error:
        raise SourceError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    known = ", ".join((*_CSV, *_PARQUET, *_ARROW))
    raise SourceError(f"{path}: not a file of points by its ending; known are {known}")


def _csv(path: Path) -> pa.Table:
    """All columns as text, so that what cannot be meant can be shown as it was written."""
    with pyarrow.csv.open_csv(path) as probe:
        names = probe.schema.names
    options = pyarrow.csv.ConvertOptions(
        column_types={name: pa.string() for name in names}, strings_can_be_null=True, null_values=["", "null", "NaN"]
    )
    return pyarrow.csv.read_csv(path, convert_options=options)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids as hexadecimal, whole numbers and words as they are."""
    if pa.types.is_binary(column.type) or pa.types.is_fixed_size_binary(column.type):
        return pa.chunked_array([pa.array([None if v is None else v.hex() for v in column.to_pylist()], pa.string())])
    return column.cast(pa.string())


def _times(path: Path, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        zoned = column if column.type.tz else pc.assume_timezone(column, "UTC")
        return zoned.cast(TIME, safe=False)
    text = column.cast(pa.string())
    for zoned in (True, False):
        try:
            if zoned:  # every time has a zone
                return text.cast(TIME, safe=False)
            return pc.assume_timezone(text.cast(pa.timestamp("us"), safe=False), "UTC").cast(TIME)
        except pa.ArrowInvalid:
            continue
    for row, value in enumerate(text.to_pylist()):
        if value is not None and not any(_is_time(value, kind) for kind in (TIME, pa.timestamp("us"))):
            raise SourceError(f"{path}: row {row + 1}: at = {value!r} is not a time like 2031-03-01T12:00:00Z")
    raise SourceError(f"{path}: at: some times have a zone and some have none; write it with all")


def _is_time(value: str, kind: pa.DataType) -> bool:
    try:
        pa.array([value]).cast(kind, safe=False)
    except pa.ArrowInvalid:
        return False
    return True


def _numbers(path: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        for row, value in enumerate(column.to_pylist()):
            try:
                float(value if value is not None else 0.0)
            except (TypeError, ValueError):
                raise SourceError(f"{path}: row {row + 1}: {name} = {value!r} is not a number") from None
        return pa.chunked_array([pa.array([None if v is None else float(v) for v in column.to_pylist()], pa.float64())])
