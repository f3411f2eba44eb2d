"""A face's detail: less where it is blurred, the same at any size, and speech has no part in it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.engine.faces.test_align import face

from lipsmith.engine.faces.detail import blurred, detail

BRIDGE, UNDER_NOSE, WIDTH = 168, 2, 200  # of `face`


def picture() -> np.ndarray:
    rng, drawn = np.random.default_rng(5), np.full((500, 700, 3), 170, np.uint8)
    for _ in range(900):
        middle = tuple(int(x) for x in rng.uniform(0, [700, 500]))
        cv2.circle(drawn, middle, int(rng.uniform(2, 14)), rng.uniform(60, 220, 3).tolist(), -1, cv2.LINE_AA)
    return drawn


def test_blur_takes_detail_away() -> None:
    sharp, points = picture(), face()
    found = [detail(cv2.GaussianBlur(sharp, (0, 0), sigma), points) for sigma in (0.5, 2, 4, 8)]
    assert found == sorted(found, reverse=True) and found[0] > 3 * found[-1] > 0


@pytest.mark.parametrize("times", [0.75, 2.0])
def test_size_does_not_matter(times: float) -> None:
    soft, points = cv2.GaussianBlur(picture(), (0, 0), 3), face()
    other = cv2.resize(soft, None, fx=times, fy=times, interpolation=cv2.INTER_AREA if times < 1 else cv2.INTER_CUBIC)
    assert detail(other, points * times) == pytest.approx(detail(soft, points), rel=0.1)


def test_what_is_below_the_nose_has_no_part_in_it() -> None:
    shot, points = picture(), face()
    points[UNDER_NOSE] = points[BRIDGE] + np.array([0, 0.36 * WIDTH, 0], np.float32)
    other = shot.copy()
    other[int(points[UNDER_NOSE, 1] + 0.1 * WIDTH) :] = 0
    assert detail(other, points) == detail(shot, points)


def test_axes_are_apart() -> None:
    codes = picture().astype(np.float32)
    both = blurred(blurred(codes, 2.0, 0), 2.0, 1)
    assert np.allclose(both, cv2.GaussianBlur(codes, (13, 13), 2.0), atol=0.01)
