"""What may be asked of a collection's rows, read from an address and applied to columns."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from truceline.errors import QueryError
from truceline.observation import TIME, to_numpy
from truceline.serve.views import Collection
from truceline.store.flat import geometry

Bools = npt.NDArray[np.bool_]
#: West, south, east, north; degrees, WGS 84.
Box = tuple[float, float, float, float]
#: From and until, inclusive; None: open.
Interval = tuple[datetime | None, datetime | None]


class Question(NamedTuple):
    """What is asked of a collection: everything in the box, the interval and of these properties."""

    bbox: Box | None = None
    interval: Interval | None = None
    #: Column name, or one with _min or _max behind it; texts as they stood in the address. Several of one name: any.
    filters: Sequence[tuple[str, str]] = ()


class Extent(NamedTuple):
    """Where the values of a column lie in some rows."""

    least: Any  # None: there is no value
    most: Any
    whole: bool  # none is missing


def box(text: str) -> Box:
    """A bbox parameter: 4 numbers, or 6 of which the heights are not looked at.

    Raises
    ------
    QueryError
        When it is not that, is outside the globe, or goes over the date line.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise QueryError(f"bbox = {text!r}: it takes numbers with commas between them") from None
    if len(numbers) == 6:
        numbers = [*numbers[:2], *numbers[3:5]]
    if len(numbers) != 4:
        raise QueryError(f"bbox = {text!r}: it takes 4 numbers (west, south, east, north) or 6, not {len(numbers)}")
    west, south, east, north = numbers
    if not (abs(west) <= 180 and abs(east) <= 180 and abs(south) <= 90 and abs(north) <= 90):  # catches NaN too
        raise QueryError(f"bbox = {text!r}: longitudes are within -180..180 and latitudes within -90..90 degrees")
    if west > east:
        raise QueryError(f"bbox = {text!r}: west is east of east; a box over the date line is not taken, ask for two")
    if south > north:
        raise QueryError(f"bbox = {text!r}: south is north of north")
    return west, south, east, north


def interval(text: str) -> Interval:
    """A datetime parameter: an instant, or from/until with `..` or nothing for an open end.

    Raises
    ------
    QueryError
        When it is not that.
    """
    parts = text.split("/")
    if len(parts) == 1:
        at = instant("datetime", text)
        return at, at
    if len(parts) != 2:
        raise QueryError(f"datetime = {text!r}: it takes one time, or two with a slash between them")
    begin, end = (None if part in ("", "..") else instant("datetime", part) for part in parts)
    if begin is None and end is None:
        raise QueryError(f"datetime = {text!r}: at least one end has to be given")
    if begin is not None and end is not None and begin > end:
        raise QueryError(f"datetime = {text!r}: it begins after it ends")
    return begin, end


def instant(name: str, text: str) -> datetime:
    """An RFC 3339 time; without a zone it is UTC, a date alone its first moment.

    Raises
    ------
    QueryError
        Naming parameter and value.
    """
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # the + of an offset, as addresses decode it
    except ValueError:
        raise QueryError(f"{name} = {text!r}: it takes times like 2031-03-14T06:00:00Z") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def matching(rows: pa.Table, about: Collection, question: Question) -> pa.Table:
    """The rows that a question asks for, in their order. Rows without a place are in every box, those without a time
    in every interval, as OGC API Features has it."""
    masks: list[Any] = []
    if question.bbox is not None:
        masks.append(_in_box(rows, question.bbox))
    if question.interval is not None and about.begins is not None and about.ends is not None:
        masks.append(_in_interval(rows, about.begins, about.ends, question.interval))
    masks += [_having(rows, name, texts) for name, texts in _by_name(question).items()]
    if not masks:
        return rows
    return rows.filter(pa.array(np.logical_and.reduce(masks)))


def outside(extents: Mapping[str, Extent], schema: pa.Schema, about: Collection, question: Question) -> bool:
    """Whether none of some rows can be asked for, by where the values of their columns lie as far as that is known."""
    if question.bbox is not None:
        west, south, east, north = question.bbox
        lon, lat = (_valued(extents.get(name)) for name in ("lon", "lat"))
        if lon and lat and (lon.most < west or lon.least > east or lat.most < south or lat.least > north):
            return True
    if question.interval is not None and about.begins is not None and about.ends is not None:
        begin, end = (_valued(extents.get(name)) for name in (about.begins, about.ends))
        first, last = question.interval
        if begin and end and ((first and end.most < first) or (last and begin.least > last)):
            return True
    for name, texts in _by_name(question).items():
        column, bound = _column(schema.names, name)
        extent = extents.get(column)
        if extent is None or extent.least is None:
            continue
        wanted = [_value(name, text, schema.field(column).type).as_py() for text in texts]
        below = all(one < extent.least for one in wanted) and bound != "_min"
        if below or (all(one > extent.most for one in wanted) and bound != "_max"):
            return True
    return False


