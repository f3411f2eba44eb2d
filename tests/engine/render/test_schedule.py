"""Runs: never across a cut, soft where there is something to come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lipsmith.engine.faces.align import Placement
from lipsmith.engine.faces.measure import Measured
from lipsmith.engine.media.clock import Span
from lipsmith.engine.render.schedule import runs


def a_face(count: int, usable: np.ndarray | None = None, shot: np.ndarray | None = None) -> Measured:
    placement = Placement(np.ones(count), np.zeros((count, 3, 3)), np.zeros((count, 3)))
    return Measured(
        np.arange(count),
        np.zeros(count, np.int32) if shot is None else shot,
        np.zeros((count, 60, 3), np.float32),
        placement,
        np.zeros((count, 60, 3), np.float16),
        np.zeros((count, 4), np.float32),
        np.ones(count, bool) if usable is None else usable,
        np.ones(count, bool) if usable is None else usable,
        np.ones(count, np.float32),
        np.zeros(count, bool),
    )


def test_a_held_picture_is_shown_again() -> None:
    face = replace(a_face(60), held=np.isin(np.arange(60) % 5, (3, 4)))
    (run,) = runs(face, np.arange(60) / 25, (), (Span(4 / 25, 2.0),))
    pictures, times = run.pictures(face.held)
    assert run.rows[0] == 4 and pictures.rows[0] == 4, "where a run begins its first picture is new"
    assert times.sum() == len(run.rows) and set(times[1:-1].tolist()) == {1, 3}
    assert np.array_equal(np.repeat(pictures.rows, times)[1:], run.rows[1:] - np.maximum(run.rows[1:] % 5 - 2, 0))


def test_a_whole_shot_has_hard_ends() -> None:
    (run,) = runs(a_face(50), np.arange(50) / 25, (), ())
    assert (run.weight == 1).all()


def test_a_span_is_exact_and_soft() -> None:
    (run,) = runs(a_face(100), np.arange(100) / 25, (), (Span(1.0, 2.0),))
    assert run.rows[0] == 25 and run.rows[-1] == 49
    assert np.allclose(run.weight[:4], [0.2, 0.4, 0.6, 0.8])
    assert np.allclose(run.weight[-4:], [0.8, 0.6, 0.4, 0.2])
    assert (run.weight[4:-4] == 1).all()


def test_short_spans_blend_over_a_third() -> None:
    (run,) = runs(a_face(100), np.arange(100) / 25, (), (Span(1.0, 1.24),))
    assert len(run.rows) == 6
    assert (run.weight < 1).sum() == 4


def test_a_cut_ends_a_run_and_needs_no_blend() -> None:
    shot = np.repeat([0, 1], 25).astype(np.int32)
    first, second = runs(a_face(50, shot=shot), np.arange(50) / 25, (25,), ())
    assert first.rows[-1] == 24 and second.rows[0] == 25
    assert (first.weight == 1).all() and (second.weight == 1).all()


def test_frames_without_a_usable_face_are_left_out_softly() -> None:
    usable = np.ones(60, bool)
    usable[20:30] = False
    first, second = runs(a_face(60, usable), np.arange(60) / 25, (), ())
    assert first.rows[-1] == 19 and first.weight[-1] < 1
    assert second.rows[0] == 30 and second.weight[0] < 1
