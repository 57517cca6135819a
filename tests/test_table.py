"""Tables of events by a column map: what times, places and words become, and what a mission file cannot mean."""

import csv
import io
import json
import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline import feeds
from truceline.errors import MissionError, SourceError
from truceline.feeds import clock, presets
from truceline.feeds.columns import SPANS
from truceline.mission import Source, files

RECEIVED_AT = datetime(2031, 3, 16, tzinfo=UTC)
KYIV = ZoneInfo("Europe/Kyiv")
WHAT = {"value": "explosion"}


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.fixture
def read(tmp_path: Path):
    """Records given as tables of cells, read by a source; accepted and rejected rows."""

    def read(*cells: dict[str, str], **source: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(cells[0]))
        writer.writeheader()
        writer.writerows(cells)
        path = tmp_path / "table.csv"
        path.write_text(text.getvalue(), newline="")
        given = Source(id="s", feed="table", paths=[], **source)
        batches = list(feeds.read(given, tmp_path, str(path), RECEIVED_AT))
        tables = [pa.concat_tables(part).to_pylist() for part in zip(*batches, strict=True)]
        return tables[0], tables[1]

    return read


def one(found: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> dict[str, Any]:
    """The only row, which must have been accepted."""
    (row,), rejected = found[0], found[1]
    assert rejected == []
    return row


class TestTimes:
    """A text becomes a moment with its error, or the interval that holds the event."""

    @pytest.mark.parametrize(
        ("written", "at"),
        [
            ("2031-03-14 09:10", utc(2031, 3, 14, 7, 10)),
            ("2031-03-14T09:10:30", utc(2031, 3, 14, 7, 10, 30)),
            ("20310314 09:10", utc(2031, 3, 14, 7, 10)),
            ("2031-03-14T09:10Z", utc(2031, 3, 14, 9, 10)),
            ("2031-03-14 09:10:30.25+03:00", utc(2031, 3, 14, 6, 10, 30, 250_000)),
            ("2031-07-14 09:10", utc(2031, 7, 14, 6, 10)),
        ],
    )
    def test_a_time_without_a_zone_is_local(self, read, written, at):
        columns = {"at": "t", "what": WHAT}
        row = one(read({"t": written}, columns=columns, options={"zone": "Europe/Kyiv"}))
        assert (row["at"], row["until"], row["at_sigma_s"]) == (at, None, clock.MINUTE_SIGMA_S)

    def test_a_date_is_the_local_day(self, read):
        row = one(read({"t": "2031-03-14"}, columns={"at": {"column": "t", "zone": "Europe/Kyiv"}, "what": WHAT}))
        assert (row["at"], row["until"]) == (utc(2031, 3, 13, 22), utc(2031, 3, 14, 22))

    def test_the_day_the_clocks_change_has_23_or_25_hours(self, read):
        columns = {"at": {"column": "t", "zone": "Europe/Kyiv"}, "what": WHAT}
        spring, autumn = read({"t": "2031-03-30"}, {"t": "2031-10-26"}, columns=columns)[0]
        assert spring["until"] - spring["at"] == timedelta(hours=23)
        assert autumn["until"] - autumn["at"] == timedelta(hours=25)

    def test_a_time_that_the_clocks_show_twice_has_an_hours_error(self, read):
        columns = {"at": {"column": "t", "zone": "Europe/Kyiv"}, "what": WHAT}
        row = one(read({"t": "2031-10-26 03:30"}, columns=columns))
        assert (row["at"], row["at_sigma_s"]) == (utc(2031, 10, 26, 0, 30), 3600.0)

    @pytest.mark.parametrize(
        ("code", "first", "behind"),
        [("1", "2031-02-14", "2031-02-15"), ("2", "2031-02-11", "2031-02-18"), ("3", "2031-02-01", "2031-03-01")],
    )
    def test_a_stated_precision_widens_the_day(self, read, code, first, behind):
        columns = {
            "at": "t",
            "when": {"column": "p", "map": {"1": "day", "2": "week", "3": "month"}},
            "what": WHAT,
        }
        row = one(read({"t": "2031-02-14", "p": code}, columns=columns))
        assert f"{row['at']:%Y-%m-%d} {row['until']:%Y-%m-%d}" == f"{first} {behind}"
        assert row["table_when"] == code

    def test_an_end_is_that_of_its_day_and_not_before_the_begin(self, read):
        columns = {"at": "a", "until": "b", "what": WHAT}
        cells = [{"a": "2031-03-14", "b": "2031-03-16"}, {"a": "2031-03-14", "b": "2031-03-13"}]
        (row,), (bad,) = read(*cells, columns=columns)
        assert (row["at"], row["until"]) == (utc(2031, 3, 14), utc(2031, 3, 17))
        assert bad["reason"] == "b = 2031-03-13 is before a"

    def test_a_moment_that_is_a_reports_becomes_the_hours_before_it(self, read):
        columns = {"at": "t", "what": WHAT}
        moment, day = read(
            {"t": "2031-03-14 09:00"}, {"t": "2031-03-14"}, columns=columns, options={"reported_within_h": 6}
        )[0]
        assert (moment["at"], moment["until"]) == (utc(2031, 3, 14, 3), utc(2031, 3, 14, 9))
        assert (day["at"], day["until"], day["at_sigma_s"]) == (utc(2031, 3, 14), utc(2031, 3, 15), 3 * 3600)

    @pytest.mark.parametrize(
        ("format", "written", "at"),
        [
            ("%d.%m.%Y %H:%M", "14.03.2031 09:10", utc(2031, 3, 14, 9, 10)),
            ("unix_s", "1931253000", utc(2031, 3, 14, 11, 10)),
            ("unix_ms", "1931253000000", utc(2031, 3, 14, 11, 10)),
            (["iso", "%d %B %Y"], "14 March 2031", utc(2031, 3, 14)),
        ],
    )
    def test_other_forms_are_said_in_the_mission_file(self, read, format, written, at):
        row = one(read({"t": written}, columns={"at": {"column": "t", "format": format}, "what": WHAT}))
        assert row["at"] == at

    @pytest.mark.parametrize(
        "written",
        ["2031-02-29", "2031-3-14", "14.03.2031", "2031-03-14 24:00", "2031-03-14 09:60", "0031-03-14", "soon", "1e9"],
    )
    def test_an_impossible_time_rejects_its_record(self, read, written):
        accepted, (row,) = read({"t": written}, columns={"at": "t", "what": WHAT})
        assert accepted == []
        assert (row["field"], row["value"]) == ("t", written)

    def test_records_without_a_time_are_taken_where_the_map_says_so(self, read):
        columns = {"at": {"column": "t", "optional": True}, "what": WHAT}
        assert one(read({"t": ""}, columns=columns))["at"] is None

    def test_untimed_repeats_stay_apart_and_the_same_file_again_adds_nothing(self, read):
        """Their hash takes in the how-manieth they are, which is kept beside them."""
        cells = [{"n": "1"}, {"n": "1"}, {"n": "2"}, {"n": "1"}]
        first, again = (read(*cells, columns={"what": WHAT})[0] for _ in range(2))
        leaves = [row["leaf"] for row in first]
        assert len(set(leaves)) == 4
        assert leaves == [row["leaf"] for row in again]
        assert [row["table_occurrence"] for row in first] == [1, 2, 1, 3]

    @settings(deadline=None)
    @given(
        day=st.dates(date(1990, 1, 1), date(2090, 1, 1)),
        span=st.sampled_from(SPANS),
        zone=st.sampled_from(["Europe/Kyiv", "UTC", "Asia/Kathmandu", "America/St_Johns"]),
    )
    def test_every_interval_holds_its_date_and_ends_at_local_midnight(self, day, span, zone):
        found = clock.Clock(ZoneInfo(zone)).read(day.isoformat(), span)
        assert isinstance(found, clock.When)
        begin = datetime.fromtimestamp(found.at_us / 1e6, ZoneInfo(zone))
        assert begin.date() <= day
        if span not in ("instant", "hour"):
            end = datetime.fromtimestamp(found.until_us / 1e6, ZoneInfo(zone))
            assert end.date() > day
            assert (end.hour, end.minute) in ((0, 0), (1, 0))  # some zones have days without a midnight


class TestPlaces:
    """Degrees come with an ellipse: stated, by the precision's code, or the default."""

    def test_a_code_of_precision_becomes_metres(self, read):
        columns = {"lon": "x", "lat": "y", "where": {"column": "p", "map": {"1": 2000, "2": 12500}}, "what": WHAT}
        near, wide = read({"x": "37", "y": "48", "p": "1"}, {"x": "37", "y": "48", "p": "2"}, columns=columns)[0]
        assert [(row["major_m"], row["minor_m"], row["tilt_deg"]) for row in (near, wide)] == [
            (2000.0, 2000.0, 0.0),
            (12500.0, 12500.0, 0.0),
        ]
        assert wide["table_where"] == "2"

    def test_an_unknown_code_rejects_its_record_unless_there_is_a_default(self, read):
        where = {"column": "p", "map": {"1": 2000}}
        cells = {"x": "37", "y": "48", "p": "9"}
        _, (row,) = read(cells, columns={"lon": "x", "lat": "y", "where": where, "what": WHAT})
        assert row["reason"] == "p = 9 is not in the map of where"
        where |= {"default": 5000}
        assert one(read(cells, columns={"lon": "x", "lat": "y", "where": where, "what": WHAT}))["major_m"] == 5000

    def test_a_stated_error_is_the_radius_of_a_circle_unless_it_has_two_axes(self, read):
        columns = {"lon": "x", "lat": "y", "major_m": "e", "what": WHAT}
        row = one(read({"x": "37", "y": "48", "e": "300"}, columns=columns))
        assert (row["major_m"], row["minor_m"], row["tilt_deg"]) == (300.0, 300.0, 0.0)
        columns |= {"minor_m": "f", "tilt_deg": "t"}
        row = one(read({"x": "37", "y": "48", "e": "300", "f": "100", "t": "45"}, columns=columns))
        assert (row["major_m"], row["minor_m"], row["tilt_deg"]) == (300.0, 100.0, 45.0)

    def test_without_any_the_default_stands(self, read):
        row = one(read({"x": "37", "y": "48"}, columns={"lon": "x", "lat": "y", "what": WHAT}))
        assert row["major_m"] == presets.SETTLEMENT_M

    def test_a_record_without_a_place_is_taken_where_the_map_says_so(self, read):
        columns = {target: {"column": name, "optional": True} for target, name in (("lon", "x"), ("lat", "y"))}
        row = one(read({"x": "", "y": ""}, columns={**columns, "what": WHAT}))
        assert (row["lon"], row["lat"], row["major_m"]) == (None, None, None)

    def test_swapped_degrees_are_told_by_the_bounds(self, read):
        columns = {"lon": "x", "lat": "y", "what": WHAT}
        _, (row,) = read({"x": "48", "y": "37"}, columns=columns, options={"bounds": [22, 44, 41, 53]})
        assert row["reason"].endswith("longitude and latitude look swapped")


class TestWords:
    """Words of the file become terms of the taxonomy, with likelihoods."""

    MAP = {"shelling": {"explosion.impact": 0.8, "explosion.outgoing": 0.1}, "fire": "fire", "misc": ""}

    def what(self, read, words: str, **more: Any) -> tuple[str, float | None, dict[str, float]]:
        column = {"column": "w", "separator": "|", "map": self.MAP, **more}
        row = one(read({"w": words, "n": ""}, columns={"what": column}))
        others = {term: round(chance, 3) for term, chance in row["alternatives"] or []}
        return row["what"], row["confidence"] and round(row["confidence"], 3), others

    def test_the_likeliest_term_stands_and_the_others_with_theirs(self, read):
        assert self.what(read, "shelling") == ("explosion.impact", 0.8, {"explosion.outgoing": 0.1, "report": 0.1})

    def test_a_plain_term_states_no_probability(self, read):
        assert self.what(read, "fire") == ("fire", None, {})

    def test_several_words_are_weighed_alike_and_their_order_does_not_matter(self, read):
        mixed = ("fire", 0.5, {"explosion.impact": 0.4, "explosion.outgoing": 0.05, "report": 0.05})
        assert self.what(read, "shelling|fire") == self.what(read, "fire|misc|shelling") == mixed

    def test_words_that_say_nothing_make_a_report(self, read):
        assert self.what(read, "misc") == self.what(read, "") == ("report", None, {})

    def test_an_unknown_word_rejects_its_record_unless_there_is_a_default(self, read):
        column = {"column": "w", "separator": "|", "map": self.MAP}
        _, (row,) = read({"w": "fire|noise", "n": ""}, columns={"what": column})
        assert row["reason"] == "w = fire|noise is not in the map of what: 'noise'"
        assert self.what(read, "fire|noise", default="") == ("fire", None, {})

    def test_without_a_map_the_file_has_to_speak_the_taxonomy(self, read):
        good, bad = read({"w": "explosion.impact.mortar"}, {"w": "expolsion"}, columns={"what": "w"})
        assert [row["what"] for row in good] == ["explosion.impact.mortar"]
        assert "did you mean 'explosion'?" in bad[0]["reason"]

    def test_columns_of_flags_are_words_too(self, read):
        column = {"flags": {"f1": "shelling", "f2": "fire", "absent": "misc"}, "map": self.MAP}
        rows = read({"f1": "1", "f2": "0"}, {"f1": "0", "f2": "TRUE"}, {"f1": "", "f2": ""}, columns={"what": column})[
            0
        ]
        assert [row["what"] for row in rows] == ["explosion.impact", "fire", "report"]

    def test_a_weapon_is_not_determined_where_words_name_different_ones(self, read):
        weapon = {"column": "w", "separator": "|", "map": {"a": "mortar", "b": "tank", "c": "mortar"}, "default": ""}
        rows = read({"w": "a|c|x"}, {"w": "a|b"}, {"w": "x"}, columns={"what": WHAT, "weapon": weapon})[0]
        assert [row["weapon"] for row in rows] == ["mortar", None, None]

    def test_a_kind_is_one_of_the_kinds(self, read):
        kind = {"column": "k", "map": {"working": "status"}, "default": "sighting"}
        rows = read({"k": "working"}, {"k": "burst"}, columns={"what": WHAT, "kind": kind})[0]
        assert [row["kind"] for row in rows] == ["status", "sighting"]
        _, (row,) = read({"k": "rumour"}, columns={"what": WHAT, "kind": "k"})
        assert row["reason"].startswith("k = rumour is not one of fix, onset,")


class TestNumbers:
    def test_counts_are_whole_and_what_is_not_stated_is_null(self, read):
        columns = {"what": WHAT, "count": "n", "killed": {"column": "k", "zero_is_missing": True}}
        good, bad = read({"n": "3", "k": "0"}, {"n": "", "k": "2.0"}, {"n": "1.5", "k": ""}, columns=columns)
        assert [(row["count"], row["killed"]) for row in good] == [(3, None), (None, 2)]
        assert bad[0]["reason"] == "n = 1.5 is not a whole number"

    def test_units_are_brought_to_ours(self, read):
        columns = {"what": WHAT, "speed_mps": {"column": "knots", "scale": 0.514444}}
        assert one(read({"knots": "10"}, columns=columns))["speed_mps"] == pytest.approx(5.14444)

    def test_decimal_commas_are_read_where_the_source_says_so(self, read):
        columns = {"what": WHAT, "lon": "x", "lat": "y"}
        cells = {"x": "37,5", "y": "48,25"}
        assert one(read(cells, columns=columns, options={"decimal": ","}))["lat"] == 48.25
        assert read(cells, columns=columns)[1][0]["reason"] == "x = 37,5 is not a number"


class TestViina:
    def read(self, read, **cells: str) -> dict[str, Any]:
        row = {"datetime": "2023-04-01 00:00:00", "lon": "37.5", "lat": "48.1", "place_name": "Ivanivka"}
        row |= {"event_type": "", "headline": "Заголовок"}
        return one(read(row | cells, preset="viina"))

    def test_midnight_is_a_day_without_a_time(self, read):
        row = self.read(read)
        assert (row["at"], row["until"]) == (utc(2023, 3, 31, 21), utc(2023, 4, 1, 21))

    def test_a_time_is_when_the_report_came_in_kyiv(self, read):
        row = self.read(read, datetime="2023-04-01 13:33:00")
        assert row["until"] == utc(2023, 4, 1, 10, 33)
        assert row["until"] - row["at"] == timedelta(hours=presets.REPORTED_WITHIN_H)

    @pytest.mark.parametrize(
        ("types", "what", "weapon"),
        [
            ("artillery|loc", "explosion.impact", "artillery, mortar or MLRS"),
            ("airalerb|loc", "air_alert", None),
            ("arresb", "detention", None),
            ("retreab", "ground.control", None),
            ("firefighb|milcas", "burst", "small arms"),
            ("artillery|airstrike", "explosion.impact", None),
            ("civcas|loc", "report", None),
            ("loc", "report", None),
            ("", "report", None),
            ("somethingnew", "report", None),
        ],
    )
    def test_labels_cut_short_or_not_become_terms_and_weapons(self, read, types, what, weapon):
        row = self.read(read, event_type=types)
        assert (row["what"], row["weapon"], row["means"]) == (what, weapon, "reported")

    def test_casualties_are_mentioned_but_not_counted(self, read):
        row = self.read(read, event_type="artillery|civcas|milcas")
        assert (row["killed"], row["injured"], row["count"]) == (None, None, None)

    def test_a_place_is_a_settlement_but_for_the_points_that_stand_for_an_oblast(self, read):
        assert self.read(read)["major_m"] == presets.SETTLEMENT_M
        assert self.read(read, lon="33.481729", lat="46.55783")["major_m"] == presets.OBLAST_M

    def test_the_whole_files_with_columns_of_flags_are_read_too(self, read):
        """As the events of one day each come: a date, a precision, a 0 or 1 for every label."""
        cells = {"viina_version": "v", "event_id_1pd": "5", "date": "20230401", "n_reports": "2", "asciiname": "Lyman"}
        cells |= {"longitude": "37.8", "latitude": "48.98", "GEO_PRECISION": "ADM1"}
        cells |= {"t_mil_b": "1", "a_rus_b": "1", "t_airstrike_b": "0", "t_artillery_b": "1", "t_loc_b": ""}
        row = one(read(cells, preset="viina"))
        assert (row["what"], row["table_place"], row["major_m"]) == ("explosion.impact", "Lyman", presets.OBLAST_M)
        assert (row["at"], row["until"]) == (utc(2023, 3, 31, 21), utc(2023, 4, 1, 21))
        cells |= {"time": "13:33", "text": "Заголовок", "source": "unian", "event_id": "77"}
        row = one(read(cells, preset="viina"))
        assert row["until"] == utc(2023, 4, 1, 10, 33)
        assert (row["text"], row["table_outlet"], row["table_id"]) == ("Заголовок", "unian", "77")

    def test_no_party_is_taken_from_a_label(self, read):
        assert self.read(read, event_type="artillery")["party"] is None

    def test_the_licence_is_owed_to_its_makers(self, read):
        assert self.read(read)["licence"] == "ODbL, VIINA 2.0 (Zhukov and Ayers)"


class TestAcled:
    ROW = {
        "event_id_cnty": "UKR1",
        "event_date": "14 March 2031",
        "time_precision": "1",
        "event_type": "Explosions/Remote violence",
        "sub_event_type": "Shelling/artillery/missile attack",
        "latitude": "48.1",
        "longitude": "37.5",
        "geo_precision": "1",
        "location": "Ivanivka",
        "notes": "Exercise.",
        "fatalities": "2",
    }

    def test_an_event_is_a_day_at_a_place_with_its_dead(self, read):
        row = one(read(self.ROW, preset="acled"))
        assert (row["at"], row["until"]) == (utc(2031, 3, 13, 22), utc(2031, 3, 14, 22))
        assert (row["what"], row["killed"], row["major_m"]) == ("explosion.impact", 2, presets.SETTLEMENT_M)
        assert (row["text"], row["table_place"], row["table_id"]) == ("Exercise.", "Ivanivka", "UKR1")

    @pytest.mark.parametrize(("code", "days"), [("1", 1), ("2", 7), ("3", 31)])
    def test_time_precision_is_a_day_a_week_or_a_month(self, read, code, days):
        row = one(read(self.ROW | {"time_precision": code}, preset="acled", options={"zone": "UTC"}))
        assert row["until"] - row["at"] == timedelta(days=days)

    @pytest.mark.parametrize(
        ("code", "sigma_m"), [("1", presets.SETTLEMENT_M), ("2", presets.NEAR_M), ("3", presets.OBLAST_M)]
    )
    def test_geo_precision_is_a_circle(self, read, code, sigma_m):
        assert one(read(self.ROW | {"geo_precision": code}, preset="acled"))["major_m"] == sigma_m

    def test_no_fatalities_may_mean_not_known(self, read):
        assert one(read(self.ROW | {"fatalities": "0"}, preset="acled"))["killed"] is None

    def test_a_mission_may_change_a_presets_columns(self, read):
        columns = {"party": {"column": "location", "map": {"Ivanivka": "party-a"}}}
        assert one(read(self.ROW, preset="acled", columns=columns))["party"] == "party-a"


class TestUcdp:
    ROW = {
        "id": "7",
        "type_of_violence": "1",
        "where_prec": "1",
        "where_coordinates": "Ivanivka",
        "latitude": "48.1",
        "longitude": "37.5",
        "date_prec": "2",
        "date_start": "2031-03-14 00:00:00.000",
        "date_end": "2031-03-16 00:00:00.000",
        "best": "4",
        "high": "6",
        "low": "2",
    }

    def test_an_event_lies_between_its_first_and_its_last_day(self, read):
        row = one(read(self.ROW, preset="ucdp", options={"zone": "UTC"}))
        assert (row["at"], row["until"]) == (utc(2031, 3, 14), utc(2031, 3, 17))
        assert (row["killed"], row["table_killed_low"], row["table_killed_high"]) == (4, 2, 6)

    def test_older_releases_write_dates_the_american_way(self, read):
        dates = {"date_start": "3/14/2031 12:00:00 AM", "date_end": "3/14/2031 12:00:00 AM"}
        row = one(read(self.ROW | dates, preset="ucdp", options={"zone": "UTC"}))
        assert (row["at"], row["until"]) == (utc(2031, 3, 14), utc(2031, 3, 15))

    def test_where_prec_from_1_to_7_never_says_less_and_grows(self, read):
        sigmas = [one(read(self.ROW | {"where_prec": str(code)}, preset="ucdp"))["major_m"] for code in range(1, 8)]
        assert sigmas == sorted(sigmas)
        assert sigmas[1] == 12_500


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "columns.what: is missing: say what the records tell of"),
        ({"preset": "vina"}, "preset: there is no preset 'vina'; did you mean 'viina'?"),
        ({"columns": {"lat": "y", "what": WHAT}}, "columns: lon and lat go together"),
        ({"columns": {"wat": WHAT}}, "columns.what: is missing"),
        ({"columns": {"what": WHAT, "latitude": "y"}}, "columns.latitude: an observation has no such column"),
        ({"columns": {"what": {"value": "expolsion"}}}, "no term 'expolsion'; did you mean 'explosion'?"),
        ({"columns": {"what": {"column": "w", "mapp": {}}}}, "columns.what.mapp: no such key; did you mean 'map'?"),
        ({"columns": {"what": {"column": "w", "map": {"a": {"fire": 2}}}}}, "columns.what.map.a.fire: 2 is not a prob"),
        ({"columns": {"what": {"column": "w", "map": {"a": {"fire": 0.9, "uav": 0.9}}}}}, "add up to 1.8"),
        ({"columns": {"what": {}}}, "columns.what: needs one of column, value"),
        ({"columns": {"what": 5}}, "columns.what: 5 is neither the name of a column nor a table"),
        ({"columns": {"what": WHAT, "at": {"column": "t", "zone": "Kiev/Europe"}}}, "'Kiev/Europe' is not a time zone"),
        ({"columns": {"what": WHAT, "at": {"column": "t", "format": "dd.mm"}}}, "columns.at.format: ['dd.mm'] is not"),
        ({"columns": {"what": WHAT, "when": "p"}}, "columns.when: needs a map"),
        (
            {"columns": {"what": WHAT, "when": {"column": "p", "map": {"1": "decade"}}}},
            "'decade' is not one of instant",
        ),
        ({"columns": {"what": WHAT, "where": {"column": "p", "map": {"1": "5 km"}}}}, "'5 km' is not metres (1 sigma)"),
        ({"columns": {"what": WHAT, "kind": {"value": "rumour"}}}, "columns.kind.value: 'rumour' is not one of fix"),
        ({"columns": {"what": WHAT, "count": {"value": 1.5}}}, "columns.count.value: 1.5 is not a whole number"),
        ({"columns": {"what": WHAT}, "options": {"delimeter": ";"}}, "did you mean 'delimiter'?"),
        ({"columns": {"what": WHAT}, "options": {"delimiter": "::"}}, "options.delimiter: '::' is not one character"),
        ({"columns": {"what": WHAT}, "options": {"zone": "Kyiv"}}, "options.zone: 'Kyiv' is not a time zone"),
        ({"columns": {"what": WHAT}, "options": {"format": "xls"}}, "options.format: 'xls' is not one of csv"),
        ({"columns": {"what": WHAT}, "options": {"reported_within_h": "6h"}}, "options.reported_within_h: '6h' is not"),
    ],
)
def test_what_the_mission_file_cannot_mean_is_told_before_any_file_is_read(source, message):
    with pytest.raises(MissionError, match=r"^source 's': ") as caught:
        feeds.check(Source(id="s", feed="table", paths=[], **source))
    assert message in str(caught.value)


