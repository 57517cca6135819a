"""AIS as tables: the columns that archives of vessel traffic write, by their names.

    MMSI,BaseDateTime,LAT,LON,SOG,COG,Heading,VesselName,IMO,CallSign,VesselType,Status,...     MarineCadastre (NOAA)
    MMSI,Message_ID,Repeat_indicator,Time,Millisecond,...,SOG,Accuracy,Longitude,Latitude,...   exactEarth, AISdb
    ID,ais_pos_timestamp,longitude,latitude                                                    anonymised fixes

Case, order, blanks, `_` and `#` in names do not matter; other columns stay in the record's bytes. Speeds are knots.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.errors import SourceError
from truceline.feeds import ais_messages as ais
from truceline.feeds import options, values
from truceline.feeds.batch import Faults, shown
from truceline.kernels.nmea import NONE
from truceline.mission import Source
from truceline.observation import nullable

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

#: What a column means, and the names it goes by.
NAMES: Final[dict[str, tuple[str, ...]]] = {
    "mmsi": ("mmsi", "userid"),
    "id": ("id", "vesselid"),
    "at": ("basedatetime", "time", "timestamp", "datetime", "aispostimestamp", "tstamp", "datetimeutc"),
    "millisecond": ("millisecond",),
    "lon": ("lon", "longitude", "long"),
    "lat": ("lat", "latitude"),
    "speed": ("sog", "speed"),
    "course": ("cog", "course"),
    "heading": ("heading", "trueheading"),
    "name": ("vesselname", "shipname", "name"),
    "callsign": ("callsign",),
    "imo": ("imo", "imonumber"),
    "ship_type": ("vesseltype", "shiptype"),
    "status": ("status", "navigationalstatus", "navstatus"),
    "draught": ("draft", "draught"),
    "destination": ("destination",),
    "second": ("utcsecond",),
    "accuracy": ("accuracy", "positionaccuracy"),
    "raim": ("raimflag", "raim"),
    "message": ("messageid", "messagetype", "msgtype"),
    "part": ("partnumber",),
    "turn": ("rot",),
    "altitude": ("altitude",),
    "bow": ("dimensiontobow",),
    "stern": ("dimensiontostern",),
    "port": ("dimensiontoport",),
    "starboard": ("dimensiontostarboard",),
    "length": ("length",),
    "width": ("width",),
    "station": ("basestation",),
    "text": ("safetytext",),
}
#: What a number may be; what is beyond is no value of AIS. Those that say "not available" are within.
RANGES: Final = {
    "mmsi": (0, 999_999_999), "message": (1, 27), "part": (0, 3), "second": (0, 63), "millisecond": (0, 60_000),
    "lon": (-181, 181), "lat": (-91, 91), "speed": (-1, 1023), "course": (-360, 720), "heading": (-360, 720),
    "turn": (-1000, 1000), "altitude": (0, 4095), "ship_type": (0, 255), "accuracy": (0, 1), "raim": (0, 1),
    "draught": (0, 255), "length": (0, 2000), "width": (0, 2000), "bow": (0, 2000), "stern": (0, 2000),
    "port": (0, 2000), "starboard": (0, 2000),
}  # fmt: skip
REQUIRED = ("at", "lon", "lat")

_FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y%m%d_%H%M%S", "%d/%m/%Y %H:%M:%S",
          "%d/%m/%Y %H:%M")  # fmt: skip
#: A time written to the minute; one written to the second.
MINUTE_SIGMA_S = 30.0
#: A time without a zone is UTC: AIS knows no other.
_FIRST_US, _LAST_US = 788_918_400_000_000, 4_102_444_800_000_000


def names_of(header: Sequence[str]) -> dict[str, int]:
    """Where the columns are, by what they mean."""
    plain = ["".join(c for c in name.lower() if c.isalnum()) for name in header]
    found = {}
    for meaning, names in NAMES.items():
        position = next((plain.index(name) for name in names if name in plain), None)
        if position is not None:
            found[meaning] = position
    return found


def choose(header: list[str], name: str) -> Mapping[str, int]:
    """As `records.delimited` wants it.

    Raises
    ------
    SourceError
        When a required column is missing.
    """
    found = names_of(header)
    missing = [meaning for meaning in REQUIRED if meaning not in found]
    if "mmsi" not in found and "id" not in found:
        missing.insert(0, "mmsi")
    if missing:
        wanted = ", ".join(f"{NAMES[meaning][0]}" for meaning in missing)
        have = ", ".join(shown(column) or "" for column in header[:20])
        raise SourceError(f"{name}: no AIS sentence, and no column {wanted}; the first line has {have}")
    return found


def table_columns(text: Mapping[str, pa.Array], source: Source, faults: Faults) -> dict[str, Any]:
    """The observation's columns of the records of a table."""
    rows = faults.rows
    number = _Numbers(text, faults)
    mmsi = number("mmsi")
    if "mmsi" in text:
        broken = np.isnan(mmsi) | (mmsi != np.floor(mmsi))
        faults.add(broken, "mmsi", text["mmsi"], "is no vessel's number")
    lon, lat = _degrees(text, faults)
    options.within(source, lon, lat, faults)
    kind = _or(number("message"), 1.0).astype(np.int64)
    at, at_sigma_s, heard = _times(text, number("second"), number("millisecond"), faults)
    second = number("second")
    major, minor = ais.ellipses(lat, number("accuracy") == 1, second >= 61, kind == ais.COARSE)
    speed, course, heading = (number(name) for name in ("speed", "course", "heading"))
    with np.errstate(invalid="ignore"):
        speed[(speed < 0) | (speed > 102.25) & (kind != 9)] = np.nan
        course[(course < 0) | (course >= 360)] = np.nan
        heading[(heading < 0) | (heading >= 360)] = np.nan
    placed = np.isfinite(lon)
    ship_type = number("ship_type")
    says_type = np.isfinite(ship_type)
    term = ais.what(
        np.where(says_type & ((kind == 1) | (kind == 18)), 19, kind),
        _or(mmsi, -1.0).astype(np.int64),
        np.where(says_type, ship_type, -1).astype(np.int64),
        says_type,
    )
    no_number, empty = pa.nulls(rows, pa.int32()), pa.nulls(rows, pa.string())

    def words(name: str) -> pa.Array:
        return values.words(text[name]) if name in text else empty

    def length(stated: str, one: str, other: str) -> pa.Array:
        both = number(one) + number(other)
        return ais.whole(np.where(np.isnan(both), number(stated), both).round())

    decimetres = "bow" in text  # exactEarth keeps the message's own unit
    return {
        "sensor": words("station"),
        "kind": pc.if_else(pa.array(placed & np.isin(kind, ais.POSITIONS)), "fix", "status"),
        "what": pa.array(term),
        "at": ais.moments(at),
        "at_sigma_s": at_sigma_s,
        "lon": nullable(lon),
        "lat": nullable(lat),
        "major_m": nullable(np.where(placed, major, np.nan).astype(np.float32)),
        "minor_m": nullable(np.where(placed, minor, np.nan).astype(np.float32)),
        "tilt_deg": nullable(np.where(placed, 0.0, np.nan).astype(np.float32)),
        "alt_m": nullable(_or(number("altitude"), np.nan).astype(np.float32)),
        "speed_mps": nullable((speed * ais.KNOT_MPS).astype(np.float32)),
        "course_deg": nullable(course.astype(np.float32)),
        "identity": ais.identities(_or(mmsi, 0.0).astype(np.int64)) if "mmsi" in text else empty,
        "text": words("text"),
        "ais_type": ais.whole(number("message")) if "message" in text else no_number,
        "ais_part": ais.whole(number("part")) if "part" in text else no_number,
        "ais_nav_status": ais.whole(_or(number.plain("status"), np.nan, 15)),
        "ais_turn": ais.whole(number("turn").round()) if "turn" in text else no_number,
        "ais_heading_deg": nullable(heading.astype(np.float32)),
        "ais_second": ais.whole(second),
        "ais_accurate": ais.flags(number("accuracy")),
        "ais_raim": ais.flags(number("raim")),
        "ais_imo": ais.whole(number.plain("imo")),
        "ais_callsign": words("callsign"),
        "ais_name": words("name"),
        "ais_ship_type": ais.whole(np.where(ship_type == 0, np.nan, ship_type)),
        **{f"ais_{side}_m": ais.whole(number(side).round()) for side in ("bow", "stern", "port", "starboard")},
        "ais_length_m": length("length", "bow", "stern"),
        "ais_width_m": length("width", "port", "starboard"),
        "ais_draught_m": nullable((number("draught") * (0.1 if decimetres else 1.0)).astype(np.float32)),
        "ais_destination": words("destination"),
        "ais_heard_at": ais.moments(heard),
        "ais_channel": empty,
        "ais_own": pa.nulls(rows, pa.bool_()),
        "ais_id": empty if "mmsi" in text else words("id"),
    }


