"""Jobs as they run: progress, cancelling, stopping and starting again, what is reused and what deletion removes."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from tests.service.conftest import FRAMES, Material, Ready, Server, await_job, await_shot, bring, drop, generate, until

from lipsmith.client import AsyncClient, Client, DubFailed, LipsmithApiError


@pytest.fixture(scope="module")
def busy(serve: Callable[..., Server]) -> Server:
    """A server of their own: some of these tests stop it."""
    return serve()


@pytest.fixture(scope="module")
def owner(busy: Server) -> Iterator[httpx.Client]:
    with busy.caller() as client:
        yield client


@pytest.fixture(scope="module")
def learnt(owner: httpx.Client, busy: Server, material: Material) -> Ready:
    shot = bring(owner, "video", material.video, "video/mp4")
    voice = bring(owner, "audio", material.voice, "audio/wav")
    await_shot(owner, shot["shot_id"], busy)
    return Ready(shot["shot_id"], shot["video_id"], voice["audio_id"], shot["project_id"], shot["actor_id"])


def rendering() -> list[str]:
    found = subprocess.run(["pgrep", "-x", "lip render"], capture_output=True, text=True, check=False)
    return found.stdout.split()


def made_of(server: Server) -> set[str]:
    """What the engine keeps of shots, by the shot's content."""
    return {key.split("/")[2] for key in server.objects("1/made/")}


def await_running(owner: httpx.Client, job_id: int) -> None:
    until(lambda: owner.get(f"/api/jobs/{job_id}").json()["data"]["stage"] is not None, 60)


def test_progress_is_streamed_and_never_falls(owner: httpx.Client, learnt: Ready) -> None:
    job_id = generate(owner, learnt)
    seen: list[dict] = []
    ids: list[int] = []
    with owner.stream("GET", f"/api/jobs/{job_id}/events", timeout=120) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        for line in stream.iter_lines():
            if line.startswith("data:"):
                seen.append(json.loads(line[5:]))
            if line.startswith("id:"):
                ids.append(int(line[3:]))
    assert seen[-1]["status"] == "finished"
    progress = [one["progress"] for one in seen if one["status"] == "running"]
    assert progress == sorted(progress)
    assert len(progress) >= 2
    assert any(one["eta_seconds"] for one in seen)
    assert {"render"} <= {one["stage"] for one in seen}
    assert ids == list(range(1, len(ids) + 1))
    with owner.stream("GET", f"/api/jobs/{job_id}/events", headers={"last-event-id": "7"}) as stream:
        assert next(stream.iter_lines()) == "id: 8"


def test_a_server_that_does_not_judge_says_so(api: httpx.Client, finished: int) -> None:
    told = api.get(f"/api/jobs/{finished}/quality").json()["data"]
    assert told["judged"] == "off" and told["sync_confidence"] is None


def test_the_quality_of_a_dub_is_measured(owner: httpx.Client, busy: Server, learnt: Ready) -> None:
    busy.stop()
    busy.settings.update(LIPSMITH_MEASURE="on", LIPSMITH_PREVIEWS="on")
    busy.start()
    job_id = generate(owner, learnt)
    assert owner.get(f"/api/jobs/{job_id}/quality").status_code == 404
    await_job(owner, job_id)

    def measured() -> dict | None:
        told = owner.get(f"/api/jobs/{job_id}/quality").json()["data"]
        assert told["judged"] == ("waiting" if told["untouched_max_diff"] is None else "done")
        return told if told["judged"] == "done" else None

    told = until(measured, 120)
    busy.settings.clear()
    assert told["frames_total"] == FRAMES
    assert told["frames_dubbed"] > 0.9 * FRAMES
    assert told["same_file"] is True
    assert told["differences"] == []
    assert told["sync_offset_ms"] is not None
    assert 0.7 < told["identity_similarity"] < 1
    until(lambda: 'lipsmith_stage_seconds{stage="preview"}' in owner.get("/api/metrics").text, 60)
    metrics = owner.get("/api/metrics").text
    assert 'lipsmith_jobs{status="finished"}' in metrics
    assert 'lipsmith_stage_seconds{stage="render"}' in metrics
    assert 'lipsmith_stage_failures{stage="prepare"} 0.0' in metrics
    usage = owner.get("/api/usage").json()["data"]
    assert usage["renders"] >= 1
    assert usage["storage_bytes"] > 0


