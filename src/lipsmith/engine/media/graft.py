"""The picture stream of a spliced output: the source's packets, with some runs of GOPs encoded anew in their place.

Takes a `SplicePlan` and the edited frames of its runs, gives packets in decoding order. What is copied is copied bit
for bit. Every run has an encoder of its own and begins with a keyframe; it is written so that a player may begin at
any keyframe of the file, copied or encoded (`nal` tells how).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.container import InputContainer, OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from lipsmith.engine.media import nal
from lipsmith.engine.media.encode import RunEncoders, VideoPlan
from lipsmith.engine.media.frame import Frame
from lipsmith.engine.media.probe import open_input, video_stream
from lipsmith.engine.media.spec import MediaSpec, VideoSpec
from lipsmith.engine.media.splice import NotSpliceable, Run, SplicePlan
from lipsmith.errors import BrokenMedia

_WITH_UNITS = ("h264", "hevc")


def require_parameters(source: InputContainer, video: VideoSpec, plan: VideoPlan) -> None:
    """Can our parameter sets stand beside the source's? Raises NotSpliceable."""
    stream = video_stream(source, video.stream_index)
    if video.codec in _WITH_UNITS:
        _Units.of(stream, video, RunEncoders.of(plan, video, stream, threads=1))


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
        self._encoders = RunEncoders.of(plan, video, stream, threads)
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
        index = self._splice.index
        with open_input(self._source.path) as container:
            position = -1
            for packet in container.demux(video_stream(container, self._video.stream_index)):
                if packet.size == 0:
                    continue
                position += 1
                if position in runs:
                    yield from self._encoded(runs[position], edited)
                if not self._splice.replaced[position]:
                    packet.dts = int(index.dts[position])
                    packet.stream = self.stream
                    yield packet

    def _encoded(self, run: Run, frames: Iterator[Frame]) -> Iterator[av.Packet]:
        """The run's packets, the k-th with the k-th frame's time: without B-frames they come in that order."""
        context = self._encoders.open(run.octets, len(run.frames))
        times: list[tuple[int, int]] = []  # (time stamp, duration) of the frames
        packets = _encode(context, self._of_run(run, frames), run.keyframes, times)
        done = 0
        for done, packet in enumerate(packets, 1):
            yield self._placed(packet, run, times[done - 1], done - 1)
        if done != len(run.frames):
            raise BrokenMedia(
                f"{self._source.path}: {len(run.frames) - done} of the {len(run.frames)} pictures from frame "
                f"{run.frames.start} on cannot be decoded; the file is damaged there. Repair it or choose other ranges."
            )

    def _of_run(self, run: Run, frames: Iterator[Frame]) -> Iterator[Frame]:
        for number in run.frames:
            frame = next(frames, None)
            if frame is None or frame.index != number:
                return
            yield frame

    def _placed(self, packet: av.Packet, run: Run, time: tuple[int, int], number: int) -> av.Packet:
        """An encoder's packet with its place in time and, where the codec has units, in the source's framing."""
        if self._units is not None:
            last = number == len(run.frames) - 1
            packet = self._units.packet(packet, begins=number == 0, ends_sequence=last and run.ends_sequence)
        packet.stream, packet.time_base = self.stream, self._video.time_base
        packet.pts, packet.duration = time
        packet.dts = int(run.decode_times[number])
        return packet


def _encode(
    context: VideoCodecContext, frames: Iterable[Frame], keyframes: frozenset[int], times: list[tuple[int, int]]
) -> Iterator[av.Packet]:
    for frame in frames:
        picture = frame.picture
        picture.pict_type = PictureType.I if not times or frame.pts in keyframes else PictureType.NONE
        times.append((frame.pts, picture.duration or 0))
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

    def packet(self, packet: av.Packet, *, begins: bool, ends_sequence: bool) -> av.Packet:
        units = [
            unit
            for unit in nal.split(bytes(packet), 0)
            if not nal.is_parameter(unit, self._codec) and not nal.is_signature(unit, self._codec)
        ]
        if self._codec == "hevc":
            units = [nal.renamed(unit) for unit in units]
        if begins:
            units = [*self._notes, *units]
        if self._prefix == 0 and packet.is_keyframe:  # start codes: a player finds parameter sets only in the stream
            units = [*self._parameters, *units]
        if ends_sequence:
            units.append(nal.END_OF_SEQUENCE)
        framed = av.Packet(nal.join(units, self._prefix))
        framed.is_keyframe = packet.is_keyframe
        return framed
