"""What reading movements works on, and the table it makes."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline import picture
from truceline.frame import Frame
from truceline.fuse import columns
from truceline.fuse.columns import moments, release_ranks, single
from truceline.fuse.in_order import order_by
from truceline.fuse.movement_assumptions import PLACE_SIGMA_M
from truceline.fuse.tables import where
from truceline.kernels.idset import index_in
from truceline.observation import LIKELIHOODS, id_order, ids, one_array, to_numpy
from truceline.zones import ZoneIndex

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: How an object is called in a sentence, by the head of its term.
_NOUNS = {"vessel": "vessel", "aircraft": "aircraft", "uav": "drone", "ground": "vehicle", "weapon": "weapon system"}

#: An interval so many times the one on a fix's other side is a gap, and says little of its speed.
_GAP = 3.0
#: Of points; and of `Fixes`, one number a point.
_READ = ("track_id", "observation_id", "at", "lon", "lat", "major_m", "minor_m", "tilt_deg", "speed_mps", "course_deg")
_ARRAYS = ("track", "at_s", "east_m", "north_m", "var_e", "cov_en", "var_n", "velocity_e", "velocity_n")


@dataclass(frozen=True)
class Fixes:
    """Tracks and their points: by track, time and id; `first[i] : first[i + 1]` are the points of track i."""

    tracks: pa.Table  # in the order of their ids
    observation_id: pa.Array  # of points
    frame: Frame
    first: Ints
    track: Ints  # of points
    at_s: Floats
    east_m: Floats
    north_m: Floats
    var_e: Floats
    cov_en: Floats
    var_n: Floats
    velocity_e: Floats  # along the plane's axes, where none is stated from the fix before to the one after; NaN: alone
    velocity_n: Floats

    @classmethod
    def of(cls, tracks: pa.Table, points: pa.Table, frame: Frame) -> "Fixes":
        """From `picture.TRACKS` and `TRACK_POINTS` in any order; points without time or place are left out."""
        tracks = tracks.take(pa.array(id_order(tracks["track_id"]))).combine_chunks()
        track = rows_of(tracks["track_id"], points["track_id"])
        at, lon, lat = (to_numpy(points[name]).astype(np.float64) for name in ("at", "lon", "lat"))
        rows = np.flatnonzero((track >= 0) & np.isfinite(at + lon + lat))
        high, low = ids(points["observation_id"]).T
        rows = rows[order_by(track[rows], at[rows], high[rows], low[rows])]
        track, at, lon, lat = track[rows], at[rows], lon[rows], lat[rows]
        east, north = frame.to_local(lon, lat)
        errors = (_numbers(points, name, rows) for name in ("major_m", "minor_m", "tilt_deg"))
        var_e, cov, var_n = covariance(frame, lon, lat, *errors)
        speed, course = _numbers(points, "speed_mps", rows), _numbers(points, "course_deg", rows)
        turn = np.radians(frame.true_to_grid_deg(course, lon, lat))
        still = speed == 0
        stated = (np.where(still, 0.0, speed * np.sin(turn)), np.where(still, 0.0, speed * np.cos(turn)))
        first = np.searchsorted(track, np.arange(tracks.num_rows + 1)).astype(np.int64)
        velocity_e, velocity_n = (
            np.where(np.isnan(v), _slope(place, at, first[track], first[track + 1]), v)
            for v, place in zip(stated, (east, north), strict=True)
        )
        named = points["observation_id"].take(pa.array(rows)).combine_chunks()
        return cls(
            tracks, one_array(named), frame, first, track, at, east, north, var_e, cov, var_n, velocity_e, velocity_n
        )

    @classmethod
    def blocks(cls, tracks: pa.Table, points: pa.Table, frame: Frame, most: int) -> Iterator[tuple[int, "Fixes"]]:
        """Of whole tracks, about `most` points at a time, with the number of the first of them; `tracks` by id."""
        points = points.select(_READ)
        track = rows_of(tracks["track_id"], points["track_id"])
        if (np.diff(track) < 0).any() or (track[:1] < 0).any():
            order = np.argsort(track, kind="stable")[int(np.sum(track < 0)) :]
            track, points = track[order], points.take(pa.array(order))
        begin = 0
        while begin < len(track):
            end = begin + most
            end = int(np.searchsorted(track, track[end])) if end < len(track) else len(track)
            end = max(end, int(np.searchsorted(track, track[begin], side="right")))
            first, last = int(track[begin]), int(track[end - 1])
            fixes = cls.of(tracks.slice(first, last - first + 1), points.slice(begin, end - begin), frame)
            if len(fixes.at_s):
                yield first, fixes
            begin = end

    def begins(self) -> Ints:
        """The fixes that have a next one on their track."""
        return np.flatnonzero(np.diff(self.track, append=-1) == 0)

    def only(self, rows: Ints) -> "Fixes":
        """Some of the fixes, ascending, with the velocities that they have among all."""
        arrays = {name: getattr(self, name)[rows] for name in _ARRAYS}
        named = self.observation_id.take(pa.array(rows))
        first = np.searchsorted(arrays["track"], np.arange(self.number + 1))
        return replace(self, observation_id=named, first=first.astype(np.int64), **arrays)

    def joined(self, parts: Sequence[tuple[int, "Fixes"]]) -> "Fixes":
        """Fixes of `blocks` of these tracks, one behind the other."""
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), *(getattr(part, name) for _, part in parts)]) for name in _ARRAYS
        }
        shifts = np.repeat([0, *(first for first, _ in parts)], [len(self.at_s), *(len(p.at_s) for _, p in parts)])
        arrays["track"] = arrays["track"] + shifts.astype(np.int64)
        named = pa.concat_arrays([self.observation_id, *(part.observation_id for _, part in parts)])
        first = np.searchsorted(arrays["track"], np.arange(self.number + 1))
        return replace(self, observation_id=named, first=first.astype(np.int64), **arrays)

    @property
    def number(self) -> int:
        return int(self.tracks.num_rows)

    @cached_property
    def terms(self) -> list[str]:
        """What each track is."""
        return list(self.tracks["what"].to_pylist())

    @cached_property
    def heads(self) -> npt.NDArray[np.object_]:
        """The head of each track's term: vessel, aircraft ..."""
        return np.array([term.split(".")[0] for term in self.terms], object)

    @cached_property
    def spread_m(self) -> Floats:
        """Standard deviation of each point along its worse axis, at most."""
        return np.sqrt(self.var_e + self.var_n)

    @cached_property
    def speed_mps(self) -> Floats:
        """At each point; NaN where it is the track's only one and states none."""
        return np.hypot(self.velocity_e, self.velocity_n)

    def name(self, track: int) -> str:
        """As a sentence calls it: "Vessel mmsi:211234560", "An unidentified aircraft"."""
        noun = _NOUNS.get(str(self.heads[track]), "object")
        identity = self.tracks["identity"][track].as_py()
        if identity:
            return f"{noun.capitalize()} {identity}"
        return f"An unidentified {noun}"


