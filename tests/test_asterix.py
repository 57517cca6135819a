"""ASTERIX: cutting captures, blocks, records and items, and what the items of each category become."""

import json
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import an_asterix as an
import naive_asterix as naive
from truceline import feeds
from truceline.errors import MissionError, SourceError
from truceline.feeds import asterix_items, asterix_radar
from truceline.feeds.asterix_layout import STATUS, TARGETS, WANTED, layout
from truceline.kernels import asterix as cut
from truceline.kernels import bits
from truceline.mission import Source

RECEIVED_AT = datetime(2031, 3, 16, tzinfo=UTC)
DAY = datetime(2031, 3, 14, tzinfo=UTC)
SITE = {"lon": 37.0, "lat": 48.0, "alt_m": 200.0, "name": "North radar"}
SITES = {"25/201": SITE}
NOON = DAY + timedelta(hours=12)
PLOT = an.block(48, an.plot(60.0, 90.0, 43_200.0))
REPORT = an.block(21, an.report(37.5, 48.1, 43_200.0))
GEODESIC = pyproj.Geod(ellps="WGS84")


@pytest.fixture
def read(tmp_path: Path):
    def read(content: bytes, name: str = "radar.ast", chunk_bytes: int = 4 << 20, **options: Any):
        path = tmp_path / name
        path.write_bytes(content)
        source = Source(id="s", feed="asterix", paths=[], options={"day": "2031-03-14", "sites": SITES} | options)
        batches = list(feeds.read(source, tmp_path, str(path), RECEIVED_AT, chunk_bytes=chunk_bytes))
        tables = [pa.concat_tables(part, promote_options="default") for part in zip(*batches, strict=True)]
        return tables[0].to_pylist(), tables[1].to_pylist()

    return read


@pytest.fixture
def capture(read):
    """The rows of a capture of datagrams at times, which has no need of a day."""

    def capture(packets: list[tuple[datetime, bytes]], **form: Any):
        frames = [(int(at.timestamp() * 1e6), an.udp(payload)) for at, payload in packets]
        return read(an.pcap(frames, **form), "radar.pcap", day=None)

    return capture


def one(found: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> dict[str, Any]:
    """The only row, which must have been accepted."""
    (row,), rejected = found
    assert rejected == []
    return row


def ints(*values: int) -> cut.Ints:
    return np.array(values, np.int64)


def cut_block(category: int, content: bytes) -> tuple[list[bytes], bool]:
    """The records of one block by our kernel, and whether it comes to the end."""
    block = an.block(category, content)
    data = np.frombuffer(block, np.uint8)
    starts, ends, _, faults, *_ = cut.split_records(
        data, ints(0), ints(len(block)), ints(0), layout().standard, 1 << 16
    )
    good = [block[a:b] for a, b, fault in zip(starts, ends, faults, strict=True) if not fault]
    assert (faults[:-1] == 0).all()
    assert b"".join(block[a:b] for a, b in zip(starts, ends, strict=True)) == content, "no byte is lost"
    return good, not faults.any()


# --- the kernels against libasterix and against plain Python


RICH = {
    21: an.report(37.5, 48.1, 36000.0, i170="EXER1", i090=(0, (0, 0, 9, None)), i295={"AOS": 1, "GV": 2, "SCC": 3}),
    48: an.plot(60.0, 90.0, 36000.0, i130={"SRL": 1, "APD": 2}, i250=[(5, 4, 0)], i120={"CAL": (0, 0, 1)}),
    62: an.track(37.5, 48.1, 36000.0, i380={"ADR": 1, "TID": [0]}, i510=[1, 2], i110={"POS": 3}, i270=((1, None),)),
    34: an.record(34, {"000": 1, "030": (36000.0, "s"), "070": [(0, 1), (2, 3)], "RE": b"x"}),
    2: an.record(2, {"000": 1, "030": (36000.0, "s"), "050": [1, 2], "070": [(0, 1, 2)], "SP": b"yz"}),
}


@pytest.mark.parametrize("category", RICH)
def test_records_are_cut_as_libasterix_cuts_them(category):
    content = RICH[category] * 3
    assert cut_block(category, content) == naive.records(category, content) == ([RICH[category]] * 3, True)


@settings(deadline=None, max_examples=80)
@given(st.data())
@pytest.mark.parametrize("category", RICH)
def test_damaged_records_are_cut_as_libasterix_cuts_them(category, data):
    """Whatever bytes are changed or cut off: the same records, and the same place where nothing can be followed."""
    content = bytearray(RICH[category] * 2)
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(content) - 1))
        content[where] = data.draw(st.sampled_from([0, 1, 0x80, 0xFF]) | st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(1, len(content)))])
    assert cut_block(category, content) == naive.records(category, content)


@settings(deadline=None, max_examples=40)
@given(st.binary(min_size=1, max_size=40))
@pytest.mark.parametrize("category", [*TARGETS, *STATUS])
def test_any_bytes_are_cut_as_libasterix_cuts_them(category, content):
    assert cut_block(category, content) == naive.records(category, content)


def test_a_record_takes_fields_in_any_order_where_its_category_allows_them():
    """Category 002 has such a field: a count, then numbers of fields with their items."""
    record = naive.EDITIONS[2].cv_record.create({"010": an.SOURCE}, [("000", 2), ("030", 5)]).unparse().to_bytes()
    assert cut_block(2, record * 2) == naive.records(2, record * 2) == ([record, record], True)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=12), st.integers(0, 60), st.integers(1, 56), st.booleans())
def test_bits_are_read_as_written_out(item, bit, size, signed):
    data = np.frombuffer(b"\xff" + item + b"\xff", np.uint8)
    (value,) = bits.read_bits(data, ints(1), ints(1 + len(item)), bit, size, signed)
    assert (None if value == bits.ABSENT else value) == naive.bits(item, bit, size, signed)
    assert bits.read_bits(data, ints(-1), ints(-1), bit, size, signed)[0] == bits.ABSENT


@pytest.mark.parametrize("category", WANTED)
def test_fields_stand_where_libasterix_finds_them(category):
    """Every field that becomes a column, written by libasterix as its own number, is read back."""
    spec = an.EDITIONS[category].cv_record
    for number, path in enumerate(WANTED[category].split()):
        field = layout().fields[category, path]
        item, *inside = path.split("/")
        record, value = with_field(spec, item, inside, number + 1, field.size)
        block = an.block(category, record)
        data = np.frombuffer(block, np.uint8)
        *_, starts, ends, _ = cut.split_records(data, ints(0), ints(len(block)), ints(0), layout().standard, 10)
        assert field.whole(data, starts, ends).tolist() == [value], path
        assert field.values(data, starts, ends) == pytest.approx(quantity(spec, item, inside, value)), path


