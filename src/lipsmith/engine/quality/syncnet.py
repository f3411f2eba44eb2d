"""LSE-C and LSE-D with SyncNet, whose weights the user brings: no licence lets them come with Lipsmith.

Takes a file, a face seen in it and weights in the published layout; gives the two figures as papers state them:
over windows of 5 frames at 25 fps and 0.2 s of sound, the smallest mean distance over lags of up to 15 frames (LSE-D),
and by how much it lies below the median over lags (LSE-C). J. S. Chung, A. Zisserman, "Out of time: automated lip sync
in the wild", 2016; the figures as in K. R. Prajwal et al., "A Lip Sync Expert Is All You Need", 2020. The papers cut
faces out by an S3FD detector's box; ours is drawn around the tracked outline, so figures agree closely, not to the last
digit.
Memory holds one batch of windows and 8 kB per second and tower.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import cv2
import numpy as np
import torch
from scipy.fft import dct
from scipy.ndimage import median_filter
from torch import nn

from lipsmith.engine.media import decode
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.quality.fidelity import Seen
from lipsmith.engine.speech.audio import SAMPLE_RATE, Waveform
from lipsmith.errors import WeightsCorrupt, WeightsMissing

FRAME_RATE = 25
WINDOW = 5  # frames
SIDE = 224  # pixels
_SOUND_ROWS = 20  # of 10 ms, per window
_ROWS_PER_FRAME = 4
_LARGEST_LAG = 15  # frames
_BATCH = 16  # windows
_CEPSTRA, _FILTERS, _FFT, _LIFTER, _EMPHASIS = 13, 26, 512, 22, 0.97
_HOP, _FRAME = SAMPLE_RATE // 100, SAMPLE_RATE // 40  # 10 and 25 ms
_AROUND = 0.4  # more than the face's box on each side
_SMOOTH_FRAMES = 13
_GREY = 110  # beside the picture


@dataclass(frozen=True)
class LipSync:
    """Of one face in one file."""

    lse_c: float  # confidence: larger is better
    lse_d: float  # distance: smaller is better
    offset_frames: int  # at 25 fps; positive: the sound comes after the lips
    windows: int


class SyncNet(nn.Module):
    """Two towers of 1024 outputs. Module names and order are those of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_flat(1, 64, (3, 3), (1, 1)),
            nn.MaxPool2d((1, 1), (1, 1)),
            *_flat(64, 192, (3, 3), (1, 1)),
            nn.MaxPool2d((3, 3), (1, 2)),
            *_flat(192, 384, (3, 3), (1, 1)),
            *_flat(384, 256, (3, 3), (1, 1)),
            *_flat(256, 256, (3, 3), (1, 1)),
            nn.MaxPool2d((3, 3), (2, 2)),
            *_flat(256, 512, (5, 4), (0, 0)),
        )
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_deep(3, 96, (5, 7, 7), (1, 2, 2), (0, 0, 0)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(256, 512, (1, 6, 6), (1, 1, 1), (0, 0, 0)),
        )

    def hear(self, cepstra: torch.Tensor) -> torch.Tensor:
        """(B, 1, 13, 20) -> (B, 1024)."""
        heard: torch.Tensor = self.netfcaud(self.netcnnaud(cepstra).flatten(1))
        return heard

    def see(self, faces: torch.Tensor) -> torch.Tensor:
        """(B, 3, 5, 224, 224) BGR in [0, 255] -> (B, 1024)."""
        seen: torch.Tensor = self.netfclip(self.netcnnlip(faces).flatten(1))
        return seen


def load(path: Path, device: torch.device) -> SyncNet:
    """Weights from a file of tensors by name. Raises WeightsMissing, WeightsCorrupt."""
    if not path.is_file():
        raise WeightsMissing(f"{path}: there is no file of SyncNet weights; give the path of syncnet_v2.model.")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        net = SyncNet()
        net.load_state_dict(tensors)
    except (RuntimeError, UnpicklingError, AttributeError, TypeError, EOFError, OSError) as error:
        raise WeightsCorrupt(f"{path}: these are not SyncNet's weights ({str(error).splitlines()[0]}).") from error
    return net.eval().to(device)


