"""Tracks: smoothing without delay, never across a cut; regions that meet."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.signal import savgol_filter

from lipsmith.engine.faces import track
from lipsmith.engine.faces.detect import Region, _Letterbox
from lipsmith.engine.faces.identity import LENGTH
from lipsmith.engine.faces.points import KEPT, LOWER_FACE
from lipsmith.engine.faces.track import FaceTrack, Look, Nets, Tracker


def a_track(
    values: np.ndarray,
    indices: np.ndarray | None = None,
    shot: np.ndarray | None = None,
    held: np.ndarray | None = None,
) -> FaceTrack:
    count = len(values)
    landmarks = np.repeat(values[:, None, None].astype(np.float32), len(KEPT), 1).repeat(3, 2)
    return FaceTrack(
        1,
        np.arange(count) if indices is None else indices,
        landmarks,
        np.ones(count, np.float32),
        np.zeros(count, np.float32),
        np.zeros(count, np.float32),
        np.zeros(count, np.int32) if shot is None else shot,
        landmarks[:, : len(LOWER_FACE)].copy(),
        np.ones(count, np.float32),
        np.zeros(count, bool) if held is None else held,
        np.zeros(LENGTH, np.float32),
    )


def test_segments_break_at_gaps_and_cuts() -> None:
    made = a_track(np.zeros(6), np.array([0, 1, 2, 5, 6, 7]), np.array([0, 0, 0, 0, 0, 1], np.int32))
    assert made.segments() == [slice(0, 3), slice(3, 5), slice(5, 6)]


def test_smoothing_has_no_delay() -> None:
    bump = np.exp(-((np.arange(41) - 20.0) ** 2) / 18)
    made = a_track(bump)
    track.smooth(made, 25.0)
    assert int(made.landmarks[:, 0, 0].argmax()) == 20
    assert np.allclose(made.landmarks[:20, 0, 0], made.landmarks[:20:-1, 0, 0], atol=1e-5)


def test_smoothing_never_crosses_a_cut() -> None:
    step = np.repeat([0.0, 100.0], 20)
    made = a_track(step, shot=np.repeat([0, 1], 20).astype(np.int32))
    track.smooth(made, 25.0)
    assert np.allclose(made.landmarks[:, 0, 0], step, atol=1e-3)


def test_a_held_picture_is_one() -> None:
    walk = np.cumsum(np.random.default_rng(0).normal(0, 3, 40))
    once, twice = a_track(walk), a_track(np.repeat(walk, 2), held=np.tile([False, True], 40))
    track.smooth(once, 25.0)
    track.smooth(twice, 50.0)
    assert np.allclose(twice.landmarks[::2], once.landmarks, atol=1e-4)
    assert np.allclose(twice.landmarks[1::2], twice.landmarks[::2])


@pytest.mark.parametrize(("frames", "size"), [(5, 5), (6, 5), (40, 7), (41, 15)])
def test_smoothing_is_scipys(frames: int, size: int) -> None:
    values = np.random.default_rng(frames).normal(100, 5, (frames, 4, 3)).astype(np.float32)
    expected = savgol_filter(values.astype(float), size, 2, axis=0, mode="interp")
    np.testing.assert_allclose(track._fitted(values, size), expected, rtol=1e-6)


def test_smoothing_takes_jitter_out() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 200)
    made = a_track(noise)
    track.smooth(made, 25.0)
    assert made.landmarks[:, 0, 0].std() < 0.8 * noise.std()


def test_rows_of_a_track_belong_together() -> None:
    with pytest.raises(ValueError, match="one length"):
        FaceTrack(
            1,
            np.arange(3),
            np.zeros((2, len(KEPT), 3), np.float32),
            np.ones(3),
            np.zeros(3),
            np.zeros(3),
            np.zeros(3),
            np.zeros((3, len(LOWER_FACE), 3), np.float32),
            np.ones(3),
            np.zeros(3, bool),
            np.zeros(LENGTH, np.float32),
        )


def test_regions_overlap_themselves_wholly_and_strangers_not_at_all() -> None:
    one = Region(100, 100, 50, 0)
    assert one.overlap(one) == pytest.approx(1)
    assert one.overlap(Region(300, 100, 50, 0)) == 0


def test_half_way_between_two_regions_the_angle_takes_the_short_way() -> None:
    middle = Region(0, 0, 10, 3.1).toward(Region(2, 0, 10, -3.1), 0.5)
    assert abs(abs(middle.angle) - np.pi) < 0.05
    assert middle.x == 1


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_points_of_an_upright_thumbnail_come_back_to_the_coded_picture(rotation: int) -> None:
    picture = np.zeros((120, 200, 3), np.uint8)
    picture[30:50, 150:170] = 255  # centre (160, 40)
    box = _Letterbox.of(picture, rotation)
    ys, xs = np.nonzero(box.pixels[..., 0] > 128)
    center = np.array([xs.mean() + 0.5, ys.mean() + 0.5])
    assert np.allclose(box._coded(center), [160, 40], atol=1.5)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_face_on_its_side_is_followed_as_an_upright_one(quarters: int, clips: Path, nets: Nets) -> None:
    with av.open(str(clips / "video/obama_weekly_480p_5s.mp4")) as container:
        upright = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), 48)]
    height, width = upright[0].shape[:2]
    found = []
    for turns in (0, quarters):
        tracker = Tracker(nets, frame_rate=25.0)
        for number, picture in enumerate(upright):
            tracker.push(Look(number, np.ascontiguousarray(np.rot90(picture, turns))))
        (only,) = tracker.finish()
        assert len(only) == 48
        found.append(only.landmarks[..., :2])
    points, (w, h) = found[0], (width, height)
    for _ in range(quarters):  # a quarter counter-clockwise: what was at the right comes to the top
        points, (w, h) = np.stack([points[..., 1], w - points[..., 0]], -1), (h, w)
    face_width = np.linalg.norm(np.ptp(points[0], axis=0)) / 1.5
    assert np.linalg.norm(found[1] - points, axis=-1).mean() < 0.02 * face_width
