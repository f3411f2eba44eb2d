"""What a page needs for looking and listening, below /api: playable previews, waveforms, curves over time."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from lipsmith.service import previews
from lipsmith.service.context import Context
from lipsmith.service.generate import find_job
from lipsmith.service.handling import Here, Who, base_url, data, file_url
from lipsmith.service.peaks import Peaks, peaks_of
from lipsmith.service.refusals import Problem, as_problem
from lipsmith.service.shots import find_shot
from lipsmith.service.signing import Permission
from lipsmith.service.storage import Storage
from lipsmith.service.tables import Shot, reading
from lipsmith.service.uploads import find as find_upload

router = APIRouter(prefix="/api")
_WAVEFORMS_REMEMBERED = 64
_PLAYER_SECONDS = 24 * 3600  # a page may stay open for a day


@router.get("/shots/{shot_id}/media")
def shot_media(shot_id: str, request: Request, here: Here, who: Who) -> JSONResponse:
    """The source's preview: an H.264 file with the same frames at the same times."""
    with reading(here.engine) as session:
        shot = as_problem(find_shot, session, who, shot_id)
    return data(_preview(previews.prefix_of_shot(shot), request, here))


@router.get("/jobs/{generate_id}/media")
def job_media(generate_id: str, request: Request, here: Here, who: Who) -> JSONResponse:
    """The previews of a dub and of its source, and the judge's curves where they are known."""
    with reading(here.engine) as session:
        job = as_problem(find_job, session, who, generate_id)
        shot = session.get_one(Shot, job.shot_id)
    if job.deleted_at is not None:
        raise Problem(404, "Not Found")
    prefix = previews.prefix_of_job(job)
    return data(
        {
            "dub": _preview(prefix, request, here),
            "source": _preview(None if shot.deleted_at else previews.prefix_of_shot(shot), request, here),
            "curves": previews.note(here.storage, f"{prefix}/{previews.CURVES}"),
        }
    )


@router.get("/shots/{shot_id}/peaks")
def shot_peaks(shot_id: str, here: Here, who: Who) -> JSONResponse:
    with reading(here.engine) as session:
        shot = as_problem(find_shot, session, who, shot_id)
    prefix = previews.prefix_of_shot(shot)
    if prefix is None:
        raise Problem(404, "There is no sound to draw yet")
    return _waveform(here, f"{prefix}/{previews.PROXY}")


@router.get("/jobs/{generate_id}/peaks")
def job_peaks(generate_id: str, here: Here, who: Who) -> JSONResponse:
    with reading(here.engine) as session:
        job = as_problem(find_job, session, who, generate_id)
    return _waveform(here, f"{previews.prefix_of_job(job)}/{previews.PROXY}")


@router.get("/audio/{audio_id}/peaks")
def audio_peaks(audio_id: str, here: Here, who: Who) -> JSONResponse:
    with reading(here.engine) as session:
        upload = as_problem(find_upload, session, who, "audio", audio_id)
    return _waveform(here, upload.object_key)


@router.get("/audio/{audio_id}/media")
def audio_media(audio_id: str, request: Request, here: Here, who: Who) -> JSONResponse:
    """The voice itself, to be listened to."""
    with reading(here.engine) as session:
        upload = as_problem(find_upload, session, who, "audio", audio_id)
    if not here.storage.exists(upload.object_key):
        raise Problem(404, "Not Found")
    permission = Permission("GET", upload.object_key, _expires(), upload.content_type)
    return data(
        {"url": file_url(base_url(request, here), here, permission), "duration_seconds": upload.duration_seconds}
    )


def _preview(prefix: str | None, request: Request, here: Context) -> dict[str, Any]:
    """`state`: waiting, ready (then `url` and what the worker noted), failed (then `failure_reason`) or off."""
    noted = None if prefix is None else previews.note(here.storage, f"{prefix}/{previews.NOTE}")
    if noted is None:
        return {"state": "waiting" if here.settings.previews else "off"}
    if "failed" in noted:
        return {"state": "failed", "failure_reason": noted["failed"]}
    permission = Permission("GET", f"{prefix}/{previews.PROXY}", _expires(), "video/mp4")
    return {"state": "ready", "url": file_url(base_url(request, here), here, permission), **noted}


def _waveform(here: Context, key: str) -> JSONResponse:
    stored = here.storage.look(key)
    found = None if stored is None else _remembered(here.storage, key, stored.version)
    if found is None:
        raise Problem(404, "There is no sound to draw")
    return data({"peaks": found.values, "seconds_each": found.seconds_each, "duration_seconds": found.duration_seconds})


@lru_cache(_WAVEFORMS_REMEMBERED)
def _remembered(storage: Storage, key: str, _version: str) -> Peaks | None:
    """A page asks for the same few voices again and again."""
    try:
        with storage.open(key) as file:
            return peaks_of(file)
    except FileNotFoundError:
        return None


def _expires() -> int:
    return int(time.time()) + _PLAYER_SECONDS
