"""Clustering in space and time: DBSCAN exactly, and linking, merging and episodes by likelihood."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import naive_cluster as naive
from truceline.kernels.cluster import NOISE, density_clusters, linked, links
from truceline.kernels.density import active_cell_days
from truceline.kernels.episode import Descent, Happenings, episodes, offspring_rate
from truceline.kernels.likelihood import Statements, log_ratio
from truceline.kernels.merge import UNNAMED, Sameness, merged

HOUR, DAY = 3600.0, 86400.0

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


def statements(*rows, kinds=2):
    """Each row: east, north (km), sigma (m), at (h) or (from, until) (h), and what differs from the rest."""
    n = len(rows)
    s = Statements(
        *(np.zeros(n) for _ in range(6)),
        np.full(n, np.inf),
        np.full(n, -np.inf),
        np.full(n, np.inf),
        np.zeros((n, kinds)),
        np.zeros((n, kinds)),
        np.full(n, math.log(1e-4)),
        np.zeros(n, np.int64),
    )
    for i, (east, north, sigma, when, *more) in enumerate(rows):
        given = more[0] if more else {}
        s.east_m[i], s.north_m[i] = 1000 * east, 1000 * north
        s.var_e[i], s.var_n[i], s.cov_en[i] = sigma**2, sigma**2 * given.get("ratio", 1.0), given.get("cov", 0.0)
        if isinstance(when, tuple):
            s.begins_s[i], s.ends_s[i] = when[0] * HOUR, when[1] * HOUR
            s.at_s[i] = (s.begins_s[i] + s.ends_s[i]) / 2
        else:
            s.at_s[i], s.var_s[i] = when * HOUR, given.get("sigma_s", 600.0) ** 2
        s.kinds[i] = given.get("kinds", [1.0] + [0.0] * (kinds - 1))
        s.log_rate[i] = math.log(given.get("rate", 1e-4))
        s.group[i] = given.get("group", 0)
    s.expected[:] = s.kinds @ AGREEMENT[:kinds, :kinds]
    return s


AGREEMENT = np.array([[1.0, 0.2, 0.0], [0.2, 1.0, 0.0], [0.0, 0.0, 0.0]])

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


# ---- merging ---------------------------------------------------------------------------------------------------------


def alone(n, **codes):
    """Statements that share nothing but what `codes` say."""
    fields = {name: np.arange(n) for name in Sameness._fields} | {"account": np.full(n, -1), "sensor": np.full(n, -1)}
    return Sameness(**(fields | {name: np.array(code) for name, code in codes.items()}))


def merge(s, same, log_repeat=-3.0):
    i, j, _ = links(s, 4.0)
    root, joint = merged(s, same, AGREEMENT[: s.kinds.shape[1], : s.kinds.shape[1]], i, j, log_repeat)
    return root.tolist(), joint


seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(2, 8))
def test_merging_is_greedy_and_judges_clusters_by_their_joint_statement(rng, n):
    rows = []
    for _ in range(n):
        begins, length = rng.uniform(0, 12), rng.uniform(1, 24)
        more = {"kinds": [[1.0, 0.0], [0.0, 1.0], [0.6, 0.3]][rng.integers(3)], "rate": 10 ** rng.uniform(-6, -3)}
        when = begins if rng.random() < 0.5 else (begins, begins + length)
        rows.append((*rng.uniform(0, 4, 2), rng.uniform(300, 3000), when, more | {"sigma_s": rng.uniform(300, 7200)}))
    for _ in range(n // 3):  # some say the same place and time, in other words
        copied, to = rng.choice(n, 2, replace=False)
        rows[to] = (*rows[copied][:4], rows[to][4] | {"sigma_s": rows[copied][4]["sigma_s"]})
    s = statements(*rows)
    at, when = ({row[:3]: k for k, row in enumerate(rows)}, {row[3]: k for k, row in enumerate(rows)})
    codes = {name: rng.integers(0, 3, n) for name in ("voice", "source", "sensor")}
    account = np.where(rng.random(n) < 0.5, -1, rng.integers(0, 3, n))
    same = alone(n, place=[at[r[:3]] for r in rows], moment=[when[r[3]] for r in rows], account=account, **codes)
    i, j, _ = links(s, 4.0)
    pairs = set(zip(i.tolist(), j.tolist(), strict=True))
    twin, margin = naive.merged(s, same, AGREEMENT[:2, :2], pairs, -3.0, UNNAMED)
    assume(margin > 1e-6)
    assert naive.partition(merge(s, same)[0]) == twin


def test_five_reports_of_one_shelling_are_one_event():
    s = statements(*[(0, 0, 2000, (0, 24))] * 3, (0, 0, 2000, 14), (2, 0, 2000, 14.1))
    root, joint = merge(s, alone(5, place=[0, 0, 0, 0, 1], voice=[0] * 5, source=[0] * 5))
    assert root == [0] * 5
    assert joint.var_e[0] == pytest.approx(2000.0**2)  # one source is no surer of the spot for repeating itself
    assert joint.at_s[0] == pytest.approx(14.05 * HOUR)


def test_three_posts_make_the_spot_sharper_and_one_post_thrice_does_not():
    rows = [(0, 0, 900, 5), (0.3, 0, 900, 5), (0, 0.3, 900, 5)]
    _, joint = merge(statements(*rows), alone(3))
    assert joint.var_e[0] == pytest.approx(900.0**2 / 3)
    assert joint.east_m[0] == pytest.approx(100.0)
    _, joint = merge(statements(*rows), alone(3, voice=[0, 0, 0]))
    assert joint.var_e[0] == pytest.approx(900.0**2)


def test_days_do_not_chain_into_a_month():
    """Reports that span two days each, one a day: no instant is common to the first and the third."""
    s = statements(*[(0, 0, 2000, (24 * day, 24 * day + 48), {"rate": 1e-7}) for day in range(30)])
    root, _ = merge(s, alone(30))
    assert max(np.bincount(root)) == 2


def test_villages_do_not_chain_along_the_line():
    """Twelve villages two kilometres apart, all shelled on one day: none reaches from the first to the last."""
    s = statements(*[(2 * k, 0, 2000, (0, 24), {"rate": 1e-5}) for k in range(12)])
    root, _ = merge(s, alone(12))
    largest = max(np.flatnonzero(np.array(root) == r)[-1] - r for r in set(root))
    assert largest <= 5
    together = linked(s, 4.0)[0]
    assert together.max() == 0  # though every link on the way holds


def test_twelve_villages_of_one_headline_are_twelve_events():
    s = statements(*[(2 * k, 0, 2000, (0, 24), {"rate": 1e-6}) for k in range(12)])
    root, _ = merge(s, alone(12, account=[0] * 12))
    assert root == list(range(12))


def test_an_account_repeated_at_one_place_may_be_one_event():
    s = statements((0, 0, 2000, 5), (0, 0, 2000, 5.2), (3, 0, 2000, 5.1))
    root, _ = merge(s, alone(3, account=[7, 7, 7], place=[0, 0, 1]))
    assert root == [0, 0, 2]


def test_one_post_hears_two_rounds_where_two_posts_hear_one():
    s = statements((0, 0, 900, 5, {"sigma_s": 60.0, "rate": 0.1}), (0.5, 0, 900, 5.02, {"sigma_s": 60.0, "rate": 0.1}))
    assert merge(s, alone(2))[0] == [0, 0]
    assert merge(s, alone(2, sensor=[4, 4]))[0] == [0, 1]


def test_of_one_sources_intervals_the_first_to_end_dates_the_event():
    """What was told at noon had happened by noon, however often it is told again in the evening."""
    s = statements((0, 0, 2000, (0, 12)), (0, 0, 2000, (6, 18)), (0, 0, 2000, (4, 20)))
    _, joint = merge(s, alone(3, source=[0, 0, 0], place=[0, 0, 0]))
    assert (joint.begins_s[0], joint.ends_s[0]) == (0.0, 12 * HOUR)
    _, joint = merge(s, alone(3, place=[0, 0, 0]))
    assert (joint.begins_s[0], joint.ends_s[0]) == (6 * HOUR, 12 * HOUR)


# ---- episodes --------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    st.floats(0, 20),
    st.floats(0.01, 30),
    st.floats(-30, 30),
    st.floats(0.01, 30),
    st.sampled_from([0.5, 6.0]),
    st.booleans(),
)
def test_the_rate_of_offspring_is_its_mean_over_both_intervals(a, length, lag, width, decay, after):
    given = [t * HOUR for t in (a, a + length, a + lag, a + lag + width)]
    ours = offspring_rate(2.0, decay * HOUR, int(after), *given)
    assert ours == pytest.approx(naive.offspring_rate(2.0, decay * HOUR, after, *given), rel=2e-3, abs=1e-8)


#: Two streams: acts, which lead to acts within the hour, and fires, which acts set and fires continue.
DESCENT = Descent(
    rate=np.array([[[1.0, 0.0], [0.02, 0.0]], [[0.0, 0.0], [0.03, 0.001]]]),
    decay_s=HOUR * np.array([[[1.0, 1.0], [6.0, 1.0]], [[1.0, 1.0], [12.0, 200.0]]]),
    after=np.array([[0, 1], [0, 1]]),
    spread_m=np.array([[1000.0, 500.0], [0.0, 200.0]]),
    horizon_s=HOUR * np.array([24.0, 240.0]),
    apart_s=HOUR * np.array([[1.0, 24.0], [0.0, 240.0]]),
    root_m=np.array([5000.0, 10000.0]),
)


def happenings(rows, rate=1e-5):
    east, sigma, begins, length, stream = (np.array(c, np.float64) for c in zip(*rows, strict=True))
    zero, n = np.zeros(len(rows)), len(rows)
    times = (begins * HOUR, (begins + length) * HOUR)
    return Happenings(
        east * 1000, zero, sigma**2, zero, sigma**2, *times, stream.astype(np.int64), np.full(n, math.log(rate))
    )


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(1, 9), st.sampled_from([1e-5, 1e-3]))
def test_every_event_goes_back_to_the_likeliest_of_all_earlier_ones(rng, n, rate):
    lengths = rng.choice([0.1, 2.0, 24.0], n) * rng.uniform(0.8, 1.2, n)
    columns = (
        rng.uniform(0, 12, n),
        rng.choice([300.0, 2000.0], n),
        rng.uniform(0, 24, n),
        lengths,
        rng.integers(0, 2, n),
    )
    h = happenings(list(zip(*columns, strict=True)), rate)
    twin, margin = naive.episodes(h, DESCENT, 6 * HOUR, 4.0)
    assume(margin > 0.01)  # the shortest intervals count as instants, to a thousandth
    assert episodes(h, DESCENT, 6 * HOUR, 4.0).tolist() == twin


def test_two_episodes_do_not_join_by_growing_into_each_other():
    """Two shellings 8 km apart, each with rounds towards the other: no round has two parents."""
    rows = [
        (0, 300, 0, 0.1, 0),
        (8, 300, 0, 0.1, 0),
        (2, 300, 0.5, 0.1, 0),
        (6, 300, 0.5, 0.1, 0),
        (4, 300, 0.9, 0.1, 0),
    ]
    root = episodes(happenings(rows, 1e-6), DESCENT, 6 * HOUR)
    assert root[0] == 0
    assert root[1] == 1


def test_an_episode_does_not_wander_along_the_line():
    rows = [(2 * k, 2000, 0.5 * k, 0.1, 0) for k in range(10)]
    root = episodes(happenings(rows, 1e-7), DESCENT, 6 * HOUR)
    assert all(2 * (k - root[k]) <= 5 for k in range(10))
    assert len(set(root.tolist())) > 1


@pytest.mark.parametrize(
    ("fire_at", "joined"),
    [
        pytest.param(3.0, True, id="three hours after the impact"),
        pytest.param(-3.0, False, id="before it"),
        pytest.param(60.0, False, id="days later"),
    ],
)
def test_a_fire_follows_an_impact_and_never_precedes_it(fire_at, joined):
    rows = [(0, 2000, 10, 0.1, 0), (1, 200, 10 + fire_at, 0.1, 1)]
    assert bool(episodes(happenings(rows), DESCENT, 6 * HOUR)[1] == 0) is joined


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
