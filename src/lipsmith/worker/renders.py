"""A job's way: rendered, kept, measured. Each function is a step that may be repeated.

Every attempt writes an object of its own; the one whose step is recorded stays, the others are removed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lipsmith.service import events, previews
from lipsmith.service.context import Context
from lipsmith.service.formats import extension, type_of
from lipsmith.service.generate import WILL_BE_CUT
from lipsmith.service.handling import file_url
from lipsmith.service.shots import actors_of
from lipsmith.service.signing import Permission
from lipsmith.service.tables import JOB_ENDS, Job, Shot, Upload, now, reading, transaction
from lipsmith.worker.child import Standing, TaskFailed, Unwanted, Watcher
from lipsmith.worker.shots import Bench, while_there

_WEBHOOK_URL_SECONDS = 24 * 3600


def render(bench: Bench, job_id: int) -> dict[str, Any] | None:
    """{"key", ...} of the render task, {"failed": sentence}, or None where nobody wants it any more."""
    with transaction(bench.here.engine) as session:
        job = session.get_one(Job, job_id, with_for_update=True)
        given = given_for(session, bench.here, job)
        if given is None:
            return None
        begin(job)
    return written(bench, job, "render", given, watch(bench.here, job_id, job.attempt))


def begin(job: Job) -> None:
    """A new attempt."""
    job.status, job.attempt = "running", job.attempt + 1
    job.started_at = job.started_at or now()


def written(
    bench: Bench, job: Job, task: str, given: dict[str, Any], watcher: Watcher, parts: Sequence[str] = ()
) -> dict[str, Any] | None:
    """The output of a task, as an object: {"key", ...}, {"failed": sentence}, or None. `parts`: keys it is made of."""
    storage = bench.here.storage
    try:
        with at_hand(bench, given, parts) as files:
            try:
                done = bench.hands.run(task, files, watcher)
            except TaskFailed as failure:
                return {"failed": plain(failure, files)}
            if not watcher(None):
                return None  # given to another worker while this one could not be reached
            made = Path(files["folder"]) / done.pop("file")
            done["key"] = f"{previews.prefix_of_job(job)}/{job.attempt}{made.suffix}"
            done["name"], done["type"] = _named(job, made.suffix), type_of(f"x{made.suffix}")
            storage.commit(made, done["key"], done["type"], done["name"])
        done["warnings"] = [_in_their_names(warning, given["names"]) for warning in done["warnings"]]
        return done
    except (Unwanted, FileNotFoundError):
        return None


def keep(bench: Bench, job_id: int, done: dict[str, Any] | None) -> bool:
    """Write the job's end down; whether its output is to be measured."""
    here = bench.here
    with transaction(here.engine) as session:
        job = session.get_one(Job, job_id, with_for_update=True)
        if job.status in JOB_ENDS:
            _drop_other_attempts(here, job)
            return False
        if done is None:
            return False  # another worker has it
        if "failed" in done:
            fail(session, here, job, done["failed"])
            return False
        _finish(here, job, done)
        events.job_ended(session, here.queue, job, _url(here, job))
        if here.settings.previews:
            here.queue.preview_job(session, job.id)
        if here.settings.measure:
            here.queue.measure(session, job)
    _drop_other_attempts(here, job)
    return True


def fail(session: Session, here: Context, job: Job, sentence: str) -> None:
    """Its end without an output; what was made on the way is removed."""
    job.ended_at, job.stage, job.eta_seconds = now(), None, None
    job.status, job.failure_reason = "failed", sentence
    events.job_ended(session, here.queue, job, None)
    _drop_other_attempts(here, job)


def _drop_other_attempts(here: Context, job: Job) -> None:
    """Parts, and outputs of attempts that were not recorded: their worker died between writing and saying so."""
    here.storage.delete_below(previews.parts_of_job(job))
    for key in here.storage.keys_below(previews.prefix_of_job(job)):
        if PurePath(key).stem.isdecimal() and key != job.output_key:
            here.storage.delete(key)


