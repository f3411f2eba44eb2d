"""A new mouth is as blurred as the face it goes into: by a turning head, a shaken camera, a lens out of focus.

Takes both layers of a crop, gives the blur that the upper one lacks. The mouths of a library are its sharp ones; laid
into a blurred picture such a mouth is seen to be laid there. Two witnesses must agree that the picture is blurred:
the skin around the lips, which either layer shows, and the actor's eyes and nose, here and where the mouth was filmed.
Skin alone has less detail for a smile, eyes alone while they are shut. The skin says which way the blur goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lipsmith.engine.faces.detail import PIXELS, blurred, energies
from lipsmith.engine.render.composite import rise

_STEPS = np.array([0, 0.004, 0.007, 0.011, 0.016, 0.024, 0.036])  # of the face width: how much blur is tried
_ROUNDS = 2  # a blur one way takes a little of the detail the other way, too
_SHARPER = (1.07, 1.22)  # the upper layer's detail over the lower's, from which on it counts, and counts wholly
_SEEN = (0.35, 0.7)  # pixels: a blur of less is not seen, and is as likely noise; from the second on all of it is


@dataclass(frozen=True)
class Blur:
    """A Gaussian's standard deviations, pixels."""

    down: float = 0.0
    across: float = 0.0

    def of(self, codes: np.ndarray) -> np.ndarray:
        """(h, w, ...) float32 codes, blurred."""
        return blurred(blurred(codes, self.down, 0), self.across, 1)


def lacking_blur(face: np.ndarray, plate: np.ndarray, same: np.ndarray, unit: float, most: float) -> Blur:
    """What blurs the (h, w) float32 luma of `plate` and does not blur that of `face`.

    `same`: (h, w) float32 in [0, 1], where both show the same skin; `unit`: pixels per face width; `most`: how many
    times the detail of the plate's whole face the one has that `face` was filmed on. None where `face` is hardly
    sharper: two frames of one steady shot differ as much.
    """
    if most <= _SHARPER[0]:
        return Blur()
    scale = min(1.0, PIXELS / unit)
    size = [max(8, round(side * scale)) for side in plate.shape[::-1]]
    face, plate, same = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (face, plate, same))
    unit = unit * scale
    have, left = (np.array(energies(layer, same, unit)) + 1e-9 for layer in (face, plate))
    sharper = float(np.sqrt(have.sum() / left.sum()))
    share = float(rise(min(sharper, most), *_SHARPER))
    if not share:
        return Blur()
    wanted = have * (left / have) ** min(1.0, np.log(most) / np.log(sharper))
    found = [0.0, 0.0]
    for axis in _ROUNDS * (0, 1):
        other = blurred(face, found[1 - axis], 1 - axis)
        tried = [energies(blurred(other, step, axis), same, unit)[axis] for step in _STEPS * unit]
        fewer = np.maximum.accumulate(-np.array(tried))
        found[axis] = float(np.sqrt(np.interp(-wanted[axis], fewer, (_STEPS * unit) ** 2)))
    share *= float(rise(max(found) / scale, *_SEEN))
    return Blur(*(share * deviation / scale for deviation in found))
