"""The provisional picture's tables, kept while observations come in: drawn are the incidents that these touch.

Which observations are one event and which events are one incident is worked out of all of them each time, as for an
edition. Said and judged anew are the incidents whose observations, or their parting into events, are others than
before: what is said of an incident is a function of its own observations alone.

Three things are not, and are made up for by `due`, which costs no more than drawing:

- how likely the conflict caused a fire. The model sees all fires and reports, so a report may move fires near it. Where
  a fire is new it is asked at once; else fires, and what is held of them, stay as they were last judged;
- duties, which are judged by all that is reported;
- in a mission without an edition, the zones of the day.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline import picture, rules
from truceline.agreement import Assumption
from truceline.fuse import Conflict, ConflictModel, Fused, Parted, describe, part
from truceline.fuse.assumptions import stream
from truceline.fuse.columns import Groups, coded
from truceline.fuse.tables import associations, stated_conflict
from truceline.kernels.idset import index_in
from truceline.moving import Moving
from truceline.observation import ids, to_numpy
from truceline.pipeline import OF_MOVING, Ground
from truceline.rules.cases import cases
from truceline.serve.changes import U64, fingerprints, mixed

Bools = npt.NDArray[np.bool_]
Ids = U64  # (n, 2)

#: Tables of which a drawing gives the rows of some subjects; the others it gives whole. By which column.
SUBJECT = {"events": "incident_id", "incidents": "incident_id", "findings": "subject_id", "cases": "subject_id"}
_OF_FIRES = ("p_conflict", "p_conflict_online", "p_conflict_model", "p_conflict_factors")


class Patch(NamedTuple):
    """What a drawing changes: rows to put in the place of all that is about some subjects."""

    rows: dict[str, pa.Table]  # of the tables of `SUBJECT` those of some subjects, others whole
    gone: dict[str, Ids] | None  # by table, the subjects whose rows are no more; None: all

    def applied(self, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
        """The tables after it."""
        return (dict(tables) if self.gone is not None else {}) | {
            name: rows if self.gone is None or name not in self.gone else pa.concat_tables(
                [tables[name].filter(pa.array(~self.leaves(tables[name], name))), rows]
            ).combine_chunks()
            for name, rows in self.rows.items()
        }  # fmt: skip

    def leaves(self, rows: pa.Table, name: str) -> Bools:
        """Which rows of a table are no more."""
        if self.gone is None or name not in self.gone:
            return np.ones(rows.num_rows, np.bool_)
        subjects = rows[SUBJECT[name]]
        return index_in(ids(subjects.fill_null(b"\0" * 16)), self.gone[name]) >= 0


class Marked(NamedTuple):
    """Things and a number over what each consists of."""

    ids: Ids
    marks: U64

    def differ(self, before: "Marked") -> Bools:
        """Which of them were not there before, or consisted of something else."""
        at = index_in(self.ids, before.ids)
        return np.asarray((at < 0) | (self.marks != np.append(before.marks, np.uint64(0))[at]))


_NOTHING = Marked(np.empty((0, 2), np.uint64), np.empty(0, np.uint64))


class Fires(NamedTuple):
    """A `ConflictModel` of what a model said last: fires that it has not judged have the prior."""

    prior: Assumption
    judged: pa.Table  # event_id and the columns of `_OF_FIRES`

    def __call__(self, events: pa.Table, associations: pa.Table, observations: pa.Table) -> Conflict:
        stated = stated_conflict(events, self.prior)
        at = index_in(ids(events["event_id"]), ids(self.judged["event_id"]))
        known, rows = at >= 0, self.judged.take(pa.array(at, mask=at < 0))
        p, online = (to_numpy(rows[name]).astype(np.float64) for name in _OF_FIRES[:2])
        return Conflict(
            np.where(known, p, stated.p),
            pc.if_else(pa.array(known), rows["p_conflict_model"], stated.model),
            rows["p_conflict_factors"],
            np.where(known, online, stated.p),
        )

    def differ(self, before: "Fires") -> Ids:
        """Fires of which something else is said than before."""
        own, old = (
            Marked(ids(one.judged["event_id"]), fingerprints(one.judged.select(_OF_FIRES))) for one in (self, before)
        )
        return own.ids[own.differ(old)]


class Drawing:
    """The tables as they were drawn last, without `provisional`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tables: dict[str, pa.Table] = {}
        #: Whether something has been left as it was that `due` would look at.
        self.loose = False
        self._incidents = self._events = _NOTHING
        self._fires: Fires | None = None
        self._moved: Moving | None = None

    def begin(self) -> None:
        """Forget what was drawn: the next drawing is of everything."""
        self._incidents = self._events = _NOTHING
        self._fires, self._moved, self.tables = None, None, {}

    def draw(
        self,
        on: Ground,
        told: pa.Table,
        until: datetime,
        conflict: ConflictModel | None,
        moved: Moving | None,
        verdicts: pa.Table,
        due: bool,
    ) -> Patch:
        """Draw what is new; what to put into the tables before, which `tables` has then.

        Parameters
        ----------
        told
            All observations but for the fixes.
        until
            Up to when the picture speaks.
        conflict
            The model of fires.
        verdicts
            Those on what is drawn.
        due
            Look also at what is no function of an incident's own observations.
        """
        everything = not self.tables
        due |= everything
        parted = part(told, on.frame)
        seen = ids(parted.occurred.table["observation_id"])
        events = Marked(ids(parted.event_ids), _sums(mixed(*seen.T), parted.events.event))
        each = mixed(mixed(*events.ids.T), events.marks)
        incidents = Marked(ids(parted.incident_ids), _sums(each, parted.incidents.group))
        changed = incidents.differ(self._incidents)
        made, changed = self._described(on, parted, told, changed, events, conflict, due)
        old = self._incidents.ids
        gone = [old[index_in(old, incidents.ids[~changed]) < 0]]
        parts = {"associations": made.associations, "events": made.events, "incidents": made.incidents}
        rows: dict[str, pa.Table] = {}
        if moved is not self._moved or everything:
            if self._moved is not None:
                gone.append(ids(self._moved.incidents["incident_id"]))
            if moved is not None:
                parts = {name: pa.concat_tables([of, getattr(moved, name)]) for name, of in parts.items()}
                rows |= {"tracks": moved.tracks, "track_points": moved.points, "movements": moved.movements}
            else:
                rows |= {name: schema.empty_table() for name, schema in OF_MOVING.items()}
        rows |= {"events": parts["events"], "incidents": parts["incidents"]}
        ties = associations(parted.occurred, parted.events, parted.event_ids)
        rows["associations"] = ties if moved is None else pa.concat_tables([ties, moved.associations])
        touched = np.concatenate(gone)
        patch = Patch(rows, None if everything else dict.fromkeys(("events", "incidents"), touched))
        found = [self._judged(on, rows["events"], rows["incidents"], until, duties=False)]
        if due:
            after = patch.applied(self.tables)
            found.append(self._judged(on, after["events"], after["incidents"], until, duties=True))
        rows["findings"] = pa.concat_tables(found)
        if patch.gone is not None:
            duties = ids(found[-1]["subject_id"])[: found[-1].num_rows if due else 0]
            patch.gone["findings"] = np.concatenate([touched, duties])
        if verdicts.num_rows:  # one may be on observations of several incidents
            after = patch.applied(self.tables)
            rows["cases"] = cases(
                after["findings"], after["incidents"], after["events"], after["associations"], verdicts
            )
        else:
            rows["cases"] = cases(rows["findings"], rows["incidents"], rows["events"], parts["associations"], verdicts)
            if patch.gone is not None:
                patch.gone["cases"] = patch.gone["findings"]
        self.tables = patch.applied(self.tables)
        self._incidents, self._events, self._moved, self.loose = incidents, events, moved, not due
        return patch

    def _described(
        self,
        on: Ground,
        parted: Parted,
        told: pa.Table,
        changed: Bools,
        events: Marked,
        conflict: ConflictModel | None,
        due: bool,
    ) -> tuple[Fused, Bools]:
        """What is said of the incidents that changed, and of those of whose fires the model says something else now."""

        def described(model: ConflictModel | None) -> Fused:
            prior = on.mission.fire_prior
            return describe(parted.of(changed), told, on.frame, on.line, on.gazetteer, prior, model)

        if conflict is None:
            return described(None), changed
        before = self._fires or Fires(on.mission.fire_prior, _no_fires())
        made = described(before)
        group = parted.incidents.group
        burning = ids(made.events["event_id"].filter(_fires(made.events)))
        new = events.differ(self._events)[index_in(burning, events.ids)]
        if due or new.any() or (index_in(burning, ids(before.judged["event_id"])) < 0).any():
            named = [made.events.select(["event_id", "what"])]
            if self.tables:
                stays = index_in(ids(self.tables["events"]["event_id"]), events.ids[~changed[group]]) >= 0
                named.append(self.tables["events"].select(["event_id", "what"]).filter(pa.array(stays)))
            every = pa.concat_tables(named)
            said = conflict(every, associations(parted.occurred, parted.events, parted.event_ids), told)
            online = said.p if said.p_online is None else said.p_online
            columns = [every["event_id"], *(pa.array(p) for p in (said.p, online)), said.model, said.factors]
            judged = pa.table(columns, ["event_id", *_OF_FIRES]).filter(_fires(every))
            self._fires = Fires(on.mission.fire_prior, judged)
            others = index_in(self._fires.differ(before), events.ids)
            if len(others):
                changed = changed.copy()
                changed[group[others]] = True
                made = described(self._fires)
        return made, changed

    def _judged(self, on: Ground, events: pa.Table, incidents: pa.Table, until: datetime, duties: bool) -> pa.Table:
        """Findings on incidents, or on duties, which all incidents speak of."""
        clauses = [clause for clause in on.agreement.clause if (clause.type == "duty") == duties]
        held = msgspec.structs.replace(on.agreement, clause=clauses)
        zone = on.mission.zone()
        return rules.judge(events, incidents, held, on.line, on.frame, on.gazetteer, self.folder, until, zone, on.zones)


def _sums(each: U64, group: npt.NDArray[np.int64]) -> U64:
    """A number for each group over those of its members, in whatever order; groups are 0, 1, …, none of them empty."""
    groups = Groups(group, int(group.max(initial=-1)) + 1)
    return np.asarray(np.add.reduceat(each[groups.order], groups.start)) if groups.count else np.empty(0, np.uint64)


def _fires(events: pa.Table) -> pa.Array:
    codes, words = coded(events["what"])
    return pa.array(np.array([stream(word) == "fire" for word in words] + [False], np.bool_)[codes])


def _no_fires() -> pa.Table:
    fields = [picture.EVENTS.field(name) for name in ("event_id", *_OF_FIRES)]
    return pa.schema(fields).empty_table()
