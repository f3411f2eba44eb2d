"""468 landmarks of a face: MediaPipe's mesh with attention, batched.

Takes pictures with the `Region` of one face each, gives points in the picture's pixels. Knows nothing of time:
smoothing is `track`'s. Only the attention mesh closes the lips (plain mesh: an inner gap of 0.024 eye distances on
closed mouths, this one 0.003).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lipsmith.engine import mouth
from lipsmith.engine.faces.crop import cut_out, in_picture
from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.tflite import TfliteNet

INPUT_SIZE = 192  # pixels
POINTS = 468
_BATCH = 16


@dataclass(frozen=True)
class _Part:
    """A part of the face that a branch of the net looks at more closely. (It looks at irises, too: nobody asks.)"""

    place: int  # of the branch's output among the net's
    points: list[int]  # of the mesh, which it replaces, in that output's order


# From MediaPipe, face_landmark/tensors_to_face_landmarks_with_attention.pbtxt, Apache-2.0.
# fmt: off
_LIPS = _Part(1, [
    61,146,91,181,84,17,314,405,321,375,291,185,40,39,37,0,267,269,270,409,78,95,88,178,87,14,317,402,318,324,308,
    191,80,81,82,13,312,311,310,415,76,77,90,180,85,16,315,404,320,307,306,184,74,73,72,11,302,303,304,408,62,96,89,
    179,86,15,316,403,319,325,292,183,42,41,38,12,268,271,272,407])
_LEFT_EYE = _Part(2, [
    33,7,163,144,145,153,154,155,133,246,161,160,159,158,157,173,130,25,110,24,23,22,26,112,243,247,30,29,27,28,56,
    190,226,31,228,229,230,231,232,233,244,113,225,224,223,222,221,189,35,124,46,53,52,65,143,111,117,118,119,120,
    121,128,245,156,70,63,105,66,107,55,193])
_RIGHT_EYE = _Part(3, [
    263,249,390,373,374,380,381,382,362,466,388,387,386,385,384,398,359,255,339,254,253,252,256,341,463,467,260,259,
    257,258,286,414,446,261,448,449,450,451,452,453,464,342,445,444,443,442,441,413,265,353,276,283,282,295,372,340,
    346,347,348,349,350,357,465,383,300,293,334,296,336,285,417])
# fmt: on
_MESH, _FLAG = 0, 6  # places of the mesh itself and of whether there is a face
EYE_CORNERS = (33, 263)  # outer corners; their line gives the region's angle


class FaceMesh:
    """The landmark net on one device; about 2-4 ms a face on one CPU core."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self._device = device
        self._net = TfliteNet(path).eval().to(device)

    def landmarks(self, pictures: Sequence[np.ndarray], regions: Sequence[Region]) -> tuple[np.ndarray, np.ndarray]:
        """(N, 468, 3) float32 points in pixels (z in pixels too, nearer is smaller) and (N,) presence in [0, 1].

        `pictures`: (H, W, 3) uint8 RGB, one per region; the same picture may stand several times.
        """
        return self._found(pictures, regions, _LIPS, _LEFT_EYE, _RIGHT_EYE)

    def without_lips(self, pictures: Sequence[np.ndarray], regions: Sequence[Region]) -> np.ndarray:
        """The points of `landmarks` at less cost; those of the lips are rough. Enough for `region_of`."""
        return self._found(pictures, regions, _LEFT_EYE, _RIGHT_EYE)[0]

    def lips(self, pictures: Sequence[np.ndarray], regions: Sequence[Region]) -> tuple[np.ndarray, np.ndarray]:
        """(N, 40, 2) `mouth.LIPS` of `landmarks` and (N,) presence, at less cost."""
        points, presence = self._found(pictures, regions, _LIPS)
        return points[:, mouth.LIPS, :2], presence

    def lips_in_mirror(self, pictures: Sequence[np.ndarray], regions: Sequence[Region]) -> np.ndarray:
        """(N, 2) float32 middle of the lips in pixels, as the net sees it in the mirror.

        A net that sees lips finds them where it found them before; one that guesses behind a hand guesses elsewhere.
        """
        pairs = [cut_out(picture, region, INPUT_SIZE) for picture, region in zip(pictures, regions, strict=True)]
        points, _ = self._seen([crop[:, ::-1] for crop, _ in pairs], _LIPS)
        middle = points[:, mouth.LIPS, :2].mean(1)
        middle[:, 0] = INPUT_SIZE - 1 - middle[:, 0]
        for i, (_, matrix) in enumerate(pairs):
            middle[i] = in_picture(middle[i], matrix)
        return middle

    def _found(
        self, pictures: Sequence[np.ndarray], regions: Sequence[Region], *parts: _Part
    ) -> tuple[np.ndarray, np.ndarray]:
        """(N, 468, 3) points in pixels of the pictures, exact in `parts`, and (N,) presence."""
        pairs = [cut_out(picture, region, INPUT_SIZE) for picture, region in zip(pictures, regions, strict=True)]
        points, presence = self._seen([crop for crop, _ in pairs], *parts)
        for i, (_, matrix) in enumerate(pairs):
            points[i, :, :2] = in_picture(points[i, :, :2], matrix)
            points[i, :, 2] *= regions[i].size / INPUT_SIZE
        return points, presence

    def _seen(self, crops: list[np.ndarray], *parts: _Part) -> tuple[np.ndarray, np.ndarray]:
        """(N, 468, 3) points in pixels of the (192, 192, 3) crops and (N,) presence, a batch at a time."""
        points, presence = np.empty((len(crops), POINTS, 3), np.float32), np.empty(len(crops), np.float32)
        for start in range(0, len(crops), _BATCH):
            batch = slice(start, start + _BATCH)
            points[batch], presence[batch] = self._run(np.stack(crops[batch]), parts)
        return points, presence

    def _run(self, crops: np.ndarray, parts: tuple[_Part, ...]) -> tuple[np.ndarray, np.ndarray]:
        places = (_MESH, _FLAG, *(part.place for part in parts))
        with torch.inference_mode():
            outputs = self._net(torch.from_numpy(crops).to(self._device).float() / 255, *places)
        mesh, flag, *refined = (o.cpu().numpy() for o in outputs)
        points = mesh.reshape(len(crops), POINTS, 3).copy()
        for part, exact in zip(parts, refined, strict=True):
            points[:, part.points, :2] = exact.reshape(len(crops), -1, 2)
        return points, 1 / (1 + np.exp(-flag.reshape(len(crops))))


def eyes_angle(eye_corners: np.ndarray) -> float:
    """Radians by which the line through the (2, 3) outer corners of the eyes is turned in the picture."""
    right, left = eye_corners
    return math.atan2(left[1] - right[1], left[0] - right[0])


def region_of(points: np.ndarray) -> Region:
    """The region to run the mesh on next, from (468, 3) points: a square 1.5 times the face, eyes level."""
    return region_around(points, points[list(EYE_CORNERS)])


def region_around(points: np.ndarray, eye_corners: np.ndarray) -> Region:
    """The same, from those (P, 3) points of a face that hold its outline and the (2, 3) corners of its eyes."""
    angle = eyes_angle(eye_corners)
    cos, sin = math.cos(angle), math.sin(angle)
    level = points[:, :2] @ np.array([[cos, -sin], [sin, cos]])
    low, high = level.min(0), level.max(0)
    center = (low + high) / 2 @ np.array([[cos, sin], [-sin, cos]])
    return Region(float(center[0]), float(center[1]), 1.5 * float((high - low).max()), angle)
