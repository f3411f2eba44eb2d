"""What answers look like, field by field, for the OpenAPI document; the routes build them by hand.

Each model's fields are those that are always present; a contract test holds routes and models together.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

ShotWord = Literal["not_started", "pending", "running", "finished", "failed"]
TrainingWord = Literal["not_started", "running", "finished", "failed"]
UploadWord = Literal["uploading", "completed", "failed"]
JobWord = Literal["not_started", "pending", "running", "finished", "failed", "cancelled", "skipped", "completed"]
IngestWord = Literal["ingesting", "dispatching", "dispatched", "failed"]


class Shape(BaseModel):
    """Further fields may be added."""

    model_config = ConfigDict(extra="allow")


class Detail(Shape):
    detail: str


class Forbidden(Shape):
    """403: without `detail` the key is bad, with it credit is gone."""

    message: str | None = None
    detail: str | None = None


class Entry(Shape):
    loc: list[str | int]
    msg: str
    type: str


class Invalid(Shape):
    detail: list[Entry]
    message: str


class Problem(Shape):
    """RFC 9457."""

    type: str
    title: str
    status: int


class Nothing(Shape):
    pass


class VideoMade(Shape):
    project_id: int
    scene_id: int
    actor_id: int
    video_id: str
    upload_url: str | None
    success_url: str
    failure_url: str
    resumable: bool


class AudioMade(Shape):
    audio_id: str
    upload_url: str | None
    success_url: str
    failure_url: str
    resumable: bool


class VideoDone(Shape):
    shot_id: int | None
    asset_type: Literal["dubbing-video"]


class AudioDone(Shape):
    audio_id: str


class VideoStatus(Shape):
    shot_id: int | None
    upload_status: UploadWord
    shot_status: ShotWord | None
    ai_training_status: TrainingWord | None


class AudioStatus(Shape):
    audio_id: str
    upload_status: UploadWord


class AudioRow(Shape):
    audio_id: str
    upload_status: UploadWord
    content_type: str
    file_name: str
    created_at: str


class ShotRow(Shape):
    shot_id: int
    shot_label: str
    shot_project_id: int
    shot_scene_id: int
    shot_project_name: str
    shot_scene_name: str


class ShotStatus(Shape):
    shot_status: ShotWord
    ai_training_status: TrainingWord
    failure_reason: str | None = None


class ActorRow(Shape):
    actor_id: int
    actor_name: str
    name: str
    thumbnail_url: str | None


class Language(Shape):
    language_id: int
    name: str
    supported: bool


class ProjectRow(Shape):
    project_id: int
    projects_tenant_id: int
    projects_user_id: int
    project_name: str
    user_email: str
    created_at: str
    updated_at: str | None
    source_language: Language
    project_identity_type: Literal["single_identity", "multi_identity"]
    language_project_links: list[Any]


class Generated(Shape):
    generate_id: int
    status: Literal["not_started"]
    warnings: list[str] | None = None


class GenerateStatus(Shape):
    generate_id: int
    status: JobWord
    progress: int
    failure_reason: str | None


class Download(Shape):
    download_url: str


class Credit(Shape):
    balance: float


class RenderMade(Shape):
    generate_id: int
    credit: Credit | None = None


class RenderTracked(Shape):
    tracking_id: str


class Tracking(Shape):
    tracking_id: str
    status: IngestWord
    generate_id: int | None
    failure_reason: Literal["asset download failed", "render dispatch failed", "request timed out"] | None


class RenderRow(Shape):
    generate_id: int
    shot_file_name: str
    render_generation_status: JobWord
    shot_id: int
    output_filename: str
    created_at: str


class Whoami(Shape):
    user_id: int
    users_tenant_id: int
    email: str


class JobRecord(Shape):
    generate_id: int
    shot_id: int
    status: JobWord
    progress: int
    stage: str | None
    eta_seconds: float | None
    options: dict[str, Any]
    output_filename: str
    warnings: list[str]
    failure_reason: str | None
    tracking_id: str | None
    created_at: str
    started_at: str | None
    ended_at: str | None


class JobStanding(Shape):
    generate_id: int
    status: JobWord


class Quality(Shape):
    """`judged`: whether the judge's figures are still to come, are there, or will never come."""

    judged: Literal["waiting", "done", "off", "failed"]
    sync_offset_ms: float | None
    sync_confidence: float | None
    identity_similarity: float | None
    untouched_max_diff: int | None
    frames_total: int
    frames_dubbed: int
    frames_without_face: int
    warnings: list[str]


class Usage(Shape):
    renders: int
    source_seconds: float
    output_seconds: float
    compute_seconds: float
    storage_bytes: int


class WebhookShown(Shape):
    url: str | None
    events: list[str]
    enabled: bool
    secret: str | None = None


class Secret(Shape):
    secret: str


class DeliveryRow(Shape):
    webhook_id: str
    event_type: str
    url: str
    state: Literal["pending", "delivered", "dead"]
    attempts: int
    last_status: int | None
    last_error: str | None
    created_at: str


class Replayed(Shape):
    webhook_id: str


class Health(Shape):
    status: Literal["ok", "fail"]
    checks: dict[str, Literal["ok", "fail"]] | None = None


class ShotRecord(Shape):
    shot_id: int
    label: str
    project_id: int
    project_name: str
    shot_status: ShotWord
    ai_training_status: TrainingWord
    failure_reason: str | None
    stage: str | None
    progress: int
    eta_seconds: float | None
    frame_count: int | None
    frame_rate: list[int]
    constant_rate: bool
    duration_seconds: float | None
    size_bytes: int | None
    created_at: str
    takes: int
    thumbnail_url: str | None


class Preview(Shape):
    """`url`: once it is ready; off: this server makes none."""

    state: Literal["waiting", "ready", "failed", "off"]
    url: str | None = None
    failure_reason: str | None = None


class Previews(Shape):
    dub: Preview
    source: Preview
    curves: dict[str, Any] | None


class Playable(Shape):
    url: str
    duration_seconds: float | None


class Waveform(Shape):
    peaks: list[float]
    seconds_each: float
    duration_seconds: float
