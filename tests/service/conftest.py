"""Real server processes with their workers, driven over real HTTP, and another machine for them to talk to.

With `--backend cluster` a server is two API processes and two workers, each with a data folder of its own, on a
PostgreSQL and an S3 server; requests go to the API processes in turn.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text
from tests.service import cluster as clusters
from tests.service.cluster import Cluster, following

from lipsmith.demo import MATERIAL, make_shot
from lipsmith.engine.media.proxy import make_proxy
from lipsmith.engine.progress import silent
from lipsmith.service.settings import ServiceSettings
from lipsmith.service.tables import connect
from lipsmith.weights import WeightStore

START_SECONDS, WORK_SECONDS = 60, 240
FRAMES = 80  # of the shot, at 25 a second
FAST = {
    "LIPSMITH_URL_ALLOW_HOSTS": "127.0.0.1,localhost",
    "LIPSMITH_WEBHOOK_RETRY_DELAYS": "0.2,0.2,0.2",
    "LIPSMITH_WEBHOOK_TIMEOUT": "2",
    "LIPSMITH_LEASE_SECONDS": "3",
    "LIPSMITH_POLL_SECONDS": "0.5",
    "LIPSMITH_MEASURE": "off",
    "LIPSMITH_PREVIEWS": "off",
}


class _InTurn(httpx.BaseTransport):
    """Sends each request to the next one of several API processes."""

    def __init__(self, ports: list[int]) -> None:
        self._ports, self._inner = itertools.cycle(ports), httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(port=next(self._ports))
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


@dataclass
class Server:
    """One `lipsmith serve` with its worker; on a cluster as many processes as stand there."""

    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    cluster: Cluster | None = None
    ports: list[int] = field(default_factory=lambda: clusters.free_ports(2))
    key: str = ""
    process: subprocess.Popen[str] | None = None
    others: list[subprocess.Popen[str]] = field(default_factory=list)  # of a cluster: the second API process
    workers: list[subprocess.Popen[str]] = field(default_factory=list)  # of a cluster

    def __post_init__(self) -> None:
        self._own = self.cluster.settings() if self.cluster else {}

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def doors(self) -> list[int]:
        """The ports that answer."""
        return self.ports if self.cluster else self.ports[:1]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    @property
    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("LIPSMITH_")}
        return {**own, **FAST, "LIPSMITH_DATA_FOLDER": str(self.data), **self._own, **self.settings}

    def start(self, *arguments: str, ready: bool = True) -> None:
        self.start_api(*(dict.fromkeys([*arguments, "--no-worker"]) if self.cluster else arguments))
        if self.cluster is not None:
            second = {"LIPSMITH_DATA_FOLDER": str(self.data.with_name("second"))}
            self.others = [self._run("serve", "--no-worker", "--port", str(self.ports[1]), **second)]
            self.await_health(False, self.ports[1])
            if "--no-worker" not in arguments:
                self.workers = [self.worker(number) for number in (1, 2)]
        self.await_health(ready)

    def start_api(self, *arguments: str) -> None:
        """The first API process, which says a key where the database is new."""
        self.process = self._run("serve", "--port", str(self.port), *arguments, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"lsk_\S+", line):
                self.key = found[0]
            if "Serving" in line:
                break

    def worker(self, number: int, **settings: str) -> subprocess.Popen[str]:
        """A worker that shares no folder with anybody."""
        folder = self.data.with_name(f"worker-{number}")
        return self._run("worker", **{"LIPSMITH_DATA_FOLDER": str(folder), **settings})

    def _run(self, *arguments: str, stdout: int | None = None, **settings: str) -> subprocess.Popen[str]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "lipsmith", *arguments],
                stdout=stdout or log,
                stderr=log,
                text=True,
                env={**self.environment, **settings},
                start_new_session=True,
                preexec_fn=following(signal.SIGTERM),
            )

    def await_health(self, ready: bool, port: int | None = None) -> None:
        until(lambda: self._healthy("ready" if ready else "live", port), START_SECONDS, self.log.read_text)

    def _healthy(self, what: str, port: int | None = None) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port or self.port}/api/health/{what}").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        every = [*([self.process] if self.process else []), *self.others, *self.workers]
        for process in every:
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        for process in every:
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()
        self.process, self.others, self.workers = None, [], []

    def lipsmith(self, *arguments: str) -> str:
        """What a command of the owner prints."""
        command = [sys.executable, "-m", "lipsmith", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def caller(self, key: str | None = None) -> httpx.Client:
        headers = {"x-api-key": key or self.key}
        return httpx.Client(base_url=self.base, headers=headers, timeout=30, transport=_InTurn(self.doors))

    @contextlib.contextmanager
    def database(self) -> Iterator[Engine]:
        """The server's own."""
        engine = connect(ServiceSettings.from_environment(self.environment).database)
        try:
            yield engine
        finally:
            engine.dispose()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.database() as engine, engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def objects(self, prefix: str = "") -> list[str]:
        """The keys of what the store holds."""
        if self.cluster is not None:
            below = f"{self._own['LIPSMITH_STORE_URL'].rpartition('/')[2]}/objects/"
            return sorted(key.removeprefix(below) for key in self.cluster.store.keys(below + prefix))
        root = self.data / "objects/objects"
        return sorted(path.relative_to(root).as_posix() for path in (root / prefix).rglob("*") if path.is_file())

    def half_done(self) -> list[str]:
        """Files that are no objects (yet), and blocks of uploads."""
        found = [str(path) for path in (self.data / "objects/parts").rglob("*") if path.is_file()]
        if self.cluster is not None:
            found += [str(path) for path in self.data.parent.glob("*/scratch/work-*/**/*") if path.is_file()]
            found += self.cluster.store.keys(f"{self._own['LIPSMITH_STORE_URL'].rpartition('/')[2]}/unfinished/")
        return found


