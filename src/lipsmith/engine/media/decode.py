"""Frames and sound out of a file, one after another: memory does not grow with its length.

Takes a `MediaSpec` (pictures) or a path (sound), gives `Frame`s in presentation order and float waveforms. Damaged
packets are passed over; only a file that gives nothing at all is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.reformatter import ColorRange, Colorspace

from lipsmith.engine.media import clock, color
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.gops import Excerpt, PacketIndex
from lipsmith.engine.media.probe import open_input, require_video, video_stream
from lipsmith.engine.media.probe import packets as demuxed
from lipsmith.engine.media.spec import MediaSpec, VideoSpec
from lipsmith.errors import BrokenMedia, NoAudioStream

T = TypeVar("T")

# H.273 matrix number to swscale's; BT.601 where nothing is said, as in `color`.
_MATRIX = {
    1: Colorspace.ITU709,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_GAP_SECONDS = 0.1  # a longer hole between audio packets is silence; less is rounding of time stamps
_LONGEST_GAP_SECONDS = 600.0  # beyond it the time stamps are broken, not the sound missing
_FAR_SECONDS = 30.0  # of sound, from which on seeking is worth it
_PREROLL_SECONDS = 1.0  # decoders lean on what came before


@dataclass(frozen=True)
class Want:
    """What a decoder is asked for besides pictures, and which pictures it may leave out."""

    skip: Literal["DEFAULT", "NONREF"] = "DEFAULT"
    options: Mapping[str, str] = field(default_factory=dict)


def frames(spec: MediaSpec, excerpt: Excerpt | None = None, *, threads: int = 2) -> Iterator[Frame]:
    """Every frame in presentation order, `index` from 0, `pts` strictly increasing; or only those of `excerpt`.

    What lies between an excerpt's stretches is passed over by seeking, so the cost is that of the stretches and of the
    GOPs they begin in; `index` counts from the video's beginning all the same. Raises NoVideoStream, BrokenMedia (not
    one frame decodes).
    """
    if excerpt is not None:
        yield from _excerpted(spec, require_video(spec), excerpt, threads)
        return
    video = require_video(spec)
    index = 0
    last_pts: int | None = None
    with open_input(spec.path) as container:
        stream = video_stream(container, video.stream_index)
        stream.thread_type = "AUTO"
        stream.thread_count = threads
        for picture in _decoded(container, stream):
            pts = _stamp(picture, last_pts, video)
            picture.pts = pts
            picture.time_base = video.time_base
            yield Frame(index, pts, video.time_base, picture, stretch=video.stretch)
            index, last_pts = index + 1, pts
    if index == 0:
        raise BrokenMedia(f"{spec.path}: no picture in it can be decoded.")


def rgb(frame: Frame, width: int | None = None, height: int | None = None) -> np.ndarray:
    """The whole picture as working RGB: (H, W, 3) uint8, scaled where a size is given. Seen pixels, not rotated."""
    if width is None and frame.stretch != 1:
        width, height = round(frame.picture.width * frame.stretch), frame.picture.height
    if frame.parity is not None:
        lines = rgb(replace(frame, parity=None, stretch=1.0))[frame.parity :: 2]
        whole = color.with_lines_between(lines, frame.parity)
        if width is None or height is None:
            return whole
        return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    picture = frame.picture
    full = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")
    return picture.reformat(
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=_MATRIX.get(int(picture.colorspace), Colorspace.ITU601),
        src_color_range=ColorRange.JPEG if full or picture.format.is_rgb else ColorRange.MPEG,
        interpolation="AREA" if width is not None and width <= picture.width else None,
    ).to_ndarray()


def audio(
    path: Path,
    stream_index: int | None,
    sample_rate: int,
    layout: str = "mono",
    *,
    origin_seconds: float | None = None,
) -> Iterator[np.ndarray]:
    """The sound of any file with sound, in blocks of (channels, n) float32, nominally in [-1, 1].

    `stream_index` None is the first audio stream. `layout` is FFmpeg's name. Mono into stereo keeps its level, stereo
    into mono is the mean. With `origin_seconds` (container clock) the first sample is the one heard at that time:
    earlier sound is cut, a later start is preceded by silence; without it the first sample is the stream's first. What
    lies more than half a minute before that time is passed over by seeking.
    Raises NoAudioStream, BrokenMedia (nothing decodes) and the errors of `open_input`.
    """
    with _sound_near(path, stream_index, origin_seconds) as (container, stream):
        aligner = _Aligner(sample_rate, origin_seconds)
        heard = False
        for block, seconds in _resampled(container, stream, sample_rate, layout):
            heard = True
            aligned = aligner.align(block, seconds)
            if aligned.shape[1]:
                yield aligned
    if not heard:
        raise BrokenMedia(f"{path}: its audio track holds no sound that can be decoded.")


def glimpses(
    path: Path, stream_index: int | None, sample_rate: int, layout: str, *, count: int, each_seconds: float
) -> Iterator[np.ndarray]:
    """`count` stretches of the sound, evenly spread, in blocks as `audio` gives them; not exact in time.

    All of it where it is no longer than they are together, or where the file cannot be entered in the middle.
    Raises what `audio` raises.
    """
    with open_input(path) as container:
        stream = _audio_stream(container, stream_index, path)
        first, length = container.start_time or 0, container.duration or 0  # microseconds
        long = length > count * each_seconds * av.time_base
        heard = False
        for number in range(count if long else 0):
            try:
                container.seek(first + length * number // count)
            except av.FFmpegError:
                break
            left = round(each_seconds * sample_rate)
            for block, _ in _resampled(container, stream, sample_rate, layout):
                heard = True
                yield block
                left -= block.shape[1]
                if left <= 0:
                    break
    if not heard:
        yield from audio(path, stream_index, sample_rate, layout)


def _excerpted(spec: MediaSpec, video: VideoSpec, excerpt: Excerpt, threads: int) -> Iterator[Frame]:
    stamps = excerpt.index.stamps
    for stretch in excerpt.stretches:
        for picture in pictures_of(spec, excerpt.index, stretch, Want(), threads):
            assert picture.pts is not None  # `pictures_of` gives none without
            number = int(np.searchsorted(stamps, picture.pts))
            if stamps[number] == picture.pts:
                picture.time_base = video.time_base
                yield Frame(number, picture.pts, video.time_base, picture, stretch=video.stretch)


def pictures_of(
    spec: MediaSpec, index: PacketIndex, stretch: range, want: Want, threads: int
) -> Iterator[av.VideoFrame]:
    """The decoder's pictures of one stretch of frame indices."""
    return read_of(spec, index, stretch, want, threads, lambda picture: picture)


