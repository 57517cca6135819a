"""Zones entered, left, stayed in, passed through between two fixes, or passed by.

Every fix is in a zone with the probability of its normal distribution there; every way between two fixes touches it
with the share of possible paths that do. A *visit* is a run of fixes and ways likelier than `FLOOR`; its probability
is that of its likeliest part, a lower bound, and exact where the parts share one doubt.
"""

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import qmc
from shapely.geometry.base import BaseGeometry

from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.movement_rows import Fixes, Told, between, lasting, told
from truceline.kernels import path
from truceline.zones import ZoneIndex

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: A visit's borders in time: its first and last fix of at least this share of its probability.
_SURE = 0.95


class Ways:
    """The ways from each fix to its track's next, or between the fixes given: ends, velocities, errors, bows.

    Way i begins at fix `fix[i]`.
    """

    def __init__(self, fixes: Fixes, begins: Ints | None = None, ends: Ints | None = None) -> None:
        a = fixes.begins() if begins is None else begins
        b = a + 1 if ends is None else ends
        self.fix = a
        self.lasts_s = fixes.at_s[b] - fixes.at_s[a]
        terms, of = fixes.terms, fixes.track[a]
        fastest, wandering, straying, steady = (
            assumed.longest(table, terms)[of]
            for table in (assumed.FASTEST_MPS, assumed.WANDERING, assumed.STRAYING, assumed.STEADY_S)
        )
        self.ends_m = np.column_stack([fixes.east_m[a], fixes.north_m[a], fixes.east_m[b], fixes.north_m[b]])
        chord_e, chord_n = self.ends_m[:, 2] - self.ends_m[:, 0], self.ends_m[:, 3] - self.ends_m[:, 1]
        # a velocity says less of where it goes the longer the gap: towards the chord, as exp(-T / steady)
        fades = np.exp(-self.lasts_s / steady)
        self.leaves_m = np.column_stack(
            [
                _leave(chord, velocity[rows] * self.lasts_s, fades)
                for rows in (a, b)
                for chord, velocity in ((chord_e, fixes.velocity_e), (chord_n, fixes.velocity_n))
            ]
        )
        self.errors_m = np.column_stack([*_root(fixes, a), *_root(fixes, b)])
        known = np.isfinite(fixes.velocity_e[a] + fixes.velocity_e[b])
        wanders = np.where(known, wandering * self.lasts_s**3 / 192, np.inf)
        # no farther than the ellipse that its greatest speed lets it reach, as three standard deviations
        chord = np.hypot(chord_e, chord_n)
        reach = np.sqrt(np.maximum((fastest * self.lasts_s) ** 2 - chord**2, 0.0)) / 2
        self.bow_m = np.sqrt(np.minimum(np.minimum(wanders, straying * self.lasts_s / 4), (reach / 3) ** 2))
        swing = np.abs(self.leaves_m - np.column_stack([chord_e, chord_n] * 2)).reshape(-1, 2, 2)
        self.margin_m = (
            assumed.REACH_SIGMA * (np.maximum(fixes.spread_m[a], fixes.spread_m[b]) + self.bow_m)
            # a cubic leaves its chord by at most 4 / 27 of each end's deviation from it
            + 4 / 27 * np.hypot(swing[:, :, 0], swing[:, :, 1]).sum(axis=1)
        )

    def boxes_m(self) -> Floats:
        """What each way may reach: west, south, east, north."""
        e0, n0, e1, n1 = self.ends_m.T
        m = self.margin_m
        return np.column_stack(
            [np.minimum(e0, e1) - m, np.minimum(n0, n1) - m, np.maximum(e0, e1) + m, np.maximum(n0, n1) + m]
        )

    def half_way(self, ways: Ints, share: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Mean and covariance at a share of the way, without the bow's shape: sin(pi s) of its spread."""
        s = share
        h1, g0, g1 = s * s * (3 - 2 * s), s * (1 - s) ** 2, -s * s * (1 - s)
        e0, n0, e1, n1 = self.ends_m[ways].T
        a, b, c, d = self.leaves_m[ways].T
        roots = self.errors_m[ways]
        ee, ne, nn = ((1 - h1) * roots[:, k] + h1 * roots[:, 3 + k] for k in range(3))
        bow2 = (self.bow_m[ways] * np.sin(np.pi * s)) ** 2
        return (
            e0 + h1 * (e1 - e0) + g0 * a + g1 * c,
            n0 + h1 * (n1 - n0) + g0 * b + g1 * d,
            ee * ee + bow2,
            ee * ne,
            ne * ne + nn * nn + bow2,
        )


@cache
def draws() -> Floats:
    """The paths drawn: the same for every way, spread as evenly as a Sobol sequence does."""
    # not scrambled: no generator's stream, which another version may change, has a part in it
    uniform = qmc.Sobol(path.DRAWN, scramble=False).random(assumed.DRAWN_PATHS) + 0.5 / assumed.DRAWN_PATHS
    return np.ascontiguousarray(ndtri(uniform))


class ZoneOutcomes:
    """Every outcome for every track and zone that come near each other."""

    def __init__(self, zones: Mapping[str, BaseGeometry], names: Mapping[str, str]) -> None:
        self._keys = sorted(zones)
        self._index = ZoneIndex([zones[key] for key in self._keys])
        self._names = [names.get(key, key) for key in self._keys]
        self._told: list[Told] = []

    def add(self, first: int, fixes: Fixes) -> None:
        """Whole tracks, the first of them of this number."""
        if self._keys:
            made = _outcomes(fixes, self._index, self._keys, self._names)
            self._told += [part.shifted(first) for part in made if part.rows]

    def told(self) -> list[Told]:
        """After all tracks."""
        return self._told


def _outcomes(fixes: Fixes, index: ZoneIndex, keys: list[str], names: list[str]) -> list[Told]:
    ways = Ways(fixes)
    fix, zone, p = index.probability(fixes.east_m, fixes.north_m, fixes.var_e, fixes.cov_en, fixes.var_n, least=1e-6)
    way, near = path.reached(index.indexed, ways.boxes_m())
    count = len(keys)
    ends = [_among(fix * count + zone, p, rows * count + near) for rows in (ways.fix[way], ways.fix[way] + 1)]
    inside = (ends[0] > 1 - assumed.FLOOR / 10) & (ends[1] > 1 - assumed.FLOOR / 10)
    touched = np.ones(len(way))
    ask = np.flatnonzero(~inside)
    touched[ask] = path.touching(
        index.indexed,
        *(np.ascontiguousarray(v[ask]) for v in (way, near)),
        *(np.ascontiguousarray(v) for v in (ways.ends_m, ways.leaves_m, ways.errors_m, ways.bow_m)),
        draws(),
    )
    touched = np.maximum(np.nan_to_num(touched), np.maximum(ends[0], ends[1]))
    return _Visits(fixes, ways, index, keys, names, (fix, zone, p), (way, near, touched)).outcomes()


class _Visits:
    """Runs of fixes and ways in one zone; items are ordered along the track: fix r is at 2 r, its way at 2 r + 1."""

    def __init__(
        self,
        fixes: Fixes,
        ways: Ways,
        index: ZoneIndex,
        keys: list[str],
        names: list[str],
        at_fixes: tuple[Ints, Ints, Floats],
        on_ways: tuple[Ints, Ints, Floats],
    ) -> None:
        self.fixes, self.ways, self.index, self.keys = fixes, ways, index, keys
        self.names = names
        (fix, zone, p), (way, near, touched) = at_fixes, on_ways
        item = np.concatenate([2 * fix, 2 * ways.fix[way] + 1])
        of, value = np.concatenate([zone, near]), np.concatenate([p, touched])
        order = np.lexsort((item, of))
        self.all = item[order], of[order], value[order]
        keep = order[value[order] >= assumed.FLOOR]
        self.item, self.zone, self.p = item[keep], of[keep], value[keep]
        new = (np.diff(self.item, prepend=-9) > 1) | (np.diff(self.zone, prepend=-1) != 0)
        self.start = np.flatnonzero(new)
        self.stop = np.append(self.start[1:], len(self.item))
        self.way_at = np.full(len(fixes.at_s), -1)
        self.way_at[ways.fix] = np.arange(len(ways.fix))

    def outcomes(self) -> list[Told]:
        n = len(self.start)
        if not n:
            return self._passed_by()
        run = np.repeat(np.arange(n), self.stop - self.start)
        zone = self.zone[self.start]
        track = self.fixes.track[self.item[self.start] // 2]
        p = np.maximum.reduceat(self.p, self.start)
        at_fix = self.item % 2 == 0
        p_fix = np.maximum.reduceat(np.where(at_fix, self.p, 0.0), self.start)
        first, last = self.fixes.first[track], self.fixes.first[track + 1] - 1
        # the last fix before the visit and the first after it; the visit's own where the track begins or ends in it
        begins, ends = self.item[self.start], self.item[self.stop - 1]
        before = np.where(begins % 2 == 0, begins // 2 - 1, begins // 2)
        after = ends // 2 + 1
        from_start, to_end = before < first, after > last
        # a way between fixes says what no fix of the visit does
        cross = (p_fix < 0.5) & (p >= 2 * p_fix) & ~from_start & ~to_end
        sure = at_fix & (self.p >= _SURE * p_fix[run])
        fix = self.item // 2
        arrived = np.minimum.reduceat(np.where(sure, fix, np.iinfo(np.int64).max), self.start)
        left = np.maximum.reduceat(np.where(sure, fix, -1), self.start)
        before, after = np.maximum(before, first), np.minimum(after, last)
        made = [self._crossed(np.flatnonzero(cross), track, zone, p, before, after)]
        deepest = self._deepest(run, p_fix, n)
        stayed = np.flatnonzero(~cross)
        for what, rows, begin, end in (
            ("movement.enter", stayed[~from_start[stayed]], before, arrived),
            ("movement.inside", stayed, arrived, left),
            ("movement.exit", stayed[~to_end[stayed]], left, after),
        ):
            made.append(self._at(what, rows, track, zone, p, begin, end, deepest, from_start, to_end))
        return [*made, *self._passed_by()]

    def _at(
        self, what: str, rows: Ints, track: Ints, zone: Ints, p: Floats, begin: Ints, end: Ints, deepest: Ints,
        from_start: npt.NDArray[np.bool_], to_end: npt.NDArray[np.bool_],
    ) -> Told:  # fmt: skip
        at = self.fixes.at_s
        place = {"movement.enter": end, "movement.inside": deepest, "movement.exit": begin}[what][rows]
        text = []
        for r in rows.tolist():
            who, name, when = self.fixes.name(track[r]), self.names[zone[r]], between(at[begin[r]], at[end[r]])
            if what == "movement.enter":
                words = f"{who} came into {name}, {when}"
            elif what == "movement.exit":
                words = f"{who} left {name}, {when}"
            else:
                stay = lasting(at[end[r]] - at[begin[r]])
                words = f"{who} was in {name}, {when}" + (f" ({stay})" if end[r] > begin[r] else "")
                words += ", there when first seen" * bool(from_start[r]) + ", there when last seen" * bool(to_end[r])
            text.append(f"{words}; probability {p[r]:.2f}.")
        return told(
            what, track[rows], p[rows], at[begin[rows]], at[end[rows]], self._place(place), text,
            {"position and path": _odds(p[rows])}, [self.keys[z] for z in zone[rows]],
        )  # fmt: skip

    def _crossed(self, rows: Ints, track: Ints, zone: Ints, p: Floats, before: Ints, after: Ints) -> Told:
        """Passed through between two fixes; placed where the way is likeliest in the zone."""
        at, place = self.fixes.at_s, np.full((len(rows), 5), np.nan)
        text = []
        for k, r in enumerate(rows.tolist()):
            items = slice(self.start[r], self.stop[r])
            likeliest = self.item[items][np.argmax(self.p[items])]
            way = self.way_at[likeliest // 2]
            share = np.array([0.0]) if likeliest % 2 == 0 or way < 0 else np.linspace(0, 1, 2 * path.PIECES + 1)
            ways = np.full(len(share), max(way, 0))
            spots = np.column_stack(self.ways.half_way(ways, share))
            inside = self.index.probability_in(int(zone[r]), *spots.T)
            place[k] = spots[np.argmax(np.nan_to_num(inside))]
            when = between(at[before[r]], at[after[r]])
            passed = "passed" if p[r] >= _SURE else "may have passed"
            text.append(
                f"{self.fixes.name(track[r])} {passed} through {self.names[zone[r]]} between two fixes, {when}; "
                f"probability {p[r]:.2f} over the ways it can have taken."
            )
        return told(
            "movement.cross", track[rows], p[rows], at[before[rows]], at[after[rows]], place.T, text,
            {"path between fixes": _odds(p[rows])}, [self.keys[z] for z in zone[rows]],
        )  # fmt: skip

    def _passed_by(self) -> list[Told]:
        """Tracks that came near a zone and never likely into it."""
        item, zone, p = self.all
        if not len(item):
            return []
        track = self.fixes.track[item // 2]
        pair, which = np.unique(track * len(self.keys) + zone, return_inverse=True)
        most = np.zeros(len(pair))
        np.maximum.at(most, which, p)
        outside = most < assumed.FLOOR
        order = np.lexsort((item, -p, which))
        heads = order[np.flatnonzero(np.diff(which[order], prepend=-1))]  # the likeliest item of each pair
        begin = np.minimum.reduceat(
            item[np.lexsort((item, which))], np.flatnonzero(np.diff(np.sort(which), prepend=-1))
        )
        end = np.zeros(len(pair), np.int64)
        np.maximum.at(end, which, item)
        rows = np.flatnonzero(outside)
        fix, at = item[heads][rows] // 2, self.fixes.at_s
        begins, ends = at[begin[rows] // 2], at[(end[rows] + 1) // 2]
        text = [
            f"{self.fixes.name(int(self.fixes.track[f]))} passed near {self.names[z]} and stayed outside, "
            f"{between(b, e)}; probability {1 - q:.2f}."
            for f, z, b, e, q in zip(fix, pair[rows] % len(self.keys), begins, ends, most[rows], strict=True)
        ]
        zones: list[str | None] = [self.keys[z] for z in pair[rows] % len(self.keys)]
        return [
            told(
                "movement.outside", self.fixes.track[fix], 1 - most[rows], begins, ends, self._place(fix), text,
                {"position and path": _odds(1 - most[rows])}, zones,
            )
        ]  # fmt: skip

    def _deepest(self, run: Ints, p_fix: Floats, n: int) -> Ints:
        """The fix of each visit that is most surely inside; of equals, the middle one in time."""
        equal = np.flatnonzero((self.item % 2 == 0) & (self.p >= p_fix[run] - 1e-6) & (p_fix[run] > 0))
        out = self.item[self.start] // 2
        first = np.searchsorted(run[equal], np.arange(n))
        after = np.searchsorted(run[equal], np.arange(n), side="right")
        some = after > first
        out[some] = self.item[equal[(first[some] + after[some] - 1) // 2]] // 2
        return out

    def _place(self, fix: Ints) -> tuple[Floats, ...]:
        f = self.fixes
        return tuple(v[fix] for v in (f.east_m, f.north_m, f.var_e, f.cov_en, f.var_n))


def _leave(chord: Floats, velocity_m: Floats, fades: Floats) -> Floats:
    return np.where(np.isnan(velocity_m), chord, chord + (velocity_m - chord) * fades)


def _root(fixes: Fixes, rows: Ints) -> tuple[Floats, Floats, Floats]:
    """The lower triangle whose square is the covariance."""
    ee = np.sqrt(np.maximum(fixes.var_e[rows], 0.0))
    ne = np.divide(fixes.cov_en[rows], ee, out=np.zeros(len(rows)), where=ee > 0)
    return ee, ne, np.sqrt(np.maximum(fixes.var_n[rows] - ne * ne, 0.0))


def _among(keys: Ints, values: Floats, asked: Ints) -> Floats:
    """The value of each asked key, 0 where it has none; keys ascending."""
    at = np.minimum(np.searchsorted(keys, asked), max(len(keys) - 1, 0))
    return np.where(keys[at] == asked, values[at], 0.0) if len(keys) else np.zeros(len(asked))


def _odds(p: Floats) -> Floats:
    """Natural log of odds, within the hundredth of a percent that drawn paths can say."""
    q = np.clip(p, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(q / (1 - q)))
