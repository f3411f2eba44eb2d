"""What the plate's mouth says without words: the smile or the tension that speech rides on.

Takes the mouths of the plate as they are, gives the slow part of them that no opening explains. Added to wanted mouths,
the actor keeps his expression and only speaks through it. Knows no sound.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from lipsmith.engine import mouth
from lipsmith.engine.actor.calibration import Calibration

# Syllables last 0.1 to 0.3 s; what stays for longer than this deviation of the Gaussian is not one of them.
_SLOW_SECONDS = 0.4


def expression(points: np.ndarray, shot: np.ndarray, calibration: Calibration, frame_rate: float) -> np.ndarray:
    """(N, 51, 3) mouths of consecutive frames and their (N,) shots -> (N, 51, 3) displacements, face widths; float32.

    Measured from his usual mouth in this footage; the inner gap of a displacement is 0. Never smoothed across a cut.
    """
    silent = calibration.with_gap(points, mouth.gap(calibration.rest))
    silent = silent - silent.mean(0)
    slow = np.empty_like(silent)
    for number in np.unique(shot):
        rows = shot == number
        slow[rows] = gaussian_filter1d(silent[rows], _SLOW_SECONDS * frame_rate, axis=0, mode="nearest")
    return calibration.with_gap(slow, 0.0).astype(np.float32)
