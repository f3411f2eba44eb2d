"""The preview: what browsers play, with the source's frames at the source's times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests import matrix, synthetic
from tests.engine.media.test_soundtrack import heard

from lipsmith.engine.media import decode
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.proxy import make_proxy
from lipsmith.errors import UnsupportedVideo

KINDS = (
    "hevc 10-bit.mp4", "hevc PQ with mastering display.mp4", "hevc RGB.mkv", "prores 4444 with alpha.mov",
    "av1.webm", "vp9 variable rate.webm", "h264 interlaced.mp4", "h264 anamorphic.mp4", "h264 full range.mp4",
    "h264 turned by 90.mp4", "h264 late start.mp4", "mpeg-4.avi", "animation with alpha.mov", "no sound.mp4",
    "h264 odd size.mp4", "5.1 sound.mp4",
)  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_preview_of_anything(tmp_path: Path, name: str) -> None:
    case = next(case for case in matrix.CASES if case.name == name)
    source = case.make(tmp_path)
    out = tmp_path / "proxy.mp4"
    result = make_proxy(source, out)
    before, after = require_video(probe(source)), require_video(probe(out))
    assert (after.codec, after.pix_fmt.replace("j", ""), after.codec_tag) == ("h264", "yuv420p", "avc1")
    assert not after.interlaced and after.sample_aspect == 1
    assert after.rotation_degrees == before.rotation_degrees
    assert (after.color.transfer, after.color.primaries) == (before.color.transfer, before.color.primaries)
    assert result.frames == before.frame_count_from_content
    times = [[frame.pts * frame.time_base for frame in decode.frames(probe(path))] for path in (source, out)]
    assert times[0] == times[1]


def test_it_looks_like_the_source(tmp_path: Path) -> None:
    source = synthetic.anamorphic_full_range_mp4(tmp_path / "a")
    make_proxy(source, tmp_path / "proxy.mp4")
    for one, other in zip(decode.frames(probe(source)), decode.frames(probe(tmp_path / "proxy.mp4")), strict=True):
        width, height = other.picture.width, other.picture.height
        assert np.abs(decode.rgb(one, width, height).astype(int) - decode.rgb(other)).mean() < 6


def test_large_pictures_become_small_and_sound_stays_in_time(tmp_path: Path) -> None:
    look = synthetic.Look(width=2000, height=1000, frames=25, options={"preset": "ultrafast"})
    source = synthetic.movie(tmp_path / "a.mp4", look)
    result = make_proxy(source, tmp_path / "proxy.mp4", longest_side=640)
    assert (result.width, result.height) == (640, 320)
    both = [heard(path)[0] for path in (source, tmp_path / "proxy.mp4")]
    assert np.corrcoef(both[0][4800:40000], both[1][4800:40000])[0, 1] > 0.98


def test_the_index_is_in_front(tmp_path: Path) -> None:
    make_proxy(synthetic.h264_mp4(tmp_path / "a"), tmp_path / "proxy.mp4")
    data = (tmp_path / "proxy.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_only_mp4(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedVideo, match="mp4"):
        make_proxy(synthetic.h264_mp4(tmp_path / "a"), tmp_path / "proxy.mkv")


def test_time_bases_that_mp4_cannot_count_in(tmp_path: Path) -> None:
    source = synthetic.movie(tmp_path / "a.mkv", synthetic.Look(time_base=Fraction(1, 1000), frames=10), ())
    make_proxy(source, tmp_path / "proxy.mp4")
    with av.open(str(tmp_path / "proxy.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 10
