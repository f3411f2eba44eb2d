"""Synthetic voices for training: what they say is laid on the lips that said it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import respoken
import torch
from respoken import Phrase, Transcript
from voices import Heard, at_tempo

from lipsmith.demo import MATERIAL
from lipsmith.engine.speech import audio
from lipsmith.engine.speech.audio import Waveform
from lipsmith.engine.speech.features import SIZE, Listener, SpeechFeatures, load_listener
from lipsmith.weights import WeightStore


@pytest.fixture(scope="module")
def listener(store: WeightStore) -> Listener:
    return load_listener(store, torch.device("cpu"))


@pytest.fixture(scope="module")
def sentence(store: WeightStore) -> Waveform:
    material = WeightStore(store.folder / "demo", artefacts=MATERIAL)
    return audio.load(material.path("voice")).cut(0, 2.4)


def test_warping_finds_a_stretch_of_time() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (60, 32))
    rows = np.stack([np.convolve(column, np.hanning(7), "same") for column in rows.T], 1)
    true = np.concatenate([np.linspace(0, 20, 31)[:-1], np.linspace(20, 59, 30)])
    new = np.stack([np.interp(true, np.arange(60), column) for column in rows.T], 1)
    found, distance = respoken.warped(new, rows)
    assert np.abs(found - true).max() <= 1
    assert distance.mean() < 0.1
    assert (np.diff(found) >= -0.5).all()


def test_other_words_are_far_away() -> None:
    a, b = (np.random.default_rng(seed).normal(0, 1, (50, 64)) for seed in (1, 2))
    assert respoken.warped(a, b)[1].mean() > respoken._DIFFERENT


def test_lips_are_known_only_where_they_were_seen() -> None:
    moments = np.arange(10) * 0.2
    nothing = SpeechFeatures(np.zeros((10, SIZE), np.float32), np.zeros(10), np.zeros(10))
    sure = np.ones(10, bool)
    sure[4] = False
    seconds = np.arange(0.3, 1.5, 0.04)
    path, known = Heard(nothing, moments, sure).lips(seconds, 2 * seconds[:, None], seconds < 1.1)
    assert known.tolist() == [False, False, True, True, False, True, False, False, False, False]
    assert path[known, 0] == pytest.approx(2 * moments[known])


def test_a_voice_at_another_pace_is_laid_where_the_words_were(
    sentence: Waveform, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The synthesiser is the speaker himself, hurried: every moment is known beforehand."""
    monkeypatch.setattr(respoken, "_synthesiser", lambda *_: lambda _: at_tempo(sentence.samples, 1.2))
    monkeypatch.setattr(respoken, "_PACE", (0.8, 0.8001))
    said = Transcript("en", (Phrase("anything", 0.0, 2.4),))
    (voice,) = respoken.respoken(sentence, said, 1, listener, np.random.default_rng(0))
    assert voice.sure.mean() > 0.8
    true = np.arange(len(voice)) / 50 / 0.8
    assert np.median(np.abs(voice.moments - true)[voice.sure]) < 0.025


def test_words_that_were_misunderstood_teach_nothing(
    sentence: Waveform, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    backwards = sentence.samples[::-1].copy()
    monkeypatch.setattr(respoken, "_synthesiser", lambda *_: lambda _: backwards)
    said = Transcript("en", (Phrase("anything", 0.0, 2.4),))
    assert respoken.respoken(sentence, said, 2, listener, np.random.default_rng(0)) == []


@pytest.mark.parametrize("program", ["espeak-ng", "flite"])
def test_the_programs_speak(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    monkeypatch.setattr(respoken, "_FLITE_SHARE", float(program == "flite"))
    samples = respoken._synthesiser("en", np.random.default_rng(0))("the mill by the river")
    assert 0.5 < len(samples) / 16_000 < 4
    assert np.abs(samples).max() > 0.05


def test_a_language_nobody_speaks_is_silence() -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    assert len(respoken._synthesiser("xx", np.random.default_rng(0))("words")) == 0
