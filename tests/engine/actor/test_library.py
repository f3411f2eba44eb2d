"""The library: what retrieval chooses by is what a mouth's picture shows."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from lipsmith.engine import mouth
from lipsmith.engine.actor.library import Library, LibraryWriter, new_archive
from lipsmith.engine.faces.align import Placement
from lipsmith.engine.faces.measure import Measured
from lipsmith.engine.faces.points import LOWER_FACE
from lipsmith.engine.media import color
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.spec import ColorSpec

FRAMES, MET = 5, 2  # in one of them lips meet, which smoothing in time takes for parted ones
GAP, WIDTH, HEIGHT = 0.02, 64, 64
SIDE, UNIT = 200, 160.0
SKIN, LIPS = 150, 120
ACROSS = np.linspace(-0.2, 0.2, 11)


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
    )


def library(path: Path, footage: Measured, pictures: Iterable[np.ndarray]) -> tuple[Library, color.Tones]:
    """Of (H, W) luma pictures, full range."""
    tones = color.Tones.of(ColorSpec(2, 2, 2, "pc"), 8, "yuv420p")
    with new_archive(path) as archive:
        writer = LibraryWriter(archive, footage, np.arange(len(footage)))
        for number, luma in enumerate(pictures):
            planes = np.concatenate([luma, np.full((len(luma) // 2, luma.shape[1]), 128, np.uint8)])
            frame = Frame(number, number, Fraction(1, 25), av.VideoFrame.from_ndarray(planes, format="yuv420p"))
            writer.add(writer.packed(writer.glimpse(frame, luma.shape[1], len(luma)), 255, tones, None))
    index = writer.index()
    return Library(path, index, index.indices), tones


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


def open_mouth() -> np.ndarray:
    """(P, 3) a lower face with lips 0.1 face widths apart."""
    points = np.random.default_rng(5).normal(0, 0.2, (len(LOWER_FACE), 3))
    for lower, upper, half in ((slice(0, 11), slice(11, 20), 0.1), (slice(20, 31), slice(31, 40), 0.05)):
        arch = half * (1 - (ACROSS / 0.2) ** 2)
        points[lower, :2] = np.stack([ACROSS, arch], 1)
        points[upper, :2] = np.stack([ACROSS, -arch], 1)[1:-1]
    return points


def painted(mouth_points: np.ndarray, inside: int) -> np.ndarray:
    picture = np.full((SIDE, SIDE), SKIN, np.uint8)
    for outline, light in ((mouth.OUTER, LIPS), (mouth.INNER, inside)):
        cv2.fillPoly(picture, [np.rint(mouth_points[outline, :2] * UNIT + SIDE / 2).astype(np.int32)], light)
    return picture


def test_how_dark_it_is_in_him_his_darker_mouths_tell(tmp_path: Path) -> None:
    points, insides = open_mouth(), [40] * 6 + [100] * 6  # throats, and teeth
    footage = measured(points[None].repeat(12, 0), np.zeros((12, *points.shape)), UNIT, SIDE / 2)
    actor, tones = library(tmp_path / "actor", footage, [painted(points, light) for light in insides])
    with actor:
        found = actor.hollow(tones)
    assert found is not None
    assert found == pytest.approx(np.array([40 / SKIN, 0, 0]), abs=0.03)


def test_of_one_who_is_silent_nothing_is_known(tmp_path: Path) -> None:
    points = open_mouth()
    points[:, 1] *= 0.1
    footage = measured(points[None].repeat(12, 0), np.zeros((12, *points.shape)), UNIT, SIDE / 2)
    actor, tones = library(tmp_path / "actor", footage, [painted(points, 40)] * 12)
    with actor:
        assert actor.hollow(tones) is None
