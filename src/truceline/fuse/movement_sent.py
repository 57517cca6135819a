"""What was sent under each identity, whether a track took it or not: jumps, and many identities on one point."""

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.frame import Frame
from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.in_order import order_by
from truceline.fuse.movement_pieces import Columns, Seen, Spill, each, joined, some, stacked, taken
from truceline.fuse.movement_rows import Fixes, covariance
from truceline.fuse.stated import Words
from truceline.kernels.idset import index_in
from truceline.observation import ids, one_array

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.uint64]

#: Beside an identity's number: slots of ten minutes fit for twenty thousand years.
_SLOTS = 1 << 30
#: What fixes are sorted by.
_ORDER = ("who", "at_s", "high", "low")


class Runs(NamedTuple):
    """Runs of fixes that cannot be reached from the one before of their identity."""

    who: Ints
    ids: Ids  # of the first jump's fix
    before: Ids  # of the fix before it
    from_s: Floats  # of the fix before it
    at_s: Floats
    until_s: Floats  # of the last jump's fix
    place: Floats  # after the first jump: east, north, var e, cov, var n
    way_m: Floats  # of the first jump
    excess: Floats  # the greatest: how many times its greatest speed an object would have needed
    more: Ints  # jumps after the first
    backs: Ints  # how often the fix after a jump is within reach of the fix before it: it went off and came back


class Crowded(NamedTuple):
    """The first fix of an identity in a slot of time in which it stayed on one point with many."""

    who: Ints
    ids: Ids
    at_s: Floats
    place: Floats
    crowd: Ints  # identities there
    came: Bools  # it jumped in that slot


Odd = TypeVar("Odd", Runs, Crowded)
_WHOLE, _IDS, _PART = np.empty(0, np.int64), np.empty((0, 2), np.uint64), np.empty(0)
_NO_RUNS = Runs(_WHOLE, _IDS, _IDS, _PART, _PART, _PART, np.empty((0, 5)), _PART, _PART, _WHOLE, _WHOLE)
_NO_CROWD = Crowded(_WHOLE, _IDS, _PART, np.empty((0, 5)), _WHOLE, np.empty(0, np.bool_))


