"""A new file like the source: edited pictures, new first audio track, everything else copied packet by packet.

Takes the source's `MediaSpec`, frames one after another and the voices; gives a whole file or none: it is written under
a temporary name beside its place and renamed at the end.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream

from lipsmith.engine.media import clock, gops, graft
from lipsmith.engine.media import splice as splices
from lipsmith.engine.media.ahead import Ahead, ahead
from lipsmith.engine.media.coded import Coded, CodedFiles, save
from lipsmith.engine.media.encode import RunEncoders, VideoEncoder, plan_video
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.graft import SplicedVideo
from lipsmith.engine.media.matroska import show_as
from lipsmith.engine.media.newtrack import LaidTrack, NewTrack, Sound
from lipsmith.engine.media.paced import Paced
from lipsmith.engine.media.place import appearing_whole, close_quietly, require_place, writing
from lipsmith.engine.media.priority import keeping_priority
from lipsmith.engine.media.probe import (
    codec_name,
    first_picture,
    main_video_stream,
    open_input,
    require_video,
    video_stream,
)
from lipsmith.engine.media.probe import packets as demuxed
from lipsmith.engine.media.recode import Recoder
from lipsmith.engine.media.soundtrack import Voice, is_refused, plan_sound
from lipsmith.engine.media.spec import MediaSpec, VideoSpec
from lipsmith.engine.media.splice import PART_FRAMES, NotSpliceable, SplicePlan, Whole
from lipsmith.engine.progress import Progress, silent
from lipsmith.errors import UnsupportedVideo

_MUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".mxf": "mxf",
    ".3gp": "3gp",
    ".mts": "mpegts",
    ".flv": "flv",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".ts": "mpegts",
    ".m2ts": "mpegts",
}
SUFFIXES = tuple(_MUXERS)
# The usual suffix by FFmpeg's demuxer name, for files whose own name tells nothing.
_USUAL_SUFFIX = {
    "mov": ".mp4",
    "matroska": ".mkv",
    "avi": ".avi",
    "mxf": ".mxf",
    "mpegts": ".ts",
    "mpeg": ".mpg",
    "flv": ".flv",
}
_MOV_FAMILY = ("mp4", "mov", "3gp")
# Written by the muxer itself, or untrue of the new file.
_OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "software"}
_STATISTICS_TAGS = ("bps", "number_of_", "_statistics_", "duration-")
# What the MP4 muxer stores by itself; any other tag needs its general metadata.
_MP4_TAGS = {
    "title", "artist", "album_artist", "composer", "album", "date", "encoder", "comment", "genre", "copyright",
    "grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "location",
    "creation_time", "timecode", "track", "disc", "hd_video", "media_type", "rating",
}  # fmt: skip
_COVER_KINDS = {"mjpeg": "image/jpeg", "png": "image/png"}
_IN_MXF = {"pcm_s16le", "pcm_s24le"}
_LARGEST_TIMESCALE = 2**31 - 1
_PROGRESS_EVERY = 10  # frames
_IN_ITS_PLACE = NewTrack()
_CODED_AHEAD = 64  # encoded pictures that wait to be written
_SOUND_AHEAD = 256  # packets of the new sound


@dataclass(frozen=True)
class RewriteReport:
    """What was done to the file."""

    video_codec: str
    encoder: str
    settings: str
    frames: int
    frames_encoded: int  # the others were copied as packets
    why_all_encoded: str  # a sentence, "" where some were copied
    sound_packets_copied: int  # of the replaced track, into the new one
    differences: tuple[str, ...]  # sentences on what could not be kept


def rewrite(
    source: MediaSpec,
    out: Path,
    frames: Iterable[Frame] | CodedFiles,
    voices: Sequence[Voice] | None,
    *,
    splice: SplicePlan | Whole | None = None,
    sound: NewTrack = _IN_ITS_PLACE,
    progress: Progress = silent,
    threads: int = 2,
) -> RewriteReport:
    """Write `out` like `source` with these pictures and, unless `voices` is None, with the voices as first audio track.

    With a `SplicePlan`, `frames` are those of its runs only, or all its parts as `encode_part` wrote them; every other
    picture is copied as a packet.
    Voices are laid from the first frame on; the track is as long as the video. Where no voice sounds yet or any more
    there is silence, or the source's own sound. `sound` says which, what the new track is called and whether the first
    one is replaced. The container follows the suffix of `out`.
    Raises OutputNotWritable (also where `out` is the source), DiskFull, UnsupportedVideo, NoVideoStream, and what
    `frames` and the voices raise; then nothing is left behind.
    """
    muxer = muxer_of(out)
    require_place(source.path, out)
    with appearing_whole(out) as part:
        return _write(source, part, muxer, frames, voices, splice, sound, progress, threads)


def _write(
    source: MediaSpec,
    part: Path,
    muxer: str,
    frames: Iterable[Frame] | CodedFiles,
    voices: Sequence[Voice] | None,
    splice: SplicePlan | Whole | None,
    wish: NewTrack,
    progress: Progress,
    threads: int,
) -> RewriteReport:
    video = require_video(source)
    picture = first_picture(source.path, video.stream_index)
    plan = plan_video(video, muxer, picture)
    heard = None
    if voices is not None:
        planned = plan_sound(source.audio[0] if source.audio else None, muxer)
        heard = Sound(source, video, tuple(voices), planned, wish)
    with open_input(source.path) as template, contextlib.ExitStack() as stack:
        with writing(part):
            output = av.open(str(part), "w", format=muxer, container_options=_muxer_options(source, template, muxer))
        # On an error the file is deleted anyway; closing may fail once more and must not hide the first error.
        stack.push(lambda kind, _error, _trace: close_quietly(output) if kind else None)
        copier = _Copier(template, output)
        pictures: VideoEncoder | SplicedVideo | None = None
        track: LaidTrack | None = None
        start_seconds = 0.0 if muxer == "avi" else clock.seconds_of_pts(video.start_pts, video.time_base)
        for stream in template.streams:
            if stream.index == video.stream_index:
                original = video_stream(template, stream.index)
                if isinstance(splice, SplicePlan):
                    pictures = SplicedVideo(output, source, video, original, plan, splice, threads=threads)
                else:
                    pictures = VideoEncoder(output, plan, video, original, picture, threads=threads)
                _take_tags(stream, pictures.stream, video.codec_tag if _same_family(source, muxer) else "")
            elif heard is not None and source.audio and stream.index == source.audio[0].stream_index:
                assert isinstance(stream, AudioStream)
                track = heard.lay(output, stream, start_seconds, may_splice=_same_family(source, muxer))
                _name_track(track.stream, stream, wish)
                if wish.keeps_original:
                    copier.add(stream, beside_new=True)
            else:
                copier.add(stream, beside_new=heard is not None and wish.keeps_original)
        assert pictures is not None
        if heard is not None and track is None:
            track = heard.lay(output, None, start_seconds, may_splice=False)
            _name_track(track.stream, None, wish)
        _take_file_tags(template, output)
        with writing(part), keeping_priority():
            output.start_encoding()
        beside = (Paced(_heard_ahead(track, threads, stack)), Paced(copier.packets()))
        count = 0
        if isinstance(pictures, SplicedVideo):
            assert isinstance(splice, SplicePlan)
            coded = _coded(source, splice, pictures.encoders, frames)
            packets = pictures.packets(stack.enter_context(contextlib.closing(coded)))
        else:
            assert not isinstance(frames, CodedFiles)
            packets = pictures.packets(frames)
        for packet in packets:
            now = clock.seconds_of_pts(packet.dts or 0, packet.time_base)
            _mux(output, [packet], part)
            count += 1
            for others in beside:
                _mux(output, others.until(now), part)
            if count % _PROGRESS_EVERY == 0:
                progress("write", count, video.frame_count_from_content)
        for others in beside:
            _mux(output, others.until(None), part)
        with writing(part):
            output.close()
            aspect_kept = _aspect_kept(part, muxer, video)
    progress("write", count, count)
    told = (
        *plan.differences,
        *(heard.plan.differences if heard else ()),
        *copier.differences,
        *_container_differences(source, muxer),
        *([] if aspect_kept else [f"The file does not tell the aspect of its pixels, which is {video.sample_aspect}."]),
    )
    if (missing := video.frame_count_from_content - count) > 0:
        told = (*told, f"{missing} of the source's pictures cannot be decoded and are left out.")
    encoded = splice.frames_encoded if isinstance(splice, SplicePlan) else count
    reason = splice.reason if isinstance(splice, Whole) else ""
    copied = 0 if track is None else track.packets_copied
    return RewriteReport(plan.codec, plan.encoder, plan.settings, count, encoded, reason, copied, told)


def _heard_ahead(track: LaidTrack | None, threads: int, stack: contextlib.ExitStack) -> Iterator[av.Packet]:
    """The new sound, begun while it is found out how finely the pictures are to be encoded."""
    if track is None or threads == 1:
        return iter(()) if track is None else track.packets
    return stack.enter_context(contextlib.closing(Ahead(track.packets, _SOUND_AHEAD)))


def encode_part(
    source: MediaSpec,
    out: Path,
    frames: Iterable[Frame],
    splice: SplicePlan,
    number: int,
    path: Path,
    *,
    threads: int = 2,
) -> None:
    """Encode one part of a plan for `out` into the file `path`; `frames` are those of its runs.

    Raises OutputNotWritable, DiskFull, BrokenMedia and what `frames` raises.
    """
    video = require_video(source)
    plan = plan_video(video, muxer_of(out), first_picture(source.path, video.stream_index))
    with open_input(source.path) as template:
        stream = video_stream(template, video.stream_index)
        encoders = graft.encoders_for(stream, video, plan, threads, splice.reorder)
    save(Recoder(source, splice, encoders).packets(frames, [number]), path)


def _coded(
    source: MediaSpec, splice: SplicePlan, encoders: RunEncoders, frames: Iterable[Frame] | CodedFiles
) -> Generator[Coded, None, None]:
    """The pictures of the plan's runs, encoded in a thread of its own while sound is encoded and all is written."""
    if isinstance(frames, CodedFiles):
        yield from frames
        return
    packets = Recoder(source, splice, encoders).packets(frames)
    with contextlib.closing(ahead(packets, encoders.threads, depth=_CODED_AHEAD)) as coded:
        yield from coded


