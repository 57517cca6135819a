"""The probability that a point known only as a normal distribution lies in a polygon."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad
from scipy.special import ndtr
from shapely import affinity

from a_zone import SQUARE, covariance_of, mixed, star
from naive_geometry import probability
from truceline.zones import ZoneIndex, mended

seeds = st.integers(0, 2**32 - 1)


def p_in(area, east=0.0, north=0.0, sd=(1.0, 1.0), correlation=0.0):
    """One distribution, one polygon."""
    covariance = correlation * sd[0] * sd[1]
    return float(ZoneIndex([area]).probability_in(0, east, north, sd[0] ** 2, covariance, sd[1] ** 2)[0])


def p_of(areas, mean, covariance):
    """One distribution, several polygons, dense."""
    index = ZoneIndex(areas)
    args = (*mean, covariance[0, 0], covariance[0, 1], covariance[1, 1])
    return np.array([index.probability_in(zone, *args)[0] for zone in range(len(areas))])


def test_a_box_has_a_closed_form():
    p = p_in(shapely.box(-1, -2, 3, 0.5), sd=(2.0, 0.7))
    assert p == pytest.approx((ndtr(1.5) - ndtr(-0.5)) * (ndtr(0.5 / 0.7) - ndtr(-2 / 0.7)), abs=1e-8)


@pytest.mark.parametrize(
    ("east", "north", "expected"),
    [
        pytest.param(0, 500, 1 / 2, id="on a long border"),
        pytest.param(0, 0, 1 / 4, id="on a corner"),
        pytest.param(1000, 1000, 1 / 4, id="on the corner that does not belong"),
        pytest.param(1000, 500, 1 / 2, id="on the border that does not belong"),
        pytest.param(500, 500, 1.0, id="deep inside"),
        pytest.param(-500, 500, 0.0, id="far outside"),
        pytest.param(-1e-9, 500, 1 / 2, id="a nanometre outside"),
        pytest.param(1e-9, 500, 1 / 2, id="a nanometre inside"),
        pytest.param(-1, 500, ndtr(-1), id="one sigma outside"),
    ],
)
def test_the_border_is_a_probability_not_a_cut(east, north, expected):
    assert p_in(shapely.box(0, 0, 1000, 1000), east, north) == pytest.approx(expected, abs=1e-7)


def test_a_triangle_agrees_with_double_quadrature():
    def density(y, x):
        q = (x * x / 4 - 2 * 0.6 * x * y / (2 * 0.5) + y * y / 0.25) / (1 - 0.6**2)
        return math.exp(-0.5 * q) / (2 * math.pi * 2 * 0.5 * math.sqrt(1 - 0.6**2))

    expected, _ = dblquad(density, -1, 3, lambda x: -0.5, lambda x: -0.5 + (x + 1) / 2, epsabs=1e-9)
    triangle = shapely.Polygon([(-1, -0.5), (3, -0.5), (3, 1.5)])
    assert p_in(triangle, sd=(2.0, 0.5), correlation=0.6) == pytest.approx(expected, abs=1e-7)


def test_a_polygon_with_bays_and_a_hole_agrees_with_drawing_a_million_points():
    """Monte Carlo shares nothing with any formula; its own error is 0.0005."""
    rng = np.random.default_rng(11)
    area = star(rng, 20, 100) - shapely.Point(10, 5).buffer(15)
    covariance = covariance_of(rng, 30, 80)
    east, north = rng.multivariate_normal((12.0, -8.0), covariance, 1_000_000).T
    share = len(ZoneIndex([area]).members(east, north)[0]) / 1_000_000
    assert p_of([area], (12.0, -8.0), covariance)[0] == pytest.approx(share, abs=0.002)


@settings(deadline=None, max_examples=60)
@given(seeds)
def test_any_polygon_and_any_ellipse_agree_with_slow_quadrature(seed):
    """Within 1e-6; the aim was 1e-4."""
    rng = np.random.default_rng(seed)
    area = mended(np.array([star(rng, 10, 100)], object))[0]
    area = area.difference(shapely.Point(*rng.uniform(-20, 20, 2)).buffer(rng.uniform(5, 30), quad_segs=3))
    mean, covariance = rng.uniform(-120, 120, 2), covariance_of(rng)
    assert p_of([area], mean, covariance)[0] == pytest.approx(probability(area, mean, covariance), abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_the_parts_of_a_divided_square_add_up_to_the_square(seed):
    """Additivity, whatever the ellipse; and with a square far larger than the ellipse, to 1. The mean is
    mostly put on corners of the division, where every part gets its angle's share."""
    rng = np.random.default_rng(seed)
    corners = np.vstack([[(0, 0), (100, 0), (100, 100), (0, 100)], rng.integers(0, 101, (12, 2))])
    parts = list(shapely.get_parts(shapely.delaunay_triangles(shapely.MultiPoint(corners))))
    mean = corners[rng.integers(0, len(corners))].astype(float) if seed % 4 else rng.uniform(-20, 120, 2)
    covariance = covariance_of(rng)
    p = p_of([*parts, shapely.box(0, 0, 100, 100)], mean, covariance)
    assert p[:-1].sum() == pytest.approx(p[-1], abs=1e-6)
    around = shapely.box(-1e4, -1e4, 1e4, 1e4)
    assert p[-1] + p_of([around - shapely.box(0, 0, 100, 100)], mean, covariance)[0] == pytest.approx(1.0, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_moving_turning_and_redrawing_everything_changes_nothing(seed):
    """Shift, turn, and the direction and first point in which rings are drawn."""
    rng = np.random.default_rng(seed)
    area = mended(np.array([star(rng, 14, 100)], object))[0]
    area = area.difference(shapely.Point(*rng.uniform(-20, 20, 2)).buffer(10, quad_segs=2))
    mean, covariance = rng.uniform(-80, 80, 2), covariance_of(rng)
    expected = p_of([area], mean, covariance)[0]
    assert p_of([shapely.reverse(area)], mean, covariance)[0] == pytest.approx(expected, abs=1e-9)
    assert p_of([shapely.normalize(area)], mean, covariance)[0] == pytest.approx(expected, abs=1e-9)
    east, north = rng.uniform(-3e5, 3e5, 2)
    moved = affinity.translate(area, east, north)
    assert p_of([moved], mean + np.array([east, north]), covariance)[0] == pytest.approx(expected, abs=1e-7)
    turn = rng.uniform(0, 2 * np.pi)
    by = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    turned = affinity.affine_transform(area, [*by.ravel(), 0, 0])
    assert p_of([turned], by @ mean, by @ covariance @ by.T)[0] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("sd", "correlation", "expected"),
    [
        pytest.param((0.0, 0.0), 0.0, 1.0, id="no ellipse at all: a point, inside"),
        pytest.param((5.0, 0.0), 0.0, ndtr(1.6) - ndtr(-0.4), id="no minor axis: a line through the square"),
        pytest.param((0.0, 5.0), 0.0, ndtr(1.4) - ndtr(-0.6), id="no east-west extent"),
        pytest.param((5.0, 5.0), 1.0, ndtr(1.4) - ndtr(-0.4), id="fully correlated: a slanted line"),
        pytest.param((1e4, 1e-2), 0.0, ndtr(8e-4) - ndtr(-2e-4), id="a million times longer than wide"),
        pytest.param((1e9, 1e9), 0.0, 100 / (2 * math.pi * 1e18), id="everywhere alike"),
        pytest.param((math.nan, 1.0), 0.0, math.nan, id="an unknown variance"),
        pytest.param((math.inf, 1.0), 0.0, math.nan, id="an infinite variance"),
        pytest.param((1.0, 1.0), 1.5, math.nan, id="a correlation beyond 1"),
    ],
)
def test_ellipses_at_their_limits(sd, correlation, expected):
    assert p_in(SQUARE, 2.0, 3.0, sd, correlation) == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_a_negative_variance_is_no_covariance():
    assert np.isnan(ZoneIndex([SQUARE]).probability_in(0, 5.0, 5.0, -1.0, 0.0, 1.0)[0])


