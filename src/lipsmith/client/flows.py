"""What a client does, without doing it: generators that ask for one request after another and return a result.

`Client` and `AsyncClient` carry the requests out. All creating calls carry an Idempotency-Key, uploads and downloads go
in pieces that can be repeated: every request here may safely be sent again.
"""

from __future__ import annotations

import mimetypes
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

PIECE_BYTES = 8 * 1024 * 1024
_LOOK_SECONDS = 2.0
_CONTENT_TYPES = {".mkv": "video/x-matroska", ".m4a": "audio/mp4", ".flac": "audio/flac", ".wav": "audio/wav"}

Progress = Callable[[str, int, int], None]  # (what, done, total): bytes of a transfer, percent of a job
Range = tuple[float, float] | tuple[str, str]  # seconds, or SMPTE labels


@dataclass(frozen=True)
class Request:
    """One request. `url`: a path of the server, or absolute."""

    method: str
    url: str
    json: dict[str, Any] | None = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    accept: tuple[int, ...] = (200, 201, 202, 204)

    @property
    def is_ours(self) -> bool:
        """Whether the API key may go with it: signed URLs need none."""
        return self.url.startswith("/")


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    content: bytes
    data: Any  # the "data" member of a JSON answer, else None


T = TypeVar("T")
Flow = Generator[Request | Pause, Answer, T]


class LipsmithApiError(Exception):
    """The server said no. `status` 0: it could not be reached."""

    def __init__(self, status: int, message: str, request_id: str | None = None) -> None:
        super().__init__(f"{message} (status {status}, request {request_id})" if request_id else message)
        self.status, self.message, self.request_id = status, message, request_id


class DubFailed(LipsmithApiError):
    """A shot or a job ended otherwise than finished."""


@dataclass(frozen=True)
class Video:
    """An uploaded video and the shot it became."""

    video_id: str
    shot_id: int
    project_id: int
    scene_id: int
    actor_id: int


@dataclass(frozen=True)
class Audio:
    audio_id: str


@dataclass(frozen=True)
class ShotStatus:
    shot_status: str
    ai_training_status: str
    failure_reason: str | None

    @property
    def ready(self) -> bool:
        return self.shot_status == self.ai_training_status == "finished"

    @property
    def failed(self) -> bool:
        return "failed" in (self.shot_status, self.ai_training_status)


@dataclass(frozen=True)
class Actor:
    actor_id: int
    name: str
    thumbnail_url: str | None


@dataclass(frozen=True)
class Job:
    """A dub in the making. `status`: not_started, pending, running, finished, failed, cancelled or skipped."""

    generate_id: int
    shot_id: int
    status: str
    progress: int = 0
    failure_reason: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        return self.status in ("finished", "failed", "cancelled", "skipped")


@dataclass(frozen=True)
class ActorVoice:
    """For `generate_multi_actor`."""

    actor_id: int
    audio_id: str
    timecode_ranges: tuple[Range, ...] = ()


@dataclass(frozen=True)
class User:
    user_id: int
    tenant_id: int
    email: str


def whoami() -> Flow[User]:
    """Whose key this is."""
    told = (yield Request("GET", "/v1/whoami")).data
    return User(told["user_id"], told["users_tenant_id"], told["email"])


def upload_video(
    path: str | Path,
    *,
    project_name: str | None = None,
    scene_name: str | None = None,
    actor_name: str | None = None,
    progress: Progress | None = None,
) -> Flow[Video]:
    """Bring a video; the server then watches it and learns its actors. Cut off, the upload goes on where it was."""
    path = Path(path)
    names = {"project_name": project_name, "scene_name": scene_name, "actor_name": actor_name}
    made = yield from _upload("video", path, names, progress)
    told = (yield Request("POST", made["success_url"])).data
    return Video(made["video_id"], told["shot_id"], made["project_id"], made["scene_id"], made["actor_id"])


def upload_audio(path: str | Path, *, progress: Progress | None = None) -> Flow[Audio]:
    """Bring a voice."""
    made = yield from _upload("audio", Path(path), {}, progress)
    yield Request("POST", made["success_url"])
    return Audio(made["audio_id"])


