"""What a tracker holds: live tracks, the window of lateness, and the settling of what has left it."""

from typing import NamedTuple

import numpy as np

from truceline.fuse.detections import Floats, Ints
from truceline.kernels import gate as g
from truceline.kernels import motion as mo
from truceline.kernels import tracks as t

_LEAST_SLOTS = 256


class Segment(NamedTuple):
    """Rows worked in one call, with what came of them; `before`: the live tracks before it, where kept."""

    values: Floats
    keys: Ints
    serials: Ints  # (n, 3) track of each row and its id
    points: Floats  # (n, tracks.POINT)
    events: Ints  # (k, 4)
    first_s: float
    last_s: float  # end of its last slice
    before: t.Live | None


def fresh() -> t.Live:
    """No tracks."""
    keys = np.full((_LEAST_SLOTS, t.TRACK_KEYS), -1, np.int64)
    clock = np.array([-np.inf, -np.inf, 2_000.0])
    return t.Live(
        np.empty((_LEAST_SLOTS, mo.STATE)),
        keys,
        np.zeros(_LEAST_SLOTS, np.int64),
        np.zeros(_LEAST_SLOTS, np.int64),
        np.zeros(7, np.int64),
        clock,
        np.zeros((_LEAST_SLOTS, 3), np.int64),
    )


def fitting(live: t.Live, rows: int) -> t.Live:
    """The same with room for a track, and an identity, of every row."""
    counts = live.counts
    used, free = int(counts[t.USED]), int(counts[t.FREE])
    need = used + max(rows - free, 0)
    if need > len(live.states):
        size = max(need, 2 * len(live.states))
        grown = (np.empty((size, mo.STATE)), np.full((size, t.TRACK_KEYS), -1, np.int64))
        lists = np.zeros(size, np.int64), np.zeros(size, np.int64)
        for new, old in zip((*grown, *lists), live[:4], strict=True):
            new[: len(old)] = old
        live = t.Live(*grown, *lists, *live[4:])
    if 2 * (int(counts[t.NAMED]) + rows) > len(live.identities):
        # those of tracks that ended are dropped, then there may be room enough
        size = 256
        while size < 4 * (int(counts[t.LIVE]) + rows):
            size *= 2
        larger = np.zeros((size, 3), np.int64)
        counts[t.NAMED] = t.rehash(live.identities, live.keys, larger)
        live = live._replace(identities=larger)
    return live


def copied(live: t.Live) -> t.Live:
    """A copy with the slots in use only."""
    used = max(int(live.counts[t.USED]), 1)
    n, free = int(live.counts[t.LIVE]), int(live.counts[t.FREE])
    order, stack = np.zeros(used, np.int64), np.zeros(used, np.int64)
    order[:n], stack[:free] = live.order[:n], live.free[:free]
    return t.Live(
        live.states[:used].copy(), live.keys[:used].copy(), order, stack,
        live.counts.copy(), live.clock.copy(), live.identities.copy(),
    )  # fmt: skip


class Settled(NamedTuple):
    """Points of confirmed tracks that can no longer change, and what became of tracks."""

    track: Ints  # (n, 2) id of the track of each point
    observation: Ints  # (n, 2)
    at_s: Floats
    points: Floats  # (n, tracks.POINT)
    kind: Ints  # class the detection states
    merged: Ints  # (k, 4) younger id, older id
    parents: Ints  # (k, 4) id, id of the track it split from
    anomalies: Ints  # (k, 5) what (tracks.ELSEWHERE, CHANGED, SHARED), track id, observation id
    unconfirmed: Ints  # (k, 2) observations of beginnings that came to nothing


class Settling:
    """Segments on their way out: points wait until their track is confirmed or given up."""

    def __init__(self) -> None:
        self.head_s = self.newest_s = -np.inf
        self.segments: list[Segment] = []
        self.held: tuple[Ints, Ints, Floats, Floats, Ints] | None = None
        self.confirmed = np.empty((0, 3), np.int64)  # serial, id of confirmed tracks not ended, by serial

    def add(self, segment: Segment) -> None:
        """Take a segment; its checkpoint is let go."""
        self.head_s, self.newest_s = segment.last_s, float(segment.values[-1, g.AT])
        self.segments.append(segment._replace(before=None))

    def taken(self, live: t.Live) -> Settled:
        """What has settled since the last call."""
        done, self.segments = self.segments, []
        serials = np.concatenate([np.empty((0, 3), np.int64), *(s.serials for s in done)])
        keys = np.concatenate([np.empty((0, 6), np.int64), *(s.keys for s in done)])
        at = np.concatenate([np.empty(0), *(s.values[:, g.AT] for s in done)])
        points = np.concatenate([np.empty((0, t.POINT)), *(s.points for s in done)])
        starts = np.cumsum([0, *(len(s.values) for s in done)])
        moved = [s.events.copy() for s in done]
        for events, start in zip(moved, starts[:-1], strict=True):
            events[:, 3] += np.where(events[:, 3] >= 0, start, 0)
        events = np.concatenate([np.empty((0, 4), np.int64), *moved])
        own = events[events[:, 0] == t.CONFIRM]
        confirmed = np.concatenate([self.confirmed, serials[own[:, 3]]])
        confirmed = confirmed[np.argsort(confirmed[:, 0], kind="stable")]
        ended = events[events[:, 0] == t.END]
        merged = events[events[:, 0] == t.MERGE]
        odd = events[np.isin(events[:, 0], (t.ELSEWHERE, t.CHANGED, t.SHARED))]
        anomalies = np.column_stack([odd[:, 0], _ids(confirmed, odd[:, 1]), keys[odd[:, 3], :2]])
        rows = (serials, keys[:, [g.ID_0, g.ID_1, g.KIND]], at, points)
        if self.held is not None:
            rows = tuple(np.concatenate([h, r]) for h, r in zip(self.held, rows, strict=True))
        known = np.isin(rows[0][:, 0], confirmed[:, 0])
        gone = ~known & np.isin(rows[0][:, 0], ended[ended[:, 2] == t.TENTATIVE, 1])
        still = ~known & ~gone
        self.held = tuple(r[still] for r in rows)
        self.confirmed = confirmed[~np.isin(confirmed[:, 0], np.concatenate([ended[:, 1], merged[:, 1]]))]
        split = own[own[:, 2] >= 0]
        parents = np.column_stack([_ids(confirmed, split[:, 1]), _ids(confirmed, split[:, 2])])
        serial, names, times, states = (r[known] for r in rows)
        return Settled(
            track=serial[:, 1:],
            observation=names[:, :2],
            at_s=times,
            points=states,
            kind=names[:, 2],
            merged=np.column_stack([_ids(confirmed, merged[:, 1]), _ids(confirmed, merged[:, 2])]),
            parents=parents,
            anomalies=anomalies,
            unconfirmed=rows[1][gone, :2],
        )


def _ids(confirmed: Ints, serials: Ints) -> Ints:
    """(n, 2) the ids of serials; zeros for a track that was never confirmed, or ended before."""
    if not len(confirmed):
        return np.zeros((len(serials), 2), np.int64)
    at = np.minimum(np.searchsorted(confirmed[:, 0], serials), len(confirmed) - 1)
    return np.where((confirmed[at, 0] == serials)[:, None], confirmed[at, 1:], 0)
