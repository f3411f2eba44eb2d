"""Mouth points and their basis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipsmith.engine import mouth
from lipsmith.engine.mouth import MouthBasis, MouthPath


def some_points(seed: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, (count, len(mouth.MOUTH), 3)).astype(np.float32)


@given(st.integers(0, 1000), st.floats(0.0, 0.05))
def test_parted_lips_never_cross_and_keep_their_middle(seed: int, least: float) -> None:
    points = some_points(seed)
    parted = mouth.parted(points, least)
    upper, lower = mouth.GAP_PAIRS[0]
    assert (mouth.gaps(parted) >= least - 1e-5).all()
    before = points[:, upper, 1] + points[:, lower, 1]
    assert np.allclose(parted[:, upper, 1] + parted[:, lower, 1], before, atol=1e-5)


def test_parted_leaves_open_mouths_alone() -> None:
    points = some_points(1)
    opened = mouth.parted(points, 0.02)
    assert np.array_equal(mouth.parted(opened, 0.01), opened)


def test_basis_gives_back_the_coefficients_it_was_given() -> None:
    basis = MouthBasis.load()
    given_ = np.random.default_rng(0).normal(size=(7, basis.size)).astype(np.float32)
    assert np.allclose(basis.coefficients(basis.displacements(given_)), given_, atol=1e-3)


def test_a_basis_has_at_most_twelve_numbers() -> None:
    with pytest.raises(ValueError, match="at most 12"):
        MouthBasis(np.zeros((13, 153), np.float32))


def test_a_path_has_one_row_per_frame() -> None:
    with pytest.raises(ValueError, match="one row per frame"):
        MouthPath(np.zeros(10, np.float32))
