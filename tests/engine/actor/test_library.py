"""The library: what retrieval chooses by is what a mouth's picture shows."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.engine.actor.test_inside import SIDE, SKIN, UNIT, lips, painted

pytest.importorskip("torch")

from lipsmith.engine import mouth
from lipsmith.engine.actor.library import Library, LibraryWriter, new_archive
from lipsmith.engine.faces.align import Placement
from lipsmith.engine.faces.measure import Measured
from lipsmith.engine.faces.points import LOWER_FACE
from lipsmith.engine.media import color
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.spec import Coding, ColorSpec

FRAMES, MET = 5, 2  # in one of them lips meet, which smoothing in time takes for parted ones
GAP, WIDTH, HEIGHT = 0.02, 64, 64


def measured(lower: np.ndarray, jitter: np.ndarray, unit: float, middle: float) -> Measured:
    count, everywhere = len(lower), np.ones(len(lower), bool)
    return Measured(
        np.arange(count),
        np.zeros(count, np.int32),
        lower.astype(np.float32),
        Placement(np.full(count, unit), np.tile(np.eye(3), (count, 1, 1)), np.full((count, 3), middle)),
        jitter.astype(np.float16),
        np.zeros((count, 4), np.float32),
        everywhere,
        everywhere,
        np.ones(count, np.float32),
        np.zeros(count, bool),
    )


def library(path: Path, footage: Measured, pictures: Iterable[np.ndarray]) -> tuple[Library, color.Tones]:
    """Of (H, W) luma pictures, full range."""
    coding = Coding("yuv420p", 8, ColorSpec(2, 2, 2, "pc"))
    with new_archive(path) as archive:
        writer = LibraryWriter(archive, footage, np.arange(len(footage)))
        for number, luma in enumerate(pictures):
            planes = np.concatenate([luma, np.full((len(luma) // 2, luma.shape[1]), 128, np.uint8)])
            frame = Frame(number, number, Fraction(1, 25), av.VideoFrame.from_ndarray(planes, format="yuv420p"))
            writer.add(writer.packed(writer.glimpse(frame, luma.shape[1], len(luma)), coding, None))
    index = writer.index()
    return Library(path, index, index.indices), color.Tones.of(coding)


def test_lips_that_meet_for_one_frame_count_as_met(tmp_path: Path) -> None:
    lower = np.random.default_rng(3).normal(0, 0.1, (1, len(LOWER_FACE), 3)).repeat(FRAMES, 0)
    for upper, under in mouth.GAP_PAIRS:
        lower[:, under, 1] = lower[:, upper, 1] + GAP
    jitter = np.zeros(lower.shape)
    for _, under in mouth.GAP_PAIRS:
        jitter[MET, under, 1] = -GAP
    grey = np.full((HEIGHT, WIDTH), 120, np.uint8)
    actor, _ = library(tmp_path / "actor", measured(lower, jitter, 40.0, 32.0), [grey] * FRAMES)
    with actor:
        opening = mouth.gaps(actor.index.points).mean(1)
    assert opening[MET] == pytest.approx(0, abs=1e-3)
    assert np.delete(opening, MET) == pytest.approx(GAP, abs=1e-3)


def of_openings(opening: float, insides: Iterable[float], path: Path) -> tuple[Library, color.Tones]:
    """One whose lips are so far apart in every picture, with these lumas between them."""
    pictures = [np.rint(255 * painted(opening, luma)).astype(np.uint8) for luma in insides]
    face = np.random.default_rng(5).normal(0, 0.2, (1, len(LOWER_FACE), 3)).repeat(len(pictures), 0)
    face[:, : len(mouth.MOUTH), :2] = (lips(opening) - SIDE / 2) / UNIT
    return library(path, measured(face, np.zeros(face.shape), UNIT, SIDE / 2), pictures)


def test_how_dark_it_is_in_him_his_darker_mouths_tell(tmp_path: Path) -> None:
    throat, teeth = 0.25 * SKIN, 0.7 * SKIN
    actor, tones = of_openings(0.1, [throat] * 6 + [teeth] * 6, tmp_path / "actor")
    with actor:
        found = actor.hollow(tones)
    assert found is not None
    assert found == pytest.approx(np.array([0.25, 0, 0]), abs=0.03)


def test_of_one_who_is_silent_nothing_is_known(tmp_path: Path) -> None:
    actor, tones = of_openings(0.01, [0.1] * 12, tmp_path / "actor")
    with actor:
        assert actor.hollow(tones) is None
