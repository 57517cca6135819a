"""Tracks of a set of observations: a function of the set of rows, whatever their order or batches."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline import picture
from truceline.agreement import Assumption
from truceline.frame import Frame
from truceline.fuse.columns import Groups, chosen, coded, double, likelihoods, moments, narrowest, release_ranks, single
from truceline.fuse.detections import UNUSABLE, Floats, Ints, from_observations, instants
from truceline.fuse.motion import MOTIONS, Looks, Motion
from truceline.fuse.tracker import Tracker
from truceline.fuse.tracker_state import Settled
from truceline.kernels import gate as g
from truceline.kernels import tracks as t
from truceline.observation import ID, id_column, to_numpy

#: What tracking reads; whatever else a feed keeps is not taken along.
COLUMNS = (
    *("observation_id", "source", "sensor", "kind", "what", "confidence", "at", "at_sigma_s", "until", "lon", "lat"),
    *("alt_m", "major_m", "minor_m", "tilt_deg", "speed_mps", "course_deg", "identity", "release"),
)

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
    rows = observations.select([c for c in COLUMNS if c in observations.column_names])
    rows = rows.filter(pc.equal(rows["kind"], "fix")).combine_chunks()
    at_s = instants(rows)[0]
    rows, at_s = rows.take(pa.array(np.argsort(at_s, kind="stable"))), np.sort(at_s)
    left_out: dict[str, int] = {}
    tracker = Tracker(frame, motions, looks, lateness_s=0.0, **settings)
    settled = []
    for low, high in _parts(at_s, tracker.slice_s):
        found, reasons = from_observations(rows.slice(low, high - low), frame)
        for code, why in enumerate(UNUSABLE, 1):
            if n := int(np.sum(reasons == code)):
                left_out[why] = left_out.get(why, 0) + n
        found.keys[:, g.TAG] += low
        tracker.step(found, whole=True)
        settled.append(tracker.settled())
    tracker.finish()
    whole = joined([*settled, tracker.settled()])
    if n := rows.num_rows - sum(left_out.values()) - len(whole.at_s):
        left_out["never confirmed: fewer detections than a track takes"] = n
    return Tracked(*tables(whole, rows, frame), left_out, anomalies(whole))


def _parts(at_s: Floats, slice_s: float) -> Iterator[tuple[int, int]]:
    """(low, high) of parts of sorted times, each of whole slices; what has no time comes last."""
    slices = np.floor(at_s / slice_s)
    low, timed = 0, int(np.searchsorted(at_s, np.inf))
    while low < len(at_s):
        high = min(low + _CHUNK, len(at_s))
        if high < timed:
            high = int(np.searchsorted(slices[:timed], slices[high - 1], side="right"))
        yield low, high
        low = high


def joined(parts: list[Settled]) -> Settled:
    """Parts settled one after the other as one."""
    return Settled(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def anomalies(settled: Settled) -> pa.Table:
    """Identities at odds with where they are claimed."""
    odd = settled.anomalies
    track_ids = id_column(odd[:, 1:3].astype(np.uint64))
    nobody = pa.array((odd[:, 1] == 0) & (odd[:, 2] == 0))
    columns = [
        id_column(odd[:, 3:5].astype(np.uint64)),
        pc.if_else(nobody, pa.nulls(len(odd), ID), track_ids),
        pa.array([_ANOMALIES[int(code)] for code in odd[:, 0]], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=ANOMALIES)


def tables(settled: Settled, rows: pa.Table, frame: Frame) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Tracks, points and associations of what was settled; `tag` is the row of each point's observation."""
    track = settled.track.view(np.uint64)
    observation = settled.observation.view(np.uint64)
    order = np.lexsort((observation[:, 1], observation[:, 0], settled.at_s, track[:, 1], track[:, 0]))
    track, observation, at_s = track[order], observation[order], settled.at_s[order]
    p, behind = settled.points[order], rows.take(pa.array(settled.tag[order]))
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
        "parent_id": _other(names, settled.parents),
        "merged_into": _other(names, settled.merged),
        "first_at": moments(at_s[groups.start]),
        "last_at": moments(at_s[last]),
        "length_m": single(_length_m(p[:, 0], p[:, 1], groups)),
        "observations": pa.array(groups.size, pa.int32()),
        **_stated(groups, behind),
    }
    return _assembled(columns, groups.count, picture.TRACKS), points, ties


def _length_m(east_m: Floats, north_m: Floats, groups: Groups) -> Floats:
    """Length of each group's path."""
    step = np.hypot(np.diff(east_m, prepend=0.0), np.diff(north_m, prepend=0.0))
    step[groups.start] = 0.0
    return groups.total(step)


def _other(names: npt.NDArray[np.uint64], pairs: Ints) -> pa.Array:
    """The second id of the pair whose first is the name; null where there is none."""
    found = {bytes(a): bytes(b) for a, b in zip(_big(pairs[:, :2]), _big(pairs[:, 2:]), strict=True)}
    return pa.array([found.get(bytes(name)) for name in _big(names)], ID)


def _big(pairs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(pairs).view(np.uint64).astype(">u8")


def _stated(groups: Groups, behind: pa.Table) -> dict[str, Any]:
    """What the observations behind tracks say they are, who, and by whom it was seen."""
    codes, words = coded(behind["what"])
    confidence = np.nan_to_num(to_numpy(behind["confidence"]).astype(np.float64), nan=1.0)
    share = np.zeros((groups.count, max(len(words), 1)))
    np.add.at(share, (groups.group, codes), np.round(confidence, 9))
    share /= np.maximum(groups.size, 1)[:, None]
    best = groups.most(codes, confidence)
    rows = np.arange(groups.count)
    confident = share[rows, best] if groups.count else np.empty(0)
    if groups.count:
        share[rows, best] = 0.0
    identities, names = coded(behind["identity"])
    sources, source_words = coded(behind["source"])
    sensors, sensor_words = coded(behind["sensor"])
    return {
        "what": chosen(best, words),
        "confidence": single(confident),
        "alternatives": likelihoods(share, words or [""], _LEAST_SHARE),
        "identity": chosen(groups.most(identities), names),
        "identities": groups.words(identities, names),
        "sources": groups.words(sources, source_words),
        "sensors": groups.words(sensors, sensor_words),
        "release": narrowest(groups.greatest(release_ranks(behind["release"]).astype(np.float64))),
    }


def _assembled(columns: Mapping[str, Any], rows: int, schema: pa.Schema) -> pa.Table:
    """A table of a schema; columns that are not given are null."""
    given = [columns.get(f.name) for f in schema]
    arrays = [pa.nulls(rows, f.type) if c is None else c.cast(f.type) for f, c in zip(schema, given, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
