"""A and B of the contract: bringing a video or a voice."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from lipsmith.service import events, idempotency, limits, probing
from lipsmith.service.addresses import refused
from lipsmith.service.auth import Caller
from lipsmith.service.context import Context
from lipsmith.service.formats import Kind, bare
from lipsmith.service.handling import Body, Here, Page, Who, base_url, data, file_url, page_of, parse
from lipsmith.service.refusals import conflict, not_found, too_large, wrong
from lipsmith.service.schemas import AudioRequest, UploadRequest, VideoRequest, is_uuid
from lipsmith.service.signing import Permission
from lipsmith.service.tables import Actor, Project, Scene, Shot, Upload, now, reading, transaction

router = APIRouter(prefix="/v1")


@router.post("/video", status_code=201)
def create_video(request: Request, here: Here, who: Who, body: Body) -> JSONResponse:
    """Make a project, a scene, an actor and a place for the file."""

    def create(session: Session) -> dict[str, Any]:
        wanted = parse(VideoRequest, body)
        upload = _new_upload("video", wanted, wanted.video_source_url, here, who)
        project = Project(tenant_id=who.tenant_id, user_id=who.user_id, name=wanted.project_name or wanted.file_name)
        session.add(project)
        session.flush()
        scene = Scene(project_id=project.id, name=wanted.scene_name or wanted.file_name)
        actor = Actor(tenant_id=who.tenant_id, name=wanted.actor_name or wanted.file_name)
        session.add_all([scene, actor])
        session.flush()
        upload.project_id, upload.scene_id, upload.actor_id = project.id, scene.id, actor.id
        ids = {"project_id": project.id, "scene_id": scene.id, "actor_id": actor.id, "video_id": upload.id}
        return {**ids, **_place(session, upload, request, here)}

    return _created(request, here, who, body, create)


@router.post("/audio", status_code=201)
def create_audio(request: Request, here: Here, who: Who, body: Body) -> JSONResponse:
    """Make a place for a voice."""

    def create(session: Session) -> dict[str, Any]:
        wanted = parse(AudioRequest, body)
        upload = _new_upload("audio", wanted, wanted.audio_source_url, here, who)
        return {"audio_id": upload.id, **_place(session, upload, request, here)}

    return _created(request, here, who, body, create)


def _created(request: Request, here: Context, who: Caller, body: bytes, create: Any) -> JSONResponse:
    limits.count_upload(here, who)

    def answer(session: Session) -> tuple[int, dict[str, Any]]:
        return 201, {"data": create(session)}

    return idempotency.once(request, here, who, body, answer)


def _new_upload(kind: Kind, wanted: UploadRequest, source_url: str | None, here: Context, who: Caller) -> Upload:
    if problem := wanted.wrong_format(kind):
        raise wrong(*problem)
    most = here.settings.max_video_bytes if kind == "video" or source_url else here.settings.max_audio_bytes
    if wanted.size_bytes is not None and source_url is None and wanted.size_bytes > most:
        raise wrong("size_bytes", f"a {kind} file may have at most {most} bytes")
    if source_url and (reason := refused(source_url, here.settings.url_allow_hosts, schemes=("http", "https"))):
        raise wrong(f"{kind}_source_url", reason)
    identity = str(uuid.uuid4())
    return Upload(
        id=identity,
        tenant_id=who.tenant_id,
        kind=kind,
        file_name=wanted.file_name,
        content_type=bare(wanted.content_type),
        size_bytes=None if source_url else wanted.size_bytes,
        limit_bytes=most if source_url else wanted.size_bytes or most,
        source_url=source_url,
        object_key=f"{who.tenant_id}/{kind}/{identity}",
        expires_at=now() + timedelta(seconds=here.settings.upload_url_ttl),
    )


def _place(session: Session, upload: Upload, request: Request, here: Context) -> dict[str, Any]:
    """Keep the upload and say where its bytes go."""
    session.add(upload)
    session.flush()
    base = base_url(request, here)
    prefix = base if here.settings.callback_paths == "absolute" else ""
    url = None
    if upload.source_url:
        here.queue.fetch(session, upload.id)
    else:
        expires = int(time.time()) + here.settings.upload_url_ttl
        permission = Permission("PUT", upload.object_key, expires, upload.content_type, upload.limit_bytes, upload.id)
        url = file_url(base, here, permission)
    return {
        "upload_url": url,
        "success_url": f"{prefix}/v1/{upload.kind}/success/{upload.id}",
        "failure_url": f"{prefix}/v1/{upload.kind}/failure/{upload.id}",
        "resumable": url is not None and not here.settings.direct_object_urls,
    }


@router.post("/video/success/{video_id}")
def video_success(video_id: str, here: Here, who: Who) -> JSONResponse:
    """The file is there: look at it, make the shot, queue the work."""
    shot_id = _succeed(here, who, "video", video_id)
    return data({"shot_id": shot_id, "asset_type": "dubbing-video"})


@router.post("/audio/success/{audio_id}")
def audio_success(audio_id: str, here: Here, who: Who) -> JSONResponse:
    """The voice is there: look at it."""
    _succeed(here, who, "audio", audio_id)
    return data({"audio_id": audio_id})


def _succeed(here: Context, who: Caller, kind: Kind, upload_id: str) -> int | None:
    """The shot of a video, or None. Raises Refusal 404, 409, 422."""
    with transaction(here.engine) as session:
        upload = find(session, who, kind, upload_id)
        if upload.status == "completed":
            return session.scalar(select(Shot.id).where(Shot.video_id == upload.id))
        if upload.status == "failed":
            raise conflict(f"This upload has failed: {upload.failure_reason or 'its failure was reported'}")
        if upload.source_url:
            return None  # the fetch is still running and will make the shot
        if upload.received_bytes is None:
            upload.received_bytes = _arrived(here, upload)
        if upload.received_bytes is None:
            raise wrong(f"{kind}_id", "nothing has been uploaded yet", where="path")
        if upload.size_bytes not in (None, upload.received_bytes):
            sentence = f"{upload.received_bytes} bytes were uploaded, {upload.size_bytes} were announced"
            raise wrong(f"{kind}_id", sentence, where="path")
    found = _looked_at(here, upload, kind)  # outside the transaction: it reads the file
    with transaction(here.engine) as session:
        upload = find(session, who, kind, upload_id, lock=True)
        if upload.status == "completed":
            return session.scalar(select(Shot.id).where(Shot.video_id == upload.id))
        shot_id = complete(session, here, upload, found)
    if isinstance(found, str):
        raise wrong(f"{kind}_id", found, where="path")
    return shot_id


def _arrived(here: Context, upload: Upload) -> int | None:
    """Bytes that were put into the store past this server. Raises Refusal 413, as the server would have."""
    if not here.settings.direct_object_urls or (found := here.storage.look(upload.object_key)) is None:
        return None
    if found.size > upload.limit_bytes:
        here.storage.delete(upload.object_key)
        raise too_large(f"At most {upload.limit_bytes} bytes are allowed here")
    return found.size


def _looked_at(here: Context, upload: Upload, kind: Kind) -> probing.Found | str:
    try:
        with here.storage.open(upload.object_key) as file:
            return probing.look(file, kind)
    except FileNotFoundError:
        return f"the {kind} file is gone"


def complete(session: Session, here: Context, upload: Upload, found: probing.Found | str) -> int | None:
    """Write what looking at the file gave: a shot (its id), a voice, or the sentence of a failure."""
    if isinstance(found, str):
        upload.status, upload.failure_reason = "failed", found
        events.upload_ended(session, here.queue, upload)
        return None
    upload.status, upload.duration_seconds = "completed", found.duration_seconds
    events.upload_ended(session, here.queue, upload)
    if upload.kind == "audio":
        return None
    shot = Shot(
        tenant_id=upload.tenant_id,
        project_id=upload.project_id,
        scene_id=upload.scene_id,
        video_id=upload.id,
        label=upload.file_name,
        frame_count=found.frame_count,
        rate_numerator=found.rate.numerator,
        rate_denominator=found.rate.denominator,
        duration_seconds=found.duration_seconds,
        constant_rate=found.constant_rate,
    )
    session.add(shot)
    session.flush()
    session.get_one(Actor, upload.actor_id).shot_id = shot.id
    here.queue.prepare(session, shot)
    return shot.id


@router.post("/video/failure/{video_id}")
def video_failure(video_id: str, here: Here, who: Who) -> JSONResponse:
    return _fail(here, who, "video", video_id)


@router.post("/audio/failure/{audio_id}")
def audio_failure(audio_id: str, here: Here, who: Who) -> JSONResponse:
    return _fail(here, who, "audio", audio_id)


def _fail(here: Context, who: Caller, kind: Kind, upload_id: str) -> JSONResponse:
    """Never an error for a known id: clients call it from their error handlers."""
    with transaction(here.engine) as session:
        upload = find(session, who, kind, upload_id, lock=True)
        if upload.status == "uploading":
            complete(session, here, upload, "the client reported a failure")
    return JSONResponse({})


@router.get("/video/status/{video_id}")
def video_status(video_id: str, here: Here, who: Who) -> JSONResponse:
    with reading(here.engine) as session:
        upload = find(session, who, "video", video_id)
        shot = session.scalar(select(Shot).where(Shot.video_id == upload.id))
        return data(
            {
                "shot_id": shot.id if shot else None,
                "upload_status": word_of(upload),
                "shot_status": shot.status if shot else None,
                "ai_training_status": shot.training_status if shot else None,
            }
        )


@router.get("/audio/status/{audio_id}")
def audio_status(audio_id: str, here: Here, who: Who) -> JSONResponse:
    with reading(here.engine) as session:
        upload = find(session, who, "audio", audio_id)
        return data({"audio_id": upload.id, "upload_status": word_of(upload)})


@router.get("/audio")
def list_audio(request: Request, here: Here, who: Who) -> JSONResponse:
    return audio_page(here, who, page_of(request, "page_size", 10))


def audio_page(here: Context, who: Caller, page: Page, *narrower: ColumnElement[bool]) -> JSONResponse:
    """A tenant's audio, newest first."""
    mine = and_(Upload.tenant_id == who.tenant_id, Upload.kind == "audio", Upload.deleted_at.is_(None), *narrower)
    with reading(here.engine) as session:
        count = session.scalar(select(func.count()).where(mine))
        query = select(Upload).where(mine).order_by(Upload.created_at.desc(), Upload.id.desc())
        rows = session.scalars(query.offset(page.offset).limit(page.size)).all()
        return data([_audio_row(upload) for upload in rows], count=count)


def _audio_row(upload: Upload) -> dict[str, Any]:
    return {
        "audio_id": upload.id,
        "upload_status": word_of(upload),
        "content_type": upload.content_type,
        "file_name": upload.file_name,
        "created_at": events.stamp(upload.created_at),
    }


def word_of(upload: Upload) -> str:
    """The status; an upload whose URL has expired without success has failed."""
    expired = upload.status == "uploading" and not upload.source_url and upload.expires_at <= now()
    return "failed" if expired else upload.status


def find(session: Session, who: Caller, kind: Kind, upload_id: str, *, lock: bool = False) -> Upload:
    """The tenant's upload. Raises Refusal 404."""
    if not is_uuid(upload_id):
        raise not_found()
    upload = session.get(Upload, upload_id, with_for_update=lock or None)
    if upload is None or upload.tenant_id != who.tenant_id or upload.kind != kind or upload.deleted_at is not None:
        raise not_found()
    if word_of(upload) == "failed" and upload.status == "uploading":
        upload.status, upload.failure_reason = "failed", "the upload URL expired"
    return upload
