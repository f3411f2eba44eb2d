"""A shot that has been looked at: its facts, its people, and who of them is speaking.

Takes a file, gives `Footage`. The main speaker is chosen by how long, how large and how central he is in the picture,
and by how well his mouth fits the source's own sound.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from lipsmith import __version__
from lipsmith.engine import mouth
from lipsmith.engine.faces.measure import MIN_FACE_WIDTH_PIXELS, Measured, measure
from lipsmith.engine.faces.track import FaceTrack, Nets, watch
from lipsmith.engine.media import clock, color, decode, gops, loop
from lipsmith.engine.media.gops import Excerpt
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.spec import MediaSpec, VideoSpec
from lipsmith.engine.mouth import MouthPath
from lipsmith.engine.progress import Progress
from lipsmith.engine.quality import sync
from lipsmith.engine.speech import audio, features, motion
from lipsmith.errors import BrokenMedia, NoAudioStream, NoFace, UnknownActor
from lipsmith.weights import WeightStore

_LEAST_SHARE = 0.02  # of the frames: shorter faces are passers-by
_WORTH_LEAVING_OUT = 0.5  # of the frames: an excerpt larger than this is not worth its seeking
_HEAR_AROUND_SECONDS = 1.0  # more than an offset of sound and lips that is searched for


@dataclass(frozen=True)
class Person:
    """One actor of the footage."""

    actor: int  # from 1, by screen time
    measured: Measured
    offset: sync.Offset  # of the source's own sound against his lips
    heard: MouthPath | None  # what his own voice asked of a mouth, a row per row of `measured`; None: not in sync
    prominence: float  # what the main speaker is chosen by
    identity: np.ndarray  # (128,) float32, as `FaceTrack.identity`


@dataclass(frozen=True)
class Near:
    """Ranges, as a dub is asked for, and how far around them it is worth looking."""

    ranges: tuple[str, ...]
    reach_seconds: float


@dataclass(frozen=True)
class Footage:
    """A shot, watched once."""

    spec: MediaSpec
    video: VideoSpec
    pts: np.ndarray  # (F,) int64
    cuts: tuple[int, ...]
    people: tuple[Person, ...]  # by screen time
    combed: bool = False  # as `Tracking.combed`
    excerpt: Excerpt | None = None  # what was looked at, where that is not all
    period: int | None = None  # frames of one showing, where the shot is shown again and again

    @property
    def seconds(self) -> np.ndarray:
        """(F,) time of each frame from the first."""
        return (self.pts - self.pts[0]) * float(self.video.time_base)

    @property
    def frame_count(self) -> int:
        """Frames that were looked at."""
        return len(self.pts) if self.excerpt is None else self.excerpt.frame_count

    def with_what_ails_it(self, sentence: str) -> str:
        """An error's sentence, and what was found wrong with the file, which may be why."""
        return " ".join([sentence, *self.spec.warnings])

    @property
    def main(self) -> Person:
        """Raises NoFace."""
        if not self.people:
            raise NoFace(
                self.with_what_ails_it(
                    f"{self.spec.path}: no face was found in any of {self.frame_count} frames; there is nobody to dub."
                )
            )
        return max(self.people, key=lambda person: person.prominence)

    def person(self, actor: int | None) -> Person:
        """The actor with this number, or the main speaker. Raises NoFace, UnknownActor."""
        main = self.main
        if actor is None:
            return main
        for person in self.people:
            if person.actor == actor:
                return person
        known = ", ".join(str(person.actor) for person in self.people)
        raise UnknownActor(
            f"{self.spec.path} shows no actor {actor}; it shows {known} (`lipsmith inspect` lists them)."
        )


def look(
    path: Path,
    *,
    store: WeightStore,
    nets: Nets,
    device: torch.device,
    threads: int,
    progress: Progress,
    near: Near | None = None,
) -> Footage:
    """Watch a file, or only what is `near`. Raises the InputErrors, BadRange, UnsupportedVideo, WeightsError.

    `UnsupportedVideo` where its pixels cannot be edited.
    """
    spec = probe(path)
    video = require_video(spec)
    color.require_editable(video.pix_fmt)
    excerpt = None if near is None else _excerpt(spec, video, near)
    tracking = watch(spec, nets, excerpt, threads=threads, progress=progress, stage="prepare")
    heard = _hear(spec, video, _listening(excerpt, video), store, device)
    least = max(1, _LEAST_SHARE * (len(tracking.pts) if excerpt is None else excerpt.frame_count))
    people = tuple(_person(track, tracking.pts, video, heard) for track in tracking.tracks if len(track) >= least)
    return Footage(spec, video, tracking.pts, tracking.cuts, people, tracking.combed, excerpt)


