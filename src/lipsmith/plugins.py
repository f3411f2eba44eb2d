"""What others may plug in: a translator of speech, found by its entry point.

A package that offers the entry point `lipsmith.translators` makes POST /v1/shots/{id}/translate work. It names a

    def translate(shot: Path, voice: Path, source_language: str, target_language: str) -> None

that writes the shot's speech in the target language to `voice` (WAV), as long as the shot or shorter; languages are
names such as "English". What it raises fails the job with its sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

GROUP = "lipsmith.translators"
Translator = Callable[[Path, Path, str, str], None]


def has_translator() -> bool:
    return bool(entry_points(group=GROUP))


def translator() -> Translator:
    """The first one that is installed. Raises LookupError where there is none."""
    for point in entry_points(group=GROUP):
        loaded: Translator = point.load()
        return loaded
    raise LookupError("no translation plug-in is installed")
