"""A bitten lip is no open mouth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lipsmith.engine import mouth
from lipsmith.engine.actor import inside

UNIT = 300.0
SIDE, SKIN, LIPS = 300, 0.5, 0.4  # of a picture; luma


def lips(opening: float) -> np.ndarray:
    """(51, 2) pixels: inner lips `opening` face widths apart, outer ones around them."""
    points = np.zeros((len(mouth.MOUTH), 2))
    across = np.linspace(-0.15, 0.15, 11)
    for lower, upper, bulge in ((slice(0, 11), slice(11, 20), 0.05), (slice(20, 31), slice(31, 40), 0.0)):
        half = (0.5 * opening + bulge) * (1 - (across / 0.15) ** 2)
        points[lower], points[upper] = np.stack([across, half], 1), np.stack([across, -half], 1)[1:-1]
    return UNIT * points + SIDE / 2


def found(luma: np.ndarray, points: np.ndarray) -> inside.Dark:
    return inside.dark_between(np.stack([luma, 0.1 * luma, 0.2 * luma], -1), points, UNIT)


def painted(opening: float, inner: float) -> np.ndarray:
    """(SIDE, SIDE) a mouth with luma `inner` between its lips."""
    luma, points = np.full((SIDE, SIDE), SKIN, np.float32), lips(opening)
    for outline, light in ((mouth.OUTER, LIPS), (mouth.INNER, inner)):
        cv2.fillPoly(luma, [np.rint(points[outline]).astype(np.int32)], light)
    return luma


def shown(opening: float, inner: float) -> inside.Dark:
    """What is found of it."""
    return found(painted(opening, inner), lips(opening))


@pytest.mark.parametrize("inner", [0.05, 0.2, 0.38])
def test_what_lies_between_the_lips_is_held_against_skin_and_lips(inner: float) -> None:
    dark = shown(0.08, inner)
    assert dark.tone == pytest.approx(inner / 0.5 * np.array([1, 0.1, 0.2]), abs=0.05)
    assert dark.of_lips == pytest.approx(inner / 0.4, abs=0.05)
    assert not dark.is_lip


def test_nothing_but_lips_between_lips() -> None:
    assert shown(0.08, 0.4).is_lip


def test_a_dark_spot_is_enough() -> None:
    luma, points = np.full((300, 300), 0.5, np.float32), lips(0.1)
    cv2.fillPoly(luma, [np.rint(points[20:40]).astype(np.int32)], 0.9)  # teeth
    luma[150:153, 115:185] = 0.1
    assert found(luma, points).tone[0] < 0.4


def mouths(gaps: list[float]) -> np.ndarray:
    points = np.zeros((len(gaps), len(mouth.MOUTH), 3))
    points[:, mouth.GAP_PAIRS[0][1], 1] = gaps
    return points


def darks(of_skin: list[float], of_lips: float = 0.5) -> list[inside.Dark]:
    return [inside.Dark(np.array([luma, 0, 0]), of_lips, of_lips + 0.3) for luma in of_skin]


def test_open_mouths_without_a_dark_are_mistaken_where_the_others_have_one() -> None:
    dark = darks([0.2] * 10 + [0.75, 0.75, np.nan])
    found = inside.mistaken(mouths([0.06] * 11 + [0.01, 0.08]), dark)
    assert found.tolist() == [False] * 10 + [True, False, False]


def test_whoever_never_shows_a_dark_is_as_he_is() -> None:
    assert not inside.mistaken(mouths([0.06] * 12), darks([0.8] * 12)).any()
    assert not inside.mistaken(mouths([0.06] * 4), darks([0.2, 0.2, 0.2, 0.9])).any()  # too few to tell


def test_whoever_only_purses_his_lips_opens_no_mouth() -> None:
    found = inside.mistaken(mouths([0.06, 0.06, 0.01]), darks([0.65, 0.65, 0.65], of_lips=0.8))
    assert found.tolist() == [True, True, False]
