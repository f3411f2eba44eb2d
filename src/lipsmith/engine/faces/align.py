"""The face's own frame: where a mouth is on the head, whatever the head does.

Takes landmarks in pixels, gives points in *face widths* in an upright frontal frame, and the way back. Alignment is a
similarity in three dimensions on the points that speech does not move (`points.STABLE`), after Umeyama 1991.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lipsmith.engine.faces.points import STABLE

# fmt: off
_MIRROR = {67:297, 109:338, 33:263, 133:362, 70:300, 63:293, 46:276, 127:356, 234:454, 93:323}
# fmt: on
_CHEEKS = (234, 454)  # face width is their distance
_ORIGIN = 168  # bridge of the nose
_REFERENCE_FRAMES = 400  # rows that make an actor's mean face
_TOGETHER = 2048  # rows placed at once
_TEMPLATE = Path(__file__).with_name("template.npy")  # (30, 3) STABLE points of a mean, symmetric, frontal face


@dataclass(frozen=True)
class Placement:
    """Where the face's own frame lies in each picture: pixels = scale * (own @ rotation) + shift."""

    scale: np.ndarray  # (N,) float32, pixels per face width
    rotation: np.ndarray  # (N, 3, 3) float32
    shift: np.ndarray  # (N, 3) float32, pixels

    def to_picture(self, own: np.ndarray) -> np.ndarray:
        """(N, P, 3) points in face widths -> pixels."""
        return self.scale[:, None, None] * (own @ self.rotation) + self.shift[:, None]

    def to_own(self, pixels: np.ndarray) -> np.ndarray:
        """(N, P, 3) points in pixels -> face widths."""
        return (pixels - self.shift[:, None]) @ self.rotation.transpose(0, 2, 1) / self.scale[:, None, None]

    def rows(self, which: slice | np.ndarray) -> Placement:
        return Placement(self.scale[which], self.rotation[which], self.shift[which])

    def yaw_degrees(self) -> np.ndarray:
        """(N,) turn of the head left or right; 0 is frontal."""
        return turns(self.rotation)[:, 0]


def turns(rotation: np.ndarray) -> np.ndarray:
    """(N, 2) yaw and pitch in degrees of (N, 3, 3) rotations of a `Placement`; 0 is frontal."""
    return np.degrees(np.arcsin(np.clip(rotation[:, 2, :2], -1, 1)))


def place(stable: np.ndarray) -> Placement:
    """The placement of one actor's face in each of (N, 30, 3) `STABLE` points, pixels."""
    step = max(1, len(stable) // _REFERENCE_FRAMES)
    reference = _mean_face(stable[::step].astype(np.float64))
    parts = [
        _similarity(np.broadcast_to(reference, part.shape), part.astype(np.float64))
        for part in (stable[start : start + _TOGETHER] for start in range(0, max(len(stable), 1), _TOGETHER))
    ]
    return Placement(*(np.concatenate(values).astype(np.float32) for values in zip(*parts, strict=True)))


def _mean_face(stable: np.ndarray) -> np.ndarray:
    """(30, 3) stable points of the actor, in face widths, upright; origin at the bridge of the nose."""
    template = np.load(_TEMPLATE).astype(np.float64)
    reference = template
    for _ in range(3):
        goal = np.broadcast_to(reference, stable.shape)
        scale, rotation, shift = _similarity(stable, goal)
        reference = (scale[:, None, None] * (stable @ rotation) + shift[:, None]).mean(0)
    scale, rotation, shift = _similarity(reference[None], template[None])  # upright again, after three rounds
    reference = reference @ rotation[0]
    right, left = (reference[STABLE.index(point)] for point in _CHEEKS)
    return (reference - reference[STABLE.index(_ORIGIN)]) / np.linalg.norm(left - right)


def _similarity(source: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale (N,), rotation (N, 3, 3), shift (N, 3) with goal = scale * source @ rotation + shift (Umeyama 1991)."""
    mean_s, mean_g = source.mean(1), goal.mean(1)
    from_mean, to_mean = source - mean_s[:, None], goal - mean_g[:, None]
    u, s, vt = np.linalg.svd(from_mean.transpose(0, 2, 1) @ to_mean)
    sign = np.sign(np.linalg.det(u @ vt))
    u[:, :, -1] *= sign[:, None]
    s[:, -1] *= sign
    rotation = u @ vt
    scale = s.sum(1) / (from_mean**2).sum((1, 2))
    shift = mean_g - scale[:, None] * (mean_s[:, None] @ rotation)[:, 0]
    return scale, rotation, shift
