"""Where the faces are in a picture: MediaPipe's full-range BlazeFace, batched.

Takes RGB pictures, gives `Region`s good enough to start the landmark mesh on. Knows nothing of time.
Decoding of the anchors follows MediaPipe's face_detection_full_range graph (192 x 192 input, 48 x 48 anchors).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from lipsmith.engine.faces.tflite import TfliteNet

INPUT_SIZE = 192  # pixels, the net's square input
_GRID = 48  # anchors per side
MIN_SCORE = 0.5
_OVERLAP = 0.3  # intersection over union above which two detections are one face
_REGION_SCALE = 1.5  # mesh region over detection box, as in MediaPipe's face landmark graph


@dataclass(frozen=True)
class Region:
    """A rotated square around a face, in pixels of the coded picture."""

    x: float  # centre
    y: float
    size: float  # side
    angle: float  # radians; 0 where the eyes are level

    def overlap(self, other: Region) -> float:
        """Intersection over union of the two squares, rotation left aside; range [0, 1]."""
        reach = (self.size + other.size) / 2
        wide = min(reach - abs(self.x - other.x), self.size, other.size)
        high = min(reach - abs(self.y - other.y), self.size, other.size)
        if wide <= 0 or high <= 0:
            return 0.0
        shared = wide * high
        return shared / (self.size**2 + other.size**2 - shared)

    def toward(self, other: Region, share: float) -> Region:
        """The region `share` of the way to `other`; the angle takes the short way round."""
        turn = math.remainder(other.angle - self.angle, 2 * math.pi)
        return Region(
            self.x + share * (other.x - self.x),
            self.y + share * (other.y - self.y),
            self.size + share * (other.size - self.size),
            self.angle + share * turn,
        )


@dataclass(frozen=True)
class Detection:
    """One face with the detector's certainty in [0, 1]."""

    region: Region
    score: float


class FaceDetector:
    """Full-range detector on one device; about 10 ms a picture on one CPU core."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self._device = device
        self._net = TfliteNet(path).eval().to(device)
        ticks = (np.arange(_GRID) + 0.5) / _GRID
        self._anchors = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)  # (2304, 2) x, y

    def detect(self, pictures: Sequence[np.ndarray], rotation_degrees: int = 0) -> list[list[Detection]]:
        """Faces in each (H, W, 3) uint8 RGB picture, surest first.

        `rotation_degrees`: counter-clockwise turn that makes the coded picture upright (0, 90, 180, 270). Regions
        come back in coded pixels all the same.
        """
        boxes = [_Letterbox.of(picture, rotation_degrees) for picture in pictures]
        batch = torch.from_numpy(np.stack([box.pixels for box in boxes])).to(self._device)
        with torch.inference_mode():
            raw, scores = self._net(batch.float() / 127.5 - 1)
        certain = 1 / (1 + np.exp(-np.clip(scores.cpu().numpy()[..., 0], -80, 80)))
        return [self._decode(r, s, box) for r, s, box in zip(raw.cpu().numpy(), certain, boxes, strict=True)]

    def _decode(self, raw: np.ndarray, scores: np.ndarray, box: _Letterbox) -> list[Detection]:
        sure = np.flatnonzero(scores > MIN_SCORE)
        points = raw[sure].reshape(len(sure), 8, 2) / INPUT_SIZE  # centre, size, six key points
        points[:, 0] += self._anchors[sure]
        points[:, 2:] += self._anchors[sure][:, None]
        points *= INPUT_SIZE
        corners = np.concatenate([points[:, 0] - points[:, 1] / 2, points[:, 0] + points[:, 1] / 2], 1)
        found = []
        for group, score in _merge(corners, scores[sure]):
            weight = scores[sure][group][:, None, None]
            mean = (points[group] * weight).sum(0) / weight.sum(0)
            found.append(Detection(box.region(mean), float(score)))
        return found


@dataclass(frozen=True)
class _Letterbox:
    """A picture made upright and fitted into the net's square, and the way back."""

    pixels: np.ndarray  # (192, 192, 3) uint8
    scale: float
    left: int
    top: int
    turns: int  # quarter turns counter-clockwise that made it upright
    width: int  # of the coded picture
    height: int

    @classmethod
    def of(cls, picture: np.ndarray, rotation_degrees: int) -> _Letterbox:
        height, width = picture.shape[:2]
        scale = INPUT_SIZE / max(height, width)
        new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
        turns = rotation_degrees // 90 % 4
        small = np.rot90(cv2.resize(picture, (new_w, new_h), interpolation=cv2.INTER_AREA), turns)
        top, left = (INPUT_SIZE - small.shape[0]) // 2, (INPUT_SIZE - small.shape[1]) // 2
        pixels = np.zeros((INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
        pixels[top : top + small.shape[0], left : left + small.shape[1]] = small
        return cls(pixels, scale, left, top, turns, width, height)

    def region(self, points: np.ndarray) -> Region:
        """Mesh region in coded pixels from (8, 2) decoded points in net pixels."""
        center, size = self._coded(points[0]), float(points[1].max()) / self.scale
        right_eye, left_eye = self._coded(points[2]), self._coded(points[3])
        eyes = left_eye - right_eye
        return Region(float(center[0]), float(center[1]), _REGION_SCALE * size, math.atan2(eyes[1], eyes[0]))

    def _coded(self, point: np.ndarray) -> np.ndarray:
        x, y = (point - (self.left, self.top)) / self.scale
        for turn in range(self.turns, 0, -1):  # undo one counter-clockwise quarter turn at a time
            width_before = self.width if turn % 2 else self.height
            x, y = width_before - y, x
        return np.array([x, y])


def _merge(corners: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Groups of (n, 4) boxes that are one face (weighted non-maximum suppression), best first."""
    order = np.argsort(-scores)
    area = np.prod(corners[:, 2:] - corners[:, :2], 1)
    used = np.zeros(len(scores), bool)
    groups = []
    for best in order:
        if used[best]:
            continue
        low = np.maximum(corners[best, :2], corners[:, :2])
        high = np.minimum(corners[best, 2:], corners[:, 2:])
        shared = np.prod(np.clip(high - low, 0, None), 1)
        near = (shared / (area[best] + area - shared) > _OVERLAP) & ~used
        near[best] = True
        used |= near
        groups.append((np.flatnonzero(near), scores[best]))
    return groups
