"""What is handed out: picture.gpkg for QGIS, and any table as a file of a common format."""

import csv
import io
import json
import sqlite3
import stat
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pyogrio
import pyproj
import pytest
import shapely

import naive_store as naive
from truceline import columns, finding, observation, picture
from truceline.errors import StoreError
from truceline.kernels.ellipse import ellipses
from truceline.observation import ID, TIME
from truceline.store import Edition, export, publish
from truceline.store.kinds import KINDS
from truceline.store.publish import LAYERS
from truceline.store.styles import STYLES, qml

MADE = datetime(2023, 4, 2, 6, 0, tzinfo=UTC)
EDITION = Edition(4, None, "aa", "bb", "cc", 42_415, "0.1.0", MADE)
SQUARE = shapely.box(37.0, 47.5, 38.0, 48.5)


def ids(n: int, first: int = 1) -> pa.Array:
    return naive.binary([bytes([first + k]) * 16 for k in range(n)], 16)


def rows(schema: pa.Schema, n: int, **given: Any) -> pa.Table:
    """`n` rows of a schema with the given columns, the others null or empty."""
    made = {}
    for field in schema:
        if field.name in given:
            made[field.name] = pa.array(given[field.name], field.type)
        elif field.nullable:
            made[field.name] = pa.nulls(n, field.type)
        else:
            made[field.name] = pa.array([""] * n, field.type)
    return pa.table(made, schema)


@pytest.fixture
def tables() -> dict[str, pa.Table]:
    """Four incidents, one of them nowhere; five findings, one of them about no incident; two dated lines."""
    incidents = rows(
        picture.INCIDENTS,
        4,
        incident_id=ids(4),
        what=["explosion.impact", "fire", "uav", "burst"],
        alternatives=[[("fire", 0.25), ("burst", 0.05)], [], None, None],
        first_at=[MADE] * 4,
        lon=[37.5, 37.75, 38.0, None],
        lat=[48.0, 48.25, 48.5, None],
        major_m=[2000.0, 375.0, 0.0, None],
        minor_m=[500.0, 375.0, 0.0, None],
        tilt_deg=[45.0, 0.0, 0.0, None],
        sources=[["viina", "viirs"], ["viirs"], None, []],
        place=["3 km NE of Avdiivka", "Бахмут", None, None],
        p_conflict=[0.95, 0.28, None, 0.5],
    )
    findings = rows(
        finding.FINDINGS,
        5,
        finding_id=ids(5, 50),
        clause=["fire"] * 5,
        rule=["cessation"] * 5,
        reading=["a", "b", "a", "a", "a"],
        subject_kind=["incident"] * 4 + ["duty"],
        subject_id=naive.binary([bytes([k]) * 16 for k in (1, 1, 2, 4, 99)], 16),
        p_breach=[0.9, 0.8, 0.2, None, 1.0],
        factors=[[{"name": "inside the zone", "value": 0.93, "source": "assumption", "confidence": "low"}]] * 5,
        attribution=[[("undetermined", 1.0)]] * 5,
        sentence=["An explosion, 3 km NE of Avdiivka."] * 5,
    )
    line = rows(
        picture.LINE,
        2,
        date=["2023-03-27", "2023-04-03"],
        problems=[["ring 3 crosses itself"], []],
        geometry=[
            shapely.LineString([(37, 48), (38, 49)]).wkb,
            shapely.MultiLineString([[(37, 48), (38, 49)], [(36, 47), (37, 47.5)]]).wkb,
        ],
    )
    zones = pa.table({"id": ["security"], "name": ["Security zone"], "kind": ["band"], "geometry": [SQUARE.wkb]})
    sites = pa.table({"name": ["plant"], "lon": [34.59], "lat": [47.51]})
    events = rows(picture.EVENTS, 2, event_id=ids(2), incident_id=ids(2), what=["fire", "fire"], lon=[37.5, 37.75])
    events = events.set_column(events.column_names.index("lat"), "lat", pa.array([48.0, 48.25]))
    return {
        "incidents": incidents,
        "events": events,
        **moving(),
        "findings": findings,
        "line": line,
        "zones": zones,
        "sites": sites,
        "observations": naive.observations(naive.lines(6)),
        "cases": finding.CASES.empty_table(),
    }


