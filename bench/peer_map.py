"""The peer's map: basemap, line, zones, incidents with their ellipses and names that do not overlap; inline SVG."""

from html import escape

import geopandas as gpd
import numpy as np
import shapely
from bench.peer_day import Day
from bench.peer_words import nearest

from truceline.places import basemap
from truceline.report import svg

WIDTH, HEIGHT = svg.WIDTH, svg.HEIGHT
LAYERS = {
    "land": f'fill="{svg.LAND}" fill-rule="evenodd"',
    "rivers": f'fill="none" stroke="{svg.RIVER}" stroke-width="0.9"',
    "lakes": f'fill="{svg.SEA}" stroke="{svg.RIVER}" stroke-width="0.5" fill-rule="evenodd"',
    "coast": f'fill="none" stroke="{svg.RIVER}" stroke-width="0.8"',
    "regions": f'fill="none" stroke="{svg.LIMIT}" stroke-width="0.7" stroke-dasharray="4 2.5"',
    "disputed": f'fill="none" stroke="{svg.LIMIT}" stroke-width="1.2" stroke-dasharray="2 3"',
    "borders": 'fill="none" stroke="#8f877a" stroke-width="1.6"',
}


class Map:
    """Local metres to the drawing, and what of it is taken by words."""

    def __init__(self, theatre, west: float, south: float, east: float, north: float) -> None:
        self.theatre = theatre
        wide, high = east - west + 2 * svg.MARGIN_M, north - south + 2 * svg.MARGIN_M
        self.metres = max(wide / WIDTH, high / HEIGHT)
        self.west = (west + east) / 2 - self.metres * WIDTH / 2
        self.north = (south + north) / 2 + self.metres * HEIGHT / 2
        self.taken = np.empty((0, 4))

    def xy(self, east, north):
        return (np.asarray(east) - self.west) / self.metres, (self.north - np.asarray(north)) / self.metres

    def path(self, shapes) -> str:
        """Path data of what is in view, to a tenth of a unit."""
        edge, metres = 12 * self.metres, self.metres
        box = (
            self.west - edge,
            self.north - HEIGHT * metres - edge,
            self.west + WIDTH * metres + edge,
            self.north + edge,
        )
        parts = []
        for shape in shapely.get_parts(shapely.simplify(shapely.clip_by_rect(shapes, *box), 0.4 * metres)):
            areal = shapely.get_dimensions(shape) == 2
            for part in shapely.get_rings(shape) if areal else shapely.get_parts(shape):
                x, y = self.xy(*shapely.get_coordinates(part).T)
                parts.append(
                    "M"
                    + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
                    + ("Z" if areal else "")
                )
        return "".join(parts)

    def block(self, *box: float) -> None:
        self.taken = np.vstack([self.taken, box])

    def place(self, words: str, x: float, y: float, size: float, dot: float = 3.5) -> tuple[float, float] | None:
        """Where words begin beside a point, in the first place that is free."""
        long, up, near = len(words) * size * 0.58, 0.75 * size, dot + 2
        for left, base in (
            (x + near, y + up / 2),
            (x - near - long, y + up / 2),
            (x - long / 2, y - near),
            (x - long / 2, y + near + up),
            (x + near, y - near),
            (x + near, y + near + up),
            (x - near - long, y - near),
            (x - near - long, y + near + up),
        ):
            a, b, c, d = left - 2, base - up - 1, left + long + 2, base + 0.25 * size
            t = self.taken
            meets = (t[:, 0] < c) & (t[:, 2] > a) & (t[:, 1] < d) & (t[:, 3] > b)
            if a >= 0 and b >= 0 and c <= WIDTH and d <= HEIGHT and not meets.any():
                self.block(a, b, c, d)
                return left, base
        return None


def text(words: str, x: float, y: float, size: float, colour: str) -> str:
    halo = 'stroke="#ffffff" stroke-width="2.4" stroke-opacity="0.85" paint-order="stroke"'
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{colour}" {halo}>{escape(words)}</text>'


def draw(about: Day, theatre, incidents: list[dict], fires: list[dict]) -> tuple[str, int]:
    """The day's map; the drawing and how many incidents are on it."""
    line, zones = about.line, about.tables["zones"]
    known = np.array([(r["lon"], r["lat"]) for r in [*incidents, *fires] if r["lon"] is not None], float).reshape(-1, 2)
    if line is not None and not line.path.is_empty:
        bounds = line.path.bounds
    elif len(known):
        e, n = theatre.local(*known.T)
        bounds = e.min(), n.min(), e.max(), n.max()
    else:
        bounds = -150_000.0, -100_000.0, 150_000.0, 100_000.0
    view = Map(theatre, *bounds)
    drawn = [f'<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="{svg.SEA}"/>']
    for layer, style in LAYERS.items():
        shapes = basemap()[layer]
        if len(shapes) and (path := view.path(gpd.GeoSeries(shapes, crs=4326).to_crs(theatre.crs).to_numpy())):
            drawn.append(f'<path d="{path}" {style}/>')
    if len(zones):
        for name, kind, shape in zip(zones["name"], zones["kind"], zones.geometry.to_crs(theatre.crs), strict=True):
            if (
                kind != "settlements"
                and shapely.get_num_geometries(shape) <= svg.MOST_PARTS
                and (path := view.path(shape))
            ):
                drawn.append(f'<path d="{path}" {svg.ZONE_STYLE}><title>{escape(name)}</title></path>')
    if line is not None:
        path = view.path(line.path)
        for colour, width in (("#ffffff", 5), (svg.INK, 2)):
            drawn.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
    drawn += [diamond(row, x, y) for row, x, y in placed(view, fires)]
    shown = placed(view, incidents)
    drawn += [mark(row, x, y, view.metres) for row, x, y in shown]
    for _, x, y in shown:
        view.block(x - 2.5, y - 2.5, x + 2.5, y + 2.5)
    likely = shown[::-1][: svg.MOST_NUMBERS]
    for row, x, y in likely:
        if at := view.place(str(row["number"]), x, y, 11):
            drawn.append(text(str(row["number"]), *at, 11, "#2b0f52"))
    drawn += names(view, about.gazetteer, likely)
    drawn += region_names(view, about.gazetteer, line)
    body = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img">{"".join(drawn)}</svg>'
    )
    return body, len(shown)


