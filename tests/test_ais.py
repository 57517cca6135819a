"""Ships' own words: sentences and tables of AIS, against pyais, gpsd's decoded answers and real traffic."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyais
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import an_ais
import naive_nmea
from an_ais import sentence, sentences, ship, static, tagged
from truceline import feeds
from truceline.errors import MissionError, SourceError
from truceline.feeds import ais_messages, ais_sentences, ais_tables
from truceline.kernels import nmea, seconds
from truceline.mission import Source

RECEIVED_AT = datetime(2031, 3, 16, tzinfo=UTC)
#: 2031-03-14T12:21:40Z
HEARD = 1931257300
AT = datetime(2031, 3, 14, 12, 21, 40, tzinfo=UTC)
NONE = ais_messages.NONE

Row = dict[str, Any]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., tuple[list[Row], list[Row]]]:
    def read(*lines: str | bytes, chunk_bytes: int = 1 << 20, **source: Any) -> tuple[list[Row], list[Row]]:
        path = tmp_path / "ships.nmea"
        path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines))
        return rows(path, chunk_bytes=chunk_bytes, **source)

    return read


def rows(path: Path, *, chunk_bytes: int = 1 << 20, **source: Any) -> tuple[list[Row], list[Row]]:
    """What a file becomes: accepted and rejected."""
    whole = Source(id="s", feed="ais", paths=[], **source)
    batches = list(feeds.read(whole, path.parent, str(path), RECEIVED_AT, chunk_bytes=chunk_bytes))
    accepted, rejected = (pa.concat_tables(part).to_pylist() for part in zip(*batches, strict=True))
    return accepted, rejected


def one(found: tuple[list[Row], list[Row]]) -> Row:
    """The only row, which must have been accepted."""
    (row,), rejected = found
    assert rejected == []
    return row


class TestPositions:
    def test_a_position_is_a_fix_of_a_vessel_known_by_its_number(self, read):
        row = one(read(tagged(sentence(1, **ship()), HEARD, "odesa")))
        assert (row["kind"], row["what"], row["means"]) == ("fix", "vessel", "transmitted")
        assert (row["identity"], row["sensor"]) == ("mmsi:211234560", "odesa")
        assert (row["lon"], row["lat"]) == pytest.approx((30.75, 46.45), abs=1e-6)
        assert row["speed_mps"] == pytest.approx(12.3 * 0.514444, abs=1e-4)
        assert (row["course_deg"], row["ais_heading_deg"]) == (181.5, 180)
        assert (row["ais_type"], row["ais_channel"], row["ais_own"]) == (1, "A", False)

    @pytest.mark.parametrize("kind", [1, 2, 3, 9, 18, 19, 27])
    def test_every_type_that_says_where_somebody_is_gives_a_fix(self, read, kind):
        row = one(read(*(tagged(line, HEARD, group=f"{n}-2-1") for n, line in enumerate(sentences(kind, **ship()), 1))))
        assert row["kind"] == "fix"
        assert (row["lon"], row["lat"]) == pytest.approx((30.75, 46.45), abs=1e-3)

    @pytest.mark.parametrize(("accuracy", "sigma_m"), [(1, 10 / 2.4477), (0, 25 / 2.4477)])
    def test_the_accuracy_flag_says_within_ten_metres_or_not(self, read, accuracy, sigma_m):
        """The flag is a 95 % circle; the ellipse is 1 sigma of each axis."""
        row = one(read(sentence(1, **ship(accuracy=accuracy))))
        assert (row["major_m"], row["minor_m"], row["tilt_deg"]) == pytest.approx((sigma_m, sigma_m, 0), rel=1e-3)

    def test_a_long_range_report_is_rounded_to_a_tenth_of_a_minute(self, read):
        """Uniform over 185 m northwards, less eastwards: its axes differ by the cosine of the latitude."""
        row = one(read(sentence(27, lon=30.75, lat=60.0, accuracy=1, speed=7, course=90)))
        assert row["major_m"] == pytest.approx(np.hypot(185.2 / 12**0.5, 10 / 2.4477), rel=1e-3)
        assert row["minor_m"] == pytest.approx(np.hypot(92.6 / 12**0.5, 10 / 2.4477), rel=1e-3)
        assert row["speed_mps"] == pytest.approx(7 * 0.514444, rel=1e-4)

    @pytest.mark.parametrize("second", [61, 62, 63])
    def test_a_position_typed_in_or_reckoned_is_worth_a_kilometre(self, read, second):
        row = one(read(tagged(sentence(1, **ship(second=second)), HEARD)))
        assert row["major_m"] == pytest.approx(1000)
        assert row["at"] == AT

    def test_what_is_not_available_is_null_and_a_report_without_position_no_fix(self, read):
        row = one(read(sentence(1, lon=181, lat=91, speed=102.3, course=360, heading=511, second=60)))
        assert row["kind"] == "status"
        for name in ("lon", "lat", "major_m", "speed_mps", "course_deg", "ais_heading_deg"):
            assert row[name] is None

    def test_an_aircraft_of_search_and_rescue_has_its_height(self, read):
        row = one(read(sentence(9, 111232506, lon=30.75, lat=46.45, alt=303, speed=42)))
        assert (row["what"], row["alt_m"]) == ("aircraft.search_rescue", 303)
        assert row["speed_mps"] == pytest.approx(42 * 0.514444, rel=1e-4)  # whole knots, unlike a ship's
        assert one(read(sentence(9, 111232506, lon=30, lat=46, alt=4095)))["alt_m"] is None

    @pytest.mark.parametrize(
        ("mmsi", "what"),
        [(970123456, "vessel.distress"), (974123456, "vessel.distress"), (111232506, "aircraft.search_rescue")],
    )
    def test_the_form_of_a_number_says_what_sends(self, read, mmsi, what):
        assert one(read(sentence(1, mmsi, **ship())))["what"] == what

    def test_a_number_nobody_set_up_is_no_identity(self, read):
        assert one(read(sentence(1, 0, **ship())))["identity"] is None


class TestStatus:
    def test_static_data_in_two_sentences_are_one_record(self, read):
        lines = sentences(5, **static())
        row = one(read(*(tagged(line, HEARD) for line in lines)))
        assert (row["kind"], row["what"], row["identity"]) == ("status", "vessel.cargo", "mmsi:211234560")
        assert (row["ais_name"], row["ais_callsign"], row["ais_destination"]) == ("EXERCISE ONE", "EXER1", "ODESA")
        assert (row["ais_imo"], row["ais_ship_type"], row["ais_draught_m"]) == (9074729, 70, 7.5)
        assert [row[f"ais_{side}_m"] for side in ("bow", "stern", "port", "starboard")] == [100, 50, 12, 10]
        assert row["raw"].decode().count("VDM") == 2
        assert row["lon"] is None

    def test_parts_a_and_b_of_type_24_say_name_and_kind(self, read):
        a = one(read(sentence(24, partno=0, shipname="EXERCISE TWO")))
        b = one(read(sentence(24, partno=1, ship_type=36, callsign="EXER2", to_bow=8, to_stern=4)))
        assert (a["ais_part"], a["ais_name"], a["what"]) == (0, "EXERCISE TWO", "vessel")
        assert (b["ais_part"], b["ais_callsign"], b["what"], b["ais_bow_m"]) == (1, "EXER2", "vessel.pleasure", 8)

    @pytest.mark.parametrize(
        ("number", "what"),
        [(30, "fishing"), (35, "military"), (52, "tug"), (55, "law_enforcement"), (58, "medical"), (69, "passenger"),
         (70, "cargo"), (89, "tanker")],
    )  # fmt: skip
    def test_ship_types_are_terms(self, read, number, what):
        assert one(read(*sentences(5, **static(ship_type=number))))["what"] == f"vessel.{what}"

    def test_a_base_station_is_a_mark_with_a_position_not_a_track(self, read):
        row = one(read(sentence(4, 2655651, year=2031, month=3, day=14, lon=30.75, lat=46.49)))
        assert (row["kind"], row["what"]) == ("status", "navigation_aid")
        assert row["lon"] == pytest.approx(30.75, abs=1e-6)

    def test_other_types_are_kept_with_who_sent_them(self, read):
        row = one(read(sentence(14, 2655651, text="EXERCISE EXERCISE")))
        assert (row["kind"], row["what"], row["text"]) == ("status", "navigation_aid", "EXERCISE EXERCISE")
        row = one(read(sentence(8, 211234560, dac=1, fid=0, data=b"\x01")))
        assert (row["kind"], row["ais_type"], row["identity"]) == ("status", 8, "mmsi:211234560")


class TestTimes:
    @pytest.mark.parametrize("form", [
        "\\c:{0}*{1}\\!",
        "!,{0}",
        "!,d-109,S2105,t050056.00,T56.13718694,r003669946,{0},1325394001",
        "{0} !",
        "2031-03-14T12:21:40Z,!",
        "[2031-03-14 12:21:40] !",
        "! 2031-03-14 12:21:40",
        "!,{0}000",
    ])  # fmt: skip
    def test_a_receivers_time_is_read_wherever_it_stands(self, read, form):
        """In the tag block, behind the sentence as coast guards write it, before it as logs do."""
        line = form.format(HEARD, an_ais.checksum(f"c:{HEARD}")).replace("!", sentence(1, **ship(second=60)))
        row = one(read(line))
        assert row["at"] == row["ais_heard_at"] == AT
        assert row["at_sigma_s"] == 5

    def test_a_coast_guards_station_is_the_sensor(self, read):
        assert one(read(sentence(1, **ship()) + f",d-109,r003669946,{HEARD}"))["sensor"] == "r003669946"

    def test_a_receivers_line_before_the_sentence_is_part_of_its_record(self, read):
        body = "PGHP,1,2031,3,14,12,21,40,250,338,2,,1,09"
        wrapper = f"${body}*{an_ais.checksum(body)}"
        row = one(read(wrapper, sentence(1, **ship(second=60))))
        assert row["at"] == AT + timedelta(milliseconds=250)
        assert row["raw"].decode() == wrapper + "\n" + sentence(1, **ship(second=60))

    def test_the_second_a_report_says_sets_the_time_back_to_it(self, read):
        """What is heard at :40 and says :36 was measured at :36; the tracker needs that, not when it was heard."""
        row = one(read(tagged(sentence(1, **ship(second=36)), HEARD)))
        assert (row["at"], row["ais_heard_at"]) == (AT - timedelta(seconds=4), AT)
        assert row["at_sigma_s"] == pytest.approx(0.3)
        row = one(read(tagged(sentence(1, **ship(second=43)), HEARD)))  # the receiver's clock is late
        assert row["at"] == AT + timedelta(seconds=3)

    def test_a_second_too_far_off_leaves_the_receivers_time(self, read):
        row = one(read(tagged(sentence(1, **ship(second=5)), HEARD)))
        assert (row["at"], row["at_sigma_s"]) == (AT, 5)

    def test_a_message_without_a_clock_is_kept_without_a_time(self, read):
        """The tracker cannot use it; repeats of it are told apart by their count."""
        line = sentence(1, **ship())
        accepted, rejected = read(line, line, sentence(1, **ship(lat=46.46)))
        assert [row["at"] for row in accepted] == [None] * 3
        assert [row["ais_occurrence"] for row in accepted] == [1, 2, 1]
        assert len({row["leaf"] for row in accepted}) == 3
        assert rejected == []

    def test_a_start_in_the_mission_file_runs_on_the_seconds_of_reports(self, read):
        lines = [sentence(1, **ship(second=second)) for second in (41, 59, 58, 20, 60, 20)]
        accepted, _ = read(*lines, options={"start": "2031-03-14T12:21:40Z"})
        seconds_of = [(row["at"] - AT).total_seconds() for row in accepted]
        assert seconds_of == [1, 19, 18, 40, 40, 40]
        assert {row["at_sigma_s"] for row in accepted} == {30}
        assert accepted[3]["ais_occurrence"] == 1  # the time is not in the record's bytes
        assert accepted[3]["leaf"] != accepted[5]["leaf"]

    def test_base_stations_tell_the_time_if_the_mission_file_lets_them(self, read):
        clock = sentence(4, 2655651, year=2031, month=3, day=14, hour=12, minute=21, second=40, lon=30.7, lat=46.5)
        lines = (sentence(1, **ship(second=30)), clock, sentence(1, **ship(second=42)))
        accepted, _ = read(*lines, options={"clock": "base_station"})
        assert [row["at"] for row in accepted] == [None, AT, AT + timedelta(seconds=2)]
        assert [row["at"] for row in read(*lines)[0]] == [None] * 3

    @pytest.mark.parametrize("unix", [12415440354, 99999999])
    def test_an_impossible_time_rejects(self, read, unix):
        _, (row,) = read(tagged(sentence(1, **ship()), unix))
        assert "has a time outside the years 1995..2100" in row["reason"]

    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.tuples(st.integers(0, 63), st.sampled_from([None, 0, 7])), max_size=40))
    def test_the_clock_agrees_with_a_slow_one(self, told):
        """Each row: the second it says, and a base station's time after the last."""
        begin = 1_931_257_300
        now, slow, sets = begin, [], []
        for second, station in told:
            sets.append(NONE if station is None else (now + station) * 10**6)
            out = None
            if station is not None:
                now += station
            elif second < 60:
                forwards = next(k for k in range(60) if (now + k) % 60 == second)
                if forwards >= 45:
                    out = now + forwards - 60
                else:
                    now += forwards
            slow.append((now if out is None else out) * 10**6)
        n = len(told)
        times, _ = seconds.run(
            np.full(n, NONE), np.array([s for s, _ in told], np.int64), np.array(sets, np.int64), begin * 10**6
        )
        assert times.tolist() == slow


