"""Events reach their receivers, signed, in order, again where refused: the contract's §5."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from standardwebhooks import Webhook
from tests.service.conftest import Elsewhere, Material, Ready, Server, await_job, drop, generate, until


@pytest.fixture
def hook(api: httpx.Client, elsewhere: Elsewhere) -> Iterator[str]:
    """The tenant's webhook, for all events; its secret is in no answer but the first."""
    yield f"{elsewhere.base}/hook"
    api.delete("/api/webhook")


def choose(api: httpx.Client, url: str, **more: object) -> dict:
    answer = api.put("/api/webhook", json={"url": url, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def of_job(elsewhere: Elsewhere, path: str, job_id: int) -> list[dict]:
    bodies = [json.loads(one.body) for one in elsewhere.hooks(path)]
    return [body for body in bodies if body["data"].get("generate_id") == job_id]


def test_the_settings(api: httpx.Client, hook: str) -> None:
    made = choose(api, hook, bearer_key="token-1", events=["TRAINING_COMPLETE"])
    assert made["secret"].startswith("whsec_")
    told = api.get("/api/webhook").json()["data"]
    assert told == {"url": hook, "events": ["TRAINING_COMPLETE"], "enabled": True}
    assert "secret" not in choose(api, hook)
    assert api.post("/api/webhook/rotate-secret").json()["data"]["secret"] != made["secret"]
    for bad in (
        {"events": ["NOPE"]},
        {"url": "https://10.0.0.1/"},
        {"url": "http://example.com/"},
        {"bearer_key": "a b"},
    ):
        assert api.put("/api/webhook", json={"url": hook, **bad}).status_code == 422


def test_a_finished_dub_is_told_and_signed(api: httpx.Client, hook: str, ready: Ready, elsewhere: Elsewhere) -> None:
    secret = choose(api, hook, bearer_key="token-1")["secret"]
    job_id = generate(api, ready, "told.mp4")
    await_job(api, job_id)
    until(lambda: of_job(elsewhere, "/hook", job_id), 20)
    one = next(r for r in elsewhere.hooks("/hook") if json.loads(r.body)["data"]["generate_id"] == job_id)
    assert one.headers["x-lipdub-event"] == "VIDEO_RENDER_COMPLETE"
    assert one.headers["content-type"] == "application/json"
    assert one.headers["authorization"] == "Bearer token-1"
    Webhook(secret).verify(one.body, one.headers)
    told = json.loads(one.body)
    assert told["event_type"] == "VIDEO_RENDER_COMPLETE"
    data = told["data"]
    assert {"generate_id", "shot_id", "status", "output_filename", "download_url", "failure_reason"} == data.keys()
    assert (data["status"], data["failure_reason"], data["output_filename"]) == ("finished", None, "told.mp4")


def test_a_failure_is_told_and_a_refusal_tried_again(
    api: httpx.Client, hook: str, ready: Ready, elsewhere: Elsewhere
) -> None:
    choose(api, hook)
    elsewhere.answers["/own"] = [500, 302, 200]
    job_id = generate(api, ready, "x.mp4", callback_url=f"{elsewhere.base}/own")
    drop(api, job_id)
    until(lambda: len(of_job(elsewhere, "/own", job_id)) == 3, 20)
    tries = [r for r in elsewhere.hooks("/own") if json.loads(r.body)["data"]["generate_id"] == job_id]
    assert len({one.headers["webhook-id"] for one in tries}) == 1
    assert len({one.body for one in tries}) == 1
    assert all("authorization" not in one.headers for one in tries)
    assert json.loads(tries[0].body)["data"]["status"] == "cancelled"
    assert tries[0].headers["x-lipdub-event"] == "RENDER_PROCESSING_FAILED"
    time.sleep(0.5)
    assert not of_job(elsewhere, "/hook", job_id)  # the job's own URL wins over the tenant's


def test_a_dead_letter_is_listed_and_replayed(api: httpx.Client, ready: Ready, elsewhere: Elsewhere) -> None:
    elsewhere.answers["/dead"] = [500] * 4
    drop(api, generate(api, ready, "x.mp4", callback_url=f"{elsewhere.base}/dead"))

    def dead() -> list[dict]:
        rows = api.get("/api/webhook/deliveries?state=dead").json()["data"]
        return [row for row in rows if row["url"].endswith("/dead")]

    row = until(dead, 20)[0]
    assert (row["attempts"], row["last_status"]) == (4, 500)
    assert len(elsewhere.hooks("/dead")) == 4
    assert api.post(f"/api/webhook/deliveries/{row['webhook_id']}/replay").status_code == 202
    until(lambda: len(elsewhere.hooks("/dead")) == 5, 20)
    assert len({one.headers["webhook-id"] for one in elsewhere.hooks("/dead")}) == 1
    assert api.post("/api/webhook/deliveries/msg_nope/replay").status_code == 404


def test_events_of_a_shot_come_in_order(
    api: httpx.Client, hook: str, material: Material, elsewhere: Elsewhere, server: Server
) -> None:
    """The same file again: it is not worked on a second time."""
    from tests.service.conftest import await_shot, bring

    chosen = ["PREPROCESSING_COMPLETE", "TRAINING_COMPLETE", "FILE_UPLOAD_COMPLETE", "FILE_UPLOAD_FAILED"]
    choose(api, hook, events=chosen)
    elsewhere.answers["/hook"] = [500]
    shot = bring(api, "video", material.video, "video/mp4")
    await_shot(api, shot["shot_id"], server)

    def told() -> list[str]:
        bodies = [json.loads(one.body) for one in elsewhere.hooks("/hook")]
        return [body["event_type"] for body in bodies if body["data"].get("shot_id") == shot["shot_id"]]

    until(lambda: told()[-1:] == ["TRAINING_COMPLETE"], 20)
    assert list(dict.fromkeys(told())) == ["PREPROCESSING_COMPLETE", "TRAINING_COMPLETE"]
    uploads = [json.loads(one.body) for one in elsewhere.hooks("/hook") if b"FILE_UPLOAD_COMPLETE" in one.body]
    assert uploads[-1]["data"]["video_id"] == shot["video_id"]


def test_a_failed_ingest_is_told(api: httpx.Client, hook: str, ready: Ready, elsewhere: Elsewhere) -> None:
    choose(api, hook)
    body = {"output_filename": "x.mp4", "video_url": f"{elsewhere.base}/nothing", "audio_id": ready.audio_id}
    tracking = api.post("/v1/renders", json=body).json()["data"]["tracking_id"]

    def told() -> list[dict]:
        bodies = [json.loads(one.body) for one in elsewhere.hooks("/hook")]
        return [body for body in bodies if body["data"].get("tracking_id") == tracking]

    data = until(told, 30)[0]["data"]
    assert (data["generate_id"], data["shot_id"], data["status"]) == (None, None, "failed")
    assert data["failure_reason"] == "asset download failed"


def test_the_owner_can_test_a_webhook(api: httpx.Client, hook: str, server: Server, elsewhere: Elsewhere) -> None:
    choose(api, hook)
    assert '"delivered": true' in server.lipsmith("webhooks", "test", "--json")
    assert any(b'"TEST"' in one.body for one in elsewhere.hooks("/hook"))


# Addresses that are not called


FORBIDDEN = [
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://0.0.0.0/",
    "https://169.254.169.254/latest/meta-data/",
    "https://10.1.2.3/",
    "https://192.168.0.1/",
    "https://100.64.0.1/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://localhost/",
    "https://224.0.0.1/",
]


@pytest.fixture(scope="module")
def strict(serve: Callable[..., Server]) -> Server:
    """A server that may call public addresses alone."""
    return serve(url_allow_hosts=" ")


@pytest.mark.parametrize("url", FORBIDDEN)
def test_addresses_that_are_refused_at_once(strict: Server, url: str) -> None:
    with strict.caller() as api:
        for kind, field in (("video", "video_source_url"), ("audio", "audio_source_url")):
            body = {"file_name": f"a.{'mp4' if kind == 'video' else 'wav'}", field: url}
            body["content_type"] = "video/mp4" if kind == "video" else "audio/wav"
            assert api.post(f"/v1/{kind}", json=body).status_code == 422
        assert api.put("/api/webhook", json={"url": url}).status_code == 422
        both = {"output_filename": "x", "video_url": url, "audio_url": "https://example.com/a.wav"}
        assert api.post("/v1/renders", json=both).status_code == 422


def test_a_redirect_to_a_forbidden_address_is_not_followed(
    api: httpx.Client, ready: Ready, elsewhere: Elsewhere
) -> None:
    elsewhere.files["/jump"] = (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b"")
    elsewhere.files["/round"] = (302, {"Location": f"{elsewhere.base}/round"}, b"")
    elsewhere.files["/file"] = (302, {"Location": "file:///etc/passwd"}, b"")
    for path in ("/jump", "/round", "/file"):
        body = {"file_name": "a.mp4", "content_type": "video/mp4", "video_source_url": f"{elsewhere.base}{path}"}
        made = api.post("/v1/video", json=body).json()["data"]
        assert made["upload_url"] is None

        def failed(video_id: str = made["video_id"]) -> bool:
            return api.get(f"/v1/video/status/{video_id}").json()["data"]["upload_status"] == "failed"

        until(failed, 30)


def test_a_source_url_becomes_a_shot(api: httpx.Client, elsewhere: Elsewhere, material: Material) -> None:
    elsewhere.files["/movie"] = (200, {"Content-Type": "video/mp4"}, material.video.read_bytes())
    elsewhere.files["/there"] = (302, {"Location": "/movie"}, b"")
    body = {"file_name": "a.mp4", "content_type": "video/mp4", "video_source_url": f"{elsewhere.base}/there"}
    made = api.post("/v1/video", json=body).json()["data"]
    assert made["upload_url"] is None
    assert made["resumable"] is False
    told = until(lambda: api.post(made["success_url"]).json()["data"]["shot_id"], 30)
    assert api.get(f"/v1/shots/{told}/status").status_code == 200


def test_a_name_that_points_elsewhere_later_is_caught_at_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the check at submission saw a public address, the connection would go to a private one."""
    import asyncio
    import socket

    import httpx_secure

    from lipsmith.worker.fetching import checked_client

    def private(*_: object, **__: object) -> list:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]

    async def call() -> None:
        async with checked_client((), 2.0) as client:
            await client.get("http://rebinding.example/")

    monkeypatch.setattr(socket, "getaddrinfo", private)
    with pytest.raises((httpx_secure.SSRFProtectionError, httpx.ConnectError)):
        asyncio.run(call())
