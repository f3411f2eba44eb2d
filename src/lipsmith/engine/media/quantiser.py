"""How finely a run of GOPs is to be encoded: never more coarsely than the source was, and within the file's budget.

Takes the source's pictures of a run, gives x264's or x265's constant rate factor (CRF). Knows nothing of muxing.

**The source's quantiser** is read from the bitstream where FFmpeg's decoder tells it (H.264): the mean over the blocks
of the pictures that others lean on, of a second or so of a run.

**The matching rate factor** is found by trial: where our encoder spends on some pictures of a part's first runs the
bits that the source spent on them.

**The rule.** CRF is the source's mean quantiser less `_FINER`, at which our mean quantiser is no larger (x264 and x265
lay B-frames and quiet areas above the CRF). Where the matching one is finer, since the source's encoder was the less
thrifty, it is taken; where it is coarser, up to `_MARGIN` is given up. HEVC has only the matching one. What the budget
leaves makes it finer, down to `_FINE_ENOUGH`, where luma outside the edit reaches 45 dB and more. The budget is the
file's own size, and `_SURPLUS` of what is copied: a short edit in a long file may take all it needs. A source that a
slower preset made cannot be met in both quantiser and bits: it takes up to half as many again (`benchmarks`).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from lipsmith.engine.media.coded import Coded
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
_NEAR = 3.0  # steps of CRF over which `_PER_DOUBLING` holds well enough; farther away a second trial is made at once
_SLOPES = (3.0, 12.0)  # steps of CRF per doubling that are believed of two trials
_TRIALS = 3  # runs of a part that are tried at most; the others are taken to be like the nearest of these
_ALIKE = 2.0  # steps between runs of which one trial tells enough
_PLENTY = 1.5  # of a run's own octets, from which on it need not be known what they buy
_AIM = 0.92  # of the octets: a trial cannot look as far ahead as a run and comes out that much cheaper (24 clips)
_SAMPLE_FRAMES = (12, 16)  # of each of two samples, an eighth of the run
_BLIND_SAMPLE_FRAMES = (18, 24)  # where no quantiser is known and the trial alone tells
_AROUND = 8  # pictures before and after a sample that tell, too, what the source spends there
_READ_FRAMES = 30
_LOOSER = 1.5  # how much coarser than matching a run may be when others took too much, where no quantiser is known
_RANGE = (4, 51)
_AS_LITTLE_AS_CAN_BE = {"skip_loop_filter": "all", "skip_idct": "all"}  # of the decoder's work: no picture is wanted


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
    def spare(self) -> float:
        """How many times its own octets a run may take, were the file's surplus spent on all alike."""
        surplus = _SURPLUS * (self.total - self.to_replace)
        return min(1 + surplus / max(self.to_replace, 1), _LARGEST_RATIO)

    @property
    def steps(self) -> float:
        """By how much the next run may be finer than matching."""
        finer = _PER_DOUBLING * math.log2(self.spare)
        if self.replaced:
            finer += _REACTION * _PER_DOUBLING * math.log2(self.spare * self.replaced / max(self.spent, 1))
        return finer

    def rate_factor(self, base: float, *, at_most: float) -> float:
        """The CRF for the next run: finer than `base` as the budget allows; `at_most`: never coarser than that."""
        return float(np.clip(min(at_most, max(base - self.steps, min(base, _FINE_ENOUGH))), *_RANGE))

    def account(self, replaced: int, spent: int) -> None:
        self.replaced += replaced
        self.spent += spent


@dataclass
class Matching:
    """What the source's bits and quantisers say of the rate factor that reproduces it, run after run."""

    found: list[tuple[float, float]] = field(default_factory=list)  # guess, and how far it lay below that: runs tried

    def base(self, quantiser: float | None, budget: Budget, trial: Callable[[float], float]) -> tuple[float, float]:
        """(rate factor of a run, the coarsest allowed). `trial`: `matching` from a guess on."""
        guess = _FIRST_TRIAL if quantiser is None else quantiser - _FINER
        if quantiser is not None and budget.spare > _PLENTY and guess - budget.steps <= _FINE_ENOUGH:
            return guess, guess  # it may take all it needs
        if len(self.found) < _TRIALS and all(abs(guess - tried) > _ALIKE for tried, _ in self.found):
            self.found.append((guess, guess - trial(guess)))
        finer = min(self.found, key=lambda pair: abs(guess - pair[0]))[1]
        if quantiser is None:
            return guess - finer, guess - finer + _LOOSER
        finer = max(finer, -_MARGIN)
        return guess - finer, guess - min(finer, 0.0)


