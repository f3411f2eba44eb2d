"""Is the dub still the source's file? A list of what differs; empty when nothing does.

Takes two paths, reads both on its own (it does not import what wrote the dub), gives `Difference`s. The pictures'
samples and the first audio track's sound are meant to differ and are not compared; their form is.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition, Stream

from lipsmith.engine.media.probe import codec_name, main_video_stream, open_input, printable_tag, probe
from lipsmith.engine.media.probe import packets as demuxed
from lipsmith.engine.media.spec import MediaSpec

_BIT_RATE_TOLERANCE = 0.25  # of the source's: content decides how near one-pass rate control comes
_RATE_ROUNDING = Fraction(1, 1000)  # relative; a header's mean rate hangs on the last frame's length
# The writing program's signature, and what it counts up anew.
_UNCOMPARED_TAGS = ("major_brand", "minor_version", "compatible_brands", "encoder", "software", "duration", "bps")
_UNCOMPARED_PREFIXES = ("number_of_", "_statistics_", "duration-")
_UNCOMPARED_ENDINGS = ("_umid", "product_version_num", "toolkit_version_num")  # of MXF: the muxer's own


_DEFAULT = int(Disposition.default)


@dataclass(frozen=True)
class Difference:
    """One fact that is not as in the source."""

    code: str  # stable: "video_pix_fmt", "frame_times", "copied_packets", ...
    what: str  # a plain sentence part: "pixel format of the pictures"
    source: str
    dub: str
    explained: bool  # follows from the task or the container, and harms nobody


def compare(source: Path, dub: Path) -> tuple[Difference, ...]:
    """What differs beyond the first audio track's content and the edited pictures.

    Compares container, order and facts of all streams, every frame's time stamp, colour, aspect, rotation, tags,
    chapters, and by hash the packets of streams that should have been copied. Raises the errors of `probe`.
    """
    one, other = _read(source), _read(dub)
    return (
        *_container(one, other),
        *_video(one, other),
        *_frame_times(one, other),
        *_streams(one, other),
        *_tags("file", one.spec.metadata, other.spec.metadata),
        *_chapters(one, other),
    )


@dataclass(frozen=True)
class _Track:
    """One stream: its facts, and its packets as counts and a hash."""

    kind: str
    codec: str
    codec_tag: str
    tags: tuple[tuple[str, str], ...]
    disposition: int
    facts: tuple[str, ...]  # sample rate, layout: whatever the kind has
    packets: int
    digest: str
    first_seconds: float


@dataclass(frozen=True)
class _File:
    spec: MediaSpec
    tracks: tuple[_Track, ...]  # without those a muxer makes from tags: timecode, chapter text
    main: int | None  # of the picture stream within `tracks`
    stamps: array[int]  # of the pictures, sorted
    color_tags: tuple[int, int, int, int]  # range, matrix, primaries, transfer as the stream states them
    chapters: tuple[tuple[float, float, str], ...]


def _read(path: Path) -> _File:
    spec = probe(path)
    with open_input(path) as container:
        main = main_video_stream(container)
        kept = [stream for stream in container.streams if not _is_made_by_muxer(stream, container)]
        hashes = {stream.index: hashlib.sha256() for stream in kept}
        counts = dict.fromkeys(hashes, 0)
        firsts: dict[int, float] = {}
        stamps = array("q")
        for packet in _packets(container):
            index = packet.stream_index
            if index not in hashes:
                continue
            stamp = packet.pts if packet.pts is not None else packet.dts
            if main is not None and index == main.index:
                if not packet.is_discard and stamp is not None:
                    stamps.append(stamp)
            else:
                hashes[index].update(bytes(packet))
            counts[index] += 1
            if stamp is not None and not packet.is_discard:
                firsts.setdefault(index, float(stamp * packet.time_base))
        tracks = tuple(
            _track(stream, counts[stream.index], hashes[stream.index].hexdigest(), firsts.get(stream.index, 0.0))
            for stream in kept
        )
        return _File(
            spec=spec,
            tracks=tracks,
            main=None if main is None else [stream.index for stream in kept].index(main.index),
            stamps=array("q", sorted(stamps)),
            color_tags=_color_tags(main),
            chapters=tuple(_chapter(chapter) for chapter in container.chapters()),
        )


def _packets(container: InputContainer) -> Iterator[av.Packet]:
    packets = demuxed(container)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return  # probe has already warned of a broken end
        if packet.size or packet.dts is not None:
            yield packet


def _is_made_by_muxer(stream: Stream, container: InputContainer) -> bool:
    return stream.type == "data" and (
        "timecode" in stream.metadata or (bool(container.chapters()) and codec_name(stream) == "bin_data")
    )


def _track(stream: Stream, packets: int, digest: str, first_seconds: float) -> _Track:
    context = stream.codec_context
    facts: tuple[str, ...] = ()
    if isinstance(stream, av.AudioStream) and context is not None:
        facts = (f"{stream.codec_context.sample_rate} Hz", stream.codec_context.layout.name)
    if stream.type == "attachment":
        digest = hashlib.sha256(getattr(stream, "data", b"")).hexdigest()
    return _Track(
        kind=stream.type,
        codec=codec_name(stream),
        codec_tag=printable_tag(context) if context is not None else "",
        tags=tuple(sorted(stream.metadata.items())),
        disposition=int(stream.disposition),
        facts=facts,
        packets=packets,
        digest=digest,
        first_seconds=first_seconds,
    )


def _color_tags(stream: av.VideoStream | None) -> tuple[int, int, int, int]:
    if stream is None:
        return (0, 2, 2, 2)
    context = stream.codec_context
    return (
        int(context.color_range),
        int(context.colorspace),
        int(context.color_primaries),
        int(context.color_trc),
    )


def _chapter(chapter: av.container.core.Chapter) -> tuple[float, float, str]:
    base = chapter["time_base"] or Fraction(1)
    title = dict(chapter["metadata"]).get("title", "")
    return (round(float(chapter["start"] * base), 3), round(float(chapter["end"] * base), 3), title)


def _container(one: _File, other: _File) -> Iterator[Difference]:
    yield from _differ("container", "container", one.spec.container, other.spec.container)


def _video(one: _File, other: _File) -> Iterator[Difference]:
    a, b = one.spec.video, other.spec.video
    if a is None or b is None:
        yield from _differ(
            "video_stream", "video stream", "none" if a is None else "one", "none" if b is None else "one"
        )
        return
    if a.codec_tag != b.codec_tag:
        # Matroska has names of its own for what it once took from AVI with four characters.
        own_name = a.codec == b.codec and not b.codec_tag and "matroska" in other.spec.container
        yield Difference("video_codec_tag", "codec tag of the pictures", a.codec_tag, b.codec_tag, explained=own_name)
    for name, what in (
        ("codec", "codec of the pictures"),
        ("profile", "profile of the pictures"),
        ("level", "level of the pictures"),
        ("pix_fmt", "pixel format"),
        ("time_base", "time base of the pictures"),
        ("variable_rate", "variable frame rate"),
        ("sample_aspect", "sample aspect ratio"),
        ("rotation_degrees", "rotation"),
        ("interlaced", "interlacing"),
    ):
        yield from _differ(f"video_{name}", what, getattr(a, name), getattr(b, name))
    yield from _differ("video_size", "picture size", f"{a.width}x{a.height}", f"{b.width}x{b.height}")
    if abs(a.frame_rate / b.frame_rate - 1) > _RATE_ROUNDING:
        yield from _differ("video_frame_rate", "frame rate", a.frame_rate, b.frame_rate)
    for name, x, y in zip(("range", "matrix", "primaries", "transfer"), one.color_tags, other.color_tags, strict=True):
        yield from _differ(f"color_{name}", f"colour {name}", x, y)
    if abs(b.bit_rate_from_content / max(a.bit_rate_from_content, 1) - 1) > _BIT_RATE_TOLERANCE:
        ours, theirs = (f"{spec.bit_rate_from_content // 1000} kb/s" for spec in (a, b))
        yield Difference("video_bit_rate", "bit rate of the pictures", ours, theirs, explained=True)


def _frame_times(one: _File, other: _File) -> Iterator[Difference]:
    a, b = one.spec.video, other.spec.video
    if a is None or b is None:
        return
    yield from _differ("frame_count", "number of frames", len(one.stamps), len(other.stamps))
    if len(one.stamps) != len(other.stamps) or not one.stamps:
        return
    pairs = zip(one.stamps, other.stamps, strict=True)
    off = [(x * a.time_base, y * b.time_base) for x, y in pairs if x * a.time_base != y * b.time_base]
    if not off:
        return
    shifts = {y - x for x, y in off}
    if len(off) == len(one.stamps) and len(shifts) == 1:
        shift = float(shifts.pop())
        yield Difference("start_time", "start of the pictures, all alike", "0 s", f"{shift:+.4f} s", explained=False)
    else:
        worst = max(abs(float(shift)) for shift in shifts)
        text = f"{len(off)} frames up to {worst * 1000:.3f} ms off"
        # Matroska and FLV count milliseconds: half of one is their rounding, not ours.
        yield Difference(
            "frame_times", "time stamps of frames", "", text, explained=worst <= 0.0005 and a.time_base != b.time_base
        )


def _streams(one: _File, other: _File) -> Iterator[Difference]:
    theirs, ours = _by_kind(one), _by_kind(other)
    moved = _moved_tracks(theirs.get("audio", []), ours.get("audio", []))
    if moved is not None:
        before = theirs.get("audio", [])
        yield Difference("track_added", "a soundtrack before the others", f"{len(before)}", f"{len(before) + 1}", True)
        yield from _track_differences_of_kept(before, moved)
        del theirs["audio"], ours["audio"]
    for kind in sorted({*theirs, *ours}):
        a, b = theirs.get(kind, []), ours.get(kind, [])
        if len(a) != len(b):
            added = kind == "audio" and not a and len(b) == 1
            yield Difference("stream_count", f"number of {kind} streams", str(len(a)), str(len(b)), explained=added)
        for number, (x, y) in enumerate(zip(a, b, strict=False)):
            yield from _track_differences(kind, number, x, y)
    orders = [[track.kind for track in file.tracks] for file in (one, other)]
    if sorted(orders[0]) == sorted(orders[1]):
        yield from _differ("stream_order", "order of the streams", " ".join(orders[0]), " ".join(orders[1]))


def _moved_tracks(before: list[_Track], after: list[_Track]) -> list[_Track] | None:
    """The tracks behind a new first one, where those are the source's; None where no track was added."""
    if before and len(after) == len(before) + 1 and [t.digest for t in before] == [t.digest for t in after[1:]]:
        return after[1:]
    return None


