"""Kills at random moments, and what is true afterwards.

`python -m tests.service.crashes KILLS SEED FOLDER [cluster]` does many.

A client brings shots and voices, asks for dubs and waits for hooks, while server, worker, or both are killed with -9
again and again. Afterwards every accepted job has finished, nothing is there twice, no byte belongs to nobody.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import av
import httpx
from tests.service import cluster as clusters
from tests.service.conftest import Elsewhere, Server, until

from lipsmith.client import Client, LipsmithApiError
from lipsmith.service import previews

KINDS = ("worker", "worker", "server", "both")
DUBS_OF_EACH = 2
LONGEST_BREATH_SECONDS = 6.0
FINISH_SECONDS = 900


@dataclass
class Story:
    """What the client was told."""

    shots: list[int] = field(default_factory=list)
    jobs: list[int] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)


def run(server: Server, elsewhere: Elsewhere, video: Path, voice: Path, folder: Path, kills: int, seed: int) -> Story:
    """Kill `kills` times, wait for the end, check. Raises AssertionError with what is not as it should be."""
    chance = random.Random(seed)
    story, done = Story(), threading.Event()
    working = threading.Thread(target=_live, args=(server, elsewhere, video, voice, folder, story, done))
    working.start()
    for _ in range(kills):
        time.sleep(chance.uniform(0.2, LONGEST_BREATH_SECONDS))
        what = chance.choice(KINDS)
        _kill(server, what, chance)
        story.kills[what] += 1
    done.set()
    working.join(FINISH_SECONDS)
    assert not working.is_alive(), "the client did not come to its end"
    _check(server, elsewhere, story)
    return story


def _live(
    server: Server, elsewhere: Elsewhere, video: Path, voice: Path, folder: Path, story: Story, done: threading.Event
) -> None:
    """Bring and dub as long as there are kills; then wait for all of it."""
    number = 0
    with Client(server.base, server.key, timeout=20) as client:
        while not done.is_set() or not story.jobs:
            number += 1
            shot = _insisting(client.upload_video, variant(video, folder, number))
            story.shots.append(shot.shot_id)
            audio = _insisting(client.upload_audio, voice)
            for take in range(DUBS_OF_EACH):
                hook = f"{elsewhere.base}/crash"
                job = _insisting(client.generate, shot.shot_id, audio.audio_id, f"{take}.mp4", callback_url=hook)
                story.jobs.append(job.generate_id)
            with contextlib.suppress(TimeoutError):
                _insisting(client.wait_for_job, job.generate_id, timeout=20.0)
        for job_id in story.jobs:
            _insisting(client.wait_for_job, job_id, timeout=FINISH_SECONDS)


def _insisting(call, *given, **named):  # type: ignore[no-untyped-def]
    """The client's own retries are five; a server that is killed for minutes needs more of them."""
    while True:
        try:
            return call(*given, **named)
        except LipsmithApiError as error:
            if error.status not in (0, 502, 503, 504):
                raise


def variant(video: Path, folder: Path, number: int) -> Path:
    """The same pictures under another title: another file to the server."""
    out = folder / f"shot-{number}.mp4"
    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        target.metadata["title"] = f"take {number}"
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return out


