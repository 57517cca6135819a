"""Mode S frames: found in lines of text, checked, and their fields read (ICAO Annex 10 vol. IV, Doc 9871).

Frames are rows of 14 bytes; of a short frame the last seven are 0. Altitudes are feet, speeds knots, as sent.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]

#: There is no number, no time.
NONE = -(2**63)

#: What is wrong with a line.
NO_FRAME, TWO_FRAMES = 1, 2

#: Rows of `fields`: whole numbers by their columns, -1 where there are none.
FORMAT, ADDRESS, PARITY, TYPE, ODD, LAT_CPR, LON_CPR, ON_GROUND, SQUAWK, CATEGORY, NACP, VERSION, ADDRESS_KIND = range(
    13
)
WHOLES = 13
#: Rows of its numbers, NaN where there are none.
ALTITUDE, SPEED, COURSE, CLIMB, ABOVE_BARO, HEADING, AIRSPEED = range(7)
NUMBERS = 7

#: How the parity of a frame is: right, wrong, or laid over with the address, so that it cannot be checked.
RIGHT, WRONG, OVERLAID = 0, 1, 2

_LONGEST_TIME = 20


@njit(cache=True)
def _table() -> npt.NDArray[np.int64]:
    """Remainders of one byte by the generator of Mode S."""
    out = np.empty(256, np.int64)
    for byte in range(256):
        value = byte << 16
        for _ in range(8):
            value = (value << 1) ^ (0x1FFF409 if value & 0x800000 else 0)
        out[byte] = value & 0xFFFFFF
    return out


_PARITY = _table()


@njit(cache=True)
def parity(frame: Bytes, size: int) -> int:
    """Remainder of a frame of `size` bytes and its parity: 0 when right, else what lies over it."""
    value = 0
    for i in range(size - 3):
        value = ((value << 8) & 0xFFFFFF) ^ _PARITY[((value >> 16) ^ frame[i]) & 0xFF]
    return value ^ (int(frame[size - 3]) << 16 | int(frame[size - 2]) << 8 | int(frame[size - 1]))


@njit(cache=True)
def _hex(c: int) -> int:
    if 48 <= c <= 57:
        return c - 48
    if 65 <= c <= 70:
        return c - 55
    return c - 87 if 97 <= c <= 102 else -1


@njit(cache=True)
def _is_between(c: int) -> bool:
    """Whether a byte stands between tokens: , ; tab blank quotes * @ and what is round them."""
    return c in (44, 59, 9, 32, 34, 39, 42, 64)


@njit(cache=True)
def _unix(data: Bytes, begin: int, end: int) -> int:
    """Microseconds of a run of digits: seconds (9, 10), milliseconds (13), microseconds (16), nanoseconds (19)."""
    i, value = begin, 0
    while i < end and 48 <= data[i] <= 57 and i - begin < 19:
        value = 10 * value + (data[i] - 48)
        i += 1
    written, whole = i - begin, i == end
    if written in (9, 10):
        value, step = value * 1_000_000, 100_000
        if i < end and data[i] == 46:
            i += 1
            while i < end and 48 <= data[i] <= 57:
                value += (data[i] - 48) * step
                step //= 10
                i += 1
        return value if i == end else NONE
    if not whole:
        return NONE
    if written == 13:
        return value * 1000
    if written == 16:
        return value
    return value // 1000 if written == 19 else NONE


@njit(cache=True)
def frames(
    data: Bytes, starts: Offsets, ends: Offsets
) -> tuple[Bytes, npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """The frame of each line: its one token of 14 or 28 hexadecimal digits, with the time beside it.

    Returns
    -------
    bytes, sizes
        (n, 14) uint8 and (n,) int64, 7 or 14.
    times
        (n,) int64 microseconds since 1970: the first token before the frame that is one; NONE where there is none.
    ticks
        (n,) int64: of frames written `@` and twelve digits more, these digits, a receiver's counter; NONE of others.
    faults
        (n,) uint8.
    """
    n = len(starts)
    out = np.zeros((n, 14), np.uint8)
    sizes = np.zeros(n, np.int64)
    times = np.full(n, NONE)
    ticks = np.full(n, NONE)
    faults = np.zeros(n, np.uint8)
    for line in range(n):
        i, end, at, found = starts[line], ends[line], -1, 0
        while i < end:
            if _is_between(data[i]):
                i += 1
                continue
            j, plain = i, True
            while j < end and not _is_between(data[j]):
                plain = plain and _hex(data[j]) >= 0
                j += 1
            counted = plain and j - i in (26, 40) and i > starts[line] and data[i - 1] == 64
            if counted:
                ticks[line] = 0
                for k in range(i, i + 12):
                    ticks[line] = ticks[line] * 16 + _hex(data[k])
                i += 12
            if plain and j - i in (14, 28):
                if j - i > 2 * sizes[line]:
                    at, sizes[line], found = i, (j - i) // 2, 1
                elif j - i == 2 * sizes[line]:
                    found += 1
            elif times[line] == NONE and j - i <= _LONGEST_TIME:
                times[line] = _unix(data, i, j)
            i = j
        if found != 1:
            faults[line] = TWO_FRAMES if found else NO_FRAME
            sizes[line] = 0
            continue
        for k in range(sizes[line]):
            out[line, k] = 16 * _hex(data[at + 2 * k]) + _hex(data[at + 2 * k + 1])
    return out, sizes, times, ticks, faults


@njit(cache=True)
def _bits(frame: Bytes, start: int, width: int) -> int:
    value = 0
    first, last = start // 8, (start + width - 1) // 8
    for k in range(first, last + 1):
        value = (value << 8) | int(frame[k])
    return (value >> (8 * (last + 1) - start - width)) & ((1 << width) - 1)


@njit(cache=True)
def _gray(value: int) -> int:
    out = value
    while value:
        value >>= 1
        out ^= value
    return out


@njit(cache=True)
def feet(code: int) -> float:
    """Altitude of a 13-bit code: 25 ft steps, or Gillham's 100 ft; NaN for none, an impossible or a metric one."""
    if code == 0 or code & 0x40:
        return np.nan
    if code & 0x10:
        return 25.0 * (((code & 0x1F80) >> 2) | ((code & 0x20) >> 1) | (code & 0xF)) - 1000.0
    # Of C1 A1 C2 A2 C4 A4 M B1 Q B2 D2 B4 D4: steps of 500 ft in D2 D4 A1 A2 A4 B1 B2 B4, of 100 ft in C1 C2 C4.
    fives = 0
    for bit in (2, 0, 11, 9, 7, 5, 3, 1):
        fives = (fives << 1) | ((code >> bit) & 1)
    ones = ((code >> 12) & 1) << 2 | ((code >> 10) & 1) << 1 | ((code >> 8) & 1)
    fives, ones = int(_gray(fives)), int(_gray(ones))
    if ones in (0, 5, 6):
        return np.nan
    if ones == 7:
        ones = 5
    if fives % 2:
        ones = 6 - ones
    return 500.0 * fives + 100.0 * ones - 1300.0


