"""The actor performs: decoded frames in, the same frames with new mouths out, in order and a few at a time.

Where a picture is made of two fields, filmed half a frame apart, a mouth is painted into each for its own time.

Takes a `Part` per actor (target, path through his library, painter) and yields every frame, edited where one says so.
Every painted mouth is looked at again with the landmark net. One that folds or is not where it was wanted is painted
from the next-best mouths of the library, then with a gentler target; what is worst is counted, never hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch

from lipsmith.engine import mouth
from lipsmith.engine.actor.library import box_around
from lipsmith.engine.faces.detect import Region
from lipsmith.engine.faces.occluders import lower_faces
from lipsmith.engine.faces.shield import Glimpse, shields
from lipsmith.engine.faces.track import Nets
from lipsmith.engine.faces.view import Patch, view
from lipsmith.engine.heap import giving_back
from lipsmith.engine.media import color
from lipsmith.engine.media.frame import Box, Frame
from lipsmith.engine.media.spec import VideoSpec
from lipsmith.engine.render.painter import MOST_FOLDED, Painted, Painter, Plate, paint_box
from lipsmith.engine.render.retrieval import Choice
from lipsmith.engine.render.target import Aim, Target

BATCH = 8  # frames looked at together
GAP_TOLERANCE = 0.03  # face widths: 3 % is also what counts as closed
POINT_TOLERANCE = 0.035  # mean distance of lip points, face widths
MIN_PRESENCE = 0.5
_LIPS = len(mouth.LIPS)  # of the 51 mouth points
_AROUND_LIPS = 0.06  # of the face width
_TRIES = 3  # other library mouths
_SETS_OF_FRAMES = ("dubbed", "shielded", "drawn")  # of a `Tally`
_GENTLER = 0.5  # share of the wanted mouth that is kept in a gentler target
_WORTH_A_CHANGE = 0.5  # tolerances: another mouth for one frame is seen as a flicker, a little more gap is not


@dataclass(frozen=True)
class Part:
    """One actor's role in a shot."""

    target: Target
    choice: Choice
    painter: Painter
    own_mouths: np.ndarray  # (S, 51, 3) of his library
    shot: int  # as in `Plate`


@dataclass
class Tally:
    """What happened, counted while it happens."""

    dubbed: set[int] = field(default_factory=set)  # frame indices
    shielded: set[int] = field(default_factory=set)  # those of them in which something lies before a dubbed face
    drawn: set[int] = field(default_factory=set)  # those in which the inside of a mouth is drawn, not filmed
    retried: int = 0
    softened: int = 0
    poor: int = 0  # still beyond tolerance after all tries; the best was kept
    gap_errors: list[float] = field(default_factory=list)  # face widths, one per painted mouth

    def add(self, other: Tally) -> None:
        """What happened in another part of the shot."""
        for name in _SETS_OF_FRAMES:
            getattr(self, name).update(getattr(other, name))
        self.retried += other.retried
        self.softened += other.softened
        self.poor += other.poor
        self.gap_errors += other.gap_errors

    def told(self) -> dict[str, Any]:
        """As JSON knows it, for another process."""
        return {**vars(self), **{name: sorted(getattr(self, name)) for name in _SETS_OF_FRAMES}}

    @classmethod
    def from_told(cls, told: Mapping[str, Any]) -> Tally:
        return cls(**{**told, **{name: set(told[name]) for name in _SETS_OF_FRAMES}})


@dataclass(frozen=True)
class _Task:
    """One mouth to paint."""

    part: Part
    row: int  # in the part's target
    aim: Aim
    frame: Frame
    plate: Plate
    lower_face: Region
    region: Region  # where the mesh looks at it

    def with_still(self, still: np.ndarray | None) -> _Task:
        """The same, knowing what is before the face."""
        return replace(self, plate=replace(self.plate, still=still))


@dataclass(frozen=True)
class _Result:
    """One painted mouth, and what it took."""

    painted: Painted
    error: float  # in tolerances: 1 or less is good
    gap_error: float  # of the first choice, face widths
    retried: bool = False  # the first choice was not good
    softened: bool = False  # nor was any other mouth


