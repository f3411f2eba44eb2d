"""Q1, Q2: does generic motion follow real mouths? Unseen speakers, their own voices, offset corrected.

Scores: Pearson correlation per clip of inner gap and of width, predicted against seen; ratio of the gap's standard
deviations after scaling by the actor's calibration; the lag at which the gap fits best.
"""

from __future__ import annotations

import torch

from benchmarks import clips, table, talker
from lipsmith.engine import mouth
from lipsmith.engine.actor.calibration import calibrate
from lipsmith.engine.mouth import MouthBasis
from lipsmith.engine.speech.speaking import Speech


def run() -> None:
    speech, basis, rows = Speech(talker.store(), torch.device("cpu")), MouthBasis.load(), []
    for path in clips.held_out():
        true = talker.truth(path)
        said = basis.displacements(speech.path(talker.voice_of(path), true.seconds).coefficients)
        gain = calibrate(true.displacements, true.displacements.mean(0), heard=true.heard).gain
        gap, seen = gain * mouth.gap(said), mouth.gap(true.displacements)
        rows.append(
            {
                "clip": path.name,
                "seconds": len(seen) / float(talker.seen(path).video.frame_rate),
                "offset_s": true.offset_seconds,
                "confidence": true.confidence,
                "gap_r": talker.correlation(gap, seen),
                "width_r": talker.correlation(mouth.width(said), mouth.width(true.displacements)),
                "std_ratio": float(gap.std() / seen.std()),
                "lag_s": talker.best_lag(true.seconds, gap, true.seconds, seen),
            }
        )
    summary = {
        "Q1 gap r, mean of clips (bar 0.82)": table.mean(rows, "gap_r"),
        "Q1 width r, mean of clips (bar 0.72)": table.mean(rows, "width_r"),
        "Q1 gap r, weighted by length": table.weighted(rows, "gap_r", "seconds"),
        "Q1 width r, weighted by length": table.weighted(rows, "width_r", "seconds"),
        "Q2 std ratio, mean of clips (bar 0.9-1.1)": table.mean(rows, "std_ratio"),
    }
    table.report("motion", rows, summary)


if __name__ == "__main__":
    run()
