"""The provisional picture: observations of the last while, drawn by the code that draws editions.

What an edition says of older incidents stands as it is. An incident with an observation in the window is drawn with
all of its observations, so that it never is told by halves. What came in changes what it touches, `drawing` says how.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

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
from truceline.observation import CORE, ID, TIME, ids
from truceline.picture import LINE
from truceline.pipeline import Ground, ground, what_moves
from truceline.rules import zones_table
from truceline.serve.changes import U64, differences, fingerprints
from truceline.serve.drawing import Drawing, Patch
from truceline.serve.settled import Settled
from truceline.serve.standing import became, candidates
from truceline.store import Journal

Bools = npt.NDArray[np.bool_]

#: A mission of no more observations than this is drawn whole: what is provisional is then what settling will give.
WHOLE = 5_000
#: Fixes that movements are worked out of while they come in; more wait for the next edition.
MOST_FIXES = 20_000
#: Observations, fixes aside, that a window keeps when an edition is made: about a second's drawing of all. Beyond it
#: the window is shorter than the mission's `window_h`.
MOST_KEPT = 20_000
#: An observation so far ahead of the clock waits until time gets there: its source's clock is wrong.
AHEAD = timedelta(hours=1)
#: Beyond so many rows of an edition it is not said what of them a new edition has changed: take the whole.
_MOST_COMPARED = 200_000
#: Tables of the provisional picture, in the order in which they are made.
DRAWN = ("associations", "events", "incidents", "findings", "cases", "tracks", "track_points", "movements")
FOLLOWED = ("events", "incidents", "findings")


class Drawn(msgspec.Struct):
    """What is otherwise in the provisional picture after something came in."""

    tables: dict[str, pa.Table]  # of DRAWN, as `drawing.Patch.rows`; events, incidents and findings with `provisional`
    gone: dict[str, U64] | None  # as `drawing.Patch.gone`
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
    unread: bool = False  # ask again when nothing comes in: something has been left for then


class Undrawn(NamedTuple):
    """What is answered where there was nothing to draw: as of `Drawn`."""

    follows: bool
    unread: bool


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
        self.follows = True  # fixes; not any more where there are too many of them
        self._model: tuple[Ground, ConflictModel | None] | None = None
        self._rows = _columns(pa.table({}))
        self._known = IdSet()
        self._late = 0
        self._moved: Moving | None = None
        self._fixes_since = 0
        self._shortened: datetime | None = None  # where it begins because there is too much of it
        self._settled = Settled.read(folder)
        self._outside: dict[str, Bools] = {}
        self._verdicts = pa.table({})
        self._drawing = Drawing(folder)
        self._prints: dict[str, U64] = {}
        self._day: Any = None

    # What comes in

    def begin(self, now: datetime) -> None:
        """Read the journal and the newest edition: the window's observations and what stands outside it."""
        self.on, self.follows = ground(self.folder), True
        self._settled = Settled.read(self.folder)
        with Journal(self.folder / JOURNAL) as journal:
            self._verdicts = journal.table("verdict")
            self._hold(lambda columns: journal.blocks("observation", columns), now)
        self._look_outside()
        self._fixes_since = 1
        self._drawing = Drawing(self.folder)
        self._prints = {}

    def take(self, observations: pa.Table, now: datetime) -> bool:
        """Observations just journalled; whether there is something to draw anew."""
        if not self.follows:
            observations = observations.filter(pc.not_equal(observations["kind"], "fix"))
        if not observations.num_rows:
            return False
        rows = _columns(observations)
        rows = rows.filter(pa.array(self._known.add(ids(rows["observation_id"]))))
        begins = self._begins(self._reach([self._rows], now), now)
        if begins is not None:
            early = pc.fill_null(pc.less(_moments(rows), pa.scalar(begins, TIME)), True)
            self._late += pc.sum(early).as_py() or 0
            rows = rows.filter(pc.invert(early))
        fixes = pc.sum(pc.equal(rows["kind"], "fix")).as_py() or 0
        self._fixes_since += fixes
        self._rows = pa.concat_tables([self._rows, rows])
        if self._rows.column(0).num_chunks > 64:  # many small batches are slow to go through
            self._rows = self._rows.combine_chunks()
        if fixes and pc.sum(pc.equal(self._rows["kind"], "fix")).as_py() > MOST_FIXES:
            self._rows = self._rows.filter(pc.not_equal(self._rows["kind"], "fix"))
            self._fixes_since, self.follows = 0, False  # what they told so far stands until the next edition
        return bool(pc.any(pc.is_in(rows["kind"], value_set=pa.array(KINDS))).as_py())

    @property
    def has_new_fixes(self) -> bool:
        """Whether movements have not been worked out since fixes came in."""
        return self._fixes_since > 0

    @property
    def loose(self) -> bool:
        """Whether something that no drawing of what is new looks at has not been looked at since the last one."""
        return self._drawing.loose

    # What is drawn

    def draw(
        self,
        now: datetime,
        limit: float,
        watched: Sequence[bytes] = (),
        movements: bool = False,
        anew: bool = False,
        due: bool = False,
    ) -> Drawn:
        """What is otherwise in the picture now; after `begin` and `settled` all of it.

        Parameters
        ----------
        limit
            Probability from which a finding is a candidate for an alert.
        watched
            Findings of which it is to be said what became of them, where something was drawn of them.
        movements
            Work out anew what moves.
        anew
            The edition is another than at the last call.
        due
            Look also at what else may be otherwise: `drawing`.
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
        before = self._drawing.tables
        if anew:
            self._drawing.begin()
        verdicts = self._verdicts_of(rows)
        model = self._conflict(rows)
        patch = self._drawing.draw(self.on, told, until or now, model, self._moved, verdicts, due)
        day = self.on.mission.day_of((until or now) - timedelta(microseconds=1))
        if not self._settled.tables and (patch.gone is None or (due and day != self._day)):
            on, self._day = self.on, day
            patch.rows["zones"] = zones_table(on.agreement, on.line, on.frame, on.gazetteer, self.folder, day, on.zones)
            patch.rows["line"] = on.line.table() if on.line is not None else LINE.empty_table()
        return self._told(patch, before, until, limit, watched, ahead, anew)

    def _told(
        self, patch: Patch, before: dict[str, pa.Table], until: datetime | None, limit: float,
        watched: Sequence[bytes], ahead: int, anew: bool,
    ) -> Drawn:  # fmt: skip
        """What is to be said of what was drawn: what changed, what is likely a breach, what became of what was."""
        upserted: dict[str, list[bytes]] = {}
        removed: dict[str, list[bytes]] = {}
        first = not self._prints
        whole = first or (anew and sum(len(of) for _, of in self._settled.prints.values()) > _MOST_COMPARED)
        plain = dict(patch.rows)
        for name in FOLLOWED:
            prints = fingerprints(plain[name])
            settled = self._settled.is_as(plain[name], prints, name)
            patch.rows[name] = plain[name].append_column("provisional", pa.array(~settled))
            # whether a row is settled is part of what a reader is shown
            prints = prints ^ settled.astype(np.uint64)
            if first:
                self._prints[name] = prints
                continue
            leaves = patch.leaves(before[name], name)
            if not whole:
                old = before[name].filter(pa.array(leaves)), self._prints[name][leaves]
                upserted[name], removed[name] = differences(old, (plain[name], prints), name)
                removed[name] = self._not_standing(removed[name], name)
            self._prints[name] = np.concatenate([self._prints[name][~leaves], prints])
        now, told = self._drawing.tables, self._settled.tables or self._drawing.tables
        if patch.gone is not None:  # of others it is said nothing
            of = [before["findings"].filter(pa.array(patch.leaves(before["findings"], "findings"))), plain["findings"]]
            wanted = pa.chunked_array([one["finding_id"].combine_chunks() for one in of], ID)
            watched = pa.array(watched, ID).filter(pc.is_in(pa.array(watched, ID), value_set=wanted)).to_pylist()
        return Drawn(
            patch.rows, patch.gone, self._moved is not None, until, upserted, removed,
            candidates(plain, limit, self.on.mission.exercise),
            became(watched, now, before or told, told, self._outside.get("findings")),
            self.follows, self._late + ahead, self._outside if anew or first else None, whole,
        )  # fmt: skip

    def _not_standing(self, gone: list[bytes], name: str) -> list[bytes]:
        """Those that the edition does not show beside what is drawn."""
        if not gone or not self._outside:
            return gone
        at = index_in(ids(pa.array(gone, ID)), self._settled.prints[name][0])
        stands = np.append(self._outside[name], False)[at]
        return [one for one, is_shown in zip(gone, stands, strict=True) if not is_shown]

    def settled(self, now: datetime) -> None:
        """A new edition is in the book: it says what stands, and what is old leaves the window."""
        self.on = ground(self.folder)
        with Journal(self.folder / JOURNAL) as journal:
            self._verdicts = journal.table("verdict")
        self._settled = Settled.read(self.folder)
        rows = self._rows
        self._hold(lambda columns: [rows.select(columns)], now)
        if not self.follows:
            self._moved = None  # the edition says what moved
        self._look_outside()

    # What it holds

    def _hold(self, read: Callable[[Sequence[str]], Iterable[pa.Table]], now: datetime) -> None:
        """Hold those of some observations that are of its time, and all of the incidents that these are of.

        They are read two or three times, a block at a time: a journal may be larger than memory.
        """
        reach = self._reach(read(("kind", "at", "until")), now)
        self._shortened = reach.shortened
        begins = self._begins(reach, now)
        keeps = begins is None and reach.fixes <= MOST_FIXES  # of half a track's fixes half a track would be made
        if reach.fixes and not keeps:
            self.follows = False

        def inside(rows: pa.Table) -> Bools:
            mine = np.ones(rows.num_rows, np.bool_)
            if begins is not None:
                late = pc.greater_equal(_moments(rows), pa.scalar(begins, TIME))
                mine = pc.fill_null(late, False).to_numpy(zero_copy_only=False)
            return mine if keeps else mine & pc.not_equal(rows["kind"], "fix").to_numpy(zero_copy_only=False)

        held = [_columns(rows.filter(pa.array(inside(rows)))) for rows in read(FUSED)]
        self._rows = pa.concat_tables([_columns(pa.table({})), *held])
        if begins is not None:
            same = self._settled.behind_same_incidents(ids(self._rows["observation_id"]))
            more = same[index_in(same, ids(self._rows["observation_id"])) < 0]
            if len(more):
                for rows in read(FUSED):
                    mine = index_in(ids(rows["observation_id"]), more) >= 0
                    mine &= pc.not_equal(rows["kind"], "fix").to_numpy(zero_copy_only=False)
                    held.append(_columns(rows.filter(pa.array(mine))))
                self._rows = pa.concat_tables([_columns(pa.table({})), *held])
        self._rows = self._rows.combine_chunks()
        self._known = IdSet(self._rows.num_rows)  # the gate gives nothing twice; what `begin` had read is long in
        self._known.add(ids(self._rows["observation_id"]))
        self._late = 0

    def _reach(self, blocks: Iterable[pa.Table], now: datetime) -> "_Reach":
        """How far observations reach, and how many there are."""
        soon = self._soon(now)
        others, fixes, newest, kept = 0, 0, None, np.empty(0, np.int64)
        for rows in blocks:
            at, fix = _moments(rows), pc.equal(rows["kind"], "fix")
            fixes += pc.sum(fix).as_py() or 0
            happened = at if soon is None else at.filter(pc.less_equal(at, pa.scalar(soon, TIME)))
            newest = max((one for one in (newest, pc.max(happened).as_py()) if one is not None), default=None)
            told = at.filter(pc.invert(fix)).drop_null().cast(pa.int64()).to_numpy()
            others += rows.num_rows - (pc.sum(fix).as_py() or 0)
            kept = np.concatenate([kept, told])
            if len(kept) > MOST_KEPT + 1:
                kept = np.partition(kept, len(kept) - MOST_KEPT - 1)[len(kept) - MOST_KEPT - 1 :]
        shortened = pa.scalar(int(np.sort(kept)[1]), TIME).as_py() if len(kept) > MOST_KEPT else None
        return _Reach(others, fixes, newest, shortened)

    def _begins(self, reach: "_Reach", now: datetime) -> datetime | None:
        """Where the window begins; None: it holds everything."""
        if max(int(self._settled.tied.sum()), reach.others) <= WHOLE:
            return None
        newest = reach.newest or now
        begins = newest.astimezone(now.tzinfo) - timedelta(hours=self.on.mission.serve.window_h)
        return begins if self._shortened is None else max(begins, self._shortened)

    def _soon(self, now: datetime) -> datetime | None:
        """What is said to be later than this has not happened; None: an exercise's time is invented."""
        return None if self.on.mission.exercise else reaches(now, self._settled.until)

    def _look_outside(self) -> None:
        """Which rows of the edition's tables stand beside what is drawn of the window."""
        tracked = self._moved is None and not pc.any(pc.equal(self._rows["kind"], "fix")).as_py()
        self._outside = self._settled.outside(ids(self._rows["observation_id"]), tracked)

    def _verdicts_of(self, rows: pa.Table) -> pa.Table:
        """The verdicts on what is drawn: an older one's case stands in the edition."""
        if not self._verdicts.num_rows or not self._outside:
            return self._verdicts
        mine = set(rows["observation_id"].to_pylist())
        keep = [not v or not mine.isdisjoint(v) for v in self._verdicts["observations"].to_pylist()]
        return self._verdicts.filter(pa.array(keep, pa.bool_()))

    def _conflict(self, rows: pa.Table) -> ConflictModel | None:
        """Which fires are the conflict's; learned, or read from the cache, once for the mission's files as they are."""
        if self._model is None or self._model[0] is not self.on:
            self._model = self.on, fire_model(self.folder, self.on.mission, self.on.frame, self.on.line, rows)[0]
        return self._model[1]


class _Reach(NamedTuple):
    """Of observations: how many, and how far they reach."""

    others: int  # all but the fixes
    fixes: int
    newest: datetime | None  # of what has happened
    shortened: datetime | None  # since when there are no more than `MOST_KEPT`; None: there are fewer


def reaches(now: datetime, settled: datetime | None) -> datetime:
    """How far time has got: the clock's, a little ahead; an edition's, where that was made by a clock further on."""
    return max(now + AHEAD, settled or now)


def _moments(rows: pa.Table) -> pa.ChunkedArray:
    return pc.coalesce(rows["until"], rows["at"])


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
