"""A GeoPackage without GDAL: the tables of the standard (OGC 12-128, version 1.4), geometries, spatial indexes.

Columns are as GDAL names and reads them; https://www.geopackage.org/spec140/ says what each table is for.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from truceline.kernels import civil
from truceline.kernels.ellipse import ellipses
from truceline.store import pages

Floats = npt.NDArray[np.float64]

#: Corners of an ellipse: a polygon of 32 is within half a percent of the radius.
_CORNERS = 32
_SRS = 4326
#: "GPKG", version 1.4.0.
_APPLICATION, _VERSION = 0x47504B47, 10400
_WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,'
    'AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]'
)
_TABLES = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA page_size = {pages.PAGE_BYTES};
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY,
    organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
    description TEXT DEFAULT '', last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
    min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
    CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_ogr_contents (table_name TEXT NOT NULL PRIMARY KEY, feature_count INTEGER DEFAULT NULL);
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL,
    geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
    CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name), CONSTRAINT uk_gc_table_name UNIQUE (table_name),
    CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
    CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
CREATE TABLE gpkg_extensions (table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL,
    definition TEXT NOT NULL, scope TEXT NOT NULL, CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name));
CREATE TABLE gpkg_metadata (id INTEGER CONSTRAINT m_pk PRIMARY KEY ASC NOT NULL,
    md_scope TEXT NOT NULL DEFAULT 'dataset', md_standard_uri TEXT NOT NULL,
    mime_type TEXT NOT NULL DEFAULT 'text/xml', metadata TEXT NOT NULL DEFAULT '');
CREATE TABLE gpkg_metadata_reference (reference_scope TEXT NOT NULL, table_name TEXT, column_name TEXT,
    row_id_value INTEGER, timestamp DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
    md_file_id INTEGER NOT NULL, md_parent_id INTEGER,
    CONSTRAINT crmr_mfi_fk FOREIGN KEY (md_file_id) REFERENCES gpkg_metadata(id),
    CONSTRAINT crmr_mpi_fk FOREIGN KEY (md_parent_id) REFERENCES gpkg_metadata(id));
"""
_SYSTEMS = (
    ("Undefined Cartesian SRS", -1, "NONE", -1, "undefined", "undefined Cartesian coordinate reference system"),
    ("Undefined geographic SRS", 0, "NONE", 0, "undefined", "undefined geographic coordinate reference system"),
    ("WGS 84 geodetic", _SRS, "EPSG", _SRS, _WGS84, "longitude/latitude coordinates in decimal degrees on WGS 84"),
)
#: What keeps a layer's spatial index and count true when the file is edited, as the standard and GDAL have it.
_TRIGGERS = """
CREATE TRIGGER "rtree_{0}_geom_insert" AFTER INSERT ON "{0}" WHEN (NEW."geom" NOT NULL AND NOT ST_IsEmpty(NEW."geom"))
    BEGIN INSERT OR REPLACE INTO "rtree_{0}_geom" VALUES (NEW."fid", {1}); END;
CREATE TRIGGER "rtree_{0}_geom_update6" AFTER UPDATE OF "geom" ON "{0}" WHEN OLD."fid" = NEW."fid"
    AND (NEW."geom" NOTNULL AND NOT ST_IsEmpty(NEW."geom")) AND (OLD."geom" NOTNULL AND NOT ST_IsEmpty(OLD."geom"))
    BEGIN UPDATE "rtree_{0}_geom" SET minx = ST_MinX(NEW."geom"), maxx = ST_MaxX(NEW."geom"),
    miny = ST_MinY(NEW."geom"), maxy = ST_MaxY(NEW."geom") WHERE id = NEW."fid"; END;
CREATE TRIGGER "rtree_{0}_geom_update7" AFTER UPDATE OF "geom" ON "{0}" WHEN OLD."fid" = NEW."fid"
    AND (NEW."geom" NOTNULL AND NOT ST_IsEmpty(NEW."geom")) AND (OLD."geom" ISNULL OR ST_IsEmpty(OLD."geom"))
    BEGIN INSERT INTO "rtree_{0}_geom" VALUES (NEW."fid", {1}); END;
CREATE TRIGGER "rtree_{0}_geom_update2" AFTER UPDATE OF "geom" ON "{0}" WHEN OLD."fid" = NEW."fid"
    AND (NEW."geom" ISNULL OR ST_IsEmpty(NEW."geom")) BEGIN DELETE FROM "rtree_{0}_geom" WHERE id = OLD."fid"; END;
CREATE TRIGGER "rtree_{0}_geom_update5" AFTER UPDATE ON "{0}" WHEN OLD."fid" != NEW."fid"
    AND (NEW."geom" NOTNULL AND NOT ST_IsEmpty(NEW."geom")) BEGIN DELETE FROM "rtree_{0}_geom" WHERE id = OLD."fid";
    INSERT OR REPLACE INTO "rtree_{0}_geom" VALUES (NEW."fid", {1}); END;
CREATE TRIGGER "rtree_{0}_geom_update4" AFTER UPDATE ON "{0}" WHEN OLD."fid" != NEW."fid"
    AND (NEW."geom" ISNULL OR ST_IsEmpty(NEW."geom"))
    BEGIN DELETE FROM "rtree_{0}_geom" WHERE id IN (OLD."fid", NEW."fid"); END;
CREATE TRIGGER "rtree_{0}_geom_delete" AFTER DELETE ON "{0}" WHEN OLD."geom" NOT NULL
    BEGIN DELETE FROM "rtree_{0}_geom" WHERE id = OLD."fid"; END;
CREATE TRIGGER "trigger_insert_feature_count_{0}" AFTER INSERT ON "{0}" BEGIN UPDATE gpkg_ogr_contents
    SET feature_count = feature_count + 1 WHERE lower(table_name) = lower('{0}'); END;
CREATE TRIGGER "trigger_delete_feature_count_{0}" AFTER DELETE ON "{0}" BEGIN UPDATE gpkg_ogr_contents
    SET feature_count = feature_count - 1 WHERE lower(table_name) = lower('{0}'); END;
"""
_BOX = 'ST_MinX(NEW."geom"), ST_MaxX(NEW."geom"), ST_MinY(NEW."geom"), ST_MaxY(NEW."geom")'


