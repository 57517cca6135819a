"""Aircraft's own words: Mode S frames and state vectors, against rs1090, pyModeS' answers and real traffic."""

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rs1090
from hypothesis import example, given, settings
from hypothesis import strategies as st

import an_adsb
from an_adsb import squitter
from truceline import feeds
from truceline.errors import MissionError, SourceError
from truceline.feeds import adsb_states
from truceline.kernels import cpr, modes
from truceline.mission import Source
from truceline.store import Journal

RECEIVED_AT = datetime(2031, 3, 16, tzinfo=UTC)
T = 1931257300
AT = datetime(2031, 3, 14, 12, 21, 40, tzinfo=UTC)
KNOT, FOOT = 0.514444, 0.3048

Row = dict[str, Any]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., tuple[list[Row], list[Row]]]:
    def read(*lines: str, name: str = "a.csv", **how: Any) -> tuple[list[Row], list[Row]]:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return rows(path, **how)

    return read


def rows(path: Path, *, chunk_bytes: int = 1 << 20, **source: Any) -> tuple[list[Row], list[Row]]:
    """What a file becomes: accepted and rejected."""
    whole = Source(id="s", feed="adsb", paths=[], **source)
    batches = list(feeds.read(whole, path.parent, str(path), RECEIVED_AT, chunk_bytes=chunk_bytes))
    accepted, rejected = (pa.concat_tables(part).to_pylist() for part in zip(*batches, strict=True))
    return accepted, rejected


def one(found: tuple[list[Row], list[Row]]) -> Row:
    """The only row, which must have been accepted."""
    (row,), rejected = found
    assert rejected == []
    return row


def at(seconds: float, message: str) -> str:
    """A line with a squitter so many seconds after `AT`."""
    return f"{T + seconds},{squitter(message)}"


EVEN, ODD = (an_adsb.position(30.75, 46.45, odd) for odd in (False, True))


