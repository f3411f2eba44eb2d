"""The contract's §8, statement by statement: what the MCP server, the Ruby gem and the scripts send and read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.service.conftest import (
    Elsewhere,
    Material,
    Ready,
    Server,
    await_job,
    await_shot,
    bring,
    drop,
    generate,
    until,
)

INGEST_WORDS = {"ingesting", "dispatching", "dispatched", "failed"}
FAILURES = {"asset download failed", "render dispatch failed", "request timed out"}
JOB_WORDS = {"not_started", "pending", "running", "finished", "failed", "cancelled", "skipped"}
PATHS = ["/v1/whoami", "/v1/shots", "/v1/nowhere", "/v1", "/v1/renders/1/status", "/v1/video/status/x"]


# marzvfx/lipdub-mcp


@pytest.mark.parametrize("name", ["X-Api-Key", "x-api-key", "X-API-KEY"])
def test_01_the_key_header_in_any_case(server: Server, name: str) -> None:
    assert httpx.get(f"{server.base}/v1/whoami", headers={name: server.key}).status_code == 200


def test_02_every_answer_is_a_json_object(api: httpx.Client, ready: Ready, finished: int) -> None:
    paths = ["whoami", "shots", "projects", "audio", "renders", f"shots/{ready.shot_id}/status"]
    paths += [f"shots/{ready.shot_id}/actors", f"renders/{finished}/status", f"renders/{finished}/download"]
    for path in paths:
        answer = api.get(f"/v1/{path}")
        assert answer.status_code == 200
        assert "application/json" in answer.headers["content-type"]
        assert isinstance(answer.json(), dict)
    assert api.post(f"/v1/video/failure/{ready.video_id}").json() == {}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}, {"authorization": "Basic eDp5"}, {"x-api-key": ""}])
def test_03_a_bad_key_is_forbidden_on_every_path(server: Server, path: str, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{server.base}{path}", headers=headers)
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})


def test_04_whoami(api: httpx.Client) -> None:
    told = api.get("/v1/whoami").json()["data"]
    assert type(told["user_id"]) is int
    assert type(told["users_tenant_id"]) is int
    assert "@" in told["email"]


def test_05_a_render_by_ids(api: httpx.Client, ready: Ready) -> None:
    body = {"output_filename": "ids.mp4", "video_id": ready.shot_id, "audio_id": ready.audio_id}
    answer = api.post("/v1/renders", json=body)
    assert answer.status_code == 201
    told = answer.json()["data"]
    assert type(told["generate_id"]) is int
    drop(api, told["generate_id"])
    assert "tracking_id" not in told
    assert "credit" not in told  # 7


def test_06_and_08_a_render_by_urls(api: httpx.Client, elsewhere: Elsewhere, material: Material) -> None:
    elsewhere.files["/shot"] = (200, {"Content-Type": "video/mp4"}, material.video.read_bytes())
    elsewhere.files["/voice"] = (200, {"Content-Type": "application/octet-stream"}, material.voice.read_bytes())
    urls = {"video_url": f"{elsewhere.base}/shot", "audio_url": f"{elsewhere.base}/voice"}
    answer = api.post("/v1/renders", json={"output_filename": "by url.mp4", **urls})
    assert answer.status_code == 202
    tracking = answer.json()["data"]["tracking_id"]
    assert re.fullmatch(r"[0-9a-f-]{36}", tracking)
    words = set()

    def dispatched() -> dict | None:
        told = api.get(f"/v1/renders/track/{tracking}").json()["data"]
        words.add(told["status"])
        assert (told["generate_id"] is None) == (told["status"] != "dispatched")
        return told if told["status"] == "dispatched" else None

    told = until(dispatched, 60)
    assert words <= INGEST_WORDS
    assert told["failure_reason"] is None
    assert type(told["generate_id"]) is int
    job = api.get(f"/api/jobs/{told['generate_id']}").json()["data"]
    assert job["tracking_id"] == tracking
    drop(api, told["generate_id"])
    assert any(row["shot_label"] == "by url.mp4" for row in api.get("/v1/shots").json()["data"])


def test_09_a_failed_ingest_has_one_of_three_reasons(api: httpx.Client, ready: Ready, elsewhere: Elsewhere) -> None:
    elsewhere.files["/page"] = (200, {"Content-Type": "text/html"}, b"<html></html>")
    body = {"output_filename": "x.mp4", "video_url": f"{elsewhere.base}/page", "audio_id": ready.audio_id}
    tracking = api.post("/v1/renders", json=body).json()["data"]["tracking_id"]

    def failed() -> dict | None:
        told = api.get(f"/v1/renders/track/{tracking}").json()["data"]
        return told if told["status"] == "failed" else None

    assert until(failed, 30)["failure_reason"] == "asset download failed"


def test_10_and_15_a_job_reads_the_same_through_both_families(api: httpx.Client, ready: Ready, finished: int) -> None:
    one = api.get(f"/v1/renders/{finished}/status").json()["data"]
    other = api.get(f"/v1/shots/{ready.shot_id}/generate/{finished}").json()["data"]
    assert one == other == {"generate_id": finished, "status": "finished", "progress": 100, "failure_reason": None}
    for path in (f"/v1/renders/{finished}/download", f"/v1/shots/{ready.shot_id}/generate/{finished}/download"):
        assert api.get(path).json()["data"]["download_url"].startswith("http")


def test_12_download_before_the_end_is_400_and_nothing_else_is(api: httpx.Client, ready: Ready) -> None:
    job_id = generate(api, ready)
    answer = api.get(f"/v1/renders/{job_id}/download")
    drop(api, job_id)
    assert answer.status_code == 400
    assert re.fullmatch(rf"Render {job_id} is not finished \(status: \w+\)", answer.json()["detail"])


@pytest.mark.parametrize("path", ["999999/status", "x/status", "999999/download", "0/status"])
def test_13_an_unknown_render_is_404(api: httpx.Client, path: str) -> None:
    answer = api.get(f"/v1/renders/{path}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_13_lack_of_credit(serve: Callable[..., Server], material: Material) -> None:
    server = serve("--no-worker", ready=False, quota_minutes="0.05")
    with server.caller() as api:
        shot = bring(api, "video", material.video, "video/mp4")
        voice = bring(api, "audio", material.voice, "audio/wav")
        body = {"output_filename": "x.mp4", "video_id": shot["shot_id"], "audio_id": voice["audio_id"]}
        first = api.post("/v1/renders", json=body)
        assert first.status_code == 201
        assert isinstance(first.json()["data"]["credit"]["balance"], float)
        second = api.post("/v1/renders", json=body)
        assert (second.status_code, second.json()) == (403, {"detail": "Not enough credits"})


def test_14_the_list_of_renders(api: httpx.Client, finished: int) -> None:
    told = api.get("/v1/renders?page=1&page_size=50").json()
    ids = [row["generate_id"] for row in told["data"]]
    assert finished in ids
    assert ids == sorted(ids, reverse=True)
    assert len(ids) <= 50
    assert told["count"] >= len(ids)
    for row in told["data"]:
        assert type(row["generate_id"]) is int
        assert isinstance(row["shot_file_name"], str)
        assert row["render_generation_status"] in JOB_WORDS


def test_16_every_answer_carries_a_request_id(api: httpx.Client) -> None:
    assert api.get("/v1/whoami", headers={"x-request-id": "mine-1.2_3"}).headers["x-request-id"] == "mine-1.2_3"
    assert re.fullmatch(r"[0-9a-f-]{36}", api.get("/v1/nowhere").headers["x-request-id"])
    assert api.get("/v1/whoami", headers={"x-request-id": "no spaces"}).headers["x-request-id"] != "no spaces"
    assert api.get("/v1/whoami").headers["cache-control"] == "no-store"


def test_17_long_names(api: httpx.Client, ready: Ready) -> None:
    name = ("Übertragung é 日本 " * 20)[:196] + ".mp4"
    assert len(name) == 200
    drop(api, generate(api, ready, name))
    body = {"audio_id": ready.audio_id, "output_filename": "x" * 201}
    assert api.post(f"/v1/shots/{ready.shot_id}/generate", json=body).status_code == 422


# vbrazo/lipdub


def test_19_a_bearer_key(server: Server) -> None:
    for word in ("Bearer", "bearer", "BEARER"):
        answer = httpx.get(f"{server.base}/v1/whoami", headers={"Authorization": f"{word} {server.key}"})
        assert answer.status_code == 200
    both = {"Authorization": f"Bearer {server.key}", "x-api-key": "wrong"}
    assert httpx.get(f"{server.base}/v1/whoami", headers=both).status_code == 403


@pytest.mark.parametrize(
    "path", ["projects?page=1&per_page=20", "shots?page=1&per_page=20", "audio?page=1&page_size=10"]
)
def test_20_lists(api: httpx.Client, ready: Ready, path: str) -> None:
    told = api.get(f"/v1/{path}").json()
    assert type(told["count"]) is int
    assert told["data"]


@pytest.mark.parametrize(
    ("kind", "name", "content_type"),
    [
        ("video", "a.mp4", "video/mp4"),
        ("video", "a.mov", "video/quicktime"),
        ("video", "a.avi", "video/x-msvideo"),
        ("video", "a.webm", "video/webm"),
        ("video", "a.mkv", "video/x-matroska"),
        ("audio", "a.mp3", "audio/mpeg"),
        ("audio", "a.wav", "audio/wav"),
        ("audio", "a.m4a", "audio/mp4"),
    ],
)
def test_21_and_22_an_upload_without_a_key(api: httpx.Client, kind: str, name: str, content_type: str) -> None:
    made = api.post(f"/v1/{kind}", json={"size_bytes": 3, "file_name": name, "content_type": content_type})
    url = made.json()["data"]["upload_url"]
    assert url.startswith("http")
    put = httpx.put(url, content=b"abc", headers={"content-type": content_type})
    assert (put.status_code, put.content) == (200, b"")


def test_23_success_takes_any_empty_body(api: httpx.Client, ready: Ready) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    video = api.post(f"/v1/video/success/{ready.video_id}", headers=form, content=b"")
    assert video.json()["data"] == {"shot_id": ready.shot_id, "asset_type": "dubbing-video"}
    audio = api.post(f"/v1/audio/success/{ready.audio_id}", headers=form, content=b"")
    assert audio.json()["data"] == {"audio_id": ready.audio_id}


def test_24_failure_is_never_an_error_and_undoes_nothing(api: httpx.Client, ready: Ready) -> None:
    made = api.post("/v1/audio", json={"file_name": "a.mp3", "content_type": "audio/mpeg"}).json()["data"]
    for _ in range(2):
        answer = api.post(made["failure_url"])
        assert (answer.status_code, answer.json()) == (200, {})
    assert api.get(f"/v1/audio/status/{made['audio_id']}").json()["data"]["upload_status"] == "failed"
    assert api.post(f"/v1/video/failure/{ready.video_id}").status_code == 200
    assert api.get(f"/v1/video/status/{ready.video_id}").json()["data"]["upload_status"] == "completed"


def test_25_an_unknown_video_is_404(api: httpx.Client) -> None:
    assert api.get("/v1/video/status/nope").status_code == 404


def test_26_generate_with_every_option(api: httpx.Client, ready: Ready) -> None:
    body = {
        "audio_id": ready.audio_id,
        "output_filename": "all.mp4",
        "language": "en",
        "start_frame": 0,
        "loop_video": False,
        "full_resolution": True,
        "callback_url": "https://does-not-resolve.invalid/hook",
        "timecode_ranges": [[0, 1], [2, 3]],
    }
    answer = api.post(f"/v1/shots/{ready.shot_id}/generate", json=body)
    assert answer.status_code == 201, answer.text
    drop(api, answer.json()["generate_id"])


def test_27_the_generate_id_is_at_both_places(api: httpx.Client, ready: Ready) -> None:
    body = {"audio_id": ready.audio_id, "output_filename": "x.mp4"}
    told = api.post(f"/v1/shots/{ready.shot_id}/generate", json=body).json()
    assert told["generate_id"] == told["data"]["generate_id"]
    drop(api, told["generate_id"])
    assert type(told["generate_id"]) is int
    assert told["data"]["status"] == "not_started"


def test_28_completed_for_finished_in_one_call_alone(serve: Callable[..., Server], material: Material) -> None:
    server = serve(finished_word="completed", public_base_url="https://dub.example.com", callback_paths="absolute")
    with server.caller() as api:
        made = api.post("/v1/audio", json={"file_name": "a.mp3", "content_type": "audio/mpeg"}).json()["data"]
        assert made["success_url"].startswith("https://dub.example.com/v1/audio/success/")
        shot = api.post("/v1/video", json={"file_name": "a.mp4", "content_type": "video/mp4"}).json()["data"]
        path = shot["upload_url"].replace("https://dub.example.com", server.base)
        httpx.put(path, content=material.video.read_bytes(), headers={"content-type": "video/mp4"})
        shot_id = api.post(f"/v1/video/success/{shot['video_id']}").json()["data"]["shot_id"]
        voice = api.post("/v1/audio", json={"file_name": "a.wav", "content_type": "audio/wav"}).json()["data"]
        path = voice["upload_url"].replace("https://dub.example.com", server.base)
        httpx.put(path, content=material.voice.read_bytes(), headers={"content-type": "audio/wav"})
        api.post(f"/v1/audio/success/{voice['audio_id']}")
        ready = Ready(shot_id, shot["video_id"], voice["audio_id"], shot["project_id"], shot["actor_id"])
        job_id = generate(api, ready)  # before the training has ended
        assert api.get(f"/v1/renders/{job_id}/status").json()["data"]["status"] == "not_started"
        await_shot(api, shot_id, server)
        await_job(api, job_id)
        assert api.get(f"/v1/shots/{shot_id}/generate/{job_id}").json()["data"]["status"] == "completed"
        assert api.get(f"/v1/renders/{job_id}/status").json()["data"]["status"] == "finished"
        url = api.get(f"/v1/renders/{job_id}/download").json()["data"]["download_url"]
        assert url.startswith("https://dub.example.com/files/")


def test_29_a_plain_get_is_the_whole_file(server: Server, api: httpx.Client, finished: int, tmp_path: Path) -> None:
    url = api.get(f"/v1/renders/{finished}/download").json()["data"]["download_url"]
    answer = httpx.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    assert "speaker-es.mp4" in answer.headers["content-disposition"]
    assert len(answer.content) == int(answer.headers["content-length"])


def test_the_download_is_what_check_accepts(
    api: httpx.Client, finished: int, material: Material, server: Server, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(httpx.get(api.get(f"/v1/renders/{finished}/download").json()["data"]["download_url"]).content)
    told = server.lipsmith("check", str(material.video), str(out), "--json")
    assert '"passed": true' in told, told


def test_30_actors(api: httpx.Client, ready: Ready) -> None:
    told = api.get(f"/v1/shots/{ready.shot_id}/actors").json()
    assert told["count"] == len(told["data"]) == 1
    actor = told["data"][0]
    assert actor["actor_id"] == ready.actor_id
    assert actor["name"] == actor["actor_name"] == "Ada"
    picture = httpx.get(actor["thumbnail_url"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content[:3] == b"\xff\xd8\xff"


def test_31_translate_and_the_gems_multi_actor_body(api: httpx.Client, ready: Ready) -> None:
    answer = api.post(f"/v1/shots/{ready.shot_id}/translate", json={"target_language": "German"})
    assert answer.status_code == 501
    assert answer.json()["detail"].startswith("Translation is not available")
    assert api.post("/v1/shots/999999/translate").status_code == 404
    body = {"actors": [{"actor_id": 1, "voice_id": "v"}]}
    assert api.post(f"/v1/shots/{ready.shot_id}/generate-multi-actor", json=body).status_code == 422


def test_32_a_422_has_a_message(api: httpx.Client, ready: Ready) -> None:
    answer = api.post(f"/v1/shots/{ready.shot_id}/generate", json={"output_filename": "x"})
    assert answer.status_code == 422
    assert answer.json() == {
        "detail": [{"loc": ["body", "audio_id"], "msg": "Field required", "type": "missing"}],
        "message": "body.audio_id: Field required",
    }


# DavidSuperwave/stealthproject


def test_33_to_37_the_scripts_upload(api: httpx.Client, material: Material) -> None:
    body = {
        "file_name": "Shot.MP4",
        "content_type": "video/mp4",
        "project_name": "P",
        "scene_name": "S",
        "actor_name": "A",
    }
    made = api.post("/v1/video", json=body).json()["data"]
    assert made["success_url"].startswith("/v1/")
    assert made["failure_url"].startswith("/v1/")
    peers = {"project_id", "scene_id", "actor_id", "video_id", "upload_url", "success_url", "failure_url"}
    assert peers <= made.keys()
    nothing = {"shot_id": None, "upload_status": "uploading", "shot_status": None, "ai_training_status": None}
    assert api.get(f"/v1/video/status/{made['video_id']}").json()["data"] == nothing
    assert api.post(made["success_url"]).status_code == 422  # nothing is there yet

    def chunks() -> object:
        content = material.video.read_bytes()
        for at in range(0, len(content), 65536):
            yield content[at : at + 65536]

    assert httpx.put(made["upload_url"], content=chunks(), headers={"content-type": "video/mp4"}).status_code == 200
    answer = api.post(made["success_url"], headers={"content-length": "0"})
    assert type(answer.json()["data"]["shot_id"]) is int  # 39
    again = api.post(made["success_url"], headers={"content-type": "text/plain"})
    assert again.json() == answer.json()


@pytest.mark.parametrize(
    "given",
    [{"content_type": "audio/mpeg", "file_name": "audio.MP3"}, {"content_type": "audio/mp3", "file_name": "a.mp3"}],
)
def test_38_audio_types(api: httpx.Client, given: dict[str, str]) -> None:
    assert api.post("/v1/audio", json=given).status_code == 201


def test_41_the_scripts_generate(api: httpx.Client, ready: Ready, finished: int) -> None:
    record = api.get(f"/api/jobs/{finished}").json()["data"]
    assert record["options"]["language"] == "es-MX"
    assert record["options"]["maintain_expression"] is True
    assert api.get(f"/v1/shots/{ready.shot_id}/generate/{finished}/download").json()["data"]["download_url"]


def test_42_lists_without_parameters(api: httpx.Client, ready: Ready) -> None:
    assert type(api.get("/v1/audio").json()["count"]) is int
    shots = api.get("/v1/shots").json()
    assert type(shots["count"]) is int
    assert any(row["shot_id"] == ready.shot_id and row["shot_label"] == "speaker.mp4" for row in shots["data"])


def test_43_an_empty_body(api: httpx.Client, ready: Ready) -> None:
    answer = api.post(f"/v1/shots/{ready.shot_id}/generate", json={})
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], list)


def test_16_answers_come_at_once(api: httpx.Client, ready: Ready) -> None:
    started = time.monotonic()
    for _ in range(50):
        assert api.get(f"/v1/shots/{ready.shot_id}/status").status_code == 200  # never 429
    assert time.monotonic() - started < 30