class Sent:
    """Takes what was sent, in pieces in order of time, then the tracks' fixes; no row of either is kept in memory."""

    def __init__(self, tracks: pa.Table, frame: Frame, spill: Spill) -> None:
        self._tracks, self._frame, self._spill = tracks, frame, spill
        self._who, self._what = Words(), Words()
        self._open: Columns = {}  # fixes of the last slot, which may go on in the next piece
        self._crowds: list[Columns] = []

    def add(self, seen: Seen) -> None:
        """What was sent."""
        who = self._who.codes(seen.rows["identity"]).astype(np.int64)
        what = self._what.codes(seen.rows["what"])
        unknown = np.isnan(seen.numbers("at_sigma_s")) & (seen.sigma_s == 0)
        sigma = np.where(unknown, assumed.AT_SIGMA_S.value, seen.sigma_s)
        rows = np.flatnonzero(who >= 0)
        columns = {
            "who": who[rows], "high": seen.ids[rows, 0], "low": seen.ids[rows, 1], "at_s": seen.at_s[rows],
            "lon": seen.lon[rows], "lat": seen.lat[rows], "east_m": seen.east_m[rows], "north_m": seen.north_m[rows],
        }  # fmt: skip
        columns |= {name: seen.numbers(name)[rows].astype(np.float32) for name in ("major_m", "minor_m", "tilt_deg")}
        self._spill.add(columns["who"] % self._spill.parts, **columns, what=what[rows], at_sigma_s=sigma[rows])
        if not len(rows):
            return
        columns = joined([self._open, columns]) if self._open else columns
        slot = _slot(columns["at_s"])
        self._crowds.append(_crowds(taken(columns, np.flatnonzero(slot < slot.max()))))
        self._open = taken(columns, np.flatnonzero(slot == slot.max()))

    def close(self) -> None:
        """All was sent: what is odd of it is known."""
        self._spill.close()
        self.names: list[str] = _words(self._who)
        rank = self._who.ranked()[0]
        fastest = assumed.longest(assumed.FASTEST_MPS, [*_words(self._what), ""])
        runs, jumped = [_NO_RUNS], [np.empty(0, np.int64)]
        for rows in each(self._spill):
            found, slots = _runs(rows, self._frame, fastest)
            runs.append(found)
            jumped.append(slots)
        self.runs = _in_order(stacked(runs), rank)
        self.crowded = _NO_CROWD
        if self._open:
            at = joined([*self._crowds, _crowds(self._open)])
            came = np.isin(at["who"] * _SLOTS + _slot(at["at_s"]), np.concatenate(jumped))
            crowded = Crowded(at["who"], _ids(at), at["at_s"], _place(at, self._frame), at["crowd"], came)
            self.crowded = _in_order(crowded, rank)
        self._open, self._crowds = {}, []
        self._asked = np.concatenate([self.runs.ids, self.runs.before, self.crowded.ids])
        self._took = np.full(len(self._asked), -1)

    def follow(self, first: int, fixes: Fixes) -> None:
        """Whole tracks, the first of them of this number: what they took of what is odd."""
        if len(self._asked):
            found = index_in(ids(fixes.observation_id), self._asked)
            rows = np.flatnonzero(found >= 0)
            self._took[found[rows]] = first + fixes.track[rows]

    def tracks(self) -> tuple[Ints, Ints, Ints]:
        """The track that took each run's first jump, the fix before it, each crowded fix; or else the identity's.

        -1 where the identity is on no track.
        """
        took = self._took[index_in(self._asked, self._asked)]  # an id that is asked twice is found once
        runs, names = len(self.runs.who), pa.array(self.names, pa.string())
        named = pc.index_in(names, value_set=one_array(self._tracks["identity"])).fill_null(-1)
        named = np.asarray(named.to_numpy(zero_copy_only=False), np.int64)
        # an identity that is no track's own may still be among those that a track's fixes stated
        stated = one_array(self._tracks["identities"])
        code = pc.index_in(pc.list_flatten(stated), value_set=names).fill_null(-1).to_numpy(zero_copy_only=False)
        any_of = np.full(len(names) + 1, -1)
        np.maximum.at(any_of, code, pc.list_parent_indices(stated).to_numpy(zero_copy_only=False))
        named = np.where(named >= 0, named, any_of[:-1])
        who = np.concatenate([self.runs.who, self.runs.who, self.crowded.who])
        of = np.where(took >= 0, took, named[who] if len(named) else -1)
        return of[:runs], of[runs : 2 * runs], of[2 * runs :]


class _Stated(NamedTuple):
    """Fixes by identity, time and id."""

    who: Ints
    at_s: Floats
    sigma_s: Floats
    place: Floats
    fastest_mps: Floats


def _runs(rows: Columns, frame: Frame, fastest: Floats) -> tuple[Runs, Ints]:
    """The runs of jumps of some identities, and in which slots of time an identity jumped."""
    rows = taken(rows, order_by(*(rows[name] for name in _ORDER)))
    s = _Stated(rows["who"], rows["at_s"], rows["at_sigma_s"], _place(rows, frame), fastest[rows["what"]])
    b = np.arange(1, len(s.who))
    b = b[s.who[b] == s.who[b - 1]]
    excess = _excess(s, b - 1, b)
    jump, over = b[excess > 1], excess[excess > 1]
    after = np.minimum(jump + 1, len(s.who) - 1)
    back = (s.who[after] == s.who[jump]) & (after > jump) & (_excess(s, jump - 1, after) <= 1)
    back &= _excess(s, jump, after) > 1
    # jumps of an identity within half an hour of each other are one run
    new = (np.diff(s.who[jump], prepend=-1) != 0) | (np.diff(s.at_s[jump], prepend=-np.inf) > assumed.TOGETHER_S)
    first = np.flatnonzero(new)
    run = np.cumsum(new) - 1
    last = np.append(first[1:], len(jump))[: len(first)] - 1
    a, id_ = jump[first], _ids(rows)
    most = np.maximum.reduceat(over, first) if len(first) else np.empty(0)
    way = np.hypot(s.place[a, 0] - s.place[a - 1, 0], s.place[a, 1] - s.place[a - 1, 1])
    backs = np.bincount(run, back, len(first)).astype(np.int64)
    found = Runs(
        s.who[a], id_[a], id_[a - 1], s.at_s[a - 1], s.at_s[a], s.at_s[jump[last]], s.place[a], way, most,
        last - first, backs,
    )  # fmt: skip
    return found, np.unique(s.who[jump] * _SLOTS + _slot(s.at_s[jump]))


