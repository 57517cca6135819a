"""What clauses are held against, as arrays: every incident with its events, or every party's duty.

A row is one event; a subject is the incident it belongs to. Rows are ordered by subject id, then event id,
so that nothing computed from them depends on the order in which the tables came.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.agreement import Assumption
from truceline.frame import Frame
from truceline.kernels.idset import index_in
from truceline.observation import id_order, ids, one_array, table, to_numpy
from truceline.observation import term as term_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


#: Of a kind whose source stated no probability: nobody is certain. Fusing takes the same number for each account of
#: an event that has several, so what comes here without one is a single account, or a satellite's.
UNSTATED = Assumption(
    value=0.9,
    source="people and outlets are mostly right about what they saw; no source stated a probability",
    confidence="low",
)


@dataclass(frozen=True)
class Kinds:
    """How likely each row is each term: one entry for every (row, term) pair.

    `p` sums to at most 1 in a row. A stated kind without a stated confidence counts as `UNSTATED` has it, or less
    where its alternatives leave less.
    """

    terms: list[str]
    rows: int
    row: Ints
    code: Ints
    p: Floats
    assumed: Bools  # (rows,) whether the likelihood of what a row is said to be is `UNSTATED`

    @classmethod
    def of(cls, events: pa.Table) -> "Kinds":
        """From `what`, `confidence` and `alternatives`."""
        n = events.num_rows
        alternatives = events["alternatives"].combine_chunks()
        if isinstance(alternatives, pa.ChunkedArray):
            alternatives = (
                pa.concat_arrays(alternatives.chunks) if alternatives.num_chunks else pa.nulls(0, alternatives.type)
            )
        offsets = alternatives.offsets.to_numpy()
        lengths = np.where(alternatives.is_valid().to_numpy(zero_copy_only=False), np.diff(offsets), 0)
        row = np.repeat(np.arange(n), lengths)
        entries = (
            np.arange(len(row)) + np.repeat(offsets[:-1] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
            if n
            else row
        )
        keys, values = alternatives.keys.take(pa.array(entries)), alternatives.items.take(pa.array(entries))
        others = np.nan_to_num(to_numpy(values).astype(np.float64), nan=0.0)
        rest = np.bincount(row, others, n)
        confidence = to_numpy(events["confidence"]).astype(np.float64)
        left = np.maximum(1.0 - rest, 0.0)
        first = np.where(np.isnan(confidence), np.minimum(UNSTATED.value, left), confidence)
        assumed = np.isnan(confidence) & (left >= UNSTATED.value)
        words = pa.concat_arrays([*events["what"].chunks, keys.cast(pa.string())]).dictionary_encode()
        terms = words.dictionary.to_pylist()
        p = np.concatenate([first, others])
        row = np.concatenate([np.arange(n), row])
        whole = np.bincount(row, p, n)
        p = p / np.maximum(whole, 1.0)[row]
        return cls(terms, n, row, words.indices.to_numpy().astype(np.int64), p, assumed)

    def mass(self, weight: Mapping[str, float]) -> Floats:
        """For every row, the summed likelihood of its terms, each times its weight; a term not in `weight` has none."""
        by_code = np.array([weight.get(term, 0.0) for term in self.terms] or [0.0])
        return np.minimum(np.bincount(self.row, self.p * by_code[self.code], self.rows), 1.0)

    def rests_on_assumed(self, weight: Mapping[str, float]) -> Bools:
        """For every row, whether `mass` counts a likelihood that nobody stated."""
        by_code = np.array([weight.get(term, 0.0) for term in self.terms] or [0.0])
        return self.assumed & (by_code[self.code[: self.rows]] > 0)

    def likeliest(self, weight: Mapping[str, float]) -> Ints:
        """For every row, the likeliest of the terms in `weight`, as an index of `terms`; -1 where it has none."""
        by_code = np.array([weight.get(term, 0.0) for term in self.terms] or [0.0])
        some = np.flatnonzero(by_code[self.code] > 0)
        code, row = self.code[some], self.row[some]
        value = self.p[some] * by_code[code]
        # the best last, so that it stays; of equals the first name
        name = np.argsort(np.argsort(np.array(self.terms or [""])))
        order = np.lexsort((-name[code], value))
        out = np.full(self.rows, -1, np.int64)
        out[row[order]] = np.where(value[order] > 0, code[order], -1)
        return out


@dataclass(frozen=True)
class Subjects:
    """Incidents and their events, or duties (one row each).

    `starts[i] : starts[i + 1]` are the rows of subject i.
    """

    kind: str  # "incident" or "duty"
    ids: pa.Array  # of subjects
    table: pa.Table  # of subjects: place, release, killed, injured, weapon
    events: pa.Table  # of rows
    starts: Ints
    frame: Frame

    @property
    def rows(self) -> int:
        return int(self.events.num_rows)

    @cached_property
    def of(self) -> Ints:
        """Which subject a row belongs to."""
        return np.repeat(np.arange(len(self.ids)), np.diff(self.starts))

    @cached_property
    def kinds(self) -> Kinds:
        return Kinds.of(self.events)

    @cached_property
    def interval_s(self) -> tuple[Floats, Floats]:
        """From when until when a row's event took place, seconds since 1970; NaN where nothing says."""
        at, begin, end = (to_numpy(self.events[name]) for name in ("at", "at_from", "at_until"))
        begin = np.where(np.isnan(begin), at, begin)
        end = np.where(np.isnan(end), np.where(np.isnan(at), begin, at), end)
        return begin, np.maximum(begin, end)

    @cached_property
    def at_s(self) -> Floats:
        """The best estimate of a row's time; the line of that day is the one that counts."""
        at = to_numpy(self.events["at"])
        begin, end = self.interval_s
        return np.where(np.isnan(at), (begin + end) / 2, at)

    @cached_property
    def local(self) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """East, north, variance east, covariance, variance north; metres. NaN where position or error is missing."""
        lon, lat, major, minor, tilt = (
            to_numpy(self.events[name]).astype(np.float64) for name in ("lon", "lat", "major_m", "minor_m", "tilt_deg")
        )
        minor = np.where(np.isnan(minor), major, minor)
        tilt = np.where(np.isnan(tilt) & (major == minor), 0.0, tilt)
        return *self.frame.to_local(lon, lat), *self.frame.covariance(lon, lat, major, minor, tilt)

    @cached_property
    def _coded(self) -> dict[str, tuple[list[str], Ints]]:
        return {}

    def coded(self, column: str) -> tuple[list[str], Ints]:
        """The distinct strings of a column of the events and which of them each row holds; -1 for null."""
        if column not in self._coded:
            self._coded[column] = coded(self.events[column])
        return self._coded[column]

    def number(self, column: str) -> Floats:
        """A column of the subjects, NaN where nothing is stated."""
        return to_numpy(self.table[column]).astype(np.float64)


