"""Where records, fields and JSON elements begin and end in a piece of a file.

All kernels take the bytes as a uint8 array and validate nothing but what they are named after; offsets are
int64 into that array, but for those of an Arrow string column, which are int32. Text is any encoding that
keeps ASCII in place (UTF-8 does).
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

#: What can be wrong with a record before any field is looked at; 0 is a record in order.
FIELD_COUNT, OPEN_QUOTE, TOO_LONG, NUL = 1, 2, 3, 4

_LF, _CR, _SPACE, _TAB = 10, 13, 32, 9
_QUOTE, _BACKSLASH, _COMMA = 34, 92, 44


@njit(cache=True)
def _behind_line_end(data: Bytes, end: int) -> int:
    """Offset behind the LF, CR or CR LF at `end`."""
    if data[end] == _CR and end + 1 < len(data) and data[end + 1] == _LF:
        return end + 2
    return end + 1


@njit(cache=True)
def split_records(
    data: Bytes,
    begin: int,
    final: bool,
    delimiter: int,
    quote: int,
    fields: int,
    limit: int,
    lines_until: int,
    capacity: int,
) -> tuple[Offsets, Offsets, npt.NDArray[np.int64], npt.NDArray[np.uint8], int, int]:
    """Records of delimited text, quote-aware, from `begin`; blank lines are none.

    Line ends are LF, CR LF and lone CR, in any mixture. A field that begins with `quote` may run over line
    ends. A record that runs over lines must come out with `fields` fields, within `limit` bytes and without
    text behind a closing quote; else its first line is given up alone (OPEN_QUOTE) and the lines it had taken
    are read one by one, quotes not crossing line ends. So a stray quote costs one line, and no byte is looked
    at more than twice.

    Parameters
    ----------
    data
        A piece of the file.
    final
        Whether the file ends with `data`; if not, the last record is left for the next piece.
    fields
        How many fields a record must have; 0: any number.
    limit
        Longest record, bytes.
    lines_until
        Offset before which quotes do not cross line ends: what the last call returned.
    capacity
        The most records to return.

    Returns
    -------
    starts, ends
        (n,) int64, without line ends.
    counts
        (n,) int64, fields of each.
    faults
        (n,) uint8, 0 or what is wrong.
    consumed
        Where the next call begins.
    lines_until
        As above; an offset into `data`, which may lie behind its end.
    """
    starts = np.empty(capacity, np.int64)
    ends = np.empty(capacity, np.int64)
    counts = np.empty(capacity, np.int64)
    faults = np.empty(capacity, np.uint8)
    n, size, start = 0, len(data), begin
    while start < size and n < capacity:
        i, count, broken_line, nul = start, 1, -1, False
        quoted, at_field_start, closed, rough, complete, overrun = False, True, False, False, False, False
        while i < size:
            c = data[i]
            if c == 0:
                nul = True
            if quoted:
                if c == quote:
                    if i + 1 >= size and not final:
                        break  # a second quote may follow
                    if i + 1 < size and data[i + 1] == quote:
                        i += 1
                    else:
                        quoted, closed = False, True
                elif c in (_LF, _CR):
                    if start < lines_until:
                        complete = True
                        break
                    if broken_line < 0:
                        broken_line = i
            elif c == delimiter:
                count += 1
                at_field_start, closed = True, False
                i += 1
                continue
            elif c in (_LF, _CR):
                complete = True
                break
            elif c == quote and at_field_start:
                quoted = True
            elif closed:
                rough = True
            at_field_start = False
            i += 1
            if broken_line >= 0 and i - start > limit:
                overrun = True
                break
        if not (complete or overrun or final):
            break
        if complete and data[i] == _CR and i + 1 >= size and not final:
            break  # an LF may follow
        fault = 0
        if broken_line >= 0 and (overrun or quoted or rough or (fields > 0 and count != fields)):
            lines_until = max(lines_until, max(start + limit, broken_line) + 1 if overrun else i)
            i, fault = broken_line, OPEN_QUOTE
        elif quoted:
            fault = OPEN_QUOTE
        elif i - start > limit:
            fault = TOO_LONG
        elif nul:
            fault = NUL
        elif fields > 0 and count != fields:
            fault = FIELD_COUNT
        if i > start:  # else a blank line
            starts[n], ends[n], counts[n], faults[n] = start, i, count, fault
            n += 1
        start = _behind_line_end(data, i) if i < size else size
    return starts[:n], ends[:n], counts[:n], faults[:n], start, lines_until


@njit(cache=True)
def split_fields(
    data: Bytes, starts: Offsets, ends: Offsets, delimiter: int, quote: int, slots: Offsets, wanted: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Begin and end of the wanted fields of records that `split_records` found in order.

    Parameters
    ----------
    slots
        For each field of a record the column of the answer it goes to, or -1.
    wanted
        How many columns the answer has.

    Returns
    -------
    begins, finishes
        (wanted, n) int64; the quotes round a quoted field are left out.
    ragged
        (wanted, n) bool: the field holds doubled quotes, or text behind its closing quote, and has to go
        through `gather` character by character; it then begins at its opening quote.
    """
    n = len(starts)
    begins = np.zeros((wanted, n), np.int64)
    finishes = np.zeros((wanted, n), np.int64)
    ragged = np.zeros((wanted, n), np.bool_)
    for row in range(n):
        i, end, field = starts[row], ends[row], 0
        while field < len(slots):
            begin, finish, rough = i, i, False
            if i < end and data[i] == quote:
                i += 1
                while i < end:
                    if data[i] == quote:
                        if i + 1 < end and data[i + 1] == quote:
                            rough = True
                            i += 1
                        else:
                            break
                    i += 1
                finish = i
                i += 1
                while i < end and data[i] != delimiter:
                    rough = True
                    i += 1
                if rough:
                    finish = min(i, end)
                else:
                    begin += 1
            else:
                while i < end and data[i] != delimiter:
                    i += 1
                finish = i
            slot = slots[field]
            if slot >= 0:
                begins[slot, row], finishes[slot, row], ragged[slot, row] = begin, finish, rough
            field += 1
            i += 1
    return begins, finishes, ragged


