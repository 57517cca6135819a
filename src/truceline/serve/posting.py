"""Records by HTTP: one POST is one payload of a source, and its answer means that it is on disk.

A body may be packed with gzip. What it unpacks to has the same limit as a plain one, and is unpacked no further.
"""

import asyncio
import zlib
from typing import Any

import msgspec
from fastapi import APIRouter, HTTPException, Request, Response

from truceline.release import Principal
from truceline.serve.access import Report, See
from truceline.serve.service import Receipt, service_of

router = APIRouter(tags=["intake"])

#: Some 200,000 records as JSON lines; more comes in several posts.
MOST_BYTES = 64 << 20
#: Packed bodies below this are unpacked where they are: sooner done than given to a thread.
_AT_ONCE_BYTES = 64 << 10

#: What a body may be, and the form it has; the last is the feed's own.
FORMS: dict[str, str | None] = {
    "application/x-ndjson": "jsonl",
    "text/csv": "csv",
    "application/vnd.apache.arrow.stream": "arrow",
    "application/octet-stream": None,
}

_LINE = (
    '{"kind": "sighting", "what": "explosion.impact", "at": "2031-03-14T10:34:00Z", "lon": 37.5, "lat": 48.1, '
    '"sensor": "patrol 3", "count": 3}\n'
)
_TABLE = "kind,what,at,lon,lat,count\nsighting,explosion.impact,2031-03-14T10:34:00Z,37.5,48.1,3\n"
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/x-ndjson": {"schema": {"type": "string"}, "example": _LINE},
        "text/csv": {"schema": {"type": "string"}, "example": _TABLE},
        "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}
_RECEIPT = {
    "source": "field",
    "read": 2,
    "accepted": 1,
    "duplicates": 0,
    "rejected": 1,
    "reasons": ["record 2: lat = 91 is outside -90..90"],
}
_BOARD = [
    {
        "id": "field",
        "feed": "observations",
        "release": "mission",
        "licence": None,
        "state": "live",
        "read": 41,
        "accepted": 38,
        "duplicates": 2,
        "rejected": 1,
        "ahead": 0,
        "late": 3,
        "last_received_at": "2031-03-15T17:59:58Z",
        "last_at": "2031-03-15T17:58:00Z",
        "lag_s": 118.0,
        "waiting_bytes": 0,
        "silent_since": None,
        "reasons": ["record 2: lat = 91 is outside -90..90"],
        "input": {"source": "field", "way": "listen tcp://0.0.0.0:7000", "state": "listening", "connections": 2},
    },
    {
        "id": "tak:8089",
        "feed": "cot",
        "state": "out",
        "source": None,
        "clients": 3,
        "connected": 5,
        "refused": 0,
        "slow": 1,
        "pings": 40,
        "taken": 0,
        "discarded": 12,
    },
]


def _told(description: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _json(description: str, example: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"example": example}}}


@router.post(
    "/api/sources/{id}/records",
    summary="Send records of a source",
    openapi_extra={"requestBody": _BODY},
    responses={
        200: _json("What became of the records: they are on disk. The same again is duplicates.", _RECEIPT),
        400: _told("The body is not what its Content-Encoding says."),
        404: _told("There is no such source."),
        413: _told("The body is too large, packed or unpacked."),
        415: _told("Of another type, or packed otherwise than by gzip."),
        422: _told("As a whole it is not what it should be: empty, a column that no observation has."),
        429: _told("More is waiting than may be: nothing was taken. Come again after Retry-After seconds."),
        503: _told("The disk refuses: nothing was taken. Come again later."),
    },
    response_model=None,
)
async def post(id: str, request: Request, principal: Report) -> Response:
    """Acknowledged means journalled and synced. A record that cannot be accepted is counted, kept and told with its
    reason; it does not stop the others. Send the same bytes again when no answer came: nothing is doubled."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in FORMS:
        raise HTTPException(415, f"Content-Type is {kind[:80]!r}; it may be {', '.join(FORMS)}")
    body = await _body(request)
    receipt: Receipt = await service_of(request).gate.submit(id, body, name=name_of(principal), form=FORMS[kind])
    return Response(msgspec.json.encode(receipt), media_type="application/json")


def name_of(principal: Principal) -> str:
    """What the evidence calls a post."""
    return f"POST by {principal.name}"


@router.get(
    "/api/sources",
    summary="The board of sources",
    responses={200: _json("Each source: what came, how far behind it is, whether it is silent.", _BOARD)},
    response_model=None,
)
async def board(request: Request, principal: See) -> Response:
    """For the mission's own readers; an empty list for everybody else: sensors' names and gaps are nobody else's.

    Behind the sources the ports of TAK clients, each a row with the state "out".
    """
    mine = principal.label == "mission" and principal.party is None
    service = service_of(request)
    inputs = service.kept.get("inputs")  # how it comes in beside being posted, where the mission file says so
    ways = inputs.board() if inputs is not None else {}
    rows = [{**row, "input": ways.get(row["id"])} for row in service.gate.sources()]
    rows += [tak.row() for tak in service.kept.get("tak", ())]
    return Response(msgspec.json.encode(rows if mine else []), media_type="application/json")


async def _body(request: Request) -> bytes:
    """The body, unpacked; read no further than it may be long."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise HTTPException(415, f"Content-Encoding is {encoding[:80]!r}; it may be gzip")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise _too_large()
        parts.append(part)
    body = b"".join(parts)
    if encoding == "identity":
        return body
    return _unpacked(body) if size < _AT_ONCE_BYTES else await asyncio.to_thread(_unpacked, body)


def _unpacked(packed: bytes) -> bytes:
    """Every member of a gzip body."""
    parts, left, room = [], packed, MOST_BYTES
    while left:
        gunzip = zlib.decompressobj(31)
        try:
            parts.append(gunzip.decompress(left, room + 1))
        except zlib.error as error:
            raise HTTPException(400, f"the body is no gzip data: {error}") from error
        room -= len(parts[-1])
        if room < 0:
            raise _too_large()
        if not gunzip.eof:
            raise HTTPException(400, "the gzip body breaks off")
        left = gunzip.unused_data
    return b"".join(parts)


def _too_large() -> HTTPException:
    return HTTPException(413, f"a body may have {MOST_BYTES} bytes, unpacked: send it in parts")
