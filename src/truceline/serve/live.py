"""The picture while it changes: provisional at once, settled in the background, every correction told.

The parent keeps the snapshot that readers read, and journals alerts; processes of their own draw the picture, follow
what moves and settle editions, so that nothing of it holds up the event loop.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from truceline import picture
from truceline.errors import NotFoundError, TrucelineError
from truceline.inputs import FUSED
from truceline.mission import Mission
from truceline.serve import picturing, snapshots
from truceline.serve.alerts import Alerts
from truceline.serve.child import Child, all_unpacked, unpacked
from truceline.serve.drawing import Patch
from truceline.serve.service import Bus, Changes, Gate, Snapshot
from truceline.serve.settler import Settler
from truceline.serve.track_frames import TrackFrames
from truceline.serve.window import FOLLOWED, Drawn, Undrawn
from truceline.store import Edition

log = logging.getLogger(__name__)

#: Rows that may wait for the picture before whoever feeds it waits: some seconds of the fastest intake.
MOST_WAITING = 200_000
#: What came in is gathered so long before it is drawn: posts of one burst are one drawing.
_GATHER_S = 0.01
#: After a drawing it rests half as long as that took, and no longer than this: a record that comes just when a drawing
#: has begun waits for that, for the rest and for its own.
_REST_S = 0.1
#: What was left for when nothing comes in is asked for so much later: it must not wait for another record.
_UNREAD_S = 1.0
#: How often readers of tracks are told, at most; and how often the snapshot's table of tracks is made anew.
_TRACKS_S, _TABLE_S = 1.0, 5.0
#: How often the board of sources is looked at for silence.
_HEAR_S = 1.0
#: After a failure it is tried again so much later.
_AGAIN_S = 2.0
#: Revisions kept for who asks what changed.
_CHANGES = 1024


class LivePicture:
    """The `Live` of a running mission.

    Parameters
    ----------
    gate
        Takes rows for the journal. Where it has `roll`, that is awaited before an edition is made.
    settle_every_s
        Instead of the mission's own.
    """

    def __init__(
        self,
        folder: Path,
        mission: Mission,
        clock: Callable[[], datetime],
        gate: Gate,
        bus: Bus,
        alerts: Alerts,
        settle_every_s: float | None = None,
    ) -> None:
        self.folder, self.mission, self.clock = folder, mission, clock
        self.gate, self.bus, self.alerts = gate, bus, alerts
        self.settle_every_s = settle_every_s or mission.serve.settle_every_s
        #: Why the picture, or its settling, stands still: a sentence; None while all is well.
        self.problem: str | None = None
        #: Observations that are journalled and in no provisional picture: they come with the next edition.
        self.late = 0
        #: Seconds of the last drawing.
        self.drawing_s = 0.0
        self._snapshot = Snapshot(0, clock(), None, snapshots.empty())
        self._standing: dict[str, pa.Table] = {}  # of the edition: what is not drawn
        self._drawn: dict[str, pa.Table] = {}  # the provisional picture's tables
        self._settled_tracks = picture.TRACKS.empty_table()
        self._live_tracks: pa.Table | None = None
        self._changes: deque[Changes] = deque(maxlen=_CHANGES)
        self._waiting: list[pa.Table] = []
        self._waiting_rows, self._waits_since = 0, 0.0
        self._room = asyncio.Event()
        self._room.set()
        self._work = asyncio.Event()
        self._follows = True
        self._moving: list[pa.Table] = []
        self._moving_rows = 0
        self._moves = asyncio.Event()
        self._unread = False  # something has been left for when nothing comes in
        self._frames = TrackFrames()
        self._picture: Child | None = None
        self._settler = Settler(folder, gate, clock)
        self._tracker: Child | None = None
        self._drawing = asyncio.Lock()
        self._unheld: deque[Drawn] = deque()  # what the alerts have not been held against
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False

    # What others ask

    @property
    def behind_s(self) -> float:
        """For how long what was journalled last, and is not shown, has waited."""
        return asyncio.get_running_loop().time() - self._waits_since if self._waiting or self._drawing.locked() else 0.0

    @property
    def snapshot(self) -> Snapshot:
        """The picture as it is now."""
        return self._snapshot

    def changes(self, since: int) -> Changes | None:
        """What is otherwise than at a revision; None when that is too long ago: take the whole."""
        now = self._snapshot.revision
        if since == now:
            return Changes(now, now, {}, {})
        steps = [step for step in self._changes if step.since >= since]
        if not steps or steps[0].since != since or steps[-1].revision != now:
            return None
        upserted: dict[str, dict[bytes, None]] = {name: {} for name in FOLLOWED}
        removed: dict[str, dict[bytes, None]] = {name: {} for name in FOLLOWED}
        for step in steps:
            for name in FOLLOWED:
                for one in step.upserted.get(name, ()):
                    removed[name].pop(one, None)
                    upserted[name][one] = None
                for one in step.removed.get(name, ()):
                    upserted[name].pop(one, None)
                    removed[name][one] = None
        return Changes(since, now, *({name: [*of] for name, of in one.items()} for one in (upserted, removed)))

    async def feed(self, observations: pa.Table) -> None:
        """Observations just journalled, in their order. Waits when the picture is behind."""
        if not observations.num_rows:
            return
        await self._room.wait()
        there = set(observations.column_names)
        rows = observations.select([name for name in FUSED if name in there])
        moving = pc.is_in(rows["kind"], value_set=_MOVING)
        if pc.any(moving).as_py() and (self._tracker is not None or pc.any(pc.equal(rows["kind"], "fix")).as_py()):
            self._moving.append(rows.filter(moving))
            self._moving_rows += self._moving[-1].num_rows
            while self._moving_rows > MOST_WAITING:  # shown are the newest; editions are made of all
                self._moving_rows -= self._moving.pop(0).num_rows
            self._moves.set()
        if not self._follows:  # too many fixes to be drawn of: the tracker alone has them
            rows = rows.filter(pc.not_equal(rows["kind"], "fix"))
            if not rows.num_rows:
                return
        if not self._waiting:
            self._waits_since = asyncio.get_running_loop().time()
        self._waiting.append(rows)
        self._waiting_rows += rows.num_rows
        if self._waiting_rows > MOST_WAITING and not self._stopped:
            self._room.clear()
        self._work.set()

    def tracks(self) -> AsyncIterator[str | bytes]:
        """What moves, for one reader: `streams.tracks`."""
        return self._frames.read()

    async def settle(self) -> Edition:
        """Make an edition now, and show it.

        Raises
        ------
        TrucelineError
            As `pipeline.settle`.
        """
        edition = await self._settler.edition()
        if self._snapshot.edition is None or edition.number != self._snapshot.edition.number:
            await self._draw("settled")
        return edition

    async def report(self, day: date | None = None) -> dict[str, Any]:
        """Write the daily report of the newest edition; what it says, as `daily.Written` has it.

        Parameters
        ----------
        day
            The reporting day; None: the last that holds an event.

        Raises
        ------
        TrucelineError
            As `daily.report`; `NotFoundError` for a day before the first event and for one that has not begun.
        """
        first = pc.min(self._snapshot.tables["events"]["at_from"]).as_py()
        if day and (first is None or not self.mission.day_of(first) <= day <= self.mission.day_of(self.clock())):
            raise NotFoundError(f"nothing is known of the reporting day {day}")
        return await self._settler.report(day)

    # Its life

    async def start(self) -> None:
        """Read what there is, show it, and go on from there."""
        await self._begin()
        keep = [self._keep_drawing, self._keep_settling, self._keep_hearing, self._keep_tracking]
        self._tasks = [asyncio.create_task(self._kept(one)) for one in keep]

    def close(self) -> None:
        """Let go of whoever reads what moves."""
        self._frames.close()

    async def stop(self) -> None:
        """End the processes; what was acknowledged is in the journal."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._frames.close()
        self._room.set()
        children = [one for one in (self._picture, self._settler, self._tracker) if one is not None]
        await asyncio.gather(*(asyncio.to_thread(one.end) for one in children))
        self._picture = self._tracker = None

    async def _kept(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run for good: what fails is told and tried again."""
        while True:
            try:
                await run()
            except TrucelineError as error:
                self._trouble(str(error))
            except Exception as error:  # the picture must not stand still for a fault in one part of it
                log.exception("%s failed", run.__name__)
                self._trouble(f"{type(error).__name__}: {error}")
            await asyncio.sleep(_AGAIN_S)

    def _trouble(self, problem: str | None) -> None:
        if problem != self.problem:
            self.problem = problem
            if problem is not None:
                log.warning("the picture: %s", problem)
            self.bus.publish("picture", self._told() | {"problem": problem})

    async def _begin(self) -> None:
        if self._picture is not None:
            self._picture.end()
        if roll := getattr(self.gate, "roll", None):
            await roll()
        self._follows = True
        self._picture = Child(picturing.picture, self.folder)
        await self._draw("begin")

    async def _keep_drawing(self) -> None:
        loop = asyncio.get_running_loop()
        if self._picture is None or not self._picture.process.is_alive():
            await self._begin()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_UNREAD_S if self._unread else None):
                    await self._work.wait()
            await asyncio.sleep(_GATHER_S)
            begun = loop.time()
            await self._draw("take")
            self._trouble(None)
            rested_s = loop.time() - begun - self.drawing_s  # while alerts were journalled
            await asyncio.sleep(min(self.drawing_s / 2, _REST_S) - rested_s)

    async def _draw(self, why: str) -> None:
        """Ask for the picture, show it, and hold the alerts against it."""
        async with self._drawing:
            if self._picture is None:
                return
            given: list[bytes] = []
            if why == "take":
                self._work.clear()
                taken, self._waiting, self._waiting_rows = self._waiting, [], 0
                self._room.set()
                if not taken and not self._unread:
                    return
                given = [await asyncio.to_thread(snapshots.together, taken)] if taken else []
            limit, begun = self.mission.serve.alert_from, asyncio.get_running_loop().time()
            drawn: Drawn | Undrawn
            try:
                drawn = await self._picture.ask(why, self.clock(), limit, self.alerts.watched(), *given)
                if isinstance(drawn, Drawn):
                    await self._show(drawn)
            except Exception:  # the process is ahead of what is shown: it begins anew, with all there is
                await asyncio.to_thread(self._picture.end)
                self._picture = None
                raise
            self._follows, self._unread = drawn.follows, drawn.unread
            self.drawing_s = asyncio.get_running_loop().time() - begun
            if isinstance(drawn, Drawn):
                if drawn.gone is None:  # all that it says of alerts is said anew
                    self._unheld.clear()
                self._unheld.append(drawn)
                await self._hold()

    async def _hold(self) -> None:
        """Hold the alerts against what was drawn, as far as that is still to be done."""
        while self._unheld:
            drawn = self._unheld[0]
            since = self.clock() - timedelta(hours=self.mission.serve.window_h)
            await self.alerts.hold(unpacked(drawn.candidates), drawn.became, since)
            self._unheld.popleft()

    async def _show(self, drawn: Drawn) -> None:
        before = self._snapshot
        if drawn.outside is not None:
            self._standing, edition = await asyncio.to_thread(snapshots.standing, self.folder, drawn.outside)
        else:
            edition = before.edition
        self._drawn, tables = await asyncio.to_thread(self._joined, drawn)
        self._settled_tracks = tables["tracks"]
        tables["tracks"] = snapshots.with_live(self._settled_tracks, self._live_tracks)
        self.late = drawn.waiting
        changed = any(drawn.upserted.values()) or any(drawn.removed.values()) or drawn.whole
        revision = before.revision + 1 if changed or edition != before.edition else before.revision
        at = drawn.until or self.clock()
        self._snapshot = Snapshot(revision, at, edition, tables)
        if revision == before.revision:
            return
        if drawn.whole:
            self._changes.clear()
        else:
            self._changes.append(Changes(before.revision, revision, drawn.upserted, drawn.removed))
        self.bus.publish("picture", self._told() | {
            "since": before.revision, "reset": drawn.whole,
            **{name: len(drawn.upserted.get(name, ())) for name in FOLLOWED},
            "removed": sum(map(len, drawn.removed.values())),
        })  # fmt: skip

    def _joined(self, drawn: Drawn) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
        """The provisional picture's tables after a drawing, and the snapshot's of them and what stands."""
        now = Patch(all_unpacked(drawn.tables), drawn.gone).applied(self._drawn)
        return now, snapshots.joined(self._standing, now)

    def _told(self) -> dict[str, Any]:
        now = self._snapshot
        number = now.edition.number if now.edition is not None else None
        return {"revision": now.revision, "at": now.at.isoformat(), "edition": number, "problem": self.problem}

    async def _keep_settling(self) -> None:
        while True:
            await asyncio.sleep(self.settle_every_s)
            if await asyncio.to_thread(snapshots.unsettled, self.folder):
                await self.settle()
            ended = self.mission.day_of(self.clock()) - timedelta(days=1)
            if await asyncio.to_thread(snapshots.unreported, self.folder, ended):
                with contextlib.suppress(NotFoundError):  # nothing is known of that day
                    await self.report(ended)

    async def _keep_hearing(self) -> None:
        states: dict[str, str] = {}
        while True:
            async with self._drawing:
                await self._hold()  # the journal may have refused before: a full disk
            board = self.gate.sources()
            await self.alerts.hear(board)
            for row in board:
                if states and states.get(row["id"]) != row["state"]:
                    self.bus.publish("source", row)
            states = {row["id"]: row["state"] for row in board}
            await asyncio.sleep(_HEAR_S)

    async def _keep_tracking(self) -> None:
        """Follow what moves; the process for it is made when something does."""
        loop = asyncio.get_running_loop()
        edition = self._snapshot.edition
        if self._tracker is None and (edition is None or not self._snapshot.tables["tracks"].num_rows):
            await self._moves.wait()
        if self._tracker is not None:
            self._tracker.end()
        self._frames.restart()
        self._tracker = Child(picturing.tracks, self.folder)
        self._moving, self._moving_rows = [], 0  # the journal has them
        await self._tracker.ask("begin", self.clock())
        table_at = -_TABLE_S
        while True:
            begun = loop.time()
            self._moves.clear()
            if self._moving:
                taken, self._moving, self._moving_rows = self._moving, [], 0
                await self._tracker.ask("take", await asyncio.to_thread(snapshots.together, taken))
            self._frames.tell(*await self._tracker.ask("frames", self.clock().timestamp()))
            if begun - table_at >= _TABLE_S:
                table_at = begun
                self._live_tracks = await asyncio.to_thread(unpacked, await self._tracker.ask("table"))
                now = self._snapshot
                joined = await asyncio.to_thread(snapshots.with_live, self._settled_tracks, self._live_tracks)
                tables = dict(now.tables) | {"tracks": joined}
                if now is self._snapshot:
                    self._snapshot = msgspec.structs.replace(now, tables=tables)
            await asyncio.sleep(max(0.05, begun + _TRACKS_S - loop.time()))


_MOVING = pa.array(["fix", "status"])
