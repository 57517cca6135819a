"""Moments as text, without the calendar's objects."""

import numpy as np
import numpy.typing as npt
from numba import njit

#: Length of 2023-04-02T06:00:00.000Z.
LENGTH = 24


@njit(cache=True)
def _digits(text, at, value, count):  # type: ignore[no-untyped-def]
    for k in range(count - 1, -1, -1):
        text[at + k] = 48 + value % 10
        value //= 10


@njit(cache=True)
def written(micros: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Microseconds since 1970 as ISO 8601 in UTC, cut to milliseconds: (n, 24) ASCII; years 0 to 9999, not checked.

    The date from the number of days is Hinnant's (civil_from_days): eras of 400 years that begin in March.
    """
    out = np.empty((len(micros), LENGTH), np.uint8)
    for row in range(len(micros)):
        text = out[row]
        millis = micros[row] // 1000
        days, rest = millis // 86_400_000, millis % 86_400_000
        shifted = days + 719_468
        era = shifted // 146_097
        of_era = shifted - era * 146_097
        year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
        of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
        month = (5 * of_year + 2) // 153
        day = of_year - (153 * month + 2) // 5 + 1
        month = month + 3 if month < 10 else month - 9
        year = year_of_era + era * 400 + (1 if month <= 2 else 0)
        _digits(text, 0, year, 4)
        _digits(text, 5, month, 2)
        _digits(text, 8, day, 2)
        _digits(text, 11, rest // 3_600_000, 2)
        _digits(text, 14, rest // 60_000 % 60, 2)
        _digits(text, 17, rest // 1000 % 60, 2)
        _digits(text, 20, rest % 1000, 3)
        text[4] = text[7] = 45
        text[10], text[13], text[16], text[19], text[23] = 84, 58, 58, 46, 90
    return out
