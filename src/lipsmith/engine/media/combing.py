"""Are a film's pictures made of two moments each? Found by looking, since files often say it wrongly.

Takes decoded frames, tells whether two fields of different times lie in them: where something moves, every second line
then stands out from both its neighbours. A progressive film that is marked as interlaced shows no such teeth, and an
interlaced one that was exported without the mark does.
"""

from __future__ import annotations

import cv2
import numpy as np

from lipsmith.engine.media import color
from lipsmith.engine.media.frame import Frame

_EVERY = 4  # frames between looks
_TOOTH = 8  # codes of 255 by which a line stands out from both its neighbours
_BLOCK = 32  # pixels
_TEETH, _MORE = 0.08, (3.0, 0.005)  # share of a block; how many times more than a field alone shows, and some
_BLOCKS = 0.008  # of a picture: of 107 progressive clips 0.0045 at most, of interlaced ones 0.05-0.3
_LOOKS, _SHARE = 3, 0.05  # looks with so many such blocks; of all looks


class CombFinder:
    """Push every frame; `combed` from where it is clear."""

    def __init__(self) -> None:
        self._frames = self._looks = self._with_teeth = 0
        self.combed = False

    def push(self, frame: Frame) -> None:
        if not self.combed and self._frames % _EVERY == 0 and frame.picture.height % 4 == 0:
            self._looks += 1
            self._with_teeth += _blocks_with_teeth(color.luma(frame)) >= _BLOCKS
            self.combed = self._with_teeth >= max(_LOOKS, _SHARE * self._looks)
        self._frames += 1


def _blocks_with_teeth(luma: np.ndarray) -> float:
    """Share of the blocks of (h, w) uint8 in which lines stand out that do not in one field alone."""
    height, width = luma.shape
    grid = max(1, width // _BLOCK), max(1, height // _BLOCK)
    both, one = (cv2.resize(_teeth(lines), grid, interpolation=cv2.INTER_AREA) for lines in (luma, luma[::2]))
    times, more = _MORE
    return float(((both > _TEETH) & (both > times * (one + more))).mean())


def _teeth(lines: np.ndarray) -> np.ndarray:
    """(h - 2, w) float32: 1 where a line is lighter or darker than both beside it."""
    above, here, below = (np.ascontiguousarray(part) for part in (lines[:-2], lines[1:-1], lines[2:]))
    lighter = cv2.min(cv2.subtract(here, above), cv2.subtract(here, below))
    darker = cv2.min(cv2.subtract(above, here), cv2.subtract(below, here))
    return (cv2.max(lighter, darker) > _TOOTH).astype(np.float32)