def test_missing_columns_are_named_with_the_nearest_and_what_was_found(read):
    with pytest.raises(SourceError) as caught:
        read({"when": "2031-03-14", "longitude": "37"}, columns={"at": "wen", "what": WHAT})
    assert str(caught.value) == (
        "table.csv: no column 'wen' (for at); did you mean 'when'?; the header has when, longitude"
    )


def test_names_of_columns_may_differ_in_case(read):
    assert one(read({"WHEN": "2031-03-14"}, columns={"at": "when", "what": WHAT}))["at"] == utc(2031, 3, 14)


@pytest.mark.parametrize("name", sorted(presets.PRESETS))
def test_a_preset_is_nothing_a_mission_file_could_not_say(name):
    for _, form in presets.PRESETS[name]["forms"]:
        feeds.check(Source(id="s", feed="table", paths=[], columns=form))


@pytest.mark.realdata
class TestRealViina:
    """Five months of 2023 in the trimmed form."""

    def test_51_686_records_are_40_130_different_ones_and_11_556_repeats(self, realdata):
        source = Source(id="viina", feed="table", preset="viina", paths=["incidents/viina_incidents_*.csv.gz"])
        batches = [
            batch for path in files(realdata, source.paths) for batch in feeds.read(source, realdata, path, RECEIVED_AT)
        ]
        assert sum(batch.rejections.num_rows for batch in batches) == 0
        rows = pa.concat_tables([batch.observations for batch in batches])
        assert rows.num_rows == 51_686
        distinct = pc.count_distinct(rows["observation_id"].cast(pa.binary())).as_py()
        assert (distinct, rows.num_rows - distinct) == (40_130, 11_556)
        assert pc.count_distinct(rows["raw"]).as_py() == 40_130
        assert rows["until"].null_count == 0
        counts = dict(zip(*(rows["what"].value_counts().flatten()), strict=True))
        shares = {str(what): count.as_py() / rows.num_rows for what, count in counts.items()}
        assert shares["explosion.impact"] == pytest.approx(0.42, abs=0.05)
        assert rows["table_place"].null_count == 410

    def test_announcements_of_air_alerts_fit_the_alerts_times_in_kyiv_only(self, realdata):
        """What says that VIINA's times are Kyiv's: 35 of 52 announcements fall into an alert, as UTC 4 would."""
        alerts = _kyiv_alerts(realdata)
        inside = {"Europe/Kyiv": 0, "UTC": 0}
        announcement = re.compile("тривог.*оголо|оголо.*тривог|тревог.*объяв|объяв.*тревог", re.IGNORECASE)
        for zone in inside:
            columns = {"at": "datetime", "what": WHAT, "text": "headline", "place": "place_name", "id": "datetime"}
            source = Source(id="v", feed="table", columns=columns, options={"zone": zone}, paths=[])
            told = {
                row["leaf"]: row["at"]
                for path in files(realdata, ["incidents/viina_incidents_*.csv.gz"])
                for batch in feeds.read(source, realdata, path, RECEIVED_AT)
                for row in batch.observations.select(["at", "text", "table_place", "table_id", "leaf"]).to_pylist()
                if row["table_place"] == "Kyiv"
                and not row["table_id"].endswith("00:00:00")
                and announcement.search(row["text"])
            }
            inside[zone] = sum(any(begin <= at <= end for begin, end in alerts) for at in told.values())
        assert inside["Europe/Kyiv"] > 5 * inside["UTC"]


