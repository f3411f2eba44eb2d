"""Where a picture stream can be cut: every packet's times, and the groups of pictures (GOPs) they form.

Takes a `MediaSpec`, reads the packets once, gives a `PacketIndex`: what `splice` copies by and `decode` seeks by. 41
bytes are kept per picture. Knows nothing of writing.

A GOP begins at a packet from which decoding can begin. Pictures that are decoded after it but shown before it (leading
pictures, ITU-T H.265 3.69) lean on the GOP before as well: whoever changes that one must make them anew.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import av
import numpy as np

from lipsmith.engine.media import nal
from lipsmith.engine.media.probe import open_input, require_video, video_stream
from lipsmith.engine.media.probe import packets as demuxed
from lipsmith.engine.media.spec import MediaSpec, VideoSpec

# Codecs in which every packet is a picture of its own.
INTRA_ONLY = {"prores", "dnxhd", "mjpeg", "cfhd", "v210", "rawvideo", "dvvideo", "png"}
_AV1_SEQUENCE_HEADER = 1
_H264_IDR = 5
_HEVC_CRA = 21
_HEVC_RESTARTS = {16, 17, 18, 19, 20}  # BLA and IDR


@dataclass(frozen=True)
class Gop:
    """Packets [first, end) in decoding order."""

    first: int
    end: int
    leading: int  # pictures right behind the first that are shown before it
    restarts: bool  # the first forgets all pictures before (IDR); a CRA does so only behind an end of sequence


@dataclass(frozen=True)
class PacketIndex:
    """All packets of the picture stream in decoding order. Times in the stream's time base."""

    pts: np.ndarray  # (N,) int64
    dts: np.ndarray  # (N,) int64
    octets: np.ndarray  # (N,) int32
    shown: np.ndarray  # (N,) bool: False where an edit list hides the picture
    openings: np.ndarray  # (K,) int64: positions from which decoding can begin
    gops: tuple[Gop, ...]  # empty where the stream cannot be cut
    why_not: str  # a sentence on that, or ""

    @cached_property
    def stamps(self) -> np.ndarray:
        """(F,) int64 time stamps of all shown pictures, in the order they are shown."""
        return np.sort(self.pts[self.shown])

    @cached_property
    def as_shown(self) -> np.ndarray:
        """(F,) int64 positions of all shown pictures, in the order they are shown."""
        order = np.argsort(self.pts, kind="stable")
        return order[self.shown[order]]


@dataclass(frozen=True)
class Excerpt:
    """Some stretches of a video: ranges of frame indices, in order and apart from each other."""

    index: PacketIndex
    stretches: tuple[range, ...]

    @property
    def frame_count(self) -> int:
        return sum(len(stretch) for stretch in self.stretches)


def read(spec: MediaSpec) -> PacketIndex:
    """Every packet of the picture stream, read once. Raises NoVideoStream and the errors of `open_input`."""
    video = require_video(spec)
    columns = array("q"), array("q"), array("l"), array("b")
    openings: list[tuple[int, bool]] = []
    trouble, times_of_decoding = "", 0
    with open_input(spec.path) as container:
        stream = video_stream(container, video.stream_index)
        prefix = nal.prefix_length(stream.codec_context.extradata or b"", video.codec)
        try:
            for packet in demuxed(container, stream):
                if packet.size == 0:
                    continue
                if packet.pts is None:
                    trouble = trouble or "Its packets carry no presentation times."
                times_of_decoding += packet.dts is not None
                opening = _opening(packet, video, prefix)
                if opening is not None:
                    openings.append((len(columns[0]), opening))
                for column, value in zip(
                    columns, (packet.pts or 0, packet.dts or 0, packet.size, not packet.is_discard), strict=True
                ):
                    column.append(value)
        except av.FFmpegError as error:
            trouble = f"Its packets cannot be read to the end ({error.strerror})."
    pts, dts, octets, shown = (np.array(column) for column in columns)
    shown = shown.astype(bool)
    if times_of_decoding < len(pts):  # Matroska stores none, and FFmpeg's guess leaves the first ones out
        dts = _decoding_times(pts)
    trouble = trouble or _disorder(pts, dts, shown)
    gops = () if trouble else tuple(_gops(pts, openings))
    if not trouble and (not gops or gops[0].first != 0):
        gops, trouble = (), "It does not begin with a picture that stands on its own."
    starts = np.array([position for position, _ in openings], np.int64)
    return PacketIndex(pts, dts, octets.astype(np.int32), shown, starts, gops, trouble)


def _opening(packet: av.Packet, video: VideoSpec, prefix: int) -> bool | None:
    """None: decoding cannot begin here; else whether the picture forgets all before it."""
    if video.codec in INTRA_ONLY:
        return True
    if not packet.is_keyframe:
        return None
    if video.codec == "h264":  # behind a recovery point that is no IDR no other SPS can take over
        return True if _H264_IDR in nal.kinds(bytes(packet), video.codec, prefix) else None
    if video.codec == "hevc":
        kinds = nal.kinds(bytes(packet), video.codec, prefix)
        return True if kinds & _HEVC_RESTARTS else (False if _HEVC_CRA in kinds else None)
    if video.codec == "av1":
        return True if _AV1_SEQUENCE_HEADER in nal.obu_kinds(bytes(packet)) else None
    return True


def _decoding_times(pts: np.ndarray) -> np.ndarray:
    """The stamps in order, late by as many pictures as decoding runs ahead of showing."""
    order = np.sort(pts)
    depth = int(max((np.arange(len(pts)) - np.searchsorted(order, pts)).max(initial=0), 0))
    step = int(np.median(np.diff(order))) if len(pts) > 1 else 1
    early = order[:1] - step * np.arange(depth, 0, -1)
    return np.concatenate([early, order])[: len(pts)]


def _disorder(pts: np.ndarray, dts: np.ndarray, shown: np.ndarray) -> str:
    if len(np.unique(pts)) < len(pts):
        return "Two of its pictures have one time stamp."
    if (np.diff(dts) <= 0).any() or (dts > pts).any():
        return "Its decoding times are not in order."
    return "" if shown.any() else "None of its pictures is shown."


def _gops(pts: np.ndarray, openings: list[tuple[int, bool]]) -> Iterator[Gop]:
    """Only openings where all that is decoded before is also shown before, and leading pictures come first."""
    latest = np.maximum.accumulate(pts)
    earliest = np.minimum.accumulate(pts[::-1])[::-1]
    clean = [(at, restarts) for at, restarts in openings if at == 0 or latest[at - 1] < earliest[at]]
    parts = [
        (at, restarts)
        for (at, restarts), end in zip(clean, _ends(clean, len(pts)), strict=True)
        if (np.diff((pts[at + 1 : end] < pts[at]).astype(np.int8)) <= 0).all()
    ]
    for (first, restarts), end in zip(parts, _ends(parts, len(pts)), strict=True):
        yield Gop(first, end, int((pts[first + 1 : end] < pts[first]).sum()), restarts)


def _ends(openings: list[tuple[int, bool]], count: int) -> list[int]:
    return [at for at, _ in openings[1:]] + [count] if openings else []
