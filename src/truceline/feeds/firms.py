"""Satellite fires: the CSV files of NASA FIRMS, near real time and archive, VIIRS and MODIS.

    latitude,longitude,bright_ti4,scan,track,acq_date,acq_time,satellite,instrument,confidence,version,bright_ti5,
    frp,daynight[,type]

    latitude, longitude  degrees, WGS 84, of the pixel's middle: the fire may be anywhere in the pixel
    bright_ti4, bright_ti5 or brightness, bright_t31
                         brightness temperature of two channels, K
    scan, track          the pixel's size across and along the satellite's track, km
    acq_date, acq_time   UTC; the time as HHMM without leading zeros (56 is 00:56), or as HH:MM
    satellite            N or 1 or 20 ..., a letter, number or name
    confidence           l n h or low nominal high (VIIRS), 0 to 100 (MODIS)
    frp                  fire radiative power, MW
    type                 0 presumed vegetation fire, 1 active volcano, 2 other static source on land, 3 offshore

Only latitude, longitude and acq_date are required: the short form LATITUDE,LONGITUDE,ACQ_DATE gives
hotspots of a day, without satellite, with a round pixel. Case and order of columns do not matter; others are
left out.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.agreement import Assumption
from truceline.errors import MissionError, SourceError
from truceline.feeds import options, values
from truceline.feeds.batch import Batch, Faults, Intake, shown
from truceline.feeds.records import CHUNK_BYTES, delimited
from truceline.mission import Source
from truceline.observation import nullable

Array = npt.NDArray[np.float64]

LICENCE = "NASA FIRMS, open data"
REQUIRED = ("latitude", "longitude", "acq_date")
#: Numbers and what they may be; background noise can make the power negative.
NUMBERS = {
    "scan": (0.1, 20.0),
    "track": (0.1, 20.0),
    "frp": (-1e6, 1e6),
    "bright_ti4": (0.0, 2000.0),
    "bright_ti5": (0.0, 2000.0),
    "brightness": (0.0, 2000.0),
    "bright_t31": (0.0, 2000.0),
}
OPTIONAL = ("acq_time", "satellite", "instrument", "confidence", "version", "daynight", "type", *NUMBERS)

#: Names of satellites by what the files call them.
SATELLITES = {
    **dict.fromkeys(("n", "npp", "snpp", "s-npp", "suomi npp", "suomi-npp"), "S-NPP"),
    **dict.fromkeys(("1", "20", "n20", "j1", "noaa20", "noaa-20", "noaa 20", "jpss-1"), "NOAA-20"),
    **dict.fromkeys(("2", "21", "n21", "j2", "noaa21", "noaa-21", "noaa 21", "jpss-2"), "NOAA-21"),
    **dict.fromkeys(("t", "terra"), "Terra"),
    **dict.fromkeys(("a", "aqua"), "Aqua"),
}
_INSTRUMENT = {"S-NPP": "VIIRS", "NOAA-20": "VIIRS", "NOAA-21": "VIIRS", "Terra": "MODIS", "Aqua": "MODIS"}

#: Of each sun-synchronous orbit: inclination, degrees, and local solar time of crossing the equator northwards, hours.
#: Terra and Aqua drift by minutes a year since they stopped manoeuvring; 15 minutes turn a pixel by 3 degrees.
ORBITS = {
    "S-NPP": (98.7, 13.42),
    "NOAA-20": (98.7, 13.42),
    "NOAA-21": (98.7, 13.42),
    "Terra": (98.2, 22.4),
    "Aqua": (98.2, 13.6),
}

#: Pixel size when the file has none, km: root mean square over the swath, VIIRS as found in a year of Ukraine; the
#: coarser one where the instrument is unknown.
NOMINAL_KM: Final = {"VIIRS": 0.47, "MODIS": 1.6}

#: 1-sigma error of the pixel's middle, metres, each way. VIIRS: NASA states 75 m; MODIS: 50 m at nadir, more off it.
GEOLOCATION_M: Final = {"VIIRS": 75.0, "MODIS": 100.0}

#: `acq_time` is when a granule began: 2 minutes long as found near real time, 5 or 6 in the archives.
TIME_SIGMA_S = 120.0

#: Probability that a detection of a class of confidence is something burning or as hot.
CONFIDENCE = {
    "low": Assumption(0.6, "the users' guide: often sun glint; no rate is published", "low"),
    "nominal": Assumption(0.95, "under 1.2 % false alarms in the makers' assessment; more over roofs and industry"),
    "high": Assumption(0.99, "saturated pixels; as nominal", "medium"),
}
_CLASSES = {"l": "low", "low": "low", "n": "nominal", "nominal": "nominal", "h": "high", "high": "high"}
#: MODIS percentages by class, as its users' guide cuts them.
_LOW_BELOW, _HIGH_FROM = 30, 80

_DAY_US = 86_400_000_000


class Firms:
    """The feed `firms`: every record a `hotspot` of `fire`."""

    def check(self, source: Source) -> None:
        """Options: `bounds`, `satellite`, `instrument` (for files that do not say)."""
        where = f"source {source.id!r}"
        if source.preset is not None or source.columns:
            key = "columns" if source.columns else "preset"
            raise MissionError(f"{where}: {key}: belongs to the feed 'table'; 'firms' knows its columns")
        options.known(source, ("bounds", "satellite", "instrument"))
        options.bounds(source)
        satellite = options.text(source, "satellite")
        if satellite is not None and satellite.lower() not in SATELLITES:
            names = sorted(set(SATELLITES.values()))
            raise MissionError(f"{where}: options.satellite = {satellite!r}{values.nearest(satellite, names)}")
        options.one_of(source, "instrument", tuple(NOMINAL_KM))

    def read(
        self, source: Source, path: str, name: str, received_at: datetime, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[Batch]:
        """The file's records, in order."""
        intake = Intake(source, name, received_at, source.licence or LICENCE)

        def choose(header: list[str]) -> Mapping[str, int]:
            return _choose(header, name)

        for records in delimited(path, name, choose, chunk_bytes=chunk_bytes):
            yield intake.batch(records, partial(_columns, records.columns, source))


