"""The new sound: voices laid on the video's time, mixed, and encoded like the track they replace.

Takes `Voice`s, gives blocks of float samples counted from the first video frame, and packets of them. Knows nothing of
pictures. Memory holds one block per voice.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import OutputContainer

from lipsmith.engine.media import clock, decode
from lipsmith.engine.media.dialogue import Placement
from lipsmith.engine.media.spec import AudioSpec

BLOCK_SAMPLES = 4096
_DEFAULT_RATE = 48_000  # Hz
_BIT_RATE_PER_CHANNEL = 64_000  # bits per second where the source does not tell
_LEAST_BIT_RATE = 32_000
# FFmpeg's codec name to the encoder that writes it.
_ENCODERS = {"mp3": "libmp3lame", "opus": "libopus"}
# The nearest codec where the source's own cannot be written, by container; AAC elsewhere.
_USUAL = {"webm": "libopus", "avi": "libmp3lame", "mpeg": "mp2", "flv": "aac"}
_FLV_CODECS = {"aac", "mp3", "ac3", "eac3", "opus", "flac"}
# These keep the encoder's delay in the file (edit list, CodecDelay), so that players cut it off.
_DELAY_IS_STORED = {"mp4", "mov", "3gp", "matroska", "webm"}


@dataclass(frozen=True)
class Voice:
    """A file with the new speech. Its loudness is kept."""

    path: Path
    stream_index: int | None = None  # None: the first audio stream
    start_seconds: float = 0.0  # after the first video frame


@dataclass(frozen=True)
class SoundPlan:
    """How the new first audio track is written."""

    encoder: str
    sample_rate: int  # Hz
    layout: str
    bit_rate: int  # bits per second
    differences: tuple[str, ...]


def plan_sound(replaced: AudioSpec | None, container: str) -> SoundPlan:
    """Codec, rate, layout and bit rate of the replaced track where muxer `container` takes them, else the nearest."""
    usual = _USUAL.get(container, "aac")
    if replaced is None:
        return SoundPlan(usual, _DEFAULT_RATE, "stereo", 2 * _BIT_RATE_PER_CHANNEL, ())
    rate, layout = replaced.sample_rate or _DEFAULT_RATE, replaced.layout or "stereo"
    channels = av.AudioLayout(layout).nb_channels
    bit_rate = max(replaced.bit_rate_from_header or channels * _BIT_RATE_PER_CHANNEL, _LEAST_BIT_RATE)
    wished = SoundPlan(_ENCODERS.get(replaced.codec, replaced.codec), rate, layout, bit_rate, ())
    candidates = [wished]
    for encoder in (wished.encoder, usual, "aac"):
        candidates += [replace(wished, encoder=encoder, sample_rate=rate) for rate in (rate, _DEFAULT_RATE, 44_100)]
        candidates += [replace(wished, encoder=encoder, sample_rate=_DEFAULT_RATE, layout="stereo")]
    plan = next((candidate for candidate in candidates if _can_write(candidate, container)), wished)
    return replace(plan, differences=_sound_differences(replaced, wished, plan))


@dataclass(frozen=True)
class Bed:
    """The source's own sound, in the plan's rate and layout, from the first video frame on."""

    blocks: Iterator[np.ndarray]
    before: bool  # it is heard until the first voice begins
    after: bool  # and where none sounds later


def mix(
    voices: Sequence[Voice],
    plan: SoundPlan,
    total_samples: int,
    placement: Placement,
    bed: Bed | None = None,
) -> Iterator[np.ndarray]:
    """Blocks of (channels, n) float32 within [-1, 1], together `total_samples`, from the first video frame on.

    Voices are placed, summed and limited. Where none has begun or all have ended there is silence, or the bed; in the
    channels that `placement` leaves to the source the bed is heard throughout. Raises what `decode.audio` raises.
    """
    channels = av.AudioLayout(plan.layout).nb_channels
    readers = [Reader(_placed(voice, plan, placement), channels) for voice in voices]
    starts = [clock.sample_of_seconds(voice.start_seconds, plan.sample_rate) for voice in voices]
    under = Reader(bed.blocks, channels) if bed is not None else None
    first = min(starts, default=0)
    kept = np.array(placement.keeps_source, np.float32)[:, None]
    done = 0
    while done < total_samples:
        n = min(BLOCK_SAMPLES, total_samples - done)
        block = np.zeros((channels, n), np.float32)
        spoken = np.zeros(n, bool)
        for reader, start in zip(readers, starts, strict=True):
            sound, given = reader.read(n)
            block += sound
            spoken[max(start - done, 0) : given] = True
        if under is not None and bed is not None:
            own = under.read(n)[0]
            at = np.arange(done, done + n)
            fills = ~spoken & np.where(at < first, bed.before, bed.after)
            block[:, fills] = own[:, fills]
            block[:, ~fills] += kept * own[:, ~fills]
        yield np.clip(block, -1.0, 1.0)
        done += n


class SoundEncoder:
    """One audio stream of an output, written block by block."""

    def __init__(self, output: OutputContainer, plan: SoundPlan, start_seconds: float) -> None:
        """`start_seconds`: when the first sample is heard, on the container's clock."""
        self._plan = plan
        self._start = clock.sample_of_seconds(start_seconds, plan.sample_rate)
        self._position = self._start
        self._lead_samples = 0
        self._drop_before: int | None = None
        stream = _add_stream(output, plan)
        if output.format.name not in _DELAY_IS_STORED:
            self._drop_encoder_delay(stream)
        self.stream = stream

    def packets(self, blocks: Iterable[np.ndarray]) -> Iterator[av.Packet]:
        """Packets of all the blocks, (channels, n) each."""
        for block in blocks:
            yield from self._encode(block)
        yield from self._encode(None)

    def _encode(self, block: np.ndarray | None) -> Iterator[av.Packet]:
        if block is not None and self._lead_samples:
            block = np.pad(block, ((0, 0), (self._lead_samples, 0)))
            self._lead_samples = 0
        for packet in self.stream.encode(None if block is None else self._frame(block)):
            if self._drop_before is None or packet.pts is None or packet.pts >= self._drop_before:
                yield packet

    def _drop_encoder_delay(self, stream: AudioStream) -> None:
        """Where the container cannot say "skip the encoder's delay", leave out the packets that hold it.

        The sound starts earlier by so much silence that a packet begins with sample 0; packets before it are dropped.
        """
        delay, frame_size = encoder_delay(self._plan)
        if delay and frame_size:
            self._lead_samples = -delay % frame_size
            self._position -= self._lead_samples
            self._drop_before = self._start

    def _frame(self, block: np.ndarray) -> av.AudioFrame:
        frame = sound_frame(block, self._plan, self._position)
        self._position += block.shape[1]
        return frame


