"""A bitten lip is no open mouth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsmith.engine import mouth
from lipsmith.engine.actor import inside

UNIT = 300.0


def lips(opening: float) -> np.ndarray:
    """(51, 2) pixels: inner lips `opening` face widths apart, outer ones around them."""
    points = np.zeros((len(mouth.MOUTH), 2))
    across = np.linspace(-0.15, 0.15, 11)
    for lower, upper, bulge in ((slice(0, 11), slice(11, 20), 0.05), (slice(20, 31), slice(31, 40), 0.0)):
        half = (0.5 * opening + bulge) * (1 - (across / 0.15) ** 2)
        points[lower], points[upper] = np.stack([across, half], 1), np.stack([across, -half], 1)[1:-1]
    return UNIT * points + 150


def shown(opening: float, inner: float) -> float:
    """What is found of a mouth with luma `inner` between lips of 0.4 in skin of 0.5."""
    luma, points = np.full((300, 300), 0.5, np.float32), lips(opening)
    cv2.fillPoly(luma, [np.rint(points[:20]).astype(np.int32)], 0.4)
    cv2.fillPoly(luma, [np.rint(points[20:40]).astype(np.int32)], inner)
    return inside.darkest(luma, points, UNIT)


@pytest.mark.parametrize("inner", [0.05, 0.2, 0.45])
def test_what_lies_between_the_lips_is_held_against_the_skin(inner: float) -> None:
    assert shown(0.08, inner) == pytest.approx(inner / 0.5, abs=0.05)


def test_a_dark_spot_is_enough() -> None:
    luma, points = np.full((300, 300), 0.5, np.float32), lips(0.1)
    cv2.fillPoly(luma, [np.rint(points[20:40]).astype(np.int32)], 0.9)  # teeth
    luma[150:153, 115:185] = 0.1
    assert inside.darkest(luma, points, UNIT) < 0.4


def mouths(gaps: list[float]) -> np.ndarray:
    points = np.zeros((len(gaps), len(mouth.MOUTH), 3))
    points[:, mouth.GAP_PAIRS[0][1], 1] = gaps
    return points


def test_open_mouths_without_a_dark_are_mistaken_where_the_others_have_one() -> None:
    dark = np.array([0.2] * 10 + [0.75, 0.75, np.nan])
    found = inside.mistaken(mouths([0.06] * 11 + [0.01, 0.08]), dark)
    assert found.tolist() == [False] * 10 + [True, False, False]


def test_whoever_never_shows_a_dark_is_as_he_is() -> None:
    assert not inside.mistaken(mouths([0.06] * 12), np.full(12, 0.8)).any()
    assert not inside.mistaken(mouths([0.06] * 4), np.array([0.2, 0.2, 0.2, 0.9])).any()  # too few to tell
