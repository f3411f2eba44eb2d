"""Retrieval against a slow oracle: every path tried."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.actor.library import ELSEWHERE, Index
from lipsmith.engine.render import retrieval
from lipsmith.engine.render.retrieval import Wanted, retrieve


def an_index(count: int, seed: int = 0) -> Index:
    rng = np.random.default_rng(seed)
    return Index(
        np.arange(count),
        rng.normal(0, 0.03, (count, 51, 3)).astype(np.float32),
        np.zeros((count, 60, 3), np.float32),
        np.zeros((count, 60, 2), np.float32),
        np.repeat(np.eye(3, dtype=np.float32)[None], count, 0),
        np.full(count, 200, np.float32),
        np.ones(count, np.float32),
        np.zeros((count, 3), np.float32),
        np.ones(count, np.float32),
        np.zeros(count, np.int32),
    )


def wanting(mouths: np.ndarray) -> Wanted:
    count = len(mouths)
    return Wanted(mouths, np.repeat(np.eye(3)[None], count, 0), np.full(count, 200.0), shot=0)


def test_the_path_is_the_cheapest_of_all() -> None:
    index = an_index(5)
    wanted = wanting(np.random.default_rng(1).normal(0, 0.03, (4, 51, 3)))
    unary = retrieval._unary(wanted, index)
    traits, follows = retrieval._join_traits(index), np.append(index.follows(), False)
    joins = retrieval._joins(np.arange(5), np.arange(5), traits, follows)

    def cost(path: tuple[int, ...]) -> float:
        return sum(unary[t, s] for t, s in enumerate(path)) + sum(
            joins[a, b] for a, b in zip(path[:-1], path[1:], strict=True)
        )

    best = min(product(range(5), repeat=4), key=cost)
    assert np.isclose(cost(tuple(retrieve(wanted, index).rows)), cost(best))


def test_the_actors_own_footage_is_found_again() -> None:
    index = an_index(40)
    assert np.array_equal(retrieve(wanting(index.points), index).rows, np.arange(40))


def test_following_the_footage_is_free_and_jumping_is_not() -> None:
    index = an_index(6)
    joins = retrieval._joins(
        np.arange(6), np.arange(6), retrieval._join_traits(index), np.append(index.follows(), False)
    )
    assert joins[2, 3] == 0
    assert joins[2, 5] > 0


def test_another_mouth_in_its_place_is_like_it() -> None:
    index = an_index(60)
    index.points[20], index.tone[20] = index.points[10] + 1e-4, 0.5  # as good a mouth, in another light
    index.points[30, 0, 0] = index.points[10, 0, 0] + 0.01
    index.points[30, 1:] = index.points[10, 1:]
    choice = retrieve(wanting(index.points[10:11]), index)
    assert choice.rows[0] == 10
    assert list(choice.alternatives[0]).index(30) < list(choice.alternatives[0]).index(20)
    assert sorted(choice.alternatives[0]) == sorted(set(choice.alternatives[0]))


def opened(gap: float) -> np.ndarray:
    """(51, 3) of a mouth with lips so far apart."""
    points = np.zeros((51, 3), np.float32)
    for upper, lower in mouth.GAP_PAIRS:
        points[upper, 1], points[lower, 1] = -0.5 * gap, 0.5 * gap
    return points


def test_no_inside_is_drawn_where_one_was_filmed() -> None:
    index = an_index(2)
    index.points[:] = opened(0.001), opened(0.065)
    wanted = opened(0.032)  # nearer to the shut one, which can show no inside

    def cost_of_opening(own: float) -> float:
        return float(
            retrieval._unary(wanting(wanted[None]), replace(index, points=opened(own)[None].repeat(2, 0)))[0, 0]
        )

    assert retrieve(wanting(wanted[None]), index).rows[0] == 1
    assert cost_of_opening(0.001) - cost_of_opening(0.063) > 0.5  # as far away as each other


def test_a_blurred_mouth_is_not_shown_for_a_little_shape() -> None:
    index = replace(an_index(3), sharpness=np.array([0.1, 1, 1], np.float32))
    index.points[:] = opened(0.05), opened(0.084), opened(0.3)
    assert retrieve(wanting(opened(0.05)[None]), index).rows[0] == 1


def turned(degrees: float) -> np.ndarray:
    """(3, 3) rotation of a head that looks that far to one side."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)


def test_what_a_turned_head_hides_is_not_shown() -> None:
    wide = opened(0.06)
    index = an_index(2)
    index.points[:] = wide, 0.4 * wide  # the first one is what is wanted, the second opens less

    def chosen(head: float, likeness: float, other: float) -> int:
        index.rotation[:] = turned(likeness), turned(other)
        return int(retrieve(Wanted(wide[None], turned(head)[None], np.array([200.0]), shot=0), index).rows[0])

    assert chosen(2, 15, 0) == 0  # thirteen degrees are little before the camera
    for side in (1, -1):
        assert chosen(27 * side, 40 * side, 29 * side) == 1  # and hide the far corner of a mouth near its rim


def test_a_mouth_of_the_same_shot_is_preferred_but_not_at_any_price() -> None:
    index = an_index(2)
    index.points[:] = index.points[0]
    index.shot[:] = 0, 1
    for shot in (0, 1):
        assert int(retrieve(replace(wanting(index.points[:1]), shot=shot), index).rows[0]) == shot
    other = index.points[:1].copy()
    index.points[0, :, 1] += np.linspace(-0.1, 0.1, 51)
    assert int(retrieve(replace(wanting(other), shot=0), index).rows[0]) == 1


def test_the_tone_of_a_shot_is_of_its_own_frames() -> None:
    index = an_index(6)
    index.shot[:] = 0, 0, 0, 2, 2, 2
    index.tone[:] = np.arange(6)[:, None]
    assert index.shot_of(np.arange(0, 3)) == 0 and index.shot_of(np.arange(3, 40)) == 2
    assert index.shot_of(np.arange(60, 80)) == ELSEWHERE
    tone = index.tone_at(np.array([1, 2, 9]), 0)
    assert tone is not None and tone[:, 0].tolist() == [1, 2, 2]
    assert index.tone_at(np.array([1]), ELSEWHERE) is None