@dataclass(frozen=True)
class _Moment:
    """When a part of a frame's lines was filmed."""

    parity: int | None  # as in `Frame`
    later: float  # frames after what the face was measured in


_WHOLE = (_Moment(None, 0.0),)


def _fields(video: VideoSpec) -> tuple[_Moment, ...]:
    return _Moment(0, 0.0), _Moment(1, -0.5 if video.bottom_field_first else 0.5)


class Performance:
    """Edits frames of one shot. Holds at most `BATCH` frames, shared by `threads` painters."""

    def __init__(
        self, video: VideoSpec, nets: Nets, parts: tuple[Part, ...], threads: int = 1, *, combed: bool = False
    ) -> None:
        """`combed`: the shot's pictures are made of two fields each, and the parts' faces are the top field's."""
        self._moments = _fields(video) if combed else _WHOLE
        self._video, self._nets, self._parts, self._threads = video, nets, parts, threads
        self._rows = [{int(index): row for row, index in enumerate(p.target.indices)} for p in parts]
        self.tally = Tally()

    @property
    def edited(self) -> np.ndarray:
        """(E,) indices of all frames with a mouth to paint."""
        return np.array(sorted({index for rows in self._rows for index in rows}), np.int64)

    def play(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        waiting: list[Frame] = []
        # A painter's networks run on its own thread alone: what several threads gain on small batches they wait away.
        with ThreadPoolExecutor(self._threads, "painter", partial(torch.set_num_threads, 1)) as painters:
            for frame in giving_back(frames):
                waiting.append(frame)
                if len(waiting) == BATCH:
                    yield from self._edit(waiting, painters)
                    waiting = []
            yield from self._edit(waiting, painters)

    def _edit(self, frames: list[Frame], painters: Executor) -> list[Frame]:
        looked_at: dict[int, list[Box]] = {}
        for part, rows in zip(self._parts, self._rows, strict=True):
            seen = [frame for frame in frames if frame.index in rows]
            for frame in seen:
                frame.picture.make_writable()  # once, before two painters write into its two fields
            moments = list(product(seen, self._moments))
            tasks = list(painters.map(partial(self._task, part), [rows[f.index] for f, _ in moments], moments))
            tasks = [task.with_still(still) for task, still in zip(tasks, self._shields(tasks), strict=True)]
            shares = [share for share in (tasks[n :: self._threads] for n in range(self._threads)) if share]
            for share, results in zip(shares, painters.map(self._paint, shares), strict=True):
                for task, result in zip(share, results, strict=True):
                    self._count(task, result)
                    looked_at.setdefault(task.frame.index, []).append(self._lips(task.aim))
        return [replace(frame, focus=tuple(looked_at.get(frame.index, ()))) for frame in frames]

    def _count(self, task: _Task, result: _Result) -> None:
        index, tally = task.frame.index, self.tally
        tally.dubbed.add(index)
        if task.plate.still is not None:
            tally.shielded.add(index)
        if result.painted.drawn > 0.5:
            tally.drawn.add(index)
        tally.retried += result.retried
        tally.softened += result.softened
        tally.poor += result.error > 1
        tally.gap_errors.append(result.gap_error)

    def _lips(self, aim: Aim) -> Box:
        """Where the new lips are, and a little around them."""
        return box_around(aim.lower[mouth.OUTER], _AROUND_LIPS * aim.unit, self._video.seen_width, self._video.height)

    def _task(self, part: Part, row: int, seen: tuple[Frame, _Moment]) -> _Task:
        frame, moment = seen
        target, frame = part.target, frame.of_field(moment.parity)
        aim, region = target.between(row, moment.later), target.measured.region_at(target.rows[row])
        box = paint_box(aim.plate, aim.lower, aim.unit, self._video.seen_width, self._video.height)
        (lower_face,) = lower_faces(aim.placement)
        detail = float(target.measured.detail[target.rows[row]])
        plate = Plate(color.read_codes(frame, box), box, aim.plate, aim.unit, detail, part.shot)
        return _Task(part, row, aim, frame, plate, lower_face, region)

    def _shields(self, tasks: list[_Task]) -> list[np.ndarray | None]:
        """Of each crop what must stay as it was filmed, or None."""
        glimpses = [Glimpse(t.frame, t.lower_face, t.plate.points, t.plate.box) for t in tasks]
        return shields(glimpses, self._nets.occluders, self._video)

    def _paint(self, tasks: list[_Task]) -> list[_Result]:
        """Into their frames."""
        painted = [self._painted(t, int(t.part.choice.rows[t.row]), t.aim.lower) for t in tasks]
        firsts = self._checked(tasks, painted)
        results = [r if r.error <= 1 else self._again(t, r) for t, r in zip(tasks, firsts, strict=True)]
        for task, result in zip(tasks, results, strict=True):
            plate, matte = task.plate, result.painted.matte
            matte = matte if plate.still is None else matte * (1 - plate.still)
            color.write_codes(task.frame, plate.box, result.painted.codes, matte)
        return results

    def _painted(self, task: _Task, library_row: int, wanted: np.ndarray) -> Painted:
        weight = float(task.part.target.weight[task.row])
        return task.part.painter.paint(task.plate, wanted, library_row, weight)

    def _again(self, task: _Task, first: _Result) -> _Result:
        """Other mouths, then a gentler one; the best of all."""
        best = replace(first, retried=True)
        used = int(task.part.choice.rows[task.row])
        others = [int(r) for r in task.part.choice.alternatives[task.row] if abs(int(r) - used) > 1][:_TRIES]
        for library_row in others:
            best = self._better(best, task, self._painted(task, library_row, task.aim.lower))
            if best.error <= 1:
                return best
        own = others[0] if others else used
        return replace(self._better(best, task, self._painted(task, own, self._gentler(task, own))), softened=True)

    def _gentler(self, task: _Task, library_row: int) -> np.ndarray:
        """(P, 2) wanted points moved half-way to what the library's mouth does by itself."""
        aim = task.aim
        own = task.part.own_mouths[library_row]
        change = (1 - _GENTLER) * (own - task.part.target.mouths[task.row])
        moved, still = aim.placement.to_picture(np.stack([change, np.zeros_like(change)]))[..., :2]
        wanted = aim.lower.copy()
        wanted[: len(mouth.MOUTH)] += moved - still
        return wanted

    def _better(self, best: _Result, task: _Task, painted: Painted) -> _Result:
        (found,) = self._checked([task], [painted])
        is_better = found.error < best.error - _WORTH_A_CHANGE
        return replace(best, painted=painted, error=found.error) if is_better else best

    def _checked(self, tasks: list[_Task], painted: list[Painted]) -> list[_Result]:
        """How far each painted mouth is from what was wanted; folding counts as far."""
        views = [
            view(task.frame, task.region, self._video, Patch(task.plate.box, p.codes))
            for task, p in zip(tasks, painted, strict=True)
        ]
        lips, presence = self._nets.mesh.lips([v.picture for v in views], [v.region for v in views])
        results = []
        for task, paint, seen, points, sure in zip(tasks, painted, views, lips, presence, strict=True):
            gap, apart = _off(seen.in_picture(points), task)
            error = max(gap / GAP_TOLERANCE, apart / POINT_TOLERANCE)
            folds = paint.folded > MOST_FOLDED or sure < MIN_PRESENCE
            results.append(_Result(paint, error + 10.0 if folds else error, gap))
        return results


def _off(seen: np.ndarray, task: _Task) -> tuple[float, float]:
    """(gap error, mean lip distance) in face widths, of (40, 2) seen lips in the picture.

    Where the whole mouth sits is left aside: the mesh reads a face's place from eyes and nose too.
    """
    wanted, unit = task.aim.lower[:_LIPS], task.aim.unit
    apart = seen - wanted
    apart = apart - apart.mean(0)
    upper, lower = mouth.GAP_PAIRS[0]
    gap = np.linalg.norm(seen[lower] - seen[upper]) - np.linalg.norm(wanted[lower] - wanted[upper])
    return float(abs(gap)) / unit, float(np.linalg.norm(apart, axis=1).mean()) / unit