def until(fine: Callable[[], Any], seconds: float = WORK_SECONDS, why: Callable[[], Any] = lambda: "") -> Any:
    """Ask until the answer is true; that answer."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := fine():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {why()}")


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Iterator[Cluster | None]:
    """The cluster that servers under test run on; None on a laptop."""
    if request.config.getoption("--backend") == "laptop":
        yield None
        return
    if (reason := clusters.why_not()) is not None:
        pytest.skip(reason)
    with clusters.started() as cluster:
        yield cluster


@contextlib.contextmanager
def serving(backend: Cluster | None, folders: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start servers with settings; all are stopped at the end."""
    made: list[Server] = []

    def start(*arguments: str, ready: bool = True, **settings: str) -> Server:
        named = {f"LIPSMITH_{name.upper()}": value for name, value in settings.items()}
        server = Server(folders.mktemp("server") / "data", named, backend)
        made.append(server)
        server.start(*arguments, ready=ready)
        return server

    yield start
    for server in made:
        server.stop()


@pytest.fixture(scope="module")
def serve(backend: Cluster | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start a server of one's own, which lives as long as the module's tests: idle ones cost the others time."""
    with serving(backend, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def server(backend: Cluster | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With default settings, but that it may call this machine and is quick to try again."""
    with serving(backend, tmp_path_factory) as start:
        yield start()


@pytest.fixture(scope="session")
def api(server: Server) -> Iterator[httpx.Client]:
    with server.caller() as client:
        yield client


@dataclass(frozen=True)
class Material:
    video: Path
    voice: Path


@pytest.fixture(scope="session")
def material(store: WeightStore, tmp_path_factory: pytest.TempPathFactory) -> Material:
    """A small shot of 3.2 s and a voice of more."""
    demo = WeightStore(store.folder / "demo", artefacts=MATERIAL)
    folder = tmp_path_factory.mktemp("material")
    make_shot(folder / "large.mp4", demo, store, silent, frame_count=FRAMES)
    make_proxy(folder / "large.mp4", folder / "shot.mp4", longest_side=640)
    return Material(folder / "shot.mp4", demo.path("voice"))


def bring(api: httpx.Client, kind: str, path: Path, content_type: str, name: str | None = None, **more: Any) -> dict:
    """Upload a file with a plain PUT and report success; what A1 or B1 answered, and the success call."""
    body = {"file_name": name or path.name, "content_type": content_type, "size_bytes": path.stat().st_size, **more}
    made = api.post(f"/v1/{kind}", json=body)
    assert made.status_code == 201, made.text
    told = made.json()["data"]
    put = httpx.put(told["upload_url"], content=path.read_bytes(), headers={"content-type": content_type})
    assert put.status_code == 200, put.text
    success = api.post(told["success_url"])
    assert success.status_code == 200, success.text
    return {**told, **success.json()["data"]}


@dataclass(frozen=True)
class Ready:
    """A shot that is learnt, and a voice."""

    shot_id: int
    video_id: str
    audio_id: str
    project_id: int
    actor_id: int


@pytest.fixture(scope="session")
def ready(api: httpx.Client, material: Material, server: Server) -> Ready:
    shot = bring(api, "video", material.video, "video/mp4", "speaker.mp4", project_name="Spring film", actor_name="Ada")
    voice = bring(api, "audio", material.voice, "audio/wav")
    await_shot(api, shot["shot_id"], server)
    return Ready(shot["shot_id"], shot["video_id"], voice["audio_id"], shot["project_id"], shot["actor_id"])


def await_shot(api: httpx.Client, shot_id: int, server: Server) -> None:
    def finished() -> bool:
        told = api.get(f"/v1/shots/{shot_id}/status").json()["data"]
        assert "failed" not in told.values(), told
        return told["ai_training_status"] == "finished"

    until(finished, why=server.log.read_text)


def generate(api: httpx.Client, ready: Ready, name: str = "out.mp4", **options: Any) -> int:
    body = {"audio_id": ready.audio_id, "output_filename": name, **options}
    made = api.post(f"/v1/shots/{ready.shot_id}/generate", json=body)
    assert made.status_code == 201, made.text
    return int(made.json()["generate_id"])


def drop(api: httpx.Client, *jobs: int) -> None:
    """Jobs that nobody waits for are not to keep the worker from those that somebody does."""
    for job_id in jobs:
        api.post(f"/api/jobs/{job_id}/cancel")


def await_job(api: httpx.Client, job_id: int, status: str = "finished") -> dict:
    def ended() -> dict | None:
        told = api.get(f"/api/jobs/{job_id}").json()["data"]
        return told if told["status"] in ("finished", "failed", "cancelled", "skipped") else None

    told = until(ended)
    assert told["status"] == status, told
    return told


@pytest.fixture(scope="session")
def finished(api: httpx.Client, ready: Ready) -> int:
    """A job that has ended well."""
    job_id = generate(api, ready, "speaker-es.mp4", language="es-MX", maintain_expression=True)
    await_job(api, job_id)
    return job_id


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Elsewhere:
    """Another machine: files to fetch under /name, hooks that answer as told."""

    base: str
    files: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    answers: dict[str, list[int]] = field(default_factory=dict)  # of a hook, one after another; then 200
    received: list[Received] = field(default_factory=list)

    def hooks(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == path]


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Elsewhere]:
    with listening() as machine:
        yield machine


@contextlib.contextmanager
def listening() -> Iterator[Elsewhere]:
    """Another machine, as long as it is needed."""
    machine: Elsewhere

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = machine.files.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            machine.received.append(Received(self.path, headers, body))
            waiting = machine.answers.get(self.path) or [200]
            status = waiting.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    door = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    machine = Elsewhere(f"http://127.0.0.1:{door.server_port}")
    threading.Thread(target=door.serve_forever, daemon=True).start()
    yield machine
    door.shutdown()
    door.server_close()
