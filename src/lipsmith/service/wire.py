"""What holds for every request, before and after its route: request id, key, trailing slash, HEAD, caching.

Pure ASGI, so that bodies stream through untouched. Takes an app, gives an app.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid

import anyio.to_thread
from cachetools import TTLCache
from sqlalchemy.exc import SQLAlchemyError
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lipsmith.service.auth import Caller, caller_of, key_of
from lipsmith.service.context import Context
from lipsmith.service.metrics import Metrics
from lipsmith.service.refusals import Refusal, forbidden, unavailable
from lipsmith.service.storage import StoreAway

log = logging.getLogger("lipsmith.service")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_CALLERS, _CALLER_SECONDS = 10_000, 1.0  # a key is looked up once a second; a revoked one works no longer than that
_OPEN = ("/api/health/", "/api/openapi.json")  # below /api, without a key


class Wire:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, context: Context, metrics: Metrics) -> None:
        self._app, self._context, self._metrics = app, context, metrics
        self._callers: TTLCache[str, Caller] = TTLCache(_CALLERS, _CALLER_SECONDS)
        self._for_pages = CORSMiddleware(
            self._answer,
            allow_origins=context.settings.cors_origins,
            allow_methods=("GET", "POST", "PUT", "DELETE"),
            allow_headers=("*",),
            expose_headers=("x-request-id", "Retry-After", "Idempotency-Replayed"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._context.settings.cors_origins and scope["path"].startswith(("/v1", "/api")):
            await self._for_pages(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        request_id = _request_id(headers.get("x-request-id"))
        head = scope["method"] == "HEAD"
        path = scope["path"].rstrip("/") or "/"
        scope = {**scope, "path": path, "raw_path": None, "method": "GET" if head else scope["method"]}
        scope["state"] = {**scope.get("state", {}), "request_id": request_id, "head": head}
        answer = _Reply(send, request_id, head=head, private=path.startswith(("/v1", "/api")))
        try:
            if _needs_key(path):
                scope["state"]["caller"] = await self._caller(headers)
            await self._app(scope, receive, answer.send)
        except Refusal as refusal:
            await answer.refuse(refusal)
        except ClientDisconnect:
            pass  # there is nobody left to answer
        except StoreAway as error:  # in the midst of a download, which the client goes on with later
            log.warning("away", extra={"request_id": request_id, "error": str(error)})
            if not answer.started:
                await answer.refuse(unavailable())
        except Exception:
            log.exception("unexpected", extra={"request_id": request_id, "path": _public(path)})
            if not answer.started:
                await answer.refuse(Refusal(500, {"detail": "Internal Server Error"}))
        finally:
            seconds = time.monotonic() - started
            self._metrics.request(scope["method"], answer.status, seconds)
            facts = {
                "request_id": request_id,
                "method": scope["method"],
                "path": _public(path),
                "status": answer.status,
            }
            log.info("request", extra={**facts, "milliseconds": round(1000 * seconds, 1)})

    async def _caller(self, headers: dict[str, str]) -> Caller:
        key = key_of(headers)
        if key is None:
            raise forbidden()
        if (known := self._callers.get(key)) is not None:
            return known
        try:
            caller = await anyio.to_thread.run_sync(caller_of, self._context.engine, key)
        except SQLAlchemyError as error:
            raise unavailable() from error
        if caller is None:
            raise forbidden()
        self._callers[key] = caller
        return caller


class _Reply:
    """Adds headers to what the route sends; drops the body of a HEAD."""

    def __init__(self, send: Send, request_id: str, *, head: bool, private: bool) -> None:
        self._send, self._request_id, self._head, self._private = send, request_id, head, private
        self.started, self.status = False, 500

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            extra = [(b"x-request-id", self._request_id.encode())]
            if self._private:
                extra.append((b"cache-control", b"no-store"))
            kept = [
                (n, v) for n, v in message.get("headers", []) if not (self._private and n.lower() == b"cache-control")
            ]
            message = {**message, "headers": [*kept, *extra]}
        elif self._head:
            message = {**message, "body": b""}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        body = json.dumps(refusal.body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _needs_key(path: str) -> bool:
    inside = path in ("/v1", "/api") or path.startswith(("/v1/", "/api/"))
    return inside and not path.startswith(_OPEN)


def _public(path: str) -> str:
    """A path fit for a log: a signed URL's token is a secret."""
    return "/files/…" if path.startswith("/files/") else path


def _request_id(given: str | None) -> str:
    return given if given and _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