def _upload(kind: str, path: Path, more: dict[str, Any], progress: Progress | None) -> Flow[dict[str, Any]]:
    size = path.stat().st_size
    kind_of = _content_type(path, kind)
    body = {"file_name": path.name, "content_type": kind_of, "size_bytes": size}
    body |= {name: value for name, value in more.items() if value is not None}
    made: dict[str, Any] = (yield _create(f"/v1/{kind}", body)).data
    done = 0
    with path.open("rb") as file:
        while done < size:
            file.seek(done)
            piece = file.read(PIECE_BYTES)
            headers = {"Content-Type": kind_of, "Content-Range": f"bytes {done}-{done + len(piece) - 1}/{size}"}
            answer = yield Request("PUT", made["upload_url"], content=piece, headers=headers, accept=(200, 308))
            done = size if answer.status == 200 else _stored(answer)
            if progress:
                progress(f"upload {path.name}", done, size)
    return made


def _stored(answer: Answer) -> int:
    return int(answer.headers["range"].rpartition("-")[2]) + 1 if "range" in answer.headers else 0


def _content_type(path: Path, kind: str) -> str:
    known = _CONTENT_TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0]
    return known or ("video/mp4" if kind == "video" else "audio/wav")


def _create(path: str, body: dict[str, Any]) -> Request:
    return Request("POST", path, json=body, headers={"Idempotency-Key": str(uuid.uuid4())})


def shot_status(shot_id: int) -> Flow[ShotStatus]:
    told = (yield Request("GET", f"/v1/shots/{shot_id}/status")).data
    return ShotStatus(told["shot_status"], told["ai_training_status"], told.get("failure_reason"))


def wait_for_shot(shot_id: int, *, timeout: float = 3600.0, progress: Progress | None = None) -> Flow[ShotStatus]:
    """Until the shot's actors are learnt. Raises DubFailed, TimeoutError."""
    ends = time.monotonic() + timeout
    while True:
        found = yield from shot_status(shot_id)
        if found.failed:
            raise DubFailed(200, f"Shot {shot_id} failed: {found.failure_reason}")
        if progress:
            progress(f"shot {shot_id}", 50 * (found.shot_status == "finished") + 50 * found.ready, 100)
        if found.ready:
            return found
        yield from _pause(ends, f"shot {shot_id}")


def actors(shot_id: int) -> Flow[list[Actor]]:
    """Who is in a shot, by screen time."""
    told = (yield Request("GET", f"/v1/shots/{shot_id}/actors")).data
    return [Actor(row["actor_id"], row["actor_name"], row["thumbnail_url"]) for row in told]


def generate(
    shot_id: int,
    audio_id: str,
    output_filename: str,
    *,
    timecode_ranges: Sequence[Range] = (),
    language: str | None = None,
    maintain_expression: bool = False,
    start_frame: int = 0,
    loop_video: bool = False,
    full_resolution: bool = True,
    callback_url: str | None = None,
) -> Flow[Job]:
    """Have the shot's first actor say an uploaded voice."""
    body = {
        "audio_id": audio_id,
        "output_filename": output_filename,
        "timecode_ranges": [list(pair) for pair in timecode_ranges] or None,
        "language": language,
        "maintain_expression": maintain_expression,
        "start_frame": start_frame,
        "loop_video": loop_video,
        "full_resolution": full_resolution,
        "callback_url": callback_url,
    }
    told = (yield _create(f"/v1/shots/{shot_id}/generate", body)).data
    return Job(told["generate_id"], shot_id, told["status"], warnings=tuple(told.get("warnings", ())))


def generate_multi_actor(
    shot_id: int,
    voices: Sequence[ActorVoice],
    output_filename: str,
    *,
    soundtrack_audio_id: str | None = None,
    **options: Any,
) -> Flow[Job]:
    """Several actors of a shot, each with a voice of his own. `options`: as those of `generate`."""
    listed = [
        {
            "actor_id": v.actor_id,
            "audio_id": v.audio_id,
            "timecode_ranges": [list(r) for r in v.timecode_ranges] or None,
        }
        for v in voices
    ]
    body = {"output_filename": output_filename, "actors": listed, "soundtrack_audio_id": soundtrack_audio_id, **options}
    told = (yield _create(f"/v1/shots/{shot_id}/generate-multi-actor", body)).data
    return Job(told["generate_id"], shot_id, told["status"], warnings=tuple(told.get("warnings", ())))


