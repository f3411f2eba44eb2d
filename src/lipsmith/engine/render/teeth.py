"""Between the lips nothing stretches: teeth keep their size when a mouth is opened wider or less than it was filmed.

A thin-plate warp spreads what is seen between the lips over any opening, so that teeth grow longer. In truth the upper
teeth stay with the upper lip, the lower ones with the lower, and what opens or closes is the dark between them. Takes
the map of a mouth's warp, gives the same map with that between the lips, and where what is shown there is spread all
the same: that was not filmed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lipsmith.engine.render.composite import rise, smooth_step
from lipsmith.engine.render.interior import COLUMNS, ROWS, Opening, along, between_lips
from lipsmith.engine.render.warp import BackwardMap

_MIDDLE = slice(COLUMNS // 4, COLUMNS - COLUMNS // 4)  # columns in which the dark between the teeth is looked for
_CORNER = 0.06, 0.24  # of the mouth's width: nearer to a corner (up to the first) the lips' own warp is as good
_FIRST_DARK = 0.3  # of the way down: the shadow of the upper lip lies above
_CONTRAST = 0.2  # of the inside's range of luma, by which a row is much lighter than the darkest
_SPREAD = 1.6  # of what opens or closes, the stretch over which it does: below 1.5 the map would turn back
_LEAST_SPREAD = 0.4  # of the filmed height
_SOFT = 0.008  # face widths
_OPEN = 0.03  # face widths between the lips: half of it and less shows no dark, one and a half all of it
_DRAWN_OUT = 0.3, 0.6  # of the filmed inside per shown: what is drawn out so far (first) or farther was not filmed


@dataclass(frozen=True)
class Between:
    """What is known of the pixels between the wanted lips."""

    part: tuple[slice, slice]  # rows and columns of the crop
    places: np.ndarray  # (h, w, 2) float32 in cells of an inside
    matte: np.ndarray  # (h, w) in [0, 1]
    spread: np.ndarray  # (h, w) in [0, 1]: 1 where the filmed inside is drawn out so far that it is no picture of one


def with_teeth(where: BackwardMap, wanted: Opening, own: Opening, codes: np.ndarray) -> tuple[BackwardMap, Between]:
    """`where`: from the crop of `wanted` to the library's picture (`codes`, (H, W, 3)), in which the lips are `own`."""
    part, places, matte = between_lips(wanted, *where.x.shape)
    across = np.clip((places[..., 0] + 0.5) / COLUMNS, 0, 1)
    down = np.clip((places[..., 1] + 0.5) / ROWS, 0, 1)
    at = across * (len(wanted.heights) - 1)
    ours, theirs = (along(one.heights / one.unit, at) for one in (wanted, own))
    depth, slope = _depth(down * ours, ours, theirs, _dark(codes, own))
    depth = depth / np.maximum(theirs, 1e-6)
    x, y = where.x.copy(), where.y.copy()
    inner = rise(np.minimum(across, 1 - across), *_CORNER)
    for plane, axis in ((x, 0), (y, 1)):
        upper, lower = along(own.upper[:, axis], at), along(own.lower[:, axis], at)
        plane[part] += inner * matte * (upper + depth * (lower - upper) - plane[part])
    spread = smooth_step((_DRAWN_OUT[1] - slope) / (_DRAWN_OUT[1] - _DRAWN_OUT[0]))
    return BackwardMap(x, y, where.folded), Between(part, places, matte, _softened(inner * spread, wanted))


def _softened(spread: np.ndarray, wanted: Opening) -> np.ndarray:
    """Dark between teeth has no sharp edge, and lips that hardly part show none."""
    opened = wanted.height / _OPEN
    return smooth_step(opened - 0.5) * cv2.GaussianBlur(np.asarray(spread, np.float32), (0, 0), _SOFT * wanted.unit)


def _depth(depth: np.ndarray, ours: np.ndarray, theirs: np.ndarray, dark: float) -> tuple[np.ndarray, np.ndarray]:
    """How far below the library's upper lip lies what is shown `depth` below ours, and its change with that depth.

    Heights in face widths.
    """
    more = ours - theirs
    middle = dark * theirs + 0.5 * more
    spread = np.maximum(_SPREAD * np.abs(more), _LEAST_SPREAD * theirs) + 1e-6
    at, first, last = (np.clip((d - middle) / spread + 0.5, 0, 1) for d in (depth, np.zeros_like(depth), ours))
    whole = more / np.maximum(smooth_step(last) - smooth_step(first), 1e-3)
    return depth - whole * (smooth_step(at) - smooth_step(first)), 1 - whole * 6 * at * (1 - at) / spread


def _dark(codes: np.ndarray, own: Opening) -> float:
    """How far down, of the way from lip to lip, the library's mouth is darkest."""
    places = own.places()
    luma = cv2.remap(codes[..., 0].astype(np.float32), places[..., 0], places[..., 1], cv2.INTER_LINEAR)
    rows = luma[:, _MIDDLE].mean(1)
    down = (np.arange(ROWS) + 0.5) / ROWS
    light = (rows - rows.min()) / max(float(rows.max() - rows.min()), 1e-6)
    weight = np.exp(-light / _CONTRAST) * (down > _FIRST_DARK)
    return float((weight * down).sum() / max(weight.sum(), 1e-9))
