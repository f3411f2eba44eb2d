"""What was seen of a shot is kept for later, and not read by another version."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from lipsmith.engine import footage


def test_what_was_seen_comes_back(seen: footage.Footage, tmp_path: Path) -> None:
    footage.save(seen, tmp_path / "kept")
    back = footage.load(tmp_path / "kept", tmp_path / "elsewhere.mp4")
    assert back is not None
    assert back.spec.path == tmp_path / "elsewhere.mp4"
    assert np.array_equal(back.main.measured.bare, seen.main.measured.bare)


def test_what_another_version_kept_is_left(tmp_path: Path) -> None:
    with (tmp_path / "kept").open("wb") as file:
        pickle.dump("0.0.1", file)
        pickle.dump("something else", file)
    assert footage.load(tmp_path / "kept", tmp_path / "shot.mp4") is None
