"""Files of Cursor on Target to events and their bytes: one event, a stream of them, or a data package.

    <?xml version="1.0"?><event uid=... type=...><point .../><detail>...</detail></event><event ...

Heads (`<?xml ...?>`), comments, a root `<events>` and the three bytes before XML in a datagram are no records.
What else stands between events is one broken record, and so is an event that is no well-formed XML. An event goes
to the next `</event>`, or to the next `<event` if that comes first: CoT does not put one into another.

A document type is not read and no entity but XML's own five is known: each event is parsed alone, by defusedxml.
"""

import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from truceline.errors import SourceError
from truceline.feeds.batch import Fault
from truceline.feeds.records import MOST_RECORDS
from truceline.feeds.stream import Window, window

#: An event has some KB; a drawing of many points some hundred.
LONGEST_EVENT = 1 << 20
#: The largest file in a data package that is read, and how many files it may have.
LONGEST_MEMBER = 16 << 20
MOST_MEMBERS = 10_000

_OPEN = re.compile(rb"<event(?=[\s/>])")
_OPEN_OR_CLOSE = re.compile(rb"<event(?=[\s/>])|</event\s*>")
_TAG = re.compile(rb"<event(?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*+>")
_HEAD = re.compile(rb"<\?[^>]*\?>|</?events\s*>|\xbf\x00\xbf|\xef\xbb\xbf")
_BLANK = re.compile(rb"\s*")
#: A token can be cut by the end of what is in memory: `<event` and the character behind it.
_TOKEN_BYTES = 7
_ZIP = b"PK\x03\x04"

#: An event's bytes, or bytes that are none and why; the byte of the file where a broken archive ends with it.
Cut = tuple[bytes, Fault | None, int | None]


def events(path: str, name: str, chunk_bytes: int) -> Iterator[list[Cut]]:
    """The events of a file, in order, some at a time; they do not depend on `chunk_bytes`.

    Raises
    ------
    SourceError
        When the file cannot be opened, is empty, holds no event, or speaks another protocol.
    """
    if _begins(path, name, _ZIP):
        yield from _package(path, name)
        return
    with window(path, name, chunk_bytes, 4 * LONGEST_EVENT) as text:
        _find_first(text)
        while True:
            whole = text.final and text.stream.problem is None
            found, text.begin = cut(text.data, text.begin, whole)
            if found:
                yield [(raw, fault, None) for raw, fault in found]
            elif text.final:
                break
            else:
                text.more()
        if text.stream.problem is not None:
            yield [(text.data[text.begin :].strip(), Fault(text.stream.problem), text.stream.break_at)]


def _begins(path: str, name: str, magic: bytes) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error.strerror or error}") from error


def _find_first(text: Window) -> None:
    """Refuse a file in whose beginning no event begins."""
    while True:
        head = text.data[text.begin : text.begin + 2]
        if head[:1] == b"\xbf" and head[1:] not in (b"", b"\x00"):
            raise SourceError(
                f"{text.name}: is TAK protocol version 1 (protobuf), which is not read: record XML (version 0)"
            )
        if _OPEN.search(text.data, text.begin, text.begin + LONGEST_EVENT):
            return
        if text.final or text.left > LONGEST_EVENT:
            raise SourceError(f"{text.name}: {text.stream.problem or 'holds no Cursor on Target event'}")
        text.more()


def cut(data: bytes, begin: int, whole: bool) -> tuple[list[tuple[bytes, Fault | None]], int]:
    """Events from `begin`, and where to go on when more is known.

    Parameters
    ----------
    whole
        Whether `data` ends the stream; if not, what may go on is left.
    """
    found: list[tuple[bytes, Fault | None]] = []
    at = begin
    while len(found) < MOST_RECORDS:
        at = _BLANK.match(data, at).end()  # type: ignore[union-attr]
        if at == len(data):
            break
        behind = _behind_furniture(data, at)
        if behind is None:
            if not whole and len(data) - at <= LONGEST_EVENT:
                break
        elif behind > at:
            at = behind
            continue
        end, fault = _event_end(data, at, whole) if _OPEN.match(data, at) else _junk_end(data, at, whole)
        if end < 0:
            break
        raw = data[at:end].rstrip()
        found.append((raw, fault))
        at = end
    return found, at