class Shapes(NamedTuple):
    """The geometries of a layer."""

    blobs: pa.Array  # in a GeoPackage's wrapping; null where there is none
    boxes: Floats  # (n, 4) least and greatest longitude, least and greatest latitude; NaN where there is none
    kind: str  # "POINT"


class Layer(NamedTuple):
    """A table of features, its columns of strings, numbers, booleans and times; ids are shown as hexadecimal."""

    name: str
    description: str
    attributes: pa.Table
    shapes: Shapes


def write(path: Path, layers: list[Layer], about: Mapping[str, str], changed_at: str) -> None:
    """Write a new GeoPackage.

    Parameters
    ----------
    about
        Metadata of the file and of every layer.
    changed_at
        When the layers were last changed, ISO 8601: nothing here reads the clock.

    Raises
    ------
    OSError, sqlite3.Error
        When it cannot be written.
    """
    content: dict[str, pa.Table] = {}
    numbers: dict[str, npt.NDArray[np.int64]] = {}
    with closing(sqlite3.connect(path)) as file:
        file.executescript(_TABLES)
        with file:
            file.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", _SYSTEMS)
            text = _xml(about)
            file.execute("INSERT INTO gpkg_metadata VALUES (1, 'dataset', 'http://gdal.org', 'text/xml', ?)", (text,))
            _refer(file, "geopackage", None, changed_at)
            for layer in layers:
                index = _index(layer.shapes.boxes)
                _declare(file, layer, len(index["node"][1]) if index else 0, changed_at)
                content[layer.name] = _content(layer)
                for part, (ids, table) in index.items():
                    content[f"rtree_{layer.name}_geom_{part}"], numbers[f"rtree_{layer.name}_geom_{part}"] = table, ids
    pages.fill(path, content, numbers)
    with closing(sqlite3.connect(path)) as file:  # triggers last: filling the tables must not set them off
        triggers = "".join(_TRIGGERS.format(layer.name, _BOX) for layer in layers)
        file.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN; {triggers} COMMIT;")


