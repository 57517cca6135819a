"""From records to the two tables a feed gives: what was accepted, and what was rejected and why."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline import observation
from truceline.mission import Source

#: A column beside those of the observation, of booleans: rows that carry no time of their own, although `at` is known
#: from elsewhere. Without it those are the rows without `at`.
UNTIMED = "untimed"
#: Another such column, int64: the day (since 1970) of records that carry a time of day alone. It is hashed with
#: their bytes, so that the same bytes on another day are another record. -1: the bytes alone.
DAY = "day"

#: A rejection shows this much of the bad value; the whole of it is in `raw`.
SHOWN_CHARACTERS = 120


class Batch(NamedTuple):
    """Some consecutive records of one file: every one is a row of one of the two tables."""

    observations: pa.Table
    rejections: pa.Table


class Feed(Protocol):
    """One format. It keeps nothing between files."""

    def check(self, source: Source) -> None:
        """Raise MissionError when the mission file says something of `source` that this feed cannot mean."""

    def read(
        self, source: Source, path: str, name: str, received_at: datetime, chunk_bytes: int = ...
    ) -> Iterator[Batch]:
        """The records of the file at `path`, in order; `name` is what the evidence calls it.

        What is given does not depend on `chunk_bytes`, only how it is cut into batches.
        """
        ...


class Fault(NamedTuple):
    """Why a record is rejected: in words, and where it applies the field and its value."""

    reason: str
    field: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class Records:
    """Some consecutive records of a file.

    `raws` are their bytes; `broken` those that are no record of the format at all, by position; `columns`
    the text of the wanted columns of all others, in order (null where a format other than CSV has a null).
    """

    first: int  # number of the first record in its file, from 1
    raws: list[bytes]
    broken: dict[int, Fault]
    columns: dict[str, pa.Array]
    #: Of records that end a damaged file: the byte where it broke, which keeps two such ends apart.
    break_at: int | None = None
    #: Their hashes, where they are not all of one source; None: they are, and have none yet.
    leaves: list[bytes] | None = None

    @property
    def rows(self) -> int:
        """How many records `columns` has."""
        return len(self.raws) - len(self.broken)


@dataclass
class Faults:
    """Which of `rows` records have a bad value; of several, the first found is told."""

    rows: int
    why: dict[int, Fault] = field(default_factory=dict)

    def add(self, where: npt.NDArray[np.bool_], name: str, values: pa.Array | None, reason: str) -> None:
        """Reject the records `where`: "<name> = <value> <reason>"."""
        for row in np.flatnonzero(where).tolist():
            if row not in self.why:
                value = None if values is None else shown(values[row].cast(pa.string()).as_py())
                self.why[row] = Fault(f"{name} = {value} {reason}" if value else f"{name} {reason}", name, value)

    def tell(self, row: int, reason: str, name: str, value: str) -> None:
        """Reject one record for a reason of its own."""
        self.why.setdefault(row, Fault(reason, name, value))

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Which records have no bad value."""
        mask = np.ones(self.rows, np.bool_)
        mask[list(self.why)] = False
        return mask


def shown(value: str | None) -> str | None:
    """A value as a message shows it: one line, not too long."""
    if value is None:
        return None
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in value[:SHOWN_CHARACTERS])
    return line + "…" if len(value) > SHOWN_CHARACTERS else line


