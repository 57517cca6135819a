"""The report's map: basemap, line, zones, incidents with their ellipses, names that do not overlap; inline SVG.

Parties have no colours. An incident's shade says how likely it is a breach, its ellipse how well its place is
known, and nothing says who caused it.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from truceline.frame import Frame
from truceline.places import VIEWPOINT, Gazetteer, basemap
from truceline.report.labels import Labels
from truceline.report.model import Incident, Map
from truceline.report.saying import plural

WIDTH, HEIGHT = 1000.0, 720.0
LEGEND = 74.0

#: Land shown around the line, or around the incidents where there is no line.
MARGIN_M = 45_000.0

#: Incidents with their number on the map, those most likely to be breaches.
MOST_NUMBERS = 30
#: Settlements whose name is tried.
MOST_NAMES = 90
#: Regions with fewer settlements in view go unnamed; so many places are tried for a name.
FEWEST, TRIED = 15, 60
#: Zones of more parts are not drawn.
MOST_PARTS = 100
#: Ellipses larger than this say "somewhere here" of half the map; their dot is hollow instead.
WIDEST_M = 25_000.0

SEA, LAND, RIVER, LIMIT, INK = "#dce8ee", "#f8f6f1", "#a9c4d3", "#b9b2a4", "#1d2327"
#: One hue, light to dark, for the probability of a breach; readable in grey and for the colour-blind.
SHADES = ((0.2, "#cdbfe0"), (0.5, "#9d80c4"), (0.8, "#6f45a3"), (1.01, "#431a75"))
FIRE, ZONE = "#a0662a", "#5d6b2f"
ZONE_STYLE = (
    f'fill="{ZONE}" fill-opacity="0.04" fill-rule="evenodd" '
    f'stroke="{ZONE}" stroke-width="0.9" stroke-dasharray="1.5 2.5"'
)
FONT = "system-ui, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', 'Libertinus Serif', sans-serif"


class View(NamedTuple):
    """Local metres to the drawing: west and north edge, metres a unit."""

    west_m: float
    north_m: float
    metres: float

    def xy(self, east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> tuple[Any, Any]:
        return (np.asarray(east_m) - self.west_m) / self.metres, (self.north_m - np.asarray(north_m)) / self.metres


def draw(
    frame: Frame,
    line: dict[str, Any] | None,
    zones: pa.Table,
    incidents: Sequence[Incident],
    fires: Sequence[Incident],
    gazetteer: Gazetteer,
) -> Map:
    """The map of the day, north up within the theatre's convergence, true to scale."""
    contact = None if line is None else local(frame, shapely.from_wkb(line["geometry"]))
    view = view_of(frame, contact, [*incidents, *fires])
    placed, outside = _placed(frame, view, incidents)
    burning, _ = _placed(frame, view, fires)
    labels = Labels(WIDTH, HEIGHT)
    marks = "".join(_incident(row, x, y, view) for row, x, y in placed)
    for _, x, y in placed:
        labels.block(x, y, 2.5)
    numbers = "".join(_numbers(placed, labels))
    date = "" if line is None else str(line["date"])
    corner = north_and_scale(frame, view, labels)
    words = [f'<g clip-path="url(#frame)">{ground(frame, view)}']
    areas, undrawn = _zones(frame, view, zones)
    words.append(areas)
    if contact is not None:
        words.append(contact_line(view, contact))
    words.append("".join(_fire(row, x, y) for row, x, y in burning))
    words.append(marks + numbers)
    words.append("".join(names(frame, view, gazetteer, placed, labels)))
    words.append("".join(regions(frame, view, contact, gazetteer, labels)))
    words.append(corner + "</g>")
    words.append(f'<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="none" stroke="{INK}" stroke-width="1"/>')
    words.append(_legend(date, bool(areas)))
    described = f"Map of {plural(len(placed), 'incident')}" + (f" along the line of contact of {date}" if date else "")
    body = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT + LEGEND:g}" role="img" '
        f'aria-label="{escape(described)}" font-family="{escape(FONT)}"><title>{escape(described)}</title>'
        f'<defs><clipPath id="frame"><rect width="{WIDTH:g}" height="{HEIGHT:g}"/></clipPath></defs>'
        f"{''.join(words)}</svg>"
    )
    beyond = f"; {outside:,} more lie outside the map or have no place" if outside else ""
    caption = plural(len(placed), "incident") + beyond
    if undrawn:
        caption += f". {plural(undrawn, 'zone')} round settlements not drawn"
    return Map(body, f"{caption}. {VIEWPOINT} Lines are good to about 1:1,000,000.", len(placed), len(labels.placed))


