"""A process that ends when the one that started it is gone (Linux; elsewhere the parent's own stop ends it)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

VARIABLE = "LIPSMITH_PARENT"
_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send `number` to this process when the thread that made it ends."""
    parent = os.environ.get(VARIABLE)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != int(parent):
        sys.exit(1)  # it was gone before the kernel was told
