"""What a file is: opens it, reads every packet once and one frame, and gives a `MediaSpec`.

Produced for everyone; knows nothing of faces or of writing. `open_input` is the one place where an input file is
opened, so that a bad file gives the same typed error wherever it is met first.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream

from lipsmith.engine.media.spec import AudioSpec, ColorSpec, MediaSpec, OtherStream, VideoSpec
from lipsmith.errors import BrokenMedia, FileEmpty, FileMissing, FileNotReadable, NotMedia, NoVideoStream

UNSPECIFIED = 2  # H.273
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_BOTTOM_FIRST = (3, 4)  # FFmpeg's AV_FIELD_BB, AV_FIELD_TB: the bottom field is shown first
_STANDARD_RATES = tuple(
    Fraction(rate)
    for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60", "120", "15")
)
_AUDIO_PROBE_PACKETS = 16  # enough for any codec to give sound, if it ever does
_HEADER_SLACK_SECONDS = 1.0
_LONGEST_PICTURE_SECONDS = 60.0  # on average; beyond it the time stamps are broken, not the film slow
_SNIFFED_BYTES = 64
# What a media file begins with, as (offset, bytes): tells a broken media file from one that never was one.
_MAGIC = (
    (4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"wide"), (4, b"free"), (4, b"skip"), (0, b"\x1aE\xdf\xa3"),
    (0, b"RIFF"), (0, b"FLV"), (0, b"\x00\x00\x01\xba"), (0, b"\x00\x00\x01\xb3"), (0, b"OggS"), (0, b"fLaC"),
    (0, b"ID3"), (0, b"\xff\xfb"), (0, b"0&\xb2u"), (0, b"G@"),
)  # fmt: skip
_GIVE_FOOTAGE = "give footage or speech, such as .mov, .mp4, .mkv, .mxf or .wav"
# FFmpeg opens these as one-frame "videos" or draws their text; none is footage.
_NOT_FOOTAGE = ("tty", "image2", "ico", "bin", "xbin", "adf", "idf")


def probe(path: Path) -> MediaSpec:
    """Facts of the file from its header, all its packets and its first frame.

    Raises FileMissing, FileEmpty, FileNotReadable, NotMedia, BrokenMedia. A file without pictures has `video` None;
    what is damaged but usable is told in `warnings`.
    """
    with open_input(path) as container:
        tallies, read_error = _tally(container, path)
        warnings = [read_error] if read_error else []
        video = _video_spec(container, tallies, path, warnings)
        audio = tuple(_audio_spec(stream, tallies[stream.index], warnings) for stream in container.streams.audio)
        if video is None and not any(spec.duration_seconds_from_content for spec in audio):
            raise BrokenMedia(f"{path}: neither a picture nor a sound can be read from it; copy or export it again.")
        return MediaSpec(
            path=path,
            container=container.format.name,
            size_bytes=path.stat().st_size,
            video=video,
            audio=audio,
            others=tuple(_others(container.streams, video)),
            metadata=tuple(sorted(container.metadata.items())),
            chapter_count=len(container.chapters()),
            warnings=tuple(warnings),
        )


def require_video(spec: MediaSpec) -> VideoSpec:
    """The picture stream. Raises NoVideoStream."""
    if spec.video is None:
        raise no_video(spec.path)
    return spec.video


def no_video(path: Path) -> NoVideoStream:
    """The error of a file without moving pictures."""
    return NoVideoStream(f"{path}: there is no video stream in it, only sound; give the shot, not the voice.")


def open_input(path: Path) -> InputContainer:
    """Open for reading. Raises FileMissing, FileEmpty, FileNotReadable, NotMedia, BrokenMedia."""
    _check_readable(path)
    try:
        container = av.open(str(path), metadata_errors="replace")
    except av.PermissionError as error:
        raise _no_right(path) from error
    except (av.FFmpegError, ValueError) as error:
        if _looks_like_media(path):
            raise BrokenMedia(
                f"{path}: it begins like a media file but cannot be opened; copy or export it whole."
            ) from error
        raise NotMedia(f"{path}: not a media file of any known kind; {_GIVE_FOOTAGE}.") from error
    if not _is_footage(container):
        container.close()
        kind = container.format.name
        raise NotMedia(f"{path}: neither a video nor a sound file (it reads as '{kind}'); {_GIVE_FOOTAGE}.")
    return container


def packets(container: InputContainer, *streams: Stream) -> Iterator[av.Packet]:
    """All packets of these streams (of all where none is named), each stream's flush packet last. Raises FFmpegError.

    A stream that the header does not announce and that begins late is passed over; PyAV has no place for it.
    """
    with contextlib.suppress(IndexError):
        yield from container.demux(*streams)


def codec_name(stream: Stream) -> str:
    """FFmpeg's name of a stream's codec, or its tag's name, or "unknown"."""
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else getattr(stream, "name", None) or "unknown"


