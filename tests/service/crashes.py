"""Kills at random moments, and what is true afterwards. `python -m tests.service.crashes KILLS SEED FOLDER` does many.

A client brings shots and voices, asks for dubs and waits for hooks, while server, worker, or both are killed with -9
again and again. Afterwards every accepted job has finished, nothing is there twice, no byte belongs to nobody.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import av
import httpx
from tests.service.conftest import Elsewhere, Server, until

from lipsmith.client import Client, LipsmithApiError
from lipsmith.service import previews

DUBS_OF_EACH = 2
LONGEST_BREATH_SECONDS = 6.0
FINISH_SECONDS = 900


@dataclass
class Story:
    """What the client was told."""

    shots: list[int] = field(default_factory=list)
    jobs: list[int] = field(default_factory=list)


def run(server: Server, elsewhere: Elsewhere, video: Path, voice: Path, folder: Path, kills: int, seed: int) -> Story:
    """Kill `kills` times, wait for the end, check. Raises AssertionError with what is not as it should be."""
    chance = random.Random(seed)
    story, done = Story(), threading.Event()
    working = threading.Thread(target=_live, args=(server, elsewhere, video, voice, folder, story, done))
    working.start()
    for _ in range(kills):
        time.sleep(chance.uniform(0.2, LONGEST_BREATH_SECONDS))
        _kill(server, chance.choice(("server", "worker", "both")))
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


def _kill(server: Server, what: str) -> None:
    assert server.process is not None
    if what == "worker":
        for pid in _workers(server.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return
    if what == "both":
        server.stop(signal.SIGKILL)
    else:
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        assert server.process.stdout is not None
        server.process.stdout.close()
    server.start(ready=False)


def _workers(parent: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in found.split()]


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
    """Files of the store that no row knows."""
    with contextlib.closing(sqlite3.connect(server.data / "lipsmith.db")) as database:
        uploads = {key for (key,) in database.execute("SELECT object_key FROM uploads WHERE received_bytes > 0")}
        outputs = {key for (key,) in database.execute("SELECT output_key FROM jobs")}
        made = {key for (key,) in database.execute("SELECT model_key FROM shots")}
    root = server.data / "objects" / "objects"
    names = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    known = uploads | outputs
    folders = made | {key.rpartition("/")[0] for key in outputs}
    seen = {f"{folder}/{name}" for folder in folders for name in (previews.PROXY, previews.NOTE, previews.CURVES)}
    lost = [name for name in names - known - seen if name.rpartition("/")[0] not in made]
    parts = server.data / "objects" / "parts"
    return lost + [str(path) for path in parts.rglob("*") if path.is_file()]


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
    server = Server(folder / "data")
    server.start()
    try:
        with listening() as elsewhere:
            story = run(server, elsewhere, folder / "shot.mp4", demo.path("voice"), folder, kills, seed)
    finally:
        server.stop()
    print(f"{kills} kills: {len(story.shots)} shots and {len(story.jobs)} dubs, all finished, none twice, no orphans")


if __name__ == "__main__":
    main()
