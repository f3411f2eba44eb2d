"""Pictures that are shown again: 24 frames a second in a film of 30, a camera of 15 in one of 25, a game at 60.

Takes small working-RGB pictures in order, tells which frames are held: the picture before once more, from which they
differ by their coding alone, while those before and after show movement.
"""

from __future__ import annotations

import cv2
import numpy as np

_MOST_CHANGED = 100  # one pixel in so many: what moves may be small
_STILL = 5.0  # codes of 255 by which those differ at most
_OF_MOVEMENT = 0.2  # of what the most moving of so many frames on either side differs by
_BESIDE = 3
# Of 103 clips 18 hold frames, 0.045 of all or more. Of the others 0.02 at most seem held, where a head turns back.
_LEAST_SHARE = 0.04


class HeldFinder:
    """Push every frame, in order; ask `held` at the end."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._indices: list[int] = []
        self._changes: list[float] = []

    def push(self, rgb_small: np.ndarray, index: int) -> None:
        """The next picture, (h, w, 3) uint8 of one constant size."""
        grey = cv2.cvtColor(rgb_small, cv2.COLOR_RGB2GRAY)
        before = self._before if self._indices and index == self._indices[-1] + 1 else None
        self._changes.append(np.inf if before is None else _change(grey, before))
        self._indices.append(index)
        self._before = grey

    def held(self) -> frozenset[int]:
        """Frame indices; none where so few seem to be that chance will do."""
        changes = np.array(self._changes)
        moved = np.pad(np.where(np.isinf(changes), 0, changes), _BESIDE)
        windows = np.lib.stride_tricks.sliding_window_view(moved, _BESIDE).max(1)
        before, after = windows[: len(changes)], windows[_BESIDE + 1 :]
        still = (changes < _STILL) & (changes < _OF_MOVEMENT * np.minimum(before, after))
        return frozenset(np.array(self._indices)[still].tolist()) if still.mean() >= _LEAST_SHARE else frozenset()


def _change(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of the pixels that differ most."""
    apart = cv2.absdiff(one, other).ravel()
    count = max(1, apart.size // _MOST_CHANGED)
    return float(np.partition(apart, -count)[-count:].mean())