class _Numbers:
    """Columns as numbers, NaN where absent; what cannot be read or lies outside is a fault."""

    def __init__(self, text: Mapping[str, pa.Array], faults: Faults) -> None:
        self._text, self._faults = text, faults
        self._read: dict[str, Array] = {}

    def __call__(self, name: str) -> Array:
        if name not in self._text:
            return np.full(self._faults.rows, np.nan)
        low, high = RANGES[name]
        if name not in self._read:
            self._read[name] = values.numbers(self._text[name], name, self._faults, low=low, high=high)
        return self._read[name].copy()

    def plain(self, name: str) -> Array:
        """A number among words ("IMO9436472", a status in words): its digits, NaN where there are none or too many."""
        if name not in self._text:
            return np.full(self._faults.rows, np.nan)
        digits = pc.extract_regex(self._text[name], r"^\s*(?:IMO)?\s*(?P<n>\d{1,9})(?:\.0*)?\s*$")
        found = pc.struct_field(digits, "n").cast(pa.float64())
        out: Array = np.array(found.to_numpy(zero_copy_only=False), np.float64)
        return np.where(out == 0, np.nan, out) if name == "imo" else out


def _or(found: Array, otherwise: float, but: float = np.nan) -> Array:
    return np.where(np.isnan(found) | (found == but), otherwise, found)


