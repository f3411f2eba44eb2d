"""Which of the actor's real mouths to show in each frame: the cheapest path through his library.

Takes wanted mouths and head poses, gives a row of the library per frame. Opening and width decide (a warp cannot open a
shut mouth); head pose, size and light come next; following the footage's own order costs nothing, a jump costs what it
changes (unit selection after Hunt & Black 1996; Bregler et al. 1997, Video Rewrite).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.actor.library import Index
from lipsmith.engine.render.interior import lacking

CANDIDATES = 48  # per frame
_CHUNK = 256  # frames compared with the library at once
_GAP, _WIDTH, _SHAPE = 17.0, 9.0, 1.0  # per face width, squared below
_DRAWN = 0.6  # for a shut mouth that is to be open: its inside would have to be drawn
_POSE, _SIZE = 1.6, 0.5  # per radian-like unit of the rotation matrix; per doubling of the face
_SEEN = 0.5  # per e-fold of how much of the left or right of a mouth faces the camera
# Where the skin at the corners of a mouth faces, half-way from the camera to the sides, in the face's own frame.
_BESIDE = np.array([[-1, 0, -1], [1, 0, -1]]) * np.sqrt(0.5)
_LEAST_SEEN = 0.05  # cosine; less is behind the rim
_BLUR = 0.8  # for a frame of no detail, against the library's median
_TONE = 2.0  # per unit of mean code
_OTHER_SHOT = 0.1  # less than a jump: another shot's light, brought into this one, is nearly this one's
_JUMP, _JUMP_POSE = 0.35, 0.5
_CUT_COST = 0.15  # for any jump at all: runs of real movement look alive


@dataclass(frozen=True)
class Wanted:
    """What retrieval looks for; one row per frame of one unbroken run."""

    mouths: np.ndarray  # (T, 51, 3) face widths, actor's own frame
    rotation: np.ndarray  # (T, 3, 3) of the head in the plate
    scale: np.ndarray  # (T,) pixels per face width in the plate
    shot: int  # as `Index.shot_of` tells
    tone: np.ndarray | None = None  # (T, 3) mean code around the mouth, where known

    def __len__(self) -> int:
        return len(self.mouths)

    def part(self, rows: slice) -> Wanted:
        tone = None if self.tone is None else self.tone[rows]
        return Wanted(self.mouths[rows], self.rotation[rows], self.scale[rows], self.shot, tone)


@dataclass(frozen=True)
class Choice:
    """The path, and what else would have done."""

    rows: np.ndarray  # (T,) int library rows
    alternatives: np.ndarray  # (T, CANDIDATES) int library rows, best first: what they cost and how unlike they look

    def shown(self, times: np.ndarray) -> Choice:
        """Each frame's so many times, (T,) int."""
        return Choice(np.repeat(self.rows, times), np.repeat(self.alternatives, times, axis=0))


def retrieve(wanted: Wanted, index: Index) -> Choice:
    """The path of least cost (Viterbi over the best candidates of each frame)."""
    near, cost = _candidates(wanted, index)
    count = near.shape[1]
    traits = _join_traits(index)
    follows = np.append(index.follows(), False)
    total = cost[0]
    back = np.zeros((len(wanted), count), np.int16)
    for t in range(1, len(wanted)):
        joins = _joins(near[t - 1], near[t], traits, follows)  # (previous, next)
        through = total[:, None] + joins
        back[t] = through.argmin(0)
        total = through[back[t], np.arange(count)] + cost[t]
    rows, others = np.empty(len(wanted), int), np.empty_like(near)
    at = int(total.argmin())
    for t in range(len(wanted) - 1, -1, -1):
        rows[t] = near[t, at]
        unlike = _apart(traits[near[t]], traits[rows[t : t + 1]])[:, 0]  # neighbours in time are like the chosen one
        others[t] = near[t, np.argsort(cost[t] + unlike, kind="stable")]
        at = int(back[t, at])
    return Choice(rows, others)


def _candidates(wanted: Wanted, index: Index) -> tuple[np.ndarray, np.ndarray]:
    """(T, C) best library rows of each frame, best first, and their costs; a part of the frames at a time."""
    count = min(CANDIDATES, len(index))
    rows, costs = [], []
    for start in range(0, len(wanted), _CHUNK):
        cost = _unary(wanted.part(slice(start, start + _CHUNK)), index)
        near = np.argpartition(cost, count - 1, axis=1)[:, :count]
        kept = np.take_along_axis(cost, near, 1)
        order = np.argsort(kept, axis=1)
        rows.append(np.take_along_axis(near, order, 1).astype(np.int32))
        costs.append(np.take_along_axis(kept, order, 1))
    return np.concatenate(rows), np.concatenate(costs)


def _unary(wanted: Wanted, index: Index) -> np.ndarray:
    """(T, S) cost of each library frame for each wanted one."""
    ours, theirs = mouth.gaps(wanted.mouths), mouth.gaps(index.points)
    cost = _apart(_GAP * ours / np.sqrt(5), _GAP * theirs / np.sqrt(5))
    cost += _apart(_WIDTH * mouth.width(wanted.mouths)[:, None], _WIDTH * mouth.width(index.points)[:, None])
    flat = wanted.mouths[..., :2].reshape(len(wanted), -1), index.points[..., :2].reshape(len(index), -1)
    cost += _SHAPE * _apart(*flat)
    cost += _DRAWN * lacking(ours.mean(1)[:, None], theirs.mean(1)) ** 2
    turn = wanted.rotation.reshape(-1, 9), index.rotation.reshape(-1, 9)
    cost += _POSE * _apart(*turn)
    cost += _SEEN * _apart(_seen(wanted.rotation), _seen(index.rotation))
    cost += _SIZE * _apart(np.log2(wanted.scale)[:, None], np.log2(index.scale)[:, None]) ** 2
    dull = np.clip(1 - index.sharpness / (np.median(index.sharpness) + 1e-12), 0, 1)
    cost += _BLUR * dull**2
    cost += _OTHER_SHOT * (index.shot != wanted.shot)
    if wanted.tone is not None:
        cost += _TONE * _apart(wanted.tone, index.tone)
    return cost


def _seen(rotation: np.ndarray) -> np.ndarray:
    """(N, 2) log of how much both sides of a mouth face the camera, of (N, 3, 3) rotations of a head.

    What a turned head hides no warp can show. Between frontal heads it says little; near the rim few degrees are much.
    """
    return np.log(np.maximum(-(_BESIDE @ rotation)[..., 2], _LEAST_SEEN))


def _join_traits(index: Index) -> np.ndarray:
    """(S, 102 + 9 + 3) what a jump is measured by."""
    shape = np.sqrt(_JUMP) * index.points[..., :2].reshape(len(index), -1)
    gap = _GAP / 3 * mouth.gaps(index.points)
    return np.concatenate([shape, gap, np.sqrt(_JUMP_POSE) * index.rotation.reshape(-1, 9), index.tone], 1)


def _joins(before: np.ndarray, after: np.ndarray, traits: np.ndarray, follows: np.ndarray) -> np.ndarray:
    """(previous, next) cost of going from one candidate to another."""
    successor = np.minimum(before + 1, len(traits) - 1)
    expected = np.where(follows[before], successor, before)  # what would have come, or the frame itself
    cost = _apart(traits[expected], traits[after]) + _CUT_COST
    cost[(after[None] == successor[:, None]) & follows[before][:, None]] = 0
    return cost


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(len a, len b) squared distances."""
    return np.clip((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1), 0, None)
