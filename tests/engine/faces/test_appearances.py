"""Which appearances are of one person."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from tests.engine.faces.test_align import face

from lipsmith.engine.faces import appearances
from lipsmith.engine.faces.appearances import SAME, SAME_IN_SHOT, Appearance, Seen, persons
from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.identity import LENGTH
from lipsmith.engine.faces.points import KEPT


def seen_in(frames: Iterable[int], shot: int, who: float) -> Appearance:
    """Somebody at `who` on a line: distances are differences."""
    made = Appearance(Region(0, 0, 10, 0), -1, shot)
    for frame in frames:
        made.add(Seen(frame, 1.0, 0.0, 0.0, shot, 1.0), face())
    look = np.zeros(LENGTH, np.float32)
    look[0] = who
    made.recognise(look)
    return made


def grouped(*given: Appearance) -> list[list[int]]:
    """The shots of each person."""
    return [sorted(each.shot for each in person.appearances) for person in persons(given)]


def test_who_comes_back_after_a_cut_is_the_same() -> None:
    given = seen_in(range(9), 0, 0.0), seen_in(range(9, 15), 1, 2.0), seen_in(range(15, 20), 2, 0.1)
    assert grouped(*given) == [[0, 2], [1]]


def test_he_joins_whom_he_is_most_like() -> None:
    given = seen_in(range(9), 0, 0.0), seen_in(range(10, 18), 1, 0.6), seen_in(range(20, 25), 2, 0.4)
    assert grouped(*given) == [[0], [1, 2]]


def test_nobody_is_seen_beside_himself() -> None:
    """Twins stay two; so does a face that a mirror shows."""
    assert grouped(seen_in(range(9), 0, 0.0), seen_in(range(8, 12), 0, 0.0)) == [[0], [0]]


def test_within_a_shot_less_is_asked_of_one_who_comes_back() -> None:
    between = (SAME + SAME_IN_SHOT) / 2
    assert grouped(seen_in(range(9), 0, 0.0), seen_in(range(80, 85), 0, between)) == [[0, 0]]
    assert grouped(seen_in(range(9), 0, 0.0), seen_in(range(80, 85), 1, between)) == [[0], [1]]


def test_looks_become_rarer_and_their_mean_is_kept() -> None:
    made = Appearance(Region(0, 0, 10, 0), -1, 0)
    still, other = np.zeros((18, 32, 3), np.float32), np.full((18, 32, 3), 7, np.float32)
    assert [n for n in range(1, 40) if made.wants_look(still)] == [1, 2, 4, 8, 16, 32]
    assert [made.wants_look(view) for view in (still, other, other, still)] == [False, True, False, True]
    for value in (1.0, 2.0, 6.0):
        made.recognise(np.full(LENGTH, value, np.float32))
    assert made.identity == pytest.approx(np.full(LENGTH, 3.0))


def test_a_person_is_the_mean_of_all_looks() -> None:
    twice, once = seen_in(range(9), 0, 0.0), seen_in(range(20, 25), 1, 0.3)
    twice.recognise(np.zeros(LENGTH, np.float32))
    (person,) = persons([once, twice])
    assert person.identity[0] == pytest.approx(0.1)


@pytest.mark.parametrize("count", [1, 511, 512, 513])
def test_points_come_back_without_the_room_that_is_left(count: int) -> None:
    made = seen_in(range(count), 0, 0.0)
    points = np.concatenate(made.closed())
    assert points.shape == (count, len(KEPT), 3)
    assert np.array_equal(np.concatenate(made.closed()), points)
    assert np.array_equal(points[-1], face()[list(KEPT)].astype(np.float32))
    assert len(made.blocks) == -(-count // appearances._BLOCK_ROWS)
