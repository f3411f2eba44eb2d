"""Is what looks like an open mouth one? Lips rolled in, or bitten, are taken by the landmark net for parted ones.

Between lips that are truly parted it is dark somewhere, or at least as dark as it ever is between this actor's. Takes
luma around a mouth and its points, gives a number a frame, and says of all frames together which are mistaken: those
would be shown as open mouths and are none.
"""

from __future__ import annotations

import cv2
import numpy as np

from lipsmith.engine import mouth

OPEN = 0.035  # face widths between the lips: below, little of an inside is to be seen
_DARK_SHARE = 0.1  # of what lies between the lips
REACH = 0.12  # face widths around the lips: as far as what `darkest` looks at
_BESIDE = 0.05, REACH  # what lies between is skin
# Of the skin's luma. Of fourteen actors' open mouths the darkest tenth was 0.08-0.64 at the median; single mouths full
# of teeth or tongue were up to 0.33 above their actor's, bitten lips 0.5 to 0.6 (docs/log.md).
_NEVER_MISTAKEN, _LIGHTER = 0.6, 0.4
_LEAST_OPEN = 8  # frames with parted lips: of fewer nothing is known of this actor


def darkest(luma: np.ndarray, pixels: np.ndarray, unit: float) -> float:
    """The darkest tenth of what lies between the lips, of the skin's luma around them; nan where nothing lies there.

    `luma`: (h, w) float32, 0 is black; `pixels`: (P, 2) lower face in them; `unit`: pixels per face width.
    """
    between = luma[_filled(pixels[mouth.INNER], luma.shape) > 0]
    lips = _filled(pixels[mouth.OUTER], luma.shape)
    near, far = (cv2.dilate(lips, np.ones((2 * round(reach * unit) + 1,) * 2, np.uint8)) for reach in _BESIDE)
    skin = luma[far > near]
    count = int(len(between) * _DARK_SHARE)
    if count < 1 or not len(skin):
        return float("nan")
    return float(np.partition(between, count)[:count].mean() / max(float(np.median(skin)), 1e-3))


def mistaken(points: np.ndarray, dark: np.ndarray) -> np.ndarray:
    """(S,) bool: the mouths, of (S, 51, 3), that are not as open as they are said to be. `dark`: (S,) `darkest`."""
    parted = (mouth.gap(points) >= OPEN) & np.isfinite(dark)
    if parted.sum() < _LEAST_OPEN:
        return np.zeros(len(points), bool)
    return parted & (dark > max(_NEVER_MISTAKEN, float(np.median(dark[parted])) + _LIGHTER))


def _filled(outline: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    return mask