def shape(of: Any) -> Any:
    return getattr(of, "cv_rule", of).cv_variation


def with_field(spec: Any, item: str, inside: list[str], value: int, size: int) -> tuple[bytes, int]:
    """A record with one field set in its item, all others 0; the value, if it is small enough."""
    value = value % 2 ** min(size - 1, 12) or 1
    if not inside:
        return spec.create({item: value}).unparse().to_bytes(), value
    form = shape(spec.cv_items_dict[item])
    if hasattr(form, "cv_fspec_max_bytes"):
        inner = form.cv_items_dict[inside[0]]
        content = value if len(inside) == 1 else group(shape(inner), inside[1], value)
        return spec.create({item: {inside[0]: content}}).unparse().to_bytes(), value
    parts = form.cv_items_list
    if isinstance(parts[0], list):
        groups = []
        for part in parts:
            names = [entry and getattr(getattr(entry[0], "cv_non_spare", None), "cv_name", "") for entry in part]
            groups.append(tuple(None if n is None else value if n == inside[0] else 0 for n in names))
            if inside[0] in names:
                break
        return spec.create({item: tuple(groups)}).unparse().to_bytes(), value
    return spec.create({item: group(form, inside[0], value)}).unparse().to_bytes(), value


def group(form: Any, name: str, value: int) -> tuple[int, ...]:
    names = [getattr(getattr(entry, "cv_non_spare", None), "cv_name", "") for entry, _ in form.cv_items_list]
    return tuple(value if n == name else 0 for n in names)


def quantity(spec: Any, item: str, inside: list[str], value: int) -> float:
    """The value in the standard's unit."""
    at = spec.cv_items_dict[item]
    for name in inside:
        at = shape(at).cv_items_dict[name]
    content = getattr(shape(at).cv_rule, "cv_content", None)
    return value * float(getattr(content, "cv_lsb", 1.0))


STREAM = st.lists(
    st.sampled_from(
        [
            PLOT,
            b"\x11\x00" + PLOT + b"\xa5\xa5\xa5",
            an.block(48, b"\x80\x01\x02"),
            an.block(62, b"\x80\x03\x04\x80\x05\x06"),
        ]
    )
    | st.binary(max_size=9)
    | st.sampled_from([b"\x30\x00\x03", b"\x30\xff\xff", b"\x30\x00\x06", b"\x3e"]),
    max_size=8,
).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(STREAM, st.integers(1, 40))
def test_blocks_are_found_again_behind_rubbish_however_the_stream_comes(stream, step):
    known = np.zeros(256, np.bool_)
    known[[48, 62]] = True
    found: list[tuple[bytes, bool]] = []
    begin, end = 0, min(step, len(stream))
    while begin < len(stream):
        whole = end == len(stream)
        data = np.frombuffer(stream[:end], np.uint8)
        starts, ends, _, faults, behind = cut.split_blocks(
            data, ints(begin), ints(end), ints(0), known, layout().standard, whole, 1 << 20
        )
        found += [(stream[a:b], not f) for a, b, f in zip(starts, ends, faults, strict=True)]
        assert behind > begin or not whole
        begin, end = behind, min(end + step, len(stream))
    assert found == naive.blocks(stream, {48, 62})


def test_rubbish_is_given_in_pieces():
    data = np.frombuffer(bytes(100), np.uint8)
    known = np.zeros(256, np.bool_)
    starts, ends, *_ = cut.split_blocks(data, ints(0), ints(100), ints(0), known, layout().standard, True, 30)
    assert list(zip(starts, ends, strict=True)) == [(0, 30), (30, 60), (60, 90), (90, 100)]


def test_headers_that_recorders_write_between_blocks_are_skipped(read):
    """Each is a rejection; the blocks are read, because their records can be followed to their end."""
    header = bytes.fromhex("00ff00fe00fd")
    rows, rejected = read(REPORT + b"".join(header + block for block in (PLOT, REPORT, PLOT)))
    assert [row["asterix_category"] for row in rows] == [21, 48, 21, 48]
    assert [row["raw"] for row in rejected] == [header] * 3