def _track_differences_of_kept(before: list[_Track], after: list[_Track]) -> Iterator[Difference]:
    """Tracks that moved one place back: packets are known to be alike; only the first may cease to be the default."""
    for number, (a, b) in enumerate(zip(before, after, strict=True)):
        lighter = replace(a, disposition=a.disposition & ~_DEFAULT)
        yield from _track_differences("audio", number + 1, lighter, replace(b, disposition=b.disposition & ~_DEFAULT))


def _by_kind(file: _File) -> dict[str, list[_Track]]:
    """The picture stream first among "video"."""
    kinds: dict[str, list[_Track]] = {}
    for index, track in enumerate(file.tracks):
        tracks = kinds.setdefault(track.kind, [])
        tracks.insert(0 if index == file.main else len(tracks), track)
    return kinds


def _track_differences(kind: str, number: int, a: _Track, b: _Track) -> Iterator[Difference]:
    name = f"{kind} stream {number}"
    yield from _differ(f"{kind}_tags_disposition", f"disposition of {name}", a.disposition, b.disposition)
    yield from _tags(name, a.tags, b.tags)
    if number == 0 and kind == "video":
        return
    yield from _differ(f"{kind}_codec", f"codec of {name}", a.codec, b.codec)
    yield from _differ(f"{kind}_codec_tag", f"codec tag of {name}", a.codec_tag, b.codec_tag)
    yield from _differ(f"{kind}_facts", f"form of {name}", " ".join(a.facts), " ".join(b.facts))
    if number == 0 and kind == "audio":
        return
    # Samples as they are, cut into packets wherever a container's chunks end.
    cut_anywhere = kind == "audio" and a.codec.startswith("pcm_")
    same = a.digest == b.digest and (a.packets == b.packets or cut_anywhere)
    if not same:
        yield Difference(
            "copied_packets", f"packets of {name}", f"{a.packets} packets", f"{b.packets} packets, other content", False
        )
    if abs(a.first_seconds - b.first_seconds) > 0.001:
        yield from _differ(f"{kind}_start", f"start of {name}", f"{a.first_seconds:.4f} s", f"{b.first_seconds:.4f} s")


