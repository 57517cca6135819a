"""A stream of NMEA 0183 to AIS messages, whole and with a time."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from truceline.feeds.framing import ByLine, Taken, laid_out
from truceline.kernels import nmea

#: A receiver gives the parts of a message within a second; networks mix and delay them. Assumption.
PARTS_WITHIN_S = 5.0
#: The most messages that wait for parts; a sender of beginnings alone takes no more memory.
MOST_WAITING = 500

_SENTENCE = re.compile(rb"![A-Za-z0-9]{2}VD[MO],")


class _Part(NamedTuple):
    number: int
    line: bytes
    timed: bool


class _Message:
    """The parts of one message so far."""

    def __init__(self, total: int, at_s: float) -> None:
        self.total, self.at_s = total, at_s
        self.parts: list[_Part] = []

    def record(self, stamp: bool) -> bytes:
        lines = [part.line for part in self.parts]
        if stamp and not any(part.timed for part in self.parts):
            lines[0] = stamped(lines[0], self.at_s)
        return b"\n".join(lines)


class Sentences(ByLine):
    """ByLine of sentences. `stamp`: those without any time get that of receipt."""

    def __init__(self, stamp: bool = True) -> None:
        super().__init__()
        self._stamp = stamp
        self._waiting: dict[tuple[object, ...], _Message] = {}
        self._wrapper: bytes | None = None  # a receiver's time, for the sentence behind it

    @property
    def waiting(self) -> int:
        held = sum(len(part.line) for one in self._waiting.values() for part in one.parts)
        return self._cut.waiting + held + len(self._wrapper or b"")

    def take(self, at_s: float, ended: bool = False) -> Taken:
        records: list[bytes] = []
        unreadable: list[tuple[bytes, str]] = []
        lines = self._cut.lines(at_s, ended)
        if lines:
            self._read(lines, records, unreadable)
        for key, one in list(self._waiting.items()):
            if ended or at_s - one.at_s > PARTS_WITHIN_S or len(self._waiting) > MOST_WAITING:
                records.append(self._waiting.pop(key).record(self._stamp))
        if ended and self._wrapper is not None:
            unreadable.append((self._wrapper, "is a receiver's time without the sentence it belongs to"))
            self._wrapper = None
        return Taken(records, unreadable)

    def _read(
        self, lines: list[tuple[bytes, float]], records: list[bytes], unreadable: list[tuple[bytes, str]]
    ) -> None:
        texts = [line for line, _ in lines]
        parts, what = nmea.sentences(*laid_out(texts))
        times = parts[:, [nmea.TAG_TIME, nmea.BESIDE_TIME]]
        timed = (times != nmea.NONE).any(axis=1).tolist()
        whole = ((what == nmea.SENTENCE) & (parts[:, nmea.TOTAL] == 1)).tolist()
        for place, (line, at_s) in enumerate(lines):
            before, self._wrapper = self._wrapper, None
            if what[place] == nmea.WRAPPER:
                self._wrapper = line
            elif what[place] == nmea.SENTENCE:
                is_timed = timed[place] or before is not None
                text = line if before is None else before + b"\n" + line
                before = None
                if not whole[place]:
                    records += self._join(parts[place].tolist(), texts[place], text, is_timed, at_s)
                else:
                    records.append(text if is_timed or not self._stamp else stamped(text, at_s))
            elif _SENTENCE.search(line):
                records.append(line)  # the feed says what is wrong with it
            else:
                unreadable.append((line, "holds no AIS sentence: only VDM and VDO are read"))
            if before is not None:
                unreadable.append((before, "is a receiver's time without the sentence it belongs to"))

    def _join(self, row: list[int], line: bytes, text: bytes, timed: bool, at_s: float) -> list[bytes]:
        """Put a part to the others of its message; what is complete by that, or given up for it."""
        station = None
        if row[nmea.STATION] != nmea.NONE and line.startswith(b"\\"):
            found = re.search(rb"[\\,]s:([^,*\\]+)", line)
            station = found[1] if found else None
        key: tuple[object, ...] = (row[nmea.TOTAL], row[nmea.SEQUENCE], row[nmea.CHANNEL], row[nmea.OWN], station)
        if row[nmea.GROUP] != nmea.NONE:
            key = ("group", row[nmea.GROUP], row[nmea.TOTAL])
        given = []
        message = self._waiting.get(key)
        if message is not None and any(part.number == row[nmea.NUMBER] for part in message.parts):
            given.append(self._waiting.pop(key).record(self._stamp))
            message = None
        if message is None:
            message = self._waiting[key] = _Message(row[nmea.TOTAL], at_s)
        message.parts.append(_Part(row[nmea.NUMBER], text, timed))
        if len(message.parts) == message.total:
            given.append(self._waiting.pop(key).record(self._stamp))
        return given

    def payload(self, records: Sequence[bytes]) -> bytes:
        return b"\n".join(records) + b"\n"


def stamped(line: bytes, at_s: float) -> bytes:
    """The line with the time of receipt in its tag block; made when it has none."""
    mark = next((place for place, c in enumerate(line) if c in b"\\!$"), 0)
    codes = b"c:%d" % int(at_s)
    if line[mark : mark + 1] == b"\\":
        close = line.index(b"\\", mark + 1)
        return line[:mark] + _tag(line[mark + 1 : close].partition(b"*")[0] + b"," + codes) + line[close + 1 :]
    return line[:mark] + _tag(codes) + line[mark:]


def _tag(codes: bytes) -> bytes:
    checksum = int(np.bitwise_xor.reduce(np.frombuffer(codes, np.uint8)))
    return b"\\%s*%02X\\" % (codes, checksum)
