"""A picture of a score: where truth and tracks were, what was missed, false or switched, and GOSPA over time.

Our own SVG, no libraries. Lines are thinned to what can be seen; the marks are drawn where the instants are.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from truceline.errors import SourceError, TrucelineError
from truceline.frame import Frame
from truceline.score import Score, by_object, partners
from truceline.score.matching import Matched, Paths

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WIDTH, MAP_HEIGHT, TIME_HEIGHT, LEGEND = 1000.0, 620.0, 190.0, 46.0
MARGIN = 44.0
INK, PAPER, GROUND, GRID = "#1d2327", "#ffffff", "#f8f6f1", "#d8d2c4"
#: Told apart by the colour-blind (Okabe and Ito) and in grey: misses hollow, false ones crosses, switches diamonds.
TRUTH, TRACK, MISSED, FALSE, SWITCH = "#8a8f94", "#0072b2", "#d55e00", "#cc79a7", "#e0a000"
FONT = "system-ui, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', 'Libertinus Serif', sans-serif"
#: More marks of a kind than this hide each other; an even share of them is drawn, and the caption says so.
MOST_MARKS = 4_000
#: Points of lines drawn at most, after thinning to a third of a unit.
_THIN = 0.33


def write(path: Path, found: Matched, score: Score, title: str) -> None:
    """The picture as .svg, .html or .png (the last needs the extra `pdf`).

    Raises
    ------
    SourceError
        For another ending, or a folder that cannot be written to.
    TrucelineError
        For .png without the extra `pdf`.
    """
    kind = path.suffix.lower()
    if kind not in (".svg", ".html", ".png"):
        raise SourceError(f"{path}: a plot is written as .svg, .html or .png")
    body = svg(found, score, title)
    if kind == ".html":
        body = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
            f'<body style="margin:1.5rem auto;max-width:1100px;background:{PAPER}">{body}</body></html>\n'
        )
    made = _png(body) if kind == ".png" else body.encode()
    try:
        path.write_bytes(made)
    except OSError as error:
        raise SourceError(f"{path}: cannot be written: {error.strerror}") from error


def svg(found: Matched, score: Score, title: str) -> str:
    """The picture, the same for the same score."""
    high = MARGIN + MAP_HEIGHT + LEGEND + TIME_HEIGHT + MARGIN
    said = f"{title}: {score.objects:,} objects, {score.tracks:,} tracks"
    parts = [_map(found), _legend(MARGIN + MAP_HEIGHT), _over_time(score, MARGIN + MAP_HEIGHT + LEGEND)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {high:g}" role="img" '
        f'aria-label="{escape(said)}" font-family="{escape(FONT)}"><title>{escape(said)}</title>'
        f'<rect width="{WIDTH:g}" height="{high:g}" fill="{PAPER}"/>'
        f"{_text(said, 8, 24, 16, bold=True)}{''.join(parts)}</svg>"
    )


# ---- where ---------------------------------------------------------------------------------------------------------


class _View:
    """The plane of the scene, fitted to the map's frame."""

    def __init__(self, found: Matched) -> None:
        lon, lat = _degrees(np.concatenate([found.truth.normal, found.tracks.normal]))
        x, y = np.radians(lon), np.radians(lat)
        mean = np.array([(np.cos(y) * np.cos(x)).mean(), (np.cos(y) * np.sin(x)).mean(), np.sin(y).mean()])
        middle = _degrees(mean[None] / max(np.linalg.norm(mean), 1e-9))
        self.frame = Frame(float(middle[0][0]), float(middle[1][0]))
        east, north = self.frame.to_local(lon, lat)
        wide, tall = max(np.ptp(east), 100.0) * 1.06, max(np.ptp(north), 100.0) * 1.06
        self.metres = max(wide / WIDTH, tall / MAP_HEIGHT)
        self.west = (east.min() + east.max()) / 2 - self.metres * WIDTH / 2
        self.north = (north.min() + north.max()) / 2 + self.metres * MAP_HEIGHT / 2

    def xy(self, normal: Floats) -> tuple[Floats, Floats]:
        east, north = self.frame.to_local(*_degrees(normal))
        return (east - self.west) / self.metres, MARGIN + (self.north - north) / self.metres


