"""D of the contract: what is to be said, by whom and where, becomes a job."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import PurePath
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from lipsmith.plugins import has_translator
from lipsmith.service import idempotency, limits
from lipsmith.service.addresses import refused
from lipsmith.service.auth import Caller
from lipsmith.service.context import Context
from lipsmith.service.handling import Body, Here, Who, base_url, data, file_url, id_of, ignored_fields, parse
from lipsmith.service.jobs import JOB_PRIORITY
from lipsmith.service.refusals import no_translation, not_finished, not_found, wrong
from lipsmith.service.schemas import GenerateRequest, MultiActorRequest, RenderOptions, TranslateRequest
from lipsmith.service.shots import actors_of, find_shot
from lipsmith.service.signing import Permission
from lipsmith.service.tables import Job, Shot, Upload, glancing, reading
from lipsmith.service.timecode import BadRanges, ShotClock, read_ranges

router = APIRouter(prefix="/v1/shots/{shot_id}")
_NOT_IN_NAMES = str.maketrans("/\\", "__")
_COVER_TOLERANCE_SECONDS = 0.1
_LENGTH_TOLERANCE_SECONDS = 0.5
WILL_BE_CUT = "will be cut"  # how the forecast ends, which the engine's own report takes the place of


@router.post("/generate", status_code=201)
def generate(shot_id: str, request: Request, here: Here, who: Who, body: Body) -> JSONResponse:
    """Make the shot's first actor say an uploaded voice."""

    def work(session: Session) -> tuple[int, dict[str, Any]]:
        shot = find_shot(session, who, shot_id, lock=True)
        wanted = parse(GenerateRequest, body)
        require_usable(shot)
        pairs = _one_list_of_ranges(wanted)
        check_options(shot, wanted, ranged=pairs is not None, here=here)
        voice, warnings = _voice(session, who, shot, wanted.audio_id, pairs, wanted, "audio_id")
        options = options_of(wanted, [{"actor_id": None, **voice}])
        job = create_job(session, here, shot, options, wanted.output_filename, wanted.callback_url)
        job.warnings = warnings + ignored_fields(body)
        return 201, answer_of(job)

    return idempotency.once(request, here, who, body, work)


@router.post("/generate-multi-actor", status_code=201)
def generate_multi_actor(shot_id: str, request: Request, here: Here, who: Who, body: Body) -> JSONResponse:
    """Several actors of a shot, each with a voice of his own."""

    def work(session: Session) -> tuple[int, dict[str, Any]]:
        shot = find_shot(session, who, shot_id, lock=True)
        wanted = parse(MultiActorRequest, body)
        require_usable(shot)
        known = {actor.id for actor in actors_of(session, shot)}
        named = [entry.actor_id for entry in wanted.actors]
        if len(set(named)) < len(named):
            raise wrong("actors", "each actor may be named once")
        if unknown := [number for number in named if number not in known]:
            raise wrong("actors", f"actor {unknown[0]} is not in this shot")
        ranged = any(entry.timecode_ranges for entry in wanted.actors)
        check_options(shot, wanted, ranged=ranged, here=here)
        voices, warnings = [], []
        for entry in wanted.actors:
            voice, told = _voice(session, who, shot, entry.audio_id, entry.timecode_ranges or None, wanted, "actors")
            voices.append({"actor_id": entry.actor_id, **voice})
            warnings += told
        if wanted.soundtrack_audio_id:
            completed_audio(session, who, wanted.soundtrack_audio_id, "soundtrack_audio_id")
        options = options_of(wanted, voices, wanted.soundtrack_audio_id)
        job = create_job(session, here, shot, options, wanted.output_filename, wanted.callback_url)
        job.warnings = list(dict.fromkeys(warnings)) + ignored_fields(body)
        answer = answer_of(job)
        answer["data"]["generation_id"] = job.id
        return 201, answer

    return idempotency.once(request, here, who, body, work)