# --- captures


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("nano", [False, True], ids=["microseconds", "nanoseconds"])
def test_a_capture_gives_its_blocks_the_day_of_their_packets(capture, order, nano):
    at = NOON + timedelta(microseconds=250_001)
    row = one(capture([(at, REPORT)], order=order, nano=nano))
    assert (row["at"], row["asterix_packet_at"], row["asterix_day"]) == (NOON, at, date(2031, 3, 14))


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize(
    ("resolution", "ticks_per_s"), [(6, 10**6), (9, 10**9), (3, 10**3), (0x80 | 20, 2**20), (0x80 | 30, 2**30)]
)
def test_a_pcapng_capture_is_a_capture(read, order, resolution, ticks_per_s):
    """Its interfaces say of how many parts of a second their times are."""
    second = int(NOON.timestamp())
    ticks = [second * ticks_per_s, second * ticks_per_s + ticks_per_s // 2]
    content = an.pcapng([(t, an.udp(REPORT)) for t in ticks], order=order, resolution=resolution)
    rows, rejected = read(content + content, day=None)
    assert rejected == []
    assert [row["asterix_packet_at"] for row in rows] == [NOON, NOON + timedelta(milliseconds=500)] * 2
    assert [row["at"] for row in rows] == [NOON] * 4


@pytest.mark.parametrize("order", ["little", "big"])
def test_an_interfaces_offset_is_added_to_its_times(read, order):
    content = an.pcapng([(5_000_000, an.udp(REPORT))], order=order, offset_s=int(NOON.timestamp()))
    assert one(read(content, day=None))["asterix_packet_at"] == NOON + timedelta(seconds=5)


def test_a_simple_packet_has_no_time_and_needs_a_day(read):
    content = an.pcapng([(None, an.udp(REPORT)), (None, an.udp(REPORT + PLOT))])
    rows, rejected = read(content)
    assert rejected == []
    assert [(row["at"], row["asterix_packet_at"]) for row in rows] == [(NOON, None)] * 3
    with pytest.raises(SourceError, match="holds times of day without a date"):
        read(content, day=None)
    mixed = an.pcapng([(None, an.udp(REPORT)), (int(NOON.timestamp() * 1e6), an.udp(REPORT)), (None, an.udp(PLOT))])
    for chunk_bytes in (1, 4 << 20):
        rows, _ = read(mixed, day="2031-03-01", chunk_bytes=chunk_bytes)
        assert [row["asterix_day"].day for row in rows] == [1, 14, 1]


def test_a_damaged_pcapng_capture_is_told(read):
    good = an.pcapng([(int(NOON.timestamp() * 1e6), an.udp(REPORT))] * 2)
    for content, words in (
        (good[:-60], "is cut off"),
        (good + b"\6\0\0\0\xff\xff\xff\xff" + bytes(20), "is damaged; what follows is lost"),
        (good.replace(an.udp(REPORT), bytes(14) + an.udp(REPORT)[14:], 1), "holds no UDP datagram"),
    ):
        rows, rejected = read(content, day=None)
        assert len(rejected) == 1
        assert words in rejected[0]["reason"]
        assert len(rows) in (1, 2)


IP4, IP6 = b"\x08\x00", b"\x86\xdd"
DATAGRAM = an.udp(REPORT)[14:]
SIX = bytes.fromhex("60000000") + (len(REPORT) + 8).to_bytes(2, "big") + b"\x11\x40" + bytes(32) + DATAGRAM[20:]


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        pytest.param(1, bytes(12) + b"\x81\x00\x00\x05" + IP4 + DATAGRAM, id="Ethernet with a VLAN tag"),
        pytest.param(1, bytes(12) + IP6 + SIX, id="Ethernet, IP version 6"),
        pytest.param(1, bytes(12) + IP4 + DATAGRAM + bytes(9), id="padded"),
        pytest.param(101, DATAGRAM, id="IP alone"),
        pytest.param(101, SIX, id="IP version 6 alone"),
        pytest.param(113, bytes(14) + IP4 + DATAGRAM, id="Linux, cooked"),
        pytest.param(276, IP4 + bytes(18) + DATAGRAM, id="Linux, cooked, second form"),
        pytest.param(0, b"\x02\0\0\0" + DATAGRAM, id="loopback"),
    ],
)
def test_datagrams_are_found_in_frames_of_many_links(read, link, frame):
    row = one(read(an.pcap([(int(NOON.timestamp() * 1e6), frame)], link=link), day=None))
    assert row["raw"] == REPORT[3:]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (bytes(12) + b"\x08\x06" + bytes(28), "the packet at byte 24 holds no UDP datagram"),
        (bytes(12) + IP4 + DATAGRAM[:9] + b"\x06" + DATAGRAM[10:], "holds no UDP datagram"),
        (bytes(5), "holds no UDP datagram"),
        (bytes(12) + IP4 + DATAGRAM[:6] + b"\x20\x00" + DATAGRAM[8:], "is a fragment of a datagram"),
        (bytes(12) + IP4 + DATAGRAM[:-4], "the packet at byte 24 is cut off"),
    ],
)
def test_a_packet_without_a_whole_datagram_is_rejected(read, frame, reason):
    at = int(NOON.timestamp() * 1e6)
    rows, rejected = read(an.pcap([(at, frame), (at, an.udp(REPORT))]), day=None)
    assert [row["record"] for row in rows] == [2]
    assert reason in rejected[0]["reason"]
    assert rejected[0]["raw"].endswith(frame)


def test_a_capture_that_breaks_off_ends_with_one_rejection(read):
    whole = an.pcap([(int(NOON.timestamp() * 1e6), an.udp(REPORT))] * 2)
    for lost in (3, 60):
        rows, rejected = read(whole[:-lost], day=None)
        assert (len(rows), len(rejected)) == (1, 1)
        assert "is cut off" in rejected[0]["reason"]


def test_behind_a_damaged_packet_header_nothing_is_guessed(read):
    """All bytes behind it are kept, in pieces of 1 MiB, whatever is read at a time."""
    good = an.pcap([(int(NOON.timestamp() * 1e6), an.udp(REPORT))])
    content = good + b"\xff" * 16 + REPORT * 60_000
    for chunk_bytes in (1 << 12, 4 << 20):
        rows, rejected = read(content, day=None, chunk_bytes=chunk_bytes)
        assert len(rows) == 1
        assert [len(row["raw"]) for row in rejected] == [1 << 20, len(content) - len(good) - (1 << 20)]
        assert f"the packet header at byte {len(good)} is damaged" in rejected[0]["reason"]


def test_a_broken_packet_before_a_damaged_header_keeps_its_own_reason(read):
    at = int(NOON.timestamp() * 1e6)
    cut_short = an.udp(REPORT)[:-4]
    content = an.pcap([(at, cut_short)]) + b"\xff" * 16
    for chunk_bytes in (8, 4 << 20):
        rows, rejected = read(content, day=None, chunk_bytes=chunk_bytes)
        assert rows == []
        assert ["is cut off" in row["reason"] for row in rejected] == [True, False]
        assert "the packet header" in rejected[1]["reason"]


def test_several_blocks_of_several_categories_in_one_datagram(capture):
    rows, rejected = capture([(NOON, PLOT + REPORT + an.block(34, RICH[34]) + an.block(1, b"\x80\1\2"))])
    assert [row["asterix_category"] for row in rows] == [48, 21, 34]
    assert [row["reason"] for row in rejected] == ["category 001 is not read (block at byte 134)"]


def test_a_packet_of_a_time_that_cannot_be_is_rejected(tmp_path):
    """Damage in a header makes a packet of a far century: its records are told, not lost and not believed."""
    path = tmp_path / "radar.pcapng"
    path.write_bytes(an.pcapng([(int(NOON.timestamp() * 1e6) * 10, an.udp(REPORT))]))
    (batch,) = feeds.read(Source(id="s", feed="asterix", paths=[]), tmp_path, str(path), RECEIVED_AT)
    assert batch.observations.num_rows == 0
    (row,) = batch.rejections.to_pylist()
    assert row["field"] == "packet time"
    assert "outside the years 1980..2100" in row["reason"]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_capture_reads_the_same_however_it_comes(tmp_path_factory, data):
    """Every record is accounted for, with the same reasons and ids, whatever is read at a time."""
    at = int(NOON.timestamp() * 1e6)
    frames = [(at, an.udp(PLOT)), (at + 1, an.udp(REPORT * 3)), (at + 2, an.udp(PLOT + REPORT))]
    content = bytearray(data.draw(st.sampled_from([an.pcap, an.pcapng]))(frames))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(24, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "radar.pcap"
    path.write_bytes(content[: data.draw(st.integers(24, len(content)))])
    source = Source(id="s", feed="asterix", paths=[], options={"sites": SITES})
    told = []
    for chunk_bytes in (4 << 20, data.draw(st.integers(1, 60))):
        batches = list(feeds.read(source, path.parent, str(path), RECEIVED_AT, chunk_bytes=chunk_bytes))
        rows = [row for batch in batches for row in batch.observations.to_pylist()]
        rejected = [row for batch in batches for row in batch.rejections.to_pylist()]
        numbers = sorted(row["record"] for row in rows + rejected)
        assert numbers == list(range(1, len(numbers) + 1))
        told.append((rows, rejected))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xd4\xc3\xb2\xa1\x02\x00", "is a capture whose header is cut off"),
        (an.pcap([], link=147), "is a capture of link type 147"),
        (b"a,b\n1,2\n", "is neither ASTERIX data blocks nor a pcap capture: it begins with 612c62"),
        (b"\x30\x00", "is neither"),
        (b"\x30\x00\x03\x30", "is neither"),
    ],
)
def test_a_file_that_is_something_else_is_refused(read, content, reason):
    with pytest.raises(SourceError, match=rf"^radar\.ast: .*{reason}"):
        read(content)


