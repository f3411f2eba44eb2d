"""The judge on files whose differences are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from lipsmith.engine.quality.fidelity import IDENTICAL_DB, Fidelity, _most_different, judge, psnr_db
from lipsmith.weights import WeightStore


def remade(source: Path, target: Path, edit: Callable[[np.ndarray], np.ndarray]) -> Path:
    """The source's pictures, edited as (H, W, 3) uint8 RGB, encoded finely."""
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        stream = after.add_stream("libx264", rate=25, options={"crf": "12", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = (
            before.streams.video[0].width,
            before.streams.video[0].height,
            "yuv420p",
        )
        for frame in before.decode(video=0):
            picture = av.VideoFrame.from_ndarray(edit(frame.to_ndarray(format="rgb24")), format="rgb24")
            picture.pts, picture.time_base = frame.pts, frame.time_base
            picture.pts, picture.time_base = frame.pts, frame.time_base
            after.mux(stream.encode(picture))
        after.mux(stream.encode())
    return target


@pytest.fixture(scope="module")
def itself(talking_shot: Path, store: WeightStore) -> Fidelity:
    return judge(talking_shot, talking_shot, store=store)


def test_a_file_is_faithful_to_itself(itself: Fidelity) -> None:
    assert itself.frames == 50
    assert itself.outside_psnr_db == IDENTICAL_DB
    assert itself.outside_max_difference == 0
    (actor,) = itself.actors
    assert not actor.edited
    assert (actor.sharpness_ratio, actor.jerk_ratio, actor.seam) == (1.0, 1.0, 0.0)
    assert np.array_equal(actor.opening_source, actor.opening_dub)
    assert itself.warnings == ("No mouth differs from the source more than its surroundings.",)


def test_the_curve_follows_the_mouth(itself: Fidelity) -> None:
    (actor,) = itself.actors
    assert len(actor.opening_source) == 50
    assert np.nanmin(actor.opening_source) < 0.03 < 0.05 < np.nanmax(actor.opening_source)
    assert 0 < actor.closed_share_source < 0.6


def test_a_blurred_mouth_is_an_edited_and_softer_one(
    itself: Fidelity, talking_shot: Path, store: WeightStore, tmp_path: Path
) -> None:
    box = itself.actors[0].moments[0].mouth

    def blur(picture: np.ndarray) -> np.ndarray:
        import cv2

        part = picture[box.top - 20 : box.bottom + 20, box.left - 20 : box.right + 20]
        picture[box.top - 20 : box.bottom + 20, box.left - 20 : box.right + 20] = cv2.GaussianBlur(part, (0, 0), 4)
        return picture

    found = judge(talking_shot, remade(talking_shot, tmp_path / "dub.mp4", blur), store=store)
    (actor,) = found.actors
    assert actor.edited
    assert actor.sharpness_ratio < 0.5
    assert found.outside_psnr_db > 40


def test_psnr_of_known_differences() -> None:
    assert psnr_db(0.0, 100) == IDENTICAL_DB
    assert psnr_db(255.0**2 * 10, 10) == 0.0
    assert psnr_db(100.0, 100) == pytest.approx(48.13, abs=0.01)


def test_moments_are_spread_and_where_the_mouths_differ() -> None:
    one = np.zeros(120, np.float32)
    other = one.copy()
    other[[9, 10, 55]] = 1.0
    chosen = _most_different(one, other, range(120))
    assert len(chosen) == 12
    assert {9, 55} <= set(chosen)
    assert min(np.diff(chosen)) > 3
