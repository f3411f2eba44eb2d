"""Frames back into the codec they came from.

Takes the source's `VideoSpec` and its opened stream, gives an encoder whose stream states the same facts: codec,
profile, level, pixel format, colour tags, aspect, rotation, HDR metadata, rate and time base, and every frame's exact
time stamp. Knows nothing of containers beyond a muxer's name.

**Quality rule.** The source's octets are the budget. H.264 and HEVC serve as the first pass of ours (`firstpass`). What
is not cut into runs, and what has no second pass, has one at `_BUDGET` times the source's average bit rate, since
one-pass control falls short by about a tenth; its first second may take `_OPENING` times its share, since rate control
begins blind. FFmpeg's own encoders of the MPEG family forget an error over half a minute by default and stop at a
quantiser of 2, where fine sources have bits left: here they may err by a second's bits and go down to 1 (17 shots: bits
0.72-1.11 of the source's, now 1.00-1.08). `tune=psnr` because the picture was judged by one encoder already: what
matters now is to reproduce its samples (0.5-0.8 dB over the default, four clips); with x264's `_ROUNDED` they are
nearer still (0.3-0.4 dB, three clips).

x264, the source as its first pass, at the source's octets, ten shots, time beside a constant rate factor of the preset
that it would have had: veryfast -1.1 dB and 0.4, faster -0.1 and 0.8, fast with one reference 0.4 and 0.9, fast 0.5 and
1.1, medium 0.7 and 1.4, slow 0.9 and 2.1; at 1080p fast with one reference has 0.2-0.6 dB over faster in the same time.
So: medium up to `_SLOW_BELOW` pixels per second, where pictures cost little, then fast with one reference, and veryfast
beyond `_HUGE_ABOVE`.

x265 the same way, beside a constant rate factor of superfast, two shots of 1080p: superfast -0.3 dB and 0.8, veryfast
0.8 and 1.2, fast 0.9 and 1.6, medium 1.6 and 1.4, slow 1.9 and 3.8. So: medium, and veryfast beyond `_HUGE_ABOVE`. Its
quantiser follows the source's picture by picture (`qcomp=1`: 0.2 dB, of the worst picture 0.3). In one pass it places
B-frames with care at any size, since its fast presets do so blindly, and gives them the quantiser of the others.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from lipsmith.engine.media import clock, passlog
from lipsmith.engine.media.firstpass import MOST_BETWEEN, FirstPass
from lipsmith.engine.media.focus import VARYING, Focus
from lipsmith.engine.media.frame import Frame, side_data
from lipsmith.engine.media.priority import keeping_priority
from lipsmith.engine.media.spec import VideoSpec
from lipsmith.errors import UnsupportedVideo

_BUDGET = 1.1
_LEAST_BIT_RATE = 16_000  # bits per second: below it x264 sees none
_SHARE = 1.1  # of the octets of a run whose first pass is known: a little finer than the source
_AMPLE = 1.2  # times a run's own octets, from which on some may be left over
_TOLERANCE = 0.3  # of a second's bits, of which a picture may go astray (x264's `ratetol`)
_OPENING = 2.5
_ASTRAY = 1 / 6  # of a shot, whose bits FFmpeg's own rate control may be off by, at most a second's
# x264 rounds to the nearest quantiser step, nearly: what was decoded lies on the source's steps, and was weighed once.
_ROUNDED = "trellis=0:no-dct-decimate=1:deadzone-inter=6:deadzone-intra=6"
_SLOW_BELOW = 12e6  # pixels per second; 512x512 at 30 is 8e6
_HUGE_ABOVE = 110e6  # beyond 1080p50
_X264_HDR, _X265_HDR = ("mastering-display", "cll"), ("master-display", "max-cll")
_LOSSLESS = ("ffv1", "utvideo", "huffyuv", "ffvhuff", "magicyuv", "v210", "rawvideo", "qtrle", "png")
_ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp8": "libvpx",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "flv1": "flv",
    "prores": "prores_ks",
    **{same: same for same in ("mpeg4", "mpeg1video", "mpeg2video", "mjpeg", "dnxhd", "dvvideo", "cfhd")},
    **{same: same for same in _LOSSLESS},
}
_NEAREST = {"webm": "libvpx-vp9", "avi": "mpeg4", "mpeg": "mpeg2video"}  # libx264 elsewhere
_X264_PROFILES = {
    "Baseline": "baseline",
    "Constrained Baseline": "baseline",
    "Main": "main",
    "High": "high",
    "High 10": "high10",
    "High 4:2:2": "high422",
    "High 4:4:4 Predictive": "high444",
    "High 10 Intra": "high10",
    "High 4:2:2 Intra": "high422",
    "High 4:4:4 Intra": "high444",
}
_PRORES_PROFILES = {"Proxy": "0", "LT": "1", "Standard": "2", "HQ": "3", "4444": "4", "XQ": "5"}
# Mb/s for which DNxHD has a compression id at some size and rate (SMPTE ST 2019-1); DNxHR needs none.
_DNXHD_RATES = (36, 45, 60, 63, 75, 80, 90, 100, 110, 115, 120, 145, 175, 180, 185, 220, 240, 290, 350, 365, 390, 440)
_MPEG4_LARGEST_DENOMINATOR = 65535
_PROCESSOR = Path("/proc/cpuinfo")  # of Linux
_OF_TWO_PASSES = {"libx264", "libx265"}
_DEPTH_OF_ITS_OWN = {"prores_ks"}  # a stream tells no depth: 4444 is decoded at 12 bits and encoded from 10
_REORDERING = {"libx264", "libx265", "libsvtav1"}  # the others are run without B-frames
_REGULAR_TIME_ONLY = {"mpeg1video", "mpeg2video"}
_BY_FFMPEG = {"mpeg4", "mpeg1video", "mpeg2video", "flv"}  # one rate control for all of them
_RATE_FROM_TIME_BASE = {"mpeg4", "flv", "dnxhd"}  # their rate control takes one tick for one frame
_RATE_BY_QUANTIZER = {"prores_ks", "dvvideo", "cfhd", *_LOSSLESS}  # their profile or losslessness fixes the rate


@dataclass(frozen=True)
class VideoPlan:
    """How the pictures are written."""

    codec: str  # FFmpeg codec name
    encoder: str
    pix_fmt: str
    bit_rate: int  # bits per second asked of the encoder; 0 where its profile fixes it
    options: tuple[tuple[str, str], ...]
    differences: tuple[str, ...]

    @property
    def settings(self) -> str:
        """For reports: "libx264 2310 kb/s preset=faster tune=psnr"."""
        return " ".join(
            [self.encoder, f"{self.bit_rate // 1000} kb/s", *(f"{key}={value}" for key, value in self.options)]
        )


def plan_video(video: VideoSpec, container: str, picture: av.VideoFrame) -> VideoPlan:
    """Same codec where it can be written into `container` (muxer name), else the nearest. `picture`: the first frame.

    Raises UnsupportedVideo where no encoder takes this chroma format.
    """
    encoder = _ENCODERS.get(video.codec)
    if encoder is None or not _container_holds(container, encoder):
        encoder = _NEAREST.get(container, "libx264")
    codec = av.Codec(encoder, "w").canonical_name
    pix_fmt = _nearest_pix_fmt(encoder, video.pix_fmt)
    differences = []
    if codec != video.codec:
        differences.append(f"The pictures are {codec}; {video.codec} cannot be written into this container.")
    if pix_fmt != video.pix_fmt and encoder not in _DEPTH_OF_ITS_OWN:
        differences.append(f"The pixel format is {pix_fmt} instead of {video.pix_fmt}.")
    budget = 1.0 if encoder in _BY_FFMPEG else _BUDGET
    bit_rate = 0 if encoder in _RATE_BY_QUANTIZER else round(video.bit_rate_from_content * budget)
    options = _options(encoder, codec == video.codec, video, picture)
    if encoder == "dnxhd":
        bit_rate = _dnxhd_rate(video, options, pix_fmt)
    if container == "avi" and encoder in _REORDERING:
        options["bf"] = "0"  # AVI has no presentation times: frames must be stored in the order they are shown
    return VideoPlan(codec, encoder, pix_fmt, bit_rate, tuple(options.items()), tuple(differences))


class VideoEncoder:
    """The picture stream of an output."""

    def __init__(
        self,
        output: OutputContainer,
        plan: VideoPlan,
        video: VideoSpec,
        source: VideoStream,
        picture: av.VideoFrame,
        *,
        threads: int,
    ) -> None:
        """`source`: the stream as opened from the file; `picture`: its first frame, which carries rotation and HDR."""
        stream = output.add_stream(plan.encoder, rate=source.average_rate or video.frame_rate)
        assert isinstance(stream, VideoStream)
        self._source_base = video.time_base
        # AVI counts frames from 0; a later start is the demuxer's guess and would become an empty frame.
        self._earlier = video.start_pts if output.format.name == "avi" else 0
        self._encoder_base = _encoder_time_base(plan.encoder, video)
        # FFmpeg's own rate control takes a first picture that comes late for time in which bits were saved.
        late = plan.encoder in _BY_FFMPEG
        self._encoder_start = clock.rescale(video.start_pts, video.time_base, self._encoder_base) if late else 0
        self._times: dict[int, tuple[int, int]] = {}  # encoder's pts -> (pts, duration) in the source's time base
        self._last_pts: int | None = None
        self._focus = Focus(plan.encoder)
        self._reorders = plan.encoder in _REORDERING
        context = stream.codec_context
        _state_facts(context, plan, video, source.sample_aspect_ratio, _color_tags(source.codec_context))
        context.time_base = self._encoder_base
        share_work(context, threads)
        stream.time_base = video.time_base
        matrix = _display_matrix(picture)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        self.stream = stream

    def packets(self, frames: Iterable[Frame]) -> Iterator[av.Packet]:
        """All packets of these frames."""
        for frame in frames:
            yield from self.encode(frame)
        yield from self.encode(None)

    def encode(self, frame: Frame | None) -> Iterator[av.Packet]:
        """Packets that are ready after this frame, or with None the last ones; time stamps are the frames' own."""
        for packet in self.stream.encode(None if frame is None else self._stamped(frame)):
            yield self._restamped(packet)

    def _stamped(self, frame: Frame) -> av.VideoFrame:
        picture = self._focus.marked(frame)
        picture.pict_type = 0  # else the encoder would follow the source's pattern of I, P and B
        pts = clock.rescale(frame.pts, frame.time_base, self._encoder_base) - self._encoder_start
        if self._last_pts is not None:
            pts = max(pts, self._last_pts + 1)
        self._times[pts] = (clock.rescale(frame.pts, frame.time_base, self._source_base), picture.duration)
        self._last_pts = pts
        picture.time_base = self._encoder_base
        picture.pts = pts
        return picture

    def _restamped(self, packet: av.Packet) -> av.Packet:
        assert packet.pts is not None
        pts, duration = self._times.pop(packet.pts)
        packet.stream = self.stream
        dts = pts
        if self._reorders and packet.dts is not None:
            dts = clock.rescale(packet.dts, self._encoder_base, self._source_base)
        packet.time_base = self._source_base
        packet.pts, packet.dts = pts - self._earlier, min(dts, pts) - self._earlier
        if duration:
            packet.duration = duration
        return packet