def _declare(file: sqlite3.Connection, layer: Layer, nodes: int, changed_at: str) -> None:
    """The layer's tables, empty, and what the file says of it."""
    name, shapes, rows = layer.name, layer.shapes, layer.attributes.num_rows
    columns = "".join(f', "{field.name}" {_type(field.type)}' for field in layer.attributes.schema)
    file.execute(
        f'CREATE TABLE "{name}" ("fid" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "geom" {shapes.kind}{columns})'
    )
    file.execute(f'CREATE VIRTUAL TABLE "rtree_{name}_geom" USING rtree(id, minx, maxx, miny, maxy)')
    if nodes:  # it comes with an empty root
        file.execute(f'DELETE FROM "rtree_{name}_geom_node"')  # noqa: S608, the names of layers are ours
    box: list[float | None] = [None] * 4
    if nodes:
        least, most = np.nanmin(shapes.boxes, axis=0), np.nanmax(shapes.boxes, axis=0)
        box = [float(value) for value in (least[0], least[2], most[1], most[3])]
    file.execute(
        "INSERT INTO gpkg_contents VALUES (?, 'features', ?, ?, ?, ?, ?, ?, ?, ?)",
        (name, name, layer.description, changed_at, *box, _SRS),
    )
    file.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 0, 0)", (name, shapes.kind, _SRS))
    file.execute("INSERT INTO gpkg_ogr_contents VALUES (?, ?)", (name, rows))
    file.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (name, rows))
    file.execute(
        "INSERT INTO gpkg_extensions VALUES (?, 'geom', 'gpkg_rtree_index', "
        "'http://www.geopackage.org/spec120/#extension_rtree', 'write-only')",
        (name,),
    )
    _refer(file, "table", name, changed_at)


def _refer(file: sqlite3.Connection, scope: str, table: str | None, changed_at: str) -> None:
    """Say that the file's metadata are those of a table too."""
    if table is None:
        for name in ("gpkg_metadata", "gpkg_metadata_reference"):
            file.execute(
                "INSERT INTO gpkg_extensions VALUES (?, NULL, 'gpkg_metadata', "
                "'http://www.geopackage.org/spec120/#extension_metadata', 'read-write')",
                (name,),
            )
    file.execute(
        "INSERT INTO gpkg_metadata_reference VALUES (?, ?, NULL, NULL, ?, 1, NULL)", (scope, table, changed_at)
    )


def _xml(about: Mapping[str, str]) -> str:
    items = "".join(f"    <MDI key={quoteattr(name)}>{escape(value)}</MDI>\n" for name, value in sorted(about.items()))
    return f"<GDALMultiDomainMetadata>\n  <Metadata>\n{items}  </Metadata>\n</GDALMultiDomainMetadata>\n"


# ---- columns -------------------------------------------------------------------------------------------------------

_TYPES = {
    pa.float64(): "REAL",
    pa.float32(): "FLOAT",
    pa.int64(): "INTEGER",
    pa.int32(): "MEDIUMINT",
    pa.bool_(): "BOOLEAN",
}


def _type(kind: pa.DataType) -> str:
    return "DATETIME" if pa.types.is_timestamp(kind) else _TYPES.get(kind, "TEXT")


def _content(layer: Layer) -> pa.Table:
    """The rows as they are stored: the geometry, then the attributes, times as text."""
    columns = [layer.shapes.blobs, *map(_stored, layer.attributes.columns)]
    return pa.table(columns, names=["geom", *layer.attributes.column_names])


def _stored(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_timestamp(column.type):
        return column
    return pa.chunked_array([_written(chunk) for chunk in column.chunks], pa.large_string())


def _written(times: pa.Array) -> pa.Array:
    """Times as the standard has them, to the millisecond."""
    micros = times.cast(pa.timestamp("us", times.type.tz)).cast(pa.int64()).fill_null(0).to_numpy()
    valid = times.is_valid().to_numpy(zero_copy_only=False)
    return fixed(civil.written(np.require(micros, requirements=["C", "W"])), valid, pa.large_string())


def fixed(
    rows: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None, kind: pa.DataType | None = None
) -> pa.Array:
    """Rows of bytes, or packed records, as a column of bytes or of `kind`; null where `valid` says no."""
    bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    offsets = np.arange(len(rows) + 1) * rows[:1].nbytes
    buffers = [bits, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows))]
    return pa.Array.from_buffers(kind or pa.large_binary(), len(rows), buffers)