def view_of(frame: Frame, contact: Any, rows: Iterable[Incident]) -> View:
    """The line with land around it; without a line, the incidents; without either, the theatre's middle."""
    if contact is not None and not shapely.is_empty(contact):
        west, south, east, north = shapely.bounds(contact)
    else:
        known = [(row.lon, row.lat) for row in rows if row.lon is not None]
        across, up = frame.to_local(*np.array(known, np.float64).reshape(-1, 2).T)
        inside = np.hypot(across, up) <= frame.radius_m
        across, up = across[inside], up[inside]
        if not len(across):
            across, up = np.array([-150_000.0, 150_000.0]), np.array([-100_000.0, 100_000.0])
        west, south, east, north = across.min(), up.min(), across.max(), up.max()
    wide, high = east - west + 2 * MARGIN_M, north - south + 2 * MARGIN_M
    metres = max(wide / WIDTH, high / HEIGHT)
    middle_east, middle_north = (west + east) / 2, (south + north) / 2
    return View(middle_east - metres * WIDTH / 2, middle_north + metres * HEIGHT / 2, metres)


def _placed(frame: Frame, view: View, rows: Sequence[Incident]) -> tuple[list[tuple[Incident, float, float]], int]:
    """Rows inside the map with their place on it, the least likely first so that the likely are drawn on top."""
    lon = np.array([np.nan if row.lon is None else row.lon for row in rows], np.float64)
    lat = np.array([np.nan if row.lat is None else row.lat for row in rows], np.float64)
    x, y = view.xy(*frame.to_local(lon, lat))
    inside = (x >= 0) & (x <= WIDTH) & (y >= 0) & (y <= HEIGHT)
    order = sorted(map(int, np.flatnonzero(inside)), key=lambda i: (rows[i].p_breach or 0.0, rows[i].incident_id))
    return [(rows[i], float(x[i]), float(y[i])) for i in order], int(np.sum(~inside))


# ---- the ground ----------------------------------------------------------------------------------------------------


def ground(frame: Frame, view: View) -> str:
    drawn = [f'<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="{SEA}"/>']
    for layer, style in (
        ("land", f'fill="{LAND}" fill-rule="evenodd"'),
        ("rivers", f'fill="none" stroke="{RIVER}" stroke-width="0.9"'),
        ("lakes", f'fill="{SEA}" stroke="{RIVER}" stroke-width="0.5" fill-rule="evenodd"'),
        ("coast", f'fill="none" stroke="{RIVER}" stroke-width="0.8"'),
        ("regions", f'fill="none" stroke="{LIMIT}" stroke-width="0.7" stroke-dasharray="4 2.5"'),
        ("disputed", f'fill="none" stroke="{LIMIT}" stroke-width="1.2" stroke-dasharray="2 3"'),
        ("borders", 'fill="none" stroke="#8f877a" stroke-width="1.6"'),
    ):
        path = path_data(view, local(frame, basemap()[layer]))
        if path:
            drawn.append(f'<path d="{path}" {style}/>')
    return "".join(drawn)


def _zones(frame: Frame, view: View, zones: pa.Table) -> tuple[str, int]:
    """The zones, and how many are left out: a circle round every settlement would hide all else."""
    drawn, left = [], 0
    for row in zones.sort_by([("id", "ascending")]).to_pylist():
        area = shapely.from_wkb(row["geometry"])
        if row["kind"] == "settlements" or shapely.get_num_geometries(area) > MOST_PARTS:
            left += 1
            continue
        path = path_data(view, local(frame, area))
        if path:
            drawn.append(f'<path d="{path}" {ZONE_STYLE}><title>{escape(row["name"] or row["id"])}</title></path>')
    return "".join(drawn), left


def contact_line(view: View, contact: Any) -> str:
    path = path_data(view, contact)
    common = f'd="{path}" fill="none" stroke-linejoin="round"'
    return (
        f'<path {common} stroke="#ffffff" stroke-width="5" stroke-opacity="0.85"/>'
        f'<path {common} stroke="{INK}" stroke-width="2"/>'
    )


def local(frame: Frame, geometries: Any) -> Any:
    return shapely.transform(geometries, lambda xy: np.column_stack(frame.to_local(xy[:, 0], xy[:, 1])))


def path_data(view: View, geometries: Any) -> str:
    """SVG path data of what is in view (a hand's breadth more), to a tenth of a unit."""
    edge = 12 * view.metres
    east, south = view.west_m + WIDTH * view.metres, view.north_m - HEIGHT * view.metres
    clipped = shapely.clip_by_rect(geometries, view.west_m - edge, south - edge, east + edge, view.north_m + edge)
    parts = []
    for geometry in shapely.get_parts(shapely.simplify(clipped, 0.4 * view.metres)):
        if shapely.get_dimensions(geometry) == 2:
            parts += [(ring, "Z") for ring in shapely.get_rings(geometry)]
        elif shapely.get_dimensions(geometry) == 1:
            parts += [(line, "") for line in shapely.get_parts(geometry)]
    return "".join(_d(view, shapely.get_coordinates(line), close) for line, close in parts)


