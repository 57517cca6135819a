"""Silence: an object not heard for a while, told by who else was heard meanwhile.

Others nearby heard by the same sensor: the object may have stopped sending (`movement.dark`). Nobody heard by the
sensor: the sensor was out (`movement.outage`). Nobody nearby, and nothing known of coverage there: a gap that says
nothing (`movement.gap`).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.columns import coded
from truceline.fuse.movement_heard import Followed, Heard, Listening
from truceline.fuse.movement_pieces import some, stacked
from truceline.fuse.movement_rows import Fixes, Told, between, lasting, probability, told
from truceline.fuse.movement_zones import Ways
from truceline.kernels.movement import heard_round
from truceline.observation import ids

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Of a long silence so many slots are looked at, evenly; the others count like them.
_MOST_SLOTS = 144
#: A silence that is at least half a sensor's is the sensor's.
_HALF = 0.5
#: Silences are looked at so many at a time: 50 MB while it lasts.
_AT_ONCE = 2_048


class Silence(NamedTuple):
    """Candidates: way or end of track, when, and how sure it would have been heard."""

    track: Ints
    begin: Ints  # fix
    end: Ints  # fix; the begin again where it was not heard any more
    from_s: Floats
    until_s: Floats
    usual_s: Floats


class Silences:
    """Every long silence of every track."""

    def __init__(
        self, whole: Fixes, listening: Listening, heard: Heard, coverage: Callable[..., Floats] | None
    ) -> None:
        self._whole, self._listening, self._heard, self._coverage = whole, listening, heard, coverage
        self._usual = np.full(whole.number, np.nan)
        # fixes that silences are told of, and each track's first and last; of the former, where they stand among them
        self._kept: list[tuple[int, Fixes]] = []
        self._begin: list[Ints] = [np.empty(0, np.int64)]
        self._count = 0

    def add(self, first: int, fixes: Fixes) -> None:
        """Whole tracks, the first of them of this number."""
        self._listening.follow(first, fixes)
        begins = fixes.begins()
        usual = _usual(fixes, begins)
        self._usual[first : first + fixes.number] = usual
        begin = begins[_long(fixes, begins, begins + 1, fixes.at_s[begins + 1], usual)]
        ends = np.concatenate([fixes.first[:-1], fixes.first[1:] - 1])
        rows = np.unique(np.concatenate([begin, begin + 1, ends[np.tile(np.diff(fixes.first) > 1, 2)]]))
        self._kept.append((first, fixes.only(rows)))
        self._begin.append(self._count + np.searchsorted(rows, begin))
        self._count += len(rows)

    def told(self) -> list[Told]:
        """After all tracks."""
        fixes, self._kept = self._whole.joined(self._kept), []
        if not len(fixes.at_s):
            return []
        begin = np.concatenate(self._begin)
        ended, again = _ended(fixes)
        gone = ended == again
        until = np.where(gone, self._listening.ends_s, fixes.at_s[again])
        rows = _long(fixes, ended, again, until, self._usual)
        begin, end = np.concatenate([begin, ended[rows]]), np.concatenate([begin + 1, again[rows]])
        until = np.concatenate([fixes.at_s[end[: len(begin) - len(rows)]], until[rows]])
        if not len(begin):
            return []
        track = fixes.track[begin]
        found = Silence(track, begin, end, fixes.at_s[begin], until, _known(self._usual)[track])
        followed = self._listening.followed(ids(fixes.observation_id))
        return _told(fixes, self._heard, followed, found, self._coverage)


def _usual(fixes: Fixes, begins: Ints) -> Floats:
    """Of each track the interval in the middle of its own; NaN where it has none."""
    lasts_s, of = fixes.at_s[begins + 1] - fixes.at_s[begins], fixes.track[begins]
    order = np.lexsort((lasts_s, of))
    first = np.searchsorted(of[order], np.arange(fixes.number + 1))
    some = np.diff(first) > 0
    usual = np.full(fixes.number, np.nan)
    usual[some] = lasts_s[order[(first[:-1][some] + first[1:][some] - 1) // 2]]
    return usual


def _known(usual: Floats) -> Floats:
    return np.maximum(np.where(np.isnan(usual), np.inf, usual), 1.0)


def _long(fixes: Fixes, begin: Ints, end: Ints, until_s: Floats, usual: Floats) -> Ints:
    """Which silences are longer than the least, and than so many of the object's own intervals."""
    least = np.maximum(assumed.SILENT_S.value, assumed.SILENT_INTERVALS.value * _known(usual))
    long, of = until_s - fixes.at_s[begin], fixes.track[begin]
    way = np.hypot(fixes.east_m[end] - fixes.east_m[begin], fixes.north_m[end] - fixes.north_m[begin])
    before = np.nan_to_num(fixes.speed_mps[begin])
    grounded = before <= assumed.longest(assumed.STAY_MPS, fixes.terms)[of]
    moved = (fixes.heads == "vessel")[of] | (way >= assumed.MOVED_ON.value * before * long) & ~grounded
    return np.flatnonzero((long > least[of]) & moved)


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


