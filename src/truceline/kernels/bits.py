"""Numbers that are some bits of some bytes."""

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

#: In arrays of numbers and times: there is none.
ABSENT = -(2**63)


@njit(cache=True)
def read_bits(data: Bytes, starts: Ints, ends: Ints, bit: int, size: int, signed: bool) -> Ints:
    """The `size` bits (at most 56) from `bit` of each item, big endian; ABSENT where the item is not so long.

    Parameters
    ----------
    starts, ends
        (n,) of the items, -1 for none.
    signed
        Whether they are a two's complement.
    """
    out = np.empty(len(starts), np.int64)
    first, behind = bit // 8, (bit + size + 7) // 8
    spare, half, mask = behind * 8 - bit - size, 1 << (size - 1), (1 << size) - 1
    for i in range(len(starts)):
        if starts[i] < 0 or starts[i] + behind > ends[i]:
            out[i] = ABSENT
            continue
        value = 0
        for byte in range(starts[i] + first, starts[i] + behind):
            value = (value << 8) | int(data[byte])
        value = (value >> spare) & mask
        out[i] = value - (mask + 1) if signed and value >= half else value
    return out
