"""Points, and points known only roughly, in polygons: membership by the border rule, and exact probabilities."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_geometry import inside, nearest, probability
from scipy.integrate import dblquad
from scipy.special import ndtr
from shapely import affinity

from truceline.kernels import polyline
from truceline.zones import ZoneIndex, mended

SQUARE = shapely.box(0, 0, 10, 10)
RING = SQUARE.difference(shapely.box(4, 4, 6, 6))


def held_by(areas, east, north, **options):
    """The zones that hold one point."""
    return ZoneIndex(areas, **options).members([east], [north])[1].tolist()


def star(rng, corners=12, radius=100.0, centre=(0.0, 0.0), whole=False):
    """A polygon with spikes and bays; with `whole` numbers borders are easily hit."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = radius * rng.uniform(0.3, 1.0, corners)
    points = np.column_stack([centre[0] + reach * np.cos(angles), centre[1] + reach * np.sin(angles)])
    return shapely.Polygon(np.rint(points) if whole else points)


def mixed(rng, count=60, spread=1000.0):
    """Circles, stars, boxes, corridors and rings, lying over each other."""
    areas = []
    for i in range(count):
        x, y, size = *rng.uniform(0, spread, 2), rng.uniform(5, 60)
        areas += [
            [
                shapely.Point(x, y).buffer(size),
                star(rng, 30, size, (x, y)).buffer(0),
                shapely.box(x - size, y - size / 2, x + size, y + size),
                shapely.LineString(np.cumsum(rng.normal(0, size, (20, 2)), axis=0) + (x, y)).buffer(size / 5),
                shapely.Point(x, y).buffer(size) - shapely.Point(x + size / 4, y).buffer(size / 2),
            ][i % 5]
        ]
    return areas


seeds = st.integers(0, 2**32 - 1)


# ---- the border rule -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("east", "north", "within"),
    [
        pytest.param(0, 5, True, id="western border belongs"),
        pytest.param(10, 5, False, id="eastern border does not"),
        pytest.param(5, 0, True, id="southern border belongs"),
        pytest.param(5, 10, False, id="northern border does not"),
        pytest.param(0, 0, True, id="south-western corner belongs"),
        pytest.param(10, 0, False, id="south-eastern corner does not"),
        pytest.param(0, 10, False, id="north-western corner does not"),
        pytest.param(10, 10, False, id="north-eastern corner does not"),
        pytest.param(5, 5, True, id="the middle"),
        pytest.param(math.nan, 5, False, id="no place, no zone"),
    ],
)
def test_a_point_on_a_border_counts_as_if_it_lay_a_hair_to_the_east(east, north, within):
    """On a border that runs due east-west: a hair to the north."""
    assert held_by([SQUARE], east, north) == ([0] if within else [])


def test_of_two_adjacent_zones_exactly_one_holds_a_point_on_their_border():
    west, east = shapely.box(0, 0, 5, 10), shapely.box(5, 0, 10, 10)
    assert held_by([west, east], 5, 3) == [1]
    assert held_by([east, west], 5, 3) == [0]


def test_the_border_of_a_hole_follows_the_same_rule():
    """The hole's western border is an eastern border of the zone, and the other way round."""
    assert held_by([RING], 4, 5) == []
    assert held_by([RING], 6, 5) == [0]
    assert held_by([RING], 5, 5) == []


@settings(deadline=None, max_examples=60)
@given(seeds)
def test_every_point_of_a_divided_square_lies_in_exactly_one_part(seed):
    """Triangles that fill a square, corners on whole numbers, and every whole-number point asked: most of them
    lie on borders, and many on corners where a dozen triangles meet."""
    rng = np.random.default_rng(seed)
    corners = [(0, 0), (12, 0), (12, 12), (0, 12), *map(tuple, rng.integers(0, 13, (10, 2)))]
    triangles = shapely.get_parts(shapely.delaunay_triangles(shapely.MultiPoint(corners)))
    east, north = (a.ravel().astype(float) for a in np.meshgrid(np.arange(13), np.arange(13)))
    points, _ = ZoneIndex(list(triangles)).members(east, north)
    in_square = (east < 12) & (north < 12)
    np.testing.assert_array_equal(np.bincount(points, minlength=len(east)), in_square)


@settings(deadline=None, max_examples=60)
@given(seeds)
def test_whole_number_polygons_hold_the_points_that_exact_fractions_say(seed):
    rng = np.random.default_rng(seed)
    areas = mended(np.array([star(rng, 9, 6, whole=True) for _ in range(4)], object))
    east, north = (a.ravel().astype(float) for a in np.meshgrid(np.arange(-7, 8), np.arange(-7, 8)))
    points, zones = ZoneIndex(list(areas), cells=int(rng.choice([1, 16, 300]))).members(east, north)
    found = set(zip(points.tolist(), zones.tolist(), strict=True))
    for zone, area in enumerate(areas):
        for i in range(len(east)):
            assert ((i, zone) in found) == inside(area, east[i], north[i])


