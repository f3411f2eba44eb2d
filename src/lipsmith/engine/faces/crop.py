"""Square crops of a picture, upright on a face, for the nets that look at one; and the way back.

Takes a picture and a `Region`, gives a small square and the matrix that leads from its pixels to the picture's.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from lipsmith.engine.faces.detect import Region

_ALIASES = 1.6  # picture pixels per crop pixel: from here on thin lips alias, and the picture is blurred first
_BLUR = 0.35  # sigma, in crop pixels


def cut_out(picture: np.ndarray, region: Region, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The region of a (H, W, 3) uint8 picture as (size, size, 3), and `way_back(region, size)`."""
    scale = region.size / size
    matrix = way_back(region, size)
    if scale >= _ALIASES:
        picture, inward = _softened(picture, matrix, size, _BLUR * scale)
    else:
        inward = matrix
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, inward, (size, size), flags=flags), matrix


def way_back(region: Region, size: int) -> np.ndarray:
    """(2, 3) float64: pixels of the region's crop, `size` a side, to pixels of the picture."""
    scale = region.size / size
    cos, sin = math.cos(region.angle) * scale, math.sin(region.angle) * scale
    half = size / 2
    return np.array([[cos, -sin, region.x - cos * half + sin * half], [sin, cos, region.y - sin * half - cos * half]])


def in_picture(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(..., 2) pixels of a crop -> of its picture."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def in_crop(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(..., 2) pixels of a picture -> of its crop; undoes `in_picture`."""
    return in_picture(points, np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2])


def _softened(picture: np.ndarray, matrix: np.ndarray, size: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Only the part that is read, blurred, and the matrix into it."""
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) @ matrix.T
    height, width = picture.shape[:2]
    low = np.clip(np.floor(corners.min(0)).astype(int) - 4, 0, [width - 1, height - 1])
    high = np.clip(np.ceil(corners.max(0)).astype(int) + 4, low + 1, [width, height])
    part = cv2.GaussianBlur(picture[low[1] : high[1], low[0] : high[0]], (0, 0), sigma)
    moved = matrix.copy()
    moved[:, 2] -= low
    return part, moved
