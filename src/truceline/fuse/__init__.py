"""Observations to a picture: events, incidents, and which observation is behind which.

A pure function of the set of observations: rows are put into the order of (time, id) first, so neither their
order nor their batches can matter. Every observation that states an occurrence ends in exactly one row of the
associations; the rest is counted by reason in `Fused.left_out`: fixes (they make tracks), onsets and bearings
(no position by themselves), states of sensors and sites, air-raid warnings (a warning is not an attack) and
accounts of nothing physical. They stay in the journal.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from truceline import picture
from truceline.agreement import Assumption
from truceline.frame import Frame
from truceline.fuse.columns import single
from truceline.fuse.events import fuse_events, named
from truceline.fuse.incidents import group, incident_table
from truceline.fuse.lineage import lineage
from truceline.fuse.occurrences import gather
from truceline.fuse.tables import Conflict, ConflictModel, assembled, associations, event_columns, stated_conflict

if TYPE_CHECKING:
    from truceline.line import Line
    from truceline.places import Gazetteer

__all__ = ["Conflict", "ConflictModel", "Fused", "fuse", "lineage"]


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
    occurred = gather(observations, frame)
    fused = fuse_events(occurred)
    ids, beginning = named(occurred.table["observation_id"].take(pa.array(fused.first)))
    groups = group(occurred, fused)
    built = event_columns(occurred, fused, frame, line)
    incident_ids = beginning.take(pa.array(groups.order[groups.start]))
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