def plan_splice(
    source: MediaSpec, out: Path, stamps: np.ndarray, edited: np.ndarray, part_frames: int = PART_FRAMES
) -> SplicePlan | Whole:
    """Which pictures need not be encoded when only those in `edited` (frame indices) are; `stamps`: (F,) of all frames.

    What is encoded is planned in parts of about `part_frames`. Reads all packets once. Raises NoVideoStream,
    UnsupportedVideo and the errors of reading.
    """
    video, muxer = require_video(source), muxer_of(out)
    plan = plan_video(video, muxer, first_picture(source.path, video.stream_index))
    if plan.differences or not _same_family(source, muxer):
        return Whole("The output's container or pixel format is not the source's.")
    index = gops.read(source)
    if not np.array_equal(index.stamps, stamps):
        return Whole("Not every packet of it gives the picture that its time stamp announces.")
    wanted = np.zeros(len(stamps), bool)
    wanted[edited] = True
    try:
        with open_input(source.path) as template:
            graft.encoders_for(video_stream(template, video.stream_index), video, plan, threads=1)
            return splices.plan(video, index, wanted, muxer, part_frames)
    except NotSpliceable as reason:
        return Whole(str(reason))


class _Copier:
    """Streams that go from input to output untouched, packet by packet."""

    def __init__(self, source: InputContainer, output: OutputContainer) -> None:
        self._source = source
        self._output = output
        self._targets: dict[int, Stream] = {}
        self._packets: Iterator[av.Packet] = iter(())
        self.differences: list[str] = []

    def add(self, stream: Stream, *, beside_new: bool = False) -> None:
        """Carry this stream, unless the muxer makes it by itself (timecode, chapters) or cannot hold it.

        `beside_new`: a new soundtrack was added, and is the one that plays by default.
        """
        if stream.type == "data" and _is_made_by_muxer(stream, self._source):
            return
        muxer = self._output.format.name
        if muxer == "matroska" and stream.disposition & Disposition.attached_pic:
            self._attach_cover(stream)
            return
        if not _can_carry(stream, muxer):
            self.differences.append(
                f"The {stream.type} stream {stream.index} ({codec_name(stream)}) cannot be carried over."
            )
            return
        target = self._output.add_stream_from_template(stream, opaque=True)
        _take_tags(stream, target, "")
        if beside_new and stream.type == "audio":
            target.disposition = stream.disposition & ~Disposition.default
        if stream.type != "attachment":  # those are written with the header
            self._targets[stream.index] = target

    def _attach_cover(self, stream: Stream) -> None:
        """Matroska keeps a cover as an attachment, which its demuxer shows as a picture stream."""
        with open_input(Path(self._source.name)) as again:
            cover = next((packet for packet in demuxed(again, again.streams[stream.index]) if packet.size), None)
        tags = stream.metadata
        kind = tags.get("mimetype") or _COVER_KINDS.get(codec_name(stream), "application/octet-stream")
        name = tags.get("filename") or f"cover.{codec_name(stream)}"
        attached = self._output.add_attachment(name, kind, b"" if cover is None else bytes(cover))
        attached.metadata.update(_kept_tags(tags))

    def packets(self) -> Iterator[av.Packet]:
        if not self._targets:
            return
        self._packets = demuxed(self._source, *(self._source.streams[index] for index in self._targets))
        while (packet := self._next()) is not None:
            packet.stream = self._targets[packet.stream_index]
            yield packet

    def _next(self) -> av.Packet | None:
        try:
            return next((packet for packet in self._packets if packet.size or packet.dts is not None), None)
        except av.FFmpegError as error:
            self.differences.append(f"Copying other streams stopped early: {error.strerror}.")
            self._packets = iter(())
            return None


