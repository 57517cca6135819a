"""Observations as Truceline has them: a record is a row of `observation.CORE`, as a device or a script sends it.

    JSON lines  {"kind": "sighting", "what": "explosion.impact", "at": "2031-03-14T10:34:00Z", "lon": 37.5, "lat": 48.1}
    CSV         kind,what,at,lon,lat
    Arrow       an IPC stream (`observations_arrow`); a row's bytes are its JSON line

`kind`, `what` and `at`, a time with its zone, are required. What Truceline sets itself (ids, source, time of receipt,
release, file) is passed over where it is sent; any other column that it does not have is refused: it may be a slip.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.errors import SourceError
from truceline.feeds import columns, options, values
from truceline.feeds.batch import Batch, Fault, Faults, Intake, Records
from truceline.feeds.clock import MINUTE_SIGMA_S
from truceline.feeds.features import as_text, text_records
from truceline.feeds.lines import lines
from truceline.feeds.records import CHUNK_BYTES, LONGEST_RECORD, delimited
from truceline.feeds.stream import Stream
from truceline.feeds.table import DEFAULT_PLACE_M, FIX_PLACE_M, FIX_TIME_S
from truceline.mission import Source
from truceline.observation import CORE, KINDS, LIKELIHOODS, TAXONOMY, TIME, nullable, term

#: What Truceline says of a record, whoever sends it.
SET = ("observation_id", "source", "record", "received_at", "release", "licence", "file", "raw", "leaf")
#: The sender's own name of a record, which keeps two apart that say the same; kept as `observations_id`.
ID = "id"
NAMES = (ID, *(name for name in CORE.names if name not in SET))
REQUIRED = ("kind", "what", "at")
_TIMES = ("at", "until")
_COUNTS = ("count", "count_max", "killed", "injured")
_NUMBERS = {**columns.NUMBERS, **{name: (-most, most) for name, most in columns.DEGREES.items()}}
#: Numbers, and the object of `alternatives`: a JSON line has them without quotes.
_NUMERIC = frozenset((*_COUNTS, *_NUMBERS))
IN_JSON_AS_THEY_ARE = _NUMERIC | {"alternatives"}
_WORDS = tuple(n for n in NAMES if n not in (*_TIMES, *_COUNTS, *_NUMBERS, "kind", "what", "alternatives"))
_YEARS = (datetime(1900, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: No time: of a value that is missing or wrong.
_NONE = np.iinfo(np.int64).min

FORMS = ("jsonl", "csv", "arrow")
_decode = msgspec.json.Decoder().decode
_likelihoods = msgspec.json.Decoder(dict[str, float]).decode


class Observations:
    """The feed `observations`."""

    def check(self, source: Source) -> None:
        """Options: `bounds`."""
        options.known(source, ("bounds",))
        options.bounds(source)

    def read(
        self, source: Source, path: str, name: str, received_at: datetime, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[Batch]:
        """The file's records, in order; its first bytes say which form it has."""
        yield from read_as(_form(path, name), source, path, name, received_at, chunk_bytes)


def read_as(
    form: str, source: Source, path: str, name: str, received_at: datetime, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Batch]:
    """The records of a file in one of `FORMS`, whatever the source's own feed is.

    Raises
    ------
    SourceError
        When the file is empty, is not of that form, or has a column that no observation has.
    """
    intake = Intake(source, name, received_at, source.licence)
    found: Iterator[Records]
    if form == "jsonl":
        found = _json_lines(path, name, chunk_bytes)
    elif form == "csv":
        found = delimited(path, name, partial(_chosen, name), chunk_bytes=chunk_bytes)
    else:
        from truceline.feeds.observations_arrow import records

        found = records(path, name, chunk_bytes)
    for one in found:
        yield intake.batch(one, partial(read_columns, one.columns, source))


def _form(path: str, name: str) -> str:
    try:
        with Path(path).open("rb") as file:
            if file.read(4) == b"\xff\xff\xff\xff":  # an Arrow stream begins so
                return "arrow"
            file.seek(0)
            head = Stream(file).read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error.strerror or error}") from error
    return "jsonl" if head.startswith(b"{") else "csv"


def _chosen(name: str, header: list[str]) -> dict[str, int]:
    """Where the columns are in a table; one that no observation has, or has twice, is refused."""
    check_names(name, header)
    return {column: place for place, column in enumerate(header) if column in NAMES}


