"""picture.gpkg: an edition as a GeoPackage that QGIS opens looking sensible.

For the mission's own people: positions stand as they are, whatever the rows' release labels. The file is not
to be edited, it is replaced whole with every edition, so it is read-only; who has the old one open keeps it.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyproj
import shapely

from truceline import observation
from truceline.columns import TABLES
from truceline.errors import StoreError
from truceline.store.book import Edition
from truceline.store.durable import replacing
from truceline.store.flat import flat
from truceline.store.styles import STYLES, qml

#: Layers in the order in which they are written; a table that is not given has no layer.
LAYERS = ("zones", "line", "sites", "ellipses", "observations", "events", "incidents", "findings")

_MORE = {
    "ellipses": "1-sigma error ellipses of the incidents.",
    "sites": "Places that the agreement protects.",
    "findings": "Findings, each where its incident is; those about something else have no place.",
}
#: Hashes and bytes that say nothing on a map.
_LEFT_OUT = {"leaf", "raw", "geometry"}
#: Corners of an ellipse: a polygon of 32 is within half a percent of the radius.
_CORNERS = 32
#: GDAL notes in the file when a layer was changed: when the edition was made, not what the clock says.
_CLOCK = "OGR_CURRENT_DATE"
_GEODESIC = pyproj.Geod(ellps="WGS84")

Floats = npt.NDArray[np.float64]


def publish(path: Path, tables: Mapping[str, pa.Table], edition: Edition, licences: Iterable[str] = ()) -> None:
    """Write an edition's tables as the layers of a GeoPackage, whole or not at all.

    Parameters
    ----------
    tables
        By name, of the schemas in `picture` and `finding`: `incidents`, `events`, `findings`, `line`, `zones`,
        `sites` (name, lon, lat or geometry, anything else), `observations`. Only what is there becomes a layer;
        `ellipses` follow from the incidents.
    licences
        Attributions owed, for the file's metadata.

    Raises
    ------
    StoreError
        When the file cannot be written; the old one, if any, stands.
    """
    import pyogrio  # takes a second where geopandas is about, and only who publishes needs it

    layers = dict(_layers(tables))
    about = {
        "EDITION": str(edition.number),
        "DIGEST": edition.digest,
        "JOURNAL_HEAD": edition.journal_head,
        "CODE_VERSION": edition.code_version,
        "MADE_AT": edition.made_at.astimezone(UTC).isoformat(),
        "CUTOFF": edition.cutoff.astimezone(UTC).isoformat() if edition.cutoff else "all that was in the journal",
        "RELEASE": "mission",
        "LICENCES": "; ".join(dict.fromkeys(licences)),
    }
    about = {name: value for name, value in about.items() if value}
    for beside in ("-wal", "-shm"):  # of a program that wrote into the old file: they must not meet the new one
        path.with_name(path.name + beside).unlink(missing_ok=True)
    with replacing(path) as new:
        try:
            pyogrio.set_gdal_config_options({_CLOCK: edition.made_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")})
            for name, layer in layers.items():
                _write(new, name, layer, about)
            _add_styles(new, list(layers), about["MADE_AT"])
        except (RuntimeError, sqlite3.Error) as error:  # pyogrio's errors are runtime errors
            raise StoreError(f"{path}: cannot be written: {error}") from error
        finally:
            pyogrio.set_gdal_config_options({_CLOCK: None})
        new.chmod(new.stat().st_mode & ~0o222)


def _layers(tables: Mapping[str, pa.Table]) -> Iterator[tuple[str, pa.Table]]:
    """Each layer: its attributes, and its geometry as WKB."""
    for name in LAYERS:
        if name == "ellipses" and "incidents" in tables:
            incidents = tables["incidents"]
            shapes = ellipses(*(observation.to_numpy(incidents[column]) for column in _ELLIPSE))
            yield name, _attributes(incidents).append_column("geometry", pa.array(shapely.to_wkb(shapes)))
        elif name == "findings" and "findings" in tables:
            yield name, _attributes(tables[name]).append_column("geometry", _of_incidents(tables))
        elif name in tables:
            yield name, _attributes(tables[name]).append_column("geometry", geometry(tables[name]))


_ELLIPSE = ("lon", "lat", "major_m", "minor_m", "tilt_deg")


def geometry(table: pa.Table) -> pa.Array:
    """The WKB of each row: its `geometry`, many-part where any row's is, or the point at `lon`, `lat`.

    Null where there is neither; null for all when the table has no such columns.
    """
    if "geometry" in table.column_names:
        shapes = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
        return pa.array(shapely.to_wkb(_of_one_type(shapes)), pa.binary())
    if not {"lon", "lat"} <= set(table.column_names):
        return pa.nulls(table.num_rows, pa.binary())
    lon, lat = (observation.to_numpy(table[name]) for name in ("lon", "lat"))
    return points(lon, lat)


def points(lon: Floats, lat: Floats) -> pa.Array:
    """Points as WKB; null where either is NaN."""
    packed = np.empty(len(lon), np.dtype([("order", "u1"), ("type", "<u4"), ("lon", "<f8"), ("lat", "<f8")]))
    packed["order"], packed["type"], packed["lon"], packed["lat"] = 1, 1, lon, lat
    size = packed.itemsize
    offsets = pa.py_buffer(np.arange(len(lon) + 1, dtype=np.int32) * size)
    whole = pa.Array.from_buffers(pa.binary(), len(lon), [None, offsets, pa.py_buffer(packed.tobytes())])
    return pc.if_else(pa.array(np.isfinite(lon) & np.isfinite(lat)), whole, pa.scalar(None, pa.binary()))


def ellipses(lon: Floats, lat: Floats, major_m: Floats, minor_m: Floats, tilt_deg: Floats) -> npt.NDArray[Any]:
    """Error ellipses as polygons in WGS 84, (n,) shapely; None where a number is missing or an axis is zero.

    Corners lie on the ellipse, by geodesics from its centre; tilt is clockwise from true north.
    """
    good = np.isfinite(lon + lat + major_m + minor_m + tilt_deg) & (major_m > 0) & (minor_m > 0)
    turn = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[::-1]  # against the clock, as RFC 7946 has it
    along = major_m[good, None] * np.cos(turn)
    across = minor_m[good, None] * np.sin(turn)
    bearing = np.degrees(np.arctan2(across, along)) + tilt_deg[good, None]
    centre_lon, centre_lat = np.repeat(lon[good], _CORNERS), np.repeat(lat[good], _CORNERS)
    east, north, _ = _GEODESIC.fwd(centre_lon, centre_lat, bearing.ravel(), np.hypot(along, across).ravel())
    corners = np.stack([east, north], axis=-1).reshape(-1, _CORNERS, 2)
    shapes = np.full(len(lon), None, object)
    shapes[good] = shapely.polygons(np.concatenate([corners, corners[:, :1]], axis=1))
    return shapes


def _of_incidents(tables: Mapping[str, pa.Table]) -> pa.Array:
    """The geometry of each finding's incident."""
    if "incidents" not in tables:
        return pa.nulls(tables["findings"].num_rows, pa.binary())
    incidents = tables["incidents"]
    where = pc.index_in(tables["findings"]["subject_id"], value_set=incidents["incident_id"].combine_chunks())
    return geometry(incidents).take(where.combine_chunks())


