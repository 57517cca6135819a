"""Whole tables as files: CSV, GeoParquet, Arrow, GeoJSON, sent while they are made."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import WithJsonSchema

from truceline.errors import NotFoundError, QueryError, StoreError
from truceline.intake import JOURNAL
from truceline.pieces import Rows
from truceline.release import Principal
from truceline.serve import filters
from truceline.serve.access import See, may
from truceline.serve.audit import audit
from truceline.serve.ogc import AsOf, Box, EditionNumber, When, question, whole
from truceline.serve.query import query_of
from truceline.serve.service import Service, service_of
from truceline.serve.views import Collection
from truceline.store import Journal
from truceline.store.export import FORMATS, pieces
from truceline.store.kinds import KINDS

router = APIRouter(prefix="/api", tags=["export"])

#: Media type and name's ending of each format.
_KINDS = {
    "csv": ("text/csv; charset=utf-8", "csv"),
    "parquet": ("application/vnd.apache.parquet", "parquet"),
    "arrow": ("application/vnd.apache.arrow.stream", "arrows"),
    "geojson": ("application/geo+json", "geojson"),
}
#: Tables that the journal holds, of no edition.
JOURNALLED = {
    "observations": ("observation", Collection("observation_id", "at", "until", "", KINDS["observation"].schema)),
    "duplicates": ("duplicate", Collection("observation_id", None, None, "", KINDS["duplicate"].schema)),
    "rejections": ("rejection", Collection("leaf", None, None, "", KINDS["rejection"].schema)),
}
_KNOWN = frozenset({"bbox", "datetime", "edition", "as_of", "f"})


@router.get(
    "/export/{table}",
    summary="A whole table as a file",
    response_model=None,
    responses={
        200: {
            "description": "The file, sent while it is made.",
            "content": {
                "text/csv": {
                    "example": "incident_id,what,first_at\n7255f166...,explosion.impact,2031-03-14T04:29:57Z\n"
                },
                "application/vnd.apache.parquet": {},
                "application/vnd.apache.arrow.stream": {},
                "application/geo+json": {},
            },
        },
        400: {"description": "A parameter is not what it has to be; the answer names it."},
        404: {"description": "There is no such table or edition, or none that you may see."},
    },
    openapi_extra={
        "parameters": [
            {
                "name": "properties",
                "in": "query",
                "style": "form",
                "explode": True,
                "description": "Any column by its name, as for the items of a collection.",
                "schema": {"type": "object", "additionalProperties": {"type": "string"}},
                "example": {"what": "explosion.impact"},
            }
        ]
    },
)
async def export(
    request: Request,
    asking: See,
    table: str,
    f: Annotated[
        str | None,
        WithJsonSchema({"type": "string", "enum": list(FORMATS), "default": "csv"}),
        Query(description="Format. Parquet is GeoParquet 1.1 where there are positions.", examples=["parquet"]),
    ] = None,
    bbox: Box = None,
    datetime_: When = None,
    edition: EditionNumber = None,
    as_of: AsOf = None,
) -> StreamingResponse:
    """All rows of a collection that you may see and ask for, in one file.

    The mission's own readers have beside the collections: observations, duplicates, rejections, associations,
    movements, cases, lineage. Every export is noted in the journal: who, what, how many rows.
    """
    form = f or "csv"
    if form not in FORMATS:
        raise QueryError(f"f = {f!r}: there are {', '.join(FORMATS)}")
    service = service_of(request)
    asked = question(request, bbox, datetime_, _KNOWN)
    number = whole("edition", edition, 1, None)
    then = None if as_of is None else filters.instant("as_of", as_of)
    rows = await asyncio.to_thread(_rows, service, asking, table, asked, number, then)
    try:
        made = pieces(rows, form, table)
    except StoreError as error:  # GeoJSON of what has no place
        raise QueryError(f"f = {f!r}: {error}") from error
    words = f"{rows.num_rows:,} rows as {form}; {request.url.query}" if request.url.query else f"{rows.num_rows:,} rows"
    await audit(service, asking, "export", table, words, request)
    kind, ending = _KINDS[form]
    headers = {"Content-Disposition": f'attachment; filename="{table}.{ending}"'}
    return StreamingResponse(made, media_type=kind, headers=headers)  # a thread makes each piece


def _rows(
    service: Service, asking: Principal, table: str, asked: filters.Question, edition: int | None, as_of: Any
) -> Rows:
    query = query_of(service)
    if table not in JOURNALLED:
        return query.every(table, asking, asked, edition, as_of)
    if query.label(asking) != "mission" or not may(asking, "evidence"):
        raise NotFoundError(f"there is no collection {table!r}")
    if edition is not None or as_of is not None:
        raise QueryError(f"edition, as_of: {table} are the journal's and of no edition")
    kind, about = JOURNALLED[table]
    with Journal(service.folder / JOURNAL) as journal:
        return query.sifter.every(journal.pieces(kind), about, asked)
