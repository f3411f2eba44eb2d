"""How finely the source's pictures were quantised, as FFmpeg's decoder reads it from the bitstream (H.264).

Takes frame indices, gives a `Quantised` per picture. Knows nothing of encoders.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import PictureType

from lipsmith.engine.media.decode import Want, pictures_of
from lipsmith.engine.media.gops import PacketIndex
from lipsmith.engine.media.spec import MediaSpec

# Of the decoder's work as little as can be: no picture is wanted.
_WANT = Want(options={"export_side_data": "venc_params", "skip_loop_filter": "all", "skip_idct": "all"})


@dataclass(frozen=True)
class Quantised:
    """One picture."""

    pts: int
    intra: bool
    quantiser: float  # mean over its blocks by area; deeper samples have 6 more per bit


def read(spec: MediaSpec, index: PacketIndex, frames: range) -> list[Quantised]:
    """Of the pictures that decode; empty where the decoder tells nothing.

    By one thread, as a precaution: with more the decoder could tell it of a picture that another thread still works on.
    """
    found = []
    for picture in pictures_of(spec, index, frames, _WANT, 1):
        value = mean(picture)
        if value is not None and picture.pts is not None:
            found.append(Quantised(picture.pts, picture.pict_type == PictureType.I, value))
    return found


def mean(picture: av.VideoFrame) -> float | None:
    """Of a picture's blocks by area, where the decoder was asked to tell them.

    AVVideoEncParams (libavutil/video_enc_params.h): a head, then blocks of x, y, w, h and their offset.
    """
    items = iter(cast(SideDataContainer, picture.side_data))
    data = next((bytes(item) for item in items if item.type.name == "VIDEO_ENC_PARAMS"), None)
    if data is None:
        return None
    count, offset, size, _kind, base = struct.unpack_from("=I4xQQii", data)
    if not count:
        return float(base)
    blocks = np.frombuffer(data, np.int32, count * size // 4, offset).reshape(count, size // 4)
    area = blocks[:, 2].astype(np.float64) * blocks[:, 3]
    return base + float((area * blocks[:, 4]).sum() / area.sum())
