"""Is what looks like an open mouth one? Lips rolled in, or bitten, are taken by the landmark net for parted ones.

Between lips that are truly parted it is darker than they are, and as dark as it ever is between this actor's. Takes
a picture around a mouth and its points, gives the dark of a frame, and says of all frames together which are mistaken:
those would be shown as open mouths and are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.faces.outline import within

OPEN = 0.035  # face widths between the lips: below, little of an inside is to be seen
_DARK_SHARE = 0.1  # of what lies between the lips, and of the lips
REACH = 0.12  # face widths around the lips: as far as what `dark_between` looks at
_BESIDE = 0.05, REACH  # what lies between is skin
# Of the skin's luma. Of fourteen actors' open mouths the darkest tenth was 0.08-0.64 at the median; single mouths full
# of teeth or tongue were up to 0.33 above their actor's, bitten lips 0.5 to 0.6 (docs/log.md).
_NEVER_MISTAKEN, _LIGHTER = 0.6, 0.4
# Of the lips' luma, and of their darkest tenth's: between them there is nothing but lips. Pursed ones were at 0.75-0.81
# and 1.01-1.11; the open mouths of sixteen actors up to 0.74 (0.95 quantile), and hardly one above 1 as well.
_LIKE_LIPS, _LIKE_DARK_LIPS = 0.74, 0.99
_LEAST_LUMA = 1e-3
LEAST_OPEN = 8  # frames with parted lips: of fewer nothing is known of this actor


@dataclass(frozen=True)
class Dark:
    """The darkest tenth of what lies between the lips; all nan where nothing does."""

    tone: np.ndarray  # (3,) luma, Cb, Cr over the luma of the skin around the lips
    of_lips: float  # its luma over the lips'
    of_dark_lips: float  # over that of their darkest tenth

    @property
    def is_lip(self) -> bool:
        """There is nothing darker than lips between them."""
        return self.of_lips >= _LIKE_LIPS and self.of_dark_lips >= _LIKE_DARK_LIPS


_NOTHING = Dark(np.full(3, np.nan, np.float32), float("nan"), float("nan"))


def dark_between(tones: np.ndarray, pixels: np.ndarray, unit: float) -> Dark:
    """What is dark between the lips of one frame.

    `tones`: (h, w, 3) float32 luma, Cb, Cr, 0 is black; `pixels`: (P, 2) lower face in them; `unit`: pixels per face
    width.
    """
    size = tones.shape[:2]
    inner, outer = (within(pixels[outline], size) for outline in (mouth.INNER, mouth.OUTER))
    near, far = (cv2.dilate(outer, np.ones((2 * round(reach * unit) + 1,) * 2, np.uint8)) for reach in _BESIDE)
    lips, skin = tones[outer > inner], tones[..., 0][far > near]
    dark, dark_lip = _darkest(tones[inner > 0]), _darkest(lips)
    if dark is None or dark_lip is None or not len(skin):
        return _NOTHING
    light, lip = (max(float(np.median(part)), _LEAST_LUMA) for part in (skin, lips[:, 0]))
    return Dark(dark / np.float32(light), float(dark[0]) / lip, float(dark[0]) / max(float(dark_lip[0]), _LEAST_LUMA))


def _darkest(tones: np.ndarray) -> np.ndarray | None:
    """(3,) mean of the darkest tenth of (n, 3); None of too few."""
    count = int(len(tones) * _DARK_SHARE)
    return tones[np.argpartition(tones[:, 0], count)[:count]].mean(0) if count else None


def mistaken(points: np.ndarray, dark: Sequence[Dark]) -> np.ndarray:
    """(S,) bool: the mouths, of (S, 51, 3), that are not as open as they are said to be."""
    luma = np.array([one.tone[0] for one in dark])
    parted = (mouth.gap(points) >= OPEN) & np.isfinite(luma)
    lips = parted & np.array([one.is_lip for one in dark])
    others = parted & ~lips
    if others.sum() < LEAST_OPEN:
        return lips
    return lips | parted & (luma > max(_NEVER_MISTAKEN, float(np.median(luma[others])) + _LIGHTER))
