"""Forced alignment: the best path is found, in a band as without one; a foreign script is told from the right one."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from lipsmith.engine.speech import audio, features, script
from lipsmith.engine.speech.phonemes import BLANK, PHONEMES
from lipsmith.weights import WeightStore

JFK = "And so, my fellow Americans: ask not what your country can do for you, ask what you can do for your country."
LJ = "Printing, in the only sense with which we are at present concerned, differs from most if not from all the arts."


def heard(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(PHONEMES) * 0.05, rows)


def by_hand(tokens: np.ndarray, probabilities: np.ndarray) -> float:
    """Log probability of the best CTC path, by trying them all."""
    symbols = [BLANK, *dict.fromkeys(tokens.tolist())]
    best = -np.inf
    for path in product(symbols, repeat=len(probabilities)):
        collapsed = [s for i, s in enumerate(path) if s != BLANK and (i == 0 or path[i - 1] != s)]
        if collapsed == tokens.tolist():
            best = max(best, sum(np.log(max(probabilities[i, s], 1e-6)) for i, s in enumerate(path)))
    return best


@pytest.mark.parametrize("tokens", [[10, 20], [10, 10], [31, 7, 31]])
@pytest.mark.parametrize("seed", range(3))
def test_the_best_path_is_the_best_of_all(tokens: list[int], seed: int) -> None:
    probabilities = heard(7, seed)
    numbers = np.array(tokens)
    states = np.full(2 * len(tokens) + 1, BLANK)
    states[1::2] = numbers
    log = np.log(np.maximum(probabilities, 1e-6))
    path = script._best_path(states, log)
    assert (np.diff(path) >= 0).all()
    assert set(path.tolist()) >= set(range(1, len(states), 2))
    assert log[np.arange(7), states[path]].sum() == pytest.approx(by_hand(numbers, probabilities))


def test_a_band_wide_enough_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(7, 100, 40)
    rows = np.sort(rng.choice(200, 40, replace=False))
    probabilities = np.full((200, PHONEMES), 0.1 / PHONEMES)
    probabilities[:, BLANK] = 0.9
    probabilities[rows, tokens] = 0.95
    whole = script.align(tokens, probabilities)
    monkeypatch.setattr(script, "_BAND", 25)
    assert np.array_equal(script.align(tokens, probabilities).rows, whole.rows)
    assert np.array_equal(whole.rows, rows)


def test_a_sound_too_short_fits_nothing() -> None:
    found = script.align(np.arange(7, 40), heard(20, 0))
    assert not found.fits and len(found.rows) == 0


def test_the_right_script_fits_and_a_foreign_one_does_not(store: WeightStore, clips: Path) -> None:
    listener = features.load_listener(store, torch.device("cpu"))
    voice = audio.load(clips / "audio/en_jfk_11s.flac")
    probabilities = features.hear_phonemes(voice, listener)
    right = script.align(script.pronounce(JFK), probabilities)
    assert right.fits
    assert not script.align(script.pronounce(LJ), probabilities).fits
    shut = np.flatnonzero(right.closing(len(probabilities))) / features.ROWS_PER_SECOND
    assert len(shut) == 2  # "my", "Americans": no other p, b or m is in the sentence
    assert shut == pytest.approx([1.08, 1.78], abs=0.06)
