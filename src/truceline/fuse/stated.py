"""What fixes state of an object, as one number a row: what a point's track needs of its fix goes with it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.observation import to_numpy

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]

#: Of a fix, what its track is told by; with `confidence`.
COLUMNS = ("what", "identity", "source", "sensor", "release")
#: Mixed numbers stay below this.
_MOST = 1 << 62


class Words:
    """Words in the order they came up: codes that stay what they are while more come."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._array = pa.array([], pa.string())

    def __len__(self) -> int:
        return len(self._codes)

    def codes(self, column: pa.ChunkedArray | pa.Array) -> Codes:
        """Of a string column, (n,) int32; -1 where it is null."""
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        known = self._codes
        codes = [known.setdefault(word, len(known)) for word in encoded.dictionary.to_pylist()]
        places = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        out: Codes = np.array([*codes, -1], np.int32)[places]
        return out

    def column(self, codes: Codes) -> pa.Array:
        """The words of codes; null for -1."""
        if len(self._array) < len(self._codes):
            self._array = pa.array(list(self._codes), pa.string())
        return self._array.take(pa.array(codes, mask=codes < 0))

    def ranked(self) -> tuple[Ints, list[str]]:
        """The words sorted, and of every code its place among them; one more for -1."""
        words = sorted(self._codes)
        place = {word: at for at, word in enumerate(words)}
        return np.array([*(place[word] for word in self._codes), -1], np.int64), words


@dataclass(frozen=True)
class Said:
    """What the fixes behind some rows say, column by column."""

    confidence: npt.NDArray[np.float64]  # NaN where none is stated
    number: Ints  # of the statement
    _columns: Mapping[str, tuple[Ints, list[str]]]

    def column(self, name: str) -> tuple[Ints, list[str]]:
        """Codes into sorted words, -1 for null; and the words."""
        codes, words = self._columns[name]
        return codes[self.number], words

    def of(self, number: Ints) -> "Said":
        """What statements of these numbers say, whatever the confidence."""
        return Said(np.full(len(number), np.nan), number, self._columns)


class Statements:
    """The distinct statements of fixes, numbered as they come up.

    Memory is that of the distinct ones: of objects by what reports them, not of fixes.
    """

    def __init__(self, words: Mapping[str, Words] | None = None) -> None:
        self.words = {name: Words() for name in COLUMNS} if words is None else words
        self._numbers: dict[bytes, int] = {}
        self._rows: list[Codes] = []
        self._sorted: tuple[int, dict[str, tuple[Ints, list[str]]]] = (-1, {})

    def tags(self, rows: pa.Table) -> Ints:
        """(n,) int64: the number of each row's statement in the upper half, its confidence's bits in the lower."""
        codes = np.column_stack([_codes(rows[name], self.words[name]) for name in COLUMNS])
        first, each = _distinct(codes, [len(self.words[name]) for name in COLUMNS])
        known, before = self._numbers, len(self._numbers)
        new = np.ascontiguousarray(codes[first])
        keys = new.view(f"V{4 * len(COLUMNS)}").ravel().tolist()
        numbers = np.array([known.setdefault(key, len(known)) for key in keys], np.int64)
        self._rows.append(new[numbers >= before])
        confidence = np.ascontiguousarray(to_numpy(rows["confidence"]), np.float32)
        return (numbers[each] << 32) | confidence.view(np.uint32).astype(np.int64)

    def said(self, tags: Ints) -> Said:
        """What tags stand for."""
        if self._sorted[0] != len(self._numbers):
            self._rows = [np.concatenate([np.empty((0, len(COLUMNS)), np.int32), *self._rows])]
            columns = {}
            for name, codes in zip(COLUMNS, self._rows[0].T, strict=True):
                ranks, words = self.words[name].ranked()
                columns[name] = ranks[codes], words
            self._sorted = len(self._numbers), columns
        numbers = tags >> 32
        confidence = (tags & 0xFFFFFFFF).astype(np.uint32).view(np.float32).astype(np.float64)
        return Said(confidence, numbers, self._sorted[1])


def _codes(column: pa.ChunkedArray, words: Words) -> Codes:
    """Codes of words, or a column that is of codes already."""
    if pa.types.is_integer(column.type):
        return np.asarray(to_numpy(column), np.int32)
    return words.codes(column)


def _distinct(codes: Codes, sizes: list[int]) -> tuple[Ints, Ints]:
    """The first of each distinct row, and of every row which that is."""
    mixed, width = np.zeros(len(codes), np.int64), 1
    for column, size in zip(codes.T, sizes, strict=True):
        if width * (size + 1) > _MOST:
            mixed, width = np.unique(mixed, return_inverse=True)[1], len(mixed)
        mixed = mixed * (size + 1) + (column + 1)
        width *= size + 1
    _, first, each = np.unique(mixed, return_index=True, return_inverse=True)
    return first, each
