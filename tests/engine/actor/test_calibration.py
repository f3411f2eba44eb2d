"""Calibration: the wanted opening survives, the shapes stay the actor's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from lipsmith.engine import mouth
from lipsmith.engine.actor import calibration
from lipsmith.engine.mouth import MouthBasis, MouthPath


def an_actor(count: int = 200) -> np.ndarray:
    """(S, 51, 3) mouths that open and widen along two directions with a little noise."""
    rng = np.random.default_rng(0)
    rest = rng.normal(0, 0.05, (51, 3))
    for upper, lower in mouth._FACING:
        rest[lower, 1] = rest[upper, 1] + 0.005
    opening, widening = np.zeros((51, 3)), np.zeros((51, 3))
    opening[list(mouth._FACING[:, 1]), 1] = 1
    opening[-11:, 1] = 0.9
    widening[mouth._CORNERS[1], 0], widening[mouth._CORNERS[0], 0] = 0.5, -0.5
    amounts = rng.uniform(0, 1, (count, 2)) * [0.12, 0.06]
    shapes = rest + amounts[:, :1, None] * opening + amounts[:, 1:, None] * widening
    return (shapes + rng.normal(0, 1e-4, shapes.shape)).astype(np.float32)


def test_opening_and_width_survive_projection() -> None:
    library = an_actor()
    fit = calibration.calibrate(library, library[mouth.gap(library).argmin()])
    goals = library[:50] + 0.005 * np.random.default_rng(1).normal(size=(50, 51, 3)).astype(np.float32)
    own = calibration.project(goals, library, fit)
    inside = (mouth.gap(goals) > fit.gap_range[0]) & (mouth.gap(goals) < fit.gap_range[1])
    assert np.allclose(mouth.gap(own)[inside], mouth.gap(goals)[inside], atol=2e-3)


def test_projection_brings_a_foreign_shape_home() -> None:
    library = an_actor()
    fit = calibration.calibrate(library, library[0])
    foreign = library[:20].copy()
    foreign[:, 5] += 0.05  # one point no mouth of his ever moves so
    own = calibration.project(foreign, library, fit)
    assert np.abs(own[:, 5] - library[:20, 5]).max() < 0.01


def test_no_mouth_opens_far_beyond_what_was_seen() -> None:
    library = an_actor()
    fit = calibration.calibrate(library, library[0])
    wide = library[:5] + 3.0 * fit.opening
    own = calibration.project(wide, library, fit)
    assert mouth.gap(own).max() < fit.gap_range[1] * 1.25


def test_the_gain_is_his_range_over_the_usual_one() -> None:
    library = an_actor()
    fit = calibration.calibrate(library, library[0])
    assert np.isclose(fit.gain, np.clip(mouth.gap(library).std() / mouth.UNIT_GAP_DEVIATION, 0.6, 1.6), rtol=1e-3)


def test_lips_that_were_never_seen_shut_can_be_shut() -> None:
    library = an_actor()
    singing = library[mouth.gap(library) > 0.04]
    fit = calibration.calibrate(singing, singing[mouth.gap(singing).argmin()])
    assert mouth.gap(fit.rest) < 0.009
    assert mouth.gap(calibration.project(fit.rest[None], singing, fit))[0] < 0.012


def spoken(count: int = 600) -> tuple[MouthBasis, calibration.Calibration, np.ndarray]:
    """An actor's calibration and (N, K) smooth generic coefficients of his speech."""
    library = an_actor()
    rng = np.random.default_rng(3)
    said = gaussian_filter1d(rng.normal(0, 4, (count, MouthBasis.load().size)), 3, axis=0)
    return MouthBasis.load(), calibration.calibrate(library, library[0]), said.astype(np.float32)


def test_his_manner_is_learnt_where_it_helps() -> None:
    basis, fit, said = spoken()
    mixing = np.eye(basis.size) + 0.8 * np.random.default_rng(5).normal(size=(basis.size, basis.size))
    did = fit.rest + fit.gain * basis.displacements(said @ mixing.astype(np.float32))
    learnt = calibration.with_manner(fit, MouthPath(said), did, basis)
    assert learnt.manner_gain > 0.05
    before, after = (np.abs(calibration.wanted(MouthPath(said), basis, f) - did).mean() for f in (fit, learnt))
    assert after < 0.6 * before


