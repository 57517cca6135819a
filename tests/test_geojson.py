"""Line files as people really send them: what is no trouble, what is told, what is refused."""

import gzip
import json
from datetime import date

import pytest
import shapely
from shapely import affinity

from a_line import EAST, FRAME, degrees, feature, written
from truceline import geojson
from truceline.errors import MissionError
from truceline.line import Line


def test_heights_byte_order_marks_and_collections_are_no_trouble(tmp_path):
    high = shapely.force_3d(shapely.geometry.shape(degrees(EAST)), 120.0)
    collection = {
        "type": "GeometryCollection",
        "geometries": [shapely.geometry.mapping(high), {"type": "Point", "coordinates": [37.5, 48.3, 1]}],
    }
    path = written(tmp_path, "\ufeff" + json.dumps({"type": "FeatureCollection", "features": [feature(collection)]}))
    line = Line.load([path], FRAME)
    assert not line.lines[0].path.has_z
    assert line.lines[0].area.area == pytest.approx(1e10, rel=1e-3)


@pytest.mark.parametrize("wrap", ["feature", "geometry"])
def test_a_bare_feature_or_geometry_is_read(tmp_path, wrap):
    geometry = degrees(EAST)
    path = written(tmp_path, json.dumps(feature(geometry) if wrap == "feature" else geometry))
    assert len(Line.load([path], FRAME).lines) == 1


def test_select_keeps_features_by_property_whatever_its_case(tmp_path):
    held = feature(degrees(EAST), fill="#A52714", status=1)
    other = feature(degrees(affinity.translate(EAST, -150)), fill="#0f9d58", status=2)
    path = written(tmp_path, other, held)
    line = Line.load([path], FRAME, select={"fill": ["#a52714"], "status": ["1"]})
    assert line.lines[0].area.area == pytest.approx(1e10, rel=1e-3)
    with pytest.raises(MissionError, match=r"no feature has fill = red; they have #0f9d58 \(1\), #A52714 \(1\)"):
        Line.load([path], FRAME, select={"fill": ["red"]})


def test_features_of_nothing_are_told(tmp_path):
    features = [
        feature(None),
        feature({"type": "Polygon", "coordinates": []}),
        feature(degrees(EAST)),
        feature({"type": "Point", "coordinates": [37, 48]}),
        feature(degrees(shapely.LineString([(0, 0), (9, 9)]))),
    ]
    line = Line.load([written(tmp_path, *features)], FRAME)
    name = "line_2023-01-02.geojson: "
    assert line.problems == [
        name + "feature 1 has no geometry; left out",
        name + "feature 2 has no geometry; left out",
        name + "left out: 1 point, neither area nor line",
        name + "left out: 1 line beside areas, whose border is the line",
    ]


def test_open_rings_are_closed_and_rings_of_two_places_left_out(tmp_path):
    ring = degrees(EAST)["coordinates"][0]
    geometry = {"type": "Polygon", "coordinates": [ring[:-1], ring[:2]]}
    line = Line.load([written(tmp_path, feature(geometry))], FRAME)
    assert line.lines[0].area.area == pytest.approx(1e10, rel=1e-3)
    assert [sentence.partition(": feature 1: ")[2] for sentence in line.problems] == [
        "a ring of 4 places was open; closed",
        "a ring of 2 places was open; closed",
        "a ring of 3 places is no area; left out",
    ]


def test_an_empty_file_of_features_leaves_the_line_before_it_in_force(tmp_path):
    good = written(tmp_path, feature(degrees(EAST)), name="line_2023-01-02.geojson")
    empty = written(tmp_path, name="line_2023-01-09.geojson")
    line = Line.load([good, empty], FRAME)
    assert line.at(date(2023, 1, 20)).day == date(2023, 1, 2)
    assert line.problems == [
        "line_2023-01-09.geojson: left out: no area and no line in it; the line before it stays in force"
    ]
    with pytest.raises(MissionError, match="no file has an area or a line"):
        Line.load([empty], FRAME)


def test_features_beyond_the_theatre_are_left_out_and_told(tmp_path):
    islands = feature({"type": "Polygon", "coordinates": [[[147, 44], [148, 44], [148, 45], [147, 44]]]})
    line = Line.load([written(tmp_path, feature(degrees(EAST)), islands)], FRAME)
    assert line.problems == ["line_2023-01-02.geojson: left out: feature 2, beyond 800 km of the theatre's centre"]


RING = degrees(EAST)["coordinates"][0]
PACKED = gzip.compress(json.dumps(feature(degrees(EAST))).encode(), mtime=0)
MERCATOR = {"type": "name", "properties": {"name": "EPSG:3857"}}


def polygon(ring):
    return json.dumps(feature({"type": "Polygon", "coordinates": [ring]})).encode()


def line_of(*points):
    return json.dumps(feature({"type": "LineString", "coordinates": points})).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"\x89PNG\r\n\x1a\n\x00", "not GeoJSON"),
        (b"\xff\xfe\x00", "not GeoJSON"),
        (b'{"type": "FeatureCollection", "features": [', "not GeoJSON: Input data was truncated"),
        (b"[1, 2]", "not GeoJSON: Expected `object`"),
        (b'{"rows": []}', "not GeoJSON: .*`type`"),
        (b'{"type": "FeatureCollection"}', "a FeatureCollection without features"),
        (b'{"type": "FeatureCollection", "features": [7]}', "feature 1: not GeoJSON"),
        (b'{"type": "Topology"}', "feature 1: its geometry cannot be read"),
        (PACKED[:-9], "a damaged gzip"),
        (PACKED[:90] + b"\x55\xaa" + PACKED[92:], "a damaged gzip"),
        (polygon([["a", 1], [2, 3], [4, 5], ["a", 1]]), "feature 1: its geometry cannot be read"),
        (polygon([[lat, lon] for lon, lat in RING]), "feature 1: .* seems to have latitude before longitude"),
        (line_of([48.3, 137.5], [49, 138]), r"feature 1: \(48\.3, 137\.5\) is no .* \(latitude before longitude\?\)"),
        (line_of([4.1e6, 6.1e6], [4.2e6, 6.1e6]), "is no longitude and latitude in degrees$"),
        (json.dumps({"type": "FeatureCollection", "features": [], "crs": MERCATOR}).encode(), "crs is 'EPSG:3857'"),
    ],
    ids=[
        *("empty", "binary", "not UTF-8", "cut off", "a list", "other JSON", "no features", "a number", "TopoJSON"),
        *(
            "cut gzip",
            "altered gzip",
            "no numbers",
            "latitude first",
            "latitude out of range",
            "metres",
            "other system",
        ),
    ],
)
def test_what_cannot_be_read_is_said_with_file_feature_and_value(tmp_path, content, message):
    path = written(tmp_path, content, name="line_2023-01-02.geojson.gz")
    with pytest.raises(MissionError, match=message) as raised:
        Line.load([path], FRAME)
    assert str(raised.value).startswith(str(path))


def test_absent_files_and_no_files_are_errors(tmp_path):
    with pytest.raises(MissionError, match=r"gone_2023-01-02\.geojson: cannot be read: No such file"):
        Line.load([tmp_path / "gone_2023-01-02.geojson"], FRAME)
    with pytest.raises(MissionError, match="line: no files"):
        Line.load([], FRAME)


def test_a_gzip_that_unpacks_without_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(geojson, "_MOST_BYTES", 2_000_000)
    path = written(tmp_path, gzip.compress(b" " * 3_000_000), name="line_2023-01-02.geojson.gz")
    with pytest.raises(MissionError, match="more than 2 MB"):
        Line.load([path], FRAME)
