"""What the motion model and the sync scorer hear: one row every 20 ms.

Takes a `Waveform`, gives `SpeechFeatures`: hidden states of the encoder's blocks 1 to 3 (144 each). Linear regression
to the lip gap, speakers left out: MFCC 0.53, log-mel 0.54, block 2 0.73; log-mel beside the hidden states made unseen
speakers worse (docs/log.md). Rows stand on the sound's own clock, not on video frames, so that any frame rate
reads the same features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lipsmith.engine.speech.audio import SAMPLE_RATE, Waveform
from lipsmith.engine.speech.encoder import BLANK, CHANNELS, CLOSURES, HOP, SpeechEncoder
from lipsmith.weights import WeightStore

ROWS_PER_SECOND = SAMPLE_RATE // HOP  # 50
BLOCKS = 3
SIZE = BLOCKS * CHANNELS  # 432
_PIECE_SECONDS = 8  # with context of 2 s each side: within the 12 s the encoder was trained on
_CONTEXT_SECONDS = 2


@dataclass(frozen=True)
class SpeechFeatures:
    """Row k describes the sound around time k / 50 s."""

    values: np.ndarray  # (T, 432) float32
    spoken: np.ndarray  # (T,) float32 in [0, 1]: how surely a phoneme is heard just here (CTC: peaks, not plateaus)
    closing: np.ndarray  # (T,) float32 in [0, 1]: how surely it is a p, b or m

    def __len__(self) -> int:
        return len(self.values)


def load_encoder(store: WeightStore, device: torch.device) -> SpeechEncoder:
    """The encoder as `extract` needs it. Raises WeightsError."""
    return SpeechEncoder(store.path("speech_encoder")).eval().to(device)


def extract(waveform: Waveform, encoder: SpeechEncoder) -> SpeechFeatures:
    """Features of the whole sound, made piece by piece on a fixed grid: memory for one piece, whatever the length."""
    rows = len(waveform.samples) // HOP + 1
    values = np.empty((rows, SIZE), np.float32)
    spoken, closing = np.empty(rows, np.float32), np.empty(rows, np.float32)
    step = _PIECE_SECONDS * ROWS_PER_SECOND
    for first in range(0, rows, step):
        last = min(first + step, rows)
        lead = min(first, _CONTEXT_SECONDS * ROWS_PER_SECOND)
        start_seconds = (first - lead) / ROWS_PER_SECOND
        piece = waveform.cut(start_seconds, start_seconds + lead / ROWS_PER_SECOND + _PIECE_SECONDS + _CONTEXT_SECONDS)
        kept = slice(lead, lead + last - first)
        states, phonemes = _piece(piece, encoder)
        values[first:last] = states[kept]
        spoken[first:last] = 1 - phonemes[kept, BLANK]
        closing[first:last] = phonemes[kept][:, CLOSURES].sum(1)
    return SpeechFeatures(values, spoken, closing)


def _piece(waveform: Waveform, encoder: SpeechEncoder) -> tuple[np.ndarray, np.ndarray]:
    with torch.inference_mode():
        states, phonemes = encoder(torch.from_numpy(waveform.samples)[None].to(encoder.device))
    return torch.cat(states[:BLOCKS], -1)[0].cpu().numpy(), phonemes[0].cpu().numpy()
