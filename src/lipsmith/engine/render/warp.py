"""One thin-plate warp for all layers of a crop.

Takes points where things should be and, for each layer, where they are; gives backward maps for `cv2.remap`. Since
every layer goes to the same wanted points, the spline's matrix is solved once and each layer is only another right-hand
side (Bookstein 1989; kernel r^2 log r). The spline is evaluated on a grid that is fine at the lips and coarse
elsewhere, then interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.linalg import lu_factor, lu_solve

from lipsmith.engine.faces.outline import within

_COARSE, _FINE = 18, 26  # grid lines over the crop, and over the mouth
_STIFFNESS = 2e-4  # of the spline, in squared face widths: lets landmark noise go, keeps lips within a tenth of a pixel
_LEAST_AREA = 0.004  # of the source per area of the crop; below, the warp counts as folding
_BORDER = 7  # anchors per side of the crop that hold still
_ALL = slice(None), slice(None)


@dataclass(frozen=True)
class BackwardMap:
    """Where each pixel of the crop comes from."""

    x: np.ndarray  # (h, w) float32, columns of the source
    y: np.ndarray  # (h, w) float32, rows
    folded: float  # how much of the crop's mouth the warp folds, squared face widths

    def stilled(self, still: np.ndarray) -> BackwardMap:
        """The same, but that pixels stay where (h, w) `still` is 1."""
        height, width = still.shape
        column, row = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
        moving = 1 - still
        return BackwardMap(column + moving * (self.x - column), row + moving * (self.y - row), self.folded)


class Warp:
    """From a crop of `height` x `width` pixels with its wanted (P, 2) points back to any number of sources."""

    def __init__(
        self,
        wanted: np.ndarray,
        height: int,
        width: int,
        unit: float,
        mouth: np.ndarray,
        hole: np.ndarray | None = None,
    ) -> None:
        """`unit`: pixels per face width; `mouth`: (n, 2) points around which the grid is fine.

        `hole`: (m, 2) outline within which another map will be used: folds there are none.
        """
        self._size, self._unit = (height, width), unit
        self._anchors = _border(height, width)
        self._to = np.concatenate([wanted, self._anchors]).astype(np.float64)
        low, high = mouth.min(0) - 0.06 * unit, mouth.max(0) + 0.06 * unit
        self._columns = _lines(width, low[0], high[0])
        self._rows = _lines(height, low[1], high[1])
        self._inside = (
            (self._rows >= low[1]) & (self._rows <= high[1]),
            (self._columns >= low[0]) & (self._columns <= high[0]),
        )
        self._counts = self._solid(hole)
        self._factor = lu_factor(_system(self._to / unit))
        self._basis = _basis(self._columns / unit, self._rows / unit, self._to / unit)  # (gy * gx, n + 3)
        self._spread = _interpolation(self._rows, height), _interpolation(self._columns, width)

    def back_to(self, source: np.ndarray, *, held: bool, part: tuple[slice, slice] = _ALL) -> BackwardMap:
        """The map to a source whose points lie at (P, 2) `source`, for these rows and columns of the crop.

        `held`: the crop's border stays where it is (the plate itself); otherwise the border follows the points.
        """
        moved = source - self._to[: len(source)]
        around = np.zeros_like(self._anchors) if held else self._rigid(source)
        values = np.concatenate([moved, around, np.zeros((3, 2))]).astype(np.float64)
        shifts = (self._basis @ lu_solve(self._factor, values).astype(np.float32)).reshape(
            len(self._rows), len(self._columns), 2
        )
        (down, across), (height, width) = self._spread, self._size
        rows, columns = part
        x, y = (down[rows] @ shifts[..., axis] @ across[columns].T for axis in (0, 1))
        x += np.arange(width, dtype=np.float32)[columns]
        y += np.arange(height, dtype=np.float32)[rows, None]
        return BackwardMap(x, y, self._folded(shifts))

    def _rigid(self, source: np.ndarray) -> np.ndarray:
        """How the border anchors move with a source elsewhere: by the best affine map of the points."""
        known = np.column_stack([self._to[: len(source)], np.ones(len(source))])
        affine, *_ = np.linalg.lstsq(known, source, rcond=None)
        return np.column_stack([self._anchors, np.ones(len(self._anchors))]) @ affine - self._anchors

    def _folded(self, shifts: np.ndarray) -> float:
        rows, columns = self._inside
        part = shifts[rows][:, columns]
        y = part[..., 1] + self._rows[rows][:, None]
        x = part[..., 0] + self._columns[columns][None]
        step_y, step_x = np.diff(self._rows[rows]), np.diff(self._columns[columns])
        down = (np.diff(x, axis=0)[:, :-1] / step_y[:, None], np.diff(y, axis=0)[:, :-1] / step_y[:, None])
        across = (np.diff(x, axis=1)[:-1] / step_x[None], np.diff(y, axis=1)[:-1] / step_x[None])
        area = across[0] * down[1] - across[1] * down[0]  # of the source, per area of the crop
        return float((step_y[:, None] * step_x)[(area <= _LEAST_AREA) & self._counts].sum()) / self._unit**2

    def _solid(self, hole: np.ndarray | None) -> np.ndarray:
        """(fine rows - 1, fine columns - 1) bool: which cells of the grid around the mouth are not in the hole."""
        y, x = (lines[near] for lines, near in zip((self._rows, self._columns), self._inside, strict=True))
        middles = [np.rint((line[:-1] + line[1:]) / 2).astype(int) for line in (y, x)]
        grid = np.ix_(*middles)
        return np.ones((len(y) - 1, len(x) - 1), bool) if hole is None else within(hole, self._size)[grid] == 0


def sample(picture: np.ndarray, where: BackwardMap, *, quarter_chroma: bool = False) -> np.ndarray:
    """(h, w, 3) codes of the (H, W, 3) picture, read once, by Lanczos: every further reading would soften it.

    `quarter_chroma`: components 1 and 2 hold every other sample of every other row, and what is between lies on the
    line between them: read linearly, in a tenth of the time, they lose nothing that was there.
    """
    if not quarter_chroma:
        return _read(picture, where, cv2.INTER_LANCZOS4)
    luma, *chroma = cv2.split(picture)
    return cv2.merge(
        [_read(luma, where, cv2.INTER_LANCZOS4), *(_read(part, where, cv2.INTER_LINEAR) for part in chroma)]
    )


def _read(picture: np.ndarray, where: BackwardMap, by: int) -> np.ndarray:
    return cv2.remap(picture, where.x, where.y, by, borderMode=cv2.BORDER_REPLICATE)


def sample_mask(mask: np.ndarray, where: BackwardMap) -> np.ndarray:
    """(h, w) float32 in [0, 1] of an (H, W) uint8 mask."""
    return _read(mask, where, cv2.INTER_LINEAR) / np.float32(255)


def _border(height: int, width: int) -> np.ndarray:
    xs, ys = np.linspace(0, width - 1, _BORDER), np.linspace(0, height - 1, _BORDER)
    top_bottom = [(x, y) for x in xs for y in (0, height - 1)]
    sides = [(x, y) for y in ys[1:-1] for x in (0, width - 1)]
    return np.array(top_bottom + sides, np.float64)


def _lines(length: int, low: float, high: float) -> np.ndarray:
    """Grid lines over [0, length - 1]: coarse ones everywhere, fine ones between low and high."""
    fine = np.linspace(np.clip(low, 0, length - 1), np.clip(high, 0, length - 1), _FINE)
    coarse = np.linspace(0, length - 1, _COARSE)
    lines = np.sort(np.concatenate([coarse[(coarse < fine[0]) | (coarse > fine[-1])], fine]))
    return lines[np.concatenate([[True], np.diff(lines) > 1e-3])]


def _kernel(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """r^2 log r of distances with these parts."""
    square = across**2 + down**2
    kernel = np.log(square + 1e-12)
    kernel *= square
    kernel *= 0.5
    return kernel


def _system(points: np.ndarray) -> np.ndarray:
    count = len(points)
    matrix = np.zeros((count + 3, count + 3))
    across, down = (points[:, None, axis] - points[None, :, axis] for axis in (0, 1))
    matrix[:count, :count] = _kernel(across, down) + _STIFFNESS * np.eye(count)
    matrix[:count, count:] = np.column_stack([np.ones(count), points])
    matrix[count:, :count] = matrix[:count, count:].T
    return matrix


def _basis(columns: np.ndarray, rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(rows * columns, n + 3) float32 what each of (n, 2) points, and a plane, adds to the spline on that grid."""
    columns, rows, points = (part.astype(np.float32) for part in (columns, rows, points))
    grid = np.empty((len(rows), len(columns), len(points) + 3), np.float32)
    grid[..., :-3] = _kernel(columns[:, None] - points[:, 0], (rows[:, None] - points[:, 1])[:, None])
    grid[..., -3], grid[..., -2], grid[..., -1] = 1, columns, rows[:, None]
    return grid.reshape(-1, grid.shape[-1])


def _interpolation(lines: np.ndarray, length: int) -> np.ndarray:
    """(length, lines) float32 weights that read values given on grid lines at every pixel, linearly."""
    at = np.arange(length)
    right = np.clip(np.searchsorted(lines, at, side="right"), 1, len(lines) - 1)
    share = np.clip((at - lines[right - 1]) / (lines[right] - lines[right - 1]), 0, 1)
    weights = np.zeros((length, len(lines)), np.float32)
    weights[at, right - 1] = 1 - share
    weights[at, right] += share
    return weights
