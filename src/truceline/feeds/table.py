"""Any table of events: CSV, GeoJSON or Parquet, by a column map in the mission file or a preset.

    CSV      a header and records, as in `records`
    GeoJSON  a FeatureCollection, plain or gzip; a record is a feature, its bytes those in the file
    Parquet  a record is a row; its bytes are its canonical JSON

`columns` says which becomes what; `presets` has the maps of VIINA, ACLED and UCDP GED.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.agreement import Assumption
from truceline.errors import SourceError
from truceline.feeds import columns, features, options, values
from truceline.feeds.batch import Batch, Faults, Intake, Records, shown
from truceline.feeds.clock import MINUTE_SIGMA_S, NO_TIME, Clock, When
from truceline.feeds.columns import Column
from truceline.feeds.plan import Map, Plan, plan
from truceline.feeds.presets import SETTLEMENT_M
from truceline.feeds.records import CHUNK_BYTES, delimited
from truceline.mission import Source
from truceline.observation import KINDS, LIKELIHOODS, TAXONOMY, nullable, term

OWN = ("place", "id", "outlet", "killed_low", "killed_high")

#: What a table without a column of precision is taken to know of its places: assumption, low confidence.
DEFAULT_PLACE_M = SETTLEMENT_M
#: Fixes come from receivers: what they are taken to know of their places and, with seconds written, of their times.
FIX_PLACE_M = Assumption(20.0, "satellite navigation in a moving vehicle; nobody states it")
FIX_TIME_S = Assumption(1.0, "a time written to the second by a machine")

_SET_FLAGS = ("1", "1.0", "true", "t", "yes", "y")
#: For files that have geometries, where the mission file names no columns of degrees.
_GEOMETRY = {"lon": Column("lon", (features.LON,)), "lat": Column("lat", (features.LAT,))}


class Table:
    """The feed `table`: every record an observation, a `sighting` unless the map says otherwise."""

    def check(self, source: Source) -> None:
        """Options: `bounds`, `delimiter`, `decimal`, `zone`, `format`, `reported_within_h`; and the column map."""
        plan(source)

    def read(
        self, source: Source, path: str, name: str, received_at: datetime, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[Batch]:
        """The file's records, in order."""
        meant = plan(source)
        intake = Intake(source, name, received_at, source.licence or meant.licence, "table_occurrence")
        chosen = dict(meant.forms[-1][1])

        def choose(header: list[str]) -> dict[str, int]:
            chosen.clear()
            chosen.update(_GEOMETRY if features.LON in header else {})
            chosen.update(meant.form(header))
            return _positions(chosen, header, name)

        kind = meant.format or features.format_of(path)
        found: Iterator[Records]
        if kind == "csv":
            found = delimited(path, name, choose, delimiter=meant.delimiter, chunk_bytes=chunk_bytes)
        else:
            reader = features.geojson if kind == "geojson" else features.parquet
            found = reader(path, name, choose, chunk_bytes=chunk_bytes)
        for records in found:
            yield intake.batch(records, partial(_columns, records.columns, chosen, meant, source))


def _positions(form: Map, header: Sequence[str], name: str) -> dict[str, int]:
    """Where the columns of a form are in a file; names are matched exactly, or else whatever their case."""
    exact = {column: position for position, column in reversed(list(enumerate(header)))}
    loose = {column.lower(): position for column, position in reversed(list(exact.items()))}
    found: dict[str, int] = {}
    missing = []
    for entry in form.values():
        for place, column in enumerate(entry.sources):
            position = exact.get(column, loose.get(column.lower()))
            if position is not None:
                found[column] = position
            elif place == 0 and not (entry.optional or entry.flags):
                missing.append(f"{column!r} (for {entry.target}){values.nearest(column, header)}")
    if missing:
        have = ", ".join(shown(column) or "" for column in header[:20])
        raise SourceError(f"{name}: no column {' and '.join(missing)}; the header has {have}")
    return found


