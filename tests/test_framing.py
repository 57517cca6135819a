"""Streams cut into whole records, whatever pieces they come in; what came is all there, in the records or apart."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import an_ais
import an_asterix
from truceline import feeds
from truceline.errors import MissionError, SourceError
from truceline.feeds import cot, cot_file, framing
from truceline.feeds.framing import Blocks, Events, Frames, Taken
from truceline.feeds.framing_nmea import MOST_WAITING, PARTS_WITHIN_S, Sentences
from truceline.feeds.framing_rows import Features, Objects, Rows
from truceline.feeds.streams import of_messages, of_stream
from truceline.mission import Source

AT = datetime(2031, 3, 14, 10, 0, tzinfo=UTC)
AT_S = AT.timestamp()

pieces = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def cut_up(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data in pieces of these sizes in turn."""
    out, at, turn = [], 0, 0
    while at < len(data):
        out.append(data[at : at + sizes[turn % len(sizes)]])
        at, turn = at + sizes[turn % len(sizes)], turn + 1
    return out


def taken(one: framing.Framing, parts: list[bytes], at_s: float = AT_S) -> Taken:
    """All that a stream in these pieces gives."""
    records: list[bytes] = []
    unreadable: list[tuple[bytes, str]] = []
    for number, part in enumerate([*parts, b""], 1):
        one.push(part, at_s)
        found = one.take(at_s, ended=number > len(parts))
        records += found.records
        unreadable += found.unreadable
    return Taken(records, unreadable)


