"""The same file back: every clip, easy and hard, is dubbed and compared with its source (bar: nothing unexplained).

One second in the middle of each is dubbed, so that most GOPs should come back as packets. Where there is nobody to dub,
a square is darkened in the same frames instead: the file must come back all the same. The differ (`lipsmith check`)
compares streams, tags, time stamps, packets and samples; it knows nothing of the writer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tests import matrix

from benchmarks import clips, table, talker
from lipsmith.engine.dub import dub
from lipsmith.engine.media import decode, mux, splice
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.soundtrack import Voice
from lipsmith.engine.quality.files import check_files
from lipsmith.engine.rehearsal import DubOptions, VoiceFor
from lipsmith.errors import FaceError, LipsmithError

VOICE = "en_vretalk1_5s.wav"
SUFFIXES = {".mp4", ".avi", ".mpg", ".flv", ".mkv", ".webm", ".mov"}


def run() -> None:
    paths = [path for part in ("video", "hard") for path in sorted((clips.folder() / part).iterdir())]
    with tempfile.TemporaryDirectory() as folder:
        rows = [table.said(_row(path, Path(folder))) for path in paths if path.suffix in SUFFIXES]
    table.report("fidelity", rows, summary(rows))


def summary(rows: Sequence[table.Row]) -> dict[str, object]:
    compared = [row for row in rows if "unexplained" in row]
    return {
        "files": len(rows),
        "dubbed and compared": sum(row["how"] == "dub" for row in compared),
        "nobody to dub, a square edited instead": sum(row["how"] == "square" for row in compared),
        "refused in words": len(rows) - len(compared),
        "files with an unexplained difference (bar 0)": sum(bool(row["unexplained"]) for row in compared),
        "pictures that drift although their packets are the source's (bar 0)": sum(int(r["drifted"]) for r in compared),  # type: ignore[call-overload]
        "packets that were to be copied and are not identical (bar 0)": sum(int(r["astray"]) for r in compared),  # type: ignore[call-overload]
    }


def _row(path: Path, folder: Path) -> dict[str, object]:
    out = folder / f"dub{path.suffix}"
    try:
        how, encoded, why = _dubbed(path, out)
    except LipsmithError as error:
        return {"file": path.name[:40], "how": type(error).__name__}
    verdict = check_files(path, out)
    seen = verdict.pictures
    assert seen is not None
    return {
        "file": path.name[:40],
        "how": how,
        "frames": seen.frames,
        "encoded": encoded,
        "unexplained": "; ".join(verdict.unexplained),
        "drifted": seen.frames_drifted,
        "astray": max(seen.frames - encoded - seen.packets_identical, 0),
        "changed_db": seen.psnr_db,
        "why_all": why,
        "explained": "; ".join(verdict.explained),
    }


def _dubbed(path: Path, out: Path) -> tuple[str, int, str]:
    """(how, frames encoded, why all of them)."""
    seconds = require_video(probe(path)).duration_seconds_from_content
    start = max(seconds / 2 - 0.5, 0.0)
    span = f"{start:.3f}-{min(start + 1.0, seconds):.3f}"
    try:
        result = dub(path, out, DubOptions((VoiceFor(clips.voice(VOICE)),), (span,)), store=talker.store())
        return "dub", int(str(result.details["frames_encoded"])), str(result.details["why_all_encoded"])
    except FaceError:
        return ("square", *_squared(path, out, start))


def _squared(path: Path, out: Path, start: float) -> tuple[int, str]:
    spec = probe(path)
    video = require_video(spec)
    stamps = np.array([frame.pts for frame in decode.frames(spec)])
    times = (stamps - stamps[0]) * float(video.time_base)
    chosen = np.flatnonzero((times >= start) & (times < start + 1.0))
    plan = mux.plan_splice(spec, out, stamps, chosen)
    excerpt = plan.excerpt if isinstance(plan, splice.SplicePlan) else None
    frames = matrix.edited(decode.frames(spec, excerpt), frozenset(chosen.tolist()))
    report = mux.rewrite(spec, out, frames, [Voice(clips.voice(VOICE))], splice=plan)
    return report.frames_encoded, report.why_all_encoded