@njit(cache=True)
def gather(
    data: Bytes, begins: Offsets, finishes: Offsets, ragged: npt.NDArray[np.bool_], quote: int
) -> tuple[Bytes, npt.NDArray[np.int32]]:
    """Fields joined into one array of bytes with (n + 1,) int32 offsets: an Arrow string column.

    Doubled quotes become one; the quotes round a field's quoted part go. Less than 2 GiB in all.
    """
    n, total = len(begins), 0
    for row in range(n):
        total += finishes[row] - begins[row]
    joined = np.empty(total, np.uint8)
    offsets = np.empty(n + 1, np.int32)
    offsets[0] = 0
    at = 0
    for row in range(n):
        if ragged[row]:
            i, end, quoted = begins[row] + 1, finishes[row], True
            while i < end:
                c = data[i]
                if quoted and c == quote:
                    if i + 1 < end and data[i + 1] == quote:
                        i += 1
                    else:
                        quoted = False
                        i += 1
                        continue
                joined[at] = c
                at += 1
                i += 1
        else:
            for i in range(begins[row], finishes[row]):
                joined[at] = data[i]
                at += 1
        offsets[row + 1] = at
    return joined[:at], offsets


@njit(cache=True)
def find_array(data: Bytes, key: Bytes) -> int:
    """Offset behind the `[` of the member `key` of the JSON object in `data`; -1 when it is not there (yet)."""
    depth, i, size = 0, 0, len(data)
    begin, finish = -1, -1  # the newest string at depth 1
    while i < size:
        c = data[i]
        if c == _QUOTE:
            begin = i + 1
            i += 1
            while i < size and data[i] != _QUOTE:
                i += 2 if data[i] == _BACKSLASH else 1
            finish = i
        elif c == 123 or c == 91:  # { [
            if c == 91 and depth == 1 and finish - begin == len(key):
                same = True
                for k in range(len(key)):
                    same = same and data[begin + k] == key[k]
                if same:
                    return i + 1
            depth += 1
        elif c == 125 or c == 93:  # } ]
            depth -= 1
        elif c == _COMMA:
            begin, finish = -1, -1
        i += 1
    return -1


@njit(cache=True)
def split_elements(data: Bytes, begin: int, capacity: int) -> tuple[Offsets, Offsets, int, bool]:
    """The elements of a JSON array, from `begin` behind its `[` or behind an element.

    Strings, escapes and nesting are followed; nothing else of JSON is checked. A line end closes a string,
    which may not hold one.

    Returns
    -------
    starts, ends
        (n,) int64, of whole elements.
    consumed
        Where the next call begins: an element cut off by the end of `data` is left for it.
    closed
        Whether the array's `]` was met; it is then the byte before `consumed`.
    """
    starts = np.empty(capacity, np.int64)
    ends = np.empty(capacity, np.int64)
    n, i, size = 0, begin, len(data)
    while i < size and n < capacity:
        c = data[i]
        if c in (_SPACE, _TAB, _LF, _CR, _COMMA):
            i += 1
            continue
        if c == 93:
            return starts[:n], ends[:n], i + 1, True
        start, depth, string, whole = i, 0, False, False
        while i < size:
            c = data[i]
            if string:
                if c == _BACKSLASH:
                    i += 1
                elif c in (_QUOTE, _LF, _CR):
                    string = False
            elif c == _QUOTE:
                string = True
            elif c == 123 or c == 91:
                depth += 1
            elif c == 125 or c == 93 or c == _COMMA:
                if depth == 0:
                    whole = True  # the array's own comma or bracket
                    break
                if c != _COMMA:
                    depth -= 1
                    if depth == 0:
                        i += 1
                        whole = True
                        break
            i += 1
        if not whole:
            return starts[:n], ends[:n], start, False
        if i == start:  # a stray closing brace: an element of its own
            i += 1
        starts[n], ends[n] = start, i
        n += 1
    return starts[:n], ends[:n], i, False