@dataclass
class RunEncoders:
    """Encoders for runs of GOPs that go between copied ones, all with the same parameter sets."""

    plan: VideoPlan
    video: VideoSpec
    rate: Fraction
    sample_aspect: Fraction | None
    color: tuple[int, int, int, int]  # range, matrix, primaries, transfer as the source states them
    threads: int
    reorder: int = 0  # how deep pictures may be reordered
    parameter_id: int = 0  # of SPS and PPS, where the encoder can be told
    approve: Callable[[bytes], None] = lambda _headers: None  # raises for headers that do not fit the file's

    @classmethod
    def of(cls, plan: VideoPlan, video: VideoSpec, source: VideoStream, threads: int, reorder: int = 0) -> RunEncoders:
        rate = source.average_rate or video.frame_rate
        colors = _color_tags(source.codec_context)
        return cls(plan, video, rate, source.sample_aspect_ratio, colors, threads, reorder)

    @property
    def takes_first_pass(self) -> bool:
        """Can the encoder be told what another one did?"""
        return self.plan.encoder in _OF_TWO_PASSES

    def headers(self) -> bytes:
        """The parameter sets with start codes."""
        return self.open(1, 1).extradata or b""

    def open(self, octets: int, frames: int, told: FirstPass | None = None) -> VideoCodecContext:
        """An encoder for a run of so many frames that took `octets` in the source. `told`: what its encoder did."""
        context = self._context()
        context.flags |= Flags.global_header
        if self.plan.encoder == "dnxhd":
            context.bit_rate = self.plan.bit_rate
        elif told is not None:
            context.bit_rate = max(round(_SHARE * told.allowed * 8 / told.seconds), _LEAST_BIT_RATE)
            if told.allowed > _AMPLE * int(told.octets.sum()):
                context.qmin = told.finest
        elif self.plan.bit_rate:
            context.bit_rate = max(round(octets * 8 * self.rate / frames * _BUDGET), _LEAST_BIT_RATE)
        storing = nullcontext() if told is None else passlog.stored(told, self.plan.encoder, self.rate, self.reorder)
        with storing as path, keeping_priority():
            context.options = {**dict(self.plan.options), **self._options(path)}
            context.open()
        self.approve(context.extradata or b"")
        return context

    def _context(self) -> VideoCodecContext:
        context = av.CodecContext.create(self.plan.encoder, "w")
        assert isinstance(context, VideoCodecContext)
        _state_facts(context, self.plan, self.video, self.sample_aspect, self.color)
        context.framerate, context.time_base = self.rate, _encoder_time_base(self.plan.encoder, self.video)
        context.bit_rate = 0
        share_work(context, self.threads)
        return context

    @property
    def _between(self) -> int:
        """B-frames in a row; it is in the parameter sets."""
        return MOST_BETWEEN * bool(self.reorder)

    def _options(self, first_pass: Path | None) -> dict[str, str]:
        if self.plan.encoder == "libx264":
            kept = without_zones(dict(self.plan.options).get("x264-params", ""))
            keyint = "" if "keyint=1" in kept.split(":") else ":keyint=infinite"
            own = f"{kept}:sps-id={self.parameter_id}:stitchable=1{keyint}".lstrip(":")
            pyramid = "normal" if self.reorder > 1 else "none"
            depth = {"bf": str(self._between), "b-pyramid": pyramid}
            statistics = {}
            if first_pass is not None:
                own += f":pass=2:mbtree=0:ratetol={_TOLERANCE}"
                statistics = {"stats": str(first_pass)}
            return {"x264-params": own, "forced-idr": "1", "a53cc": "0", **depth, **statistics}
        if self.plan.encoder == "libx265":
            kept = without_zones(dict(self.plan.options).get("x265-params", ""))
            frames = f"bframes={self._between}:b-adapt=0:b-pyramid={int(self.reorder > 1)}:keyint=-1:open-gop=0"
            own = f"{kept}:{frames}:scenecut=0:weightp=1:cutree=0:qcomp=1:pbratio=1.3:info=0:repeat-headers=0"
            if first_pass is not None:
                own += f":pass=2:stats={_escaped(str(first_pass))}"
            return {"x265-params": own, "forced-idr": "1", "a53cc": "0"}
        return {}


