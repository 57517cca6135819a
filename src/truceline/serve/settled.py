"""What the newest edition says, as far as the provisional picture is held against it: a few columns, no factor."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.kernels.idset import index_in
from truceline.observation import ids
from truceline.pieces import filtered
from truceline.pipeline import BOOK, OF_MOVING
from truceline.serve.changes import IDS, U64, fingerprints
from truceline.store import Book

Bools = npt.NDArray[np.bool_]

#: What is kept of it.
_COLUMNS = {
    "events": ("event_id", "incident_id", "at_until"),
    "incidents": ("incident_id",),
    "findings": ("finding_id", "subject_kind", "subject_id", "p_breach"),
    "cases": ("subject_id",),
}


class Settled(NamedTuple):
    """The newest edition; without tables where there is none."""

    tables: dict[str, pa.Table]  # of `_COLUMNS`; and the associations with an event
    tied: Bools  # (associations,) which of them are with an event
    of_moving: dict[str, int]  # how many rows there are of what moves
    prints: dict[str, tuple[U64, U64]]  # of events, incidents and findings: ids (n, 2) and fingerprints

    @classmethod
    def read(cls, folder: Path) -> "Settled":
        """From the mission's book, piece by piece."""
        book = Book(folder / BOOK)
        if book.latest() is None:
            nothing = np.empty((0, 2), np.uint64), np.empty(0, np.uint64)
            return cls({}, np.empty(0, np.bool_), {}, dict.fromkeys(("events", "incidents", "findings"), nothing))
        tables: dict[str, pa.Table] = {}
        prints: dict[str, tuple[U64, U64]] = {}
        for name, columns in _COLUMNS.items():
            marks: list[U64] = []

            def kept(
                piece: pa.Table, of: tuple[str, ...] = columns, marks: list[U64] = marks, name: str = name
            ) -> pa.Table:
                if name in IDS:
                    marks.append(fingerprints(piece))
                return piece.select(of)

            tables[name] = filtered(book.pieces(name), kept).combine_chunks()
            if name in IDS:
                prints[name] = ids(tables[name][IDS[name]]), np.concatenate(marks)
        tied: list[Bools] = []

        def with_event(piece: pa.Table) -> pa.Table:
            known = pc.is_valid(piece["event_id"])
            tied.append(known.to_numpy(zero_copy_only=False))
            return piece.select(["observation_id", "event_id"]).filter(known)

        tables["associations"] = filtered(book.pieces("associations"), with_event).combine_chunks()
        return cls(tables, np.concatenate(tied), {name: book.pieces(name).num_rows for name in OF_MOVING}, prints)

    @property
    def until(self) -> datetime | None:
        """When the last of its events ended."""
        found: datetime | None = pc.max(self.tables["events"]["at_until"]).as_py() if self.tables else None
        return found

    def is_as(self, rows: pa.Table, prints: U64, name: str) -> Bools:
        """Which rows of a table it has exactly so."""
        known, marks = self.prints[name]
        at = index_in(ids(rows[IDS[name]]), known)
        return np.asarray((at >= 0) & (prints == np.append(marks, np.uint64(0))[at]))

    def behind_same_incidents(self, observations: U64) -> U64:
        """All observations behind the incidents that some are behind, ids (n, 2)."""
        if not self.tables:
            return observations[:0]
        seen, incident = ids(self.tables["associations"]["observation_id"]), self._incident_of_ties()
        touched = np.unique(incident[index_in(seen, observations) >= 0])
        return seen[np.isin(incident, touched)]

    def outside(self, observations: U64, tracked: bool) -> dict[str, Bools]:
        """Which rows of its tables stand beside what is drawn of some observations; `tracked`: what moves does."""
        if not self.tables:
            return {}
        ties, incidents = self.tables["associations"], ids(self.tables["incidents"]["incident_id"])
        incident = self._incident_of_ties()
        drawn = np.zeros(len(incidents), np.bool_)
        drawn[incident[index_in(ids(ties["observation_id"]), observations) >= 0]] = True

        def stands(column: pa.ChunkedArray) -> Bools:
            """Rows of no incident that is drawn."""
            return np.asarray(~np.append(drawn, False)[index_in(ids(column), incidents)])

        events, findings, cases = (self.tables[name] for name in ("events", "findings", "cases"))
        out = {"incidents": ~drawn, "events": stands(events["incident_id"])}
        duties = pc.equal(findings["subject_kind"], "duty")
        out["findings"] = stands(findings["subject_id"]) & ~duties.to_numpy(zero_copy_only=False)
        subjects = cases["subject_id"].fill_null(b"\0" * 16)
        of_duty = pc.is_in(subjects, value_set=findings["subject_id"].filter(duties).combine_chunks())
        out["cases"] = stands(subjects) & ~of_duty.to_numpy(zero_copy_only=False)
        out |= {name: np.full(rows, tracked) for name, rows in self.of_moving.items()}
        out["associations"] = np.full(len(self.tied), tracked)
        out["associations"][self.tied] = out["events"][index_in(ids(ties["event_id"]), ids(events["event_id"]))]
        return out

    def _incident_of_ties(self) -> npt.NDArray[np.int64]:
        """The row of each tie's incident."""
        ties, events = self.tables["associations"], self.tables["events"]
        incident = index_in(ids(events["incident_id"]), ids(self.tables["incidents"]["incident_id"]))
        return np.asarray(incident[index_in(ids(ties["event_id"]), ids(events["event_id"]))])