def _attributes(table: pa.Table) -> pa.Table:
    """The columns that say something on a map, in types that a GeoPackage has."""
    names = [name for name in table.column_names if name not in _LEFT_OUT]
    return pa.table({name: flat(table[name]) for name in names})


def _of_one_type(shapes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Polygons as multipolygons and lines as multilines when both the simple and the many-part kind occur."""
    out = shapes.copy()
    for simple, many in ((3, shapely.MultiPolygon), (1, shapely.MultiLineString)):
        kinds = shapely.get_type_id(shapes)
        if simple in kinds and len(set(kinds[kinds >= 0].tolist())) > 1:
            for at in np.flatnonzero(kinds == simple):
                out[at] = many([shapes[at]])
    return out


def _write(path: Path, name: str, layer: pa.Table, about: Mapping[str, str]) -> None:
    import pyogrio

    # a WKB geometry begins with the order of its bytes and its type; shapely and `points` write the little end first
    types = pc.binary_slice(layer["geometry"].cast(pa.binary()), 1, 5).unique().drop_null().to_pylist()
    kinds = {int.from_bytes(kind, "little") for kind in types}
    kind = (
        _TYPES.get(kinds.pop(), "Unknown") if len(kinds) == 1 else _EMPTY.get(name, "Point") if not kinds else "Unknown"
    )
    pyogrio.write_arrow(
        layer,
        path,
        layer=name,
        driver="GPKG",
        geometry_name="geometry",
        geometry_type=kind,
        crs="EPSG:4326",
        layer_metadata=dict(about),
        dataset_metadata=dict(about),
        layer_options={"GEOMETRY_NAME": "geom", "IDENTIFIER": name, "DESCRIPTION": _MORE.get(name) or TABLES[name]},
    )


_TYPES = {1: "Point", 2: "LineString", 3: "Polygon", 4: "MultiPoint", 5: "MultiLineString", 6: "MultiPolygon"}
#: What a layer without rows is of.
_EMPTY = {"zones": "MultiPolygon", "line": "MultiLineString", "ellipses": "Polygon"}


def _add_styles(path: Path, layers: Iterable[str], made_at: str) -> None:
    """The table in which QGIS looks for a layer's default style."""
    with closing(sqlite3.connect(path)) as package, package:
        package.execute(
            "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), "
            "f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), "
            "styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30), "
            "update_time DATETIME)"
        )
        package.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', 'Default styles for QGIS.', ?)",
            (made_at,),
        )
        for name in layers:
            if name in STYLES:
                package.execute(
                    "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, "
                    "styleName, styleQML, styleSLD, useAsDefault, description, owner, update_time) "
                    "VALUES ('', '', ?, 'geom', 'truceline', ?, '', 1, ?, '', ?)",
                    (name, qml(name), _MORE.get(name) or TABLES[name], made_at),
                )
