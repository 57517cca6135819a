"""Kernels of the fire model against slow and obvious twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_fires as naive
from truceline.kernels import activity
from truceline.kernels.fires import Marks, blur, fresh, occupied, pooled, unpooled, unpooled_at

DAY_S = 86_400.0


@pytest.fixture(scope="module")
def chain():
    """Two quiet states, one with fires that nothing expected, and two active ones: few enough for every path."""
    quiet = activity.Quiet(np.array([0.5, 4.0]), np.array([0.0, 0.1]), np.array([9.0, 1.0]), np.array([6.0, 2.0]))
    return activity.chain(quiet, np.array([0.05, 0.6]), np.array([0.7, 0.3]), move=0.2)


# ---- from pixels to fires ------------------------------------------------------------------------------------------


def test_pixels_of_one_burning_field_add_up_to_one_fire():
    """Twenty pixels within reach of each other are a twentieth of a fire each."""
    by_day, by_pass = fresh(np.zeros(20), np.linspace(0.0, 1900.0, 20), np.zeros(20), 2000.0)
    assert by_day.sum() == pytest.approx(1.0)
    assert np.array_equal(by_day, by_pass)


def test_the_second_day_of_a_fire_that_stays_adds_half():
    by_day, _ = fresh(np.array([0.0, DAY_S]), np.zeros(2), np.zeros(2), 2000.0)
    assert by_day.tolist() == [1.0, 0.5]


def test_a_later_pass_of_the_day_does_not_change_what_an_earlier_one_counted_for():
    """Online, the first of two passes is a whole fire; by the end of its day it is half of one."""
    by_day, by_pass = fresh(np.array([0.0, 3600.0]), np.zeros(2), np.zeros(2), 2000.0)
    assert by_day.tolist() == [0.5, 0.5]
    assert by_pass.tolist() == [1.0, 0.5]


def test_a_detection_without_a_place_counts_for_nothing_and_hides_nothing():
    by_day, _ = fresh(np.zeros(2), np.array([0.0, np.nan]), np.zeros(2), 2000.0)
    assert by_day[0] == 1.0
    assert np.isnan(by_day[1])
    assert len(fresh(np.empty(0), np.empty(0), np.empty(0), 2000.0)[0]) == 0


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60))
def test_fires_are_counted_as_by_comparing_every_pair(seed, n):
    rng = np.random.default_rng(seed)
    at_s = np.round(rng.uniform(0.0, 4.0, n) * 8.0) * DAY_S / 8.0
    east_m, north_m = rng.uniform(-6000.0, 6000.0, (2, n))
    for ours, theirs in zip(
        fresh(at_s, east_m, north_m, 2000.0), naive.fresh(at_s, east_m, north_m, 2000.0), strict=True
    ):
        assert ours == pytest.approx(theirs)


# ---- heat that stays -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40), m=st.integers(1, 40))
def test_periods_near_a_place_are_counted_as_by_comparing_every_pair(seed, n, m):
    """Words of 63 periods, cells in strips: none of it may show."""
    rng = np.random.default_rng(seed)
    asked, been = (Marks(*rng.integers(-5, 5, (2, k)), rng.integers(0, 150, k)) for k in (n, m))
    spans = [(-12, 12), (-24, 0), (-1, -1), (3, 30)]
    for span, ours in zip(spans, occupied(asked, been, 1, 2, spans), strict=True):
        assert ours.tolist() == naive.occupied(asked, been, 1, 2, span)


def test_nothing_has_been_anywhere_where_there_are_no_marks():
    none = Marks(*(np.empty(0, np.int64) for _ in range(3)))
    one = Marks(*(np.zeros(1, np.int64) for _ in range(3)))
    assert [v.tolist() for v in occupied(one, none, 1, 1, [(-1, 1)])] == [[0]]
    assert [v.tolist() for v in occupied(none, one, 1, 1, [(-1, 1)])] == [[]]


# ---- surroundings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigmas", [(0.0, 1.2, 0.7), (2.0, 0.0, 0.0), (1.0, 3.0, 2.0)])
def test_spreading_is_the_normal_curve_along_each_axis(sigmas):
    values = np.random.default_rng(0).random((6, 9, 7))
    assert blur(values, *sigmas) == pytest.approx(naive.blur(values, sigmas))


def test_spreading_keeps_the_sum_where_the_border_is_far():
    values = np.zeros((1, 41, 41))
    values[0, 20, 20] = 5.0
    assert blur(values, 0.0, 2.0, 2.0).sum() == pytest.approx(5.0)


def test_blocks_hold_the_sum_of_their_cells():
    values = np.arange(2 * 8 * 12, dtype=float).reshape(2, 8, 12)
    assert pooled(values, 4) == pytest.approx(values.reshape(2, 2, 4, 3, 4).sum(axis=(2, 4)))


def test_between_the_middles_of_blocks_values_run_straight_and_beyond_them_stay():
    """Blocks of 4 cells have their middles between cells 1 and 2, 5 and 6, 9 and 10."""
    blocks = np.tile(np.array([0.0, 4.0, 8.0]), (1, 2, 1))
    column = np.arange(12, dtype=np.int64)
    row = np.zeros(12, np.int64)
    expected = np.clip(np.arange(12) - 1.5, 0.0, 8.0)
    assert unpooled(blocks, 4, row, column)[0] == pytest.approx(expected)
    assert unpooled_at(blocks, 4, row, row, column) == pytest.approx(expected)


# ---- the chain -----------------------------------------------------------------------------------------------------


def test_probabilities_of_a_chain_leave_nothing_over(chain):
    for onset, end in ((0.001, 0.1), (0.5, 0.9)):
        rows = naive.transition(onset, end, chain)
        assert rows.sum(axis=1) == pytest.approx(1.0)
        states = activity.begin(np.array([onset]), np.array([end]), chain)
        assert states[:, 0] == pytest.approx(naive.first(onset, end, chain))
        later = activity.advance(states, np.array([onset]), np.array([end]), chain)
        assert later[:, 0] == pytest.approx(naive.first(onset, end, chain) @ rows)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), periods=st.integers(1, 5), cells=st.integers(1, 4))
def test_smoothing_is_the_sum_over_every_path(chain, seed, periods, cells):
    rng = np.random.default_rng(seed)
    shape = periods, cells
    fires = rng.integers(0, 4, shape) * rng.choice([0.5, 1.0], shape)
    expected, watched = rng.gamma(0.5, 0.5, shape) + 1e-6, rng.uniform(0.0, 5.0, shape)
    onset, end = rng.uniform(0.001, 0.9, (2, *shape))
    ours = activity.smooth(fires, expected, watched, onset, end, chain)
    for c in range(cells):
        theirs = naive.smooth(*(a[:, c] for a in (fires, expected, watched, onset, end)), chain)
        assert ours[:, :, c] == pytest.approx(theirs, abs=1e-7)


def test_cells_do_not_know_of_each_other(chain):
    """Whether a cell is smoothed among three hundred or alone is the same to the last bit."""
    rng = np.random.default_rng(5)
    rest = [np.full((20, 300), v) for v in (0.1, 4.0, 0.05, 0.1)]
    fires = rng.poisson(0.2, (20, 300)).astype(float)
    together = activity.smooth(fires, *rest, chain)
    alone = activity.smooth(*(np.ascontiguousarray(a[:, 211:212]) for a in (fires, *rest)), chain)
    assert np.array_equal(together[:, :, 211:212], alone)


def test_what_follows_is_not_known_online(chain):
    """Period by period, only what has been seen counts: the last period is then the one that smoothing agrees on."""
    rng = np.random.default_rng(6)
    fires = rng.poisson(0.5, (8, 3)).astype(float)
    expected, watched, onset, end = (np.full((8, 3), v) for v in (0.2, 4.0, 0.05, 0.1))
    states = activity.begin(onset[0], end[0], chain)
    for t in range(8):
        states = activity.advance(states, onset[t], end[t], chain) if t else states
        states = activity.absorb(states, fires[t], expected[t], watched[t], chain)
    smoothed = activity.smooth(fires, expected, watched, onset, end, chain)
    assert states[2:] == pytest.approx(smoothed[-1], abs=1e-7)


def test_days_without_a_satellite_say_nothing(chain):
    """Nothing watched and nothing expected: the states are those before."""
    states = activity.begin(np.array([0.3]), np.array([0.1]), chain)
    zero = np.zeros(1)
    assert activity.absorb(states, zero, zero, zero, chain) == pytest.approx(states)


def test_within_a_period_each_detection_knows_the_passes_up_to_its_own(chain):
    """Two detections of one pass know of each other, not of the pass after; the other cell's are nobody's business."""
    states = activity.begin(np.full(2, 0.1), np.full(2, 0.1), chain)
    at_s = np.array([0.0, 0.0, 3600.0, 3600.0])
    cell = np.array([0, 0, 0, 1])
    by_day, by_pass = np.full(4, 0.5), np.array([0.5, 0.5, 1.0, 1.0])
    expected, watched = np.full(4, 0.1), np.full(4, 1.0)
    ours = activity.so_far(states, cell, at_s, by_day, by_pass, expected, watched, 2.0, chain)
    for row, fires in enumerate((1.0, 1.0, 2.0, 1.0)):
        p = states[:, cell[row]] * naive.likelihood(fires, 0.1, 1.0, chain)
        assert ours[row] == pytest.approx((p / p.sum())[2:])


def test_the_share_of_the_conflict_is_averaged_over_what_the_background_may_be(chain):
    rng = np.random.default_rng(7)
    active = rng.dirichlet(np.ones(3), 5)[:, :2]
    expected, watched, heat = rng.random(5), rng.random(5), rng.random(5)
    ours = activity.share(np.ascontiguousarray(active), expected, watched, heat, chain)
    assert ours == pytest.approx(
        [naive.share(*row, chain) for row in zip(active, expected, watched, heat, strict=True)]
    )


def test_an_impossible_count_still_has_a_most_likely_state(chain):
    """A burst of a thousand fires where next to none are expected: no state becomes NaN, the highest rate wins."""
    fires, expected = np.array([[1000.0]]), np.array([[1e-9]])
    out = activity.smooth(fires, expected, np.array([[5.0]]), np.array([[1e-6]]), np.array([[0.1]]), chain)
    assert out[0, 1, 0] == pytest.approx(1.0)
