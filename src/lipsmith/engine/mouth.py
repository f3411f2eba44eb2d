"""The one word that speech, actor and render share: what a mouth does, without whose mouth it is.

A *mouth* is 51 points of the face mesh (40 of the lips, 11 of the chin) in the face's own upright frame, in face
widths. A `MouthPath` is T displacements of those points from the closed mouth, as at most 12 numbers each in a basis
learned from many people. Knows no picture, no sound and nobody's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Mesh point numbers (MediaPipe's 478-point topology).
# fmt: off
LIPS_OUTER = (61,146,91,181,84,17,314,405,321,375,291,185,40,39,37,0,267,269,270,409)
LIPS_INNER = (78,95,88,178,87,14,317,402,318,324,308,191,80,81,82,13,312,311,310,415)
# fmt: on
CHIN = (152, 148, 377, 176, 400, 149, 378, 175, 199, 200, 18)
LIPS = LIPS_OUTER + LIPS_INNER  # the set is its own mirror image
MOUTH = LIPS + CHIN  # 51
# Where the lips' two outlines stand among a mouth's points.
OUTER, INNER = slice(0, len(LIPS_OUTER)), slice(len(LIPS_OUTER), len(LIPS))
_AT = {point: i for i, point in enumerate(MOUTH)}

# Pairs (upper, lower) of inner-lip points above each other, mirror pairs around the middle.
GAP_PAIRS = tuple((_AT[u], _AT[lo]) for u, lo in ((13, 14), (82, 87), (312, 317), (81, 178), (311, 402)))
_CORNERS = (_AT[61], _AT[291])
# All inner-lip points that lie above each other, from corner to corner.
_FACING = np.array(
    [
        (_AT[u], _AT[lo])
        for u, lo in (
            (191, 95),
            (80, 88),
            (81, 178),
            (82, 87),
            (13, 14),
            (312, 317),
            (311, 402),
            (310, 318),
            (415, 324),
        )
    ]
)

# Standard deviation of the inner gap, face widths, that generic motion is given in: training scales every speaker to
# it, an actor's calibration scales it back to him. The mean of 66 talkers was 0.035.
UNIT_GAP_DEVIATION = 0.035

# Of the gap's deviation, face widths: below the first nobody speaks, from the second on somebody does (the least of 16
# talkers is 0.0198). Some who are heard to speak in sync hardly part their lips: 0.0085 and more.
_STILL, _STILL_HEARD = (0.006, 0.016), (0.004, 0.008)

BASIS_FILE = Path(__file__).with_name("mouth_basis.npz")


def gap(points: np.ndarray) -> np.ndarray:
    """Inner-lip gap in the middle of the mouth, (...,) face widths, from (..., 51, 3) points; may dip below 0."""
    upper, lower = GAP_PAIRS[0]
    return points[..., lower, 1] - points[..., upper, 1]


def gaps(points: np.ndarray) -> np.ndarray:
    """Inner-lip gaps at the five `GAP_PAIRS`, (..., 5) face widths."""
    return np.stack([points[..., lower, 1] - points[..., upper, 1] for upper, lower in GAP_PAIRS], -1)


def width(points: np.ndarray) -> np.ndarray:
    """Distance of the mouth's corners along the face's own horizontal, (...,) face widths."""
    right, left = _CORNERS
    return points[..., left, 0] - points[..., right, 0]


def parted(points: np.ndarray, least: float = 0.004) -> np.ndarray:
    """(..., P >= 51, 3) points whose inner lips do not cross: facing points at least `least` face widths apart.

    The mesh lets closed lips overlap by a hair; a warp through crossed points folds the picture.
    """
    upper, lower = _FACING.T
    missing = np.clip(least - (points[..., lower, 1] - points[..., upper, 1]), 0, None) / 2
    out = points.copy()
    out[..., upper, 1] -= missing
    out[..., lower, 1] += missing
    return out


def stillness(points: np.ndarray, *, heard: bool = False) -> float:
    """How far the footage of these (S, 51, 3) mouths shows nobody speaking, in [0, 1]: 0 for all who do.

    `heard`: a voice was found to be in sync with them.
    """
    low, high = _STILL_HEARD if heard else _STILL
    x = min(max((high - float(np.std(gap(points)))) / (high - low), 0.0), 1.0)
    return x * x * (3 - 2 * x)


@dataclass(frozen=True)
class MouthBasis:
    """Directions in which mouths move, over many people, ordered by how much."""

    components: np.ndarray  # (K, 153) float32: displacement of 51 points per unit of a coefficient, face widths

    def __post_init__(self) -> None:
        k, n = self.components.shape
        if k > 12 or n != 3 * len(MOUTH):
            raise ValueError(f"a mouth basis has at most 12 rows of 153 numbers: {self.components.shape = }")

    @classmethod
    def load(cls, path: Path = BASIS_FILE) -> MouthBasis:
        with np.load(path) as stored:
            return cls(stored["components"].astype(np.float32))

    @property
    def size(self) -> int:
        return len(self.components)

    def displacements(self, coefficients: np.ndarray) -> np.ndarray:
        """(T, K) coefficients -> (T, 51, 3) displacements from the closed mouth, face widths."""
        return (coefficients @ self.components).reshape(*coefficients.shape[:-1], len(MOUTH), 3)

    def coefficients(self, displacements: np.ndarray) -> np.ndarray:
        """(T, 51, 3) displacements -> (T, K) coefficients, least squares; float32."""
        flat = displacements.reshape(*displacements.shape[:-2], -1)
        inverse = np.linalg.pinv(self.components.astype(np.float64))  # (153, K)
        return (flat @ inverse).astype(np.float32)


@dataclass(frozen=True)
class MouthPath:
    """What a mouth should do, frame by frame."""

    coefficients: np.ndarray  # (T, K) float32, in units of `MouthBasis`; 0 is the closed mouth at rest

    def __post_init__(self) -> None:
        if self.coefficients.ndim != 2:
            raise ValueError(f"one row per frame: {self.coefficients.shape = }")

    def __len__(self) -> int:
        return len(self.coefficients)
