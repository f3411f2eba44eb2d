"""Are lips and sound together? Offset and confidence from the file alone.

Takes speech features and measured mouths, gives by how much the sound is late and how sure that is. A linear map,
fitted by `training/motion.py`, says from the speech what opening and width to expect; the lag of best correlation
with the mouths that are seen is the offset. Knows neither motion model nor renderer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.faces.measure import Measured, closed_mouth
from lipsmith.engine.speech.features import ROWS_PER_SECOND, SpeechFeatures

SCORER_FILE = Path(__file__).with_name("sync.npz")
SEARCH_SECONDS = 0.6  # +-15 frames at 25 fps
STEP_SECONDS = 0.01
_SPREAD = (-4, -2, 0, 2, 4)  # rows of context
_HIDDEN = slice(0, 288)  # blocks 1 and 2
_RIDGE = 1e4
_LEAST_ROWS = 20


@dataclass(frozen=True)
class Offset:
    """Positive: the sound comes after the lips."""

    offset_seconds: float
    correlation: float  # at the best lag, mean of opening and width
    confidence: float  # the peak above the median of all lags, in deviations of the lags beyond +-0.2 s

    def frames(self, frame_rate: float) -> int:
        return round(self.offset_seconds * frame_rate)


NOTHING = Offset(0.0, 0.0, 0.0)


def lips(displacements: np.ndarray) -> np.ndarray:
    """(N, 2) opening (mean of the five inner gaps) and width, face widths."""
    return np.stack([mouth.gaps(displacements).mean(-1), mouth.width(displacements)], -1)


def context(features: SpeechFeatures) -> np.ndarray:
    """(T, 5 * 288) hidden states around each row, mean taken out."""
    hidden = features.values[:, _HIDDEN]
    hidden = hidden - hidden.mean(0)
    reach = max(_SPREAD)
    padded = np.pad(hidden, ((reach, reach), (0, 0)), mode="edge")
    return np.concatenate([padded[reach + s : reach + s + len(hidden)] for s in _SPREAD], 1)


def ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(inputs, 2) weights of the scorer."""
    y = (y - y.mean(0)) / y.std(0)
    x = x.astype(np.float64)
    return np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y).astype(np.float32)


def load_scorer(path: Path = SCORER_FILE) -> np.ndarray:
    with np.load(path) as stored:
        return stored["weights"]


def expected(features: SpeechFeatures, weights: np.ndarray) -> np.ndarray:
    """(T, 2) opening and width that the speech suggests, arbitrary units."""
    return context(features) @ weights


def best_offset(heard: np.ndarray, seen: np.ndarray, seconds: np.ndarray) -> Offset:
    """Offset between (T, 2) expected rows and (N, 2) seen lips at (N,) times; `NOTHING` where too few frames."""
    if len(seen) < _LEAST_ROWS or len(heard) < _LEAST_ROWS:
        return NOTHING
    lags = np.arange(-SEARCH_SECONDS, SEARCH_SECONDS + 1e-9, STEP_SECONDS)
    rows = np.arange(len(heard)) / ROWS_PER_SECOND
    scores = np.array([agreement(heard, rows, seen, seconds + lag) for lag in lags])
    best = int(np.argmax(scores))
    far = scores[np.abs(lags - lags[best]) > 0.2]
    spread = float(far.std()) + 1e-6
    return Offset(float(lags[best]), float(scores[best]), float((scores[best] - np.median(scores)) / spread))


def agreement(heard: np.ndarray, rows: np.ndarray, seen: np.ndarray, seconds: np.ndarray) -> float:
    """Mean correlation over opening and width of (T, 2) rows at their (T,) times with (N, 2) lips at (N,) times."""
    total = 0.0
    for column in range(seen.shape[1]):
        said, did = np.interp(seconds, rows, heard[:, column]), seen[:, column]
        if said.std() < 1e-9 or did.std() < 1e-9:
            continue
        total += float(np.corrcoef(said, did)[0, 1])
    return total / seen.shape[1]


@dataclass(frozen=True)
class SyncReport:
    """Lips against sound in one file, main face."""

    offset_frames: int  # positive: the sound comes after the lips
    offset_seconds: float
    correlation: float
    confidence: float


def score(heard: SpeechFeatures, measured: Measured, seconds: np.ndarray) -> Offset:
    """Offset between a sound's features and a measured face seen at (N,) times of that sound."""
    if measured.usable.sum() < _LEAST_ROWS:
        return NOTHING
    rest = closed_mouth(measured.points[measured.usable])
    seen = lips(measured.points[measured.usable] - rest)
    return best_offset(expected(heard, load_scorer()), seen, seconds[measured.usable])
