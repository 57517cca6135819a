"""What sensors heard, where and when: what silence is held against."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.movement_pieces import Seen, Spill
from truceline.fuse.movement_rows import Fixes
from truceline.fuse.stated import Words
from truceline.kernels.idset import index_in
from truceline.observation import ids

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Ids = npt.NDArray[np.uint64]


class Heard(NamedTuple):
    """Reports by sensor, cell and slot, and by sensor and slot."""

    sensors: list[str]
    keys: Ints
    counts: Ints
    place_keys: Ints  # by sensor and cell, as one slot
    place_slots: Ints  # in how many slots anything was heard from there
    whole_keys: Ints  # by sensor and slot
    reports: Floats  # of each sensor, in all
    slots_of: Floats  # slots between the sensor's first and last
    origin: tuple[int, int, int]  # column, row, slot of index 0
    shape: tuple[int, int, int]

    def cells(self, east_m: Floats, north_m: Floats, at_s: Floats) -> tuple[Ints, Ints, Ints]:
        """Column, row and slot."""
        column, row, slot = (v - o for v, o in zip(_cells(east_m, north_m, at_s), self.origin, strict=True))
        return column, row, slot


class Followed(NamedTuple):
    """Which sensors heard which tracks."""

    of: Ints  # the sensor of each fix asked for; -1 where it is not known
    watched_h: Floats  # hours between fixes by the sensor of the first, from the one not known (-1) on
    own_keys: Ints  # track * (sensors + 1) + sensor + 1
    own: Ints  # reports

    def reports(self, track: Ints, sensor: Ints, sensors: int) -> Ints:
        """Reports of tracks by sensors; 0 for the sensor -1."""
        keys = track * (sensors + 1) + sensor + 1
        at = np.minimum(np.searchsorted(self.own_keys, keys), max(len(self.own_keys) - 1, 0))
        known = (self.own_keys[at] == keys) & (sensor >= 0) if len(self.own_keys) else np.zeros(len(keys), bool)
        return np.where(known, self.own[at] if len(self.own) else 0, 0)


class Listening:
    """Takes what was sent, in pieces in order of time, and the tracks' fixes; no row of either is kept in memory."""

    def __init__(self, sensors: Spill, taken: Spill) -> None:
        self.begins_s, self.ends_s = np.inf, -np.inf
        self._words, self._sensors, self._taken = Words(), sensors, taken
        self._cells: list[tuple[npt.NDArray[np.int32], ...]] = []

    def add(self, seen: Seen) -> None:
        """What was sent."""
        if not len(seen.at_s):
            return
        sensor = self._words.codes(seen.rows["sensor"]).astype(np.int64)
        sensor[sensor < 0] = self._words.codes(pa.array([""]))[0]
        self.begins_s = min(self.begins_s, float(seen.at_s.min()))
        self.ends_s = max(self.ends_s, float(seen.at_s.max()))
        self._cells.append(_counted(sensor, *_cells(seen.east_m, seen.north_m, seen.at_s)))
        self._sensors.add(self._part(seen.ids), high=seen.ids[:, 0], low=seen.ids[:, 1], sensor=sensor.astype(np.int32))

    def follow(self, first: int, fixes: Fixes) -> None:
        """What tracks took; `first` is the number of the fixes' first track."""
        named = ids(fixes.observation_id)
        begins = fixes.begins()
        lasts_us = np.zeros(len(named), np.int64)  # whole, so that sums are the same in any order
        lasts_us[begins] = np.round((fixes.at_s[begins + 1] - fixes.at_s[begins]) * 1e6)
        track = (fixes.track + first).astype(np.int32)
        self._taken.add(self._part(named), high=named[:, 0], low=named[:, 1], track=track, lasts_us=lasts_us)

    def followed(self, asked: Ids) -> Followed:
        """After all tracks: sensors of the observations asked for, and what tracks were heard by."""
        self._sensors.close()
        self._taken.close()
        n = len(self._words)
        of, part = np.full(len(asked), -1), self._part(asked)
        lasts_us, keys, counts = np.zeros(n + 1, np.int64), [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for k in range(self._sensors.parts):
            known, taken = self._sensors.part(k), self._taken.part(k)
            rows = np.flatnonzero(part == k)
            wanted = [asked[rows]]
            if taken:
                wanted.append(np.column_stack([taken["high"], taken["low"]]))
            sensor = np.full(sum(map(len, wanted)), -1)
            if known:
                found = index_in(np.concatenate(wanted), np.column_stack([known["high"], known["low"]]))
                sensor = np.append(known["sensor"].astype(np.int64), -1)[found]
            of[rows] = sensor[: len(rows)]
            if taken:
                np.add.at(lasts_us, sensor[len(rows) :] + 1, taken["lasts_us"])
                pairs = taken["track"].astype(np.int64) * (n + 1) + sensor[len(rows) :] + 1
                some, count = np.unique(pairs, return_counts=True)
                keys.append(some)
                counts.append(count)
        own_keys, which = np.unique(np.concatenate(keys), return_inverse=True)
        own = np.zeros(len(own_keys), np.int64)
        np.add.at(own, which, np.concatenate(counts))
        return Followed(of, lasts_us / 3.6e9, own_keys, own)

    def heard(self) -> Heard:
        """After all was sent: what was heard, by place and time."""
        n = len(self._words)
        parts = self._cells or [tuple(np.empty(0, np.int32) for _ in range(5))]
        lows = [min((int(part[k].min()) for part in parts if len(part[k])), default=0) for k in (1, 2, 3)]
        highs = [max((int(part[k].max()) for part in parts if len(part[k])), default=0) for k in (1, 2, 3)]
        shape = [high - low + 1 for low, high in zip(lows, highs, strict=True)]
        keys = np.empty(sum(len(part[0]) for part in parts), np.int64)
        at = 0
        for sensor, column, row, slot, _ in parts:
            key = sensor.astype(np.int64) * shape[0] + (column - lows[0])
            key = (key * shape[1] + (row - lows[1])) * shape[2] + (slot - lows[2])
            keys[at : at + len(key)] = key
            at += len(key)
        counts = np.concatenate([part[4] for part in parts])
        self._cells = []
        order = np.argsort(keys)
        keys, counts = keys[order], counts[order]
        start = np.flatnonzero(np.diff(keys, prepend=-1))
        keys, counts = keys[start], _sums(counts, start)
        place = keys // shape[2]
        start = np.flatnonzero(np.diff(place, prepend=-1))
        whole = place // (shape[0] * shape[1])  # the sensor
        reports = np.zeros(n, np.int64)
        np.add.at(reports, whole, counts)
        whole = np.unique(whole * shape[2] + keys % shape[2])
        slots = np.zeros(n, np.int64)
        if len(whole):
            begin = np.searchsorted(whole, np.arange(n) * shape[2])
            end = np.searchsorted(whole, np.arange(1, n + 1) * shape[2]) - 1
            slots = np.where(end >= begin, whole[np.maximum(end, 0)] - whole[np.minimum(begin, len(whole) - 1)] + 1, 0)
        sensors = self._words.column(np.arange(n, dtype=np.int32)).to_pylist()
        return Heard(
            sensors, keys, counts, place[start], np.diff(start, append=len(place)), whole,
            reports.astype(np.float64), np.maximum(slots, 1).astype(np.float64),
            (lows[0], lows[1], lows[2]), (shape[0], shape[1], shape[2]),
        )  # fmt: skip

    def _part(self, named: Ids) -> Ints:
        # ids are cut from hashes: their lowest bits spread them evenly
        return np.asarray((named[:, 1] % np.uint64(self._sensors.parts)).astype(np.int64))


def _cells(east_m: Floats, north_m: Floats, at_s: Floats) -> tuple[Ints, Ints, Ints]:
    """Column, row and slot, of all the plane and all time."""
    whole = (east_m / assumed.CELL_M, north_m / assumed.CELL_M, at_s / assumed.SLOT_S)
    column, row, slot = (np.floor(v).astype(np.int64) for v in whole)
    return column, row, slot


def _counted(*columns: Ints) -> tuple[npt.NDArray[np.int32], ...]:
    """Each different row once, and how often it is there."""
    key = np.zeros(len(columns[0]), np.int64)
    for values in columns:
        low = values.min()
        key = key * (values.max() - low + 1) + (values - low)
    _, first, count = np.unique(key, return_index=True, return_counts=True)
    return (*(values[first].astype(np.int32) for values in columns), count.astype(np.int32))


def _sums(values: npt.NDArray[np.int32], start: Ints) -> Ints:
    """Of each run."""
    return np.add.reduceat(values, start).astype(np.int64) if len(start) else np.empty(0, np.int64)
