"""Q4-Q8: the whole chain on files. Unseen voices into unseen targets, and digital silence.

The dubbed file is tracked from nothing and compared with the real speaker of the voice (Q4: correlation of the inner
gap at lag 0, after the speaker's own offset is corrected, and the lag of best fit); silence: share of frames with a gap
below 3 % of the face width (Q5); closures (Q6): share of the p, b and m heard in the voice at which the tracked lips of
the dub are closed within one frame, beside the share at which the real speaker's were. They are heard by the phoneme
net, the one that the renderer shuts lips by: what this cannot see is a closure that the net misses. Sharpness and jerk
come from the judge (Q7, Q8), which knows nothing of the renderer.
"""

from __future__ import annotations

import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import clips, table, talker
from lipsmith.engine import mouth
from lipsmith.engine.dub import dub
from lipsmith.engine.faces.measure import closed_mouth, measure
from lipsmith.engine.faces.track import watch
from lipsmith.engine.media.probe import probe
from lipsmith.engine.quality import conformance
from lipsmith.engine.quality.fidelity import judge
from lipsmith.engine.rehearsal import DubOptions, VoiceFor

SILENT_TARGETS = (
    "latentsync_woman",
    "hdtf_bobmenendez",
    "vretalk_woman_red",
    "opendubbing",
    "mead_W015",
    "hdtf_katiehill",
)
CLOSED = 0.03  # face widths


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            table.said(_pair(clips.clip(target), clips.clip(speaker), Path(folder))) for target, speaker in clips.PAIRS
        ]
        quiet = [table.said(_silence(clips.clip(target), Path(folder))) for target in SILENT_TARGETS]
    summary = {
        "Q4 gap r at lag 0, mean (bar 0.78)": table.mean(rows, "gap_r"),
        "Q4 undubbed source, mean": table.mean(rows, "source_r"),
        "Q4 lag of best fit in frames, mean of sizes": float(np.mean([abs(float(r["lag_frames"])) for r in rows])),  # type: ignore[arg-type]
        "Q5 closed frames under silence (bar 0.99)": table.weighted(quiet, "closed", "frames"),
        "Q6 p, b, m closed within a frame, of all": table.weighted(rows, "shut", "closures"),
        "Q6 real speakers of the same voices": table.weighted(rows, "really_shut", "closures"),
        "Q7 sharpness, mean (bar 0.85-1.15)": table.mean(rows, "sharpness"),
        "Q8 jerk, mean (bar 1.05)": table.mean(rows, "jerk"),
    }
    table.report("dub", [*rows, *quiet], summary)


def _pair(target: Path, speaker: Path, folder: Path) -> dict[str, object]:
    out = folder / f"dub{target.suffix}"
    result = dub(target, out, DubOptions((VoiceFor(speaker),)), store=talker.store())
    lips = Lips.of(out, speaker)
    real, source = talker.truth(speaker), talker.truth(target)
    judged = judge(target, out, store=talker.store())
    actor = next(a for a in judged.actors if a.edited)
    own = np.interp(lips.at, source.seconds - source.offset_seconds, mouth.gap(source.displacements))
    return {
        "target": target.name[:24],
        "voice": speaker.name[:20],
        "frames": len(lips.at),
        "gap_r": lips.gap_r,
        "source_r": talker.correlation(own, lips.true),
        "lag_frames": lips.lag_frames,
        "closures": len(lips.moments),
        "shut": lips.shut_in(lips.times, lips.gaps),
        "really_shut": lips.shut_in(real.seconds, mouth.gap(real.displacements) + _rest_gap(speaker)),
        "sharpness": actor.sharpness_ratio,
        "jerk": actor.jerk_ratio,
        "identity": actor.identity_similarity,
        "seam": actor.seam,
        "outside_db": judged.outside_psnr_db,
        "retried": result.frames_retried,
        "softened": result.frames_softened,
        "file_differences": sum(not d.explained for d in conformance.compare(target, out)),
    }


@dataclass(frozen=True)
class Lips:
    """The tracked lips of a dub beside those of the real speaker of its voice; gaps in face widths."""

    gaps: np.ndarray  # (N,) of the dub
    times: np.ndarray  # (N,) seconds from its first frame
    true: np.ndarray  # (M,) of the speaker, from his closed mouth
    at: np.ndarray  # (M,) seconds in his voice
    moments: np.ndarray  # (C,) seconds at which a p, b or m is heard
    rate: float  # frames per second of the dub

    @classmethod
    def of(cls, out: Path, speaker: Path) -> Lips:
        gaps, times, rate = _openings(out)
        real = talker.truth(speaker)
        inside = (real.seconds >= times[0]) & (real.seconds <= times[-1])
        moments = talker.closures(talker.voice_of(speaker))
        moments = moments[(moments > times[0]) & (moments < times[-1])]
        return cls(gaps, times, mouth.gap(real.displacements[inside]), real.seconds[inside], moments, rate)

    @property
    def said(self) -> np.ndarray:
        """(M,) gaps of the dub when the speaker's were seen."""
        return np.interp(self.at, self.times, self.gaps)

    @property
    def gap_r(self) -> float:
        return talker.correlation(self.said, self.true)

    @property
    def lag_frames(self) -> float:
        return round(talker.best_lag(self.times, self.gaps, self.at, self.true) * self.rate, 1)

    def shut_in(self, times: np.ndarray, gaps: np.ndarray) -> float:
        """Share of the moments within a frame of which some gap is below `CLOSED`."""
        reach = 1.5 / self.rate  # the frame that shows the moment, one before and one after
        shut = [bool((gaps[np.abs(times - moment) <= reach] < CLOSED).any()) for moment in self.moments]
        return float(np.mean(shut)) if shut else float("nan")


def _rest_gap(path: Path) -> float:
    """Inner gap of a speaker's closed mouth, which `Truth` measures displacements from."""
    points = talker.seen(path).people[0].measured
    return float(mouth.gap(closed_mouth(points.points[points.usable])))


def _silence(target: Path, folder: Path) -> dict[str, object]:
    voice = folder / "silence.wav"
    with wave.open(str(voice), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 16000 * 30))
    out = folder / f"quiet{target.suffix}"
    dub(target, out, DubOptions((VoiceFor(voice),)), store=talker.store())
    seen, *_ = _openings(out)
    return {
        "target": target.name[:24],
        "voice": "digital silence",
        "frames": len(seen),
        "closed": float((seen < CLOSED).mean()),
    }


def _openings(path: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """(N,) inner gap of the main face where it is usable, its times from the first frame, and frames per second."""
    spec = probe(path)
    tracking = watch(spec, talker.nets())
    measured = measure(tracking.tracks[0])
    assert spec.video is not None
    seconds = (tracking.pts - tracking.pts[0]) * float(spec.video.time_base)
    good = measured.usable
    return measured.gap()[good], seconds[measured.indices[good]], float(spec.video.frame_rate)


if __name__ == "__main__":
    run()
