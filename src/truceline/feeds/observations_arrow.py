"""Rows of an Arrow IPC stream as records: their text, and as their bytes the JSON line that says the same.

The stream may come from anybody. Every batch is validated before it is looked at, and what could make a small stream
large in memory is refused: packed buffers, dictionaries, run ends, nesting other than that of `alternatives`.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline.errors import SourceError
from truceline.feeds import values
from truceline.feeds.batch import Fault, Records
from truceline.observation import TIME

#: Rows at a time: their texts are some MB.
_ROWS = 8192
_RECORD_BATCH = 3  # of a message's header
_SPECIAL = r'["\\\x00-\x1f]'


def records(path: str, name: str, chunk_bytes: int) -> Iterator[Records]:
    """The rows of the stream in the file at `path`; where it breaks, a last broken record says so.

    Raises
    ------
    SourceError
        When it is no stream, or has a column that is not read.
    """
    from truceline.feeds.observations import NAMES, check_names

    content = Path(path).read_bytes()
    if not content:
        raise SourceError(f"{name}: is empty")
    try:
        _refuse_packed(content)
        reader = pa.ipc.open_stream(content)
        fields = [(field.name, field.type) for field in reader.schema]
    except (pa.ArrowException, struct.error, IndexError, ValueError, OSError, MemoryError) as error:
        raise SourceError(f"{name}: is not a readable Arrow stream: {_short(error)}") from error
    check_names(name, [column for column, _ in fields])
    for column, kind in fields:
        if not _plain(kind):
            raise SourceError(f"{name}: the column {column!r} is {kind}: send plain columns")
    first = 1
    rows_at_once = min(_ROWS, max(1, chunk_bytes // 256))
    while True:
        try:
            batch = reader.read_next_batch()
            batch.validate(full=True)
            if batch.num_rows > len(content):  # columns of nulls take no room however long they are
                raise pa.ArrowInvalid(f"{batch.num_rows} rows in {len(content)} bytes")
            texts = {column: _text(batch.column(column)) for column, _ in fields if column in NAMES}
        except StopIteration:
            return
        except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
            reason = f"the Arrow stream cannot be read on: {_short(error)}"
            nothing = {column: pa.array([], pa.string()) for column in NAMES}
            yield Records(first, [b""], {0: Fault(reason)}, nothing, first)
            return
        for at in range(0, batch.num_rows, rows_at_once):
            part = {column: text.slice(at, rows_at_once) for column, text in texts.items()}
            raws = _lines(part)
            broken = _with_nul(part)
            if broken:
                whole = pa.array(np.delete(np.arange(len(raws)), list(broken)))
                part = {column: text.take(whole) for column, text in part.items()}
            yield Records(first, raws, broken, part)
            first += len(raws)


def _plain(kind: pa.DataType) -> bool:
    tests = pa.types
    if tests.is_map(kind):
        return bool(tests.is_string(kind.key_type) and tests.is_floating(kind.item_type))
    plain = (tests.is_string, tests.is_large_string, tests.is_integer, tests.is_floating, tests.is_timestamp)
    mine = (tests.is_fixed_size_binary, tests.is_large_binary, tests.is_binary, tests.is_null)  # what is passed over
    return any(test(kind) for test in (*plain, *mine))


def _text(column: pa.Array) -> pa.Array:
    """A column as text; NaN and what is null are none."""
    kind = column.type
    if pa.types.is_map(kind):
        said = [None if row is None else msgspec.json.encode(dict(row)).decode() for row in column.to_pylist()]
        return pa.array(said, pa.string())
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), None, column.cast(pa.float64()) if kind == pa.float16() else column)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        column = column.cast(TIME, safe=False)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        raise pa.ArrowInvalid("a column of bytes where text or numbers should be")
    return column.cast(pa.string())


def _with_nul(texts: dict[str, pa.Array]) -> dict[int, Fault]:
    broken: dict[int, Fault] = {}
    for name, text in texts.items():
        rows = np.flatnonzero(pc.match_substring(text, "\0").fill_null(False).to_numpy(zero_copy_only=False))
        broken |= {row: Fault(f"{name} holds a NUL: not text", name) for row in rows.tolist()}
    return broken


def _lines(texts: dict[str, pa.Array]) -> list[bytes]:
    """The rows as JSON objects, names sorted, nothing spaced, what is null left out."""
    from truceline.feeds.observations import IN_JSON_AS_THEY_ARE

    parts: list[Any] = []
    for name in sorted(texts):
        text = texts[name]
        if name not in IN_JSON_AS_THEY_ARE:
            text = _quoted(text)
        parts.append(pc.binary_join_element_wise(f'"{name}":', text, ""))
    joined = pc.binary_join_element_wise(*parts, ",", null_handling="skip")
    whole = pc.binary_join_element_wise("{", joined, "}", "")
    return list(whole.cast(pa.binary()).to_pylist())


def _quoted(text: pa.Array) -> pa.Array:
    """Texts as JSON strings."""
    if not pc.any(pc.match_substring_regex(text, _SPECIAL)).as_py():
        return pc.binary_join_element_wise('"', text, '"', "")
    said, codes = values.each(text, lambda one: None if one is None else msgspec.json.encode(one).decode())
    return values.taken(said, pa.string(), codes)


def _refuse_packed(content: bytes) -> None:
    """Refuse streams whose batches are packed: a few bytes may unpack to any number.

    A message's metadata is a flatbuffer: a table of offsets, of which the fourth of a record batch says how its body
    is packed. https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format
    """
    at = 0
    while at + 8 <= len(content):
        marker, length = struct.unpack_from("<Ii", content, at)
        if marker != 0xFFFFFFFF:
            raise ValueError(f"no message begins at byte {at}")
        if length <= 0:
            return
        meta = content[at + 8 : at + 8 + length]
        message = struct.unpack_from("<I", meta, 0)[0]
        kind, header = _field(meta, message, 1, "<B"), _field(meta, message, 2, "<I")
        body = _field(meta, message, 3, "<q")
        if kind is not None and meta[kind] == _RECORD_BATCH and header is not None:
            batch = header + struct.unpack_from("<I", meta, header)[0]
            if _field(meta, batch, 3, "<I") is not None:
                raise ValueError("its batches are packed: send them plain, with Content-Encoding gzip")
        size = 0 if body is None else struct.unpack_from("<q", meta, body)[0]
        if size < 0:
            raise ValueError(f"a message at byte {at} is damaged")
        at += 8 + length + size


def _field(content: bytes, table: int, number: int, form: str) -> int | None:
    """Where a field of a flatbuffer's table stands; None when it is not there."""
    offsets = table - struct.unpack_from("<i", content, table)[0]
    if offsets < 0 or 4 + 2 * number >= struct.unpack_from("<H", content, offsets)[0]:
        return None
    offset = struct.unpack_from("<H", content, offsets + 4 + 2 * number)[0]
    if not offset or table + offset + struct.calcsize(form) > len(content):
        return None
    return int(table + offset)


def _short(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
