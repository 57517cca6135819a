"""Fields of AIS messages out of their six-bit characters (ITU-R M.1371), whole columns at once.

A payload is an Arrow binary column: bytes and (n + 1,) int32 offsets; its last `fill` bits do not count.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int32]
Layout = npt.NDArray[np.int64]

#: The message has no such field, or ends before it.
NONE = -(2**63)


@njit(cache=True)
def _bits(payload: Bytes, begin: int, start: int, width: int) -> int:
    """`width` bits from bit `start` of the payload that begins at `begin`, as an unsigned number."""
    value = 0
    first, last = start // 6, (start + width - 1) // 6
    for k in range(first, last + 1):
        c = payload[begin + k] - 48
        value = (value << 6) | (c - 8 if c > 40 else c)
    value >>= 6 * (last + 1) - start - width
    return value & ((1 << width) - 1)


@njit(cache=True)
def fields(
    payload: Bytes, offsets: Offsets, fill: npt.NDArray[np.int64], layout: Layout
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The type of each message, its length, and its fields.

    Parameters
    ----------
    layout
        (types, fields, 3) int64: first bit, width and whether it is signed of each field in a message of each
        type; width 0 where it has none. Type 24 is row 24 in its part A, row 0 in its part B.

    Returns
    -------
    kinds, lengths
        (n,) int64; the type is 0..63, -1 of a message shorter than its type; the length in bits.
    values
        (fields, n) int64, NONE where the message has no such field.
    """
    n, wanted = len(offsets) - 1, layout.shape[1]
    kinds = np.empty(n, np.int64)
    lengths = np.empty(n, np.int64)
    values = np.full((wanted, n), NONE, np.int64)
    for row in range(n):
        begin = offsets[row]
        length = 6 * (offsets[row + 1] - begin) - fill[row]
        lengths[row] = length
        kinds[row] = -1 if length < 6 else _bits(payload, begin, 0, 6)
        form = kinds[row]
        if form == 24 and length >= 40 and _bits(payload, begin, 38, 2) == 1:
            form = 0
        elif form <= 0 or form >= layout.shape[0]:
            continue
        for field in range(wanted):
            start, width, signed = layout[form, field, 0], layout[form, field, 1], layout[form, field, 2]
            if width == 0 or start + width > length:
                continue
            value = _bits(payload, begin, start, width)
            if signed and value >> (width - 1):
                value -= 1 << width
            values[field, row] = value
    return kinds, lengths, values


@njit(cache=True)
def texts(
    payload: Bytes,
    offsets: Offsets,
    lengths: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    characters: npt.NDArray[np.int64],
) -> tuple[Bytes, Offsets]:
    """Texts of six-bit characters, as the bytes and offsets of an Arrow string column.

    Parameters
    ----------
    starts, characters
        (n,) int64: first bit and length of each row's text; 0 characters where it has none.

    Returns
    -------
    bytes, offsets
        A text ends at its first `@` or with its message; blanks at its end are left out.
    """
    n = len(starts)
    out = np.empty(np.sum(characters), np.uint8)
    found = np.empty(n + 1, np.int32)
    found[0] = 0
    at = 0
    for row in range(n):
        begin = at
        for k in range(characters[row]):
            start = starts[row] + 6 * k
            if start + 6 > lengths[row]:
                break
            c = _bits(payload, offsets[row], start, 6)
            if c == 0:
                break
            out[at] = c + 64 if c < 32 else c
            at += 1
        while at > begin and out[at - 1] == 32:
            at -= 1
        found[row + 1] = at
    return out[:at], found
