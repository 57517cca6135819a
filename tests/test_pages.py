"""Tables written page by page: SQLite reads them as if it had written them itself."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline.kernels import civil
from truceline.store import geopackage, pages

WORDS = st.one_of(st.none(), st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=300))
WHOLE = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-130, 130))
REAL = st.one_of(st.none(), st.floats(allow_nan=False))


def written(path: Path, table: pa.Table, numbers: np.ndarray | None = None) -> list[tuple]:
    """The rows as SQLite gives them back, after it has looked the file over."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA page_size = {pages.PAGE_BYTES}")
        names = ", ".join(table.column_names)
        file.execute(f"CREATE TABLE t (fid INTEGER PRIMARY KEY, {names})")
        file.execute("CREATE TABLE behind (n INTEGER PRIMARY KEY)")
    pages.fill(path, {"t": table}, {} if numbers is None else {"t": numbers})
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return file.execute("SELECT * FROM t").fetchall()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(WORDS, WHOLE, REAL, st.one_of(st.none(), st.booleans())), max_size=40), st.integers(1, 9))
def test_every_value_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple], pieces: int) -> None:
    """Texts, integers of any size, numbers, booleans and nulls, in however many pieces the columns come."""
    columns = {
        "a": pa.array([row[0] for row in rows], pa.string()),
        "b": pa.array([row[1] for row in rows], pa.int64()),
        "c": pa.array([row[2] for row in rows], pa.float64()),
        "d": pa.array([row[3] for row in rows], pa.bool_()),
    }
    table = pa.table(columns)
    cut = -(-max(len(rows), 1) // pieces)
    table = pa.concat_tables([table.slice(at, cut) for at in range(0, max(len(rows), 1), cut)])
    expected = [(at, *row[:3], None if row[3] is None else int(row[3])) for at, row in enumerate(rows, start=1)]
    assert written(tmp_path_factory.mktemp("pages") / "f.sqlite", table) == expected


@pytest.mark.parametrize("n", [0, 1, 40, 5_000, 200_000])
def test_a_table_of_any_length_is_one_tree(tmp_path: Path, n: int) -> None:
    """One page, two levels of pages, three; row numbers as given; ids as hexadecimal digits."""
    rng = np.random.default_rng(5)
    numbers = np.cumsum(rng.integers(1, 5, n))
    content = rng.bytes(16 * n)
    ids = pa.Array.from_buffers(pa.binary(16), n, [None, pa.py_buffer(content)])
    text = pa.array(["x" * int(k) for k in rng.integers(0, 3_000 if n < 200_000 else 700, n)])
    rows = written(tmp_path / "f.sqlite", pa.table({"id": ids, "text": text}), numbers)
    assert [row[0] for row in rows] == numbers.tolist()
    assert [row[1] for row in rows] == [content[16 * k : 16 * k + 16].hex() for k in range(n)]
    assert [row[2] for row in rows] == text.to_pylist()


def test_a_row_that_no_page_takes_is_left_to_sqlite(tmp_path: Path) -> None:
    table = pa.table({"a": ["short", "y" * 200_000], "b": pa.array([b"\1" * 16, None], pa.binary(16))})
    assert written(tmp_path / "f.sqlite", table) == [(1, "short", "01" * 16), (2, "y" * 200_000, None)]


@given(st.lists(st.integers(-62_135_596_800_000, 253_402_300_799_999), max_size=30))
@settings(deadline=None)
def test_a_moment_is_written_as_the_calendar_has_it(millis: list[int]) -> None:
    """From the year 1 to the year 9999, to the millisecond."""
    texts = [bytes(row).decode() for row in civil.written(np.array([1000 * value + 999 for value in millis], np.int64))]
    start = datetime(1970, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(milliseconds=value) for value in millis]
    assert texts == [m.isoformat(timespec="milliseconds").replace("+00:00", "Z") for m in moments]


@pytest.mark.parametrize("n", [0, 1, 51, 52, 3_000])
def test_the_spatial_index_finds_what_lies_in_a_window(tmp_path: Path, n: int) -> None:
    """As SQLite's own would: its check finds nothing wrong, and a window gives the points in it."""
    rng = np.random.default_rng(3)
    lon, lat = rng.uniform(30, 40, n), rng.uniform(45, 50, n)
    lon[::7] = np.nan
    layer = geopackage.Layer("spots", "Some.", pa.table({"k": np.arange(n)}), geopackage.points(lon, lat))
    geopackage.write(tmp_path / "f.gpkg", [layer], {}, "2023-04-02T06:00:00.000Z")
    with closing(sqlite3.connect(tmp_path / "f.gpkg")) as file:
        assert file.execute("SELECT rtreecheck('rtree_spots_geom')").fetchone() == ("ok",)
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        window = "SELECT id FROM rtree_spots_geom WHERE maxx >= 33 AND minx <= 34 AND maxy >= 46 AND miny <= 48"
        found = {number - 1 for (number,) in file.execute(window)}
    inside = (lon >= 33) & (lon <= 34) & (lat >= 46) & (lat <= 48)
    assert found == set(np.flatnonzero(inside).tolist())
