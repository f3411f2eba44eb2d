"""What of a picture stream is copied and what is encoded anew: the plan, before anything is written.

Takes a `PacketIndex` and the frames that a dub will edit, gives a `SplicePlan` of `Run`s. Knows no encoder.

A run is made of whole GOPs, so that copied pictures never lean on encoded ones. Leading pictures of the copied GOP
behind a run lean on the run: they are encoded as its last pictures and left out of the copy. A run keeps the source's
decoding times, so it reorders pictures only as deep as those leave room for, and not at all where the copy goes on with
a CRA: behind an end of sequence that discards what is not shown yet (H.265 C.5.2.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lipsmith.engine.media.gops import INTRA_ONLY, Excerpt, Gop, PacketIndex
from lipsmith.engine.media.spec import VideoSpec

_SELF_CONTAINED = {"vp8", "vp9", "av1"}  # every keyframe brings all that its GOP needs
_WITH_PARAMETER_SETS = {"h264", "hevc"}
_CONTAINERS = {
    "h264": {"mp4", "mov", "3gp", "matroska", "flv", "mpegts", "mxf"},
    "hevc": {"mp4", "mov", "matroska", "mpegts"},
}
_DEEPEST = 2  # B-frames that others lean on
_RUN_FRAMES = 100  # a run is closed when it has so many: what must be held of it stays small
PART_FRAMES = 3000  # a part is closed when it has so many: worth an engine's start, and still a share of a long shot
_COUNTS_FRAMES = {"avi", "mpeg"}  # containers without presentation times


class NotSpliceable(Exception):
    """The reason, as a sentence: the whole stream must be encoded anew."""


@dataclass(frozen=True)
class Whole:
    """All pictures are encoded anew."""

    reason: str  # a sentence


@dataclass(frozen=True)
class Run:
    """Neighbouring GOPs that are encoded anew as one."""

    frames: range  # indices of its frames, as shown; empty where an edit list hides them all
    first: int  # position of the first packet it replaces, in decoding order
    packets: int  # how many it replaces
    octets: int  # of them
    decode_times: np.ndarray  # (len(frames),) int64, in the stream's time base
    keyframes: frozenset[int]  # time stamps at which the source has a keyframe
    ends_sequence: bool  # the copy behind it begins with a CRA
    reorder: int  # by how many pictures decoding may run ahead of showing

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.decode_times):
            raise ValueError(f"one decoding time per frame: {len(self.frames) = }, {len(self.decode_times) = }")


@dataclass(frozen=True)
class SplicePlan:
    """Runs in order; every packet that is not replaced is copied."""

    index: PacketIndex
    parts: tuple[tuple[Run, ...], ...]  # in order; each is encoded without knowing of the others
    replaced: np.ndarray  # (N,) bool, packets in decoding order

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for part in self.parts for run in part)

    @property
    def excerpt(self) -> Excerpt:
        """The frames that must be decoded."""
        return Excerpt(self.index, tuple(_joined(run.frames for run in self.runs)))

    @property
    def excerpts(self) -> tuple[Excerpt, ...]:
        """The same, part by part."""
        return tuple(Excerpt(self.index, tuple(_joined(run.frames for run in part))) for part in self.parts)

    @property
    def reorder(self) -> int:
        """For all runs alike, since they share their parameter sets."""
        return min((run.reorder for run in self.runs if run.frames), default=0)

    @property
    def frames_encoded(self) -> int:
        return sum(len(run.frames) for run in self.runs)


def plan(
    video: VideoSpec, index: PacketIndex, edited: np.ndarray, muxer: str, part_frames: int = PART_FRAMES
) -> SplicePlan:
    """Which GOPs hold an edited frame. `edited`: (F,) bool per shown frame. Raises NotSpliceable."""
    _require_spliceable(video, index, muxer)
    touched_packets = _hidden_late(index)
    touched_packets[index.as_shown[edited]] = True
    touched = np.array([touched_packets[gop.first : gop.end].any() for gop in index.gops], bool)
    if not touched.any():
        return SplicePlan(index, (), np.zeros(len(index.pts), bool))
    _grow(index, touched)
    replaced = np.zeros(len(index.pts), bool)
    runs = tuple(
        _run(index, first, end, None if end == len(touched) or touched[end] else index.gops[end], replaced)
        for first, end in _stretches(touched, index)
    )
    return SplicePlan(index, tuple(_parts(runs, part_frames)), replaced)


def _parts(runs: Sequence[Run], part_frames: int) -> Iterator[tuple[Run, ...]]:
    part: list[Run] = []
    for run in runs:
        part.append(run)
        if sum(len(one.frames) for one in part) >= part_frames:
            yield tuple(part)
            part = []
    if part:
        yield tuple(part)


def _joined(stretches: Iterable[range]) -> Iterator[range]:
    """The same frames in as few stretches as can be."""
    held = range(0)
    for stretch in stretches:
        if held and stretch.start == held.stop:
            held = range(held.start, stretch.stop)
            continue
        if held:
            yield held
        held = stretch
    if held:
        yield held


def _require_spliceable(video: VideoSpec, index: PacketIndex, muxer: str) -> None:
    if not index.gops:
        raise NotSpliceable(index.why_not)
    if muxer in _COUNTS_FRAMES and video.codec not in INTRA_ONLY:
        raise NotSpliceable(f"The container {muxer} stores no presentation times.")
    if video.codec in _WITH_PARAMETER_SETS:
        if muxer not in _CONTAINERS[video.codec]:
            raise NotSpliceable(f"{video.codec} is not spliced in the container {muxer}.")
    elif video.codec not in _SELF_CONTAINED | INTRA_ONLY:
        raise NotSpliceable(f"A {video.codec} stream has one set of parameters for all its pictures.")


def _hidden_late(index: PacketIndex) -> np.ndarray:
    """(N,) bool: pictures that an edit list hides between or behind others.

    No muxer writes such a list: copied they would be shown. Those before all others it does hide.
    """
    return ~index.shown & (index.pts > index.stamps[0])


def _grow(index: PacketIndex, touched: np.ndarray) -> None:
    """In place: where leading pictures have no room before their keyframe, their whole GOP is encoded anew as well."""
    for number in range(1, len(index.gops)):
        gop = index.gops[number]
        if touched[number - 1] and not touched[number] and gop.leading and not _has_room(index, gop):
            touched[number] = True


def _has_room(index: PacketIndex, gop: Gop) -> bool:
    return int(index.dts[gop.first] - index.dts[gop.first - 1]) > gop.leading


def _stretches(touched: np.ndarray, index: PacketIndex) -> Iterator[tuple[int, int]]:
    """(first, end) of neighbouring GOPs, not many more frames than `_RUN_FRAMES` together."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], touched.astype(np.int8), [0]])))
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        begin = first
        for number in range(first, end):
            long = index.gops[number].end - index.gops[begin].first >= _RUN_FRAMES
            if number == end - 1 or (long and not index.gops[number + 1].leading):
                yield begin, number + 1
                begin = number + 1


