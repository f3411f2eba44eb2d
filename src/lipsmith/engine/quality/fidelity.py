"""Is it still the same picture? What a dub changed, measured from the two files alone.

Takes the source and the dub, gives a `Fidelity`: change outside the faces, sharpness, jerk, closures, seams, and how
far the mouth opens in both. Streams both files side by side. Does not know how the dub was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.faces import identity
from lipsmith.engine.faces.measure import Measured, measure
from lipsmith.engine.faces.track import FaceTrack, Nets, torch_device, watch
from lipsmith.engine.media import decode
from lipsmith.engine.media.frame import Box
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.progress import Progress, silent
from lipsmith.weights import WeightStore

CLOSED_GAP = 0.03  # face widths: below it lips count as closed
IDENTICAL_DB = 99.0  # PSNR reported where not one pixel differs
EDITED_DB = 3.0  # a mouth that changed by this much more than the picture around it was edited
SMALL_FACE_PX = 60  # face widths below it are measured with little certainty

# The generous region in which a dub may change the picture, in face widths around the face's own centre line.
_REGION_SIDE = 0.95
_REGION_BELOW_CHIN = 0.7
_RING_WIDTH = 0.06  # of the band on which a seam would show
_RING_OUTSIDE = 1.12  # scale of the lower-face outline on which the ring lies
_RING_BLUR = 0.1  # side of the box average: detail finer than this is motion, not seam

_CHEEKS = (234, 454)
_BROW_LINE = 168  # bridge of the nose: the region's top
_CHIN = 152
# Lower outline of the face from one cheekbone to the other, then back below the nose.
# fmt: off
_LOWER_FACE = (234,93,132,58,172,136,150,149,176,148,152,377,400,378,379,365,397,288,361,323,454,425,2,205)
# fmt: on


MOMENTS = 12  # frames shown to a person


@dataclass(frozen=True)
class Moment:
    """A frame worth looking at."""

    index: int
    mouth: Box  # in the source as it is seen, pixels


@dataclass(frozen=True)
class ActorFidelity:
    """One face of the source and what became of it. Curves share their length: one value per frame of the source."""

    actor: int
    frames: int  # where the face is seen in both files
    mean_face_width_px: float
    edited: bool  # his mouth changed, against the picture around
    mouth_psnr_db: float  # dub against source in the mouth box
    sharpness_ratio: float  # Laplacian energy of the mouth box, dub / source; 1 is equal
    jerk_ratio: float  # third difference of the lip points, dub / source
    closed_share_source: float  # of frames with an inner gap below CLOSED_GAP
    closed_share_dub: float
    identity_similarity: float  # 1 less the distance of dub and source as `FaceIdentity` sees them; strangers: 0.2
    seam: float  # mean colour difference on the ring around the lower face, levels of 255
    opening_source: np.ndarray  # (T,) float32 inner lip gap in face widths, NaN where the face is not seen
    opening_dub: np.ndarray  # (T,) float32
    moments: tuple[Moment, ...]  # spread over the shot, each where the two mouths differ most


@dataclass(frozen=True)
class Fidelity:
    """What a dub changed in the picture."""

    frames: int  # compared
    frame_rate: float
    outside_psnr_db: float  # all pixels outside the faces' regions; IDENTICAL_DB where none differs
    outside_worst_frame_db: float
    outside_max_difference: int  # levels of 255, after decoding
    actors: tuple[ActorFidelity, ...]
    warnings: tuple[str, ...]

    @property
    def edited(self) -> tuple[ActorFidelity, ...]:
        return tuple(actor for actor in self.actors if actor.edited)


def judge(
    source: Path,
    dub: Path,
    *,
    store: WeightStore,
    device: str = "auto",
    threads: int = 2,
    progress: Progress = silent,
) -> Fidelity:
    """Compare two files of the same shot. Raises the InputErrors of `probe` and `decode`, WeightsError."""
    nets = Nets(store, torch_device(device))
    specs = probe(source), probe(dub)
    before, after = look_at_both(specs, nets, threads=threads, progress=progress)
    return compare(specs, before, same_places(before, after), threads=threads, progress=progress)


@dataclass(frozen=True)
class Seen:
    """What is kept of a FaceTrack: a few points per frame instead of all. Rows share their first axis."""

    actor: int
    measured: Measured
    seconds: np.ndarray  # (N,) float64 from the first frame of the file
    region: np.ndarray  # (N, 4) float32 left, top, right, bottom: where a dub may change the picture
    mouth: np.ndarray  # (N, 4) float32: the mouth's box
    outline: np.ndarray  # (N, P, 2) float32: of the lower face
    segments: tuple[slice, ...]
    identity: np.ndarray  # (128,) float32

    @classmethod
    def of(cls, track: FaceTrack, frame_seconds: np.ndarray) -> Seen:
        """`frame_seconds` (F,): when each frame of the stream is shown."""
        measured = measure(track)
        width = measured.placement.scale
        return cls(
            actor=track.actor,
            measured=measured,
            seconds=frame_seconds[track.indices],
            region=_region(track, width),
            mouth=_mouth_box(track.at(*mouth.LIPS_OUTER)[..., :2], width),
            outline=track.at(*_LOWER_FACE)[..., :2].copy(),
            segments=tuple(track.segments()),
            identity=track.identity,
        )

    @property
    def indices(self) -> np.ndarray:
        """(N,) frame indices."""
        return self.measured.indices

    @property
    def face_width(self) -> np.ndarray:
        """(N,) pixels."""
        return self.measured.placement.scale

    @property
    def openings(self) -> np.ndarray:
        """(N,) inner gap, face widths."""
        return self.measured.gap()

    def rows_by_index(self) -> dict[int, int]:
        return {int(index): row for row, index in enumerate(self.indices)}


def look_at_both(
    specs: tuple[MediaSpec, MediaSpec], nets: Nets, *, threads: int = 2, progress: Progress = silent
) -> tuple[tuple[Seen, ...], tuple[Seen, ...]]:
    """Every face of source and dub, most screen time first. Raises NoVideoStream, BrokenMedia."""
    seen = []
    for spec, stage in zip(specs, ("source", "dub"), strict=True):
        tracking = watch(spec, nets, threads=threads, progress=progress, stage=stage)
        seconds = (tracking.pts - tracking.pts[0]) * float(require_video(spec).time_base)
        seen.append(tuple(Seen.of(track, seconds) for track in tracking.tracks))
    return seen[0], seen[1]


def same_places(before: Sequence[Seen], after: Sequence[Seen]) -> tuple[tuple[Seen, Seen], ...]:
    """Each face of the source with the face that is in its place in the dub, if there is one."""
    return tuple((one, other) for one in before if (other := _same_place(one, after)) is not None)


def _region(track: FaceTrack, width: np.ndarray) -> np.ndarray:
    middle = track.at(*_CHEEKS)[..., 0].mean(1)
    chin, brow = track.at(_CHIN, _BROW_LINE)[..., 1].T
    low, high = np.maximum(chin, brow), np.minimum(chin, brow)
    return np.stack(
        [middle - _REGION_SIDE * width, high, middle + _REGION_SIDE * width, low + _REGION_BELOW_CHIN * width], 1
    )


def _mouth_box(lips: np.ndarray, width: np.ndarray) -> np.ndarray:
    """(N, P, 2) lips with a margin of a tenth of the face around, and room for an open mouth below."""
    margin = 0.1 * width[:, None]
    return np.concatenate([lips.min(1) - margin, lips.max(1) + margin], 1)


def _same_place(one: Seen, others: Sequence[Seen]) -> Seen | None:
    """Of the dub's faces the one that is most often where `one` is in the source."""
    best = max(others, key=lambda other: _shared_frames(one, other), default=None)
    return best if best is not None and _shared_frames(one, best) > 0 else None


