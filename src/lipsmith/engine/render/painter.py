"""Paints one frame: plate, library and target in, codes and matte out.

The self-check lives here too: a warp that folds is refused before it is painted, and the caller can ask for the same
frame again with another library row or a gentler target. Knows no file and no sound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.actor.library import Entry, Library, crop_box
from lipsmith.engine.faces.outline import within
from lipsmith.engine.media import color
from lipsmith.engine.media.frame import Box
from lipsmith.engine.media.spec import Coding, VideoSpec
from lipsmith.engine.render.blur import lacking_blur
from lipsmith.engine.render.composite import (
    Mattes,
    alike,
    crisped,
    exposed,
    joined,
    matched,
    mattes,
    other_light,
    relit,
    rise,
)
from lipsmith.engine.render.interior import Interior, Opening, drawn, hollow, in_his_light, lacking
from lipsmith.engine.render.teeth import Between, with_teeth
from lipsmith.engine.render.warp import Warp, sample, sample_mask

# Squared face widths. Smaller folds, four cells of the warp's grid at a corner of the mouth, are not seen; other mouths
# tried for their sake make neighbouring frames less alike (docs/log.md).
MOST_FOLDED = 0.002
_WELL_INSIDE = 0.9  # of the matte between the lips: what is filmed there is not their edge
_TURNING, _TURNED = 0.014, (0.35, 0.9)  # of the face width; of the matte, softened: from lip to inside
_BESIDE = 0.05  # of the face width, around what is before the face: there the plate comes to rest


@dataclass(frozen=True)
class Plate:
    """What a frame shows of a face, before it is painted."""

    codes: np.ndarray  # (h, w, 3) native codes of `box`
    box: Box  # of the picture: all that an edit may touch
    points: np.ndarray  # (P, 2) float32 LOWER_FACE, pixels of the picture
    unit: float  # pixels per face width
    detail: float  # of the whole face, as `faces.detail.detail`
    shot: int  # as `Index.shot_of` tells
    still: np.ndarray | None = None  # (h, w) in [0, 1], what is before the face: it stays as it was filmed


@dataclass(frozen=True)
class Painted:
    """A finished crop."""

    codes: np.ndarray  # (h, w, 3) in the plate's dtype
    matte: np.ndarray  # (h, w) float32: write only under it
    folded: float  # of the library mouth's warp, squared face widths
    drawn: float  # in [0, 1], how far the inside of the mouth is drawn, since the library's is not open enough


@dataclass(frozen=True)
class _Face:
    """The actor's own lower face, the layer above the plate; `near` as in `Mattes`."""

    codes: np.ndarray  # (n, m, 3) float32
    matte: np.ndarray  # (n, m) float32: where it is shown
    folded: float  # as in `Painted`, and the next
    drawn: float


def paint_box(plate: np.ndarray, lower: np.ndarray, unit: float, width: int, height: int) -> Box:
    """The part of the picture that a frame's edit may touch: all (P, 2) points, as they are and as wanted."""
    return crop_box(np.concatenate([plate, lower]), unit, width, height)


