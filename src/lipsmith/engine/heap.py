"""What has been freed goes back to the system.

glibc keeps freed memory for later; after a few hundred pictures and crops of all sizes its heap holds more holes than
data (docs/log.md), and grows with the length of a file for nothing. Other C libraries see to it themselves.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

_EVERY = 256  # often enough for the heap to stay small; 13 ms each time

_Frame = TypeVar("_Frame")


def giving_back(frames: Iterable[_Frame]) -> Iterator[_Frame]:
    """The frames; while they go by, what was freed on their way is given back now and then."""
    for count, frame in enumerate(frames, 1):
        yield frame
        if count % _EVERY == 0:
            give_back()


def give_back() -> None:
    """Return free pages of the heap, its middle too, to the system. Threads may go on meanwhile."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


@lru_cache(maxsize=1)
def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None