class Told(NamedTuple):
    """Movements of one kind, column-wise; everything of one length."""

    what: str
    track: Ints  # of `Fixes.tracks`
    other: Ints  # the same, -1 for none
    p: Floats
    from_s: Floats
    until_s: Floats
    place: tuple[Floats, Floats, Floats, Floats, Floats]  # east, north, var e, cov, var n
    zone: list[str | None]
    factors: Mapping[str, Floats]  # natural log of odds; NaN: has no part in that row
    text: list[str]

    @property
    def rows(self) -> int:
        return len(self.track)

    def shifted(self, first: int) -> "Told":
        """With tracks of a block of `Fixes.blocks`, whose first track has this number, numbered as in the whole."""
        return self._replace(track=self.track + first, other=np.where(self.other >= 0, self.other + first, -1))

    def only(self, keep: npt.NDArray[np.bool_]) -> "Told":
        """Some of the rows."""
        rows = np.flatnonzero(keep)
        east, north, var_e, cov, var_n = (v[rows] for v in self.place)
        return Told(
            self.what,
            self.track[rows],
            self.other[rows],
            self.p[rows],
            self.from_s[rows],
            self.until_s[rows],
            (east, north, var_e, cov, var_n),
            [self.zone[k] for k in rows],
            {name: v[rows] for name, v in self.factors.items()},
            [self.text[k] for k in rows],
        )


