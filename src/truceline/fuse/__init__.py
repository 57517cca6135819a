"""Observations to a picture: events, incidents, and which observation is behind which.

A pure function of the set of observations: rows are put into the order of (time, id) first, so neither their
order nor their batches can matter. Every observation that states an occurrence ends in exactly one row of the
associations; the rest is counted by reason in `Fused.left_out`: fixes (they make tracks), onsets and bearings
(no position by themselves), states of sensors and sites, air-raid warnings (a warning is not an attack) and
accounts of nothing physical. They stay in the journal.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline import picture
from truceline.agreement import Assumption
from truceline.frame import Frame
from truceline.fuse.columns import Groups, rows_of, single
from truceline.fuse.events import Events, fuse_events, named
from truceline.fuse.incidents import group, incident_table
from truceline.fuse.lineage import lineage
from truceline.fuse.occurrences import Occurrences, gather
from truceline.fuse.tables import Conflict, ConflictModel, assembled, associations, event_columns, stated_conflict

if TYPE_CHECKING:
    from truceline.line import Line
    from truceline.places import Gazetteer

__all__ = ["Conflict", "ConflictModel", "Fused", "Parted", "describe", "fuse", "lineage", "part"]


class Fused(NamedTuple):
    associations: pa.Table  # picture.ASSOCIATIONS
    events: pa.Table  # picture.EVENTS
    incidents: pa.Table  # picture.INCIDENTS
    left_out: Mapping[str, int] = {}  # observations that state no occurrence, by why


def fuse(
    observations: pa.Table,
    frame: Frame,
    line: "Line | None",
    gazetteer: "Gazetteer | None",
    fire_prior: Assumption,
    conflict: ConflictModel | None = None,
) -> Fused:
    """The picture that observations make.

    Parameters
    ----------
    observations
        Rows of `observation.CORE` (those of `occurrences.COLUMNS` are read) in any order, each id once.
    line
        Where events are held against; None leaves those columns null. It has no part in what is fused.
    gazetteer
        Names the places of incidents; None leaves them null.
    fire_prior
        The probability that the conflict caused a fire, said of all fires alike.
    conflict
        Takes the place of `fire_prior` and of the assumptions for reports.

    Returns
    -------
    Fused
        Events in the order of their earliest observations, incidents in that of their earliest events,
        associations in that of time and id.
    """
    return describe(part(observations, frame), observations, frame, line, gazetteer, fire_prior, conflict)


class Parted(NamedTuple):
    """Which observations are one event and which events one incident; nothing is said of them yet."""

    occurred: Occurrences
    events: Events
    incidents: Groups  # of events
    event_ids: pa.Array
    incident_ids: pa.Array

    def of(self, incidents: npt.NDArray[np.bool_]) -> "Parted":
        """Some of the incidents with their events and observations, in the same order: each is as it was among all."""
        group = self.incidents.group
        events = np.flatnonzero(incidents[group])
        rows = np.flatnonzero(incidents[group[self.events.event]])
        place, new_row = np.cumsum(incidents[group]) - 1, np.zeros(len(self.events.event), np.int64)
        new_row[rows] = np.arange(len(rows))
        table, *arrays = self.occurred[:-2]
        taken = [rows_of(table, rows), *(array[rows] for array in arrays), *self.occurred[-2:]]
        occurred = Occurrences._make(taken)
        event, log_ratio, first, *columns = self.events
        tied = [place[event[rows]], log_ratio[rows], new_row[first[events]]]
        fused = Events._make([*tied, *(column[events] for column in columns)])
        groups = Groups((np.cumsum(incidents) - 1)[group[events]], int(incidents.sum()))
        chosen = pa.array(incidents)
        return Parted(
            *(occurred, fused, groups), self.event_ids.take(pa.array(events)), self.incident_ids.filter(chosen)
        )


def part(observations: pa.Table, frame: Frame) -> Parted:
    """The events and incidents that observations make, and their ids; parameters as of `fuse`."""
    occurred = gather(observations, frame)
    fused = fuse_events(occurred)
    ids, beginning = named(occurred.table["observation_id"].take(pa.array(fused.first)))
    groups = group(occurred, fused)
    return Parted(occurred, fused, groups, ids, beginning.take(pa.array(groups.order[groups.start])))


def describe(
    parted: Parted,
    observations: pa.Table,
    frame: Frame,
    line: "Line | None",
    gazetteer: "Gazetteer | None",
    fire_prior: Assumption,
    conflict: ConflictModel | None = None,
) -> Fused:
    """The tables of what was parted; parameters as of `fuse`.

    What is said of an event or incident is a function of its own observations, but for what `conflict` says.
    """
    occurred, fused, groups, ids, incident_ids = parted
    built = event_columns(occurred, fused, frame, line)
    built |= {"event_id": ids, "incident_id": incident_ids.take(pa.array(groups.group))}
    built |= dict.fromkeys(("p_conflict", "p_conflict_online", "p_conflict_model", "p_conflict_factors"))
    events = assembled(built, fused.number, picture.EVENTS)
    ties = associations(occurred, fused, ids)
    judged = stated_conflict(events, fire_prior) if conflict is None else conflict(events, ties, observations)
    for name, column in (
        ("p_conflict", single(judged.p)),
        ("p_conflict_online", single(judged.p if judged.p_online is None else judged.p_online)),
        ("p_conflict_model", judged.model),
        ("p_conflict_factors", judged.factors),
    ):
        at = events.schema.get_field_index(name)
        events = events.set_column(at, events.schema.field(at), column.cast(events.schema.field(at).type))
    table = incident_table(occurred, fused, groups, events, incident_ids, frame, line, gazetteer)
    return Fused(ties, events, table, occurred.left_out)
