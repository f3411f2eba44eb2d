"""The actor performs: decoded frames in, the same frames with new mouths out, in order and a few at a time.

Takes a `Part` per actor (target, path through his library, painter) and yields every frame, edited where one says so.
Every painted mouth is looked at again with the landmark net. One that folds or is not where it was wanted is painted
from the next-best mouths of the library, then with a gentler target; what is worst is counted, never hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.mesh import FaceMesh
from lipsmith.engine.media import color
from lipsmith.engine.media.frame import Box, Frame
from lipsmith.engine.media.spec import VideoSpec
from lipsmith.engine.render.painter import LEAST_AREA, Layer, Painted, Painter, paint_box
from lipsmith.engine.render.retrieval import Choice
from lipsmith.engine.render.target import Target

BATCH = 8  # frames looked at together
_CHECK_SIZE = 256  # pixels: the net sees 192
GAP_TOLERANCE = 0.03  # face widths: 3 % is also what counts as closed
POINT_TOLERANCE = 0.035  # mean distance of lip points, face widths
MIN_PRESENCE = 0.5
_ROTATED = 1.2  # the upright square that holds a region turned by up to 15 degrees
_LIPS = len(mouth.LIPS)  # of the 51 mouth points
_TRIES = 3  # other library mouths
_GENTLER = 0.5  # share of the wanted mouth that is kept in a gentler target


@dataclass(frozen=True)
class Part:
    """One actor's role in a shot."""

    target: Target
    choice: Choice
    painter: Painter
    regions: tuple[Region, ...]  # (T,) mesh regions of the face in each dubbed frame
    own_mouths: np.ndarray  # (S, 51, 3) of his library


@dataclass
class Tally:
    """What happened, counted while it happens."""

    dubbed: set[int] = field(default_factory=set)  # frame indices
    retried: int = 0
    softened: int = 0
    poor: int = 0  # still beyond tolerance after all tries; the best was kept
    gap_errors: list[float] = field(default_factory=list)  # face widths, one per painted mouth

    def add(self, other: Tally) -> None:
        """What happened in another part of the shot."""
        self.dubbed |= other.dubbed
        self.retried += other.retried
        self.softened += other.softened
        self.poor += other.poor
        self.gap_errors += other.gap_errors


@dataclass(frozen=True)
class _Task:
    """One mouth to paint."""

    part: Part
    row: int  # in the part's target
    frame: Frame
    box: Box
    plate: np.ndarray  # codes of the box


@dataclass(frozen=True)
class _Result:
    painted: Painted
    error: float  # in tolerances: 1 or less is good


@dataclass(frozen=True)
class _View:
    """What the landmark net looks at."""

    picture: np.ndarray  # (h, w, 3) uint8 RGB, small
    region: Region  # of the face, in pixels of `picture`
    origin: np.ndarray  # (2,) its corner in the whole picture
    scale: float  # its pixels per pixel of the whole picture

    def in_picture(self, points: np.ndarray) -> np.ndarray:
        """(P, 2) pixels of the view -> of the whole picture."""
        return points / np.float32(self.scale) + self.origin


