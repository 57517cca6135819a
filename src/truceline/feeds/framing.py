"""Streams to whole records: what comes over a socket, in datagrams, as messages or from a growing file, cut so that
each payload is one that the feed reads as a file of its own.

    ais        lines; the parts of a message are kept together; a sentence without any time gets a tag block with the
               time of receipt before it, as receivers do: \\c:1931076000*5B\\!AIVDM,...
    adsb       lines of Mode S frames (AVR, port 30002 of dump1090), the time of receipt before those without one
    cot        events, by their tags
    asterix    data blocks, by their length; as a capture with the time of receipt, which gives the time of day its day
    observations            JSON lines
    firms, table (CSV)      lines behind a header, which is said once at the beginning
    table (format = "geojson")   features, or plain objects, which are taken for the properties of a feature

A record that is cut off is given as it is, to be rejected; what a feed could not even begin to read is given apart.
"""

import re
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from truceline.feeds import cot_file
from truceline.feeds.asterix_layout import layout
from truceline.kernels import modes

#: A line of NMEA has 82 characters, with tag block some 250; a row or a feature some KB.
LONGEST_LINE = 1 << 16
LONGEST_ROW = 1 << 20


class Taken(NamedTuple):
    """Whole records, and what is none, with the reason."""

    records: list[bytes]
    unreadable: list[tuple[bytes, str]]


class Framing(Protocol):
    """One stream."""

    #: What one record lacks all lack (a header without a column): the stream ends with the first refusal.
    alike: bool
    #: Each record is a payload of its own.
    single: bool

    @property
    def waiting(self) -> int:
        """Bytes of a record that has begun and not ended; also of parts of a message that wait for others."""

    @property
    def lost(self) -> bool:
        """Whether the stream can no longer be followed, or a record was longer than it may be."""

    def push(self, data: bytes, at_s: float) -> None:
        """More of the stream, received at `at_s`, seconds since 1970."""

    def unit(self, data: bytes, at_s: float) -> None:
        """A datagram or message: whole records, though perhaps one of several parts."""

    def take(self, at_s: float, ended: bool = False) -> Taken:
        """What is whole by now; `ended`: and what is left, as it is."""

    def payload(self, records: Sequence[bytes]) -> bytes:
        """Records as the feed reads them."""


Make = Callable[[], Framing]


class Lines:
    """Bytes cut at line ends; blank lines are none."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self._rest = b""
        self._lines: list[tuple[bytes, float]] = []
        self._lost = False

    @property
    def waiting(self) -> int:
        return len(self._rest)

    @property
    def lost(self) -> bool:
        return self._lost

    def push(self, data: bytes, at_s: float) -> None:
        *lines, self._rest = re.split(rb"[\r\n]+", self._rest + data)
        self._lines += [(line, at_s) for line in lines if line.strip()]
        if len(self._rest) > self.longest:
            self._lost = True

    def unit(self, data: bytes, at_s: float) -> None:
        self.push(data + b"\n", at_s)

    def lines(self, at_s: float, ended: bool) -> list[tuple[bytes, float]]:
        """The lines that are whole, each with its time of receipt."""
        if (ended or self._lost) and self._rest.strip():
            self._lines.append((self._rest, at_s))
            self._rest = b""
        found, self._lines = self._lines, []
        return found


class ByLine:
    """What framings of lines have in common: the lines are `_cut`'s."""

    alike = single = False

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._cut = Lines(longest)

    @property
    def waiting(self) -> int:
        return self._cut.waiting

    @property
    def lost(self) -> bool:
        return self._cut.lost

    def push(self, data: bytes, at_s: float) -> None:
        self._cut.push(data, at_s)

    def unit(self, data: bytes, at_s: float) -> None:
        self._cut.unit(data, at_s)


class Frames(ByLine):
    """Lines of Mode S frames."""

    def take(self, at_s: float, ended: bool = False) -> Taken:
        lines = self._cut.lines(at_s, ended)
        if not lines:
            return Taken([], [])
        data, starts, ends = laid_out([line for line, _ in lines])
        _, _, times, _, wrong = modes.frames(data, starts, ends)
        records, unreadable = [], []
        for (line, at), time_us, fault in zip(lines, times.tolist(), wrong.tolist(), strict=True):
            if fault:
                unreadable.append((line, "holds no Mode S frame: 14 or 28 hexadecimal digits"))
            else:
                records.append(line if time_us != modes.NONE else b"%.3f,%s" % (at, line))
        return Taken(records, unreadable)

    def payload(self, records: Sequence[bytes]) -> bytes:
        return b"\n".join(records) + b"\n"


