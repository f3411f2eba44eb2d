"""Who is not seen to speak, dubbed: shots without speech get the voices of unseen speakers.

The dubbed file is tracked from nothing and its inner gap compared with that of the real speaker of the voice, as in
`dub`: correlation at lag 0, lag of best fit, share of p, b and m at which the lips are closed. `spread` is the
deviation of the gap over the speaker's. `drawn`: share of the dubbed frames in which the inside of the mouth is drawn,
since it was never filmed. Nothing was trained on these shots but the occluder net (bare faces); the first two were
looked at while the inside was made.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import clips, table, talker
from benchmarks.dub import Lips
from lipsmith.engine.dub import dub
from lipsmith.engine.quality.fidelity import judge
from lipsmith.engine.rehearsal import DubOptions, VoiceFor

SHOTS = ("nospeech_webcam", "music_only_woman", "lipsync_to_music")
SPEAKERS = ("vretalk_man_map", "hdtf_katiehill")


def run() -> None:
    shots = [clips.clip(f"hard/{name}") for name in SHOTS]
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            table.said(_dubbed(shot, clips.clip(speaker), Path(folder) / f"{number}-{speaker}{shot.suffix}"))
            for number, shot in enumerate(shots)
            for speaker in SPEAKERS
        ]
    summary = {
        "gap r at lag 0, mean": table.mean(rows, "gap_r"),
        "spread of the gap over the speaker's, mean": table.mean(rows, "spread"),
        "p, b, m closed within a frame": table.weighted(rows, "shut", "closures"),
        "sharpness, mean": table.mean(rows, "sharpness"),
        "jerk, mean": table.mean(rows, "jerk"),
    }
    table.report("listeners", rows, summary)


def _dubbed(shot: Path, speaker: Path, out: Path) -> dict[str, object]:
    result = dub(shot, out, DubOptions((VoiceFor(speaker),)), store=talker.store())
    lips = Lips.of(out, speaker)
    actor = next(a for a in judge(shot, out, store=talker.store()).actors if a.edited)
    return {
        "shot": shot.name[:24],
        "voice": speaker.name[:20],
        "frames": len(lips.at),
        "gap_r": lips.gap_r,
        "spread": float(np.std(lips.said) / np.std(lips.true)),
        "lag_frames": lips.lag_frames,
        "closures": len(lips.moments),
        "shut": lips.shut_in(lips.times, lips.gaps),
        "drawn": result.details["frames_drawn_inside"] / max(result.frames_dubbed, 1),
        "sharpness": actor.sharpness_ratio,
        "jerk": actor.jerk_ratio,
    }


if __name__ == "__main__":
    run()