@dataclass
class _Tally:
    """What the packets of one stream say. `pts` is kept for pictures only: 8 bytes per frame."""

    packets: int = 0
    octets: int = 0
    pts: array[int] = field(default_factory=lambda: array("q"))
    start_pts: int | None = None
    end_pts: int = 0
    decoded_samples: int = 0

    def add(self, packet: av.Packet, keep_pts: bool) -> None:
        self.packets += 1
        self.octets += packet.size
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            return
        if keep_pts:
            self.pts.append(stamp)
        self.start_pts = stamp if self.start_pts is None else min(stamp, self.start_pts)
        self.end_pts = max(self.end_pts, stamp + (packet.duration or 0))


def _check_readable(path: Path) -> None:
    if not path.exists():
        raise FileMissing(f"{path}: there is no such file; check its name and folder.")
    if path.is_dir():
        raise NotMedia(f"{path}: this is a folder, not a media file; name a file in it.")
    if not os.access(path, os.R_OK):
        raise _no_right(path)
    if path.is_file() and path.stat().st_size == 0:
        raise FileEmpty(f"{path}: the file is empty; copy or export it again.")


def _no_right(path: Path) -> FileNotReadable:
    return FileNotReadable(f"{path}: no permission to read it; change its rights.")


def _looks_like_media(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_SNIFFED_BYTES)
    return any(head[offset : offset + len(magic)] == magic for offset, magic in _MAGIC)


def _is_footage(container: InputContainer) -> bool:
    name = container.format.name
    return bool(container.streams.video or container.streams.audio) and not (
        name in _NOT_FOOTAGE or name.endswith("_pipe")
    )


def _tally(container: InputContainer, path: Path) -> tuple[list[_Tally], str | None]:
    """Every packet counted. A reading error ends the count and comes back as a warning."""
    tallies = [_Tally() for _ in container.streams]
    main = main_video_stream(container)
    try:
        for packet in container.demux():
            if packet.size == 0 or packet.is_discard:
                continue
            tally = tallies[packet.stream_index]
            tally.add(packet, keep_pts=main is not None and packet.stream_index == main.index)
            if tally.packets <= _AUDIO_PROBE_PACKETS and packet.stream.type == "audio":
                tally.decoded_samples += _decoded_samples(packet)
    except IndexError:  # PyAV's, at the end, where there are more streams than the header announced
        return tallies, "A stream that begins late in the file is left out: its header does not announce it."
    except av.FFmpegError as error:
        return tallies, f"Reading stopped before the end of the file ({error.strerror}); what comes before it is used."
    return tallies, None


def _decoded_samples(packet: av.Packet) -> int:
    try:
        return sum(getattr(sound, "samples", 0) for sound in packet.decode())
    except (av.FFmpegError, ValueError):
        return 0


def main_video_stream(container: InputContainer) -> av.VideoStream | None:
    """The first moving picture: covers and thumbnails do not count."""
    still = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    return next((stream for stream in container.streams.video if not stream.disposition & still), None)


def video_stream(container: InputContainer, index: int) -> av.VideoStream:
    """The picture stream with this index in the container."""
    return next(stream for stream in container.streams.video if stream.index == index)


def _video_spec(container: InputContainer, tallies: list[_Tally], path: Path, warnings: list[str]) -> VideoSpec | None:
    stream = main_video_stream(container)
    if stream is None:
        return None
    tally = tallies[stream.index]
    picture = first_picture(path, stream.index)
    context = stream.codec_context
    time_base = stream.time_base
    assert time_base is not None  # every demuxed stream has one
    stamps = sorted(tally.pts)
    rate, variable = _frame_rate(stamps, time_base, (stream.average_rate, stream.base_rate, stream.guessed_rate))
    start = stamps[0] if stamps else 0
    last = stamps[-1] if stamps else 0
    duration = max(tally.end_pts - start, last - start) * time_base
    if tally.end_pts <= last:  # packets without durations: the last frame lasts one frame
        duration += 1 / rate
    if duration > _LONGEST_PICTURE_SECONDS * max(tally.packets, 1):
        raise BrokenMedia(f"{path}: its time stamps make {tally.packets} pictures last {float(duration):.0f} s.")
    if not stream.duration and not container.duration:
        warnings.append("The header does not tell the duration; it was measured.")
    _warn_if_short(stream, float(duration), warnings)
    return VideoSpec(
        stream_index=stream.index,
        codec=context.codec.canonical_name,
        codec_tag=printable_tag(context),
        profile=context.profile,
        level=context.level if context.level >= 0 else None,
        width=picture.width,
        height=picture.height,
        pix_fmt=picture.format.name,
        bit_depth=picture.format.components[0].bits,
        color=_color(picture, context),
        time_base=time_base,
        frame_rate=rate,
        variable_rate=variable,
        frame_count_from_content=tally.packets,
        start_pts=start,
        duration_seconds_from_content=float(duration),
        sample_aspect=stream.sample_aspect_ratio or Fraction(1),
        rotation_degrees=round(picture.rotation) % 360,
        bit_rate_from_content=round(tally.octets * 8 / float(duration)),
        interlaced=picture.interlaced_frame,
        bottom_field_first=context.field_order in _BOTTOM_FIRST,
    )


