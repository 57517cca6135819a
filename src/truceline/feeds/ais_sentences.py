"""Lines of NMEA 0183 to AIS messages: parts joined, times found, nothing lost.

A record is a message: one sentence, or all the sentences of a message in several parts together with the receiver's
time that stands before them (`$PGHP`). Its bytes are these lines', in the order in which they came, joined by LF; its
number is by the line that completed it. A line that is no part of a message is a record of its own, rejected.

Parts belong together by tag group, or by total, sequence number and channel, and come from the same station where
both say one. A part waits for the others for `PARTS_WITHIN_LINES`; when its place is taken by another part with the
same marks, it is given up at once.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.feeds.batch import Fault, Records
from truceline.feeds.lines import Lines, lines
from truceline.kernels import nmea
from truceline.kernels.split import gather

#: A sentence has 82 characters, one with tag block and a receiver's fields some 250.
LONGEST_LINE = 4096

#: A receiver gives the parts of a message one behind the other; streams of many stations mix them. A busy one has
#: some hundred sentences a second, and parts come within seconds. Assumption, medium confidence.
PARTS_WITHIN_LINES = 2000

#: AIS was first used in 1998; a time outside these is a mistake.
FIRST_US, LAST_US = 788_918_400_000_000, 4_102_444_800_000_000  # 1995, 2100

_WRONG = {
    nmea.NO_SENTENCE: "holds no NMEA sentence",
    nmea.OTHER_SENTENCE: "holds no AIS sentence: only VDM and VDO are read",
    nmea.NO_CHECKSUM: "has no checksum",
    nmea.WRONG_CHECKSUM: "has a wrong checksum",
    nmea.SHAPE: "has not the fields of its kind of sentence",
    nmea.NUMBERING: "numbers its parts or fill bits impossibly",
    nmea.EMPTY: "has an empty payload",
    nmea.CHARACTER: "holds a character that no payload has",
    nmea.OPEN_TAG: "opens a tag block that is not closed",
    nmea.TAG_CHECKSUM: "has a tag block without a right checksum",
    nmea.TAG_TIME_UNREADABLE: "has a tag block whose time is no number of seconds or milliseconds",
}
_IMPOSSIBLE_TIME = "has a time outside the years 1995..2100"


class _Part(NamedTuple):
    """A line that waits: its parts by the kernel's columns, its bytes, and the time that stood before it."""

    line: int  # number in the file
    raw: bytes
    row: list[int]
    payload: bytes
    station: bytes | None


class _Waiting(NamedTuple):
    """Parts of one message, in the order they came."""

    first_line: int
    parts: list[_Part]

    @property
    def station(self) -> bytes | None:
        """The first station that a part names."""
        return next((part.station for part in self.parts if part.station), None)


class _Record(NamedTuple):
    """A record that took more than one line, or a part that was given up."""

    raw: bytes
    fault: Fault | None
    payload: bytes = b""
    fill: int = 0
    heard_us: int = nmea.NONE
    station: str | None = None
    channel: int = 0
    own: bool = False


