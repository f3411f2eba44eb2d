"""The other side of `child`: one task of the engine in a process of its own.

It says where the work stands, then the result or what failed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import av
import langcodes
import numpy as np

from lipsmith import plugins
from lipsmith.config import Settings
from lipsmith.engine import dub as story
from lipsmith.engine import footage as footages
from lipsmith.engine.faces.portrait import portrait
from lipsmith.engine.faces.track import Nets, torch_device
from lipsmith.engine.footage import Footage, Person
from lipsmith.engine.media import mux
from lipsmith.engine.media.encode import plan_video
from lipsmith.engine.media.probe import first_picture, probe, require_video
from lipsmith.engine.media.proxy import make_proxy
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.mouth import MOUTH
from lipsmith.engine.progress import Progress
from lipsmith.engine.quality.check import Verdict, check
from lipsmith.engine.rehearsal import DubOptions, DubResult, Stage, VoiceFor, rehearsed
from lipsmith.engine.render.performance import Tally
from lipsmith.errors import InputError, LipsmithError, UnsupportedVideo
from lipsmith.weights import WeightStore
from lipsmith.worker.parent import be_called, die_with_parent

Say = Callable[[dict[str, Any]], None]
_NICE = 19  # the API and whatever else is interactive come first
_PREVIEW_SHORTER_SIDE = 720
_TELL_SECONDS = 0.4
# Percent of the task at the end of each stage; a stage that is not named takes the task's own share.
_ENDS = {
    "prepare": {"prepare": 100},
    "train": {"train": 100},
    "render": {"prepare": 30, "train": 40, "motion": 45, "render": 95, "preview": 99},
    "plan": {"prepare": 70, "train": 90, "motion": 100},
    "part": {"prepare": 30, "train": 40, "motion": 45, "render": 100},
    "join": {"prepare": 30, "train": 40, "motion": 45, "render": 95, "preview": 99},
    "measure": {"check": 100},
    "preview": {"proxy": 100},
}
_CURVE_POINTS = 3000  # of a curve for a page: more than it has pixels
_MOUTHS_PER_SECOND = 5


class _Teller:
    """Turns the engine's progress into lines: percent of the whole task and seconds left."""

    def __init__(self, task: str, say: Say) -> None:
        self._ends, self._say = _ENDS[task], say
        self._began = time.monotonic()
        self._told = 0.0
        self._percent = 0.0
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._told < _TELL_SECONDS:
            return
        self._stage, self._told = stage, now
        names = list(self._ends)
        start = 0 if stage not in names or names.index(stage) == 0 else self._ends[names[names.index(stage) - 1]]
        end = self._ends.get(stage, 100)
        share = done / total if total else 0.0
        self._percent = max(self._percent, start + (end - start) * min(share, 1.0))
        spent = now - self._began
        eta = spent * (100 - self._percent) / self._percent if self._percent >= 3 else None
        self._say({"stage": stage, "percent": int(self._percent), "eta_seconds": eta and round(eta, 1)})


def prepare(given: dict[str, Any], settings: Settings, progress: Progress) -> dict[str, Any]:
    """Watch a shot: who is in it, his portrait, and all that later tasks need to know of it."""
    shot, folder = Path(given["shot"]), Path(given["folder"])
    store, device = _tools(settings)
    seen = footages.look(
        shot, store=store, nets=Nets(store, device), device=device, threads=settings.threads, progress=progress
    )
    _ = seen.main  # raises NoFace
    footages.save(seen, folder / "footage")
    for person in seen.people:
        (folder / f"portrait-{person.actor}.jpg").write_bytes(portrait(seen.spec, person.measured))
    return {
        "people": [{"face": person.actor, "frames": len(person.measured)} for person in seen.people],
        "frame_count": len(seen.pts),
        "duration_seconds": seen.video.duration_seconds_from_content,
        "warnings": list(seen.spec.warnings),
    }


def train(given: dict[str, Any], settings: Settings, progress: Progress) -> dict[str, Any]:
    """Learn everybody who is in the shot."""
    folder, store = Path(given["folder"]), WeightStore(settings.models_folder)
    shot = Path(given["shot"])
    seen = footages.load(Path(given["footage"]), shot)
    faces = given["faces"]
    for number, face in enumerate(faces):
        story.train(
            shot,
            folder / f"actor-{face}",
            store=store,
            actor=face,
            device=settings.device,
            threads=settings.threads,
            seen=seen,
            progress=_part_of(progress, number, len(faces)),
        )
    return {"faces": faces}


def render(given: dict[str, Any], settings: Settings, progress: Progress) -> dict[str, Any]:
    """Write the dub into `folder`; gives its file name and what was done."""
    with _rehearsed(given, settings, progress) as stage:
        result = stage.render()
    return _told(result, stage.seen.spec, given, settings, progress)


def plan(given: dict[str, Any], settings: Settings, progress: Progress) -> dict[str, Any]:
    """In how many parts the dub can be rendered."""
    with _rehearsed(given, settings, progress) as stage:
        return {"parts": stage.part_count}