def test_no_manner_is_made_of_chance() -> None:
    basis, fit, said = spoken()
    did = fit.rest + fit.gain * basis.displacements(said)
    noise = np.random.default_rng(7).normal(0, 0.01, did.shape)
    learnt = calibration.with_manner(fit, MouthPath(said), did + noise, basis)
    assert learnt.manner_gain == 0.0
    assert np.array_equal(learnt.manner, np.eye(basis.size, dtype=np.float32))


def test_too_little_speech_teaches_nothing() -> None:
    basis, fit, said = spoken(100)
    assert calibration.with_manner(fit, MouthPath(said), np.zeros((100, 51, 3)), basis) is fit


def test_a_crooked_mouth_stays_crooked() -> None:
    """A symmetrical motion, spoken by somebody whose lips part on one side."""
    library = an_actor()
    left = [lower for upper, lower in mouth._FACING[5:]]
    opened = mouth.gap(library) - mouth.gap(library).min()
    library[:, left, 1] += 0.4 * opened[:, None]
    fit = calibration.calibrate(library, library[mouth.gap(library).argmin()])
    basis = MouthBasis.load()
    straight = np.zeros((60, basis.size), np.float32)
    straight[:, 0] = np.linspace(-1, 1, 60) * np.sign(mouth.gap(basis.displacements(np.eye(basis.size)[:1])))
    own = calibration.project(calibration.wanted(MouthPath(straight), basis, fit), library, fit)

    def lean(points: np.ndarray) -> float:
        gaps = mouth.gaps(points)
        return float(np.polyfit(mouth.gap(points), gaps[:, 4] - gaps[:, 3], 1)[0])

    assert abs(lean(own) - lean(library)) < 0.25 * lean(library)


def a_listener() -> np.ndarray:
    """(200, 51, 3) mouths that stay shut, as a tracker sees them."""
    shut = an_actor()
    shut = shut[mouth.gap(shut).argmin()]
    shut = shut + np.random.default_rng(1).normal(0, 0.001, (200, 1, 3))
    return shut + np.random.default_rng(2).normal(0, 0.0005, (200, len(mouth.MOUTH), 3))


def test_who_was_not_seen_to_speak_speaks_all_the_same() -> None:
    library, basis = a_listener(), MouthBasis.load()
    fit = calibration.calibrate(library, library.mean(0))
    assert mouth.stillness(library) == 1
    said = np.zeros((50, basis.size), np.float32)
    said[:, 0] = np.linspace(0, 2, 50) * np.sign(mouth.gap(basis.displacements(np.eye(basis.size)[:1])))
    goal = calibration.wanted(MouthPath(said), basis, fit)
    own = calibration.project(goal, library, fit)
    opened = mouth.gap(own) - mouth.gap(library).mean()
    assert opened.max() > 0.03
    assert np.abs(opened - (mouth.gap(goal) - mouth.gap(library).mean())).max() < 0.02
    moved = np.abs(own - library.mean(0)).max((0, 2))
    assert moved.max() < 3 * opened.max()  # noise is no way of opening


def test_who_speaks_keeps_his_own_range() -> None:
    library = an_actor()
    fit = calibration.calibrate(library, library[0])
    assert mouth.stillness(library) == 0
    assert fit.gap_range == pytest.approx(tuple(np.percentile(mouth.gap(library), (0.5, 99.5))))


def test_who_is_heard_to_speak_keeps_his_own_range_though_he_hardly_parts_his_lips() -> None:
    library = an_actor()
    library = library[0] + (library - library[0]) * 0.01 / mouth.gap(library).std()
    assert mouth.stillness(library) > 0.5 and mouth.stillness(library, heard=True) == 0
    loud, own = calibration.calibrate(library, library[0]), calibration.calibrate(library, library[0], heard=True)
    assert own.gain < loud.gain
    assert own.gap_range[1] == pytest.approx(np.percentile(mouth.gap(library), 99.5))
    assert mouth.stillness(a_listener(), heard=True) == 1  # somebody else was heard