class Assembly:
    """Makes records of a file's lines; what it keeps between calls is the file's, so pieces do not matter."""

    def __init__(self) -> None:
        self._line = 0  # lines taken
        self._number = 1  # of the next record
        self._waiting: dict[tuple[int, ...], dict[bytes | None, _Waiting]] = {}
        self._by_line: dict[int, tuple[tuple[int, ...], _Waiting]] = {}  # the same, the oldest first
        self._wrapper: _Part | None = None

    def take(self, found: Lines) -> Records:
        """The records that these lines complete."""
        parts, what = nmea.sentences(found.data, found.starts, found.ends)
        broken = self._broken(found, what, parts)
        wrapper = what == nmea.WRAPPER
        special = ((what == nmea.SENTENCE) & (parts[:, nmea.TOTAL] > 1)) | wrapper
        special[list(broken)] = wrapper[list(broken)] = False
        special[1:] |= wrapper[:-1]  # what stands behind a receiver's time
        special[0] |= self._wrapper is not None
        plain = np.flatnonzero(~special)
        taken: list[_Record] = []
        places: list[int] = []
        for line in np.flatnonzero(special).tolist():
            for record in self._special(found, line, int(what[line]), parts[line], broken.get(line)):
                taken.append(record)
                places.append(line)
        self._line += len(found.starts)
        return self._records(found, parts, plain, broken, taken, places)

    def rest(self) -> Records | None:
        """What still waits at the end of the file; none of it has become a message."""
        taken = [_given_up(one) for _, one in self._by_line.values()]
        if self._wrapper is not None:
            taken.append(_lonely(self._wrapper))
        if not taken:
            return None
        raws, faults = [one.raw for one in taken], {place: one.fault for place, one in enumerate(taken) if one.fault}
        self._number += len(raws)
        return Records(self._number - len(raws), raws, faults, _columns([]))

    def damaged(self, end: Records) -> Records:
        """The broken record that ends a damaged file, with its number."""
        self._number += 1
        return Records(self._number - 1, end.raws, end.broken, _columns([]), end.break_at)

    def _broken(self, found: Lines, what: npt.NDArray[np.uint8], parts: npt.NDArray[np.int64]) -> dict[int, Fault]:
        broken = {
            line: Fault(_WRONG[int(what[line])])
            for line in np.flatnonzero((what != nmea.SENTENCE) & (what != nmea.WRAPPER)).tolist()
        }
        heard = _heard(parts)
        timed = heard != nmea.NONE
        for line in np.flatnonzero(timed & ((heard < FIRST_US) | (heard >= LAST_US))).tolist():
            broken.setdefault(line, Fault(_IMPOSSIBLE_TIME))
        broken |= found.faults
        for line in broken.keys() - found.faults.keys():
            raw = found.raw(line)
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                at = f"byte {error.start} of the record is {raw[error.start]:#04x}"
                broken[line] = Fault(f"is not UTF-8 text: {at}")
        return broken

    def _special(
        self, found: Lines, line: int, what: int, row: npt.NDArray[np.int64], fault: Fault | None
    ) -> Iterator[_Record]:
        number = self._line + line
        yield from self._too_old(number)
        part = _part(found, number, line, row)
        before, self._wrapper = self._wrapper, None
        if fault is not None or what == nmea.WRAPPER:
            if before is not None:
                yield _lonely(before)
            if fault is not None:
                yield _Record(part.raw, fault)
            else:
                self._wrapper = part
            return
        if before is not None:
            raw = before.raw + b"\n" + part.raw
            timed = part.row.copy()
            timed[nmea.WRAPPER_TIME] = before.row[nmea.WRAPPER_TIME]
            part = part._replace(raw=raw, row=timed)
        if part.row[nmea.TOTAL] == 1:
            yield _message([part])
            return
        yield from self._join(part)

    def _join(self, part: _Part) -> Iterator[_Record]:
        """Put a part to the others of its message."""
        row = part.row
        grouped = row[nmea.GROUP] != nmea.NONE
        key: tuple[int, ...] = (1, row[nmea.GROUP], row[nmea.TOTAL]) if grouped else ()
        key = key or (0, row[nmea.TOTAL], row[nmea.SEQUENCE], row[nmea.CHANNEL], row[nmea.OWN])
        by_station = self._waiting.setdefault(key, {})
        # Parts of this station, else of one that names none; of a part that names none the oldest.
        if part.station is None:
            one = by_station.get(None) or next(iter(by_station.values()), None)
        else:
            one = by_station.get(part.station) or by_station.get(None)
        if one is not None and any(p.row[nmea.NUMBER] == row[nmea.NUMBER] for p in one.parts):
            self._leave(key, one)
            yield _given_up(one)
            one = None
        if one is None:
            one = _Waiting(part.line, [])
            self._by_line[part.line] = (key, one)
        else:
            del by_station[one.station]
        one.parts.append(part)
        self._waiting.setdefault(key, {})[one.station] = one
        if len(one.parts) == row[nmea.TOTAL]:
            self._leave(key, one)
            yield _message(one.parts)

    def _leave(self, key: tuple[int, ...], one: _Waiting) -> None:
        del self._by_line[one.first_line]
        del self._waiting[key][one.station]
        if not self._waiting[key]:
            del self._waiting[key]

    def _too_old(self, number: int) -> Iterator[_Record]:
        """Give up what has waited too long; looked at whenever a line could join something, so at the same lines."""
        while self._by_line:
            key, one = next(iter(self._by_line.values()))
            if number - one.first_line <= PARTS_WITHIN_LINES:
                return
            self._leave(key, one)
            yield _given_up(one)

    def _records(
        self,
        found: Lines,
        parts: npt.NDArray[np.int64],
        plain: npt.NDArray[np.int64],
        broken: dict[int, Fault],
        taken: list[_Record],
        places: list[int],
    ) -> Records:
        """Plain lines as whole columns, the few others put between them where they were completed."""
        text = found.data.tobytes()
        raws = [text[a:b] for a, b in zip(found.starts[plain].tolist(), found.ends[plain].tolist(), strict=True)]
        good = np.array([line not in broken for line in plain.tolist()], np.bool_) if broken else None
        rows = plain if good is None else plain[good]
        columns = _plain_columns(found.data, parts[rows])
        if not taken:
            faults = {} if good is None else {p: broken[int(plain[p])] for p in np.flatnonzero(~good).tolist()}
            self._number += len(raws)
            return Records(self._number - len(raws), raws, faults, columns)
        # Order by line, and of what one line completed in the order it did.
        order = np.argsort(np.concatenate([plain, np.array(places, np.int64)]), kind="stable")
        all_raws = raws + [one.raw for one in taken]
        all_faults: list[Fault | None] = [broken.get(line) for line in plain.tolist()] + [one.fault for one in taken]
        whole = [one for one in taken if one.fault is None]
        merged = {name: pa.concat_arrays([columns[name], more]) for name, more in _columns(whole).items()}
        lines_of = np.concatenate([rows, np.array([p for p, o in zip(places, taken, strict=True) if not o.fault], int)])
        sorted_rows = pa.array(np.argsort(lines_of, kind="stable"))
        picked = order.tolist()
        faults = {}
        for at, place in enumerate(picked):
            fault = all_faults[place]
            if fault is not None:
                faults[at] = fault
        self._number += len(picked)
        return Records(
            self._number - len(picked),
            [all_raws[place] for place in picked],
            faults,
            {name: column.take(sorted_rows) for name, column in merged.items()},
        )