def sound_frame(block: np.ndarray, plan: SoundPlan, position: int) -> av.AudioFrame:
    """(channels, n) float32 as an encoder takes it; `position`: of its first sample, also its time stamp."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=plan.layout)
    frame.sample_rate, frame.time_base, frame.pts = plan.sample_rate, Fraction(1, plan.sample_rate), position
    return frame


def _add_stream(output: OutputContainer, plan: SoundPlan) -> AudioStream:
    stream = output.add_stream(plan.encoder, rate=plan.sample_rate)
    assert isinstance(stream, AudioStream)
    stream.layout = plan.layout
    stream.bit_rate = plan.bit_rate
    stream.time_base = Fraction(1, plan.sample_rate)
    stream.codec_context.time_base = Fraction(1, plan.sample_rate)
    if plan.encoder == "libmp3lame":  # a packet must decode without the one before it, which may have been dropped
        stream.options = {"reservoir": "0"}
    return stream


def is_refused(codec: str, container: str) -> bool:
    """Would the muxer abort the process instead of saying no? FLV's may for codecs of the format's first version."""
    return container == "flv" and codec not in _FLV_CODECS


def _can_write(plan: SoundPlan, container: str) -> bool:
    """Try it: codec tables do not tell every limit of an encoder or a muxer."""
    try:
        if is_refused(av.Codec(plan.encoder, "w").canonical_name, container):
            return False
        with av.open(io.BytesIO(), "w", format=container) as trial:
            _add_stream(trial, plan)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def codec_of(plan: SoundPlan) -> str:
    """FFmpeg's name of the codec."""
    return av.Codec(plan.encoder, "w").canonical_name


