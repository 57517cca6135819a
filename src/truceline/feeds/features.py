"""Records of GeoJSON and Parquet files: their bytes, and the text of the columns that are wanted.

A GeoJSON record is one element of the `features` array, read in bounded memory; its bytes are the file's. An
element that is no feature is a broken record. Where the array itself breaks (the file is cut off, a feature
does not end within `LONGEST_FEATURE`), a last broken record says at which byte and nothing behind is read.

A Parquet record is a row; its bytes are its canonical JSON (names sorted, no blanks, times RFC 3339, binary
base64, NaN null), because a row has no bytes of its own in the file.

These formats are read value by value: tens of thousands of records a second, not hundreds.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from truceline.errors import SourceError
from truceline.feeds.batch import Fault, Records
from truceline.feeds.records import CHUNK_BYTES, MOST_RECORDS, Choose
from truceline.feeds.stream import Window, window
from truceline.kernels import split

#: A feature that tells of an event has some KB; one with a whole country's border some MB.
LONGEST_FEATURE = 16 << 20
_PARQUET_ROWS = 8192

#: The names under which a point geometry's degrees are columns.
LON, LAT = "geometry:lon", "geometry:lat"

_FORMATS = ((r"\.(geo)?json(\.gz)?$", "geojson"), (r"\.(geo)?(parquet|pq)$", "parquet"))


def format_of(path: str) -> str:
    """csv, geojson or parquet, by the ending of the file's name."""
    return next((name for ending, name in _FORMATS if re.search(ending, path, re.IGNORECASE)), "csv")


class _Feature(msgspec.Struct):
    type: str
    geometry: Any = None
    properties: dict[str, Any] | None = None
    id: Any = None


_decode = msgspec.json.Decoder(_Feature).decode