def job(generate_id: int) -> Flow[Job]:
    """Where a job stands."""
    told = (yield Request("GET", f"/api/jobs/{generate_id}")).data
    return Job(
        told["generate_id"],
        told["shot_id"],
        told["status"],
        told["progress"],
        told["failure_reason"],
        tuple(told["warnings"]),
    )


def wait_for_job(generate_id: int, *, timeout: float = 7200.0, progress: Progress | None = None) -> Flow[Job]:
    """Until the dub is finished. Raises DubFailed, TimeoutError."""
    ends = time.monotonic() + timeout
    while True:
        found = yield from job(generate_id)
        if progress:
            progress(f"dub {generate_id}", found.progress, 100)
        if found.status == "finished":
            return found
        if found.ended:
            raise DubFailed(
                200, f"Job {generate_id} ended as {found.status}: {found.failure_reason or 'no reason given'}"
            )
        yield from _pause(ends, f"job {generate_id}")


def cancel(generate_id: int) -> Flow[None]:
    yield Request("POST", f"/api/jobs/{generate_id}/cancel")


def download_url(generate_id: int) -> Flow[str]:
    """A fresh signed URL of a finished dub."""
    told = (yield Request("GET", f"/v1/renders/{generate_id}/download")).data
    return str(told["download_url"])


def download(generate_id: int, path: str | Path, *, progress: Progress | None = None) -> Flow[Path]:
    """Save a finished dub; the file appears whole or not at all."""
    path = Path(path)
    url = yield from download_url(generate_id)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with part.open("wb") as file:
            done, total, tag = 0, 1, ""
            while done < total:
                headers = {"Range": f"bytes={done}-{done + PIECE_BYTES - 1}"} | ({"If-Range": tag} if tag else {})
                answer = yield Request("GET", url, headers=headers, accept=(206,))
                file.write(answer.content)
                done += len(answer.content)
                total, tag = int(answer.headers["content-range"].rpartition("/")[2]), answer.headers["etag"]
                if progress:
                    progress(f"download {path.name}", done, total)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def quality(generate_id: int) -> Flow[dict[str, Any]]:
    """What was measured on a finished dub."""
    told: dict[str, Any] = (yield Request("GET", f"/api/jobs/{generate_id}/quality")).data
    return told


def dub(
    video: str | Path, voice: str | Path, out: str | Path, *, progress: Progress | None = None, **options: Any
) -> Flow[Path]:
    """The whole way: bring both, wait, save the dub. `options`: as those of `generate`. Raises DubFailed."""
    shot = yield from upload_video(video, progress=progress)
    audio = yield from upload_audio(voice, progress=progress)
    made = yield from generate(shot.shot_id, audio.audio_id, Path(out).name, **options)
    yield from wait_for_shot(shot.shot_id, progress=progress)
    yield from wait_for_job(made.generate_id, progress=progress)
    return (yield from download(made.generate_id, out, progress=progress))


def shots(page: int = 1, per_page: int = 20) -> Flow[list[dict[str, Any]]]:
    """A page of the shots, newest first."""
    told: list[dict[str, Any]] = (yield _list("/v1/shots", page=page, per_page=per_page)).data
    return told


def renders(page: int = 1, page_size: int = 20) -> Flow[list[dict[str, Any]]]:
    """A page of the jobs, newest first."""
    told: list[dict[str, Any]] = (yield _list("/v1/renders", page=page, page_size=page_size)).data
    return told


def _list(path: str, **query: int) -> Request:
    return Request("GET", f"{path}?{urlencode(query)}")


def _pause(ends: float, what: str) -> Flow[None]:
    if time.monotonic() >= ends:
        raise TimeoutError(f"{what} did not end in time; the server still works on it.")
    yield Pause(_LOOK_SECONDS)
