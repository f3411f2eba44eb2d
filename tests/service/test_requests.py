"""Options, ranges, pages and keys: what is accepted and what is refused, without a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.service.conftest import Material, Ready, Server, bring


@pytest.fixture(scope="module")
def idle(serve: Callable[..., Server]) -> Server:
    """A server without a worker: jobs stay as they were made."""
    return serve("--no-worker", ready=False, rate_limit_uploads="60/hour")


@pytest.fixture(scope="module")
def quiet(idle: Server) -> Iterator[httpx.Client]:
    with idle.caller() as client:
        yield client


@pytest.fixture(scope="module")
def waiting(quiet: httpx.Client, material: Material) -> Ready:
    """A shot that will not be worked on, and a voice."""
    shot = bring(quiet, "video", material.video, "video/mp4")
    voice = bring(quiet, "audio", material.voice, "audio/wav")
    return Ready(shot["shot_id"], shot["video_id"], voice["audio_id"], shot["project_id"], shot["actor_id"])


def ask(quiet: httpx.Client, waiting: Ready, **options: Any) -> httpx.Response:
    body = {"audio_id": waiting.audio_id, "output_filename": "x.mp4", **options}
    return quiet.post(f"/v1/shots/{waiting.shot_id}/generate", json=body)


@pytest.mark.parametrize(
    "options",
    [
        {"timecode_ranges": [[0, 1], [2, 3]]},
        {"timecode_ranges": [[2, 3], [0, 1], [1, 2]]},  # any order; touching
        {"timecode_ranges": [["00:00:00:00", "00:00:01:00"]]},
        {"timecode_ranges": [[3.0, 3.22]]},  # half a frame past the end
        {"timecode_ranges": []},
        {"timecode_ranges": None, "start_frame": 5},
        {"segments": [{"start": 0, "end": 1}]},
        {"loop_video": True},
        {"full_resolution": False},
        {"callback_url": "https://no-such-name.invalid/x"},
        {"unknown": 1, "codec": "h264"},
        {"language": "x" * 64},
    ],
)
def test_options_that_are_accepted(quiet: httpx.Client, waiting: Ready, options: dict) -> None:
    answer = ask(quiet, waiting, **options)
    assert answer.status_code == 201, answer.text
    assert answer.json()["data"]["status"] == "not_started"


@pytest.mark.parametrize(
    "options",
    [
        {"timecode_ranges": [[1, 1]]},
        {"timecode_ranges": [[2, 1]]},
        {"timecode_ranges": [[0, 2], [1, 3]]},
        {"timecode_ranges": [[0, "00:00:01:00"]]},
        {"timecode_ranges": [["0.5", "1.5"]]},
        {"timecode_ranges": [[0, 1, 2]]},
        {"timecode_ranges": [[-1, 1]]},
        {"timecode_ranges": [[True, 2]]},
        {"timecode_ranges": [[0, 3.25]]},
        {"timecode_ranges": [["00:00:00;00", "00:00:01;00"]]},  # drop-frame at 25
        {"timecode_ranges": [["00:00:00:25", "00:00:02:00"]]},
        {"timecode_ranges": [[0, 1]] * 1001},
        {"timecode_ranges": [[0, 1]], "segments": [{"start": 0, "end": 1}]},
        {"timecode_ranges": [[0, 1]], "start_frame": 1},
        {"timecode_ranges": [[0, 1]], "loop_video": True},
        {"segments": [{"start": 0}]},
        {"start_frame": 80},
        {"start_frame": -1},
        {"start_frame": 1.5},
        {"loop_video": "yes"},
        {"audio_id": "nope"},
        {"audio_id": "00000000-0000-0000-0000-000000000000"},
        {"output_filename": "   "},
        {"language": "x" * 65},
        {"callback_url": "http://example.com/"},
        {"callback_url": "https://user:pw@example.com/"},
        {"callback_url": "https://" + "x" * 2050},
        {"callback_url": "https://10.0.0.1/"},
    ],
)
def test_options_that_are_refused(quiet: httpx.Client, waiting: Ready, options: dict) -> None:
    answer = ask(quiet, waiting, **options)
    assert answer.status_code == 422, answer.text
    told = answer.json()
    assert isinstance(told["detail"], list)
    assert told["message"].startswith("body.")


def test_ignored_fields_are_named(quiet: httpx.Client, waiting: Ready) -> None:
    told = ask(quiet, waiting, loop_count=2, codec="h264", nothing=1).json()["data"]["warnings"]
    assert any("loop_count" in warning for warning in told)
    assert any("codec" in warning for warning in told)
    assert not any("nothing" in warning for warning in told)


def test_a_voice_of_another_length_is_told(quiet: httpx.Client, waiting: Ready) -> None:
    told = ask(quiet, waiting).json()["data"]["warnings"]
    assert any("longer than the video" in warning for warning in told)


@pytest.mark.parametrize("query", ["page=0", "page=x", "per_page=0", "per_page=101", "page_size=101", "page="])
@pytest.mark.parametrize("path", ["shots", "projects", "audio", "renders"])
def test_pages_that_are_refused(quiet: httpx.Client, path: str, query: str) -> None:
    answer = quiet.get(f"/v1/{path}?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "query"


def test_pages(quiet: httpx.Client, waiting: Ready) -> None:
    for _ in range(3):
        ask(quiet, waiting)
    both = quiet.get("/v1/renders?page=1&page_size=2").json()
    assert len(both["data"]) == 2
    assert both["count"] >= 3
    assert len(quiet.get("/v1/renders?per_page=1&page_size=2").json()["data"]) == 2  # the native name wins
    past = quiet.get("/v1/renders?page=1000").json()
    assert (past["data"], past["count"]) == ([], both["count"])
    first = quiet.get("/v1/renders?page=1&per_page=1").json()["data"]
    second = quiet.get("/v1/renders?page=2&per_page=1").json()["data"]
    assert first[0]["generate_id"] > second[0]["generate_id"]


@pytest.mark.parametrize("change", [{"video_id": None}, {"audio_id": None}, {"video_url": "https://example.com/"}, {}])
def test_a_render_names_exactly_one_of_each(quiet: httpx.Client, waiting: Ready, change: dict) -> None:
    body = {"output_filename": "x.mp4", "video_id": waiting.shot_id, "audio_id": waiting.audio_id, **change}
    assert quiet.post("/v1/renders", json=body).status_code == (422 if change else 201)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "projects"), ("PUT", "shots"), ("DELETE", "shots/1/status"), ("PATCH", "whoami"), ("GET", "video")],
)
def test_a_wrong_method_is_404(quiet: httpx.Client, method: str, path: str) -> None:
    answer = quiet.request(method, f"/v1/{path}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_head_and_a_trailing_slash(quiet: httpx.Client, waiting: Ready) -> None:
    head = quiet.head("/v1/whoami")
    assert (head.status_code, head.content) == (200, b"")
    assert quiet.get("/v1/whoami/").json() == quiet.get("/v1/whoami").json()
    assert quiet.get(f"/v1/shots/{waiting.shot_id}/status/").status_code == 200


def test_idempotency(quiet: httpx.Client, waiting: Ready) -> None:
    body = {"audio_id": waiting.audio_id, "output_filename": "once.mp4"}
    path, key = f"/v1/shots/{waiting.shot_id}/generate", {"idempotency-key": "my-1"}
    first, again = quiet.post(path, json=body, headers=key), quiet.post(path, json=body, headers=key)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert quiet.post(path, json={**body, "language": "de"}, headers=key).status_code == 422
    assert quiet.post(path, json=body, headers={"idempotency-key": "my-2"}).json() != first.json()
    assert quiet.post(path, json=body, headers={"idempotency-key": "x" * 256}).status_code == 422


def test_a_refused_request_may_be_repeated_with_its_key(quiet: httpx.Client, waiting: Ready) -> None:
    path, key = f"/v1/shots/{waiting.shot_id}/generate", {"idempotency-key": "my-3"}
    assert quiet.post(path, json={}, headers=key).status_code == 422
    body = {"audio_id": waiting.audio_id, "output_filename": "x.mp4"}
    assert quiet.post(path, json=body, headers=key).status_code == 201


def test_another_tenants_objects_do_not_exist(idle: Server, quiet: httpx.Client, waiting: Ready) -> None:
    job_id = ask(quiet, waiting).json()["generate_id"]
    key = idle.lipsmith("keys", "create", "other@example.com").strip()
    with idle.caller(key) as other:
        assert other.get("/v1/whoami").json()["data"]["email"] == "other@example.com"
        for path in (
            f"/v1/shots/{waiting.shot_id}/status",
            f"/v1/shots/{waiting.shot_id}/actors",
            f"/v1/video/status/{waiting.video_id}",
            f"/v1/audio/status/{waiting.audio_id}",
            f"/v1/renders/{job_id}/status",
            f"/v1/renders/{job_id}/download",
            f"/v1/shots/{waiting.shot_id}/generate/{job_id}",
        ):
            assert other.get(path).status_code == 404, path
        for path in (f"/api/jobs/{job_id}", f"/api/jobs/{job_id}/quality"):
            assert other.get(path).status_code == 404, path
        assert other.post(f"/v1/video/success/{waiting.video_id}").status_code == 404
        assert other.post(f"/api/jobs/{job_id}/cancel").status_code == 404
        assert other.delete(f"/api/shots/{waiting.shot_id}").status_code == 404
        assert other.delete(f"/api/audio/{waiting.audio_id}").status_code == 404
        for path in ("shots", "audio", "renders", "projects"):
            assert other.get(f"/v1/{path}").json() == {"data": [], "count": 0}
        body = {"output_filename": "x.mp4", "video_id": waiting.shot_id, "audio_id": waiting.audio_id}
        assert other.post("/v1/renders", json=body).status_code == 422


def test_keys(idle: Server) -> None:
    key = idle.lipsmith("keys", "create", "third@example.com").strip()
    assert key.startswith("lsk_")
    assert key[:10] in idle.lipsmith("keys", "list")
    assert key not in idle.lipsmith("keys", "list", "--json")
    with idle.caller(key) as api:
        assert api.get("/v1/whoami").status_code == 200
        assert "1 revoked" in idle.lipsmith("keys", "revoke", key[:10])
        assert api.get("/v1/whoami").status_code == 403
    assert "error[bad_request]" in idle.lipsmith("keys", "revoke", key[:10])
    assert key not in str(idle.rows("SELECT * FROM keys"))


def test_the_rate_limit(idle: Server) -> None:
    key = idle.lipsmith("keys", "create", "fast@example.com").strip()
    body = {"file_name": "a.mp3", "content_type": "audio/mpeg"}
    with idle.caller(key) as api:
        assert {api.post("/v1/audio", json=body).status_code for _ in range(60)} == {201}
        refused = api.post("/v1/audio", json=body)
        assert (refused.status_code, refused.json()) == (429, {"detail": "Too Many Requests"})
        assert int(refused.headers["retry-after"]) > 0
        assert api.get("/v1/audio").status_code == 200


def test_cancel_retry_and_the_owners_commands(idle: Server, quiet: httpx.Client, waiting: Ready) -> None:
    job_id = ask(quiet, waiting).json()["generate_id"]
    assert quiet.post(f"/api/jobs/{job_id}/retry").status_code == 409
    for _ in range(2):
        answer = quiet.post(f"/api/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["data"]["status"]) == (202, "cancelled")
    again = quiet.post(f"/api/jobs/{job_id}/retry")
    assert again.status_code == 201
    new = again.json()["data"]["generate_id"]
    assert new > job_id
    assert f'"generate_id": {new}' in idle.lipsmith("jobs", "show", str(new), "--json")
    assert "cancelled" in idle.lipsmith("jobs", "cancel", str(new))
    assert "not_started" in idle.lipsmith("jobs", "retry", str(new))
    assert str(new) in idle.lipsmith("jobs", "list")
    assert "error[bad_request]" in idle.lipsmith("jobs", "show", "999999")


def test_deleting(quiet: httpx.Client, idle: Server, material: Material) -> None:
    shot = bring(quiet, "video", material.video, "video/mp4")
    voice = bring(quiet, "audio", material.voice, "audio/wav")
    made = Ready(shot["shot_id"], shot["video_id"], voice["audio_id"], shot["project_id"], shot["actor_id"])
    one, other = ask(quiet, made).json()["generate_id"], ask(quiet, made).json()["generate_id"]
    assert {f"1/audio/{made.audio_id}", f"1/video/{made.video_id}"} <= set(idle.objects())
    assert quiet.delete(f"/api/audio/{made.audio_id}").status_code == 204
    assert f"1/audio/{made.audio_id}" not in idle.objects()
    assert quiet.get(f"/v1/renders/{one}/status").json()["data"]["status"] == "skipped"
    assert quiet.get(f"/v1/audio/status/{made.audio_id}").status_code == 404
    assert quiet.delete(f"/api/projects/{made.project_id}").status_code == 204
    assert f"1/video/{made.video_id}" not in idle.objects()
    assert quiet.get(f"/v1/shots/{made.shot_id}/status").status_code == 404
    assert quiet.get(f"/v1/renders/{other}/status").status_code == 200
    assert quiet.delete(f"/api/shots/{made.shot_id}").status_code == 404


def test_problems_of_api(quiet: httpx.Client, idle: Server) -> None:
    answer = quiet.get("/api/jobs/999999")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 404
    assert httpx.get(f"{idle.base}/api/jobs/1").json() == {"message": "Forbidden"}
    assert httpx.get(f"{idle.base}/api/health/live").json() == {"status": "ok"}
    ready = httpx.get(f"{idle.base}/api/health/ready")
    assert (ready.status_code, ready.json()["checks"]) == (503, {"database": "ok", "storage": "ok", "workers": "fail"})
    assert quiet.get("/api/metrics").text.startswith("# HELP")
    assert quiet.get("/api/usage").json()["data"]["renders"] == 0
