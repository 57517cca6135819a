"""Tracks of a set of observations: a function of the set of rows, whatever their order or batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from truceline import picture, startup
from truceline.frame import Frame
from truceline.fuse.detections import UNUSABLE, Floats, Ints, from_observations, instants
from truceline.fuse.in_order import COLUMNS, fixes_of, gathered, in_order, sorted_rows
from truceline.fuse.motion import MOTIONS, Looks, Motion
from truceline.fuse.stated import Statements
from truceline.fuse.track_tables import ANOMALIES, anomalies, pairs, tables
from truceline.fuse.tracker import Tracker
from truceline.fuse.tracker_state import Settled
from truceline.kernels import gate as g
from truceline.kernels import tracks as t
from truceline.pieces import Pieces, PieceWriter

__all__ = ["ANOMALIES", "COLUMNS", "Parts", "Tracked", "track", "track_in_parts"]

#: Fixes a step of the tracker takes: their points take 12 MB.
_CHUNK = 65_536
#: Files of one shelf, at most: a step of the tracker is written to each.
_MOST_PARTS = 1024
#: Numbers of a point on the shelf: its track, its observation, tag and time, its state.
_WIDTH = 6 + t.POINT


class Tracked(NamedTuple):
    tracks: pa.Table  # picture.TRACKS
    points: pa.Table  # picture.TRACK_POINTS
    associations: pa.Table  # picture.ASSOCIATIONS
    left_out: Mapping[str, int]  # fixes that are in no track, by why
    anomalies: pa.Table  # ANOMALIES


def track(
    observations: pa.Table,
    frame: Frame,
    motions: Mapping[str, Motion] = MOTIONS,
    looks: Mapping[int, Looks] | None = None,
    **settings: Any,
) -> Tracked:
    """The tracks that fixes make.

    Parameters
    ----------
    observations
        Rows of `observation.CORE` (those of `COLUMNS` are read) in any order, each id once. Kinds other than fix
        are passed over.
    frame
        The theatre's plane. Fixes farther from its centre than its radius are left out.
    motions, looks, settings
        As for `Tracker`.

    Returns
    -------
    Tracked
        Confirmed tracks by id; their points by track, time and observation. Every fix is behind one point or
        counted in `left_out`.
    """
    rows = sorted_rows(fixes_of(observations).combine_chunks())
    following = _Following(Tracker(frame, motions, looks, lateness_s=0.0, **settings), Statements())
    whole = joined([*following.settled([rows])])
    tracks, points, ties = tables(whole, following.statements, frame, pairs(whole.parents), pairs(whole.merged))
    odd = anomalies(whole.anomalies)
    return Tracked(tracks, points.combine_chunks(), ties.combine_chunks(), following.left_out(), odd)


class Parts(NamedTuple):
    """As `Tracked`, of more fixes than memory holds."""

    tracks: pa.Table  # picture.TRACKS by id
    points: Pieces  # picture.TRACK_POINTS, the rows of Tracked.points in their order: pieces of whole tracks
    associations: Pieces  # picture.ASSOCIATIONS, cut as the points
    fixes: Pieces  # COLUMNS of every fix by time (of an interval its middle), then id; those without time last
    left_out: Mapping[str, int]
    anomalies: pa.Table  # ANOMALIES


def track_in_parts(
    fixes: Iterable[pa.Table],
    frame: Frame,
    into: Path,
    motions: Mapping[str, Motion] = MOTIONS,
    looks: Mapping[int, Looks] | None = None,
    *,
    part_rows: int = 1 << 18,
    **settings: Any,
) -> Parts:
    """The tracks that fixes make, however many: bit for bit those of `track`.

    Parameters
    ----------
    fixes
        Tables of `observation.CORE` (those of `COLUMNS` are read) in any order, each id once; read once. Kinds
        other than fix are passed over.
    into
        A folder for files that what is given back reads, and for scratch; the caller removes it.
    part_rows
        About so many points are in a piece, and in memory at a time. One track of more is one piece.
    frame, motions, looks, settings
        As for `track`.

    Returns
    -------
    Parts
        In memory are one row a track, and what was at odds; the rest is read from files.
    """
    ordered = in_order(fixes, into)
    startup.give_back()
    following = _Following(
        Tracker(frame, motions, looks, lateness_s=0.0, **settings), Statements(ordered.words), ordered.plain
    )
    shelf = _Shelf(into, min(max(-(-ordered.coded.num_rows // part_rows), 1), _MOST_PARTS))
    parents, merged, odd = [], [], []
    for settled in following.settled(ordered.coded):
        shelf.put(settled)
        parents.append(settled.parents)
        merged.append(settled.merged)
        odd.append(settled.anomalies)
    of_parents, of_merged = pairs(np.concatenate(parents)), pairs(np.concatenate(merged))
    tracks = []
    with (
        PieceWriter(into / "points.arrow", picture.TRACK_POINTS) as points,
        PieceWriter(into / "associations.arrow", picture.ASSOCIATIONS) as ties,
    ):
        startup.give_back()
        for number in range(shelf.parts):
            made = tables(shelf.taken(number), following.statements, frame, of_parents, of_merged)
            tracks.append(made[0])
            points.write(made[1])
            ties.write(made[2])
            del made  # before the next is made: nothing is in memory twice
            startup.give_back()
    return Parts(
        pa.concat_tables([picture.TRACKS.empty_table(), *tracks]),
        points.close(),
        ties.close(),
        ordered.fixes,
        following.left_out(),
        anomalies(np.concatenate(odd)),
    )


class _Following:
    """Fixes in order of time through a tracker, and the count of those that are in no track."""

    def __init__(
        self, tracker: Tracker, statements: Statements, plain: Callable[[pa.Table], pa.Table] | None = None
    ) -> None:
        self.tracker, self.statements = tracker, statements
        self._plain = plain
        self._left_out: dict[str, int] = {}
        self._open = 0  # usable rows that are no points so far

    def settled(self, pieces: Iterable[pa.Table]) -> Iterator[Settled]:
        """What has settled, piece by piece; its tags are those of `statements`."""
        for rows in _whole_slices(gathered(pieces, _CHUNK), self.tracker.slice_s):
            found, reasons = from_observations(self._plain(rows) if self._plain else rows, self.tracker.frame)
            for code, why in enumerate(UNUSABLE, 1):
                if n := int(np.sum(reasons == code)):
                    self._left_out[why] = self._left_out.get(why, 0) + n
            found.keys[:, g.TAG] = self.statements.tags(rows)[found.keys[:, g.TAG]]
            self._open += len(found.keys)
            self.tracker.step(found, whole=True)
            yield self._taken()
        self.tracker.finish()
        yield self._taken()

    def _taken(self) -> Settled:
        settled = self.tracker.settled()
        self._open -= len(settled.at_s)
        return settled

    def left_out(self) -> dict[str, int]:
        """Fixes that are in no track, by why; once everything has settled."""
        never = {"never confirmed: fewer detections than a track takes": self._open} if self._open else {}
        return self._left_out | never


def _whole_slices(pieces: Iterable[pa.Table], slice_s: float) -> Iterator[pa.Table]:
    """Rows in order of time, cut where slices end; what has no time comes last."""
    held: list[pa.Table] = []
    open_ = np.nan  # the slice of the rows held
    for rows in pieces:
        slices = np.floor(instants(rows)[0] / slice_s)
        last = slices[-1]
        begin = len(slices) if np.isnan(last) else int(np.searchsorted(slices, last))
        if begin or last != open_:
            if whole := [part for part in (*held, rows.slice(0, begin)) if part.num_rows]:
                yield pa.concat_tables(whole)
            held = []
        held.append(rows.slice(begin))
        open_ = last
    if sum(part.num_rows for part in held):
        yield pa.concat_tables(held)


class _Shelf:
    """Settled points on disk, in parts by the first bits of their tracks' ids, which are even: cut from hashes."""

    def __init__(self, into: Path, parts: int) -> None:
        self.parts = parts
        self._paths = [into / f"part-{number}" for number in range(parts)]

    def put(self, settled: Settled) -> None:
        """Write rows to the parts they belong to."""
        rows = np.column_stack(
            [settled.track, settled.observation, settled.tag, _bits(settled.at_s), _bits(settled.points)]
        )
        high = settled.track[:, 0].view(np.uint64) >> np.uint64(32)
        part = ((high * np.uint64(self.parts)) >> np.uint64(32)).astype(np.uint16)  # short: sorted by counting
        by = np.argsort(part, kind="stable")
        ends = np.searchsorted(part[by], np.arange(self.parts + 1))
        rows = rows[by]
        for number in np.flatnonzero(np.diff(ends)):
            with self._paths[number].open("ab") as file:
                rows[ends[number] : ends[number + 1]].tofile(file)

    def taken(self, part: int) -> Settled:
        """The rows of a part, taken off."""
        path, none = self._paths[part], np.empty((0, 5), np.int64)
        rows = np.empty((0, _WIDTH), np.int64)
        if path.exists():
            rows = np.fromfile(path, np.int64).reshape(-1, _WIDTH)
            path.unlink()
        return Settled(
            track=rows[:, :2],
            observation=rows[:, 2:4],
            at_s=rows[:, 5].view(np.float64),
            points=rows[:, 6:].view(np.float64),
            tag=rows[:, 4],
            merged=none[:, :4],
            parents=none[:, :4],
            anomalies=none,
            unconfirmed=none[:, :2],
        )


def _bits(values: Floats) -> Ints:
    return values.view(np.int64)


def joined(parts: list[Settled]) -> Settled:
    """Parts settled one after the other as one."""
    return Settled(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
