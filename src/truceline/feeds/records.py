"""A file of delimited text, whatever its size and state, to records with their bytes, in bounded memory.

    header     the first line that is not blank: the names of the columns
    record     every following line that is not blank, numbered from 1; its bytes without the line end
    line ends  LF, CR LF, lone CR, mixed; the last may be absent; a byte order mark is skipped
    quotes     a field that begins with `"` may hold delimiters and line ends; `""` in it is a quote

Nothing is skipped: a record that cannot be split into the header's fields is given as broken, with the
reason. A quote that is not closed costs one line. Of a line longer than `LONGEST_RECORD` the whole is kept,
in pieces of `PIECE_BYTES`, each a broken record. A gzip file that breaks off gives the records before the
break, then one broken record with what is left and the byte of the break.

Records and fields are cut by the same kernel, so there is one notion of what a record is. A CSV library would
have another: pyarrow.csv keeps no bytes of a record, stops at a ragged one, and lets a quote run on.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.errors import SourceError
from truceline.feeds.batch import Fault, Records
from truceline.feeds.stream import Window, window
from truceline.kernels import split

#: A record of more than 1 MiB is no table row: the longest headlines have some KB.
LONGEST_RECORD = 1 << 20
#: What one rejection may keep of an endless line.
PIECE_BYTES = 128 << 20
#: Read at a time: some 50,000 fire pixels.
CHUNK_BYTES = 4 << 20
#: The most records of one batch, so that a batch stays small when its records are a few bytes long.
MOST_RECORDS = 1 << 16

#: Given the header, the columns that are wanted: their name in the feed and their position in the file.
Choose = Callable[[list[str]], Mapping[str, int]]

_QUOTE = ord('"')


def delimited(
    path: str,
    name: str,
    choose: Choose,
    *,
    delimiter: str = ",",
    chunk_bytes: int = CHUNK_BYTES,
    longest: int = LONGEST_RECORD,
    piece: int = PIECE_BYTES,
) -> Iterator[Records]:
    """The records of a delimited text file; they do not depend on `chunk_bytes`.

    Parameters
    ----------
    name
        What messages call the file.
    choose
        Called once with the header; raises SourceError when it lacks a column.
    longest, piece
        Longest record, and longest piece of a line that is longer, bytes.

    Raises
    ------
    SourceError
        When the file cannot be opened, is empty, or is not text. A header alone gives no records.
    """
    with window(path, name, chunk_bytes, piece) as text:
        separator = ord(delimiter)
        header = _header(text, separator, longest)
        cut = _Cut(len(header), separator, longest, choose(header))
        yield from _records(text, cut, piece)


def _records(text: Window, cut: "_Cut", piece: int) -> Iterator[Records]:
    first, lines_until = 1, 0
    while True:
        data = np.frombuffer(text.data, np.uint8)
        # At a break the last record is not known to be whole: it is left over.
        whole = text.final and text.stream.problem is None
        starts, ends, counts, faults, text.begin, lines_until = split.split_records(
            data, text.begin, whole, cut.delimiter, _QUOTE, cut.fields, cut.longest, lines_until, MOST_RECORDS
        )
        if len(starts):
            yield cut.records(first, text.data, data, starts, ends, counts, faults)
            first += len(starts)
        elif text.final:
            break
        elif text.left >= piece:
            for raw in pieces(text, piece):
                yield Records(first, [raw], {0: Fault(f"is part of a line longer than {piece} bytes")}, cut.none())
                first += 1
        else:
            lines_until = max(0, lines_until - text.more())
    if text.stream.problem is not None:
        rest = text.data[text.begin :].strip(b"\r\n")
        yield Records(first, [rest], {0: Fault(text.stream.problem)}, cut.none(), text.stream.break_at)


def pieces(text: Window, piece: int) -> Iterator[bytes]:
    """The endless line at the window's beginning, up to its line end."""
    while True:
        found = [end for end in (text.data.find(b"\n", text.begin), text.data.find(b"\r", text.begin)) if end >= 0]
        end = min(found, default=len(text.data))
        if found or text.final or text.left >= piece:
            if end > text.begin:
                yield text.data[text.begin : end]
            text.begin = end
            if found or text.final:
                return
        text.more()


