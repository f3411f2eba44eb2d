"""The OpenAPI 3.1 document of /v1 and /api: what each call takes, all it may answer, an example of both.

Takes the routes, gives the document. The table here is the only place that says what a call looks like from outside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from lipsmith.service import answers as a
from lipsmith.service.schemas import (
    AudioRequest,
    GenerateRequest,
    MultiActorRequest,
    RenderRequest,
    TranslateRequest,
    VideoRequest,
    WebhookRequest,
)

_UUID = "9d2f6c1e-7a3e-4b83-9d0a-5b1f7f3c2a11"
_REF = "#/components/schemas/{model}"
_IDS = {"shot_id", "generate_id", "project_id"}


@dataclass(frozen=True)
class Call:
    """One operation. `answer` None: no body; `listed`: the data is a list beside a count."""

    status: int
    answer: type[BaseModel] | None
    takes: type[BaseModel] | None = None
    example: dict[str, Any] = field(default_factory=dict)
    listed: bool = False
    paged: bool = False
    bare: bool = False  # the answer is the whole body, without the envelope
    also: dict[int, type[BaseModel]] = field(default_factory=dict)  # further answers
    top: tuple[str, ...] = ()  # whole numbers beside `data`
    idempotent: bool = False
    media: str = "application/json"


_CREATED = {"audio_id": _UUID, "output_filename": "speaker-es.mp4", "language": "es-MX", "maintain_expression": True}
_VOICES = {"output_filename": "two.mp4", "actors": [{"actor_id": 1401, "audio_id": _UUID}]}
_LANGUAGES = {"source_language": "English", "target_language": "Spanish"}
_CALLS: dict[tuple[str, str], Call] = {
    ("post", "/v1/video"): Call(
        201, a.VideoMade, VideoRequest, {"file_name": "speaker.mp4", "content_type": "video/mp4"}, idempotent=True
    ),
    ("post", "/v1/audio"): Call(
        201, a.AudioMade, AudioRequest, {"file_name": "line.mp3", "content_type": "audio/mpeg"}, idempotent=True
    ),
    ("post", "/v1/video/success/{video_id}"): Call(200, a.VideoDone, also={409: a.Detail}),
    ("post", "/v1/audio/success/{audio_id}"): Call(200, a.AudioDone, also={409: a.Detail}),
    ("post", "/v1/video/failure/{video_id}"): Call(200, a.Nothing, bare=True),
    ("post", "/v1/audio/failure/{audio_id}"): Call(200, a.Nothing, bare=True),
    ("get", "/v1/video/status/{video_id}"): Call(200, a.VideoStatus),
    ("get", "/v1/audio/status/{audio_id}"): Call(200, a.AudioStatus),
    ("get", "/v1/audio"): Call(200, a.AudioRow, listed=True, paged=True),
    ("get", "/v1/shots"): Call(200, a.ShotRow, listed=True, paged=True),
    ("get", "/v1/shots/{shot_id}/status"): Call(200, a.ShotStatus),
    ("get", "/v1/shots/{shot_id}/actors"): Call(200, a.ActorRow, listed=True),
    ("get", "/v1/projects"): Call(200, a.ProjectRow, listed=True, paged=True),
    ("get", "/v1/whoami"): Call(200, a.Whoami),
    ("post", "/v1/shots/{shot_id}/generate"): Call(
        201, a.Generated, GenerateRequest, _CREATED, top=("generate_id",), idempotent=True
    ),
    ("post", "/v1/shots/{shot_id}/generate-multi-actor"): Call(
        201, a.Generated, MultiActorRequest, _VOICES, top=("generate_id",), idempotent=True
    ),
    ("post", "/v1/shots/{shot_id}/translate"): Call(
        201, a.Generated, TranslateRequest, _LANGUAGES, top=("generate_id",), also={501: a.Detail}, idempotent=True
    ),
    ("get", "/v1/shots/{shot_id}/generate/{generate_id}"): Call(200, a.GenerateStatus),
    ("get", "/v1/shots/{shot_id}/generate/{generate_id}/download"): Call(200, a.Download, also={400: a.Detail}),
    ("post", "/v1/renders"): Call(
        201,
        a.RenderMade,
        RenderRequest,
        {"output_filename": "speaker-es.mp4", "video_id": 5001, "audio_id": _UUID},
        also={202: a.RenderTracked},
        idempotent=True,
    ),
    ("get", "/v1/renders"): Call(200, a.RenderRow, listed=True, paged=True),
    ("get", "/v1/renders/track/{tracking_id}"): Call(200, a.Tracking),
    ("get", "/v1/renders/{generate_id}/status"): Call(200, a.GenerateStatus),
    ("get", "/v1/renders/{generate_id}/download"): Call(200, a.Download, also={400: a.Detail}),
    ("get", "/api/health/live"): Call(200, a.Health, bare=True),
    ("get", "/api/health/ready"): Call(200, a.Health, bare=True, also={503: a.Health}),
    ("get", "/api/openapi.json"): Call(200, a.Nothing, bare=True),
    ("get", "/api/metrics"): Call(200, None, media="text/plain"),
    ("get", "/api/jobs/{generate_id}"): Call(200, a.JobRecord),
    ("get", "/api/jobs/{generate_id}/events"): Call(200, None, media="text/event-stream"),
    ("get", "/api/shots/{shot_id}/events"): Call(200, None, media="text/event-stream"),
    ("post", "/api/jobs/{generate_id}/cancel"): Call(202, a.JobStanding, also={409: a.Problem}),
    ("post", "/api/jobs/{generate_id}/retry"): Call(201, a.JobStanding, also={409: a.Problem}, idempotent=True),
    ("get", "/api/jobs/{generate_id}/quality"): Call(200, a.Quality),
    ("get", "/api/shots"): Call(200, a.ShotRecord, listed=True, paged=True),
    ("get", "/api/shots/{shot_id}"): Call(200, a.ShotRecord),
    ("get", "/api/jobs"): Call(200, a.JobRecord, listed=True, paged=True),
    ("get", "/api/audio"): Call(200, a.AudioRow, listed=True, paged=True),
    ("get", "/api/shots/{shot_id}/media"): Call(200, a.Preview),
    ("get", "/api/jobs/{generate_id}/media"): Call(200, a.Previews),
    ("get", "/api/audio/{audio_id}/media"): Call(200, a.Playable),
    ("get", "/api/shots/{shot_id}/peaks"): Call(200, a.Waveform),
    ("get", "/api/jobs/{generate_id}/peaks"): Call(200, a.Waveform),
    ("get", "/api/audio/{audio_id}/peaks"): Call(200, a.Waveform),
    ("delete", "/api/jobs/{generate_id}"): Call(204, None, also={409: a.Problem}),
    ("delete", "/api/shots/{shot_id}"): Call(204, None, also={409: a.Problem}),
    ("delete", "/api/audio/{audio_id}"): Call(204, None, also={409: a.Problem}),
    ("delete", "/api/projects/{project_id}"): Call(204, None, also={409: a.Problem}),
    ("get", "/api/usage"): Call(200, a.Usage),
    ("get", "/api/webhook"): Call(200, a.WebhookShown),
    ("put", "/api/webhook"): Call(
        200, a.WebhookShown, WebhookRequest, {"url": "https://hooks.example.net/x", "events": ["TRAINING_COMPLETE"]}
    ),
    ("delete", "/api/webhook"): Call(204, None),
    ("post", "/api/webhook/rotate-secret"): Call(200, a.Secret),
    ("get", "/api/webhook/deliveries"): Call(200, a.DeliveryRow, listed=True),
    ("post", "/api/webhook/deliveries/{webhook_id}/replay"): Call(202, a.Replayed, also={409: a.Problem}),
}
_NARROWING = {"/api/shots": ("project_id", "q"), "/api/jobs": ("shot_id",), "/api/audio": ("q", "status")}
_V1_ERRORS: dict[int, type[BaseModel]] = {
    403: a.Forbidden,
    404: a.Detail,
    413: a.Detail,
    422: a.Invalid,
    429: a.Detail,
    500: a.Detail,
    503: a.Detail,
}


def document(app: FastAPI) -> dict[str, Any]:
    """The document of an app's routes; made once."""
    if app.openapi_schema is None:
        told = FastAPI.openapi(app)
        schemas = told.setdefault("components", {}).setdefault("schemas", {})
        schemas.clear()
        schemas.update(_schemas())
        told["components"]["securitySchemes"] = {
            "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }
        paths = {path: item for path, item in told["paths"].items() if path.startswith(("/v1", "/api"))}
        told["paths"] = {path: _item(path, item) for path, item in paths.items()}
        app.openapi_schema = told
    return app.openapi_schema


def _schemas() -> dict[str, Any]:
    calls = _CALLS.values()
    models = {model for call in calls for model in (call.answer, call.takes, *call.also.values()) if model}
    models |= {*_V1_ERRORS.values(), a.Problem}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, found = models_json_schema([(model, "validation") for model in ordered], ref_template=_REF)
    return dict(found["$defs"])


def _item(path: str, item: dict[str, Any]) -> dict[str, Any]:
    return {method: _operation(path, method, operation) for method, operation in item.items()}


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    call = _CALLS[method, path]
    needs_key = not path.startswith(("/api/health", "/api/openapi"))
    named = [{**one, "schema": _id_schema(one["name"])} for one in operation.get("parameters", ())]
    told = {
        "operationId": operation["operationId"],
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "tags": ["LipDub" if path.startswith("/v1") else "Lipsmith"],
        "security": [{"key": []}, {"bearer": []}] if needs_key else [],
        "parameters": [*named, *_parameters(call, path, method)],
        "responses": _responses(call, path, needs_key),
    }
    if call.takes:
        content = {"schema": {"$ref": _REF.format(model=call.takes.__name__)}, "example": call.example}
        told["requestBody"] = {"required": True, "content": {"application/json": content}}
    return told


def _id_schema(name: str) -> dict[str, Any]:
    if name in _IDS:
        return {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
    return {"type": "string"} if name == "webhook_id" else {"type": "string", "format": "uuid"}


def _parameters(call: Call, path: str, method: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    if call.paged:
        whole = {"type": "integer", "minimum": 1}
        told.append({"in": "query", "name": "page", "schema": {**whole, "maximum": 2**31 - 1}})
        told += [{"in": "query", "name": n, "schema": {**whole, "maximum": 100}} for n in ("per_page", "page_size")]
    if call.idempotent:
        schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}
        told.append({"in": "header", "name": "Idempotency-Key", "schema": schema})
    for name in _NARROWING.get(path, ()):
        told.append({"in": "query", "name": name, "schema": _id_schema(name) if name in _IDS else {"type": "string"}})
    if path == "/api/usage":
        moment = {"type": "string", "format": "date-time"}
        told += [{"in": "query", "name": name, "schema": moment} for name in ("from", "to")]
    if path == "/api/webhook/deliveries":
        words = {"type": "string", "enum": ["pending", "delivered", "dead"]}
        told.append({"in": "query", "name": "state", "schema": words})
    if method == "delete" and "{" in path:
        told.append({"in": "query", "name": "force", "schema": {"type": "boolean"}})
    return told


def _responses(call: Call, path: str, needs_key: bool) -> dict[str, Any]:
    told: dict[str, Any] = {str(call.status): _good(call, call.answer)}
    for status, model in call.also.items():
        told[str(status)] = _good(call, model) if status < 300 else _bad(path, model)
    if needs_key:
        v1 = path.startswith("/v1")
        for status, model in _V1_ERRORS.items():
            shape = model if v1 or status in (403, 500) else a.Problem
            told.setdefault(str(status), _bad(path, shape, refused_key=status in (403, 500, 503, 413, 404, 422, 409)))
    return told


def _good(call: Call, model: type[BaseModel] | None) -> dict[str, Any]:
    if model is None:
        content = {} if call.media == "application/json" else {call.media: {"schema": {"type": "string"}}}
        return {"description": "Done", **({"content": content} if content else {})}
    shape: dict[str, Any] = {"$ref": _REF.format(model=model.__name__)}
    if not call.bare:
        properties: dict[str, Any] = {"data": {"type": "array", "items": shape} if call.listed else shape}
        whole = [*(("count",) if call.listed else ()), *call.top]
        properties |= {name: {"type": "integer"} for name in whole}
        shape = {"type": "object", "properties": properties, "required": ["data", *whole]}
    return {"description": "Done", "content": {"application/json": {"schema": shape}}}


def _bad(path: str, model: type[BaseModel], *, refused_key: bool = False) -> dict[str, Any]:
    media = "application/problem+json" if path.startswith("/api") and model is a.Problem else "application/json"
    content = {media: {"schema": {"$ref": _REF.format(model=model.__name__)}}}
    if refused_key and media != "application/json":
        content["application/json"] = {"schema": {"type": "object"}}
    return {"description": "Refused", "content": content}
