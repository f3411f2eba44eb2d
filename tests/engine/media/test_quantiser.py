"""What the source's decoder tells of how finely it was quantised."""

from __future__ import annotations

import gc
from pathlib import Path

import av
import pytest
from tests.synthetic import Look, movie

from lipsmith.engine.media import gops, quantiser
from lipsmith.engine.media.probe import probe

SAME_FOR_ALL = "aq-mode=0:ipratio=1:pbratio=1:mbtree=0"


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le"])
def test_the_quantiser_is_the_encoders(pix_fmt: str, tmp_path: Path) -> None:
    options = {"qp": "27", "g": "20", "x264-params": SAME_FOR_ALL}
    spec = probe(movie(tmp_path / "shot.mp4", Look(bit_rate=0, options=options, pix_fmt=pix_fmt), ()))
    found = quantiser.read(spec, gops.read(spec), range(5, 45))
    assert [one.quantiser for one in found] == [27] * 40
    assert [number for number, one in enumerate(found, 5) if one.intra] == [20, 40]


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p"])
def test_headers_of_hevc_say_the_encoders(pix_fmt: str, suffix: str, tmp_path: Path) -> None:
    options = {"x265-params": "log-level=error:qp=27:ipratio=1:pbratio=1:keyint=20:min-keyint=20:open-gop=0"}
    spec = probe(movie(tmp_path / f"shot{suffix}", Look("libx265", options=options, pix_fmt=pix_fmt), ()))
    found = sorted(quantiser.read(spec, gops.read(spec), range(5, 45)), key=lambda one: one.pts)
    assert [one.quantiser for one in found] == [27] * 40
    assert [number for number, one in enumerate(found, 5) if one.intra] == [20, 40]
    assert not any(one.varies for one in found)


def test_of_other_codecs_nothing_is_told(tmp_path: Path) -> None:
    spec = probe(movie(tmp_path / "shot.avi", Look("mpeg4"), ()))
    assert quantiser.read(spec, gops.read(spec), range(10)) == []


def test_no_picture_is_held(tmp_path: Path) -> None:
    spec = probe(movie(tmp_path / "shot.mp4", Look(frames=100), ()))
    index = gops.read(spec)
    gc.collect()
    before = _pictures()
    gc.disable()
    try:
        assert len(quantiser.read(spec, index, range(100))) == 100
        assert _pictures() == before
    finally:
        gc.enable()


def _pictures() -> int:
    return sum(type(one) is av.VideoFrame for one in gc.get_objects())
