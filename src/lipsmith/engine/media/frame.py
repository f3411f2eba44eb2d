"""One decoded picture with its time, what its decoder tells beside it, and a rectangle in it.

Produced by `decode`, edited through `color`, consumed by `encode`. Carries the decoder's own planes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

import av
from av.sidedata.sidedata import SideDataContainer


@dataclass(frozen=True)
class Box:
    """Half-open pixel rectangle [left, right) x [top, bottom)."""

    left: int
    top: int
    right: int
    bottom: int

    def __post_init__(self) -> None:
        if self.left >= self.right or self.top >= self.bottom:
            raise ValueError(f"empty box: {self = }")

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def clipped(self, width: int, height: int) -> Box:
        """The part inside a picture of width x height."""
        return Box(max(self.left, 0), max(self.top, 0), min(self.right, width), min(self.bottom, height))

    def aligned(self, step: int, width: int, height: int) -> Box:
        """Grown outwards to multiples of `step` (chroma sites), then clipped to the picture."""
        return Box(
            self.left // step * step,
            self.top // step * step,
            -(-self.right // step) * step,
            -(-self.bottom // step) * step,
        ).clipped(width, height)


@dataclass(frozen=True)
class Frame:
    """A decoded picture. The planes may be edited in place through `color.write_codes`, nothing else."""

    index: int  # from 0, in presentation order within the stream
    pts: int  # in units of time_base
    time_base: Fraction
    picture: av.VideoFrame
    focus: tuple[Box, ...] = ()  # where new pixels are looked at, seen pixels: an encoder should be finer there
    stretch: float = 1.0  # seen pixels across per coded one: of a squeezed picture boxes and codes are as it is shown
    parity: int | None = None  # of the lines that are read and written: 0 top field, 1 bottom field; None: all lines

    @property
    def seconds(self) -> float:
        """Presentation time in seconds on the container's clock."""
        return float(self.pts * self.time_base)

    def coded(self, box: Box, margin: int = 0) -> Box:
        """What of the coded picture a box of the seen one shows, and so many columns on either side."""
        left, right = math.floor(box.left / self.stretch) - margin, math.ceil(box.right / self.stretch) + margin
        return Box(left, box.top, right, box.bottom).clipped(self.picture.width, self.picture.height)

    def of_field(self, parity: int | None) -> Frame:
        """The same picture, of which one field is seen, its lines doubled, and edited; None: all of it is."""
        return replace(self, parity=parity)


def side_data(picture: av.VideoFrame, kind: str) -> bytes | None:
    """What a picture carries beside its samples (`kind`: AV_FRAME_DATA_...), None where it carries none.

    Picture and what PyAV shows of it then hold each other: only the garbage collector frees them.
    """
    items = iter(cast(SideDataContainer, picture.side_data))
    return next((bytes(item) for item in items if item.type.name == kind), None)
