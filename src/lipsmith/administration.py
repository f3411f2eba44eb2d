"""Commands for the owner of a server: keys, jobs and webhooks, straight on its database.

Takes settings, gives rows for `cli` to print.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lipsmith.errors import RequestError
from lipsmith.service import events
from lipsmith.service.auth import create_key, revoke_key
from lipsmith.service.context import Context
from lipsmith.service.extras import cancel_job, record_of, retry_job
from lipsmith.service.refusals import Refusal
from lipsmith.service.tables import JOB_ENDS, Delivery, Job, Key, Tenant, User, now, reading, transaction

_LISTED = 50


def keys(here: Context) -> list[dict[str, Any]]:
    query = select(Key, User.email).join(User, User.id == Key.user_id).order_by(Key.id)
    with reading(here.engine) as session:
        rows = session.execute(query).all()
    return [
        {
            "prefix": key.prefix,
            "email": email,
            "created_at": events.stamp(key.created_at),
            "revoked_at": events.stamp(key.revoked_at) if key.revoked_at else None,
        }
        for key, email in rows
    ]


def new_key(here: Context, email: str) -> str:
    """Raises RequestError for what is no address."""
    if "@" not in email.strip("@") or len(email) > 254:
        raise RequestError(f"{email!r} is not an e-mail address.")
    with transaction(here.engine) as session:
        return create_key(session, email)


def drop_key(here: Context, prefix: str) -> int:
    """Raises RequestError where no key begins so."""
    if len(prefix) < 6 or not (count := revoke_key(here.engine, prefix)):
        raise RequestError(
            f"No valid key begins with {prefix!r} (give at least six characters; `keys list` shows them)."
        )
    return count


def jobs(here: Context, status: str | None) -> list[dict[str, Any]]:
    query = select(Job).order_by(Job.id.desc()).limit(_LISTED)
    if status:
        query = query.where(Job.status == status)
    with reading(here.engine) as session:
        return [record_of(job) for job in session.scalars(query)]


def job(here: Context, job_id: int) -> dict[str, Any]:
    """Raises RequestError."""
    with reading(here.engine) as session:
        return record_of(_job(session, job_id))


def cancel(here: Context, job_id: int) -> dict[str, Any]:
    """Raises RequestError for a job that has ended otherwise."""
    with transaction(here.engine) as session:
        row = _job(session, job_id, lock=True)
        if row.status in JOB_ENDS and row.status != "cancelled":
            raise RequestError(f"Job {job_id} is {row.status} already.")
        cancel_job(session, here, row)
        return record_of(row)


def retry(here: Context, job_id: int) -> dict[str, Any]:
    """The new job. Raises RequestError unless the old one failed or was cancelled."""
    with transaction(here.engine) as session:
        try:
            return record_of(retry_job(session, here, _job(session, job_id)))
        except Refusal as refusal:
            reason = refusal.body.get("title") or refusal.body.get("message") or refusal.body.get("detail")
            raise RequestError(f"Job {job_id} cannot be tried again: {reason}.") from refusal


def _job(session: Session, job_id: int, *, lock: bool = False) -> Job:
    row = session.get(Job, job_id, with_for_update=lock or None)
    if row is None:
        raise RequestError(f"There is no job {job_id}.")
    return row


def send_test_event(here: Context, email: str | None) -> dict[str, Any]:
    """Send a signed test event to a user's webhook now. Raises RequestError where there is none."""
    from lipsmith.worker.delivering import attempt

    with reading(here.engine) as session:
        query = select(Tenant).join(User, User.tenant_id == Tenant.id).where(Tenant.webhook_url.is_not(None))
        tenant = session.scalars(query.where(User.email == email) if email else query).first()
    if tenant is None or tenant.webhook_url is None:
        raise RequestError("No webhook is set" + (f" for {email}." if email else ".") + " Set it by PUT /api/webhook.")
    body = {"event_type": "TEST", "created_at": events.stamp(now()), "data": {}}
    delivery = Delivery(
        id=f"msg_{secrets.token_hex(12)}",
        event="TEST",
        url=tenant.webhook_url,
        with_bearer=tenant.webhook_bearer is not None,
        body=json.dumps(body, separators=(",", ":")),
    )
    outcome = asyncio.run(attempt(here, delivery, tenant))
    return {"url": delivery.url, "status": outcome.status, "error": outcome.error, "delivered": outcome.delivered}
