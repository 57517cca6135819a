"""Tables of which there may be more than memory holds: the same answers, and no more in memory than a few pieces."""

import io
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a_service import NOW, OFFICER, a_service, an_example
from a_shown import Asking
from truceline.errors import NotFoundError, QueryError
from truceline.explain import Newest
from truceline.observation import ID
from truceline.picture import TRACK_POINTS
from truceline.pieces import Pieces, Rows, chained
from truceline.pipeline import BOOK
from truceline.serve import findings, snapshots
from truceline.serve.filters import Question, matching
from truceline.serve.query import Query, query_of
from truceline.serve.sifting import Sifter
from truceline.serve.views import COLLECTIONS
from truceline.store import Book, Edition
from truceline.store.export import FORMATS, pieces

POINTS = COLLECTIONS["track_points"]
BEGINS = datetime(2031, 3, 14, tzinfo=UTC)


def points(n: int = 60, tracks: int = 5) -> pa.Table:
    """Points of tracks in the order of editions: by track, then by time, a minute and a hundredth of a degree apart.

    Every seventh has no place, every eleventh no time.
    """
    rows = range(n)
    of, at = [i * tracks // n for i in rows], [i % (n // tracks or 1) for i in rows]
    columns: dict[str, Any] = {
        "track_id": [bytes([track] * 16) for track in of],
        "observation_id": [((i * 2654435761) % 2**32).to_bytes(16, "big") for i in rows],
        "at": [None if i % 11 == 10 else BEGINS + timedelta(minutes=at[i]) for i in rows],
        "lon": [None if i % 7 == 6 else 38.0 + 0.01 * at[i] for i in rows],
        "lat": [None if i % 7 == 6 else 49.0 + 0.1 * of[i] for i in rows],
        "speed_mps": [float("nan") if i % 5 == 0 else float(i % 9) for i in rows],
    }
    return pa.table([pa.array(columns.get(f.name, [None] * n), f.type) for f in TRACK_POINTS], TRACK_POINTS)


def cut(whole: pa.Table, size: int) -> Pieces:
    """A table in pieces of so many rows, each of which can be read without the others."""

    def part(at: int) -> Pieces:
        rows = whole.slice(at, size)
        return Pieces(whole.schema, rows.num_rows, lambda: iter((rows,)))

    return chained([part(at) for at in range(0, whole.num_rows, size)], whole.schema)


def told(rows: pa.Table) -> list[bytes]:
    """Which rows these are, in their order."""
    return rows["observation_id"].to_pylist()  # type: ignore[no-any-return]


minutes = st.integers(-2, 14)
boxes = st.tuples(st.floats(37.95, 38.15), st.floats(48.9, 49.5), st.floats(0, 0.2), st.floats(0, 0.4)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
intervals = st.tuples(minutes, st.integers(0, 9)).map(
    lambda i: (BEGINS + timedelta(minutes=i[0]), BEGINS + timedelta(minutes=i[0] + i[1]))
)
properties = st.lists(
    st.one_of(
        st.integers(0, 6).map(lambda track: ("track_id", bytes([track] * 16).hex())),
        st.integers(0, 9).map(lambda speed: ("speed_mps_min", str(speed))),
        st.integers(0, 9).map(lambda speed: ("speed_mps_max", str(speed))),
        minutes.map(lambda at: ("at_min", (BEGINS + timedelta(minutes=at)).isoformat())),
        st.just(("alt_m_min", "0")),
    ),
    max_size=2,
)
questions = st.builds(Question, st.none() | boxes, st.none() | intervals, properties)


# ---- the same answers ----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.lists(questions, min_size=1, max_size=3), st.integers(1, 25), st.integers(0, 20), st.integers(1, 30))
def test_pages_of_pieces_are_those_of_the_whole(asked: list[Question], size: int, offset: int, limit: int) -> None:
    """One question after the other, each twice: what was learned of a part on the way changes no answer."""
    whole, sifter = points(), Sifter()
    rows = cut(whole, size)
    for question in [one for one in asked for _ in range(2)]:
        wanted = matching(whole, POINTS, question)
        page, matched = sifter.page(rows, POINTS, question, offset, limit)
        assert matched == wanted.num_rows
        assert told(page) == told(wanted.slice(offset, limit))
        assert told(sifter.page(rows, POINTS, question, 0, None)[0]) == told(wanted)
        every = sifter.every(rows, POINTS, question)
        assert every.num_rows == wanted.num_rows
        assert told(chained([every], whole.schema).table()) == told(wanted)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [1, 7, 59, 60])
def test_a_file_does_not_tell_how_its_table_was_cut(form: str, size: int) -> None:
    whole = points()
    assert b"".join(pieces(cut(whole, size), form)) == b"".join(pieces(whole, form))


@pytest.mark.parametrize("form", FORMATS)
def test_pieces_longer_than_a_file_is_written_in_are_cut_for_it(form: str) -> None:
    many = pa.concat_tables([points()] * 800).combine_chunks()
    assert b"".join(pieces(cut(many, 30_011), form)) == b"".join(pieces(many, form))


def test_a_question_that_cannot_be_asked_is_told_before_anything_is_read() -> None:
    def read() -> Iterator[pa.Table]:
        raise AssertionError("it was read")

    rows = Pieces(TRACK_POINTS, 1, read)
    for ask in (Sifter().every, lambda *asked: Sifter().page(*asked, 0, 1)):
        with pytest.raises(QueryError, match="there is no parameter 'colour'"):
            ask(rows, POINTS, Question(filters=[("colour", "red")]))


# ---- what is read --------------------------------------------------------------------------------------------------


class Held(bytearray):
    """The bytes of a piece's ids: there as long as anything of the piece is."""

    __hash__ = object.__hash__  # type: ignore[assignment]


class Watched:
    """A table in pieces that counts how many of them are read, and how many are held when another is."""

    def __init__(self, whole: pa.Table, size: int) -> None:
        self.reads = self.most = 0
        self.held: weakref.WeakSet[Held] = weakref.WeakSet()

        def part(rows: pa.Table) -> Pieces:
            return Pieces(whole.schema, rows.num_rows, lambda: self._read(rows))

        self.rows = chained([part(whole.slice(at, size)) for at in range(0, whole.num_rows, size)], whole.schema)

    def _read(self, rows: pa.Table) -> Iterator[pa.Table]:
        self.reads += 1
        self.most = max(self.most, len(self.held))
        held = Held(b"".join(rows["observation_id"].to_pylist()))
        self.held.add(held)
        column = pa.FixedSizeBinaryArray.from_buffers(ID, rows.num_rows, [None, pa.py_buffer(held)])
        yield rows.set_column(1, TRACK_POINTS.field("observation_id"), column)


def test_of_what_was_read_once_only_the_parts_of_a_page_are_read_again() -> None:
    watched, sifter = Watched(points(), 12), Sifter()  # a part a track
    question = Question(filters=[("track_id", bytes([3] * 16).hex())])
    assert sifter.page(watched.rows, POINTS, question, 0, 100)[1] == 12
    assert watched.reads == 5
    assert sifter.page(watched.rows, POINTS, question, 0, 100)[0].num_rows == 12
    assert watched.reads == 6, "where each track is, is known by now"
    box = Question(bbox=(38.0, 49.0, 38.05, 49.5))
    pages = [sifter.page(watched.rows, POINTS, box, at, 7)[0] for at in range(0, 35, 7)]
    assert told(pa.concat_tables(pages)) == told(matching(points(), POINTS, box).slice(0, 35))
    assert watched.reads <= 6 + 5 + 2 * len(pages), "how many of each part are in the box was counted once"


def test_of_a_page_of_everything_nothing_is_read_but_the_page() -> None:
    watched = Watched(points(), 6)
    page, matched = Sifter().page(watched.rows, POINTS, Question(), 26, 8)
    assert told(page) == told(points().slice(26, 8))
    assert (matched, watched.reads) == (60, 2)


@pytest.mark.parametrize(
    ("form", "repeated", "size"),
    [("csv", 700, 3000), ("geojson", 700, 3000), ("arrow", 700, 3000), ("parquet", 4000, 24_000)],
)
@pytest.mark.parametrize("question", [Question(), Question(bbox=(38.0, 49.0, 38.2, 49.4))], ids=["all", "some"])
def test_an_export_holds_no_more_than_it_writes_at_once(
    form: str, repeated: int, size: int, question: Question
) -> None:
    """That are 20,000 rows, and 131,072 of Parquet; and the pieces at its ends."""
    watched = Watched(pa.concat_tables([points()] * repeated).combine_chunks(), size)
    for _ in pieces(Sifter().every(watched.rows, POINTS, question), form):
        pass
    assert watched.reads >= 10
    assert watched.most <= (131_072 if form == "parquet" else 20_000) // size + 2


def test_a_search_for_an_id_ends_where_it_is_found() -> None:
    watched = Watched(points(), 6)
    wanted = points()["observation_id"][8].as_py()
    (found,) = [next(Sifter().where(watched.rows, "observation_id", [wanted]))]
    assert found["observation_id"].to_pylist() == [wanted]
    assert watched.reads == 2


# ---- of a mission --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with an edition more, whose tracks' points are many small pieces."""
    folder = an_example(tmp_path_factory.mktemp("sifting") / "mission")
    book = Book(folder / BOOK)
    held: dict[str, Rows] = {name: book.table(name) for name in book.names()}
    held["track_points"] = cut(points(600, 20), 13)
    book.put(Edition(2, None, "in", "digest", "head", 7, "1", NOW), held)
    return folder


@pytest.fixture(scope="module")
def query(large: Path) -> Query:
    return query_of(a_service(large))


@pytest.mark.parametrize(
    "question",
    [
        Question(),
        Question(bbox=(38.05, 49.1, 38.2, 50.1)),
        Question(interval=(BEGINS + timedelta(minutes=3), BEGINS + timedelta(minutes=9))),
        Question(filters=[("track_id", bytes([7] * 16).hex()), ("track_id", bytes([11] * 16).hex())]),
        Question((38.0, 49.0, 38.1, 49.9), (None, BEGINS + timedelta(minutes=20)), [("speed_mps_max", "4")]),
    ],
    ids=["all", "box", "interval", "tracks", "all three"],
)
@pytest.mark.parametrize("edition", [None, 2])
def test_pages_of_track_points_are_what_a_filter_of_them_all_gives(
    query: Query, question: Question, edition: int | None
) -> None:
    wanted = matching(points(600, 20), POINTS, question)
    asked = [query.rows("track_points", OFFICER, question, offset=at, limit=50, edition=edition) for at in (0, 50, 100)]
    assert {page.matched for page in asked} == {wanted.num_rows}
    assert told(pa.concat_tables([page.table for page in asked])) == told(wanted.slice(0, 150))


def test_a_point_is_found_by_its_id_and_no_other(query: Query) -> None:
    known = points(600, 20)["observation_id"][421].as_py()
    assert query.one("track_points", OFFICER, known.hex())["observation_id"].to_pylist() == [known]
    for wrong in ("0" * 31 + "1", "nothing"):
        with pytest.raises(NotFoundError):
            query.one("track_points", OFFICER, wrong)


def test_a_track_is_explained_by_its_points_alone(large: Path, query: Query) -> None:
    """To the service, which has most of them in the book, as to the command line."""
    asked = ("track_points", "track_id", [bytes([7] * 16)])
    shown = findings._Tables(query.service.live.snapshot, query.sifter).where(*asked)
    of_book = Newest(Book(large / BOOK)).where(*asked)
    assert told(shown) == told(of_book) == told(points(600, 20).slice(210, 30))


def test_over_http_they_are_paged_exported_and_bounded_alike(large: Path) -> None:
    ask = Asking(a_service(large))
    asked = f"track_id={bytes([7] * 16).hex()}&at_min=2031-03-14T00:10:00Z"
    items = ask.json(OFFICER, f"/ogc/collections/track_points/items?{asked}")
    table = pyarrow.csv.read_csv(io.BytesIO(ask(OFFICER, f"/api/export/track_points?{asked}").content))
    assert [one["id"] for one in items["features"]] == table["observation_id"].to_pylist()
    assert items["numberMatched"] == len(items["features"]) > 10
    whole = ask(OFFICER, "/api/export/track_points?f=arrow").content
    assert told(pa.ipc.open_stream(whole).read_all()) == told(points(600, 20))
    extent = ask.json(OFFICER, "/ogc/collections/track_points")["extent"]
    assert extent["spatial"]["bbox"] == [[38.0, 49.0, 38.29, 50.9]]
    assert extent["temporal"]["interval"] == [["2031-03-14T00:00:00Z", "2031-03-14T00:29:00Z"]]


@settings(deadline=None)
@given(st.integers(0, 2**20 - 1), st.integers(1, 7))
def test_what_does_not_stand_is_left_out_when_it_is_read(mask: int, size: int) -> None:
    whole = points(20, 4)
    bits = [bool(mask >> i & 1) for i in range(20)]
    standing = snapshots._masked(cut(whole, size), np.array(bits))
    assert standing.num_rows == sum(bits)
    assert told(standing.table()) == told(whole.filter(pa.array(bits)))


def test_only_what_ties_observations_to_events_is_held_of_the_associations(large: Path) -> None:
    tables, edition = snapshots.standing(large, {})
    assert edition is not None
    assert edition.number == 2
    assert isinstance(tables["associations"], Pieces)
    assert isinstance(tables["track_points"], Pieces)
    assert tables["ties"]["event_id"].null_count == 0
    assert tables["ties"].schema.field("observation_id").type == ID
    assert tables["ties"].num_rows == len(tables["associations"].table()["event_id"].drop_null())
