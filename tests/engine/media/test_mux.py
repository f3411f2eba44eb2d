"""The same file comes back, with another voice in it; or nothing, and the reason."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from tests import synthetic

from lipsmith.engine.media import decode
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.mux import rewrite
from lipsmith.engine.media.newtrack import NewTrack
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.soundtrack import Voice
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.quality.conformance import compare
from lipsmith.errors import DiskFull, OutputNotWritable, UnsupportedVideo

CLICKS_SECONDS = (0.25, 0.75, 1.0)


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    path = tmp_path_factory.mktemp("voice") / "clicks.wav"
    return Voice(synthetic.wav(path, synthetic.clicks(1.1, CLICKS_SECONDS)))


def sound(path: Path) -> np.ndarray:
    """(n,) at 48 kHz from the first video frame on."""
    video = require_video(probe(path))
    origin = float(video.start_pts * video.time_base)
    return np.concatenate(list(decode.audio(path, None, 48_000, "mono", origin_seconds=origin)), axis=1)[0]


def peak_seconds(wave: np.ndarray, near: float) -> float:
    first = round((near - 0.1) * 48_000)
    return (first + int(np.abs(wave[first : first + 9600]).argmax())) / 48_000


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("kind", synthetic.SOURCES)
def test_every_kind_of_file_comes_back(tmp_path: Path, voice: Voice, kind: str) -> None:
    source = synthetic.SOURCES[kind](tmp_path / kind)
    spec = probe(source)
    out = tmp_path / f"dub{source.suffix}"
    report = rewrite(spec, out, decode.frames(spec), [voice])
    assert report.frames == require_video(spec).frame_count_from_content
    assert report.differences == ()
    assert [difference for difference in compare(source, out) if not difference.explained] == []
    heard = sound(out)
    for seconds in CLICKS_SECONDS:
        assert peak_seconds(heard, seconds) == pytest.approx(seconds, abs=0.001)
    assert left_behind(tmp_path) == []


def test_h264_in_avi_keeps_its_times(tmp_path: Path, voice: Voice) -> None:
    """The demuxer shows such a file's first frame one frame late, and must do so with ours; the sound begins at 0."""
    source = synthetic.h264_avi(tmp_path / "a")
    spec = probe(source)
    rewrite(spec, tmp_path / "dub.avi", decode.frames(spec), [voice])
    assert [difference for difference in compare(source, tmp_path / "dub.avi") if not difference.explained] == []


def test_pictures_stay_close(tmp_path: Path) -> None:
    spec = probe(synthetic.h264_mp4(tmp_path / "a"))
    out = tmp_path / "dub.mp4"
    rewrite(spec, out, decode.frames(spec), None)
    for before, after in zip(decode.frames(spec), decode.frames(probe(out)), strict=True):
        error = np.mean((decode.rgb(before).astype(float) - decode.rgb(after)) ** 2)
        assert 10 * np.log10(255**2 / max(error, 1e-9)) > 30


def test_without_voices_the_sound_is_copied(tmp_path: Path) -> None:
    source = synthetic.two_audios_mov(tmp_path / "a")
    spec = probe(source)
    rewrite(spec, tmp_path / "dub.mov", decode.frames(spec), None)
    assert packets(source, 0) == packets(tmp_path / "dub.mov", 0)
    assert [d for d in compare(source, tmp_path / "dub.mov") if not d.explained] == []


def packets(path: Path, track: int) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[track]) if packet.size]


def test_the_sources_sound_fills_what_the_voice_leaves(tmp_path: Path, voice: Voice) -> None:
    spec = probe(synthetic.h264_mp4(tmp_path / "a"))  # two seconds of tone at 0.3
    rewrite(spec, tmp_path / "silent.mp4", decode.frames(spec), [voice])
    rewrite(spec, tmp_path / "filled.mp4", decode.frames(spec), [voice], sound=NewTrack(own_after=True))
    late = slice(round(1.3 * 48_000), round(1.9 * 48_000))
    assert np.abs(sound(tmp_path / "silent.mp4")[late]).max() < 0.01
    assert np.abs(sound(tmp_path / "filled.mp4")[late]).max() == pytest.approx(0.3, abs=0.05)
    assert np.abs(sound(tmp_path / "filled.mp4")[14_400:30_000]).max() < 0.01, "the voice's pauses stay silent"