def part(given: dict[str, Any], settings: Settings, progress: Progress) -> dict[str, Any]:
    """Render one part of it into `folder`."""
    path = Path(given["folder"]) / "part"
    with _rehearsed(given, settings, progress) as stage:
        tally = stage.render_part(given["part"], path)
    return {"file": path.name, "tally": tally.told()}


def join(given: dict[str, Any], settings: Settings, progress: Progress) -> dict[str, Any]:
    """Write the dub of its parts into `folder`; as `render`."""
    tally = Tally()
    for told in given["tallies"]:
        tally.add(Tally.from_told(told))
    with _rehearsed(given, settings, progress) as stage:
        result = stage.join([Path(path) for path in given["parts"]], tally)
    return _told(result, stage.seen.spec, given, settings, progress)


def _rehearsed(given: dict[str, Any], settings: Settings, progress: Progress) -> AbstractContextManager[Stage]:
    shot, folder = Path(given["shot"]), Path(given["folder"])
    options = DubOptions(
        voices=tuple(
            VoiceFor(_voice(voice, shot, folder), voice["face"], ranges=_ranges(voice["ranges"]))
            for voice in given["voices"]
        ),
        start_frame=given["start_frame"],
        loop_video=given["loop_video"],
        soundtrack=Path(given["soundtrack"]) if given["soundtrack"] else None,
        maintain_expression=given["maintain_expression"],
        strength=given["strength"],
        language=_language(given["language"]),
        device=settings.device,
        threads=settings.threads,
        **({"part_frames": given["part_frames"]} if given["part_frames"] else {}),
    )
    return rehearsed(
        shot,
        folder / f"output{_suffix(probe(shot), given['file_name'], given['output_filename'])}",
        options,
        store=WeightStore(settings.models_folder),
        model={int(face): Path(path) for face, path in given["models"].items()},
        seen=footages.load(Path(given["footage"]), shot),
        progress=progress,
    )


def _told(
    result: DubResult, shot: MediaSpec, given: dict[str, Any], settings: Settings, progress: Progress
) -> dict[str, Any]:
    """The file for the customer, and what was done."""
    out = result.output if given["full_resolution"] else _preview(result.output, shot, settings, progress)
    return {
        "file": out.name,
        "frames_total": result.frames_total,
        "frames_dubbed": result.frames_dubbed,
        "frames_without_face": result.frames_without_face,
        "warnings": [*result.warnings, *result.differences],
    }


def preview(given: dict[str, Any], settings: Settings, progress: Progress) -> dict[str, Any]:
    """A file that browsers play, its shape, the times of its frames, and where the mouths are."""
    source, out = Path(given["source"]), Path(given["folder"]) / given["file"]
    made = make_proxy(source, out, threads=settings.threads, progress=progress)
    seen = footages.load(Path(given["footage"]), source) if given["footage"] else None
    turned = require_video(probe(source)).rotation_degrees % 180 != 0
    width, height = (made.height, made.width) if turned else (made.width, made.height)  # as it is shown
    return {
        "width": width,
        "height": height,
        "frames": made.frames,
        "frame_times": _frame_times(out),
        "mouths": [] if seen is None else [_mouths(seen, person) for person in seen.people],
    }


def measure(given: dict[str, Any], settings: Settings, progress: Progress) -> dict[str, Any]:
    """What the judge says of a finished dub."""
    verdict = check(
        Path(given["shot"]),
        Path(given["output"]),
        store=WeightStore(settings.models_folder),
        device=settings.device,
        threads=settings.threads,
        progress=progress,
    )
    return {**_figures(verdict), "curves": _curves(verdict)}


def _voice(voice: dict[str, Any], shot: Path, folder: Path) -> Path:
    """The uploaded voice, or the shot's own speech in another language. Raises InputError where that cannot be had."""
    if voice["path"]:
        return Path(voice["path"])
    made = folder / "translated.wav"
    languages = voice["translate"]
    try:
        plugins.translator()(shot, made, languages["source_language"], languages["target_language"])
    except Exception as error:  # of somebody else's code
        raise InputError(f"The translation failed: {error}") from error
    return made


def _figures(verdict: Verdict) -> dict[str, Any]:
    sync = verdict.sync_dub
    alike = [actor.identity_similarity for actor in verdict.fidelity.edited]
    return {
        "sync_offset_ms": None if sync is None else round(1000 * sync.offset_seconds, 1),
        "sync_confidence": None if sync is None else round(sync.confidence, 3),
        "identity_similarity": round(min(alike), 3) if alike else None,
        "untouched_max_diff": verdict.fidelity.outside_max_difference,
        "same_file": verdict.passed,
        "differences": list(verdict.unexplained),
        "warnings": list(verdict.warnings),
    }


