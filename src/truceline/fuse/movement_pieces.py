"""What reading movements in pieces takes: fixes as they were sent, and rows laid aside."""

from collections.abc import Iterator
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.frame import Frame
from truceline.fuse.detections import instants
from truceline.observation import ids, to_numpy
from truceline.pieces import Pieces, PieceWriter, Rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Ids = npt.NDArray[np.uint64]
Columns = dict[str, npt.NDArray[Any]]
Records = TypeVar("Records", bound=NamedTuple)

#: Rows of a part of what is laid aside: some 80 MB while it is worked on. Parts are files open at a time.
_PART_ROWS, _MOST_PARTS = 1 << 18, 128


class Seen(NamedTuple):
    """Fixes with time and place, as they were sent; of an interval its middle, as the tracker takes it."""

    rows: pa.Table
    ids: Ids
    at_s: Floats
    sigma_s: Floats  # 0 where none is stated
    lon: Floats
    lat: Floats
    east_m: Floats
    north_m: Floats

    @classmethod
    def of(cls, observations: pa.Table, frame: Frame) -> "Seen":
        """Of rows of `observation.CORE`: of kind fix alone."""
        lon, lat = (to_numpy(observations[name]).astype(np.float64) for name in ("lon", "lat"))
        at, sigma = instants(observations)
        fix = pc.equal(observations["kind"], "fix").combine_chunks().to_numpy(zero_copy_only=False)
        east, north = frame.to_local(lon, lat)
        good = np.flatnonzero(fix & np.isfinite(at + east + north))
        if len(good) < len(at):
            observations = observations.take(pa.array(good))
        named = ids(observations["observation_id"])
        return cls(observations, named, at[good], sigma[good], lon[good], lat[good], east[good], north[good])

    def numbers(self, name: str) -> Floats:
        """A column of numbers; NaN for null."""
        return to_numpy(self.rows[name]).astype(np.float64)


class Spill:
    """Rows laid aside part by part, and read again one part after the other; in memory where no folder is given.

    Its files are gone when it is left.
    """

    def __init__(self, into: Path | None, name: str, parts: int) -> None:
        self.parts = 1 if into is None else parts
        self._into, self._name = into, name
        self._held: list[pa.Table] = []
        self._writers: dict[int, PieceWriter] = {}
        self._written: dict[int, Pieces] = {}
        self._paths: dict[int, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        for k in range(self.parts):
            self.forget(k)

    def add(self, part: Ints, **columns: npt.NDArray[Any]) -> None:
        """Rows of columns, each to the part that is said."""
        rows = pa.table(columns)
        if not rows.num_rows:
            return
        if self._into is None:
            self._held.append(rows)
            return
        order = np.argsort(part.astype(np.uint8), kind="stable")
        ends = np.searchsorted(part[order], np.arange(self.parts + 1))
        rows = rows.take(pa.array(order))
        for k in range(self.parts):
            if ends[k] < ends[k + 1]:
                if k not in self._writers:
                    self._writers[k] = PieceWriter(self._into / f"{self._name}-{k}.arrow", rows.schema)
                self._writers[k].write(rows.slice(int(ends[k]), int(ends[k + 1] - ends[k])))

    def close(self) -> None:
        """Nothing more is to come."""
        self._written |= {k: writer.close() for k, writer in self._writers.items()}
        self._paths |= {k: writer.path for k, writer in self._writers.items()}
        self._writers = {}

    def part(self, k: int) -> Columns:
        """The columns of a part in the order they came; none where it has no rows."""
        if self._into is None:
            whole = pa.concat_tables(self._held) if self._held else pa.table({})
        else:
            whole = self._written[k].table() if k in self._written else pa.table({})
        return {name: whole[name].to_numpy() for name in whole.column_names}

    def forget(self, k: int) -> None:
        """A part is not read again."""
        self._held = []
        if self._written.pop(k, None) is not None:
            self._paths.pop(k).unlink()


def parts_for(rows: Rows) -> int:
    """How many parts so many rows are laid aside in."""
    return min(max(ceil(rows.num_rows / _PART_ROWS), 1), _MOST_PARTS)


def joined(parts: list[Columns]) -> Columns:
    """Columns one behind the other; all of the same names."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def taken(columns: Columns, rows: Ints) -> Columns:
    """Some rows of columns."""
    return {name: column[rows] for name, column in columns.items()}


def some(records: Records, rows: Ints | slice) -> Records:
    """Some rows of a tuple of columns."""
    return type(records)._make(column[rows] for column in records)


def stacked(parts: list[Records]) -> Records:
    """Tuples of columns, at least one, one behind the other."""
    return type(parts[0])._make(np.concatenate(column) for column in zip(*parts, strict=True))


def each(spill: Spill) -> Iterator[Columns]:
    """Part after part, and away with it; those without rows are passed over."""
    for k in range(spill.parts):
        rows = spill.part(k)
        if rows:
            yield rows
        spill.forget(k)
