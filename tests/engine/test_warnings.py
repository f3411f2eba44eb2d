"""What a dub says of itself in words: what a viewer may notice, and nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lipsmith.engine import rehearsal
from lipsmith.engine.render.performance import Tally

SEEN: Any = SimpleNamespace(spec=SimpleNamespace(warnings=()), video=SimpleNamespace(duration_seconds_from_content=4.0))


def told(tally: Tally) -> str:
    return " ".join(rehearsal._warnings(SEEN, (), tally, 0.0, laid_inside=False))


@pytest.mark.parametrize(("drawn", "said"), [(0, ""), (2, ""), (3, "In 3 frames the mouth is opened wider")])
def test_insides_are_spoken_of_where_they_are_more_than_a_fiftieth(drawn: int, said: str) -> None:
    words = told(Tally(dubbed=set(range(100)), drawn=set(range(drawn))))
    assert words.startswith(said) and bool(words) == bool(said)


def test_one_frame_is_one() -> None:
    assert told(Tally(dubbed=set(range(100)), shielded={7})).startswith("In 1 frame something lies before")


def test_nothing_dubbed_is_said() -> None:
    assert told(Tally()).startswith("No frame was dubbed")