@pytest.fixture
def read(tmp_path: Path):
    def read(source: Source, payload: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        (tmp_path / "payload").write_bytes(payload)
        batches = list(feeds.read(source, tmp_path, str(tmp_path / "payload"), AT))
        return [r for b in batches for r in b.observations.to_pylist()], [
            r for b in batches for r in b.rejections.to_pylist()
        ]

    return read


def a_source(feed: str, **more: Any) -> Source:
    return Source(id="s", feed=feed, **more)


# --- NMEA


def test_a_sentence_without_a_time_gets_that_of_its_receipt(read):
    """The feed needs a time to say when; a receiver that gives none leaves it to whoever hears first."""
    line = an_ais.sentence(1, **an_ais.ship(second=60)).encode()
    one = Sentences()
    one.push(line + b"\r\n", AT_S)
    records, unreadable = one.take(AT_S)
    assert records == [an_ais.tagged(line.decode(), int(AT_S)).encode()]
    assert unreadable == []
    (row,), rejected = read(a_source("ais"), one.payload(records))
    assert (row["at"], row["kind"], rejected) == (AT, "fix", [])


@pytest.mark.parametrize(
    "line",
    [
        an_ais.tagged(an_ais.sentence(1, **an_ais.ship()), 1_931_000_000),
        an_ais.tagged(an_ais.sentence(1, **an_ais.ship()), 1_931_000_000, "Odesa"),
        an_ais.sentence(1, **an_ais.ship()) + ",1931000000",
    ],
    ids=["tag block", "tag block with a station", "time beside it"],
)
def test_a_sentence_with_a_time_stays_as_it_is(line):
    one = Sentences()
    one.push(line.encode() + b"\n", AT_S)
    assert one.take(AT_S).records == [line.encode()]


def test_a_tag_block_without_a_time_gets_one_and_keeps_its_station(read):
    line = an_ais.tagged(an_ais.sentence(1, **an_ais.ship(second=60)), station="Odesa")
    one = Sentences()
    one.push(line.encode() + b"\n", AT_S)
    (row,), rejected = read(a_source("ais"), one.payload(one.take(AT_S).records))
    assert (row["at"], row["sensor"], rejected) == (AT, "Odesa", [])


def test_the_parts_of_a_message_go_together_or_not_at_all(read):
    """A payload is read as a file of its own: a part in another one would be lost."""
    first, second = an_ais.sentences(5, **an_ais.static())
    one = Sentences()
    one.push(f"{first}\n".encode(), AT_S)
    assert one.take(AT_S).records == []
    assert one.waiting
    one.push(f"{an_ais.sentence(1, **an_ais.ship())}\n{second}\n".encode(), AT_S + 1)
    records = one.take(AT_S + 1).records
    assert [record.count(b"AIVDM") for record in records] == [1, 2]
    rows, rejected = read(a_source("ais"), one.payload(records))
    assert ([row["kind"] for row in rows], rejected) == (["fix", "status"], [])


def test_a_part_whose_others_do_not_come_is_given_up(read):
    first, _ = an_ais.sentences(5, **an_ais.static())
    one = Sentences()
    one.push(f"{first}\n".encode(), AT_S)
    one.take(AT_S)
    records = one.take(AT_S + PARTS_WITHIN_S + 1).records
    rows, (rejected,) = read(a_source("ais"), one.payload(records))
    assert rows == []
    assert "whose other parts did not come" in rejected["reason"]


def test_a_sender_of_beginnings_alone_takes_no_more_memory():
    one = Sentences()
    for number in range(3 * MOST_WAITING):
        line = an_ais.tagged("!AIVDM,2,1,3,A,55P5TL01VIaAL@7W,0*" + "", 1_931_000_000, group=f"1-2-{number}")
        body = line.rpartition("\\")[2].rstrip("*")[1:]
        one.push(f"{line}{an_ais.checksum(body)}\n".encode(), AT_S)
        one.take(AT_S)
    assert one.waiting < 200 * (MOST_WAITING + 1)


def test_other_sentences_are_told_apart_with_their_reason():
    """A chart plotter's port carries depth and wind as well: they are no AIS, and not dropped in silence."""
    one = Sentences()
    one.push(f"$GPRMC,,V,,,,,,,,,,N*53\n{an_ais.sentence(1, **an_ais.ship())}\n".encode(), AT_S)
    records, unreadable = one.take(AT_S)
    assert len(records) == 1
    assert unreadable == [(b"$GPRMC,,V,,,,,,,,,,N*53", "holds no AIS sentence: only VDM and VDO are read")]


def test_a_receivers_time_stays_with_its_sentence(read):
    wrapper = "$PGHP,1,2031,3,14,10,0,0,250,316,2,3669963,1,"
    line = an_ais.sentence(1, **an_ais.ship(second=60))
    wrapped = f"{wrapper}{line[-2:]}"
    wrapped = f"{wrapped}*{an_ais.checksum(wrapped[1:])}\r\n{line}\r\n".encode()
    one = Sentences()
    records, unreadable = taken(one, cut_up(wrapped, [7]))
    assert (len(records), unreadable) == (1, [])
    (row,), rejected = read(a_source("ais"), one.payload(records))
    assert (row["ais_heard_at"], rejected) == (AT.replace(microsecond=250_000), [])


nmea_lines = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(line.encode() for line in an_ais.sentences(5, **an_ais.static())),
                an_ais.sentence(1, **an_ais.ship()).encode(),
                an_ais.tagged(an_ais.sentence(1, **an_ais.ship()), 1_931_000_000, group="1-2-3").encode(),
                b"$PGHP,1,2031,3,14,10,0,0,250,316,2,3669963,1,00*00",
            ]
        ),
        st.binary(max_size=40).map(lambda raw: re.sub(rb"[\r\n]", b"", raw)),
        st.text("!$\\*,AIVDM0123456789csg:-", max_size=40).map(str.encode),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(nmea_lines, pieces)
def test_every_line_of_any_stream_comes_out_once(lines, sizes):
    """In a record or apart, whatever the pieces: nothing is lost, nothing twice. Times of receipt change no number."""
    parts = cut_up(b"\r\n".join(lines), sizes)
    records, unreadable = taken(Sentences(stamp=False), parts)
    out = [line for record in records for line in record.split(b"\n")] + [raw for raw, _ in unreadable]
    assert sorted(out) == sorted(line for line in lines if line.strip())
    assert tuple(map(len, taken(Sentences(), parts))) == (len(records), len(unreadable))