def _valued(extent: Extent | None) -> Extent | None:
    """None also where a value is missing: such rows are in every box and every interval."""
    return extent if extent is not None and extent.whole and extent.least is not None else None


def _by_name(question: Question) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for name, text in question.filters:
        by_name.setdefault(name, []).append(text)
    return by_name


def _in_box(rows: pa.Table, bbox: Box) -> Bools:
    west, south, east, north = bbox
    if "geometry" in rows.column_names:
        shapes = shapely.from_wkb(geometry(rows).to_numpy(zero_copy_only=False))
        return np.asarray(shapely.intersects(shapes, shapely.box(*bbox)) | shapely.is_missing(shapes))
    if not {"lon", "lat"} <= set(rows.column_names):
        return np.ones(rows.num_rows, np.bool_)
    lon, lat = (to_numpy(rows[name]) for name in ("lon", "lat"))
    inside = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
    return np.asarray(inside | np.isnan(lon) | np.isnan(lat))


def _in_interval(rows: pa.Table, begins: str, ends: str, asked: Interval) -> Bools:
    begin, end = (_times(rows[name]) for name in (begins, ends))
    if begins == ends and pa.types.is_string(rows.schema.field(begins).type):
        end = end + 86_400 - 1e-6  # a date is a day
    begin, end = np.where(np.isnan(begin), end, begin), np.where(np.isnan(end), begin, end)
    out = np.isnan(begin)
    first = -np.inf if asked[0] is None else asked[0].timestamp()
    last = np.inf if asked[1] is None else asked[1].timestamp()
    return np.asarray(out | ((end >= first) & (begin <= last)))


def _times(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    if pa.types.is_string(column.type):
        column = column.cast(pa.date32()).cast(pa.timestamp("us")).cast(TIME)
    return to_numpy(column)


def _having(rows: pa.Table, name: str, texts: Iterable[str]) -> Bools:
    """Which rows have one of some values in a column; `name` may end in _min or _max."""
    column, bound = _column(rows.column_names, name)
    values = rows[column]
    wanted = [_value(name, text, values.type) for text in texts]
    if bound:
        compared = pc.greater_equal if bound == "_min" else pc.less_equal
        if not (
            pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or pa.types.is_timestamp(values.type)
        ):
            raise QueryError(f"{name} = {wanted[0]!r}: {column} has no order; ask for it as it is")
        hits = [compared(values, one) for one in wanted]
    elif pa.types.is_list(values.type):
        return _containing(values, wanted)
    else:
        hits = [pc.equal(values, one) for one in wanted]
    return np.asarray(np.logical_or.reduce([pc.fill_null(hit, False).to_numpy() for hit in hits]))


def _column(columns: Sequence[str], name: str) -> tuple[str, str]:
    """The column that a parameter is about, and its bound: _min, _max or none."""
    column, bound = name, ""
    if name not in columns and name[-4:] in ("_min", "_max"):
        column, bound = name[:-4], name[-4:]
    if column not in columns or column == "geometry":
        has = ", ".join(one for one in columns if one != "geometry")
        raise QueryError(f"there is no parameter {name!r} here; properties to ask for are {has}")
    return column, bound


def _value(name: str, text: str, kind: pa.DataType) -> Any:
    """A text as a column's value."""
    if pa.types.is_list(kind):
        kind = kind.value_type
    try:
        if pa.types.is_string(kind):
            return pa.scalar(text, kind)
        if pa.types.is_boolean(kind):
            return pa.scalar({"true": True, "false": False}[text.lower()], kind)
        if pa.types.is_integer(kind):
            return pa.scalar(int(text), kind)
        if pa.types.is_floating(kind):
            return pa.scalar(float(text), kind)
        if pa.types.is_timestamp(kind):
            return pa.scalar(instant(name, text), kind)
        if pa.types.is_fixed_size_binary(kind):
            return pa.scalar(bytes.fromhex(text), kind)
    except (KeyError, ValueError, OverflowError, pa.ArrowInvalid):
        raise QueryError(f"{name} = {text!r}: it takes {_words(kind)}") from None
    raise QueryError(f"{name} = {text!r}: this property cannot be asked for")


def _words(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "true or false"
    if pa.types.is_integer(kind):
        return "a whole number"
    if pa.types.is_floating(kind):
        return "a number"
    return f"an id of {2 * kind.byte_width} hexadecimal digits"


def _containing(values: pa.ChunkedArray, wanted: Sequence[Any]) -> Bools:
    """Lists that hold any of some values."""
    lists = values.combine_chunks()
    of = pc.list_parent_indices(lists).to_numpy()
    items = pc.list_flatten(lists)
    hit = np.logical_or.reduce(
        [pc.fill_null(pc.equal(items, one), False).to_numpy(zero_copy_only=False) for one in wanted]
    )
    out = np.zeros(len(values), np.bool_)
    out[of[hit]] = True
    return out
