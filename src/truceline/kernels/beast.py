"""Frames of Mode S in the binary form of Beast receivers (dump1090's port 30005).

    0x1A, a kind, six bytes of a counter, one of signal strength, then the frame; 0x1A within is written twice

Kinds: `1` Mode A/C, 2 bytes; `2` Mode S short, 7; `3` Mode S long, 14; `4` the receiver's own settings, 14.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

#: What a record is: a frame, what has no address, the receiver's settings, a frame that another one cuts off, bytes
#: that are no part of one.
FRAME, MODE_AC, SETTINGS, CUT_OFF, STRAY = range(5)

_ESCAPE = 0x1A


@njit(cache=True)
def _begins(data: Bytes, at: int) -> bool:
    """Whether a frame begins here: the escape and a kind behind it."""
    return at + 1 < len(data) and data[at] == _ESCAPE and 0x31 <= data[at + 1] <= 0x34


@njit(cache=True)
def split(
    data: Bytes, begin: int, final: bool, capacity: int, longest: int
) -> tuple[Offsets, Offsets, npt.NDArray[np.uint8], Bytes, npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """The records from `begin`: every byte is in one.

    Parameters
    ----------
    final
        Whether the file ends with `data`; if not, what is not whole is left for the next piece.
    capacity
        The most records to return.
    longest
        Stray bytes are cut into records of this many.

    Returns
    -------
    starts, ends
        (n,) int64.
    what
        (n,) uint8, as above.
    frames, sizes
        (n, 14) uint8 and (n,) int64, of `FRAME`; else 0.
    ticks
        (n,) int64, the receiver's counter, 12 MHz.
    consumed
        Where the next call begins.
    """
    starts = np.empty(capacity, np.int64)
    ends = np.empty(capacity, np.int64)
    what = np.zeros(capacity, np.uint8)
    frames = np.zeros((capacity, 14), np.uint8)
    sizes = np.zeros(capacity, np.int64)
    ticks = np.zeros(capacity, np.int64)
    n, at, size = 0, begin, len(data)
    while at < size and n < capacity:
        i = at
        if not _begins(data, at):
            while i < size and i - at < longest and not _begins(data, i):
                # A pair of escapes is no beginning, whatever follows.
                i += 2 if i + 1 < size and data[i] == _ESCAPE and data[i + 1] == _ESCAPE else 1
            i = min(i, size)
            if i >= size and not final and i - at < longest:
                break
            starts[n], ends[n], what[n] = at, i, STRAY
            n += 1
            at = i
            continue
        kind = data[at + 1] - 0x31
        wanted = 7 + (2, 7, 14, 14)[kind]
        i, got, counter, whole = at + 2, 0, 0, True
        while got < wanted and i < size:
            if data[i] == _ESCAPE:
                if i + 1 >= size and not final:
                    break
                if i + 1 >= size or data[i + 1] != _ESCAPE:
                    whole = False
                    break
                i += 1
            if got < 6:
                counter = counter * 256 + data[i]
            elif got > 6:
                frames[n, got - 7] = data[i]
            got += 1
            i += 1
        if got < wanted and whole:
            if not final:
                break
            whole = False
        starts[n], ends[n], ticks[n] = at, i, counter
        what[n] = CUT_OFF if not whole else (MODE_AC, FRAME, FRAME, SETTINGS)[kind]
        if what[n] == FRAME:
            sizes[n] = wanted - 7
        n += 1
        at = i
    return starts[:n], ends[:n], what[:n], frames[:n], sizes[:n], ticks[:n], at