def _kyiv_alerts(realdata: Path) -> list[tuple[datetime, datetime]]:
    (path,) = files(realdata, ["air_alerts/official_data_en.csv.gz"])
    columns = {"at": "started_at", "until": "finished_at", "what": {"value": "air_alert"}, "place": "oblast"}
    source = Source(id="alerts", feed="table", columns=columns, paths=[])
    return [
        (row["at"], row["until"])
        for batch in feeds.read(source, realdata, path, RECEIVED_AT)
        for row in batch.observations.select(["at", "until", "table_place"]).to_pylist()
        if row["table_place"] == "Kyiv City"
    ]


class TestFixes:
    """Where things were: rows that make tracks."""

    COLUMNS = {"kind": {"value": "fix"}, "at": "t", "lon": "x", "lat": "y", "what": {"value": "vessel"}}
    CELLS = {"t": "2031-03-14 10:34:05", "x": "30.75", "y": "46.45"}

    def test_the_example_of_the_docs_becomes_what_the_docs_say(self, tmp_path):
        text = (Path(__file__).parents[1] / "docs" / "feeds.md").read_text()
        text = text[text.index("### Fixes") :]
        table, mission = (re.search(rf"```{form}\n(.*?)```", text, re.DOTALL)[1] for form in ("csv", "toml"))
        (tmp_path / "fixes.csv").write_text(table)
        (given,) = tomllib.loads(mission)["source"]
        (batch,) = feeds.read(Source(**given), tmp_path, str(tmp_path / "fixes.csv"), RECEIVED_AT)
        assert batch.rejections.num_rows == 0
        ship, other = batch.observations.to_pylist()
        assert (ship["kind"], ship["what"], ship["identity"]) == ("fix", "vessel.cargo", "mmsi:211234560")
        assert (ship["at"], ship["at_sigma_s"]) == (utc(2031, 3, 14, 10, 34, 5), 1)
        assert (ship["speed_mps"], ship["course_deg"]) == pytest.approx((6.38, 181.5), abs=0.005)
        assert (ship["major_m"], ship["minor_m"], ship["sensor"]) == (15, 15, "harbour radar")
        assert (other["what"], other["identity"]) == ("vessel", "mmsi:002112345")
        assert (other["speed_mps"], other["course_deg"]) == (None, None)

    @pytest.mark.parametrize(
        ("target", "unit", "value"),
        [
            ("speed_mps", "knots", 5.144444),
            ("speed_mps", "km/h", 2.777778),
            ("speed_mps", "mph", 4.4704),
            ("speed_mps", "ft/s", 3.048),
            ("speed_mps", "m/s", 10),
            ("alt_m", "ft", 3.048),
            ("alt_m", "fl", 304.8),
            ("range_m", "nm", 18520),
            ("range_m", "km", 10_000),
            ("major_m", "mi", 16_093.44),
            ("minor_m", "m", 10),
        ],
    )
    def test_numbers_in_the_files_unit_become_ours(self, read, target, unit, value):
        columns = self.COLUMNS | {"major_m": {"value": 5}, target: {"column": "v", "unit": unit}}
        assert one(read(self.CELLS | {"v": "10"}, columns=columns))[target] == pytest.approx(value)

    def test_a_number_beyond_our_range_is_told_in_the_files_unit(self, read):
        columns = self.COLUMNS | {"alt_m": {"column": "v", "unit": "km"}}
        _, rejected = read(self.CELLS | {"v": "1001"}, columns=columns)
        assert rejected[0]["reason"] == "v = 1001 is outside -10..1000"

    @pytest.mark.parametrize(
        ("prefix", "written", "identity"),
        [
            ("mmsi:", "2112345", "mmsi:002112345"),
            ("mmsi:", "211234560.0", "mmsi:211234560"),
            ("icao:", "4B1814", "icao:4b1814"),
            ("icao:", "A1", "icao:0000a1"),
            ("callsign:", "dlh65a", "callsign:DLH65A"),
            ("collar:", "Wolf 7", "collar:Wolf 7"),
            ("mmsi:", " ", None),
        ],
    )
    def test_one_ship_has_one_identity_whichever_feed_tells_of_it(self, read, prefix, written, identity):
        columns = self.COLUMNS | {"identity": {"column": "v", "prefix": prefix}}
        assert one(read(self.CELLS | {"v": written}, columns=columns))["identity"] == identity

    def test_what_the_file_writes_for_not_known_is_null(self, read):
        columns = self.COLUMNS | {"course_deg": {"column": "v", "missing": [360, 511]}}
        rows, rejected = read(*[self.CELLS | {"v": v} for v in ("360.0", "511", "12", "")], columns=columns)
        assert rejected == []
        assert [row["course_deg"] for row in rows] == [None, None, 12, None]

    def test_a_place_that_the_file_says_it_does_not_know_is_missing(self, read):
        columns = self.COLUMNS | {"lon": {"column": "x", "missing": 181}}
        _, rejected = read(self.CELLS | {"x": "181"}, columns=columns)
        assert rejected[0]["reason"] == "x is missing"
        optional = columns | {"lon": {"column": "x", "missing": 181, "optional": True}}
        assert one(read(self.CELLS | {"x": "181"}, columns=optional))["lon"] is None

    @pytest.mark.parametrize(
        ("time", "form", "sigma_s"),
        [
            ("2031-03-14 10:34:05", "iso", 1),
            ("2031-03-14 10:34", "iso", 30),
            ("1931250845", "unix_s", 1),
            ("14.03.2031 10:34:05", "%d.%m.%Y %H:%M:%S", 1),
            ("14.03.2031 10:34", "%d.%m.%Y %H:%M", 30),
        ],
    )
    def test_a_fix_is_as_exact_as_its_time_is_written(self, read, time, form, sigma_s):
        columns = self.COLUMNS | {"at": {"column": "t", "format": form}}
        assert one(read(self.CELLS | {"t": time}, columns=columns))["at_sigma_s"] == sigma_s
        sighting = columns | {"kind": {"value": "sighting"}}
        assert one(read(self.CELLS | {"t": time}, columns=sighting))["at_sigma_s"] == 30
        stated = columns | {"at_sigma_s": {"value": 0.5}}
        assert one(read(self.CELLS | {"t": time}, columns=stated))["at_sigma_s"] == 0.5

    def test_a_fix_without_a_stated_precision_is_a_receivers(self, read):
        """By row: a table may hold fixes and accounts."""
        columns = self.COLUMNS | {"kind": "k"}
        rows, _ = read(self.CELLS | {"k": "fix"}, self.CELLS | {"k": "sighting"}, columns=columns)
        assert [(row["kind"], row["major_m"]) for row in rows] == [("fix", 20), ("sighting", 2000)]
        where = columns | {"where": {"column": "p", "map": {"good": 3}}}
        row = one(read(self.CELLS | {"k": "fix", "p": "good"}, columns=where))
        assert row["major_m"] == 3

    def test_fixes_come_from_geojson_and_parquet_too(self, tmp_path):
        columns = {
            "kind": {"value": "fix"},
            "at": "t",
            "identity": {"column": "icao24", "prefix": "icao:"},
            "alt_m": {"column": "FL", "unit": "fl"},
            "what": {"value": "aircraft"},
        }
        given = Source(id="s", feed="table", paths=[], columns=columns)
        feature = {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [30.75, 46.45]},
            "properties": {"t": "2031-03-14T10:34:05Z", "icao24": "4B1814", "FL": 330},
        }
        collection = {"type": "FeatureCollection", "features": [feature]}
        (tmp_path / "a.geojson").write_text(json.dumps(collection))
        point = shapely.to_wkb(shapely.Point(30.75, 46.45))
        cells = {"t": [utc(2031, 3, 14, 10, 34, 5)], "icao24": ["4B1814"], "FL": [330.0], "geometry": [point]}
        pq.write_table(pa.table(cells), tmp_path / "a.geoparquet")
        for name in ("a.geojson", "a.geoparquet"):
            (batch,) = feeds.read(given, tmp_path, str(tmp_path / name), RECEIVED_AT)
            (row,) = batch.observations.to_pylist()
            assert (row["kind"], row["identity"], row["lon"], row["lat"]) == ("fix", "icao:4b1814", 30.75, 46.45)
            assert (row["at"], row["at_sigma_s"], row["major_m"]) == (utc(2031, 3, 14, 10, 34, 5), 1, 20)
            assert row["alt_m"] == pytest.approx(330 * 30.48)

    @pytest.mark.parametrize(
        ("target", "given", "message"),
        [
            ("speed_mps", {"unit": "kn"}, "columns.speed_mps.unit: 'kn' is not one of m/s, km/h, knots, mph, ft/s"),
            ("alt_m", {"unit": "ft", "scale": 2}, "columns.alt_m: needs one of unit, scale; it has both"),
            ("course_deg", {"unit": "ft"}, "columns.course_deg.unit: course_deg has no units to choose from"),
            ("identity", {"prefix": "mmsi"}, "columns.identity.prefix: 'mmsi' is not a text like 'mmsi:' or 'icao:'"),
            ("sensor", {"prefix": "x:"}, "columns.sensor.prefix: no such key"),
            ("alt_m", {"missing": "none"}, "columns.alt_m.missing: ['none'] is not a number or a list of numbers"),
        ],
    )
    def test_what_cannot_be_meant_is_named(self, target, given, message):
        columns = self.COLUMNS | {target: {"column": "v", **given}}
        with pytest.raises(MissionError) as told:
            feeds.check(Source(id="s", feed="table", paths=[], columns=columns))
        assert message in str(told.value)
