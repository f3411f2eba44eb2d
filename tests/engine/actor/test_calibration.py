"""Calibration: the wanted opening survives, the shapes stay the actor's."""

from __future__ import annotations

import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.actor import calibration


def an_actor(count: int = 200) -> np.ndarray:
    """(S, 51, 3) mouths that open and widen along two directions with a little noise."""
    rng = np.random.default_rng(0)
    rest = rng.normal(0, 0.05, (51, 3))
    for upper, lower in mouth._FACING:
        rest[lower, 1] = rest[upper, 1] + 0.005
    opening, widening = np.zeros((51, 3)), np.zeros((51, 3))
    opening[list(mouth._FACING[:, 1]), 1] = 1
    opening[-11:, 1] = 0.9
    widening[mouth._CORNERS[1], 0], widening[mouth._CORNERS[0], 0] = 0.5, -0.5
    amounts = rng.uniform(0, 1, (count, 2)) * [0.12, 0.06]
    shapes = rest + amounts[:, :1, None] * opening + amounts[:, 1:, None] * widening
    return (shapes + rng.normal(0, 1e-4, shapes.shape)).astype(np.float32)


def test_opening_and_width_survive_projection() -> None:
    library = an_actor()
    fit = calibration.calibrate(library, library[mouth.gap(library).argmin()])
    goals = library[:50] + 0.005 * np.random.default_rng(1).normal(size=(50, 51, 3)).astype(np.float32)
    own = calibration.project(goals, library, fit)
    inside = (mouth.gap(goals) > fit.gap_range[0]) & (mouth.gap(goals) < fit.gap_range[1])
    assert np.allclose(mouth.gap(own)[inside], mouth.gap(goals)[inside], atol=2e-3)


def test_projection_brings_a_foreign_shape_home() -> None:
    library = an_actor()
    fit = calibration.calibrate(library, library[0])
    foreign = library[:20].copy()
    foreign[:, 5] += 0.05  # one point no mouth of his ever moves so
    own = calibration.project(foreign, library, fit)
    assert np.abs(own[:, 5] - library[:20, 5]).max() < 0.01


def test_no_mouth_opens_far_beyond_what_was_seen() -> None:
    library = an_actor()
    fit = calibration.calibrate(library, library[0])
    wide = library[:5] + 3.0 * fit.opening
    own = calibration.project(wide, library, fit)
    assert mouth.gap(own).max() < fit.gap_range[1] * 1.25


def test_the_gain_is_his_range_over_the_usual_one() -> None:
    library = an_actor()
    fit = calibration.calibrate(library, library[0])
    assert np.isclose(fit.gain, np.clip(mouth.gap(library).std() / mouth.UNIT_GAP_DEVIATION, 0.6, 1.6), rtol=1e-3)
