"""A long render, shared: planned by one worker, its parts rendered by any, joined by whoever takes that.

Each function is a step that may be repeated. A part is an object and a note beside it; the last one that is noted
queues the joining. Parts come out the same whoever renders them, so that one which is rendered twice does no harm.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lipsmith.service import presence, previews
from lipsmith.service.context import Context
from lipsmith.service.generate import priority_of
from lipsmith.service.tables import JOB_ENDS, Job, Shot, reading, transaction
from lipsmith.worker import renders
from lipsmith.worker.child import TaskFailed, Unwanted
from lipsmith.worker.shots import Bench

_WORTH_SHARING = 1.5  # parts: below it they would cost more than they save
_PLANNED, _RENDERED = 0.05, 0.9  # shares of a job's way


def plan(bench: Bench, job_id: int) -> int:
    """In how many parts the job is rendered; 1 where it is short or nobody is there to share it."""
    here, part_frames = bench.here, bench.here.settings.part_frames
    with reading(here.engine) as session:
        job = session.get_one(Job, job_id)
        frames = session.get_one(Shot, job.shot_id).frame_count or 0
    if not part_frames or frames < _WORTH_SHARING * part_frames or presence.workers(here) < 2:
        return 1
    with transaction(here.engine) as session:
        job = session.get_one(Job, job_id, with_for_update=True)
        given = renders.given_for(session, here, job)
        if given is None or any(voice["path"] is None for voice in given["voices"]):
            return 1  # a translation is made for one render, and may come out otherwise the next time
        renders.begin(job)
    watcher = renders.watch(here, job_id, job.attempt, share=_PLANNED)
    try:
        with renders.at_hand(bench, given) as files:
            count: int = bench.hands.run("plan", files, watcher)["parts"]
            return count
    except (TaskFailed, Unwanted, FileNotFoundError):
        return 1  # the render itself will say why


def spread(bench: Bench, job_id: int, count: int) -> None:
    """Queue the parts."""
    with transaction(bench.here.engine) as session:
        job = session.get_one(Job, job_id, with_for_update=True)
        if job.status in JOB_ENDS:
            return
        job.status = "running"  # also where the worker that planned has died since
        for part in range(count):
            bench.here.queue.render_part(session, job, part, count, priority_of(job))


def render(bench: Bench, job_id: int, attempt: int, part: int, count: int) -> dict[str, Any] | None:
    """{"key", "tally"} of a part, {"failed": sentence}, or None where nobody wants it any more."""
    here = bench.here
    with transaction(here.engine) as session:
        job = session.get_one(Job, job_id)
        given = renders.given_for(session, here, job)
    if given is None:
        return None
    done = len(_notes(here, job, attempt))
    watcher = renders.watch(here, job_id, attempt, _PLANNED + _RENDERED * done / count, _RENDERED / count)
    try:
        with renders.at_hand(bench, {**given, "part": part}) as files:
            try:
                told = bench.hands.run("part", files, watcher)
            except TaskFailed as failure:
                return {"failed": renders.plain(failure, files)}
            key = f"{_name(job, attempt, part)}.coded"
            here.storage.commit(Path(files["folder"]) / told["file"], key)
            return {"key": key, "tally": told["tally"]}
    except (Unwanted, FileNotFoundError):
        return None


def keep(bench: Bench, job_id: int, attempt: int, part: int, count: int, told: dict[str, Any] | None) -> None:
    """Note a part; when all are there the joining is queued. One that failed fails the job."""
    here = bench.here
    with transaction(here.engine) as session:
        job = session.get_one(Job, job_id, with_for_update=True)  # one part at a time
        if job.status in JOB_ENDS or job.attempt != attempt:
            here.storage.delete_below(f"{previews.parts_of_job(job)}/{attempt}")
            return
        if told is None:
            return
        if "failed" in told:
            renders.fail(session, here, job, told["failed"])
            return
        here.storage.commit_text(json.dumps(told), f"{_name(job, attempt, part)}.json", bench.executor_id)
        if len(_notes(here, job, attempt)) == count:
            here.queue.join(session, job, count, priority_of(job))


def join(bench: Bench, job_id: int, attempt: int, count: int) -> dict[str, Any] | None:
    """As `renders.render`, of all parts."""
    here = bench.here
    with transaction(here.engine) as session:
        job = session.get_one(Job, job_id)
        given = renders.given_for(session, here, job)
    if given is None:
        return None
    try:
        notes = [json.loads(here.storage.read(f"{_name(job, attempt, part)}.json")) for part in range(count)]
    except FileNotFoundError:
        return None
    given["tallies"] = [note["tally"] for note in notes]
    watcher = renders.watch(here, job_id, attempt, _PLANNED + _RENDERED, 1 - _PLANNED - _RENDERED)
    return renders.written(bench, job, "join", given, watcher, [note["key"] for note in notes])


def _name(job: Job, attempt: int, part: int) -> str:
    return f"{previews.parts_of_job(job)}/{attempt}/{part}"


def _notes(here: Context, job: Job, attempt: int) -> list[str]:
    return [key for key in here.storage.keys_below(f"{previews.parts_of_job(job)}/{attempt}") if key.endswith(".json")]
