"""The column map of a table source: which columns of a file mean what, as the mission file or a preset says it.

Any of these, in TOML:

    at = "datetime"                         a column of the file
    means = {value = "saw"}                 a constant
    where = {column = "geo_precision", map = {1 = 2000, 2 = 12500}}      metres, 1 sigma
    what = {column = "event_type", separator = "|", map = {artillery = {"explosion.impact" = 0.9}}, default = ""}
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from truceline.errors import MissionError
from truceline.feeds.options import fail
from truceline.feeds.values import nearest
from truceline.mission import Source
from truceline.observation import KINDS, TAXONOMY

#: What a column may mean, by how it is read. `place`, `id`, `outlet`, `killed_low`, `killed_high` become the feed's
#: own columns; `when` and `where` say how precise `at` and `lon`, `lat` are.
TIMES = ("at", "until")
DEGREES = {"lon": 180.0, "lat": 90.0}
NUMBERS: Final = {
    "confidence": (0.0, 1.0),
    "at_sigma_s": (0.0, 1e9),
    "alt_m": (-1e4, 1e6),
    "major_m": (0.0, 1e7),
    "minor_m": (0.0, 1e7),
    "tilt_deg": (-360.0, 360.0),
    "bearing_deg": (0.0, 360.0),
    "bearing_sigma_deg": (0.0, 360.0),
    "range_m": (0.0, 1e7),
    "range_sigma_m": (0.0, 1e7),
    "speed_mps": (0.0, 1e5),
    "course_deg": (0.0, 360.0),
}
COUNTS = ("count", "count_max", "killed", "injured", "killed_low", "killed_high")
TEXTS = ("sensor", "kind", "means", "description", "weapon", "identity", "party", "text", "place", "id", "outlet")
#: Precision of a time: the interval, in local days, that holds the event.
SPANS = ("instant", "hour", "day", "week", "month", "year")
TARGETS = ("what", *TIMES, "when", *DEGREES, "where", *NUMBERS, *COUNTS, *TEXTS)

#: What a unit is in ours, by the end of a target's name: metres, metres a second.
UNITS: Final = {
    "_m": {"m": 1.0, "km": 1000.0, "ft": 0.3048, "nm": 1852.0, "mi": 1609.344, "fl": 30.48},
    "_mps": {"m/s": 1.0, "km/h": 1 / 3.6, "knots": 1852 / 3600, "mph": 0.44704, "ft/s": 0.3048},
}

_WORDS = ("map", "default", "separator", "flags")
_KEYS = {
    **dict.fromkeys(("what", *TEXTS), _WORDS),
    **dict.fromkeys(("when", "where"), ("map", "default")),
    **dict.fromkeys(TIMES, ("format", "zone", "midnight_is_day")),
    "identity": (*_WORDS, "prefix"),
    **dict.fromkeys(("lon", "lat"), ("missing",)),
    **dict.fromkeys(NUMBERS, ("scale", "unit", "missing")),
    **dict.fromkeys(COUNTS, ("zero_is_missing",)),
}


@dataclass(frozen=True)
class Column:
    """What one target is read from: columns of the file (joined by a blank), columns of flags, or a constant.

    Of several columns only the first must be in the file; of flags none.
    """

    target: str
    columns: tuple[str, ...] = ()
    value: Any = None
    optional: bool = False
    map: Mapping[str, Any] | None = None
    default: Any = None
    has_default: bool = False
    separator: str | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    formats: tuple[str, ...] = ("iso",)
    zone: str | None = None
    midnight_is_day: bool = False
    scale: float = 1.0
    zero_is_missing: bool = False
    prefix: str = ""
    missing: tuple[float, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """The file's columns this needs."""
        return self.columns + tuple(self.flags)

    @property
    def label(self) -> str:
        """What messages about a value call it: the file's own word for it."""
        return self.columns[0] if len(self.columns) == 1 else " ".join(self.columns) or self.target


def column(source: Source, target: str, given: Any) -> Column:
    """One entry of a column map, checked.

    Raises
    ------
    MissionError
        Naming the key, the value and the nearest valid name.
    """
    key = f"columns.{target}"
    if target not in TARGETS:
        raise fail(source, key, f"an observation has no such column{nearest(target, TARGETS)}")
    if isinstance(given, str):
        given = {"column": given}
    if not isinstance(given, dict):
        raise fail(source, key, f"{given!r} is neither the name of a column nor a table like {{value = ...}}")
    allowed = ("column", "value", "optional", *_KEYS[target])
    for name in given:
        if name not in allowed:
            raise fail(source, f"{key}.{name}", f"no such key{nearest(name, allowed)}")
    read_from = [name for name in ("column", "value", "flags") if name in given]
    if len(read_from) != 1:
        raise fail(source, key, f"needs one of column, value{', flags' * ('flags' in allowed)}; it has {read_from}")
    names = given.get("column", [])
    names = [names] if isinstance(names, str) else names
    _expect(source, f"{key}.column", names, _is_texts(names), "a column's name or a list of names")
    found = Column(
        target,
        columns=tuple(names),
        value=given.get("value"),
        optional=_bool(source, key, given, "optional", False),
        map=_map(source, key, given.get("map")),
        default=given.get("default"),
        has_default="default" in given,
        separator=_text(source, key, given, "separator"),
        flags=_flags(source, key, given),
        formats=_formats(source, key, given),
        zone=_text(source, key, given, "zone"),
        midnight_is_day=_bool(source, key, given, "midnight_is_day", False),
        scale=_scale(source, key, target, given),
        zero_is_missing=_bool(source, key, given, "zero_is_missing", False),
        prefix=_prefix(source, key, given),
        missing=_missing(source, key, given),
    )
    _check_values(source, key, found)
    return found


