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
    differences: tuple[Difference, ...]
    fidelity: Fidelity
    sync_source: SyncReport | None  # None where there is no sound or no face
    sync_dub: SyncReport | None
    warnings: tuple[str, ...]

    @property
    def unexplained(self) -> tuple[str, ...]:
        return tuple(in_words(difference) for difference in self.differences if not difference.explained)

    @property
    def explained(self) -> tuple[str, ...]:
        """What follows from dubbing or from the container, and harms nobody."""
        return tuple(in_words(difference) for difference in self.differences if difference.explained)


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
    fidelity = judge(source, dub, store=store, device=device, threads=threads, progress=progress)
    return Verdict(
        source=source,
        dub=dub,
        passed=all(difference.explained for difference in differences),
        differences=differences,
        fidelity=fidelity,
        sync_source=_sync(source, store, device, threads, progress),
        sync_dub=_sync(dub, store, device, threads, progress),
        warnings=fidelity.warnings,
    )


def in_words(difference: Difference) -> str:
    before = f"{difference.source}, now " if difference.source else ""
    return f"{difference.what}: {before}{difference.dub}"


def _sync(path: Path, store: WeightStore, device: str, threads: int, progress: Progress) -> SyncReport | None:
    try:
        return measure_sync(path, store=store, device=device, threads=threads, progress=progress)
    except (NoAudioStream, FaceError):
        return None
