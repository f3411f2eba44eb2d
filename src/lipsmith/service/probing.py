"""A first look at an uploaded file: does it hold what it should, how long, how fast? Reads headers, loads no network.

PyAV directly, not the engine: this process starts without torch and knows no faces (docs/decisions/0007).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import av
from av.error import FFmpegError

from lipsmith.service.formats import Kind

_MOST_PACKETS = 200_000  # looked at for a count and regular times: over an hour of video


@dataclass(frozen=True)
class Found:
    """Facts of the file, from its header and its packets' time stamps."""

    duration_seconds: float | None
    frame_count: int | None
    rate: Fraction
    constant_rate: bool


def look(file: BinaryIO, kind: Kind) -> Found | str:
    """The facts, or a sentence on why the file is no video or no voice."""
    try:
        with av.open(file, "r", metadata_errors="ignore") as container:
            return _video(container) if kind == "video" else _audio(container)
    except (FFmpegError, ValueError, OSError):
        return f"the file is not a readable {kind} file"


def _video(container: av.container.InputContainer) -> Found | str:
    if not container.streams.video:
        return "the file has no readable video stream"
    stream = container.streams.video[0]
    if not stream.codec_context.width:
        return "the file has no readable video stream"
    rate = stream.average_rate or stream.base_rate or Fraction(25)
    stamps = sorted(_stamps(container, stream))
    if not stamps:
        return "the file has no readable video stream"
    base = stream.time_base or Fraction(1, 90000)
    regular = 1 / (rate * base)
    # Off its regular time by half a frame or more: variable rate.
    constant = all(abs((t - stamps[0]) - i * regular) < regular / 2 for i, t in enumerate(stamps))
    return Found(float((stamps[-1] - stamps[0]) * base + 1 / rate), len(stamps), Fraction(rate), constant)


def _stamps(container: av.container.InputContainer, stream: av.VideoStream) -> list[int]:
    stamps = []
    for packet in container.demux(stream):
        if packet.pts is not None and packet.size:
            stamps.append(packet.pts)
        if len(stamps) >= _MOST_PACKETS:
            break
    return stamps


def _audio(container: av.container.InputContainer) -> Found | str:
    if not container.streams.audio:
        return "the file has no audio stream"
    stream, end = container.streams.audio[0], 0.0
    first: float | None = None
    for packet in container.demux(stream):
        if packet.pts is not None and packet.size and packet.time_base:
            start = float(packet.pts * packet.time_base)
            first = start if first is None else min(first, start)
            end = max(end, start + float((packet.duration or 0) * packet.time_base))
    seconds = end - (first or 0.0)
    if seconds <= 0:
        return "the file holds no sound"
    return Found(seconds, None, Fraction(1), constant_rate=True)
