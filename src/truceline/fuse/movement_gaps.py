"""Silence: an object not heard for a while, told by who else was heard meanwhile.

Others nearby heard by the same sensor: the object may have stopped sending (`movement.dark`). Nobody heard by the
sensor: the sensor was out (`movement.outage`). Nobody nearby, and nothing known of coverage there: a gap that says
nothing (`movement.gap`).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.frame import Frame
from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.columns import coded
from truceline.fuse.movement_rows import Fixes, Told, between, lasting, probability, rows_of, told
from truceline.fuse.movement_zones import Ways
from truceline.kernels.movement import heard_round
from truceline.observation import to_numpy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Of a long silence so many slots are looked at, evenly; the others count like them.
_MOST_SLOTS = 144
#: A silence that is at least half a sensor's is the sensor's.
_HALF = 0.5


class Heard(NamedTuple):
    """What sensors heard: reports by sensor, cell and slot, and by sensor and slot."""

    sensors: list[str]
    of: Ints  # the sensor of each point of the tracks; -1 where it is not known
    keys: Ints
    counts: Ints
    place_keys: Ints  # by sensor and cell, as one slot
    place_slots: Ints  # in how many slots anything was heard from there
    whole_keys: Ints  # by sensor and slot
    own: dict[tuple[int, int], int]  # reports by track and sensor
    usual: Floats  # reports of each sensor in a slot between its first and its last
    reports: Floats  # in all
    slots_of: Floats  # slots between the sensor's first and last
    origin: tuple[int, int, int]  # column, row, slot of index 0
    shape: tuple[int, int, int]
    ends_s: float  # of all that was heard

    def cells(self, east_m: Floats, north_m: Floats, at_s: Floats) -> tuple[Ints, Ints, Ints]:
        """Column, row and slot."""
        whole = (east_m / assumed.CELL_M, north_m / assumed.CELL_M, at_s / assumed.SLOT_S)
        column, row, slot = (np.floor(v).astype(np.int64) - o for v, o in zip(whole, self.origin, strict=True))
        return column, row, slot


class Silence(NamedTuple):
    """Candidates: way or end of track, when, and how sure it would have been heard."""

    track: Ints
    begin: Ints  # fix
    end: Ints  # fix; the begin again where it was not heard any more
    from_s: Floats
    until_s: Floats
    usual_s: Floats


def silences(fixes: Fixes, observations: pa.Table, coverage: Callable[..., Floats] | None) -> list[Told]:
    """Every long silence of every track."""
    if not len(fixes.at_s):
        return []
    heard = listen(fixes, observations)
    begins = fixes.begins()
    lasts_s = fixes.at_s[begins + 1] - fixes.at_s[begins]
    found = _candidates(fixes, begins, lasts_s, heard)
    if not len(found.track):
        return []
    watched = np.bincount(heard.of[begins] + 1, lasts_s / 3600, len(heard.sensors) + 1).astype(np.float64)
    return _told(fixes, heard, found, watched, coverage)


def listen(fixes: Fixes, observations: pa.Table) -> Heard:
    """What was heard, from all fixes among the observations, those of no track too."""
    frame: Frame = fixes.frame
    at, lon, lat = (to_numpy(observations[name]).astype(np.float64) for name in ("at", "lon", "lat"))
    kind = pc.equal(observations["kind"], "fix").combine_chunks().to_numpy(zero_copy_only=False)
    good = kind & np.isfinite(at + lon + lat)
    code, words = coded(pc.fill_null(observations["sensor"], ""))
    sensor_of = np.append(code, -1)[rows_of(observations["observation_id"], fixes.observation_id)]
    east, north = frame.to_local(lon[good], lat[good])
    at, code = at[good], code[good]
    whole = (east / assumed.CELL_M, north / assumed.CELL_M, at / assumed.SLOT_S)
    column, row, slot = (np.floor(v).astype(np.int64) for v in whole)
    corner = [int(v.min()) if len(v) else 0 for v in (column, row, slot)]
    column, row, slot = (v - o for v, o in zip((column, row, slot), corner, strict=True))
    sides = [int(v.max(initial=0)) + 1 for v in (column, row, slot)]
    origin, shape = (corner[0], corner[1], corner[2]), (sides[0], sides[1], sides[2])
    place = (code * shape[0] + column) * shape[1] + row
    keys, counts = np.unique(place * shape[2] + slot, return_counts=True)
    place_keys, place_slots = np.unique(keys // shape[2], return_counts=True)
    n = len(words)
    reports = np.bincount(code, minlength=n).astype(np.float64)
    first, last = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
    np.minimum.at(first, code, slot)
    np.maximum.at(last, code, slot)
    slots_of = np.maximum(last - first + 1, 1).astype(np.float64)
    pairs, own = np.unique(fixes.track * (n + 1) + sensor_of + 1, return_counts=True)
    own_reports = {(k // (n + 1), k % (n + 1) - 1): c for k, c in zip(pairs.tolist(), own.tolist(), strict=True)}
    return Heard(
        words, sensor_of, keys, counts.astype(np.int64), place_keys, place_slots.astype(np.int64),
        np.unique(code * shape[2] + slot), own_reports, reports / slots_of, reports, slots_of, origin, shape,
        float(at.max(initial=-np.inf)),
    )  # fmt: skip


def _candidates(fixes: Fixes, begins: Ints, lasts_s: Floats, heard: Heard) -> Silence:
    """Silences longer than the least, and than so many of the object's own intervals."""
    of = fixes.track[begins]
    order = np.lexsort((lasts_s, of))
    first = np.searchsorted(of[order], np.arange(fixes.number + 1))
    some = np.diff(first) > 0
    usual = np.full(fixes.number, np.nan)
    usual[some] = lasts_s[order[(first[:-1][some] + first[1:][some] - 1) // 2]]
    usual = np.maximum(np.where(np.isnan(usual), np.inf, usual), 1.0)
    least = np.maximum(assumed.SILENT_S.value, assumed.SILENT_INTERVALS.value * usual)
    ended, again = _ended(fixes)
    begin = np.concatenate([begins, ended])
    end = np.concatenate([begins + 1, again])
    gone = begin == end
    until = np.where(gone, heard.ends_s, fixes.at_s[end])
    long, of = until - fixes.at_s[begin], fixes.track[begin]
    way = np.hypot(fixes.east_m[end] - fixes.east_m[begin], fixes.north_m[end] - fixes.north_m[begin])
    before = np.nan_to_num(fixes.speed_mps[begin])
    grounded = before <= assumed.longest(assumed.STAY_MPS, fixes.terms)[of]
    moved = (fixes.heads == "vessel")[of] | (way >= assumed.MOVED_ON.value * before * long) & ~grounded
    rows = np.flatnonzero((long > least[of]) & moved)
    track = of[rows]
    return Silence(track, begin[rows], end[rows], fixes.at_s[begin[rows]], until[rows], usual[track])


def _ended(fixes: Fixes) -> tuple[Ints, Ints]:
    """Last fixes of tracks that were not merged, and the first fix of the next track of the same identity.

    That fix again where there is none. A track has no end while another of its identity goes on.
    """
    merged = fixes.tracks["merged_into"].is_valid().to_numpy(zero_copy_only=False)
    identity, _ = coded(fixes.tracks["identity"])
    tracks = np.flatnonzero(np.diff(fixes.first) > 1)
    first, last = fixes.first[tracks], fixes.first[tracks + 1] - 1
    order = np.lexsort((tracks, fixes.at_s[first], identity[tracks]))
    ended, again = [], []
    same, reach = -1, -np.inf
    for place, k in enumerate(order.tolist()):
        who = int(identity[tracks[k]])
        reach = max(reach, float(fixes.at_s[last[k]])) if who == same else float(fixes.at_s[last[k]])
        same = who
        after = order[place + 1] if place + 1 < len(order) else -1
        follows = who >= 0 and after >= 0 and identity[tracks[after]] == who
        goes_on = fixes.at_s[last[k]] < reach or (follows and fixes.at_s[first[after]] <= reach)
        if merged[tracks[k]] or (who >= 0 and goes_on):
            continue
        ended.append(int(last[k]))
        again.append(int(first[after]) if follows else int(last[k]))
    return np.array(ended, np.int64), np.array(again, np.int64)


def _told(
    fixes: Fixes, heard: Heard, found: Silence, watched: Floats, coverage: Callable[..., Floats] | None
) -> list[Told]:
    """Which silence is the object's, which the sensor's, which nobody's."""
    n = len(found.track)
    gone = found.begin == found.end
    looked_until = np.where(gone, np.minimum(found.until_s, found.from_s + assumed.FOLLOWED_S.value), found.until_s)
    first = np.ceil(found.from_s / assumed.SLOT_S).astype(np.int64)
    slots = np.maximum(np.floor(looked_until / assumed.SLOT_S).astype(np.int64) - first, 0)
    taken = np.minimum(slots, _MOST_SLOTS)
    which = np.repeat(np.arange(n), taken)
    k = np.arange(len(which)) - np.repeat(np.cumsum(taken) - taken, taken)
    # evenly over the silence
    slot = first[which] + (k * slots[which]) // np.maximum(taken[which], 1)
    at = (slot + 0.5) * assumed.SLOT_S
    begin, end = found.begin[which], found.end[which]
    since = at - found.from_s[which]
    share = np.where(gone[which], 0.0, since / np.maximum(found.until_s - found.from_s, 1.0)[which])
    east, north = (
        np.where(
            gone[which], place[begin] + np.nan_to_num(v[begin]) * since, place[begin] * (1 - share) + place[end] * share
        )
        for place, v in ((fixes.east_m, fixes.velocity_e), (fixes.north_m, fixes.velocity_n))
    )
    column, row, index = heard.cells(east, north, at)
    columns, rows, count = heard.shape
    sensors = [heard.of[begin], np.where(heard.of[end] == heard.of[begin], -1, heard.of[end])]
    near, places, anyone = np.zeros(len(which)), np.zeros(len(which)), np.zeros(len(which), bool)
    for sensor in sensors:
        near += heard_round(heard.keys, heard.counts, sensor, column, row, index, columns, rows, count)
        zero = np.zeros(len(which), np.int64)
        places += heard_round(heard.place_keys, heard.place_slots, sensor, column, row, zero, columns, rows, 1)
        anyone |= (sensor >= 0) & _member(heard.whole_keys, sensor * count + index)
    others = _others(heard, found)
    silent = ~anyone & (others[which] >= assumed.USUAL_REPORTS.value)
    if coverage is None:
        c = places / (places + assumed.COVERED_HALF.value) * assumed.COVERED_MOST.value
        c = np.where(near > 0, assumed.HEARD_NEAR.value, c)
    else:
        c = np.nan_to_num(np.asarray(coverage(east, north, at), np.float64))
    c = np.where(silent, 0.0, c)
    missed = (1 - assumed.HEARD_TOO.value) ** (assumed.SLOT_S / np.maximum(found.usual_s[which], 1.0))
    each = (slots / np.maximum(taken, 1))[which]
    # others heard there and then: slot by slot; coverage by the place alone is one doubt for the whole silence
    says = -np.log(1 - c * (1 - missed)) * each
    known = (near > 0) & (coverage is None)
    by_others = np.minimum(np.bincount(which, np.where(known, says, 0.0), n), assumed.SILENCE_MOST.value)
    guessed = ~known & ~silent
    looked = np.bincount(which, np.where(guessed, each, 0.0), n)
    mean = np.bincount(which, np.where(guessed, c * each, 0.0), n) / np.maximum(looked, 1e-12)
    heard_once = 1 - (1 - assumed.HEARD_TOO.value) ** (looked * assumed.SLOT_S / np.maximum(found.usual_s, 1.0))
    by_place = np.minimum(
        -np.log(1 - np.minimum(mean, 1.0) * heard_once + 1e-12), assumed.SILENCE_MOST.value - by_others
    )
    by_place = np.maximum(by_place, 0.0)
    prior = np.log(assumed.STOPPING.value / assumed.LEAVING.value)
    ordinary = _ordinary(heard, found, watched, by_others + by_place)
    p = probability(prior + by_others + by_place + ordinary)
    out_slots = np.bincount(which, silent, n)
    out = (taken > 0) & (out_slots >= _HALF * taken)
    near_slots, near_reports = np.bincount(which, near > 0, n), np.bincount(which, near, n)
    dark = ~out & (p >= 0.5)
    factors = {
        "prior": prior,
        "others nearby heard": by_others,
        "coverage of the place": by_place,
        "silences of others": ordinary,
    }
    p_out = 1 - np.exp(-others * out_slots)
    made = []
    for what, rows, confidence, why in (
        ("movement.dark", dark, p, factors),
        ("movement.gap", ~dark & ~out, 1 - p, {name: -np.asarray(v) + np.zeros(n) for name, v in factors.items()}),
        ("movement.outage", out, p_out, {"reports of the sensor missing": others * out_slots}),
    ):
        r = np.flatnonzero(rows)
        text = [
            _sentence(what, fixes, found, i, heard, int(near_reports[i]), int(near_slots[i]), confidence[i])
            for i in r.tolist()
        ]
        made.append(
            told(
                what, found.track[r], confidence[r], found.from_s[r], found.until_s[r], _place(fixes, found, r),
                text, {name: (np.asarray(v) + np.zeros(n))[r] for name, v in why.items()},
            )
        )  # fmt: skip
    return made


def _ordinary(heard: Heard, found: Silence, watched: Floats, covered: Floats) -> Floats:
    """Natural log of odds for what else makes silences as long inside coverage: losses, as others have them.

    With the odds against the place being covered: log of (1 - C) less log of (1 - C + ordinary rate / leaving rate).
    """
    long = found.until_s - found.from_s
    sensor = heard.of[found.begin]
    hours = watched[sensor + 1]  # of tracks, by the sensor that heard them
    guess = 3600 / found.usual_s * (long / found.usual_s) ** -assumed.LOSSES.value
    others = np.zeros(len(long))
    inside = covered >= 1.0  # rather covered than not: 1 - exp(-1)
    for s in np.unique(sensor):
        rows = np.flatnonzero(sensor == s)
        lengths = np.sort(long[rows][inside[rows]])
        others[rows] = len(lengths) - np.searchsorted(lengths, long[rows] / 2)
    # less the object's own, so that one that hides often does not make it ordinary
    for rows in _grouped(found.track):
        mine = np.sort(long[rows][inside[rows]])
        others[rows] -= len(mine) - np.searchsorted(mine, long[rows] / 2)
    weight = assumed.LOSSES_HOURS.value
    rate = (np.maximum(others, 0.0) + guess * weight) / (hours + weight)
    not_covered = np.exp(-covered)
    return np.asarray(np.log(not_covered) - np.log(not_covered + rate / assumed.LEAVING.value))


def _grouped(values: Ints) -> list[Ints]:
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1)


def _others(heard: Heard, found: Silence) -> Floats:
    """Reports of others than the object that its sensors usually have in a slot."""
    out = np.zeros(len(found.track))
    for k, (track, begin, end) in enumerate(zip(found.track.tolist(), found.begin, found.end, strict=True)):
        for sensor in {int(heard.of[begin]), int(heard.of[end])} - {-1}:
            own = heard.own.get((track, sensor), 0)
            out[k] += (heard.reports[sensor] - own) / heard.slots_of[sensor]
    return out


def _sentence(what: str, fixes: Fixes, found: Silence, i: int, heard: Heard, reports: int, slots: int, p: float) -> str:
    ended = found.begin[i] == found.end[i]
    long = lasting(found.until_s[i] - found.from_s[i])
    silence = (
        f"{fixes.name(int(found.track[i]))} was not heard for {long}, {between(found.from_s[i], found.until_s[i])}"
    )
    silence += ", and not again" * bool(ended)
    sensor = heard.sensors[heard.of[found.begin[i]]] if heard.of[found.begin[i]] >= 0 else ""
    by = f" by {sensor}" if sensor else ""
    if what == "movement.dark":
        meanwhile = (
            f"while others within 15 km were ({reports:,} reports{by})"
            if slots
            else f"where{by} others usually are heard"
        )
        return f"{silence}, {meanwhile}. It may have stopped sending, or its set failed; probability {p:.2f}."
    if what == "movement.outage":
        return f"{silence}; nor was anything else{by}. The receiver was silent, not the {_noun(fixes, found, i)}."
    if slots:
        return f"{silence}. Others nearby were heard, but silences as long are usual{by}; nothing says that it stopped."
    return f"{silence}. Coverage there is thin or unknown; nothing says that it stopped sending."


def _noun(fixes: Fixes, found: Silence, i: int) -> str:
    name = fixes.name(int(found.track[i]))
    return name.split(" ")[2] if name.startswith("An ") else name.split(" ")[0].lower()


def _place(fixes: Fixes, found: Silence, rows: Ints) -> list[Floats]:
    """Half-way between the fixes, as far as it can have strayed; the last fix where there is no next."""
    begin = found.begin[rows]
    place = np.array([v[begin] for v in (fixes.east_m, fixes.north_m, fixes.var_e, fixes.cov_en, fixes.var_n)])
    between_two = np.flatnonzero(begin != found.end[rows])
    ways = Ways(fixes, begin[between_two], found.end[rows][between_two])
    place[:, between_two] = ways.half_way(np.arange(len(between_two)), np.full(len(between_two), 0.5))
    return list(place)


def _member(keys: Ints, asked: Ints) -> npt.NDArray[np.bool_]:
    at = np.minimum(np.searchsorted(keys, asked), max(len(keys) - 1, 0))
    return keys[at] == asked if len(keys) else np.zeros(len(asked), bool)
