"""Whisper's encoder: its file format, its ear, and that cutting the sound changes nothing."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from lipsmith.engine.speech import features, whisper
from lipsmith.engine.speech.audio import SAMPLE_RATE, Waveform
from lipsmith.weights import WeightStore


def variable(name: str, values: np.ndarray) -> bytes:
    """One variable as CTranslate2 writes it."""
    dtype = {np.float32: 0, np.int8: 1, np.float16: 4}[values.dtype.type]
    shape = struct.pack(f"<{values.ndim}I", *values.shape)
    head = struct.pack("<H", len(name) + 1) + name.encode() + b"\0" + bytes([values.ndim]) + shape
    return head + struct.pack("<BI", dtype, values.nbytes) + values.tobytes()


def test_the_encoder_is_read_from_the_tail_of_a_file(tmp_path: Path) -> None:
    bias, gamma = np.arange(3, dtype=np.float16), np.ones((2, 2), np.float32)
    file = tmp_path / "model.bin.part2"
    file.write_bytes(
        b"rest of the decoder"
        + variable("encoder/conv1/bias", bias)
        + variable("encoder/flag", np.array(1, np.int8))
        + variable("encoder/layer_norm/gamma", gamma)
    )
    found = whisper.read_encoder(file)
    assert sorted(found) == ["conv1/bias", "layer_norm/gamma"]
    assert np.array_equal(found["conv1/bias"], bias.astype(np.float32))
    assert np.array_equal(found["layer_norm/gamma"], gamma)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"not a model")
    with pytest.raises(ValueError, match="no Whisper encoder"):
        whisper.read_encoder(tmp_path / "x")


def test_mel_filters_are_triangles_of_unit_area() -> None:
    filters = whisper._mel_filters()
    bin_hertz = SAMPLE_RATE / 400
    wide = filters[40:]  # wide enough in bins for the sum to be the area
    assert np.allclose((wide * bin_hertz).sum(1), 1, atol=0.08)
    assert (np.diff(filters.argmax(1)) >= 0).all()


@pytest.fixture(scope="module")
def listener(store: WeightStore) -> features.Listener:
    return features.load_listener(store, torch.device("cpu"))


def tone(seconds: float) -> np.ndarray:
    """A voice-like sound: a gliding buzz with pauses."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = np.sign(np.sin(2 * np.pi * (120 + 30 * np.sin(3 * t)) * t)) * (np.sin(2 * np.pi * 2 * t) > -0.3)
    return (0.1 * buzz).astype(np.float32)


def test_what_comes_later_does_not_change_what_was_heard(listener: features.Listener) -> None:
    sound = tone(20)
    whole = features.extract(Waveform(sound), listener)
    start = features.extract(Waveform(sound[: 12 * SAMPLE_RATE]), listener)
    first_piece = 8 * features.ROWS_PER_SECOND
    assert np.allclose(whole.values[:first_piece], start.values[:first_piece], atol=1e-4)


def test_there_is_a_row_every_20_ms_and_one_more(listener: features.Listener) -> None:
    found = features.extract(Waveform(tone(1.5)), listener)
    assert found.values.shape == (76, features.SIZE)
    assert np.isfinite(found.values).all()
