"""Layers joined: nothing changes where nothing should, light is matched where it must."""

from __future__ import annotations

import numpy as np

from lipsmith.engine.faces.points import LOWER_FACE
from lipsmith.engine.render import composite

CELL = 100 / 72  # pixels by which light is compared


def a_matte(height: int = 80, width: int = 100) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.clip(1.5 - np.hypot(x - width / 2, y - height / 2) / 18, 0, 1).astype(np.float32)


def test_an_empty_matte_gives_the_plate() -> None:
    plate = np.random.default_rng(0).uniform(0, 255, (80, 100, 3)).astype(np.float32)
    assert np.array_equal(composite.joined(plate, plate + 50, np.zeros((80, 100), np.float32)), plate)


def test_another_light_is_taken_out() -> None:
    plate = np.full((80, 100, 3), 120, np.float32)
    face = plate + np.array([20, -8, 5], np.float32)
    matched = composite.matched(face, plate, a_matte(), CELL, 255)
    assert np.abs(matched - plate).max() < 1.5


def test_a_finger_beside_the_mouth_does_not_tint_the_chin() -> None:
    plate = np.full((80, 100, 3), 120, np.float32)
    face = plate.copy()
    plate[:, :30] = [200, 90, 160]
    matched = composite.matched(face, plate, a_matte(), CELL, 255)
    inside = a_matte() > 0.9
    assert np.abs(matched[inside] - 120).max() < 3


def test_detail_survives_matching() -> None:
    detail = np.random.default_rng(0).normal(0, 10, (80, 100, 3)).astype(np.float32)
    plate = np.full((80, 100, 3), 120, np.float32)
    matched = composite.matched(plate + detail, plate, a_matte(), CELL, 255)
    inside = a_matte() > 0.9
    assert np.corrcoef(matched[inside].ravel(), detail[inside].ravel())[0, 1] > 0.95


def test_the_edit_falls_to_nothing_at_the_crops_border_only_within_the_picture() -> None:
    points = np.random.default_rng(0).uniform([30, 20], [70, 60], (len(LOWER_FACE), 2)).astype(np.float32)
    made = composite.mattes(points, 80, 100, 60.0, (True, True, True, False))
    assert made.edit[0].max() == 0 and made.edit[:, 0].max() == 0 and made.edit[:, -1].max() == 0
    assert made.edit[-1, 50] == 1
    assert made.edit[40, 50] == 1


def test_a_hand_in_one_layer_only_is_the_plates_business() -> None:
    plate = np.full((80, 100, 3), 120, np.float32)
    face = plate.copy()
    face[50:, 55:] = [220, 120, 120]
    core = np.zeros((80, 100), np.float32)
    matte = composite.alike(face, plate, core, CELL, 255)
    assert matte[65:, 75:].max() < 0.05
    assert matte[:40, :45].min() > 0.95
    core[42:, 47:] = 1  # unless it is the mouth itself
    assert composite.alike(face, plate, core, CELL, 255).min() > 0.9


def test_detail_lost_in_resampling_is_given_back_and_no_more() -> None:
    import cv2

    sharp = np.random.default_rng(0).uniform(0.3, 0.7, (80, 100)).astype(np.float32)
    sharp = cv2.GaussianBlur(sharp, (0, 0), 1.0)
    lips = np.array([[30, 30], [70, 50]], np.float32)
    part = sharp[30:51, 30:71]
    energy = float(np.square(cv2.Laplacian(part, cv2.CV_32F)).mean())
    soft = np.repeat(255 * cv2.GaussianBlur(sharp, (0, 0), 0.5)[..., None], 3, 2)
    found = []
    for codec in ("h264", "hevc"):
        crisp = composite.crisped(soft, energy, lips, 255, codec)[30:51, 30:71, 0] / 255
        found.append(np.square(cv2.Laplacian(crisp, cv2.CV_32F)).mean() / energy)
    assert 0.8 < found[0] < found[1] < 1.5  # HEVC takes more of it
    whole = np.repeat(255 * sharp[..., None], 3, 2)
    assert np.array_equal(composite.crisped(whole, energy / 2, lips, 255, "h264"), whole)


def test_another_light_is_replaced_and_detail_stays() -> None:
    rng = np.random.default_rng(0)
    detail = 1 + 0.1 * rng.normal(size=(80, 100, 1)).astype(np.float32)
    own = np.dstack([np.full((80, 100), 0.6), np.full((80, 100), -0.06), np.full((80, 100), 0.1)]).astype(np.float32)
    own[30:50, 30:70] *= np.float32([0.7, 0.5, 1.4])  # lips
    side = np.linspace(0.5, 1.1, 100, dtype=np.float32)[None, :, None]
    plate, face = own * side + np.float32([0, -0.03, 0.02]), own * detail
    shown = np.ones((80, 100), np.float32)
    shown[38:42, 40:60] = 0  # between the lips, where either shows something else
    plate[38:42, 40:60], face[38:42, 40:60] = 0.9, 0.0
    lit = composite.relit(face, plate, shown, 150.0)
    seen = shown > 0
    assert np.abs(lit[..., 1:] - plate[..., 1:])[seen].mean() < 0.01
    assert np.abs(lit[..., 0] - plate[..., 0] * detail[..., 0])[seen].mean() < 0.02
    assert np.abs(face[..., 0] - plate[..., 0] * detail[..., 0])[seen].mean() > 0.1
    assert lit[40, 50, 0] == 0  # what is black stays black


def test_in_its_own_light_nothing_changes() -> None:
    face = np.random.default_rng(1).uniform(0.2, 0.7, (80, 100, 3)).astype(np.float32)
    assert np.allclose(composite.relit(face, face, np.ones((80, 100), np.float32), 150.0), face, atol=1e-5)
