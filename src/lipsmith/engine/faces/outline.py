"""Which pixels, or cells, an outline encloses."""

from __future__ import annotations

import cv2
import numpy as np


def within(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) uint8: 1 within (n, 2) points and on the line between them, rounded to whole pixels."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 1)
    return mask


def half_within(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) uint8: 1 where half of a pixel is within (n, 2) points: for what moves by less than pixels."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 8).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=3)
    return cv2.threshold(mask, 127, 1, cv2.THRESH_BINARY)[1]
