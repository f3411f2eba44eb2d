"""Work is put on the queue here, in the caller's own transaction. DBOS by name alone: no worker code is loaded.

If the transaction is rolled back nothing was queued; once it is committed the work will be done.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from lipsmith.service import turns
from lipsmith.service.tables import Job, Shot

if TYPE_CHECKING:
    from dbos import DBOSClient

CPU, GPU = "cpu", "gpu"
MEASURES = "measures"  # also for processors; when nobody waits for anything else
PREVIEWS = "previews"  # beside the work, so that a shot can be played while its actors are learnt
DELIVERIES = "deliveries"
HEAVY = (CPU, GPU, MEASURES)  # in this order they share the places of a worker
SERVED = {"cpu": (CPU, MEASURES, PREVIEWS, DELIVERIES), "gpu": (GPU,)}  # by kind of stage
APPLICATION_VERSION = "jobs-1"  # a constant, so that an upgrade strands no waiting job
PREPARE, TRAIN, RENDER, MEASURE = "prepare", "train", "render", "measure"
RENDER_PART, JOIN = "render_part", "join"
PREVIEW_SHOT, PREVIEW_JOB = "preview_shot", "preview_job"
INGEST, FETCH, DELIVER = "ingest", "fetch_upload", "deliver"
SHOT_PRIORITY, JOB_PRIORITY = 20, 50  # lower goes first; a job's own priority is 1 to 99


class JobQueue:
    """A client of the queue on one database."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    @cached_property
    def _client(self) -> DBOSClient:
        from dbos import DBOSClient

        return DBOSClient(system_database_url=self._url, dbos_system_schema="dbos", retry_connection_errors=False)

    def open(self) -> None:
        """Load what is needed now instead of with the first job, which would wait a second for it."""
        _ = self._client

    def _add(
        self,
        session: Session,
        queue: str,
        workflow: str,
        workflow_id: str,
        *subject: object,
        number: int = 0,
        tenant_id: int | None = None,
        delay_seconds: float = 0.0,
    ) -> None:
        from dbos import EnqueueOptions

        options: EnqueueOptions = {"queue_name": queue, "workflow_name": workflow, "workflow_id": workflow_id}
        if number:
            options["priority"] = number
        if tenant_id is not None:
            options["queue_partition_key"] = str(tenant_id)
        if delay_seconds:
            options["delay_seconds"] = delay_seconds
        self._client.enqueue_in_transaction(session, options, *subject)

    def _in_turn(
        self, session: Session, queue: str, workflow: str, row: Shot | Job, name: str, priority: int, *more: int
    ) -> None:
        """Heavy work: tenants share the workers. The workflow is told its number, to say so when its turn has come."""
        number, identity = turns.place(session, queue, row.tenant_id, priority), f"{name}-{row.id}"
        self._add(session, queue, workflow, identity, row.id, number, *more, number=number, tenant_id=row.tenant_id)

    def prepare(self, session: Session, shot: Shot) -> None:
        self._in_turn(session, CPU, PREPARE, shot, "shot", SHOT_PRIORITY)

    def train(self, session: Session, shot: Shot) -> None:
        self._in_turn(session, GPU, TRAIN, shot, "train", SHOT_PRIORITY)

    def render(self, session: Session, job: Job, priority: int) -> None:
        self._in_turn(session, GPU, RENDER, job, "job", priority)

    def render_part(self, session: Session, job: Job, part: int, count: int, priority: int) -> None:
        name = f"part-{job.attempt}-{part}"
        self._in_turn(session, GPU, RENDER_PART, job, name, priority, job.attempt, part, count)

    def join(self, session: Session, job: Job, count: int, priority: int) -> None:
        self._in_turn(session, GPU, JOIN, job, f"join-{job.attempt}", priority, job.attempt, count)

    def measure(self, session: Session, job: Job) -> None:
        self._in_turn(session, MEASURES, MEASURE, job, "measure", JOB_PRIORITY)

    def preview_shot(self, session: Session, shot_id: int) -> None:
        self._add(session, PREVIEWS, PREVIEW_SHOT, f"preview-shot-{shot_id}", shot_id)

    def preview_job(self, session: Session, job_id: int) -> None:
        self._add(session, PREVIEWS, PREVIEW_JOB, f"preview-job-{job_id}", job_id)

    def ingest(self, session: Session, ingest_id: str) -> None:
        self._add(session, DELIVERIES, INGEST, f"ingest-{ingest_id}", ingest_id)

    def fetch(self, session: Session, upload_id: str) -> None:
        self._add(session, DELIVERIES, FETCH, f"fetch-{upload_id}", upload_id)

    def deliver(self, session: Session, delivery_id: str, attempt: int = 0, delay_seconds: float = 0.0) -> None:
        name = f"{delivery_id}-{attempt}"
        self._add(session, DELIVERIES, DELIVER, name, delivery_id, delay_seconds=delay_seconds)
