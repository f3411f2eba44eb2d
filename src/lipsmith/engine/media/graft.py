"""The picture stream of a spliced output: the source's packets, with some runs of GOPs encoded anew in their place.

Takes a `SplicePlan` and the edited frames of its runs, gives packets in decoding order. What is copied is copied bit
for bit. Every run has an encoder of its own and begins with a keyframe; it is written so that a player may begin at
any keyframe of the file, copied or encoded (`nal` tells how).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Literal

import av
from av.container import InputContainer, OutputContainer
from av.packet import PacketSideData
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from lipsmith.engine.media import clock, decode, nal
from lipsmith.engine.media import quantiser as quantisers
from lipsmith.engine.media.encode import RunEncoders, VideoPlan
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.gops import Excerpt
from lipsmith.engine.media.probe import open_input, video_stream
from lipsmith.engine.media.probe import packets as demuxed
from lipsmith.engine.media.quantiser import Budget, Matching, Sample
from lipsmith.engine.media.spec import MediaSpec, VideoSpec
from lipsmith.engine.media.splice import NotSpliceable, Run, SplicePlan
from lipsmith.errors import BrokenMedia

_WITH_UNITS = ("h264", "hevc")
_ALPHA: Literal["matroska_block_additional"] = "matroska_block_additional"


def require_parameters(source: InputContainer, video: VideoSpec, plan: VideoPlan) -> None:
    """Can our parameter sets stand beside the source's? Raises NotSpliceable."""
    stream = video_stream(source, video.stream_index)
    if video.codec in _WITH_UNITS:
        _Units.of(stream, video, RunEncoders.of(plan, video, stream, threads=1))


@dataclass(frozen=True)
class _Beside:
    """What came with a packet of the source besides the colours of its picture: the dub does not change it."""

    notes: tuple[bytes, ...]  # units: captions, dynamic HDR, Dolby Vision
    alpha: PacketSideData | None  # VP8 and VP9 carry transparency as a second picture beside the first


class SplicedVideo:
    """Packets of one output's picture stream."""

    def __init__(
        self,
        output: OutputContainer,
        source: MediaSpec,
        video: VideoSpec,
        stream: VideoStream,
        plan: VideoPlan,
        splice: SplicePlan,
        *,
        threads: int,
    ) -> None:
        """`stream`: the picture stream as opened from the source. Raises NotSpliceable."""
        self._source, self._video, self._splice = source, video, splice
        self._threads = threads
        self._encoders = RunEncoders.of(plan, video, stream, threads, splice.reorder)
        self._budget = Budget.of(splice.index, splice.replaced)
        self._matching = Matching()
        self._units = _Units.of(stream, video, self._encoders) if video.codec in _WITH_UNITS else None
        self.stream = output.add_stream_from_template(stream, opaque=True)
        self.stream.time_base = video.time_base
        context = self.stream.codec_context
        # The container's, where it tells one: it may be finer than a bitstream can say.
        context.sample_aspect_ratio = stream.sample_aspect_ratio or Fraction(0, 1)
        context.framerate = stream.average_rate or video.frame_rate
        if self._units is not None:
            context.extradata = self._units.extradata

    def packets(self, frames: Iterable[Frame]) -> Iterator[av.Packet]:
        """All packets; `frames` are those of the plan's runs, in order. Raises BrokenMedia where one is missing."""
        edited = iter(frames)
        runs = {run.first: run for run in self._splice.runs}
        with open_input(self._source.path) as container:
            packets = demuxed(container, video_stream(container, self._video.stream_index))
            numbered = enumerate(packet for packet in packets if packet.size)
            for position, packet in numbered:
                run = runs.get(position)
                if run is None:
                    yield self._copied(position, packet)
                    continue
                beside = {packet.pts: self._beside(packet)}
                kept: list[av.Packet] = []  # the keyframe whose leading pictures belong to the run
                while len(beside) < run.packets:
                    position, packet = next(numbered)
                    if self._splice.replaced[position]:
                        beside[packet.pts] = self._beside(packet)
                    else:
                        kept.append(self._copied(position, packet))
                if run.frames:
                    yield from self._encoded(run, edited, beside)
                yield from kept

    def _copied(self, position: int, packet: av.Packet) -> av.Packet:
        packet.dts = int(self._splice.index.dts[position])
        packet.stream = self.stream
        return packet

    def _beside(self, packet: av.Packet) -> _Beside:
        alpha = PacketSideData.from_packet(packet, _ALPHA) if packet.has_sidedata(_ALPHA) else None
        return _Beside(() if self._units is None else self._units.notes(packet), alpha)

    def _encoded(self, run: Run, frames: Iterator[Frame], beside: dict[int | None, _Beside]) -> Iterator[av.Packet]:
        """The run's packets, each with its frame's time stamp and the source's next decoding time."""
        context = self._encoders.open(run.octets, len(run.frames), self._rate_factor(run))
        if self._units is not None:
            self._units.require_ours(context.extradata or b"")
        times: dict[int, tuple[int, int]] = {}  # the encoder's time stamp -> the frame's (time stamp, duration)
        packets = _encode(context, self._of_run(run, frames), run.keyframes, times)
        done = octets = 0
        for done, packet in enumerate(packets, 1):
            assert packet.pts is not None
            pts, duration = times.pop(packet.pts)
            placed = self._framed(packet, run, done - 1, beside[pts])
            placed.stream, placed.time_base = self.stream, self._video.time_base
            placed.pts, placed.dts, placed.duration = pts, int(run.decode_times[done - 1]), duration
            octets += placed.size
            yield placed
        self._budget.account(run.octets, octets)
        if done != len(run.frames):
            raise BrokenMedia(
                f"{self._source.path}: {len(run.frames) - done} of the {len(run.frames)} pictures from frame "
                f"{run.frames.start} on cannot be decoded; the file is damaged there. Repair it or choose other ranges."
            )

    def _framed(self, packet: av.Packet, run: Run, number: int, beside: _Beside) -> av.Packet:
        """In the source's framing, where the codec has units, and with what the source says beside the picture."""
        if self._units is not None:
            ends = run.ends_sequence and number == len(run.frames) - 1
            packet = self._units.packet(packet, beside.notes, begins=number == 0, ends_sequence=ends)
        if beside.alpha is not None:
            beside.alpha.to_packet(packet)
        return packet

    def _rate_factor(self, run: Run) -> float | None:
        if not self._encoders.by_rate_factor:
            return None
        index, quantiser = self._splice.index, None
        if self._video.codec == "h264":
            quantiser = quantisers.read(self._source, index, run, self._threads)
        sample = Sample.of(index, run)
        trial = partial(quantisers.matching, sample.octets, partial(self._trial, sample, run.keyframes))
        base, coarsest = self._matching.base(quantiser, self._budget.steps, trial)
        return self._budget.rate_factor(base, at_most=coarsest)

    def _trial(self, sample: Sample, keyframes: frozenset[int], rate_factor: float) -> int:
        """Octets of the sample's own pictures at this rate factor."""
        octets = 0
        for frames in sample.frames:
            context = self._encoders.open(1, len(frames), rate_factor)
            pictures = decode.frames(self._source, Excerpt(self._splice.index, (frames,)), threads=self._threads)
            times: dict[int, tuple[int, int]] = {}
            packets = _encode(context, pictures, keyframes, times)
            octets += sum(packet.size for packet in packets if times[packet.pts or 0][0] in sample.counted)
        return octets

    def _of_run(self, run: Run, frames: Iterator[Frame]) -> Iterator[Frame]:
        for number in run.frames:
            frame = next(frames, None)
            if frame is None or frame.index != number:
                return
            yield frame


