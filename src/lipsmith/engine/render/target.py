"""Where every point of the lower face should be, in each frame that is dubbed.

Takes the plate's measured face and the wanted mouths, gives points in pixels. Cheeks, jaw and chin move with the mouth
as this actor's do: a ridge regression on his own footage says how. Knows no pixels' colour.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from lipsmith.engine import mouth
from lipsmith.engine.faces.align import Placement
from lipsmith.engine.faces.measure import Measured

_SETTLE_SECONDS = 0.036  # more takes closures away, less leaves jerk (docs/log.md)
_RIDGE = 0.02  # of the mean square of the mouth's movement
_RIDGE_STILL = 1e-3  # squared face widths; talkers' mean square is 1e-4 to 4e-4


@dataclass(frozen=True)
class JawResponse:
    """How the lower face follows the mouth."""

    matrix: np.ndarray  # (153, 3 P) float32: displacement of LOWER_FACE per displacement of the 51 mouth points

    def follow(self, change: np.ndarray) -> np.ndarray:
        """(T, 51, 3) change of the mouth -> (T, P, 3) change of the lower face; the mouth itself exactly."""
        flat = change.reshape(len(change), -1)
        moved = (flat @ self.matrix).reshape(len(change), -1, 3)
        moved[:, : len(mouth.MOUTH)] = change
        return moved


def learn_jaw(lower: np.ndarray) -> JawResponse:
    """From (S, P, 3) lower faces of the actor's footage, own frame."""
    lower = lower.astype(np.float64) - lower.mean(0)
    effect = lower.reshape(len(lower), -1)
    cause = lower[:, : len(mouth.MOUTH)].reshape(len(lower), -1)
    gram = cause.T @ cause
    # Of one who was not seen to speak noise is all there is to learn: his jaw follows by the mouth's own points alone.
    still = mouth.stillness(lower[:, : len(mouth.MOUTH)])
    strength = _RIDGE * np.trace(gram) / len(gram) + still * _RIDGE_STILL * len(lower)
    return JawResponse(np.linalg.solve(gram + strength * np.eye(len(gram)), cause.T @ effect).astype(np.float32))


@dataclass(frozen=True)
class Aim:
    """One dubbed frame's points in pixels."""

    plate: np.ndarray  # (P, 2) float32 LOWER_FACE as it is
    lower: np.ndarray  # (P, 2) float32 LOWER_FACE as wanted
    placement: Placement  # one row

    @property
    def unit(self) -> float:
        """Pixels per face width."""
        return float(self.placement.scale[0])


@dataclass(frozen=True)
class Target:
    """One row per dubbed frame of an unbroken run. What it holds of a frame is a mouth: a run may last an hour."""

    measured: Measured
    rows: np.ndarray  # (T,) int rows of `measured`
    mouths: np.ndarray  # (T, 51, 3) float32 wanted mouths, own frame, fades included
    weight: np.ndarray  # (T,) float32 in [0, 1]: 1 dubbed, towards 0 at the ends of a span
    jaw: JawResponse

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def indices(self) -> np.ndarray:
        """(T,) int64 frame indices in the stream."""
        return self.measured.indices[self.rows]

    def shown(self, rows: np.ndarray, times: np.ndarray) -> Target:
        """Each of its frames so many times: (T,) rows of `measured`, (U,) int."""
        mouths, weight = (np.repeat(values, times, axis=0) for values in (self.mouths, self.weight))
        return replace(self, rows=rows, mouths=mouths, weight=weight)

    def between(self, row: int, later: float) -> Aim:
        """The points so many frames after one of its frames (before, where negative); |later| is 1 at most."""
        here, other = self.at(row), row + (1 if later > 0 else -1)
        if later == 0 or not 0 <= other < len(self):
            return here
        there, share = self.at(other), np.float32(abs(later))
        plate, lower = (a + share * (b - a) for a, b in ((here.plate, there.plate), (here.lower, there.lower)))
        return Aim(plate, lower, here.placement)

    def at(self, row: int) -> Aim:
        """The points of one of its frames."""
        one = self.rows[row : row + 1]
        lower, placement = self.measured.lower[one], self.measured.placement.rows(one)
        goal = mouth.parted(lower + self.jaw.follow(self.mouths[row] - self.measured.points[one]))
        plate, wanted = placement.to_picture(np.concatenate([mouth.parted(lower), goal]))[..., :2].astype(np.float32)
        return Aim(plate, wanted, placement)


def aim(measured: Measured, rows: np.ndarray, mouths: np.ndarray, weight: np.ndarray, jaw: JawResponse) -> Target:
    """The target of `rows` of a measured face.

    Where `weight` is below 1 the mouth is on its way between the plate's own and the wanted one.
    """
    own = measured.points[rows]
    faded = own + weight[:, None, None] * (mouths - own)
    return Target(measured, rows, faded.astype(np.float32), weight.astype(np.float32), jaw)


def settled(mouths: np.ndarray, frame_rate: float) -> np.ndarray:
    """(T, 51, 3) mouths without the shimmer of changing neighbours: a zero-phase Gaussian of 36 ms in time."""
    return gaussian_filter1d(mouths, _SETTLE_SECONDS * frame_rate, axis=0, mode="nearest")
