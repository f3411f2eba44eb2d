"""Frames in order with their times; sound at any rate, on the video's clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests import synthetic

from lipsmith.engine.media import decode
from lipsmith.engine.media.probe import probe
from lipsmith.errors import NoAudioStream


def test_frames_come_in_order_with_exact_times(tmp_path: Path) -> None:
    spec = probe(synthetic.vfr_mp4(tmp_path / "a"))
    frames = [(frame.index, frame.pts) for frame in decode.frames(spec)]
    assert [index for index, _ in frames] == list(range(40))
    steps = np.diff([pts for _, pts in frames])
    assert steps.tolist() == [(512, 1024, 768, 512, 2048)[i % 5] for i in range(39)]


def test_frames_without_time_stamps_get_them(tmp_path: Path) -> None:
    frames = list(decode.frames(probe(synthetic.mpeg4_avi(tmp_path / "a"))))
    assert [frame.pts for frame in frames] == list(range(50))


@pytest.mark.parametrize("maker", [synthetic.anamorphic_full_range_mp4, synthetic.h264_mp4, synthetic.hevc_10bit_mp4])
def test_rgb_is_what_was_encoded(tmp_path: Path, maker: object) -> None:
    spec = probe(maker(tmp_path / "a"))  # type: ignore[operator]
    frame = next(decode.frames(spec))
    picture = decode.rgb(frame)
    assert spec.video is not None
    assert picture.shape == (frame.picture.height, spec.video.seen_width, 3), "squeezed pictures as they are shown"
    assert picture.dtype == np.uint8
    assert decode.rgb(frame, 40, 24).shape == (24, 40, 3)


def test_sound_is_resampled_and_laid_on_the_clock(tmp_path: Path) -> None:
    path = synthetic.wav(tmp_path / "a.wav", synthetic.clicks(2.0, [0.5]))

    def peak(**options: float) -> tuple[float, int]:
        sound = np.concatenate(list(decode.audio(path, None, 16_000, "mono", **options)), axis=1)  # type: ignore[arg-type]
        assert sound.dtype == np.float32
        return float(np.abs(sound[0]).argmax()) / 16_000, sound.shape[1]

    assert peak()[0] == pytest.approx(0.5, abs=0.0005)
    assert peak()[1] == pytest.approx(32_000, abs=32)
    assert peak(origin_seconds=0.25)[0] == pytest.approx(0.25, abs=0.0005)
    assert peak(origin_seconds=-1.0)[0] == pytest.approx(1.5, abs=0.0005)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "aac"),
        (".mkv", "libopus"),
        (".mkv", "libmp3lame"),
        (".wav", ""),
        (".ts", "aac"),
        (".avi", "libmp3lame"),
    ],
)
def test_sound_far_into_a_file_is_sought(
    tmp_path: Path, suffix: str, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """... and is what is heard there when the file is read from its beginning."""
    times = np.arange(9 * 48_000) / 48_000
    rising = (0.3 * np.sin(2 * np.pi * (100 + 10 * times) * times)).astype(np.float32)  # nowhere like itself
    path = tmp_path / f"a{suffix}"
    path = synthetic.sound(path, rising, codec) if codec else synthetic.wav(path, rising)

    def heard() -> np.ndarray:
        return np.concatenate(list(decode.audio(path, None, 16_000, origin_seconds=6.0)), axis=1)[0]

    monkeypatch.setattr(decode, "_FAR_SECONDS", 2.0)
    sought = heard()
    monkeypatch.setattr(decode, "_FAR_SECONDS", 1e9)
    read = heard()
    assert len(sought) == pytest.approx(len(read), abs=64)
    inside = slice(100, min(len(sought), len(read)) - 100)
    within_a_millisecond = (np.roll(sought, lag)[inside] for lag in range(-16, 17))  # Matroska's clock
    assert max(np.corrcoef(moved, read[inside])[0, 1] for moved in within_a_millisecond) > 0.99


def test_mono_and_stereo_keep_their_level(tmp_path: Path) -> None:
    path = synthetic.wav(tmp_path / "a.wav", np.full(48_000, 0.5, np.float32))
    stereo = np.concatenate(list(decode.audio(path, None, 48_000, "stereo")), axis=1)
    assert stereo.shape[0] == 2
    assert np.allclose(stereo, 0.5, atol=1e-3)


def test_no_sound(tmp_path: Path) -> None:
    with pytest.raises(NoAudioStream):
        next(decode.audio(synthetic.silent_mp4(tmp_path / "a"), None, 16_000, "mono"))
