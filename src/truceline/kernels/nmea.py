"""Sentences of NMEA 0183 that carry AIS (VDM, VDO), with tag blocks and receivers' times, cut into their parts.

    \\s:station,c:1635731889*hh\\!AIVDM,total,number,sequence,channel,payload,fill*hh,receiver's fields

Kernels take the bytes as a uint8 array and where the lines begin and end; times are int64 microseconds since 1970.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

#: There is no number, no time, no place.
NONE = -(2**63)

#: Columns of `sentences`.
BEGIN, STAR, TOTAL, NUMBER, SEQUENCE, CHANNEL, PAYLOAD, PAYLOAD_END, FILL, OWN = range(10)
TAG_TIME, STATION, STATION_END, GROUP, GROUP_NUMBER, GROUP_TOTAL, BESIDE_TIME, WRAPPER_TIME = range(10, 18)
COLUMNS = 18

#: What a line is; below `NO_SENTENCE` it is good.
SENTENCE, WRAPPER, NO_SENTENCE, OTHER_SENTENCE, NO_CHECKSUM, WRONG_CHECKSUM, SHAPE, NUMBERING, EMPTY, CHARACTER = range(
    10
)
OPEN_TAG, TAG_CHECKSUM, TAG_TIME_UNREADABLE = 10, 11, 12

#: Seconds since 1970 with fewer digits are before 1973, with more after 2286; 13 digits are milliseconds.
_SECOND_DIGITS, _MILLI_DIGITS = 10, 13

_BACKSLASH, _BANG, _DOLLAR, _STAR, _COMMA, _COLON, _DASH, _DOT = 92, 33, 36, 42, 44, 58, 45, 46


@njit(cache=True)
def _digit(c: int) -> int:
    return c - 48 if 48 <= c <= 57 else -1


@njit(cache=True)
def _hex(c: int) -> int:
    if 48 <= c <= 57:
        return c - 48
    if 65 <= c <= 70:
        return c - 55
    return c - 87 if 97 <= c <= 102 else -1


@njit(cache=True)
def _whole(data: Bytes, begin: int, end: int, otherwise: int) -> int:
    """The whole number written there; `otherwise` when nothing is, NONE when it is no number."""
    if begin == end:
        return otherwise
    if end - begin > 15:
        return NONE
    value = 0
    for i in range(begin, end):
        d = _digit(data[i])
        if d < 0:
            return NONE
        value = 10 * value + d
    return value


@njit(cache=True)
def _checked(data: Bytes, begin: int, star: int, end: int) -> int:
    """1 when the two hex digits behind `star` are the exclusive or of what is between, 0 when not, -1 when absent."""
    if star + 2 >= end:
        return -1
    high, low = _hex(data[star + 1]), _hex(data[star + 2])
    if high < 0 or low < 0:
        return -1
    found = 0
    for i in range(begin, star):
        found ^= data[i]
    return 1 if found == 16 * high + low else 0


@njit(cache=True)
def days(year: int, month: int, day: int) -> int:
    """Days since 1970 of a date of the Gregorian calendar; NONE when there is no such date."""
    if not (1900 <= year <= 2200 and 1 <= month <= 12 and day >= 1):
        return NONE
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    length = 31
    if month == 2:
        length = 29 if leap else 28
    elif month in (4, 6, 9, 11):
        length = 30
    if day > length:
        return NONE
    y = year - (1 if month <= 2 else 0)
    m = month + (9 if month <= 2 else -3)
    return 365 * y + y // 4 - y // 100 + y // 400 + (153 * m + 2) // 5 + day - 1 - 719468


@njit(cache=True)
def _unix(data: Bytes, begin: int, end: int) -> int:
    """Microseconds of a run of digits as seconds or, of 13 digits, milliseconds, with or without a fraction."""
    i, value = begin, 0
    while i < end and _digit(data[i]) >= 0 and i - begin < 15:
        value = 10 * value + _digit(data[i])
        i += 1
    written = i - begin
    if written == _MILLI_DIGITS:
        return value * 1000 if i == end else NONE
    if written == 0 or written > 12:
        return NONE
    micros: int = value * 1_000_000
    step = 100_000
    if i < end and data[i] == _DOT:
        i += 1
        while i < end and _digit(data[i]) >= 0:
            micros += _digit(data[i]) * step
            step //= 10
            i += 1
    return micros if i == end else NONE


@njit(cache=True)
def _two(data: Bytes, at: int) -> int:
    high, low = _digit(data[at]), _digit(data[at + 1])
    return 10 * high + low if high >= 0 and low >= 0 else -1


@njit(cache=True)
def _iso(data: Bytes, begin: int, end: int) -> int:
    """Microseconds of `2031-03-14T10:34:00[.5]`, T or a blank, at `begin`; NONE when there is none."""
    if end - begin < 19 or data[begin + 4] != _DASH or data[begin + 7] != _DASH or data[begin + 13] != _COLON:
        return NONE
    if data[begin + 10] not in (84, 32) or data[begin + 16] != _COLON:
        return NONE
    century, year, month, day = _two(data, begin), _two(data, begin + 2), _two(data, begin + 5), _two(data, begin + 8)
    hour, minute, second = _two(data, begin + 11), _two(data, begin + 14), _two(data, begin + 17)
    if century < 0 or year < 0 or not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        return NONE
    day_number = days(100 * century + year, month, day)
    if day_number == NONE:
        return NONE
    micros: int = (((day_number * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000
    i, step = begin + 19, 100_000
    if i < end and data[i] == _DOT:
        i += 1
        while i < end and _digit(data[i]) >= 0:
            micros += _digit(data[i]) * step
            step //= 10
            i += 1
    if i < end and data[i] in (43, 45):  # another zone than UTC: the feed does not guess
        return NONE
    return micros


@njit(cache=True)
def _beside(data: Bytes, begin: int, end: int, row: Offsets) -> None:
    """The first time in what stands beside a sentence, and a receiver's `r003669946`."""
    i = begin
    while i < end:
        c = data[i]
        if c in (_COMMA, 32, 9, 59, 91, 93, 40, 41, 124):  # , blank tab ; [ ] ( ) |
            i += 1
            continue
        j = i
        while j < end and data[j] not in (_COMMA, 32, 9, 59, 91, 93, 40, 41, 124):
            j += 1
        if row[BESIDE_TIME] == NONE:
            found = _iso(data, i, end)
            if found == NONE and j - i >= _SECOND_DIGITS - 1 and _digit(c) >= 0:
                found = _unix(data, i, j)
            row[BESIDE_TIME] = found
        if row[STATION] == NONE and c in (114, 98) and j - i > 1 and _whole(data, i + 1, j, NONE) != NONE:
            row[STATION], row[STATION_END] = i, j
        i = j


