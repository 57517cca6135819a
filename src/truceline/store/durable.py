"""Files that are whole or not there: written beside, synced, renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from truceline.errors import StoreError

#: Data and size, which is all an append changes; macOS has only the wider call.
sync = getattr(os, "fdatasync", os.fsync)


def sync_folder(folder: Path) -> None:
    """Make created and renamed names in `folder` survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to; on leaving, it takes the place of `path` in one step.

    Whoever has the old file open keeps the old one, whole. When the block raises, nothing is replaced and
    nothing is left behind.

    Raises
    ------
    StoreError
        When the file cannot be written, naming it and why.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.new{path.suffix}")  # GDAL looks at the suffix
    try:
        try:
            temporary.unlink(missing_ok=True)
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)
