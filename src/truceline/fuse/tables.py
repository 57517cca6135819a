"""The picture's tables out of fused events and incidents: what their observations state, put together."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline import picture
from truceline.agreement import Assumption
from truceline.frame import Frame
from truceline.fuse import columns
from truceline.fuse.assumptions import CONFLICT, stream
from truceline.fuse.columns import Groups, chosen, coded, single, whole
from truceline.fuse.events import Events
from truceline.fuse.kinds import LEAST, either, pooled
from truceline.fuse.occurrences import Occurrences, kinds_of
from truceline.observation import LIKELIHOODS, to_numpy

if TYPE_CHECKING:
    from truceline.line import Line

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PRIOR_MODEL = "prior, uncalibrated"


class Conflict(NamedTuple):
    """Whether the conflict caused each event: one value a row of the events table."""

    p: Array  # settled: all that was observed is used; NaN where nothing can be said
    model: pa.Array  # string; what said so
    factors: pa.Array  # map of name to natural log of odds, or null; they are those of `p`
    p_online: Array | None = None  # only what had been observed by then is used; None: the same as `p`


class ConflictModel(Protocol):
    """What can take the place of the prior: sees all events, and the observations behind each."""

    def __call__(self, events: pa.Table, associations: pa.Table, observations: pa.Table) -> Conflict:
        """One `Conflict` of `events.num_rows` values."""


def stated_conflict(events: pa.Table, fire_prior: Assumption) -> Conflict:
    """The prior of every fire alike, and assumptions for what people report; null for the rest."""
    codes, words = coded(events["what"])
    assumed = [fire_prior if stream(w) == "fire" else CONFLICT.get(stream(w) or "") for w in words]
    p = np.array([a.value if a else np.nan for a in assumed] + [np.nan])[codes]
    model = pa.array([PRIOR_MODEL]).take(pa.array(np.zeros(len(p), np.int64), mask=np.isnan(p)))
    return Conflict(p, model, pa.nulls(len(p), LIKELIHOODS))


def event_columns(occurred: Occurrences, fused: Events, frame: Frame, line: "Line | None") -> dict[str, Any]:
    """The columns of `picture.EVENTS` but for ids and p_conflict."""
    table, groups = occurred.table, Groups(fused.event, fused.number)
    return {
        **_kind(occurred, fused, groups),
        "at": columns.moments(fused.at_s),
        "at_from": columns.moments(fused.from_s),
        "at_until": columns.moments(fused.until_s),
        **where(fused.east_m, fused.north_m, fused.var_e, fused.cov_en, fused.var_n, frame),
        **against(fused.east_m, fused.north_m, fused.var_e, fused.cov_en, fused.var_n, fused.at_s, line),
        "observations": groups.size.astype(np.int32),
        "sources": groups.words(*coded(table["source"])),
        "sensors": groups.words(*coded(table["sensor"])),
        **{name: _supported(table[name], groups) for name in ("means", "description", "weapon")},
        **_stated(table, groups),
        "frp_mw": single(groups.known_total(_frp(table))),
        "release": columns.narrowest(groups.greatest(columns.release_ranks(table["release"]).astype(np.float64))),
    }


def _frp(table: pa.Table) -> Array:
    if "firms_frp" not in table.column_names:
        return np.full(len(table), np.nan)
    return to_numpy(table["firms_frp"]).astype(np.float64)


def _supported(column: pa.ChunkedArray, groups: Groups) -> pa.Array:
    """The word most rows of a group give."""
    codes, words = coded(column)
    return chosen(groups.most(codes), words)


def _stated(table: pa.Table, groups: Groups) -> dict[str, Any]:
    """Numbers as stated by single sources: least and most of counts, greatest of casualties, never a sum."""
    count, most = (to_numpy(table[name]).astype(np.float64) for name in ("count", "count_max"))
    return {
        "count": whole(groups.least(np.fmin(count, most))),
        "count_max": whole(groups.greatest(np.fmax(count, most))),
        "killed": whole(groups.greatest(to_numpy(table["killed"]).astype(np.float64))),
        "injured": whole(groups.greatest(to_numpy(table["injured"]).astype(np.float64))),
    }


def _kind(occurred: Occurrences, fused: Events, groups: Groups) -> dict[str, Any]:
    """What an event was: as its only observation says, or pooled; for a fire its surest pixel's confidence."""
    table = occurred.table
    codes, words = coded(table["what"])
    confidence = groups.greatest(to_numpy(table["confidence"]).astype(np.float64))
    many = (groups.size > 1) & ~occurred.hotspot[fused.first]
    place = np.cumsum(many) - 1
    rows = np.flatnonzero(many[fused.event])
    accounts = Groups(place[fused.event[rows]], int(many.sum()))
    stated = kinds_of(table.take(pa.array(rows)), occurred.terms)
    kinds = pooled(stated, occurred.terms, accounts, coded(table["source"])[0][rows])
    confidence[many] = kinds.confidence
    what = codes[fused.first]
    what[many] = len(words) + kinds.what
    pool = columns.likelihoods(kinds.table, list(occurred.terms), LEAST)
    alone = table["alternatives"].combine_chunks().take(pa.array(fused.first))
    return {
        "what": pa.array([*words, *occurred.terms], pa.string()).take(pa.array(what)),
        "confidence": single(confidence),
        "alternatives": either(alone, pool, many, place),
    }


def where(east_m: Array, north_m: Array, var_e: Array, cov_en: Array, var_n: Array, frame: Frame) -> dict[str, Any]:
    """Position and ellipse in degrees and metres, null where there is no position."""
    lon, lat = frame.to_degrees(east_m, north_m)
    major, minor, tilt = frame.ellipse(lon, lat, var_e, cov_en, var_n)
    return {
        "lon": columns.double(lon),
        "lat": columns.double(lat),
        "major_m": single(np.where(np.isnan(lon), np.nan, major)),
        "minor_m": single(np.where(np.isnan(lon), np.nan, minor)),
        "tilt_deg": single(np.where(np.isnan(lon), np.nan, tilt)),
    }


_LINE_COLUMNS = ("line_date", "line_distance_m", "chainage_m", "p_inside")


def against(
    east_m: Array, north_m: Array, var_e: Array, cov_en: Array, var_n: Array, at_s: Array, line: "Line | None"
) -> dict[str, Any]:
    """The columns that say where something lies by the dated line; null without one."""
    if line is None:
        return dict.fromkeys(_LINE_COLUMNS)
    found: Mapping[str, Any] = line.against(east_m, north_m, var_e, cov_en, var_n, at_s)
    numbers = {name: single(np.asarray(found[name], np.float64)) for name in _LINE_COLUMNS[1:]}
    return {"line_date": pa.array(found["line_date"], pa.string()), **numbers}


def assembled(built: Mapping[str, Any], rows: int, schema: pa.Schema) -> pa.Table:
    """A table of `schema` out of columns; None is a column of nulls."""
    arrays = []
    for field in schema:
        value = built[field.name]
        value = pa.nulls(rows, field.type) if value is None else value
        value = value if isinstance(value, pa.Array | pa.ChunkedArray) else pa.array(value)
        arrays.append(value.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema).combine_chunks()


def associations(occurred: Occurrences, fused: Events, event_ids: pa.Array) -> pa.Table:
    """`picture.ASSOCIATIONS`: one row an observation."""
    built = {
        "observation_id": occurred.table["observation_id"],
        "event_id": event_ids.take(pa.array(fused.event)),
        "track_id": None,
        "log_ratio": single(fused.log_ratio),
    }
    return assembled(built, len(fused.event), picture.ASSOCIATIONS)
