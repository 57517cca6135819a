"""A set of 16-byte ids, as pairs of uint64: 16 bytes a slot, no object per id.

Open addressing with linear probing. Ids are cut from SHA-256, so their upper 32 bits are the hash as they
are, and slot = hash * slots / 2^32 keeps a grown table in the order of the old one.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Ids = npt.NDArray[np.uint64]

#: Filled share up to which a probe stays short (about 6 slots for an id that is not there, Knuth 6.4), and growth
#: beyond it: while growing both tables are held, 540 MB at ten million ids, 229 MB when `room` was given.
FULLEST = 0.7
GROWTH = 1.6
_LEAST_SLOTS = 1024


@njit(cache=True)
def _place(slots, first, second):  # type: ignore[no-untyped-def]
    """The slot of an id other than zero: where it stands, or the free one where it would."""
    count = np.uint64(len(slots))
    at = (first >> np.uint64(32)) * count >> np.uint64(32)
    while (slots[at, 0] | slots[at, 1]) != 0 and not (slots[at, 0] == first and slots[at, 1] == second):
        at += np.uint64(1)
        if at == count:
            at = np.uint64(0)
    return at


@njit(cache=True)
def _insert(slots, ids, new):  # type: ignore[no-untyped-def]
    """Insert ids (n, 2), passing over zeros; `new` (n,) becomes True where an id was not there. Slots suffice."""
    added = 0
    for i in range(len(ids)):
        if (ids[i, 0] | ids[i, 1]) == 0:
            continue
        at = _place(slots, ids[i, 0], ids[i, 1])
        if (slots[at, 0] | slots[at, 1]) == 0:
            slots[at, 0] = ids[i, 0]
            slots[at, 1] = ids[i, 1]
            new[i] = True
            added += 1
    return added


@njit(cache=True)
def _find(slots, ids, found):  # type: ignore[no-untyped-def]
    """`found` (n,) becomes True where an id (n, 2), none of them zero, stands in the slots."""
    for i in range(len(ids)):
        at = _place(slots, ids[i, 0], ids[i, 1])
        found[i] = (slots[at, 0] | slots[at, 1]) != 0


@njit(cache=True)
def _index(slots, rows, among, wanted, found):  # type: ignore[no-untyped-def]
    """`found` (n,) becomes the first row of `among` with each wanted id; `slots` and `rows` are zeros."""
    zero = -1
    for i in range(len(among)):
        if (among[i, 0] | among[i, 1]) == 0:
            zero = i if zero < 0 else zero
            continue
        at = _place(slots, among[i, 0], among[i, 1])
        if (slots[at, 0] | slots[at, 1]) == 0:
            slots[at, 0], slots[at, 1], rows[at] = among[i, 0], among[i, 1], i
    for i in range(len(wanted)):
        if (wanted[i, 0] | wanted[i, 1]) == 0:
            found[i] = zero
            continue
        at = _place(slots, wanted[i, 0], wanted[i, 1])
        found[i] = rows[at] if (slots[at, 0] | slots[at, 1]) != 0 else -1


def index_in(wanted: Ids, among: Ids) -> npt.NDArray[np.int64]:
    """Of each id, (n, 2) uint64, the first row of `among` that it is; -1 where it is none."""
    slots = np.zeros((max(_LEAST_SLOTS, int(len(among) / FULLEST) + 1), 2), np.uint64)
    found = np.empty(len(wanted), np.int64)
    _index(slots, np.zeros(len(slots), np.int64), np.ascontiguousarray(among), np.ascontiguousarray(wanted), found)
    return found


class IdSet:
    """A growing set of ids; `room` is how many are expected, so that it need not grow on the way there."""

    def __init__(self, room: int = 0) -> None:
        self._slots: Ids = np.zeros((max(_LEAST_SLOTS, int(room / FULLEST) + 1), 2), np.uint64)
        self._filled = 0
        self._zero = False  # zeros mark a free slot, so the id of zeros is kept apart

    def __len__(self) -> int:
        return self._filled + self._zero

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        return self._slots.nbytes

    def add(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Insert ids, (n, 2) uint64, and say of each whether it was not there, neither before nor further up.

        Returns
        -------
        (n,) bool
        """
        new = np.zeros(len(ids), np.bool_)
        zeros = np.flatnonzero((ids[:, 0] | ids[:, 1]) == 0)
        if len(zeros):
            new[zeros[0]] = not self._zero
            self._zero = True
        most = self._filled + len(ids)
        if most > FULLEST * len(self._slots):
            self._grow(most)
        self._filled += _insert(self._slots, np.ascontiguousarray(ids), new)
        return new

    def contains(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Of each id, (n, 2) uint64, whether it is in the set."""
        found = np.zeros(len(ids), np.bool_)
        _find(self._slots, np.ascontiguousarray(ids), found)
        found[(ids[:, 0] | ids[:, 1]) == 0] = self._zero
        return found

    def _grow(self, room: int) -> None:
        old = self._slots
        self._slots = np.zeros((int(max(room / FULLEST, len(old) * GROWTH)) + 1, 2), np.uint64)
        _insert(self._slots, old, np.zeros(len(old), np.bool_))
