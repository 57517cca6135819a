"""State vectors: what a receiver or a network has put together of each aircraft, as tables and as JSON.

    timestamp,icao24,latitude,longitude,altitude,groundspeed,track,vertical_rate,callsign,squawk,onground   traffic
    time,icao24,lat,lon,velocity,heading,vertrate,callsign,onground,squawk,baroaltitude,geoaltitude         OpenSky
    {"now": 1931257300.1, "aircraft": [{"hex": "4b1814", "lat": 48.1, "seen_pos": 0.4, ...}, ...]}          readsb
    {"time": 1931257300, "states": [["4b1814", "SWR1  ", "Switzerland", 1931257299, ...], ...]}             OpenSky

Networks differ in units: `velocity`, `vertrate` and `baroaltitude` are metric, and so are then `vertical_rate`,
`geoaltitude` and `baro_altitude`; the others are knots, feet and feet a minute.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.errors import SourceError
from truceline.feeds import options, values
from truceline.feeds.adsb_terms import FOOT_M, KNOT_MPS, LAG_SIGMA_S, UNSTATED_M, epu_sigma_m, flags, moments, term
from truceline.feeds.batch import UNTIMED, Faults, shown
from truceline.kernels.modes import NONE
from truceline.mission import Source
from truceline.observation import nullable

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

_CLIMB = FOOT_M / 60
#: What a column means, the names it goes by, and the factor to our unit: of a metric table the second, where given.
NAMES: Final[dict[str, dict[str, tuple[float, ...]]]] = {
    "measured": {"last_position": (1,), "lastposupdate": (1,), "time_position": (1,)},
    "at": {"timestamp": (1,), "time": (1,), "last_contact": (1,), "lastcontact": (1,)},
    "age": {"seen_pos": (1,)},
    "silence": {"seen": (1,)},
    "address": {"icao24": (1,), "hex": (1,), "icao": (1,)},
    "lon": {"longitude": (1,), "lon": (1,)},
    "lat": {"latitude": (1,), "lat": (1,)},
    "altitude": {
        "altitude": (FOOT_M, 1), "baroaltitude": (1,), "baro_altitude": (FOOT_M, 1), "alt_baro": (FOOT_M,),
    },
    "geo_altitude": {"geoaltitude": (FOOT_M, 1), "geo_altitude": (FOOT_M, 1), "alt_geom": (FOOT_M,)},
    "speed": {"groundspeed": (KNOT_MPS,), "gs": (KNOT_MPS,), "velocity": (1,)},
    "course": {"track": (1,), "true_track": (1,), "heading": (1,)},
    "climb": {"vertical_rate": (_CLIMB, 1), "vertrate": (1,), "baro_rate": (_CLIMB,)},
    "callsign": {"callsign": (1,), "flight": (1,)},
    "squawk": {"squawk": (1,)},
    "on_ground": {"onground": (1,), "on_ground": (1,)},
    "category": {"category": (1,)},
    "nacp": {"nac_p": (1,), "nacp": (1,)},
}  # fmt: skip
#: Names of columns that are no numbers, even where digits stand in them.
WORDS = frozenset(
    alias for meaning in ("address", "callsign", "squawk", "on_ground", "category") for alias in NAMES[meaning]
)
#: What a number may be, as written, either way of 0: what is beyond is a mistake, not an aircraft.
MOST: Final = {
    "lon": 180.0, "lat": 90.0, "altitude": 5e5, "geo_altitude": 5e5, "speed": 1e4, "course": 720.0, "climb": 1e5,
    "nacp": 15.0, "age": 1e7, "silence": 1e7,
}  # fmt: skip
REQUIRED = ("address", "lon", "lat")
METRIC = ("velocity", "vertrate", "baroaltitude")

#: Who moves at this speed is elsewhere a second later, by more than the last digit of a position.
REPEATED_MPS = 5.0

#: What the elements of OpenSky's `states` are.
STATE_COLUMNS = ("icao24", "callsign", "origin_country", "time_position", "last_contact", "longitude", "latitude",
                 "baro_altitude", "on_ground", "velocity", "true_track", "vertical_rate", "sensors", "geo_altitude",
                 "squawk", "spi", "position_source", "category")  # fmt: skip
#: OpenSky counts categories from 2, A1, on.
_OPENSKY = {
    str(n): name
    for n, name in enumerate(("A1", "A2", "A3", "A4", "A5", "A6", "A7", "B1", "B2", "B3", "B4", "", "B6", "B7", "C1",
                              "C2", "C3", "C4", "C5"), 2)
}  # fmt: skip

_FIRST_US, _LAST_US = 315_532_800_000_000, 4_102_444_800_000_000
_FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%S%z")


def choose(header: Sequence[str], name: str) -> dict[str, int]:
    """Columns of a table, lower case, and where they are; as `records.delimited` wants it.

    Raises
    ------
    SourceError
        When address, position or time is missing.
    """
    lower = [column.lower().strip() for column in header]
    found = {alias: lower.index(alias) for names in NAMES.values() for alias in names if alias in lower}
    missing = [meaning for meaning in REQUIRED if not any(alias in found for alias in NAMES[meaning])]
    if not any(alias in found for meaning in ("at", "measured") for alias in NAMES[meaning]):
        missing.append("at")
    if missing:
        wanted = ", ".join(next(iter(NAMES[meaning])) for meaning in missing)
        have = ", ".join(shown(column) or "" for column in header[:20])
        raise SourceError(f"{name}: no Mode S frame, and no column {wanted}; the first line has {have}")
    return found


def every_name() -> list[str]:
    """All names that a column may have."""
    return [alias for names in NAMES.values() for alias in names]


class States:
    """One file's state vectors: the units of its kind, and the time of a snapshot whose records have none."""

    def __init__(self, source: Source, metric: bool | None = None, snapshot_us: int = NONE) -> None:
        self.source, self.metric, self.snapshot_us = source, metric, snapshot_us
        self._last: dict[
            str | None, tuple[float, float, int]
        ] = {}  # of each aircraft: its last row's position and time

    def columns(self, text: Mapping[str, pa.Array], faults: Faults) -> dict[str, Any]:
        """The observation's columns of some records."""
        if self.metric is None:
            self.metric = any(alias in text for alias in METRIC)
        said = _Said(text, self.metric, faults)
        rows = faults.rows
        lon, lat = said.number("lon"), said.number("lat")
        faults.add(np.isnan(lon) != np.isnan(lat), "position", None, "has only one of longitude and latitude")
        options.within(self.source, lon, lat, faults)
        placed = np.isfinite(lon) & np.isfinite(lat)
        at_us, own_time = self._times(said, placed, faults)
        nacp = said.number("nacp")
        sigma = np.where(np.isnan(nacp), UNSTATED_M, epu_sigma_m(np.where(np.isnan(nacp), -1, nacp).astype(np.int64)))
        sigma = np.where(placed, np.where(np.isnan(sigma), UNSTATED_M, sigma), np.nan).astype(np.float32)
        identity, speed = said.identity(), said.number("speed")
        altitude, geo_altitude = said.number("altitude"), said.number("geo_altitude")
        course = np.mod(said.number("course"), 360.0)
        category = said.category()
        on_ground = said.flags("on_ground")
        on_ground = np.where(said.grounded, 1, on_ground)
        nothing, empty = pa.nulls(rows, pa.float32()), pa.nulls(rows, pa.string())
        out: dict[str, Any] = {
            "what": values.taken([term(one) for one in category[0]], pa.string(), category[1]),
            "at": moments(at_us),
            "at_sigma_s": pa.array(np.full(rows, LAG_SIGMA_S, np.float32), mask=at_us == NONE),
            "lon": nullable(np.where(placed, lon, np.nan)),
            "lat": nullable(np.where(placed, lat, np.nan)),
            "alt_m": nullable(np.where(np.isnan(altitude), geo_altitude, altitude).astype(np.float32)),
            "major_m": nullable(sigma),
            "minor_m": nullable(sigma),
            "tilt_deg": nullable(np.where(placed, 0.0, np.nan).astype(np.float32)),
            "speed_mps": nullable(speed.astype(np.float32)),
            "course_deg": nullable(course.astype(np.float32)),
            "identity": identity,
            "adsb_format": pa.nulls(rows, pa.int32()),
            "adsb_type": pa.nulls(rows, pa.int32()),
            "adsb_address_checked": pa.nulls(rows, pa.bool_()),
            "adsb_callsign": said.words("callsign"),
            "adsb_squawk": said.words("squawk"),
            "adsb_category": values.taken(category[0], pa.string(), category[1]),
            "adsb_on_ground": flags(on_ground),
            "adsb_climb_mps": nullable(said.number("climb").astype(np.float32)),
            "adsb_geo_above_baro_m": nullable((geo_altitude - altitude).astype(np.float32)),
            "adsb_geo_alt_m": nullable(geo_altitude.astype(np.float32)),
            "adsb_heading_deg": nothing,
            "adsb_airspeed_mps": nothing,
            "adsb_nacp": pa.array(np.nan_to_num(nacp).astype(np.int32), mask=np.isnan(nacp)),
            "adsb_pair_record": pa.nulls(rows, pa.int64()),
            "adsb_repeated": None,
            "adsb_registers": empty,
            **{f"adsb_{name}": nothing for name in ("selected_alt_m", "roll_deg", "tas_mps", "ias_mps", "mach")},
            UNTIMED: ~own_time,
        }
        use = np.flatnonzero(placed & faults.good)
        repeated = np.zeros(rows, np.bool_)
        repeated[use] = self._repeated(identity.take(pa.array(use)), lon[use], lat[use], at_us[use], speed[use])
        out["adsb_repeated"] = pa.array(repeated, mask=~placed)
        return out | {"kind": pc.if_else(pa.array(placed & ~repeated), "fix", "status")}

    def _repeated(
        self, identity: pa.Array, lon: Array, lat: Array, at_us: Whole, speed_mps: Array
    ) -> npt.NDArray[np.bool_]:
        """Which of some rows tell their aircraft's last position again, to the digit, although the aircraft moves.

        Networks fill a table's seconds with the last position they have. The same measurement twice, or one measured
        earlier than its row says, is no fix.
        """
        if not len(lon):
            return np.zeros(0, np.bool_)
        coded = identity.dictionary_encode(null_encoding="encode")
        codes, names = coded.indices.to_numpy().astype(np.int64), coded.dictionary.to_pylist()
        order = np.argsort(codes, kind="stable")
        x, y, at, code = lon[order], lat[order], at_us[order], codes[order]
        first = np.flatnonzero(np.append(True, code[1:] != code[:-1]))
        before = [np.append(column[:1], column[:-1]) for column in (x, y, at)]
        for place in first.tolist():
            known = self._last.get(names[code[place]], (np.nan, np.nan, NONE))
            for column, value in zip(before, known, strict=True):
                column[place] = value
        last = np.append(first[1:], len(code)) - 1
        for place in last.tolist():
            self._last[names[code[place]]] = (float(x[place]), float(y[place]), int(at[place]))
        moves = speed_mps[order] > REPEATED_MPS
        out = np.zeros(len(code), np.bool_)
        out[order] = (x == before[0]) & (y == before[1]) & ((at == before[2]) | moves)
        return out

    def _times(self, said: "_Said", placed: npt.NDArray[np.bool_], faults: Faults) -> tuple[Whole, npt.NDArray[Any]]:
        """When the position was measured, else when the aircraft was heard; and whether the record itself says it."""
        measured, at = said.micros("measured"), said.micros("at")
        own = np.where(placed & (measured != NONE), measured, np.where(at != NONE, at, measured))
        age, silence = said.number("age"), said.number("silence")
        ago = np.where(placed & np.isfinite(age), age, silence)
        if self.snapshot_us != NONE:
            back = np.round(np.where(np.isnan(ago), 0.0, ago) * 1e6).astype(np.int64)
            return np.where(own == NONE, self.snapshot_us - back, own), own != NONE
        return own, own != NONE


