"""The figure of the year: a map of fires by cell, the conflict's against all others, and a calendar of the same."""

from collections.abc import Sequence
from datetime import date
from html import escape
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from msgspec import Struct

from truceline.frame import Frame
from truceline.places import VIEWPOINT, Gazetteer
from truceline.report import svg
from truceline.report.labels import Labels
from truceline.report.model import Map
from truceline.report.saying import number
from truceline.report.svg import FIRE, FONT, HEIGHT, INK, SHADES, WIDTH

Floats = npt.NDArray[np.float64]

CONFLICT = SHADES[2][1]
#: Sides of the map's cells, km, the smallest that is drawn at least so wide.
CELLS_KM, LEAST_WIDE = (1, 2, 5, 10, 20, 50), 10.0
#: Fires of a cell that fill it: so many of the cells' numbers are smaller.
FULL = 0.98
#: Radii are drawn in so many steps, each one path.
STEPS = 12
#: Cells with fewer expected fires are no more than a grain, and are left to the sums.
LEAST = 0.1
#: Height of the calendar, above and below its axis, and of what stands round it.
TOP, UP, DOWN, FOOT = 62.0, 120.0, 120.0, 26.0
LEFT = 46.0
SEASON = f'stroke="{INK}" stroke-width="1.2" stroke-opacity="0.75"'


class Day(Struct, frozen=True):
    """One day's fires."""

    day: date
    fires: int
    conflict: float  # expected
    usual: float | None  # other fires, had they followed the season


class Burning(NamedTuple):
    """Fires: where, and how likely the conflict's."""

    lon: Floats
    lat: Floats
    p: Floats


def draw(
    frame: Frame,
    fires: Burning,
    days: Sequence[Day],
    lines: Sequence[dict[str, Any]],
    gazetteer: Gazetteer,
    year: int,
) -> Map:
    """Map above, calendar below."""
    newest = svg.local(frame, shapely.from_wkb(lines[-1]["geometry"])) if lines else None
    view = svg.view_of(frame, newest, []) if newest is not None else _view_of_fires(frame, fires)
    labels = Labels(WIDTH, HEIGHT)
    corner = svg.north_and_scale(frame, view, labels)
    cells = _cells(frame, view, fires)
    words = [f'<g clip-path="url(#frame)">{svg.ground(frame, view)}']
    words.append(_dots(cells.x, cells.y, cells.other, cells, FIRE, 0.45))
    words.append(_dots(cells.x, cells.y, cells.conflict, cells, CONFLICT, 0.85))
    if newest is not None:
        first = svg.local(frame, shapely.from_wkb(lines[0]["geometry"]))
        if len(lines) > 1:
            words.append(_first_line(view, first))
        words.append(svg.contact_line(view, newest))
    words.append("".join(svg.names(frame, view, gazetteer, [], labels)))
    words.append("".join(svg.regions(frame, view, newest, gazetteer, labels)))
    words.append(corner + "</g>")
    words.append(f'<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="none" stroke="{INK}" stroke-width="1"/>')
    words.append(_legend(cells.full, cells.radius, [row["date"] for row in lines]))
    words.append(f'<g transform="translate(0 {HEIGHT + TOP:g})">{_calendar(days)}</g>')
    high = HEIGHT + TOP + UP + DOWN + FOOT
    described = f"Map and calendar of the fires of {year}: the conflict's and all others"
    body = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {high:g}" role="img" '
        f'aria-label="{escape(described)}" font-family="{escape(FONT)}"><title>{escape(described)}</title>'
        f'<defs><clipPath id="frame"><rect width="{WIDTH:g}" height="{HEIGHT:g}"/></clipPath></defs>'
        f"{''.join(words)}</svg>"
    )
    beyond = f" {number(cells.outside)} fires lie outside the map." if cells.outside else ""
    caption = (
        f"Expected numbers of fires by cells of {cells.km} km, and by day (square-root scale).{beyond} {VIEWPOINT}"
    )
    return Map(body, caption, len(fires.p), len(labels.placed))


class _Cells(NamedTuple):
    x: Floats
    y: Floats
    conflict: Floats  # expected fires of each cell
    other: Floats
    full: float  # how many fill a cell
    radius: float  # of a full cell
    km: int  # their side
    outside: int


