"""How finely a run of GOPs is to be encoded: never more coarsely than the source was, and within the file's budget.

Takes the source's pictures of a run, gives x264's or x265's constant rate factor (CRF). Knows nothing of muxing.

**The source's quantiser** is read from the bitstream where FFmpeg's decoder tells it (H.264): the mean over the blocks
of the pictures that others lean on. Elsewhere (HEVC) it is estimated: the rate factor at which our encoder spends on a
second of the first run the bits that the source spent on it; later runs follow the budget.

**The rule.** CRF is the source's mean quantiser less `_FINER`, at which our mean quantiser is no larger (x264 and x265
lay B-frames and quiet areas above the CRF). What the budget leaves makes it finer, down to `_FINE_ENOUGH`, where
luma outside the edit reaches 45 dB and more. The budget is the file's own size, and `_SURPLUS` of what is copied: a
short edit in a long file may take all it needs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from lipsmith.engine.media.decode import Want, pictures_of
from lipsmith.engine.media.gops import PacketIndex
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.media.splice import Run

_FINER = 2.7
_FINE_ENOUGH = 19.0
_SURPLUS = 0.12  # of the octets that are copied
_LARGEST_RATIO = 16.0
_PER_DOUBLING = 5.0  # steps of CRF for twice the bits, seen on five clips
_REACTION = 0.7  # how much of a budget's error the next run makes good
_TRIALS = (20.0, 32.0)  # rate factors
_SAMPLE_FRAMES = 24
_RANGE = (4, 51)


@dataclass
class Budget:
    """Octets of the file: what the source took, and what was spent so far in the place of how much."""

    total: int
    to_replace: int
    replaced: int = 0
    spent: int = 0

    @classmethod
    def of(cls, index: PacketIndex, replaced: np.ndarray) -> Budget:
        return cls(int(index.octets.sum()), int(index.octets[replaced].sum()))

    def rate_factor(self, source_quantiser: float) -> float:
        """The CRF for the next run."""
        spare = _SURPLUS * (self.total - self.to_replace)
        ratio = min(1 + spare / max(self.to_replace, 1), _LARGEST_RATIO)
        finer = _PER_DOUBLING * math.log2(ratio)
        if self.replaced:
            finer += _REACTION * _PER_DOUBLING * math.log2(ratio * self.replaced / max(self.spent, 1))
        base = source_quantiser - _FINER
        return float(np.clip(min(base, max(base - finer, _FINE_ENOUGH)), *_RANGE))

    def as_quantiser(self, rate_factor: float) -> float:
        """The source's quantiser that a matching rate factor stands for."""
        return rate_factor + _FINER

    def account(self, replaced: int, spent: int) -> None:
        self.replaced += replaced
        self.spent += spent


def read(spec: MediaSpec, index: PacketIndex, run: Run, threads: int) -> float | None:
    """Mean quantiser of the run's reference pictures as the decoder tells it; None where it tells none."""
    wanted = Want(skip="NONREF", options={"export_side_data": "venc_params"})
    found = [_mean(picture) for picture in pictures_of(spec, index, run.frames, wanted, threads)]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def estimate(octets: int, encoded_octets: Callable[[float], int]) -> float:
    """The rate factor at which `encoded_octets` of some pictures are the source's `octets` of them; two trials."""
    fine, coarse = _TRIALS
    at_fine, at_coarse = (math.log2(max(encoded_octets(factor), 1)) for factor in _TRIALS)
    per_step = max((at_fine - at_coarse) / (coarse - fine), 1 / 12)
    return float(np.clip(fine + (at_fine - math.log2(max(octets, 1))) / per_step, *_RANGE))


def _mean(picture: av.VideoFrame) -> float | None:
    """AVVideoEncParams (libavutil/video_enc_params.h): a head, then blocks of x, y, w, h and their offset."""
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


def sample(index: PacketIndex, run: Run) -> tuple[range, int]:
    """(frames to try, what they took in the source): a second or so of the run from its first keyframe on."""
    first = int(np.searchsorted(index.stamps, min(run.keyframes)))
    frames = range(first, min(first + _SAMPLE_FRAMES, run.frames.stop))
    stamps = index.stamps[frames.start : frames.stop]
    return frames, int(index.octets[np.isin(index.pts, stamps)].sum())
