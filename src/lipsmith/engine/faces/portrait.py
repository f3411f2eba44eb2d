"""A picture by which a person is recognised in a list.

Takes a file's facts and one measured face, gives RGB of his most frontal moment in his first half minute.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.measure import Measured
from lipsmith.engine.media import color, decode
from lipsmith.engine.media.frame import Box
from lipsmith.engine.media.probe import require_video
from lipsmith.engine.media.spec import MediaSpec

_LOOK_FRAMES = 750  # from his first: a portrait is not worth decoding a whole film
_AROUND = 1.4  # sides of the region the mesh is run on, half as large again as the face
_JPEG_QUALITY = 88


def portrait(spec: MediaSpec, measured: Measured, longest_side: int = 512) -> bytes:
    """A JPEG of the face with some hair and shoulders, at most `longest_side` pixels. Raises the InputErrors."""
    row = _best(measured)
    wanted = int(measured.indices[row])
    frame = next(itertools.islice(decode.frames(spec), wanted, None))
    video = require_video(spec)
    size = video.seen_width, video.height
    box = _around(measured.region_at(row)).clipped(*size).aligned(2, *size)
    rgb = color.codes_to_rgb(color.read_codes(frame, box), video.coding)
    scale = min(1.0, longest_side / max(rgb.shape[:2]))
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _best(measured: Measured) -> int:
    """The row where he is large and looks into the camera."""
    early = measured.indices - measured.indices[0] < _LOOK_FRAMES
    frontal = np.clip(measured.placement.rotation[:, 2, 2], 0, 1)
    worth = frontal**2 * measured.placement.scale * (0.1 + measured.bare) * early
    return int(np.argmax(worth))


def _around(face: Region) -> Box:
    """The upright box of a face and what is around it."""
    half = 0.5 * _AROUND * face.size
    return Box(int(face.x - half), int(face.y - half), int(face.x + half), int(face.y + half))
