"""OGC API Features, part 1: the picture's collections for QGIS, GDAL, R, ArcGIS and curl."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
import shapely
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import WithJsonSchema

from truceline.columns import TABLES
from truceline.errors import QueryError
from truceline.observation import TIME
from truceline.pieces import Rows
from truceline.serve import filters
from truceline.serve.access import See
from truceline.serve.ogc_api import document
from truceline.serve.query import Page, query_of
from truceline.serve.query import Query as Querying
from truceline.serve.service import Service, service_of
from truceline.serve.sifting import Sifter
from truceline.serve.views import Collection
from truceline.store.export import features
from truceline.store.flat import geometry, iso_times

router = APIRouter(prefix="/ogc", tags=["OGC API Features"])

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
GEOJSON, JSON = "application/geo+json", "application/json"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
CONFORMANCE = [
    f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{name}" for name in ("core", "oas30", "geojson")
]

#: Features of one page: without asking, and at most; more than that is taken for the most.
LIMIT, MOST = 100, 10_000
#: What an address may hold beside properties.
_KNOWN = frozenset({"bbox", "datetime", "limit", "offset", "edition", "as_of", "f"})
_ABOUT = {"sites": "Places that the agreement speaks of by name, with their circles."}

Box = Annotated[
    str | None,
    Query(
        description="Only features in this box: west,south,east,north in degrees; with heights 6 numbers. "
        "Features without a place are in every box.",
        examples=["38.5,49.0,39.5,49.6"],
    ),
]
When = Annotated[
    str | None,
    Query(
        alias="datetime",
        description="Only features of this time: an RFC 3339 instant, or two with a slash between them, `..` for an "
        "open end. Features without a time are of every time.",
        examples=["2031-03-14T00:00:00Z/.."],
    ),
]
Limit = Annotated[
    str | None,
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST, "default": LIMIT}),
    Query(description="At most so many features; a greater number is taken for the greatest.", examples=[1000]),
]
Offset = Annotated[
    str | None,
    WithJsonSchema({"type": "integer", "minimum": 0, "default": 0}),
    Query(description="Leave out so many features first; follow the `next` links instead of counting.", examples=[0]),
]
EditionNumber = Annotated[
    str | None,
    WithJsonSchema({"type": "integer", "minimum": 1}),
    Query(description="The picture of this edition instead of now. For the mission's own readers.", examples=[1]),
]
AsOf = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "format": "date-time"}),
    Query(
        description="The newest edition that there was at this time. For the mission's own readers.",
        examples=["2031-03-15T18:00:00Z"],
    ),
]


def _form(
    f: Annotated[
        str | None,
        WithJsonSchema({"type": "string", "enum": ["json", "geojson"]}),
        Query(description="The form of the answer; there is one, so it need not be given.", examples=["json"]),
    ] = None,
) -> None:
    if f not in (None, "json", "geojson"):
        raise QueryError(f"f = {f!r}: there is json")


Form = Annotated[None, Depends(_form)]

_PROPERTIES = {
    "parameters": [
        {
            "name": "properties",
            "in": "query",
            "style": "form",
            "explode": True,
            "description": "Any property of the collection by its name: features whose property is this. `_min` and "
            "`_max` behind the name of a number or a time ask for at least and at most. A name given twice: either.",
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
            "example": {"severity": "grave", "p_breach_min": "0.5"},
        }
    ]
}
_GEOJSON_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            GEOJSON: {
                "example": {
                    "type": "FeatureCollection",
                    "numberMatched": 1,
                    "numberReturned": 1,
                    "timeStamp": "2031-03-15T18:00:00Z",
                    "links": [],
                    "features": [
                        {
                            "type": "Feature",
                            "id": "7255f16632b8c1d3c0009bca96ea53f6",
                            "geometry": {"type": "Point", "coordinates": [38.954207, 49.297975]},
                            "properties": {"what": "explosion.impact", "place": "1 km NE of Chmyrivka"},
                        }
                    ],
                }
            }
        },
        "description": "A GeoJSON feature collection.",
    },
    400: {"description": "A parameter is not what it has to be; the answer names it."},
    404: {"description": "There is no such collection or edition, or none that you may see."},
}


@router.get("", summary="Landing page", response_model=None)
def landing(request: Request, _: See, f: Form = None) -> Response:
    """Where everything of the OGC API is: API definition, conformance, collections."""
    root = _root(request)
    return JSONResponse(
        {
            "title": "Truceline",
            "description": "The picture of a ceasefire line: incidents, findings, events, tracks, the line and zones.",
            "links": [
                _link("self", root, JSON, "This page"),
                _link("service-desc", f"{root}/api", OPENAPI, "API definition"),
                _link("conformance", f"{root}/conformance", JSON, "Conformance classes"),
                _link("data", f"{root}/collections", JSON, "Collections"),
            ],
        }
    )


@router.get("/api", summary="API definition", response_model=None)
def definition(request: Request, asking: See) -> Response:
    """The OpenAPI 3.0 document of these addresses, as OGC API Features wants it. Of all others: /openapi.json."""
    names = query_of(service_of(request)).collections(asking)
    return JSONResponse(document(_root(request), names, LIMIT, MOST), media_type=OPENAPI)


@router.get("/conformance", summary="Conformance classes", response_model=None)
def conformance(_: See, f: Form = None) -> Response:
    """Which parts of the standard hold."""
    return JSONResponse({"conformsTo": CONFORMANCE})


@router.get("/collections", summary="Collections", response_model=None)
def collections(request: Request, asking: See, f: Form = None) -> Response:
    """What there is for who asks: title, extent, where the items are."""
    query = query_of(service_of(request))
    root = _root(request)
    found = [_collection(query, root, name, query.view(name, asking)) for name in query.collections(asking)]
    return JSONResponse({"links": [_link("self", f"{root}/collections", JSON, "Collections")], "collections": found})


@router.get(
    "/collections/{collection}",
    summary="One collection",
    response_model=None,
    responses={404: {"description": "There is none of that name, or none that you may see."}},
)
def collection(request: Request, asking: See, collection: str, f: Form = None) -> Response:
    """Title and extent of a collection, and where its items are."""
    query = query_of(service_of(request))
    view = query.view(collection, asking)
    return JSONResponse(_collection(query, _root(request), collection, view))


@router.get(
    "/collections/{collection}/items",
    summary="Features of a collection",
    response_model=None,
    responses=_GEOJSON_ANSWER,
    openapi_extra=_PROPERTIES,
)
def items(
    request: Request,
    asking: See,
    collection: str,
    bbox: Box = None,
    datetime_: When = None,
    limit: Limit = None,
    offset: Offset = None,
    edition: EditionNumber = None,
    as_of: AsOf = None,
    f: Form = None,
) -> Response:
    """Features in an order that stays, a page of them, with links to the next and the previous.

    Every property can be asked for by its name (`?severity=grave`), numbers and times also with `_min` and `_max`.
    """
    service = service_of(request)
    first, most = whole("offset", offset, 0, 0), min(whole("limit", limit, 1, LIMIT), MOST)
    query = query_of(service)
    page = query.rows(
        collection,
        asking,
        question(request, bbox, datetime_),
        offset=first,
        limit=most,
        edition=whole("edition", edition, 1, None),
        as_of=None if as_of is None else filters.instant("as_of", as_of),
    )
    about = query.about(collection)
    links = _page_links(request, page, first, most, f"{_root(request)}/collections/{collection}", about)
    return geojson(page, about.key, links, service)


@router.get(
    "/collections/{collection}/items/{feature}",
    summary="One feature",
    response_model=None,
    responses={404: {"description": "There is none of that id, or none that you may see."}},
)
def item(
    request: Request,
    asking: See,
    collection: str,
    feature: str,
    edition: EditionNumber = None,
    as_of: AsOf = None,
    f: Form = None,
) -> Response:
    """A feature by its id."""
    query = query_of(service_of(request))
    row = query.one(
        collection,
        asking,
        feature,
        whole("edition", edition, 1, None),
        None if as_of is None else filters.instant("as_of", as_of),
    )
    (encoded,) = features(row, query.about(collection).key)
    root = f"{_root(request)}/collections/{collection}"
    links = [
        _link("self", f"{root}/items/{feature}", GEOJSON, "This feature"),
        _link("collection", root, JSON, "Its collection"),
    ]
    return Response(encoded[:-1] + b',"links":' + msgspec.json.encode(links) + b"}", media_type=GEOJSON)


# ---- what others need as well --------------------------------------------------------------------------------------


def question(request: Request, bbox: str | None, when: str | None, known: frozenset[str] = _KNOWN) -> filters.Question:
    """What an address asks for: box, interval, and properties by whatever other names it holds."""
    return filters.Question(
        None if bbox is None else filters.box(bbox),
        None if when is None else filters.interval(when),
        [(name, text) for name, text in request.query_params.multi_items() if name not in known],
    )


def whole(name: str, text: str | None, least: int, otherwise: Any) -> Any:
    """A parameter that is a whole number.

    Raises
    ------
    QueryError
        Naming parameter and value.
    """
    if text is None:
        return otherwise
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number < 2**53:  # what every JSON reader holds exactly
        raise QueryError(f"{name} = {text!r}: it takes a whole number from {least} on")
    return number


def geojson(page: Page, key: str, links: list[dict[str, str]], service: Service) -> Response:
    """A page of features as GeoJSON."""
    head = {
        "type": "FeatureCollection",
        "timeStamp": stamp(service.clock()),
        "numberMatched": page.matched,
        "numberReturned": page.table.num_rows,
        "links": links,
    }
    body = b",\n".join(features(page.table, key))
    return Response(msgspec.json.encode(head)[:-1] + b',"features":[' + body + b"]}", media_type=GEOJSON)


def stamp(at: datetime) -> str:
    """A time to the second, with Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _root(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/ogc"


def _link(rel: str, href: str, kind: str, title: str) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": kind, "title": title}


def _page_links(
    request: Request, page: Page, first: int, most: int, collection: str, about: Collection
) -> list[dict[str, str]]:
    links = [
        _link("self", str(request.url), GEOJSON, "This page"),
        _link("collection", collection, JSON, about.title),
    ]
    ways = []
    if first + page.table.num_rows < page.matched:
        ways.append(("next", first + most))
    if first:
        ways.append(("prev", max(first - most, 0)))
    for rel, offset in ways:
        url = request.url.include_query_params(limit=most, offset=offset)
        links.append(_link(rel, str(url), GEOJSON, f"The {'next' if rel == 'next' else 'previous'} page"))
    return links


def _collection(query: Querying, root: str, name: str, rows: Rows) -> dict[str, Any]:
    here, about = f"{root}/collections/{name}", query.about(name)
    extent: dict[str, Any] = {}
    if (bounds := _bounds(query.sifter, rows)) is not None:
        extent["spatial"] = {"bbox": [bounds], "crs": CRS84}
    if about.begins is not None and about.ends is not None:
        extent["temporal"] = {"interval": [_interval(query.sifter, rows, about.begins, about.ends)]}
    return {
        "id": name,
        "title": about.title,
        "description": _ABOUT.get(name) or TABLES[name],
        "itemType": "feature",
        "crs": [CRS84],
        "extent": extent,
        "links": [
            _link("self", here, JSON, about.title),
            _link("items", f"{here}/items", GEOJSON, f"{about.title} as GeoJSON"),
        ],
    }


def _bounds(sifter: Sifter, rows: Rows) -> list[float] | None:
    """West, south, east, north of all rows; None where none has a place."""
    if isinstance(rows, pa.Table) and "geometry" in rows.column_names:
        bounds: Iterable[float] = shapely.total_bounds(
            shapely.from_wkb(geometry(rows).to_numpy(zero_copy_only=False))
        ).tolist()
    elif {"lon", "lat"} <= set(rows.schema.names):
        lon, lat = (sifter.extent(rows, name) for name in ("lon", "lat"))
        bounds = [lon.least, lat.least, lon.most, lat.most]
    else:
        return None
    out = [np.nan if one is None else float(one) for one in bounds]
    return [round(one, 7) for one in out] if np.isfinite(out).all() else None


def _interval(sifter: Sifter, rows: Rows, begins: str, ends: str) -> list[str | None]:
    """First and last time of all rows, null where there is none."""
    found = sifter.extent(rows, begins).least, sifter.extent(rows, ends).most
    texts = iso_times(pa.chunked_array([pa.array([_moment(one) for one in found], TIME)]))
    return list(texts.to_pylist())


def _moment(value: Any) -> datetime | None:
    """A time; of a date its beginning."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value