def _columns(
    text: Mapping[str, pa.Array], form: Map, plan: Plan, source: Source, faults: Faults
) -> dict[str, pa.Array | str]:
    """The observation's columns from the file's."""
    rows = faults.rows
    given = {target: _text(text, entry, rows) for target, entry in form.items()}
    kind = _kind(given, form, faults)
    is_fix = pc.equal(kind, "fix").to_numpy(zero_copy_only=False)
    out: dict[str, Any] = {"kind": kind}
    out |= _times(given, form, plan, is_fix, faults)
    out |= _places(given, form, plan, source, is_fix, faults)
    out |= _what(given["what"], form["what"], faults)
    for target, (low, high) in columns.NUMBERS.items():
        if target in form:
            out[target] = nullable(_numbers(given[target], form[target], plan, faults, low, high).astype(np.float32))
    for target in columns.COUNTS:
        if target in form:
            entry = form[target]
            out[target] = values.whole(given[target], entry.label, faults, zero_is_missing=entry.zero_is_missing)
    for target in columns.TEXTS:
        if target in form and target != "kind":
            out[target] = _words(given[target], form[target], faults)
    if "identity" in form:
        out["identity"] = _identity(out["identity"], form["identity"].prefix)
    for target in OWN:
        empty = pa.nulls(rows, pa.int32() if target in columns.COUNTS else pa.string())
        out[f"table_{target}"] = out.pop(target, empty)
    for target in ("when", "where"):
        out[f"table_{target}"] = given.get(target, pa.nulls(rows, pa.string()))
    return out


def _kind(given: Mapping[str, pa.Array], form: Map, faults: Faults) -> pa.Array:
    """The kind of each record, `sighting` where the map does not say."""
    if "kind" not in form:
        return pa.repeat(pa.scalar("sighting"), faults.rows)
    kind = _words(given["kind"], form["kind"], faults)
    wrong = ~pc.is_in(kind, pa.array(KINDS)).to_numpy(zero_copy_only=False)
    faults.add(wrong, form["kind"].label, given["kind"], f"is not one of {', '.join(KINDS)}")
    return pc.fill_null(kind, "sighting")


def _identity(text: pa.Array, prefix: str) -> pa.Array:
    """Identities with their prefix, written as the feeds of transponders write them: one ship has one identity."""
    if prefix == "mmsi:":
        text = pc.utf8_lpad(pc.replace_substring_regex(text, r"\.0*$", ""), 9, "0")
    elif prefix == "icao:":
        text = pc.utf8_lpad(pc.utf8_lower(text), 6, "0")
    elif prefix == "callsign:":
        text = pc.utf8_upper(text)
    return pc.binary_join_element_wise(prefix, text, "") if prefix else text


def _text(text: Mapping[str, pa.Array], entry: Column, rows: int) -> pa.Array:
    """What the file says for a target, as text; flags become words joined by `|`."""
    if entry.value is not None and not isinstance(entry.value, dict):
        return pa.repeat(pa.scalar(str(entry.value)), rows)
    parts = [text[column] for column in entry.columns if column in text]
    for column, word in entry.flags.items():
        if column in text:
            on = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(text[column])), pa.array(_SET_FLAGS))
            parts.append(pc.if_else(on, word, ""))
    if not parts:
        return pa.nulls(rows, pa.string())
    if len(parts) > 1:
        parts = [pc.binary_join_element_wise(*[pc.fill_null(part, "") for part in parts], "|" if entry.flags else " ")]
    return values.words(pc.utf8_trim(parts[0], "|") if entry.flags else parts[0])


def _numbers(
    text: pa.Array, entry: Column, plan: Plan, faults: Faults, low: float, high: float, required: bool = False
) -> npt.NDArray[np.float64]:
    scale = entry.scale
    if entry.missing:
        said = values.numbers(text, entry.label, Faults(faults.rows), decimal=plan.decimal)
        text = pc.if_else(pa.array(np.isin(said, entry.missing)), None, text)
    return scale * values.numbers(
        text, entry.label, faults, low=low / scale, high=high / scale, required=required, decimal=plan.decimal
    )


