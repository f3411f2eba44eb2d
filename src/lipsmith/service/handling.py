"""What routes share: reading a body, a page and an id, and writing an envelope."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from lipsmith.service.addresses import within
from lipsmith.service.auth import Caller
from lipsmith.service.context import Context
from lipsmith.service.refusals import invalid, not_found, too_large, wrong
from lipsmith.service.schemas import IGNORED_BUT_NAMED, INT_MAX
from lipsmith.service.signing import Permission

MOST_BODY_BYTES = 1024 * 1024
Model = TypeVar("Model", bound=BaseModel)


async def context_of(request: Request) -> Context:
    """Not `def`: that would be a trip to another thread."""
    return request.app.state.context


async def caller_of(request: Request) -> Caller:
    return request.scope["state"]["caller"]


async def raw_body(request: Request) -> bytes:
    """The body, at most 1 MiB. Raises Refusal 413."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY_BYTES:
            raise too_large("The request body is larger than 1 MiB")
    return bytes(body)


Here = Annotated[Context, Depends(context_of)]
Who = Annotated[Caller, Depends(caller_of)]
Body = Annotated[bytes, Depends(raw_body)]


def parse(model: type[Model], body: bytes) -> Model:
    """A JSON object as `model`, whatever its content type said. Raises Refusal 422."""
    try:
        data = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise invalid({"loc": ["body"], "msg": "JSON decode error", "type": "json_invalid"}) from error
    if not isinstance(data, dict):
        raise invalid({"loc": ["body"], "msg": "Input should be a JSON object", "type": "dict_type"})
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid(*(_entry(found) for found in error.errors(include_url=False))) from error


def ignored_fields(body: bytes) -> list[str]:
    """Warnings about fields that have no effect here though a client may count on them."""
    data = json.loads(body)
    return [f"{name} is ignored" for name in IGNORED_BUT_NAMED if data.get(name) is not None]


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _entry(found: Any) -> dict[str, Any]:
    sentence = found["msg"].removeprefix("Value error, ")
    return {"loc": ["body", *found["loc"]], "msg": sentence, "type": found["type"]}


@dataclass(frozen=True)
class Page:
    """A page of a list, newest first."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


def page_of(request: Request, native: str, default: int) -> Page:
    """`page` and a size under either of its names; the native one wins. Raises Refusal 422."""
    query = request.query_params
    other = "page_size" if native == "per_page" else "per_page"
    named = native if native in query else other
    return Page(_whole(query.get("page"), "page", 1, INT_MAX), _whole(query.get(named), named, default, 100))


def _whole(text: str | None, name: str, default: int, most: int) -> int:
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= most:
        raise wrong(name, f"Input should be a whole number from 1 to {most}", kind="int_parsing", where="query")
    return int(text)


def id_of(text: str) -> int:
    """A positive 31-bit id of a path. Raises Refusal 404."""
    if not text.isascii() or not text.isdecimal() or len(text) > 10 or not 1 <= int(text) <= INT_MAX:
        raise not_found()
    return int(text)


def data(value: object, status: int = 200, **top: object) -> JSONResponse:
    """The envelope, and what stands beside `data`."""
    return JSONResponse({"data": value, **top}, status)


def base_url(request: Request, here: Context) -> str:
    """Scheme and host of absolute URLs: the setting, or the request's own."""
    if here.settings.public_base_url:
        return here.settings.public_base_url
    url = request.url
    scheme, host = url.scheme, request.headers.get("host", url.netloc)
    if request.client and within(request.client.host, here.settings.trusted_proxies):
        scheme = request.headers.get("x-forwarded-proto", scheme)
        host = request.headers.get("x-forwarded-host", host)
    return f"{scheme}://{host}"


def file_url(base: str, here: Context, permission: Permission) -> str:
    """An absolute signed URL; it ends in the file's name where there is one, for people who read it.

    Where clients and the store deal directly it is one of the store.
    """
    if here.settings.direct_object_urls:
        return here.storage.url(permission.method, permission.key, permission.expires - int(time.time()))
    tail = f"/{quote(permission.name, safe='')}" if permission.name else ""
    return f"{base}/files/{here.signer.token(permission)}{tail}"
