"""A shot's way: watched, its people found, everybody in it learnt. Each function is a step that may be repeated.

Takes a shot's number, leaves objects under a key made of the file's content, so that equal files are worked on once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from lipsmith.service import events, previews
from lipsmith.service.context import Context
from lipsmith.service.generate import priority_of
from lipsmith.service.tables import Actor, Job, Shot, Upload, now, reading, transaction
from lipsmith.worker.child import Hands, Standing, TaskFailed, Unwanted, Watcher

MADE_VERSION = "4"  # of what the engine keeps of a shot; another one makes it anew
_PREPARED = "prepared.json"  # what was found, beside the rest that is kept of a shot
_PREPARED_SHARE = 50  # percent of a shot's way


@dataclass(frozen=True)
class Bench:
    """Where a worker works."""

    here: Context
    hands: Hands
    executor_id: str


def begin(bench: Bench, shot_id: int) -> bool:
    """Whether there is still something to do."""
    with transaction(bench.here.engine) as session:
        shot = session.get_one(Shot, shot_id)
        if shot.deleted_at is not None or shot.status in ("finished", "failed"):
            return False
        shot.status = "pending"
        return True


def prepare(bench: Bench, shot_id: int) -> dict[str, Any]:
    """{"made": key of what is kept, ...} of the prepare task, or {"failed": sentence}, or {"unwanted": true}."""
    here = bench.here
    with transaction(here.engine) as session:
        shot = session.get_one(Shot, shot_id)
        shot.status, shot.stage = "running", "prepare"
        upload = session.get_one(Upload, shot.video_id)
    try:
        with here.storage.at_hand(upload.object_key) as path:
            made = f"{shot.tenant_id}/made/{_digest(path)[:40]}-{MADE_VERSION}"
            _note_made(here, shot_id, made)
            watcher = _watch(here, shot_id, 0)
            try:
                return {"made": made, **kept(bench, f"{made}/{_PREPARED}", "prepare", {"shot": str(path)}, watcher)}
            except TaskFailed as failure:
                return {"failed": failure.sentence.replace(str(path), upload.file_name)}
    except (Unwanted, FileNotFoundError):
        return {"unwanted": True}


def keep_prepared(bench: Bench, shot_id: int, found: dict[str, Any]) -> None:
    """Write down who is in the shot; training follows."""
    here = bench.here
    with transaction(here.engine) as session:
        shot = session.get_one(Shot, shot_id, with_for_update=True)
        if shot.deleted_at is not None or "unwanted" in found or shot.status in ("finished", "failed"):
            return
        if "failed" in found:
            _fail(session, here, shot, found["failed"], training=False)
            return
        shot.frame_count, shot.duration_seconds = found["frame_count"], found["duration_seconds"]
        _cast(session, shot, found)
        shot.status, shot.training_status, shot.progress = "finished", "running", _PREPARED_SHARE
        events.shot_event(session, here.queue, shot, "PREPROCESSING_COMPLETE", "finished")
        here.queue.train(session, shot)
        if here.settings.previews:
            here.queue.preview_shot(session, shot.id)


def train(bench: Bench, shot_id: int) -> dict[str, Any]:
    """{"faces": [...]} or {"failed": sentence} or {"unwanted": true}."""
    here = bench.here
    with reading(here.engine) as session:
        shot = session.get_one(Shot, shot_id)
        upload = session.get_one(Upload, shot.video_id)
    made, storage = shot.model_key, here.storage
    try:
        found = json.loads(storage.read(f"{made}/{_PREPARED}"))
        with storage.at_hand(upload.object_key) as path, storage.at_hand(f"{made}/footage") as footage:
            faces = [person["face"] for person in found["people"]]
            given = {"shot": str(path), "footage": str(footage), "faces": faces}
            try:
                return kept(bench, f"{made}/trained.json", "train", given, _watch(here, shot_id, _PREPARED_SHARE))
            except TaskFailed as failure:
                return {"failed": failure.sentence.replace(str(path), upload.file_name)}
    except (Unwanted, FileNotFoundError):
        return {"unwanted": True}


def keep_trained(bench: Bench, shot_id: int, learnt: dict[str, Any]) -> None:
    """The shot is ready: jobs that waited for it move on."""
    here = bench.here
    with transaction(here.engine) as session:
        shot = session.get_one(Shot, shot_id, with_for_update=True)
        if shot.deleted_at is not None or "unwanted" in learnt or shot.training_status != "running":
            return
        if "failed" in learnt:
            _fail(session, here, shot, learnt["failed"], training=True)
            return
        shot.training_status, shot.progress, shot.stage, shot.eta_seconds = "finished", 100, None, None
        events.shot_event(session, here.queue, shot, "TRAINING_COMPLETE", "finished")
        for job in sorted(_waiting(session, shot), key=priority_of):  # one order in which places are taken
            job.status = "pending"
            here.queue.render(session, job, priority_of(job))


def kept(bench: Bench, note_key: str, task: str, given: dict[str, Any], watcher: Watcher) -> dict[str, Any]:
    """The task's result: as it was noted, or done now, its files committed, and then noted."""
    storage = bench.here.storage
    if (known := previews.note(storage, note_key)) is not None:
        return known
    with storage.workshop(bench.executor_id) as folder:
        result: dict[str, Any] = bench.hands.run(task, {**given, "folder": str(folder)}, watcher)
        prefix = note_key.rpartition("/")[0]
        for file in folder.iterdir():
            storage.commit(file, f"{prefix}/{file.name}")
    storage.commit_text(json.dumps(result), note_key, bench.executor_id)
    return result