class TestParts:
    def test_parts_may_lie_apart_and_come_in_any_order(self, read):
        first, second = sentences(5, **static())
        other = sentence(1, **ship())
        accepted, rejected = read(second, other, first)
        assert [row["ais_type"] for row in accepted] == [1, 5]
        assert accepted[1]["raw"].decode().split("\n") == [second, first]
        assert accepted[1]["ais_destination"] == "ODESA"
        assert rejected == []

    def test_a_message_of_which_a_part_is_lost_is_rejected_whole(self, read):
        first, second = sentences(5, **static())
        _, (row,) = read(first, sentence(1, **ship()))
        assert row["reason"] == "is part 1 of 2 of a message whose other parts did not come"
        _, told = read(first, first, second)
        assert [row["raw"].decode() for row in told] == [first], "the place was taken by the next with the same marks"

    def test_a_part_does_not_wait_for_ever(self, read):
        first, second = sentences(5, **static())
        between = [sentence(1, **ship())] * (ais_sentences.PARTS_WITHIN_LINES + 1)
        _, told = read(first, *between, second)
        assert sorted(row["reason"][:16] for row in told) == ["is part 1 of 2 o", "is part 2 of 2 o"]

    def test_parts_of_two_stations_are_not_joined(self, read):
        a, b = (sentences(5, mmsi, **static()) for mmsi in (211234560, 211234570))
        lines = (tagged(a[0], HEARD, "x"), tagged(b[0], HEARD, "y"), tagged(b[1], HEARD, "y"), tagged(a[1], HEARD, "x"))
        accepted, rejected = read(*lines)
        assert [row["identity"] for row in accepted] == ["mmsi:211234570", "mmsi:211234560"]
        assert rejected == []

    def test_a_tag_group_joins_whatever_the_sequence_says(self, read):
        first, second = sentences(5, **static())
        row = one(read(tagged(first, HEARD, "odesa", "1-2-77"), tagged(second, group="2-2-77")))
        assert (row["sensor"], row["ais_heard_at"]) == ("odesa", AT)

    def test_the_same_part_behind_another_message_is_another_record(self, read):
        """Second parts are often empty and equal: the record is all lines, so no ship is a duplicate of another."""
        a, b = (sentences(5, mmsi, **static()) for mmsi in (211234560, 211234570))
        assert a[1] == b[1]
        accepted, _ = read(*(tagged(line, HEARD) for line in a + b))
        assert len({row["leaf"] for row in accepted}) == 2

    @settings(deadline=None, max_examples=40)
    @given(data=st.data(), chunk_bytes=st.integers(1, 400))
    def test_what_is_read_does_not_depend_on_the_pieces_it_is_read_in(self, data, chunk_bytes, tmp_path_factory):
        """Lines of several messages, shuffled, some lost, some damaged."""
        pool = [*sentences(5, **static()), *sentences(5, 211234570, **static()), sentence(1, **ship()), "# a comment"]
        pool += ["$PGHP,1,2031,3,14,12,21,40,250,338,2,,1,09*2E", tagged(sentences(19, **ship())[0], HEARD)]
        lines = data.draw(st.lists(st.sampled_from(pool), max_size=30))
        path = tmp_path_factory.mktemp("parts") / "s.nmea"
        path.write_text("\n".join([sentence(1, **ship()), *lines]) + "\n")
        whole, pieces = rows(path), rows(path, chunk_bytes=chunk_bytes)
        assert whole == pieces
        told = Counter(line for row in whole[0] + whole[1] for line in row["raw"].decode().split("\n"))
        assert told == Counter(path.read_text().split("\n")[:-1]), "every line is in exactly one record"