# --- what the items become


def test_friend_or_foe_answers_and_military_identification_are_not_read():
    """Truceline draws parties neutral: it has no use for them."""
    names = {part for paths in WANTED.values() for path in paths.split() for part in path.split("/")}
    assert names.isdisjoint({"FOEFRI", "ME", "MI", "MD4", "MD5", "055", "050", "120"})


def test_an_ads_b_report_is_a_fix_of_its_address(read):
    items = {
        "i020": 3,
        "i140": (35_000.0, "ft"),
        "i145": (350.0, "FL"),
        "i170": "EXER1",
        "i070": (0, ("MODE3A", "4321")),
    }
    velocity = {"i160": (0, ("GS", (0.125, "NM/s")), ("TA", (90.0, "°"))), "i161": (0, 77)}
    row = one(read(an.block(21, an.report(37.5, 48.1, 43_200.0, **items, **velocity))))
    assert (row["kind"], row["what"], row["means"]) == ("fix", "aircraft.fixed_wing", "recorded")
    assert (row["lon"], row["lat"]) == pytest.approx((37.5, 48.1), abs=180 / 2**23)
    assert row["at"] == NOON
    assert row["at_sigma_s"] == pytest.approx(0.1)
    assert row["identity"] == "icao:4b1814"
    assert row["alt_m"] == pytest.approx(35_000 * 0.3048, abs=1)
    assert (row["speed_mps"], row["course_deg"]) == pytest.approx((0.125 * 1852, 90.0))
    assert (row["asterix_callsign"], row["asterix_mode3a"], row["asterix_track"]) == ("EXER1", "4321", 77)
    assert (row["asterix_sac"], row["asterix_sic"], row["sensor"]) == (25, 201, "North radar")
    assert row["asterix_flight_level"] == 350


def test_the_finer_position_counts(read):
    fine = {"i131": (("LAT", (48.100001, "°")), ("LON", (37.500001, "°")))}
    row = one(read(an.block(21, an.report(37.5, 48.1, 43_200.0, **fine))))
    assert (row["lon"], row["lat"]) == pytest.approx((37.500001, 48.100001), abs=2e-7)


def test_a_height_above_what_the_item_can_say_is_none(read):
    row = one(read(an.block(21, an.report(37.5, 48.1, 43_200.0, i140=0x7FFF, i145=(350.0, "FL")))))
    assert row["alt_m"] == pytest.approx(350 * 30.48)


@pytest.mark.parametrize(
    ("category", "sigma_m"),
    [(11, 3 / 2.448), (10, 10 / 2.448), (5, 926 / 2.448), (1, 18520 / 2.448), (0, 100), (14, 100)],
)
def test_navigation_accuracy_is_a_bound_of_95_percent(read, category, sigma_m):
    """Of a round normal error 2.448 sigmas hold 95 %; category 0 and those not defined say nothing."""
    row = one(read(an.block(21, an.report(37.5, 48.1, 43_200.0, i090=((0, 0, None), (0, 0, category, None))))))
    assert (row["major_m"], row["minor_m"]) == pytest.approx((sigma_m, sigma_m))
    assert row["tilt_deg"] == 0


@pytest.mark.parametrize(
    ("emitter", "what", "kind"),
    [
        (0, "aircraft", "fix"),
        (6, "aircraft.high_performance", "fix"),
        (10, "aircraft.rotary", "fix"),
        (13, "uav", "fix"),
        (20, "ground.vehicle", "fix"),
        (22, "report", "status"),
        (200, "aircraft", "fix"),
    ],
)
def test_what_is_by_emitter_category(read, emitter, what, kind):
    row = one(read(an.block(21, an.report(37.5, 48.1, 43_200.0, i020=emitter))))
    assert (row["what"], row["kind"], row["asterix_emitter"]) == (what, kind, emitter)


@pytest.mark.parametrize(
    ("items", "identity"),
    [
        ({"080": 0x00ABCD}, "icao:00abcd"),
        ({"080": 0xABCDEF, "040": ((3, 0, 0, 0, None),)}, None),
        ({"080": 0xABCDEF, "040": ((3, 0, 0, 0, None),), "170": "EXER1"}, "callsign:EXER1"),
        ({"080": 0}, None),
        ({"080": 0xFFFFFF, "170": "EXER 1"}, "callsign:EXER 1"),
        ({"080": 0xABCDEF, "040": ((2, 0, 0, 0, None),)}, "icao:abcdef"),
        ({"161": (0, 7)}, None),
    ],
)
def test_an_identity_is_an_address_or_a_callsign_and_never_a_track_number(read, items, identity):
    record = an.record(21, {"073": (1.0, "s"), "130": (("LAT", (48.0, "°")), ("LON", (37.0, "°"))), **items})
    assert one(read(an.block(21, record)))["identity"] == identity


FIRST = {21: (0, 0, 0, 0, None), 48: (5, 0, 0, 0, 0, None), 62: (0, 0, 0, 0, 0, None)}


