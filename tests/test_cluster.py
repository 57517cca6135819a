"""Clustering in space and time: DBSCAN exactly, and linking, merging and episodes by likelihood."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_cluster as naive
from a_statement import DAY, HOUR, statements
from truceline.kernels.cluster import NOISE, density_clusters, linked, links
from truceline.kernels.density import active_cell_days
from truceline.kernels.likelihood import log_ratio

halves = st.integers(-6, 6).map(lambda n: n / 2)  # a coarse grid: many points at exactly the reach
anywhere = st.floats(-5, 5, allow_subnormal=False)
points = st.lists(st.tuples(halves, halves, halves) | st.tuples(anywhere, anywhere, anywhere), max_size=40)


def clusters(rows, min_points=1, reach_m=1.0, gap_s=1.0):
    columns = np.array(rows, np.float64).reshape(-1, 3).T.copy()
    return density_clusters(*columns, reach_m, gap_s, min_points)


# ---- the hard edge ---------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(points, st.integers(1, 6))
def test_clusters_are_those_of_dbscan(rows, min_points):
    """To the point: at exactly the reach, with duplicates, with border points between two clusters."""
    ours = clusters(rows, min_points)
    twin = naive.density_clusters(rows, min_points)
    assert naive.partition(ours) == naive.partition(twin)
    assert [label == NOISE for label in ours] == [label is None for label in twin]


@settings(deadline=None)
@given(points, st.integers(1, 5), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows, min_points, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = clusters([rows[i] for i in order], min_points)
    back = [None] * len(rows)
    for place, i in enumerate(order):
        back[i] = shuffled[place]
    assert naive.partition(back) == naive.partition(clusters(rows, min_points))


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(-20, 20)] * 3), max_size=40), st.tuples(*[st.integers(-1000, 1000)] * 3))
def test_a_shift_moves_no_point_to_another_cluster(rows, shift):
    """By whole numbers, so that no distance is rounded."""
    moved = [tuple(a + b for a, b in zip(row, shift, strict=True)) for row in rows]
    assert clusters(moved, 3, 2.0, 2.0).tolist() == clusters(rows, 3, 2.0, 2.0).tolist()


@settings(deadline=None)
@given(points.filter(bool), st.data())
def test_a_duplicate_joins_its_twin(rows, data):
    """And with clusters of one allowed it changes nothing else."""
    i = data.draw(st.integers(0, len(rows) - 1))
    labels = clusters([*rows, rows[i]])
    assert labels[-1] == labels[i]
    assert naive.partition(labels[:-1]) == naive.partition(clusters(rows))


def test_points_that_are_nowhere_are_nobodys_neighbours():
    rows = [(0, 0, 0), (math.nan, 0, 0), (0.5, 0, 0), (0, math.inf, 0), (0, 0, math.nan)]
    assert clusters(rows).tolist() == [0, NOISE, 0, NOISE, NOISE]
    assert clusters([]).tolist() == []
    assert clusters([(math.nan, 0, 0)]).tolist() == [NOISE]


def test_clusters_are_named_by_first_appearance():
    assert clusters([(9, 0, 0), (0, 0, 0), (9, 0, 0.5), (5, 0, 0)]).tolist() == [0, 1, 0, 2]


def test_reach_and_gap_are_separate():
    """Two kilometres and an hour apart: one cluster if either alone would bridge it with the other at ease."""
    rows = [(0.0, 0.0, 0.0), (2000.0, 0.0, HOUR)]
    assert clusters(rows, 1, 3000.0, DAY).tolist() == [0, 0]
    assert clusters(rows, 1, 1999.0, DAY).tolist() == [0, 1]
    assert clusters(rows, 1, 3000.0, HOUR - 1).tolist() == [0, 1]


def test_a_border_point_goes_to_its_nearest_core_whatever_the_order():
    """Between two threes, 0.9 from one and 1.0 from the other."""
    left, right, between = (
        [(0, 0, 0), (-0.5, 0, 0), (-0.5, 0.1, 0)],
        [(1.9, 0, 0), (2.4, 0, 0), (2.4, 0.1, 0)],
        (0.9, 0, 0),
    )
    for rows in ([*left, between, *right], [*right, between, *left]):
        labels = clusters(rows, 4)
        near = labels[rows.index(between)]
        assert near == labels[rows.index((0, 0, 0))]
        assert (labels >= 0).sum() in (4, 7)


@pytest.mark.parametrize("span", [1e3, 1e9, 1e15], ids=["near", "far", "farther than cells can be numbered"])
def test_any_extent_can_be_clustered(span):
    rng = np.random.default_rng(1)
    rows = rng.uniform(-span, span, (200, 3))
    rows[100:] = rows[:100]
    labels = clusters(rows)
    assert (labels[:100] == labels[100:]).all()
    assert labels.max() == 99


# ---- one occurrence or two -------------------------------------------------------------------------------------------


an_hour = st.integers(0, 24).map(float)
a_row = st.tuples(
    st.integers(0, 8),
    st.integers(0, 2),
    st.sampled_from([300.0, 2000.0, 9000.0]),
    an_hour | st.tuples(an_hour, st.integers(1, 24)).map(lambda t: (t[0], t[0] + t[1])),
    st.fixed_dictionaries(
        {
            "sigma_s": st.sampled_from([300.0, 3600.0]),
            "kinds": st.sampled_from([[1.0, 0.0], [0.0, 1.0], [0.6, 0.3]]),
            "rate": st.sampled_from([1e-5, 1e-3]),
            "ratio": st.sampled_from([0.25, 1.0]),
            "group": st.sampled_from([0, 0, 0, 1]),
        }
    ),
)


@settings(deadline=None, max_examples=60)
@given(a_row, a_row)
def test_the_log_ratio_is_that_of_the_densities_summed_up(a, b):
    s = statements(a, b)
    one, other = naive.One(s, 0), naive.One(s, 1)
    ours, twin = log_ratio(s, 0, 1), naive.log_ratio(one, other, naive.summed_time_ratio)
    if twin > -40:  # beyond, the sum has no digits left
        assert ours == pytest.approx(twin, abs=0.02)
    else:
        assert ours < -30
    assert ours == log_ratio(s, 1, 0) or ours == pytest.approx(log_ratio(s, 1, 0), abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.lists(a_row, max_size=12))
def test_links_are_all_pairs_that_one_occurrence_explains_better(rows):
    """Whatever the mix of ellipses and intervals: the grid of classes loses none."""
    s = statements(*rows)
    i, j, _ = links(s, 3.0)
    twin = naive.links(s, 3.0, 0.0)
    sure = {pair for pair, value in twin.items() if value > 1e-6}
    assert sure <= set(zip(i.tolist(), j.tolist(), strict=True)) <= set(naive.links(s, 3.0 + 1e-9, -1e-6))
    labels, best = linked(s, 3.0)
    parts = naive.partition(labels)
    assert all(any({a, b} <= part for part in parts) for a, b in zip(i.tolist(), j.tolist(), strict=True))
    touched = set(i.tolist()) | set(j.tolist())
    assert {k for k in range(len(rows)) if math.isfinite(best[k])} == touched
    assert all(part <= touched for part in parts if len(part) > 1)


def test_links_among_thousands_are_found_between_classes_of_reach():
    """A few whole districts among many villages and points: as many links as when every pair is tried."""
    rng = np.random.default_rng(3)
    rows = [
        (rng.uniform(0, 60), rng.uniform(0, 60), float(rng.choice([30.0, 2000.0, 15000.0], p=[0.5, 0.45, 0.05])), h)
        for h in rng.uniform(0, 100, 700)
    ]
    rows = [(e, n, m, (h, h + 20) if m > 9000 else h) for e, n, m, h in rows]
    s = statements(*rows)
    i, j, _ = links(s, 4.0, threshold=-3.0)
    tried = [(a, b) for a in range(700) for b in range(a + 1, 700) if log_ratio(s, a, b) > -3.0]
    near = [(a, b) for a, b in tried if naive.distance(naive.One(s, a), naive.One(s, b)) <= 4.0]
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == near
    assert len(near) > 100


@pytest.mark.parametrize(
    ("a", "b", "one"),
    [
        pytest.param((0, 0, 2000, 5), (0, 0, 2000, 5.2), True, id="same village, a quarter of an hour apart"),
        pytest.param((0, 0, 2000, 5), (30, 0, 2000, 5), False, id="thirty kilometres apart"),
        pytest.param((0, 0, 2000, (0, 24)), (0, 0, 2000, 15), True, id="a day's report holds an instant of that day"),
        pytest.param((0, 0, 2000, (0, 24)), (0, 0, 2000, (24, 48)), False, id="two days' reports share no instant"),
        pytest.param((0, 0, 2000, 5), (0, 0, 2000, 5, {"kinds": [0, 1]}), True, id="outgoing and impact are confused"),
        pytest.param((0, 0, 2000, 5), (0, 0, 2000, 5, {"group": 1}), False, id="kept apart"),
        pytest.param(
            (0, 0, 2000, (0, 24)), (0, 0, 2000, (0, 24), {"rate": 0.01}), False, id="where it happens all the time"
        ),
    ],
)
def test_one_occurrence_or_two(a, b, one):
    assert (len(links(statements(a, b), 4.0)[0]) == 1) is one


# ---- how often things happen -----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(-40e3, 40e3), st.floats(-40e3, 40e3), st.floats(-30 * DAY, 30 * DAY)), max_size=40))
def test_active_cells_and_days_are_counted_in_the_box_round_each(rows):
    columns = np.array(rows, np.float64).reshape(-1, 3).T.copy()
    ours = active_cell_days(*columns, 5000.0, 10000.0, 7)
    assert ours.tolist() == naive.active_cell_days(*columns, 5000.0, 10000.0, 7)


def test_fifty_reports_of_a_day_are_one_active_day():
    ours = active_cell_days(np.full(51, 100.0), np.zeros(51), np.r_[np.full(50, 0.5 * DAY), np.nan], 5000.0, 10000.0, 7)
    assert ours.tolist() == [1] * 50 + [0]