def _choose(header: list[str], name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for position, column in enumerate(header):
        found.setdefault(column.lower(), position)
    missing = [column for column in REQUIRED if column not in found]
    if missing:
        have = ", ".join(shown(column) or "" for column in header[:20])
        raise SourceError(f"{name}: no column {', '.join(missing)}; the header has {have}")
    return {column: found[column] for column in REQUIRED + OPTIONAL if column in found}


def _columns(text: Mapping[str, pa.Array], source: Source, faults: Faults) -> dict[str, Any]:
    rows = faults.rows
    lat = values.numbers(text["latitude"], "latitude", faults, low=-90, high=90, required=True)
    lon = values.numbers(text["longitude"], "longitude", faults, low=-180, high=180, required=True)
    options.within(source, lon, lat, faults)
    number = {
        column: values.numbers(text[column], column, faults, low=low, high=high)
        if column in text
        else np.full(faults.rows, np.nan)
        for column, (low, high) in NUMBERS.items()
    }
    at_us, instant = _times(text, faults)
    satellite, instrument = _satellites(text, source, rows)
    major, minor, tilt = _ellipses(lon, lat, at_us, instant, satellite, instrument, number["scan"], number["track"])
    day = pa.array(instant)
    return {
        "sensor": satellite,
        "kind": "hotspot",
        "what": "fire",
        "confidence": _confidence(text.get("confidence"), faults),
        "means": "recorded",
        "at": values.times(at_us, np.zeros(rows, np.bool_)),
        "at_sigma_s": pc.if_else(day, pa.scalar(TIME_SIGMA_S, pa.float32()), pa.scalar(0.0, pa.float32())),
        "until": values.times(at_us + _DAY_US, instant),
        "lon": lon,
        "lat": lat,
        "major_m": major.astype(np.float32),
        "minor_m": minor.astype(np.float32),
        "tilt_deg": tilt.astype(np.float32),
        "firms_frp": nullable(number["frp"]),
        "firms_bright": nullable(np.fmax(number["bright_ti4"], number["brightness"])),
        "firms_bright2": nullable(np.fmax(number["bright_ti5"], number["bright_t31"])),
        "firms_confidence": _given(text, "confidence", rows),
        "firms_daynight": _given(text, "daynight", rows),
        "firms_scan_km": nullable(number["scan"]),
        "firms_track_km": nullable(number["track"]),
        "firms_version": _given(text, "version", rows),
        "firms_instrument": instrument,
        "firms_type": values.whole(text["type"], "type", faults) if "type" in text else pa.nulls(rows, pa.int32()),
    }


def _given(text: Mapping[str, pa.Array], column: str, rows: int) -> pa.Array:
    return values.words(text[column]) if column in text else pa.nulls(rows, pa.string())


def _times(text: Mapping[str, pa.Array], faults: Faults) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Microseconds since 1970, and whether that is a moment (else the beginning of a day)."""
    days, codes = values.each(text["acq_date"], _day)
    known = np.array([day is not None for day in days], np.bool_)[codes]
    faults.add(~known, "acq_date", text["acq_date"], "is not a date like 2023-02-24")
    at = np.array([(day or 0) * _DAY_US for day in days], np.int64)[codes]
    if "acq_time" not in text:
        return at, np.zeros(faults.rows, np.bool_)
    minutes, codes = values.each(text["acq_time"], _minute)
    minute = np.array(minutes, np.int64)[codes]
    faults.add(minute == _UNREADABLE, "acq_time", text["acq_time"], "is not a time of day, HHMM")
    instant = minute >= 0
    return at + np.where(instant, minute, 0) * 60_000_000, instant


_NO_TIME, _UNREADABLE = -1, -2


def _day(text: str | None) -> int | None:
    """Days since 1970; FIRMS has no other form than YYYY-MM-DD, and nothing before Terra flew."""
    if text is None or not re.fullmatch(r"\s*\d{4}-\d\d-\d\d\s*", text, re.ASCII):
        return None
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return None
    return (day - date(1970, 1, 1)).days if 1999 <= day.year <= 2100 else None


def _minute(text: str | None) -> int:
    """Minute of the day of HHMM without leading zeros or HH:MM; `_NO_TIME` when none is given."""
    text = (text or "").strip()
    if not text:
        return _NO_TIME
    match = re.fullmatch(r"(\d{1,2}):(\d\d)(?::\d\d)?|(\d{1,4})", text, re.ASCII)
    if match is None:
        return _UNREADABLE
    hour, minute = (int(match[1]), int(match[2])) if match[1] else divmod(int(match[3]), 100)
    return hour * 60 + minute if hour < 24 and minute < 60 else _UNREADABLE


def _satellites(text: Mapping[str, pa.Array], source: Source, rows: int) -> tuple[pa.Array, pa.Array]:
    """The satellite's name and its instrument, each null where neither file nor options say."""
    names = text.get("satellite", pa.nulls(rows, pa.string()))
    otherwise = options.text(source, "satellite")

    def satellite(given: str | None) -> str | None:
        given = (given or "").strip() or otherwise
        return None if given is None else SATELLITES.get(given.lower(), given)

    known, codes = values.each(names, satellite)
    by_name = values.taken([_INSTRUMENT.get(name or "") for name in known], pa.string(), codes)
    stated = _given(text, "instrument", rows)
    by_channel = "VIIRS" if "bright_ti4" in text else None
    fallback = pa.scalar(options.text(source, "instrument") or by_channel, pa.string())
    instrument = pc.coalesce(pc.utf8_upper(stated), by_name, pa.repeat(fallback, rows))
    return values.taken(known, pa.string(), codes), instrument


def _confidence(text: pa.Array | None, faults: Faults) -> pa.Array:
    """Probability of a fire by class; null where the file gives no confidence."""
    if text is None:
        return pa.nulls(faults.rows, pa.float32())
    classes, codes = values.each(text, _class)
    wrong = np.array([c == "" for c in classes], np.bool_)[codes]
    faults.add(wrong, "confidence", text, "is neither low, nominal, high (l, n, h) nor 0..100")
    chances = [CONFIDENCE[c].value if c else None for c in classes]
    return values.taken(chances, pa.float32(), codes)


def _class(text: str | None) -> str | None:
    """low, nominal or high; None when none is given, "" when it cannot be read."""
    text = (text or "").strip().lower()
    if not text:
        return None
    if text in _CLASSES:
        return _CLASSES[text]
    if not re.fullmatch(r"\d{1,3}(\.0*)?", text, re.ASCII) or float(text) > 100:
        return ""
    percent = float(text)
    return "low" if percent < _LOW_BELOW else "high" if percent >= _HIGH_FROM else "nominal"


def _ellipses(
    lon: Array,
    lat: Array,
    at_us: npt.NDArray[np.int64],
    instant: npt.NDArray[np.bool_],
    satellite: pa.Array,
    instrument: pa.Array,
    scan_km: Array,
    track_km: Array,
) -> tuple[Array, Array, Array]:
    """1-sigma ellipse of the fire in its pixel: a uniform pixel (size / sqrt 12) and the error of its middle."""
    kinds, codes = values.each(instrument, lambda name: name if name in NOMINAL_KM else "MODIS")
    nominal = np.array([NOMINAL_KM[kind] for kind in kinds])[codes]
    error_m = np.array([GEOLOCATION_M[kind] for kind in kinds])[codes]
    scan_m = 1000 * np.where(np.isnan(scan_km), nominal, scan_km)
    track_m = 1000 * np.where(np.isnan(track_km), nominal, track_km)
    across, along = (np.sqrt(size**2 / 12 + error_m**2) for size in (scan_m, track_m))
    names, codes = values.each(satellite, lambda name: ORBITS.get(name or "", (np.nan, np.nan)))
    inclination, northwards = np.array(names, np.float64).reshape(-1, 2)[codes].T
    solar_h = at_us / 3.6e9 + lon / 15.0
    tilt = scan_axis_deg(lat, solar_h, inclination, northwards)
    # Which way a pixel lies is not known without time and orbit: then it is round, of the same area.
    unknown = np.isnan(tilt) | ~instant
    even = np.sqrt(across * along)
    across, along, tilt = np.where(unknown, even, across), np.where(unknown, even, along), np.where(unknown, 0.0, tilt)
    longer_across = across >= along
    tilt = np.mod(np.where(longer_across, tilt, tilt + 90.0), 180.0)
    return np.maximum(across, along), np.minimum(across, along), tilt


def scan_axis_deg(lat_deg: Array, solar_h: Array, inclination_deg: Array, northwards_h: Array) -> Array:
    """Which way a scan line runs through a pixel, degrees clockwise from true north, 0 <= a < 180.

    A scan lies in the plane of nadir and of the normal of the orbit, so every scan line is part of a great
    circle through the pole of the orbit. A sun-synchronous orbit keeps that pole at latitude
    90 - inclination, six hours of local solar time before the place where it crosses the equator northwards.
    So the pixel's latitude and local solar time give the direction, by day and night and on either side of
    the track. Neighbouring pixels of real overpasses lie along it (tested).

    Parameters
    ----------
    lat_deg
        (n,) of the pixels.
    solar_h
        (n,) local mean solar time: UTC + longitude / 15, hours.
    inclination_deg, northwards_h
        (n,) of the orbit, and local solar time of its ascending node. NaN gives NaN.
    """
    lat, pole = np.radians(lat_deg), np.radians(90.0 - inclination_deg)
    east = np.radians(15.0 * (northwards_h - 6.0 - solar_h))
    toward = np.arctan2(np.sin(east), np.cos(lat) * np.tan(pole) - np.sin(lat) * np.cos(east))
    return np.asarray(np.mod(np.degrees(toward), 180.0))
