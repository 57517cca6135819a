"""The provisional picture: observations of the last while, drawn anew by the code that draws editions.

What an edition says of older incidents stands as it is. An incident with an observation in the window is drawn with
all of its observations, so that it never is told by halves.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.baseline import fire_model
from truceline.fuse import ConflictModel
from truceline.fuse.occurrences import KINDS
from truceline.inputs import FUSED
from truceline.intake import JOURNAL
from truceline.kernels.idset import IdSet, index_in
from truceline.moving import Moving
from truceline.observation import CORE, TIME, ids
from truceline.pipeline import BOOK, OF_MOVING, Ground, draw, ground, what_moves
from truceline.rules import zones_table
from truceline.rules.cases import cases
from truceline.serve.changes import IDS, U64, differences, fingerprints, same_as
from truceline.serve.standing import became, candidates
from truceline.store import Book, Journal

Bools = npt.NDArray[np.bool_]

#: A mission of no more observations than this is drawn whole: what is provisional is then what settling will give.
WHOLE = 5_000
#: Fixes that movements are worked out of while they come in; more wait for the next edition.
MOST_FIXES = 20_000
#: Observations, fixes aside, that a window keeps when an edition is made: about a second's drawing. Beyond it the
#: window is shorter than the mission's `window_h`.
MOST_KEPT = 20_000
#: An observation so far ahead of the clock waits until time gets there: its source's clock is wrong.
AHEAD = timedelta(hours=1)
#: Beyond so many rows of an edition it is not said what of them a new edition has changed: take the whole.
_MOST_COMPARED = 200_000
#: Tables of the provisional picture, in the order in which they are made.
DRAWN = ("associations", "events", "incidents", "findings", "cases", "tracks", "track_points", "movements")
FOLLOWED = ("events", "incidents", "findings")


class Drawn(msgspec.Struct):
    """The provisional picture after something came in."""

    tables: dict[str, pa.Table]  # of DRAWN; events, incidents and findings with `provisional`
    moving: bool  # tracks, track_points and movements are of the whole mission; else empty
    until: datetime | None  # it speaks up to here
    upserted: dict[str, list[bytes]]
    removed: dict[str, list[bytes]]
    candidates: pa.Table
    became: dict[bytes, Any]  # alerts.Became
    follows: bool  # whether fixes are wanted
    waiting: int  # observations that wait: for the next edition, or for the time that they state
    outside: dict[str, Bools] | None = (
        None  # of the edition's tables: rows that stand; only after `begin` and `settled`
    )
    whole: bool = False  # take the whole: what changed is not said
    unread: bool = False  # fixes came in since what moves was worked out


class Window:
    """The observations behind the provisional picture, and what is drawn of them.

    Parameters
    ----------
    folder
        The mission's. Its files are read again when they have changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.on: Ground = ground(folder)
        self._model: tuple[Ground, ConflictModel | None] | None = None
        self._rows = _columns(pa.table({}))
        self._known = IdSet()
        self._late = 0
        self._moved: Moving | None = None
        self._fixes_since = 0
        self._follows = True  # fixes; not any more where there are too many of them
        self._shortened: datetime | None = None  # where it begins because there is too much of it
        self._edition: dict[str, pa.Table] = {}
        self._settled: dict[str, dict[str, Any]] = {}
        self._outside: dict[str, Bools] = {}
        self._verdicts = pa.table({})
        self._before: dict[str, pa.Table] = {}
        self._prints: dict[str, U64] = {}

    # What comes in

    def begin(self, now: datetime) -> None:
        """Read the journal and the newest edition: the window's observations and what stands outside it."""
        self.on, self._follows = ground(self.folder), True
        with Journal(self.folder / JOURNAL) as journal:
            blocks = [*journal.blocks("observation", FUSED)]
            observations = pa.concat_tables(blocks or [pa.table({})], promote_options="permissive")
            self._verdicts = journal.table("verdict")
        observations = _columns(observations)
        self._read_edition()
        self._rows = observations.filter(pa.array(self._reach(observations, now)))
        self._known = IdSet(self._rows.num_rows)
        self._known.add(ids(self._rows["observation_id"]))
        self._late = 0
        self._fixes_since = 1
        self._look_outside()
        self._before = self._edition  # what was told before a restart
        self._prints = {}

    def take(self, observations: pa.Table, now: datetime) -> bool:
        """Observations just journalled; whether there is something to draw anew."""
        if not self._follows:
            observations = observations.filter(pc.not_equal(observations["kind"], "fix"))
        if not observations.num_rows:
            return False
        rows = _columns(observations)
        rows = rows.filter(pa.array(self._known.add(ids(rows["observation_id"]))))
        begins = self._begins(self._rows, now)
        if begins is not None:
            early = pc.fill_null(pc.less(pc.coalesce(rows["until"], rows["at"]), pa.scalar(begins, TIME)), True)
            self._late += pc.sum(early).as_py() or 0
            rows = rows.filter(pc.invert(early))
        fixes = pc.sum(pc.equal(rows["kind"], "fix")).as_py() or 0
        self._fixes_since += fixes
        self._rows = pa.concat_tables([self._rows, rows])
        if self._rows.column(0).num_chunks > 64:  # many small batches are slow to go through
            self._rows = self._rows.combine_chunks()
        if self._count_fixes() > MOST_FIXES:
            self._rows = self._rows.filter(pc.not_equal(self._rows["kind"], "fix"))
            self._fixes_since, self._follows = 0, False  # what they told so far stands until the next edition
        return bool(pc.any(pc.is_in(rows["kind"], value_set=pa.array(KINDS))).as_py())

    @property
    def has_new_fixes(self) -> bool:
        """Whether movements have not been worked out since fixes came in."""
        return self._fixes_since > 0

    # What is drawn

    def draw(
        self, now: datetime, limit: float, watched: Sequence[bytes] = (), movements: bool = False, anew: bool = False
    ) -> Drawn:
        """The picture now.

        Parameters
        ----------
        limit
            Probability from which a finding is a candidate for an alert.
        watched
            Findings of which it is to be said what became of them.
        movements
            Work out anew what moves.
        anew
            The edition is another than at the last call.
        """
        rows = self._rows
        if (soon := self._soon(now)) is not None:
            rows = rows.filter(pc.fill_null(pc.less_equal(rows["at"], pa.scalar(soon, TIME)), True))
        ahead = self._rows.num_rows - rows.num_rows
        moving = pc.equal(rows["kind"], "fix")
        if movements and self._fixes_since and pc.any(moving).as_py():
            self._moved, self._fixes_since = what_moves(self.on, rows), 0
        told = rows.filter(pc.invert(moving))
        until = _speaks_until(rows)
        tables = draw(self.on, self.folder, told, until or now, conflict=self._conflict(rows), moved=self._moved)
        verdicts = self._verdicts_of(rows)
        tables["cases"] = cases(
            tables["findings"], tables["incidents"], tables["events"], tables["associations"], verdicts
        )
        tables = {name: tables[name] for name in (*DRAWN, *(("line",) if not self._edition else ()))}
        return self._told(tables, until, now, limit, watched, ahead, anew)

    def _told(
        self, tables: dict[str, pa.Table], until: datetime | None, now: datetime, limit: float,
        watched: Sequence[bytes], ahead: int, anew: bool,
    ) -> Drawn:  # fmt: skip
        """What is to be said of a picture drawn: what changed, what is likely a breach, what became of what was."""
        upserted: dict[str, list[bytes]] = {}
        removed: dict[str, list[bytes]] = {}
        whole = anew and sum(self._edition[name].num_rows for name in FOLLOWED if self._edition) > _MOST_COMPARED
        prints = {name: fingerprints(tables[name]) for name in FOLLOWED}
        plain = dict(tables)
        if not self._edition:
            on = self.on
            day = on.mission.day_of((until or now) - timedelta(microseconds=1))
            tables["zones"] = zones_table(on.agreement, on.line, on.frame, on.gazetteer, self.folder, day, on.zones)
        for name in FOLLOWED:
            settled = same_as(tables[name], prints[name], self._settled[name], IDS[name])
            tables[name] = tables[name].append_column("provisional", pa.array(~settled))
            # whether a row is settled is part of what a reader is shown
            prints[name] = prints[name] ^ settled.astype(np.uint64)
            if not whole and self._prints:
                before = (self._before[name], self._prints[name])
                upserted[name], removed[name] = differences(before, (tables[name], prints[name]), name)
        whole = whole or not self._prints
        seen = plain, self._before or plain, self._edition or plain
        drawn = Drawn(
            tables, self._moved is not None, until, upserted, removed,
            candidates(plain, limit, self.on.mission.exercise),
            became(watched, *seen, self._outside.get("findings")),
            self._follows, self._late + ahead, self._outside if anew or not self._prints else None, whole,
        )  # fmt: skip
        self._before, self._prints = plain, prints
        return drawn

    def settled(self, now: datetime) -> None:
        """A new edition is in the book: it says what stands, and what is old leaves the window."""
        self.on = ground(self.folder)
        with Journal(self.folder / JOURNAL) as journal:
            self._verdicts = journal.table("verdict")
        self._read_edition()
        keep = self._reach(self._rows, now)
        if not keep.all():
            self._rows = self._rows.filter(pa.array(keep)).combine_chunks()
            self._known = IdSet(self._rows.num_rows)  # the gate gives nothing twice; what `begin` had read is long in
            self._known.add(ids(self._rows["observation_id"]))
        if not self._follows:
            self._moved = None  # the edition says what moved
        self._late = 0
        self._look_outside()

    # What stands

    def _read_edition(self) -> None:
        book = Book(self.folder / BOOK)
        self._edition = {name: book.table(name) for name in book.names()}
        if "track_points" in self._edition:  # only how many there are is asked for, and there are more than of all else
            self._edition["track_points"] = self._edition["track_points"].select([0])
        for name in FOLLOWED:
            rows = self._edition.get(name)
            if rows is None:
                self._settled[name] = {"ids": np.empty((0, 2), np.uint64), "of": np.empty(0, np.uint64)}
            else:
                self._settled[name] = {"ids": ids(rows[IDS[name]]), "of": fingerprints(rows)}

    def _begins(self, rows: pa.Table, now: datetime) -> datetime | None:
        """Where the window begins; None: it holds everything."""
        others = rows.num_rows - self._count_fixes(rows)
        if max(self._tied(), others) <= WHOLE:
            return None
        at = pc.coalesce(rows["until"], rows["at"])
        soon = self._soon(now)
        newest = pc.max(at if soon is None else at.filter(pc.less_equal(at, pa.scalar(soon, TIME)))).as_py() or now
        begins = newest.astimezone(now.tzinfo) - timedelta(hours=self.on.mission.serve.window_h)
        return begins if self._shortened is None else max(begins, self._shortened)

    def _soon(self, now: datetime) -> datetime | None:
        """What is said to be later than this has not happened; None: an exercise's time is invented."""
        return None if self.on.mission.exercise else reaches(now, self._edition.get("events"))

    def _tied(self) -> int:
        """How many observations are behind the edition's events."""
        if not self._edition:
            return 0
        ties = self._edition["associations"]["event_id"]
        return int(len(ties) - ties.null_count)

    def _reach(self, rows: pa.Table, now: datetime) -> Bools:
        """Which observations the window holds: those of its time, and all of the incidents that these are of."""
        fixes = pc.equal(rows["kind"], "fix").to_numpy()
        inside = np.ones(rows.num_rows, np.bool_)
        self._shortened = self._shorter(rows, fixes)
        begins = self._begins(rows, now)
        if begins is not None:
            at = pc.coalesce(rows["until"], rows["at"])
            inside = pc.fill_null(pc.greater_equal(at, pa.scalar(begins, TIME)), False).to_numpy()
            inside = inside & ~fixes
            if self._edition:
                inside |= self._of_same_incidents(rows, inside)
        if fixes.sum() > MOST_FIXES or begins is not None:  # of half a track's fixes half a track would be made
            inside = inside & ~fixes
            self._follows = self._follows and not fixes.any()
        return np.asarray(inside)

    def _shorter(self, rows: pa.Table, fixes: Bools) -> datetime | None:
        """Since when there are no more than `MOST_KEPT` observations; None: there are fewer."""
        at = pc.coalesce(rows["until"], rows["at"]).filter(pa.array(~fixes)).drop_null()
        if len(at) <= MOST_KEPT:
            return None
        moments = at.cast(pa.int64()).to_numpy()
        newest = int(np.partition(moments, len(moments) - MOST_KEPT)[len(moments) - MOST_KEPT])
        found: datetime = pa.scalar(newest, TIME).as_py()
        return found

    def _of_same_incidents(self, rows: pa.Table, inside: Bools) -> Bools:
        ties, incident = self._incidents_of()
        seen = ids(ties["observation_id"])
        behind = index_in(seen, ids(rows["observation_id"]))
        touched = np.unique(incident[(behind >= 0) & inside[np.maximum(behind, 0)]])
        more = np.zeros(rows.num_rows, np.bool_)
        more[behind[(behind >= 0) & np.isin(incident, touched)]] = True
        return more

    def _incidents_of(self) -> tuple[pa.Table, npt.NDArray[np.int64]]:
        """The edition's ties of observations to events, and the row of each one's incident."""
        ties = self._edition["associations"]
        ties = ties.filter(pc.is_valid(ties["event_id"]))
        events = self._edition["events"]
        incident = index_in(ids(events["incident_id"]), ids(self._edition["incidents"]["incident_id"]))
        return ties, incident[index_in(ids(ties["event_id"]), ids(events["event_id"]))]

    def _look_outside(self) -> None:
        """Which rows of the edition's tables stand beside what is drawn of the window."""
        if not self._edition:
            self._outside = {}
            return
        edition = self._edition
        ties, incident = self._incidents_of()
        mine = index_in(ids(ties["observation_id"]), ids(self._rows["observation_id"])) >= 0
        drawn = np.zeros(edition["incidents"].num_rows, np.bool_)
        drawn[incident[mine]] = True
        listed = ids(edition["incidents"]["incident_id"])

        def stands(column: pa.ChunkedArray) -> Bools:
            """Rows of no incident that is drawn."""
            at = index_in(ids(column), listed)
            return np.asarray((at < 0) | ~drawn[np.maximum(at, 0)])

        out = {"incidents": ~drawn, "events": stands(edition["events"]["incident_id"])}
        duties = pc.equal(edition["findings"]["subject_kind"], "duty").to_numpy(zero_copy_only=False)
        out["findings"] = stands(edition["findings"]["subject_id"]) & ~duties
        subjects = edition["cases"]["subject_id"].fill_null(b"\0" * 16)
        of_duty = pc.is_in(
            subjects, value_set=edition["findings"]["subject_id"].filter(pa.array(duties)).combine_chunks()
        )
        out["cases"] = stands(subjects) & ~of_duty.to_numpy(zero_copy_only=False)
        tracked = self._moved is None and self._count_fixes() == 0
        for name in OF_MOVING:
            out[name] = np.full(edition[name].num_rows, tracked)
        tied = pc.is_valid(edition["associations"]["event_id"]).to_numpy(zero_copy_only=False)
        out["associations"] = np.full(edition["associations"].num_rows, tracked)
        event = index_in(ids(ties["event_id"]), ids(edition["events"]["event_id"]))
        out["associations"][tied] = out["events"][event]
        self._outside = out

    def _verdicts_of(self, rows: pa.Table) -> pa.Table:
        """The verdicts on what is drawn: an older one's case stands in the edition."""
        if not self._verdicts.num_rows or not self._outside:
            return self._verdicts
        mine = set(rows["observation_id"].to_pylist()) if self._verdicts.num_rows else set()
        keep = [not v or not mine.isdisjoint(v) for v in self._verdicts["observations"].to_pylist()]
        return self._verdicts.filter(pa.array(keep, pa.bool_()))

    def _conflict(self, rows: pa.Table) -> ConflictModel | None:
        """Which fires are the conflict's; learned, or read from the cache, once for the mission's files as they are."""
        if self._model is None or self._model[0] is not self.on:
            self._model = self.on, fire_model(self.folder, self.on.mission, self.on.frame, self.on.line, rows)[0]
        return self._model[1]

    def _count_fixes(self, rows: pa.Table | None = None) -> int:
        rows = self._rows if rows is None else rows
        return pc.sum(pc.equal(rows["kind"], "fix")).as_py() or 0


def reaches(now: datetime, settled: pa.Table | None) -> datetime:
    """How far time has got: the clock's, a little ahead; an edition's, where that was made by a clock further on."""
    newest = pc.max(settled["at_until"]).as_py() if settled is not None else None
    return max(now + AHEAD, newest or now)


def _columns(rows: pa.Table) -> pa.Table:
    """What is drawn from: the columns that fusion reads, plain, those of other feeds as nulls."""
    columns: dict[str, Any] = {}
    for name in FUSED:
        kind = CORE.field(name).type if name in CORE.names else _OWN.get(name, pa.string())
        column = rows[name].cast(kind) if name in rows.column_names else pa.nulls(rows.num_rows, kind)
        columns[name] = column
    return pa.table(columns)


#: Types of the columns that feeds add and fusion reads.
_OWN = {"firms_frp": pa.float32(), "firms_daynight": pa.string()}


def _speaks_until(rows: pa.Table) -> datetime | None:
    """The moment after the last observation, as `pipeline.settle` has it."""
    last = [value for name in ("at", "until") if (value := pc.max(rows[name]).as_py()) is not None]
    return max(last) + timedelta(microseconds=1) if last else None
