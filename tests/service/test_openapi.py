"""The OpenAPI document against the server: whatever is sent, no 5xx and no answer that the document does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.service.conftest import Material, Server, bring

CHECKS = (status_code_conformance, content_type_conformance, response_schema_conformance)
# 501: there is no translation; 503: this server has no worker, and says so.
MEANT = {"/v1/shots/{shot_id}/translate": 501, "/api/health/ready": 503}
EXAMPLES = 8  # of each operation
ENDLESS = "/events"  # they answer as long as the work goes on


@pytest.fixture(scope="module")
def fuzzed(serve: Callable[..., Server], material: Material) -> Server:
    server = serve("--no-worker", ready=False)
    with server.caller() as api:
        shot = bring(api, "video", material.video, "video/mp4")
        voice = bring(api, "audio", material.voice, "audio/wav")
        body = {"audio_id": voice["audio_id"], "output_filename": "x.mp4"}
        api.post(f"/v1/shots/{shot['shot_id']}/generate", json=body)
    return server


@pytest.fixture(scope="module")
def document(fuzzed: Server) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{fuzzed.base}/openapi.json")


def test_the_document_is_whole(fuzzed: Server) -> None:
    told = httpx.get(f"{fuzzed.base}/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    assert told == httpx.get(f"{fuzzed.base}/api/openapi.json").json()
    for path, item in told["paths"].items():
        for method, operation in item.items():
            assert operation["description"] or operation["summary"], (method, path)
            if "requestBody" in operation:
                assert operation["requestBody"]["content"]["application/json"]["example"]


def test_every_answer_is_a_documented_one(document: schemathesis.BaseSchema, fuzzed: Server) -> None:
    """Of each operation: what the document allows, and what it forbids."""
    wrong: list[str] = []
    for found in document.get_all_operations():
        operation = found.ok()
        if operation.path.endswith(ENDLESS):
            continue
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            wrong += _tried(operation, mode, fuzzed)
    assert not wrong, "\n\n".join(wrong)


def _tried(operation: Any, mode: schemathesis.GenerationMode, server: Server) -> list[str]:
    """Sentences on what was answered otherwise than the document says; the first failure of an operation ends it."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def one(case: schemathesis.Case) -> None:
        response = case.call(headers={"x-api-key": server.key})
        assert response.status_code < 500 or response.status_code == MEANT.get(operation.path), response.text
        case.validate_response(response, checks=CHECKS)

    try:
        one()
    except Unsatisfiable:
        return []  # nothing can be wrong about a call without parameters
    except (FailureGroup, Failure, AssertionError) as failure:
        return [f"{operation.method} {operation.path} ({mode.name}): {failure}"]
    return []
