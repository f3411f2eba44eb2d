"""C of the contract: shots, projects, actors; and F: who am I."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lipsmith.service.auth import Caller
from lipsmith.service.events import stamp
from lipsmith.service.handling import Here, Who, base_url, data, file_url, id_of, page_of
from lipsmith.service.refusals import not_found
from lipsmith.service.signing import Permission
from lipsmith.service.tables import Actor, Project, Scene, Shot, User, glancing, reading

router = APIRouter(prefix="/v1")
_ENGLISH = {"language_id": 1, "name": "English", "supported": True}  # constant: lip-sync needs no language


@router.get("/shots")
def list_shots(request: Request, here: Here, who: Who) -> JSONResponse:
    page = page_of(request, "per_page", 20)
    mine = (Shot.tenant_id == who.tenant_id) & Shot.deleted_at.is_(None)
    query = (
        select(Shot.id, Shot.label, Shot.project_id, Shot.scene_id, Project.name, Scene.name)
        .join(Project, Project.id == Shot.project_id)
        .join(Scene, Scene.id == Shot.scene_id)
        .where(mine)
        .order_by(Shot.created_at.desc(), Shot.id.desc())
    )
    names = ("shot_id", "shot_label", "shot_project_id", "shot_scene_id", "shot_project_name", "shot_scene_name")
    with reading(here.engine) as session:
        count = session.scalar(select(func.count()).where(mine))
        rows = session.execute(query.offset(page.offset).limit(page.size)).all()
    return data([dict(zip(names, row, strict=True)) for row in rows], count=count)


@router.get("/shots/{shot_id}/status")
def shot_status(shot_id: str, here: Here, who: Who) -> JSONResponse:
    with glancing(here.engine) as session:
        shot = find_shot(session, who, shot_id)
    words: dict[str, Any] = {"shot_status": shot.status, "ai_training_status": shot.training_status}
    if "failed" in words.values():
        words["failure_reason"] = shot.failure_reason
    return data(words)


@router.get("/shots/{shot_id}/actors")
def shot_actors(shot_id: str, request: Request, here: Here, who: Who) -> JSONResponse:
    base = base_url(request, here)
    with reading(here.engine) as session:
        shot = find_shot(session, who, shot_id)
        rows = actors_of(session, shot)
    expires = int(time.time()) + here.settings.download_url_ttl

    def thumbnail(actor: Actor) -> str | None:
        if actor.thumbnail_key is None:
            return None
        return file_url(base, here, Permission("GET", actor.thumbnail_key, expires, "image/jpeg"))

    listed = [{"actor_id": a.id, "actor_name": a.name, "name": a.name, "thumbnail_url": thumbnail(a)} for a in rows]
    return data(listed, count=len(listed))


@router.get("/projects")
def list_projects(request: Request, here: Here, who: Who) -> JSONResponse:
    page = page_of(request, "per_page", 20)
    mine = (Project.tenant_id == who.tenant_id) & Project.deleted_at.is_(None)
    query = select(Project, User.email).join(User, User.id == Project.user_id).where(mine)
    query = query.order_by(Project.created_at.desc(), Project.id.desc()).offset(page.offset).limit(page.size)
    with reading(here.engine) as session:
        count = session.scalar(select(func.count()).where(mine))
        rows = session.execute(query).all()
        crowds = _with_several_actors(session, [project.id for project, _ in rows])
    return data([_project_row(project, email, project.id in crowds) for project, email in rows], count=count)


def _project_row(project: Project, email: str, several: bool) -> dict[str, Any]:
    return {
        "project_id": project.id,
        "projects_tenant_id": project.tenant_id,
        "projects_user_id": project.user_id,
        "project_name": project.name,
        "user_email": email,
        "created_at": stamp(project.created_at),
        "updated_at": stamp(project.updated_at) if project.updated_at else None,
        "source_language": _ENGLISH,
        "project_identity_type": "multi_identity" if several else "single_identity",
        "language_project_links": [],
    }


def _with_several_actors(session: Session, projects: list[int]) -> set[int]:
    query = (
        select(Shot.project_id)
        .join(Actor, Actor.shot_id == Shot.id)
        .where(Shot.project_id.in_(projects))
        .group_by(Shot.id, Shot.project_id)
        .having(func.count() > 1)
    )
    return set(session.scalars(query))


@router.get("/whoami")
def whoami(who: Who) -> JSONResponse:
    return data({"user_id": who.user_id, "users_tenant_id": who.tenant_id, "email": who.email})


def find_shot(session: Session, who: Caller, text: str, *, lock: bool = False) -> Shot:
    """The tenant's shot of a path. Raises Refusal 404."""
    shot = session.get(Shot, id_of(text), with_for_update=lock or None)
    if shot is None or shot.tenant_id != who.tenant_id or shot.deleted_at is not None:
        raise not_found()
    return shot


def actors_of(session: Session, shot: Shot) -> list[Actor]:
    """By screen time; the first is the one that was made with the upload."""
    rows = session.scalars(select(Actor).where(Actor.shot_id == shot.id)).all()
    return sorted(rows, key=lambda actor: actor.id)
