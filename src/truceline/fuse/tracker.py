"""The tracker: detections pushed in, tracks kept, and what can no longer change handed out.

Rows are taken in by event time, in slices; of the newest slice only when a later one has begun or the caller says it
is whole. What a late row changes is worked out again from the checkpoint before it, so the settled result is that of
rows in order. Rows later than `lateness_s` are not taken, and told. Memory is that of the live tracks, of the window
of lateness and of what has been settled and not fetched.
"""

import io
import json
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.frame import Frame
from truceline.fuse.detections import (
    Detections,
    Floats,
    Ints,
    among,
    both,
    codes,
    from_observations,
    in_order_of_work,
)
from truceline.fuse.motion import BEGINNING, MOTIONS, Looks, Motion, parameters
from truceline.fuse.tracker_state import BUFFERS, Rows, Segment, Settled, Settling, compact, fits, fresh, trimmed
from truceline.kernels import gate as g
from truceline.kernels import sweep
from truceline.kernels import tracks as t
from truceline.kernels.motion import COEFFICIENTS, STEPS
from truceline.kernels.order import crowded, in_order, runs_before

#: What became of a row of a step: in the picture (or waiting for its slice to be whole), there already, or later than
#: the lateness allows; without a time or position; ahead of all others, and kept until time gets there.
TAKEN, DUPLICATE, LATE, UNUSABLE, AHEAD = range(5)
#: A row so far ahead of the newest, among rows that are not, speaks of a wrong clock, seconds.
AHEAD_S = 3600.0
#: A track ends when so many looks missed it that a live object would be missed so with no more than this
#: probability: at 0.9 a look, after four; before it is confirmed after two, after its first detection one. The
#: picture leaves it out one look sooner: kept, in case it comes back.
GONE, GONE_TENTATIVE, GONE_FIRST, GONE_SHOWN = 1.01e-4, 1.01e-2, 1.01e-1, 1.01e-3
_CHUNK = 65_536  # rows worked at a time: their points take 12 MB
_LEAST_BETWEEN_CHECKPOINTS = 4096


class Snapshot(NamedTuple):
    """Confirmed tracks as expected at one moment; provisional."""

    at_s: float
    serial: Ints
    track: Ints  # (n, 2) the id: of its first observation
    kind: Ints  # index of motion.CLASSES
    identity: Ints  # code, 0: none
    state: Floats  # (n, 4) east, north, speed east, speed north
    covariance: Floats  # (n, 10) as in kernels.motion
    alt_m: Floats
    p_manoeuvre: Floats
    seen_s: Floats  # when it was detected last


