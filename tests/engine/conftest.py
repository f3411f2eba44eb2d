"""One real talker for all tests of the engine, watched once."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from lipsmith.engine import footage
from lipsmith.engine.faces.track import Nets
from lipsmith.engine.progress import silent
from lipsmith.weights import WeightStore


@pytest.fixture(scope="session")
def nets(store: WeightStore) -> Nets:
    return Nets(store, torch.device("cpu"))


@pytest.fixture(scope="session")
def seen(clips: Path, store: WeightStore, nets: Nets) -> footage.Footage:
    """Ten seconds of a woman; held out: no part of Lipsmith was trained on her."""
    shot, cpu = clips / "video/hdtf_woman_256_10s.mp4", torch.device("cpu")
    return footage.look(shot, store=store, nets=nets, device=cpu, threads=2, progress=silent)
