"""Counting rules: named, versioned functions of incidents to a number, or to "not countable".

A count means nothing without its rule: of one truce of thirty hours the two sides published 2,935 and 4,900
violations. Every rule gives the least and the most that the sources support, for each incident.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.errors import MissionError
from truceline.observation import ID, TIME, term, to_numpy

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: The Joint Forces' rule: this many discharges are one shelling, and after a gap of more than this it is another.
JFO_DISCHARGES = 30
JFO_GAP_S = 3600.0

TABLE = pa.schema([pa.field("incident_id", ID, nullable=False), ("n", pa.int64()), ("n_max", pa.int64())])


class Counted(NamedTuple):
    """What a rule makes of events."""

    table: pa.Table  # TABLE: n null where not countable, n_max null where the sources set no upper bound
    number: int  # sum of n: at least so many
    most: int | None  # sum of n_max; None where any countable incident has no upper bound
    not_countable: int  # events that are of no kind the rule counts
    unnumbered: int  # events it counts though no source gives a number, as one each at least


class Rule(NamedTuple):
    """A rule, and the sentence that has to stand wherever its numbers do."""

    name: str
    version: str
    sentence: str
    #: (events of kinds that count, incident of each, number of incidents) to least and most by incident
    of: Callable[[pa.Table, Ints, int], tuple[Array, Array]]


def count(rule: str, events: pa.Table, begins: datetime | None = None, ends: datetime | None = None) -> Counted:
    """Events counted by a rule, incident by incident.

    Parameters
    ----------
    rule
        A name in `RULES`.
    events
        Rows of `picture.EVENTS`, in any order.
    begins, ends
        Only events whose best time is in [begins, ends); None: no limit. Events without a time are counted
        only without limits.

    Returns
    -------
    Counted
        A row for each incident with an event in the period, by id; incidents none of whose events is of a kind
        that the rule counts are null: a satellite fire has no number of bursts.

    Raises
    ------
    MissionError
        When there is no such rule.
    """
    if rule not in RULES:
        raise MissionError(f"counting = {rule!r} is not a counting rule; there are {', '.join(sorted(RULES))}")
    for limit, within in ((begins, pc.greater_equal), (ends, pc.less)):
        if limit is not None:
            events = events.filter(within(events["at"], pa.scalar(limit, TIME)))
    ids, incident = _incidents(events["incident_id"])
    kinds = events["what"].unique().to_pylist()
    counts = pa.array([kind for kind in kinds if term(kind).family == "impulse"], pa.string())
    loud = pc.is_in(events["what"], value_set=counts)
    rows = np.flatnonzero(loud.to_numpy())
    counted = events.take(pa.array(rows))
    least, most = RULES[rule].of(counted, incident[rows], len(ids))
    countable = np.bincount(incident[rows], minlength=len(ids)) > 0
    bounded = countable & ~np.isnan(most)
    table = pa.Table.from_arrays(
        [ids, _whole(least, countable), _whole(np.nan_to_num(most), bounded)],
        schema=TABLE,
    )
    unnumbered = pc.and_(pc.is_null(counted["count"]), pc.is_null(counted["count_max"]))
    return Counted(
        table=table,
        number=int(least[countable].sum()),
        most=int(most[bounded].sum()) if bounded.sum() == countable.sum() else None,
        not_countable=len(events) - len(rows),
        unnumbered=int(pc.sum(unnumbered).as_py() or 0),
    )


def sentence(rule: str) -> str:
    """What has to stand beside every number a rule gives."""
    if rule not in RULES:
        raise MissionError(f"counting = {rule!r} is not a counting rule; there are {', '.join(sorted(RULES))}")
    return RULES[rule].sentence


def _incidents(column: pa.ChunkedArray) -> tuple[pa.Array, Ints]:
    """The distinct incidents in the order of their ids, and which one each row is of."""
    encoded = column.cast(pa.binary()).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.unify_dictionaries().chunks)
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return encoded.dictionary.take(pa.array(order)).cast(ID), rank[encoded.indices.to_numpy()]


def _whole(values: Array, known: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.array(values.astype(np.int64), mask=~known)


def _stated(events: pa.Table) -> tuple[Array, Array]:
    """Least and most discharges of each event: at least one; no upper bound (NaN) where no number is stated."""
    least, most = (to_numpy(events[name]).astype(np.float64) for name in ("count", "count_max"))
    return np.maximum(np.nan_to_num(np.fmin(least, most), nan=1.0), 1.0), np.maximum(np.fmax(least, most), 1.0)


def _summed(incident: Ints, values: npt.NDArray[Any], incidents: int) -> Array:
    return np.bincount(incident, values.astype(np.float64), incidents).astype(np.float64)


def _osce_smm(events: pa.Table, incident: Ints, incidents: int) -> tuple[Array, Array]:
    least, most = _stated(events)
    return _summed(incident, least, incidents), _summed(incident, most, incidents)


def _jfo(events: pa.Table, incident: Ints, incidents: int) -> tuple[Array, Array]:
    least, _ = _stated(events)
    begins, ends = to_numpy(events["at_from"]), to_numpy(events["at_until"])
    at = to_numpy(events["at"])
    begins, ends = np.where(np.isnan(begins), at, begins), np.where(np.isnan(ends), at, ends)
    order = np.lexsort((ends, begins, incident))
    incident, least, begins, ends = incident[order], least[order], begins[order], ends[order]
    if not len(order):
        return np.zeros(incidents), np.zeros(incidents)
    # the latest end so far within each incident; incidents are set apart by more than all time there is
    apart = 2.0 * (np.nanmax(ends) - np.nanmin(begins)) + 1.0
    latest = np.maximum.accumulate(np.nan_to_num(ends) + apart * incident) - apart * incident
    new = np.ones(len(order), np.bool_)
    new[1:] = (incident[1:] != incident[:-1]) | ~(begins[1:] - latest[:-1] <= JFO_GAP_S)
    first = np.flatnonzero(new)
    discharges = np.add.reduceat(least, first)
    events_of = np.diff(np.append(first, len(order)))
    span = np.maximum.reduceat(ends, first) - begins[first]
    # what intervals leave open: as many shellings as there are events, if an hour's gap each fits in
    possible = np.minimum(events_of, 1 + np.floor(np.nan_to_num(span) / JFO_GAP_S))
    of = incident[first]
    return _summed(of, discharges >= JFO_DISCHARGES, incidents), _summed(of, possible, incidents)


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "osce-smm",
            "1",
            "Counted as the OSCE Special Monitoring Mission did: every explosion, burst, shot, projectile, muzzle "
            "flash and illumination flare is one; a stated range counts with its lower end; a report without a number "
            "counts as one, so that totals are lower bounds. Fires, aircraft, forces and weapons present are not "
            "counted (osce-smm, version 1).",
            _osce_smm,
        ),
        Rule(
            "jfo",
            "1",
            "Counted as Ukraine's Joint Forces are said to have: thirty or more discharges are one shelling, and a new "
            "one begins only after a gap of more than an hour. Whether fewer than thirty were booked is not "
            "known: they count as none at least, as one at most, and so do shellings without a stated number (jfo, "
            "version 1).",
            _jfo,
        ),
    )
}