class TestFrames:
    def test_an_even_and_an_odd_report_are_a_position(self, read):
        """The first says where in a cell the aircraft is, not in which: it is a status, and the second's evidence."""
        (first, second), _ = read(at(0, EVEN), at(0.5, ODD))
        assert (first["kind"], first["lon"], first["alt_m"]) == ("status", None, pytest.approx(30000 * FOOT, rel=1e-6))
        assert (second["kind"], second["what"], second["identity"]) == ("fix", "aircraft", "icao:4b1814")
        assert (second["lon"], second["lat"]) == pytest.approx((30.75, 46.45), abs=1e-4)
        assert second["adsb_pair_record"] == 1
        assert second["at"] == AT + timedelta(milliseconds=500)
        assert (second["means"], second["adsb_on_ground"], second["adsb_address_checked"]) == (
            "transmitted",
            False,
            True,
        )

    def test_two_reports_too_far_apart_are_none(self, read):
        accepted, _ = read(at(0, EVEN), at(10.5, ODD))
        assert [row["kind"] for row in accepted] == ["status", "status"]

    def test_a_single_report_is_read_beside_the_last_position(self, read):
        later = an_adsb.position(30.80, 46.47, True)
        accepted, _ = read(at(0, EVEN), at(1, ODD), at(60, later), at(200, later))
        assert [row["kind"] for row in accepted] == ["status", "fix", "fix", "status"]
        assert (accepted[2]["lon"], accepted[2]["lat"]) == pytest.approx((30.80, 46.47), abs=1e-4)
        assert accepted[2]["adsb_pair_record"] is None

    def test_a_receivers_place_makes_single_reports_positions(self, read):
        row = one(read(at(0, EVEN), options={"reference": [30.0, 46.0]}))
        assert (row["lon"], row["lat"]) == pytest.approx((30.75, 46.45), abs=1e-4)

    def test_a_position_on_the_ground_needs_a_place_near(self, read):
        taxiing = at(0, an_adsb.surface(30.68, 46.43, False))
        assert one(read(taxiing))["kind"] == "status"
        row = one(read(taxiing, options={"reference": [30.7, 46.5]}))
        assert (row["lon"], row["lat"]) == pytest.approx((30.68, 46.43), abs=2e-5)
        assert (row["adsb_on_ground"], row["course_deg"]) == (True, 90)
        assert row["speed_mps"] == pytest.approx(15 * KNOT, rel=1e-5)

    def test_a_fix_carries_the_last_velocity_of_its_aircraft(self, read):
        moving = an_adsb.velocity(-300, 400, -640)
        accepted, _ = read(at(0, EVEN), at(0.2, moving), at(0.5, ODD), at(9, EVEN), at(12, ODD))
        said = accepted[1]
        assert (said["kind"], said["lon"]) == ("status", None)
        for row in (said, accepted[2], accepted[3]):
            assert row["speed_mps"] == pytest.approx(500 * KNOT, rel=1e-5)
            assert row["course_deg"] == pytest.approx(360 - 36.8699, abs=1e-3)
            assert row["adsb_climb_mps"] == pytest.approx(-640 * FOOT / 60, rel=1e-5)
        assert accepted[4]["speed_mps"] is None  # 11.8 s old

    def test_who_is_faster_than_sound_says_it_in_steps_of_four_knots(self, read):
        row = one(read(at(0, an_adsb.velocity(1200, -1600, step=4))))
        assert row["speed_mps"] == pytest.approx(2000 * KNOT, rel=1e-5)
        assert row["course_deg"] == pytest.approx(180 - 36.8699, abs=1e-3)

    def test_a_velocity_of_another_aircraft_is_not_taken(self, read):
        other = f"{T + 0.2},{squitter(an_adsb.velocity(10, 10), icao=0x4B1815)}"
        accepted, _ = read(at(0, EVEN), other, at(0.5, ODD))
        assert accepted[2]["speed_mps"] is None

    def test_identification_says_callsign_and_kind(self, read):
        row = one(read(at(0, an_adsb.identification("EXER12", 7))))
        assert (row["adsb_callsign"], row["adsb_category"], row["what"]) == ("EXER12", "A7", "aircraft.rotary")

    @pytest.mark.parametrize(("kind", "category", "what"), [
        (4, 1, "aircraft.fixed_wing"), (4, 6, "aircraft.high_performance"), (3, 1, "aircraft.glider"), (3, 6, "uav"),
        (3, 4, "aircraft.light"), (2, 2, "ground.vehicle"), (2, 3, "navigation_aid"), (4, 0, "aircraft"),
    ])  # fmt: skip
    def test_emitter_categories_are_terms(self, read, kind, category, what):
        assert one(read(at(0, an_adsb.identification("EXER", category, kind))))["what"] == what

    @pytest.mark.parametrize(("nacp", "bound_m"), [(11, 3), (9, 30), (8, 92.6), (1, 18520)])
    def test_the_ellipse_is_by_the_accuracy_the_aircraft_states(self, read, nacp, bound_m):
        accepted, _ = read(at(-1, an_adsb.status(nacp)), at(0, EVEN), at(0.5, ODD))
        assert accepted[2]["major_m"] == pytest.approx(np.hypot(bound_m / 2.4477, 5.1 / 12**0.5), rel=1e-4)
        assert accepted[2]["adsb_nacp"] == accepted[0]["adsb_nacp"] == nacp

    @pytest.mark.parametrize(("kind", "bound_m"), [(9, 3), (11, 93), (15, 1852)])
    def test_until_then_by_the_type_of_its_positions(self, read, kind, bound_m):
        pair = (an_adsb.position(30.75, 46.45, odd, kind=kind) for odd in (False, True))
        accepted, _ = read(*(at(n, message) for n, message in enumerate(pair)))
        assert accepted[1]["major_m"] == pytest.approx(np.hypot(bound_m / 2.4477, 5.1 / 12**0.5), rel=1e-4)

    @pytest.mark.parametrize("line", [
        "{t},{f}", "{f},{t}.0", '{t},"{f}","4B1814",19', "{t}000 *{f};", "{t}000000000;{f}", "{t},4B1814,{f}",
    ])  # fmt: skip
    def test_a_frame_is_found_among_any_columns(self, read, line):
        frame = squitter(EVEN)
        row = one(read(line.format(t=T, f=frame), options={"reference": [30, 46]}))
        assert row["kind"] == "fix"
        # A time stands before or behind the frame.
        assert row["at"] == AT

    def test_frames_without_a_time_are_kept_without_one(self, read):
        accepted, _ = read(f"*{squitter(EVEN)};", f"*{squitter(ODD)};", f"*{squitter(ODD)};")
        assert [(row["kind"], row["at"]) for row in accepted] == [("status", None)] * 3
        assert [row["adsb_occurrence"] for row in accepted] == [1, 1, 2]

    def test_a_receivers_counter_pairs_positions_and_counts_from_the_start(self, read):
        lines = [f"@{ticks:012X}{squitter(message)};" for ticks, message in ((12_000_000, EVEN), (18_000_000, ODD))]
        accepted, _ = read(*lines)
        assert [(row["kind"], row["at"]) for row in accepted] == [("status", None), ("fix", None)]
        accepted, _ = read(*lines, options={"start": "2031-03-14T12:21:40Z"})
        assert [row["at"] for row in accepted] == [AT, AT + timedelta(seconds=0.5)]
        assert accepted[1]["adsb_occurrence"] is None  # the counter tells repeats apart

    def test_answers_say_altitude_and_squawk(self, read):
        height, code = an_adsb.answer(4, an_adsb.height(30000)), an_adsb.answer(5, an_adsb.identity("7012"))
        (high, coded), _ = read(f"{T},{height}", f"{T},{code}")
        assert (high["identity"], high["adsb_address_checked"]) == ("icao:4b1814", False)
        assert high["alt_m"] == pytest.approx(30000 * FOOT, rel=1e-6)
        assert coded["adsb_squawk"] == "7012"

    def test_a_target_that_ground_radar_tells_of_has_no_address_of_icao(self, read):
        row = one(read(f"{T},{squitter(EVEN, form=18, control=1)}"))
        assert (row["identity"], row["adsb_format"]) == (None, 18)

    def test_silence_is_kept_from_batch_to_batch(self, tmp_path):
        """State across the border of two pieces: the pair, the velocity, the accuracy."""
        path = tmp_path / "a.csv"
        lines = [at(-1, an_adsb.status(9)), at(0, EVEN), at(0.2, an_adsb.velocity(300, 0)), at(0.5, ODD)]
        path.write_text("\n".join(lines))
        assert rows(path, chunk_bytes=10) == rows(path)
        assert rows(path, chunk_bytes=10)[0][3]["speed_mps"] is not None

    @settings(deadline=None, max_examples=25)
    @given(data=st.data(), chunk_bytes=st.integers(1, 300))
    def test_what_is_read_does_not_depend_on_the_pieces(self, data, chunk_bytes, tmp_path_factory):
        messages = [EVEN, ODD, an_adsb.velocity(300, 100), an_adsb.status(8), an_adsb.identification("EXER")]
        drawn = data.draw(
            st.lists(st.tuples(st.sampled_from(messages), st.integers(0, 90), st.integers(0, 2)), max_size=25)
        )
        lines = [f"{T + second / 4},{squitter(message, icao=0x4B1814 + who)}" for message, second, who in drawn]
        path = tmp_path_factory.mktemp("frames") / "a.csv"
        path.write_text("\n".join([at(0, EVEN), "rubbish", *lines]))
        assert rows(path, chunk_bytes=chunk_bytes) == rows(path)


