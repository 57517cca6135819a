"""Positions that cannot be: too fast, in two places at once, many on one point, on land, round one circle.

What it means is asked last. Several objects with such positions at one time and in one area speak for interference
(`jamming.position`); of a single object's, most are its own set's fault or a second sender's. None speaks of intent.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from shapely.geometry.base import BaseGeometry

from truceline.frame import Frame
from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.columns import coded
from truceline.fuse.movement_disturbances import together
from truceline.fuse.movement_rows import (
    Fixes,
    Told,
    between,
    covariance,
    far,
    log_odds,
    nothing,
    probability,
    rows_of,
    told,
)
from truceline.geojson import to_local
from truceline.kernels.movement import circling
from truceline.observation import ids, one_array, to_numpy
from truceline.places import basemap
from truceline.zones import ZoneIndex

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Place = tuple[Floats, Floats, Floats, Floats, Floats]


class Stated(NamedTuple):
    """Fixes that state an identity, by identity, time and id: what was sent, whether a track took it or not."""

    names: list[str]
    who: Ints  # of each fix
    at_s: Floats
    sigma_s: Floats
    place: Place
    fastest_mps: Floats
    vessel: Bools
    track: Ints  # of `Fixes.tracks`: the one that took it, or else the identity's; -1 for none


def dry_land(frame: Frame) -> BaseGeometry:
    """Land of the built-in map in the plane's metres, without lakes, rivers and 2 km along the coasts."""
    layers = basemap()
    # a little beyond the theatre: the map's farther parts have no place on its plane
    lon, lat = frame.to_degrees(*(frame.radius_m * 1.1 * np.array(v) for v in ((-1, 1, 1, -1, 0), (-1, -1, 1, 1, 1))))
    view = shapely.box(lon.min(), lat.min(), lon.max(), lat.max())

    def local(name: str) -> BaseGeometry:
        parts = np.atleast_1d(np.asarray(layers.get(name, shapely.MultiPolygon()), object))
        clipped = shapely.intersection(shapely.make_valid(parts), view)
        return shapely.union_all(to_local(clipped, frame))

    water = shapely.union(local("lakes").buffer(assumed.ON_LAND_M.value), local("rivers").buffer(assumed.RIVER_M.value))
    return shapely.difference(local("land").buffer(-assumed.ON_LAND_M.value), water)


def false_positions(
    fixes: Fixes, observations: pa.Table, land: BaseGeometry | None, harbours: Sequence[BaseGeometry]
) -> list[Told]:
    """Every anomaly of every object, and the disturbances that several of them make."""
    stated = _stated(fixes, observations)
    parts = []
    if len(stated.who):
        jumped = _jumps(stated)
        parts += [
            _too_fast(fixes, stated, jumped),
            _twice(fixes, stated, jumped),
            _one_point(fixes, stated, jumped, harbours),
        ]
    if land is not None:
        parts.append(_on_land(fixes, land))
    parts.append(_circles(fixes))
    return together([likely for part in parts if (likely := part.only(part.p >= assumed.FLOOR)).rows])


# ---- what was sent -------------------------------------------------------------------------------------------------


def _stated(fixes: Fixes, observations: pa.Table) -> Stated:
    good = pc.and_(pc.equal(observations["kind"], "fix"), pc.is_valid(observations["identity"]))
    for name in ("at", "lon", "lat"):
        good = pc.and_(good, pc.is_valid(observations[name]))
    rows = observations.filter(good).combine_chunks()
    who, names = coded(rows["identity"])
    at = to_numpy(rows["at"])
    high, low = ids(rows["observation_id"]).T
    order = np.lexsort((low, high, at, who))
    rows, who, at = rows.take(pa.array(order)).combine_chunks(), who[order], at[order]

    def numbers(name: str) -> Floats:
        return to_numpy(rows[name]).astype(np.float64)

    lon, lat = numbers("lon"), numbers("lat")
    var = covariance(fixes.frame, lon, lat, *(numbers(name) for name in ("major_m", "minor_m", "tilt_deg")))
    sigma = numbers("at_sigma_s")
    code, words = coded(rows["what"])
    fastest = assumed.longest(assumed.FASTEST_MPS, words)
    vessel = np.array([word.split(".")[0] == "vessel" for word in words], bool)
    track = np.append(fixes.track, -1)[rows_of(fixes.observation_id, rows["observation_id"])]
    named = pc.index_in(pa.array(names, pa.string()), value_set=one_array(fixes.tracks["identity"])).fill_null(-1)
    track = np.where(track >= 0, track, np.asarray(named.to_numpy(zero_copy_only=False), np.int64)[who])
    # an identity that is no track's own may still be among the stated ones of a track: any of its fixes says which
    any_of = np.full(len(names), -1)
    np.maximum.at(any_of, who, track)
    track = np.where(track >= 0, track, any_of[who])
    place = (*fixes.frame.to_local(lon, lat), *var)
    known = np.where(np.isnan(sigma), assumed.AT_SIGMA_S.value, sigma)
    return Stated(names, who, at, known, place, fastest[code], vessel[code], track)


