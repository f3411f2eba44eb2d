"""A face from when it comes into view until it leaves, and which appearances are of one person.

Takes a face's points as the tracker finds them, gives `Appearance`s, and those grouped by whom they show. Of pictures
it knows whether they have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.identity import LENGTH, apart
from lipsmith.engine.faces.mesh import region_of
from lipsmith.engine.faces.points import KEPT
from lipsmith.engine.media import shots

# Distances of mean looks (docs/log.md): of 3195 pairs of different persons 0.3 % are below the first, of 43 pairs of
# clips of one person all are. Within a shot somebody comes back more often than somebody like him comes.
SAME, SAME_IN_SHOT = 0.5, 0.6
# A single look against the mean of those before: of 60 clips of one person each the furthest is 0.58, in profile.
_SOMEBODY_ELSE = 0.65
_BLOCK_ROWS = 512


class Seen(NamedTuple):
    """A face in one frame, without its landmarks; fields as in `FaceTrack`."""

    frame: int  # its index
    presence: float
    doubt: float
    covered: float
    shot: int
    detail: float


@dataclass
class Appearance:
    """One face in one shot while it is in view."""

    region: Region
    last_index: int
    shot: int
    rows: list[Seen] = field(default_factory=list)
    blocks: list[np.ndarray] = field(default_factory=list)  # (512, K, 3) each: KEPT of the rows
    looks: int = 0
    identity: np.ndarray = field(default_factory=lambda: np.zeros(LENGTH, np.float32))  # mean of the looks
    _last_view: np.ndarray | None = None  # of the picture when it was last looked at
    _followed: int = 0  # how often

    def add(self, seen: Seen, points: np.ndarray) -> None:
        """Copied into a block: thousands of small arrays between pictures would leave the heap full of holes."""
        place = len(self.rows) % _BLOCK_ROWS
        if place == 0:
            self.blocks.append(np.empty((_BLOCK_ROWS, len(KEPT), 3), np.float32))
        self.blocks[-1][place] = points[list(KEPT)]
        self.rows.append(seen)
        self.region, self.last_index = region_of(points), seen.frame

    def wants_look(self, view: np.ndarray) -> bool:
        """The first, second, fourth, eighth ... time it is asked, and where the picture has changed as a whole.

        `view`: its thumbnail. Who it is is seen soon, and elsewhere he cannot become another.
        """
        self._followed += 1
        seldom = self._followed & (self._followed - 1) == 0
        wanted = seldom or self._last_view is None or shots.change_of(view, self._last_view) > shots.LEAST_WHOLE_CHANGE
        if wanted:
            self._last_view = view
        return wanted

    def is_somebody_else(self, look: np.ndarray) -> bool:
        """`look`: (128,) as `FaceIdentity` gives. One shot has become another without a cut: a dissolve."""
        return self.looks > 0 and apart(self.identity, look) > _SOMEBODY_ELSE

    def recognise(self, look: np.ndarray) -> None:
        """`look`: (128,) as `FaceIdentity` gives."""
        self.looks += 1
        self.identity = self.identity + (look - self.identity) / self.looks

    def doubt_last(self, count: int) -> None:
        """The last rows show two pictures, one through the other."""
        self.rows[-count:] = [row._replace(presence=0.0) for row in self.rows[-count:]]

    def closed(self) -> list[np.ndarray]:
        """Its blocks, (n, K, 3) each, without the room that the last one has left: nothing more will come."""
        if left := len(self.rows) % _BLOCK_ROWS:
            self.blocks[-1] = self.blocks[-1][:left].copy()
        return self.blocks


@dataclass
class Person:
    """All appearances of one person."""

    appearances: list[Appearance]
    looks: int
    identity: np.ndarray  # (128,) mean of the looks

    def take(self, appearance: Appearance) -> None:
        self.appearances.append(appearance)
        self.looks += appearance.looks
        self.identity = self.identity + (appearance.identity - self.identity) * appearance.looks / self.looks

    def may_be(self, appearance: Appearance) -> bool:
        """Alike, and nowhere seen beside himself."""
        beside = [each for each in self.appearances if each.shot == appearance.shot]
        if apart(self.identity, appearance.identity) >= (SAME_IN_SHOT if beside else SAME):
            return False
        frames = _frames(appearance)
        return not any(np.isin(frames, _frames(each)).any() for each in beside)


def persons(appearances: Sequence[Appearance]) -> list[Person]:
    """Who there is. The longest appearances first, each joining whom it is most like: those are known best."""
    found: list[Person] = []
    for each in sorted(appearances, key=lambda each: len(each.rows), reverse=True):
        alike = [person for person in found if person.may_be(each)]
        if alike:
            min(alike, key=lambda person: apart(person.identity, each.identity)).take(each)
        else:
            found.append(Person([each], each.looks, each.identity))
    return found


def _frames(appearance: Appearance) -> np.ndarray:
    return np.array([row.frame for row in appearance.rows])
