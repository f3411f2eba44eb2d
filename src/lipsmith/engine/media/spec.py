"""What a file is: frozen facts, each with the place it came from.

Produced by `probe`, consumed by everyone who must write the same file back.
`..._from_header` is what the container claims; `..._from_content` was seen by reading packets or frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

UNSPECIFIED = 2


@dataclass(frozen=True)
class ColorSpec:
    """Colour description in FFmpeg's own numbers (ITU-T H.273); 2 means unspecified.

    `range` is "tv" or "pc"; unspecified YUV counts as "tv", a yuvj format or RGB as "pc".
    """

    matrix: int
    primaries: int
    transfer: int
    range: str


@dataclass(frozen=True)
class Coding:
    """How samples stand for colours."""

    pix_fmt: str
    bit_depth: int
    color: ColorSpec

    @property
    def full(self) -> int:
        """The largest code there may be."""
        return (1 << self.bit_depth) - 1


_NEARLY_SQUARE = Fraction(115, 100)  # faces come broader and narrower than that


@dataclass(frozen=True)
class VideoSpec:
    """The picture stream to be dubbed."""

    stream_index: int  # in the container
    codec: str  # FFmpeg codec name: "h264", "hevc", ...
    codec_tag: str  # four characters, "" where the container has none
    profile: str | None
    level: int | None
    width: int  # coded pixels, before rotation
    height: int
    pix_fmt: str  # as decoded
    bit_depth: int
    color: ColorSpec
    time_base: Fraction
    frame_rate: Fraction  # average, exact (30000/1001); for VFR a mean
    variable_rate: bool  # from content: some frame off its regular time by half a frame or more
    frame_count_from_content: int
    start_pts: int  # first presented frame, in time_base
    duration_seconds_from_content: float
    sample_aspect: Fraction  # 1 where unknown
    rotation_degrees: int  # counter-clockwise, of the display matrix: 0, 90, 180, 270
    bit_rate_from_content: int  # bits per second of the packets
    interlaced: bool  # as it says itself
    bottom_field_first: bool

    @property
    def coding(self) -> Coding:
        return Coding(self.pix_fmt, self.bit_depth, self.color)

    @property
    def stretch(self) -> float:
        """Seen pixels across per coded one."""
        return self.seen_width / self.width

    @property
    def seen_width(self) -> int:
        """Of its pictures as they are looked at: in square pixels where the coded ones are far from it."""
        is_squeezed = self.sample_aspect > _NEARLY_SQUARE
        return 2 * round(self.width * self.sample_aspect / 2) if is_squeezed else self.width


@dataclass(frozen=True)
class AudioSpec:
    """One sound stream."""

    stream_index: int
    codec: str
    sample_rate: int  # Hz
    layout: str  # "mono", "stereo", "5.1", ...
    bit_rate_from_header: int  # 0 where unknown
    start_seconds: float
    duration_seconds_from_content: float
    language: str | None


@dataclass(frozen=True)
class OtherStream:
    """A stream that is carried packet by packet."""

    stream_index: int
    kind: str  # "subtitle", "data", "attachment", "video" (cover pictures, further pictures)
    codec: str


@dataclass(frozen=True)
class MediaSpec:
    """A whole file."""

    path: Path
    container: str  # FFmpeg demuxer name, e.g. "mov,mp4,m4a,3gp,3g2,mj2"
    size_bytes: int
    video: VideoSpec | None
    audio: tuple[AudioSpec, ...]
    others: tuple[OtherStream, ...]
    metadata: tuple[tuple[str, str], ...]
    chapter_count: int
    warnings: tuple[str, ...]  # plain sentences: broken audio track, duration unknown in the header, ...