@pytest.mark.parametrize(
    ("category", "record"),
    [
        pytest.param(21, an.report(37.5, 48.1, 1.0, i040=((0, 0, 0, 1, None),)), id="021: fixed monitor"),
        pytest.param(21, an.report(37.5, 48.1, 1.0, i040=(FIRST[21], (0, 0, 1, 0, 0, 0, None))), id="021: simulated"),
        pytest.param(21, an.report(37.5, 48.1, 1.0, i040=(FIRST[21], (0, 0, 0, 1, 0, 0, None))), id="021: test"),
        pytest.param(48, an.plot(60.0, 90.0, 1.0, i020=((5, 1, 0, 0, 0, None),)), id="048: simulated"),
        pytest.param(48, an.plot(60.0, 90.0, 1.0, i020=((5, 0, 0, 0, 1, None),)), id="048: fixed monitor"),
        pytest.param(48, an.plot(60.0, 90.0, 1.0, i020=(FIRST[48], (1, 0, 0, 0, 0, 0, None))), id="048: test"),
        pytest.param(48, an.plot(60.0, 90.0, 1.0, i020=((0, 0, 0, 0, 0, None),)), id="048: no detection"),
        pytest.param(48, an.plot(60.0, 90.0, 1.0, i170=(0, (0, 1, 0, 0, 0, None))), id="048: ghost"),
        pytest.param(62, an.track(37.5, 48.1, 1.0, i080=(0, (1, 0, 0, 0, 0, 0, 0, None))), id="062: simulated"),
        pytest.param(62, an.track(37.5, 48.1, 1.0, i080=(0, 0, 0, (1, 0, 0, 0, 0, 0, 0, None))), id="062: coasted"),
        pytest.param(62, an.record(62, {"070": (1.0, "s"), "040": 17}), id="062: no position"),
        pytest.param(48, an.record(48, {"140": (1.0, "s"), "220": 5}), id="048: no position"),
    ],
)
def test_what_was_not_seen_is_status(read, category, record):
    """It is kept as evidence, but no track is made of it."""
    assert one(read(an.block(category, record)))["kind"] == "status"


def test_messages_of_sensors_and_services_are_status(read):
    rows, rejected = read(an.block(34, RICH[34]) + an.block(2, RICH[2]) + an.block(65, an.record(65, {"000": 1})))
    assert rejected == []
    assert [(row["kind"], row["what"], row["sensor"]) for row in rows] == [("status", "report", "North radar")] * 3
    assert [row["at"] for row in rows] == [DAY + timedelta(hours=10)] * 2 + [None]
    assert [row["asterix_occurrence"] for row in rows] == [None, None, 1]


# --- plots to places


def seen_from_site(lon: float, lat: float, height_m: float, site: dict[str, Any] = SITE) -> tuple[float, float]:
    """Slant range and azimuth of a point: straight lines in space, with nothing of the feed's own geometry."""
    to_space = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    radar = np.array(to_space.transform(site["lon"], site["lat"], site["alt_m"]))
    target = np.array(to_space.transform(lon, lat, height_m))
    a, b = np.radians(site["lon"]), np.radians(site["lat"])
    east = np.array([-np.sin(a), np.cos(a), 0])
    north = np.array([-np.sin(b) * np.cos(a), -np.sin(b) * np.sin(a), np.cos(b)])
    way = target - radar
    return float(np.linalg.norm(way)), float(np.degrees(np.arctan2(way @ east, way @ north)) % 360)


@settings(deadline=None, max_examples=200)
@given(st.floats(0, 360), st.floats(5_000, 350_000), st.floats(0, 12_000))
def test_a_plot_of_known_height_is_where_the_target_is(azimuth, distance_m, height_m):
    """Against straight lines in space: within 0.02 % of the distance, and 15 m."""
    lon, lat, _ = GEODESIC.fwd(SITE["lon"], SITE["lat"], azimuth, distance_m)
    slant_m, azimuth_deg = seen_from_site(lon, lat, height_m)
    columns = [
        np.array([SITE["lon"]]),
        np.array([SITE["lat"]]),
        np.array([SITE["alt_m"]]),
        np.array([70.0]),
        np.array([0.08]),
    ]
    placed = asterix_radar.place(
        np.array([slant_m]), np.array([azimuth_deg]), np.array([height_m]), asterix_radar.Site(*columns)
    )
    _, _, off_m = GEODESIC.inv(lon, lat, placed.lon[0], placed.lat[0])
    assert off_m < 15 + 2e-4 * distance_m


def test_the_ellipse_lies_along_the_bearing_at_the_target(read):
    """200 NM away to the east, where the bearing has turned by 3 degrees: the wide axis is across it."""
    row = one(read(an.block(48, an.plot(200.0, 90.0, 1.0, i090=an.level(330.0)))))
    back, _, distance_m = GEODESIC.inv(row["lon"], row["lat"], SITE["lon"], SITE["lat"])
    assert distance_m == pytest.approx(370_400, rel=1e-2)
    assert row["tilt_deg"] == pytest.approx((back + 90) % 180, abs=0.01)
    assert abs(back % 180 - 90) > 3
    assert row["major_m"] == pytest.approx(distance_m * np.radians(0.08), rel=1e-3)
    assert row["minor_m"] == pytest.approx(70, abs=3)
    assert (row["range_m"], row["bearing_deg"]) == pytest.approx((370_400, 90))
    assert (row["range_sigma_m"], row["bearing_sigma_deg"]) == pytest.approx((70, 0.08))


def test_near_the_radar_the_range_axis_is_the_wide_one(read):
    row = one(read(an.block(48, an.plot(10.0, 0.0, 1.0, i090=an.level(100.0)))))
    assert row["major_m"] > 70 > row["minor_m"]
    assert min(row["tilt_deg"], 180 - row["tilt_deg"]) < 0.1


def test_a_primary_radar_is_taken_to_be_worse_unless_the_mission_says_how_good_it_is(read):
    echo = an.block(48, an.plot(60.0, 90.0, 1.0, i020=((1, 0, 0, 0, 0, None),), i110=(0, (10_000.0, "ft"))))
    row = one(read(echo))
    assert (row["range_sigma_m"], row["bearing_sigma_deg"]) == pytest.approx((120, 0.15))
    assert (row["what"], row["asterix_detection"], row["identity"]) == ("air", "primary", None)
    row = one(read(echo, sites={"25/201": SITE | {"range_sigma_m": 30, "azimuth_sigma_deg": 1}}))
    assert (row["range_sigma_m"], row["bearing_sigma_deg"]) == pytest.approx((30, 1))


def test_without_a_height_the_range_is_as_uncertain_as_the_heights_that_are_possible(read):
    """At 30 NM a target on the ground and one at 12 km are 1.3 km apart on the map; at 5 NM it can be overhead."""
    known = one(read(an.block(48, an.plot(30.0, 0.0, 1.0, i090=an.level(200.0)))))
    blind = one(read(an.block(48, an.plot(30.0, 0.0, 1.0))))
    assert blind["alt_m"] is None
    assert blind["major_m"] > 4 * known["major_m"]
    _, _, apart_m = GEODESIC.inv(known["lon"], known["lat"], blind["lon"], blind["lat"])
    assert apart_m < 3 * blind["major_m"]
    close = one(read(an.block(48, an.plot(5.0, 0.0, 1.0))))
    _, _, ground_m = GEODESIC.inv(SITE["lon"], SITE["lat"], close["lon"], close["lat"])
    assert ground_m == pytest.approx(5 * 1852 / 2, rel=0.01)
    assert close["major_m"] == pytest.approx(5 * 1852 / 12**0.5, rel=0.05)