@njit(cache=True)
def squawk(code: int) -> int:
    """The four octal digits of a 13-bit identity code, as a decimal number that shows them."""
    a = ((code >> 7) & 1) << 2 | ((code >> 9) & 1) << 1 | ((code >> 11) & 1)
    b = ((code >> 1) & 1) << 2 | ((code >> 3) & 1) << 1 | ((code >> 5) & 1)
    c = ((code >> 8) & 1) << 2 | ((code >> 10) & 1) << 1 | ((code >> 12) & 1)
    d = (code & 1) << 2 | ((code >> 2) & 1) << 1 | ((code >> 4) & 1)
    return 1000 * a + 100 * b + 10 * c + d


@njit(cache=True)
def _taxi_knots(code: int) -> float:
    """Ground speed of a surface position's movement, the middle of its step; NaN for none and beyond."""
    if code < 1 or code > 124:
        return np.nan
    if code == 1:
        return 0.0
    if code <= 8:
        return 0.125 + (code - 2) * 0.125
    if code <= 12:
        return 1.0 + (code - 9) * 0.25
    if code <= 38:
        return 2.0 + (code - 13) * 0.5
    if code <= 93:
        return 15.0 + (code - 39) * 1.0
    if code <= 108:
        return 70.0 + (code - 94) * 2.0
    if code <= 123:
        return 100.0 + (code - 109) * 5.0
    return 175.0


@njit(cache=True)
def _velocity(frame: Bytes, numbers: Array) -> None:
    """Type 19: subtypes 1 and 2 over the ground, 3 and 4 through the air; 2 and 4 in steps of four knots."""
    subtype = _bits(frame, 37, 3)
    if not 1 <= subtype <= 4:
        return
    step = 4 if subtype in (2, 4) else 1
    if subtype <= 2:
        east, north = _bits(frame, 46, 10), _bits(frame, 57, 10)
        if east and north:
            e = step * (east - 1) * (-1.0 if _bits(frame, 45, 1) else 1.0)
            n = step * (north - 1) * (-1.0 if _bits(frame, 56, 1) else 1.0)
            numbers[SPEED] = np.hypot(e, n)
            if e or n:
                numbers[COURSE] = np.degrees(np.arctan2(e, n)) % 360.0
    else:
        if _bits(frame, 45, 1):
            numbers[HEADING] = _bits(frame, 46, 10) * 360.0 / 1024.0
        if _bits(frame, 57, 10):
            numbers[AIRSPEED] = step * (_bits(frame, 57, 10) - 1)
    climb = _bits(frame, 69, 9)
    if climb:
        numbers[CLIMB] = 64.0 * (climb - 1) * (-1.0 if _bits(frame, 68, 1) else 1.0)
    above = _bits(frame, 81, 7)
    if above:
        numbers[ABOVE_BARO] = 25.0 * (above - 1) * (-1.0 if _bits(frame, 80, 1) else 1.0)