def told(
    what: str,
    track: npt.ArrayLike,
    p: npt.ArrayLike,
    from_s: npt.ArrayLike,
    until_s: npt.ArrayLike,
    place: Sequence[npt.ArrayLike] | Floats,
    text: list[str],
    factors: Mapping[str, npt.ArrayLike] | None = None,
    zone: list[str | None] | None = None,
    other: npt.ArrayLike | None = None,
) -> Told:
    """Movements from arrays, with nothing for what is not given."""
    rows = np.asarray(track, np.int64)
    n = len(rows)
    east, north, var_e, cov, var_n = (np.broadcast_to(np.asarray(v, np.float64), n) for v in place)
    return Told(
        what,
        rows,
        np.full(n, -1) if other is None else np.asarray(other, np.int64),
        np.asarray(p, np.float64),
        np.asarray(from_s, np.float64),
        np.asarray(until_s, np.float64),
        (east, north, var_e, cov, var_n),
        [None] * n if zone is None else zone,
        {name: np.broadcast_to(np.asarray(v, np.float64), n) for name, v in (factors or {}).items()},
        text,
    )


def inside(areas: ZoneIndex | None, east_m: Floats, north_m: Floats) -> npt.NDArray[np.bool_]:
    """Which places lie in any of the areas."""
    out = np.zeros(len(east_m), bool)
    if areas is not None:
        out[areas.members(east_m, north_m)[0]] = True
    return out


def assembled(parts: Sequence[Told], fixes: Fixes) -> pa.Table:
    """`picture.MOVEMENTS` in the order of begin, track, term, zone."""
    parts = [part for part in parts if part.rows]
    if not parts:
        return picture.MOVEMENTS.empty_table()
    track, other = (np.concatenate([getattr(part, name) for part in parts]) for name in ("track", "other"))
    p, begin, end = (np.concatenate([getattr(part, name) for part in parts]) for name in ("p", "from_s", "until_s"))
    place = [np.concatenate([part.place[k] for part in parts]) for k in range(5)]
    what = [part.what for part in parts for _ in range(part.rows)]
    zone = [z for part in parts for z in part.zone]
    text = [t for part in parts for t in part.text]
    named = [id_.as_py() for id_ in fixes.tracks["track_id"]]
    event_id = [
        _event_id(named[t], named[o] if o >= 0 else b"", w, z or "", round(s * 1e6))
        for t, o, w, z, s in zip(track.tolist(), other.tolist(), what, zone, begin.tolist(), strict=True)
    ]
    ranks = release_ranks(fixes.tracks["release"])
    release = np.where(other >= 0, np.maximum(ranks[track], ranks[other]), ranks[track]).astype(np.float64)
    track_ids = one_array(fixes.tracks["track_id"])
    built = {
        "event_id": pa.array(event_id, pa.binary(16)),
        "track_id": track_ids.take(pa.array(track)),
        "other_id": track_ids.take(pa.array(other, mask=other < 0)),
        "what": pa.array(what, pa.string()),
        "confidence": single(np.clip(p, 0.0, 1.0)),
        "at_from": moments(begin),
        "at_until": moments(end),
        **where(place[0], place[1], place[2], place[3], place[4], fixes.frame),
        "zone": pa.array(zone, pa.string()),
        "factors": _factors(parts),
        "text": pa.array(text, pa.string()),
        "release": columns.narrowest(release),
    }
    table = pa.table({name: built[name] for name in picture.MOVEMENTS.names}).cast(picture.MOVEMENTS)
    rank = {word: k for k, word in enumerate(sorted({*what}))}
    order = np.lexsort(
        (
            np.unique(np.array(event_id, object), return_inverse=True)[1],
            np.unique(np.array([z or "" for z in zone]), return_inverse=True)[1],
            np.array([rank[w] for w in what]),
            track,
            begin,
        )
    )
    return table.take(pa.array(order)).combine_chunks()


