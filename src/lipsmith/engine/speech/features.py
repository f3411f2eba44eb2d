"""What the motion model and the sync scorer hear: one row every 20 ms.

Takes a `Waveform`, gives `SpeechFeatures`: hidden states of the phoneme net's blocks 1 to 3 (144 each) and of Whisper's
layer 3 (512), and what the phoneme net makes of them. Small convolutions on them, speakers left out, mean correlation
with lip opening and width: phoneme net 0.64 / 0.58, Whisper's layer 3 0.67 / 0.60 (docs/log.md). Rows stand on
the sound's own clock, not on video frames, so that any frame rate reads the same features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lipsmith.engine.speech import phonemes, whisper
from lipsmith.engine.speech.audio import SAMPLE_RATE, Waveform
from lipsmith.engine.speech.phonemes import BLANK, CLOSURES, HOP, PhonemeEncoder
from lipsmith.engine.speech.whisper import WhisperEncoder
from lipsmith.weights import WeightStore

ROWS_PER_SECOND = SAMPLE_RATE // HOP  # 50
BLOCKS = 3  # of the phoneme net
LAYERS = 3  # of Whisper
PHONETIC = BLOCKS * phonemes.CHANNELS  # 432
SIZE = PHONETIC + whisper.CHANNELS  # 944
_PIECE_SECONDS = 8  # with context of 2 s each side: within the 12 s the phoneme net was trained on
_CONTEXT_SECONDS = 2


@dataclass(frozen=True)
class SpeechFeatures:
    """Row k describes the sound around time k / 50 s."""

    values: np.ndarray  # (T, 944) float32
    spoken: np.ndarray  # (T,) float32 in [0, 1]: how surely a phoneme is heard just here (CTC: peaks, not plateaus)
    closing: np.ndarray  # (T,) float32 in [0, 1]: how surely it is a p, b or m

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Listener:
    """The two encoders, on one device."""

    phonemes: PhonemeEncoder
    whisper: WhisperEncoder


def load_listener(store: WeightStore, device: torch.device) -> Listener:
    """What `extract` listens with. Raises WeightsError."""
    return Listener(
        PhonemeEncoder(store.path("phoneme_encoder")).eval().to(device),
        WhisperEncoder(store.path("whisper_encoder"), LAYERS).eval().to(device),
    )


def listen(waveform: Waveform, listener: Listener) -> Iterator[SpeechFeatures]:
    """Features of a sound, 8 s after 8 s: an hour of them is 680 MB."""
    for piece in _pieces(waveform):
        states, heard = (values[piece.kept] for values in _listen(piece.sound, listener))
        yield SpeechFeatures(states, 1 - heard[:, BLANK], heard[:, CLOSURES].sum(1))


def extract(waveform: Waveform, listener: Listener) -> SpeechFeatures:
    """Features of the whole of a short sound."""
    pieces = list(listen(waveform, listener))
    return SpeechFeatures(*(np.concatenate([getattr(p, f.name) for p in pieces]) for f in fields(SpeechFeatures)))


class Along:
    """A net led along rows that come a piece at a time. What it says is what it would say of all of them at once."""

    def __init__(self, net: Callable[[np.ndarray], np.ndarray], reach: int) -> None:
        """`net`: (T, 944) -> (T, K), each row from at most `reach` rows on either side."""
        self._net, self._reach = net, reach
        self._rows, self._lead = np.zeros((0, SIZE), np.float32), 0  # what is still needed; of it, already answered for
        self._said: list[np.ndarray] = []

    def push(self, values: np.ndarray) -> None:
        """The next (T, 944) rows."""
        self._rows = np.concatenate([self._rows, values])
        self._answer(len(self._rows) - self._reach)

    def finish(self) -> np.ndarray:
        """(T, K) of all that was pushed."""
        self._answer(len(self._rows))
        return np.concatenate(self._said) if self._said else self._net(self._rows)

    def _answer(self, end: int) -> None:
        """For the rows before `end`, whose context is there."""
        if end <= self._lead:
            return
        self._said.append(self._net(self._rows)[self._lead : end])
        first = max(end - self._reach, 0)
        self._rows, self._lead = self._rows[first:], end - first


def hear_phonemes(waveform: Waveform, listener: Listener) -> np.ndarray:
    """(T, 191) float32 phoneme probabilities of the whole sound, on the same rows."""
    heard = np.empty((_rows(waveform), phonemes.PHONEMES), np.float32)
    for piece in _pieces(waveform):
        with torch.inference_mode():
            _, probabilities = listener.phonemes(_samples(piece.sound, listener))
        heard[piece.rows] = probabilities[0, piece.kept].cpu().numpy()
    return heard


@dataclass(frozen=True)
class _Piece:
    """A stretch of the sound with its context."""

    sound: Waveform
    rows: slice  # of the whole sound, which this piece answers for
    kept: slice  # the same rows within the piece


def _rows(waveform: Waveform) -> int:
    return len(waveform.samples) // HOP + 1


def _pieces(waveform: Waveform) -> Iterator[_Piece]:
    rows, step = _rows(waveform), _PIECE_SECONDS * ROWS_PER_SECOND
    for first in range(0, rows, step):
        last = min(first + step, rows)
        lead = min(first, _CONTEXT_SECONDS * ROWS_PER_SECOND)
        start_seconds = (first - lead) / ROWS_PER_SECOND
        end_seconds = first / ROWS_PER_SECOND + _PIECE_SECONDS + _CONTEXT_SECONDS
        sound = waveform.cut(start_seconds, end_seconds)
        yield _Piece(sound, slice(first, last), slice(lead, lead + last - first))


def _samples(sound: Waveform, listener: Listener) -> Tensor:
    return torch.from_numpy(sound.samples)[None].to(listener.phonemes.device)


def _listen(sound: Waveform, listener: Listener) -> tuple[np.ndarray, np.ndarray]:
    """(T, 944) states and (T, 191) phoneme probabilities of a few seconds; T = 1 + N // 320."""
    samples = _samples(sound, listener)
    with torch.inference_mode():
        blocks, heard = listener.phonemes(samples)
        words = listener.whisper(F.pad(samples, (0, HOP)))[:, : heard.shape[1]]
    return torch.cat([*blocks[:BLOCKS], words], -1)[0].cpu().numpy(), heard[0].cpu().numpy()
