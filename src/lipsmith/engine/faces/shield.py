"""What of a frame is not the face though it is where the face is: a hand, a microphone, words.

Takes frames with a face in them, asks the occluder net about its lower half, gives mattes in crops. Under them a plate
stays as it was filmed, and a mouth of the library is not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lipsmith.engine.faces.crop import way_back
from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.occluders import GRID, LIKELY, OccluderFinder, cells_within
from lipsmith.engine.faces.view import view
from lipsmith.engine.media.frame import Box, Frame
from lipsmith.engine.media.spec import VideoSpec

_SURE = 0.85  # a patch is believed where some cell is sure, and is as large as what is likely around it
_LEAST_CELLS = 14  # of such a patch before the face: less is a spot of light
_LOW, _HIGH = 0.3, 0.6  # likelihood from which a cell begins to count, and counts in full
_AROUND = np.ones((7, 7), np.uint8)  # cells beyond a patch's own in which its soft edge may lie
_MIDDLE = (0.25, 0.25)  # of a cell, in cells: it is two pixels of what the net sees, the first of them at 0
_HOLES = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))  # cells; things have none so small


@dataclass(frozen=True)
class Glimpse:
    """A face in a frame."""

    frame: Frame
    lower_face: Region
    points: np.ndarray  # (P, 2) on the lower face, pixels of the picture: what is within them is the face
    box: Box  # the crop in question


def shields(glimpses: Sequence[Glimpse], occluders: OccluderFinder, video: VideoSpec) -> list[np.ndarray | None]:
    """Of each crop (h, w) float32 in [0, 1], how far each pixel is not the face; None where all is.

    `glimpses`: a few frames in a row. Where none of three of them needs a shield none does.
    """
    if not glimpses:
        return []
    hidden = _hidden(glimpses, sorted({0, len(glimpses) // 2, len(glimpses) - 1}), occluders, video)
    if any(cells.any() for cells in hidden.values()):
        hidden |= _hidden(glimpses, [i for i in range(len(glimpses)) if i not in hidden], occluders, video)
    return [
        matte_of(hidden[i], seen.lower_face, seen.box) if i in hidden and hidden[i].any() else None
        for i, seen in enumerate(glimpses)
    ]


def _hidden(
    glimpses: Sequence[Glimpse], which: Sequence[int], occluders: OccluderFinder, video: VideoSpec
) -> dict[int, np.ndarray]:
    views = [view(glimpses[i].frame, glimpses[i].lower_face, video) for i in which]
    likely = occluders.look([v.picture for v in views], [v.region for v in views])
    return {i: believed(cells, _face_cells(glimpses[i])) for i, cells in zip(which, likely, strict=True)}


def _face_cells(seen: Glimpse) -> np.ndarray:
    return cells_within(cv2.convexHull(seen.points.astype(np.float32))[:, 0], seen.lower_face)


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


def matte_of(hidden: np.ndarray, region: Region, box: Box) -> np.ndarray:
    """(h, w) float32 in [0, 1] in `box`; `hidden`: (64, 64) `believed` cells of `region`."""
    back = way_back(region, GRID)
    back[:, 2] += back[:, :2] @ _MIDDLE - (box.left, box.top)
    return cv2.warpAffine(hidden, back, (box.width, box.height), flags=cv2.INTER_LINEAR)