class TestBeast:
    """The binary form of receivers: a counter, no time."""

    def write(self, folder: Path, content: bytes) -> Path:
        path = folder / "a.bin"
        path.write_bytes(content)
        return path

    def test_frames_are_read_with_their_counter(self, tmp_path):
        content = an_adsb.beast(squitter(EVEN), 0x1A1A00) + an_adsb.beast(squitter(ODD), 0x1A1A00 + 6_000_000)
        accepted, rejected = rows(self.write(tmp_path, content), options={"start": "2031-03-14T12:21:40Z"})
        assert rejected == []
        assert [row["kind"] for row in accepted] == ["status", "fix"]
        assert accepted[1]["at"] == AT + timedelta(seconds=0.5)
        assert accepted[0]["raw"].count(b"\x1a\x1a") == 2

    def test_what_is_no_frame_is_rejected_with_its_bytes(self, tmp_path):
        whole = an_adsb.beast(squitter(EVEN))
        content = an_adsb.beast("1234") + b"stray" + whole[:12] + whole + whole[:-2]
        accepted, rejected = rows(self.write(tmp_path, content))
        assert [row["raw"] for row in accepted] == [whole]
        assert [row["reason"] for row in rejected] == [
            "is an answer of Mode A or C, which says no address",
            "holds bytes between frames",
            "is a frame that breaks off",
            "is a frame that breaks off",
        ]

    @settings(deadline=None, max_examples=40)
    @given(data=st.data(), chunk_bytes=st.integers(1, 60))
    def test_every_byte_is_in_one_record_however_it_is_read(self, data, chunk_bytes, tmp_path_factory):
        pool = [an_adsb.beast(squitter(EVEN), 0x1A), an_adsb.beast(squitter(ODD)), b"\x1a", b"\x1a\x1a", b"\x1a3", b"x"]
        content = an_adsb.beast(squitter(EVEN)) + b"".join(data.draw(st.lists(st.sampled_from(pool), max_size=12)))
        path = self.write(tmp_path_factory.mktemp("beast"), content)
        accepted, rejected = rows(path)
        every = sorted(accepted + rejected, key=lambda row: row["record"])
        assert b"".join(row["raw"] for row in every) == content
        assert rows(path, chunk_bytes=chunk_bytes) == (accepted, rejected)


UNIT = st.floats(-1, 1)


