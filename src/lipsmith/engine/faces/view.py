"""The part of a frame around a face, small and in RGB, as nets want it; and the way back to the whole picture.

Takes a frame in its own pixel format and a `Region`, gives a `View`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from lipsmith.engine.faces.detect import Region
from lipsmith.engine.media import color
from lipsmith.engine.media.frame import Box, Frame
from lipsmith.engine.media.spec import VideoSpec

_SIZE = 256  # pixels of the longer side at most: the nets see 192 and 128
_ROTATED = 1.2  # the upright square that holds a region turned by up to 15 degrees


@dataclass(frozen=True)
class Patch:
    """New pixels for a part of a frame."""

    box: Box
    codes: np.ndarray  # (h, w, 3) native codes


@dataclass(frozen=True)
class View:
    """What a net looks at."""

    picture: np.ndarray  # (h, w, 3) uint8 RGB, small
    region: Region  # of the face, in pixels of `picture`
    origin: np.ndarray  # (2,) its corner in the whole picture
    scale: float  # its pixels per pixel of the whole picture

    def in_picture(self, points: np.ndarray) -> np.ndarray:
        """(P, 2) pixels of the view -> of the whole picture."""
        return points / np.float32(self.scale) + self.origin


def view(frame: Frame, region: Region, video: VideoSpec, patch: Patch | None = None) -> View:
    """The frame around `region`, with `patch` laid over it. Raises UnsupportedVideo."""
    half = 0.5 * region.size * _ROTATED
    around = Box(
        int(region.x - half), int(region.y - half), int(region.x + half) + 2, int(region.y + half) + 2
    ).aligned(2, video.seen_width, video.height)
    scale = min(1.0, _SIZE / max(around.width, around.height))
    # Of a large face the chroma's own grid is fine enough: nothing need be brought up to be brought down again.
    step = 2 if scale <= 0.5 and color.has_quarter_chroma(video.pix_fmt) else 1
    codes = (color.read_halved_codes if step == 2 else color.read_codes)(frame, around)
    if patch is not None:
        _lay_over(codes, around, patch, step)
    if scale < 1:
        size = round(around.width * scale), round(around.height * scale)
        codes = cv2.resize(codes, size, interpolation=cv2.INTER_AREA)
    rgb = color.codes_to_rgb(codes, video.coding)
    moved = replace(
        region, x=(region.x - around.left) * scale, y=(region.y - around.top) * scale, size=region.size * scale
    )
    return View(rgb, moved, np.array([around.left, around.top], np.float32), scale)


def _lay_over(codes: np.ndarray, around: Box, patch: Patch, step: int) -> None:
    """`codes`: of `around`, every `step`th row and column."""
    box = patch.box
    left, top = max(box.left, around.left), max(box.top, around.top)
    right, bottom = min(box.right, around.right), min(box.bottom, around.bottom)
    if left >= right or top >= bottom:
        return
    part = patch.codes[top - box.top : bottom - box.top, left - box.left : right - box.left]
    rows = slice((top - around.top) // step, -(-(bottom - around.top) // step))
    columns = slice((left - around.left) // step, -(-(right - around.left) // step))
    if step > 1:
        size = columns.stop - columns.start, rows.stop - rows.start
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    codes[rows, columns] = part
