"""The OpenAPI 3.0 document of the OGC addresses: what QGIS and GDAL read to learn how much they may ask for."""

from collections.abc import Sequence
from typing import Any

from truceline import __version__


def document(root: str, collections: Sequence[str], limit: int, most: int) -> dict[str, Any]:
    """The document.

    Parameters
    ----------
    root
        Where the landing page is.
    collections
        Names of those that the reader has.
    limit, most
        Features of a page: without asking, and at most.
    """
    items = [_of(name) for name in ("bbox", "datetime", "limit", "offset", "edition", "as_of", "properties")]
    paths: dict[str, Any] = {
        "/": _get("Landing page", "getLandingPage", []),
        "/api": _get("API definition", "getApiDefinition", []),
        "/conformance": _get("Conformance classes", "getConformance", []),
        "/collections": _get("Collections", "getCollections", []),
    }
    for name in collections:
        here = f"/collections/{name}"
        paths[here] = _get(f"Collection {name}", f"get_{name}", [])
        paths[f"{here}/items"] = _get(f"Features of {name}", f"get_{name}_items", items, "application/geo+json")
        paths[f"{here}/items/{{featureId}}"] = _get(
            f"A feature of {name}", f"get_{name}_item", [_of("featureId")], "application/geo+json"
        )
    return {
        "openapi": "3.0.3",
        "info": {"title": "Truceline", "version": __version__},
        "servers": [{"url": root}],
        "paths": paths,
        "components": {"parameters": _parameters(limit, most)},
    }


def _of(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/parameters/{name}"}


def _get(summary: str, operation: str, parameters: list[Any], kind: str = "application/json") -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "operationId": operation,
            "parameters": parameters,
            "responses": {
                "200": {"description": "As asked.", "content": {kind: {"schema": {"type": "object"}}}},
                "400": {"description": "A parameter is not what it has to be; the answer names it."},
                "404": {"description": "There is none, or none that you may see."},
            },
        }
    }


def _parameters(limit: int, most: int) -> dict[str, Any]:
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6}
    return {
        "bbox": {"name": "bbox", "in": "query", "schema": numbers, "style": "form", "explode": False},
        "datetime": {"name": "datetime", "in": "query", "schema": {"type": "string"}},
        "limit": {
            "name": "limit",
            "in": "query",
            "schema": {"type": "integer", "minimum": 1, "maximum": most, "default": limit},
        },
        "offset": {"name": "offset", "in": "query", "schema": {"type": "integer", "minimum": 0, "default": 0}},
        "edition": {"name": "edition", "in": "query", "schema": {"type": "integer", "minimum": 1}},
        "as_of": {"name": "as_of", "in": "query", "schema": {"type": "string", "format": "date-time"}},
        "properties": {
            "name": "properties",
            "in": "query",
            "style": "form",
            "explode": True,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "featureId": {"name": "featureId", "in": "path", "required": True, "schema": {"type": "string"}},
    }
