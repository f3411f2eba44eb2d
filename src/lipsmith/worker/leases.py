"""Proof of life of each worker, and what becomes of the work of those who give none.

Level-triggered: whoever lives looks again and again for work whose owner is dead, and puts it back on its queue.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from dbos import DBOS
from sqlalchemy import delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from lipsmith.service.context import Context
from lipsmith.service.tables import Job, Lease, now, reading, transaction

log = logging.getLogger("lipsmith.worker")
_JOB_PREFIX = "job-"


def beat(here: Context, executor_id: str) -> None:
    with transaction(here.engine) as session:
        session.merge(Lease(executor_id=executor_id, beat=now()))


def end(here: Context, executor_id: str) -> None:
    """A worker that stops by itself: the next look finds its work without an owner."""
    with transaction(here.engine) as session:
        session.execute(delete(Lease).where(Lease.executor_id == executor_id))


def alive(here: Context) -> set[str]:
    oldest = now() - timedelta(seconds=here.settings.lease_seconds)
    with reading(here.engine) as session:
        return set(session.scalars(select(Lease.executor_id).where(Lease.beat > oldest)))


def recover(here: Context) -> list[str]:
    """Put the work of the dead back. Rows are read before leases: a worker born in between is not taken for dead."""
    held = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
    living = alive(here)
    dead = sorted({row.executor_id for row in held if row.executor_id} - living)
    if dead:
        DBOS._recover_pending_workflows(dead)  # internal: the major version is pinned, a test holds it
        lost = [row.workflow_id for row in held if row.executor_id in dead]
        _say_pending(here, lost)
        log.warning("recovered", extra={"executors": dead, "workflows": lost})
    return dead


def _say_pending(here: Context, workflows: list[str]) -> None:
    jobs = [int(name.removeprefix(_JOB_PREFIX)) for name in workflows if name.startswith(_JOB_PREFIX)]
    with transaction(here.engine) as session:
        session.execute(update(Job).where(Job.id.in_(jobs), Job.status == "running").values(status="pending"))


def tidy(here: Context) -> None:
    """Forget leases and workshops of the dead."""
    living = alive(here)
    with transaction(here.engine) as session:
        session.execute(delete(Lease).where(Lease.executor_id.not_in(living)))
    here.storage.clear_workshops(living)


class Pulse(threading.Thread):
    """Beats and looks for the dead, three times a lease."""

    def __init__(self, here: Context, executor_id: str) -> None:
        super().__init__(daemon=True, name="pulse")
        self._here, self._executor_id, self._end = here, executor_id, threading.Event()

    def run(self) -> None:
        while not self._end.wait(self._here.settings.lease_seconds / 3):
            try:
                beat(self._here, self._executor_id)
                recover(self._here)
                tidy(self._here)
            except SQLAlchemyError:
                log.exception("the database is away")

    def stop(self) -> None:
        self._end.set()
