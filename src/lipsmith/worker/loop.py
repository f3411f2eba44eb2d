"""A worker process: workflows of steps on the queues, a pulse, and an end that leaves everything resumable."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from dbos import DBOS, DBOSConfig

from lipsmith.service import jobs, turns
from lipsmith.service.context import Context
from lipsmith.service.outages import is_away
from lipsmith.service.presence import Pulse, quietly
from lipsmith.service.retention import expire
from lipsmith.service.tables import Stage, insert_into, transaction
from lipsmith.worker import delivering, fetching, leases, looking, parts, places, renders, shots
from lipsmith.worker.child import Hands
from lipsmith.worker.shots import Bench

log = logging.getLogger("lipsmith.worker")
_RARELY = 4  # times as seldom a queue is asked for what nobody waits for in front of a screen
_SIDE_JOBS = 16  # fetches and deliveries at once
_EXPIRE_EVERY_SECONDS = 600.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 5.0  # between tries while the database is away
_COUNTED = ("prepare", "train", "render", "render_part", "join", "measure", "preview", "ingest", "fetch", "deliver")


def run(here: Context) -> None:
    """Work until SIGTERM or SIGINT. What runs then goes on in the next worker."""
    bench = Bench(here, Hands(), f"{socket.gethostname()}-{secrets.token_hex(4)}")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    worker = DBOS(config=_config(here, bench.executor_id))
    served = [queue for kind in here.settings.queues for queue in jobs.SERVED[kind]]
    DBOS.listen_queues(served)
    _register(bench)
    pulse = Pulse(here, bench.executor_id, "worker")  # before the launch, or this worker would be taken for dead
    pulse.start()
    heavy = tuple(queue for queue in jobs.HEAVY if queue in served)
    places.share(worker, heavy, here.settings.worker_jobs)
    DBOS.launch()
    _open_queues(here)
    quietly(lambda: leases.recover(here, pulse))
    watch = leases.Watch(here, pulse)
    watch.start()
    log.info("worker started", extra={"executor": bench.executor_id, "queues": here.settings.queues})
    expired = 0.0
    while not stop.wait(1.0):
        if time.monotonic() - expired > _EXPIRE_EVERY_SECONDS:
            expired = time.monotonic()
            quietly(lambda: expire(here))
            quietly(here.storage.forget_deleted)
    bench.hands.stopping.set()  # steps now end in nothing: they stay unfinished and are repeated
    watch.stop()
    bench.hands.kill_all()
    pulse.stop()
    log.info("worker stopped", extra={"executor": bench.executor_id})
    logging.shutdown()
    os._exit(0)  # threads of steps must not go on to record that their work was cut off


def _open_queues(here: Context) -> None:
    """What is said of a queue lies in the database and holds for every worker; the last one to say it is believed."""
    of_tenant = here.settings.tenant_jobs or None
    often = here.settings.poll_seconds
    for name in jobs.HEAVY:
        _open_queue(name, often * (_RARELY if name == jobs.MEASURES else 1), places.MOST, of_tenant)
    _open_queue(jobs.PREVIEWS, often * _RARELY, 1)
    _open_queue(jobs.DELIVERIES, often, _SIDE_JOBS)


def _open_queue(name: str, poll_seconds: float, at_once: int, of_tenant: int | None = None) -> None:
    DBOS.register_queue(
        name,
        worker_concurrency=at_once,
        partition_concurrency=of_tenant,
        polling_interval_sec=poll_seconds,
        on_conflict="always_update",
    )


def _config(here: Context, executor_id: str) -> DBOSConfig:
    return {
        "name": "lipsmith",
        "system_database_url": here.settings.database,
        "application_version": jobs.APPLICATION_VERSION,
        "executor_id": executor_id,
        "dbos_system_schema": "dbos",
        "run_migrations": False,
        "use_listen_notify": False,  # no step waits for a message: its two threads would only cost
        "log_level": "WARNING",
        "console_log_level": "WARNING",
    }


def _told(name: str, work: Callable[..., Any], of: str) -> Callable[..., Any]:
    """The same, with a line in the log about whose step it was (`of`: what the subject is) and how long it took."""

    def step(bench: Bench, subject: Any, *given: Any) -> Any:
        started = time.monotonic()
        result = _insisting(work, bench, subject, *given)
        failed = result.get("failed") if isinstance(result, dict) else None
        facts = {"step": name, of: subject, "seconds": round(time.monotonic() - started, 3)}
        log.info("step", extra={**facts, **({"failed": failed} if failed else {})})
        if name in _COUNTED:
            quietly(lambda: _count(bench.here, name, facts["seconds"], failed is not None))
        return result

    return step


def _insisting(work: Callable[..., Any], *given: Any) -> Any:
    """Again as long as the database is away: no work fails because of that. (The store is waited for by itself.)"""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return work(*given)
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("away", extra={"error": str(error).partition("\n")[0]})
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _count(here: Context, name: str, seconds: float, failed: bool) -> None:
    """For the metrics: they are asked for at the API, the work is done here."""
    once = {"times": 1, "seconds": seconds, "failures": int(failed)}
    with transaction(here.engine) as session:
        more = {column: getattr(Stage, column) + value for column, value in once.items()}
        row = insert_into(session, Stage).values(name=name, **once)
        session.execute(row.on_conflict_do_update(index_elements=["name"], set_=more))


def _begun(here: Context, queue: str, number: int) -> None:
    with transaction(here.engine) as session:
        turns.started(session, queue, number)


def _register(bench: Bench) -> None:
    """The workflows. Every call below is a recorded step: after a crash the finished ones are skipped."""

    def step(name: str, work: Any, *given: Any, **subject: Any) -> Any:
        ((of, number),) = subject.items()
        return DBOS.run_step({"name": name}, _told(name, work, of), bench, number, *given)

    def begun(queue: str, number: int) -> None:
        quietly(lambda: _begun(bench.here, queue, number))

    @DBOS.workflow(name=jobs.PREPARE)
    def prepare(shot_id: int, number: int) -> None:
        begun(jobs.CPU, number)
        if step("begin", shots.begin, shot_id=shot_id):
            found = step("prepare", shots.prepare, shot_id=shot_id)
            step("keep_prepared", shots.keep_prepared, found, shot_id=shot_id)

    @DBOS.workflow(name=jobs.TRAIN)
    def train(shot_id: int, number: int) -> None:
        begun(jobs.GPU, number)
        learnt = step("train", shots.train, shot_id=shot_id)
        step("keep_trained", shots.keep_trained, learnt, shot_id=shot_id)

    @DBOS.workflow(name=jobs.RENDER)
    def render(job_id: int, number: int) -> None:
        begun(jobs.GPU, number)
        count = step("plan", parts.plan, job_id=job_id)
        if count > 1:
            step("spread", parts.spread, count, job_id=job_id)
            return
        done = step("render", renders.render, job_id=job_id)
        step("keep", renders.keep, done, job_id=job_id)

    @DBOS.workflow(name=jobs.RENDER_PART)
    def render_part(job_id: int, number: int, attempt: int, part: int, count: int) -> None:
        begun(jobs.GPU, number)
        told = step("render_part", parts.render, attempt, part, count, job_id=job_id)
        step("keep_part", parts.keep, attempt, part, count, told, job_id=job_id)

    @DBOS.workflow(name=jobs.JOIN)
    def join(job_id: int, number: int, attempt: int, count: int) -> None:
        begun(jobs.GPU, number)
        done = step("join", parts.join, attempt, count, job_id=job_id)
        step("keep", renders.keep, done, job_id=job_id)

    @DBOS.workflow(name=jobs.MEASURE)
    def measure(job_id: int, number: int) -> None:
        begun(jobs.MEASURES, number)
        figures = step("measure", renders.measure, job_id=job_id)
        step("keep_measured", renders.keep_measured, figures, job_id=job_id)

    @DBOS.workflow(name=jobs.PREVIEW_SHOT)
    def preview_shot(shot_id: int) -> None:
        step("preview", looking.preview_shot, shot_id=shot_id)

    @DBOS.workflow(name=jobs.PREVIEW_JOB)
    def preview_job(job_id: int) -> None:
        step("preview", looking.preview_job, job_id=job_id)

    @DBOS.workflow(name=jobs.INGEST)
    def ingest(ingest_id: str) -> None:
        step("ingest", fetching.ingest, tracking_id=ingest_id)

    @DBOS.workflow(name=jobs.FETCH)
    def fetch_upload(upload_id: str) -> None:
        step("fetch", fetching.fetch_upload, upload_id=upload_id)

    @DBOS.workflow(name=jobs.DELIVER)
    def deliver(delivery_id: str) -> None:
        step("deliver", delivering.deliver, webhook_id=delivery_id)
