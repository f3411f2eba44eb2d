"""`lipsmith serve` and `lipsmith worker`: a server with everything in one command, and the worker alone.

The server's process holds the API; the worker is a process of its own beside it, started again should it die.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import uvicorn
from sqlalchemy import func, select
from sqlalchemy.exc import ArgumentError, OperationalError

from lipsmith.errors import OutputNotWritable, RequestError
from lipsmith.service import logs
from lipsmith.service.app import make_app
from lipsmith.service.auth import create_key
from lipsmith.service.context import Context, make_context
from lipsmith.service.migrate import migrate, migrate_queue
from lipsmith.service.presence import Pulse, refuse_second_machine
from lipsmith.service.settings import ServiceSettings
from lipsmith.service.tables import Key, take_turn, transaction
from lipsmith.worker import parent

FIRST_USER = "owner@localhost"
_DRAIN_SECONDS = 10
_WORKER_STOP_SECONDS = 15
_RESTART_SECONDS = 2.0


def open_context(settings: ServiceSettings, *, patient: bool = False) -> Context:
    """The service's parts on an up-to-date database.

    Raises OutputNotWritable for a data folder that cannot be used, RequestError for a database or a store that cannot,
    and for SQLite that another machine is working on.
    """
    try:
        here = make_context(settings, patient=patient)
    except OSError as error:
        raise OutputNotWritable(f"{settings.data_folder}: cannot be used as data folder ({error.strerror}).") from error
    try:
        migrate(here.engine)
        migrate_queue(settings.database)
    except (OperationalError, ArgumentError) as error:
        told = str(error).partition("\n")[0]
        raise RequestError(f"LIPSMITH_DATABASE_URL: the database cannot be opened ({told}).") from error
    refuse_second_machine(here)
    return here


def serve(settings: ServiceSettings, say: Callable[[str], None], *, with_worker: bool = True) -> None:
    """Serve until SIGTERM or Ctrl-C. Running jobs go on at the next start."""
    logs.set_up()
    here = open_context(settings)
    say(f"Data folder: {settings.data_folder}")
    if (key := first_key(here)) is not None:
        say(f"API key (shown once, for {FIRST_USER}): {key}")
    say(f"Page: {settings.public_base_url or f'http://{settings.host}:{settings.port}'}/")
    say(f"Serving http://{settings.host}:{settings.port}/v1 (Ctrl-C stops)")
    here.queue.open()
    worker = _Supervised() if with_worker else None
    config = uvicorn.Config(
        make_app(here),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    server = uvicorn.Server(config)
    pulse = Pulse(here, f"api-{socket.gethostname()}-{secrets.token_hex(4)}", "api")
    pulse.start()
    try:
        if worker is not None:
            worker.start()
        server.run()
    except KeyboardInterrupt:
        pass  # uvicorn raises the signal again after its own clean end
    finally:
        if worker is not None:
            worker.stop()
        pulse.stop()


def work(settings: ServiceSettings) -> None:
    """Be a worker until SIGTERM or Ctrl-C."""
    from lipsmith.worker import loop

    if server := os.environ.get(parent.VARIABLE):
        parent.die_with_parent(signal.SIGTERM, lambda: os.getppid() == int(server))
    logs.set_up()
    loop.run(open_context(settings, patient=True))


def first_key(here: Context) -> str | None:
    """A key for the first user of an empty database."""
    with transaction(here.engine) as session:
        take_turn(session, "first key")  # of all servers that start on this database
        if session.scalar(select(func.count()).select_from(Key)):
            return None
        return create_key(session, FIRST_USER)


class _Supervised(threading.Thread):
    """The worker's process, started again when it dies."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="worker")
        self._ending = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        environment = {**os.environ, parent.VARIABLE: str(os.getpid())}
        while not self._ending.is_set():
            self._child = subprocess.Popen([sys.executable, "-m", "lipsmith", "worker"], env=environment)
            self._child.wait()
            self._ending.wait(_RESTART_SECONDS)

    def stop(self) -> None:
        self._ending.set()
        child = self._child
        if child is None or child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(_WORKER_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