class Tracker:
    """Tracks of moving objects from any mix of sensors.

    Parameters
    ----------
    frame
        The plane positions are in.
    motions
        Parameters of classes that differ from `motion.MOTIONS`.
    looks
        How sensors look, by their code, where that is known: tracks end, and beginnings are dropped, by the looks
        that found nothing instead of by the clock.
    lateness_s
        How late a row may come and still change the picture, event time.
    slice_s
        Length of a slice: what one sensor sees in one is at most one detection of each object.
    """

    def __init__(
        self,
        frame: Frame,
        motions: Mapping[str, Motion] = MOTIONS,
        looks: Mapping[int, Looks] | None = None,
        lateness_s: float = 120.0,
        slice_s: float = 1.0,
    ) -> None:
        self.frame = frame
        self.lateness_s, self.slice_s = float(lateness_s), float(slice_s)
        self.left_out: dict[str, int] = {}
        self._parameters = parameters(motions)
        self._sensors = np.array([tuple(v) for _, v in sorted((looks or {}).items())], np.float64).reshape(-1, 5)
        self._sensors[:, 1] = np.log1p(-self._sensors[:, 1])
        self._settings = np.zeros(t.SETTINGS)
        self._settings[t.SLICE_S] = slice_s
        # going through all tracks: a fourth of the shortest revisit is soon enough, or 5 s of silences of 30 and more
        revisits = [v.revisit_s / 4 for v in (looks or {}).values()]
        self._settings[t.SWEEP_S] = max(min(revisits, default=5.0), slice_s)
        # often enough that of two tracks of one object neither starves before they are found beside each other
        self._settings[t.BESIDE_EVERY_S], self._settings[t.BESIDE_FOR_S] = 10.0, 20.0
        self._settings[t.GONE_LOG : t.BEGIN_LOG] = math.log(GONE), math.log(GONE_TENTATIVE), math.log(GONE_FIRST)
        self._settings[t.BEGIN_LOG] = math.log(BEGINNING.value)
        self._live = fresh()
        self._room = np.full((STEPS, COEFFICIENTS), np.nan), np.empty(14)
        self._segments: deque[Segment] = deque()
        self._waiting = Detections(np.empty((0, g.VALUES)), np.empty((0, g.KEYS), np.int64))
        self._ahead = self._waiting
        self._buffers = BUFFERS
        self._settling = Settling(self._buffers)
        self._since_checkpoint, self._checkpoint_s = 0, -np.inf
        self._events = np.empty((0, 4), np.int64)

    @property
    def head_s(self) -> float:
        """End of the newest slice worked, event time; -inf before the first."""
        return self._segments[-1].last_s if self._segments else self._settling.head_s

    def step(self, batch: Detections | pa.Table, whole: bool = False) -> npt.NDArray[np.int8]:
        """Take rows in, in any order.

        Parameters
        ----------
        batch
            Detections, or a table of `observation.CORE` with kind fix.
        whole
            No more rows of these slices are to come. (If some do, they are late, and taken so.)

        Returns
        -------
        (n,) int8
            What became of each row: `TAKEN`, `DUPLICATE`, `LATE`, `UNUSABLE` or `AHEAD`; counted in `left_out`.
        """
        if isinstance(batch, pa.Table):
            usable, reasons = from_observations(batch, self.frame)
            fates = np.full(len(reasons), UNUSABLE, np.int8)
            fates[reasons == 0] = self.step(usable, whole)
            self._count("no time, no position or outside the frame", int(np.sum(reasons > 0)))
            return fates
        values, keys = batch
        fates = np.zeros(len(values), np.int8)
        if not len(values):
            return fates
        head, held = self.head_s, len(self._waiting.values) + len(self._ahead.values)
        if whole and not held and in_order(values, keys, self.slice_s, head):
            self._run(values, keys)
        else:
            self._mixed(batch, whole, head, fates)
        self._settle()
        return fates

    def flush(self) -> None:
        """Work what waits: no more rows are to come of any slice so far."""
        waiting, self._waiting = self._waiting, self._waiting.rows(slice(0, 0))
        if len(waiting.values):
            self._run(*waiting)
        self._settle()

    def finish(self) -> None:
        """End of all rows: everything is settled, also what was held for being ahead."""
        if len(self._ahead.values):
            self._waiting, self._ahead = both(self._waiting, self._ahead), self._ahead.rows(slice(0, 0))
            self._waiting = self._waiting.rows(in_order_of_work(self._waiting, self.slice_s)[0])
        self.flush()
        while self._segments:
            self._settling.add(self._segments.popleft())

    def settled(self) -> Settled:
        """What no row within the lateness can change any more, since the last call: points of confirmed tracks."""
        least = self._segments[0].least if self._segments else _least(self._live)
        return self._settling.taken(least, int(self._live.counts[t.NEXT_SERIAL]))

    def snapshot(self, at_s: float | None = None, as_seen: bool = False) -> Snapshot:
        """The confirmed tracks, expected at a moment (by default the newest row's), or each as it was last seen."""
        live = self._live
        if at_s is None:
            at_s = self._segments[-1].newest_s if self._segments else self._settling.newest_s
        n = int(live.counts[t.LIVE])
        out, keys = np.empty((n, 17)), np.empty((n, 6), np.int64)
        n = sweep.seen_at(
            live, at_s, self._parameters, self._sensors, math.log(GONE_SHOWN), as_seen, *self._room, out, keys
        )
        out, keys = out[:n], keys[:n]
        marks = (keys[:, 0], keys[:, 1:3], keys[:, 3], keys[:, 4])
        return Snapshot(at_s, *marks, out[:, :4], out[:, 4:14], *out[:, 14:].T)

    def state(self) -> bytes:
        """Everything, to go on from with `restore`: what comes after is the same to the last bit."""
        held = self._settling
        arrays: dict[str, npt.NDArray[Any]] = {
            "parameters": self._parameters,
            "sensors": self._sensors,
            "settings": self._settings,
            "waiting.values": self._waiting.values,
            "waiting.keys": self._waiting.keys,
            "ahead.values": self._ahead.values,
            "ahead.keys": self._ahead.keys,
            "fate": held.fate,
            "names": held.names,
            **{f"live.{name}": a for name, a in trimmed(self._live)._asdict().items()},
            **{f"held.{name}": a for name, a in held.held._asdict().items()},
        }
        for where, segments in (("window", list(self._segments)), ("settled", held.segments)):
            for k, segment in enumerate(segments):
                arrays |= {f"{where}.{k}.{name}": np.asarray(getattr(segment, name)) for name in Segment._fields[:9]}
                if segment.before is not None:
                    before = trimmed(segment.before)._asdict()
                    arrays |= {f"{where}.{k}.before.{name}": a for name, a in before.items()}
        arrays["scalars"] = np.array(
            [self.frame.lon, self.frame.lat, self.frame.radius_m, self.lateness_s, self.slice_s, self._checkpoint_s,
             held.head_s, held.newest_s]
        )  # fmt: skip
        arrays["whole"] = np.array([self._since_checkpoint, held.base, len(self._segments), len(held.segments)])
        out = io.BytesIO()
        np.savez(out, allow_pickle=False, left_out=json.dumps(self.left_out), **arrays)
        return out.getvalue()

    @classmethod
    def restore(cls, state: bytes) -> "Tracker":
        """The tracker that gave `state`."""
        with np.load(io.BytesIO(state), allow_pickle=False) as stored:
            kept = dict(stored)
        scalars, whole = kept["scalars"], kept["whole"]
        out = cls(Frame(*map(float, scalars[:3])), lateness_s=float(scalars[3]), slice_s=float(scalars[4]))
        out._parameters, out._sensors, out._settings = kept["parameters"], kept["sensors"], kept["settings"]
        out.left_out = json.loads(str(kept["left_out"]))
        out._live = t.Live(*(kept[f"live.{name}"] for name in t.Live._fields))
        out._waiting = Detections(kept["waiting.values"], kept["waiting.keys"])
        out._ahead = Detections(kept["ahead.values"], kept["ahead.keys"])
        out._since_checkpoint, out._checkpoint_s = int(whole[0]), float(scalars[5])
        out._segments = deque(_segment(kept, f"window.{k}") for k in range(int(whole[2])))
        settling = out._settling
        settling.head_s, settling.newest_s, settling.base = float(scalars[6]), float(scalars[7]), int(whole[1])
        settling.fate, settling.names = kept["fate"], kept["names"]
        settling.held = Rows(*(kept[f"held.{name}"] for name in Rows._fields))
        settling.segments = [_segment(kept, f"settled.{k}") for k in range(int(whole[3]))]
        return out

    def _count(self, why: str, rows: int) -> None:
        if rows:
            self.left_out[why] = self.left_out.get(why, 0) + rows

    def _mixed(self, batch: Detections, whole: bool, head: float, fates: npt.NDArray[np.int8]) -> None:
        """Rows out of order, or of slices that are not whole."""
        slice_s = self.slice_s
        rows = np.arange(len(fates))
        fates[~np.isfinite(batch.values[:, : g.AT_SIGMA]).all(axis=1)] = UNUSABLE
        begins = np.floor(batch.values[:, g.AT] / slice_s) * slice_s
        if head > -np.inf:
            window = head if self.lateness_s <= 0 else head - slice_s - self.lateness_s
            fates[(fates == TAKEN) & (begins < window)] = LATE
            before = rows[(fates == TAKEN) & (begins < head)]
            if len(before):
                known = np.concatenate([s.keys[:, :2] for s in self._segments] or [np.empty((0, 2), np.int64)])
                fates[before[among(batch.keys[before, :2], known)]] = DUPLICATE
            if not whole:
                self._hold(batch, begins, head, fates)
        taken = rows[fates == TAKEN]
        merged = both(self._waiting, batch.rows(taken))
        if len(self._ahead.values) and len(taken):
            # time has got there; or everything has, so that it was no jump of one clock
            reached = np.inf if begins[taken].min() > head + AHEAD_S else head + AHEAD_S
            due = self._ahead.values[:, g.AT] <= reached
            merged, self._ahead = both(merged, self._ahead.rows(due)), self._ahead.rows(~due)
        order, repeats = in_order_of_work(merged, slice_s)
        again = repeats - len(self._waiting.values)
        fates[taken[again[(again >= 0) & (again < len(taken))]]] = DUPLICATE
        self._count("later than the lateness allows", int(np.sum(fates == LATE)))
        self._count("seen before", int(np.sum(fates == DUPLICATE)))
        self._count("no time or position", int(np.sum(fates == UNUSABLE)))
        merged = merged.rows(order)
        if not len(order):
            return
        begins = np.floor(merged.values[:, g.AT] / slice_s) * slice_s
        ready = len(begins) if whole else int(np.searchsorted(begins, begins[-1]))
        self._waiting = merged.rows(slice(ready, None))
        if not ready:
            return
        if begins[0] < head:
            merged = self._back(begins[0], merged.rows(slice(0, ready)))
            ready = len(merged.values)
        self._run(merged.values[:ready], merged.keys[:ready])

    def _hold(self, batch: Detections, begins: Floats, head: float, fates: npt.NDArray[np.int8]) -> None:
        """Keep rows far ahead of all others apart, until time gets there: a clock has jumped."""
        far = (fates == TAKEN) & (begins > head + AHEAD_S)
        if far.any() and ((fates == TAKEN) & ~far).any():
            fates[far] = AHEAD
            self._ahead = both(self._ahead, batch.rows(np.flatnonzero(far)))
            self._count("ahead of all others, kept until time gets there", int(far.sum()))

    def _back(self, to_s: float, late: Detections) -> Detections:
        """Go back to the last checkpoint before a slice; the rows since then and the late ones, in order."""
        undone: list[Segment] = []
        while self._segments:
            undone.append(self._segments.pop())
            if undone[-1].before is not None and (not self._segments or self._segments[-1].last_s <= to_s):
                break
        checkpoint = undone[-1].before
        assert checkpoint is not None  # the first segment has one
        self._buffers.give(*self._live[:3])
        for segment in undone:
            if segment.before is not None and segment.before is not checkpoint:
                self._buffers.give(*segment.before[:3])
        self._live = checkpoint
        self._since_checkpoint, self._checkpoint_s = 1 << 60, -np.inf  # the checkpoint is in use: the next is new
        merged = Detections(
            np.concatenate([*(s.values for s in reversed(undone)), late.values]),
            np.concatenate([*(s.keys for s in reversed(undone)), late.keys]),
        )
        for segment in undone:
            self._buffers.give(*segment.worked())
        return merged.rows(in_order_of_work(merged, self.slice_s)[0])

    def _run(self, values: Floats, keys: Ints) -> None:
        """Work rows in order, whole slices, none before the head."""
        n, slice_s = len(values), self.slice_s
        for low, high in runs_before(values, slice_s, _CHUNK) if n > _CHUNK else [(0, n)]:
            part, part_keys = values[low:high], keys[low:high]
            live, named = self._live, int(np.count_nonzero(part_keys[:, g.IDENTITY]))
            first = math.floor(float(part[0, g.AT]) / slice_s) * slice_s
            before = None
            if self.lateness_s > 0 and (
                self._since_checkpoint >= max(_LEAST_BETWEEN_CHECKPOINTS, 2 * int(live.counts[t.LIVE]))
                or first - self._checkpoint_s >= self.lateness_s / 2
                or not self._segments
            ):
                before = live  # as it is; what goes on is a copy
                self._since_checkpoint, self._checkpoint_s = 0, first
            if before is not None or not fits(live, high - low, named):
                self._live = compact(live, high - low, named, self._buffers)
                if before is None:
                    self._buffers.give(*live[:3])
                live = self._live
            take = self._buffers.take
            least = _least(live)
            serials, points = take(high - low, 3, np.int64), take(high - low, t.POINT, np.float64)
            most = 3 * (high - low) + int(live.counts[t.LIVE]) + 8
            if most > len(self._events):
                self._events = np.empty((2 * most, 4), np.int64)
            many = high - low if crowded(part, part_keys, slice_s, g.LARGE) else 0
            placed, placed_keys = take(many, g.VALUES, np.float64), take(many, g.KEYS, np.int64)
            count = sweep.advance(
                live, part, part_keys, placed, placed_keys, self._parameters, self._sensors, self._settings, serials,
                points, self._events,
            )  # fmt: skip
            newest = float(part[-1, g.AT])
            last = math.floor(newest / slice_s) * slice_s + slice_s
            part, part_keys = (placed, placed_keys) if many else (part, part_keys)
            told = self._events[:count].copy()
            times = (first, last, newest)
            segment = Segment(part, part_keys, serials, points, told, *times, least, before, many > 0)
            self._segments.append(segment)
            self._since_checkpoint += high - low

    def _settle(self) -> None:
        """Hand over the segments that no late row can reach: those before the last checkpoint that is old enough."""
        segments = self._segments
        if not segments:
            return
        if self.lateness_s <= 0:
            while segments:
                self._settling.add(segments.popleft())
            return
        mark = segments[-1].last_s - self.slice_s - self.lateness_s
        if segments[0].last_s > mark:
            return
        keep = 0
        for k in range(1, len(segments)):
            if segments[k - 1].last_s > mark:
                break
            if segments[k].before is not None:
                keep = k
        for _ in range(keep):
            self._settling.add(segments.popleft())


def _segment(kept: Mapping[str, npt.NDArray[Any]], name: str) -> Segment:
    """A segment out of a stored state."""
    arrays = [kept[f"{name}.{field}"] for field in Segment._fields[:5]]
    before = None
    if f"{name}.before.states" in kept:
        before = t.Live(*(kept[f"{name}.before.{field}"] for field in t.Live._fields))
    times = [float(kept[f"{name}.{field}"]) for field in Segment._fields[5:8]]
    return Segment._make([*arrays, *times, int(kept[f"{name}.least"]), before, False])


def _least(live: t.Live) -> int:
    """No serial below this is alive, or comes."""
    return int(live.keys[live.order[0], t.SERIAL] if live.counts[t.LIVE] else live.counts[t.NEXT_SERIAL])


def sensor_codes(words: Sequence[str]) -> Ints:
    """The codes of sensors' names, as `Tracker` takes them in `looks`."""
    return codes(pa.array(words, pa.string()))
