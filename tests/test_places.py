"""Places as people say them, and the borders the map draws."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_places
from truceline import places
from truceline.errors import MissionError
from truceline.mission import Mission, hashes
from truceline.places import Gazetteer

AVDIIVKA = (37.75008, 48.14019)


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return Gazetteer.load()


@pytest.fixture
def village(tmp_path: Path) -> Path:
    """A gazetteer of a mission's own: two towns and a village."""
    path = tmp_path / "own.tsv"
    path.write_text(
        "name\tlon\tlat\tpopulation\nBig\t10.0\t50.0\t400000\nSmall\t10.3\t50.0\t0\nMid\t11.0\t50.0\t9000\n"
    )
    return path


# ---- words ---------------------------------------------------------------------------------------------------------


def test_inside_a_town_it_is_in_the_town(gazetteer: Gazetteer) -> None:
    assert gazetteer.words(*AVDIIVKA) == ["in Avdiivka"]


def test_outside_it_is_so_many_kilometres_and_a_wind_from_the_nearest(gazetteer: Gazetteer) -> None:
    """The wind says where the point lies as seen from the settlement."""
    assert gazetteer.words([37.78], [48.16]) == ["3 km NE of Avdiivka"]


def test_names_are_spelled_as_ukraine_spells_them_today(gazetteer: Gazetteer) -> None:
    """GeoNames' main names follow an older romanisation: Avdiyivka, Hulyaypole, Mar'yinka."""
    assert {"Avdiivka", "Huliaipole", "Marinka", "Kupiansk", "Kryvyi Rih", "Zaporizhzhia"} <= set(gazetteer.name)


def test_a_district_goes_by_the_name_of_its_town(gazetteer: Gazetteer) -> None:
    """GeoNames counts 352,088 people in Pravyi Bereh, a part of Mariupol, and 230,000 in Mariupol."""
    assert gazetteer.words(37.58519, 47.11498) == ["in Mariupol"]
    assert "Pravyi Bereh" not in {place.name for place in gazetteer.largest((37, 47, 38, 47.5), 5)}
    assert gazetteer.largest((37, 47, 38, 47.5), 1)[0].name == "Mariupol"


def test_a_village_at_the_edge_of_a_city_keeps_its_name(gazetteer: Gazetteer) -> None:
    """Opytne and Spartak lie within 10 km of the middle of Donetsk, and on the line of contact."""
    for name in ("Opytne", "Spartak", "Makiivka"):
        assert gazetteer.part_of[gazetteer.name == name][0] == ""


def test_winds_are_eight_when_near_and_sixteen_from_five_kilometres(village: Path) -> None:
    own = Gazetteer.load(village)
    near, far = own.words([11.03, 11.09], [50.0135, 50.032])
    assert near == "3 km NE of Mid"  # 55 degrees
    assert far == "7 km ENE of Mid"  # 61 degrees


def test_from_twenty_kilometres_distances_are_said_in_fives(village: Path) -> None:
    assert Gazetteer.load(village).words(11.0, 50.2) == ["20 km N of Mid"]


def test_a_town_is_as_large_as_its_people_would_fill(village: Path) -> None:
    """400,000 people fill a disc of 5.6 km; the village is a kilometre wide whatever its population."""
    own = Gazetteer.load(village)
    assert own.words([10.05, 10.1, 10.29, 10.28], [50, 50, 50, 50]) == [
        "in Big",
        "7 km E of Big",
        "in Small",
        "1 km W of Small",
    ]


def test_where_there_is_no_settlement_coordinates_are_said(gazetteer: Gazetteer) -> None:
    assert gazetteer.words([0.0, -70.5], [0.0, -33.25]) == ["0.00° N, 0.00° E", "33.25° S, 70.50° W"]


def test_a_point_that_is_not_known_is_said_to_be_undetermined(gazetteer: Gazetteer) -> None:
    assert gazetteer.words([np.nan], [48.0]) == ["undetermined place"]
    assert gazetteer.regions([np.nan], [48.0]) == [""]
    assert gazetteer.nearest([np.nan], [48.0])[0] == [-1]
    assert gazetteer.near(np.nan, 48.0, 10) == []


def test_no_points_give_no_words(gazetteer: Gazetteer) -> None:
    assert gazetteer.words([], []) == []
    assert gazetteer.regions([], []) == []


def test_regions_are_those_reports_speak_of(gazetteer: Gazetteer) -> None:
    found = gazetteer.regions([37.8, 39.3, 34.1, 36.6, 28.86], [48.0, 48.57, 44.95, 50.6, 47.0])
    assert found == ["Donetsk region", "Luhansk region", "Autonomous Republic of Crimea", "Belgorod region", "Moldova"]


# ---- nearest and near ----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=15)
@given(st.floats(19.5, 45.5), st.floats(39.5, 58.5), st.sampled_from([0, 5_000, 100_000]))
def test_the_nearest_is_the_nearest_on_the_ellipsoid(lon: float, lat: float, population: int) -> None:
    gazetteer = Gazetteer.load()
    index, distance = gazetteer.nearest(lon, lat, population)
    expected, metres = naive_places.nearest(gazetteer, lon, lat, population)
    assert distance[0] == pytest.approx(metres, abs=5e-3)
    assert gazetteer.name[index[0]] == gazetteer.name[expected]


