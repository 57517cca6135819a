"""The peer's reading: a file to a table of observations and one of rejections, with pandas.

Of truceline it takes constants, the taxonomy and the parser of column maps; every record is read here.
"""

import csv
import gzip
import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
from bench.peer_reports import DAY_US, NO_TIME, Reader, reports

from truceline.feeds import firms as known
from truceline.feeds.plan import plan
from truceline.mission import Source

FLOAT32 = ("confidence", "at_sigma_s", "major_m", "minor_m", "tilt_deg")


def read(source: Source, path: Path, data: bytes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One file: its observations and its rejections."""
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    data = data.removeprefix(b"\xef\xbb\xbf")
    geojson = re.search(r"\.(geo)?json(\.gz)?$", path.name, re.IGNORECASE)
    raws, whole, text = features(data) if geojson else records(data)
    reader = Reader(text)
    columns = hotspots(reader, source) if source.feed == "firms" else reports(reader, source, bool(geojson))
    numbers = np.flatnonzero(whole)
    good = reader.why == ""
    meant = None if source.feed == "firms" else plan(source).licence
    table = pd.DataFrame(columns, index=text.index)
    table["record"] = numbers + 1
    table["raw"] = np.asarray(raws, object)[numbers] if len(raws) else []
    table["source"], table["file"], table["release"] = source.id, path.name, source.release
    table["licence"] = source.licence or meant
    table = table[good].reset_index(drop=True)
    table["leaf"] = leaves(source.id, table["raw"], table["at_us"] == NO_TIME)
    table["observation_id"] = [leaf[:16] for leaf in table["leaf"]]
    for name in FLOAT32:
        if name in table:
            table[name] = table[name].astype(np.float32)
    broken = pd.DataFrame({"record": np.flatnonzero(~whole) + 1, "reason": "not a record of its header"})
    refused = pd.DataFrame({"record": numbers[~good] + 1, "reason": reader.why[~good]})
    rejections = pd.concat([broken, refused], ignore_index=True)
    rejections["source"], rejections["file"], rejections["release"] = source.id, path.name, source.release
    rejections["raw"] = [raws[i - 1] for i in rejections["record"]]
    rejections["leaf"] = leaves(source.id, rejections["raw"], np.zeros(len(rejections), bool))
    rejections = rejections.sort_values("record", ignore_index=True)
    return table, rejections


def leaves(source: str, raws: pd.Series, untimed) -> list[bytes]:
    """SHA-256 over source, record and, for records without a time, which occurrence of it this is."""
    name = source.encode()
    begun = hashlib.sha256(b"\x00" + len(name).to_bytes(2, "big") + name)
    which = dict(raws[untimed].groupby(raws[untimed]).cumcount() + 1) if untimed.any() else {}
    out = []
    for row, raw in enumerate(raws):
        whole = begun.copy()
        whole.update(raw)
        if row in which:
            whole.update(b"\x00occurrence %d" % which[row])
        out.append(whole.digest())
    return out


def records(data: bytes) -> tuple[list[bytes], np.ndarray, pd.DataFrame]:
    """Records of a CSV as bytes, which of them have the header's fields, and those as text."""
    lines = data.replace(b"\r\n", b"\n").split(b"\n")
    if b'"' in data:  # a quoted field may hold line ends: join lines while a quote is open
        open_ = np.cumsum([line.count(b'"') for line in lines]) % 2 == 1
        if open_.any():
            begins = np.flatnonzero(~np.concatenate([[False], open_[:-1]]))
            lines = [b"\n".join(lines[i:j]) for i, j in zip(begins, [*begins[1:], len(lines)], strict=True)]
    lines = [line for line in lines if line.strip()]
    header, *raws = lines
    names = next(csv.reader([header.decode()]))
    if b'"' in data:
        rows = list(csv.reader(io.StringIO(b"\n".join(raws).decode(), newline="")))
        whole = np.array([len(row) == len(names) for row in rows], bool)
        text = pd.DataFrame([row for row in rows if len(row) == len(names)], columns=names, dtype=str)
    else:
        whole = np.array([raw.count(b",") == len(names) - 1 for raw in raws], bool)
        good = raws if whole.all() else [raw for raw, ok in zip(raws, whole, strict=True) if ok]
        text = pd.read_csv(
            io.BytesIO(b"\n".join(good)), names=names, header=None, dtype=str, keep_default_na=False, engine="c"
        )
    return raws, whole, text


def features(data: bytes) -> tuple[list[bytes], np.ndarray, pd.DataFrame]:
    """Features of a GeoJSON as bytes and as text; points become columns."""
    text = data.decode()
    at = text.index("[", text.index('"features"')) + 1
    decoder, raws, rows = json.JSONDecoder(), [], []
    while (at := re.compile(r"[\s,]*").match(text, at).end()) < len(text) and text[at] != "]":
        feature, end = decoder.raw_decode(text, at)
        raws.append(text[at:end].encode())
        row = {k: None if v is None else v if isinstance(v, str) else repr(v) for k, v in feature["properties"].items()}
        lon, lat, *_ = feature["geometry"]["coordinates"]
        rows.append(row | {"geometry:lon": repr(lon), "geometry:lat": repr(lat)})
        at = end
    return raws, np.ones(len(raws), bool), pd.DataFrame(rows)


# ---- satellite fires ---------------------------------------------------------------------------------------------


def hotspots(reader: Reader, source: Source) -> dict[str, object]:
    text = reader.text.rename(columns=str.lower)
    lat = reader.number(text["latitude"], "latitude", -90, 90, True)
    lon = reader.number(text["longitude"], "longitude", -180, 180, True)
    reader.within(source, lon, lat)
    number = {
        name: reader.number(text[name], name, low, high) if name in text else np.full(reader.rows, np.nan)
        for name, (low, high) in known.NUMBERS.items()
    }
    day = pd.to_datetime(text["acq_date"].str.strip(), format="%Y-%m-%d", errors="coerce")
    reader.refuse(day.isna() | ~day.dt.year.between(1999, 2100), "acq_date is not a date")
    at_us = day.fillna(pd.Timestamp(0)).astype("datetime64[us]").astype(np.int64).to_numpy().copy()
    instant = np.zeros(reader.rows, bool)
    if "acq_time" in text:
        clock = text["acq_time"].str.strip()
        parts = clock.str.extract(r"^(?:(\d{1,2}):(\d\d)(?::\d\d)?|(\d{1,4}))$")
        plain = pd.to_numeric(parts[2])
        hour = pd.to_numeric(parts[0]).fillna(plain // 100).to_numpy(np.float64, na_value=np.nan)
        minute = pd.to_numeric(parts[1]).fillna(plain % 100).to_numpy(np.float64, na_value=np.nan)
        given = (clock != "").to_numpy(bool)
        reader.refuse(given & ~((hour < 24) & (minute < 60)), "acq_time is not a time of day")
        instant = given
        at_us += (np.nan_to_num(hour * 60 + minute) * 60_000_000).astype(np.int64)
    names = text["satellite"].str.strip() if "satellite" in text else pd.Series("", text.index, dtype=str)
    names = names.mask(names == "", source.options.get("satellite"))
    satellite = names.str.lower().map(known.SATELLITES).fillna(names)
    made_by = {"S-NPP": "VIIRS", "NOAA-20": "VIIRS", "NOAA-21": "VIIRS", "Terra": "MODIS", "Aqua": "MODIS"}
    stated = text["instrument"].str.strip().str.upper() if "instrument" in text else pd.Series("", text.index)
    fallback = source.options.get("instrument") or ("VIIRS" if "bright_ti4" in text else None)
    instrument = stated.mask(stated == "").fillna(satellite.map(made_by)).fillna(fallback or "MODIS")
    instrument = instrument.where(instrument.isin(list(known.NOMINAL_KM)), "MODIS")
    major, minor, tilt = ellipses(lon, lat, at_us, instant, satellite, instrument, number["scan"], number["track"])
    chance = pd.Series(np.nan, text.index)
    if "confidence" in text:
        said = text["confidence"].str.strip().str.lower()
        percent = pd.to_numeric(said, errors="coerce")
        by_number = np.select([percent < 30, percent >= 80, percent <= 100], ["low", "high", "nominal"], "")
        word = said.map({"l": "low", "low": "low", "n": "nominal", "nominal": "nominal", "h": "high", "high": "high"})
        word = word.fillna(pd.Series(by_number, text.index))
        reader.refuse((said != "") & ((word == "") | (percent > 100) | (percent < 0)), "confidence cannot be read")
        chance = word.map({name: a.value for name, a in known.CONFIDENCE.items()})
    return {
        "sensor": satellite,
        "kind": "hotspot",
        "what": "fire",
        "confidence": chance,
        "means": "recorded",
        "at_us": at_us,
        "until_us": np.where(instant, NO_TIME, at_us + DAY_US),
        "at_sigma_s": np.where(instant, known.TIME_SIGMA_S, 0.0),
        "lon": lon,
        "lat": lat,
        "major_m": major,
        "minor_m": minor,
        "tilt_deg": tilt,
        "firms_frp": number["frp"],
        **{f"firms_{name}": values for name, values in number.items() if name != "frp"},
    }


def ellipses(lon, lat, at_us, instant, satellite, instrument, scan_km, track_km):
    """1-sigma ellipse of a pixel, and which way its scan line runs (truceline.feeds.firms says why)."""
    nominal = instrument.map(known.NOMINAL_KM).to_numpy(np.float64)
    error = instrument.map(known.GEOLOCATION_M).to_numpy(np.float64)
    across = np.sqrt((1000 * np.where(np.isnan(scan_km), nominal, scan_km)) ** 2 / 12 + error**2)
    along = np.sqrt((1000 * np.where(np.isnan(track_km), nominal, track_km)) ** 2 / 12 + error**2)
    inclination = satellite.map({k: v[0] for k, v in known.ORBITS.items()}).to_numpy(np.float64, na_value=np.nan)
    northwards = satellite.map({k: v[1] for k, v in known.ORBITS.items()}).to_numpy(np.float64, na_value=np.nan)
    solar_h = at_us / 3.6e9 + lon / 15.0
    pole, phi = np.radians(90.0 - inclination), np.radians(lat)
    east = np.radians(15.0 * (northwards - 6.0 - solar_h))
    tilt = np.degrees(np.arctan2(np.sin(east), np.cos(phi) * np.tan(pole) - np.sin(phi) * np.cos(east))) % 180
    unknown = np.isnan(tilt) | ~instant
    even = np.sqrt(across * along)
    across, along = np.where(unknown, even, across), np.where(unknown, even, along)
    tilt = np.where(unknown, 0.0, tilt)
    tilt = np.mod(np.where(across >= along, tilt, tilt + 90.0), 180.0)
    return np.maximum(across, along), np.minimum(across, along), tilt
