"""Work is put on the queue here, in the caller's own transaction. DBOS by name alone: no worker code is loaded.

If the transaction is rolled back nothing was queued; once it is committed the work will be done.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from dbos import DBOSClient

QUEUE = "work"
DELIVERIES = "deliveries"
PREVIEWS = "previews"  # beside the work, so that a shot can be played while its actors are learnt
APPLICATION_VERSION = "jobs-1"  # a constant, so that an upgrade strands no waiting job
PROCESS_SHOT, RENDER, MEASURE = "process_shot", "render", "measure"
PREVIEW_SHOT, PREVIEW_JOB = "preview_shot", "preview_job"
INGEST, FETCH, DELIVER = "ingest", "fetch_upload", "deliver"
SHOT_PRIORITY, JOB_PRIORITY, MEASURE_PRIORITY = 20, 50, 90  # lower goes first; a job's own priority is 1 to 99


class JobQueue:
    """A client of the queue on one database."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    @cached_property
    def _client(self) -> DBOSClient:
        from dbos import DBOSClient

        return DBOSClient(system_database_url=self._url, dbos_system_schema="dbos")

    def open(self) -> None:
        """Load what is needed now instead of with the first job, which would wait a second for it."""
        _ = self._client

    def _add(
        self,
        session: Session,
        queue: str,
        workflow: str,
        workflow_id: str,
        subject: object,
        *,
        priority: int = 0,
        delay_seconds: float = 0.0,
    ) -> None:
        from dbos import EnqueueOptions

        options: EnqueueOptions = {"queue_name": queue, "workflow_name": workflow, "workflow_id": workflow_id}
        if priority:
            options["priority"] = priority
        if delay_seconds:
            options["delay_seconds"] = delay_seconds
        self._client.enqueue_in_transaction(session, options, subject)

    def process_shot(self, session: Session, shot_id: int) -> None:
        self._add(session, QUEUE, PROCESS_SHOT, f"shot-{shot_id}", shot_id, priority=SHOT_PRIORITY)

    def render(self, session: Session, job_id: int, priority: int = JOB_PRIORITY) -> None:
        self._add(session, QUEUE, RENDER, f"job-{job_id}", job_id, priority=priority)

    def measure(self, session: Session, job_id: int) -> None:
        self._add(session, QUEUE, MEASURE, f"measure-{job_id}", job_id, priority=MEASURE_PRIORITY)

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