def check_names(name: str, header: Sequence[str]) -> None:
    """Refuse a table whose columns are not an observation's.

    Raises
    ------
    SourceError
        Naming the column, and the nearest that there is.
    """
    for column in header:
        if column not in NAMES and column not in SET:
            raise SourceError(f"{name}: an observation has no column {column!r}{values.nearest(column, NAMES)}")
        if header.count(column) > 1:
            raise SourceError(f"{name}: the column {column!r} is there twice")
    for column in REQUIRED:
        if column not in header:
            raise SourceError(f"{name}: it has no column {column!r}; required are {', '.join(REQUIRED)}")


def _json_lines(path: str, name: str, chunk_bytes: int) -> Iterator[Records]:
    first = 1
    for part in lines(path, name, longest=LONGEST_RECORD, chunk_bytes=chunk_bytes):
        if isinstance(part, Records):
            yield Records(first, part.raws, part.broken, json_records(1, [], {}).columns, part.break_at)
        else:
            raws = [part.raw(line) for line in range(len(part.starts))]
            yield json_records(first, raws, part.faults)
            first += len(raws)


def json_records(first: int, raws: list[bytes], faults: Mapping[int, Fault]) -> Records:
    """Lines as records with the text of their columns, numbers as such where all are; what is no object, or has other
    members, is broken."""
    rows = [faults.get(place) or _object(raw) for place, raw in enumerate(raws)]
    broken = {place: row for place, row in enumerate(rows) if isinstance(row, Fault)}
    good = [row for row in rows if isinstance(row, dict)]
    said = set().union(*good)
    texts: dict[str, pa.Array] = {}
    for name in NAMES:
        if name not in said:
            texts[name] = pa.nulls(len(good), pa.string())
            continue
        found = [row.get(name) for row in good]
        types = set(map(type, found))
        if name in _NUMERIC and types <= {float, int, type(None)}:
            with suppress(pa.ArrowException, OverflowError):  # a whole number beyond what a float holds
                texts[name] = pa.array(found, pa.float64())
                continue
        if not types <= {str, type(None)}:
            found = [as_text(one) for one in found]
        joined = "".join(text for text in found if text)
        if "\0" in joined or not (joined.isascii() or _storable(joined)):
            return text_records(first, raws, rows, list(NAMES))  # says of which record it is
        texts[name] = pa.array(found, pa.string())
    return Records(first, raws, broken, texts)


def _object(raw: bytes) -> dict[str, Any] | Fault:
    try:
        row = _decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        try:
            raw.decode()
        except UnicodeDecodeError as other:
            return Fault(f"is not UTF-8 text: byte {other.start} of the record is {raw[other.start]:#04x}")
        return Fault(f"is no JSON object: {error}")
    if not isinstance(row, dict):
        return Fault("is no JSON object")
    for name in row:
        if name not in _ALLOWED:
            shown = name if name.isprintable() else repr(name)
            return Fault(f"an observation has no column {shown[:80]!r}{values.nearest(shown[:80], NAMES)}", shown[:80])
    return row


_ALLOWED = frozenset((*NAMES, *SET))


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_columns(text: Mapping[str, pa.Array], source: Source, faults: Faults) -> dict[str, Any]:
    """The observation's columns from their texts."""
    # What nobody says costs nothing: for a small group thirty empty columns would be most of the work.
    given = {
        name: values.words(column) if pa.types.is_string(column.type) else column
        for name, column in text.items()
        if column.null_count < faults.rows
    }
    nothing = pa.nulls(faults.rows, pa.string())
    kind, what, at = (given.get(name, nothing) for name in REQUIRED)
    if kind.null_count:
        faults.add(kind.is_null().to_numpy(zero_copy_only=False), "kind", None, "is missing")
    known = pc.is_in(kind, pa.array(KINDS)).to_numpy(zero_copy_only=False)
    faults.add(~known, "kind", kind, f"is not one of {', '.join(KINDS)}")
    out: dict[str, Any] = {"kind": pc.fill_null(kind, "sighting"), "what": _what(what, faults)}
    is_fix = pc.equal(out["kind"], "fix").to_numpy(zero_copy_only=False)
    begin = _time(at, "at", True, faults)
    out["at"] = values.times(begin, begin == _NONE)
    if "until" in given:
        end = _time(given["until"], "until", False, faults)
        both = (begin != _NONE) & (end != _NONE)
        faults.add(both & (end < begin), "until", given["until"], "is before at")
        out["until"] = values.times(end, end == _NONE)
    number = {
        name: values.numbers(given[name], name, faults, low=low, high=high)
        for name, (low, high) in _NUMBERS.items()
        if name in given
    }
    _place(number, source, faults)
    _assume(number, is_fix)
    for name, found in number.items():
        out[name] = nullable(found if name in columns.DEGREES else found.astype(np.float32))
    out |= {name: values.whole(given[name], name, faults) for name in _COUNTS if name in given}
    if "alternatives" in given:
        out["alternatives"] = _alternatives(given["alternatives"], faults)
    out |= {name: given[name] for name in _WORDS if name in given}
    out["observations_id"] = out.pop(ID, nothing)
    return out


