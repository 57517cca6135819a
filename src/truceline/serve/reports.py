"""Daily reports that were published: which there are, and their files, as they went out."""

import hashlib
import threading
from datetime import date
from importlib.util import find_spec
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from truceline.daily import report
from truceline.errors import NotFoundError, StoreError
from truceline.pipeline import BOOK
from truceline.serve.access import Operate, See
from truceline.serve.audit import audit
from truceline.serve.guard import DOCUMENT_CSP
from truceline.serve.ogc import stamp
from truceline.serve.query import query_of
from truceline.serve.service import Service, service_of
from truceline.store import Book, Published

router = APIRouter(prefix="/api/reports", tags=["reports"])

_KINDS = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "geojson": "application/geo+json",
}
PDF = "report.pdf"


#: One PDF at a time: it takes a core for seconds.
_making = threading.Lock()


@router.get("", summary="Reports that were published", response_model=None)
def reports(request: Request, asking: See) -> list[dict[str, Any]]:
    """Day, edition and files of every report, the newest first.

    Reports are of the mission's label, so others have an empty list. `report.pdf` stands among the files of the newest
    edition's reports where it can be made; it is made when it is first asked for, and then stays.
    """
    service = service_of(request)
    if query_of(service).label(asking) != "mission":
        return []
    book = Book(service.folder / BOOK)
    latest = book.latest()
    by_report: dict[tuple[date, int], list[Published]] = {}
    for row in book.published():
        by_report.setdefault((row.day, row.edition), []).append(row)
    out = []
    for (day, edition), rows in sorted(by_report.items(), reverse=True):
        files: list[dict[str, str | None]] = [
            {"name": _name(row), "sha256": row.sha256, "href": _href(day, edition, _name(row))} for row in rows
        ]
        newest = latest is not None and edition == latest.number
        if newest and PDF not in {one["name"] for one in files} and find_spec("typst") is not None:
            files.append({"name": PDF, "sha256": None, "href": _href(day, edition, PDF)})
        published = stamp(min(row.published_at for row in rows))
        out.append({"day": day.isoformat(), "edition": edition, "published_at": published, "files": files})
    return out


@router.post("", summary="Write the daily report now", response_model=None)
async def write(
    request: Request,
    asking: Operate,
    day: Annotated[date | None, Query(description="The reporting day; left out: the last that holds an event.")] = None,
) -> dict[str, Any]:
    """Write the report of a day on the newest edition, as it is written by itself when a reporting day has ended.

    What was published stays: on a newer edition a day's report is another one, and says what it says otherwise.
    """
    service = service_of(request)
    written = await service.live.report(day)
    await audit(service, asking, "export", f"report of {written['day']}", f"edition {written['edition']}", request)
    return {"day": written["day"], "edition": written["edition"], "summary": written["bullets"]}


@router.get(
    "/{day}/{edition}/{file}",
    summary="A file of a report",
    response_model=None,
    responses={
        200: {"description": "The file as it was published.", "content": {kind: {} for kind in _KINDS.values()}},
        404: {"description": "There is none, or none that you may see."},
    },
)
def file(request: Request, asking: See, day: date, edition: int, file: str) -> Response:
    """A file of a published report: report.html, report.pdf, report.json, violations.csv, incidents.geojson."""
    service = service_of(request)
    missing = NotFoundError(f"there is no {file!r} of a report of {day} on edition {edition}")
    if query_of(service).label(asking) != "mission":
        raise missing
    found = _published(service, day, edition, file)
    if found is None and file == PDF:
        found = _made(service, day, edition)
    if found is None:
        raise missing
    path = service.folder / found.path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{found.path}: cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != found.sha256:
        raise StoreError(f"{found.path}: it is not the file that was published")
    kind = _KINDS.get(path.suffix[1:], "application/octet-stream")
    return Response(content, media_type=kind, headers={"Content-Security-Policy": DOCUMENT_CSP})


def _published(service: Service, day: date, edition: int, file: str) -> Published | None:
    rows = Book(service.folder / BOOK).published()
    return next((row for row in rows if (row.day, row.edition, _name(row)) == (day, edition, file)), None)


def _made(service: Service, day: date, edition: int) -> Published | None:
    """The PDF of a report that was published of the newest edition, made now; None where it cannot be."""
    latest = Book(service.folder / BOOK).latest()
    known = _published(service, day, edition, "report.html") or _published(service, day, edition, "report.json")
    if latest is None or latest.number != edition or known is None or find_spec("typst") is None:
        return None
    with _making:
        if (found := _published(service, day, edition, PDF)) is not None:
            return found
        report(service.folder, service.clock(), day=day, formats=("pdf",))
        return _published(service, day, edition, PDF)


def _name(row: Published) -> str:
    return row.path.rpartition("/")[2]


def _href(day: date, edition: int, name: str) -> str:
    return f"/api/reports/{day.isoformat()}/{edition}/{name}"
