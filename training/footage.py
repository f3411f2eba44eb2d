"""Talking clips as training rows: what each mouth did, beside the sound, one `Talker` a clip.

Takes a folder of clips, gives talkers; the slow part (decoding, tracking) is kept in a cache folder by content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lipsmith.engine import mouth
from lipsmith.engine.faces.measure import closed_mouth, measure
from lipsmith.engine.faces.track import Nets, watch
from lipsmith.engine.media import decode
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.speech import audio
from lipsmith.errors import LipsmithError
from lipsmith.weights import WeightStore

MIN_ROWS = 40
SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".mpg", ".webm")


@dataclass(frozen=True)
class Talker:
    """The main face of one clip."""

    name: str
    displacements: np.ndarray  # (N, 51, 3) from his closed mouth, scaled to UNIT_GAP_DEVIATION
    seconds: np.ndarray  # (N,) on the sound's clock
    usable: np.ndarray  # (N,) bool
    waveform: audio.Waveform


def talkers(folders: list[Path], cache: Path, store: WeightStore) -> Iterator[Talker]:
    """Every clip with a face and sound; others are passed over."""
    device = torch.device("cpu")
    nets = Nets(store, device)
    cache.mkdir(parents=True, exist_ok=True)
    for path in sorted(p for folder in folders for p in folder.iterdir() if p.suffix in SUFFIXES):
        kept = cache / f"{path.name}-{digest(path)}.npz"
        if not kept.exists():
            _watch(path, kept, nets)
        talker = _read(path.name, kept)
        if talker is not None:
            yield talker


def digest(path: Path) -> str:
    """Of its content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _watch(path: Path, kept: Path, nets: Nets) -> None:
    empty = np.zeros(0, np.float32)
    points, seconds, usable, samples = np.zeros((0, 51, 3), np.float32), empty, empty.astype(bool), empty
    try:
        spec = probe(path)
        video = require_video(spec)
        start = float(video.start_pts * video.time_base)
        samples = audio.gather(decode.audio(path, None, audio.SAMPLE_RATE, origin_seconds=start)).samples
        tracking = watch(spec, nets)
        if tracking.tracks:
            measured = measure(tracking.tracks[0])
            points, usable = measured.points, measured.bare
            seconds = tracking.pts[measured.indices] * float(video.time_base) - start
    except LipsmithError as error:
        print(f"{path.name}: passed over, {error.code}")
    np.savez(kept, points=points, seconds=seconds, usable=usable, samples=samples)


def _read(name: str, kept: Path) -> Talker | None:
    with np.load(kept) as stored:
        points, usable = stored["points"], stored["usable"]
        waveform = audio.Waveform(stored["samples"])
        seconds = stored["seconds"]
    if usable.sum() < MIN_ROWS or waveform.silent:
        return None
    moved = points - closed_mouth(points[usable])
    scale = mouth.UNIT_GAP_DEVIATION / float(np.std(mouth.gap(moved[usable])))
    return Talker(name, (scale * moved).astype(np.float32), seconds, usable, waveform)