def _map(found: Matched) -> str:
    view = _View(found)
    box = f'x="0" y="{MARGIN:g}" width="{WIDTH:g}" height="{MAP_HEIGHT:g}"'
    drawn = [
        f'<clipPath id="map"><rect {box}/></clipPath><rect {box} fill="{GROUND}"/><g clip-path="url(#map)">',
        f'<path d="{_lines(view, found.truth)}" fill="none" stroke="{TRUTH}" stroke-width="3.2" stroke-opacity="0.55" '
        'stroke-linejoin="round" stroke-linecap="round"/>',
        f'<path d="{_lines(view, found.tracks)}" fill="none" stroke="{TRACK}" stroke-width="1.1" '
        'stroke-linejoin="round" stroke-linecap="round"/>',
    ]
    notes = []
    for name, normal, mark in _marks(found):
        x, y = view.xy(normal)
        some = np.unique(np.linspace(0, max(len(x) - 1, 0), min(len(x), MOST_MARKS)).astype(np.int64))
        if len(some) < len(x):
            notes.append(f"{len(some):,} of {len(x):,} {name} drawn")
        drawn.append("".join(mark(float(x[i]), float(y[i])) for i in some))
    km = max(
        k for k in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if k * 1000 / view.metres < 200 or k == 0.1
    )
    long, bottom = km * 1000 / view.metres, MARGIN + MAP_HEIGHT - 16
    drawn.append(
        f'<path d="M16 {bottom - 5:.1f}V{bottom:.1f}H{16 + long:.1f}V{bottom - 5:.1f}" fill="none" stroke="{INK}" '
        f'stroke-width="1.5"/>{_text(f"{km:g} km", 22 + long, bottom + 2, 12)}'
    )
    drawn.append(f'</g><rect {box} fill="none" stroke="{INK}"/>')
    if notes:
        drawn.append(_text("; ".join(notes), WIDTH - 8, 24, 11, end=True))
    return "".join(drawn)


def _marks(found: Matched) -> Iterator[tuple[str, Floats, Callable[[float, float], str]]]:
    """Misses, false tracks and switches, with how each is drawn."""
    missed = found.track_of < 0
    yield "misses", found.truths.normal[missed], _ring
    yield "false", found.points.normal[found.near < 0], _cross
    order, first = by_object(found)
    partner = partners(found)[order]
    switched = np.zeros(len(order), bool)
    for begin, end in pairwise(first):
        held = begin + np.flatnonzero(partner[begin:end] >= 0)
        switched[held[1:][np.diff(partner[held]) != 0]] = True
    yield "switches", found.truths.normal[order[switched]], _diamond


