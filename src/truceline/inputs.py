"""What a picture is made from: the journal's observations, told apart on one reading.

What moves may be more than memory holds and goes to scratch files; what occurred is kept.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline import __version__
from truceline.fuse.conflict import COLUMNS as OF_FIRES
from truceline.fuse.occurrences import COLUMNS
from truceline.observation import CORE, TIME, id_column, id_order, ids
from truceline.pieces import Pieces, PieceWriter
from truceline.store import Journal

#: What the tracker reads of fixes beside `COLUMNS`.
OF_FIXES = ("alt_m", "speed_mps", "course_deg", "identity")
#: What is read of observations, where they have it.
FUSED = tuple(dict.fromkeys(("observation_id", "at", "until", *COLUMNS, *OF_FIRES, *OF_FIXES)))
#: Of what moves: what tracking and its reading take.
MOVING = pa.schema(
    [
        CORE.field(name)
        for name in (
            *("observation_id", "source", "sensor", "kind", "what", "confidence", "at", "at_sigma_s", "until"),
            *("lon", "lat", "alt_m", "major_m", "minor_m", "tilt_deg", "speed_mps", "course_deg", "identity"),
            "release",
        )
    ]
)
#: Kinds of observation that tell of what moves: where it is, and what it says of itself.
OF_MOVING = pa.array(["fix", "status"])

SCRATCH = "scratch"


class Inputs(NamedTuple):
    """Observations of the journal up to a moment, and how far they reach."""

    head: str  # of the journal when they were counted
    observations: int  # of the journal up to that head, whatever the cut-off
    verdicts: pa.Table
    others: pa.Table  # observations but for the fixes, columns of FUSED
    moving: Pieces  # fixes, and what moving objects say of themselves: MOVING
    fixes: int
    rows: int  # observations of before the cut-off
    last: datetime | None  # the moment after the last of them
    ids_digest: bytes  # SHA-256 over their ids, sorted


def read(
    journal: Journal,
    into: Path,
    until: datetime | None = None,
    observations: int | None = None,
    verdicts: int | None = None,
) -> Inputs:
    """Go through the journal once.

    Parameters
    ----------
    into
        A folder for scratch files: the fixes are in them as long as it is there.
    until
        Only observations of before this time; None: all.
    observations, verdicts
        Only the first so many; None: all.
    """
    counted = "", 0, 0
    while counted[0] != journal.head:  # another process may append meanwhile
        counted = journal.head, journal.rows("observation"), journal.rows("verdict")
    head = counted[0]
    of_journal = counted[1] if observations is None else observations
    seen = np.empty((of_journal, 2), np.uint64)
    others: list[pa.Table] = []
    rows, fixes, left = 0, 0, of_journal
    last: datetime | None = None
    with PieceWriter(into / "moving.arrow", MOVING) as writer:
        for block in journal.blocks("observation", FUSED):
            block = block.slice(0, left)
            left -= block.num_rows
            if until is not None:
                block = block.filter(pc.less(block["at"], pa.scalar(until, TIME)))
            if not block.num_rows:
                continue
            seen[rows : rows + block.num_rows] = ids(block["observation_id"])
            rows += block.num_rows
            last = max(
                (v for v in (last, pc.max(block["at"]).as_py(), pc.max(block["until"]).as_py()) if v), default=None
            )
            fix = pc.equal(block["kind"], "fix")
            fixes += pc.sum(fix).as_py() or 0
            writer.write(block.select(MOVING.names).filter(pc.is_in(block["kind"], value_set=OF_MOVING)))
            if not pc.all(fix).as_py():  # what a filter leaves nothing of may still hold its memory
                others.append(block.filter(pc.invert(fix)))
            if not left:
                break
        moving = writer.close()
    return Inputs(
        head,
        of_journal,
        journal.table("verdict").slice(0, counted[2] if verdicts is None else verdicts),
        pa.concat_tables(others or [_none()], promote_options="permissive"),
        moving,
        fixes,
        rows,
        None if last is None else last + timedelta(microseconds=1),
        _ids_digest(seen[:rows]),
    )


def _none() -> pa.Table:
    return pa.schema([field for field in CORE if field.name in FUSED]).empty_table()


def _ids_digest(seen: npt.NDArray[np.uint64]) -> bytes:
    """SHA-256 over ids in the order of their bytes; a sixteenth of them at a time is sorted."""
    whole = hashlib.sha256()
    of = (seen[:, 0] >> np.uint64(60)).astype(np.uint8)
    for sixteenth in range(16):
        mine = seen[of == sixteenth]
        whole.update(mine[id_order(id_column(mine))].astype(">u8").tobytes())
    return whole.digest()


def digest(inputs: Inputs, file_hashes: Mapping[str, str], until: datetime | None) -> str:
    """SHA-256 over all that a picture is a function of but for the verdicts: ids, files, cut-off, code version."""
    rest = json.dumps([file_hashes, until, __version__], sort_keys=True, default=str)
    return hashlib.sha256(inputs.ids_digest + rest.encode()).hexdigest()


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder for scratch files in the mission's; what processes that were killed left behind is removed."""
    root = folder / SCRATCH
    root.mkdir(mode=0o700, exist_ok=True)
    for old in root.iterdir():
        with suppress(ValueError):
            if not _alive(int(old.name.partition("-")[0])):
                shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=root) as mine:
        yield Path(mine)
    with suppress(OSError):
        root.rmdir()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
