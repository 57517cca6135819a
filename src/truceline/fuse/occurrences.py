"""Which observations speak of something that occurred, and what each states: where, when, of what kind."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.frame import Frame
from truceline.fuse.assumptions import (
    AT_SIGMA_S,
    CONFIDENCE,
    LEAST_SIGMA_M,
    PERSONS_SIGMA_OTHERWISE_S,
    PERSONS_SIGMA_S,
    POSITION_SIGMA_M,
    STREAMS,
    agreement_of_kinds,
    local_rates,
    stream,
)
from truceline.fuse.columns import coded, rows_of
from truceline.kernels.likelihood import Statements
from truceline.observation import TAXONOMY, ids, to_numpy

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Kinds of observation that can state an occurrence by themselves. Fixes make tracks; an onset or a bearing
#: of one station has no position before it is located with others; a status is of a sensor, site or access.
KINDS = ("hotspot", "sighting", "alert")

#: What fusion reads; whatever else a feed keeps is not taken along.
COLUMNS = (
    *("observation_id", "source", "sensor", "kind", "what", "confidence", "alternatives", "means", "description"),
    *("weapon", "at", "at_sigma_s", "until", "lon", "lat", "major_m", "minor_m", "tilt_deg", "count", "count_max"),
    *("killed", "injured", "text", "release", "firms_frp"),
)

#: An interval shorter than this is no less likely to hold the occurrence, seconds.
_LEAST_INTERVAL_S = 60.0


class Occurrences(NamedTuple):
    """Observations of occurrences, in the order of (time, id), times missing last; arrays of (n,)."""

    table: pa.Table
    stream: Ints  # index of assumptions.STREAMS
    hotspot: npt.NDArray[np.bool_]
    east_m: Array
    north_m: Array
    var_e: Array  # m2
    cov_en: Array
    var_n: Array
    at_s: Array  # the instant stated, or the middle of the interval stated
    var_s: Array  # infinite for an interval
    begins_s: Array  # of the interval; -inf, inf for an instant
    ends_s: Array
    log_rate: Array  # of other occurrences like it round there, per km2 and hour
    terms: tuple[str, ...]  # what occurrences can be: the taxonomy's terms and those the rows name
    left_out: dict[str, int]  # observations that state no occurrence, by why

    def statements(self, rows: Ints, kinds: Array | None = None) -> Statements:
        """What the given rows state; without `kinds` all are of one kind."""
        if kinds is None:
            kinds = expected = np.ones((len(rows), 1))
        else:
            expected = kinds @ agreement_of_kinds(self.terms)
        arrays = (self.east_m, self.north_m, self.var_e, self.cov_en, self.var_n)
        times = (self.at_s, self.var_s, self.begins_s, self.ends_s)
        taken = [array[rows] for array in (*arrays, *times)]
        return Statements._make([*taken, kinds, expected, self.log_rate[rows], np.zeros(len(rows), np.int64)])


def gather(observations: pa.Table, frame: Frame) -> Occurrences:
    """The observations that state an occurrence, sorted, and what they state.

    Times: with `until`, the interval [at, until], wider by the error of its ends; else the instant `at` with its
    error, or with that of `AT_SIGMA_S` where none is stated, never less than `PERSONS_SIGMA_S`. Positions: the
    ellipse, or `POSITION_SIGMA_M` where none is stated, never less than `LEAST_SIGMA_M`. Without a position or a
    time NaN: such rows are occurrences, but like no other.
    """
    kinds, kind_words = coded(observations["kind"])
    whats, what_words = coded(observations["what"])
    streams = np.array([STREAMS.index(s) if (s := stream(w)) else -1 for w in what_words] + [-1], np.int64)[whats]
    states = np.isin(kinds, [i for i, word in enumerate(kind_words) if word in KINDS])
    left_out = {f"kind {word}": int(np.sum(kinds == i)) for i, word in enumerate(kind_words) if word not in KINDS}
    for i, word in enumerate(what_words):
        if stream(word) is None and (n := int(np.sum(states & (whats == i)))):
            left_out[f"what {word}"] = n
    rows = np.flatnonzero(states & (streams >= 0))
    columns = [name for name in COLUMNS if name in observations.column_names]
    pair, at = ids(observations["observation_id"])[rows], np.nan_to_num(to_numpy(observations["at"]), nan=np.inf)[rows]
    rows = rows[np.lexsort((pair[:, 1], pair[:, 0], at))]
    table = rows_of(observations.select(columns), rows)
    # of what instants are worth where their source does not say
    otherwise = np.array([AT_SIGMA_S.get(word, np.nan) for word in kind_words])[kinds[rows]]
    means, words = coded(table["means"])
    least = np.array([PERSONS_SIGMA_S.get(w, PERSONS_SIGMA_OTHERWISE_S) for w in words] + [PERSONS_SIGMA_OTHERWISE_S])
    told = kinds[rows] == _index(kind_words, "sighting")
    where, when = _where(table, frame), _when(table, otherwise, np.where(told, least[means], 0.0))
    return Occurrences(
        *(table, streams[rows], kinds[rows] == _index(kind_words, "hotspot")),
        *(*where, *when),
        log_rate=local_rates(streams[rows], where[0], where[1], when[0]),
        terms=_terms(table),
        left_out=left_out,
    )


def _index(words: list[str], word: str) -> int:
    return words.index(word) if word in words else -2


#: Decimals of a metre in fusing: a projection's last bits must not say on which side of a cell's edge a village on
#: the frame's own meridian lies.
_PLACES = 4


def _where(table: pa.Table, frame: Frame) -> tuple[Array, Array, Array, Array, Array]:
    lon, lat = to_numpy(table["lon"]), to_numpy(table["lat"])
    east, north = (np.round(metres, _PLACES) + 0.0 for metres in frame.to_local(lon, lat))
    major, minor, tilt = (to_numpy(table[c]).astype(np.float64) for c in ("major_m", "minor_m", "tilt_deg"))
    major = np.maximum(np.where(np.isnan(major), POSITION_SIGMA_M, major), LEAST_SIGMA_M)
    minor = np.maximum(np.where(np.isnan(minor), major, minor), LEAST_SIGMA_M)
    return (east, north, *frame.covariance(lon, lat, major, minor, np.nan_to_num(tilt)))


def _when(table: pa.Table, otherwise_s: Array, least_s: Array) -> tuple[Array, Array, Array, Array]:
    at, until = to_numpy(table["at"]), to_numpy(table["until"])
    sigma = to_numpy(table["at_sigma_s"]).astype(np.float64)
    sigma = np.maximum(sigma, least_s)  # NaN stays NaN
    interval = until > at  # False for NaN
    middle, length = (at + until) / 2, np.maximum(until - at, _LEAST_INTERVAL_S)
    # uniform over the interval, its ends blurred: as uniform over one of the same variance, to a second
    half = np.round(np.sqrt(length**2 / 4 + 3 * np.fmax(sigma, least_s) ** 2))
    begins, ends = np.where(interval, middle - half, -np.inf), np.where(interval, middle + half, np.inf)
    sigma = np.where(np.isnan(sigma) | (sigma <= 0), np.maximum(otherwise_s, least_s), sigma)
    return np.where(interval, middle, at), np.where(interval, np.inf, sigma**2), begins, ends


def _terms(table: pa.Table) -> tuple[str, ...]:
    named = {*coded(table["what"])[1], *coded(_flat(table["alternatives"]).field("key"))[1]}
    listed = [name for name in TAXONOMY if stream(name)]
    return (*listed, *sorted(name for name in named if stream(name) and name not in TAXONOMY))


def _flat(maps: pa.ChunkedArray) -> pa.Array:
    """The (key, value) pairs of a map column, as structs, row after row."""
    array = maps.cast(_AS_LIST).combine_chunks()
    return (pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array).flatten()


def kinds_of(table: pa.Table, terms: tuple[str, ...]) -> Array:
    """(n, terms + 1) the probability each row gives to each of `terms`, and to something else.

    A term that is not one of them counts as something else. A row without a confidence gives `CONFIDENCE`
    to its kind, or what its alternatives leave. Rows of more than 1 in all are scaled down to 1.
    """
    out = np.zeros((len(table), len(terms) + 1))
    if not len(table):
        return out
    rows = np.arange(len(table))
    lengths = np.nan_to_num(to_numpy(pc.list_value_length(table["alternatives"].cast(_AS_LIST)))).astype(np.int64)
    pairs = _flat(table["alternatives"])
    codes, words = coded(pairs.field("key"))
    chance = to_numpy(pairs.field("value")).astype(np.float64)
    np.add.at(out, (np.repeat(rows, lengths), _columns(words, terms)[codes]), np.nan_to_num(chance))
    stated = to_numpy(table["confidence"]).astype(np.float64)
    rest = np.minimum(CONFIDENCE, np.maximum(1.0 - out.sum(axis=1), 0.0))
    codes, words = coded(table["what"])
    out[rows, _columns(words, terms)[codes]] += np.where(np.isnan(stated), rest, np.clip(stated, 0.0, 1.0))
    out /= np.maximum(out.sum(axis=1, keepdims=True), 1.0)
    out[:, -1] += 1.0 - out.sum(axis=1)
    return out


_AS_LIST = pa.list_(pa.struct([("key", pa.string()), ("value", pa.float32())]))


def _columns(words: list[str], terms: tuple[str, ...]) -> Ints:
    """Which column each word is; the last for words that are no term."""
    column = {name: i for i, name in enumerate(terms)}
    return np.array([column.get(word, len(terms)) for word in words], np.int64)