def _times(
    given: Mapping[str, pa.Array], form: Map, plan: Plan, is_fix: npt.NDArray[np.bool_], faults: Faults
) -> dict[str, pa.Array]:
    """`at`, `until`, `at_sigma_s`: intervals from times, dates and their stated precision."""
    if "at" not in form:
        return {}
    spans = _mapped(given["when"], form["when"], faults) if "when" in form else None
    at_us, until_us, sigma_s = _read(given["at"], spans, form["at"], plan, faults)
    if "until" in form:
        begin_us, end_us, _ = _read(given["until"], None, form["until"], plan, faults)
        is_span = end_us != NO_TIME
        last_us = np.where(is_span, end_us, begin_us)
        both = (last_us != NO_TIME) & (at_us != NO_TIME)
        before = both & ((last_us < at_us) | (is_span & (last_us == at_us)))
        faults.add(before, form["until"].label, given["until"], f"is before {form['at'].label}")
        until_us = np.where(both, last_us, until_us)
    if plan.reported_within_s:
        # What is reported has happened: a moment becomes the hours before it; the ends of a day become soft.
        moment = (until_us == NO_TIME) & (at_us != NO_TIME)
        sigma_s = np.where(moment, sigma_s, plan.reported_within_s / 2)
        until_us = np.where(moment, at_us, until_us)
        at_us = np.where(moment, at_us - int(plan.reported_within_s * 1e6), at_us)
    untimed = at_us == NO_TIME
    # A machine's second is a second; a person's "10:34:00" is some minute.
    exact = is_fix & (until_us == NO_TIME) & (sigma_s == MINUTE_SIGMA_S) & _to_the_second(given["at"], form["at"])
    sigma_s = np.where(exact, FIX_TIME_S.value, sigma_s)
    return {
        "at": values.times(at_us, untimed),
        "until": values.times(until_us, until_us == NO_TIME),
        "at_sigma_s": nullable(np.where(untimed, np.nan, sigma_s).astype(np.float32)),
    }


def _to_the_second(text: pa.Array, entry: Column) -> npt.NDArray[np.bool_]:
    """Which times are written with seconds."""
    by_form = any(form.startswith("unix") or "%S" in form or "%T" in form for form in entry.formats)
    seconds = pc.match_substring_regex(text, r"\d\d:\d\d:\d\d").fill_null(False).to_numpy(zero_copy_only=False)
    return np.asarray(seconds | by_form)


