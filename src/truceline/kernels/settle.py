"""Rows that can no longer change, sorted by what became of their tracks."""

from numba import njit

from truceline.kernels.gate import ID_0, ID_1, KEYS, TAG
from truceline.kernels.tracks import CONFIRM, CONFIRMED, END

UNDECIDED, KEPT, GIVEN_UP = range(3)


@njit(cache=True, error_model="numpy", _nrt=False)
def decide(events, serials, base, fate, names):  # type: ignore[no-untyped-def]
    """Write down which tracks were confirmed, with their ids, and which came to nothing; by serial less `base`."""
    for k in range(len(events)):
        own = events[k, 1] - base
        if events[k, 0] == CONFIRM:
            row = events[k, 3]
            fate[own], names[own, 0], names[own, 1] = KEPT, serials[row, 1], serials[row, 2]
        elif events[k, 0] == END and events[k, 2] != CONFIRMED:
            fate[own] = GIVEN_UP


@njit(cache=True, error_model="numpy", _nrt=False)
def sort_out(  # type: ignore[no-untyped-def]
    serials, keys, at_s, points, base, fate,
    out_named, out_at_s, out_points, held_serials, held_keys, held_at_s, held_points, gone, filled,
):  # fmt: skip
    """Copy rows to `out` where their track was confirmed, to `held` where that is open, ids to `gone` otherwise.

    `out_named`: id of the track (2), id of the observation (2), tag. `filled` counts the three.
    """
    kept, open_, lost = filled[0], filled[1], filled[2]
    for k in range(len(at_s)):
        verdict = fate[serials[k, 0] - base]
        if verdict == KEPT:
            out_named[kept, 0], out_named[kept, 1] = serials[k, 1], serials[k, 2]
            out_named[kept, 2], out_named[kept, 3], out_named[kept, 4] = keys[k, ID_0], keys[k, ID_1], keys[k, TAG]
            for x in range(points.shape[1]):
                out_points[kept, x] = points[k, x]
            out_at_s[kept] = at_s[k]
            kept += 1
        elif verdict == UNDECIDED:
            for x in range(3):
                held_serials[open_, x] = serials[k, x]
            for x in range(KEYS):
                held_keys[open_, x] = keys[k, x]
            for x in range(points.shape[1]):
                held_points[open_, x] = points[k, x]
            held_at_s[open_] = at_s[k]
            open_ += 1
        else:
            gone[lost, 0], gone[lost, 1] = keys[k, ID_0], keys[k, ID_1]
            lost += 1
    filled[0], filled[1], filled[2] = kept, open_, lost
