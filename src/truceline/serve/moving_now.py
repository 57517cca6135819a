"""What moves now: the tracker fed as fixes come in, its tracks packed for readers and as rows of the picture.

A track is told as it was when it was detected last, with the age of that: where it has got to since is not said.
When it has been silent for as long as its class may be it is gone from what moves, and stays among the rows of the
picture, with its last place and time, until an edition has it.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline import picture
from truceline.frame import Frame
from truceline.fuse.columns import double, moments, single
from truceline.fuse.detections import codes
from truceline.fuse.motion import CLASSES, MOTIONS
from truceline.fuse.tracker import Snapshot, Tracker
from truceline.observation import CORE, id_column, table

#: A track's record for readers: little-endian, 24 bytes. float32 degrees are about 2 m at 40° E: enough for a picture.
RECORD = np.dtype(
    [
        ("serial", "<u4"),
        ("lon", "<f4"),
        ("lat", "<f4"),
        ("speed_mps", "<f4"),  # NaN: unknown
        ("course", "<u2"),  # hundredths of a degree; 65535: unknown
        ("kind", "u1"),  # index of the kinds
        ("flags", "u1"),
        ("age_ms", "<u4"),  # of the last detection
    ]
)
GONE, COASTING = 1, 2
#: What a track is said to be while nothing but its class is known, by `motion.CLASSES`.
_WORDS = dict(zip(CLASSES, ("report", "vessel", "aircraft", "uav", "ground.vehicle"), strict=True))
#: Silent for so long a track is gone; half way to that it coasts.
_SILENCE_S = np.array([MOTIONS[kind].silence_s.value for kind in CLASSES])
_COASTS_S = _SILENCE_S / 2
#: Rows of tracks that are gone are kept for so long: editions, which have them then, are minutes apart.
_LEFT_S = 3600.0
#: Slower than this nothing has a course.
_LEAST_MPS = 0.3
_MOST_KINDS = 255
#: Columns of a fix that may be missing in what comes in, as nulls.
_READ = ("observation_id", "source", "sensor", "kind", "what", "at", "at_sigma_s", "until", "lon", "lat", "alt_m",
         "major_m", "minor_m", "tilt_deg", "speed_mps", "course_deg", "identity")  # fmt: skip


class Frames(NamedTuple):
    """One moment of the tracks for readers: what is new of names and kinds, everything, and what changed."""

    at_s: float
    kinds: list[str]
    names: list[dict[str, Any]]  # serial, id, what, identity of tracks not told of before
    whole: bytes  # records
    changed: bytes  # records, those that are gone among them


class MovingNow:
    """The live tracks of a running mission."""

    def __init__(self, frame: Frame) -> None:
        self.frame, self.tracker = frame, Tracker(frame)
        self._known: dict[int, tuple[str, str]] = {}  # of an identity's code: the identity, what it is
        self._codes = np.empty(0, np.int64)  # those of `_known`, sorted
        self._kinds: list[str] = list(_WORDS.values())
        self._told = np.empty(0, RECORD)
        self._shown = self.tracker.snapshot(as_seen=True)  # as readers were told
        self._left = picture.TRACKS.empty_table()
        self._whats: dict[int, str] = {}  # by serial, as readers were told
        self._rows_since = 0
        self._newest_s, self._lag_s, self._pause_s = -np.inf, 0.0, 0.0

    def begin(self, observations: Iterable[pa.Table]) -> None:
        """Observations of before, as they came in: what is silent by the clock is so at once.

        The last of them may come again by `take`: the tracker knows its rows.
        """
        for rows in observations:
            self.take(rows)
            self.tracker.settled()
        self.tracker.flush()
        self._newest_s = self.tracker.snapshot(as_seen=True).at_s

    def take(self, observations: pa.Table) -> None:
        """Observations just come in: fixes are tracked, states of what carries a name say what it is."""
        statuses = observations.filter(pc.equal(observations["kind"], "status"))
        if statuses.num_rows and "identity" in statuses.column_names:
            self._name(statuses.filter(pc.is_valid(statuses["identity"])), refine=True)
        fixes = observations.filter(pc.equal(observations["kind"], "fix"))
        if not fixes.num_rows:
            return
        given = {name: fixes[name] for name in _READ if name in fixes.column_names}
        core = pa.schema([field for field in CORE if field.name in _READ])
        fixes = table(given, fixes.num_rows, core).combine_chunks()
        self._name(fixes.filter(pc.is_valid(fixes["identity"])))
        self.tracker.step(fixes)
        self._rows_since += fixes.num_rows

    def frames(self, now_s: float) -> Frames:
        """The tracks now, and what changed since the last call."""
        came, self._rows_since = self._rows_since > 0, 0
        if not came:
            self.tracker.flush()  # the newest second is whole
        self.tracker.settled()  # the picture's own points come of its editions
        shown = self.tracker.snapshot(as_seen=True)
        event_s = self._event_s(shown.at_s, now_s, came)
        shown = _of(shown, event_s - shown.seen_s <= _SILENCE_S[shown.kind])
        self._leave(shown, event_s)
        records, whats = self._records(shown, now_s)
        before = self._told
        at = np.searchsorted(before["serial"], records["serial"])
        same = np.zeros(len(records), np.bool_)
        if len(before):
            near = np.minimum(at, len(before) - 1)
            same = before["serial"][near] == records["serial"]
            same &= (self._shown.seen_s[near] == shown.seen_s) & (before["flags"][near] == records["flags"])
            same &= before["kind"][near] == records["kind"]
        gone = before[~np.isin(before["serial"], records["serial"])].copy()
        gone["flags"] = GONE
        names = self._new_names(shown, whats)
        for serial in gone["serial"].tolist():
            self._whats.pop(serial, None)
        self._told, self._shown = records, shown
        changed = np.concatenate([records[~same], gone])
        return Frames(now_s, list(self._kinds), names, records.tobytes(), changed.tobytes())

    def table(self) -> pa.Table:
        """The tracks that `frames` told of last, and those lately gone, as rows of `picture.TRACKS`.

        What only a settled track has is null.
        """
        return pa.concat_tables([self._rows(self._shown), self._left])

    def _event_s(self, newest_s: float, now_s: float, came: bool) -> float:
        """What time it is where the rows come from.

        The newest row's, and from then on the clock's, as far behind as that row was, so that a source that is always
        a minute late is not thought silent; less the pause before that row, so that one which is asked every ten
        minutes is not either.
        """
        if newest_s > self._newest_s:
            further_s = newest_s - self._newest_s if np.isfinite(self._newest_s) else 0.0
            if came or not further_s:
                self._lag_s, self._pause_s = max(now_s - newest_s, 0.0), further_s
            else:  # of rows that came before
                self._lag_s = max(self._lag_s - further_s, 0.0)
            self._newest_s = newest_s
        return max(newest_s, now_s - self._lag_s - self._pause_s)

    def _leave(self, shown: Snapshot, event_s: float) -> None:
        """Keep the rows of tracks that have fallen silent; what became part of another track is that track."""
        before = self._shown
        silent = ~np.isin(before.serial, shown.serial) & (event_s - before.seen_s > _SILENCE_S[before.kind])
        if silent.any():
            self._left = pa.concat_tables([self._left, self._rows(_of(before, silent))])
        if self._left.num_rows:
            again = pc.is_in(self._left["track_id"], id_column(shown.track.view(np.uint64)))
            late = pc.greater(self._left["last_at"], moments(np.array([event_s - _LEFT_S]))[0])
            self._left = self._left.filter(pc.and_not(late, again))

    def _rows(self, shown: Snapshot) -> pa.Table:
        n = len(shown.serial)
        lon, lat = self.frame.to_degrees(shown.state[:, 0], shown.state[:, 1])
        major, minor, tilt = self.frame.ellipse(lon, lat, *shown.covariance[:, :3].T)
        speed, course = self._motion(shown, lon, lat)
        whats, identities = self._said(shown)
        columns: dict[str, Any] = {
            "track_id": id_column(shown.track.view(np.uint64)),
            "what": pa.array(whats, pa.string()),
            "identity": pa.array(identities, pa.string()),
            "last_at": moments(shown.seen_s),
            "lon": double(lon),
            "lat": double(lat),
            "major_m": single(major),
            "minor_m": single(minor),
            "tilt_deg": single(tilt),
            "alt_m": single(shown.alt_m),
            "speed_mps": single(speed),
            "course_deg": single(course),
            "release": pa.repeat("mission", n),
        }
        arrays = [columns.get(field.name) for field in picture.TRACKS]
        return pa.Table.from_arrays(
            [pa.nulls(n, f.type) if a is None else a.cast(f.type) for a, f in zip(arrays, picture.TRACKS, strict=True)],
            schema=picture.TRACKS,
        )

    def _name(self, rows: pa.Table, refine: bool = False) -> None:
        """Remember whose codes these are; `refine`: also what they are, where it is said more closely."""
        if not rows.num_rows:
            return
        found, first = np.unique(codes(rows["identity"]), return_index=True)
        if not refine:
            fresh = ~np.isin(found, self._codes, assume_unique=True)
            found, first = found[fresh], first[fresh]
        if not len(found):
            return
        said = rows.select(["identity", "what"]).take(pa.array(first)).to_pylist()
        for code, row in zip(found.tolist(), said, strict=True):
            before = self._known.get(code)
            if before is None or (refine and row["what"].startswith(before[1] + ".")):
                self._known[code] = row["identity"], row["what"]
        self._codes = np.array(sorted(self._known), np.int64)

    def _said(self, shown: Snapshot) -> tuple[list[str], list[str | None]]:
        """What each track is and who, as far as it is known."""
        words = [_WORDS[kind] for kind in CLASSES]
        whats: list[str] = []
        names: list[str | None] = []
        for code, kind in zip(shown.identity.tolist(), shown.kind.tolist(), strict=True):
            known = self._known.get(code)
            names.append(known[0] if known else None)
            whats.append(known[1] if known else words[kind])
        return whats, names

    def _records(self, shown: Snapshot, now_s: float) -> tuple[npt.NDArray[Any], list[str]]:
        lon, lat = self.frame.to_degrees(shown.state[:, 0], shown.state[:, 1])
        speed, course = self._motion(shown, lon, lat)
        whats, _ = self._said(shown)
        index = {kind: k for k, kind in enumerate(self._kinds)}
        for what in whats:
            if what not in index and len(self._kinds) < _MOST_KINDS:
                index[what] = len(self._kinds)
                self._kinds.append(what)
        age_s = np.maximum(now_s - shown.seen_s, 0.0)
        out = np.empty(len(lon), RECORD)
        out["serial"], out["lon"], out["lat"], out["speed_mps"] = shown.serial, lon, lat, speed
        out["course"] = np.where(np.isnan(course), 65535, np.rint(np.nan_to_num(course) * 100) % 36000)
        out["kind"] = [index.get(what, 0) for what in whats]
        out["flags"] = np.where(age_s > _COASTS_S[shown.kind], COASTING, 0)
        out["age_ms"] = np.minimum(np.rint(age_s * 1000), 2**32 - 1)
        return out, whats

    def _motion(self, shown: Snapshot, lon: npt.NDArray[Any], lat: npt.NDArray[Any]) -> tuple[Any, Any]:
        """Speed, and course from true north; NaN where there is none."""
        east, north = shown.state[:, 2], shown.state[:, 3]
        speed = np.hypot(east, north)
        course = self.frame.grid_to_true_deg(np.degrees(np.arctan2(east, north)), lon, lat) % 360.0
        return speed, np.where(speed < _LEAST_MPS, np.nan, course)

    def _new_names(self, shown: Snapshot, whats: list[str]) -> list[dict[str, Any]]:
        out = []
        serials = shown.serial.tolist()
        fresh = [
            k for k, (serial, what) in enumerate(zip(serials, whats, strict=True)) if self._whats.get(serial) != what
        ]
        if fresh:
            track_ids = id_column(shown.track[fresh].view(np.uint64)).to_pylist()
            _, identities = self._said(shown)
            for k, track_id in zip(fresh, track_ids, strict=True):
                self._whats[serials[k]] = whats[k]
                known = {"serial": serials[k], "id": track_id.hex(), "what": whats[k], "identity": identities[k]}
                out.append(known)
        return out


def _of(shown: Snapshot, rows: npt.NDArray[np.bool_]) -> Snapshot:
    """Some of the tracks."""
    if rows.all():
        return shown
    columns = [column[rows] for column in shown[1:]]
    return Snapshot._make([shown.at_s, *columns])
