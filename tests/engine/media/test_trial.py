"""A trial tells how many times the source's octets a run would take."""

from __future__ import annotations

import numpy as np
import pytest

from lipsmith.engine.media.coded import Coded
from lipsmith.engine.media.gops import PacketIndex
from lipsmith.engine.media.splice import Run
from lipsmith.engine.media.trial import Samples

KEY, LEANT_ON, OTHER = 900, 400, 60  # octets
FRAMES = 200


def _source(group: int) -> PacketIndex:
    """One keyframe, then groups in coding order: the picture that others lean on, then those shown before it."""
    pts = [0]
    for start in range(1, FRAMES, group):
        shown = list(range(start, min(start + group, FRAMES)))
        pts += [shown[-1], *shown[:-1]]
    octets = [KEY] + [LEANT_ON if at == max(pts[: number + 2]) else OTHER for number, at in enumerate(pts[1:])]
    count = len(pts)
    return PacketIndex(
        np.array(pts), np.arange(count), np.array(octets), np.ones(count, bool), np.array([0]), (), why_not=""
    )


def _made(stretch: range, group: int, times: float) -> list[Coded]:
    """As our encoder would: a keyframe, then groups of its own, the last one cut short."""
    made = [Coded(stretch.start, 1, True, bytes(round(times * KEY)))]
    for start in range(stretch.start + 1, stretch.stop, group):
        shown = list(range(start, min(start + group, stretch.stop)))
        made.append(Coded(shown[-1], 1, False, bytes(round(times * LEANT_ON))))
        made += [Coded(at, 1, False, bytes(round(times * OTHER))) for at in shown[:-1]]
    return made


def _run(frames: range, octets: int) -> Run:
    return Run(frames, 0, len(frames), octets, np.arange(len(frames)), frozenset([0]), False, 1)


@pytest.mark.parametrize("times", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("group", [1, 3, 4])
def test_the_ratio_is_found(times: float, group: int) -> None:
    index = _source(group)
    samples = Samples.of(index, _run(range(FRAMES), int(index.octets.sum())))
    assert len(samples.frames) == 2
    found = samples.ratio([_made(stretch, group, times) for stretch in samples.frames])
    assert found == pytest.approx(times, rel=0.1)


@pytest.mark.parametrize("times", [0.5, 1.0, 1.7])
def test_of_keyframes_alone_the_ratio_is_theirs(times: float) -> None:
    at = np.arange(FRAMES)
    index = PacketIndex(at, at, np.full(FRAMES, KEY), np.ones(FRAMES, bool), at, (), why_not="")
    samples = Samples.of(index, _run(range(FRAMES), FRAMES * KEY))
    made = [[Coded(i, 1, True, bytes(round(times * KEY))) for i in stretch] for stretch in samples.frames]
    assert samples.ratio(made) == pytest.approx(times)


def test_a_short_run_is_compared_whole() -> None:
    index = _source(3)
    run = _run(range(20), int(index.octets[:20].sum()))
    samples = Samples.of(index, run)
    assert samples.frames == (run.frames,)
    whole = [Coded(int(at), 1, at == 0, bytes(int(size))) for at, size in zip(index.pts, index.octets, strict=True)]
    shown = [one for one in whole if one.pts in run.frames]
    assert samples.ratio([shown]) == pytest.approx(1.0)
