"""Every answer that is not a success, in the contract's words. Knows no route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

FORBIDDEN = {"message": "Forbidden"}
NOT_FOUND = {"detail": "Not Found"}
T = TypeVar("T")


class Refusal(Exception):
    """An answer that ends a request: `status`, a JSON body and headers."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status, self.body, self.headers = status, body, headers or {}


def forbidden() -> Refusal:
    """A key that is missing, malformed, unknown or revoked: never with a `detail`."""
    return Refusal(403, FORBIDDEN)


def no_credit() -> Refusal:
    return Refusal(403, {"detail": "Not enough credits"})


def not_found() -> Refusal:
    return Refusal(404, NOT_FOUND)


def not_finished(job_id: int, status: str) -> Refusal:
    """The one use of 400 under /v1."""
    return Refusal(400, {"detail": f"Render {job_id} is not finished (status: {status})"})


def conflict(sentence: str) -> Refusal:
    return Refusal(409, {"detail": sentence})


def too_large(sentence: str) -> Refusal:
    return Refusal(413, {"detail": sentence})


def too_many(retry_after_seconds: int) -> Refusal:
    return Refusal(429, {"detail": "Too Many Requests"}, {"Retry-After": str(retry_after_seconds)})


def unavailable() -> Refusal:
    return Refusal(503, {"detail": "Service Unavailable"}, {"Retry-After": "5"})


def no_translation() -> Refusal:
    return Refusal(501, {"detail": "Translation is not available: no translation plug-in is configured"})


def invalid(*entries: dict[str, Any]) -> Refusal:
    """422: `detail` lists what is wrong, `message` repeats the first entry (the Ruby client shows it)."""
    first = entries[0]
    place = ".".join(str(part) for part in first["loc"])
    return Refusal(422, {"detail": list(entries), "message": f"{place}: {first['msg']}"})


def wrong(field: str, sentence: str, *, kind: str = "value_error", where: str = "body") -> Refusal:
    """422 about one field."""
    return invalid({"loc": [where, *field.split(".")], "msg": sentence, "type": kind})


class Problem(Refusal):
    """RFC 9457: what /api answers."""

    def __init__(self, status: int, title: str) -> None:
        super().__init__(status, {"type": "about:blank", "title": title, "status": status})
        self.headers["content-type"] = "application/problem+json"


def as_problem(find: Callable[..., T], *given: Any, **named: Any) -> T:
    """A refusal of /v1 in the words of /api."""
    try:
        return find(*given, **named)
    except Refusal as refusal:
        title = refusal.body.get("message") or str(refusal.body.get("detail", "refused"))
        raise Problem(refusal.status, title) from refusal