def _place(number: dict[str, npt.NDArray[np.float64]], source: Source, faults: Faults) -> None:
    nowhere = np.full(faults.rows, np.nan)
    lon, lat = number.setdefault("lon", nowhere), number.setdefault("lat", nowhere)
    faults.add(np.isnan(lon) != np.isnan(lat), "lon, lat", None, "go together: one of them is missing")
    options.within(source, lon, lat, faults)


def _assume(number: dict[str, npt.NDArray[np.float64]], is_fix: npt.NDArray[np.bool_]) -> None:
    """What is not stated of errors: as of the feed `table`."""
    placed = np.isfinite(number["lon"])

    def unless(name: str, otherwise: Any, where: Any = True) -> None:
        stated = number.get(name)
        missing = True if stated is None else np.isnan(stated)
        number[name] = np.where(missing & where, otherwise, np.nan if stated is None else stated)

    unless("at_sigma_s", np.where(is_fix, FIX_TIME_S.value, MINUTE_SIGMA_S))
    unless("major_m", np.where(is_fix, FIX_PLACE_M.value, DEFAULT_PLACE_M), placed)
    unless("minor_m", number["major_m"], placed)
    unless("tilt_deg", 0.0, placed)


def _what(text: pa.Array, faults: Faults) -> pa.Array:
    def wrong(word: str | None) -> str:
        if word is None:
            return "is missing"
        if word not in TAXONOMY and term(word) is TAXONOMY["report"]:
            return f"is not a term of the taxonomy{values.nearest(word, TAXONOMY)}"
        return ""

    found, codes = values.each(text, wrong)
    for place, reason in enumerate(found):
        if reason:
            faults.add(codes == place, "what", text, reason)
    return pc.fill_null(text, "report")


def _time(text: pa.Array, name: str, required: bool, faults: Faults) -> npt.NDArray[np.int64]:
    """Microseconds since 1970; `_NONE` where there is none."""
    try:
        micros = pc.cast(text, TIME).cast(pa.int64())
        found: npt.NDArray[np.int64] = micros.fill_null(_NONE).to_numpy(zero_copy_only=False).astype(np.int64)
        low, high = ((year - _EPOCH) // timedelta(microseconds=1) for year in _YEARS)
        if ((found == _NONE) | ((found >= low) & (found < high))).all() and not (required and micros.null_count):
            return found
    except pa.ArrowException:
        pass

    def moment(written: str | None) -> int | str:
        if written is None:
            return "is missing" if required else _NONE
        try:
            when = datetime.fromisoformat(written)
        except ValueError:
            return "is not a time like 2031-03-14T10:34:00Z"
        if when.tzinfo is None:
            return "has no zone: write 2031-03-14T10:34:00Z, or +02:00"
        if not _YEARS[0] <= when < _YEARS[1]:
            return f"is outside the years {_YEARS[0].year}..{_YEARS[1].year - 1}"
        return (when - _EPOCH) // timedelta(microseconds=1)

    moments, codes = values.each(text, moment)
    for place, one in enumerate(moments):
        if isinstance(one, str):
            faults.add(codes == place, name, text, one)
    return np.array([_NONE if isinstance(one, str) else one for one in moments], np.int64)[codes]


def _alternatives(text: pa.Array, faults: Faults) -> pa.Array:
    """Other terms with their probabilities, from a JSON object."""

    def meaning(written: str | None) -> list[tuple[str, float]] | str | None:
        if written is None:
            return None
        try:
            chances = _likelihoods(written)
        except (msgspec.DecodeError, UnicodeError):
            return 'is not an object like {"fire": 0.2}'
        if not all(0 <= chance <= 1 for chance in chances.values()):
            return "has a probability outside 0..1"
        if not all(word in TAXONOMY or term(word) is not TAXONOMY["report"] for word in chances):
            return "has a word that is not a term of the taxonomy"
        return list(chances.items())

    found, codes = values.each(text, meaning)
    for place, one in enumerate(found):
        if isinstance(one, str):
            faults.add(codes == place, "alternatives", text, one)
    return values.taken([None if isinstance(one, str) else one for one in found], LIKELIHOODS, codes)