@pytest.mark.parametrize("level", [(1, 0, (330.0, "FL")), (0, 1, (330.0, "FL"))], ids=["not validated", "garbled"])
def test_a_height_that_the_radar_doubts_is_none(read, level):
    row = one(read(an.block(48, an.plot(60.0, 0.0, 1.0, i090=level))))
    assert (row["alt_m"], row["asterix_flight_level"]) == (None, None)


def test_a_height_that_the_range_cannot_reach_does_not_place_the_target(read):
    row = one(read(an.block(48, an.plot(3.0, 0.0, 1.0, i090=an.level(330.0)))))
    assert row["lat"] is not None
    assert row["major_m"] == pytest.approx(3 * 1852 / 12**0.5, rel=0.05)


def test_an_echo_at_the_antenna_has_a_place(read):
    row = one(read(an.block(48, an.plot(0.0, 0.0, 1.0))))
    assert (row["lon"], row["lat"]) == pytest.approx((SITE["lon"], SITE["lat"]))
    assert row["minor_m"] >= 1


def test_course_is_turned_from_the_radars_north_to_the_targets(read):
    """Straight away from the radar is straight away from it, seen from either end."""
    row = one(read(an.block(48, an.plot(200.0, 90.0, 1.0, i200=(("GSP", 1000), ("HDG", (90.0, "°")))))))
    away = GEODESIC.inv(SITE["lon"], SITE["lat"], row["lon"], row["lat"])[1] + 180
    assert row["course_deg"] == pytest.approx(away % 360, abs=0.01)


def test_a_plot_of_a_radar_without_a_site_is_rejected(read):
    """Accepted without a place it would stay without one: its bytes are known when the site is given later."""
    rows, rejected = read(an.block(48, an.plot(60.0, 90.0, 1.0), an.record(48, {"140": 5, "220": 7})), sites={})
    assert [row["kind"] for row in rows] == ["status"]
    assert rejected[0]["reason"] == (
        "SAC/SIC = 25/201 is a radar whose place is not known: give it in the mission file, options.sites"
    )
    assert (rejected[0]["field"], rejected[0]["value"]) == ("SAC/SIC", "25/201")


# --- system tracks


def test_a_system_track_has_its_centres_velocity_height_and_accuracy(read):
    items = {
        "i185": (("VX", (30.0, "m/s")), ("VY", (-40.0, "m/s"))),
        "i130": (10_000.0, "ft"),
        "i245": (0, 0, ("CHR", "EXER1")),
        "i380": {"ADR": 0x4B1814, "EMC": 10},
        "i500": {"APC": (("X", (30.0, "m")), ("Y", (40.0, "m")))},
        "i060": (0, 0, 0, 0, ("MODE3A", "0021")),
    }
    row = one(read(an.block(62, an.track(37.5, 48.1, 43_200.0, **items)), sites={}))
    assert (row["kind"], row["what"], row["identity"], row["at"]) == ("fix", "aircraft.rotary", "icao:4b1814", NOON)
    assert (row["speed_mps"], row["course_deg"]) == pytest.approx((50, 90 + np.degrees(np.arctan2(40, 30))))
    assert (row["alt_m"], row["asterix_track"], row["asterix_mode3a"]) == (pytest.approx(3048, abs=1), 17, "0021")
    assert (row["major_m"], row["minor_m"], row["tilt_deg"]) == pytest.approx((40, 30, 0))


@pytest.mark.parametrize(
    ("cov", "tilt_deg"), [pytest.param(30.0, 45, id="north-east"), pytest.param(-30.0, 135, id="south-east")]
)
def test_the_covariance_of_a_system_track_tilts_its_ellipse(read, cov, tilt_deg):
    """The standard sends the root of the covariance with its sign: 30 is 900 square metres."""
    accuracy = {"APC": (("X", (50.0, "m")), ("Y", (50.0, "m"))), "COV": (cov, "m")}
    row = one(read(an.block(62, an.track(37.5, 48.1, 1.0, i500=accuracy)), sites={}))
    assert row["tilt_deg"] == pytest.approx(tilt_deg)
    assert (row["major_m"], row["minor_m"]) == pytest.approx(((2500 + 900) ** 0.5, (2500 - 900) ** 0.5))


def test_accuracy_in_degrees_is_taken_to_metres(read):
    step = 180 / 2**25
    accuracy = {"APW": (("LAT", (100 * step, "°")), ("LON", (100 * step, "°")))}
    row = one(read(an.block(62, an.track(37.5, 48.0, 1.0, i500=accuracy)), sites={}))
    assert row["major_m"] == pytest.approx(100 * step * 111_200, rel=0.01)
    assert row["minor_m"] == pytest.approx(row["major_m"] * np.cos(np.radians(48)), rel=0.01)


def test_without_an_accuracy_a_system_track_has_the_assumed_one(read):
    for stated in ({}, {"APC": (0, 0)}):
        row = one(read(an.block(62, an.track(37.5, 48.1, 1.0, i500=stated or None)), sites={}))
        assert row["major_m"] == row["minor_m"] == asterix_items.UNSTATED_M.value


def test_a_system_track_that_stands_still_has_no_course(read):
    row = one(read(an.block(62, an.track(37.5, 48.1, 1.0, i185=(0, 0)))))
    assert (row["speed_mps"], row["course_deg"]) == (0, None)


def test_courses_of_a_centre_that_the_mission_places_are_turned_to_true_north(read):
    """North on the centre's plane, 4 degrees east of it, leans by 3 degrees at latitude 48."""
    velocity = {"i185": (("VX", 0), ("VY", (100.0, "m/s")))}
    record = an.block(62, an.track(41.0, 48.0, 1.0, **velocity))
    assert one(read(record, sites={}))["course_deg"] == 0
    assert one(read(record))["course_deg"] == pytest.approx(4 * np.sin(np.radians(48)), abs=0.02)


# --- time


def times(rows: list[dict[str, Any]]) -> list[timedelta]:
    return [row["at"] - DAY for row in rows]


def stream(*tods_s: float) -> bytes:
    return b"".join(an.block(21, an.report(37.5, 48.1, tod_s)) for tod_s in tods_s)


def test_midnight_is_passed_forwards_and_backwards(read):
    """A late record of the day before belongs to the day before."""
    rows, _ = read(stream(86_399.5, 0.5, 86_399.75, 1.0))
    assert times(rows) == [timedelta(seconds=s) for s in (86_399.5, 86_400.5, 86_399.75, 86_401.0)]
    assert [row["asterix_day"].day for row in rows] == [14, 15, 14, 15]