def _ring(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="none" stroke="{MISSED}" stroke-width="1.1"/>'


def _cross(x: float, y: float) -> str:
    d = f"M{x - 2.4:.1f} {y - 2.4:.1f}l4.8 4.8M{x + 2.4:.1f} {y - 2.4:.1f}l-4.8 4.8"
    return f'<path d="{d}" stroke="{FALSE}" stroke-width="1.2"/>'


def _diamond(x: float, y: float) -> str:
    d = f"M{x:.1f} {y - 4.2:.1f}l4.2 4.2l-4.2 4.2l-4.2 -4.2Z"
    return f'<path d="{d}" fill="{SWITCH}" stroke="{INK}" stroke-width="0.7"/>'


def _lines(view: _View, paths: Paths) -> str:
    """SVG path data of all paths, thinned; a thing with one point is a dot."""
    x, y = view.xy(paths.normal)
    out = []
    for begin, end in pairwise(paths.first):
        if end - begin > 1:
            line = shapely.LineString(np.column_stack([x[begin:end], y[begin:end]]))
            points = shapely.get_coordinates(shapely.simplify(line, _THIN))
            out.append("M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points))
        elif end > begin:
            out.append(f"M{x[begin]:.1f} {y[begin]:.1f}h0")
    return "".join(out)


def _legend(top: float) -> str:
    drawn, x = [], 8.0
    for sign, words in (
        (f'<path d="M0 0H22" stroke="{TRUTH}" stroke-width="3.2" stroke-opacity="0.55"/>', "truth"),
        (f'<path d="M0 0H22" stroke="{TRACK}" stroke-width="1.1"/>', "track"),
        (_ring(11, 0), "missed at an instant"),
        (_cross(11, 0), "false at an instant"),
        (_diamond(11, 0), "another track than before"),
    ):
        text = f'<text x="28" y="4.5" font-size="12.5" fill="{INK}">{words}</text>'
        drawn.append(f'<g transform="translate({x:.0f} {top + 22:.0f})">{sign}{text}</g>')
        x += 28 + 6.6 * len(words) + 26
    return "".join(drawn)


# ---- when ----------------------------------------------------------------------------------------------------------


def _over_time(score: Score, top: float) -> str:
    """GOSPA at each instant, its three parts filled in by their share."""
    series, left, right = score.series, 64.0, WIDTH - 12
    bottom, head = top + TIME_HEIGHT, top + 22.0
    if not series.at_s:
        return _text("no instants", left, head, 12)
    at, gospa = np.array(series.at_s), np.array(series.gospa_m)
    most = _round_up(float(gospa.max()))
    span = max(at[-1], 1e-9)

    def x(seconds: Floats) -> Floats:
        return np.asarray(left + (right - left) * seconds / span)

    def y(metres: Floats) -> Floats:
        return np.asarray(bottom - (bottom - head) * metres / most)

    parts = np.array([series.localisation, series.missed, series.false])
    whole = np.maximum(parts.sum(axis=0), 1e-300)
    drawn = [_text("GOSPA, m, and its parts", 8, top + 8, 13, bold=True)]
    rows = np.unique(np.linspace(0, len(at) - 1, min(len(at), 1_000)).astype(np.int64))
    below = np.zeros(len(at))
    for share, colour, name in zip(
        parts / whole, (TRACK, MISSED, FALSE), ("localisation", "missed", "false"), strict=True
    ):
        above = below + share * gospa
        up = [f"{a:.1f} {b:.1f}" for a, b in zip(x(at[rows]), y(above[rows]), strict=True)]
        down = [f"{a:.1f} {b:.1f}" for a, b in zip(x(at[rows]), y(below[rows]), strict=True)][::-1]
        drawn.append(
            f'<path d="M{"L".join(up + down)}Z" fill="{colour}" fill-opacity="0.45"><title>{name}</title></path>'
        )
        below = above
    key = left + 200
    for colour, name in ((TRACK, "localisation"), (MISSED, "missed"), (FALSE, "false")):
        drawn.append(
            f'<rect x="{key:.0f}" y="{top - 2:.1f}" width="14" height="10" fill="{colour}" fill-opacity="0.45"/>'
        )
        drawn.append(_text(name, key + 19, top + 8, 12))
        key += 36 + 7 * len(name)
    line = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x(at[rows]), y(gospa[rows]), strict=True))
    drawn.append(f'<path d="M{line}" fill="none" stroke="{INK}" stroke-width="1.2"/>')
    for value in (0.0, most / 2, most):
        level = float(y(np.array(value)))
        drawn.append(f'<path d="M{left:g} {level:.1f}H{right:g}" stroke="{GRID}" stroke-width="0.7"/>')
        drawn.append(_text(f"{value:,.0f}", left - 6, level + 4, 11, end=True))
    begin = datetime.fromisoformat(score.first_at)
    for k in range(5):
        when = begin + timedelta(seconds=float(span) * k / 4)
        place = left + (right - left) * k / 4
        words = when.astimezone(UTC).strftime("%d %b %H:%M" if span > 7200 else "%H:%M:%S")
        drawn.append(_text(words, place, bottom + 16, 11, end=k == 4, middle=0 < k < 4))
    return "".join(drawn)


def _round_up(value: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below."""
    power = 10.0 ** np.floor(np.log10(max(value, 1.0)))
    return float(next(power * k for k in (1, 2, 5, 10) if power * k >= value))


def _text(
    words: str, x: float, y: float, size: float, bold: bool = False, end: bool = False, middle: bool = False
) -> str:
    weight = ' font-weight="700"' if bold else ""
    anchor = ' text-anchor="end"' if end else ' text-anchor="middle"' if middle else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{INK}"{weight}{anchor}>{escape(words)}</text>'


def _degrees(normal: Floats) -> tuple[Floats, Floats]:
    x, y, z = normal.T
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def _png(body: str) -> bytes:
    """The SVG as pixels, by Typst, twice as many as its units."""
    import tempfile

    try:
        import typst
    except ImportError as error:
        raise TrucelineError(
            "a plot as .png needs the extra 'pdf': pip install 'truceline[pdf]'; or take .svg"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "plot.svg").write_text(body, "utf-8")
        (root / "plot.typ").write_text(
            '#set page(width: 1000pt, height: auto, margin: 0pt)\n#image("plot.svg", width: 100%)\n', "utf-8"
        )
        made: bytes = typst.compile(str(root / "plot.typ"), root=str(root), format="png", ppi=144.0)
    return made