def moving() -> dict[str, pa.Table]:
    """Two tracks, one of them of a single point; one movement."""
    tracks = rows(
        picture.TRACKS, 2, track_id=ids(2, 70), what=["vessel.cargo", "uav"], lon=[30.75, 37.5], lat=[46.5, 48.0]
    )
    points = rows(
        picture.TRACK_POINTS,
        3,
        track_id=naive.binary([bytes([k]) * 16 for k in (70, 70, 71)], 16),
        observation_id=ids(3, 80),
        at=[MADE + timedelta(minutes=1), MADE, MADE],
        lon=[30.75, 30.5, 37.5],
        lat=[46.5, 46.25, 48.0],
    )
    told = {"event_id": ids(1, 90), "track_id": ids(1, 70), "what": ["movement.dark"], "confidence": [0.7]}
    movements = rows(picture.MOVEMENTS, 1, **told, lon=[30.75], lat=[46.5])
    return {"tracks": tracks, "track_points": points, "movements": movements}


def read(path: Path, layer: str) -> pa.Table:
    _, table = pyogrio.read_arrow(path, layer=layer)
    return table


# picture.gpkg


def test_each_table_becomes_a_layer_with_all_its_rows(tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    path = tmp_path / "picture.gpkg"
    publish(path, tables, EDITION, ["VIINA, ODbL", "NASA FIRMS"])
    layers = dict(pyogrio.list_layers(path).tolist())
    assert layers.pop("layer_styles") is None
    assert layers == {
        "zones": "Polygon",
        "line": "MultiLineString",
        "sites": "Point",
        "ellipses": "Polygon",
        "observations": "Point",
        "tracks": "LineString",
        "movements": "Point",
        "events": "Point",
        "incidents": "Point",
        "findings": "Point",
    }
    assert list(layers) == list(LAYERS)
    boxes = {
        "incidents": (37.5, 48.0, 38.0, 48.5),
        "events": (37.5, 48.0, 37.75, 48.25),
        "findings": (37.5, 48.0, 37.75, 48.25),
        "line": (36.0, 47.0, 38.0, 49.0),
        "zones": SQUARE.bounds,
        "sites": (34.59, 47.51, 34.59, 47.51),
    }
    for layer in layers:
        about = pyogrio.read_info(path, layer=layer, force_total_bounds=True)
        assert about["features"] == tables.get(layer, tables["incidents"]).num_rows
        assert about["crs"] == "EPSG:4326"
        if layer in boxes:
            assert about["total_bounds"] == pytest.approx(boxes[layer])
    about = pyogrio.read_info(path, layer="incidents")
    assert about["layer_metadata"]["LICENCES"] == "VIINA, ODbL; NASA FIRMS"
    assert (about["layer_metadata"]["EDITION"], about["layer_metadata"]["RELEASE"]) == ("4", "mission")
    with closing(sqlite3.connect(path)) as raw:
        described = dict(raw.execute("SELECT table_name, description FROM gpkg_contents").fetchall())
        changed = {row[0] for row in raw.execute("SELECT last_change FROM gpkg_contents")}
    assert described["incidents"] == columns.TABLES["incidents"]
    assert {when[:10] for when in changed} == {"2023-04-02"}, "the edition's time, not the clock's"


def test_attributes_are_what_a_person_can_read(tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    """Ids are hexadecimal, lists and maps are text, hashes and bytes are left out."""
    publish(tmp_path / "p.gpkg", tables, EDITION)
    incident = read(tmp_path / "p.gpkg", "incidents").to_pylist()[0]
    assert incident["incident_id"] == "01" * 16
    assert incident["alternatives"] == "fire 0.25, burst 0.05"
    assert incident["sources"] == "viina; viirs"
    assert incident["first_at"].isoformat() == "2023-04-02T06:00:00+00:00"
    assert read(tmp_path / "p.gpkg", "incidents").to_pylist()[1]["place"] == "Бахмут"
    found = read(tmp_path / "p.gpkg", "findings").to_pylist()[0]
    assert found["factors"] == "inside the zone 0.93 (assumption, low)"
    assert not {"raw", "leaf"} & set(read(tmp_path / "p.gpkg", "observations").column_names)


def test_a_finding_is_where_its_incident_is(tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    """One about a duty, or an incident without a place, is in the table and nowhere on the map."""
    publish(tmp_path / "p.gpkg", tables, EDITION)
    found = read(tmp_path / "p.gpkg", "findings")
    shapes = shapely.from_wkb(found["geom"].to_pylist())
    places = [None if shape is None or shape.is_empty else (shape.x, shape.y) for shape in shapes]
    assert places == [(37.5, 48.0), (37.5, 48.0), (37.75, 48.25), None, None]


@pytest.mark.parametrize(("size", "rtol"), [(2.0, 1e-6), (2_000.0, 1e-9), (100_000.0, 1e-5)])
@pytest.mark.parametrize("lat", [-33.0, 0.0, 48.0, 65.0])
def test_an_ellipse_has_its_axes_and_its_tilt(lat: float, size: float, rtol: float) -> None:
    """Corners lie where the ellipse does, by geodesics: the long axis to the north-east, a quarter of it across."""
    (corners,), (box,) = ellipses(*(np.array([value]) for value in (37.5, lat, size, size / 4, 45.0)), 32)
    np.testing.assert_array_equal(box[[0, 2, 1, 3]], shapely.LinearRing(corners).bounds)
    assert (corners[-1] == corners[0]).all()
    assert shapely.LinearRing(corners).is_ccw
    corners, geodesic, n = corners[:-1], pyproj.Geod(ellps="WGS84"), 32
    bearing, _, distance = geodesic.inv(np.full(n, 37.5), np.full(n, lat), corners[:, 0], corners[:, 1])
    assert (distance.max(), distance.min()) == pytest.approx((size, size / 4), rel=rtol * 10)
    along, across = distance * np.cos(np.radians(bearing - 45)), distance * np.sin(np.radians(bearing - 45))
    np.testing.assert_allclose((along / size) ** 2 + (across / size * 4) ** 2, 1.0, rtol=rtol * 10)


def test_what_has_no_ellipse_has_none_on_the_map(tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    publish(tmp_path / "p.gpkg", tables, EDITION)
    shapes = shapely.from_wkb(read(tmp_path / "p.gpkg", "ellipses")["geom"].to_pylist())
    assert [shape is not None and shape.area > 0 for shape in shapes] == [True, True, False, False]


def test_what_is_not_given_has_no_layer_and_what_is_empty_has_one(tmp_path: Path) -> None:
    publish(
        tmp_path / "p.gpkg", {"incidents": picture.INCIDENTS.empty_table(), "line": picture.LINE.empty_table()}, EDITION
    )
    layers = dict(pyogrio.list_layers(tmp_path / "p.gpkg").tolist())
    assert layers == {"line": "MultiLineString", "ellipses": "Polygon", "incidents": "Point", "layer_styles": None}


def test_who_has_the_old_file_open_keeps_it_whole(tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    """A reader before, during and after a publication sees the old rows; one who opens after sees the new."""
    path = tmp_path / "picture.gpkg"
    publish(path, tables, EDITION)
    count = "SELECT count(*) FROM incidents"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        cursor = reader.execute("SELECT incident_id FROM incidents")
        cursor.fetchone()
        publish(path, {**tables, "incidents": tables["incidents"].slice(0, 1)}, EDITION)
        assert len(cursor.fetchall()) == 3
        assert reader.execute(count).fetchone() == (4,)
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as later:
            assert later.execute(count).fetchone() == (1,)
    assert [p.name for p in tmp_path.iterdir()] == ["picture.gpkg"]
    assert not stat.S_IMODE(path.stat().st_mode) & 0o222, "it is replaced, not edited"


def test_a_publication_that_fails_leaves_the_old_file(
    tmp_path: Path, tables: dict[str, pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "picture.gpkg"
    publish(path, tables, EDITION)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sys.modules["truceline.store.publish"], "_add_styles", fail)
    with pytest.raises(StoreError, match=r"picture\.gpkg: cannot be written: disk I/O error"):
        publish(path, tables, EDITION)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["picture.gpkg"]
    with pytest.raises(StoreError, match="cannot be written"):
        publish(tmp_path / "no" / "picture.gpkg", tables, EDITION)


def test_leftovers_of_a_program_that_edited_the_old_file_do_not_meet_the_new_one(
    tmp_path: Path, tables: dict[str, pa.Table]
) -> None:
    """A write-ahead log of the old file would be played into the new one."""
    path = tmp_path / "picture.gpkg"
    (tmp_path / "picture.gpkg-wal").write_bytes(b"old")
    publish(path, tables, EDITION)
    assert [p.name for p in tmp_path.iterdir()] == ["picture.gpkg"]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_style_of_a_layer_names_what_is_there(layer: str, tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    """Each rule has its symbol, and each column that a rule asks for is in the layer."""
    publish(tmp_path / "p.gpkg", tables, EDITION)
    with closing(sqlite3.connect(tmp_path / "p.gpkg")) as raw:
        ((text, default),) = raw.execute(
            "SELECT styleQML, useAsDefault FROM layer_styles WHERE f_table_name = ?", [layer]
        )
    assert (text, default) == (qml(layer), 1)
    style = ElementTree.fromstring(text.split("\n", 1)[1])
    rules, symbols = style.findall(".//rule"), style.findall(".//symbol")
    assert [rule.get("symbol") for rule in rules] == [symbol.get("name") for symbol in symbols]
    named = {part for rule in rules for part in rule.get("filter", "").split('"')[1::2]}
    assert named <= set(read(tmp_path / "p.gpkg", layer).column_names)


def test_a_track_is_a_path_in_the_order_of_time(tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    """Whatever the order of its points; a track of one point has no path."""
    publish(tmp_path / "p.gpkg", tables, EDITION)
    path, none = shapely.from_wkb(read(tmp_path / "p.gpkg", "tracks")["geom"].to_pylist())
    assert list(path.coords) == [(30.5, 46.25), (30.75, 46.5)]
    assert none is None


def test_no_probability_is_left_undrawn_and_none_is_drawn_twice() -> None:
    """The classes meet and cover 0 to 1; what has no probability is drawn by ELSE."""
    for layer in ("incidents", "events", "findings"):
        shown = [rule.shown for rule in STYLES[layer][2]]
        assert shown[-1] == "ELSE"
        for p in (0.0, 0.05, 0.1, 0.3, 0.49999, 0.5, 0.7, 0.9, 1.0):
            held = 0
            for expression in shown[:-1]:
                low, high = expression.split(" AND ")
                above = p >= float(low.split(">= ")[1])
                held += above and (p <= float(high.split("<= ")[1]) if "<=" in high else p < float(high.split("< ")[1]))
            assert held == 1


def test_parties_colours_are_not_used() -> None:
    """Fills are grey, white or one violet: neither the blue and yellow nor the white, blue and red of a flag."""
    for layer, (_, _, rules) in STYLES.items():
        for rule in rules:
            for name in ("color", "outline_color", "line_color"):
                red, green, blue = map(int, rule.symbol.get(name, "0,0,0").split(",")[:3])
                grey = max(red, green, blue) - min(red, green, blue) <= 4
                violet = blue > red > green and blue - red < 40
                assert grey or violet, (layer, rule.label, name)


# export


def exported(table: pa.Table, path: Path, format: str, name: str = "t") -> bytes:
    assert export(table, path, format, name) == table.num_rows
    return path.read_bytes()


def test_csv_is_flat_and_plain(tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    text = exported(tables["incidents"], tmp_path / "i.csv", "csv").decode()
    first, second = list(csv.DictReader(io.StringIO(text)))[:2]
    assert first["incident_id"] == "01" * 16
    assert first["first_at"] == "2023-04-02T06:00:00Z"
    assert first["alternatives"] == "fire 0.25, burst 0.05"
    assert (first["sources"], first["p_conflict"], first["killed"]) == ("viina; viirs", "0.95", "")
    assert second["place"] == "Бахмут"
    assert b"LINESTRING (37 48, 38 49)" in exported(tables["line"], tmp_path / "l.csv", "csv")


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")'])
def test_a_cell_that_a_spreadsheet_would_compute_is_defused(tmp_path: Path, cell: str) -> None:
    """Sources write what they like; numbers stay numbers."""
    table = pa.table({"text": [cell, "a = b", None], "raw": [cell.encode(), b"x", None], "lon": [-1.5, 2.0, 3.0]})
    text = exported(table, tmp_path / "t.csv", "csv").decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["text"] for row in rows] == ["'" + cell, "a = b", ""]
    assert rows[0]["raw"] == "'" + cell
    assert rows[0]["lon"] == "-1.5"


def test_bytes_that_are_not_text_are_shown_as_bytes(tmp_path: Path) -> None:
    table = pa.table({"raw": pa.array([b"\xffok", "ж".encode()], pa.large_binary())})
    rows = list(csv.DictReader(io.StringIO(exported(table, tmp_path / "t.csv", "csv").decode())))
    assert [row["raw"] for row in rows] == ["\\xffok", "ж"]


def test_geojson_is_rfc_7946(tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    """A feature a row with the row's id, longitude before latitude, no crs; no place, no geometry."""
    made = json.loads(exported(tables["incidents"], tmp_path / "i.geojson", "geojson"))
    assert set(made) == {"type", "features"}
    first, *_, last = made["features"]
    assert first["id"] == first["properties"]["incident_id"] == "01" * 16
    assert first["geometry"] == {"type": "Point", "coordinates": [37.5, 48.0]}
    assert last["geometry"] is None
    assert first["properties"]["alternatives"] == {"fire": 0.25, "burst": 0.05}
    assert first["properties"]["sources"] == ["viina", "viirs"]
    assert first["properties"]["first_at"] == "2023-04-02T06:00:00Z"
    assert first["properties"]["p_conflict"] == 0.95
    zone = json.loads(exported(tables["zones"], tmp_path / "z.geojson", "geojson"))["features"][0]
    assert zone["id"] == "security"
    ring = shapely.LinearRing(zone["geometry"]["coordinates"][0])
    assert ring.is_ccw, "outer rings run against the clock"
    assert json.loads(exported(tables["incidents"].slice(0, 0), tmp_path / "e.geojson", "geojson"))["features"] == []


def test_geojson_of_what_has_no_place_is_refused_with_advice(tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    with pytest.raises(StoreError, match=r"cases: GeoJSON needs positions.* take csv, parquet or arrow"):
        export(tables["cases"], tmp_path / "c.geojson", "geojson", "cases")
    assert not (tmp_path / "c.geojson").exists()


@pytest.mark.parametrize(
    ("name", "kinds"), [("incidents", ["Point"]), ("line", ["MultiLineString"]), ("zones", ["Polygon"])]
)
def test_parquet_with_places_is_geoparquet(
    tmp_path: Path, tables: dict[str, pa.Table], name: str, kinds: list[str]
) -> None:
    exported(tables[name], tmp_path / "t.parquet", "parquet")
    made = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    geo = json.loads(made.schema.metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert geo["columns"]["geometry"] == {"encoding": "WKB", "geometry_types": kinds}
    assert made.num_rows == tables[name].num_rows
    geopandas = pytest.importorskip("geopandas")
    frame = geopandas.read_parquet(tmp_path / "t.parquet")
    assert frame.crs == "OGC:CRS84"


def test_parquet_keeps_types_and_arrow_keeps_everything(tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    exported(tables["findings"], tmp_path / "f.parquet", "parquet")
    made = pyarrow.parquet.read_table(tmp_path / "f.parquet")
    assert b"geo" not in (made.schema.metadata or {})
    assert made["finding_id"].to_pylist()[0] == "32" * 16
    assert made["first_breach_from"].type == TIME
    body = exported(tables["findings"], tmp_path / "f.arrow", "arrow")
    assert pa.ipc.open_stream(body).read_all().equals(tables["findings"])


def test_a_dash_is_standard_output(capfdbinary: pytest.CaptureFixture[bytes], tables: dict[str, pa.Table]) -> None:
    for format in ("csv", "geojson", "parquet", "arrow"):
        assert export(tables["incidents"], "-", format) == 4
        assert len(capfdbinary.readouterr().out) > 500


def test_an_unknown_format_and_an_unwritable_place_are_said(tmp_path: Path, tables: dict[str, pa.Table]) -> None:
    with pytest.raises(StoreError, match="there is no format 'xlsx'; there are csv, geojson, parquet, arrow"):
        export(tables["cases"], tmp_path / "c", "xlsx")
    with pytest.raises(StoreError, match=r"c\.csv: cannot be written: No such file or directory"):
        export(tables["cases"], tmp_path / "no" / "c.csv", "csv")


SCHEMAS = {
    "observations": observation.CORE,
    "duplicates": observation.DUPLICATE,
    "rejections": observation.REJECTION,
    "associations": picture.ASSOCIATIONS,
    "events": picture.EVENTS,
    "tracks": picture.TRACKS,
    "track_points": picture.TRACK_POINTS,
    "movements": picture.MOVEMENTS,
    "incidents": picture.INCIDENTS,
    "findings": finding.FINDINGS,
    "cases": finding.CASES,
    "line": picture.LINE,
    "lineage": picture.LINEAGE,
    "verdicts": finding.VERDICT,
    **{f"{kind}s": KINDS[kind].schema for kind in ("notice", "file", "redaction")},
    "configuration": KINDS["configuration"].schema,
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_that_can_be_exported_is_described(name: str) -> None:
    """In its schema's order, with a sentence, and nothing is described that is not there."""
    described = columns.DESCRIPTIONS[name]
    assert set(described) == set(SCHEMAS[name].names)
    assert all(sentence.strip() == sentence and sentence.endswith((".", ",")) for sentence in described.values())
    assert columns.TABLES[name].endswith(".")


def test_every_table_that_is_named_is_described() -> None:
    assert set(columns.TABLES) == set(columns.DESCRIPTIONS)


def test_ids_keep_their_zeros(tmp_path: Path) -> None:
    table = pa.table({"event_id": pa.array([bytes(16), None, bytes(15) + b"\x01"], ID)})
    lines = exported(table, tmp_path / "t.csv", "csv").decode().splitlines()
    assert [line.strip('"') for line in lines] == ["event_id", "0" * 32, "", "0" * 31 + "1"]
