"""A real talker as truth: his mouth by the second of his own voice, offset corrected."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from lipsmith.config import Settings
from lipsmith.engine import footage, mouth
from lipsmith.engine.faces.measure import closed_mouth
from lipsmith.engine.faces.track import Nets
from lipsmith.engine.footage import Footage
from lipsmith.engine.progress import silent
from lipsmith.engine.speech import audio, features
from lipsmith.weights import WeightStore


@lru_cache(maxsize=1)
def store() -> WeightStore:
    return WeightStore(Settings.from_environment().models_folder)


@lru_cache(maxsize=1)
def nets() -> Nets:
    return Nets(store(), torch.device("cpu"))


@lru_cache(maxsize=1)
def listener() -> features.Listener:
    return features.load_listener(store(), torch.device("cpu"))


@lru_cache(maxsize=40)
def seen(path: Path) -> Footage:
    return footage.look(path, store=store(), nets=nets(), device=torch.device("cpu"), threads=2, progress=silent)


@dataclass(frozen=True)
class Truth:
    """What the main face of a clip did, against the clock of its voice."""

    displacements: np.ndarray  # (N, 51, 3) from his closed mouth, frames in which nothing is before it
    seconds: np.ndarray  # (N,) in the voice, offset corrected
    indices: np.ndarray  # (N,) frame indices
    offset_seconds: float
    confidence: float
    heard: bool  # in sync, for sure


def truth(path: Path) -> Truth:
    footage_ = seen(path)
    person = footage_.people[0]
    measured = person.measured
    good = measured.bare
    points = measured.points[good]
    times = footage_.seconds[measured.indices[good]] + person.offset.offset_seconds
    moved = points - closed_mouth(points)
    offset = person.offset
    return Truth(
        moved, times, measured.indices[good], offset.offset_seconds, offset.confidence, person.heard is not None
    )


def voice_of(path: Path) -> audio.Waveform:
    """The clip's sound from its first frame on."""
    from lipsmith.engine.media import decode

    spec, video = seen(path).spec, seen(path).video
    start = float(video.start_pts * video.time_base)
    return audio.gather(decode.audio(path, spec.audio[0].stream_index, audio.SAMPLE_RATE, origin_seconds=start))


_SURE, _LATE_SECONDS = 0.35, 0.08  # of a phoneme; its peak comes after the closure (docs/log.md)


def closures(voice: audio.Waveform) -> np.ndarray:
    """(C,) times at which a p, b or m is heard to shut the lips."""
    closing = features.extract(voice, listener()).closing
    inner = closing[1:-1]
    peaks = np.flatnonzero((inner > _SURE) & (inner >= closing[:-2]) & (inner > closing[2:])) + 1
    return peaks / features.ROWS_PER_SECOND - _LATE_SECONDS


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def best_lag(path_seconds: np.ndarray, opening: np.ndarray, truth_seconds: np.ndarray, true: np.ndarray) -> float:
    """Seconds by which `opening` must be moved to fit `true` best, searched within +-0.3 s."""
    lags = np.arange(-0.3, 0.301, 0.01)
    fits = [correlation(np.interp(truth_seconds + lag, path_seconds, opening), true) for lag in lags]
    return float(lags[int(np.argmax(fits))])


gap = mouth.gap
