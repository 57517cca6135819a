"""Fixes in order of time, then id, however many: sorted in runs on disk, and the runs merged block by block."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.fuse.detections import instants
from truceline.fuse.stated import Words
from truceline.observation import CORE, ids
from truceline.pieces import Pieces, PieceWriter, chained

Ints = npt.NDArray[np.int64]

#: What tracking reads of an observation; whatever else a feed keeps is not taken along.
COLUMNS = (
    *("observation_id", "source", "sensor", "kind", "what", "confidence", "at", "at_sigma_s", "until", "lon", "lat"),
    *("alt_m", "major_m", "minor_m", "tilt_deg", "speed_mps", "course_deg", "identity", "release"),
)
SCHEMA = pa.schema([CORE.field(name) for name in COLUMNS])
#: On disk words are codes: five bytes a row instead of fifty, and nothing to look up twice.
WORDS = tuple(field.name for field in SCHEMA if pa.types.is_string(field.type))
CODED = pa.schema([pa.field(f.name, pa.int32()) if f.name in WORDS else f for f in SCHEMA])

#: Rows sorted at a time (55 MB and their keys); of a block of a file, of which one of each run is held when runs are
#: merged; and of a piece as it is handed out.
RUN_ROWS, BLOCK_ROWS, PIECE_ROWS = 1 << 19, 1 << 13, 1 << 15

#: Time, then the two halves of the id.
Keys = tuple[npt.NDArray[np.float64], npt.NDArray[np.uint64], npt.NDArray[np.uint64]]
Key = tuple[np.float64, np.uint64, np.uint64]


def keys(rows: pa.Table) -> Keys:
    """What rows are sorted by: their time (of an interval its middle; infinite where there is none), then their id."""
    at_s = instants(rows)[0]
    first, second = ids(rows["observation_id"]).T
    return np.where(np.isnan(at_s), np.inf, at_s), first, second


def order(of: Keys) -> Ints | None:
    """The order of rows; None where they are in it already."""
    at_s, first, second = of
    if not len(at_s):
        return None
    later = (at_s[1:] > at_s[:-1]) | ((at_s[1:] == at_s[:-1]) & (first[1:] > first[:-1]))
    return None if later.all() else order_by(at_s, first, second)


def order_by(*of: npt.NDArray[Any]) -> Ints:
    """The order by the first key, then the second, and so on: sorted anew only where the first leaves it open."""
    by = np.argsort(of[0], kind="stable")
    same = of[0][by[1:]] == of[0][by[:-1]]
    open_, wrong = same.copy(), np.zeros(len(same), np.bool_)
    for key in of[1:]:
        a, b = key[by[:-1]], key[by[1:]]
        wrong |= open_ & (b < a)
        open_ &= a == b
    if wrong.any():
        group = np.cumsum(np.append(False, ~same))
        again = np.zeros(group[-1] + 1, np.bool_)
        again[group[1:][wrong]] = True
        rows = np.flatnonzero(again[group])
        some = by[rows]
        by[rows] = some[np.lexsort([key[some] for key in reversed(of)])]
    return by


def sorted_rows(rows: pa.Table) -> pa.Table:
    """Rows in order of time, then id."""
    by = order(keys(rows))
    return rows if by is None else rows.take(pa.array(by))


def fixes_of(rows: pa.Table) -> pa.Table:
    """The fixes among rows, with the columns of `SCHEMA`."""
    return rows.select(COLUMNS).filter(pc.equal(rows["kind"], "fix")).cast(SCHEMA)


@dataclass(frozen=True)
class InOrder:
    """Fixes in order of time, then id, in files of `into`; those without time last.

    `coded` has the columns of `CODED`, codes of `words`; `fixes` those of `SCHEMA`, in pieces of `PIECE_ROWS` rows.
    """

    coded: Pieces
    words: Mapping[str, Words]

    @property
    def fixes(self) -> Pieces:
        """With words for their codes."""

        def read() -> Iterator[pa.Table]:
            for piece in gathered(self.coded, PIECE_ROWS):
                yield self.plain(piece)

        return Pieces(SCHEMA, self.coded.num_rows, read)

    def plain(self, coded: pa.Table) -> pa.Table:
        """Some of the rows with words for their codes."""
        columns = [
            self.words[name].column(coded[name].to_numpy()) if name in WORDS else coded[name] for name in COLUMNS
        ]
        return pa.Table.from_arrays(columns, schema=SCHEMA).combine_chunks()


def in_order(tables: Iterable[pa.Table], into: Path) -> InOrder:
    """The fixes of tables in any order, read once.

    Runs that do not overlap in time, as of files that come in order, are one behind the other as they are; of the
    others a block of each is in memory while they are merged.
    """
    words = {name: Words() for name in WORDS}
    runs = [*_runs(tables, words, into)]
    runs.sort(key=lambda run: run.first)
    groups: list[list[_Run]] = []
    last: Key | None = None
    for run in runs:
        if last is None or run.first > last:
            groups.append([])
        groups[-1].append(run)
        last = run.last if last is None else max(last, run.last)
    parts = [
        group[0].rows if len(group) == 1 else _merged(group, into / f"merged-{number}.arrow")
        for number, group in enumerate(groups)
    ]
    return InOrder(chained(parts, CODED), words)


def _runs(tables: Iterable[pa.Table], words: Mapping[str, Words], into: Path) -> "Iterator[_Run]":
    """Sorted files of about `RUN_ROWS` fixes."""
    held: list[pa.Table] = []
    number = 0
    for part in gathered(map(fixes_of, tables), PIECE_ROWS):
        held.append(_coded(part, words))
        if len(held) * PIECE_ROWS >= RUN_ROWS:
            yield _run(held, into / f"run-{number}.arrow")
            held, number = [], number + 1
    if held:
        yield _run(held, into / f"run-{number}.arrow")


def gathered(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The rows of tables, so many at a time; the last may be fewer."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        while count + table.num_rows >= rows:
            yield pa.concat_tables([*held, table.slice(0, rows - count)])
            table = table.slice(rows - count)
            held, count = [], 0
        if table.num_rows:
            held.append(table)
            count += table.num_rows
    if count:
        yield pa.concat_tables(held)


def _coded(rows: pa.Table, words: Mapping[str, Words]) -> pa.Table:
    columns = [pa.array(words[name].codes(rows[name])) if name in WORDS else rows[name] for name in COLUMNS]
    return pa.Table.from_arrays(columns, schema=CODED)


@dataclass
class _Run:
    """A sorted file, read from its beginning: the block at hand and its keys."""

    path: Path
    rows: Pieces
    first: Key
    last: Key
    read: Iterator[pa.Table] = field(default_factory=lambda: iter(()))
    block: pa.Table = field(default_factory=CODED.empty_table)
    keys: Keys = field(default_factory=lambda: keys(CODED.empty_table()))

    def begin(self) -> None:
        self.read = iter(self.rows)
        self.more()

    def more(self) -> bool:
        """Take the next block up; False when there is none."""
        block = next(self.read, None)
        self.block = CODED.empty_table() if block is None else block
        self.keys = keys(self.block)
        return block is not None

    def end(self) -> Key:
        """The last key of the block at hand."""
        return _key(self.keys, -1)

    def until(self, last: Key) -> pa.Table:
        """Take the rows off the block that are not after a key."""
        low, high = 0, self.block.num_rows
        for column, value in zip(self.keys, last, strict=True):
            some = column[low:high]
            low, high = low + int(np.searchsorted(some, value)), low + int(np.searchsorted(some, value, "right"))
        out, self.block = self.block.slice(0, high), self.block.slice(high)
        self.keys = self.keys[0][high:], self.keys[1][high:], self.keys[2][high:]
        return out


def _key(of: Keys, row: int) -> Key:
    return of[0][row], of[1][row], of[2][row]


def _run(parts: list[pa.Table], path: Path) -> _Run:
    """Rows sorted and written."""
    rows = pa.concat_tables(parts)
    at_s, first_half, second_half = (np.concatenate(each) for each in zip(*map(keys, parts), strict=True))
    of = at_s, first_half, second_half
    by = order(of)
    first, last = (0, -1) if by is None else (int(by[0]), int(by[-1]))
    with PieceWriter(path, CODED) as file:
        for low in range(0, rows.num_rows, BLOCK_ROWS):
            some = slice(low, low + BLOCK_ROWS)
            file.write(rows.slice(low, BLOCK_ROWS) if by is None else rows.take(pa.array(by[some])))
    return _Run(path, file.close(), _key(of, first), _key(of, last))


def _merged(runs: list[_Run], path: Path) -> Pieces:
    """Runs in order of their first keys as one file; theirs are removed."""
    with PieceWriter(path, CODED) as file:
        for piece in gathered(_blocks(runs), BLOCK_ROWS):
            file.write(piece)
    for run in runs:
        run.path.unlink()
    return file.close()


def _blocks(runs: list[_Run]) -> Iterator[pa.Table]:
    """What is up to the least last key of the blocks at hand, again and again: nothing before it is to come."""
    waiting = runs[::-1]
    open_: list[_Run] = []
    while waiting or open_:
        if not open_:
            open_.append(waiting.pop())
            open_[0].begin()
        last = min(run.end() for run in open_)
        while waiting and waiting[-1].first <= last:
            open_.append(waiting.pop())
            open_[-1].begin()
            last = min(last, open_[-1].end())
        parts = [part for run in open_ if (part := run.until(last)).num_rows]
        yield sorted_rows(pa.concat_tables(parts)) if len(parts) > 1 else parts[0]
        open_ = [run for run in open_ if run.block.num_rows or run.more()]