BITS = {1: 168, 2: 168, 3: 168, 4: 168, 5: 424, 9: 168, 11: 168, 18: 168, 19: 312, 21: 272, 24: 168, 27: 96}
#: pyais' name of a field, by ours.
PYAIS = {"bow": "to_bow", "stern": "to_stern", "port": "to_port", "starboard": "to_starboard", "altitude": "alt"}
SCALES = {"speed": 10, "course": 10, "draught": 10, "lon": 600_000, "lat": 600_000}


@settings(deadline=None, max_examples=150)
@given(kind=st.sampled_from(sorted(BITS)), bits=st.integers(0, 2**424 - 1), mmsi=st.integers(0, 999_999_999))
def test_every_field_is_what_pyais_reads(kind, bits, mmsi):
    """Random bits behind type and number, through the kernel and through the library."""
    text = f"{kind:06b}00{mmsi:030b}" + f"{bits:0424b}"[: BITS[kind] - 38]
    if kind == 24:
        text = text[:38] + "0" + text[39:]  # part A or B: there are no others
    line = an_ais.raw(text)
    theirs = pyais.decode(line)
    payload = pa.array([line.split(",")[5].encode()], pa.binary())
    ours = ais_messages.Messages(payload, np.array([-len(text) % 6]))
    part_b = kind == 24 and text[38:40] == "01"
    assert ours["mmsi"][0] == theirs.mmsi
    form = 0 if part_b else kind
    for name in ais_messages.LAYOUT[form].keys() - {"turn", "clock_second"}:
        scale = 1 if kind == 9 and name == "speed" else SCALES.get(name, 1)
        if kind == 27:
            scale = 600 if name in ("lon", "lat") else 1
        wanted = getattr(theirs, PYAIS.get(name, name))
        if name == "ship_type" and wanted == 0:
            continue  # pyais calls the numbers that are reserved "not available"
        assert ours[name][0] / scale == pytest.approx(float(wanted), abs=1e-6), name
    for name, where in ais_messages.TEXTS.items():
        if form in where:
            wanted = getattr(theirs, "shipname" if name == "name" and kind != 21 else name)
            # A text ends at its first @; pyais cuts only those at the end.
            assert (ours.text(name)[0].as_py() or "") == wanted.partition("@")[0].rstrip(), name