def placed(view: Map, rows: list[dict]) -> list[tuple[dict, float, float]]:
    """Rows inside the map, the least likely first."""
    rows = [row for row in rows if row["lon"] is not None]
    if not rows:
        return []
    x, y = view.xy(*view.theatre.local(np.array([r["lon"] for r in rows]), np.array([r["lat"] for r in rows])))
    inside = np.flatnonzero((x >= 0) & (x <= WIDTH) & (y >= 0) & (y <= HEIGHT)).tolist()
    inside.sort(key=lambda i: (rows[i]["p_breach"] or 0.0, rows[i]["incident_id"]))
    return [(rows[i], float(x[i]), float(y[i])) for i in inside]


def mark(row: dict, x: float, y: float, metres: float) -> str:
    shade = next(colour for most, colour in svg.SHADES if (row["p_breach"] or 0.0) < most)
    title = escape(f"{row['number']}. {row['observation']}, {row['place']}")
    major, minor = row["major_m"] or 0.0, row["minor_m"] or 0.0
    ring = ""
    if 4 * metres < major <= svg.WIDEST_M:
        turn = (row["tilt_deg"] or 0.0) - 90
        ring = (
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{major / metres:.1f}" ry="{minor / metres:.1f}" '
            f'transform="rotate({turn:.0f} {x:.1f} {y:.1f})" fill="{shade}" fill-opacity="0.10" stroke="{shade}"/>'
        )
    vague = row["coarse"] or major > svg.WIDEST_M
    dot = f'fill="#ffffff" stroke="{shade}"' if vague else f'fill="{shade}" stroke="#ffffff"'
    return f'{ring}<circle cx="{x:.1f}" cy="{y:.1f}" r="3" {dot}><title>{title}</title></circle>'


def diamond(row: dict, x: float, y: float) -> str:
    size = 1.6 + min(np.sqrt(row["frp_mw"] or 0.0) / 5, 3.0)
    corners = f"M{x:.1f} {y - size:.1f}L{x + size:.1f} {y:.1f}L{x:.1f} {y + size:.1f}L{x - size:.1f} {y:.1f}Z"
    return f'<path d="{corners}" fill="none" stroke="{svg.FIRE}" stroke-width="0.9"/>'


def names(view: Map, gazetteer, likely: list[tuple[dict, float, float]]) -> list[str]:
    """Settlements' names: large ones, those nearest to the likely incidents, then the rest by size."""
    x, y = view.xy(*view.theatre.local(gazetteer.lon, gazetteer.lat))
    seen = (x > 0) & (x < WIDTH) & (y > 0) & (y < HEIGHT)
    large = np.flatnonzero(seen & (gazetteer.part_of == ""))[: svg.MOST_NAMES].tolist()
    near: list[int] = []
    if likely:
        spots = np.array([(row["lon"], row["lat"]) for row, _, _ in likely])
        near = nearest(gazetteer, *spots.T, districts=False)[0].tolist()
    out = []
    for i in dict.fromkeys([*large[:25], *near, *large[25:]]):
        if seen[i]:
            size = 13.0 if gazetteer.population[i] >= 400_000 else 11.5 if gazetteer.population[i] >= 80_000 else 10.0
            if at := view.place(str(gazetteer.name[i]), float(x[i]), float(y[i]), size, 2.0):
                out.append(f'<circle cx="{x[i]:.1f}" cy="{y[i]:.1f}" r="1.6" fill="#3d4246"/>')
                out.append(text(str(gazetteer.name[i]), *at, size, "#3d4246"))
    return out


def region_names(view: Map, gazetteer, line) -> list[str]:
    """Regions' names, amid those of their settlements that are in view, where there is room beside the line."""
    if line is not None:
        x, y = view.xy(*shapely.get_coordinates(shapely.segmentize(line.path, 8 * view.metres)).T)
        view.taken = np.vstack([view.taken, np.column_stack([x - 3, y - 3, x + 3, y + 3])])
    x, y = view.xy(*view.theatre.local(gazetteer.lon, gazetteer.lat))
    seen = (x > 0) & (x < WIDTH) & (y > 0) & (y < HEIGHT)
    out = []
    for region in sorted(set(gazetteer.region[seen])):
        inside = np.flatnonzero(seen & (gazetteer.region == region))
        if not region.endswith(" region") or len(inside) < svg.FEWEST:
            continue
        words = region.removesuffix(" region").upper()
        away = np.hypot(x[inside] - np.median(x[inside]), y[inside] - np.median(y[inside]))
        for i in inside[np.argsort(away)][: svg.TRIED]:
            if at := view.place(words, float(x[i]), float(y[i]), 11.0, 0.0):
                out.append(text(words, *at, 11.0, "#8d8672"))
                break
    return out