def test_rounding_decides_nothing_along_a_slanted_border():
    """Points within a few rounding errors of a border of 100 km, where the plain formula is a coin toss."""
    rng = np.random.default_rng(4)
    a, b = (-31_234.567, 17.3), (68_111.1, 45_678.9)
    below = shapely.Polygon([a, (b[0], a[1]), b])
    above = shapely.Polygon([a, b, (a[0], b[1])])
    share = rng.uniform(0, 1, 400)
    east = a[0] + share * (b[0] - a[0]) + rng.integers(-2, 3, 400) * 7e-12
    north = a[1] + share * (b[1] - a[1])
    points, zones = ZoneIndex([below, above]).members(east, north)
    np.testing.assert_array_equal(points, np.arange(400), "each in exactly one of the two")
    for i in range(400):
        assert inside(below, east[i], north[i]) == (zones[i] == 0)


# ---- many zones ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [1, 200, 2**18])
def test_pairs_are_those_of_shapely_whatever_the_raster(cells):
    """`within` and `intersects` differ on the border alone; no random point lies on one."""
    rng = np.random.default_rng(1)
    areas = mixed(rng)
    east, north = rng.uniform(-50, 1050, (2, 20_000))
    points, zones = ZoneIndex(areas, cells=cells).members(east, north)
    tree = shapely.STRtree(areas)
    for predicate in ("within", "intersects"):
        expected = tree.query(shapely.points(east, north), predicate=predicate)
        np.testing.assert_array_equal(np.stack([points, zones]), expected[:, np.lexsort(expected[::-1])])


def test_pairs_are_those_of_geopandas_except_on_borders_where_the_rule_decides():
    geopandas = pytest.importorskip("geopandas")
    rng = np.random.default_rng(2)
    areas = [shapely.box(x, y, x + 3, y + 2) for x in range(0, 30, 3) for y in range(0, 30, 2)]
    east, north = rng.integers(0, 60, (2, 4000)) / 2.0  # a third of them on borders
    zones = geopandas.GeoDataFrame(geometry=areas)
    points = geopandas.GeoDataFrame(geometry=geopandas.points_from_xy(east, north))
    pairs = {}
    for predicate in ("within", "intersects"):
        joined = geopandas.sjoin(points, zones, predicate=predicate)
        pairs[predicate] = set(zip(joined.index, joined["index_right"], strict=True))
    ours = set(zip(*(a.tolist() for a in ZoneIndex(areas).members(east, north)), strict=True))
    assert pairs["within"] < ours < pairs["intersects"]
    assert all(inside(areas[zone], east[i], north[i]) for i, zone in ours - pairs["within"])
    assert not any(inside(areas[zone], east[i], north[i]) for i, zone in pairs["intersects"] - ours)
    assert len(ours) == len({i for i, _ in ours}), "boxes side by side share no point"


def test_the_answer_does_not_depend_on_order_or_batches():
    rng = np.random.default_rng(3)
    index = ZoneIndex(mixed(rng))
    rows = rng.uniform(0, 1000, (2, 3000)), rng.uniform(1, 3000, (3, 3000))
    rows = np.vstack([rows[0], rows[1][0], np.zeros(3000), rows[1][1]])
    points, zones, p = index.probability(*rows)
    shuffle = rng.permutation(3000)
    back = np.concatenate(
        [
            np.stack([index.probability(*rows[:, part])[k] for k in (1, 2)])
            for part in np.array_split(np.arange(3000), 7)
        ],
        axis=1,
    )
    np.testing.assert_array_equal(back, [zones, p])
    mixed_points, mixed_zones, mixed_p = index.probability(*rows[:, shuffle])
    order = np.lexsort([mixed_zones, shuffle[mixed_points]])
    np.testing.assert_array_equal(shuffle[mixed_points][order], points)
    np.testing.assert_array_equal(mixed_p[order], p)


def test_zones_that_all_lie_over_each_other():
    """Every point has 300 pairs: the room for pairs grows as needed."""
    index = ZoneIndex([SQUARE] * 300)
    points, zones = index.members(np.full(20, 5.0), np.full(20, 5.0))
    np.testing.assert_array_equal(points, np.repeat(np.arange(20), 300))
    np.testing.assert_array_equal(zones, np.tile(np.arange(300), 20))
    assert len(index.probability(np.full(20, 5.0), 5.0, 1.0, 0.0, 1.0)[0]) == 6000


@pytest.mark.parametrize(
    "areas",
    [
        pytest.param([], id="no zones"),
        pytest.param([shapely.Polygon(), shapely.MultiPolygon()], id="empty polygons"),
        pytest.param([shapely.LineString([(0, 0), (9, 9)]), shapely.Point(5, 5)], id="nothing with an area"),
    ],
)
def test_zones_of_nothing_hold_nothing(areas):
    index = ZoneIndex(areas)
    assert [len(a) for a in index.members([5.0, 6.0], [5.0, 6.0])] == [0, 0]
    assert [len(a) for a in index.probability([5.0], [5.0], 1.0, 0.0, 1.0)] == [0, 0, 0]