LINES = [
    tagged(sentence(1, **ship()), HEARD, "odesa"),
    tagged(sentences(5, **static())[0], f"{HEARD}.25", "b", "1-2-77"),
    tagged(sentences(5, **static())[1], f"{HEARD}000", group="2-2-77"),
    sentence(18, **ship()),
    "2031 " + sentence(1, **ship()).replace("VDM", "VDO"),
]


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_line_is_cut_as_plain_reading_cuts_it(data):
    """Good lines with characters put in, taken out and changed, their checksums put right again or not."""
    line = data.draw(st.sampled_from(LINES))
    for _ in range(data.draw(st.integers(0, 2))):
        at, length = data.draw(st.integers(0, len(line))), data.draw(st.integers(0, 2))
        line = line[:at] + data.draw(st.text(alphabet="\\\\!*,:-.0159acsg$Aw~ ", max_size=2)) + line[at + length :]
    if data.draw(st.booleans()):
        head, mark, body = line.rpartition("!")
        line = head + mark + body.partition("*")[0] + "*" + an_ais.checksum(body.partition("*")[0])
    raw = np.frombuffer(line.encode(), np.uint8)
    parts, what = nmea.sentences(raw, np.array([0]), np.array([len(raw)]))
    wanted = naive_nmea.sentence(line)
    assert (what[0] != nmea.SENTENCE) == (wanted == naive_nmea.WRONG)
    if wanted == naive_nmea.WRONG:
        return
    row = parts[0].tolist()
    assert row[nmea.TOTAL] == wanted["total"]
    assert row[nmea.NUMBER] == wanted["number"]
    assert row[nmea.SEQUENCE] == wanted["sequence"]
    assert (chr(row[nmea.CHANNEL]) if row[nmea.CHANNEL] else "") == wanted["channel"]
    assert line[row[nmea.PAYLOAD] : row[nmea.PAYLOAD_END]] == wanted["payload"]
    assert (row[nmea.FILL], bool(row[nmea.OWN])) == (wanted["fill"], wanted["own"])
    assert (None if row[nmea.TAG_TIME] == NONE else row[nmea.TAG_TIME]) == wanted["time"]
    if wanted["station"] is not None:
        assert line[row[nmea.STATION] : row[nmea.STATION_END]] == wanted["station"]
    group = (row[nmea.GROUP_NUMBER], row[nmea.GROUP_TOTAL], row[nmea.GROUP])
    assert tuple(None if one == NONE else one for one in group) == (wanted["group"] or (None, None, None))


