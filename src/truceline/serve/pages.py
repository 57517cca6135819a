"""The page: its own modules, those of others that the build brought in, the map underneath.

Everything is read and compressed once, and is asked for again by its hash (ETag), so that a new version is seen at
once and an old one costs a line. Nothing the page loads comes from another address (`guard.CSP`).
"""

import asyncio
import gzip
import hashlib
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Request, Response

from truceline import __version__
from truceline.errors import NotFoundError
from truceline.frame import Frame
from truceline.mission import Centre
from truceline.places import ATTRIBUTION, VIEWPOINT, Gazetteer
from truceline.serve.access import Open, See, may
from truceline.serve.basemap import basemap
from truceline.serve.service import Service, service_of

router = APIRouter()

PAGE = Path(str(files("truceline") / "serve" / "page"))
VENDOR = Path(str(files("truceline") / "assets" / "page"))

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
_COMPRESSED = {".woff2"}

Running = Annotated[Service, Depends(service_of)]


class Asset(NamedTuple):
    content: bytes
    zipped: bytes | None  # gzip, where that helps
    etag: str
    media_type: str


@router.get("/", include_in_schema=False)
async def index(request: Request, _: Open) -> Response:
    """The page, naming all its modules, so that a browser asks for them at once and not one import after another."""
    return _answer(request, await asyncio.to_thread(_index))


@router.get("/page/basemap.json", include_in_schema=False)
async def background(request: Request, _: See, service: Running) -> Response:
    """The map underneath and the names on it, packed as `basemap` says."""
    told = service.mission
    gazetteer = None if told.gazetteer is None else service.folder / told.gazetteer
    return _answer(request, await asyncio.to_thread(_packed, gazetteer, told.centre, told.radius_km))


@router.get("/page/{path:path}", include_in_schema=False)
async def module(path: str, request: Request, _: Open) -> Response:
    """A file of the page: `vendor/...` from what the build brought in, else the page's own."""
    folder, name = (VENDOR, path.removeprefix("vendor/")) if path.startswith("vendor/") else (PAGE, path)
    found = (folder / name).resolve()
    if not found.is_relative_to(folder) or found.suffix not in _TYPES or not found.is_file():
        raise NotFoundError(f"the page has no file {path!r}")
    return _answer(request, await asyncio.to_thread(_file, found, _stamp(found)))


@router.get("/api/mission")
async def mission(asking: Open, service: Running) -> dict[str, Any]:
    """What the mission is and how it is told. Whoever may see nothing of it yet gets what the sign-in shows."""
    told = service.mission
    open_to_all = {
        "name": told.name,
        "exercise": told.exercise,
        "zone": told.report_day.zone,
        "attribution": ATTRIBUTION,
        "viewpoint": VIEWPOINT,
        "version": __version__,
        "now": service.clock(),
    }
    if not may(asking, "see") or (asking.via == "anonymous" and not told.serve.public):
        return open_to_all
    agreement = await asyncio.to_thread(told.load_agreement, service.folder)
    if asking.label == "mission":  # where a source would have seen something: shown while it is silent
        open_to_all["sources"] = [{"id": one.id, "bounds": one.options.get("bounds")} for one in told.source]
    return open_to_all | {
        "centre": [told.centre.lon, told.centre.lat],
        "radius_km": told.radius_km,
        "day_ends": told.report_day.ends,
        "window_h": told.serve.window_h,
        "agreement": agreement.title,
        "parties": [{"id": party.id, "name": party.name} for party in agreement.party],
        "clauses": [{"id": one.id, "title": one.title, "severity": one.severity} for one in agreement.clause],
    }


def _answer(request: Request, asset: Asset) -> Response:
    headers = {
        "etag": asset.etag,
        "cache-control": "no-cache",  # keep it, but ask whether it is still so
        "vary": "accept-encoding",
    }
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if asset.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.zipped, media_type=asset.media_type, headers=headers | {"content-encoding": "gzip"})
    return Response(asset.content, media_type=asset.media_type, headers=headers)


def _index() -> Asset:
    modules = sorted(path.relative_to(PAGE).as_posix() for path in PAGE.rglob("*.js"))
    links = "".join(f'<link rel="modulepreload" href="/page/{name}">\n' for name in modules)
    text = (PAGE / "index.html").read_text(encoding="utf-8").replace("<!-- modules -->\n", links)
    return _indexed(text)


def _stamp(path: Path) -> tuple[int, int]:
    """Another one when the file was changed: the page can be worked on while the service runs."""
    about = path.stat()
    return about.st_mtime_ns, about.st_size


@cache
def _file(path: Path, stamp: tuple[int, int]) -> Asset:
    return _asset(path.read_bytes(), path.suffix)


@lru_cache(maxsize=1)
def _indexed(text: str) -> Asset:
    return _asset(text.encode(), ".html")


@lru_cache(maxsize=1)
def _packed(gazetteer: Path | None, centre: Centre, radius_km: float) -> Asset:
    theatre = Frame(centre.lon, centre.lat, radius_km * 1000)
    return _asset(basemap(Gazetteer.load(gazetteer), theatre), ".json")


def _asset(content: bytes, suffix: str) -> Asset:
    zipped = None if suffix in _COMPRESSED else gzip.compress(content, 9, mtime=0)
    return Asset(content, zipped, f'"{hashlib.sha256(content).hexdigest()[:32]}"', _TYPES[suffix])
