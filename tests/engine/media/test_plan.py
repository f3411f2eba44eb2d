"""The splice plan by property: whatever the GOPs and the edits, what it says can be written and played."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import synthetic

from lipsmith.engine.media import gops, splice
from lipsmith.engine.media.gops import Gop, PacketIndex
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.spec import VideoSpec

TICK = 100  # per frame


@st.composite
def indices(draw: st.DrawFn) -> PacketIndex:
    """Closed and open GOPs with B-frames up to two deep, of regular or varying rate."""
    depth = draw(st.integers(0, 2))
    pts: list[int] = []
    found: list[tuple[int, bool]] = []
    leading: list[int] = []
    shown = 0
    for number in range(draw(st.integers(1, 6))):
        size = draw(st.integers(1, 12))
        early = draw(st.integers(0, min(depth, size - 1))) if number else 0
        found.append((len(pts), early == 0))
        leading.append(early)
        order = [shown + early, *range(shown, shown + early)]
        rest = list(range(shown + early + 1, shown + size))
        while rest:  # an anchor, then the pictures before it
            group = rest[: depth + 1]
            rest = rest[depth + 1 :]
            order += [group[-1], *group[:-1]]
        pts += order
        shown += size
    steps = draw(st.lists(st.integers(1, 3), min_size=shown, max_size=shown))
    times = np.cumsum([0, *steps])[:shown] * TICK
    stamps = times[np.array(pts)]
    late = 3 * TICK * 3  # so early that any order of decoding is in time
    ends = [at for at, _ in found[1:]] + [len(pts)]
    groups = tuple(
        Gop(at, end, early, restarts) for (at, restarts), end, early in zip(found, ends, leading, strict=True)
    )
    starts = np.array([at for at, _ in found])
    octets = np.full(len(pts), 10, np.int32)
    return PacketIndex(stamps, np.sort(stamps) - late, octets, np.ones(len(pts), bool), starts, groups, "")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoSpec:
    return require_video(probe(synthetic.hevc_mp4(Path(tmp_path_factory.mktemp("plan")) / "a")))


@settings(max_examples=300, deadline=None)
@given(index=indices(), data=st.data())
def test_what_is_planned_can_be_written(video: VideoSpec, index: PacketIndex, data: st.DataObject) -> None:
    count = len(index.pts)
    edited = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    plan = splice.plan(replace(video, time_base=Fraction(1, 2500)), index, edited, "mp4")
    encoded = [number for run in plan.runs for number in run.frames]
    assert encoded == sorted(set(encoded))  # runs are in order and apart
    assert set(np.flatnonzero(edited)) <= set(encoded)
    assert plan.replaced.sum() == sum(run.packets for run in plan.runs) == len(encoded)
    # Exactly the pictures that are encoded are not copied.
    assert sorted(index.pts[plan.replaced]) == index.stamps[encoded].tolist()
    # Only whole GOPs, and leading pictures of the one behind.
    for gop in index.gops:
        inside = plan.replaced[gop.first : gop.end]
        assert inside.all() or (not inside[0] and not inside[1 + gop.leading :].any())
    # Leading pictures of a copied GOP lean on a GOP that is copied as well.
    for before, gop in zip(index.gops, index.gops[1:], strict=False):
        if gop.leading and not plan.replaced[gop.first + 1]:
            assert not plan.replaced[before.first]


@settings(max_examples=300, deadline=None)
@given(index=indices(), data=st.data())
def test_decoding_times_rise_and_come_before_showing(video: VideoSpec, index: PacketIndex, data: st.DataObject) -> None:
    count = len(index.pts)
    edited = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    plan = splice.plan(video, index, edited, "mp4")
    runs = {run.first: run for run in plan.runs}
    written: list[int] = []
    for position in range(count):
        if (run := runs.get(position)) is not None:
            written += run.decode_times.tolist()
            assert (run.decode_times <= index.stamps[run.frames.start : run.frames.stop]).all()
        if not plan.replaced[position]:
            written.append(int(index.dts[position]))
    assert written == sorted(set(written)) and len(written) == count


def test_the_index_of_a_file_is_its_packets(tmp_path: Path) -> None:
    """Oracle: the demuxer's own packets, one by one."""
    for make in (synthetic.h264_mp4, synthetic.hevc_mp4, synthetic.vp9_webm, synthetic.prores_mov):
        spec = probe(make(tmp_path / make.__name__))
        index = gops.read(spec)
        with gops.open_input(spec.path) as container:
            packets = [p for p in container.demux(container.streams.video[0]) if p.size]
        assert index.pts.tolist() == [p.pts for p in packets]
        assert index.octets.tolist() == [p.size for p in packets]
        covered = [position for gop in index.gops for position in range(gop.first, gop.end)]
        assert covered == list(range(len(packets)))
        assert all(packets[gop.first].is_keyframe for gop in index.gops)
