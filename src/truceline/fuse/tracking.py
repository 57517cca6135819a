"""Tracks of a set of observations: a function of the set of rows, whatever their order or batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline import picture
from truceline.agreement import Assumption
from truceline.frame import Frame
from truceline.fuse.columns import Groups, chosen, double, likelihoods, moments, narrowest, single
from truceline.fuse.detections import UNUSABLE, Floats, Ints, from_observations, instants
from truceline.fuse.in_order import COLUMNS, fixes_of, gathered, in_order, sorted_rows
from truceline.fuse.motion import MOTIONS, Looks, Motion
from truceline.fuse.stated import Said, Statements
from truceline.fuse.tracker import Tracker
from truceline.fuse.tracker_state import Settled
from truceline.kernels import gate as g
from truceline.kernels import tracks as t
from truceline.observation import ID, RELEASES, id_column
from truceline.pieces import Pieces, PieceWriter

__all__ = ["ANOMALIES", "COLUMNS", "OTHERWISE", "Parts", "Tracked", "anomalies", "track", "track_in_parts"]

#: What a claim of an identity, and a detection's, can be at odds with.
ANOMALIES = pa.schema(
    [
        pa.field("observation_id", ID, nullable=False),
        ("track_id", ID),  # that carried the identity, or carries it now; null when it was never confirmed
        pa.field("what", pa.string(), nullable=False),
    ]
)
_ANOMALIES = {t.ELSEWHERE: "identity.elsewhere", t.SHARED: "identity.added"}

#: How dense detections of something else are, per square metre: what an association is weighed against.
OTHERWISE = Assumption(1e-9, "one in a thousand square kilometres: sparse radar clutter", "low")

_CHUNK = 65_536
#: Other kinds of a track are named from this share on.
_LEAST_SHARE = 0.02


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
    made = tables(whole, following.statements, frame, _pairs(whole.parents), _pairs(whole.merged))
    return Tracked(*made, following.left_out(), anomalies(whole.anomalies))


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
    part_rows: int = 1 << 19,
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
    following = _Following(
        Tracker(frame, motions, looks, lateness_s=0.0, **settings), Statements(ordered.words), ordered.plain
    )
    shelf = _Shelf(into, max(-(-ordered.coded.num_rows // part_rows), 1))
    parents, merged, odd = [], [], []
    for settled in following.settled(ordered.coded):
        shelf.put(settled)
        parents.append(settled.parents)
        merged.append(settled.merged)
        odd.append(settled.anomalies)
    of_parents, of_merged = _pairs(np.concatenate(parents)), _pairs(np.concatenate(merged))
    tracks = []
    with (
        PieceWriter(into / "points.arrow", picture.TRACK_POINTS) as points,
        PieceWriter(into / "associations.arrow", picture.ASSOCIATIONS) as ties,
    ):
        for rows in shelf.taken():
            made = tables(rows, following.statements, frame, of_parents, of_merged)
            tracks.append(made[0])
            points.write(made[1])
            ties.write(made[2])
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
        self._paths = [into / f"part-{number}" for number in range(parts)]

    def put(self, settled: Settled) -> None:
        """Write rows to the parts they belong to."""
        rows = np.column_stack(
            [settled.track, settled.observation, settled.tag, _bits(settled.at_s), _bits(settled.points)]
        )
        high = settled.track[:, 0].view(np.uint64) >> np.uint64(32)
        part = (high * np.uint64(len(self._paths))) >> np.uint64(32)
        by = np.argsort(part, kind="stable")
        ends = np.searchsorted(part[by], np.arange(len(self._paths) + 1))
        rows = rows[by]
        for number in np.flatnonzero(np.diff(ends)):
            with self._paths[number].open("ab") as file:
                rows[ends[number] : ends[number + 1]].tofile(file)

    def taken(self) -> Iterator[Settled]:
        """The rows of part after part, whose files are removed."""
        none = np.empty((0, 5), np.int64)
        for path in self._paths:
            if not path.exists():
                continue
            rows = np.fromfile(path, np.int64).reshape(-1, 6 + t.POINT)
            path.unlink()
            yield Settled(
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


def anomalies(odd: Ints) -> pa.Table:
    """Identities at odds with where they are claimed: `Settled.anomalies` as a table."""
    track_ids = id_column(odd[:, 1:3].astype(np.uint64))
    nobody = pa.array((odd[:, 1] == 0) & (odd[:, 2] == 0))
    columns = [
        id_column(odd[:, 3:5].astype(np.uint64)),
        pc.if_else(nobody, pa.nulls(len(odd), ID), track_ids),
        pa.array([_ANOMALIES[int(code)] for code in odd[:, 0]], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=ANOMALIES)


def tables(
    settled: Settled,
    statements: Statements,
    frame: Frame,
    parents: Mapping[bytes, bytes],
    merged: Mapping[bytes, bytes],
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Tracks, points and associations of what was settled of whole tracks; tags are those of statements."""
    track = settled.track.view(np.uint64)
    observation = settled.observation.view(np.uint64)
    order = np.lexsort((observation[:, 1], observation[:, 0], settled.at_s, track[:, 1], track[:, 0]))
    track, observation, at_s = track[order], observation[order], settled.at_s[order]
    p, said = settled.points[order], statements.said(settled.tag[order])
    lon, lat = frame.to_degrees(p[:, 0], p[:, 1])
    major, minor, tilt = frame.ellipse(lon, lat, p[:, 2], p[:, 3], p[:, 4])
    course = frame.grid_to_true_deg(np.degrees(np.arctan2(p[:, 5], p[:, 6])), lon, lat)
    where = {
        "lon": double(lon),
        "lat": double(lat),
        "major_m": single(major),
        "minor_m": single(minor),
        "tilt_deg": single(tilt),
        "alt_m": single(p[:, 7]),
        "speed_mps": single(np.hypot(p[:, 5], p[:, 6])),
        "course_deg": single(course),
    }
    ids = {"track_id": id_column(track), "observation_id": id_column(observation)}
    points = _assembled(
        {**ids, "at": moments(at_s), **where, "p_manoeuvre": single(p[:, 8])}, len(order), picture.TRACK_POINTS
    )
    ratio = single(p[:, 9] - np.log(OTHERWISE.value))
    ties = _assembled({**ids, "log_ratio": ratio}, len(order), picture.ASSOCIATIONS)
    new = np.append(True, (track[1:] != track[:-1]).any(axis=1))[: len(track)]
    groups = Groups(np.cumsum(new) - 1, int(new.sum()))
    last = np.append(groups.start[1:], len(track)) - 1 if groups.count else groups.start
    columns: dict[str, Any] = {name: column.take(pa.array(last)) for name, column in where.items()}
    names = track[groups.start]
    columns |= {
        "track_id": id_column(names),
        "parent_id": _other(names, parents),
        "merged_into": _other(names, merged),
        "first_at": moments(at_s[groups.start]),
        "last_at": moments(at_s[last]),
        "length_m": single(_length_m(p[:, 0], p[:, 1], groups)),
        "observations": pa.array(groups.size, pa.int32()),
        **_stated(groups, said),
    }
    return _assembled(columns, groups.count, picture.TRACKS), points, ties


