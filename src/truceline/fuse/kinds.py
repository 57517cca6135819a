"""What a group of accounts says the kind was, without taking repeats for evidence."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.fuse.columns import Groups
from truceline.kernels.grid import distinct
from truceline.kernels.merge import UNNAMED
from truceline.observation import LIKELIHOODS

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: As many sources multiply their likelihoods; more of them repeat each other.
_MOST_SOURCES = 3
#: A general term gives way to its special ones when accounts that name them carry this much of its weight.
_SPECIAL_SHARE = 0.5
#: Alternatives less likely than this are not listed.
LEAST = 0.005


class Kinds(NamedTuple):
    what: Ints  # index of the terms
    confidence: Array
    table: Array  # (groups, terms) the likelihoods, the chosen kind's set to 0


def pooled(kinds: Array, terms: tuple[str, ...], groups: Groups, sources: Ints) -> Kinds:
    """The kind of each group: likelihoods multiplied over sources, averaged (as logs) over accounts of one.

    An account that names a general term supports the special ones that others name ("explosion" and
    "explosion.impact" agree on the latter). A source's tenth copy adds nothing to its first, and no number of
    sources counts for more than three.

    Parameters
    ----------
    kinds
        (n, terms + 1) of `occurrences.kinds_of`.
    sources
        (n,) codes.
    """
    mean = _by_group(kinds, groups)
    kinds = kinds.copy()
    for i, general in enumerate(terms):
        special = [j for j, name in enumerate(terms) if name.startswith(general + ".")]
        if not special:
            continue
        weight = mean[:, special]
        of = weight.sum(axis=1)
        gives_way = (mean[:, i] > 0) & (of > 0) & (of >= _SPECIAL_SHARE * mean[:, i])
        share = np.where(gives_way[:, None], weight / np.where(of > 0, of, 1.0)[:, None], 0.0)[groups.group]
        moved = kinds[:, i] * gives_way[groups.group]
        kinds[:, i] -= moved
        kinds[:, special] += moved[:, None] * share
    named = _by_group(kinds, groups) > 0
    named[:, -1] = True
    width = int(sources.max(initial=0)) + 1
    voices = np.bincount(distinct(groups.group * width + sources) // width, minlength=groups.count)
    weight = np.minimum(voices, _MOST_SOURCES) / groups.size
    log = _by_group(np.log(np.maximum(kinds, UNNAMED)), groups) * (weight * groups.size)[:, None]
    log = np.where(named, log, -np.inf)
    chance = np.exp(log - log.max(axis=1, keepdims=True, initial=-np.inf))
    chance /= chance.sum(axis=1, keepdims=True)
    listed = chance[:, :-1]
    # of equally likely terms the most special one
    depth = np.array([name.count(".") for name in terms])
    what = np.argmax(np.round(listed, 6) + 1e-7 * depth, axis=1) if groups.count else np.empty(0, np.int64)
    rows = np.arange(groups.count)
    rest = listed.copy()
    rest[rows, what] = 0.0
    return Kinds(what, listed[rows, what], rest)


def _by_group(table: Array, groups: Groups) -> Array:
    """Mean of rows by group."""
    if not groups.count:
        return np.empty((0, table.shape[1]))
    return np.asarray(np.add.reduceat(table[groups.order], groups.start, axis=0)) / groups.size[:, None]


def either(first: pa.Array, second: pa.Array, takes_second: npt.NDArray[np.bool_], place: Ints) -> pa.Array:
    """Rows of `first`, but `second[place]` where `takes_second`: works for maps, which if_else may not."""
    both = pa.concat_arrays([first.cast(LIKELIHOODS), second.cast(LIKELIHOODS)])
    index = np.arange(len(first))
    index[takes_second] = len(first) + place[takes_second]
    return both.take(pa.array(index))