class TestKernels:
    @settings(deadline=None, max_examples=200)
    @given(st.floats(-179.9, 179.9), st.floats(-86.5, 86.5), st.floats(-0.02, 0.02), st.booleans())
    def test_what_is_encoded_is_decoded(self, lon, lat, drift, odd_last):
        """Anywhere but at the poles, of a pair that moves a little, or across a zone's border: then nothing."""
        first = an_adsb.cpr(lon, lat, not odd_last)
        last = an_adsb.cpr(lon + drift, lat + drift / 2, odd_last)
        even, odd = (first, last) if odd_last else (last, first)
        x, y = cpr.together(*(v / 2**17 for v in (*even, *odd)), odd_last)
        if np.isnan(x):
            assert an_adsb.zones(lat) != an_adsb.zones(lat + drift / 2) or abs(lat % 360 - 87) < 1
            return
        assert abs((x - lon - drift + 180) % 360 - 180) * np.cos(np.radians(lat)) < 1e-4
        assert y == pytest.approx(lat + drift / 2, abs=1e-4)

    @settings(deadline=None, max_examples=200)
    @example(90.0, 11.0, 0.0, 0.0, True, True)  # on the border of a cell
    @given(
        st.floats(-179.9, 179.9), st.floats(-86, 86), st.floats(-1, 1), st.floats(-1, 1), st.booleans(), st.booleans()
    )
    def test_one_report_is_read_beside_a_place(self, lon, lat, east, north, odd, ground):
        size = 0.2 if ground else 1.0  # degrees; a quarter of a cell and less
        y, x = an_adsb.cpr(lon, lat, odd, ground)
        found = cpr.beside(y / 2**17, x / 2**17, odd, lon + size * east, lat + size * north, 90.0 if ground else 360.0)
        assert abs((found[0] - lon + 180) % 360 - 180) * np.cos(np.radians(lat)) < 1e-4
        assert found[1] == pytest.approx(lat, abs=1e-4)

    def test_zones_are_those_of_the_definition(self):
        for lat in np.linspace(-90, 90, 7201):
            assert cpr.zones(lat) == an_adsb.zones(float(lat)), lat

    @settings(deadline=None, max_examples=100)
    @given(st.integers(0, 2**56 - 1), st.integers(0, 111))
    def test_a_bit_that_is_wrong_is_found(self, message, flipped):
        whole = bytes.fromhex(squitter(f"{message:056b}"))
        assert modes.parity(np.frombuffer(whole, np.uint8), 14) == 0
        wrong = int.from_bytes(whole) ^ 1 << flipped
        assert modes.parity(np.frombuffer(wrong.to_bytes(14), np.uint8), 14) != 0

    @pytest.mark.parametrize(("form", "field"), [(4, "altitude"), (5, "squawk")])
    def test_every_code_of_altitude_and_identity_is_what_rs1090_reads(self, form, field):
        """All 8,192, Gillham's among them; a code that is none is none for both."""
        answers = [an_adsb.answer(form, code) for code in range(8192)]
        for code, theirs in enumerate(rs1090.decode(answers)):
            wanted = theirs[field]
            if field == "squawk":
                assert f"{modes.squawk(code):04d}" == wanted
            elif code & 0x40 == 0:  # metric codes are rare, and read by neither
                feet = modes.feet(code)
                if wanted is None and feet < 0:
                    continue  # below the sea: 12 of Gillham's codes, which rs1090 leaves out
                assert (None if np.isnan(feet) else feet) == wanted, code

    @settings(deadline=None, max_examples=150)
    @given(st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 11, 18, 19]), st.integers(0, 2**51 - 1))
    def test_every_field_of_a_squitter_is_what_rs1090_reads(self, kind, rest):
        frame = squitter(f"{kind:05b}{rest:051b}")
        (theirs,) = rs1090.decode([frame])
        if theirs is None or (kind == 19 and not 1 <= rest >> 48 <= 4):
            return  # reserved values
        one_frame = np.frombuffer(bytes.fromhex(frame), np.uint8).reshape(1, 14)
        wholes, numbers, _ = modes.fields(one_frame, np.array([14]))
        # On the ground rs1090 rounds the speed otherwise; of a velocity 0 means none, which rs1090 takes for -1 knot;
        # and who stands still goes nowhere, not north.
        unsaid = kind <= 8 or not (rest >> 32 & 1023 and rest >> 21 & 1023) or numbers[0, modes.SPEED] == 0
        unsaid |= kind == 19 and rest >> 48 == 2  # faster than sound, in steps of four knots: rs1090 counts single ones
        assert f"{wholes[0, modes.ADDRESS]:06x}" == theirs["icao24"]
        for ours, name in ((modes.ALTITUDE, "altitude"), (modes.SPEED, "groundspeed"), (modes.COURSE, "track"),
                           (modes.CLIMB, "vertical_rate"), (modes.ABOVE_BARO, "geo_minus_baro")):  # fmt: skip
            if theirs.get(name) is not None and not (unsaid and name in ("groundspeed", "track")):
                assert numbers[0, ours] == pytest.approx(theirs[name], abs=1e-6), name
        if "lat_cpr" in theirs:
            assert wholes[0, modes.LAT_CPR] == theirs["lat_cpr"]
            assert wholes[0, modes.LON_CPR] == theirs["lon_cpr"]
            assert wholes[0, modes.ODD] == (theirs["parity"] == "odd")