@njit(cache=True)
def _tag(data: Bytes, begin: int, end: int, row: Offsets) -> int:
    """Read a tag block's codes; what is wrong with it."""
    star = begin
    while star < end and data[star] != _STAR:
        star += 1
    checked = _checked(data, begin, star, end) if star < end else -1
    if checked != 1:
        return TAG_CHECKSUM
    i = begin
    while i < star:
        j = i
        while j < star and data[j] != _COMMA:
            j += 1
        if j - i > 2 and data[i + 1] == _COLON:
            code = data[i]
            if code == 99:  # c
                row[TAG_TIME] = _unix(data, i + 2, j)
                if row[TAG_TIME] == NONE:
                    return TAG_TIME_UNREADABLE
            elif code == 115:  # s
                row[STATION], row[STATION_END] = i + 2, j
            elif code == 103:  # g:number-total-id
                first = i + 2
                while first < j and data[first] != _DASH:
                    first += 1
                second = first + 1
                while second < j and data[second] != _DASH:
                    second += 1
                if second < j:
                    row[GROUP_NUMBER] = _whole(data, i + 2, first, NONE)
                    row[GROUP_TOTAL] = _whole(data, first + 1, second, NONE)
                    row[GROUP] = _whole(data, second + 1, j, NONE)
        i = j + 1
    return SENTENCE


@njit(cache=True)
def _wrapper(data: Bytes, begin: int, end: int) -> int:
    """Microseconds of `$PGHP,1,year,month,day,hour,minute,second,millisecond,...`; NONE when there is none."""
    numbers = np.full(9, NONE, np.int64)
    i, field = begin, 0
    while i <= end and field < 9:
        j = i
        while j < end and data[j] != _COMMA:
            j += 1
        if field > 0:
            numbers[field] = _whole(data, i, j, NONE)
        field += 1
        i = j + 1
    day_number = days(numbers[2], numbers[3], numbers[4])
    if day_number == NONE or not (0 <= numbers[5] < 24 and 0 <= numbers[6] < 60 and 0 <= numbers[7] < 60):
        return NONE
    if not 0 <= numbers[8] < 1000:
        return NONE
    seconds: int = ((day_number * 24 + numbers[5]) * 60 + numbers[6]) * 60 + numbers[7]
    return seconds * 1_000_000 + int(numbers[8]) * 1000