class TestTables:
    def test_a_table_of_the_marine_cadastre(self, read):
        header = "MMSI,BaseDateTime,LAT,LON,SOG,COG,Heading,VesselName,IMO,CallSign,VesselType,Status"
        row = one(
            read(header, "636021061,2031-03-14T12:21:40,26.1,-80.04,8.8,272.7,511.0,EXERCISE,IMO9839430,X,70,8.0")
        )
        assert (row["kind"], row["what"], row["identity"]) == ("fix", "vessel.cargo", "mmsi:636021061")
        assert (row["at"], row["ais_imo"], row["ais_nav_status"]) == (AT, 9839430, 8)
        assert (row["ais_heading_deg"], row["course_deg"]) == (None, pytest.approx(272.7))

    @pytest.mark.parametrize("written", ["2031-03-14T12:21:40Z", "2031-03-14 12:21:40.000", "20310314_122140",
                                         "14/03/2031 12:21:40", "1931257300"])  # fmt: skip
    def test_times_are_read_in_the_forms_of_the_archives(self, read, written):
        assert one(read("MMSI,Time,Longitude,Latitude", f"211234560,{written},30,46"))["at"] == AT

    def test_a_time_to_the_minute_is_worth_half_of_one(self, read):
        """The form of anonymised archives: an id instead of a number, which is no identity."""
        row = one(read("ID,ais_pos_timestamp,longitude,latitude", "7,14/03/2031 12:21,32.3,31.4"))
        assert (row["at_sigma_s"], row["identity"], row["ais_id"]) == (30, None, "7")

    def test_forms_of_times_may_be_mixed(self, read):
        lines = (
            "211234560,2031-03-14T12:21:40,30,46",
            "211234560,14/03/2031 12:21,30,46",
            "211234560,2031-03-14,30,46",
        )
        accepted, rejected = read("mmsi,time,lon,lat", *lines)
        assert [row["at"] for row in accepted] == [AT, AT.replace(second=0)]
        assert [row["value"] for row in rejected] == ["2031-03-14"]

    def test_swapped_columns_are_told_where_the_source_has_bounds(self, read):
        _, (row,) = read("mmsi,time,lon,lat", "211234560,1931257300,46.4,30.7", options={"bounds": [22, 44, 41, 53]})
        assert "longitude and latitude look swapped" in row["reason"]

    @pytest.mark.parametrize("value", ["1e300", "-1e300", "1e9", "inf", "-5"])
    def test_no_number_is_too_large_to_be_told(self, read, value):
        """In any column: the record is rejected, or the number is read as one that says nothing."""
        names = [names[0] for names in ais_tables.NAMES.values()]
        plain = {"mmsi": "211234560", "basedatetime": "2031-03-14T12:21:40", "lon": "30", "lat": "46"}
        blank = dict.fromkeys(names, "")
        lines = [",".join({**blank, **plain, changed: value}.values()) for changed in names]
        accepted, rejected = read(",".join(names), *lines)
        assert len(accepted) + len(rejected) == len(names)
        assert all((row["lon"], row["lat"]) in ((30, 46), (-5, 46), (30, -5)) for row in accepted)