def _encode(
    context: VideoCodecContext, frames: Iterable[Frame], keyframes: frozenset[int], times: dict[int, tuple[int, int]]
) -> Iterator[av.Packet]:
    latest: int | None = None
    for frame in frames:
        picture = frame.picture
        picture.pict_type = PictureType.I if latest is None or frame.pts in keyframes else PictureType.NONE
        stamp = clock.rescale(frame.pts, frame.time_base, context.time_base)
        latest = stamp if latest is None else max(stamp, latest + 1)
        times[latest] = (frame.pts, picture.duration or 0)
        picture.pts, picture.time_base = latest, context.time_base
        yield from context.encode(picture)
    yield from context.encode(None)


class _Units:
    """H.264 and HEVC: our encoder's packets in the source's framing, our parameter sets beside the source's."""

    def __init__(self, codec: str, prefix: int, extradata: bytes, parameters: list[bytes], notes: list[bytes]) -> None:
        self._codec, self._prefix, self.extradata = codec, prefix, extradata
        self._parameters = parameters
        self._notes = notes  # SEI for every run: mastering display, light level

    @classmethod
    def of(cls, stream: VideoStream, video: VideoSpec, encoders: RunEncoders) -> _Units:
        """Raises NotSpliceable."""
        extradata, codec = stream.codec_context.extradata or b"", video.codec
        prefix = nal.prefix_length(extradata, codec)
        number = nal.free_id(extradata, codec)
        if number is None:
            raise NotSpliceable("No id is free for the parameter sets of what is encoded anew.")
        encoders.parameter_id = number
        ours = nal.split(encoders.headers(), 0)
        parameters = [unit for unit in ours if nal.is_parameter(unit, codec)]
        notes = [unit for unit in ours if not nal.is_parameter(unit, codec) and not nal.is_signature(unit, codec)]
        if codec == "hevc":
            parameters = [nal.renamed(unit) for unit in parameters]
        whole = nal.with_parameters(extradata, parameters, codec) if prefix else extradata
        return cls(codec, prefix, whole, parameters, notes)

    def require_ours(self, headers: bytes) -> None:
        """The file's header announced these parameter sets; no encoder may have others."""
        units = [unit for unit in nal.split(headers, 0) if nal.is_parameter(unit, self._codec)]
        if self._codec == "hevc":
            units = [nal.renamed(unit) for unit in units]
        if units != self._parameters:
            raise RuntimeError("the encoder's parameter sets changed from run to run")

    def notes(self, packet: av.Packet) -> tuple[bytes, ...]:
        """Of a packet of the source."""
        return tuple(nal.notes(bytes(packet), self._codec, self._prefix))

    def packet(self, packet: av.Packet, notes: tuple[bytes, ...], *, begins: bool, ends_sequence: bool) -> av.Packet:
        """Our encoder's packet with the source's notes on that picture."""
        units = [
            unit
            for unit in nal.split(bytes(packet), 0)
            if not nal.is_parameter(unit, self._codec) and not nal.is_signature(unit, self._codec)
        ]
        if self._codec == "hevc":
            units = [nal.renamed(unit) for unit in units]
        units = [*(n for n in notes if nal.precedes(n)), *units, *(n for n in notes if not nal.precedes(n))]
        if begins:
            units = [*self._notes, *units]
        if self._prefix == 0 and packet.is_keyframe:  # start codes: a player finds parameter sets only in the stream
            units = [*self._parameters, *units]
        if ends_sequence:
            units.append(nal.END_OF_SEQUENCE)
        framed = av.Packet(nal.join(units, self._prefix))
        framed.is_keyframe = packet.is_keyframe
        return framed
