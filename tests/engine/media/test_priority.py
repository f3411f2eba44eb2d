"""Encoding leaves the scheduling of the process alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.synthetic import Look, movie

from lipsmith.engine.media import decode, mux
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.splice import SplicePlan

TASKS = Path("/proc/self/task")
pytestmark = pytest.mark.skipif(not TASKS.exists(), reason="Linux tells the priority of threads")


def _priorities() -> set[int]:
    return {os.sched_getscheduler(int(task.name)) for task in TASKS.iterdir()}


@pytest.mark.parametrize("spliced", [False, True])
def test_no_encoder_takes_real_time_priority(tmp_path: Path, spliced: bool) -> None:
    look = Look("libsvtav1", frames=30, options={"g": "10", "preset": "10"})
    source = probe(movie(tmp_path / "source.mkv", look))
    out, seen = tmp_path / "out.mkv", set[int]()
    stamps = np.array([frame.pts for frame in decode.frames(source)])
    plan = mux.plan_splice(source, out, stamps, np.arange(10, 20)) if spliced else None
    assert isinstance(plan, SplicePlan) == spliced

    def watched() -> Iterator[Frame]:
        for frame in decode.frames(source):
            if not spliced or 10 <= list(stamps).index(frame.pts) < 20:
                seen.update(_priorities())
                yield frame
        seen.update(_priorities())

    mux.rewrite(source, out, watched(), None, splice=plan)
    assert require_video(probe(out)).frame_count_from_content == 30
    assert seen | _priorities() == {os.SCHED_OTHER}