class _Said:
    """The columns of some records by their meaning, whatever their names and units."""

    def __init__(self, text: Mapping[str, pa.Array], metric: bool, faults: Faults) -> None:
        self.metric, self.faults = metric, faults
        self.given = {
            meaning: [(alias, factors, text[alias]) for alias, factors in names.items() if alias in text]
            for meaning, names in NAMES.items()
        }
        #: readsb writes "ground" for the altitude of an aircraft that is on it.
        self.grounded = np.zeros(faults.rows, np.bool_)
        for place, (alias, factors, column) in enumerate(self.given["altitude"]):
            if alias == "alt_baro":
                on_it = pc.equal(column, "ground").fill_null(False)
                self.grounded = np.asarray(on_it.to_numpy(zero_copy_only=False))
                self.given["altitude"][place] = (alias, factors, pc.if_else(on_it, None, column))

    def number(self, meaning: str) -> Array:
        """The first of the columns that says a number."""
        most = MOST[meaning]
        out = np.full(self.faults.rows, np.nan)
        for alias, factors, column in self.given[meaning]:
            if column.null_count < len(column):
                found = values.numbers(column, alias, self.faults, low=-most, high=most)
                out = np.where(np.isnan(out), found * factors[-1 if self.metric else 0], out)
        return out

    def words(self, meaning: str) -> pa.Array:
        """The first of the columns that says something; a number without its `.0`."""
        columns = [values.words(column) for _, _, column in self.given[meaning]]
        if not columns:
            return pa.nulls(self.faults.rows, pa.string())
        return pc.replace_substring_regex(pc.coalesce(*columns), r"^(\d+)\.0$", r"\1")

    def flags(self, meaning: str) -> Whole:
        """1, 0, or -1 where nothing is said."""
        found, codes = values.each(self.words(meaning), _flag)
        return np.array(found, np.int64)[codes]

    def category(self) -> tuple[list[str | None], Whole]:
        """Distinct categories as `A3`, and which is each record's."""
        return values.each(self.words("category"), lambda said: _category(said))

    def identity(self) -> pa.Array:
        """`icao:` and the address; `callsign:` where there is none that is ICAO's."""
        address, callsign = self.words("address"), self.words("callsign")
        wrong = pc.invert(pc.match_substring_regex(address, r"^~?(0x)?[0-9A-Fa-f]{6}$")).fill_null(False)
        wrong = np.asarray(wrong.to_numpy(zero_copy_only=False))
        self.faults.add(wrong, "address", address, "is not 6 hexadecimal digits")
        is_icao = pc.match_substring_regex(address, r"^(0x)?[0-9A-Fa-f]{6}$").fill_null(False)
        digits = pc.utf8_lower(pc.utf8_slice_codeunits(pc.fill_null(address, ""), -6))
        named = pc.binary_join_element_wise("callsign:", callsign, "")
        return pc.if_else(is_icao, pc.binary_join_element_wise("icao:", digits, ""), named)

    def micros(self, meaning: str) -> Whole:
        """Times in microseconds, `NONE` where there is none: numbers since 1970 by their size, or ISO 8601."""
        out = np.full(self.faults.rows, NONE)
        for alias, _, column in self.given[meaning]:
            if column.null_count == len(column):
                continue
            found = _micros(column)
            missing = values.absent(column)
            self.faults.add((found == NONE) & ~missing, alias, column, "is not a time: seconds since 1970 or ISO 8601")
            outside = (found != NONE) & ((found < _FIRST_US) | (found >= _LAST_US))
            self.faults.add(outside, alias, column, "is outside the years 1980..2100")
            out = np.where(out == NONE, found, out)
        return out


