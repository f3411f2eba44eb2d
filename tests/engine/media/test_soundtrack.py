"""The new sound: right to the sample, where the dialogue was, named as asked; the old one kept where that is asked."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests import synthetic
from tests.synthetic import SAMPLE_RATE, Look, Track, movie

from lipsmith.engine.media import decode, dialogue
from lipsmith.engine.media.mux import rewrite
from lipsmith.engine.media.newtrack import NewTrack
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.soundtrack import Voice
from lipsmith.engine.quality.conformance import compare

MS = Fraction(1, 1000)
LATE = [1024 + 512 * number for number in range(50)]
CARRIERS = {
    "aac.mp4": (Look(), Track("aac")),
    "aac.mov": (Look(), Track("aac", "mono")),
    "aac late.mp4": (Look(pts=LATE), Track("aac")),
    "aac.mkv": (Look(time_base=MS), Track("aac")),
    "ac3.mp4": (Look(), Track("ac3")),
    "alac.mov": (Look(), Track("alac")),
    "pcm.mov": (Look(), Track("pcm_s24le")),
    "pcm.avi": (Look("mpeg4", time_base=Fraction(1, 25)), Track("pcm_s16le")),
    "mp3.mkv": (Look(time_base=MS), Track("libmp3lame")),
    "mp3.mp4": (Look(), Track("libmp3lame")),
    "flac.mkv": (Look(time_base=MS), Track("flac")),
    "opus.webm": (
        Look("libvpx-vp9", time_base=MS, options={"deadline": "realtime", "cpu-used": "8"}),
        Track("libopus"),
    ),
    "opus.mp4": (Look(), Track("libopus")),
    "mp2.ts": (Look(time_base=Fraction(1, 90_000)), Track("mp2")),
}


def rustle(seconds: float = 1.0) -> np.ndarray:
    """Low-passed noise: a wave that fits itself at one lag only."""
    noise = np.random.default_rng(3).normal(size=round(seconds * SAMPLE_RATE))
    smooth = np.convolve(noise, np.hanning(9) / 4, "same")
    return (0.1 * smooth).astype(np.float32)


def heard(path: Path, stream_index: int | None = None, layout: str = "mono") -> np.ndarray:
    """(channels, n) from the first picture on."""
    video = require_video(probe(path))
    origin = float(video.start_pts * video.time_base)
    blocks = decode.audio(path, stream_index, SAMPLE_RATE, layout, origin_seconds=origin)
    return np.concatenate(list(blocks), axis=1)


def lag(sound: np.ndarray, voice: np.ndarray, reach: int = 2400) -> int:
    """Samples by which `voice` comes late in `sound`, from the top of their correlation."""
    padded = np.pad(sound[: len(voice) + reach], (reach, 0))
    size = 1 << (len(padded) + len(voice)).bit_length()
    product = np.fft.rfft(padded, size) * np.conj(np.fft.rfft(voice, size))
    return int(np.argmax(np.fft.irfft(product, size)[: 2 * reach])) - reach


@pytest.mark.parametrize("name", CARRIERS)
def test_the_voice_is_right_to_the_sample(tmp_path: Path, name: str) -> None:
    look, track = CARRIERS[name]
    spec = probe(movie(tmp_path / name, look, (track,)))
    voice = synthetic.wav(tmp_path / "voice.wav", rustle())
    out = tmp_path / f"dub {name}"
    rewrite(spec, out, decode.frames(spec), [Voice(voice)])
    assert lag(heard(out)[0], rustle()) == 0


@pytest.mark.parametrize("name", ["aac late.mp4", "aac.mkv", "ac3.mp4", "opus.webm", "pcm.mov"])
def test_a_copied_track_starts_at_its_old_sample(tmp_path: Path, name: str) -> None:
    look, track = CARRIERS[name]
    source = movie(tmp_path / name, look, (track, track))
    spec = probe(source)
    voice = synthetic.wav(tmp_path / "voice.wav", rustle())
    out = tmp_path / f"dub {name}"
    rewrite(spec, out, decode.frames(spec), [Voice(voice)])
    second = spec.audio[1].stream_index
    before, after = heard(source, second)[0], heard(out, second)[0]
    assert len(before) == len(after) and np.array_equal(before, after)


def surround(path: Path, channels: np.ndarray) -> Path:
    """H.264 with a 5.1 track of these (6, n) samples: FL FR FC LFE BL BR."""
    with av.open(str(path), "w") as output:
        look = Look()
        video = synthetic._video_stream(output, look)
        stream = output.add_stream("pcm_s16le", rate=SAMPLE_RATE)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "5.1"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), format="fltp", layout="5.1")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        resampler = av.AudioResampler("s16", "5.1", SAMPLE_RATE)
        for picture in [*synthetic.pictures(look), None]:
            output.mux(video.encode(picture))
        for part in resampler.resample(frame):
            output.mux(stream.encode(part))
    return path


def test_in_surround_the_voice_takes_the_centre_and_the_rest_stays(tmp_path: Path) -> None:
    speech, music = synthetic.tone(2.0, 500), synthetic.tone(2.0, 180, 0.1)
    channels = np.stack([music, 0.5 * music, speech, 0 * music, 0.8 * speech, 0.2 * music])
    source = surround(tmp_path / "a.mov", channels)
    spec = probe(source)
    assert dialogue.place(source, spec.audio[0].stream_index, "5.1").keeps_source == (
        True, True, False, True, False, True,
    )  # fmt: skip
    voice = synthetic.wav(tmp_path / "voice.wav", rustle(2.0))
    rewrite(spec, tmp_path / "dub.mov", decode.frames(spec), [Voice(voice)])
    after = heard(tmp_path / "dub.mov", layout="5.1")
    rms = lambda wave: float(np.sqrt(np.mean(np.square(wave))))  # noqa: E731
    assert rms(after[2] - rustle(2.0)) < 1e-3, "the voice at its own level"
    assert rms(after[0] - music) < 1e-3 and rms(after[1] - 0.5 * music) < 1e-3 and rms(after[5] - 0.2 * music) < 1e-3
    assert rms(after[4]) < 1e-3, "a rear channel with the dialogue in it is silent"
    assert [d for d in compare(source, tmp_path / "dub.mov") if not d.explained] == []


def on_the_left(path: Path, sound: np.ndarray) -> Path:
    """A stereo file whose right channel is silent."""
    pcm = np.rint(np.stack([sound, 0 * sound], 1) * 32767).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(pcm)
    return path


def test_a_microphone_on_the_left_stays_there(tmp_path: Path) -> None:
    assert dialogue.place(on_the_left(tmp_path / "left.wav", synthetic.tone(1.0)), 0, "stereo").gains == (1.0, 0.0)


def test_a_long_track_is_heard_in_glimpses(tmp_path: Path) -> None:
    """Each is the sound of its place, and they are two minutes together however long the track is."""
    seconds = 300
    steps = np.repeat(np.linspace(0.1, 0.9, seconds), SAMPLE_RATE).astype(np.float32)  # louder by the second
    path = on_the_left(tmp_path / "long.wav", steps)
    heard = list(decode.glimpses(path, 0, 8000, "stereo", count=24, each_seconds=5.0))
    assert sum(block.shape[1] for block in heard) / 8000 == pytest.approx(120, abs=24)
    levels = np.concatenate(heard, 1)[0]
    assert levels.min() < 0.12 and levels.max() > 0.85
    assert dialogue.place(path, 0, "stereo").gains == (1.0, 0.0)


def test_a_short_track_is_heard_whole(tmp_path: Path) -> None:
    path = on_the_left(tmp_path / "short.wav", synthetic.tone(3.0))
    heard = decode.glimpses(path, 0, 8000, "stereo", count=24, each_seconds=5.0)
    assert sum(block.shape[1] for block in heard) == 3 * 8000


def test_a_mono_voice_keeps_its_level_in_stereo(tmp_path: Path) -> None:
    spec = probe(movie(tmp_path / "a.mov", Look(), (Track("pcm_s16le"),)))
    voice = synthetic.wav(tmp_path / "voice.wav", rustle())
    rewrite(spec, tmp_path / "dub.mov", decode.frames(spec), [Voice(voice)])
    after = heard(tmp_path / "dub.mov", layout="stereo")[:, :SAMPLE_RATE]
    assert np.abs(after - rustle()).max() < 1e-3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_the_original_sound_is_kept_where_asked(tmp_path: Path, suffix: str) -> None:
    look = Look(time_base=MS if suffix == ".mkv" else Fraction(1, 12_800))
    source = movie(tmp_path / f"a{suffix}", look, (Track(language="eng"), Track("ac3", language="spa")))
    spec, out = probe(source), tmp_path / f"dub{suffix}"
    voice = synthetic.wav(tmp_path / "voice.wav", rustle())
    rewrite(spec, out, decode.frames(spec), [Voice(voice)], sound=NewTrack("fra", keeps_original=True))
    after = probe(out)
    assert [track.language for track in after.audio] == ["fra", "eng", "spa"]
    assert lag(heard(out)[0], rustle()) == 0
    for old, new in zip(spec.audio, after.audio[1:], strict=True):
        assert packets(source, old.stream_index) == packets(out, new.stream_index)
    with av.open(str(out)) as container:
        defaults = [bool(s.disposition & av.stream.Disposition.default) for s in container.streams.audio]
    assert defaults == [True, False, False]
    assert [d for d in compare(source, out) if not d.explained] == []


def packets(path: Path, stream_index: int) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(container.streams[stream_index]) if p.size]


def test_the_language_is_as_asked(tmp_path: Path) -> None:
    spec = probe(movie(tmp_path / "a.mp4"))
    voice = synthetic.wav(tmp_path / "voice.wav", rustle())
    rewrite(spec, tmp_path / "dub.mp4", decode.frames(spec), [Voice(voice)], sound=NewTrack("jpn"))
    assert probe(tmp_path / "dub.mp4").audio[0].language == "jpn"
    found = compare(tmp_path / "a.mp4", tmp_path / "dub.mp4")
    assert [(d.source, d.dub, d.explained) for d in found] == [("eng", "jpn", True)]