def _excess(s: Stated, a: Ints, b: Ints) -> Floats:
    """How many times its greatest speed an object would have needed from a to b, errors allowed for; 3 sigma each."""
    e, n, ve, _, vn = s.place
    way = np.hypot(e[b] - e[a], n[b] - n[a]) - 3 * np.sqrt(np.maximum(ve[a] + vn[a] + ve[b] + vn[b], 0.0))
    time = np.abs(s.at_s[b] - s.at_s[a]) + 3 * np.hypot(s.sigma_s[a], s.sigma_s[b])
    return np.asarray(way / (s.fastest_mps[b] * np.maximum(time, 1e-3)))


class Jumps(NamedTuple):
    """Fixes that cannot be reached from the one before of their identity."""

    rows: Ints  # the later fix
    excess: Floats
    back: Bools  # the fix after it is within reach of the fix before it: it went off and came back
    run: Ints  # jumps of an identity within half an hour of each other are one run


def _jumps(s: Stated) -> Jumps:
    b = np.arange(1, len(s.who))
    b = b[s.who[b] == s.who[b - 1]]
    excess = _excess(s, b - 1, b)
    rows, over = b[excess > 1], excess[excess > 1]
    after = np.minimum(rows + 1, len(s.who) - 1)
    back = (s.who[after] == s.who[rows]) & (after > rows) & (_excess(s, rows - 1, after) <= 1)
    back &= _excess(s, rows, after) > 1
    new = (np.diff(s.who[rows], prepend=-1) != 0) | (np.diff(s.at_s[rows], prepend=-np.inf) > assumed.TOGETHER_S)
    return Jumps(rows, over, back, np.cumsum(new) - 1)


def _runs(s: Stated, jumps: Jumps) -> tuple[Ints, Ints, Ints, Floats]:
    """First and last jump of each run, how often it came back, and its greatest excess."""
    count = int(jumps.run.max(initial=-1) + 1)
    first = np.searchsorted(jumps.run, np.arange(count))
    last = np.searchsorted(jumps.run, np.arange(count), side="right") - 1
    backs = np.bincount(jumps.run, jumps.back, count).astype(np.int64)
    most = np.zeros(count)
    np.maximum.at(most, jumps.run, jumps.excess)
    return first, last, backs, most


def _too_fast(fixes: Fixes, s: Stated, jumps: Jumps) -> Told:
    """A run of jumps that is not the to and fro of two senders."""
    first, last, backs, most = _runs(s, jumps)
    run = np.flatnonzero((backs < 2) & (s.track[jumps.rows[first]] >= 0)) if len(first) else first
    a, b = jumps.rows[first[run]], jumps.rows[last[run]]
    says = 2 * np.log(most[run]) + 4.0
    e, n = s.place[:2]
    text = []
    for i, j, times in zip(a.tolist(), b.tolist(), most[run], strict=True):
        way = far(float(np.hypot(e[i] - e[i - 1], n[i] - n[i - 1])))
        took = max(s.at_s[i] - s.at_s[i - 1], 0.0)
        text.append(
            f"{_who(fixes, s, i)} stated a position {way} from the one before it, {took:,.0f} s later: at least "
            f"{times:,.1f} times the greatest speed of its kind. {between(s.at_s[i - 1], s.at_s[j])}."
        )
    prior = log_odds(assumed.FALSE_PRIOR.value)
    p = probability(prior + says + 2 * np.minimum(last[run] - first[run], 3))
    factors = {
        "prior": np.full(len(run), prior),
        "speed needed": says,
        "times": 2.0 * np.minimum(last[run] - first[run], 3),
    }
    return told("movement.impossible", s.track[a], p, s.at_s[a - 1], s.at_s[b], _at(s, a), text, factors)


