"""Waveforms by property, against a slow reading of the same samples."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from lipsmith.service.peaks import MOST_PEAKS, peaks_of

RATE = 8000


def _sound(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=rate, layout="mono")
        for start in range(0, len(samples), 1024):
            block = np.round(32767 * samples[None, start : start + 1024]).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(block, "s16", "mono")
            frame.sample_rate, frame.pts = rate, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("seconds", [0.013, 1.0, 19.99, 20.0, 20.01, 75.3, 200.0])
def test_each_peak_is_the_loudest_sample_of_its_stretch(tmp_path: Path, seconds: float) -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, round(RATE * seconds)) * np.linspace(
        0.1, 1, round(RATE * seconds)
    )
    found = peaks_of(_sound(tmp_path / "sound.wav", samples))
    assert found is not None
    stretch = round(found.seconds_each * RATE)
    wanted = [np.abs(samples[at : at + stretch]).max() for at in range(0, len(samples), stretch)]
    assert len(found.values) == len(wanted) <= MOST_PEAKS + 1
    assert np.allclose(found.values, wanted, atol=2e-3)
    assert found.duration_seconds == pytest.approx(seconds, abs=1 / RATE)


def test_another_rate_keeps_the_length(tmp_path: Path) -> None:
    found = peaks_of(_sound(tmp_path / "sound.wav", 0.5 * np.ones(48_000 * 3), 48_000))
    assert found is not None and found.duration_seconds == pytest.approx(3.0, abs=0.01)
    assert 0.45 < np.median(found.values) < 0.55


def test_what_holds_no_sound_has_no_waveform(tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound at all")
    assert peaks_of(broken) is None
    assert peaks_of(tmp_path / "missing.wav") is None
