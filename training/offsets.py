"""A first guess of how late each training clip's sound is: a ridge regression from speech to opening and width.

Takes talkers and features, gives offsets. Fitted on the clips themselves, whose own offsets it averages out; what it
finds is what the nets of `motion.py` and `sync.py` are trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from footage import Talker

from lipsmith.engine import mouth
from lipsmith.engine.speech.features import ROWS_PER_SECOND, SpeechFeatures

Spoken = tuple[Talker, SpeechFeatures]  # somebody and how he sounds
LEAST_FIT = 0.2  # correlation below which a training clip does not fit its sound
_SEARCH_SECONDS, _STEP_SECONDS = 0.6, 0.01
_SPREAD = (-4, -2, 0, 2, 4)  # rows of context
_HIDDEN = slice(0, 288)  # the phoneme net's blocks 1 and 2
_RIDGE = 1e4


@dataclass(frozen=True)
class Fit:
    """How one clip's sound fits its lips."""

    offset_seconds: float  # by which the sound is late; 0 where nothing fits
    correlation: float  # at that offset, mean of opening and width


def fits(people: list[Spoken], judged: list[Spoken]) -> list[Fit]:
    """Those of `judged`, with weights learned from `people`."""
    xs, ys = [], []
    for person, sound in people:
        x = _context(sound)
        rows = np.clip(np.round(person.seconds * ROWS_PER_SECOND).astype(int), 0, len(x) - 1)
        xs.append(x[rows][person.usable])
        ys.append(_lips(person)[person.usable])
    weights = _ridge(np.concatenate(xs), np.concatenate(ys))
    return [_fit(person, _context(sound) @ weights) for person, sound in judged]


def _lips(person: Talker) -> np.ndarray:
    return np.stack([mouth.gaps(person.displacements).mean(-1), mouth.width(person.displacements)], -1)


def _context(features: SpeechFeatures) -> np.ndarray:
    hidden = features.values[:, _HIDDEN]
    hidden = hidden - hidden.mean(0)
    reach = max(_SPREAD)
    padded = np.pad(hidden, ((reach, reach), (0, 0)), mode="edge")
    return np.concatenate([padded[reach + s : reach + s + len(hidden)] for s in _SPREAD], 1)


def _ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    y = (y - y.mean(0)) / y.std(0)
    x = x.astype(np.float64)
    return np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y).astype(np.float32)


def _fit(person: Talker, heard: np.ndarray) -> Fit:
    seen, seconds = _lips(person)[person.usable], person.seconds[person.usable]
    rows = np.arange(len(heard)) / ROWS_PER_SECOND
    lags = np.arange(-_SEARCH_SECONDS, _SEARCH_SECONDS + 1e-9, _STEP_SECONDS)
    scores = [
        np.mean([np.corrcoef(np.interp(seconds + lag, rows, h), s)[0, 1] for h, s in zip(heard.T, seen.T, strict=True)])
        for lag in lags
    ]
    best = int(np.argmax(scores))
    return Fit(float(lags[best]) if scores[best] >= LEAST_FIT else 0.0, float(scores[best]))