def geojson(
    path: str, name: str, choose: Choose, *, chunk_bytes: int = CHUNK_BYTES, longest: int = LONGEST_FEATURE
) -> Iterator[Records]:
    """The features of a GeoJSON FeatureCollection; columns are as the first readable feature has them.

    Raises
    ------
    SourceError
        When the file cannot be opened, is empty or holds no array of features.
    """
    with window(path, name, chunk_bytes, longest) as text:
        behind = _skip_to_features(text, longest)
        first, wanted, problem = 1, None, ""
        while True:
            data = np.frombuffer(text.data, np.uint8)
            starts, ends, consumed, closed = split.split_elements(data, text.begin, MOST_RECORDS)
            text.begin = consumed
            if len(starts):
                raws = [text.data[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
                rows = [_feature(raw) for raw in raws]
                readable = next((row for row in rows if isinstance(row, dict)), None)
                if wanted is None and readable is not None:
                    wanted = list(choose(list(readable)))
                yield text_records(first, raws, rows, wanted or [])
                first += len(starts)
            if closed or (not len(starts) and (text.final or text.left >= longest)):
                break
            if not len(starts):
                behind += text.more()
        at, rest = behind + text.begin, text.data[text.begin :].strip()
        if closed:
            rest = b""  # other members of the collection; read on for what a broken archive would hide
            while text.stream.read(chunk_bytes):
                pass
        elif text.final:
            problem = f"the file ends inside its features at byte {behind + len(text.data)}"
        else:
            problem = f"the feature at byte {at} does not end within {longest} bytes; nothing behind is read"
        if text.stream.problem:
            problem, at = text.stream.problem, text.stream.break_at
        if problem:
            yield Records(first, [rest], {0: Fault(problem)}, _columns([], wanted or []), at)


def _skip_to_features(text: Window, longest: int) -> int:
    """Move behind the `[` of the features; how many bytes were dropped from the window."""
    key = np.frombuffer(b"features", np.uint8)
    dropped = 0
    while True:
        at = split.find_array(np.frombuffer(text.data, np.uint8)[text.begin :], key)
        if at >= 0:
            text.begin += at
            return dropped
        if text.final or text.left >= longest:
            problem = text.stream.problem or 'is no GeoJSON FeatureCollection: it has no array "features"'
            raise SourceError(f"{text.name}: {problem}")
        dropped += text.more()


def _feature(raw: bytes) -> dict[str, Any] | Fault:
    """A feature's properties, its `id` where they have none, and the degrees of its point."""
    try:
        feature = _decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return Fault(f"is no GeoJSON feature: {error}")
    if feature.type != "Feature":
        return Fault(f"is no GeoJSON feature: its type is {feature.type!r}", "type", feature.type)
    row = dict(feature.properties or {})
    if feature.id is not None:
        row.setdefault("id", feature.id)
    row[LON], row[LAT] = _point(feature.geometry)
    return row


def _point(geometry: Any) -> tuple[Any, Any]:
    """Longitude and latitude of a point; nothing of any other geometry."""
    if isinstance(geometry, Mapping) and geometry.get("type") == "Point":
        match geometry.get("coordinates"):
            case [int() | float() as lon, int() | float() as lat, *_]:
                return lon, lat
    return None, None


def text_records(first: int, raws: list[bytes], rows: list[dict[str, Any] | Fault], wanted: list[str]) -> Records:
    """Decoded records, or what is wrong with them, as `Records` with the wanted columns as text."""
    broken: dict[int, Fault] = {}
    good = []
    for place, row in enumerate(rows):
        if isinstance(row, Fault):
            broken[place] = row
            continue
        texts = []
        for name in wanted:
            text = as_text(row.get(name))
            if text is not None and not _storable(text):
                broken[place] = Fault(f"{name} holds a NUL or half a character: not text", name)
                break
            texts.append(text)
        else:
            good.append(texts)
    return Records(first, raws, broken, _columns(good, wanted))


def _columns(rows: list[list[str | None]], wanted: list[str]) -> dict[str, pa.Array]:
    return {name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(wanted)}


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def as_text(value: Any) -> str | None:
    """A value as a CSV file would have it; numbers so that they read back the same."""
    match value:
        case None:
            return None
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case datetime() | date():
            return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
        case int() | float():
            return repr(value) if abs(value) < 1e300 else "too large a number"
        case _:
            return msgspec.json.encode(value).decode()


def parquet(path: str, name: str, choose: Choose, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Records]:
    """The rows of a Parquet file; a column `geometry` of WKB points gives their degrees.

    Raises
    ------
    SourceError
        When the file cannot be opened or is not Parquet.
    """
    rows_at_once = min(_PARQUET_ROWS, max(1, chunk_bytes // 256))
    try:
        file = pq.ParquetFile(Path(path))
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{name}: is not a readable Parquet file: {_short(error)}") from error
    with file:
        names = list(file.schema_arrow.names)
        wanted = list(choose([*names, LON, LAT]))
        first = 1
        try:
            for batch in file.iter_batches(rows_at_once):
                rows: list[dict[str, Any] | Fault] = batch.to_pylist()
                raws = [msgspec.json.encode(row, order="sorted") for row in rows]
                if LON in wanted:
                    rows = _with_points(rows)
                yield text_records(first, raws, rows, wanted)
                first += len(raws)
        except (OSError, pa.ArrowException, TypeError, ValueError) as error:
            left = file.metadata.num_rows - first + 1
            reason = f"the Parquet file cannot be read on: the last {left} of its rows are lost: {_short(error)}"
            yield Records(first, [b""], {0: Fault(reason)}, _columns([], wanted), first)


def _with_points(rows: list[Any]) -> list[dict[str, Any] | Fault]:
    shapes = shapely.from_wkb([row.get("geometry") for row in rows], on_invalid="ignore")
    points = shapely.get_type_id(shapes) == shapely.GeometryType.POINT
    lon, lat = shapely.get_x(shapes), shapely.get_y(shapes)
    return [
        row | ({LON: float(lon[place]), LAT: float(lat[place])} if points[place] else {})
        for place, row in enumerate(rows)
    ]


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
