"""Settings from the environment: read once, at the door, into a frozen value. Nothing else reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from lipsmith.errors import RequestError

DEVICES = ("auto", "cpu", "cuda")
MOST_THREADS = 8  # beyond it the small nets gain nothing


@dataclass(frozen=True)
class Settings:
    """What this machine and its owner decide, as against what one run asks for."""

    models_folder: Path  # LIPSMITH_MODELS: where fetched weights live; copy it to an air-gapped machine
    device: str = "auto"  # LIPSMITH_DEVICE: auto, cpu or cuda
    threads: int = 2  # LIPSMITH_THREADS: at least 1

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read `environment` (default: the process's own). Raises RequestError for a value that cannot be used."""
        values = os.environ if environment is None else environment
        folder = values.get("LIPSMITH_MODELS")
        device = values.get("LIPSMITH_DEVICE", "auto")
        if device not in DEVICES:
            raise RequestError(f"LIPSMITH_DEVICE is {device!r}; it must be one of {', '.join(DEVICES)}.")
        return cls(
            models_folder=Path(folder).expanduser() if folder else platformdirs.user_cache_path("lipsmith") / "models",
            device=device,
            threads=_threads(values.get("LIPSMITH_THREADS")),
        )


def _threads(text: str | None) -> int:
    if text is None:
        return min(os.cpu_count() or 1, MOST_THREADS)
    if not text.isdecimal() or int(text) < 1:
        raise RequestError(f"LIPSMITH_THREADS is {text!r}; it must be a whole number from 1.")
    return int(text)
