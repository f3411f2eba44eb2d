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

    The thread begins with the first value that is asked for. Where there is to be but one of `threads`, they are made
    when they are asked for.

    What `values` raises is raised here. Closed early, the thread ends and closes `values` before this returns.
    """
    if threads == 1:
        yield from values
        return
    with contextlib.closing(Ahead(values, depth, begin)) as made:
        yield from made


class Ahead(Iterator[T]):
    """The same, begun at once: to be closed even if not one value was taken."""

    def __init__(self, values: Iterator[T], depth: int = _DEPTH, begin: Callable[[], None] = lambda: None) -> None:
        self._values, self._begin = values, begin
        self._made: queue.Queue[tuple[str, T | BaseException | None]] = queue.Queue(depth)
        self._stop = threading.Event()
        self._worker = threading.Thread(target=self._produce, name="ahead", daemon=True)
        self._worker.start()

    def __next__(self) -> T:
        if self._stop.is_set():
            raise StopIteration
        kind, value = self._made.get()
        if kind == "value":
            return value  # type: ignore[return-value]
        self.close()
        if isinstance(value, BaseException):
            raise value
        raise StopIteration

    def close(self) -> None:
        self._stop.set()
        self._worker.join()

    def _produce(self) -> None:
        try:
            self._begin()
            for value in self._values:
                if not self._put("value", value):
                    break
            else:
                self._put("end", None)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever takes the values
            self._put("error", error)
        finally:
            if isinstance(self._values, Generator):
                self._values.close()

    def _put(self, kind: str, value: T | BaseException | None) -> bool:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._made.put((kind, value), timeout=_LOOK_SECONDS)
                return True
        return False