def test_voices_are_summed_and_limited(tmp_path: Path) -> None:
    spec = probe(synthetic.h264_mp4(tmp_path / "a"))
    loud = Voice(synthetic.wav(tmp_path / "loud.wav", synthetic.tone(1.0, level=0.9)))
    later = Voice(loud.path, start_seconds=0.5)
    rewrite(spec, tmp_path / "dub.mp4", decode.frames(spec), [loud, later])
    heard = sound(tmp_path / "dub.mp4")
    assert np.abs(heard[4_800:19_200]).max() == pytest.approx(0.9, abs=0.05)
    assert 0.95 < np.abs(heard[28_800:43_200]).max() < 1.2  # AAC overshoots a limited wave
    assert np.abs(heard[79_200:]).max() < 0.01


@pytest.mark.parametrize("suffix", [".mov", ".mkv", ".flv", ".webm", ".mpg"])
def test_another_container_is_reported(tmp_path: Path, voice: Voice, suffix: str) -> None:
    spec = probe(synthetic.h264_mp4(tmp_path / "a"))
    out = tmp_path / f"dub{suffix}"
    report = rewrite(spec, out, decode.frames(spec), [voice])
    assert bool(report.differences) == (suffix != ".mov")
    assert require_video(probe(out)).frame_count_from_content == 50
    heard = sound(out)
    assert peak_seconds(heard, 0.75) == pytest.approx(0.75, abs=0.001)


def test_an_unknown_container_is_refused(tmp_path: Path) -> None:
    spec = probe(synthetic.silent_mp4(tmp_path / "a"))
    with pytest.raises(UnsupportedVideo):
        rewrite(spec, tmp_path / "dub.xyz", decode.frames(spec), None)


def test_bad_places_are_refused_before_the_work(tmp_path: Path) -> None:
    source = synthetic.silent_mp4(tmp_path / "a")
    spec = probe(source)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "same.mp4").hardlink_to(source)
    for out in (source, tmp_path / "same.mp4", tmp_path / "folder.mp4", tmp_path / "nowhere" / "dub.mp4"):
        with pytest.raises(OutputNotWritable):
            rewrite(spec, out, untouched(), None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_to_write(tmp_path: Path) -> None:
    spec = probe(synthetic.silent_mp4(tmp_path / "a"))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(OutputNotWritable):
        rewrite(spec, closed / "dub.mp4", untouched(), None)


def untouched() -> Iterator[Frame]:
    raise AssertionError("no frame may be asked for")
    yield


@pytest.mark.parametrize("kind", ["h264_mp4", "two_audios_and_subtitles_mkv", "mpeg4_avi"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, voice: Voice, kind: str) -> None:
    source = synthetic.SOURCES[kind](tmp_path / kind)
    spec = probe(source)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(DiskFull):
            rewrite(spec, tmp_path / f"dub{source.suffix}", decode.frames(spec), [voice])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left_behind(tmp_path) == []
    assert not (tmp_path / f"dub{source.suffix}").exists()


def test_no_room_is_told_from_other_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = probe(synthetic.silent_mp4(tmp_path / "a"))

    def full(_self: Path, _target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskFull):
        rewrite(spec, tmp_path / "dub.mp4", decode.frames(spec), None)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interruption_leaves_nothing(tmp_path: Path, voice: Voice, error: type[BaseException]) -> None:
    spec = probe(synthetic.h264_mp4(tmp_path / "a"))
    (tmp_path / "dub.mp4").write_text("older dub")

    def some(spec: MediaSpec) -> Iterator[Frame]:
        for frame in decode.frames(spec):
            if frame.index == 20:
                raise error
            yield frame

    with pytest.raises(error):
        rewrite(spec, tmp_path / "dub.mp4", some(spec), [voice])
    assert left_behind(tmp_path) == []
    assert (tmp_path / "dub.mp4").read_text() == "older dub"