def read_of(
    spec: MediaSpec,
    index: PacketIndex,
    stretch: range,
    want: Want,
    threads: int,
    read: Callable[[av.VideoFrame], T | None],
) -> Iterator[T]:
    """What `read` takes of the decoder's pictures of one stretch; none of them is held here any longer."""
    first_pts, last_pts = int(index.stamps[stretch.start]), int(index.stamps[stretch.stop - 1])

    def taken(picture: av.VideoFrame) -> tuple[int | None, T | None]:
        wanted = picture.pts is not None and first_pts <= picture.pts <= last_pts
        return picture.pts, read(picture) if wanted else None

    with _opened_before(spec, index, first_pts) as (container, stream):
        stream.thread_type, stream.thread_count = "AUTO", threads
        stream.codec_context.skip_frame = want.skip
        stream.codec_context.options = dict(want.options)
        for pts, value in _decoded(container, stream, taken):
            if value is not None:
                yield value
            if pts is not None and pts >= last_pts:
                break


@contextmanager
def coded_of(
    spec: MediaSpec, index: PacketIndex, stretch: range
) -> Iterator[tuple[bytes, Iterator[tuple[int, bytes]]]]:
    """(the stream's headers, the time stamp and data of each packet up to the last of one stretch, as decoded)."""
    first_pts = int(index.stamps[stretch.start])
    waiting = set(index.stamps[stretch.start : stretch.stop].tolist())

    def packets(container: InputContainer, stream: av.VideoStream) -> Iterator[tuple[int, bytes]]:
        for packet in demuxed(container, stream):
            if packet.size and packet.pts is not None:
                yield packet.pts, bytes(packet)
                waiting.discard(packet.pts)
            if not waiting:
                return

    with _opened_before(spec, index, first_pts) as (container, stream):
        yield stream.codec_context.extradata or b"", packets(container, stream)


