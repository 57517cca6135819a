"""Rows of a table as the leaf pages of an SQLite file, column by column.

The format is https://www.sqlite.org/fileformat.html: a row is a cell (length of the payload, row number, payload),
a payload a header of serial types behind its own length, then the values. Integers that vary in length ("varints")
have seven bits a byte, the first byte first, all but the last with the top bit set.

Row by row a cursor stands in the page where the next serial type, and where the next value, goes; each column moves it.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Bytes before the pointers of a leaf page, and of one pointer.
PAGE_HEADER, POINTER = 8, 2
_LEAF = 13
_REAL, _TEXT = 7, 13
#: Bytes from which on copying them as a block is faster than one by one.
_LONG = 48


@njit(cache=True)
def _size(value):  # type: ignore[no-untyped-def]
    """Bytes of a varint."""
    size = 1
    while value >= 128:
        value >>= 7
        size += 1
    return size


@njit(cache=True)
def _put(page, at, value):  # type: ignore[no-untyped-def]
    """Write a varint; where it ends."""
    end = at + _size(value)
    last = end - 1
    page[last] = value & 127
    while last > at:
        value >>= 7
        last -= 1
        page[last] = (value & 127) | 128
    return end


@njit(cache=True)
def _width(value):  # type: ignore[no-untyped-def]
    """Serial type and bytes of an integer: 0 and 1 are their own type, then 1, 2, 4 or 8 bytes."""
    if value == 0 or value == 1:
        return 8 + value, 0
    if -128 <= value < 128:
        return 1, 1
    if -32768 <= value < 32768:
        return 2, 2
    if -2147483648 <= value < 2147483648:
        return 4, 4
    return 6, 8


@njit(cache=True)
def measure_bytes(offsets: Ints, valid: Bools, serial: int, header: Ints, body: Ints) -> None:
    """Add a column of texts (`serial` 13) or bytes (12) to the lengths of headers and bodies.

    `offsets` (n + 1,) int64; a row that is not `valid` is null.
    """
    for row in range(len(valid)):
        length = offsets[row + 1] - offsets[row]
        header[row] += _size(2 * length + serial) if valid[row] else 1
        body[row] += length if valid[row] else 0


@njit(cache=True)
def measure_numbers(values: Ints, valid: Bools, real: bool, header: Ints, body: Ints) -> None:
    """Add a column of numbers; those of `real` are the bits of float64."""
    for row in range(len(valid)):
        header[row] += 1
        if valid[row]:
            body[row] += 8 if real else _width(values[row])[1]


@njit(cache=True)
def lay_out(header: Ints, body: Ints, rowids: Ints, page_bytes: int) -> tuple[Ints, Ints, Ints]:
    """Where each row goes: pages are filled in order, each from its end.

    Parameters
    ----------
    header, body
        (n,) int64 bytes of each row's serial types, and of its values.
    rowids
        (n,) int64, greater than 0, rising.

    Returns
    -------
    page, begin
        (n,) of each row, the page counted from 0 and where in it the cell begins.
    longest
        (1,) the longest payload: more than `page_bytes` - 35 does not fit in a page by itself, and nothing of what
        is said here then holds.
    """
    n = len(header)
    page, begin, longest = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(1, np.int64)
    number, count, free = 0, 0, page_bytes
    for row in range(n):
        payload = header[row] + body[row]
        payload += 1 if header[row] < 127 else 2  # the header's own length is counted in it
        longest[0] = max(longest[0], payload)
        cell = _size(payload) + _size(rowids[row]) + payload
        if free - cell < PAGE_HEADER + POINTER * (count + 1):
            number, count, free = number + 1, 0, page_bytes
        free -= cell
        count += 1
        page[row], begin[row] = number, free
    return page, begin, longest


@njit(cache=True)
def put_cells(
    pages: Bytes, page_bytes: int, first_page: int, page: Ints, begin: Ints, rowids: Ints, header: Ints, body: Ints
) -> tuple[Ints, Ints]:
    """Write pages' headers and pointers, and of each cell what stands before its serial types.

    `pages` holds whole pages of zeros from `first_page` on, the other arrays are of the rows in them.

    Returns
    -------
    (n,) cursors for serial types, and for values.
    """
    n = len(page)
    types, values = np.empty(n, np.int64), np.empty(n, np.int64)
    count = 0
    for row in range(n):
        base = (page[row] - first_page) * page_bytes
        count = 1 if row == 0 or page[row] != page[row - 1] else count + 1
        pages[base] = _LEAF
        pages[base + 3], pages[base + 4] = count >> 8, count & 255
        pages[base + 5], pages[base + 6] = (begin[row] >> 8) & 255, begin[row] & 255  # 65536 is written 0
        pointer = base + PAGE_HEADER + POINTER * (count - 1)
        pages[pointer], pages[pointer + 1] = begin[row] >> 8, begin[row] & 255
        own = header[row] + (1 if header[row] < 127 else 2)
        at = _put(pages, base + begin[row], own + body[row])
        at = _put(pages, at, rowids[row])
        types[row] = _put(pages, at, own)
        values[row] = types[row] + header[row]
    return types, values


@njit(cache=True)
def put_bytes(
    pages: Bytes, offsets: Ints, content: Bytes, valid: Bools, serial: int, types: Ints, values: Ints
) -> None:
    """Write a column of texts or bytes at the cursors, and move them."""
    for row in range(len(valid)):
        if not valid[row]:
            types[row] += 1  # null is 0, and there is nothing else yet
            continue
        begin, length, at = offsets[row], offsets[row + 1] - offsets[row], values[row]
        types[row] = _put(pages, types[row], 2 * length + serial)
        if length > _LONG:
            pages[at : at + length] = content[begin : begin + length]
        else:
            for k in range(length):
                pages[at + k] = content[begin + k]
        values[row] = at + length


@njit(cache=True)
def put_hexadecimal(pages: Bytes, content: Bytes, width: int, valid: Bools, types: Ints, values: Ints) -> None:
    """Write a column of `width` bytes each as text of twice as many digits, and move the cursors."""
    for row in range(len(valid)):
        if not valid[row]:
            types[row] += 1
            continue
        at = values[row]
        types[row] = _put(pages, types[row], 4 * width + _TEXT)
        for k in range(width):
            byte = content[row * width + k]
            high, low = byte >> 4, byte & 15
            pages[at + 2 * k] = high + (48 if high < 10 else 87)
            pages[at + 2 * k + 1] = low + (48 if low < 10 else 87)
        values[row] = at + 2 * width


@njit(cache=True)
def put_numbers(pages: Bytes, column: Ints, valid: Bools, real: bool, types: Ints, values: Ints) -> None:
    """Write a column of numbers at the cursors, and move them."""
    for row in range(len(valid)):
        if valid[row]:
            value = column[row]
            serial, width = (_REAL, 8) if real else _width(value)
            pages[types[row]] = serial
            at = values[row]
            for k in range(width):
                pages[at + k] = (value >> (8 * (width - 1 - k))) & 255
            values[row] = at + width
        types[row] += 1
