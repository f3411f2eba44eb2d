"""Whether a frame shows the actor's lips bare. A mouth behind a hand is none to show again.

Takes frames with a face in them, says yes or no.
"""

from __future__ import annotations

import cv2
import numpy as np

from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.occluders import LIKELY, OccluderFinder, cells_within
from lipsmith.engine.faces.view import view
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.spec import VideoSpec

_MOST = 0.04  # of the lips and a little around them
_AROUND = np.ones((5, 5), np.uint8)  # cells


class BareLips:
    """The occluder net, asked about lips."""

    def __init__(self, occluders: OccluderFinder, video: VideoSpec) -> None:
        self._occluders, self._video = occluders, video

    def shown(self, frame: Frame, lower_face: Region, lips: np.ndarray) -> bool:
        """`lips`: (20, 2) outline, pixels of the picture."""
        seen = view(frame, lower_face, self._video)
        (likely,) = self._occluders.look([seen.picture], [seen.region])
        around = cv2.dilate(cells_within(lips, lower_face), _AROUND) > 0
        return not around.any() or float((likely[around] > LIKELY).mean()) <= _MOST
