"""Q3: does the rendered mouth do what it was told? The true motion of another actor drives each target.

The rendered pictures, before encoding, are tracked again from nothing. Scores: correlation of the tracked inner gap
with the driver's true gap and with the target's; the share of frames that the self-check sent back.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import clips, table, talker
from lipsmith.engine import mouth
from lipsmith.engine.actor import model
from lipsmith.engine.casting import cast_parts, learn
from lipsmith.engine.faces.measure import measure
from lipsmith.engine.faces.track import Look, Tracker
from lipsmith.engine.media import decode
from lipsmith.engine.progress import silent
from lipsmith.engine.render.performance import Performance


def run() -> None:
    rows = [table.said(_pair(clips.clip(target), clips.clip(driver))) for target, driver in clips.PAIRS]
    summary = {
        "Q3 tracked gap against true driving gap, mean (bar 0.95)": table.mean(rows, "gap_r"),
        "tracked width against wanted width, mean": table.mean(rows, "width_r"),
        "share of frames sent back by the self-check": table.mean(rows, "retried"),
    }
    table.report("render", rows, summary)


def _pair(target: Path, driver: Path) -> dict[str, object]:
    shot, drive = talker.seen(target), talker.truth(driver)
    person = shot.people[0]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "actor"
        learn(shot, person, out, talker.nets().occluders, 2, silent)
        with model.load(out) as actor:
            return _drive(target, driver, drive.displacements, actor)


def _drive(target: Path, driver: Path, moved: np.ndarray, actor: model.ActorModel) -> dict[str, object]:
    shot = talker.seen(target)
    person = shot.people[0]
    count = min(len(shot.pts), len(moved))
    own = mouth.gap(actor.library.index.points).std()
    wanted = np.repeat(actor.calibration.rest[None], len(shot.pts), 0)
    wanted[:count] += float(own / mouth.gap(moved).std()) * moved[:count]
    parts = cast_parts(shot, person, actor, wanted)
    performance = Performance(shot.video, talker.nets(), parts)
    tracker = Tracker(talker.nets(), frame_rate=float(shot.video.frame_rate))
    for frame in performance.play(decode.frames(shot.spec)):
        tracker.push(Look(frame.index, decode.rgb(frame), frame.index in shot.cuts))
        if frame.index + 1 >= count:
            break
    again = measure(tracker.finish()[0])
    painted = np.array(sorted(performance.tally.dubbed))
    rows = np.flatnonzero(np.isin(again.indices, painted[painted < count]))
    frames = again.indices[rows]
    goal = {int(i): m for part in parts for i, m in zip(part.target.indices, part.target.mouths, strict=True)}
    goals = np.stack([goal[int(i)] for i in frames])
    seen = again.points[rows]
    return {
        "target": target.name[:24],
        "driver": driver.name[:20],
        "frames": len(frames),
        "gap_r": talker.correlation(mouth.gap(seen), mouth.gap(moved[frames])),
        "gap_r_target": talker.correlation(mouth.gap(seen), mouth.gap(goals)),
        "width_r": talker.correlation(mouth.width(seen), mouth.width(goals)),
        "amplitude": float(mouth.gap(seen).std() / mouth.gap(goals).std()),
        "retried": performance.tally.retried / len(painted),
        "softened": performance.tally.softened / len(painted),
        "poor": performance.tally.poor / len(painted),
    }


if __name__ == "__main__":
    run()
