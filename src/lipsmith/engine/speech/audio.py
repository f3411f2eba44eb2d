"""A voice as samples: mono, 16 kHz, in [-1, 1].

Takes any file with sound, gives a `Waveform`. Knows nothing of phonemes or pictures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lipsmith.engine.media import decode

SAMPLE_RATE = 16_000  # Hz, the speech encoder's
_SILENT_RMS = 1e-4  # -80 dB full scale: digital silence with dither


@dataclass(frozen=True)
class Waveform:
    """Mono sound at `SAMPLE_RATE`; 64 kB a second, 38 MB for ten minutes."""

    samples: np.ndarray  # (N,) float32 in [-1, 1]

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(f"mono float32 wanted: {self.samples.shape = } {self.samples.dtype = }")

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    @property
    def silent(self) -> bool:
        """True where nothing louder than dither is in it."""
        return bool(self.samples @ self.samples <= _SILENT_RMS**2 * len(self.samples))

    def cut(self, start_seconds: float, end_seconds: float) -> Waveform:
        """The part between two times; silence where it reaches outside."""
        first, last = round(start_seconds * SAMPLE_RATE), round(end_seconds * SAMPLE_RATE)
        out = np.zeros(max(0, last - first), np.float32)
        a, b = max(first, 0), min(last, len(self.samples))
        if b > a:
            out[a - first : b - first] = self.samples[a:b]
        return Waveform(out)


def load(path: Path, stream_index: int | None = None) -> Waveform:
    """The first (or the given) sound stream of a file.

    Raises NoAudioStream, BrokenMedia and the other input errors of `media.decode`.
    """
    return gather(decode.audio(path, stream_index, SAMPLE_RATE, "mono"))


def gather(blocks: Iterable[np.ndarray]) -> Waveform:
    """One waveform of (1, n) float32 blocks."""
    parts = [block[0] for block in blocks]
    return Waveform(np.concatenate(parts).astype(np.float32, copy=False) if parts else np.zeros(0, np.float32))
