"""Idempotency-Key: the same request is carried out once. The contract's §9.

The first request's row is written before its work and completed in the same transaction as its work: a failure takes
the row away again, so that the request may be repeated with its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lipsmith.service.auth import Caller
from lipsmith.service.context import Context
from lipsmith.service.refusals import conflict, wrong
from lipsmith.service.tables import Answer, now, transaction

_KEPT = timedelta(hours=24)
_MOST_CHARACTERS = 255
Work = Callable[[Session], tuple[int, dict[str, Any]]]


def once(request: Request, here: Context, who: Caller, body: bytes, work: Work) -> JSONResponse:
    """Do `work` in a transaction, or repeat its first answer. Raises what `work` raises, Refusal 409 and 422."""
    key = request.headers.get("idempotency-key")
    if key is None:
        with transaction(here.engine) as session:
            status, answer = work(session)
        return JSONResponse(answer, status)
    if not 1 <= len(key) <= _MOST_CHARACTERS or not all(32 <= ord(c) <= 126 for c in key):
        raise wrong(
            "Idempotency-Key", f"1 to {_MOST_CHARACTERS} printable ASCII characters are allowed", where="header"
        )
    identity = (who.tenant_id, f"{request.method} {request.scope['path']}", key)
    digest = hashlib.sha256(body).hexdigest()
    if (kept := _first(here, identity, digest)) is not None:
        return JSONResponse(kept.body, kept.status or 200, {"Idempotency-Replayed": "true"})
    try:
        with transaction(here.engine) as session:
            status, answer = work(session)
            mine = session.get_one(Answer, identity)
            mine.status, mine.body = status, answer
    except BaseException:
        with transaction(here.engine) as session:
            session.execute(
                delete(Answer).where(Answer.call == identity[1], Answer.key == key, Answer.tenant_id == who.tenant_id)
            )
        raise
    return JSONResponse(answer, status)


def _first(here: Context, identity: tuple[int, str, str], digest: str) -> Answer | None:
    """The kept answer, or None where this request is the first and now holds the key."""
    with transaction(here.engine) as session:
        session.execute(delete(Answer).where(Answer.created_at < now() - _KEPT))
    try:
        with transaction(here.engine) as session:
            tenant_id, call, key = identity
            session.add(Answer(tenant_id=tenant_id, call=call, key=key, body_sha256=digest))
        return None
    except IntegrityError:
        pass
    with transaction(here.engine) as session:
        kept = session.get(Answer, identity)
    if kept is None or kept.status is None:
        raise conflict("The first request with this Idempotency-Key is still running")
    if kept.body_sha256 != digest:
        raise wrong("Idempotency-Key", "this key was used with another body", where="header")
    return kept