def muxer_of(out: Path) -> str:
    muxer = _MUXERS.get(out.suffix.lower())
    if muxer is None:
        known = ", ".join(_MUXERS)
        raise UnsupportedVideo(f"{out}: '{out.suffix}' is no container that can be written; use one of {known}.")
    return muxer


def suffix_of(source: MediaSpec, file_name: str) -> str:
    """The suffix for a file like `source`: that of `file_name` where it is true, else the usual one."""
    named = Path(file_name).suffix.lower()
    if named in _MUXERS and _same_family(source, _MUXERS[named]):
        return named
    if ("major_brand", "qt  ") in source.metadata:
        return ".mov"
    return _USUAL_SUFFIX.get(source.container.split(",")[0], ".mkv")


def _mux(output: OutputContainer, packets: Iterable[av.Packet], path: Path) -> None:
    for packet in packets:
        with writing(path):
            output.mux_one(packet)


def _muxer_options(source: MediaSpec, template: InputContainer, muxer: str) -> dict[str, str]:
    if muxer == "mpeg":
        return {"preload": "0", "muxdelay": "0"}
    if muxer not in _MOV_FAMILY:
        return {"avoid_negative_ts": "disabled"} if muxer in {"matroska", "webm"} else {}
    video = require_video(source)
    options = {"movie_timescale": str(_movie_timescale(template, video))}
    if video.time_base.numerator == 1:
        options["video_track_timescale"] = str(video.time_base.denominator)
    brand = template.metadata.get("major_brand", "")
    if len(brand) == 4 and _same_family(source, muxer) and (brand == "qt  ") == (muxer == "mov"):
        options["brand"] = brand
    if {key for key, _ in _kept_tags(template.metadata)} - _MP4_TAGS:
        options["movflags"] = "use_metadata_tags"
    return options


