"""The year's fires: what burnt, day by day and cell by cell, and how much of it by all likelihood for the conflict.

One model, written as a page (HTML) and as data (JSON). The same edition gives the same bytes.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from truceline import places
from truceline.errors import TrucelineError
from truceline.mission import Mission
from truceline.observation import term, to_numpy
from truceline.places import Gazetteer
from truceline.report import saying, year_svg
from truceline.report.document import Document, Section
from truceline.report.html import html
from truceline.report.model import Map, Provenance
from truceline.report.tables import Table
from truceline.report.year_svg import Burning, Day

Floats = npt.NDArray[np.float64]

#: Periods of the season that a background gives, five days each; the last takes the 366th day.
_PERIOD_DAYS = 5
#: Regions with fewer fires stand together.
_FEWEST = 5
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip


class Part(Struct, frozen=True):
    """A month's or a region's fires."""

    name: str
    fires: int
    conflict: float  # the expected number the conflict caused: the sum of their probabilities
    online: float  # the same as it could be said at the time
    season: float | None = None  # other fires, had they followed the season of the peaceful years


class Year(Struct, frozen=True):
    """The fires of a year."""

    schema: int
    mission: str
    year: int
    zone: str
    release: str
    exercise: bool
    provenance: Provenance
    models: list[str]
    learned: str  # what the background was learned from; "" without one
    whole: Part
    likely: int  # more likely than not the conflict's
    unseen: int  # days between the first and the last fire on which none was seen
    days: list[Day]
    months: list[Part]
    regions: list[Part]
    line_dates: list[str]
    attributions: list[str]
    map: Map


def build(
    mission: Mission,
    year: int,
    picture: Mapping[str, pa.Table],
    provenance: Provenance,
    gazetteer: Gazetteer,
    *,
    season: Sequence[float] | None = None,
    learned: str = "",
) -> Year:
    """The fires of a year.

    Parameters
    ----------
    picture
        An edition's `events` and `line`.
    season
        How the fires of the peaceful years spread over the year, a number for each five days; None without a baseline.
    learned
        What that was learned from, in words.

    Raises
    ------
    TrucelineError
        When the edition holds no fire of that year.
    """
    rows, day = _of_the_year(mission, year, picture["events"])
    if not rows.num_rows:
        raise TrucelineError(f"edition {provenance.edition} has no fires of {year}")
    p, online = (np.nan_to_num(to_numpy(rows[name]).astype(np.float64)) for name in ("p_conflict", "p_conflict_online"))
    lon, lat = to_numpy(rows["lon"]), to_numpy(rows["lat"])
    length = 366 if date(year, 12, 31).timetuple().tm_yday == 366 else 365
    fires, conflict, then = (
        np.asarray(np.bincount(day, of, length), np.float64) for of in (np.ones(len(p)), p, online)
    )
    usual = _usual(season, fires, conflict, length)
    days = [
        Day(date(year, 1, 1) + timedelta(i), int(fires[i]), _n(conflict[i]), None if usual is None else _n(usual[i]))
        for i in range(length)
    ]
    month = np.array([one.day.month - 1 for one in days])
    lines = [row for row in picture["line"].to_pylist() if row["date"] <= f"{year}-12-31"]
    before = [row for row in lines if row["date"] < f"{year}-01-01"][-1:]
    lines = [*before, *(row for row in lines if row["date"] >= f"{year}-01-01")]
    owed = [source.licence for source in mission.source] + [mission.line.licence if mission.line else None]
    return Year(
        schema=1,
        mission=mission.name,
        year=year,
        zone=mission.report_day.zone,
        release="mission",
        exercise=mission.exercise,
        provenance=provenance,
        models=sorted({name for name in rows["p_conflict_model"].to_pylist() if name}),
        learned=learned,
        whole=Part(str(year), rows.num_rows, _n(p.sum()), _n(online.sum())),
        likely=int((p >= saying.LIKELY).sum()),
        unseen=int((fires[day.min() : day.max() + 1] == 0).sum()),
        days=days,
        months=[_month(i, month, fires, conflict, then, usual) for i in range(12)],
        regions=_regions(gazetteer.regions(lon, lat), p, online),
        line_dates=[row["date"] for row in lines],
        attributions=[
            *dict.fromkeys(text.rstrip(".") for text in owed if text),
            places.ATTRIBUTION.rstrip("."),
        ],
        map=year_svg.draw(mission.frame(), Burning(lon, lat, p), days, lines, gazetteer, year),
    )


def _of_the_year(mission: Mission, year: int, events: pa.Table) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """The fires of the calendar year in the mission's zone, by id, and the day of the year of each, from 0."""
    words = [what for what in pc.unique(events["what"]).to_pylist() if term(what).family == "fire"]
    fires = events.filter(pc.is_in(events["what"], value_set=pa.array(words, pa.string())))
    fires = fires.filter(pc.is_valid(fires["at"])).sort_by("event_id")
    local = pc.local_timestamp(fires["at"].cast(pa.timestamp("us", mission.report_day.zone)))
    mine = pc.equal(pc.year(local), year)
    return fires.filter(mine), pc.subtract(pc.day_of_year(local.filter(mine)), 1).to_numpy()


