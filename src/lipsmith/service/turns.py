"""Whose turn it is: the place of each job in its queue, so that no tenant's backlog holds up another's first job.

Start-time fair queueing: within one priority a job's place follows the tenant's previous one and what was started last,
whichever is later. A tenant who comes anew so stands beside the first of those who wait, not behind all of them.
"""

from __future__ import annotations

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from lipsmith.service.tables import Share, insert_into

_SPAN = 20_000_000  # places within one priority; the queue's numbers end at 2**31, its priorities at 99
_NOBODY = 0  # the tenant whose place is that of what was started last


def place(session: Session, queue: str, tenant_id: int, priority: int) -> int:
    """The queue's number for a tenant's next job: lower goes first."""
    started = session.scalar(
        select(Share.tag).where(Share.queue == queue, Share.priority == priority, Share.tenant_id == _NOBODY)
    )
    tag = _moved(session, queue, priority, tenant_id, at_least=(started or 0), step=1)
    return priority * _SPAN + min(tag, _SPAN - 1)


def started(session: Session, queue: str, number: int) -> None:
    """A job with this number has begun: whoever comes now stands behind it."""
    priority, tag = divmod(number, _SPAN)
    _moved(session, queue, priority, _NOBODY, at_least=tag, step=0)


def _moved(session: Session, queue: str, priority: int, tenant_id: int, *, at_least: int, step: int) -> int:
    row = insert_into(session, Share).values(queue=queue, priority=priority, tenant_id=tenant_id, tag=at_least + step)
    further = row.on_conflict_do_update(
        index_elements=["queue", "priority", "tenant_id"],
        set_={"tag": case((Share.tag > at_least, Share.tag), else_=at_least) + step},
    )
    return session.execute(further.returning(Share.tag)).scalar_one()
