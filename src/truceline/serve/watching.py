"""Watched files and addresses: what is new in them is read, again and again; what was read is not read again.

A file that grows is read on from where it stood, whole records at a time; one that was replaced is read anew, and the
records that it has in common with the old one are duplicates. An address is fetched into the mission's cache, as in a
run, when its server says that it has changed. What a run or this service read before, also before a restart, the
journal says.
"""

import asyncio
import contextlib
import functools
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from truceline import feeds
from truceline.errors import SourceError
from truceline.feeds import framing
from truceline.feeds.features import format_of
from truceline.feeds.fetch import Patience
from truceline.feeds.framing_nmea import Sentences
from truceline.feeds.framing_rows import Objects, Rows
from truceline.feeds.streams import is_sentences
from truceline.intake import CACHE, JOURNAL, reader
from truceline.mission import Source, files
from truceline.serve.addresses import filled, hidden
from truceline.serve.delivery import Delivery
from truceline.serve.service import Receipt, Service
from truceline.store import Journal

T = TypeVar("T")

#: Read at a time of a file that is cut into records.
PIECE_BYTES = 1 << 20
#: The largest file that is given whole, and the largest that an address may have.
WHOLE_BYTES = 64 << 20
_LOOKED_AT_BYTES = 1 << 16
#: Beginnings of files that have no records to go on behind: gzip, zip, Parquet, captures, Beast, Arrow.
_CLOSED = (b"\x1f\x8b", b"PK", b"PAR1", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2", b"\x4d\x3c", b"\x0a\x0d\x0d\x0a", b"\x1a",
           b"\xff\xff\xff\xff")  # fmt: skip


@dataclass
class _File:
    """What has been read of one file."""

    done: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)  # of the bytes up to `done`
    seen: tuple[int, int] = (-1, -1)  # size and time of change when it was last looked at
    cut: framing.Framing | None = None
    totals: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    problem: str = ""


