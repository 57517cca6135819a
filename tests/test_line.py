"""The dated line of contact: what is line, and what it says of a point."""

import math
from datetime import date

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from shapely import affinity

from a_line import EAST, FRAME, at, degrees, feature, loaded, one, written
from naive_geometry import nearest
from truceline import geojson, picture
from truceline.errors import MissionError
from truceline.frame import Frame
from truceline.line import DatedLine, Line

# ---- dates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "20230102T224957Z_1672699797.geojson",
        "deepstatemap_data_20230102.geojson.gz",
        "2023-01-02.json",
        "a_2023_01_02.geojson",
    ],
)
def test_the_date_is_in_the_file_s_name(tmp_path, name):
    line = Line.load([written(tmp_path, feature(degrees(EAST)), name=name)], FRAME)
    assert [dated.day for dated in line.lines] == [date(2023, 1, 2)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("front.geojson", "one date in its name, like line_2023-01-02.geojson; found none"),
        ("line_20231301.geojson", "found none"),
        ("line_2023-01-02_2023-01-03.geojson", "found 2023-01-02 and 2023-01-03"),
    ],
)
def test_no_date_or_two_are_an_error(tmp_path, name, message):
    with pytest.raises(MissionError, match=message):
        Line.load([written(tmp_path, feature(degrees(EAST)), name=name)], FRAME)


def test_two_files_of_one_date_are_an_error(tmp_path):
    paths = [written(tmp_path, feature(degrees(EAST)), name=n) for n in ("a_20230102.geojson", "b_20230102.geojson")]
    with pytest.raises(MissionError, match=r"b_20230102\.geojson: a second line of 2023-01-02, after .*a_20230102"):
        Line.load(paths, FRAME)


def test_a_line_holds_from_the_start_of_its_day_until_the_next_one(tmp_path):
    """Days are UTC days. Before the first line nothing can be said."""
    first = written(tmp_path, feature(degrees(EAST)), name="line_2023-01-02.geojson")
    second = written(tmp_path, feature(degrees(affinity.translate(EAST, 10))), name="line_2023-01-09.geojson")
    line = Line.load([second, first], FRAME)
    assert line.at(date(2023, 1, 1)) is None
    assert [line.at(date(2023, 1, d)).day.day for d in (2, 8, 9, 31)] == [2, 2, 9, 9]
    assert one(line, 5, 0, time="2023-01-01T23:59:59") == pytest.approx(
        {"line_date": None, "line_distance_m": math.nan, "chainage_m": math.nan, "p_inside": math.nan}, nan_ok=True
    )
    assert one(line, 5, 0, time="2023-01-02T00:00:00")["line_distance_m"] == pytest.approx(-5000, abs=1)
    assert one(line, 5, 0, time="2023-01-08T23:59:59")["line_date"] == "2023-01-02"
    assert one(line, 5, 0, time="2023-01-09T00:00:00")["line_distance_m"] == pytest.approx(5000, abs=1)


def test_a_row_without_a_time_has_no_line(tmp_path):
    found = loaded(tmp_path, EAST).against([1.0], [1.0], [1.0], [0.0], [1.0], [math.nan])
    assert found["line_date"].null_count == 1
    assert np.isnan(found["p_inside"]).all()


# ---- sides, distance, chainage, length -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("east_km", "sd_m"), [(0.0, 0.0), (0.3, 0.0), (0.3, 400.0), (-0.7, 400.0), (-5.0, 3000.0), (40, 10.0)]
)
def test_the_side_is_a_probability_under_the_ellipse_and_the_line_s_tolerance(tmp_path, east_km, sd_m):
    """For a straight line it is the normal distribution of the distance; both errors are taken jointly."""
    line = loaded(tmp_path, EAST, tolerance_m=500)
    expected = ndtr(east_km * 1000 / math.hypot(sd_m, 500))
    found = one(line, east_km, 3, sd_m)
    assert found["p_inside"] == pytest.approx(expected, abs=1e-5)
    assert found["line_distance_m"] == pytest.approx(-east_km * 1000, abs=0.5)


def test_distance_is_negative_inside_and_chainage_runs_from_the_south_west(tmp_path):
    strip = shapely.LineString(
        shapely.get_coordinates(
            geojson.to_degrees(shapely.LineString([(1e3, -50e3), (100e3, -50e3), (100e3, 50e3), (1e3, 50e3)]), FRAME)
        )
    )
    line = loaded(tmp_path, EAST, border=strip, trim_km=0.9)
    (dated,) = line.lines
    assert dated.path.length == pytest.approx(100e3, abs=300)
    low, high = one(line, -2, -40), one(line, 3, 40)
    assert (low["line_distance_m"], high["line_distance_m"]) == pytest.approx((2000, -3000), abs=1)
    assert (low["chainage_m"], high["chainage_m"]) == pytest.approx((10_000, 90_000), abs=200)