def _escaped(value: str) -> str:
    """As a value among FFmpeg's `key=value:key=value`."""
    return re.sub(r"([\\:'])", r"\\\1", value)


def without_zones(parameters: str) -> str:
    """Of x264 or x265, without what is said of the first second."""
    return re.sub(r"zones=[^:]*:?", "", parameters)


def _container_holds(container: str, encoder: str) -> bool:
    if container == "mpeg":  # its muxer refuses nothing and fails later
        return encoder in {"mpeg1video", "mpeg2video"}
    with av.open(io.BytesIO(), "w", format=container) as trial:
        try:
            trial.add_stream(encoder)
        except ValueError:
            return False
    return True


def _nearest_pix_fmt(encoder: str, pix_fmt: str) -> str:
    """The same, else the same chroma at the greatest depth. Raises UnsupportedVideo."""
    offered = [offer.name for offer in av.Codec(encoder, "w").video_formats or ()]
    if pix_fmt in offered or encoder == "rawvideo":
        return pix_fmt
    kind = re.sub(r"\d+le$", "", pix_fmt.replace("yuvj", "yuv"))
    alike = [offer for offer in offered if re.sub(r"\d+le$", "", offer.replace("yuvj", "yuv")) == kind]
    if alike:
        return max(alike, key=lambda offer: av.VideoFormat(offer).components[0].bits)
    if not offered:
        raise UnsupportedVideo(f"{encoder} takes no pictures of the format {pix_fmt}.")
    return offered[0]


