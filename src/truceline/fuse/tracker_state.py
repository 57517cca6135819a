"""What a tracker holds: live tracks, the window of lateness, and the settling of what has left it."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from truceline.fuse.detections import Floats, Ints
from truceline.kernels import gate as g
from truceline.kernels import motion as mo
from truceline.kernels import settle
from truceline.kernels import tracks as t

_LEAST_SLOTS = 256
#: Bytes of a line of the processor's caches: rows of states and keys begin on one.
_LINE = 64


class Buffers:
    """Arrays used again: fresh memory costs a third of the tracker's time, in the pages the system has to clear."""

    def __init__(self, most_bytes: int = 1_000_000_000) -> None:
        self._free: dict[tuple[Any, int, int], list[npt.NDArray[Any]]] = {}
        self._room = most_bytes

    def take(self, rows: int, columns: int, kind: Any) -> npt.NDArray[Any]:
        """An array (rows, columns), or (rows,) for no columns; whatever it holds."""
        # four sizes for each power of two: little is wasted, and what is free is found without a search
        step = 1 << max(rows.bit_length() - 3, 8)
        size = -(-rows // step) * step
        free = self._free.get((kind, columns, size))
        if free:
            array = free.pop()
            self._room += array.nbytes
            return array[:rows]
        return np.empty((size, columns) if columns else size, kind)[:rows]

    def lines(self, rows: int, columns: int, kind: Any) -> npt.NDArray[Any]:
        """As `take`, of rows that begin on a line of the caches: a look at one reads as few lines as it can."""
        whole = self.take(rows * columns + _LINE // 8, 0, kind)
        begin = -int(whole.__array_interface__["data"][0]) % _LINE // 8
        return whole[begin : begin + rows * columns].reshape(rows, columns)

    def give(self, *arrays: npt.NDArray[Any]) -> None:
        """Take arrays back that nobody holds any more; what there is no room for is let go."""
        for array in arrays:
            whole = array if array.base is None else array.base
            if isinstance(whole, np.ndarray) and whole.dtype == array.dtype and whole.nbytes <= self._room:
                self._room -= whole.nbytes
                columns = whole.shape[1] if whole.ndim > 1 else 0
                self._free.setdefault((array.dtype.type, columns, len(whole)), []).append(whole)


#: All trackers' of this process: one at a time uses them.
BUFFERS = Buffers()


class Segment(NamedTuple):
    """Rows worked in one call, with what came of them; `before`: the live tracks before it, where kept."""

    values: Floats
    keys: Ints
    serials: Ints  # (n, 3) track of each row and its id
    points: Floats  # (n, tracks.POINT)
    events: Ints  # (k, 4)
    first_s: float
    last_s: float  # end of its last slice
    newest_s: float  # time of its last row in order
    least: int  # none of its serials is below this
    before: t.Live | None
    ours: bool = False  # values and keys are of the buffers

    def worked(self) -> list[npt.NDArray[Any]]:
        """Its arrays that are of the buffers."""
        return [self.serials, self.points, *((self.values, self.keys) if self.ours else ())]


def _empty(slots: int, identities: int, buffers: Buffers) -> t.Live:
    return t.Live(
        buffers.lines(slots, mo.STATE, np.float64),
        buffers.lines(slots, t.TRACK_KEYS, np.int64),
        buffers.take(slots, 0, np.int64),
        np.zeros(6, np.int64),
        np.array([-np.inf, -np.inf, 2_000.0, 1e-9]),
        np.zeros((identities, 3), np.int64),
    )


def fresh() -> t.Live:
    """No tracks."""
    return _empty(_LEAST_SLOTS, _LEAST_SLOTS, Buffers())


def compact(live: t.Live, rows: int, named: int, buffers: Buffers) -> t.Live:
    """A copy without holes, with room for a track of every row, and for the identities of `named` of them."""
    n, identities = int(live.counts[t.LIVE]), _LEAST_SLOTS
    while identities < 4 * (int(live.counts[t.NAMED]) + named):
        identities *= 2
    out = _empty(max(n + n // 4 + rows, _LEAST_SLOTS), identities, buffers)
    out.counts[:], out.clock[:] = live.counts, live.clock
    t.compacted(live, out)
    return out


def fits(live: t.Live, rows: int, named: int) -> bool:
    """Whether there is room for a track of every row, and for the identities of `named` of them."""
    return int(live.counts[t.USED]) + rows <= len(live.states) and 2 * (int(live.counts[t.NAMED]) + named) <= len(
        live.identities
    )


def trimmed(live: t.Live) -> t.Live:
    """The slots in use only, to be stored."""
    used = int(live.counts[t.USED])
    return live._replace(states=live.states[:used], keys=live.keys[:used], order=live.order[:used])


class Settled(NamedTuple):
    """Points of confirmed tracks that can no longer change, and what became of tracks."""

    track: Ints  # (n, 2) id of the track of each point
    observation: Ints  # (n, 2)
    at_s: Floats
    points: Floats  # (n, tracks.POINT)
    tag: Ints  # of the detection
    merged: Ints  # (k, 4) younger id, older id
    parents: Ints  # (k, 4) id, id of the track it split from
    anomalies: Ints  # (k, 5) what (tracks.ELSEWHERE, SHARED), track id, observation id
    unconfirmed: Ints  # (k, 2) observations of beginnings that came to nothing


_NO_IDS, _NO_PAIRS = np.empty((0, 2), np.int64), np.empty((0, 4), np.int64)
_NO_ANOMALIES, _NO_POINTS = np.empty((0, 5), np.int64), np.empty((0, t.POINT))
#: Of rows of which none has settled.
_NOTHING = Settled(
    _NO_IDS, _NO_IDS, np.empty(0), _NO_POINTS, np.empty(0, np.int64), _NO_PAIRS, _NO_PAIRS, _NO_ANOMALIES, _NO_IDS
)


class Settling:
    """Segments on their way out: points wait until their track is confirmed or given up."""

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self.head_s = self.newest_s = -np.inf
        self.segments: list[Segment] = []
        self.held = Rows.room(0, buffers)
        # of serials from `base` on: whether they were confirmed (1) or came to nothing (2), and their ids
        self.base = 0
        self.fate, self.names = np.zeros(0, np.int64), np.zeros((0, 2), np.int64)

    def add(self, segment: Segment) -> None:
        """Take a segment; its checkpoint is let go."""
        if segment.before is not None:
            self.buffers.give(*segment.before[:3])
        self.head_s, self.newest_s = segment.last_s, segment.newest_s
        self.segments.append(segment._replace(before=None))

    def taken(self, least: int, following: int) -> Settled:
        """What has settled since the last call.

        Parameters
        ----------
        least
            No serial below this comes any more.
        following
            Nor one from this on, yet.
        """
        done, self.segments = self.segments, []
        if not done:
            return _NOTHING
        self._room(least, following)
        rare = 0
        for segment in done:
            rare += settle.decide(segment.events, segment.serials, self.base, self.fate, self.names)
        rows = len(self.held.times) + sum([len(s.values) for s in done])
        held = Rows.room(rows, self.buffers)
        # what is handed out is its owner's
        named, at_s, points = np.empty((rows, 5), np.int64), np.empty(rows), np.empty((rows, t.POINT))
        gone = self.buffers.take(rows, 2, np.int64)
        filled = np.zeros(3, np.int64)
        before = self.held
        arrays = (self.base, self.fate, named, at_s, points, *held, gone, filled)
        if len(before.times):
            settle.sort_out(*before, *arrays)
        for segment in done:
            settle.sort_out(segment.serials, segment.keys, segment.values, segment.points, *arrays)
            self.buffers.give(*segment.worked())
        kept, open_, lost = filled.tolist()
        self.held = held.first(open_)
        named = named[:kept]
        told = self._told(done) if rare else (_NO_PAIRS, _NO_PAIRS, _NO_ANOMALIES)
        out = Settled(named[:, :2], named[:, 2:4], at_s[:kept], points[:kept], named[:, 4], *told, gone[:lost].copy())
        self.buffers.give(*before, gone)
        return out

    def _told(self, done: list[Segment]) -> tuple[Ints, Ints, Ints]:
        """Mergers, parents and anomalies."""
        merged, parents, odd = [_NO_PAIRS], [_NO_PAIRS], [_NO_ANOMALIES]
        for segment in done:
            rare = segment.events[segment.events[:, 0] > t.END]
            what, serial = rare[:, 0], rare[:, 1]
            of_two = what == t.MERGE
            merged.append(np.column_stack([self._ids(serial[of_two]), self._ids(rare[of_two, 2])]))
            split = what == t.SPLIT
            parents.append(np.column_stack([self._ids(serial[split]), self._ids(rare[split, 2])]))
            other = ~of_two & ~split
            odd.append(np.column_stack([what[other], self._ids(serial[other]), segment.keys[rare[other, 3], :2]]))
        return np.concatenate(merged), np.concatenate(parents), np.concatenate(odd)

    def _room(self, least: int, following: int) -> None:
        """Make room for fates up to `following`, and let those below `least` go now and then."""
        least = min(least, int(self.held.serials[:, 0].min(initial=least)))
        if following - self.base > len(self.fate):
            kept = slice(least - self.base, None)
            fate, names = self.fate[kept], self.names[kept]
            size = max(2 * (following - least), 4096)
            self.base, self.fate, self.names = least, np.zeros(size, np.int64), np.zeros((size, 2), np.int64)
            self.fate[: len(fate)], self.names[: len(names)] = fate, names

    def _ids(self, serials: Ints) -> Ints:
        """(n, 2) the ids of serials; zeros for a track that was never confirmed."""
        return self.names[serials - self.base]


class Rows(NamedTuple):
    """Rows with their tracks."""

    serials: Ints
    keys: Ints
    times: Floats  # (n, 1)
    points: Floats

    @staticmethod
    def room(rows: int, buffers: Buffers) -> "Rows":
        """Room for so many."""
        serials, keys = buffers.take(rows, 3, np.int64), buffers.take(rows, g.KEYS, np.int64)
        return Rows(serials, keys, buffers.take(rows, 1, np.float64), buffers.take(rows, t.POINT, np.float64))

    def first(self, rows: int) -> "Rows":
        """The first rows."""
        return Rows._make([array[:rows] for array in self])
