"""The checks that need no truth: peaceful years under a laid line, sums against the excess over the background."""

import json
from datetime import date

import numpy as np
import pytest
import shapely

from a_fire import DAY_S, EAST, MERIDIAN, NORTH, SOUTH, WEST, at_a_place, day, detections, together, years_of
from truceline.frame import Frame
from truceline.fuse import checks
from truceline.fuse.background import Background
from truceline.fuse.causes import Judged, judge
from truceline.fuse.checks import Detections

FRAME = Frame(MERIDIAN, 48.0, 300_000)
FRONT = (MERIDIAN, 48.0)


class _Dated:
    """A line from north to south, so many metres to the east."""

    def __init__(self, on: str, east_m: float = 0.0) -> None:
        self.day, self.east_m = date.fromisoformat(on), east_m

    def against(self, east_m, *_):
        return {"line_distance_m": np.asarray(east_m, float) - self.east_m}


class _Line:
    def __init__(self, *lines) -> None:
        self.lines = lines


@pytest.fixture
def rng():
    return np.random.default_rng(21)


def seen(fires) -> Detections:
    return Detections(fires[0], fires[1], fires[2] * DAY_S)


@pytest.fixture
def found(rng):
    """Five peaceful years, and 2023 with 100 days of shelling at one place of the line."""
    past = seen(years_of(rng, range(2015, 2020)))
    now = seen(
        together(detections(rng, 2023), at_a_place(*FRONT, np.arange(day("2023-05-01"), day("2023-08-09")), rng))
    )
    line = _Line(_Dated("2022-12-01"), _Dated("2023-01-01"), _Dated("2023-06-01"))
    return checks.aggregate(past, line, FRAME, seen=now)


def test_each_peaceful_year_is_judged_by_the_others_season_by_season(found):
    rows = found["peace"]
    assert [row["year"] for row in rows if row["season"] == "the year"] == [2015, 2016, 2017, 2018, 2019]
    assert [row["season"] for row in rows[: len(checks.SEASONS)]] == list(checks.SEASONS)
    parts = [row["near_detections"] for row in rows[1 : len(checks.SEASONS)]]
    assert rows[0]["near_detections"] == sum(parts) > 50
    assert found["held"]
    for row in rows:
        assert row["season"] != "the year" or (
            row["near"] <= checks.MOST_NEAR and row["outside"] <= checks.MOST_OUTSIDE
        )


def test_probabilities_by_distance_add_up_to_what_burnt_beyond_the_background(found):
    """Near the line two fires in three are beyond the background, and the mean probability says as many."""
    year = [row for row in found["bands"] if row["season"] == "the year"]
    assert [row["from_km"] for row in year] == list(checks.BANDS_KM)
    near, far = year[0], year[-2]
    assert near["excess"] > 0.4
    assert near["mean_p"] == pytest.approx(near["excess"], abs=0.12)
    assert abs(far["excess"]) < 0.2
    assert far["mean_p"] < 0.05
    summer, winter = (
        next(row for row in found["bands"] if row["season"] == season)
        for season in ("July and August", "December to February")
    )
    assert summer["mean_p"] > winter["mean_p"] + 0.3


def test_what_is_found_can_be_written_as_json_and_is_said_in_words(found):
    assert json.loads(json.dumps(found)) == found
    assert "2015, a peaceful year left out of its own baseline: of" in found["sentences"][0]
    assert any(sentence.startswith("0 km to 5 km from the line: mean probability") for sentence in found["sentences"])


def test_progress_is_told_look_by_look(rng):
    told = []
    past = seen(years_of(rng, (2018, 2019), per_day=0.5))
    checks.aggregate(past, _Line(_Dated("2023-01-01")), FRAME, tell=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3)]


def test_a_year_that_burns_along_the_line_breaks_the_bound(rng):
    """Was one of the baseline's years no peaceful year, the check says so."""
    peace = years_of(rng, range(2015, 2019))
    days = np.repeat(np.arange(day("2019-04-01"), day("2019-10-01")), 3)
    along = MERIDIAN + rng.normal(0.0, 0.02, len(days)), rng.uniform(SOUTH, NORTH, len(days)), days
    past = seen(together(peace, detections(rng, 2019), along))
    found = checks.aggregate(past, _Line(_Dated("2023-01-01")), FRAME)
    assert not found["held"]
    row = next(row for row in found["peace"] if row["year"] == 2019)
    assert row["near"] > checks.MOST_NEAR
    assert found["bands"] == []


def test_places_at_war_then_are_left_out_of_what_is_outside(rng):
    fires = seen(detections(rng, 2019))
    made = Background.learn(*years_of(rng, range(2012, 2019)))
    laid = checks.laid_over(_Line(_Dated("2023-01-01")), FRAME, made, 2019)
    judged = judge(made, *fires[:3], lines=laid)
    half = shapely.box(WEST - 0.1, SOUTH - 0.1, MERIDIAN, NORTH + 0.1)
    whole, rest = checks.peaceful(fires, judged, laid), checks.peaceful(fires, judged, laid, [half])
    assert whole[0]["outside_detections"] == len(fires.lon)
    assert rest[0]["outside_detections"] == (fires.lon > MERIDIAN).sum()
    assert rest[0]["near_detections"] == whole[0]["near_detections"]


def test_shares_are_of_detections_at_one_half_or_more(rng):
    lon, lat = np.array([MERIDIAN, MERIDIAN, EAST - 0.1]), np.full(3, 48.0)
    fires = Detections(lon, lat, np.full(3, day("2019-07-01") * DAY_S))
    made = Background.learn(*detections(rng, 2018))
    laid = checks.laid_over(_Line(_Dated("2023-01-01")), FRAME, made, 2019)
    said = Judged(np.array([0.1, 0.6, 0.5]), np.array([0.5, 0.4, 0.1]), {}, np.ones(3, np.bool_))
    row = checks.peaceful(fires, said, laid)[0]
    assert (row["near"], row["near_online"], row["near_mean_p"]) == (0.5, 0.5, pytest.approx(0.45))
    assert (row["outside"], row["outside_online"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    january = checks.peaceful(fires, said, laid)[1]
    assert (january["near_detections"], january["near"]) == (0, None)


def test_the_lines_of_the_busiest_year_are_laid_day_by_day_over_another(rng):
    """2023 has two lines, the second from June: over 2019 the first holds from New Year, the second from 1 June."""
    made = Background.learn(*detections(rng, 2018))
    line = _Line(_Dated("2022-12-01", 50_000.0), _Dated("2023-01-09"), _Dated("2023-06-01", 20_000.0))
    laid = checks.laid_over(line, FRAME, made, 2019)
    assert laid.day.tolist() == [day("2019-01-01"), day("2019-06-01")]
    row, column = made.grid.cells(np.array([MERIDIAN]), np.array([48.0]))
    assert laid.km[:, row[0], column[0]] == pytest.approx([0.0, 20.0], abs=0.1)


def test_one_year_cannot_be_held_against_others(rng):
    found = checks.aggregate(seen(detections(rng, 2019)), _Line(_Dated("2023-01-01")), FRAME)
    assert (found["peace"], found["held"], found["sentences"]) == ([], False, [])
