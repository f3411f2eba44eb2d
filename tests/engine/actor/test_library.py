"""The library: what retrieval chooses by is what a mouth's picture shows."""

from __future__ import annotations

import io
from fractions import Fraction
from zipfile import ZipFile

import av
import numpy as np
import pytest

pytest.importorskip("torch")

from lipsmith.engine import mouth
from lipsmith.engine.actor.library import LibraryWriter
from lipsmith.engine.faces.align import Placement
from lipsmith.engine.faces.measure import Measured
from lipsmith.engine.faces.points import LOWER_FACE
from lipsmith.engine.media import color
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.spec import ColorSpec

FRAMES, MET = 5, 2  # in one of them lips meet, which smoothing in time takes for parted ones
GAP, WIDTH, HEIGHT = 0.02, 64, 64


def fast_lips() -> Measured:
    lower = np.random.default_rng(3).normal(0, 0.1, (1, len(LOWER_FACE), 3)).repeat(FRAMES, 0).astype(np.float32)
    for upper, under in mouth.GAP_PAIRS:
        lower[:, under, 1] = lower[:, upper, 1] + GAP
    jitter = np.zeros(lower.shape, np.float16)
    for _, under in mouth.GAP_PAIRS:
        jitter[MET, under, 1] = -GAP
    everywhere = np.ones(FRAMES, bool)
    return Measured(
        np.arange(FRAMES),
        np.zeros(FRAMES, np.int32),
        lower,
        Placement(np.full(FRAMES, 40.0), np.tile(np.eye(3), (FRAMES, 1, 1)), np.full((FRAMES, 3), 32.0)),
        jitter,
        np.zeros((FRAMES, 4), np.float32),
        everywhere,
        everywhere,
    )


def grey(index: int) -> Frame:
    picture = av.VideoFrame.from_ndarray(np.full((HEIGHT * 3 // 2, WIDTH), 120, np.uint8), format="yuv420p")
    return Frame(index, index, Fraction(1, 25), picture)


def test_lips_that_meet_for_one_frame_count_as_met() -> None:
    measured = fast_lips()
    writer = LibraryWriter(ZipFile(io.BytesIO(), "w"), measured, np.arange(FRAMES))
    tones = color.Tones.of(ColorSpec(2, 2, 2, "tv"), 8, "yuv420p")
    for number in range(FRAMES):
        writer.add(writer.packed(writer.glimpse(grey(number), WIDTH, HEIGHT), 255, tones, None))
    opening = mouth.gaps(writer.index().points).mean(1)
    assert opening[MET] == pytest.approx(0, abs=1e-4)
    assert np.delete(opening, MET) == pytest.approx(GAP, abs=1e-4)
