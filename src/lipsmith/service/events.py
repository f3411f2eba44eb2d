"""Webhook events: who is told what, written as rows in the transaction of what happened. The contract's §5."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lipsmith.service.jobs import JobQueue
from lipsmith.service.tables import Delivery, Job, Shot, Tenant, Upload, now, take_turn

RENDER_COMPLETE, RENDER_FAILED = "VIDEO_RENDER_COMPLETE", "RENDER_PROCESSING_FAILED"
ALWAYS = (RENDER_COMPLETE, RENDER_FAILED)
IF_CHOSEN = (
    "PREPROCESSING_COMPLETE",
    "TRAINING_COMPLETE",
    "FILE_UPLOAD_COMPLETE",
    "FILE_UPLOAD_FAILED",
    "PREPROCESSING_FAILED",
    "TRAINING_FAILED",
)
_CALLBACK_HOURS = 24  # for which a job's own callback wins over the tenant's webhook


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def job_ended(session: Session, queue: JobQueue, job: Job, download_url: str | None) -> None:
    data = {
        "generate_id": job.id,
        "shot_id": job.shot_id,
        "status": job.status,
        "output_filename": job.output_filename,
        "download_url": download_url,
        "failure_reason": job.failure_reason,
    }
    if job.tracking_id:
        data["tracking_id"] = job.tracking_id
    event = RENDER_COMPLETE if job.status == "finished" else RENDER_FAILED
    own = job.callback_url if now() - job.created_at < timedelta(hours=_CALLBACK_HOURS) else None
    _tell(session, queue, job.tenant_id, f"job-{job.id}", event, data, own)


def ingest_failed(session: Session, queue: JobQueue, tenant_id: int, tracking_id: str, request: dict, why: str) -> None:
    data = {
        "generate_id": None,
        "shot_id": None,
        "tracking_id": tracking_id,
        "status": "failed",
        "output_filename": request["output_filename"],
        "download_url": None,
        "failure_reason": why,
    }
    _tell(session, queue, tenant_id, f"ingest-{tracking_id}", RENDER_FAILED, data, request.get("callback_url"))


def shot_event(session: Session, queue: JobQueue, shot: Shot, event: str, status: str) -> None:
    data = {
        "shot_id": shot.id,
        "video_id": shot.video_id,
        "status": status,
        "failure_reason": shot.failure_reason if status == "failed" else None,
    }
    _tell(session, queue, shot.tenant_id, f"shot-{shot.id}", event, data, None)


def upload_ended(session: Session, queue: JobQueue, upload: Upload) -> None:
    data = {
        "asset": upload.kind,
        f"{upload.kind}_id": upload.id,
        "file_name": upload.file_name,
        "status": upload.status,
        "failure_reason": upload.failure_reason,
    }
    event = "FILE_UPLOAD_COMPLETE" if upload.status == "completed" else "FILE_UPLOAD_FAILED"
    _tell(session, queue, upload.tenant_id, f"upload-{upload.id}", event, data, None)


def _tell(
    session: Session, queue: JobQueue, tenant_id: int, line: str, event: str, data: dict, own_url: str | None
) -> None:
    """Write a delivery for whoever wants this event; nobody: the event is dropped."""
    take_turn(session, line)  # else the end of an earlier delivery and this one could miss each other
    tenant = session.get_one(Tenant, tenant_id)
    wanted = tenant.webhook_enabled and (event in ALWAYS or event in tenant.webhook_events)
    url = own_url or (tenant.webhook_url if wanted else None)
    if url is None:
        return
    body = {"event_type": event, "created_at": stamp(now()), "data": data}
    number = session.scalar(select(func.count()).where(Delivery.line == line)) or 0
    waits = session.scalar(select(func.count()).where(Delivery.line == line, Delivery.state == "pending"))
    delivery = Delivery(
        id=f"msg_{secrets.token_hex(12)}",
        number=number,
        tenant_id=tenant_id,
        line=line,
        event=event,
        url=url,
        with_bearer=tenant.webhook_bearer is not None and same_origin(url, tenant.webhook_url),
        body=json.dumps(body, separators=(",", ":")),
    )
    session.add(delivery)
    session.flush()
    if not waits:  # else it follows when the earlier one has ended
        queue.deliver(session, delivery.id)


def same_origin(url: str, other: str | None) -> bool:
    if other is None:
        return False
    a, b = urlsplit(url), urlsplit(other)
    return (a.scheme, a.hostname, a.port) == (b.scheme, b.hostname, b.port)
