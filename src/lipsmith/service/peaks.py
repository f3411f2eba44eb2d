"""What a waveform looks like: the loudest sample of each of many equal stretches, decoded once, memory bounded.

PyAV directly, not the engine: this process starts without torch (docs/decisions/0007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import av
import numpy as np
from av.error import FFmpegError

MOST_PEAKS = 4000  # more than a wide screen has pixels
_RATE = 8000  # Hz; a drawing needs no more
_FIRST_STRETCH = 40  # samples: 5 ms, doubled whenever there are too many peaks


@dataclass(frozen=True)
class Peaks:
    """`values` in [0, 1], one per stretch of `seconds_each`; the last one may be shorter."""

    values: tuple[float, ...]
    seconds_each: float
    duration_seconds: float


def peaks_of(file: BinaryIO) -> Peaks | None:
    """The first soundtrack's peaks; None where there is none or it cannot be read."""
    try:
        with av.open(file, "r", metadata_errors="ignore") as container:
            return _read(container) if container.streams.audio else None
    except (FFmpegError, OSError, ValueError):
        return None


class _Folding:
    """At most MOST_PEAKS peaks: when there are more, neighbours are joined and stretches are twice as long."""

    def __init__(self) -> None:
        self.stretch, self.samples = _FIRST_STRETCH, 0
        self._rest = np.zeros(0, np.float32)
        self._peaks = np.zeros(0, np.float32)

    def add(self, samples: np.ndarray) -> None:
        self.samples += len(samples)
        waiting = np.concatenate([self._rest, np.abs(samples)])
        whole = len(waiting) // self.stretch * self.stretch
        self._peaks = np.concatenate([self._peaks, waiting[:whole].reshape(-1, self.stretch).max(1)])
        self._rest = waiting[whole:]
        while len(self._peaks) > MOST_PEAKS:
            even = len(self._peaks) // 2 * 2
            odd = self._peaks[even:]  # its other half is still to come: its height goes to the rest
            self._rest = np.concatenate([np.repeat(odd, self.stretch), self._rest])
            self._peaks = self._peaks[:even].reshape(-1, 2).max(1)
            self.stretch *= 2

    def end(self) -> np.ndarray:
        return np.concatenate([self._peaks, [self._rest.max()]]) if len(self._rest) else self._peaks


def _read(container: av.container.InputContainer) -> Peaks | None:
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=_RATE)
    folding = _Folding()
    for frame in container.decode(audio=0):
        frame.pts = None
        for piece in resampler.resample(frame):
            folding.add(piece.to_ndarray()[0])
    for piece in resampler.resample(None):
        folding.add(piece.to_ndarray()[0])
    if not folding.samples:
        return None
    values = tuple(np.clip(folding.end(), 0, 1).round(3).tolist())
    return Peaks(values, folding.stretch / _RATE, folding.samples / _RATE)
