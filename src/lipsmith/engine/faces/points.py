"""Which of the mesh's 468 points are remembered of every frame: those a face is placed by, those a dub moves, its rim.

Numbers are MediaPipe's; `KEPT` is the order in which tracks hold them. Knows no picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lipsmith.engine import mouth

# Mesh points below the eyes that move with the mouth or hold the picture beside it, in the order of the jaw's outline
# and then from the nose outwards; the 51 mouth points come first.
# fmt: off
JAW = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454)
_CHEEKS = (1,2,98,327,4,5,195,129,358,50,280,205,425,187,411,207,427,216,436,212,432,202,422,214,434,210,430,169,394,
           135,364,138,367,36,266,203,423,206,426,165,391,92,322,164,167,393,57,287,43,273,106,335,182,406,83,313,201,421,
           208,428,171,396,140,369,170,395)
_MID_LIPS = (11,12,15,16,72,73,74,76,77,85,86,89,90,96,180,179,302,303,304,306,307,315,316,319,320,325,62,292,38,268,
             41,271,42,272,183,407)
# What speech does not move: forehead, eyes, nose, temples.
STABLE = (10,67,297,109,338,151,9,8,168,6,197,195,5,4,33,133,362,263,70,300,63,293,46,276,127,356,234,454,93,323)
_BROW = (103, 54, 21, 162, 332, 284, 251, 389)  # of the face's outline what the others do not hold
# fmt: on
LOWER_FACE = tuple(dict.fromkeys((*mouth.MOUTH, *_MID_LIPS, *JAW, *_CHEEKS)))
AT_LOWER = {point: i for i, point in enumerate(LOWER_FACE)}
KEPT = tuple(dict.fromkeys((*LOWER_FACE, *STABLE, *_BROW)))  # LOWER_FACE first
_AT = {point: i for i, point in enumerate(KEPT)}


def at(points: Sequence[int]) -> np.ndarray:
    """Where points of the mesh stand in `KEPT`. Raises KeyError for one that is not kept."""
    return np.array([_AT[point] for point in points])
