"""Statements merged into occurrences, occurrences told as episodes: each kernel against its slow twin."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import naive_cluster as naive
from a_statement import AGREEMENT, HOUR, statements
from truceline.kernels.cluster import linked, links
from truceline.kernels.episode import Descent, Happenings, episodes, offspring_rate
from truceline.kernels.merge import UNNAMED, Sameness, alike, merged

# ---- merging ---------------------------------------------------------------------------------------------------------


def alone(n, **codes):
    """Statements that share nothing but what `codes` say."""
    fields = {name: np.arange(n) for name in Sameness._fields} | {"account": np.full(n, -1), "sensor": np.full(n, -1)}
    return Sameness(**(fields | {name: np.array(code) for name, code in codes.items()}))


def merge(s, same, log_repeat=-3.0):
    begun, _ = alike(s, same)
    i, j = between(s, begun)
    root, joint = merged(s, same, AGREEMENT[: s.kinds.shape[1], : s.kinds.shape[1]], begun, i, j, log_repeat, 4.0)
    return root.tolist(), joint


def between(s, begun):
    """Links between the first of those that are alike."""
    i, j, _ = links(s, 4.0)
    first = (begun[i] == i) & (begun[j] == j)
    return i[first], j[first]


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
        rows[to] = rows[copied] if rng.random() < 0.5 else rows[to]
    s = statements(*rows)
    at, when = ({row[:3]: k for k, row in enumerate(rows)}, {row[3]: k for k, row in enumerate(rows)})
    codes = {name: rng.integers(0, 3, n) for name in ("voice", "source")}
    codes |= {name: np.where(rng.random(n) < 0.5, -1, rng.integers(0, 3, n)) for name in ("account", "sensor")}
    same = alone(n, place=[at[r[:3]] for r in rows], moment=[when[r[3]] for r in rows], **codes)
    begun, _ = alike(s, same)
    i, j = between(s, begun)
    pairs = set(zip(i.tolist(), j.tolist(), strict=True))
    twin, margin = naive.merged(s, same, AGREEMENT[:2, :2], begun.tolist(), pairs, -3.0, 4.0, UNNAMED)
    assume(margin > 1e-6)
    assert naive.partition(merge(s, same)[0]) == twin


def test_a_thousand_copies_are_one_statement_to_begin_with():
    """Unless a post is named, which seldom tells a thing twice, or so much happens that copies are nothing."""
    row = (0, 0, 2000, (0, 24))
    same = alone(4000, place=[0] * 4000, moment=[0] * 4000, source=[0] * 4000, voice=[0] * 4000)
    root, joint = merge(statements(*[row] * 4000), same)
    assert set(root) == {0}
    assert joint.var_e[0] == pytest.approx(2000.0**2)
    assert alike(statements(row, row), alone(2, place=[0, 0], source=[0, 0], moment=[0, 0], sensor=[3, 3]))[
        0
    ].tolist() == [0, 1]
    often = (*row, {"rate": 0.1})
    assert alike(statements(often, often), alone(2, place=[0, 0], source=[0, 0], moment=[0, 0]))[0].tolist() == [0, 1]


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
