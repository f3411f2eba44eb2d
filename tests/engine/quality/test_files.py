"""The differ sees what was done to a file, and nothing where nothing was."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests import synthetic
from tests.synthetic import Look, movie

from lipsmith.engine.media import decode
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.mux import rewrite
from lipsmith.engine.media.probe import probe
from lipsmith.engine.quality.files import check_files


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lossless, so that a rewrite changes nothing by itself."""
    look = Look("ffv1", frames=20, time_base=Fraction(1, 1000), pix_fmt="yuv422p10le")
    return movie(tmp_path_factory.mktemp("files") / "a.mkv", look, tags={"title": "One"}, chapters=((0, 0.5, "a"),))


def dub(source: Path, name: str, frames: Iterable[Frame]) -> Path:
    out = source.with_name(name)
    rewrite(probe(source), out, frames, None)
    return out


def one_sample_off(frames: Iterable[Frame], at: int) -> Iterator[Frame]:
    for frame in frames:
        if frame.index == at:
            frame.picture.make_writable()
            np.frombuffer(frame.picture.planes[1], np.uint16)[3] ^= 1
        yield frame


def test_a_file_equals_itself(source: Path) -> None:
    verdict = check_files(source, source)
    assert verdict.passed and verdict.differences == ()
    assert verdict.pictures is not None
    assert verdict.pictures.packets_identical == verdict.pictures.packets == 20
    assert verdict.pictures.frames_identical == 20 and verdict.pictures.changed == ()
    assert verdict.pictures.psnr_db == 99.0


def test_one_sample_of_one_frame_is_seen(source: Path) -> None:
    out = dub(source, "sample.mkv", one_sample_off(decode.frames(probe(source)), 7))
    seen = check_files(source, out).pictures
    assert seen is not None
    assert seen.changed == ((7, 7),) and seen.frames_identical == 19
    assert seen.largest_difference == pytest.approx(1 / 1023)


def test_a_missing_frame_is_unexplained(source: Path) -> None:
    out = dub(source, "missing.mkv", (f for f in decode.frames(probe(source)) if f.index != 12))
    verdict = check_files(source, out)
    assert not verdict.passed
    assert "frame_count" in [d.code for d in verdict.differences if not d.explained]


def test_packed_and_odd_pictures_are_compared_to_the_last_column(tmp_path: Path) -> None:
    for encoder, pix_fmt, suffix in (
        ("rawvideo", "uyvy422", ".mov"),
        ("png", "rgb24", ".mov"),
        ("ffv1", "yuv420p", ".mkv"),
    ):
        base = Fraction(1, 1000) if suffix == ".mkv" else Fraction(1, 25)
        width = 98 if pix_fmt == "uyvy422" else 97
        look = Look(encoder, width=width, height=51, pix_fmt=pix_fmt, frames=3, time_base=base, bit_rate=0)
        path = movie(tmp_path / f"{encoder}{suffix}", look, ())
        seen = check_files(path, path).pictures
        assert seen is not None and seen.frames_identical == 3


def test_the_program_says_it_in_json_without_weights(source: Path, tmp_path: Path) -> None:
    other = synthetic.two_audios_and_subtitles_mkv(tmp_path / "other")
    for target, code in ((source, 0), (other, 1)):
        command = [sys.executable, "-m", "lipsmith", "check", str(source), str(target), "--files-only", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, done.stderr
        told = json.loads(done.stdout)["check"]
        assert told["passed"] == (code == 0)
        assert told["pictures"]["packets"] == 20
