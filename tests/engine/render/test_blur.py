"""The blur that a layer lacks: how much, which way, and only where both witnesses saw it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsmith.engine.render.blur import Blur, lacking_blur

UNIT = 150.0  # pixels per face width
SHARPER = 4.0  # what the whole face says: much
SKIN = np.ones((120, 140), np.float32)


def skin(seed: int = 0) -> np.ndarray:
    """(120, 140) float32 luma with edges of every length and direction."""
    rng, picture = np.random.default_rng(seed), np.full((120, 140), 150, np.float32)
    for _ in range(120):
        middle, axes = rng.uniform(0, 140, 2), rng.uniform(2, 18, 2)
        cv2.ellipse(picture, (middle, 2 * axes, rng.uniform(0, 180)), float(rng.uniform(90, 210)), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), 0.7)


@pytest.mark.parametrize(("down", "across"), [(1.5, 1.5), (0.0, 3.0), (3.0, 0.0), (1.0, 4.0)])
def test_the_blur_is_found(down: float, across: float) -> None:
    face = skin()
    found = lacking_blur(face, Blur(down, across).of(face), SKIN, UNIT, SHARPER)
    assert (found.down, found.across) == pytest.approx((down, across), rel=0.15, abs=0.35)


def test_a_large_face_is_blurred_by_as_many_more_pixels() -> None:
    face = cv2.resize(skin(), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    found = lacking_blur(face, Blur(6.0, 6.0).of(face), np.ones_like(face), 3 * UNIT, SHARPER)
    assert (found.down, found.across) == pytest.approx((6.0, 6.0), rel=0.15)


def test_it_takes_two_witnesses() -> None:
    face = skin()
    blurred = Blur(2.0, 2.0).of(face)
    assert lacking_blur(face, blurred, SKIN, UNIT, 1.0) == Blur()  # the whole face is as sharp: this skin is smoother
    assert lacking_blur(face, face, SKIN, UNIT, SHARPER) == Blur()  # the skin is as sharp: these eyes are shut
    assert lacking_blur(blurred, face, SKIN, UNIT, SHARPER) == Blur()


def test_no_more_is_taken_than_the_whole_face_says() -> None:
    face = skin()
    whole, half = (lacking_blur(face, Blur(2.0, 2.0).of(face), SKIN, UNIT, most) for most in (SHARPER, 1.3))
    assert 0 < half.down < 0.75 * whole.down and 0 < half.across < 0.75 * whole.across


def test_what_is_not_the_same_in_both_does_not_count() -> None:
    face, same = skin(), SKIN.copy()
    plate = face.copy()
    plate[:, 70:] = 150  # a sleeve before half of it
    same[:, 66:] = 0
    assert lacking_blur(face, plate, SKIN, UNIT, SHARPER) != Blur()
    assert lacking_blur(face, plate, same, UNIT, SHARPER) == Blur()


def test_no_blur_changes_nothing() -> None:
    codes = np.dstack([skin(), skin(1), skin(2)])
    assert np.array_equal(Blur().of(codes), codes)
    assert Blur(2.0, 1.0).of(codes).shape == codes.shape
