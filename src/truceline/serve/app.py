"""The web application of a running mission: what it serves, and how its errors look."""

from importlib import import_module

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from truceline import __version__
from truceline.errors import MissionError, NotFoundError, SourceError, StoreError, TrucelineError
from truceline.serve.service import Service

#: Modules with a `router`, in the order in which addresses are tried.
PARTS: tuple[str, ...] = ("ogc", "pictures", "streams", "cases", "findings", "pages")

_STATUS = {NotFoundError: 404, SourceError: 422, MissionError: 422, StoreError: 503}


def application(service: Service) -> FastAPI:
    """The application. Every error is JSON: {"detail": "a sentence"}."""
    app = FastAPI(title="Truceline", version=__version__, docs_url=None, redoc_url=None)
    app.state.service = service
    app.add_exception_handler(TrucelineError, _told)
    for part in PARTS:
        app.include_router(import_module(f"truceline.serve.{part}").router)
    return app


async def _told(_: Request, error: Exception) -> JSONResponse:
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 400)
    return JSONResponse({"detail": str(error)}, status)
