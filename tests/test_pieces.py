"""Tables that do not fit into memory: what is read in pieces is what was written, however it was cut."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truceline import picture
from truceline.pieces import Pieces, PieceWriter, chained, filtered, parts_of, pieces_of, uncut

SCHEMA = pa.schema([("name", pa.string()), ("east_m", pa.float64())])


def rows(values: list[float]) -> pa.Table:
    return pa.table({"name": [f"track {value}" for value in values], "east_m": values}, schema=SCHEMA)


@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=5), max_size=4))
def test_what_was_written_is_read_as_often_as_wanted(
    tmp_path_factory: pytest.TempPathFactory, cut: list[list[float]]
) -> None:
    with PieceWriter(tmp_path_factory.mktemp("scratch") / "rows.arrow", SCHEMA) as writer:
        for values in cut:
            writer.write(rows(values))
        written = writer.close()
    everything = rows([value for values in cut for value in values])
    assert written.num_rows == everything.num_rows
    assert written.table() == everything == written.table()
    assert [piece.num_rows for piece in written] == [len(values) for values in cut if values]


def test_columns_are_put_into_the_schemas_order(tmp_path: Path) -> None:
    with PieceWriter(tmp_path / "rows.arrow", SCHEMA) as writer:
        writer.write(rows([1.0]).select(["east_m", "name"]))
    assert writer.close().table() == rows([1.0])


def test_chained_rows_follow_each_other_in_memory_or_not() -> None:
    on_disk = Pieces(SCHEMA, 1, lambda: iter([rows([3.0])]))
    both = chained([rows([1.0, 2.0]), rows([]), on_disk], SCHEMA)
    assert both.num_rows == 3
    assert both.table() == rows([1.0, 2.0, 3.0])
    assert [piece.num_rows for piece in both] == [2, 1]
    assert filtered(both, lambda piece: piece.slice(0, 1)) == rows([1.0, 3.0])
    assert [piece.num_rows for piece in pieces_of(rows([]))] == [0]


@given(st.integers(1, 6))
def test_a_pictures_digest_does_not_depend_on_how_a_table_is_cut(size: int) -> None:
    whole = rows([0.5 * n for n in range(13)])
    cut = Pieces(SCHEMA, 13, lambda: iter([whole.slice(at, size) for at in range(0, 13, size)]))
    assert picture.digest({"line": cut, "tracks": rows([])}) == picture.digest({"line": whole, "tracks": rows([])})


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(1, 5))
def test_rows_of_one_value_are_not_cut_apart(sizes: list[int], size: int) -> None:
    names = [str(track) for track, count in enumerate(sizes) for _ in range(count)]
    whole = pa.table({"name": names, "east_m": [0.0] * len(names)}, schema=SCHEMA)
    cut = Pieces(SCHEMA, len(names), lambda: iter([whole.slice(at, size) for at in range(0, len(names), size)]))
    recut = list(uncut(cut, "name"))
    assert pa.concat_tables(recut) == whole
    of = [set(piece["name"].to_pylist()) for piece in recut]
    assert sum(map(len, of)) == len(set().union(*of)), "a name is in two pieces"


def test_what_is_joined_of_parts_can_be_read_in_part() -> None:
    """Empty ones are none; what was joined twice comes apart whole."""
    first, second, third = (Pieces(SCHEMA, 1, lambda n=n: iter([rows([float(n)])])) for n in range(3))
    joined = chained([chained([first, second], SCHEMA), rows([]), third], SCHEMA)
    assert list(parts_of(joined)) == [first, second, third]
    assert list(parts_of(third)) == [third]
    assert list(parts_of(rows([]))) == []
