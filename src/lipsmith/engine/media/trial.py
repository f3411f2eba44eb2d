"""How finely a run of GOPs is to be encoded where its bitstream does not say how finely it was: found by trial.

Gives x264's or x265's constant rate factor (CRF): where our encoder spends on some pictures of a part's first run the
bits that the source spent on them. What the budget leaves makes it finer, down to `_FINE_ENOUGH`, where luma outside
the edit reaches 45 dB and more. Knows nothing of muxing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lipsmith.engine.media.budget import Budget
from lipsmith.engine.media.coded import Coded
from lipsmith.engine.media.gops import PacketIndex
from lipsmith.engine.media.splice import Run

_FIRST_TRIAL = 26.0  # rate factor
_FINE_ENOUGH = 19.0
_PER_DOUBLING = 5.0  # steps of CRF for twice the bits, seen on five clips
_NEAR = 3.0  # steps of CRF over which `_PER_DOUBLING` holds well enough; farther away a second trial is made at once
_SLOPES = (3.0, 12.0)  # steps of CRF per doubling that are believed of two trials
_AIM = 0.92  # of the octets: a trial cannot look as far ahead as a run and comes out that much cheaper (24 clips)
_SAMPLE_FRAMES = (18, 24)  # of each of two samples, an eighth of the run
_AROUND = 8  # pictures before and after a sample that tell, too, what the source spends there
_LOOSER = 1.5  # how much coarser than matching a run may be when others took too much
_RANGE = (4, 51)


@dataclass
class Matching:
    """The rate factor at which a part's first run takes the source's octets; the others are taken to be like it."""

    found: float | None = None

    def rate_factor(self, budget: Budget, trial: Callable[[], float]) -> float:
        """The CRF for the next run: finer than matching as the budget allows. `trial`: finds the matching one."""
        if self.found is None:
            self.found = trial()
        finer = max(self.found - _PER_DOUBLING * budget.doublings, min(self.found, _FINE_ENOUGH))
        return float(np.clip(min(finer, self.found + _LOOSER), *_RANGE))


def matching(ratios: Callable[[float], Iterator[float]]) -> float:
    """The rate factor at which some pictures take the source's octets, in one or two trials.

    `ratios`: our octets to the source's as we see them after the first stretch and after all, encoded when asked for.
    """
    seen = ratios(_FIRST_TRIAL)
    first = _doublings(next(seen))
    step = _PER_DOUBLING * first
    if abs(step) < _NEAR:
        return float(np.clip(_FIRST_TRIAL + _PER_DOUBLING * _after_all(first, seen), *_RANGE))
    nearer = float(np.clip(_FIRST_TRIAL + step, *_RANGE))
    seen = ratios(nearer)
    again = _doublings(next(seen))
    per_doubling = float(np.clip((nearer - _FIRST_TRIAL) / (first - again or 1e-6), *_SLOPES))
    return float(np.clip(nearer + per_doubling * _after_all(again, seen), *_RANGE))


def _after_all(doublings: float, others: Iterator[float]) -> float:
    """Those seen last; `doublings`: after the first stretch, where there is no other."""
    for ratio in others:
        doublings = _doublings(ratio)
    return doublings


def _doublings(ratio: float) -> float:
    return math.log2(max(ratio, 1e-6) / _AIM)


@dataclass(frozen=True)
class Samples:
    """Stretches of a run to try a rate factor on, and what the source spent there and on the run."""

    frames: tuple[range, ...]
    usual: tuple[float, ...]  # of each: octets of a source's picture there and around it, keyframes left out
    keyframes: int  # of the run
    keyframe_octets: int
    octets: int

    @classmethod
    def of(cls, index: PacketIndex, run: Run) -> Samples:
        """From a sixth and from the middle of the run, as it is decoded from its start, or all of a short one."""
        each = int(np.clip(len(run.frames) // 8, *_SAMPLE_FRAMES))
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
