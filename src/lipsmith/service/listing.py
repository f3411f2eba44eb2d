"""Lists for people, below /api: shots, takes and voices with all that a row of a page shows, newest first, in pages."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from lipsmith.service.context import Context
from lipsmith.service.events import stamp
from lipsmith.service.extras import record_of
from lipsmith.service.handling import Here, Who, base_url, data, file_url, id_of, page_of
from lipsmith.service.refusals import as_problem
from lipsmith.service.shots import find_shot
from lipsmith.service.signing import Permission
from lipsmith.service.tables import Actor, Job, Project, Shot, Upload, reading
from lipsmith.service.uploads import audio_page

router = APIRouter(prefix="/api")
_PER_PAGE = 24


@router.get("/shots")
def list_shots(request: Request, here: Here, who: Who) -> JSONResponse:
    """`project_id` and `q` (part of a label or a project's name) narrow it down."""
    page = as_problem(page_of, request, "per_page", _PER_PAGE)
    mine = (Shot.tenant_id == who.tenant_id) & Shot.deleted_at.is_(None) & _wanted(request)
    query = select(Shot, Project.name, Upload.received_bytes).join(Project, Project.id == Shot.project_id)
    query = query.join(Upload, Upload.id == Shot.video_id).where(mine)
    query = query.order_by(Shot.created_at.desc(), Shot.id.desc()).offset(page.offset).limit(page.size)
    with reading(here.engine) as session:
        counted = select(func.count()).select_from(Shot).join(Project, Project.id == Shot.project_id).where(mine)
        count = session.scalar(counted)
        rows = session.execute(query).all()
        listed = _shot_rows(session, rows, request, here)
    return data(listed, count=count)


@router.get("/shots/{shot_id}")
def shot(shot_id: str, request: Request, here: Here, who: Who) -> JSONResponse:
    """All that is known of a shot."""
    with reading(here.engine) as session:
        number = as_problem(find_shot, session, who, shot_id).id
        query = select(Shot, Project.name, Upload.received_bytes).join(Project, Project.id == Shot.project_id)
        rows = session.execute(query.join(Upload, Upload.id == Shot.video_id).where(Shot.id == number)).all()
        return data(_shot_rows(session, rows, request, here)[0])


@router.get("/jobs")
def list_jobs(request: Request, here: Here, who: Who) -> JSONResponse:
    """The takes that are not deleted; `shot_id` narrows it down."""
    page = as_problem(page_of, request, "per_page", _PER_PAGE)
    mine = (Job.tenant_id == who.tenant_id) & Job.deleted_at.is_(None)
    if (given := request.query_params.get("shot_id")) is not None:
        mine &= Job.shot_id == as_problem(id_of, given)
    query = select(Job, Shot.label).join(Shot, Shot.id == Job.shot_id).where(mine)
    query = query.order_by(Job.created_at.desc(), Job.id.desc()).offset(page.offset).limit(page.size)
    with reading(here.engine) as session:
        count = session.scalar(select(func.count()).where(mine))
        rows = session.execute(query).all()
    return data([{**record_of(job), "shot_label": label} for job, label in rows], count=count)


@router.get("/audio")
def list_voices(request: Request, here: Here, who: Who) -> JSONResponse:
    """`q` (part of a file name) narrows it down, `status` too."""
    page = as_problem(page_of, request, "per_page", _PER_PAGE)
    narrower = []
    if words := request.query_params.get("q", "").strip():
        narrower.append(Upload.file_name.icontains(words, autoescape=True))
    if status := request.query_params.get("status"):
        narrower.append(Upload.status == status)
    return audio_page(here, who, page, *narrower)


def _wanted(request: Request) -> ColumnElement[bool]:
    wanted: ColumnElement[bool] = Shot.id > 0
    if (project := request.query_params.get("project_id")) is not None:
        wanted &= Shot.project_id == as_problem(id_of, project)
    if words := request.query_params.get("q", "").strip():
        wanted &= Shot.label.icontains(words, autoescape=True) | Project.name.icontains(words, autoescape=True)
    return wanted


def _shot_rows(session: Session, rows: Any, request: Request, here: Context) -> list[dict[str, Any]]:
    numbers = [row[0].id for row in rows]
    portraits = _first_portraits(session, numbers)
    alive = Job.shot_id.in_(numbers) & Job.deleted_at.is_(None)
    takes = dict(session.execute(select(Job.shot_id, func.count()).where(alive).group_by(Job.shot_id)).tuples().all())
    base, expires = base_url(request, here), int(time.time()) + here.settings.download_url_ttl

    def thumbnail(key: str | None) -> str | None:
        return key and file_url(base, here, Permission("GET", key, expires, "image/jpeg"))

    return [
        {**_shot_row(*row), "takes": takes.get(row[0].id, 0), "thumbnail_url": thumbnail(portraits.get(row[0].id))}
        for row in rows
    ]


def _first_portraits(session: Session, shots: list[int]) -> dict[int | None, str | None]:
    first = select(func.min(Actor.id)).where(Actor.shot_id.in_(shots)).group_by(Actor.shot_id)
    found = select(Actor.shot_id, Actor.thumbnail_key).where(Actor.id.in_(first))
    return dict(session.execute(found).tuples().all())


def _shot_row(shot: Shot, project: str, size: int | None) -> dict[str, Any]:
    return {
        "shot_id": shot.id,
        "label": shot.label,
        "project_id": shot.project_id,
        "project_name": project,
        "shot_status": shot.status,
        "ai_training_status": shot.training_status,
        "failure_reason": shot.failure_reason,
        "stage": shot.stage,
        "progress": shot.progress,
        "eta_seconds": shot.eta_seconds,
        "frame_count": shot.frame_count,
        "frame_rate": [shot.rate_numerator, shot.rate_denominator],
        "constant_rate": shot.constant_rate,
        "duration_seconds": shot.duration_seconds,
        "size_bytes": size,
        "created_at": stamp(shot.created_at),
    }
