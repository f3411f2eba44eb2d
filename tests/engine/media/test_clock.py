"""Ranges and SMPTE, against the table of the API's contract."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import synthetic

from lipsmith.engine.media import clock
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.spec import VideoSpec
from lipsmith.errors import BadRange


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> VideoSpec:
    look = synthetic.Look(frames=3, width=32, height=32)
    path: Path = synthetic.movie(tmp_path_factory.mktemp("clock") / "x.mp4", look, ())
    return require_video(probe(path))


def at(spec: VideoSpec, rate: str, *, variable: bool = False) -> VideoSpec:
    return replace(spec, frame_rate=Fraction(rate), variable_rate=variable, duration_seconds_from_content=7200.0)


@pytest.mark.parametrize(
    ("rate", "label", "seconds"),
    [
        ("25", "00:00:10:00", 10.0),
        ("24000/1001", "00:00:10:00", 10.010),
        ("30000/1001", "00:01:00:00", 60.060),
        ("30000/1001", "00:01:00;02", 60.060),
        ("30000/1001", "00:10:00;00", 599.9994),
        ("60000/1001", "00:01:00;04", 60.060),
    ],
)
def test_smpte_is_read_at_the_exact_rate(spec: VideoSpec, rate: str, label: str, seconds: float) -> None:
    span = clock.parse_range(f"{label}-01:30:00:00", at(spec, rate))
    assert span.start_seconds == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        ("30000/1001", "00:01:00;00-00:02:00;02"),  # a label that does not exist
        ("25", "00:00:01;00-00:00:02;00"),  # drop-frame at a rate that has none
        ("25", "00:00:01:25-00:00:02:00"),  # frame number beyond the rate
        ("25", "00:60:00:00-01:10:00:00"),
        ("25", "1:00:00:00-02:00:00:00"),  # one digit
        ("25", "1.0-00:00:02:00"),  # units mixed
        ("25", "2-1"),
        ("25", "1-1"),
        ("25", "1"),
        ("25", "1-2-3"),
        ("25", "a-b"),
        ("25", "nan-3"),
        ("25", "0-7200.03"),  # more than half a frame past the end
        ("25", "7200-7201"),
    ],
)
def test_bad_ranges_are_refused(spec: VideoSpec, rate: str, text: str) -> None:
    with pytest.raises(BadRange):
        clock.parse_range(text, at(spec, rate))


def test_variable_rate_takes_seconds_only(spec: VideoSpec) -> None:
    variable = at(spec, "25", variable=True)
    assert clock.parse_range("1.5-2", variable) == clock.Span(1.5, 2.0)
    with pytest.raises(BadRange):
        clock.parse_range("00:00:01:00-00:00:02:00", variable)


def test_end_up_to_half_a_frame_past_the_video_is_cut(spec: VideoSpec) -> None:
    assert clock.parse_range("1-7200.015", at(spec, "25")).end_seconds == 7200.0


def test_ranges_may_touch_but_not_overlap(spec: VideoSpec) -> None:
    video = at(spec, "25")
    assert clock.parse_ranges(["2-3", "1-2"], video) == (clock.Span(1, 2), clock.Span(2, 3))
    with pytest.raises(BadRange):
        clock.parse_ranges(["1-2.5", "2-3"], video)


def test_edges_have_a_millisecond_of_tolerance() -> None:
    span = clock.Span(1.0, 2.0)
    assert span.contains(0.9995)
    assert not span.contains(0.998)
    assert not span.contains(1.9995)
    assert span.contains(1.998)


@given(index=st.integers(0, 10**6), rate=st.sampled_from(["25", "24000/1001", "30000/1001", "60"]))
def test_index_and_seconds_are_inverse(index: int, rate: str) -> None:
    frame_rate = Fraction(rate)
    assert clock.index_of_seconds(clock.seconds_of_index(index, frame_rate), frame_rate) == index


@given(pts=st.integers(-(10**9), 10**9), base=st.sampled_from(["1/12800", "1001/30000", "1/90000"]))
def test_pts_and_seconds_are_inverse(pts: int, base: str) -> None:
    time_base = Fraction(base)
    assert clock.pts_of_seconds(clock.seconds_of_pts(pts, time_base), time_base) == pts
