"""Which pictures of a dub are still the source's: by packet, by every sample, and by what is said beside them.

Takes two files, reads both side by side on its own, gives `Pictures`. Knows no face, nor how the dub was made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from typing import Literal

import av
import numpy as np

from lipsmith.engine.media import clock, decode
from lipsmith.engine.media.frame import Frame, side_data
from lipsmith.engine.media.probe import open_input, require_video, video_stream
from lipsmith.engine.media.probe import packets as demuxed
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.progress import Progress, silent

IDENTICAL_DB = 99.0  # where not one sample differs
_PROGRESS_EVERY = 10  # frames
# Said of a picture beside it, which a dub must not lose.
_BESIDE = {
    "A53_CC": "captions",
    "MASTERING_DISPLAY_METADATA": "mastering display",
    "CONTENT_LIGHT_LEVEL": "light level",
    "DYNAMIC_HDR_PLUS": "dynamic HDR",
    "DOVI_RPU_BUFFER": "Dolby Vision",
}
_ALPHA: Literal["matroska_block_additional"] = "matroska_block_additional"
_LEAST_OCTETS = 16  # a packet that only shows an earlier picture again (AV1) is alike everywhere
_BIT_PER_BLOCK = {"flv1", "h263", "mpeg4"}  # so is one in which no block is coded; here each takes a bit


@dataclass(frozen=True)
class Pictures:
    """What became of the source's pictures."""

    packets: int  # of the source
    packets_identical: int  # bit for bit, at the same time stamp
    frames: int  # in both files
    frames_identical: int  # every sample of every plane
    frames_drifted: int  # not identical although their packet is: the copy leans on something that was changed
    changed: tuple[tuple[int, int], ...]  # first and last frame of each stretch that is not identical
    psnr_db: float  # all samples of the changed frames in their own depth; IDENTICAL_DB where there are none
    worst_psnr_db: float
    largest_difference: float  # of a sample, share of its range
    lost: tuple[str, ...]  # kinds of what is said beside pictures and differs somewhere: "captions"


def compare(specs: tuple[MediaSpec, MediaSpec], *, threads: int = 2, progress: Progress = silent) -> Pictures:
    """The pictures of source and dub. Raises NoVideoStream, BrokenMedia and the errors of `open_input`."""
    base = max(require_video(spec).time_base for spec in specs)  # both can tell times this finely
    before, after = (_packets(spec, base) for spec in specs)
    copied = {pts for pts, data in before.digests.items() if after.digests.get(pts) == data}
    telling = {pts for pts in copied if pts not in before.tiny}
    tally = _Tally()
    total = require_video(specs[0]).frame_count_from_content
    for count, (one, other) in enumerate(_side_by_side(specs, threads)):
        tally.add(one, other, clock.rescale(one.pts, one.time_base, base) in telling)
        if count % _PROGRESS_EVERY == 0:
            progress("pictures", count, total)
    progress("pictures", tally.frames, tally.frames)
    lost = {_BESIDE[kind] for kind in tally.lost}
    if before.alpha != after.alpha:
        lost.add("transparency")
    return Pictures(
        packets=len(before.digests),
        packets_identical=len(copied),
        frames=tally.frames,
        frames_identical=tally.frames - tally.changed_frames,
        frames_drifted=tally.drifted,
        changed=tuple((first, last) for first, last in tally.changed),
        psnr_db=_psnr(tally.error / max(tally.changed_frames, 1)),
        worst_psnr_db=_psnr(tally.worst),
        largest_difference=tally.largest,
        lost=tuple(sorted(lost)),
    )


@dataclass(frozen=True)
class _Packets:
    digests: dict[int, bytes]  # by time stamp, in a time base given
    tiny: frozenset[int]  # time stamps of packets that hold no picture of their own
    alpha: str  # of all pictures' transparency