@settings(deadline=None)
@given(nmea_lines)
def test_no_stream_of_lines_is_refused_as_a_whole(tmp_path_factory, lines):
    """What the framing lets through the feed can begin to read: the gate never has to refuse a payload."""
    one = Sentences()
    records, _ = taken(one, [b"\n".join(lines)])
    if records:
        folder = tmp_path_factory.mktemp("fuzz")
        (folder / "p").write_bytes(one.payload(records))
        found = list(feeds.read(a_source("ais"), folder, str(folder / "p"), AT))
        assert sum(b.observations.num_rows + b.rejections.num_rows for b in found) == len(records)


# --- Cursor on Target


def an_event(uid: str = "P-1", **more: Any) -> bytes:
    return cot.event(uid, "a-f-G-E-V", AT, AT, 37.5, 48.1, **more)


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([an_event("A"), an_event("B", remarks="<&>"), an_event("C")[:80], b"\xbf\x01\xbf\x12"]),
            st.binary(max_size=30),
            st.text("<event type='/> \n", max_size=40).map(str.encode),
        ),
        max_size=8,
    ),
    pieces,
)
def test_events_are_cut_the_same_whatever_pieces_they_come_in(parts, sizes):
    data = b"\n".join(parts)
    whole, apart = taken(Events(), [data]), taken(Events(), cut_up(data, sizes))
    assert whole == apart


@settings(deadline=None)
@given(st.lists(st.sampled_from([an_event("A"), an_event("B"), an_event("C")[:80]]), max_size=6))
def test_what_is_cut_off_harms_no_other_event(tmp_path_factory, parts):
    one = Events()
    for part in parts:
        one.unit(part, AT_S)
    records, unreadable = one.take(AT_S)
    assert (len(records), unreadable) == (len(parts), [])
    if records:
        folder = tmp_path_factory.mktemp("fuzz")
        (folder / "p").write_bytes(one.payload(records))
        found = list(feeds.read(a_source("cot"), folder, str(folder / "p"), AT))
        assert sum(b.observations.num_rows for b in found) == sum(len(part) > 80 for part in parts)
        assert sum(b.rejections.num_rows for b in found) == sum(len(part) == 80 for part in parts)


def test_protobuf_is_named_as_what_it_is():
    one = Events()
    one.unit(b"\xbf\x01\xbf\x0a\x04abcd", AT_S)
    ((_, reason),) = one.take(AT_S).unreadable
    assert "protobuf" in reason


def test_an_event_that_never_ends_is_cut_off():
    one = Events()
    one.push(b"<event " + b"x" * cot_file.LONGEST_EVENT, AT_S)
    records, _ = one.take(AT_S)
    assert len(records) == 1
    assert one.lost


# --- ASTERIX, Mode S


def test_blocks_get_their_day_from_the_time_of_receipt(read):
    """A stream of blocks has times of day alone; a file of it needs options.day, a live one has the clock."""
    block = an_asterix.block(62, an_asterix.track(37.5, 48.1, 36_000.0))
    one = Blocks()
    records, _ = taken(one, cut_up(block + block, [5]))
    assert len(records) == 2
    rows, rejected = read(a_source("asterix"), one.payload(records))
    assert ({row["at"] for row in rows}, rejected) == ({AT}, [])


@settings(deadline=None)
@given(st.binary(max_size=200), pieces)
def test_any_bytes_make_a_capture_that_accounts_for_them(tmp_path_factory, data, sizes):
    one = Blocks()
    records, unreadable = taken(one, cut_up(data, sizes))
    assert (b"".join(record[44:] for record in records), unreadable) == (data, [])
    if records:
        folder = tmp_path_factory.mktemp("fuzz")
        (folder / "p").write_bytes(one.payload(records))
        list(feeds.read(a_source("asterix"), folder, str(folder / "p"), AT))


def test_frames_without_a_time_get_that_of_their_receipt(read):
    one = Frames()
    lines = b"*8D406B9058B98218DD7D364566EF;\n1931076000.5,8D406B9058B98218DD7D364566EF\nnoise\n"
    records, ((raw, _),) = taken(one, cut_up(lines, [11]))
    assert raw == b"noise"
    source = a_source("adsb", options={"reference": [37.0, 48.0]})
    rows, rejected = read(source, one.payload(records))
    assert ([row["at"] for row in rows], rejected) == ([AT, datetime.fromtimestamp(1_931_076_000.5, UTC)], [])


