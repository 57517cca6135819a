"""The ids of all observations that are journalled, to tell what is new from what came before."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline import observation
from truceline.errors import StoreError
from truceline.kernels.idset import Ids, IdSet
from truceline.store.reading import Reader, leaf_pairs


class Known:
    """A set of observation ids: 16 bytes each and some room; `room` is how many are expected."""

    def __init__(self, room: int = 0) -> None:
        self._ids = IdSet(room)

    @classmethod
    def of(cls, reader: Reader) -> "Known":
        """Those of a journal, its tail included."""
        frames = reader.of("observation")
        known = cls(sum(frame.rows for frame in frames))
        for frame in frames:
            known.add(leaf_pairs(reader.rows(frame.number, ["leaf"])["leaf"]))
        for rows in reader.unrolled("observation"):
            known.add(leaf_pairs(rows["leaf"]))
        return known

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Ids) -> None:
        """Ids, (n, 2) uint64, that are journalled now."""
        self._ids.add(ids)

    def sorted_out(self, batches: Sequence[pa.Table]) -> tuple[Ids, list[npt.NDArray[np.bool_]]]:
        """Which observations are not known, neither from before nor from further up.

        Returns
        -------
        The new ids, to `add` once they are on disk: what could not be written is still new when it comes again. And
        of each batch a mask of its rows, bool.

        Raises
        ------
        StoreError
            When an id is not the beginning of its leaf.
        """
        each = [observation.ids(rows["observation_id"]) for rows in batches]
        for rows, ids in zip(batches, each, strict=True):
            wrong = np.flatnonzero((ids != leaf_pairs(rows["leaf"])).any(axis=1))
            if len(wrong):
                raise StoreError(f"observation rows: the id in row {wrong[0]} is not the beginning of its leaf")
        joined = np.concatenate(each) if each else np.empty((0, 2), np.uint64)
        new = IdSet(len(joined)).add(joined)
        new &= ~self._ids.contains(joined)
        return joined[new], np.split(new, np.cumsum([len(ids) for ids in each])[:-1])[: len(each)]
