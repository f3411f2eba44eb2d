"""The inside of a mouth is drawn where none was filmed, between the lips and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from lipsmith.engine import mouth
from lipsmith.engine.render.interior import (
    COLUMNS,
    ROWS,
    Interior,
    Opening,
    between_lips,
    drawn,
    hollow,
    in_his_light,
    lacking,
)

UNIT = 300.0  # pixels per face width


def lips(opening: float, turned: float = 0.0) -> np.ndarray:
    """(51, 2) a mouth 0.3 wide, lens-shaped, its inner lips `opening` face widths apart in the middle."""
    points = np.zeros((len(mouth.MOUTH), 2))
    across = np.linspace(-0.15, 0.15, 11)
    bulge = 0.5 * opening * (1 - (across / 0.15) ** 2)
    lower, upper = np.stack([across, bulge], 1), np.stack([across, -bulge], 1)
    points[20:31], points[31:40] = lower, upper[1:-1]
    cos, sin = np.cos(turned), np.sin(turned)
    return UNIT * (points @ np.array([[cos, sin], [-sin, cos]])) + 100


@pytest.mark.parametrize("turned", [0.0, 0.3, -0.3])
def test_it_lies_between_the_lips(turned: float) -> None:
    opening = Opening.of(lips(0.1, turned), UNIT)
    (rows, columns), places, matte = between_lips(opening, 200, 200)
    whole = np.zeros((200, 200), np.float32)
    whole[rows, columns] = matte
    assert whole[100, 100] == 1
    assert whole[100 - 20, 100] == whole[100 + 20, 100] == 0
    middle = places[100 - rows.start, 100 - columns.start]
    assert middle == pytest.approx([COLUMNS / 2 - 0.5, ROWS / 2 - 0.5], abs=0.6)


def test_what_is_sampled_and_what_is_drawn_are_the_same_places() -> None:
    opening = Opening.of(lips(0.12, 0.1), UNIT)
    (rows, columns), places, matte = between_lips(opening, 200, 200)
    picture = np.dstack([np.add.outer(np.arange(200.0), 2 * np.arange(200.0))] * 3).astype(np.float32)
    again = drawn(drawn(picture, opening.places()), places)
    deep = matte == 1
    assert np.abs(again - picture[rows, columns])[deep].max() < 8  # half a cell


def test_only_shut_lips_that_are_to_open_lack_an_inside() -> None:
    shut, hardly, half, wide = (Opening.of(lips(size), UNIT).height for size in (0.004, 0.012, 0.05, 0.1))
    assert lacking(wide, shut) == lacking(half, shut) == 1
    assert lacking(wide, half) == lacking(half, wide) == lacking(shut, shut) == lacking(hardly, shut) == 0
    assert 0 < lacking(wide, hardly) < 1


def test_an_inside_is_darker_than_skin_and_the_same_on_both_sides() -> None:
    tones = Interior.load().tones(Opening.of(lips(0.1), UNIT))
    assert tones.shape == (ROWS, COLUMNS, 3)
    assert 0.05 < tones[..., 0].mean() < 0.9
    assert np.allclose(tones, tones[:, ::-1], atol=1e-5)


def test_the_dark_is_the_actors_own_where_it_is_darker() -> None:
    tones = np.full((ROWS, COLUMNS, 3), [0.5, -0.05, 0.1], np.float32)
    filmed = np.full((200, 3), [0.7, 0.0, 0.1], np.float32)  # lips
    assert np.allclose(hollow(tones, filmed, None), 0.7 * tones)
    filmed[:30] = 0.05, 0.01, 0.04  # and a throat between them
    assert np.allclose(hollow(tones, filmed, None), filmed[0])
    assert np.allclose(hollow(tones, filmed[:3], None), 0.7 * tones)


def test_in_haze_no_mouth_is_dark() -> None:
    tones = np.full((ROWS, COLUMNS, 3), [0.5, -0.05, 0.1], np.float32)
    tones[6] = 0.2, 0, 0.1
    tones[-1] = 1, -0.1, 0.1  # as light as the skin
    his = np.array([0.6, -0.02, 0.05], np.float32)
    lifted = in_his_light(tones, his)
    assert np.allclose(lifted[6], his, atol=1e-6)
    assert np.allclose(lifted[-1, :, 0], 1) and np.allclose(lifted[0, :, 0], 0.75)
    assert np.allclose(hollow(tones, np.empty((0, 3)), his), his)
