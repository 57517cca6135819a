"""picture.gpkg: an edition as a GeoPackage that QGIS opens looking sensible.

For the mission's own people: positions stand as they are, whatever the rows' release labels. The file is not
to be edited, it is replaced whole with every edition, so it is read-only; who has the old one open keeps it.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from truceline import observation
from truceline.columns import TABLES
from truceline.errors import StoreError
from truceline.kernels.idset import index_in
from truceline.pieces import Rows, uncut
from truceline.store import geopackage
from truceline.store.book import Edition
from truceline.store.durable import replacing
from truceline.store.flat import flat, shapes
from truceline.store.geopackage import Layer, Shapes
from truceline.store.styles import STYLES, qml

#: Layers in the order in which they are written; a table that is not given has no layer.
LAYERS = (
    "zones",
    "line",
    "sites",
    "ellipses",
    "observations",
    "tracks",
    "movements",
    "events",
    "incidents",
    "findings",
)

_MORE = {
    "ellipses": "1-sigma error ellipses of the incidents.",
    "sites": "Places that the agreement protects.",
    "findings": "Findings, each where its incident is; those about something else have no place.",
}
#: Hashes and bytes that say nothing on a map.
_LEFT_OUT = {"leaf", "raw", "geometry"}
#: What a layer without rows is of.
_EMPTY = {"zones": "MULTIPOLYGON", "line": "MULTILINESTRING", "tracks": "LINESTRING"}


def publish(path: Path, tables: Mapping[str, Rows], edition: Edition, licences: Iterable[str] = ()) -> None:
    """Write an edition's tables as the layers of a GeoPackage, whole or not at all.

    Parameters
    ----------
    tables
        By name, of the schemas in `picture` and `finding`: `incidents`, `events`, `findings`, `line`, `zones`,
        `sites` (name, lon, lat or geometry, anything else), `observations`. Only what is there becomes a layer;
        `ellipses` follow from the incidents, the paths of `tracks` from `track_points`.
    licences
        Attributions owed, for the file's metadata.

    Raises
    ------
    StoreError
        When the file cannot be written; the old one, if any, stands.
    """
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
    made_at = edition.made_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    with replacing(path) as new:
        try:
            layers = list(_layers(tables))
            geopackage.write(new, layers, about, made_at)
            _add_styles(new, [layer.name for layer in layers], made_at)
        except sqlite3.Error as error:
            raise StoreError(f"{path}: cannot be written: {error}") from error
        new.chmod(new.stat().st_mode & ~0o222)


def _layers(given: Mapping[str, Rows]) -> Iterator[Layer]:
    """Each layer: its attributes and its geometries."""
    tables = {name: rows for name, rows in given.items() if isinstance(rows, pa.Table)}
    for name in LAYERS:
        source = tables.get("incidents" if name == "ellipses" else name)
        if source is None:
            continue
        if name == "ellipses":
            drawn = geopackage.error_ellipses(*(observation.to_numpy(source[column]) for column in _ELLIPSE))
        elif name == "findings":
            drawn = _of_incidents(source, tables.get("incidents"))
        elif name == "tracks":
            drawn = _paths(source, given["track_points"])
        else:
            drawn = _shapes(source, _EMPTY.get(name, "POINT"))
        yield Layer(name, _MORE.get(name) or TABLES[name], _attributes(source), drawn)


_ELLIPSE = ("lon", "lat", "major_m", "minor_m", "tilt_deg")


def _shapes(table: pa.Table, otherwise: str) -> Shapes:
    """The geometry of each row: its `geometry`, many-part where any row's is, or the point at `lon`, `lat`."""
    if "geometry" in table.column_names:
        return geopackage.shapes_of(shapes(table["geometry"]), otherwise)
    lon, lat = (
        observation.to_numpy(table[name]).astype(np.float64)
        if name in table.column_names
        else np.full(table.num_rows, np.nan)
        for name in ("lon", "lat")
    )
    return geopackage.points(lon, lat)


def _of_incidents(findings: pa.Table, incidents: pa.Table | None) -> Shapes:
    """The geometry of each finding's incident."""
    nowhere = np.array([np.nan])
    at, lon, lat = np.zeros(findings.num_rows, np.int64), nowhere, nowhere
    if incidents is not None:
        found = pc.index_in(findings["subject_id"], value_set=incidents["incident_id"].combine_chunks())
        at = pc.fill_null(found, incidents.num_rows).to_numpy()
        lon, lat = (np.append(observation.to_numpy(incidents[name]), nowhere) for name in ("lon", "lat"))
    return geopackage.points(lon[at], lat[at])


def _paths(tracks: pa.Table, points: Rows) -> Shapes:
    """The path of each track; none where it has one point."""
    number, parts = [np.empty(0, np.int64)], []
    for piece in uncut(points, "track_id"):
        track = index_in(*(observation.ids(table["track_id"]) for table in (piece, tracks)))
        at = observation.to_numpy(piece["at"])
        order = np.lexsort((at, track))
        lon, lat = (observation.to_numpy(piece[name])[order] for name in ("lon", "lat"))
        there, row, many = np.unique(track[order], return_inverse=True, return_counts=True)
        kept = np.flatnonzero((track[order] >= 0) & (many[row] > 1) & np.isfinite(lon + lat))
        lines = np.full(len(there), None, object)
        shapely.linestrings(np.stack([lon, lat], axis=-1)[kept], indices=row[kept], out=lines)
        drawn = there >= 0
        number.append(there[drawn])
        parts.append(geopackage.shapes_of(lines[drawn], _EMPTY["tracks"]))
    return geopackage.placed(parts, np.concatenate(number), tracks.num_rows, _EMPTY["tracks"])


def _attributes(table: pa.Table) -> pa.Table:
    """The columns that say something on a map, in types that a GeoPackage has."""
    names = [name for name in table.column_names if name not in _LEFT_OUT]
    columns = (table[name] for name in names)
    plain = [one if pa.types.is_fixed_size_binary(one.type) else flat(one) for one in columns]
    return pa.table(plain, names=names)


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
