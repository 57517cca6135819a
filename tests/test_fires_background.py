"""What burns without the conflict: learned from peaceful years alone."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from a_fire import a_background, at_a_place, day, detections, together, years_of
from truceline.fuse.background import BLOCK, SEASONS, Background, Grid, fires_of, grid_over, seasons

#: Detections a day in 400 cells.
PER_DAY, CELLS = 3.0, 400


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def middle(background: Background, lon: float, lat: float) -> tuple[int, int]:
    row, column = background.grid.cells(np.array([lon]), np.array([lat]))
    return int(row[0]), int(column[0])


def test_a_cell_is_the_tenth_of_a_degree_nearest_to_a_point():
    """Round, not floor: 37.04 and 36.96 are of the cell of 37.0."""
    grid = Grid(360, 470, 20, 20)
    row, column = grid.cells(np.array([36.96, 37.04, 37.06, 35.0]), np.array([47.0, 47.04, 47.06, 47.0]))
    assert column.tolist() == [10, 10, 11, -1]
    assert row.tolist() == [0, 0, 1, -1]


def test_a_grid_is_of_whole_blocks_and_has_one_to_spare_all_round():
    grid = grid_over(np.array([36.0, 38.0]), np.array([47.0, 47.3]))
    assert (grid.rows % BLOCK, grid.columns % BLOCK) == (0, 0)
    row, column = grid.cells(np.array([36.0, 38.0]), np.array([47.0, 47.3]))
    assert row.min() >= BLOCK
    assert column.max() < grid.columns - BLOCK


def test_the_year_has_seventy_three_periods_and_the_366th_day_is_of_the_last():
    found = seasons(np.array([day("2020-01-01"), day("2020-01-06"), day("2020-12-31"), day("2019-12-31")]))
    assert found.tolist() == [0, 1, SEASONS - 1, SEASONS - 1]


def test_the_rate_is_that_of_the_years_learned_from(rng):
    """3 fires a day over 400 cells, whatever the number of years."""
    for years in (range(2012, 2014), range(2012, 2019)):
        learned = a_background(rng, years)
        inside = learned.rate[:, 10:18, 10:18]
        assert inside.mean() == pytest.approx(PER_DAY / CELLS, rel=0.1)
        assert learned.years == pytest.approx(len(years), rel=0.02)


def test_a_season_that_burns_is_told_from_one_that_does_not(rng):
    learned = a_background(rng, months=(7, 8))
    july, january = seasons(np.array([day("2019-07-20"), day("2019-01-20")]))
    row, column = middle(learned, 37.0, 48.0)
    assert learned.rate[july, row, column] > 20.0 * learned.rate[january, row, column]


def test_nowhere_is_fire_impossible(rng):
    assert a_background(rng, months=(7,)).rate.min() > 0.0


def test_at_the_border_of_what_was_watched_a_cell_is_not_taken_for_one_where_nothing_burns(rng):
    """What lies beyond the region was not watched: it takes nothing away from the cells inside."""
    region = shapely.box(35.95, 46.95, 38.05, 49.05)
    learned = Background.learn(*years_of(rng, range(2012, 2019)), region=region)
    border, within = (
        learned.rate[:, middle(learned, lon, 48.0)[0], middle(learned, lon, 48.0)[1]].mean() for lon in (36.0, 37.0)
    )
    assert border == pytest.approx(within, rel=0.25)
    assert not learned.covered[middle(learned, 35.8, 48.0)]


def test_months_without_satellites_are_not_months_without_fires(rng):
    """July was seen in six years of seven: its rate is that of those six."""
    whole = years_of(rng, range(2012, 2018))
    broken = detections(rng, 2018, months=[m for m in range(1, 13) if m not in (6, 7, 8)])
    learned = Background.learn(*together(whole, broken))
    july = seasons(np.array([day("2019-07-15")]))[0]
    assert learned.rate[july, 10:18, 10:18].mean() == pytest.approx(PER_DAY / CELLS, rel=0.15)


def test_satellites_added_over_the_years_are_accounted_for_when_stated(rng):
    """Two years of one satellite and one of two: of a year as the first ones were watched, there are 3 x 365 fires."""
    years = together(years_of(rng, (2012, 2013)), detections(rng, 2020, per_day=1.5 * PER_DAY))
    stated = Background.learn(*years, exposure={2012: 1.0, 2013: 1.0, 2020: 1.5})
    assert stated.rate[:, 10:18, 10:18].mean() == pytest.approx(PER_DAY / CELLS, rel=0.1)
    assert stated.years == pytest.approx(3.5, rel=0.02)


def test_satellites_added_over_the_years_are_read_off_the_heat_that_never_stops(rng):
    """A works seen three times as often in one year: that year was watched three times as much, in pixels."""
    days = np.arange(day("2012-01-01"), day("2015-01-01"), 5)
    works = at_a_place(36.5, 47.5, days, rng, 0.2)
    more = at_a_place(36.5, 47.5, np.repeat(np.arange(day("2020-01-01"), day("2021-01-01"), 5), 4), rng, 0.2)
    learned = Background.learn(*together(works, more))
    assert learned.years == pytest.approx(3.0 + 4.0**0.55, rel=0.03)


def test_heat_that_comes_back_every_month_is_kept_apart(rng):
    """A steel works burns in no season: its spots are steady, and the fields round it keep their own rate."""
    fields = years_of(rng, range(2012, 2019))
    works = at_a_place(37.0, 48.0, np.arange(day("2012-01-01"), day("2019-01-01"), 6), rng, 0.3)
    with_works, without = Background.learn(*together(fields, works)), Background.learn(*fields)
    at = np.array([37.0]), np.array([48.0])
    assert np.isin(with_works.spot_keys(*at), with_works.steady).all()
    assert not np.isin(without.spot_keys(*at), without.steady).any()
    assert not np.isin(with_works.spot_keys(np.array([37.2]), np.array([48.0])), with_works.steady).any()
    row, column = middle(without, 37.0, 48.0)
    assert with_works.rate[:, row, column].mean() == pytest.approx(without.rate[:, row, column].mean(), rel=0.3)


def test_places_then_at_war_teach_nothing_and_take_the_rate_of_their_surroundings(rng):
    fields = years_of(rng, range(2012, 2019))
    front = years_of(rng, range(2014, 2019), per_day=20.0, box=(36.8, 47.8, 37.2, 48.2))
    war = shapely.box(36.75, 47.75, 37.25, 48.25)
    learned = Background.learn(*together(fields, front), exclude=[war])
    row, column = middle(learned, 37.0, 48.0)
    assert learned.rate[:, row, column].mean() == pytest.approx(PER_DAY / CELLS, rel=0.3)


def test_a_baseline_of_one_year_is_enough_to_speak(rng):
    learned = a_background(rng, (2018,))
    assert learned.years == pytest.approx(1.0, rel=0.02)
    assert learned.rate[:, 10:18, 10:18].mean() == pytest.approx(PER_DAY / CELLS, rel=0.15)


def test_an_empty_baseline_gives_no_background(rng):
    nothing = np.empty(0), np.empty(0), np.empty(0, np.int64)
    assert Background.learn(*nothing) is None
    assert Background.learn(np.array([np.nan]), np.array([48.0]), np.array([0])) is None
    assert Background.learn(*detections(rng, 2018), years=[2012]) is None


def test_only_the_years_named_are_learned_from(rng):
    peace, war = detections(rng, 2018), detections(rng, 2023, per_day=50.0)
    assert Background.learn(*together(peace, war), years=[2018]).key == Background.learn(*peace).key


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_background_does_not_depend_on_the_order_of_its_detections(seed):
    rng = np.random.default_rng(seed)
    columns = detections(rng, 2018, per_day=1.0)
    order = rng.permutation(len(columns[0]))
    one, other = Background.learn(*columns), Background.learn(*(c[order] for c in columns))
    assert one.key == other.key
    assert np.array_equal(one.rate, other.rate)


def test_another_baseline_has_another_key(rng):
    columns = detections(rng, 2018)
    keys = {
        Background.learn(*columns).key,
        Background.learn(*(c[:-1] for c in columns)).key,
        Background.learn(*columns, exclude=[shapely.box(36, 47, 36.5, 47.5)]).key,
        Background.learn(*columns, region=shapely.box(36, 47, 38, 49)).key,
        Background.learn(*columns, exposure={2018: 2.0}).key,
    }
    assert len(keys) == 5


def test_a_background_is_the_same_after_it_was_kept_in_a_file(rng, tmp_path):
    learned = a_background(rng, (2018,))
    learned.save(tmp_path / "cache" / "fires.npz")
    again = Background.load(tmp_path / "cache" / "fires.npz")
    for name in ("rate", "covered", "steady", "warm", "heat"):
        assert np.array_equal(getattr(again, name), getattr(learned, name)), name
    assert (again.grid, again.years, again.pixels_per_fire, again.key) == (
        *(learned.grid, learned.years, learned.pixels_per_fire, learned.key),
    )
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["fires.npz"]


def test_a_burst_of_one_cell_and_day_counts_as_one_fire(rng):
    """Fifty fields alight in one cell on one day: a harvest, not fifty causes. On two days they are two."""
    grid = grid_over(np.array([36.0, 38.0]), np.array([47.0, 49.0]))
    lon, lat = rng.uniform(36.96, 37.04, 100), rng.uniform(47.96, 48.04, 100)
    at_s = np.repeat([0.0, 5.0], 50) * 86_400.0
    by_day, by_pass = fires_of(grid, lon, lat, at_s)
    assert by_day[:50].sum() == pytest.approx(1.0)
    assert by_day.sum() == pytest.approx(2.0)
    assert by_pass[:50].sum() > 5.0
    assert [len(v) for v in fires_of(grid, *np.empty((3, 0)))] == [0, 0]
