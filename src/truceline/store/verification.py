"""Everything that can be checked about a journal, checked."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from truceline import observation
from truceline.errors import StoreError
from truceline.kernels.idset import IdSet
from truceline.store import merkle
from truceline.store.canonical import row_leaf
from truceline.store.frames import HEADER, Frame, decode, head_of, next_frame, scan
from truceline.store.kinds import KINDS
from truceline.store.reading import leaf_bytes, leaf_pairs
from truceline.store.tail import TailReader
from truceline.store.writer import segments


def verify(folder: Path) -> list[str]:
    """What is wrong with the journal in `folder`, as sentences; see `Journal.verify`."""
    try:
        tail = TailReader(folder)
        tail.look()  # before the frames: what is rolled meanwhile is found in them
        problems, frames = _frames(segments(folder))
        if tail.size > tail.end:
            torn = f"the last {tail.size - tail.end} bytes are no whole entry: a write is under way or was cut short"
            problems.append(f"{tail.path}: {torn}")
        redactions = _redactions(frames)
        return problems + redactions.problems + _Contents(redactions).check(frames, tail)
    except StoreError as error:
        return [str(error)]
    except OSError as error:
        return [f"{error.filename}: cannot be read: {error.strerror}"]


_Placed = tuple[Path, Frame]


def _frames(paths: Mapping[int, Path]) -> tuple[list[str], list[_Placed]]:
    """All frames whose headers are whole, and what is between them."""
    problems: list[str] = []
    frames: list[_Placed] = []
    for number, path in paths.items():
        offset: int | None = 0
        follows = frames[-1][1].number + 1 if frames else 0
        while offset is not None:
            found = scan(path, number, follows, offset)
            frames += [(path, frame) for frame in found.frames]
            offset = None
            if found.torn:
                why = "a write is under way or was cut short" if number == max(paths) else "frames are missing"
                problems.append(f"{path}: the last {found.torn} bytes are no whole frame: {why}")
            if found.problem:
                problems.append(found.problem)
                follows = frames[-1][1].number + 1 if frames else 0
                beyond = next_frame(path, number, found.stopped, follows)
                if beyond is not None:
                    offset, follows = beyond.offset, beyond.number
    return problems, frames


def _body(path: Path, frame: Frame) -> bytes:
    with path.open("rb") as file:
        file.seek(frame.offset + HEADER)
        return file.read(frame.length)


class _Redactions(NamedTuple):
    """What the journal says of redactions: the hashes that each body has had because of them, in order."""

    hashes: dict[int, list[bytes]]
    problems: list[str]


def _redactions(frames: Sequence[_Placed]) -> _Redactions:
    hashes: dict[int, list[bytes]] = {}
    problems = []
    appended = {frame.number: frame.body_sha256 for _, frame in frames}
    for path, frame in frames:
        if frame.kind != "redaction" or hashlib.sha256(body := _body(path, frame)).digest() != frame.body_sha256:
            continue  # a damaged one is found with the other bodies
        for entry in decode(body).to_pylist():
            of = entry["frame"]
            if of not in appended:
                problems.append(f"{path}: frame {frame.number}: it redacts frame {of}, which is not there")
            elif entry["body_before"] not in (appended[of], *hashes.get(of, ())):
                problems.append(f"{path}: frame {frame.number}: it redacts another body than frame {of} has had")
            else:
                hashes.setdefault(of, []).append(entry["body_after"])
    return _Redactions(hashes, problems)


class _Contents:
    """The bodies, one after the other."""

    def __init__(self, redactions: _Redactions) -> None:
        self._redactions = redactions
        self._tree: merkle.Tree | None = merkle.Tree()  # None once a frame is lost: heads cannot be followed
        self._known = IdSet()
        self._problems: list[str] = []

    def check(self, frames: Sequence[_Placed], tail: TailReader) -> list[str]:
        """What is wrong in them, and in what waits in the tail."""
        for path, frame in frames:
            where = f"{path}: frame {frame.number} ({frame.kind})"
            self._follows(where, frame)
            body = _body(path, frame)
            if self._in_order(where, frame, hashlib.sha256(body).digest()):
                self._unpacked(where, frame, body)
        number = frames[-1][1].number + 1 if frames else 0
        for place, part in enumerate(tail.waiting(number)):
            where = f"{tail.path}: part {place} ({part.kind})"
            rows = tail.rows(part)
            if rows.num_rows != part.rows:
                self._say(where, "its rows are not as many as it says")
            self._rows(where, part.kind, rows)
        return self._problems

    def _say(self, where: str, what: str) -> None:
        self._problems.append(f"{where}: {what}")

    def _follows(self, where: str, frame: Frame) -> None:
        """Check the head that a frame was appended to."""
        if self._tree is not None and frame.number != len(self._tree.leaves):
            self._tree = None
        if self._tree is not None:
            if frame.before != head_of(frame.number, self._tree.root()):
                self._say(where, "it does not follow from the frames before it")
            self._tree.add(frame.digest())

    def _in_order(self, where: str, frame: Frame, found: bytes) -> bool:
        """Check a body's hash; whether it is one that is accounted for."""
        had = [frame.body_sha256, *self._redactions.hashes.get(frame.number, ())]
        if found not in had:
            self._say(where, "its body is damaged or was changed; no redaction accounts for it")
        elif found != had[-1]:
            self._say(where, "a redaction of it is journalled but not done; the next writer will do it")
        return found in had

    def _unpacked(self, where: str, frame: Frame, body: bytes) -> None:
        """Check what a body says of itself."""
        kind = KINDS.get(frame.kind)
        if kind is None or frame.schema_version > kind.version:
            self._say(where, f"its schema {frame.schema_version} is not known to this Truceline")
            return
        rows = decode(body, {"observation_id", "leaf"} if kind.records else None)
        leaves = leaf_bytes(rows["leaf"])
        if rows.num_rows != frame.rows or merkle.root(leaves) != frame.root:
            self._say(where, "its rows do not give the number and the root in its header")
        self._rows(where, frame.kind, rows)

    def _rows(self, where: str, kind: str, rows: pa.Table) -> None:
        """Check ids and leaves."""
        if kind in ("observation", "duplicate"):
            ids = observation.ids(rows["observation_id"])
            if (ids != leaf_pairs(rows["leaf"])).any():
                self._say(where, "an id is not the beginning of its leaf")
            right = self._known.contains(ids) if kind == "duplicate" else self._known.add(ids)
            for row in np.flatnonzero(~right)[:1]:
                what = "points at no observation" if kind == "duplicate" else "is there a second time"
                self._say(where, f"row {row}: {rows['observation_id'][int(row)].as_py().hex()} {what}")
        elif not KINDS[kind].records:
            for row, (each, leaf) in enumerate(zip(rows.to_pylist(), rows["leaf"].to_pylist(), strict=True)):
                if row_leaf(each) != leaf:
                    self._say(where, f"row {row}: its leaf is not that of what it says")