@contextmanager
def _opened_before(spec: MediaSpec, index: PacketIndex, pts: int) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """The file, standing where decoding of this picture begins, or before; from its beginning where seeking fails."""
    video = require_video(spec)
    opening = max((int(at) for at in index.openings if index.pts[at] <= pts), default=0)
    if opening and _lands_before(spec, video, index, opening):
        with open_input(spec.path) as container:
            stream = video_stream(container, video.stream_index)
            container.seek(int(index.dts[opening]), stream=stream)
            yield container, stream
    else:
        with open_input(spec.path) as container:
            yield container, video_stream(container, video.stream_index)


def _lands_before(spec: MediaSpec, video: VideoSpec, index: PacketIndex, opening: int) -> bool:
    """Does seeking arrive in time? Demuxers without an index guess, some too late."""
    with open_input(spec.path) as container:
        stream = video_stream(container, video.stream_index)
        return _arrives(container, stream, int(index.dts[opening]), int(index.pts[opening]))


def _arrives(container: InputContainer, stream: av.VideoStream | av.AudioStream, sought: int, wanted: int) -> bool:
    """Whether seeking `sought` brings a packet of `wanted` or before. It takes that packet."""
    try:
        container.seek(sought, stream=stream)
        packet = next(packet for packet in demuxed(container, stream) if packet.size)
    except (av.FFmpegError, StopIteration):
        return False
    return packet.pts is not None and packet.pts <= wanted


def sample_count(path: Path, stream_index: int | None, sample_rate: int) -> int:
    """How long a file's sound is, in samples at this rate. Raises what `audio` raises."""
    return sum(block.shape[1] for block in audio(path, stream_index, sample_rate))


def channel_count(path: Path, stream_index: int | None) -> int:
    """Of a sound stream (None: the first). Raises NoAudioStream, BrokenMedia and the errors of `open_input`."""
    with open_input(path) as container:
        return int(_audio_stream(container, stream_index, path).codec_context.layout.nb_channels)


def _decoded(
    container: InputContainer, stream: av.VideoStream | av.AudioStream, read: Callable[[Any], Any] = lambda one: one
) -> Iterator[Any]:
    """Of all that decodes what `read` takes; a damaged packet is skipped, a damaged container ends the stream."""
    packets = demuxed(container, stream)
    while True:
        try:
            yield from [read(one) for one in next(packets).decode()]
        except StopIteration:
            return
        except av.InvalidDataError:
            continue
        except av.FFmpegError:
            return  # the demuxer cannot go on: probe has warned of it


@contextmanager
def _sound_near(
    path: Path, stream_index: int | None, seconds: float | None
) -> Iterator[tuple[InputContainer, av.AudioStream]]:
    """The file, shortly before this time of its sound where that is far in; from its start where seeking fails."""
    with open_input(path) as container:
        stream = _audio_stream(container, stream_index, path)
        far = _far_into(stream, seconds)
        if far is None or _arrives(container, stream, far, far):
            if far is not None:
                container.seek(far, stream=stream)
            yield container, stream
            return
    with open_input(path) as container:
        yield container, _audio_stream(container, stream_index, path)


def _far_into(stream: av.AudioStream, seconds: float | None) -> int | None:
    """The time stamp to seek for this time of the container's clock; None where that would save little."""
    if seconds is None or stream.time_base is None:
        return None
    if seconds <= (stream.start_time or 0) * stream.time_base + _FAR_SECONDS:
        return None
    return clock.pts_of_seconds(seconds - _PREROLL_SECONDS, stream.time_base)