@pytest.mark.parametrize("chunk_bytes", [1, 30, 1000])
def test_the_day_is_remembered_from_batch_to_batch(read, chunk_bytes):
    content = stream(*[s % 86_400.0 for s in range(40_000, 86_400 * 3, 21_600)])
    rows, _ = read(content, chunk_bytes=chunk_bytes)
    assert times(rows) == [timedelta(seconds=s) for s in range(40_000, 86_400 * 3, 21_600)]


def test_in_a_capture_the_day_is_the_one_nearest_to_the_packet(capture):
    before, behind = DAY - timedelta(seconds=1), DAY + timedelta(seconds=1)
    rows, _ = capture([(before, stream(1.0)), (behind, stream(86_399.0)), (behind, stream(1.0))])
    assert times(rows) == [timedelta(seconds=s) for s in (1, -1, 1)]


def test_in_a_capture_the_option_day_is_not_needed_and_not_heard(read):
    content = an.pcap([(int(NOON.timestamp() * 1e6), an.udp(REPORT))])
    assert one(read(content, day="name"))["at"] == NOON
    assert one(read(content, day="2011-01-01"))["at"] == one(read(content, day=None))["at"] == NOON


def test_the_same_bytes_on_another_day_are_another_record(read):
    """A parked vehicle says the same at the same time of day; the same file read again adds nothing."""
    today = one(read(stream(5.0)))
    assert one(read(stream(5.0), "again.ast"))["observation_id"] == today["observation_id"]
    assert one(read(stream(5.0), day="2031-03-15"))["observation_id"] != today["observation_id"]


def test_a_capture_and_a_stream_of_the_same_records_have_the_same_ids(read, capture):
    (captured,), _ = capture([(NOON, REPORT)])
    assert one(read(REPORT))["observation_id"] == captured["observation_id"]


def test_the_day_can_be_in_the_files_name(read):
    for name in ("radar_20310314.ast", "2031-03-14T00.ast"):
        assert one(read(stream(5.0), name, day="name"))["at"] == DAY + timedelta(seconds=5)
    for name, reason in (("radar.ast", "has no date in its name"), ("radar_20319914.ast", "2031-99-14 in its name")):
        with pytest.raises(SourceError, match=reason):
            read(stream(5.0), name, day="name")


def test_times_of_day_without_a_day_are_refused(read):
    with pytest.raises(SourceError, match=r"^radar\.ast: holds times of day without a date: give it as options\.day"):
        read(stream(5.0), day=None)


def test_a_record_without_a_time_has_its_packets_or_none(read, capture):
    """It is numbered, because its bytes cannot tell it from the next one like it."""
    untimed = an.block(65, an.record(65, {"000": 1}))
    rows, _ = capture([(NOON, untimed), (NOON + timedelta(seconds=30), untimed)])
    assert [row["at"] for row in rows] == [NOON, NOON + timedelta(seconds=30)]
    assert [(row["asterix_occurrence"], row["asterix_day"], row["at_sigma_s"]) for row in rows] == [
        (1, None, 2),
        (2, None, 2),
    ]
    assert rows[0]["observation_id"] != rows[1]["observation_id"]
    assert one(read(untimed))["at"] is None


def test_a_time_behind_midnight_rejects_its_record_and_moves_no_other(read):
    rows, rejected = read(stream(80_000.0, 100_000.0, 80_001.0))
    assert times(rows) == [timedelta(seconds=80_000), timedelta(seconds=80_001)]
    assert rejected[0]["reason"] == "time of day = 100000 s is more than a day has"


# --- what is damaged, and what the mission file may say


def test_a_record_that_cannot_be_followed_takes_the_rest_of_its_block(read):
    good, bad = an.report(37.5, 48.1, 5.0), b"\x41\x00" + b"\xff" * 5
    rows, rejected = read(an.block(21, good, bad, good) + an.block(21, good))
    assert [row["record"] for row in rows] == [1, 3]
    assert [(row["record"], row["field"], row["raw"]) for row in rejected] == [(2, "040", bad + good)]
    assert (
        rejected[0]["reason"]
        == f"category 021: item 040 of the record at byte {3 + len(good)} goes on behind its last part"
    )


def test_bounds_are_kept(read):
    _, rejected = read(stream(5.0), bounds=[22, 50, 41, 53])
    assert "is outside the source's bounds" in rejected[0]["reason"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"site": {}}, "options.site: the feed 'asterix' has no such option; did you mean 'sites'"),
        ({"sites": []}, "options.sites: [] is not a table like"),
        ({"sites": {"25": {}}}, 'options.sites.25: a radar is named by its SAC and SIC, like "25/201"'),
        ({"sites": {"25/256": {}}}, "options.sites.25/256: a radar is named by"),
        ({"sites": {"1/2": 5}}, "options.sites.1/2: 5 is not a table like"),
        ({"sites": {"1/2": {"lon": 5}}}, "options.sites.1/2: needs lon and lat"),
        ({"sites": {"1/2": {"lon": 5, "lat": 95}}}, "options.sites.1/2.lat: 95 is not a number in -90..90"),
        ({"sites": {"1/2": {"lon": True, "lat": 9}}}, "options.sites.1/2.lon: True is not a number"),
        (
            {"sites": {"1/2": {"lon": 5, "lat": 9, "alt": 1}}},
            "1/2.alt: a site has no such key; did you mean 'alt_m'",
        ),
        ({"sites": {"1/2": {"lon": 5, "lat": 9, "name": 1}}}, "options.sites.1/2.name: 1 is not a text"),
        ({"day": "14.03.2031"}, "options.day: '14.03.2031' is neither a date like '2031-03-14' nor 'name'"),
        ({"day": "2031-02-30"}, "options.day: '2031-02-30' is neither a date"),
        ({"bounds": 5}, "options.bounds: 5 is not"),
    ],
)
def test_what_the_mission_file_cannot_mean_is_named(options, message):
    with pytest.raises(MissionError) as told:
        feeds.check(Source(id="s", feed="asterix", paths=[], options=options))
    assert str(told.value).startswith("source 's': ")
    assert message in str(told.value)


def test_columns_belong_to_tables():
    with pytest.raises(MissionError, match="belongs to the feed 'table'"):
        feeds.check(Source(id="s", feed="asterix", paths=[], columns={"what": "x"}))


# --- against the answers of another decoder