def _shared_frames(one: Seen, other: Seen) -> int:
    rows_one, rows_other = _common_rows(one, other)
    apart = np.linalg.norm(_center(one)[rows_one] - _center(other)[rows_other], axis=1)
    return int((apart < 0.5 * one.face_width[rows_one]).sum())


def _center(seen: Seen) -> np.ndarray:
    return seen.outline.mean(1)


def _common_rows(one: Seen, other: Seen) -> tuple[np.ndarray, np.ndarray]:
    _, rows_one, rows_other = np.intersect1d(one.indices, other.indices, assume_unique=True, return_indices=True)
    return rows_one, rows_other


class _Outside:
    """Change outside the faces, summed frame by frame."""

    def __init__(self) -> None:
        self._squares = 0.0
        self._samples = 0
        self._worst_db = IDENTICAL_DB
        self._largest = 0

    def add(self, one: np.ndarray, other: np.ndarray, boxes: Sequence[Box]) -> None:
        """(H, W, 3) uint8 pictures; `boxes` do not count."""
        difference = cv2.absdiff(one, other)
        for box in boxes:
            difference[box.top : box.bottom, box.left : box.right] = 0
        covered = np.zeros(one.shape[:2], np.uint8)
        for box in boxes:
            covered[box.top : box.bottom, box.left : box.right] = 1
        samples = 3 * (covered.size - int(cv2.countNonZero(covered)))
        squares = float(cv2.norm(difference, cv2.NORM_L2SQR))
        self._squares += squares
        self._samples += samples
        self._worst_db = min(self._worst_db, psnr_db(squares, samples))
        self._largest = max(self._largest, int(difference.max()))

    @property
    def figures(self) -> tuple[float, float, int]:
        """(PSNR of all, PSNR of the worst frame, largest difference)."""
        return psnr_db(self._squares, self._samples), self._worst_db, self._largest