@router.post("/translate", status_code=201)
def translate(shot_id: str, request: Request, here: Here, who: Who, body: Body) -> JSONResponse:
    """Have the shot's own speech translated and dub it; 501 where no translation plug-in is installed."""
    if not has_translator():
        with reading(here.engine) as session:
            find_shot(session, who, shot_id)
        raise no_translation()

    def work(session: Session) -> tuple[int, dict[str, Any]]:
        shot = find_shot(session, who, shot_id, lock=True)
        wanted = parse(TranslateRequest, body)
        require_usable(shot)
        name = f"{PurePath(shot.label).stem}-{wanted.target_language}{PurePath(shot.label).suffix}"[-200:]
        plain = RenderOptions(output_filename="x", full_resolution=wanted.full_resolution)
        languages = {"source_language": wanted.source_language, "target_language": wanted.target_language}
        options = {**options_of(plain, []), "translate": languages}
        job = create_job(session, here, shot, options, name.translate(_NOT_IN_NAMES), None)
        answer = answer_of(job)
        answer["data"]["translation_id"] = job.id
        return 201, answer

    return idempotency.once(request, here, who, body, work)


@router.get("/generate/{generate_id}")
def generate_status(shot_id: str, generate_id: str, here: Here, who: Who) -> JSONResponse:
    with glancing(here.engine) as session:
        job = _of_shot(session, who, shot_id, generate_id)
    word = here.settings.finished_word if job.status == "finished" else job.status
    return data({**status_of(job), "status": word})


@router.get("/generate/{generate_id}/download")
def generate_download(shot_id: str, generate_id: str, request: Request, here: Here, who: Who) -> JSONResponse:
    with glancing(here.engine) as session:
        job = _of_shot(session, who, shot_id, generate_id)
    return data({"download_url": download_url(job, base_url(request, here), here)})


def status_of(job: Job) -> dict[str, Any]:
    return {
        "generate_id": job.id,
        "status": job.status,
        "progress": job.progress,
        "failure_reason": job.failure_reason if job.status == "failed" else None,
    }


def download_url(job: Job, base: str, here: Context, seconds: int | None = None) -> str:
    """A fresh signed URL. Raises Refusal 400 before the end, 404 where the output is deleted."""
    if job.status != "finished":
        raise not_finished(job.id, job.status)
    if job.deleted_at is not None or job.output_key is None or not here.storage.exists(job.output_key):
        raise not_found()
    expires = int(time.time()) + (seconds or here.settings.download_url_ttl)
    name, kind = job.output_name or job.output_filename, job.output_type or "application/octet-stream"
    return file_url(base, here, Permission("GET", job.output_key, expires, kind, name=name))


def find_job(session: Session, who: Caller, text: str, *, lock: bool = False) -> Job:
    """The tenant's job of a path. Raises Refusal 404."""
    job = session.get(Job, id_of(text), with_for_update=lock or None)
    if job is None or job.tenant_id != who.tenant_id:
        raise not_found()
    return job


def _of_shot(session: Session, who: Caller, shot_id: str, generate_id: str) -> Job:
    """The tenant's job of a path, in one statement: this is what clients ask again and again. Raises Refusal 404."""
    mine = (Shot.id == id_of(shot_id)) & (Shot.tenant_id == who.tenant_id) & Shot.deleted_at.is_(None)
    wanted = select(Job).join(Shot, Shot.id == Job.shot_id).where(Job.id == id_of(generate_id), mine)
    job = session.scalar(wanted)
    if job is None:
        raise not_found()
    return job


def require_usable(shot: Shot, field: str = "shot_id", where: str = "path") -> None:
    """Raises Refusal 422 where the shot or its training has failed."""
    if "failed" in (shot.status, shot.training_status):
        raise wrong(field, f"this shot has failed: {shot.failure_reason}", where=where)


def check_options(shot: Shot, wanted: RenderOptions, *, ranged: bool, here: Context) -> None:
    """Raises Refusal 422 for options that do not fit the shot or each other."""
    if ranged and (wanted.start_frame or wanted.loop_video):
        raise wrong("timecode_ranges", "ranges go neither with start_frame nor with loop_video")
    if shot.frame_count is not None and wanted.start_frame >= shot.frame_count:
        raise wrong("start_frame", f"the shot has {shot.frame_count} frames")
    if wanted.callback_url and (
        reason := refused(wanted.callback_url, here.settings.url_allow_hosts, schemes=("https",))
    ):
        raise wrong("callback_url", reason)


