"""What the file layer costs and keeps: time, bits, pixels outside the edit, memory, and a short range of a film.

*Whole shots*: a small square of every frame is darkened, so that all pictures are encoded anew and the edit costs next
to nothing; a part as large as a mouth is encoded finer, as in a dub. Time is that of planning and writing (decode,
edit, encode, new sound, mux) as a ratio to plain decode + encode of the same frames at the same bit rate with the same
encoder, preset and threads (bar 1.5). Luma outside the square is compared with the source's (bar 45 dB), beside what
plain decode + encode gives at the source's own mean quantiser as its decoder tells it (H.264), and the bits of the
pictures with the source's (bar 0.85-1.15).

*A range*: two seconds out of ten minutes, by the media layer alone and by whole dubs with a trained actor (a voice from
the beginning, a line laid there), against 5 s + 2 x decode + encode of the frames of those GOPs. *Memory*: peak of a
process that writes a shot, and of one that writes it ten times as long. *Ring*: mean CIE76 difference of spots of skin
just outside the replaced part of the face, source against whole dub; both files are tracked, so that the same skin is
compared where the jaw moves. What tracking and stretching leave of single spots is no colour shift: `tint` is the
difference of the ring's mean colours, frame by frame; `step` what the same spots differ by from one frame of the source
to its next.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from tests import matrix

from benchmarks import clips, table, talker
from benchmarks.speed import loop
from lipsmith.engine.dub import dub, train
from lipsmith.engine.media import decode, encode, gops, mux, quantiser, splice
from lipsmith.engine.media.frame import Box, Frame
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.soundtrack import Voice
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.rehearsal import DubOptions, VoiceFor

WHOLE = (
    "video/bill_cafe",
    "video/mead_W015",
    "video/latentsync_woman",
    "video/opendubbing",
    "video/speech_tips",
    "video/hdtf_katiehill",
    "video/obama_rally",
    "video/vretalk_woman_red",
    "video/man_outdoor",
    "video/tcd_woman",
    "hard/ai_avatar",
    "hard/hdr10_hevc",
    "hard/noisy_car",
)
RANGED, MINUTES = "video/bill_cafe", 10
RINGS = ("video/mead_W015", "video/hdtf_katiehill")
VOICE = "en_vretalk1_5s.wav"
LIPS = 10  # the picture's height over that of the part that is encoded finer
BLEND = 0.15  # s; before and after a voice laid in the middle the picture goes over (4 frames)
REACH = 8  # pixels around it that deblocking may touch


def run() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = [table.said(_whole(clips.clip(prefix), folder)) for prefix in WHOLE]
        spliced = [row for row in whole if row["ratio"]]
        ranges = [table.said(row) for row in _ranges(folder)]
        peaks = _peaks(folder)
        rings = [table.said(_ring(clips.clip(prefix), folder)) for prefix in RINGS]
    summary = {
        "render / decode + encode, worst (bar 1.5)": max(_f(row, "ratio") for row in spliced),
        "render / decode + encode, mean": table.mean(spliced, "ratio"),
        "render / decode + encode, all shots together": sum(_f(row, "seconds") for row in spliced)
        / sum(_f(row, "plain_seconds") for row in spliced),
        "luma outside the edit, mean dB (bar 45)": table.mean(whole, "outside_db"),
        "shots below 45 dB": sum(_f(row, "outside_db") < 45 for row in whole),
        "outside less plain encode at the source's quantiser, worst dB (bar 0)": min(
            _f(row, "outside_db") - _f(row, "plain_db") for row in whole if row["plain_db"]
        ),
        "bits of the pictures / source's, least and most (bar 0.85-1.15)": "{:.3f}-{:.3f}".format(
            min(_f(row, "bits") for row in whole), max(_f(row, "bits") for row in whole)
        ),
        "2 s of 10 minutes, media layer, of the allowed time (bar 1)": _f(ranges[0], "of_allowed"),
        "2 s of 10 minutes, rendering stage of a dub, of the allowed time (bar 1)": _f(ranges[1], "of_allowed"),
        "2 s of 10 minutes, whole dub with a trained actor, s": _f(ranges[1], "all_seconds"),
        "a line of 2 s laid in 10 minutes, rendering stage, of the allowed time (bar 1)": _f(ranges[2], "of_allowed"),
        "a line of 2 s laid in 10 minutes, whole dub, s": _f(ranges[2], "all_seconds"),
        "peak memory, ten times as long / once (bar 0.85-1.15)": peaks,
        "dE on the ring, spot by spot, worst shot (bar 1)": max(_f(row, "delta_e") for row in rings),
        "dE on the ring, mean colour, worst shot (bar 1)": max(_f(row, "tint") for row in rings),
        "dE on the ring, spot by spot / of two neighbouring frames of the source, worst shot": max(
            _f(row, "delta_e") / _f(row, "step") for row in rings
        ),
    }
    table.report("media", [*whole, *ranges, *rings], summary)


def _f(row: dict[str, object], key: str) -> float:
    return float(row[key])  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Written:
    """One run of the media layer."""

    seconds: float
    encoder: str
    options: dict[str, str]
    why_all: str
    encoded: int


def _write(spec: MediaSpec, out: Path, stamps: np.ndarray, chosen: Iterable[int]) -> _Written:
    start = time.monotonic()
    wanted = frozenset(chosen)
    plan = mux.plan_splice(spec, out, stamps, np.array(sorted(wanted)))
    excerpt = plan.excerpt if isinstance(plan, splice.SplicePlan) else None
    frames = matrix.edited(decode.frames(spec, excerpt), wanted, _lips)
    report = mux.rewrite(spec, out, frames, [Voice(clips.voice(VOICE))], splice=plan)
    words = [word.split("=", 1) for word in report.settings.split() if "=" in word]
    options = {key: encode.without_zones(value) for key, value in words}  # those are of runs
    return _Written(time.monotonic() - start, report.encoder, options, report.why_all_encoded, report.frames_encoded)


def _lips(frame: Frame) -> Box:
    """Where a talker's might be, and how large: what is encoded finer in a dub is finer here."""
    height, width = frame.picture.height, frame.picture.width
    side = height // LIPS // 2 * 2
    left, top = (width - side) // 4 * 2, (height - side) // 4 * 2
    return Box(left, top, left + side, top + side)


