"""How much detail a picture of a face holds, down it and across: what a blur takes away, either way apart.

Takes luma or a picture with its landmarks, gives energies. What a whole face has is told by the part from the eyes to
under the nose: it is full of edges, the actor's own, and does not move with speech.
"""

from __future__ import annotations

import cv2
import numpy as np

from lipsmith.engine.faces.crop import cut_out
from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.mesh import EYE_CORNERS, eyes_angle

FINE = 0.016  # of the face width: what is finer counts as detail; coarser is light and shape
PIXELS = 150  # per face width: finer detail than these is a camera's noise, not a face's
_BRIDGE, _UNDER_NOSE, _CHEEKS = 168, 2, (234, 454)
_DOWN_THE_NOSE = 0.35  # of the way from bridge to base: the middle of what is looked at
_SIDE = 0.68  # of the face width
_FROM, _TO = 0.14, 0.86  # of that side: from the lids to under the nose


def detail(picture: np.ndarray, points: np.ndarray) -> float:
    """Root mean square of the fine luma of (H, W, 3) uint8 RGB around the nose of (468, 3) points, in codes."""
    bridge, under, right, left = points[[_BRIDGE, _UNDER_NOSE, *_CHEEKS]]
    x, y, _ = bridge + _DOWN_THE_NOSE * (under - bridge)
    width, side = float(np.linalg.norm(left - right)), round(_SIDE * PIXELS)
    region = Region(float(x), float(y), _SIDE * width, eyes_angle(points[list(EYE_CORNERS)]))
    crop, _ = cut_out(picture, region, side)
    luma = cv2.cvtColor(crop[round(_FROM * side) : round(_TO * side)], cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.sqrt(sum(energies(luma, np.ones_like(luma), PIXELS)) / luma.size))


def energies(luma: np.ndarray, where: np.ndarray, unit: float) -> tuple[float, float]:
    """Energy of what is fine in (h, w) float32 luma, down and across, under (h, w) weights; `unit`: pixels per face
    width."""
    down, across = (
        float((np.square(luma - blurred(luma, FINE * unit, axis)) * where).sum(dtype=np.float64)) for axis in (0, 1)
    )
    return down, across


def blurred(values: np.ndarray, deviation: float, axis: int) -> np.ndarray:
    """(h, w, ...) float32 `values` under a Gaussian of `deviation` pixels along axis 0 or 1."""
    if not deviation:
        return values
    kernel = cv2.getGaussianKernel(2 * int(np.ceil(3 * deviation)) + 1, deviation, cv2.CV_32F)
    alone = np.ones(1, np.float32)
    return cv2.sepFilter2D(values, -1, *((alone, kernel) if axis == 0 else (kernel, alone)))
