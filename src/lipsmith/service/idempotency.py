"""Idempotency-Key: the same request is carried out once. The contract's §9.

The key is taken, the work done and the answer kept in one transaction: a failure or a crash leaves neither, so that the
request may be repeated with its key. A second request that comes meanwhile waits for the first and repeats its answer;
where the database cannot let it wait it is refused.
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
from lipsmith.service.tables import Answer, now, reading, transaction

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
    try:
        with transaction(here.engine) as session:
            session.execute(delete(Answer).where(Answer.created_at < now() - _KEPT))
            if (kept := session.get(Answer, identity)) is not None:
                return _again(kept, digest)
            tenant_id, call, _ = identity
            mine = Answer(tenant_id=tenant_id, call=call, key=key, body_sha256=digest)
            session.add(mine)
            session.flush()  # a second request with this key waits here, or is refused
            mine.status, mine.body = status, answer = work(session)
    except IntegrityError as error:
        with reading(here.engine) as session:
            if (kept := session.get(Answer, identity)) is None:
                raise conflict("The first request with this Idempotency-Key is still running") from error
            return _again(kept, digest)
    return JSONResponse(answer, status)


def _again(kept: Answer, digest: str) -> JSONResponse:
    """The first answer once more. Raises Refusal 422 for another body."""
    if kept.body_sha256 != digest:
        raise wrong("Idempotency-Key", "this key was used with another body", where="header")
    return JSONResponse(kept.body, kept.status or 200, {"Idempotency-Replayed": "true"})
