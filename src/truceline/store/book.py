"""The book: each edition of the picture, whole, with the place in the journal that it was made from.

One SQLite file (WAL, readable by its owner alone). It holds nothing that the journal and the mission's files do
not give again, so a book that is lost or too old is rebuilt, never repaired.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import date, datetime
from pathlib import Path
from types import TracebackType

import msgspec
import pyarrow as pa

from truceline.errors import NotFoundError, StoreError
from truceline.pieces import Pieces, Rows, chained, pieces_of
from truceline.store.durable import replacing

SCHEMA_VERSION = 1

#: Marks the file as a Truceline book: "TLbk".
_APPLICATION = 0x544C626B
#: Rows of a table in one blob, which is what is unpacked at a time: some ten megabytes.
_ROWS = 1 << 17
#: How long to wait for another process's transaction.
_WAIT_S = 30.0

_TABLES = """
CREATE TABLE edition (
    number INTEGER PRIMARY KEY, cutoff TEXT, inputs_digest TEXT NOT NULL, digest TEXT NOT NULL,
    journal_head TEXT NOT NULL, journal_rows INTEGER NOT NULL, code_version TEXT NOT NULL, made_at TEXT NOT NULL,
    note TEXT NOT NULL
) STRICT;
CREATE TABLE content (
    edition INTEGER NOT NULL REFERENCES edition, name TEXT NOT NULL, part INTEGER NOT NULL, rows INTEGER NOT NULL,
    sha256 BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (edition, name, part)
) STRICT;
CREATE TABLE report (
    day TEXT NOT NULL, edition INTEGER NOT NULL REFERENCES edition, path TEXT NOT NULL, sha256 TEXT NOT NULL,
    published_at TEXT NOT NULL, PRIMARY KEY (day, edition, path)
) STRICT;
"""


class Edition(msgspec.Struct, frozen=True):
    """A numbered edition of the picture and what it was made from."""

    number: int
    cutoff: datetime | None  # it speaks up to here; None: of everything in the journal
    inputs_digest: str  # of observations, verdicts, the mission's files
    digest: str  # of the picture (`picture.digest`)
    journal_head: str
    journal_rows: int
    code_version: str
    made_at: datetime
    note: str = ""


class Published(msgspec.Struct, frozen=True):
    """A report that went out: it stays as it is, and names its edition."""

    day: date
    edition: int
    path: str
    sha256: str
    published_at: datetime


class Book:
    """The book at `path`, made when something is first put into it.

    Raises
    ------
    StoreError
        From every method: when the file is no book, of another schema version, or cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "Book":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing stays open between calls."""

    def put(self, edition: Edition, tables: Mapping[str, Rows]) -> None:
        """Put an edition with its tables into the book: all of it in one transaction, or nothing.

        Raises
        ------
        StoreError
            When the book has an edition of that number already.
        """
        with self._writing() as book:
            try:
                book.execute(
                    "INSERT INTO edition VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    tuple(msgspec.to_builtins(edition).values()),
                )
            except sqlite3.IntegrityError as error:
                raise StoreError(f"{self.path}: edition {edition.number} is in the book already") from error
            for name, table in tables.items():
                for part, rows in enumerate(_parts(table)):
                    body = _pack(rows)
                    digest = hashlib.sha256(body).digest()
                    book.execute(
                        "INSERT INTO content VALUES (?, ?, ?, ?, ?, ?)",
                        (edition.number, name, part, rows.num_rows, digest, memoryview(body)),
                    )

    def editions(self) -> list[Edition]:
        """All editions, the oldest first."""
        return self._editions("ORDER BY number")

    def latest(self) -> Edition | None:
        """The newest edition; None while there is none."""
        found = self._editions("ORDER BY number DESC LIMIT 1")
        return found[0] if found else None

    def edition(self, number: int) -> Edition:
        """The edition of that number.

        Raises
        ------
        NotFoundError
            When there is none.
        """
        found = self._editions("WHERE number = ?", number)
        if not found:
            raise NotFoundError(f"{self.path}: there is no edition {number}")
        return found[0]

    def names(self, edition: int | None = None) -> list[str]:
        """The names of an edition's tables (None: of the newest's); none while there is no edition."""
        with self._reading() as book:
            if book is None:
                return []
            rows = book.execute(
                "SELECT DISTINCT name FROM content WHERE edition = ifnull(?, (SELECT max(number) FROM edition)) "
                "ORDER BY name",
                (edition,),
            )
            return [name for (name,) in rows]

    def table(self, name: str, edition: int | None = None) -> pa.Table:
        """A table of an edition (None: of the newest), as it was put in.

        Raises
        ------
        NotFoundError
            When there is no such edition, or it has no such table.
        """
        return self.pieces(name, edition).table()

    def pieces(self, name: str, edition: int | None = None) -> Pieces:
        """What `table` gives, piece by piece. Raises as `table`."""
        with self._reading() as book:
            found = (
                book.execute(
                    "SELECT edition, part, rows FROM content WHERE name = ? "
                    "AND edition = ifnull(?, (SELECT max(number) FROM edition)) ORDER BY part",
                    (name, edition),
                ).fetchall()
                if book is not None
                else []
            )
        if not found:
            which = "the newest edition" if edition is None else f"edition {edition}"
            has = ", ".join(self.names(edition)) or "nothing"
            raise NotFoundError(f"{self.path}: {which} has no table {name!r}; it has {has}")
        number, first, _ = found[0]
        schema = self._part(number, name, first, empty=True).schema

        def alone(part: int, rows: int) -> Pieces:
            return Pieces(schema, rows, lambda: iter((self._part(number, name, part),)))

        return chained((alone(part, rows) for _, part, rows in found), schema)

    def _part(self, edition: int, name: str, part: int, empty: bool = False) -> pa.Table:
        """One piece of a table, checked against its hash; or only its schema."""
        with self._reading() as book:
            asked = "SELECT body, sha256 FROM content WHERE edition = ? AND name = ? AND part = ?"
            found = book.execute(asked, (edition, name, part)).fetchone() if book is not None else None
        if found is None or hashlib.sha256(found[0]).digest() != found[1]:
            raise StoreError(f"{self.path}: table {name!r} is damaged; run: truceline rebuild {self.path.parent}")
        with pa.ipc.open_stream(found[0]) as stream:
            rows: pa.Table = stream.schema.empty_table() if empty else stream.read_all()
        return rows

    def remove(self) -> None:
        """Throw the book away, as `rebuild` does before it makes it again."""
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def publish(self, report: Published) -> None:
        """Enter a report that went out.

        Raises
        ------
        StoreError
            When that day, edition and path are entered with other content: a published report stays as it is.
        """
        row = msgspec.to_builtins(report)
        key = (row["day"], row["edition"], row["path"])
        with self._writing() as book:
            found = book.execute("SELECT sha256 FROM report WHERE day = ? AND edition = ? AND path = ?", key).fetchone()
            if found is None:
                try:
                    book.execute("INSERT INTO report VALUES (?, ?, ?, ?, ?)", tuple(row.values()))
                except sqlite3.IntegrityError as error:
                    raise StoreError(f"{self.path}: there is no edition {report.edition} to report") from error
            elif found[0] != report.sha256:
                raise StoreError(
                    f"{report.path}: the report of {report.day} on edition {report.edition} is published with SHA-256 "
                    f"{found[0]} and stays as it is; changes need a new edition"
                )

    def published(self) -> list[Published]:
        """All reports that went out, by day and edition."""
        with self._reading() as book:
            if book is None:
                return []
            rows = book.execute(
                "SELECT day, edition, path, sha256, published_at FROM report ORDER BY day, edition, path"
            )
            return [
                msgspec.convert(dict(zip(Published.__struct_fields__, row, strict=True)), Published) for row in rows
            ]

    def _editions(self, clause: str, *values: int) -> list[Edition]:
        with self._reading() as book:
            if book is None:
                return []
            rows = book.execute(f"SELECT * FROM edition {clause}", values)  # noqa: S608, the clauses stand above
            return [msgspec.convert(dict(zip(Edition.__struct_fields__, row, strict=True)), Edition) for row in rows]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection to read with; None while there is no book."""
        if not self.path.exists():
            yield None
            return
        with self._connection() as book:
            yield book

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in one transaction, which an error undoes."""
        if not self.path.exists():
            self._make()
        with self._connection() as book:
            book.execute("BEGIN IMMEDIATE")
            try:
                yield book
                book.execute("COMMIT")
            except BaseException:
                book.execute("ROLLBACK")
                raise

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)) as book:
                (application,) = book.execute("PRAGMA application_id").fetchone()
                (version,) = book.execute("PRAGMA user_version").fetchone()
                if application != _APPLICATION:
                    raise StoreError(f"{self.path}: this SQLite file is not a Truceline book")
                if version != SCHEMA_VERSION:
                    raise StoreError(
                        f"{self.path}: the book's schema is {version}, this Truceline's is {SCHEMA_VERSION}; "
                        f"run: truceline rebuild {self.path.parent}"
                    )
                book.execute("PRAGMA foreign_keys = ON")
                book.execute("PRAGMA synchronous = FULL")
                yield book
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}; if it stays so: truceline rebuild {self.path.parent}") from error

    def _make(self) -> None:
        """An empty book, whole or not there."""
        with replacing(self.path) as new:
            os.close(
                os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            )  # SQLite gives -wal and -shm the same mode
            with closing(sqlite3.connect(new)) as book:
                book.execute("PRAGMA journal_mode = WAL")
                book.execute(f"PRAGMA application_id = {_APPLICATION}")
                book.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                book.executescript(_TABLES)


def _parts(table: Rows) -> Iterator[pa.Table]:
    """A table in parts that SQLite takes; an empty one has one part, for its schema."""
    if not table.num_rows:
        yield table.schema.empty_table()
    for piece in pieces_of(table):
        for at in range(0, piece.num_rows, _ROWS):
            yield piece.slice(at, _ROWS)


def _pack(rows: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(rows)
    return sink.getvalue()
