"""The story: prepare, train, render. Files in, files out; no algorithm of its own.

shot  -> look -> people            (footage)
voice -> features -> motion -> MouthPath            (speech)
person -> library, calibration                      (actor)
MouthPath + person -> target -> retrieval -> paint  (render)
frames, voice, source -> the same file, speaking it (media)
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from lipsmith.engine import footage as footages
from lipsmith.engine.actor import calibration, model
from lipsmith.engine.actor.expression import expression
from lipsmith.engine.faces.mesh import region_of
from lipsmith.engine.faces.track import Nets, torch_device
from lipsmith.engine.footage import Footage, Person
from lipsmith.engine.media import clock, decode, loop, mux
from lipsmith.engine.media.ahead import ahead
from lipsmith.engine.media.clock import Span
from lipsmith.engine.media.encode import plan_video
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.place import require_place
from lipsmith.engine.media.probe import first_picture
from lipsmith.engine.media.soundtrack import Voice, plan_sound
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.media.splice import SplicePlan, Whole
from lipsmith.engine.mouth import MouthBasis, MouthPath
from lipsmith.engine.progress import Progress, silent
from lipsmith.engine.render import target as targets
from lipsmith.engine.render.painter import Painter
from lipsmith.engine.render.performance import Part, Performance
from lipsmith.engine.render.retrieval import Wanted, retrieve
from lipsmith.engine.render.schedule import Run, runs
from lipsmith.engine.speech import audio, features, motion
from lipsmith.engine.speech import script as scripts
from lipsmith.errors import RequestError
from lipsmith.weights import WeightStore

_LEARN_FROM_SECONDS = 6.0  # around each range, where the actor is to be learnt from the shot itself
_SEE_FROM_SECONDS = 1.0  # around each range, where he is known
_LENGTH_TOLERANCE_SECONDS = 0.5  # a voice that differs more from the video's length is worth a warning


@dataclass(frozen=True)
class VoiceFor:
    """A file with speech and who says it; None is the main speaker."""

    path: Path
    actor: int | None = None
    script: str | None = None  # what is said, in English: closures are then timed by it
    ranges: tuple[str, ...] = ()  # where this voice alone is dubbed; empty: as the whole dub


@dataclass(frozen=True)
class DubOptions:
    """What one dub asks for."""

    voices: tuple[VoiceFor, ...]
    ranges: tuple[str, ...] = ()  # "START-END" in seconds or SMPTE; empty: everywhere
    start_frame: int = 0  # the first to be dubbed; voices begin with it, before it the source is seen and heard
    loop_video: bool = False  # the picture starts anew while a voice lasts
    soundtrack: Path | None = None  # what is heard; None: the voices
    strength: float = 1.0  # of articulation, 0 (still) to 2
    maintain_expression: bool = False  # keep the source's smile or tension and only speak through it
    language: str | None = None  # tag of the new soundtrack, ISO 639-2 ("fra"); None: as the one it replaces
    keep_original_audio: bool = False  # the new soundtrack is added before the others instead of replacing the first
    device: str = "auto"
    threads: int = 2


@dataclass(frozen=True)
class DubResult:
    """What was done."""

    output: Path
    frames_total: int
    frames_dubbed: int
    frames_without_face: int  # no usable face of any dubbed actor: passed through
    frames_retried: int  # the first choice did not pass the self-check
    frames_softened: int  # nor did any other mouth: a gentler target was painted
    actors: tuple[int, ...]
    warnings: tuple[str, ...]
    differences: tuple[str, ...]
    stage_seconds: dict[str, float]
    details: dict[str, object]


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
    with _bounded(threads):
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
    watch = _Watch()
    with _bounded(threads):
        where = torch_device(device)
        if seen is None:
            with watch.stage("prepare"):
                seen = footages.look(
                    shot, store=store, nets=Nets(store, where), device=where, threads=threads, progress=progress
                )
        person = seen.person(actor)
        with watch.stage("train"):
            count = _learn(seen, person, out, threads, progress)
    return TrainResult(
        out, person.actor, len(person.track), count, (*seen.spec.warnings, *footages.notes(person)), watch.seconds
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
    require_place(shot, out)
    _require_distinct(options)
    watch = _Watch()
    with _bounded(options.threads), ExitStack() as stack:
        where = torch_device(options.device)
        nets = Nets(store, where)
        voices = [(voice, audio.load(voice.path)) for voice in options.voices]  # unreadable ones fail before the work
        if seen is None:
            with watch.stage("prepare"):
                near = _near(options, known=model is not None)
                seen = footages.look(
                    shot, store=store, nets=nets, device=where, threads=options.threads, progress=progress, near=near
                )
        start = _start_seconds(options, seen)
        shown = _shown(seen, options, start, max(waveform.seconds for _, waveform in voices))
        everywhere = clock.parse_ranges(options.ranges, shown.video) or _from(start, shown)
        cast = [(shown.person(voice.actor), voice, waveform) for voice, waveform in voices]
        if len({person.actor for person, *_ in cast}) < len(cast):
            raise RequestError("Two voices were given for the same actor; name each actor once.")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lipsmith-")))
        parts: list[Part] = []
        gains: list[float] = []
        manner_gains: list[float] = []
        speaking: list[bool] = []
        speech = Speech(store, where)
        for person, voice, waveform in cast:
            with watch.stage("train"):
                given = model.get(person.actor) if isinstance(model, Mapping) else model
                actor_model = stack.enter_context(
                    _actor(seen, seen.person(person.actor), given, folder, options, progress)
                )
            with watch.stage("motion"):
                path = speech.path(waveform, shown.seconds - start, voice.script)
                wanted = calibration.wanted(path, MouthBasis.load(), actor_model.calibration, options.strength)
                if options.maintain_expression:
                    wanted[person.measured.indices] += _expression(person, actor_model, shown)
                spans = clock.parse_ranges(voice.ranges, shown.video) or everywhere
                parts += cast_parts(shown, person, actor_model, wanted, spans)
                speaking.append(bool(np.abs(path.coefficients).max(initial=0.0) > 0))
                gains.append(actor_model.calibration.gain)
                manner_gains.append(actor_model.calibration.manner_gain)
        performance = Performance(shown.video, nets.mesh, tuple(parts))
        with watch.stage("render"):
            splice, pictures = _pictures(seen, shown, out, performance.edited, options.threads)
            painted = ahead(performance.play(pictures), partial(torch.set_num_threads, options.threads))
            report = mux.rewrite(
                shown.spec,
                out,
                stack.enter_context(closing(painted)),
                _sounds(options, start),
                splice=splice,
                sound=mux.NewTrack(
                    options.language, options.keep_original_audio, own_before=start > 0, own_after=_is_ranged(options)
                ),
                progress=lambda _stage, done, total: progress("render", done, total),
                threads=options.threads,
            )
    tally = performance.tally
    return DubResult(
        output=out,
        frames_total=len(shown.pts),
        frames_dubbed=len(tally.dubbed),
        frames_without_face=_missed(shown, _spans(shown, options, everywhere), tally.dubbed),
        frames_retried=tally.retried,
        frames_softened=tally.softened,
        actors=tuple(person.actor for person, *_ in cast),
        warnings=_warnings(shown, cast, speaking, tally.dubbed, start),
        differences=report.differences,
        stage_seconds=watch.seconds,
        details={
            "encoder": report.encoder,
            "encoder_settings": report.settings,
            "frames_encoded": report.frames_encoded,
            "why_all_encoded": report.why_all_encoded,
            "cuts": list(seen.cuts),
            "av_offset_frames": footages.believed_offset(cast[0][0], float(seen.video.frame_rate)),
            "frames_beyond_tolerance": tally.poor,
            "mean_gap_error": float(np.mean(tally.gap_errors)) if tally.gap_errors else 0.0,
            "gain": gains,
            "manner_gain": manner_gains,
        },
    )


def _near(options: DubOptions, *, known: bool) -> footages.Near | None:
    """Where to look when only ranges are dubbed; None: everywhere, as the numbers of actors are those of the whole."""
    if not options.ranges or any(voice.actor is not None for voice in options.voices):
        return None
    return footages.Near(options.ranges, _SEE_FROM_SECONDS if known else _LEARN_FROM_SECONDS)


def _start_seconds(options: DubOptions, seen: Footage) -> float:
    """Raises RequestError."""
    if not 0 <= options.start_frame < len(seen.pts):
        raise RequestError(f"The dub begins with frame {options.start_frame}; the shot has {len(seen.pts)} frames.")
    if options.start_frame and _is_ranged(options):
        raise RequestError("Ranges and a first frame do not go together: give the one or the other.")
    return float(seen.seconds[options.start_frame])


def _from(start_seconds: float, seen: Footage) -> tuple[Span, ...]:
    return (Span(start_seconds, seen.video.duration_seconds_from_content),) if start_seconds else ()


def _is_ranged(options: DubOptions) -> bool:
    return bool(options.ranges) or any(voice.ranges for voice in options.voices)


def _spans(seen: Footage, options: DubOptions, everywhere: tuple[Span, ...]) -> tuple[Span, ...]:
    """Where anybody is dubbed; none: everywhere."""
    told = [clock.parse_ranges(voice.ranges, seen.video) or everywhere for voice in options.voices]
    return () if any(not spans for spans in told) else tuple(span for spans in told for span in spans)


def _shown(seen: Footage, options: DubOptions, start_seconds: float, voice_seconds: float) -> Footage:
    """What is to be seen: the shot, or the shot again and again. Raises RequestError."""
    if not options.loop_video:
        return seen
    if _is_ranged(options):
        raise RequestError("Ranges and a looped video do not go together: give the one or the other.")
    end = start_seconds + voice_seconds
    return footages.looped(seen, end) if end > seen.video.duration_seconds_from_content else seen


def _pictures(
    seen: Footage, shown: Footage, out: Path, edited: np.ndarray, threads: int
) -> tuple[SplicePlan | Whole, Iterator[Frame]]:
    """How the pictures get into the new file, and those that have to be decoded for it."""
    if shown is not seen:
        play = partial(decode.frames, seen.spec, threads=threads)
        return Whole("the video is looped"), loop.frames(play, seen.video, len(shown.pts))
    splice = mux.plan_splice(seen.spec, out, seen.pts, edited)
    excerpt = splice.excerpt if isinstance(splice, SplicePlan) else None
    return splice, decode.frames(seen.spec, excerpt, threads=threads)


def _sounds(options: DubOptions, start_seconds: float) -> list[Voice]:
    heard = [voice.path for voice in options.voices] if options.soundtrack is None else [options.soundtrack]
    return [Voice(path, start_seconds=start_seconds) for path in heard]


class Speech:
    """The speech half, loaded once for all voices."""

    def __init__(self, store: WeightStore, device: torch.device) -> None:
        self._listener = features.load_listener(store, device)
        self._model = motion.MotionModel(device)

    def path(self, waveform: audio.Waveform, seconds: np.ndarray, script: str | None = None) -> MouthPath:
        """What a mouth does at (T,) times of the voice. Raises RequestError for a script that is not what it says."""
        heard = features.extract(waveform, self._listener)
        if script is not None:
            heard = replace(heard, closing=self._closing(waveform, script))
        return motion.speak(waveform, heard, self._model, seconds)

    def _closing(self, waveform: audio.Waveform, script: str) -> np.ndarray:
        probabilities = features.hear_phonemes(waveform, self._listener)
        aligned = scripts.align(scripts.pronounce(script), probabilities)
        if not aligned.fits:
            raise RequestError(
                "The script is not what the voice says (or is not English); give the right one, or none."
            )
        return aligned.closing(len(probabilities))


def cast_parts(
    seen: Footage, person: Person, actor: model.ActorModel, wanted: np.ndarray, spans: tuple[Span, ...] = ()
) -> tuple[Part, ...]:
    """All that one person will do in the shot. `wanted`: (F, 51, 3) mouths in his own frame, one per video frame."""
    jaw = targets.learn_jaw(actor.library.index.lower)
    painter = Painter(actor.library, (1 << seen.video.bit_depth) - 1, actor.full)
    schedule = runs(person.measured, seen.seconds, seen.cuts, spans)
    return tuple(_part(run, person, wanted, actor, jaw, painter, seen) for run in schedule)


def _part(
    run: Run,
    person: Person,
    wanted: np.ndarray,
    actor: model.ActorModel,
    jaw: targets.JawResponse,
    painter: Painter,
    seen: Footage,
) -> Part:
    """One unbroken run of frames."""
    measured, index = person.measured, actor.library.index
    goal = calibration.project(wanted[measured.indices[run.rows]], index.points, actor.calibration)
    aimed = targets.aim(measured, run.rows, targets.settled(goal, float(seen.video.frame_rate)), run.weight, jaw)
    own = actor.provenance.footage == seen.spec.path.name
    tone = index.tone_at(aimed.indices % (seen.period or len(seen.pts))) if own else None
    choice = retrieve(Wanted(aimed.mouths, aimed.placement.rotation, aimed.placement.scale, tone), index)
    regions = tuple(region_of(points) for points in person.track.landmarks[run.rows])
    return Part(aimed, choice, painter, regions, index.points)


def _expression(person: Person, actor: model.ActorModel, seen: Footage) -> np.ndarray:
    """(N, 51, 3) what his mouth shows beside speech in the frames where he is seen."""
    measured = person.measured
    return expression(measured.points, measured.shot, actor.calibration, float(seen.video.frame_rate))


@contextmanager
def _actor(
    seen: Footage, person: Person, given: Path | None, folder: Path, options: DubOptions, progress: Progress
) -> Iterator[model.ActorModel]:
    """The given actor, or one trained on the fly into `folder`."""
    path = given or folder / f"{person.actor}.lipsmith"
    if given is None:
        _learn(seen, person, path, options.threads, progress)
    with model.load(path) as loaded:
        loaded.require_colour_of(seen.video)
        yield loaded


def _learn(seen: Footage, person: Person, out: Path, threads: int, progress: Progress) -> int:
    return model.train(
        person.measured,
        decode.frames(seen.spec, seen.excerpt, threads=threads),
        seen.video,
        out,
        footage=seen.spec.path.name,
        actor=person.actor,
        heard=person.heard,
        progress=progress,
    )


def _summary(person: Person, frames: int, is_main: bool) -> ActorSummary:
    width = float(person.measured.placement.scale.mean())
    return ActorSummary(
        person.actor, len(person.track), len(person.track) / frames, width, is_main, footages.notes(person)
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


def _missed(seen: Footage, spans: tuple[Span, ...], dubbed: set[int]) -> int:
    wanted = [i for i, t in enumerate(seen.seconds) if not spans or any(span.contains(float(t)) for span in spans)]
    return sum(i not in dubbed for i in wanted)


def _warnings(
    seen: Footage,
    cast: list[tuple[Person, VoiceFor, audio.Waveform]],
    speaking: list[bool],
    dubbed: set[int],
    start_seconds: float,
) -> tuple[str, ...]:
    told = list(seen.spec.warnings)
    length = seen.video.duration_seconds_from_content - start_seconds
    for (person, voice, waveform), speaks in zip(cast, speaking, strict=True):
        told += footages.notes(person)
        if not speaks:
            told.append(f"{voice.path.name} holds no speech: the mouth rests.")
        elif waveform.seconds > length + _LENGTH_TOLERANCE_SECONDS:
            told.append(f"{voice.path.name} is {waveform.seconds - length:.1f} s longer than the video and was cut.")
        elif waveform.seconds < length - _LENGTH_TOLERANCE_SECONDS:
            told.append(
                f"{voice.path.name} ends {length - waveform.seconds:.1f} s before the video; the mouth rests then."
            )
    if not dubbed:
        told.append("No frame was dubbed: no dubbed actor is near and frontal enough anywhere.")
    return tuple(dict.fromkeys(told))


def _require_distinct(options: DubOptions) -> None:
    if not options.voices:
        raise RequestError("No voice was given: there is nothing to say.")
    named = [voice.actor for voice in options.voices]
    if len(set(named)) < len(named):
        raise RequestError("Two voices were given for the same actor; name each actor once.")


@contextmanager
def _bounded(threads: int) -> Iterator[None]:
    """Torch gets `threads`; the matrix library one: its spinning threads starve the codecs (20-50 times slower)."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


class _Watch:
    """Seconds per stage; stages may come several times."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 3)