class _Changes:
    """Change of one actor's mouth and of the ring around his lower face, summed frame by frame."""

    def __init__(self, source: Seen, dub: Seen) -> None:
        self.source, self.dub = source, dub
        self._rows = source.rows_by_index()
        self._squares = 0.0
        self._samples = 0
        self._energies = [0.0, 0.0]  # source, dub
        self._seams: list[float] = []
        self.boxes: dict[int, Box] = {}

    def add(self, index: int, one: np.ndarray, other: np.ndarray) -> None:
        row = self._rows.get(index)
        if row is None:
            return
        height, width = one.shape[:2]
        box = _box(self.source.mouth[row], width, height)
        if box is None:
            return
        self.boxes[index] = box
        crops = [picture[box.top : box.bottom, box.left : box.right] for picture in (one, other)]
        self._squares += float(cv2.norm(crops[0], crops[1], cv2.NORM_L2SQR))
        self._samples += crops[0].size
        for which, crop in enumerate(crops):
            self._energies[which] += _laplacian_energy(crop)
        self._seams.append(_seam(one, other, self.source.outline[row], float(self.source.face_width[row])))

    def result(self, frame_count: int, outside_db: float) -> ActorFidelity:
        change_db = psnr_db(self._squares, self._samples)
        rows_source, rows_dub = _common_rows(self.source, self.dub)
        openings = _curve(self.source, frame_count), _curve(self.dub, frame_count)
        closed = [seen.openings[rows] < CLOSED_GAP for seen, rows in ((self.source, rows_source), (self.dub, rows_dub))]
        return ActorFidelity(
            actor=self.source.actor,
            frames=len(rows_source),
            mean_face_width_px=float(self.source.face_width.mean()),
            edited=change_db < outside_db - EDITED_DB,
            mouth_psnr_db=change_db,
            sharpness_ratio=_ratio(self._energies[1], self._energies[0]),
            jerk_ratio=_ratio(_jerk(self.dub), _jerk(self.source)),
            identity_similarity=1 - identity.apart(self.source.identity, self.dub.identity),
            closed_share_source=float(closed[0].mean()),
            closed_share_dub=float(closed[1].mean()),
            seam=float(np.mean(self._seams)) if self._seams else 0.0,
            opening_source=openings[0],
            opening_dub=openings[1],
            moments=tuple(Moment(i, self.boxes[i]) for i in _most_different(*openings, sorted(self.boxes))),
        )


def compare(
    specs: tuple[MediaSpec, MediaSpec],
    before: Sequence[Seen],
    pairs: Sequence[tuple[Seen, Seen]],
    *,
    threads: int = 2,
    progress: Progress = silent,
) -> Fidelity:
    """The pictures of source and dub side by side, with the faces of the source and what became of each."""
    outside, changes = _Outside(), [_Changes(one, other) for one, other in pairs]
    regions = [(seen, seen.rows_by_index()) for seen in before]
    video = require_video(specs[0])
    total, count = video.frame_count_from_content, 0
    for index, one, other in _side_by_side(specs, threads):
        height, width = one.shape[:2]
        found = [_box(seen.region[rows[index]], width, height) for seen, rows in regions if index in rows]
        outside.add(one, other, [box for box in found if box is not None])
        for change in changes:
            change.add(index, one, other)
        count = index + 1
        progress("compare", count, total)
    overall_db, worst_db, largest = outside.figures
    actors = tuple(change.result(count, overall_db) for change in changes if change.boxes)
    return Fidelity(
        frames=count,
        frame_rate=float(video.frame_rate),
        outside_psnr_db=overall_db,
        outside_worst_frame_db=worst_db,
        outside_max_difference=largest,
        actors=actors,
        warnings=tuple(_warnings(before, actors)),
    )


