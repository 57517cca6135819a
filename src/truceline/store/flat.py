"""Nested and binary columns as flat text, and positions as WKB, for formats that have nothing else."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from truceline import observation

#: The two digits of each byte.
_DIGITS = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), "S2")


def flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of plain values, the same values where it has them already.

    Fixed-size bytes (ids, hashes) become hexadecimal, other bytes the text they are, with \\xNN for what is not
    UTF-8; a list becomes "a; b", a map "a 0.7, b 0.3", a list of structs "name value (the rest)". Null stays
    null, an empty list is an empty text.
    """
    return pa.chunked_array([_flat(chunk) for chunk in column.chunks], _flat(pa.nulls(0, column.type)).type)


def iso_times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as ISO 8601 in UTC with Z, with microseconds only where there are any."""
    texts = pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    return pc.replace_substring_regex(texts, r"\.0+Z$", "Z")


def _flat(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _flat(array.cast(kind.value_type))
    if pa.types.is_fixed_size_binary(kind):
        return hexadecimal(array)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _text(array)
    if pa.types.is_map(kind):
        pairs = array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        return _joined(pairs, _struct(pairs.flatten()), ", ")
    if pa.types.is_list(kind):
        return _joined(array, _flat(array.flatten()), "; ")
    if pa.types.is_struct(kind):
        return _struct(array)
    return array


def hexadecimal(array: pa.Array) -> pa.Array:
    """A column of fixed-size bytes as hexadecimal text."""
    width = array.type.byte_width
    content = array.buffers()[1]
    if content is None:
        return pa.nulls(len(array), pa.string())
    flat_bytes = np.frombuffer(content, np.uint8, count=len(array) * width, offset=array.offset * width)
    offsets = np.arange(len(array) + 1, dtype=np.int32) * (2 * width)
    texts = pa.StringArray.from_buffers(len(array), pa.py_buffer(offsets), pa.py_buffer(_DIGITS[flat_bytes].tobytes()))
    return pc.if_else(array.is_valid(), texts, None)


def _text(array: pa.Array) -> pa.Array:
    try:
        return array.cast(pa.large_string())
    except pa.ArrowInvalid:  # some of it is not UTF-8: rare, so row by row
        texts = [None if raw is None else raw.decode("utf-8", "backslashreplace") for raw in array.to_pylist()]
        return pa.array(texts, pa.large_string())


def _number(array: pa.Array) -> pa.Array:
    """Numbers as people read them, to a thousandth."""
    return pc.round(array, 3).cast(pa.string())


def _joined(lists: pa.Array, texts: pa.Array, between: str) -> pa.Array:
    """The texts of each list joined; null where the list is null."""
    if not pa.types.is_string(texts.type):
        texts = texts.cast(pa.string())
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, pc.fill_null(texts, "")), between)
    return pc.if_else(lists.is_valid(), joined, None)


def _struct(array: pa.Array) -> pa.Array:
    """The first field, a space and the second, then the others in brackets."""
    texts = []
    for at in range(array.type.num_fields):
        values = pc.struct_field(array, [at])
        if pa.types.is_floating(values.type):
            values = _number(values)
        texts.append(pc.fill_null(_flat(values).cast(pa.string()), "-"))
    first: Any = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(texts[0], texts[1], " ")
    if len(texts) > 2:
        rest = pc.binary_join_element_wise(*texts[2:], ", ")
        first = pc.binary_join_element_wise(first, " (", rest, ")", "")
    return first


def geometry(table: pa.Table) -> pa.Array:
    """The WKB of each row: its `geometry`, many-part where any row's is, or the point at `lon`, `lat`.

    Null where there is neither; null for all when the table has no such columns.
    """
    if "geometry" in table.column_names:
        return pa.array(shapely.to_wkb(shapes(table["geometry"])), pa.binary())
    if not {"lon", "lat"} <= set(table.column_names):
        return pa.nulls(table.num_rows, pa.binary())
    lon, lat = (observation.to_numpy(table[name]) for name in ("lon", "lat"))
    good = np.isfinite(lon) & np.isfinite(lat)
    points = np.full(len(lon), None, object)
    points[good] = shapely.points(lon[good], lat[good])
    return pa.array(shapely.to_wkb(points), pa.binary())


def shapes(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """WKB as geometries, polygons as multipolygons and lines as multilines where both kinds occur."""
    out = shapely.from_wkb(column.to_numpy(zero_copy_only=False))
    for simple, many in ((3, shapely.MultiPolygon), (1, shapely.MultiLineString)):
        kinds = shapely.get_type_id(out)
        if simple in kinds and len(set(kinds[kinds >= 0].tolist())) > 1:
            for at in np.flatnonzero(kinds == simple):
                out[at] = many([out[at]])
    return np.asarray(out)