class Watcher:
    """Looks at a source's paths every `every_s`."""

    def __init__(self, service: Service, delivery: Delivery, environ: Mapping[str, str], settle_s: float) -> None:
        self._service, self._delivery, self._environ = service, delivery, environ
        self._source: Source = delivery.source
        assert self._source.live is not None
        self._every_s, self._settle_s = self._source.live.every_s, settle_s
        self._files: dict[str, _File] = {}
        #: By hash, how long each file was that has been read before.
        self._before: dict[str, int] | None = None
        # Of its own: a server that answers slowly keeps nobody else waiting.
        self._thread = ThreadPoolExecutor(1, f"watch {self._source.id}")

    async def close(self) -> None:
        """Give up the thread; what it does ends with the answer it waits for."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def run(self) -> None:
        """Look, wait, look again."""
        while True:
            await self.look()
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Look at everything once."""
        if self._before is None:
            self._before = await self._apart(self._read_before)
        paths = await self._apart(lambda: files(self._service.folder, self._source.paths))
        problems = [] if paths else [f"no file matches {', '.join(map(feeds.shown, self._source.paths))}"]
        for path in paths:
            try:
                problems += await (self._address(path) if "://" in path else self._local(path, Path(path)))
            except (SourceError, OSError) as error:
                problems.append(hidden(str(error), path, self._environ))
        self._delivery.state("watching", "; ".join(problems))

    async def _apart(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _read_before(self) -> dict[str, int]:
        if not (self._service.folder / JOURNAL).exists():
            return {}
        rows = Journal(self._service.folder / JOURNAL).table("file")
        mine = pc.and_(pc.equal(rows["source"], self._source.id), pc.equal(rows["reader"], reader(self._source)))
        rows = rows.filter(pc.and_(mine, pc.is_valid(rows["records"])))
        return dict(zip(rows["sha256"].to_pylist(), rows["bytes"].to_pylist(), strict=True))

    async def _address(self, template: str) -> list[str]:
        """Fetch what has changed, and read it."""
        notes: list[str] = []
        url = filled(self._source, "watch", template, self._environ)
        patience = Patience(pauses_s=(), answer_s=15.0, whole_s=max(60.0, self._every_s), most_bytes=WHOLE_BYTES)
        fetch = functools.partial(feeds.fetch, url, self._service.folder / CACHE, patience=patience, tell=notes.append)
        local = await self._apart(fetch)
        problems = await self._local(template, local, fetched=True)
        return [hidden(note, template, self._environ) for note in notes] + problems

    async def _local(self, path: str, local: Path, *, fetched: bool = False) -> list[str]:
        """Read what is new in a file; what was wrong with it."""
        one = self._files.setdefault(path, _File())
        stat = await self._apart(local.stat)
        now = (stat.st_size, stat.st_mtime_ns)
        rested, one.seen = now == one.seen, now
        if rested and one.done == now[0] and (one.cut is None or not one.cut.waiting):
            return [one.problem] if one.problem else []
        if now[0] == 0:
            return []
        name = feeds.shown(path) if "://" in path else _relative(local, self._service.folder)
        one.problem = ""
        try:
            await self._read(one, local, name, now, rested or fetched)
        except SourceError as error:
            one.problem = str(error)
            # Not asked again until it changes.
            one.done, one.cut, one.totals = now[0], None, [0, 0, 0, 0]
        return [one.problem] if one.problem else []

    async def _read(self, one: _File, local: Path, name: str, now: tuple[int, int], rested: bool) -> None:
        assert self._before is not None
        size = now[0]
        if one.done == 0 and one.cut is None:
            await self._apart(functools.partial(_known, one, local, self._before))
            if one.done == size:
                return
        elif not await self._apart(functools.partial(_goes_on, one, local, size)):
            one.done, one.sha256, one.cut, one.totals = 0, hashlib.sha256(), None, [0, 0, 0, 0]
        head = await self._apart(lambda: _bytes(local, 0, _LOOKED_AT_BYTES))
        make = _cutter(self._source, str(local), head)
        if make is None:
            await self._whole(one, local, name, now, rested)
            return
        if one.cut is None:
            one.cut = make()
            if one.done and isinstance(one.cut, Rows):
                one.cut.push(head[: head.find(b"\n") + 1], 0.0)  # the header, read before a restart
        while one.done < size:
            begin = one.done
            piece = await self._apart(functools.partial(_bytes, local, begin, min(PIECE_BYTES, size - begin)))
            if not piece:
                break
            one.cut.push(piece, 0.0)
            one.done += len(piece)
            one.sha256.update(piece)
            self._delivery.received(len(piece))
            await self._give(one, f"{name} from byte {begin}" if begin else name, ended=False)
        if one.cut.waiting and rested:
            await self._give(one, f"{name}, its end", ended=True)  # it has no line end and gets none
        if not one.cut.waiting:
            await self._note(one, name)

    async def _whole(self, one: _File, local: Path, name: str, now: tuple[int, int], rested: bool) -> None:
        if now[0] > WHOLE_BYTES:
            raise SourceError(f"{name}: has {now[0]} bytes; of a file of this kind {WHOLE_BYTES} is the most")
        if not rested:
            # It may still be written: a moment without a change says that it is not.
            await asyncio.sleep(self._settle_s)
            stat = await self._apart(local.stat)
            if (stat.st_size, stat.st_mtime_ns) != now:
                return
        content = await self._apart(lambda: _bytes(local, 0, WHOLE_BYTES))
        self._delivery.received(len(content))
        self._count(one, await self._delivery.give(content, name))
        one.done, one.sha256 = len(content), hashlib.sha256(content)
        await self._note(one, name)

    async def _give(self, one: _File, name: str, *, ended: bool) -> None:
        assert one.cut is not None
        records, unreadable = one.cut.take(0.0, ended)
        for raw, reason in unreadable:
            await self._delivery.refuse([raw], reason, name)
            self._count(one, Receipt(self._source.id, 1, 0, 0, 1))
        if records:
            self._count(one, await self._delivery.give(one.cut.payload(records), name))

    def _count(self, one: _File, receipt: Receipt) -> None:
        counts = (receipt.read, receipt.accepted, receipt.duplicates, receipt.rejected)
        one.totals = [a + b for a, b in zip(one.totals, counts, strict=True)]
        if receipt.reasons:
            self._delivery.board.problem = receipt.reasons[0]

    async def _note(self, one: _File, name: str) -> None:
        """Journal that the file has been read up to here: neither a restart nor a run reads it again."""
        row = {
            "source": self._source.id, "path": name, "sha256": one.sha256.hexdigest(), "bytes": one.done,
            **dict(zip(("records", "accepted", "duplicates", "rejected"), one.totals, strict=True)),
            "reader": reader(self._source), "received_at": self._service.clock(), "release": self._source.release,
        }  # fmt: skip
        one.totals = [0, 0, 0, 0]
        await self._service.gate.record("file", pa.Table.from_pylist([row]))


def _known(one: _File, local: Path, before: Mapping[str, int]) -> None:
    """Begin behind what was read of the file before: the longest beginning that the journal names."""
    size = local.stat().st_size
    with local.open("rb") as file:
        running, at = hashlib.sha256(), 0
        for length in sorted({length for length in before.values() if 0 < length <= size}):
            while at < length and (piece := file.read(min(PIECE_BYTES, length - at))):
                running.update(piece)
                at += len(piece)
            if running.hexdigest() in before:
                one.done, one.sha256 = length, running.copy()


def _goes_on(one: _File, local: Path, size: int) -> bool:
    """Whether the file still begins with what was read."""
    if size < one.done:
        return False
    running, left = hashlib.sha256(), one.done
    with contextlib.suppress(OSError), local.open("rb") as file:
        while left and (piece := file.read(min(PIECE_BYTES, left))):
            running.update(piece)
            left -= len(piece)
    return left == 0 and bool(running.digest() == one.sha256.digest())


def _bytes(local: Path, begin: int, size: int) -> bytes:
    with local.open("rb") as file:
        file.seek(begin)
        return file.read(size)


def _cutter(source: Source, path: str, head: bytes) -> framing.Make | None:
    """How a file is cut into records; None: it is read as a whole."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(_CLOSED) or source.feed in ("adsb", "asterix"):
        return None
    if source.feed == "cot":
        return framing.Events
    if source.feed == "ais" and is_sentences(text):
        return functools.partial(Sentences, stamp=False)
    if source.feed == "observations" and text[:1] == b"{":
        return Objects
    form = source.options.get("format") or format_of(path)
    return functools.partial(Rows, quoted=True) if form == "csv" or source.feed != "table" else None


def _relative(local: Path, folder: Path) -> str:
    try:
        return local.relative_to(folder).as_posix()
    except ValueError:
        return str(local)
