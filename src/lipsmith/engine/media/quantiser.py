"""How finely a run of GOPs is to be encoded: never more coarsely than the source was, and within the file's budget.

Takes the source's pictures of a run, gives x264's or x265's constant rate factor (CRF). Knows nothing of muxing.

**The source's quantiser** is read from the bitstream where FFmpeg's decoder tells it (H.264): the mean over the blocks
of the pictures that others lean on, of two seconds or so in the middle of a run.

**The matching rate factor** is found by trial: where our encoder spends on two seconds of the first run, a quarter and
three quarters into it, the bits that the source spent on them. A trial's own keyframe is left out of the count.

**The rule.** CRF is the source's mean quantiser less `_FINER`, at which our mean quantiser is no larger (x264 and x265
lay B-frames and quiet areas above the CRF). Where the matching one is finer, since the source's encoder was the less
thrifty, it is taken; where it is coarser, up to `_MARGIN` is given up. HEVC has only the matching one. What the budget
leaves makes it finer, down to `_FINE_ENOUGH`, where luma outside the edit reaches 45 dB and more. The budget is the
file's own size, and `_SURPLUS` of what is copied: a short edit in a long file may take all it needs. Whole shots
took 0.83-1.14 of the source's bits (13 clips of the benchmark), up to 1.28 elsewhere: a source that a slower preset
made cannot be met in both quantiser and bits.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
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
_MARGIN = 0.8  # of `_FINER`, given up where the source's encoder was the thriftier one
_FINE_ENOUGH = 19.0
_SURPLUS = 0.12  # of the octets that are copied
_LARGEST_RATIO = 16.0
_PER_DOUBLING = 5.0  # steps of CRF for twice the bits, seen on five clips
_REACTION = 0.7  # how much of a budget's error the next run makes good
_FIRST_TRIAL = 26.0  # rate factor
_NEAR = 3.0  # steps of CRF over which `_PER_DOUBLING` holds well enough; farther away a second trial is made
_AIM = 0.92  # of the octets: a trial cannot look as far ahead as a run and comes out that much cheaper (13 clips)
_SAMPLE_FRAMES = 24  # of each of two samples
_LEAD = 6  # of them, at the beginning: they follow the trial's own keyframe and are not counted
_READ_FRAMES = 60
_LOOSER = 1.5  # how much coarser than matching a run may be when others took too much, where no quantiser is known
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

    @property
    def steps(self) -> float:
        """By how much the next run may be finer than matching."""
        spare = _SURPLUS * (self.total - self.to_replace)
        ratio = min(1 + spare / max(self.to_replace, 1), _LARGEST_RATIO)
        finer = _PER_DOUBLING * math.log2(ratio)
        if self.replaced:
            finer += _REACTION * _PER_DOUBLING * math.log2(ratio * self.replaced / max(self.spent, 1))
        return finer

    def rate_factor(self, base: float, *, at_most: float) -> float:
        """The CRF for the next run: finer than `base` as the budget allows; `at_most`: never coarser than that."""
        return float(np.clip(min(at_most, max(base - self.steps, min(base, _FINE_ENOUGH))), *_RANGE))

    def account(self, replaced: int, spent: int) -> None:
        self.replaced += replaced
        self.spent += spent


@dataclass
class Matching:
    """What the source's bits and quantisers say of the rate factor that reproduces it."""

    finer: float | None = None  # by how much the matching one lies below what the quantiser of the first run says
    alone: float | None = None  # the matching one, where the bitstream tells no quantiser

    def base(self, quantiser: float | None, steps: float, trial: Callable[[float], float]) -> tuple[float, float]:
        """(rate factor of a run, the coarsest allowed). `steps`: of the budget; `trial`: `matching` from a guess on."""
        if quantiser is None:
            if self.alone is None:
                self.alone = trial(_FIRST_TRIAL)
            return self.alone, self.alone + _LOOSER
        equal = quantiser - _FINER
        if equal - steps <= _FINE_ENOUGH:  # there is room enough for all it may take
            return equal, equal
        if self.finer is None:
            self.finer = max(equal - trial(equal), -_MARGIN)
        return equal - self.finer, equal - min(self.finer, 0.0)


def read(spec: MediaSpec, index: PacketIndex, run: Run, threads: int) -> float | None:
    """Mean quantiser of reference pictures in the run's middle as the decoder tells it; None where it tells none."""
    wanted = Want(skip="NONREF", options={"export_side_data": "venc_params"})
    found = [mean(picture) for picture in pictures_of(spec, index, _middle(run.frames), wanted, threads)]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def matching(octets: int, encoded_octets: Callable[[float], int], guess: float) -> float:
    """The rate factor at which `encoded_octets` of some pictures are the source's `octets`; one or two trials."""
    factor = float(np.clip(guess, *_RANGE))
    for _ in range(2):
        doublings = math.log2(max(encoded_octets(factor), 1) / max(_AIM * octets, 1))
        step = _PER_DOUBLING * doublings
        factor = float(np.clip(factor + step, *_RANGE))
        if abs(step) < _NEAR:
            break
    return factor


def _middle(frames: range) -> range:
    start = frames.start + max(len(frames) - _READ_FRAMES, 0) // 2
    return range(start, min(start + _READ_FRAMES, frames.stop))


@dataclass(frozen=True)
class Sample:
    """Some pictures of a run to try a rate factor on."""

    frames: tuple[range, ...]
    counted: frozenset[int]  # their time stamps, but for those that follow a trial's own keyframe
    octets: int  # of those in the source

    @classmethod
    def of(cls, index: PacketIndex, run: Run) -> Sample:
        """From a quarter and from three quarters of the run, or all of a short one."""
        frames = (run.frames,) if len(run.frames) <= 2 * _SAMPLE_FRAMES else tuple(_spread(run.frames, 2))
        lead = _LEAD if len(frames) > 1 else 0
        stamps = np.concatenate([index.stamps[part.start + lead : part.stop] for part in frames])
        return cls(frames, frozenset(stamps.tolist()), int(index.octets[np.isin(index.pts, stamps)].sum()))


def _spread(frames: range, parts: int) -> Iterator[range]:
    for number in range(parts):
        start = frames.start + (2 * number + 1) * len(frames) // (2 * parts) - _SAMPLE_FRAMES // 2
        yield range(start, start + _SAMPLE_FRAMES)


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
