"""A verdict as one page that a person can open anywhere: figures in plain words, the mouth's curve, frames to look at.

Takes a `Verdict` (and what the renderer says of its work), gives one self-contained HTML file: pictures and drawings
are inside it, nothing is loaded from anywhere.
"""

from __future__ import annotations

import base64
import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import jinja2
import numpy as np

from lipsmith import __version__
from lipsmith.engine.media import decode
from lipsmith.engine.media.frame import Box
from lipsmith.engine.media.probe import probe
from lipsmith.engine.quality.check import Verdict
from lipsmith.engine.quality.fidelity import IDENTICAL_DB, ActorFidelity, Moment
from lipsmith.errors import DiskFull, OutputNotWritable

TEMPLATE = Path(__file__).with_name("report.html")
FRAME_WIDTH = 480  # pixels of a whole frame on the page
MOUTH_WIDTH = 240
JPEG_QUALITY = 88
CHART_SIZE = (960, 220)
CHART_POINTS = 2000

State = Literal["good", "fair", "poor", "unknown"]


@dataclass(frozen=True)
class RenderFigures:
    """What the renderer says of its own work; the judge cannot see it."""

    frames_total: int
    frames_dubbed: int
    frames_without_face: int
    frames_retried: int  # the first candidate was refused
    frames_softened: int  # moved less than asked, to stay natural
    stage_seconds: Mapping[str, float]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """One measurement in words."""

    name: str
    value: str
    target: str
    state: State
    meaning: str

    @property
    def verdict(self) -> str:
        return {"good": "good", "fair": "fair", "poor": "look here", "unknown": ""}[self.state]


@dataclass(frozen=True)
class _Pair:
    """A frame before and after, as data URLs."""

    seconds: float
    index: int
    mouth_before: str
    mouth_after: str
    frame_before: str
    frame_after: str


@dataclass(frozen=True)
class _Chart:
    actor: int
    width: int
    height: int
    source: str  # SVG path data
    dub: str
    ticks: tuple[tuple[float, str], ...]  # x, label


def write_report(verdict: Verdict, path: Path, *, render: RenderFigures | None = None) -> None:
    """Write the page. It appears whole or not at all. Raises OutputNotWritable, DiskFull."""
    page = _page(verdict, render)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"{path}: the disk is full.") from error
        raise OutputNotWritable(f"{path}: the report cannot be written ({error.strerror}).") from error
    finally:
        part.unlink(missing_ok=True)


def figures(verdict: Verdict) -> tuple[Figure, ...]:
    """The measurements, most telling first."""
    return (
        *_sync_figures(verdict),
        *(f for actor in _shown(verdict) for f in _actor_figures(actor)),
        _outside(verdict),
    )


def _shown(verdict: Verdict) -> Sequence[ActorFidelity]:
    """The faces that were dubbed; where none was, all."""
    return verdict.fidelity.edited or verdict.fidelity.actors


def _sync_figures(verdict: Verdict) -> list[Figure]:
    found = verdict.sync_dub
    meaning = "How far the sound is behind the lips (minus: ahead of them); within one frame nobody sees it."
    if found is None:
        return [Figure("Lips and sound", "not measured", "within 1 frame", "unknown", meaning), *_lip_sync(verdict)]
    state: State = "good" if abs(found.offset_frames) <= 1 else "fair" if abs(found.offset_frames) <= 2 else "poor"
    before = verdict.sync_source
    compared = f", source {before.confidence:.1f}" if before is not None else ""
    return [
        Figure("Lips and sound", _apart(found.offset_frames), "within 1 frame", state, meaning),
        Figure(
            "Certainty of that",
            f"{found.confidence:.1f}{compared}",
            "near the source's",
            "unknown" if before is None else "good" if found.confidence >= 0.6 * before.confidence else "fair",
            "How clearly the lips follow this sound and no other.",
        ),
        *_lip_sync(verdict),
    ]


def _lip_sync(verdict: Verdict) -> list[Figure]:
    if (found := verdict.lip_sync) is None:
        return []
    return [
        Figure("LSE-C", f"{found.lse_c:.2f}", "larger is better", "unknown", "SyncNet's confidence, your weights."),
        Figure("LSE-D", f"{found.lse_d:.2f}", "smaller is better", "unknown", "SyncNet's distance, your weights."),
    ]


def _apart(frames: int) -> str:
    return "together" if frames == 0 else f"{frames:+d} frame{'s' if abs(frames) > 1 else ''} apart"


def _actor_figures(actor: ActorFidelity) -> list[Figure]:
    who = f", actor {actor.actor}"
    return [
        Figure(
            f"Sharpness{who}",
            f"{actor.sharpness_ratio:.2f} of the source's",
            "0.85 – 1.15",
            _within(actor.sharpness_ratio, (0.85, 1.15), (0.7, 1.4)),
            "Fine detail around the mouth: below 1 it is softer than the source, above 1 harsher.",
        ),
        Figure(
            f"Steadiness{who}",
            f"{actor.jerk_ratio:.2f} of the source's jerk",
            "at most 1.1",
            _within(actor.jerk_ratio, (0.0, 1.1), (0.0, 1.35)),
            "How abruptly the lips move: well above 1 they tremble. Livelier speech than the source's raises it too.",
        ),
        Figure(
            f"Still himself{who}",
            f"{actor.identity_similarity:.2f}",
            "at least 0.8",
            _within(actor.identity_similarity, (0.8, 1.0), (0.5, 1.0)),
            "How like himself he looks to a net that tells persons apart: 1 is equal, strangers have about 0.2.",
        ),
        Figure(
            f"Lips closed{who}",
            f"{100 * actor.closed_share_dub:.0f} % of frames, source {100 * actor.closed_share_source:.0f} %",
            "depends on what is said",
            "unknown",
            "Pauses and the sounds p, b, m close the lips.",
        ),
        Figure(
            f"Seam{who}",
            f"{actor.seam:.1f} of 255",
            "at most 2",
            _within(actor.seam, (0.0, 2.0), (0.0, 4.0)),
            "Change of colour on a ring around the lower face, where new and old picture meet.",
        ),
    ]


