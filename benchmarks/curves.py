"""docs/motion.md: what the motion model says and what real mouths did, drawn for ten unseen clips.

    python -m benchmarks.curves

The clips are every second one of the held-out list. Curves: inner gap in face widths over the first eight seconds, seen
(dark) and predicted from the clip's own sound alone (bright), scaled to the speaker's range as a dub would be.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from benchmarks import clips, talker
from lipsmith.engine import mouth
from lipsmith.engine.actor.calibration import calibrate
from lipsmith.engine.mouth import MouthBasis
from lipsmith.engine.speech.speaking import Speech

DOCS = Path(__file__).parents[1] / "docs"
COUNT, SECONDS = 10, 8.0
WIDTH, HEIGHT, MARGIN = 880, 150, 6  # pixels

HEAD = """# The motion model on mouths it has never seen

Inner-lip gap in face widths over time: **dark** is what the speaker's mouth did, **orange** what the model expects from
his voice alone. Speakers: every second clip of `benchmarks/held_out.txt`, on which nothing was trained. Drawn by
`python -m benchmarks.curves`; the figures of all clips stand in `benchmarks/RESULTS.md`.
"""


def run() -> None:
    speech, basis = Speech(talker.store(), torch.device("cpu")), MouthBasis.load()
    (DOCS / "motion").mkdir(exist_ok=True)
    parts = [HEAD]
    for path in clips.held_out()[::2][:COUNT]:
        true = talker.truth(path)
        said = basis.displacements(speech.path(talker.voice_of(path), true.seconds).coefficients)
        gain = calibrate(true.displacements, true.displacements.mean(0), heard=true.heard).gain
        seen, told = mouth.gap(true.displacements), gain * mouth.gap(said)
        picture = DOCS / "motion" / f"{path.stem}.svg"
        picture.write_text(_drawn(true.seconds - true.seconds[0], seen, told))
        fit = talker.correlation(seen, told)
        parts.append(f"**{path.stem}**: r = {fit:.2f} over the whole clip\n\n![{path.stem}](motion/{picture.name})\n")
    (DOCS / "motion.md").write_text("\n".join(parts))


def _drawn(seconds: np.ndarray, seen: np.ndarray, told: np.ndarray) -> str:
    """An SVG of both curves."""
    shown = seconds <= SECONDS
    low, high = min(seen[shown].min(), told[shown].min()), max(seen[shown].max(), told[shown].max())

    def line(values: np.ndarray, colour: str) -> str:
        x = MARGIN + seconds[shown] / SECONDS * (WIDTH - 2 * MARGIN)
        y = HEIGHT - MARGIN - (values[shown] - low) / (high - low) * (HEIGHT - 2 * MARGIN)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>'

    ticks = "".join(
        f'<line x1="{x:.0f}" y1="0" x2="{x:.0f}" y2="{HEIGHT}" stroke="#ddd"/>'
        for x in MARGIN + np.arange(1, SECONDS) / SECONDS * (WIDTH - 2 * MARGIN)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
        f'<rect width="100%" height="100%" fill="#fff"/>{ticks}{line(seen, "#223")}{line(told, "#e8590c")}</svg>\n'
    )


if __name__ == "__main__":
    run()
