"""Previews for a page: a file of a shot or a dub that every browser plays, made beside the work itself.

A step that may be repeated. What cannot be previewed is noted as such; the shot and the dub are none the worse for it.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

from lipsmith.service import previews
from lipsmith.service.tables import Job, Shot, Upload, reading
from lipsmith.worker.child import TaskFailed, Unwanted
from lipsmith.worker.shots import Bench, kept, while_there


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
    storage, note = bench.here.storage, f"{prefix}/{previews.NOTE}"
    try:
        with ExitStack() as needed:
            source = str(needed.enter_context(storage.at_hand(key)))
            footage = str(needed.enter_context(storage.at_hand(footage_key))) if footage_key else None
            given: dict[str, Any] = {"source": source, "footage": footage, "file": previews.PROXY}
            try:
                kept(bench, note, "preview", given, while_there(bench, key))
            except TaskFailed as failure:
                said = {"failed": failure.sentence.replace(source, name)}
                storage.commit_text(json.dumps(said), note, bench.executor_id)
    except (Unwanted, FileNotFoundError):
        pass  # deleted meanwhile
