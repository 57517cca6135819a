"""Rows that can no longer change, sorted by what became of their tracks."""

from numba import njit

from truceline.kernels.gate import AT, ID_0, ID_1, KEYS, TAG
from truceline.kernels.tracks import CONFIRM, CONFIRMED, END, POINT

UNDECIDED, KEPT, GIVEN_UP = range(3)


@njit(cache=True, error_model="numpy", _nrt=False)
def decide(events, serials, base, fate, names):  # type: ignore[no-untyped-def]
    """Write down which tracks were confirmed, with their ids, and which came to nothing; by serial less `base`.

    How many events tell of something else.
    """
    rare = 0
    for k in range(len(events)):
        own = events[k, 1] - base
        if events[k, 0] == CONFIRM:
            row = events[k, 3]
            fate[own], names[own, 0], names[own, 1] = KEPT, serials[row, 1], serials[row, 2]
        elif events[k, 0] == END and events[k, 2] != CONFIRMED:
            fate[own] = GIVEN_UP
        rare += events[k, 0] > END
    return rare


@njit(cache=True, error_model="numpy", _nrt=False)
def sort_out(  # type: ignore[no-untyped-def]
    serials, keys, times, points, base, fate,
    out_named, out_at_s, out_points, held_serials, held_keys, held_times, held_points, gone, filled,
):  # fmt: skip
    """Copy rows to `out` where their track was confirmed, to `held` where that is open, ids to `gone` otherwise.

    `times`: in its first column. `out_named`: id of the track (2), id of the observation (2), tag. `filled`: how many
    of the three.
    """
    kept, open_, lost = filled[0], filled[1], filled[2]
    for k in range(len(serials)):
        verdict = fate[serials[k, 0] - base]
        if verdict == KEPT:
            out_named[kept, 0], out_named[kept, 1] = serials[k, 1], serials[k, 2]
            out_named[kept, 2], out_named[kept, 3], out_named[kept, 4] = keys[k, ID_0], keys[k, ID_1], keys[k, TAG]
            for x in range(POINT):
                out_points[kept, x] = points[k, x]
            out_at_s[kept] = times[k, AT]
            kept += 1
        elif verdict == UNDECIDED:
            for x in range(3):
                held_serials[open_, x] = serials[k, x]
            for x in range(KEYS):
                held_keys[open_, x] = keys[k, x]
            for x in range(POINT):
                held_points[open_, x] = points[k, x]
            held_times[open_, AT] = times[k, AT]
            open_ += 1
        else:
            gone[lost, 0], gone[lost, 1] = keys[k, ID_0], keys[k, ID_1]
            lost += 1
    filled[0], filled[1], filled[2] = kept, open_, lost
