"""Files that belong to a case: kept under their SHA-256 in the mission's folder, given out only as they were taken."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import pyarrow.compute as pc
from fastapi import APIRouter, HTTPException, Query, Request, Response

from truceline.errors import NotFoundError, StoreError
from truceline.rules.subjects import identity
from truceline.serve import access
from truceline.serve.audit import audit
from truceline.serve.cases import Name, Of, Text, whole
from truceline.serve.docket import docket_of
from truceline.store.durable import sync_folder

router = APIRouter(tags=["cases"])

FOLDER = "attachments"
#: A minute of a telephone's film; what is larger belongs in an archive of its own.
MOST_BYTES = 32 << 20

#: What may be attached, and how such a file begins; "" where nothing marks it. Nothing that a browser would run.
TYPES: dict[str, tuple[bytes, ...]] = {
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/webp": (b"RIFF",),
    "image/heic": (b"\x00\x00\x00",),
    "video/mp4": (b"\x00\x00\x00",),
    "audio/mpeg": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
    "audio/ogg": (b"OggS",),
    "audio/wav": (b"RIFF",),
    "application/pdf": (b"%PDF-",),
    "text/plain": (b"",),
    "text/csv": (b"",),
}


@router.put(
    "/api/cases/{case_id}/attachments",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in TYPES},
        }
    },
)
async def attach(
    principal: access.Triage,
    service: Of,
    request: Request,
    case_id: str,
    name: Annotated[Name, Query(min_length=1, description="what the file is called")],
    text: Annotated[Text | None, Query(description="what it shows")] = None,
) -> dict[str, Any]:
    """Attach a file, the body as it is. The same file again by the same person is one attachment.

    413: more than 32 MiB; 415: a type that is not taken, or a file that is not of the type it is said to be.
    """
    docket = await docket_of(service)
    state = await docket.seen(principal, case_id)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise HTTPException(415, f"{kind or 'a file of no type'} is not taken; what is: {', '.join(TYPES)}")
    if int(request.headers.get("content-length") or 0) > MOST_BYTES:
        raise HTTPException(413, _TOO_LARGE)
    digest, size = await _keep(service.folder / FOLDER, request.stream(), kind)
    row: dict[str, Any] = {"case": state.case_id.hex(), "what": "attach", "text": text or None}
    row |= {"action_id": identity("attach", state.case_id, digest, principal.name)}
    row |= {"attachment_sha256": digest, "attachment_name": name, "attachment_type": kind, "attachment_bytes": size}
    ((code, said, after),) = await docket.act(principal, [row])
    if code != 200 or after is None:
        raise HTTPException(code, said)
    return {"sha256": digest, "bytes": size, "repeated": bool(said), "case": whole(after, principal, service.clock())}


@router.get("/api/attachments/{sha256}", response_class=Response)
async def attachment(principal: access.Evidence, service: Of, request: Request, sha256: str) -> Response:
    """An attached file, to be saved, never shown in the page's place; hashed again before it is given. Journalled."""
    actions = (await docket_of(service)).actions
    at = pc.index(actions["attachment_sha256"], sha256).as_py()
    if at < 0:
        raise NotFoundError("there is no such attachment")
    row = actions.select(["attachment_name", "attachment_type"]).slice(at, 1).to_pylist()[0]
    body = await asyncio.to_thread(_whole, service.folder / FOLDER / sha256, sha256)
    await audit(service, principal, "evidence", sha256, "attachment", request)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(row['attachment_name'], safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-store",
    }
    return Response(body, media_type=row["attachment_type"], headers=headers)


_TOO_LARGE = f"more than {MOST_BYTES >> 20} MiB"


async def _keep(folder: Path, chunks: AsyncIterator[bytes], kind: str) -> tuple[str, int]:
    """Write what comes in, durable, under its hash; the hash and how many bytes.

    Raises
    ------
    HTTPException
        413, 415: nothing is kept.
    StoreError
        When the disk refuses.
    """
    temporary = folder / f".{secrets.token_hex(8)}.part"
    hashed, size = hashlib.sha256(), 0
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            async for chunk in chunks:
                if not chunk:
                    continue
                if size == 0 and not chunk.startswith(TYPES[kind]):
                    raise HTTPException(415, f"this is no file of type {kind}")
                size += len(chunk)
                if size > MOST_BYTES:
                    raise HTTPException(413, _TOO_LARGE)
                hashed.update(chunk)
                file.write(chunk)
            if size == 0:
                raise HTTPException(422, "the file is empty")
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        temporary.replace(folder / hashed.hexdigest())
        await asyncio.to_thread(sync_folder, folder)
    except OSError as error:
        raise StoreError(f"{folder}: the file cannot be kept: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return hashed.hexdigest(), size


def _whole(path: Path, sha256: str) -> bytes:
    """The file's bytes.

    Raises
    ------
    StoreError
        When it cannot be read, or is not what was attached.
    """
    try:
        body = path.read_bytes()
    except OSError as error:
        raise StoreError(f"attachment {sha256}: cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(body).hexdigest() != sha256:
        raise StoreError(f"attachment {sha256}: it is not what was attached")
    return body