def _packets(spec: MediaSpec, base: Fraction) -> _Packets:
    video = require_video(spec)
    digests: dict[int, bytes] = {}
    transparency: dict[int, bytes] = {}
    tiny: set[int] = set()
    blocks = -(-video.width // 16) * -(-video.height // 16) if video.codec in _BIT_PER_BLOCK else 0
    least = _LEAST_OCTETS + blocks // 8
    with open_input(spec.path) as container:
        packets = demuxed(container, video_stream(container, video.stream_index))
        try:
            for packet in packets:
                if packet.size and packet.pts is not None:
                    stamp = clock.rescale(packet.pts, video.time_base, base)
                    digests[stamp] = hashlib.blake2b(bytes(packet), digest_size=8).digest()
                    if packet.size < least:
                        tiny.add(stamp)
                    if packet.has_sidedata(_ALPHA):
                        beside = bytes(packet.get_sidedata(_ALPHA))
                        transparency[stamp] = hashlib.blake2b(beside, digest_size=8).digest()
        except av.FFmpegError:
            pass  # probe has warned of a broken end
    alpha = hashlib.sha256(b"".join(transparency[stamp] for stamp in sorted(transparency))).hexdigest()
    return _Packets(digests, frozenset(tiny), alpha)


def _side_by_side(specs: tuple[MediaSpec, MediaSpec], threads: int) -> Iterator[tuple[Frame, Frame]]:
    for one, other in zip_longest(*(decode.frames(spec, threads=threads) for spec in specs)):
        if one is None or other is None:
            return
        yield one, other


class _Tally:
    """Summed frame by frame."""

    def __init__(self) -> None:
        self.frames = self.changed_frames = self.drifted = 0
        self.changed: list[list[int]] = []
        self.error = self.worst = self.largest = 0.0  # mean squared, and largest, of samples as shares of their range
        self.lost: set[str] = set()

    def add(self, one: Frame, other: Frame, copied: bool) -> None:
        self.frames += 1
        self.lost |= {kind for kind in _BESIDE if side_data(one.picture, kind) != side_data(other.picture, kind)}
        error, largest = _difference(one.picture, other.picture)
        if not largest:
            return
        self.changed_frames += 1
        self.drifted += copied
        self.error += error
        self.worst, self.largest = max(self.worst, error), max(self.largest, largest)
        if self.changed and self.changed[-1][1] == one.index - 1:
            self.changed[-1][1] = one.index
        else:
            self.changed.append([one.index, one.index])


def _difference(one: av.VideoFrame, other: av.VideoFrame) -> tuple[float, float]:
    """(mean squared, largest) difference over all planes, samples as shares of their range; (1, 1) for other forms."""
    form = (one.width, one.height, one.format.name)
    if form != (other.width, other.height, other.format.name):
        return 1.0, 1.0
    bits = one.format.components[0].bits
    squares, samples, largest = 0.0, 0, 0
    for number in range(len(one.planes)):
        x, y = _samples(one, number, bits), _samples(other, number, bits)
        samples += x.size
        if np.array_equal(x, y):
            continue
        apart = np.abs(x.astype(np.int32) - y)
        squares += float(np.square(apart, dtype=np.float64).sum())
        largest = max(largest, int(apart.max()))
    full = (1 << bits) - 1
    return squares / max(samples, 1) / full**2, largest / full


def _samples(picture: av.VideoFrame, number: int, bits: int) -> np.ndarray:
    """(rows, columns) of a plane, without the padding behind each row; a packed plane's samples all in one row."""
    plane, dtype = picture.planes[number], np.dtype(np.uint8 if bits <= 8 else np.uint16)
    rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)  # type: ignore[call-overload]
    columns = plane.width
    if len(picture.planes) == 1:
        columns = picture.width * picture.format.bits_per_pixel // (8 * dtype.itemsize)
    elif len(picture.planes) == 2 and number == 1:  # both colours side by side
        columns = 2 * plane.width
    return rows[: plane.height, :columns]


def _psnr(mean_square: float) -> float:
    return IDENTICAL_DB if mean_square <= 0 else min(IDENTICAL_DB, float(-10 * np.log10(mean_square)))