def test_cancelling_kills_within_a_second(owner: httpx.Client, busy: Server, learnt: Ready) -> None:
    job_id = generate(owner, learnt)
    await_running(owner, job_id)
    assert rendering()
    assert owner.post(f"/api/jobs/{job_id}/cancel").status_code == 202
    until(lambda: not rendering(), 1.0)
    until(lambda: not busy.half_done(), 5)
    await_job(owner, job_id, "cancelled")
    assert owner.get(f"/v1/renders/{job_id}/download").status_code == 400


def test_what_runs_goes_on_after_a_restart(busy: Server, owner: httpx.Client, learnt: Ready) -> None:
    job_id = generate(owner, learnt)
    await_running(owner, job_id)
    busy.stop()
    assert not rendering()
    busy.start()
    await_job(owner, job_id)


def test_an_equal_file_is_not_worked_on_twice(
    owner: httpx.Client, busy: Server, learnt: Ready, material: Material
) -> None:
    started = time.monotonic()
    shot = bring(owner, "video", material.video, "video/mp4", "again.mp4")
    await_shot(owner, shot["shot_id"], busy)
    assert time.monotonic() - started < 5
    assert len(made_of(busy)) == 1
    assert owner.delete(f"/api/shots/{shot['shot_id']}").status_code == 204
    assert len(made_of(busy)) == 1  # the first shot still needs it
    drop(owner, generate(owner, learnt))


def test_a_shot_without_a_face_fails_and_says_why(owner: httpx.Client, learnt: Ready, material: Material) -> None:
    from tests.synthetic import h264_mp4

    path = h264_mp4(material.video.with_name("nobody.mp4"))
    shot = bring(owner, "video", path, "video/mp4", "nobody.mp4")
    body = {"audio_id": learnt.audio_id, "output_filename": "x.mp4"}
    job_id = owner.post(f"/v1/shots/{shot['shot_id']}/generate", json=body).json()["generate_id"]

    def failed() -> dict | None:
        told = owner.get(f"/v1/shots/{shot['shot_id']}/status").json()["data"]
        return told if told["shot_status"] == "failed" else None

    told = until(failed, 60)
    assert told["ai_training_status"] == "not_started"
    assert told["failure_reason"].startswith("nobody.mp4: no face was found")
    assert await_job(owner, job_id, "failed")["failure_reason"].endswith(told["failure_reason"])
    assert owner.post(f"/v1/shots/{shot['shot_id']}/generate", json=body).status_code == 422


@pytest.mark.parametrize(
    ("options", "name", "download"),
    [
        ({"timecode_ranges": [[1, 2]]}, "part.mov", "part.mov"),
        ({"start_frame": 50, "loop_video": True}, "no extension", "no extension.mp4"),
        ({"full_resolution": False}, "preview.avi", "preview.avi"),
    ],
)
def test_options_of_the_picture(owner: httpx.Client, learnt: Ready, options: dict, name: str, download: str) -> None:
    job_id = generate(owner, learnt, name, **options)
    await_job(owner, job_id)
    url = owner.get(f"/v1/renders/{job_id}/download").json()["data"]["download_url"]
    assert f'filename="{download}"' in httpx.head(url).headers["content-disposition"]


