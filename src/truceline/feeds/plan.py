"""What the mission file says of a table source, checked before any file is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from truceline.feeds import columns, options
from truceline.feeds.columns import Column
from truceline.feeds.presets import PRESETS
from truceline.feeds.values import nearest
from truceline.mission import Source

OPTIONS = ("bounds", "delimiter", "decimal", "zone", "format", "reported_within_h")
FORMATS = ("csv", "geojson", "parquet")

Map = Mapping[str, Column]


@dataclass(frozen=True)
class Plan:
    """What the mission file says of one source, checked: the forms its files may have, and the options."""

    forms: Sequence[tuple[tuple[str, ...], Map]]  # the columns that tell a form, and its map
    zone: tzinfo
    delimiter: str
    decimal: str
    format: str | None
    reported_within_s: float
    licence: str | None

    def form(self, header: Sequence[str]) -> Map:
        """The column map for a file with this header."""
        names = {name.lower() for name in header}
        return next(form for tells, form in self.forms if names.issuperset(tells) or form is self.forms[-1][1])


def plan(source: Source) -> Plan:
    """The source's part of the mission file, checked.

    Raises
    ------
    MissionError
        Naming the key, the value and the nearest valid name.
    """
    options.known(source, OPTIONS)
    options.bounds(source)
    preset: dict[str, Any] = {"forms": [((), {})]}
    if source.preset is not None:
        if source.preset not in PRESETS:
            hint = nearest(source.preset, PRESETS)
            raise options.fail(source, "preset", f"there is no preset {source.preset!r}{hint}")
        preset = PRESETS[source.preset]
    forms = []
    for tells, given in preset["forms"]:
        whole = {**given, **source.columns}
        if "what" not in whole:
            hint = "say what the records tell of, as columns.what = {value = 'explosion'}, or give a preset"
            raise options.fail(source, "columns.what", f"is missing: {hint}")
        if ("lon" in whole) != ("lat" in whole):
            raise options.fail(source, "columns", "lon and lat go together")
        forms.append((tells, {target: columns.column(source, target, said) for target, said in whole.items()}))
    zone = _zone(source, "options.zone", options.text(source, "zone") or preset.get("zone", "UTC"))
    for _, form in forms:
        for entry in form.values():
            if entry.zone is not None:
                _zone(source, f"columns.{entry.target}.zone", entry.zone)
    hours = options.number(source, "reported_within_h", 0, 24 * 366)
    return Plan(
        forms,
        zone=zone,
        delimiter=_delimiter(source),
        decimal=options.one_of(source, "decimal", (".", ",")) or ".",
        format=options.one_of(source, "format", FORMATS),
        reported_within_s=3600 * (preset.get("reported_within_h", 0.0) if hours is None else hours),
        licence=preset.get("licence"),
    )


def _zone(source: Source, key: str, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise options.fail(source, key, f"{name!r} is not a time zone like 'Europe/Kyiv'") from error


def _delimiter(source: Source) -> str:
    given = source.options.get("delimiter", ",")
    if not isinstance(given, str) or len(given) != 1 or not given.isascii() or given in '"\r\n\0':
        raise options.fail(source, "options.delimiter", f"{given!r} is not one character like ';'")
    return given
