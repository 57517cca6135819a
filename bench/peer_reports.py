"""The peer's reports: columns of text of a table, by the mission's column map, to columns of observations."""

import numpy as np
import pandas as pd

from truceline.feeds.plan import plan
from truceline.feeds.presets import SETTLEMENT_M
from truceline.mission import Source
from truceline.observation import TAXONOMY, term

MISSING = {"", "nan", "na", "n/a", "null", "none"}
NO_TIME = np.iinfo(np.int64).min
DAY_US = 86_400_000_000


class Reader:
    """Columns of text of one file, and why its rows are refused."""

    def __init__(self, text: pd.DataFrame) -> None:
        self.text, self.rows = text, len(text)
        self.why = np.full(len(text), "", object)

    def refuse(self, where: np.ndarray, reason: str) -> None:
        where = np.asarray(where, bool)
        if where.any():
            self.why[where & (self.why == "")] = reason

    def number(self, said: pd.Series, name: str, low: float, high: float, required: bool = False) -> np.ndarray:
        values = pd.to_numeric(said, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        bad = ~np.isfinite(values)
        if bad.any():
            absent = said[bad].isna() | said[bad].str.strip().str.lower().isin(MISSING)
            wrong = np.zeros(self.rows, bool)
            wrong[np.flatnonzero(bad)[~absent.to_numpy(bool)]] = True
            self.refuse(wrong | (bad & required), f"{name} is missing or not a number")
        outside = (values < low) | (values > high)
        self.refuse(outside, f"{name} is outside {low:g}..{high:g}")
        return np.where(bad | outside, np.nan, values)

    def within(self, source: Source, lon: np.ndarray, lat: np.ndarray) -> None:
        if "bounds" in source.options:
            west, south, east, north = source.options["bounds"]
            inside = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
            self.refuse(~inside & np.isfinite(lon + lat), "outside the source's bounds")


ISO = r"^(\d{4})-?(\d\d)-?(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s?(Z|[+-]\d\d:?\d\d)?$"


def reports(reader: Reader, source: Source, points: bool) -> dict[str, object]:
    meant = plan(source)
    form = dict(meant.form(list(reader.text.columns)))
    given = {target: said(reader.text, entry) for target, entry in form.items()}
    if points and "lon" not in form:
        given |= {"lon": reader.text["geometry:lon"], "lat": reader.text["geometry:lat"]}
    out: dict[str, object] = {"kind": "sighting"}
    out |= times(reader, given, form, meant)
    if "lon" in given:
        loose = "lon" in form and form["lon"].optional
        lon = reader.number(given["lon"], "lon", -180, 180, not loose)
        lat = reader.number(given["lat"], "lat", -90, 90, not loose)
        reader.within(source, lon, lat)
        out |= {"lon": lon, "lat": lat, "tilt_deg": 0.0}
        if "major_m" not in form:
            sigma = np.full(reader.rows, SETTLEMENT_M)
            if "where" in form:
                entry = form["where"]
                sigma = np.full(reader.rows, float(entry.value)) if entry.value is not None else sigma
                if entry.map is not None:
                    stated = given["where"].map(entry.map).astype(np.float64).fillna(entry.default)
                    sigma = stated.fillna(SETTLEMENT_M).to_numpy(np.float64)
            sigma = np.where(np.isnan(lon + lat), np.nan, sigma)
            out |= {"major_m": sigma, "minor_m": sigma}
    out |= kinds(reader, given["what"], form["what"])
    for target in ("major_m", "minor_m", "confidence", "at_sigma_s"):
        if target in form:
            out[target] = reader.number(given[target], target, 0, 1e9)
    if "major_m" in form and "minor_m" not in form and "lon" in given:
        out["minor_m"] = out["major_m"]
    for target in ("count", "count_max", "killed", "injured"):
        if target in form:
            values = reader.number(given[target], target, 0, 2**31 - 1)
            reader.refuse(values != np.floor(values), f"{target} is not a whole number") if np.isfinite(
                values
            ).all() else reader.refuse(np.isfinite(values) & (values % 1 != 0), f"{target} is not a whole number")
            out[target] = np.where((values == 0) & form[target].zero_is_missing, np.nan, values)
    for target in ("sensor", "kind", "means", "description", "weapon", "party", "place", "text"):
        if target in form:
            out[target] = words(reader, given[target], form[target])
    if "kind" in form:
        out["kind"] = pd.Series(out["kind"]).fillna("sighting")
    return out


def said(text: pd.DataFrame, entry) -> pd.Series:
    """What the file says for a target; missing where nothing."""
    if entry.value is not None and not isinstance(entry.value, dict):
        return pd.Series(str(entry.value), text.index, dtype=str)
    loose = {name.lower(): name for name in reversed(text.columns)}
    parts = [text[loose[name.lower()]].fillna("").astype(str) for name in entry.columns if name.lower() in loose]
    if not parts:
        return pd.Series(np.nan, text.index, dtype=str)
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + " " + part
    whole = whole.str.strip()
    return whole.mask(whole == "")


def times(reader: Reader, given, form, meant) -> dict[str, object]:
    if "at" not in form:
        return {"at_us": NO_TIME, "until_us": NO_TIME, "at_sigma_s": np.nan}
    at, until, sigma = moments(reader, given["at"], form["at"], meant, "at")
    if "until" in form:
        begin, end, _ = moments(reader, given["until"], form["until"], meant, "until")
        last = np.where(end != NO_TIME, end, begin)
        both = (last != NO_TIME) & (at != NO_TIME)
        reader.refuse(both & (last < at), "until is before at")
        until = np.where(both, last, until)
    if meant.reported_within_s:
        moment = (until == NO_TIME) & (at != NO_TIME)
        sigma = np.where(moment, sigma, meant.reported_within_s / 2)
        until = np.where(moment, at, until)
        at = np.where(moment, at - int(meant.reported_within_s * 1e6), at)
    return {"at_us": at, "until_us": until, "at_sigma_s": np.where(at == NO_TIME, np.nan, sigma)}


def moments(reader: Reader, text: pd.Series, entry, meant, name: str):
    """Microseconds of begin and end, and the error, of a column of times."""
    codes, distinct = pd.factorize(text)
    words_ = pd.Series(distinct, dtype=str)
    begin = np.full(len(words_) + 1, NO_TIME)
    end, sigma = begin.copy(), np.full(len(words_) + 1, np.nan)
    for written in entry.formats:
        left = np.flatnonzero(begin[:-1] == NO_TIME)
        if not len(left):
            break
        some = words_.iloc[left]
        if written == "iso":
            parts = some.str.strip().str.extract(ISO)
            clock = parts[3].notna()
            stamp = parts[0] + "-" + parts[1] + "-" + parts[2] + " "
            stamp += parts[3].fillna("00") + ":" + parts[4].fillna("00") + ":" + parts[5].fillna("00")
            local = pd.to_datetime(stamp, format="%Y-%m-%d %H:%M:%S", errors="coerce")
            zones = parts[7].str.replace("Z", "+00:00").str.replace(r"^(...):?(..)$", r"\1:\2:00", regex=True)
            offset = pd.to_timedelta(zones)
        else:
            local = pd.to_datetime(some, format=written, errors="coerce")
            clock = pd.Series(any(code in written for code in ("%H", "%I")), some.index)
            offset = pd.Series(pd.NaT, some.index, dtype="timedelta64[us]")
        is_day = (~clock | (entry.midnight_is_day & (local == local.dt.normalize()))).to_numpy(bool)
        readable = local.notna().to_numpy(bool) & local.dt.year.between(1900, 2100).to_numpy(bool)
        begin_us, twice = utc(local, meant.zone, offset)
        end_us, _ = utc(local + pd.Timedelta(days=1), meant.zone, offset)
        begin[left] = np.where(readable, begin_us, NO_TIME)
        end[left] = np.where(readable & is_day, end_us, NO_TIME)
        sigma[left] = np.where(is_day, 0.0, np.where(twice, 3600.0, 30.0))
    bad = begin[codes] == NO_TIME
    reader.refuse(bad & ((codes >= 0) | (not entry.optional)), f"{name} is not a time")
    return begin[codes], end[codes], sigma[codes]


def utc(local: pd.Series, zone, offset: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds since 1970 of local times; and which of them the clocks go through twice."""
    filled = local.fillna(pd.Timestamp(0))
    first = filled.dt.tz_localize(zone, ambiguous=np.ones(len(local), bool), nonexistent=pd.Timedelta(hours=1))
    second = filled.dt.tz_localize(zone, ambiguous=np.zeros(len(local), bool), nonexistent=pd.Timedelta(hours=1))
    micros = first.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[us]").astype(np.int64).to_numpy()
    stated = offset.notna().to_numpy(bool)
    plain = (filled - offset.astype("timedelta64[us]")).astype("datetime64[us]").astype(np.int64).to_numpy()
    return np.where(stated, plain, micros), ~stated & (first != second).to_numpy(bool)


def kinds(reader: Reader, text: pd.Series, entry) -> dict[str, object]:
    """The likeliest term, its probability, the others with theirs; each distinct text is judged once."""
    if entry.value is not None:
        what, confidence, others = judged([entry.value])
        return {
            "what": what,
            "confidence": np.nan if confidence is None else confidence,
            "alternatives": [others] * reader.rows,
        }
    codes, distinct = pd.factorize(text, use_na_sentinel=False)
    found = []
    for value in distinct:
        value = "" if not isinstance(value, str) else value
        parts = [value] if entry.separator is None else value.split(entry.separator)
        meanings = []
        for word in (part.strip() for part in parts):
            if not word:
                continue
            if entry.map is None:
                right = word in TAXONOMY or term(word) is not TAXONOMY["report"]
                meanings.append(word if right else None)
            else:
                meanings.append(entry.map.get(word, entry.default if entry.has_default else None))
        found.append(None if any(one is None for one in meanings) else judged(meanings))
    wrong = np.array([one is None for one in found])
    reader.refuse(wrong[codes], "what is not in the map")
    found = [("report", None, None) if one is None else one for one in found]
    alternatives = np.empty(len(found), object)
    alternatives[:] = [one[2] for one in found]
    return {
        "what": np.array([one[0] for one in found], object)[codes],
        "confidence": np.array([np.nan if one[1] is None else one[1] for one in found])[codes],
        "alternatives": alternatives[codes],
    }


def judged(meanings: list[object]):
    """The mean of what several words say; what is left of 1 is `report`."""
    told = [one for one in meanings if one]
    if not told:
        return "report", None, None
    if len(set(map(str, told))) == 1 and isinstance(told[0], str):
        return told[0], None, None
    chances: dict[str, float] = {}
    for one in told:
        for what, chance in ({one: 1.0} if isinstance(one, str) else one).items():
            chances[what] = chances.get(what, 0.0) + chance / len(told)
    rest = 1.0 - sum(chances.values())
    if rest > 1e-6:
        chances["report"] = chances.get("report", 0.0) + rest
    ranked = sorted(((what, round(chance, 4)) for what, chance in chances.items()), key=lambda p: (-p[1], p[0]))
    return ranked[0][0], ranked[0][1], ranked[1:] or None


def words(reader: Reader, text: pd.Series, entry) -> pd.Series:
    if entry.map is None and entry.separator is None:
        return text
    codes, distinct = pd.factorize(text, use_na_sentinel=False)
    out, wrong = [], []
    for value in distinct:
        value = "" if not isinstance(value, str) else value
        parts = [value] if entry.separator is None else value.split(entry.separator)
        parts = [part.strip() for part in parts if part.strip()]
        wrong.append(entry.map is not None and not entry.has_default and any(p not in entry.map for p in parts))
        meant = {entry.map.get(p, entry.default) if entry.map is not None else p for p in parts} - {None, ""}
        out.append(meant.pop() if len(meant) == 1 else None)
    reader.refuse(np.array(wrong)[codes], "not in the map")
    return pd.Series(np.array(out, object)[codes], text.index)