def _side_by_side(specs: tuple[MediaSpec, MediaSpec], threads: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(index, source picture, dub picture) as (H, W, 3) uint8 RGB, as long as both last and have one size."""
    streams = [decode.frames(spec, threads=threads) for spec in specs]
    for one, other in zip(*streams, strict=False):
        pictures = decode.rgb(one), decode.rgb(other)
        if pictures[0].shape != pictures[1].shape:
            return
        yield one.index, *pictures


def _warnings(before: Sequence[Seen], actors: Sequence[ActorFidelity]) -> Iterator[str]:
    if not before:
        yield "No face was found in the source: nothing is known of mouths."
    elif not any(actor.edited for actor in actors):
        yield "No mouth differs from the source more than its surroundings."
    for actor in actors:
        if actor.mean_face_width_px < SMALL_FACE_PX:
            yield f"Actor {actor.actor}'s face is {actor.mean_face_width_px:.0f} px wide: figures about him are rough."


def _box(edges: np.ndarray, width: int, height: int) -> Box | None:
    """The part inside the picture, or None where there is none."""
    left, top = (max(int(edge), 0) for edge in edges[:2])
    right, bottom = min(int(edges[2]) + 1, width), min(int(edges[3]) + 1, height)
    return Box(left, top, right, bottom) if left < right and top < bottom else None


def psnr_db(squares: float, samples: int) -> float:
    """PSNR of 8-bit samples from their sum of squared differences; IDENTICAL_DB where nothing differs."""
    if samples == 0 or squares == 0:
        return IDENTICAL_DB
    return min(IDENTICAL_DB, float(10 * np.log10(255**2 * samples / squares)))


def _laplacian_energy(crop: np.ndarray) -> float:
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float(np.square(cv2.Laplacian(gray, cv2.CV_32F)).mean())


def _seam(one: np.ndarray, other: np.ndarray, outline: np.ndarray, face_width: float) -> float:
    """Mean difference of low-passed colour on the ring, levels of 255."""
    center = outline.mean(0)
    ring = center + _RING_OUTSIDE * (outline - center)
    margin = 2 * _RING_WIDTH * face_width
    box = _box(np.concatenate([ring.min(0) - margin, ring.max(0) + margin]), one.shape[1], one.shape[0])
    if box is None:
        return 0.0
    mask = np.zeros((box.height, box.width), np.uint8)
    contour = np.rint(ring - (box.left, box.top)).astype(np.int32)
    cv2.polylines(mask, [contour], isClosed=True, color=1, thickness=max(1, round(_RING_WIDTH * face_width)))
    side = 2 * round(_RING_BLUR * face_width / 2) + 1
    crops = [picture[box.top : box.bottom, box.left : box.right] for picture in (one, other)]
    smooth = [cv2.blur(crop, (side, side)) for crop in crops]
    return float(np.mean(cv2.mean(cv2.absdiff(*smooth), mask)[:3]))


def _jerk(seen: Seen) -> float:
    """Mean length of the third difference of the lip points over stretches without a gap, face widths per frame^3."""
    lips = seen.measured.points[:, : len(mouth.LIPS_OUTER) + len(mouth.LIPS_INNER), :2]
    thirds = [np.diff(lips[rows], 3, axis=0) for rows in seen.segments if rows.stop - rows.start > 3]
    return float(np.linalg.norm(np.concatenate(thirds), axis=-1).mean()) if thirds else 0.0


def _most_different(one: np.ndarray, other: np.ndarray, indices: Sequence[int]) -> list[int]:
    """Of each of MOMENTS stretches of `indices` the frame where the openings are furthest apart."""
    distance = np.nan_to_num(np.abs(one - other), nan=-1.0)
    chosen: list[int] = []
    for stretch in np.array_split(np.asarray(indices), min(MOMENTS, len(indices))):
        apart = stretch[stretch > chosen[-1] + len(stretch) // 3] if chosen else stretch
        chosen.append(int(apart[np.argmax(distance[apart])]))
    return chosen


def _curve(seen: Seen, frame_count: int) -> np.ndarray:
    curve = np.full(frame_count, np.nan, np.float32)
    inside = seen.indices < frame_count
    curve[seen.indices[inside]] = seen.openings[inside]
    return curve


def _ratio(new: float, old: float) -> float:
    return new / old if old > 0 else 1.0
