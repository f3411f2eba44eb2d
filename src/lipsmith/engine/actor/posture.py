"""Where an actor's mouth sits on his face, by where his head points.

The mesh reads the depth of a turned face a little wrongly, so that in the face's own frame his mouth wanders by up to
two hundredths of the face's width as he turns. Takes his mouths and head turns, gives that wandering for any turn: a
mouth that did not wander along would slide on the face. Opening and width are no part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipsmith.engine.actor.calibration import Calibration, parts
from lipsmith.engine.faces import align

_ALIKE_DEGREES = 5.0  # deviation of the Gaussian by which turns are alike
_DOUBT = 5.0  # frames: as many with no wandering at all stand against those of a like turn


@dataclass(frozen=True)
class Posture:
    """Kernel regression (Nadaraya 1964, Watson 1964) of the wandering on yaw and pitch, drawn towards none."""

    turns: np.ndarray  # (S, 2) yaw and pitch of his footage, degrees
    wandering: np.ndarray  # (S, 51, 3) of his mouth there, face widths; its gap and width are 0

    @classmethod
    def learn(cls, points: np.ndarray, rotation: np.ndarray, calibration: Calibration) -> Posture:
        """From his (S, 51, 3) mouths and the (S, 3, 3) rotations of his head."""
        silent = calibration.with_width(calibration.with_gap(points, 0.0), 0.0)
        return cls(align.turns(rotation), silent - silent.mean(0))

    def at(self, rotation: np.ndarray) -> np.ndarray:
        """(T, 3, 3) rotations of his head -> (T, 51, 3) how his mouth wanders there, face widths."""
        flat = self.wandering.reshape(len(self.turns), -1)
        found = []
        for turns in parts(align.turns(rotation)):
            apart = np.square(turns[:, None] - self.turns).sum(-1)
            like = np.exp(-apart / (2 * _ALIKE_DEGREES**2))
            found.append(like @ flat / (like.sum(1, keepdims=True) + _DOUBT))
        return np.concatenate(found).reshape(-1, *self.wandering.shape[1:])