def _excerpt(spec: MediaSpec, video: VideoSpec, near: Near) -> Excerpt | None:
    """The frames within reach of the ranges, or None where looking at all costs little more."""
    spans = clock.parse_ranges(near.ranges, video)
    index = gops.read(spec)
    if index.why_not or not spans:
        return None
    seconds = (index.stamps - index.stamps[0]) * float(video.time_base)
    close = np.zeros(len(seconds), bool)
    for span in spans:
        close |= (seconds >= span.start_seconds - near.reach_seconds) & (
            seconds < span.end_seconds + near.reach_seconds
        )
    if close.mean() > _WORTH_LEAVING_OUT:
        return None
    edges = np.flatnonzero(np.diff(np.concatenate([[0], close.astype(np.int8), [0]])))
    return Excerpt(index, tuple(range(a, b) for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)))


@dataclass(frozen=True)
class _Heard:
    """The source's own sound, from `start_seconds` after the first frame on."""

    points: np.ndarray  # (T, D) what the sync scorer hears of it
    said: MouthPath  # a row per row of `points`
    start_seconds: float

    def path(self, seconds: np.ndarray) -> MouthPath:
        """What was said at (N,) times from the first frame."""
        rows = np.arange(len(self.said)) / features.ROWS_PER_SECOND + self.start_seconds
        columns = [np.interp(seconds, rows, column) for column in self.said.coefficients.T]
        return MouthPath(np.stack(columns, 1).astype(np.float32))


def _listening(excerpt: Excerpt | None, video: VideoSpec) -> tuple[float, float]:
    """(start, end) in seconds from the first frame of what there are pictures of, and a little around it."""
    if excerpt is None:
        return 0.0, math.inf
    stamps = (excerpt.index.stamps - excerpt.index.stamps[0]) * float(video.time_base)
    first, last = excerpt.stretches[0].start, excerpt.stretches[-1].stop - 1
    return max(float(stamps[first]) - _HEAR_AROUND_SECONDS, 0.0), float(stamps[last]) + _HEAR_AROUND_SECONDS


def _hear(
    spec: MediaSpec, video: VideoSpec, listening: tuple[float, float], store: WeightStore, device: torch.device
) -> _Heard | None:
    """The source's own sound, or None where there is none worth listening to."""
    if not spec.audio:
        return None
    start, end = listening
    origin = float(video.start_pts * video.time_base) + start
    try:
        blocks = decode.audio(spec.path, spec.audio[0].stream_index, audio.SAMPLE_RATE, origin_seconds=origin)
        waveform = audio.gather(_first_seconds(blocks, end - start))
    except (BrokenMedia, NoAudioStream):
        return None  # probe has warned of it; the picture can be dubbed all the same
    if waveform.silent:
        return None
    speech, ear = motion.Listening(motion.MotionModel(device)), sync.ear()
    for piece in features.listen(waveform, features.load_listener(store, device)):
        speech.push(piece)
        ear.push(piece.values)
    heard = speech.finish()
    rows = np.arange(len(heard)) / features.ROWS_PER_SECOND
    return _Heard(ear.finish(), motion.speak(waveform, heard, rows), start)


def _first_seconds(blocks: Iterator[np.ndarray], seconds: float) -> Iterator[np.ndarray]:
    """(channels, n) blocks until so much sound has come."""
    heard = 0
    for block in blocks:
        yield block
        heard += block.shape[1]
        if heard >= seconds * audio.SAMPLE_RATE:
            return


def _person(track: FaceTrack, pts: np.ndarray, video: VideoSpec, heard: _Heard | None) -> Person:
    measured = measure(track)
    seconds = (pts[measured.indices] - pts[0]) * float(video.time_base)
    offset = sync.NOTHING if heard is None else sync.score(heard.points, measured, seconds - heard.start_seconds)
    middle = measured.region[:, :2].mean(0) / (video.seen_width, video.height)
    central = 1 - float(np.linalg.norm(middle - 0.5)) / 0.71
    size = measured.usual_width / min(video.seen_width, video.height)
    share = float(measured.usable.sum()) / len(pts) + 1e-3 * len(track) / len(pts)
    speaks = max(0.0, offset.correlation)
    said = None
    if heard is not None and offset.sure:
        said = heard.path(seconds + offset.offset_seconds)
    prominence = share * size * (0.4 + 0.6 * central) * (0.5 + 2 * speaks)
    return Person(track.actor, measured, offset, said, prominence, track.identity)


