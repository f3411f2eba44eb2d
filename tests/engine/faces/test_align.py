"""The face's own frame: there and back, and the same face whatever the head does."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from lipsmith.engine.faces import align
from lipsmith.engine.faces.points import STABLE


def face(seed: int = 0) -> np.ndarray:
    """(468, 3) a plausible face in pixels, frontal."""
    points = np.random.default_rng(seed).normal(0, 20, (468, 3))
    points[list(STABLE)] = np.load(align._TEMPLATE) * 200
    return points.astype(np.float32) + np.array([300, 200, 0], np.float32)


def turned(points: np.ndarray, yaw: float, pitch: float, scale: float) -> np.ndarray:
    rotation = Rotation.from_euler("yx", [yaw, pitch], degrees=True).as_matrix()
    return (scale * ((points - points.mean(0)) @ rotation.T) + points.mean(0)).astype(np.float32)


def test_there_and_back() -> None:
    landmarks = np.stack([face(), turned(face(), 20, 5, 1.2)])
    placement = align.place(landmarks[:, STABLE])
    assert np.allclose(placement.to_picture(placement.to_own(landmarks)), landmarks, atol=1e-2)


@given(st.floats(-40, 40), st.floats(-20, 20), st.floats(0.5, 2))
def test_the_own_frame_does_not_see_the_head_move(yaw: float, pitch: float, scale: float) -> None:
    landmarks = np.stack([face(), turned(face(), yaw, pitch, scale)])
    own = align.place(landmarks[:, STABLE]).to_own(landmarks)
    assert np.abs(own[0] - own[1]).max() < 1e-3


def test_scale_is_the_face_width_in_pixels() -> None:
    landmarks = face()[None]
    width = np.linalg.norm(landmarks[0, 234] - landmarks[0, 454])
    assert np.isclose(align.place(landmarks[:, STABLE]).scale[0], width, rtol=1e-3)


def test_yaw_is_read_in_degrees() -> None:
    landmarks = np.stack([face(), turned(face(), 30, 0, 1)])
    yaw = np.abs(align.place(landmarks[:, STABLE]).yaw_degrees())
    assert yaw[0] < 1
    assert abs(yaw[1] - 30) < 1
