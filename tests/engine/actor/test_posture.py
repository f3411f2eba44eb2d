"""Posture: what wanders with the head is found again, speech is not taken for it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.engine.actor.test_calibration import an_actor

from lipsmith.engine import mouth
from lipsmith.engine.actor.calibration import Calibration, calibrate
from lipsmith.engine.actor.posture import Posture
from lipsmith.engine.faces import align

PER_DEGREE = 5e-4  # face widths sideways


def turned(degrees: np.ndarray) -> np.ndarray:
    """(N, 3, 3) rotations of a head turned to the side."""
    found = np.stack([cv2.Rodrigues(np.array([0, np.radians(angle), 0]))[0] for angle in degrees])
    return found if align.turns(found)[:, 0] @ degrees > 0 else found.transpose(0, 2, 1)


def an_actor_who_turns() -> tuple[np.ndarray, np.ndarray, Calibration]:
    """Mouths that wander to the side as he turns by up to 30 degrees, his turns, and his calibration."""
    mouths = an_actor(400)
    yaw = np.random.default_rng(3).uniform(-30, 30, len(mouths))
    mouths[..., 0] += (PER_DEGREE * yaw)[:, None]
    return mouths, yaw, calibrate(mouths, mouths[mouth.gap(mouths).argmin()])


@pytest.mark.parametrize("yaw", [-20.0, 0.0, 20.0])
def test_a_mouth_wanders_as_it_was_seen_to(yaw: float) -> None:
    mouths, turns, fit = an_actor_who_turns()
    wandered = Posture.learn(mouths, turned(turns), fit).at(turned(np.array([yaw, yaw])))
    assert wandered.shape == (2, 51, 3)
    assert wandered[0, :40, 0].mean() == pytest.approx(PER_DEGREE * (yaw - turns.mean()), abs=2e-3)
    assert np.abs(mouth.gap(wandered)).max() < 1e-6
    assert np.abs(mouth.width(wandered)).max() < 1e-6


def test_who_only_speaks_does_not_wander() -> None:
    mouths = an_actor(400)
    fit = calibrate(mouths, mouths[mouth.gap(mouths).argmin()])
    posture = Posture.learn(mouths, turned(np.random.default_rng(3).uniform(-30, 30, len(mouths))), fit)
    assert np.abs(posture.at(turned(np.linspace(-30, 30, 7)))).max() < 1e-3


def test_of_a_turn_that_was_never_seen_nothing_is_said() -> None:
    mouths, turns, fit = an_actor_who_turns()
    assert np.abs(Posture.learn(mouths, turned(turns), fit).at(turned(np.array([75.0])))).max() < 1e-3