def _cast(session: Session, shot: Shot, found: dict[str, Any]) -> None:
    """The actor made with the upload is the face seen most; the others get names of their own."""
    known = session.scalars(select(Actor).where(Actor.shot_id == shot.id).order_by(Actor.id)).all()
    for number, person in enumerate(found["people"], 1):
        if number <= len(known):
            actor = known[number - 1]
        else:
            actor = Actor(tenant_id=shot.tenant_id, shot_id=shot.id, name=f"Actor {number}")
            session.add(actor)
        actor.face = person["face"]
        actor.thumbnail_key = f"{found['made']}/portrait-{person['face']}.jpg"
        session.flush()


def _fail(session: Session, here: Context, shot: Shot, sentence: str, *, training: bool) -> None:
    shot.failure_reason, shot.eta_seconds, shot.stage = sentence, None, None
    if training:
        shot.training_status = "failed"
    else:
        shot.status = "failed"
    event = "TRAINING_FAILED" if training else "PREPROCESSING_FAILED"
    events.shot_event(session, here.queue, shot, event, "failed")
    for job in _waiting(session, shot):
        job.status, job.ended_at = "failed", now()
        job.failure_reason = f"The shot has failed: {sentence}"
        events.job_ended(session, here.queue, job, None)


def _waiting(session: Session, shot: Shot) -> list[Job]:
    return list(session.scalars(select(Job).where(Job.shot_id == shot.id, Job.status == "not_started")))


def _watch(here: Context, shot_id: int, start: int) -> Watcher:
    """Writes where the work stands into the shot's row; says whether the shot is still wanted."""

    def told(standing: Standing | None) -> bool:
        row = (Shot.id == shot_id) & Shot.deleted_at.is_(None)
        if standing is None:
            with reading(here.engine) as session:
                return session.scalar(select(Shot.id).where(row)) is not None
        percent = start + standing.percent * (100 - _PREPARED_SHARE) // 100
        values = {"stage": standing.stage, "progress": percent, "eta_seconds": standing.eta_seconds}
        with transaction(here.engine) as session:
            return bool(session.execute(update(Shot).where(row).values(**values)).rowcount)  # type: ignore[attr-defined]

    return told


def while_there(bench: Bench, key: str) -> Watcher:
    """Work on an object is wanted as long as that is there."""

    def told(_standing: Standing | None) -> bool:
        return bench.here.storage.exists(key)

    return told


def _note_made(here: Context, shot_id: int, made: str) -> None:
    with transaction(here.engine) as session:
        session.execute(update(Shot).where(Shot.id == shot_id).values(model_key=made))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