class TestMistakes:
    @pytest.mark.parametrize(("options", "told"), [
        ({"start": "noon"}, "options.start: 'noon' is not a time with its zone like 2031-03-14T10:34:00Z"),
        ({"start": "2031-03-14T10:34:00"}, "is not a time with its zone"),
        ({"clock": "mine"}, "options.clock: 'mine' is not one of base_station"),
        ({"begin": 1}, "the feed 'ais' has no such option"),
    ])  # fmt: skip
    def test_the_mission_files_words_are_checked(self, options, told):
        with pytest.raises(MissionError, match=told):
            feeds.check(Source(id="s", feed="ais", paths=[], options=options))

    def test_columns_and_presets_belong_to_tables(self):
        with pytest.raises(MissionError, match="preset: belongs to the feed 'table'"):
            feeds.check(Source(id="s", feed="ais", paths=[], preset="viina"))

    def test_a_file_that_is_neither_is_refused(self, read):
        with pytest.raises(SourceError, match="no AIS sentence, and no column mmsi, basedatetime, lon, lat; the"):
            read("a,b", "1,2")

    @pytest.mark.parametrize(("line", "told"), [
        ("!AIVDM,1,1,,A,,0*26", "has an empty payload"),
        ("!AIVDM,1,1,,A,139L", "has no checksum"),
        ("!AIVDM,1,3,,A,1,0*16", "numbers its parts"),
        ("!AIVDM,1,1,,A,1~,0*69", "holds a character that no payload has"),
        ("!AIVDM,1,1,A,1,0*3B", "has not the fields"),
        ("\\s:x,c:1*00\\!AIVDM,1,1,,A,1,0*17", "has a tag block without a right checksum"),
        ("\\s:x,c:1", "opens a tag block that is not closed"),
        ("IamNotAnAisMessage1111", "holds no NMEA sentence"),
    ])  # fmt: skip
    def test_a_broken_line_is_told(self, read, line, told):
        good = sentence(1, **ship())
        body, star, _ = line.partition("*")
        if star and "*26" not in line and "\\" not in line:
            line = f"{body}*{an_ais.checksum(body[1:])}"
        (row,), (wrong,) = read(good, line)
        assert told in wrong["reason"]
        assert row["raw"].decode() == good