def _d(view: View, coordinates: npt.NDArray[np.float64], close: str) -> str:
    x, y = view.xy(coordinates[:, 0], coordinates[:, 1])
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True)) + close


# ---- what happened -------------------------------------------------------------------------------------------------


def _incident(row: Incident, x: float, y: float, view: View) -> str:
    shade = next(colour for most, colour in SHADES if (row.p_breach or 0.0) < most)
    title = escape(f"{row.number}. {row.observation}, {row.place}")
    major, minor = row.major_m or 0.0, row.minor_m or 0.0
    ring = ""
    if 4 * view.metres < major <= WIDEST_M:
        # SVG turns clockwise from the x axis; tilt is clockwise from north.
        turn = (row.tilt_deg or 0.0) - 90
        ring = (
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{major / view.metres:.1f}" ry="{minor / view.metres:.1f}" '
            f'transform="rotate({turn:.0f} {x:.1f} {y:.1f})" fill="{shade}" fill-opacity="0.10" '
            f'stroke="{shade}" stroke-opacity="0.65" stroke-width="0.7"/>'
        )
    vague = row.coarse or major > WIDEST_M
    dot = (
        f'fill="#ffffff" stroke="{shade}" stroke-width="1.4"'
        if vague
        else f'fill="{shade}" stroke="#ffffff" stroke-width="0.6"'
    )
    return f'{ring}<circle cx="{x:.1f}" cy="{y:.1f}" r="3" {dot}><title>{title}</title></circle>'


def _fire(row: Incident, x: float, y: float) -> str:
    size = 1.6 + min(np.sqrt(row.frp_mw or 0.0) / 5, 3.0)
    return (
        f'<path d="M{x:.1f} {y - size:.1f}L{x + size:.1f} {y:.1f}L{x:.1f} {y + size:.1f}L{x - size:.1f} {y:.1f}Z" '
        f'fill="none" stroke="{FIRE}" stroke-width="0.9" stroke-opacity="0.8"/>'
    )


def _numbers(placed: Sequence[tuple[Incident, float, float]], labels: Labels) -> Iterator[str]:
    likely = sorted(placed, key=lambda item: (-(item[0].p_breach or 0.0), item[0].incident_id))[:MOST_NUMBERS]
    for row, x, y in likely:
        at = labels.place(str(row.number), x, y, 11, bold=True)
        if at is not None:
            yield text(str(row.number), *at, 11, "#2b0f52", bold=True)


def names(
    frame: Frame, view: View, gazetteer: Gazetteer, placed: Sequence[tuple[Incident, float, float]], labels: Labels
) -> Iterator[str]:
    """Settlements' names: the large ones, those nearest to the likely incidents, then the rest by size."""
    corners_x = view.west_m + view.metres * np.array([0, WIDTH, WIDTH, 0, WIDTH / 2])
    corners_y = view.north_m - view.metres * np.array([0, 0, HEIGHT, HEIGHT, 0])
    lon, lat = frame.to_degrees(corners_x, corners_y)
    large = gazetteer.largest((lon.min(), lat.min(), lon.max(), lat.max()), MOST_NAMES)
    likely = sorted(placed, key=lambda item: (-(item[0].p_breach or 0.0), item[0].incident_id))[:MOST_NUMBERS]
    spots = np.array([(row.lon, row.lat) for row, _, _ in likely], np.float64).reshape(-1, 2)
    near, _ = gazetteer.nearest(spots[:, 0], spots[:, 1], districts=False)
    wanted = {(place.name, place.lon, place.lat): place.population for place in large[:25]}
    for i in near:
        if i >= 0:
            key = (str(gazetteer.name[i]), float(gazetteer.lon[i]), float(gazetteer.lat[i]))
            wanted.setdefault(key, int(gazetteer.population[i]))
    for place in large[25:]:
        wanted.setdefault((place.name, place.lon, place.lat), place.population)
    for (name, at_lon, at_lat), population in wanted.items():
        x, y = (float(v) for v in view.xy(*frame.to_local(at_lon, at_lat)))
        if not (0 < x < WIDTH and 0 < y < HEIGHT):
            continue
        size = 13.0 if population >= 400_000 else 11.5 if population >= 80_000 else 10.0
        at = labels.place(name, x, y, size, dot=2.0)
        if at is not None:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.6" fill="#3d4246"/>' + text(name, *at, size, "#3d4246")


