"""The book: an edition is in it whole, with the journal's place, or not at all."""

import sqlite3
import stat
import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from truceline import finding, picture
from truceline.errors import NotFoundError, StoreError
from truceline.store import Book, Edition, Published
from truceline.store import book as book_module

MADE = datetime(2023, 4, 2, 6, 0, 0, 250_000, tzinfo=UTC)


def edition(number: int, **changes: Any) -> Edition:
    made = Edition(
        number=number,
        cutoff=datetime(2023, 4, 1, 16, 30, tzinfo=UTC),
        inputs_digest="aa" * 32,
        digest="bb" * 32,
        journal_head="cc" * 32,
        journal_rows=42_415,
        code_version="0.1.0",
        made_at=MADE,
    )
    return msgspec.structs.replace(made, **changes)


def tables(n: int = 3) -> dict[str, pa.Table]:
    ids = pa.array([bytes([k]) * 16 for k in range(n)], pa.binary(16))
    events = {field.name: pa.nulls(n, field.type) for field in picture.EVENTS}
    events |= {"event_id": ids, "incident_id": ids, "what": pa.array(["fire"] * n)}
    events["alternatives"] = pa.array([[("fire", 0.5)]] * n, picture.EVENTS.field("alternatives").type)
    return {
        "events": pa.table(events, picture.EVENTS),
        "associations": pa.table({"observation_id": ids, "event_id": ids}),
        "cases": finding.CASES.empty_table(),
    }


def test_an_edition_comes_back_with_its_tables(tmp_path: Path) -> None:
    book = Book(tmp_path / "book.sqlite")
    book.put(edition(1), tables())
    book.put(edition(2, cutoff=None, note="late data"), tables(5))
    assert book.editions() == [edition(1), edition(2, cutoff=None, note="late data")]
    assert book.latest() == book.edition(2)
    assert book.names() == ["associations", "cases", "events"]
    for name, table in tables().items():
        assert book.table(name, 1).equals(table)
    assert book.table("events").num_rows == 5


def test_there_is_nothing_in_a_book_that_is_not_there(tmp_path: Path) -> None:
    """Reading makes no file."""
    book = Book(tmp_path / "book.sqlite")
    assert (book.editions(), book.latest(), book.names(), book.published()) == ([], None, [], [])
    with pytest.raises(NotFoundError, match="the newest edition has no table 'events'; it has nothing"):
        book.table("events")
    with pytest.raises(NotFoundError, match="there is no edition 3"):
        book.edition(3)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_named_with_what_is(tmp_path: Path) -> None:
    book = Book(tmp_path / "book.sqlite")
    book.put(edition(1), tables())
    with pytest.raises(NotFoundError, match="edition 1 has no table 'tracks'; it has associations, cases, events"):
        book.table("tracks", 1)


def test_an_edition_is_put_in_once(tmp_path: Path) -> None:
    book = Book(tmp_path / "book.sqlite")
    book.put(edition(1), tables())
    with pytest.raises(StoreError, match="edition 1 is in the book already"):
        book.put(edition(1, note="other"), tables(9))
    assert book.latest() == edition(1)
    assert book.table("events").num_rows == 3


def test_an_edition_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    """The third table is no table; the edition's row and the first two tables are undone with it."""
    book = Book(tmp_path / "book.sqlite")
    broken: Mapping[str, Any] = {**tables(), "line": None}
    with pytest.raises(AttributeError):
        book.put(edition(1), broken)
    assert (book.editions(), book.names()) == ([], [])
    book.put(edition(1), tables())


def test_a_large_table_is_kept_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "_ROWS", 10)
    table = pa.table({"n": np.arange(35)})
    book = Book(tmp_path / "book.sqlite")
    book.put(edition(1), {"n": table})
    assert book.table("n").equals(table)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    Book(tmp_path / "book.sqlite").put(edition(1), tables())
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_an_older_book_says_how_to_rebuild_it(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    Book(path).put(edition(1), tables())
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 0")
    raw.close()
    with pytest.raises(
        StoreError, match=f"the book's schema is 0, this Truceline's is 1; run: truceline rebuild {tmp_path}"
    ):
        Book(path).editions()


def test_another_file_is_not_taken_for_a_book(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        Book(path).editions()
    with sqlite3.connect(tmp_path / "other.sqlite") as raw:
        raw.execute("CREATE TABLE edition (number)")
    raw.close()
    with pytest.raises(StoreError, match="this SQLite file is not a Truceline book"):
        Book(tmp_path / "other.sqlite").editions()


def test_a_table_that_rotted_is_not_given_out(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    Book(path).put(edition(1), tables())
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE content SET body = zeroblob(length(body)) WHERE name = 'events'")
    raw.close()
    with pytest.raises(StoreError, match="table 'events' is damaged; run: truceline rebuild"):
        Book(path).table("events")


def test_readers_see_the_edition_before_while_one_is_put_in(tmp_path: Path) -> None:
    book = Book(tmp_path / "book.sqlite")
    book.put(edition(1), tables())
    with book._writing() as writing:
        writing.execute("INSERT INTO edition SELECT 2, cutoff, '', '', '', 0, '', made_at, '' FROM edition")
        seen: list[Edition | None] = []
        reader = threading.Thread(target=lambda: seen.append(Book(book.path).latest()))
        reader.start()
        reader.join()
        assert seen == [edition(1)]
    assert book.latest() != edition(1)


def test_a_published_report_stays_as_it_is(tmp_path: Path) -> None:
    """The same again is fine; other content under the same day, edition and path is refused."""
    book = Book(tmp_path / "book.sqlite")
    book.put(edition(1), tables())
    report = Published(date(2023, 4, 1), 1, "reports/2023-04-01.html", "ab" * 32, MADE)
    book.publish(report)
    book.publish(report)
    with pytest.raises(StoreError, match="the report of 2023-04-01 on edition 1 is published with SHA-256 abab"):
        book.publish(msgspec.structs.replace(report, sha256="cd" * 32))
    with pytest.raises(StoreError, match="there is no edition 7 to report"):
        book.publish(msgspec.structs.replace(report, edition=7))
    assert book.published() == [report]
