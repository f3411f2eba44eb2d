"""The sample shot: its mouth does what the alignment says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lipsmith.demo import MATERIAL, Portrait, mouth_path, own_or_made
from lipsmith.engine.progress import silent
from lipsmith.errors import FileMissing, RequestError
from lipsmith.weights import WeightStore

ALIGNMENT = {
    "d": 1.2,
    "w": [{"w": [{"b": 0.0, "d": 0.4, "t": "SIL"}, {"b": 0.4, "d": 0.3, "t": "AA"}, {"b": 0.7, "d": 0.5, "t": "M"}]}],
}


def test_mouth_path_is_closed_in_silence_and_on_m_and_open_on_a_vowel() -> None:
    gap = mouth_path(ALIGNMENT)[:, 0]
    assert len(gap) == 30  # 1.2 s at 25 frames per second
    assert gap[0] < 0.005
    assert gap[13] > 0.08  # 0.52 s
    assert gap[24:].max() < 0.01


@pytest.fixture(scope="module")
def portrait(store: WeightStore) -> Portrait:
    pytest.importorskip("torch")
    material = WeightStore(store.folder / "demo", artefacts=MATERIAL)
    return Portrait.load(material.path("portrait"), store)


def test_speaking_changes_nothing_but_the_lower_face(portrait: Portrait) -> None:
    difference = np.abs(portrait.speaking(0.08, 0.0).astype(int) - portrait.picture).max(-1)
    eyes = int(portrait.points[33, 1])
    assert difference[:eyes].mean() < 1  # the warp fades out; hair is resampled by a fraction of a pixel
    assert difference[int(portrait.points[14, 1]), int(portrait.points[14, 0])] > 30


def test_own_files_are_taken_as_they_are(tmp_path: Path, store: WeightStore) -> None:
    video, audio = tmp_path / "a.mp4", tmp_path / "b.wav"
    with pytest.raises(RequestError, match="both"):
        own_or_made(tmp_path, video, None, store, print, silent)
    with pytest.raises(FileMissing):
        own_or_made(tmp_path, video, audio, store, print, silent)
    video.touch()
    audio.touch()
    assert own_or_made(tmp_path / "new", video, audio, store, print, silent) == (video, audio)
