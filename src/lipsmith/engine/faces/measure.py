"""From a track to what its mouth did: `Measured` mouths in the face's own frame, and the way back to pixels.

Takes a FaceTrack, gives shapes in face widths. Knows no sound and nobody's name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from lipsmith.engine import mouth
from lipsmith.engine.faces.align import Placement, place
from lipsmith.engine.faces.track import FaceTrack

# Mesh points below the eyes that move with the mouth or hold the picture beside it, in the order of the jaw's outline
# and then from the nose outwards; the 51 mouth points come first.
# fmt: off
JAW = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454)
_CHEEKS = (1,2,98,327,4,5,195,129,358,50,280,205,425,187,411,207,427,216,436,212,432,202,422,214,434,210,430,169,394,
           135,364,138,367,36,266,203,423,206,426,165,391,92,322,164,167,393,57,287,43,273,106,335,182,406,83,313,201,421,
           208,428,171,396,140,369,170,395)
_MID_LIPS = (11,12,15,16,72,73,74,76,77,85,86,89,90,96,180,179,302,303,304,306,307,315,316,319,320,325,62,292,38,268,
             41,271,42,272,183,407)
# fmt: on
LOWER_FACE = tuple(dict.fromkeys((*mouth.MOUTH, *_MID_LIPS, *JAW, *_CHEEKS)))
AT_LOWER = {point: i for i, point in enumerate(LOWER_FACE)}

MIN_FACE_WIDTH_PIXELS = 56.0  # below, lips are too few pixels to be replaced well
MAX_YAW_DEGREES = 48.0  # beyond, half the mouth is hidden and the mesh guesses it
MIN_PRESENCE = 0.7
# Face widths between the lips as seen and as seen in the mirror (docs/log.md). No visible mouth of 54 clips comes to
# the first; behind hands it is 0.06-0.19. The median of a shot is 0.014 at most, and 0.04 where the mesh lies beside
# the face nearly all the time, which not every frame tells.
_MOST_DOUBT, _USUAL_DOUBT = 0.05, 0.025
_HIDDEN_AROUND = 3  # rows before and after such a one: a hand comes and goes
_MOST_COVERED = 0.04  # of the lips and a little around them
_CLOSED_PERCENTILE = 25


@dataclass(frozen=True)
class Measured:
    """One row per row of the track it was made from."""

    indices: np.ndarray  # (N,) int64 frame indices in the stream
    shot: np.ndarray  # (N,) int32
    points: np.ndarray  # (N, 51, 3) float32: the mouth, face widths, own frame
    lower: np.ndarray  # (N, P, 3) float32: LOWER_FACE, face widths, own frame
    placement: Placement
    seen: np.ndarray  # (N, P, 3) float32: LOWER_FACE as the net saw it in that very picture, without smoothing
    usable: np.ndarray  # (N,) bool: near, frontal and certain enough to be dubbed
    bare: np.ndarray  # (N,) bool: usable, and nothing is before the lips: those may be learned from and judged by

    def __len__(self) -> int:
        return len(self.indices)

    def gap(self) -> np.ndarray:
        """(N,) inner-lip gap, face widths."""
        return mouth.gap(self.points)


def measure(track: FaceTrack) -> Measured:
    """What the mouth of `track` did in each of its frames."""
    placement = place(track.landmarks)
    lower = placement.to_own(track.landmarks[:, LOWER_FACE]).astype(np.float32)
    seen = placement.to_own(track.raw[:, LOWER_FACE]).astype(np.float32)
    near = _near(placement.scale, track.shot)
    frontal = np.abs(placement.yaw_degrees()) <= MAX_YAW_DEGREES
    certain = (track.presence >= MIN_PRESENCE) & ~_guessed(track, placement.scale)
    usable = near & frontal & certain
    return Measured(
        track.indices,
        track.shot,
        lower[:, : len(mouth.MOUTH)],
        lower,
        placement,
        seen,
        usable,
        usable & ~_covered(track, usable),
    )


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
