"""A voice in the middle of a track: what does not have to change is the source's, and the seams are not heard."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests import synthetic
from tests.engine.media.test_soundtrack import heard, lag, rustle
from tests.synthetic import SAMPLE_RATE, Look, Track, movie

from lipsmith.engine.media import decode
from lipsmith.engine.media.mux import RewriteReport, rewrite
from lipsmith.engine.media.newtrack import NewTrack
from lipsmith.engine.media.probe import probe
from lipsmith.engine.media.soundtrack import Voice
from lipsmith.engine.quality.conformance import compare

MS = Fraction(1, 1000)
FRAMES = 150  # six seconds
LONG = Look(frames=FRAMES)
LATE = Look(frames=FRAMES, pts=[1024 + 512 * number for number in range(FRAMES)])
SPLICED = {
    "aac.mp4": (LONG, Track("aac")),
    "aac.mov": (LONG, Track("aac", "mono")),
    "aac late.mp4": (LATE, Track("aac")),
    "aac.mkv": (Look(frames=FRAMES, time_base=MS), Track("aac")),
    "ac3.mp4": (LONG, Track("ac3")),
    "eac3.mp4": (LONG, Track("eac3")),
    "pcm.mov": (LONG, Track("pcm_s24le")),
    "pcm.avi": (Look("mpeg4", frames=FRAMES, time_base=Fraction(1, 25)), Track("pcm_s16le")),
    "pcm.mxf": (Look("mpeg2video", frames=FRAMES, time_base=Fraction(1, 25)), Track("pcm_s16le")),
    "aac.flv": (Look(frames=FRAMES, time_base=MS), Track("aac")),
}
WHOLE = {
    "mp3.mp4": (LONG, Track("libmp3lame")),
    "opus.mp4": (LONG, Track("libopus")),
    "flac.mkv": (Look(frames=FRAMES, time_base=MS), Track("flac")),
    "aac.ts": (Look(frames=FRAMES, time_base=Fraction(1, 90_000)), Track("aac")),
}
STARTS, LASTS = 2.5, 1.0  # seconds
AROUND = 0.9  # seconds beside the voice within which the seams lie


def packets(path: Path) -> list[tuple[int, bytes]]:
    """(time stamp, octets) of every packet of the first track."""
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(audio=0) if packet.size]


def dubbed(tmp_path: Path, name: str, look: Look, track: Track, wish: NewTrack, starts: float) -> RewriteReport:
    """`name` in `tmp_path` with a second of noise from `starts` on, as `dub NAME`."""
    source = movie(tmp_path / name, look, (track,))
    voice = synthetic.wav(tmp_path / "voice.wav", rustle(LASTS))
    spec = probe(source)
    voices = [Voice(voice, start_seconds=starts)]
    return rewrite(spec, tmp_path / f"dub {name}", decode.frames(spec), voices, sound=wish)


def alike(one: list[tuple[int, bytes]], other: list[tuple[int, bytes]]) -> np.ndarray:
    assert [stamp for stamp, _ in one] == [stamp for stamp, _ in other]
    return np.array([a == b for (_, a), (_, b) in zip(one, other, strict=True)])


def decibels(error: np.ndarray, sound: np.ndarray) -> float:
    return float(10 * np.log10(np.square(error).mean() / np.square(sound).mean() + 1e-20))


@pytest.mark.parametrize("name", SPLICED)
def test_a_voice_in_the_middle_leaves_the_rest_as_it_is(tmp_path: Path, name: str) -> None:
    report = dubbed(tmp_path, name, *SPLICED[name], NewTrack(own_before=True, own_after=True), STARTS)
    source, dub = tmp_path / name, tmp_path / f"dub {name}"
    same = alike(packets(source), packets(dub))
    copied = len(same) - report.sound_packets_copied
    assert same.sum() >= report.sound_packets_copied > 0.5 * len(same)
    assert np.flatnonzero(~same).size <= copied < (LASTS + 2 * AROUND) / 6.0 * len(same)
    before, after = heard(source)[0], heard(dub)[0]
    assert len(before) == len(after)
    inside = slice(round(STARTS * SAMPLE_RATE), round((STARTS + LASTS) * SAMPLE_RATE))
    rounding = 0 if SPLICED[name][0].time_base != MS else 24  # samples: such a container counts milliseconds
    assert abs(lag(after[inside.start :], rustle(LASTS))) <= rounding
    far = round(AROUND * SAMPLE_RATE)
    outside = np.array([not STARTS - AROUND < at < STARTS + LASTS + AROUND for at in np.linspace(0, 6, len(same))])
    assert same[outside].all()
    for part in (slice(inside.start - far), slice(inside.stop + far, None)):  # a decoder makes up its noise as it goes
        assert decibels(after[part] - before[part], before) < -45
    near = [slice(inside.start - far, inside.start - 2400), slice(inside.stop + 2400, inside.stop + far)]
    for part in near:  # every 20 ms of it, so that a click at a seam is not lost in the mean
        for start in range(part.start, part.stop - 960, 960):
            window = slice(start, start + 960)
            assert decibels(after[window] - before[window], before) < -35
    assert [difference for difference in compare(source, dub) if not difference.explained] == []


def test_a_new_track_beside_the_old_one_takes_nothing_but_its_packets(tmp_path: Path) -> None:
    wish = NewTrack("fra", keeps_original=True, own_before=True, own_after=True)
    report = dubbed(tmp_path, "aac.mp4", *SPLICED["aac.mp4"], wish, STARTS)
    assert report.sound_packets_copied > 0
    with av.open(str(tmp_path / "dub aac.mp4")) as container:
        assert [stream.metadata["language"] for stream in container.streams.audio] == ["fra", "eng"]
        assert [stream.metadata.get("title") for stream in container.streams.audio] == [None, None]
    assert packets(tmp_path / "dub aac.mp4") != packets(tmp_path / "aac.mp4")
    assert [d for d in compare(tmp_path / "aac.mp4", tmp_path / "dub aac.mp4") if not d.explained] == []


@pytest.mark.parametrize("name", WHOLE)
def test_what_cannot_be_spliced_is_encoded_whole(tmp_path: Path, name: str) -> None:
    report = dubbed(tmp_path, name, *WHOLE[name], NewTrack(own_before=True, own_after=True), STARTS)
    assert report.sound_packets_copied == 0
    before, after = heard(tmp_path / name)[0], heard(tmp_path / f"dub {name}")[0]
    assert lag(after[round(STARTS * SAMPLE_RATE) :], rustle(LASTS)) == 0
    assert decibels(after[4800:96_000] - before[4800:96_000], before) < -20


@pytest.mark.parametrize("name", ["aac.mp4", "ac3.mp4", "pcm.mov"])
def test_a_voice_from_the_beginning_leaves_what_comes_after(tmp_path: Path, name: str) -> None:
    dubbed(tmp_path, name, *SPLICED[name], NewTrack(own_after=True), 0.0)
    same = alike(packets(tmp_path / name), packets(tmp_path / f"dub {name}"))
    assert same[round((LASTS + AROUND) / 6.0 * len(same)) :].all()
    assert lag(heard(tmp_path / f"dub {name}")[0], rustle(LASTS)) == 0


def test_sound_from_before_the_pictures_stays(tmp_path: Path) -> None:
    look = Look(frames=75, pts=[25_600 + 512 * number for number in range(75)])  # from two seconds on
    dubbed(tmp_path, "a.mp4", look, Track("aac"), NewTrack(own_after=True), 0.0)
    before, after = (
        np.concatenate(list(decode.audio(tmp_path / name, None, SAMPLE_RATE, origin_seconds=0.0)), axis=1)[0]
        for name in ("a.mp4", "dub a.mp4")
    )
    assert decibels(after[: round(1.95 * SAMPLE_RATE)] - before[: round(1.95 * SAMPLE_RATE)], before) < -35


@pytest.mark.parametrize("name", ["aac.mp4", "ac3.mp4", "pcm.mov"])
def test_a_voice_to_the_end_leaves_what_comes_before(tmp_path: Path, name: str) -> None:
    dubbed(tmp_path, name, *SPLICED[name], NewTrack(own_before=True), STARTS)
    source, dub = packets(tmp_path / name), packets(tmp_path / f"dub {name}")
    count = round((STARTS - AROUND) / 6.0 * len(source))
    assert source[:count] == dub[:count]
    after = heard(tmp_path / f"dub {name}")[0]
    assert lag(after[round(STARTS * SAMPLE_RATE) :], rustle(LASTS)) == 0
    assert np.abs(after[round((STARTS + LASTS + 0.1) * SAMPLE_RATE) :]).max() < 0.01, "silence, as asked"


@pytest.mark.parametrize(("starts", "copies"), [(1.2, False), (3.0, True)])
def test_a_hole_in_the_track_matters_where_the_voice_is(tmp_path: Path, starts: float, copies: bool) -> None:
    source = movie(tmp_path / "a.mkv", Look(frames=FRAMES, time_base=MS), (Track("aac"),))
    holed = tmp_path / "holed.mkv"
    with av.open(str(source)) as container, av.open(str(holed), "w") as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in container.streams}
        for packet in container.demux():
            if not packet.size or (packet.stream.type == "audio" and 1.0 < packet.pts * packet.time_base < 1.5):
                continue
            packet.stream = streams[packet.stream_index]
            output.mux(packet)
    spec = probe(holed)
    voice = synthetic.wav(tmp_path / "voice.wav", rustle(LASTS))
    wish = NewTrack(own_before=True, own_after=True)
    report = rewrite(spec, tmp_path / "dub.mkv", decode.frames(spec), [Voice(voice, start_seconds=starts)], sound=wish)
    assert (report.sound_packets_copied > 0) == copies
    assert abs(lag(heard(tmp_path / "dub.mkv")[0][round(starts * SAMPLE_RATE) :], rustle(LASTS))) <= 24
