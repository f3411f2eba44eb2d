"""Heavy work in a process of its own: started, listened to, killed. Takes a task's name and JSON, gives JSON.

A process can be stopped in mid-step, keeps a worker's heartbeat free of heavy code, and gives its memory back.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from lipsmith.service.outages import AWAY
from lipsmith.worker import parent

_LOOK_SECONDS = 0.5  # how often the caller is asked whether the work is still wanted
_CRASHES_FORGIVEN = 1  # a process that dies without a word (out of memory) is tried once more


@dataclass(frozen=True)
class Standing:
    """Where a task stands."""

    stage: str
    percent: int  # 0-100, of the whole task
    eta_seconds: float | None


class TaskFailed(Exception):
    """A sentence on why; `code` is the engine's, or "crashed"."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


class Unwanted(Exception):
    """The work was stopped because nobody wants it any more."""


# Told where the work stands (or None: nothing new); False stops it.
Watcher = Callable[[Standing | None], bool]


@dataclass
class Hands:
    """The child processes of one worker."""

    stopping: threading.Event = field(default_factory=threading.Event)
    _children: set[subprocess.Popen[str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, task: str, given: dict[str, Any], watcher: Watcher) -> dict[str, Any]:
        """Raises TaskFailed, Unwanted. Never returns once the worker stops: the step must stay unfinished."""
        for _ in range(_CRASHES_FORGIVEN):
            with contextlib.suppress(_Crashed):
                return self._once(task, given, watcher)
        try:
            return self._once(task, given, watcher)
        except _Crashed as crash:
            raise TaskFailed("crashed", f"The engine stopped without a word ({crash}).") from crash

    def kill_all(self) -> None:
        """For the end of the worker; set `stopping` first."""
        with self._lock:
            for child in self._children:
                _kill(child)

    def _once(self, task: str, given: dict[str, Any], watcher: Watcher) -> dict[str, Any]:
        with self._lock:
            if self.stopping.is_set():
                _wait_for_the_end()
            child = _start(task, given)
            self._children.add(child)
        try:
            return self._listen(child, watcher)
        finally:
            _kill(child)
            with self._lock:
                self._children.discard(child)

    def _listen(self, child: subprocess.Popen[str], watcher: Watcher) -> dict[str, Any]:
        lines: queue.Queue[str | None] = queue.Queue()
        assert child.stdout is not None
        threading.Thread(target=_read, args=(child.stdout, lines), daemon=True).start()
        news: Standing | None = None
        asked = 0.0
        while True:
            with contextlib.suppress(queue.Empty):
                line = lines.get(timeout=_LOOK_SECONDS)
                if line is None:
                    break
                message = json.loads(line)
                if "result" in message:
                    return message["result"]
                if "code" in message:
                    raise TaskFailed(message["code"], message["sentence"])
                news = Standing(**message)
            if time.monotonic() - asked >= _LOOK_SECONDS:
                asked = time.monotonic()
                try:
                    wanted = watcher(news)
                except AWAY:
                    continue  # nobody can be asked now: the work goes on
                if not wanted:
                    raise Unwanted
                news = None
        code = child.wait()
        if self.stopping.is_set():
            _wait_for_the_end()
        raise _Crashed(f"exit code {code}")


class _Crashed(Exception):
    pass


def _start(task: str, given: dict[str, Any]) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-m", "lipsmith.worker.tasks", task],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", parent.VARIABLE: str(os.getpid())},
    )
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError), child.stdin:
        json.dump(given, child.stdin)
    return child


def _read(pipe: IO[str], lines: queue.Queue[str | None]) -> None:
    for line in pipe:
        lines.put(line)
    lines.put(None)


def _kill(child: subprocess.Popen[str]) -> None:
    """The whole session of the child."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _wait_for_the_end() -> None:
    """Hold this thread until the process is gone."""
    while True:
        time.sleep(3600)