def _movie_timescale(template: InputContainer, video: VideoSpec) -> int:
    """Fine enough that the start of every track is exact: edit lists count in it."""
    scale = video.time_base.denominator
    for stream in template.streams:
        finer = scale
        if stream.time_base is not None:
            finer = int(np.lcm(scale, stream.time_base.denominator))
        scale = finer if 0 < finer <= _LARGEST_TIMESCALE else scale
    return max(scale, 1000)


def _same_family(source: MediaSpec, muxer: str) -> bool:
    """Does the output's container use the source's kind of codec tags?"""
    names = source.container.split(",")
    return muxer in names or (muxer in _MOV_FAMILY and "mov" in names)


def _aspect_kept(part: Path, muxer: str, video: VideoSpec) -> bool:
    """Does the new file say how broad its pixels are? Where PyAV could not tell the muxer the header is mended."""
    if video.sample_aspect == 1 or _says(part, video):
        return True
    mended = muxer in ("matroska", "webm") and show_as(part, (video.width, video.height), video.sample_aspect)
    return mended and _says(part, video)


def _says(part: Path, video: VideoSpec) -> bool:
    with open_input(part) as container:
        stream = main_video_stream(container)
        return stream is not None and stream.sample_aspect_ratio == video.sample_aspect


def _container_differences(source: MediaSpec, muxer: str) -> Iterator[str]:
    if not _same_family(source, muxer):
        yield f"The container is {muxer} instead of {source.container}."