def measure(bench: Bench, job_id: int) -> dict[str, Any] | None:
    """The judge's figures of a finished job's output."""
    here = bench.here
    with reading(here.engine) as session:
        job = session.get_one(Job, job_id)
        upload = session.get_one(Upload, session.get_one(Shot, job.shot_id).video_id)
    if job.deleted_at is not None or job.output_key is None:
        return None
    storage = here.storage
    try:
        with storage.at_hand(upload.object_key) as shot, storage.at_hand(job.output_key) as output:
            given = {"shot": str(shot), "output": str(output)}
            return bench.hands.run("measure", given, while_there(bench, job.output_key))
    except (TaskFailed, Unwanted, FileNotFoundError):
        return None  # the dub is there all the same; its figures stay unknown


def keep_measured(bench: Bench, job_id: int, figures: dict[str, Any] | None) -> None:
    with transaction(bench.here.engine) as session:
        job = session.get_one(Job, job_id)
        if job.deleted_at is not None:
            return
        if figures is None:
            job.quality = {**(job.quality or {}), "judged": "failed"}
            return
        storage, curves = bench.here.storage, figures.pop("curves")
        key = f"{previews.prefix_of_job(job)}/{previews.CURVES}"
        storage.commit_text(json.dumps(curves), key, bench.executor_id)
        known = job.quality or {}
        job.quality = {
            **known,
            **figures,
            "judged": "done",
            "warnings": [*known.get("warnings", []), *figures["warnings"]],
        }


def given_for(session: Session, here: Context, job: Job) -> dict[str, Any] | None:
    """What the task is given, files by their keys.

    None where the job has ended, or shot or audio is deleted: then it is skipped.
    """
    if job.status in JOB_ENDS:
        return None
    shot = session.get_one(Shot, job.shot_id)
    upload = session.get_one(Upload, shot.video_id)
    options = job.options
    faces = {actor.id: actor.face for actor in actors_of(session, shot)}
    first = next(iter(faces.values()), None)
    audio_ids = [voice["audio_id"] for voice in options["voices"]]
    sounds = {
        identity: session.get(Upload, identity) for identity in [*audio_ids, options["soundtrack_audio_id"]] if identity
    }
    if shot.deleted_at is not None or any(sound is None or sound.deleted_at is not None for sound in sounds.values()):
        job.status, job.ended_at = "skipped", now()
        events.job_ended(session, here.queue, job, None)
        return None

    def key(identity: str | None) -> str | None:
        sound = sounds.get(identity) if identity else None
        return None if sound is None else sound.object_key

    voices = [
        {
            "path": key(voice["audio_id"]),
            "face": first if voice["actor_id"] is None else faces.get(voice["actor_id"]),
            "ranges": voice["ranges"],
        }
        for voice in options["voices"]
    ]
    if languages := options.get("translate"):
        voices = [{"path": None, "face": first, "ranges": None, "translate": languages}]
    return {
        "part_frames": here.settings.part_frames,
        "shot": upload.object_key,
        "file_name": upload.file_name,
        "footage": f"{shot.model_key}/footage",
        "voices": voices,
        "models": {voice["face"]: f"{shot.model_key}/actor-{voice['face']}" for voice in voices},
        "soundtrack": key(options["soundtrack_audio_id"]),
        "names": {Path(one.object_key).name: one.file_name for one in (upload, *sounds.values()) if one},
        "output_filename": job.output_filename,
        **{name: options[name] for name in ("start_frame", "maintain_expression", "language", "full_resolution")},
        "loop_video": options.get("loop_video", False),
        "strength": options.get("strength", 1.0),
    }


