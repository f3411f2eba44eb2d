"""The inside of a mouth that was never filmed: what is seen between the parted lips of many people.

Where the footage shows no mouth as open as one is wanted, a warp can only stretch the lips that were shut. Takes the
wanted inner lips and the colour of the skin around them, gives the hollow between them. It is nobody's: a
regression of colours on opening and width, made by training/interior.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.render.composite import around, rise, smooth_step

WEIGHTS = Path(__file__).with_name("interior.npz")
ROWS, COLUMNS = 16, 32  # of what is known between upper and lower lip, and between the corners
_ACROSS = len(mouth.LIPS_INNER) // 2 + 1  # points of one lip, corners included
_MIDDLE = slice(3, 8)  # of those: where a mouth opens first
# Face widths. Between lips that were filmed shut (up to the first; not from the second on) there is nothing to stretch;
# what is wanted hardly open (up to the first) shows nothing, from the second on an inside.
_SHUT, _WANTED_OPEN = (0.006, 0.014), (0.012, 0.026)
_HOLLOW = 0.7  # of the darkest row's light
_LEAST_FILMED = 20  # pixels between the lips; of fewer nothing can be told
_DARK_SHARE = 10  # a tenth of them is what is dark there
_DARKER = 0.1  # of the skin's luma: by so much or more darker than the likely dark, the filmed one is shown alone
_SOFT = 0.006  # face widths, from the lip's edge inwards
_LEAST_SOFT = 1.2  # pixels


@dataclass(frozen=True)
class Opening:
    """The inner lips of one mouth in a crop: each lip from corner to corner, points that face each other."""

    upper: np.ndarray  # (11, 2) pixels
    lower: np.ndarray  # (11, 2) pixels
    unit: float  # pixels per face width

    @classmethod
    def of(cls, points: np.ndarray, unit: float) -> Opening:
        """Of (P >= 51, 2) points of a lower face, the mouth's first."""
        inner = points[mouth.INNER]
        lower = inner[:_ACROSS]
        return cls(np.concatenate([lower[:1], inner[_ACROSS:], lower[-1:]]), lower, unit)

    @property
    def height(self) -> float:
        """Mean distance of the lips in the middle, face widths."""
        return float(self.heights[_MIDDLE].mean()) / self.unit

    @property
    def outline(self) -> np.ndarray:
        """(22, 2) pixels, around it."""
        return np.concatenate([self.lower, self.upper[::-1]])

    @property
    def heights(self) -> np.ndarray:
        """(11,) pixels from lip to lip."""
        return np.linalg.norm(self.lower - self.upper, axis=1)

    @property
    def width(self) -> float:
        """Distance of the inner corners, face widths."""
        return float(np.linalg.norm(self.lower[-1] - self.lower[0])) / self.unit

    def places(self) -> np.ndarray:
        """(ROWS, COLUMNS, 2) float32 pixels: the middles of the cells between the lips."""
        across = (np.arange(COLUMNS) + 0.5) / COLUMNS * (_ACROSS - 1)
        upper, lower = (np.stack([along(axis, across) for axis in lip.T], -1) for lip in (self.upper, self.lower))
        down = ((np.arange(ROWS, dtype=np.float32) + 0.5) / ROWS)[:, None, None]
        return (upper + down * (lower - upper)).astype(np.float32)


def features(opening: Opening) -> np.ndarray:
    """(4,) what an inside is told by."""
    height, width = opening.height / 0.06 - 1, opening.width / 0.28 - 1
    return np.array([1.0, height, height * height, width], np.float32)


@dataclass(frozen=True)
class Interior:
    """What is between lips, in parts of the luma of the skin around them."""

    coefficients: np.ndarray  # (4, ROWS, COLUMNS, 3) float32

    @classmethod
    @lru_cache(maxsize=1)
    def load(cls) -> Interior:
        with np.load(WEIGHTS) as stored:
            return cls(stored["coefficients"].astype(np.float32))

    def tones(self, opening: Opening) -> np.ndarray:
        """(ROWS, COLUMNS, 3) float32 luma, Cb, Cr over the skin's luma."""
        return np.tensordot(features(opening), self.coefficients, 1).clip(-0.5, 1.2)


