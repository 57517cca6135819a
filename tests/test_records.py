"""Records of delimited text: what becomes of every byte of a file, in whatever state it is."""

import gzip
import io
import json
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_split
from truceline.errors import SourceError
from truceline.feeds import records, stream
from truceline.feeds.batch import Records
from truceline.kernels import split

KB = 1 << 10
#: Small limits, so that small texts reach them.
SMALL = {"longest": 40, "piece": 100}
#: Texts made of what matters to a splitter.
NASTY = st.text(alphabet='ab1",\r\n\0é', max_size=120).map(str.encode)


def every_column(header: list[str]) -> dict[str, int]:
    return {f"{place}": place for place in range(len(header))}


def read(path: Path, **limits: int) -> list[Records]:
    return list(records.delimited(str(path), path.name, every_column, **limits))


def rows(path: Path, **limits: int) -> list[tuple[int, bytes, str]]:
    """Number, bytes and fault ("" when in order) of every record."""
    found = []
    for part in read(path, **limits):
        for place, raw in enumerate(part.raws):
            found.append((part.first + place, raw, part.broken[place].reason if place in part.broken else ""))
    return found


def column(path: Path, place: int) -> list[str]:
    return pa.chunked_array([part.columns[f"{place}"] for part in read(path)], pa.string()).to_pylist()


