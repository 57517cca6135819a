"""Questions to tables of which there may be more than memory holds: asked piece by piece.

What lies in each part, and how many of its rows a question is about, is remembered as long as the part is there, so
that most parts are read once.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import pyarrow as pa
import pyarrow.compute as pc

from truceline.pieces import Pieces, Rows, chained, parts_of, pieces_of
from truceline.serve.filters import Extent, Question, matching, outside
from truceline.serve.views import Collection

#: Questions whose counts are remembered of each part: those of the pages that are turned at the same time.
_QUESTIONS = 16


class _Known:
    """What is known of a part: where the values of its columns lie, how many rows answer a question."""

    def __init__(self) -> None:
        self.extents: dict[str, Extent] = {}
        self.counts: OrderedDict[Any, int] = OrderedDict()


class Sifter:
    """Finds rows of tables in memory and in pieces alike."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Pieces, _Known] = WeakKeyDictionary()
        self._lock = threading.RLock()

    def page(
        self, rows: Rows, about: Collection, question: Question, offset: int, limit: int | None
    ) -> tuple[pa.Table, int]:
        """The rows that are asked for from `offset` at most `limit`, and how many there are of them altogether.

        Raises
        ------
        QueryError
            When a filter names no column, or a value that it cannot have.
        """
        found = [matching(rows.schema.empty_table(), about, question)]
        matched, end = 0, None if limit is None else offset + limit
        for part in parts_of(rows):
            count = self._count(part, about, question)
            if count is None or (matched + count > offset and (end is None or matched < end) and count):
                here = self._whole(part, about, question)
                count = here.num_rows
                first = max(offset - matched, 0)
                last = count if end is None else min(end - matched, count)
                if first < last:
                    found.append(here.slice(first, last - first))
            matched += count
        return (found[-1] if len(found) < 3 else pa.concat_tables(found)), matched

    def every(self, rows: Rows, about: Collection, question: Question) -> Rows:
        """All rows that are asked for; of pieces in pieces, which are read when they are wanted. Raises as `page`."""
        if isinstance(rows, pa.Table):
            return matching(rows, about, question)
        matching(rows.schema.empty_table(), about, question)
        if not _asks(about, question):
            return rows
        kept = []
        for part in parts_of(rows):
            count = self._count(part, about, question)
            if count is None:
                count = sum(piece.num_rows for piece in self._sifted(part, about, question))
            kept.append(Pieces(rows.schema, count, partial(self._sifted, part, about, question)))
        return chained(kept, rows.schema)

    def where(self, rows: Rows, column: str, values: Sequence[bytes | str]) -> Iterator[pa.Table]:
        """The rows with one of these values in a column, part by part; nothing more is read than is taken."""
        wanted = pa.array(values, rows.schema.field(column).type)
        for part in parts_of(rows):
            extent = self._of(part).extents.get(column)
            if extent is not None and (
                extent.least is None or all(one < extent.least or one > extent.most for one in values)
            ):
                continue
            for piece in self._read(part):
                found = piece.filter(pc.is_in(piece[column], value_set=wanted))
                if found.num_rows:
                    yield found

    def extent(self, rows: Rows, column: str) -> Extent:
        """Where the values of a column lie in all rows."""
        found = Extent(None, None, True)
        for part in parts_of(rows):
            if column not in self._of(part).extents and isinstance(part, Pieces):
                deque(self._read(part), maxlen=0)
            here = _extent(part[column]) if isinstance(part, pa.Table) else self._of(part).extents[column]
            found = _both(found, here)
        return found

    def _count(self, part: Rows, about: Collection, question: Question) -> int | None:
        """How many rows of a part are asked for; None: it has to be read to know."""
        if not _asks(about, question):
            return part.num_rows
        known = self._of(part)
        if outside(known.extents, part.schema, about, question):
            return 0
        with self._lock:
            return known.counts.get(_key(about, question))

    def _whole(self, part: Rows, about: Collection, question: Question) -> pa.Table:
        return pa.concat_tables([part.schema.empty_table(), *self._sifted(part, about, question)])

    def _sifted(self, part: Rows, about: Collection, question: Question) -> Iterator[pa.Table]:
        """The rows of a part that are asked for; how many they are is learned on the way."""
        count = 0
        for piece in self._read(part):
            found = matching(piece, about, question)
            count += found.num_rows
            if found.num_rows:
                yield found
        if isinstance(part, Pieces):
            with self._lock:
                counts = self._of(part).counts
                counts[_key(about, question)] = count
                while len(counts) > _QUESTIONS:
                    counts.popitem(last=False)

    def _read(self, part: Rows) -> Iterator[pa.Table]:
        """The pieces of a part; where its values lie is learned on the way."""
        known = self._of(part)
        if known.extents or not isinstance(part, Pieces):
            yield from pieces_of(part)
            return
        extents: dict[str, Extent] = {}
        for piece in part:
            for name in piece.column_names:
                if _ordered(piece.schema.field(name).type):
                    here = _extent(piece[name])
                    extents[name] = _both(extents[name], here) if name in extents else here
            yield piece
        known.extents = extents

    def _of(self, part: Rows) -> _Known:
        if not isinstance(part, Pieces):
            return _Known()
        with self._lock:
            return self._known.setdefault(part, _Known())


def _asks(about: Collection, question: Question) -> bool:
    timed = question.interval is not None and about.begins is not None
    return question.bbox is not None or timed or bool(question.filters)


def _key(about: Collection, question: Question) -> Any:
    return about.begins, about.ends, question.bbox, question.interval, tuple(question.filters)


def _ordered(kind: pa.DataType) -> bool:
    """Whether values of a type have an order that is remembered: ids, numbers, times."""
    types = pa.types
    return any(of(kind) for of in (types.is_fixed_size_binary, types.is_floating, types.is_integer, types.is_timestamp))


def _extent(column: pa.ChunkedArray) -> Extent:
    ends = pc.min_max(column)
    whole = not column.null_count
    if whole and pa.types.is_floating(column.type):
        whole = not pc.any(pc.is_nan(column)).as_py()
    return Extent(ends["min"].as_py(), ends["max"].as_py(), whole)


def _both(a: Extent, b: Extent) -> Extent:
    """Where the values of two lots of rows lie; NaN is no value."""
    least = [one.least for one in (a, b) if one.least is not None and one.least == one.least]
    most = [one.most for one in (a, b) if one.most is not None and one.most == one.most]
    return Extent(min(least, default=None), max(most, default=None), a.whole and b.whole)
