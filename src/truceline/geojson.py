"""GeoJSON as people really send it: areas and lines in a theatre, with everything wrong with them named.

Longitude first, latitude second, WGS 84 (RFC 7946); `.gz` or not, with a byte order mark or not. Heights are
dropped, rings left open are closed. An edge is straight in degrees, as the RFC says.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from truceline.errors import MissionError
from truceline.frame import Frame
from truceline.zones import mended

#: A line file of a thousand-kilometre front is 1 to 3 MB; what unpacks to a hundred times that is no line.
_MOST_BYTES = 300_000_000
#: Edges get a point every tenth of a degree before they go into the plane: within 2 m of straight in degrees.
_STEP_DEG = 0.1
#: Names of WGS 84 longitude, latitude in the `crs` member of older files.
_WGS84 = ("CRS84", "4326")


class Feature(NamedTuple):
    number: int  # in its file, from 1
    geometry: BaseGeometry  # WGS 84 degrees, without heights; never empty
    properties: dict[str, Any]


class Known:
    """What files had in common so far: a geometry that many dates repeat is read and moved into the plane once."""

    def __init__(self) -> None:
        self.read: dict[bytes, BaseGeometry | None] = {}  # by its text
        self.moved: dict[
            int, tuple[bool, BaseGeometry, float]
        ] = {}  # by identity: valid, local, metres from the centre


class _Document(msgspec.Struct):
    """Any GeoJSON object, as far as it is read before its kind is known."""

    type: str
    features: list[msgspec.Raw] | None = None
    geometry: msgspec.Raw = msgspec.Raw(b"null")
    properties: dict[str, Any] | None = None
    crs: Any = None


class _Collection(msgspec.Struct):
    """A feature collection whose features can all be read, in one go."""

    type: Literal["FeatureCollection"]
    features: list[_Document]
    crs: Any = None


_document = msgspec.json.Decoder(_Document).decode
_collection = msgspec.json.Decoder(_Collection).decode


def read(
    path: Path, problems: list[str], select: Mapping[str, Sequence[str]] | None = None, known: Known | None = None
) -> list[Feature]:
    """The features of a file, in its order.

    Parameters
    ----------
    problems
        Takes a sentence on each feature without a geometry and each ring of fewer than three places, which are
        left out, and on each ring that had to be closed.
    select
        Keeps features with one of the given values of each property, whatever their case; the rest is not read.
    known
        Of files read before.

    Raises
    ------
    MissionError
        Naming the file, and the feature where there is one: not readable, a damaged or overlong gzip, not
        GeoJSON, nothing selected, coordinates that are no longitude and latitude, another coordinate system
        than WGS 84.
    """
    content = _bytes(path)
    parts, raws = _parts(path, content)
    known = known or Known()
    found = []
    for number in _selected(path, parts, select or {}):
        part = parts[number - 1]
        raw = bytes(part.geometry) if part.type == "Feature" else raws[number - 1]
        geometry = known.read.get(raw)
        if geometry is None:
            before = len(problems)
            geometry = _geometry(path, number, raw, problems)
            if len(problems) == before:  # what was mended is told of each time
                known.read[raw] = geometry
        if geometry is None or geometry.is_empty:
            problems.append(f"{path.name}: feature {number} has no geometry; left out")
            continue
        _check_range(path, number, geometry)
        found.append(Feature(number, geometry, part.properties or {}))
    return found


def _parts(path: Path, content: bytes) -> tuple[list[_Document], list[bytes]]:
    """A file's features, and the texts of those that are bare geometries."""
    try:
        whole = _collection(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    else:
        if all(part.type == "Feature" for part in whole.features):
            _check_system(path, whole.crs)
            return whole.features, []
    document = _decode(path, content)
    _check_system(path, document.crs)
    raws = [content]
    if document.type == "FeatureCollection":
        if document.features is None:
            raise MissionError(f"{path}: a FeatureCollection without features")
        raws = [bytes(raw) for raw in document.features]
    return [_decode(path, raw, number) for number, raw in enumerate(raws, start=1)], raws


def in_theatre(
    path: Path, features: list[Feature], frame: Frame, problems: list[str], known: Known | None = None
) -> tuple[list[Feature], npt.NDArray[np.object_]]:
    """The features that reach into the theatre, and their geometries in its metres, mended where their rings cross
    or touch themselves; a sentence to `problems` on each that is mended and on those left out.

    Raises
    ------
    MissionError
        When a feature lies in the theatre only with longitude and latitude exchanged.
    """
    known = known or Known()
    geometries = np.array([feature.geometry for feature in features], object)
    new = np.array([id(shape) not in known.moved for shape in geometries], np.bool_)
    if new.any():
        whole = mended(geometries[new])
        local = to_local(whole, frame)
        away = shapely.distance(local, shapely.Point(0, 0))
        for shape, good, moved, metres in zip(
            geometries[new], shapely.is_valid(geometries[new]), local, away, strict=True
        ):
            known.moved[id(shape)] = bool(good), moved, float(metres)
    here = [known.moved[id(shape)] for shape in geometries]
    shapes = np.array([moved for _, moved, _ in here], object)
    for i in np.flatnonzero([not good for good, *_ in here]):
        reason, _, place = str(shapely.is_valid_reason(geometries[i])).rstrip("]").partition("[")
        valid = mended(geometries[[i]])[0]
        before, after = (_project(shape, frame).area / 1e6 for shape in (geometries[i], valid))
        lonlat = ", ".join(f"{float(number):.4f}" for number in place.split()[:2])
        what = f"{reason} at {lonlat}; mended, {before:.2f} km2 became {after:.2f}"
        problems.append(f"{path.name}: feature {features[i].number}: {what}")
    reaches = np.array([metres <= frame.radius_m for *_, metres in here], np.bool_)
    for i in np.flatnonzero(~reaches):
        x, y = shapely.get_coordinates(features[i].geometry).T
        if frame.within(y, x).mean() > 0.5:
            raise MissionError(
                f"{path}: feature {features[i].number}: ({x[0]:g}, {y[0]:g}) is outside the theatre, but inside with "
                "the numbers exchanged: the file seems to have latitude before longitude"
            )
    if not reaches.all():
        which = ", ".join(str(features[i].number) for i in np.flatnonzero(~reaches))
        problems.append(
            f"{path.name}: left out: feature {which}, beyond {frame.radius_m / 1000:g} km of the theatre's centre"
        )
    return [features[i] for i in np.flatnonzero(reaches)], shapes[reaches]


def to_local(geometries: npt.NDArray[np.object_], frame: Frame) -> npt.NDArray[np.object_]:
    """Valid geometries in degrees as geometries in the theatre's metres, edges straight in degrees."""
    fine = shapely.segmentize(geometries, _STEP_DEG)  # of an invalid polygon it would silently drop parts
    return np.asarray(_project(fine, frame), object)


def _project(geometries: Any, frame: Frame) -> Any:
    return shapely.transform(geometries, lambda lonlat: np.column_stack(frame.to_local(*lonlat.T)))


def to_degrees(geometry: BaseGeometry, frame: Frame) -> BaseGeometry:
    """A geometry in the theatre's metres as one in degrees."""
    moved: BaseGeometry = shapely.transform(geometry, lambda local: np.column_stack(frame.to_degrees(*local.T)))
    return moved


def _bytes(path: Path) -> bytes:
    """A file's bytes, unpacked if they are packed, whatever its name."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise MissionError(f"{path}: a damaged gzip file, cut off or altered: {error}") from error
    except OSError as error:
        raise MissionError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > _MOST_BYTES:
        raise MissionError(f"{path}: more than {_MOST_BYTES // 1_000_000} MB of GeoJSON")
    if not content.strip():
        raise MissionError(f"{path}: an empty file")
    return content.removeprefix(b"\xef\xbb\xbf")


def _decode(path: Path, content: bytes, number: int | None = None) -> _Document:
    where = f"{path}" if number is None else f"{path}: feature {number}"
    try:
        return _document(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MissionError(f"{where}: not GeoJSON: {error}") from error


def _selected(path: Path, parts: list[_Document], select: Mapping[str, Sequence[str]]) -> list[int]:
    """The numbers, from 1, of the features that are asked for."""
    numbers = list(range(1, len(parts) + 1))
    for key, wanted in select.items():
        held = {number: str((parts[number - 1].properties or {}).get(key)) for number in numbers}
        allowed = {value.casefold() for value in wanted}
        numbers = [number for number in numbers if held[number].casefold() in allowed]
        if held and not numbers:
            often = ", ".join(f"{value} ({count})" for value, count in Counter(held.values()).most_common(6))
            raise MissionError(f"{path}: no feature has {key} = {' or '.join(wanted)}; they have {often}")
    return numbers


def _check_system(path: Path, crs: Any) -> None:
    """Older files may name a coordinate system; only WGS 84 is read."""
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if isinstance(name, str) and not name.endswith(_WGS84):
        raise MissionError(f"{path}: crs is {name!r}; only WGS 84 longitude and latitude are read")


def _geometry(path: Path, number: int, raw: bytes, problems: list[str]) -> BaseGeometry | None:
    if raw.strip() == b"null":
        return None
    try:
        return shapely.force_2d(shapely.from_geojson(raw))
    except shapely.errors.GEOSException as first:
        try:
            closed = shapely.from_geojson(
                json.dumps(_closed(json.loads(raw), f"{path.name}: feature {number}", problems))
            )
        except (shapely.errors.GEOSException, ValueError, TypeError, KeyError) as error:
            raise MissionError(f"{path}: feature {number}: its geometry cannot be read: {first}") from error
        return shapely.force_2d(closed)


def _closed(geometry: dict[str, Any], where: str, problems: list[str]) -> dict[str, Any]:
    """A geometry whose rings end where they begin; rings of fewer than three places are dropped."""

    def rings(polygon: list[list[Any]]) -> Iterator[list[Any]]:
        for ring in polygon:
            if ring and ring[0] != ring[-1]:
                problems.append(f"{where}: a ring of {len(ring)} places was open; closed")
                ring = [*ring, ring[0]]
            if len(ring) >= 4:
                yield ring
            else:
                problems.append(f"{where}: a ring of {len(ring)} places is no area; left out")

    kind = geometry["type"]
    if kind == "GeometryCollection":
        return geometry | {"geometries": [_closed(part, where, problems) for part in geometry["geometries"]]}
    if kind == "Polygon":
        return geometry | {"coordinates": list(rings(geometry["coordinates"]))}
    if kind == "MultiPolygon":
        return geometry | {"coordinates": [list(rings(polygon)) for polygon in geometry["coordinates"]]}
    return geometry


def _check_range(path: Path, number: int, geometry: BaseGeometry) -> None:
    lonlat = shapely.get_coordinates(geometry)
    wrong = ~((np.abs(lonlat[:, 0]) <= 180) & (np.abs(lonlat[:, 1]) <= 90))
    if wrong.any():
        lon, lat = lonlat[np.flatnonzero(wrong)[0]]
        hint = " (latitude before longitude?)" if abs(lon) <= 90 < abs(lat) <= 180 else ""
        raise MissionError(
            f"{path}: feature {number}: ({lon:g}, {lat:g}) is no longitude and latitude in degrees{hint}"
        )
