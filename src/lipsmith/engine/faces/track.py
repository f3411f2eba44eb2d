"""Faces through time: one `FaceTrack` per actor, landmarks on every frame where he can be seen.

Takes pictures in order (with the cuts between them), gives tracks. Works a *chunk* at a time: the detector looks at a
chunk's first and last picture, each face's region runs straight between the two, and the mesh is run twice (the second
time on the region of its own first answer), so nothing depends on the direction of time and everything is batched.
Who a face is is asked when it comes into view, and at the end who is whom. Smoothing is zero-phase and never crosses a
cut. Knows no mouth and no sound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from scipy.ndimage import correlate1d

from lipsmith.engine import mouth
from lipsmith.engine.faces.align import place
from lipsmith.engine.faces.appearances import Appearance, Person, Seen, persons
from lipsmith.engine.faces.detail import detail
from lipsmith.engine.faces.detect import Detection, FaceDetector, Region
from lipsmith.engine.faces.identity import FaceIdentity
from lipsmith.engine.faces.mesh import FaceMesh, region_of
from lipsmith.engine.faces.occluders import OccluderFinder, lower_faces, share_hidden
from lipsmith.engine.faces.points import LOWER_FACE, STABLE, at
from lipsmith.engine.heap import giving_back
from lipsmith.engine.media import decode, shots
from lipsmith.engine.media.combing import CombFinder
from lipsmith.engine.media.gops import Excerpt
from lipsmith.engine.media.held import HeldFinder
from lipsmith.engine.media.probe import require_video
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.progress import Progress, silent
from lipsmith.weights import WeightStore

CHUNK = 8  # frames between detections
MIN_PRESENCE = 0.5
_HIDDEN_EVERY = 4  # frames between looks at what hides a mouth: it does so for longer
# Scores. Faces that are upright for the detector have 0.85 and more, but for profiles, and on their side 0.5-0.7;
# textures on their side come to 0.83. By how much a turned picture must do better.
_SURE, _SURE_TURNED, _BETTER = 0.75, 0.85, 0.15
_MIN_OVERLAP = 0.2  # of regions, to be the same face in neighbouring looks
_MAX_FACES = 5  # per picture, largest first
_LEAST_SIZE = 0.35  # of the largest face: smaller ones are passers-by
_GAP_SECONDS = 2.0  # a face that returns within this time near its place in the same shot is the same
_PROGRESS_EVERY = 8  # frames
_LONGEST_SIDE = 1920  # pixels; larger pictures are looked at scaled down: the nets see 192 of them anyway
_SMOOTH_SECONDS = 0.2  # Savitzky-Golay window; order 2 keeps closures of two frames


@dataclass(frozen=True)
class FaceTrack:
    """One actor's face. Arrays but the last share their first axis: one row per frame where he was seen."""

    actor: int  # from 1, by screen time
    indices: np.ndarray  # (N,) int64 frame indices in the stream, increasing
    landmarks: np.ndarray  # (N, K, 3) float32: KEPT, pixels of the coded picture, smoothed
    presence: np.ndarray  # (N,) float32 in [0, 1]
    doubt: np.ndarray  # (N,) float32 pixels between the lips as seen and as seen in the mirror: large where hidden
    covered: np.ndarray  # (N,) float32 in [0, 1]: share of the lips that something else is before
    shot: np.ndarray  # (N,) int32: number of the shot, from 0
    raw: np.ndarray  # (N, P, 3) float32: LOWER_FACE as the net saw each picture by itself: pixels are taken from there
    detail: np.ndarray  # (N,) float32, as `detail.detail`: little where he is out of focus or turns fast
    held: np.ndarray  # (N,) bool: the picture of the row before is shown once more
    identity: np.ndarray  # (128,) float32: who he is, as `identity.FaceIdentity` sees him in the mean

    def __post_init__(self) -> None:
        counts = {len(array) for name, array in vars(self).items() if name not in ("actor", "identity")}
        if len(counts) != 1:
            raise ValueError(f"a track's arrays have one length: {counts = }")

    def __len__(self) -> int:
        return len(self.indices)

    def at(self, *points: int) -> np.ndarray:
        """(N, len(points), 3) smoothed points of the mesh, by their numbers. Raises KeyError for one not kept."""
        return self.landmarks[:, at(points)]

    def segments(self) -> list[slice]:
        """Rows without a gap in time and without a cut."""
        breaks = np.flatnonzero((np.diff(self.indices) != 1) | (np.diff(self.shot) != 0)) + 1
        edges = [0, *breaks.tolist(), len(self)]
        return [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a]


@dataclass(frozen=True)
class Look:
    """One picture given to the tracker."""

    index: int
    picture: np.ndarray  # (H, W, 3) uint8 RGB
    cut: bool = False  # first picture of a new shot


