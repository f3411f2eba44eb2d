"""The differ: two files compared by stream, tag, packet, frame and sample, without looking at faces.

Takes two paths, gives a `FileVerdict`. Composes `conformance` and `pictures`; needs no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lipsmith.engine.media.probe import probe
from lipsmith.engine.progress import Progress, silent
from lipsmith.engine.quality import conformance, pictures
from lipsmith.engine.quality.conformance import Difference
from lipsmith.engine.quality.pictures import Pictures


@dataclass(frozen=True)
class FileVerdict:
    """What there is to say about two files without looking at faces."""

    source: Path
    dub: Path
    passed: bool  # nothing in the file differs that a dub does not explain
    differences: tuple[Difference, ...]
    pictures: Pictures | None  # None where one file has none

    @property
    def unexplained(self) -> tuple[str, ...]:
        return tuple(in_words(difference) for difference in self.differences if not difference.explained)

    @property
    def explained(self) -> tuple[str, ...]:
        """What follows from dubbing or from the container, and harms nobody."""
        return tuple(in_words(difference) for difference in self.differences if difference.explained)


def check_files(source: Path, dub: Path, *, threads: int = 2, progress: Progress = silent) -> FileVerdict:
    """The differ alone: needs no network and no weights. Raises the InputErrors."""
    found, pictures_found = compare_files(source, dub, threads=threads, progress=progress)
    return FileVerdict(source, dub, all(difference.explained for difference in found), found, pictures_found)


def compare_files(
    source: Path, dub: Path, *, threads: int = 2, progress: Progress = silent
) -> tuple[tuple[Difference, ...], Pictures | None]:
    """All that differs in the files, and what became of the pictures. Raises the InputErrors."""
    found = list(conformance.compare(source, dub))
    specs = probe(source), probe(dub)
    if specs[0].video is None or specs[1].video is None:
        return tuple(found), None
    seen = pictures.compare(specs, threads=threads, progress=progress)
    if seen.frames_drifted:
        text = f"{seen.frames_drifted} frames differ"
        found.append(Difference("drift", "frames whose packets are the source's", "identical", text, False))
    for kind in seen.lost:
        found.append(Difference("beside_pictures", f"{kind} beside the pictures", "", "not as in the source", False))
    return tuple(found), seen


def in_words(difference: Difference) -> str:
    before = f"{difference.source}, now " if difference.source else ""
    return f"{difference.what}: {before}{difference.dub}"
