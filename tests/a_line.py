"""Builders of line files: shapes are drawn in kilometres around the theatre's centre."""

import gzip
import json
from datetime import UTC, datetime

import shapely
from shapely import affinity

from truceline import geojson
from truceline.frame import Frame
from truceline.line import Line

FRAME = Frame(37.5, 48.3)


def degrees(local):
    """A shape drawn in kilometres around the centre, as GeoJSON geometry in degrees."""
    metres = affinity.scale(local, 1000, 1000, origin=(0, 0))
    return shapely.geometry.mapping(geojson.to_degrees(metres, FRAME))


def feature(geometry, **properties):
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def written(folder, *features, name="line_2023-01-02.geojson"):
    """A line file of features, or of whatever text or bytes are given instead."""
    path = folder / name
    content = (
        features[0]
        if features and isinstance(features[0], bytes | str)
        else json.dumps({"type": "FeatureCollection", "features": list(features)})
    )
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") and isinstance(content, str) else data)
    return path


def loaded(folder, *shapes, **options):
    """A line made of shapes drawn in kilometres."""
    return Line.load([written(folder, *(feature(degrees(shape)) for shape in shapes))], FRAME, **options)


def at(text):
    """A time as the column has it."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def one(line, east_km, north_km, sd_m=0.0, time="2023-06-01"):
    """What a line says of one point, as plain numbers."""
    found = line.against([east_km * 1000], [north_km * 1000], [sd_m**2], [0.0], [sd_m**2], [at(time)])
    return {name: values[0].as_py() if name == "line_date" else float(values[0]) for name, values in found.items()}


EAST = shapely.box(0, -50, 100, 50)  # an area whose western border is the line, in kilometres
