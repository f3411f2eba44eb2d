"""A preview that every browser plays: H.264 8-bit 4:2:0 and AAC stereo in MP4, of any source or dub.

Takes a file, writes a small one with the same frames at the same times: proxies of a source and its dub stay in step.
Browsers play neither HEVC nor ProRes, nor H.264 of 10 bits. The proxy keeps colour description and rotation (a browser
maps PQ and HLG by itself), has square pixels, progressive pictures, a keyframe per second and its index in front.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.filter import Graph
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from lipsmith.engine.media import clock, decode
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.paced import Paced
from lipsmith.engine.media.place import appearing_whole, require_place, writing
from lipsmith.engine.media.probe import first_picture, probe, require_video
from lipsmith.engine.media.soundtrack import SoundEncoder, SoundPlan
from lipsmith.engine.media.spec import MediaSpec, VideoSpec
from lipsmith.engine.progress import Progress, silent
from lipsmith.errors import BrokenMedia, UnsupportedVideo

LONGEST_SIDE = 1280  # pixels
_QUALITY = {"crf": "23", "preset": "veryfast", "profile": "high"}
_SOUND = SoundPlan("aac", 48_000, "stereo", 128_000, ())
_PROGRESS_EVERY = 10  # frames
_BT709 = 1


@dataclass(frozen=True)
class ProxyResult:
    """The preview and its shape."""

    path: Path
    width: int
    height: int
    frames: int


def make_proxy(
    source: Path, out: Path, *, longest_side: int = LONGEST_SIDE, threads: int = 2, progress: Progress = silent
) -> ProxyResult:
    """Write the preview of `source` to `out` (.mp4), whole or not at all.

    Raises the InputErrors, NoVideoStream, OutputNotWritable, DiskFull, UnsupportedVideo (another suffix).
    """
    if out.suffix.lower() != ".mp4":
        raise UnsupportedVideo(f"{out}: a preview is an .mp4 file; name it so.")
    require_place(source, out)
    spec = probe(source)
    video = require_video(spec)
    width, height = _size(video, longest_side)
    with appearing_whole(out) as part:
        options = {"movflags": "+faststart", "video_track_timescale": str(video.time_base.denominator)}
        with writing(part), av.open(str(part), "w", format="mp4", container_options=options) as output:
            count = _write(spec, video, output, (width, height), threads, progress)
    return ProxyResult(out, width, height, count)


def _size(video: VideoSpec, longest_side: int) -> tuple[int, int]:
    """Square pixels, even numbers, at most `longest_side`."""
    width, height = float(video.width * video.sample_aspect), float(video.height)
    scale = min(1.0, longest_side / max(width, height))
    return max(2 * round(width * scale / 2), 2), max(2 * round(height * scale / 2), 2)


def _write(
    spec: MediaSpec,
    video: VideoSpec,
    output: OutputContainer,
    size: tuple[int, int],
    threads: int,
    progress: Progress,
) -> int:
    picture = first_picture(spec.path, video.stream_index)
    stream = _video_stream(output, video, picture, size, threads)
    start = clock.seconds_of_pts(video.start_pts, video.time_base)
    sound = Paced(SoundEncoder(output, _SOUND, start).packets(_sound(spec, start)) if spec.audio else iter(()))
    count = 0
    for frame in _progressive(decode.frames(spec, threads=threads), video):
        count += 1
        output.mux(stream.encode(_small(frame, video, size)))
        output.mux(list(sound.until(frame.seconds)))
        if count % _PROGRESS_EVERY == 0:
            progress("proxy", count, video.frame_count_from_content)
    output.mux(stream.encode(None))
    output.mux(list(sound.until(None)))
    progress("proxy", count, count)
    return count


def _video_stream(
    output: OutputContainer, video: VideoSpec, picture: av.VideoFrame, size: tuple[int, int], threads: int
) -> VideoStream:
    stream = output.add_stream("libx264", rate=video.frame_rate)
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height = size
    context.pix_fmt, context.thread_count = "yuv420p", threads
    context.options = {**_QUALITY, "g": str(max(round(video.frame_rate), 1))}
    context.time_base = stream.time_base = video.time_base
    context.color_range = int(ColorRange.JPEG if _full_range(video) else ColorRange.MPEG)
    tags = video.color
    told = not picture.format.is_rgb
    context.colorspace = tags.matrix if told else _BT709
    context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    if video.rotation_degrees:
        stream.set_display_rotation(video.rotation_degrees)
    return stream


def _full_range(video: VideoSpec) -> bool:
    return video.color.range == "pc" and video.pix_fmt.startswith("yuv")


def _small(frame: Frame, video: VideoSpec, size: tuple[int, int]) -> av.VideoFrame:
    sample_range = ColorRange.JPEG if _full_range(video) else ColorRange.MPEG
    source_range = ColorRange.JPEG if video.color.range == "pc" else ColorRange.MPEG
    small = frame.picture.reformat(
        *size, "yuv420p", src_color_range=source_range, dst_color_range=sample_range, interpolation="AREA"
    )
    small.pts, small.time_base, small.pict_type = frame.pts, frame.time_base, 0
    return small


def _progressive(frames: Iterator[Frame], video: VideoSpec) -> Iterator[Frame]:
    """Interlaced pictures with their fields joined, one picture for each; others as they are."""
    if not video.interlaced:
        yield from frames
        return
    graph: Graph | None = None
    for frame in frames:
        if graph is None:
            graph = _deinterlacer(frame.picture, video.time_base)
        graph.push(frame.picture)
        yield from _pulled(graph, video.time_base)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph, video.time_base)


def _deinterlacer(picture: av.VideoFrame, time_base: Fraction) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=time_base)
    join, sink = graph.add("bwdif", "mode=send_frame"), graph.add("buffersink")
    source.link_to(join)
    join.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: Graph, time_base: Fraction) -> Iterator[Frame]:
    while True:
        try:
            picture = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(picture, av.VideoFrame) and picture.pts is not None
        base = picture.time_base or time_base
        yield Frame(0, clock.rescale(picture.pts, base, time_base), time_base, picture)


def _sound(spec: MediaSpec, start_seconds: float) -> Iterator[np.ndarray]:
    """The first soundtrack from the first picture on; nothing where it cannot be heard."""
    if not spec.audio:
        return
    index = spec.audio[0].stream_index
    try:
        yield from decode.audio(spec.path, index, _SOUND.sample_rate, _SOUND.layout, origin_seconds=start_seconds)
    except BrokenMedia:
        return  # probe has warned of it