# What a kept file begins with: the version alone does not tell between two releases.
_KEPT = (__version__, *(field.name for kind in (Footage, Person, Measured) for field in fields(kind)))


def save(seen: Footage, path: Path) -> None:
    """Keep what was seen, so that the shot need not be watched again. Only this version of Lipsmith reads it."""
    with path.open("wb") as file:
        pickle.dump(_KEPT, file)
        pickle.dump(seen, file, protocol=pickle.HIGHEST_PROTOCOL)


def load(path: Path, shot: Path) -> Footage | None:
    """What was seen of `shot`, or None where another version kept it. Only for what `save` wrote: pickles can harm."""
    with path.open("rb") as file:
        if pickle.load(file) != _KEPT:
            return None
        seen: Footage = pickle.load(file)
    return replace(seen, spec=replace(seen.spec, path=shot))


def looped(seen: Footage, seconds: float) -> Footage:
    """The shot shown again and again until `seconds`: what was seen of it, repeated."""
    once, video = len(seen.pts), seen.video
    pts = loop.stamps(seen.pts, video, seconds)
    turns = -(-len(pts) // once)
    length = float(len(pts) and (pts[-1] - pts[0]) * video.time_base) + float(1 / video.frame_rate)
    longer = replace(video, frame_count_from_content=len(pts), duration_seconds_from_content=length)
    cuts = [cut + turn * once for turn in range(turns) for cut in ((0, *seen.cuts) if turn else seen.cuts)]
    shots = len(seen.cuts) + 1
    people = tuple(_repeated(person, once, shots, len(pts)) for person in seen.people)
    spec = replace(seen.spec, video=longer)
    kept = tuple(cut for cut in cuts if cut < len(pts))
    return Footage(spec, longer, pts, kept, people, seen.combed, period=once)


def _repeated(person: Person, once: int, shots: int, count: int) -> Person:
    """His rows for `count` frames of a video of `once` frames in so many shots."""
    turns, seen = -(-count // once), person.measured
    indices = np.concatenate([seen.indices + turn * once for turn in range(turns)])
    turn_of = np.repeat(np.arange(turns), len(seen))
    kept = indices < count

    def tiled(rows: np.ndarray) -> np.ndarray:
        return np.concatenate([rows] * turns)[kept]

    shot = (tiled(seen.shot) + turn_of[kept] * shots).astype(np.int32)
    place = seen.placement
    placement = replace(place, scale=tiled(place.scale), rotation=tiled(place.rotation), shift=tiled(place.shift))
    measured = Measured(
        indices[kept],
        shot,
        tiled(seen.lower),
        placement,
        tiled(seen.jitter),
        tiled(seen.region),
        tiled(seen.usable),
        tiled(seen.bare),
        tiled(seen.detail),
        tiled(seen.held),
    )
    heard = None if person.heard is None else MouthPath(tiled(person.heard.coefficients))
    return replace(person, measured=measured, heard=heard)


def notes(person: Person) -> tuple[str, ...]:
    """Plain sentences on what will limit a dub of this person."""
    told = []
    width = person.measured.usual_width
    if width < MIN_FACE_WIDTH_PIXELS:
        told.append(
            f"His face is {width:.0f} pixels wide; below {MIN_FACE_WIDTH_PIXELS:.0f} frames pass through undubbed."
        )
    unusable = 1 - float(person.measured.usable.mean())
    if unusable > 0.05 and width >= MIN_FACE_WIDTH_PIXELS:
        told.append(f"In {unusable:.0%} of his frames he is turned away, too small or hidden; they pass through.")
    covered = float((person.measured.usable & ~person.measured.bare).mean())
    if covered > 0.05:
        told.append(f"In {covered:.0%} of his frames something is before his lips; nothing is learnt from them.")
    bare = person.measured.points[person.measured.bare]
    if len(bare) and mouth.stillness(bare, heard=person.heard is not None) > 0.5:
        told.append(
            "He is not seen to speak: his mouth will open as mouths usually do, and its inside is drawn. Footage in "
            "which he speaks makes a better actor."
        )
    return tuple(told)


def believed_offset(person: Person, frame_rate: float) -> int | None:
    """Frames by which the source's sound is late, or None where that cannot be told."""
    return person.offset.frames(frame_rate) if person.offset.sure else None