def _length_m(east_m: Floats, north_m: Floats, groups: Groups) -> Floats:
    """Length of each group's path."""
    step = np.hypot(np.diff(east_m, prepend=0.0), np.diff(north_m, prepend=0.0))
    step[groups.start] = 0.0
    return groups.total(step)


def _pairs(pairs: Ints) -> dict[bytes, bytes]:
    """Of pairs of ids, (n, 4), the second by the first."""
    return {bytes(a): bytes(b) for a, b in zip(_big(pairs[:, :2]), _big(pairs[:, 2:]), strict=True)}


def _other(names: npt.NDArray[np.uint64], pairs: Mapping[bytes, bytes]) -> pa.Array:
    """The second id of the pair whose first is the name; null where there is none."""
    return pa.array([pairs.get(bytes(name)) for name in _big(names)], ID)


def _big(pairs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(pairs).view(np.uint64).astype(">u8")


def _stated(groups: Groups, said: Said) -> dict[str, Any]:
    """What the observations behind tracks say they are, who, and by whom it was seen."""
    codes, words = said.columns["what"]
    confidence = np.nan_to_num(said.confidence, nan=1.0)
    share = np.zeros((groups.count, max(len(words), 1)))
    np.add.at(share, (groups.group, codes), np.round(confidence, 9))
    share /= np.maximum(groups.size, 1)[:, None]
    best = groups.most(codes, confidence)
    rows = np.arange(groups.count)
    confident = share[rows, best] if groups.count else np.empty(0)
    if groups.count:
        share[rows, best] = 0.0
    identities, names = said.columns["identity"]
    labels, release = said.columns["release"]
    ranks = [RELEASES.index(label) if label in RELEASES else len(RELEASES) - 1 for label in release]
    return {
        "what": chosen(best, words),
        "confidence": single(confident),
        "alternatives": likelihoods(share, words or [""], _LEAST_SHARE),
        "identity": chosen(groups.most(identities), names),
        "identities": groups.words(identities, names),
        "sources": groups.words(*said.columns["source"]),
        "sensors": groups.words(*said.columns["sensor"]),
        "release": narrowest(groups.greatest(np.array([*ranks, len(RELEASES) - 1], np.float64)[labels])),
    }


def _assembled(columns: Mapping[str, Any], rows: int, schema: pa.Schema) -> pa.Table:
    """A table of a schema; columns that are not given are null."""
    given = [columns.get(f.name) for f in schema]
    arrays = [pa.nulls(rows, f.type) if c is None else c.cast(f.type) for f, c in zip(schema, given, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
