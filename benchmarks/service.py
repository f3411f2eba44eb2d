"""The service under load, on this machine: bytes, latency while a job renders, a long queue, long lists; on a cluster
of real parts the pace of two workers against one, and how soon the work of a dead one is taken over.

Everything is measured on real processes. Latencies are those a client sees over loopback, on the cluster through two
API processes in turn. There each job and each worker has one thread; the pace of workers is that of the own settings of
the product and of workers that have loaded what they need; take-over is measured with the short lease of the tests.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
from tests.service import cluster as clusters
from tests.service import crashes
from tests.service.conftest import FAST, Server, await_job, await_shot, bring, drop, until

from benchmarks import clips, table
from lipsmith.service.settings import ServiceSettings

UPLOAD_BYTES = 2 * 1024**3
BLOCK = bytes(1024 * 1024)
CALLS_PER_SECOND, CALLS_SECONDS = 100, 10
QUEUED, PRIORITIES = 1000, (10, 50, 90)
SHOTS, PAGE = 5000, 100
DUBS, ROUNDS, TAKE_OVERS = 6, (2, 1, 1, 2), 10  # both orders: the machine may slow down meanwhile
ONE_THREAD = {"LIPSMITH_THREADS": "1", "OMP_NUM_THREADS": "1"}
LEASE_SECONDS = float(FAST["LIPSMITH_LEASE_SECONDS"])
_SHIPPED = ServiceSettings()
SHIPPED = {
    "LIPSMITH_LEASE_SECONDS": str(_SHIPPED.lease_seconds),
    "LIPSMITH_POLL_SECONDS": str(_SHIPPED.poll_seconds),
}


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data", {"LIPSMITH_MEASURE": "off"})
        server.start()
        try:
            with server.caller() as api:
                rows = [*_upload(server, api), *_latency(server, api), *_lists(server, api), *_drain(server, api)]
        finally:
            server.stop()
    _report("service", rows)
    on_cluster()


def on_cluster() -> None:
    """The table of several machines; none where their parts cannot run."""
    if (reason := clusters.why_not()) is not None:
        print(f"no cluster: {reason}")
        return
    with tempfile.TemporaryDirectory() as folder, clusters.started() as cluster:
        server = Server(Path(folder) / "data", {**ONE_THREAD, **SHIPPED}, cluster)
        server.start()
        try:
            with server.caller() as api:
                rows = [*_two_workers(server, api)]
            server.stop()
            server.settings = dict(ONE_THREAD)
            server.start()
            with server.caller() as api:
                rows += [*_take_overs(server, api), *_latency(server, api)]
        finally:
            server.stop()
    _report("cluster", rows)


def _report(name: str, rows: list[dict[str, object]]) -> None:
    table.report(name, rows, {str(row["what"]): row["measured"] for row in rows})


def _two_workers(server: Server, api: httpx.Client) -> Iterator[dict[str, object]]:
    """The same dubs by one worker and by two; beside it, what the machine gives two programs that share nothing."""
    clip, speech = clips.clip("hdtf_bobmenendez"), clips.voice("en_jfk_11s.flac")
    shot, voice = bring(api, "video", clip, "video/mp4"), bring(api, "audio", speech, "audio/flac")
    await_shot(api, shot["shot_id"], server)
    seconds = {"workers": [0.0, 0.0], "programs": [0.0, 0.0]}
    for count in ROUNDS:
        for worker in server.workers:
            worker.terminate()
            worker.wait(30)
        server.workers = []
        seconds["programs"][count - 1] += _programs(clip, speech, count)
        server.workers = [server.worker(number + 1) for number in range(count)]
        for dubs in (count, DUBS):  # the first dub of each worker loads the engine
            first = min(_dub(api, shot["shot_id"], voice["audio_id"]) for _ in range(dubs))
            until(lambda first=first: not _unfinished(server, first), 1800)
        started, ended = _bounds(server, first)
        seconds["workers"][count - 1] += ended - started
    for count in (1, 2):
        pace = 60 * DUBS * ROUNDS.count(count) / seconds["workers"][count - 1]
        yield _row(f"dubs a minute, {count} worker{'s' * (count > 1)} of one thread", pace, "")
    one, two = seconds["workers"]
    yield _row("pace of two workers against one", one / two, "1.7")
    alone, beside = seconds["programs"]
    yield _row("pace of two `lipsmith dub` at once against one after the other", alone / beside, "")


def _programs(clip: Path, speech: Path, at_once: int) -> float:
    """Seconds for two dubs by the command line."""
    environment = {**os.environ, **ONE_THREAD}
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / f"{number}.mp4" for number in range(2)]
        started = time.monotonic()
        for few in [outs] if at_once == 2 else [[out] for out in outs]:
            commands = [[sys.executable, "-m", "lipsmith", "dub", clip, speech, "-o", out] for out in few]
            running = [subprocess.Popen(c, env=environment, stdout=subprocess.DEVNULL) for c in commands]
            assert not any(process.wait() for process in running)
        return time.monotonic() - started


def _dub(api: httpx.Client, shot_id: int, audio_id: str) -> int:
    made = api.post(f"/v1/shots/{shot_id}/generate", json={"audio_id": audio_id, "output_filename": "x.mp4"})
    return int(made.json()["generate_id"])


def _unfinished(server: Server, first: int) -> int:
    time.sleep(3)  # to be asked is work, too
    return server.rows(f"SELECT count(*) FROM jobs WHERE id >= {first} AND ended_at IS NULL")[0][0]


def _bounds(server: Server, first: int) -> tuple[float, float]:
    """Seconds: when the first of the jobs began and the last one ended."""
    found = server.rows(f"SELECT started_at, ended_at FROM jobs WHERE id >= {first}")
    return min(row[0].timestamp() for row in found), max(row[1].timestamp() for row in found)


def _take_overs(server: Server, api: httpx.Client) -> Iterator[dict[str, object]]:
    job = api.get("/v1/renders").json()["data"][0]
    audio_id = api.get("/v1/audio").json()["data"][0]["audio_id"]
    late = []
    for _ in range(TAKE_OVERS):
        number = _dub(api, job["shot_id"], audio_id)
        until(lambda number=number: api.get(f"/api/jobs/{number}").json()["data"]["stage"], 120)
        late.append(crashes.take_over(server, api, number) - LEASE_SECONDS)
        drop(api, number)
        until(lambda: len(_alive(server)) == 2, 60)
    yield _row("work of a killed worker taken over, median s after its lease", statistics.median(late), "")
    yield _row("work of a killed worker taken over, slowest s after its lease", max(late), "2")


def _alive(server: Server) -> list[tuple]:
    """Workers that have said so within a lease."""
    moment = f"clock_timestamp() - interval '{LEASE_SECONDS} seconds'"
    return server.rows(f"SELECT 1 FROM leases WHERE role = 'worker' AND beat > {moment}")


def _row(what: str, measured: float, bar: str) -> dict[str, object]:
    return {"what": what, "measured": measured, "bar": bar}


def _memory_mib(server: Server, kind: str = "VmRSS") -> float:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(kind)).split()[1]) / 1024


def _upload(server: Server, api: httpx.Client) -> Iterator[dict[str, object]]:
    idle = _memory_mib(server)
    made = api.post("/v1/video", json={"file_name": "a.mp4", "content_type": "video/mp4"}).json()["data"]
    blocks = (BLOCK for _ in range(UPLOAD_BYTES // len(BLOCK)))
    started = time.monotonic()
    put = httpx.put(made["upload_url"], content=blocks, headers={"content-type": "video/mp4"}, timeout=600)
    assert put.status_code == 200, put.text
    seconds = time.monotonic() - started
    yield _row("2 GiB upload: memory above idle, peak, MiB", _memory_mib(server, "VmHWM") - idle, "100")
    yield _row("2 GiB upload: MB/s", UPLOAD_BYTES / seconds / 1e6, "")
    api.post(made["failure_url"])


def _latency(server: Server, api: httpx.Client) -> Iterator[dict[str, object]]:
    """Status calls at a steady rate while a 1080p job renders."""
    shot = bring(api, "video", clips.clip("bill_cafe"), "video/mp4")
    voice = bring(api, "audio", clips.voice("en_librivox_dickens_104s.mp3"), "audio/mpeg")
    await_shot(api, shot["shot_id"], server)
    body = {"audio_id": voice["audio_id"], "output_filename": "x.mp4"}
    job_id = api.post(f"/v1/shots/{shot['shot_id']}/generate", json=body).json()["generate_id"]
    until(lambda: api.get(f"/api/jobs/{job_id}").json()["data"]["stage"] == "render", 120)
    path = f"/v1/shots/{shot['shot_id']}/generate/{job_id}"
    times = sorted(asyncio.run(_calls(server, path)))
    still = api.get(f"/api/jobs/{job_id}").json()["data"]["status"]
    assert still == "running", f"the render ended before the calls did ({still})"
    await_job(api, job_id)
    yield _row("status calls at 100/s while a job renders: median ms", 1000 * statistics.median(times), "")
    yield _row("status calls at 100/s while a job renders: p99 ms", 1000 * times[int(0.99 * len(times))], "50")


async def _calls(server: Server, path: str) -> list[float]:
    """Seconds of each call, counted from when it was due: a late start is latency, too.

    Spoken by hand over kept connections: a client library costs more than the server, on the machine that is measured.
    """
    request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {server.key}\r\n\r\n".encode()
    idle: dict[int, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = {port: [] for port in server.doors}

    async def ask(port: int) -> None:
        reader, writer = idle[port].pop(0) if idle[port] else await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))  # type: ignore[index]
        idle[port].append((reader, writer))

    async def call(number: int) -> float:
        due = origin + number / CALLS_PER_SECOND
        await asyncio.sleep(due - time.monotonic())
        await ask(server.doors[number % len(server.doors)])
        return time.monotonic() - due

    await asyncio.gather(*(ask(port) for port in server.doors))
    origin = time.monotonic() + 0.1
    return await asyncio.gather(*(call(n) for n in range(CALLS_PER_SECOND * CALLS_SECONDS)))


def _lists(server: Server, api: httpx.Client) -> Iterator[dict[str, object]]:
    """5,000 shots, straight into the tables, then read page by page."""
    with closing(sqlite3.connect(server.data / "lipsmith.db")) as database, database:
        shot = database.execute("SELECT * FROM shots LIMIT 1")
        names = [column[0] for column in shot.description]
        row = dict(zip(names, shot.fetchone(), strict=True))
        upload = database.execute("SELECT * FROM uploads WHERE id = ?", (row["video_id"],))
        upload_names = [column[0] for column in upload.description]
        file = dict(zip(upload_names, upload.fetchone(), strict=True))
        for number in range(SHOTS):
            file["id"] = row["video_id"] = f"00000000-0000-4000-8000-{number:012d}"
            file["object_key"] = f"1/video/none-{number}"
            row["id"] = 100_000 + number
            for into, values in (("uploads", file), ("shots", row)):
                marks = ", ".join("?" * len(values))
                database.execute(f"INSERT INTO {into} VALUES ({marks})", tuple(values.values()))
    times = []
    for page in range(1, SHOTS // PAGE + 1):
        started = time.monotonic()
        told = api.get(f"/v1/shots?page={page}&per_page={PAGE}").json()
        times.append(time.monotonic() - started)
        assert len(told["data"]) == PAGE
        assert told["count"] >= SHOTS
    yield _row("5,000 shots, pages of 100: slowest page ms", 1000 * max(times), "50")


def _drain(server: Server, api: httpx.Client) -> Iterator[dict[str, object]]:
    """1,000 jobs whose voice is deleted before their turn: the queue's own pace, in the order of priority."""
    shot = api.get("/v1/renders").json()["data"][0]["shot_id"]
    voice = bring(api, "audio", clips.voice("en_jfk_11s.flac"), "audio/flac")
    server.stop()
    server.start("--no-worker", ready=False)
    with server.caller() as own:
        for number in range(QUEUED):
            priority = PRIORITIES[number * 7 % len(PRIORITIES)]
            body = {"audio_id": voice["audio_id"], "output_filename": f"p{priority}", "priority": priority}
            assert own.post(f"/v1/shots/{shot}/generate", json=body).status_code == 201
    with closing(sqlite3.connect(server.data / "lipsmith.db")) as database, database:
        # Gone without the API's own clearing up, so that each job still has its turn and finds no voice.
        database.execute("UPDATE uploads SET deleted_at = created_at WHERE id = ?", (voice["audio_id"],))
    server.stop()
    started = time.monotonic()
    server.start()
    until(lambda: not _waiting(server), 900)
    seconds = time.monotonic() - started
    with closing(sqlite3.connect(server.data / "lipsmith.db")) as database:
        query = "SELECT output_filename FROM jobs WHERE status = 'skipped' ORDER BY ended_at, id"
        order = [int(name[1:]) for (name,) in database.execute(query)]
    assert len(order) == QUEUED
    yield _row("1,000 queued jobs: jobs/s", QUEUED / seconds, "")
    wrong = sum(a > b for a, b in zip(order, order[1:], strict=False))
    yield _row("1,000 queued jobs: out of the order of priority", float(wrong), "0")


def _waiting(server: Server) -> int:
    with closing(sqlite3.connect(server.data / "lipsmith.db")) as database:
        return int(database.execute("SELECT count(*) FROM jobs WHERE status = 'pending'").fetchone()[0])
