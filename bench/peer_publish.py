"""The peer's picture.gpkg: layers that QGIS opens, with geopandas."""

import os
import sqlite3
from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
from bench.peer_journal import synced

from truceline.store.styles import STYLES, qml

GEODESIC, CORNERS = pyproj.Geod(ellps="WGS84"), 32
TIMES = ("at", "from", "until", "first", "last", "breach_from", "breach_until")


def flat(table: pd.DataFrame) -> pd.DataFrame:
    """Lists as text, bytes as hexadecimal, seconds as times."""
    out = table.drop(columns=[c for c in ("stream", "rank") if c in table])
    for name in out.columns:
        if name in ("sources", "sensors"):
            out[name] = ["; ".join(row) for row in out[name]]
        elif name == "alternatives":
            said = {}
            out[name] = [shares(row, said) if isinstance(row, list) else None for row in out[name]]
        elif name.endswith("_id"):
            out[name] = [x.hex() for x in out[name]]
        elif name in TIMES:
            out[name] = pd.to_datetime(out[name].round(6), unit="s", utc=True)
    return out


def shares(row: list, said: dict) -> str:
    key = tuple(row)
    if key not in said:
        said[key] = ", ".join(f"{what} {round(p, 3):g}" for what, p in row)
    return said[key]


def factor_texts(factors: pd.DataFrame, findings: pd.DataFrame) -> np.ndarray:
    """The factors of every finding in one text: "kind 0.9 (likelihoods of the fused event, medium); ..."."""
    value = factors["value"].to_numpy()
    codes, distinct = pd.factorize(np.round(value.astype(float), 3), use_na_sentinel=False)
    numbers = np.array(["-" if np.isnan(x) else f"{x:g}" for x in distinct], object)[codes]
    heads = (factors["name"].cat.rename_categories(lambda x: x + " ")).to_numpy(object)
    kinds, which = np.unique(
        np.column_stack([factors["source"].cat.codes, factors["confidence"].cat.codes]), axis=0, return_inverse=True
    )
    source, confidence = factors["source"].cat.categories, factors["confidence"].cat.categories
    tails = np.array([f" ({source[a]}, {confidence[b]})" for a, b in kinds], object)[which.ravel()]
    texts = (heads + numbers + tails).tolist()
    ends = np.append(np.flatnonzero(factors["at"].to_numpy() == 0), len(texts)).tolist()
    return np.array(["; ".join(texts[a:b]) for a, b in pairwise(ends)], object)


def publish(path: Path, tables: dict[str, pd.DataFrame], about: dict[str, str]) -> None:
    """Written beside, synced, and put in the old one's place."""
    new = path.with_name(".new.gpkg")
    new.unlink(missing_ok=True)

    def write(frame: gpd.GeoDataFrame, name: str) -> None:
        frame.to_file(new, layer=name, driver="GPKG", engine="pyogrio", use_arrow=True, layer_metadata=about)

    layers = []
    for name in ("zones", "line"):
        if len(tables[name]):
            rows = tables[name]
            texts = {c: ["; ".join(row) for row in rows[c]] for c in ("problems",) if c in rows}
            write(rows.assign(**texts), name)
            layers.append(name)
    incidents, events, findings = (flat(tables[name]) for name in ("incidents", "events", "findings"))
    findings["factors"] = factor_texts(tables["factors"], findings)
    points = shapely.points(incidents["lon"].fillna(0.0), incidents["lat"].fillna(0.0))
    points[incidents["lon"].isna().to_numpy()] = None
    numbers = (tables["incidents"][c].to_numpy(float) for c in ("lon", "lat", "major_m", "minor_m", "tilt_deg"))
    write(gpd.GeoDataFrame(incidents, geometry=ellipses(*numbers), crs=4326), "ellipses")
    at = gpd.points_from_xy(events["lon"], events["lat"], crs=4326)
    write(gpd.GeoDataFrame(events, geometry=at), "events")
    write(gpd.GeoDataFrame(incidents, geometry=points, crs=4326), "incidents")
    where = pd.Index(incidents["incident_id"]).get_indexer(findings["subject_id"])
    write(gpd.GeoDataFrame(findings, geometry=np.append(points, None)[where], crs=4326), "findings")
    style(new, [*layers, "ellipses", "events", "incidents", "findings"])
    synced(new)
    os.replace(new, path)
    synced(path)


def ellipses(lon, lat, major, minor, tilt) -> np.ndarray:
    good = np.isfinite(lon + lat + major + minor + tilt) & (major > 0) & (minor > 0)
    turn = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)[::-1]
    along, across = major[good, None] * np.cos(turn), minor[good, None] * np.sin(turn)
    bearing = np.degrees(np.arctan2(across, along)) + tilt[good, None]
    x, y, _ = GEODESIC.fwd(
        np.repeat(lon[good], CORNERS),
        np.repeat(lat[good], CORNERS),
        bearing.ravel(),
        np.hypot(along, across).ravel(),
    )
    corners = np.stack([x, y], axis=-1).reshape(-1, CORNERS, 2)
    out = np.full(len(lon), None, object)
    out[good] = shapely.polygons(np.concatenate([corners, corners[:, :1]], axis=1))
    return out


def style(path: Path, layers: list[str]) -> None:
    """The table in which QGIS looks for a layer's default style."""
    columns = "f_table_name TEXT, f_geometry_column TEXT, styleName TEXT, styleQML TEXT, useAsDefault BOOLEAN"
    with sqlite3.connect(path) as package:
        package.execute(f"CREATE TABLE layer_styles (id INTEGER PRIMARY KEY, {columns})")
        for name in layers:
            if name in STYLES:
                row = (name, "geom", "peer", qml(name), 1)
                package.execute(
                    "INSERT INTO layer_styles (f_table_name, f_geometry_column, styleName, styleQML, useAsDefault) "
                    "VALUES (?, ?, ?, ?, ?)",
                    row,
                )
