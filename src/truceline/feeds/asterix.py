"""ASTERIX, EUROCONTROL's format of surveillance data: categories 021, 048 and 062, raw or in a pcap capture.

    data block   category (1 byte), length (2 bytes), records
    record       FSPEC, items: one target report, plot, track or message

A record holds the time of day without a date, and a plot its range and azimuth without the radar's place: the
mission file, or the capture, gives these. See `asterix_layout` (the standard), `asterix_file` (files to records),
`asterix_items` (what the items mean), `asterix_radar` (from range and azimuth to a place).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.errors import MissionError, SourceError
from truceline.feeds import options, values
from truceline.feeds.asterix_file import Piece, pieces
from truceline.feeds.asterix_items import TERMS, TIME_SIGMA_S, Sites, numbers
from truceline.feeds.asterix_layout import layout
from truceline.feeds.batch import DAY, UNTIMED, Batch, Faults, Intake
from truceline.feeds.records import CHUNK_BYTES
from truceline.kernels import asterix as cut
from truceline.kernels import bits
from truceline.mission import Source
from truceline.observation import nullable

Array = npt.NDArray[np.float64]

DAY_S, DAY_US = 86_400, 86_400_000_000
FIRST_US, LAST_US = 315_532_800_000_000, 4_102_444_800_000_000  # 1980, 2100
_SITE = ("lon", "lat", "alt_m", "range_sigma_m", "azimuth_sigma_deg", "name")
#: What may be said of a radar: antenna heights, and errors from the best to what nobody would use.
_LIMITS = {
    "lon": (-180.0, 180.0),
    "lat": (-90.0, 90.0),
    "alt_m": (-500.0, 9000.0),
    "range_sigma_m": (1.0, 10_000.0),
    "azimuth_sigma_deg": (0.001, 30.0),
}
_DETECTIONS = ("none", "primary", "secondary", "both", "mode S", "mode S", "mode S and primary", "mode S and primary")


class Asterix:
    """The feed `asterix`: target reports, plots and tracks are `fix`; messages of sensors and services `status`."""

    def check(self, source: Source) -> None:
        """Options: `bounds`, `sites` (radars by "SAC/SIC"), `day` (of a stream of blocks)."""
        if source.preset is not None or source.columns:
            key = "columns" if source.columns else "preset"
            raise MissionError(f"source {source.id!r}: {key}: belongs to the feed 'table'; 'asterix' knows its items")
        options.known(source, ("bounds", "sites", "day"))
        options.bounds(source)
        _sites(source)
        _day(source, "2000-01-01")

    def read(
        self, source: Source, path: str, name: str, received_at: datetime, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[Batch]:
        """The file's records, in order."""
        intake = Intake(source, name, received_at, source.licence, "asterix_occurrence")
        calendar = _Calendar(source, name)
        radars = _Radars(source)
        for piece in pieces(path, name, chunk_bytes):
            yield intake.batch(piece.records, partial(_columns, piece, source, radars, calendar))


class _Radars:
    """What the mission file says of radars and centres."""

    def __init__(self, source: Source) -> None:
        given = _sites(source)
        places = {code: tuple(site.get(key, np.nan) for key in _SITE[:5]) for code, site in given.items()}
        self.sites = Sites({code: (p[0], p[1], p[2], p[3], p[4]) for code, p in places.items()})
        self.names = {code: site["name"] for code, site in given.items() if "name" in site}


def _sites(source: Source) -> dict[tuple[int, int], dict[str, Any]]:
    """The option `sites`, by SAC and SIC."""
    given = source.options.get("sites", {})
    if not isinstance(given, dict):
        raise options.fail(
            source, "options.sites", f'{given!r} is not a table like {{"25/201" = {{lon = 16, lat = 46}}}}'
        )
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for code, said in given.items():
        key = f"options.sites.{code}"
        match = re.fullmatch(r"(\d{1,3})/(\d{1,3})", code, re.ASCII)
        if match is None or max(int(match[1]), int(match[2])) > 255:
            raise options.fail(source, key, 'a radar is named by its SAC and SIC, like "25/201"')
        if not isinstance(said, dict):
            raise options.fail(source, key, f"{said!r} is not a table like {{lon = 16.0, lat = 46.0, alt_m = 120}}")
        for name, value in said.items():
            if name not in _SITE:
                raise options.fail(source, f"{key}.{name}", f"a site has no such key{values.nearest(name, _SITE)}")
            if name == "name":
                if not isinstance(value, str) or not value.strip():
                    raise options.fail(source, f"{key}.name", f"{value!r} is not a text")
                continue
            low, high = _LIMITS[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise options.fail(source, f"{key}.{name}", f"{value!r} is not a number in {low:g}..{high:g}")
        if "lon" not in said or "lat" not in said:
            raise options.fail(source, key, "needs lon and lat")
        # Without a height the antenna is at sea level: at 30 km that moves a high aircraft by some metres.
        found[int(match[1]), int(match[2])] = {"alt_m": 0.0, **said}
    return found


def _day(source: Source, name: str) -> date | None:
    """The day on which a stream begins: the option's, or where it says "name" the date in the file's name."""
    given = options.text(source, "day")
    if given is None:
        return None
    text = given
    if given == "name":
        match = re.search(r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)(?!\d)", name.rpartition("/")[2])
        if match is None:
            raise SourceError(f"{name}: has no date in its name, where options.day looks for it")
        text = "-".join(match.groups())
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text)
    except ValueError:
        pass
    if given == "name":
        raise SourceError(f"{name}: {text} in its name, where options.day looks for the day, is no date")
    raise options.fail(source, "options.day", f"{given!r} is neither a date like '2031-03-14' nor 'name'")


