"""Columns of groups: lists, likelihoods, best supported words, all built from offsets, never row by row."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.kernels.grid import distinct
from truceline.observation import LIKELIHOODS, RELEASES

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]


def coded(column: pa.ChunkedArray | pa.Array, in_order: bool = True) -> tuple[Ints, list[str]]:
    """A string column as codes into its words; -1 where it is null.

    The words are sorted, so that codes compare as words do and depend on the words alone; without `in_order`
    (for long texts, of which only sameness matters) they are left out.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(column, pa.ChunkedArray):  # more than one chunk's worth of characters
        column = pa.concat_arrays([chunk.cast(pa.large_string()) for chunk in column.chunks])
    encoded = column.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    if not in_order:
        return codes, []
    words = encoded.dictionary.to_pylist()
    order = sorted(range(len(words)), key=words.__getitem__)
    rank = np.empty(len(words) + 1, np.int64)
    rank[order] = np.arange(len(words))
    rank[-1] = -1
    return rank[codes], [words[i] for i in order]


class Groups:
    """Rows by the group they belong to: `order` lists them group by group, in row order within each."""

    def __init__(self, group: Ints, count: int) -> None:
        self.group = group
        self.count = count
        self.order = np.argsort(group, kind="stable")
        self.start = np.searchsorted(group[self.order], np.arange(count))
        self.size = np.bincount(group, minlength=count)

    def total(self, values: Array) -> Array:
        """Sum by group; NaN where a row of it is NaN. Every group has at least one row."""
        return np.asarray(np.add.reduceat(values[self.order], self.start)) if self.count else np.empty(0)

    def mean(self, values: Array, weights: Array | None = None) -> Array:
        """Mean by group."""
        if weights is None:
            return self.total(values) / self.size
        return self.total(values * weights) / self.total(weights)

    def least(self, values: Array) -> Array:
        """Least by group, NaN left out; NaN where all are."""
        return np.asarray(np.fmin.reduceat(values[self.order], self.start)) if self.count else np.empty(0)

    def greatest(self, values: Array) -> Array:
        """Greatest by group, NaN left out; NaN where all are."""
        return np.asarray(np.fmax.reduceat(values[self.order], self.start)) if self.count else np.empty(0)

    def known_total(self, values: Array) -> Array:
        """Sum by group of what is not NaN; NaN where nothing is."""
        known = ~np.isnan(values)
        return np.where(self.total(known.astype(np.float64)) > 0, self.total(np.where(known, values, 0.0)), np.nan)

    def words(self, codes: Ints, words: list[str]) -> pa.Array:
        """The distinct words of each group, sorted: a list column; empty lists where there is none."""
        width = max(len(words), 1)
        pairs = distinct((self.group * width + codes)[codes >= 0])
        offsets = np.searchsorted(pairs // width, np.arange(self.count + 1))
        values = pa.array(words, pa.string()).take(pa.array(pairs % width))
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)

    def most(self, codes: Ints, weights: Array | None = None) -> Ints:
        """The code with most rows (or weight) in each group, the first of equals; -1 where there is none."""
        out = np.full(self.count, -1, np.int64)
        known = codes >= 0
        if not known.any():
            return out
        width = int(codes.max()) + 1
        each = self.group[known] * width + codes[known]
        pairs = distinct(each)
        support = np.bincount(np.searchsorted(pairs, each), None if weights is None else np.round(weights[known], 9))
        order = np.lexsort((pairs % width, -support, pairs // width))
        group = pairs[order] // width
        first = np.flatnonzero(np.diff(group, prepend=-1))
        out[group[first]] = pairs[order][first] % width
        return out


def chosen(codes: Ints, words: list[str]) -> pa.Array:
    """The words of codes; null for -1."""
    return pa.array(words, pa.string()).take(pa.array(codes, mask=codes < 0))


def whole(values: Array) -> pa.Array:
    """Whole numbers as int32, NaN null."""
    missing = np.isnan(values)
    return pa.array(np.where(missing, 0, values).astype(np.int32), mask=missing)


def single(values: Array) -> pa.Array:
    """float32, NaN null."""
    return pa.array(values.astype(np.float32), mask=np.isnan(values))


def double(values: Array) -> pa.Array:
    """float64, NaN null."""
    return pa.array(values, mask=np.isnan(values))


def moments(seconds: Array) -> pa.Array:
    """Seconds since 1970 as timestamps, to a microsecond; NaN null."""
    missing = np.isnan(seconds)
    micros = np.round(np.where(missing, 0.0, seconds) * 1e6).astype(np.int64)
    return pa.array(micros, pa.int64(), mask=missing).cast(pa.timestamp("us", tz="UTC"))


def likelihoods(table: Array, terms: list[str], least: float) -> pa.Array:
    """A map column from (rows, terms) probabilities: those of at least `least`, greatest first, then by term.

    Rows without any are null.
    """
    row, term = np.nonzero(table >= least)
    value = table[row, term]
    rank = np.argsort(np.argsort(np.array(terms, object))) if terms else np.empty(0, np.int64)
    order = np.lexsort((rank[term], -value, row))
    row, term, value = row[order], term[order], value[order]
    offsets = np.searchsorted(row, np.arange(len(table) + 1)).astype(np.int32)
    keys = pa.array(terms, pa.string()).take(pa.array(term, pa.int64()))
    built = pa.MapArray.from_arrays(pa.array(offsets), keys, pa.array(value.astype(np.float32)))
    empty = pa.array(offsets[1:] == offsets[:-1])
    return pc.if_else(empty, pa.nulls(len(table), LIKELIHOODS), built.cast(LIKELIHOODS))


def release_ranks(column: pa.ChunkedArray) -> Ints:
    """How narrow each row's release label is, as an index of RELEASES; missing and unknown are the narrowest."""
    codes, words = coded(column)
    ranks = [RELEASES.index(word) if word in RELEASES else len(RELEASES) - 1 for word in words]
    return np.array([*ranks, len(RELEASES) - 1], np.int64)[codes]


def narrowest(ranks: Array) -> pa.Array:
    """The labels of ranks."""
    return pa.array(RELEASES).take(pa.array(ranks.astype(np.int64)))


def rows_of(table: pa.Table, rows: Any) -> pa.Table:
    """The given rows, each column in one chunk."""
    return table.take(pa.array(rows)).combine_chunks()