def printable_tag(context: av.CodecContext) -> str:
    """FFmpeg's four characters; "" where the container has none or they are only numbers."""
    try:
        tag = context.codec_tag
    except UnicodeDecodeError:  # AVI numbers its sound formats
        return ""
    return tag if tag.isprintable() and tag.strip() else ""


def first_picture(path: Path, stream_index: int) -> av.VideoFrame:
    """The first frame that decodes, from a handle of its own. Raises BrokenMedia."""
    with open_input(path) as container:
        told = packets(container, video_stream(container, stream_index))
        while True:
            try:
                packet = next(told)
                for picture in packet.decode():
                    return picture
            except StopIteration:
                raise BrokenMedia(f"{path}: no picture in it can be decoded; export it again.") from None
            except av.InvalidDataError:
                continue  # a damaged packet; a later one may decode
            except av.FFmpegError as error:
                raise BrokenMedia(
                    f"{path}: no picture in it can be decoded ({error.strerror}); export it again."
                ) from error


def _color(picture: av.VideoFrame, context: av.VideoCodecContext) -> ColorSpec:
    full = picture.color_range == _FULL_RANGE or picture.format.name.startswith("yuvj") or picture.format.is_rgb
    return ColorSpec(
        matrix=int(context.colorspace),
        primaries=int(context.color_primaries),
        transfer=int(context.color_trc),
        range="pc" if full else "tv",
    )


def _frame_rate(stamps: list[int], time_base: Fraction, declared: Iterable[Fraction | None]) -> tuple[Fraction, bool]:
    """(rate, variable): the rate whose regular times the stamps follow best; header's rates and common ones compete."""
    known = [rate for rate in declared if rate]
    if len(stamps) < 2 or stamps[-1] == stamps[0]:
        return (known[0] if known else Fraction(25)), False
    mean = Fraction(len(stamps) - 1) / ((stamps[-1] - stamps[0]) * time_base)
    near = [rate for rate in _STANDARD_RATES if abs(rate / mean - 1) < Fraction(1, 100)]
    drifts = {rate: _largest_drift(stamps, time_base, rate) for rate in [*near, *known, mean]}
    best = min(drifts.values())
    tick = float(time_base)
    rate = next(rate for rate, drift in drifts.items() if drift <= best + tick)
    variable = drifts[rate] >= float(1 / rate) / 2
    return (mean, True) if variable else (rate, False)


def _largest_drift(stamps: list[int], time_base: Fraction, rate: Fraction) -> float:
    """Seconds by which the worst frame is off its regular time."""
    ticks = float(1 / (rate * time_base))
    return max(abs(stamp - stamps[0] - index * ticks) for index, stamp in enumerate(stamps)) * float(time_base)


def _warn_if_short(stream: Stream, content_seconds: float, warnings: list[str]) -> None:
    if not stream.duration or stream.time_base is None:
        return
    header_seconds = float(stream.duration * stream.time_base)
    if content_seconds < header_seconds - _HEADER_SLACK_SECONDS:
        warnings.append(
            f"The header announces {header_seconds:.1f} s of {stream.type} but the file holds {content_seconds:.1f} s; "
            "it seems to be cut off."
        )


def _audio_spec(stream: av.AudioStream, tally: _Tally, warnings: list[str]) -> AudioSpec:
    context = stream.codec_context
    time_base = stream.time_base or Fraction(1, 1000)
    seconds = float((tally.end_pts - (tally.start_pts or 0)) * time_base) if tally.packets else 0.0
    if tally.decoded_samples == 0:
        warnings.append(f"Audio track {stream.index} holds no sound that can be decoded.")
    else:
        _warn_if_short(stream, seconds, warnings)
    return AudioSpec(
        stream_index=stream.index,
        codec=context.codec.canonical_name if context else "unknown",
        sample_rate=context.sample_rate if context else 0,
        layout=context.layout.name if context and context.layout.nb_channels else "",
        bit_rate_from_header=(context.bit_rate or 0) if context else 0,
        start_seconds=float((tally.start_pts or 0) * time_base),
        duration_seconds_from_content=seconds if tally.decoded_samples else 0.0,
        language=stream.language,
    )


def _others(streams: Iterable[Stream], video: VideoSpec | None) -> Iterator[OtherStream]:
    for stream in streams:
        if stream.type == "audio" or (video is not None and stream.index == video.stream_index):
            continue
        yield OtherStream(stream.index, stream.type, codec_name(stream))
