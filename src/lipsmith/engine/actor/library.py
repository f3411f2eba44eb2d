"""The actor's own mouths: every usable frame of his footage, by mouth shape and head pose, with its pixels.

Takes measured faces and frames one by one, gives a `Library` on disk: small arrays in memory, pixels read when asked.
The pixels are the source's own codes (see `media.color`), stored without loss.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from zipfile import ZIP_STORED, ZipFile

import cv2
import numpy as np

from lipsmith.engine import mouth
from lipsmith.engine.actor.inside import LEAST_OPEN, OPEN, REACH, Dark, dark_between, mistaken
from lipsmith.engine.faces.align import Placement, turns
from lipsmith.engine.faces.measure import Measured
from lipsmith.engine.faces.occluders import lower_faces
from lipsmith.engine.faces.shield import Glimpse
from lipsmith.engine.media import color
from lipsmith.engine.media.frame import Box, Frame
from lipsmith.engine.media.spec import Coding
from lipsmith.errors import BadActorFile

MAX_FRAMES = 1000  # 40 s at 25 fps: more adds little and costs disk
_RUN = 25  # frames kept together, so that retrieval can follow real movement
_MARGIN = 0.14  # of the face width, around the lower face
_RIM = 0.03  # of the face width: as far around a hand a mouth is not shown either; its edge and shadow are not his
_CACHE = 48  # crops held in memory
ELSEWHERE = -1  # the number of a shot that gave this library nothing
_ASKED = 24  # open mouths, of which the darker ones tell how dark it is in them


@dataclass(frozen=True)
class Entry:
    """One real mouth with the pixels around it."""

    codes: np.ndarray  # (h, w, 3) uint8 or uint16, native codes
    lower: np.ndarray  # (P, 2) float32, LOWER_FACE in pixels of `codes`
    strange: np.ndarray | None  # (h, w) uint8, how far a pixel is not his but a hand's or a cup's; None: all are his


@dataclass(frozen=True)
class Index:
    """What retrieval chooses by; one row per library frame, in the order of the footage."""

    indices: np.ndarray  # (S,) int64 frame indices in the footage
    points: np.ndarray  # (S, 51, 3) float32 mouths, face widths, own frame
    lower: np.ndarray  # (S, P, 3) float32 LOWER_FACE, face widths, own frame
    pixels: np.ndarray  # (S, P, 2) float32 LOWER_FACE in pixels of the entry's crop
    rotation: np.ndarray  # (S, 3, 3) float32
    scale: np.ndarray  # (S,) float32 pixels per face width
    sharpness: np.ndarray  # (S,) float32 Laplacian energy of the mouth
    tone: np.ndarray  # (S, 3) float32 mean code of the crop, in [0, 1]
    detail: np.ndarray  # (S,) float32 of the whole face, as `faces.detail.detail`; 0 where it is not known
    shot: np.ndarray  # (S,) int32 shot of the footage; all 0 where it is not known

    def __len__(self) -> int:
        return len(self.indices)

    def shot_of(self, frame_indices: np.ndarray) -> int:
        """The number of the shot that these frames of the footage are of; ELSEWHERE where it gave no mouth.

        Told by frames: of an excerpt shots are numbered otherwise.
        """
        inside = (self.indices >= frame_indices.min()) & (self.indices <= frame_indices.max())
        return int(self.shot[inside][0]) if inside.any() else ELSEWHERE

    def tone_at(self, frame_indices: np.ndarray, shot: int) -> np.ndarray | None:
        """(T, 3) mean code around the mouth at frames of a shot of the footage, between its library frames.

        None where it has none.
        """
        rows = self.shot == shot
        if not rows.any():
            return None
        return np.stack([np.interp(frame_indices, self.indices[rows], part) for part in self.tone[rows].T], 1)

    def follows(self) -> np.ndarray:
        """(S - 1,) True where row i + 1 is the very next frame after row i."""
        return np.diff(self.indices) == 1


def crop_box(pixels: np.ndarray, scale: float, width: int, height: int) -> Box:
    """The box that holds (P, 2) lower-face points with a margin; even, inside the picture."""
    return box_around(pixels, _MARGIN * scale, width, height)


def box_around(pixels: np.ndarray, margin: float, width: int, height: int) -> Box:
    """The box that holds (P, 2) points with a margin in pixels; even, inside the picture."""
    low, high = np.floor(pixels.min(0) - margin).astype(int), np.ceil(pixels.max(0) + margin).astype(int)
    low = np.clip(low, 0, [width - 2, height - 2])
    high = np.clip(high, low + 2, [width, height])
    return Box(int(low[0]), int(low[1]), int(high[0]), int(high[1])).aligned(2, width, height)


def choose(measured: Measured, limit: int = MAX_FRAMES) -> np.ndarray:
    """Rows worth keeping: all bare ones, or, of long footage, the runs that differ most in mouth and head.

    Greedy farthest-point choice over runs of 25 frames (Gonzalez 1985), so that neighbours stay together.
    """
    rows = np.flatnonzero(measured.bare)
    if len(rows) <= limit:
        return rows
    runs = np.array_split(rows, -(-len(rows) // _RUN))
    angles = turns(measured.placement.rotation) / 90
    traits = np.concatenate([mouth.gaps(measured.points) * 4, mouth.width(measured.points)[:, None] * 4, angles], 1)
    means = np.stack([np.concatenate([traits[run].mean(0), traits[run].std(0)]) for run in runs])
    chosen = [int(np.argmax(means[:, 0]))]
    distance = np.linalg.norm(means - means[chosen[0]], axis=1)
    while sum(len(runs[i]) for i in chosen) + _RUN <= limit:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(means - means[chosen[-1]], axis=1))
    return np.sort(np.concatenate([runs[i] for i in chosen]))


@dataclass(frozen=True)
class Packed:
    """One frame on its way into a library."""

    row: int  # of the measured face
    pixels: np.ndarray  # (P, 2) float32, LOWER_FACE in the crop
    codes: bytes  # PNG
    strange: bytes | None  # PNG
    sharpness: float
    dark: Dark
    tone: np.ndarray  # (3,) mean code of the crop, in [0, 1]


class LibraryWriter:
    """Collects entries into an open zip, one frame at a time."""

    def __init__(self, archive: ZipFile, measured: Measured, rows: np.ndarray) -> None:
        self._archive = archive
        self._measured = measured
        self._row_of = {int(measured.indices[row]): int(row) for row in rows}
        self._kept: list[Packed] = []  # without their pictures

    def wants(self, frame_index: int) -> bool:
        return frame_index in self._row_of

    def glimpse(self, frame: Frame, width: int, height: int) -> Glimpse:
        """The frame as `shields` and `add` want it."""
        row = self._row_of[frame.index]
        placement, points = self._measured.placement.rows(slice(row, row + 1)), self._in_picture(row)
        (lower_face,) = lower_faces(placement)
        return Glimpse(frame, lower_face, points, crop_box(points, float(placement.scale[0]), width, height))

    def packed(self, seen: Glimpse, coding: Coding, strange: np.ndarray | None) -> Packed:
        """A frame as it is kept; from any thread.

        `coding`: of its codes; `strange`: (h, w) in [0, 1] of its box, None where all is his.
        """
        row = self._row_of[seen.frame.index]
        unit = float(self._measured.placement.scale[row])
        codes = color.read_codes(seen.frame, seen.box)
        pixels = seen.points - np.array([seen.box.left, seen.box.top], np.float32)
        if strange is not None:
            side = 2 * round(_RIM * unit) + 1
            strange = cv2.dilate(np.rint(255 * strange).astype(np.uint8), np.ones((side, side), np.uint8))
        luma = codes[..., 0].astype(np.float32) / coding.full
        return Packed(
            row,
            pixels,
            _png(codes),
            None if strange is None else _png(strange),
            _sharpness(luma, pixels),
            _dark(codes, color.Tones.of(coding), pixels, unit),
            np.array(cv2.mean(codes)[:3]) / coding.full,
        )

    def add(self, frame: Packed) -> None:
        number = int(self._measured.indices[frame.row])
        self._archive.writestr(_entry_name(number), frame.codes)
        if frame.strange is not None:
            self._archive.writestr(_strange_name(number), frame.strange)
        self._kept.append(replace(frame, codes=b"", strange=None))

    def index(self) -> Index:
        """Of all that was added but mouths that are mistaken for open ones."""
        m = self._measured
        # As the pictures show them: smoothed in time, the one frame in which fast lips meet would count as parted.
        lower = np.stack([m.seen(frame.row) for frame in self._kept])
        good = ~mistaken(lower[:, : len(mouth.MOUTH)], [frame.dark for frame in self._kept])
        kept = [frame for frame, is_good in zip(self._kept, good, strict=True) if is_good]
        rows, lower = np.array([frame.row for frame in kept], int), lower[good]
        return Index(
            m.indices[rows],
            lower[:, : len(mouth.MOUTH)],
            lower,
            np.stack([frame.pixels for frame in kept]).astype(np.float32),
            m.placement.rotation[rows],
            m.placement.scale[rows],
            np.array([frame.sharpness for frame in kept], np.float32),
            np.stack([frame.tone for frame in kept]).astype(np.float32),
            m.detail[rows],
            m.shot[rows],
        )

    def _in_picture(self, row: int) -> np.ndarray:
        placement: Placement = self._measured.placement.rows(slice(row, row + 1))
        own = mouth.parted(self._measured.seen(row)[None])
        return placement.to_picture(own)[0, :, :2].astype(np.float32)


class Library:
    """The written library, open for reading by any thread. One per process: it holds a file and a small cache."""

    def __init__(self, path: Path, index: Index, numbers: np.ndarray) -> None:
        """`numbers`: (S,) int, what the pictures of the index's rows are named by."""
        self.index, self._numbers = index, numbers
        self._archive = ZipFile(path)
        self._names = frozenset(self._archive.namelist())
        self._cache: OrderedDict[int, Entry] = OrderedDict()
        self._lock = Lock()

    def entry(self, row: int) -> Entry:
        """The pixels of one library frame."""
        with self._lock:
            entry = self._cache.pop(row, None)
        if entry is None:
            number = int(self._numbers[row])
            name = _strange_name(number)
            strange = self._unpacked(name, number) if name in self._names else None
            entry = Entry(self._unpacked(_entry_name(number), number), self.index.pixels[row], strange)
        with self._lock:
            self._cache[row] = entry
            if len(self._cache) > _CACHE:
                self._cache.popitem(last=False)
        return entry

    def hollow(self, tones: color.Tones) -> np.ndarray | None:
        """(3,) luma, Cb, Cr over the skin's luma: the dark between his lips; None where he hardly ever parts them.

        `tones`: what his codes mean.
        """
        parted = np.flatnonzero(mouth.gap(self.index.points) >= OPEN)
        if len(parted) < LEAST_OPEN:
            return None
        asked = parted[np.linspace(0, len(parted) - 1, min(_ASKED, len(parted))).astype(int)]
        entries = [(self.entry(int(row)), float(self.index.scale[row])) for row in asked]
        found = np.stack([_dark(entry.codes, tones, entry.lower, unit).tone for entry, unit in entries])
        found = found[np.isfinite(found[:, 0])]
        # A mouth full of teeth or tongue shows no hollow: the darker ones do.
        return found[np.argsort(found[:, 0])[: max(1, len(found) // 4)]].mean(0) if len(found) else None

    def _unpacked(self, name: str, number: int) -> np.ndarray:
        picture = cv2.imdecode(np.frombuffer(self._archive.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None:
            raise BadActorFile(f"mouth {number} of the actor file cannot be read; train the actor again.")
        return picture

    def close(self) -> None:
        self._archive.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def new_archive(path: Path) -> ZipFile:
    """An empty archive to write a library into; PNG is packed already, so entries are stored."""
    return ZipFile(path, "w", ZIP_STORED)


def _entry_name(number: int) -> str:
    """Of a frame of the footage."""
    return f"mouths/{number:06d}.png"


def _strange_name(number: int) -> str:
    return f"strange/{number:06d}.png"


def _png(picture: np.ndarray) -> bytes:
    done, packed = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"a crop could not be packed: {picture.shape = } {picture.dtype = }")
    return packed.tobytes()


def _dark(codes: np.ndarray, tones: color.Tones, pixels: np.ndarray, unit: float) -> Dark:
    """`dark_between` the lips of a crop, of which only the part around the lips need be known."""
    near = box_around(pixels[mouth.OUTER], REACH * unit + 1, codes.shape[1], codes.shape[0])
    part = tones.of_codes(codes[near.top : near.bottom, near.left : near.right])
    return dark_between(part, pixels - np.array([near.left, near.top], np.float32), unit)


def _sharpness(luma: np.ndarray, pixels: np.ndarray) -> float:
    """Mean square Laplacian inside the lips' box."""
    lips = pixels[mouth.OUTER]
    low, high = lips.min(0).astype(int), lips.max(0).astype(int) + 1
    part = luma[max(low[1], 0) : high[1], max(low[0], 0) : high[0]]
    return float(np.square(cv2.Laplacian(part, cv2.CV_32F)).mean()) if part.size > 9 else 0.0
