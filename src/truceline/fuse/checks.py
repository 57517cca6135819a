"""Whether the fire model holds where no truth is needed: peaceful years, and sums against the excess over background.

Three questions, each put season by season:

- a peaceful year, left out of its own baseline, with the mission's line laid over it: how many of its fires are
  called the conflict's, within 10 km of that line and outside the places at war then?
- the mission's own time: do the probabilities, by distance from the line, add up to what burnt beyond the background?
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from truceline.frame import Frame
from truceline.fuse.activity import ASSUMED, Assumed
from truceline.fuse.background import Background, calendar_years, fires_of, seasons
from truceline.fuse.causes import Judged, Lines, dated_km, dated_lines, judge
from truceline.fuse.signs import Reports

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from truceline.line import Line

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: What the model must keep to in a peaceful year (issue 3): called the conflict's near a laid line, and elsewhere.
MOST_NEAR, MOST_OUTSIDE = 0.05, 0.02
NEAR_KM = 10.0
#: Distance bands, km; the last one is open.
BANDS_KM = (0.0, 5.0, 10.0, 20.0, 30.0, 60.0, 100.0)
#: Where the background's strength of a month is taken from: far enough to be peaceful, near enough to be alike.
BESIDE_KM = (30.0, 150.0)
SEASONS: dict[str, tuple[int, ...]] = {
    "the year": tuple(range(1, 13)),
    "December to February": (12, 1, 2),
    "March and April": (3, 4),
    "May and June": (5, 6),
    "July and August": (7, 8),
    "September to November": (9, 10, 11),
}
_DAY_S = 86_400.0


class Detections(NamedTuple):
    """Satellite fires as the checks take them."""

    lon: Floats
    lat: Floats
    at_s: Floats  # since 1970; midnight where only the day is known
    night: Floats | None = None  # as `causes.judge` takes it

    @property
    def day(self) -> Ints:
        """Days since 1970."""
        return np.floor(self.at_s / _DAY_S).astype(np.int64)

    def of(self, rows: npt.NDArray[Any]) -> "Detections":
        """Some of them."""
        return Detections(
            self.lon[rows], self.lat[rows], self.at_s[rows], None if self.night is None else self.night[rows]
        )


def aggregate(
    baseline: Detections,
    line: "Line",
    frame: Frame,
    *,
    years: Sequence[int] = (),
    exclude: "Sequence[BaseGeometry]" = (),
    seen: Detections | None = None,
    reports: Reports | None = None,
    assumed: Assumed = ASSUMED,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """All checks of a mission, ready for JSON; `sentences` says in words what they found.

    Parameters
    ----------
    baseline
        The mission's peaceful past, all of it; day precision is enough.
    line
        The mission's. Over a peaceful year lie its lines of the same days of the year that has most of them.
    years
        Of the baseline; none given: all there are. Each is judged against the others.
    exclude
        Places at war then, degrees.
    seen
        The mission's own hotspots; None leaves `bands` out.
    tell
        Called with how many of how many looks are done: one a year of the baseline, and one at the mission's own time.

    Returns
    -------
    dict
        `peace`: a row a year and season. `bands`: a row a season and band. `held`: whether the bounds hold in every
        year. `sentences`: list of str.
    """
    known = np.isfinite(baseline.lon + baseline.lat + baseline.at_s)
    if years:
        known &= np.isin(calendar_years(np.where(known, baseline.day, 0)), list(years))
    baseline = baseline.of(known)
    year = calendar_years(baseline.day)
    peace: list[dict[str, Any]] = []
    all_years = np.unique(year).tolist()
    for done, one in enumerate(all_years):
        tell(done, len(all_years) + 1)
        others, mine = baseline.of(year != one), baseline.of(year == one)
        learned = Background.learn(others.lon, others.lat, others.day, exclude=exclude)
        if learned is None:
            continue
        laid = laid_over(line, frame, learned, one)
        judged = judge(learned, *mine[:3], lines=laid, night=mine.night, assumed=assumed)
        peace += [{"year": one, **row} for row in peaceful(mine, judged, laid, exclude)]
    tell(len(all_years), len(all_years) + 1)
    bands: list[dict[str, Any]] = []
    if seen is not None and len(seen.lon):
        learned = Background.learn(baseline.lon, baseline.lat, baseline.day, exclude=exclude)
        if learned is not None:
            now = distances(line, frame, learned)
            judged = judge(learned, *seen[:3], lines=now, night=seen.night, reports=reports, assumed=assumed)
            bands = against_excess(seen, judged, learned, now)
    whole = [row for row in peace if row["season"] == "the year"]
    held = bool(whole) and all(
        (row["near"] or 0.0) <= MOST_NEAR and (row["outside"] or 0.0) <= MOST_OUTSIDE for row in whole
    )
    return {"peace": peace, "bands": bands, "held": held, "sentences": _sentences(whole, bands)}


def peaceful(
    fires: Detections, judged: Judged, laid: Lines, exclude: "Sequence[BaseGeometry]" = ()
) -> list[dict[str, Any]]:
    """A row a season: the share called the conflict's (p >= 0.5), settled and online, near a laid line and outside
    the places at war; None where there are no detections."""
    near = dated_km(laid, fires.lon, fires.lat, fires.at_s) < NEAR_KM
    outside = ~_within(fires, exclude)
    month = _months(fires.day)
    rows = []
    for season, months in SEASONS.items():
        use = np.isin(month, months)
        row: dict[str, Any] = {"season": season}
        for name, where in (("near", near), ("outside", outside)):
            here = use & where
            row |= {
                f"{name}_detections": int(here.sum()),
                name: _mean(judged.settled >= 0.5, here),
                f"{name}_online": _mean(judged.online >= 0.5, here),
                f"{name}_mean_p": _mean(judged.settled, here),
            }
        rows.append(row)
    return rows


def against_excess(fires: Detections, judged: Judged, background: Background, now: Lines) -> list[dict[str, Any]]:
    """A row a season and band of distance: mean probability of fires, and the share that burnt beyond the background.

    Fires are counted, not pixels, and without the steady heat that the baseline knows. The background expected is the
    season's, times what the country `BESIDE_KM` from the line had that month against its own.
    """
    steady = np.isin(background.spot_keys(fires.lon, fires.lat), background.steady)
    new = np.zeros(len(fires.lon))
    inside = ~steady & (background.grid.cells(fires.lon, fires.lat)[0] >= 0)
    new[inside], _ = fires_of(background.grid, fires.lon[inside], fires.lat[inside], fires.at_s[inside])
    km = dated_km(now, fires.lon, fires.lat, fires.at_s)
    month = _months(fires.day)
    beside = (km >= BESIDE_KM[0]) & (km < BESIDE_KM[1])
    due, due_beside = _due(fires.day, background, now)
    burnt_beside = np.bincount(month - 1, new * beside, minlength=12)
    expected = due * (burnt_beside / np.maximum(due_beside, 1e-9))[:, None]
    band = np.digitize(km, BANDS_KM[1:])
    rows = []
    for season, months in SEASONS.items():
        for b, begin in enumerate(BANDS_KM):
            here = np.isin(month, months) & (band == b) & np.isfinite(km)
            fires_here = float(new[here].sum())
            background_here = float(expected[np.array(months) - 1, b].sum())
            rows.append(
                {
                    "season": season,
                    "from_km": begin,
                    "to_km": BANDS_KM[b + 1] if b + 1 < len(BANDS_KM) else None,
                    "detections": int(here.sum()),
                    "fires": fires_here,
                    "background": background_here,
                    "excess": 1.0 - background_here / fires_here if fires_here > 0 else None,
                    "mean_p": _mean(judged.settled, here, new),
                    "mean_p_online": _mean(judged.online, here, new),
                }
            )
    return rows


def distances(line: "Line", frame: Frame, background: Background) -> Lines:
    """The distances of the background's cells from the mission's lines."""
    return dated_lines(background.grid, line, frame)


def laid_over(line: "Line", frame: Frame, background: Background, year: int) -> Lines:
    """The lines of the year that has most of them, laid over another year; the first holds from New Year."""
    of = [dated.day.year for dated in line.lines]
    busiest = max(sorted(set(of)), key=of.count)
    first, moved = _day(f"{year}-01-01"), _day(f"{busiest}-01-01")
    chosen = [i for i, y in enumerate(of) if y == busiest]
    days = [_day(line.lines[i].day) - moved + first for i in chosen]
    days[0] = first
    return dated_lines(background.grid, line, frame, dict(zip(chosen, days, strict=True)))


def _day(date: Any) -> int:
    return int(np.datetime64(date, "D").astype(np.int64))


def _due(day: Ints, background: Background, now: Lines) -> tuple[Floats, Floats]:
    """Background fires of the season by month and band, and by month beside the line, on days with any detection."""
    out, beside = np.zeros((12, len(BANDS_KM))), np.zeros(12)
    covered = background.covered.ravel()
    for one in np.unique(day):
        version = int(np.searchsorted(now.day, one, side="right")) - 1
        if version < 0:
            continue
        km = now.km[version].ravel()
        moment = np.array([one])
        month = int(_months(moment)[0]) - 1
        rate = background.rate[seasons(moment)[0]].ravel() * covered * np.isfinite(km)
        out[month] += np.bincount(np.digitize(km, BANDS_KM[1:]), rate, minlength=len(BANDS_KM))
        beside[month] += rate[(km >= BESIDE_KM[0]) & (km < BESIDE_KM[1])].sum()
    return out, beside


def _months(day: Ints) -> Ints:
    return np.asarray(day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12 + 1)


def _within(fires: Detections, shapes: "Sequence[BaseGeometry]") -> Bools:
    out = np.zeros(len(fires.lon), np.bool_)
    if shapes:
        import shapely

        for shape in shapes:
            out |= shapely.contains_xy(shape, fires.lon, fires.lat)
    return out


def _mean(values: npt.NDArray[Any], rows: Bools, weight: Floats | None = None) -> float | None:
    of = np.ones(len(values)) if weight is None else weight
    known = rows & np.isfinite(values.astype(np.float64))
    total = float(of[known].sum())
    return float((values[known] * of[known]).sum()) / total if total > 0 else None


def _sentences(whole: Sequence[dict[str, Any]], bands: Sequence[dict[str, Any]]) -> list[str]:
    said = []
    for row in whole:
        near, outside = (_percent(row[name]) for name in ("near", "outside"))
        said.append(
            f"{row['year']}, a peaceful year left out of its own baseline: of {row['near_detections']:,} detections "
            f"within {NEAR_KM:.0f} km of the line laid over it {near} are called the conflict's (at most "
            f"{_percent(MOST_NEAR)}), of {row['outside_detections']:,} outside the places at war {outside} (at most "
            f"{_percent(MOST_OUTSIDE)})."
        )
    for row in bands:
        if row["season"] == "the year" and row["fires"] > 0:
            to = "further" if row["to_km"] is None else f"{row['to_km']:.0f} km"
            said.append(
                f"{row['from_km']:.0f} km to {to} from the line: mean probability {row['mean_p']:.2f}, online "
                f"{row['mean_p_online']:.2f}; {row['excess']:.2f} of {row['fires']:,.0f} fires beyond the background."
            )
    return said


def _percent(share: float | None) -> str:
    return "none of none" if share is None else f"{100.0 * share:.1f} %"
