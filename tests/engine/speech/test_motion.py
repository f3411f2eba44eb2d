"""Motion: the gate, and answers that do not depend on how the sound was cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lipsmith.engine import mouth
from lipsmith.engine.mouth import MouthBasis
from lipsmith.engine.speech import motion
from lipsmith.engine.speech.audio import SAMPLE_RATE, Waveform
from lipsmith.engine.speech.features import SIZE, Along, SpeechFeatures


@pytest.fixture(scope="module")
def model() -> motion.MotionModel:
    return motion.MotionModel(torch.device("cpu"))


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)


def phonemes(rows: int, first: int, last: int) -> np.ndarray:
    """(rows,) how surely one is heard: a phoneme every 100 ms between two rows."""
    spoken = np.zeros(rows)
    spoken[first:last:5] = 0.9
    return spoken


def test_lips_meet_at_a_p_and_nowhere_else() -> None:
    basis = MouthBasis.load()
    opening = mouth.gap(basis.displacements(np.eye(basis.size, dtype=np.float32)))
    open_mouth = np.repeat((0.05 * opening / (opening @ opening))[None], 60, 0)
    closing = np.zeros(60)
    closing[30] = 0.9
    gap = mouth.gap(basis.displacements(motion.shut(open_mouth, closing, basis)))
    assert gap[26] < 0.001  # 80 ms before the peak
    assert gap[:20] == pytest.approx(0.05, abs=1e-4)
    assert gap[35:] == pytest.approx(0.05, abs=1e-4)


def test_lips_meet_where_the_path_dips() -> None:
    """A frame beside the usual moment, where the mouth is on its way there already."""
    basis = MouthBasis.load()
    opening = mouth.gap(basis.displacements(np.eye(basis.size, dtype=np.float32)))
    wanted = 0.05 - 0.02 * np.exp(-0.5 * ((np.arange(60) - 28) / 1.5) ** 2)
    closing = np.zeros(60)
    closing[29:32] = (0.5, 0.9, 0.5)
    path = wanted[:, None] * opening / (opening @ opening)
    gap = mouth.gap(basis.displacements(motion.shut(path, closing, basis)))
    assert int(np.argmin(gap)) == 28
    assert gap[28] < 0.001
    assert gap[24] == pytest.approx(wanted[24], abs=1e-4)


def test_a_mouth_does_not_rest_between_two_words() -> None:
    pauses = {}
    for seconds in (0.4, 1.2):
        sound = np.concatenate([voice(1), np.zeros(round(seconds * SAMPLE_RATE), np.float32), voice(1)])
        rows = len(sound) // 320 + 1
        spoken = np.zeros(rows)
        spoken[:50:5], spoken[rows - 50 :: 5] = 0.9, 0.9
        pauses[seconds] = motion.gate(Waveform(sound), spoken)[50 : rows - 50].min()
    assert pauses[0.4] == pytest.approx(1)
    assert pauses[1.2] == 0


def test_a_shut_mouth_is_not_opened_for_a_p() -> None:
    basis = MouthBasis.load()
    still = np.zeros((20, basis.size), np.float32)
    opened = mouth.gap(basis.displacements(motion.shut(still, np.ones(20), basis)))
    assert opened.max() <= 1e-6


def test_silence_shuts_the_gate_and_speech_opens_it() -> None:
    quiet = np.zeros(SAMPLE_RATE, np.float32)
    gate = motion.gate(Waveform(np.concatenate([quiet, voice(1), quiet])), phonemes(151, 50, 100))
    assert gate[:35].max() == 0
    assert gate[55:95].min() == pytest.approx(1)
    assert gate[-30:].max() == 0


def test_the_gate_opens_before_the_sound() -> None:
    gate = motion.gate(Waveform(np.concatenate([np.zeros(SAMPLE_RATE, np.float32), voice(1)])), phonemes(101, 50, 100))
    assert gate[50] > 0.9


def test_loud_noise_without_phonemes_leaves_the_gate_shut() -> None:
    assert motion.gate(Waveform(voice(2)), np.zeros(101)).max() == 0


def test_no_sound_no_gate() -> None:
    assert motion.gate(Waveform(np.zeros(16000, np.float32)), phonemes(51, 0, 51)).max() == 0


def test_an_answer_does_not_depend_on_what_is_far_away(model: motion.MotionModel) -> None:
    values = np.random.default_rng(0).normal(size=(4000, SIZE)).astype(np.float32)
    whole, part = model.coefficients(values), model.coefficients(values[1000:2000])
    reach = motion.REACH
    assert np.allclose(whole[1000 + reach : 2000 - reach], part[reach:-reach], atol=1e-4)


@pytest.mark.parametrize("pieces", [(400, 400, 200), (1, 5, 30, 964), (1000,)])
def test_it_says_the_same_of_pieces_as_of_the_whole(model: motion.MotionModel, pieces: tuple[int, ...]) -> None:
    values = np.random.default_rng(1).normal(size=(1000, SIZE)).astype(np.float32)
    listening = motion.Listening(model)
    for part in np.split(values, np.cumsum(pieces)[:-1]):
        listening.push(SpeechFeatures(part, *np.zeros((2, len(part)), np.float32)))
    assert np.allclose(listening.finish().coefficients, model.coefficients(values), atol=1e-5)


def test_a_net_is_asked_for_every_row_once_and_for_few_at_a_time() -> None:
    asked: list[int] = []

    def sums(values: np.ndarray) -> np.ndarray:
        asked.append(len(values))
        return np.convolve(values[:, 0], np.ones(7))[3:-3, None]

    values = np.random.default_rng(2).normal(size=(3000, SIZE))
    along = Along(sums, 3)
    for part in np.split(values, range(50, 3000, 50)):
        along.push(part)
    assert np.allclose(along.finish(), sums(values))
    assert max(asked[:-1]) <= 56


def test_the_mouth_rests_in_silence_and_after_the_voice(model: motion.MotionModel) -> None:
    waveform = Waveform(np.zeros(SAMPLE_RATE, np.float32))
    values = np.random.default_rng(0).normal(size=(51, SIZE)).astype(np.float32)
    heard = motion.Heard(model.coefficients(values), *np.ones((2, 51), np.float32))
    path = motion.speak(waveform, heard, np.linspace(0, 3, 75))
    assert np.abs(path.coefficients).max() == 0
