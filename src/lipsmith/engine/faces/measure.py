"""From a track to what its mouth did: `Measured` mouths in the face's own frame, and the way back to pixels.

Takes a FaceTrack, gives shapes in face widths. Knows no sound and nobody's name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from lipsmith.engine import mouth
from lipsmith.engine.faces.align import Placement, place
from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.mesh import EYE_CORNERS, region_around
from lipsmith.engine.faces.points import AT_LOWER, LOWER_FACE, STABLE
from lipsmith.engine.faces.track import FaceTrack

MIN_FACE_WIDTH_PIXELS = 36.0  # below, lips are a dozen pixels wide and what they do is not seen
MAX_YAW_DEGREES = 48.0  # beyond, half the mouth is hidden and the mesh guesses it
MIN_PRESENCE = 0.7
# Face widths between the lips as seen and as seen in the mirror (docs/log.md). No visible mouth of 54 clips comes to
# the first; behind hands it is 0.06-0.19. The median of a shot is 0.014 at most, and 0.04 where the mesh lies beside
# the face nearly all the time, which not every frame tells.
_MOST_DOUBT, _USUAL_DOUBT = 0.05, 0.025
_HIDDEN_AROUND = 3  # rows before and after such a one: a hand comes and goes
_MOST_COVERED = 0.04  # of the lips and a little around them
_CLOSED_PERCENTILE = 25
_TOGETHER = 512  # rows brought into the face's own frame at once


@dataclass(frozen=True)
class Measured:
    """One row per row of the track it was made from."""

    indices: np.ndarray  # (N,) int64 frame indices in the stream
    shot: np.ndarray  # (N,) int32
    lower: np.ndarray  # (N, P, 3) float32: LOWER_FACE, face widths, own frame
    placement: Placement
    jitter: np.ndarray  # (N, P, 3) float16: what smoothing took out of `lower`
    region: np.ndarray  # (N, 4) float32: x, y, size and angle of where the mesh is run, as of a `Region`
    usable: np.ndarray  # (N,) bool: near, frontal and certain enough to be dubbed
    bare: np.ndarray  # (N,) bool: usable, and nothing is before the lips: those may be learned from and judged by
    detail: np.ndarray  # (N,) float32, as `detail.detail`
    held: np.ndarray  # (N,) bool: the picture of the row before is shown once more

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def points(self) -> np.ndarray:
        """(N, 51, 3) float32: the mouth, face widths, own frame."""
        return self.lower[:, : len(mouth.MOUTH)]

    def gap(self) -> np.ndarray:
        """(N,) inner-lip gap, face widths."""
        return mouth.gap(self.points)

    def seen(self, row: int) -> np.ndarray:
        """(P, 3) LOWER_FACE as the net saw it in that very picture, without smoothing; face widths, own frame."""
        return self.lower[row] + self.jitter[row]

    def in_picture(self, *points: int, rows: slice = slice(None)) -> np.ndarray:
        """(N, len(points), 2) pixels of points of LOWER_FACE, by their numbers in the mesh; of all rows or of some."""
        own = self.lower[rows, [AT_LOWER[point] for point in points]]
        return self.placement.rows(rows).to_picture(own)[..., :2]

    @property
    def usual_width(self) -> float:
        """Pixels from side to side of the face, the median of all frames."""
        return float(np.median(self.placement.scale))

    def region_at(self, row: int) -> Region:
        """Where the mesh is run to see this face again."""
        return Region(*self.region[row].tolist())


def measure(track: FaceTrack) -> Measured:
    """What the mouth of `track` did in each of its frames."""
    placement = place(track.at(*STABLE))
    lower = np.empty((len(track), len(LOWER_FACE), 3), np.float32)
    jitter = np.empty(lower.shape, np.float16)
    for start in range(0, len(track), _TOGETHER):
        rows = slice(start, start + _TOGETHER)
        there = placement.rows(rows)
        lower[rows] = there.to_own(track.landmarks[rows, : len(LOWER_FACE)])
        jitter[rows] = there.to_own(track.raw[rows]) - lower[rows]
    near = _near(placement.scale, track.shot)
    frontal = np.abs(placement.yaw_degrees()) <= MAX_YAW_DEGREES
    certain = (track.presence >= MIN_PRESENCE) & ~_guessed(track, placement.scale)
    usable = near & frontal & certain
    return Measured(
        track.indices,
        track.shot,
        lower,
        placement,
        jitter,
        _regions(track),
        usable,
        usable & ~_covered(track, usable),
        track.detail,
        track.held,
    )


def _regions(track: FaceTrack) -> np.ndarray:
    """(N, 4) float32 x, y, size, angle."""
    regions = map(region_around, track.landmarks, track.at(*EYE_CORNERS))
    return np.array([(r.x, r.y, r.size, r.angle) for r in regions], np.float32).reshape(-1, 4)


def _guessed(track: FaceTrack, widths: np.ndarray) -> np.ndarray:
    """(N,) True where the mouth's place is a guess: something is before it, or the net cannot make this face out."""
    doubt = track.doubt / widths
    return _and_around(track, (doubt > _MOST_DOUBT) | (_usual(doubt, track.shot) > _USUAL_DOUBT))


def _covered(track: FaceTrack, usable: np.ndarray) -> np.ndarray:
    """(N,) True where something is before the lips. Never in most usable rows: what is nearly always there is his."""
    if not usable.any():
        return ~usable
    usual = float(np.median(track.covered[usable]))
    covered = _and_around(track, track.covered > max(_MOST_COVERED, usual))
    return covered if covered[usable].mean() <= 0.5 else track.covered > usual


def _and_around(track: FaceTrack, hidden: np.ndarray) -> np.ndarray:
    """(N,) bool `hidden`, and True in the rows around such ones."""
    spread = hidden.copy()
    for rows in track.segments():
        spread[rows] = maximum_filter1d(hidden[rows], 2 * _HIDDEN_AROUND + 1)
    return spread


def _near(widths: np.ndarray, shot: np.ndarray) -> np.ndarray:
    """(N,) True in shots whose usual face is wide enough: a size around the limit must not switch a dub on and off."""
    return (_usual(widths, shot) >= MIN_FACE_WIDTH_PIXELS) & (widths >= 0.7 * MIN_FACE_WIDTH_PIXELS)


def _usual(values: np.ndarray, shot: np.ndarray) -> np.ndarray:
    """(N,) each row's median of its shot."""
    usual = np.empty(len(values))
    for number in np.unique(shot):
        rows = shot == number
        usual[rows] = np.median(values[rows])
    return usual


def closed_mouth(points: np.ndarray) -> np.ndarray:
    """(51, 3) mean of the quarter of (N, 51, 3) mouths that are shut most."""
    gap = mouth.gap(points)
    return points[gap <= np.percentile(gap, _CLOSED_PERCENTILE)].mean(0)
