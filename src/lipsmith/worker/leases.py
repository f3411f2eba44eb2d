"""What becomes of the work of workers that give no sign of life any more.

Level-triggered: whoever lives looks again and again for work whose owner is dead, and puts it back on its queue.
"""

from __future__ import annotations

import logging
import threading

from dbos import DBOS
from sqlalchemy import select, update

from lipsmith.service import presence
from lipsmith.service.context import Context
from lipsmith.service.presence import BEATS, Pulse, quietly
from lipsmith.service.tables import Job, reading, transaction

log = logging.getLogger("lipsmith.worker")
_JOB_PREFIX = "job-"
_LOOK_SECONDS = 1.0  # how late after a lease's end it may be noticed


def recover(here: Context, pulse: Pulse) -> list[str]:
    """Put the work of the dead back. Rows are read before leases: a worker born in between is not taken for dead."""
    if not _lost(here):
        return []
    with reading(here.engine) as session:
        attempts = dict(session.execute(select(Job.id, Job.attempt).where(Job.status == "running")).all())
    lost = _lost(here)  # once more: what somebody else has put back meanwhile may run again already
    dead = sorted(set(lost.values()))
    if dead and pulse.steady:  # asked last: looking waits for a database that is away
        DBOS._recover_pending_workflows(dead)  # internal: the major version is pinned, a test holds it
        _say_pending(here, list(lost), attempts)
        log.warning("recovered", extra={"executors": dead, "workflows": list(lost)})
        return dead
    return []


def _lost(here: Context) -> dict[str, str]:
    """Workflows whose owner is dead, and who that was."""
    held = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
    living = presence.alive(here)
    return {row.workflow_id: row.executor_id for row in held if row.executor_id and row.executor_id not in living}


def _say_pending(here: Context, workflows: list[str], attempts: dict[int, int]) -> None:
    """Of the attempts that were lost alone: the next one may have begun."""
    jobs = [int(name.removeprefix(_JOB_PREFIX)) for name in workflows if name.startswith(_JOB_PREFIX)]
    with transaction(here.engine) as session:
        for job_id in jobs:
            mine = (Job.id == job_id) & (Job.status == "running") & (Job.attempt == attempts.get(job_id))
            session.execute(update(Job).where(mine).values(status="pending"))


def tidy(here: Context) -> None:
    """Forget leases and workshops of the dead."""
    presence.forget_dead(here)
    here.storage.clear_workshops(presence.alive(here))


class Watch(threading.Thread):
    """Looks for the dead. Apart from the pulse, which must beat while this waits for a database that is away."""

    def __init__(self, here: Context, pulse: Pulse) -> None:
        super().__init__(daemon=True, name="watch")
        self._here, self._pulse, self._end = here, pulse, threading.Event()

    def run(self) -> None:
        lease = self._here.settings.lease_seconds
        looks = 0
        while not self._end.wait(min(_LOOK_SECONDS, lease / BEATS)):
            looks += 1
            quietly(lambda: recover(self._here, self._pulse))
            if looks * _LOOK_SECONDS >= lease:
                looks = 0
                quietly(lambda: tidy(self._here))

    def stop(self) -> None:
        self._end.set()