@pytest.mark.realdata
class TestRealTraffic:
    """Against the answers of gpsd and pyais, written by others."""

    @pytest.mark.parametrize(
        ("file", "answers", "messages"),
        [
            ("sample.aivdm", "sample.aivdm.js.chk", 97),
            ("ais-nmea-type6-fid55.log", "ais-nmea-type6-fid55.log.chk", 1265),
        ],
    )
    def test_every_position_and_name_is_gpsds(self, realdata, file, answers, messages):
        """Of 1,362 messages one is not accepted: a base station at 205 degrees east."""
        accepted, rejected = rows(realdata / "ais" / "gpsd_ais" / file)
        found = defaultdict(list)
        for row in accepted:
            found[row["ais_type"], row["identity"]].append(row)
        lines = (realdata / "ais" / "gpsd_ais" / answers).read_text().splitlines()
        told = [json.loads(line) for line in lines if line.startswith('{"class":"AIS"')]
        assert len(told) == messages
        missing = []
        for wanted in told:
            same = found[wanted["type"], f"mmsi:{wanted['mmsi']:09d}"]
            if not same:
                missing.append(wanted["lon"])
                continue
            check_against_gpsd(same.pop(0), wanted)
        assert missing == ([205.116887] if file == "sample.aivdm" else [])
        impossible = [row["value"] for row in rejected if row["field"] == "lon"]
        assert impossible == ([f"{lon}" for lon in missing])

    def test_every_message_that_pyais_decodes_is_accepted_with_its_position(self, realdata):
        path = realdata / "ais" / "aisdb" / "test_data_20211101.nm4"
        accepted, rejected = rows(path)
        assert (len(accepted), rejected) == (979, [])
        assert sum(row["kind"] == "fix" for row in accepted) == 915
        assert Counter(row["ais_type"] for row in accepted)[27] > 100
        for row in accepted:
            parts = [line[line.index(b"!") :] for line in row["raw"].split(b"\n")]
            theirs = pyais.decode(*parts)
            assert row["identity"] == (f"mmsi:{theirs.mmsi:09d}" if theirs.mmsi else None)
            if row["kind"] == "fix":
                assert (row["lon"], row["lat"]) == pytest.approx((theirs.lon, theirs.lat), abs=1e-6)
            assert abs((row["at"] - row["ais_heard_at"]).total_seconds()) <= 30

    def test_what_pyais_calls_a_message_is_one(self, realdata):
        """100 lines are empty and 20 first parts never find their second."""
        accepted, rejected = rows(realdata / "ais" / "pyais" / "nmea_data_sample.txt")
        assert len(accepted) == 778
        assert Counter(row["reason"][:9] for row in rejected) == {"has an em": 100, "is part 1": 20}
        for row in accepted:
            theirs = pyais.decode(*row["raw"].split(b"\n"))
            assert (row["ais_type"], row["identity"]) == (theirs.msg_type, f"mmsi:{theirs.mmsi:09d}")

    def test_the_coast_guards_lines_are_timed(self, realdata):
        """Rare types, most of them noise that happens to have a right checksum: 6 of 26 say impossible things."""
        accepted, rejected = rows(realdata / "ais" / "aisdb" / "test_data_201201.nmea")
        assert (len(accepted), len(rejected)) == (20, 6)
        assert {row["sensor"] for row in accepted} == {"r003669945", "r003669946"}
        assert {row["at"].year for row in accepted} == {2012}

    def test_the_archives_tables_are_read_by_their_headers(self, realdata):
        aisdb, _ = rows(realdata / "ais" / "aisdb" / "test_data_20210701.csv")
        assert Counter(row["kind"] for row in aisdb) == {"fix": 2362, "status": 136}
        noaa, none = rows(realdata / "ais" / "aisdb" / "test_data_noaa_20230101.csv")
        assert (len(noaa), none, {row["kind"] for row in noaa}) == (1000, [], {"fix"})
        suez, none = rows(realdata / "ais" / "movingpandas" / "boat-positions.csv")
        assert (len(suez), none) == (22_287, [])
        assert len({row["ais_id"] for row in suez}) == 256


