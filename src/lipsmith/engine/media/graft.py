"""The picture stream of a spliced output: the source's packets, with some runs of GOPs encoded anew in their place.

Takes a `SplicePlan` and the encoded pictures of its runs, gives packets in decoding order. What is copied is copied
bit for bit. Every run begins with a keyframe; it is written so that a player may begin at any keyframe of the file,
copied or encoded (`nal` tells how).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
from av.container import OutputContainer
from av.packet import PacketSideData
from av.video.stream import VideoStream

from lipsmith.engine.media import nal
from lipsmith.engine.media.coded import Coded, packet_of
from lipsmith.engine.media.encode import RunEncoders, VideoPlan
from lipsmith.engine.media.probe import open_input, video_stream
from lipsmith.engine.media.probe import packets as demuxed
from lipsmith.engine.media.spec import MediaSpec, VideoSpec
from lipsmith.engine.media.splice import NotSpliceable, Run, SplicePlan

_WITH_UNITS = ("h264", "hevc")
_ALPHA: Literal["matroska_block_additional"] = "matroska_block_additional"


def encoders_for(stream: VideoStream, video: VideoSpec, plan: VideoPlan, threads: int, reorder: int = 0) -> RunEncoders:
    """Encoders whose parameter sets can stand beside the source's. Raises NotSpliceable."""
    encoders = RunEncoders.of(plan, video, stream, threads, reorder)
    if video.codec in _WITH_UNITS:
        _Units.of(stream, video, encoders)
    return encoders


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
        self.encoders = RunEncoders.of(plan, video, stream, threads, splice.reorder)
        self._units = _Units.of(stream, video, self.encoders) if video.codec in _WITH_UNITS else None
        self.stream = output.add_stream_from_template(stream, opaque=True)
        self.stream.time_base = video.time_base
        context = self.stream.codec_context
        # The container's, where it tells one: it may be finer than a bitstream can say.
        context.sample_aspect_ratio = stream.sample_aspect_ratio or Fraction(0, 1)
        context.framerate = stream.average_rate or video.frame_rate
        if self._units is not None:
            context.extradata = self._units.extradata

    def packets(self, coded: Iterator[Coded]) -> Iterator[av.Packet]:
        """All packets; `coded` are those of the plan's runs, in order."""
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
                    yield from self._encoded(run, coded, beside)
                yield from kept

    def _copied(self, position: int, packet: av.Packet) -> av.Packet:
        packet.dts = int(self._splice.index.dts[position])
        packet.stream = self.stream
        return packet

    def _beside(self, packet: av.Packet) -> _Beside:
        alpha = PacketSideData.from_packet(packet, _ALPHA) if packet.has_sidedata(_ALPHA) else None
        return _Beside(() if self._units is None else self._units.notes(packet), alpha)

    def _encoded(self, run: Run, coded: Iterator[Coded], beside: dict[int | None, _Beside]) -> Iterator[av.Packet]:
        """The run's packets, each with the source's next decoding time."""
        for number, one in enumerate(itertools.islice(coded, len(run.frames))):
            placed = self._framed(one, run, number, beside[one.pts])
            placed.stream, placed.time_base = self.stream, self._video.time_base
            placed.pts, placed.dts, placed.duration = one.pts, int(run.decode_times[number]), one.duration
            yield placed

    def _framed(self, coded: Coded, run: Run, number: int, beside: _Beside) -> av.Packet:
        """In the source's framing, where the codec has units, and with what the source says beside the picture."""
        packet = packet_of(coded.data)
        packet.is_keyframe = coded.is_keyframe
        if self._units is not None:
            ends = run.ends_sequence and number == len(run.frames) - 1
            packet = self._units.packet(packet, beside.notes, begins=number == 0, ends_sequence=ends)
        if beside.alpha is not None:
            beside.alpha.to_packet(packet)
        return packet


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
        units = cls(codec, prefix, whole, parameters, notes)
        encoders.approve = units.require_ours
        return units

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
        framed = packet_of(nal.join(units, self._prefix))
        framed.is_keyframe = packet.is_keyframe
        return framed
