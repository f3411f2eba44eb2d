"""The report: one file that needs nothing else, true to its verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lipsmith.engine.media.frame import Box
from lipsmith.engine.quality.check import Verdict
from lipsmith.engine.quality.conformance import Difference
from lipsmith.engine.quality.fidelity import IDENTICAL_DB, ActorFidelity, Fidelity, Moment
from lipsmith.engine.quality.report import RenderFigures, figures, write_report
from lipsmith.engine.quality.syncnet import LipSync
from lipsmith.errors import OutputNotWritable


@pytest.fixture
def verdict(talking_shot: Path) -> Verdict:
    curve = np.linspace(0, 0.1, 50, dtype=np.float32)
    curve[20:25] = np.nan
    actor = ActorFidelity(
        actor=1,
        frames=50,
        mean_face_width_px=270.0,
        edited=True,
        mouth_psnr_db=24.0,
        sharpness_ratio=0.95,
        jerk_ratio=1.6,
        identity_similarity=0.93,
        closed_share_source=0.2,
        closed_share_dub=0.3,
        seam=0.8,
        opening_source=curve,
        opening_dub=curve[::-1],
        moments=(Moment(3, Box(540, 370, 730, 490)), Moment(40, Box(540, 370, 730, 490))),
    )
    return Verdict(
        source=talking_shot,
        dub=talking_shot,
        passed=False,
        differences=(Difference("video_pix_fmt", "pixel format <b>", "yuv420p", "yuv444p", explained=False),),
        pictures=None,
        fidelity=Fidelity(50, 25.0, IDENTICAL_DB, IDENTICAL_DB, 0, (actor,), ()),
        sync_source=None,
        sync_dub=None,
        lip_sync=LipSync(6.5, 7.25, 0, 40),
        warnings=("The voice holds no speech.",),
    )


def test_the_page_holds_pictures_curves_differences_and_warnings(verdict: Verdict, tmp_path: Path) -> None:
    render = RenderFigures(50, 48, 2, 5, 1, {"render": 2.0}, ("Short.",))
    write_report(verdict, tmp_path / "report.html", render=render)
    page = " ".join((tmp_path / "report.html").read_text().split())
    assert page.count('src="data:image/jpeg;base64,') == 2 * 4
    assert "1 unexplained difference" in page
    assert "pixel format &lt;b&gt;: yuv420p, now yuv444p" in page
    assert page.index("Short.") < page.index("The voice holds no speech.")
    assert page.count("<path d=") == 2
    assert "48 of 50" in page
    assert "LSE-C" in page and "7.25" in page
    assert not any(loaded in page for loaded in ("<script", "<link", "src=\"http", "url(", "@import"))  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_gap_in_the_face_breaks_the_curve(verdict: Verdict, tmp_path: Path) -> None:
    write_report(verdict, tmp_path / "report.html")
    line = (tmp_path / "report.html").read_text().split('<path d="')[1].split('"')[0]
    assert line.count("M") == 2


def test_figures_say_good_and_bad(verdict: Verdict) -> None:
    states = {figure.name: figure.state for figure in figures(verdict)}
    assert states["Sharpness, actor 1"] == "good"
    assert states["Steadiness, actor 1"] == "poor"
    assert states["Lips and sound"] == "unknown"
    assert states["Picture outside the faces"] == "good"


def test_without_a_face_the_page_is_still_written(verdict: Verdict, tmp_path: Path) -> None:
    faceless = replace(verdict, fidelity=replace(verdict.fidelity, actors=()), passed=True, differences=())
    write_report(faceless, tmp_path / "report.html")
    assert "everything else" in (tmp_path / "report.html").read_text()


def test_a_folder_that_is_not_there(verdict: Verdict, tmp_path: Path) -> None:
    with pytest.raises(OutputNotWritable, match="report"):
        write_report(verdict, tmp_path / "no" / "report.html")