class Looked(NamedTuple):
    """What was heard meanwhile, of each silence."""

    by_others: Floats  # natural log of odds
    by_place: Floats
    out_slots: Ints  # in which nobody was heard by the sensor
    taken: Ints  # slots looked at
    near_slots: Ints  # in which others nearby were heard
    near_reports: Ints


def _looked(
    fixes: Fixes, heard: Heard, of: Ints, found: Silence, others: Floats, coverage: Callable[..., Floats] | None
) -> Looked:
    """Slot by slot, who was heard near where the object is thought to have been."""
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
    near, places, anyone = np.zeros(len(which)), np.zeros(len(which)), np.zeros(len(which), bool)
    for sensor in (of[begin], np.where(of[end] == of[begin], -1, of[end])):
        near += heard_round(heard.keys, heard.counts, sensor, column, row, index, columns, rows, count)
        zero = np.zeros(len(which), np.int64)
        places += heard_round(heard.place_keys, heard.place_slots, sensor, column, row, zero, columns, rows, 1)
        anyone |= (sensor >= 0) & _member(heard.whole_keys, sensor * count + index)
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
    return Looked(
        by_others, np.maximum(by_place, 0.0), np.bincount(which, silent, n).astype(np.int64), taken,
        np.bincount(which, near > 0, n).astype(np.int64), np.bincount(which, near, n).astype(np.int64),
    )  # fmt: skip


def _told(
    fixes: Fixes, heard: Heard, followed: Followed, found: Silence, coverage: Callable[..., Floats] | None
) -> list[Told]:
    """Which silence is the object's, which the sensor's, which nobody's."""
    n, of = len(found.track), followed.of
    others = _others(heard, followed, found)
    looked = []
    for low in range(0, n, _AT_ONCE):
        part = slice(low, low + _AT_ONCE)
        looked.append(_looked(fixes, heard, of, some(found, part), others[part], coverage))
    by_others, by_place, out_slots, taken, near_slots, near_reports = stacked(looked)
    prior = np.log(assumed.STOPPING.value / assumed.LEAVING.value)
    ordinary = _ordinary(of, found, followed.watched_h, by_others + by_place)
    p = probability(prior + by_others + by_place + ordinary)
    out = (taken > 0) & (out_slots >= _HALF * taken)
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
            _sentence(what, fixes, found, i, _name(heard, of, found, i), near_reports[i], near_slots[i], confidence[i])
            for i in r.tolist()
        ]
        made.append(
            told(
                what, found.track[r], confidence[r], found.from_s[r], found.until_s[r], _place(fixes, found, r),
                text, {name: (np.asarray(v) + np.zeros(n))[r] for name, v in why.items()},
            )
        )  # fmt: skip
    return made


def _ordinary(of: Ints, found: Silence, watched_h: Floats, covered: Floats) -> Floats:
    """Natural log of odds for what else makes silences as long inside coverage: losses, as others have them.

    With the odds against the place being covered: log of (1 - C) less log of (1 - C + ordinary rate / leaving rate).
    """
    long = found.until_s - found.from_s
    sensor = of[found.begin]
    hours = watched_h[sensor + 1]  # of tracks, by the sensor that heard them
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


def _others(heard: Heard, followed: Followed, found: Silence) -> Floats:
    """Reports of others than the object that its sensors usually have in a slot."""
    begin, end = followed.of[found.begin], followed.of[found.end]
    out = np.zeros(len(found.track))
    for sensor in (begin, np.where(end == begin, -1, end)):
        own = followed.reports(found.track, sensor, len(heard.sensors))
        known = np.flatnonzero(sensor >= 0)
        mine = sensor[known]
        out[known] += (heard.reports[mine] - own[known]) / heard.slots_of[mine]
    return out


def _name(heard: Heard, of: Ints, found: Silence, i: int) -> str:
    """Of the sensor that heard it last; empty where that is not known."""
    sensor = int(of[found.begin[i]])
    return heard.sensors[sensor] if sensor >= 0 else ""


def _sentence(what: str, fixes: Fixes, found: Silence, i: int, sensor: str, reports: int, slots: int, p: float) -> str:
    ended = found.begin[i] == found.end[i]
    long = lasting(found.until_s[i] - found.from_s[i])
    silence = (
        f"{fixes.name(int(found.track[i]))} was not heard for {long}, {between(found.from_s[i], found.until_s[i])}"
    )
    silence += ", and not again" * bool(ended)
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
