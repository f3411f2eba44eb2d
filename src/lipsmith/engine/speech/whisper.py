"""The first layers of Whisper's encoder in torch: waveform in, hidden states every 20 ms out.

Whisper base, multilingual (Radford et al. 2022; MIT). Its middle layers tell lip opening and width better than the
other nets of its size that were tried, also in languages that the phoneme net does not know (docs/log.md). Only the
layers that are used are built; the text decoder is never read. Knows no file of sound and no video; `features` cuts
long sound into pieces for it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLE_RATE = 16_000  # Hz
CHANNELS = 512
_HEADS = 8
_FFT, _MEL_HOP, _BANDS = 400, 160, 80
_DYNAMICS = 8.0  # powers of ten below the loudest bin of a piece that still count
_FLOOR = 1e-10
_FIRST_VARIABLE = b"encoder/conv1/bias"
_HALF, _FLOAT = 4, 0  # dtype numbers of the format


def read_encoder(path: Path) -> dict[str, np.ndarray]:
    """The encoder's tensors by name, float32, from the tail of a CTranslate2 model file (its variables are sorted).

    A variable: length of name, name and a zero, rank, dimensions, dtype, length in bytes, bytes; little-endian.
    Raises ValueError for another file.
    """
    raw = path.read_bytes()
    cursor = raw.find(_FIRST_VARIABLE) - 2
    if cursor < 0:
        raise ValueError(f"{path} holds no Whisper encoder")
    tensors = {}
    while cursor + 2 < len(raw):
        (length,) = struct.unpack_from("<H", raw, cursor)
        name = raw[cursor + 2 : cursor + 1 + length].decode()
        cursor += 2 + length
        if not name.startswith("encoder/"):
            break
        rank = raw[cursor]
        shape = struct.unpack_from(f"<{rank}I", raw, cursor + 1)
        dtype, size = struct.unpack_from("<BI", raw, cursor + 1 + 4 * rank)
        cursor += 6 + 4 * rank
        if dtype in (_HALF, _FLOAT):
            kind = np.dtype(np.float16 if dtype == _HALF else np.float32)
            values = np.frombuffer(raw, kind, size // kind.itemsize, cursor).astype(np.float32)
            tensors[name.removeprefix("encoder/")] = values.reshape(shape)
        cursor += size
    return tensors


class WhisperEncoder(torch.nn.Module):
    """Two convolutions and the first `layers` transformer layers. Frozen."""

    window: Tensor
    mel: Tensor
    positions: Tensor

    def __init__(self, path: Path, layers: int) -> None:
        super().__init__()
        weights = read_encoder(path)
        self.register_buffer("window", torch.hann_window(_FFT))
        self.register_buffer("mel", torch.from_numpy(_mel_filters()))
        self.register_buffer("positions", torch.from_numpy(weights["position_encodings/encodings"]))
        self.first = _convolution(weights, "conv1", stride=1)
        self.second = _convolution(weights, "conv2", stride=2)
        self.layers = torch.nn.ModuleList(_Layer(weights, f"layer_{i}/") for i in range(layers))

    @property
    def device(self) -> torch.device:
        return self.mel.device

    def log_mel(self, waveform: Tensor) -> Tensor:
        """(B, N) samples in [-1, 1] -> (B, 80, N // 160) as Whisper scales it."""
        spectrum = torch.stft(waveform, _FFT, _MEL_HOP, window=self.window, return_complex=True)[..., :-1]
        bands = (self.mel @ spectrum.abs().square()).clamp_min(_FLOOR).log10()
        loudest = bands.amax((1, 2), keepdim=True)
        return (torch.maximum(bands, loudest - _DYNAMICS) + 4) / 4

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, N) samples, N a multiple of 320 and at most 30 s -> (B, N // 320, 512) of the last layer built."""
        hidden = F.gelu(self.second(F.gelu(self.first(self.log_mel(waveform))))).transpose(1, 2)
        hidden = hidden + self.positions[: hidden.shape[1]]
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden


_Any = TypeVar("_Any", torch.nn.Conv1d, torch.nn.Linear, torch.nn.LayerNorm)


class _Layer(torch.nn.Module):
    """Self-attention and feed-forward, each after a norm and added."""

    def __init__(self, weights: dict[str, np.ndarray], prefix: str) -> None:
        super().__init__()
        self.attention_norm = _norm(weights, prefix + "self_attention/layer_norm")
        self.attention_in = _linear(weights, prefix + "self_attention/linear_0")
        self.attention_out = _linear(weights, prefix + "self_attention/linear_1")
        self.feed_norm = _norm(weights, prefix + "ffn/layer_norm")
        self.feed_in = _linear(weights, prefix + "ffn/linear_0")
        self.feed_out = _linear(weights, prefix + "ffn/linear_1")

    def forward(self, x: Tensor) -> Tensor:
        parts = self.attention_in(self.attention_norm(x)).unflatten(-1, (3, _HEADS, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (3, B, heads, T, 64)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + self.attention_out(mixed)
        return x + self.feed_out(F.gelu(self.feed_in(self.feed_norm(x))))


def _convolution(weights: dict[str, np.ndarray], name: str, stride: int) -> torch.nn.Conv1d:
    weight = weights[f"{name}/weight"]
    layer = torch.nn.Conv1d(weight.shape[1], weight.shape[0], weight.shape[2], stride=stride, padding=1)
    return _filled(layer, weight, weights[f"{name}/bias"])


def _linear(weights: dict[str, np.ndarray], name: str) -> torch.nn.Linear:
    weight = weights[f"{name}/weight"]
    return _filled(torch.nn.Linear(weight.shape[1], weight.shape[0]), weight, weights[f"{name}/bias"])


def _norm(weights: dict[str, np.ndarray], name: str) -> torch.nn.LayerNorm:
    gamma = weights[f"{name}/gamma"]
    return _filled(torch.nn.LayerNorm(len(gamma)), gamma, weights[f"{name}/beta"])


def _filled(layer: _Any, weight: np.ndarray, bias: np.ndarray) -> _Any:
    layer.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    return layer.requires_grad_(False)


def _mel_filters() -> np.ndarray:
    """(80, 201) float32 triangles of unit area on Slaney's scale (Auditory Toolbox 1998), as Whisper knows them."""
    edges = _hertz(np.linspace(_mel(0.0), _mel(SAMPLE_RATE / 2), _BANDS + 2))
    bins = np.linspace(0, SAMPLE_RATE / 2, _FFT // 2 + 1)
    low, centre, high = (edges[i : i + _BANDS, None] for i in range(3))
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return (np.clip(np.minimum(rising, falling), 0, None) * 2 / (high - low)).astype(np.float32)


# Below 1 kHz the scale is linear, 200/3 Hz a mel; above, a mel is a ratio.
_LINEAR_HERTZ, _LINEAR_MELS, _STEP = 1000.0, 15.0, np.log(6.4) / 27


def _mel(hertz: float) -> float:
    above = hertz >= _LINEAR_HERTZ
    return _LINEAR_MELS + float(np.log(hertz / _LINEAR_HERTZ)) / _STEP if above else hertz * 3 / 200


def _hertz(mels: np.ndarray) -> np.ndarray:
    return np.where(mels < _LINEAR_MELS, mels * 200 / 3, _LINEAR_HERTZ * np.exp(_STEP * (mels - _LINEAR_MELS)))