def _take_tags(source: Stream, target: Stream, codec_tag: str) -> None:
    """Language, titles, disposition, and with `codec_tag` the four characters ("hvc1")."""
    target.metadata.clear()  # a stream made from a template brings them all
    target.metadata.update(_kept_tags(source.metadata))
    if "name" in target.metadata:  # so the MP4 demuxer calls what its muxer takes as "title"
        target.metadata.setdefault("title", target.metadata["name"])
    target.disposition = source.disposition
    if codec_tag:
        target.codec_context.codec_tag = codec_tag


def _name_track(target: Stream, replaced: Stream | None, wish: NewTrack) -> None:
    """Tags of the new soundtrack: those of the one it replaces, and the language asked for."""
    if replaced is not None and not wish.keeps_original:
        _take_tags(replaced, target, "")
    else:
        target.disposition = Disposition.default
    if wish.language:
        target.metadata["language"] = wish.language


def _take_file_tags(template: InputContainer, output: OutputContainer) -> None:
    output.metadata.update(_kept_tags(template.metadata))
    chapters = template.chapters()
    if chapters:
        output.set_chapters(chapters)


def _kept_tags(tags: dict[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in tags.items():
        if key.lower() not in _OWN_TAGS and not key.lower().startswith(_STATISTICS_TAGS):
            yield key, value


def _is_made_by_muxer(stream: Stream, source: InputContainer) -> bool:
    """A timecode track follows from the tag, a chapter text track from the chapters."""
    return "timecode" in stream.metadata or (bool(source.chapters()) and codec_name(stream) == "bin_data")


def _can_carry(stream: Stream, muxer: str) -> bool:
    """Try it: a muxer that refuses a stream refuses the whole file."""
    if stream.type == "audio" and is_refused(codec_name(stream), muxer):
        return False
    if muxer == "mxf":  # a trial without pictures fails always
        return codec_name(stream) in _IN_MXF
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True