def incidents(_clause: object, _terms: object, picture: Subjects) -> Subjects:
    """What most rules judge: the incidents of the picture themselves."""
    return picture


#: What is read of events and of incidents.
_OF_EVENTS = (
    *("event_id", "incident_id", "what", "confidence", "alternatives", "description", "weapon", "p_conflict"),
    *("p_conflict_model", "at", "at_from", "at_until", "lon", "lat", "major_m", "minor_m", "tilt_deg"),
)
_OF_INCIDENTS = ("incident_id", "place", "release", "killed", "injured")


def of_incidents(events: pa.Table, incidents: pa.Table, frame: Frame) -> Subjects:
    """Every incident with its events; an incident without any stands for itself as one event."""
    incidents = incidents.take(pa.array(id_order(incidents["incident_id"])))
    known = ids(incidents["incident_id"])
    alone = incidents.filter(pa.array(index_in(known, ids(events["incident_id"])) < 0))
    events = events.select(_OF_EVENTS)
    if alone.num_rows:
        columns: dict[str, Any] = {name: alone[name] for name in events.column_names if name in alone.column_names}
        columns |= {"event_id": alone["incident_id"], "at_from": alone["first_at"], "at_until": alone["last_at"]}
        events = pa.concat_tables([events, table(columns, alone.num_rows, events.schema)])
    order = id_order(events["event_id"])
    of = index_in(ids(events["incident_id"]), known)[order]
    order = order[np.argsort(of, kind="stable")][np.count_nonzero(of < 0) :]
    starts = np.concatenate([[0], np.cumsum(np.bincount(of[of >= 0], minlength=len(known)))]).astype(np.int64)
    rows = events.take(pa.array(order)).combine_chunks()
    few = incidents.select(_OF_INCIDENTS).combine_chunks()
    return Subjects("incident", one_array(few["incident_id"]), few, rows, starts, frame)


def coded(column: pa.ChunkedArray) -> tuple[list[str], Ints]:
    """The distinct strings of a column and which of them each row holds; -1 for null."""
    words = pc.dictionary_encode(column).combine_chunks()
    words = pa.concat_arrays(words.chunks) if isinstance(words, pa.ChunkedArray) and words.num_chunks else words
    if isinstance(words, pa.ChunkedArray):
        return [], np.empty(0, np.int64)
    return words.dictionary.to_pylist(), words.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def matching(terms: list[str], what: tuple[str, ...]) -> list[str]:
    """Those of `terms` that `what` speaks of: the term itself or any more special one."""
    return [term for term in terms if any(term == wanted or term.startswith(wanted + ".") for wanted in what)]


def family(what: str) -> str:
    """The physical family of a term: "impulse", "fire", "air" ..."""
    return term_of(what).family


def longest(weights: Mapping[str, float], what: str) -> float:
    """The weight of the longest prefix of `what` that has one; 1 when none has."""
    while what not in weights and "." in what:
        what = what.rpartition(".")[0]
    return weights.get(what, 1.0)


def identity(*parts: str | bytes) -> bytes:
    """16 bytes of SHA-256 over the parts, each with its length before it, so that no two lists of parts are alike."""
    whole = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        whole.update(len(raw).to_bytes(2, "big") + raw)
    return whole.digest()[:16]