def _behind_furniture(data: bytes, at: int) -> int | None:
    """Behind what stands between events by right; `at` when that is something else, None when it is not known yet."""
    if data.startswith(b"<!--", at):
        end = data.find(b"-->", at, at + LONGEST_EVENT)
        return end + 3 if end >= 0 else None
    head = _HEAD.match(data, at, at + LONGEST_EVENT)
    if head is not None:
        return head.end()
    # The beginning of any of them, cut by the end of the data.
    rest = data[at : at + 10]
    is_cut = len(data) - at < 10 and any(
        word.startswith(rest)
        for word in (b"<!--", b"<events>", b"</events>", b"\xbf\x00\xbf", b"\xef\xbb\xbf", b"<event ")
    )
    if is_cut or (data.startswith(b"<?", at) and data.find(b">", at, at + LONGEST_EVENT) < 0):
        return None
    return at


def _event_end(data: bytes, at: int, whole: bool) -> tuple[int, Fault | None]:
    """Behind the event at `at`; -1 when that is not known yet."""
    limit = at + LONGEST_EVENT
    token = _OPEN_OR_CLOSE.search(data, at + 6, limit)
    if token is None and not whole and len(data) < limit:
        return -1, None
    tag = _TAG.match(data, at, limit if token is None else token.start())
    if tag is not None and tag[0].endswith(b"/>"):
        return tag.end(), None
    if token is not None:
        return (token.end() if token[0].startswith(b"</") else token.start()), None
    if len(data) >= limit:
        return limit, Fault(f"is part of an event longer than {LONGEST_EVENT} bytes")
    return len(data), Fault("the file ends inside an event")


def _junk_end(data: bytes, at: int, whole: bool) -> tuple[int, Fault | None]:
    """Behind what is no event: at the next one, or after `LONGEST_EVENT` bytes; -1 when that is not known yet."""
    limit = at + LONGEST_EVENT
    why = "a document type with its entities is not read" if data[at : at + 9].upper() == b"<!DOCTYPE" else ""
    fault = Fault(why or "is no Cursor on Target event")
    token = _OPEN.search(data, at, limit + _TOKEN_BYTES)
    if token is not None and token.start() < limit:
        return token.start(), fault
    if len(data) >= limit + _TOKEN_BYTES:
        return limit, fault
    return (len(data), fault) if whole else (-1, None)


def _package(path: str, name: str) -> Iterator[list[Cut]]:
    """The events of a data package's files, in the archive's order; its other files are broken records."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > MOST_MEMBERS:
                raise SourceError(f"{name}: is a zip archive of {len(members)} files; {MOST_MEMBERS} are the most")
            for member in members:
                if member.filename.upper() != "MANIFEST/MANIFEST.XML":
                    yield _member(archive, member)
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{name}: is a zip archive that cannot be read: {_short(error)}") from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> list[Cut]:
    filename = member.filename
    try:
        with archive.open(member) as file:
            content = file.read(LONGEST_MEMBER + 1)
    # Damaged, encrypted (RuntimeError), or packed in a way that zipfile does not know.
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, OSError, EOFError, ValueError) as error:
        return [(filename.encode(), Fault(f"{filename} in the package cannot be unpacked: {_short(error)}"), None)]
    if len(content) > LONGEST_MEMBER:
        why = f"{filename} in the package is longer than {LONGEST_MEMBER} bytes"
        return [(content[:LONGEST_EVENT], Fault(why), None)]
    if not _OPEN.search(content):
        return [(content[:LONGEST_EVENT], Fault(f"{filename} in the package is no Cursor on Target event"), None)]
    found: list[Cut] = []
    at = 0
    while True:
        some, at = cut(content, at, True)
        if not some:
            return found
        found += [(raw, fault, None) for raw, fault in some]


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
