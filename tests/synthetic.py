"""Small media made by code: whatever a test needs of a file, without a clip in the repository.

Each maker writes one file and returns its path. Pictures are a moving gradient with a bright square, so that codecs
have something to do and frames can be told apart; sound is a tone.
"""

from __future__ import annotations

import hashlib
import wave
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags

from lipsmith.engine.media.priority import keeping_priority

SAMPLE_RATE = 48_000  # Hz, of every soundtrack made here
# FFmpeg's MPEG encoders count their decoding times one frame early even where nothing is reordered.
_IN_ORDER = {"mpeg4", "mpeg1video", "flv"}


@dataclass(frozen=True)
class Look:
    """What the pictures of a made file are."""

    encoder: str = "libx264"
    width: int = 160
    height: int = 96
    pix_fmt: str = "yuv420p"
    frame_rate: Fraction = Fraction(25)
    time_base: Fraction = Fraction(1, 12_800)
    frames: int = 50
    bit_rate: int = 400_000
    options: dict[str, str] = field(default_factory=dict)
    color: tuple[int, int, int, int] = (1, 1, 1, 1)  # range, matrix, primaries, transfer
    sample_aspect: Fraction = Fraction(1)
    rotation_degrees: int = 0
    codec_tag: str = ""
    pts: Sequence[int] | None = None  # in time_base; None: regular from 0
    interlaced: bool = False  # for encoders that are told by a flag


@dataclass(frozen=True)
class Track:
    """One soundtrack: a tone."""

    encoder: str = "aac"
    layout: str = "stereo"
    language: str = "eng"
    hertz: float = 440.0


def movie(
    path: Path,
    look: Look = Look(),
    tracks: Sequence[Track] = (Track(),),
    *,
    subtitles: Sequence[str] = (),
    tags: dict[str, str] | None = None,
    chapters: Sequence[tuple[float, float, str]] = (),
    container_options: dict[str, str] | None = None,
    attachments: Sequence[tuple[str, str, bytes]] = (),  # name, kind, data
) -> Path:
    """A video with these tracks, one-second subtitles (text) from 0 on, tags, chapters and attachments."""
    with av.open(str(path), "w", container_options=container_options or {}) as output:
        video = _video_stream(output, look)
        sounds = [_audio_stream(output, track) for track in tracks]
        captions = output.add_mux_stream("subrip" if path.suffix == ".mkv" else "mov_text") if subtitles else None
        output.metadata.update(tags or {})
        for attachment in attachments:
            output.add_attachment(*attachment)
        if chapters:
            output.set_chapters([_chapter(number, *chapter) for number, chapter in enumerate(chapters)])
        with keeping_priority():
            output.start_encoding()
        for picture in [*pictures(look), None]:
            for packet in video.encode(picture):
                if look.encoder in _IN_ORDER:
                    packet.dts = packet.pts
                output.mux(packet)
        seconds = look.frames / float(look.frame_rate)
        for stream, track in zip(sounds, tracks, strict=True):
            _encode_sound(output, stream, tone(seconds, track.hertz), track.layout)
        for number, text in enumerate(subtitles):
            assert captions is not None
            packet = av.Packet(text.encode() if path.suffix == ".mkv" else len(text).to_bytes(2, "big") + text.encode())
            packet.stream, packet.time_base = captions, Fraction(1, 1000)
            packet.pts = packet.dts = number * 1000
            packet.duration = 1000
            output.mux(packet)
    return path


def pictures(look: Look) -> Iterable[av.VideoFrame]:
    """The frames of a made file before encoding."""
    step = 1 / (look.frame_rate * look.time_base)
    for number in range(look.frames):
        picture = av.VideoFrame.from_ndarray(_rgb(look, number), format="rgb24").reformat(format=look.pix_fmt)
        picture.pts = look.pts[number] if look.pts is not None else round(number * step)
        picture.time_base = look.time_base
        yield picture


