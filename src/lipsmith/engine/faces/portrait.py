"""A picture by which a person is recognised in a list.

Takes a file's facts and one person's track, gives RGB of the sharpest, most frontal moment of his first half minute.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from lipsmith.engine.faces.measure import Measured
from lipsmith.engine.faces.track import FaceTrack
from lipsmith.engine.media import color, decode
from lipsmith.engine.media.frame import Box
from lipsmith.engine.media.probe import require_video
from lipsmith.engine.media.spec import MediaSpec

_LOOK_FRAMES = 750  # from his first: a portrait is not worth decoding a whole film
_AROUND = 0.6  # of the face's size, on each side
_JPEG_QUALITY = 88


def portrait(spec: MediaSpec, track: FaceTrack, measured: Measured, longest_side: int = 512) -> bytes:
    """A JPEG of the face with some hair and shoulders, at most `longest_side` pixels. Raises the InputErrors."""
    row = _best(track, measured)
    wanted = int(track.indices[row])
    frame = next(itertools.islice(decode.frames(spec), wanted, None))
    video = require_video(spec)
    box = _around(track.landmarks[row, :, :2]).clipped(video.width, video.height).aligned(2, video.width, video.height)
    rgb = color.codes_to_rgb(color.read_codes(frame, box), video.color, video.bit_depth, video.pix_fmt)
    scale = min(1.0, longest_side / max(rgb.shape[:2]))
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _best(track: FaceTrack, measured: Measured) -> int:
    """The row of the track where he is large and looks into the camera."""
    early = track.indices - track.indices[0] < _LOOK_FRAMES
    frontal = np.clip(measured.placement.rotation[:, 2, 2], 0, 1)
    worth = frontal**2 * measured.placement.scale * (0.1 + measured.bare) * early
    return int(np.argmax(worth))


def _around(points: np.ndarray) -> Box:
    """The box of (N, 2) landmarks and what is around it."""
    low, high = points.min(0), points.max(0)
    margin = _AROUND * float((high - low).max())
    left, top = (int(v) for v in np.floor(low - margin))
    right, bottom = (int(v) for v in np.ceil(high + margin))
    return Box(left, top, right, bottom)