class TestStates:
    def test_a_row_of_traffic_is_in_knots_and_feet(self, read):
        header = "timestamp,icao24,latitude,longitude,altitude,groundspeed,track,vertical_rate,geoaltitude,onground"
        row = one(read(header, f"{T}000,4B1814,46.45,30.75,30000,300,-90,640,30500,False"))
        assert (row["kind"], row["identity"], row["at"]) == ("fix", "icao:4b1814", AT)
        assert (row["alt_m"], row["adsb_geo_alt_m"]) == pytest.approx((30000 * FOOT, 30500 * FOOT), rel=1e-6)
        assert (row["speed_mps"], row["course_deg"]) == pytest.approx((300 * KNOT, 270), rel=1e-6)
        assert row["adsb_climb_mps"] == pytest.approx(640 * FOOT / 60, rel=1e-6)
        assert row["adsb_on_ground"] is False

    def test_a_row_of_opensky_is_metric(self, read):
        header = "time,icao24,lat,lon,velocity,heading,vertrate,callsign,onground,squawk,baroaltitude,geoaltitude"
        row = one(read(header, f"{T},4b1814,46.45,30.75,154.3,90,3.3,EXER1   ,false,1000,9144,9296"))
        assert (row["speed_mps"], row["alt_m"], row["adsb_geo_alt_m"]) == pytest.approx((154.3, 9144, 9296), rel=1e-6)
        assert (row["adsb_callsign"], row["adsb_squawk"]) == ("EXER1", "1000")

    def test_a_states_array_is_read_by_position(self, read):
        state = ["4b1814", "EXER1   ", "X", T - 7, T, 30.75, 46.45, 9144.0, False, 154.3, 90.0, -3.2, None, 9296.0]
        state += ["1000", False, 0, 8]
        row = one(read(json.dumps({"time": T, "states": [state]}), name="s.json"))
        assert (row["kind"], row["at"]) == ("fix", AT - timedelta(seconds=7))  # when the position was measured
        assert (row["adsb_category"], row["what"]) == ("A7", "aircraft.rotary")
        assert (row["alt_m"], row["speed_mps"], row["adsb_climb_mps"]) == pytest.approx((9144, 154.3, -3.2), rel=1e-6)

    def test_a_snapshot_of_a_receiver_counts_back_from_its_time(self, read):
        """readsb: knots and feet, `alt_baro` may be "ground", `~` is not ICAO's; its records have no time."""
        aircraft = [
            {"hex": "4b1814", "lat": 46.45, "lon": 30.75, "alt_baro": 30000, "gs": 300, "seen_pos": 2.5, "seen": 0.1,
             "nac_p": 9, "category": "A3", "flight": "EXER1   "},
            {"hex": "~4b1815", "flight": "EXER2", "seen": 1.5, "alt_baro": "ground"},
        ]  # fmt: skip
        text = json.dumps({"now": T + 0.5, "messages": 7, "aircraft": aircraft})
        (flying, taxiing), _ = read(text, name="aircraft.json")
        assert flying["at"] == AT - timedelta(seconds=2)
        assert flying["major_m"] == pytest.approx(np.hypot(30 / 2.4477, 5.1 / 12**0.5), rel=1e-4)
        assert (flying["what"], flying["adsb_callsign"]) == ("aircraft.fixed_wing", "EXER1")
        assert (taxiing["kind"], taxiing["at"], taxiing["identity"]) == (
            "status",
            AT - timedelta(seconds=1),
            "callsign:EXER2",
        )
        assert (taxiing["adsb_on_ground"], taxiing["alt_m"]) == (True, None)

    def test_the_same_record_in_two_snapshots_is_two_and_in_one_read_twice_one(self, read):
        def snapshot(now: int) -> bytes:
            text = json.dumps({"now": now, "aircraft": [{"hex": "4b1814", "lat": 46.4, "lon": 30.7, "seen_pos": 1}]})
            return one(read(text, name="aircraft.json"))["leaf"]

        assert snapshot(T) == snapshot(T)
        assert snapshot(T) != snapshot(T + 1)

    def test_a_position_that_a_network_repeats_is_one_fix_at_its_time(self, read):
        header = "timestamp,icao24,latitude,longitude,last_position"
        accepted, _ = read(header, *(f"{T + n}000,4b1814,46.45,30.75,{T}250" for n in range(3)))
        assert {row["at"] for row in accepted} == {AT + timedelta(milliseconds=250)}
        assert [row["kind"] for row in accepted] == ["fix", "status", "status"]
        assert [row["adsb_repeated"] for row in accepted] == [False, True, True]

    @settings(deadline=None, max_examples=25)
    @given(data=st.data())
    def test_a_vector_that_is_sent_again_is_a_duplicate_whichever_poll_it_came_in(self, data, tmp_path_factory):
        """An address that is polled sends what it has, new or not. A vector is its own bytes, without the envelope's
        time: the same aircraft with the same last contact has the same id in every poll, in any order of the polls."""
        few = st.integers(0, 3)
        heard = data.draw(st.lists(st.tuples(few, few), min_size=1, max_size=8, unique=True))
        polls = data.draw(st.lists(st.lists(st.sampled_from(heard), max_size=6), min_size=2, max_size=4))
        folder = tmp_path_factory.mktemp("polls")
        whole = Source(id="s", feed="adsb", paths=[])
        first: set[tuple[int, int]] = set()
        with Journal(folder / "journal") as journal:
            for number, sent in enumerate(polls):
                states = [
                    [f"4b181{who}", "EXER1   ", "X", T + s, T + s, 30.75 + s / 100, 46.45, 9144.0, False, 154.3, 90.0,
                     0.0, None, 9296.0, "1000", False, 0, 8]
                    for who, s in sent
                ]  # fmt: skip
                path = folder / f"{number}.json"
                path.write_text(json.dumps({"time": T + 10 * number, "states": states}))
                counts = [
                    journal.ingest(batch.observations, batch.rejections)
                    for batch in feeds.read(whole, folder, str(path), RECEIVED_AT + timedelta(seconds=number))
                ]
                new = set(sent) - first
                assert sum(one.accepted for one in counts) == len(new)
                assert sum(one.duplicates for one in counts) == len(sent) - len(new)
                first |= new
            if first:
                kept = journal.table("observation").to_pylist()
                assert {(int(row["identity"][-1]), int(row["at"].timestamp()) - T) for row in kept} == first
                assert all(json.loads(row["raw"])[0] == row["identity"].removeprefix("icao:") for row in kept)

    def test_who_moves_is_not_where_he_was(self, read):
        """Without the time of the position: the same digits again, at 300 knots. Who stands may say them again."""
        header = "timestamp,icao24,latitude,longitude,groundspeed"
        lines = [
            f"{T + n}000,{who},46.45,30.75,{knots}" for n in range(3) for who, knots in (("4b1814", 300), ("4b1815", 0))
        ]
        accepted, _ = read(header, *lines)
        assert [row["kind"] for row in accepted] == ["fix", "fix", "status", "fix", "status", "fix"]
        assert read(header, *lines, chunk_bytes=20)[0] == accepted

    @settings(deadline=None, max_examples=30)
    @given(data=st.data(), chunk_bytes=st.integers(1, 200))
    def test_repeats_are_those_that_a_plain_reading_finds(self, data, chunk_bytes, tmp_path_factory):
        few = st.integers(0, 2)
        drawn = data.draw(st.lists(st.tuples(few, few, few, st.sampled_from([0, 9, 11])), max_size=30))
        lines = [f"{T + second},4b181{who},46.4{place},30.75,{knots}" for who, place, second, knots in drawn]
        path = tmp_path_factory.mktemp("repeats") / "s.csv"
        path.write_text("\n".join(["timestamp,icao24,latitude,longitude,groundspeed", *lines]) + "\n")
        last: dict[int, tuple[int, int]] = {}
        wanted = []
        for who, place, second, knots in drawn:
            here, at_s = last.get(who, (None, None))
            wanted.append(here == place and (at_s == second or knots * KNOT > 5))
            last[who] = place, second
        if drawn:
            assert [row["adsb_repeated"] for row in rows(path, chunk_bytes=chunk_bytes)[0]] == wanted

    def test_a_parquet_file_is_a_table_too(self, tmp_path):
        path = tmp_path / "s.parquet"
        pq.write_table(pa.table({"timestamp": pa.array([AT], pa.timestamp("ms", tz="UTC")), "icao24": ["4b1814"],
                                 "latitude": [46.45], "longitude": [30.75], "groundspeed": [300.0]}), path)  # fmt: skip
        row = one(rows(path))
        assert (row["kind"], row["at"]) == ("fix", AT)
        assert row["speed_mps"] == pytest.approx(300 * KNOT, rel=1e-6)

    def test_swapped_columns_are_told_where_the_source_has_bounds(self, read):
        header = "timestamp,icao24,latitude,longitude"
        _, (row,) = read(header, f"{T},4b1814,30.75,46.45", options={"bounds": [22, 44, 41, 53]})
        assert "longitude and latitude look swapped" in row["reason"]

    @pytest.mark.parametrize(("text", "told"), [
        ('{"timestamp": {"0": 1}, "icao24": {"0": "4b1814"}}', 'no member "aircraft" or "states"'),
        ('{"aircraft": []}', 'no time "now" before it'),
        ("a,b\n1,2", "no Mode S frame, and no column icao24, longitude, latitude, timestamp"),
    ])  # fmt: skip
    def test_a_file_that_is_neither_is_refused(self, read, text, told):
        with pytest.raises(SourceError, match=told):
            read(text)

    @pytest.mark.parametrize("value", ["1e300", "-1e300", "1e19", "inf", "-5"])
    def test_no_number_is_too_large_to_be_told(self, read, value):
        """In any column: the record is rejected, or the number is read as one that says nothing."""
        names = [next(iter(names)) for names in adsb_states.NAMES.values()]
        plain = {"timestamp": f"{T}", "icao24": "4b1814", "longitude": "30", "latitude": "46"}
        blank = dict.fromkeys(names, "")
        lines = [",".join({**blank, **plain, changed: value}.values()) for changed in names]
        accepted, rejected = read(",".join(names), *lines)
        assert len(accepted) + len(rejected) == len(names)


