"""Streams of rows and of JSON to whole records."""

from collections.abc import Sequence
from typing import Any

import msgspec

from truceline.feeds.framing import LONGEST_ROW, ByLine, Taken


class Objects(ByLine):
    """JSON lines of observations: an object a line."""

    def __init__(self) -> None:
        super().__init__(LONGEST_ROW)

    def take(self, at_s: float, ended: bool = False) -> Taken:
        lines = [line for line, _ in self._cut.lines(at_s, ended)]
        records = [line for line in lines if line.lstrip().startswith(b"{")]
        return Taken(records, [(line, "is no JSON object") for line in lines if not line.lstrip().startswith(b"{")])

    def payload(self, records: Sequence[bytes]) -> bytes:
        return b"\n".join(records) + b"\n"


class Rows(ByLine):
    """Lines behind a header; `quoted`: a record may go on over line ends inside quotes."""

    alike = True

    def __init__(self, quoted: bool = False) -> None:
        super().__init__(LONGEST_ROW)
        self.header: bytes | None = None
        self._quoted = quoted
        self._open = b""

    @property
    def waiting(self) -> int:
        return self._cut.waiting + len(self._open)

    def take(self, at_s: float, ended: bool = False) -> Taken:
        lines = [line for line, _ in self._cut.lines(at_s, ended)]
        if self.header is None and lines:
            self.header, lines = lines[0], lines[1:]
        if not self._quoted:
            return Taken(lines, [])
        records = []
        for line in lines:
            self._open = self._open + b"\n" + line if self._open else line
            # A quote that is never closed costs what came until here; the feed says so.
            if self._open.count(b'"') % 2 == 0 or len(self._open) > LONGEST_ROW:
                records.append(self._open)
                self._open = b""
        if ended and self._open:
            records.append(self._open)
            self._open = b""
        return Taken(records, [])

    def payload(self, records: Sequence[bytes]) -> bytes:
        return b"\n".join([self.header or b"", *records]) + b"\n"


class _Document(msgspec.Struct):
    type: Any = None
    features: list[msgspec.Raw] | None = None


_document = msgspec.json.Decoder(_Document).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Features(ByLine):
    """JSON, one document a line or message: a feature, a collection of them, an object, or an array of these."""

    def __init__(self) -> None:
        super().__init__(LONGEST_ROW)
        self._messages: list[bytes] = []

    def unit(self, data: bytes, at_s: float) -> None:
        self._messages.append(data)

    def take(self, at_s: float, ended: bool = False) -> Taken:
        messages, self._messages = self._messages, []
        records: list[bytes] = []
        unreadable: list[tuple[bytes, str]] = []
        for raw in messages + [line for line, _ in self._cut.lines(at_s, ended)]:
            try:
                records += _features(raw.strip())
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                unreadable.append((raw, f"is no JSON object: {error}"))
        return Taken(records, unreadable)

    def payload(self, records: Sequence[bytes]) -> bytes:
        return b'{"type":"FeatureCollection","features":[' + b",\n".join(records) + b"]}"


def _features(raw: bytes) -> list[bytes]:
    if raw[:1] == b"[":
        return [feature for one in _array(raw) for feature in _features(bytes(one).strip())]
    document = _document(raw)
    if document.type == "FeatureCollection" and document.features is not None:
        return [bytes(one) for one in document.features]
    msgspec.json.decode(raw, type=dict)  # whole, and nothing behind it
    return [raw if document.type == "Feature" else b'{"type":"Feature","geometry":null,"properties":' + raw + b"}"]


class Whole:
    """Each message is a file of its own."""

    alike = False
    single = True
    waiting = 0
    lost = False

    def __init__(self) -> None:
        self._messages: list[bytes] = []

    def push(self, data: bytes, at_s: float) -> None:
        raise TypeError("files come as messages: of_stream gives no such framing, for a stream has no end of a file")

    def unit(self, data: bytes, at_s: float) -> None:
        if data.strip():
            self._messages.append(data)

    def take(self, at_s: float, ended: bool = False) -> Taken:
        found, self._messages = self._messages, []
        return Taken(found, [])

    def payload(self, records: Sequence[bytes]) -> bytes:
        return b"".join(records)
