"""The sync scorer on unseen speakers: does it find offsets, and tell matched sound from mismatched?

Windows of 2 s every second. Offset: the sound is moved by -5 to 5 frames of 40 ms and found again, against the clip's
own offset over its whole length (real files carry one; what is scored is agreement of a window with its clip). Where
the scorer does not believe its own answer for a whole clip (`sure`), a user is told no offset: the same figure without
the windows of such clips stands beside the one of all. Frames in which something is before the lips are no evidence;
windows with fewer than 20 others are counted apart. AUC: agreement of a window with its own sound at the clip's
offset, against agreement with a stretch of another speaker's (log odds of that lag among those around it).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks import clips, table, talker
from lipsmith.engine.quality import sync
from lipsmith.engine.quality.sync import Scorer
from lipsmith.engine.speech import features
from lipsmith.engine.speech.features import ROWS_PER_SECOND

WINDOW_SECONDS, STEP_SECONDS, FRAME_SECONDS = 2.0, 1.0, 0.04
SHIFTS = (-5, -2, 0, 3, 5)  # frames
LEAST_ROWS = 20


def run() -> None:
    scorer, rng = sync.load_scorer(), np.random.default_rng(0)
    heard = {path: _heard(path, scorer) for path in clips.held_out()}
    rows = [_clip(path, heard, scorer, rng) for path in heard]
    matched, mismatched = (np.concatenate([row.pop(name) for row in rows]) for name in ("matched", "mismatched"))  # type: ignore[call-overload]
    believed = [row for row in rows if row["sure"]]
    total = sum(int(row["windows"]) for row in rows)  # type: ignore[call-overload]
    summary = {
        "windows": total,
        "windows set aside, lips behind something": sum(int(row["hidden"]) for row in rows),  # type: ignore[call-overload]
        "offset within a frame, of all windows (bar 0.97)": table.weighted(rows, "within", "windows"),
        "windows of clips whose offset is believed": sum(int(row["windows"]) for row in believed),  # type: ignore[call-overload]
        "offset within a frame, of those": table.weighted(believed, "within", "windows"),
        "AUC, matched against mismatched (bar 0.98)": _area(matched, mismatched),
    }
    table.report("sync", rows, summary)


def _heard(path: Path, scorer: Scorer) -> np.ndarray:
    return scorer.hear(features.extract(talker.voice_of(path), talker.listener()).values)


def _clip(path: Path, heard: dict[Path, np.ndarray], scorer: Scorer, rng: np.random.Generator) -> dict[str, object]:
    true = talker.truth(path)
    seen, own = sync.lips(true.displacements), true.seconds - true.offset_seconds
    measured = talker.seen(path).people[0].measured
    visible = talker.seen(path).seconds[measured.indices[measured.usable]]
    within, matched, mismatched, hidden = [], [], [], 0
    for number, start in enumerate(np.arange(own[0], own[-1] - WINDOW_SECONDS, STEP_SECONDS)):
        rows = _within(own, start)
        if rows.sum() < LEAST_ROWS:
            hidden += int(_within(visible, start).sum() >= LEAST_ROWS)
            continue
        shift = SHIFTS[number % len(SHIFTS)] * FRAME_SECONDS
        found = sync.best_offset(heard[path], seen[rows], own[rows] + shift, scorer)
        within.append(abs(found.offset_seconds + shift - true.offset_seconds) <= FRAME_SECONDS + 1e-6)
        matched.append(scorer.agreement(heard[path], seen[rows], true.seconds[rows]))
        other = heard[rng.choice([p for p in heard if p != path])]
        elsewhere = rng.uniform(0, len(other) / ROWS_PER_SECOND - WINDOW_SECONDS)
        mismatched.append(scorer.agreement(other, seen[rows], own[rows] - start + elsewhere))
    return {
        "clip": path.name,
        "sure": talker.seen(path).people[0].offset.sure,
        "windows": len(within),
        "hidden": hidden,
        "within": float(np.mean(within)) if within else 0.0,
        "agreement": float(np.mean(matched)) if matched else 0.0,
        "matched": matched,
        "mismatched": mismatched,
    }


def _within(seconds: np.ndarray, start: float) -> np.ndarray:
    return (seconds >= start) & (seconds < start + WINDOW_SECONDS)


def _area(positive: np.ndarray, negative: np.ndarray) -> float:
    """Area under the ROC curve: how often a matched window scores above a mismatched one."""
    return float((positive[:, None] > negative[None]).mean())


if __name__ == "__main__":
    run()