def _check_values(source: Source, key: str, column: Column) -> None:
    """What a constant, a map or a default gives must be something the target can hold."""
    given = dict(column.map or {})
    if column.has_default:
        given["default"] = column.default
    if column.value is not None:
        given = {"value": column.value}
    for word, value in given.items():
        where = f"{key}.{word}" if word in ("value", "default") else f"{key}.map.{word}"
        if column.target == "what":
            _check_likelihoods(source, where, value)
        elif column.target == "kind":
            _expect(source, where, value, value in KINDS, f"one of {', '.join(KINDS)}")
        elif column.target == "when":
            _expect(source, where, value, value in SPANS, f"one of {', '.join(SPANS)}")
        elif column.target == "where":
            _expect(source, where, value, _is_number(value) and 0 < value <= 1e7, "metres (1 sigma)")
        elif column.target in TEXTS:
            _expect(source, where, value, isinstance(value, str), "a text")
        elif column.target in TIMES:
            _expect(source, where, value, isinstance(value, str), "a time, written as text")
        elif column.target in COUNTS:
            _expect(source, where, value, isinstance(value, int) and not isinstance(value, bool), "a whole number")
        else:
            high = DEGREES.get(column.target)
            low, high = (-high, high) if high else NUMBERS[column.target]
            _expect(source, where, value, _is_number(value) and low <= value <= high, f"a number in {low:g}..{high:g}")
    if column.target in ("when", "where") and column.map is None and column.value is None:
        raise fail(source, key, "needs a map from the file's words or codes")


def _check_likelihoods(source: Source, where: str, value: Any) -> None:
    terms = {value: 1.0} if isinstance(value, str) else value
    _expect(source, where, value, isinstance(terms, dict), "a term, or likelihoods of terms")
    for term, chance in terms.items():
        if term and term not in TAXONOMY:
            raise fail(source, where, f"the taxonomy has no term {term!r}{nearest(term, TAXONOMY)}")
        _expect(source, f"{where}.{term}", chance, _is_number(chance) and 0 < chance <= 1, "a probability")
    if sum(terms.values()) > 1 + 1e-9:
        raise fail(source, where, f"the likelihoods add up to {sum(terms.values()):g}, more than 1")


def _map(source: Source, key: str, given: Any) -> Mapping[str, Any] | None:
    if given is None:
        return None
    _expect(source, f"{key}.map", given, isinstance(given, dict), "a table from words to values")
    return {str(word): value for word, value in given.items()}


def _flags(source: Source, key: str, given: Mapping[str, Any]) -> dict[str, str]:
    flags = given.get("flags", {})
    right = isinstance(flags, dict) and _is_texts([*flags, *flags.values()])
    _expect(source, f"{key}.flags", flags, right, "a table from columns of 0 and 1 to words")
    return dict(flags)


def _formats(source: Source, key: str, given: Mapping[str, Any]) -> tuple[str, ...]:
    formats = given.get("format", ["iso"])
    formats = [formats] if isinstance(formats, str) else formats
    right = _is_texts(formats) and all(f in ("iso", "unix_s", "unix_ms") or "%" in f for f in formats)
    _expect(source, f"{key}.format", formats, right and bool(formats), "iso, unix_s, unix_ms, or like '%d.%m.%Y %H:%M'")
    return tuple(formats)


def _scale(source: Source, key: str, target: str, given: Mapping[str, Any]) -> float:
    """The factor into our unit, said as a number or as the unit's name."""
    if "unit" in given:
        if "scale" in given:
            raise fail(source, key, "needs one of unit, scale; it has both")
        known: Mapping[str, float] = next((UNITS[end] for end in UNITS if target.endswith(end)), {})
        if not known:
            raise fail(source, f"{key}.unit", f"{target} has no units to choose from")
        unit = given["unit"]
        if not isinstance(unit, str) or unit not in known:
            raise fail(source, f"{key}.unit", f"{unit!r} is not one of {', '.join(known)}")
        return known[unit]
    scale = given.get("scale", 1.0)
    _expect(source, f"{key}.scale", scale, _is_number(scale) and scale > 0, "a number to multiply by")
    return float(scale)


def _prefix(source: Source, key: str, given: Mapping[str, Any]) -> str:
    """What identities begin with, so that those of several registers are kept apart."""
    prefix = _text(source, key, given, "prefix") or ""
    _expect(source, f"{key}.prefix", prefix, not prefix or prefix.endswith(":"), "a text like 'mmsi:' or 'icao:'")
    return prefix


def _missing(source: Source, key: str, given: Mapping[str, Any]) -> tuple[float, ...]:
    """The numbers that a file writes for "not known"."""
    said = given.get("missing", [])
    said = said if isinstance(said, list) else [said]
    _expect(source, f"{key}.missing", said, all(_is_number(value) for value in said), "a number or a list of numbers")
    return tuple(map(float, said))


def _bool(source: Source, key: str, given: Mapping[str, Any], name: str, otherwise: bool) -> bool:
    value = given.get(name, otherwise)
    _expect(source, f"{key}.{name}", value, isinstance(value, bool), "true or false")
    return bool(value)


def _text(source: Source, key: str, given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    _expect(source, f"{key}.{name}", value, value is None or (isinstance(value, str) and value != ""), "a text")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) and value for value in values)


def _expect(source: Source, where: str, value: Any, right: bool, what: str) -> None:
    if not right:
        raise MissionError(f"source {source.id!r}: {where}: {value!r} is not {what}")