@njit(cache=True)
def _message(frame: Bytes, wholes: npt.NDArray[np.int64], numbers: Array, callsign: Bytes) -> None:
    """The 56 bits of an extended squitter, from bit 32 of the frame."""
    kind = _bits(frame, 32, 5)
    wholes[TYPE] = kind
    if 1 <= kind <= 4:
        wholes[CATEGORY] = 10 * (5 - kind) + _bits(frame, 37, 3)  # 11 is A1, 21 is B1 ...
        for k in range(8):
            c = _bits(frame, 40 + 6 * k, 6)
            callsign[k] = c + 64 if 1 <= c <= 26 else (c if 48 <= c <= 57 else 32)
    elif 5 <= kind <= 8 or 9 <= kind <= 18 or 20 <= kind <= 22:
        wholes[ON_GROUND] = 1 if kind <= 8 else 0
        wholes[ODD] = _bits(frame, 53, 1)
        wholes[LAT_CPR], wholes[LON_CPR] = _bits(frame, 54, 17), _bits(frame, 71, 17)
        if kind <= 8:
            numbers[SPEED] = _taxi_knots(_bits(frame, 37, 7))
            if _bits(frame, 44, 1):
                numbers[COURSE] = _bits(frame, 45, 7) * 360.0 / 128.0
        elif kind <= 18:
            code = _bits(frame, 40, 12)
            numbers[ALTITUDE] = feet((code & 0xFC0) << 1 | (code & 0x3F))
    elif kind == 19:
        _velocity(frame, numbers)
    elif kind == 28 and _bits(frame, 37, 3) == 1:
        wholes[SQUAWK] = squawk(_bits(frame, 43, 13))
    elif kind == 29 and _bits(frame, 37, 2) == 1:
        wholes[NACP] = _bits(frame, 71, 4)
    elif kind == 31 and _bits(frame, 37, 3) <= 1:
        wholes[VERSION] = _bits(frame, 72, 3)
        if wholes[VERSION] > 0:
            wholes[NACP] = _bits(frame, 76, 4)


@njit(cache=True)
def fields(frame: Bytes, sizes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Array, Bytes]:
    """What each frame says.

    Returns
    -------
    wholes
        (n, WHOLES) int64, -1 where there is none. `PARITY` is `RIGHT`, `WRONG` or `OVERLAID`; an address under such a
        parity cannot be checked. `ADDRESS_KIND` is 0 for an ICAO address, 1 for another.
    numbers
        (n, NUMBERS) float64, NaN where there is none.
    callsigns
        (n, 8) uint8, blanks where there is none.
    """
    n = len(sizes)
    wholes = np.full((n, WHOLES), -1, np.int64)
    numbers = np.full((n, NUMBERS), np.nan)
    callsigns = np.full((n, 8), 32, np.uint8)
    for row in range(n):
        one, size = frame[row], sizes[row]
        if size == 0:
            continue
        form = min(_bits(one, 0, 5), 24)
        rest = parity(one, size)
        wholes[row, FORMAT] = form
        if (form < 16) != (size == 7):
            wholes[row, PARITY] = WRONG
            continue
        address = rest
        if form in (11, 17, 18):
            address = _bits(one, 8, 24)
            # An answer to an interrogator has its code, 7 bits, laid over.
            wholes[row, PARITY] = RIGHT if rest == 0 or (form == 11 and rest < 128) else WRONG
        else:
            wholes[row, PARITY] = OVERLAID
        wholes[row, ADDRESS] = address
        wholes[row, ADDRESS_KIND] = 0
        if wholes[row, PARITY] == WRONG:
            continue
        if form == 17:
            _message(one, wholes[row], numbers[row], callsigns[row])
        elif form == 18:
            control = _bits(one, 5, 3)
            if control in (0, 1, 6):
                _message(one, wholes[row], numbers[row], callsigns[row])
            wholes[row, ADDRESS_KIND] = 0 if control in (0, 6) else 1
        elif form in (0, 4, 16, 20):
            numbers[row, ALTITUDE] = feet(_bits(one, 19, 13))
        elif form in (5, 21):
            wholes[row, SQUAWK] = squawk(_bits(one, 19, 13))
        if form in (4, 5, 20, 21):
            status = _bits(one, 5, 3)
            if status <= 3:
                wholes[row, ON_GROUND] = status & 1
        elif form in (0, 16):
            wholes[row, ON_GROUND] = _bits(one, 5, 1)
    return wholes, numbers, callsigns