def _run(index: PacketIndex, first: int, end: int, behind: Gop | None, replaced: np.ndarray) -> Run:
    """GOPs [first, end) and the leading pictures of the copied GOP behind them; marks their packets in `replaced`."""
    start, stop = index.gops[first].first, index.gops[end - 1].end
    positions = np.arange(start, stop)
    replaced[start:stop] = True
    times = index.dts[positions][index.shown[positions]]
    if behind is not None and behind.leading:
        tail = np.arange(behind.first + 1, behind.first + 1 + behind.leading)
        replaced[tail] = True
        positions = np.concatenate([positions, tail])
        times = np.concatenate([times, _squeezed(index, behind)[index.shown[tail]]])
    shown = positions[index.shown[positions]]
    stamps = index.stamps
    begin = int(np.searchsorted(stamps, index.pts[shown].min())) if len(shown) else 0
    return Run(
        frames=range(begin, begin + len(shown)),
        first=start,
        packets=len(positions),
        octets=int(index.octets[positions].sum()),
        decode_times=times,
        keyframes=frozenset(_keyframes(index, index.gops[first:end])),
        ends_sequence=behind is not None and not behind.restarts,
        reorder=0 if behind is not None and not behind.restarts else _room(times, index.stamps[begin:]),
    )


def _room(decode_times: np.ndarray, stamps: np.ndarray) -> int:
    """The deepest reordering of pictures that still decodes each before it is shown."""
    shown = stamps[: len(decode_times)]
    for depth in range(_DEEPEST, 0, -1):
        late = np.concatenate([np.repeat(shown[:1], depth), shown])[: len(shown)]
        if (decode_times <= late).all():
            return depth
    return 0


def _squeezed(index: PacketIndex, gop: Gop) -> np.ndarray:
    """Decoding times for its leading pictures between the packet before it and its keyframe."""
    before, at = int(index.dts[gop.first - 1]), int(index.dts[gop.first])
    return np.array([before + (at - before) * k // (gop.leading + 1) for k in range(1, gop.leading + 1)], np.int64)


def _keyframes(index: PacketIndex, gops: Sequence[Gop]) -> Iterator[int]:
    for gop in gops:
        yield int(index.pts[gop.first])