class Tracker:
    """Push pictures in order, then `finish`. Memory: landmarks only (2.5 kB a face and frame), never pictures."""

    def __init__(self, nets: Nets, *, frame_rate: float, rotation_degrees: int = 0) -> None:
        self._nets = nets
        self._frame_rate, self._rotation, self._upright = frame_rate, rotation_degrees, rotation_degrees
        self._unsure = 0  # looks in this shot without a face that is sure
        self._waiting: list[Look] = []
        self._faces: list[Appearance] = []
        self._shot = 0
        self._frames = 0
        self._dissolves: list[int] = []

    @property
    def frames(self) -> int:
        """Pictures seen so far."""
        return self._frames

    @property
    def dissolves(self) -> tuple[int, ...]:
        """First frame indices of shots into which the one before has dissolved, as far as faces tell."""
        return tuple(self._dissolves)

    def push(self, look: Look) -> None:
        self._frames += 1
        if look.cut and self._waiting:
            self._process()
        if look.cut and self._frames > 1:
            self._next_shot()
        self._waiting.append(look)
        if len(self._waiting) == CHUNK:
            self._process()

    def finish(self, held: frozenset[int] = frozenset()) -> tuple[FaceTrack, ...]:
        """All tracks, most screen time first. `held`: frames that show the picture before them once more."""
        if self._waiting:
            self._process()
        found = sorted(persons([face for face in self._faces if face.rows]), key=_screen_time, reverse=True)
        return tuple(self._track(number, person, held) for number, person in enumerate(found, 1))

    def _process(self) -> None:
        looks, self._waiting = self._waiting, []
        ends = [looks[0], looks[-1]] if len(looks) > 1 else looks
        found = self._found([look.picture for look in ends])
        regions = [_foremost([d.region for d in detections]) for detections in found]
        for start, end in _pair(regions[0], regions[-1]):
            self._follow(looks, start, end)

    def _found(self, pictures: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Faces in each picture; of those that lie on their side, too, where no upright one is sure.

        Others are looked for the first, second, fourth ... time that nobody is sure in a shot, in its first picture.
        """
        found = self._nets.detector.detect(pictures, self._rotation)
        if _surest(found) >= _SURE:
            return found
        self._unsure += 1
        if self._unsure & (self._unsure - 1) == 0:
            turned = [(self._rotation + quarter) % 360 for quarter in (90, 180, 270)]
            sure = [_surest(self._nets.detector.detect(pictures[:1], degrees)) for degrees in turned]
            if max(sure) >= max(_SURE_TURNED, _surest(found) + _BETTER):
                self._rotation = turned[int(np.argmax(sure))]
                return self._nets.detector.detect(pictures, self._rotation)
        return found

    def _follow(self, looks: Sequence[Look], start: Region, end: Region) -> None:
        pictures = [look.picture for look in looks]
        shares = np.linspace(0, 1, len(looks)) if len(looks) > 1 else [0.0]
        rough = self._nets.mesh.without_lips(pictures, [start.toward(end, float(s)) for s in shares])
        points, presence = self._nets.mesh.landmarks(pictures, [region_of(p) for p in rough])
        seen = [i for i in range(len(looks)) if presence[i] >= MIN_PRESENCE]
        if not seen:
            return
        first = seen[0]
        face = self._whose(looks[first].index, region_of(points[first]))
        certain = 1.0
        if face.wants_look(shots.thumbnail(pictures[first])):
            (look,) = self._nets.identity.look([pictures[first]], points[first : first + 1])
            if face.is_somebody_else(look):
                face, certain = self._after_dissolve(face, looks[0].index), 0.0
            face.recognise(look)
        some = range(0, len(looks), _HIDDEN_EVERY)
        now_and_then = [pictures[i] for i in some], points[some]
        doubt, covered = (
            np.interp(np.arange(len(looks)), some, values)
            for values in (self._doubt(*now_and_then), self._covered(*now_and_then))
        )
        for i in seen:
            sure, sharp = certain * float(presence[i]), detail(pictures[i], points[i])
            face.add(Seen(looks[i].index, sure, float(doubt[i]), float(covered[i]), self._shot, sharp), points[i])

    def _next_shot(self) -> None:
        for face in self._faces:
            if face.shot == self._shot:
                face.closed()
        self._shot += 1
        self._rotation, self._unsure = self._upright, 0

    def _after_dissolve(self, face: Appearance, index: int) -> Appearance:
        """Whoever is in the place of `face` from this frame on. Frames beside it show both."""
        face.doubt_last(CHUNK)
        self._next_shot()
        self._dissolves.append(index)
        self._faces.append(Appearance(face.region, index - 1, self._shot))
        return self._faces[-1]

    def _doubt(self, pictures: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
        """(n,) pixels by which the lips of (n, 468, 3) points lie elsewhere in the mirror."""
        mirrored = self._nets.mesh.lips_in_mirror(pictures, [region_of(p) for p in points])
        return np.linalg.norm(points[:, mouth.LIPS, :2].mean(1) - mirrored, axis=1)

    def _covered(self, pictures: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
        """(n,) share of the lips that something is before."""
        regions = lower_faces(place(points[:, STABLE]))
        likely = self._nets.occluders.look(pictures, regions)
        lips = points[:, mouth.LIPS_OUTER, :2]
        return np.array([share_hidden(*each) for each in zip(likely, lips, regions, strict=True)])

    def _whose(self, index: int, region: Region) -> Appearance:
        """The appearance that a face in this region continues, or a new one."""
        near = [
            f
            for f in self._faces
            if f.shot == self._shot
            and 0 < index - f.last_index <= _GAP_SECONDS * self._frame_rate
            and f.region.overlap(region) > _MIN_OVERLAP
        ]
        if near:
            return max(near, key=lambda f: f.region.overlap(region))
        self._faces.append(Appearance(region, index - 1, self._shot))
        return self._faces[-1]

    def _track(self, number: int, person: Person, held: frozenset[int]) -> FaceTrack:
        rows = [row for each in person.appearances for row in each.rows]
        order = np.argsort([row.frame for row in rows])
        landmarks = np.concatenate([block for each in person.appearances for block in each.closed()])[order]
        for each in person.appearances:
            each.blocks.clear()
        indices, presence, doubt, covered, shot, sharp = zip(*(rows[i] for i in order), strict=True)
        track = FaceTrack(
            number,
            np.array(indices, np.int64),
            landmarks,
            np.array(presence, np.float32),
            np.array(doubt, np.float32),
            np.array(covered, np.float32),
            np.array(shot, np.int32),
            landmarks[:, : len(LOWER_FACE)].copy(),
            np.array(sharp, np.float32),
            _shown_again(np.array(indices), np.array(shot), held),
            person.identity,
        )
        smooth(track, self._frame_rate)
        return track


def smooth(track: FaceTrack, frame_rate: float) -> None:
    """Takes the net's jitter out of a track's landmarks in place, segment by segment, without delay."""
    for rows in track.segments():
        first = np.flatnonzero(~track.held[rows])  # a picture that is held is one, however long it is seen
        length = len(first)
        pace = frame_rate * (length / (rows.stop - rows.start))
        window = max(5, 2 * round(_SMOOTH_SECONDS * pace / 2) + 1)
        size = min(window, length if length % 2 else length - 1)
        if length == rows.stop - rows.start:  # an hour of them is large: nothing is copied for nothing
            if size >= 5:
                track.landmarks[rows] = _fitted(track.landmarks[rows], size)
            continue
        counts = np.diff(np.append(first, rows.stop - rows.start))
        pictures = np.add.reduceat(track.landmarks[rows], first) / counts[:, None, None].astype(np.float32)
        track.landmarks[rows] = np.repeat(_fitted(pictures, size) if size >= 5 else pictures, counts, 0)


def _shown_again(indices: np.ndarray, shot: np.ndarray, held: frozenset[int]) -> np.ndarray:
    """(N,) bool: rows that show the picture of the row before."""
    follows = np.append(False, (np.diff(indices) == 1) & (np.diff(shot) == 0))
    return follows & np.isin(indices, sorted(held))


def _fitted(values: np.ndarray, size: int) -> np.ndarray:
    """(F, ...) with each value on the parabola that fits the `size` (odd) nearest best; at the ends the outermost one.

    The filter of Savitzky and Golay (Analytical Chemistry 36, 1964). SciPy has it in a module that takes longer to
    import than all else here but torch.
    """
    half = size // 2
    powers = np.vander(np.arange(size) - half, 3)
    fit = powers @ np.linalg.pinv(powers)  # row i: what each of `size` values adds to the parabola at i
    fitted = correlate1d(values, fit[half], axis=0)
    fitted[:half] = np.tensordot(fit[:half], values[:size], 1)
    fitted[-half:] = np.tensordot(fit[half + 1 :], values[-size:], 1)
    return fitted


def _foremost(regions: Sequence[Region]) -> list[Region]:
    """The largest faces of a picture."""
    by_size = sorted(regions, key=lambda region: region.size, reverse=True)[:_MAX_FACES]
    return [region for region in by_size if region.size >= _LEAST_SIZE * by_size[0].size]


def _surest(found: Sequence[Sequence[Detection]]) -> float:
    return max((face.score for faces in found for face in faces), default=0.0)


def _screen_time(person: Person) -> int:
    return sum(len(each.rows) for each in person.appearances)


def _pair(first: Sequence[Region], last: Sequence[Region]) -> Iterator[tuple[Region, Region]]:
    """Faces of a chunk: matched between its ends where possible, held still where only one end shows them."""
    left = list(last)
    for region in first:
        match = max(left, key=region.overlap, default=None)
        if match is not None and region.overlap(match) > _MIN_OVERLAP:
            left.remove(match)
            yield region, match
        else:
            yield region, region
    for region in left:
        yield region, region


@dataclass(frozen=True)
class Tracking:
    """What one pass over a file's pictures found."""

    tracks: tuple[FaceTrack, ...]  # most screen time first
    cuts: tuple[int, ...]  # first frame index of each new shot
    pts: np.ndarray  # (F,) int64 of every frame, in the stream's time base
    combed: bool  # its pictures are made of two fields of different times; the top field was looked at


class Nets:
    """The networks that look at faces, on one device."""

    def __init__(self, store: WeightStore, device: torch.device) -> None:
        self.detector = FaceDetector(store.path("face_detector"), device)
        self.mesh = FaceMesh(store.path("face_mesh"), device)
        self._identity = store.path("face_identity")
        self._device = device

    @cached_property
    def identity(self) -> FaceIdentity:
        """Read when first asked for: who renders does not ask. Raises WeightsCorrupt."""
        return FaceIdentity(self._identity, self._device)

    @cached_property
    def occluders(self) -> OccluderFinder:
        """Read when first asked for: where one is trained there is none yet."""
        return OccluderFinder(self._device)


def track_faces(
    spec: MediaSpec,
    *,
    store: WeightStore,
    device: str = "auto",
    threads: int = 2,
    progress: Progress = silent,
    stage: str = "faces",
) -> tuple[FaceTrack, ...]:
    """All faces of a file, most screen time first. Raises NoVideoStream, BrokenMedia, WeightsError."""
    nets = Nets(store, torch_device(device))
    return watch(spec, nets, threads=threads, progress=progress, stage=stage).tracks


def torch_device(name: str) -> torch.device:
    """ "auto" is CUDA where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def watch(
    spec: MediaSpec,
    nets: Nets,
    excerpt: Excerpt | None = None,
    *,
    threads: int = 2,
    progress: Progress = silent,
    stage: str = "faces",
) -> Tracking:
    """One pass over a file or an excerpt of it; holds a dozen pictures of at most 1920 pixels at any time.

    Landmarks are in pixels of the picture as it is seen, not rotated, whatever size they were found at. `Tracking.pts`
    are all frames' in either case.
    """
    video = require_video(spec)
    scale = min(1.0, _LONGEST_SIDE / max(video.seen_width, video.height))
    size = (round(video.seen_width * scale), round(video.height * scale)) if scale < 1 else (None, None)
    tracker = Tracker(nets, frame_rate=float(video.frame_rate), rotation_degrees=video.rotation_degrees)
    finder, combs, holds, stamps = shots.CutFinder(), CombFinder(), HeldFinder(), []
    cuts: list[int] = []
    begun = 0  # first frame of the present stretch
    waiting: deque[tuple[int, np.ndarray]] = deque()
    total = video.frame_count_from_content if excerpt is None else excerpt.frame_count

    def release() -> None:
        index, picture = waiting.popleft()
        tracker.push(Look(index, picture, index == begun or index in finder.cuts()))

    for count, frame in enumerate(giving_back(decode.frames(spec, excerpt, threads=threads))):
        if waiting and frame.index != waiting[-1][0] + 1:
            while waiting:
                release()
            cuts += finder.cuts()
            finder, begun = shots.CutFinder(), frame.index
        combs.push(frame)
        picture = decode.rgb(frame.of_field(0) if combs.combed else frame, *size)
        small = _small(picture)
        finder.push(small, frame.index)
        holds.push(small, frame.index)
        waiting.append((frame.index, picture))
        stamps.append(frame.pts)
        if len(waiting) > shots.DECISION_FRAMES:
            release()
        if count % _PROGRESS_EVERY == 0:
            progress(stage, count, total)
    while waiting:
        release()
    cuts += finder.cuts()
    tracks = tracker.finish(holds.held())
    cuts = sorted({*cuts, *tracker.dissolves})
    if scale < 1:
        for track in tracks:
            np.divide(track.landmarks, scale, out=track.landmarks)
            np.divide(track.raw, scale, out=track.raw)
            np.divide(track.doubt, scale, out=track.doubt)
    progress(stage, len(stamps), len(stamps))
    pts = np.array(stamps, np.int64) if excerpt is None else excerpt.index.stamps
    return Tracking(tracks, tuple(cuts), pts, combs.combed)


def _small(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    size = (shots.ANALYSIS_WIDTH, max(8, round(height * shots.ANALYSIS_WIDTH / width)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
