"""What detections themselves and what people say tell of their cause: heat that stays, the hour, reports near by."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from truceline.fuse.background import PERIOD_DAYS, Background, Grid
from truceline.kernels.fires import Marks, occupied

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_DAY_S = 86_400.0

#: What is not in the baseline is a tip or a flare when heat comes back to one spot (a kilometre or so) period after
#: period and not beside it (up to 4 km): how rare that is (log odds), and by how much each period with heat on the spot
#: and each with heat beside it changes that. A town that is shelled every day burns beside the spot as well.
#: Two months each way, four months back online.
_SPOT, _BESIDE, _SPAN, _PAST = 1, 4, (-12, 12), (-24, 0)
_RARE, _ON_THE_SPOT, _BESIDE_IT = -6.0, 0.7, -1.2
#: Share of detections by night: of the steady heat of 2023, 0.92; of other fires, 0.18 near the line and far from it.
_STEADY_BY_NIGHT, _OTHERS_BY_NIGHT = 0.92, 0.18

#: Share of conflict fires with a report of shelling within 3 km, from the day before to the day after, beyond what
#: chance gives at that place: 1 to 3 % in 2023. Chance: the days so far away on which the place was reported as well.
_REPORTED, _REPORT_M, _REPORT_DAYS, _CHANCE_DAYS = 0.03, 3_000.0, 1, (3, 30)

#: Share of the conflict's fires seen by night, in any season: one in four near the line in 2023 (assumption, low). That
#: of other fires is taken from what burns more than so many km from the line, in so many days; until there are some,
#: as many of doubt at their usual share. In spring fields burn by day: 3 % by night far away, half of them at the line.
_CONFLICT_BY_NIGHT, _FAR_KM, _HOUR_DAYS, _HOUR_DOUBT = 0.25, 60.0, 15, 20.0


class Reports(NamedTuple):
    """Where and when shelling or strikes were reported, known to a settlement and a day."""

    lon: Floats
    lat: Floats
    day: Ints  # days since 1970


class Ratios(NamedTuple):
    """How much likelier a sign is if the conflict caused the fire, of each detection; online, by what came before."""

    settled: Floats
    online: Floats


def stays(grid: Grid, lon: Floats, lat: Floats, at_s: Floats, night: Floats | None) -> tuple[Floats, Floats]:
    """Probability that a detection is of steady heat which the baseline does not know: settled, and online."""
    row, column = grid.spots(lon, lat)
    period = np.floor(at_s / _DAY_S).astype(np.int64) // PERIOD_DAYS
    marks, spans = Marks(row, column, period), (_SPAN, _PAST)
    spot = occupied(marks, marks, _SPOT, _SPOT, spans)
    # what has not been hot for long is nothing that stays, whatever lies beside it; each of the two by what it knows
    long = np.stack(spot) * _ON_THE_SPOT > -_RARE / 2.0
    ask = np.flatnonzero(long.any(axis=0))
    across = round(_BESIDE * grid.steps_per_km[1] / grid.steps_per_km[0])
    beside = np.zeros((2, len(lon)), np.int64)
    for up, right, rows, columns in _sides(_SPOT + 1, _BESIDE, across):
        asked = Marks(row[ask] + up, column[ask] + right, period[ask])
        beside[:, ask] = np.maximum(beside[:, ask], occupied(asked, marks, rows, columns, spans))
    by_hour = np.zeros(len(lon)) if night is None else np.log(_by_night(night))
    now, then = (
        1.0 / (1.0 + np.exp(-(_RARE + _ON_THE_SPOT * on + _BESIDE_IT * off + by_hour)))
        for on, off in zip(spot, beside * long, strict=True)
    )
    return now, then


def _sides(near: int, up: int, across: int) -> list[tuple[int, int, int, int]]:
    """Boxes above, below, right and left of a spot: shift in rows and columns, half height and half width."""
    rows, columns = (near + up) // 2, (near + across) // 2
    return [
        *((sign * rows, 0, up - rows, across) for sign in (1, -1)),
        *((0, sign * columns, up, across - columns) for sign in (1, -1)),
    ]


def _by_night(night: Floats) -> Floats:
    """How much likelier steady heat is than another fire to be seen at such an hour."""
    return _hour(night, _STEADY_BY_NIGHT, _OTHERS_BY_NIGHT)


def _hour(night: Floats, one: "float | Floats", other: "float | Floats") -> Floats:
    """Ratio of two shares by night, or by day; 1 where the hour is not known."""
    ratio = np.where(night > 0.5, one / np.asarray(other), (1.0 - one) / (1.0 - np.asarray(other)))
    return np.where(np.isnan(night), 1.0, ratio)


def hours(night: Floats | None, at_s: Floats, line_km: Floats, steady: Bools) -> Ratios:
    """Night against what burns by night far from the line in the same weeks."""
    none = np.ones(len(at_s))
    if night is None or not len(at_s) or np.isinf(line_km).all():
        return Ratios(none, none)
    day = np.floor(at_s / _DAY_S).astype(np.int64)
    day = day - day.min()
    far = (line_km > _FAR_KM) & np.isfinite(line_km) & ~steady & ~np.isnan(night)
    dark, all_ = (
        np.concatenate([[0.0], np.cumsum(np.bincount(day[far], weight, minlength=int(day.max()) + 1))])
        for weight in (night[far], None)
    )

    def share(first: Ints, last: Ints) -> Floats:
        low, high = (np.clip(v, 0, len(all_) - 1) for v in (first, last + 1))
        found = dark[high] - dark[low] + _HOUR_DOUBT * _OTHERS_BY_NIGHT
        return np.asarray(found / (all_[high] - all_[low] + _HOUR_DOUBT))

    around, before = share(day - _HOUR_DAYS, day + _HOUR_DAYS), share(day - 2 * _HOUR_DAYS, day - 1)
    return Ratios(*(_hour(night, _CONFLICT_BY_NIGHT, others) for others in (around, before)))


def heat(background: Background, lon: Floats, lat: Floats, night: Floats | None) -> Floats:
    """The baseline's steady heat on each detection's spot, as fires per cell and day if its whole cell were as hot."""
    spots_per_cell = 100.0
    spot = background.spot_keys(lon, lat)
    if not len(background.warm):
        return np.zeros(len(lon))
    found = np.minimum(np.searchsorted(background.warm, spot), len(background.warm) - 1)
    each = np.where(background.warm[found] == spot, background.heat[found], 0.0)
    each *= spots_per_cell / background.pixels_per_fire
    return each if night is None else each * _by_night(night)


def reported(reports: Reports | None, grid: Grid, lon: Floats, lat: Floats, at_s: Floats) -> Ratios:
    """A report of shelling near by, or none, against chance at that place."""
    both = Ratios(np.ones(len(lon)), np.ones(len(lon)))
    if reports is None or not len(reports.day):
        return both
    day = np.floor(at_s / _DAY_S).astype(np.int64)
    asked = Marks(*grid.spots(lon, lat), day)
    been = Marks(*grid.spots(reports.lon, reports.lat), reports.day)
    up = round(_REPORT_M / 1112.0)
    across = round(up * grid.steps_per_km[1] / grid.steps_per_km[0])
    near, far = _CHANCE_DAYS
    within, past, earlier, later = occupied(
        asked, been, up, across, ((-_REPORT_DAYS, _REPORT_DAYS), (-_REPORT_DAYS, -1), (-far, -near), (near, far))
    )
    open_days = (day > reports.day.min()) & (day < reports.day.max())
    span = far - near + 1
    for ratio, hits, days, others, of in (
        (both[0], within, 2 * _REPORT_DAYS + 1, earlier + later, 2 * span),
        (both[1], past, _REPORT_DAYS, earlier, span),
    ):
        chance = 1.0 - (1.0 - (others + 0.5) / (of + 1.0)) ** days
        told = _REPORTED * days / (2 * _REPORT_DAYS + 1)
        ratio[:] = np.where(hits > 0, (told + (1.0 - told) * chance) / chance, 1.0 - told)
        ratio[~open_days] = 1.0
    return both