def test_a_length_depends_on_its_tolerance():
    """Teeth of 1 km every 2 km: drawn they make the line 1.41 times as long, at 2 km they are gone. Part by part: two
    parts in one straight line stay two."""
    teeth = shapely.LineString([(i * 1000.0, (i % 2) * 1000.0) for i in range(101)])
    dated = DatedLine(
        date(2023, 1, 2), "a", None, shapely.MultiLineString([teeth, affinity.translate(teeth, 150e3)]), 500
    )
    assert dated.length_m() == pytest.approx(2 * 100 * math.sqrt(2) * 1000)
    assert dated.length_m(500) == pytest.approx(dated.length_m())
    assert dated.length_m(2000) == pytest.approx(200_000, rel=1e-4)


def test_a_point_without_an_ellipse_has_a_distance_but_no_side(tmp_path):
    line = loaded(tmp_path, EAST)
    found = line.against([1000.0, math.nan], [0.0, 0.0], [math.nan, 1.0], [0.0, 0.0], [1.0, 1.0], at("2023-06-01"))
    assert np.isnan(found["p_inside"]).tolist() == [True, True]
    assert np.isnan(found["line_distance_m"]).tolist() == [False, True]
    assert np.isnan(found["chainage_m"]).tolist() == [False, True]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_each_row_gets_its_own_line_in_whatever_order_rows_come(tmp_path_factory, seed):
    """Against the slow twin for distance and chainage; shuffled and in batches for everything."""
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("line")
    paths = []
    for day in (3, 10, 17):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 15))
        reach = rng.uniform(20, 60, 15)
        shape = shapely.make_valid(shapely.Polygon(np.column_stack([reach * np.cos(angles), reach * np.sin(angles)])))
        paths.append(written(folder, feature(degrees(shape)), name=f"line_2023-01-{day:02}.geojson"))
    line = Line.load(rng.permutation(paths), FRAME)
    rows = np.vstack(
        [rng.normal(0, 50e3, (2, 40)), np.full((3, 40), 1e6), at("2023-01-01") + 86400 * rng.uniform(0, 25, 40)]
    )
    rows[3] = rng.uniform(-9e5, 9e5, 40)
    whole = line.against(*rows)
    shuffle = rng.permutation(40)
    for part in np.array_split(shuffle, 3):
        found = line.against(*rows[:, part])
        assert found["line_date"].equals(whole["line_date"].take(part))
        for name in ("line_distance_m", "chainage_m", "p_inside"):
            np.testing.assert_array_equal(found[name], whole[name][part])
    for i, day in enumerate(whole["line_date"].to_pylist()):
        if day is not None:
            dated = line.at(date.fromisoformat(day))
            distance, chainage = nearest([np.asarray(part.coords) for part in dated.path.geoms], rows[0, i], rows[1, i])
            assert abs(whole["line_distance_m"][i]) == pytest.approx(distance, abs=1e-6)
            assert (whole["line_distance_m"][i] < 0) == dated.area.contains(shapely.Point(rows[0, i], rows[1, i]))
            there = dated.path.geoms[0].interpolate(whole["chainage_m"][i]) if len(dated.path.geoms) == 1 else None
            at_most = distance + 1e-3  # where a loop closes, its begin and its end are equally right
            assert abs(whole["chainage_m"][i] - chainage) < 1e-3 or there.distance(shapely.Point(rows[:2, i])) < at_most


def test_parts_come_in_order_along_the_line(tmp_path):
    """The longest open part is the trunk, from its south-western end; others before or after it by the nearer end,
    turned to go on; closed loops last."""
    parts = {
        "trunk, drawn backwards": shapely.LineString([(60, 60), (0, 0)]),
        "far before": shapely.LineString([(-30, -30), (-40, -40)]),
        "near before": shapely.LineString([(-5, -5), (-10, -10)]),
        "after": shapely.LineString([(80, 80), (70, 70)]),
        "loop": shapely.LineString([(30, 40), (32, 40), (32, 42), (30, 40)]),
    }
    (dated,) = loaded(tmp_path, *parts.values()).lines
    begins = [np.round(np.asarray(part.coords)[0] / 1000).tolist() for part in dated.path.geoms]
    assert begins[:4] == [[-40, -40], [-10, -10], [0, 0], [70, 70]]
    assert dated.path.geoms[4].is_closed


def test_a_file_of_lines_has_no_sides(tmp_path):
    """Nothing says what lies on either side: no area, no probability; distances are positive."""
    line = loaded(tmp_path, shapely.LineString([(0, -50), (0, 50)]))
    assert line.lines[0].area is None
    found = one(line, 5, 0)
    assert found["line_distance_m"] == pytest.approx(5000, abs=1)
    assert found["chainage_m"] == pytest.approx(50_000, abs=100)
    assert math.isnan(found["p_inside"])


