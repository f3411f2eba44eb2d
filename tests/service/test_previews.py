"""What the worker notes of a preview: its shape as shown, its frames' times, and where the mouths are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lipsmith.config import Settings
from lipsmith.engine.progress import silent
from lipsmith.service.previews import PROXY
from lipsmith.worker import tasks

FRAMES = 12


def _turned(source: Path, out: Path, turns: int, times: list[int] | None = None) -> Path:
    """The first frames of a film, stored turned and tagged to be shown upright again; `times` in 1/25 s."""
    with av.open(str(source)) as given, av.open(str(out), "w") as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame, _ in zip(given.decode(video=0), range(FRAMES))]  # noqa: B905
        pictures = [np.ascontiguousarray(np.rot90(picture, -turns)) for picture in pictures]
        stream = file.add_stream("libx264", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"preset": "ultrafast", "crf": "15"}
        stream.codec_context.time_base = stream.time_base = Fraction(1, 25)
        if turns:
            stream.set_display_rotation(90 * turns)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = times[number] if times else number, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out


def _previewed(shot: Path, folder: Path) -> dict:
    settings = Settings.from_environment()
    folder.mkdir()
    tasks.prepare({"shot": str(shot), "folder": str(folder)}, settings, silent)
    given = {"source": str(shot), "folder": str(folder), "file": PROXY, "footage": str(folder / "footage")}
    return tasks.preview(given, settings, silent)


@pytest.fixture(scope="module")
def upright(talking_shot: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("upright")
    return _previewed(_turned(talking_shot, folder / "shot.mp4", 0), folder / "made")


def test_upright(upright: dict) -> None:
    assert (upright["width"], upright["height"], upright["frames"]) == (1280, 720, FRAMES)
    assert upright["frame_times"] == {"first": 0.0, "each": pytest.approx(0.04)}
    _, x, y, width = upright["mouths"][0]["at"][0]
    assert 0.4 < x < 0.6 and 0.5 < y < 0.75 and 0.15 < width < 0.3  # the portrait fills the middle


@pytest.mark.parametrize("turns", [1, 3])
def test_a_turned_film_is_noted_as_it_is_shown(talking_shot: Path, upright: dict, tmp_path: Path, turns: int) -> None:
    told = _previewed(_turned(talking_shot, tmp_path / "shot.mp4", turns), tmp_path / "made")
    assert (told["width"], told["height"]) == (1280, 720)
    assert np.allclose(told["mouths"][0]["at"][0], upright["mouths"][0]["at"][0], atol=0.02)


def test_irregular_times_are_listed(talking_shot: Path, tmp_path: Path) -> None:
    times = [0, 1, 2, 5, 6, 7, 8, 12, 13, 14, 15, 16]
    shot = _turned(talking_shot, tmp_path / "shot.mp4", 0, times)
    given = {"source": str(shot), "folder": str(tmp_path), "file": PROXY, "footage": None}
    told = tasks.preview(given, Settings.from_environment(), silent)
    assert np.allclose(told["frame_times"]["all"], np.array(times) / 25, atol=1e-3)
    assert told["mouths"] == []
