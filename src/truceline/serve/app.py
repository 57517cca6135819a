"""The web application of a running mission: what it serves, and how its errors look."""

from importlib import import_module
from math import ceil

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from truceline import __version__
from truceline.errors import (
    BusyError,
    DeniedError,
    MissionError,
    NotFoundError,
    SourceError,
    StoreError,
    TrucelineError,
)
from truceline.serve.guard import Guard, Limits
from truceline.serve.service import Service
from truceline.serve.straight import Straight

#: Modules with a `router`, in the order in which addresses are tried.
PARTS: tuple[str, ...] = (
    *("session", "posting", "ogc", "pictures", "boards", "exports", "reports", "outputs"),
    *("streams", "cases", "findings", "attachments", "field", "cap", "pages"),
)

_STATUS = {
    NotFoundError: 404,
    SourceError: 422,
    MissionError: 422,
    StoreError: 503,
    BusyError: 429,
    DeniedError: 403,
}


def application(service: Service, limits: Limits | None = None) -> FastAPI:
    """The application, behind its guard. Every error is JSON: {"detail": "a sentence"}."""
    app = FastAPI(title="Truceline", version=__version__, docs_url=None, redoc_url=None)
    app.state.service = service
    app.add_exception_handler(TrucelineError, _told)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_middleware(Straight, told=_answer)
    app.add_middleware(Guard, limits=limits)
    for part in PARTS:
        app.include_router(import_module(f"truceline.serve.{part}").router)
    return app


async def _told(_: Request, error: Exception) -> JSONResponse:
    return _answer(error)


def _answer(error: Exception) -> JSONResponse:
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 400)
    headers = {"Retry-After": str(ceil(error.retry_after_s))} if isinstance(error, BusyError) else None
    return JSONResponse({"detail": str(error)}, status, headers)


async def _not_understood(_: Request, error: Exception) -> JSONResponse:
    """What is wrong and where, without what was sent: that may be a password."""
    wrong = error.errors() if isinstance(error, RequestValidationError) else []
    sentences = [f"{'.'.join(str(step) for step in one['loc'])}: {one['msg']}" for one in wrong]
    return JSONResponse({"detail": "; ".join(sentences) or "not understood"}, 422)