def test_several_voices(owner: httpx.Client, learnt: Ready) -> None:
    body = {
        "output_filename": "several.mp4",
        "actors": [{"actor_id": learnt.actor_id, "audio_id": learnt.audio_id, "timecode_ranges": [[0, 1]]}],
        "soundtrack_audio_id": learnt.audio_id,
    }
    made = owner.post(f"/v1/shots/{learnt.shot_id}/generate-multi-actor", json=body)
    assert made.status_code == 201
    told = made.json()
    assert told["generate_id"] == told["data"]["generation_id"]
    await_job(owner, told["generate_id"])
    for wrong in (
        {**body, "actors": body["actors"] * 2},
        {**body, "actors": [{"actor_id": 999999, "audio_id": learnt.audio_id}]},
        {**body, "actors": []},
        {**body, "soundtrack_audio_id": "00000000-0000-0000-0000-000000000000"},
    ):
        answer = owner.post(f"/v1/shots/{learnt.shot_id}/generate-multi-actor", json=wrong)
        assert answer.status_code == 422


def test_the_client(busy: Server, learnt: Ready, material: Material) -> None:
    told: list[tuple[str, int, int]] = []
    out = material.video.with_name("dubbed.mp4")
    with Client(f"{busy.base}/v1", busy.key) as client:
        made = client.dub(material.video, material.voice, out, progress=lambda *one: told.append(one))
        assert made == out
        assert out.stat().st_size > 0
        assert {what.split()[0] for what, *_ in told} == {"upload", "shot", "dub", "download"}
        assert client.whoami().email == "owner@localhost"
        assert client.actors(learnt.shot_id)[0].thumbnail_url
        assert client.shots(per_page=1)[0]["shot_label"] == material.video.name
        job = client.generate(learnt.shot_id, learnt.audio_id, "x.mp4")
        client.cancel(job.generate_id)
        with pytest.raises(DubFailed, match="cancelled"):
            client.wait_for_job(job.generate_id)
        with pytest.raises(LipsmithApiError, match="audio_id") as refused:
            client.generate(learnt.shot_id, "nope", "x.mp4")
        assert refused.value.status == 422
        assert refused.value.request_id


def test_the_async_client(busy: Server, learnt: Ready, material: Material) -> None:
    import asyncio

    async def call() -> int:
        async with AsyncClient(busy.base, busy.key) as client:
            audio = await client.upload_audio(material.voice)
            job = await client.generate(learnt.shot_id, audio.audio_id, "x.mp4", timecode_ranges=[(0.0, 0.5)])
            await client.cancel(job.generate_id)
            return (await client.job(job.generate_id)).generate_id

    assert asyncio.run(call()) > 0


def test_deletion_removes_every_byte(owner: httpx.Client, busy: Server, learnt: Ready) -> None:
    """Last in this file: it deletes what the others used."""
    job_id = generate(owner, learnt)
    await_job(owner, job_id)
    assert busy.objects(f"1/job/{job_id}/")
    assert owner.delete(f"/api/jobs/{job_id}").status_code == 204
    assert not busy.objects(f"1/job/{job_id}/")
    assert owner.get(f"/v1/renders/{job_id}/status").json()["data"]["status"] == "finished"
    assert owner.get(f"/v1/renders/{job_id}/download").status_code == 404
    running = generate(owner, learnt)
    await_running(owner, running)
    assert owner.delete(f"/api/shots/{learnt.shot_id}").status_code == 409
    assert owner.delete(f"/api/shots/{learnt.shot_id}?force=true").status_code == 204
    await_job(owner, running, "cancelled")
    for row in owner.get("/v1/shots?per_page=100").json()["data"]:
        assert owner.delete(f"/api/shots/{row['shot_id']}?force=true").status_code == 204
    assert {key.split("/")[1] for key in busy.objects("1/")} <= {"audio"}


def test_what_was_cut_is_said_once(api: httpx.Client, ready: Ready, finished: int) -> None:
    told = generate(api, ready)
    foretold = api.get(f"/api/jobs/{told}").json()["data"]["warnings"]
    drop(api, told)
    assert [warning for warning in foretold if "will be cut" in warning]
    warnings = api.get(f"/api/jobs/{finished}").json()["data"]["warnings"]
    assert len([warning for warning in warnings if "longer than the video" in warning]) == 1
