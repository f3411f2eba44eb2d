"""The warp against what is known: identity, affine maps, and folds."""

from __future__ import annotations

import numpy as np
import pytest

from lipsmith.engine.render.painter import MOST_FOLDED
from lipsmith.engine.render.warp import Warp, sample

HEIGHT, WIDTH, UNIT = 120, 160, 100.0


def points(count: int = 60) -> np.ndarray:
    return np.random.default_rng(0).uniform([20, 20], [140, 100], (count, 2)).astype(np.float32)


def grid() -> tuple[np.ndarray, np.ndarray]:
    return np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))


def test_points_that_stay_give_the_picture_itself() -> None:
    where = Warp(points(), HEIGHT, WIDTH, UNIT, points()).back_to(points(), held=True)
    picture = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    assert np.array_equal(np.rint(sample(picture, where)).astype(np.uint8), picture)


def test_an_affine_movement_is_followed_everywhere() -> None:
    goal = points()
    matrix, shift = np.array([[1.1, 0.1], [-0.05, 0.9]]), np.array([5.0, -3.0])
    where = Warp(goal, HEIGHT, WIDTH, UNIT, goal).back_to((goal @ matrix + shift).astype(np.float32), held=False)
    x, y = grid()
    expected = np.stack([x, y], -1) @ matrix + shift
    assert np.abs(where.x - expected[..., 0]).max() < 0.1
    assert np.abs(where.y - expected[..., 1]).max() < 0.1
    assert where.folded == 0


def test_wanted_points_are_met() -> None:
    goal = points(30)
    source = goal + np.random.default_rng(2).normal(0, 1.5, goal.shape).astype(np.float32)
    where = Warp(goal, HEIGHT, WIDTH, UNIT, goal).back_to(source, held=True)
    at = np.round(goal).astype(int)
    moved = np.stack([where.x[at[:, 1], at[:, 0]], where.y[at[:, 1], at[:, 0]]], -1) - at
    assert np.abs(moved - (source - goal)).mean() < 0.35


def test_the_border_holds_still() -> None:
    where = Warp(points(), HEIGHT, WIDTH, UNIT, points()).back_to(points() + 4, held=True)
    assert abs(where.x[0, 0]) < 0.3
    assert abs(where.y[-1, -1] - (HEIGHT - 1)) < 0.3


def test_a_fold_is_seen() -> None:
    goal = points()
    source = goal.copy()
    source[:, 1] = HEIGHT - source[:, 1]  # upside down
    assert Warp(goal, HEIGHT, WIDTH, UNIT, goal).back_to(source, held=True).folded > MOST_FOLDED


def test_what_is_filled_otherwise_does_not_fold() -> None:
    goal = points()
    source = goal.copy()
    source[:, 1] = HEIGHT - source[:, 1]
    low, high = goal.min(0) - 12, goal.max(0) + 12
    hole = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    assert Warp(goal, HEIGHT, WIDTH, UNIT, goal, hole).back_to(source, held=True).folded == 0
    half = np.array([low, [high[0], low[1]], [high[0], goal[:, 1].mean()], [low[0], goal[:, 1].mean()]])
    part, whole = (Warp(goal, HEIGHT, WIDTH, UNIT, goal, h).back_to(source, held=True).folded for h in (half, None))
    assert 0.2 * whole < part < 0.8 * whole


@pytest.mark.parametrize(("matrix", "folds"), [([1.1, 0.9], False), ([0.1, 0.1], False), ([0.05, 0.05], True)])
def test_where_nothing_is_left_of_an_area_it_counts_as_folded(matrix: list[float], folds: bool) -> None:
    goal = points()
    where = Warp(goal, HEIGHT, WIDTH, UNIT, goal).back_to((goal * np.float32(matrix)).astype(np.float32), held=False)
    inside = np.clip(np.stack([goal.min(0) - 6, goal.max(0) + 6]), 0, [WIDTH - 1, HEIGHT - 1])
    assert where.folded == pytest.approx(folds * np.prod(np.ptp(inside, 0)) / UNIT**2, rel=0.01)


def test_what_is_still_stays_and_all_else_moves_as_before() -> None:
    where = Warp(points(), HEIGHT, WIDTH, UNIT, points()).back_to(points() + 4, held=True)
    still = np.zeros((HEIGHT, WIDTH), np.float32)
    still[:50, :70] = 1
    calm = where.stilled(still)
    x, y = grid()
    assert np.array_equal(calm.x[:50, :70], x[:50, :70])
    assert np.array_equal(calm.y[:50, :70], y[:50, :70])
    assert np.allclose(calm.x[50:], where.x[50:], atol=1e-4)
    assert np.allclose(calm.y[:, 70:], where.y[:, 70:], atol=1e-4)