def cover() -> bytes:
    """A small PNG."""
    context = av.CodecContext.create("png", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 64, 64, "rgb24", Fraction(1, 25)
    grey = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
    return b"".join(bytes(packet) for packet in context.encode(grey))


def tone(seconds: float, hertz: float = 440.0, level: float = 0.3) -> np.ndarray:
    """(n,) float32 at SAMPLE_RATE."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def clicks(seconds: float, at_seconds: Sequence[float]) -> np.ndarray:
    """(n,) float32 at SAMPLE_RATE: silence with 1 ms clicks whose peaks lie at these times."""
    sound = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    click = np.hanning(49).astype(np.float32) * 0.6
    for start in at_seconds:
        first = round(start * SAMPLE_RATE) - 24
        sound[first : first + 49] = click
    return sound


def wav(path: Path, sound: np.ndarray, sample_rate: int = SAMPLE_RATE) -> Path:
    """A mono 16-bit WAV of (n,) float samples."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def sound(path: Path, samples: np.ndarray, encoder: str) -> Path:
    """A file of sound alone: (n,) float samples at SAMPLE_RATE in stereo."""
    with av.open(str(path), "w") as output:
        stream = _audio_stream(output, Track(encoder))
        _encode_sound(output, stream, samples, "stereo")
    return path


def _rgb(look: Look, number: int) -> np.ndarray:
    rows, columns = np.mgrid[0 : look.height, 0 : look.width]
    picture = np.stack([columns + number, rows * 2 + number, (rows + columns) // 2 + 3 * number], axis=2) % 256
    left = (number * 3) % max(look.width - 24, 1)
    picture[look.height // 3 : look.height // 3 + 20, left : left + 20] = 235
    return picture.astype(np.uint8)


def _video_stream(output: av.container.OutputContainer, look: Look) -> av.VideoStream:
    stream = output.add_stream(look.encoder, rate=look.frame_rate)
    assert isinstance(stream, av.VideoStream)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = look.width, look.height, look.pix_fmt
    context.bit_rate = look.bit_rate
    context.options = dict(look.options)
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = look.color
    context.sample_aspect_ratio = look.sample_aspect
    context.time_base = stream.time_base = look.time_base
    if look.interlaced:
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
    if look.rotation_degrees:
        stream.set_display_rotation(look.rotation_degrees)
    if look.codec_tag:
        context.codec_tag = look.codec_tag
    return stream


def _audio_stream(output: av.container.OutputContainer, track: Track) -> av.AudioStream:
    stream = output.add_stream(track.encoder, rate=SAMPLE_RATE)
    assert isinstance(stream, av.AudioStream)
    stream.layout = track.layout
    stream.bit_rate = 96_000
    stream.metadata["language"] = track.language
    return stream


def _encode_sound(output: av.container.OutputContainer, stream: av.AudioStream, sound: np.ndarray, layout: str) -> None:
    channels = av.AudioLayout(layout).nb_channels
    frame = av.AudioFrame.from_ndarray(np.repeat(sound[None], channels, axis=0), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
    output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def _chapter(number: int, start: float, end: float, title: str) -> dict[str, object]:
    base = Fraction(1, 1000)
    return {
        "id": number,
        "start": round(start * 1000),
        "end": round(end * 1000),
        "time_base": base,
        "metadata": {"title": title},
    }


def h264_mp4(path: Path) -> Path:
    return movie(path.with_suffix(".mp4"), tags={"title": "Synthetic"}, chapters=((0, 1, "one"), (1, 2, "two")))


def hevc_mp4(path: Path) -> Path:
    look = Look("libx265", options={"x265-params": "log-level=error"}, codec_tag="hvc1", frames=30)
    return movie(path.with_suffix(".mp4"), look)


def hevc_10bit_mp4(path: Path) -> Path:
    look = Look(
        "libx265", pix_fmt="yuv420p10le", options={"x265-params": "log-level=error"}, color=(1, 9, 9, 16), frames=30
    )
    return movie(path.with_suffix(".mp4"), look)


def h264_10bit_mkv(path: Path) -> Path:
    return movie(path.with_suffix(".mkv"), Look(pix_fmt="yuv422p10le", frames=30))


def two_audios_and_subtitles_mkv(path: Path) -> Path:
    tracks = (Track(language="eng"), Track("libopus", language="fra", hertz=660))
    return movie(path.with_suffix(".mkv"), tracks=tracks, subtitles=("Hello", "there"))


def two_audios_mov(path: Path) -> Path:
    look = Look(frame_rate=Fraction(24000, 1001), time_base=Fraction(1, 24000), rotation_degrees=90)
    tracks = (Track(), Track(language="spa", layout="mono"))
    return movie(path.with_suffix(".mov"), look, tracks, subtitles=("a", "b"))


def vfr_mp4(path: Path) -> Path:
    pts = np.cumsum([0, *[(512, 1024, 768, 512, 2048)[i % 5] for i in range(39)]]).tolist()
    return movie(path.with_suffix(".mp4"), Look(frames=40, pts=pts), ())


def late_start_mp4(path: Path) -> Path:
    """Its first frame is shown 0.08 s after the container's zero."""
    look = Look(pts=[1024 + 512 * number for number in range(50)])
    return movie(path.with_suffix(".mp4"), look)


def anamorphic_full_range_mp4(path: Path) -> Path:
    look = Look(pix_fmt="yuvj420p", color=(2, 6, 6, 6), sample_aspect=Fraction(16, 11), width=162, height=98)
    return movie(path.with_suffix(".mp4"), look)


def mpeg4_avi(path: Path) -> Path:
    look = Look("mpeg4", time_base=Fraction(1, 25))
    return movie(path.with_suffix(".avi"), look, (Track("ac3", "mono"),))


def mp3_avi(path: Path) -> Path:
    """Its MP3 begins before zero, so that the muxer leaves the second frame's place empty."""
    look = Look("mpeg4", time_base=Fraction(1, 25))
    return movie(path.with_suffix(".avi"), look, (Track("libmp3lame", "mono"),))


def h264_avi(path: Path) -> Path:
    look = Look(time_base=Fraction(1, 25), options={"bf": "0"})
    return movie(path.with_suffix(".avi"), look, (Track("ac3"),))


def mpeg1_mpg(path: Path) -> Path:
    look = Look("mpeg1video", time_base=Fraction(1, 25), width=176, height=144, options={"bf": "0"})
    return movie(path.with_suffix(".mpg"), look, (Track("mp2"),))


def vp9_webm(path: Path) -> Path:
    look = Look("libvpx-vp9", time_base=Fraction(1, 1000), options={"deadline": "realtime", "cpu-used": "8"}, frames=30)
    return movie(path.with_suffix(".webm"), look, (Track("libopus"),))


def flv1_flv(path: Path) -> Path:
    look = Look("flv", time_base=Fraction(1, 1000), frames=30)
    return movie(path.with_suffix(".flv"), look, (Track("aac"),))


def prores_mov(path: Path) -> Path:
    look = Look("prores_ks", pix_fmt="yuv422p10le", options={"profile": "2"}, frames=30, bit_rate=0)
    return movie(path.with_suffix(".mov"), look, (Track("pcm_s16le"),))


def mpeg2_ts(path: Path) -> Path:
    look = Look("mpeg2video", time_base=Fraction(1, 25), options={"bf": "0"})
    return movie(path.with_suffix(".ts"), look, (Track("mp2"),))


def ffv1_mkv(path: Path) -> Path:
    return movie(path.with_suffix(".mkv"), Look("ffv1", frames=30), (Track("flac"),))


def hdr_hevc_mp4(path: Path) -> Path:
    display = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    options = {"x265-params": f"log-level=error:{display}"}
    look = Look("libx265", pix_fmt="yuv420p10le", options=options, color=(1, 9, 9, 16), codec_tag="hvc1", frames=30)
    return movie(path.with_suffix(".mp4"), look)


def interlaced_mp4(path: Path) -> Path:
    return movie(path.with_suffix(".mp4"), Look(height=128, options={"x264-params": "interlaced=1:tff=1"}))


def timecode_mov(path: Path) -> Path:
    """Beside the pictures a timecode track, chapters and a tag that QuickTime does not know."""
    tags = {"title": "Synthetic", "timecode": "10:00:00:00", "com.example.reel": "A001"}
    options = {"movflags": "use_metadata_tags"}
    return movie(
        path.with_suffix(".mov"), tags=tags, chapters=((0, 1, "one"), (1, 2, "two")), container_options=options
    )


def silent_mp4(path: Path) -> Path:
    return movie(path.with_suffix(".mp4"), tracks=())


# Every kind of source that must come back as it was.
SOURCES: dict[str, Callable[[Path], Path]] = {
    maker.__name__: maker
    for maker in (
        h264_mp4,
        hevc_mp4,
        hevc_10bit_mp4,
        h264_10bit_mkv,
        two_audios_and_subtitles_mkv,
        two_audios_mov,
        vfr_mp4,
        late_start_mp4,
        anamorphic_full_range_mp4,
        mpeg4_avi,
        mp3_avi,
        mpeg1_mpg,
        vp9_webm,
        flv1_flv,
        prores_mov,
        mpeg2_ts,
        ffv1_mkv,
        hdr_hevc_mp4,
        interlaced_mp4,
        timecode_mov,
        silent_mp4,
    )
}


def frame_hashes(path: Path) -> list[str]:
    """Of every picture of a file, as it is decoded."""
    with av.open(str(path)) as container:
        return [hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest() for frame in container.decode(video=0)]