class Performance:
    """Edits frames of one shot. Holds at most `BATCH` frames."""

    def __init__(self, video: VideoSpec, mesh: FaceMesh, parts: tuple[Part, ...]) -> None:
        self._video, self._mesh, self._parts = video, mesh, parts
        self._rows = [{int(index): row for row, index in enumerate(p.target.indices)} for p in parts]
        self.tally = Tally()

    @property
    def edited(self) -> np.ndarray:
        """(E,) indices of all frames with a mouth to paint."""
        return np.array(sorted({index for rows in self._rows for index in rows}), np.int64)

    def play(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        waiting: list[Frame] = []
        for frame in frames:
            waiting.append(frame)
            if len(waiting) == BATCH:
                yield from self._edit(waiting)
                waiting = []
        yield from self._edit(waiting)

    def _edit(self, frames: list[Frame]) -> list[Frame]:
        for part, rows in zip(self._parts, self._rows, strict=True):
            tasks = [self._task(part, rows[f.index], f) for f in frames if f.index in rows]
            for task, result in zip(tasks, self._paint(tasks), strict=True):
                color.write_codes(task.frame, task.box, result.painted.codes, result.painted.matte)
                self.tally.dubbed.add(task.frame.index)
        return frames

    def _task(self, part: Part, row: int, frame: Frame) -> _Task:
        target = part.target
        unit = float(target.placement.scale[row])
        box = paint_box(target.plate[row], target.lower[row], unit, self._video.width, self._video.height)
        return _Task(part, row, frame, box, color.read_codes(frame, box))

    def _paint(self, tasks: list[_Task]) -> list[_Result]:
        painted = [self._painted(t, int(t.part.choice.rows[t.row]), t.part.target.lower[t.row]) for t in tasks]
        errors = self._errors(tasks, painted)
        results = [_Result(p, e) for p, e in zip(painted, errors, strict=True)]
        return [r if r.error <= 1 else self._again(t, r) for t, r in zip(tasks, results, strict=True)]

    def _painted(self, task: _Task, library_row: int, wanted: np.ndarray) -> Painted:
        target, row = task.part.target, task.row
        return task.part.painter.paint(
            task.plate,
            task.box,
            target.plate[row],
            wanted,
            float(target.placement.scale[row]),
            (Layer(library_row, 1.0),),
            weight=float(target.weight[row]),
            size=(self._video.width, self._video.height),
        )

    def _again(self, task: _Task, best: _Result) -> _Result:
        """Other mouths, then a gentler one; the best of all."""
        self.tally.retried += 1
        used = int(task.part.choice.rows[task.row])
        others = [int(r) for r in task.part.choice.alternatives[task.row] if abs(int(r) - used) > 1][:_TRIES]
        for library_row in others:
            best = self._better(best, task, self._painted(task, library_row, task.part.target.lower[task.row]))
            if best.error <= 1:
                return best
        self.tally.softened += 1
        own = others[0] if others else used
        best = self._better(best, task, self._painted(task, own, self._gentler(task, own)))
        self.tally.poor += best.error > 1
        return best

    def _gentler(self, task: _Task, library_row: int) -> np.ndarray:
        """(P, 2) wanted points moved half-way to what the library's mouth does by itself."""
        target, row = task.part.target, task.row
        own = task.part.own_mouths[library_row]
        change = (1 - _GENTLER) * (own - target.mouths[row])
        moved = target.placement.rows(slice(row, row + 1)).to_picture(change[None])[0, :, :2]
        still = target.placement.rows(slice(row, row + 1)).to_picture(np.zeros_like(change)[None])[0, :, :2]
        wanted = target.lower[row].copy()
        wanted[: len(mouth.MOUTH)] += moved - still
        return wanted

    def _better(self, best: _Result, task: _Task, painted: Painted) -> _Result:
        error = self._errors([task], [painted], count=False)[0]
        return _Result(painted, error) if error < best.error else best

    def _errors(self, tasks: list[_Task], painted: list[Painted], *, count: bool = True) -> list[float]:
        """How far each painted mouth is from what was wanted, in tolerances; folding counts as far."""
        if not tasks:
            return []
        views = [self._view(task, p) for task, p in zip(tasks, painted, strict=True)]
        landmarks, presence = self._mesh.landmarks([v.picture for v in views], [v.region for v in views])
        errors = []
        for task, paint, view, points, sure in zip(tasks, painted, views, landmarks, presence, strict=True):
            gap, apart = _off(view.in_picture(points[mouth.MOUTH, :2]), task)
            if count:
                self.tally.gap_errors.append(gap)
            error = max(gap / GAP_TOLERANCE, apart / POINT_TOLERANCE)
            folds = paint.least_area <= LEAST_AREA or sure < MIN_PRESENCE
            errors.append(error + 10.0 if folds else error)
        return errors

    def _view(self, task: _Task, painted: Painted) -> _View:
        """The face as it would be: the plate around, the painted crop laid over."""
        region = task.part.regions[task.row]
        half = 0.5 * region.size * _ROTATED
        around = Box(
            int(region.x - half), int(region.y - half), int(region.x + half) + 2, int(region.y + half) + 2
        ).aligned(2, self._video.width, self._video.height)
        codes = color.read_codes(task.frame, around)
        _lay_over(codes, around, painted.codes, task.box)
        scale = min(1.0, _CHECK_SIZE / max(around.width, around.height))
        if scale < 1:
            codes = cv2.resize(codes, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        rgb = color.codes_to_rgb(codes, self._video.color, self._video.bit_depth, self._video.pix_fmt)
        moved = replace(
            region, x=(region.x - around.left) * scale, y=(region.y - around.top) * scale, size=region.size * scale
        )
        return _View(rgb, moved, np.array([around.left, around.top], np.float32), scale)


def _lay_over(codes: np.ndarray, around: Box, painted: np.ndarray, box: Box) -> None:
    left, top = max(box.left, around.left), max(box.top, around.top)
    right, bottom = min(box.right, around.right), min(box.bottom, around.bottom)
    if left < right and top < bottom:
        part = painted[top - box.top : bottom - box.top, left - box.left : right - box.left]
        codes[top - around.top : bottom - around.top, left - around.left : right - around.left] = part


def _off(seen: np.ndarray, task: _Task) -> tuple[float, float]:
    """(gap error, mean lip distance) in face widths, of (51, 2) seen points in the picture.

    Where the whole mouth sits is left aside: the mesh reads a face's place from eyes and nose too.
    """
    wanted = task.part.target.lower[task.row][: len(mouth.MOUTH)]
    unit = float(task.part.target.placement.scale[task.row])
    apart = (seen - wanted)[:_LIPS]
    apart = apart - apart.mean(0)
    upper, lower = mouth.GAP_PAIRS[0]
    gap = np.linalg.norm(seen[lower] - seen[upper]) - np.linalg.norm(wanted[lower] - wanted[upper])
    return float(abs(gap)) / unit, float(np.linalg.norm(apart, axis=1).mean()) / unit