class TestMistakes:
    @pytest.mark.parametrize(("options", "told"), [
        ({"reference": [30.7]}, r"options.reference: \[30.7\] is not \[longitude, latitude\] in degrees"),
        ({"reference": [30.7, 96]}, "is not .longitude, latitude. in degrees"),
        ({"start": 5}, "options.start: 5 is not a time with its zone"),
        ({"refrence": [30, 46]}, "did you mean 'reference'"),
    ])  # fmt: skip
    def test_the_mission_files_words_are_checked(self, options, told):
        with pytest.raises(MissionError, match=told):
            feeds.check(Source(id="s", feed="adsb", paths=[], options=options))

    def test_columns_and_presets_belong_to_tables(self):
        with pytest.raises(MissionError, match="columns: belongs to the feed 'table'"):
            feeds.check(Source(id="s", feed="adsb", paths=[], columns={"at": "t"}))

    def test_a_line_with_two_frames_is_not_guessed_at(self, read):
        _, (row,) = read(at(0, EVEN), f"{T},{squitter(EVEN)},{squitter(ODD)}")
        assert row["reason"] == "holds two Mode S frames"

    def test_a_damaged_frame_is_rejected_and_changes_nothing(self, read):
        """Its parity does not fit: neither its position nor what follows may depend on it."""
        wrong = at(0.2, ODD)[:-1] + ("0" if at(0.2, ODD)[-1] != "0" else "1")
        accepted, (row,) = read(at(0, EVEN), wrong, at(0.5, EVEN))
        assert row["reason"].startswith("has a wrong parity")
        assert [row["kind"] for row in accepted] == ["status", "status"]