@pytest.fixture
def write(tmp_path: Path):
    def write(content: bytes, name: str = "file.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def test_records_are_numbered_from_one_behind_the_header(write):
    assert rows(write(b"a,b\n1,2\n3,4\n")) == [(1, b"1,2", ""), (2, b"3,4", "")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CR LF", "CR"])
def test_line_ends_of_every_kind_end_a_record_and_are_not_part_of_it(write, end):
    assert rows(write(end.join([b"a,b", b"1,2", b"3,4", b""]))) == [(1, b"1,2", ""), (2, b"3,4", "")]


def test_line_ends_may_be_mixed_and_the_last_may_be_absent(write):
    path = write(b"a,b\r\n1,2\r3,4\n5,6")
    assert [raw for _, raw, _ in rows(path)] == [b"1,2", b"3,4", b"5,6"]


def test_a_byte_order_mark_is_no_part_of_the_first_name(write):
    seen = []
    path = write(b"\xef\xbb\xbfa,b\n1,2\n")
    list(records.delimited(str(path), "f", lambda header: seen.append(header) or {"a": 0}))
    assert seen == [["a", "b"]]


def test_blank_lines_are_no_records(write):
    assert [n for n, _, _ in rows(write(b"\n\r\na,b\n\n1,2\n\r\r\n3,4\n\n"))] == [1, 2]


def test_quotes_hold_delimiters_line_ends_and_doubled_quotes(write):
    path = write(b'a,b\n"x, y","he said ""no""\nand left"\n')
    assert rows(path) == [(1, b'"x, y","he said ""no""\nand left"', "")]
    assert column(path, 1) == ['he said "no"\nand left']


def test_a_quote_inside_an_unquoted_field_is_a_letter(write):
    assert column(write(b'a,b\n5" gun,x\n'), 0) == ['5" gun']


def test_a_record_with_too_few_or_too_many_fields_is_broken_and_says_so(write):
    faults = [fault for _, _, fault in rows(write(b"a,b\n1\n1,2,3\n1,2\n"))]
    assert faults == ["has 1 field where the header names 2", "has 3 fields where the header names 2", ""]


def test_a_stray_quote_costs_one_line(write):
    """The quote would swallow the file up to the next one; instead its line is given up and the next is read."""
    path = write(b'a,b\n1,2\n"3,4\n5,6\n"7","8"\n9,10\n')
    assert rows(path) == [
        (1, b"1,2", ""),
        (2, b'"3,4', "opens a quote that is not closed"),
        (3, b"5,6", ""),
        (4, b'"7","8"', ""),
        (5, b"9,10", ""),
    ]


def test_a_quote_that_is_never_closed_does_not_swallow_a_long_file(write):
    path = write(b'a,b\n1,"2\n' + b"3,4\n" * 1_000_000)
    found = rows(path)
    assert found[0] == (1, b'1,"2', "opens a quote that is not closed")
    assert len(found) == 1_000_001
    assert {fault for _, _, fault in found[1:]} == {""}


def test_nul_bytes_and_bytes_that_are_not_utf8_break_their_record_only(write):
    path = write(b"a,b\n1,\0\n2,\xff\n3,ok\n")
    assert rows(path) == [
        (1, b"1,\0", "is not text: byte 2 is NUL"),
        (2, b"2,\xff", "is not UTF-8 text: byte 2 of the record is 0xff"),
        (3, b"3,ok", ""),
    ]


def test_a_line_of_100_mb_is_one_rejection_with_all_its_bytes(tmp_path):
    """Memory holds the line a few times over, whatever else is in the file."""
    path = tmp_path / "long.csv"
    size = 100 << 20
    with path.open("wb") as file:
        file.write(b"a,b\n1,2\n")
        for _ in range(100):
            file.write(b"x" * (1 << 20))
        file.write(b"\n3,4\n")
    tracemalloc.start()
    found = [(len(raw), raw[:3], fault) for _, raw, fault in _streamed(path)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [(3, b"1,2", ""), (size, b"xxx", f"is {size} bytes long; 1048576 is the most"), (3, b"3,4", "")]
    assert peak < 5 * size


def _streamed(path: Path):
    for part in records.delimited(str(path), path.name, every_column):
        for place, raw in enumerate(part.raws):
            yield part.first + place, raw, part.broken[place].reason if place in part.broken else ""


def test_of_an_endless_line_every_piece_is_kept(write):
    path = write(b"a,b\n1,2\n" + b"x" * 250 + b"\n3,4\n")
    found = rows(path, **SMALL)
    assert [len(raw) for _, raw, _ in found] == [3, 100, 100, 50, 3]
    assert {fault for _, _, fault in found[1:4]} == {"is part of a line longer than 100 bytes"}


@settings(deadline=None, max_examples=400)
@given(body=NASTY, chunk=st.integers(1, 60))
def test_the_records_do_not_depend_on_how_much_is_read_at_a_time(body, chunk, tmp_path_factory):
    path = tmp_path_factory.mktemp("chunks") / "f.csv"
    path.write_bytes(b"a,b\n" + body)
    assert rows(path, chunk_bytes=chunk, **SMALL) == rows(path, **SMALL)


@settings(deadline=None, max_examples=400)
@given(body=NASTY, fields=st.integers(0, 3), limit=st.integers(1, 60))
def test_the_splitter_finds_what_its_slow_twin_finds(body, fields, limit):
    found, faults = _split(body, fields, limit)
    names = {0: "", split.FIELD_COUNT: "count", split.OPEN_QUOTE: "quote", split.TOO_LONG: "long", split.NUL: "nul"}
    assert [(raw, names[fault]) for raw, fault in zip(found, faults, strict=True)] == naive_split.records(
        body, fields, limit
    )


def _split(body: bytes, fields: int, limit: int) -> tuple[list[bytes], list[int]]:
    data = np.frombuffer(body, np.uint8)
    starts, ends, _, faults, consumed, _ = split.split_records(data, 0, True, 44, 34, fields, limit, 0, 1000)
    assert consumed == len(body)
    return [body[a:b] for a, b in zip(starts, ends, strict=True)], faults.tolist()


@settings(deadline=None, max_examples=300)
@given(table=st.lists(st.lists(st.text(alphabet='ab",\n é', max_size=8), min_size=3, max_size=3), max_size=8))
def test_what_csv_wrote_is_read_back(table, tmp_path_factory):
    """Cells, quoted or not, come out as the standard library put them in."""
    path = tmp_path_factory.mktemp("csv") / "f.csv"
    text = io.StringIO(newline="")
    writer = naive_split.csv.writer(text)
    writer.writerows([["x", "y", "z"], *table])
    path.write_bytes(text.getvalue().encode())
    assert [column(path, place) for place in range(3)] == [[row[place] for row in table] for place in range(3)]


@settings(deadline=None, max_examples=300)
@given(body=NASTY)
def test_fields_are_those_of_the_standard_library(body, tmp_path_factory):
    path = tmp_path_factory.mktemp("fields") / "f.csv"
    path.write_bytes(b"a,b\n" + body)
    for part in read(path):
        good = [raw for place, raw in enumerate(part.raws) if place not in part.broken]
        cut = list(zip(part.columns["0"].to_pylist(), part.columns["1"].to_pylist(), strict=True))
        assert cut == [tuple(naive_split.fields(raw)) for raw in good]


class TestGzip:
    """Packed files are unpacked by their first bytes, whatever they are called."""

    TEXT = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(5000))

    def test_a_packed_file_gives_the_records_of_the_plain_one(self, write):
        assert rows(write(gzip.compress(self.TEXT), "f.csv")) == rows(write(self.TEXT, "g.csv.gz"))

    def test_several_members_and_zeros_behind_them_are_one_file(self, write):
        half = len(self.TEXT) // 2
        packed = gzip.compress(self.TEXT[:half]) + gzip.compress(self.TEXT[half:]) + b"\0" * 1000
        assert rows(write(packed, "f.gz")) == rows(write(self.TEXT, "g.csv"))

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
    def test_a_file_that_breaks_off_gives_the_records_before_and_one_that_says_where(self, write, share):
        packed = gzip.compress(self.TEXT)
        packed = packed[: int(len(packed) * share)]
        *before, (number, rest, fault) = rows(write(packed, "f.gz"))
        whole = rows(write(self.TEXT, "g.csv"))
        assert before == whole[: len(before)]
        assert number == len(before) + 1
        assert fault == f"the gzip file breaks off at byte {len(packed)}"
        assert rest == b"" or whole[len(before)][1].startswith(rest)

    def test_damage_gives_the_records_before_it(self, write):
        packed = bytearray(zlib.compress(self.TEXT, 0, 31))  # stored: damage at a byte shows at that byte
        packed[40_000:40_005] = b"\xff" * 5
        *before, (_, _, fault) = rows(write(bytes(packed), "f.gz"))
        assert "the gzip data is damaged" in fault
        assert len(before) > 1000

    def test_bytes_behind_the_packed_data_are_not_passed_over(self, write):
        packed = gzip.compress(self.TEXT)
        *_, (_, rest, fault) = rows(write(packed + b"more", "f.gz"))
        assert (rest, fault) == (b"", f"what follows the gzip data is not gzip at byte {len(packed)}")

    @settings(deadline=None, max_examples=60)
    @given(cut=st.integers(300, 9000), chunk=st.integers(1, 4000))
    def test_what_comes_before_a_break_does_not_depend_on_how_it_is_read(self, cut, chunk, tmp_path_factory):
        path = tmp_path_factory.mktemp("cut") / "f.gz"
        path.write_bytes(gzip.compress(self.TEXT)[:cut])
        assert rows(path, chunk_bytes=chunk) == rows(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\xef\xbb\xbf", "has no header line", id="a byte order mark alone"),
        pytest.param(b"\n\r\n\n", "has no header line", id="blank lines alone"),
        pytest.param(b"PK\x03\x04rest", "is a zip archive: unpack it first", id="zip"),
        pytest.param("a,b\n1,2\n".encode("utf-16"), "is UTF-16 text: save it as UTF-8", id="UTF-16"),
        pytest.param(b"PAR1....", "is a Parquet file, not text", id="Parquet"),
        pytest.param(b"a\0b,c\n1,2\n", "its first line is not text: byte 1 is NUL", id="NUL"),
        pytest.param(b"a,\xff\n1,2\n", "is not UTF-8 text: byte 2 of its first line", id="not UTF-8"),
        pytest.param(b"x" * (3 << 20), "its first line is longer than 1048576 bytes", id="no line ends"),
        pytest.param(
            gzip.compress(b"a,b\n" * 1000)[:12], "the gzip file breaks off at byte 12", id="cut in the header"
        ),
    ],
)
def test_a_file_without_a_header_is_an_error_that_names_it(write, content, message):
    with pytest.raises(SourceError, match=r"^file\.csv: ") as caught:
        read(write(content))
    assert message in str(caught.value)


def test_a_header_alone_gives_no_records(write):
    assert read(write(b"a,b\n")) == []


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"none\.csv: cannot be read: No such file"):
        read(tmp_path / "none.csv")


