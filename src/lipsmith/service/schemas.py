"""What a request may say, field by field. The engine and the database are unknown here."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from lipsmith.service.addresses import MOST_CHARACTERS
from lipsmith.service.formats import allowed, bad_name, bare, extension_allowed

INT_MAX = 2**31 - 1
IGNORED_BUT_NAMED = ("loop_count", "output_quality", "bitrate", "codec", "input_video")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_uuid(text: str) -> bool:
    return bool(_UUID.fullmatch(text))


def _named(name: str) -> str:
    if bad_name(name):
        raise ValueError("a name must not hold /, \\ or control characters, nor be . or ..")
    return name


def _uuid(text: str) -> str:
    if not is_uuid(text):
        raise ValueError("not a lower-case UUID")
    return str(UUID(text))


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


FileName = Annotated[StrictStr, Field(min_length=1, max_length=255), AfterValidator(_named)]
OutputName = Annotated[
    StrictStr, BeforeValidator(_trimmed), Field(min_length=1, max_length=200), AfterValidator(_named)
]
Label = Annotated[StrictStr, Field(min_length=1, max_length=200)]
Id = Annotated[StrictInt, Field(ge=1, le=INT_MAX)]
UploadId = Annotated[StrictStr, AfterValidator(_uuid)]
Url = Annotated[StrictStr, Field(min_length=1, max_length=MOST_CHARACTERS)]
Pair = Annotated[list[Any], Field(min_length=2, max_length=2)]


class Request(BaseModel):
    """A JSON object; `null` equals absent, what is unknown is ignored."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: object) -> object:
        return {k: v for k, v in data.items() if v is not None} if isinstance(data, dict) else data


class UploadRequest(Request):
    file_name: FileName
    content_type: StrictStr
    size_bytes: Annotated[StrictInt, Field(ge=1)] | None = None

    def wrong_format(self, kind: Any) -> tuple[str, str] | None:
        """(field, sentence) against the name's extension or the type, or None."""
        if not extension_allowed(kind, self.file_name):
            return "file_name", f"this extension is not one of a {kind} file"
        if not allowed(kind, self.content_type):
            return "content_type", f"{bare(self.content_type)[:80]!r} is not an accepted {kind} type"
        return None


class VideoRequest(UploadRequest):
    project_name: Label | None = None
    scene_name: Label | None = None
    actor_name: Label | None = None
    video_source_url: Url | None = None


class AudioRequest(UploadRequest):
    audio_source_url: Url | None = None


class RenderOptions(Request):
    """What D1 and D5 share."""

    output_filename: OutputName
    language: Annotated[StrictStr, Field(max_length=64)] | None = None
    maintain_expression: StrictBool = False
    start_frame: Annotated[StrictInt, Field(ge=0)] = 0
    loop_video: StrictBool = False
    full_resolution: StrictBool = True
    callback_url: Url | None = None
    priority: Annotated[StrictInt, Field(ge=1, le=99)] | None = None  # ours: lower goes first
    strength: Annotated[float, Field(strict=True, ge=0, le=2)] = 1.0  # ours: how far the mouth moves; 1 is natural


class GenerateRequest(RenderOptions):
    audio_id: UploadId
    timecode_ranges: list[Pair] | None = None
    segments: list[dict[str, Any]] | None = None


class ActorVoice(Request):
    actor_id: Id
    audio_id: UploadId
    timecode_ranges: list[Pair] | None = None


class MultiActorRequest(RenderOptions):
    actors: Annotated[list[ActorVoice], Field(min_length=1, max_length=16)]
    soundtrack_audio_id: UploadId | None = None


class TranslateRequest(Request):
    source_language: Label
    target_language: Label
    full_resolution: StrictBool = True


class RenderRequest(Request):
    output_filename: OutputName
    video_url: Url | None = None
    video_id: Id | None = None
    audio_url: Url | None = None
    audio_id: UploadId | None = None
    callback_url: Url | None = None


class WebhookRequest(Request):
    url: Url | None = None
    bearer_key: Annotated[StrictStr, Field(min_length=1, max_length=512, pattern=r"^[\x21-\x7e]+$")] | None = None
    events: list[StrictStr] | None = None
    enabled: StrictBool = True
