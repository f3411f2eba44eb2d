"""A process that ends when the one that started it is gone (Linux; elsewhere the parent's own stop ends it)."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable

VARIABLE = "LIPSMITH_PARENT"  # the process id of a worker's `serve`
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15  # prctl(2)


def die_with_parent(number: signal.Signals, lives: Callable[[], bool]) -> None:
    """Have the kernel send `number` to this process when the thread that made it ends; `lives`: it has not by now."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if not lives():
        sys.exit(1)  # it was gone before the kernel was told


def be_called(name: str) -> None:
    """What `ps -o comm` and `top` show, at most 15 characters."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15])