def _degrees(text: Mapping[str, pa.Array], faults: Faults) -> tuple[Array, Array]:
    """As in messages: 181 and 91 say that there is no position."""
    out = []
    for name, most in (("lon", 180.0), ("lat", 90.0)):
        found = values.numbers(text[name], name, faults)
        found = np.where(found == most + 1, np.nan, found)
        with np.errstate(invalid="ignore"):
            faults.add(np.abs(found) > most, name, text[name], f"is outside -{most:g}..{most:g}")
            out.append(np.where(np.abs(found) > most, np.nan, found))
    absent = np.isnan(out[0] + out[1])
    return np.where(absent, np.nan, out[0]), np.where(absent, np.nan, out[1])


def _times(
    text: Mapping[str, pa.Array], second: Array, millisecond: Array, faults: Faults
) -> tuple[Whole, pa.Array, Whole]:
    """When measured, its error, and when received; microseconds."""
    given = pc.utf8_trim_whitespace(text["at"])
    heard = np.where(_to_the_minute(given), _micros(given), NONE)
    faults.add(heard == NONE, "time", text["at"], "is not a time like 2031-03-14T10:34:00 or 14/03/2031 10:34")
    outside = (heard != NONE) & ((heard < _FIRST_US) | (heard >= _LAST_US))
    faults.add(outside, "time", text["at"], "is outside the years 1995..2100")
    heard = np.where(outside, NONE, heard)
    heard = np.where(heard == NONE, NONE, heard + _or(millisecond, 0.0).astype(np.int64) * 1000)
    at, sigma = ais.times(heard, second)
    # Archives write the report's own time, not when it was heard, where they give no second of it.
    minute = pc.match_substring_regex(given, r"^\D*\d+\D\d+\D\d+[T ]\d\d:\d\d$").fill_null(False)
    written = np.where(minute.to_numpy(zero_copy_only=False), MINUTE_SIGMA_S, ais.SECOND_SIGMA_S).astype(np.float32)
    sigma = pc.if_else(pa.array(np.isnan(second)), pa.array(written, mask=at == NONE), sigma)
    return at, sigma, heard


def _to_the_minute(text: pa.Array) -> npt.NDArray[np.bool_]:
    """Where more is written than a day."""
    found = pc.match_substring_regex(text, r"\d\d:\d\d|_\d{6}$|^\d{9,10}(\.\d+)?$").fill_null(False)
    return np.asarray(found.to_numpy(zero_copy_only=False))


def _micros(text: pa.Array) -> Whole:
    """Microseconds since 1970; `NONE` for what is no time."""
    for zone in (None, "UTC"):
        try:
            return _as_micros(text.cast(pa.timestamp("us", zone)))
        except pa.ArrowInvalid:
            continue
    out = np.full(len(text), NONE)
    for form in _FORMS:
        found = _as_micros(pc.strptime(text, form, "us", error_is_null=True))
        out = np.where(out == NONE, found, out)
    written = pc.match_substring_regex(text, r"^\d{9,10}(\.\d+)?$").fill_null(False)
    seconds = pc.if_else(written, text, None).cast(pa.float64()).to_numpy(zero_copy_only=False)
    unix = np.where(np.isnan(seconds), 0.0, seconds)
    return np.where((out == NONE) & ~np.isnan(seconds), np.round(unix * 1e6).astype(np.int64), out)


def _as_micros(times: pa.Array) -> Whole:
    return np.asarray(times.cast(pa.int64()).fill_null(NONE).to_numpy())
