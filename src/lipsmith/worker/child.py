"""Heavy work in a process of its own: started, listened to, killed. Takes a task's name and facts, gives facts.

A process can be stopped in mid-step, keeps a worker's heartbeat free of heavy code, and gives its memory back. On Linux
it is forked from one that has imported the engine already (seconds of processor time, once instead of every time) and
that does nothing else; elsewhere, where forking is not safe, it begins anew.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from lipsmith.service.outages import AWAY

_TASKS = "lipsmith.worker.tasks"  # imports the engine, which this process must not
_CONTEXT = ForkServerContext() if sys.platform == "linux" else SpawnContext()
_LOOK_SECONDS = 0.25  # how often the caller is asked whether the work is still wanted
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
    _children: set[BaseProcess] = field(default_factory=set)
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
            child, messages = _start(task, given)
            self._children.add(child)
        try:
            return self._listen(child, messages, watcher)
        finally:
            _kill(child)
            messages.close()
            with self._lock:
                self._children.discard(child)

    def _listen(self, child: BaseProcess, messages: Connection, watcher: Watcher) -> dict[str, Any]:
        news: Standing | None = None
        asked = 0.0
        while True:
            # What comes in between must not put the question off.
            if messages.poll(max(asked + _LOOK_SECONDS - time.monotonic(), 0.0)):
                try:
                    message = messages.recv()
                except EOFError:
                    break
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
        child.join()
        if self.stopping.is_set():
            _wait_for_the_end()
        raise _Crashed(f"exit code {child.exitcode}")


class _Crashed(Exception):
    pass


def _start(task: str, given: dict[str, Any]) -> tuple[BaseProcess, Connection]:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # spinning threads would slow everything else down
    _CONTEXT.set_forkserver_preload([_TASKS])
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    child = _CONTEXT.Process(target=_work, args=(task, given, theirs), name=f"lipsmith-{task}", daemon=True)
    child.start()
    theirs.close()
    return child, ours


def _work(task: str, given: dict[str, Any], messages: Connection) -> None:
    """In the child."""
    with contextlib.suppress(BrokenPipeError):  # the worker is gone, and in a moment this will be
        import_module(_TASKS).work(task, given, messages.send)


def _kill(child: BaseProcess) -> None:
    """The whole session of the child."""
    if child.is_alive() and child.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.kill()  # one that has no session of its own yet
    child.join()


def _wait_for_the_end() -> None:
    """Hold this thread until the process is gone."""
    while True:
        time.sleep(3600)
