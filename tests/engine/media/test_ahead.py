"""Values come through another thread unchanged, with its errors, and it ends with its reader."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from lipsmith.engine.media.ahead import Ahead, ahead


def nothing() -> None:
    pass


@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_the_same_values_in_order(count: int) -> None:
    assert list(ahead(iter(range(count)), 2, nothing)) == list(range(count))


def test_they_are_made_in_one_other_thread_that_began() -> None:
    seen: list[str] = []

    def named() -> Iterator[str]:
        for _ in range(3):
            yield threading.current_thread().name

    assert set(ahead(named(), 2, lambda: seen.append(threading.current_thread().name))) == set(seen) == {"ahead"}


def test_an_error_comes_after_the_values_before_it() -> None:
    def breaking() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    taken = []
    with pytest.raises(OSError, match="no more"):
        taken += list(ahead(breaking(), 2, nothing))
    reader = ahead(breaking(), 2, nothing)
    assert next(reader) == 1
    with pytest.raises(OSError, match="no more"):
        next(reader)


def test_a_reader_that_leaves_takes_the_maker_with_it() -> None:
    closed: list[bool] = []
    made: list[int] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                made.append(len(made))
                yield made[-1]
        finally:
            closed.append(True)

    reader = ahead(endless(), 2, nothing, depth=2)
    assert next(reader) == 0
    reader.close()
    assert closed == [True]
    assert len(made) <= 5
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]


def test_with_one_thread_nothing_is_made_before_it_is_asked_for() -> None:
    seen: list[str] = []

    def named() -> Iterator[int]:
        for value in range(3):
            seen.append(threading.current_thread().name)
            yield value

    reader = ahead(named(), 1, nothing)
    assert next(reader) == 0
    assert seen == [threading.current_thread().name]
    assert list(reader) == [1, 2]


def test_begun_at_once_it_works_before_it_is_asked() -> None:
    begun = threading.Event()

    def values() -> Iterator[int]:
        begun.set()
        yield from range(5)

    made = Ahead(values())
    assert begun.wait(10)
    assert list(made) == list(range(5))
    assert list(made) == []


def test_closed_before_a_value_was_taken_its_thread_ends() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    Ahead(endless(), depth=2).close()
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]
