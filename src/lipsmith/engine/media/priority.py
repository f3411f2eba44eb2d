"""An encoder runs at the process's own priority.

SVT-AV1, opened by the superuser, makes the thread that opens it and all of its own real-time ones (SCHED_FIFO, 99), and
every thread or process started after that inherits it: on a small machine nothing else gets a turn any more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_THREADS = Path("/proc/self/task")  # Linux, see proc(5); elsewhere the superuser's rights are not so used


@contextlib.contextmanager
def keeping_priority() -> Iterator[None]:
    """Whatever is opened within leaves every thread of this process scheduled as the calling one is now."""
    if not _THREADS.exists():
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in _THREADS.iterdir():
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                if os.sched_getscheduler(int(thread.name)) != policy:
                    os.sched_setscheduler(int(thread.name), policy, parameters)