def _stamps(spec: MediaSpec) -> np.ndarray:
    return np.array([frame.pts for frame in decode.frames(spec)])


def _plain(
    spec: MediaSpec, written: _Written, bit_rate: int, frames: range | None = None, **given: str
) -> tuple[float, bytes]:
    """(seconds, stream) of decoding and encoding with the same encoder and nothing else."""
    video = require_video(spec)
    start = time.monotonic()
    context = av.CodecContext.create(written.encoder, "w")
    context.width, context.height, context.pix_fmt = video.width, video.height, video.pix_fmt
    context.time_base, context.framerate = video.time_base, video.frame_rate
    encode.share_work(context, 2)
    context.options = {**written.options, **given}
    context.bit_rate = bit_rate
    packets = []
    excerpt = None if frames is None else gops.Excerpt(gops.read(spec), (frames,))
    for frame in decode.frames(spec, excerpt):
        frame.picture.pict_type = 0
        packets += [bytes(packet) for packet in context.encode(frame.picture)]
    packets += [bytes(packet) for packet in context.encode(None)]
    return time.monotonic() - start, b"".join(packets)


def _whole(path: Path, folder: Path) -> dict[str, object]:
    spec = probe(path)
    video = require_video(spec)
    out = folder / f"out{path.suffix}"
    stamps = _stamps(spec)
    written = _write(spec, out, stamps, range(len(stamps)))
    own = _own_quantiser(spec, stamps) if video.codec == "h264" else None
    bits = require_video(probe(out)).bit_rate_from_content
    plain_seconds, _ = _plain(spec, written, bits)
    mean, worst = _outside(spec, decode.frames(probe(out)))
    plain_db = 0.0
    if own is not None:
        exact = _plain(spec, written, 0, qp=f"{round(own)}")[1]
        (folder / "plain.h264").write_bytes(exact)
        plain_db = _outside(spec, _raw(folder / "plain.h264"))[0]
    return {
        "what": path.name[:34],
        "codec": video.codec,
        "size": f"{video.width}x{video.height}",
        "frames": len(stamps),
        "seconds": written.seconds,
        "plain_seconds": plain_seconds,
        "ratio": written.seconds / plain_seconds,
        "outside_db": mean,
        "worst_frame_db": worst,
        "quantiser": own or "",
        "plain_db": plain_db or "",
        "bits": bits / video.bit_rate_from_content,
        "why_all": written.why_all,
    }


