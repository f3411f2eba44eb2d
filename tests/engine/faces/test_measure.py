"""Which frames may be dubbed or learnt from: not those in which the mouth's place is a guess."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from tests.engine.faces.test_align import face

from lipsmith.engine import footage
from lipsmith.engine.faces.align import place
from lipsmith.engine.faces.identity import LENGTH
from lipsmith.engine.faces.measure import measure
from lipsmith.engine.faces.points import KEPT, LOWER_FACE, STABLE
from lipsmith.engine.faces.track import FaceTrack, Look, Nets, Tracker
from lipsmith.engine.media import decode
from lipsmith.engine.media.probe import probe


def a_track(doubt: np.ndarray, shot: np.ndarray | None = None, covered: np.ndarray | None = None) -> FaceTrack:
    """A face 400 pixels wide that keeps still; `doubt` in face widths."""
    count = len(doubt)
    whole = np.repeat(2 * face()[None], count, 0)
    landmarks = whole[:, KEPT]
    return FaceTrack(
        1,
        np.arange(count),
        landmarks,
        np.ones(count, np.float32),
        doubt * place(whole[:, STABLE]).scale,
        np.zeros(count) if covered is None else covered,
        np.zeros(count, np.int32) if shot is None else shot,
        landmarks[:, : len(LOWER_FACE)].copy(),
        np.ones(count, np.float32),
        np.zeros(count, bool),
        np.zeros(LENGTH, np.float32),
    )


def usable(doubt: np.ndarray, shot: np.ndarray | None = None) -> list[int]:
    return np.flatnonzero(measure(a_track(doubt, shot)).usable).tolist()


def test_a_mouth_that_is_always_found_is_always_usable() -> None:
    assert usable(np.full(30, 0.02)) == list(range(30))


def test_frames_around_a_hidden_mouth_are_left_alone() -> None:
    doubt = np.full(30, 0.01)
    doubt[12:16] = 0.08
    assert usable(doubt) == [*range(9), *range(19, 30)]


def test_what_hides_a_mouth_hides_nothing_beyond_a_cut() -> None:
    doubt = np.full(30, 0.01)
    doubt[12:15] = 0.08
    assert usable(doubt, np.repeat([0, 1], 15).astype(np.int32)) == [*range(9), *range(15, 30)]


def test_a_shot_whose_mouth_is_mostly_guessed_is_left_alone_as_a_whole() -> None:
    doubt = np.tile([0.03, 0.04, 0.01], 10)
    doubt[20:] = 0.01
    assert usable(doubt, np.repeat([0, 1], (20, 10)).astype(np.int32)) == list(range(20, 30))


def bare(covered: np.ndarray) -> list[int]:
    track = a_track(np.full(len(covered), 0.01), covered=covered)
    assert measure(track).usable.all()
    return np.flatnonzero(measure(track).bare).tolist()


def test_a_covered_mouth_and_the_frames_around_it_teach_nothing() -> None:
    covered = np.zeros(30)
    covered[12:16] = 0.3
    assert bare(covered) == [*range(9), *range(19, 30)]


def test_what_is_nearly_always_there_is_his() -> None:
    assert bare(np.full(30, 0.3)) == list(range(30))
    covered = np.linspace(0, 1, 30)
    assert bare(covered) == list(range(15))


def test_one_frame_alone_is_a_track_too() -> None:
    assert usable(np.array([0.01])) == [0]
    assert usable(np.array([0.08])) == []


def watched(shot: Path, frames: range, nets: Nets) -> FaceTrack:
    tracker = Tracker(nets, frame_rate=25.0)
    for frame in islice(decode.frames(probe(shot)), frames.stop):
        if frame.index >= frames.start:
            tracker.push(Look(frame.index, decode.rgb(frame)))
    return tracker.finish()[0]


def test_real_lips_are_found_where_the_mirror_finds_them(seen: footage.Footage, nets: Nets) -> None:
    track = watched(seen.spec.path, range(len(seen.pts)), nets)
    measured = measure(track)
    assert measured.usable.all()
    assert (track.doubt / measured.placement.scale).max() < 0.03


def test_hands_before_a_real_mouth(clips: Path, nets: Nets) -> None:
    """For a second both hands are before his mouth; before that his fingers are at his chin."""
    measured = measure(watched(clips / "video/bill_cafe_1080p_12s.mp4", range(104, 160), nets))
    left = set(measured.indices[measured.usable].tolist())
    assert left >= set(range(104, 126))
    assert not left & set(range(138, 152))


def test_a_mesh_beside_the_face_is_not_believed(clips: Path, nets: Nets) -> None:
    """A dark profile: the net puts his lips on his shoulder, with certainty."""
    track = watched(clips / "hard/dark_profile_zh_11s.mp4", range(100), nets)
    assert np.median(track.presence) > 0.9
    assert not measure(track).usable.any()