def _usual(season: Sequence[float] | None, fires: Floats, conflict: Floats, length: int) -> Floats | None:
    """Other fires by day, had they followed the peaceful years' season: as many in all, on the days of the picture."""
    if season is None:
        return None
    burning = np.flatnonzero(fires)
    within = (np.arange(length) >= burning[0]) & (np.arange(length) <= burning[-1])
    shape = np.array(season)[np.minimum(np.arange(length) // _PERIOD_DAYS, len(season) - 1)] * within
    return np.asarray(shape * ((fires - conflict).sum() / max(shape.sum(), 1e-12)))


def _month(
    i: int, month: npt.NDArray[np.int64], fires: Floats, conflict: Floats, then: Floats, usual: Floats | None
) -> Part:
    mine = month == i
    expected = None if usual is None else _n(usual[mine].sum())
    return Part(MONTHS[i], int(fires[mine].sum()), _n(conflict[mine].sum()), _n(then[mine].sum()), expected)


def _regions(names: Sequence[str], p: Floats, online: Floats) -> list[Part]:
    """Those with most of the conflict's fires first; small ones together at the end."""
    known, code = np.unique(np.array(names, object).astype(str), return_inverse=True)
    parts = [
        Part(name, int((code == i).sum()), _n(p[code == i].sum()), _n(online[code == i].sum()))
        for i, name in enumerate(known.tolist())
    ]
    large = sorted((q for q in parts if q.fires >= _FEWEST), key=lambda q: (-q.conflict, -q.fires, q.name))
    small = [q for q in parts if q.fires < _FEWEST]
    if small:
        sums = (sum(q.fires for q in small), _n(sum(q.conflict for q in small)), _n(sum(q.online for q in small)))
        large.append(Part("elsewhere", *sums))
    return large


def _n(value: float) -> float:
    """An expected number as it is kept: float noise never reaches a page."""
    return round(float(value), 3) + 0.0


# ---- the page ------------------------------------------------------------------------------------------------------


def document(year: Year) -> Document:
    """The page's words and numbers."""
    made = year.provenance
    banners = [("exercise", "EXERCISE. Everything on this page is invented.")] if year.exercise else []
    return Document(
        title=f"Fires of {year.year}",
        mission=year.mission,
        release=year.release,
        facts=[
            ("Calendar year", f"{year.year}, days of {year.zone}"),
            ("Model", "; ".join(year.models) or "none"),
            ("Background", year.learned or "none: no baseline"),
            ("Edition, release", f"{made.edition}, for the {year.release} alone"),
        ],
        banners=banners,
        sections=[
            Section("summary", "Summary", bullets=_summary(year)),
            Section("figure", "Where and when", figure=True),
            Section("months", "By month", tables=[_by_month(year)]),
            Section("regions", "By region", tables=[_by_region(year)]),
            Section("method", "How to read this page", paragraphs=_method(year)),
        ],
        footer=[
            f"Drawn from edition {made.edition}. Picture SHA-256 {made.digest}. Journal head {made.journal_head}. "
            f"Truceline {made.code_version}.",
            "Sources and licences: " + "; ".join(year.attributions) + ".",
        ],
    )


def _summary(year: Year) -> list[str]:
    whole = year.whole
    said = [
        f"{saying.plural(whole.fires, 'fire')}; {saying.number(round(whole.conflict))} of them expected to be the "
        f"conflict's ({_percent(whole.conflict, whole.fires)}), {saying.number(year.likely)} more likely than not. "
        "Uncalibrated: not compared with truth.",
        f"As it could be said on the day each was seen: {saying.number(round(whole.online))}.",
    ]
    months = [part for part in year.months if part.fires]
    if len(months) > 1:
        most = max(months, key=lambda part: part.conflict)
        said.append(f"Most of the conflict's fires in {most.name}: {saying.number(round(most.conflict))} expected.")
    if year.unseen:
        said.append(
            f"On {saying.plural(year.unseen, 'day')} between the first and the last fire none was seen: cloud, or no "
            "data; not none burning."
        )
    if not year.learned:
        said.append(
            "There is no baseline: what burns without the conflict is not known, and every fire is taken alike."
        )
    return said


def _by_month(year: Year) -> Table:
    rows = [
        [part.name, saying.number(part.fires), *_numbers(part), "—" if part.season is None else _whole(part.season)]
        for part in year.months
    ]
    return Table(
        id="by-month",
        caption="Expected numbers: sums of probabilities.",
        columns=["Month", "Fires", "The conflict's", "Share", "As said at the time", "Other", "Other, by the season"],
        rows=rows,
        note="Other, by the season: the year's other fires spread as those of the peaceful years were.",
        numeric=(1, 2, 3, 4, 5, 6),
    )


def _by_region(year: Year) -> Table:
    return Table(
        id="by-region",
        caption="Regions are those of the nearest settlement.",
        columns=["Region", "Fires", "The conflict's", "Share", "As said at the time", "Other"],
        rows=[[part.name, saying.number(part.fires), *_numbers(part)] for part in year.regions],
        numeric=(1, 2, 3, 4, 5),
    )


def _numbers(part: Part) -> list[str]:
    share = _percent(part.conflict, part.fires) if part.fires else "—"
    return [_whole(part.conflict), share, _whole(part.online), _whole(part.fires - part.conflict)]


def _whole(value: float) -> str:
    return saying.number(round(value))


def _percent(part: float, whole: int) -> str:
    return f"{100 * part / whole:.0f} %"


def _method(year: Year) -> list[str]:
    return [
        "A fire is what one overpass of a satellite saw burning in one place, or what people reported as one; a fire "
        "seen on three passes counts three times. Why it burns cannot be seen: each has a probability that the "
        "conflict caused it, and expected numbers are sums of these. No rule counts them as violations.",
        "The probability comes from what burns there at that time of a peaceful year, from how far the line is, and "
        "from what burnt round it before and after. Settled uses the whole edition; as said at the time, only what "
        "was known when it was seen. docs/fires.md has the formulas, and what the model cannot see.",
        "Who caused a fire is not said, and cannot be from this.",
    ]


def write(year: Year, folder: Path) -> list[Path]:
    """Write the page and its data into `folder`, each whole or not at all; their paths."""
    data = msgspec.structs.replace(year, map=msgspec.structs.replace(year.map, svg=""))
    made = {
        "fires.html": html(document(year), year.map).encode(),
        "fires.json": msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        part = folder / f"{name}.part"
        part.write_bytes(content)
        part.replace(folder / name)
    return [folder / name for name in made]
