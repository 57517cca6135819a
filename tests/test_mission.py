"""The mission file: what it takes, what it refuses and how it says so."""

from datetime import UTC, date, datetime, timedelta

import pytest

from truceline.errors import MissionError
from truceline.mission import Mission, files

LEAST = """\
name = "least"
centre = {lon = 37.5, lat = 48.3}
agreement = "agreement.toml"
[[source]]
id = "viirs"
feed = "firms"
paths = ["firms/*.csv"]
"""


def load(folder, text: str) -> Mission:
    (folder / "mission.toml").write_text(text)
    return Mission.load(folder)


def test_four_keys_are_enough(tmp_path):
    mission = load(tmp_path, LEAST)
    assert mission.counting == "osce-smm"
    assert mission.radius_km == 800
    assert mission.source[0].release == "mission"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(LEAST + "radius = 3\n", ["viirs", "radius"], id="unknown key"),
        pytest.param(LEAST + 'live = {listenn = "x"}\n', ["live", "did you mean listen?"], id="unknown key of live"),
        pytest.param(LEAST + "[serve]\nopen = 1\n", ["serve: there is no key 'open' (= 1)"], id="unlike any key"),
        pytest.param(LEAST.replace("37.5", "375"), ["centre.lon", "375"], id="longitude out of range"),
        pytest.param(LEAST.replace("37.5", '"east"'), ["centre.lon", "'east'"], id="a word for a number"),
        pytest.param(LEAST.replace('name = "least"\n', ""), ["name"], id="missing key"),
        pytest.param(LEAST + LEAST[LEAST.index("[[source]]") :], ["viirs", "twice"], id="the same source twice"),
        pytest.param(LEAST[: LEAST.index("[[source]]")], ["source"], id="no source"),
        pytest.param("name = \n", ["not valid TOML", "line 1"], id="not TOML"),
        pytest.param('report_day = {ends = "25:00"}\n' + LEAST, ["25:00"], id="no such time"),
        pytest.param('report_day = {zone = "Europe/Kyjiw"}\n' + LEAST, ["Europe/Kyjiw"], id="no such zone"),
        pytest.param("radius_km = -1\n" + LEAST, ["radius_km", "-1"], id="negative radius"),
    ],
)
def test_a_mistake_is_named_with_file_key_and_value(tmp_path, text, said):
    with pytest.raises(MissionError) as error:
        load(tmp_path, text)
    assert "mission.toml" in str(error.value)
    for word in said:
        assert word in str(error.value)


def test_a_file_that_is_not_utf8(tmp_path):
    (tmp_path / "mission.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(MissionError, match="byte 8 is not UTF-8"):
        Mission.load(tmp_path)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    (tmp_path / "mission.toml").write_bytes(b"\xef\xbb\xbf" + LEAST.encode())
    assert Mission.load(tmp_path).name == "least"


class TestReportingDay:
    """Days close at a local time; the day is named after the date on which it closes."""

    @pytest.fixture
    def osce(self, tmp_path):
        return load(tmp_path, 'report_day = {ends = "19:30", zone = "Europe/Kyiv"}\n' + LEAST)

    def test_it_ends_at_half_past_seven_in_kyiv(self, osce):
        begins, ends = osce.day(date(2023, 10, 5))
        assert begins == datetime(2023, 10, 4, 16, 30, tzinfo=UTC)
        assert ends == datetime(2023, 10, 5, 16, 30, tzinfo=UTC)

    def test_the_end_belongs_to_the_next_day(self, osce):
        ends = osce.day(date(2023, 10, 5))[1]
        assert osce.day_of(ends) == date(2023, 10, 6)
        assert osce.day_of(ends - timedelta(microseconds=1)) == date(2023, 10, 5)

    def test_the_day_the_clocks_change_has_25_hours(self, osce):
        begins, ends = osce.day(date(2023, 10, 29))
        assert ends - begins == timedelta(hours=25)

    def test_without_a_word_a_day_is_a_utc_day(self, tmp_path):
        begins, ends = load(tmp_path, LEAST).day(date(2023, 10, 5))
        assert (begins, ends) == (datetime(2023, 10, 5, tzinfo=UTC), datetime(2023, 10, 6, tzinfo=UTC))


def test_files_come_in_the_order_of_patterns_then_names_each_once(tmp_path):
    for name in ("b.csv", "a.csv", "c.txt"):
        (tmp_path / name).touch()
    found = files(tmp_path, ["*.txt", "*.csv", "a.*", "https://example.org/x.csv", "none/*.csv"])
    assert [path.rpartition("/")[2] for path in found] == ["c.txt", "a.csv", "b.csv", "x.csv"]
