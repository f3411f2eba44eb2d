"""Does a dubbed mouth stay as crooked as its actor's? Held-out speakers, moved by another one's true motion.

Three traits of a mouth: how much higher one corner is than the other, how much wider the lips part on one side, how far
the upper lip's middle stands from between the corners. Scores, over actors: correlation of the trait's mean, and of its
slope against the opening, between the actor's own mouths and those he is given; once as the motion asks for them
(`wanted`), once made of his own shapes (`given`), which is what is rendered. How well pixels follow them is
`benchmarks.render`'s question.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import clips, table, talker
from lipsmith.engine import mouth
from lipsmith.engine.actor.calibration import calibrate, project, wanted
from lipsmith.engine.faces.measure import closed_mouth
from lipsmith.engine.mouth import MouthBasis, MouthPath

APART = 3  # places between an actor and his driver in the list of held-out clips
TRAITS = ("corners", "sides", "middle")
_CORNERS = tuple(mouth.MOUTH.index(point) for point in (61, 291))
_MIDDLE = mouth.MOUTH.index(13)


def run() -> None:
    paths, basis, rows = clips.held_out(), MouthBasis.load(), []
    mouths = [_mouths(path) for path in paths]
    for number, (path, own) in enumerate(zip(paths, mouths, strict=True)):
        driver = mouths[(number + APART) % len(mouths)]
        moved = driver - closed_mouth(driver)
        moved *= mouth.UNIT_GAP_DEVIATION / mouth.gap(moved).std()
        actor = calibrate(own, closed_mouth(own))
        asked = wanted(MouthPath(basis.coefficients(moved)), basis, actor)
        row: dict[str, object] = {"actor": path.name}
        for whose, points in (("own", own), ("wanted", asked), ("given", project(asked, own, actor))):
            row |= {f"{whose}_{name}": value for name, value in _crookedness(points).items()}
        rows.append(row)
    figures = [f"{trait}_{kind}" for trait in TRAITS for kind in ("mean", "slope")]
    summary = {
        f"{figure}, r over actors, {whose}": talker.correlation(
            *(_column(rows, f"{w}_{figure}") for w in ("own", whose))
        )
        for whose in ("wanted", "given")
        for figure in figures
    }
    table.report("asymmetry", rows, summary)


def _mouths(path: Path) -> np.ndarray:
    measured = talker.seen(path).people[0].measured
    return measured.points[measured.usable]


def _column(rows: list[dict[str, object]], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], float)


def _crookedness(points: np.ndarray) -> dict[str, float]:
    """Of (T, 51, 3) mouths: mean of each trait in face widths, and its slope against the inner gap."""
    right, left = (points[:, corner] for corner in _CORNERS)
    gaps, opening = mouth.gaps(points), mouth.gap(points)
    traits = (
        left[:, 1] - right[:, 1],
        gaps[:, [2, 4]].mean(1) - gaps[:, [1, 3]].mean(1),
        points[:, _MIDDLE, 0] - (left[:, 0] + right[:, 0]) / 2,
    )
    out = {}
    for name, trait in zip(TRAITS, traits, strict=True):
        out[f"{name}_mean"] = float(trait.mean())
        out[f"{name}_slope"] = float(np.polyfit(opening, trait, 1)[0])
    return out


if __name__ == "__main__":
    run()
