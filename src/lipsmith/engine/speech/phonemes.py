"""The phoneme conformer of hama 1.7.0 (Apache-2.0) in torch: waveform in, hidden states and phonemes every 20 ms out.

Four conformer blocks (Gulati et al. 2020) of 144 channels over 80 log-mel bands, trained with CTC on 191 IPA tokens.
Knows no file and no video; `features` cuts long sound into pieces for it.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLE_RATE = 16_000  # Hz
HOP = 320  # samples between hidden states: 20 ms
MEL_HOP = 160  # samples between mel rows: 10 ms
CHANNELS = 144
_STFT_HALF = 200  # samples reflected at both ends
_HEADS = 4
_BLOCKS = 4
PHONEMES = 191
BLANK = 190  # CTC's "nothing new": the last token
# Token numbers, from the decoder's list in the same package (g2p_vocab.json).
CLOSURES = (10, 31, 35, 36, 37, 82)  # b m p pʰ p͈ ɓ: the lips shut
_CONV_HALF = 15  # half of the depthwise kernel of 31

# Names that the exporter gave to folded constants: first matrix of each block, and first convolution.
_BLOCK_MATRIX = (829, 838, 847, 856)
_BLOCK_CONV = (804, 807, 810, 813)


def read_package(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a .hama file by name, float32.

    Layout (from the package's own loader): magic, version, count, then per tensor name, dtype, rank, dimensions, offset
    and length, then the data aligned to 16 bytes.
    """
    raw = path.read_bytes()
    if raw[:6] != b"HAMAPK":
        raise ValueError(f"{path} is not a hama package")
    (count,) = struct.unpack_from("<I", raw, 8)
    cursor, table = 12, []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", raw, cursor)
        name = raw[cursor + 2 : cursor + 2 + length].decode()
        cursor += 2 + length
        dtype, rank = raw[cursor], raw[cursor + 1]
        shape = struct.unpack_from(f"<{rank}I", raw, cursor + 2)
        cursor += 2 + 4 * rank
        offset, size = struct.unpack_from("<QQ", raw, cursor)
        cursor += 16
        table.append((name, (np.float32, np.float16)[dtype], shape, offset, size))
    base = -(-cursor // 16) * 16
    return {
        name: np.frombuffer(raw, dtype, size // np.dtype(dtype).itemsize, base + offset)
        .astype(np.float32)
        .reshape(shape)
        for name, dtype, shape, offset, size in table
    }


class PhonemeEncoder(torch.nn.Module):
    """Four conformer blocks and the phoneme layer. Frozen."""

    real: Tensor
    imaginary: Tensor
    mel: Tensor
    stem_weight: Tensor
    stem_bias: Tensor
    phoneme_weight: Tensor
    phoneme_bias: Tensor

    def __init__(self, path: Path) -> None:
        super().__init__()
        weights = read_package(path)
        self._keep("real", weights["stft_real_kernel"])
        self._keep("imaginary", weights["stft_imag_kernel"])
        self._keep("mel", weights["mel_fb"])
        self._keep("stem_weight", weights["onnx::Conv_801"])
        self._keep("stem_bias", weights["onnx::Conv_802"])
        self._keep("phoneme_weight", weights["acoustic_model.model.proj.weight"][..., 0])
        self._keep("phoneme_bias", weights["acoustic_model.model.proj.bias"])
        self.blocks = torch.nn.ModuleList(_Block(weights, i) for i in range(_BLOCKS))

    def _keep(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(values.copy()))

    def log_mel(self, waveform: Tensor) -> Tensor:
        """(B, N) samples in [-1, 1] -> (B, 1 + N // 160, 80 bands) natural log of mel power."""
        padded = F.pad(waveform[:, None], (_STFT_HALF, _STFT_HALF), mode="reflect")
        real = F.conv1d(padded, self.real, stride=MEL_HOP)
        imaginary = F.conv1d(padded, self.imaginary, stride=MEL_HOP)
        power = (real.square() + imaginary.square()).transpose(1, 2)
        return torch.log((power @ self.mel).clamp_min(1e-10))

    @property
    def device(self) -> torch.device:
        return self.mel.device

    def forward(self, waveform: Tensor) -> tuple[list[Tensor], Tensor]:
        """(B, N) samples -> (B, T, 144) of each block, and (B, T, 191) phoneme probabilities; T = 1 + N // 320."""
        stem = F.conv1d(self.log_mel(waveform).transpose(1, 2), self.stem_weight, self.stem_bias, stride=2, padding=1)
        hidden = F.gelu(stem).transpose(1, 2)  # (B, T, 144)
        states = []
        for block in self.blocks:
            hidden = block(hidden)
            states.append(hidden)
        return states, F.softmax(F.linear(hidden, self.phoneme_weight, self.phoneme_bias), -1)


class _Block(torch.nn.Module):
    """Half feed-forward, self-attention, convolution, half feed-forward, norm."""

    conv_depth_weight: Tensor
    conv_depth_bias: Tensor

    def __init__(self, weights: dict[str, np.ndarray], number: int) -> None:
        super().__init__()
        prefix = f"acoustic_model.model.blocks.{number}."
        matrix, conv = _BLOCK_MATRIX[number], _BLOCK_CONV[number]

        def own(name: str) -> np.ndarray:
            return weights[prefix + name]

        def folded(offset: int) -> np.ndarray:
            return weights[f"onnx::MatMul_{matrix + offset}"].T

        self._keep("first", own("ffn1.norm.weight"), own("ffn1.norm.bias"))
        self._keep("first_in", folded(0), own("ffn1.fc1.bias"))
        self._keep("first_out", folded(1), own("ffn1.fc2.bias"))
        self._keep("attention", own("attn_norm.weight"), own("attn_norm.bias"))
        self._keep("attention_in", folded(2), own("attn.in_proj_bias"))
        self._keep("attention_out", folded(6), own("attn.out_proj.bias"))
        self._keep("conv", own("conv.norm.weight"), own("conv.norm.bias"))
        self._keep("conv_in", own("conv.pointwise1.weight")[..., 0], own("conv.pointwise1.bias"))
        self._keep("conv_depth", weights[f"onnx::Conv_{conv}"], weights[f"onnx::Conv_{conv + 1}"])
        self._keep("conv_out", own("conv.pointwise2.weight")[..., 0], own("conv.pointwise2.bias"))
        self._keep("second", own("ffn2.norm.weight"), own("ffn2.norm.bias"))
        self._keep("second_in", folded(7), own("ffn2.fc1.bias"))
        self._keep("second_out", folded(8), own("ffn2.fc2.bias"))
        self._keep("last", own("norm.weight"), own("norm.bias"))

    def _keep(self, name: str, weight: np.ndarray, bias: np.ndarray) -> None:
        self.register_buffer(f"{name}_weight", torch.from_numpy(weight.copy()))
        self.register_buffer(f"{name}_bias", torch.from_numpy(bias.copy()))

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (CHANNELS,), getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias"))

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias"))

    def _feed_forward(self, x: Tensor, name: str) -> Tensor:
        return self._linear(F.silu(self._linear(self._norm(x, name), f"{name}_in")), f"{name}_out")

    def _attend(self, x: Tensor) -> Tensor:
        parts = self._linear(self._norm(x, "attention"), "attention_in").unflatten(-1, (3, _HEADS, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (3, B, heads, T, 36)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return self._linear(mixed, "attention_out")

    def _convolve(self, x: Tensor) -> Tensor:
        gated = F.glu(self._linear(self._norm(x, "conv"), "conv_in"), -1).transpose(1, 2)
        deep = F.conv1d(gated, self.conv_depth_weight, self.conv_depth_bias, padding=_CONV_HALF, groups=CHANNELS)
        return self._linear(F.silu(deep).transpose(1, 2), "conv_out")

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0.5 * self._feed_forward(x, "first")
        x = x + self._attend(x)
        x = x + self._convolve(x)
        x = x + 0.5 * self._feed_forward(x, "second")
        return self._norm(x, "last")
