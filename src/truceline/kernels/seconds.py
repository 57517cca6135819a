"""Times of messages that say only the second of a minute."""

import numpy as np
import numpy.typing as npt
from numba import njit

Whole = npt.NDArray[np.int64]

#: There is no time.
NONE = -(2**63)

_SECOND_US = 1_000_000
#: A second up to this much before the last one is one of a message that came late, not of the next minute.
_LATE_S = 15


@njit(cache=True)
def run(heard_us: Whole, second: Whole, set_us: Whole, now_us: int) -> tuple[Whole, int]:
    """When each message was received, by a clock that runs on the seconds that messages say.

    The clock is set by every known time; a second moves it on to the next such second, so a silence of a minute or
    more is not noticed until the clock is set again.

    Parameters
    ----------
    heard_us
        (n,) microseconds since 1970 of messages whose time is known, `NONE` of others.
    second
        (n,) 0..59, anything else where none is said.
    set_us
        (n,) a time that the message itself tells the clock, `NONE` where none.
    now_us
        The clock before the first message, `NONE` when it has not been set.

    Returns
    -------
    times, now_us
        (n,) as `heard_us`, filled where the clock runs; and the clock after the last.
    """
    out = heard_us.copy()
    for i in range(len(out)):
        if heard_us[i] != NONE:
            now_us = heard_us[i]
            continue
        if set_us[i] != NONE:
            now_us = set_us[i]
        elif now_us != NONE and 0 <= second[i] < 60:
            ahead = (second[i] - now_us // _SECOND_US) % 60
            if ahead >= 60 - _LATE_S:
                out[i] = (now_us // _SECOND_US + ahead - 60) * _SECOND_US
                continue
            if ahead > 0:
                now_us = (now_us // _SECOND_US + ahead) * _SECOND_US
        out[i] = now_us
    return out, now_us
