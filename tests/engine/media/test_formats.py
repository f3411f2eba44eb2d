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
    found = {one.case.name: one.verdict.unexplained for one in fates}
    assert {name: differences for name, differences in found.items() if differences} == {}


def test_nothing_is_given_up(fates: list[matrix.Fate]) -> None:
    assert {one.case.name: one.told for one in fates if one.told} == {}


def test_what_is_copied_is_identical(fates: list[matrix.Fate]) -> None:
    for one in fates:
        seen = one.verdict.pictures
        assert seen is not None
        assert seen.frames_identical >= one.copied, one.case.name
        assert seen.frames_drifted == 0 and seen.lost == (), one.case.name
        assert any(first <= matrix.EDITED[0] <= last for first, last in seen.changed), one.case.name