class Painter:
    """Paints frames of one shot with one actor's library."""

    def __init__(self, library: Library, coding: Coding, video: VideoSpec) -> None:
        """`coding`: of the library's codes; `video`: of the plates. Raises UnsupportedVideo."""
        self._library, self._recoding = library, color.between(coding, video.coding)
        self._full, self._codec = video.coding.full, video.codec
        self._size = video.seen_width, video.height
        self._quarter_chroma = color.has_quarter_chroma(video.pix_fmt)
        self._tones, self._library_tones = color.Tones.of(video.coding), color.Tones.of(coding)
        spans = self._tones.luma_span / self._full, self._library_tones.luma_span / coding.full
        self._louder = (spans[0] / spans[1]) ** 2  # the energy of the same detail, here over there

    def paint(self, plate: Plate, wanted: np.ndarray, library_row: int, weight: float = 1.0) -> Painted:
        """`wanted`: (P, 2) points, pixels of the picture; `weight`: in [0, 1], less at the ends of a span."""
        box, unit = plate.box, plate.unit
        corner = np.array([box.left, box.top], np.float32)
        goal, here = wanted - corner, plate.points - corner
        height, width = plate.codes.shape[:2]
        inner = (box.left > 0, box.top > 0, box.right < self._size[0], box.bottom < self._size[1])
        shown = mattes(goal, height, width, unit, inner)
        warp = Warp(goal, height, width, unit, goal[: len(mouth.MOUTH)], Opening.of(goal, unit).outline)
        moved = warp.back_to(here, held=True)
        if plate.still is not None:  # it does not move with the jaw; only lips beside it do
            moved = moved.stilled(_resting(plate.still, unit) * (1 - _whole(shown, plate.still.shape)))
        codes = sample(plate.codes, moved, quarter_chroma=self._quarter_chroma)
        below = codes[shown.near].astype(np.float32)
        face = self._face(below, shown, goal, plate, warp, library_row)
        mixed = joined(below, face.codes, face.matte * np.float32(min(1.0, 2 * weight)))
        codes[shown.near] = np.clip(np.rint(mixed, out=mixed), 0, self._full, out=mixed)
        return Painted(codes, shown.edit * np.float32(min(1.0, 4 * weight)), face.folded, face.drawn)

    def _face(
        self, below: np.ndarray, shown: Mattes, goal: np.ndarray, plate: Plate, warp: Warp, library_row: int
    ) -> _Face:
        """`below`: (n, m, 3) the warped plate `near`; `goal`: (P, 2) wanted points in the crop, whose `warp` it is."""
        entry = self._entry(library_row)
        where = warp.back_to(entry.lower, held=False, part=shown.near)
        goal = goal - np.array([shown.near[1].start, shown.near[0].start], np.float32)
        opening, own_opening = Opening.of(goal, plate.unit), self._own_opening(entry, library_row)
        where, between = with_teeth(where, opening, own_opening, entry.codes)
        face = sample(entry.codes, where, quarter_chroma=self._quarter_chroma).astype(np.float32)
        is_of_this_shot = plate.shot == self._library.index.shot[library_row]  # by the same camera in the same light
        energy = self._energy(library_row, plate.unit, is_of_this_shot=is_of_this_shot)
        face = crisped(face, energy, goal[mouth.OUTER], self._full, self._codec)
        strange = None if entry.strange is None else sample_mask(entry.strange, where)
        lower = _lower_face(goal, face.shape[:2])
        skin_and_lips = lower * (1 - within(opening.outline, face.shape[:2]))
        bare = _bare(None if plate.still is None else plate.still[shown.near], strange)
        lit = (skin_and_lips * bare).astype(np.float32)
        face = self._in_its_light(face, below, lit, plate.unit, is_of_this_shot=is_of_this_shot)
        face = matched(face, below, shown.face, shown.cell, self._full)
        lack = self._open(face, below, shown, opening, own_opening, between)
        his = alike(face, below, shown.core, shown.cell, self._full) * _bare(strange)
        sharper = float(self._library.index.detail[library_row]) / plate.detail if plate.detail else 1.0
        skin = lower * shown.beside.astype(np.float32)  # but not the lips, which are another mouth's
        blur = lacking_blur(face[..., 0], below[..., 0], his * skin, plate.unit, sharper)
        return _Face(blur.of(face), shown.face * his, where.folded, lack)

    @cached_property
    def _hollow(self) -> np.ndarray | None:
        """As `Library.hollow`."""
        return self._library.hollow(self._library_tones)

    def _in_its_light(
        self, face: np.ndarray, below: np.ndarray, shown: np.ndarray, unit: float, *, is_of_this_shot: bool
    ) -> np.ndarray:
        """(n, m, 3) codes in the light of the plate `below`.

        `shown`: (n, m) float32 in [0, 1], the lower face but the inside of the mouth, where neither layer shows
        anything before it. What another shot shows is in another light; within a shot it is where the two differ by
        more than a face does as it moves.
        """
        if not is_of_this_shot:
            return self._tones.to_codes(relit(self._tones.of_codes(face), self._tones.of_codes(below), shown, unit))
        most = (shown > 0.5).astype(np.uint8)
        share = other_light(*(self._tones.of_codes(np.array(cv2.mean(layer, most)[:3])) for layer in (face, below)))
        if not share:
            return face
        lit = self._tones.to_codes(exposed(self._tones.of_codes(face), self._tones.of_codes(below), shown))
        return face + np.float32(share) * (lit - face)

    def _entry(self, library_row: int) -> Entry:
        """With its codes as the plate's mean colours; float32 where its own do not."""
        entry = self._library.entry(library_row)
        if self._recoding is None:
            return entry
        return replace(entry, codes=cv2.transform(entry.codes.astype(np.float32), self._recoding))

    def _energy(self, library_row: int, unit: float, *, is_of_this_shot: bool) -> float:
        """Of a mouth's detail, as `Index.sharpness`, in codes of the plate.

        Drawn larger in another shot it is spread over more pixels: second derivatives fall with the square of that.
        """
        index = self._library.index
        energy = self._louder * float(index.sharpness[library_row])
        return energy if is_of_this_shot else energy * min(1.0, float(index.scale[library_row]) / unit) ** 4

    def _own_opening(self, entry: Entry, library_row: int) -> Opening:
        return Opening.of(entry.lower, float(self._library.index.scale[library_row]))

    def _open(
        self, face: np.ndarray, below: np.ndarray, shown: Mattes, wanted: Opening, own: Opening, between: Between
    ) -> float:
        """Draw in `face` what the library's mouth does not show between its lips; gives how far all of it is drawn."""
        lack = float(lacking(wanted.height, own.height))
        share = np.maximum(lack * _deep(between.matte, wanted.unit), between.matte * between.spread)
        if not share.any():
            return lack
        skin = below[shown.skin]
        light = float(self._tones.of_codes(skin)[:, 0].mean()) if len(skin) else 0.5
        tones = Interior.load().tones(wanted)
        inside = drawn(tones if self._hollow is None else in_his_light(tones, self._hollow), between.places)
        if lack < 1:  # the filmed inside came apart where it is darkest
            dark = between.spread[..., None] * np.float32(1 - lack)
            filmed = self._tones.of_codes(face[between.part][between.matte > _WELL_INSIDE]) / light
            inside += dark * (drawn(hollow(tones, filmed, self._hollow), between.places) - inside)
        face[between.part] = joined(face[between.part], self._tones.to_codes(light * inside), share)
        return lack


def _lower_face(goal: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(n, m) uint8: 1 in all of the lower face, which (P, 2) `goal` are points of."""
    return within(cv2.convexHull(goal)[:, 0], size)


def _bare(*before: np.ndarray | None) -> np.ndarray | float:
    """In [0, 1]: 1 where none of these (n, m) is, which are before a face; None: nothing is before it anywhere."""
    return math.prod(1 - one for one in before if one is not None)


def _deep(matte: np.ndarray, unit: float) -> np.ndarray:
    """(h, w) of what lies between the lips, the deeper the more: lips turn inwards, and no edge is where they end."""
    soft = cv2.GaussianBlur(matte, (0, 0), _TURNING * unit)
    return matte * rise(soft, *_TURNED)


def _whole(shown: Mattes, size: tuple[int, int]) -> np.ndarray:
    """(h, w) the core in all of the crop."""
    core = np.zeros(size, np.float32)
    core[shown.near] = shown.core
    return core


def _resting(still: np.ndarray, unit: float) -> np.ndarray:
    """(h, w) how far the plate rests: what is before the face does, and the skin beside it more or less."""
    side = 2 * round(_BESIDE * unit) + 1
    return cv2.blur(cv2.dilate(still, np.ones((side, side), np.uint8)), (side, side))
