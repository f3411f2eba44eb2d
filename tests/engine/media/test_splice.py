"""Only what was edited is encoded anew; all else comes back bit for bit, and the whole plays as before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests import synthetic
from tests.synthetic import Look, Track, frame_hashes, movie

from lipsmith.engine.media import decode, gops, mux, splice
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.quality.conformance import compare

EDITED = (33, 34, 35, 71)
MILLISECONDS = Fraction(1, 1000)


def h264(path: Path) -> Path:
    return movie(path.with_suffix(".mp4"), Look(frames=100, options={"g": "20"}))


def h264_mkv(path: Path) -> Path:
    return movie(path.with_suffix(".mkv"), Look(frames=100, options={"g": "20"}))


def h264_ts(path: Path) -> Path:
    return movie(path.with_suffix(".ts"), Look(frames=100, options={"g": "20"}, time_base=Fraction(1, 90_000)))


def h264_422_10(path: Path) -> Path:
    return movie(path.with_suffix(".mov"), Look(frames=100, options={"g": "20"}, pix_fmt="yuv422p10le"))


def hevc_open(path: Path) -> Path:
    """Open GOPs: pictures before a CRA lean on the GOP before it."""
    options = {"x265-params": "log-level=error:keyint=20:min-keyint=20:b-adapt=0"}
    return movie(path.with_suffix(".mp4"), Look("libx265", frames=100, options=options, codec_tag="hvc1"))


def hevc_open_ts(path: Path) -> Path:
    options = {"x265-params": "log-level=error:keyint=20:min-keyint=20:b-adapt=0"}
    look = Look("libx265", frames=100, options=options, time_base=Fraction(1, 90_000))
    return movie(path.with_suffix(".ts"), look)


def hevc_closed_10bit(path: Path) -> Path:
    options = {"x265-params": "log-level=error:keyint=20:open-gop=0"}
    return movie(path.with_suffix(".mkv"), Look("libx265", frames=100, options=options, pix_fmt="yuv420p10le"))


def vp9(path: Path) -> Path:
    options = {"g": "20", "deadline": "realtime", "cpu-used": "8"}
    look = Look("libvpx-vp9", frames=100, options=options, time_base=MILLISECONDS)
    return movie(path.with_suffix(".webm"), look, (Track("libopus"),))


def av1(path: Path) -> Path:
    return movie(path.with_suffix(".mp4"), Look("libsvtav1", frames=100, options={"g": "20", "preset": "10"}))


def prores(path: Path) -> Path:
    look = Look("prores_ks", pix_fmt="yuv422p10le", frames=100, bit_rate=0, options={"profile": "2"})
    return movie(path.with_suffix(".mov"), look, (Track("pcm_s16le"),))


def mjpeg(path: Path) -> Path:
    return movie(path.with_suffix(".avi"), Look("mjpeg", pix_fmt="yuvj420p", frames=100, time_base=Fraction(1, 25)), ())


CUT = (h264, h264_mkv, h264_ts, h264_422_10, hevc_open, hevc_open_ts, hevc_closed_10bit, vp9, av1, prores, mjpeg)


def brightened(frames: Iterable[Frame]) -> Iterator[Frame]:
    for frame in frames:
        if frame.index in EDITED:
            frame.picture.make_writable()
            plane = frame.picture.planes[0]
            np.frombuffer(plane, np.uint8)[: plane.line_size * 16] = 3
        yield frame


def spliced(source: Path) -> tuple[Path, splice.SplicePlan, mux.RewriteReport]:
    spec = probe(source)
    index = gops.read(spec)
    edited = np.zeros(len(index.stamps), bool)
    edited[list(EDITED)] = True
    plan = splice.plan(require_video(spec), index, edited, mux.muxer_of(source))
    out = source.with_name(f"dub{source.suffix}")
    frames = brightened(decode.frames(spec, plan.excerpt))
    return out, plan, mux.rewrite(spec, out, frames, None, splice=plan)


def packets(path: Path) -> dict[int, bytes]:
    """By time stamp."""
    with av.open(str(path)) as container:
        return {packet.pts or 0: bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size}


@pytest.mark.parametrize("make", CUT, ids=lambda make: make.__name__)
def test_what_is_not_edited_comes_back_bit_for_bit(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    source = make(tmp_path / "source")
    out, plan, report = spliced(source)
    encoded = {number for run in plan.runs for number in run.frames}
    assert set(EDITED) <= encoded and len(encoded) == report.frames_encoded < 60
    assert report.frames == 100 and report.differences == ()
    assert [difference for difference in compare(source, out) if not difference.explained] == []
    before, after = frame_hashes(source), frame_hashes(out)
    assert len(before) == len(after) == 100
    assert [number for number in range(100) if number not in encoded and before[number] != after[number]] == []
    copied = packets(out)
    theirs = zip(packets(source).items(), plan.replaced, strict=True)
    # Of start-coded HEVC the parser reads our end of sequence as the beginning of the packet behind it.
    assert all(copied[pts].endswith(data) for (pts, data), replaced in theirs if not replaced)
    index = gops.read(probe(out))
    assert index.why_not == ""
    assert np.array_equal(index.stamps, plan.index.stamps)


@pytest.mark.parametrize("make", [h264, hevc_open, hevc_closed_10bit, vp9, av1], ids=lambda make: make.__name__)
def test_every_keyframe_can_be_sought(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """One decoder jumping about, last keyframe first: what it shows is what playing through shows."""
    out, _, _ = spliced(make(tmp_path / "source"))
    spec = probe(out)
    index = gops.read(spec)
    through = {frame.pts: frame.picture.to_ndarray().tobytes() for frame in decode.frames(spec)}
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        for opening in [*index.openings[::-1], *index.openings]:
            container.seek(int(index.dts[opening]), stream=stream)
            shown = 0
            for picture in container.decode(stream):
                if picture.pts is not None and picture.pts >= index.pts[opening]:
                    assert picture.to_ndarray().tobytes() == through[picture.pts]
                    shown += 1
                if shown == 5:
                    break


def test_what_an_edit_list_hides_stays_hidden(tmp_path: Path) -> None:
    """A shot trimmed in a phone: the pictures behind its end are still in the file."""
    source = h264(tmp_path / "source")
    data = bytearray(source.read_bytes())
    at = data.index(b"elst") + 12  # the first entry's duration, in the movie's time base
    duration = int.from_bytes(data[at : at + 4], "big")
    data[at : at + 4] = (duration * 9 // 10).to_bytes(4, "big")
    source.write_bytes(data)
    before = frame_hashes(source)
    assert len(before) == 90
    out, plan, report = spliced(source)
    encoded = {number for run in plan.runs for number in run.frames}
    after = frame_hashes(out)
    assert len(after) == report.frames == 90 and len(encoded) < 60
    assert [number for number in range(90) if number not in encoded and before[number] != after[number]] == []


def test_an_untouched_video_is_copied_whole(tmp_path: Path) -> None:
    source = h264(tmp_path / "source")
    spec = probe(source)
    index = gops.read(spec)
    plan = splice.plan(require_video(spec), index, np.zeros(100, bool), "mp4")
    mux.rewrite(spec, tmp_path / "dub.mp4", iter(()), None, splice=plan)
    assert packets(tmp_path / "dub.mp4") == packets(source)


def test_stretches_decode_as_in_the_whole(tmp_path: Path) -> None:
    for make in (h264, hevc_open, vp9, prores):
        spec = probe(make(tmp_path / make.__name__))
        whole = {frame.index: frame.picture.to_ndarray().tobytes() for frame in decode.frames(spec)}
        stretches = (range(3), range(38, 45), range(97, 100))
        frames = list(decode.frames(spec, gops.Excerpt(gops.read(spec), stretches)))
        assert [frame.index for frame in frames] == [number for stretch in stretches for number in stretch]
        assert all(frame.picture.to_ndarray().tobytes() == whole[frame.index] for frame in frames)


@pytest.mark.parametrize("kind", ["mpeg4_avi", "mpeg2_ts", "ffv1_mkv"])
def test_what_cannot_be_spliced_says_why(tmp_path: Path, kind: str) -> None:
    spec = probe(synthetic.SOURCES[kind](tmp_path / kind))
    index = gops.read(spec)
    with pytest.raises(splice.NotSpliceable, match=r"\w+.*\."):
        splice.plan(require_video(spec), index, np.ones(len(index.stamps), bool), mux.muxer_of(spec.path))