def _read(
    text: pa.Array, spans: pa.Array | None, entry: Column, plan: Plan, faults: Faults
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Microseconds of begin and end (NO_TIME: none) and 1-sigma error of a column of times."""
    clock = Clock(ZoneInfo(entry.zone) if entry.zone else plan.zone, entry.formats, entry.midnight_is_day)
    span_of = spans if spans is not None else pa.nulls(len(text), pa.string())
    joint = pc.binary_join_element_wise(text, pc.fill_null(span_of, ""), "\0")

    def when(pair: str | None) -> When | str:
        if pair is None:
            return "" if entry.optional else "is missing"
        written, _, span = pair.partition("\0")
        return clock.read(written, span or None)

    found, codes = values.each(joint, when)
    for place, one in enumerate(found):
        if isinstance(one, str) and one:
            faults.add(codes == place, entry.label, text, one)
    times = [one if isinstance(one, When) else When(NO_TIME, None, np.nan) for one in found]
    begin = np.array([t.at_us for t in times], np.int64)[codes]
    end = np.array([NO_TIME if t.until_us is None else t.until_us for t in times], np.int64)[codes]
    return begin, end, np.array([t.sigma_s for t in times], np.float64)[codes]


def _places(
    given: Mapping[str, pa.Array],
    form: Map,
    plan: Plan,
    source: Source,
    is_fix: npt.NDArray[np.bool_],
    faults: Faults,
) -> dict[str, pa.Array]:
    """Degrees and the ellipse; a place without a stated precision has the default one."""
    if "lon" not in form:
        return {}
    degrees = {
        target: _numbers(given[target], form[target], plan, faults, -most, most, not form[target].optional)
        for target, most in columns.DEGREES.items()
    }
    lon, lat = degrees["lon"], degrees["lat"]
    options.within(source, lon, lat, faults)
    out = {"lon": nullable(lon), "lat": nullable(lat)}
    if "major_m" in form:  # read with the other numbers
        if "minor_m" not in form:
            out["minor_m"] = nullable(_numbers(given["major_m"], form["major_m"], plan, faults, 0, 1e7))
        return out | {"tilt_deg": 0.0}
    sigma_m = np.where(is_fix, FIX_PLACE_M.value, DEFAULT_PLACE_M)
    if "where" in form:
        stated = _mapped(given["where"], form["where"], faults)
        sigma_m = np.where(np.isnan(stated), sigma_m, stated)
    sigma_m = np.where(np.isnan(lon + lat), np.nan, sigma_m)
    return out | {"major_m": nullable(sigma_m), "minor_m": nullable(sigma_m), "tilt_deg": 0.0}


def _mapped(text: pa.Array, entry: Column, faults: Faults) -> Any:
    """A column through its map: words of precision to spans (Arrow) or metres (numpy)."""
    if entry.value is not None:
        found, codes = [entry.value], np.zeros(faults.rows, np.int64)
    else:
        assert entry.map is not None
        known = entry.map

        def meaning(word: str | None) -> Any:
            return entry.default if word is None else known.get(word, entry.default)

        found, codes = values.each(text, meaning)
        if not entry.has_default:
            unknown = np.array([one is None for one in found], np.bool_)[codes]
            faults.add(unknown, entry.label, text, f"is not in the map of {entry.target}")
    if entry.target == "where":
        return np.array([np.nan if one is None else one for one in found], np.float64)[codes]
    return values.taken(found, pa.string(), codes)


def _split(text: str | None, entry: Column) -> list[str]:
    """The words of one value."""
    separator = "|" if entry.flags else entry.separator
    parts = [text or ""] if separator is None else (text or "").split(separator)
    return [part.strip() for part in parts if part.strip()]


def _what(text: pa.Array, entry: Column, faults: Faults) -> dict[str, pa.Array]:
    """The most likely term, its probability, and the others with theirs."""
    if entry.value is not None:
        judged, codes = [_judged([entry.value])], np.zeros(faults.rows, np.int64)
    else:
        found, codes = values.each(text, lambda value: _likelihoods(value, entry))
        for place, one in enumerate(found):
            if isinstance(one, str):
                faults.add(codes == place, entry.label, text, one)
        judged = [_judged([] if isinstance(one, str) else one) for one in found]
    return {
        "what": values.taken([one[0] for one in judged], pa.string(), codes),
        "confidence": values.taken([one[1] for one in judged], pa.float32(), codes),
        "alternatives": values.taken([one[2] for one in judged], LIKELIHOODS, codes),
    }


def _likelihoods(text: str | None, entry: Column) -> list[Any] | str:
    """What each word of a value means, or why one means nothing."""
    meanings = []
    for word in _split(text, entry):
        if entry.map is None:
            if word not in TAXONOMY and term(word) is TAXONOMY["report"]:
                return f"is not a term of the taxonomy{values.nearest(word, TAXONOMY)}"
            meanings.append(word)
        elif word in entry.map or entry.has_default:
            meanings.append(entry.map.get(word, entry.default))
        else:
            return f"is not in the map of what: {word!r}"
    return meanings


def _judged(meanings: Sequence[Any]) -> tuple[str, float | None, list[tuple[str, float]] | None]:
    """One judgement from what several words say: the mean of their likelihoods, the rest being `report`.

    No word that says something: `report`, without a probability; one plain term: that, without one either.
    """
    said = [one for one in meanings if one]
    if not said:
        return "report", None, None
    if len(set(map(str, said))) == 1 and isinstance(said[0], str):
        return said[0], None, None
    chances: dict[str, float] = {}
    for one in said:
        for what, chance in ({one: 1.0} if isinstance(one, str) else one).items():
            chances[what] = chances.get(what, 0.0) + chance / len(said)
    rest = 1.0 - sum(chances.values())
    if rest > 1e-6:
        chances["report"] = chances.get("report", 0.0) + rest
    ranked = sorted(((what, round(chance, 4)) for what, chance in chances.items()), key=lambda p: (-p[1], p[0]))
    return ranked[0][0], ranked[0][1], ranked[1:] or None


def _words(text: pa.Array, entry: Column, faults: Faults) -> pa.Array:
    """A text column; with a map, what its words mean, and nothing where they differ: it is not determined."""
    if entry.map is None and entry.separator is None and not entry.flags:
        return text

    def meaning(value: str | None) -> tuple[str | None, str | None]:
        found = []
        for word in _split(value, entry):
            if entry.map is not None and word not in entry.map and not entry.has_default:
                return None, word
            found.append(word if entry.map is None else entry.map.get(word, entry.default))
        distinct = {one for one in found if one}
        return distinct.pop() if len(distinct) == 1 else None, None

    found, codes = values.each(text, meaning)
    unknown = np.array([wrong is not None for _, wrong in found], np.bool_)[codes]
    faults.add(unknown, entry.label, text, f"is not in the map of {entry.target}")
    return values.taken([one for one, _ in found], pa.string(), codes)
