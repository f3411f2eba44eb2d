"""The sync scorer: finds what was moved, keeps to frames that are there, and says nothing of too little."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from lipsmith.engine.faces.measure import closed_mouth
from lipsmith.engine.footage import Footage
from lipsmith.engine.media import decode
from lipsmith.engine.quality import sync
from lipsmith.engine.quality.sync import Scorer
from lipsmith.engine.speech import audio
from lipsmith.engine.speech.features import ROWS_PER_SECOND, extract, load_listener
from lipsmith.weights import WeightStore

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Talker:
    heard: np.ndarray
    seen: np.ndarray
    seconds: np.ndarray


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return sync.load_scorer()


@pytest.fixture(scope="module")
def talker(seen: Footage, store: WeightStore, scorer: Scorer) -> Talker:
    measured = seen.main.measured
    points = measured.points[measured.usable]
    seconds = (seen.pts[measured.indices] - seen.pts[0])[measured.usable] * float(seen.video.time_base)
    sound = audio.gather(decode.audio(seen.spec.path, None, audio.SAMPLE_RATE))
    heard = scorer.hear(extract(sound, load_listener(store, CPU)).values)
    return Talker(heard, sync.lips(points - closed_mouth(points)), seconds)


@pytest.mark.parametrize("moved_seconds", [-0.2, -0.04, 0.12, 0.3])
def test_a_sound_that_was_moved_is_found(talker: Talker, scorer: Scorer, moved_seconds: float) -> None:
    before = sync.best_offset(talker.heard, talker.seen, talker.seconds, scorer)
    after = sync.best_offset(talker.heard, talker.seen, talker.seconds - moved_seconds, scorer)
    assert abs(before.offset_seconds) < 0.1
    assert after.offset_seconds - before.offset_seconds == pytest.approx(moved_seconds, abs=0.02)
    assert after.confidence > 4


def test_another_sound_is_not_believed(talker: Talker, scorer: Scorer) -> None:
    backwards = sync.best_offset(talker.heard[::-1].copy(), talker.seen, talker.seconds, scorer)
    matched = sync.best_offset(talker.heard, talker.seen, talker.seconds, scorer)
    assert backwards.correlation < 0.7 * matched.correlation
    assert scorer.agreement(talker.heard, talker.seen, talker.seconds + matched.offset_seconds) > 1
    assert scorer.agreement(talker.heard[::-1].copy(), talker.seen, talker.seconds + matched.offset_seconds) < 1


def test_frames_that_are_missing_count_for_nothing(talker: Talker, scorer: Scorer) -> None:
    kept = (talker.seconds < 1) | (talker.seconds > 2)
    rows, points = scorer.see(talker.seen[kept], talker.seconds[kept])
    assert len(rows) == len(points)
    assert not ((rows > 1.1 * ROWS_PER_SECOND) & (rows < 1.9 * ROWS_PER_SECOND)).any()
    assert np.allclose((points**2).sum(1), 1, atol=1e-4)


def test_of_a_few_frames_nothing_is_said(talker: Talker, scorer: Scorer) -> None:
    assert sync.best_offset(talker.heard, talker.seen[:19], talker.seconds[:19], scorer) is sync.NOTHING


@pytest.mark.parametrize("place", [-0.4, 0.0, 0.25])
def test_a_peak_between_rows_is_found(place: float) -> None:
    scores = -((np.arange(61) - 30 - place) ** 2)
    assert sync._between(scores, 30) == pytest.approx(place)
