"""Paints one frame: plate, library and target in, codes and matte out.

The self-check lives here too: a warp that folds is refused before it is painted, and the caller can ask for the same
frame again with another library row or a gentler target. Knows no file and no sound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.actor.library import Library, crop_box
from lipsmith.engine.media.frame import Box
from lipsmith.engine.render.composite import crisped, joined, matched, mattes, without_strangers
from lipsmith.engine.render.warp import Warp, sample

LEAST_AREA = 0.004  # below, the warp counts as folding


@dataclass(frozen=True)
class Painted:
    """A finished crop."""

    codes: np.ndarray  # (h, w, 3) in the plate's dtype
    matte: np.ndarray  # (h, w) float32: write only under it
    least_area: float  # of the shown layer's warp; `LEAST_AREA` or less: it folds


@dataclass(frozen=True)
class Layer:
    """A library row and how much of it is shown."""

    row: int
    share: float


def paint_box(plate: np.ndarray, lower: np.ndarray, unit: float, width: int, height: int) -> Box:
    """The part of the picture that a frame's edit may touch: all (P, 2) points, as they are and as wanted."""
    return crop_box(np.concatenate([plate, lower]), unit, width, height)


class Painter:
    """Paints frames of one shot with one actor's library. `full`: largest code of the plate's bit depth."""

    def __init__(self, library: Library, full: int, library_full: int) -> None:
        self._library, self._full, self._library_full = library, full, library_full

    def paint(
        self,
        plate: np.ndarray,
        box: Box,
        own: np.ndarray,
        wanted: np.ndarray,
        unit: float,
        layers: tuple[Layer, ...],
        *,
        weight: float = 1.0,
        size: tuple[int, int],
    ) -> Painted:
        """`plate`: (h, w, 3) codes of `box`; `own`, `wanted`: (P, 2) points in picture pixels; `size`: picture w, h."""
        corner = np.array([box.left, box.top], np.float32)
        goal, here = wanted - corner, own - corner
        height, width = plate.shape[:2]
        warp = Warp(goal, height, width, unit, goal[: len(mouth.MOUTH)])
        inner = (box.left > 0, box.top > 0, box.right < size[0], box.bottom < size[1])
        shown = mattes(goal, height, width, unit, inner)
        below = sample(plate, warp.back_to(here, held=True))
        face, least = self._face(warp, layers)
        energy = float(self._library.index.sharpness[layers[0].row])
        face = crisped(face, energy, goal[: len(mouth.LIPS_OUTER)], self._full)
        face = matched(face, below, shown.face, self._full)
        matte = without_strangers(shown.face, shown.core, face, below, self._full)
        mixed = joined(below, face, matte * np.float32(min(1.0, 2 * weight)))
        codes = np.clip(np.rint(mixed), 0, self._full).astype(plate.dtype)
        return Painted(codes, shown.edit * np.float32(min(1.0, 4 * weight)), least)

    def _face(self, warp: Warp, layers: tuple[Layer, ...]) -> tuple[np.ndarray, float]:
        total, least = None, np.inf
        for layer in layers:
            entry = self._library.entry(layer.row)
            where = warp.back_to(entry.lower, held=False)
            part = sample(entry.codes, where) * np.float32(layer.share * self._full / self._library_full)
            total = part if total is None else total + part
            least = min(least, where.least_area)
        assert total is not None
        return total, float(least)
