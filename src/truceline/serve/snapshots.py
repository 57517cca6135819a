"""A snapshot's tables: what an edition says and still stands, what was drawn since, and tracks as they are now."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline import finding, picture
from truceline.intake import JOURNAL
from truceline.kernels.idset import index_in
from truceline.observation import ids
from truceline.pieces import Pieces, Rows, chained, parts_of, pieces_of
from truceline.pipeline import BOOK, LARGE, made
from truceline.rules.cases import ties
from truceline.rules.zones_at import ZONES
from truceline.serve.child import packed
from truceline.serve.window import DRAWN, FOLLOWED
from truceline.store import Book, Edition, Journal

#: Tables by name; those of `LARGE` are `Pieces`.
Tables = dict[str, pa.Table]

_SCHEMAS: dict[str, pa.Schema] = {
    "associations": picture.ASSOCIATIONS,
    "tracks": picture.TRACKS,
    "track_points": picture.TRACK_POINTS,
    "movements": picture.MOVEMENTS,
    "events": picture.EVENTS,
    "incidents": picture.INCIDENTS,
    "findings": finding.FINDINGS,
    "cases": finding.CASES,
    "line": picture.LINE,
    "lineage": picture.LINEAGE,
    "ties": picture.ASSOCIATIONS,
}


def empty() -> Tables:
    """The tables of a picture in which there is nothing."""
    out = {name: schema.empty_table() for name, schema in _SCHEMAS.items()}
    out |= {name: chained((), _SCHEMAS[name]) for name in LARGE}
    for name in (*FOLLOWED, "tracks"):
        out[name] = _marked(out[name], False)
    out["zones"] = ZONES.empty_table()
    return out


def standing(folder: Path, outside: Mapping[str, npt.NDArray[np.bool_]]) -> tuple[Tables, Edition | None]:
    """What of the newest edition stands beside what is drawn, by the masks of `Drawn.outside`; and the edition.

    What stands of `LARGE` stays in the book; `ties`, its associations of events, are held.
    """
    book = Book(folder / BOOK)
    edition = book.latest()
    out: Tables = {}
    if edition is None:
        return out, edition
    for name in book.names(edition.number):
        rows, mask = book.pieces(name, edition.number), outside.get(name)
        if mask is not None and not mask.all():
            rows = _masked(rows, mask)
        out[name] = rows if name in LARGE else rows.table()
    out["ties"] = ties(out["associations"])
    return out, edition


def _masked(rows: Pieces, mask: npt.NDArray[np.bool_]) -> Pieces:
    """The rows that a mask lets through, when they are read."""
    bits = pa.array(mask)  # a bit a row
    parts, at = [], 0
    for part in parts_of(rows):
        parts.append(_let_through(part, bits.slice(at, part.num_rows)))
        at += part.num_rows
    return chained(parts, rows.schema)


def _let_through(part: Rows, bits: pa.Array) -> Rows:
    def read() -> Iterator[pa.Table]:
        at = 0
        for piece in pieces_of(part):
            yield piece.filter(bits.slice(at, piece.num_rows))
            at += piece.num_rows

    return part if bits.true_count == len(bits) else Pieces(part.schema, bits.true_count, read)


def unsettled(folder: Path) -> bool:
    """Whether the journal has observations or verdicts that no edition was made from, also those of an earlier run."""
    with Journal(folder / JOURNAL) as journal:
        rows = journal.rows("observation"), journal.rows("verdict")
        editions = made(journal)
    return rows[0] > 0 and (not editions or rows != (editions[-1].observations, editions[-1].verdicts))


def unreported(folder: Path, day: date) -> bool:
    """Whether no report of a reporting day went out, of any edition."""
    return all(row.day != day for row in Book(folder / BOOK).published())


def joined(settled: Tables, now: Tables) -> Tables:
    """The snapshot's tables, of what stands and what is drawn, but for the tracks as they are now."""
    tables = empty() | settled
    for name in FOLLOWED:
        if name in settled:
            tables[name] = _marked(tables[name], False)
    for name in DRAWN:
        if name in LARGE:
            tables[name] = chained([tables[name], now[name]], _SCHEMAS[name])
        else:
            tables[name] = pa.concat_tables([tables[name], now[name]]) if name in settled else now[name]
    tables["ties"] = pa.concat_tables([tables["ties"], ties(now["associations"])])
    return tables | {name: rows for name, rows in now.items() if name not in DRAWN}


def with_live(settled: pa.Table, live: pa.Table | None) -> pa.Table:
    """Tracks as they are now in the place of what was settled of them, unless that is as new."""
    settled = _marked(settled, False)
    if live is None or not live.num_rows:
        return settled
    if settled.num_rows:
        at = index_in(ids(live["track_id"]), ids(settled["track_id"]))
        known = settled["last_at"].take(pa.array(at, mask=at < 0))
        live = live.filter(pc.fill_null(pc.greater(live["last_at"], known), True))
        settled = settled.filter(pa.array(index_in(ids(settled["track_id"]), ids(live["track_id"])) < 0))
    return pa.concat_tables([settled, _marked(live, True)])


def together(parts: Sequence[pa.Table]) -> bytes:
    """Parts as one, packed; a column that one has and another has not is null there."""
    return packed(pa.concat_tables([_plain(part) for part in parts], promote_options="permissive"))


def _plain(rows: pa.Table) -> pa.Table:
    for at, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            rows = rows.set_column(at, field.name, rows[field.name].cast(field.type.value_type))
    return rows


def _marked(rows: pa.Table, provisional: bool) -> pa.Table:
    return rows.append_column("provisional", pa.repeat(pa.scalar(provisional), rows.num_rows))