def _curves(verdict: Verdict) -> dict[str, Any]:
    """The inner-lip gap over time, in face widths, of each dubbed face: as filmed and as dubbed. None: no face."""
    found = verdict.fidelity

    def thinned(curve: np.ndarray) -> list[float | None]:
        stride = max(1, -(-len(curve) // _CURVE_POINTS))
        return [None if np.isnan(value) else round(float(value), 4) for value in curve[::stride]]

    count = max((len(actor.opening_source) for actor in found.edited), default=0)
    return {
        "seconds_each": max(1, -(-count // _CURVE_POINTS)) / found.frame_rate,
        "actors": [
            {"face": a.actor, "source": thinned(a.opening_source), "dub": thinned(a.opening_dub)} for a in found.edited
        ],
    }


def _frame_times(path: Path) -> dict[str, Any]:
    """When frames appear: `first` and `each` where they are regular within a tenth of a frame, else `all`. Seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        stamps = sorted(p.pts for p in container.demux(stream) if p.pts is not None and p.size)
        times = (np.array(stamps, float) if stamps else np.zeros(1)) * float(stream.time_base)
    each = float(times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.04
    regular = times[0] + each * np.arange(len(times))
    if np.abs(times - regular).max() <= each / 10:
        return {"first": round(float(times[0]), 6), "each": each}
    return {"all": [round(float(t), 5) for t in times]}


def _mouths(seen: Footage, person: Person) -> dict[str, Any]:
    """Where a mouth is a few times a second: [seconds, x, y, face width], the last three as shares of the picture."""
    measured, video = person.measured, seen.video
    stride = max(1, round(float(video.frame_rate) / _MOUTHS_PER_SECOND))
    some = slice(None, None, stride)
    middle = measured.in_picture(*MOUTH, rows=some).mean(1) / (video.seen_width, video.height)
    for _ in range(video.rotation_degrees // 90 % 4):  # upright, as it is shown
        middle = np.stack([middle[:, 1], 1 - middle[:, 0]], 1)
    upright = video.height if video.rotation_degrees % 180 else video.seen_width
    width = measured.placement.scale[some] / upright
    rows = np.column_stack([seen.seconds[measured.indices[some]], middle, width])
    return {"face": person.actor, "at": rows.round(4).tolist()}


def _tools(settings: Settings) -> tuple[WeightStore, Any]:
    return WeightStore(settings.models_folder), torch_device(settings.device)


def _part_of(progress: Progress, number: int, count: int) -> Progress:
    """Progress of one of several equal parts, on a scale of 1000."""

    def told(stage: str, done: int, total: int | None) -> None:
        share = min(done / total, 1.0) if total else 0.0
        progress(stage, round(1000 * (number + share) / count), 1000)

    return told


def _ranges(pairs: list[list[float]] | None) -> tuple[str, ...]:
    return tuple(f"{start:.6f}-{end:.6f}" for start, end in pairs or ())


def _language(tag: str | None) -> str | None:
    """The three letters a container takes for a tag such as es-MX; None where it says nothing."""
    try:
        return langcodes.Language.get(tag).to_alpha3(variant="T") if tag else None
    except (LookupError, ValueError):
        return None


def _suffix(spec: MediaSpec, file_name: str, wished_name: str) -> str:
    """The wished container's where it carries the codec unchanged, else the source's own."""
    own = mux.suffix_of(spec, file_name)
    wished = Path(wished_name).suffix.lower()
    if wished == own or wished not in mux.SUFFIXES:
        return own
    video = require_video(spec)
    try:
        plan = plan_video(video, mux.muxer_of(Path(f"x{wished}")), first_picture(spec.path, video.stream_index))
    except UnsupportedVideo:
        return own
    return wished if plan.codec == video.codec and not plan.differences else own


def _preview(out: Path, spec: MediaSpec, settings: Settings, progress: Progress) -> Path:
    """At most 720 on the shorter side, for browsers; as it is where it is that small already."""
    video = require_video(spec)
    shorter, longer = sorted((video.width, video.height))
    if shorter <= _PREVIEW_SHORTER_SIDE:
        return out
    small = out.with_name("preview.mp4")
    side = round(longer * _PREVIEW_SHORTER_SIDE / shorter)
    make_proxy(
        out,
        small,
        longest_side=side,
        threads=settings.threads,
        progress=lambda _stage, done, total: progress("preview", done, total),
    )
    out.unlink()
    return small


TASKS = {
    "prepare": prepare,
    "train": train,
    "render": render,
    "plan": plan,
    "part": part,
    "join": join,
    "measure": measure,
    "preview": preview,
}


def work(task: str, given: dict[str, Any], say: Say) -> None:
    """Do it and `say` so. Of a process of its own: its session, priority and standard output become others."""
    os.setsid()
    worker = multiprocessing.parent_process()
    die_with_parent(signal.SIGKILL, lambda: worker is None or worker.is_alive())
    be_called(f"lip {task}")
    _step_back()
    os.dup2(2, 1)  # whatever libraries print is nobody's output
    try:
        say({"result": TASKS[task](given, Settings.from_environment(), _Teller(task, say))})
    except LipsmithError as error:
        say({"code": error.code, "sentence": str(error)})


def _step_back() -> None:
    """Take what processor time others leave, in long turns: an API call is not to wait for a frame."""
    os.nice(_NICE)
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