def _view_of_fires(frame: Frame, fires: Burning) -> svg.View:
    """Without a line: the middle nine tenths of the fires."""
    known = np.isfinite(fires.lon + fires.lat)
    east, north = frame.to_local(fires.lon[known], fires.lat[known])
    if not len(east):
        return svg.view_of(frame, None, [])
    west, south, east_, north_ = (float(np.quantile(v, q)) for q in (0.05, 0.95) for v in (east, north))
    return svg.view_of(frame, shapely.box(west, south, east_, north_), [])


def _cells(frame: Frame, view: svg.View, fires: Burning) -> _Cells:
    """Sums of probabilities by cell."""
    x, y = view.xy(*frame.to_local(fires.lon, fires.lat))
    inside = (x >= 0) & (x <= WIDTH) & (y >= 0) & (y <= HEIGHT)
    km = next((km for km in CELLS_KM if km * 1000 / view.metres >= LEAST_WIDE), CELLS_KM[-1])
    side = km * 1000 / view.metres
    columns = int(WIDTH // side) + 1
    cell = np.floor(y[inside] / side).astype(np.int64) * columns + np.floor(x[inside] / side).astype(np.int64)
    seen, code = np.unique(cell, return_inverse=True)
    conflict, other = (
        np.asarray(np.bincount(code, p, len(seen)), np.float64) for p in (fires.p[inside], 1.0 - fires.p[inside])
    )
    middle_x, middle_y = (np.asarray((of + 0.5) * side, np.float64) for of in (seen % columns, seen // columns))
    larger = np.maximum(conflict, other)
    full = max(float(np.quantile(larger, FULL)) if len(larger) else 1.0, 4.0)
    return _Cells(middle_x, middle_y, conflict, other, full, 0.6 * side, km, int((~inside).sum()))


def _dots(x: Floats, y: Floats, expected: Floats, cells: _Cells, colour: str, opacity: float) -> str:
    """Dots whose area is the expected number; those of one step of size are one path of round points."""
    step = np.ceil(STEPS * np.sqrt(np.minimum(expected / cells.full, 1.0))).astype(np.int64)
    step[expected < LEAST] = 0
    drawn = []
    for size in range(1, STEPS + 1):
        mine = np.flatnonzero(step == size)
        if len(mine):
            data = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x[mine], y[mine], strict=True))
            drawn.append(f'<path d="{data}" stroke-width="{2 * cells.radius * size / STEPS:.2f}"/>')
    return f'<g fill="none" stroke="{colour}" stroke-opacity="{opacity:g}" stroke-linecap="round">{"".join(drawn)}</g>'


def _first_line(view: svg.View, line: Any) -> str:
    data = svg.path_data(view, line)
    return (
        f'<path d="{data}" fill="none" stroke="{INK}" stroke-width="1.1" stroke-dasharray="5 3" stroke-opacity="0.7"/>'
    )


def _legend(full: float, radius: float, dates: Sequence[str]) -> str:
    """Colours, sizes and lines, in one row under the map."""
    drawn, x, y = [], 8.0, HEIGHT + 24

    def entry(sign: str, words: str, wide: float) -> None:
        nonlocal x
        label = f'<text x="{wide + 5:.1f}" y="4.5" font-size="12.5" fill="{INK}">{escape(words)}</text>'
        drawn.append(f'<g transform="translate({x:.1f} {y:.1f})">{sign}{label}</g>')
        x += wide + 5 + 6.3 * len(words) + 20

    for colour, opacity, words in ((CONFLICT, 0.85, "the conflict's, expected"), (FIRE, 0.45, "others, expected")):
        entry(f'<circle cx="7" r="6" fill="{colour}" fill-opacity="{opacity}"/>', words, 14)
    for fires in (1.0, full / 4, full):
        size = radius * np.sqrt(fires / full)
        entry(
            f'<circle cx="{size:.1f}" r="{size:.1f}" fill="none" stroke="{INK}"/>',
            f"{fires:,.0f}" + (" or more" if fires == full else ""),
            2 * size,
        )
    if dates:
        entry(f'<path d="M0 0H20" stroke="{INK}" stroke-width="2"/>', f"line of contact, {dates[-1]}", 20)
    if len(dates) > 1:
        dashed = f'<path d="M0 0H20" stroke="{INK}" stroke-width="1.1" stroke-dasharray="5 3"/>'
        entry(dashed, f"on {dates[0]}", 20)
    return "".join(drawn)


def _calendar(days: Sequence[Day]) -> str:
    """A bar a day: the conflict's fires up, the others down; roots of numbers, so that quiet days are seen too."""
    conflict = np.array([day.conflict for day in days])
    other = np.array([day.fires for day in days]) - conflict
    usual = np.array([0.0 if day.usual is None else day.usual for day in days])
    wide = (WIDTH - LEFT - 8.0) / len(days)
    most = max(conflict.max(), other.max(), usual.max(), 4.0)
    high = UP / np.sqrt(most)
    x = np.asarray(LEFT + wide * np.arange(len(days)), np.float64)

    def bars(values: Floats, sign: float, colour: str, opacity: float) -> str:
        data = "".join(
            f"M{a:.1f} {UP:.1f}v{sign * high * np.sqrt(v):.1f}"
            for a, v in zip(x + wide / 2, values, strict=True)
            if v > 0.02
        )
        style = f'fill="none" stroke="{colour}" stroke-opacity="{opacity:g}" stroke-width="{0.9 * wide:.2f}"'
        return f'<path d="{data}" {style}/>'

    drawn = [_grid(most, high, days, x)]
    drawn.append(bars(conflict, -1.0, CONFLICT, 0.9))
    drawn.append(bars(np.maximum(other, 0.0), 1.0, FIRE, 0.6))
    told = np.flatnonzero(usual > 0.0)
    if len(told):
        points = "L".join(f"{x[i] + wide / 2:.1f} {UP + high * np.sqrt(usual[i]):.1f}" for i in told)
        drawn.append(f'<path d="M{points}" fill="none" {SEASON}/>')
    drawn.append(_unseen(days, x, wide))
    drawn.append(f'<path d="M{LEFT:g} {UP:g}H{WIDTH - 8:g}" stroke="{INK}" stroke-width="0.8"/>')
    return "".join(drawn)


def _grid(most: float, high: float, days: Sequence[Day], x: Floats) -> str:
    """Numbers up and down, months along, and what is what."""
    drawn = []
    ticks = [n for n in (1, 5, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000) if n <= most]
    kept: list[int] = []
    for n in reversed(ticks):
        if not kept or high * (np.sqrt(kept[-1]) - np.sqrt(n)) > 22:
            kept.append(n)
    for n in kept:
        for sign in (-1, 1):
            y = UP + sign * high * np.sqrt(n)
            drawn.append(
                f'<path d="M{LEFT:g} {y:.1f}H{WIDTH - 8:g}" stroke="#c9cdd0" stroke-width="0.6"/>'
                f'<text x="{LEFT - 6:g}" y="{y + 4:.1f}" font-size="11" fill="{INK}" text-anchor="end">{n:,}</text>'
            )
    for i, day in enumerate(days):
        if day.day.day == 1:
            drawn.append(
                f'<path d="M{x[i]:.1f} 0V{UP + DOWN:g}" stroke="#c9cdd0" stroke-width="0.6"/>'
                f'<text x="{x[i] + 4:.1f}" y="{UP + DOWN + 16:g}" font-size="11.5" fill="{INK}">{day.day:%b}</text>'
            )
    said = [
        ("the conflict's fires a day, expected", -8.0, CONFLICT),
        ("other fires a day, expected", UP + DOWN - 6, FIRE),
    ]
    for words, y, colour in said:
        drawn.append(svg.text(words, LEFT + 6, y, 12.0, colour, bold=True))
    if any(day.usual is not None for day in days):
        drawn.append(f'<path d="M{WIDTH - 330:g} {UP + DOWN - 10:g}h22" {SEASON}/>')
        said_of_it = "as the peaceful years' season has it, scaled"
        drawn.append(svg.text(said_of_it, WIDTH - 302, UP + DOWN - 6, 12.0, INK))
    return "".join(drawn)


def _unseen(days: Sequence[Day], x: Floats, wide: float) -> str:
    """Ticks on the axis where nothing at all was seen between the first fire and the last."""
    burning = [i for i, day in enumerate(days) if day.fires]
    dark = [i for i in range(burning[0], burning[-1] + 1) if not days[i].fires]
    data = "".join(f"M{x[i]:.1f} {UP:g}h{wide:.1f}" for i in dark)
    return f'<path d="{data}" fill="none" stroke="#ffffff" stroke-width="5"/>' if dark else ""