def _options(encoder: str, same_codec: bool, video: VideoSpec, picture: av.VideoFrame) -> dict[str, str]:
    """What the encoder is told besides bit rate and the facts of the stream."""
    load = video.width * video.height * float(video.frame_rate)
    small = load < _SLOW_BELOW
    told = [f"zones=0,{round(video.frame_rate)},b={_OPENING}", VARYING]
    if encoder == "libx264":
        told.append(_ROUNDED)
        profile = _X264_PROFILES.get(video.profile or "") if same_codec else None
        intra = ["keyint=1"] if (video.profile or "").endswith("Intra") else []
        alone = [] if small or load > _HUGE_ABOVE else ["ref=1"]
        return {
            "preset": "medium" if small else "veryfast" if load > _HUGE_ABOVE else "fast",
            "tune": "psnr",
            "x264-params": ":".join([*told, *intra, *alone, *_steady(), *_hdr_parameters(picture, _X264_HDR)]),
            **({"profile": profile} if profile else {}),
        }
    if encoder == "libx265":
        parameters = ["log-level=error", *told, "b-adapt=2", "pbratio=1", *_hdr_parameters(picture, _X265_HDR)]
        if video.interlaced:  # each picture is a field
            parameters.append("interlace=tff")
        if same_codec and video.level:
            parameters.append(f"level-idc={video.level / 30:g}")  # HEVC counts levels in thirtieths
        preset = "veryfast" if load > _HUGE_ABOVE else "medium"
        return {"preset": preset, "tune": "psnr", "x265-params": ":".join(parameters)}
    if encoder == "libsvtav1":
        hdr = ":".join(_hdr_parameters_av1(picture))
        return {"preset": "9", **({"svtav1-params": hdr} if hdr else {})}
    return _other_options(encoder, video)


