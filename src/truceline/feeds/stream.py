"""The bytes of a file in bounded memory, gzip unpacked, and where and why they ended when that was too early."""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from truceline.errors import SourceError

_PACKED_BYTES = 1 << 16

_FOREIGN = {
    b"PK\x03\x04": "is a zip archive: unpack it first",
    b"PAR1": "is a Parquet file, not text",
    b"\xff\xfe": "is UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "is UTF-16 text: save it as UTF-8",
}


class Stream:
    """The bytes of a file; unpacked when its first bytes say gzip, whatever its name says.

    `problem` says why they ended too early, `break_at` at which byte of the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._head = file.read(4)
        self._gunzip = zlib.decompressobj(31) if self._head.startswith(b"\x1f\x8b") else None
        self._packed = b""
        self._taken = 0  # packed bytes taken from the file
        self._done = False
        self.problem: str | None = None
        self.break_at = 0

    def read(self, size: int) -> bytes:
        """Up to about `size` bytes; none at the end."""
        if self._gunzip is None:
            return self._raw(size)
        out: list[bytes] = []
        got = 0
        while got < size and not self._done:
            out.append(self._unpack(size - got))
            got += len(out[-1])
        return b"".join(out)

    def _raw(self, size: int) -> bytes:
        head, self._head = self._head, b""
        part = head + self._file.read(size)
        self._taken += len(part)
        return part

    def _unpack(self, size: int) -> bytes:
        assert self._gunzip is not None
        if not self._packed:
            self._packed = self._raw(_PACKED_BYTES)
            if not self._packed:
                if held := self._gunzip.decompress(b"", size):  # what `size` held back
                    return held
                self._stop("the gzip file breaks off", self._taken)
                return b""
        before = self._gunzip.copy()
        try:
            part = self._gunzip.decompress(self._packed, size)
        except zlib.error as error:
            return self._salvage(before, str(error))
        self._packed = self._gunzip.unconsumed_tail
        if self._gunzip.eof:
            self._next_member(self._gunzip.unused_data)
        return part

    def _next_member(self, rest: bytes) -> None:
        """A gzip file may hold several members one after the other, and zeros behind the last."""
        rest = rest.lstrip(b"\0")
        while len(rest) < 2 and (more := self._raw(_PACKED_BYTES)):
            rest = (rest + more).lstrip(b"\0")
        if not rest:
            self._done = True
        elif rest.startswith(b"\x1f\x8b"):
            self._gunzip, self._packed = zlib.decompressobj(31), rest
        else:
            self._stop("what follows the gzip data is not gzip", self._taken - len(rest))

    def _salvage(self, gunzip: "zlib._Decompress", reason: str) -> bytes:
        """What can be unpacked before the damage."""
        out: list[bytes] = []
        for taken in range(len(self._packed)):
            try:
                out.append(gunzip.decompress(self._packed[taken : taken + 1]))
            except zlib.error:
                reason = re.sub(r"^Error -?\d+ while decompressing data: ", "", reason)
                self._stop(f"the gzip data is damaged ({reason})", self._taken - len(self._packed) + taken)
                break
        return b"".join(out)

    def _stop(self, problem: str, at: int) -> None:
        self._done, self.break_at = True, at
        self.problem = f"{problem} at byte {at}"


class Window:
    """The part of a stream that is in memory: `data` from `begin` has not been used yet."""

    def __init__(self, stream: Stream, name: str, chunk_bytes: int, most_bytes: int) -> None:
        self.stream, self.name = stream, name
        self._chunk_bytes, self._most_bytes = chunk_bytes, most_bytes
        self.data = b""
        self.begin = 0
        self.final = False  # the stream has ended with `data`
        self._check_text()

    @property
    def left(self) -> int:
        """Bytes not used yet."""
        return len(self.data) - self.begin

    def more(self) -> int:
        """Read on; how many used bytes were dropped.

        What cannot be used yet is read on by doubling, so that it is not looked at too often, up to `most_bytes`.
        """
        dropped, self.data = self.begin, self.data[self.begin :]
        more = self.stream.read(min(max(self._chunk_bytes, self.left), max(1, self._most_bytes - len(self.data))))
        self.data, self.begin, self.final = self.data + more, 0, not more
        return dropped

    def _check_text(self) -> None:
        """Skip a byte order mark; refuse what is known not to be UTF-8 text."""
        while len(self.data) < 4 and not self.final:
            self.more()
        for magic, what in _FOREIGN.items():
            if self.data.startswith(magic):
                raise SourceError(f"{self.name}: {what}")
        if self.data.startswith(b"\xef\xbb\xbf"):
            self.begin = 3
        if not self.data:
            raise SourceError(f"{self.name}: {self.stream.problem or 'is empty'}")


@contextmanager
def window(path: str, name: str, chunk_bytes: int, most_bytes: int) -> Iterator[Window]:
    """A window on the text of a file.

    Raises
    ------
    SourceError
        When the file cannot be opened or read on, is empty, or is not text by its first bytes.
    """
    try:
        with Path(path).open("rb") as file:
            yield Window(Stream(file), name, chunk_bytes, most_bytes)
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error.strerror or error}") from error
