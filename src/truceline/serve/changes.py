"""What is otherwise between two pictures: rows are compared by a number over their content, never one by one."""

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.kernels.idset import index_in
from truceline.observation import ids
from truceline.picture import rounding

U64 = npt.NDArray[np.uint64]

#: The id column of each table that is followed.
IDS = {"tracks": "track_id", "events": "event_id", "incidents": "incident_id", "findings": "finding_id"}


def fingerprints(rows: pa.Table) -> U64:
    """A number for each row over all its columns: equal rows have equal ones, others practically never.

    Floats are rounded as `picture.digest` rounds them, so that one table's noise of the last bits is no change.
    """
    rows = rows.combine_chunks()
    out = np.zeros(rows.num_rows, np.uint64)
    for place, (name, column) in enumerate(zip(rows.column_names, rows.columns, strict=True)):
        whole = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        out = mixed(out + np.uint64(place + 1), _of(whole, name))
    return out


def differences(
    before: tuple[pa.Table, U64], after: tuple[pa.Table, U64], name: str
) -> tuple[list[bytes], list[bytes]]:
    """Ids that are new or whose rows are otherwise, and ids that are gone.

    Parameters
    ----------
    before, after
        The rows of table `name` and their fingerprints.
    """
    key = IDS[name]
    old, new = (ids(rows[key]) for rows, _ in (before, after))
    was = index_in(new, old)
    changed = (was < 0) | (after[1] != before[1][np.maximum(was, 0)]) if len(old) else np.ones(len(new), np.bool_)
    gone = index_in(old, new) < 0 if len(old) else np.zeros(0, np.bool_)
    return after[0][key].filter(pa.array(changed)).to_pylist(), before[0][key].filter(pa.array(gone)).to_pylist()


def _of(array: pa.Array, name: str) -> U64:
    kind = array.type
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_map(kind):
        array = array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        out = _lists(array, name)
    elif pa.types.is_struct(kind):
        out = np.zeros(len(array), np.uint64)
        for place in range(kind.num_fields):
            field = kind.field(place)
            out = mixed(out, _of(array.field(place), field.name))
    elif pa.types.is_floating(kind):
        values = np.nan_to_num(array.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64), nan=-9e99)
        out = (np.rint(values / rounding(name)) + 0.0).view(np.uint64)
    elif pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16:
        pairs = np.zeros((len(array), 2), np.uint64)
        pairs[valid] = ids(array.drop_null())
        out = mixed(pairs[:, 0], pairs[:, 1])
    elif pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        out = _words(array)
    elif pa.types.is_boolean(kind):
        out = array.fill_null(False).to_numpy(zero_copy_only=False).astype(np.uint64)
    else:  # integers, timestamps
        out = array.cast(pa.int64()).fill_null(0).to_numpy().view(np.uint64)
    return np.where(valid, out, np.uint64(0x9E37_79B9))


def _words(array: pa.Array) -> U64:
    coded = array.dictionary_encode()
    plain = [word.encode() if isinstance(word, str) else word for word in coded.dictionary.to_pylist()]
    hashes = np.array([zlib.crc32(w) | zlib.adler32(w) << 32 for w in plain] + [0], np.uint64)
    return np.asarray(hashes[coded.indices.fill_null(len(plain)).to_numpy(zero_copy_only=False)])


def _lists(array: pa.Array, name: str) -> U64:
    """Of each list: over its length, and each item with its place in the list."""
    lengths = np.nan_to_num(array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)).astype(np.int64)
    items = _of(array.flatten(), name)
    ends = np.cumsum(lengths)
    place = np.arange(len(items)) - np.repeat(ends - lengths, lengths)
    each = mixed(items, place.astype(np.uint64))
    total = np.concatenate([[np.uint64(0)], np.cumsum(each, dtype=np.uint64)])
    return mixed(total[ends] - total[ends - lengths], lengths.astype(np.uint64))


def mixed(a: U64, b: U64) -> U64:
    """One number of two: splitmix64's last steps over both."""
    x: Any = a * np.uint64(0x9E37_79B9_7F4A_7C15) + (b ^ (b >> np.uint64(31))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
