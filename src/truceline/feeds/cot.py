"""Cursor on Target: what team-awareness devices and their servers say to each other, as XML (protocol version 0).

    <event version="2.0" uid="PATROL-3" type="a-f-G-E-V" how="m-g"
           time="2031-03-14T10:00:00Z" start="2031-03-14T10:00:00Z" stale="2031-03-14T10:05:00Z">
      <point lat="48.1" lon="37.5" hae="120.0" ce="8.0" le="12.0"/>
      <detail><contact callsign="Patrol 3"/><track speed="3.1" course="90.0"/><remarks>...</remarks></detail>
    </event>

    start    since when this holds: `at`; `time` is when it was sent, `stale` when to forget it. No end of an event
    hae      height above the ellipsoid, metres
    ce, le   1-sigma errors of place and height where they are errors, metres; 9999999 is "not known"

See `cot_file` (files to events) and `cot_types` (what the types mean).
"""

import html
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import defusedxml
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from defusedxml.ElementTree import fromstring

from truceline.agreement import Assumption
from truceline.errors import MissionError
from truceline.feeds import options, values
from truceline.feeds.batch import Batch, Fault, Faults, Intake, Records
from truceline.feeds.cot_file import Cut, events
from truceline.feeds.cot_types import meaning
from truceline.feeds.records import CHUNK_BYTES
from truceline.mission import Source
from truceline.observation import nullable

Array = npt.NDArray[np.float64]

#: CoT's number for "not known".
UNKNOWN = 9_999_999.0
#: Errors of place where an event states none, 1 sigma, by how the place was found.
PLACE_M = {
    "gps": Assumption(10.0, "a handheld receiver under open sky, with allowance for trees and houses"),
    "machine": Assumption(50.0, "a place from a machine that does not say how; nobody states it"),
    "person": Assumption(100.0, "a finger on a map at the zoom of a valley; nobody states it"),
}
#: Times are written to the millisecond by clocks that nobody sets.
TIME_SIGMA_S = Assumption(1.0, "phones keep to network or satellite time within a second")

_ATTRIBUTES = ("uid", "type", "how", "time", "start", "stale", "access")
_POINT = ("lat", "lon", "hae", "ce", "le")
_TEXTS = ("callsign", "course", "speed", "sender", "text")
_COLUMNS = (*_ATTRIBUTES, *_POINT, *_TEXTS)