def test_a_line_along_a_border_is_half_inside():
    """Without a minor axis and on the border itself: nothing says which side, so neither does the answer."""
    assert p_in(shapely.box(0, 0, 1000, 1000), 500, 0, (5.0, 0.0)) == pytest.approx(0.5, abs=1e-6)


def test_sparse_pairs_are_the_dense_ones_above_the_threshold():
    """`probability` gives what `probability_in` gives, where it is more than one in a million; rows with NaN, in
    place or ellipse, give no pair, and are NaN in the dense form."""
    rng = np.random.default_rng(8)
    areas = mixed(rng, 40)
    index, n = ZoneIndex(areas), 400
    east, north = rng.uniform(-100, 1100, (2, n))
    covariances = np.array([covariance_of(rng, 0.01, 400) for _ in range(n)])
    rows = [east, north, covariances[:, 0, 0], covariances[:, 0, 1], covariances[:, 1, 1]]
    for k in range(5):
        rows[k][k] = np.nan
    dense = np.array([index.probability_in(zone, *rows) for zone in range(len(areas))]).T
    assert np.isnan(dense[:5]).all()
    points, zones, p = index.probability(*rows)
    expected = np.argwhere(dense > 1e-6)
    np.testing.assert_array_equal(np.column_stack([points, zones]), expected)
    np.testing.assert_array_equal(p, dense[points, zones])


def test_the_probability_of_a_point_is_its_membership():
    rng = np.random.default_rng(9)
    index = ZoneIndex(mixed(rng))
    east, north = rng.uniform(0, 1000, (2, 3000))
    pairs = np.stack(index.members(east, north))
    points, zones, p = index.probability(east, north, 0.0, 0.0, 0.0)
    np.testing.assert_array_equal(np.stack([points, zones]), pairs)
    assert (p == 1.0).all()


def test_a_zone_that_is_not_there_is_an_error():
    with pytest.raises(IndexError, match="zone 1 of 1"):
        ZoneIndex([SQUARE]).probability_in(1, 0.0, 0.0, 1.0, 0.0, 1.0)
