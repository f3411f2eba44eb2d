"""Are lips and sound together? Offset and confidence from the file alone.

Takes speech features and measured mouths, gives by how much the sound is late and how sure that is. Small nets, made by
`training/sync.py`, bring what is heard and what is seen around each row of 20 ms into one space, where what belongs
together points the same way (as SyncNet does with pictures, Chung and Zisserman 2016). The lag at which they agree most
is the offset. Knows neither motion model nor renderer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lipsmith.engine import mouth
from lipsmith.engine.faces.measure import Measured, closed_mouth
from lipsmith.engine.mouth import MouthBasis
from lipsmith.engine.speech.features import ROWS_PER_SECOND, Along

SCORER_FILE = Path(__file__).with_name("sync.npz")
SEARCH_ROWS = 30  # +-0.6 s, 15 frames at 25 fps
_LEAST_ROWS = 20
_NEAR_SECONDS = 0.06  # a row further than this from every frame shows no lips
_FAR_ROWS = 10  # beyond 0.2 s from the peak, agreement is chance
# Mouths with voices that are not theirs: 95 % stay below the first, 95 % below the second (development speakers).
_SURE_CONFIDENCE, _SURE_CORRELATION = 4.0, 0.3
_WIDTH, _SPACE = 64, 32  # channels of the nets, directions of the space
_HEARD_KERNELS = (7, 5)
REACH = sum(size // 2 for size in _HEARD_KERNELS)  # rows of sound on each side that one row's point depends on


@dataclass(frozen=True)
class Offset:
    """Positive: the sound comes after the lips."""

    offset_seconds: float
    correlation: float  # mean cosine at the best lag
    confidence: float  # the peak above the median of all lags, in deviations of the lags beyond +-0.2 s

    @property
    def sure(self) -> bool:
        """Whether this may be believed."""
        return self.confidence >= _SURE_CONFIDENCE and self.correlation >= _SURE_CORRELATION

    def frames(self, frame_rate: float) -> int:
        return round(self.offset_seconds * frame_rate)


NOTHING = Offset(0.0, 0.0, 0.0)


def lips(displacements: np.ndarray) -> np.ndarray:
    """(N, 16) of one face: what the mouth does in the basis, five inner gaps and the width; his usual opening is 1."""
    gaps, width = mouth.gaps(displacements), mouth.width(displacements)
    usual = max(float(np.std(mouth.gap(displacements))), 1e-6)
    shape = MouthBasis.load().coefficients(displacements) * (mouth.UNIT_GAP_DEVIATION / usual)
    return np.concatenate([shape, gaps / usual, width[:, None] / usual], 1).astype(np.float32)


class Towers(nn.Module):
    """One net for what is heard, (B, heard, T), and one for what is seen, (B, seen, T); both give unit vectors."""

    def __init__(self, heard: int, seen: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heard = nn.Sequential(
            nn.Dropout(dropout),
            nn.Conv1d(heard, _WIDTH, 1),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv1d(_WIDTH, _WIDTH, _HEARD_KERNELS[0], padding="same"),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv1d(_WIDTH, _SPACE, _HEARD_KERNELS[1], padding="same"),
        )
        self.seen = nn.Sequential(
            nn.Conv1d(seen, _WIDTH, 9, padding=4),
            nn.GELU(),
            nn.Dropout(dropout / 2),
            nn.Conv1d(_WIDTH, _WIDTH, 5, padding=2),
            nn.GELU(),
            nn.Dropout(dropout / 2),
            nn.Conv1d(_WIDTH, _SPACE, 5, padding=2),
        )

    def hear(self, x: Tensor) -> Tensor:
        return F.normalize(self.heard(x), dim=1)

    def see(self, y: Tensor) -> Tensor:
        return F.normalize(self.seen(y), dim=1)


@dataclass(frozen=True)
class Scorer:
    """Several pairs of nets; their agreement is the mean of theirs."""

    mean: np.ndarray  # (944,) of speech features
    projection: np.ndarray  # (944, P): standardised features to their softly whitened main directions
    spread: np.ndarray  # (16,) usual deviation of what `lips` gives
    temperature: float  # by which a difference of agreement becomes log odds
    nets: tuple[Towers, ...]

    def hear(self, values: np.ndarray) -> np.ndarray:
        """(T, 944) features -> (T, D) float32: each row as a point of the space; a product of two is a mean cosine."""
        x = torch.from_numpy((values - self.mean) @ self.projection).T[None]
        with torch.inference_mode():
            return self._side_by_side([net.hear(x) for net in self.nets])

    def see(self, seen: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(R,) rows of the sound and (R, D) what (N, 16) lips at (N,) of its seconds show there."""
        rows = np.arange(np.ceil(seconds[0] * ROWS_PER_SECOND), np.floor(seconds[-1] * ROWS_PER_SECOND) + 1)
        at = rows / ROWS_PER_SECOND
        y = np.stack([np.interp(at, seconds, column) for column in seen.T]) / self.spread[:, None]
        y = torch.from_numpy((y - y.mean(1, keepdims=True))[None].astype(np.float32))
        with torch.inference_mode():
            points = self._side_by_side([net.see(y) for net in self.nets])
        after = np.clip(np.searchsorted(seconds, at), 1, len(seconds) - 1)
        near = np.minimum(np.abs(at - seconds[after - 1]), np.abs(seconds[after] - at)) <= _NEAR_SECONDS
        return rows[near].astype(int), points[near]

    def scores(self, heard: np.ndarray, seen: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """(61,) mean cosines at lags of -30 to 30 rows: between sound `lag` rows later and (N, 16) lips at (N,)."""
        rows, points = self.see(seen, seconds)
        found = np.zeros(2 * SEARCH_ROWS + 1)
        for number, lag in enumerate(range(-SEARCH_ROWS, SEARCH_ROWS + 1)):
            at = rows + lag
            inside = (at >= 0) & (at < len(heard))
            found[number] = float((heard[at[inside]] * points[inside]).sum()) / max(len(rows), 1)
        return found

    def agreement(self, heard: np.ndarray, seen: np.ndarray, seconds: np.ndarray) -> float:
        """Log odds that sound and lips belong together as they stand, against the lags around."""
        odds = self.temperature * self.scores(heard, seen, seconds)
        return float(odds[SEARCH_ROWS] - np.log(np.exp(odds - odds.max()).mean()) - odds.max())

    def _side_by_side(self, points: list[Tensor]) -> np.ndarray:
        return (torch.cat(points, 1)[0].T / len(points) ** 0.5).contiguous().numpy()


@lru_cache(maxsize=1)
def load_scorer(path: Path = SCORER_FILE) -> Scorer:
    with np.load(path) as stored:
        projection, spread = stored["projection"].astype(np.float32), stored["spread"]
        nets = []
        for number in range(int(stored["nets"])):
            net = Towers(projection.shape[1], len(spread))
            begins = f"net{number}."
            given = {name: stored[name] for name in stored.files if name.startswith(begins)}
            net.load_state_dict(
                {name[len(begins) :]: torch.from_numpy(v.astype(np.float32)) for name, v in given.items()}
            )
            nets.append(net.eval())
        return Scorer(stored["mean"], projection, spread, float(stored["temperature"]), tuple(nets))


def best_offset(heard: np.ndarray, seen: np.ndarray, seconds: np.ndarray, scorer: Scorer) -> Offset:
    """Offset between (T, D) of a sound and (N, 16) lips at (N,) of its seconds; `NOTHING` where too few frames."""
    if len(seen) < _LEAST_ROWS or len(heard) < _LEAST_ROWS:
        return NOTHING
    scores = scorer.scores(heard, seen, seconds)
    best = int(np.argmax(scores))
    far = scores[np.abs(np.arange(len(scores)) - best) > _FAR_ROWS]
    confidence = float((scores[best] - np.median(scores)) / (far.std() + 1e-6))
    return Offset((best + _between(scores, best) - SEARCH_ROWS) / ROWS_PER_SECOND, float(scores[best]), confidence)


def _between(scores: np.ndarray, best: int) -> float:
    """Where the peak lies between its rows, -0.5 to 0.5, by the parabola through three of them."""
    if not 0 < best < len(scores) - 1:
        return 0.0
    before, peak, after = scores[best - 1 : best + 2]
    bend = before - 2 * peak + after
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0


@dataclass(frozen=True)
class SyncReport:
    """Lips against sound in one file, main face."""

    offset_frames: int  # positive: the sound comes after the lips
    offset_seconds: float
    correlation: float
    confidence: float


def ear() -> Along:
    """Hears a sound piece by piece: what `score` wants of it."""
    return Along(load_scorer().hear, REACH)


def score(heard: np.ndarray, measured: Measured, seconds: np.ndarray) -> Offset:
    """Offset between (T, D) of a sound, as `ear` has it, and a measured face seen at (N,) times of that sound."""
    if measured.bare.sum() < _LEAST_ROWS:
        return NOTHING
    points, scorer = measured.points[measured.bare], load_scorer()
    seen = lips(points - closed_mouth(points))
    return best_offset(heard, seen, seconds[measured.bare], scorer)