# --- rows and features


def test_rows_come_behind_the_header_of_their_stream(read):
    columns = {"at": "t", "what": {"value": "explosion"}, "lon": "x", "lat": "y"}
    one = Rows()
    one.push(b"t,x,y\n2031-03-14T10:00:00Z,37,48\n2031-03-", AT_S)
    records = one.take(AT_S).records
    assert one.payload(records) == b"t,x,y\n2031-03-14T10:00:00Z,37,48\n"
    one.push(b"14T11:00:00Z,38,48\n", AT_S)
    (row,), _ = read(a_source("table", columns=columns), one.payload(one.take(AT_S).records))
    assert row["lon"] == 38


def test_a_quoted_field_may_go_on_over_lines_in_files():
    one = Rows(quoted=True)
    one.push(b'a,b\n1,"x\ny"\n2,z\n', AT_S)
    assert one.take(AT_S).records == [b'1,"x\ny"', b"2,z"]


@pytest.mark.parametrize(
    ("message", "number"),
    [
        (b'{"type":"Feature","geometry":null,"properties":{"t":1}}', 1),
        (b'{"t": 1}', 1),
        (b'[{"t": 1}, {"t": 2}]', 2),
        (b'{"type":"FeatureCollection","features":[{"type":"Feature"},{"type":"Feature"}]}', 2),
    ],
)
def test_messages_of_json_are_features_or_objects_or_many(message, number):
    one = Features()
    one.unit(message, AT_S)
    records, unreadable = one.take(AT_S)
    assert (len(records), unreadable) == (number, [])
    assert len(msgspec.json.decode(one.payload(records))["features"]) == number


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_message_is_a_feature_or_told_apart(messages):
    one = Features()
    for message in messages:
        one.unit(message, AT_S)
    records, _ = one.take(AT_S)
    assert len(msgspec.json.decode(one.payload(records))["features"]) == len(records)


# --- which formats can be a stream


def test_observations_come_as_json_lines(read):
    line = b'{"kind":"sighting","what":"explosion","at":"2031-03-14T10:00:00Z","lon":37.5,"lat":48.1}'
    one = Objects()
    records, unreadable = taken(one, cut_up(line + b"\nkind,what\n" + line[:40], [9]))
    assert unreadable == [(b"kind,what", "is no JSON object")]
    rows, (rejected,) = read(a_source("observations"), one.payload(records))
    assert ([row["lon"] for row in rows], rejected["raw"]) == ([37.5], line[:40])


@pytest.mark.parametrize("feed", ["ais", "cot", "asterix", "firms", "observations", "table"])
def test_every_feed_says_how_its_stream_is_cut(feed):
    columns = {"what": {"value": "fire"}} if feed == "table" else {}
    for ways in (of_stream, of_messages):
        assert ways(a_source(feed, columns=columns), "live.listen")().take(AT_S) == Taken([], [])


def test_what_cannot_be_a_stream_is_refused_with_what_to_do_instead():
    with pytest.raises(MissionError, match=r"source 's': live.listen: Parquet .* watch a folder"):
        of_stream(a_source("table", options={"format": "parquet"}), "live.listen")
    with pytest.raises(MissionError, match=r"'s': live.listen: frames .* options.reference"):
        of_stream(a_source("adsb"), "live.listen")


def test_a_refused_stream_is_kept_as_rejections():
    """A file that cannot be read lies where it lay; bytes from a socket are nowhere else."""
    batch = feeds.refused(a_source("cot"), [b"GET / HTTP/1.1"], "is no Cursor on Target event", "tcp 10.0.0.7", AT)
    (row,) = batch.rejections.to_pylist()
    assert (row["raw"], row["file"], batch.observations.num_rows) == (b"GET / HTTP/1.1", "tcp 10.0.0.7", 0)
    with pytest.raises(SourceError):
        list(feeds.read(a_source("cot"), Path("/"), "/nonexistent", AT))
