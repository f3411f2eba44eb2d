"""Two layers become one picture: the warped plate below, the actor's own lower face above, joined without a seam.

Takes crops in native codes and points, gives codes and the matte under which they may be written. Poisson-like
matching without the cost: on the ring around the matte the layers' low frequencies are made equal, and the difference
fades inwards (normalised convolution, Knutsson & Westin 1993).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from lipsmith.engine.faces.points import AT_LOWER

# Outline of the replaced region: under the nose, beside the mouth, inside the jaw.
# fmt: off
_OUTLINE = [AT_LOWER[p] for p in (2, 98, 203, 206, 207, 214, 135, 150, 149, 176, 148, 152, 377, 400, 378, 379, 364, 434,
                                  427, 426, 423, 327)]
_LIPS = slice(0, 20)
# fmt: on
_FEATHER = 0.10  # of the face width, inwards from the outline
_EDGE = 0.05  # of the face width, from the crop's border: there the warp is at rest
_MATCH_SIZE = 72  # pixels of the longer side at which light is compared
_NEAR_CELLS = 6  # of that, around the matte: `matched` and `without_strangers` look no farther
_OUTLIER = np.array([0.12, 0.06, 0.06], np.float32)  # of the full code: differences of this size are other things
_MOST = np.array([0.14, 0.035, 0.035], np.float32)  # of the full code: as far as light is matched
_STRANGE = np.array([0.11, 0.05, 0.05], np.float32)  # of the full code: from once to twice this, skin becomes a hand
_CRISP_MOST, _CRISP_SIGMA = 0.9, 1.2  # limit of sharpening; pixels
# Of a new mouth's detail (root of its energy) what is given beyond the library's, since a codec takes as much of it.
_TAKEN = {"hevc": 1.12, "mpeg4": 1.09, "vp9": 1.07}
_TAKEN_ELSE = 1.03
_CORE = 0.05  # of the face width, around the lips: always the actor's own mouth
_MATCH_REACH = 0.16  # of the crop: how far a difference on the ring reaches


@dataclass(frozen=True)
class Mattes:
    """All float32 (h, w) in [0, 1]."""

    face: np.ndarray  # where the actor's own lower face is shown
    core: np.ndarray  # the lips and a little around, where it must be shown
    edit: np.ndarray  # where anything may change

    @property
    def skin(self) -> np.ndarray:
        """(h, w) bool: of the shown lower face what is not lips."""
        return (self.face > 0.5) & (self.core < 0.05)


def mattes(wanted: np.ndarray, height: int, width: int, unit: float, inner: tuple[bool, bool, bool, bool]) -> Mattes:
    """For (P, 2) wanted points in a crop. `inner`: which sides (left, top, right, bottom) lie within the picture."""
    outline = np.round(wanted[_OUTLINE] * 8).astype(np.int32)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [outline], 255, lineType=cv2.LINE_AA, shift=3)
    depth = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3)
    face = smooth_step(depth / (_FEATHER * unit))
    lips = np.zeros((height, width), np.uint8)
    cv2.fillPoly(lips, [np.round(wanted[_LIPS] * 8).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=3)
    away = cv2.distanceTransform((lips < 128).astype(np.uint8), cv2.DIST_L2, 3)
    core = 1 - smooth_step((away - _CORE * unit) / (_CORE * unit))
    return Mattes(face, core, _edge(height, width, _EDGE * unit, inner))


def needed(matte: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that must be known of a layer shown under `matte`: with the ring around it."""
    height, width = matte.shape
    around = math.ceil(_NEAR_CELLS * max(height, width) / _MATCH_SIZE)
    left, top, across, down = cv2.boundingRect((matte > 0).astype(np.uint8))
    return (
        slice(max(top - around, 0), min(top + down + around, height)),
        slice(max(left - around, 0), min(left + across + around, width)),
    )


