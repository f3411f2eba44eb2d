"""The story: inspect, train, dub. Files in, files out; no algorithm of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lipsmith.engine import footage as footages
from lipsmith.engine.casting import learn
from lipsmith.engine.faces.occluders import OccluderFinder
from lipsmith.engine.faces.track import Nets, torch_device
from lipsmith.engine.footage import Footage, Person
from lipsmith.engine.media import mux
from lipsmith.engine.media.encode import plan_video
from lipsmith.engine.media.place import require_place
from lipsmith.engine.media.probe import first_picture
from lipsmith.engine.media.soundtrack import plan_sound
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.progress import Progress, silent
from lipsmith.engine.rehearsal import DubOptions, DubResult, VoiceFor, Watch, bounded, rehearsed
from lipsmith.weights import WeightStore

__all__ = [
    "ActorSummary",
    "DubOptions",
    "DubResult",
    "Inspection",
    "TrainResult",
    "VoiceFor",
    "dub",
    "inspect",
    "train",
]


@dataclass(frozen=True)
class TrainResult:
    """An actor file and how it came about."""

    path: Path
    actor: int
    frames: int  # in which he was seen
    library_frames: int
    warnings: tuple[str, ...]
    stage_seconds: dict[str, float]


@dataclass(frozen=True)
class ActorSummary:
    """One person of a shot, for `inspect`."""

    actor: int
    frames: int
    share_of_frames: float
    mean_face_width_px: float
    is_main: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """What is in a file and what a dub would do to it."""

    spec: MediaSpec
    cuts: tuple[int, ...]
    actors: tuple[ActorSummary, ...]
    av_offset_frames: int | None  # positive: the sound comes after the lips; None: cannot be told
    av_confidence: float
    kept: tuple[str, ...]
    changed: tuple[str, ...]
    warnings: tuple[str, ...]


def inspect(
    shot: Path, *, store: WeightStore, device: str = "auto", threads: int = 2, progress: Progress = silent
) -> Inspection:
    """Raises the InputErrors, WeightsError. A file without a face is no error here: `actors` is empty."""
    with bounded(threads):
        where = torch_device(device)
        seen = footages.look(
            shot, store=store, nets=Nets(store, where), device=where, threads=threads, progress=progress
        )
        main = seen.main if seen.people else None
        kept, changed = _fate(seen)
        return Inspection(
            seen.spec,
            seen.cuts,
            tuple(_summary(person, len(seen.pts), person is main) for person in seen.people),
            footages.believed_offset(main, float(seen.video.frame_rate)) if main else None,
            main.offset.confidence if main else 0.0,
            kept,
            changed,
            (*seen.spec.warnings, *(() if main else ("No face was found: there is nobody to dub.",))),
        )


def train(
    shot: Path,
    out: Path,
    *,
    store: WeightStore,
    actor: int | None = None,
    device: str = "auto",
    threads: int = 2,
    seen: Footage | None = None,
    progress: Progress = silent,
) -> TrainResult:
    """Learn one person of a shot; `seen`: where it has been watched before.

    Raises the InputErrors, FaceErrors, UnknownActor, OutputErrors, WeightsError.
    """
    require_place(shot, out)
    watch = Watch()
    with bounded(threads):
        where = torch_device(device)
        if seen is None:
            with watch.stage("prepare"):
                seen = footages.look(
                    shot, store=store, nets=Nets(store, where), device=where, threads=threads, progress=progress
                )
        person = seen.person(actor)
        with watch.stage("train"):
            count = learn(seen, person, out, OccluderFinder(where), threads, progress)
    return TrainResult(
        out, person.actor, len(person.measured), count, (*seen.spec.warnings, *footages.notes(person)), watch.seconds
    )


def dub(
    shot: Path,
    out: Path,
    options: DubOptions,
    *,
    store: WeightStore,
    model: Path | Mapping[int, Path] | None = None,
    seen: Footage | None = None,
    progress: Progress = silent,
) -> DubResult:
    """Write `shot` speaking the voices to `out`, whole or not at all.

    `model`: the actor's, or several by the actor's number; whoever has none is learnt on the fly. `seen`: the shot,
    where it has been watched before.
    Raises the InputErrors, RequestErrors, FaceErrors, OutputErrors, WeightsError.
    """
    with rehearsed(shot, out, options, store=store, model=model, seen=seen, progress=progress) as stage:
        return stage.render()


def _summary(person: Person, frames: int, is_main: bool) -> ActorSummary:
    width = float(person.measured.placement.scale.mean())
    return ActorSummary(
        person.actor, len(person.measured), len(person.measured) / frames, width, is_main, footages.notes(person)
    )


def _fate(seen: Footage) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sentences on what a dub into the same container keeps and changes."""
    video = seen.video
    muxer = mux.muxer_of(seen.spec.path)
    picture = plan_video(video, muxer, first_picture(seen.spec.path, video.stream_index))
    sound = plan_sound(seen.spec.audio[0] if seen.spec.audio else None, muxer)
    kept = [f"{len(seen.pts)} frames with their time stamps, {video.width}x{video.height}, {video.pix_fmt}"]
    kept += [f"audio stream {stream.stream_index} ({stream.codec})" for stream in seen.spec.audio[1:]]
    kept += [f"{other.kind} stream {other.stream_index} ({other.codec})" for other in seen.spec.others]
    changed = ["the mouth and jaw of the dubbed actor", f"the first audio stream (new voice, {sound.encoder})"]
    return tuple(kept), (*changed, *picture.differences, *sound.differences)