def test_near_finds_all_within_the_radius_nearest_first(gazetteer: Gazetteer) -> None:
    found = gazetteer.near(*AVDIIVKA, radius_km=30, population=10_000)
    distances = naive_places.GEOD.inv(
        np.full(len(gazetteer.lon), AVDIIVKA[0]), np.full(len(gazetteer.lon), AVDIIVKA[1]), gazetteer.lon, gazetteer.lat
    )[2]
    assert len(found) == np.sum((distances <= 30_000) & (gazetteer.population >= 10_000))
    assert [place.distance_m for place in found] == sorted(place.distance_m for place in found)
    assert found[0].name == "Avdiivka"


def test_points_are_named_one_by_one_whatever_their_company(gazetteer: Gazetteer) -> None:
    rng = np.random.default_rng(3)
    lon, lat = rng.uniform(30, 40, 50), rng.uniform(45, 52, 50)
    assert gazetteer.words(lon, lat) == [w for x, y in zip(lon, lat, strict=True) for w in gazetteer.words(x, y)]


# ---- a mission's own table -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\tlon\tlat\nA\t1\t2\n", "column 'population' is missing"),
        ("name\tlon\tlat\tpopulation\nA\t10\t50\t5\nB\t200\t50\t5\n", "line 3: lon = 200.0"),
        ("name\tlon\tlat\tpopulation\nA\tnan\t50\t5\n", "line 2: lon = nan"),
        ("name\tlon\tlat\tpopulation\nA\teast\t50\t5\n", "not a tab-separated table"),
        ("", "not a tab-separated table"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.tsv"
    path.write_text(text)
    with pytest.raises(MissionError, match=said) as refused:
        Gazetteer.load(path)
    assert "bad.tsv" in str(refused.value)


def test_a_table_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(MissionError, match=r"none\.tsv"):
        Gazetteer.load(tmp_path / "none.tsv")


# ---- borders -------------------------------------------------------------------------------------------------------


def _drawn(layer: str, around: tuple[float, float, float, float]) -> float:
    """Degrees of line of `layer` within (west, south, east, north)."""
    return float(np.sum(shapely.length(shapely.intersection(places.basemap()[layer], shapely.box(*around)))))


def test_perekop_is_no_international_border() -> None:
    """General Assembly resolution 68/262: Crimea is drawn as part of Ukraine."""
    perekop = (33.5, 45.9, 34.9, 46.25)
    assert _drawn("borders", perekop) == 0
    assert _drawn("regions", perekop) > 0.3


def test_the_kerch_strait_is_an_international_border() -> None:
    assert _drawn("borders", (36.4, 44.9, 36.8, 45.75)) > 0.3


def test_the_line_between_serbia_and_kosovo_is_drawn_apart() -> None:
    assert _drawn("disputed", (20.3, 42.2, 21.8, 43.3)) > 1
    assert shapely.union_all(places.basemap()["disputed"]).bounds[2] < 22


def test_the_outer_border_has_the_coasts_of_crimea_and_azov_and_the_state_border() -> None:
    """An occupied area's edge is a contact line only where it is neither coast nor border."""
    border = places.outer_border()
    for name, lon, lat in [("Yalta", 34.16, 44.49), ("Mariupol", 37.55, 47.08), ("Milove", 40.13, 49.37)]:
        assert shapely.distance(border, shapely.Point(lon, lat)) < 0.05, name
    assert shapely.distance(border, shapely.Point(*AVDIIVKA)) > 0.5


def test_the_edge_of_the_map_is_not_a_coast() -> None:
    west = shapely.LineString([(19.5, 39.5), (19.5, 58.5)])
    assert shapely.length(shapely.intersection(places.outer_border(), west)) == 0


def test_the_sea_is_not_land() -> None:
    land = shapely.union_all(places.basemap()["land"])
    assert shapely.contains_xy(land, *AVDIIVKA)
    assert not shapely.contains_xy(land, 31.0, 44.0)


# ---- the build -----------------------------------------------------------------------------------------------------

BUILD = Path(__file__).parents[1] / "hatch_build.py"


def test_the_map_is_made_of_what_this_script_makes() -> None:
    """Up to date by the hash of the script and of its pinned packages; then building downloads nothing."""
    code = "import hatch_build, sys; sys.exit(0 if hatch_build.up_to_date() else 3)"
    done = subprocess.run([sys.executable, "-c", code], cwd=BUILD.parent, capture_output=True, check=False)
    assert done.returncode == 0, "assets are not of this script: pip install -e . " + done.stderr.decode()


def test_a_missing_package_is_named() -> None:
    code = "import hatch_build; hatch_build.packaged('no-such-package', 'data.shp')"
    done = subprocess.run([sys.executable, "-c", code], cwd=BUILD.parent, capture_output=True, text=True, check=False)
    assert "'no-such-package'" in done.stderr
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr


# ---- a mission's gazetteer -----------------------------------------------------------------------------------------


AGREEMENT = """
id = "a"
title = "A"
[[party]]
id = "p"
name = "P"
[[clause]]
id = "c"
type = "cessation"
title = "C"
parties = ["p"]
"""


def test_a_mission_s_own_gazetteer_is_among_the_files_its_picture_depends_on(village: Path) -> None:
    folder = village.parent
    (folder / "agreement.toml").write_text(AGREEMENT)
    text = 'name = "m"\nagreement = "agreement.toml"\ngazetteer = "own.tsv"\ncentre = {lon = 10, lat = 50}\n'
    (folder / "mission.toml").write_text(text + '[[source]]\nid = "s"\nfeed = "table"\npaths = ["*.csv"]\n')
    assert "gazetteer" in hashes(folder, Mission.load(folder))