@contextmanager
def at_hand(bench: Bench, given: dict[str, Any], parts: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """The same with files instead of keys, and a folder to work in. Raises FileNotFoundError."""
    storage = bench.here.storage
    with storage.workshop(bench.executor_id) as folder, ExitStack() as needed:

        def path(key: str | None) -> str | None:
            return None if key is None else str(needed.enter_context(storage.at_hand(key)))

        yield {
            **given,
            "folder": str(folder),
            "shot": path(given["shot"]),
            "footage": path(given["footage"]),
            "soundtrack": path(given["soundtrack"]),
            "voices": [{**voice, "path": path(voice["path"])} for voice in given["voices"]],
            "models": {face: path(key) for face, key in given["models"].items()},
            "parts": [path(key) for key in parts],
        }


def _finish(here: Context, job: Job, done: dict[str, Any]) -> None:
    job.ended_at, job.stage, job.eta_seconds = now(), None, None
    job.status, job.progress = "finished", 100
    job.output_key, job.output_bytes = done["key"], here.storage.size(done["key"])
    job.output_name, job.output_type = done["name"], done["type"]
    foretold = [warning for warning in job.warnings if not warning.endswith(WILL_BE_CUT)]  # now it is said that it was
    job.warnings = list(dict.fromkeys([*foretold, *done["warnings"]]))
    job.quality = {
        "judged": "waiting" if here.settings.measure else "off",
        "sync_offset_ms": None,
        "sync_confidence": None,
        "identity_similarity": None,
        "untouched_max_diff": None,
        "frames_total": done["frames_total"],
        "frames_dubbed": done["frames_dubbed"],
        "frames_without_face": done["frames_without_face"],
        "warnings": done["warnings"],
    }


def _named(job: Job, suffix: str) -> str:
    """The download's name with the suffix the file has: an extension of another video container gives way."""
    if extension(job.output_filename) == suffix:
        return job.output_filename
    stem = Path(job.output_filename)
    known = type_of(job.output_filename) != "application/octet-stream"
    return f"{stem.with_suffix('') if known else stem}{suffix}"


def _url(here: Context, job: Job) -> str:
    base = here.settings.public_base_url or f"http://{here.settings.host}:{here.settings.port}"
    assert job.output_key and job.output_type and job.output_name
    expires = int(time.time()) + _WEBHOOK_URL_SECONDS
    return file_url(base, here, Permission("GET", job.output_key, expires, job.output_type, name=job.output_name))


def watch(here: Context, job_id: int, attempt: int, start: float = 0.0, share: float = 1.0) -> Watcher:
    """Writes where the work stands into the job's row; says whether this attempt is still wanted.

    The work is a `share` of the job's, the one that begins at `start`.
    """
    mine = (Job.id == job_id) & (Job.status == "running") & (Job.attempt == attempt)

    def told(standing: Standing | None) -> bool:
        if standing is None:
            with reading(here.engine) as session:
                return session.scalar(select(Job.id).where(mine)) is not None
        percent = min(int(100 * start + standing.percent * share), 99)
        values = {"stage": standing.stage, "eta_seconds": standing.eta_seconds, "progress": percent}
        with transaction(here.engine) as session:
            found = session.execute(update(Job).where(mine, Job.progress <= values["progress"]).values(**values))
            if found.rowcount:  # type: ignore[attr-defined]
                return True
            return session.scalar(select(Job.id).where(mine)) is not None

    return told


def _in_their_names(sentence: str, names: dict[str, str]) -> str:
    """The engine's sentence with the customer's file names instead of the store's."""
    for stored, name in names.items():
        sentence = sentence.replace(stored, name)
    return sentence


def plain(failure: TaskFailed, given: dict[str, Any]) -> str:
    """The engine's sentence without the server's paths."""
    sentence = failure.sentence
    for path in (given["shot"], *(voice["path"] for voice in given["voices"]), given["soundtrack"]):
        if path:
            sentence = sentence.replace(path, given["file_name"] if path == given["shot"] else "the audio")
    return sentence
