"""Positions that cannot be: too fast, in two places at once, many on one point, on land, round one circle.

What it means is asked last. Several objects with such positions at one time and in one area speak for interference
(`jamming.position`); of a single object's, most are its own set's fault or a second sender's. None speaks of intent.
"""

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from truceline.frame import Frame
from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.movement_disturbances import together
from truceline.fuse.movement_pieces import some
from truceline.fuse.movement_rows import Fixes, Told, between, far, inside, log_odds, probability, told
from truceline.fuse.movement_sent import Sent
from truceline.geojson import to_local
from truceline.kernels.movement import circling
from truceline.places import basemap
from truceline.zones import ZoneIndex

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


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


class FalsePositions:
    """Every anomaly of every object, and the disturbances that several of them make."""

    def __init__(self, whole: Fixes, sent: Sent, land: BaseGeometry | None, harbours: ZoneIndex | None) -> None:
        self._whole, self._sent, self._harbours = whole, sent, harbours
        self._land = None if land is None else ZoneIndex([land])
        self._on_land: list[Told] = []
        self._circles: list[Told] = []

    def add(self, first: int, fixes: Fixes) -> None:
        """Whole tracks, the first of them of this number."""
        self._sent.follow(first, fixes)
        if self._land is not None:
            self._on_land.append(_on_land(fixes, self._land).shifted(first))
        self._circles.append(_circles(fixes).shifted(first))

    def told(self) -> list[Told]:
        """After all tracks."""
        of, before, crowded = self._sent.tracks()
        parts = [
            _too_fast(self._whole, self._sent, of),
            _twice(self._whole, self._sent, of, before),
            _one_point(self._whole, self._sent, crowded, self._harbours),
            *self._on_land,
            *self._circles,
        ]
        return together([likely for part in parts if (likely := part.only(part.p >= assumed.FLOOR)).rows])


# ---- what was sent -------------------------------------------------------------------------------------------------


def _too_fast(fixes: Fixes, sent: Sent, track: Ints) -> Told:
    """A run of jumps that is not the to and fro of two senders."""
    rows = np.flatnonzero((sent.runs.backs < 2) & (track >= 0))
    runs, track = some(sent.runs, rows), track[rows]
    says, times = 2 * np.log(runs.excess) + 4.0, 2.0 * np.minimum(runs.more, 3)
    text = []
    for who, of, way, took, excess, begin, end in zip(
        runs.who.tolist(), track.tolist(), runs.way_m.tolist(), np.maximum(runs.at_s - runs.from_s, 0.0).tolist(),
        runs.excess.tolist(), runs.from_s.tolist(), runs.until_s.tolist(), strict=True,
    ):  # fmt: skip
        text.append(
            f"{_who(fixes, of, sent.names[who])} stated a position {far(way)} from the one before it, {took:,.0f} s "
            f"later: at least {excess:,.1f} times the greatest speed of its kind. {between(begin, end)}."
        )
    prior = log_odds(assumed.FALSE_PRIOR.value)
    p = probability(prior + says + times)
    factors = {"prior": np.full(len(rows), prior), "speed needed": says, "times": times}
    return told("movement.impossible", track, p, runs.from_s, runs.until_s, runs.place.T, text, factors)


def _twice(fixes: Fixes, sent: Sent, track: Ints, before: Ints) -> Told:
    """A run that goes to and fro: two that state one identity, or one set that states two places."""
    rows = np.flatnonzero((sent.runs.backs >= 2) & (track >= 0))
    runs, track, before = some(sent.runs, rows), track[rows], before[rows]
    others = np.where(track != before, before, -1)
    text = [
        f"{_who(fixes, of, sent.names[who])} was stated {backs + 1} times in turn at two places {far(apart)} apart, "
        f"{between(begin, end)}. Two senders use one identity, or one of the places is false; nothing says which."
        for who, of, backs, apart, begin, end in zip(
            runs.who.tolist(), track.tolist(), runs.backs.tolist(), runs.way_m.tolist(), runs.from_s.tolist(),
            runs.until_s.tolist(), strict=True,
        )
    ]  # fmt: skip
    prior, says = log_odds(assumed.FALSE_PRIOR.value), 2 * np.log(runs.excess) + 4.0
    times = 2.0 * np.minimum(runs.backs, 3)
    factors = {"prior": np.full(len(rows), prior), "speed needed": says, "times": times}
    p = probability(prior + says + times)
    return told("movement.twice", track, p, runs.from_s, runs.until_s, runs.place.T, text, factors, other=others)


def _one_point(fixes: Fixes, sent: Sent, track: Ints, harbours: ZoneIndex | None) -> Told:
    """Many identities that stay within one spot at a time: a row for each of them, and slot of ten minutes."""
    found, prior = sent.crowded, log_odds(assumed.FALSE_PRIOR.value)
    many = np.minimum(1.0 * (found.crowd - assumed.ONE_POINT.value + 1), 6.0)
    port = np.where(inside(harbours, found.place[:, 0], found.place[:, 1]), assumed.HARBOUR.value, 0.0)
    leapt = np.where(found.came, 4.0, 0.0)
    p = probability(prior + many + leapt + port)
    rows = np.flatnonzero((track >= 0) & (p >= assumed.FLOOR))  # in a harbour they are many, and few are likely
    found, track = some(found, rows), track[rows]
    text = [
        f"{_who(fixes, of, sent.names[who])} and {crowd - 1} others stated one and the same point, within "
        f"{far(assumed.ONE_POINT_M)}, {between(at, at)}."
        for who, of, crowd, at in zip(
            found.who.tolist(), track.tolist(), found.crowd.tolist(), found.at_s.tolist(), strict=True
        )
    ]
    factors = {
        "prior": np.full(len(rows), prior),
        "identities on the point": many[rows],
        "came by a jump": leapt[rows],
        "harbour": port[rows],
    }
    return told("movement.one_point", track, p[rows], found.at_s, found.at_s, found.place.T, text, factors)


# ---- where tracks were ---------------------------------------------------------------------------------------------


def _on_land(fixes: Fixes, index: ZoneIndex) -> Told:
    """Runs of a vessel's fixes on land; its deepest sure one for place."""
    rows = np.flatnonzero(fixes.heads[fixes.track] == "vessel") if len(fixes.at_s) else np.empty(0, np.int64)
    e, n, ve, cov, vn = (v[rows] for v in (fixes.east_m, fixes.north_m, fixes.var_e, fixes.cov_en, fixes.var_n))
    found, _, p = index.probability(e, n, ve, cov, vn)
    on, p = rows[found[p >= 0.5]], p[p >= 0.5]
    new = (np.diff(on, prepend=-9) > 1) | (np.diff(fixes.track[on], prepend=-1) != 0)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(on))[: len(first)] - 1
    count = last - first + 1
    most = np.maximum.reduceat(p, first) if len(first) else np.empty(0)
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


def _who(fixes: Fixes, track: int, name: str) -> str:
    """As a sentence calls the sender: its kind by its track, its identity as stated here."""
    return fixes.name(track).split(" ")[0].replace("An", "Object") + f" {name}"