@njit(cache=True)
def _sentence(data: Bytes, begin: int, end: int, row: Offsets) -> int:
    """Read one sentence from its `!`; what it is, or what is wrong with it."""
    star = begin
    while star < end and data[star] != _STAR:
        star += 1
    is_ais = end - begin > 6 and data[begin] == _BANG and data[begin + 3] == 86 and data[begin + 4] == 68
    is_ais = is_ais and data[begin + 5] in (77, 79) and data[begin + 6] == _COMMA
    is_wrapper = end - begin > 6 and data[begin] == _DOLLAR
    for k, c in enumerate((80, 71, 72, 80, _COMMA)):  # PGHP,
        is_wrapper = is_wrapper and data[begin + 1 + k] == c
    if not (is_ais or is_wrapper):
        return OTHER_SENTENCE
    checked = _checked(data, begin + 1, star, end) if star < end else -1
    if checked != 1:
        return NO_CHECKSUM if checked < 0 else WRONG_CHECKSUM
    row[BEGIN], row[STAR] = begin, star
    if is_wrapper:
        row[WRAPPER_TIME] = _wrapper(data, begin, star)
        return WRAPPER if row[WRAPPER_TIME] != NONE else SHAPE
    row[OWN] = 1 if data[begin + 5] == 79 else 0
    commas = np.empty(7, np.int64)
    count = 0
    for i in range(begin, star):
        if data[i] == _COMMA:
            if count < 7:
                commas[count] = i
            count += 1
    if count != 6:
        return SHAPE
    row[TOTAL] = _whole(data, commas[0] + 1, commas[1], NONE)
    row[NUMBER] = _whole(data, commas[1] + 1, commas[2], NONE)
    row[SEQUENCE] = _whole(data, commas[2] + 1, commas[3], -1)
    row[CHANNEL] = data[commas[3] + 1] if commas[4] > commas[3] + 1 else 0
    row[PAYLOAD], row[PAYLOAD_END] = commas[4] + 1, commas[5]
    row[FILL] = _whole(data, commas[5] + 1, star, 0)
    if not (1 <= row[TOTAL] <= 9 and 1 <= row[NUMBER] <= row[TOTAL] and row[SEQUENCE] >= -1 and 0 <= row[FILL] <= 5):
        return NUMBERING
    if row[PAYLOAD] == row[PAYLOAD_END]:
        return EMPTY
    for i in range(row[PAYLOAD], row[PAYLOAD_END]):
        if not (48 <= data[i] <= 87 or 96 <= data[i] <= 119):
            return CHARACTER
    return SENTENCE


@njit(cache=True)
def sentences(data: Bytes, starts: Offsets, ends: Offsets) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """What each line holds.

    Returns
    -------
    parts
        (n, COLUMNS) int64: offsets into `data`, numbers and times, by the columns above; NONE where there is none.
        `CHANNEL` is the character, 0 for none; `SEQUENCE` -1 for none; `GROUP*` are those of the tag block.
    what
        (n,) uint8: `SENTENCE`, `WRAPPER` (a receiver's time for the next sentence), or what is wrong.
    """
    n = len(starts)
    parts = np.full((n, COLUMNS), NONE, np.int64)
    what = np.zeros(n, np.uint8)
    for line in range(n):
        begin, end, row = starts[line], ends[line], parts[line]
        mark = begin
        while mark < end and data[mark] not in (_BACKSLASH, _BANG, _DOLLAR):
            mark += 1
        if mark == end:
            what[line] = NO_SENTENCE
            continue
        at, fault = mark, SENTENCE
        if data[mark] == _BACKSLASH:
            close = mark + 1
            while close < end and data[close] != _BACKSLASH:
                close += 1
            if close >= end:
                what[line] = OPEN_TAG
                continue
            fault = _tag(data, mark + 1, close, row)
            at = close + 1
            if at >= end or data[at] not in (_BANG, _DOLLAR):
                what[line] = NO_SENTENCE
                continue
        found = _sentence(data, at, end, row)
        what[line] = found if found >= NO_SENTENCE else max(fault, found)
        if what[line] == SENTENCE:
            _beside(data, begin, mark, row)
            _beside(data, row[STAR] + 3, end, row)
    return parts, what
