"""The places of a worker for heavy work, shared by its queues: nothing is taken that could not begin at once.

The queue counts each of its queues by itself, and what a worker has taken no other one can do. So it is told here how
full each queue is: full where all places are taken, or where a more urgent queue of this worker has somebody waiting.
"""

from __future__ import annotations

from dbos import DBOS

MOST = 64  # places of any worker


def share(worker: DBOS, queues: tuple[str, ...], at_once: int) -> None:
    """Let at most `at_once` run on `queues` together, the earlier ones first."""
    active = worker._active_workflows_set  # internal: the major version is pinned, a test holds it
    counted = active.count_for_queue
    places = min(at_once, MOST)

    def count(queue: str) -> int:
        if queue not in queues:
            return counted(queue)
        busy = sum(counted(name) for name in queues)
        if busy >= places or any(_waiting(name) for name in queues[: queues.index(queue)]):
            return MOST
        return MOST - (places - busy)

    active.count_for_queue = count  # type: ignore[assignment, method-assign]


def _waiting(queue: str) -> bool:
    return bool(DBOS.list_queued_workflows(queue_name=queue, status="ENQUEUED", limit=1, load_input=False))
