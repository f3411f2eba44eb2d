"""The program as its user runs it: a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

TIMEOUT_SECONDS = 300

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def lipsmith() -> Program:
    return _run


@pytest.fixture(scope="session")
def lipsmith_without_privilege() -> Program:
    """The same where root, too, has to obey a file's permissions."""
    if os.geteuid() != 0:
        return _run
    prefix = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"], check=False).returncode != 0:
        pytest.skip("root, and nothing here to give up its privileges with")
    return partial(_run, prefix=prefix)


def _run(*arguments: str | Path, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "lipsmith", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
