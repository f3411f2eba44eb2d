"""The judge's whole verdict on a dub: is it still the same file, the same picture, and do lips and sound go together?

Takes two files, gives a `Verdict`. Composes `conformance`, `fidelity` and `sync`; measures nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lipsmith.engine.progress import Progress, silent
from lipsmith.engine.quality.conformance import Difference, compare
from lipsmith.engine.quality.fidelity import Fidelity, judge
from lipsmith.engine.quality.sync import SyncReport, measure_sync
from lipsmith.errors import FaceError, NoAudioStream
from lipsmith.weights import WeightStore


@dataclass(frozen=True)
class Verdict:
    """What there is to say about a dub."""

    source: Path
    dub: Path
    passed: bool  # nothing in the file differs that a dub does not explain
    unexplained: tuple[str, ...]
    explained: tuple[str, ...]  # what a dub must change: the picture's bits, the sound
    fidelity: Fidelity
    sync_source: SyncReport | None  # None where there is no sound or no face
    sync_dub: SyncReport | None
    warnings: tuple[str, ...]


def check(
    source: Path,
    dub: Path,
    *,
    store: WeightStore,
    device: str = "auto",
    threads: int = 2,
    progress: Progress = silent,
) -> Verdict:
    """Compare two files. Raises the InputErrors of reading them, WeightsError."""
    differences = compare(source, dub)
    unexplained = tuple(_sentence(d) for d in differences if not d.explained)
    fidelity = judge(source, dub, store=store, device=device, threads=threads, progress=progress)
    return Verdict(
        source=source,
        dub=dub,
        passed=not unexplained,
        unexplained=unexplained,
        explained=tuple(_sentence(d) for d in differences if d.explained),
        fidelity=fidelity,
        sync_source=_sync(source, store, device, threads, progress),
        sync_dub=_sync(dub, store, device, threads, progress),
        warnings=fidelity.warnings,
    )


def _sentence(difference: Difference) -> str:
    return str(difference)


def _sync(path: Path, store: WeightStore, device: str, threads: int, progress: Progress) -> SyncReport | None:
    try:
        return measure_sync(path, store=store, device=device, threads=threads, progress=progress)
    except (NoAudioStream, FaceError):
        return None