@cache
def _steady() -> tuple[str, ...]:
    """x264's macroblock tree in AVX-512 gives another stream in every run (docs/log.md): there it does with AVX2."""
    try:
        wide = "avx512" in _PROCESSOR.read_text()
    except OSError:
        wide = False
    return ("asm=avx2",) if wide else ()


def _other_options(encoder: str, video: VideoSpec) -> dict[str, str]:
    if encoder == "libvpx-vp9":
        return {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "lag-in-frames": "0"}
    if encoder == "prores_ks":
        return {"profile": _PRORES_PROFILES.get(video.profile or "", "3"), "vendor": "apl0"}
    if encoder == "dnxhd":
        return {"profile": (video.profile or "dnxhd").lower().replace(" ", "_")}
    if encoder == "mjpeg":
        return {"huffman": "optimal"}
    if encoder in _BY_FFMPEG:
        finest = {"qmin": "1", "lmin": "1", "mblmin": "1"}  # FFmpeg's own limit is 2
        astray = video.bit_rate_from_content * min(video.duration_seconds_from_content * _ASTRAY, 1)
        return {"mbd": "rd", "trellis": "1", "bf": "0", **finest, "bt": f"{astray:.0f}"}
    return {}


def _color_tags(context: VideoCodecContext) -> tuple[int, int, int, int]:
    return context.color_range, context.colorspace, context.color_primaries, context.color_trc


