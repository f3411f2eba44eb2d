"""Who is running on this database: a sign of life of each process, and from which machine.

A lease that is renewed proves a life; one that is not, after some seconds, a death. SQLite belongs to one machine: a
process that finds a living one of another machine there refuses to start.
"""

from __future__ import annotations

import logging
import platform
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from lipsmith.errors import RequestError
from lipsmith.service.context import Context
from lipsmith.service.outages import is_away
from lipsmith.service.tables import Lease, insert_into, moment_of, reading, transaction

log = logging.getLogger("lipsmith.service")
Role = Literal["worker", "api"]
BEATS = 3  # in each lease
_LOOK_SECONDS = 0.5
_LAST_BEAT_SECONDS = 3.0  # for one that is on its way when the process ends


def machine() -> str:
    """The same for all processes below one kernel, and so on one disk; another one after a restart of it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


def beat(here: Context, identity: str, role: Role) -> None:
    with transaction(here.engine) as session:
        values = {"beat": moment_of(session), "role": role, "machine": machine()}
        row = insert_into(session, Lease).values(executor_id=identity, **values)
        session.execute(row.on_conflict_do_update(index_elements=["executor_id"], set_=values))


def end(here: Context, identity: str) -> None:
    """A process that stops by itself: the next look finds it gone."""
    with transaction(here.engine) as session:
        session.execute(delete(Lease).where(Lease.executor_id == identity))


def alive(here: Context) -> set[str]:
    with reading(here.engine) as session:
        return set(session.scalars(select(Lease.executor_id).where(Lease.beat > _oldest(session, here))))


def workers(here: Context) -> int:
    """How many of them live."""
    with reading(here.engine) as session:
        living = select(func.count()).where(Lease.beat > _oldest(session, here), Lease.role == "worker")
        return session.scalar(living) or 0


def forget_dead(here: Context) -> None:
    with transaction(here.engine) as session:
        session.execute(delete(Lease).where(Lease.beat <= _oldest(session, here)))


def _oldest(session: Session, here: Context) -> datetime:
    """When whoever lives has beaten since."""
    return moment_of(session) - timedelta(seconds=here.settings.lease_seconds)


def refuse_second_machine(here: Context) -> None:
    """Raises RequestError where another machine works on this SQLite file.

    A lease that a machine left behind when it went down is waited for until it has ended.
    """
    if here.engine.dialect.name != "sqlite":
        return
    first: dict[str, object] | None = None
    ends = time.monotonic() + here.settings.lease_seconds
    while True:
        with reading(here.engine) as session:
            query = select(Lease.executor_id, Lease.beat).where(Lease.machine != machine())
            others: dict[str, object] = dict(session.execute(query.where(Lease.beat > _oldest(session, here))).all())
        first = others if first is None else first
        if any(first.get(name) != moment for name, moment in others.items()):
            raise RequestError(
                "Another machine is working on this SQLite database, which belongs to one machine alone: "
                "for several of them set LIPSMITH_DATABASE_URL to a PostgreSQL and LIPSMITH_STORE_URL to a bucket."
            )
        if not others or time.monotonic() > ends:
            return
        time.sleep(_LOOK_SECONDS)


class Pulse(threading.Thread):
    """Renews a lease as long as the process lives. `steady`: whether it could do so throughout the last lease."""

    def __init__(self, here: Context, identity: str, role: Role) -> None:
        super().__init__(daemon=True, name="pulse")
        self._here, self._identity, self._role, self._end = here, identity, role, threading.Event()
        self._steady_from = 0.0
        beat(here, identity, role)

    @property
    def steady(self) -> bool:
        """Who could not say for a while that he lives may not judge others: they could not say it either."""
        return time.monotonic() >= self._steady_from

    def run(self) -> None:
        lease = self._here.settings.lease_seconds
        while not self._end.wait(lease / BEATS):
            if not quietly(lambda: beat(self._here, self._identity, self._role)):
                self._steady_from = time.monotonic() + lease + lease / BEATS

    def stop(self) -> None:
        """No further sign of life; what is left of the lease ends at once."""
        self._end.set()
        if self.is_alive():
            self.join(_LAST_BEAT_SECONDS)
        quietly(lambda: end(self._here, self._identity))


def quietly(work: Callable[[], object]) -> bool:
    """Do it unless the database or the store is away, which is told; whether it was done."""
    try:
        work()
    except Exception as error:
        if not is_away(error):
            log.exception("unexpected")
        else:
            log.warning("away", extra={"error": str(error).partition("\n")[0]})
        return False
    return True
