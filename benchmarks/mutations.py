"""Damaged real files give an error in words or a correct dub, never a crash, a hang or a silent loss (bar: 200 files).

Eleven clips, each cut off, with flipped bits, a spoilt head or tail, blocks blanked, filled with noise, left out or
repeated; where and how is fixed by the number of the mutation. Each goes through probe, decoder, splice, writer and
differ in a process of its own with a limit of time and memory (`tests/mutations.py` says what counts as correct).
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from tests.mutations import MUTATIONS, outcomes

from benchmarks import clips, table

CLIPS = (
    "hard/rot90_nasa.mp4",
    "hard/vfr_nasa.mp4",
    "hard/vfr_444_tiny.mp4",
    "hard/hdr10_hevc_nasa.mp4",
    "hard/mkv_noface_speech.mkv",
    "hard/noduration_webm.webm",
    "hard/broken_audio_track.mp4",
    "hard/multi2_debate_canada_b_6s.avi",
    "hard/audio_in_flv_noface.flv",
    "video/grid_lrwp9a_3s.mpg",
    "video/vox_woman_longhair_224_5s.mp4",
)
ROUNDS = 3  # of every kind of damage to every file


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in CLIPS:
            shutil.copy(clips.folder() / name, folder)
        count = ROUNDS * len(CLIPS) * len(MUTATIONS)
        kinds = {mutation.__name__: Counter[str]() for mutation in MUTATIONS}
        faults = []
        for outcome in outcomes(Path(folder), 0, count):
            damage = outcome.file.split()[1] if " " in outcome.file else "unknown"
            kinds.setdefault(damage, Counter())["fault" if outcome.fault else outcome.kind] += 1
            if outcome.fault:
                faults.append(table.said({"file": outcome.file, "kind": outcome.kind, "fault": outcome.fault}))
    rows = [
        {"damage": damage, "error in words": found["error"], "correct dub": found["dub"], "faults": found["fault"]}
        for damage, found in kinds.items()
    ]
    summary = {"damaged files (bar 200)": count, "crashes, hangs, silent losses (bar 0)": len(faults)}
    table.report("mutations", [*rows, *faults], summary)