def _one_list_of_ranges(wanted: GenerateRequest) -> list[list[Any]] | None:
    if wanted.segments is None:
        return wanted.timecode_ranges or None
    if wanted.timecode_ranges is not None:
        raise wrong("segments", "give timecode_ranges or segments, not both")
    if any(not {"start", "end"} <= segment.keys() for segment in wanted.segments):
        raise wrong("segments", "each segment needs start and end")
    return [[segment["start"], segment["end"]] for segment in wanted.segments] or None


def _voice(
    session: Session,
    who: Caller,
    shot: Shot,
    audio_id: str,
    pairs: list[list[Any]] | None,
    wanted: RenderOptions,
    field: str,
) -> tuple[dict[str, Any], list[str]]:
    """A voice of a job's options with its ranges in seconds, and warnings about its length."""
    audio = completed_audio(session, who, audio_id, field)
    ranges = None
    if pairs is not None:
        rate = Fraction(shot.rate_numerator, shot.rate_denominator)
        try:
            ranges = read_ranges(pairs, ShotClock(rate, shot.duration_seconds, shot.constant_rate))
        except BadRanges as error:
            raise wrong("timecode_ranges", str(error)) from error
        if (audio.duration_seconds or 0) < ranges[-1][1] - _COVER_TOLERANCE_SECONDS:
            sentence = f"the voice is {audio.duration_seconds:.2f} s long and does not cover the last range"
            raise wrong("timecode_ranges", sentence)
    return {"audio_id": audio.id, "ranges": ranges}, _length_warnings(audio, shot, wanted)


def _length_warnings(audio: Upload, shot: Shot, wanted: RenderOptions) -> list[str]:
    if audio.duration_seconds is None or shot.duration_seconds is None:
        return []
    start = wanted.start_frame * shot.rate_denominator / shot.rate_numerator
    longer = audio.duration_seconds + start - shot.duration_seconds
    if longer > _LENGTH_TOLERANCE_SECONDS and not wanted.loop_video:
        return [f"the audio is {longer:.1f} s longer than the video and {WILL_BE_CUT}"]
    if longer < -_LENGTH_TOLERANCE_SECONDS:
        return [f"the audio ends {-longer:.1f} s before the video"]
    return []


def completed_audio(session: Session, who: Caller, audio_id: str, field: str) -> Upload:
    """Raises Refusal 422 for an audio that is foreign, deleted or not whole."""
    audio = session.get(Upload, audio_id)
    if audio is None or audio.tenant_id != who.tenant_id or audio.kind != "audio" or audio.deleted_at is not None:
        raise wrong(field, f"audio {audio_id} does not exist")
    if audio.status != "completed":
        raise wrong(field, f"audio {audio_id} is not completed (status: {audio.status})")
    return audio


def options_of(wanted: RenderOptions, voices: list[dict[str, Any]], soundtrack: str | None = None) -> dict[str, Any]:
    return {
        "voices": voices,
        "soundtrack_audio_id": soundtrack,
        "language": wanted.language,
        "maintain_expression": wanted.maintain_expression,
        "start_frame": wanted.start_frame,
        "full_resolution": wanted.full_resolution,
        "loop_video": wanted.loop_video,
        "priority": wanted.priority,
        "strength": wanted.strength,
    }


def create_job(
    session: Session,
    here: Context,
    shot: Shot,
    options: dict[str, Any],
    output_filename: str,
    callback_url: str | None,
    tracking_id: str | None = None,
) -> Job:
    """A job that waits for the shot's training, or for a worker where that has ended. Raises Refusal 403."""
    limits.charge(session, here, shot.tenant_id, shot.duration_seconds or 0.0)
    ready = shot.training_status == "finished"
    job = Job(
        tenant_id=shot.tenant_id,
        shot_id=shot.id,
        status="pending" if ready else "not_started",
        options=options,
        output_filename=output_filename,
        callback_url=callback_url,
        tracking_id=tracking_id,
    )
    session.add(job)
    session.flush()
    if ready:
        here.queue.render(session, job, priority_of(job))
    return job


def priority_of(job: Job) -> int:
    return job.options.get("priority") or JOB_PRIORITY


def answer_of(job: Job) -> dict[str, Any]:
    """The answer to a create call: always `not_started`, its id at both places clients look for it."""
    told: dict[str, Any] = {"generate_id": job.id, "status": "not_started"}
    if job.warnings:
        told["warnings"] = job.warnings
    return {"data": told, "generate_id": job.id}