def _twice(fixes: Fixes, s: Stated, jumps: Jumps) -> Told:
    """A run that goes to and fro: two that state one identity, or one set that states two places."""
    first, last, backs, most = _runs(s, jumps)
    run = np.flatnonzero((backs >= 2) & (s.track[jumps.rows[first]] >= 0)) if len(first) else first
    a, b = jumps.rows[first[run]], jumps.rows[last[run]]
    others = np.where(s.track[a] != s.track[a - 1], s.track[a - 1], -1)
    e, n = s.place[:2]
    apart = np.hypot(e[a] - e[a - 1], n[a] - n[a - 1])
    text = [
        f"{_who(fixes, s, i)} was stated {k + 1} times in turn at two places {far(float(d))} apart, "
        f"{between(s.at_s[i - 1], s.at_s[j])}. Two senders use one identity, or one of the places is false; "
        "nothing says which."
        for i, j, k, d in zip(a.tolist(), b.tolist(), backs[run], apart, strict=True)
    ]
    prior, says = log_odds(assumed.FALSE_PRIOR.value), 2 * np.log(most[run]) + 4.0
    times = 2.0 * np.minimum(backs[run], 3)
    factors = {"prior": np.full(len(run), prior), "speed needed": says, "times": times}
    return told(
        "movement.twice", s.track[a], probability(prior + says + times), s.at_s[a - 1], s.at_s[b], _at(s, a), text,
        factors, other=others,
    )  # fmt: skip


def _one_point(fixes: Fixes, s: Stated, jumps: Jumps, harbours: Sequence[BaseGeometry]) -> Told:
    """Many identities that stay within one spot at a time: a row for each of them, and slot of ten minutes."""
    e, n = s.place[:2]
    crowd = np.zeros(len(s.who), np.int64)
    slot = np.floor(s.at_s / assumed.ONE_POINT_SLOT_S).astype(np.int64)
    known = np.flatnonzero(np.isfinite(e + n))
    for shift in (0.0, 0.5):  # a second lattice, half a cell on, so that no crowd is cut by an edge
        key = slot[known]
        for cells in (np.floor(v[known] / assumed.ONE_POINT_M + shift).astype(np.int64) for v in (e, n)):
            cells -= cells.min(initial=0)
            key = key * (cells.max(initial=0) + 1) + cells
        _, spot, fixes_there = np.unique(key, return_inverse=True, return_counts=True)
        full = known[fixes_there[spot] >= assumed.ONE_POINT.value]
        of = spot[fixes_there[spot] >= assumed.ONE_POINT.value]
        pair, which = np.unique(of * len(s.names) + s.who[full], return_inverse=True)
        # who passes through, as aircraft do over a runway, is not there
        first, last = np.full(len(pair), np.inf), np.full(len(pair), -np.inf)
        np.minimum.at(first, which, s.at_s[full])
        np.maximum.at(last, which, s.at_s[full])
        stays = last - first >= assumed.ONE_POINT_S.value
        there = np.bincount(pair[stays] // len(s.names), minlength=len(fixes_there))
        crowd[full] = np.maximum(crowd[full], np.where(stays[which], there[of], 0))
    rows = np.flatnonzero((crowd >= assumed.ONE_POINT.value) & (s.track >= 0))
    _, heads = np.unique(np.column_stack([s.who[rows], slot[rows]]), axis=0, return_index=True)
    rows = rows[heads]
    came = np.zeros(len(s.who), bool)  # it jumped in that slot
    jumped = np.unique(np.column_stack([s.who[jumps.rows], slot[jumps.rows]]), axis=0) if len(jumps.rows) else None
    if jumped is not None:
        keys = jumped[:, 0] * (1 << 40) + jumped[:, 1]
        came = np.isin(s.who * (1 << 40) + slot, keys)
    prior = log_odds(assumed.FALSE_PRIOR.value)
    many = 1.0 * (crowd[rows] - assumed.ONE_POINT.value + 1)
    many = np.minimum(many, 6.0)
    port = np.where(_within(harbours, e[rows], n[rows]), assumed.HARBOUR.value, 0.0)
    leapt = np.where(came[rows], 4.0, 0.0)
    text = [
        f"{_who(fixes, s, i)} and {crowd[i] - 1} others stated one and the same point, within "
        f"{far(assumed.ONE_POINT_M)}, {between(s.at_s[i], s.at_s[i])}."
        for i in rows.tolist()
    ]
    factors = {
        "prior": np.full(len(rows), prior),
        "identities on the point": many,
        "came by a jump": leapt,
        "harbour": port,
    }
    return told(
        "movement.one_point", s.track[rows], probability(prior + many + leapt + port), s.at_s[rows], s.at_s[rows],
        _at(s, rows), text, factors,
    )  # fmt: skip


# ---- where tracks were ---------------------------------------------------------------------------------------------


def _on_land(fixes: Fixes, land: BaseGeometry) -> Told:
    """Runs of a vessel's fixes on land; its deepest sure one for place."""
    rows = np.flatnonzero(fixes.heads[fixes.track] == "vessel") if len(fixes.at_s) else np.empty(0, np.int64)
    index = ZoneIndex([land])
    e, n, ve, cov, vn = (v[rows] for v in (fixes.east_m, fixes.north_m, fixes.var_e, fixes.cov_en, fixes.var_n))
    found, _, p = index.probability(e, n, ve, cov, vn)
    on, p = rows[found[p >= 0.5]], p[p >= 0.5]
    if not len(on):
        return nothing("movement.on_land")
    new = (np.diff(on, prepend=-9) > 1) | (np.diff(fixes.track[on], prepend=-1) != 0)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(on)) - 1
    count = last - first + 1
    most = np.maximum.reduceat(p, first)
    text = [
        f"{fixes.name(int(fixes.track[a]))} was, as stated, on land, more than {far(assumed.ON_LAND_M.value)} "
        f"from water on the map, {between(fixes.at_s[a], fixes.at_s[b])} ({k} fixes)."
        for a, b, k in zip(on[first], on[last], count, strict=True)
    ]
    # the map errs too: rivers and basins it does not have
    whole = np.clip(most, 1e-4, 1 - 1e-4)
    p_false = whole * (1 - 0.2 / np.minimum(count, 4))
    on_land, both = (np.log(v / (1 - v)) for v in (whole, p_false))
    rows = on[first]
    return told(
        "movement.on_land", fixes.track[rows], p_false, fixes.at_s[rows], fixes.at_s[on[last]],
        [v[rows] for v in (fixes.east_m, fixes.north_m, fixes.var_e, fixes.cov_en, fixes.var_n)], text,
        {"position on land": on_land, "the map": both - on_land},
    )  # fmt: skip