def _tags(where: str, ours: tuple[tuple[str, str], ...], theirs: tuple[tuple[str, str], ...]) -> Iterator[Difference]:
    a, b = (dict(_compared(tags)) for tags in (ours, theirs))
    for key in sorted({*a, *b}):
        if a.get(key) != b.get(key):
            added = key not in a and key in {"handler_name", "language", "vendor_id"}
            asked = key == "language" and where == "audio stream 0"  # a dub speaks what language it is asked to
            one_for_all = key == "creation_time" and where != "file"  # MP4's muxer writes the file's into every track
            x, y = a.get(key, "none"), b.get(key, "none")
            yield Difference("tag", f"tag '{key}' of the {where}", x, y, explained=added or one_for_all or asked)


def _compared(tags: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    """Keys in lower case, since Matroska writes them in upper case; "und" is no language."""
    for key, value in tags:
        key = key.lower()
        if key in _UNCOMPARED_TAGS or key.startswith(_UNCOMPARED_PREFIXES) or key.endswith(_UNCOMPARED_ENDINGS):
            continue
        if not (key == "language" and value == "und"):
            yield key, value


def _chapters(one: _File, other: _File) -> Iterator[Difference]:
    yield from _differ("chapters", "chapters", one.chapters, other.chapters)


def _differ(code: str, what: str, a: object, b: object) -> Iterator[Difference]:
    if a != b:
        yield Difference(code, what, str(a), str(b), explained=False)
