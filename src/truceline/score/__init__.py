"""How well tracks follow the truth: GOSPA, OSPA, completeness, ambiguity, spuriousness, switches, errors.

At each instant of a grid every object and every track is where it was between its points, and the two sets are
matched one to one, exactly. Everything else is counted from those matchings; docs/score.md has each formula.
"""

from datetime import UTC, datetime

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.errors import MissionError
from truceline.kernels.metrics import following
from truceline.score.matching import Matched, Paths, matched

__all__ = ["Score", "Series", "Spread", "compare", "score", "summed"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: A track farther from an object than this does not follow it. Assumption: the figure of the trackers' comparison in
#: docs/score.md; several times a sensor's error, below the spacing of objects.
CUTOFF_M = 1_000.0
#: Squared distances, as nearly all who publish GOSPA take.
ORDER = 2.0
#: A grid has at most so many instants unless a step is given.
MOST_INSTANTS = 2_000


class Spread(msgspec.Struct, frozen=True):
    """How a figure varies over the instants at which it is defined; null where it is at none."""

    mean: float | None
    sd: float | None
    least: float | None
    lower: float | None  # a tenth of the instants is below
    median: float | None
    upper: float | None  # a tenth is above
    most: float | None


class Series(msgspec.Struct, frozen=True):
    """The figures at each instant."""

    at_s: list[float]  # since the first instant
    objects: list[int]
    tracks: list[int]
    matched: list[int]
    redundant: list[int]  # tracks near an object that another track follows
    gospa_m: list[float]
    localisation: list[float]  # with missed and false, gospa^order in its parts
    missed: list[float]
    false: list[float]
    ospa_m: list[float]
    position_rmse_m: list[float | None]


class Score(msgspec.Struct, frozen=True):
    """What `score` finds. Lengths in metres; null where a figure has nothing to be taken from."""

    first_at: str
    last_at: str
    instants: int
    step_s: float | None  # null for instants given one by one
    cutoff_m: float
    order: float
    objects: int
    tracks: int
    gospa_m: Spread
    gospa_per_object_m: float | None
    localisation_share: float | None  # of gospa^order, summed over instants
    missed_share: float | None
    false_share: float | None
    ospa_m: Spread
    completeness: float | None
    completeness_spread: Spread
    ambiguity: float | None
    ambiguity_spread: Spread
    spuriousness: float | None
    spuriousness_spread: Spread
    switches: int
    switches_per_object_hour: float | None
    breaks: int
    tracks_per_object: float | None
    longest_share: float | None
    purity: float | None
    never_tracked: int
    missed: int
    false: int
    redundant: int
    position_rmse_m: float | None
    position_spread: Spread
    velocity_rmse_mps: float | None
    altitude_rmse_m: float | None
    series: Series


def score(
    points: pa.Table,
    truth: pa.Table,
    *,
    cutoff_m: float = CUTOFF_M,
    order: float = ORDER,
    step_s: float | None = None,
    instants_s: npt.ArrayLike | None = None,
    truth_gap_s: float = np.inf,
    gap_s: float = np.inf,
) -> Score:
    """The score of tracks against the truth.

    Parameters
    ----------
    points
        Points of tracks: `track_id` (any type), `at` (timestamp), `lon`, `lat` and, if known, `alt_m`, `speed_mps`,
        `course_deg`; `picture.TRACK_POINTS` fits. In any order.
    truth
        The same with `object` in place of `track_id`.
    cutoff_m, order
        c and p of GOSPA and OSPA; alpha is 2. order >= 1.
    step_s
        The grid's step, from the first instant of truth to its last. None: the middle of all steps between successive
        points of an object, but so that there are at most 2,000 instants.
    instants_s
        In place of a grid: the instants, seconds since 1970.
    truth_gap_s
        Between points of an object farther apart nobody knows where it was: there it is not counted as missed, nor a
        track within the cutoff of the straight way as false.
    gap_s
        Between points of a track farther apart it says nothing.

    Returns
    -------
    Score
        Without any track everything is missed; without truth at any instant figures are null.

    Raises
    ------
    SourceError
        When a column is absent or a row lacks name, time or place; when there is no truth at all.
    MissionError
        When a number given makes no sense.
    """
    compared, step = compare(points, truth, cutoff_m, order, step_s, instants_s, truth_gap_s, gap_s)
    return summed(compared, cutoff_m, order, step)


def compare(
    points: pa.Table,
    truth: pa.Table,
    cutoff_m: float = CUTOFF_M,
    order: float = ORDER,
    step_s: float | None = None,
    instants_s: npt.ArrayLike | None = None,
    truth_gap_s: float = np.inf,
    gap_s: float = np.inf,
) -> tuple[Matched, float | None]:
    """Truth and tracks matched at every instant, and the grid's step; parameters as in `score`."""
    for name, value, good in (
        ("cutoff_m", cutoff_m, cutoff_m > 0),
        ("order", order, 1 <= order < np.inf),
        ("step_s", step_s, step_s is None or step_s > 0),
        ("truth_gap_s", truth_gap_s, truth_gap_s > 0),
        ("gap_s", gap_s, gap_s > 0),
    ):
        if not good:
            raise MissionError(f"{name} = {value}: must be {'1 or more' if name == 'order' else 'above 0'}")
    there, tracks = Paths.of(truth, "object", "truth"), Paths.of(points, "track_id", "tracks")
    if instants_s is not None:
        instants, step = np.unique(np.rint(np.asarray(instants_s, np.float64) * 1e6)) / 1e6, None
    else:
        instants, step = grid(there, step_s)
    return matched(there, tracks, instants, cutoff_m, order, truth_gap_s, gap_s), step


def grid(truth: Paths, step_s: float | None) -> tuple[Floats, float | None]:
    """Instants from the first of truth to its last."""
    if not len(truth.at_s):
        return np.empty(0), step_s
    begin, end = truth.at_s.min(), truth.at_s.max()
    if step_s is None:
        same = np.repeat(np.arange(len(truth.names)), np.diff(truth.first))
        steps = np.diff(truth.at_s)[np.diff(same) == 0]
        steps = steps[steps > 0]
        step_s = max(float(np.median(steps)) if len(steps) else 1.0, (end - begin) / (MOST_INSTANTS - 1))
    # whole microseconds, as timestamps are, so that scans at even times are met exactly
    begin_us, end_us, step_us = (round(float(value) * 1e6) for value in (begin, end, step_s))
    return np.arange(begin_us, end_us + 1, max(step_us, 1)) / 1e6, max(step_us, 1) / 1e6


def summed(found: Matched, cutoff_m: float, order: float, step_s: float | None) -> Score:
    """The figures of a matching."""
    k, truths, points = len(found.instants_s), found.truths, found.points
    hit = found.track_of >= 0
    associated = found.near >= 0
    objects, tracks, pairs, near = (
        _totals(rows, np.ones(len(rows)), k)
        for rows in (truths.instant, points.instant, truths.instant[hit], points.instant[associated])
    )
    power = found.distance_m[hit] ** order
    local = _totals(truths.instant[hit], power, k)
    lost, false = cutoff_m**order / 2 * (objects - pairs), cutoff_m**order / 2 * (tracks - pairs)
    gospa_power = local + lost + false
    most = np.maximum(objects, tracks)
    left = local + cutoff_m**order * (most - pairs)
    ospa = np.divide(left, most, out=np.zeros(k), where=most > 0) ** (1 / order)
    gospa = gospa_power ** (1 / order)
    squares = _totals(truths.instant[hit], found.distance_m[hit] ** 2, k)
    rmse = np.sqrt(_ratio(squares, pairs))
    steady = _followed(found)
    counted = np.bincount(truths.thing, minlength=len(found.truth.names)).astype(np.float64)
    hours = _tracked_hours(found, hit)
    other = found.track_of[hit]
    velocity = np.linalg.norm(truths.velocity_mps[hit] - points.velocity_mps[other], axis=1)
    altitude = truths.alt_m[hit] - points.alt_m[other]
    whole = float(gospa_power.sum())
    return Score(
        first_at=_iso(found.instants_s[0]) if k else "",
        last_at=_iso(found.instants_s[-1]) if k else "",
        instants=k,
        step_s=step_s,
        cutoff_m=cutoff_m,
        order=order,
        objects=int((counted > 0).sum()),
        tracks=len(np.unique(points.thing)),
        gospa_m=_spread(gospa),
        gospa_per_object_m=_root(_ratio(gospa_power, objects), order),
        localisation_share=_part(local.sum(), whole),
        missed_share=_part(lost.sum(), whole),
        false_share=_part(false.sum(), whole),
        ospa_m=_spread(ospa),
        completeness=_part(pairs.sum(), objects.sum()),
        completeness_spread=_spread(_ratio(pairs, objects)),
        ambiguity=_part(near.sum(), pairs.sum()),
        ambiguity_spread=_spread(_ratio(near, pairs)),
        spuriousness=_part((tracks - near).sum(), tracks.sum()),
        spuriousness_spread=_spread(_ratio(tracks - near, tracks)),
        switches=int(steady[:, 1].sum()),
        switches_per_object_hour=_part(steady[:, 1].sum(), hours),
        breaks=int(steady[:, 2].sum()),
        tracks_per_object=_part(len(_couples(found)), (steady[:, 0] > 0).sum()),
        longest_share=_part(steady[:, 3].sum(), counted.sum()),
        purity=_purity(found),
        never_tracked=int(((counted > 0) & (steady[:, 0] == 0)).sum()),
        missed=int((objects - pairs).sum()),
        false=int((tracks - near).sum()),
        redundant=int((near - pairs).sum()),
        position_rmse_m=_root(found.distance_m[hit] ** 2),
        position_spread=_spread(found.distance_m[hit]),
        velocity_rmse_mps=_root(velocity**2),
        altitude_rmse_m=_root(altitude**2),
        series=Series(
            at_s=(found.instants_s - found.instants_s[:1]).tolist(),
            objects=objects.astype(int).tolist(),
            tracks=tracks.astype(int).tolist(),
            matched=pairs.astype(int).tolist(),
            redundant=(near - pairs).astype(int).tolist(),
            gospa_m=gospa.tolist(),
            localisation=local.tolist(),
            missed=lost.tolist(),
            false=false.tolist(),
            ospa_m=ospa.tolist(),
            position_rmse_m=_listed(rmse),
        ),
    )


def by_object(found: Matched) -> tuple[Ints, Ints]:
    """Rows of `found.truths` object by object in time, and where each object's rows begin."""
    order = np.argsort(found.truths.thing, kind="stable")
    return order, np.searchsorted(found.truths.thing[order], np.arange(len(found.truth.names) + 1)).astype(np.int64)


def partners(found: Matched) -> Ints:
    """The track that each row of `found.truths` was matched with; -1 for none."""
    return np.where(found.track_of >= 0, np.append(found.points.thing, -1)[found.track_of], -1).astype(np.int64)


def _followed(found: Matched) -> Ints:
    order, first = by_object(found)
    return np.asarray(following(first, np.ascontiguousarray(partners(found)[order])))


def _couples(found: Matched) -> Ints:
    """(object, track, instants) of all that were matched at any instant."""
    partner = partners(found)
    hit = partner >= 0
    pairs, counts = np.unique(np.column_stack([found.truths.thing[hit], partner[hit]]), axis=0, return_counts=True)
    return np.column_stack([pairs, counts]).astype(np.int64)


def _purity(found: Matched) -> float | None:
    """Of the instants at which tracks were matched, the share with the object each track was matched with most."""
    couples = _couples(found)
    best = np.zeros(len(found.tracks.names), np.int64)
    np.maximum.at(best, couples[:, 1], couples[:, 2])
    return _part(best.sum(), couples[:, 2].sum())


def _tracked_hours(found: Matched, hit: npt.NDArray[np.bool_]) -> float:
    """Time over which objects had a track, by the steps between instants."""
    steps = np.diff(found.instants_s, append=found.instants_s[-1:])
    if len(steps) > 1:
        steps[-1] = steps[-2]
    return float(steps[found.truths.instant[hit]].sum() / 3600)


def _spread(values: Floats) -> Spread:
    known = values[np.isfinite(values)]
    if not len(known):
        return Spread(*[None] * 7)
    quantiles = np.quantile(known, [0, 0.1, 0.5, 0.9, 1]).tolist()
    return Spread(float(known.mean()), float(known.std()), *quantiles)


def _totals(rows: Ints, weights: Floats, count: int) -> Floats:
    return np.bincount(rows, weights, count).astype(np.float64)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))


def _part(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None


def _root(values: Floats, order: float = 2.0) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean() ** (1 / order)) if len(known) else None


def _listed(values: Floats) -> list[float | None]:
    return [None if v != v else v for v in values.tolist()]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