def _dnxhd_rate(video: VideoSpec, options: dict[str, str], pix_fmt: str) -> int:
    """The rate, nearest to the source's, that names a DNxHD compression; 0 for DNxHR."""
    if options["profile"] != "dnxhd":
        return 0
    nearest = sorted(_DNXHD_RATES, key=lambda rate: abs(rate * 1e6 - video.bit_rate_from_content))
    for rate in nearest:
        context = av.CodecContext.create("dnxhd", "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = video.width, video.height, pix_fmt
        context.framerate, context.time_base = video.frame_rate, 1 / video.frame_rate
        context.bit_rate, context.options = rate * 1_000_000, dict(options)
        if video.interlaced:
            context.flags |= Flags.interlaced_dct
        try:
            context.open()
        except av.FFmpegError:
            continue
        return rate * 1_000_000
    raise UnsupportedVideo(f"DNxHD has no compression for {video.width}x{video.height} at this rate; convert to DNxHR.")


def _state_facts(
    context: VideoCodecContext,
    plan: VideoPlan,
    video: VideoSpec,
    sample_aspect: Fraction | None,
    color: tuple[int, int, int, int],
) -> None:
    """Everything that the stream says of itself, as the source says it."""
    context.width, context.height = video.width, video.height
    context.pix_fmt = plan.pix_fmt
    if plan.bit_rate:
        context.bit_rate = plan.bit_rate
    # The container's, where it tells one: it may be finer than a bitstream can say, and encoders round it themselves.
    context.sample_aspect_ratio = sample_aspect or Fraction(0, 1)
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = color
    if video.level is not None and plan.codec == video.codec and plan.encoder in {"libx264", "mpeg4"}:
        context.level = video.level
    if video.interlaced:
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
    context.options = dict(plan.options)


def share_work(context: VideoCodecContext, threads: int) -> None:
    """x264 makes several pictures at once: in slices of one, PyAV's default, it is slower and up to 0.3 dB worse."""
    context.thread_count = threads
    if context.name == "libx264":
        context.thread_type = "FRAME"


def _encoder_time_base(encoder: str, video: VideoSpec) -> Fraction:
    """The source's, unless the codec has no room for it or its rate control no use; stamps are put back afterwards."""
    if encoder in _REGULAR_TIME_ONLY or (encoder in _RATE_FROM_TIME_BASE and not video.variable_rate):
        return 1 / video.frame_rate
    too_fine = encoder == "mpeg4" and video.time_base.denominator > _MPEG4_LARGEST_DENOMINATOR
    return Fraction(1, 1000) if too_fine else video.time_base


def _display_matrix(picture: av.VideoFrame) -> tuple[int, ...] | None:
    data = side_data(picture, "DISPLAYMATRIX")
    return None if data is None else struct.unpack("=9i", data[:36])


def _hdr_parameters(picture: av.VideoFrame, names: tuple[str, str]) -> Iterator[str]:
    """x264's and x265's words for static HDR: chromaticities in units of 0.00002, luminance in 0.0001 cd/m2."""
    if values := _mastering(picture):
        rx, ry, gx, gy, bx, by, wx, wy = (round(value * 50_000) for value in values[:8])
        darkest, brightest = (round(value * 10_000) for value in values[8:])
        yield f"{names[0]}=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({brightest},{darkest})"
    if light := side_data(picture, "CONTENT_LIGHT_LEVEL"):
        yield f"{names[1]}={{}},{{}}".format(*struct.unpack("=2I", light[:8]))


def _hdr_parameters_av1(picture: av.VideoFrame) -> Iterator[str]:
    """SVT-AV1's words for the same: decimals."""
    if values := _mastering(picture):
        rx, ry, gx, gy, bx, by, wx, wy, darkest, brightest = (f"{float(value):.6g}" for value in values)
        yield f"mastering-display=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({brightest},{darkest})"
    if light := side_data(picture, "CONTENT_LIGHT_LEVEL"):
        yield "content-light={},{}".format(*struct.unpack("=2I", light[:8]))


def _mastering(picture: av.VideoFrame) -> list[Fraction]:
    """Red, green, blue and white (x, y), darkest, brightest (AVMasteringDisplayMetadata); empty if not told."""
    data = side_data(picture, "MASTERING_DISPLAY_METADATA")
    if data is None:
        return []
    numbers = struct.unpack("=20i", data[:80])
    return [Fraction(*pair) if pair[1] else Fraction(0) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
