"""What the peer does not have, below /api: health, whole job records, live progress, cancel, retry, delete, webhooks.

Errors are RFC 9457 problems.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from lipsmith.service import events, idempotency
from lipsmith.service.addresses import refused
from lipsmith.service.auth import new_secret
from lipsmith.service.context import Context
from lipsmith.service.generate import create_job, find_job, require_usable
from lipsmith.service.handling import Body, Here, Who, data, id_of, parse
from lipsmith.service.openapi import document
from lipsmith.service.outages import AWAY
from lipsmith.service.previews import prefix_of_job
from lipsmith.service.refusals import Problem, as_problem
from lipsmith.service.schemas import WebhookRequest
from lipsmith.service.shots import find_shot
from lipsmith.service.tables import (
    JOB_ENDS,
    Delivery,
    Job,
    Lease,
    Project,
    Shot,
    Stage,
    Tenant,
    Upload,
    glancing,
    moment_of,
    now,
    reading,
    transaction,
)
from lipsmith.service.uploads import find as find_upload

router = APIRouter()
_OLD_SECRET_HOURS = 24
_ALIVE_SECONDS = 60.0
_LOOK_SECONDS, _COMMENT_SECONDS = 0.5, 15.0


@router.get("/api/health/live")
def live() -> JSONResponse:
    return JSONResponse({"status": "ok"})


@router.get("/api/health/ready")
def ready(here: Here) -> JSONResponse:
    """Database, storage, and whether a worker has given a sign of life of late."""
    checks = {"database": "fail", "storage": "ok" if here.storage.writable() else "fail", "workers": "fail"}
    try:
        with reading(here.engine) as session:
            session.execute(text("SELECT 1"))
            checks["database"] = "ok"
            alive = (Lease.role == "worker") & (Lease.beat > moment_of(session) - timedelta(seconds=_ALIVE_SECONDS))
            checks["workers"] = "ok" if session.scalar(select(func.count()).where(alive)) else "fail"
    except SQLAlchemyError:
        pass
    fine = set(checks.values()) == {"ok"}
    return JSONResponse({"status": "ok" if fine else "fail", "checks": checks}, 200 if fine else 503)


@router.get("/openapi.json", include_in_schema=False)
@router.get("/api/openapi.json")
def openapi(request: Request) -> JSONResponse:
    """This document."""
    return JSONResponse(document(request.app))


@router.get("/api/metrics")
def metrics(request: Request, here: Here) -> Response:
    with reading(here.engine) as session:
        counts = dict(session.execute(select(Job.status, func.count()).group_by(Job.status)).all())
        stages = session.scalars(select(Stage)).all()
    return Response(request.app.state.metrics.text(counts, stages), media_type="text/plain; version=0.0.4")


@router.get("/api/jobs/{generate_id}")
def jobrecord_of(generate_id: str, here: Here, who: Who) -> JSONResponse:
    with glancing(here.engine) as session:
        return data(record_of(_job(session, who, generate_id)))


def record_of(job: Job) -> dict[str, Any]:
    """All that is known of a job."""

    def moment(value: datetime | None) -> str | None:
        return events.stamp(value) if value else None

    return {
        "generate_id": job.id,
        "shot_id": job.shot_id,
        "status": job.status,
        "progress": job.progress,
        "stage": job.stage,
        "eta_seconds": job.eta_seconds,
        "options": job.options,
        "output_filename": job.output_filename,
        "warnings": job.warnings,
        "failure_reason": job.failure_reason,
        "tracking_id": job.tracking_id,
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "ended_at": moment(job.ended_at),
    }


@router.get("/api/jobs/{generate_id}/events")
def job_events(generate_id: str, request: Request, here: Here, who: Who) -> StreamingResponse:
    with glancing(here.engine) as session:
        job_id = _job(session, who, generate_id).id

    def look() -> tuple[dict[str, Any], bool]:
        with glancing(here.engine) as session:
            job = session.get_one(Job, job_id)
            return {
                "status": job.status,
                "progress": job.progress,
                "stage": job.stage,
                "eta_seconds": job.eta_seconds,
            }, job.status in JOB_ENDS

    return _stream(look, request)


@router.get("/api/shots/{shot_id}/events")
def shot_events(shot_id: str, request: Request, here: Here, who: Who) -> StreamingResponse:
    with glancing(here.engine) as session:
        number = as_problem(find_shot, session, who, shot_id).id

    def look() -> tuple[dict[str, Any], bool]:
        with glancing(here.engine) as session:
            shot = session.get_one(Shot, number)
            ended = shot.training_status in ("finished", "failed") or shot.status == "failed"
            status = shot.status if shot.status != "finished" else f"training_{shot.training_status}"
            return {
                "status": status,
                "progress": shot.progress,
                "stage": shot.stage,
                "eta_seconds": shot.eta_seconds,
            }, ended

    return _stream(look, request)


def _standing(status: str, row: Job | Shot) -> dict[str, Any]:
    return {"status": status, "progress": row.progress, "stage": row.stage, "eta_seconds": row.eta_seconds}


def _stream(look: Any, request: Request) -> StreamingResponse:
    """Server-sent events of what changes; numbers go on from Last-Event-ID."""
    last = request.headers.get("last-event-id", "")
    number = int(last) if last.isascii() and last.isdecimal() and len(last) < 16 else 0

    async def told() -> AsyncIterator[str]:
        seen, count, spoke = None, number, time.monotonic()
        while True:
            try:
                state, ended = await anyio.to_thread.run_sync(look)
            except AWAY:  # the stream outlives it
                await anyio.sleep(_LOOK_SECONDS)
                continue
            if state != seen:
                kind = "status" if seen is None or state["status"] != seen["status"] else "progress"
                seen, count, spoke = state, count + 1, time.monotonic()
                yield f"id: {count}\nevent: {kind}\ndata: {json.dumps(state)}\n\n"
            elif time.monotonic() - spoke > _COMMENT_SECONDS:
                spoke = time.monotonic()
                yield ": still here\n\n"
            if ended:
                return
            await anyio.sleep(_LOOK_SECONDS)

    return StreamingResponse(told(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.post("/api/jobs/{generate_id}/cancel", status_code=202)
def cancel(generate_id: str, here: Here, who: Who) -> JSONResponse:
    with transaction(here.engine) as session:
        job = _job(session, who, generate_id, lock=True)
        if job.status in JOB_ENDS and job.status != "cancelled":
            raise Problem(409, f"This job is {job.status} already")
        cancel_job(session, here, job)
    return data({"generate_id": job.id, "status": job.status}, 202)


def cancel_job(session: Session, here: Context, job: Job) -> None:
    """The row says it: the worker watches it while it works, and reads it before it begins."""
    if job.status != "cancelled":
        job.status, job.ended_at = "cancelled", now()
        events.job_ended(session, here.queue, job, None)


@router.post("/api/jobs/{generate_id}/retry", status_code=201)
def retry(generate_id: str, request: Request, here: Here, who: Who, body: Body) -> JSONResponse:
    def work(session: Session) -> tuple[int, dict[str, Any]]:
        job = retry_job(session, here, _job(session, who, generate_id))
        return 201, {"data": {"generate_id": job.id, "status": "not_started"}}

    return idempotency.once(request, here, who, body, work)


def retry_job(session: Session, here: Context, old: Job) -> Job:
    """A new job with the same options. Raises Refusal 409 unless the old one failed or was cancelled, 404, 422."""
    if old.status not in ("failed", "cancelled"):
        raise Problem(409, f"This job is {old.status}; only a failed or cancelled one can be tried again")
    shot = session.get_one(Shot, old.shot_id, with_for_update=True)
    if shot.deleted_at is not None:
        raise Problem(404, "The shot is deleted")
    as_problem(require_usable, shot)
    return create_job(session, here, shot, old.options, old.output_filename, old.callback_url, old.tracking_id)


@router.get("/api/jobs/{generate_id}/quality")
def quality(generate_id: str, here: Here, who: Who) -> JSONResponse:
    with reading(here.engine) as session:
        job = _job(session, who, generate_id)
    if job.status != "finished" or job.quality is None:
        raise Problem(404, "Not Found")
    before = "done" if "same_file" in job.quality else "off"  # of jobs that ended before this was noted
    return data({"judged": before, **job.quality})


@router.delete("/api/jobs/{generate_id}", status_code=204)
def delete_job(generate_id: str, request: Request, here: Here, who: Who) -> Response:
    with transaction(here.engine) as session:
        job = _job(session, who, generate_id, lock=True)
        _stop_running(session, here, [job], request)
        _forget_output(here, job)
    return Response(status_code=204)


@router.delete("/api/shots/{shot_id}", status_code=204)
def delete_shot(shot_id: str, request: Request, here: Here, who: Who) -> Response:
    with transaction(here.engine) as session:
        _remove_shots(session, here, [as_problem(find_shot, session, who, shot_id, lock=True)], request)
    return Response(status_code=204)


@router.delete("/api/projects/{project_id}", status_code=204)
def delete_project(project_id: str, request: Request, here: Here, who: Who) -> Response:
    with transaction(here.engine) as session:
        project = session.get(Project, as_problem(id_of, project_id))
        if project is None or project.tenant_id != who.tenant_id or project.deleted_at is not None:
            raise Problem(404, "Not Found")
        query = select(Shot).where(Shot.project_id == project.id, Shot.deleted_at.is_(None))
        _remove_shots(session, here, list(session.scalars(query)), request)
        project.deleted_at = now()
    return Response(status_code=204)


@router.delete("/api/audio/{audio_id}", status_code=204)
def delete_audio(audio_id: str, request: Request, here: Here, who: Who) -> Response:
    with transaction(here.engine) as session:
        upload = as_problem(find_upload, session, who, "audio", audio_id, lock=True)
        jobs = [
            job
            for job in session.scalars(select(Job).where(Job.tenant_id == who.tenant_id))
            if audio_id in _audio_of(job)
        ]
        _stop_running(session, here, jobs, request)
        _skip_waiting(session, here, jobs)
        upload.deleted_at = now()
        here.storage.delete(upload.object_key)
        for job in jobs:
            _forget_output(here, job)
    return Response(status_code=204)


def _audio_of(job: Job) -> list[str]:
    return [voice["audio_id"] for voice in job.options["voices"]] + [job.options.get("soundtrack_audio_id") or ""]


def _remove_shots(session: Session, here: Context, shots: list[Shot], request: Request) -> None:
    for shot in shots:
        jobs = list(session.scalars(select(Job).where(Job.shot_id == shot.id)))
        _stop_running(session, here, jobs, request)
        _skip_waiting(session, here, jobs)
        shot.deleted_at = now()
        upload = session.get_one(Upload, shot.video_id)
        upload.deleted_at = now()
        here.storage.delete(upload.object_key)
        _forget_made(session, here, shot)
        for job in jobs:
            _forget_output(here, job)


def _forget_made(session: Session, here: Context, shot: Shot) -> None:
    """What the engine kept of the shot, unless an equal file of the tenant still needs it."""
    if shot.model_key is None:
        return
    session.flush()
    others = select(func.count()).where(Shot.model_key == shot.model_key, Shot.deleted_at.is_(None))
    if not session.scalar(others):
        here.storage.delete_below(shot.model_key)


def _stop_running(session: Session, here: Context, jobs: list[Job], request: Request) -> None:
    running = [job for job in jobs if job.status == "running"]
    if running and request.query_params.get("force") != "true":
        raise Problem(409, f"Job {running[0].id} is running; cancel it, or use ?force=true")
    for job in running:
        cancel_job(session, here, job)


def _skip_waiting(session: Session, here: Context, jobs: list[Job]) -> None:
    for job in jobs:
        if job.status in ("not_started", "pending"):
            job.status, job.ended_at = "skipped", now()
            events.job_ended(session, here.queue, job, None)


def _forget_output(here: Context, job: Job) -> None:
    job.deleted_at = now()
    here.storage.delete_below(prefix_of_job(job))


@router.get("/api/usage")
def usage(request: Request, here: Here, who: Who) -> JSONResponse:
    bounds = [_time(request.query_params.get(name), name) for name in ("from", "to")]
    with reading(here.engine) as session:
        mine = (Job.tenant_id == who.tenant_id) & (Job.status == "finished")
        if bounds[0]:
            mine &= Job.ended_at >= bounds[0]
        if bounds[1]:
            mine &= Job.ended_at < bounds[1]
        rows = session.execute(select(Job, Shot.duration_seconds).join(Shot, Shot.id == Job.shot_id).where(mine)).all()
        held = (Upload.tenant_id == who.tenant_id) & Upload.deleted_at.is_(None)
        stored = int(session.scalar(select(func.sum(Upload.received_bytes)).where(held)) or 0)
    spent = [(job.ended_at - job.started_at).total_seconds() for job, _ in rows if job.ended_at and job.started_at]
    seconds = sum(duration or 0.0 for _, duration in rows)
    outputs = sum(job.output_bytes or 0 for job, _ in rows if job.deleted_at is None)
    return data(
        {
            "renders": len(rows),
            "source_seconds": round(seconds, 3),
            "output_seconds": round(seconds, 3),
            "compute_seconds": round(sum(spent), 3),
            "storage_bytes": stored + outputs,
        }
    )


def _time(given: str | None, name: str) -> datetime | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise Problem(422, f"{name} is not a time such as 2026-02-11T22:35:56Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=now().tzinfo)


@router.get("/api/webhook")
def webhook(here: Here, who: Who) -> JSONResponse:
    with reading(here.engine) as session:
        return data(_webhook(session.get_one(Tenant, who.tenant_id)))


@router.put("/api/webhook")
def set_webhook(here: Here, who: Who, body: Body) -> JSONResponse:
    wanted = as_problem(parse, WebhookRequest, body)
    if wanted.url and (reason := refused(wanted.url, here.settings.url_allow_hosts, schemes=("https",))):
        raise Problem(422, f"url: {reason}")
    known = (*events.ALWAYS, *events.IF_CHOSEN)
    if unknown := [event for event in wanted.events or [] if event not in known]:
        raise Problem(422, f"events: {unknown[0]!r} is not one of {', '.join(known)}")
    with transaction(here.engine) as session:
        tenant = session.get_one(Tenant, who.tenant_id)
        first = tenant.webhook_url is None
        tenant.webhook_url, tenant.webhook_enabled = wanted.url, wanted.enabled
        tenant.webhook_events = wanted.events or []
        if wanted.bearer_key is not None:
            tenant.webhook_bearer = wanted.bearer_key
        told = _webhook(tenant)
        if first:
            told["secret"] = tenant.secret  # shown once
    return data(told)


@router.delete("/api/webhook", status_code=204)
def delete_webhook(here: Here, who: Who) -> Response:
    with transaction(here.engine) as session:
        tenant = session.get_one(Tenant, who.tenant_id)
        tenant.webhook_url = tenant.webhook_bearer = None
        tenant.webhook_events = []
    return Response(status_code=204)


@router.post("/api/webhook/rotate-secret")
def rotate_secret(here: Here, who: Who) -> JSONResponse:
    """A new signing secret; the old one signs beside it for a day."""
    with transaction(here.engine) as session:
        tenant = session.get_one(Tenant, who.tenant_id)
        tenant.old_secret, tenant.old_secret_until = tenant.secret, now() + timedelta(hours=_OLD_SECRET_HOURS)
        tenant.secret = new_secret()
        return data({"secret": tenant.secret})


def _webhook(tenant: Tenant) -> dict[str, Any]:
    return {"url": tenant.webhook_url, "events": tenant.webhook_events, "enabled": tenant.webhook_enabled}


@router.get("/api/webhook/deliveries")
def deliveries(request: Request, here: Here, who: Who) -> JSONResponse:
    mine = Delivery.tenant_id == who.tenant_id
    if state := request.query_params.get("state"):
        mine &= Delivery.state == state
    with reading(here.engine) as session:
        rows = session.scalars(select(Delivery).where(mine).order_by(Delivery.created_at.desc()).limit(100)).all()
        count = session.scalar(select(func.count()).where(mine))
    return data([_delivery(row) for row in rows], count=count)


def _delivery(row: Delivery) -> dict[str, Any]:
    return {
        "webhook_id": row.id,
        "event_type": row.event,
        "url": row.url,
        "state": row.state,
        "attempts": row.attempts,
        "last_status": row.last_status,
        "last_error": row.last_error,
        "created_at": events.stamp(row.created_at),
    }


@router.post("/api/webhook/deliveries/{webhook_id}/replay", status_code=202)
def replay(webhook_id: str, here: Here, who: Who) -> JSONResponse:
    """Send again with the same id."""
    with transaction(here.engine) as session:
        row = session.get(Delivery, webhook_id, with_for_update=True)
        if row is None or row.tenant_id != who.tenant_id:
            raise Problem(404, "Not Found")
        if row.state == "pending":
            raise Problem(409, "This delivery is still being tried")
        session.execute(update(Delivery).where(Delivery.id == row.id).values(state="pending", ended_at=None))
        here.queue.deliver(session, row.id, row.attempts)
    return data({"webhook_id": row.id}, 202)


def _job(session: Session, who: Any, text_id: str, *, lock: bool = False) -> Job:
    return as_problem(find_job, session, who, text_id, lock=lock)
