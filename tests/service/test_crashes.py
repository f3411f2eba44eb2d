"""A few kills with -9; `python -m tests.service.crashes 30 1 FOLDER` does thirty."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.service import crashes
from tests.service.conftest import Elsewhere, Material, Server


def test_kills_lose_nothing(
    serve: Callable[..., Server], elsewhere: Elsewhere, material: Material, tmp_path: Path
) -> None:
    server = serve()
    crashes.run(server, elsewhere, material.video, material.voice, tmp_path, kills=3, seed=3)
