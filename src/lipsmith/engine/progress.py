"""How long work tells where it stands: the engine calls, the caller shows."""

from __future__ import annotations

from collections.abc import Callable

# (stage, done, total): stage is a short word ("prepare", "train", "motion", "render", "check");
# total is None where it is unknown. Called at most a few times per second's worth of work.
Progress = Callable[[str, int, int | None], None]


def silent(stage: str, done: int, total: int | None) -> None:
    """A Progress that shows nothing."""