@dataclass
class Intake:
    """Makes batches of one file's records; counts repeats of records that carry no time of their own."""

    source: Source
    name: str
    received_at: datetime
    licence: str | None
    #: The how-manieth record of these bytes is kept in this column, for records without a time.
    occurrence_column: str | None = None
    seen: Counter[bytes] = field(default_factory=Counter)

    def batch(self, records: Records, columns: Callable[[Faults], Mapping[str, Any]]) -> Batch:
        """The records as tables; `columns` reads the fields, with a place to put what is wrong with them."""
        faults = Faults(records.rows)
        values = dict(columns(faults))
        untimed, day = values.pop(UNTIMED, None), values.pop(DAY, None)
        total = len(records.raws)
        whole = np.ones(total, np.bool_)
        whole[list(records.broken)] = False
        position = np.flatnonzero(whole)  # of each row of `values` among the records
        good = faults.good
        accepted = np.zeros(total, np.bool_)
        accepted[position[good]] = True
        leaves = records.leaves or self._leaves(records.raws, position, good, day)
        occurrences = self._occurrences(values, untimed, position, good, records, leaves)
        why = {**records.broken, **{int(position[row]): fault for row, fault in faults.why.items()}}
        if records.break_at is not None:
            last = records.raws[-1:]
            leaves[-1:] = observation.leaves(self.source.id, last, [records.break_at])
        numbers = np.arange(records.first, records.first + total)
        return Batch(
            self._observations(records, values, leaves, numbers, position, good, occurrences),
            self._rejections(records, leaves, numbers, why),
        )

    def _leaves(
        self,
        raws: list[bytes],
        position: npt.NDArray[np.int64],
        good: npt.NDArray[np.bool_],
        day: npt.NDArray[np.int64] | None,
    ) -> list[bytes]:
        """The records' hashes: of their bytes alone, or with their day where they have one."""
        if day is None:
            return observation.leaves(self.source.id, raws)
        numbers = np.full(len(raws), -1, np.int64)
        numbers[position[good]] = day[good]
        leaves: list[bytes] = []
        # Records of one kind mostly stand together.
        cuts = [0, *(np.flatnonzero(np.diff(numbers < 0)) + 1).tolist(), len(raws)]
        for begin, end in pairwise(cuts):
            days = None if begin == end or numbers[begin] < 0 else numbers[begin:end].tolist()
            leaves += observation.leaves(self.source.id, raws[begin:end], days)
        return leaves

    def _occurrences(
        self,
        values: Mapping[str, Any],
        untimed: npt.NDArray[np.bool_] | None,
        position: npt.NDArray[np.int64],
        good: npt.NDArray[np.bool_],
        records: Records,
        leaves: list[bytes],
    ) -> npt.NDArray[np.int32] | None:
        """Number the repeats among accepted records without a time, and give them their leaves."""
        if self.occurrence_column is None:
            return None
        at = values.get("at")
        if untimed is None:
            untimed = np.ones(len(good), np.bool_) if at is None else at.is_null().to_numpy(zero_copy_only=False)
        numbers = np.zeros(len(good), np.int32)
        for row in np.flatnonzero(untimed & good).tolist():
            place = int(position[row])
            key = leaves[place][:16]
            self.seen[key] += 1
            numbers[row] = self.seen[key]
            leaves[place] = observation.leaves(self.source.id, [records.raws[place]], [self.seen[key]])[0]
        return numbers

    def _observations(
        self,
        records: Records,
        values: Mapping[str, Any],
        leaves: list[bytes],
        numbers: npt.NDArray[np.int64],
        position: npt.NDArray[np.int64],
        good: npt.NDArray[np.bool_],
        occurrences: npt.NDArray[np.int32] | None,
    ) -> pa.Table:
        mine, raws = leaves, records.raws
        if len(position) < len(raws):
            mine, raws = [leaves[p] for p in position.tolist()], [raws[p] for p in position.tolist()]
        digests = np.frombuffer(b"".join(mine), np.uint8).reshape(-1, 32)
        columns = dict(values) | {
            "observation_id": _fixed(digests[:, :16]),
            "leaf": _fixed(digests),
            "source": self.source.id,
            "record": numbers[position],
            "received_at": pa.repeat(pa.scalar(self.received_at, observation.TIME), len(position)),
            "release": self.source.release,
            "licence": self.licence,
            "file": self.name,
            "raw": pa.array(raws, pa.large_binary()),
        }
        if self.occurrence_column is not None and occurrences is not None:
            columns[self.occurrence_column] = pa.array(occurrences, pa.int32(), mask=occurrences == 0)
        table = observation.table(columns, len(position))
        return table if good.all() else table.filter(pa.array(good))

    def _rejections(
        self, records: Records, leaves: list[bytes], numbers: npt.NDArray[np.int64], why: Mapping[int, Fault]
    ) -> pa.Table:
        if not why:
            return observation.REJECTION.empty_table()
        places = sorted(why)
        columns = {
            "source": self.source.id,
            "record": numbers[places],
            "field": [why[p].field for p in places],
            "value": [why[p].value for p in places],
            "reason": [why[p].reason for p in places],
            "received_at": pa.repeat(pa.scalar(self.received_at, observation.TIME), len(places)),
            "release": self.source.release,
            "licence": self.licence,
            "file": self.name,
            "raw": [records.raws[p] for p in places],
            "leaf": [leaves[p] for p in places],
        }
        return observation.table(columns, len(places), observation.REJECTION)


def _fixed(digests: npt.NDArray[np.uint8]) -> pa.Array:
    """Rows of bytes as a fixed-size binary column."""
    rows, width = digests.shape
    return pa.Array.from_buffers(pa.binary(width), rows, [None, pa.py_buffer(np.ascontiguousarray(digests).tobytes())])