def check_against_gpsd(row: Row, wanted: Row) -> None:
    """Fields of one message; gpsd rounds some of its answers, and gives degrees times 600,000 where unscaled."""
    kind = wanted["type"]
    step = 0.06 if kind == 27 else 1e-5  # of type 27 one decimal
    for name in ("lon", "lat"):
        if name in wanted and row["kind"] == "fix":
            degrees = wanted[name] if wanted["scaled"] else wanted[name] / (600 if kind == 27 else 600_000)
            assert row[name] == pytest.approx(degrees, abs=step)
    if kind in (1, 2, 3, 18, 19) and row["speed_mps"] is not None:
        knots = wanted["speed"] if wanted["scaled"] else wanted["speed"] / 10
        assert row["speed_mps"] == pytest.approx(knots * 0.514444, abs=1e-3)
        assert row["ais_second"] == wanted["second"]
        assert row["ais_raim"] == wanted["raim"]
        assert (row["ais_heading_deg"] or 511) in (wanted["heading"], 511)
    if kind == 5:
        assert (row["ais_name"] or "") == wanted["shipname"]
        assert (row["ais_callsign"] or "") == wanted["callsign"]
        assert (row["ais_destination"] or "") == wanted["destination"]
        assert (row["ais_imo"] or 0, row["ais_ship_type"] or 0) == (wanted["imo"], wanted["shiptype"])
        assert row["ais_bow_m"] == wanted["to_bow"]
