"""The program as its user runs it: a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TIMEOUT_SECONDS = 300

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def lipsmith() -> Program:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lipsmith", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)

    return run
