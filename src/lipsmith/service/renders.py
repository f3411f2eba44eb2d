"""E of the contract: renders in one call, by ids or by URLs."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lipsmith.service import idempotency, limits
from lipsmith.service.addresses import refused
from lipsmith.service.context import Context
from lipsmith.service.events import stamp
from lipsmith.service.generate import (
    completed_audio,
    create_job,
    download_url,
    find_job,
    options_of,
    require_usable,
    status_of,
)
from lipsmith.service.handling import Body, Here, Who, base_url, data, page_of, parse
from lipsmith.service.refusals import not_found, wrong
from lipsmith.service.schemas import RenderOptions, RenderRequest, is_uuid
from lipsmith.service.tables import Ingest, Job, Shot, glancing, reading

router = APIRouter(prefix="/v1/renders")


@router.post("", status_code=201)
def create_render(request: Request, here: Here, who: Who, body: Body) -> JSONResponse:
    """Dub a shot, or the video and the voice that URLs return."""

    def work(session: Session) -> tuple[int, dict[str, Any]]:
        wanted = parse(RenderRequest, body)
        _require_one_of_each(wanted)
        _require_addresses(wanted, here)
        if wanted.audio_id:
            completed_audio(session, who, wanted.audio_id, "audio_id")
        shot = _shot(session, who.tenant_id, wanted.video_id)
        if wanted.video_url or wanted.audio_url:
            limits.require_credit(session, here, who.tenant_id)
            return 202, {"data": {"tracking_id": _start_ingest(session, here, who, wanted)}}
        assert shot is not None and wanted.audio_id is not None
        job = render_job(session, here, shot, wanted.audio_id, wanted.model_dump(), None)
        answer: dict[str, Any] = {"generate_id": job.id}
        if (left := limits.balance(session, here, who.tenant_id)) is not None:
            answer["credit"] = {"balance": left}
        return 201, {"data": answer}

    return idempotency.once(request, here, who, body, work)


def render_job(
    session: Session, here: Context, shot: Shot, audio_id: str, request: dict[str, Any], tracking_id: str | None
) -> Job:
    """The job of a render; all options but these take their defaults."""
    options = options_of(RenderOptions(output_filename=request["output_filename"]), [_voice(audio_id)])
    return create_job(
        session, here, shot, options, request["output_filename"], request.get("callback_url"), tracking_id
    )


def _voice(audio_id: str) -> dict[str, Any]:
    return {"actor_id": None, "audio_id": audio_id, "ranges": None}


def _require_one_of_each(wanted: RenderRequest) -> None:
    for kind in ("video", "audio"):
        url, identity = getattr(wanted, f"{kind}_url"), getattr(wanted, f"{kind}_id")
        if (url is None) == (identity is None):
            raise wrong(f"{kind}_url", f"give exactly one of {kind}_url and {kind}_id")


def _require_addresses(wanted: RenderRequest, here: Context) -> None:
    allow = here.settings.url_allow_hosts
    for field, schemes in (
        ("video_url", ("http", "https")),
        ("audio_url", ("http", "https")),
        ("callback_url", ("https",)),
    ):
        url = getattr(wanted, field)
        if url and (reason := refused(url, allow, schemes=schemes)):
            raise wrong(field, reason)


def _shot(session: Session, tenant_id: int, shot_id: int | None) -> Shot | None:
    if shot_id is None:
        return None
    shot = session.get(Shot, shot_id, with_for_update=True)
    if shot is None or shot.tenant_id != tenant_id or shot.deleted_at is not None:
        raise wrong("video_id", f"shot {shot_id} does not exist")
    require_usable(shot, "video_id", "body")
    return shot


def _start_ingest(session: Session, here: Context, who: Any, wanted: RenderRequest) -> str:
    ingest = Ingest(id=str(uuid.uuid4()), tenant_id=who.tenant_id, user_id=who.user_id, request=wanted.model_dump())
    session.add(ingest)
    session.flush()
    here.queue.ingest(session, ingest.id)
    return ingest.id


@router.get("/track/{tracking_id}")
def track(tracking_id: str, here: Here, who: Who) -> JSONResponse:
    with reading(here.engine) as session:
        ingest = session.get(Ingest, tracking_id) if is_uuid(tracking_id) else None
        if ingest is None or ingest.tenant_id != who.tenant_id:
            raise not_found()
    return data(
        {
            "tracking_id": ingest.id,
            "status": ingest.status,
            "generate_id": ingest.job_id,
            "failure_reason": ingest.failure_reason,
        }
    )


@router.get("")
def list_renders(request: Request, here: Here, who: Who) -> JSONResponse:
    page = page_of(request, "page_size", 20)
    mine = Job.tenant_id == who.tenant_id
    query = select(Job, Shot.label).join(Shot, Shot.id == Job.shot_id).where(mine)
    query = query.order_by(Job.created_at.desc(), Job.id.desc()).offset(page.offset).limit(page.size)
    with reading(here.engine) as session:
        count = session.scalar(select(func.count()).where(mine))
        rows = session.execute(query).all()
    return data([_row(job, label) for job, label in rows], count=count)


def _row(job: Job, label: str) -> dict[str, Any]:
    return {
        "generate_id": job.id,
        "shot_file_name": label,
        "render_generation_status": job.status,
        "shot_id": job.shot_id,
        "output_filename": job.output_filename,
        "created_at": stamp(job.created_at),
    }


@router.get("/{generate_id}/status")
def render_status(generate_id: str, here: Here, who: Who) -> JSONResponse:
    with glancing(here.engine) as session:
        return data(status_of(find_job(session, who, generate_id)))


@router.get("/{generate_id}/download")
def render_download(generate_id: str, request: Request, here: Here, who: Who) -> JSONResponse:
    with reading(here.engine) as session:
        job = find_job(session, who, generate_id)
    return data({"download_url": download_url(job, base_url(request, here), here)})
