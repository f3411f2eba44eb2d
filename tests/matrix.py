"""Every kind of file that a customer may bring, made small by code, and what becomes of each in a dub.

`CASES` is the list; `fate` puts one through the media layer (two of its frames edited, the rest not) and tells what was
kept; `page` writes docs/formats.md of it all. `python -m tests.matrix` writes that page anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from tests import synthetic
from tests.synthetic import Look, Track, movie

from lipsmith.engine.media import color, decode, mux, splice
from lipsmith.engine.media.frame import Box, Frame
from lipsmith.engine.media.probe import probe, require_video
from lipsmith.engine.media.soundtrack import Voice
from lipsmith.engine.media.spec import MediaSpec
from lipsmith.engine.quality import conformance, files

PAGE = Path(__file__).parent.parent / "docs" / "formats.md"
MS, TICKS, NTSC = Fraction(1, 1000), Fraction(1, 90_000), Fraction(1, 30_000)
PCM, OPUS = (Track("pcm_s16le"),), (Track("libopus"),)
QUIET = "log-level=error"
BT601, BT709, BT2020 = (1, 6, 6, 6), (1, 1, 1, 1), (1, 9, 9, 1)
PQ, HLG = (1, 9, 9, 16), (1, 9, 9, 18)
MASTERING = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
MASTERING_264 = MASTERING.replace("master-display", "mastering-display").replace("max-cll", "cll")
MASTERING_AV1 = (
    "mastering-display=G(0.265,0.69)B(0.15,0.06)R(0.68,0.32)WP(0.3127,0.329)L(1000.0,0.0001):content-light=1000,400"
)
EDITED = (2, 3)
SQUARE = Box(32, 32, 64, 64)  # that is darkened


@dataclass(frozen=True)
class Case:
    """One kind of file."""

    name: str  # with the suffix
    look: Look
    tracks: tuple[Track, ...] = (Track(),)
    movie: dict[str, object] = field(default_factory=dict)  # further arguments of `synthetic.movie`

    def make(self, folder: Path, pictures: Callable[[Look], Iterable[object]] | None = None) -> Path:
        return movie(folder / self.name, self.look, self.tracks, **self.movie)  # type: ignore[arg-type]


def x264(**given: object) -> Look:
    options = {"g": "10", **given.pop("options", {})}  # type: ignore[dict-item]
    return Look(frames=30, options=options, **given)  # type: ignore[arg-type]


def x265(parameters: str = "", **given: object) -> Look:
    options = {"x265-params": ":".join(filter(None, (QUIET, "keyint=10:min-keyint=10", parameters)))}
    return Look("libx265", frames=30, options=options, **given)  # type: ignore[arg-type]


def prores(profile: int, pix_fmt: str, **given: object) -> Look:
    options = {"profile": str(profile), "vendor": "apl0"}
    return Look("prores_ks", frames=12, pix_fmt=pix_fmt, bit_rate=0, options=options, **given)  # type: ignore[arg-type]


def dnxhr(profile: str, pix_fmt: str, **given: object) -> Look:
    shape = {"width": 256, "height": 144, "time_base": Fraction(1, 25), **given}
    return Look("dnxhd", frames=12, pix_fmt=pix_fmt, bit_rate=0, options={"profile": profile}, **shape)  # type: ignore[arg-type]


def vp9(**given: object) -> Look:
    options = {"deadline": "realtime", "cpu-used": "8", "g": "10"}
    return Look("libvpx-vp9", frames=30, options=options, **{"time_base": MS, **given})  # type: ignore[arg-type]


def av1(parameters: str = "", **given: object) -> Look:
    options = {"preset": "10", "g": "10", **({"svtav1-params": parameters} if parameters else {})}
    return Look("libsvtav1", frames=30, options=options, **given)  # type: ignore[arg-type]


def intra(encoder: str, pix_fmt: str, **given: object) -> Look:
    shape = {"time_base": Fraction(1, 25), "bit_rate": 0, **given}
    return Look(encoder, frames=12, pix_fmt=pix_fmt, **shape)  # type: ignore[arg-type]


def variable(step: int, frames: int = 30) -> list[int]:
    return np.cumsum([0, *[step * (2, 4, 3, 2, 8)[i % 5] // 2 for i in range(frames - 1)]]).tolist()


RATES = tuple(
    (name, Fraction(rate))
    for name, rate in (
        ("23.976", "24000/1001"),
        ("29.97", "30000/1001"),
        ("59.94", "60000/1001"),
        ("50", "50"),
        ("60", "60"),
    )
)
SD_INTERLACED = Look(
    "mpeg2video", 720, 576, "yuv420p", frames=20, time_base=Fraction(1, 25), bit_rate=4_000_000, interlaced=True,
    options={"bf": "0", "g": "10"},
)  # fmt: skip
HD_INTERLACED = Look(
    "dnxhd", 1920, 1080, "yuv422p", frames=8, time_base=Fraction(1, 25), bit_rate=120_000_000, interlaced=True
)
XDCAM = Look(
    "mpeg2video", 1920, 1080, "yuv422p", frames=13, time_base=Fraction(1, 25), bit_rate=20_000_000, interlaced=True,
    options={"bf": "2", "g": "12"},
)  # fmt: skip
HDR_264 = x264(pix_fmt="yuv420p10le", color=PQ, options={"x264-params": MASTERING_264})
DROPPING = {"tags": {"timecode": "01:00:00;00"}}
ATTACHED = (("font.ttf", "application/x-truetype-font", bytes(500)), ("cover.png", "image/png", synthetic.cover()))
UHD_8K = {"width": 7680, "height": 4320, "frames": 4, "bit_rate": 8_000_000}
MANY = {"subtitles": ("a", "b"), "chapters": ((0, 0.5, "one"), (0.5, 1, "two"))}

CASES: tuple[Case, ...] = (
    # H.264
    Case("h264 8-bit 4-2-0.mp4", x264()),
    Case("h264 8-bit 4-2-2.mov", x264(pix_fmt="yuv422p")),
    Case("h264 8-bit 4-4-4.mkv", x264(pix_fmt="yuv444p", time_base=MS)),
    Case("h264 10-bit 4-2-0.mp4", x264(pix_fmt="yuv420p10le")),
    Case("h264 10-bit 4-2-2.mov", x264(pix_fmt="yuv422p10le"), PCM),
    Case("h264 10-bit 4-4-4.mkv", x264(pix_fmt="yuv444p10le", time_base=MS)),
    Case("h264 all intra 10-bit.mxf", x264(pix_fmt="yuv422p10le", time_base=Fraction(1, 25), options={"g": "1"}), PCM),
    Case("h264 baseline.mp4", x264(options={"profile": "baseline"})),
    Case("h264 main.ts", x264(options={"profile": "main"}, time_base=TICKS)),
    Case("h264 open GOP.mp4", x264(options={"x264-params": "open-gop=1:keyint=10"})),
    Case("h264 interlaced.mp4", x264(height=128, options={"x264-params": "interlaced=1:tff=1"})),
    Case("h264.3gp", x264(width=176, height=144), (Track("aac", "mono"),)),
    Case("h264.avi", x264(time_base=Fraction(1, 25), options={"bf": "0"}), (Track("ac3"),)),
    Case("h264.flv", x264(time_base=MS)),
    # HEVC
    Case("hevc 8-bit.mp4", x265(codec_tag="hvc1")),
    Case("hevc 10-bit.mp4", x265(pix_fmt="yuv420p10le", codec_tag="hvc1")),
    Case("hevc 10-bit 4-2-2.mov", x265(pix_fmt="yuv422p10le", codec_tag="hvc1"), PCM),
    Case("hevc 12-bit 4-4-4.mkv", x265(pix_fmt="yuv444p12le", time_base=MS)),
    Case("hevc in-band parameters.mp4", x265(codec_tag="hev1")),
    Case("hevc closed GOP.mkv", x265("open-gop=0", time_base=MS)),
    Case("hevc.ts", x265(time_base=TICKS)),
    Case("hevc PQ with mastering display.mp4", x265(MASTERING, pix_fmt="yuv420p10le", color=PQ, codec_tag="hvc1")),
    Case("hevc HLG.mp4", x265(pix_fmt="yuv420p10le", color=HLG, codec_tag="hvc1")),
    Case("hevc RGB.mkv", x265(pix_fmt="gbrp", time_base=MS, color=(2, 0, 1, 1))),
    # Intermediate codecs
    Case("prores proxy.mov", prores(0, "yuv422p10le"), PCM),
    Case("prores LT.mov", prores(1, "yuv422p10le"), PCM),
    Case("prores 422.mov", prores(2, "yuv422p10le"), PCM),
    Case("prores HQ.mov", prores(3, "yuv422p10le"), PCM),
    Case("prores HQ.mxf", prores(3, "yuv422p10le", width=256, height=144, time_base=Fraction(1, 25)), PCM),
    Case("prores 4444.mov", prores(4, "yuv444p10le"), PCM),
    Case("prores 4444 with alpha.mov", prores(4, "yuva444p10le"), PCM),
    Case("prores 4444 XQ with alpha.mov", prores(5, "yuva444p10le"), PCM),
    Case("dnxhr LB.mov", dnxhr("dnxhr_lb", "yuv422p"), PCM),
    Case("dnxhr SQ.mxf", dnxhr("dnxhr_sq", "yuv422p"), PCM),
    Case("dnxhr HQ.mov", dnxhr("dnxhr_hq", "yuv422p"), PCM),
    Case("dnxhr HQX 10-bit.mxf", dnxhr("dnxhr_hqx", "yuv422p10le"), PCM),
    Case("dnxhr 444.mov", dnxhr("dnxhr_444", "yuv444p10le"), PCM),
    Case("dnxhd 120.mov", Look("dnxhd", 1920, 1080, "yuv422p", frames=8, bit_rate=120_000_000), PCM),
    Case("cineform.mov", intra("cfhd", "yuv422p10le"), PCM),
    Case("v210.mov", intra("v210", "yuv422p10le"), PCM),
    Case("uncompressed uyvy.mov", intra("rawvideo", "uyvy422"), PCM),
    Case("ffv1.mkv", intra("ffv1", "yuv420p"), (Track("flac"),)),
    Case("ffv1 16-bit 4-4-4.mkv", intra("ffv1", "yuv444p16le"), (Track("flac"),)),
    Case("ffv1 with alpha.mkv", intra("ffv1", "yuva420p"), (Track("flac"),)),
    Case("utvideo.avi", intra("utvideo", "yuv422p"), PCM),
    Case("huffyuv.avi", intra("huffyuv", "yuv422p"), PCM),
    Case("png.mov", intra("png", "rgb24"), PCM),
    Case("animation with alpha.mov", intra("qtrle", "argb"), PCM),
    Case("mjpeg.avi", intra("mjpeg", "yuvj420p", bit_rate=2_000_000), PCM),
    Case("mjpeg 4-2-2.mov", intra("mjpeg", "yuvj422p", bit_rate=2_000_000), PCM),
    Case("dv PAL.mov", intra("dvvideo", "yuv420p", width=720, height=576), PCM),
    # Delivery codecs of the web and of old
    Case("vp8.webm", Look("libvpx", frames=30, time_base=MS, options={"g": "10", "deadline": "realtime"}), OPUS),
    Case("vp9.webm", vp9(), OPUS),
    Case("vp9 4-4-4.webm", vp9(pix_fmt="yuv444p"), OPUS),
    Case("vp9 with alpha.webm", vp9(pix_fmt="yuva420p"), OPUS),
    Case("vp9.mp4", vp9(time_base=Fraction(1, 12_800))),
    Case("av1.mp4", av1()),
    Case("av1 10-bit PQ.mp4", av1(MASTERING_AV1, pix_fmt="yuv420p10le", color=PQ)),
    Case("av1.webm", av1(time_base=MS), OPUS),
    Case("mpeg-4.avi", Look("mpeg4", frames=30, time_base=Fraction(1, 25)), (Track("libmp3lame", "mono"),)),
    Case("mpeg-4.mp4", Look("mpeg4", frames=30)),
    Case("mpeg-2.ts", Look("mpeg2video", frames=30, time_base=Fraction(1, 25), options={"bf": "0"}), (Track("mp2"),)),
    Case("mpeg-2.mpg", Look("mpeg2video", frames=30, time_base=Fraction(1, 25), options={"bf": "0"}), (Track("mp2"),)),
    Case("mpeg-1.mpg", Look("mpeg1video", 176, 144, frames=30, time_base=Fraction(1, 25)), (Track("mp2"),)),
    # Time
    *(Case(f"h264 {name} per second.mp4", x264(frame_rate=rate, time_base=1 / (rate * 512))) for name, rate in RATES),
    Case("h264 variable rate.mp4", x264(pts=variable(512))),
    Case("h264 variable rate.mkv", x264(time_base=MS, pts=variable(20))),
    Case("vp9 variable rate.webm", vp9(pts=variable(20)), OPUS),
    Case("h264 late start.mp4", x264(pts=[1024 + 512 * number for number in range(30)])),
    Case("h264 edit list.mp4", x264(pts=[512 * (number - 4) for number in range(30)])),
    Case("prores timecode.mov", prores(2, "yuv422p10le"), PCM, {"tags": {"timecode": "10:00:00:00"}}),
    # Picture
    *(Case(f"h264 turned by {turn}.mp4", x264(rotation_degrees=turn)) for turn in (90, 180, 270)),
    Case("h264 anamorphic.mp4", x264(sample_aspect=Fraction(16, 11))),
    Case("h264 full range.mp4", x264(pix_fmt="yuvj420p", color=(2, 6, 6, 6))),
    Case("h264 BT.601.mp4", x264(color=BT601)),
    Case("h264 BT.2020.mov", x264(pix_fmt="yuv420p10le", color=BT2020)),
    Case("h264 nothing said of colour.mp4", x264(color=(0, 2, 2, 2))),
    Case("h264 odd size.mp4", x264(width=161, height=97, pix_fmt="yuv444p")),
    Case("h264 256x144.mp4", x264(width=256, height=144)),
    Case("h264 7680x4320.mp4", Look(**UHD_8K, options={"preset": "ultrafast", "g": "2"})),  # type: ignore[arg-type]
    Case("h264 PQ with mastering display.mp4", HDR_264),
    # Interlaced
    Case("hevc interlaced.mp4", x265("interlace=tff")),
    Case("prores interlaced.mov", prores(3, "yuv422p10le", height=128, interlaced=True), PCM),
    Case("dnxhd interlaced.mxf", HD_INTERLACED, PCM),
    Case("mpeg-2 interlaced.ts", SD_INTERLACED, (Track("mp2"),)),
    Case("mpeg-2 4-2-2 interlaced, four mono tracks.mxf", XDCAM, 4 * (Track("pcm_s24le", "mono"),)),
    # Sound and other streams
    Case("two sounds, subtitles, chapters.mkv", x264(time_base=MS), (Track(), Track("libopus", language="fra")), MANY),
    Case("two sounds, subtitles, chapters.mov", x264(), (Track(), Track("aac", "mono", "spa")), MANY),
    Case("5.1 sound.mp4", x264(), (Track("aac", "5.1"),)),
    Case("no sound.mp4", x264(), ()),
    Case("drop-frame timecode.mov", x264(frame_rate=RATES[1][1], time_base=NTSC), PCM, DROPPING),
    Case("a font and a cover.mkv", x264(time_base=MS), (Track(),), {"attachments": ATTACHED}),
    Case("fragmented.mp4", x264(), (Track(),), {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
)  # fmt: skip


@dataclass(frozen=True)
class Fate:
    """What became of one file."""

    case: Case
    spec: MediaSpec
    copied: int  # pictures that came back as packets
    why_all_encoded: str
    told: tuple[str, ...]  # what the writer says it could not keep
    verdict: files.FileVerdict


def fate(case: Case, folder: Path, voice: Voice) -> Fate:
    source = case.make(folder)
    spec = probe(source)
    out = folder / f"dub {source.name}"
    stamps = np.array([frame.pts for frame in decode.frames(spec)])
    plan = mux.plan_splice(spec, out, stamps, np.array(EDITED))
    excerpt = plan.excerpt if isinstance(plan, splice.SplicePlan) else None
    frames = edited(decode.frames(spec, excerpt))
    report = mux.rewrite(spec, out, frames, [voice], splice=plan)
    copied = report.frames - report.frames_encoded
    verdict = files.check_files(source, out)
    return Fate(case, spec, copied, report.why_all_encoded, report.differences, verdict)


def edited(
    frames: Iterable[Frame], chosen: Container[int] = EDITED, focus: Callable[[Frame], Box] = lambda _: SQUARE
) -> Iterator[Frame]:
    """A square of the chosen frames is darkened, in the frame's own samples; `focus` is where a viewer then looks."""
    matte = np.ones((SQUARE.height, SQUARE.width), np.float32)
    for frame in frames:
        if frame.index not in chosen:
            yield frame
            continue
        color.write_codes(frame, SQUARE, color.read_codes(frame, SQUARE) // 2, matte)
        yield replace(frame, focus=(focus(frame),))


def page(fates: Iterable[Fate]) -> str:
    return "".join(_lines(fates))


def _lines(fates: Iterable[Fate]) -> Iterator[str]:
    yield _HEAD
    for one in fates:
        video = require_video(one.spec)
        why = one.why_all_encoded or "It is one group of pictures."
        pictures = "untouched GOPs copied" if one.copied else f"all encoded anew: {why}"
        not_kept = [*one.told, *map(_in_words, one.verdict.differences)]
        first = f"{video.codec} {video.profile or ''}".strip()
        yield f"| {one.case.name} | {first}, {video.pix_fmt} | {pictures} | {'; '.join(not_kept) or 'nothing'} |\n"


def _in_words(difference: conformance.Difference) -> str:
    if difference.code == "video_bit_rate":  # its figure is the encoder's own affair and not always the same
        return difference.what
    return f"{difference.what}: {difference.source or '-'} → {difference.dub}"


_HEAD = """# Formats

Made by `tests/matrix.py`, not by hand: each line is a small file that was made, given new sound and two edited
pictures, and compared with its source. The comparison covers container, codec, tag, profile, level, size, pixel format,
colour description, mastering display and light level, rate, every time stamp, aspect, rotation, interlacing, all tags
and chapters, and by hash the packets of every other stream; of the pictures every packet, every sample, captions,
dynamic HDR and transparency.

"Untouched GOPs copied": groups of pictures without an edited frame are the source's packets, bit for bit.

| file | pictures | how they are written | what is not as in the source |
|---|---|---|---|
"""


def all_fates(folder: Path) -> Iterator[Fate]:
    voice = Voice(synthetic.wav(folder / "voice.wav", synthetic.tone(0.8)))
    for case in CASES:
        yield fate(case, folder, voice)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        PAGE.write_text(page(all_fates(Path(name))))
