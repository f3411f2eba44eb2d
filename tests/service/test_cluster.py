"""Several machines: what only holds where processes share nothing but database and bucket. With `--backend cluster`."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import httpx
import pytest
from tests.service import crashes
from tests.service.cluster import Cluster
from tests.service.conftest import (
    FAST,
    FRAMES,
    Material,
    Ready,
    Server,
    await_job,
    await_shot,
    bring,
    generate,
    until,
)
from tests.synthetic import frame_hashes

MP4 = {"content-type": "video/mp4"}
LEASE_SECONDS = float(FAST["LIPSMITH_LEASE_SECONDS"])
# How long something is away: longer than a worker may be silent.
AWAY_SECONDS = pytest.mark.parametrize("seconds", [1.5 * LEASE_SECONDS, pytest.param(20.0, marks=pytest.mark.slow)])


@pytest.fixture(scope="module", autouse=True)
def cluster(backend: Cluster | None) -> Cluster:
    if backend is None:
        pytest.skip("one machine alone")
    return backend


def job_of(api: httpx.Client, job_id: int) -> dict:
    return api.get(f"/api/jobs/{job_id}").json()["data"]


def await_rendering(api: httpx.Client, job_id: int) -> None:
    until(lambda: job_of(api, job_id)["stage"] is not None, 120)


def test_an_upload_goes_on_at_another_server(server: Server, api: httpx.Client) -> None:
    made = api.post("/v1/video", json={"file_name": "a.mp4", "content_type": "video/mp4"}).json()["data"]
    data, path = bytes(range(256)) * 4000, httpx.URL(made["upload_url"]).path
    ends = [0, 300_000, 300_001, 900_000, len(data)]
    for number, (start, end) in enumerate(zip(ends, ends[1:], strict=False)):
        headers = MP4 | {"content-range": f"bytes {start}-{end - 1}/{len(data)}"}
        port = server.ports[number % 2]
        answer = httpx.put(f"http://127.0.0.1:{port}{path}", content=data[start:end], headers=headers)
        assert answer.status_code == (200 if end == len(data) else 308)
        assert answer.headers.get("range") == (None if end == len(data) else f"bytes=0-{end - 1}")
    assert server.cluster is not None
    assert f"1/video/{made['video_id']}" in server.objects()
    assert not server.half_done()


def test_a_url_of_one_server_is_good_at_another(server: Server, api: httpx.Client, ready: Ready) -> None:
    url = httpx.URL(api.get(f"/api/audio/{ready.audio_id}/media").json()["data"]["url"])
    contents = {httpx.get(url.copy_with(port=port)).content for port in server.ports}
    assert len(contents) == 1
    assert httpx.head(url).headers["content-length"] == str(len(contents.pop()))


def test_work_of_a_dead_worker_is_taken_over(server: Server, api: httpx.Client, ready: Ready) -> None:
    job_id = generate(api, ready)
    await_rendering(api, job_id)
    assert crashes.take_over(server, api, job_id) < 4 * LEASE_SECONDS  # the benchmark holds the closer bar
    await_job(api, job_id)


@AWAY_SECONDS
def test_a_store_that_is_away_loses_nothing(
    cluster: Cluster, server: Server, api: httpx.Client, ready: Ready, material: Material, seconds: float
) -> None:
    made = api.post("/v1/audio", json={"file_name": "a.wav", "content_type": "audio/wav"}).json()["data"]
    wav = {"content-type": "audio/wav"}
    job_id = generate(api, ready)
    await_rendering(api, job_id)
    cluster.store.stop()
    try:
        refused = httpx.put(made["upload_url"], content=b"abc", headers=wav, timeout=30)
        assert (refused.status_code, refused.json()) == (503, {"detail": "Service Unavailable"})
        assert int(refused.headers["retry-after"]) > 0
        assert httpx.get(f"{server.base}/api/health/ready", timeout=30).json()["checks"]["storage"] == "fail"
        assert api.get("/v1/whoami").status_code == 200
        time.sleep(seconds)
    finally:
        cluster.store.start()
    assert httpx.put(made["upload_url"], content=material.voice.read_bytes(), headers=wav).status_code == 200
    assert api.post(made["success_url"]).status_code == 200
    await_job(api, job_id)


@AWAY_SECONDS
def test_a_database_that_is_away_loses_nothing(
    cluster: Cluster, api: httpx.Client, ready: Ready, seconds: float
) -> None:
    job_id = generate(api, ready)
    await_rendering(api, job_id)
    cluster.postgres.stop()
    try:
        refused = api.get(f"/v1/renders/{job_id}/status")
        assert (refused.status_code, refused.json()) == (503, {"detail": "Service Unavailable"})
        time.sleep(seconds)
    finally:
        cluster.postgres.start()
    until(lambda: api.get("/v1/whoami").status_code == 200, 30)
    await_job(api, job_id)


@pytest.mark.slow
def test_a_long_render_is_shared_and_comes_out_as_one_workers(
    serve: Callable[..., Server], material: Material, tmp_path: Path
) -> None:
    server = serve(part_frames="100")
    with server.caller() as api:
        shot = bring(api, "video", repeated(material.video, tmp_path / "long.mp4", times=3), "video/mp4")
        voice = bring(api, "audio", material.voice, "audio/wav")
        made = Ready(shot["shot_id"], shot["video_id"], voice["audio_id"], shot["project_id"], shot["actor_id"])
        await_shot(api, made.shot_id, server)
        shared = await_job(api, generate(api, made))
        server.workers[1].send_signal(signal.SIGTERM)
        until(lambda: '"worker stopped"' in server.log.read_text(), 30)
        alone = await_job(api, generate(api, made))
        told = [api.get(f"/api/jobs/{job['generate_id']}/quality").json()["data"] for job in (shared, alone)]
        one, other = (frame_hashes(output_of(api, job["generate_id"], tmp_path)) for job in (shared, alone))
    steps = [json.loads(line) for line in server.log.read_text().splitlines() if '"step"' in line]
    done = [(step["step"], step["job_id"]) for step in steps if "job_id" in step]
    assert done.count(("render_part", shared["generate_id"])) == 2
    assert ("join", shared["generate_id"]) in done and ("join", alone["generate_id"]) not in done
    assert len(one) == 3 * FRAMES and one == other
    assert told[0]["frames_dubbed"] == told[1]["frames_dubbed"] > FRAMES
    assert not [key for key in server.objects() if "/parts/" in key]


def repeated(source: Path, out: Path, times: int) -> Path:
    """The pictures again and again, with a keyframe every forty."""
    with av.open(str(out), "w") as output:
        pictures = output.add_stream("libx264", rate=25, options={"g": "40"})
        assert isinstance(pictures, av.VideoStream)
        for turn in range(times):
            with av.open(str(source)) as container:
                shown = container.streams.video[0]
                if turn == 0:
                    pictures.width, pictures.height = shown.width, shown.height
                for number, frame in enumerate(container.decode(shown)):
                    frame.pts, frame.time_base = turn * FRAMES + number, Fraction(1, 25)
                    frame.pict_type = 0
                    output.mux(pictures.encode(frame))
        output.mux(pictures.encode(None))
    return out


def output_of(api: httpx.Client, job_id: int, folder: Path) -> Path:
    told = api.get(f"/v1/renders/{job_id}/download").json()["data"]
    path = folder / f"{job_id}.mp4"
    path.write_bytes(httpx.get(told["download_url"]).content)
    return path


@pytest.mark.slow
def test_servers_that_start_at_once_on_a_new_database(cluster: Cluster, server: Server, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    new = Server(tmp_path_factory.mktemp("many") / "data", cluster=cluster)
    every = [new.worker(1), new.worker(2)]
    with ThreadPoolExecutor() as threads:
        listed = list(threads.map(lambda _: new.lipsmith("keys", "list", "--json"), range(2)))
    assert listed == ["[]\n"] * 2
    try:
        new.start_api("--no-worker")
        new.await_health(True)
        assert all(one.poll() is None for one in every)
    finally:
        for one in every:
            one.send_signal(signal.SIGTERM)
            one.wait(30)
        new.stop()


@pytest.fixture(scope="module")
def empty(serve: Callable[..., Server]) -> Server:
    """Without workers: the tests below bring their own."""
    return serve("--no-worker", ready=False)


@pytest.fixture
def hire(empty: Server) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    hired: list[subprocess.Popen[str]] = []

    def one(**settings: str) -> subprocess.Popen[str]:
        hired.append(
            empty.worker(len(hired) + 1, **{f"LIPSMITH_{name.upper()}": text for name, text in settings.items()})
        )
        return hired[-1]

    yield one
    for worker in hired:
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)


@pytest.mark.slow
def test_stages_go_to_the_workers_of_their_kind_and_a_tenant_has_his_cap(
    empty: Server, hire: Callable[..., subprocess.Popen[str]], material: Material
) -> None:
    with empty.caller() as api:
        shot = bring(api, "video", material.video, "video/mp4")
        voice = bring(api, "audio", material.voice, "audio/wav")
        made = Ready(shot["shot_id"], shot["video_id"], voice["audio_id"], shot["project_id"], shot["actor_id"])

        def words() -> tuple[str, str]:
            told = api.get(f"/v1/shots/{made.shot_id}/status").json()["data"]
            return told["shot_status"], told["ai_training_status"]

        hire(queues="gpu", tenant_jobs="1")
        time.sleep(3)
        assert words() == ("not_started", "not_started")
        processors = hire(queues="cpu", tenant_jobs="1")
        until(lambda: words()[0] == "finished", 240, empty.log.read_text)
        await_shot(api, made.shot_id, empty)
        processors.send_signal(signal.SIGTERM)
        hire(queues="gpu", tenant_jobs="1")  # a second one, which the tenant's cap leaves idle
        until(lambda: empty.log.read_text().count('"worker started"') == 3, 60)
        first, second = (await_job(api, number) for number in [generate(api, made), generate(api, made)])
        assert first["started_at"] < first["ended_at"] <= second["started_at"]


def test_clients_and_the_store_deal_directly(serve: Callable[..., Server], material: Material) -> None:
    server = serve("--no-worker", ready=False, direct_object_urls="on")
    with server.caller() as api:
        body = {"file_name": "a.wav", "content_type": "audio/wav"}
        made = api.post("/v1/audio", json=body).json()["data"]
        assert server.cluster is not None
        assert made["upload_url"].startswith(server.cluster.store.endpoint)
        assert made["resumable"] is False
        policy = httpx.get(f"{server.base}/shots").headers["content-security-policy"]
        assert f"media-src 'self' {server.cluster.store.endpoint};" in policy
        assert api.post(made["success_url"]).status_code == 422  # nothing is there yet
        put = httpx.put(made["upload_url"], content=material.voice.read_bytes(), headers={"content-type": "audio/wav"})
        assert put.status_code == 200
        assert httpx.get(made["upload_url"]).status_code == 403
        assert api.post(made["success_url"]).status_code == 200
        url = api.get(f"/api/audio/{made['audio_id']}/media").json()["data"]["url"]
        assert url.startswith(server.cluster.store.endpoint)
        assert httpx.get(url).content == material.voice.read_bytes()
        small = api.post("/v1/audio", json={**body, "size_bytes": 3}).json()["data"]
        httpx.put(small["upload_url"], content=b"12345", headers={"content-type": "audio/wav"})
        assert api.post(small["success_url"]).status_code == 413
        assert f"1/audio/{small['audio_id']}" not in server.objects()
