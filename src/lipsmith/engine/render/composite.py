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

from lipsmith.engine import mouth
from lipsmith.engine.faces.outline import half_within
from lipsmith.engine.faces.points import AT_LOWER

# Outline of the replaced region: under the nose, beside the mouth, inside the jaw.
# fmt: off
_OUTLINE = [AT_LOWER[p] for p in (2, 98, 203, 206, 207, 214, 135, 150, 149, 176, 148, 152, 377, 400, 378, 379, 364, 434,
                                  427, 426, 423, 327)]
# fmt: on
_FEATHER = 0.10  # of the face width, inwards from the outline
_EDGE = 0.05  # of the face width, from the crop's border: there the warp is at rest
_MATCH_SIZE = 72  # cells of the crop's longer side by which light is compared
_NEAR_CELLS = 6  # of that, around the matte: farther nothing is compared
_LIGHT = 0.06  # of the face width: what is coarser is light, where another shot's is replaced
_GAINS = (0.4, 2.5)  # of that light, where it is not everywhere the same
# Log of luma, and part of white by which colours differ, from where to where another light is seen. Of nine clips no
# mouth differs by more than 0.127 and 0.024 from the lower face it is shown in; fades and stage lights by 1.9 and 0.13.
_OTHER_LUMA, _OTHER_COLOUR = (0.14, 0.25), (0.03, 0.06)
_MOST_CONTRAST = 2.5  # times the library's
_GREY = 0.04  # of white, added to either light: what is nearly black in both is alike
_OUTLIER = np.array([0.12, 0.06, 0.06], np.float32)  # of the full code: differences of this size are other things
_MOST = np.array([0.14, 0.035, 0.035], np.float32)  # of the full code: as far as light is matched
_STRANGE = np.array([0.11, 0.05, 0.05], np.float32)  # of the full code: from once to twice this, skin becomes a hand
_CRISP_MOST, _CRISP_SIGMA = 0.9, 1.2  # limit of sharpening; pixels
# Of a new mouth's detail (root of its energy) what is given beyond the library's, since a codec takes as much of it.
_TAKEN = {"h264": 1.01, "hevc": 1.12, "mpeg4": 1.09, "vp9": 1.07}
_TAKEN_ELSE = 1.03
_CORE = 0.05  # of the face width, around the lips: always the actor's own mouth
_MATCH_REACH = 0.16  # of the crop: how far a difference on the ring reaches


@dataclass(frozen=True)
class Mattes:
    """All float32 in [0, 1]; (n, m) is the size of `near`."""

    near: tuple[slice, slice]  # rows and columns of the crop: the lower face and the ring on which light is compared
    cell: float  # pixels of the crop, side of what light is compared by
    face: np.ndarray  # (n, m) where the actor's own lower face is shown
    core: np.ndarray  # (n, m) the lips and a little around, where it must be shown
    edit: np.ndarray  # (h, w) where anything may change

    @property
    def beside(self) -> np.ndarray:
        """(n, m) bool: where the lips are not, nor what is next to them."""
        return self.core < 0.05

    @property
    def skin(self) -> np.ndarray:
        """(n, m) bool: of the shown lower face what is not lips."""
        return (self.face > 0.5) & self.beside


def mattes(wanted: np.ndarray, height: int, width: int, unit: float, inner: tuple[bool, bool, bool, bool]) -> Mattes:
    """For (P, 2) wanted points in a crop. `inner`: which sides (left, top, right, bottom) lie within the picture."""
    cell = max(height, width) / _MATCH_SIZE
    near = around(wanted[_OUTLINE], math.ceil(_NEAR_CELLS * cell), height, width)
    corner = (near[1].start, near[0].start)
    size = (near[0].stop - near[0].start, near[1].stop - near[1].start)
    depth = cv2.distanceTransform(half_within(wanted[_OUTLINE] - corner, size), cv2.DIST_L2, 3)
    face = smooth_step(depth / (_FEATHER * unit))
    away = cv2.distanceTransform(1 - half_within(wanted[mouth.OUTER] - corner, size), cv2.DIST_L2, 3)
    core = 1 - smooth_step((away - _CORE * unit) / (_CORE * unit))
    return Mattes(near, cell, face, core, _edge(height, width, _EDGE * unit, inner))