def _kill(server: Server, what: str, chance: random.Random) -> None:
    """With -9, and started again; on a cluster `worker` and `server` are one of two."""
    if server.cluster is not None and what != "both":
        _kill_one(server, what, chance)
        return
    assert server.process is not None
    if what == "worker":
        for pid in children(server.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return
    if what == "both":
        server.stop(signal.SIGKILL)
    else:
        _end(server.process)
    server.start(ready=False)


def _kill_one(server: Server, what: str, chance: random.Random) -> None:
    if what == "worker":
        one = chance.randrange(len(server.workers))
        _end(server.workers[one])
        server.workers[one] = server.worker(one + 1)
        return
    assert server.process is not None
    _end(server.process)
    server.start_api("--no-worker")
    server.await_health(False)


def _end(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def take_over(server: Server, api: httpx.Client, job_id: int) -> float:
    """Kill the worker of a cluster that has a job in hand; seconds until another one has."""
    busy = until(lambda: [one for one in server.workers if tasks_of(one.pid)], 60)
    attempt = _attempt(server, job_id)
    _end(busy[0])
    killed = time.monotonic()
    until(lambda: _attempt(server, job_id) > attempt, 60, server.log.read_text)
    seconds = time.monotonic() - killed
    number = server.workers.index(busy[0])
    server.workers[number] = server.worker(number + 1)
    return seconds


def _attempt(server: Server, job_id: int) -> int:
    return int(server.rows(f"SELECT attempt FROM jobs WHERE id = {job_id}")[0][0])


def children(parent: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in found.split()]


def tasks_of(worker: int) -> list[int]:
    """The processes of what it has in hand: of the one that they were forked from."""
    return [task for child in children(worker) for task in children(child)]


def _check(server: Server, elsewhere: Elsewhere, story: Story) -> None:
    with server.caller() as api:
        shots, jobs = api.get("/v1/shots?per_page=100").json(), api.get("/v1/renders?page_size=100").json()
        assert sorted(row["shot_id"] for row in shots["data"]) == sorted(story.shots)
        assert sorted(row["generate_id"] for row in jobs["data"]) == sorted(story.jobs)
        assert {row["render_generation_status"] for row in jobs["data"]} == {"finished"}
        for job_id in story.jobs:
            url = api.get(f"/v1/renders/{job_id}/download").json()["data"]["download_url"]
            assert httpx.head(url).status_code == 200
    until(lambda: len(_told(elsewhere, story)) == len(story.jobs), 60, lambda: _told(elsewhere, story))
    assert all(len(ids) == 1 for ids in _told(elsewhere, story).values()), "an event was made twice"
    until(lambda: not _orphans(server), 30, lambda: _orphans(server))


def _told(elsewhere: Elsewhere, story: Story) -> dict[int, set[str]]:
    """The ids of the events of each job."""
    found: dict[int, set[str]] = {}
    for one in elsewhere.hooks("/crash"):
        job_id = httpx.Response(200, content=one.body).json()["data"]["generate_id"]
        if job_id in story.jobs:
            found.setdefault(job_id, set()).add(one.headers["webhook-id"])
    return found


def _orphans(server: Server) -> list[str]:
    """Objects that no row knows, and what is half done."""
    uploads = {key for (key,) in server.rows("SELECT object_key FROM uploads WHERE received_bytes > 0")}
    outputs = {key for (key,) in server.rows("SELECT output_key FROM jobs")}
    made = {key for (key,) in server.rows("SELECT model_key FROM shots")}
    folders = made | {key.rpartition("/")[0] for key in outputs}
    seen = {f"{folder}/{name}" for folder in folders for name in (previews.PROXY, previews.NOTE, previews.CURVES)}
    lost = [key for key in set(server.objects()) - uploads - outputs - seen if key.rpartition("/")[0] not in made]
    return lost + server.half_done()


def main() -> None:
    from tests.service.conftest import listening

    from lipsmith.config import Settings
    from lipsmith.demo import MATERIAL, make_shot
    from lipsmith.engine.progress import silent
    from lipsmith.weights import WeightStore

    kills, seed, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store = WeightStore(Settings.from_environment().models_folder)
    demo = WeightStore(store.folder / "demo", artefacts=MATERIAL)
    make_shot(folder / "shot.mp4", demo, store, silent, frame_count=50)
    with contextlib.ExitStack() as standing:
        cluster = standing.enter_context(clusters.started()) if sys.argv[4:] == ["cluster"] else None
        elsewhere = standing.enter_context(listening())
        server = Server(folder / "data", cluster=cluster)
        standing.callback(server.stop)
        server.start()
        story = run(server, elsewhere, folder / "shot.mp4", demo.path("voice"), folder, kills, seed)
    told = ", ".join(f"{count} of {kind}" for kind, count in sorted(story.kills.items()))
    print(f"{kills} kills ({told}): {len(story.shots)} shots and {len(story.jobs)} dubs")
    print("all finished, none twice, no orphan")


if __name__ == "__main__":
    main()
