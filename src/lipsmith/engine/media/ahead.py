"""Work on the next frames while the last ones are being encoded. Takes an iterator, gives the same values in order.

Painting and encoding wait for each other otherwise, and each leaves half the machine idle.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

T = TypeVar("T")
_DEPTH = 6  # frames that wait to be encoded
_LOOK_SECONDS = 0.2  # how soon an abandoned producer notices


def ahead(
    values: Iterator[T], threads: int, begin: Callable[[], None] = lambda: None, depth: int = _DEPTH
) -> Generator[T, None, None]:
    """`values`, made in a thread of their own, at most `depth` ahead; `begin` is called there first.

    Where there is to be but one of `threads`, they are made when they are asked for.

    What `values` raises is raised here. Closed early, the thread ends and closes `values` before this returns.
    """
    if threads == 1:
        yield from values
        return
    made: queue.Queue[tuple[str, T | BaseException | None]] = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, value: T | BaseException | None) -> bool:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                made.put((kind, value), timeout=_LOOK_SECONDS)
                return True
        return False

    def produce() -> None:
        try:
            begin()
            for value in values:
                if not put("value", value):
                    break
            else:
                put("end", None)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever takes the values
            put("error", error)
        finally:
            if isinstance(values, Generator):
                values.close()

    worker = threading.Thread(target=produce, name="ahead", daemon=True)
    worker.start()
    try:
        while True:
            kind, value = made.get()
            if kind == "end":
                return
            if isinstance(value, BaseException):
                raise value
            yield value  # type: ignore[misc]
    finally:
        stop.set()
        worker.join()
