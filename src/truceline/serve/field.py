"""The form for sightings that a patrol carries: a page that opens, and keeps what is entered, without a network."""

import asyncio
import hashlib
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request, Response

from truceline.errors import NotFoundError
from truceline.serve.access import Open

router = APIRouter(include_in_schema=False)

FORM = Path(str(files("truceline") / "serve" / "field"))
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

#: From here and nowhere else, and no script or style but its own files: what people type stays text.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; worker-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


@router.get("/field")
async def form(request: Request, _: Open) -> Response:
    """The form."""
    return await _answer(request, "index.html")


@router.get("/field/{name}")
async def part(name: str, request: Request, _: Open) -> Response:
    """What the form is made of; worker.js may answer for the form itself, which lies beside its folder."""
    return await _answer(request, name)


async def _answer(request: Request, name: str) -> Response:
    path = FORM / name
    if path.parent != FORM or path.suffix not in _TYPES or not path.is_file():
        raise NotFoundError(f"the form has no file {name!r}")
    content = await asyncio.to_thread(path.read_bytes)
    headers = {
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        "Cache-Control": "no-cache",  # kept, and asked for again: a new version is seen at once
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    if name == "worker.js":
        headers["Service-Worker-Allowed"] = "/field"
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=f"{_TYPES[path.suffix]}; charset=utf-8", headers=headers)
