"""What lies before a face stays as it was filmed: which cells are believed, and where their pixels are."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch")

from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.occluders import GRID
from lipsmith.engine.faces.shield import believed, matte_of
from lipsmith.engine.media.frame import Box


def patch(rows: slice, columns: slice, likely: float) -> np.ndarray:
    cells = np.full((GRID, GRID), 0.02, np.float32)
    cells[rows, columns] = likely
    return cells


def seen(likely: np.ndarray, face: slice = slice(0, GRID)) -> np.ndarray:
    """What is believed where the face fills these columns."""
    there = np.zeros((GRID, GRID), np.uint8)
    there[:, face] = 1
    return believed(likely, there)


def test_nothing_before_the_face_shields_nothing() -> None:
    assert not seen(np.full((GRID, GRID), 0.2, np.float32)).any()


def test_a_sure_patch_counts_whole() -> None:
    found = seen(patch(slice(20, 40), slice(10, 30), 0.95))
    assert (found[20:40, 10:30] == 1).all()
    assert found.sum() == 400


def test_a_doubtful_patch_and_a_speck_do_not_count() -> None:
    assert not seen(patch(slice(20, 40), slice(10, 30), 0.7)).any()
    assert not seen(patch(slice(20, 23), slice(10, 14), 0.99)).any()


def test_what_is_likely_beside_something_sure_counts() -> None:
    cells = patch(slice(20, 40), slice(10, 30), 0.7)
    cells[30, 20] = 0.95
    assert (seen(cells)[20:40, 10:30] == 1).all()


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2])
def test_it_lies_in_the_picture_where_it_was_seen(angle: float) -> None:
    """A square of cells in the middle of the region, seen in a box that begins elsewhere."""
    region = Region(300.0, 260.0, 320.0, angle)
    hidden = np.zeros((GRID, GRID), np.float32)
    hidden[28:36, 40:48] = 1
    box = Box(100, 80, 500, 440)
    kept = matte_of(hidden, region, box)
    assert kept.shape == (360, 400)
    y, x = np.nonzero(kept > 0.5)
    x0, y0 = (43.75 - GRID / 2) * 5, (31.75 - GRID / 2) * 5  # the middle of those cells' pixels, in the region
    cos, sin = math.cos(angle), math.sin(angle)
    middle = np.array([300 + x0 * cos - y0 * sin, 260 + x0 * sin + y0 * cos])
    assert np.allclose([x.mean() + 100, y.mean() + 80], middle, atol=0.6)
    assert len(x) == pytest.approx((8 * 320 / GRID) ** 2, rel=0.12)


def test_a_hole_in_a_thing_is_none() -> None:
    cells = patch(slice(20, 40), slice(10, 30), 0.95)
    cells[28:31, 18:21] = 0.1
    assert (seen(cells)[20:40, 10:30] == 1).all()


def test_what_lies_beside_the_face_is_not_believed() -> None:
    cells = patch(slice(20, 40), slice(10, 30), 0.95)
    assert not seen(cells, slice(30, 64)).any()
    assert seen(cells, slice(28, 64)).any()