@pytest.mark.realdata
class TestRealTraffic:
    """Against the answers of rs1090 and of pyModeS, written by others."""

    def test_every_squitter_says_what_rs1090_reads(self, realdata):
        """2,000 frames of one aircraft; rs1090 places 772 of the 937 position reports, we the same and 161 more."""
        path = realdata / "adsb" / "sample_data_adsb.csv"
        lines = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
        theirs = rs1090.decode([line[1] for line in lines], [float(line[0]) for line in lines])
        accepted, rejected = rows(path)
        assert (len(accepted), rejected) == (2000, [])
        placed = Counter()
        for row, wanted in zip(accepted, theirs, strict=True):
            assert row["identity"] == f"icao:{wanted['icao24']}"
            if wanted["bds"] == "05":
                assert row["alt_m"] == pytest.approx(wanted["altitude"] * FOOT, rel=1e-6)
                placed[row["kind"], "latitude" in wanted] += 1
                if "latitude" in wanted:
                    place = (wanted["longitude"], wanted["latitude"])
                    assert (row["lon"], row["lat"]) == pytest.approx(place, abs=1e-4)
            elif wanted["bds"] == "09":
                assert row["speed_mps"] == pytest.approx(wanted["groundspeed"] * KNOT, rel=1e-5)
                assert row["course_deg"] == pytest.approx(wanted["track"], abs=1e-3)
                assert row["adsb_climb_mps"] == pytest.approx(wanted["vertical_rate"] * FOOT / 60, abs=1e-4)
        assert placed["status", True] == 0
        assert placed["fix", True] == 772
        assert placed["fix", False] == 161

    @pytest.mark.parametrize(("form", "field"), [(20, "altitude"), (21, "squawk")])
    def test_every_comm_b_answer_says_what_rs1090_reads(self, realdata, form, field):
        path = realdata / "adsb" / f"sample_data_commb_df{form}.csv"
        lines = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
        accepted, rejected = rows(path)
        assert (len(accepted), rejected) == (5000, [])
        addresses = Counter(
            row["identity"] == f"icao:{line[1].lower()}" for row, line in zip(accepted, lines, strict=True)
        )
        assert addresses[False] <= 3  # the file's own column differs there
        for row, wanted in zip(accepted, rs1090.decode([line[2] for line in lines]), strict=True):
            ours = row["adsb_squawk"] if form == 21 else row["alt_m"] and round(row["alt_m"] / FOOT)
            assert ours == wanted[field]

    def test_decoded_answers_of_pymodes_are_ours(self, realdata, tmp_path):
        """600 frames. Comm-B is a judgement: where we say a value it is theirs, and we say nine of ten."""
        told = json.loads((realdata / "adsb" / "golden_v2.json").read_text())
        path = tmp_path / "golden.csv"
        path.write_text("".join(f"1457996400,{frame}\n" for frame in told))
        accepted, _ = rows(path)
        names = {
            "altitude": ("alt_m", FOOT), "groundspeed": ("speed_mps", KNOT), "mach": ("adsb_mach", 1),
            "indicated_airspeed": ("adsb_ias_mps", KNOT), "magnetic_heading": ("adsb_heading_deg", 1),
            "roll": ("adsb_roll_deg", 1), "true_airspeed": ("adsb_tas_mps", KNOT),
            "selected_altitude_mcp": ("adsb_selected_alt_m", FOOT),
        }  # fmt: skip
        said, silent = Counter(), Counter()
        for row, wanted in zip(accepted, told.values(), strict=True):
            assert row["identity"] == f"icao:{wanted['icao'].lower()}"
            assert row["adsb_squawk"] == wanted.get("squawk", row["adsb_squawk"])
            for name in names.keys() & wanted.keys():
                column, factor = names[name]
                if row[column] is None:
                    silent[name] += 1
                    continue
                said[name] += 1
                # pyModeS cuts speeds to whole knots, and selected altitudes are in steps of 16 feet
                slack = {"groundspeed": 1, "selected_altitude_mcp": 9}.get(name, 0.06)
                assert row[column] / factor == pytest.approx(wanted[name], abs=slack), name
        assert silent["altitude"] == 0
        assert silent.total() < 0.1 * said.total()

    def test_a_receivers_own_file_is_read_whole(self, realdata):
        """239 frames of four aircraft, the squitters among them as rs1090 reads them."""
        accepted, rejected = rows(realdata / "adsb" / "traffic" / "dump1090" / "sample_dump1090.bin")
        assert (len(accepted), rejected) == (239, [])
        assert len({row["identity"] for row in accepted}) == 4
        bare = [row["raw"].replace(b"\x1a\x1a", b"\x1a")[9:].hex() for row in accepted]
        for row, wanted in zip(accepted, rs1090.decode(bare), strict=True):
            assert row["identity"] == f"icao:{wanted['icao24']}"
            if wanted.get("altitude") is not None:
                assert row["alt_m"] == pytest.approx(wanted["altitude"] * FOOT, rel=1e-6)

    def test_two_hours_of_213_aircraft_are_fixes_but_for_the_positions_that_are_repeated(self, realdata):
        """One row of nine tells the last position again although the aircraft moves: the network had no newer one."""
        path = realdata / "adsb" / "traffic" / "collections" / "quickstart.json.gz"
        batches = feeds.read(Source(id="s", feed="adsb", paths=[]), path.parent, str(path), RECEIVED_AT)
        table = pa.concat_tables([batch.observations.select(["kind", "identity", "at", "lon"]) for batch in batches])
        assert table.num_rows == 284_505
        assert Counter(table["kind"].to_pylist()) == {"fix": 252_940, "status": 31_565}
        assert len(set(table["identity"].to_pylist())) == 213
        assert table["at"].null_count == table["lon"].null_count == 0

    def test_labelled_flights_are_read_or_refused_with_a_word(self, realdata):
        """A file written column by column is refused."""
        refused = []
        for path in sorted((realdata / "adsb" / "traffic").glob("*/*.json.gz")):
            if path.stat().st_size > 30_000 and path.name != "fuelflow_a320.json.gz":
                continue  # 284,505 rows of them are read above
            try:
                accepted, rejected = rows(path)
            except SourceError:
                refused.append(path.name)
                continue
            told = json.loads(gzip.decompress(path.read_bytes()))
            assert (len(accepted), rejected) == (len(told), [])
            places = sum(row.get("latitude") is not None for row in told)
            assert sum(row["lon"] is not None for row in accepted) == places
            assert sum(row["kind"] == "fix" or bool(row["adsb_repeated"]) for row in accepted) == places
        assert refused == ["fuelflow_a320.json.gz"]
