"""A file of lines that have no header and no quotes, to the lines and their bytes, in bounded memory.

What holds for delimited text (`records`) holds here: LF, CR LF and CR end a line, blank lines are none, nothing is
skipped. A line that is too long or holds a NUL is given with its fault; of an endless one every piece; where a gzip
file breaks off, what is left is given last.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from truceline.feeds.batch import Fault, Records
from truceline.feeds.records import CHUNK_BYTES, MOST_RECORDS, pieces
from truceline.feeds.stream import window
from truceline.kernels import split

#: What one rejection may keep of an endless line.
PIECE_BYTES = 16 << 20
#: No byte has this value: lines are neither split into fields nor quoted.
NONE = 256


class Lines(NamedTuple):
    """Some consecutive lines: where they are in `data`, and what is wrong with some, by position."""

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    faults: dict[int, Fault]

    def raw(self, line: int) -> bytes:
        """The bytes of one line."""
        return self.data[self.starts[line] : self.ends[line]].tobytes()


def lines(
    path: str, name: str, *, longest: int, chunk_bytes: int = CHUNK_BYTES, piece: int = PIECE_BYTES
) -> Iterator[Lines | Records]:
    """The lines of a file; at the end of a damaged one a broken record with what is left (its number is 0).

    Raises
    ------
    SourceError
        When the file cannot be opened, is empty, or is not text by its first bytes.
    """
    with window(path, name, chunk_bytes, piece) as text:
        while True:
            data = np.frombuffer(text.data, np.uint8)
            whole = text.final and text.stream.problem is None
            starts, ends, _, wrong, text.begin, _ = split.split_records(
                data, text.begin, whole, NONE, NONE, 0, longest, 0, MOST_RECORDS
            )
            if len(starts):
                yield Lines(data, starts, ends, faults_of(data, starts, ends, wrong, longest))
            elif text.final:
                break
            elif text.left >= piece:
                for raw in pieces(text, piece):
                    part = Fault(f"is part of a line longer than {piece} bytes")
                    yield Lines(np.frombuffer(raw, np.uint8), np.zeros(1, np.int64), np.full(1, len(raw)), {0: part})
            else:
                text.more()
        if text.stream.problem is not None:
            rest = text.data[text.begin :].strip(b"\r\n")
            yield Records(0, [rest], {0: Fault(text.stream.problem)}, {}, text.stream.break_at)


def faults_of(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    wrong: npt.NDArray[np.uint8],
    longest: int,
) -> dict[int, Fault]:
    """What the splitter found wrong with lines, by their position."""
    found = {}
    for line in np.flatnonzero(wrong).tolist():
        raw = data[starts[line] : ends[line]].tobytes()
        if wrong[line] == split.TOO_LONG:
            found[line] = Fault(f"is {len(raw)} bytes long; {longest} is the most")
        else:
            found[line] = Fault(f"is not text: byte {raw.find(0)} is NUL")
    return found
