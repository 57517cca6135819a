"""Whether the conflict caused each event: fires by the model of `causes`, the rest by the stated assumptions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.agreement import Assumption
from truceline.frame import Frame
from truceline.fuse.activity import ASSUMED, Assumed
from truceline.fuse.assumptions import stream
from truceline.fuse.background import Background, grid_over
from truceline.fuse.causes import FACTORS, MODEL, NO_BACKGROUND, Judged, Lines, dated_lines, judge
from truceline.fuse.columns import Groups, coded
from truceline.fuse.signs import Reports
from truceline.fuse.tables import Conflict, stated_conflict
from truceline.kernels.idset import index_in
from truceline.observation import LIKELIHOODS, ids, to_numpy

if TYPE_CHECKING:
    from truceline.line import Line

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: What the model reads of observations, where they have it; `occurrences.COLUMNS` and these must be handed to `fuse`.
COLUMNS = ("observation_id", "kind", "what", "at", "lon", "lat", "firms_daynight")

_DAY_S = 86_400.0
#: What reports of these tell of fires: impacts, and aircraft or drones that strike.
_REPORTED = ("impulse", "air")


@dataclass(frozen=True)
class FireModel:
    """A `ConflictModel`. Without a background only the line speaks of fires, and the model's name says so."""

    background: Background | None
    line: "Line | None"
    frame: Frame
    fire_prior: Assumption  # of fires without place or time
    assumed: Assumed = ASSUMED

    def __call__(self, events: pa.Table, associations: pa.Table, observations: pa.Table) -> Conflict:
        """One `Conflict` of `events.num_rows` values.

        An event has the mean log odds of its pixels: one fire, seen by each.
        """
        stated = stated_conflict(events, self.fire_prior)
        event, pixels = _pixels(events, associations, observations)
        if not len(event):
            return stated
        judged = self.judge(pixels, reports(observations))
        known = np.flatnonzero(np.isfinite(judged.settled))
        places, place = np.unique(event[known], return_inverse=True)
        groups = Groups(place.astype(np.int64), len(places))
        p, p_online = stated.p.copy(), stated.p.copy()
        p[places] = _expit(groups.mean(_logit(judged.settled[known])))
        p_online[places] = _expit(groups.mean(_logit(judged.online[known])))
        spoken = groups.greatest(judged.background[known].astype(np.float64)) > 0
        name = np.zeros(events.num_rows, np.int64)
        name[places] = np.where(spoken, 1, 2)
        words = pa.array(["", MODEL, NO_BACKGROUND])
        model = pc.if_else(pa.array(name > 0), words.take(pa.array(name)), stated.model)
        parts = np.stack([groups.mean(judged.factors[factor][known]) for factor in FACTORS], axis=1)
        return Conflict(p, model, _maps(parts, places, events.num_rows), p_online)

    def judge(self, pixels: pa.Table, told: Reports | None) -> Judged:
        """What `causes.judge` says of hotspots: rows with lon, lat, at, and what else of `COLUMNS` there is."""
        lon, lat, at_s = (to_numpy(pixels[name]).astype(np.float64) for name in ("lon", "lat", "at"))
        return judge(
            self.background,
            lon,
            lat,
            at_s,
            lines=self.lines(lon, lat),
            night=night(pixels),
            reports=told,
            assumed=self.assumed,
        )

    def lines(self, lon: Floats, lat: Floats) -> Lines | None:
        """The distances of cells from the mission's lines; None where there is neither line nor place."""
        known = np.isfinite(lon + lat)
        if self.line is None or not known.any():
            return None
        grid = self.background.grid if self.background is not None else grid_over(lon[known], lat[known])
        return dated_lines(grid, self.line, self.frame)


def reports(observations: pa.Table) -> Reports | None:
    """Where and when people reported shelling or strikes; None where nobody did."""
    kinds, kind_words = coded(observations["kind"])
    whats, what_words = coded(observations["what"])
    told = np.array([stream(word) in _REPORTED for word in what_words] + [False], np.bool_)[whats]
    told &= kinds == (kind_words.index("sighting") if "sighting" in kind_words else -2)
    lon, lat, at_s = (to_numpy(observations[name]).astype(np.float64)[told] for name in ("lon", "lat", "at"))
    known = np.isfinite(lon + lat + at_s)
    if not known.any():
        return None
    return Reports(lon[known], lat[known], np.floor(at_s[known] / _DAY_S).astype(np.int64))


def _pixels(events: pa.Table, associations: pa.Table, observations: pa.Table) -> tuple[Ints, pa.Table]:
    """Of each hotspot of a fire: the event's row, and the hotspot."""
    codes, words = coded(events["what"])
    fires = np.flatnonzero(np.array([stream(word) == "fire" for word in words] + [False], np.bool_)[codes])
    if not len(fires):
        return np.empty(0, np.int64), observations.slice(0, 0)
    event = _rows(associations["event_id"], events["event_id"].take(pa.array(fires)))
    seen = np.flatnonzero(event >= 0)
    row = _rows(associations["observation_id"].take(pa.array(seen)), observations["observation_id"])
    kept = row >= 0
    names = [name for name in COLUMNS if name in observations.column_names]
    return fires[event[seen[kept]]], observations.select(names).take(pa.array(row[kept]))


def _rows(asked: pa.ChunkedArray, among: pa.ChunkedArray) -> Ints:
    """Where each id asked for stands among others; -1 where it does not."""
    return index_in(ids(asked), ids(among))


def night(pixels: pa.Table) -> Floats | None:
    """1 for what was seen by night, 0 by day, NaN where the feed does not say; None where it never does."""
    if "firms_daynight" not in pixels.column_names:
        return None
    codes, words = coded(pixels["firms_daynight"])
    dark = {"N": 1.0, "D": 0.0}
    return np.array([dark.get(word[:1].upper(), np.nan) for word in words] + [np.nan])[codes]


def _maps(parts: Floats, places: Ints, rows: int) -> pa.Array:
    """A map column with the factors of the given rows; null elsewhere."""
    size = np.zeros(rows, np.int64)
    size[places] = len(FACTORS)
    offsets = pa.array(np.concatenate([[0], np.cumsum(size)]), pa.int32())
    keys = pa.array(list(FACTORS) * len(places), pa.string())
    built = pa.MapArray.from_arrays(offsets, keys, pa.array(parts.ravel().astype(np.float32)))
    return pc.if_else(pa.array(size > 0), built.cast(LIKELIHOODS), pa.nulls(rows, LIKELIHOODS))


def _logit(p: Floats) -> Floats:
    return np.asarray(np.log(p / (1.0 - p)))


def _expit(log_odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)))
