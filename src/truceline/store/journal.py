"""The journal: everything that was read, said and decided, in the order in which it came; nothing is ever changed.

One process writes, any number read, at any time. What `append` and `ingest` have returned for is on disk and
survives a kill and a loss of power; a write that was cut short leaves nothing behind but a .torn file. What `admit`
has returned for is on disk too, in the tail (`store.tail`), from which it is rolled into frames; whoever reads rows
sees no difference.

The head is a hash over every frame: two journals with the same head hold the same. It does not depend on how
frames are spread over files. Rows in the tail are under no head yet.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.errors import NotFoundError, StoreError
from truceline.pieces import Pieces
from truceline.store import redaction, tail
from truceline.store.committing import commit, opened, split, together
from truceline.store.frames import head_of
from truceline.store.journalled import pieces
from truceline.store.kinds import appendable, conform
from truceline.store.proof import Proof
from truceline.store.reading import Reader
from truceline.store.record import proof_of, record, records, redactions_of
from truceline.store.tail import Part, Tail
from truceline.store.writer import Writer

if TYPE_CHECKING:  # numba takes half a second to load, and only a writer needs it
    from truceline.store.known import Known

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
        self._known: Known | None = None
        self._kept: Known | None = None  # of before a write that failed
        self._tail: Tail | None = None
        #: What `admit` has put into the tail since it was rolled last.
        self.unrolled_rows = self.unrolled_bytes = 0
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
        if self._tail is not None:
            self._tail.close()
        self._writer = self._packer = self._known = self._tail = None

    # Reading

    @property
    def head(self) -> str:
        """Hash over every frame, 64 hexadecimal digits."""
        self._reader.look()
        return head_of(len(self._reader.frames), self._reader.tree.root()).hex()

    def rows(self, kind: str) -> int:
        """How many rows of a kind there are."""
        return sum(frame.rows for frame in self._reader.of(kind)) + sum(w.rows for w in self._reader.waiting(kind))

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

    def blocks(self, kind: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The rows that `table` gives, some hundred thousand at a time; of a feed's columns those that they have."""
        return self._reader.blocks(kind, columns)

    def pieces(self, kind: str, columns: Sequence[str] | None = None) -> Pieces:
        """What `table` gives, in such blocks, and each of them with all of the columns."""
        return pieces(self._reader, kind, columns)

    def record(self, observation_id: bytes) -> dict[str, Any]:
        """One observation, whole, with its raw bytes and where it stands.

        Returns
        -------
        dict of its columns, and `segment` (file name), `frame` (None while it is in the tail), `row`; after a
        redaction also `redacted` (reason, by, received_at).

        Raises
        ------
        NotFoundError
            When there is none of that id.
        """
        return record(self._reader, observation_id)

    def records(self, observation_ids: Sequence[bytes]) -> list[dict[str, Any]]:
        """`record` of each of many, in their order; no frame is unpacked twice."""
        return records(self._reader, observation_ids)

    def prove(self, leaf: bytes) -> Proof:
        """Proof that the record of `leaf` is in this journal, for `check_proof`.

        Raises
        ------
        NotFoundError
            When it is not, or not in a frame yet.
        """
        return proof_of(self._reader, leaf)

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
        appendable(kind)
        first = self._commit([(kind, conform(kind, rows))])
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
        others = [(kind, conform(kind, rows)) for kind, rows in (also or {}).items()]
        known = self._known_ids()
        ids, new = known.sorted_out([taken])
        self._commit([*split(taken, new[0]), ("rejection", redaction.without_redacted(self._reader, refused)), *others])
        known.add(ids)
        accepted = int(new[0].sum())
        return Counts(len(new[0]) + len(refused), accepted, len(new[0]) - accepted, len(refused))

    def admit(
        self, batches: Sequence[tuple[pa.Table, pa.Table]], also: Sequence[Part] = ()
    ) -> list[npt.NDArray[np.bool_]]:
        """Take in many small batches with one sync, whole or not at all; for a service that runs.

        They are on disk in the tail when this returns: a kill or a loss of power from then on loses none of them,
        because whoever takes the journal's lock next rolls the tail into frames before anything else.

        Parameters
        ----------
        batches
            Observations and rejections, as `ingest` takes them.
        also
            Rows of kinds that are no source's records.

        Returns
        -------
        Of each batch which of its observations are new, bool; the others became duplicates.

        Raises
        ------
        StoreError
            As `ingest`; nothing was taken.
        """
        taken = [conform("observation", rows) for rows, _ in batches]
        refused = [conform("rejection", rows) for _, rows in batches]
        for kind, _ in also:
            appendable(kind)
        others = [(kind, conform(kind, rows)) for kind, rows in also]
        known = self._known_ids()
        ids, new = known.sorted_out(taken)
        parts: list[Part] = []
        for rows, rejections, mask in zip(taken, refused, new, strict=True):
            parts += [*split(rows, mask), ("rejection", redaction.without_redacted(self._reader, rejections))]
        parts = [(kind, rows) for kind, rows in [*parts, *others] if rows.num_rows]
        if parts:
            assert self._tail is not None
            try:
                self.unrolled_bytes += self._tail.append(len(self._reader.frames), parts)
                self.unrolled_rows += sum(rows.num_rows for _, rows in parts)
            except OSError as error:
                told = f"{self.folder}: cannot be written: {error.strerror}; nothing of this was taken"
                try:
                    self._tail.restore()
                except OSError:  # what is on disk is not known until it is read again
                    self._start_again()
                raise StoreError(told) from error
            known.add(ids)
        return new

    def roll(self) -> int:
        """Make frames of what is in the tail; how many rows. Whoever writes frames does it first.

        Raises
        ------
        StoreError
            When they cannot be written: the rows are where they were.
        """
        self._writing()
        self._reader.look()
        waiting = self._reader.waiting()
        if waiting:
            kinds = list(dict.fromkeys(part.kind for part in waiting))
            self._frames([piece for kind in kinds for piece in together(kind, self._reader.unrolled(kind))])
        if self._reader.tail_bytes:
            self._emptied()
        return sum(part.rows for part in waiting)

    def _emptied(self) -> None:
        """Empty the tail, whose rows are in frames."""
        assert self._tail is not None
        try:
            self._tail.clear()
        except OSError as error:
            self._start_again()
            raise StoreError(f"{self.folder}: {tail.NAME} cannot be emptied: {error.strerror}") from error
        self.unrolled_rows = self.unrolled_bytes = 0

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
        self.roll()
        found = self._reader.find_leaf(observation_id, ("observation", "rejection"))
        if found is None:
            raise NotFoundError(f"the journal has no observation or rejection {observation_id.hex()}")
        frame, row = found
        for entry in redactions_of(self._reader, frame, row):
            raise StoreError(f"{observation_id.hex()} is redacted already, by {entry['by']}: {entry['reason']}")
        prepared = redaction.prepare(self._reader, frame, row, keep)
        try:
            if frame.segment == writer.segment:  # the entry must not go into the file that is replaced
                writer.open(frame.segment + 1, 0)
            entry = {**prepared.entry, "reason": reason, "by": by, "received_at": at}
            first = self._commit([("redaction", conform("redaction", pa.Table.from_pylist([entry])))])
        except BaseException:
            prepared.temporary.unlink(missing_ok=True)
            raise
        prepared.put_in_place()
        return Receipt("redaction", 1, first, self.head)

    def _writing(self) -> Writer:
        """The writer, with the lock, a whole tail and no redaction half done."""
        if self._writer is None:
            self._writer, self._tail = opened(self.folder, self._reader, self.notes)
            self._packer = ThreadPoolExecutor(1, "pack")
            try:
                if rows := self.roll():
                    self.notes.append(f"{tail.NAME}: {rows} rows that waited in it are in frames now")
            except BaseException:
                self.close()
                raise
        return self._writer

    def _known_ids(self) -> "Known":
        """The ids of the observations journalled so far."""
        self._writing()
        if self._known is None:
            from truceline.store.known import Known

            # Ids are only ever added: as many as there are rows are the same ones, whoever has written meanwhile.
            kept, self._kept = self._kept, None
            self._known = kept if kept is not None and len(kept) == self.rows("observation") else Known.of(self._reader)
        return self._known

    def _commit(self, groups: Sequence[Part]) -> int:
        """Write rows of some kinds as one group with one sync, behind what is in the tail; its first frame's number."""
        self.roll()
        return self._frames(groups)

    def _frames(self, groups: Sequence[Part]) -> int:
        """Write rows of some kinds as one group with one sync; the number of its first frame."""
        writer = self._writing()
        assert self._packer is not None
        try:
            return commit(writer, self._reader, self._packer, groups, FRAME_ROWS)
        except BaseException:  # what is on disk is not known until it is read again
            self._start_again()
            raise

    def _start_again(self) -> None:
        """Give up the lock and forget what was read."""
        kept = self._known
        self.close()
        self._reader, self._kept = Reader(self.folder), kept