def test_no_points_give_no_pairs():
    index = ZoneIndex([SQUARE])
    assert [len(a) for a in index.members([], [])] == [0, 0]
    assert [len(a) for a in index.probability([], [], [], [], [])] == [0, 0, 0]
    assert index.probability_in(0, [], [], [], [], []).shape == (0,)


def test_an_empty_zone_among_others_keeps_its_number():
    assert held_by([shapely.Polygon(), SQUARE, shapely.Polygon()], 5, 5) == [1]


def test_a_zone_that_crosses_itself_is_mended_and_areas_in_collections_count():
    """A bow tie becomes its two triangles; lines and points in a collection are left out."""
    bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    collection = shapely.GeometryCollection([shapely.Point(1, 1), shapely.GeometryCollection([SQUARE])])
    assert held_by([bow, collection], 1, 5) == [0, 1]
    assert held_by([bow, collection], 5, 1) == [1]


def test_a_zone_far_from_all_others_makes_the_raster_coarse_but_not_wrong():
    far = shapely.box(5e6, 5e6, 5e6 + 1, 5e6 + 1)
    assert held_by([RING, far], 5, 2) == [0]
    assert held_by([RING, far], 5, 5) == []
    assert held_by([RING, far], 5e6 + 0.5, 5e6 + 0.5) == [1]


# ---- probabilities -------------------------------------------------------------------------------------------------


def p_in(area, east=0.0, north=0.0, sd=(1.0, 1.0), correlation=0.0):
    """One distribution, one polygon."""
    covariance = correlation * sd[0] * sd[1]
    return float(ZoneIndex([area]).probability_in(0, east, north, sd[0] ** 2, covariance, sd[1] ** 2)[0])


def covariance_of(rng, least=0.5, most=60.0):
    """A covariance of any size, shape and direction."""
    turn, axes = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(least), np.log(most), 2))
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return turned @ np.diag(axes**2) @ turned.T


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
    put on corners of the division half of the time, where every part gets its angle's share."""
    rng = np.random.default_rng(seed)
    corners = np.vstack([[(0, 0), (100, 0), (100, 100), (0, 100)], rng.integers(0, 101, (12, 2))])
    parts = list(shapely.get_parts(shapely.delaunay_triangles(shapely.MultiPoint(corners))))
    mean = corners[rng.integers(0, len(corners))].astype(float) if seed % 2 else rng.uniform(-20, 120, 2)
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
    assert p_of([moved], mean + (east, north), covariance)[0] == pytest.approx(expected, abs=1e-7)
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


# ---- the nearest place on a line -----------------------------------------------------------------------------------


def segments_of(parts):
    return np.ascontiguousarray(np.vstack([np.hstack([p[:-1], p[1:]]) for p in parts]))


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_the_nearest_place_on_a_line_is_the_nearest_of_all_segments(seed):
    rng = np.random.default_rng(seed)
    parts = [np.cumsum(rng.normal(0, 10, (rng.integers(2, 40), 2)), axis=0) for _ in range(rng.integers(1, 4))]
    segments = segments_of(parts)
    east, north = rng.normal(0, 100, (2, 30))
    segment, distance, along = polyline.nearest(polyline.index_segments(segments), east, north)
    begins = np.concatenate([[0], np.cumsum(np.hypot(*(segments[:, 2:] - segments[:, :2]).T))])
    for i in range(30):
        expected, chainage = nearest(parts, east[i], north[i])
        assert distance[i] == pytest.approx(expected, abs=1e-9)
        assert begins[segment[i]] + along[i] == pytest.approx(chainage, abs=1e-6)


def test_of_equally_near_segments_the_first_is_taken():
    """At a bend both segments end there; the answer does not depend on how the tree was cut."""
    path = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)])
    segment, distance, along = polyline.nearest(
        polyline.index_segments(segments_of([path])), np.array([20.0]), np.array([-10.0])
    )
    assert (segment[0], along[0]) == (0, 10.0)
    assert distance[0] == pytest.approx(math.hypot(10, 10))


def test_without_a_line_or_a_place_there_is_no_nearest():
    none = polyline.nearest(polyline.index_segments(np.empty((0, 4))), np.array([1.0]), np.array([1.0]))
    line = polyline.index_segments(segments_of([np.array([(0.0, 0.0), (1.0, 0.0)])]))
    nowhere = polyline.nearest(line, np.array([np.nan]), np.array([1.0]))
    for segment, distance, along in (none, nowhere):
        assert segment[0] == -1
        assert np.isnan([distance[0], along[0]]).all()
