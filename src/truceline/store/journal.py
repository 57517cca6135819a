"""The journal: everything that was read, said and decided, in the order in which it came; nothing is ever changed.

One process writes, any number read, at any time. What `append` and `ingest` have returned for is on disk and
survives a kill and a loss of power; a write that was cut short leaves nothing behind but a .torn file.

The head is a hash over every frame: two journals with the same head hold the same. It does not depend on how
frames are spread over files.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline import observation
from truceline.errors import NotFoundError, StoreError
from truceline.store import merkle, redaction
from truceline.store.frames import HEADER, Frame, encode, head_of
from truceline.store.kinds import KINDS, conform, kind_of
from truceline.store.proof import Proof
from truceline.store.reading import Reader, leaf_bytes, leaf_pairs
from truceline.store.writer import Writer, segment_path, set_aside

if TYPE_CHECKING:  # numba takes half a second to load, and only a writer needs it
    from truceline.kernels.idset import IdSet

#: Rows of one frame at most: what is unpacked to show one record, and packed again to redact one.
FRAME_ROWS = 1 << 17


class Receipt(NamedTuple):
    """What was appended: on disk when this is returned. `frame` is None when there were no rows."""

    kind: str
    rows: int
    frame: int | None
    head: str


class Counts(NamedTuple):
    """What became of the records read: `read = accepted + duplicates + rejected`."""

    read: int
    accepted: int
    duplicates: int
    rejected: int


class Journal:
    """The journal in `folder`, to read, and to write for whoever comes first.

    Parameters
    ----------
    folder
        Where its segments lie; made by the first write.
    write
        Take the lock now. Otherwise the first write takes it. It is held until `close`.

    Raises
    ------
    StoreError
        From every method: when another process is writing (and this one wants to), or the journal is damaged;
        the message names segment, frame and what is wrong. `verify` lists everything that is wrong instead.
    """

    def __init__(self, folder: Path, write: bool = False) -> None:
        self.folder = folder
        #: What was put right when the lock was taken: sentences.
        self.notes: list[str] = []
        self._reader = Reader(folder)
        self._writer: Writer | None = None
        self._packer: ThreadPoolExecutor | None = None
        self._known: IdSet | None = None
        if write:
            self._writing()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the lock; one may read on."""
        if self._writer is not None:
            self._writer.close()
        if self._packer is not None:
            self._packer.shutdown()
        self._writer = self._packer = self._known = None

    # Reading

    @property
    def head(self) -> str:
        """Hash over every frame, 64 hexadecimal digits."""
        self._reader.look()
        return head_of(len(self._reader.frames), self._reader.tree.root()).hex()

    def rows(self, kind: str) -> int:
        """How many rows of a kind there are."""
        return sum(frame.rows for frame in self._reader.of(kind))

    def columns(self, kind: str) -> list[str]:
        """The columns of a kind: its schema's, then those that feeds have added, by name."""
        return self._reader.columns(kind)

    def table(self, kind: str, columns: Sequence[str] | None = None, coded: Collection[str] = ()) -> pa.Table:
        """All rows of a kind, in the order in which they were appended.

        Parameters
        ----------
        columns
            Which, in this order; None: all. Only these are unpacked. Rows from before a column was there
            have nulls.
        coded
            String columns to give dictionary-coded: 4 bytes a row where values repeat.

        Raises
        ------
        NotFoundError
            When no row has ever had one of the columns.
        """
        return self._reader.table(kind, columns, coded)

    def record(self, observation_id: bytes) -> dict[str, Any]:
        """One observation, whole, with its raw bytes and where it stands.

        Returns
        -------
        dict of its columns, and `segment` (file name), `frame`, `row`; after a redaction also `redacted`
        (reason, by, received_at).

        Raises
        ------
        NotFoundError
            When there is none of that id.
        """
        found = self._reader.find(observation_id)
        if found is None:
            raise NotFoundError(f"the journal has no observation {observation_id.hex()}")
        frame, row = found
        record: dict[str, Any] = dict.fromkeys(observation.CORE.names)
        record |= self._reader.rows(frame.number).slice(row, 1).to_pylist()[0]
        record |= {"segment": self._reader.path(frame).name, "frame": frame.number, "row": row}
        for entry in self._redactions(frame, row):
            record["redacted"] = {name: entry[name] for name in ("reason", "by", "received_at")}
        return record

    def _redactions(self, frame: Frame, row: int) -> list[dict[str, Any]]:
        entries = self._reader.table("redaction").to_pylist()
        return [entry for entry in entries if (entry["frame"], entry["row"]) == (frame.number, row)]

    def prove(self, leaf: bytes) -> Proof:
        """Proof that the record of `leaf` is in this journal, for `check_proof`.

        Raises
        ------
        NotFoundError
            When it is not.
        """
        found = self._reader.find_leaf(leaf)
        if found is None:
            raise NotFoundError(f"the journal has no record with the leaf {leaf.hex()}")
        frame, row = found
        leaves = leaf_bytes(self._reader.rows(frame.number, ["leaf"])["leaf"])
        frames = self._reader.tree.leaves
        return Proof(
            kind=frame.kind,
            frame=frame.number,
            index=row,
            frames=len(frames),
            header=frame.committed(),
            siblings=merkle.path(leaves, row),
            frame_siblings=merkle.path(b"".join(frames), frame.number),
        )

    def verify(self) -> list[str]:
        """Everything that is wrong with the journal, as sentences; empty when it is whole.

        Every body is hashed and unpacked, every root, head and own leaf is computed again, ids are counted.
        A changed body is in order where journalled redactions account for it, and only there. What the columns
        of a record say is held by the hash of its body; that they say what its raw bytes say is not checked.
        """
        from truceline.store.verification import verify

        return verify(self.folder)

    # Writing

    def append(self, kind: str, rows: pa.Table) -> Receipt:
        """Append rows of a kind, on disk when this returns. Sources' records come in by `ingest`.

        Raises
        ------
        StoreError
            When the rows do not fit the kind, or cannot be written.
        """
        if kind_of(kind).records or kind == "redaction":
            raise StoreError(f"{kind} rows are not appended: use {'redact' if kind == 'redaction' else 'ingest'}")
        first = self._commit({kind: conform(kind, rows)})
        return Receipt(kind, rows.num_rows, first if rows.num_rows else None, self.head)

    def ingest(
        self,
        observations: pa.Table | None = None,
        rejections: pa.Table | None = None,
        also: Mapping[str, pa.Table] | None = None,
    ) -> Counts:
        """Take in a batch of records, whole or not at all, with one sync.

        An observation whose id is known, from before or from further up in the batch, becomes a `duplicate`
        that points at the original. A rejection is journalled each time it is read, so that the rows add up; one
        that was redacted comes without its payload.

        Parameters
        ----------
        observations, rejections
            Rows of `observation.CORE` with the feeds' own columns, and of `observation.REJECTION`.
        also
            Rows to append in the same breath, by kind: the `file` row with the batch that ends a file.

        Raises
        ------
        StoreError
            When rows do not fit, an id is not the beginning of its leaf, or the batch cannot be written.
        """
        taken = conform("observation", observations if observations is not None else pa.table({}))
        refused = conform("rejection", rejections if rejections is not None else pa.table({}))
        others = {kind: conform(kind, rows) for kind, rows in (also or {}).items()}
        ids = observation.ids(taken["observation_id"])
        wrong = np.flatnonzero((ids != leaf_pairs(taken["leaf"])).any(axis=1))
        if len(wrong):
            raise StoreError(f"observation rows: the id in row {wrong[0]} is not the beginning of its leaf")
        new = self._known_ids().add(ids)
        again = taken.slice(0, 0) if new.all() else taken.filter(pa.array(~new))
        self._commit(
            {
                "observation": taken.filter(pa.array(new)) if again.num_rows else taken,
                "duplicate": again.select([n for n in observation.DUPLICATE.names if n in again.column_names]),
                "rejection": self._without_redacted(refused),
                **others,
            }
        )
        return Counts(len(ids) + len(refused), len(ids) - again.num_rows, again.num_rows, len(refused))

    def redact(self, observation_id: bytes, reason: str, by: str, at: datetime, keep: Collection[str] = ()) -> Receipt:
        """Remove the payload of an observation or a rejection for good, and say so; its id and leaf stay.

        Removed is everything the record said: raw bytes, text, position, time, people, numbers, the feed's own
        columns; `what` becomes "report", a rejection's reason "redacted". What stays is `redaction.STAYS` (id,
        leaf, source, record number, kind, file, time of receipt, release, licence) and the columns named in
        `keep`. Heads and proofs hold as before, and the record does not come back when its file is read again.

        The old blocks are freed, not overwritten; books, published pictures and copies from before still hold
        what was derived from it: make them anew.

        Raises
        ------
        NotFoundError
            When there is no such record.
        StoreError
            When it is redacted already, `keep` names no column, or the segment cannot be written.
        """
        writer = self._writing()
        found = self._reader.find_leaf(observation_id, ("observation", "rejection"))
        if found is None:
            raise NotFoundError(f"the journal has no observation or rejection {observation_id.hex()}")
        frame, row = found
        for entry in self._redactions(frame, row):
            raise StoreError(f"{observation_id.hex()} is redacted already, by {entry['by']}: {entry['reason']}")
        prepared = redaction.prepare(self._reader, frame, row, keep)
        try:
            if frame.segment == writer.segment:  # the entry must not go into the file that is replaced
                writer.open(frame.segment + 1, 0)
            entry = {**prepared.entry, "reason": reason, "by": by, "received_at": at}
            first = self._commit({"redaction": conform("redaction", pa.Table.from_pylist([entry]))})
        except BaseException:
            prepared.temporary.unlink(missing_ok=True)
            raise
        prepared.put_in_place()
        return Receipt("redaction", 1, first, self.head)

    def _writing(self) -> Writer:
        """The writer, with the lock, a whole tail and no redaction half done."""
        if self._writer is None:
            writer = Writer(self.folder)
            try:
                self._reader.look()
                segment, end, size = self._reader.tail()
                if size > end:
                    self.notes.append(set_aside(segment_path(self.folder, segment), end))
                    self._reader.look()
                self.notes += redaction.finish(self._reader)
                writer.open(segment, end)
            except BaseException as error:
                writer.close()
                if isinstance(error, OSError):
                    raise StoreError(f"{self.folder}: the journal cannot be written: {error.strerror}") from error
                raise
            self._writer, self._packer = writer, ThreadPoolExecutor(1, "pack")
        return self._writer

    def _known_ids(self) -> "IdSet":
        """The ids of the observations journalled so far."""
        self._writing()
        if self._known is None:
            from truceline.kernels.idset import IdSet

            frames = self._reader.of("observation")
            self._known = IdSet(sum(frame.rows for frame in frames))
            for frame in frames:
                self._known.add(leaf_pairs(self._reader.rows(frame.number, ["leaf"])["leaf"]))
        return self._known

    def _without_redacted(self, refused: pa.Table) -> pa.Table:
        """Rejections as they are journalled: what was redacted does not come back when its file is read again."""
        if not refused.num_rows or not self.rows("redaction"):
            return refused
        done = self.table("redaction", ["record_leaf"])["record_leaf"].combine_chunks()
        again = pc.is_in(refused["leaf"], value_set=done)
        for name, instead in (("raw", None), ("value", None), ("reason", "redacted")):
            if name in refused.column_names:
                at = refused.schema.get_field_index(name)
                column = pc.if_else(again, pa.scalar(instead, refused.schema.field(name).type), refused[name])
                refused = refused.set_column(at, refused.schema.field(name), column)
        return refused

    def _commit(self, groups: Mapping[str, pa.Table]) -> int:
        """Write rows of some kinds as one group with one sync; the number of its first frame."""
        writer, reader = self._writing(), self._reader
        reader.look()
        pieces = [
            (kind, rows.slice(at, FRAME_ROWS))
            for kind, rows in groups.items()
            for at in range(0, rows.num_rows, FRAME_ROWS)
        ]
        first = len(reader.frames)
        made: list[Frame] = []
        parts: list[bytes | pa.Buffer] = []
        try:
            for kind, rows in pieces:
                assert self._packer is not None
                packing = self._packer.submit(_pack, rows)
                root = merkle.root(leaf_bytes(rows["leaf"]))
                body, digest = packing.result()
                before = head_of(first + len(made), reader.tree.root())
                number, closes = first + len(made), len(made) + 1 == len(pieces)
                version = KINDS[kind].version
                frame = Frame(kind, version, number, rows.num_rows, root, digest, before, body.size, closes)
                made.append(frame)
                reader.tree.add(frame.digest())
                parts += [frame.header(), body]
            if made:
                writer.append(parts)
                reader.took(_placed(made, writer))
        except BaseException:  # what is on disk is not known until it is read again
            self.close()
            self._reader = Reader(self.folder)
            raise
        return first


def _pack(rows: pa.Table) -> tuple[pa.Buffer, bytes]:
    """A frame's body and its SHA-256. Beside the caller, which makes the root meanwhile: both leave Python's lock."""
    body = encode(rows)
    return body, hashlib.sha256(body).digest()


def _placed(frames: Sequence[Frame], writer: Writer) -> list[Frame]:
    """The frames just written, with where they stand."""
    offset = writer.end - sum(HEADER + frame.length for frame in frames)
    placed = []
    for frame in frames:
        placed.append(frame._replace(segment=writer.segment, offset=offset))
        offset = placed[-1].end
    return placed