def along(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """What (n,) `values` at a lip's points are between them, at positions (of any shape) counted in the points."""
    return np.interp(at, np.arange(len(values)), values)


def darkest_row(tones: np.ndarray) -> int:
    """Of (ROWS, COLUMNS, 3) tones."""
    return int(tones[:, COLUMNS // 4 : -COLUMNS // 4, 0].mean(1).argmin())


def in_his_light(tones: np.ndarray, his: np.ndarray) -> np.ndarray:
    """(ROWS, COLUMNS, 3) tones made as dark as it is in this mouth, `his` (3,): haze and glare reach into it, too.

    What is as light as the skin stays so.
    """
    dark = tones[darkest_row(tones)].mean(0)
    return his + (tones - dark) * ((1 - his[0]) / max(1 - float(dark[0]), 0.1))


def hollow(tones: np.ndarray, filmed: np.ndarray, his: np.ndarray | None) -> np.ndarray:
    """(ROWS, COLUMNS, 3) the dark between teeth alone: `his` (3,), where it is known; else the darkest row, and darker,
    since tongues are in the mean.

    `filmed`: (n, 3) what was seen between the lips of this mouth. What is dark there is his own, in his own light,
    and is shown instead where it is darker.
    """
    dark = _HOLLOW * tones[darkest_row(tones)] if his is None else his
    likely = np.broadcast_to(dark, tones.shape).astype(np.float32)
    if len(filmed) < _LEAST_FILMED:
        return likely
    count = len(filmed) // _DARK_SHARE
    own = filmed[np.argpartition(filmed[:, 0], count)[:count]].mean(0)
    return likely + smooth_step((likely[..., :1] - own[0]) / _DARKER) * (own - likely)


def lacking(wanted: np.ndarray | float, own: np.ndarray | float) -> np.ndarray:
    """How far a filmed mouth has not the inside that is wanted, in [0, 1]: 1 where it is shut and is to be open.

    Of the heights of both in the middle, face widths; float32.
    """
    return (1 - rise(own, *_SHUT)) * rise(wanted, *_WANTED_OPEN)


def between_lips(opening: Opening, height: int, width: int) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Where an inside is in a crop: (rows and columns, (h, w, 2) float32 places in cells, (h, w) matte in [0, 1])."""
    rows, columns = around(opening.outline, 0, height, width)
    x, y = np.meshgrid(*(np.arange(part.start, part.stop, dtype=np.float32) for part in (columns, rows)))
    level = opening.lower[-1] - opening.lower[0]
    level = level / max(float(np.linalg.norm(level)), 1e-6)
    along, down = (lambda p: p @ level), (lambda p: p @ np.array([-level[1], level[0]]))
    here = np.stack([x, y], -1)
    at, depth = along(here), down(here)
    top, bottom = (_height_at(at, along(lip), down(lip)) for lip in (opening.upper, opening.lower))
    middle = along(0.5 * (opening.upper + opening.lower))
    column = np.interp(at, np.maximum.accumulate(middle), np.linspace(0, 1, _ACROSS)) * COLUMNS - 0.5
    apart = np.maximum(bottom - top, 1e-3)
    row = (depth - top) / apart * ROWS - 0.5
    soft = max(_SOFT * opening.unit, _LEAST_SOFT)
    inside = np.minimum(depth - top, bottom - depth)
    matte = np.clip(inside / soft + 0.5, 0, 1) * np.clip(apart / (2 * soft), 0, 1)
    places = np.stack([column, row], -1).astype(np.float32)
    return (rows, columns), places, smooth_step(matte)


def drawn(tones: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32 `tones` at (h, w, 2) places in cells."""
    return cv2.remap(tones, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _height_at(at: np.ndarray, along: np.ndarray, down: np.ndarray) -> np.ndarray:
    return np.interp(at, np.maximum.accumulate(along), down)