_NO_TIME = -(2**63)
_YEARS = range(1990, 2101)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Cot:
    """The feed `cot`: what a machine places is a `fix`, what a person places or says a `sighting` or `alert`."""

    def check(self, source: Source) -> None:
        """Options: `bounds`."""
        if source.preset is not None or source.columns:
            key = "columns" if source.columns else "preset"
            raise MissionError(f"source {source.id!r}: {key}: belongs to the feed 'table'; 'cot' knows its attributes")
        options.known(source, ("bounds",))
        options.bounds(source)

    def read(
        self, source: Source, path: str, name: str, received_at: datetime, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[Batch]:
        """The file's events, in order."""
        intake = Intake(source, name, received_at, source.licence)
        first = 1
        for found in events(path, name, chunk_bytes):
            records = _records(first, found)
            first += len(found)
            yield intake.batch(records, partial(_columns, records.columns, source))


def _records(first: int, found: list[Cut]) -> Records:
    broken: dict[int, Fault] = {}
    rows: list[tuple[str | None, ...]] = []
    break_at = None
    for place, (raw, fault, at) in enumerate(found):
        row = fault or _row(raw)
        break_at = at if break_at is None else break_at
        if isinstance(row, Fault):
            broken[place] = row
        else:
            rows.append(row)
    columns = {name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(_COLUMNS)}
    return Records(first, [raw for raw, _, _ in found], broken, columns, break_at)


def _row(raw: bytes) -> tuple[str | None, ...] | Fault:
    """The texts of one event, or why it is none."""
    try:
        event = fromstring(raw, forbid_dtd=True)
    except (ParseError, ValueError, LookupError, RecursionError, defusedxml.DefusedXmlException) as error:
        return Fault(f"is no well-formed event: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
    point, detail = event.find("point"), event.find("detail")
    if point is None:
        return Fault("has no point", "point")
    return (
        *(event.get(name) for name in _ATTRIBUTES),
        *(point.get(name) for name in _POINT),
        *(_detail(detail) if detail is not None else (None,) * len(_TEXTS)),
    )


def _detail(detail: Element) -> tuple[str | None, ...]:
    """Callsign, course, speed, who made it, and the words."""
    callsign = course = speed = sender = None
    words = []
    for child in detail:
        match child.tag:
            case "contact":
                callsign = child.get("callsign") or callsign
            case "track":
                course, speed = child.get("course") or course, child.get("speed") or speed
            case "link" if child.get("relation") == "p-p":
                sender = child.get("parent_callsign") or sender or child.get("uid")
            case "__chat" | "__chatreceipt":
                sender = child.get("senderCallsign") or sender
            case "remarks" if child.text:
                words.append(child.text)
            case "emergency" if child.get("type"):
                words.append(child.get("type") or "")
    return callsign, course, speed, sender, "\n".join(words) or None


def _columns(text: Mapping[str, pa.Array], source: Source, faults: Faults) -> dict[str, Any]:
    rows = faults.rows
    for name in ("uid", "type"):
        missing = pc.equal(pc.utf8_trim_whitespace(text[name]), "").fill_null(True).to_numpy(zero_copy_only=False)
        faults.add(missing, name, None, "is missing")
    at_us = _times(text["start"], "start", faults)
    sent_us = _times(text["time"], "time", faults)
    stale_us = _times(text["stale"], "stale", faults)
    at_us = np.where(at_us == _NO_TIME, sent_us, at_us)
    faults.add(at_us == _NO_TIME, "start", None, "is missing, and so is time")
    lat = values.numbers(text["lat"], "lat", faults, low=-90, high=90, required=True)
    lon = values.numbers(text["lon"], "lon", faults, low=-180, high=180, required=True)
    height, circle, speed, course = (
        _known(values.numbers(text[name], name, faults)) for name in ("hae", "ce", "speed", "course")
    )
    faults.add((height < -12_000) | (height > 1e8), "hae", text["hae"], "is outside -12000..1e+08")
    faults.add(speed > 1e5, "speed", text["speed"], "is more than 100000 m/s")
    circle = np.where(circle > 0, circle, np.nan)
    # Without a receiver's fix devices send 0, 0: nobody stands there with an error that is not known.
    nowhere = (lat == 0) & (lon == 0) & np.isnan(circle)
    lon, lat, height = (np.where(nowhere, np.nan, v) for v in (lon, lat, height))
    options.within(source, lon, lat, faults)
    kind, what = _meanings(text["type"], text["how"], np.isnan(lon))
    sigma = np.where(np.isnan(lon), np.nan, np.where(np.isnan(circle), _by_how(text["how"]), circle))
    uid = values.words(text["uid"])
    callsign = values.words(text["callsign"])
    machine = pc.starts_with(text["how"], "m-").fill_null(False)
    return {
        "sensor": pc.coalesce(values.words(text["sender"]), callsign, uid),
        "kind": kind,
        "what": what,
        "means": pc.if_else(machine, "recorded", pa.scalar(None, pa.string())),
        "at": values.times(at_us, at_us == _NO_TIME),
        "at_sigma_s": np.full(rows, TIME_SIGMA_S.value, np.float32),
        "lon": nullable(lon),
        "lat": nullable(lat),
        "alt_m": nullable(height.astype(np.float32)),
        "major_m": nullable(np.minimum(sigma, 1e7).astype(np.float32)),
        "minor_m": nullable(np.minimum(sigma, 1e7).astype(np.float32)),
        "tilt_deg": nullable(np.where(np.isnan(sigma), np.nan, 0.0).astype(np.float32)),
        "speed_mps": nullable(np.where(speed >= 0, speed, np.nan).astype(np.float32)),
        "course_deg": nullable(np.mod(course, 360.0).astype(np.float32)),
        "identity": pc.binary_join_element_wise("cot", uid, ":"),
        "text": values.words(text["text"]),
        "cot_type": text["type"],
        "cot_how": text["how"],
        "cot_callsign": callsign,
        "cot_time": values.times(sent_us, sent_us == _NO_TIME),
        "cot_stale": values.times(stale_us, stale_us == _NO_TIME),
        "cot_ce_m": nullable(circle.astype(np.float32)),
        "cot_le_m": nullable(_known(values.numbers(text["le"], "le", faults)).astype(np.float32)),
    }


def _known(column: Array) -> Array:
    """A column of numbers, NaN for CoT's "not known" and beyond."""
    return np.where(np.abs(column) >= UNKNOWN - 1, np.nan, column)


def _times(text: pa.Array, name: str, faults: Faults) -> npt.NDArray[np.int64]:
    """Microseconds since 1970; a time without a zone is UTC, as CoT's are."""
    found, codes = values.each(text, _micros)
    for place, one in enumerate(found):
        if isinstance(one, str):
            faults.add(codes == place, name, text, one)
    return np.array([_NO_TIME if isinstance(one, str) else one for one in found], np.int64)[codes]


def _micros(text: str | None) -> int | str:
    if text is None or not text.strip():
        return _NO_TIME
    try:
        written = datetime.fromisoformat(text.strip())
        moment: datetime | None = written.replace(tzinfo=written.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or len(text.strip()) < len("2031-03-14T10:00"):
        return "is not a time like 2031-03-14T10:00:00Z"
    if moment.year not in _YEARS:
        return f"is outside the years {_YEARS[0]}..{_YEARS[-1]}"
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _meanings(kind: pa.Array, how: pa.Array, nowhere: npt.NDArray[np.bool_]) -> tuple[pa.Array, pa.Array]:
    """Kind and term of each event; what has no place is no fix."""
    joint = pc.binary_join_element_wise(pc.fill_null(kind, ""), pc.fill_null(how, ""), "\0")

    def read(pair: str | None) -> tuple[str, str]:
        said, _, found = (pair or "\0").partition("\0")
        return meaning(said.strip(), found.strip())

    found, codes = values.each(joint, read)
    kinds = values.taken([one for one, _ in found], pa.string(), codes)
    is_fix = pc.equal(kinds, "fix").to_numpy(zero_copy_only=False)
    kinds = pc.if_else(pa.array(is_fix & nowhere), "status", kinds)
    return kinds, values.taken([term for _, term in found], pa.string(), codes)


def _by_how(how: pa.Array) -> Array:
    """The error of a place that is not stated."""
    sigmas, codes = values.each(how, lambda said: PLACE_M[_finder(said or "")].value)
    return np.array(sigmas, np.float64)[codes]


def _finder(how: str) -> str:
    return "gps" if how.startswith("m-g") else "person" if how.startswith("h") else "machine"


def event(
    uid: str,
    kind: str,
    at: datetime,
    stale: datetime,
    lon: float,
    lat: float,
    *,
    how: str = "m-g",
    hae_m: float = math.nan,
    ce_m: float = math.nan,
    le_m: float = math.nan,
    callsign: str | None = None,
    speed_mps: float = math.nan,
    course_deg: float = math.nan,
    remarks: str | None = None,
    more: str = "",
) -> bytes:
    """One event as XML, which this feed reads back the same; what may be told to whom is not judged here.

    Parameters
    ----------
    kind
        The type, like "a-n-G": no affiliation but the neutral one says nothing that Truceline does not know.
    at, stale
        Aware.
    hae_m, ce_m, le_m, speed_mps, course_deg
        NaN: not known.
    more
        Further elements of the detail, as XML.
    """

    def said(value: float) -> str:
        return str(UNKNOWN) if math.isnan(value) else repr(float(value))

    def moment(time: datetime) -> str:
        return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    detail = f'<contact callsign="{quoted(callsign)}"/>' if callsign else ""
    if not (math.isnan(speed_mps) and math.isnan(course_deg)):
        detail += f'<track speed="{said(speed_mps)}" course="{said(course_deg)}"/>'
    if remarks:
        detail += f"<remarks>{quoted(remarks)}</remarks>"
    return (
        f'<event version="2.0" uid="{quoted(uid)}" type="{quoted(kind)}" how="{quoted(how)}" time="{moment(at)}" '
        f'start="{moment(at)}" stale="{moment(stale)}"><point lat="{float(lat)!r}" lon="{float(lon)!r}" '
        f'hae="{said(hae_m)}" ce="{said(ce_m)}" le="{said(le_m)}"/><detail>{detail}{more}</detail></event>'
    ).encode()


def quoted(text: str) -> str:
    """A text as XML writes it, in an attribute or between tags; it has no way to write control characters."""
    return html.escape("".join(c if c.isprintable() or c in "\t\n" else "\ufffd" for c in text))
