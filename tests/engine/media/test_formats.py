"""docs/formats.md tells the truth: every kind of file goes through and comes back as the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import matrix


@pytest.fixture(scope="module")
def fates(tmp_path_factory: pytest.TempPathFactory) -> list[matrix.Fate]:
    return list(matrix.all_fates(tmp_path_factory.mktemp("matrix")))


def test_there_are_enough_kinds() -> None:
    assert len(matrix.CASES) >= 60
    assert len({case.name for case in matrix.CASES}) == len(matrix.CASES)


def test_the_page_is_what_comes_out(fates: list[matrix.Fate]) -> None:
    """`python -m tests.matrix` writes it anew; look at what changed before committing."""
    assert matrix.page(fates) == Path(matrix.PAGE).read_text()


def test_nothing_unexplained_differs(fates: list[matrix.Fate]) -> None:
    found = {one.case.name: [d for d in one.differences if not d.explained] for one in fates}
    assert {name: differences for name, differences in found.items() if differences} == {}


def test_nothing_is_given_up(fates: list[matrix.Fate]) -> None:
    assert {one.case.name: one.told for one in fates if one.told} == {}
