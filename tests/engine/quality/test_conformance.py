"""The judge sees what was changed."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from tests import synthetic
from tests.synthetic import Look, Track

from lipsmith.engine.quality.conformance import compare

LOOK = Look(frames=30)
BASE = {"tags": {"title": "One"}, "chapters": ((0.0, 1.0, "a"),)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.movie(tmp_path_factory.mktemp("source") / "a.mp4", LOOK, (Track(), Track(hertz=300)), **BASE)


def codes(source: Path, dub: Path) -> set[str]:
    return {difference.code for difference in compare(source, dub) if not difference.explained}


def test_a_file_is_like_itself(source: Path) -> None:
    assert compare(source, source) == ()


def test_another_first_voice_is_no_difference(source: Path, tmp_path: Path) -> None:
    dub = synthetic.movie(tmp_path / "b.mp4", LOOK, (Track(hertz=900), Track(hertz=300)), **BASE)
    assert compare(source, dub) == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"frame_rate": Fraction(30)}, {"video_frame_rate", "frame_times"}),
        ({"time_base": Fraction(1, 25_600)}, {"video_time_base"}),
        ({"frames": 29}, {"frame_count"}),
        ({"pts": [512 * n + (n == 9) for n in range(30)]}, {"frame_times"}),
        ({"pts": [512 * n + 512 for n in range(30)]}, {"start_time"}),
        ({"width": 176}, {"video_size"}),
        ({"color": (1, 6, 6, 6)}, {"color_matrix", "color_primaries", "color_transfer"}),
        ({"color": (2, 1, 1, 1)}, {"color_range"}),
        ({"sample_aspect": Fraction(4, 3)}, {"video_sample_aspect"}),
        ({"rotation_degrees": 180}, {"video_rotation_degrees"}),
        ({"options": {"profile": "main"}}, {"video_profile"}),
    ],
)
def test_changed_pictures_are_seen(source: Path, tmp_path: Path, change: dict[str, object], expected: set[str]) -> None:
    dub = synthetic.movie(tmp_path / "b.mp4", replace(LOOK, **change), (Track(), Track(hertz=300)), **BASE)  # type: ignore[arg-type]
    assert expected <= codes(source, dub)


def test_samples_are_cut_into_packets_anywhere(tmp_path: Path) -> None:
    """A container's chunks end where the muxer lays them; other samples are another track."""
    tracks = Track("pcm_s24le"), Track("pcm_s24le", hertz=300)
    source = synthetic.movie(tmp_path / "a.mov", LOOK, tracks)
    recut = tmp_path / "c.mov"
    with av.open(str(source)) as old, av.open(str(recut), "w") as new:
        streams = [new.add_stream_from_template(stream) for stream in old.streams]
        for packet in old.demux():
            if packet.size and packet.stream.type == "video":
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
            elif packet.size:
                half = packet.size // 12 * 6
                for start, part in ((0, bytes(packet)[:half]), (half, bytes(packet)[half:])):
                    cut = av.Packet(part)
                    cut.pts = cut.dts = (packet.pts or 0) + start // 6
                    cut.time_base, cut.stream = packet.time_base, streams[packet.stream.index]
                    new.mux(cut)
    assert "copied_packets" not in codes(source, recut)
    other = synthetic.movie(tmp_path / "d.mov", LOOK, (tracks[0], Track("pcm_s24le", hertz=301)))
    assert "copied_packets" in codes(source, other)


@pytest.mark.parametrize(
    ("tracks", "other", "expected"),
    [
        ((Track(), Track(hertz=301)), BASE, "copied_packets"),
        ((Track(),), BASE, "stream_count"),
        ((Track(layout="mono"), Track(hertz=300)), BASE, "audio_facts"),
        ((Track(), Track(language="fra", hertz=300)), BASE, "tag"),
        ((Track(), Track(hertz=300)), {**BASE, "tags": {"title": "Two"}}, "tag"),
        ((Track(), Track(hertz=300)), {**BASE, "chapters": ()}, "chapters"),
    ],
)
def test_changed_streams_and_tags_are_seen(
    source: Path, tmp_path: Path, tracks: tuple[Track, ...], other: dict[str, object], expected: str
) -> None:
    dub = synthetic.movie(tmp_path / "b.mp4", LOOK, tracks, **other)  # type: ignore[arg-type]
    assert expected in codes(source, dub)


def test_another_container_is_seen(source: Path, tmp_path: Path) -> None:
    dub = synthetic.movie(tmp_path / "b.mkv", LOOK, (Track(), Track(hertz=300)), **BASE)
    assert "container" in codes(source, dub)
