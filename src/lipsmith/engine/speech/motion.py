"""From any voice to what a mouth should do: the generic motion model and its silence gate.

Takes the waveform and its `SpeechFeatures`, a piece at a time, gives a `MouthPath` at any times. Knows no actor:
ranges and shapes are his `Calibration`'s. The model is a small ensemble of dilated convolutions (receptive field 0.38
s each way; normalised per row, so an answer does not depend on how the sound was cut), trained by
`training/motion.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn

from lipsmith.engine import mouth
from lipsmith.engine.mouth import MouthBasis, MouthPath
from lipsmith.engine.speech.audio import Waveform
from lipsmith.engine.speech.features import PHONETIC, ROWS_PER_SECOND, SIZE, Along, SpeechFeatures
from lipsmith.engine.speech.phonemes import HOP

MODEL_FILE = Path(__file__).with_name("motion.npz")
DILATIONS = (1, 2, 4, 8, 1, 2)
# Nets that hear differently err differently: their mean is better than the best of them.
EARS = {"phonetic": slice(0, PHONETIC), "whisper": slice(PHONETIC, SIZE), "both": slice(0, SIZE)}
REACH = sum(DILATIONS)  # rows on each side that an output row depends on

# The gate: a row is loud when it is within 50 dB of the speech level and above -66 dB full scale.
_BELOW_SPEECH_DB = 50.0
_FLOOR_DB = -66.0
_HEARD = 0.3  # certainty of a phoneme
_PHONEME_AHEAD_SECONDS, _PHONEME_AFTER_SECONDS = 0.6, 0.4  # CTC skips phonemes and comes late: bridge the holes
_OPEN_AHEAD_SECONDS = 0.12  # mouths open before they sound
_CLOSE_AFTER_SECONDS = 0.14
_PAUSE_SECONDS = 0.6  # shorter ones between two sounds are left to the nets: mouths do not rest in them
_GLIDE_SECONDS = 0.16  # natural fall to the rest pose

_CALM_SECONDS = 0.02  # of smoothing, before closures: the jerk of a calm speaker, at no cost in correlation
_CLOSURE = 0.35  # certainty of a p, b or m above which the lips are shut for it
# CTC's peak comes late: over 465 closures of 53 talkers the lips were shut most 80 ms before it (docs/log.md). Which
# row it is of those two on either side, the path itself knows best: it dips there already.
_SHUT_ROW, _SHUT_REACH = -4, 2  # from the phoneme's peak; a frame either way
_SHUT_CLEARLY = 5e-4  # face widths that a dip must be deeper per row further away
_SHUT_WINDOW = np.array((0.3, 0.8, 1.0, 0.8, 0.3), np.float32)  # per row of 20 ms, around the dip
_SHUT_GAP = -0.005  # face widths from the mouth at rest: lips press a little


class MotionNet(nn.Module):
    """(B, 944, T) standardised features -> (B, K, T) mouth coefficients. `ear`: which of the features it listens to."""

    def __init__(self, outputs: int, ear: str, width: int = 96, dropout: float = 0.0) -> None:
        super().__init__()
        self._heard = EARS[ear]
        self.inward = nn.Conv1d(self._heard.stop - self._heard.start, width, 1)
        self.steps = nn.ModuleList(nn.Conv1d(width, width, 3, padding=d, dilation=d) for d in DILATIONS)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in DILATIONS)
        self.outward = nn.Conv1d(width, outputs, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inward(self.dropout(x[:, self._heard]))
        for step, norm in zip(self.steps, self.norms, strict=True):
            y = norm(step(x).transpose(1, 2)).transpose(1, 2)
            x = x + 0.5 * self.dropout(F.gelu(y))
        return self.outward(x)


@dataclass(frozen=True)
class Standard:
    """How features are brought to zero mean and unit deviation: (944,) each."""

    mean: np.ndarray
    deviation: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        return (values - self.mean) / self.deviation


class MotionModel:
    """The trained ensemble on one device."""

    def __init__(self, device: torch.device, path: Path = MODEL_FILE) -> None:
        with np.load(path) as stored:
            self._standard = Standard(stored["mean"].astype(np.float32), stored["deviation"].astype(np.float32))
            outputs, self._spread = int(stored["outputs"]), stored["spread"].astype(np.float32)
            self._nets, ears = [], stored["ears"]
            for number in range(len(ears)):
                net = MotionNet(outputs, str(ears[number]))
                prefix = f"net{number}."
                state = {
                    k[len(prefix) :]: torch.from_numpy(stored[k].astype(np.float32))
                    for k in stored.files
                    if k.startswith(prefix)
                }
                net.load_state_dict(state)
                self._nets.append(net.eval().to(device))
        self._device = device

    def coefficients(self, values: np.ndarray) -> np.ndarray:
        """(T, 944) features -> (T, K) float32; each row from `REACH` rows on either side."""
        x = torch.from_numpy(self._standard.apply(values).T[None].astype(np.float32)).to(self._device)
        with torch.inference_mode():
            y = torch.stack([net(x) for net in self._nets]).mean(0)[0].T
        return y.cpu().numpy() * self._spread


@dataclass(frozen=True)
class Heard:
    """What is left of a sound once it was listened to: row k describes the time around k / 50 s."""

    coefficients: np.ndarray  # (T, K) float32, before gate and closures
    spoken: np.ndarray  # (T,) float32 in [0, 1], as of `SpeechFeatures`
    closing: np.ndarray  # (T,) float32 in [0, 1]

    def __len__(self) -> int:
        return len(self.coefficients)


class Listening:
    """Pieces of speech in, `Heard` out: the features themselves are let go."""

    def __init__(self, model: MotionModel) -> None:
        self._along = Along(model.coefficients, REACH)
        self._spoken: list[np.ndarray] = []
        self._closing: list[np.ndarray] = []

    def push(self, piece: SpeechFeatures) -> None:
        self._along.push(piece.values)
        self._spoken.append(piece.spoken)
        self._closing.append(piece.closing)

    def finish(self) -> Heard:
        return Heard(self._along.finish(), np.concatenate(self._spoken), np.concatenate(self._closing))


def loudness(waveform: Waveform) -> np.ndarray:
    """(T,) level in dB full scale of 40 ms around each feature row: of the hop before it and the one after."""
    whole, rest = np.split(waveform.samples, [len(waveform.samples) // HOP * HOP])
    hops = whole.reshape(-1, HOP)
    energy = np.append(np.einsum("ij,ij->i", hops, hops), rest @ rest).astype(np.float64)
    size = np.append(np.full(len(hops), HOP), len(rest))
    around = [values + np.append(0, values[:-1]) for values in (energy, size)]
    return 10 * np.log10(around[0] / np.maximum(around[1], 1) + 1e-12)


def gate(waveform: Waveform, spoken: np.ndarray) -> np.ndarray:
    """(T,) in [0, 1] per feature row: 1 while somebody speaks, 0 in silence, music, noise and laughter.

    `spoken`: (T,) how surely a phoneme is heard, as of `SpeechFeatures`.

    A row is open when it is loud enough and a phoneme is heard near it; the encoder hears next to none in anything but
    speech (per second: 7-13 in speech, 0 in music, laughter and room noise). Short pauses between two such rows are
    open too. Ends glide.
    """
    level = loudness(waveform)[: len(spoken)]
    loud = level > max(float(np.percentile(level, 95)) - _BELOW_SPEECH_DB, _FLOOR_DB)
    heard = _around(spoken > _HEARD, _PHONEME_AHEAD_SECONDS, _PHONEME_AFTER_SECONDS)
    wide = _bridged(_around(loud & heard, _OPEN_AHEAD_SECONDS, _CLOSE_AFTER_SECONDS), _PAUSE_SECONDS)
    glide = max(3, round(_GLIDE_SECONDS * ROWS_PER_SECOND) | 1)
    window = np.hanning(glide + 2)[1:-1]
    padded = np.pad(wide.astype(np.float64), glide // 2, mode="edge")
    return np.convolve(padded, window / window.sum(), "valid").astype(np.float32)


def _around(rows: np.ndarray, ahead_seconds: float, after_seconds: float) -> np.ndarray:
    """(T,) True within `ahead_seconds` before and `after_seconds` after a True row."""
    ahead, after = round(ahead_seconds * ROWS_PER_SECOND), round(after_seconds * ROWS_PER_SECOND)
    spread = np.convolve(rows, np.ones(ahead + after + 1), "full")
    return spread[ahead : ahead + len(rows)] > 0


def _bridged(rows: np.ndarray, seconds: float) -> np.ndarray:
    """(T,) with every False stretch of at most `seconds` between two True rows made True."""
    edges = np.flatnonzero(np.diff(rows.astype(np.int8)))
    out = rows.copy()
    for before, after in zip(edges[:-1], edges[1:], strict=True):
        if rows[before] and after - before <= seconds * ROWS_PER_SECOND:
            out[before : after + 1] = True
    return out


def shut(coefficients: np.ndarray, closing: np.ndarray, basis: MouthBasis) -> np.ndarray:
    """(T, K) coefficients with the lips together at every p, b and m.

    Regression never quite shuts a mouth. Where it dips for each of them the opening that is left is taken out along
    the shortest way in the basis; width and all else stay.
    """
    opening = mouth.gap(basis.displacements(np.eye(basis.size, dtype=np.float32)))  # (K,) gap per unit
    gap = coefficients @ opening
    left = np.clip(gap - _SHUT_GAP, 0, None)
    half = len(_SHUT_WINDOW) // 2
    strength = np.zeros(len(closing) + 2 * half, np.float32)
    for peak in _peaks(closing):
        near = np.clip(peak + _SHUT_ROW + np.arange(-_SHUT_REACH, _SHUT_REACH + 1), 0, len(gap) - 1)
        dip = near[np.argmin(gap[near] + _SHUT_CLEARLY * np.abs(near - peak - _SHUT_ROW))]
        around = strength[dip : dip + len(_SHUT_WINDOW)]
        np.maximum(around, _SHUT_WINDOW, out=around)
    strength = strength[half : half + len(closing)]
    return coefficients - (strength * left)[:, None] * opening / (opening @ opening)


def _peaks(closing: np.ndarray) -> np.ndarray:
    """Rows of the surest moment of every stretch of certain closure."""
    edges = np.flatnonzero(np.diff(np.pad(closing > _CLOSURE, 1).astype(np.int8)))
    return np.array([start + int(np.argmax(closing[start:end])) for start, end in edges.reshape(-1, 2)], int)


def speak(waveform: Waveform, heard: Heard, seconds: np.ndarray) -> MouthPath:
    """What a mouth does at (T,) times of the voice; rest before its start, after its end and in silence."""
    calm = gaussian_filter1d(heard.coefficients, _CALM_SECONDS * ROWS_PER_SECOND, axis=0, mode="nearest")
    rows = shut(calm, heard.closing, MouthBasis.load())
    rows *= gate(waveform, heard.spoken)[:, None]
    at = np.arange(len(rows)) / ROWS_PER_SECOND
    sampled = [np.interp(seconds, at, column, left=0.0, right=0.0) for column in rows.T]
    return MouthPath(np.stack(sampled, 1).astype(np.float32))
