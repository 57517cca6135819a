"""Which points lie in which polygons: membership by the border rule, for many zones at once."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from a_zone import SQUARE, mixed, star
from naive_geometry import inside
from truceline.zones import ZoneIndex, mended

RING = SQUARE.difference(shapely.box(4, 4, 6, 6))


def held_by(areas, east, north, **options):
    """The zones that hold one point."""
    return ZoneIndex(areas, **options).members([east], [north])[1].tolist()


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