def _micros(text: pa.Array) -> Whole:
    numeric = pc.match_substring_regex(text, r"^\s*\d+(\.\d*)?(e\+?\d+)?\s*$").fill_null(False)
    number = pc.if_else(numeric, pc.utf8_trim_whitespace(text), None).cast(pa.float64())
    seconds = number.to_numpy(zero_copy_only=False)
    size = np.where(np.isnan(seconds), 0.0, seconds)
    # Digits of now: 10 of seconds, 13 of milliseconds, 16 of microseconds, 19 of nanoseconds.
    scale = np.where(size > 1e17, 1e-3, np.where(size > 1e14, 1.0, np.where(size > 1e11, 1e3, 1e6)))
    micros = np.round(np.minimum(size * scale, 9e18)).astype(np.int64)
    out = np.where(np.isnan(seconds), NONE, micros)
    rest = pc.if_else(numeric, None, pc.utf8_trim_whitespace(text))
    if rest.null_count < len(rest):
        rest = pc.replace_substring_regex(pc.replace_substring_regex(rest, r"Z$", "+0000"), r"\.\d+", "")
        rest = pc.replace_substring_regex(rest, r"([+-]\d\d):(\d\d)$", r"\1\2")
        for form in _FORMS:
            found = pc.strptime(rest, form, "us", error_is_null=True).cast(pa.int64()).fill_null(NONE).to_numpy()
            out = np.where(out == NONE, found, out)
    return out


def _flag(text: str | None) -> int:
    word = (text or "").lower()
    return 1 if word in ("true", "1", "t") else 0 if word in ("false", "0", "f") else -1


def _category(text: str | None) -> str | None:
    word = (text or "").upper()
    return word if len(word) == 2 and word[0] in "ABCD" else _OPENSKY.get(word) or None