# ---- geometries ----------------------------------------------------------------------------------------------------

_HEAD = [("magic", "S2"), ("version", "u1"), ("flags", "u1"), ("srs", "<i4")]
#: Of flags: the little end first, no envelope; the same with one.
_PLAIN, _BOXED = 1, 3
_POINT = np.dtype([*_HEAD, ("order", "u1"), ("type", "<u4"), ("at", "<f8", 2)])
_RING = np.dtype(
    [
        *_HEAD,
        ("box", "<f8", 4),
        ("order", "u1"),
        ("type", "<u4"),
        ("rings", "<u4"),
        ("points", "<u4"),
        ("at", "<f8", (_CORNERS + 1, 2)),
    ]
)


def points(lon: Floats, lat: Floats) -> Shapes:
    """Points; none where either number is NaN."""
    packed = np.zeros(len(lon), _POINT)
    packed["magic"], packed["flags"], packed["srs"], packed["order"], packed["type"] = b"GP", _PLAIN, _SRS, 1, 1
    packed["at"][:, 0], packed["at"][:, 1] = lon, lat
    boxes = np.stack([lon, lon, lat, lat], axis=-1)
    good = np.isfinite(lon) & np.isfinite(lat)
    boxes[~good] = np.nan
    return Shapes(fixed(packed, good), boxes, "POINT")


def error_ellipses(lon: Floats, lat: Floats, major_m: Floats, minor_m: Floats, tilt_deg: Floats) -> Shapes:
    """1-sigma ellipses as polygons; none where a number is missing or an axis is zero."""
    columns = [np.require(column, np.float64, ["C", "W"]) for column in (lon, lat, major_m, minor_m, tilt_deg)]
    good = np.isfinite(sum(columns)) & (columns[2] > 0) & (columns[3] > 0)
    corners, boxes = ellipses(*columns, _CORNERS)
    packed = np.zeros(len(corners), _RING)
    packed["magic"], packed["flags"], packed["srs"], packed["order"] = b"GP", _BOXED, _SRS, 1
    packed["type"], packed["rings"], packed["points"], packed["at"] = 3, 1, _CORNERS + 1, corners
    packed["box"] = boxes
    boxes[~good] = np.nan
    return Shapes(fixed(packed, good), boxes, "POLYGON")


def shapes_of(geometries: npt.NDArray[np.object_], otherwise: str) -> Shapes:
    """Shapely geometries; `otherwise` is the type of a layer where none is."""
    boxes = shapely.bounds(geometries)[:, [0, 2, 1, 3]]
    head = np.zeros(len(geometries), [*_HEAD, ("box", "<f8", 4)])
    head["magic"], head["flags"], head["srs"], head["box"] = b"GP", _BOXED, _SRS, boxes
    blobs = [
        None if shape is None else begin.tobytes() + shapely.to_wkb(shape, byte_order=1)
        for shape, begin in zip(geometries, head, strict=True)
    ]
    kinds = {shape.geom_type.upper() for shape in geometries if shape is not None}
    kind = kinds.pop() if len(kinds) == 1 else "GEOMETRY" if kinds else otherwise
    return Shapes(pa.array(blobs, pa.large_binary()), boxes, kind)


def placed(parts: list[Shapes], rows: npt.NDArray[np.int64], count: int, otherwise: str) -> Shapes:
    """Shapes of the rows of a layer, of those in `rows` one behind the other; the others have none. Takes the parts."""
    boxes = np.full((count, 4), np.nan)
    place = np.full(count, -1)
    place[rows] = np.arange(len(rows))
    kinds = {part.kind for part in parts if part.blobs.null_count < len(part.blobs)}
    blobs = pa.concat_arrays([part.blobs for part in parts] or [pa.array([], pa.large_binary())])
    if len(rows):
        boxes[rows] = np.concatenate([part.boxes for part in parts])
    parts.clear()  # paths of a day of ships are 200 MB
    if not np.array_equal(place, np.arange(len(rows))):
        blobs = blobs.take(pa.array(place, mask=place < 0))
    return Shapes(blobs, boxes, kinds.pop() if len(kinds) == 1 else "GEOMETRY" if kinds else otherwise)


