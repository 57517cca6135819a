"""The theatre's plane against geodesics on the ellipsoid."""

import math

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline.frame import Frame, geodesic, range_band, wind

GEOD = pyproj.Geod(ellps="WGS84")
DONBAS = Frame(37.5, 48.3)
ODESA, RZESZOW, ROSTOV = (30.7233, 46.4825), (22.0, 50.04), (39.7, 47.23)


def away(angle, other):
    """The difference of two bearings, degrees, at most 180."""
    return np.abs((np.asarray(angle) - other + 180.0) % 360.0 - 180.0)


def from_the_centre(rng, count, radius_m=800_000.0):
    """Random places around the Donbas, by geodesics."""
    bearing, distance = rng.uniform(0, 360, count), radius_m * np.sqrt(rng.uniform(0, 1, count))
    lon, lat, _ = GEOD.fwd(np.full(count, DONBAS.lon), np.full(count, DONBAS.lat), bearing, distance)
    return np.asarray(lon), np.asarray(lat), bearing, distance


def test_distance_and_bearing_from_the_centre_are_the_geodesic_ones():
    """That is what the projection is for; everywhere else it is a little off."""
    lon, lat, bearing, distance = from_the_centre(np.random.default_rng(1), 500)
    east, north = DONBAS.to_local(lon, lat)
    np.testing.assert_allclose(np.hypot(east, north), distance, atol=1e-3)
    assert away(np.degrees(np.arctan2(east, north)), bearing).max() < 1e-6


@pytest.mark.parametrize(
    "centre", [(37.5, 48.3), (36.0, 0.0), (20.0, 70.0), (-70.0, -35.0), (179.0, 10.0), (10.0, 89.0)]
)
def test_the_plane_is_that_of_proj(centre):
    """To a micrometre there and back, near and farther than the polynomials reach, whatever comes with it."""
    frame, rng = Frame(*centre), np.random.default_rng(4)
    plane = pyproj.Proj(proj="aeqd", lon_0=centre[0], lat_0=centre[1], ellps="WGS84")
    lon, lat, _ = GEOD.fwd(*np.repeat([centre], 3000, 0).T, rng.uniform(0, 360, 3000), rng.uniform(0, 6e6, 3000))
    east, north = plane(lon, lat)
    np.testing.assert_allclose(frame.to_local(lon, lat), (east, north), atol=1e-6)
    back_lon, back_lat = frame.to_degrees(east, north)
    np.testing.assert_allclose(back_lat, lat, atol=1e-10)
    np.testing.assert_allclose(away(back_lon, lon) * np.cos(np.radians(lat)), 0.0, atol=1e-10)
    alone = np.array([frame.to_local(*one) for one in zip(lon[:40], lat[:40], strict=True)])
    np.testing.assert_array_equal(np.stack(frame.to_local(lon, lat))[:, :40], alone.T)


def test_there_and_back_again_is_the_same_place():
    lon, lat, _, _ = from_the_centre(np.random.default_rng(2), 500)
    back = DONBAS.to_degrees(*DONBAS.to_local(lon, lat))
    np.testing.assert_allclose(back, (lon, lat), atol=1e-9)


@pytest.mark.parametrize(
    ("place", "degrees"),
    [
        pytest.param(ODESA, -4.96, id="Odesa"),
        pytest.param(RZESZOW, -11.78, id="Rzeszow"),
        pytest.param(ROSTOV, 1.62, id="Rostov, east of the centre"),
        pytest.param((37.5, 50.0), 0.0, id="on the centre's meridian"),
    ],
)
def test_true_north_is_turned_from_grid_north(place, degrees):
    """West of the centre true north points to the right of grid north... by 5 degrees at Odesa: 900 m in 10 km."""
    assert DONBAS.convergence_deg(*place) == pytest.approx(degrees, abs=0.01)


@pytest.mark.parametrize(("place", "off"), [(ODESA, 0.07), (RZESZOW, 0.2), (ROSTOV, 0.01)])
def test_bearings_agree_with_where_a_geodesic_goes(place, off):
    """A kilometre along a true bearing, drawn in the plane, leaves along that bearing turned by convergence. North
    is exact; between north and east the plane bends angles by up to `off`."""
    bearing = np.arange(0.0, 360.0, 15.0)
    here = [np.full(len(bearing), degrees) for degrees in place]
    lon, lat, _ = GEOD.fwd(*here, bearing, np.full(len(bearing), 1000.0))
    (east, north), (from_e, from_n) = DONBAS.to_local(lon, lat), DONBAS.to_local(*place)
    drawn = np.degrees(np.arctan2(east - from_e, north - from_n))
    error = away(DONBAS.true_to_grid_deg(bearing, *place), drawn)
    assert error.max() < off
    assert error[0] < 0.01
    np.testing.assert_allclose(away(DONBAS.grid_to_true_deg(drawn, *place), bearing), error, atol=1e-9)


def test_the_scale_is_off_by_an_eighth_of_a_percent_at_odesa():
    """Along the circle about the centre, by (d / R)^2 / 6; towards the centre not at all."""
    distance, to_centre = geodesic(*ODESA, DONBAS.lon, DONBAS.lat)
    scale = []
    for bearing in (to_centre, to_centre + 90):
        lon, lat, _ = GEOD.fwd(*ODESA, bearing, 1000.0)
        scale.append(math.dist(DONBAS.to_local(lon, lat), DONBAS.to_local(*ODESA)) / 1000.0 - 1.0)
    assert distance == pytest.approx(549_850, abs=1)
    assert scale[0] == pytest.approx(0.0, abs=2e-5)
    assert scale[1] == pytest.approx((distance / 6_371_000) ** 2 / 6, abs=3e-5)
    assert scale[1] == pytest.approx(0.0012, abs=1e-4)


