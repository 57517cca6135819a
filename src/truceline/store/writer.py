"""The one process that may append to a journal: the lock, the open segment, the tail of an interrupted write."""

import fcntl
import os
import shutil
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from truceline.errors import StoreError
from truceline.store.durable import replacing, sync, sync_folder

#: A segment is closed to new frames beyond this size: small enough to copy for a redaction, few enough to open.
SEGMENT_BYTES = 256 << 20
ENDING = ".journal"


def segments(folder: Path) -> dict[int, Path]:
    """The segments of a journal by their number, in order; none where there is no journal yet.

    Raises
    ------
    StoreError
        When one between the first and the last is missing.
    """
    found = {int(path.stem): path for path in sorted(folder.glob(f"*{ENDING}")) if path.stem.isdecimal()}
    for expected, number in enumerate(found, start=1):
        if number != expected:
            raise StoreError(
                f"{segment_path(folder, expected)}: this segment is missing, {found[number].name} is there"
            )
    return found


def segment_path(folder: Path, number: int) -> Path:
    """Where segment `number` lies."""
    return folder / f"{number:06d}{ENDING}"


def set_aside(path: Path, end: int) -> str:
    """Move what stands behind byte `end` of a segment to a file of its own; a sentence about it."""
    torn = path.with_name(f"{path.stem}.{end}.torn")
    again = 1
    while torn.exists():
        again += 1
        torn = path.with_name(f"{path.stem}.{end}.{again}.torn")
    size = path.stat().st_size - end
    with replacing(torn) as temporary, path.open("rb") as segment, temporary.open("wb") as tail:
        segment.seek(end)
        shutil.copyfileobj(segment, tail)
    with path.open("r+b") as segment:
        segment.truncate(end)
        os.fsync(segment.fileno())
    return f"{path.name}: {size} bytes of a write that was cut short, and never acknowledged, are now in {torn.name}"


class Writer:
    """Holds the journal's lock until closed.

    Raises
    ------
    StoreError
        When another process holds it, or the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.segment = 0
        self.end = 0
        self._file: int | None = None
        self._lock: int | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{folder}: the journal cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(lock, 200, 0).decode("utf-8", "replace") or "another process"
            os.close(lock)
            raise StoreError(f"{folder}: {holder} is writing to this journal; one at a time") from error
        self._lock = lock
        with suppress(OSError):  # only for the message to whoever comes second; a full disk keeps nobody out
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)

    def open(self, segment: int, end: int) -> None:
        """Append from byte `end` of `segment` on, which is made when it is not there."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        path = segment_path(self.folder, segment)
        new = not path.exists()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if new:
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
        self.segment, self.end = segment, end

    def append(self, parts: Sequence[bytes | pa.Buffer]) -> None:
        """Write and sync; on return the parts are on disk. A full segment is left for a new one first.

        Raises
        ------
        StoreError
            When they may not be: nothing of them counts, the lock is given up.
        """
        try:
            if self.end >= SEGMENT_BYTES:
                self.open(self.segment + 1, 0)
            self._write(parts)
        except OSError as error:
            path = segment_path(self.folder, self.segment)
            with suppress(OSError):  # if that fails too, the next writer finds the tail torn
                os.truncate(path, self.end)
            self.close()
            raise StoreError(f"{path}: cannot be written: {error.strerror}; this batch is not acknowledged") from error

    def _write(self, parts: Sequence[bytes | pa.Buffer]) -> None:
        assert self._file is not None
        written = 0
        for part in parts:
            rest = memoryview(part).cast("B")
            while rest:
                count = os.write(self._file, rest)
                written += count
                rest = rest[count:]
        sync(self._file)
        self.end += written

    def close(self) -> None:
        """Give up the lock."""
        for handle in (self._file, self._lock):
            if handle is not None:
                os.close(handle)
        self._file = None
        self._lock = None