def messages(path: str, name: str, chunk_bytes: int) -> Iterator[Records]:
    """The AIS messages of a file of sentences, as `Records` with the columns of `_columns`."""
    assembly = Assembly()
    end: Records | None = None
    for found in lines(path, name, longest=LONGEST_LINE, chunk_bytes=chunk_bytes):
        if isinstance(found, Records):
            end = found
            continue
        records = assembly.take(found)
        if records.raws:
            yield records
    if (rest := assembly.rest()) is not None:
        yield rest
    if end is not None:
        yield assembly.damaged(end)


def _part(found: Lines, number: int, line: int, row: npt.NDArray[np.int64]) -> _Part:
    given = row.tolist()
    payload = station = b""
    if given[nmea.PAYLOAD] != nmea.NONE:
        payload = found.data[given[nmea.PAYLOAD] : given[nmea.PAYLOAD_END]].tobytes()
    if given[nmea.STATION] != nmea.NONE:
        station = found.data[given[nmea.STATION] : given[nmea.STATION_END]].tobytes()
    return _Part(number, found.raw(line), given, payload, station or None)


def _lonely(wrapper: _Part) -> _Record:
    return _Record(wrapper.raw, Fault("is a receiver's time without the sentence it belongs to"))


def _given_up(one: _Waiting) -> _Record:
    named = " and ".join(str(number) for number in sorted(p.row[nmea.NUMBER] for p in one.parts))
    fault = Fault(f"is part {named} of {one.parts[0].row[nmea.TOTAL]} of a message whose other parts did not come")
    return _Record(b"\n".join(p.raw for p in one.parts), fault)


def _message(parts: list[_Part]) -> _Record:
    """The message of all its parts: the time and station of the first that says one."""
    inside = sorted(parts, key=lambda part: part.row[nmea.NUMBER])
    times = [time for part in inside if (time := int(_heard(np.array([part.row]))[0])) != nmea.NONE]
    stations = [part.station for part in inside if part.station]
    first = inside[0].row
    return _Record(
        b"\n".join(part.raw for part in parts),
        None if not times or FIRST_US <= times[0] < LAST_US else Fault(_IMPOSSIBLE_TIME),
        b"".join(part.payload for part in inside),
        inside[-1].row[nmea.FILL],
        times[0] if times else nmea.NONE,
        stations[0].decode(errors="replace") if stations else None,
        first[nmea.CHANNEL],
        bool(first[nmea.OWN]),
    )


def _heard(parts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """When each was received: by its tag block, else by what stands beside it, else by the receiver's line before."""
    tag, beside, wrapper = (parts[:, column] for column in (nmea.TAG_TIME, nmea.BESIDE_TIME, nmea.WRAPPER_TIME))
    return np.asarray(np.where(tag != nmea.NONE, tag, np.where(beside != nmea.NONE, beside, wrapper)))


def _plain_columns(data: npt.NDArray[np.uint8], parts: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
    straight = np.zeros(len(parts), np.bool_)
    payload = _text(data, parts[:, nmea.PAYLOAD], parts[:, nmea.PAYLOAD_END], straight)
    named = parts[:, nmea.STATION] != nmea.NONE
    begins, ends = (np.where(named, parts[:, column], 0) for column in (nmea.STATION, nmea.STATION_END))
    station = _text(data, begins, ends, straight)
    stations = [one.decode(errors="replace") or None for one in station.dictionary_encode().dictionary.to_pylist()]
    codes = station.dictionary_encode().indices
    return {
        "payload": payload,
        "fill": pa.array(parts[:, nmea.FILL]),
        "heard_us": pa.array(_heard(parts)),
        "station": pa.array(stations, pa.string()).take(codes),
        "channel": pa.array(parts[:, nmea.CHANNEL]),
        "own": pa.array(parts[:, nmea.OWN] == 1),
    }


def _text(
    data: npt.NDArray[np.uint8],
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    straight: npt.NDArray[np.bool_],
) -> pa.Array:
    joined, offsets = gather(data, np.ascontiguousarray(begins), np.ascontiguousarray(ends), straight, 0)
    return pa.Array.from_buffers(pa.binary(), len(begins), [None, pa.py_buffer(offsets), pa.py_buffer(joined)])


def _columns(taken: list[_Record]) -> dict[str, Any]:
    return {
        "payload": pa.array([one.payload for one in taken], pa.binary()),
        "fill": pa.array([one.fill for one in taken], pa.int64()),
        "heard_us": pa.array([one.heard_us for one in taken], pa.int64()),
        "station": pa.array([one.station for one in taken], pa.string()),
        "channel": pa.array([one.channel for one in taken], pa.int64()),
        "own": pa.array([one.own for one in taken], pa.bool_()),
    }
