"""The tracker's kernels against textbook twins: how objects move, what an update does, which detections are near."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_tracker as naive
from truceline.fuse.detections import codes, detections
from truceline.fuse.motion import CLASSES, MOTIONS, parameters
from truceline.kernels import abreast as ab
from truceline.kernels import gate as g
from truceline.kernels import motion as mo

POSITION, VELOCITY = slice(0, 2), slice(2, 4)


@pytest.fixture(scope="module")
def table():
    return parameters(MOTIONS)


def coefficients(dt, kind, table):
    return mo.coefficients(dt, kind, table, np.full((mo.STEPS, mo.COEFFICIENTS), np.nan))


def steps(dt, kind, table):
    row = table[kind]
    return [
        naive.step(dt, row[mo.Q], row[mo.DECAY]),
        naive.step(dt, row[mo.Q_MANOEUVRE], row[mo.DECAY_MANOEUVRE]),
    ]


def change(c):
    """How the models change, (2, 2)."""
    return np.array([[1 - c[12], c[12]], [c[13], 1 - c[13]]])


def a_state(rng):
    """Two models of one object, written as a row, and as means and covariances."""
    means = [rng.normal(0, [500, 500, 20, 20]) for _ in range(2)]
    roots = [rng.normal(0, 1, (4, 4)) * np.array([[60.0], [60.0], [5.0], [5.0]]) for _ in range(2)]
    covs = [r @ r.T + np.diag([100.0, 100.0, 1.0, 1.0]) for r in roots]
    chance = np.array([0.7, 0.3])
    states = np.zeros((1, mo.STATE))
    states[0, mo.P_MANOEUVRE] = chance[1]
    for at, mean, cov in zip((mo.STEADY, mo.MANOEUVRING), means, covs, strict=True):
        states[0, at : at + 4], states[0, at + 4 : at + 14] = mean, naive.ten(cov)
    mean, cov = naive.moments(chance, means, covs)
    states[0, mo.BOTH : mo.BOTH + 4], states[0, mo.BOTH + 4 : mo.BOTH + 14] = mean, naive.ten(cov)
    return states, chance, means, covs


@pytest.mark.parametrize("kind", range(len(CLASSES)))
@pytest.mark.parametrize("dt", [0.5, 10.0, 300.0])
def test_a_step_is_the_integral_of_the_motion(kind, dt, table):
    """Decay, gain and noise of both models, for every class, against matrix exponentials integrated over time."""
    c = coefficients(dt, kind, table)
    for at, (f, q) in zip((2, 7), steps(dt, kind, table), strict=True):
        got = [c[at], c[at + 1], c[at + 2], c[at + 3], c[at + 4]]
        assert got == pytest.approx([f[2, 2], f[0, 2], q[0, 0], q[0, 2], q[2, 2]], rel=2e-5)


def test_a_velocity_forgets_itself_but_speeds_stay_those_of_the_class(table):
    """After days a manoeuvring ship may be anywhere a ship can be, not anywhere."""
    c = coefficients(86_400.0, 1, table)
    row = table[1]
    assert c[7] == pytest.approx(0.0, abs=1e-9)
    assert c[11] == pytest.approx(row[mo.Q_MANOEUVRE] / 2 / row[mo.DECAY_MANOEUVRE])


@pytest.mark.parametrize("with_velocity", [False, True])
def test_a_cycle_of_both_models_is_the_textbook_one(with_velocity, table):
    """Mixing, prediction, update by an ellipse (and a velocity), weights, the mixture's moments, the log density."""
    rng = np.random.default_rng(4)
    for kind in range(len(CLASSES)):
        states, chance, means, covs = a_state(rng)
        c = coefficients(10.0, kind, table)
        ellipse = np.array([[900.0, 200.0], [200.0, 2500.0]])
        where = rng.normal(0, 300, 2)
        seen = [(where, ellipse, POSITION)]
        ve = vn = variance = np.nan
        if with_velocity:
            ve, vn, variance = 3.0, -4.0, 4.0
            seen.append((np.array([ve, vn]), variance * np.eye(2), VELOCITY))
        log = mo.follow(
            states, 0, False, c, *where, 900.0, 200.0, 2500.0, ve, vn, variance
        )  # fmt: skip
        expected = naive.imm(chance, means, covs, change(c), steps(10.0, kind, table), seen)
        assert states[0, mo.P_MANOEUVRE] == pytest.approx(expected[0][1], rel=1e-4, abs=1e-12)
        for at, mean, cov in zip((mo.STEADY, mo.MANOEUVRING), expected[1], expected[2], strict=True):
            assert states[0, at : at + 4] == pytest.approx(mean, rel=1e-4, abs=1e-3)
            assert states[0, at + 4 : at + 14] == pytest.approx(naive.ten(cov), rel=1e-4, abs=1e-2)
        mean, cov = naive.moments(*expected[:3])
        assert states[0, mo.BOTH : mo.BOTH + 4] == pytest.approx(mean, rel=1e-4, abs=1e-3)
        assert states[0, mo.BOTH + 4 : mo.BOTH + 14] == pytest.approx(naive.ten(cov), rel=1e-4, abs=1e-2)
        assert log == pytest.approx(expected[3], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("first", [False, True])
def test_objects_side_by_side_are_what_each_is_by_itself(first, table):
    """To the last bit: tracks of a scan are worked in lanes, those with names one by one, and nobody can tell."""
    rng = np.random.default_rng(8)
    states = np.concatenate([a_state(rng)[0] for _ in range(ab.LANES)])
    alone, beside, w = states.copy(), states.copy(), np.empty(ab.ROWS * ab.LANES)
    seen, lanes = rng.normal(0, 300, (ab.LANES, 2)), range(ab.LANES - 1)
    steps = [coefficients(10.0 * (1 + lane % 3), lane % len(CLASSES), table) for lane in lanes]
    expected, got = np.empty(14), np.empty(14)
    for lane in lanes:
        ab.line_up(w, lane, states, lane, steps[lane], 4.5, 1e4)
    ab.look(w, len(lanes), 2500.0)
    for lane in lanes:
        mo.expected(states, lane, steps[lane], expected)
        ab.expected_of(w, lane, got)
        assert np.array_equal(got, expected)
        assert ab.place_of(w, lane) == (expected[0], expected[1])
        widest = np.linalg.eigvalsh([[expected[4], expected[5]], [expected[5], expected[6]]])[1] + 2500.0
        assert ab.reach_of(w, lane) == pytest.approx(4.5 * np.sqrt(widest))
    for lane in lanes:
        ab.enter(w, lane, beside, lane, first, steps[lane], *seen[lane], 900.0, 200.0, 2500.0)
    ab.follow(w, len(lanes))
    for lane in lanes:
        log = mo.follow(alone, lane, first, steps[lane], *seen[lane], 900.0, 200.0, 2500.0, np.nan, np.nan, np.nan)
        assert ab.leave(w, lane, beside, lane) == log
    assert np.array_equal(alone, beside)


def test_what_is_expected_is_the_mixture_a_step_later(table):
    """For the gate: exact where both models keep their velocity alike, and so it is tested there."""
    states, chance, means, covs = a_state(np.random.default_rng(7))
    same = table.copy()
    same[:, [mo.DECAY, mo.DECAY_MANOEUVRE]] = 0.0
    c = coefficients(20.0, 0, same)
    out = np.empty(14)
    mo.expected(states, 0, c, out)
    f, _ = naive.step(20.0, 0.0, 0.0)
    later = chance @ change(c)
    mean, cov = naive.moments(chance, means, covs)
    noise = sum(w * naive.step(20.0, q, 0.0)[1] for w, q in zip(later, same[0, [mo.Q, mo.Q_MANOEUVRE]], strict=True))
    assert out[:4] == pytest.approx(f @ mean)
    assert out[4:] == pytest.approx(naive.ten(f @ cov @ f.T + noise), rel=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.floats(20.0, 5e4), st.floats(0.0, 3e4), st.integers(0, 2**32 - 1))
def test_a_look_finds_what_is_near_and_nothing_else(count, cell_m, reach, seed):
    """Against going through all; also with a detection at the other end of the world."""
    rng = np.random.default_rng(seed)
    values = np.zeros((count, g.VALUES))
    values[:, g.EAST : g.NORTH + 1] = rng.uniform(-2e4, 2e4, (count, 2))
    values[0, g.EAST] = 1.9e7
    rows = rng.permutation(count)[: max(count // 2, 1)]
    start, order, places, density = g.hashed(values, rows, cell_m)
    found = np.empty(len(rows), np.int64)
    for east, north in rng.uniform(-2e4, 2e4, (5, 2)):
        n = g.near(east, north, reach, cell_m, start, order, places, found)
        assert len(set(found[:n])) == n
        assert set(found[:n]) == naive.within(values[rows][:, [g.EAST, g.NORTH]], east, north, reach)
    assert density >= 0.0


def test_the_density_of_scattered_detections_is_learned_from_the_cells_they_fill():
    """3,000 over 100 x 30 km are 1 a square kilometre, whatever the empty sea around."""
    rng = np.random.default_rng(3)
    values = np.zeros((3000, g.VALUES))
    values[:, g.EAST], values[:, g.NORTH] = rng.uniform(0, 1e5, 3000), rng.uniform(0, 3e4, 3000)
    for cell_m in (700.0, 1000.0, 1500.0):
        density = g.hashed(values, np.arange(3000), cell_m)[3]
        assert density == pytest.approx(1e-6, rel=0.15)


def test_a_distance_counts_ellipse_velocity_altitude_and_the_error_of_time(table):
    """Squared sigmas against matrices: a ship's minute is worth 300 m along its way, and nothing across."""
    p = np.zeros(14)
    p[:4] = [0.0, 0.0, 10.0, 0.0]
    cov = np.diag([400.0, 400.0, 1.0, 1.0])
    p[4:] = naive.ten(cov)
    states = np.zeros((1, mo.STATE))
    states[0, mo.ALT : mo.ALT + 6] = [1000.0, 0.0, 400.0, 0.0, 0.0, 0.0]
    seen = detections(
        np.array([0.0]), np.array([300.0]), np.array([30.0]), (100.0, 50.0, 200.0), np.zeros((1, 2), np.int64),
        at_sigma_s=30.0, altitude_m=(1100.0, 100.0), velocity_mps=(12.0, 0.0, 3.0),
    )  # fmt: skip
    position, rest, volume = g.apart(p, states, 0, mo.ALT, seen.values, 0, 0.0)
    s = cov[:2, :2] + np.array([[100.0, 50.0], [50.0, 200.0]]) + 900.0 * (np.diag([100.0, 0.0]) + np.eye(2))
    assert position == pytest.approx(np.array([300.0, 30.0]) @ np.linalg.inv(s) @ np.array([300.0, 30.0]))
    assert volume == pytest.approx(np.linalg.det(s))
    assert rest == pytest.approx(4.0 / 4.0 + 100.0**2 / (400.0 + 100.0 + 150.0**2))


def test_an_altitude_follows_its_fixes():
    """A climb of 5 m/s seen every 10 s is learned; the first altitude begins it."""
    states = np.zeros((1, mo.STATE))
    mo.begin(states, 0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, np.nan, np.nan, np.nan, 10.0)
    assert np.isnan(states[0, mo.ALT])
    for k in range(60):
        mo.altitude(states, 0, 10.0 * k, 1000.0 + 50.0 * k, 100.0, 0.1, 10.0)
    assert states[0, mo.ALT] == pytest.approx(1000.0 + 50.0 * 59, abs=5.0)
    assert states[0, mo.ALT + 1] == pytest.approx(5.0, abs=0.3)


def test_a_word_has_one_code_wherever_it_stands():
    """Codes depend on the word alone: not on its batch; null is 0; a scheme is the part before the colon."""
    import pyarrow as pa

    words = pa.array(["mmsi:1", None, "mmsi:2", "icao:4b1814"])
    all_, some = codes(words), codes(words.slice(2))
    assert all_[1] == 0
    assert len(set(all_.tolist())) == 4
    assert some.tolist() == all_[2:].tolist()
    scheme = codes(words, ":")
    assert scheme[0] == scheme[2] != scheme[3]
