"""Where in a soundtrack's channels the dialogue is, so that the new voice goes there.

Takes the replaced track, gives a `Placement`. Reads a track of up to two minutes whole, of a longer one stretches of
five seconds, evenly spread; block by block.

**The rule.** A voice file with as many channels as the track is a finished mix and is taken as it is. Any other voice
is made mono and placed:

- where the track has a centre channel (3.0, 5.1, 7.1), in the centre alone. Every other channel keeps the source's own
  sound (music, effects), unless that channel carries the dialogue too: correlation with the centre of `_SAME_SOUND` or
  more. Then it is silent;
- elsewhere in every channel at full level, except those that are silent in the source (a microphone on the left alone
  stays on the left).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from lipsmith.engine.media import decode
from lipsmith.errors import BrokenMedia

_SAME_SOUND = 0.3
_SILENT = 1e-4  # of the loudest channel's energy: 40 dB below it
_RATE = 8000  # Hz; speech is below 4 kHz
_GLIMPSES, _GLIMPSE_SECONDS = 24, 5.0


@dataclass(frozen=True)
class Placement:
    """One entry per channel of the track."""

    gains: tuple[float, ...]  # of the mono voice
    keeps_source: tuple[bool, ...]  # the source's own sound goes on under the voice

    @property
    def keeps_any(self) -> bool:
        return any(self.keeps_source)


def everywhere(layout: str) -> Placement:
    """The voice in all channels."""
    count = av.AudioLayout(layout).nb_channels
    return Placement((1.0,) * count, (False,) * count)


def place(path: Path, stream_index: int, layout: str) -> Placement:
    """Where a mono voice goes in this track; `everywhere` where the track cannot be heard."""
    if av.AudioLayout(layout).nb_channels == 1:
        return everywhere(layout)
    try:
        covariance = _covariance(path, stream_index, layout)
    except BrokenMedia:
        return everywhere(layout)
    energy = np.diag(covariance)
    if not energy.any():
        return everywhere(layout)
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    if "FC" not in names:
        heard = energy > _SILENT * energy.max()
        return Placement(tuple(map(float, heard)), (False,) * len(names))
    centre = names.index("FC")
    alike = covariance[centre] / np.sqrt(np.maximum(energy * energy[centre], 1e-20))
    keeps = (np.abs(alike) < _SAME_SOUND) & (np.arange(len(names)) != centre)
    return Placement(tuple(map(float, np.arange(len(names)) == centre)), tuple(map(bool, keeps)))


def _covariance(path: Path, stream_index: int, layout: str) -> np.ndarray:
    """(C, C) of the channels."""
    count = av.AudioLayout(layout).nb_channels
    total = np.zeros((count, count))
    looks = decode.glimpses(path, stream_index, _RATE, layout, count=_GLIMPSES, each_seconds=_GLIMPSE_SECONDS)
    for block in looks:
        total += block.astype(np.float64) @ block.T
    return total