def around(points: np.ndarray, margin: int, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the crop that hold (n, 2) points and so many pixels around them; never empty."""
    low = np.clip(np.floor(points.min(0)).astype(int) - margin, 0, [width - 1, height - 1])
    high = np.clip(np.ceil(points.max(0)).astype(int) + 1 + margin, low + 1, [width, height])
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


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


def rise(value: np.ndarray | float, low: float, high: float) -> np.ndarray:
    """From 0 at `low` to 1 at `high`, as `smooth_step` does."""
    return smooth_step((value - low) / (high - low))


def relit(face: np.ndarray, plate: np.ndarray, shown: np.ndarray, unit: float) -> np.ndarray:
    """(h, w, 3) tones of a `face` of another shot in the light of `plate`, whose lips lie in the same place.

    Light multiplies, and a power of it, which luma is, is multiplied as well; its colour is added. Both from what
    either layer shows at large, the inside of the mouth left out (`shown`: (h, w) in [0, 1], what else there is of the
    lower face). Shading of a face is a quotient of two pictures of it (Shashua and Riklin-Raviv 2001).
    """
    there, here = (_at_large(layer, shown, _LIGHT * unit) for layer in (plate, face))
    everywhere = (_mean(plate, shown)[0] + _GREY) / (_mean(face, shown)[0] + _GREY)
    gain = (there[..., :1] + _GREY) / (here[..., :1] + _GREY)
    gain = everywhere * np.clip(gain / everywhere, *_GAINS)
    out = face * gain
    out[..., 1:] += there[..., 1:] - gain * here[..., 1:]
    return out


def exposed(face: np.ndarray, plate: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(h, w, 3) tones of a `face` of the same shot as they would be in `plate`, brighter or darker or behind a veil.

    A fade to black takes luma and contrast alike, one to white or into another picture contrast alone: both are told,
    by mean and deviation of what is `shown`, as in `relit`. (Colours with a contrast of their own make lips purple.)
    """
    here, there = _mean(face, shown), _mean(plate, shown)
    own, wanted = (_mean(np.square(layer - mean), shown)[0] for layer, mean in ((face, here), (plate, there)))
    contrast = min(float(np.sqrt(wanted / (own + 1e-6))), _MOST_CONTRAST)
    return there + np.float32(contrast) * (face - here)


def other_light(here: np.ndarray, there: np.ndarray) -> float:
    """In [0, 1], how far (3,) mean tones are those of another light, as in a fade or under coloured lamps."""
    luma = abs(float(np.log((there[0] + _GREY) / (here[0] + _GREY))))
    colour = float(np.abs(there[1:] - here[1:]).max())
    return float(max(rise(luma, *_OTHER_LUMA), rise(colour, *_OTHER_COLOUR)))


def _mean(layer: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(3,) of what is shown."""
    return (layer * where[..., None]).sum((0, 1)) / (where.sum() + 1e-3)


def _at_large(layer: np.ndarray, where: np.ndarray, deviation: float) -> np.ndarray:
    """(h, w, 3) `layer` without detail, of what is shown alone."""
    weight = cv2.GaussianBlur(where, (0, 0), deviation)[..., None] + 1e-3
    mean = _mean(layer, where)
    return (cv2.GaussianBlur(layer * where[..., None], (0, 0), deviation) + 1e-3 * mean) / weight


def matched(face: np.ndarray, plate: np.ndarray, matte: np.ndarray, cell: float, full: int) -> np.ndarray:
    """(h, w, 3) float32 `face` in the light of `plate`, compared around the matte in cells of so many pixels.

    What differs far more than light does (a finger, a collar, a microphone on one side only) does not count, and no
    difference is followed beyond what light does within a shot: a tinted chin is worse than a dim one. `full`: largest
    code.
    """
    difference = _in_cells(plate, cell) - _in_cells(face, cell)
    small = _in_cells(matte, cell)
    near = cv2.dilate((small > 0.02).astype(np.uint8), np.ones((9, 9), np.uint8))
    like = np.exp(-np.square(difference / (full * _OUTLIER)).sum(-1))
    ring = (1 - small) ** 2 * near * (small < 0.6) * like
    total, weight = (_spread(values) for values in (difference * ring[..., None], ring))
    low = np.clip(total / (weight[..., None] + 1e-3), -full * _MOST, full * _MOST)
    return face + cv2.resize(low, matte.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _in_cells(values: np.ndarray, cell: float) -> np.ndarray:
    """Means of about `cell` by `cell` pixels."""
    height, width = values.shape[:2]
    size = max(8, round(width / cell)), max(8, round(height / cell))
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA)


def _spread(values: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), _MATCH_REACH * _MATCH_SIZE)


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


def alike(face: np.ndarray, plate: np.ndarray, core: np.ndarray, cell: float, full: int) -> np.ndarray:
    """(h, w) float32 in [0, 1]: 0 where only one layer shows a hand, a microphone, a collar.

    Beside the lips (`core`, (h, w) in [0, 1]) both layers are skin in the same light and differ little. Where they
    differ much, one of them shows something else, and the plate knows better which.
    """
    difference = (_in_cells(face, cell) - _in_cells(plate, cell)) / (full * _STRANGE)
    strange = smooth_step(np.sqrt(np.square(difference).sum(-1)) - 1)
    if not strange.any():
        return np.ones_like(core)
    strange = cv2.GaussianBlur(cv2.dilate(strange, np.ones((3, 3), np.uint8)), (0, 0), 1.0)
    return np.maximum(core, 1 - cv2.resize(strange, core.shape[::-1], interpolation=cv2.INTER_LINEAR))


def joined(plate: np.ndarray, face: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """matte * face + (1 - matte) * plate, float32."""
    mixed = face - plate
    mixed *= matte[..., None]
    mixed += plate
    return mixed