class Events:
    """Cursor on Target."""

    alike = single = False

    def __init__(self) -> None:
        self._data = b""
        self._taken = Taken([], [])
        self._lost = False

    @property
    def waiting(self) -> int:
        return len(self._data.strip())

    @property
    def lost(self) -> bool:
        return self._lost

    def push(self, data: bytes, at_s: float) -> None:
        self._data += data

    def unit(self, data: bytes, at_s: float) -> None:
        # Apart from the others: a broken one must not run into the next.
        self._cut(data, ended=True)

    def take(self, at_s: float, ended: bool = False) -> Taken:
        self._data = self._cut(self._data, ended)
        found, self._taken = self._taken, Taken([], [])
        return found

    def _cut(self, data: bytes, ended: bool) -> bytes:
        """Take the events of some data; what is left of it."""
        while True:
            found, at = cot_file.cut(data, 0, ended)
            data = data[at:]
            if not found:
                return data
            for raw, fault in found:
                self._lost = self._lost or len(raw) >= cot_file.LONGEST_EVENT
                if fault is None or raw.startswith(b"<event"):
                    self._taken.records.append(raw)
                elif raw[:1] == b"\xbf":
                    reason = "is TAK protocol version 1 (protobuf), which is not read: send XML"
                    self._taken.unreadable.append((raw, reason))
                else:
                    self._taken.unreadable.append((raw, fault.reason))

    def payload(self, records: Sequence[bytes]) -> bytes:
        return b"\n".join(records) + b"\n"


#: A capture of raw IP packets with microseconds (pcap, little-endian, link type 101).
_CAPTURE = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0xFFFF, 101)
_LONGEST_DATAGRAM = 65_507


class Blocks:
    """ASTERIX data blocks, to packets of a capture: nothing is said of addresses and ports."""

    alike = single = False

    def __init__(self) -> None:
        self._data = b""
        self._packets: list[bytes] = []
        self._unreadable: list[tuple[bytes, str]] = []
        self._known = layout().known
        self._lost = False

    @property
    def waiting(self) -> int:
        return len(self._data)

    @property
    def lost(self) -> bool:
        return self._lost

    def push(self, data: bytes, at_s: float) -> None:
        self._data += data
        begin = 0
        while len(self._data) - begin >= 3:
            length = int.from_bytes(self._data[begin + 1 : begin + 3], "big")
            if not self._known[self._data[begin]] or length < 4:
                self._lost = True  # where the next block begins is not known any more
                break
            if len(self._data) - begin < length:
                break
            self.unit(self._data[begin : begin + length], at_s)
            begin += length
        self._data = self._data[begin:]

    def unit(self, data: bytes, at_s: float) -> None:
        if len(data) > _LONGEST_DATAGRAM:
            self._unreadable.append((data, f"is a block of more than {_LONGEST_DATAGRAM} bytes"))
            return
        size = 28 + len(data)
        packet = struct.pack(">BBHHHBBHII", 0x45, 0, size, 0, 0x4000, 64, 17, 0, 0, 0)
        packet += struct.pack(">HHHH", 0, 0, 8 + len(data), 0) + data
        whole_s = int(at_s)
        self._packets.append(struct.pack("<IIII", whole_s, int((at_s - whole_s) * 1e6), size, size) + packet)

    def take(self, at_s: float, ended: bool = False) -> Taken:
        while (ended or self._lost) and self._data:
            self.unit(self._data[:_LONGEST_DATAGRAM], at_s)
            self._data = self._data[_LONGEST_DATAGRAM:]
        found, self._packets = self._packets, []
        unreadable, self._unreadable = self._unreadable, []
        return Taken(found, unreadable)

    def payload(self, records: Sequence[bytes]) -> bytes:
        return _CAPTURE + b"".join(records)


def laid_out(lines: Sequence[bytes]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Lines as kernels take them: bytes, begins, ends."""
    sizes = np.array([len(line) for line in lines], np.int64)
    ends = np.cumsum(sizes + 1) - 1
    return np.frombuffer(b"\n".join(lines) + b"\n", np.uint8), ends - sizes, ends