class _Calendar:
    """Times of day to moments: by the packet's time, or where there is none going on from a given day.

    A time of day belongs to the day that puts it nearest: to its packet, or to the record before it. So midnight
    is passed forwards, and backwards again by a late record.
    """

    def __init__(self, source: Source, name: str) -> None:
        self._source, self._name = source, name
        self._last: tuple[int, float] | None = None  # day and time of day of the last record without a packet

    def at_us(self, tod_s: Array, packet_us: cut.Ints) -> npt.NDArray[np.int64]:
        """Microseconds since 1970 of records in order; `ABSENT` where there is neither time nor packet.

        Raises
        ------
        SourceError
            When nothing gives a date.
        """
        said, packed = np.isfinite(tod_s), packet_us != bits.ABSENT
        out, tod_us = packet_us.copy(), np.round(np.where(said, tod_s, 0.0) * 1e6).astype(np.int64)
        carried, alone = said & packed, said & ~packed
        days = np.floor_divide(packet_us[carried] - tod_us[carried] + DAY_US // 2, DAY_US)
        out[carried] = days * DAY_US + tod_us[carried]
        if alone.any():
            times = tod_s[alone]
            day, before = self._last or (self._first_day(), float(times[0]))
            steps = np.diff(times, prepend=before)
            days = day + np.cumsum((steps < -DAY_S / 2).astype(np.int64) - (steps > DAY_S / 2))
            self._last = int(days[-1]), float(times[-1])
            out[alone] = days * DAY_US + tod_us[alone]
        return out

    def _first_day(self) -> int:
        day = _day(self._source, self._name)
        if day is None:
            raise SourceError(
                f"{self._name}: holds times of day without a date: give it as options.day = '2031-03-14', or 'name' "
                f"where the file's name holds it"
            )
        return (day - date(1970, 1, 1)).days


def _columns(piece: Piece, source: Source, radars: _Radars, calendar: _Calendar, faults: Faults) -> Mapping[str, Any]:
    starts, ends = piece.item_starts, piece.item_ends
    found = numbers(layout(), piece.data, piece.categories, starts, ends, radars.sites)
    _check(found, piece, source, faults)
    packet_us = np.where(piece.packet_us == bits.ABSENT, piece.packet_us, np.clip(piece.packet_us, FIRST_US, LAST_US))
    at_us = calendar.at_us(found["tod_s"], packet_us)
    seen = (found["seen"] == 1) & np.isfinite(found["lon"] + found["lat"])
    untimed = np.isnan(found["tod_s"])
    no_time = at_us == bits.ABSENT
    day = np.where(untimed | no_time, -1, np.floor_divide(at_us, DAY_US))
    callsign = _callsigns(found["callsign"])
    located = np.isfinite(found["lon"] + found["lat"])
    ellipse = {name: nullable(np.where(located, found[name], np.nan).astype(np.float32)) for name in _ELLIPSE}
    sigma = np.where(no_time, np.nan, np.where(untimed, _PACKET_SIGMA_S, TIME_SIGMA_S.value))
    return {
        UNTIMED: untimed,
        DAY: day,
        "sensor": _sensors(found, radars.names),
        "kind": pa.array(["status", "fix"]).take(pa.array(seen.astype(np.int64))),
        "what": pa.array(TERMS).take(pa.array(found["term"].astype(np.int64))),
        "means": "recorded",
        "at": values.times(at_us, no_time),
        "at_sigma_s": nullable(sigma.astype(np.float32)),
        "lon": nullable(found["lon"]),
        "lat": nullable(found["lat"]),
        **ellipse,
        **{name: nullable(found[name].astype(np.float32)) for name in _MEASURED},
        "identity": _identities(found["address"], callsign),
        "asterix_category": pa.array(piece.categories.astype(np.int16)),
        "asterix_sac": _whole(found["sac"]),
        "asterix_sic": _whole(found["sic"]),
        "asterix_track": _whole(found["track"]),
        "asterix_mode3a": _octal(found["mode3a"]),
        "asterix_callsign": callsign,
        "asterix_flight_level": nullable(found["flight_level"].astype(np.float32)),
        "asterix_emitter": _whole(found["emitter"]),
        "asterix_detection": pa.array(_DETECTIONS).take(_whole(found["detection"])),
        "asterix_day": pa.array(day.astype(np.int32), mask=day < 0).cast(pa.date32()),
        "asterix_packet_at": values.times(packet_us, packet_us == bits.ABSENT),
    }


#: A record without a time of its own has its packet's: it may have waited for a full block.
_PACKET_SIGMA_S = 2.0
_ELLIPSE = ("major_m", "minor_m", "tilt_deg")
_MEASURED = (
    *("alt_m", "speed_mps", "course_deg"),
    *("bearing_deg", "bearing_sigma_deg", "range_m", "range_sigma_m"),
)


def _check(found: Mapping[str, Array], piece: Piece, source: Source, faults: Faults) -> None:
    """Reject what cannot be: a time of day behind midnight, a latitude behind a pole, a plot of an unplaced radar."""
    late = found["tod_s"] >= DAY_S
    faults.add(late, "time of day", _written(found["tod_s"], late), "s is more than a day has")
    found["tod_s"][late] = np.nan
    for name, most in (("lat", 90.0), ("lon", 180.0)):
        beyond = np.abs(found[name]) > most
        faults.add(beyond, name, _written(found[name], beyond), f"is outside {-most:g}..{most:g}")
    plots = (piece.categories == 48) & np.isfinite(found["range_m"] + found["bearing_deg"])
    unplaced = plots & np.isnan(found["lon"])
    if unplaced.any():
        codes = _codes(found)
        reason = "is a radar whose place is not known: give it in the mission file, options.sites"
        faults.add(unplaced, "SAC/SIC", codes, reason)
    options.within(source, found["lon"], found["lat"], faults)
    strange = (piece.packet_us != bits.ABSENT) & ((piece.packet_us < FIRST_US) | (piece.packet_us > LAST_US))
    told = _written(piece.packet_us / 1e6, strange)
    faults.add(strange, "packet time", told, "s since 1970 is outside the years 1980..2100")


def _written(column: Array, where: npt.NDArray[np.bool_]) -> pa.Array:
    """A column as text where it is to be shown."""
    if not where.any():
        return pa.nulls(len(column), pa.string())
    text = np.full(len(column), None, object)
    text[where] = [f"{value:.6g}" for value in column[where].tolist()]
    return pa.array(text, pa.string())


def _whole(column: Array) -> pa.Array:
    missing = np.isnan(column)
    return pa.array(np.where(missing, 0, column).astype(np.int32), mask=missing)


def _pairs(found: Mapping[str, Array]) -> tuple[list[int], npt.NDArray[np.int64]]:
    """The distinct SAC/SIC of records as one number each, -1 for none, and for each record the place of its own."""
    joint = np.nan_to_num(found["sac"] * 256 + found["sic"], nan=-1.0).astype(np.int64)
    distinct, places = np.unique(joint, return_inverse=True)
    return distinct.tolist(), places.astype(np.int64)


def _codes(found: Mapping[str, Array]) -> pa.Array:
    distinct, places = _pairs(found)
    return values.taken([None if code < 0 else f"{code >> 8}/{code & 255}" for code in distinct], pa.string(), places)


def _sensors(found: Mapping[str, Array], names: Mapping[tuple[int, int], str]) -> pa.Array:
    """The radar's or centre's name in the mission file, else its SAC/SIC."""
    distinct, places = _pairs(found)
    told = [names.get((code >> 8, code & 255), f"{code >> 8}/{code & 255}") if code >= 0 else None for code in distinct]
    return values.taken(told, pa.string(), places)


def _octal(column: Array) -> pa.Array:
    """Mode 3/A codes as they are spoken: four octal digits."""
    found, places = np.unique(np.nan_to_num(column, nan=-1.0).astype(np.int64), return_inverse=True)
    said = [f"{code:04o}" if code >= 0 else None for code in found.tolist()]
    return values.taken(said, pa.string(), places.astype(np.int64))


#: ICAO's six bits to characters (Annex 10): letters from 1, a blank at 32, digits from 48; nothing else is said.
_CHARACTERS = "".join(
    chr(64 + code) if 1 <= code <= 26 else chr(code) if 48 <= code <= 57 else " " for code in range(64)
)


def _callsigns(column: Array) -> pa.Array:
    """Eight characters of six bits each, without the blanks behind."""
    distinct, places = np.unique(np.nan_to_num(column, nan=0.0).astype(np.int64), return_inverse=True)
    said = []
    for code in distinct.tolist():
        text = "".join(_CHARACTERS[code >> shift & 63] for shift in range(42, -1, -6)).strip()
        said.append(text or None)
    return values.taken(said, pa.string(), places.astype(np.int64))


def _identities(address: Array, callsign: pa.Array) -> pa.Array:
    """The 24-bit address; without one the callsign. A track number is none: it is given anew."""
    known = np.isfinite(address) & (address > 0) & (address < 0xFFFFFF)
    distinct, places = np.unique(np.where(known, address, -1).astype(np.int64), return_inverse=True)
    icao = values.taken([f"icao:{a:06x}" if a >= 0 else None for a in distinct.tolist()], pa.string(), places)
    spoken = callsign.dictionary_encode()
    names = pa.array([f"callsign:{name}" for name in spoken.dictionary.to_pylist()], pa.string())
    return pc.coalesce(icao, names.take(spoken.indices))
