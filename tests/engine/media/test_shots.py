"""Cuts are found on their frame; flashes and motion are none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lipsmith.engine.media import decode
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.shots import ANALYSIS_WIDTH, CutFinder

CLIPS = Path(os.environ.get("LIPSMITH_CLIPS", Path(__file__).parents[4] / "shared" / "clips"))


def scene(hue: int, number: int) -> np.ndarray:
    rows, columns = np.mgrid[0:90, 0:160]
    picture = np.stack([columns * 0.6 + hue, rows + hue * 0.5, 200 - hue + 0 * rows], axis=2)
    picture[30:60, 40 + number % 40 : 70 + number % 40] = 230
    return np.clip(picture, 0, 255).astype(np.uint8)


def found(pictures: list[np.ndarray]) -> tuple[int, ...]:
    finder = CutFinder()
    for index, picture in enumerate(pictures):
        finder.push(picture, index)
    return finder.cuts()


def test_cuts_are_found_on_their_first_frame() -> None:
    pictures = [scene(0 if number < 30 else 120 if number < 55 else 40, number) for number in range(90)]
    assert found(pictures) == (30, 55)


def test_one_shot_has_none() -> None:
    assert found([scene(60, number) for number in range(75)]) == ()


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_no_cut(length: int) -> None:
    pictures = [scene(60, number) for number in range(60)]
    for number in range(25, 25 + length):
        pictures[number] = np.full_like(pictures[number], 250)
    assert found(pictures) == ()


@pytest.mark.parametrize(
    ("clip", "cuts"),
    [
        ("hard/multishot_rap_10s.mp4", (20, 82, 211)),
        ("hard/dark_profile_zh_11s.mp4", ()),
        ("video/child_green_512_9s.mp4", ()),
    ],
)
def test_real_clips(clip: str, cuts: tuple[int, ...]) -> None:
    if not (CLIPS / clip).is_file():
        pytest.skip(f"{clip} is not here")
    spec = probe(CLIPS / clip)
    video = require_video(spec)
    height = round(video.height * ANALYSIS_WIDTH / video.width)
    assert found([decode.rgb(frame, ANALYSIS_WIDTH, height) for frame in decode.frames(spec)]) == cuts
