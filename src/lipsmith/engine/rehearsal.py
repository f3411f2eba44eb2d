"""All that comes before the first frame of a dub is painted: voices heard, mouths planned, actors at hand.

shot  -> look -> people            (footage)
voice -> features -> motion -> MouthPath            (speech)
person -> library, calibration                      (actor)
MouthPath + person -> target -> retrieval           (render)

Takes a shot and `DubOptions`, gives a `Stage`, on which the dub is rendered: at once, or a part here and a part there.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from lipsmith.engine import footage as footages
from lipsmith.engine import heap
from lipsmith.engine.actor import calibration
from lipsmith.engine.casting import at_hand, cast_parts, expression_of, whom
from lipsmith.engine.faces.appearances import SAME_IN_SHOT
from lipsmith.engine.faces.track import Nets, torch_device
from lipsmith.engine.footage import Footage, Person
from lipsmith.engine.media import clock, decode, loop, mux
from lipsmith.engine.media.ahead import ahead
from lipsmith.engine.media.clock import Span
from lipsmith.engine.media.coded import CodedFiles
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.newtrack import NewTrack
from lipsmith.engine.media.place import require_place
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.soundtrack import Voice
from lipsmith.engine.media.spec import VideoSpec
from lipsmith.engine.media.splice import PART_FRAMES, SplicePlan, Whole
from lipsmith.engine.mouth import MouthBasis
from lipsmith.engine.progress import Progress, silent
from lipsmith.engine.render.performance import Part, Performance, Tally
from lipsmith.engine.render.schedule import BLEND_FRAMES
from lipsmith.engine.speech import audio
from lipsmith.engine.speech.speaking import Speech
from lipsmith.errors import RequestError
from lipsmith.weights import WeightStore

_LEARN_FROM_SECONDS = 6.0  # around each range, where the actor is to be learnt from the shot itself
_SEE_FROM_SECONDS = 1.0  # around each range, where he is known
_WORTH_TELLING = 0.02  # of the dubbed frames: of a talker a shut mouth is now and then shown at the edge of an opening
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
    at: str | None = (
        None  # when the voices begin, as a range is told; before and after them the source is seen and heard
    )
    loop_video: bool = False  # the picture starts anew while a voice lasts
    soundtrack: Path | None = None  # what is heard; None: the voices
    strength: float = 1.0  # of articulation, 0 (still) to 2
    maintain_expression: bool = False  # keep the source's smile or tension and only speak through it
    language: str | None = None  # tag of the new soundtrack, ISO 639-2 ("fra"); None: as the one it replaces
    keep_original_audio: bool = False  # the new soundtrack is added before the others instead of replacing the first
    device: str = "auto"
    threads: int = 2
    part_frames: int = PART_FRAMES  # what is encoded anew is planned in parts of about so many


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


@contextmanager
def rehearsed(
    shot: Path,
    out: Path,
    options: DubOptions,
    *,
    store: WeightStore,
    model: Path | Mapping[int, Path] | None = None,
    seen: Footage | None = None,
    progress: Progress = silent,
) -> Iterator[Stage]:
    """All that comes before the first frame of `out` is painted.

    `model`: the actor's, or several by the actor's number; whoever has none is learnt on the fly. `seen`: the shot,
    where it has been watched before.
    Raises the InputErrors, RequestErrors, FaceErrors, OutputErrors, WeightsError.
    """
    require_place(shot, out)
    _require_distinct(options)
    watch = Watch()
    with bounded(options.threads), ExitStack() as stack:
        where = torch_device(options.device)
        nets = Nets(store, where)
        voices = [(voice, audio.load(voice.path)) for voice in options.voices]  # unreadable ones fail before the work
        if options.at is not None:
            video = seen.video if seen is not None else require_video(probe(shot))
            options = _placed(options, video, max(waveform.seconds for _, waveform in voices))
        if seen is None:
            with watch.stage("prepare"):
                near = _near(options, known=model is not None)
                seen = footages.look(
                    shot, store=store, nets=nets, device=where, threads=options.threads, progress=progress, near=near
                )
        start = _start_seconds(options, seen)
        shown = _shown(seen, options, start, max(waveform.seconds for _, waveform in voices))
        everywhere = clock.parse_ranges(options.ranges, shown.video) or _from(start, shown)
        file = model if isinstance(model, Path) else None
        roles = [(whom(shown, voice.actor, file), voice, waveform) for voice, waveform in voices]
        if len({person.actor for person, *_ in roles}) < len(roles):
            raise RequestError("Two voices were given for the same actor; name each actor once.")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lipsmith-")))
        parts: list[Part] = []
        cast: list[Role] = []
        speech = Speech(store, where)
        for person, voice, waveform in roles:
            with watch.stage("train"):
                given = model.get(person.actor) if isinstance(model, Mapping) else model
                actor_model = stack.enter_context(
                    at_hand(seen, seen.person(person.actor), given, folder, nets.occluders, options.threads, progress)
                )
            with watch.stage("motion"):
                path = speech.path(waveform, shown.seconds - start, voice.script)
                wanted = calibration.wanted(path, MouthBasis.load(), actor_model.calibration, options.strength)
                if options.maintain_expression:
                    wanted[person.measured.indices] += expression_of(person, actor_model, shown)
                spans = clock.parse_ranges(voice.ranges, shown.video) or everywhere
                parts += cast_parts(shown, person, actor_model, wanted, spans)
                speaks = bool(np.abs(path.coefficients).max(initial=0.0) > 0)
                elsewhere = None if actor_model.learnt_from(shot) else actor_model.provenance.footage
                strange = (actor_model.unlike(person.identity) or 0.0) > SAME_IN_SHOT
                cast.append(Role(person, voice, waveform.seconds, speaks, actor_model.calibration, elsewhere, strange))
        del voices, roles, waveform, path, wanted  # of an hour they are 400 MB
        performance = Performance(shown.video, nets, tuple(parts), options.threads, combed=shown.combed)
        splice: SplicePlan | Whole = Whole("the video is looped")
        if shown is seen:
            with watch.stage("render"):
                splice = mux.plan_splice(seen.spec, out, seen.pts, performance.edited, options.part_frames)
        yield Stage(out, options, seen, shown, start, everywhere, tuple(cast), performance, splice, watch, progress)


@dataclass(frozen=True)
class Role:
    """One voice and who says it."""

    person: Person
    voice: VoiceFor
    seconds: float  # of the voice
    speaks: bool
    calibration: calibration.Calibration
    learnt_elsewhere: str | None  # the footage's name, where it is not this shot
    looks_strange: bool  # the one it was learnt from is not like him


@dataclass(frozen=True)
class Stage:
    """A dub before its first frame is painted. What it does raises what `rehearsed` raises."""

    out: Path
    options: DubOptions
    seen: Footage
    shown: Footage
    start_seconds: float
    everywhere: tuple[Span, ...]
    cast: tuple[Role, ...]
    performance: Performance
    splice: SplicePlan | Whole
    watch: Watch
    progress: Progress

    @property
    def part_count(self) -> int:
        """In how many parts it can be rendered apart from each other."""
        return len(self.splice.parts) if isinstance(self.splice, SplicePlan) else 1

    def render(self) -> DubResult:
        """Write the dub, whole or not at all."""
        with closing(self._painted()) as painted:
            return self._written(painted, self.performance.tally)

    def render_part(self, number: int, path: Path) -> Tally:
        """Render one part of it into the file `path`."""
        assert isinstance(self.splice, SplicePlan)
        total = self.splice.excerpts[number].frame_count
        with self.watch.stage("render"), closing(self._painted([number])) as painted:
            frames = self._counted(painted, total)
            mux.encode_part(self.shown.spec, self.out, frames, self.splice, number, path, threads=self.options.threads)
        return self.performance.tally

    def join(self, paths: Sequence[Path], tally: Tally) -> DubResult:
        """Write the dub of the files of all its parts; `tally`: all of theirs."""
        return self._written(CodedFiles(tuple(paths)), tally)

    def _painted(self, parts: Sequence[int] | None = None) -> Generator[Frame, None, None]:
        """The frames that go to the encoder, of all parts or of these; painted ahead of it."""
        play = chain.from_iterable(self.performance.play(frames) for frames in self._decoded(parts))
        return ahead(play, self.options.threads, partial(torch.set_num_threads, self.options.threads))

    def _decoded(self, parts: Sequence[int] | None) -> Iterator[Iterator[Frame]]:
        """Each part begins anew, so that it comes out the same whoever renders it."""
        threads = self.options.threads
        if self.shown is not self.seen:
            play = partial(decode.frames, self.seen.spec, threads=threads)
            yield loop.frames(play, self.seen.video, len(self.shown.pts))
        elif isinstance(self.splice, SplicePlan):
            excerpts = self.splice.excerpts
            for number in range(len(excerpts)) if parts is None else parts:
                yield decode.frames(self.seen.spec, excerpts[number], threads=threads)
        else:
            yield decode.frames(self.seen.spec, threads=threads)

    def _counted(self, frames: Iterable[Frame], total: int) -> Iterator[Frame]:
        for number, frame in enumerate(frames):
            self.progress("render", number, total)
            yield frame

    def _written(self, pictures: Iterable[Frame] | CodedFiles, tally: Tally) -> DubResult:
        options, starts = self.options, self.start_seconds
        heard = [role.voice.path for role in self.cast] if options.soundtrack is None else [options.soundtrack]
        with self.watch.stage("render"):
            report = mux.rewrite(
                self.shown.spec,
                self.out,
                pictures,
                [Voice(path, start_seconds=starts) for path in heard],
                splice=self.splice,
                sound=NewTrack(
                    options.language, options.keep_original_audio, own_before=starts > 0, own_after=_is_ranged(options)
                ),
                progress=lambda _stage, done, total: self.progress("render", done, total),
                threads=options.threads,
            )
        return self._result(report, tally)

    def _result(self, report: mux.RewriteReport, tally: Tally) -> DubResult:
        video = self.seen.video
        return DubResult(
            output=self.out,
            frames_total=len(self.shown.pts),
            frames_dubbed=len(tally.dubbed),
            frames_without_face=_missed(self.shown, _spans(self.shown, self.options, self.everywhere), tally.dubbed),
            frames_retried=tally.retried,
            frames_softened=tally.softened,
            actors=tuple(role.person.actor for role in self.cast),
            warnings=_warnings(
                self.shown, self.cast, tally, self.start_seconds, laid_inside=self.options.at is not None
            ),
            differences=report.differences,
            stage_seconds=self.watch.seconds,
            details={
                "encoder": report.encoder,
                "encoder_settings": report.settings,
                "frames_encoded": report.frames_encoded,
                "why_all_encoded": report.why_all_encoded,
                "sound_packets_copied": report.sound_packets_copied,
                "cuts": list(self.seen.cuts),
                "av_offset_frames": footages.believed_offset(self.cast[0].person, float(video.frame_rate)),
                "frames_beyond_tolerance": tally.poor,
                "frames_shielded": len(tally.shielded),
                "frames_drawn_inside": len(tally.drawn),
                "mean_gap_error": float(np.mean(tally.gap_errors)) if tally.gap_errors else 0.0,
                "gain": [role.calibration.gain for role in self.cast],
                "manner_gain": [role.calibration.manner_gain for role in self.cast],
            },
        )


def _near(options: DubOptions, *, known: bool) -> footages.Near | None:
    """Where to look when only ranges are dubbed; None: everywhere, as the numbers of actors are those of the whole."""
    if not options.ranges or any(voice.actor is not None for voice in options.voices):
        return None
    return footages.Near(options.ranges, _SEE_FROM_SECONDS if known else _LEARN_FROM_SECONDS)


def _placed(options: DubOptions, video: VideoSpec, voice_seconds: float) -> DubOptions:
    """With the range that voices laid in the middle of a shot are seen in. Raises RequestError, BadRange."""
    assert options.at is not None
    if options.start_frame or options.loop_video:
        raise RequestError("A moment for the voices goes neither with a first frame nor with a looped video.")
    at = clock.parse_moment(options.at, video)
    if _is_ranged(options):
        return options
    margin = BLEND_FRAMES / float(video.frame_rate)  # the picture goes over to the dub and back beside the voice
    end = min(at + voice_seconds + margin, video.duration_seconds_from_content)
    return replace(options, ranges=(f"{max(at - margin, 0):.6f}-{end:.6f}",))


def _start_seconds(options: DubOptions, seen: Footage) -> float:
    """Raises RequestError."""
    if options.at is not None:
        return clock.parse_moment(options.at, seen.video)
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


def _missed(seen: Footage, spans: tuple[Span, ...], dubbed: set[int]) -> int:
    wanted = [i for i, t in enumerate(seen.seconds) if not spans or any(span.contains(float(t)) for span in spans)]
    return sum(i not in dubbed for i in wanted)


def _warnings(
    seen: Footage,
    cast: tuple[Role, ...],
    tally: Tally,
    start_seconds: float,
    *,
    laid_inside: bool,
) -> tuple[str, ...]:
    told = list(seen.spec.warnings)
    length = seen.video.duration_seconds_from_content - start_seconds
    for role in cast:
        voice = role.voice
        told += footages.notes(role.person)
        if role.learnt_elsewhere is not None:
            told.append(
                f"The actor was learnt from other footage ({role.learnt_elsewhere}); his mouths are shown in this "
                "shot's light. Where that is another altogether, train him on this shot."
            )
        if role.looks_strange:
            told.append(
                f"Actor {role.person.actor} does not look like the one of {role.learnt_elsewhere or 'the actor file'}: "
                "is it the right actor? --actor chooses another."
            )
        if not role.speaks:
            told.append(f"{voice.path.name} holds no speech: the mouth rests.")
        elif role.seconds > length + _LENGTH_TOLERANCE_SECONDS:
            told.append(f"{voice.path.name} is {role.seconds - length:.1f} s longer than the video and was cut.")
        elif not laid_inside and role.seconds < length - _LENGTH_TOLERANCE_SECONDS:
            told.append(f"{voice.path.name} ends {length - role.seconds:.1f} s before the video; the mouth rests then.")
    if tally.shielded:
        told.append(
            f"In {_counted(tally.shielded)} something lies before a dubbed face (a hand, a microphone, words); "
            "it stays as it was filmed."
        )
    if len(tally.drawn) > _WORTH_TELLING * len(tally.dubbed):
        told.append(
            f"In {_counted(tally.drawn)} the mouth is opened wider than in any of the footage; its inside is drawn "
            "there and nobody's own. Train the actor on footage in which he speaks."
        )
    if not tally.dubbed:
        told.append("No frame was dubbed: no dubbed actor is near, frontal and clear enough anywhere.")
    return tuple(dict.fromkeys(told))


def _counted(frames: Collection[int]) -> str:
    return f"{len(frames)} frame{'s' if len(frames) != 1 else ''}"


def _require_distinct(options: DubOptions) -> None:
    if not options.voices:
        raise RequestError("No voice was given: there is nothing to say.")
    named = [voice.actor for voice in options.voices]
    if len(set(named)) < len(named):
        raise RequestError("Two voices were given for the same actor; name each actor once.")


@contextmanager
def bounded(threads: int) -> Iterator[None]:
    """Torch and OpenCV get `threads`, the matrix library one: spinning threads starve codecs (20-50 times slower)."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


class Watch:
    """Seconds per stage; stages may come several times. At the end of each, what it freed goes back to the system."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            heap.give_back()
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 3)
