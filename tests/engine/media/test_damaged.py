"""Damaged files give an error in words or a whole dub: never a crash, a hang or a silent loss."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from tests import matrix, mutations
from tests.synthetic import Look, Track, movie

from lipsmith.engine.media import decode, mux
from lipsmith.engine.media.newtrack import NewTrack
from lipsmith.engine.media.probe import probe
from lipsmith.errors import BrokenMedia

SOUND_FILES = {
    "h264 8-bit 4-2-0.mp4",
    "h264 main.ts",
    "h264 variable rate.mkv",
    "h264.flv",
    "hevc 10-bit.mp4",
    "prores 422.mov",
    "dnxhr SQ.mxf",
    "vp9.webm",
    "av1.mp4",
    "mpeg-4.avi",
    "mpeg-2.mpg",
    "mjpeg.avi",
    "ffv1.mkv",
    "two sounds, subtitles, chapters.mov",
}
COUNT = 8 * len(SOUND_FILES)  # every kind of damage to every kind of file; `benchmarks mutations` does more


def test_damage_is_told_or_dubbed_around(tmp_path: Path) -> None:
    for case in matrix.CASES:
        if case.name in SOUND_FILES:
            case.make(tmp_path)
    found = list(mutations.outcomes(tmp_path, 0, COUNT))
    assert [outcome for outcome in found if outcome.fault] == []
    kinds = Counter(outcome.kind for outcome in found)
    assert len(found) == COUNT and min(kinds["error"], kinds["dub"]) > 10


def test_pictures_that_last_for_hours_are_refused(tmp_path: Path) -> None:
    path = movie(tmp_path / "slow.mp4", Look(frames=5, pts=[0, 512, 1024, 1536, 12_800 * 3600]), ())
    with pytest.raises(BrokenMedia, match="5 pictures last 3600 s"):
        probe(path)


def test_a_second_track_that_flv_cannot_hold_is_told(tmp_path: Path) -> None:
    """FFmpeg's muxer aborts the whole process for it."""
    source = movie(tmp_path / "a.mkv", Look(frames=10, time_base=Fraction(1, 1000)), (Track("pcm_s16le"),))
    spec = probe(source)
    report = mux.rewrite(spec, tmp_path / "dub.flv", decode.frames(spec), [], sound=NewTrack(keeps_original=True))
    assert any("pcm_s16le" in told for told in report.differences)
