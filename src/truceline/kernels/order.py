"""Whether rows are in the order of the tracker, and where they can be cut."""

import numpy as np
import numpy.typing as npt
from numba import njit

from truceline.kernels.gate import AT, ID_0, ID_1, SENSOR


@njit(cache=True, error_model="numpy")
def in_order(values, keys, slice_s, head_s):  # type: ignore[no-untyped-def]
    """Whether rows come by slice, sensor, time and id, each once, all finite, none before `head_s`."""
    before = -np.inf
    for k in range(len(values)):
        total = 0.0
        for x in range(6):
            total += values[k, x]
        if not np.isfinite(total):
            return False
        slice_ = np.floor(values[k, AT] / slice_s)
        if k == 0:
            if slice_ * slice_s < head_s:
                return False
        elif slice_ != before:
            if slice_ < before:
                return False
        elif keys[k, SENSOR] != keys[k - 1, SENSOR]:
            if keys[k, SENSOR] < keys[k - 1, SENSOR]:
                return False
        elif values[k, AT] != values[k - 1, AT]:
            if values[k, AT] < values[k - 1, AT]:
                return False
        elif keys[k, ID_0] != keys[k - 1, ID_0]:
            if keys[k, ID_0] < keys[k - 1, ID_0]:
                return False
        elif keys[k, ID_1] <= keys[k - 1, ID_1]:
            return False
        before = slice_
    return True


@njit(cache=True, error_model="numpy", _nrt=False)
def crowded(values, keys, slice_s, most):  # type: ignore[no-untyped-def]
    """Whether a sensor's slice has more than `most` of these rows in order."""
    for k in range(most, len(values)):
        if keys[k, SENSOR] == keys[k - most, SENSOR] and np.floor(values[k, AT] / slice_s) == np.floor(
            values[k - most, AT] / slice_s
        ):
            return True
    return False


def runs_before(values: npt.NDArray[np.float64], slice_s: float, most: int) -> list[tuple[int, int]]:
    """(low, high) of runs of at most `most` rows, each of whole slices; a larger slice is a run by itself."""
    slices = np.floor(values[:, AT] / slice_s)
    starts = np.append(np.flatnonzero(np.diff(slices, prepend=np.nan)), len(values))
    runs, low = [], 0
    while low < len(values):
        high = int(starts[np.searchsorted(starts, low + most, side="right") - 1])
        if high <= low:
            high = int(starts[np.searchsorted(starts, low, side="right")])
        runs.append((low, high))
        low = high
    return runs