def _outside(verdict: Verdict) -> Figure:
    found = verdict.fidelity
    exact = found.outside_psnr_db >= IDENTICAL_DB
    return Figure(
        "Picture outside the faces",
        "identical"
        if exact
        else f"{found.outside_psnr_db:.1f} dB, worst frame {found.outside_worst_frame_db:.1f} dB, "
        f"largest step {found.outside_max_difference} of 255",
        "at least 45 dB",
        _within(found.outside_psnr_db, (45.0, np.inf), (40.0, np.inf)),
        "What encoding the picture again cost where nothing was edited; above 45 dB no eye finds it.",
    )


def _within(value: float, good: tuple[float, float], fair: tuple[float, float]) -> State:
    if good[0] <= value <= good[1]:
        return "good"
    return "fair" if fair[0] <= value <= fair[1] else "poor"


def _page(verdict: Verdict, render: RenderFigures | None) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        verdict=verdict,
        figures=figures(verdict),
        charts=[_chart(actor, verdict.fidelity.frame_rate) for actor in _shown(verdict)],
        pairs=_pairs(verdict),
        render=render,
        warnings=tuple(dict.fromkeys((*(render.warnings if render else ()), *verdict.warnings))),
        version=__version__,
    )


def _chart(actor: ActorFidelity, frame_rate: float) -> _Chart:
    """The inner lip gap over time, in both files, on one scale."""
    width, height = CHART_SIZE
    curves = actor.opening_source, actor.opening_dub
    top = max(0.08, float(np.nanmax(np.concatenate(curves))))
    seconds = len(curves[0]) / frame_rate
    step = next((s for s in (0.5, 1, 2, 5, 10, 30, 60, 300) if seconds / s <= 14), 900)
    return _Chart(
        actor=actor.actor,
        width=width,
        height=height,
        source=_line(curves[0], top),
        dub=_line(curves[1], top),
        ticks=tuple((width * t / seconds, f"{t:g} s") for t in np.arange(0, seconds * 0.97, step)),
    )


def _line(curve: np.ndarray, top: float) -> str:
    """SVG path data; frames without a face break the line."""
    width, height = CHART_SIZE
    stride = max(1, len(curve) // CHART_POINTS)
    commands, pen_down = [], False
    for index in range(0, len(curve), stride):
        value = float(curve[index])
        if np.isnan(value):
            pen_down = False
            continue
        x = width * index / max(1, len(curve) - 1)
        y = height * (1 - 0.94 * min(max(value, 0.0), top) / top) - 4
        commands.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
        pen_down = True
    return "".join(commands)


def _pairs(verdict: Verdict) -> list[_Pair]:
    """The moments of the first dubbed face, before and after."""
    shown = _shown(verdict)
    if not shown:
        return []
    moments = {moment.index: moment for moment in shown[0].moments}
    rate = verdict.fidelity.frame_rate
    before, after = (_cuttings(path, moments) for path in (verdict.source, verdict.dub))
    return [_Pair(i / rate, i, before[i][0], after[i][0], before[i][1], after[i][1]) for i in moments if i in after]


def _cuttings(path: Path, moments: Mapping[int, Moment]) -> dict[int, tuple[str, str]]:
    """Frame index: (mouth, whole frame) as data URLs, upright."""
    spec = probe(path)
    turns = spec.video.rotation_degrees // 90 if spec.video is not None else 0
    found: dict[int, tuple[str, str]] = {}
    for frame in decode.frames(spec):
        if (moment := moments.get(frame.index)) is not None:
            picture = decode.rgb(frame)
            box = _roomy(moment.mouth, picture.shape[1], picture.shape[0])
            mouth = np.rot90(picture[box.top : box.bottom, box.left : box.right], turns)
            found[frame.index] = _data_url(mouth, MOUTH_WIDTH), _data_url(np.rot90(picture, turns), FRAME_WIDTH)
        if len(found) == len(moments):
            break
    return found


def _roomy(box: Box, width: int, height: int) -> Box:
    """Mouth, chin and the lower half of the cheeks: a square twice as wide as the mouth."""
    half = round(0.85 * max(box.width, box.height))
    x, y = (box.left + box.right) // 2, (box.top + box.bottom) // 2
    return Box(x - half, y - half, x + half, y + half).clipped(width, height)


def _data_url(picture: np.ndarray, width: int) -> str:
    """JPEG of (H, W, 3) uint8 RGB, scaled to `width` (frames never up)."""
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    method = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_CUBIC
    small = cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=method)
    _, code = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(code.tobytes()).decode("ascii")