@settings(deadline=None, max_examples=100)
@given(st.floats(1, 1e5), st.floats(0.001, 1.0), st.floats(0, 179.9), st.floats(25, 45), st.floats(44, 52))
def test_an_ellipse_becomes_a_covariance_and_comes_back(major, flat, tilt, lon, lat):
    minor = flat * major
    found = DONBAS.ellipse(lon, lat, *DONBAS.covariance(lon, lat, major, minor, tilt))
    assert found[0] == pytest.approx(major, rel=1e-6)
    assert found[1] == pytest.approx(minor, rel=1e-3, abs=1e-6 * major)
    if flat < 0.99:
        assert away(2 * found[2], 2 * tilt) < 1e-3  # an ellipse turned by 180 degrees is the same
    assert 0 <= found[2] < 180


def test_a_tilt_is_turned_into_the_plane():
    """An ellipse along true north at Rzeszow leans 12 degrees east in the plane: its points are there."""
    var_e, cov, var_n = DONBAS.covariance(*RZESZOW, 1000.0, 0.0, 0.0)
    grid = math.degrees(0.5 * math.atan2(2 * cov, var_n - var_e))
    assert grid == pytest.approx(11.78, abs=0.01)
    (from_e, from_n), (east, north) = (DONBAS.to_local(RZESZOW[0], lat) for lat in (RZESZOW[1], RZESZOW[1] + 0.01))
    assert grid == pytest.approx(math.degrees(math.atan2(east - from_e, north - from_n)), abs=0.01)


def test_what_is_not_there_stays_not_there():
    """NaN, and degrees that are none, give NaN in every direction and lie within no radius."""
    lon, lat = np.array([np.nan, 37.0, 400.0, 37.0]), np.array([48.0, np.nan, 48.0, -91.0])
    assert np.isnan(DONBAS.to_local(lon, lat)).all()
    assert np.isnan(DONBAS.to_degrees(lon * np.nan, lat)).all()
    assert np.isnan(DONBAS.convergence_deg(lon, lat)).all()
    assert np.isnan(DONBAS.covariance(37.0, 48.0, np.nan, 1.0, 0.0)).all()
    assert not DONBAS.within(lon, lat).any()


def test_within_the_theatre_is_within_its_radius():
    near, far = (GEOD.fwd(DONBAS.lon, DONBAS.lat, 250.0, metres)[:2] for metres in (799_999.0, 800_001.0))
    assert DONBAS.within(*near)
    assert not DONBAS.within(*far)


def test_geodesic_gives_metres_and_a_true_bearing():
    """A degree of latitude by the series for the meridian (111,132.954 - 559.822 cos 2 lat + 1.175 cos 4 lat)."""
    distance, bearing = geodesic(30.0, 50.0, 30.0, 49.0)
    double = math.radians(2 * 49.5)
    assert distance == pytest.approx(111_132.954 - 559.822 * math.cos(double) + 1.175 * math.cos(2 * double), abs=1)
    assert bearing == pytest.approx(180.0)
    assert geodesic(30.0, 50.0, 29.0, 50.0)[1] == pytest.approx(270.38, abs=0.01)


@pytest.mark.parametrize(
    ("bearing", "points", "name"),
    [
        (0, 16, "N"), (11.2, 16, "N"), (11.25, 16, "NNE"), (44, 16, "NE"), (348.8, 16, "N"), (348.7, 16, "NNW"),
        (360, 16, "N"), (-45, 16, "NW"), (44, 8, "NE"), (22.4, 8, "N"), (200, 4, "S"),
        (math.nan, 16, "an undetermined direction"),
    ],
)  # fmt: skip
def test_a_bearing_has_the_name_of_a_wind(bearing, points, name):
    assert wind(bearing, points) == name


@pytest.mark.parametrize(
    ("distance_m", "band"),
    [
        (0, "less than 1km"), (999, "less than 1km"), (1000, "1-2km"), (2500, "2-3km"), (4999, "3-5km"),
        (5000, "5-10km"), (14_999, "10-15km"), (15_000, "more than 15km"), (math.nan, "an undetermined distance"),
    ],
)  # fmt: skip
def test_a_distance_has_a_band(distance_m, band):
    assert range_band(distance_m) == band


@settings(deadline=None)
@given(st.floats(-74, 74), st.floats(-180, 180), st.floats(-1.4, 1.4), st.floats(-1.4, 1.4))
def test_short_geodesics_are_geodesics(lat, lon, east, north):
    """By Bowring's formulas: 4 mm, and beyond a kilometre a millionth of a degree."""
    distance, bearing = geodesic(lon, lat, lon + east, lat + north)
    forward, _, metres = GEOD.inv(lon, lat, lon + east, lat + north)
    assert distance == pytest.approx(metres, abs=4e-3)
    assert metres < 1000 or away(bearing, forward) < 1e-6


def test_long_geodesics_are_left_to_others():
    distance, bearing = geodesic([0.0, 30.0], [0.0, 89.0], [90.0, 30.1], [0.0, 89.5])
    forward, _, metres = GEOD.inv([0.0, 30.0], [0.0, 89.0], [90.0, 30.1], [0.0, 89.5])
    np.testing.assert_array_equal(distance, metres)
    np.testing.assert_allclose(bearing, np.mod(forward, 360))