def _excess(s: _Stated, a: Ints, b: Ints) -> Floats:
    """How many times its greatest speed an object would have needed from a to b, errors allowed for; 3 sigma each."""
    e, n, ve, _, vn = s.place.T
    way = np.hypot(e[b] - e[a], n[b] - n[a]) - 3 * np.sqrt(np.maximum(ve[a] + vn[a] + ve[b] + vn[b], 0.0))
    time = np.abs(s.at_s[b] - s.at_s[a]) + 3 * np.hypot(s.sigma_s[a], s.sigma_s[b])
    return np.asarray(way / (s.fastest_mps[b] * np.maximum(time, 1e-3)))


def _crowds(rows: Columns) -> Columns:
    """Of whole slots the first fix of each identity that stays on one point with many, and how many they are."""
    who, at = rows["who"], rows["at_s"]
    crowd, slot = np.zeros(len(who), np.int64), _slot(at)
    width = int(who.max(initial=0)) + 1
    for shift in (0.0, 0.5):  # a second lattice, half a cell on, so that no crowd is cut by an edge
        key = slot
        for place in (rows["east_m"], rows["north_m"]):
            cells = np.floor(place / assumed.ONE_POINT_M + shift).astype(np.int64)
            cells -= cells.min(initial=0)
            key = key * (cells.max(initial=0) + 1) + cells
        _, spot, fixes_there = np.unique(key, return_inverse=True, return_counts=True)
        full = np.flatnonzero(fixes_there[spot] >= assumed.ONE_POINT.value)
        of = spot[full]
        pair, which = np.unique(of * width + who[full], return_inverse=True)
        # who passes through, as aircraft do over a runway, is not there
        first, last = np.full(len(pair), np.inf), np.full(len(pair), -np.inf)
        np.minimum.at(first, which, at[full])
        np.maximum.at(last, which, at[full])
        stays = last - first >= assumed.ONE_POINT_S.value
        there = np.bincount(pair[stays] // width, minlength=len(fixes_there))
        crowd[full] = np.maximum(crowd[full], np.where(stays[which], there[of], 0))
    some = np.flatnonzero(crowd >= assumed.ONE_POINT.value)
    rows = taken(rows, some) | {"crowd": crowd[some]}
    order = order_by(*(rows[name] for name in _ORDER))
    key = (rows["who"] * _SLOTS + slot[some])[order]
    return taken(rows, order[np.flatnonzero(np.diff(key, prepend=-1))])


def _words(of: Words) -> list[str]:
    """By their codes."""
    return list(of.column(np.arange(len(of), dtype=np.int32)).to_pylist())


def _slot(at_s: Floats) -> Ints:
    return np.asarray(np.floor(at_s / assumed.ONE_POINT_SLOT_S).astype(np.int64))


def _ids(rows: Columns) -> Ids:
    return np.column_stack([rows["high"], rows["low"]])


def _place(rows: Columns, frame: Frame) -> Floats:
    """East, north and covariance of each fix."""
    errors = (rows[name].astype(np.float64) for name in ("major_m", "minor_m", "tilt_deg"))
    return np.column_stack([rows["east_m"], rows["north_m"], *covariance(frame, rows["lon"], rows["lat"], *errors)])


def _in_order(odd: Odd, rank: Ints) -> Odd:
    """By the identity's name, and time."""
    order = np.lexsort((odd.at_s, rank[odd.who]))
    return some(odd, order)