def _edge(height: int, width: int, reach: float, inner: tuple[bool, bool, bool, bool]) -> np.ndarray:
    """1 inside, falling to 0 at those sides of the crop that lie within the picture."""
    left, top, right, bottom = inner
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    far = np.float32(1e9)
    across = np.minimum(x if left else far, x[::-1] if right else far) * np.ones(width, np.float32)
    down = np.minimum(y if top else far, y[::-1] if bottom else far) * np.ones(height, np.float32)
    return smooth_step(across / reach)[None] * smooth_step(down / reach)[:, None]


def smooth_step(x: np.ndarray | float) -> np.ndarray:
    """From 0 to 1 as `x` does, without a corner at either end; float32."""
    x = np.asarray(np.clip(x, 0, 1), np.float32)
    return x * x * (3 - 2 * x)


def matched(face: np.ndarray, plate: np.ndarray, matte: np.ndarray, full: int) -> np.ndarray:
    """(h, w, 3) float32 `face` in the light of `plate`, compared around the matte. `full`: largest code.

    What differs far more than light does (a finger, a collar, a microphone on one side only) does not count, and no
    difference is followed beyond what light does within a shot: a tinted chin is worse than a dim one.
    """
    height, width = matte.shape
    scale = _MATCH_SIZE / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    difference = cv2.resize(plate - face, size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(matte, size, interpolation=cv2.INTER_AREA)
    near = cv2.dilate((small > 0.02).astype(np.uint8), np.ones((9, 9), np.uint8))
    alike = np.exp(-np.square(difference / (full * _OUTLIER)).sum(-1))
    ring = (1 - small) ** 2 * near * (small < 0.6) * alike
    sigma = _MATCH_REACH * max(size)
    total = cv2.GaussianBlur(difference * ring[..., None], (0, 0), sigma)
    weight = cv2.GaussianBlur(ring, (0, 0), sigma)[..., None]
    low = np.clip(total / (weight + 1e-3), -full * _MOST, full * _MOST)
    return face + cv2.resize(low, (width, height), interpolation=cv2.INTER_LINEAR)


def crisped(face: np.ndarray, energy: float, lips: np.ndarray, full: int, codec: str) -> np.ndarray:
    """`face` with the detail back that resampling took: its luma sharpened until the lips have the library's `energy`.

    `energy`: mean square Laplacian of luma in [0, 1] around the lips of the library frame (`actor.library`); `lips`:
    (20, 2) wanted outline. As much more is given as an encoder of this `codec` will take (docs/log.md).
    """
    low, high = np.clip(lips.min(0).astype(int), 0, None), lips.max(0).astype(int) + 1
    luma = face[..., 0]
    part = luma[low[1] : high[1], low[0] : high[0]] / np.float32(full)
    if part.size < 25:
        return face
    have = float(np.square(cv2.Laplacian(part, cv2.CV_32F)).mean()) + 1e-9
    amount = float(np.clip(_TAKEN.get(codec, _TAKEN_ELSE) * np.sqrt(energy / have) - 1, 0, _CRISP_MOST))
    if amount < 0.02:
        return face
    out = face.copy()
    out[..., 0] = luma + amount * (luma - cv2.GaussianBlur(luma, (0, 0), _CRISP_SIGMA))
    return out


def without_strangers(
    matte: np.ndarray, core: np.ndarray, face: np.ndarray, plate: np.ndarray, full: int
) -> np.ndarray:
    """The matte without what only one layer shows: a hand, a microphone, a collar.

    Beside the lips (`core`, (h, w) in [0, 1]) both layers are skin in the same light and differ little. Where they
    differ much, one of them shows something else, and the plate knows better which.
    """
    height, width = matte.shape
    scale = _MATCH_SIZE / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    difference = cv2.resize(face - plate, size, interpolation=cv2.INTER_AREA) / (full * _STRANGE)
    strange = smooth_step(np.sqrt(np.square(difference).sum(-1)) - 1)
    strange = cv2.GaussianBlur(cv2.dilate(strange, np.ones((3, 3), np.uint8)), (0, 0), 1.0)
    return matte * np.maximum(core, 1 - cv2.resize(strange, (width, height), interpolation=cv2.INTER_LINEAR))


def joined(plate: np.ndarray, face: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """matte * face + (1 - matte) * plate, float32."""
    return plate + matte[..., None] * (face - plate)