def measure(net: SyncNet, spec: MediaSpec, seen: Seen, sound: Waveform) -> LipSync | None:
    """`sound`: 16 kHz from the first video frame on. None where the face is seen for too short a time."""
    device = next(net.parameters()).device
    cepstra = mel_cepstra(sound.samples)
    windows = _windows(_faces(spec, seen))
    lips, starts = [], []
    with torch.inference_mode():
        for batch in _batches(windows):
            starts += [start for start, _ in batch]
            faces = np.stack([faces for _, faces in batch]).transpose(0, 4, 1, 2, 3).astype(np.float32)
            lips.append(net.see(torch.from_numpy(faces).to(device)).cpu().numpy())
        count = min(max(starts, default=0) + _LARGEST_LAG, (len(cepstra) - _SOUND_ROWS) // _ROWS_PER_FRAME)
        heard = [
            net.hear(torch.from_numpy(_sounds(cepstra, range(at, min(at + _BATCH, count)))).to(device)).cpu().numpy()
            for at in range(0, count, _BATCH)
        ]
    if not lips or not heard:
        return None
    return _figures(np.concatenate(lips), np.array(starts), np.concatenate(heard))


def _figures(lips: np.ndarray, starts: np.ndarray, heard: np.ndarray) -> LipSync | None:
    """(N, 1024) windows that begin at frames (N,), (M, 1024) sounds that begin at frames 0 to M."""
    lags = np.arange(-_LARGEST_LAG, _LARGEST_LAG + 1)
    inside = (starts >= _LARGEST_LAG) & (starts + _LARGEST_LAG < len(heard))
    if not inside.any():  # a short one: what lies outside counts as silence
        inside = starts < len(heard)
    padded = np.pad(heard, ((_LARGEST_LAG, _LARGEST_LAG + 1), (0, 0)))
    rows = starts[inside][:, None] + lags + _LARGEST_LAG
    if not len(rows):
        return None
    distance = np.linalg.norm(padded[rows] - lips[inside][:, None] + 1e-6, axis=2).mean(0)
    best = int(distance.argmin())
    confidence = float(np.median(distance) - distance[best])
    return LipSync(confidence, float(distance[best]), int(lags[best]), int(inside.sum()))


def mel_cepstra(samples: np.ndarray) -> np.ndarray:
    """(n,) float32 of 16 kHz -> (T, 13) float32 mel-frequency cepstra of 16-bit values, 100 a second.

    Davis & Mermelstein 1980 with 26 filters from 0 to 8 kHz, sinusoidal liftering, log energy as the first.
    """
    values = np.round(np.clip(samples, -1, 1) * 32767)
    values = np.append(values[:1], values[1:] - _EMPHASIS * values[:-1])
    count = max(1, 1 + -(-(len(values) - _FRAME) // _HOP))
    values = np.pad(values, (0, max(0, (count - 1) * _HOP + _FRAME - len(values))))
    frames = np.lib.stride_tricks.sliding_window_view(values, _FRAME)[::_HOP][:count]
    power = np.square(np.abs(np.fft.rfft(frames, _FFT))) / _FFT
    tiny = np.finfo(float).eps
    bands = np.log(np.maximum(power @ _filters().T, tiny))
    cepstra = dct(bands, type=2, axis=1, norm="ortho")[:, :_CEPSTRA]
    cepstra *= 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(_CEPSTRA) / _LIFTER)
    cepstra[:, 0] = np.log(np.maximum(power.sum(1), tiny))
    return cepstra.astype(np.float32)


def _filters() -> np.ndarray:
    """(26, 257) triangles, evenly spaced in mel."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, _FILTERS + 2) / 2595) - 1)
    edges = np.floor((_FFT + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(_FFT // 2 + 1)
    left, middle, right = (edges[i : i + _FILTERS, None] for i in range(3))
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    return np.where((bins >= left) & (bins < middle), rising, np.where((bins >= middle) & (bins < right), falling, 0.0))


def _sounds(cepstra: np.ndarray, starts: range) -> np.ndarray:
    """(B, 1, 13, 20)."""
    rows = [cepstra[at * _ROWS_PER_FRAME : at * _ROWS_PER_FRAME + _SOUND_ROWS].T for at in starts]
    return np.stack(rows)[:, None]


def _faces(spec: MediaSpec, seen: Seen) -> Iterator[tuple[int, np.ndarray]]:
    """(frame at 25 fps, (224, 224, 3) uint8 BGR) while the face is seen; frames are repeated or left out for it."""
    rows, boxes = seen.rows_by_index(), _boxes(seen)
    done = 0
    for frame in decode.frames(spec):
        row = rows.get(frame.index)
        if row is None:
            continue
        number = int(np.floor(seen.seconds[row] * FRAME_RATE + 0.5))
        following = seen.seconds[row + 1] if row + 1 < len(seen.seconds) else seen.seconds[row] + 1 / FRAME_RATE
        end = max(int(np.floor(min(following, seen.seconds[row] + 0.1) * FRAME_RATE + 0.5)), number)
        if end > max(done, number):
            face = _cut(decode.rgb(frame), *boxes[row])
            for place in range(max(done, number), end):
                yield place, face
            done = end


def _boxes(seen: Seen) -> np.ndarray:
    """(N, 3) middle x, y and half the side of the face's box, brow to chin, calmed over half a second."""
    width = seen.face_width
    chin = seen.outline[:, :, 1].max(1)
    middle = (seen.outline[:, :, 0].min(1) + seen.outline[:, :, 0].max(1)) / 2
    half = 0.68 * width
    calmed = np.empty((len(width), 3))
    for part in seen.segments:
        for column, values in enumerate((middle, chin - half, half)):
            calmed[part, column] = median_filter(values[part], _SMOOTH_FRAMES, mode="nearest")
    return calmed


def _cut(picture: np.ndarray, x: float, y: float, half: float) -> np.ndarray:
    side = half * 2 * (1 + _AROUND)
    scale = SIDE / side
    corner = np.array([x - half * (1 + _AROUND), y - half])
    matrix = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cut = cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=mode, borderValue=(_GREY,) * 3)
    return np.ascontiguousarray(cut[:, :, ::-1])


def _windows(faces: Iterator[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """(first frame, (5, 224, 224, 3)) of every five frames in a row."""
    held: list[tuple[int, np.ndarray]] = []
    for number, face in faces:
        if held and held[-1][0] != number - 1:
            held = []
        held = [*held[-(WINDOW - 1) :], (number, face)]
        if len(held) == WINDOW:
            yield held[0][0], np.stack([face for _, face in held])


def _batches(windows: Iterator[tuple[int, np.ndarray]]) -> Iterator[list[tuple[int, np.ndarray]]]:
    batch = []
    for window in windows:
        batch.append(window)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _flat(inputs: int, outputs: int, kernel: tuple[int, int], padding: tuple[int, int]) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


def _deep(
    inputs: int,
    outputs: int,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int],
    padding: tuple[int, int, int],
) -> tuple[nn.Module, ...]:
    return nn.Conv3d(inputs, outputs, kernel, stride, padding), nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))
