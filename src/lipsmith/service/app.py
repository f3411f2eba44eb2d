"""The API as one ASGI app. Alone knows how meaning becomes HTTP."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from lipsmith import __version__
from lipsmith.service import extras, files, generate, listing, media, page, renders, shots, uploads
from lipsmith.service.context import Context
from lipsmith.service.metrics import Metrics
from lipsmith.service.outages import AWAY, is_away
from lipsmith.service.refusals import NOT_FOUND, Refusal, unavailable
from lipsmith.service.wire import Wire

log = logging.getLogger("lipsmith.service")


def make_app(context: Context) -> ASGIApp:
    """The whole service of one context."""
    metrics = Metrics()
    app = FastAPI(
        title="Lipsmith",
        version=__version__,
        description="Self-hosted visual dubbing. /v1 is compatible with the LipDub API; /api is ours.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context, app.state.metrics = context, metrics
    for module in (uploads, shots, generate, renders, files, extras, listing, media, page):
        app.include_router(module.router)
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(HTTPException, _http)
    for kind in (*AWAY, DBAPIError):
        app.add_exception_handler(kind, _away)
    return Wire(app, context, metrics)


def _refusal(_request: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    return JSONResponse(refusal.body, refusal.status, refusal.headers)


def _http(_request: Request, error: Exception) -> JSONResponse:
    """Unknown routes and wrong methods are one and the same 404."""
    assert isinstance(error, HTTPException)
    if error.status_code in (404, 405):
        return JSONResponse(NOT_FOUND, 404)
    return JSONResponse({"detail": error.detail}, error.status_code)


def _away(_request: Request, error: Exception) -> JSONResponse:
    """Database or store do not answer: to be tried again."""
    if not is_away(error):
        raise error
    log.warning("away", extra={"error": str(error).partition("\n")[0]})
    refusal = unavailable()
    return JSONResponse(refusal.body, refusal.status, refusal.headers)