def answers(text: str) -> list[dict[str, str]]:
    """The records of a listing: category, bytes, and of each line "<name>: <raw> (<value> <unit>)" the value."""
    found: list[dict[str, str]] = []
    category = ""
    for line in text.splitlines():
        name, _, value = line.strip().partition(": ")
        if name == "Category":
            category = value
        elif line.startswith("Data Record"):
            found.append({"category": category})
        elif found and value:
            inside = re.search(r"\(([^)]*)\)", value)
            found[-1].setdefault(name.lower(), inside[1].split()[0] if inside and inside[1] else value)
    return found


CALLSIGN = "characters 1-8 (coded on 6 bits each) defining target identification"


@pytest.mark.realdata
def test_plots_are_read_as_another_decoder_reads_them(realdata):
    folder = realdata / "asterix"
    sites = {f"25/{sic}": {"lon": 16.0, "lat": 46.0} for sic in range(256)}
    source = Source(id="s", feed="asterix", paths=[], options={"sites": sites})
    (batch,) = feeds.read(source, folder, str(folder / "sample_data" / "cat_034_048.pcap"), RECEIVED_AT)
    assert batch.rejections.num_rows == 0
    rows = batch.observations.to_pylist()
    expected = answers((folder / "sample_output" / "cat_034_048.txt").read_text())
    assert len(rows) == len(expected) == 162
    told_of = Counter(name for told in expected for name in told)
    names = ("rho", "theta", "aircraftaddress", "flightlevel", "mode-3/a reply code", CALLSIGN)
    assert min(told_of[name] for name in (*names, "track number", "calculated groundspeed")) > 50
    close = {"abs": 1e-4, "rel": 1e-6}
    for row, told in zip(rows, expected, strict=True):
        assert (row["raw"].hex().upper(), row["asterix_category"]) == (told["hexdata"], int(told["category"]))
        assert (row["asterix_sac"], row["asterix_sic"]) == (
            int(told["system area code"]),
            int(told["system identification code"]),
        )
        assert row["at"] == datetime(2016, 5, 5, tzinfo=UTC) + timedelta(seconds=float(told["time of day"]))
        if row["asterix_category"] != 48:
            assert row["kind"] == "status"
            continue
        assert (row["range_m"] is None) == ("rho" not in told)
        if "rho" in told:
            assert row["range_m"] / 1852 == pytest.approx(float(told["rho"]), **close)
            assert row["bearing_deg"] == pytest.approx(float(told["theta"]), **close)
        if "aircraftaddress" in told:
            assert row["identity"] == f"icao:{told['aircraftaddress'].lower()}"
        if "flightlevel" in told:
            assert row["asterix_flight_level"] == pytest.approx(float(told["flightlevel"]), **close)
        if "mode-3/a reply code" in told:
            assert row["asterix_mode3a"] in (told["mode-3/a reply code"], None)
        if "track number" in told:
            assert row["asterix_track"] == int(told["track number"])
        if "calculated groundspeed" in told:
            assert row["speed_mps"] == pytest.approx(float(told["calculated groundspeed"]) * 1852 / 3600, **close)
        name = told.get(CALLSIGN)
        if name:
            assert row["asterix_callsign"] == name.strip()


@pytest.mark.realdata
def test_system_tracks_are_read_as_another_decoder_reads_them(realdata):
    folder = realdata / "asterix"
    source = Source(id="s", feed="asterix", paths=[])
    (batch,) = feeds.read(source, folder, str(folder / "sample_data" / "cat_062_065.pcap"), RECEIVED_AT)
    lines = (folder / "sample_output" / "cat_062_065_json.txt").read_text().splitlines()
    rows, expected = batch.observations.to_pylist(), [json.loads(line) for line in lines if line.strip()]
    assert [row["raw"].hex().upper() for row in rows] == [told["hexdata"] for told in expected]
    for row, whole in zip(rows, expected, strict=True):
        if whole["cat"] == 65:
            assert row["kind"] == "status"
            continue
        told = whole["CAT062"]
        assert (row["lat"], row["lon"]) == pytest.approx((told["I105"]["Lat"], told["I105"]["Lon"]), abs=1e-6)
        assert row["at"] == datetime(2014, 2, 25, tzinfo=UTC) + timedelta(seconds=round(told["I070"]["ToT"], 6))
        velocity = told["I185"]["Vx"], told["I185"]["Vy"]
        assert row["speed_mps"] == pytest.approx(np.hypot(*velocity))
        assert row["course_deg"] == pytest.approx(np.degrees(np.arctan2(*velocity)) % 360)
        assert row["identity"] == f"icao:{told['I380']['ADR']['ADR'].lower()}"
        assert row["asterix_callsign"] == told["I380"]["ID"]["ACID"].strip()
        assert row["asterix_mode3a"] == told["I060"]["Mode3A"]
        assert row["asterix_track"] == told["I040"]["TrkN"]
        assert row["alt_m"] == pytest.approx(told["I130"]["Alt"] * 0.3048)
        assert row["asterix_flight_level"] == told["I136"]["MFL"] / 100


@pytest.mark.realdata
def test_a_recorders_file_is_read_as_another_decoder_reads_it(realdata):
    """GPS: a header of 2,200 bytes, and ten bytes around every block; each is a rejection, no record is lost."""
    folder = realdata / "asterix"
    sites = {f"20/{sic}": {"lon": 16.0, "lat": 46.0} for sic in range(256)}
    source = Source(id="s", feed="asterix", paths=[], options={"sites": sites, "day": "2031-03-14"})
    (batch,) = feeds.read(source, folder, str(folder / "sample_data" / "parsegps.gps"), RECEIVED_AT)
    expected = answers((folder / "sample_output" / "parsegps.txt").read_text())
    raws = [raw.hex().upper() for raw in batch.observations["raw"].to_pylist()]
    assert raws == [told["hexdata"] for told in expected]
    assert len(raws) == 18


@pytest.mark.realdata
def test_every_sample_is_accounted_for(realdata):
    """Also those of an edition of 2008 that is not read, and of recorders with headers of their own."""
    counts = {}
    for path in sorted((realdata / "asterix" / "sample_data").iterdir()):
        source = Source(
            id="s", feed="asterix", paths=[], options={} if path.suffix == ".pcap" else {"day": "2031-03-14"}
        )
        batches = list(feeds.read(source, realdata, str(path), RECEIVED_AT))
        counts[path.name] = sum(b.observations.num_rows for b in batches), sum(b.rejections.num_rows for b in batches)
        told = [row for b in batches for row in b.rejections.to_pylist()]
        assert all(row["reason"] and row["raw"] for row in told)
    assert counts["asterix.pcap"][0] == 0
    assert counts["cat21_re.ast"] == (2, 0)
    assert counts["cat_001_002.pcap"] == (1, 3)
    assert counts["cat062cat065.raw"] == (3, 0)
    assert counts["cat034.raw"] == (1, 0)
