"""The picture's tables of tracks, out of what a tracker has settled."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline import picture
from truceline.agreement import Assumption
from truceline.frame import Frame
from truceline.fuse.columns import Groups, chosen, double, likelihoods, moments, narrowest, single
from truceline.fuse.detections import Floats, Ints
from truceline.fuse.in_order import order_by
from truceline.fuse.stated import Said, Statements
from truceline.fuse.tracker_state import Settled
from truceline.kernels import tracks as t
from truceline.kernels.grid import distinct
from truceline.observation import ID, RELEASES, id_column

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

#: Other kinds of a track are named from this share on.
_LEAST_SHARE = 0.02
#: Of a track, as of its last point.
_WHERE = ("lon", "lat", "major_m", "minor_m", "tilt_deg", "alt_m", "speed_mps", "course_deg")
#: Points worked at a time: what is worked out of them stays in the caches.
_BLOCK = 16_384


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
    names, ids = settled.track.view(np.uint64), settled.observation.view(np.uint64)
    order = order_by(names[:, 0], names[:, 1], settled.at_s, ids[:, 0], ids[:, 1])
    blocks = [order[low : low + _BLOCK] for low in range(0, len(order), _BLOCK)]
    made = [_points(settled, rows, frame) for rows in blocks]
    points = pa.concat_tables([picture.TRACK_POINTS.empty_table(), *(m[0] for m in made)])
    ties = pa.concat_tables([picture.ASSOCIATIONS.empty_table(), *(m[1] for m in made)])
    names = names[order]
    new = np.append(True, (names[1:] != names[:-1]).any(axis=1))[: len(names)]
    groups = Groups(np.cumsum(new) - 1, int(new.sum()))
    last = np.append(groups.start[1:], len(names)) - 1 if groups.count else groups.start
    names = names[groups.start]
    columns: dict[str, Any] = {name: points[name].take(pa.array(last)).combine_chunks() for name in _WHERE}
    columns |= {
        "track_id": id_column(names),
        "parent_id": _other(names, parents),
        "merged_into": _other(names, merged),
        "first_at": points["at"].take(pa.array(groups.start)),
        "last_at": points["at"].take(pa.array(last)),
        "length_m": single(_length_m(settled.points[order, 0], settled.points[order, 1], groups)),
        "observations": pa.array(groups.size, pa.int32()),
        **_stated(groups, statements.said(settled.tag[order])),
    }
    return _assembled(columns, groups.count, picture.TRACKS), points, ties


def _points(settled: Settled, rows: Ints, frame: Frame) -> tuple[pa.Table, pa.Table]:
    """Points and associations of some rows."""
    p = settled.points[rows]
    lon, lat = frame.to_degrees(p[:, 0], p[:, 1])
    major, minor, tilt = frame.ellipse(lon, lat, p[:, 2], p[:, 3], p[:, 4])
    course = frame.grid_to_true_deg(np.degrees(np.arctan2(p[:, 5], p[:, 6])), lon, lat)
    ids = {
        "track_id": id_column(settled.track[rows].view(np.uint64)),
        "observation_id": id_column(settled.observation[rows].view(np.uint64)),
    }
    where = {
        "at": moments(settled.at_s[rows]),
        "lon": double(lon),
        "lat": double(lat),
        "major_m": single(major),
        "minor_m": single(minor),
        "tilt_deg": single(tilt),
        "alt_m": single(p[:, 7]),
        "speed_mps": single(np.hypot(p[:, 5], p[:, 6])),
        "course_deg": single(course),
        "p_manoeuvre": single(p[:, 8]),
    }
    ratio = single(p[:, 9] - np.log(OTHERWISE.value))
    points = _assembled(ids | where, len(rows), picture.TRACK_POINTS)
    return points, _assembled(ids | {"log_ratio": ratio}, len(rows), picture.ASSOCIATIONS)


def _length_m(east_m: Floats, north_m: Floats, groups: Groups) -> Floats:
    """Length of each group's path."""
    step = np.hypot(np.diff(east_m, prepend=0.0), np.diff(north_m, prepend=0.0))
    step[groups.start] = 0.0
    return groups.total(step)


def pairs(of: Ints) -> dict[bytes, bytes]:
    """Of pairs of ids, (n, 4), the second by the first."""
    return {bytes(a): bytes(b) for a, b in zip(_big(of[:, :2]), _big(of[:, 2:]), strict=True)}


def _other(names: npt.NDArray[np.uint64], pairs: Mapping[bytes, bytes]) -> pa.Array:
    """The second id of the pair whose first is the name; null where there is none."""
    return pa.array([pairs.get(bytes(name)) for name in _big(names)], ID)


def _big(pairs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(pairs).view(np.uint64).astype(">u8")


def _stated(groups: Groups, said: Said) -> dict[str, Any]:
    """What the observations behind tracks say they are, who, and by whom it was seen."""
    codes, words = said.column("what")
    confidence = np.nan_to_num(said.confidence, nan=1.0)
    share = np.zeros((groups.count, max(len(words), 1)))
    np.add.at(share, (groups.group, codes), np.round(confidence, 9))
    share /= np.maximum(groups.size, 1)[:, None]
    best = groups.most(codes, confidence)
    rows = np.arange(groups.count)
    confident = share[rows, best] if groups.count else np.empty(0)
    if groups.count:
        share[rows, best] = 0.0
    # the rest is told by the distinct statements of a track, which are few
    stated, of, count = _distinct(groups, said)
    identities, names = stated.column("identity")
    labels, release = stated.column("release")
    ranks = [RELEASES.index(label) if label in RELEASES else len(RELEASES) - 1 for label in release]
    return {
        "what": chosen(best, words),
        "confidence": single(confident),
        "alternatives": likelihoods(share, words or [""], _LEAST_SHARE),
        "identity": chosen(of.most(identities, count), names),
        "identities": of.words(identities, names),
        "sources": of.words(*stated.column("source")),
        "sensors": of.words(*stated.column("sensor")),
        "release": narrowest(of.greatest(np.array([*ranks, len(RELEASES) - 1], np.float64)[labels])),
    }


def _distinct(groups: Groups, said: Said) -> tuple[Said, Groups, Floats]:
    """The distinct statements of each group, their groups, and how many rows each has; rows are group by group."""
    width = int(said.number.max(initial=0)) + 1
    each = groups.group * width + said.number
    begins = np.flatnonzero(np.append(True, each[1:] != each[:-1])[: len(each)])
    found = distinct(each[begins])
    rows = np.diff(np.append(begins, len(each)))
    count = np.bincount(np.searchsorted(found, each[begins]), rows, len(found)).astype(np.float64)
    return said.of(found % width), Groups(found // width, groups.count), count


def _assembled(columns: Mapping[str, Any], rows: int, schema: pa.Schema) -> pa.Table:
    """A table of a schema; columns that are not given are null."""
    given = [columns.get(f.name) for f in schema]
    arrays = [pa.nulls(rows, f.type) if c is None else c.cast(f.type) for f, c in zip(schema, given, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