def _circles(fixes: Fixes) -> Told:
    """Vessels that go round and round one circle."""
    vessel = fixes.heads == "vessel"
    first = fixes.first.copy()
    spread = np.zeros(fixes.number)
    np.maximum.at(spread, fixes.track, np.nan_to_num(fixes.spread_m))
    step = np.where(vessel, np.maximum(spread, 10.0), np.inf)
    begin, end, fitted = circling(
        first,
        fixes.east_m,
        fixes.north_m,
        step,
        assumed.CIRCLE_TURNS.value,
        *assumed.CIRCLE_FIXES,
        assumed.CIRCLE_ROUND.value,
    )
    share = fitted[:, 3] / fitted[:, 2] if len(begin) else np.empty(0)
    says = np.clip(2 * np.log(assumed.CIRCLE_ROUND.value / np.maximum(share, 1e-3)) + 4.0, 0, 9)
    prior = log_odds(assumed.FALSE_PRIOR.value)
    text = [
        f"{fixes.name(int(fixes.track[a]))} went round {assumed.CIRCLE_TURNS.value:.0f} times in one circle of "
        f"{far(radius)}, {off:.1%} from round, {between(fixes.at_s[a], fixes.at_s[b])}: ships do not sail so, "
        "false positions do."
        for a, b, radius, off in zip(begin, end, fitted[:, 2], share, strict=True)
    ]
    place = (fitted[:, 0], fitted[:, 1], fitted[:, 2] ** 2 / 2, np.zeros(len(begin)), fitted[:, 2] ** 2 / 2)
    return told(
        "movement.circle",
        fixes.track[begin],
        probability(prior + says),
        fixes.at_s[begin],
        fixes.at_s[end],
        place,
        text,
        {"prior": np.full(len(begin), prior), "roundness": says},
    )


def _who(fixes: Fixes, s: Stated, row: int) -> str:
    """As a sentence calls the sender: its kind by its track, its identity as stated here."""
    return fixes.name(int(s.track[row])).split(" ")[0].replace("An", "Object") + f" {s.names[s.who[row]]}"


def _at(s: Stated, rows: Ints) -> list[Floats]:
    return [v[rows] for v in s.place]


def _within(areas: Sequence[BaseGeometry], east_m: Floats, north_m: Floats) -> Bools:
    inside = np.zeros(len(east_m), bool)
    if len(areas):
        inside[ZoneIndex(list(areas)).members(east_m, north_m)[0]] = True
    return inside