def _stamp(picture: av.VideoFrame, last: int | None, video: VideoSpec) -> int:
    """A time stamp later than the last one, made up where AVI and its like give none."""
    pts = picture.pts if picture.pts is not None else picture.dts
    if last is None:
        return video.start_pts if pts is None else pts
    if pts is None:
        return last + max(clock.pts_of_seconds(1 / video.frame_rate, video.time_base), 1)
    return max(pts, last + 1)


def _audio_stream(container: InputContainer, stream_index: int | None, path: Path) -> av.AudioStream:
    for stream in container.streams.audio:
        if stream_index is None or stream.index == stream_index:
            if stream.codec_context is None:
                raise BrokenMedia(f"{path}: its audio track is in a codec that cannot be decoded.")
            return stream
    raise NoAudioStream(f"{path}: there is no audio stream in it.")


def _resampled(
    container: InputContainer, stream: av.AudioStream, sample_rate: int, layout: str
) -> Iterator[tuple[np.ndarray, float | None]]:
    """(block, time of its first sample in seconds on the container's clock, None where unknown)."""
    resampler: av.AudioResampler | None = None
    source_format: tuple[int, str] | None = None
    seconds: float | None = None
    for sound in _decoded(container, stream):
        if seconds is None and sound.pts is not None and sound.time_base is not None:
            seconds = float(sound.pts * sound.time_base)
        if resampler is None or source_format != (sound.sample_rate, sound.layout.name):
            source_format = (sound.sample_rate, sound.layout.name)
            resampler = av.AudioResampler(format="fltp", layout=_resample_layout(sound, layout), rate=sample_rate)
        sound.pts = None  # holes are filled by the aligner, which sees the true times
        for part in resampler.resample(sound):
            yield _mixed(part.to_ndarray(), layout), seconds
            seconds = None
    if resampler is not None:
        for part in resampler.resample(None):
            yield _mixed(part.to_ndarray(), layout), None


def _resample_layout(sound: av.AudioFrame, layout: str) -> str:
    """swresample scales mono <-> stereo by 0.707; these two are mixed by `_mixed` instead, at their own level."""
    return sound.layout.name if {sound.layout.nb_channels, av.AudioLayout(layout).nb_channels} <= {1, 2} else layout


def _mixed(block: np.ndarray, layout: str) -> np.ndarray:  # (channels, n)
    channels = av.AudioLayout(layout).nb_channels
    if block.shape[0] == channels:
        return block
    if channels == 1:
        return block.mean(axis=0, keepdims=True)
    return np.repeat(block, channels, axis=0)


class _Aligner:
    """Lays blocks on a clock that begins at `origin_seconds`: cuts, and fills holes with silence."""

    def __init__(self, sample_rate: int, origin_seconds: float | None) -> None:
        self._sample_rate = sample_rate
        self._origin_seconds = origin_seconds
        self._position: int | None = None  # of the next sample; negative before the origin

    def align(self, block: np.ndarray, seconds: float | None) -> np.ndarray:
        silence = 0
        if self._position is None:
            self._position = self._first_position(seconds)
            silence = max(self._position, 0)
        elif seconds is not None and self._origin_seconds is not None:
            expected = clock.sample_of_seconds(seconds - self._origin_seconds, self._sample_rate)
            hole = expected - self._position
            if _GAP_SECONDS < hole / self._sample_rate < _LONGEST_GAP_SECONDS:
                silence = hole - max(-self._position, 0) if self._position < 0 else hole
                silence = max(silence, 0)
                self._position = expected
        cut = min(max(-self._position, 0), block.shape[1])
        self._position += block.shape[1]
        block = block[:, cut:]
        if silence:
            block = np.concatenate([np.zeros((block.shape[0], silence), np.float32), block], axis=1)
        return block

    def _first_position(self, seconds: float | None) -> int:
        if self._origin_seconds is None or seconds is None:
            return 0
        return clock.sample_of_seconds(seconds - self._origin_seconds, self._sample_rate)
