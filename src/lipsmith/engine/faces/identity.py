"""Who is it: faces as numbers that are near each other where the person is the same.

Takes pictures and a face's mesh in each, gives vectors; they say nothing by themselves, only their distances do. The
net is dlib's (King 2017: a ResNet of 29 layers; He et al. 2016), read from its own file into torch. Knows no names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lipsmith.engine.faces.crop import cut_out
from lipsmith.engine.faces.detect import Region
from lipsmith.errors import WeightsCorrupt

LENGTH = 128
_INPUT_SIZE = 150  # pixels a side
_MEAN = (122.782, 117.001, 104.298)  # RGB codes, of the net's training pictures
_STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))  # channels, blocks, halved
# Where the net wants them, as shares of the crop less its margin (dlib, `get_face_chip_details`, five points): the
# corners of either eye and what the nose stands on; and which points of the mesh they are.
_PLACES = (
    (0.1205750620789, 0.2137274526848),
    (0.3340850613712, 0.2290642403242),
    (0.6460604764104, 0.2289674387677),
    (0.8595674595992, 0.2134981538014),
    (0.4901123135679, 0.6277975316475),
)
_POINTS = (33, 133, 362, 263, 2)
_MARGIN = 0.25


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Distance of two vectors: 0 for the same picture, about 0.8 for strangers; means of several looks are surer."""
    return float(np.linalg.norm(one - other))


@dataclass(frozen=True)
class _Convolution:
    """With the affine layer behind it folded in."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, stride, padding)


class FaceIdentity:
    """The net on one device."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Raises WeightsCorrupt."""
        self._device = device
        file = _File(path, device)
        self._stem = file.convolution(_STAGES[0][0], 3, 7)
        self._blocks: list[tuple[_Convolution, _Convolution, bool]] = []
        inputs = _STAGES[0][0]
        for channels, count, halved in _STAGES:
            for number in range(count):
                first, second = file.convolution(channels, inputs, 3), file.convolution(channels, channels, 3)
                self._blocks.append((first, second, halved and number == 0))
                inputs = channels
        self._last = file.tensor(inputs, LENGTH).reshape(inputs, LENGTH)

    @torch.inference_mode()
    def look(self, pictures: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
        """(n, 128) float32 of (H, W, 3) uint8 RGB pictures with a face's (n, 468, 3) mesh in each, pixels."""
        crops = [cut_out(each, chip(mesh), _INPUT_SIZE)[0] for each, mesh in zip(pictures, points, strict=True)]
        x = torch.from_numpy(np.stack(crops)).to(self._device).permute(0, 3, 1, 2).float()
        x = (x - torch.tensor(_MEAN, device=self._device)[:, None, None]) / 256
        x = F.max_pool2d(F.relu(self._stem(x, stride=2)), 3, 2)
        for first, second, halves in self._blocks:
            inner = F.relu(first(x, stride=2) if halves else first(x, padding=1))
            x = F.relu(_added(second(inner, padding=1), F.avg_pool2d(x, 2) if halves else x))
        return (x.mean((2, 3)) @ self._last).cpu().numpy()


def chip(mesh: np.ndarray) -> Region:
    """The square that the net looks at, told by eyes and nose of (468, 3) points."""
    have = mesh[list(_POINTS), :2].astype(np.float64)
    want = (np.array(_PLACES) + _MARGIN) / (1 + 2 * _MARGIN) - 0.5  # sides of the square, from its middle
    there, here = want - want.mean(0), have - have.mean(0)
    # The similarity that leads from `want` to `have`, least squares, as one complex number.
    turn = complex((there * here).sum(), (there[:, 0] * here[:, 1] - there[:, 1] * here[:, 0]).sum())
    turn /= float(np.square(there).sum())
    middle = complex(*have.mean(0)) - turn * complex(*want.mean(0))
    return Region(middle.real, middle.imag, abs(turn), math.atan2(turn.imag, turn.real))


def _added(one: Tensor, other: Tensor) -> Tensor:
    """What is smaller, in channels or pixels, is filled up with zeros, as dlib does."""
    channels, height, width = (max(pair) for pair in zip(one.shape[1:], other.shape[1:], strict=True))

    def filled(x: Tensor) -> Tensor:
        return F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2], 0, channels - x.shape[1]))

    return filled(one) + filled(other)


class _File:
    """dlib's serialised net. What a net of this shape holds is known, so its tensors are found by their sizes in turn;
    between them are solver settings and empty tensors."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self._path, self._content, self._device, self._at = path, path.read_bytes(), device, 0

    def tensor(self, *sizes: int) -> Tensor:
        """The next one of these sizes, flat. A header is a version, 2, and four sizes, each as its length in octets and
        so many of them; float32 follow, least octet first."""
        four = (2, *sizes, *(1,) * (4 - len(sizes)))
        header = b"".join(_integer(value) for value in four)
        found = self._content.find(header, self._at)
        start, count = found + len(header), math.prod(sizes)
        self._at = start + 4 * count
        if found < 0 or self._at > len(self._content):
            raise WeightsCorrupt(f"{self._path} does not hold the net that tells faces apart; fetch it again.")
        values = np.frombuffer(self._content, "<f4", count, start).astype(np.float32)
        return torch.from_numpy(values).to(self._device)

    def convolution(self, outputs: int, inputs: int, size: int) -> _Convolution:
        """With its bias; then scale and shift of each channel."""
        values = self.tensor(outputs * inputs * size * size + outputs)
        scale, shift = self.tensor(2 * outputs).split(outputs)
        weight = values[:-outputs].reshape(outputs, inputs, size, size)
        return _Convolution(weight * scale[:, None, None, None], values[-outputs:] * scale + shift)


def _integer(value: int) -> bytes:
    octets = max(1, (value.bit_length() + 7) // 8)
    return bytes([octets]) + value.to_bytes(octets, "little")
