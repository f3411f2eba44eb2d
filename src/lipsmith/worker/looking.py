"""Previews for a page: a file of a shot or a dub that every browser plays, made beside the work itself.

A step that may be repeated. What cannot be previewed is noted as such; the shot and the dub are none the worse for it.
"""

from __future__ import annotations

import json
from typing import Any

from lipsmith.service import previews
from lipsmith.service.tables import Job, Shot, Upload, reading
from lipsmith.worker.child import Standing, TaskFailed, Unwanted, Watcher
from lipsmith.worker.shots import Bench, kept


def preview_shot(bench: Bench, shot_id: int) -> None:
    with reading(bench.here.engine) as session:
        shot = session.get_one(Shot, shot_id)
        key = session.get_one(Upload, shot.video_id).object_key
    if (prefix := previews.prefix_of_shot(shot)) is not None:
        _preview(bench, prefix, key, f"{prefix}/footage", shot.label)


def preview_job(bench: Bench, job_id: int) -> None:
    with reading(bench.here.engine) as session:
        job = session.get_one(Job, job_id)
    if job.output_key is not None:
        _preview(bench, previews.prefix_of_job(job), job.output_key, None, job.output_filename)


def _preview(bench: Bench, prefix: str, key: str, footage_key: str | None, name: str) -> None:
    storage = bench.here.storage
    source = str(storage.path(key))
    footage = str(storage.path(footage_key)) if footage_key else None
    given: dict[str, Any] = {"source": source, "footage": footage, "file": previews.PROXY}
    try:
        kept(bench, f"{prefix}/{previews.NOTE}", "preview", given, _while_there(bench, key))
    except TaskFailed as failure:
        _note(bench, prefix, {"failed": failure.sentence.replace(source, name)})
    except (Unwanted, FileNotFoundError):
        pass  # deleted meanwhile


def _while_there(bench: Bench, key: str) -> Watcher:
    def told(_standing: Standing | None) -> bool:
        return bench.here.storage.exists(key)

    return told


def _note(bench: Bench, prefix: str, said: dict[str, Any]) -> None:
    draft = bench.here.storage.workshop(bench.executor_id) / previews.NOTE
    draft.write_text(json.dumps(said))
    bench.here.storage.commit(draft, f"{prefix}/{previews.NOTE}")
