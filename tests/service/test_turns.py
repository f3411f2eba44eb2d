"""Whose turn it is: shares of tenants, as a slow queue that is asked one by one sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete
from tests.service.cluster import Cluster

from lipsmith.service import turns
from lipsmith.service.migrate import migrate
from lipsmith.service.tables import Share, connect, transaction

QUEUE, PRIORITY = "gpu", 50


@pytest.fixture
def database(backend: Cluster | None, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'x.db'}" if backend is None else backend.postgres.database()
    engine = connect(url.replace("postgresql://", "postgresql+psycopg://"))
    migrate(engine)
    yield engine
    engine.dispose()


def place(engine: Engine, tenant: int, priority: int = PRIORITY) -> int:
    with transaction(engine) as session:
        return turns.place(session, QUEUE, tenant, priority)


def start(engine: Engine, number: int) -> None:
    with transaction(engine) as session:
        turns.started(session, QUEUE, number)


def test_a_backlog_does_not_hold_up_anothers_first_job(database: Engine) -> None:
    backlog = [place(database, 1) for _ in range(1000)]
    assert backlog == sorted(set(backlog))
    for number in backlog[:10]:
        start(database, number)
    first = place(database, 2)
    assert sum(number <= first for number in backlog[10:]) <= 1


def test_who_was_away_gains_no_credit(database: Engine) -> None:
    """A tenant who comes back after a long pause stands beside the others, not before them."""
    for number in [place(database, 1) for _ in range(100)]:
        start(database, number)
    others, mine = [place(database, 1) for _ in range(10)], [place(database, 2) for _ in range(10)]
    assert others == mine


def test_priority_comes_before_any_place(database: Engine) -> None:
    for _ in range(50):
        last = place(database, 1, 49)
    assert place(database, 2, 50) > last
    assert place(database, 2, 99) < 2**31


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.one_of(st.integers(1, 4), st.just(0)), min_size=1, max_size=60))
def test_nobody_waits_longer_than_his_share(database: Engine, events: list[int]) -> None:
    """A tenant comes (1 to 4) or the queue starts its next (0): who waits sees nobody else started twice as often."""
    with transaction(database) as session:
        session.execute(delete(Share))
    waiting: list[tuple[int, int, int]] = []  # number, when it came, tenant
    passed: dict[int, dict[int, int]] = {}  # of who waits: how often others went before him
    for moment, tenant in enumerate(events):
        if tenant:
            waiting.append((place(database, tenant), moment, tenant))
            passed.setdefault(tenant, {})
        elif waiting:
            waiting.sort()
            number, _, gone = waiting.pop(0)
            start(database, number)
            passed[gone] = {}
            for other in {tenant for _, _, tenant in waiting} - {gone}:
                passed[other][gone] = passed[other].get(gone, 0) + 1
                assert passed[other][gone] <= 2
