"""Where a frame stays as it was filmed, since something lies before the face: a hand, a microphone, words.

Takes what the occluder net says of a lower face, gives a matte in the crop that is painted.
"""

from __future__ import annotations

import cv2
import numpy as np

from lipsmith.engine.faces.crop import way_back
from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.occluders import GRID, LIKELY
from lipsmith.engine.media.frame import Box

_SURE = 0.85  # a patch is believed where some cell is sure, and is as large as what is likely around it
_LEAST_CELLS = 14  # of such a patch before the face: less is a spot of light
_LOW, _HIGH = 0.3, 0.6  # likelihood from which a cell begins to count, and counts in full
_AROUND = np.ones((7, 7), np.uint8)  # cells beyond a patch's own in which its soft edge may lie
_MIDDLE = (0.25, 0.25)  # of a cell, in cells: it is two pixels of what the net sees, the first of them at 0
_HOLES = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))  # cells; things have none so small


def believed(likely: np.ndarray, face: np.ndarray) -> np.ndarray:
    """(64, 64) likelihood -> float32 in [0, 1]: what of it is a thing before the face, with soft edges.

    `face`: (64, 64) uint8, 1 on the face. The net has learnt faces: what it says of the wall behind one is noise.
    """
    whole = cv2.morphologyEx((likely > LIKELY).astype(np.uint8), cv2.MORPH_CLOSE, _HOLES)
    count, patches = cv2.connectedComponents(whole)
    kept = np.zeros(likely.shape, np.uint8)
    for number in range(1, count):
        before_face = likely[(patches == number) & (face > 0)]
        if before_face.size >= _LEAST_CELLS and before_face.max() >= _SURE:
            kept[patches == number] = 1
    edge = np.clip((likely - _LOW) / (_HIGH - _LOW), 0, 1) * cv2.dilate(kept, _AROUND)
    return np.maximum(edge, kept).astype(np.float32)


def shield(hidden: np.ndarray, region: Region, box: Box) -> np.ndarray:
    """(h, w) float32 in [0, 1]: how far each pixel of `box` stays. `hidden`: (64, 64) `believed` cells of `region`."""
    back = way_back(region, GRID)
    back[:, 2] += back[:, :2] @ _MIDDLE - (box.left, box.top)
    return cv2.warpAffine(hidden, back, (box.width, box.height), flags=cv2.INTER_LINEAR)
