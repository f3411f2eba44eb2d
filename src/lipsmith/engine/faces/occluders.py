"""What lies before a lower face: hands, microphones, cups, words on the picture.

Takes pictures and where a face is in them, gives how much of each part of the lower face something else hides. A small
U-Net (Ronneberger et al. 2015) of our own, made by training/occluders.py on faces with things painted over them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lipsmith.engine.faces.align import Placement
from lipsmith.engine.faces.crop import cut_out, in_crop, way_back
from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.outline import within

WEIGHTS = Path(__file__).with_name("occluders.npz")
INPUT_SIZE, GRID = 128, 64  # pixels a side of what the net sees, cells a side of what it says
LIKELY = 0.5  # above it a cell counts as hidden
WIDTHS = (12, 24, 48, 80, 112)  # channels, from 64 cells a side to 4
_MIDDLE, _SIDE = (0.0, 0.5, -0.01), 1.38  # face widths, own frame: between nose and chin; side of the square
_MEAN, _DEVIATION = 0.5, 0.25  # of colour in [0, 1]
_BATCH = 8
_AROUND_LIPS = np.ones((5, 5), np.uint8)  # cells


def lower_faces(placement: Placement) -> tuple[Region, ...]:
    """The squares that the net looks at: told by eyes and forehead, since a hand may hide all the rest."""
    middle = np.broadcast_to(np.array(_MIDDLE, np.float32), (len(placement.scale), 1, 3))
    at = placement.to_picture(middle)[:, 0]
    return tuple(
        Region(float(x), float(y), _SIDE * float(scale), math.atan2(float(turn[0, 1]), float(turn[0, 0])))
        for (x, y, _), scale, turn in zip(at, placement.scale, placement.rotation, strict=True)
    )


def cells_within(outline: np.ndarray, region: Region) -> np.ndarray:
    """(64, 64) uint8, 1 for the cells of `region` inside an outline of (P, 2) points; pixels of the picture."""
    return within(in_crop(outline, way_back(region, GRID)), (GRID, GRID))


def share_hidden(likely: np.ndarray, lips: np.ndarray, region: Region) -> float:
    """Share of the lips and a little around them that something hides, in [0, 1].

    `likely`: (64, 64) what the net says of `region`; `lips`: (20, 2) outline in pixels of the picture.
    """
    around = cv2.dilate(cells_within(lips, region), _AROUND_LIPS) > 0
    return float((likely[around] > LIKELY).mean()) if around.any() else 0.0


class OccluderNet(nn.Module):
    """(B, 3, 128, 128) standardised colours -> (B, 64, 64) log odds of something before the face."""

    def __init__(self) -> None:
        super().__init__()
        first = WIDTHS[0]
        self.stem = nn.Sequential(_step(3, first, size=5, stride=2), _step(first, first))
        pairs = list(zip(WIDTHS, WIDTHS[1:], strict=False))
        self.down = nn.ModuleList(nn.Sequential(_step(a, b, stride=2), _step(b, b)) for a, b in pairs)
        self.up = nn.ModuleList(_step(a + b, a) for a, b in reversed(pairs))
        self.out = nn.Conv2d(first, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.stem(x)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up in self.up:
            finer = levels.pop()
            x = up(torch.cat([F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False), finer], 1))
        return self.out(x)[:, 0]


def _step(inputs: int, outputs: int, *, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, size // 2), nn.ReLU())


def standardised(crops: Tensor) -> Tensor:
    """(B, 128, 128, 3) uint8 RGB -> what the net takes."""
    return (crops.permute(0, 3, 1, 2).float() / 255 - _MEAN) / _DEVIATION


class OccluderFinder:
    """The trained net on one device."""

    def __init__(self, device: torch.device, path: Path = WEIGHTS) -> None:
        net = OccluderNet()
        with np.load(path) as stored:
            net.load_state_dict({name: torch.from_numpy(stored[name].astype(np.float32)) for name in stored.files})
        self._device, self._net = device, net.eval().to(device)

    def look(self, pictures: Sequence[np.ndarray], regions: Sequence[Region]) -> np.ndarray:
        """(N, 64, 64) float32 in [0, 1]: how surely something lies before each cell of a region.

        `pictures`: (H, W, 3) uint8 RGB, one per region. Where something is seen it is looked at in the mirror, too, and
        the mean of both counts.
        """
        if not pictures:
            return np.zeros((0, GRID, GRID), np.float32)
        pairs = zip(pictures, regions, strict=True)
        crops = np.stack([cut_out(picture, region, INPUT_SIZE)[0] for picture, region in pairs])
        found = self._seen(crops)
        some = np.flatnonzero((found > LIKELY).any((1, 2)))
        if len(some):
            found[some] = 0.5 * (found[some] + self._seen(crops[some][:, :, ::-1])[:, :, ::-1])
        return found

    def _seen(self, crops: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(crops), _BATCH):
            part = torch.from_numpy(np.ascontiguousarray(crops[start : start + _BATCH])).to(self._device)
            with torch.inference_mode():
                parts.append(self._net(standardised(part)).sigmoid().cpu().numpy())
        return np.concatenate(parts)
