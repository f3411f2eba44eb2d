"""Between the lips nothing is drawn out: teeth stay with their lip, and the dark between them opens and closes."""

from __future__ import annotations

import numpy as np
import pytest
from tests.engine.render.test_interior import UNIT, lips

from lipsmith.engine.render.interior import Opening
from lipsmith.engine.render.teeth import Between, with_teeth
from lipsmith.engine.render.warp import BackwardMap

SIDE, MIDDLE = 200, 100
TOOTH = 6  # pixels of teeth below the upper lip and above the lower one


@pytest.mark.parametrize(("filmed", "wanted"), [(0.08, 0.14), (0.08, 0.1), (0.1, 0.07), (0.08, 0.08)])
def test_teeth_stay_with_their_lips(filmed: float, wanted: float) -> None:
    where, _ = _shown(filmed, wanted)
    column = where.y[:, MIDDLE]
    for lip, towards in ((-1, 1), (1, -1)):
        ours, theirs = (MIDDLE + lip * 0.5 * height * UNIT for height in (wanted, filmed))
        inside = round(ours + towards * (TOOTH - 2))
        assert column[inside] - theirs == pytest.approx(inside - ours, abs=1.5)


@pytest.mark.parametrize(("filmed", "wanted"), [(0.02, 0.1), (0.05, 0.14), (0.08, 0.1), (0.1, 0.04), (0.12, 0.03)])
def test_it_never_turns_back(filmed: float, wanted: float) -> None:
    where, between = _shown(filmed, wanted)
    rows, columns = between.part
    deep = between.matte == 1
    steps = np.diff(where.y[rows, columns], axis=0)[(deep[1:] & deep[:-1])]
    assert len(steps)
    assert steps.min() > -0.05


def test_what_was_not_filmed_is_told() -> None:
    (_, much), (_, none), (_, less) = _shown(0.03, 0.12), _shown(0.08, 0.085), _shown(0.1, 0.06)
    assert much.spread.max() > 0.9
    assert less.spread.max() == 0
    assert none.spread.max() < 0.5


def test_the_same_opening_is_the_same_map() -> None:
    where, between = _shown(0.1, 0.1)
    rows, columns = between.part
    still = np.arange(SIDE, dtype=np.float32)
    assert np.abs(where.y - still[:, None])[rows, columns][between.matte == 1].max() < 0.5
    assert np.abs(where.x - still)[rows, columns][between.matte == 1].max() < 0.5


def test_outside_the_lips_the_warp_is_as_it_was() -> None:
    where, between = _shown(0.05, 0.12)
    rows, columns = between.part
    outside = np.ones((SIDE, SIDE), bool)
    outside[rows, columns] = between.matte == 0
    straight = _straight(0.05, 0.12)
    assert np.array_equal(where.y[outside], straight.y[outside])
    assert np.array_equal(where.x[outside], straight.x[outside])


def _shown(filmed: float, wanted: float) -> tuple[BackwardMap, Between]:
    own, goal = (Opening.of(lips(height), UNIT) for height in (filmed, wanted))
    return with_teeth(_straight(filmed, wanted), goal, own, _picture(filmed))


def _straight(filmed: float, wanted: float) -> BackwardMap:
    """A warp that spreads all rows alike."""
    x, y = np.meshgrid(np.arange(SIDE, dtype=np.float32), np.arange(SIDE, dtype=np.float32))
    return BackwardMap(x, (y - MIDDLE) * np.float32(filmed / wanted) + MIDDLE, 0.0)


def _picture(filmed: float) -> np.ndarray:
    """Light teeth at both lips, dark in between."""
    codes = np.full((SIDE, SIDE, 3), 90, np.uint8)
    half = 0.5 * filmed * UNIT
    rows = np.abs(np.arange(SIDE) - MIDDLE)
    codes[(rows < half) & (rows > half - TOOTH)] = 220
    codes[rows <= half - TOOTH] = 20
    return codes
