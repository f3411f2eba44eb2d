"""Pictures that are shown again, told from those in which little moves."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from lipsmith.engine.media.held import HeldFinder

RNG = np.random.default_rng(1)
WALL = RNG.integers(60, 190, (90, 160, 3))


def shown(moments: Iterable[float]) -> frozenset[int]:
    """A disc that goes round before a wall, seen at these moments with a camera's noise."""
    finder = HeldFinder()
    y, x = np.indices((90, 160))
    for index, moment in enumerate(moments):
        disc = np.hypot(x - 80 - 40 * np.cos(moment), y - 45 - 30 * np.sin(moment)) < 12
        picture = np.where(disc[..., None], 30, WALL) + np.random.default_rng(index).normal(0, 0.5, WALL.shape)
        finder.push(np.clip(picture, 0, 255).astype(np.uint8), index)
    return finder.held()


@pytest.mark.parametrize(("of", "every"), [(4, 5), (1, 2), (2, 5), (14, 15)])
def test_a_cadence_is_seen(of: int, every: int) -> None:
    """So many pictures for so many frames."""
    moments = np.arange(120) * of // every
    expected = {i for i in range(1, 120) if moments[i] == moments[i - 1]}
    found = shown(0.2 * moments)
    assert found <= expected and len(found) > 0.9 * len(expected) - 1


def test_who_moves_or_pauses_holds_nothing() -> None:
    assert not shown(0.2 * np.arange(100))
    assert not shown(np.interp(np.arange(100), [0, 40, 60, 100], [0, 8, 8, 16]))
    assert not shown(2 * np.sin(np.arange(100) / 5)), "and at each turn it is still for one picture"


def test_what_lies_between_two_stretches_is_not_compared() -> None:
    finder = HeldFinder()
    for index in [*range(50), *range(80, 130)]:
        finder.push(np.random.default_rng(index % 80).integers(0, 255, (20, 30, 3), np.uint8), index)
    assert 80 not in finder.held()
