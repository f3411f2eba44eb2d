"""Where one shot ends and the next begins, found frame by frame.

Takes small working-RGB pictures in order, gives the first frame of each new shot. PySceneDetect's adaptive detector
proposes (a frame that differs from its predecessor far more than its neighbours do). A proposal stands when the picture
as a whole has changed, since the hue of dark pictures jumps at every keyframe, and when the old picture does not come
back within a few frames, as it does after a camera flash. Dissolves are not cuts here: who watches faces sees where one
becomes another's.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from scenedetect.common import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

ANALYSIS_WIDTH = 160  # pixels; wide enough for a cut, small enough to cost nothing beside decoding

_RATIO = 3.0  # of a frame's change to that of its two neighbours on each side
_LEAST_CHANGE = 15.0  # mean change of hue, saturation and value, in codes of 255
_SHORTEST_SHOT_FRAMES = 8
_WINDOW_FRAMES = 2  # how far the detector's answer lags behind
_FLASH_FRAMES = 4  # a picture that is back by then was interrupted, not cut
DECISION_FRAMES = _WINDOW_FRAMES + _FLASH_FRAMES + 2  # so many frames later a cut is decided
LEAST_WHOLE_CHANGE = 6.0  # mean codes of RGB between thumbnails: cuts of our clips give 13-174, false alarms 1-5
_RETURNED = 0.5  # of the change at the cut: nearer than this to the old picture means that it is back
_THUMBNAIL = (32, 18)


class CutFinder:
    """Push every frame once, in order; ask `cuts()` at the end."""

    def __init__(self) -> None:
        self._detector = AdaptiveDetector(
            adaptive_threshold=_RATIO,
            min_scene_len=_SHORTEST_SHOT_FRAMES,
            window_width=_WINDOW_FRAMES,
            min_content_val=_LEAST_CHANGE,
        )
        self._recent: deque[tuple[int, np.ndarray]] = deque(maxlen=_WINDOW_FRAMES + _FLASH_FRAMES + 2)
        self._proposed: deque[int] = deque()
        self._cuts: list[int] = []

    def push(self, rgb_small: np.ndarray, index: int) -> None:
        """The next picture, (h, w, 3) uint8 of one constant size, about `ANALYSIS_WIDTH` wide."""
        bgr = cv2.cvtColor(rgb_small, cv2.COLOR_RGB2BGR)
        self._recent.append((index, thumbnail(bgr)))
        # The rate only labels the detector's answers; it counts frames.
        proposals = self._detector.process_frame(FrameTimecode(index, 25.0), bgr)
        self._proposed.extend(proposal.frame_num for proposal in proposals)
        while self._proposed and index >= self._proposed[0] + _FLASH_FRAMES:
            self._judge(self._proposed.popleft())

    def cuts(self) -> tuple[int, ...]:
        """First frames of new shots so far; those proposed in the very last frames are taken as they are."""
        return (*self._cuts, *(index for index in self._proposed if self._stands(index)))

    def _judge(self, index: int) -> None:
        if self._stands(index):
            self._cuts.append(index)

    def _stands(self, index: int) -> bool:
        thumbnails = dict(self._recent)
        before = thumbnails[index - 1]
        change = change_of(thumbnails[index], before)
        if change < LEAST_WHOLE_CHANGE:
            return False
        later = [picture for number, picture in thumbnails.items() if number > index]
        return all(change_of(picture, before) > _RETURNED * change for picture in later)


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """(18, 32, 3) float32 of a (H, W, 3) uint8 picture."""
    return cv2.resize(picture, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)


def change_of(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of two thumbnails, codes of 255."""
    return float(np.abs(one - other).mean())
