"""Matroska says how broad a film is shown, and stays whole."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import pytest
from tests.synthetic import Look, Track, movie

from lipsmith.engine.media import decode, mux
from lipsmith.engine.media.matroska import show_as
from lipsmith.engine.media.probe import probe, require_video

MS = Fraction(1, 1000)
VP9 = {"deadline": "realtime", "cpu-used": "8"}
FILMS = {
    "ffv1.mkv": (Look("ffv1", frames=30, time_base=MS), Track("flac")),
    "prores.mkv": (
        Look("prores_ks", frames=30, time_base=MS, pix_fmt="yuv422p10le", options={"profile": "2"}, bit_rate=0),
        Track("pcm_s16le"),
    ),
    "vp9.webm": (Look("libvpx-vp9", frames=30, time_base=MS, options=VP9), Track("libopus")),
}


def packets(path: Path) -> list[tuple[int, int | None, str]]:
    with av.open(str(path)) as container:
        return [(p.stream.index, p.pts, hashlib.sha1(bytes(p)).hexdigest()) for p in container.demux() if p.size]


def seeks(path: Path) -> list[int | None]:
    """Where reading begins after seeking here and there."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for milliseconds in (0, 300, 800, 1100):
            container.seek(milliseconds, stream=stream)
            found.append(next(container.demux(stream)).pts)
    return found


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize("sample_aspect", [Fraction(2), Fraction(64, 45), Fraction(16, 11), Fraction(8, 9)])
def test_it_is_shown_as_told_and_nothing_moves(name: str, sample_aspect: Fraction, tmp_path: Path) -> None:
    look, sound = FILMS[name]
    path = movie(tmp_path / name, look, (sound,))
    before, positions, size = packets(path), seeks(path), path.stat().st_size
    assert show_as(path, (look.width, look.height), sample_aspect)
    video = require_video(probe(path))
    assert video.sample_aspect == sample_aspect
    assert (packets(path), seeks(path), path.stat().st_size) == (before, positions, size)


@pytest.mark.parametrize("name", FILMS)
def test_a_rewritten_film_is_shown_as_its_source(name: str, tmp_path: Path) -> None:
    look, sound = FILMS[name]
    path, out = movie(tmp_path / name, look, (sound,)), tmp_path / f"out {name}"
    show_as(path, (look.width, look.height), Fraction(64, 45))
    spec = probe(path)
    report = mux.rewrite(spec, out, decode.frames(spec), None)
    assert require_video(probe(out)).sample_aspect == Fraction(64, 45)
    assert not report.differences


def test_where_it_cannot_be_said_that_is_said(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mkv", Look("ffv1", frames=10, time_base=MS), ())
    show_as(path, (Look().width, Look().height), Fraction(2))
    report = mux.rewrite(probe(path), tmp_path / "out.avi", decode.frames(probe(path)), None)
    assert any("aspect" in sentence for sentence in report.differences)


EMPTY = b"\x1a\x45\xdf\xa3\x84abcd\x18\x53\x80\x67\x84abcd"


@pytest.mark.parametrize("octets", [b"", b"RIFF and so on", bytes(3000), EMPTY])
def test_other_files_are_left_alone(octets: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(octets)
    assert not show_as(path, (16, 16), Fraction(2))
    assert path.read_bytes() == octets