def _event_id(track: bytes, other: bytes, what: str, zone: str, begin_us: int) -> bytes:
    whole = hashlib.sha256()
    for part in (track, other, what.encode(), zone.encode(), begin_us.to_bytes(8, "big", signed=True)):
        whole.update(len(part).to_bytes(2, "big") + part)
    return whole.digest()[:16]


def _factors(parts: Sequence[Told]) -> pa.Array:
    """Every part's factors in their order, NaN left out; null where none is left."""
    keys: list[str] = []
    values: list[float] = []
    offsets = [0]
    for part in parts:
        for row in range(part.rows):
            for name, column in part.factors.items():
                if not np.isnan(column[row]):
                    keys.append(name)
                    values.append(round(float(column[row]), 6) + 0.0)  # no -0.0, no rounding noise
            offsets.append(len(keys))
    built = pa.MapArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.array(keys, pa.string()), pa.array(values, pa.float32())
    )
    empty = pa.array(np.diff(offsets) == 0)
    return pc.if_else(empty, pa.nulls(len(offsets) - 1, LIKELIHOODS), built.cast(LIKELIHOODS))


def covariance(
    frame: Frame, lon: Floats, lat: Floats, major: Floats, minor: Floats, tilt: Floats
) -> tuple[Floats, Floats, Floats]:
    """Covariances on the plane's axes; where no error is stated, that of a stale or rounded fix."""
    major = np.where(np.isnan(major), PLACE_SIGMA_M.value, major)
    minor = np.where(np.isnan(minor), major, minor)
    tilt = np.where(np.isnan(tilt), 0.0, tilt)
    return frame.covariance(lon, lat, major, minor, tilt)


def probability(log_odds: Floats) -> Floats:
    """Of natural log of odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -700, 700))))


def log_odds(p: float) -> float:
    """The inverse of `probability`."""
    return float(np.log(p / (1.0 - p)))


def clock(seconds: float) -> str:
    """A time as a sentence says it: "23 Mar 05:40"."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %H:%M")


def between(begin_s: float, end_s: float) -> str:
    """An interval as a sentence says it: "23 Mar 05:40 to 06:10 UTC"."""
    begin, end = clock(begin_s), clock(end_s)
    if begin == end:
        return f"{begin} UTC"
    return f"{begin} to {end[7:] if begin[:6] == end[:6] else end} UTC"


def lasting(seconds: float) -> str:
    """A length of time as a sentence says it: "40 min", "5 h", "3 days"."""
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def far(metres: float) -> str:
    """A distance as a sentence says it: "240 m", "3.4 km", "120 km"."""
    if metres < 1_000:
        return f"{metres:.0f} m"
    return f"{metres / 1000:.1f} km" if metres < 10_000 else f"{metres / 1000:.0f} km"


def _slope(place_m: Floats, at_s: Floats, first: Ints, after: Ints) -> Floats:
    """Velocity from the point before to the point after, within `first` to `after`; NaN where no time lies between.

    Where one of them is much farther off in time, there was a gap: the other alone says how fast it was.
    """
    rows = np.arange(len(at_s))
    a, b = np.maximum(rows - 1, first), np.minimum(rows + 1, after - 1)
    since, until = at_s - at_s[a], at_s[b] - at_s
    a = np.where((until > 0) & (since > _GAP * until), rows, a)
    b = np.where((since > 0) & (until > _GAP * since), rows, b)
    lasts = at_s[b] - at_s[a]
    slope = np.divide(place_m[b] - place_m[a], lasts, out=np.full(len(rows), np.nan), where=lasts > 0)
    return np.asarray(slope)


def rows_of(among: pa.ChunkedArray | pa.Array, asked: pa.ChunkedArray | pa.Array) -> Ints:
    """The row of each asked id in a column of ids; -1 where it is not there."""
    return index_in(ids(asked), ids(among))


def _numbers(table: pa.Table, name: str, rows: Ints) -> Floats:
    return to_numpy(table[name]).astype(np.float64)[rows]