def test_a_batch_never_holds_more_than_its_share_of_short_records(write):
    parts = read(write(b"a\n" + b"1\n" * 200_000))
    assert max(len(part.raws) for part in parts) == records.MOST_RECORDS
    assert sum(len(part.raws) for part in parts) == 200_000


def test_a_stream_says_nothing_of_a_file_in_order(write):
    with write(gzip.compress(b"abc")).open("rb") as file:
        unpacked = stream.Stream(file)
        assert (unpacked.read(10), unpacked.read(10), unpacked.problem) == (b"abc", b"", None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\[]{},\n é', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='a"[]{}', max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(values=st.lists(JSON, max_size=6), indent=st.sampled_from([None, 1]), cut=st.integers(1, 40))
def test_the_elements_of_an_array_are_found_whole(values, indent, cut):
    text = json.dumps(values, indent=indent, ensure_ascii=False)
    body = text.encode()
    assert _elements(body) == [part.encode() for part in naive_split.elements(text)]
    starts, ends, consumed, closed = split.split_elements(np.frombuffer(body[:-cut], np.uint8), 1, 100)
    whole = [body[a:b] for a, b in zip(starts, ends, strict=True)]
    assert whole == _elements(body)[: len(whole)]
    assert not closed
    assert consumed <= max(1, len(body) - cut)


def _elements(body: bytes) -> list[bytes]:
    starts, ends, _, closed = split.split_elements(np.frombuffer(body, np.uint8), 1, 100)
    assert closed
    return [body[a:b].rstrip() for a, b in zip(starts, ends, strict=True)]


@pytest.mark.parametrize(
    ("text", "behind"),
    [
        ('{"features":[1]}', "1]}"),
        ('{"name": "features", "features" : [1]}', "1]}"),
        ('{"inner": {"features": [0]}, "features": [1]}', "1]}"),
        ('{"features": 5}', None),
        ('[{"features": [1]}]', None),
        ('{"feat', None),
    ],
)
def test_an_array_is_found_by_the_name_of_its_member_of_the_outer_object(text, behind):
    body = text.encode()
    found = split.find_array(np.frombuffer(body, np.uint8), np.frombuffer(b"features", np.uint8))
    assert (None if found < 0 else text[found:]) == behind
