"""How finely the source's pictures were quantised: as FFmpeg's decoder reads it from the blocks of H.264, and as the
headers of HEVC pictures say it, of which the decoder tells nothing.

Takes frame indices, gives a `Quantised` per picture. Knows nothing of encoders.
"""

from __future__ import annotations

import gc
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.video.frame import PictureType

from lipsmith.engine.media import nal
from lipsmith.engine.media.decode import Want, coded_of, read_of
from lipsmith.engine.media.frame import side_data
from lipsmith.engine.media.gops import PacketIndex
from lipsmith.engine.media.hevc import Headers
from lipsmith.engine.media.probe import require_video
from lipsmith.engine.media.spec import MediaSpec

# Of the decoder's work as little as can be: no picture is wanted.
_WANT = Want(options={"export_side_data": "venc_params", "skip_loop_filter": "all", "skip_idct": "all"})
_COLLECTED = 16  # pictures


@dataclass(frozen=True)
class Quantised:
    """One picture."""

    pts: int
    intra: bool
    quantiser: float  # H.264: mean over its blocks by area, of 10 bits from 0 to 63; HEVC: of its first slice
    varies: bool = False  # HEVC: may blocks differ from it?


def read(spec: MediaSpec, index: PacketIndex, frames: range) -> list[Quantised]:
    """Of the pictures that can be read; empty for other codecs than H.264 and HEVC."""
    codec = require_video(spec).codec
    if codec == "hevc":
        return list(_by_headers(spec, index, frames))
    return _by_blocks(spec, index, frames) if codec == "h264" else []


def _by_headers(spec: MediaSpec, index: PacketIndex, frames: range) -> Iterator[Quantised]:
    with coded_of(spec, index, frames) as (extradata, packets):
        prefix = nal.prefix_length(extradata, "hevc")
        headers = Headers(nal.parameters(extradata, "hevc"))
        wanted = set(index.stamps[frames.start : frames.stop].tolist())
        for pts, data in packets:
            header = headers.read(nal.split(data, prefix))
            if header is not None and pts in wanted:
                yield Quantised(pts, header.intra, header.quantiser, header.varies)


def _by_blocks(spec: MediaSpec, index: PacketIndex, frames: range) -> list[Quantised]:
    """By one thread, as a precaution: with more the decoder could tell it of a picture another thread still works on.

    A picture and what PyAV shows beside it hold each other, so that only the collector frees them. It is called often:
    their sizes do not call it. One picture, which the decoder holds already, outlives each call, up to the last.
    """
    found = []
    for number, one in enumerate(read_of(spec, index, frames, _WANT, 1, _quantised)):
        found.append(one)
        if number % _COLLECTED == 0:
            gc.collect(0)
    gc.collect(1)
    return found


def _quantised(picture: av.VideoFrame) -> Quantised | None:
    value = _mean(picture)
    if value is None or picture.pts is None:
        return None
    return Quantised(picture.pts, picture.pict_type == PictureType.I, value)


def _mean(picture: av.VideoFrame) -> float | None:
    """Of a picture's blocks by area, where the decoder was asked to tell them.

    AVVideoEncParams (libavutil/video_enc_params.h): a head, then blocks of x, y, w, h and their offset.
    """
    data = side_data(picture, "VIDEO_ENC_PARAMS")
    if data is None:
        return None
    count, offset, size, _kind, base = struct.unpack_from("=I4xQQii", data)
    if not count:
        return float(base)
    blocks = np.frombuffer(data, np.int32, count * size // 4, offset).reshape(count, size // 4)
    area = blocks[:, 2].astype(np.float64) * blocks[:, 3]
    return base + float((area * blocks[:, 4]).sum() / area.sum())