def _own_quantiser(spec: MediaSpec, stamps: np.ndarray) -> float | None:
    """Mean over all blocks of all pictures."""
    told = quantiser.read(spec, gops.read(spec), range(len(stamps)))
    return float(np.mean([one.quantiser for one in told])) if told else None


def _raw(path: Path) -> Iterator[Frame]:
    with av.open(str(path)) as container:
        for index, picture in enumerate(container.decode(video=0)):
            yield Frame(index, index, container.streams.video[0].time_base or matrix.MS, picture)


def _outside(spec: MediaSpec, others: Iterable[Frame]) -> tuple[float, float]:
    """(PSNR of all luma outside the square, of the worst frame)."""
    errors, edited = [], matrix.SQUARE
    full = require_video(spec).coding.full
    for one, other in zip(decode.frames(spec), others, strict=False):
        x, y = (_luma(frame.picture) for frame in (one, other))
        apart = np.square(x.astype(np.float32) - y)
        apart[edited.top - REACH : edited.bottom + REACH, edited.left - REACH : edited.right + REACH] = 0
        errors.append(float(apart.mean()) / full**2)
    return tuple(-10 * math.log10(max(value, 1e-10)) for value in (float(np.mean(errors)), max(errors)))  # type: ignore[return-value]


def _luma(picture: av.VideoFrame) -> np.ndarray:
    plane = picture.planes[0]
    kind = np.dtype(np.uint16 if picture.format.components[0].bits > 8 else np.uint8)
    rows = np.frombuffer(plane, kind).reshape(-1, plane.line_size // kind.itemsize)
    return rows[: plane.height, : plane.width]


def _ranges(folder: Path) -> Iterator[dict[str, object]]:
    short, long = clips.clip(RANGED), folder / "ten_minutes.mp4"
    seconds = require_video(probe(short)).duration_seconds_from_content
    loop(short, long, round(60 * MINUTES / seconds))
    spec = probe(long)
    index = gops.read(spec)
    times = (index.stamps - index.stamps[0]) * float(require_video(spec).time_base)
    chosen = np.flatnonzero((times >= 300) & (times < 302)).tolist()
    written = _write(spec, folder / "out.mp4", index.stamps, chosen)
    facts = _allowed(spec, written, index.stamps, chosen)
    yield {
        "what": "2 s of 10 min, media layer", **facts,
        "seconds": written.seconds, "of_allowed": written.seconds / facts["allowed_seconds"],
    }  # fmt: skip
    actor = folder / "actor.lipsmith"
    train(short, actor, store=talker.store())
    line = _line(clips.voice(VOICE), folder / "line.wav")
    blend = np.flatnonzero((times >= 300 - BLEND) & (times < 302 + BLEND)).tolist()
    for what, options, edited in (
        ("2 s of 10 min, dub", DubOptions((VoiceFor(clips.voice(VOICE)),), ("300-302",)), chosen),
        ("2 s of 10 min, a line laid there", DubOptions((VoiceFor(line),), at="300"), blend),
    ):
        facts = _allowed(spec, written, index.stamps, edited)
        start = time.monotonic()
        result = dub(long, folder / "out.mp4", options, store=talker.store(), model=actor)
        everything, render = time.monotonic() - start, result.stage_seconds["render"]
        stages = {f"{stage}_seconds": spent for stage, spent in result.stage_seconds.items()}
        yield {
            "what": what, **facts, "seconds": render, "of_allowed": render / facts["allowed_seconds"],
            "all_seconds": everything, **stages, "sound_copied": result.details["sound_packets_copied"],
        }  # fmt: skip


def _allowed(spec: MediaSpec, written: _Written, stamps: np.ndarray, edited: list[int]) -> dict[str, float]:
    """5 s and twice decoding and encoding of the groups of pictures that these frames are in."""
    plan = mux.plan_splice(spec, spec.path.with_name("allowed.mp4"), stamps, np.array(edited))
    assert isinstance(plan, splice.SplicePlan)
    touched = plan.excerpt.stretches
    frames = range(touched[0].start, touched[-1].stop)
    plain = _plain(spec, written, require_video(spec).bit_rate_from_content, frames)[0]
    return {"frames": len(frames), "plain_seconds": plain, "allowed_seconds": 5 + 2 * plain}


def _line(voice: Path, path: Path, seconds: float = 2.0) -> Path:
    """The first seconds of a voice."""
    with wave.open(str(voice)) as whole, wave.open(str(path), "wb") as line:
        line.setparams(whole.getparams())
        line.writeframes(whole.readframes(round(seconds * whole.getframerate())))
    return path


def _peaks(folder: Path) -> float:
    """Peak memory of a fresh process that writes the shot ten times as long, over that of the shot itself."""
    short, long = clips.clip(RANGED), folder / "long.mp4"
    loop(short, long, 10)
    return _peak(long, folder) / _peak(short, folder)


def _peak(path: Path, folder: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.media", str(path), str(folder / "out.mp4")]
    return float(
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    )


def _child(path: Path, out: Path) -> None:
    spec = probe(path)
    stamps = gops.read(spec).stamps
    _write(spec, out, stamps, range(len(stamps)))
    print(json.dumps(table.peak_mib()))


def _ring(path: Path, folder: Path) -> dict[str, object]:
    out = folder / f"ring-{path.name}"  # a name of its own: what was seen of a file is remembered by its name
    dub(path, out, DubOptions((VoiceFor(clips.voice(VOICE)),)), store=talker.store())
    rings = [_rings(file) for file in (path, out)]
    was, now = (
        {frame.index: _skin(frame, ring[frame.index]) for frame in decode.frames(probe(file)) if frame.index in ring}
        for file, ring in zip((path, out), rings, strict=True)
    )
    apart = [now[index] - was[index] for index in was if index in now]
    spots = [float(np.linalg.norm(difference, axis=1).mean()) for difference in apart]
    steps = [float(np.linalg.norm(was[at + 1] - was[at], axis=1).mean()) for at in was if at + 1 in was]
    return {
        "what": f"ring, {path.name[:28]}",
        "frames": len(apart),
        "delta_e": float(np.mean(spots)),
        "worst": max(spots),
        "tint": float(np.mean([np.linalg.norm(difference.mean(0)) for difference in apart])),
        "step": float(np.mean(steps)),
    }


# Around the mouth: under the nose, down the cheeks, inside the jaw (MediaPipe's mesh); and the lips' corners.
AROUND = (2, 98, 203, 206, 207, 214, 135, 150, 149, 176, 148, 152, 377, 400, 378, 379, 364, 434, 427, 426, 423, 327)
CORNERS = (61, 291)
OUTSIDE, SPOT = 1.1, 0.08  # the ring's size against that outline; side of a spot of skin, in face widths
SIDES = (234, 454)


def _rings(path: Path) -> dict[int, tuple[np.ndarray, float]]:
    """Frame index -> (points just outside the replaced part of the main face in this file, its width), in pixels."""
    measured = talker.seen(path).people[0].measured
    middle = measured.in_picture(*CORNERS).mean(1, keepdims=True)
    ring = middle + OUTSIDE * (measured.in_picture(*AROUND) - middle)
    width = np.linalg.norm(np.diff(measured.in_picture(*SIDES), axis=1)[:, 0], axis=1)
    return {int(index): (ring[row], float(width[row])) for row, index in enumerate(measured.indices)}


def _skin(frame: Frame, ring: tuple[np.ndarray, float]) -> np.ndarray:
    """(P, 3) CIE Lab of the spots of skin under these points: they are followed, so that what moves is not a change."""
    points, width = ring
    side = max(round(SPOT * width), 1)
    lab = cv2.cvtColor(cv2.blur(decode.rgb(frame), (side, side)).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    x, y = np.rint(points).astype(int).T
    colours: np.ndarray = lab[y.clip(0, lab.shape[0] - 1), x.clip(0, lab.shape[1] - 1)]
    return colours


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _child(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        run()