def _header(text: Window, delimiter: int, longest: int) -> list[str]:
    """The names in the first line that is not blank."""
    while True:
        data = np.frombuffer(text.data, np.uint8)
        whole = text.final and text.stream.problem is None
        starts, ends, counts, faults, consumed, _ = split.split_records(
            data, text.begin, whole, delimiter, _QUOTE, 0, longest, 0, 1
        )
        if len(starts):
            break
        text.begin = consumed
        if text.final:
            raise SourceError(f"{text.name}: {text.stream.problem or 'has no header line'}")
        if text.left > longest:
            raise SourceError(f"{text.name}: has no header: its first line is longer than {longest} bytes")
        text.more()
    raw = text.data[starts[0] : ends[0]]
    if faults[0]:
        raise SourceError(f"{text.name}: has no header: its first line {_reason(int(faults[0]), raw, 0, 0, longest)}")
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise SourceError(f"{text.name}: is not UTF-8 text: byte {error.start} of its first line") from error
    fields = int(counts[0])
    every = {str(position): position for position in range(fields)}
    columns = _Cut(fields, delimiter, longest, every).columns(data, starts, ends)
    text.begin = consumed
    return [columns[str(position)][0].as_py().strip() for position in range(fields)]


class _Cut:
    """How the records of one file are cut into columns."""

    def __init__(self, fields: int, delimiter: int, longest: int, positions: Mapping[str, int]) -> None:
        self.fields, self.delimiter, self.longest = fields, delimiter, longest
        self.names = list(positions)
        # A column may be wanted under two names: each position is cut once.
        self._distinct = sorted(set(positions.values()))
        self._of = [self._distinct.index(position) for position in positions.values()]
        self._slots = np.full(fields, -1, np.int64)
        self._slots[self._distinct] = np.arange(len(self._distinct))

    def records(
        self,
        first: int,
        text: bytes,
        data: split.Bytes,
        starts: split.Offsets,
        ends: split.Offsets,
        counts: split.Offsets,
        faults: npt.NDArray[np.uint8],
    ) -> Records:
        """What the splitter found, with the reason of every fault and the wanted columns of all others."""
        raws = [text[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        broken = {
            place: Fault(_reason(int(faults[place]), raws[place], int(counts[place]), self.fields, self.longest))
            for place in np.flatnonzero(faults).tolist()
        }
        try:
            text[starts[0] : ends[-1]].decode()
        except UnicodeDecodeError:
            broken.update(_not_utf8(raws, broken))
        good = np.ones(len(raws), np.bool_)
        good[list(broken)] = False
        return Records(first, raws, broken, self.columns(data, starts[good], ends[good]))

    def columns(self, data: split.Bytes, starts: split.Offsets, ends: split.Offsets) -> dict[str, pa.Array]:
        """The wanted columns of records in order, as text."""
        begins, finishes, ragged = split.split_fields(
            data, starts, ends, self.delimiter, _QUOTE, self._slots, len(self._distinct)
        )
        cut = []
        for column in range(len(self._distinct)):
            joined, offsets = split.gather(data, begins[column], finishes[column], ragged[column], _QUOTE)
            buffers = [None, pa.py_buffer(offsets), pa.py_buffer(joined)]
            cut.append(pa.Array.from_buffers(pa.string(), len(starts), buffers))
        return {name: cut[of] for name, of in zip(self.names, self._of, strict=True)}

    def none(self) -> dict[str, pa.Array]:
        """The wanted columns of no record."""
        return {name: pa.array([], pa.string()) for name in self.names}


def _not_utf8(raws: list[bytes], broken: Mapping[int, Fault]) -> dict[int, Fault]:
    found = {}
    for place, raw in enumerate(raws):
        if place not in broken:
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                found[place] = Fault(f"is not UTF-8 text: byte {error.start} of the record is {raw[error.start]:#04x}")
    return found


def _reason(fault: int, raw: bytes, count: int, fields: int, longest: int) -> str:
    """What a splitter's fault means, as the end of a sentence about the record."""
    if fault == split.FIELD_COUNT:
        return f"has {count} field{'s' * (count != 1)} where the header names {fields}"
    if fault == split.OPEN_QUOTE:
        return "opens a quote that is not closed"
    if fault == split.TOO_LONG:
        return f"is {len(raw)} bytes long; {longest} is the most"
    return f"is not text: byte {raw.find(0)} is NUL"
