"""What holds for every test: our settings are not the developer's, and a logged ERROR is a failure."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lipsmith.config import Settings
from lipsmith.weights import WeightStore

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the program does; read when torch is loaded
os.environ.setdefault("SVT_LOG", "1")

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "what servers under test run on: SQLite and a folder, or PostgreSQL, S3 and several processes"
    parser.addoption("--backend", choices=("laptop", "cluster"), default="laptop", help=told)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIPSMITH_DEVICE", "LIPSMITH_THREADS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _no_logged_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    errors = [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert not errors, f"the test logged {errors}"


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips; tests that ask for it are skipped where it is missing."""
    folder = Path(os.environ.get("LIPSMITH_CLIPS", ROOT.parent / "shared" / "clips"))
    if not folder.is_dir():
        pytest.skip(f"no test clips in {folder}")
    return folder


@pytest.fixture(scope="session")
def store() -> WeightStore:
    """The third-party weights, fetched where missing."""
    return WeightStore(Settings.from_environment().models_folder)


@pytest.fixture(scope="session")
def talking_shot(store: WeightStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the demo's portrait speaking: 50 frames of 1280x720 H.264 with AAC, made once per session."""
    pytest.importorskip("torch")
    from lipsmith.demo import MATERIAL, make_shot
    from lipsmith.engine.progress import silent

    shot = tmp_path_factory.mktemp("talking") / "shot.mp4"
    make_shot(shot, WeightStore(store.folder / "demo", artefacts=MATERIAL), store, silent, frame_count=50)
    return shot
