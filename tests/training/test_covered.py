"""Faces with things painted before them: the marks are where the things are, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from covered import Face, Stuff, example
from hands import SIZE, Drawn
from tests.engine.faces.test_align import face as a_face


def grey_face() -> Face:
    points = (a_face()[:, :2] - 300) * 0.35 + 80
    return Face(np.full((160, 160, 3), 128, np.uint8), points.astype(np.float32))


def stuff() -> Stuff:
    y, x = np.indices((SIZE, SIZE)) - SIZE / 2
    disc = (np.hypot(x, y) < SIZE / 3).astype(np.float32)
    return Stuff([Drawn(disc, 0.8 * disc)], [np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)])


def test_examples_are_what_the_net_takes_and_differ() -> None:
    rng = np.random.default_rng(0)
    made = [example(grey_face(), stuff(), rng) for _ in range(40)]
    for one in made:
        assert one.picture.shape == (128, 128, 3) and one.picture.dtype == np.uint8
        assert one.hidden.shape == one.weight.shape == (128, 128)
        assert one.hidden.min() >= 0 and one.hidden.max() <= 1.001
        assert one.weight.min() > 0 and one.weight.max() <= 1.001
    bare = sum(not one.hidden.any() for one in made)
    assert 8 < bare < 32


def test_the_same_seed_gives_the_same() -> None:
    one, other = (example(grey_face(), stuff(), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.picture, other.picture) and np.array_equal(one.hidden, other.hidden)
