"""Which frames are dubbed and how strongly: unbroken runs with soft ends.

Takes a measured face, times, cuts and spans; gives `Run`s. A run never crosses a cut. Its weight rises over the first
frames and falls over the last ones, except where the run begins or ends with the shot itself: there is nothing to come
from. The blend is min(4, N // 3) frames, inside the run (the API's rule for selective dubbing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipsmith.engine.faces.measure import Measured
from lipsmith.engine.media.clock import Span

BLEND_FRAMES = 4
_SHORTEST = 5  # frames: less is a flicker, better left alone


@dataclass(frozen=True)
class Run:
    """Rows of the measured face that are dubbed together."""

    rows: np.ndarray  # (T,) int
    weight: np.ndarray  # (T,) float32 in (0, 1]

    def pictures(self, held: np.ndarray) -> tuple[Run, np.ndarray]:
        """The rows that show a picture for the first time, and how often each is shown, (U,) int.

        `held`: (N,) bool, a row per row of the measured face.
        """
        first = ~held[self.rows]
        first[0] = True
        return Run(self.rows[first], self.weight[first]), np.diff(np.append(np.flatnonzero(first), len(first)))


def runs(measured: Measured, seconds: np.ndarray, cuts: Sequence[int], spans: Sequence[Span]) -> tuple[Run, ...]:
    """All runs of a face. `seconds`: (F,) time of every frame of the video; no spans: everywhere."""
    times = seconds[measured.indices]
    inside = np.array([not spans or any(span.contains(float(t)) for span in spans) for t in times], bool)
    rows = np.flatnonzero(measured.usable & inside)
    if not len(rows):
        return ()
    steps = (np.diff(measured.indices[rows]) != 1) | (np.diff(measured.shot[rows]) != 0)
    edges = {0, len(seconds), *cuts}
    parts = [part for part in np.split(rows, np.flatnonzero(steps) + 1) if len(part) >= _SHORTEST]
    return tuple(Run(part, _weight(measured.indices[part], edges)) for part in parts)


def _weight(indices: np.ndarray, edges: set[int]) -> np.ndarray:
    count = len(indices)
    blend = min(BLEND_FRAMES, count // 3)
    ramp = (np.arange(blend) + 1) / (blend + 1)
    weight = np.ones(count, np.float32)
    if blend and int(indices[0]) not in edges:
        weight[:blend] = ramp
    if blend and int(indices[-1]) + 1 not in edges:
        weight[-blend:] = ramp[::-1]
    return weight