# ---- what of an area's border is line ------------------------------------------------------------------------------


def test_without_a_border_file_the_whole_border_is_line(tmp_path):
    (dated,) = loaded(tmp_path, EAST).lines
    assert dated.path.length == pytest.approx(400e3, rel=1e-3)


def test_what_runs_along_coast_or_international_border_is_not_line(tmp_path):
    """The border is drawn 2 km off and an inlet of 3 km is missing in it: within `trim_km` or back to it at once."""
    area = EAST.union(shapely.box(99, 10, 107, 13))  # a spit 7 km out, which the coast's drawing lacks
    coast = geojson.to_degrees(
        affinity.scale(shapely.LineString([(3, -52), (102, -52), (102, 52), (3, 52)]), 1e3, 1e3, origin=(0, 0)), FRAME
    )
    line = loaded(tmp_path, area, border=coast, trim_km=4)
    (part,) = line.lines[0].path.geoms
    assert part.length == pytest.approx(100e3, abs=8e3)
    assert abs(shapely.get_coordinates(part)[:, 0]).max() < 1000
    (sentence,) = line.problems
    assert "not taken for line: 1 piece of border" in sentence
    assert sentence.startswith("line_2023-01-02.geojson: ")


def test_a_border_far_away_trims_nothing_and_one_around_the_world_is_no_trouble(tmp_path):
    world = shapely.LineString([(-180, -80), (180, -80), (180, 80), (-180, 80), (-180, -80)])
    (dated,) = loaded(tmp_path, EAST, border=world).lines
    assert dated.path.length == pytest.approx(400e3, rel=1e-3)


def test_there_is_no_line_beyond_the_theatre(tmp_path):
    """The area goes on; the line ends at the theatre's radius."""
    path = written(tmp_path, feature(degrees(shapely.box(0, -300, 300, 300))))
    (dated,) = Line.load([path], Frame(37.5, 48.3, radius_m=100_000)).lines
    assert dated.path.length == pytest.approx(200e3, rel=0.01)


def test_loops_shorter_than_four_tolerances_are_not_line(tmp_path):
    line = loaded(tmp_path, EAST, shapely.box(-30, 0, -29.7, 0.3), tolerance_m=500)
    assert len(line.lines[0].path.geoms) == 1
    assert "not taken for line: 1 loop shorter than 2 km" in line.problems[0]
    assert one(line, -29.85, 0.15)["p_inside"] > 0.05, "it still is area"


def test_seams_between_areas_are_closed_and_told(tmp_path):
    """Two drawings of one front, 20 m apart for 100 km: not a line of contact."""
    line = loaded(tmp_path, EAST, shapely.box(100.02, -50, 150, 50))
    assert line.lines[0].path.length == pytest.approx(500e3, rel=2e-3)
    assert "seams between areas narrower than 100 m; closed" in line.problems[0]
    wide = loaded(tmp_path, EAST, shapely.box(101, -50, 150, 50))
    assert wide.lines[0].path.length == pytest.approx(698e3, rel=2e-3)


def test_slivers_are_told(tmp_path):
    line = loaded(tmp_path, EAST, shapely.box(-30, 0, -29.95, 20))
    assert any("1 sliver of area narrower than 100 m" in sentence for sentence in line.problems)


def test_rings_that_cross_themselves_are_mended_and_told(tmp_path):
    """Where, why, and what it did to the area."""
    bow = shapely.Polygon([(0, 0), (40, 40), (40, 0), (0, 40)])
    path = written(tmp_path, feature(degrees(EAST)), feature(degrees(affinity.translate(bow, -60))))
    line = Line.load([path], FRAME)
    (sentence,) = line.problems
    assert sentence.startswith("line_2023-01-02.geojson: feature 2: Self-intersection at 36.95")
    assert "mended, " in sentence
    assert line.lines[0].area.is_valid
    assert line.lines[0].problems == (sentence,)


# ---- the table -----------------------------------------------------------------------------------------------------


def test_the_table_has_the_line_as_it_was_used(tmp_path):
    line = loaded(tmp_path, EAST, tolerance_m=700)
    table = line.table()
    assert table.schema == picture.LINE
    (row,) = table.to_pylist()
    assert (row["date"], row["file"], row["tolerance_m"]) == ("2023-01-02", "line_2023-01-02.geojson", 700)
    assert row["length_km"] == pytest.approx(400, rel=2e-3)
    back = geojson.to_local(np.array([shapely.from_wkb(row["geometry"])], object), FRAME)[0]
    assert back.hausdorff_distance(line.lines[0].path) < 3
