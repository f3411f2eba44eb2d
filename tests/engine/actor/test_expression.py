"""Expression: a smile survives, syllables and opening do not."""

from __future__ import annotations

import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.actor import calibration
from lipsmith.engine.actor.expression import expression

RATE = 25.0
CORNERS = list(mouth._CORNERS)


def talking(count: int = 200) -> tuple[np.ndarray, calibration.Calibration]:
    """(N, 51, 3) mouths that open at 4 Hz and nothing else, and who makes them."""
    rng = np.random.default_rng(0)
    rest = rng.normal(0, 0.05, (51, 3))
    for upper, lower in mouth._FACING:
        rest[lower, 1] = rest[upper, 1] + 0.005
    opening = np.zeros((51, 3))
    opening[list(mouth._FACING[:, 1]), 1] = 1
    amount = 0.03 * (1 + np.sin(2 * np.pi * 4 * np.arange(count) / RATE))
    points = rest + amount[:, None, None] * opening
    return points, calibration.calibrate(points, points[amount.argmin()])


def test_a_smile_in_half_of_the_shot_is_kept() -> None:
    points, fit = talking()
    points[100:, CORNERS, 1] -= 0.03
    kept = expression(points, np.zeros(200, int), fit, RATE)
    risen = kept[170:, CORNERS, 1].mean() - kept[:30, CORNERS, 1].mean()
    assert -0.031 < risen < -0.027


def test_speech_itself_is_no_expression() -> None:
    points, fit = talking()
    kept = expression(points, np.zeros(200, int), fit, RATE)
    assert np.abs(kept).max() < 0.004
    assert np.abs(mouth.gap(kept)).max() < 1e-6


def test_nothing_is_smoothed_across_a_cut() -> None:
    points, fit = talking()
    points[100:, CORNERS, 1] -= 0.03
    shot = np.repeat([0, 1], 100)
    kept = expression(points, shot, fit, RATE)
    assert np.isclose(kept[100, CORNERS, 1].mean() - kept[99, CORNERS, 1].mean(), -0.03, atol=2e-3)