def open_encoder(plan: SoundPlan) -> AudioCodecContext:
    """An encoder that belongs to no file."""
    context = av.CodecContext.create(plan.encoder, "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.layout, context.bit_rate = plan.sample_rate, plan.layout, plan.bit_rate
    context.format = (context.codec.audio_formats or [av.AudioFormat("fltp")])[0]
    context.time_base = Fraction(1, plan.sample_rate)
    return context


def encoder_delay(plan: SoundPlan) -> tuple[int, int]:
    """(delay, packet length) of this encoder in samples, seen on a second of silence."""
    with av.open(io.BytesIO(), "w", format="matroska") as trial:
        stream = _add_stream(trial, plan)
        silence = np.zeros((av.AudioLayout(plan.layout).nb_channels, plan.sample_rate), np.float32)
        first = next(iter(stream.encode(sound_frame(silence, plan, 0))), None)
        return (-first.pts if first is not None and first.pts is not None else 0), stream.codec_context.frame_size


def _placed(voice: Voice, plan: SoundPlan, placement: Placement) -> Iterator[np.ndarray]:
    """The voice in its channels, preceded by the silence until its start."""
    silence = clock.sample_of_seconds(voice.start_seconds, plan.sample_rate)
    channels = av.AudioLayout(plan.layout).nb_channels
    while silence > 0:
        n = min(silence, BLOCK_SAMPLES)
        yield np.zeros((channels, n), np.float32)
        silence -= n
    if channels > 1 and decode.channel_count(voice.path, voice.stream_index) == channels:  # a finished mix
        yield from decode.audio(voice.path, voice.stream_index, plan.sample_rate, plan.layout)
        return
    gains = np.array(placement.gains, np.float32)[:, None]
    for block in decode.audio(voice.path, voice.stream_index, plan.sample_rate, "mono"):
        yield gains * block


def _sound_differences(replaced: AudioSpec, wished: SoundPlan, plan: SoundPlan) -> tuple[str, ...]:
    told = []
    if plan.encoder != wished.encoder:
        told.append(f"The sound is {av.Codec(plan.encoder, 'w').canonical_name}; {replaced.codec} cannot be written.")
    if plan.sample_rate != replaced.sample_rate:
        told.append(f"The sound has {plan.sample_rate} Hz instead of {replaced.sample_rate} Hz.")
    if plan.layout != replaced.layout:
        told.append(f"The sound is {plan.layout} instead of {replaced.layout or 'of unknown layout'}.")
    return tuple(told)


class Reader:
    """Any number of samples at a time out of blocks of any size; silence after the last."""

    def __init__(self, blocks: Iterator[np.ndarray], channels: int) -> None:
        self._blocks = blocks
        self._held = np.zeros((channels, 0), np.float32)

    def read(self, n: int) -> tuple[np.ndarray, int]:
        """(channels, n) and how many of them came from the blocks."""
        while self._held.shape[1] < n:
            block = next(self._blocks, None)
            if block is None:
                break
            self._held = np.concatenate([self._held, block], axis=1)
        given = min(n, self._held.shape[1])
        sound = np.zeros((self._held.shape[0], n), np.float32)
        sound[:, :given] = self._held[:, :given]
        self._held = self._held[:, given:]
        return sound, given
