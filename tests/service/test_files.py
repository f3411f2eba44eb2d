"""Bytes through signed URLs: the contract's §6 and the limits of §7."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

import httpx
import pytest
from tests.service.conftest import Material, Ready, Server

MP4 = {"content-type": "video/mp4"}


def slot(api: httpx.Client, kind: str = "video", **more: object) -> dict:
    given = {"video": ("a.mp4", "video/mp4"), "audio": ("a.wav", "audio/wav")}[kind]
    body = {"file_name": given[0], "content_type": given[1], **more}
    made = api.post(f"/v1/{kind}", json=body)
    assert made.status_code == 201, made.text
    return made.json()["data"]


def test_resuming_in_parts(api: httpx.Client) -> None:
    url, data = slot(api)["upload_url"], bytes(range(256)) * 40

    def put(first: int, last: int, total: int = len(data)) -> httpx.Response:
        headers = MP4 | {"content-range": f"bytes {first}-{last}/{total}"}
        return httpx.put(url, content=data[first : last + 1], headers=headers)

    def ask(total: int = len(data)) -> httpx.Response:
        return httpx.put(url, headers={"content-range": f"bytes */{total}"})

    nothing = ask()
    assert (nothing.status_code, "range" in nothing.headers) == (308, False)
    first = put(0, 999)
    assert (first.status_code, first.headers["range"]) == (308, "bytes=0-999")
    beyond = put(5000, 5999)
    assert (beyond.status_code, beyond.headers["range"]) == (308, "bytes=0-999")
    overlap = put(500, 1999)
    assert (overlap.status_code, overlap.headers["range"]) == (308, "bytes=0-1999")
    assert put(2000, 2999, len(data) + 1).status_code == 400
    assert ask(len(data) + 1).status_code == 400
    assert httpx.put(url, content=b"x", headers=MP4 | {"content-range": "bytes 3-1/5"}).status_code == 400
    rest = put(2000, len(data) - 1)
    assert (rest.status_code, rest.content) == (200, b"")
    assert ask().status_code == 200


def test_a_put_that_was_cut_off_is_resumed(server: Server, api: httpx.Client) -> None:
    import socket
    from urllib.parse import urlsplit

    url, data = slot(api)["upload_url"], bytes(300_000)
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as line:
        head = f"PUT {parts.path} HTTP/1.1\r\nHost: x\r\nContent-Type: video/mp4\r\nContent-Length: {len(data)}\r\n\r\n"
        line.sendall(head.encode() + data[:100_000])
        time.sleep(0.5)
    time.sleep(0.5)
    query = httpx.put(url, headers={"content-range": f"bytes */{len(data)}"})
    assert (query.status_code, query.headers["range"]) == (308, "bytes=0-99999")
    headers = MP4 | {"content-range": f"bytes 100000-{len(data) - 1}/{len(data)}"}
    assert httpx.put(url, content=data[100_000:], headers=headers).status_code == 200


@pytest.mark.parametrize("content_type", ["", "video/quicktime", "text/plain"])
def test_another_type_is_refused(api: httpx.Client, content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    assert httpx.put(slot(api)["upload_url"], content=b"x", headers=headers).status_code == 403


def test_an_alias_of_the_type_is_taken(api: httpx.Client) -> None:
    url = slot(api, "audio")["upload_url"]
    assert httpx.put(url, content=b"x", headers={"content-type": "Audio/X-WAV; a=b"}).status_code == 200


def test_more_than_announced_is_refused(api: httpx.Client) -> None:
    made = slot(api, size_bytes=4)
    assert httpx.put(made["upload_url"], content=b"12345", headers=MP4).status_code == 413
    assert httpx.put(made["upload_url"], content=iter([b"12", b"345"]), headers=MP4).status_code == 413
    assert httpx.put(made["upload_url"], content=b"123", headers=MP4).status_code == 200
    short = api.post(made["success_url"])
    assert short.status_code == 422
    assert "3 bytes were uploaded, 4 were announced" in short.json()["message"]
    assert api.get(f"/v1/video/status/{made['video_id']}").json()["data"]["upload_status"] == "uploading"


def test_what_is_no_video_fails_for_good(api: httpx.Client) -> None:
    made = slot(api)
    httpx.put(made["upload_url"], content=b"no video at all", headers=MP4)
    assert api.post(made["success_url"]).status_code == 422
    assert api.get(f"/v1/video/status/{made['video_id']}").json()["data"]["upload_status"] == "failed"
    assert api.post(made["success_url"]).status_code == 409
    assert httpx.put(made["upload_url"], content=b"again", headers=MP4).status_code == 409


def test_a_voice_without_sound_fails(api: httpx.Client, material: Material) -> None:
    made = slot(api, "audio")
    httpx.put(made["upload_url"], content=b"RIFF", headers={"content-type": "audio/wav"})
    assert api.post(made["success_url"]).status_code == 422


def test_a_video_may_be_a_voice(api: httpx.Client, material: Material) -> None:
    body = {"file_name": "speaking.mp4", "content_type": "video/mp4"}
    made = api.post("/v1/audio", json=body).json()["data"]
    httpx.put(made["upload_url"], content=material.video.read_bytes(), headers=MP4)
    assert api.post(made["success_url"]).status_code == 200


def test_ranges_of_a_download(api: httpx.Client, finished: int) -> None:
    url = api.get(f"/v1/renders/{finished}/download").json()["data"]["download_url"]
    whole = httpx.get(url)
    size, tag = len(whole.content), whole.headers["etag"]
    assert whole.headers["accept-ranges"] == "bytes"
    head = httpx.head(url)
    assert (head.status_code, head.content, int(head.headers["content-length"])) == (200, b"", size)
    middle = httpx.get(url, headers={"range": "bytes=10-19"})
    assert (middle.status_code, middle.content) == (206, whole.content[10:20])
    assert middle.headers["content-range"] == f"bytes 10-19/{size}"
    assert httpx.get(url, headers={"range": "bytes=-7"}).content == whole.content[-7:]
    assert httpx.get(url, headers={"range": f"bytes={size}-"}).status_code == 416
    assert httpx.get(url, headers={"range": "bytes=0-1", "if-range": '"other"'}).status_code == 200
    assert httpx.get(url, headers={"range": "bytes=0-1", "if-range": tag}).status_code == 206
    several = httpx.get(url, headers={"range": "bytes=0-1,5-6"})  # in parts, or the whole
    assert several.status_code == 200 or several.headers["content-type"].startswith("multipart/byteranges")


def test_cors(server: Server, api: httpx.Client) -> None:
    url = slot(api)["upload_url"]
    before = httpx.options(url, headers={"origin": "https://a.example", "access-control-request-method": "PUT"})
    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == "*"
    assert "PUT" in before.headers["access-control-allow-methods"]
    assert httpx.put(url, content=b"x").headers["access-control-allow-origin"] == "*"  # also of a refusal
    assert "access-control-allow-origin" not in api.get("/v1/whoami", headers={"origin": "https://a.example"}).headers


def test_cors_of_the_api_for_named_origins(serve: Callable[..., Server]) -> None:
    server = serve("--no-worker", ready=False, cors_origins="https://a.example")
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    before = httpx.options(f"{server.base}/v1/video", headers=asked | {"access-control-request-headers": "x-api-key"})
    assert before.status_code in (200, 204)
    assert before.headers["access-control-allow-origin"] == "https://a.example"
    with server.caller() as api:
        assert (
            "access-control-allow-origin" not in api.get("/v1/whoami", headers={"origin": "https://b.example"}).headers
        )
        assert api.get("/v1/whoami", headers=asked).headers["access-control-allow-origin"] == "https://a.example"


# What must not work


def test_tampered_urls(api: httpx.Client, finished: int) -> None:
    url = api.get(f"/v1/renders/{finished}/download").json()["data"]["download_url"]
    base, _, rest = url.partition("/files/")
    token, _, name = rest.partition("/")
    body, _, signature = token.partition(".")
    told = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    for change in ({"expires": told["expires"] + 9999}, {"key": "1/video/x"}, {"method": "PUT"}, {"name": "x"}):
        forged = urlsafe_b64encode(json.dumps({**told, **change}, separators=(",", ":"), sort_keys=True).encode())
        assert httpx.get(f"{base}/files/{forged.rstrip(b'=').decode()}.{signature}/{name}").status_code == 403
    for broken in (token[:-2], token + "A", signature + "." + body, "x", ".", "..%2f..%2fetc%2fpasswd"):
        assert httpx.get(f"{base}/files/{broken}").status_code in (403, 404)
    assert httpx.put(url, content=b"x", headers=MP4).status_code == 403


def test_an_upload_url_cannot_be_read(api: httpx.Client) -> None:
    url = slot(api)["upload_url"]
    httpx.put(url, content=b"secret", headers=MP4)
    assert httpx.get(url).status_code == 403


def test_expired_urls(serve: Callable[..., Server], material: Material) -> None:
    server = serve("--no-worker", ready=False, upload_url_ttl="2")
    with server.caller() as api:
        made = slot(api)
        time.sleep(2.2)
        assert httpx.put(made["upload_url"], content=b"x", headers=MP4).status_code == 403
        status = api.get(f"/v1/video/status/{made['video_id']}").json()["data"]
        assert status["upload_status"] == "failed"
        assert api.post(made["success_url"]).status_code == 409


def test_a_url_cannot_be_used_again_once_the_upload_is_complete(
    server: Server, api: httpx.Client, material: Material
) -> None:
    made = slot(api, "audio")
    wav = {"content-type": "audio/wav"}
    httpx.put(made["upload_url"], content=material.voice.read_bytes(), headers=wav)
    assert api.post(made["success_url"]).status_code == 200
    assert httpx.put(made["upload_url"], content=b"other", headers=wav).status_code == 409


@pytest.mark.parametrize("path", ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd"])
def test_no_path_leads_out(server: Server, path: str) -> None:
    for prefix in ("/files/", "/v1/", "/"):
        answer = httpx.get(f"{server.base}{prefix}{path}", headers={"x-api-key": server.key})
        assert answer.status_code in (403, 404)
        assert b"root:" not in answer.content


@pytest.mark.parametrize("name", ["a/b.mp4", "a\\b.mp4", "..", ".", "a\r\nSet-Cookie: x.mp4", "a\x00.mp4", "\x85", ""])
def test_names_that_are_refused(api: httpx.Client, ready: Ready, name: str) -> None:
    body = {"audio_id": ready.audio_id, "output_filename": name}
    assert api.post(f"/v1/shots/{ready.shot_id}/generate", json=body).status_code == 422
    assert api.post("/v1/video", json={"file_name": name, "content_type": "video/mp4"}).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"file_name": "a.exe", "content_type": "video/mp4"},
        {"file_name": "a.mp4", "content_type": "text/html"},
        {"file_name": "a.mp4", "content_type": "video/mp4", "size_bytes": 0},
        {"file_name": "a.mp4", "content_type": "video/mp4", "size_bytes": 15_000_000_001},
        {"file_name": "a.mp4", "content_type": "video/mp4", "size_bytes": "3"},
        {"file_name": "x" * 256, "content_type": "video/mp4"},
        {"file_name": "a.mp4", "content_type": "video/mp4", "project_name": ""},
        {"content_type": "video/mp4"},
    ],
)
def test_uploads_that_are_refused(api: httpx.Client, body: dict) -> None:
    answer = api.post("/v1/video", json=body)
    assert answer.status_code == 422
    assert isinstance(answer.json()["message"], str)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff\xfe", b'{"a": NaN}', b"null"])
def test_bodies_that_are_no_objects(api: httpx.Client, body: bytes) -> None:
    answer = api.post("/v1/video", content=body, headers={"content-type": "text/plain"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body"]


def test_a_body_that_is_too_large(api: httpx.Client) -> None:
    assert api.post("/v1/video", content=b"{" + b" " * 1_100_000 + b"}").status_code == 413
