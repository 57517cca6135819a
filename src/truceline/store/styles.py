"""How QGIS draws the layers of picture.gpkg at first: probability from pale to dark, no party's colours.

QML as QGIS 3.18 and later reads it. Every layer has rules, so that a row without a probability is drawn too.
"""

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

#: Upper ends of the classes of a probability, and their colours: one hue that no party to a conflict here flies,
#: dark enough at the top and apart enough in between to be told apart in print and by the colour-blind.
_CLASSES = (
    (0.1, "232,228,238"),
    (0.3, "203,194,217"),
    (0.5, "168,153,192"),
    (0.7, "130,109,163"),
    (0.9, "94,68,132"),
    (1.0, "59,33,98"),
)
_UNKNOWN = "255,255,255"
_OUTLINE = "70,70,70"


class Rule(NamedTuple):
    """Which rows are drawn how. `shown` is an expression of QGIS, empty for all, ELSE for the rest."""

    label: str
    shown: str
    symbol: dict[str, str]


def _points(size_mm: float, column: str, what: str) -> list[Rule]:
    """Circles, darker the more probable."""
    marker = {"name": "circle", "size": str(size_mm), "outline_color": _OUTLINE, "outline_width": "0.15"}
    rules = []
    for at, (upper, colour) in enumerate(_CLASSES):
        lower = _CLASSES[at - 1][0] if at else 0.0
        last = "<=" if at == len(_CLASSES) - 1 else "<"
        shown = f'"{column}" >= {lower} AND "{column}" {last} {upper}'
        rules.append(Rule(f"{what} {lower:g} to {upper:g}", shown, {**marker, "color": f"{colour},230"}))
    return [*rules, Rule(f"{what} not stated", "ELSE", {**marker, "color": f"{_UNKNOWN},200"})]


_FILL = {"style": "no", "color": "0,0,0,0", "outline_style": "solid"}

#: The kind of symbol, its class in QGIS, and the rules of each layer.
STYLES: dict[str, tuple[str, str, Sequence[Rule]]] = {
    "incidents": ("marker", "SimpleMarker", _points(3.0, "p_conflict", "caused by the conflict, p")),
    "events": ("marker", "SimpleMarker", _points(1.8, "p_conflict", "caused by the conflict, p")),
    "findings": ("marker", "SimpleMarker", _points(2.4, "p_breach", "breach, p")),
    "ellipses": (
        "fill",
        "SimpleFill",
        [Rule("1-sigma error ellipse", "", {**_FILL, "outline_color": "94,68,132,160", "outline_width": "0.2"})],
    ),
    "line": (
        "line",
        "SimpleLine",
        [
            Rule("newest line", '"date" = maximum("date")', {"line_color": "40,40,40", "line_width": "0.7"}),
            Rule("earlier lines", "ELSE", {"line_color": "150,150,150,150", "line_width": "0.2"}),
        ],
    ),
    # by kind of object, in greys: no party's colours, no "friend" or "foe"
    "tracks": (
        "line",
        "SimpleLine",
        [
            Rule("vessels", "\"what\" LIKE 'vessel%'", {"line_color": "70,70,70", "line_width": "0.4"}),
            Rule(
                "aircraft and drones",
                "\"what\" LIKE 'aircraft%' OR \"what\" LIKE 'uav%'",
                {"line_color": "94,68,132", "line_width": "0.4", "line_style": "dash"},
            ),
            Rule("other tracks", "ELSE", {"line_color": "110,110,110", "line_width": "0.4"}),
        ],
    ),
    "movements": ("marker", "SimpleMarker", _points(1.8, "confidence", "p")),
    "zones": (
        "fill",
        "SimpleFill",
        [
            Rule(
                "zone",
                "",
                {
                    "style": "solid",
                    "color": "120,120,120,22",
                    "outline_color": "90,90,90,200",
                    "outline_style": "dash",
                    "outline_width": "0.3",
                },
            )
        ],
    ),
    "sites": (
        "marker",
        "SimpleMarker",
        [
            Rule(
                "protected site",
                "",
                {"name": "square", "size": "3", "color": "90,90,90", "outline_color": "255,255,255"},
            )
        ],
    ),
    "observations": (
        "marker",
        "SimpleMarker",
        [Rule("observation", "", {"name": "circle", "size": "0.8", "color": "120,120,120", "outline_style": "no"})],
    ),
}


def qml(layer: str) -> str:
    """The style of a layer as a QML document."""
    kind, shape, rules = STYLES[layer]
    document = Element("qgis", version="3.22.0", styleCategories="Symbology")
    renderer = SubElement(document, "renderer-v2", type="RuleRenderer", symbollevels="0", forceraster="0")
    listed = SubElement(renderer, "rules", key=f"{{truceline-{layer}}}")
    symbols = SubElement(renderer, "symbols")
    for number, rule in enumerate(rules):
        key = f"{{truceline-{layer}-{number}}}"
        listed_rule = SubElement(listed, "rule", key=key, symbol=str(number), label=rule.label)
        if rule.shown:
            listed_rule.set("filter", rule.shown)
        symbol = SubElement(symbols, "symbol", name=str(number), type=kind, alpha="1", clip_to_extent="1")
        drawn = SubElement(symbol, "layer", {"class": shape, "pass": "0"}, enabled="1", locked="0")
        options = SubElement(drawn, "Option", type="Map")
        for name, value in {**rule.symbol, **_UNITS[kind]}.items():
            SubElement(options, "Option", name=name, type="QString", value=value)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + tostring(document, encoding="unicode")


_UNITS = {
    "marker": {"size_unit": "MM", "outline_width_unit": "MM"},
    "line": {"line_width_unit": "MM", "line_style": "solid", "capstyle": "round", "joinstyle": "round"},
    "fill": {"outline_width_unit": "MM"},
}