def regions(frame: Frame, view: View, contact: Any, gazetteer: Gazetteer, labels: Labels) -> Iterator[str]:
    """Regions' names, amid those of their settlements that are in view, where there is room beside the line."""
    if contact is not None:
        for east_m, north_m in shapely.get_coordinates(shapely.segmentize(contact, 8 * view.metres)):
            x, y = view.xy(east_m, north_m)
            labels.block(float(x), float(y), 3.0)
    x, y = view.xy(*frame.to_local(gazetteer.lon, gazetteer.lat))
    seen = (x > 0) & (x < WIDTH) & (y > 0) & (y < HEIGHT)
    for region in sorted(set(gazetteer.region[seen])):
        inside = seen & (gazetteer.region == region)
        if not region.endswith(" region") or np.sum(inside) < FEWEST:
            continue
        words, size = region.removesuffix(" region").upper(), 11.0
        # The settlement nearest to the middle of them all whose surroundings are free.
        middle = np.argsort(np.hypot(x[inside] - np.median(x[inside]), y[inside] - np.median(y[inside])), kind="stable")
        for i in middle[:TRIED]:
            at = labels.centre(words, float(x[inside][i]), float(y[inside][i]), size, spacing=1.6)
            if at is not None:
                yield (
                    f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" font-size="{size:g}" fill="#8d8672" letter-spacing="1.6">'
                    f"{escape(words)}</text>"
                )
                break


def text(words: str, x: float, y: float, size: float, colour: str, bold: bool = False) -> str:
    weight = ' font-weight="700"' if bold else ""
    halo = 'stroke="#ffffff" stroke-width="2.4" stroke-linejoin="round" stroke-opacity="0.85" paint-order="stroke"'
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{colour}"{weight} {halo}>{escape(words)}</text>'


# ---- the furniture -------------------------------------------------------------------------------------------------


def north_and_scale(frame: Frame, view: View, labels: Labels) -> str:
    """An arrow to true north at the map's middle, and a bar of a round length."""
    middle = frame.to_degrees(view.west_m + view.metres * WIDTH / 2, view.north_m - view.metres * HEIGHT / 2)
    turn = -float(frame.convergence_deg(*middle))
    km = max(k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500) if k * 1000 / view.metres <= 220 or k == 1)
    long = km * 1000 / view.metres
    x, y = 24.0, HEIGHT - 24
    labels.fill(x - 12, y - 74, x + long + 40, y + 14)
    return (
        f'<g transform="translate({x + 8:.1f} {y - 44:.1f}) rotate({turn:.1f})">'
        f'<path d="M0 -20L6 8L0 3L-6 8Z" fill="{INK}"/></g>{text("N", x + 18, y - 44, 12, INK, bold=True)}'
        f'<path d="M{x:.1f} {y - 5:.1f}V{y:.1f}H{x + long:.1f}V{y - 5:.1f}" fill="none" stroke="{INK}" '
        'stroke-width="1.6"/>'
        f"{text(f'{km} km', x + long + 6, y + 2, 11.5, INK)}"
    )


def _legend(date: str, zones: bool) -> str:
    """What the signs mean, in two rows under the map."""
    drawn, x, y = [], 8.0, HEIGHT + 26

    def entry(sign: str, words: str) -> None:
        nonlocal x, y
        long = 26 + 6.3 * len(words) + 22
        if x + long > WIDTH:
            x, y = 8.0, y + 26
        text = f'<text x="26" y="4.5" font-size="12.5" fill="{INK}">{escape(words)}</text>'
        drawn.append(f'<g transform="translate({x:.1f} {y:.1f})">{sign}{text}</g>')
        x += long

    if date:
        entry(f'<path d="M2 0H20" stroke="{INK}" stroke-width="2"/>', f"line of contact, {date}")
    floor = 0.0
    for most, colour in SHADES:
        words = f"{floor:g} to {min(most, 1):g}"
        entry(f'<circle cx="11" r="4" fill="{colour}"/>', words if floor else f"probability of a breach {words}")
        floor = most
    entry(f'<circle cx="11" r="4" fill="#ffffff" stroke="{INK}" stroke-width="1.4"/>', "place only roughly given")
    entry(f'<ellipse cx="11" rx="10" ry="5" fill="none" stroke="{SHADES[2][1]}"/>', "one-sigma ellipse")
    entry(f'<path d="M11 -5L16 0L11 5L6 0Z" fill="none" stroke="{FIRE}"/>', "satellite fire, larger is stronger")
    if zones:
        entry(f'<rect x="2" y="-5" width="18" height="10" {ZONE_STYLE}/>', "zone of the agreement")
    return "".join(drawn)