def read(spec: MediaSpec, index: PacketIndex, run: Run) -> float | None:
    """Mean quantiser of reference pictures in the run as the decoder tells it; None where it tells none.

    By one thread, as a precaution: with more the decoder could tell it of a picture that another thread still works on.
    """
    wanted = Want(skip="NONREF", options={"export_side_data": "venc_params", **_AS_LITTLE_AS_CAN_BE})
    found = [mean(picture) for picture in pictures_of(spec, index, _settled(run.frames), wanted, 1)]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def matching(ratios: Callable[[float], Iterator[float]], guess: float) -> float:
    """The rate factor at which some pictures take the source's octets, in one or two trials.

    `ratios`: our octets to the source's as we see them after the first stretch and after all, encoded when asked for.
    """
    factor = float(np.clip(guess, *_RANGE))
    seen = ratios(factor)
    first = _doublings(next(seen))
    step = _PER_DOUBLING * first
    if abs(step) < _NEAR:
        return float(np.clip(factor + _PER_DOUBLING * _after_all(first, seen), *_RANGE))
    nearer = float(np.clip(factor + step, *_RANGE))
    seen = ratios(nearer)
    again = _doublings(next(seen))
    per_doubling = float(np.clip((nearer - factor) / (first - again or 1e-6), *_SLOPES))
    return float(np.clip(nearer + per_doubling * _after_all(again, seen), *_RANGE))


def _after_all(doublings: float, others: Iterator[float]) -> float:
    """Those seen last; `doublings`: after the first stretch, where there is no other."""
    for ratio in others:
        doublings = _doublings(ratio)
    return doublings


def _doublings(ratio: float) -> float:
    return math.log2(max(ratio, 1e-6) / _AIM)


def _settled(frames: range) -> range:
    """A second or so, not at the very beginning."""
    start = frames.start + max(min(len(frames) // 6, len(frames) - _READ_FRAMES), 0)
    return range(start, min(start + _READ_FRAMES, frames.stop))


@dataclass(frozen=True)
class Samples:
    """Stretches of a run to try a rate factor on, and what the source spent there and on the run."""

    frames: tuple[range, ...]
    usual: tuple[float, ...]  # of each: octets of a source's picture there and around it, keyframes left out
    keyframes: int  # of the run
    keyframe_octets: int
    octets: int

    @classmethod
    def of(cls, index: PacketIndex, run: Run, quantiser: float | None) -> Samples:
        """From a sixth and from the middle of the run, as it is decoded from its start, or all of a short one."""
        each = int(np.clip(len(run.frames) // 8, *(_BLIND_SAMPLE_FRAMES if quantiser is None else _SAMPLE_FRAMES)))
        frames = (run.frames,) if len(run.frames) <= 2 * each else _early(run.frames, each)
        packets = index.as_shown[run.frames.start : run.frames.stop]
        octets, is_key = index.octets[packets], np.isin(packets, index.openings)
        usual = []
        for part in frames:
            first, last = part.start - run.frames.start, part.stop - run.frames.start
            around = slice(max(first - _AROUND, 0), last + _AROUND)
            others = octets[around][~is_key[around]]
            usual.append(float(others.mean()) if len(others) else 0.0)
        return cls(frames, tuple(usual), int(is_key.sum()), int(octets[is_key].sum()), int(octets.sum()))

    def ratio(self, made: Sequence[Sequence[Coded]]) -> float:
        """Octets of the run as we should make it to the source's, by the pictures we made of its first stretches.

        Of a stretch whole groups are compared, of a picture that others lean on and those shown before it, so that
        dear and cheap ones are as many as belong together; not the last one, which ends because the stretch does.
        """
        ours = theirs = 0.0
        for usual, pictures in zip(self.usual, made, strict=False):
            counted = [one for group in _groups(pictures)[1:-1] if not group[0].is_keyframe for one in group]
            ours, theirs = ours + _octets(counted), theirs + len(counted) * usual
        if len(self.frames) == 1:
            return _octets(made[0]) / max(self.octets, 1)
        made_keys = [one for pictures in made for one in pictures if one.is_keyframe]
        keys = self.keyframes * _octets(made_keys) / max(len(made_keys), 1)
        if not theirs:  # all are keyframes, or hardly a picture else was made: these tell
            return keys / max(self.keyframe_octets, 1)
        return (keys + ours / theirs * (self.octets - self.keyframe_octets)) / max(self.octets, 1)


def _groups(pictures: Sequence[Coded]) -> list[list[Coded]]:
    """In the encoder's order: each begins with a picture that is shown later than all before."""
    groups: list[list[Coded]] = []
    latest = -math.inf
    for one in pictures:
        if one.pts > latest:
            groups.append([])
            latest = one.pts
        groups[-1].append(one)
    return groups


def _octets(pictures: Sequence[Coded]) -> int:
    return sum(len(one.data) for one in pictures)


def _early(frames: range, each: int) -> tuple[range, range]:
    first = frames.start + max(len(frames) // 6 - each // 2, 0)
    second = max(frames.start + len(frames) // 2 - each // 2, first + each)
    return range(first, first + each), range(second, second + each)


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
