"""Where the things of a shot or a job are kept: previews, what a worker noted of them, curves, parts.

Below the shot's or the job's own prefix, so that deleting those deletes these.
"""

from __future__ import annotations

import json
from typing import Any

from lipsmith.service.storage import Storage
from lipsmith.service.tables import Job, Shot

PROXY, NOTE, CURVES = "proxy.mp4", "preview.json", "curves.json"


def prefix_of_shot(shot: Shot) -> str | None:
    """None before the worker has begun."""
    return shot.model_key


def prefix_of_job(job: Job) -> str:
    return f"{job.tenant_id}/job/{job.id}"


def parts_of_job(job: Job) -> str:
    """Where the parts of a long render wait for each other."""
    return f"{prefix_of_job(job)}/parts"


def note(storage: Storage, key: str) -> dict[str, Any] | None:
    """A JSON object of the store, or None where it is not there (yet)."""
    try:
        found: dict[str, Any] = json.loads(storage.read(key))
    except FileNotFoundError:
        return None
    return found
