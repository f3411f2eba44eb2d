"""What a good file is, and the one error each bad one gives."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest
from tests import synthetic
from tests.synthetic import Look

from lipsmith.engine.media import decode
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.errors import BrokenMedia, FileEmpty, FileMissing, FileNotReadable, NotMedia, NoVideoStream


def test_facts_of_a_rotated_mov(tmp_path: Path) -> None:
    spec = probe(synthetic.two_audios_mov(tmp_path / "a"))
    video = require_video(spec)
    assert (video.codec, video.width, video.height, video.pix_fmt, video.bit_depth) == ("h264", 160, 96, "yuv420p", 8)
    assert (video.frame_rate, video.time_base) == (Fraction(24000, 1001), Fraction(1, 24000))
    assert (video.frame_count_from_content, video.start_pts, video.variable_rate) == (50, 0, False)
    assert (video.rotation_degrees, video.color.range, video.color.matrix) == (90, "tv", 1)
    assert [track.language for track in spec.audio] == ["eng", "spa"]
    assert [other.kind for other in spec.others] == ["subtitle"]
    assert spec.warnings == ()


def test_variable_rate_is_seen(tmp_path: Path) -> None:
    video = require_video(probe(synthetic.vfr_mp4(tmp_path / "a")))
    assert video.variable_rate
    assert video.frame_count_from_content == 40


def test_milliseconds_of_matroska_are_no_variable_rate(tmp_path: Path) -> None:
    look = Look(frame_rate=Fraction(30000, 1001), time_base=Fraction(1, 30000), frames=60)
    video = require_video(probe(synthetic.movie(tmp_path / "a.mkv", look, ())))
    assert (video.frame_rate, video.variable_rate) == (Fraction(30000, 1001), False)


def test_full_range_aspect_and_late_start(tmp_path: Path) -> None:
    video = require_video(probe(synthetic.anamorphic_full_range_mp4(tmp_path / "a")))
    assert (video.color.range, video.sample_aspect) == ("pc", Fraction(16, 11))
    assert require_video(probe(synthetic.late_start_mp4(tmp_path / "b"))).start_pts == 1024


def test_missing_empty_and_folder(tmp_path: Path) -> None:
    with pytest.raises(FileMissing):
        probe(tmp_path / "nowhere.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(FileEmpty):
        probe(tmp_path / "empty.mp4")
    with pytest.raises(NotMedia):
        probe(tmp_path)


@pytest.mark.parametrize(
    "text", ["hello\n", "hello world, this is no film\n" * 500, "<html></html>", "1\n00:00:01,000"]
)
def test_text_is_not_media_whatever_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "text.mp4"
    path.write_text(text)
    with pytest.raises(NotMedia):
        probe(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = synthetic.wav(tmp_path / "a.wav", synthetic.tone(0.1))
    path.chmod(0)
    with pytest.raises(FileNotReadable):
        probe(path)


def test_truncated_without_its_index_is_broken(tmp_path: Path) -> None:
    path = synthetic.h264_mp4(tmp_path / "a")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])  # the index lies at the end
    with pytest.raises(BrokenMedia):
        probe(path)


def test_truncated_behind_its_index_is_a_warning(tmp_path: Path) -> None:
    look = Look(frames=100)
    path = synthetic.movie(tmp_path / "a.mp4", look, container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    spec = probe(path)
    assert any("cut off" in warning for warning in spec.warnings)
    decoded = sum(1 for _ in decode.frames(spec))
    assert 0 < decoded < 100


def test_sound_alone_has_no_video(tmp_path: Path) -> None:
    spec = probe(synthetic.wav(tmp_path / "a.wav", synthetic.tone(0.5)))
    assert spec.video is None
    assert spec.audio[0].duration_seconds_from_content == pytest.approx(0.5, abs=0.01)
    with pytest.raises(NoVideoStream):
        require_video(spec)