# ---- the spatial index ---------------------------------------------------------------------------------------------

#: Entries of a node, as SQLite's R*-tree has them where a page takes them, and of two dimensions.
_ENTRIES = 51
_ENTRY = np.dtype([("id", ">i8"), ("box", ">f4", 4)])
_NODE = np.dtype([("depth", ">u2"), ("count", ">u2"), ("entries", _ENTRY, _ENTRIES)])


def _index(boxes: Floats) -> dict[str, tuple[npt.NDArray[np.int64], pa.Table]]:
    """The three tables of an R*-tree over the boxes, by name: row numbers and rows; none where there is no box.

    Packed from below: entries in the order of the cells of a curve that fills the plane, as many to a node as it
    takes (Kamel and Faloutsos, 1993).
    """
    ids = np.flatnonzero(np.isfinite(boxes[:, 0])) + 1
    if not len(ids):
        return {}
    box = _rounded(boxes[ids - 1])
    order = np.argsort(_along(box), kind="stable")
    levels = []  # of each: what its entries point to, their boxes, entry by entry
    pointed, box = ids[order], box[order]
    while True:
        starts = np.arange(0, len(pointed), _ENTRIES)
        levels.append((pointed, box, starts))
        if len(starts) == 1:
            break
        lows, highs = np.minimum.reduceat(box, starts), np.maximum.reduceat(box, starts)
        box = np.stack([lows[:, 0], highs[:, 1], lows[:, 2], highs[:, 3]], axis=-1)
        pointed = np.arange(len(starts))
    # the root is node 1, its children follow, the leaves come last
    first = 1 + np.cumsum([0, *(len(starts) for *_, starts in reversed(levels))])[::-1][1:]
    nodes = np.zeros(sum(len(starts) for *_, starts in levels), _NODE)
    parent = np.zeros(len(nodes) + 1, np.int64)
    home = np.zeros(0, np.int64)
    for depth, (pointed, box, starts) in enumerate(levels):
        mine = first[depth] + np.arange(len(starts))
        node = np.repeat(mine, np.diff(np.append(starts, len(pointed))))
        if depth:
            pointed = pointed + first[depth - 1]
            parent[pointed] = node
        else:
            home = node[np.argsort(order)]
        entry = np.arange(len(pointed)) % _ENTRIES
        nodes["entries"]["id"][node - 1, entry] = pointed
        nodes["entries"]["box"][node - 1, entry] = box
        nodes["count"][mine - 1] = np.diff(np.append(starts, len(pointed)))
    nodes["depth"][0] = len(levels) - 1
    numbers = np.arange(1, len(nodes) + 1)
    return {
        "rowid": (ids, pa.table({"nodeno": home})),
        "node": (numbers, pa.table({"data": fixed(nodes)})),
        "parent": (numbers[1:], pa.table({"parentnode": parent[2:]})),
    }


def _rounded(boxes: Floats) -> npt.NDArray[np.float32]:
    """Boxes in single precision that hold those given."""
    out = boxes.astype(np.float32)
    for side, beyond in ((0, -np.inf), (1, np.inf), (2, -np.inf), (3, np.inf)):
        inside = out[:, side] > boxes[:, side] if beyond < 0 else out[:, side] < boxes[:, side]
        out[inside, side] = np.nextafter(out[inside, side], np.float32(beyond))
    return out


def _along(boxes: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Where the middle of each box lies along Morton's curve, by cells of 1 / 65,536 of the extent."""
    out = np.zeros(len(boxes), np.uint32)
    for axis in (0, 1):
        middle = (boxes[:, 2 * axis] + boxes[:, 2 * axis + 1]).astype(np.float64)
        low, high = middle.min(), middle.max()
        cell = ((middle - low) * (65_535 / max(high - low, 1e-9))).astype(np.uint32)
        for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
            cell = (cell | (cell << np.uint32(shift))) & np.uint32(mask)
        out |= cell << np.uint32(axis)
    return out
